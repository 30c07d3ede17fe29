import Synchronization

/// Monotonic nanoseconds that move only when told to.
public final class SimulatedClock: Sendable {
    private let time = Atomic<UInt64>(1_000_000_000)

    public init() {}

    public var now: UInt64 { time.load(ordering: .sequentiallyConsistent) }
    public func advance(by duration: Duration) { time.wrappingAdd(UInt64(duration / .nanoseconds(1)), ordering: .sequentiallyConsistent) }
    func advance(to instant: UInt64) { if instant > now { time.store(instant, ordering: .sequentiallyConsistent) } }
}
