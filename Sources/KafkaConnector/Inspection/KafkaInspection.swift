import CRdKafka
import StreamCore

/// A quick look at a cluster: its topics, how far groups have read, and records as they come. It joins no group and commits nothing.
public final class KafkaInspection: Sendable {
    private let client: KafkaClient
    private let timeout: Int32

    /// - Parameters:
    ///   - properties: librdkafka's, or the Java client's; `bootstrap.servers` among them.
    ///   - prefix: what the user writes before a property, for error messages.
    ///   - options: properties that the user gives as options of their own.
    ///   - timeout: milliseconds that one question may take.
    public init(_ properties: [String: String], prefix: String, options: [String: String] = [:], timeout: Int32 = 15_000) throws {
        var configuration = try KafkaConfiguration(properties, prefix: prefix, options: options)
        configuration.set("enable.partition.eof", "true")
        configuration.set("allow.auto.create.topics", "false")
        // What is typed at a terminal is tried again by hand.
        configuration.set("socket.connection.setup.timeout.ms", "5000", unlessGiven: true)
        client = try KafkaClient(.consumer, configuration)
        self.timeout = timeout
    }

    // MARK: Topics

    public struct Partition: Sendable, Equatable {
        public var id: Int32
        /// Number of the broker; -1 = none at present.
        public var leader: Int32
        /// Offset of the first record there is, and the one behind the last; nil while there is no leader to ask.
        public var bounds: Bounds?
        /// Brokers that hold the partition, and how many of them have all of it.
        public var replicas: Int, inSync: Int
    }

    public struct Bounds: Sendable, Equatable {
        public var low: Int64, high: Int64
        /// Offsets taken: an upper bound of the records there are, as transactions and compaction leave gaps.
        public var records: Int64 { high - low }
    }

    public struct Topic: Sendable {
        public var name: String
        public var partitions: [Partition]
        public var records: Int64 { partitions.reduce(0) { $0 + ($1.bounds?.records ?? 0) } }
    }

    /// All topics but the cluster's own; or those named, each of which must exist.
    public func topics(_ names: [String] = []) throws -> [Topic] {
        try described(names).map { topic in
            Topic(name: topic.name, partitions: try topic.partitions.map { partition in
                Partition(id: partition.id, leader: partition.leader, bounds: partition.leader < 0 ? nil : try bounds(TopicPartition(topic.name, partition.id)),
                          replicas: partition.replicas.count, inSync: partition.inSyncReplicas.count)
            })
        }
    }

    private func bounds(_ partition: TopicPartition) throws -> Bounds {
        let (low, high) = try client.bounds(partition, timeout: timeout)
        return Bounds(low: low, high: high)
    }

    private func described(_ names: [String]) throws -> [TopicInfo] {
        let all = try client.topics(timeout: timeout)
        guard !names.isEmpty else { return all }
        return try names.map { name in
            guard let topic = try all.first(where: { $0.name == name }) ?? client.topics([name], timeout: timeout).first else {
                throw StreamError(.validate, "the cluster \(client.configuration.servers) has no topic '\(name)'", fix: NearName.hint(for: name, in: all.map(\.name)))
            }
            return topic
        }
    }

    // MARK: Lag

    public struct Lag: Sendable, Equatable {
        public var group: String
        public var partition: TopicPartition
        public var committed: Int64
        /// The offset behind the last record; nil when the topic or its leader is gone.
        public var end: Int64?
        /// Records that the group has still to read.
        public var lag: Int64? { end.map { max(0, $0 - committed) } }
    }

    /// What groups have committed and what there is, sorted by group and partition.
    ///
    /// - Parameter group: one group; nil = all that the cluster lists.
    /// - Throws: `.validate` for a named group that has committed nothing.
    public func lag(group: String? = nil) throws -> [Lag] {
        let names = try group.map { [$0] } ?? client.groups(timeout: timeout).map(\.name)
        let known = Set(try client.topics(timeout: timeout).flatMap { topic in
            topic.partitions.filter { $0.leader >= 0 }.map { TopicPartition(topic.name, $0.id) }
        })
        var ends: [TopicPartition: Int64] = [:]
        var result: [Lag] = []
        for name in names {
            // Some brokers answer "all" with nothing: then the known partitions are asked for by name.
            var offsets = try client.offsets(ofGroup: name, timeout: timeout)
            if offsets.isEmpty { offsets = try client.offsets(ofGroup: name, known.sorted(), timeout: timeout) }
            for (partition, committed) in offsets.sorted(by: { $0.key < $1.key }) {
                if ends[partition] == nil, known.contains(partition) { ends[partition] = try bounds(partition).high }
                result.append(Lag(group: name, partition: partition, committed: committed, end: ends[partition]))
            }
        }
        if let group, result.isEmpty {
            let groups = (try? client.groups(timeout: timeout).map(\.name)) ?? []
            throw StreamError(.validate, "the group '\(group)' has committed no offsets on \(client.configuration.servers)", fix: NearName.hint(for: group, in: groups))
        }
        return result
    }

    // MARK: Records

    public struct Record: Sendable, Equatable {
        public var partition: TopicPartition
        public var offset: Int64
        /// Milliseconds; nil when the message has none.
        public var timestamp: Int64?
        public var key: [UInt8]?, value: [UInt8]?
        public var headers: [(name: String, value: [UInt8]?)] = []

        public static func == (a: Self, b: Self) -> Bool {
            a.partition == b.partition && a.offset == b.offset && a.timestamp == b.timestamp && a.key == b.key && a.value == b.value
                && a.headers.elementsEqual(b.headers) { $0.name == $1.name && $0.value == $1.value }
        }
    }

    /// Where reading a topic begins.
    public enum Start: Sendable, Equatable {
        /// This many records before the end, over all partitions.
        case last(Int)
        case earliest, latest
        case offset(Int64)
        /// The first record at or after a time in milliseconds.
        case time(Int64)
    }

    /// Gives the records of a topic in the order of their time where there is an end to read to, else as they come.
    ///
    /// - Parameters:
    ///   - partition: one partition; nil = all.
    ///   - limit: stops after so many.
    ///   - follow: goes on with what comes, until `isStopped`.
    public func read(_ topic: String, partition: Int32? = nil, from start: Start, limit: Int = .max, follow: Bool = false, isStopped: () -> Bool = { false },
                     _ give: ([Record]) throws -> Void) throws {
        let info = try described([topic])[0]
        if let partition, !info.partitions.contains(where: { $0.id == partition }) {
            throw StreamError(.validate, "topic \(topic) has no partition \(partition)", fix: "use 0 to \(info.partitions.count - 1)")
        }
        let partitions = info.partitions.map { TopicPartition(topic, $0.id) }.filter { partition == nil || $0.partition == partition }
        let times: [TopicPartition: Int64?] = if case .time(let time) = start { try client.offsets(at: time, partitions, timeout: timeout) } else { [:] }
        var firsts: [(TopicPartition, first: Int64, end: Int64)] = []
        for partition in partitions {
            let bounds = try bounds(partition)
            let first = switch start {
            // Some more, as the marks of transactions take offsets too.
            case .last(let count): count == 0 ? bounds.high : max(bounds.low, bounds.high - Int64(min(count, 1 << 40)) * 2 - 64)
            case .earliest: bounds.low
            case .latest: bounds.high
            case .offset(let offset): min(max(offset, bounds.low), bounds.high)
            case .time: times[partition].flatMap { $0 } ?? bounds.high
            }
            firsts.append((partition, first, bounds.high))
        }

        guard let topicHandle = rd_kafka_topic_new(client.handle, topic, nil), let queue = rd_kafka_queue_new(client.handle) else {
            throw client.error(rd_kafka_last_error(), "reading topic \(topic)")
        }
        defer {
            for (partition, _, _) in firsts { rd_kafka_consume_stop(topicHandle, partition.partition) }
            rd_kafka_queue_destroy(queue)
            rd_kafka_topic_destroy(topicHandle)
        }
        for (partition, first, _) in firsts {
            guard rd_kafka_consume_start_queue(topicHandle, partition.partition, first, queue) == 0 else { throw client.error(rd_kafka_last_error(), "reading \(partition)") }
        }

        // What there is now comes partition by partition: it is put in order first.
        let isLast = if case .last = start { true } else { false }
        var open = Set(firsts.filter { $0.first < $0.end }.map(\.0.partition))
        var held: [Record] = [], left = limit
        func show(_ records: [Record]) throws {
            let shown = records.prefix(left)
            left -= shown.count
            if !shown.isEmpty { try give(Array(shown)) }
        }
        func showHeld() throws {
            var records = held.sorted { ($0.timestamp ?? 0, $0.partition, $0.offset) < ($1.timestamp ?? 0, $1.partition, $1.offset) }
            if case .last(let count) = start { records = records.suffix(count) }
            held = []
            try show(records)
        }
        let ends = Dictionary(uniqueKeysWithValues: firsts.map { ($0.0.partition, $0.end) })
        var isOrdered = true
        if open.isEmpty {
            isOrdered = false
            if !follow { return }
        }
        while left > 0, !isStopped() {
            guard let message = rd_kafka_consume_queue(queue, 100) else {
                if let error = client.fatalFailure("reading topic \(topic)") { throw error }
                continue
            }
            defer { rd_kafka_message_destroy(message) }
            let code = message.pointee.err
            if code == RD_KAFKA_RESP_ERR_NO_ERROR {
                let record = Self.record(message, topic)
                let end = ends[record.partition.partition] ?? 0
                if !isOrdered {
                    try show([record])
                } else if follow || record.offset < end {
                    held.append(record)
                }
                if record.offset + 1 >= end { open.remove(record.partition.partition) }
            } else if code == RD_KAFKA_RESP_ERR__PARTITION_EOF {
                open.remove(message.pointee.partition)
            } else if !KafkaFailure.isTransient(code) {
                throw client.error(code, "reading \(topic)-\(message.pointee.partition)", said: rd_kafka_message_errstr(message).map { String(cString: $0) })
            }
            guard isOrdered else { continue }
            if open.isEmpty {
                try showHeld()
                isOrdered = false
                if !follow { return }
            } else if !isLast, held.count >= 100_000 {
                // A long read is put in order piece by piece, rather than kept in memory.
                try showHeld()
            }
        }
        if isOrdered { try showHeld() }
    }

    private static func record(_ message: UnsafeMutablePointer<rd_kafka_message_t>, _ topic: String) -> Record {
        func bytes(_ pointer: UnsafeRawPointer?, _ count: Int) -> [UInt8]? { pointer.map { Array(UnsafeRawBufferPointer(start: $0, count: count)) } }
        let m = message.pointee
        var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
        let time = rd_kafka_message_timestamp(message, &kind)
        var record = Record(partition: TopicPartition(topic, m.partition), offset: m.offset, timestamp: kind == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? nil : time,
                            key: bytes(m.key, m.key_len), value: bytes(m.payload, m.len))
        var headers: OpaquePointer?
        if rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR, let headers {
            var name: UnsafePointer<CChar>?, value: UnsafeRawPointer?, size = 0, i = 0
            while rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR, let text = name {
                record.headers.append((String(cString: text), bytes(value, size)))
                i += 1
            }
        }
        return record
    }
}
