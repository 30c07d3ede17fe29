import StreamCore

/// Which of two rows with the same key is the newer one: the larger ordering value; NULL is smaller than all.
package enum OrderingValue {
    /// Negative, zero or positive, as the first value is smaller, equal or larger. Both columns have the same type.
    package static func compare(_ a: Column, _ rowA: Int, _ b: Column, _ rowB: Int) -> Int {
        let (validA, validB) = (a.isValid(rowA), b.isValid(rowB))
        guard validA, validB else { return validA == validB ? 0 : validA ? 1 : -1 }
        let (a, i) = a.dictionary.map { ($0, Int(a.codes[rowA])) } ?? (a, rowA)
        let (b, j) = b.dictionary.map { ($0, Int(b.codes[rowB])) } ?? (b, rowB)
        func order<T: Comparable & BitwiseCopyable>(_: T.Type) -> Int {
            let x = a.pointer(as: T.self)[i], y = b.pointer(as: T.self)[j]
            return x < y ? -1 : x == y ? 0 : 1
        }
        switch a.type.physical {
        case .bool: return order(UInt8.self)
        case .int8: return order(Int8.self)
        case .int16: return order(Int16.self)
        case .int32: return order(Int32.self)
        case .int64: return order(Int64.self)
        case .float: return order(Float.self)
        case .double: return order(Double.self)
        case .int128: return order(Int128.self)
        default:
            let x = a.bytes(at: i), y = b.bytes(at: j)
            for k in 0..<min(x.count, y.count) where x[k] != y[k] { return x[k] < y[k] ? -1 : 1 }
            return x.count - y.count
        }
    }

    package static func canOrder(_ type: DataType) -> Bool {
        switch type.physical {
        case .list, .map, .row, .null: false
        default: true
        }
    }
}

/// The rows of one commit so far, one per key: a later row replaces an earlier one unless its ordering value is smaller.
package final class UpsertBuffer {
    package struct Entry {
        package var hash: KeyHash
        package var batch: Int32, row: Int32
        package var partition: Int32
        /// Takes the row away rather than adding it.
        package var isDelete: Bool
        /// Came from -U: whatever +U follows replaces it.
        package var isRetraction: Bool
    }

    package struct Part {
        /// As stored.
        package let columns: [Column]
        package let keys: TextColumn
        package init(columns: [Column], keys: TextColumn) { (self.columns, self.keys) = (columns, keys) }
    }

    package private(set) var entries: ContiguousArray<Entry> = []
    package private(set) var parts: [Part] = []
    /// Memory that the rows take, those that were replaced included.
    package private(set) var bytes = 0
    private var slots: [Int32] = []
    /// Compared from left to right.
    private let orderingColumns: [Int]
    package let seeds: KeyHash.Seeds

    package init(orderingColumns: [Int], seeds: KeyHash.Seeds) {
        self.orderingColumns = orderingColumns
        self.seeds = seeds
        clear()
    }

    package var isEmpty: Bool { entries.isEmpty }

    package func clear() {
        entries.removeAll()
        parts.removeAll()
        slots = [Int32](repeating: -1, count: 1_024)
        bytes = 0
    }

    @inline(__always)
    private func slot(of hash: KeyHash) -> Int {
        var i = Int(truncatingIfNeeded: hash.low) & (slots.count - 1)
        while slots[i] >= 0, entries[Int(slots[i])].hash != hash { i = (i + 1) & (slots.count - 1) }
        return i
    }

    /// The entry of a key, or -1.
    package func find(_ hash: KeyHash) -> Int { Int(slots[slot(of: hash)]) }

    /// - Parameters:
    ///   - kinds: `RowKind` per row; nil = all inserts.
    ///   - partitions: the partition number of each row.
    ///   - globalKeys: keys are unique in the table, not only in their partition.
    package func add(_ part: Part, kinds: UnsafePointer<UInt8>?, partitions: UnsafePointer<Int32>, globalKeys: Bool) {
        let number = Int32(parts.count)
        parts.append(part)
        bytes += part.columns.reduce(0) { $0 + Self.size($1) } + part.keys.bytes.capacity + part.keys.offsets.capacity
        let seeds = seeds
        for row in 0..<part.keys.count {
            let kind = kinds.map { RowKind(rawValue: $0[row])! } ?? .insert
            // The +U that follows says all, but there need not be one: a filter such as HAVING may have held it back.
            let hash = KeyHash(part.keys.value(row), salt: globalKeys ? 0 : Int(partitions[row]) + 1, seeds: seeds)
            let entry = Entry(hash: hash, batch: number, row: Int32(row), partition: partitions[row], isDelete: !kind.isAdd,
                              isRetraction: kind == .updateBefore)
            let i = slot(of: hash)
            if slots[i] < 0 {
                slots[i] = Int32(entries.count)
                entries.append(entry)
                bytes += MemoryLayout<Entry>.stride + 8
                if entries.count * 2 > slots.count { grow() }
            } else if replaces(entry, entries[Int(slots[i])]) {
                entries[Int(slots[i])] = entry
            }
        }
    }

    private func replaces(_ new: Entry, _ old: Entry) -> Bool {
        if orderingColumns.isEmpty || old.isRetraction || isOfNow(new) { return true }
        for c in orderingColumns {
            let order = OrderingValue.compare(column(c, of: new), Int(new.row), column(c, of: old), Int(old.row))
            if order != 0 { return order > 0 }
        }
        return true
    }

    /// A delete that says nothing of its time is one of now.
    package func isOfNow(_ entry: Entry) -> Bool {
        guard entry.isDelete else { return false }
        for c in orderingColumns where column(c, of: entry).isValid(Int(entry.row)) { return false }
        return true
    }

    /// Gives the rows the columns of a schema that has the same ones at the start, of the same or wider types.
    package func adapt(to schema: Schema) throws {
        for i in parts.indices where parts[i].columns.count != schema.count || zip(parts[i].columns, schema).contains(where: { $0.type != $1.type }) {
            let columns = try schema.enumerated().map { c, field in
                c < parts[i].columns.count ? try ColumnConversion.convert(parts[i].columns[c], to: field.type, name: field.name)
                    : .nulls(type: field.type, count: parts[i].keys.count)
            }
            parts[i] = Part(columns: columns, keys: parts[i].keys)
        }
    }

    package func column(_ c: Int, of entry: Entry) -> Column { parts[Int(entry.batch)].columns[c] }

    private func grow() {
        slots = [Int32](repeating: -1, count: slots.count * 2)
        for i in entries.indices { slots[slot(of: entries[i].hash)] = Int32(i) }
    }

    private static func size(_ column: Column) -> Int {
        // The codes of constants are zeros that all of them share.
        if let dictionary = column.dictionary { return column.count * 4 + size(dictionary) }
        return column.values.capacity + column.heaps.reduce(0) { $0 + $1.capacity } + column.children.reduce(0) { $0 + size($1) }
    }
}
