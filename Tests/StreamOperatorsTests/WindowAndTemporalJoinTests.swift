import StreamCore
import StreamExpressions
import Testing
@testable import StreamOperators

private enum Event { case row(side: Int, [Value], RowKind), watermark(Int64) }

/// Runs events through subtasks in batches of rows of one side; at `switchAt` the job is restored with the next parallelism.
private func run(
    _ events: [Event], _ schemas: [Schema], keys: [[Int]], batch: Int, parallelism: [Int], switchAt: Int, _ random: inout SeededGenerator,
    make: () throws -> any StreamOperator
) throws -> [String] {
    var count = parallelism[0], rows: [String] = []
    func drivers() throws -> [Driver] {
        try (0..<count).map { try Driver(make(), output: Collector(room: 1), subtask: $0, parallelism: count) }
    }
    var tasks = try drivers(), waiting: [([Value], RowKind)] = [], side = 0
    func flush() throws {
        guard !waiting.isEmpty else { return }
        let kinds = waiting.map(\.1)
        let whole = randomForm(schemas[side], waiting.map(\.0), kinds: kinds.allSatisfy { $0 == .insert } ? nil : kinds, using: &random)
        let parts = count == 1 ? [whole] : exchanged(whole, keys: keys[side], parallelism: count)
        for (task, part) in zip(tasks, parts) { try task.process(part, input: side) }
        waiting = []
    }
    func collect() {
        for task in tasks {
            rows += task.output.changes.map { "\($0.kind) \($0.row)" }
            task.output.batches = []
        }
    }
    for (i, event) in events.enumerated() {
        if i == switchAt {
            try flush()
            collect()
            let states = try tasks.flatMap { try $0.op.snapshot(1).units.flatMap { try $0.pieces() } }
            count = parallelism[1]
            tasks = try drivers()
            for (n, task) in tasks.enumerated() { try task.op.restore(share(states, subtask: n, parallelism: count)) }
        }
        switch event {
        case .row(let input, let row, let kind):
            if input != side || waiting.count == batch { try flush() }
            side = input
            waiting.append((row, kind))
        case .watermark(let time):
            try flush()
            for task in tasks { try task.advance(time) }
        }
    }
    try flush()
    for task in tasks { try task.finish() }
    collect()
    return rows.sorted()
}

@Suite("Window join") struct WindowJoinTests {
    private static let left: Schema = [Field("k", .string), Field("v", .int), Field("s", .timestamp(3)), Field("e", .timestamp(3))]
    private static let right: Schema = [Field("s", .timestamp(3)), Field("e", .timestamp(3)), Field("v", .int), Field("k", .string)]

    @Test("gives the pairs of each window and key, and the others as the kind says, late rows aside", arguments: UInt64(0)..<72)
    func random(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let kind = [JoinKind.inner, .left, .right, .full, .semi, .anti][Int(seed % 6)]
        let hasKeys = random.chance(80)
        let spec = WindowJoinSpec(
            left: .init(schema: Self.left, keys: hasKeys ? [0] : [], start: 2, end: 3),
            right: .init(schema: Self.right, keys: hasKeys ? [3] : [], start: 0, end: 1), kind: kind,
            condition: random.chance(50) ? try FunctionRegistry.builtin.bind("<", [.column(1, .int), .column(6, .int)]) : nil)
        var events: [Event] = [], kept: [[[Value]]] = [[], []], watermark = Int64.min, time: Int64 = 0
        for _ in 0..<Int.random(in: 0...150, using: &random) {
            time += Int64.random(in: 0...3, using: &random)
            if random.chance(20) {
                watermark = max(watermark, time - Int64.random(in: 0...10, using: &random))
                events.append(.watermark(watermark))
            }
            let at = max(0, time - Int64.random(in: 0...15, using: &random)), start = at / 10 * 10
            let key: Value = random.chance(10) ? .null : .string(["a", "bb", "a key of some length"].randomElement(using: &random)!)
            let v = Value.int(Int64.random(in: 0...9, using: &random)), side = random.chance(50) ? 0 : 1
            let row: [Value] = side == 0 ? [key, v, .int(start), .int(start + 10)] : [.int(start), .int(start + 10), v, key]
            events.append(.row(side: side, row, .insert))
            if start + 9 > watermark { kept[side].append(row) }
        }
        func matches(_ a: [Value], _ b: [Value]) -> Bool {
            guard a[2] == b[0], !hasKeys || a[0] != .null && a[0] == b[3] else { return false }
            return spec.condition == nil || a[1].number! < b[2].number!
        }
        var expected: [[Value]] = []
        for a in kept[0] {
            let matched = kept[1].filter { matches(a, $0) }
            switch kind {
            case .semi: if !matched.isEmpty { expected.append(a) }
            case .anti: if matched.isEmpty { expected.append(a) }
            default:
                expected += matched.map { a + $0 }
                if matched.isEmpty, kind.keepsLeft { expected.append(a + [.null, .null, .null, .null]) }
            }
        }
        if kind.keepsRight { expected += kept[1].filter { b in !kept[0].contains { matches($0, b) } }.map { [.null, .null, .null, .null] + $0 } }
        let texts = expected.map { "+I \($0)" }.sorted()
        for (batch, parallelism) in [(1, [1, 1]), (7, [2, 3]), (.max, [3, 1])] {
            let at = batch == 1 ? .max : Int.random(in: 0...max(events.count, 1), using: &random)
            let actual = try run(
                events, [Self.left, Self.right], keys: [spec.left.distribution, spec.right.distribution], batch: batch, parallelism: parallelism,
                switchAt: at, &random
            ) { try Operators.windowJoin(spec, EvaluationContext())() }
            #expect(actual == texts, "seed \(seed), batch \(batch), \(kind)")
        }
    }

    @Test("windows over TIMESTAMP_LTZ end by the clocks of the session's time zone")
    func zone() throws {
        let side = WindowJoinSpec.Side(schema: Self.left, keys: [0], start: 2, end: 3)
        let spec = WindowJoinSpec(left: side, right: side, timeType: .timestampLTZ(3), timeZone: "America/New_York")
        let task = try Driver(try Operators.windowJoin(spec, EvaluationContext())())
        let row: [Value] = [.string("a"), .int(1), .int(0), .int(10_000)]
        try task.process(Batch(schema: Self.left, rows: [row]))
        try task.process(Batch(schema: Self.left, rows: [row]), input: 1)
        try task.advance(5 * 3_600_000 + 9_998)
        #expect(task.output.rows.isEmpty)
        try task.advance(5 * 3_600_000 + 9_999)
        #expect(task.output.rows == [row + row])
        try task.process(Batch(schema: Self.left, rows: [row]))
        #expect(task.metrics.lateRows.get() == 1)
    }
}

@Suite("Temporal join") struct TemporalJoinTests {
    private static let left: Schema = [Field("k", .string), Field("v", .int), Field("t", .timestamp(3))]
    private static let right: Schema = [Field("t", .timestamp(3)), Field("k", .string), Field("r", .int)]

    @Test("gives each row with the version that held at its time", arguments: UInt64(0)..<60)
    func random(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let spec = TemporalJoinSpec(
            leftSchema: Self.left, rightSchema: Self.right, leftKeys: [0], rightKeys: [1], leftTime: 2, rightTime: 0,
            keepsUnmatched: random.chance(50),
            condition: random.chance(40) ? try FunctionRegistry.builtin.bind("<", [.column(1, .int), .column(5, .int)]) : nil)
        var events: [Event] = [], rows: [([Value], RowKind)] = [], versions: [([Value], RowKind)] = []
        var watermark = Int64.min, time: Int64 = 0
        for _ in 0..<Int.random(in: 0...150, using: &random) {
            time += Int64.random(in: 0...3, using: &random)
            if random.chance(25) {
                watermark = max(watermark, time - Int64.random(in: 0...10, using: &random))
                events.append(.watermark(watermark))
            }
            let at = max(time - Int64.random(in: 0...12, using: &random), watermark == .min ? .min : watermark + 1)
            let key: Value = random.chance(8) ? .null : .string(["a", "bb", "a key of some length"].randomElement(using: &random)!)
            let v = Value.int(Int64.random(in: 0...9, using: &random))
            if random.chance(50) {
                let kind: RowKind = random.chance(90) ? .insert : .delete
                rows.append(([key, v, .int(at)], kind))
                events.append(.row(side: 0, rows.last!.0, kind))
            } else {
                let kind: RowKind = [.insert, .updateAfter, .updateBefore, .delete].randomElement(using: &random)!
                if kind != .updateBefore { versions.append(([.int(at), key, v], kind)) }
                events.append(.row(side: 1, [.int(at), key, v], kind))
            }
        }
        var expected: [String] = []
        for (row, kind) in rows {
            // Of versions of one time the last one counts.
            var found: (row: [Value], kind: RowKind)?
            for version in versions where row[0] != .null && version.0[1] == row[0] && version.0[0].number! <= row[2].number! {
                if found == nil || version.0[0].number! >= found!.row[0].number! { found = version }
            }
            if let (version, its) = found, its != .delete, spec.condition == nil || row[1].number! < version[2].number! {
                expected.append("\(kind) \(row + version)")
            } else if spec.keepsUnmatched {
                expected.append("\(kind) \(row + [Value.null, .null, .null])")
            }
        }
        for (batch, parallelism) in [(1, [1, 1]), (7, [2, 3]), (.max, [3, 1])] {
            let at = batch == 1 ? .max : Int.random(in: 0...max(events.count, 1), using: &random)
            let actual = try run(
                events, [Self.left, Self.right], keys: [[0], [1]], batch: batch, parallelism: parallelism, switchAt: at, &random
            ) { try Operators.temporalJoin(spec, EvaluationContext())() }
            #expect(actual == expected.sorted(), "seed \(seed), batch \(batch)")
        }
    }

    @Test("drops versions that no row in time can see")
    func forgets() throws {
        let spec = TemporalJoinSpec(leftSchema: Self.left, rightSchema: Self.right, leftKeys: [0], rightKeys: [1], leftTime: 2, rightTime: 0)
        let task = try Driver(try Operators.temporalJoin(spec, EvaluationContext())())
        for i in 0..<1_000 {
            try task.process(Batch(schema: Self.right, rows: ["a", "b"].map { [.int(Int64(i)), .string($0), .int(Int64(i))] }), input: 1)
            try task.advance(Int64(i) - 5)
        }
        let rows = try task.op.snapshot(1).units.flatMap { try $0.pieces() }.filter { $0.name == "right" }.reduce(0) { $0 + $1.batch.count }
        #expect(rows <= 20, "\(rows) versions are kept")
    }
}
