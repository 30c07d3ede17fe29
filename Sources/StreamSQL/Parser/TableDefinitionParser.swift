import StreamCore

/// CREATE TABLE.
extension TokenParser {
    /// From behind the word TABLE.
    mutating func createTable(_ start: Int, temporary: Bool) throws -> CreateTable {
        let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
        let name = try qualifiedName("the name of the table")
        var table = CreateTable(name: name, temporary: temporary, ifNotExists: ifNotExists, span: name.span)
        if accept("(") {
            var keyPlace: SourceSpan?
            repeat {
                if isSymbol(")"), !table.columns.isEmpty { throw expected("a column after the \",\"") }
                try tableElement(&table, &keyPlace)
            } while accept(",")
            guard accept(")") else { throw expected("\",\" or \")\" in the list of columns", near: Self.columnWords) }
        }
        if acceptWord("COMMENT") { table.comment = try string("the comment") }
        if isWord("DISTRIBUTED") { throw unsupported("DISTRIBUTED BY", fix: "remove it") }
        if acceptWord("PARTITIONED") {
            try expectWord("BY")
            table.partitionKeys = try nameList("partition column")
        }
        if acceptWord("WITH") { try options(&table) }
        if isWord("LIKE") { throw unsupported("CREATE TABLE ... LIKE", fix: "write the columns and options out") }
        if isWord("AS") {
            throw unsupported("CREATE TABLE ... AS SELECT", fix: "write CREATE TABLE with columns, then INSERT INTO ... SELECT")
        }
        if !atEnd, !isSymbol(";") {
            throw expected("WITH, PARTITIONED BY or the end of CREATE TABLE", near: ["WITH", "PARTITIONED", "COMMENT"])
        }
        table.span = source.span(start, consumedEnd)
        return table
    }

    private static let columnWords = ["METADATA", "PRIMARY", "COMMENT", "VIRTUAL", "NOT", "NULL", "AS"]

    private mutating func tableElement(_ table: inout CreateTable, _ keyPlace: inout SourceSpan?) throws {
        let at = span
        if acceptWord("WATERMARK") {
            try expectWord("FOR")
            let column = try qualifiedName("the time column")
            try expectWord("AS")
            let expr = try expression()
            guard table.watermark == nil else {
                throw source.error(.parse, "the table has two watermarks", fix: "keep one WATERMARK FOR", at: at)
            }
            table.watermark = (column, expr)
            return
        }
        if isWord("CONSTRAINT") || isWords("PRIMARY", "KEY") {
            if acceptWord("CONSTRAINT") { _ = try name("the name of the constraint") }
            if isWord("UNIQUE") || isWord("CHECK") || isWord("FOREIGN") {
                throw unsupported("the constraint \(token.upper)", fix: "remove it")
            }
            try expectWord("PRIMARY", "KEY")
            let columns = try nameList("key column")
            try setKey(&table, columns, &keyPlace, at)
            return
        }
        table.columns.append(try column(&table, &keyPlace))
    }

    private mutating func setKey(_ table: inout CreateTable, _ columns: [String], _ keyPlace: inout SourceSpan?, _ at: SourceSpan) throws {
        if let first = keyPlace {
            throw source.error(
                .parse, "the table has two primary keys, the first in line \(first.line)",
                fix: "name all key columns in one PRIMARY KEY (...)", at: at)
        }
        keyPlace = at
        _ = acceptWord("ENFORCED")
        guard acceptWord("NOT", "ENFORCED") else {
            throw source.error(
                .parse, "PRIMARY KEY lacks NOT ENFORCED",
                fix: "write PRIMARY KEY (...) NOT ENFORCED; the engine relies on the key, it doesn't check it", at: at)
        }
        table.primaryKey = columns
    }

    private mutating func column(_ table: inout CreateTable, _ keyPlace: inout SourceSpan?) throws -> ColumnDefinition {
        let start = token.start
        let name = try name("a column name")
        var comment: String?
        if acceptWord("AS") {
            let expr = try expression()
            if acceptWord("COMMENT") { comment = try string("the comment") }
            return ColumnDefinition(name: name, kind: .computed(expr), comment: comment, span: source.span(start, consumedEnd))
        }
        let type = try dataType()
        var nullable = true, metadata = false, key: String?, virtual = false
        while true {
            let at = span
            if isWords("NOT", "NULL") || isWord("NULL") {
                nullable = try nullability()
            } else if acceptWord("METADATA") {
                metadata = true
                if acceptWord("FROM") { key = try string("the metadata key") }
            } else if acceptWord("VIRTUAL") {
                guard metadata else {
                    throw source.error(.parse, "VIRTUAL belongs to METADATA columns", fix: "write METADATA VIRTUAL, or remove it", at: at)
                }
                virtual = true
            } else if acceptWord("PRIMARY", "KEY") {
                try setKey(&table, [name], &keyPlace, at)
            } else if acceptWord("COMMENT") {
                comment = try string("the comment")
            } else if isWord("UNIQUE") || isWord("DEFAULT") || isWord("CHECK") || isWord("REFERENCES") {
                throw unsupported("\(token.upper) on a column", fix: "remove it")
            } else {
                break
            }
        }
        let kind: ColumnDefinition.Kind =
            metadata ? .metadata(type, nullable: nullable, key: key, virtual: virtual) : .physical(type, nullable: nullable)
        return ColumnDefinition(name: name, kind: kind, comment: comment, span: source.span(start, consumedEnd))
    }

    private mutating func options(_ table: inout CreateTable) throws {
        try expect("(", " after WITH")
        repeat {
            let at = span
            let key = try string("an option key")
            try expect("=", " after the option key")
            let value = try string("the value of '\(key)'")
            if let first = table.options.first(where: { $0.key == key }) {
                throw source.error(
                    .parse,
                    "the option '\(key)' is given twice: '\(first.value)' in line \(first.span.line), '\(value)' in line \(at.line)",
                    fix: "keep one of them", at: at)
            }
            table.options.append((key, value, at))
        } while accept(",")
        try expect(")", " or \",\" in the options")
    }
}
