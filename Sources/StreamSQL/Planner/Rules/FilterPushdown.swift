import StreamCore
import StreamExpressions
import StreamOperators

/// Moves conditions towards the sources.
struct FilterPushdown {
    func apply(_ plan: LogicalPlan) -> LogicalPlan { push([], into: plan) }

    private func wrap(_ plan: LogicalPlan, _ conditions: [Expr]) -> LogicalPlan {
        Expr.all(conditions).map { .filter(plan, $0) } ?? plan
    }

    /// The plan with `conditions` (over its output) applied as early as possible.
    private func push(_ conditions: [Expr], into plan: LogicalPlan) -> LogicalPlan {
        switch plan {
        case .filter(let input, let e): return push(e.conjuncts + conditions, into: input)
        case .project(let input, let p):
            // A condition on a computed column stays above, so that the column is computed once.
            let (below, above) = split(conditions) { $0.columns.allSatisfy { p.exprs[$0].isTrivial } }
            return wrap(.project(push(below.map { $0.substituting(p.exprs) }, into: input), p), above)
        case .union(let inputs, let columns): return .union(inputs.map { push(conditions, into: $0) }, columns)
        case .windowTable(let input, let w):
            // Sessions depend on all rows of their key.
            let isSession = if case .session = w.origin.window { true } else { false }
            let (below, above) = split(conditions) { condition in
                isSession
                    ? !condition.columns.isEmpty && condition.columns.isSubset(of: Set(w.partitionKeys))
                    : condition.columns.allSatisfy { $0 < input.columns.count }
            }
            return wrap(.windowTable(push(below, into: input), w), above)
        case .aggregate(let input, let a):
            // A global aggregate has one row whatever comes in, so nothing may pass it.
            let (below, above) = split(conditions) { !a.keys.isEmpty && !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.aggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .windowAggregate(let input, let a):
            let (below, above) = split(conditions) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.windowAggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .join(let l, let r, let j): return push(conditions, into: l, r, j)
        case .sort(let input, let s):
            if s.limit == nil && s.offset == 0 { return .sort(push(conditions, into: input), s) }
            return wrap(.sort(push([], into: input), s), conditions)
        case .step(let step, let inputs):
            let (below, above) = step.pushed(conditions, inputs.map(\.columns))
            return wrap(.step(step, zip(inputs, below).map { push($1, into: $0) }), above)
        case .scan, .values, .calc:
            return wrap(plan.replacingInputs(plan.inputs.map { push([], into: $0) }), conditions)
        }
    }

    /// Conditions above a join hold for its results, those of its own for pairs: where rows come without a match, neither kind may
    /// pass to a side whose rows it would not drop.
    private func push(_ conditions: [Expr], into l: LogicalPlan, _ r: LogicalPlan, _ given: LogicalPlan.Join) -> LogicalPlan {
        let width = l.columns.count
        var j = given
        j.kind = OuterJoinSimplification.kind(j.kind, below: conditions, leftCount: width)
        func isLeft(_ e: Expr) -> Bool { !e.columns.isEmpty && e.columns.allSatisfy { $0 < width } }
        func isRight(_ e: Expr) -> Bool { !e.columns.isEmpty && e.columns.allSatisfy { $0 >= width } }
        var above = conditions, own = j.condition?.conjuncts ?? [], left: [Expr] = [], right: [Expr] = []
        if j.kind == .inner { (own, above) = (own + above, []) }
        if !j.kind.keepsRight {
            let parts = split(above, isLeft)
            (left, above) = (left + parts.0, parts.1)
        }
        if !j.kind.keepsLeft, !j.kind.isLeftOnly {
            let parts = split(above, isRight)
            (right, above) = (right + parts.0, parts.1)
        }
        if [.inner, .right, .semi].contains(j.kind) {
            let parts = split(own, isLeft)
            (left, own) = (left + parts.0, parts.1)
        }
        if [.inner, .left, .semi, .anti].contains(j.kind) {
            let parts = split(own, isRight)
            (right, own) = (right + parts.0, parts.1)
        }
        j.condition = Expr.all(own)
        j.columns = LogicalPlan.joinColumns(l.columns, r.columns, j.kind)
        return wrap(.join(push(left, into: l), push(right.map { $0.mapColumns { $0 - width } }, into: r), j), above)
    }

    private func split(_ conditions: [Expr], _ test: (Expr) -> Bool) -> ([Expr], [Expr]) {
        (conditions.filter { test($0) && $0.isDeterministic }, conditions.filter { !(test($0) && $0.isDeterministic) })
    }
}
