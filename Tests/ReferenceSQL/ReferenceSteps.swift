import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL

extension ReferenceInterpreter {
    /// Steps that live in files of their own.
    func step(_ step: any PlanStep, _ inputs: [LogicalPlan]) throws -> [Event] {
        switch step {
        case let c as Correlate: return try correlate(try events(of: inputs[0]), c)
        case is SharedPlan: return try events(of: inputs[0])
        case let e as Expand: return expand(try events(of: inputs[0]), e)
        case let n as ChangelogNormalize: return normalize(try events(of: inputs[0]), n)
        case let o as Over: return try over(try events(of: inputs[0]), inputs[0].columns, o)
        case let s as SingleRow: return try single(try events(of: inputs[0]), s)
        default: throw Unsupported("\(type(of: step))")
        }
    }

    /// The function itself is the engine's, called for one row at a time.
    private func correlate(_ input: [Event], _ c: Correlate) throws -> [Event] {
        let function = try c.function.make(scalars.context)
        defer { function.close() }
        return try input.flatMap { event -> [Event] in
            let arguments = try c.arguments.map { ($0.type, try scalars.value(of: $0, event.row)) }
            let (columns, calls) = try function.call(arguments.map { Scalars.column($1, $0) }, count: 1)
            var rows = calls.indices.map { i in event.row + columns.map { $0.value(at: i) } }
            if let condition = c.condition { rows = try rows.filter { try scalars.value(of: condition, $0) == .bool(true) } }
            if rows.isEmpty, c.kind == .left { rows = [event.row + Array(repeating: .null, count: c.function.resultTypes.count)] }
            if let output = c.output { rows = rows.map { row in output.map { row[$0] } } }
            return rows.map { Event(kind: event.kind, row: $0, watermark: event.watermark) }
        }
    }

    /// Each row once for each set, with nulls for keys that the set has not.
    private func expand(_ input: [Event], _ e: Expand) -> [Event] {
        input.flatMap { event in
            e.sets.enumerated().map { number, set in
                let keys = e.keys.enumerated().map { set.contains($0) ? event.row[$1] : .null }
                return Event(kind: event.kind, row: event.row + keys + [.int(Int64(number))], watermark: event.watermark)
            }
        }
    }

    /// Of upserts and deletions by key, the last row of each key.
    private func normalize(_ input: [Event], _ n: ChangelogNormalize) -> [Event] {
        var last: [[Value]: Event] = [:], order: [[Value]] = []
        for event in input {
            let key = n.keys.map { event.row[$0] }
            switch event.kind {
            case .insert, .updateAfter:
                if last[key] == nil { order.append(key) }
                last[key] = event
            case .delete:
                last[key] = nil
                order.removeAll { $0 == key }
            case .updateBefore: break
            }
        }
        return order.compactMap { last[$0] }.map { Event(row: $0.row, watermark: $0.watermark) }
    }
}
