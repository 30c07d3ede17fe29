import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL

extension ReferenceInterpreter {
    /// Steps that live in files of their own.
    func step(_ step: any PlanStep, _ inputs: [LogicalPlan]) throws -> [Event] {
        switch step {
        case let c as Correlate: return try correlate(try events(of: inputs[0]), c)
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
            if rows.isEmpty, c.kind == .left { rows = [event.row + Array(repeating: .null, count: c.columns.count - event.row.count)] }
            return rows.map { Event(kind: event.kind, row: $0, watermark: event.watermark) }
        }
    }
}
