import StreamCore

/// Casts of ARRAY, MAP and ROW to the same shape with other parts.
enum NestedCasts {
    static func body(_ mode: Casts.Mode) -> KernelBody? {
        switch (mode.from, mode.to) {
        case (.array(let from), .array(let to)):
            guard let element = part(from, to, mode.safe) else { return nil }
            return { args, rows, context in try lists(mode, args[0].flat(), rows, context, [element], [to]) }
        case (.map(let fromKey, let fromValue), .map(let toKey, let toValue)):
            guard let key = part(fromKey, toKey, mode.safe), let value = part(fromValue, toValue, mode.safe) else { return nil }
            return { args, rows, context in try lists(mode, args[0].flat(), rows, context, [key, value], [toKey, toValue]) }
        case (.row(let from), .row(let to)):
            guard from.count == to.count else { return nil }
            let parts = zip(from, to).map { part($0.type, $1.type, mode.safe) }
            guard parts.allSatisfy({ $0 != nil }) else { return nil }
            return { args, rows, context in
                let row = args[0].flat()
                let present = RowSet(rows.selection, count: rows.count, validity: row.validity).rowsToCompute
                let children = try zip(row.children, parts).map { child, kernel in
                    try kernel!([child], present, rows.count, context)
                }
                return Column(type: mode.to, count: rows.count, validity: row.validity, values: .empty, children: children)
            }
        default: return nil
        }
    }

    private static func part(_ from: DataType, _ to: DataType, _ safe: Bool) -> Kernel? {
        from == .null || Casts.isSupported(from, to) ? Casts.kernel(from: from, to: to, safe: safe) : nil
    }

    private static func lists(_ mode: Casts.Mode, _ column: Column, _ rows: RowSet, _ context: EvaluationContext, _ parts: [Kernel],
                              _ types: [DataType]) throws -> Column {
        // Only elements of rows that are computed are cast: others may hold anything.
        let offsets = column.codes
        let present = RowSet(rows.selection, count: rows.count, validity: column.validity)
        var elements: [Int32] = []
        present.forEach { row in elements.append(contentsOf: offsets[row]..<offsets[row + 1]) }
        let total = column.children[0].count
        let selection = elements.count == total ? nil : Selection(elements)
        let children = try parts.indices.map { i in
            selection?.count == 0 ? Column.nulls(type: types[i], count: total) : try parts[i]([column.children[i]], selection, total, context)
        }
        return Column(type: mode.to, count: rows.count, validity: column.validity, values: column.values, children: children)
    }
}

extension RowSet {
    /// The rows of ``forEach(_:)`` as a selection; nil when that is all of them.
    var rowsToCompute: Selection? {
        guard let validity else { return selection }
        return Selections.filter(selection, count: count, validity: validity) { _ in true } ?? selection
    }
}
