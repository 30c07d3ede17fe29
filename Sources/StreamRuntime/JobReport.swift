import StreamCore

/// A job as monitoring sees it at one moment: its graph, the counters of every subtask, its checkpoints and failures.
///
/// Times are milliseconds since 1970-01-01, lengths of time milliseconds, sizes bytes. Counters count from the start of the attempt.
public struct JobReport: Codable, Hashable, Sendable {
    public var name: String
    /// Of the job's checkpoints; empty for a job that has none.
    public var id: String
    public var state: State
    public var startedAt: Int64
    /// nil while the job runs.
    public var endedAt: Int64?
    /// When the report was made.
    public var takenAt: Int64
    /// From 1.
    public var attempt: Int
    public var vertices: [Vertex]
    public var edges: [Edge]
    public var checkpoints: Checkpoints
    /// The newest last, at most ``failuresKept``.
    public var failures: [Failure]
    public var histograms: [Histogram]

    public static let failuresKept = 32

    /// Flink's names.
    public enum State: String, Codable, Sendable {
        case initializing = "INITIALIZING", running = "RUNNING", restarting = "RESTARTING", finished = "FINISHED", canceled = "CANCELED", failed = "FAILED"
    }

    public struct Vertex: Codable, Hashable, Sendable {
        public enum Kind: String, Codable, Sendable { case source, transform, sink }
        public var id: Int
        public var operatorID: String
        public var name: String
        public var kind: Kind
        public var parallelism: Int
        public var subtasks: [Subtask]
        /// Id of the vertex whose subtasks this one's are part of: the first of those that are fused with it, or itself.
        public var chain: Int

        public init(id: Int, operatorID: String, name: String, kind: Kind, parallelism: Int, subtasks: [Subtask]) {
            (self.id, self.operatorID, self.name, self.kind, self.parallelism, self.subtasks) = (id, operatorID, name, kind, parallelism, subtasks)
            chain = id
        }
    }

    public struct Subtask: Codable, Hashable, Sendable {
        public var index: Int
        public var rowsIn: Int64 = 0, rowsOut: Int64 = 0, bytesIn: Int64 = 0, bytesOut: Int64 = 0
        public var lateRows: Int64 = 0, badRecords: Int64 = 0
        /// Of the input, or of a source's output; nil before the first one; `Int64.max` at the end of event time.
        public var watermark: Int64?
        /// Behind the operator; nil for sinks.
        public var outputWatermark: Int64?
        /// Since the start of the attempt. Busy: in the operator's own code; back-pressured: with output that nobody takes; idle: the rest,
        /// which is the time for other operators of the chain, too. Fused operators are back-pressured together.
        public var busy: Int64 = 0, backPressured: Int64 = 0, idle: Int64 = 0
        /// At the time of the report.
        public var isBackPressured = false
        /// Records behind the end of the source; nil when unknown.
        public var lag: Int64?
        /// How old the newest row of a source was when it was read, by its event time, in milliseconds; nil when unknown. Measured a few times per
        /// second.
        public var eventTimeLag: Int64?
        /// Elements that wait in the subtask's input queues.
        public var queued: Int?
        /// Batches taken from the input queues, all of which are of this process; nil for a subtask without.
        public var batchesIn: Int64?
        public var splits: [Split] = []
        /// What a connector measures beside that.
        public var gauges: [String: Int64] = [:]

        public init(index: Int) { self.index = index }
    }

    /// A part of a source: a shard, a partition, a file.
    public struct Split: Codable, Hashable, Sendable {
        public var id: String
        public var watermark: Int64?
        public var lag: Int64?
        public var isIdle: Bool
        /// Where reading goes on, in the source's own text form.
        public var position: String?

        public init(id: String, watermark: Int64? = nil, lag: Int64? = nil, isIdle: Bool = false, position: String? = nil) {
            (self.id, self.watermark, self.lag, self.isIdle, self.position) = (id, watermark, lag, isIdle, position)
        }
    }

    public struct Edge: Codable, Hashable, Sendable {
        public var from: Int, to: Int
        /// FORWARD, HASH, REBALANCE or GLOBAL, as Flink calls them.
        public var partitioning: String

        public init(from: Int, to: Int, partitioning: String) { (self.from, self.to, self.partitioning) = (from, to, partitioning) }
    }

    public struct Checkpoints: Codable, Hashable, Sendable {
        public var completed = 0, failed = 0, inProgress = 0, restored = 0
        /// The checkpoint that the attempt goes on from, and when it was given back.
        public var restoredID: UInt64?, restoredAt: Int64?
        /// Savepoints included; the newest last, at most 64.
        public var history: [Checkpoint] = []

        public init() {}
    }

    public struct Checkpoint: Codable, Hashable, Sendable {
        public enum Status: String, Codable, Sendable { case inProgress = "IN_PROGRESS", completed = "COMPLETED", failed = "FAILED" }
        public var id: UInt64
        public var status: Status
        public var isSavepoint: Bool
        public var triggeredAt: Int64
        /// Until it was durable or had failed.
        public var duration: Int64?
        /// Of the state, with what earlier checkpoints have of it.
        public var bytes: Int64?
        public var path: String?
        public var failure: String?

        public init(id: UInt64, status: Status, isSavepoint: Bool, triggeredAt: Int64) {
            (self.id, self.status, self.isSavepoint, self.triggeredAt) = (id, status, isSavepoint, triggeredAt)
        }
    }

    /// What the job was started again for, or ended with.
    public struct Failure: Codable, Hashable, Sendable {
        public var at: Int64
        public var attempt: Int
        /// `StreamError.Code`, or `runtime` for another error.
        public var kind: String
        /// Whole, with the record's position where there is one.
        public var message: String

        public init(at: Int64, attempt: Int, kind: String, message: String) { (self.at, self.attempt, self.kind, self.message) = (at, attempt, kind, message) }
    }

    /// Measured lengths of time, such as the latency from a source to an operator.
    public struct Histogram: Codable, Hashable, Sendable {
        public var name: String
        public var labels: [String: String]
        public var count: Int64
        public var sum: Double
        /// By quantile, ascending: 0.5, 0.9, 0.95, 0.98, 0.99, 0.999.
        public var quantiles: [Quantile]

        public struct Quantile: Codable, Hashable, Sendable {
            public var quantile: Double, value: Double
            public init(quantile: Double, value: Double) { (self.quantile, self.value) = (quantile, value) }
        }

        public init(name: String, labels: [String: String], count: Int64, sum: Double, quantiles: [Quantile]) {
            (self.name, self.labels, self.count, self.sum, self.quantiles) = (name, labels, count, sum, quantiles)
        }
    }

    public init(name: String, id: String = "", state: State = .initializing, startedAt: Int64 = 0, attempt: Int = 1) {
        (self.name, self.id, self.state, self.startedAt, self.attempt, takenAt) = (name, id, state, startedAt, attempt, startedAt)
        (vertices, edges, checkpoints, failures, histograms) = ([], [], Checkpoints(), [], [])
    }
}
