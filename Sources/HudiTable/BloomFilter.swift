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
    mutating func encoded() -> String {
        let perRow: Int, inLast: Int
        let shape: (bits: Int, hashes: Int)
        if rows.isEmpty {
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

    /// Sets the bits of one key: each hash is the seed of the next.
    ///
    /// Hadoop's 32-bit Murmur2: bytes are signed where they are the top byte of a block or in the tail (only the tail
    /// makes a difference to the result), and the tail is read from the end of the key.
    private static func mark(_ key: UnsafeRawBufferPointer, _ shape: (bits: Int, hashes: Int), _ out: UnsafeMutableBufferPointer<UInt8>) {
        let n = key.count, blocks = n / 4, bits = UInt32(shape.bits)
        var tail: UInt32 = 0
        for back in 0..<(n & 3) { tail ^= UInt32(bitPattern: Int32(Int8(bitPattern: key[n - 1 - back])) << Int32(8 * back)) }
        // A block's contribution does not depend on the seed: it is mixed once for all hashes of short keys.
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: max(blocks, 1)) { mix in
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
                let position = Int32(bitPattern: h).magnitude % bits
                out[Int(position >> 3)] |= 1 << UInt8(position & 7)
            }
        }
    }
}
