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
    }

    public let graph: JobGraph

    /// - Parameter recovery: nil = no checkpoints; a failure ends the job.
    public init(_ graph: JobGraph, options: JobOptions = .init(), recovery: RecoveryOptions? = nil) throws {
        self.graph = graph
    }

    /// Must be called before `run`. May be called from any of the job's threads.
    public func onEvent(_ action: @escaping @Sendable (Event) -> Void) {}

    /// - Throws: the last failure, when the restart strategy gives up; an error about the checkpoint when it cannot be used.
    @discardableResult
    public func run() throws -> JobExecution.End { .finished }

    /// Takes a savepoint in a new directory inside of `directory`, and waits for it. Blocks; not for the thread of `run`.
    /// - Returns: the savepoint's directory.
    public func savepoint(in directory: String) throws -> String { "" }

    /// Stops reading, commits what was read, takes a last checkpoint and ends. Windows that are open do not fire.
    public func stop() {}

    /// Stops with a savepoint, and waits for it.
    /// - Parameter drain: event time goes to its end first: windows that are open fire, and the job cannot go on from the savepoint
    ///   as if nothing had happened.
    public func stop(savepointIn directory: String, drain: Bool) throws -> String { "" }

    /// Ends at once; what is not committed yet is given up.
    public func cancel() {}

    public func status() -> [VertexStatus] { [] }
}
