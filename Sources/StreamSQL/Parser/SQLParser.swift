import StreamCore

/// Turns Flink SQL text into syntax trees. Names are not looked up and types not checked: that is the binder's work.
///
/// Every error is a ``StreamError`` of code `.parse` (or `.plan` for Flink syntax that this engine cannot run) with the
/// line and column in the file, the line itself, and what to write instead.
public struct SQLParser: Sendable {
    public let source: SourceText

    public init(text: String, file: String? = nil) { source = SourceText(text, file: file) }

    /// For SQL inside another document.
    public init(source: SourceText) { self.source = source }

    /// All statements of a script. They are separated by ";"; the last one needs none.
    public func parseScript() throws -> [Statement] {
        var parser = try TokenParser(source)
        var statements: [Statement] = []
        while true {
            while parser.accept(";") {}
            if parser.atEnd { return statements }
            statements.append(try parser.statement())
            if !parser.atEnd { try parser.endOfStatement() }
        }
    }

    /// Exactly one statement; a ";" behind it is allowed.
    public func parseStatement() throws -> Statement {
        try whole { parser in
            let statement = try parser.statement()
            while parser.accept(";") {}
            return statement
        }
    }

    /// Exactly one SELECT, VALUES, WITH or set operation.
    public func parseQuery() throws -> Query {
        try whole { parser in
            guard parser.startsQuery else { throw parser.expected("SELECT, WITH or VALUES", near: ["SELECT", "WITH", "VALUES"]) }
            let query = try parser.query()
            while parser.accept(";") {}
            return query
        }
    }

    /// Exactly one scalar expression.
    public func parseExpression() throws -> SyntaxExpr { try whole { try $0.expression() } }

    /// What stands between SELECT and FROM: expressions with aliases.
    public func parseSelectItems() throws -> [Select.Item] { try whole { try $0.selectItems() } }

    /// A possibly qualified name.
    public func parseName() throws -> QualifiedName { try whole { try $0.qualifiedName("a name") } }

    /// A type with an optional NULL or NOT NULL behind it.
    public func parseType() throws -> (DataType, nullable: Bool) {
        try whole { parser in
            let type = try parser.dataType()
            return (type, try parser.nullability())
        }
    }

    public static func parseType(_ text: String) throws -> (DataType, nullable: Bool) { try SQLParser(text: text).parseType() }

    /// Whether an interactive shell should stop reading lines: the text ends with ";" outside of quotes, comments and
    /// an open statement set, or is a command such as `help` that needs none.
    public static func isComplete(_ text: String) -> Bool {
        var lexer = Lexer(SourceText(text))
        guard let tokens = try? lexer.tokens(), tokens.count > 1 else { return false }
        let words = tokens.map { $0.kind == .word ? $0.upper : $0.text }
        if tokens.count == 2 { return ["HELP", "QUIT", "EXIT", ";"].contains(words[0]) }
        guard words[words.count - 2] == ";" else { return false }
        guard zip(words, words.dropFirst()).contains(where: { $0 == "STATEMENT" && $1 == "SET" }) else { return true }
        // "END" closes it, but so does END of a CASE: only the one between semicolons counts.
        return words.count >= 4 && words[words.count - 3] == "END" && words[words.count - 4] == ";"
    }

    private func whole<T>(_ parse: (inout TokenParser) throws -> T) throws -> T {
        var parser = try TokenParser(source)
        let result = try parse(&parser)
        guard parser.atEnd else { throw parser.unexpectedRest(single: true) }
        return result
    }
}
