import Foundation
import StreamCore
import StreamExpressions
import TestScripts
import Testing

@testable import StreamOperators

/// Points with normal noise, some of them repeated exactly.
struct Series {
    var random: SplitMix
    init(_ seed: UInt64) { random = SplitMix(seed) }

    mutating func normal() -> Double {
        (-2 * log(Double.random(in: 1e-12..<1, using: &random))).squareRoot() * cos(2 * .pi * Double.random(in: 0..<1, using: &random))
    }
    mutating func points(_ n: Int, _ dimensions: Int, digits: Double = 1e12) -> [[Double]] {
        (0..<n).map { _ in (0..<dimensions).map { _ in (normal() * digits).rounded() / digits } }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return RowHash.mix(state)
    }
}

/// A forest and the memory that it works in.
final class ForestRun {
    let forest: RandomCutForest
    private let work: RandomCutForest.Work
    private(set) var attribution: [Double] = []

    init(_ options: RandomCutForestOptions, features: Int, salt: UInt64 = 0) {
        forest = RandomCutForest(options, features: features, salt: salt)
        work = RandomCutForest.Work(dimensions: features * options.shingle)
    }

    func add(_ row: [Double]) -> Double? {
        var score = 0.0, grade = 0.0, parts = row
        let share = Double(max(forest.count, 1))
        forest.add(row, count: 1, scores: &score, grades: &grade, parts: &parts, work)
        attribution = parts
        if !score.isNaN { #expect(grade == score / share) }
        return score.isNaN ? nil : score
    }
}

extension RandomCutTree {
    /// The tree as `rrcf` writes it, and the name that it knows a point by.
    func exported(last: [Double]) -> (tree: [String: Any], last: Int) {
        var name = -1
        func node(_ n: Int32, _ depth: Int) -> [String: Any] {
            if n < 0 {
                let leaf = Int(~n), x = (0..<dimensions).map { points[leaf * dimensions + $0] }
                if x == last { name = leaf }
                return ["type": "Leaf", "i": leaf, "x": x, "d": depth, "n": Int(leaves[leaf].mass), "ixs": [leaf]]
            }
            let branch = branches[Int(n)], box = boxes + Int(n) * 2 * dimensions
            return [
                "type": "Branch", "q": Int(branch.dimension), "p": branch.cut, "n": Int(branch.mass),
                "b": [(0..<dimensions).map { box[$0] }, (0..<dimensions).map { box[dimensions + $0] }],
                "l": node(branch.left, depth + 1), "r": node(branch.right, depth + 1),
            ]
        }
        let tree = node(header.pointee.root, 0)
        return (tree, name)
    }
}

func temporaryFile(_ text: String) throws -> String {
    let path = NSTemporaryDirectory() + "swiftwater-insight-\(UUID().uuidString).json"
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    return path
}

/// Spearman's rank correlation, for values without ties of note.
func rankCorrelation(_ a: [Double], _ b: [Double]) -> Double {
    func ranks(_ x: [Double]) -> [Double] {
        var result = [Double](repeating: 0, count: x.count)
        for (rank, i) in x.indices.sorted(by: { x[$0] < x[$1] }).enumerated() { result[i] = Double(rank) }
        return result
    }
    let (x, y) = (ranks(a), ranks(b)), mean = Double(a.count - 1) / 2
    var (xy, xx, yy) = (0.0, 0.0, 0.0)
    for i in x.indices {
        xy += (x[i] - mean) * (y[i] - mean)
        xx += (x[i] - mean) * (x[i] - mean)
        yy += (y[i] - mean) * (y[i] - mean)
    }
    return xy / (xx * yy).squareRoot()
}

/// The chance that an anomaly has a greater score than another point.
func areaUnderCurve(_ scores: [Double], _ anomalies: Set<Int>) -> Double {
    var won = 0.0, pairs = 0.0
    for a in anomalies {
        for i in scores.indices where !anomalies.contains(i) {
            pairs += 1
            won += scores[a] > scores[i] ? 1 : scores[a] == scores[i] ? 0.5 : 0
        }
    }
    return won / pairs
}

@Suite struct ForestTests {
    /// A score is rrcf's CoDisp of the point in the very tree that it was inserted into; repeated points share a leaf.
    @Test(arguments: [(1, 1e6), (3, 1e6), (2, 2.0), (1, 1.0)])
    func scoresAreCollusiveDisplacement(dimensions: Int, digits: Double) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("seed", seed)
        var series = Series(seed), lines = ""
        var options = RandomCutForestOptions()
        (options.trees, options.samples, options.outputAfter, options.seed) = (1, 300, 1, seed)
        let run = ForestRun(options, features: dimensions)
        for point in series.points(150, dimensions, digits: digits) {
            let score = run.add(point), (tree, last) = run.forest.tree(0).exported(last: point)
            let line = try JSONSerialization.data(withJSONObject: ["tree": tree, "last": last, "score": score ?? NSNull()] as [String: Any])
            lines += String(decoding: line, as: UTF8.self) + "\n"
        }
        let file = try temporaryFile(lines)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let answer = try PythonScript.answer("insight/forest_judge.py", ["trees", file]) as! [String: Any]
        #expect(answer["points"] as? Int == 150 * 151 / 2)
        #expect((answer["worst"] as! Double) < 1e-12)
    }

    /// Trees from which samples leave stay well formed: masses, boxes, sides of cuts.
    @Test(arguments: [1e6, 1.0])
    func treesStayWellFormed(digits: Double) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("seed", seed)
        var series = Series(seed), lines = ""
        var options = RandomCutForestOptions()
        (options.trees, options.samples, options.timeDecay, options.seed) = (5, 40, 50, seed)
        let run = ForestRun(options, features: 2)
        var expected = 0
        for (i, point) in series.points(800, 2, digits: digits).enumerated() {
            _ = run.add(point)
            guard i > 1, i % 7 == 0 else { continue }
            for t in 0..<5 where run.forest.tree(t).header.pointee.root >= 0 {
                let line = try JSONSerialization.data(withJSONObject: ["tree": run.forest.tree(t).exported(last: []).tree])
                lines += String(decoding: line, as: UTF8.self) + "\n"
                expected += min(i + 1, 40)
            }
        }
        let file = try temporaryFile(lines)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let answer = try PythonScript.answer("insight/forest_judge.py", ["trees", file]) as! [String: Any]
        #expect(answer["points"] as? Int == expected)
    }

    /// The same algorithm with other random choices: scores agree up to what a forest of this size varies by.
    @Test(arguments: [(200, 200, 1_000_000), (280, 64, 100)])
    func agreesWithRRCF(count: Int, samples: Int, decay: Int) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("seed", seed)
        var series = Series(seed), points = series.points(count, 2), anomalies: Set<Int> = []
        for i in stride(from: count / 3, to: count, by: 29) {
            anomalies.insert(i)
            points[i] = [series.normal() + (i % 2 == 0 ? 9 : -9), series.normal() * 3]
        }
        var options = RandomCutForestOptions()
        (options.trees, options.samples, options.timeDecay, options.outputAfter, options.seed) = (200, samples, decay, 1, seed)
        let run = ForestRun(options, features: 2)
        let ours = points.map { run.add($0) ?? 0 }
        let request: [String: Any] = ["points": points, "trees": 30, "samples": samples, "decay": decay, "seed": Int(seed)]
        let file = try temporaryFile(String(decoding: try JSONSerialization.data(withJSONObject: request), as: UTF8.self))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let answer = try PythonScript.answer("insight/forest_judge.py", ["series", file]) as! [String: Any]
        let theirs = answer["scores"] as! [Double], halves = (answer["halves"] as! [[Double]]).map { Array($0[20...]) }
        let from = 20, a = Array(ours[from...]), b = Array(theirs[from...]), odd = Set(anomalies.map { $0 - from })
        let correlation = rankCorrelation(a, b), (mine, other) = (areaUnderCurve(a, odd), areaUnderCurve(b, odd))
        let means = (a.reduce(0, +) / Double(a.count), b.reduce(0, +) / Double(b.count))
        // What forests of half the size, rrcf's own, agree in with one another.
        let itself = rankCorrelation(halves[0], halves[1])
        print("rank correlation", correlation, "AUC", mine, other, "means", means, "rrcf with itself", itself)
        #expect(correlation > itself)
        #expect(correlation > 0.8)
        #expect(mine > 0.97)
        #expect(abs(mine - other) < 0.02)
        #expect(abs(means.0 / means.1 - 1) < 0.2)
    }

    /// Inserting points one by one gives the trees that building them at once gives: the mean score is that of rrcf's built trees.
    @Test(arguments: [1, 2, 5])
    func agreesWithBuiltTrees(dimensions: Int) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("seed", seed)
        var series = Series(seed), options = RandomCutForestOptions()
        let points = series.points(24, dimensions)
        (options.trees, options.samples, options.outputAfter, options.seed) = (400, 100, 1, seed)
        let run = ForestRun(options, features: dimensions)
        let last = points.map { run.add($0) }.last!!
        let file = try temporaryFile(String(decoding: try JSONSerialization.data(withJSONObject: ["points": points, "trees": 400, "seed": Int(seed)] as [String: Any]), as: UTF8.self))
        defer { try? FileManager.default.removeItem(atPath: file) }
        let answer = try PythonScript.answer("insight/forest_judge.py", ["built", file]) as! [String: Any]
        // Both are means over as many trees; six deviations of their difference.
        let mean = answer["mean"] as! Double, deviation = answer["deviation"] as! Double
        print("mean", last, mean, "deviation", deviation)
        #expect(abs(last - mean) <= 6 * 2.0.squareRoot() * deviation + 1e-9)
    }

    @Test func attributionNamesTheColumnAndAddsUp() {
        var series = Series(7)
        var options = RandomCutForestOptions()
        options.normalizes = true
        let run = ForestRun(options, features: 3)
        for point in series.points(500, 3) { _ = run.add([point[0], point[1] * 1_000, point[2] * 0.001]) }
        for column in 0..<3 {
            var point = [0.0, 0, 0]
            point[column] = [12, 12_000, 0.012][column]
            let score = run.add(point)!
            #expect(abs(run.attribution.reduce(0, +) - score) < 1e-9)
            #expect(run.attribution[column] > 0.8 * score)
        }
    }

    @Test func shinglesSeeAPatternBreak() {
        // A square wave that stays up for once: no single value is unusual.
        var options = RandomCutForestOptions()
        (options.shingle, options.samples, options.timeDecay) = (4, 128, 500)
        let run = ForestRun(options, features: 1)
        var scores: [Double] = [], series = Series(3)
        for i in 0..<600 {
            let level = i == 552 || i == 553 ? 1.0 : Double((i / 2) % 2)
            scores.append(run.add([level * 10 + series.normal() * 0.1]) ?? 0)
        }
        let worst = scores.indices.max { scores[$0] < scores[$1] }!
        #expect((552...557).contains(worst))
    }

    @Test func hugeValuesGiveFiniteScores() {
        var options = RandomCutForestOptions()
        options.outputAfter = 1
        for normalizes in [false, true] {
            options.normalizes = normalizes
            let run = ForestRun(options, features: 2)
            for i in 0..<400 {
                let x = [1e308, -1e308, 1e-308, 0, .greatestFiniteMagnitude][i % 5]
                if let score = run.add([x, Double(i)]) { #expect(score.isFinite && score >= 0) }
            }
        }
    }

    // MARK: the operator

    static let schema: Schema = [Field("k", .string), Field("a", .double), Field("b", .int)]

    static func rows(_ n: Int, seed: UInt64) -> [[Value]] {
        var series = Series(seed)
        return (0..<n).map { i in
            let key = Int.random(in: 0..<5, using: &series.random)
            return [key == 4 ? .null : .string("k\(key)"), i % 97 == 5 ? .null : .double(series.normal()), .int(Int64(series.normal() * 20))]
        }
    }

    static func make(partition: [Int] = [0]) throws -> any StreamOperator {
        var options = RandomCutForestOptions()
        (options.trees, options.samples, options.timeDecay, options.outputAfter, options.seed) = (20, 32, 60, 8, 11)
        let features = [Expr.column(1, .double), Expr.cast(.column(2, .int), to: .double, safe: false)]
        return try Operators.randomCutForest(
            RandomCutForestSpec(inputSchema: schema, partition: partition, features: features, forest: options, explains: true), context: EvaluationContext())()
    }

    final class Rows: Output {
        var rows: [[Value]] = []
        var isReady: Bool { true }
        func emit(_ batch: Batch) { rows += batch.rows() }
    }

    static func run(_ op: any StreamOperator, _ rows: [[Value]], batch: Int) throws -> [[Value]] {
        let output = Rows()
        for start in stride(from: 0, to: rows.count, by: batch) {
            _ = try op.process(Batch(schema: schema, rows: Array(rows[start..<min(start + batch, rows.count)])), input: 0, output: output)
        }
        return output.rows
    }

    @Test(arguments: [[0], [Int]()])
    func restartsGiveTheSameScores(partition: [Int]) throws {
        let seed = UInt64.random(in: 0..<1_000_000)
        print("seed", seed)
        let rows = Self.rows(1_000, seed: seed)
        let whole = try Self.make(partition: partition)
        try whole.open(OperatorContext(name: "test"))
        let expected = try Self.run(whole, rows, batch: 1_000)
        #expect(expected.count == 1_000)
        #expect(expected.count { $0[3] != .null } > 800)
        // Rows with a null have no score, and no part in later ones.
        #expect(expected.allSatisfy { $0[1] != .null || $0[3] == .null })
        var made: [[Value]] = [], at = 0, state: [KeyGroupState] = []
        var random = SplitMix(seed)
        while at < rows.count {
            let end = min(at + Int.random(in: 1...300, using: &random), rows.count)
            let op = try Self.make(partition: partition)
            try op.open(OperatorContext(name: "test"))
            try op.restore(RestoredState(state))
            made += try Self.run(op, Array(rows[at..<end]), batch: Int.random(in: 1...50, using: &random))
            // What comes after the barrier is no part of the snapshot.
            let snapshot = try op.snapshot(1)
            _ = try Self.run(op, Array(rows[at..<end]), batch: 20)
            state = try snapshot.units.flatMap { try $0.pieces() }
            at = end
        }
        #expect(made == expected)
    }

    @Test func scoresOfAKeyDoNotDependOnOthers() throws {
        let rows = Self.rows(600, seed: 5)
        let all = try Self.make(), one = try Self.make()
        try all.open(OperatorContext(name: "test"))
        try one.open(OperatorContext(name: "test"))
        let expected = try Self.run(all, rows, batch: 64).filter { $0[0] == .string("k2") }
        #expect(try Self.run(one, rows.filter { $0[0] == .string("k2") }, batch: 7) == expected)
    }

    @Test func stateOfOtherSizesIsRefused() throws {
        let op = try Self.make()
        try op.open(OperatorContext(name: "test"))
        _ = try Self.run(op, Self.rows(10, seed: 1), batch: 10)
        let state = try op.snapshot(1).units.flatMap { try $0.pieces() }
        var options = RandomCutForestOptions()
        options.trees = 21
        let other = try Operators.randomCutForest(
            RandomCutForestSpec(inputSchema: Self.schema, partition: [0], features: [.column(1, .double), .column(1, .double)], forest: options, explains: true),
            context: EvaluationContext())()
        try other.open(OperatorContext(name: "test"))
        #expect { try other.restore(RestoredState(state)) } throws: { ($0 as? StreamError)?.code == .conflict }
    }
}
