import StreamCore

/// The cursor over the tokens, and how it complains. The grammar is in the extensions of this type.
struct TokenParser {
    /// Deeper nesting would risk the stack, here or in the binder.
    static let depthMax = 128
    /// Longest run of operators, set operations or joins, each of which nests the tree one level.
    static let chainMax = 256

    let source: SourceText
    private let tokens: [Token]
    private(set) var index = 0
    private var depth = 0
    /// Where an alias without AS was read, and the keywords it may be a misspelling of.
    private var bareAlias: (index: Int, near: [String])?
    /// Whether any SELECT can have a WINDOW clause: spares looking ahead for it.
    let hasWindowClause: Bool
    /// WINDOW clauses of the SELECTs being read, innermost last.
    var namedWindows: [[String: OverWindow]] = []

    init(_ source: SourceText) throws {
        self.source = source
        var lexer = Lexer(source)
        tokens = try lexer.tokens()
        hasWindowClause = tokens.contains { $0.kind == .word && $0.upper == "WINDOW" }
    }

    // MARK: Looking

    var token: Token { tokens[index] }
    func token(ahead: Int) -> Token { tokens[min(index + ahead, tokens.count - 1)] }
    var atEnd: Bool { token.kind == .end }
    /// End of the last consumed token.
    var consumedEnd: Int { index == 0 ? 0 : tokens[index - 1].end }

    func isWord(_ word: String, ahead: Int = 0) -> Bool {
        let token = token(ahead: ahead)
        return token.kind == .word && token.upper == word
    }

    func isSymbol(_ symbol: String, ahead: Int = 0) -> Bool {
        let token = token(ahead: ahead)
        return token.kind == .symbol && token.text == symbol
    }

    func isWords(_ words: String...) -> Bool { words.enumerated().allSatisfy { isWord($1, ahead: $0) } }

    // MARK: Consuming

    mutating func advance() { if index < tokens.count - 1 { index += 1 } }
    mutating func jump(to index: Int) { self.index = index }

    mutating func accept(_ symbol: String) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func acceptWord(_ words: String...) -> Bool {
        guard words.enumerated().allSatisfy({ isWord($1, ahead: $0) }) else { return false }
        for _ in words { advance() }
        return true
    }

    mutating func expect(_ symbol: String, _ context: String = "") throws {
        guard accept(symbol) else { throw expected("\"\(symbol)\"" + context) }
    }

    mutating func expectWord(_ words: String...) throws {
        for word in words {
            guard acceptWord(word) else { throw expected(word, near: [word]) }
        }
    }

    mutating func enter() throws {
        depth += 1
        if depth > Self.depthMax {
            throw source.error(
                .parse, "the nesting is deeper than \(Self.depthMax) levels", fix: "move the inner part into a view or WITH query",
                at: span)
        }
    }

    mutating func leave() { depth -= 1 }

    func checkChain(_ length: Int, _ what: String) throws {
        if length > Self.chainMax {
            throw source.error(
                .parse, "more than \(Self.chainMax) \(what) follow one another", fix: "split them with parentheses or views", at: span)
        }
    }

    // MARK: Names and literals

    var isName: Bool { token.kind == .quoted || (token.kind == .word && !Keywords.reserved.contains(token.upper)) }

    /// One identifier; a reserved word must be in backticks.
    mutating func name(_ what: String) throws -> String {
        guard isName else {
            if token.kind == .word { throw reserved() }
            throw expected(what)
        }
        defer { advance() }
        return token.text
    }

    mutating func qualifiedName(_ what: String) throws -> QualifiedName {
        let start = token.start
        var parts = [try name(what)]
        while isSymbol("."), !isSymbol("*", ahead: 1) {
            advance()
            parts.append(try name("a name after the \".\""))
            try checkChain(parts.count, "names")
        }
        return QualifiedName(parts, span: source.span(start, consumedEnd))
    }

    /// (a, b, c)
    mutating func nameList(_ what: String) throws -> [String] {
        try expect("(", " before the list of \(what)s")
        var names = [try name("a \(what)")]
        while accept(",") { names.append(try name("a \(what)")) }
        try expect(")", " or \",\" in the list of \(what)s")
        return names
    }

    mutating func string(_ what: String) throws -> String {
        guard token.kind == .string else { throw expected("\(what) in single quotes") }
        defer { advance() }
        return token.text
    }

    mutating func integer(_ what: String) throws -> Int {
        guard token.kind == .integer, let value = Int(token.text) else { throw expected("\(what), a whole number") }
        advance()
        return value
    }

    /// [AS] alias; `near`: keywords that a bare alias may be a misspelling of.
    mutating func alias(near: [String]) throws -> String? {
        if acceptWord("AS") { return try name("an alias after AS") }
        guard isName else { return nil }
        bareAlias = token.kind == .word ? (index, near) : nil
        defer { advance() }
        return token.text
    }

    // MARK: Complaining

    var span: SourceSpan { source.span(token.start, token.end) }

    var found: String { atEnd ? "the end of the text" : "\"\(source.slice(token.start, token.end))\"" }

    /// "expected X, found Y", or the keyword that was meant when the last bare alias or this token looks like one.
    func expected(_ what: String, near: [String] = []) -> StreamError {
        if let bareAlias, bareAlias.index == index - 1, !isSymbol(";"), !isSymbol(")"), !atEnd,
            let meant = Self.misspelled(tokens[index - 1].upper, of: bareAlias.near)
        {
            let wrong = tokens[index - 1]
            return source.error(
                .parse, "\"\(wrong.text)\" is not a keyword", fix: "write \"\(meant)\"", at: source.span(wrong.start, wrong.end))
        }
        if token.kind == .word, !near.contains(token.upper), let meant = Self.misspelled(token.upper, of: near) {
            return source.error(.parse, "expected \(what), found \(found)", fix: "write \"\(meant)\"", at: span)
        }
        return source.error(.parse, "expected \(what), found \(found)", fix: reservedFix, at: span)
    }

    func reserved() -> StreamError {
        let word = token.text
        if Keywords.clauses.contains(token.upper) {
            return source.error(.parse, "expected a name, found \(found)", fix: reservedFix, at: span)
        }
        return source.error(.parse, "\"\(word)\" is a reserved word", fix: reservedFix, at: span)
    }

    /// Something follows where the text should end.
    func unexpectedRest(single: Bool = false) -> StreamError {
        if token.kind == .word, Keywords.statements.contains(token.upper), index > 0 {
            if single {
                return source.error(.parse, "expected the end of the text, found \(found)", fix: "write one statement only", at: span)
            }
            return source.error(.parse, "expected \";\", found \(found)", fix: "end the statement before it with \";\"", at: span)
        }
        return expected(
            "the end of the statement",
            near: ["WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "UNION", "WINDOW", "OFFSET", "FETCH", "JOIN", "FROM", "WITH", "AS"])
    }

    mutating func endOfStatement() throws {
        if !accept(";") { throw unexpectedRest() }
    }

    func unsupported(_ what: String, fix: String? = nil) -> StreamError {
        source.error(.plan, "not supported yet: \(what)", fix: fix, at: span)
    }

    private var reservedFix: String? {
        guard token.kind == .word, Keywords.reserved.contains(token.upper), !Keywords.clauses.contains(token.upper) else { return nil }
        return "write `\(token.text)` in backticks if it is meant as a name"
    }

    /// A keyword within one or two edits of the word.
    static func misspelled(_ word: String, of keywords: [String]) -> String? {
        word.count < 3 ? nil : NearName.nearest(to: word, in: keywords)
    }
}
