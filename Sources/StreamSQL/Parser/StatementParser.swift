import StreamCore

/// Statements other than CREATE TABLE.
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
        case "DESCRIBE", "DESC":
            advance()
            _ = acceptWord("EXTENDED")
            return .describe(try qualifiedName("a table"))
        case "EXPLAIN": return try explain()
        case "SET":
            advance()
            if atEnd || isSymbol(";") { return .showSettings }
            let key = try settingKey("SET 'key' = 'value'")
            try expect("=", " after the key")
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
            if isWord("PLAN") { throw unsupported("EXECUTE PLAN") }
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
        case let word where Keywords.foreignStatements.contains(word):
            throw source.error(.plan, "\(word) statements are not supported", at: source.span(start.start, start.end))
        default:
            throw expected("a statement", near: Keywords.statements)
        }
    }

    private mutating func settingKey(_ form: String) throws -> String {
        guard token.kind == .string else {
            throw source.error(.parse, "expected a key in single quotes, found \(found)", fix: "write \(form)", at: span)
        }
        return try string("the key")
    }

    // MARK: CREATE, DROP

    private mutating func create() throws -> Statement.Node {
        let start = token.start
        try expectWord("CREATE")
        if isWords("OR", "REPLACE") || isWords("OR", "ALTER") {
            throw unsupported("CREATE OR REPLACE", fix: "write DROP ... IF EXISTS, then CREATE")
        }
        let temporary = acceptWord("TEMPORARY")
        if isWord("SYSTEM") { throw unsupported("CREATE TEMPORARY SYSTEM FUNCTION") }
        if acceptWord("TABLE") { return .createTable(try createTable(start, temporary: temporary)) }
        if acceptWord("VIEW") {
            let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
            let name = try qualifiedName("the name of the view")
            let columns = isSymbol("(") ? try nameList("column") : nil
            if acceptWord("COMMENT") { _ = try string("a comment") }
            try expectWord("AS")
            guard startsQuery || isSymbol("(") else { throw expected("a query after AS", near: ["SELECT", "WITH", "VALUES"]) }
            let query = try query()
            return .createView(
                name: name, columns: columns, query: query, temporary: temporary, ifNotExists: ifNotExists,
                text: source.slice(query.span.start, query.span.end))
        }
        for other in ["FUNCTION", "CATALOG", "DATABASE", "MATERIALIZED", "MODEL", "CONNECTION"] where isWord(other) {
            throw unsupported("CREATE \(other)")
        }
        throw expected("TABLE or VIEW after CREATE", near: ["TABLE", "VIEW", "TEMPORARY"])
    }

    private mutating func drop() throws -> Statement.Node {
        advance()
        _ = acceptWord("TEMPORARY")
        for kind in ["TABLE", "VIEW"] where acceptWord(kind) {
            let ifExists = acceptWord("IF", "EXISTS")
            return .drop(kind: kind, name: try qualifiedName("the name of the \(kind.lowercased())"), ifExists: ifExists)
        }
        for other in ["FUNCTION", "CATALOG", "DATABASE", "MATERIALIZED", "MODEL"] where isWord(other) { throw unsupported("DROP \(other)") }
        throw expected("TABLE or VIEW after DROP", near: ["TABLE", "VIEW", "TEMPORARY"])
    }

    // MARK: SHOW, EXPLAIN

    private mutating func show() throws -> Statement.Node {
        advance()
        if acceptWord("TABLES") { return .showTables }
        if acceptWord("VIEWS") { return .showViews }
        if acceptWord("FUNCTIONS") { return .showFunctions }
        if acceptWord("CREATE") {
            if isWord("VIEW") { throw unsupported("SHOW CREATE VIEW", fix: "use SHOW CREATE TABLE with the name of the view") }
            try expectWord("TABLE")
            return .showCreateTable(try qualifiedName("a table"))
        }
        for other in [
            "CATALOGS", "CURRENT", "DATABASES", "COLUMNS", "PARTITIONS", "MODULES", "JARS", "JOBS", "FULL", "USER", "PROCEDURES", "MODELS",
        ]
        where isWord(other) {
            throw unsupported("SHOW \(other)", fix: "use SHOW TABLES, SHOW VIEWS, SHOW FUNCTIONS or SHOW CREATE TABLE")
        }
        throw expected("TABLES, VIEWS, FUNCTIONS or CREATE TABLE after SHOW", near: ["TABLES", "VIEWS", "FUNCTIONS", "CREATE"])
    }

    private mutating func explain() throws -> Statement.Node {
        advance()
        let graphviz = acceptWord("DOT") || acceptWord("GRAPHVIZ")
        _ = acceptWord("PLAN", "FOR")
        for detail in ["ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE"] where isWord(detail) {
            throw unsupported("EXPLAIN \(detail)", fix: "write EXPLAIN, or EXPLAIN DOT for a Graphviz drawing")
        }
        let explained = ["INSERT", "EXECUTE", "BEGIN", "STATEMENT"].contains { isWord($0) }
        guard startsQuery || isSymbol("(") || explained else {
            throw expected(
                "SELECT, INSERT or STATEMENT SET after EXPLAIN",
                near: ["SELECT", "INSERT", "EXECUTE", "WITH", "VALUES", "DOT", "GRAPHVIZ", "PLAN"])
        }
        if isWord("STATEMENT") {
            let start = token.start
            let set = try statementSet(begin: true)
            return .explain(
                Statement(set, span: source.span(start, consumedEnd), text: source.slice(start, consumedEnd), source: source),
                graphviz: graphviz)
        }
        return .explain(try statement(), graphviz: graphviz)
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
        if token.kind == .hint { throw unsupported("a hint on the target of INSERT", fix: "put the options into CREATE TABLE") }
        if isWord("PARTITION") { throw unsupported("INSERT ... PARTITION (...)", fix: "select the partition columns as the last columns") }
        var columns: [String]?
        if isSymbol("("), !["SELECT", "WITH", "VALUES", "TABLE"].contains(where: { isWord($0, ahead: 1) }), !isSymbol("(", ahead: 1) {
            columns = try nameList("column")
        }
        guard startsQuery || isSymbol("(") else { throw expected("SELECT, VALUES or WITH", near: ["SELECT", "VALUES", "WITH"]) }
        let query = try query()
        return Insert(target: target, columns: columns, query: query, overwrite: overwrite, span: source.span(start, consumedEnd))
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
