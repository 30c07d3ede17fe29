import StreamCore
import Synchronization

/// A run of a job on worker threads.
///
///     let execution = try JobExecution(graph, options: .init())
///     try execution.run()         // returns when the input has ended, or after `stop`
///
/// `stop`, `cancel` and `status` may be called from any thread.
public final class JobExecution: Sendable {
    public let graph: JobGraph
    private let options: JobOptions
    private let pool: WorkerPool
    private let metrics: [Int: [OperatorMetrics]]
    private let events = Monitor(Events())
    private let instance: Handover

    private struct Events {
        var wantsStop = false, wantsCancel = false
        var somethingToCommit = false, workersDone = false
        var isStopping = false
    }

    /// Carries the instance to the one thread that runs it.
    private final class Handover: @unchecked Sendable {  // SAFETY: read by `run` alone, which refuses a second call
        let instance: JobInstance
        let started = Mutex(false)
        init(_ instance: JobInstance) { self.instance = instance }
    }

    /// Opens sources, operators and sinks.
    /// - Throws: whatever they refuse with; nothing has been written then.
    public init(_ graph: JobGraph, options: JobOptions = .init()) throws {
        self.graph = graph
        self.options = options
        pool = WorkerPool(clock: options.clock)
        instance = Handover(try JobInstance(graph: graph, options: options, waker: pool))
        metrics = instance.instance.metrics
    }

    /// How a job ended.
    public enum End: Sendable { case finished, stopped, cancelled }

    /// Runs to the end on worker threads; the calling thread coordinates commits and barriers.
    /// - Throws: the first error of a subtask or a commit; what was not committed stays invisible.
    @discardableResult
    public func run() throws -> End {
        let wasStarted = instance.started.withLock { started in defer { started = true }; return started }
        precondition(!wasStarted, "a job execution runs once")
        let job = instance.instance
        let events = events
        job.coordinator.onChange {
            events.withLock { $0.somethingToCommit = true }
            events.broadcast()
        }
        let cores = min(job.subtasks.count, options.workers ?? Self.processorCount())
        let threads = pool.start(job.subtasks, workers: max(1, cores)) {
            events.withLock { $0.workersDone = true }
            events.broadcast()
        }
        let end: End
        do {
            end = try coordinate(job)
        } catch {
            pool.cancel()
            threads.forEach { $0.join() }
            abandon(job)
            throw error
        }
        threads.forEach { $0.join() }
        if let failure = pool.failure {
            abandon(job)
            throw failure
        }
        if end == .cancelled {
            abandon(job)
            return end
        }
        do {
            try job.coordinator.commitPending()
        } catch {
            abandon(job)
            throw error
        }
        job.coordinator.close()
        job.subtasks.forEach { $0.close() }
        return end
    }

    private func abandon(_ job: JobInstance) {
        job.subtasks.forEach { $0.abort() }
        job.coordinator.abort()
        job.coordinator.close()
    }

    private enum Wake { case done, cancel, stop, commit, tick }

    private func coordinate(_ job: JobInstance) throws -> End {
        let clock = options.clock
        let barrierEvery = (options.checkpointInterval ?? job.commitInterval).map { UInt64($0 / .nanoseconds(1)) }
        let discoverEvery = job.discoveryInterval.map { UInt64($0 / .nanoseconds(1)) }
        var nextBarrier = barrierEvery.map { clock() + $0 }, nextDiscovery = discoverEvery.map { clock() + $0 }
        var stopped = false
        while true {
            let wake = events.wait { events -> Monitor<Events>.Decision<Wake> in
                if events.wantsCancel { return .take(.cancel) }
                if events.workersDone { return .take(.done) }
                if events.wantsStop, !events.isStopping {
                    events.isStopping = true
                    return .take(.stop)
                }
                if events.somethingToCommit {
                    events.somethingToCommit = false
                    return .take(.commit)
                }
                guard let due = [nextBarrier, nextDiscovery].compactMap({ $0 }).min() else { return .wait(nanoseconds: nil) }
                let time = clock()
                return due <= time ? .take(.tick) : .wait(nanoseconds: due - time)
            }
            switch wake {
            case .cancel:
                pool.cancel()
                return .cancelled
            case .done: return stopped ? .stopped : .finished
            case .stop:
                stopped = true
                job.stopSources()
            case .commit: try job.coordinator.commitPending()
            case .tick:
                let time = clock()
                if let due = nextBarrier, due <= time {
                    nextBarrier = time + barrierEvery!
                    if !stopped { job.startCheckpoint() }
                }
                if let due = nextDiscovery, due <= time {
                    nextDiscovery = time + discoverEvery!
                    if !stopped { try job.discoverSplits() }
                }
            }
        }
    }

    /// Reads no more input, lets what was read through, commits it, and ends. Windows that are open do not fire.
    public func stop() {
        events.withLock { $0.wantsStop = true }
        events.broadcast()
    }

    /// Ends at once; what is not committed yet is given up.
    public func cancel() {
        events.withLock { $0.wantsCancel = true }
        events.broadcast()
    }

    /// Counters per vertex, in the graph's order. Cheap; may be called while the job runs.
    public func status() -> [VertexStatus] { JobInstance.status(graph, metrics) }

    private static func processorCount() -> Int { max(1, Processors.online()) }
}
