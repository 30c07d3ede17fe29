import StreamCore

/// Which statement it is, and those that run something: queries, INSERT, EXPLAIN, SET.
extension TokenParser {
    mutating func statement() throws -> Statement {
        try enter()
        defer { leave() }
        let start = token.start
        let node = try statementNode()
        let end = consumedEnd
        return Statement(node, span: source.span(start, end), text: source.slice(start, end), source: source)
    }

    private mutating func statementNode() throws -> Statement.Node {
        if startsQuery || isSymbol("(") { return .query(try query()) }
        guard token.kind == .word else { throw expected("a statement") }
        let start = token
        switch token.upper {
        case "CREATE": return try create()
        case "DROP": return try drop()
        case "SHOW": return try show()
        case "DESCRIBE", "DESC": return try describe()
        case "EXPLAIN": return try explain()
        case "SET":
            advance()
            if atEnd || isSymbol(";") { return .showSettings }
            let key = try settingKey("SET 'key' = 'value'")
            try expect("=", " after the key \(key)")
            return .set(key: key, value: try string("the value"))
        case "RESET":
            advance()
            if atEnd || isSymbol(";") { return .reset(key: nil) }
            return .reset(key: try settingKey("RESET 'key'"))
        case "INSERT": return .insert(try insert())
        case "EXECUTE":
            advance()
            if isWord("STATEMENT") { return try statementSet(begin: true) }
            if isWord("INSERT") { return .insert(try insert()) }
            if startsQuery { return .query(try query()) }
            if isWord("PLAN") { throw unsupported("EXECUTE PLAN", fix: "run the INSERT itself; a checkpoint keeps a job's state") }
            throw expected("STATEMENT SET, INSERT or SELECT after EXECUTE", near: ["STATEMENT", "INSERT", "SELECT"])
        case "BEGIN":
            advance()
            return try statementSet(begin: false)
        case "END":
            throw source.error(.parse, "END has no BEGIN", fix: "open the set with EXECUTE STATEMENT SET BEGIN", at: span)
        case "HELP":
            advance()
            return .help
        case "QUIT", "EXIT":
            advance()
            return .quit
        case "ALTER": return .catalog(try alter())
        case "USE": return .catalog(try use())
        case "REPLACE": return try create()
        case "ADD", "REMOVE": return .catalog(try jar())
        case "LOAD", "UNLOAD": return .catalog(try module())
        case "STOP":
            let at = span
            advance()
            try expectWord("JOB")
            let id = try string("the id of a job, as SHOW JOBS gives it,")
            let savepoint = acceptWord("WITH", "SAVEPOINT"), drain = acceptWord("WITH", "DRAIN")
            return .catalog(.stopJob(id, savepoint: savepoint, drain: drain, at))
        case "TRUNCATE", "DELETE", "UPDATE", "ANALYZE": return .catalog(try maintenance())
        case let word where Keywords.foreignStatements[word] != nil:
            throw source.error(
                .plan, "not supported yet: \(word)", fix: Keywords.foreignStatements[word], at: source.span(start.start, start.end))
        default:
            throw expected("a statement", near: Keywords.statements)
        }
    }

    /// ADD JAR, REMOVE JAR.
    private mutating func jar() throws -> CatalogStatement {
        let start = token.start
        advance()
        try expectWord("JAR")
        let at = span, isQuoted = source.slice(token.start, token.end).hasSuffix("'")
        let path = try string("the path of the JAR")
        // Another statement may stand behind the path in its line.
        if !isQuoted, path.contains(where: \.isWhitespace) {
            throw source.error(.parse, "expected \";\" behind the path of the JAR, found \"\(path)\"", fix: "end the statement with \";\", or put a path with blanks into single quotes", at: at)
        }
        return .idle(source.slice(start, consumedEnd), reason: "there is no JVM to load it; connectors and formats are built in")
    }

    /// LOAD MODULE name [WITH (...)], UNLOAD MODULE name.
    private mutating func module() throws -> CatalogStatement {
        let start = token.start, isLoad = token.upper == "LOAD"
        advance()
        try expectWord("MODULE")
        _ = try name("the name of a module")
        if isLoad, acceptWord("WITH") { _ = try options(" after WITH") }
        return .idle(source.slice(start, consumedEnd), reason: Self.modules)
    }

    static let modules = "all built-in functions are there, and none of other modules"

    private mutating func settingKey(_ form: String) throws -> String {
        guard token.kind == .string else {
            throw source.error(.parse, "expected a key in single quotes, found \(found)", fix: "write \(form)", at: span)
        }
        return try string("the key")
    }

    // MARK: EXPLAIN

    private mutating func explain() throws -> Statement.Node {
        advance()
        var details: Set<ExplainDetail> = []
        if acceptWord("DOT") || acceptWord("GRAPHVIZ") { details = [.graphviz] }
        if !acceptWord("PLAN", "FOR"), let first = detail() {
            details.insert(first)
            while accept(",") {
                guard let next = detail() else {
                    throw expected("a detail of EXPLAIN after the \",\"", near: ExplainDetail.allCases.map(\.rawValue))
                }
                details.insert(next)
            }
        }
        let explained = ["INSERT", "EXECUTE", "BEGIN", "STATEMENT"].contains { isWord($0) }
        guard startsQuery || isSymbol("(") || explained else {
            throw expected(
                "SELECT, INSERT or STATEMENT SET after EXPLAIN",
                near: ["SELECT", "INSERT", "EXECUTE", "WITH", "VALUES", "DOT", "PLAN"] + ExplainDetail.allCases.map(\.rawValue))
        }
        if isWord("STATEMENT") {
            let start = token.start
            let set = try statementSet(begin: true)
            return .explain(
                Statement(set, span: source.span(start, consumedEnd), text: source.slice(start, consumedEnd), source: source),
                details: details)
        }
        return .explain(try statement(), details: details)
    }

    private mutating func detail() -> ExplainDetail? {
        ExplainDetail.allCases.first { $0 != .graphviz && acceptWord($0.rawValue) }
    }

    // MARK: INSERT

    private mutating func insert() throws -> Insert {
        let start = token.start
        try expectWord("INSERT")
        let overwrite = acceptWord("OVERWRITE")
        if !overwrite {
            guard acceptWord("INTO") else { throw expected("INTO or OVERWRITE after INSERT", near: ["INTO", "OVERWRITE"]) }
        }
        let target = try qualifiedName("the table to insert into")
        let hints = try tableHints()
        let partition = acceptWord("PARTITION") ? try partitionSpec() : nil
        var columns: [String]?
        if isSymbol("("), !["SELECT", "WITH", "VALUES", "TABLE"].contains(where: { isWord($0, ahead: 1) }), !isSymbol("(", ahead: 1) {
            columns = try nameList("column")
        }
        guard startsQuery || isSymbol("(") else { throw expected("SELECT, VALUES or WITH", near: ["SELECT", "VALUES", "WITH"]) }
        let query = try query()
        try conflictStrategy()
        var insert = Insert(target: target, columns: columns, query: query, overwrite: overwrite, span: source.span(start, consumedEnd))
        insert.hints = hints
        insert.partition = partition
        return insert
    }

    /// ON CONFLICT DO DEDUPLICATE: what is done anyway where rows of several upsert keys of the query meet in one key of the sink.
    private mutating func conflictStrategy() throws {
        guard acceptWord("ON") else { return }
        try expectWord("CONFLICT", "DO")
        for strategy in ["ERROR", "NOTHING"] where isWord(strategy) {
            throw unsupported("ON CONFLICT DO \(strategy)", fix: "write ON CONFLICT DO DEDUPLICATE: the newest row of a key holds")
        }
        guard acceptWord("DEDUPLICATE") else { throw expected("DEDUPLICATE after ON CONFLICT DO", near: ["DEDUPLICATE", "ERROR", "NOTHING"]) }
    }

    /// [EXECUTE] STATEMENT SET BEGIN insert; ... END, or BEGIN STATEMENT SET; insert; ... END
    private mutating func statementSet(begin: Bool) throws -> Statement.Node {
        let at = span
        try expectWord("STATEMENT", "SET")
        if begin { try expectWord("BEGIN") } else { try expect(";", " after BEGIN STATEMENT SET") }
        var inserts: [Insert] = []
        while !acceptWord("END") {
            guard isWord("INSERT") else { throw expected("INSERT or END in the statement set", near: ["INSERT", "END"]) }
            inserts.append(try insert())
            try endOfStatement()
            while accept(";") {}
        }
        guard !inserts.isEmpty else {
            throw source.error(.parse, "the statement set is empty", fix: "put at least one INSERT between BEGIN and END", at: at)
        }
        return .statementSet(inserts)
    }
}
