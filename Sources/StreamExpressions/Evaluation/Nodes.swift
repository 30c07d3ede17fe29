import StreamCore

final class ColumnNode: Node {
    let type: DataType
    let index: Int

    init(_ index: Int, _ type: DataType) { (self.index, self.type) = (index, type) }

    func evaluate(_ frame: Frame, _ rows: Selection?) -> Column { frame.columns[index] }
}

final class LiteralNode: Node {
    let type: DataType
    let value: Value
    private let one: Column
    // Batches mostly have the same size, so the column of the last one is kept.
    private var last: Column?

    init(_ value: Value, _ type: DataType) {
        self.value = value
        self.type = type
        let builder = ColumnBuilder(type: type, capacity: 1)
        builder.append(value)
        one = builder.finish()
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) -> Column {
        if let last, last.count == frame.count { return last }
        let column = Column.repeating(one, count: frame.count)
        last = column
        return column
    }
}

final class CallNode: Node {
    let type: DataType
    private let kernel: Kernel
    private let args: [any Node]

    init(_ type: DataType, _ kernel: @escaping Kernel, _ args: [any Node]) {
        self.type = type
        self.kernel = kernel
        self.args = args
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        if (rows?.count ?? frame.count) == 0 { return .nulls(type: type, count: frame.count) }
        let result = try kernel(args.map { try $0.evaluate(frame, rows) }, rows, frame.count, frame.context)
        assert(result.count == frame.count && result.type == type, "a kernel for \(type) gave \(result.count) rows of \(result.type)")
        return result
    }
}

final class FieldNode: Node {
    let type: DataType
    private let operand: any Node
    private let index: Int

    init(_ operand: any Node, _ index: Int, _ type: DataType) {
        self.operand = operand
        self.index = index
        self.type = type
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        let row = try operand.evaluate(frame, rows).flat()
        let part = row.children[index]
        guard let outer = row.validity else { return part }
        return Column(type: part.type, count: part.count, validity: Bitmap.and(outer, part.validity, count: part.count), values: part.values,
                      heaps: part.heaps, children: part.children, dictionary: part.dictionary)
    }
}

final class IsNullNode: Node {
    let type = DataType.boolean
    private let operand: any Node
    private let negated: Bool

    init(_ operand: any Node, negated: Bool) {
        self.operand = operand
        self.negated = negated
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        let column = try operand.evaluate(frame, rows)
        guard let bits = column.validity?.base else {
            return .constant(.bool(negated), type: .boolean, count: frame.count)
        }
        let values = Buffer(capacity: frame.count)
        let out = values.pointer(as: UInt8.self), flip: UInt8 = negated ? 0 : 1
        for row in 0..<frame.count { out[row] = (Bitmap.get(bits, row) ? 1 : 0) ^ flip }
        return Column(type: .boolean, count: frame.count, values: values)
    }
}

final class NotNode: Node {
    let type = DataType.boolean
    private let operand: any Node

    init(_ operand: any Node) { self.operand = operand }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        let column = try operand.evaluate(frame, rows).flat()
        let values = Buffer(capacity: frame.count)
        let (from, out) = (column.pointer(as: UInt8.self), values.pointer(as: UInt8.self))
        for row in 0..<frame.count { out[row] = (from[row] & 1) ^ 1 }
        return Column(type: .boolean, count: frame.count, validity: column.validity, values: values)
    }
}

/// AND and OR in three-valued logic. An operand is computed only for the rows that the ones before it left open.
final class LogicNode: Node {
    let type = DataType.boolean
    private let operands: [any Node]
    private let isAnd: Bool

    init(_ operands: [any Node], isAnd: Bool) {
        self.operands = operands
        self.isAnd = isAnd
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        // Per row: the neutral value while nothing decided it, the deciding one, or unknown.
        let neutral: UInt8 = isAnd ? 1 : 0, deciding: UInt8 = isAnd ? 0 : 1, unknown: UInt8 = 2
        let values = Buffer(capacity: frame.count)
        let state = values.pointer(as: UInt8.self)
        state.update(repeating: neutral, count: frame.count)
        var open = rows, sawNull = false
        for (i, operand) in operands.enumerated() {
            if let open, open.count == 0 { break }
            let column = try operand.evaluate(frame, open).flat()
            let value = column.pointer(as: UInt8.self)
            let set = RowSet(open, count: frame.count)
            if let bits = column.validity?.base {
                set.forEach { row in
                    if !Bitmap.get(bits, row) {
                        state[row] = unknown
                        sawNull = true
                    } else if value[row] & 1 == deciding { state[row] = deciding }
                }
            } else {
                set.forEach { row in if value[row] & 1 == deciding { state[row] = deciding } }
            }
            guard i + 1 < operands.count else { break }
            if let left = Selections.filter(open, count: frame.count, validity: nil, { state[$0] != deciding }) { open = left }
        }
        guard sawNull else { return Column(type: .boolean, count: frame.count, values: values) }
        let validity = Bitmap.make(frame.count, valid: true)
        for row in 0..<frame.count where state[row] == unknown { Bitmap.clear(validity.base, row) }
        return Column(type: .boolean, count: frame.count, validity: validity, values: values)
    }
}

/// Searched CASE: each result is computed only for the rows that took its branch.
final class CaseNode: Node {
    let type: DataType
    private let branches: [(condition: any Predicate, result: any Node)]
    private let otherwise: any Node
    /// The distinct results when all are literals: the answer is then a dictionary column.
    private let dictionary: Column?

    init(_ type: DataType, _ branches: [(any Predicate, any Node)], _ otherwise: any Node) {
        self.type = type
        self.branches = branches
        self.otherwise = otherwise
        let results = branches.map(\.1) + [otherwise]
        let literals = results.compactMap { ($0 as? LiteralNode)?.value }
        if literals.count == results.count, !literals.contains(.null) {
            let builder = ColumnBuilder(type: type, capacity: literals.count)
            for value in literals { builder.append(value) }
            dictionary = builder.finish()
        } else {
            dictionary = nil
        }
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        if let dictionary { return try codes(frame, rows, dictionary) }
        var merge = ColumnMerge(type: type, count: frame.count)
        var open = rows
        for (condition, result) in branches {
            if let open, open.count == 0 { break }
            guard let taken = try condition.select(frame, open) else {
                merge.add(try result.evaluate(frame, open), open)
                return merge.finish()
            }
            if taken.count == 0 { continue }
            merge.add(try result.evaluate(frame, taken), taken)
            open = Selections.subtract(taken, from: open, count: frame.count)
        }
        if open == nil || open!.count > 0 { merge.add(try otherwise.evaluate(frame, open), open) }
        return merge.finish()
    }

    private func codes(_ frame: Frame, _ rows: Selection?, _ dictionary: Column) throws -> Column {
        let values = Buffer(capacity: frame.count * 4)
        let code = values.pointer(as: Int32.self)
        code.update(repeating: Int32(branches.count), count: frame.count)
        var open = rows
        for (i, branch) in branches.enumerated() {
            if let open, open.count == 0 { break }
            guard let taken = try branch.condition.select(frame, open) else {
                RowSet(open, count: frame.count).forEach { code[$0] = Int32(i) }
                break
            }
            if taken.count == 0 { continue }
            RowSet(taken, count: frame.count).forEach { code[$0] = Int32(i) }
            open = Selections.subtract(taken, from: open, count: frame.count)
        }
        return Column(type: type, count: frame.count, values: values, dictionary: dictionary)
    }
}

/// The first operand that is not null; a later one is computed only for the rows that are still null.
final class CoalesceNode: Node {
    let type: DataType
    private let operands: [any Node]

    init(_ type: DataType, _ operands: [any Node]) {
        self.type = type
        self.operands = operands
    }

    func evaluate(_ frame: Frame, _ rows: Selection?) throws -> Column {
        var merge = ColumnMerge(type: type, count: frame.count)
        var open = rows
        for (i, operand) in operands.enumerated() {
            if let open, open.count == 0 { break }
            let column = try operand.evaluate(frame, open)
            guard i + 1 < operands.count, let validity = column.validity,
                  let filled = Selections.filter(open, count: frame.count, validity: validity, { _ in true }) else {
                merge.add(column, open)
                break
            }
            if filled.count > 0 { merge.add(column, filled) }
            open = Selections.subtract(filled, from: open, count: frame.count)
        }
        return merge.finish()
    }
}
