import CProcess
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a job's process may take of the machine.
package enum ProcessLimits {
    /// Whether a control group's folder has been handed over to those who run in it.
    package static func isDelegated(_ directory: String) -> Bool { process_group_is_delegated(directory) != 0 }

    /// Memory that the process writes to; allocations beyond it fail, which ends the process, and the job goes on from its newest
    /// checkpoint in another one.
    package static func limitMemory(_ bytes: Int) throws {
        var limit = rlimit(rlim_cur: rlim_t(bytes), rlim_max: rlim_t(bytes))
        #if canImport(Glibc)
        guard setrlimit(__rlimit_resource_t(RLIMIT_DATA.rawValue), &limit) == 0 else { throw Host.failure("limit the memory of the process to \(bytes) bytes", "RLIMIT_DATA") }
        #else
        guard setrlimit(RLIMIT_DATA, &limit) == 0 else { throw Host.failure("limit the memory of the process to \(bytes) bytes", "RLIMIT_DATA") }
        #endif
    }

    /// 100 is the usual share, less gives way to others. More than 100 needs rights that the process may not have: then it stays at 100.
    package static func weighProcessor(_ weight: Int) {
        // The scheduler gives each step of niceness a factor of 1.25.
        var steps = 0, share = 100.0
        while steps < 19, share > Double(weight) * 1.118 { (steps, share) = (steps + 1, share / 1.25) }
        while steps > -20, share * 1.118 < Double(weight) { (steps, share) = (steps - 1, share * 1.25) }
        if steps != 0 { _ = nice(Int32(steps)) }
    }
}
