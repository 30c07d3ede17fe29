import StreamCore

/// Rows of key columns to dense group numbers, a batch at a time; null is a value of its own.
///
/// Numbers are given in order of first appearance. How keys are stored depends on their types: one integer-like column and
/// one text or binary column have tables of their own, anything else is looked up by its bytes as ``RowCodec`` lays them out.
package final class GroupTable {
    private enum Storage {
        case none
        case int32(IntegerGroups<Int32>)
        case int64(IntegerGroups<Int64>)
        case bytes(BytesGroups)
        case rows(BytesGroups, RowCodec)
    }

    package let types: [DataType]
    private var storage: Storage
    private var isSeen = false
    private let codeGroups = Scratch<Int32>()

    package init(types: [DataType]) {
        self.types = types
        storage = Self.makeStorage(types)
    }

    private static func makeStorage(_ types: [DataType]) -> Storage {
        guard let first = types.first else { return .none }
        guard types.count == 1 else { return .rows(BytesGroups(), RowCodec(types)) }
        switch first.physical {
        case .int32: return .int32(IntegerGroups())
        case .int64: return .int64(IntegerGroups())
        case .view: return .bytes(BytesGroups())
        default: return .rows(BytesGroups(), RowCodec(types))
        }
    }

    /// Groups so far. Without key columns there is one as soon as a row was seen.
    package var count: Int {
        switch storage {
        case .none: isSeen ? 1 : 0
        case .int32(let table): table.count
        case .int64(let table): table.count
        case .bytes(let table), .rows(let table, _): table.count
        }
    }

    var hasKeys: Bool { !types.isEmpty }

    func removeAll() {
        storage = Self.makeStorage(types)
        isSeen = false
    }

    /// ids[i] = group of row `rows[i]` (i without `rows`) of the key columns, for n rows; unseen keys get new numbers.
    package func lookup(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        guard n > 0 else { return }
        if columns.count == 1, let dictionary = columns[0].dictionary, dictionary.count <= 2 * n {
            lookup(codes: columns[0], dictionary, rows: rows, count: n, into: ids)
            return
        }
        switch storage {
        case .none:
            ids.update(repeating: 0, count: n)
            isSeen = true
        case .int32(let table):
            let column = columns[0].flat()
            withExtendedLifetime(column) {
                table.lookup(column.pointer(as: Int32.self), rows: rows, validity: column.validity.map { UnsafeRawPointer($0.base) },
                             count: n, into: ids)
            }
        case .int64(let table):
            let column = columns[0].flat()
            withExtendedLifetime(column) {
                table.lookup(column.pointer(as: Int64.self), rows: rows, validity: column.validity.map { UnsafeRawPointer($0.base) },
                             count: n, into: ids)
            }
        case .bytes(let table):
            table.lookup(columns[0].flat(), rows: rows, count: n, into: ids)
        case .rows(let table, let codec):
            let encoded = codec.encode(columns.map { $0.flat() }, rows: rows, count: n)
            table.lookup(encoded, rows: nil, count: n, into: ids)
        }
    }

    /// As `lookup` for all rows of plain columns, fastest when keys come mostly in the order of their groups' numbers, as the keys
    /// of one slice after another do in a snapshot.
    func lookupInOrder(_ columns: [Column], count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        switch storage {
        case .bytes(let table): table.lookupInOrder(columns[0], count: n, into: ids)
        case .rows(let table, let codec): table.lookupInOrder(codec.encode(columns, rows: nil, count: n), count: n, into: ids)
        case .none, .int32, .int64: lookup(columns, rows: nil, count: n, into: ids)
        }
    }

    /// Looks up each code of a dictionary once.
    private func lookup(codes column: Column, _ dictionary: Column, rows: UnsafePointer<Int32>?, count n: Int,
                        into ids: UnsafeMutablePointer<Int32>) {
        let groups = codeGroups.reserve(dictionary.count + 1)
        groups.update(repeating: -1, count: dictionary.count + 1)
        let codes = column.codes
        // The last place stands for null.
        let null = dictionary.count
        var used: [Int32] = []
        forEachRow(rows, n) { i, row in
            let code = column.isValid(row) ? Int(codes[row]) : null
            ids[i] = Int32(truncatingIfNeeded: code)
            if groups[code] == -1 {
                groups[code] = -2
                used.append(Int32(truncatingIfNeeded: code))
            }
        }
        // Looked up one after the other, to keep the order of first appearance with null among them.
        let nulls = used.contains(Int32(null)) ? Column.nulls(type: column.type, count: 1) : nil
        var at = 0
        while at < used.count {
            if used[at] == Int32(null) {
                lookup([nulls!], rows: nil, count: 1, into: groups + null)
                at += 1
                continue
            }
            var end = at
            while end < used.count, used[end] != Int32(null) { end += 1 }
            let found = UnsafeMutablePointer<Int32>.allocate(capacity: end - at)
            used.withUnsafeBufferPointer { lookup([dictionary], rows: $0.baseAddress! + at, count: end - at, into: found) }
            for k in at..<end { groups[Int(used[k])] = found[k - at] }
            found.deallocate()
            at = end
        }
        for i in 0..<n { ids[i] = groups[Int(ids[i])] }
    }

    /// The key columns of n groups.
    package func keyColumns(_ ids: UnsafePointer<Int32>, count n: Int) -> [Column] { keys.columns(ids, count: n) }

    /// The keys of the groups so far, unmoved by whatever becomes of the table.
    package var keys: GroupKeys {
        let form: GroupKeys.Form, nullGroup: Int32
        switch storage {
        case .none: (form, nullGroup) = (.none, -1)
        case .int32(let table): (form, nullGroup) = (.int32(table.keys.block), table.nullGroup)
        case .int64(let table): (form, nullGroup) = (.int64(table.keys.block), table.nullGroup)
        case .bytes(let table): (form, nullGroup) = (.bytes(table.views.block, table.heaps), table.nullGroup)
        case .rows(let table, let codec): (form, nullGroup) = (.rows(table.views.block, table.heaps, codec), table.nullGroup)
        }
        return GroupKeys(types: types, count: count, nullGroup: nullGroup, form: form)
    }

    /// The same groups with the same numbers.
    func copy() -> GroupTable {
        let made = GroupTable(types: types)
        made.isSeen = isSeen
        made.storage = switch storage {
        case .none: .none
        case .int32(let table): .int32(table.copy())
        case .int64(let table): .int64(table.copy())
        case .bytes(let table): .bytes(table.copy())
        case .rows(let table, let codec): .rows(table.copy(), codec)
        }
        return made
    }

    /// Forgets all groups but `kept`; group kept[i] becomes group i.
    func keep(_ kept: [Int32]) {
        guard hasKeys else { return }
        let old = GroupTable(types: types, storage: storage)
        storage = Self.makeStorage(types)
        let ids = UnsafeMutablePointer<Int32>.allocate(capacity: Batch.targetRows)
        defer { ids.deallocate() }
        kept.withUnsafeBufferPointer { kept in
            for start in stride(from: 0, to: kept.count, by: Batch.targetRows) {
                let n = min(Batch.targetRows, kept.count - start)
                lookup(old.keyColumns(kept.baseAddress! + start, count: n), rows: nil, count: n, into: ids)
            }
        }
    }

    private init(types: [DataType], storage: Storage) {
        self.types = types
        self.storage = storage
    }
}
