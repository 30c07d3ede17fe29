import ShardLog
import StreamCore
import Synchronization

struct StreamInfo: Sendable {
    var name: String, created: Int64, settings: StreamSettings, attributes: [String: String], shards: [ShardInfo], version: Int
}
struct ShardInfo: Sendable {
    var id: Int, range: HashKeyRange, parents: [Int], openedAt: Int64, closedAt: Int64?, starting: SequenceNumber, ending: SequenceNumber?
}
private let cache = Mutex<[String: StreamInfo]>([:])
extension ShardLog {
    func info(_ stream: String) throws -> StreamInfo {
        if let known = cache.withLock({ $0[directory + stream] }) { return known }
        let d = try describe(stream)
        let info = StreamInfo(name: stream, created: d.created, settings: d.settings, attributes: [:], shards: d.shards.map {
            ShardInfo(id: $0.shard, range: $0.range, parents: [], openedAt: d.created, closedAt: nil,
                      starting: SequenceNumber(created: d.created, shard: $0.shard, epoch: 0, index: 0), ending: nil)
        }, version: 0)
        cache.withLock { $0[directory + stream] = info }
        return info
    }
    func update(_ stream: String, _ change: (inout StreamSettings, inout [String: String]) throws -> Void) throws {
        var i = try info(stream)
        try change(&i.settings, &i.attributes)
        cache.withLock { $0[directory + stream] = i }
    }
    func split(_ stream: String, shard: Int, at: UInt128) throws -> (Int, Int) { throw StreamError(.plan, "later") }
    func merge(_ stream: String, _ shard: Int, _ adjacent: Int) throws -> Int { throw StreamError(.plan, "later") }
    func createStream(_ name: String, shards: Int, settings: StreamSettings, attributes: [String: String]) throws {
        try createStream(name, shards: shards, settings: settings)
        cache.withLock { $0[directory + name] = nil }
        try update(name) { $1 = attributes }
    }
}
extension ShardReader { var isFinished: Bool { false } }
