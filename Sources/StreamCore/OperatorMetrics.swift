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
    public let busyNanoseconds = Atomic<Int64>(0)
    /// Records behind the end of the source's splits; -1 = unknown.
    public let lag = Atomic<Int64>(-1)

    public init() {}
}

extension Atomic where Value == Int64 {
    @inlinable public borrowing func add(_ n: Int) { _ = wrappingAdd(Int64(n), ordering: .relaxed) }
    @inlinable public borrowing func set(_ n: Int64) { store(n, ordering: .relaxed) }
    @inlinable public borrowing func get() -> Int64 { load(ordering: .relaxed) }
}
