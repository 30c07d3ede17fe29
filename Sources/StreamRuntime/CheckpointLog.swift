import StreamCore
import StreamState
import Synchronization

/// What monitoring shows of a job's checkpoints, through all attempts. Any thread.
final class CheckpointLog: Sendable {
    private struct State {
        var checkpoints = JobReport.Checkpoints()
        /// When those that are not committed yet began, in nanoseconds of the job's clock.
        var began: [UInt64: UInt64] = [:]
        var durations = DurationHistogram(), commits = DurationHistogram()

        mutating func end(_ number: UInt64, _ change: (inout JobReport.Checkpoint) -> Void) {
            guard let i = checkpoints.history.lastIndex(where: { $0.id == number && $0.status == .inProgress }) else { return }
            change(&checkpoints.history[i])
            checkpoints.inProgress -= 1
            if checkpoints.history[i].status == .completed { checkpoints.completed += 1 } else { checkpoints.failed += 1 }
        }
    }

    private static let kept = 64
    private let clock: @Sendable () -> UInt64
    private let state = Mutex(State())

    /// - Parameter clock: monotonic nanoseconds.
    init(clock: @escaping @Sendable () -> UInt64) { self.clock = clock }

    func started(_ number: UInt64, isSavepoint: Bool, at time: Int64, ticks: UInt64) {
        state.withLock { state in
            state.began[number] = ticks
            // Those without anything to commit stay otherwise.
            if state.began.count > Self.kept, let oldest = state.began.keys.min() { state.began[oldest] = nil }
            state.checkpoints.inProgress += 1
            state.checkpoints.history.append(.init(id: number, status: .inProgress, isSavepoint: isSavepoint, triggeredAt: time))
            let surplus = state.checkpoints.history.count - Self.kept
            if surplus > 0, let oldest = state.checkpoints.history.firstIndex(where: { $0.status != .inProgress }) { state.checkpoints.history.remove(at: oldest) }
        }
    }

    func completed(_ checkpoint: Checkpoint, ticks: UInt64) {
        let number = checkpoint.manifest.checkpoint
        state.withLock { state in
            let length = state.began[number].map { ticks &- $0 }
            state.end(number) { entry in
                entry.status = .completed
                entry.duration = length.map { Int64(clamping: $0 / 1_000_000) }
                entry.bytes = Int64(checkpoint.manifest.stateBytes)
                entry.path = checkpoint.directory
            }
            if let length { state.durations.record(nanoseconds: length, now: ticks) }
            if checkpoint.manifest.kind == .savepoint { state.began[number] = nil }
        }
    }

    /// What the sinks had prepared for it is visible.
    func committed(_ number: UInt64) {
        let ticks = clock()
        state.withLock { state in
            if let began = state.began[number] { state.commits.record(nanoseconds: ticks &- began, now: ticks) }
            // Commits go in order.
            state.began = state.began.filter { $0.key > number }
        }
    }

    func failed(_ number: UInt64, _ reason: String, ticks: UInt64) {
        state.withLock { Self.fail(number, reason, ticks, &$0) }
    }

    private static func fail(_ number: UInt64, _ reason: String, _ ticks: UInt64, _ state: inout State) {
        let began = state.began.removeValue(forKey: number)
        state.end(number) { entry in
            entry.status = .failed
            entry.failure = reason
            entry.duration = began.map { Int64(clamping: (ticks &- $0) / 1_000_000) }
        }
    }

    func restored(_ number: UInt64, at time: Int64) {
        state.withLock { state in
            state.checkpoints.restored += 1
            (state.checkpoints.restoredID, state.checkpoints.restoredAt) = (number, time)
        }
    }

    /// Those that are under way never complete.
    func attemptEnded(_ reason: String) {
        let ticks = clock()
        state.withLock { state in
            for entry in state.checkpoints.history where entry.status == .inProgress { Self.fail(entry.id, reason, ticks, &state) }
            state.began = [:]
        }
    }

    func add(to report: inout JobReport) {
        let (checkpoints, durations, commits) = state.withLock { ($0.checkpoints, $0.durations, $0.commits) }
        report.checkpoints = checkpoints
        report.histograms += [durations.report("checkpointDuration", [:]), commits.report("commitDuration", [:])].compactMap { $0 }
    }
}
