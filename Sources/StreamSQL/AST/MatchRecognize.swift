/// MATCH_RECOGNIZE (...) behind a table.
public struct MatchRecognize: Sendable {
    /// A variable of PATTERN with its quantifier.
    public struct Element: Sendable {
        public var variable: String, minimum: Int
        /// nil = any number.
        public var maximum: Int?
        public var isGreedy: Bool, span: SourceSpan

        public init(variable: String, minimum: Int = 1, maximum: Int? = 1, isGreedy: Bool = true, span: SourceSpan) {
            self.variable = variable
            self.minimum = minimum
            self.maximum = maximum
            self.isGreedy = isGreedy
            self.span = span
        }
    }

    /// AFTER MATCH SKIP ...
    public enum Skip: Sendable { case pastLastRow, toNextRow, toFirst(String), toLast(String) }

    public var partitionBy: [SyntaxExpr] = []
    public var orderBy: [OrderItem] = []
    public var measures: [Select.Item] = []
    /// nil = not written.
    public var skip: Skip?
    public var pattern: [Element] = []
    /// WITHIN INTERVAL ...
    public var within: SyntaxExpr?
    public var define: [(variable: String, condition: SyntaxExpr, span: SourceSpan)] = []
    public var span: SourceSpan

    public init(span: SourceSpan) { self.span = span }
}
