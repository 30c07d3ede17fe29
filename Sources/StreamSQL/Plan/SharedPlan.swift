import StreamCore
import StreamExpressions
import StreamOperators

/// A query with a name, a view or a WITH table, where it is read. Steps with one key compute the same rows, so that a job that has
/// several of them needs to compute them only once.
public struct SharedPlan: PlanStep {
    /// Equal for the same definition.
    public var key: String
    public var name: String
    public var columns: [PlanColumn]

    public func title(_ inputs: [[PlanColumn]]) -> String { "Shared(\(name))" }

    /// All readers take the rows as they are.
    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        (.step(self, inputs.map { pruning.apply($0) }), Dictionary(uniqueKeysWithValues: columns.indices.map { ($0, $0) }))
    }

    public func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { inputs[0] }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream { inputs[0] }
}
