import StreamCore

/// Integers to dense group numbers. Keys within a narrow range are looked up in an array by their distance from the
/// smallest; others by open addressing with the key beside the number, so that a look-up costs one cache miss.
final class IntegerGroups<Key: FixedWidthInteger & SignedInteger & BitwiseCopyable> {
    private struct Slot {
        var key: Key
        /// -1 = empty.
        var group: Int32
    }

    /// Key by group number; undefined for the null group.
    private(set) var keys = GroupArray<Key>(fill: 0)
    private(set) var count = 0
    private(set) var nullGroup: Int32 = -1
    private var smallest = Int64.max, largest = Int64.min

    /// Group number by key - directBase, -1 = none; nil while the hash table is in use.
    private var direct: GroupArray<Int32>?
    private var directBase: Int64 = 0
    private var slots: UnsafeMutablePointer<Slot>?
    private var slotBits = 0

    deinit { slots?.deallocate() }

    func copy() -> IntegerGroups {
        let made = IntegerGroups()
        (made.keys, made.count, made.nullGroup, made.smallest, made.largest) = (keys.copy(), count, nullGroup, smallest, largest)
        (made.direct, made.directBase, made.slotBits) = (direct?.copy(), directBase, slotBits)
        if let slots {
            made.slots = .allocateLarge(capacity: 1 << slotBits)
            made.slots!.update(from: slots, count: 1 << slotBits)
        }
        return made
    }

    func lookup(_ values: UnsafePointer<Key>, rows: UnsafePointer<Int32>?, validity: UnsafeRawPointer?, count n: Int,
                into ids: UnsafeMutablePointer<Int32>) {
        guard n > 0 else { return }
        keys.reserve(count + n + 1)
        if let validity {
            // Runs of valid rows take the fast path; a null is looked up alone.
            lookupWithNulls(values, rows: rows, validity: validity, count: n, into: ids)
            return
        }
        if direct == nil, slots == nil { chooseDirect(values, rows: rows, count: n) }
        var i = 0
        if direct != nil { i = lookupDirect(values, rows: rows, from: 0, to: n, into: ids) }
        if i < n { lookupHashed(values, rows: rows, from: i, to: n, into: ids) }
    }

    private func lookupWithNulls(_ values: UnsafePointer<Key>, rows: UnsafePointer<Int32>?, validity: UnsafeRawPointer, count n: Int,
                                 into ids: UnsafeMutablePointer<Int32>) {
        let list = UnsafeMutablePointer<Int32>.allocate(capacity: 2 * n)
        defer { list.deallocate() }
        let positions = list + n
        var valid = 0
        forEachRow(rows, n) { i, row in
            list[valid] = Int32(truncatingIfNeeded: row)
            positions[valid] = Int32(truncatingIfNeeded: i)
            valid &+= Bitmap.get(validity, row) ? 1 : 0
        }
        let found = UnsafeMutablePointer<Int32>.allocate(capacity: valid + 1)
        defer { found.deallocate() }
        var done = 0
        if valid < n, nullGroup < 0 {
            // Numbers follow first appearance: the valid rows before the first null come before it.
            while done < valid, positions[done] == Int32(done) { done += 1 }
            lookup(values, rows: list, validity: nil, count: done, into: found)
            keys.reserve(count + n - done + 1)
            nullGroup = Int32(count)
            count += 1
        }
        lookup(values, rows: list + done, validity: nil, count: valid - done, into: found + done)
        ids.update(repeating: nullGroup, count: n)
        for k in 0..<valid { ids[Int(positions[k])] = found[k] }
    }

    private func chooseDirect(_ values: UnsafePointer<Key>, rows: UnsafePointer<Int32>?, count n: Int) {
        var low = Key.max, high = Key.min
        forEachRow(rows, n) { _, row in
            low = min(low, values[row])
            high = max(high, values[row])
        }
        let span = UInt64(bitPattern: Int64(high) &- Int64(low))
        if span < 65_536 {
            directBase = Int64(low)
            direct = GroupArray(fill: -1, capacity: Int(span) + 1)
        }
    }

    /// Returns where it stopped: `to`, or the row from which on the hash table is in use.
    private func lookupDirect(_ values: UnsafePointer<Key>, rows: UnsafePointer<Int32>?, from: Int, to n: Int,
                              into ids: UnsafeMutablePointer<Int32>) -> Int {
        var i = from
        while true {
            guard let direct else { return i }
            let table = direct.base, size = UInt64(direct.capacity), base = directBase, keys = keys.base
            var next = count
            @inline(__always) func scan(_ row: (Int) -> Int) {
                while i < n {
                    let key = values[row(i)]
                    let at = UInt64(bitPattern: Int64(key) &- base)
                    guard at < size else { return }
                    var group = table[Int(at)]
                    if group < 0 {
                        group = Int32(truncatingIfNeeded: next)
                        table[Int(at)] = group
                        keys[next] = key
                        next &+= 1
                    }
                    ids[i] = group
                    i &+= 1
                }
            }
            if let rows { scan { Int(rows[$0]) } } else { scan { $0 } }
            count = next
            if i == n { return n }
            widen(toHold: Int64(values[rows.map { Int($0[i]) } ?? i]))
        }
    }

    private func widen(toHold key: Int64) {
        let oldSize = Int64(direct!.capacity)
        let (end, overflows) = directBase.addingReportingOverflow(oldSize - 1)
        let last = overflows ? Int64.max : end
        let low = min(directBase, key), high = max(last, key)
        let span = UInt64(bitPattern: high &- low)
        guard span < UInt64(max(65_536, 4 * count)) else {
            direct = nil
            rehash(toHold: count)
            return
        }
        // Room to double on the side that grew, unless the key space ends there.
        let size = max(Int64(span) + 1, min(2 * oldSize, Int64(max(65_536, 4 * count))))
        var base = low
        if key < directBase {
            let (start, overflow) = high.subtractingReportingOverflow(size - 1)
            base = overflow ? Int64.min : start
        }
        let bigger = GroupArray<Int32>(fill: -1, capacity: Int(size))
        let shift = Int(directBase &- base)
        for k in 0..<Int(oldSize) where shift + k < Int(size) { bigger.base[shift + k] = direct!.base[k] }
        direct = bigger
        directBase = base
    }

    private func lookupHashed(_ values: UnsafePointer<Key>, rows: UnsafePointer<Int32>?, from: Int, to n: Int,
                              into ids: UnsafeMutablePointer<Int32>, mayPack: Bool = true) {
        let wanted = count + n - from
        if slots == nil || wanted * 4 > (1 << slotBits) * 3 {
            if mayPack, packIfDense() {
                let i = lookupDirect(values, rows: rows, from: from, to: n, into: ids)
                if i < n { lookupHashed(values, rows: rows, from: i, to: n, into: ids, mayPack: false) }
                return
            }
            rehash(toHold: wanted)
        }
        let slots = slots!, mask = (1 << slotBits) - 1, shift = UInt64(64 - slotBits), keys = keys.base
        var next = count, low = smallest, high = largest
        @inline(__always) func scan(_ row: (Int) -> Int) {
            for i in from..<n {
                let key = values[row(i)]
                var s = Int(truncatingIfNeeded: Self.hash(key) >> shift)
                while true {
                    let slot = slots[s]
                    if slot.group < 0 {
                        slots[s] = Slot(key: key, group: Int32(truncatingIfNeeded: next))
                        keys[next] = key
                        ids[i] = Int32(truncatingIfNeeded: next)
                        next &+= 1
                        low = min(low, Int64(key))
                        high = max(high, Int64(key))
                        break
                    }
                    if slot.key == key {
                        ids[i] = slot.group
                        break
                    }
                    s = (s &+ 1) & mask
                }
            }
        }
        if let rows { scan { Int(rows[$0]) } } else { scan { $0 } }
        (count, smallest, largest) = (next, low, high)
    }

    @inline(__always)
    private static func hash(_ key: Key) -> UInt64 {
        let x = UInt64(truncatingIfNeeded: key)
        return (x ^ x >> 32) &* 0x9E37_79B9_7F4A_7C15
    }

    /// Goes over to the array once the keys fill a quarter of their range.
    private func packIfDense() -> Bool {
        guard slots != nil, count > 0, largest >= smallest else { return false }
        let span = UInt64(bitPattern: largest &- smallest)
        guard span < UInt64(max(65_536, 4 * count)) else { return false }
        let table = GroupArray<Int32>(fill: -1, capacity: Int(span) + 1)
        for g in 0..<count where Int32(g) != nullGroup { table.base[Int(Int64(keys.base[g]) &- smallest)] = Int32(g) }
        (direct, directBase) = (table, smallest)
        slots?.deallocate()
        slots = nil
        return true
    }

    private func rehash(toHold n: Int) {
        slots?.deallocate()
        slotBits = 10
        while n * 4 > (1 << slotBits) * 3 { slotBits += 1 }
        let size = 1 << slotBits, mask = size - 1, shift = UInt64(64 - slotBits)
        let fresh = UnsafeMutablePointer<Slot>.allocateLarge(capacity: size)
        fresh.initialize(repeating: Slot(key: 0, group: -1), count: size)
        for g in 0..<count where Int32(g) != nullGroup {
            let key = keys.base[g]
            var s = Int(truncatingIfNeeded: Self.hash(key) >> shift)
            while fresh[s].group >= 0 { s = (s &+ 1) & mask }
            fresh[s] = Slot(key: key, group: Int32(g))
            smallest = min(smallest, Int64(key))
            largest = max(largest, Int64(key))
        }
        slots = fresh
    }
}
