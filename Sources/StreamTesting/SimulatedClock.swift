import Synchronization

/// Monotonic nanoseconds that move only when told to.
public final class SimulatedClock: Sendable {
    private let time = Atomic<UInt64>(1_000_000_000)

    /// What wall clocks of simulated machines show when the clock stands at 0: 2024-01-01T00:00:00Z.
    public static let epochMilliseconds: Int64 = 1_704_067_200_000

    public init() {}

    public var now: UInt64 { time.load(ordering: .sequentiallyConsistent) }
    public func advance(by duration: Duration) { time.wrappingAdd(UInt64(duration / .nanoseconds(1)), ordering: .sequentiallyConsistent) }
    public func advance(to instant: UInt64) { if instant > now { time.store(instant, ordering: .sequentiallyConsistent) } }
}
