import StreamCore
import StreamExpressions

/// MATCH_RECOGNIZE: rows of a key in the order of their time, searched for a pattern. Output columns: keys, then measures; a row a match.
public struct MatchSpec: Sendable {
    /// A variable of the pattern and how many rows, one behind the other, it takes.
    public struct Element: Sendable, Hashable {
        public var variable: Int, minimum: Int
        /// nil = any number.
        public var maximum: Int?
        public var isGreedy: Bool

        public init(variable: Int, minimum: Int, maximum: Int?, isGreedy: Bool) {
            (self.variable, self.minimum, self.maximum, self.isGreedy) = (variable, minimum, maximum, isGreedy)
        }
    }

    /// A column of a row of the match: the one `offset` rows from the last or the first that a variable took. Null when there is none.
    public struct Navigation: Sendable, Hashable {
        /// nil = rows of all variables.
        public var variable: Int?
        public var fromLast: Bool, offset: Int, column: Int

        public init(variable: Int?, fromLast: Bool, offset: Int, column: Int) {
            (self.variable, self.fromLast, self.offset, self.column) = (variable, fromLast, offset, column)
        }
    }

    /// An aggregate of the rows that a variable took.
    public struct Aggregate: Sendable, Hashable {
        public var variable: Int?
        public var call: AggregateCall
        public init(variable: Int?, call: AggregateCall) { (self.variable, self.call) = (variable, call) }
    }

    /// What a row must fulfil to be taken by a variable.
    public enum Condition: Sendable {
        /// Over the input's columns.
        case row(Expr)
        /// Over the values of ``navigations`` and then ``aggregates``, the row counting as taken.
        case history(Expr)
    }

    /// Where the search goes on after a match.
    public enum Skip: Sendable, Hashable { case pastLastRow, toNextRow, toFirst(Int), toLast(Int) }

    public var inputSchema: Schema
    public var keys: [Int]
    /// A TIMESTAMP(0...3) or TIMESTAMP_LTZ(0...3) column; nil = rows are searched as they arrive.
    public var timeColumn: Int?
    /// The order of rows of one time.
    public var order: [SortSpec.Key]
    public var variables: [String]
    public var pattern: [Element]
    /// By variable; nil = any row.
    public var conditions: [Condition?]
    public var navigations: [Navigation]
    public var aggregates: [Aggregate]
    /// Over the values of ``navigations`` and then ``aggregates``.
    public var measures: [Expr]
    public var skip: Skip
    /// Milliseconds from its first row within which a match must end.
    public var within: Int64?
    public var outputSchema: Schema

    public init(inputSchema: Schema, keys: [Int], timeColumn: Int?, order: [SortSpec.Key], variables: [String], pattern: [Element],
                conditions: [Condition?], navigations: [Navigation], aggregates: [Aggregate], measures: [Expr], skip: Skip, within: Int64?,
                outputSchema: Schema) {
        self.inputSchema = inputSchema
        self.keys = keys
        self.timeColumn = timeColumn
        self.order = order
        self.variables = variables
        self.pattern = pattern
        self.conditions = conditions
        self.navigations = navigations
        self.aggregates = aggregates
        self.measures = measures
        self.skip = skip
        self.within = within
        self.outputSchema = outputSchema
    }
}

extension Operators {
    /// MATCH_RECOGNIZE over inserts. Its input must be partitioned by the keys.
    public static func match(_ spec: MatchSpec, context: EvaluationContext) -> Factory {
        keyed { try MatchOperator(spec, context) }
    }
}
