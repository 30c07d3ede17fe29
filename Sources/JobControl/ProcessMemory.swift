import CProcess
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Memory of this process, and what of it can be done without while there is nothing to do.
package struct ProcessMemory: Sendable {
    /// Bytes in memory.
    package var resident: Int
    /// Those of files: code and constants of the program and its libraries, most of which other processes share.
    package var ofFiles: Int
    /// Those that are this process's alone.
    package var anonymous: Int { resident - ofFiles }

    /// nil where the system does not tell.
    package static func now() -> ProcessMemory? {
        guard let text = try? Host.read("/proc/self/statm", offset: 0, count: 256) else { return nil }
        let pages = String(decoding: text, as: UTF8.self).split(separator: " ").compactMap { Int($0) }
        guard pages.count > 2 else { return nil }
        let size = Int(sysconf(Int32(_SC_PAGESIZE)))
        return ProcessMemory(resident: pages[1] * size, ofFiles: pages[2] * size)
    }

    /// Gives back what is not needed. Costs some hundred page faults of those who go on.
    package static func giveBack() {
        // The allocator holds its locks while it looks through a heap: not through the state of a large job.
        if let now = now(), now.anonymous < 256 << 20 { process_give_back_heap() }
        process_give_back_code()
    }

    /// Seconds of the processor that this process has used.
    static func processorSeconds() -> Double {
        var usage = rusage()
        #if canImport(Glibc)
        guard getrusage(RUSAGE_SELF.rawValue, &usage) == 0 else { return 0 }
        #else
        guard getrusage(RUSAGE_SELF, &usage) == 0 else { return 0 }
        #endif
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}

/// When a process gives memory back: after its start, and whenever it has been idle for a minute and holds more than it needs for that.
package struct MemoryKeeper: Sendable {
    /// Bytes of files that an idle process may keep: what it does from time to time needs less.
    package static let idleBytes = 16 << 20
    /// A share of one core; with more the process is not idle.
    package static let idleShare = 0.02
    /// When it looks for the first times: the start is over, and what comes right after it.
    package static let firstLooks = [5.0, 15.0, 40.0]
    package static let interval = 60.0

    private var looks = 0
    private var due: Double
    private var last: (at: Double, processor: Double)

    package init(at now: Double, processor: Double) {
        due = now + Self.firstLooks[0]
        last = (now, processor)
    }

    /// Whether to give back now.
    /// - Parameters:
    ///   - now: monotonic seconds.
    ///   - processor: seconds used so far.
    ///   - ofFiles: bytes held now.
    package mutating func isTime(now: Double, processor: Double, ofFiles: Int) -> Bool {
        guard now >= due else { return false }
        looks += 1
        due = now + (looks < Self.firstLooks.count ? Self.firstLooks[looks] - Self.firstLooks[looks - 1] : Self.interval)
        let share = (processor - last.processor) / max(now - last.at, 0.001)
        last = (now, processor)
        // The start is work of its own kind.
        return looks <= Self.firstLooks.count || share < Self.idleShare && ofFiles > Self.idleBytes
    }
}
