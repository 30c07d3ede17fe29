import StreamCore

/// AND: each operand narrows what the next one sees.
final class AllPredicate: Predicate {
    private let operands: [any Predicate]
    init(_ operands: [any Predicate]) { self.operands = operands }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        var open = rows, narrowed = false
        for operand in operands {
            if let open, open.count == 0 { break }
            if let left = try operand.select(frame, open) {
                open = left
                narrowed = true
            }
        }
        return narrowed ? open : nil
    }
}

/// OR: each operand sees the rows that the ones before it did not take.
final class AnyPredicate: Predicate {
    private let operands: [any Predicate]
    init(_ operands: [any Predicate]) { self.operands = operands }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        var open = rows
        for operand in operands {
            guard let taken = try operand.select(frame, open) else { return nil }
            if taken.count > 0 { open = Selections.subtract(taken, from: open, count: frame.count) }
        }
        guard let open else { return Selections.none }
        if open.count == 0 { return nil }
        return Selections.subtract(open, from: rows, count: frame.count)
    }
}

final class NullPredicate: Predicate {
    private let operand: any Node
    private let negated: Bool

    init(_ operand: any Node, negated: Bool) {
        self.operand = operand
        self.negated = negated
    }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        let column = try operand.evaluate(frame, rows)
        guard let validity = column.validity else { return negated ? nil : Selections.none }
        if negated { return Selections.filter(rows, count: frame.count, validity: validity) { _ in true } }
        let bits = UnsafeRawPointer(validity.base)
        return Selections.filter(rows, count: frame.count, validity: nil) { !Bitmap.get(bits, $0) }
    }
}

/// Any BOOLEAN expression, computed as a column.
final class ColumnPredicate: Predicate {
    private let node: any Node
    init(_ node: any Node) { self.node = node }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        let column = try node.evaluate(frame, rows)
        if column.isConstant {
            return column.dictionary!.pointer(as: UInt8.self)[0] != 0 && column.validity == nil ? nil
                : Selections.filterConstant(column, rows, frame.count)
        }
        let flat = column.flat()
        let values = flat.pointer(as: UInt8.self)
        return Selections.filter(rows, count: frame.count, validity: flat.validity) { values[$0] & 1 != 0 }
    }
}

extension Selections {
    /// Rows for which a constant BOOLEAN column is true.
    static func filterConstant(_ column: Column, _ rows: Selection?, _ count: Int) -> Selection? {
        guard column.dictionary!.pointer(as: UInt8.self)[0] != 0 else { return none }
        return filter(rows, count: count, validity: column.validity) { _ in true }
    }
}

/// A comparison that goes straight from the values to a selection, with no BOOLEAN column between.
final class ComparisonPredicate: Predicate {
    private let comparison: Comparison
    private let left: any Node, right: any Node

    private init(_ comparison: Comparison, _ left: any Node, _ right: any Node) {
        self.comparison = comparison
        self.left = left
        self.right = right
    }

    /// nil when the type has no fused comparison.
    static func make(_ comparison: Comparison, _ left: any Node, _ right: any Node) -> ComparisonPredicate? {
        if left.type.physical.isNested || left.type.physical == .null { return nil }
        // A constant stands on the right.
        if left is LiteralNode { return ComparisonPredicate(comparison.swapped, right, left) }
        return ComparisonPredicate(comparison, left, right)
    }

    func select(_ frame: Frame, _ rows: Selection?) throws -> Selection? {
        let a = try left.evaluate(frame, rows), b = try right.evaluate(frame, rows)
        if let dictionary = a.dictionary, !a.isConstant, b.isConstant, dictionary.count <= frame.count {
            return selectCodes(a, dictionary, b.dictionary!, rows)
        }
        return select(a.plainOrConstant, b.plainOrConstant, rows, frame.count)
    }

    /// Compares the dictionary's entries with the constant, and then looks only at codes.
    private func selectCodes(_ column: Column, _ dictionary: Column, _ constant: Column, _ rows: Selection?) -> Selection? {
        let marks = Buffer(zeroed: dictionary.count)
        let mark = marks.pointer(as: UInt8.self)
        let matching = select(dictionary, Column.repeating(constant, count: dictionary.count), nil, dictionary.count)
        RowSet(matching, count: dictionary.count).forEach { mark[$0] = 1 }
        let codes = column.codes
        guard let bits = column.validity?.base else {
            return Selections.filter(rows, count: column.count, validity: nil) { mark[Int(codes[$0])] != 0 }
        }
        return Selections.filter(rows, count: column.count, validity: nil) { Bitmap.get(bits, $0) && mark[Int(codes[$0])] != 0 }
    }

    private func select(_ a: Column, _ b: Column, _ rows: Selection?, _ count: Int) -> Selection? {
        switch comparison {
        case .equal: select(IsEqual.self, a, b, rows, count)
        case .notEqual: select(IsNotEqual.self, a, b, rows, count)
        case .less: select(IsLess.self, a, b, rows, count)
        case .lessOrEqual: select(IsLessOrEqual.self, a, b, rows, count)
        case .greater: select(IsGreater.self, a, b, rows, count)
        case .greaterOrEqual: select(IsGreaterOrEqual.self, a, b, rows, count)
        }
    }

    private func select<Op: ComparisonOperator>(_ op: Op.Type, _ a: Column, _ b: Column, _ rows: Selection?, _ count: Int) -> Selection? {
        switch a.type.physical {
        case .bool: fixed(op, UInt8.self, a, b, rows, count)
        case .int8: fixed(op, Int8.self, a, b, rows, count)
        case .int16: fixed(op, Int16.self, a, b, rows, count)
        case .int32: fixed(op, Int32.self, a, b, rows, count)
        case .int64: fixed(op, Int64.self, a, b, rows, count)
        case .float: fixed(op, Float.self, a, b, rows, count)
        case .double: fixed(op, Double.self, a, b, rows, count)
        case .int128: fixed(op, Int128.self, a, b, rows, count)
        default: text(op, a, b, rows, count)
        }
    }

    private func fixed<Op: ComparisonOperator, T: Comparable & BitwiseCopyable>(_: Op.Type, _: T.Type, _ a: Column, _ b: Column,
                                                                               _ rows: Selection?, _ count: Int) -> Selection? {
        let validity = Bitmap.and(a.validity, b.validity, count: count)
        let x = a.vector(T.self), y = b.vector(T.self)
        if x.step == 1, let constant = y.constant {
            let values = x.base
            return Selections.filter(rows, count: count, validity: validity) { Op.test(values[$0], constant) }
        }
        return Selections.filter(rows, count: count, validity: validity) { Op.test(x[$0], y[$0]) }
    }

    private func text<Op: ComparisonOperator>(_: Op.Type, _ a: Column, _ b: Column, _ rows: Selection?, _ count: Int) -> Selection? {
        let validity = Bitmap.and(a.validity, b.validity, count: count)
        let x = a.text, y = b.text
        if Op.isEquality, x.step == 1, let constant = y.constant, constant.count <= StringView.inlineLength {
            // A short text is equal only to a view with the same 16 bytes.
            let views = UnsafeRawPointer(x.views).assumingMemoryBound(to: SIMD2<UInt64>.self)
            let wanted = UnsafeRawPointer(y.views).load(as: SIMD2<UInt64>.self)
            return Selections.filter(rows, count: count, validity: validity) {
                let difference = views[$0] ^ wanted
                return ((difference[0] | difference[1]) == 0) == Op.whenEqual
            }
        }
        // The views of null rows must not be followed.
        let bits = validity?.base
        return Selections.filter(rows, count: count, validity: nil) { row in
            if let bits, !Bitmap.get(bits, row) { return false }
            if Op.isEquality { return TextVector.equal(x, row, y, row) == Op.whenEqual }
            return Op.test(TextVector.compare(x, row, y, row), 0)
        }
    }
}
