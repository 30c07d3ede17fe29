import CRdKafka
import StreamCore

/// A consumer group as the cluster lists it.
public struct GroupInfo: Sendable, Hashable {
    public var name: String
    /// `Stable`, `Empty`, `Dead`, `PreparingRebalance` or `CompletingRebalance`; empty when the cluster does not tell.
    public var state: String
    /// Members read: offsets can only be set by one of them.
    public var isActive: Bool { !state.isEmpty && state != "Empty" && state != "Dead" }
}

/// Consumer groups, and the offsets of groups that this client is not a member of.
extension KafkaClient {
    /// All consumer groups that the brokers know.
    public func groups(timeout: Int32 = defaultTimeout) throws -> [GroupInfo] {
        guard let groups = try groupsIfListed(timeout: timeout) else { throw error(RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE, "asking the cluster for its groups") }
        return groups
    }

    /// All consumer groups that the brokers know; nil when they are brokers that list none.
    func groupsIfListed(timeout: Int32 = defaultTimeout) throws -> [GroupInfo]? {
        var result: UnsafePointer<rd_kafka_group_list>?
        let code = rd_kafka_list_groups(handle, nil, &result, timeout)
        if code == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE { return nil }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR || code == RD_KAFKA_RESP_ERR__PARTIAL, let list = result else { throw error(code, "asking the cluster for its groups") }
        defer { rd_kafka_group_list_destroy(list) }
        return (0..<Int(list.pointee.group_cnt)).compactMap { i in
            let group = list.pointee.groups[i]
            guard group.err == RD_KAFKA_RESP_ERR_NO_ERROR, let name = group.group else { return nil }
            // Other users of the group protocol, such as Connect's workers, have no offsets.
            if let type = group.protocol_type.map({ String(cString: $0) }), !type.isEmpty, type != "consumer" { return nil }
            return GroupInfo(name: String(cString: name), state: group.state.map { String(cString: $0) } ?? "")
        }.sorted { $0.name < $1.name }
    }

    /// What a group has committed. nil = of all partitions that it has committed something of.
    public func offsets(ofGroup group: String, _ partitions: [TopicPartition]? = nil, timeout: Int32 = defaultTimeout) throws -> [TopicPartition: Int64] {
        let list = partitions.map { partitions in
            let list = rd_kafka_topic_partition_list_new(Int32(max(partitions.count, 1)))!
            for partition in partitions { rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition) }
            return list
        }
        defer { if let list { rd_kafka_topic_partition_list_destroy(list) } }
        let request = rd_kafka_ListConsumerGroupOffsets_new(group, list)
        defer { rd_kafka_ListConsumerGroupOffsets_destroy(request) }
        return try admin(timeout) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_ListConsumerGroupOffsets(handle, &requests, 1, options, queue)
        } read: { event in
            var count = 0
            guard let listed = rd_kafka_event_ListConsumerGroupOffsets_result(event), let all = rd_kafka_ListConsumerGroupOffsets_result_groups(listed, &count), count > 0, let first = all[0] else { return [:] }
            if let problem = rd_kafka_group_result_error(first) {
                throw error(rd_kafka_error_code(problem), "asking for the offsets of group \(group)", said: String(cString: rd_kafka_error_string(problem)))
            }
            var result: [TopicPartition: Int64] = [:]
            guard let found = rd_kafka_group_result_partitions(first) else { return result }
            for i in 0..<Int(found.pointee.cnt) {
                let entry = found.pointee.elems[i]
                guard entry.err == RD_KAFKA_RESP_ERR_NO_ERROR, entry.offset >= 0 else { continue }
                result[TopicPartition(String(cString: entry.topic), entry.partition)] = entry.offset
            }
            return result
        }
    }

    /// Sets the offsets of a group that nobody is a member of now.
    ///
    /// - Throws: when the broker refuses it for one of the partitions: the group may have become active.
    public func setOffsets(ofGroup group: String, _ offsets: [TopicPartition: Int64], timeout: Int32 = defaultTimeout) throws {
        guard !offsets.isEmpty else { return }
        let list = rd_kafka_topic_partition_list_new(Int32(offsets.count))!
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (partition, offset) in offsets { rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset }
        let request = rd_kafka_AlterConsumerGroupOffsets_new(group, list)
        defer { rd_kafka_AlterConsumerGroupOffsets_destroy(request) }
        try admin(timeout) { options, queue in
            var requests: [OpaquePointer?] = [request]
            rd_kafka_AlterConsumerGroupOffsets(handle, &requests, 1, options, queue)
        } read: { event in
            var count = 0
            guard let altered = rd_kafka_event_AlterConsumerGroupOffsets_result(event), let all = rd_kafka_AlterConsumerGroupOffsets_result_groups(altered, &count), count > 0, let first = all[0] else { return }
            if let problem = rd_kafka_group_result_error(first) {
                throw error(rd_kafka_error_code(problem), "setting the offsets of group \(group)", said: String(cString: rd_kafka_error_string(problem)))
            }
            guard let done = rd_kafka_group_result_partitions(first) else { return }
            for i in 0..<Int(done.pointee.cnt) where done.pointee.elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR {
                let entry = done.pointee.elems[i]
                throw error(entry.err, "setting the offset of group \(group) in \(String(cString: entry.topic))-\(entry.partition)")
            }
        }
    }
}
