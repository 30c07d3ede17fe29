import StreamCore
import StreamExpressions
import StreamOperators

/// Finds the equalities that a join can be keyed by; the rest of its condition becomes a filter behind it.
struct JoinKeys {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .join(let l, let r, let j) = step, let condition = j.condition else { return step }
            return keyed(l, r, j, condition)
        }
    }

    private func keyed(_ l: LogicalPlan, _ r: LogicalPlan, _ j: LogicalPlan.Join, _ condition: Expr) -> LogicalPlan {
        let (n, m) = (l.columns.count, r.columns.count)
        var left = LogicalPlan.Projection.columns(Array(0..<n), of: l.columns)
        var right = LogicalPlan.Projection.columns(Array(0..<m), of: r.columns)
        var join = LogicalPlan.Join(columns: [], leftTTL: j.leftTTL, rightTTL: j.rightTTL)
        var residual: [Expr] = []
        for part in condition.conjuncts {
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2, let (a, b) = sides(args[0], args[1], n),
                a.type.physical == b.type.physical
            else {
                residual.append(part)
                continue
            }
            join.leftKeys.append(column(a, &left))
            join.rightKeys.append(column(b.mapColumns { $0 - n }, &right))
        }
        let (wideLeft, wideRight) = (left.exprs.count, right.exprs.count)
        let inputs = (wideLeft == n ? l : .project(l, left), wideRight == m ? r : .project(r, right))
        join.columns = left.columns + right.columns
        var result = LogicalPlan.join(inputs.0, inputs.1, join)
        if let rest = Expr.all(residual) { result = .filter(result, rest.mapColumns { $0 < n ? $0 : $0 - n + wideLeft }) }
        if wideLeft == n && wideRight == m { return result }
        return .project(result, .columns(Array(0..<n) + (0..<m).map { wideLeft + $0 }, of: join.columns))
    }

    /// One expression over the left side only and one over the right side only.
    private func sides(_ a: Expr, _ b: Expr, _ n: Int) -> (Expr, Expr)? {
        guard !a.columns.isEmpty, !b.columns.isEmpty, a.isDeterministic, b.isDeterministic else { return nil }
        if a.columns.allSatisfy({ $0 < n }) && b.columns.allSatisfy({ $0 >= n }) { return (a, b) }
        if b.columns.allSatisfy({ $0 < n }) && a.columns.allSatisfy({ $0 >= n }) { return (b, a) }
        return nil
    }

    private func column(_ expr: Expr, _ projection: inout LogicalPlan.Projection) -> Int {
        if case .column(let i, _) = expr { return i }
        projection.columns.append(PlanColumn("key$\(projection.exprs.count)", expr.type))
        projection.exprs.append(expr)
        return projection.exprs.count - 1
    }
}
