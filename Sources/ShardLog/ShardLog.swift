import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A directory of streams: append-only logs of records, cut into shards by hash key.
///
///     <directory>/keys/<alias>.key                                        keys of encrypted streams
///     <directory>/streams/<name>/stream.json                              shards, settings
///     <directory>/streams/<name>/lock                                     held during each append
///     <directory>/streams/<name>/shardId-000000000000/<first record>.log  segments
///     <directory>/streams/<name>/shardId-000000000000/<first record>.index  where records and times are in a closed one
///     <directory>/streams/<name>/shardId-000000000000/durable             how far it is flushed
///     <directory>/streams/<name>/shardId-000000000000/producers           newest append of each producer
///     <directory>/streams/<name>/shardId-000000000000/inherited           the same of the shards that it took over from
///     <directory>/streams/<name>/staged/...                               records that are to be appended later
///
/// Several of them, in one process or many, may work on the same directory at the same time.
///
/// Where to look: ``StreamWriter`` appends through ``ShardAppender`` (one per shard: end of the log, recovery, rolling) and
/// ``GroupCommit`` (fsync); ``ShardReader`` reads, positioned by ``SegmentIndex``; ``BatchHeader`` is the format on disk,
/// ``DurableMark``, ``ProducerTable`` and ``WriterLock`` are the small files beside it. ``RecordStager`` keeps records until a commit.
public final class ShardLog: Sendable {
    public let directory: String
    public let host: Host
    public let options: LogOptions
    private let indexes = IndexCache()
    let cache = MetadataCache()
    let keys: KeyRing

    /// The directory is created with the first stream.
    public init(directory: String, host: Host = .system, options: LogOptions = LogOptions()) throws {
        self.options = options
        self.directory = Self.resolve(directory)
        keys = KeyRing(directory: self.directory, host: host)
        self.host = host
    }

    /// Without symbolic links, so that every name of a directory gives the same signals; the end of the path need not exist.
    private static func resolve(_ path: String) -> String {
        if let resolved = realpath(path, nil) {
            defer { free(resolved) }
            return String(cString: resolved)
        }
        guard let slash = path.lastIndex(of: "/") else { return resolve(".") + "/" + path }
        let name = path[path.index(after: slash)...]
        let parent = slash == path.startIndex ? "/" : resolve(String(path[..<slash]))
        return name.isEmpty ? parent : (parent == "/" ? "" : parent) + "/" + name
    }

    private func path(_ stream: String) -> String { directory + "/streams/" + stream }

    // MARK: Streams

    public static let shardsMax = 10_000

    /// Makes a stream whose shards share the hash keys evenly. Throws `.conflict` when it exists.
    /// - Parameter attributes: see ``StreamInfo/attributes``.
    public func createStream(_ name: String, shards: Int = 1, settings: StreamSettings = StreamSettings(), attributes: [String: String] = [:]) throws {
        try Self.check(name: name)
        try settings.check()
        if let alias = settings.encryptionKey { _ = try keys.key(alias: alias) }
        guard (1...Self.shardsMax).contains(shards) else {
            throw StreamError(.validate, "stream \(name) cannot have \(shards) shards", fix: "use 1 to \(Self.shardsMax) shards")
        }
        let metadata = StreamMetadata(name: name, created: host.now(), settings: settings, shards: HashKeyRange.even(shards).enumerated().map {
            .init(id: $0, firstHashKey: String($1.first), lastHashKey: String($1.last))
        }, version: 0, attributes: attributes.isEmpty ? nil : attributes)
        // Built aside and renamed into place: a stream is there as a whole or not at all.
        let building = directory + "/streams/.creating-\(name)-\(host.uuid())"
        try host.createDirectories(building)
        do {
            for shard in 0..<shards {
                let shardDirectory = building + "/" + StreamMetadata.shardName(shard)
                guard host.mkdir(shardDirectory, 0o755) == 0 else { throw Host.failure("create directory", shardDirectory) }
                _ = try LogFile(Segments.path(shardDirectory, 0), flags: O_RDWR, create: true, host: host)
                try host.syncDirectory(shardDirectory)
            }
            _ = try LogFile(building + "/" + WriterLock.fileName, flags: O_RDWR, create: true, host: host)
            // Its flush of the directory takes the shards' names along.
            try metadata.write(to: building, host)
            // rename() replaces an empty directory only, and a stream is never one.
            guard !exists(name) else { throw StreamError(.conflict, "stream \(name) exists already", fix: "choose another name, or delete it first") }
            guard host.rename(building, path(name)) == 0 else { throw Host.failure("rename \(building) to", path(name)) }
        } catch {
            try? host.removeTree(building)
            if exists(name) { throw StreamError(.conflict, "stream \(name) exists already", fix: "choose another name, or delete it first") }
            throw error
        }
        try host.syncDirectory(directory + "/streams")
    }

    /// Removes a stream and its records. Writers that have it open fail from then on.
    public func deleteStream(_ name: String) throws {
        try requireStream(name)
        let lock = try LogFile(path(name) + "/" + WriterLock.fileName, flags: O_RDWR)
        let doomed = directory + "/streams/.deleting-\(name)-\(host.uuid())"
        try lock.exclusively {
            guard host.rename(path(name), doomed) == 0 else { throw Host.failure("rename \(path(name)) to", doomed) }
            _ = host.unlink(doomed + "/" + WriterLock.fileName)
        }
        forgetIndexes(below: path(name) + "/")
        try host.removeTree(doomed)
        try host.syncDirectory(directory + "/streams")
    }

    /// Names in alphabetical order.
    public func listStreams() throws -> [String] {
        try Host.names(in: directory + "/streams").filter { !$0.hasPrefix(".creating-") && !$0.hasPrefix(".deleting-") }
    }

    public func exists(_ stream: String) -> Bool { Host.exists(path(stream) + "/" + StreamMetadata.fileName) }

    public static func check(name: String) throws {
        let isAllowed = name.utf8.allSatisfy {
            ($0 >= 0x30 && $0 <= 0x39) || ($0 | 0x20 >= 0x61 && $0 | 0x20 <= 0x7A) || $0 == 0x5F || $0 == 0x2D || $0 == 0x2E
        }
        guard isAllowed, (1...128).contains(name.utf8.count), name != ".", name != "..", !name.hasPrefix(".creating-"), !name.hasPrefix(".deleting-")
        else {
            throw StreamError(.validate, "\"\(name)\" cannot name a stream", fix: "use 1 to 128 letters, digits, '_', '-' and '.'")
        }
    }

    private func requireStream(_ name: String) throws {
        try Self.check(name: name)
        guard exists(name) else {
            let near = NearName.nearest(to: name, in: (try? listStreams()) ?? [])
            throw StreamError(.validate, "there is no stream \(name) in \(directory)",
                              fix: (near.map { "write \"\($0)\", or " } ?? "") + "create it with `swiftwater stream create \(name)`")
        }
    }

    /// Where a stream is, and its metadata; throws when there is none of that name.
    func open(_ stream: String) throws -> (directory: String, metadata: StreamMetadata) {
        try requireStream(stream)
        return (path(stream), try .read(from: path(stream)))
    }

    // MARK: Reading and writing

    public func writer(_ stream: String, flush: FlushPolicy = .everyAppend) throws -> StreamWriter {
        try requireStream(stream)
        return try StreamWriter(stream: stream, directory: path(stream), policy: flush, options: options, keys: keys, host: host)
    }

    public func reader(_ stream: String, shard: Int, position: ShardPosition) throws -> ShardReader {
        try requireStream(stream)
        let streamDirectory = path(stream)
        let metadata = try metadata(stream)
        guard metadata.shard(shard) != nil else { throw Self.noShard(metadata, shard) }
        let shardDirectory = streamDirectory + "/" + StreamMetadata.shardName(shard)
        return try ShardReader(stream: stream, shard: shard, directory: shardDirectory, created: metadata.created, signal: .of(streamDirectory),
                               position: position, host: host, keys: keys, index: { [self] in index(shardDirectory, $0) },
                               metadata: { [cache] in try cache.entry(streamDirectory)?.metadata })
    }

    private func metadata(_ stream: String) throws -> StreamMetadata {
        guard let entry = try cache.entry(path(stream)) else {
            try requireStream(stream)
            return try .read(from: path(stream))
        }
        return entry.metadata
    }

    func forgetIndexes(below path: String) { indexes.forget(below: path) }
    func index(_ shardDirectory: String, _ base: UInt64) -> SegmentIndex { indexes.index(shardDirectory, base) }

    // MARK: Describing

    public func describe(_ stream: String) throws -> StreamDescription {
        let info = try info(stream)
        return StreamDescription(name: stream, created: info.created, settings: info.settings,
                                 shards: try info.shards.map { try describe(stream, $0) })
    }

    /// What the metadata says of a stream. Cheap: it is read anew only when it has changed.
    public func info(_ stream: String) throws -> StreamInfo {
        try Self.check(name: stream)
        if let entry = try cache.entry(path(stream)) { return entry.info }
        try requireStream(stream)
        return try StreamInfo(.read(from: path(stream)))
    }

    private func describe(_ stream: String, _ info: ShardInfo) throws -> ShardDescription {
        let shard = info.id
        let directory = path(stream) + "/" + StreamMetadata.shardName(shard)
        let bases = try Segments.list(directory)
        var bytes = 0
        for base in bases { bytes += try LogFile(Segments.path(directory, base), flags: O_RDONLY).size() }
        let end = try reader(stream, shard: shard, position: .latest)
        let first = bases.first ?? 0
        var earliest: SequenceNumber?
        if end.nextIndex > first {
            let file = try LogFile(Segments.path(directory, first), flags: O_RDONLY)
            let epoch = try index(directory, first).batch(holding: first, file).header?.epoch
            earliest = epoch.map { SequenceNumber(created: info.starting.created, shard: shard, epoch: $0, index: first) }
        }
        return ShardDescription(shard: shard, range: info.range, parents: info.parents, closedAt: info.closedAt, earliest: earliest, latest: earliest == nil ? nil : end.lastSequence,
                                records: Int(end.nextIndex - first), bytes: bytes, segments: bases.count)
    }

    /// Shards that can be read, closed ones included.
    public func shardCount(_ stream: String) throws -> Int { try info(stream).shards.count }
}

/// A stream and its shards, as they are now.
public struct StreamDescription: Sendable {
    public var name: String
    /// Milliseconds since 1970-01-01.
    public var created: Int64
    public var settings: StreamSettings
    public var shards: [ShardDescription]
}

/// What a shard holds, and the keys that go to it.
public struct ShardDescription: Sendable {
    public var shard: Int
    public var range: HashKeyRange
    /// The shards that it took over from.
    public var parents: [Int]
    /// Milliseconds since 1970-01-01; nil while records are added.
    public var closedAt: Int64?
    /// nil for a shard without records.
    public var earliest: SequenceNumber?
    public var latest: SequenceNumber?
    /// Records and stored bytes that retention has left.
    public var records: Int
    public var bytes: Int
    public var segments: Int

    /// `shardId-000000000000`
    public var id: String { Self.id(shard) }
    public static func id(_ shard: Int) -> String { StreamMetadata.shardName(shard) }
}
