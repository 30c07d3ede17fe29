import CRdKafka
import StreamCore
import StreamFormats
import Synchronization

/// Reads topics: a split for each partition, named `topic-partition`, whose position is the offset of the next record.
///
/// Where reading begins and ends is settled when the splits are listed, so that what comes while the job starts is neither
/// missed nor read by a bounded job. Partitions that appear later are read from their beginning.
final class KafkaSource: TableSource {
    private let kafka: KafkaTable
    private let options: KafkaSourceOptions
    private let scan: ScanRequest
    /// Milliseconds that a start may take until a broker answers.
    private let startLimit: Int32
    private let state = Mutex(State())

    private struct State {
        var connection: KafkaSourceConnection?
        var partitions = 8
    }

    /// Fetched ahead of the decoder, over all partitions.
    private static let fetchedKilobytes = 131_072
    private static let discoveryLimit: Int32 = 3_000

    /// - Throws: `.validate` for options that do not go together.
    init(_ kafka: KafkaTable, scan: ScanRequest, startLimit: Int32 = 30_000) throws {
        options = try KafkaSourceOptions(kafka)
        if let option = options.needsGroup, kafka.configuration["group.id"] == nil {
            let isDefault = option.contains("startup") && kafka.table.options["scan.startup.mode"] == nil
            throw StreamError(.validate, "table \(kafka.table.name): \(option)\(isDefault ? ", the default," : "") needs option 'properties.group.id'",
                              fix: "add it, or choose another mode, such as 'scan.startup.mode' = 'earliest-offset'")
        }
        self.kafka = kafka
        self.scan = scan
        self.startLimit = startLimit
    }

    var isBounded: Bool { options.isBounded }
    var producesChanges: Bool { changelogMode != .insertOnly }
    var changelogMode: ChangelogMode { kafka.isUpsert ? .upsert : kafka.valueFormat.changelogMode(kafka.valueTable) }
    var discoveryInterval: Duration? { options.discoveryInterval }
    var parallelism: Int? { options.parallelism }
    var readsAllSplitsAtOnce: Bool { true }

    private var what: String {
        switch kafka.topics {
        case .names(let names): "reading \(names.count == 1 ? "topic" : "topics") \(names.joined(separator: ", "))"
        case .pattern(let pattern): "reading topics that match \(pattern)"
        }
    }

    // MARK: Listing

    func splits() throws -> [SourceSplit] {
        try asking(startLimit) { client in
            let partitions = try list(client, isStart: true)
            state.withLock { $0.partitions = partitions.count }
            let ends = try ends(client, partitions), starts = try starts(client, partitions)
            return partitions.map { SourceSplit(id: $0.description, position: KafkaPosition(starts[$0] ?? .earliest, end: ends[$0]).text) }
        }
    }

    func newSplits(known: Set<String>) throws -> [SourceSplit] {
        try asking(state.withLock { $0.connection == nil } ? startLimit : Self.discoveryLimit) { client in
            let partitions = try list(client, isStart: false).filter { !known.contains($0.description) }
            state.withLock { $0.partitions = max($0.connection == nil ? 1 : $0.partitions, known.count + partitions.count) }
            return partitions.map { SourceSplit(id: $0.description, position: KafkaPosition(.earliest).text) }
        }
    }

    /// Runs questions on the connection there is, or on one of their own: how much readers fetch ahead depends on the answers.
    private func asking<T>(_ limit: Int32, _ body: (KafkaClient) throws -> T) throws -> T {
        if let connection = state.withLock({ $0.connection }) {
            try connect(connection.client, limit)
            return try body(connection.client)
        }
        var configuration = readingConfiguration(partitions: 1)
        configuration.set("statistics.interval.ms", "0")
        let client = try KafkaClient(.consumer, configuration)
        defer { client.close() }
        try connect(client, limit)
        return try body(client)
    }

    /// Waits until a broker answers.
    ///
    /// - Throws: `.validate` at once for what no waiting mends, such as a refused password; else `.io` with the last reason.
    private func connect(_ client: KafkaClient, _ limit: Int32) throws {
        let end = Clock.monotonicNanoseconds() + UInt64(limit) * 1_000_000
        while true {
            var metadata: UnsafePointer<rd_kafka_metadata>?
            let code = rd_kafka_metadata(client.handle, 0, nil, &metadata, min(limit, 500))
            if code == RD_KAFKA_RESP_ERR_NO_ERROR {
                rd_kafka_metadata_destroy(metadata)
                return
            }
            client.poll()
            if let fatal = client.fatalFailure("table \(kafka.table.name): \(what)") { throw StreamError(.validate, fatal.problem, fix: fatal.fix) }
            guard Clock.monotonicNanoseconds() < end else { throw client.error(code, "table \(kafka.table.name): \(what)") }
        }
    }

    private func list(_ client: KafkaClient, isStart: Bool) throws -> [TopicPartition] {
        let topics: [TopicInfo]
        switch kafka.topics {
        case .names(let names):
            topics = try client.topics(names)
            let missing = Set(names).subtracting(topics.map(\.name)).sorted()
            if isStart, !missing.isEmpty {
                throw StreamError(.validate, "table \(kafka.table.name): the cluster \(kafka.configuration.servers) has no topic '\(missing.joined(separator: "', '"))'",
                                  fix: "create \(missing.count == 1 ? "it" : "them"), or correct the option 'topic'")
            }
        case .pattern(let pattern):
            let regex = try Regex(pattern)
            topics = try client.topics().filter { $0.name.wholeMatch(of: regex) != nil }
            if isStart, topics.isEmpty, options.discoveryInterval == nil {
                throw StreamError(.validate, "table \(kafka.table.name): no topic of the cluster \(kafka.configuration.servers) matches 'topic-pattern' = '\(pattern)'",
                                  fix: "correct the pattern; topics that are created later are found with 'scan.topic-partition-discovery.interval'")
            }
        }
        return topics.flatMap { topic in topic.partitions.map { TopicPartition(topic.name, $0.id) } }
    }

    /// Partitions that are left out begin at their first record.
    private func starts(_ client: KafkaClient, _ partitions: [TopicPartition]) throws -> [TopicPartition: KafkaPosition.Next] {
        switch options.start {
        case .earliest: return [:]
        case .latest: return try highs(client, partitions).mapValues { .offset($0) }
        case .timestamp(let time): return try offsets(client, partitions, at: time).mapValues { .offset($0) }
        case .groupOffsets: return try committed(client, partitions)
        case .specific(let offsets):
            try checkNamed(offsets, partitions, "scan.startup.specific-offsets")
            // As Flink's: the others go on where the group is, if there is one.
            let others = partitions.filter { offsets[$0.partition] == nil }
            let known = kafka.configuration["group.id"] == nil || others.isEmpty ? [:] : try client.committed(others).compactMapValues { $0 }
            return Dictionary(uniqueKeysWithValues: partitions.map { ($0, (offsets[$0.partition] ?? known[$0]).map { .offset($0) } ?? .earliest) })
        }
    }

    private func ends(_ client: KafkaClient, _ partitions: [TopicPartition]) throws -> [TopicPartition: Int64] {
        switch options.end {
        case .unbounded: return [:]
        case .latest: return try highs(client, partitions)
        case .timestamp(let time): return try offsets(client, partitions, at: time)
        case .groupOffsets:
            let known = try client.committed(partitions)
            return try Dictionary(uniqueKeysWithValues: partitions.map { partition in
                guard let offset = known[partition] ?? nil else { throw noOffset(partition, fix: "choose another 'scan.bounded.mode', such as 'latest-offset'") }
                return (partition, offset)
            })
        case .specific(let offsets):
            try checkNamed(offsets, partitions, "scan.bounded.specific-offsets")
            // Of partitions without an end nothing is read.
            return Dictionary(uniqueKeysWithValues: partitions.map { ($0, offsets[$0.partition] ?? 0) })
        }
    }

    private func highs(_ client: KafkaClient, _ partitions: [TopicPartition]) throws -> [TopicPartition: Int64] {
        try Dictionary(uniqueKeysWithValues: partitions.map { ($0, try client.bounds($0).high) })
    }

    /// Of the first record at or after a time; the end where there is none.
    private func offsets(_ client: KafkaClient, _ partitions: [TopicPartition], at time: Int64) throws -> [TopicPartition: Int64] {
        guard !partitions.isEmpty else { return [:] }
        let found = try client.offsets(at: time, partitions)
        return try Dictionary(uniqueKeysWithValues: partitions.map { partition in
            try (partition, (found[partition] ?? nil) ?? client.bounds(partition).high)
        })
    }

    private func committed(_ client: KafkaClient, _ partitions: [TopicPartition]) throws -> [TopicPartition: KafkaPosition.Next] {
        guard !partitions.isEmpty else { return [:] }
        let known = try client.committed(partitions)
        return try Dictionary(uniqueKeysWithValues: partitions.map { partition in
            if let offset = known[partition] ?? nil { return (partition, .offset(offset)) }
            switch options.reset {
            case .earliest: return (partition, .earliest)
            case .latest: return (partition, .offset(try client.bounds(partition).high))
            case .fail:
                throw noOffset(partition, fix: "say where to begin then with 'properties.auto.offset.reset' = 'earliest' or 'latest', or choose another 'scan.startup.mode'")
            }
        })
    }

    private func noOffset(_ partition: TopicPartition, fix: String) -> StreamError {
        StreamError(.validate, "table \(kafka.table.name): group '\(kafka.configuration["group.id"] ?? "")' has committed no offset of \(partition)", fix: fix)
    }

    private func checkNamed(_ offsets: [Int32: Int64], _ partitions: [TopicPartition], _ option: String) throws {
        for partition in offsets.keys.sorted() where !partitions.contains(where: { $0.partition == partition }) {
            throw TableOptions(kafka.table).error(option, "names partition \(partition), but the topic has \(partitions.count) partition\(partitions.count == 1 ? "" : "s")",
                                                  fix: "count partitions from 0")
        }
    }

    // MARK: Reading

    private func readingConfiguration(partitions: Int) -> KafkaConfiguration {
        var configuration = kafka.configuration
        let autoCommits = ["true", "t", "1"].contains(kafka.configuration["enable.auto.commit"] ?? "")
        configuration.set("enable.auto.commit", autoCommits ? "true" : "false")
        if !autoCommits { configuration.set("enable.auto.offset.store", "false") }
        // Gaps are for us to see and to tell.
        configuration.set("auto.offset.reset", "error")
        // Where a partition ends is known even when its last records are none that are handed out.
        configuration.set("enable.partition.eof", "true")
        configuration.set("isolation.level", "read_committed", unlessGiven: true)
        configuration.set("statistics.interval.ms", "5000", unlessGiven: true)
        configuration.set("log.connection.close", "false", unlessGiven: true)
        // Limits are for each partition. Room for a second's messages: librdkafka looks again only then when a queue was full.
        configuration.set("queued.max.messages.kbytes", String(min(65_536, max(1_024, Self.fetchedKilobytes / max(partitions, 1)))), unlessGiven: true)
        configuration.set("queued.min.messages", String(min(1_000_000, max(1_000, 2_000_000 / max(partitions, 1)))), unlessGiven: true)
        return configuration
    }

    private func connection() throws -> KafkaSourceConnection {
        try state.withLock { state in
            if let known = state.connection { return known }
            let made = try KafkaSourceConnection(readingConfiguration(partitions: state.partitions), what: what)
            state.connection = made
            return made
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        guard let partition = TopicPartition(splitID: split.id), let text = split.position else {
            throw StreamError(.runtime, "table \(kafka.table.name) has no partition \(split.id)", fix: "start the job from a checkpoint of the same plan")
        }
        let rows = try KafkaRows(kafka, scan, partition, options.onError, metrics)
        return try KafkaReader(connection(), partition, KafkaPosition(parsing: text), rows, reset: options.reset, metrics: metrics)
    }

    // MARK: The job

    func checkpointCompleted(_ positions: [SourceSplit]) {
        guard options.commitsOffsets, let connection = try? connection() else { return }
        var offsets: [TopicPartition: Int64] = [:]
        for split in positions {
            guard let partition = TopicPartition(splitID: split.id), let position = try? KafkaPosition(parsing: split.position ?? ""),
                  case .offset(let offset) = position.next else { continue }
            offsets[partition] = offset
        }
        connection.commit(offsets)
    }

    func runEnded() {
        let connection = state.withLock { state in defer { state.connection = nil }; return state.connection }
        connection?.finish()
    }
}
