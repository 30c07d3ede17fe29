import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a process of the service does beside its work: one thread that wakes every few seconds samples the process's jobs for their
/// histories, and gives memory back that an idle process does not need.
package final class Housekeeping: Sendable {
    package static let shared = Housekeeping()
    /// Seconds between two points of a job's history.
    package static let interval: Int64 = 5

    private struct State {
        var hasBegun = false
        var jobs: [WeakJob] = []
    }
    private struct WeakJob { weak var job: RunningJob? }
    private let state = Mutex(State())

    /// For the life of the process. Signals must have been masked that other threads wait for.
    package func begin() {
        let isFirst = state.withLock { state in
            defer { state.hasBegun = true }
            return !state.hasBegun
        }
        guard isFirst else { return }
        Background.run { [self] in
            var memory = MemoryKeeper(at: Self.seconds, processor: ProcessMemory.processorSeconds())
            while true {
                sleep(UInt32(Self.interval))
                sample()
                let held = ProcessMemory.now()?.ofFiles ?? 0
                if memory.isTime(now: Self.seconds, processor: ProcessMemory.processorSeconds(), ofFiles: held) { ProcessMemory.giveBack() }
            }
        }
    }

    /// Keeps a history of the job until it has gone. Called by a process whose signals are masked.
    func follow(_ job: RunningJob) {
        begin()
        state.withLock { state in
            state.jobs.removeAll { $0.job == nil }
            state.jobs.append(WeakJob(job: job))
        }
    }

    private func sample() {
        let jobs = state.withLock { $0.jobs.compactMap(\.job) }
        for job in jobs { job.sample() }
    }

    private static var seconds: Double { Double(Clock.monotonicNanoseconds()) / 1e9 }
}
