import Synchronization

/// Counters of one subtask of one operator. Its thread adds, any thread reads; each counter is exact, a set of them is not
/// taken at one instant.
public final class OperatorMetrics: Sendable {
    public let rowsIn = Atomic<Int64>(0)
    public let rowsOut = Atomic<Int64>(0)
    public let bytesIn = Atomic<Int64>(0)
    public let bytesOut = Atomic<Int64>(0)
    /// Rows dropped because every window they belong to had fired.
    public let lateRows = Atomic<Int64>(0)
    /// Records that could not be decoded and were skipped or kept aside.
    public let badRecords = Atomic<Int64>(0)
    public let watermark = Atomic<Int64>(.min)
    /// Event time behind the operator.
    public let outputWatermark = Atomic<Int64>(.min)
    /// Time in the operator's own code.
    public let busyNanoseconds = Atomic<Int64>(0)
    /// Records behind the end of the source's splits; -1 = unknown.
    public let lag = Atomic<Int64>(-1)

    public init() {}

    private struct Named: Sendable {
        var gauges: [String: Int64] = [:]
        var readers: [@Sendable () -> [String: Int64]] = []
        var warnings: [String] = []
        var listener: (@Sendable (String) -> Void)?
    }
    private let named = Mutex(Named())

    /// What a connector measures beside the above, by names such as `lag.orders-0`. Not for every batch.
    public var gauges: [String: Int64] {
        let (gauges, readers) = named.withLock { ($0.gauges, $0.readers) }
        return readers.reduce(into: gauges) { all, read in all.merge(read()) { $1 } }
    }
    /// More of them, which are read when somebody wants to know, from any thread.
    public func addGauges(_ read: @escaping @Sendable () -> [String: Int64]) { named.withLock { $0.readers.append(read) } }
    /// nil removes it.
    public func setGauge(_ name: String, _ value: Int64?) { named.withLock { $0.gauges[name] = value } }
    public func addToGauge(_ name: String, _ n: Int64) { named.withLock { $0.gauges[name, default: 0] += n } }

    /// Tells the user of something that the job survives. The caller sees to it that the same is not told all the time.
    public func warn(_ text: String) {
        let listener = named.withLock { named in
            // Without anyone who listens, the first ones are kept.
            if named.listener == nil, named.warnings.count < 100 { named.warnings.append(text) }
            return named.listener
        }
        listener?(text)
    }

    /// Whom warnings go to, those that came before it included.
    public func onWarning(_ action: @escaping @Sendable (String) -> Void) {
        let missed = named.withLock { named in
            named.listener = action
            defer { named.warnings = [] }
            return named.warnings
        }
        for text in missed { action(text) }
    }
}

extension Atomic where Value == Int64 {
    @inlinable public borrowing func add(_ n: Int) { _ = wrappingAdd(Int64(n), ordering: .relaxed) }
    @inlinable public borrowing func set(_ n: Int64) { store(n, ordering: .relaxed) }
    @inlinable public borrowing func get() -> Int64 { load(ordering: .relaxed) }
}
