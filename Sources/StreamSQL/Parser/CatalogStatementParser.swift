import StreamCore

/// CREATE, DROP, USE, DESCRIBE and SHOW.
extension TokenParser {
    // MARK: CREATE

    /// CREATE ..., or REPLACE TABLE.
    mutating func create() throws -> Statement.Node {
        let start = token.start
        var orReplace = false
        if acceptWord("REPLACE") {
            try expectWord("TABLE")
            var table = try createTable(start, temporary: false)
            table.replace = true
            return .createTable(try checkedReplacement(table))
        }
        try expectWord("CREATE")
        if isWords("OR", "ALTER") { throw unsupported("CREATE OR ALTER", fix: "write CREATE, or ALTER") }
        if acceptWord("OR", "REPLACE") { orReplace = true }
        let temporary = acceptWord("TEMPORARY")
        let system = acceptWord("SYSTEM")
        if system, !isWord("FUNCTION") { throw expected("FUNCTION after SYSTEM", near: ["FUNCTION"]) }
        if acceptWord("TABLE") {
            var table = try createTable(start, temporary: temporary)
            guard orReplace else { return .createTable(table) }
            table.orReplace = true
            return .createTable(try checkedReplacement(table))
        }
        if acceptWord("VIEW") { return .createView(try createView(temporary: temporary, orReplace: orReplace)) }
        if orReplace { throw unsupported("CREATE OR REPLACE \(token.upper)", fix: "write DROP \(token.upper) IF EXISTS, then CREATE") }
        if acceptWord("FUNCTION") { return .catalog(.createFunction(try function(start, temporary: temporary, system: system, altering: false))) }
        if acceptWord("CATALOG") {
            let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
            let name = try qualifiedName("the name of the catalog")
            let comment = acceptWord("COMMENT") ? try string("the comment") : nil
            return .catalog(
                .createCatalog(name, ifNotExists: ifNotExists, comment: comment, options: acceptWord("WITH") ? try options(" after WITH") : []))
        }
        if acceptWord("DATABASE") {
            let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
            let name = try qualifiedName("the name of the database")
            let comment = acceptWord("COMMENT") ? try string("the comment") : nil
            return .catalog(
                .createDatabase(name, ifNotExists: ifNotExists, comment: comment, options: acceptWord("WITH") ? try options(" after WITH") : []))
        }
        if isWord("MATERIALIZED") { throw unsupported("CREATE MATERIALIZED TABLE", fix: "write CREATE TABLE ... AS SELECT, which starts the job") }
        for other in ["MODEL", "CONNECTION"] where isWord(other) { throw unsupported("CREATE \(other)", fix: "use a function: CREATE FUNCTION") }
        throw expected(
            "TABLE, VIEW, FUNCTION, CATALOG or DATABASE after CREATE", near: ["TABLE", "VIEW", "TEMPORARY", "FUNCTION", "CATALOG", "DATABASE"])
    }

    private func checkedReplacement(_ table: CreateTable) throws -> CreateTable {
        let form = table.replace ? "REPLACE TABLE" : "CREATE OR REPLACE TABLE"
        if table.asQuery == nil {
            throw source.error(
                .plan, "not supported yet: \(form) without AS SELECT", fix: "write DROP TABLE IF EXISTS, then CREATE TABLE", at: table.span)
        }
        if table.ifNotExists {
            throw source.error(.parse, "\(form) and IF NOT EXISTS exclude each other", fix: "keep one of them", at: table.span)
        }
        return table
    }

    private mutating func createView(temporary: Bool, orReplace: Bool) throws -> CreateView {
        let at = span
        let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
        if ifNotExists, orReplace { throw source.error(.parse, "OR REPLACE and IF NOT EXISTS exclude each other", fix: "keep one of them", at: at) }
        let name = try qualifiedName("the name of the view")
        let columns = isSymbol("(") ? try nameList("column") : nil
        let comment = acceptWord("COMMENT") ? try string("a comment") : nil
        try expectWord("AS")
        let (query, text) = try viewQuery()
        var view = CreateView(name: name, columns: columns, comment: comment, query: query, text: text)
        (view.temporary, view.ifNotExists, view.orReplace) = (temporary, ifNotExists, orReplace)
        return view
    }

    /// The query of a view, from behind the word AS.
    mutating func viewQuery() throws -> (Query, String) {
        guard startsQuery || isSymbol("(") else { throw expected("a query after AS", near: ["SELECT", "WITH", "VALUES"]) }
        let start = token.start
        let query = try query()
        return (query, source.slice(start, consumedEnd))
    }

    private static let languages = ["JAVA", "SCALA", "PYTHON", "SWIFT"]

    /// name AS 'identifier' [LANGUAGE x] [USING JAR|FILE '...', ...], from behind the word FUNCTION.
    mutating func function(_ start: Int, temporary: Bool, system: Bool, altering: Bool) throws -> FunctionDefinition {
        let isConditional = altering ? acceptWord("IF", "EXISTS") : acceptWord("IF", "NOT", "EXISTS")
        let name = try qualifiedName("the name of the function")
        try expectWord("AS")
        var definition = FunctionDefinition(name: name, identifier: try string("what implements the function"), span: name.span)
        (definition.temporary, definition.system, definition.isConditional) = (temporary, system, isConditional)
        if acceptWord("LANGUAGE") {
            guard token.kind == .word, Self.languages.contains(token.upper) else {
                throw expected("JAVA, SCALA, PYTHON or SWIFT after LANGUAGE", near: Self.languages)
            }
            definition.language = token.upper
            advance()
        }
        if acceptWord("USING") {
            repeat {
                let kind = token.upper
                guard acceptWord("JAR") || acceptWord("FILE") || acceptWord("ARTIFACT") else {
                    throw expected("JAR or FILE after USING", near: ["JAR", "FILE"])
                }
                definition.resources.append(.init(kind: kind, path: try string("a path")))
            } while accept(",")
        }
        if acceptWord("WITH") { throw unsupported("WITH options of a function", fix: "remove them") }
        definition.span = source.span(start, consumedEnd)
        return definition
    }

    // MARK: DROP, USE

    mutating func drop() throws -> Statement.Node {
        advance()
        let temporary = acceptWord("TEMPORARY")
        let system = acceptWord("SYSTEM")
        if system, !isWord("FUNCTION") { throw expected("FUNCTION after SYSTEM", near: ["FUNCTION"]) }
        for kind in ["TABLE", "VIEW"] where acceptWord(kind) {
            let ifExists = acceptWord("IF", "EXISTS")
            return .drop(kind: kind, name: try qualifiedName("the name of the \(kind.lowercased())"), ifExists: ifExists, temporary: temporary)
        }
        if acceptWord("FUNCTION") {
            let ifExists = acceptWord("IF", "EXISTS")
            return .catalog(.dropFunction(try qualifiedName("the name of the function"), ifExists: ifExists, temporary: temporary, system: system))
        }
        if acceptWord("CATALOG") {
            let ifExists = acceptWord("IF", "EXISTS")
            return .catalog(.dropCatalog(try qualifiedName("the name of the catalog"), ifExists: ifExists))
        }
        if acceptWord("DATABASE") {
            let ifExists = acceptWord("IF", "EXISTS")
            let name = try qualifiedName("the name of the database")
            let cascade = acceptWord("CASCADE")
            if !cascade { _ = acceptWord("RESTRICT") }
            return .catalog(.dropDatabase(name, ifExists: ifExists, cascade: cascade))
        }
        for other in ["MATERIALIZED", "MODEL", "CONNECTION"] where isWord(other) { throw unsupported("DROP \(other)", fix: "use DROP TABLE or DROP FUNCTION") }
        throw expected(
            "TABLE, VIEW, FUNCTION, CATALOG or DATABASE after DROP", near: ["TABLE", "VIEW", "TEMPORARY", "FUNCTION", "CATALOG", "DATABASE"])
    }

    mutating func use() throws -> CatalogStatement {
        advance()
        if acceptWord("CATALOG") { return .useCatalog(try qualifiedName("the name of a catalog")) }
        if isWord("MODULES") {
            let start = token.start
            advance()
            repeat { _ = try name("the name of a module") } while accept(",")
            return .idle("USE " + source.slice(start, consumedEnd), reason: Self.modules)
        }
        return .use(try qualifiedName("the name of a database"))
    }

    // MARK: DESCRIBE, SHOW

    mutating func describe() throws -> Statement.Node {
        advance()
        if isWord("CATALOG"), !isSymbol(";", ahead: 1), !isSymbol(".", ahead: 1), token(ahead: 1).kind != .end {
            advance()
            let extended = acceptWord("EXTENDED")
            return .catalog(.describeCatalog(try qualifiedName("the name of a catalog"), extended: extended))
        }
        if isWord("DATABASE"), !isSymbol(";", ahead: 1), !isSymbol(".", ahead: 1), token(ahead: 1).kind != .end {
            advance()
            let extended = acceptWord("EXTENDED")
            return .catalog(.describeDatabase(try qualifiedName("the name of a database"), extended: extended))
        }
        if acceptWord("FUNCTION") {
            let extended = acceptWord("EXTENDED")
            // Names of built-in functions may be reserved words.
            let at = span, text = token.text
            if token.kind == .word, Keywords.functions.contains(token.upper) {
                advance()
                return .catalog(.describeFunction(QualifiedName([text], span: at), extended: extended))
            }
            return .catalog(.describeFunction(try qualifiedName("the name of a function"), extended: extended))
        }
        if isWord("JOB"), token(ahead: 1).kind == .string { throw unsupported("DESCRIBE JOB", fix: "use swiftwater jobs from the command line") }
        _ = acceptWord("EXTENDED")
        return .describe(try qualifiedName("a table"))
    }

    mutating func show() throws -> Statement.Node {
        advance()
        let subject = try showSubject()
        var filter: NameFilter?
        let negated = isWord("NOT") && (isWord("LIKE", ahead: 1) || isWord("ILIKE", ahead: 1))
        if negated { advance() }
        if isWord("LIKE") || isWord("ILIKE") {
            let ignoresCase = isWord("ILIKE")
            advance()
            filter = NameFilter(pattern: try string("a pattern"), ignoresCase: ignoresCase, negated: negated)
        }
        return .catalog(.show(subject, filter))
    }

    private mutating func showSubject() throws -> ShowSubject {
        if acceptWord("CATALOGS") { return .catalogs }
        if acceptWord("CURRENT") {
            if acceptWord("CATALOG") { return .currentCatalog }
            try expectWord("DATABASE")
            return .currentDatabase
        }
        if acceptWord("DATABASES") { return .databases(in: try place()) }
        if acceptWord("TABLES") { return .tables(in: try place()) }
        if acceptWord("VIEWS") { return .views(in: try place()) }
        if acceptWord("COLUMNS") {
            guard let table = try place() else { throw expected("FROM or IN after SHOW COLUMNS", near: ["FROM", "IN"]) }
            return .columns(table)
        }
        if acceptWord("PARTITIONS") {
            let table = try qualifiedName("a table")
            return .partitions(table, acceptWord("PARTITION") ? try partitionSpec() : nil)
        }
        if acceptWord("USER", "FUNCTIONS") { return .functions(in: try place(), userOnly: true) }
        if acceptWord("FUNCTIONS") { return .functions(in: try place(), userOnly: false) }
        if acceptWord("FULL", "MODULES") { return .modules(full: true) }
        if acceptWord("MODULES") { return .modules(full: false) }
        if acceptWord("JARS") { return .jars }
        if acceptWord("JOBS") { return .jobs }
        if acceptWord("CREATE") {
            if acceptWord("TABLE") { return .createTable(try qualifiedName("a table")) }
            if acceptWord("VIEW") { return .createView(try qualifiedName("a view")) }
            if acceptWord("CATALOG") { return .createCatalog(try qualifiedName("a catalog")) }
            if acceptWord("DATABASE") { return .createDatabase(try qualifiedName("a database")) }
            if isWord("MATERIALIZED") || isWord("MODEL") { throw unsupported("SHOW CREATE \(token.upper)", fix: "use SHOW CREATE TABLE") }
            throw expected("TABLE, VIEW, CATALOG or DATABASE after SHOW CREATE", near: ["TABLE", "VIEW", "CATALOG", "DATABASE"])
        }
        for other in ["PROCEDURES", "MODELS", "MATERIALIZED", "CONNECTIONS"] where isWord(other) {
            throw unsupported("SHOW \(other)", fix: "use SHOW TABLES, SHOW VIEWS or SHOW FUNCTIONS")
        }
        throw expected(
            "TABLES, VIEWS, FUNCTIONS, CATALOGS, DATABASES, COLUMNS, PARTITIONS or CREATE TABLE after SHOW",
            near: ["TABLES", "VIEWS", "FUNCTIONS", "CREATE", "CATALOGS", "DATABASES", "COLUMNS", "PARTITIONS", "CURRENT", "MODULES", "JOBS"])
    }

    /// FROM or IN and a name.
    private mutating func place() throws -> QualifiedName? {
        guard acceptWord("FROM") || acceptWord("IN") else { return nil }
        return try qualifiedName("a name")
    }
}
