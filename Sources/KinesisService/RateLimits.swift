import ShardLog
import StreamCore
import Synchronization

/// What a shard may take and give in a second, counted for each shard: one second's worth can be used at once.
final class RateLimits: Sendable {
    static let bytesPutPerSecond = 1 << 20, recordsPutPerSecond = 1_000
    static let bytesReadPerSecond = 2 << 20, readsPerSecond = 5

    private struct Shard: Hashable {
        var stream: String, shard: Int
    }

    /// What is left, and when that was so.
    private struct Allowance {
        var bytes: Double, calls: Double, at: UInt64

        mutating func refill(bytesPerSecond: Int, callsPerSecond: Int, now: UInt64) {
            let seconds = Double(now - at) / 1e9
            bytes = min(Double(bytesPerSecond), bytes + seconds * Double(bytesPerSecond))
            calls = min(Double(callsPerSecond), calls + seconds * Double(callsPerSecond))
            at = now
        }
    }

    private let puts = Mutex<[Shard: Allowance]>([:])
    private let reads = Mutex<[Shard: Allowance]>([:])

    /// Whether the shard takes a record of that size now; it is counted then.
    func admitsPut(_ stream: String, _ shard: Int, bytes: Int) -> Bool {
        puts.withLock { all in
            let now = Clock.monotonicNanoseconds()
            Self.prune(&all, now)
            var left = all[Shard(stream: stream, shard: shard)]
                ?? Allowance(bytes: Double(Self.bytesPutPerSecond), calls: Double(Self.recordsPutPerSecond), at: now)
            left.refill(bytesPerSecond: Self.bytesPutPerSecond, callsPerSecond: Self.recordsPutPerSecond, now: now)
            // A record larger than a second's worth goes once the shard has rested.
            let isAdmitted = left.calls >= 1 && (left.bytes >= Double(bytes) || left.bytes >= Double(Self.bytesPutPerSecond))
            if isAdmitted {
                left.calls -= 1
                left.bytes -= Double(bytes)
            }
            all[Shard(stream: stream, shard: shard)] = left
            return isAdmitted
        }
    }

    /// Whether a GetRecords call may be answered now; it is counted then. Its bytes are known later: ``read(_:_:bytes:)``.
    func admitsRead(_ stream: String, _ shard: Int) -> Bool {
        reads.withLock { all in
            let now = Clock.monotonicNanoseconds()
            Self.prune(&all, now)
            var left = all[Shard(stream: stream, shard: shard)]
                ?? Allowance(bytes: Double(Self.bytesReadPerSecond), calls: Double(Self.readsPerSecond), at: now)
            left.refill(bytesPerSecond: Self.bytesReadPerSecond, callsPerSecond: Self.readsPerSecond, now: now)
            let isAdmitted = left.calls >= 1 && left.bytes > 0
            if isAdmitted { left.calls -= 1 }
            all[Shard(stream: stream, shard: shard)] = left
            return isAdmitted
        }
    }

    /// An answer of 10 MiB makes the shard wait for 4 more seconds.
    func read(_ stream: String, _ shard: Int, bytes: Int) {
        reads.withLock { $0[Shard(stream: stream, shard: shard)]?.bytes -= Double(bytes) }
    }

    private static func prune(_ all: inout [Shard: Allowance], _ now: UInt64) {
        guard all.count >= 4_096 else { return }
        all = all.filter { now - $0.value.at < 10_000_000_000 }
    }
}
