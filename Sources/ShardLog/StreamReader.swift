/// Reads all shards of a stream and follows it through splits and merges: a shard's records come after those of its parents.
/// One thread at a time.
public final class StreamReader {
    public let stream: String
    private let log: ShardLog
    private var readers: [ShardReader] = []
    private var finished: Set<Int> = []
    private var known: Set<Int> = []
    private var next = 0

    /// - Parameter isLatest: begins with what is appended from now on; otherwise with the oldest records.
    init(_ log: ShardLog, _ stream: String, isLatest: Bool) throws {
        self.log = log
        self.stream = stream
        guard isLatest else {
            try addShards()
            return
        }
        let info = try log.info(stream)
        for shard in info.shards where !shard.isOpen { finished.insert(shard.id) }
        known = Set(info.shards.map(\.id))
        // A shard that is closed in between gives what came since, and then its children.
        readers = try info.openShards.map { try log.reader(stream, shard: $0.id, position: .latest) }
    }

    /// Opens the shards whose parents are read or expired.
    private func addShards() throws {
        let info = try log.info(stream)
        let there = Set(info.shards.map(\.id))
        for shard in info.shards where !known.contains(shard.id) {
            guard shard.parents.allSatisfy({ finished.contains($0) || !there.contains($0) && !known.contains($0) }) else { continue }
            known.insert(shard.id)
            readers.append(try log.reader(stream, shard: shard.id, position: .trimHorizon))
        }
    }

    /// The next records of some shard; nil when there is nothing new now.
    public func read(maxBytes: Int = 1 << 20) throws -> (shard: Int, records: RecordChunk)? {
        var left = readers.count
        while left > 0 {
            next = next < readers.count ? next : 0
            let reader = readers[next]
            if let chunk = try reader.read(maxBytes: maxBytes) {
                next += 1
                return (reader.shard, chunk)
            }
            guard reader.isFinished else {
                next += 1
                left -= 1
                continue
            }
            finished.insert(reader.shard)
            readers.remove(at: next)
            try addShards()
            left = readers.count
        }
        return nil
    }

    /// Returns when there may be something to read, at the latest after `milliseconds`; false when nothing happened.
    public func wait(milliseconds: Int64) throws -> Bool { try !ShardLog.wait(for: readers, milliseconds: milliseconds).isEmpty }
}

extension ShardLog {
    /// A reader of all shards: from the oldest records on, or only of what is appended from now on.
    public func reader(_ stream: String, fromLatest isLatest: Bool = false) throws -> StreamReader {
        try StreamReader(self, stream, isLatest: isLatest)
    }
}
