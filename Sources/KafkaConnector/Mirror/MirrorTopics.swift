import CRdKafka
import StreamCore
import Synchronization

/// Keeps the topics of the target like those of the source: makes what is missing, with as many partitions and the same settings, adds
/// partitions when the source has more, and follows settings.
final class MirrorTopics: Sendable {
    /// Settings that belong to a cluster rather than to the data: each keeps its own. `message.timestamp.type` is among them, as copied
    /// records keep their timestamps.
    static let ownSettings: Set<String> = [
        "follower.replication.throttled.replicas", "leader.replication.throttled.replicas", "message.timestamp.type", "message.timestamp.difference.max.ms",
        "message.timestamp.before.max.ms", "message.timestamp.after.max.ms", "message.format.version", "message.downconversion.enable", "min.insync.replicas",
        "unclean.leader.election.enable", "remote.storage.enable", "local.retention.ms", "local.retention.bytes",
    ]
    private static let timeout: Int32 = 10_000

    private let options: MirrorOptions
    private let warn: MirrorConnector.Warn
    private let state = Mutex((client: KafkaClient?.none, warned: Set<String>()))

    init(_ options: MirrorOptions, warn: @escaping MirrorConnector.Warn) { (self.options, self.warn) = (options, warn) }

    func close() { state.withLock { $0.client = nil } }

    private var target: KafkaClient {
        get throws {
            try state.withLock { state in
                if let client = state.client { return client }
                let client = try KafkaClient(.producer, options.to)
                state.client = client
                return client
            }
        }
    }

    /// The same trouble is told once.
    private func warnOnce(_ text: String) {
        if state.withLock({ $0.warned.insert(text).inserted }) { warn(text) }
    }

    /// - Parameter isFirst: what fails ends the job rather than being told: it has never worked.
    /// - Returns: the partitions of the source that have their place at the target.
    func sync(from source: KafkaClient, isFirst: Bool) throws -> [TopicPartition] {
        let target = try target
        let wanted = try source.topics(timeout: Self.timeout).filter { options.names.isMirrored($0.name) && !$0.partitions.isEmpty }
        var there = Dictionary(uniqueKeysWithValues: try target.topics(timeout: Self.timeout).map { ($0.name, $0.partitions.count) })
        let missing = wanted.filter { there[options.names.target($0.name)] == nil }
        var settings: [String: [String: TopicSetting]] = [:]
        let described = options.syncsSettings ? wanted : options.syncsTopics ? missing : []
        do { settings = try source.settings(described.map(\.name), timeout: Self.timeout) } catch let error as StreamError {
            warnOnce("settings of topics are not mirrored: \(error)")
        }
        var result: [TopicPartition] = []
        for topic in wanted {
            let name = options.names.target(topic.name)
            do {
                try make(topic, name, settings[topic.name].map(own) ?? [:], &there, target)
            } catch let error as StreamError where !isFirst {
                warnOnce("topic \(topic.name) is not mirrored: \(error)")
            }
            result += topic.partitions.filter { $0.id < there[name] ?? 0 }.map { TopicPartition(topic.name, $0.id) }
        }
        if options.syncsSettings { follow(wanted.filter { topic in !missing.contains { $0.name == topic.name } }.map(\.name), settings, target) }
        return result
    }

    private func own(_ settings: [String: TopicSetting]) -> [String: String] {
        settings.filter { $0.value.isOwn && !$0.value.isReadOnly && !Self.ownSettings.contains($0.key) }.mapValues(\.value)
    }

    private func make(_ topic: TopicInfo, _ name: String, _ settings: [String: String], _ there: inout [String: Int], _ target: KafkaClient) throws {
        let count = topic.partitions.count
        guard let known = there[name] else {
            guard options.syncsTopics else {
                throw StreamError(.validate, "the target cluster \(options.to.servers) has no topic \(name)", fix: "create it with \(count) partitions, or set sync.topics: true")
            }
            try target.createTopic(name, partitions: Int32(count), replication: options.replicationFactor, settings: settings, timeout: Self.timeout)
            there[name] = count
            return
        }
        guard known < count else { return }
        guard options.syncsTopics else {
            throw StreamError(.validate, "topic \(name) has \(known) partitions at the target, and \(topic.name) \(count) at the source",
                              fix: "add partitions to it, or set sync.topics: true")
        }
        try target.addPartitions(name, to: count, timeout: Self.timeout)
        there[name] = count
    }

    /// Gives topics that are there the settings of the source's; those in ``ownSettings`` stay.
    private func follow(_ topics: [String], _ settings: [String: [String: TopicSetting]], _ target: KafkaClient) {
        do {
            let now = try target.settings(topics.filter { settings[$0] != nil }.map(options.names.target), timeout: Self.timeout)
            for topic in topics {
                let name = options.names.target(topic)
                guard let source = settings[topic], let there = now[name] else { continue }
                let wanted = own(source), has = own(there)
                guard wanted != has else { continue }
                let kept = there.filter { $0.value.isOwn && !$0.value.isReadOnly && Self.ownSettings.contains($0.key) }.mapValues(\.value)
                do { try target.setSettings(name, wanted.merging(kept) { a, _ in a }, timeout: Self.timeout) } catch let error as StreamError {
                    warnOnce("the settings of topic \(name) stay as they are: \(error)")
                }
            }
        } catch { warnOnce("settings of topics are not mirrored: \(error)") }
    }
}
