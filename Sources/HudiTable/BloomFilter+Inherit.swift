import Foundation

extension BloomFilter {
    private static let headerBytes = 13

    private static func int(_ bytes: [UInt8], _ at: Int) -> Int {
        Int(Int32(bitPattern: bytes[at..<at + 4].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }))
    }

    /// How many rows a filter has; nil when it is not one of this kind.
    private static func rows(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= headerBytes + 12, int(bytes, 0) == -1, bytes[8] == 1 else { return nil }
        return int(bytes, headerBytes + 8)
    }

    /// Whether rows can be added to the filter of a file, as all rows of a filter have one shape, and whether that is worth it: many
    /// rows of few keys each make it slow and less sure.
    static func canGrow(_ encoded: String, rows: Int64) -> Bool {
        // Of a filter of many MB only its start is looked at: 27 bytes, and how long it is.
        let digits = encoded.utf8
        guard digits.count % 4 == 0, let bytes = Data(base64Encoded: String(decoding: digits.prefix(36), as: UTF8.self)).map(Array.init),
              let count = Self.rows(bytes) else { return false }
        let shape = shape(keys: keysPerRow), size = digits.count / 4 * 3 - digits.suffix(2).count { $0 == UInt8(ascii: "=") }
        guard size == headerBytes + 12 + count * (headerBytes + (shape.bits + 7) / 8) else { return false }
        return int(bytes, headerBytes) == keysPerRow && int(bytes, 4) == shape.hashes && int(bytes, 9) == shape.bits
            && count <= 16 + 2 * Int(rows) / keysPerRow
    }

    /// The rows of one filter, then those of another of the same shape: it has the keys of both.
    static func joined(_ first: String, _ second: String) -> String {
        guard let a = Data(base64Encoded: first).map(Array.init), let b = Data(base64Encoded: second).map(Array.init),
              let rowsOfA = rows(a), let rowsOfB = rows(b) else { return second }
        func bytes(_ n: Int) -> [UInt8] { withUnsafeBytes(of: Int32(truncatingIfNeeded: n).bigEndian) { Array($0) } }
        let start = headerBytes + 12
        // Keys in a row of the first, keys in the last row of the second, and how many rows there are now.
        var out = Array(a[..<(headerBytes + 4)])
        out += b[(headerBytes + 4)..<(headerBytes + 8)]
        out += bytes(rowsOfA + rowsOfB)
        out += a[start...]
        out += b[start...]
        return Data(out).base64EncodedString()
    }
}
