import CRdKafka
import StreamCore

/// Appends messages to a topic, without a job.
public final class KafkaAppender {
    private let producer: KafkaProducer
    private let topic: OpaquePointer

    /// - Parameter partitions: of the topic, which is created when it is missing.
    public init(topic: String, _ properties: [String: String], prefix: String, options: [String: String] = [:], partitions: Int32 = 1) throws {
        let configuration = try KafkaConfiguration(properties, prefix: prefix, options: options)
        producer = try KafkaProducer(KafkaProducer.configuration(configuration, .atLeastOnce), table: topic)
        // Asked for first, as a user may be allowed to write to a topic but not to create one.
        if try producer.client.topics([topic]).isEmpty { try producer.client.createTopic(topic, partitions: partitions) }
        self.topic = try producer.topic(topic)
    }

    /// Messages of one key go to one partition.
    public func append(key: String, value: String) throws {
        var key = key, value = value
        try key.withUTF8 { key in
            try value.withUTF8 { value in
                var message = rd_kafka_message_t()
                message.partition = -1
                message.payload = UnsafeMutableRawPointer(mutating: value.baseAddress)
                message.len = value.count
                message.key = UnsafeMutableRawPointer(mutating: key.baseAddress)
                message.key_len = key.count
                try producer.send(topic, &message, 1)
            }
        }
    }

    /// Waits until the brokers have every message.
    public func flush() throws { try producer.flush() }
}
