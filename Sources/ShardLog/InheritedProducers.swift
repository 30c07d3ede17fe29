import CChecksum
import StreamCore

/// What the ancestors of a shard knew of producers when it was opened, so that an append whose first try went to them is
/// recognised. In the file `inherited` beside the segments, which never changes:
///
///     magic "SWI1" | CRC32C of the rest | parts
///     part: first and last hash key (UInt128 each) | entries (UInt64) | entry: producer | its newest sequence (UInt64 each)
///
/// The parts do not overlap. A split hands on what is known of each half, a merge puts the parts of both parents side by side.
struct InheritedProducers: Sendable {
    struct Part: Sendable {
        var range: HashKeyRange
        var sequences: [UInt64: UInt64]
    }

    var parts: [Part] = []

    static let fileName = "inherited"
    private static let magic: UInt32 = 0x3149_5753

    /// What the children of a shard inherit from it: its own knowledge holds for all its hash keys.
    init(from inherited: InheritedProducers, own: ProducerTable, range: HashKeyRange) {
        let sequences = own.entries.mapValues(\.sequence)
        var rest = range.first
        for part in inherited.parts.sorted(by: { $0.range.first < $1.range.first }) {
            if part.range.first > rest { add(Part(range: .init(first: rest, last: part.range.first - 1), sequences: sequences)) }
            add(Part(range: part.range, sequences: Self.merged(part.sequences, sequences)))
            if part.range.last >= range.last { return }
            rest = part.range.last + 1
        }
        add(Part(range: HashKeyRange(first: rest, last: range.last), sequences: sequences))
    }

    init() {}

    /// Bounded: what ancestors knew makes way for what the shard itself learned.
    private static func merged(_ older: [UInt64: UInt64], _ newer: [UInt64: UInt64]) -> [UInt64: UInt64] {
        var all = newer.merging(older.filter { newer[$0.key] != nil }, uniquingKeysWith: max)
        for (producer, sequence) in older where all[producer] == nil {
            if all.count >= ProducerTable.producersMax { break }
            all[producer] = sequence
        }
        return all
    }

    private mutating func add(_ part: Part) {
        guard !part.sequences.isEmpty else { return }
        if let last = parts.last, last.range.last != .max, last.range.last + 1 == part.range.first, last.sequences == part.sequences {
            parts[parts.count - 1].range.last = part.range.last
        } else {
            parts.append(part)
        }
    }

    /// The parts of several parents, for one child's hash keys.
    init(_ parents: [InheritedProducers], clippedTo range: HashKeyRange) {
        for part in parents.flatMap(\.parts).sorted(by: { $0.range.first < $1.range.first }) {
            let (first, last) = (max(part.range.first, range.first), min(part.range.last, range.last))
            if first <= last { add(Part(range: HashKeyRange(first: first, last: last), sequences: part.sequences)) }
        }
    }

    /// The hash keys whose records an earlier try of that append has written.
    func ranges(having id: ProducerSequence) -> [HashKeyRange] {
        parts.filter { ($0.sequences[id.producer] ?? 0) >= id.sequence }.map(\.range)
    }

    // MARK: On disk

    static func read(_ shardDirectory: String) throws -> InheritedProducers {
        let path = shardDirectory + "/" + fileName
        guard Host.exists(path) else { return InheritedProducers() }
        guard let inherited = InheritedProducers(try Host.read(path)) else {
            throw StreamError(.corrupt, "\(path) is damaged",
                              fix: "restore the file from a backup; or delete it, if no job that writes to the stream has an unfinished commit")
        }
        return inherited
    }

    func bytes() -> [UInt8] {
        var body: [UInt8] = []
        func put<T: FixedWidthInteger>(_ value: T) { withUnsafeBytes(of: value.littleEndian) { body += $0 } }
        for part in parts {
            put(part.range.first)
            put(part.range.last)
            put(UInt64(part.sequences.count))
            for (producer, sequence) in part.sequences.sorted(by: { $0.key < $1.key }) {
                put(producer)
                put(sequence)
            }
        }
        let head = [Self.magic.littleEndian, body.withUnsafeBytes { sw_crc32c(0, $0.baseAddress, $0.count) }.littleEndian]
        return head.withUnsafeBytes { Array($0) } + body
    }

    init?(_ bytes: [UInt8]) {
        var at = 8
        func word<T: FixedWidthInteger>() -> T? {
            let size = MemoryLayout<T>.size
            guard at + size <= bytes.count else { return nil }
            defer { at += size }
            return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
        }
        let isWhole = bytes.count >= 8 && bytes.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 0, as: UInt32.self)) == Self.magic
                && UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4, as: UInt32.self)) == sw_crc32c(0, $0.baseAddress! + 8, $0.count - 8)
        }
        guard isWhole else { return nil }
        while at < bytes.count {
            guard let first: UInt128 = word(), let last: UInt128 = word(), let count: UInt64 = word() else { return nil }
            var part = Part(range: HashKeyRange(first: first, last: last), sequences: [:])
            for _ in 0..<count {
                guard let producer: UInt64 = word(), let sequence: UInt64 = word() else { return nil }
                part.sequences[producer] = sequence
            }
            parts.append(part)
        }
    }
}
