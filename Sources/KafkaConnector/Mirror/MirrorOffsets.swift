import CRdKafka
import StreamCore

/// Carries the offsets of consumer groups over to the target, after checkpoints: a group that moves there goes on where it was.
///
/// What a group has committed at the source becomes the place of the same record in the target, or of the newest that was copied if the
/// group is ahead of the copy. A group that reads at the target is left alone, and none is set back.
final class MirrorOffsets: SinkCommitter {
    private let options: MirrorOptions
    private let ledger: MirrorLedger
    private let host: Host
    private let warn: MirrorConnector.Warn
    private var clients: (source: KafkaClient, target: KafkaClient)?
    private var nextAt: Int64 = 0
    private var lastWarning: (text: String, at: Int64)?
    /// What each group was given last: asked for again only when it changes.
    private var given: [String: [TopicPartition: Int64]] = [:]

    /// A cluster that does not answer must not hold the job up.
    private static let timeout: Int32 = 5_000

    init(_ options: MirrorOptions, _ ledger: MirrorLedger, host: Host, warn: @escaping MirrorConnector.Warn) {
        (self.options, self.ledger, self.host, self.warn) = (options, ledger, host, warn)
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {}

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        let now = host.now()
        // A little early is better than a whole checkpoint late.
        guard options.syncsOffsets, now >= nextAt else { return }
        let interval = Int64(options.offsetsInterval / .milliseconds(1))
        nextAt = now + interval - interval / 4
        do { try carry() } catch {
            let text = "offsets of consumer groups could not be carried over: \(error)"
            if lastWarning.map({ $0.text != text || now - $0.at > 60_000 }) ?? true {
                lastWarning = (text, now)
                warn(text)
            }
            nextAt = host.now() + 3 * interval
        }
    }

    private func connect() throws -> (source: KafkaClient, target: KafkaClient) {
        if let clients { return clients }
        let made = (source: try KafkaClient(.producer, options.from), target: try KafkaClient(.producer, options.to))
        clients = made
        return made
    }

    private func carry() throws {
        let runs = ledger.now
        guard !runs.isEmpty else { return }
        let (source, target) = try connect()
        // Some brokers list no groups: those that are named are asked for all the same.
        let listed = try source.groupsIfListed(timeout: Self.timeout)
        var names = (listed ?? []).map(\.name).filter(options.isMirrored)
        for name in options.groups.plain where !names.contains(name) && options.isMirrored(group: name) { names.append(name) }
        if listed == nil, names.isEmpty {
            throw StreamError(.validate, "the brokers \(options.from.servers) list no groups, and no group is named", fix: "name them: groups: [billing]")
        }
        var wanted: [(group: String, offsets: [TopicPartition: Int64])] = []
        for group in names {
            var offsets: [TopicPartition: Int64] = [:]
            // Such brokers do not tell either which partitions a group has offsets of.
            for (partition, offset) in try source.offsets(ofGroup: group, listed == nil ? Array(runs.keys) : nil, timeout: Self.timeout) {
                guard let there = runs[partition]?.target(of: offset) else { continue }
                offsets[TopicPartition(options.names.target(partition.topic), partition.partition)] = there
            }
            if !offsets.isEmpty, given[group] != offsets { wanted.append((group, offsets)) }
        }
        guard !wanted.isEmpty else { return }
        let states = Dictionary((try target.groupsIfListed(timeout: Self.timeout) ?? []).map { ($0.name, $0) }) { a, _ in a }
        for (group, offsets) in wanted {
            if states[group]?.isActive ?? false { continue }
            let now = try target.offsets(ofGroup: group, Array(offsets.keys), timeout: Self.timeout)
            let ahead = offsets.filter { $0.value > now[$0.key] ?? -1 }
            do {
                try target.setOffsets(ofGroup: group, ahead, timeout: Self.timeout)
                given[group] = offsets
            } catch let error as StreamError {
                // It may have become active just now; the next time tells.
                warn("\(error)")
            }
        }
    }

    func close() { clients = nil }
}
