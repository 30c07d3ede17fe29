#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Rows by key in memory: an open hash table of blocks.
///
///     block   key length and flag UInt32 | row length UInt32 | version Int64 | written at Int64 | size UInt32 | key | row
///
/// A value without counted references, so that a row is put without any. Its owner calls ``free()``.
struct RowTable: BitwiseCopyable {
    struct Slot: BitwiseCopyable {
        var hash: UInt64
        var block: UnsafeMutableRawPointer?
    }

    /// One entry, valid until the table is changed.
    struct Entry: BitwiseCopyable {
        let block: UnsafeMutableRawPointer

        private static let dirty: UInt32 = 1 << 31
        private static let absent = UInt32.max

        var key: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: block + RowTable.header, count: keyLength) }
        var keyLength: Int { Int(block.load(as: UInt32.self) & ~Self.dirty) }
        /// nil = it is known that there is no such row.
        var row: UnsafeRawBufferPointer? {
            let length = block.load(fromByteOffset: 4, as: UInt32.self)
            return length == Self.absent ? nil : UnsafeRawBufferPointer(start: block + RowTable.header + keyLength, count: Int(length))
        }
        var isPresent: Bool { block.load(fromByteOffset: 4, as: UInt32.self) != Self.absent }
        var version: Int64 { block.load(fromByteOffset: 8, as: Int64.self) }
        var time: Int64 { block.load(fromByteOffset: 16, as: Int64.self) }
        /// Not in the store behind the table.
        var isDirty: Bool { block.load(as: UInt32.self) & Self.dirty != 0 }

        func setTime(_ time: Int64) { block.storeBytes(of: time, toByteOffset: 16, as: Int64.self) }
        func setDirty(_ isDirty: Bool) {
            let length = block.load(as: UInt32.self)
            block.storeBytes(of: isDirty ? length | Self.dirty : length & ~Self.dirty, as: UInt32.self)
        }

        fileprivate func fill(_ key: UnsafeRawBufferPointer, _ row: UnsafeRawBufferPointer?, _ version: Int64, _ time: Int64, isDirty: Bool) {
            block.storeBytes(of: UInt32(truncatingIfNeeded: key.count) | (isDirty ? Self.dirty : 0), as: UInt32.self)
            block.storeBytes(of: row.map { UInt32(truncatingIfNeeded: $0.count) } ?? Self.absent, toByteOffset: 4, as: UInt32.self)
            block.storeBytes(of: version, toByteOffset: 8, as: Int64.self)
            setTime(time)
            if key.count > 0 { (block + RowTable.header).copyMemory(from: key.baseAddress!, byteCount: key.count) }
            if let row, row.count > 0 { (block + RowTable.header + key.count).copyMemory(from: row.baseAddress!, byteCount: row.count) }
        }
    }

    static let header = 28
    /// Keys and rows are shorter than this.
    static let longest = Int(Int32.max) / 2

    private(set) var count = 0
    /// Of blocks, as the allocator rounds them, and of the slots.
    private(set) var bytes = 0
    private var capacity = 0
    private var slots: UnsafeMutablePointer<Slot>?

    /// What the allocator needs for a block.
    @inline(__always)
    private static func size(_ block: UnsafeMutableRawPointer) -> Int { Int(block.loadUnaligned(fromByteOffset: 24, as: UInt32.self)) &+ 8 }

    mutating func free() {
        for i in 0..<capacity { if let block = slots![i].block { systemFree(block) } }
        slots?.deallocate()
        self = RowTable()
    }

    @inline(__always)
    private func slot(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Int {
        let mask = capacity &- 1
        // The upper half of the hash has chosen the table.
        var i = Int(truncatingIfNeeded: hash) & mask
        while let block = slots![i].block {
            if slots![i].hash == hash {
                let entry = Entry(block: block)
                if entry.keyLength == key.count, key.count == 0 || memcmp(block + Self.header, key.baseAddress!, key.count) == 0 { return i }
            }
            i = (i &+ 1) & mask
        }
        return i
    }

    func find(_ hash: UInt64, _ key: UnsafeRawBufferPointer) -> Entry? {
        capacity == 0 ? nil : slots![slot(hash, key)].block.map { Entry(block: $0) }
    }

    /// Puts a row, or the knowledge that there is none.
    mutating func put(_ hash: UInt64, _ key: UnsafeRawBufferPointer, _ row: UnsafeRawBufferPointer?, version: Int64, time: Int64, isDirty: Bool) {
        if (count &+ 1) &* 4 > capacity &* 3 { grow() }
        let at = slot(hash, key), wanted = Self.header &+ key.count &+ (row?.count ?? 0)
        if let block = slots![at].block {
            let size = Self.size(block)
            // In place where the row fits without wasting half of the block.
            if wanted &+ 8 <= size, wanted &* 2 >= size || size <= 64 {
                return Entry(block: block).fill(key, row, version, time, isDirty: isDirty)
            }
            systemFree(block)
            bytes &-= size
        } else {
            count &+= 1
        }
        // All of what an allocator that deals in multiples of 16 bytes with 8 of its own would give.
        let usable = ((wanted &+ 8 &+ 15) & ~15) &- 8
        let block = systemAllocate(usable)!
        block.storeBytes(of: UInt32(truncatingIfNeeded: usable), toByteOffset: 24, as: UInt32.self)
        bytes &+= Self.size(block)
        slots![at] = Slot(hash: hash, block: block)
        Entry(block: block).fill(key, row, version, time, isDirty: isDirty)
    }

    mutating func remove(_ hash: UInt64, _ key: UnsafeRawBufferPointer) {
        guard capacity > 0 else { return }
        var hole = slot(hash, key)
        guard let block = slots![hole].block else { return }
        bytes &-= Self.size(block)
        systemFree(block)
        count &-= 1
        // Entries behind it that would not be found any more move up.
        let mask = capacity &- 1
        var i = (hole &+ 1) & mask
        while slots![i].block != nil {
            let home = Int(truncatingIfNeeded: slots![i].hash) & mask
            if (i &- home) & mask >= (i &- hole) & mask {
                slots![hole] = slots![i]
                hole = i
            }
            i = (i &+ 1) & mask
        }
        slots![hole].block = nil
    }

    private mutating func grow() {
        let (old, oldCapacity) = (slots, capacity)
        capacity = max(8, capacity &* 2)
        let new = UnsafeMutablePointer<Slot>.allocate(capacity: capacity)
        new.initialize(repeating: Slot(hash: 0, block: nil), count: capacity)
        let mask = capacity &- 1
        for i in 0..<oldCapacity where old![i].block != nil {
            var to = Int(truncatingIfNeeded: old![i].hash) & mask
            while new[to].block != nil { to = (to &+ 1) & mask }
            new[to] = old![i]
        }
        old?.deallocate()
        slots = new
        bytes &+= (capacity &- oldCapacity) &* MemoryLayout<Slot>.stride
    }

    /// Calls `body` with hash and entry of each key, in no order, until it returns false.
    func forEach(_ body: (UInt64, Entry) throws -> Bool) rethrows {
        for i in 0..<capacity {
            guard let block = slots![i].block else { continue }
            guard try body(slots![i].hash, Entry(block: block)) else { return }
        }
    }
}

private func systemAllocate(_ count: Int) -> UnsafeMutableRawPointer? { malloc(count) }
private func systemFree(_ block: UnsafeMutableRawPointer) { free(block) }
