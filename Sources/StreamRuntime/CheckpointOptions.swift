import StreamCore

/// When checkpoints are taken and what happens when they fail. Names in brackets are Flink's settings.
public struct CheckpointOptions: Sendable {
    /// Of a job without end whose sinks ask for nothing.
    public static let defaultInterval = Duration.seconds(10)

    /// Time between the starts of two [execution.checkpointing.interval]; nil = as often as the sinks want to commit.
    public var interval: Duration?
    /// A checkpoint that takes longer is given up [execution.checkpointing.timeout].
    public var timeout: Duration = .seconds(600)
    /// Time between the end of one and the start of the next, at least [execution.checkpointing.min-pause].
    public var minPause: Duration = .zero
    /// Under way at one time [execution.checkpointing.max-concurrent-checkpoints].
    public var maxConcurrent = 1
    /// Failed ones in a row that do not fail the job [execution.checkpointing.tolerable-failed-checkpoints].
    public var tolerableFailures = 0
    /// Barriers overtake rows in flight once alignment has taken this long [execution.checkpointing.aligned-checkpoint-timeout];
    /// nil = never.
    public var alignedTimeout: Duration?

    public init() {}
}

/// What happens when a job fails [restart-strategy.type].
public enum RestartStrategy: Sendable, Equatable {
    case none
    /// Tries again `attempts` times, waiting `delay` before each.
    case fixedDelay(attempts: Int, delay: Duration)
    /// Waits longer each time, from `initial` up to `maximum`, and from the start again after `resetAfter` without a failure.
    /// `jitter` is the share by which a delay is varied at random. `attempts` nil = without end.
    case exponentialDelay(initial: Duration, maximum: Duration, multiplier: Double, resetAfter: Duration, jitter: Double, attempts: Int?)
    /// Tries again unless there were more than `failures` within `interval`.
    case failureRate(failures: Int, interval: Duration, delay: Duration)

    /// Flink's defaults.
    public static let defaultExponentialDelay = RestartStrategy.exponentialDelay(
        initial: .seconds(1), maximum: .seconds(60), multiplier: 1.5, resetAfter: .seconds(3_600), jitter: 0.1, attempts: nil)
}
