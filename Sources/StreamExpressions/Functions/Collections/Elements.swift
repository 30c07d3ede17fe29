import StreamCore

/// Equality and order of the rows of one plain column, which holds the elements of arrays or the keys of maps.
struct Elements {
    let column: Column
    private let text: TextVector?
    private let children: [Elements]

    init(_ column: Column) {
        let plain = column.flat()
        self.column = plain
        text = plain.type.physical == .view ? plain.text : nil
        children = plain.children.map { Elements($0) }
    }

    @inline(__always) func isValid(_ i: Int) -> Bool { column.isValid(i) }

    /// Nulls are equal to each other.
    func equal(_ i: Int, _ j: Int) -> Bool {
        let (a, b) = (isValid(i), isValid(j))
        guard a, b else { return a == b }
        switch column.type.physical {
        case .bool, .int8: return fixed(Int8.self, i, j)
        case .int16: return fixed(Int16.self, i, j)
        case .int32: return fixed(Int32.self, i, j)
        case .int64: return fixed(Int64.self, i, j)
        case .float: return fixed(Float.self, i, j)
        case .double: return fixed(Double.self, i, j)
        case .int128: return fixed(Int128.self, i, j)
        case .view: return Utf8Text.equal(text![i], text![j])
        case .list, .map:
            let offsets = column.codes
            let (x, y) = (Int(offsets[i])..<Int(offsets[i + 1]), Int(offsets[j])..<Int(offsets[j + 1]))
            return x.count == y.count && zip(x, y).allSatisfy { p, q in children.allSatisfy { $0.equal(p, q) } }
        case .row: return children.allSatisfy { $0.equal(i, j) }
        case .null: return true
        }
    }

    @inline(__always)
    private func fixed<T: BitwiseCopyable & Equatable>(_: T.Type, _ i: Int, _ j: Int) -> Bool {
        let p = column.pointer(as: T.self)
        return p[i] == p[j]
    }

    /// Whether row i comes before row j; both are not null.
    func precedes(_ i: Int, _ j: Int) -> Bool {
        func less<T: BitwiseCopyable & Comparable>(_: T.Type) -> Bool {
            let p = column.pointer(as: T.self)
            return p[i] < p[j]
        }
        switch column.type.physical {
        case .bool, .int8: return less(Int8.self)
        case .int16: return less(Int16.self)
        case .int32: return less(Int32.self)
        case .int64: return less(Int64.self)
        case .float: return less(Float.self)
        case .double: return less(Double.self)
        case .int128: return less(Int128.self)
        case .view: return ByteOrder.compare(text![i], text![j]) < 0
        case .list, .map, .row, .null: return false
        }
    }

    /// True for types whose values have an order.
    static func areOrdered(_ type: DataType) -> Bool {
        switch type.physical {
        case .list, .map, .row, .null, .bool: false
        default: true
        }
    }
}

/// The source columns of several arguments, one behind the other; a constant argument takes one row.
struct ElementSource {
    let column: Column
    /// Where each argument's rows begin, and 0 for a constant, 1 for others.
    private let starts: [(base: Int, step: Int)]

    init(_ args: [Column], type: DataType) {
        var parts: [Column] = [], starts: [(Int, Int)] = [], base = 0
        for arg in args {
            let part = arg.isConstant ? arg.dictionary! : arg.flat()
            starts.append((base, arg.isConstant ? 0 : 1))
            parts.append(part)
            base += part.count
        }
        column = parts.count == 1 ? parts[0] : Column.concatenated(parts, type: type)
        self.starts = starts
    }

    @inline(__always)
    func index(_ arg: Int, _ row: Int) -> Int32 { Int32(truncatingIfNeeded: starts[arg].base + row * starts[arg].step) }

    func base(_ arg: Int) -> Int { starts[arg].base }
}

extension RowSet {
    /// An ARRAY column whose elements are rows of `source`; `append` gives their numbers, and false for a null.
    func lists(_ type: DataType, of source: Column, _ append: (Int, inout [Int32]) throws -> Bool) rethrows -> Column {
        let (offsets, picked, validity) = try ranges(append)
        return Column(type: type, count: count, validity: validity, values: offsets, children: [source.picking(picked)])
    }

    /// Offsets of the ranges that each row appends.
    func ranges(_ append: (Int, inout [Int32]) throws -> Bool) rethrows -> (offsets: Buffer, picked: [Int32], validity: Buffer?) {
        let offsets = Buffer(capacity: (count + 1) * 4)
        let out = offsets.pointer(as: Int32.self)
        var picked: [Int32] = [], next = 0
        var nulls = NullMask(validity: validity, count: count)
        try forEach { row in
            while next <= row {
                out[next] = Int32(picked.count)
                next += 1
            }
            if try !append(row, &picked) { nulls.setNull(row) }
        }
        while next <= count {
            out[next] = Int32(picked.count)
            next += 1
        }
        return (offsets, picked, nulls.buffer)
    }

    /// One row of `source` for each row, null for a negative number.
    func picks(_ source: Column, _ index: (Int) throws -> Int32) rethrows -> Column {
        var nulls = NullMask(validity: validity, count: count)
        var indices = [Int32](repeating: 0, count: count)
        try forEach { row in
            let i = try index(row)
            if i >= 0, source.isValid(Int(i)) { indices[row] = i } else { nulls.setNull(row) }
        }
        if source.count == 0 { return .nulls(type: source.type, count: count) }
        let picked = source.picking(indices)
        return Column(type: picked.type, count: count, validity: nulls.buffer, values: picked.values, heaps: picked.heaps, children: picked.children)
    }
}

extension Column {
    func picking(_ indices: [Int32]) -> Column {
        indices.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return gather(UnsafePointer(Buffer.empty.pointer(as: Int32.self)), count: 0) }
            return gather(base, count: buffer.count)
        }
    }
}
