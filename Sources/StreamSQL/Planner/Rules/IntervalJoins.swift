import StreamCore
import StreamExpressions
import StreamOperators

/// Makes an interval join of a join whose condition bounds how far the time attributes of both sides lie apart: such a join need
/// not keep its rows for ever.
struct IntervalJoins {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .join(let l, let r, let j) = step, !j.kind.isLeftOnly, j.leftKeys.isEmpty, let condition = j.condition,
                let bounds = TimeBounds(condition.conjuncts, l.columns, r.columns), let lower = bounds.lower, let upper = bounds.upper
            else { return step }
            let parts = JoinCondition(bounds.rest, width: l.columns.count), sides = parts.keyed(l, r)
            let join = IntervalJoin(
                kind: j.kind, leftKeys: sides.leftKeys, rightKeys: sides.rightKeys, leftTime: bounds.left, rightTime: bounds.right, lower: lower,
                upper: upper, isProcessingTime: bounds.isProcessingTime, condition: Expr.all(parts.rest).map(sides.moved),
                columns: sides.columns(j.kind))
            return sides.restored(.step(join, [sides.left, sides.right]), isLeftOnly: false)
        }
    }
}

/// What a join's condition says of left time - right time, in milliseconds.
struct TimeBounds {
    /// Columns of each side, by their own numbers.
    var left = -1, right = -1
    var lower: Int64?, upper: Int64?
    var isProcessingTime = false
    /// Conditions that say something else.
    var rest: [Expr] = []

    /// nil when nothing is said of time attributes.
    init?(_ conditions: [Expr], _ l: [PlanColumn], _ r: [PlanColumn]) {
        let columns = l + r, width = l.count
        for condition in conditions {
            guard case .call(let f, let args) = condition, args.count == 2, ["<", "<=", ">", ">=", "="].contains(f.name),
                let a = Self.time(args[0], columns), let b = Self.time(args[1], columns), (a.column < width) != (b.column < width),
                columns[a.column].role == .processingTime ? columns[b.column].role == .processingTime : columns[b.column].isTimeAttribute
            else {
                rest.append(condition)
                continue
            }
            let (x, y, name) = a.column < width ? (a, b, f.name) : (b, a, Self.flipped(f.name))
            guard left < 0 || (left, right) == (x.column, y.column - width) else {
                rest.append(condition)
                continue
            }
            (left, right) = (x.column, y.column - width)
            isProcessingTime = columns[left].isProcessingTime
            // x + offset (op) y + offset
            let difference = y.offset.minus(x.offset)
            if name != ">" && name != ">=" { upper = min(upper ?? .max, name == "<" ? difference - 1 : difference) }
            if name != "<" && name != "<=" { lower = max(lower ?? .min, name == ">" ? difference + 1 : difference) }
        }
        if left < 0 { return nil }
    }

    private static func flipped(_ name: String) -> String {
        switch name {
        case "<": ">"
        case "<=": ">="
        case ">": "<"
        case ">=": "<="
        default: name
        }
    }

    /// A time attribute plus a constant number of milliseconds.
    private static func time(_ expr: Expr, _ columns: [PlanColumn]) -> (column: Int, offset: Int64)? {
        switch expr {
        case .column(let i, let type):
            return (columns[i].isTimeAttribute || columns[i].isProcessingTime) && type.timeUnit == .milliseconds ? (i, 0) : nil
        case .cast(let e, let to, _):
            // To another precision that is kept in the same way.
            switch (e.type, to) {
            case (.timestamp, .timestamp), (.timestampLTZ, .timestampLTZ): return to.timeUnit == .milliseconds ? time(e, columns) : nil
            default: return nil
            }
        case .call(let f, let args) where args.count == 2 && (f.name == "+" || f.name == "-"):
            if let (column, offset) = time(args[0], columns), let length = length(args[1]) {
                return (column, f.name == "+" ? offset.plus(length) : offset.minus(length))
            }
            if f.name == "+", let (column, offset) = time(args[1], columns), let length = length(args[0]) { return (column, offset.plus(length)) }
            return nil
        default: return nil
        }
    }

    private static func length(_ expr: Expr) -> Int64? {
        guard expr.type == .intervalDayTime, expr.columns.isEmpty, case .int(let milliseconds)? = Binding.constant(expr) else { return nil }
        return milliseconds
    }
}
