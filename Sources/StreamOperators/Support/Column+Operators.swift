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
