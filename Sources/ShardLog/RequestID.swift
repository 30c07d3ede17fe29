import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Names a request of a client that sends it again, under the same name, when it hears no answer. Unlike a producer it is not
/// remembered: only a repetition makes the log look for it, among what came of late.
public struct RequestID: Hashable, Sendable {
    let bits: UInt64

    /// - Parameter text: what the client calls the request; unique by itself, as a UUID is.
    public init(_ text: String) {
        let bits = UInt64(truncatingIfNeeded: HashKey.of(text))
        self.bits = bits == 0 ? 1 : bits
    }

    /// Repetitions that come later than this, in milliseconds, are new requests.
    public static let window: Int64 = 600_000
}

/// What an earlier try of a request wrote to a shard: one batch, with the request's records of that shard in their order.
struct EarlierPart {
    var range: HashKeyRange
    var first: SequenceNumber
    var count: Int

    /// Looks through the newest two segments of each shard that was open within the window. The caller holds the stream's file lock.
    static func find(_ request: RequestID, in directory: String, created: Int64, now: Int64) throws -> [EarlierPart] {
        var parts: [EarlierPart] = []
        for shard in try StreamMetadata.read(from: directory).shards where shard.closedAt.map({ $0 > now - RequestID.window }) ?? true {
            let shardDirectory = directory + "/" + StreamMetadata.shardName(shard.id), range = try shard.range()
            for base in try Segments.list(shardDirectory).suffix(2) {
                let file = try LogFile(Segments.path(shardDirectory, base), flags: O_RDONLY)
                var scanner = SegmentScanner(file, from: 0, nextIndex: base, verifies: false)
                _ = try scanner.run(upTo: file.size()) { header, _ in
                    guard header.isRequest, header.producer == request.bits, header.timestamp > now - RequestID.window else { return true }
                    let first = SequenceNumber(created: created, shard: shard.id, epoch: header.epoch, index: header.baseIndex)
                    parts.append(EarlierPart(range: range, first: first, count: header.count))
                    return false
                }
            }
        }
        return parts
    }

    /// Where the records are that `parts` hold, by their position in the batch. Parts that hold something else are taken out: then
    /// the request is not the same.
    static func places(of batch: RecordBatch, in parts: inout [EarlierPart]) -> [Int: SequenceNumber] {
        guard !parts.isEmpty else { return [:] }
        var places: [Int: SequenceNumber] = [:], kept: [EarlierPart] = []
        let keys = (0..<batch.count).map { batch.hashKey($0) }
        for part in parts {
            let rows = keys.indices.filter { part.range.contains(keys[$0]) && places[$0] == nil }
            guard rows.count == part.count else { continue }
            for (i, row) in rows.enumerated() {
                places[row] = part.first
                places[row]!.index += UInt64(i)
            }
            kept.append(part)
        }
        parts = kept
        return places
    }
}
