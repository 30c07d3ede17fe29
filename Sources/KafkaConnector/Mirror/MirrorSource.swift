import CRdKafka
import StreamCore
import Synchronization

/// The topics of a mirror's first cluster: one split per partition, named `topic/partition`; a position is the offset to read next,
/// or `earliest`.
///
/// A partition is given out only when the other cluster has one to copy it to: listing the splits makes topics there, adds partitions
/// and brings their settings along (``MirrorTopics``).
final class MirrorSource: TableSource {
    static let earliest = "earliest"

    private let options: MirrorOptions
    private let projection: [Int]
    private let schema: Schema

    private struct State {
        var client: KafkaClient?
        /// Where a bounded read ends, by split.
        var ends: [String: Int64] = [:]
    }
    private let state = Mutex(State())
    private let topics: MirrorTopics

    init(_ options: MirrorOptions, projection: [Int], schema: Schema, warn: @escaping MirrorConnector.Warn) {
        self.options = options
        self.projection = projection
        self.schema = schema
        topics = MirrorTopics(options, warn: warn)
    }

    var isBounded: Bool { options.isBounded }
    var discoveryInterval: Duration? { isBounded ? nil : options.syncInterval }

    func splits() throws -> [SourceSplit] {
        let client = try client
        return try topics.sync(from: client, isFirst: true).map { partition in
            if isBounded { _ = try end(of: partition, client) }
            return SourceSplit(id: Self.id(partition), position: options.start == .latest ? String(try client.bounds(partition).high) : Self.earliest)
        }
    }

    /// Partitions that have come up since the job began: all that is in them is copied, whatever `start` says.
    func newSplits(known: Set<String>) throws -> [SourceSplit] {
        try topics.sync(from: try client, isFirst: false).map(Self.id).filter { !known.contains($0) }.map { SourceSplit(id: $0, position: Self.earliest) }
    }

    /// Lets go of the connection; another run makes its own.
    func runEnded() {
        state.withLock { $0.client = nil }
        topics.close()
    }

    private static func id(_ partition: TopicPartition) -> String { "\(partition.topic)/\(partition.partition)" }

    /// One consumer for all partitions: librdkafka keeps a queue for each.
    private var client: KafkaClient {
        get throws {
            try state.withLock { state in
                if let client = state.client { return client }
                var configuration = options.from
                configuration.remove("group.id")
                configuration.set("auto.offset.reset", "error")
                configuration.set("enable.partition.eof", "true")
                configuration.set("enable.auto.offset.store", "false")
                configuration.set("queued.max.messages.kbytes", "16384", unlessGiven: true)
                let client = try KafkaClient(.consumer, configuration)
                state.client = client
                return client
            }
        }
    }

    private func end(of partition: TopicPartition, _ client: KafkaClient) throws -> Int64 {
        let id = Self.id(partition)
        if let known = state.withLock({ $0.ends[id] }) { return known }
        let end = try client.bounds(partition).high
        return state.withLock { state in
            if let known = state.ends[id] { return known }
            state.ends[id] = end
            return end
        }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        guard let slash = split.id.lastIndex(of: "/"), let number = Int32(split.id[split.id.index(after: slash)...]) else {
            throw StreamError(.runtime, "there is no partition \(split.id)", fix: "start the job from a checkpoint of the same plan")
        }
        let partition = TopicPartition(String(split.id[..<slash]), number)
        let text = split.position ?? Self.earliest
        guard text == Self.earliest || Int64(text) != nil else {
            throw StreamError(.corrupt, "partition \(partition) cannot be read from '\(text)'", fix: "start the job anew with --fresh")
        }
        let client = try client
        return try MirrorReader(client, partition, from: Int64(text), end: isBounded ? try end(of: partition, client) : nil, projection: projection, schema: schema,
                                reset: options.from["auto.offset.reset"] ?? "earliest", dropped: options.marks.map { OriginMark($0.to) }, metrics: metrics)
    }
}
