import ShardLog
import StreamCore
import StreamFormats
import Synchronization

/// Appends rows as records.
///
/// Exactly once: a writer keeps a checkpoint's records aside, in its committable or in a file beside the stream
/// (``RecordStager``); the committer appends them under a producer id and sequence, so that a repetition is left out.
/// At least once: records are appended as they come, and a commit makes sure that they are on disk.
struct KinesisSink: TableSink {
    let table: TableDescriptor
    let options: KinesisOptions
    let log: ShardLog
    let acceptsChanges: Bool
    /// After so long without room the job fails.
    let diskWait: Duration

    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        let keys: PartitionKeys = switch options.partitioner {
        case .random: .random(.init(state: log.host.randomBits()))
        case .fixed: .fixed("subtask-\(context.subtask)")
        case .columns(let columns, let delimiter): .columns(columns, table.schema, delimiter: delimiter)
        }
        try options.makeStream(in: log)
        let records = RecordEncoding(try FormatFactory.encoder(for: table), keys, context.metrics), room = room(context.metrics)
        guard options.isExactlyOnce else { return AppendingWriter(try log.writer(options.stream, flush: options.flush), records, room) }
        return StagingWriter(try log.stager(options.stream, owner: context.tag), records, isRecoverable: context.isRecoverable, room)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        guard options.isExactlyOnce else { return nil }
        // Before its first checkpoint a job has nothing to go on from: what an earlier try left is of no use.
        if context.isRecoverable, context.restoredCheckpoint == nil, log.exists(options.stream) {
            try log.removeStaged(options.stream, owner: context.tag)
        }
        return StagedCommitter(log, stream: options.stream, owner: context.tag, room(context.metrics))
    }

    /// A full disk holds the job back, with a warning every minute, until there is room.
    private func room(_ metrics: OperatorMetrics) -> DiskWait {
        let reminder = Reminder()
        return DiskWait(timeout: diskWait, report: { error in
            if reminder.isDue { metrics.warn("writing waits for room on the disk: \(error)") }
        })
    }
}

/// Says when to tell again of something that goes on.
private final class Reminder: Sendable {
    private let told = Atomic<UInt64>(0)
    private static let gap: UInt64 = 60_000_000_000

    var isDue: Bool {
        let now = Clock.monotonicNanoseconds(), last = told.load(ordering: .relaxed)
        return (last == 0 || now - last > Self.gap) && told.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
    }
}

/// Rows as records with partition keys.
private struct RecordEncoding {
    private let encoder: any RecordEncoder
    private var keys: PartitionKeys
    private let metrics: OperatorMetrics
    private var ends: [Int] = []
    private(set) var pending = RecordBatch()

    /// More are passed on.
    private static let pendingBytesMax = 1 << 20

    init(_ encoder: any RecordEncoder, _ keys: PartitionKeys, _ metrics: OperatorMetrics) {
        self.encoder = encoder
        self.keys = keys
        self.metrics = metrics
    }

    var isFull: Bool { pending.byteCount >= Self.pendingBytesMax }

    mutating func append(_ batch: Batch, by bytes: inout EncodedBytes) throws {
        bytes.removeAll()
        ends.removeAll(keepingCapacity: true)
        try encoder.encode(batch, into: &bytes, ends: &ends)
        let all = bytes.bytes
        var start = 0
        keys.forEach(batch) { i, key in
            pending.append(data: UnsafeRawBufferPointer(rebasing: all[start..<ends[i]]), partitionKey: key)
            start = ends[i]
        }
        metrics.bytesOut.add(all.count)
    }

    mutating func removeAll() { pending.removeAll() }
}

private final class AppendingWriter: SinkWriter {
    private let writer: StreamWriter
    private var records: RecordEncoding
    private let room: DiskWait
    private var bytes = EncodedBytes(capacity: 1 << 16)

    init(_ writer: StreamWriter, _ records: RecordEncoding, _ room: DiskWait) {
        self.writer = writer
        self.records = records
        self.room = room
    }

    func write(_ batch: Batch) throws {
        try records.append(batch, by: &bytes)
        if records.isFull { try send() }
    }

    private func send() throws {
        try writer.append(records.pending, whileFull: room)
        records.removeAll()
    }

    func idle() throws { try send() }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try send()
        try writer.flush()
        return []
    }

    func abort() {
        records.removeAll()
        try? writer.close()
    }

    func close() throws {
        try send()
        try writer.close()
    }
}

private final class StagingWriter: SinkWriter {
    private let stager: RecordStager
    private var records: RecordEncoding
    private let isRecoverable: Bool
    private let room: DiskWait
    private var bytes = EncodedBytes(capacity: 1 << 16)

    init(_ stager: RecordStager, _ records: RecordEncoding, isRecoverable: Bool, _ room: DiskWait) {
        self.stager = stager
        self.records = records
        self.isRecoverable = isRecoverable
        self.room = room
    }

    func write(_ batch: Batch) throws {
        try records.append(batch, by: &bytes)
        if records.isFull { try stage() }
    }

    private func stage() throws {
        try stager.add(records.pending, whileFull: room)
        records.removeAll()
    }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try stage()
        return try stager.finish(isDurable: isRecoverable).map { [Committable($0.bytes)] } ?? []
    }

    func abort() {
        records.removeAll()
        stager.abandon()
    }

    func close() throws { abort() }
}

private final class StagedCommitter: SinkCommitter {
    private let log: ShardLog
    private let stream: String
    private let owner: String
    private let room: DiskWait
    /// Opened by the first commit; let go after a failure, as it may not know any more what is on disk.
    private var writer: StreamWriter?

    init(_ log: ShardLog, stream: String, owner: String, _ room: DiskWait) {
        self.log = log
        self.room = room
        self.stream = stream
        self.owner = owner
    }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        let parts = try committables.map { try StagedRecords(bytes: $0.bytes) }.sorted {
            ($0.producer, $0.firstSequence) < ($1.producer, $1.firstSequence)
        }
        guard !parts.isEmpty else { return }
        do {
            let writer = try writer ?? log.writer(stream, flush: .operatingSystem)
            self.writer = writer
            for part in parts { try writer.append(part, whileFull: room) }
            try writer.flush()
        } catch {
            writer = nil
            throw error
        }
        for part in parts { try log.remove(part, of: stream) }
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        try commit(checkpoint, committables)
        // The stream of a job that has not written yet may still have to be made.
        if log.exists(stream) { try log.removeStaged(stream, owner: owner) }
    }

    func close() {
        try? writer?.close()
        writer = nil
    }
}
