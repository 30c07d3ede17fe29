import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Changes to a stream that all its writers follow, whichever process they are in.
///
/// All happen under the stream's file lock. The new version is noted in the lock file before the metadata is replaced:
/// whoever appends next sees the note and reads the metadata again, whether the replacement was reached or not.
extension ShardLog {
    /// Closes an open shard and opens two in its place: one for its hash keys below `at`, one for the others.
    /// - Parameter at: above the shard's first hash key, at most its last.
    /// - Returns: the new shards' numbers, lower hash keys first.
    /// - Throws: `.validate` for a shard or hash key that does not fit, `.conflict` for a shard that is closed.
    public func split(_ stream: String, shard: Int, at: UInt128) throws -> (Int, Int) {
        let children = try reshard(stream) { metadata in
            let range = try openShard(metadata, shard).range()
            guard at > range.first, at <= range.last else {
                throw StreamError(.validate, "\(StreamMetadata.shardName(shard)) of stream \(stream) cannot be split at hash key \(at)",
                                  fix: "use \(range.first + (range.first < range.last ? 1 : 0)) to \(range.last)")
            }
            return ([shard], [HashKeyRange(first: range.first, last: at - 1), HashKeyRange(first: at, last: range.last)])
        }
        return (children[0], children[1])
    }

    /// Closes two open shards whose hash keys adjoin and opens one for the keys of both.
    /// - Returns: the new shard's number.
    /// - Throws: `.validate` for shards that do not adjoin, `.conflict` for one that is closed.
    public func merge(_ stream: String, _ shard: Int, _ adjacent: Int) throws -> Int {
        try reshard(stream) { metadata in
            let (a, b) = (try openShard(metadata, shard).range(), try openShard(metadata, adjacent).range())
            guard shard != adjacent, max(a.first, b.first) == min(a.last, b.last) &+ 1 else {
                throw StreamError(.validate, "\(StreamMetadata.shardName(shard)) and \(StreamMetadata.shardName(adjacent)) of stream \(stream) are not adjacent",
                                  fix: "merge shards whose hash keys follow one another")
            }
            return ([shard, adjacent], [HashKeyRange(first: min(a.first, b.first), last: max(a.last, b.last))])
        }[0]
    }

    /// Changes settings and attributes; open writers follow with their next append.
    /// - Parameter change: when it throws, nothing is changed.
    public func update(_ stream: String, _ change: (inout StreamSettings, inout [String: String]) throws -> Void) throws {
        try exclusively(stream) { directory, lock, metadata in
            var (settings, attributes) = (metadata.settings, metadata.attributes ?? [:])
            try change(&settings, &attributes)
            try settings.check()
            if let alias = settings.encryptionKey, alias != metadata.settings.encryptionKey { _ = try keys.key(alias: alias) }
            guard settings != metadata.settings || attributes != metadata.attributes ?? [:] else { return }
            metadata.settings = settings
            metadata.attributes = attributes
            try publish(&metadata, in: directory, lock)
        }
        StreamSignal.of(try open(stream).directory).notify()
    }

    private func openShard(_ metadata: StreamMetadata, _ id: Int) throws -> StreamMetadata.Shard {
        guard let shard = metadata.shard(id) else { throw Self.noShard(metadata, id) }
        guard shard.isOpen else {
            throw StreamError(.conflict, "\(StreamMetadata.shardName(id)) of stream \(metadata.name) is closed", fix: "name an open shard")
        }
        return shard
    }

    static func noShard(_ metadata: StreamMetadata, _ id: Int) -> StreamError {
        StreamError(.validate, "stream \(metadata.name) has no \(StreamMetadata.shardName(id)); it has \(metadata.shards.count) shards, "
            + "\(StreamMetadata.shardName(metadata.shards[0].id)) to \(StreamMetadata.shardName(metadata.shards.last!.id))")
    }

    /// Runs `body` with the stream's metadata as it is now while nobody appends or changes it.
    func exclusively<R>(_ stream: String, _ body: (_ directory: String, _ lock: LogFile, inout StreamMetadata) throws -> R) throws -> R {
        let directory = try open(stream).directory
        let lock = try LogFile(directory + "/" + WriterLock.fileName, flags: O_RDWR, host: host)
        return try lock.exclusively {
            guard try lock.status().links > 0 else { throw StreamError(.io, "stream \(stream) was deleted") }
            var metadata = try StreamMetadata.read(from: directory)
            return try body(directory, lock, &metadata)
        }
    }

    /// Replaces the metadata, with a version that no writer has seen.
    func publish(_ metadata: inout StreamMetadata, in directory: String, _ lock: LogFile) throws {
        metadata.version = max(metadata.version ?? 0, try WriterLock.version(lock)) + 1
        try WriterLock.setVersion(lock, metadata.version!)
        try metadata.write(to: directory, host)
        cache.forget(directory)
    }

    private func reshard(_ stream: String, _ plan: (StreamMetadata) throws -> (parents: [Int], children: [HashKeyRange])) throws -> [Int] {
        let directory = try open(stream).directory
        let children = try exclusively(stream) { directory, lock, metadata -> [Int] in
            let (parents, ranges) = try plan(metadata)
            guard metadata.shards.count + ranges.count <= Self.shardsMax else {
                throw StreamError(.validate, "stream \(stream) cannot have more than \(Self.shardsMax) shards, closed ones included",
                                  fix: "wait until retention has removed closed ones")
            }
            var now = max(host.now(), metadata.created)
            var heritage: [InheritedProducers] = []
            // What a reshard repairs, others' appenders must look at again.
            try WriterLock.setLastWriter(lock, WriterLock.nobody)
            for id in parents {
                let at = metadata.shards.firstIndex { $0.id == id }!
                let end = try ShardAppender(metadata.shards[at], in: directory, settings: metadata.settings, epoch: 0, host: host).seal()
                now = max(now, end.mark.timestamp, metadata.shards[at].openedAt ?? 0)
                metadata.shards[at].end = end.mark.nextIndex
                metadata.shards[at].lastEpoch = end.mark.epoch
                heritage.append(InheritedProducers(from: end.inherited, own: end.producers, range: try metadata.shards[at].range()))
            }
            // Children are older than no record of their parents, whatever the clock says.
            for id in parents { metadata.shards[metadata.shards.firstIndex { $0.id == id }!].closedAt = now }
            let first = metadata.shards.last!.id + 1
            for (i, range) in ranges.enumerated() {
                let shardDirectory = directory + "/" + StreamMetadata.shardName(first + i)
                // A reshard that did not get to its end may have left one; nobody has written to it.
                if Host.exists(shardDirectory) { try host.removeTree(shardDirectory) }
                guard host.mkdir(shardDirectory, 0o755) == 0 else { throw Host.failure("create directory", shardDirectory) }
                _ = try LogFile(Segments.path(shardDirectory, 0), flags: O_RDWR, create: true, host: host)
                let inherited = InheritedProducers(heritage, clippedTo: range)
                // Its flush of the directory takes the segment's name along.
                if inherited.parts.isEmpty {
                    try host.syncDirectory(shardDirectory)
                } else {
                    try host.replaceFile(shardDirectory + "/" + InheritedProducers.fileName, inherited.bytes())
                }
                metadata.shards.append(.init(id: first + i, firstHashKey: String(range.first), lastHashKey: String(range.last), parents: parents,
                                             parentEnds: parents.map { metadata.shard($0)!.end! }, openedAt: now))
            }
            try host.syncDirectory(directory)
            try publish(&metadata, in: directory, lock)
            return ranges.indices.map { first + $0 }
        }
        StreamSignal.of(directory).notify()
        return children
    }
}
