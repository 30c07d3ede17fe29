import JobControl
import StreamCore
import StreamRuntime
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif
import Synchronization

/// SIGINT and SIGTERM: the first asks for a clean stop, the second ends the process at once.
enum Signals {
    private static let handler = Mutex<(@Sendable () -> Void)?>(nil)
    private static let isWatching = Atomic<Bool>(false)

    /// Calls `action` on the first signal. Must be called before worker threads start, so that they inherit the mask.
    static func onStop(_ action: @escaping @Sendable () -> Void) {
        handler.withLock { $0 = action }
        guard !isWatching.exchange(true, ordering: .sequentiallyConsistent) else { return }
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGINT)
        sigaddset(&set, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &set, nil)
        let waited = set
        Background.run {
            while true {
                var set = waited, number: Int32 = 0
                guard sigwait(&set, &number) == 0 else { continue }
                // Taking the action out makes the next signal end the process.
                let action = handler.withLock { action in defer { action = nil }; return action }
                if let action { action() } else { _exit(128 + number) }
            }
        }
    }

    /// Keeps signals from this thread and those that it starts, but for those that wait for them.
    static func mask(_ numbers: [Int32]) {
        var set = sigset_t()
        sigemptyset(&set)
        for number in numbers { sigaddset(&set, number) }
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Calls `action` at SIGHUP, each time. It must have been masked.
    static func onHangUp(_ action: @escaping @Sendable () -> Void) {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGHUP)
        let waited = set
        Background.run {
            while true {
                var set = waited, number: Int32 = 0
                if sigwait(&set, &number) == 0 { action() }
            }
        }
    }

    /// Back to the default: a signal ends the process.
    static func forget() { handler.withLock { $0 = nil } }
}

/// Hands a stop request to a job that may not have been made yet.
final class Handover: Sendable {
    private struct State {
        var job: JobRunner?
        var stopped = false
    }
    private let state = Monitor(State())

    var isStopped: Bool { state.withLock { $0.stopped } }

    func set(_ job: JobRunner) {
        let stopped = state.withLock { state in
            state.job = job
            return state.stopped
        }
        if stopped { job.stop() }
    }

    func stop() {
        let job = state.withLock { state in
            state.stopped = true
            return state.job
        }
        state.broadcast()
        job?.stop()
    }

    /// Returns as soon as a stop is asked for.
    func wait() {
        state.wait { state -> Monitor<State>.Decision<Void> in state.stopped ? .take(()) : .wait(nanoseconds: nil) }
    }

    /// Returns after that long, or as soon as a stop is asked for.
    func wait(milliseconds: Int64) {
        let deadline = Clock.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
        state.wait { state -> Monitor<State>.Decision<Void> in
            let now = Clock.monotonicNanoseconds()
            return state.stopped || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
        }
    }
}
