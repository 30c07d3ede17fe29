import StreamExpressions
import StreamOperators

/// Gives a filter over what a table function gives to the step that calls it, which then makes no rows that the filter drops.
struct CorrelateFilter {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .filter(.step(let operation, let inputs), let filter) = step, var correlate = operation as? Correlate,
                correlate.kind == .inner, filter.isDeterministic
            else { return step }
            let moved = filter.mapColumns { correlate.output?[$0] ?? $0 }
            correlate.condition = Expr.all((correlate.condition?.conjuncts ?? []) + moved.conjuncts)
            return .step(correlate, inputs)
        }
    }
}
