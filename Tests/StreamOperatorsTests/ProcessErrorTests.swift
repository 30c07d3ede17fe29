import StreamCore
import StreamOperators
import StreamState
import Testing

private let input: Schema = [Field("sensor", .string), Field("celsius", .double), Field("n", .int)]

/// A function whose parts are closures.
private final class Scripted: KeyedProcessFunction {
    private let opening: (ProcessContext) throws -> Void
    private let row: (Row, KeyContext, RowCollector) throws -> Void

    init(open: @escaping (ProcessContext) throws -> Void = { _ in }, _ row: @escaping (Row, KeyContext, RowCollector) throws -> Void = { _, _, _ in }) {
        (opening, self.row) = (open, row)
    }
    func open(_ context: ProcessContext) throws { try opening(context) }
    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws { try self.row(row, context, out) }
}

@Suite("Errors of process functions") struct ProcessErrorTests {
    /// Opens a function, and gives it one row.
    @discardableResult
    private func run(inStore: Bool = false, restoring state: RestoredState = RestoredState(), open: @escaping @Sendable (ProcessContext) throws -> Void = { _ in },
                     _ row: @escaping @Sendable (Row, KeyContext, RowCollector) throws -> Void = { _, _, _ in }) throws -> ProcessHarness {
        let make = try Operators.keyedProcess(inputSchema: input, keys: ["sensor"], outputSchema: [Field("x", .tinyint, nullable: false), Field("y", .array(.double))]) {
            Scripted(open: open, row)
        }
        let harness = try ProcessHarness(make, keys: [[0]], inStore: inStore, restoring: state)
        try harness.process(Batch(schema: input, rows: [[.string("s"), .double(20), .int(1)]]))
        return harness
    }

    @discardableResult
    private func give(_ row: @escaping @Sendable (Row, KeyContext, RowCollector) throws -> Void) throws -> ProcessHarness { try run(open: { _ in }, row) }

    private func message(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "no error"
        } catch { return "\(error)" }
    }

    @Test("state outside of a callback")
    func noKey() {
        #expect(message { try run(open: { _ = try $0.valueState("last", of: .double).value() }) }
            == "state \"last\" is used outside of a callback for a row or a timer, where there is no current key. Fix: use it in process or onTimer only.")
        #expect(message {
            nonisolated(unsafe) var kept: ListState<Int64>?
            try run(open: { kept = try $0.listState("seen", of: .int64) })
            try kept!.add(1)
        }.hasPrefix("state \"seen\" is used outside of a callback"))
        #expect(message {
            nonisolated(unsafe) var kept: KeyContext?
            try give { _, context, _ in kept = context }
            try kept!.setTimer(.eventTime, at: 5)
        }.hasPrefix("a timer is set outside of a callback"))
    }

    @Test("names and times of state")
    func declarations() {
        #expect(message {
            try run(open: {
                _ = try $0.valueState("last", of: .double)
                _ = try $0.mapState("last", from: .string, to: .int64)
            })
        } == "state \"last\" is declared twice, first as value<Double>. Fix: give each state a name of its own.")
        #expect(message {
            nonisolated(unsafe) var kept: ProcessContext?
            try run(open: { kept = $0 }, { _, _, _ in _ = try kept!.valueState("late", of: .bool) })
        } == "state \"late\" is declared after open. Fix: declare all state in open(_:) and keep the handles.")
        #expect(message { try run(open: { _ = try $0.valueState("timers", of: .bool) }) }.contains("the name under which snapshots hold timers"))
        #expect(message { try run(open: { _ = try $0.valueState("last", of: .bool, ttl: StateTTL(.zero)) }) }.contains("is to be kept for 0.0 seconds"))
    }

    @Test("columns")
    func columns() {
        #expect(message { try give { row, _, _ in _ = try row.double("celcius") } } == "there is no column \"celcius\". Fix: write \"celsius\".")
        #expect(message { try run(open: { _ = try $0.column("zone") }) } == "there is no column \"zone\". Fix: use one of celsius, n, sensor.")
        #expect(message { try give { row, _, _ in _ = try row.double(3) } }
            == "there is no column 3: the rows have 3 columns. Fix: columns count from 0; 0 is sensor, 1 is celsius, 2 is n.")
        #expect(message { try give { row, _, _ in _ = try row.int64("celsius") } } == "column celsius is DOUBLE, not an integer. Fix: read it with double(...).")
        #expect(message { _ = try Operators.keyedProcess(inputSchema: input, keys: ["sensr"], outputSchema: []) { Scripted() } }
            == "there is no column \"sensr\". Fix: write \"sensor\".")
        #expect(message { _ = try Operators.keyedProcess(inputSchema: input, keys: [0], outputSchema: [], timeColumn: 1) { Scripted() } }
            == "time column \"celsius\" is DOUBLE. Fix: name a TIMESTAMP, TIMESTAMP_LTZ, DATE or BIGINT column.")
    }

    @Test("emitted rows")
    func emitted() throws {
        #expect(message { try give { _, _, out in try out.emit(1) } }
            == "a row of 1 values is emitted, but there are 2 output columns: x, y. Fix: emit one value per output column, nil for NULL.")
        #expect(message { try give { _, _, out in try out.emit(200, nil) } }.contains("is emitted for column \"x\", which is TINYINT NOT NULL"))
        #expect(message { try give { _, _, out in try out.emit(nil, nil) } }.contains("is emitted for column \"x\""))
        #expect(message { try give { _, _, out in try out.emit(1, Value.array([.int(1)])) } }.contains("is emitted for column \"y\", which is ARRAY<DOUBLE>"))
        #expect(try give { _, _, out in try out.emit(1, Value.array([.double(1), .null])) }.take() == [[.int(1), .array([.double(1), .null])]])
    }

    @Test("rows that came to the wrong subtask")
    func partitioning() throws {
        let make = try Operators.keyedProcess(inputSchema: input, keys: [0], outputSchema: []) { Scripted() }
        let subtask = try make()
        try subtask.open(OperatorContext(name: "alerts", subtask: 1, parallelism: 128))
        #expect(message {
            for name in ["a", "b"] { _ = try subtask.process(Batch(schema: input, rows: [[.string(name), .null, .null]]), input: 0, output: Collector()) }
        }.hasSuffix("came to subtask 1, which has groups 1..<2. Fix: partition the edge to it by hash of columns [0]."))
    }

    @Test("keys of two inputs that differ")
    func keyTypes() {
        final class Nothing: KeyedCoProcessFunction {
            func process1(_ row: Row, _ context: KeyContext, _ out: RowCollector) {}
            func process2(_ row: Row, _ context: KeyContext, _ out: RowCollector) {}
        }
        #expect(message { _ = try Operators.keyedCoProcess(KeyedInput(schema: input, keys: [0]), KeyedInput(schema: input, keys: [2]), outputSchema: []) { Nothing() } }
            == "the inputs have keys of different types: STRING and INT. Fix: cast one side's keys to the other's types.")
    }

    @Test("snapshots of other state", arguments: [false, true])
    func restored(inStore: Bool) throws {
        nonisolated(unsafe) var kept: ValueState<Double>!
        let first = try run(inStore: inStore, open: { kept = try $0.valueState("last", of: .double) }, { row, _, _ in try kept.update(row.double("celsius")!) })
        let state = try first.snapshot()()
        #expect(message { try run(inStore: inStore, restoring: state, open: { _ = try $0.valueState("last", of: .string) }) }
            == "state \"last\" is declared as value<String>, but the snapshot holds value<Double>. Fix: declare it with the type it had, or give the new state another name.")
        #expect(message { try run(inStore: inStore, restoring: state, open: { _ = try $0.valueState("last", of: .double, ttl: StateTTL(.seconds(1))) }) }
            .hasPrefix("state \"last\" is declared as value<Double>, expiring, but the snapshot holds value<Double>."))
        #expect(message { try run(inStore: inStore, restoring: state, open: { _ = try $0.valueState("lost", of: .double) }) }
            == "the snapshot holds state \"last\" (value<Double>), which the function does not declare. Fix: rename \"lost\" to \"last\", or declare both in open.")
        nonisolated(unsafe) var restored: Double?
        try run(inStore: inStore, restoring: state, open: {
            kept = try $0.valueState("last", of: .double)
            _ = try $0.valueState("new", of: .double)
        }, { _, _, _ in restored = try kept.value() })
        #expect(restored == 20)
        if inStore {
            #expect(message { try run(restoring: state, open: { kept = try $0.valueState("last", of: .double) }) }
                .contains("Fix: set state.backend.type as it was when the snapshot was taken."))
        }
    }
}
