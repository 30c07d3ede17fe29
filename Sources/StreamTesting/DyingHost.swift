import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// This machine's disk up to a chosen call that changes it: from that one on every call fails, as after the death of the process.
/// Time stands still unless it is set, and chance comes from a seed.
public final class DyingHost: Sendable {
    private let counter = Atomic<Int>(0)
    private let lastCall: Int
    private let clock: Atomic<Int64>
    private let random: Mutex<UInt64>

    /// - Parameter calls: calls that succeed; of a write that comes next, half the bytes arrive.
    public init(calls: Int = .max, seed: UInt64 = 1, now: Int64 = 1_700_000_000_000) {
        lastCall = calls
        clock = Atomic(now)
        random = Mutex(seed)
    }

    /// Calls that were made so far.
    public var calls: Int { counter.load(ordering: .relaxed) }
    public var isDead: Bool { calls > lastCall }
    public func advance(milliseconds: Int64) { clock.add(milliseconds, ordering: .relaxed) }

    private func lives() -> Bool { counter.wrappingAdd(1, ordering: .relaxed).newValue <= lastCall }

    private func call(_ body: () -> Int32) -> Int32 {
        if lives() { return body() }
        errno = EIO
        return -1
    }

    public var host: Host {
        let system = Host.system
        var host = system
        host.open = { path, flags, mode in
            flags & (O_CREAT | O_TRUNC) == 0 ? system.open(path, flags, mode) : self.call { system.open(path, flags, mode) }
        }
        host.write = { fd, bytes, count, offset in
            if self.lives() { return system.write(fd, bytes, count, offset) }
            if self.calls == self.lastCall + 1 { _ = system.write(fd, bytes, count / 2, offset) }
            errno = EIO
            return -1
        }
        // The power stays on: what was written is there for the next process, flushed or not.
        host.sync = { _ in self.call { 0 } }
        host.truncate = { fd, size in self.call { system.truncate(fd, size) } }
        host.rename = { from, to in self.call { system.rename(from, to) } }
        host.link = { from, to in self.call { system.link(from, to) } }
        host.unlink = { path in self.call { system.unlink(path) } }
        host.mkdir = { path, mode in self.call { system.mkdir(path, mode) } }
        host.rmdir = { path in self.call { system.rmdir(path) } }
        host.now = { self.clock.load(ordering: .relaxed) }
        host.randomBits = { self.random.withLock { Self.next(&$0) } }
        return host
    }

    /// SplitMix64.
    private static func next(_ state: inout UInt64) -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
