import StreamCore

/// Byte strings to dense group numbers. Values of up to 12 bytes are compared as two words, longer ones by their bytes,
/// which are copied into blocks that a ``Column`` of keys shares.
final class BytesGroups {
    private struct Slot {
        /// Upper half of the hash.
        var tag: UInt32
        /// -1 = empty.
        var group: Int32
    }

    /// View by group number; the long ones point into `heaps`.
    private(set) var views = GroupArray<StringView>(fill: .empty)
    /// Blocks are only ever appended to, behind what a handed-out view can reach.
    private(set) var heaps: [Buffer] = []
    private(set) var count = 0
    private(set) var nullGroup: Int32 = -1
    private var heapUsed = 0
    private var slots: UnsafeMutablePointer<Slot>
    private var slotBits = 6

    init() {
        slots = .allocate(capacity: 64)
        slots.initialize(repeating: Slot(tag: 0, group: -1), count: 64)
    }

    deinit { slots.deallocate() }

    /// Shares the blocks of long values, behind whose used part either may not write: the copy begins a block of its own.
    func copy() -> BytesGroups {
        let made = BytesGroups()
        (made.views, made.heaps, made.count, made.nullGroup) = (views.copy(), heaps, count, nullGroup)
        made.heapUsed = heaps.last?.capacity ?? 0
        made.slots.deallocate()
        made.slots = .allocateLarge(capacity: 1 << slotBits)
        made.slots.update(from: slots, count: 1 << slotBits)
        made.slotBits = slotBits
        return made
    }

    func lookup(_ column: Column, rows: UnsafePointer<Int32>?, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        let bases = column.heaps.map { UnsafeRawPointer($0.base) }
        withExtendedLifetime(column) {
            bases.withUnsafeBufferPointer {
                lookup(column.pointer(as: StringView.self), heaps: $0.baseAddress, rows: rows, validity: column.validity?.base, count: n,
                       into: ids)
            }
        }
    }

    func lookup(_ values: UnsafePointer<StringView>, heaps sources: UnsafePointer<UnsafeRawPointer>?, rows: UnsafePointer<Int32>?,
                validity: UnsafeMutableRawPointer?, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        views.reserve(count + n + 1)
        if (count + n) * 4 > (1 << slotBits) * 3 { rehash(toHold: count + n) }
        if let validity {
            forEachRow(rows, n) { i, row in
                ids[i] = Bitmap.get(validity, row) ? find(values[row], sources) : groupOfNull()
            }
            return
        }
        // The loop for short values keeps its state in locals; a long value is looked up by a call.
        let mask = (1 << slotBits) - 1, shift = UInt64(64 - slotBits), slots = slots, known = views.base
        forEachRow(rows, n) { i, row in
            let view = values[row]
            guard view.length <= 12 else {
                ids[i] = find(view, sources)
                return
            }
            let words = unsafeBitCast(view, to: SIMD2<UInt64>.self)
            let h = Self.hash(words)
            let tag = UInt32(truncatingIfNeeded: h)
            var s = Int(truncatingIfNeeded: h >> shift)
            while true {
                let slot = slots[s]
                if slot.tag == tag, slot.group >= 0, unsafeBitCast(known[Int(slot.group)], to: SIMD2<UInt64>.self) == words {
                    ids[i] = slot.group
                    return
                }
                if slot.group < 0 { break }
                s = (s &+ 1) & mask
            }
            ids[i] = insert(view, tag: tag, at: s)
        }
    }

    /// As `lookup`, for values that mostly come in the order of their groups' numbers: the next group is tried first.
    func lookupInOrder(_ column: Column, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        views.reserve(count + n + 1)
        if (count + n) * 4 > (1 << slotBits) * 3 { rehash(toHold: count + n) }
        let bases = column.heaps.map { UnsafeRawPointer($0.base) }
        let values = column.pointer(as: StringView.self), known = views.base
        withExtendedLifetime(column) {
            bases.withUnsafeBufferPointer { sources in
                var next = 0
                for i in 0..<n {
                    var group: Int32
                    if !column.isValid(i) {
                        group = groupOfNull()
                    } else if next < count, Int32(next) != nullGroup, isSame(values[i], sources.baseAddress, known[next]) {
                        group = Int32(truncatingIfNeeded: next)
                    } else {
                        group = find(values[i], sources.baseAddress)
                    }
                    ids[i] = group
                    next = Int(group) + 1
                }
            }
        }
    }

    @inline(__always)
    private func isSame(_ view: StringView, _ sources: UnsafePointer<UnsafeRawPointer>?, _ known: StringView) -> Bool {
        guard view.length == known.length, view.prefix == known.prefix else { return false }
        guard view.length > 12 else { return unsafeBitCast(view, to: SIMD2<UInt64>.self) == unsafeBitCast(known, to: SIMD2<UInt64>.self) }
        return same(sources![Int(view.heapIndex)] + Int(view.offset), heaps[Int(known.heapIndex)].base + Int(known.offset), Int(view.length))
    }

    private func groupOfNull() -> Int32 {
        if nullGroup < 0 {
            nullGroup = Int32(count)
            views.base[count] = .empty
            count += 1
        }
        return nullGroup
    }

    private func insert(_ view: StringView, tag: UInt32, at slot: Int) -> Int32 {
        let group = Int32(truncatingIfNeeded: count)
        slots[slot] = Slot(tag: tag, group: group)
        views.base[count] = view
        count += 1
        return group
    }

    private func find(_ view: StringView, _ sources: UnsafePointer<UnsafeRawPointer>?) -> Int32 {
        let mask = (1 << slotBits) - 1, length = Int(view.length)
        let bytes = length > 12 ? sources![Int(view.heapIndex)] + Int(view.offset) : nil
        let words = unsafeBitCast(view, to: SIMD2<UInt64>.self)
        let h = bytes.map { Self.hash($0, length) } ?? Self.hash(words)
        let tag = UInt32(truncatingIfNeeded: h)
        var s = Int(truncatingIfNeeded: h >> UInt64(64 - slotBits))
        while slots[s].group >= 0 {
            if slots[s].tag == tag {
                let known = views.base[Int(slots[s].group)]
                if let bytes {
                    if known.length == view.length, known.prefix == view.prefix,
                       same(bytes, heaps[Int(known.heapIndex)].base + Int(known.offset), length) { return slots[s].group }
                } else if unsafeBitCast(known, to: SIMD2<UInt64>.self) == words {
                    return slots[s].group
                }
            }
            s = (s &+ 1) & mask
        }
        guard let bytes else { return insert(view, tag: tag, at: s) }
        return insert(keep(bytes, length), tag: tag, at: s)
    }

    @inline(__always)
    private func same(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ n: Int) -> Bool {
        var i = 0
        while i &+ 8 <= n {
            if a.loadUnaligned(fromByteOffset: i, as: UInt64.self) != b.loadUnaligned(fromByteOffset: i, as: UInt64.self) { return false }
            i &+= 8
        }
        while i < n {
            if a.load(fromByteOffset: i, as: UInt8.self) != b.load(fromByteOffset: i, as: UInt8.self) { return false }
            i &+= 1
        }
        return true
    }

    private func keep(_ bytes: UnsafeRawPointer, _ n: Int) -> StringView {
        if heaps.isEmpty || heapUsed + n > heaps[heaps.count - 1].capacity {
            heaps.append(Buffer(capacity: max(n, min(1 << 20, 4_096 << min(heaps.count, 8)))))
            heapUsed = 0
        }
        (heaps[heaps.count - 1].base + heapUsed).copyMemory(from: bytes, byteCount: n)
        defer { heapUsed += n }
        return .make(bytes, n, heapIndex: heaps.count - 1, offset: heapUsed)
    }

    @inline(__always)
    private static func hash(_ words: SIMD2<UInt64>) -> UInt64 {
        let x = (words[0] &* 0x9E37_79B9_7F4A_7C15) ^ (words[1] &* 0xC4CE_B9FE_1A85_EC53)
        return (x ^ x >> 32) &* 0xFF51_AFD7_ED55_8CCD
    }

    /// Not the hash by which an exchange and snapshots split keys: a subtask has keys of a narrow range of that one only, which
    /// would crowd in a part of the slots.
    @inline(__always)
    private static func hash(_ bytes: UnsafeRawPointer, _ n: Int) -> UInt64 { RowHash.bytes(bytes, n) &* 0x9E37_79B9_7F4A_7C15 }

    private func rehash(toHold n: Int) {
        while n * 4 > (1 << slotBits) * 3 { slotBits += 1 }
        let size = 1 << slotBits, mask = size - 1
        slots.deallocate()
        slots = .allocateLarge(capacity: size)
        slots.initialize(repeating: Slot(tag: 0, group: -1), count: size)
        for g in 0..<count where Int32(g) != nullGroup {
            let view = views.base[g]
            let h = view.length > 12 ? Self.hash(heaps[Int(view.heapIndex)].base + Int(view.offset), Int(view.length))
                : Self.hash(unsafeBitCast(view, to: SIMD2<UInt64>.self))
            var s = Int(truncatingIfNeeded: h >> UInt64(64 - slotBits))
            while slots[s].group >= 0 { s = (s &+ 1) & mask }
            slots[s] = Slot(tag: UInt32(truncatingIfNeeded: h), group: Int32(g))
        }
    }
}
