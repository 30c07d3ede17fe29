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
            let (below, above) = split(conditions) { $0.columns.allSatisfy { $0 < input.columns.count } }
            return wrap(.windowTable(push(below, into: input), w), above)
        case .aggregate(let input, let a):
            // A global aggregate has one row whatever comes in, so nothing may pass it.
            let (below, above) = split(conditions) { !a.keys.isEmpty && !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.aggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .windowAggregate(let input, let a):
            let (below, above) = split(conditions) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.windowAggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .join(let l, let r, var j):
            let width = l.columns.count
            let all = (j.condition?.conjuncts ?? []) + conditions
            let (left, others) = split(all) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < width } }
            let (right, both) = split(others) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 >= width } }
            j.condition = Expr.all(both)
            return .join(push(left, into: l), push(right.map { $0.mapColumns { $0 - width } }, into: r), j)
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

    private func split(_ conditions: [Expr], _ test: (Expr) -> Bool) -> ([Expr], [Expr]) {
        (conditions.filter { test($0) && $0.isDeterministic }, conditions.filter { !(test($0) && $0.isDeterministic) })
    }
}
