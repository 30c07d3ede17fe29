import StreamCore
import StreamState
import Synchronization

/// Where a job keeps its checkpoints and what it starts from.
public struct RecoveryOptions: Sendable {
    /// Directory of this job's checkpoints.
    public var directory: String
    /// Tells this job from all others, for as long as its checkpoints are used.
    public var jobID: String
    /// Checkpoints kept [execution.checkpointing.num-retained].
    public var retained = 3
    /// Start from this checkpoint or savepoint instead of the newest in `directory`.
    public var startFrom: String?
    /// State of operators that the job no longer has is left behind instead of refusing to start.
    public var allowsNonRestoredState = false
    /// Forget the checkpoints there are.
    public var startsAnew = false
    /// Keep the last checkpoint of a job whose input has ended.
    public var keepsFinished = false
    public var restart = RestartStrategy.none

    public init(directory: String, jobID: String) {
        self.directory = directory
        self.jobID = jobID
    }
}

/// Runs a job through failures: from its newest checkpoint at the start, and again after each failure that the restart
/// strategy forgives.
///
///     let runner = try JobRunner(graph, options: options, recovery: recovery)
///     runner.onEvent { event in ... }
///     let end = try runner.run()       // on the calling thread
///
/// `savepoint`, `stop`, `cancel` and `status` may be called from any thread while it runs.
public final class JobRunner: Sendable {
    /// What a user may want to read in a log.
    public enum Event: Sendable {
        /// The checkpoint that the job goes on from; nil = from the beginning.
        case started(attempt: Int, from: CheckpointManifest?)
        /// A damaged checkpoint was passed over.
        case passedOver(StreamError)
        case checkpointCompleted(CheckpointManifest, bytes: Int)
        case checkpointFailed(UInt64, String)
        /// The job failed, and is started again after `delay`.
        case restarting(attempt: Int, delay: Duration, any Error)
        /// Something that the job survives, such as a broker that is away.
        case warning(operator: String, String)
    }

    public let graph: JobGraph
    private let options: JobOptions
    private let recovery: RecoveryOptions?
    private let storage: CheckpointStorage?
    private let listener: Mutex<(@Sendable (Event) -> Void)?> = Mutex(nil)
    private let control = Monitor(Control())
    private let log: CheckpointLog

    private struct Control: Sendable {
        var execution: JobExecution?
        /// Asked for before or between attempts.
        var isStopped = false, drains = false, isCancelled = false
        var status: [VertexStatus] = []
        /// Of the attempt that runs, or of the last one.
        var monitoring: JobMonitoring?
        var state = JobReport.State.initializing
        var attempt = 1
        var startedAt: Int64 = 0
        var endedAt: Int64?
        var failures: [JobReport.Failure] = []
        var isOver = false
        /// Checkpoints up to this number are of earlier runs, which do not count when the user names a start.
        var oldest: UInt64 = 0
    }

    /// - Parameter recovery: nil = no checkpoints; a failure ends the job.
    /// - Throws: `.conflict` when another process runs the job; `.io` when its directory cannot be used.
    public init(_ graph: JobGraph, options: JobOptions = .init(), recovery: RecoveryOptions? = nil) throws {
        self.graph = graph
        self.options = options
        self.recovery = recovery
        log = CheckpointLog(clock: options.clock)
        storage = try recovery.map { try CheckpointStorage(directory: $0.directory, host: options.host, retained: max($0.retained, 1)) }
    }

    /// Must be called before `run`. Called back from any of the job's threads.
    public func onEvent(_ action: @escaping @Sendable (Event) -> Void) { listener.withLock { $0 = action } }
    private func tell(_ event: Event) { listener.withLock { $0 }?(event) }

    /// - Throws: the last failure, when the restart strategy gives up; an error about the checkpoint when it cannot be used.
    @discardableResult
    public func run() throws -> JobExecution.End {
        control.withLock { $0.startedAt = options.host.now() }
        let end = Result { try runThroughFailures() }
        log.attemptEnded("the job ended before it was complete")
        control.withLock { control in
            control.isOver = true
            control.endedAt = options.host.now()
            control.state = switch end {
            case .success(.cancelled): .canceled
            case .success: .finished
            case .failure: .failed
            }
        }
        control.broadcast()
        return try end.get()
    }

    private func runThroughFailures() throws -> JobExecution.End {
        if let recovery, recovery.startsAnew { try storage?.removeAll() }
        var schedule = RestartSchedule(recovery?.restart ?? .none)
        var attempt = 0
        if recovery?.startFrom != nil { try control.withLock { $0.oldest = try storage?.lastNumber() ?? 0 } }
        while true {
            attempt += 1
            control.withLock { $0.attempt = attempt }
            do {
                let end = try runOnce(attempt)
                if end == .finished, let recovery, !recovery.keepsFinished { try storage?.removeAll() }
                return end
            } catch {
                note(error, attempt)
                // Nobody wants it to go on, and what was read was not committed: that is no clean stop.
                if control.withLock({ $0.isStopped }) { throw error }
                guard Self.mayPass(error), let delay = schedule.delay(after: options.clock(), random: options.host.randomBits) else { throw error }
                control.withLock { $0.state = .restarting }
                tell(.restarting(attempt: attempt + 1, delay: delay, error))
                switch pause(delay) {
                case .none: continue
                case .some(let end): return end
                }
            }
        }
    }

    private func note(_ error: any Error, _ attempt: Int) {
        log.attemptEnded("attempt \(attempt) of the job failed before it was complete")
        let known = error as? StreamError
        let failure = JobReport.Failure(at: options.host.now(), attempt: attempt, kind: (known?.code ?? .runtime).description, message: known?.description ?? "\(error)")
        control.withLock { $0.failures = $0.failures.suffix(JobReport.failuresKept - 1) + [failure] }
    }

    /// What monitoring shows; may be called from any thread at any time, also between attempts and after the end.
    public func report() -> JobReport {
        var report = JobReport(name: graph.name, id: recovery?.jobID ?? "")
        let monitoring = control.withLock { control in
            (report.state, report.attempt, report.failures) = (control.state, control.attempt, control.failures)
            (report.startedAt, report.endedAt) = (control.startedAt, control.endedAt)
            return control.monitoring
        }
        report.takenAt = options.host.now()
        report.vertices = monitoring?.vertices() ?? JobMonitoring.vertices(of: graph)
        report.edges = JobMonitoring.edges(of: graph)
        report.histograms = monitoring?.latencyHistograms() ?? []
        log.add(to: &report)
        return report
    }

    /// Whether trying again may help.
    private static func mayPass(_ error: any Error) -> Bool {
        guard let error = error as? StreamError else { return true }
        return ![.parse, .validate, .plan, .conflict, .corrupt].contains(error.code)
    }

    private func runOnce(_ attempt: Int) throws -> JobExecution.End {
        var jobRecovery: JobRecovery?
        if let recovery, let storage {
            var newest: Checkpoint?
            var passedOver = 0
            if let path = recovery.startFrom {
                // What the user names counts until this run has a checkpoint of its own; whatever earlier runs left does not.
                do { newest = try storage.newest { _ in } } catch let error as StreamError { tell(.passedOver(error)) }
                if newest?.manifest.checkpoint ?? 0 <= control.withLock({ $0.oldest }) { newest = try CheckpointStorage.open(path) }
            } else {
                newest = try storage.newest {
                    passedOver += 1
                    tell(.passedOver($0))
                }
            }
            let isOwn = passedOver == 0 && recovery.startFrom == nil
            jobRecovery = JobRecovery(jobID: recovery.jobID, storage: storage, restored: newest, allowsNonRestoredState: recovery.allowsNonRestoredState)
            jobRecovery!.checkpointsAtOnce = !isOwn
            jobRecovery!.log = log
            if let newest { log.restored(newest.manifest.checkpoint, at: options.host.now()) }
        }
        let execution = try JobExecution(graph, options: options, recovery: jobRecovery)
        execution.onCheckpoint { [self] number, outcome in
            switch outcome {
            case .success(let checkpoint): tell(.checkpointCompleted(checkpoint.manifest, bytes: checkpoint.manifest.stateBytes))
            case .failure(let error): tell(.checkpointFailed(number, error.description))
            }
        }
        // The runner keeps the counters of its last attempt, and these whom they warn.
        execution.onWarning { [weak self] in self?.tell(.warning(operator: $0, $1)) }
        tell(.started(attempt: attempt, from: jobRecovery?.restored?.manifest))
        let (isStopped, drains, isCancelled) = control.withLock { control in
            control.execution = execution
            control.monitoring = execution.monitoring
            control.state = .running
            return (control.isStopped, control.drains, control.isCancelled)
        }
        control.broadcast()
        if isCancelled { execution.cancel() } else if isStopped { execution.stop(drain: drains) }
        defer {
            control.withLock { control in
                control.status = execution.status()
                control.execution = nil
            }
        }
        return try execution.run()
    }

    /// Waits before a restart, unless the job is stopped meanwhile.
    private func pause(_ delay: Duration) -> JobExecution.End? {
        let until = Clock.monotonicNanoseconds() &+ delay.nanoseconds
        return control.wait { control -> Monitor<Control>.Decision<JobExecution.End?> in
            if control.isCancelled { return .take(.cancelled) }
            if control.isStopped { return .take(.stopped) }
            let time = Clock.monotonicNanoseconds()
            return time >= until ? .take(nil) : .wait(nanoseconds: until - time)
        }
    }

    /// The attempt that runs now; waits for the next one between two.
    private func current() throws -> JobExecution {
        try control.wait { control -> Monitor<Control>.Decision<JobExecution?> in
            if let execution = control.execution { return .take(execution) }
            return control.isOver ? .take(nil) : .wait(nanoseconds: nil)
        } ?? { throw StreamError(.runtime, "the job \(graph.name) has ended") }()
    }

    /// Takes a savepoint in a new directory inside of `directory`, and waits for it. Blocks; not for the thread of `run`.
    /// - Returns: the savepoint's directory.
    public func savepoint(in directory: String) throws -> String {
        try requireRecovery()
        return try current().savepoint(in: directory)
    }

    /// Stops reading, commits what was read, takes a last checkpoint and ends. Windows that are open do not fire, unless `drain`
    /// brings event time to its end first.
    public func stop(drain: Bool = false) {
        let execution = control.withLock { control in
            control.isStopped = true
            control.drains = drain
            return control.execution
        }
        control.broadcast()
        execution?.stop(drain: drain)
    }

    /// Stops with a savepoint, and waits for it.
    /// - Parameter drain: event time goes to its end first: windows that are open fire, and a job that goes on from the savepoint takes
    ///   what comes for them as late.
    public func stop(savepointIn directory: String, drain: Bool) throws -> String {
        try requireRecovery()
        return try current().stop(savepointIn: directory, drain: drain)
    }

    private func requireRecovery() throws {
        if recovery == nil { throw StreamError(.validate, "the job \(graph.name) has no checkpoints, so it can have no savepoint", fix: "run it with a checkpoint directory") }
    }

    /// Ends at once; what is not committed yet is given up.
    public func cancel() {
        let execution = control.withLock { control in
            control.isCancelled = true
            return control.execution
        }
        control.broadcast()
        execution?.cancel()
    }

    /// Counters per vertex, in the graph's order; of the last attempt when none runs.
    public func status() -> [VertexStatus] {
        let (execution, last) = control.withLock { ($0.execution, $0.status) }
        return execution?.status() ?? last
    }
}

extension CheckpointManifest {
    /// Bytes of operators' state, shared pieces included.
    public var stateBytes: Int { operators.reduce(0) { $0 + $1.subtasks.reduce(0) { $0 + $1.stateBytes } } }
}

/// Keeps count of failures and says how long to wait before the next try.
package struct RestartSchedule {
    private let strategy: RestartStrategy
    private var failures: [UInt64] = []
    private var attempts = 0
    private var backoff: Double = 0

    package init(_ strategy: RestartStrategy) { self.strategy = strategy }

    /// - Parameter now: time of the failure, monotonic nanoseconds.
    /// - Returns: the delay before the next try; nil = give up.
    package mutating func delay(after now: UInt64, random: () -> UInt64) -> Duration? {
        defer { failures.append(now) }
        switch strategy {
        case .none: return nil
        case .fixedDelay(let most, let delay):
            attempts += 1
            return attempts <= most ? delay : nil
        case .failureRate(let most, let interval, let delay):
            let recent = failures.filter { now &- $0 <= interval.nanoseconds }
            failures = recent
            return recent.count < most ? delay : nil
        case .exponentialDelay(let initial, let maximum, let multiplier, let resetAfter, let jitter, let most):
            if let last = failures.last, now &- last > resetAfter.nanoseconds { (attempts, backoff) = (0, 0) }
            attempts += 1
            if let most, attempts > most { return nil }
            backoff = backoff == 0 ? Double(initial.nanoseconds) : min(backoff * multiplier, Double(maximum.nanoseconds))
            let share = Double(random() >> 11) / 9_007_199_254_740_992 * 2 - 1
            return .nanoseconds(Int64(backoff * (1 + jitter * share)))
        }
    }
}
