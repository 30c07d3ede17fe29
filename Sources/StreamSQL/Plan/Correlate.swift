import StreamCore
import StreamExpressions
import StreamOperators

/// Each input row beside the rows that a table function gives for it: UNNEST, LATERAL TABLE(f(...)), un-nesting paths.
public struct Correlate: PlanStep {
    public var function: RowFunction
    /// Over the input's columns.
    public var arguments: [Expr]
    /// `.inner`, or `.left`: an input row for which there are no rows comes with nulls.
    public var kind: JoinKind
    /// Over the input's columns and, behind them, the function's; a row for which it is not true counts as not given.
    public var condition: Expr?
    /// Numbers of the columns that are given on, as `condition` counts them; nil = all.
    public var output: [Int]?
    /// The columns given on.
    public var columns: [PlanColumn]
    /// Names of all of the function's columns.
    private let names: [String]

    /// - Parameter columns: the input's, then the function's.
    public init(function: RowFunction, arguments: [Expr], kind: JoinKind, condition: Expr? = nil, columns: [PlanColumn]) {
        self.function = function
        self.arguments = arguments
        self.kind = kind
        self.condition = condition
        self.columns = columns
        names = columns.suffix(function.resultTypes.count).map(\.name)
    }

    private func all(_ input: [PlanColumn]) -> [PlanColumn] { input + zip(names, function.resultTypes).map { PlanColumn($0, $1) } }

    public func title(_ inputs: [[PlanColumn]]) -> String {
        var text = "\(function.name)(" + arguments.map { ExprText.of($0, inputs[0]) }.joined(separator: ", ") + ")"
        text += " as " + names.joined(separator: ", ")
        if let condition { text += " where " + ExprText.of(condition, all(inputs[0])) }
        if output != nil { text += ", select " + columns.map(\.name).joined(separator: ", ") }
        return "Correlate(\(kind.rawValue) \(text))"
    }

    // MARK: rewriting

    public func pruned(_ needed: Set<Int>, _ inputs: [LogicalPlan], _ pruning: ColumnPruning) -> (LogicalPlan, [Int: Int]) {
        let width = inputs[0].columns.count
        let sources = output ?? Array(columns.indices)
        let kept = needed.sorted()
        let read = arguments.reduce(condition?.columns ?? []) { $0.union($1.columns) }.union(kept.map { sources[$0] })
        let (below, map) = pruning.prune(inputs[0], read.filter { $0 < width })
        let shift = below.columns.count - width
        func moved(_ i: Int) -> Int { i < width ? map[i]! : i + shift }
        var copy = self
        copy.arguments = arguments.map { $0.mapColumns(moved) }
        copy.condition = condition?.mapColumns(moved)
        copy.columns = kept.map { columns[$0] }
        let output = kept.map { moved(sources[$0]) }
        copy.output = output == Array(0..<below.columns.count + function.resultTypes.count) ? nil : output
        return (.step(copy, [below]), Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1, $0) }))
    }

    /// Conditions over the input alone hold before the function is called, too.
    public func pushed(_ conditions: [Expr], _ inputs: [[PlanColumn]]) -> (below: [[Expr]], above: [Expr]) {
        let width = inputs[0].count
        func isOfInput(_ e: Expr) -> Bool { !e.columns.isEmpty && e.isDeterministic && e.columns.allSatisfy { (output?[$0] ?? $0) < width } }
        let below = conditions.filter(isOfInput).map { condition in condition.mapColumns { output?[$0] ?? $0 } }
        return ([below], conditions.filter { !isOfInput($0) })
    }

    public func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.arguments = arguments.map(map)
        copy.condition = condition.map(map)
        return copy
    }

    // MARK: changelog

    public func needsUpdateBefore(of input: Int, output: Bool, _ inputs: [Modifications]) -> Bool {
        // What belongs to the old row is found through it alone.
        true
    }

    // MARK: running

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .forward, columns,
            Operators.correlate(
                CorrelateSpec(inputSchema: inputs[0].columns.map(\.field), function: function, arguments: arguments, keepsUnmatched: kind == .left,
                              condition: condition, output: output, outputSchema: columns.map(\.field)), builder.evaluation))
    }
}
