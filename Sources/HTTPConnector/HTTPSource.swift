import ShardLog
import StreamCore
import StreamFormats
import Synchronization

/// One split: the spool. The receiver listens while it is read.
final class HTTPSource: TableSource {
    private struct Run: Sendable {
        let spool: Spool
        let registration: ReceiverServer.Registration
        let metrics: OperatorMetrics
    }

    private let table: TableDescriptor
    private let scan: ScanRequest
    private let options: ReceiverOptions
    private let format: any Format
    private let host: Host
    private let run = Mutex<Run?>(nil)
    static let split = "spool"

    init(table: TableDescriptor, scan: ScanRequest, options: ReceiverOptions, format: any Format, host: Host) {
        self.table = table
        self.scan = scan
        self.options = options
        self.format = format
        self.host = host
    }

    var isBounded: Bool { false }
    var parallelism: Int? { 1 }
    var producesChanges: Bool { format.producesChanges }

    func splits() throws -> [SourceSplit] { [SourceSplit(id: Self.split, position: try Spool.start(options, host).text)] }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        guard split.id == Self.split else { throw StreamError(.runtime, "table \(table.name) has no split \(split.id)", fix: "start the job from a checkpoint of the same plan") }
        let spool = try Spool(options, host)
        do {
            let position = try Spool.Position(parsing: split.position ?? "")
            try spool.measureBacklog(from: position)
            let decoder = try FormatFactory.decoder(for: table, projection: scan.projection, metrics: metrics)
            let errors = try ErrorRows(options.onError, decoder, types: scan.projection.map { table.schema[$0].type }, metrics: metrics)
            let reader = try SpoolReader(spool, position, table: table.name, decoder: decoder, metadata: scan.metadata.map { table.metadata[$0] }, errors: errors, metrics: metrics)
            let registration = try ReceiverServer.register(try Receiver(options, table, spool, metrics, host), table: table.name)
            metrics.setGauge("http-port", Int64(registration.port))
            run.withLock { $0 = Run(spool: spool, registration: registration, metrics: metrics) }
            return reader
        } catch {
            spool.close()
            throw error
        }
    }

    func checkpointCompleted(_ positions: [SourceSplit]) {
        guard let run = run.withLock({ $0 }), let text = positions.first(where: { $0.id == Self.split })?.position, let position = try? Spool.Position(parsing: text) else { return }
        let metrics = run.metrics
        run.spool.completed(position) { metrics.warn($0) }
    }

    func runEnded() {
        let ended = run.withLock { $0.take() }
        ended?.registration.end()
        ended?.spool.close()
    }
}

/// Reads bodies from the spool, several at a time.
final class SpoolReader: SplitReader {
    private let spool: Spool
    private let reader: ShardReader
    private let table: String
    private let decoder: any RecordDecoder
    private let metadata: [TableDescriptor.MetadataColumn]
    private let errors: ErrorRows
    private let metrics: OperatorMetrics

    private var current: Spool.Position
    private var chunk: RecordChunk?
    /// The next entry of the chunk, and how many of its records are done.
    private var next = 0, done = 0
    /// Of the batch that is being made: its records, and the entries that they are from.
    private var ranges: [Range<Int>] = []
    private var stored: [SpoolEntry.Stored] = []
    private var entryOfRecord: [Int32] = [], numberOfRecord: [Int64] = []
    private var pause = minPause
    private var nextMeasure: UInt64 = 0
    private static let minPause: Int64 = 1, maxPause: Int64 = 20

    init(_ spool: Spool, _ position: Spool.Position, table: String, decoder: any RecordDecoder, metadata: [TableDescriptor.MetadataColumn], errors: ErrorRows,
         metrics: OperatorMetrics) throws {
        self.spool = spool
        self.table = table
        self.decoder = decoder
        self.metadata = metadata
        self.errors = errors
        self.metrics = metrics
        current = position
        reader = try spool.reader(from: position)
        done = position.done ?? 0
        errors.failure = { [unowned self] in failure($0) }
    }

    var position: String { current.text }

    func next(maxRows: Int) throws -> ReadResult {
        let flushed = try spool.flushedUpTo
        if let chunk, next >= chunk.count { self.chunk = nil }
        if chunk == nil {
            next = 0
            if reader.nextIndex < flushed, let fresh = try reader.read() {
                metrics.bytesIn.add(fresh.storedBytes)
                chunk = fresh
            }
        }
        guard let chunk, chunk.firstIndex + UInt64(next) < flushed else {
            measure()
            defer { pause = min(pause * 2, Self.maxPause) }
            return .waiting(.milliseconds(pause))
        }
        pause = Self.minPause
        return .batch(try decode(chunk, flushed, maxRows))
    }

    private func decode(_ chunk: RecordChunk, _ flushed: UInt64, _ maxRows: Int) throws -> Batch {
        ranges.removeAll(keepingCapacity: true)
        stored.removeAll(keepingCapacity: true)
        entryOfRecord.removeAll(keepingCapacity: true)
        numberOfRecord.removeAll(keepingCapacity: true)
        var (entry, done) = (next, done), bytes = 0, position = current
        while entry < chunk.count, ranges.count < maxRows, chunk.firstIndex + UInt64(entry) < flushed {
            let found = try SpoolEntry.read(chunk.buffer, Int(chunk.offsets[4 * entry])..<Int(chunk.offsets[4 * entry + 1]))
            let upTo = min(found.records.count, done + maxRows - ranges.count)
            for i in done..<max(upTo, done) {
                ranges.append(found.records[i])
                bytes += found.records[i].count
                entryOfRecord.append(Int32(truncatingIfNeeded: stored.count))
                numberOfRecord.append(Int64(found.firstRecord + i + 1))
            }
            stored.append(found)
            if upTo >= found.records.count {
                position = Spool.Position(sequence: chunk.sequence(entry))
                (entry, done) = (entry + 1, 0)
            } else {
                position = Spool.Position(sequence: chunk.sequence(entry), done: upTo)
                done = upTo
            }
        }
        var (batch, recordOfRow) = try decoder.decode(records: ranges, in: chunk.buffer)
        errors.merge(&batch, &recordOfRow, ranges)
        (next, self.done, current) = (entry, done, position)
        spool.handedOut(records: ranges.count, bytes: bytes)
        measure()
        guard !metadata.isEmpty else { return batch }
        var result = batch
        result.columns += metadata.map { column($0, recordOfRow) }
        return result
    }

    private func column(_ wanted: TableDescriptor.MetadataColumn, _ recordOfRow: [Int32]) -> Column {
        let n = recordOfRow.count
        switch wanted.key {
        case BadInput.reasonKey, BadInput.recordKey: return errors.column(wanted.key, type: wanted.type, count: n)
        case "received-time", "record-number":
            let values = Buffer(capacity: max(n, 1) * 8), out = values.pointer(as: Int64.self)
            if wanted.key == "record-number" {
                for i in 0..<n { out[i] = numberOfRecord[Int(recordOfRow[i])] }
            } else {
                let scale = wanted.type.timeUnit!.perMillisecond
                for i in 0..<n { out[i] = stored[Int(entryOfRecord[Int(recordOfRow[i])])].entry.received * scale }
            }
            return Column(type: wanted.type, count: n, values: values)
        default:
            // One text for each request.
            let texts = stored.map { Self.text($0.entry, wanted.key) }
            if texts.count == 1, let text = texts[0] { return .constant(.string(text), type: wanted.type, count: n) }
            let builder = ColumnBuilder(type: wanted.type, capacity: n)
            for record in recordOfRow {
                if let text = texts[Int(entryOfRecord[Int(record)])] { builder.append(string: text) } else { builder.appendNull() }
            }
            return builder.finish()
        }
    }

    private static func text(_ entry: SpoolEntry, _ key: String) -> String? {
        switch key {
        case "remote-address": return entry.remoteAddress
        case "content-type": return entry.contentType.isEmpty ? nil : entry.contentType
        case "method": return entry.method
        case "path": return entry.path
        default:
            let key = key.hasPrefix(ReceiverOptions.headerPrefix) ? key.lowercased() : key
            return entry.attributes.first { $0.key == key }?.value
        }
    }

    private func measure() {
        let (bytes, records, _) = spool.backlog
        metrics.lag.set(Int64(records))
        let now = Clock.monotonicNanoseconds()
        guard now >= nextMeasure else { return }
        nextMeasure = now + 250_000_000
        metrics.setGauge("http-backlog-bytes", Int64(bytes))
    }

    private func failure(_ record: BadRecord) -> StreamError {
        let index = record.record ?? ranges.lastIndex { $0.lowerBound <= record.offset } ?? 0
        let shown = String(decoding: record.bytes.prefix(200), as: UTF8.self) + (record.bytes.count > 200 ? "..." : "")
        var from = ""
        if index < entryOfRecord.count {
            let entry = stored[Int(entryOfRecord[index])].entry
            from = ", \(entry.method) \(entry.path) from \(entry.remoteAddress) at \(DateTimeText.timestamp(entry.received, precision: 3)), record \(numberOfRecord[index])"
        }
        return StreamError(.runtime, "table \(table)\(from): \(record.reason), in \(shown)",
                           fix: "skip such records or put them aside with option '\(BadInput.option)', or refuse such bodies with 'validate' = 'true'")
    }
}
