import ShardLog
import StreamCore
import StreamFormats

/// Appends rows as records. They are readable at once; a commit makes sure that they are on disk.
struct KinesisSink: TableSink {
    let table: TableDescriptor
    let options: KinesisOptions
    let log: ShardLog
    let acceptsChanges: Bool

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        let keys: PartitionKeys = switch options.partitioner {
        case .random: .random(SystemRandomNumberGenerator())
        case .fixed: .fixed("subtask-\(context.subtask)")
        case .columns(let columns, let delimiter): .columns(columns, table.schema, delimiter: delimiter)
        }
        try options.makeStream(in: log)
        return KinesisWriter(try log.writer(options.stream, flush: options.flush), encoder: try FormatFactory.encoder(for: table), keys: keys, metrics: context.metrics)
    }
}

/// Makes partition keys.
private enum PartitionKeys {
    case random(SystemRandomNumberGenerator)
    case fixed(String)
    case columns([Int], Schema, delimiter: String)

    /// Calls `use` with the key of each selected row.
    mutating func forEach(_ batch: Batch, _ use: (Int, UnsafeRawBufferPointer) -> Void) {
        switch self {
        case .random(var generator):
            var key: (UInt64, UInt64) = (0, 0)
            for i in 0..<batch.count {
                key = (Self.digits(generator.next()), Self.digits(generator.next()))
                withUnsafeBytes(of: &key) { use(i, $0) }
            }
            self = .random(generator)
        case .fixed(var key):
            key.withUTF8 { for i in 0..<batch.count { use(i, UnsafeRawBufferPointer($0)) } }
        case .columns(let columns, let schema, let delimiter):
            for i in 0..<batch.count {
                var key = ""
                for (k, column) in columns.enumerated() {
                    if k > 0 { key += delimiter }
                    key += batch.columns[column].value(at: batch.row(i)).plainText(as: schema[column].type)
                }
                // The service takes 1 to 256 characters; Flink cuts there too.
                if key.isEmpty { key = " " }
                if key.utf8.count > 256 { key = String(String.UnicodeScalarView(key.unicodeScalars.prefix(256))) }
                key.withUTF8 { use(i, UnsafeRawBufferPointer($0)) }
            }
        }
    }

    /// Eight hexadecimal digits, as bytes.
    private static func digits(_ bits: UInt64) -> UInt64 {
        var digits: UInt64 = 0
        for d in 0..<8 {
            let nibble = bits >> UInt64(4 * d) & 15
            digits |= (nibble < 10 ? 0x30 + nibble : 0x57 + nibble) << UInt64(8 * d)
        }
        return digits
    }
}

private final class KinesisWriter: SinkWriter {
    private let writer: StreamWriter
    private let encoder: any RecordEncoder
    private var keys: PartitionKeys
    private let metrics: OperatorMetrics
    private var bytes = EncodedBytes(capacity: 1 << 16)
    private var ends: [Int] = []
    private var pending = RecordBatch()

    private static let pendingBytesMax = 1 << 20

    init(_ writer: StreamWriter, encoder: any RecordEncoder, keys: PartitionKeys, metrics: OperatorMetrics) {
        self.writer = writer
        self.encoder = encoder
        self.keys = keys
        self.metrics = metrics
    }

    func write(_ batch: Batch) throws {
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
        if pending.byteCount >= Self.pendingBytesMax { try send() }
    }

    private func send() throws {
        try writer.append(pending)
        pending.removeAll()
    }

    func idle() throws { try send() }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try send()
        try writer.flush()
        return []
    }

    func abort() {
        pending.removeAll()
        try? writer.close()
    }

    func close() throws {
        try send()
        try writer.close()
    }
}
