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
    /// Over ``columns``; a row for which it is not true counts as not given.
    public var condition: Expr?
    /// The input's, then the function's.
    public var columns: [PlanColumn]

    public init(function: RowFunction, arguments: [Expr], kind: JoinKind, condition: Expr? = nil, columns: [PlanColumn]) {
        self.function = function
        self.arguments = arguments
        self.kind = kind
        self.condition = condition
        self.columns = columns
    }

    public func title(_ inputs: [[PlanColumn]]) -> String {
        var text = "\(function.name)(" + arguments.map { ExprText.of($0, inputs[0]) }.joined(separator: ", ") + ")"
        text += " as " + columns[inputs[0].count...].map(\.name).joined(separator: ", ")
        if let condition { text += " where " + ExprText.of(condition, columns) }
        return "Correlate(\(kind.rawValue) \(text))"
    }

    public func mappingExpressions(_ map: (Expr) -> Expr) -> any PlanStep {
        var copy = self
        copy.arguments = arguments.map(map)
        copy.condition = condition.map(map)
        return copy
    }

    public func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        builder.addStep(
            title(inputs.map(\.columns)), after: inputs[0], .forward, columns,
            Operators.correlate(
                CorrelateSpec(inputSchema: inputs[0].columns.map(\.field), function: function, arguments: arguments, keepsUnmatched: kind == .left,
                              condition: condition, outputSchema: columns.map(\.field)), builder.evaluation))
    }
}
