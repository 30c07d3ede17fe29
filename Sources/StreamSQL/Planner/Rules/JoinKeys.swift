import StreamCore
import StreamExpressions
import StreamOperators

/// Finds the equalities that a join can be keyed by; the rest of an inner join's condition becomes a filter behind it.
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
        var join = j
        join.condition = nil
        var residual: [Expr] = []
        for part in condition.conjuncts {
            guard case .call(let f, let args) = part, ["=", "IS NOT DISTINCT FROM"].contains(f.name), args.count == 2,
                let (a, b) = sides(args[0], args[1], n), let type = Self.keyType(a.type, b.type)
            else {
                residual.append(part)
                continue
            }
            if f.name != "=" { join.nullSafeKeys.insert(join.leftKeys.count) }
            join.leftKeys.append(column(a.cast(toKey: type), &left, l.columns))
            join.rightKeys.append(column(b.mapColumns { $0 - n }.cast(toKey: type), &right, r.columns))
        }
        let (wideLeft, wideRight) = (left.exprs.count, right.exprs.count)
        let inputs = (wideLeft == n ? l : .project(l, left), wideRight == m ? r : .project(r, right))
        join.columns = LogicalPlan.joinColumns(left.columns, right.columns, j.kind)
        let rest = Expr.all(residual)?.mapColumns { $0 < n ? $0 : $0 - n + wideLeft }
        if j.kind != .inner { join.condition = rest }
        var result = LogicalPlan.join(inputs.0, inputs.1, join)
        if j.kind == .inner, let rest { result = .filter(result, rest) }
        if wideLeft == n && wideRight == m { return result }
        return .project(result, .columns(Array(0..<n) + (j.kind.isLeftOnly ? [] : (0..<m).map { wideLeft + $0 }), of: join.columns))
    }

    /// The type in which values of two types are compared as keys; nil when equality of keys is not that of values.
    static func keyType(_ a: DataType, _ b: DataType) -> DataType? {
        if a == b || a.isText && b.isText || a.isBinary && b.isBinary { return a }
        guard a.physical == b.physical, let type = TypeCoercion.commonType(a, b) else { return nil }
        return type
    }

    /// One expression over the left side only and one over the right side only.
    private func sides(_ a: Expr, _ b: Expr, _ n: Int) -> (Expr, Expr)? {
        guard !a.columns.isEmpty, !b.columns.isEmpty, a.isDeterministic, b.isDeterministic else { return nil }
        if a.columns.allSatisfy({ $0 < n }) && b.columns.allSatisfy({ $0 >= n }) { return (a, b) }
        if b.columns.allSatisfy({ $0 < n }) && a.columns.allSatisfy({ $0 >= n }) { return (b, a) }
        return nil
    }

    private func column(_ expr: Expr, _ projection: inout LogicalPlan.Projection, _ input: [PlanColumn]) -> Int {
        if case .column(let i, _) = expr { return i }
        projection.columns.append(PlanColumn("key$\(projection.exprs.count)", expr.type, nullable: expr.isNullable(in: input)))
        projection.exprs.append(expr)
        return projection.exprs.count - 1
    }
}

extension Expr {
    func cast(toKey type: DataType) -> Expr {
        self.type == type || self.type.physical == .view ? self : .cast(self, to: type, safe: false)
    }
}
