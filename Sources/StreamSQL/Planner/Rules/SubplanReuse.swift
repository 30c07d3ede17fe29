import StreamCore
import StreamExpressions
import StreamOperators

/// Keeps the marks of views and WITH tables that several places of a job read and that cost more than reading rows, and takes
/// the others away, so that each of those is optimised together with what reads it.
struct SubplanReuse {
    /// Nothing is shared (`table.optimizer.reuse-sub-plan-enabled` = false).
    var isOff = false

    func apply(_ plans: [LogicalPlan]) -> [LogicalPlan] {
        var counts: [String: Int] = [:]
        if !isOff { for plan in plans { count(plan, &counts) } }
        return plans.map { plan in
            plan.rewritten { step in
                guard case .step(let shared as SharedPlan, let inputs) = step else { return step }
                return counts[shared.key, default: 0] > 1 && Self.isCostly(inputs[0]) ? step : inputs[0].renamed(shared.columns)
            }
        }
    }

    /// A shared plan's own parts count once, however often it is read.
    private func count(_ plan: LogicalPlan, _ counts: inout [String: Int]) {
        if case .step(let shared as SharedPlan, _) = plan {
            counts[shared.key, default: 0] += 1
            if counts[shared.key]! > 1 { return }
        }
        for input in plan.inputs { count(input, &counts) }
    }

    private static func isCostly(_ plan: LogicalPlan) -> Bool {
        switch plan {
        case .aggregate, .windowAggregate, .join, .sort: return true
        case .step(let step, let inputs): return !(step is SharedPlan) && !(step is Correlate) || inputs.contains(where: isCostly)
        default: return plan.inputs.contains(where: isCostly)
        }
    }
}

extension LogicalPlan {
    /// The same rows with other column names and roles.
    func renamed(_ columns: [PlanColumn]) -> LogicalPlan {
        if self.columns == columns { return self }
        var projection = Projection.columns(Array(columns.indices), of: self.columns)
        projection.columns = columns
        return .project(self, projection)
    }
}
