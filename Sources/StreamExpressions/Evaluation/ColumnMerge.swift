import StreamCore

/// Puts one column together from parts that were computed for different rows.
struct ColumnMerge {
    let type: DataType
    let count: Int
    private var parts: [(column: Column, rows: Selection?)] = []

    init(type: DataType, count: Int) {
        self.type = type
        self.count = count
    }

    /// `column` has `count` rows, of which `rows` count (nil = all). No row belongs to two parts.
    mutating func add(_ column: Column, _ rows: Selection?) { parts.append((column, rows)) }

    /// Rows of no part are null or undefined.
    func finish() -> Column {
        if parts.isEmpty { return .nulls(type: type, count: count) }
        if parts.count == 1 { return parts[0].column }
        switch type.physical {
        case .bool, .int8: return scatter(UInt8.self)
        case .int16: return scatter(UInt16.self)
        case .int32, .float: return scatter(UInt32.self)
        case .int64, .double: return scatter(UInt64.self)
        case .int128: return scatter(UInt128.self)
        case .view: return scatterViews()
        case .list, .map, .row: return gatherNested()
        case .null: return .nulls(type: type, count: count)
        }
    }

    private func validity() -> Buffer? {
        guard parts.contains(where: { $0.column.validity != nil }) else { return nil }
        let bits = Bitmap.make(count, valid: true)
        for (column, rows) in parts {
            guard let from = column.validity?.base else { continue }
            RowSet(rows, count: count).forEach { row in if !Bitmap.get(from, row) { Bitmap.clear(bits.base, row) } }
        }
        return bits
    }

    private func scatter<T: BitwiseCopyable>(_: T.Type) -> Column {
        let values = Buffer(zeroed: count * MemoryLayout<T>.stride)
        let out = values.pointer(as: T.self)
        for (column, rows) in parts {
            let from = column.plainOrConstant
            let vector = from.vector(T.self)
            RowSet(rows, count: count, validity: from.validity).forEach { out[$0] = vector[$0] }
        }
        return Column(type: type, count: count, validity: validity(), values: values)
    }

    private func scatterViews() -> Column {
        let values = Buffer(zeroed: count * 16)
        let out = values.pointer(as: StringView.self)
        var heaps: [Buffer] = []
        for (column, rows) in parts {
            let from = column.plainOrConstant
            let vector = from.vector(StringView.self)
            let shift = Int32(heaps.count)
            heaps += from.dictionary?.heaps ?? from.heaps
            RowSet(rows, count: count, validity: from.validity).forEach { row in
                var view = vector[row]
                if view.length > Int32(StringView.inlineLength) { view.heapIndex &+= shift }
                out[row] = view
            }
        }
        return Column(type: type, count: count, validity: validity(), values: values, heaps: heaps)
    }

    private func gatherNested() -> Column {
        // The parts one behind the other, and behind them one null for the rows of no part.
        let flat = parts.map { $0.column.flat() }
        let all = Column.concatenated(flat + [.nulls(type: type, count: 1)], type: type)
        let indices = Buffer(capacity: count * 4)
        let index = indices.pointer(as: Int32.self)
        index.update(repeating: Int32(parts.count * count), count: count)
        for (k, part) in parts.enumerated() {
            RowSet(part.rows, count: count).forEach { index[$0] = Int32(k * count + $0) }
        }
        return all.gather(index, count: count)
    }
}

extension Column {
    /// The rows of several columns of one type, one behind the other, as a plain column.
    public static func concatenated(_ parts: [Column], type: DataType) -> Column {
        let parts = parts.map { $0.flat().withWholeLists() }
        let total = parts.reduce(0) { $0 + $1.count }
        var validity: Buffer?
        if parts.contains(where: { $0.validity != nil }) {
            let bits = Bitmap.make(total, valid: true)
            var at = 0
            for part in parts {
                if let from = part.validity?.base {
                    for row in 0..<part.count where !Bitmap.get(from, row) { Bitmap.clear(bits.base, at + row) }
                }
                at += part.count
            }
            validity = bits
        }
        let children = (0..<(parts.first?.children.count ?? 0)).map { i in
            concatenated(parts.map { $0.children[i] }, type: parts[0].children[i].type)
        }
        let width = type.width
        let values = Buffer(capacity: (total + 1) * width)
        var heaps: [Buffer] = []
        var at = 0
        switch type.physical {
        case .list, .map:
            let out = values.pointer(as: Int32.self)
            var base: Int32 = 0
            out[0] = 0
            for part in parts {
                let from = part.codes
                for row in 0..<part.count { out[at + row + 1] = base + from[row + 1] }
                base += from[part.count]
                at += part.count
            }
        case .view:
            let out = values.pointer(as: StringView.self)
            for part in parts {
                let from = part.pointer(as: StringView.self), shift = Int32(heaps.count)
                for row in 0..<part.count {
                    var view = from[row]
                    if view.length > Int32(StringView.inlineLength) { view.heapIndex &+= shift }
                    out[at + row] = view
                }
                heaps += part.heaps
                at += part.count
            }
        default:
            for part in parts where width > 0 {
                (values.base + at * width).copyMemory(from: part.values.base, byteCount: part.count * width)
                at += part.count
            }
        }
        return Column(type: type, count: total, validity: validity, values: values, heaps: heaps, children: children)
    }

    /// A list or map column whose first value starts at the first element and whose last one ends at the last; other columns as they are.
    private func withWholeLists() -> Column {
        guard type.physical == .list || type.physical == .map, codes[0] != 0 || Int(codes[count]) != children[0].count else { return self }
        return gather(Selection.all(count).rows, count: count)
    }
}
