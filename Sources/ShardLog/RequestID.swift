import CChecksum
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
    /// Of the payload, before compression; see ``mark(_:_:)``.
    var mark: UInt64

    static func mark(_ payload: UnsafeRawPointer, _ bytes: Int) -> UInt64 { UInt64(sw_crc32c(0, payload, bytes)) << 32 | UInt64(bytes) }

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
                    parts.append(EarlierPart(range: range, first: first, count: header.count, mark: header.producerSequence))
                    return false
                }
            }
        }
        return parts
    }

    /// Where the records are that `parts` hold, by their position in the batch. Parts that hold something else are taken out: the
    /// records may have gone elsewhere this time, and are better stored twice than not at all.
    static func places(of batch: RecordBatch, in parts: inout [EarlierPart]) -> [Int: SequenceNumber] {
        guard !parts.isEmpty else { return [:] }
        var places: [Int: SequenceNumber] = [:], kept: [EarlierPart] = []
        let keys = (0..<batch.count).map { batch.hashKey($0) }
        for part in parts {
            let rows = keys.indices.filter { part.range.contains(keys[$0]) && places[$0] == nil }
            guard rows.count == part.count, mark(of: batch, rows) == part.mark else { continue }
            for (i, row) in rows.enumerated() {
                places[row] = part.first
                places[row]!.index += UInt64(i)
            }
            kept.append(part)
        }
        parts = kept
        return places
    }

    private static func mark(of batch: RecordBatch, _ rows: [Int]) -> UInt64 {
        let sizes = rows.map { batch.sizes($0) }, data = sizes.reduce(0) { $0 + $1.data }
        let bytes = 8 * rows.count + data + sizes.reduce(0) { $0 + $1.key }
        let payload = Buffer(capacity: max(bytes, 1))
        batch.layOut(rows.map { UInt32($0) }[...], at: payload.base, dataBytes: data)
        return mark(payload.base, bytes)
    }
}
