import StreamCore

/// Pairs of a group and a row of values to dense numbers, in order of first appearance.
///
/// Pairs with one whole number lie in a table of their own, with a part of the hash beside the number, so that a look-up costs one
/// or two cache misses; others are looked up by their bytes.
final class PairGroups {
    private enum Storage {
        case integers(Integers)
        case rows(GroupTable)
    }

    let types: [DataType]
    private let hasNulls: Bool
    private var storage: Storage

    /// - Parameter hasNulls: values may be null.
    init(types: [DataType], hasNulls: Bool) {
        self.types = types
        self.hasNulls = hasNulls
        storage = Self.make(types, hasNulls)
    }

    private static func make(_ types: [DataType], _ hasNulls: Bool) -> Storage {
        switch types.count == 1 && !hasNulls ? types[0].physical : .row {
        case .int32, .int64: .integers(Integers())
        default: .rows(GroupTable(types: [.int] + types))
        }
    }

    var count: Int {
        switch storage {
        case .integers(let table): table.count
        case .rows(let table): table.count
        }
    }

    func removeAll() { storage = Self.make(types, hasNulls) }

    func copy() -> PairGroups {
        let made = PairGroups(types: types, hasNulls: hasNulls)
        made.storage = switch storage {
        case .integers(let table): .integers(table.copy())
        case .rows(let table): .rows(table.copy())
        }
        return made
    }

    /// ids[i] = number of group `groups[i]` with row `rows[i]` (i without `rows`) of plain columns.
    func lookup(_ columns: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count n: Int,
                into ids: UnsafeMutablePointer<Int32>) {
        switch storage {
        case .integers(let table):
            let column = columns[0]
            withExtendedLifetime(column) {
                if types[0].physical == .int32 {
                    table.lookup(column.pointer(as: Int32.self), groups: groups, rows: rows, count: n, into: ids)
                } else {
                    table.lookup(column.pointer(as: Int64.self), groups: groups, rows: rows, count: n, into: ids)
                }
            }
        case .rows(let table):
            table.lookup([.fixed(.int, groups, count: n)] + columns.map { $0.taking(rows, count: n) }, rows: nil, count: n, into: ids)
        }
    }

    /// The group of each pair, by number.
    func owners() -> [Int32] {
        switch storage {
        case .integers(let table): return Array(UnsafeBufferPointer(start: table.owners.base, count: table.count))
        case .rows(let table):
            let n = table.count
            guard n > 0 else { return [] }
            let all = Selection.all(n)
            let column = withExtendedLifetime(all) { table.keyColumns(all.rows, count: n)[0].flat() }
            return withExtendedLifetime(column) { Array(UnsafeBufferPointer(start: column.pointer(as: Int32.self), count: n)) }
        }
    }

    /// The values of pairs.
    func values(_ pairs: UnsafePointer<Int32>, count n: Int) -> [Column] {
        switch storage {
        case .integers(let table):
            let from = table.values.base
            if types[0].physical == .int32 {
                return [.make(types[0], count: n, zero: Int32(0)) { Int32(truncatingIfNeeded: from[Int(pairs[$0])]) }]
            }
            return [.make(types[0], count: n, zero: Int64(0)) { from[Int(pairs[$0])] }]
        case .rows(let table): return Array(table.keyColumns(pairs, count: n).dropFirst())
        }
    }

    /// Open addressing over (group, number).
    fileprivate final class Integers {
        private(set) var count = 0
        private(set) var values = GroupArray<Int64>(fill: 0)
        private(set) var owners = GroupArray<Int32>(fill: 0)
        /// Upper half of the hash, and the pair's number + 1; 0 = empty. The lower half says where to look.
        private var slots = GroupArray<UInt64>(fill: 0, capacity: 64)
        private var slotBits = 6
        private static let upperHalf: UInt64 = 0xffff_ffff_0000_0000

        func copy() -> Integers {
            let made = Integers()
            (made.count, made.values, made.owners) = (count, values.copy(), owners.copy())
            (made.slots, made.slotBits) = (slots.copy(), slotBits)
            return made
        }

        @inline(__always)
        private static func hash(_ value: Int64, _ group: Int32) -> UInt64 {
            let h = (UInt64(bitPattern: value) ^ UInt64(UInt32(bitPattern: group)) &* 0x9e37_79b9_7f4a_7c15) &* 0xff51_afd7_ed55_8ccd
            return (h ^ h >> 32) &* 0xc4ce_b9fe_1a85_ec53
        }

        private func grow(_ wanted: Int) {
            guard wanted * 3 > 2 << slotBits else { return }
            while wanted * 3 > 2 << slotBits { slotBits += 1 }
            slots = GroupArray(fill: 0, capacity: 1 << slotBits)
            let (to, mask, values, owners) = (slots.base, (1 << slotBits) - 1, values.base, owners.base)
            for pair in 0..<count {
                let h = Self.hash(values[pair], owners[pair])
                var at = Int(truncatingIfNeeded: h) & mask
                while to[at] != 0 { at = (at + 1) & mask }
                to[at] = h & Self.upperHalf | UInt64(pair + 1)
            }
        }

        func lookup<T: FixedWidthInteger & BitwiseCopyable>(_ from: UnsafePointer<T>, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?,
                                                            count n: Int, into ids: UnsafeMutablePointer<Int32>) {
            grow(count + n)
            values.reserve(count + n)
            owners.reserve(count + n)
            let (slots, mask) = (slots.base, (1 << slotBits) - 1)
            let (values, owners) = (values.base, owners.base)
            var next = count
            forEachRow(rows, n) { i, row in
                let value = Int64(truncatingIfNeeded: from[row]), group = groups[i]
                let h = Self.hash(value, group)
                let tag = h & Self.upperHalf
                var at = Int(truncatingIfNeeded: h) & mask
                while true {
                    let slot = slots[at]
                    if slot == 0 {
                        slots[at] = tag | UInt64(truncatingIfNeeded: next &+ 1)
                        values[next] = value
                        owners[next] = group
                        ids[i] = Int32(truncatingIfNeeded: next)
                        next &+= 1
                        return
                    }
                    if slot & Self.upperHalf == tag {
                        let pair = Int(truncatingIfNeeded: slot & 0xffff_ffff) &- 1
                        if values[pair] == value, owners[pair] == group {
                            ids[i] = Int32(truncatingIfNeeded: pair)
                            return
                        }
                    }
                    at = (at &+ 1) & mask
                }
            }
            count = next
        }
    }
}
