import StreamCore
import StreamFormats
import Synchronization

/// One split per shard; a position is the number of the last record that was read, or where to begin (``KinesisPosition``).
///
/// A shard that was split or merged ends, and its children are new splits, which begin when all their parents have ended
/// (``ShardLineage``).
final class KinesisSource: TableSource {
    private let table: TableDescriptor
    private let scan: ScanRequest
    private let options: KinesisOptions
    private let client: any KinesisClient
    private let format: any Format
    private let lineage = ShardLineage()
    /// Monotonic nanoseconds: when shards are listed without a reader that asks for it.
    private let listingDue = Mutex<UInt64>(0)

    /// How often the end of a shard is looked for among the readers, which costs nothing.
    private static let lookInterval = Duration.milliseconds(100)

    init(table: TableDescriptor, scan: ScanRequest, options: KinesisOptions, client: any KinesisClient, format: any Format) {
        self.table = table
        self.scan = scan
        self.options = options
        self.client = client
        self.format = format
    }

    var isBounded: Bool { options.isBounded }
    var producesChanges: Bool { changelogMode != .insertOnly }
    var changelogMode: ChangelogMode { format.changelogMode(table) }
    /// Children wait for parents, which must not wait for their turn behind them.
    var readsAllSplitsAtOnce: Bool { true }
    var discoveryInterval: Duration? { isBounded ? nil : min(options.discoveryInterval, Self.lookInterval) }

    func splits() throws -> [SourceSplit] {
        try client.open()
        let number = lineage.beginListing()
        let shards = try client.shards()
        // What was appended to shards that are closed now is not new.
        let wanted = options.start == .latest ? shards.filter(\.isOpen) : shards
        let splits = try wanted.map { shard in
            // Settled now, so that records that come before the first read are not missed.
            let position: KinesisPosition = switch options.start {
            case .trimHorizon: .trimHorizon
            case .latest: try client.latest(of: shard)
            case .atTimestamp(let time): .atTimestamp(time)
            }
            return SourceSplit(id: shard.id, position: position.description)
        }
        lineage.listed(shards, number: number, adding: splits.map(\.id))
        postponeListing()
        return splits
    }

    private func postponeListing() { listingDue.withLock { $0 = Clock.monotonicNanoseconds() &+ UInt64(options.discoveryInterval / .nanoseconds(1)) } }

    func newSplits(known: Set<String>) throws -> [SourceSplit] {
        let isDue = listingDue.withLock { Clock.monotonicNanoseconds() >= $0 }
        guard isDue || lineage.wantsListing || client.listsCheaply else { return [] }
        try client.open()
        let number = lineage.beginListing()
        let shards = try client.shards()
        // Children of shards that are read. A job that began with LATEST has left out the shards that were closed before.
        var family = known, new: [KinesisShard] = []
        for shard in shards where !known.contains(shard.id) {
            guard options.start != .latest || known.isEmpty || shard.parents.contains(where: family.contains) else { continue }
            family.insert(shard.id)
            new.append(shard)
        }
        lineage.listed(shards, number: number, adding: new.map(\.id))
        postponeListing()
        return new.map { SourceSplit(id: $0.id, position: KinesisPosition.trimHorizon.description) }
    }

    func begins(_ splits: [SourceSplit]) throws {
        if !lineage.knowsShards {
            try client.open()
            let number = lineage.beginListing()
            lineage.listed(try client.shards(), number: number, adding: [])
        }
        lineage.begin(splits.map(\.id))
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        let types = scan.projection.map { table.schema[$0].type }, metadata = scan.metadata.map { table.metadata[$0] }
        var asked: [String] = [], places: [String: Int] = [:]
        for wanted in metadata where places[wanted.key] == nil {
            guard let key = FormatMetadata.key(wanted.key, of: format, own: KinesisMetadata.own) else { continue }
            places[wanted.key] = types.count + asked.count
            asked.append(key)
        }
        let decoder = try FormatFactory.decoder(for: table, projection: scan.projection, metadata: asked, metrics: metrics)
        let errors = try ErrorRows(options.onError, decoder, types: types + asked.map { format.metadataKeys[$0]! }, metrics: metrics)
        return KinesisReader(stream: options.stream, split: split, client: client, lineage: lineage, isBounded: isBounded, decoder: decoder, types: types,
                             metadata: metadata, formatMetadata: places, errors: errors, metrics: metrics)
    }

    func runEnded() {
        client.runEnded()
        listingDue.withLock { $0 = 0 }
    }
}
