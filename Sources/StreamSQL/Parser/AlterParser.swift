import StreamCore

/// ALTER, and what maintains the rows of a table: TRUNCATE, DELETE, UPDATE, ANALYZE.
extension TokenParser {
    mutating func alter() throws -> CatalogStatement {
        let start = token.start
        advance()
        if acceptWord("TABLE") {
            let ifExists = acceptWord("IF", "EXISTS")
            let name = try qualifiedName("the name of the table")
            return .alterTable(name, ifExists: ifExists, try tableChange(name))
        }
        if acceptWord("VIEW") {
            let name = try qualifiedName("the name of the view")
            if acceptWord("RENAME") {
                try expectWord("TO")
                return .renameView(name, to: try qualifiedName("the new name"))
            }
            guard acceptWord("AS") else { throw expected("RENAME TO or AS after ALTER VIEW", near: ["RENAME", "AS"]) }
            let (query, text) = try viewQuery()
            return .alterView(name, query, text: text)
        }
        if acceptWord("DATABASE") {
            let name = try qualifiedName("the name of the database")
            try expectWord("SET")
            return .alterDatabase(name, set: try options(" after SET"))
        }
        if acceptWord("CATALOG") {
            let name = try qualifiedName("the name of the catalog")
            if acceptWord("SET") { return .alterCatalog(name, set: try options(" after SET"), reset: [], comment: nil) }
            if acceptWord("RESET") { return .alterCatalog(name, set: [], reset: try optionKeys(), comment: nil) }
            guard acceptWord("COMMENT") else { throw expected("SET, RESET or COMMENT after ALTER CATALOG", near: ["SET", "RESET", "COMMENT"]) }
            return .alterCatalog(name, set: [], reset: [], comment: try string("the comment"))
        }
        let temporary = acceptWord("TEMPORARY")
        let system = acceptWord("SYSTEM")
        if acceptWord("FUNCTION") { return .alterFunction(try function(start, temporary: temporary, system: system, altering: true)) }
        for other in ["MATERIALIZED", "MODEL", "CONNECTION"] where isWord(other) { throw unsupported("ALTER \(other)", fix: "drop it and create it again") }
        throw expected("TABLE, VIEW, DATABASE, CATALOG or FUNCTION after ALTER", near: ["TABLE", "VIEW", "DATABASE", "CATALOG", "FUNCTION"])
    }

    private mutating func tableChange(_ table: QualifiedName) throws -> TableChange {
        if acceptWord("RENAME") {
            if acceptWord("TO") { return .rename(try qualifiedName("the new name")) }
            let from = try name("a column name")
            try expectWord("TO")
            return .renameColumn(from: from, to: try name("the new name"))
        }
        if acceptWord("SET") { return .setOptions(try options(" after SET")) }
        if acceptWord("RESET") { return .resetOptions(try optionKeys()) }
        if acceptWord("RECOVER") {
            try expectWord("PARTITIONS")
            return .recoverPartitions
        }
        if acceptWord("ADD") {
            let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
            if ifNotExists || isWord("PARTITION") {
                let partitions = try partitionList(separated: false)
                return .addPartitions(partitions, ifNotExists: ifNotExists)
            }
            let (elements, positions) = try alteredElements(table)
            return .add(elements, positions: positions)
        }
        if acceptWord("MODIFY") {
            let (elements, positions) = try alteredElements(table)
            return .modify(elements, positions: positions)
        }
        if acceptWord("DROP") {
            let ifExists = acceptWord("IF", "EXISTS")
            if ifExists || isWord("PARTITION") { return .dropPartitions(try partitionList(separated: true), ifExists: ifExists) }
            if acceptWord("PRIMARY", "KEY") { return .dropPrimaryKey }
            if acceptWord("CONSTRAINT") { return .dropConstraint(try name("the name of the constraint")) }
            if acceptWord("WATERMARK") { return .dropWatermark }
            if isWord("DISTRIBUTION") { throw unsupported("DROP DISTRIBUTION", fix: "remove it: no table has a distribution") }
            if isSymbol("(") { return .dropColumns(try nameList("column")) }
            return .dropColumns([try name("a column name, PRIMARY KEY, CONSTRAINT, WATERMARK or PARTITION")])
        }
        throw expected(
            "RENAME, SET, RESET, ADD, MODIFY, DROP or RECOVER PARTITIONS after ALTER TABLE",
            near: ["RENAME", "SET", "RESET", "ADD", "MODIFY", "DROP", "RECOVER"])
    }

    /// PARTITION (...) PARTITION (...), or with commas between.
    private mutating func partitionList(separated: Bool) throws -> [PartitionSpec] {
        var partitions: [PartitionSpec] = []
        repeat {
            try expectWord("PARTITION")
            partitions.append(try partitionSpec())
            if isWord("WITH") { throw unsupported("options of a partition", fix: "remove WITH (...): a partition has those of its table") }
            if accept(",") { continue }
            if separated { break }
        } while isWord("PARTITION")
        return partitions
    }

    /// One element, or several in parentheses.
    private mutating func alteredElements(_ name: QualifiedName) throws -> (CreateTable, [String: ColumnPosition]) {
        var elements = CreateTable(name: name, span: span), keyPlace: SourceSpan?, positions: [String: ColumnPosition] = [:]
        if isWord("DISTRIBUTION") { throw unsupported("a distribution of a table", fix: "remove it") }
        if accept("(") {
            repeat { try alteredElement(&elements, &keyPlace, &positions) } while accept(",")
            try expect(")", " or \",\" in the list of columns")
        } else {
            try alteredElement(&elements, &keyPlace, &positions)
        }
        return (elements, positions)
    }

    // MARK: rows

    mutating func maintenance() throws -> CatalogStatement {
        if acceptWord("TRUNCATE") {
            try expectWord("TABLE")
            return .truncate(try qualifiedName("a table"))
        }
        if acceptWord("DELETE") {
            try expectWord("FROM")
            let table = try qualifiedName("a table")
            return .delete(table, filter: acceptWord("WHERE") ? try expression() : nil)
        }
        if acceptWord("UPDATE") {
            let table = try qualifiedName("a table")
            try expectWord("SET")
            var assignments: [(column: QualifiedName, value: SyntaxExpr)] = []
            repeat {
                let column = try qualifiedName("a column name")
                try expect("=", " after the column")
                assignments.append((column, try expression()))
            } while accept(",")
            return .update(table, assignments, filter: acceptWord("WHERE") ? try expression() : nil)
        }
        advance()
        if acceptWord("TABLES") {
            if acceptWord("FROM") || acceptWord("IN") { _ = try qualifiedName("a database") }
            try expectWord("COMPUTE", "STATISTICS")
            if acceptWord("FOR") { try expectWord("ALL", "COLUMNS") }
            return .analyze(nil)
        }
        try expectWord("TABLE")
        let table = try qualifiedName("a table")
        if acceptWord("PARTITION") { _ = try partitionSpec() }
        try expectWord("COMPUTE", "STATISTICS")
        if acceptWord("FOR"), !acceptWord("ALL", "COLUMNS") {
            try expectWord("COLUMNS")
            repeat { _ = try name("a column name") } while accept(",")
        }
        return .analyze(table)
    }
}
