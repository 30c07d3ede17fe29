import Foundation
import StreamCore

/// When an append counts as done.
public enum FlushPolicy: Hashable, Sendable {
    /// After its bytes are on disk; appends that wait at the same time share one fsync.
    case everyAppend
    /// After they are handed to the operating system, which is told to flush this often. A power cut can lose that much; a
    /// killed process loses nothing.
    case interval(milliseconds: Int64)
    /// After they are handed to the operating system, which flushes when it likes.
    case operatingSystem
}

/// Settings of a stream, kept with it.
public struct StreamSettings: Codable, Hashable, Sendable {
    /// A segment is closed when it reaches this size; retention removes whole segments.
    public var segmentBytes = 64 << 20
    /// Segments whose newest record is older are removed; nil = keep.
    public var retentionMilliseconds: Int64?
    /// Oldest segments of a shard are removed while it is larger; nil = keep.
    public var retentionBytes: Int?
    /// Largest data plus partition key of a record; at most 10 MiB.
    public var recordBytesMax = 1 << 20
    /// LZ4 for batches that it makes smaller.
    public var compresses = true
    /// Alias of the key that batches are encrypted with (AES-256-GCM); nil = they are not. Batches written before a change stay as
    /// they are and can be read as long as their key is there.
    public var encryptionKey: String?

    public init() {}

    public static let recordBytesLimit = 10 << 20

    func check() throws {
        guard (1...Self.recordBytesLimit).contains(recordBytesMax) else {
            throw StreamError(.validate, "record size limit \(recordBytesMax) is not in 1 to \(Self.recordBytesLimit) bytes")
        }
        guard segmentBytes >= 4_096 else { throw StreamError(.validate, "segment size \(segmentBytes) is below 4096 bytes") }
        if let retentionMilliseconds, retentionMilliseconds <= 0 {
            throw StreamError(.validate, "retention of \(retentionMilliseconds) ms is not positive")
        }
        if let encryptionKey, encryptionKey.isEmpty || encryptionKey.utf8.count > 2_048 {
            throw StreamError(.validate, "a key alias of \(encryptionKey.utf8.count) bytes is not in 1 to 2048")
        }
        if let retentionBytes, retentionBytes <= 0 { throw StreamError(.validate, "retention of \(retentionBytes) bytes is not positive") }
    }
}

/// What `stream.json` holds. Version 1 knew no closed shards; its files are read as they are.
struct StreamMetadata: Codable {
    struct Shard: Codable {
        var id: Int
        /// Decimal text: JSON numbers do not reach 2^128.
        var firstHashKey: String, lastHashKey: String
        /// The shards whose hash keys it took over: none, one after a split, two after a merge.
        var parents: [Int]?
        /// The parents' ends, which readers of them may ask for when they have expired.
        var parentEnds: [UInt64]?
        /// Milliseconds since 1970-01-01; nil = with the stream.
        var openedAt: Int64?
        /// Set together when the shard is closed: no record has an index of `end` or more.
        var closedAt: Int64?
        var end: UInt64?
        var lastEpoch: UInt32?

        var isOpen: Bool { end == nil }

        func range() throws -> HashKeyRange { HashKeyRange(first: try HashKey.parse(firstHashKey), last: try HashKey.parse(lastHashKey)) }
    }

    var formatVersion = 2
    var name: String
    /// Milliseconds since 1970-01-01; part of every sequence number.
    var created: Int64
    var settings: StreamSettings
    /// Ascending ids. The highest is always open, so that the next one is never given twice.
    var shards: [Shard]
    /// Grows with every change; see ``WriterLock``.
    var version: UInt32?
    var attributes: [String: String]?

    static let fileName = "stream.json"

    func shard(_ id: Int) -> Shard? { shards.first { $0.id == id } }

    /// The index after the last record of a shard that is no longer part of the stream.
    func endOfExpired(_ id: Int) -> UInt64? {
        for shard in shards {
            if let at = shard.parents?.firstIndex(of: id), let ends = shard.parentEnds, at < ends.count { return ends[at] }
        }
        return nil
    }

    func write(to directory: String, _ host: StreamCore.Host) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        try host.replaceFile(directory + "/" + Self.fileName, Array(try encoder.encode(self)) + [0x0A])
    }

    static func read(from directory: String) throws -> StreamMetadata {
        let path = directory + "/" + fileName
        let bytes = try StreamCore.Host.read(path)
        do {
            var metadata = try JSONDecoder().decode(StreamMetadata.self, from: Data(bytes))
            guard (1...2).contains(metadata.formatVersion), metadata.shards.contains(where: \.isOpen) else {
                throw StreamError(.corrupt, "\(path): format version \(metadata.formatVersion) with \(metadata.shards.count) shards is not known here",
                                  fix: "use the version of swiftwater that wrote it, or a newer one")
            }
            metadata.formatVersion = 2
            return metadata
        } catch let error as DecodingError {
            throw StreamError(.corrupt, "\(path) is damaged: \(error)", fix: "restore the file from a backup")
        }
    }

    /// `shardId-000000000003`
    static func shardName(_ shard: Int) -> String {
        let digits = String(shard)
        return "shardId-" + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
    }
}
