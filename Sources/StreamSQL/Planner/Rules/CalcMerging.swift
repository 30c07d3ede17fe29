import StreamCore
import StreamExpressions
import StreamOperators

/// Makes one Calc of neighbouring filters and projections, unless an expression would then be computed twice.
struct CalcMerging {
    func apply(_ plan: LogicalPlan) -> LogicalPlan { plan.rewritten(merge) }

    private func merge(_ step: LogicalPlan) -> LogicalPlan {
        switch step {
        case .filter(let input, let e):
            return merge(.calc(input, filter: e, .columns(Array(input.columns.indices), of: input.columns)))
        case .project(let input, let p): return merge(.calc(input, filter: nil, p))
        case .calc(let input, let filter, let p):
            if filter == nil, p.isIdentity, p.exprs.count == input.columns.count || p.exprs.isEmpty { return input }
            guard case .calc(let inner, let innerFilter, let innerProjection) = input,
                canInline(innerProjection.exprs, into: p.exprs, filter)
            else { return step }
            let condition = Expr.all(
                (innerFilter?.conjuncts ?? []) + (filter.map { $0.substituting(innerProjection.exprs).conjuncts } ?? []))
            let exprs = p.exprs.map { $0.substituting(innerProjection.exprs) }
            return merge(.calc(inner, filter: condition, .init(exprs: exprs, columns: p.columns)))
        default: return step
        }
    }

    private func canInline(_ inner: [Expr], into outer: [Expr], _ filter: Expr?) -> Bool {
        var counts: [Int: Int] = [:]
        for expr in outer { expr.countColumns(into: &counts) }
        if let filter { filter.countColumns(into: &counts) }
        return counts.allSatisfy { column, n in n <= 1 || inner[column].isTrivial }
    }
}
