/// A numbered marker that flows through the stream and separates what belongs to a checkpoint from what comes after.
public struct Barrier: Hashable, Sendable {
    public var checkpoint: UInt64
    /// The last barrier of a job that is stopping: nothing comes after it.
    public var final: Bool
    /// State is to be given in the form that any backend and parallelism can take back.
    public var isSavepoint: Bool

    public init(checkpoint: UInt64, final: Bool = false, isSavepoint: Bool = false) {
        self.checkpoint = checkpoint
        self.final = final
        self.isSavepoint = isSavepoint
    }
}

/// Sent by a source now and then, to measure how long rows take to come to where it comes to. It overtakes nothing, and belongs to no
/// checkpoint.
public struct LatencyMarker: Hashable, Sendable {
    /// Id of the source's vertex.
    public var source: Int
    /// When it left the source, in nanoseconds of the job's clock.
    public var sentAt: UInt64

    public init(source: Int, sentAt: UInt64) { (self.source, self.sentAt) = (source, sentAt) }
}

/// What flows between subtasks.
public enum StreamElement: Sendable {
    case batch(Batch)
    case watermark(EventTime)
    /// The sender has no active split for now (true), or has again (false).
    case idle(Bool)
    case barrier(Barrier)
    case latencyMarker(LatencyMarker)
    case endOfInput
}

/// Whether an operator is through with what it was given.
public enum Progress: Sendable {
    case done
    /// There is more to emit: call ``StreamOperator/resume(_:)`` when the output has room, before any further input.
    case more
}

/// Takes what an operator emits. Never blocks; ``isReady`` says when to stop.
public protocol Output: AnyObject {
    func emit(_ batch: Batch) throws
    /// False once enough is waiting downstream; a long emission then returns `.more`.
    var isReady: Bool { get }
}

/// One step of a dataflow, as a state machine. One subtask owns it and calls it from one thread at a time.
///
/// Rows go in as batches and come out through `output`; watermarks, barriers and the end of input are passed on by the
/// caller once the operator is `.done` with them.
public protocol StreamOperator: AnyObject {
    func open(_ context: OperatorContext) throws
    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress
    /// The watermark that the sender of the next batch had reached. With several senders it may be ahead of the merged one: what
    /// was late for the sender is late, whatever the others do. Told to the first operator behind an exchange.
    func senderReached(_ watermark: EventTime)
    /// All inputs' merged watermark moved to `watermark`.
    func advance(to watermark: EventTime, output: any Output) throws -> Progress
    /// Event time behind the operator once its input's has come to `watermark`: earlier than that for operators that give rows of
    /// earlier times later on. Must never go back.
    func outputWatermark(_ watermark: EventTime) -> EventTime
    /// Input number `input` ended. After the last one a watermark of `.max` has been given already.
    func finish(input: Int, output: any Output) throws -> Progress
    /// Goes on with an emission that returned `.more`.
    func resume(_ output: any Output) throws -> Progress
    /// The input has no active split for now, and event time downstream moves on without it: emits what is held only for batching.
    func idle(output: any Output) throws
    /// Makes everything before the barrier ready to be snapshot: emits what is held only for batching.
    func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws
    /// The state, empty for operators without any. Called after `prepareSnapshot`, with all inputs aligned. Costs a copy at most.
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot
    /// As `snapshot`, with all state cut into key groups that any backend can restore: for savepoints.
    func portableSnapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot
    /// Gives back what snapshots held, for the key groups of this subtask. Called after `open`, before any input.
    func restore(_ state: RestoredState) throws
    /// Wall-clock milliseconds at which ``onTime(_:output:)`` is to be called; nil = never. Asked after every step.
    var wakeAt: Int64? { get }
    /// The wall clock has reached ``wakeAt``: fires processing-time timers.
    func onTime(_ now: Int64, output: any Output) throws -> Progress
    func close()
}

extension StreamOperator {
    public func open(_ context: OperatorContext) throws {}
    public func senderReached(_ watermark: EventTime) {}
    public func advance(to watermark: EventTime, output: any Output) throws -> Progress { .done }
    public func outputWatermark(_ watermark: EventTime) -> EventTime { watermark }
    public func finish(input: Int, output: any Output) throws -> Progress { .done }
    public func resume(_ output: any Output) throws -> Progress { .done }
    public func idle(output: any Output) throws {}
    public func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws {}
    public var wakeAt: Int64? { nil }
    public func onTime(_ now: Int64, output: any Output) throws -> Progress { .done }
    public func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { .empty }
    public func portableSnapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { try snapshot(checkpoint) }
    public func restore(_ state: RestoredState) throws {
        if !state.isEmpty {
            throw StreamError(.runtime, "\(type(of: self)) was given state but keeps none",
                              fix: "start the job from a checkpoint of the same plan")
        }
    }
    public func close() {}
}

/// What an operator may know of the subtask that runs it.
public struct OperatorContext: Sendable {
    public var name: String
    public var subtask: Int
    public var parallelism: Int
    public var maxParallelism: Int
    public var metrics: OperatorMetrics
    /// The embedded store that state is to be kept in; nil = the operator's own memory.
    public var backend: (any StateBackend)?
    /// A directory for stores of this subtask, not made yet.
    public var workDirectory: String
    /// Wall-clock milliseconds, for processing time and the age of state.
    public var now: @Sendable () -> Int64

    public init(name: String, subtask: Int = 0, parallelism: Int = 1, maxParallelism: Int = KeyGroups.defaultMaxParallelism,
                metrics: OperatorMetrics = OperatorMetrics(), backend: (any StateBackend)? = nil, workDirectory: String = "",
                now: @escaping @Sendable () -> Int64 = { Clock.milliseconds() }) {
        self.backend = backend
        self.workDirectory = workDirectory
        self.now = now
        self.name = name
        self.subtask = subtask
        self.parallelism = parallelism
        self.maxParallelism = maxParallelism
        self.metrics = metrics
    }
}

extension OperatorContext {
    /// Key groups of this subtask.
    public var keyGroups: Range<Int> { KeyGroups.groups(ofSubtask: subtask, parallelism: parallelism, maxParallelism: maxParallelism) }
}
