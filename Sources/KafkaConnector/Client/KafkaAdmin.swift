import CRdKafka
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A partition of a topic.
public struct TopicPartition: Hashable, Sendable, Comparable, CustomStringConvertible {
    public var topic: String
    public var partition: Int32
    public init(_ topic: String, _ partition: Int32) { (self.topic, self.partition) = (topic, partition) }
    public var description: String { "\(topic)-\(partition)" }
    public static func < (a: Self, b: Self) -> Bool { (a.topic, a.partition) < (b.topic, b.partition) }
}

/// A topic as the cluster describes it.
public struct TopicInfo: Sendable {
    public var name: String
    public var partitions: [PartitionInfo]
    public struct PartitionInfo: Sendable {
        public var id: Int32
        /// -1 = none at present.
        public var leader: Int32
        public var replicas: [Int32]
        public var inSyncReplicas: [Int32]
    }
}

/// Questions to a cluster and changes of it. All calls wait, at most for the time limit.
extension KafkaClient {
    public static let defaultTimeout: Int32 = 30_000

    /// Topics by name; those that do not exist are left out. nil = all, without the cluster's internal ones.
    ///
    /// - Throws: `.io` when no broker answers in time, or the topic may not be seen.
    public func topics(_ names: [String]? = nil, timeout: Int32 = defaultTimeout) throws -> [TopicInfo] {
        // Asking for all never creates a topic, which asking for one by name may do.
        var result: UnsafePointer<rd_kafka_metadata>?
        let code = rd_kafka_metadata(handle, 1, nil, &result, timeout)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR, let metadata = result else { throw error(code, "asking the cluster for its topics") }
        defer { rd_kafka_metadata_destroy(metadata) }
        let wanted = names.map(Set.init)
        var topics: [TopicInfo] = []
        for i in 0..<Int(metadata.pointee.topic_cnt) {
            let topic = metadata.pointee.topics[i], name = String(cString: topic.topic)
            if let wanted { guard wanted.contains(name) else { continue } } else if name.hasPrefix("__") { continue }
            if topic.err != RD_KAFKA_RESP_ERR_NO_ERROR, topic.err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE {
                if topic.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART { continue }
                throw KafkaFailure.error(topic.err, "topic \(name)", configuration: configuration)
            }
            let partitions = (0..<Int(topic.partition_cnt)).map { p in
                let info = topic.partitions[p]
                return TopicInfo.PartitionInfo(id: info.id, leader: info.leader, replicas: (0..<Int(info.replica_cnt)).map { info.replicas[$0] },
                                               inSyncReplicas: (0..<Int(info.isr_cnt)).map { info.isrs[$0] })
            }
            topics.append(TopicInfo(name: name, partitions: partitions.sorted { $0.id < $1.id }))
        }
        return topics.sorted { $0.name < $1.name }
    }

    /// Offset of the first record there is, and the one behind the last.
    public func bounds(_ partition: TopicPartition, timeout: Int32 = defaultTimeout) throws -> (low: Int64, high: Int64) {
        var low: Int64 = 0, high: Int64 = 0
        let code = patiently(timeout) { rd_kafka_query_watermark_offsets(handle, partition.topic, partition.partition, &low, &high, $0) }
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code, "asking for the offsets of \(partition)") }
        return (low, high)
    }

    /// The offset of the first record at or after a time in milliseconds; nil when there is none.
    public func offsets(at time: Int64, _ partitions: [TopicPartition], timeout: Int32 = defaultTimeout) throws -> [TopicPartition: Int64?] {
        try withList(partitions.map { ($0, time) }) { list in
            let code = patiently(timeout) { left in
                for i in 0..<Int(list.pointee.cnt) { list.pointee.elems[i].offset = time }
                return rd_kafka_offsets_for_times(handle, list, left)
            }
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code, "asking for the offsets at \(time) of \(partitions.map(\.description).joined(separator: ", "))") }
            return try read(list, "asking for the offset at \(time) of").mapValues { $0 >= 0 ? $0 : nil }
        }
    }

    /// What the group of this consumer (`group.id`) has committed; nil = nothing.
    public func committed(_ partitions: [TopicPartition], timeout: Int32 = defaultTimeout) throws -> [TopicPartition: Int64?] {
        try withList(partitions.map { ($0, Int64(RD_KAFKA_OFFSET_INVALID)) }) { list in
            let code = rd_kafka_committed(handle, list, timeout)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code, "asking for the offsets of group \(configuration["group.id"] ?? "")") }
            return try read(list, "asking for the committed offset of").mapValues { $0 >= 0 ? $0 : nil }
        }
    }

    /// Commits offsets to the group of this consumer, and waits for the answer.
    public func commit(_ offsets: [TopicPartition: Int64]) throws {
        guard !offsets.isEmpty else { return }
        try withList(offsets.map { ($0.key, $0.value) }) { list in
            let code = rd_kafka_commit(handle, list, 0)
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code, "committing offsets to group \(configuration["group.id"] ?? "")") }
        }
    }

    /// Asks again after answers that tell of a leader that is moving, until the time is up.
    private func patiently(_ timeout: Int32, _ ask: (_ left: Int32) -> rd_kafka_resp_err_t) -> rd_kafka_resp_err_t {
        let end = Clock.monotonicNanoseconds() + UInt64(timeout) * 1_000_000
        var pause: UInt32 = 50_000
        while true {
            let now = Clock.monotonicNanoseconds()
            let code = ask(max(1, Int32(truncatingIfNeeded: (end - min(now, end)) / 1_000_000)))
            switch code {
            case RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE,
                 RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, RD_KAFKA_RESP_ERR_FENCED_LEADER_EPOCH, RD_KAFKA_RESP_ERR_UNKNOWN_LEADER_EPOCH,
                 RD_KAFKA_RESP_ERR_OFFSET_NOT_AVAILABLE:
                guard Clock.monotonicNanoseconds() + UInt64(pause) * 1_000 < end else { return code }
                usleep(pause)
                pause = min(pause * 2, 1_000_000)
            default: return code
            }
        }
    }

    private func withList<T>(_ entries: [(TopicPartition, Int64)], _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws -> T) throws -> T {
        let list = rd_kafka_topic_partition_list_new(Int32(max(entries.count, 1)))!
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (partition, offset) in entries { rd_kafka_topic_partition_list_add(list, partition.topic, partition.partition).pointee.offset = offset }
        return try body(list)
    }

    private func read(_ list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>, _ what: String) throws -> [TopicPartition: Int64] {
        var result: [TopicPartition: Int64] = [:]
        for i in 0..<Int(list.pointee.cnt) {
            let entry = list.pointee.elems[i], partition = TopicPartition(String(cString: entry.topic), entry.partition)
            guard entry.err == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(entry.err, "\(what) \(partition)") }
            result[partition] = entry.offset
        }
        return result
    }

    // MARK: Changes

    /// Makes a topic. - Returns: false when it is there already.
    @discardableResult
    public func createTopic(_ name: String, partitions: Int32, replication: Int32 = -1, settings: [String: String] = [:], timeout: Int32 = defaultTimeout) throws -> Bool {
        var text = [CChar](repeating: 0, count: 512)
        guard let topic = rd_kafka_NewTopic_new(name, partitions, replication, &text, text.count) else {
            throw StreamError(.validate, "topic \(name) cannot be created: " + String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
        }
        defer { rd_kafka_NewTopic_destroy(topic) }
        for (key, value) in settings { rd_kafka_NewTopic_set_config(topic, key, value) }
        let code = try admin(timeout) { options, queue in
            var topics: [OpaquePointer?] = [topic]
            rd_kafka_CreateTopics(handle, &topics, 1, options, queue)
        } read: { event in
            var count = 0
            guard let result = rd_kafka_event_CreateTopics_result(event), let topics = rd_kafka_CreateTopics_result_topics(result, &count), count > 0, let first = topics[0] else {
                return (RD_KAFKA_RESP_ERR__BAD_MSG, "")
            }
            return (rd_kafka_topic_result_error(first), rd_kafka_topic_result_error_string(first).map { String(cString: $0) } ?? "")
        }
        if code.0 == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS { return false }
        guard code.0 == RD_KAFKA_RESP_ERR_NO_ERROR else { throw error(code.0, "creating topic \(name)", said: code.1) }
        return true
    }

    /// Sends an admin request and waits for its answer.
    func admin<T>(_ timeout: Int32, _ send: (_ options: OpaquePointer, _ queue: OpaquePointer) throws -> Void, read: (OpaquePointer) throws -> T) throws -> T {
        var text = [CChar](repeating: 0, count: 512)
        let options = rd_kafka_AdminOptions_new(handle, RD_KAFKA_ADMIN_OP_ANY)!
        defer { rd_kafka_AdminOptions_destroy(options) }
        rd_kafka_AdminOptions_set_request_timeout(options, timeout, &text, text.count)
        let queue = rd_kafka_queue_new(handle)!
        defer { rd_kafka_queue_destroy(queue) }
        try send(options, queue)
        guard let event = rd_kafka_queue_poll(queue, timeout + 1_000) else { throw error(RD_KAFKA_RESP_ERR__TIMED_OUT, "an administrative request") }
        defer { rd_kafka_event_destroy(event) }
        let code = rd_kafka_event_error(event)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else {
            throw error(code, "an administrative request", said: rd_kafka_event_error_string(event).map { String(cString: $0) })
        }
        return try read(event)
    }
}
