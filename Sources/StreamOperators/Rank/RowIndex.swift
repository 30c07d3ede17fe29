import StreamCore

/// Rows of a ``RowArena`` by the key under which they are updated.
final class RowIndex {
    private let keys: [Int]
    private let table: GroupTable
    /// By number of the key; -1 = none.
    private let rowOf = GroupArray<Int32>(fill: -1)
    /// By row number.
    private let keyOf = GroupArray<Int32>(fill: -1)
    private let ids = Scratch<Int32>()
    private static let evictionMinimum = 65_536
    private var evictAt = RowIndex.evictionMinimum

    init(_ schema: Schema, keys: [Int]) {
        self.keys = keys
        table = GroupTable(types: keys.map { schema[$0].type })
    }

    /// The number of each row's key; valid until the next call or ``forgetUnused()``.
    func lookup(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int) -> UnsafePointer<Int32> {
        let numbers = ids.reserve(n)
        table.lookup(keys.map { columns[$0] }, rows: rows, count: n, into: numbers)
        rowOf.reserve(table.count)
        return UnsafePointer(numbers)
    }

    /// The row that has a key; -1 = none.
    @inline(__always) func row(_ key: Int32) -> Int32 { rowOf.base[Int(key)] }

    /// - Parameter capacity: of the arena.
    @inline(__always) func set(_ key: Int32, _ row: Int32, capacity: Int) {
        keyOf.reserve(capacity)
        rowOf.base[Int(key)] = row
        keyOf.base[Int(row)] = key
    }

    @inline(__always) func remove(_ row: Int32) { rowOf.base[Int(keyOf.base[Int(row)])] = -1 }

    /// Forgets keys without rows once they are most of many.
    func forgetUnused() {
        guard table.count > evictAt else { return }
        let kept = (0..<Int32(table.count)).filter { rowOf.base[Int($0)] >= 0 }
        evictAt = max(Self.evictionMinimum, 2 * kept.count)
        guard kept.count * 2 < table.count else { return }
        table.keep(kept)
        rowOf.remap(kept)
        for i in kept.indices { keyOf.base[Int(rowOf.base[i])] = Int32(truncatingIfNeeded: i) }
    }
}
