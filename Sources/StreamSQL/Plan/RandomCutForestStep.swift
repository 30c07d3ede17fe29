import StreamCore
import StreamExpressions
import StreamOperators

/// RANDOM_CUT_FOREST: the rows with a score behind them.
public struct RandomCutForestStep: PlanStep {
    public var partition: [Int], features: [Int]
    public var options: RandomCutForestOptions
    /// The score's share of the sample and the features' parts in it are given too.
    public var explains: Bool
    public var columns: [PlanColumn]

    init(input: [PlanColumn], partition: [Int], features: [Int], options: RandomCutForestOptions, explains: Bool) {
        (self.partition, self.features, self.options, self.explains) = (partition, features, options, explains)
        let names = ["anomaly_score"] + (explains ? ["anomaly_grade"] + features.map { "attribution_" + input[$0].name } : [])
        columns = input + names.map { PlanColumn($0, .double) }
    }

    public func title(_ inputs: [[PlanColumn]]) -> String {
        var parts: [String] = []
        if !partition.isEmpty { parts.append("by: " + partition.map { inputs[0][$0].name }.joined(separator: ", ")) }
        parts.append("columns: " + features.map { inputs[0][$0].name }.joined(separator: ", "))
        parts.append("trees: \(options.trees), samples: \(options.samples), decay: \(options.timeDecay)")
        if options.shingle > 1 { parts.append("shingle: \(options.shingle)") }
        parts.append("output after: \(options.outputAfter)")
        if options.normalizes { parts.append("normalized") }
        if options.seed != 0 { parts.append("seed: \(Int64(bitPattern: options.seed))") }
        return "RandomCutForest\(explains ? "WithExplanation" : "")(\(parts.joined(separator: "; ")))"
    }

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        var (below, map) = pruning.prune(inputs[0], needed.filter { $0 < width }.union(partition).union(features))
        let step = RandomCutForestStep(
            input: below.columns, partition: partition.map { map[$0]! }, features: features.map { map[$0]! }, options: options, explains: explains)
        for i in width..<columns.count { map[i] = below.columns.count + i - width }
        return (.step(step, [below]), map)
    }

    /// A condition on the partition keeps or drops all rows of a forest.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let passes = { (e: Expr) in !e.columns.isEmpty && e.columns.isSubset(of: partition) && e.isDeterministic }
        return ([conditions.filter(passes)], conditions.filter { !passes($0) })
    }

    public func modifications(_ inputs: [Modifications]) throws -> Modifications {
        guard inputs[0].isInsertOnly else {
            throw StreamError(.plan, "RANDOM_CUT_FOREST scores new rows only, but its input updates or deletes rows", fix: "aggregate in windows, or score the rows before they are aggregated")
        }
        return .insert
    }

    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { inputs[0] }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        let input = inputs[0]
        let spec = RandomCutForestSpec(
            inputSchema: input.columns.map(\.field), partition: partition, features: features.map { Expr.column($0, input.columns[$0].type).implicitlyCast(to: .double) },
            forest: options, explains: explains)
        return builder.addStep(title([input.columns]), after: input, .keys(partition), columns, Operators.randomCutForest(spec, context: builder.evaluation))
    }
}
