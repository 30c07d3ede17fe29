import CRdKafka
import StreamCore
import Synchronization

/// A producer of librdkafka: takes messages, waits while its queue is full, and keeps the first message that could not be delivered.
final class KafkaProducer: @unchecked Sendable {
    // SAFETY: `topics` is touched by the writer's thread only, until `close`; the rest is Sendable.
    let client: KafkaClient
    private let table: String
    private let failures: Failures
    private var topics: [String: OpaquePointer] = [:]

    private final class Failures: Sendable {
        let first = Mutex<StreamError?>(nil)
    }

    /// What the connector decides unless the user says otherwise.
    static func configuration(_ given: KafkaConfiguration, _ guarantee: KafkaSinkOptions.Guarantee) -> KafkaConfiguration {
        var configuration = given
        func number(_ names: String...) -> Int? { names.lazy.compactMap { given[$0] }.first.flatMap { Int($0) } }
        let acks = given["acks"] ?? given["request.required.acks"] ?? "all"
        let canRepeat = number("retries", "message.send.max.retries") != 0
        let keepsOrder = number("max.in.flight", "max.in.flight.requests.per.connection") ?? 5 <= 5
        if guarantee != .none, acks == "all" || acks == "-1", canRepeat, keepsOrder { configuration.set("enable.idempotence", "true", unlessGiven: true) }
        // Java's client chooses the same partition for the same key.
        configuration.set("partitioner", "murmur2_random", unlessGiven: true)
        // Messages that arrived are not told one by one.
        configuration.set("delivery.report.only.error", "true")
        configuration.set("queue.buffering.max.kbytes", "65536", unlessGiven: true)
        configuration.set("statistics.interval.ms", "5000", unlessGiven: true)
        return configuration
    }

    /// - Throws: `.validate` for properties that do not go together.
    init(_ configuration: KafkaConfiguration, table: String) throws {
        let failures = Failures()
        client = try KafkaClient(.producer, configuration, delivery: { message in
            let code = message.pointee.err
            guard code != RD_KAFKA_RESP_ERR_NO_ERROR, code != RD_KAFKA_RESP_ERR__PURGE_QUEUE, code != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT else { return }
            failures.first.withLock { first in
                guard first == nil else { return }
                let topic = message.pointee.rkt.map { String(cString: rd_kafka_topic_name($0)) } ?? "?"
                let place = message.pointee.partition < 0 ? "topic \(topic)" : "partition \(message.pointee.partition) of topic \(topic)"
                first = KafkaFailure.error(code, "table \(table): writing a message of \(message.pointee.len) bytes to \(place)", configuration: configuration)
            }
        })
        self.failures = failures
        self.table = table
    }

    deinit { close() }

    var what: String { "table \(table): writing" }

    /// - Throws: what became of a message, or an error that no repetition mends.
    func check() throws {
        if let fatal = client.fatalFailure(what) { throw fatal }
        if let failure = failures.first.withLock({ $0 }) { throw failure }
    }

    /// Serves what has come, without waiting.
    func poll() throws {
        client.poll()
        try check()
    }

    func topic(_ name: String) throws -> OpaquePointer {
        if let known = topics[name] { return known }
        guard let topic = rd_kafka_topic_new(client.handle, name, nil) else { throw client.error(rd_kafka_last_error(), "table \(table): writing to topic \(name)") }
        topics[name] = topic
        return topic
    }

    /// How many partitions the topic has; the broker may create it.
    func partitionCount(_ name: String) throws -> Int32 {
        let topic = try topic(name)
        let deadline = Clock.monotonicNanoseconds() + 30_000_000_000
        var code = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
        repeat {
            var result: UnsafePointer<rd_kafka_metadata>?
            code = rd_kafka_metadata(client.handle, 0, topic, &result, 5_000)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata = result {
                defer { rd_kafka_metadata_destroy(metadata) }
                if metadata.pointee.topic_cnt > 0 {
                    let found = metadata.pointee.topics[0]
                    if found.err == RD_KAFKA_RESP_ERR_NO_ERROR, found.partition_cnt > 0 { return found.partition_cnt }
                    code = found.err
                    guard KafkaFailure.isTransient(code) || code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART || code == RD_KAFKA_RESP_ERR_NO_ERROR else { break }
                }
            }
            client.poll(milliseconds: 100)
            if let fatal = client.fatalFailure(what) { throw fatal }
        } while Clock.monotonicNanoseconds() < deadline
        throw client.error(code, "table \(table): asking for the partitions of topic \(name)")
    }

    /// Takes copies of messages; waits while the queue is full.
    func send(_ topic: OpaquePointer, _ messages: UnsafeMutablePointer<rd_kafka_message_t>, _ count: Int) throws {
        var start = 0
        while start < count {
            let taken = rd_kafka_produce_batch(topic, -1, RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_PARTITION, messages + start, Int32(count - start))
            if Int(taken) == count - start { return }
            // After a full queue nothing else was taken.
            while start < count, messages[start].err == RD_KAFKA_RESP_ERR_NO_ERROR { start += 1 }
            guard start < count else { return }
            let message = messages[start]
            guard message.err == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw refusal(message.err, topic, message.partition, message.len) }
            try waitForRoom()
        }
    }

    /// Takes copies of one message with its time (0 = now) and headers, which become its own.
    func send(_ topic: OpaquePointer, _ message: rd_kafka_message_t, timestamp: Int64, headers: OpaquePointer?) throws {
        while true {
            let code = swiftwater_produce(client.handle, topic, message.partition, message.payload, message.len, message.key, message.key_len, timestamp, headers)
            if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
            do {
                guard code == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw refusal(code, topic, message.partition, message.len) }
                try waitForRoom()
            } catch {
                if let headers { rd_kafka_headers_destroy(headers) }
                throw error
            }
        }
    }

    private func waitForRoom() throws {
        client.poll(milliseconds: 5)
        try check()
    }

    private func refusal(_ code: rd_kafka_resp_err_t, _ topic: OpaquePointer, _ partition: Int32, _ size: Int) -> StreamError {
        client.poll()
        if let fatal = client.fatalFailure(what) { return fatal }
        let name = String(cString: rd_kafka_topic_name(topic))
        let place = partition < 0 ? "topic \(name)" : "partition \(partition) of topic \(name)"
        return KafkaFailure.error(code, "table \(table): writing a message of \(size) bytes to \(place)", configuration: client.configuration)
    }

    /// Waits until the brokers have every message.
    func flush() throws {
        while true {
            let code = rd_kafka_flush(client.handle, 500)
            try check()
            if code == RD_KAFKA_RESP_ERR_NO_ERROR { return }
        }
    }

    /// What was not delivered yet is dropped.
    func close() {
        topics.values.forEach { rd_kafka_topic_destroy($0) }
        topics = [:]
        client.close()
    }
}
