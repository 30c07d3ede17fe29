import AWSProtocol
import StreamCore
import StreamFormats

/// Writes rows with PutRecords, at least once: a checkpoint completes when all records before it have been accepted.
struct EndpointSink: TableSink {
    let table: TableDescriptor
    let options: KinesisOptions
    let endpoint: EndpointOptions
    let acceptsChanges: Bool
    let host: StreamCore.Host

    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        let keys: PartitionKeys = switch options.partitioner {
        case .random: .random(.init(state: host.randomBits()))
        case .fixed: .fixed("subtask-\(context.subtask)")
        case .columns(let columns, let delimiter): .columns(columns, table.schema, delimiter: delimiter)
        }
        let connection = EndpointConnection(endpoint, table: table.name)
        _ = try connection.openStream(creating: options.createShards)
        return EndpointWriter(connection, try FormatFactory.encoder(for: table), keys, isKeyed: options.partitioner != .random, context.metrics)
    }
}

private final class EndpointWriter: SinkWriter {
    private let encoder: any RecordEncoder
    private var keys: PartitionKeys
    private let isKeyed: Bool
    private let metrics: OperatorMetrics
    private let queue: PutQueue
    private var bytes = EncodedBytes(capacity: 1 << 16)
    private var ends: [Int] = []

    /// Records are passed on in pieces of so many, so that sending begins early.
    private static let pieceMax = 1_000

    init(_ connection: EndpointConnection, _ encoder: any RecordEncoder, _ keys: PartitionKeys, isKeyed: Bool, _ metrics: OperatorMetrics) {
        self.encoder = encoder
        self.keys = keys
        self.isKeyed = isKeyed
        self.metrics = metrics
        queue = PutQueue(connection, metrics)
    }

    deinit { queue.close() }

    func write(_ batch: Batch) throws {
        bytes.removeAll()
        ends.removeAll(keepingCapacity: true)
        try encoder.encode(batch, into: &bytes, ends: &ends)
        let all = bytes.bytes
        metrics.bytesOut.add(all.count)
        var entries: [PutEntry] = [], start = 0, failure: (any Error)?
        keys.forEach(batch) { i, key in
            entries.append(PutEntry(data: UnsafeRawBufferPointer(rebasing: all[start..<ends[i]]), key: key, isKeyed: isKeyed))
            start = ends[i]
            guard entries.count >= Self.pieceMax, failure == nil else { return }
            do { try queue.add(entries) } catch { failure = error }
            entries.removeAll(keepingCapacity: true)
        }
        if let failure { throw failure }
        try queue.add(entries)
    }

    func idle() throws { try queue.sendSoon() }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        try queue.flush()
        return []
    }

    func abort() { queue.close() }

    func close() throws {
        defer { queue.close() }
        try queue.flush()
    }
}

/// A record as it goes into a request.
struct PutEntry {
    /// `{"Data":"...","PartitionKey":"..."}`
    let json: [UInt8]
    /// Bytes of data and key, as the service counts them.
    let size: Int
    /// Records of one key have the same; nil where keys are chance and order is of no matter.
    let order: UInt64?

    init(data: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, isKeyed: Bool) {
        var json: [UInt8] = []
        json.reserveCapacity(data.count * 4 / 3 + key.count + 40)
        json += #"{"Data":""#.utf8
        Base64.encode(data, to: &json)
        json += #"","PartitionKey":"#.utf8
        AWSJSON.quote(String(decoding: key, as: UTF8.self), to: &json)
        json.append(UInt8(ascii: "}"))
        self.json = json
        size = data.count + key.count
        guard isKeyed else { order = nil; return }
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a
        for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        order = hash
    }
}
