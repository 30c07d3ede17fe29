import StreamCore

/// CREATE TABLE.
extension TokenParser {
    /// From behind the word TABLE.
    mutating func createTable(_ start: Int, temporary: Bool) throws -> CreateTable {
        let ifNotExists = acceptWord("IF", "NOT", "EXISTS")
        let name = try qualifiedName("the name of the table")
        var table = CreateTable(name: name, temporary: temporary, ifNotExists: ifNotExists, span: name.span)
        var orderEnd: Int?
        if isSymbol("("), isSymbol(",", ahead: 2) || isSymbol(")", ahead: 2) {
            table.columnOrder = try nameList("column")
            orderEnd = index - 1
        } else if accept("(") {
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
        if acceptWord("WITH") { table.options = try options(" after WITH") }
        if acceptWord("LIKE") { table.like = try like() }
        if acceptWord("AS") {
            guard startsQuery || isSymbol("(") else { throw expected("a query after AS", near: ["SELECT", "WITH", "VALUES"]) }
            let query = try query()
            table.asQuery = (query, source.slice(query.span.start, query.span.end))
        }
        if let orderEnd, table.asQuery == nil {
            jump(to: orderEnd)
            throw expected("a type")
        }
        if !atEnd, !isSymbol(";") {
            throw expected(
                "WITH, PARTITIONED BY, LIKE, AS or the end of CREATE TABLE", near: ["WITH", "PARTITIONED", "COMMENT", "LIKE", "AS"])
        }
        table.span = source.span(start, consumedEnd)
        return table
    }

    private static let columnWords = ["METADATA", "PRIMARY", "COMMENT", "VIRTUAL", "NOT", "NULL", "AS"]

    /// LIKE t (INCLUDING ALL OVERWRITING OPTIONS ...), from behind the word LIKE.
    private mutating func like() throws -> TableLike {
        var like = TableLike(source: try qualifiedName("the table to be like"), options: [])
        guard accept("(") else { return like }
        while !accept(")") {
            let start = token.start
            let strategies = TableLike.Strategy.allCases, features = TableLike.Feature.allCases
            guard let strategy = strategies.first(where: { acceptWord($0.rawValue) }) else {
                throw expected("INCLUDING, EXCLUDING, OVERWRITING or \")\"", near: strategies.map(\.rawValue))
            }
            if isWord("DISTRIBUTION") { throw unsupported("\(strategy.rawValue) DISTRIBUTION", fix: "remove it: no table has a distribution") }
            guard let feature = features.first(where: { acceptWord($0.rawValue) }) else {
                throw expected("one of \(features.map(\.rawValue).joined(separator: ", "))", near: features.map(\.rawValue))
            }
            like.options.append((strategy, feature, source.span(start, consumedEnd)))
            _ = accept(",")
        }
        return like
    }

    /// A column, key or watermark; in ALTER TABLE a column may have FIRST or AFTER behind it.
    mutating func alteredElement(
        _ table: inout CreateTable, _ keyPlace: inout SourceSpan?, _ positions: inout [String: ColumnPosition]
    ) throws {
        let before = table.columns.count
        try tableElement(&table, &keyPlace)
        guard table.columns.count > before, let name = table.columns.last?.name else { return }
        if acceptWord("FIRST") {
            positions[name] = .first
        } else if acceptWord("AFTER") {
            positions[name] = .after(try self.name("a column name after AFTER"))
        }
    }

    private mutating func tableElement(_ table: inout CreateTable, _ keyPlace: inout SourceSpan?) throws {
        let at = span
        if acceptWord("WATERMARK") {
            try expectWord("FOR")
            let column = try qualifiedName("the time column")
            try expectWord("AS")
            let start = token.start
            let expr = try expression()
            guard table.watermark == nil else {
                throw source.error(.parse, "the table has two watermarks", fix: "keep one WATERMARK FOR", at: at)
            }
            table.watermark = (column, expr)
            table.watermarkText = source.slice(start, consumedEnd)
            return
        }
        if isWord("CONSTRAINT") || isWords("PRIMARY", "KEY") {
            let constraint = acceptWord("CONSTRAINT") ? try name("the name of the constraint") : nil
            if isWord("UNIQUE") || isWord("CHECK") || isWord("FOREIGN") {
                throw unsupported("the constraint \(token.upper)", fix: "remove it")
            }
            try expectWord("PRIMARY", "KEY")
            let columns = try nameList("key column")
            try setKey(&table, columns, &keyPlace, at)
            table.constraintName = constraint
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
            let from = token.start
            let expr = try expression()
            let text = source.slice(from, consumedEnd)
            if acceptWord("COMMENT") { comment = try string("the comment") }
            var column = ColumnDefinition(name: name, kind: .computed(expr), comment: comment, span: source.span(start, consumedEnd))
            column.expressionText = text
            return column
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

    /// ('key' = 'value', ...)
    mutating func options(_ context: String) throws -> [OptionSyntax] {
        var options: [OptionSyntax] = []
        try expect("(", context)
        if accept(")") { return [] }
        repeat {
            let at = span
            let key = try string("an option key")
            try expect("=", " after the option key")
            let value = try string("the value of '\(key)'")
            if let first = options.first(where: { $0.key == key }) {
                throw source.error(
                    .parse,
                    "the option '\(key)' is given twice: '\(first.value)' in line \(first.span.line), '\(value)' in line \(at.line)",
                    fix: "keep one of them", at: at)
            }
            options.append((key, value, at))
        } while accept(",")
        try expect(")", " or \",\" in the options")
        return options
    }

    /// ('key', ...)
    mutating func optionKeys() throws -> [String] {
        try expect("(", " before the keys")
        var keys = [try string("an option key")]
        while accept(",") { keys.append(try string("an option key")) }
        try expect(")", " or \",\" in the keys")
        return keys
    }

    /// (k = 'v', k2), from behind the word PARTITION.
    mutating func partitionSpec() throws -> PartitionSpec {
        let start = token.start
        var entries: [(key: String, value: SyntaxExpr?)] = []
        try expect("(", " after PARTITION")
        repeat {
            let at = span
            let key = try name("a partition column")
            if entries.contains(where: { $0.key == key }) {
                throw source.error(.parse, "the partition column \(key) is given twice", fix: "keep one of them", at: at)
            }
            entries.append((key, accept("=") ? try expression() : nil))
        } while accept(",")
        try expect(")", " or \",\" in the partition")
        return PartitionSpec(entries: entries, span: source.span(start, consumedEnd))
    }
}
