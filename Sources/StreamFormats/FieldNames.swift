import StreamCore

/// Finds a field by its name in an object, fast when fields come in the order of the object before.
///
/// Each entry knows which entry followed it last time; only when that guess fails is the name hashed. Names that nobody wants
/// are learned too (up to a limit), so that they are skipped as fast.
struct FieldNames {
    struct Entry {
        /// The name and a closing quote, padded by 8 bytes.
        let bytes: UnsafeMutablePointer<UInt8>
        /// Bytes with the quote; 0 when the name has to be compared without escapes, the slow way.
        let quotedCount: Int
        let count: Int
        let hash: UInt64
        /// First word of the quoted name, and which bits of it count.
        let word: UInt64, mask: UInt64
        /// Index among the slots; -1 = not wanted.
        let slot: Int
        var next: Int
    }

    private(set) var entries: UnsafeMutablePointer<Entry>
    private(set) var count = 0
    private var table: UnsafeMutablePointer<Int32>
    private let tableMask: Int
    private let limit: Int
    /// What the first field of an object probably is.
    var first = 0

    private static let learnable = 256

    init(_ names: [String]) {
        limit = names.count + Self.learnable
        var size = 64
        while size < limit * 2 { size *= 2 }
        tableMask = size - 1
        entries = .allocate(capacity: limit)
        table = .allocate(capacity: size)
        table.initialize(repeating: -1, count: size)
        for (i, name) in names.enumerated() {
            var copy = name
            copy.withUTF8 { add(UnsafeRawBufferPointer($0), slot: i) }
        }
    }

    func deallocate() {
        for i in 0..<count { entries[i].bytes.deallocate() }
        entries.deallocate()
        table.deallocate()
    }

    private mutating func add(_ name: UnsafeRawBufferPointer, slot: Int) {
        let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: name.count + 9)
        bytes.initialize(repeating: 0, count: name.count + 9)
        if let start = name.baseAddress { UnsafeMutableRawPointer(bytes).copyMemory(from: start, byteCount: name.count) }
        bytes[name.count] = UInt8(ascii: "\"")
        let plain = name.allSatisfy { $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        let quoted = name.count + 1
        let mask: UInt64 = quoted >= 8 ? .max : (1 << UInt64(quoted * 8)) - 1
        let hash = Self.hash(name)
        (entries + count).initialize(to: Entry(
            bytes: bytes, quotedCount: plain ? quoted : 0, count: name.count, hash: hash,
            word: UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self) & mask, mask: mask, slot: slot, next: count + 1))
        var at = Int(truncatingIfNeeded: hash) & tableMask
        while table[at] >= 0 { at = (at + 1) & tableMask }
        table[at] = Int32(count)
        count += 1
    }

    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var h: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { h = (h ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return h ^ h >> 29
    }

    /// Whether the text behind an opening quote is entry `i`'s name and a closing quote.
    ///
    /// Reads at most 8 bytes past the first byte that differs, so never far past the end of the input, which no name holds.
    @inline(__always)
    static func matches(_ entry: UnsafeMutablePointer<Entry>, _ text: UnsafePointer<UInt8>) -> Bool {
        let n = entry.pointee.quotedCount
        let raw = UnsafeRawPointer(text)
        guard n > 0, (raw.loadUnaligned(as: UInt64.self) ^ entry.pointee.word) & entry.pointee.mask == 0 else { return false }
        if n <= 8 { return true }
        let own = UnsafeRawPointer(entry.pointee.bytes)
        var i = 8
        while i &+ 8 < n {
            guard raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) == own.loadUnaligned(fromByteOffset: i, as: UInt64.self) else { return false }
            i &+= 8
        }
        return raw.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self) == own.loadUnaligned(fromByteOffset: n &- 8, as: UInt64.self)
    }

    /// The entry of a name without escapes; learns the name when there is none. -1 when it can learn no more.
    mutating func find(_ name: UnsafeRawBufferPointer) -> Int {
        let hash = Self.hash(name)
        var at = Int(truncatingIfNeeded: hash) & tableMask
        while table[at] >= 0 {
            let i = Int(table[at])
            if entries[i].hash == hash, entries[i].count == name.count,
               UnsafeRawBufferPointer(start: entries[i].bytes, count: name.count).elementsEqual(name) { return i }
            at = (at + 1) & tableMask
        }
        guard count < limit else { return -1 }
        add(name, slot: -1)
        return count - 1
    }
}
