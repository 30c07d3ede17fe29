import Foundation
import StreamCore
import StreamExpressions
import StreamSQL
import StreamTesting

/// Random tables, a random query over them, and the ways in which to run it. The same seed gives the same case.
public struct FuzzCase: Sendable {
    public let seed: UInt64
    public internal(set) var tables: [FuzzTable]
    public internal(set) var views: [Piece]
    public internal(set) var query: Piece
    public internal(set) var runs: [RunSettings]

    public init(seed: UInt64) {
        self.seed = seed
        var random = SeededRandom(seed)
        let late = Int.random(in: 0..<5, using: &random) == 0
        tables = (0..<(late ? 1 : Int.random(in: 1...3, using: &random))).map { i in
            let changes = Int.random(in: 0..<4, using: &random) == 0
            return .random("t\(["a", "b", "c"][i])", late: late, changes: changes, &random)
        }
        var queries = FuzzQueries(tables: tables, late: late, random: random)
        query = queries.statement()
        views = queries.views
        random = queries.make.random
        runs = (0..<3).map { i in
            var run = RunSettings()
            run.parallelism = [1, 2, 4].randomElement(using: &random)!
            run.batchRows = [1, 7, Batch.targetRows].randomElement(using: &random)!
            if i == 2 {
                run.seed = random.next() % 1_000_000
                run.kills = Int.random(in: 0...3, using: &random)
                run.changesParallelism = true
                run.usesRocksDB = Int.random(in: 0..<8, using: &random) == 0
            }
            if Int.random(in: 0..<3, using: &random) == 0 {
                run.session = [
                    "table.exec.mini-batch.enabled": "true", "table.exec.mini-batch.allow-latency": "1 s",
                    "table.exec.mini-batch.size": "\([1, 3, 1_000].randomElement(using: &random)!)",
                ]
                if Bool.random(using: &random) { run.session["table.optimizer.agg-phase-strategy"] = ["ONE_PHASE", "TWO_PHASE"].randomElement(using: &random)! }
                if Bool.random(using: &random) { run.session["table.optimizer.distinct-agg.split.enabled"] = "true" }
            }
            return run
        }
    }

    public var script: String { (tables.map(\.ddl) + views.map(\.sql) + [query.sql + ";"]).joined(separator: "\n") }

    /// The case as text that tells all that is needed to see it again.
    public var text: String {
        var lines = ["-- seed \(seed)"]
        for table in tables {
            lines.append(table.ddl)
            for (i, row) in table.rows.enumerated() {
                lines.append("--   \(table.kinds?[i] ?? .insert) (\(zip(row, table.columns).map { Self.text($0, $1.kind) }.joined(separator: ", ")))")
            }
        }
        return (lines + views.map(\.sql) + [query.sql + ";"]).joined(separator: "\n")
    }

    private static func text(_ value: Value, _ kind: FuzzKind) -> String {
        guard value != .null else { return "NULL" }
        let text = try? Evaluator.evaluateConstant(.cast(.literal(value, kind.type), to: .string, safe: false))
        let quoted = kind == .string || kind == .timestamp || kind == .date
        return text?.text.map { quoted ? "'\($0)'" : $0 } ?? "\(value)"
    }
}

/// What became of a case.
public enum FuzzOutcome: Sendable {
    /// All runs gave the rows of the reference.
    case agreed
    /// All runs gave the same rows; the reference knows not all of the query.
    case consistent(String)
    /// The engine refused it when it was planned.
    case refused(String)
    case failed(String)

    public var isFailure: Bool { if case .failed = self { true } else { false } }
}

/// Compares what the engine gives for random queries with the reference interpreter.
public struct Fuzzer {
    /// Plants a bug, to be found: the engine does not get the last row of a table.
    public var losesRows = false
    public init() {}

    public func check(_ fuzz: FuzzCase) -> FuzzOutcome {
        let tables = Dictionary(uniqueKeysWithValues: fuzz.tables.map { ($0.name, $0.contents) })
        let connector = RowsConnector(tables)
        var expected: Result<[String], any Error>
        var unknown: String?
        do {
            let session = SQLSession(connectors: [connector])
            var plan: PlannedQuery?
            for statement in try SQLParser(text: fuzz.script).parseScript() {
                if case .query(let query) = try session.execute(statement) { plan = query }
            }
            guard let plan else { return .refused("no query") }
            do {
                let rows = try ReferenceInterpreter(tables: tables, context: session.evaluation).rows(of: plan.plan)
                expected = .success(Self.texts(rows))
            } catch let error as ReferenceInterpreter.Unsupported {
                unknown = error.description
                expected = .success([])
            } catch {
                expected = .failure(error)
            }
        } catch {
            return .refused("\(error)")
        }
        let given = losesRows ? RowsConnector(tables.mapValues { .init(rows: $0.rows.dropLast(), kinds: $0.kinds?.dropLast()) }) : connector
        var isFirst = true
        for settings in fuzz.runs {
            defer { isFirst = false }
            var run = ScriptRun(settings) { [given] }
            do {
                let actual = Self.texts(try run.run(fuzz.script)[0].rows)
                if unknown != nil, isFirst {
                    expected = .success(actual)
                    continue
                }
                switch expected {
                case .failure(let error): return .failed("\(settings): gave \(actual.count) rows where the reference fails: \(error)")
                case .success(let rows) where rows != actual:
                    let wrong = Self.difference(actual, rows), missing = Self.difference(rows, actual)
                    return .failed("\(settings):\n  wrong \(wrong.prefix(8))\n  missing \(missing.prefix(8))\(unknown == nil ? "" : " (compared with the first run)")")
                case .success: continue
                }
            } catch let error as StreamError where [.parse, .validate, .plan].contains(error.code) {
                // One that the first run took must be taken at any parallelism and with any settings.
                return isFirst ? .refused("\(error)") : .failed("\(settings): refused: \(error)")
            } catch {
                if case .failure = expected { continue }
                return .failed("\(settings): \(error)")
            }
        }
        return unknown.map { .consistent($0) } ?? .agreed
    }

    /// EXPLAIN of the query.
    public func explanation(_ fuzz: FuzzCase) throws -> String {
        let session = SQLSession(connectors: [RowsConnector([:])])
        var copy = fuzz
        copy.query = "EXPLAIN \(fuzz.query)"
        var text = ""
        for statement in try SQLParser(text: copy.script).parseScript() {
            if case .rows(_, let rows) = try session.execute(statement) { text = rows.first?.first?.text ?? "" }
        }
        return text
    }

    /// Cuts a failing case down for as long as it fails, within a number of tries.
    public func shrunk(_ fuzz: FuzzCase, tries: Int = 1_500) -> FuzzCase {
        var best = fuzz, left = tries
        func fails(_ candidate: FuzzCase) -> Bool {
            left -= 1
            return left >= 0 && check(candidate).isFailure
        }
        // One run that fails is enough.
        for run in best.runs where best.runs.count > 1 {
            var candidate = best
            candidate.runs = [run]
            if fails(candidate) { best = candidate }
        }
        var isSmaller = true
        while isSmaller, left > 0 {
            isSmaller = false
            func attempt(_ candidate: FuzzCase) -> Bool {
                guard fails(candidate) else { return false }
                (best, isSmaller) = (candidate, true)
                return true
            }
            var smaller = true
            while smaller, left > 0 {
                smaller = false
                for reduction in best.query.reductions {
                    var candidate = best
                    candidate.query = reduction
                    if attempt(candidate) {
                        smaller = true
                        break
                    }
                    if left <= 0 { break }
                }
            }
            for v in best.views.indices {
                smaller = true
                while smaller, left > 0 {
                    smaller = false
                    for reduction in best.views[v].reductions {
                        var candidate = best
                        candidate.views[v] = reduction
                        if attempt(candidate) {
                            smaller = true
                            break
                        }
                        if left <= 0 { break }
                    }
                }
            }
            for v in best.views.indices.reversed() {
                var candidate = best
                candidate.views.remove(at: v)
                _ = attempt(candidate)
            }
            for t in best.tables.indices {
                var size = max(best.tables[t].rows.count / 2, 1)
                while size >= 1, left > 0 {
                    var start = 0
                    while start < best.tables[t].rows.count {
                        var candidate = best
                        let end = min(start + size, best.tables[t].rows.count)
                        candidate.tables[t].rows.removeSubrange(start..<end)
                        candidate.tables[t].kinds?.removeSubrange(start..<end)
                        if !candidate.tables[t].isConsistent || !attempt(candidate) { start = end }
                    }
                    size /= 2
                }
            }
            for t in best.tables.indices.reversed() where best.tables.count > 1 {
                var candidate = best
                candidate.tables.remove(at: t)
                _ = attempt(candidate)
            }
        }
        return best
    }

    // MARK: rows as text

    static func texts(_ rows: [[Value]]) -> [String] { rows.map { "(" + $0.map(text).joined(separator: ", ") + ")" }.sorted() }

    static func text(_ value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .bool(let x): "\(x)"
        case .int(let x): "\(x)"
        case .float(let x): x == 0 ? "0.0f" : "\(x)f"
        case .double(let x): x == 0 ? "0" : String(format: "%.11g", x)
        case .decimal(let x): "\(x)d"
        case .string(let x): "'\(x)'"
        case .binary(let x): "\(x)"
        case .array(let x): "[\(x.map(text).joined(separator: ", "))]"
        case .map(let x): "{\(x.map { "\(text($0.key))=\(text($0.value))" }.sorted().joined(separator: ", "))}"
        case .row(let x): "(\(x.map(text).joined(separator: ", ")))"
        }
    }

    /// What is in `a` more often than in `b`.
    static func difference(_ a: [String], _ b: [String]) -> [String] {
        var counts: [String: Int] = [:]
        for row in b { counts[row, default: 0] += 1 }
        return a.filter { row in
            counts[row, default: 0] -= 1
            return counts[row]! < 0
        }
    }
}

extension FuzzTable {
    /// Whether every row that is taken back is there then.
    var isConsistent: Bool {
        guard let kinds else { return true }
        var live: [[Value]: Int] = [:], ids: Set<Value> = []
        for (row, kind) in zip(rows, kinds) {
            live[row, default: 0] += kind.isAdd ? 1 : -1
            if live[row]! < 0 || live[row]! > 1 { return false }
            if kind.isAdd {
                guard ids.insert(row[0]).inserted else { return false }
            } else {
                ids.remove(row[0])
            }
        }
        return true
    }
}
