import ShardLog
import StreamCore
import Synchronization
import Topology

extension DeliveryRunner {
    /// Removes the records put to a stream.
    func deleteRecords(_ name: String) throws {
        let log = try ShardLog(directory: data, host: host), stream = DeliveryStream.directPutStream(name)
        if log.exists(stream) { try log.deleteStream(stream) }
    }
}

/// Appends records to the streams of the log that delivery streams read.
final class DirectPut: Sendable {
    private let log: ShardLog
    private let writers = Mutex<[String: StreamWriter]>([:])

    /// Records that were delivered, or could not be for this long, are removed.
    static let retention: Int64 = 7 * 86_400_000

    init(log: ShardLog) { self.log = log }

    /// Makes the stream that takes the records of a delivery stream.
    func create(_ name: String, key: String? = nil) throws {
        var settings = StreamSettings()
        settings.retentionMilliseconds = Self.retention
        settings.segmentBytes = 16 << 20
        settings.encryptionKey = key
        do {
            try log.createStream(DeliveryStream.directPutStream(name), settings: settings)
        } catch let error as StreamError where error.code == .conflict {
            // Of an earlier start, of a run of the topology, or of a creation that ended half-way.
        }
    }

    func encrypt(_ name: String, _ key: String?) throws {
        try log.update(DeliveryStream.directPutStream(name)) { settings, _ in settings.encryptionKey = key }
    }

    /// Appends durably. The ids of records are in their order.
    func append(_ records: [[UInt8]], to name: String) throws -> [String] {
        var batch = RecordBatch()
        for (i, record) in records.enumerated() { batch.append(Record(partitionKey: String(i), data: record)) }
        return try writer(name).append(batch).placements.map { $0.sequence?.description ?? "" }
    }

    private func writer(_ name: String) throws -> StreamWriter {
        if let known = writers.withLock({ $0[name] }) { return known }
        let made = try log.writer(DeliveryStream.directPutStream(name))
        return writers.withLock { writers in
            if let known = writers[name] { return known }
            writers[name] = made
            return made
        }
    }

    func forget(_ name: String) { try? writers.withLock { $0.removeValue(forKey: name) }?.close() }

    func close() {
        let all = writers.withLock { writers in
            defer { writers = [:] }
            return Array(writers.values)
        }
        for writer in all { try? writer.close() }
    }
}
