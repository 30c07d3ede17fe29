import StreamCore
import StreamExpressions
import StreamOperators

/// A join of rows whose times are near: left time - right time in `lower...upper`; see ``Operators/intervalJoin(_:_:)``.
struct IntervalJoin: PlanStep {
    var kind: JoinKind
    var leftKeys: [Int], rightKeys: [Int]
    /// Columns of the left and of the right input.
    var leftTime: Int, rightTime: Int
    /// Milliseconds.
    var lower: Int64, upper: Int64
    var isProcessingTime: Bool
    /// Over the left columns and then the right ones.
    var condition: Expr?
    var columns: [PlanColumn]

    func title(_ inputs: [[PlanColumn]]) -> String {
        let (l, r) = (inputs[0], inputs[1])
        func bound(_ n: Int64) -> String { n == 0 ? "" : n < 0 ? " - " + ExprText.length(-n) : " + " + ExprText.length(n) }
        var parts = zip(leftKeys, rightKeys).map { "\(l[$0].name) = \(r[$1].name)" }
        let (left, right) = (l[leftTime].name, r[rightTime].name)
        parts.append("\(left) BETWEEN \(right)\(bound(lower)) AND \(right)\(bound(upper))\(isProcessingTime ? " of processing" : "")")
        if let condition { parts.append(ExprText.of(condition, l + r)) }
        return "IntervalJoin(\(kind.rawValue): \(parts.joined(separator: " AND ")))"
    }

    // MARK: rewriting

    func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let sides = PrunedSides(needed, inputs, condition, leftKeys + [leftTime], rightKeys + [rightTime], pruning)
        var copy = self
        copy.leftKeys = leftKeys.map(sides.left)
        copy.rightKeys = rightKeys.map(sides.right)
        (copy.leftTime, copy.rightTime) = (sides.left(leftTime), sides.right(rightTime))
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
        let schemas = inputs.map { $0.columns.map(\.field) }
        let spec = IntervalJoinSpec(
            leftSchema: schemas[0], rightSchema: schemas[1], leftKeys: leftKeys, rightKeys: rightKeys, leftTime: leftTime, rightTime: rightTime,
            lower: lower, upper: upper, kind: kind, condition: condition, isProcessingTime: isProcessingTime)
        try JobGraphBuilder.checkInserts("an interval join", inputs)
        return builder.addTwoInputStep(
            title(inputs.map(\.columns)), inputs, leftKeys, rightKeys, columns, Operators.intervalJoin(spec, builder.evaluation))
    }
}

extension JobGraphBuilder {
    /// A step of two inputs that are brought together by keys.
    mutating func addTwoInputStep(
        _ name: String, _ inputs: [Stream], _ leftKeys: [Int], _ rightKeys: [Int], _ columns: [PlanColumn], _ factory: @escaping Operators.Factory
    ) -> Stream {
        let vertex = addVertex(name, .transform(factory), leftKeys.isEmpty ? 1 : settings.parallelism, columns.map(\.field))
        connect(inputs[0], to: vertex, input: 0, .keys(leftKeys))
        connect(inputs[1], to: vertex, input: 1, .keys(rightKeys))
        return Stream(
            vertices: [vertex], columns: columns, isBounded: inputs.allSatisfy(\.isBounded), isChangelog: false)
    }

    static func checkInserts(_ step: String, _ inputs: [Stream]) throws {
        for input in inputs where input.isChangelog {
            throw StreamError(
                .plan, "\(step) doesn't support consuming update and delete changes which is produced by \(input.updatedBy ?? "its input")",
                fix: "join before what makes the changes")
        }
    }
}

/// The two inputs of a join with fewer columns.
struct PrunedSides {
    let inputs: [LogicalPlan]
    /// Where the columns of both sides are now.
    let map: [Int: Int]
    private let leftMap: [Int: Int], rightMap: [Int: Int]

    /// - Parameters:
    ///   - left, right: columns that the join itself reads of each side.
    init(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ condition: Expr?, _ left: [Int], _ right: [Int], _ pruning: ColumnPruning) {
        let n = inputs[0].columns.count
        let all = needed.union(condition?.columns ?? [])
        let (l, leftMap) = pruning.prune(inputs[0], all.filter { $0 < n }.union(left))
        let (r, rightMap) = pruning.prune(inputs[1], Set(all.filter { $0 >= n }.map { $0 - n }).union(right))
        var map = leftMap
        for (old, new) in rightMap { map[old + n] = new + l.columns.count }
        self.inputs = [l, r]
        (self.map, self.leftMap, self.rightMap) = (map, leftMap, rightMap)
    }

    func left(_ i: Int) -> Int { leftMap[i]! }
    func right(_ i: Int) -> Int { rightMap[i]! }
    func moved(_ expr: Expr) -> Expr { expr.mapColumns { map[$0]! } }

    func columns(_ kind: JoinKind) -> [PlanColumn] {
        KeyedSides(left: inputs[0], right: inputs[1], leftKeys: [], rightKeys: [], leftWidth: 0, rightWidth: 0).columns(kind)
    }

    /// Conditions over the output that hold just as well over an input: those of a side whose rows never come with nulls instead.
    static func pushed(_ conditions: [Expr], _ kind: JoinKind, width: Int) -> (below: [[Expr]], above: [Expr]) {
        var below: [[Expr]] = [[], []], above: [Expr] = []
        for condition in conditions {
            let columns = condition.columns
            if columns.isEmpty || !condition.isDeterministic {
                above.append(condition)
            } else if !kind.keepsRight, columns.allSatisfy({ $0 < width }) {
                below[0].append(condition)
            } else if !kind.keepsLeft, !kind.isLeftOnly, columns.allSatisfy({ $0 >= width }) {
                below[1].append(condition.mapColumns { $0 - width })
            } else {
                above.append(condition)
            }
        }
        return (below, above)
    }
}
