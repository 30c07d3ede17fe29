import StreamCore
import StreamExpressions
import StreamOperators

/// A join of each left row with the version of a right row that held at the left row's time; see ``Operators/temporalJoin(_:_:)``.
struct TemporalJoin: PlanStep {
    var isLeft: Bool
    /// Found by ``TemporalJoins``; nil before.
    var keys: (left: [Int], right: [Int])?
    /// Columns of the left and of the right input.
    var leftTime: Int, rightTime: Int
    /// Over the left columns and then the right ones; without what `keys` says.
    var condition: Expr?
    var columns: [PlanColumn]

    func title(_ inputs: [[PlanColumn]]) -> String {
        let (l, r) = (inputs[0], inputs[1])
        var parts = zip(keys?.left ?? [], keys?.right ?? []).map { "\(l[$0].name) = \(r[$1].name)" }
        if let condition { parts.append(ExprText.of(condition, l + r)) }
        return "TemporalJoin(\(isLeft ? "left" : "inner"): \(parts.joined(separator: " AND ")), \(r[rightTime].name) as of \(l[leftTime].name))"
    }

    // MARK: rewriting

    private var kind: JoinKind { isLeft ? .left : .inner }

    func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let sides = PrunedSides(needed, inputs, condition, (keys?.left ?? []) + [leftTime], (keys?.right ?? []) + [rightTime], pruning)
        var copy = self
        copy.keys = keys.map { ($0.left.map(sides.left), $0.right.map(sides.right)) }
        (copy.leftTime, copy.rightTime) = (sides.left(leftTime), sides.right(rightTime))
        copy.condition = condition.map(sides.moved)
        copy.columns = sides.columns(kind)
        return (.step(copy, sides.inputs), sides.map)
    }

    /// Nothing passes to the right: without a version, an earlier one would be seen.
    func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let width = inputs[0].count
        func isLeft(_ e: Expr) -> Bool { !e.columns.isEmpty && e.isDeterministic && e.columns.allSatisfy { $0 < width } }
        return ([conditions.filter(isLeft), []], conditions.filter { !isLeft($0) })
    }

    func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.condition = condition.map(map)
        return copy
    }

    // MARK: changelog

    func modifications(_ inputs: [Modifications]) -> Modifications { inputs[0] }
    func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool { input == 0 }
    func upsertKeys(_ inputs: [[Set<Int>]]) -> [Set<Int>] { inputs[0] }

    // MARK: running

    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        guard let keys else { preconditionFailure("keys are found by the optimiser") }
        let spec = TemporalJoinSpec(
            leftSchema: inputs[0].columns.map(\.field), rightSchema: inputs[1].columns.map(\.field), leftKeys: keys.left, rightKeys: keys.right,
            leftTime: leftTime, rightTime: rightTime, keepsUnmatched: isLeft, condition: condition)
        return builder.addTwoInputStep(
            title(inputs.map(\.columns)), inputs, keys.left, keys.right, columns, Operators.temporalJoin(spec, builder.evaluation))
    }
}
