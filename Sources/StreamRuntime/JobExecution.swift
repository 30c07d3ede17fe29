import StreamCore
import StreamState
import Synchronization

/// A run of a job on worker threads.
///
///     let execution = try JobExecution(graph, options: .init())
///     try execution.run()         // returns when the input has ended, or after `stop`
///
/// `savepoint`, `stop`, `cancel` and `status` may be called from any thread. ``JobRunner`` runs a job through failures.
public final class JobExecution: Sendable {
    public let graph: JobGraph
    private let options: JobOptions
    private let pool: WorkerPool
    private let metrics: [Int: [OperatorMetrics]]
    let monitoring: JobMonitoring
    private let events = Monitor(Events())
    private let writer = Monitor(WriterState())
    private let instance: Handover
    private let checkpointed: Mutex<(@Sendable (UInt64, Result<Checkpoint, StreamError>) -> Void)?> = Mutex(nil)
    /// Savepoints that someone waits for.
    private let savepoints = Monitor(Savepoints())

    private struct Stop: Sendable {
        var directory: String?
        var drain: Bool
        var request: Int?
    }

    private struct Events {
        var wantsStop: Stop?
        var wantsCancel = false
        var changed = false, workersDone = false
        var isStopping = false
        var savepoints: [(request: Int, directory: String)] = []
    }

    private struct WriterState { var hasWork = false, isOver = false }

    private struct Savepoints {
        var nextRequest = 0
        /// Requests by checkpoint number, and what became of them.
        var underWay: [UInt64: Int] = [:]
        var results: [Int: Result<String, StreamError>] = [:]
        var isOver = false
    }

    /// Carries the instance to the threads that run it.
    private final class Handover: @unchecked Sendable {
        // SAFETY: `run` alone uses it, and refuses a second call; of its parts, the writing one is used by the writer's thread alone.
        let instance: JobInstance
        let started = Mutex(false)
        init(_ instance: JobInstance) { self.instance = instance }
    }

    /// Opens sources, operators and sinks.
    /// - Throws: whatever they refuse with; nothing has been written then.
    public convenience init(_ graph: JobGraph, options: JobOptions = .init()) throws { try self.init(graph, options: options, recovery: nil) }

    package init(_ graph: JobGraph, options: JobOptions, recovery: JobRecovery?) throws {
        self.graph = graph
        self.options = options
        pool = WorkerPool(clock: options.clock)
        instance = Handover(try JobInstance(graph: graph, options: options, recovery: recovery, waker: pool))
        metrics = instance.instance.metrics
        monitoring = instance.instance.monitoring
    }

    /// Called with the name of an operator and what it warns of, from any thread; with what came before, too.
    package func onWarning(_ action: @escaping @Sendable (String, String) -> Void) {
        for vertex in graph.vertices { for part in metrics[vertex.id]! { part.onWarning { action(vertex.name, $0) } } }
    }

    /// How a job ended.
    public enum End: Sendable { case finished, stopped, cancelled }

    /// Called from the thread of `run` with every checkpoint that completes or fails.
    package func onCheckpoint(_ action: @escaping @Sendable (UInt64, Result<Checkpoint, StreamError>) -> Void) { checkpointed.withLock { $0 = action } }

    /// Runs to the end on worker threads; the calling thread coordinates barriers and commits.
    /// - Throws: the first error of a subtask, a checkpoint or a commit; what was not committed stays invisible.
    @discardableResult
    public func run() throws -> End {
        let wasStarted = instance.started.withLock { started in defer { started = true }; return started }
        precondition(!wasStarted, "a job execution runs once")
        let job = instance.instance
        let (events, writer) = (events, writer)
        job.coordinator.onChange {
            events.withLock { $0.changed = true }
            events.broadcast()
            writer.withLock { $0.hasWork = true }
            writer.broadcast()
        }
        let writerThread = job.writing == nil ? nil : WorkerThread { [self] in write() }
        let cores = min(job.subtasks.count, options.workers ?? Self.processorCount())
        let threads = pool.start(job.subtasks, workers: max(1, cores)) {
            events.withLock { $0.workersDone = true }
            events.broadcast()
        }
        let discovery = job.makeDiscovery(clock: options.clock)
        discovery?.onFailure {
            events.withLock { $0.changed = true }
            events.broadcast()
        }
        let discoveryThread = discovery.map { discovery in WorkerThread { discovery.run() } }
        // A thread may be joined once only: its handle is another thread's then.
        var runs = true
        func endWorkers() {
            if runs { threads.forEach { $0.join() } }
            runs = false
        }
        func endThreads() {
            pool.cancel()
            endWorkers()
            writer.withLock { $0.isOver = true }
            writer.broadcast()
            writerThread?.join()
            discovery?.end()
            discoveryThread?.join()
        }
        defer {
            endSavepoints()
            monitoring.ended()
        }
        let end: End
        do {
            end = try coordinate(job, discovery)
            if end != .cancelled {
                endWorkers()
                if let failure = pool.failure { throw failure }
                try conclude(job)
            }
        } catch {
            endThreads()
            abandon(job)
            throw error
        }
        endThreads()
        if end == .cancelled {
            abandon(job)
            return end
        }
        job.coordinator.close()
        job.subtasks.forEach { $0.close() }
        job.endSources()
        job.removeWorkDirectory()
        return end
    }

    /// The writer's thread.
    private func write() {
        let writing = instance.instance.writing!
        while true {
            let isOver = writer.wait { state -> Monitor<WriterState>.Decision<Bool> in
                if state.isOver { return .take(true) }
                guard state.hasWork else { return .wait(nanoseconds: nil) }
                state.hasWork = false
                return .take(false)
            }
            if isOver { return writing.abandonAll() }
            while writing.step() {}
        }
    }

    private func abandon(_ job: JobInstance) {
        job.subtasks.forEach { $0.abort() }
        job.coordinator.abort()
        job.coordinator.close()
        job.endSources()
        job.removeWorkDirectory()
    }

    private enum Wake { case done, cancel, stop(Stop), savepoint(Int, String), changed, tick }

    private func coordinate(_ job: JobInstance, _ discovery: SplitDiscovery?) throws -> End {
        let clock = options.clock
        let barrierEvery = [options.checkpoints.interval ?? job.commitInterval, job.commitDeadline].compactMap { $0 }.min().map(\.nanoseconds)
        var nextBarrier = barrierEvery.map { clock() &+ $0 }
        var stopped = false
        if job.wantsCheckpointAtOnce { job.startCheckpoint(now: clock()) }
        while true {
            let deadline = job.coordinator.nextDeadline
            let wake = events.wait { events -> Monitor<Events>.Decision<Wake> in
                if events.wantsCancel { return .take(.cancel) }
                if let stop = events.wantsStop, !events.isStopping {
                    events.isStopping = true
                    return .take(.stop(stop))
                }
                if events.workersDone { return .take(.done) }
                if !events.savepoints.isEmpty {
                    let (request, directory) = events.savepoints.removeFirst()
                    return .take(.savepoint(request, directory))
                }
                if events.changed {
                    events.changed = false
                    return .take(.changed)
                }
                guard let due = [nextBarrier, deadline].compactMap({ $0 }).min() else { return .wait(nanoseconds: nil) }
                let time = clock()
                return due <= time ? .take(.tick) : .wait(nanoseconds: due - time)
            }
            switch wake {
            case .cancel: return .cancelled
            case .done: return stopped ? .stopped : .finished
            case .stop(let stop):
                stopped = true
                discovery?.end()
                expect(job.stopSources(savepointIn: stop.directory, drain: stop.drain, now: clock()), stop.request)
            case .savepoint(let request, let directory):
                expect(stopped ? nil : job.startCheckpoint(savepointIn: directory, now: clock()), request)
            case .changed:
                if let failure = discovery?.failure { throw failure }
                try settle(job)
                if job.coordinator.wantsCheckpoint, !stopped { job.startCheckpoint(now: clock()) }
            case .tick:
                let time = clock()
                if let due = nextBarrier, due <= time {
                    let (may, retryAt) = job.coordinator.mayStart(time)
                    nextBarrier = may ? time &+ barrierEvery! : max(retryAt ?? time &+ barrierEvery!, time &+ 1_000_000)
                    if may, !stopped { job.startCheckpoint(now: time) }
                }
                for n in job.coordinator.checkTimes(time) { job.overtake(n) }
            }
        }
    }

    /// Commits what is durable and tells of checkpoints.
    private func settle(_ job: JobInstance) throws {
        try job.coordinator.commitPending()
        for (number, outcome) in job.coordinator.takeOutcomes() {
            if case .success(let checkpoint) = outcome { job.tellSources(checkpoint.manifest) }
            checkpointed.withLock { $0 }?(number, outcome)
            savepoints.withLock { savepoints in
                guard let request = savepoints.underWay.removeValue(forKey: number) else { return }
                savepoints.results[request] = outcome.map(\.directory)
            }
            savepoints.broadcast()
        }
        if let fatal = job.coordinator.fatal { throw fatal }
    }

    /// After the last subtask: waits until everything is durable and committed.
    private func conclude(_ job: JobInstance) throws {
        job.coordinator.concludeInput(now: options.clock())
        while true {
            try settle(job)
            if !job.coordinator.isWriting, !job.coordinator.hasCommits { break }
            events.wait { events -> Monitor<Events>.Decision<Void> in
                guard events.changed else { return .wait(nanoseconds: nil) }
                events.changed = false
                return .take(())
            }
        }
        try settle(job)
    }

    // MARK: requests

    private func newRequest() -> Int {
        savepoints.withLock { savepoints in
            defer { savepoints.nextRequest += 1 }
            return savepoints.nextRequest
        }
    }

    private func expect(_ checkpoint: UInt64?, _ request: Int?) {
        guard let request else { return }
        savepoints.withLock { savepoints in
            if let checkpoint {
                savepoints.underWay[checkpoint] = request
            } else {
                savepoints.results[request] = .failure(StreamError(.runtime, "the job is ending: no savepoint was taken"))
            }
        }
        savepoints.broadcast()
    }

    private func wait(for request: Int) throws -> String {
        try savepoints.wait { savepoints -> Monitor<Savepoints>.Decision<Result<String, StreamError>> in
            if let result = savepoints.results.removeValue(forKey: request) { return .take(result) }
            if savepoints.isOver { return .take(.failure(StreamError(.runtime, "the job ended before the savepoint was complete"))) }
            return .wait(nanoseconds: nil)
        }.get()
    }

    private func endSavepoints() {
        savepoints.withLock { $0.isOver = true }
        savepoints.broadcast()
    }

    /// Takes a savepoint in a new directory inside of `directory` and waits for it. Blocks; not for the thread of `run`.
    /// - Returns: the savepoint's directory.
    package func savepoint(in directory: String) throws -> String {
        let request = newRequest()
        events.withLock { $0.savepoints.append((request, directory)) }
        events.broadcast()
        return try wait(for: request)
    }

    /// Stops behind a savepoint and waits for that.
    package func stop(savepointIn directory: String, drain: Bool) throws -> String {
        let request = newRequest()
        let isFirst = events.withLock { events in
            guard events.wantsStop == nil else { return false }
            events.wantsStop = Stop(directory: directory, drain: drain, request: request)
            return true
        }
        guard isFirst else { throw StreamError(.conflict, "the job is stopping already", fix: "resume it from its last checkpoint, which has all that a savepoint would have") }
        events.broadcast()
        return try wait(for: request)
    }

    /// Reads no more input, lets what was read through, commits it, and ends. Windows that are open do not fire, unless
    /// `drain` brings event time to its end first.
    public func stop(drain: Bool = false) {
        events.withLock { if $0.wantsStop == nil { $0.wantsStop = Stop(directory: nil, drain: drain, request: nil) } }
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
