import StreamCore

extension Column {
    /// A plain column of fixed-width values, copied.
    static func fixed<T: BitwiseCopyable>(_ type: DataType, _ values: UnsafePointer<T>, count: Int, validity: Buffer? = nil) -> Column {
        Column(type: type, count: count, validity: validity,
               values: Buffer(copying: UnsafeRawBufferPointer(start: values, count: count * MemoryLayout<T>.stride)))
    }

    /// `body(i)` for every row, null where it gives nil.
    @inline(__always)
    static func make<T: BitwiseCopyable>(_ type: DataType, count: Int, zero: T, _ body: (Int) -> T?) -> Column {
        let values = Buffer(capacity: count * MemoryLayout<T>.stride)
        let to = values.pointer(as: T.self)
        var validity: Buffer?
        for i in 0..<count {
            if let value = body(i) {
                to[i] = value
            } else {
                to[i] = zero
                if validity == nil { validity = Bitmap.make(count, valid: true) }
                Bitmap.clear(validity!.base, i)
            }
        }
        return Column(type: type, count: count, validity: validity, values: values)
    }

    /// Rows `rows[0..<count]`, or the column itself when there is no list.
    func taking(_ rows: UnsafePointer<Int32>?, count n: Int) -> Column {
        guard let rows else {
            if n == count { return self }
            let all = Selection.all(n)
            return withExtendedLifetime(all) { gather(all.rows, count: n) }
        }
        return gather(rows, count: n)
    }

    /// The columns' rows one after the other; all must be of one type.
    static func concatenated(_ columns: [Column]) -> Column {
        if columns.count == 1 { return columns[0] }
        let parts = columns.map { $0.flat() }
        let type = parts[0].type
        let total = parts.reduce(0) { $0 + $1.count }
        var validity: Buffer?
        if parts.contains(where: { $0.validity != nil }) {
            let bits = Bitmap.make(total, valid: true)
            var at = 0
            for part in parts {
                if let from = part.validity {
                    for i in 0..<part.count where !Bitmap.get(from.base, i) { Bitmap.clear(bits.base, at + i) }
                }
                at += part.count
            }
            validity = bits
        }
        switch type.physical {
        case .row:
            return Column(type: type, count: total, validity: validity, values: .empty,
                          children: parts[0].children.indices.map { c in concatenated(parts.map { $0.children[c] }) })
        case .list, .map:
            let values = Buffer(capacity: (total + 1) * 4)
            let to = values.pointer(as: Int32.self)
            to[0] = 0
            var at = 0
            // Offsets need not start at 0 in a part: only the children that they span are taken over.
            var inner: [[Column]] = parts[0].children.map { _ in [] }
            for part in parts {
                let from = part.codes
                let first = from[0], used = Int(from[part.count] - first)
                for i in 0..<part.count { to[at + i + 1] = to[at + i] + from[i + 1] - from[i] }
                at += part.count
                let rows = Selection.range(Int(first)..<Int(first) + used)
                for c in part.children.indices { inner[c].append(part.children[c].gather(rows.rows, count: used)) }
            }
            return Column(type: type, count: total, validity: validity, values: values, children: inner.map { concatenated($0) })
        default:
            let width = type.width
            let values = Buffer(capacity: total * width)
            var heaps: [Buffer] = []
            var at = 0
            for part in parts {
                (values.base + at * width).copyMemory(from: part.values.base, byteCount: part.count * width)
                if type.physical == .view {
                    if !part.heaps.isEmpty, !heaps.isEmpty {
                        let views = values.pointer(as: StringView.self) + at
                        for i in 0..<part.count where views[i].length > 12 { views[i].heapIndex += Int32(heaps.count) }
                    }
                    heaps += part.heaps
                }
                at += part.count
            }
            return Column(type: type, count: total, validity: validity, values: values, heaps: heaps)
        }
    }

    /// Calls `body` with every row at which two plain columns of one type differ; null equals null.
    func forEachDifference(from other: Column, _ body: (Int) -> Void) {
        func fixed<T: BitwiseCopyable & Equatable>(_: T.Type) {
            let (a, b) = (pointer(as: T.self), other.pointer(as: T.self))
            for i in 0..<count {
                let (x, y) = (isValid(i), other.isValid(i))
                if x != y || (x && a[i] != b[i]) { body(i) }
            }
        }
        switch type.physical {
        case .bool, .int8: fixed(Int8.self)
        case .int16: fixed(Int16.self)
        case .int32: fixed(Int32.self)
        case .int64: fixed(Int64.self)
        // Compared by bits, so that NaN equals itself.
        case .float: fixed(UInt32.self)
        case .double: fixed(UInt64.self)
        case .int128: fixed(Int128.self)
        case .view:
            for i in 0..<count {
                let (x, y) = (isValid(i), other.isValid(i))
                if x != y || (x && !bytes(at: i).elementsEqual(other.bytes(at: i))) { body(i) }
            }
        case .list, .map, .row, .null:
            for i in 0..<count where value(at: i) != other.value(at: i) { body(i) }
        }
    }

    /// Whether valid row i comes before valid row j in the type's order. For plain columns of ordered types.
    func isOrdered(_ i: Int, before j: Int) -> Bool {
        func fixed<T: BitwiseCopyable & Comparable>(_: T.Type) -> Bool { pointer(as: T.self)[i] < pointer(as: T.self)[j] }
        switch type.physical {
        case .bool: return fixed(UInt8.self)
        case .int8: return fixed(Int8.self)
        case .int16: return fixed(Int16.self)
        case .int32: return fixed(Int32.self)
        case .int64: return fixed(Int64.self)
        case .float: return fixed(Float.self)
        case .double: return fixed(Double.self)
        case .int128: return fixed(Int128.self)
        case .view: return bytes(at: i).lexicographicallyPrecedes(bytes(at: j))
        case .list, .map, .row, .null: return false
        }
    }
}

extension Buffer {
    /// Row kinds, one for all `count` rows.
    static func kinds(_ kind: RowKind, count: Int) -> Buffer {
        let buffer = Buffer(capacity: count)
        buffer.base.initializeMemory(as: UInt8.self, repeating: kind.rawValue, count: count)
        return buffer
    }
}
