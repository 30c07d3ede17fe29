import ShardLog
import StreamCore
import Synchronization

/// Reads a stream of the built-in log, in this process.
final class LogClient: KinesisClient {
    private let options: KinesisOptions
    private let log: ShardLog
    /// First index that is not read, per shard; taken once, when the job asks for the splits.
    private let ends = Mutex<[Int: UInt64]>([:])

    init(_ options: KinesisOptions, _ log: ShardLog) { (self.options, self.log) = (options, log) }

    var listsCheaply: Bool { true }
    func runEnded() {}
    func open() throws { try options.makeStream(in: log) }

    func shards() throws -> [KinesisShard] {
        try log.info(options.stream).shards.map { shard in
            if options.isBounded { _ = try end(of: shard.id) }
            return KinesisShard(id: shard.name, parents: shard.parents.map(KinesisShard.name), isOpen: shard.isOpen)
        }
    }

    func latest(of shard: KinesisShard) throws -> KinesisPosition {
        try log.reader(options.stream, shard: number(shard.id), position: .latest).lastSequence.map { .after($0.description) } ?? .trimHorizon
    }

    private func number(_ shard: String) throws -> Int {
        guard shard.hasPrefix("shardId-"), let number = Int(shard.dropFirst(8)) else {
            throw StreamError(.runtime, "stream \(options.stream) has no shard \(shard)", fix: "start the job from a checkpoint of the same plan")
        }
        return number
    }

    private func end(of shard: Int) throws -> UInt64 {
        if let known = ends.withLock({ $0[shard] }) { return known }
        let end = try log.reader(options.stream, shard: shard, position: .latest).nextIndex
        return ends.withLock { ends in
            if let known = ends[shard] { return known }
            ends[shard] = end
            return end
        }
    }

    func feed(_ shard: String, from position: KinesisPosition, isBounded: Bool, metrics: OperatorMetrics) throws -> any ShardFeed {
        let number = try number(shard)
        let start: ShardPosition = switch position {
        case .trimHorizon: .trimHorizon
        case .atTimestamp(let time): .atTimestamp(time)
        case .after(let text): .after(try SequenceNumber(parsing: text))
        }
        return LogFeed(try log.reader(options.stream, shard: number, position: start), end: isBounded ? try end(of: number) : nil)
    }
}

private final class LogFeed: ShardFeed {
    private let reader: ShardReader
    private let end: UInt64?
    private var growth: GrowthSubscription?

    init(_ reader: ShardReader, end: UInt64?) { (self.reader, self.end) = (reader, end) }

    func next() throws -> ShardFeedResult {
        if let end, reader.nextIndex >= end { return .finished }
        guard let records = try reader.read() else { return reader.isFinished ? .finished : .nothing }
        var chunk = ShardChunk(records)
        if let end { chunk.count = min(chunk.count, Int(clamping: end - records.firstIndex)) }
        return .chunk(chunk)
    }

    func recordsBehind() throws -> Int64? { try reader.recordsBehind() }

    func onGrowth(_ wake: @escaping @Sendable () -> Void) -> Bool {
        let growth = reader.onGrowth(wake)
        guard reader.isWatched else { return false }
        self.growth = growth
        return true
    }

    var tellsOfGrowth: Bool { growth != nil && reader.isWatched }

    func close() { growth = nil }
}
