import StreamCore

/// A shard as the stream lists it.
struct KinesisShard: Hashable, Sendable {
    var id: String
    /// None, one after a split, two after a merge. A parent that has expired is not listed any more.
    var parents: [String]
    var isOpen: Bool

    /// `shardId-000000000003`
    static func name(_ shard: Int) -> String {
        let digits = String(shard)
        return "shardId-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}

/// Where reading of a shard goes on, as a split's text: `TRIM_HORIZON`, `AT_TIMESTAMP 1714850000000`, or the number of the record
/// that was read last.
enum KinesisPosition: Hashable, Sendable, CustomStringConvertible {
    case trimHorizon
    /// Milliseconds since 1970-01-01.
    case atTimestamp(Int64)
    case after(String)

    private static let timePrefix = "AT_TIMESTAMP "

    init(parsing text: String?) {
        guard let text, text != "TRIM_HORIZON" else { self = .trimHorizon; return }
        if text.hasPrefix(Self.timePrefix), let time = Int64(text.dropFirst(Self.timePrefix.count)) { self = .atTimestamp(time) } else { self = .after(text) }
    }

    var description: String {
        switch self {
        case .trimHorizon: "TRIM_HORIZON"
        case .atTimestamp(let time): Self.timePrefix + String(time)
        case .after(let number): number
        }
    }

    /// Records of the shard have been read.
    var hasBegun: Bool { if case .after = self { true } else { false } }
}

/// Reads a stream: the built-in log in this process, or one behind the Kinesis API.
protocol KinesisClient: Sendable {
    /// Gets ready: makes the stream when that is asked for, looks whether it is there, registers a consumer. May block for as long as
    /// a start may take; does nothing the second time.
    func open() throws
    /// All shards, in the order of their ids. May block for seconds.
    func shards() throws -> [KinesisShard]
    /// Where LATEST is now, in a form that stays: what comes from here on is read.
    func latest(of shard: KinesisShard) throws -> KinesisPosition
    /// A shard's records from a position on; up to where its end is now when `isBounded`. Must not block.
    func feed(_ shard: String, from position: KinesisPosition, isBounded: Bool, metrics: OperatorMetrics) throws -> any ShardFeed
    /// A listing costs next to nothing.
    var listsCheaply: Bool { get }
    /// The run is over; another may follow.
    func runEnded()
}

/// Records of one shard, in order. One thread; never blocks.
protocol ShardFeed: AnyObject {
    func next() throws -> ShardFeedResult
    /// Records between the last one given and the end of the shard; nil = unknown.
    func recordsBehind() throws -> Int64?
    /// Calls `wake` when there may be more, until it is closed. False when it cannot know.
    func onGrowth(_ wake: @escaping @Sendable () -> Void) -> Bool
    /// Whether `wake` still comes.
    var tellsOfGrowth: Bool { get }
    func close()
}

extension ShardFeed {
    func onGrowth(_ wake: @escaping @Sendable () -> Void) -> Bool { false }
    var tellsOfGrowth: Bool { false }
}

enum ShardFeedResult {
    case chunk(ShardChunk)
    case nothing
    /// The shard is closed and has been read to its end, or a bounded read is at its end.
    case finished
}
