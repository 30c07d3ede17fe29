import StreamCore

/// A row as it lies in the store.
///
///     key     key group UInt16, the higher byte first | key
///     value   version Int64 | written at Int64 | hash UInt64 | row
struct StoredRow {
    let version: Int64, time: Int64, hash: UInt64
    let row: UnsafeRawBufferPointer

    init(_ value: UnsafeRawBufferPointer) {
        version = value.loadUnaligned(as: Int64.self)
        time = value.loadUnaligned(fromByteOffset: 8, as: Int64.self)
        hash = value.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
        row = UnsafeRawBufferPointer(rebasing: value[24...])
    }

    static func prefix(_ group: Int) -> [UInt8] { [UInt8(truncatingIfNeeded: group >> 8), UInt8(truncatingIfNeeded: group)] }

    static func key(_ group: Int, _ key: UnsafeRawBufferPointer) -> [UInt8] {
        var out = prefix(group)
        out.reserveCapacity(key.count + 2)
        out.append(contentsOf: key)
        return out
    }

    static func value(_ row: UnsafeRawBufferPointer, version: Int64, time: Int64, hash: UInt64) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: 24 + row.count) { out, count in
            let base = UnsafeMutableRawPointer(out.baseAddress!)
            base.storeBytes(of: version, as: Int64.self)
            base.storeBytes(of: time, toByteOffset: 8, as: Int64.self)
            base.storeBytes(of: hash, toByteOffset: 16, as: UInt64.self)
            if row.count > 0 { (base + 24).copyMemory(from: row.baseAddress!, byteCount: row.count) }
            count = 24 + row.count
        }
    }
}

/// The smallest of many keys.
struct SmallestKeys {
    private let after: [UInt8]
    private let limit: Int
    private var found: [(key: [UInt8], hash: UInt64)] = []
    /// Keys from here on are too many.
    private var bound: [UInt8]?

    init(after: [UInt8], limit: Int) { (self.after, self.limit) = (after, limit) }

    /// False when no larger key is wanted.
    @discardableResult
    mutating func add(_ key: UnsafeRawBufferPointer, _ hash: UInt64) -> Bool {
        guard after.withUnsafeBytes({ ViewPartition.isBefore($0, key) }) else { return true }
        if let bound, !bound.withUnsafeBytes({ ViewPartition.isBefore(key, $0) }) { return false }
        found.append((Array(key), hash))
        if found.count > limit * 2 + 64 { cut() }
        return true
    }

    private mutating func cut() {
        found.sort { $0.key.lexicographicallyPrecedes($1.key) }
        // The table and the store may both have a key.
        var unique: [(key: [UInt8], hash: UInt64)] = []
        for entry in found where unique.last?.key != entry.key { unique.append(entry) }
        found = Array(unique.prefix(limit))
        if found.count == limit { bound = found.last!.key }
    }

    mutating func sorted() -> [(key: [UInt8], hash: UInt64)] {
        cut()
        return found
    }
}
