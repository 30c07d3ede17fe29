import Foundation
import LakeTable
import StreamCore

/// The bloom filter of a base file's record keys in the form that Hudi calls DYNAMIC_V0.
///
///     int32 -1 | int32 hashes | int8 1 | int32 bits                       header, big endian
///     int32 nr | int32 keys in the last row | int32 rows                  dynamic part
///     rows x ( the same header | ceil(bits/8) bytes, bit i = byte i>>3, value 1<<(i&7) )
///
/// A row of the filter is for `keysPerRow` keys and small enough for the processor's cache; a file with fewer keys gets one
/// row of just their number. The numbers travel in the header, so any reader of the format copes.
struct BloomFilter {
    static let keysPerRow = 16_384
    /// Chance of a false positive per row. 1e-4 takes 20 bits and 14 hashes a key; Hudi's own 1e-9 takes 44 and 30.
    static let falsePositives = 1e-4

    private var rows: [[UInt8]] = []
    private var bytes: [UInt8] = []
    private var offsets: [Int] = [0]

    private var pendingKeys: Int { offsets.count - 1 }

    mutating func add(_ key: UnsafeRawBufferPointer) {
        bytes.append(contentsOf: key)
        offsets.append(bytes.count)
        if pendingKeys == Self.keysPerRow { closeRow() }
    }

    mutating func add(_ keys: TextColumn) {
        let ends = keys.offsets.pointer(as: Int32.self)
        var done = 0
        while done < keys.count {
            let part = min(keys.count - done, Self.keysPerRow - pendingKeys)
            let first = Int(ends[done]), shift = bytes.count - first
            bytes.append(contentsOf: UnsafeRawBufferPointer(start: keys.bytes.base + first, count: Int(ends[done + part]) - first))
            for i in done + 1...done + part { offsets.append(Int(ends[i]) + shift) }
            done += part
            if pendingKeys == Self.keysPerRow { closeRow() }
        }
    }

    private mutating func closeRow() {
        rows.append(Self.row(bytes, offsets, shape: Self.shape(keys: Self.keysPerRow)))
        bytes.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        offsets.append(0)
    }

    /// The filter as base64 text for the Parquet footer.
    /// - Parameter growing: its rows are to be added to those of another filter: they have the full size, however few keys there are.
    mutating func encoded(growing: Bool = false) -> String {
        let perRow: Int, inLast: Int
        let shape: (bits: Int, hashes: Int)
        if rows.isEmpty, !growing {
            inLast = pendingKeys
            perRow = max(pendingKeys, 1)
            shape = Self.shape(keys: perRow)
            rows.append(Self.row(bytes, offsets, shape: shape))
        } else {
            perRow = Self.keysPerRow
            shape = Self.shape(keys: perRow)
            inLast = pendingKeys > 0 ? pendingKeys : perRow
            if pendingKeys > 0 { rows.append(Self.row(bytes, offsets, shape: shape)) }
        }
        var out: [UInt8] = []
        func int(_ n: Int) { withUnsafeBytes(of: Int32(truncatingIfNeeded: n).bigEndian) { out.append(contentsOf: $0) } }
        func header() {
            int(-1)
            int(shape.hashes)
            out.append(1)
            int(shape.bits)
        }
        header()
        int(perRow)
        int(inLast)
        int(rows.count)
        for row in rows {
            header()
            out += row
        }
        return Data(out).base64EncodedString()
    }

    static func shape(keys: Int) -> (bits: Int, hashes: Int) {
        let ln2 = 0.6931471805599453
        let bits = (Double(keys) * -log(falsePositives) / (ln2 * ln2)).rounded(.up)
        return (Int(bits), Int((ln2 * bits / Double(keys)).rounded(.up)))
    }

    private static func row(_ bytes: [UInt8], _ offsets: [Int], shape: (bits: Int, hashes: Int)) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: (shape.bits + 7) / 8)
        bytes.withUnsafeBytes { bytes in
            out.withUnsafeMutableBufferPointer { out in
                for i in 0..<offsets.count - 1 {
                    mark(UnsafeRawBufferPointer(rebasing: bytes[offsets[i]..<offsets[i + 1]]), shape, out)
                }
            }
        }
        return out
    }

    private static let m: UInt32 = 0x5BD1_E995

    @inline(__always)
    private static func mixed(_ block: UInt32) -> UInt32 {
        var k = block &* m
        k ^= k >> 24
        return k &* m
    }

    /// Sets the bits of one key.
    private static func mark(_ key: UnsafeRawBufferPointer, _ shape: (bits: Int, hashes: Int), _ out: UnsafeMutableBufferPointer<UInt8>) {
        _ = allPositions(of: key, shape) { position in
            out[Int(position >> 3)] |= 1 << UInt8(position & 7)
            return true
        }
    }

    /// Calls `body` with the positions of a key's bits, until it gives false: each hash is the seed of the next.
    ///
    /// Hadoop's 32-bit Murmur2: bytes are signed where they are the top byte of a block or in the tail (only the tail
    /// makes a difference to the result), and the tail is read from the end of the key.
    /// - Returns: whether it gave true for all.
    @inline(__always)
    private static func allPositions(of key: UnsafeRawBufferPointer, _ shape: (bits: Int, hashes: Int), _ body: (UInt32) -> Bool) -> Bool {
        let n = key.count, blocks = n / 4, bits = UInt32(shape.bits)
        var tail: UInt32 = 0
        for back in 0..<(n & 3) { tail ^= UInt32(bitPattern: Int32(Int8(bitPattern: key[n - 1 - back])) << Int32(8 * back)) }
        // A block's contribution does not depend on the seed: it is mixed once for all hashes of short keys.
        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: max(blocks, 1)) { mix in
            for b in 0..<blocks { mix[b] = mixed(UInt32(littleEndian: key.loadUnaligned(fromByteOffset: 4 * b, as: UInt32.self))) }
            var seed: UInt32 = 0
            for _ in 0..<shape.hashes {
                var h = seed ^ UInt32(truncatingIfNeeded: n)
                for b in 0..<blocks { h = h &* m ^ mix[b] }
                if n & 3 != 0 { h = (h ^ tail) &* m }
                h ^= h >> 13
                h = h &* m
                h ^= h >> 15
                seed = h
                if !body(Int32(bitPattern: h).magnitude % bits) { return false }
            }
            return true
        }
    }

    // MARK: Reading

    /// A filter as it lies in a footer.
    struct Stored {
        private var rows: [(bits: Int, hashes: Int, bytes: ArraySlice<UInt8>)] = []

        /// nil for text that is not such a filter: nothing is known of the keys then.
        /// - Parameter typeCode: `DYNAMIC_V0`, or `SIMPLE`: one row without the dynamic part.
        init?(_ text: String, typeCode: String) {
            guard let data = Data(base64Encoded: text), typeCode == "DYNAMIC_V0" || typeCode == "SIMPLE" else { return nil }
            let all = [UInt8](data)
            var at = 0
            func int() -> Int? {
                guard at + 4 <= all.count else { return nil }
                defer { at += 4 }
                return Int(Int32(truncatingIfNeeded: all[at..<at + 4].reduce(0) { $0 << 8 | Int64($1) }))
            }
            func header() -> (bits: Int, hashes: Int)? {
                // Version -1, the number of hashes, hash type 1 (Murmur), the number of bits.
                guard int() == -1, let hashes = int(), at < all.count, all[at] == 1 else { return nil }
                at += 1
                guard let bits = int(), bits > 0, (1...1_000).contains(hashes) else { return nil }
                return (bits, hashes)
            }
            var count = 1
            if typeCode == "DYNAMIC_V0" {
                guard header() != nil, int() != nil, int() != nil, let rows = int(), rows >= 0 else { return nil }
                count = rows
            }
            for _ in 0..<count {
                guard let shape = header(), case let size = (shape.bits + 7) / 8, at + size <= all.count else { return nil }
                rows.append((shape.bits, shape.hashes, all[at..<at + size]))
                at += size
            }
        }

        /// False only for a key that the file does not have.
        func mayContain(_ key: [UInt8]) -> Bool {
            key.withUnsafeBytes { key in
                rows.contains { row in
                    row.bytes.withUnsafeBufferPointer { bytes in
                        BloomFilter.allPositions(of: key, (row.bits, row.hashes)) { bytes[Int($0 >> 3)] & 1 << UInt8($0 & 7) != 0 }
                    }
                }
            }
        }
    }
}
