import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A stream as its metadata says, without looking at the records.
public struct StreamInfo: Sendable {
    public var name: String
    /// Milliseconds since 1970-01-01.
    public var created: Int64
    public var settings: StreamSettings
    /// Of whoever serves the stream: the log keeps them and looks at none.
    public var attributes: [String: String]
    /// Ascending ids; closed ones stay until retention has removed their records.
    public var shards: [ShardInfo]
    /// Grows with every change of settings, attributes or shards.
    public var version: Int

    public var openShards: [ShardInfo] { shards.filter(\.isOpen) }

    public func shard(_ id: Int) -> ShardInfo? { shards.first { $0.id == id } }

    /// The shards that took over hash keys of this one, if it is closed.
    public func children(of shard: Int) -> [ShardInfo] { shards.filter { $0.parents.contains(shard) } }
}

/// A shard as the stream's metadata says.
public struct ShardInfo: Hashable, Sendable {
    public var id: Int
    public var range: HashKeyRange
    /// None; one after a split; after a merge the two in the order in which they were named. A parent may have expired: then
    /// the stream has no shard of that id any more.
    public var parents: [Int]
    /// Milliseconds since 1970-01-01.
    public var openedAt: Int64
    /// nil while records are added.
    public var closedAt: Int64?
    /// Not above any record's number; reading from it is reading from the oldest record.
    public var starting: SequenceNumber
    /// Of a closed shard: not below any record's number. Reading after it is reading nothing.
    public var ending: SequenceNumber?

    public var isOpen: Bool { closedAt == nil }

    /// `shardId-000000000000`
    public var name: String { StreamMetadata.shardName(id) }
}

extension StreamInfo {
    init(_ metadata: StreamMetadata) throws {
        name = metadata.name
        created = metadata.created
        settings = metadata.settings
        attributes = metadata.attributes ?? [:]
        version = Int(metadata.version ?? 0)
        let created = metadata.created
        shards = try metadata.shards.map { shard in
            ShardInfo(id: shard.id, range: try shard.range(), parents: shard.parents ?? [], openedAt: shard.openedAt ?? created,
                      closedAt: shard.isOpen ? nil : shard.closedAt ?? created,
                      starting: SequenceNumber(created: created, shard: shard.id, epoch: 0, index: 0),
                      ending: shard.end.map { end in
                          SequenceNumber(created: created, shard: shard.id, epoch: shard.lastEpoch ?? 0, index: end == 0 ? 0 : end - 1)
                      })
        }
    }
}

/// Metadata of streams, read again only when the file is another one.
final class MetadataCache: Sendable {
    struct Entry: Sendable {
        var metadata: StreamMetadata
        var info: StreamInfo
        fileprivate var stamp: Stamp
    }

    /// Files are replaced as a whole, so that inode, size and time together tell one from the next.
    fileprivate struct Stamp: Equatable {
        var inode: UInt64, size: Int, seconds: Int, nanoseconds: Int

        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            #if canImport(Darwin)
            let changed = status.st_ctimespec
            #else
            let changed = status.st_ctim
            #endif
            (inode, size, seconds, nanoseconds) = (UInt64(status.st_ino), Int(status.st_size), Int(changed.tv_sec), Int(changed.tv_nsec))
        }
    }

    private let entries = Mutex<[String: Entry]>([:])

    /// For who has just replaced the file: a clock tick may be too coarse to tell.
    func forget(_ directory: String) { entries.withLock { $0[directory] = nil } }

    /// nil when there is no such stream.
    func entry(_ directory: String) throws -> Entry? {
        let path = directory + "/" + StreamMetadata.fileName
        // Taken before the file is read: a replacement in between is then seen by the next look.
        guard let stamp = Stamp(path) else {
            entries.withLock { $0[directory] = nil }
            return nil
        }
        if let known = entries.withLock({ $0[directory] }), known.stamp == stamp { return known }
        let metadata = try StreamMetadata.read(from: directory)
        let entry = Entry(metadata: metadata, info: try StreamInfo(metadata), stamp: stamp)
        entries.withLock { $0[directory] = entry }
        return entry
    }
}
