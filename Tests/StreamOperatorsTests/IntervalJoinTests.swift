import StreamCore
import StreamExpressions
import Testing
@testable import StreamOperators

/// Random histories of an interval join against the definition.
@Suite("Interval join") struct IntervalJoinTests {
    static let left: Schema = [Field("k", .int), Field("id", .int), Field("t", .timestamp(3))]
    static let right: Schema = [Field("id", .int), Field("name", .string), Field("k", .int), Field("t", .timestampLTZ(3))]

    enum Event { case row(side: Int, [Value]), watermark(Int64) }

    struct Scenario {
        var spec: IntervalJoinSpec
        var events: [Event] = []

        init(_ seed: UInt64, late: Bool = false) throws {
            var random = SeededGenerator(seed)
            let lower = Int64.random(in: -20...10, using: &random), upper = lower + Int64.random(in: -2...20, using: &random)
            let kind: JoinKind = [.inner, .left, .right, .full].randomElement(using: &random)!
            spec = IntervalJoinSpec(
                leftSchema: left, rightSchema: right, leftKeys: [0], rightKeys: [2], leftTime: 2, rightTime: 3, lower: lower, upper: upper, kind: kind)
            if random.chance(20) { (spec.leftKeys, spec.rightKeys) = ([], []) }
            if random.chance(50) {
                spec.condition = try FunctionRegistry.builtin.bind("<", [.column(1, .int), .column(3, .int)])
            }
            var watermark = Int64.min, time: Int64 = 0
            for id in 0..<Int.random(in: 0...120, using: &random) {
                time += Int64.random(in: 0...3, using: &random)
                if random.chance(25) {
                    watermark = max(watermark, time - Int64.random(in: 0...10, using: &random))
                    events.append(.watermark(watermark))
                }
                var at = time - Int64.random(in: 0...12, using: &random)
                if !late { at = max(at, watermark == .min ? at : watermark + 1) }
                let key: Value = random.chance(8) ? .null : .int(Int64.random(in: 0...2, using: &random))
                let t: Value = random.chance(3) ? .null : .int(at)
                let n = Value.int(Int64.random(in: 0...9, using: &random))
                if random.chance(50) {
                    events.append(.row(side: 0, [key, n, t]))
                } else {
                    events.append(.row(side: 1, [n, .string("a rather long name \(id % 4)"), key, t]))
                }
            }
        }

        /// What the rows that are not late give.
        func expected() -> [String] {
            let l = events.compactMap { if case .row(0, let row) = $0 { row } else { nil } }
            let r = events.compactMap { if case .row(1, let row) = $0 { row } else { nil } }
            func matches(_ a: [Value], _ b: [Value]) -> Bool {
                guard case .int(let x) = a[2], case .int(let y) = b[3], x - y >= spec.lower, x - y <= spec.upper else { return false }
                if !spec.leftKeys.isEmpty, a[0] == .null || a[0] != b[2] { return false }
                return spec.condition == nil || a[1].number! < b[0].number!
            }
            var rows: [[Value]] = []
            for a in l {
                let matched = r.filter { matches(a, $0) }
                rows += matched.map { a + $0 }
                if matched.isEmpty, spec.kind.keepsLeft { rows.append(a + [.null, .null, .null, .null]) }
            }
            if spec.kind.keepsRight { rows += r.filter { b in !l.contains { matches($0, b) } }.map { [.null, .null, .null] + $0 } }
            return sortedTexts(rows)
        }

        func make() throws -> any StreamOperator { try Operators.intervalJoin(spec, EvaluationContext())() }
    }

    /// Runs events through subtasks, in batches of rows of one side; `switchAt` = after how many events the job is restored with
    /// another parallelism. Also checks that no row comes behind event time.
    static func run(_ s: Scenario, batch: Int, parallelism: [Int], switchAt: Int = .max, checksTimes: Bool = true, _ random: inout SeededGenerator) throws -> [String] {
        var count = s.spec.leftKeys.isEmpty ? 1 : parallelism[0]
        func drivers() throws -> [Driver] {
            try (0..<count).map { try Driver(s.make(), output: Collector(room: 1), subtask: $0, parallelism: count) }
        }
        var tasks = try drivers(), rows: [[Value]] = [], waiting: (side: Int, rows: [[Value]]) = (0, [])
        var behind = Int64.min
        func collect() throws {
            for task in tasks {
                for row in task.output.rows where checksTimes {
                    for case .int(let t) in [row[2], row[6]] where t <= behind { Issue.record("a row of \(t) comes after \(behind)") }
                }
                rows += task.output.rows
                task.output.batches = []
            }
        }
        func flush() throws {
            guard !waiting.rows.isEmpty else { return }
            let schema = waiting.side == 0 ? left : right
            let keys = waiting.side == 0 ? s.spec.leftKeys : s.spec.rightKeys
            let whole = randomForm(schema, waiting.rows, using: &random)
            let parts = count == 1 ? [whole] : exchanged(whole, keys: keys, parallelism: count)
            for (task, part) in zip(tasks, parts) { try task.process(part, input: waiting.side) }
            waiting.rows = []
            try collect()
        }
        for (i, event) in s.events.enumerated() {
            if i == switchAt {
                try flush()
                let states = try tasks.flatMap { try $0.op.snapshot(1).units.flatMap { try $0.pieces() } }
                count = s.spec.leftKeys.isEmpty ? 1 : parallelism[1]
                tasks = try drivers()
                for (n, task) in tasks.enumerated() { try task.op.restore(share(states, subtask: n, parallelism: count)) }
            }
            switch event {
            case .row(let side, let row):
                if side != waiting.side || waiting.rows.count == batch { try flush() }
                waiting.side = side
                waiting.rows.append(row)
            case .watermark(let time):
                try flush()
                for task in tasks { try task.advance(time) }
                try collect()
                let given = tasks[0].op.outputWatermark(EventTime(milliseconds: time)).milliseconds
                behind = max(behind, given)
            }
        }
        try flush()
        for task in tasks { try task.finish() }
        behind = .min
        try collect()
        return sortedTexts(rows)
    }

    @Test("gives the pairs that are near, and the others with nulls, whatever the batches and the parallelism", arguments: UInt64(0)..<60)
    func random(seed: UInt64) throws {
        let scenario = try Scenario(seed)
        var random = SeededGenerator(seed &+ 1_000)
        let expected = scenario.expected()
        for (batch, parallelism) in [(1, [1, 1]), (7, [2, 3]), (.max, [3, 1])] {
            let at = Int.random(in: 0...max(scenario.events.count, 1), using: &random)
            let actual = try Self.run(scenario, batch: batch, parallelism: parallelism, switchAt: batch == 1 ? .max : at, &random)
            #expect(actual == expected, "seed \(seed), batch \(batch)")
        }
    }

    @Test("late rows give the same whatever the batches and the parallelism", arguments: UInt64(100)..<120)
    func late(seed: UInt64) throws {
        let scenario = try Scenario(seed, late: true)
        var random = SeededGenerator(seed)
        let one = try Self.run(scenario, batch: 1, parallelism: [1, 1], checksTimes: false, &random)
        #expect(try Self.run(scenario, batch: 7, parallelism: [1, 2], switchAt: 40, checksTimes: false, &random) == one, "seed \(seed)")
        #expect(try Self.run(scenario, batch: .max, parallelism: [3, 2], switchAt: 20, checksTimes: false, &random) == one, "seed \(seed)")
    }

    @Test("drops rows that nothing can match any more")
    func forgets() throws {
        let spec = IntervalJoinSpec(
            leftSchema: Self.left, rightSchema: Self.right, leftKeys: [0], rightKeys: [2], leftTime: 2, rightTime: 3, lower: -10, upper: 10)
        let task = try Driver(try Operators.intervalJoin(spec, EvaluationContext())())
        for i in 0..<2_000 {
            let rows = (0..<10).map { [Value.int(Int64(i * 10 + $0)), .int(1), .int(Int64(i))] }
            try task.process(Batch(schema: Self.left, rows: rows))
            try task.advance(Int64(i) - 5)
        }
        let rows = try task.op.snapshot(1).units.flatMap { try $0.pieces() }.filter { $0.name == "left" }.reduce(0) { $0 + $1.batch.count }
        #expect(rows <= 400, "\(rows) rows are kept")
    }

    @Test("in processing time rows match that arrive near each other")
    func processingTime() throws {
        let clock = Clock(1_000)
        var spec = IntervalJoinSpec(
            leftSchema: Self.left, rightSchema: Self.right, leftKeys: [0], rightKeys: [2], leftTime: 2, rightTime: 3, lower: -100, upper: 100,
            kind: .left)
        spec.isProcessingTime = true
        let task = try Driver(try Operators.intervalJoin(spec, EvaluationContext())(), now: { clock.now })
        try task.process(Batch(schema: Self.left, rows: [[.int(1), .int(7), .int(0)]]))
        clock.now = 1_050
        try task.process(Batch(schema: Self.right, rows: [[.int(1), .string("near"), .int(1), .int(0)]]), input: 1)
        clock.now = 1_150
        try task.process(Batch(schema: Self.right, rows: [[.int(2), .string("far"), .int(1), .int(0)]]), input: 1)
        try task.process(Batch(schema: Self.left, rows: [[.int(2), .int(8), .int(0)]]))
        #expect(task.output.rows == [[.int(1), .int(7), .int(1_000), .int(1), .string("near"), .int(1), .int(1_050)]])
        let due = try #require(task.op.wakeAt)
        clock.now = due + 1_000
        while try task.op.onTime(clock.now, output: task.output) == .more {}
        #expect(task.output.rows.last == [.int(2), .int(8), .int(1_150), .null, .null, .null, .null])
    }

    private final class Clock: @unchecked Sendable {  // SAFETY: one thread
        var now: Int64
        init(_ now: Int64) { self.now = now }
    }
}
