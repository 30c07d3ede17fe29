import StreamCore
import StreamExpressions
import StreamOperators

/// Computes what depends on no row once. What fails is left for the run, where it fails only if a row needs it.
struct ConstantFolding {
    var context: EvaluationContext

    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            switch step {
            case .project(let input, var p):
                p.exprs = p.exprs.map(fold)
                return .project(input, p)
            case .filter(let input, let e): return .filter(input, fold(e))
            case .join(let l, let r, var j):
                j.condition = j.condition.map(fold)
                return .join(l, r, j)
            case .step(let operation, let inputs): return .step(operation.mappingExpressions(fold), inputs)
            default: return step
            }
        }
    }

    func fold(_ expr: Expr) -> Expr {
        expr.map { part in
            if case .literal = part { return part }
            guard part.isFoldable, let value = try? Evaluator.evaluateConstant(part, context: context) else { return nil }
            return .literal(value, part.type)
        }
    }
}
