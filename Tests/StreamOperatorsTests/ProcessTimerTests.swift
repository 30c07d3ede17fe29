import StreamCore
import StreamOperators
import StreamState
import Testing

private let input: Schema = [Field("k", .bigint), Field("at", .bigint), Field("ts", .timestamp(6))]
private let output: Schema = [Field("k", .bigint), Field("at", .bigint), Field("what", .string)]

/// Sets a timer for each row; `body` says what else firing one does.
private final class Timers: KeyedProcessFunction {
    private let domain: TimeDomain
    private let deleting: Bool
    private let body: (Int64, KeyContext, RowCollector) throws -> Void

    init(_ domain: TimeDomain, deleting: Bool = false, _ body: @escaping (Int64, KeyContext, RowCollector) throws -> Void = { _, _, _ in }) {
        (self.domain, self.deleting, self.body) = (domain, deleting, body)
    }

    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
        let at = try row.int64("at")!
        if row.kind == .delete { try context.deleteTimer(domain, at: at) } else { try context.setTimer(domain, at: at) }
    }

    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
        #expect(context.timestamp == timestamp)
        try out.emit(context.key().int64("k"), timestamp, domain.rawValue)
        try body(timestamp, context, out)
    }
}

private func batch(_ rows: [(Int64, Int64)], _ kind: RowKind = .insert) -> Batch {
    Batch(schema: input, rows: rows.map { [.int($0.0), .int($0.1), .null] }, kinds: rows.map { _ in kind })
}

@Suite("Timers of process functions") struct ProcessTimerTests {
    private func harness(_ domain: TimeDomain = .eventTime, parallelism: Int = 1, room: Int = .max, restoring state: RestoredState = RestoredState(),
                         clock: FakeClock = FakeClock(), _ body: @escaping @Sendable (Int64, KeyContext, RowCollector) throws -> Void = { _, _, _ in }) throws
        -> ProcessHarness {
        let make = try Operators.keyedProcess(inputSchema: input, keys: [0], outputSchema: output, timeColumn: 2) { Timers(domain, body) }
        return try ProcessHarness(make, keys: [[0]], parallelism: parallelism, clock: clock, room: room, restoring: state)
    }

    private func fired(_ harness: ProcessHarness) -> [[Int64]] { harness.take().map { [$0[0].number!, $0[1].number!] } }

    @Test("they fire in the order of time, then of the keys, once each, up to the watermark")
    func order() throws {
        let harness = try harness()
        try harness.process(batch([(300, 20), (-5, 20), (7, 10), (7, 10), (7, 20), (0, 30), (7, 31)]))
        try harness.process(batch([(7, 10), (1, 25)]))
        try harness.process(batch([(1, 25), (9, 99)], .delete))
        #expect(fired(harness) == [])
        try harness.advance(30)
        #expect(fired(harness) == [[7, 10], [-5, 20], [7, 20], [300, 20], [0, 30]])
        // A time that is over fires with the next move of the watermark.
        try harness.process(batch([(4, 3)]))
        #expect(fired(harness) == [])
        try harness.finish()
        #expect(fired(harness) == [[4, 3], [7, 31]])
    }

    @Test("a deleted timer can be set again, and fires once")
    func again() throws {
        let harness = try harness()
        for _ in 0..<3 {
            try harness.process(batch([(1, 5), (2, 5)]))
            try harness.process(batch([(1, 5)], .delete))
        }
        try harness.process(batch([(1, 5)]))
        try harness.advance(5)
        #expect(fired(harness) == [[1, 5], [2, 5]])
    }

    @Test("a timer set while firing joins the same pass when it is due", arguments: [TimeDomain.eventTime, .processingTime])
    func chained(domain: TimeDomain) throws {
        let harness = try harness(domain, clock: FakeClock(0)) { timestamp, context, _ in
            if timestamp < 50 { try context.setTimer(domain, at: timestamp + 10) }
        }
        try harness.process(batch([(1, 10), (2, 15)]))
        func pass(_ time: Int64) throws { try domain == .eventTime ? harness.advance(time) : harness.wait(time - harness.clock.now) }
        try pass(35)
        #expect(fired(harness) == [[1, 10], [2, 15], [1, 20], [2, 25], [1, 30], [2, 35]])
        try pass(1_000)
        #expect(fired(harness) == [[1, 40], [2, 45], [1, 50], [2, 55]])
    }

    @Test("random timers fire as a sorted set would", arguments: UInt64(0)..<30)
    func randomised(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let harness = try harness()
        var set: Set<[Int64]> = [], watermark: Int64 = 0
        for _ in 0..<40 {
            let rows = (0..<Int.random(in: 0...30, using: &random)).map { _ in
                (Int64.random(in: 0...5, using: &random), watermark + Int64.random(in: -20...60, using: &random))
            }
            let deletes = random.chance(40)
            try harness.process(batch(rows, deletes ? .delete : .insert))
            for (k, at) in rows { if deletes { set.remove([k, at]) } else { set.insert([k, at]) } }
            if random.chance(40) {
                watermark += Int64.random(in: 0...30, using: &random)
                try harness.advance(watermark)
                let due = set.filter { $0[1] <= watermark }.sorted { ($0[1], $0[0]) < ($1[1], $1[0]) }
                #expect(fired(harness) == due, "seed \(seed)")
                set.subtract(due)
            }
        }
    }

    @Test("processing-time timers say when they want to be woken, and fire by the clock")
    func processingTime() throws {
        let clock = FakeClock(0), harness = try harness(.processingTime, clock: clock)
        #expect(harness.subtasks[0].wakeAt == nil)
        try harness.process(batch([(1, 200), (2, 100), (3, 300)]))
        #expect(harness.subtasks[0].wakeAt == 100)
        try harness.process(batch([(2, 100)], .delete))
        #expect(harness.subtasks[0].wakeAt == 200)
        try harness.advance(10_000)
        #expect(fired(harness) == [])
        try harness.wait(250)
        #expect(fired(harness) == [[1, 200]])
        #expect(harness.subtasks[0].wakeAt == 300)
        // At the end of the input the clock is waited for no more.
        try harness.finish()
        #expect(harness.subtasks[0].wakeAt == nil)
        #expect(fired(harness) == [])
    }

    @Test("both kinds of timers move with their keys to other subtasks")
    func rescaled() throws {
        var harness = try harness()
        try harness.process(batch((0..<100).map { ($0, 1_000 + $0) }))
        for parallelism in [2, 4, 1] {
            harness = try self.harness(parallelism: parallelism, restoring: try harness.snapshot()())
            try harness.process(batch((0..<10).map { ($0, 1_000 + $0) }))
        }
        try harness.advance(2_000)
        #expect(fired(harness) == (0..<100).map { [$0, 1_000 + $0] })

        let clock = FakeClock(0), before = try self.harness(.processingTime, clock: clock)
        try before.process(batch((0..<100).map { ($0, 100 + $0) }))
        let after = try self.harness(.processingTime, parallelism: 4, restoring: try before.snapshot()(), clock: clock)
        #expect(after.subtasks.compactMap(\.wakeAt).min() == 100)
        try after.wait(1_000)
        #expect(fired(after).sorted { $0[0] < $1[0] } == (0..<100).map { [$0, 100 + $0] })
    }

    @Test("a long firing pauses when the output has no room, and goes on where it was")
    func backpressure() throws {
        let harness = try harness(room: 1) { timestamp, _, out in
            for i in 0..<999 { try out.emit(Int64(i), timestamp, "more") }
        }
        try harness.process(batch((0..<40).map { (7, $0) }))
        let (subtask, collector) = (harness.subtasks[0], harness.outputs[0])
        var progress = try subtask.advance(to: EventTime(milliseconds: 100), output: collector), pauses = 0
        while progress == .more {
            #expect(collector.batches.count == pauses + 1)
            pauses += 1
            collector.makeRoom()
            progress = try subtask.resume(collector)
        }
        #expect(pauses == 4)
        let rows = harness.take()
        #expect(rows.count == 40_000)
        #expect(rows.filter { $0[2] == .string("event time") }.map { $0[1].number! } == Array(0..<40))
    }

    @Test("rows pause as well, and none is lost or seen twice")
    func rowsPause() throws {
        final class Copies: KeyedProcessFunction {
            func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
                for _ in 0..<1_000 { try out.emit(row: [row.value("k"), row.value("at"), .string("copy")], kind: row.kind) }
            }
        }
        let make = try Operators.keyedProcess(inputSchema: input, keys: [0], outputSchema: output) { Copies() }
        let harness = try ProcessHarness(make, keys: [[0]], room: 1)
        try harness.process(batch((0..<50).map { ($0, $0) }, .updateAfter))
        #expect(harness.outputs[0].changes.count == 50_000)
        #expect(harness.outputs[0].changes.allSatisfy { $0.kind == .updateAfter })
        #expect(harness.take().map { $0[0].number! } == (0..<50).flatMap { Array(repeating: $0, count: 1_000) })
    }

    @Test("the time column gives milliseconds whatever its unit, rounded down; the watermark is known")
    func timestamps() throws {
        final class Times: KeyedProcessFunction {
            func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
                try out.emit(context.watermark.milliseconds, context.timestamp, nil)
            }
        }
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["k"], outputSchema: output, timeColumn: "ts") { Times() }
        let harness = try ProcessHarness(make, keys: [[0]])
        try harness.advance(42)
        try harness.process(Batch(schema: input, rows: [[.int(1), .int(1), .int(1_999)], [.int(1), .int(1), .int(-1)], [.int(1), .int(1), .null]]))
        #expect(harness.take() == [[.int(42), .int(1), .null], [.int(42), .int(-1), .null], [.int(42), .null, .null]])
    }
}

@Suite("Process functions with two inputs") struct CoProcessTests {
    private let orders: Schema = [Field("id", .bigint), Field("amount", .double)]
    private let payments: Schema = [Field("method", .string), Field("order_id", .bigint)]

    /// Joins each order with its payment; an order that is not paid 100 ms after it came is given up.
    private final class Match: KeyedCoProcessFunction {
        private var amount: ValueState<Double>!
        private var method: ValueState<String>!

        func open(_ context: ProcessContext) throws {
            amount = try context.valueState("amount", of: .double)
            method = try context.valueState("method", of: .string)
        }

        func process1(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
            guard let amount = try row.double("amount") else { return }
            if let method = try method.value() { return try out.emit(row.int64("id"), amount, method) }
            try self.amount.update(amount)
            try context.setTimer(.processingTime, at: context.now() + 100)
        }

        func process2(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
            guard let method = try row.string("method") else { return }
            guard let amount = try amount.value() else { return try self.method.update(method) }
            try out.emit(row.int64("order_id"), amount, method)
            try self.amount.clear()
        }

        func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
            guard let amount = try amount.value() else { return }
            try out.emit(context.key().int64("id"), amount, nil, kind: .delete)
        }
    }

    @Test("both sides see the state of their common key", arguments: [1, 3])
    func match(parallelism: Int) throws {
        let make = try Operators.keyedCoProcess(
            KeyedInput(schema: orders, keys: ["id"]), KeyedInput(schema: payments, keys: ["order_id"]),
            outputSchema: [Field("id", .bigint), Field("amount", .double), Field("method", .string)]) { Match() }
        let harness = try ProcessHarness(make, keys: [[0], [1]], parallelism: parallelism)
        try harness.process(Batch(schema: orders, rows: [[.int(1), .double(10)], [.int(2), .double(20)], [.int(3), .double(30)]]), input: 0)
        try harness.process(Batch(schema: payments, rows: [[.string("card"), .int(2)], [.string("cash"), .int(4)]]), input: 1)
        try harness.process(Batch(schema: orders, rows: [[.int(4), .double(40)]]), input: 0)
        try harness.wait(100)
        let changes = harness.outputs.flatMap(\.changes).map { "\($0.kind) \($0.row.map { $0 })" }.sorted()
        #expect(changes == ["+I [StreamCore.Value.int(2), StreamCore.Value.double(20.0), StreamCore.Value.string(\"card\")]",
                            "+I [StreamCore.Value.int(4), StreamCore.Value.double(40.0), StreamCore.Value.string(\"cash\")]",
                            "-D [StreamCore.Value.int(1), StreamCore.Value.double(10.0), StreamCore.Value.null]",
                            "-D [StreamCore.Value.int(3), StreamCore.Value.double(30.0), StreamCore.Value.null]"])
    }
}
