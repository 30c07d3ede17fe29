import StreamCore

/// `column IN (literals)` over integers, dates, times and short texts: one pass instead of one per literal.
final class MembershipPredicate: Predicate {
    private enum Wanted {
        /// Ascending.
        case integers([Int64])
        /// Views that hold all bytes inline, which equal texts share.
        case views([SIMD2<UInt64>])
    }
    private let column: Int
    private let type: DataType
    private let wanted: Wanted

    /// nil for types and literals that it does not know.
    init?(column: Int, type: DataType, values: [Value]) {
        self.column = column
        self.type = type
        switch type.physical {
        case .int8, .int16, .int32, .int64:
            let integers = values.compactMap { if case .int(let v) = $0 { v } else { nil } }
            guard integers.count == values.count else { return nil }
            wanted = .integers(Set(integers).sorted())
        case .view:
            let builder = ColumnBuilder(type: type, capacity: values.count)
            for value in values { builder.append(value) }
            let views = builder.finish()
            guard (0..<views.count).allSatisfy({ views.bytes(at: $0).count <= StringView.inlineLength }) else { return nil }
            let from = views.pointer(as: SIMD2<UInt64>.self)
            wanted = .views((0..<views.count).map { from[$0] })
        default: return nil
        }
    }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        let input = frame.columns[column]
        guard let dictionary = input.dictionary else { return select(input, rows) }
        if dictionary.count > frame.count { return select(input.flat(), rows) }
        // The entries are looked at once, the rows only by their codes.
        let marks = Buffer(zeroed: dictionary.count)
        let mark = marks.pointer(as: UInt8.self), codes = input.codes
        RowSet(select(dictionary, nil), count: dictionary.count).forEach { mark[$0] = 1 }
        let bits = input.validity?.base
        return Selections.filter(rows, count: input.count, validity: nil) { row in
            if let bits, !Bitmap.get(bits, row) { return false }
            return mark[Int(codes[row])] != 0
        }
    }

    private func select(_ plain: Column, _ rows: Selection?) -> Selection? {
        switch plain.type.physical {
        case .int8: integers(plain, Int8.self, rows)
        case .int16: integers(plain, Int16.self, rows)
        case .int32: integers(plain, Int32.self, rows)
        case .int64: integers(plain, Int64.self, rows)
        default: views(plain, rows)
        }
    }

    private func integers<T: FixedWidthInteger & BitwiseCopyable>(_ plain: Column, _: T.Type, _ rows: Selection?) -> Selection? {
        guard case .integers(let all) = wanted else { preconditionFailure("integers were compiled as text") }
        let values = plain.pointer(as: T.self)
        let list = all.map { T(truncatingIfNeeded: $0) }
        return list.withUnsafeBufferPointer { list in
            if list.count <= 16 {
                return Selections.filter(rows, count: plain.count, validity: plain.validity) { row in
                    let value = values[row]
                    var hit = false
                    for candidate in list { hit = hit || candidate == value }
                    return hit
                }
            }
            return Selections.filter(rows, count: plain.count, validity: plain.validity) { row in
                let value = values[row]
                var low = 0, high = list.count
                while low < high {
                    let middle = (low + high) / 2
                    if list[middle] < value { low = middle + 1 } else { high = middle }
                }
                return low < list.count && list[low] == value
            }
        }
    }

    private func views(_ plain: Column, _ rows: Selection?) -> Selection? {
        guard case .views(let all) = wanted else { preconditionFailure("texts were compiled as integers") }
        let values = plain.pointer(as: SIMD2<UInt64>.self)
        return all.withUnsafeBufferPointer { list in
            Selections.filter(rows, count: plain.count, validity: plain.validity) { row in
                let value = values[row]
                for candidate in list where candidate == value { return true }
                return false
            }
        }
    }
}
