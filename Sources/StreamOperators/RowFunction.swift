import StreamCore
import StreamExpressions

/// A function that makes any number of rows of each call.
public struct RowFunction: Sendable {
    public var name: String
    /// Of the rows that it gives.
    public var resultTypes: [DataType]
    public var isDeterministic: Bool
    /// A new instance for one subtask.
    public var make: @Sendable (EvaluationContext) throws -> any RowFunctionInstance

    public init(name: String, resultTypes: [DataType], isDeterministic: Bool = true,
                make: @escaping @Sendable (EvaluationContext) throws -> any RowFunctionInstance) {
        self.name = name
        self.resultTypes = resultTypes
        self.isDeterministic = isDeterministic
        self.make = make
    }
}

/// Makes rows of the calls of a whole batch. One thread at a time.
public protocol RowFunctionInstance: AnyObject {
    /// - Parameters:
    ///   - arguments: a column for each argument, of `count` rows: one call a row.
    /// - Returns: the rows that all calls give, one call's behind the other's, and for each row the number of its call, ascending.
    func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32])
    func close()
}

extension RowFunctionInstance {
    public func close() {}
}

/// See ``Operators/correlate(_:_:)``.
public struct CorrelateSpec: Sendable {
    public var inputSchema: Schema
    public var function: RowFunction
    /// Over the input's columns.
    public var arguments: [Expr]
    /// An input row without any rows comes once, with nulls.
    public var keepsUnmatched: Bool
    /// Over the input's columns and, behind them, the function's.
    public var condition: Expr?
    /// Numbers of the columns that are given on, as `condition` counts them.
    public var output: [Int]
    public var outputSchema: Schema

    /// - Parameter output: nil = all columns.
    public init(inputSchema: Schema, function: RowFunction, arguments: [Expr], keepsUnmatched: Bool, condition: Expr?, output: [Int]? = nil,
                outputSchema: Schema) {
        self.output = output ?? Array(0..<inputSchema.count + function.resultTypes.count)
        self.inputSchema = inputSchema
        self.function = function
        self.arguments = arguments
        self.keepsUnmatched = keepsUnmatched
        self.condition = condition
        self.outputSchema = outputSchema
    }
}
