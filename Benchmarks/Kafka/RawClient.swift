import CRdKafka
import KafkaConnector
import StreamCore

/// librdkafka with nothing around it: what it can do at most. Settings are those of rdkafka_performance.
struct RawClient {
    let bootstrap: String

    /// Counts messages; called by librdkafka for each.
    private final class Counter {
        var messages = 0, bytes = 0
    }

    /// Reads a partition from its start (`rdkafka_performance -C`).
    func consume(_ topic: String, messages: Int) throws {
        let client = try KafkaClient(.consumer, KafkaConfiguration(["bootstrap.servers": bootstrap, "queued.min.messages": "1000000"]))
        let handle = rd_kafka_topic_new(client.handle, topic, nil)!
        defer { rd_kafka_topic_destroy(handle) }
        guard rd_kafka_consume_start(handle, 0, Int64(RD_KAFKA_OFFSET_BEGINNING)) == 0 else { throw client.error(rd_kafka_last_error(), "reading \(topic)") }
        let counter = Counter()
        while counter.messages < messages {
            let result = rd_kafka_consume_callback(handle, 0, 1_000, { message, opaque in
                guard let message, message.pointee.err == RD_KAFKA_RESP_ERR_NO_ERROR else { return }
                let counter = Unmanaged<Counter>.fromOpaque(opaque!).takeUnretainedValue()
                counter.messages += 1
                counter.bytes += message.pointee.len
            }, Unmanaged.passUnretained(counter).toOpaque())
            guard result >= 0 else { throw client.error(rd_kafka_last_error(), "reading \(topic)") }
        }
        rd_kafka_consume_stop(handle, 0)
    }

    /// Writes a message again and again (`rdkafka_performance -P`); or, as input for others, what `fill` puts at the address.
    func produce(_ topic: String, messages: Int, properties: [String: String] = [:], fill: ((Int, UnsafeMutablePointer<UInt8>) -> Int)? = nil) throws {
        let client = try KafkaClient(.producer, KafkaConfiguration(["bootstrap.servers": bootstrap, "queue.buffering.max.messages": "500000"].merging(properties) { $1 }),
                                     delivery: { message in
                                         if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { fatalError("not delivered: \(KafkaFailure.text(message.pointee.err))") }
                                     })
        let handle = rd_kafka_topic_new(client.handle, topic, nil)!
        defer { rd_kafka_topic_destroy(handle) }
        let buffer = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
        defer { buffer.deallocate() }
        var length = Self.fill(0, buffer)
        for i in 0..<messages {
            if let fill { length = fill(i, buffer) }
            while rd_kafka_produce(handle, 0, RD_KAFKA_MSG_F_COPY, buffer, length, nil, 0, nil) != 0 {
                guard rd_kafka_last_error() == RD_KAFKA_RESP_ERR__QUEUE_FULL else { throw client.error(rd_kafka_last_error(), "writing \(topic)") }
                client.poll(milliseconds: 10)
            }
            if i & 1_023 == 0 { client.poll() }
        }
        guard rd_kafka_flush(client.handle, 120_000) == RD_KAFKA_RESP_ERR_NO_ERROR else { throw client.error(RD_KAFKA_RESP_ERR__TIMED_OUT, "writing \(topic)") }
    }

    static let statuses = ["OK", "WARN", "FAIL"]
    /// A reading of about 100 bytes, 10 ms after the one before.
    static func text(_ i: Int) -> String {
        let time = DateTimeText.timestamp(1_704_067_200_000 + Int64(i) * 10, precision: 3).replacing(" ", with: "T")
        return #"{"sensor_id":\#(100 + i % 900),"current_temperature":\#(20 + i % 70).5,"status":"\#(statuses[i % 3])","event_time":"\#(time)"}"#
    }
    static func fill(_ i: Int, _ out: UnsafeMutablePointer<UInt8>) -> Int {
        var n = 0
        for byte in text(i).utf8 { out[n] = byte; n += 1 }
        return n
    }
}
