import CChecksum
import StreamCore

/// The newest append of each producer in a shard, so that a repetition is recognised.
///
/// The batches themselves tell; a snapshot (`producers` beside the segments, replaced as a whole) stands for those that
/// retention has removed, and shortens the walk over the others:
///
///     magic "SWP1" | CRC32C of the rest | index up to which batches are included (UInt64) | entries
///     entry: producer | its newest sequence | index of the first record of that batch (UInt64 each)
struct ProducerTable: Sendable {
    struct Entry: Equatable { var sequence: UInt64, index: UInt64 }

    private(set) var entries: [UInt64: Entry] = [:]
    /// Every batch with records before this index is included.
    var upTo: UInt64 = 0

    static let fileName = "producers"
    private static let magic: UInt32 = 0x3150_5753
    private static let headerBytes = 16, entryBytes = 24

    /// Producers that are remembered; beyond a quarter more, those whose last append is oldest are forgotten.
    static let producersMax = 32_768

    var isEmpty: Bool { entries.isEmpty }

    func has(_ id: ProducerSequence) -> Bool { (entries[id.producer]?.sequence ?? 0) >= id.sequence }

    mutating func note(_ header: BatchHeader) {
        guard header.producer != 0, !header.isRequest else { return }
        let known = entries[header.producer]
        entries[header.producer] = Entry(sequence: max(known?.sequence ?? 0, header.producerSequence), index: max(known?.index ?? 0, header.baseIndex))
        if entries.count > Self.producersMax + Self.producersMax / 4 { forgetOldest() }
    }

    private mutating func forgetOldest() {
        let kept = entries.sorted { $0.value.index > $1.value.index }.prefix(Self.producersMax)
        entries = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    func bytes() -> [UInt8] {
        var words = [upTo.littleEndian]
        for (producer, entry) in entries.sorted(by: { $0.key < $1.key }) {
            words += [producer.littleEndian, entry.sequence.littleEndian, entry.index.littleEndian]
        }
        return words.withUnsafeBytes { body in
            var head = [Self.magic.littleEndian, sw_crc32c(0, body.baseAddress!, body.count).littleEndian]
            return head.withUnsafeMutableBytes { Array($0) } + Array(body)
        }
    }

    /// nil when the bytes are damaged.
    init?(_ bytes: [UInt8]) {
        guard bytes.count >= Self.headerBytes, (bytes.count - Self.headerBytes) % Self.entryBytes == 0 else { return nil }
        let isWhole = bytes.withUnsafeBytes { p in
            let (magic, sum) = (p.loadUnaligned(fromByteOffset: 0, as: UInt32.self), p.loadUnaligned(fromByteOffset: 4, as: UInt32.self))
            guard UInt32(littleEndian: magic) == Self.magic,
                  UInt32(littleEndian: sum) == sw_crc32c(0, p.baseAddress! + 8, p.count - 8) else { return false }
            func word(_ at: Int) -> UInt64 { UInt64(littleEndian: p.loadUnaligned(fromByteOffset: at, as: UInt64.self)) }
            upTo = word(8)
            for at in stride(from: Self.headerBytes, to: p.count, by: Self.entryBytes) {
                entries[word(at)] = Entry(sequence: word(at + 8), index: word(at + 16))
            }
            return true
        }
        guard isWhole else { return nil }
    }

    init() {}
}
