import StreamCore
import StreamState

/// What a user does with rows key by key: with state of the key, and with timers. One instance serves one subtask, on one
/// thread at a time.
///
/// Says when a sensor has been silent for a minute:
///
///     final class SilentSensor: KeyedProcessFunction {
///         private var lastSeen: ValueState<Int64>!
///
///         func open(_ context: ProcessContext) throws {
///             lastSeen = try context.valueState("last seen", of: .time)
///         }
///
///         func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
///             guard let time = context.timestamp else { return }
///             if let before = try lastSeen.value() {
///                 if time <= before { return }
///                 if time < before + 60_000 { try context.deleteTimer(.eventTime, at: before + 60_000) }
///             }
///             try lastSeen.update(time)
///             try context.setTimer(.eventTime, at: time + 60_000)
///         }
///
///         func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
///             try out.emit(context.key().string("sensor"), timestamp)
///         }
///     }
///
/// It becomes a vertex of a job, behind an edge that partitions by the same columns:
///
///     let silent = try Operators.keyedProcess(inputSchema: readings, keys: ["sensor"], outputSchema: alerts, timeColumn: "ts") { SilentSensor() }
///     JobVertex(id: 1, name: "silent sensors", kind: .transform(silent), parallelism: 4, outputSchema: alerts)
///     JobEdge(from: 0, to: 1, partitioning: .hash([0]))
///
/// State and timers are part of every checkpoint. What an instance keeps in its own properties is not, except for handles.
public protocol KeyedProcessFunction: AnyObject {
    /// Declares state; called once, before anything else.
    func open(_ context: ProcessContext) throws
    /// Called for each row, with the state of its key.
    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws
    /// Called when a timer is due, with the state of the key that set it. Timers fire in the order of their times, those of one
    /// time in the order of the keys.
    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws
    func close()
}

extension KeyedProcessFunction {
    public func open(_ context: ProcessContext) throws {}
    public func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {}
    public func close() {}
}

/// As ``KeyedProcessFunction``, for two inputs with keys of the same types: both see the same state and timers.
public protocol KeyedCoProcessFunction: AnyObject {
    func open(_ context: ProcessContext) throws
    func process1(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws
    func process2(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws
    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws
    func close()
}

extension KeyedCoProcessFunction {
    public func open(_ context: ProcessContext) throws {}
    public func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {}
    public func close() {}
}

/// One input of a process function.
public struct KeyedInput: Sendable {
    public var schema: Schema
    /// Columns that are the key; the edge to the operator partitions by them, in this order.
    public var keys: [Int]
    /// Column that gives ``KeyContext/timestamp``; a date or timestamp, or BIGINT milliseconds.
    public var timeColumn: Int?

    public init(schema: Schema, keys: [Int], timeColumn: Int? = nil) {
        self.schema = schema
        self.keys = keys
        self.timeColumn = timeColumn
    }

    /// With columns by name.
    public init(schema: Schema, keys: [String], timeColumn: String? = nil) throws {
        let layout = RowLayout(schema)
        self.init(schema: schema, keys: try keys.map { try $0.position(in: layout) }, timeColumn: try timeColumn?.position(in: layout))
    }

    func check() throws {
        let layout = RowLayout(schema)
        for key in keys { _ = try key.position(in: layout) }
        guard let timeColumn else { return }
        _ = try timeColumn.position(in: layout)
        let field = schema[timeColumn]
        guard field.type == .bigint || field.type == .date || field.type.isTimestamp else {
            throw StreamError(.validate, "time column \"\(field.name)\" is \(field.type)", fix: "name a TIMESTAMP, TIMESTAMP_LTZ, DATE or BIGINT column")
        }
    }
}

extension Operators {
    /// Runs a function row by row with the state of each row's key. Its input must be partitioned by the keys.
    ///
    /// Processing-time timers that are not due yet when the input ends do not fire; event-time timers all do.
    /// - Parameter make: called once per subtask.
    public static func keyedProcess(inputSchema: Schema, keys: [Int], outputSchema: Schema, timeColumn: Int? = nil,
                                    make: @escaping @Sendable () throws -> any KeyedProcessFunction) throws -> Factory {
        let input = KeyedInput(schema: inputSchema, keys: keys, timeColumn: timeColumn)
        try input.check()
        return { KeyedProcessOperator([input], outputSchema: outputSchema, function: .one(try make())) }
    }

    /// As above, with columns by name.
    public static func keyedProcess(inputSchema: Schema, keys: [String], outputSchema: Schema, timeColumn: String? = nil,
                                    make: @escaping @Sendable () throws -> any KeyedProcessFunction) throws -> Factory {
        let input = try KeyedInput(schema: inputSchema, keys: keys, timeColumn: timeColumn)
        return try keyedProcess(inputSchema: inputSchema, keys: input.keys, outputSchema: outputSchema, timeColumn: input.timeColumn, make: make)
    }

    /// Runs a function over two inputs, each partitioned by its keys.
    public static func keyedCoProcess(_ first: KeyedInput, _ second: KeyedInput, outputSchema: Schema,
                                      make: @escaping @Sendable () throws -> any KeyedCoProcessFunction) throws -> Factory {
        try first.check()
        try second.check()
        let (a, b) = (first.keys.map { first.schema[$0].type }, second.keys.map { second.schema[$0].type })
        guard a == b else {
            throw StreamError(.validate, "the inputs have keys of different types: \(a.map { "\($0)" }.joined(separator: ", ")) and \(b.map { "\($0)" }.joined(separator: ", "))",
                              fix: "cast one side's keys to the other's types")
        }
        return { KeyedProcessOperator([first, second], outputSchema: outputSchema, function: .two(try make())) }
    }
}
