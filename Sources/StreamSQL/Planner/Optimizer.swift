import StreamCore
import StreamExpressions
import StreamOperators

/// Rewrites a bound plan into an equal one that reads and computes less.
struct Optimizer {
    var context: EvaluationContext
    var script: ScriptText
    var reordersJoins = false

    func optimize(_ plan: LogicalPlan) throws -> LogicalPlan {
        var plan = ConstantFolding(context: context).apply(plan)
        plan = FilterPushdown().apply(plan)
        plan = CorrelateFilter().apply(plan)
        plan = try RankRecognition().apply(plan)
        plan = try WindowJoins().apply(plan)
        plan = IntervalJoins().apply(plan)
        if reordersJoins { plan = JoinReorder().apply(plan) }
        plan = JoinKeys().apply(plan)
        plan = CalcMerging().apply(plan)
        plan = WindowFusion().apply(plan)
        plan = try TemporalJoins().apply(plan)
        plan = CalcMerging().apply(plan)
        plan = ColumnPruning().apply(plan)
        plan = CalcMerging().apply(plan)
        return PartitionPruning().apply(plan)
    }
}
