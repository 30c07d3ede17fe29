import StreamCore
import StreamExpressions
import StreamOperators

/// A join of rows of the same window; see ``Operators/windowJoin(_:_:)``.
struct WindowJoin: PlanStep {
    /// Where an input has the window's start and end.
    struct Columns: Sendable { var start: Int, end: Int }

    var kind: JoinKind
    var leftKeys: [Int], rightKeys: [Int]
    var leftWindow: Columns, rightWindow: Columns
    /// Of the time attribute that the windows were made of.
    var timeType: DataType
    /// Over the left columns and then the right ones.
    var condition: Expr?
    var columns: [PlanColumn]

    func title(_ inputs: [[PlanColumn]]) -> String {
        let (l, r) = (inputs[0], inputs[1])
        var parts = zip([leftWindow.start, leftWindow.end] + leftKeys, [rightWindow.start, rightWindow.end] + rightKeys).map {
            "\(l[$0].name) = \(r[$1].name)"
        }
        if let condition { parts.append(ExprText.of(condition, l + r)) }
        let window: String = if case .windowEnd(let origin) = l[leftWindow.end].role { ", " + ExprText.window(origin.window) } else { "" }
        return "WindowJoin(\(kind.rawValue): \(parts.joined(separator: " AND "))\(window))"
    }

    // MARK: rewriting

    func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let sides = PrunedSides(
            needed, inputs, condition, leftKeys + [leftWindow.start, leftWindow.end], rightKeys + [rightWindow.start, rightWindow.end], pruning)
        var copy = self
        copy.leftKeys = leftKeys.map(sides.left)
        copy.rightKeys = rightKeys.map(sides.right)
        copy.leftWindow = .init(start: sides.left(leftWindow.start), end: sides.left(leftWindow.end))
        copy.rightWindow = .init(start: sides.right(rightWindow.start), end: sides.right(rightWindow.end))
        copy.condition = condition.map(sides.moved)
        copy.columns = sides.columns(kind)
        return (.step(copy, sides.inputs), sides.map)
    }

    func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        PrunedSides.pushed(conditions, kind, width: inputs[0].count)
    }

    func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.condition = condition.map(map)
        return copy
    }

    // MARK: changelog

    func modifications(_ inputs: [Modifications]) -> Modifications { .insert }

    // MARK: running

    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        try JobGraphBuilder.checkInserts("a window join", inputs)
        func side(_ i: Int, _ keys: [Int], _ window: Columns) -> WindowJoinSpec.Side {
            .init(schema: inputs[i].columns.map(\.field), keys: keys, start: window.start, end: window.end)
        }
        let spec = WindowJoinSpec(
            left: side(0, leftKeys, leftWindow), right: side(1, rightKeys, rightWindow), kind: kind, condition: condition, timeType: timeType,
            timeZone: builder.settings.timeZone)
        return builder.addTwoInputStep(
            title(inputs.map(\.columns)), inputs, spec.left.distribution, spec.right.distribution, columns,
            Operators.windowJoin(spec, builder.evaluation))
    }
}
