import StreamCore
import StreamExpressions
import StreamOperators

/// Makes a window join of a join by start and end of windows of one kind: it gives its rows, once, when the window ends, and keeps
/// none for longer.
struct WindowJoins {
    func apply(_ plan: LogicalPlan) throws -> LogicalPlan {
        try plan.rewritten { step in
            guard case .join(let l, let r, let j) = step, j.leftKeys.isEmpty, let condition = j.condition,
                let windows = Windows(condition.conjuncts, l.columns, r.columns)
            else { return step }
            guard windows.left.window == windows.right.window else {
                throw StreamError(
                    .plan,
                    "the windows of a window join must be of one kind, but these are \(ExprText.window(windows.left.window)) and \(ExprText.window(windows.right.window))",
                    fix: "use the same window function on both sides")
            }
            guard let type = l.timeType(of: windows.left), let rightType = r.timeType(of: windows.right) else { return step }
            guard type.isLocalZoned == rightType.isLocalZoned else {
                throw StreamError(
                    .plan, "the windows of a window join must be over time attributes of one type, but these are \(type) and \(rightType)",
                    fix: "cast one of them before its watermark is declared")
            }
            let parts = JoinCondition(windows.rest, width: l.columns.count), sides = parts.keyed(l, r)
            let join = WindowJoin(
                kind: j.kind, leftKeys: sides.leftKeys, rightKeys: sides.rightKeys, leftWindow: windows.leftColumns, rightWindow: windows.rightColumns,
                timeType: type, condition: Expr.all(parts.rest).map(sides.moved), columns: sides.columns(j.kind))
            return sides.restored(.step(join, [sides.left, sides.right]), isLeftOnly: j.kind.isLeftOnly)
        }
    }

    /// A pair of windows of which a condition compares both start and end.
    private struct Windows {
        var left: WindowOrigin, right: WindowOrigin
        var leftColumns = WindowJoin.Columns(start: -1, end: -1), rightColumns = WindowJoin.Columns(start: -1, end: -1)
        var rest: [Expr] = []

        init?(_ conditions: [Expr], _ l: [PlanColumn], _ r: [PlanColumn]) {
            let columns = l + r
            var starts: [(Int, Int, Int)] = [], ends: [(Int, Int, Int)] = []
            for (i, condition) in conditions.enumerated() {
                guard case .call(let f, let args) = condition, f.name == "=" || f.name == "IS NOT DISTINCT FROM", args.count == 2,
                    case .column(let a, _) = args[0], case .column(let b, _) = args[1], (a < l.count) != (b < l.count)
                else { continue }
                let (x, y) = a < l.count ? (a, b) : (b, a)
                switch (columns[x].role, columns[y].role) {
                case (.windowStart, .windowStart): starts.append((x, y, i))
                case (.windowEnd, .windowEnd): ends.append((x, y, i))
                default: break
                }
            }
            for (ls, rs, i) in starts {
                for (le, re, k) in ends {
                    guard case .windowStart(let a) = columns[ls].role, columns[le].role == .windowEnd(a),
                        case .windowStart(let b) = columns[rs].role, columns[re].role == .windowEnd(b)
                    else { continue }
                    (left, right) = (a, b)
                    leftColumns = .init(start: ls, end: le)
                    rightColumns = .init(start: rs - l.count, end: re - l.count)
                    rest = conditions.indices.filter { $0 != i && $0 != k }.map { conditions[$0] }
                    return
                }
            }
            return nil
        }
    }
}

extension LogicalPlan {
    /// The type of the time attribute that windows were made of.
    func timeType(of origin: WindowOrigin) -> DataType? {
        if case .windowTable(let input, let w) = self, w.origin == origin { return input.columns[w.timeColumn].type }
        if let column = columns.first(where: { $0.role == .windowTime(origin) }) { return column.type }
        return inputs.lazy.compactMap { $0.timeType(of: origin) }.first
    }
}

extension DataType {
    fileprivate var isLocalZoned: Bool { if case .timestampLTZ = self { true } else { false } }
}
