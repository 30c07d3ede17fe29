import StreamCore
import StreamExpressions
import StreamOperators

/// Each row once per set of keys of GROUPING SETS, ROLLUP or CUBE: with null in place of the keys that the set leaves out, and
/// the set's number.
public struct Expand: PlanStep {
    /// Input columns that are keys of some set.
    public var keys: [Int]
    /// For each set, which of ``keys`` (by their place there) it has.
    public var sets: [Set<Int>]
    /// The input's, then the keys, then the number of the set.
    public var columns: [PlanColumn]

    public init(keys: [Int], sets: [Set<Int>], input: [PlanColumn]) {
        (self.keys, self.sets) = (keys, sets)
        let copies = keys.enumerated().map { i, key in
            let isEverywhere = sets.allSatisfy { $0.contains(i) }
            return PlanColumn(input[key].name, input[key].type, nullable: input[key].nullable || !isEverywhere,
                              role: isEverywhere ? input[key].role : .none)
        }
        columns = input + copies + [PlanColumn("expand_id", .bigint, nullable: false)]
    }

    /// The same over an input in which the keys stand elsewhere.
    func over(_ input: [PlanColumn], keys: [Int]) -> Expand { Expand(keys: keys, sets: sets, input: input) }

    public func title(_ inputs: [[PlanColumn]]) -> String {
        let texts = sets.map { set in "(" + keys.indices.filter(set.contains).map { inputs[0][keys[$0]].name }.joined(separator: ", ") + ")" }
        return "Expand(\(texts.joined(separator: ", ")))"
    }

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        var (below, map) = pruning.prune(inputs[0], needed.filter { $0 < width }.union(keys))
        let expand = over(below.columns, keys: keys.map { map[$0]! })
        for i in width..<columns.count { map[i] = below.columns.count + i - width }
        return (.step(expand, [below]), map)
    }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .forward, columns,
            Operators.expand(keys: keys.map { (column: $0, type: inputs[0].columns[$0].type) }, sets: sets))
    }
}
