import StreamCore
import StreamState

/// What a process function has while it opens: it declares its state, and may look up columns.
public final class ProcessContext {
    let scope: KeyedScope
    private let layouts: [RowLayout]
    /// Number of this subtask, from 0, and how many there are.
    public let subtask: Int, parallelism: Int

    init(scope: KeyedScope, layouts: [RowLayout], subtask: Int, parallelism: Int) {
        self.scope = scope
        self.layouts = layouts
        self.subtask = subtask
        self.parallelism = parallelism
    }

    /// Columns of the input rows.
    public func schema(input: Int = 0) -> Schema { layouts[input].schema }

    /// The number of a column, for access by number, which costs less than by name.
    /// - Parameter input: 0, or 1 for the second input.
    public func column(_ name: String, input: Int = 0) throws -> Int { try name.position(in: layouts[input]) }

    /// Wall-clock milliseconds since 1970-01-01.
    public func now() -> Int64 { scope.now() }

    // MARK: State

    /// One value per key.
    /// - Parameter name: identifies the state in snapshots; each of a function's states has its own.
    public func valueState<T>(_ name: String, of type: StateType<T>, ttl: StateTTL? = nil) throws -> ValueState<T> {
        ValueState(try scope.declare(name, .value, value: type.layout, ttl: ttl), type)
    }

    /// A list per key that grows without being rewritten.
    public func listState<T>(_ name: String, of type: StateType<T>, ttl: StateTTL? = nil) throws -> ListState<T> {
        ListState(try scope.declare(name, .list, value: type.layout, ttl: ttl), type)
    }

    /// A map per key.
    public func mapState<K, V>(_ name: String, from key: StateType<K>, to value: StateType<V>, ttl: StateTTL? = nil) throws -> MapState<K, V> {
        MapState(try scope.declare(name, .map, key: key.layout, value: value.layout, ttl: ttl), key, value)
    }

    /// One value per key that added values are combined into.
    public func reducingState<T>(_ name: String, of type: StateType<T>, ttl: StateTTL? = nil,
                                 combine: @escaping (T, T) throws -> T) throws -> ReducingState<T> {
        ReducingState(try scope.declare(name, .reducing, value: type.layout, ttl: ttl), type, combine)
    }

    /// An accumulator per key.
    /// - Parameters:
    ///   - type: of the accumulator.
    ///   - merge: makes one accumulator of two.
    public func aggregatingState<Input, Accumulator, Result>(
        _ name: String, of type: StateType<Accumulator>, ttl: StateTTL? = nil, create: @escaping () -> Accumulator,
        add: @escaping (inout Accumulator, Input) throws -> Void, result: @escaping (Accumulator) throws -> Result,
        merge: @escaping (Accumulator, Accumulator) throws -> Accumulator
    ) throws -> AggregatingState<Input, Accumulator, Result> {
        AggregatingState(try scope.declare(name, .aggregating, value: type.layout, ttl: ttl), type, create: create, add: add, result: result, merge: merge)
    }

    // The same for types that say themselves how they are kept.

    public func valueState<T: StateCodable>(_ name: String, of type: T.Type, ttl: StateTTL? = nil) throws -> ValueState<T> {
        try valueState(name, of: StateType<T>.of(type), ttl: ttl)
    }

    public func listState<T: StateCodable>(_ name: String, of type: T.Type, ttl: StateTTL? = nil) throws -> ListState<T> {
        try listState(name, of: StateType<T>.of(type), ttl: ttl)
    }

    public func mapState<K: StateCodable, V: StateCodable>(_ name: String, from key: K.Type, to value: V.Type,
                                                           ttl: StateTTL? = nil) throws -> MapState<K, V> {
        try mapState(name, from: StateType<K>.of(key), to: StateType<V>.of(value), ttl: ttl)
    }

    public func reducingState<T: StateCodable>(_ name: String, of type: T.Type, ttl: StateTTL? = nil,
                                               combine: @escaping (T, T) throws -> T) throws -> ReducingState<T> {
        try reducingState(name, of: StateType<T>.of(type), ttl: ttl, combine: combine)
    }

    public func aggregatingState<Input, Accumulator: StateCodable, Result>(
        _ name: String, of type: Accumulator.Type, ttl: StateTTL? = nil, create: @escaping () -> Accumulator,
        add: @escaping (inout Accumulator, Input) throws -> Void, result: @escaping (Accumulator) throws -> Result,
        merge: @escaping (Accumulator, Accumulator) throws -> Accumulator
    ) throws -> AggregatingState<Input, Accumulator, Result> {
        try aggregatingState(name, of: StateType<Accumulator>.of(type), ttl: ttl, create: create, add: add, result: result, merge: merge)
    }
}

/// What a process function may know and do about the current key. Valid within a callback only.
public final class KeyContext {
    let scope: KeyedScope
    let codec: KeyCodec
    private let keyLayout: RowLayout
    var eventTimers: TimerQueue
    var processingTimers: TimerQueue
    private var decodedKey: Row?

    /// Milliseconds since 1970-01-01: of the row's time column (nil = it is NULL, or there is none), or what the timer was set to.
    public internal(set) var timestamp: Int64?
    /// No more rows earlier than this are expected. `.max` once the input has ended.
    public internal(set) var watermark = EventTime.min

    init(scope: KeyedScope, codec: KeyCodec, keyGroups: Range<Int>) {
        self.scope = scope
        self.codec = codec
        keyLayout = RowLayout(codec.fields)
        eventTimers = TimerQueue(.eventTime, keyGroups: keyGroups)
        processingTimers = TimerQueue(.processingTime, keyGroups: keyGroups)
    }

    /// Wall-clock milliseconds since 1970-01-01.
    public func now() -> Int64 { scope.now() }

    /// The current key: its columns as a row.
    public func key() throws -> Row {
        if let decodedKey { return decodedKey }
        let row = Row(layout: keyLayout, columns: try codec.decode(CollectionOfOne(try currentKey("the key is read").bytes)), row: 0, kind: .insert)
        decodedKey = row
        return row
    }

    /// Calls `onTimer` for this key once the watermark, or the wall clock, has reached a time. A time that is over already fires at
    /// the next move of the watermark, or at once. Setting the same timer again changes nothing.
    ///
    /// When the input ends all event-time timers fire, those set meanwhile too: a function that sets its timer anew each time
    /// must stop once ``watermark`` is `.max`.
    /// - Parameter time: milliseconds since 1970-01-01.
    public func setTimer(_ domain: TimeDomain, at time: Int64) throws {
        let timer = KeyTimer(time: time, key: try currentKey("a timer is set"))
        switch domain {
        case .eventTime: eventTimers.register(timer)
        case .processingTime: processingTimers.register(timer)
        }
    }

    /// Takes a timer of this key back; nothing happens when there is none at that time.
    public func deleteTimer(_ domain: TimeDomain, at time: Int64) throws {
        let timer = KeyTimer(time: time, key: try currentKey("a timer is deleted"))
        switch domain {
        case .eventTime: eventTimers.delete(timer)
        case .processingTime: processingTimers.delete(timer)
        }
    }

    private func currentKey(_ doing: String) throws -> StateKey {
        if let key = scope.key { return key }
        throw StreamError(.validate, "\(doing) outside of a callback for a row or a timer, where there is no current key",
                          fix: "use the context in process or onTimer only")
    }

    /// Makes a key current.
    func enter(_ key: StateKey, timestamp: Int64?) {
        scope.key = key
        self.timestamp = timestamp
        decodedKey = nil
    }

    func leave() {
        scope.key = nil
        timestamp = nil
        decodedKey = nil
    }
}
