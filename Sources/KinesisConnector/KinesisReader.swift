import StreamCore
import StreamFormats
import Synchronization

/// Reads one shard: waits for its parents, decodes its records, and at its end for its children.
final class KinesisReader: SplitReader {
    private enum Phase {
        /// Its parents are being read.
        case blocked
        /// Its parents are at their ends; a batch without rows has shown that it is there.
        case shown
        case reading
        /// At its end, and its children are not ready yet.
        case drained
        case ended
    }

    private let stream: String
    private let shard: String
    private let client: any KinesisClient
    private let lineage: ShardLineage
    private let isBounded: Bool
    private let decoder: any RecordDecoder
    private let types: [DataType]
    private let metadata: [TableDescriptor.MetadataColumn]
    /// Where the decoder gives what the format tells, by key.
    private let formatMetadata: [String: Int]
    private let errors: ErrorRows
    private let metrics: OperatorMetrics

    private var phase = Phase.blocked
    private var feed: (any ShardFeed)?
    private var current: KinesisPosition
    private var chunk: ShardChunk?
    private var next = 0
    private var ranges: [Range<Int>] = []
    /// Grows while nothing comes, so that an idle shard costs little and a busy one is read at once.
    private var pause = minPause
    private var lag: Int64 = 0
    private var knowsLag = false
    private static let minPause: Int64 = 1
    private static let maxPause: Int64 = 20
    /// Of a shard whose growth is told of: it is looked at all the same, from time to time.
    private static let watchedPause: Int64 = 500
    private var wake: (@Sendable () -> Void)?
    /// Set while nobody reads: appends to a shard that is read anyway wake nobody.
    private final class Bell: Sendable { let isArmed = Atomic<Bool>(false) }
    private let bell = Bell()
    private var isTold = false

    init(stream: String, split: SourceSplit, client: any KinesisClient, lineage: ShardLineage, isBounded: Bool, decoder: any RecordDecoder, types: [DataType],
         metadata: [TableDescriptor.MetadataColumn], formatMetadata: [String: Int], errors: ErrorRows, metrics: OperatorMetrics) {
        self.stream = stream
        shard = split.id
        self.client = client
        self.lineage = lineage
        self.isBounded = isBounded
        self.decoder = decoder
        self.types = types
        self.metadata = metadata
        self.formatMetadata = formatMetadata
        self.errors = errors
        self.metrics = metrics
        current = KinesisPosition(parsing: split.position)
        errors.failure = { [unowned self] in failure($0) }
    }

    func onMore(_ wake: @escaping @Sendable () -> Void) { self.wake = wake }

    var position: String { current.description }
    var recordsBehind: Int64? { knowsLag ? lag : nil }

    func next(maxRows: Int) throws -> ReadResult {
        switch phase {
        case .reading: return try read(maxRows)
        case .blocked:
            if !current.hasBegun {
                switch lineage.turn(of: shard) {
                case .wait: return waiting()
                case .show:
                    phase = .shown
                    pause = Self.minPause
                    return .batch(noRows())
                case .read: break
                }
            }
            lineage.childIsReady(shard)
            return try begin(maxRows)
        case .shown:
            // That the parents have ended shows now; reading begins with the next turn, behind any checkpoint that was under way before.
            lineage.childIsReady(shard)
            if lineage.turn(of: shard) == .read { phase = .blocked }
            return waiting()
        case .drained:
            guard lineage.mayEnd(shard, findsChildren: !isBounded) else { return waiting() }
            phase = .ended
            return .endOfSplit
        case .ended: return .endOfSplit
        }
    }

    private func begin(_ maxRows: Int) throws -> ReadResult {
        feed = try client.feed(shard, from: current, isBounded: isBounded, metrics: metrics)
        if let wake {
            isTold = feed!.onGrowth { [bell] in if bell.isArmed.load(ordering: .relaxed), bell.isArmed.exchange(false, ordering: .sequentiallyConsistent) { wake() } }
        }
        phase = .reading
        pause = Self.minPause
        return try read(maxRows)
    }

    private func waiting() -> ReadResult {
        if isTold, pause >= Self.maxPause, phase == .reading, feed?.tellsOfGrowth ?? false {
            // It was armed before the read that has found nothing: what comes from then on is told.
            if bell.isArmed.load(ordering: .sequentiallyConsistent) { return .waiting(.milliseconds(Self.watchedPause)) }
            bell.isArmed.store(true, ordering: .sequentiallyConsistent)
        }
        defer { pause = min(pause * 2, Self.maxPause) }
        return .waiting(.milliseconds(pause))
    }

    private func read(_ maxRows: Int) throws -> ReadResult {
        if let chunk, next < chunk.count { return try decode(chunk, maxRows) }
        chunk = nil
        switch try feed!.next() {
        case .chunk(let fresh):
            pause = Self.minPause
            metrics.bytesIn.add(fresh.storedBytes)
            chunk = fresh
            next = 0
            return try decode(fresh, maxRows)
        case .nothing:
            setLag(try feed!.recordsBehind())
            return waiting()
        case .finished:
            setLag(0)
            closeFeed()
            phase = .drained
            pause = Self.minPause
            return try next(maxRows: maxRows)
        }
    }

    private func closeFeed() {
        feed?.close()
        feed = nil
        isTold = false
    }

    func close() {
        closeFeed()
        setLag(0)
    }

    private func decode(_ chunk: ShardChunk, _ maxRows: Int) throws -> ReadResult {
        let upTo = min(next + maxRows, chunk.count)
        let offsets = chunk.offsets
        ranges.removeAll(keepingCapacity: true)
        for i in next..<upTo { ranges.append(Int(offsets[4 * i])..<Int(offsets[4 * i + 1])) }
        var (batch, recordOfRow) = try decoder.decode(records: ranges, in: chunk.buffer)
        errors.merge(&batch, &recordOfRow, ranges)
        let first = next
        next = upTo
        if upTo > first { current = .after(chunk.number(upTo - 1)) }
        setLag(try feed!.recordsBehind().map { $0 + Int64(chunk.count - upTo) })
        guard !metadata.isEmpty else { return .batch(batch) }
        var result = batch
        result.columns = batch.columns.prefix(types.count) + metadata.map { wanted in
            formatMetadata[wanted.key].map { FormatMetadata.converted(batch.columns[$0], to: wanted.type) } ?? column(wanted, chunk, first: first, recordOfRow)
        }
        return .batch(result)
    }

    private func noRows() -> Batch { Batch(columns: (types + metadata.map(\.type)).map { Column.nulls(type: $0, count: 0) }, physicalCount: 0) }

    private func column(_ wanted: TableDescriptor.MetadataColumn, _ chunk: ShardChunk, first: Int, _ recordOfRow: [Int32]) -> Column {
        let n = recordOfRow.count
        switch wanted.key {
        case BadInput.reasonKey, BadInput.recordKey: return errors.column(wanted.key, type: wanted.type, count: n)
        case KinesisMetadata.shard: return .constant(.string(shard), type: wanted.type, count: n)
        case KinesisMetadata.timestamp:
            let values = Buffer(capacity: max(n, 1) * 8)
            chunk.timestamps(values.pointer(as: Int64.self), first: first, rows: recordOfRow, scale: wanted.type.timeUnit!.perMillisecond)
            return Column(type: wanted.type, count: n, values: values)
        case KinesisMetadata.key:
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for record in recordOfRow { builder.append(bytes: chunk.partitionKey(first + Int(record))) }
            return builder.finish()
        default:
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for record in recordOfRow { builder.append(string: chunk.number(first + Int(record))) }
            return builder.finish()
        }
    }

    /// At most 200 bytes, as text.
    private static func shown(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(200), as: UTF8.self) + (bytes.count > 200 ? "..." : "")
    }

    /// The counter is shared by the splits of a subtask, which take turns.
    private func setLag(_ now: Int64?) {
        guard let now else { return }
        metrics.lag.set(max(0, metrics.lag.get()) - lag + now)
        (lag, knowsLag) = (now, true)
    }

    private func failure(_ record: BadRecord) -> StreamError {
        // Called from inside `decode`, where `next` is still the first of the ranges.
        let index = record.record ?? ranges.lastIndex { $0.lowerBound <= record.offset } ?? 0
        let number = chunk.map { $0.number(next + index) } ?? position
        return StreamError(.runtime, "stream \(stream), \(shard), record \(number): \(record.reason), in \(Self.shown(record.bytes))",
                          fix: "correct the producer, or skip such records or put them aside with option '\(BadInput.option)'")
    }
}
