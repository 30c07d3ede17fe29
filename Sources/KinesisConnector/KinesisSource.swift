import ShardLog
import StreamCore
import StreamFormats
import Synchronization

/// One split per shard; a position is the sequence number of the last record that was read, or `TRIM_HORIZON`.
final class KinesisSource: TableSource {
    static let trimHorizon = "TRIM_HORIZON"

    private let table: TableDescriptor
    private let scan: ScanRequest
    private let options: KinesisOptions
    private let log: ShardLog
    private let format: any Format
    /// First index that is not read, per shard; taken once, when the job asks for the splits.
    private let ends = Mutex<[Int: UInt64]>([:])

    init(table: TableDescriptor, scan: ScanRequest, options: KinesisOptions, log: ShardLog, format: any Format) {
        self.table = table
        self.scan = scan
        self.options = options
        self.log = log
        self.format = format
    }

    var isBounded: Bool { options.isBounded }
    var producesChanges: Bool { format.producesChanges }

    func splits() throws -> [SourceSplit] {
        try options.makeStream(in: log)
        return try (0..<log.shardCount(options.stream)).map { shard in
            if isBounded { _ = try end(of: shard) }
            let start: ShardPosition? = switch options.start {
            case .trimHorizon: nil
            case .latest: .latest
            case .atTimestamp(let time): .atTimestamp(time)
            }
            // Resolved now, so that records that come before the first read are not missed.
            let position = try start.flatMap { try log.reader(options.stream, shard: shard, position: $0).lastSequence }
            return SourceSplit(id: Self.name(shard), position: position?.description ?? Self.trimHorizon)
        }
    }

    private static func name(_ shard: Int) -> String {
        let digits = String(shard)
        return "shardId-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }

    private func end(of shard: Int) throws -> UInt64 {
        if let known = ends.withLock({ $0[shard] }) { return known }
        let end = try log.reader(options.stream, shard: shard, position: .latest).nextIndex
        return ends.withLock { ends in
            if let known = ends[shard] { return known }
            ends[shard] = end
            return end
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        guard split.id.hasPrefix("shardId-"), let shard = Int(split.id.dropFirst(8)) else {
            throw StreamError(.runtime, "stream \(options.stream) has no shard \(split.id)", fix: "start the job from a checkpoint of the same plan")
        }
        let text = split.position ?? Self.trimHorizon
        let position: ShardPosition = text == Self.trimHorizon ? .trimHorizon : .after(try SequenceNumber(parsing: text))
        let reader = try log.reader(options.stream, shard: shard, position: position)
        let decoder = try FormatFactory.decoder(for: table, projection: scan.projection, metrics: metrics)
        let errors = try ErrorRows(options.onError, decoder, types: scan.projection.map { table.schema[$0].type }, metrics: metrics)
        return KinesisReader(reader, position: text, end: isBounded ? try end(of: shard) : nil, shardName: split.id, decoder: decoder,
                             metadata: scan.metadata.map { table.metadata[$0] }, errors: errors, metrics: metrics)
    }
}

private final class KinesisReader: SplitReader {
    private let reader: ShardReader
    private let end: UInt64?
    private let shardName: String
    private let decoder: any RecordDecoder
    private let metadata: [TableDescriptor.MetadataColumn]
    private let errors: ErrorRows
    private let metrics: OperatorMetrics

    private(set) var position: String
    private var chunk: RecordChunk?
    private var next = 0
    private var ranges: [Range<Int>] = []
    /// Grows while nothing comes, so that an idle shard costs little and a busy one is read at once.
    private var pause = minPause
    private var lag: Int64 = 0
    private static let minPause: Int64 = 1
    private static let maxPause: Int64 = 20

    init(_ reader: ShardReader, position: String, end: UInt64?, shardName: String, decoder: any RecordDecoder,
         metadata: [TableDescriptor.MetadataColumn], errors: ErrorRows, metrics: OperatorMetrics) {
        self.reader = reader
        self.position = position
        self.end = end
        self.shardName = shardName
        self.decoder = decoder
        self.metadata = metadata
        self.errors = errors
        self.metrics = metrics
        errors.failure = { [unowned self] in failure($0) }
    }

    func next(maxRows: Int) throws -> ReadResult {
        if let chunk, next < chunk.count { return try decode(chunk, maxRows: maxRows) }
        chunk = nil
        if let end, reader.nextIndex >= end {
            setLag(0)
            return .endOfSplit
        }
        guard let fresh = try reader.read() else {
            setLag(0)
            defer { pause = min(pause * 2, Self.maxPause) }
            return .waiting(.milliseconds(pause))
        }
        pause = Self.minPause
        metrics.bytesIn.add(fresh.storedBytes)
        chunk = fresh
        next = 0
        return try decode(fresh, maxRows: maxRows)
    }

    private func decode(_ chunk: RecordChunk, maxRows: Int) throws -> ReadResult {
        var upTo = min(next + maxRows, chunk.count)
        if let end { upTo = min(upTo, next + Int(clamping: end - (chunk.firstIndex + UInt64(next)))) }
        let offsets = chunk.offsets
        ranges.removeAll(keepingCapacity: true)
        for i in next..<upTo { ranges.append(Int(offsets[4 * i])..<Int(offsets[4 * i + 1])) }
        var (batch, recordOfRow) = try decoder.decode(records: ranges, in: chunk.buffer)
        errors.merge(&batch, &recordOfRow, ranges)
        let first = next
        next = upTo
        position = chunk.sequence(upTo - 1).description
        // The rest of a chunk that goes beyond a bounded read's end is not looked at.
        if let end, chunk.firstIndex + UInt64(upTo) >= end { self.chunk = nil }
        setLag(try reader.recordsBehind() + Int64(chunk.count - upTo))
        guard !metadata.isEmpty else { return .batch(batch) }
        var result = batch
        result.columns += metadata.map { column($0, chunk, first: first, recordOfRow) }
        return .batch(result)
    }

    private func column(_ wanted: TableDescriptor.MetadataColumn, _ chunk: RecordChunk, first: Int, _ recordOfRow: [Int32]) -> Column {
        let n = recordOfRow.count
        switch wanted.key {
        case BadInput.reasonKey, BadInput.recordKey: return errors.column(wanted.key, type: wanted.type, count: n)
        case "shard-id": return .constant(.string(shardName), type: wanted.type, count: n)
        case "timestamp":
            let values = Buffer(capacity: max(n, 1) * 8)
            let out = values.pointer(as: Int64.self)
            let scale = wanted.type.timeUnit!.perMillisecond
            var run = 0
            for i in 0..<n {
                let record = first + Int(recordOfRow[i])
                while run + 1 < chunk.runs.count, chunk.runs[run + 1].start <= record { run += 1 }
                out[i] = chunk.runs[run].timestamp * scale
            }
            return Column(type: wanted.type, count: n, values: values)
        default:
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for record in recordOfRow { builder.append(string: chunk.sequence(first + Int(record)).description) }
            return builder.finish()
        }
    }

    /// At most 200 bytes, as text.
    private static func shown(_ bytes: [UInt8]) -> String {
        String(decoding: bytes.prefix(200), as: UTF8.self) + (bytes.count > 200 ? "..." : "")
    }

    /// The counter is shared by the splits of a subtask, which take turns.
    private func setLag(_ now: Int64) {
        metrics.lag.set(max(0, metrics.lag.get()) - lag + now)
        lag = now
    }

    private func failure(_ record: BadRecord) -> StreamError {
        // Called from inside `decode`, where `next` is still the first of the ranges.
        let index = record.record ?? ranges.lastIndex { $0.lowerBound <= record.offset } ?? 0
        let sequence = chunk.map { $0.sequence(next + index).description } ?? position
        return StreamError(.runtime, "stream \(reader.stream), \(shardName), record \(sequence): \(record.reason), in \(Self.shown(record.bytes))",
                          fix: "correct the producer, or skip such records or put them aside with option '\(BadInput.option)'")
    }
}
