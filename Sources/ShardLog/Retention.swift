import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a sweep removed.
public struct RetentionResult: Hashable, Sendable {
    public var segments = 0, shards = 0
    public var bytes = 0
    public init() {}
}

/// Retention for streams to which nobody appends, and for closed shards. Writers apply it by themselves only when they open
/// a stream and when they begin a segment.
extension ShardLog {
    /// Removes what no stream has to keep any more: whole segments, and closed shards whose last record has expired. To be
    /// called now and then, say every minute; cheap when there is nothing to do. A stream that cannot be swept does not keep
    /// the others from it: its error is thrown at the end.
    @discardableResult
    public func enforceRetention() throws -> RetentionResult {
        var total = RetentionResult(), failure: (any Error)?
        for stream in try listStreams() {
            do {
                let result = try enforceRetention(stream)
                total.segments += result.segments
                total.shards += result.shards
                total.bytes += result.bytes
            } catch where exists(stream) { failure = error } catch {}
        }
        if let failure { throw failure }
        return total
    }

    @discardableResult
    public func enforceRetention(_ stream: String) throws -> RetentionResult {
        let info = try info(stream), now = host.now()
        let directory = try open(stream).directory
        let known = Set(info.shards.map(\.name))
        // A reshard or a sweep that died may have left directories that are no part of the stream.
        var isNeeded = try Host.names(in: directory).contains { $0.hasPrefix("shardId-") && !known.contains($0) }
        for shard in info.shards where !isNeeded {
            let shardDirectory = directory + "/" + shard.name
            isNeeded = try Self.isExpired(shard, info.settings, now) || removable(shardDirectory, info.settings, now) > 0
                || (shard.isOpen && endsExpired(shardDirectory, info.settings, now))
        }
        guard isNeeded else { return RetentionResult() }
        return try exclusively(stream) { directory, lock, metadata in try sweep(directory, lock, &metadata, now) }
    }

    /// A shard that was closed so long ago holds nothing younger.
    private static func isExpired(_ shard: ShardInfo, _ settings: StreamSettings, _ now: Int64) -> Bool {
        guard let closedAt = shard.closedAt, let keep = settings.retentionMilliseconds else { return false }
        return closedAt < now - keep
    }

    private func sweep(_ directory: String, _ lock: LogFile, _ metadata: inout StreamMetadata, _ now: Int64) throws -> RetentionResult {
        var result = RetentionResult()
        let shards = try StreamInfo(metadata).shards
        let expired = shards.filter { Self.isExpired($0, metadata.settings, now) }
        if !expired.isEmpty {
            metadata.shards.removeAll { shard in expired.contains { $0.id == shard.id } }
            try publish(&metadata, in: directory, lock)
        }
        for name in try Host.names(in: directory) where name.hasPrefix("shardId-") && !metadata.shards.contains(where: { StreamMetadata.shardName($0.id) == name }) {
            let files = try Segments.list(directory + "/" + name).map { Segments.path(directory + "/" + name, $0) }
            result.segments += files.count
            result.bytes += files.reduce(0) { $0 + (Host.size(of: $1) ?? 0) }
            result.shards += 1
            forgetIndexes(below: directory + "/" + name + "/")
            try host.removeTree(directory + "/" + name)
        }
        // Others' appenders look at the shards anew.
        try WriterLock.setLastWriter(lock, WriterLock.nobody)
        for shard in metadata.shards {
            let shardDirectory = directory + "/" + StreamMetadata.shardName(shard.id)
            let before = try Segments.list(shardDirectory)
            let sizes = before.map { Host.size(of: Segments.path(shardDirectory, $0)) ?? 0 }
            if shard.isOpen {
                let isStale = try endsExpired(shardDirectory, metadata.settings, now)
                guard try isStale || removable(shardDirectory, metadata.settings, now) > 0 else { continue }
                let appender = try ShardAppender(shard, in: directory, settings: metadata.settings, epoch: 0, host: host)
                try appender.refresh()
                if isStale { try appender.roll(now: now) }
                try appender.retain(now: now)
            } else {
                // Its children know its producers.
                for base in before.prefix(try removable(shardDirectory, metadata.settings, now)) { try Segments.remove(shardDirectory, base, host) }
            }
            let left = Set(try Segments.list(shardDirectory))
            for (base, size) in zip(before, sizes) where !left.contains(base) {
                result.segments += 1
                result.bytes += size
                forgetIndexes(below: Segments.path(shardDirectory, base))
            }
        }
        return result
    }

    /// How many of the oldest segments need not be kept; never the newest.
    private func removable(_ shardDirectory: String, _ settings: StreamSettings, _ now: Int64) throws -> Int {
        try Segments.removable(shardDirectory, settings, now) { try lastTimestamp(shardDirectory, $0) }
    }

    /// Whether the newest segment has records, all of them expired: it is closed then, so that it can be removed.
    private func endsExpired(_ shardDirectory: String, _ settings: StreamSettings, _ now: Int64) throws -> Bool {
        guard let keep = settings.retentionMilliseconds, let base = try Segments.list(shardDirectory).last,
              let newest = try lastTimestamp(shardDirectory, base) else { return false }
        return newest < now - keep
    }

    /// Arrival of a segment's last record; nil when it has none.
    private func lastTimestamp(_ shardDirectory: String, _ base: UInt64) throws -> Int64? {
        let end = try index(shardDirectory, base).currentEnd(LogFile(Segments.path(shardDirectory, base), flags: O_RDONLY))
        return end.offset == 0 ? nil : end.timestamp
    }
}

extension Segments {
    /// How many of the oldest segments of a shard the settings no longer keep; never the newest.
    /// - Parameter last: arrival of a segment's last record.
    static func removable(_ shardDirectory: String, _ settings: StreamSettings, _ now: Int64, last: (UInt64) throws -> Int64?) throws -> Int {
        guard settings.retentionBytes != nil || settings.retentionMilliseconds != nil else { return 0 }
        let bases = try list(shardDirectory)
        guard bases.count > 1 else { return 0 }
        let sizes = bases.map { Host.size(of: path(shardDirectory, $0)) ?? 0 }
        var total = sizes.reduce(0, +), count = 0
        while count < bases.count - 1 {
            let tooBig = settings.retentionBytes.map { total > $0 } ?? false
            var tooOld = false
            if !tooBig, let keep = settings.retentionMilliseconds {
                // Arrival times never fall within a shard, so the next segment's first one is at least this one's newest.
                let newest = try SegmentIndex.firstTimestamp(path(shardDirectory, bases[count + 1])) ?? last(bases[count])
                tooOld = newest.map { $0 < now - keep } ?? true
            }
            guard tooBig || tooOld else { break }
            total -= sizes[count]
            count += 1
        }
        return count
    }
}
