import StreamCore

/// A record key (with its partition, when keys are unique per partition only) as 128 bits.
///
/// Two of 100 million keys have the same hash with a chance of 1e-23, so a hash stands for its key.
package struct KeyHash: Hashable {
    package var high: UInt64, low: UInt64

    /// Drawn anew by every writer: nobody can prepare keys that collide.
    package struct Seeds: Sendable {
        package let high: UInt64, low: UInt64
        package init(_ host: Host) { (high, low) = (host.randomBits(), host.randomBits()) }
        init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }
    }

    /// - Parameter salt: 0 for keys that are unique in the table, else something that differs between partitions.
    @inline(__always)
    package init(_ key: UnsafeRawBufferPointer, salt: Int, seeds: Seeds) {
        var a = seeds.high ^ UInt64(truncatingIfNeeded: key.count)
        var b = seeds.low ^ UInt64(truncatingIfNeeded: salt) &* 0x9E37_79B9_7F4A_7C15
        let p = key.baseAddress!
        var i = 0
        while i &+ 8 <= key.count {
            let word = p.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            a = Self.fold(a ^ word, 0xA076_1D64_78BD_642F)
            b = Self.fold(b ^ word, 0xE703_7ED1_A0B4_28DB)
            i &+= 8
        }
        var tail: UInt64 = 0
        while i < key.count {
            tail = tail << 8 | UInt64(key[i])
            i &+= 1
        }
        high = Self.fold(a ^ tail, 0x8EBC_6AF0_9C88_C6E3) ^ b
        low = Self.fold(b ^ tail, 0x5899_65CC_7537_4CC3) ^ RowHash.mix(a)
    }

    @inline(__always)
    private static func fold(_ x: UInt64, _ k: UInt64) -> UInt64 {
        let product = (x ^ k >> 32).multipliedFullWidth(by: k)
        return product.high ^ product.low
    }
}

/// Record key -> file group and row in its newest file, for all live rows of a table: a cache built by reading the key columns of
/// the live files. About 40 bytes per key.
package final class KeyIndex {
    private struct Slot {
        var hash: KeyHash
        /// `empty`, `removed`, or a group number.
        var group: Int32
        var row: UInt32
    }

    /// Where the row of a key is; `group` is -1 when it is not in the table.
    package struct Place {
        package var group: Int32, row: UInt32
    }

    private static let empty: Int32 = -1, removed: Int32 = -2
    private var slots: UnsafeMutablePointer<Slot>
    private var capacity: Int
    private var used = 0
    /// Of no meaning; without it nobody would need what `fetch` reads.
    private var fetched: Int32 = 0
    package private(set) var count = 0

    package init(capacity: Int = 1_024) {
        var size = 1_024
        while size * 3 / 5 < capacity { size *= 2 }
        self.capacity = size
        slots = Self.allocate(size)
    }

    deinit { slots.deallocate() }

    private static func allocate(_ n: Int) -> UnsafeMutablePointer<Slot> {
        let slots = UnsafeMutablePointer<Slot>.allocate(capacity: n)
        slots.initialize(repeating: Slot(hash: KeyHash(high: 0, low: 0), group: empty, row: 0), count: n)
        return slots
    }

    @inline(__always)
    private func slot(of hash: KeyHash) -> Int {
        var i = Int(truncatingIfNeeded: hash.low) & (capacity - 1)
        while slots[i].group != Self.empty, slots[i].hash != hash { i = (i + 1) & (capacity - 1) }
        return i
    }

    /// The group of a key; -1 when it is not in the table.
    package func find(_ hash: KeyHash) -> Int {
        let group = slots[slot(of: hash)].group
        return group == Self.removed ? -1 : Int(group)
    }

    package func place(_ hash: KeyHash) -> Place {
        let slot = slots[slot(of: hash)]
        return Place(group: slot.group == Self.removed ? -1 : slot.group, row: slot.row)
    }

    package func set(_ hash: KeyHash, group: Int, row: Int) {
        let i = slot(of: hash)
        if slots[i].group == Self.empty {
            slots[i].hash = hash
            used += 1
        }
        if slots[i].group < 0 { count += 1 }
        slots[i].group = Int32(truncatingIfNeeded: group)
        slots[i].row = UInt32(truncatingIfNeeded: row)
        if used * 5 > capacity * 3 { rehash() }
    }

    /// Keys that are looked up together: their slots, far apart in memory, come to the processor at the same time.
    private static let block = 64

    /// Reads the slots of some keys, without waiting for one before it asks for the next.
    @inline(__always)
    private func fetch(_ hashes: UnsafePointer<KeyHash>, _ n: Int) {
        var sum: Int32 = 0
        for i in 0..<n { sum &+= slots[Int(truncatingIfNeeded: hashes[i].low) & (capacity - 1)].group }
        fetched &+= sum
    }

    /// Takes in rows `firstRow...` of a group. Of a key that several rows have, the one in the last group, and there the last row, counts.
    package func load(_ hashes: UnsafeBufferPointer<KeyHash>, group: Int, firstRow: Int) {
        var start = 0
        while start < hashes.count {
            let n = min(Self.block, hashes.count - start)
            fetch(hashes.baseAddress! + start, n)
            for i in start..<start + n {
                let known = slots[slot(of: hashes[i])], row = firstRow + i
                if known.group >= 0, (Int(known.group), Int(known.row)) > (group, row) { continue }
                set(hashes[i], group: group, row: row)
            }
            start += n
        }
    }

    /// Calls `body` with the place of each of `n` keys.
    package func forEachPlace(of n: Int, hash: (Int) -> KeyHash, _ body: (Int, Place) -> Void) {
        withUnsafeTemporaryAllocation(of: KeyHash.self, capacity: Self.block) { hashes in
            var start = 0
            while start < n {
                let count = min(Self.block, n - start)
                for i in 0..<count { hashes.initializeElement(at: i, to: hash(start + i)) }
                fetch(hashes.baseAddress!, count)
                for i in 0..<count { body(start + i, place(hashes[i])) }
                start += count
            }
        }
    }

    func forEach(_ body: (KeyHash, Place) throws -> Void) rethrows {
        for i in 0..<capacity where slots[i].group >= 0 { try body(slots[i].hash, Place(group: slots[i].group, row: slots[i].row)) }
    }

    package func remove(_ hash: KeyHash) {
        let i = slot(of: hash)
        if slots[i].group >= 0 {
            slots[i].group = Self.removed
            count -= 1
        }
    }

    private func rehash() {
        let (old, n) = (slots, capacity)
        while count * 5 > capacity * 2 { capacity *= 2 }
        slots = Self.allocate(capacity)
        used = count
        for i in 0..<n where old[i].group >= 0 { slots[slot(of: old[i].hash)] = old[i] }
        old.deallocate()
    }
}

extension KeyHash {
    init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }
}
