import CRdKafka
import StreamCore

/// What a partition of the target holds behind the checkpoint that the job resumes from: records that were copied and are about to come
/// again. They come in the same order, so each is looked for behind the one found before; records of others in between do not matter.
struct MirrorTail {
    fileprivate var prints: [(hash: Int, offset: Int64)] = []
    /// False where the broker stamps records with its own time.
    fileprivate var hasTimes = true
    private var next = 0
    private var scratch = TailScratch()

    fileprivate init() {}

    /// The offset in the target of a record that is there already; nil = it is not, and those after it are not either.
    mutating func find(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ time: Int64, _ headers: UnsafeRawBufferPointer,
                       _ mark: (name: String, value: String)?) -> Int64? {
        let hash = scratch.hash(key, value, hasTimes ? time : 0, headers, mark)
        for i in next..<prints.count where prints[i].hash == hash {
            next = i + 1
            return prints[i].offset
        }
        return nil
    }

    fileprivate static func hash(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ time: Int64, _ headers: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(key?.count ?? -1)
        if let key { hasher.combine(bytes: key) }
        hasher.combine(value?.count ?? -1)
        if let value { hasher.combine(bytes: value) }
        hasher.combine(time)
        hasher.combine(bytes: headers)
        return hasher.finalize()
    }
}

/// Puts a record's headers and its mark together.
private final class TailScratch {
    private var bytes = HeaderBytes()

    func hash(_ key: UnsafeRawBufferPointer?, _ value: UnsafeRawBufferPointer?, _ time: Int64, _ headers: UnsafeRawBufferPointer, _ mark: (name: String, value: String)?) -> Int {
        guard let mark else { return MirrorTail.hash(key, value, time, headers) }
        bytes.removeAll()
        bytes.append(raw: headers)
        var value8 = mark.value
        value8.withUTF8 { bytes.append(mark.name, $0.baseAddress, $0.count) }
        return MirrorTail.hash(key, value, time, UnsafeRawBufferPointer(start: bytes.base, count: bytes.count))
    }
}

/// Reads tails, with a consumer of its own.
final class MirrorTailReader {
    /// More are not compared: what comes again of them is written again.
    private static let recordsMax = 2_000_000
    private static let patience: Duration = .seconds(60)

    private let client: KafkaClient

    init(_ to: KafkaConfiguration) throws {
        var configuration = to
        for name in ["group.id", "transactional.id", "enable.idempotence", "transaction.timeout.ms"] { configuration.remove(name) }
        configuration.set("enable.partition.eof", "true")
        configuration.set("auto.offset.reset", "earliest")
        configuration.set("isolation.level", "read_committed")
        client = try KafkaClient(.consumer, configuration)
    }

    /// - Parameter from: nil = the beginning.
    func read(_ partition: TopicPartition, from: Int64?) throws -> MirrorTail? {
        let (low, high) = try client.bounds(partition)
        var position = max(low, from ?? low)
        guard position < high else { return nil }
        guard let topic = rd_kafka_topic_new(client.handle, partition.topic, nil) else { throw client.error(rd_kafka_last_error(), "opening topic \(partition.topic)") }
        defer { rd_kafka_topic_destroy(topic) }
        guard rd_kafka_consume_start(topic, partition.partition, position) == 0 else { throw client.error(rd_kafka_last_error(), "reading \(partition)") }
        defer { rd_kafka_consume_stop(topic, partition.partition) }
        var tail = MirrorTail(), headers = HeaderBytes()
        let room = 1_024, messages = UnsafeMutablePointer<UnsafeMutablePointer<rd_kafka_message_t>?>.allocate(capacity: room)
        defer { messages.deallocate() }
        var moved = ContinuousClock.now
        while position < high, tail.prints.count < Self.recordsMax {
            let count = rd_kafka_consume_batch(topic, partition.partition, 100, messages, room)
            guard count >= 0 else { throw client.error(rd_kafka_last_error(), "reading \(partition)") }
            var failure: StreamError?
            for i in 0..<count {
                let message = messages[i]!
                defer { rd_kafka_message_destroy(message) }
                switch message.pointee.err {
                case RD_KAFKA_RESP_ERR_NO_ERROR:
                    position = message.pointee.offset + 1
                    var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
                    var time = rd_kafka_message_timestamp(message, &kind)
                    if kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE { time = -1 }
                    if kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME { tail.hasTimes = false }
                    headers.removeAll()
                    _ = headers.append(message)
                    func bytes(_ start: UnsafeMutableRawPointer?, _ count: Int) -> UnsafeRawBufferPointer? { start.map { UnsafeRawBufferPointer(start: $0, count: count) } }
                    tail.prints.append((MirrorTail.hash(bytes(message.pointee.key, message.pointee.key_len), bytes(message.pointee.payload, message.pointee.len),
                                                        tail.hasTimes ? time : 0, UnsafeRawBufferPointer(start: headers.base, count: headers.count)), message.pointee.offset))
                case RD_KAFKA_RESP_ERR__PARTITION_EOF: position = max(position, message.pointee.offset)
                case let code where KafkaFailure.isTransient(code): break
                case let code: failure = client.error(code, "reading \(partition)")
                }
            }
            if let failure { throw failure }
            if count > 0 { moved = .now }
            if moved.duration(to: .now) > Self.patience { throw client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, "reading \(partition) from offset \(position) to \(high)") }
        }
        return tail
    }
}
