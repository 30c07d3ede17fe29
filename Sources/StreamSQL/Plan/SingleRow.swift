import StreamCore
import StreamExpressions
import StreamOperators

/// Passes rows on, and fails the job once a key has more than one: what a sub-query that stands for a value must not give.
public struct SingleRow: PlanStep {
    public var keys: [Int]
    public var columns: [PlanColumn]

    public init(keys: [Int], columns: [PlanColumn]) {
        self.keys = keys
        self.columns = columns
    }

    public func title(_ inputs: [[PlanColumn]]) -> String {
        keys.isEmpty ? "SingleRow" : "SingleRow(by: \(keys.map { columns[$0].name }.joined(separator: ", ")))"
    }

    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { [Set(keys)] + inputs[0] }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .keys(keys), columns,
            Operators.singleRow(inputSchema: inputs[0].columns.map(\.field), keys: keys))
    }
}
