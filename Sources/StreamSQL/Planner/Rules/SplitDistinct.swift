import StreamCore
import StreamExpressions
import StreamOperators

/// Computes DISTINCT aggregates in two steps, so that a group with very many values is spread over subtasks: first for each bucket of
/// values, then for the group. As in Flink only with mini-batches, for COUNT, SUM, MIN and MAX.
struct SplitDistinct {
    var settings: AggregationSettings

    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        guard settings.splitsDistinct, settings.isMiniBatch else { return plan }
        return plan.rewritten { step in
            guard case .aggregate(let input, let a) = step else { return step }
            return split(input, a) ?? step
        }
    }

    private static func isDistinct(_ call: AggregateCall) -> Bool { call.distinct && ["COUNT", "SUM"].contains(call.function) }

    private func split(_ input: LogicalPlan, _ a: LogicalPlan.Aggregate) -> LogicalPlan? {
        guard a.aggregates.contains(where: Self.isDistinct), a.aggregates.allSatisfy({ ["COUNT", "SUM", "MIN", "MAX"].contains($0.function) })
        else { return nil }
        var spec = DistinctSplitSpec(parts: [], buckets: settings.buckets, filters: [])
        for call in a.aggregates where Self.isDistinct(call) && !spec.parts.contains(call.arguments) { spec.parts.append(call.arguments) }
        let width = input.columns.count, keys = a.keys + [width, width + 1]
        var inner: [AggregateCall] = [], outer: [AggregateCall] = []
        for (i, call) in a.aggregates.enumerated() {
            // What is not distinct is computed beside the first part.
            let part = Self.isDistinct(call) ? spec.parts.firstIndex(of: call.arguments)! : 0
            let filter = DistinctSplitSpec.Filter(part: part, condition: call.filter)
            if !spec.filters.contains(filter) { spec.filters.append(filter) }
            var partial = call
            partial.filter = width + 2 + spec.filters.firstIndex(of: filter)!
            inner.append(partial)
            outer.append(
                AggregateCall(
                    function: call.function == "COUNT" ? "SUM" : call.function, arguments: [keys.count + i], argumentTypes: [call.resultType],
                    resultType: call.resultType))
        }
        let step = DistinctSplitStep(spec: spec, columns: DistinctSplitStep.columns(input.columns, spec))
        let partialColumns =
            keys.map { PlanColumn(step.columns[$0].name, step.columns[$0].type, nullable: step.columns[$0].nullable) }
            + a.columns.dropFirst(a.keys.count)
        let partial = LogicalPlan.aggregate(
            .step(step, [input]), .init(keys: keys, aggregates: inner, columns: partialColumns, stateTTL: a.stateTTL))
        return .aggregate(
            partial, .init(keys: Array(a.keys.indices), aggregates: outer, columns: a.columns, stateTTL: a.stateTTL))
    }
}

/// The step in front of both aggregations.
struct DistinctSplitStep: PlanStep {
    var spec: DistinctSplitSpec
    var columns: [PlanColumn]

    static func columns(_ input: [PlanColumn], _ spec: DistinctSplitSpec) -> [PlanColumn] {
        input + [PlanColumn("$part", .int, nullable: false), PlanColumn("$bucket", .int, nullable: false)]
            + spec.filters.indices.map { PlanColumn("$filter\($0)", .boolean) }
    }

    func title(_ inputs: [[PlanColumn]]) -> String {
        let input = inputs[0]
        let parts = spec.parts.map { "(" + $0.map { input[$0].name }.joined(separator: ", ") + ")" }.joined(separator: ", ")
        let filters = spec.filters.enumerated().map { i, filter in
            "$filter\(i) = part \(filter.part)" + (filter.condition.map { " AND \(input[$0].name)" } ?? "")
        }
        return "DistinctSplit(\(parts) into \(spec.buckets) buckets; \(filters.joined(separator: ", ")))"
    }

    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(title([inputs[0].columns]), after: inputs[0], .forward, columns, Operators.distinctSplit(spec))
    }

    func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool { true }
}
