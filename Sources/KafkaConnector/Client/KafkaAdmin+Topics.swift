import CRdKafka
import StreamCore

/// A setting of a topic, as the cluster describes it.
public struct TopicSetting: Sendable, Hashable {
    public var value: String
    /// Given for this topic, rather than taken over from the broker or from Kafka's defaults.
    public var isOwn: Bool
    public var isReadOnly: Bool
}

/// Settings and sizes of topics.
extension KafkaClient {
    /// The settings of topics by name, without those whose values are kept secret.
    ///
    /// - Throws: `.io` when the cluster does not answer, or cannot describe settings.
    public func settings(_ topics: [String], timeout: Int32 = defaultTimeout) throws -> [String: [String: TopicSetting]] {
        guard !topics.isEmpty else { return [:] }
        var resources: [OpaquePointer?] = topics.map { rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, $0) }
        defer { rd_kafka_ConfigResource_destroy_array(&resources, resources.count) }
        return try admin(timeout) { options, queue in
            rd_kafka_DescribeConfigs(handle, &resources, resources.count, options, queue)
        } read: { event in
            var result: [String: [String: TopicSetting]] = [:], count = 0
            guard let described = rd_kafka_event_DescribeConfigs_result(event), let all = rd_kafka_DescribeConfigs_result_resources(described, &count) else { return [:] }
            for i in 0..<count {
                guard let resource = all[i], let name = rd_kafka_ConfigResource_name(resource).map({ String(cString: $0) }) else { continue }
                let code = rd_kafka_ConfigResource_error(resource)
                guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                    throw error(code, "asking for the settings of topic \(name)", said: rd_kafka_ConfigResource_error_string(resource).map { String(cString: $0) })
                }
                var entries = 0, settings: [String: TopicSetting] = [:]
                guard let list = rd_kafka_ConfigResource_configs(resource, &entries) else { continue }
                for j in 0..<entries {
                    guard let entry = list[j], rd_kafka_ConfigEntry_is_sensitive(entry) != 1, let key = rd_kafka_ConfigEntry_name(entry), let value = rd_kafka_ConfigEntry_value(entry) else { continue }
                    let source = rd_kafka_ConfigEntry_source(entry)
                    let isOwn = source == RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG
                        || source == RD_KAFKA_CONFIG_SOURCE_UNKNOWN_CONFIG && rd_kafka_ConfigEntry_is_default(entry) == 0
                    settings[String(cString: key)] = TopicSetting(value: String(cString: value), isOwn: isOwn, isReadOnly: rd_kafka_ConfigEntry_is_read_only(entry) == 1)
                }
                result[name] = settings
            }
            return result
        }
    }

    /// Makes these all of a topic's own settings: others go back to the broker's.
    public func setSettings(_ topic: String, _ settings: [String: String], timeout: Int32 = defaultTimeout) throws {
        let resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic)
        defer { rd_kafka_ConfigResource_destroy(resource) }
        for (key, value) in settings { rd_kafka_ConfigResource_set_config(resource, key, value) }
        try admin(timeout) { options, queue in
            var resources: [OpaquePointer?] = [resource]
            rd_kafka_AlterConfigs(handle, &resources, 1, options, queue)
        } read: { event in
            var count = 0
            guard let altered = rd_kafka_event_AlterConfigs_result(event), let all = rd_kafka_AlterConfigs_result_resources(altered, &count), count > 0, let first = all[0] else { return }
            let code = rd_kafka_ConfigResource_error(first)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw error(code, "changing the settings of topic \(topic)", said: rd_kafka_ConfigResource_error_string(first).map { String(cString: $0) })
            }
        }
    }

    /// Lets a topic grow to `count` partitions.
    public func addPartitions(_ topic: String, to count: Int, timeout: Int32 = defaultTimeout) throws {
        var text = [CChar](repeating: 0, count: 512)
        guard let wanted = rd_kafka_NewPartitions_new(topic, count, &text, text.count) else {
            throw StreamError(.validate, "topic \(topic) cannot have \(count) partitions: " + String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        defer { rd_kafka_NewPartitions_destroy(wanted) }
        try admin(timeout) { options, queue in
            var all: [OpaquePointer?] = [wanted]
            rd_kafka_CreatePartitions(handle, &all, 1, options, queue)
        } read: { event in
            var count = 0
            guard let made = rd_kafka_event_CreatePartitions_result(event), let all = rd_kafka_CreatePartitions_result_topics(made, &count), count > 0, let first = all[0] else { return }
            let code = rd_kafka_topic_result_error(first)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw error(code, "adding partitions to topic \(topic)", said: rd_kafka_topic_result_error_string(first).map { String(cString: $0) })
            }
        }
    }
}
