import StreamCore
import StreamExpressions

/// How expressions of a sub-query name columns of the queries around it, until the sub-query is joined with them: by numbers far
/// above those of its own columns, in which the nearest query around it is level 1.
enum OuterColumns {
    private static let base = 1 << 40

    static func number(_ column: Int, level: Int) -> Int { level * base + column }
    static func isOuter(_ number: Int) -> Bool { number >= base }

    /// The same column seen from one query further out.
    static func outward(_ number: Int) -> Int { number - base }
}

extension Expr {
    var readsOuterColumns: Bool { columns.contains(where: OuterColumns.isOuter) }

    /// As ``substituting(_:)``, columns of queries around this one staying as they are.
    func substitutingInner(_ exprs: [Expr]) -> Expr {
        map { if case .column(let i, _) = $0, exprs.indices.contains(i) { exprs[i] } else { nil } }
    }
}

extension LogicalPlan {
    /// Whether the plan reads columns of a query around it.
    var readsOuterColumns: Bool {
        let own: Bool
        switch self {
        case .filter(_, let e): own = e.readsOuterColumns
        case .project(_, let p): own = p.exprs.contains(where: \.readsOuterColumns)
        case .calc(_, let filter, let p): own = filter?.readsOuterColumns == true || p.exprs.contains(where: \.readsOuterColumns)
        case .join(_, _, let j): own = j.condition?.readsOuterColumns == true
        case .values(let v): own = v.rows.contains { $0.contains(where: \.readsOuterColumns) }
        case .step(let step, _):
            var found = false
            _ = step.mappingExpressions { expr in
                if expr.readsOuterColumns { found = true }
                return expr
            }
            own = found
        case .scan, .windowTable, .windowAggregate, .aggregate, .union, .sort: own = false
        }
        return own || inputs.contains(where: \.readsOuterColumns)
    }
}
