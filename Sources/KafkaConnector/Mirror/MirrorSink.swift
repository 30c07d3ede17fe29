import CRdKafka
import StreamCore
import Synchronization

/// Writes to a mirror's second cluster: each record to the same partition, in order, with key, value, headers and timestamp.
///
/// At least once: an idempotent producer, flushed for each checkpoint. Exactly once: a transaction for each checkpoint, committed
/// before the checkpoint is complete. In both cases what stands in the target behind the checkpoint that the job resumes from is
/// compared with what comes again, and not written twice (``MirrorTail``).
final class MirrorSink: TableSink {
    private let options: MirrorOptions
    private let host: Host
    private let warn: MirrorConnector.Warn
    /// Of the present run: its committer comes first, then its writers.
    private let ledger = Mutex(MirrorLedger())

    init(_ options: MirrorOptions, host: Host, warn: @escaping MirrorConnector.Warn) { (self.options, self.host, self.warn) = (options, host, warn) }

    var commitInterval: Duration? { options.offsetsInterval }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        let fresh = MirrorLedger()
        ledger.withLock { $0 = fresh }
        return MirrorOffsets(options, fresh, host: host, warn: warn)
    }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        let ledger = ledger.withLock { $0 }
        for state in context.restoredStates { ledger.restore(try OffsetRunsCoding.decode(state)) }
        return try MirrorWriter(options, context, ledger)
    }
}

/// What all writers of a run have copied and what earlier runs did, by partition of the source.
final class MirrorLedger: Sendable {
    private let state = Mutex((restored: [TopicPartition: OffsetRuns](), now: [TopicPartition: OffsetRuns]()))

    /// Of two accounts of a partition the longer one holds the other: writers change when the parallelism does.
    func restore(_ all: [TopicPartition: OffsetRuns]) {
        state.withLock { state in
            for (partition, runs) in all where (runs.sourceEnd ?? -1) > (state.restored[partition]?.sourceEnd ?? -1) {
                state.restored[partition] = runs
                state.now[partition] = runs
            }
        }
    }

    var restored: [TopicPartition: OffsetRuns] { state.withLock { $0.restored } }
    func restored(_ partition: TopicPartition) -> OffsetRuns? { state.withLock { $0.restored[partition] } }

    func set(_ partition: TopicPartition, _ runs: OffsetRuns) { state.withLock { $0.now[partition] = runs } }

    var now: [TopicPartition: OffsetRuns] { state.withLock { $0.now } }
}
