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
    private let host: Host
    private let warn: MirrorConnector.Warn

    private struct State {
        var client: KafkaClient?
        var topics: MirrorTopics?
        /// What was listed last; nil before the first time.
        var listed: [SourceSplit]?
        /// Where a bounded read ends, by split.
        var ends: [String: Int64] = [:]
    }
    private let state = Mutex(State())

    init(_ options: MirrorOptions, projection: [Int], schema: Schema, host: Host, warn: @escaping MirrorConnector.Warn) {
        self.options = options
        self.projection = projection
        self.schema = schema
        self.host = host
        self.warn = warn
    }

    var isBounded: Bool { options.isBounded }
    var discoveryInterval: Duration? { isBounded ? nil : options.syncInterval }

    func splits() throws -> [SourceSplit] { try newSplits(known: []) }

    /// - Parameter known: splits that the job has begun in an earlier run. When there are such, or this is not the first listing, a
    ///   new partition has come up since, and all of it is copied whatever `start` says.
    func newSplits(known: Set<String>) throws -> [SourceSplit] {
        let client = try client
        let (last, topics) = state.withLock { state in
            let topics = state.topics ?? MirrorTopics(options, host: host, warn: warn)
            state.topics = topics
            return (state.listed, topics)
        }
        do {
            let found = try topics.sync(from: client, isFirst: last == nil)
            let positions = Dictionary((last ?? []).map { ($0.id, $0.position) }) { a, _ in a }
            var listed: [SourceSplit] = []
            for partition in found {
                let id = Self.id(partition)
                var position = positions[id] ?? Self.earliest
                if last == nil, known.isEmpty, options.start == .latest { position = String(try client.bounds(partition).high) }
                if isBounded { _ = try end(of: partition, client) }
                listed.append(SourceSplit(id: id, position: position))
            }
            state.withLock { $0.listed = listed }
            return listed.filter { !known.contains($0.id) }
        } catch let error as StreamError where last != nil && error.code == .io {
            // A cluster that is away for a while holds the copy up, and does not end it.
            warn("the topics to mirror could not be looked through: \(error)")
            return last!.filter { !known.contains($0.id) }
        }
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
                                reset: options.from["auto.offset.reset"] ?? "earliest", dropped: options.marks.map { OriginMark($0.to) }, warn: warn, metrics: metrics)
    }
}
