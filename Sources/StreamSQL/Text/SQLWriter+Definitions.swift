import StreamCore

extension SQLWriter {
    public func text(_ table: CreateTable) -> String {
        let verb = table.replace ? "REPLACE" : table.orReplace ? "CREATE OR REPLACE" : "CREATE"
        var text = "\(verb)\(table.temporary ? " TEMPORARY" : "") TABLE \(table.ifNotExists ? "IF NOT EXISTS " : "")\(name(table.name))"
        let elements = deeper.elements(of: table)
        if !elements.isEmpty { text += " " + lines(elements) }
        if let order = table.columnOrder { text += " (\(names(order)))" }
        if let comment = table.comment { text += newLine + "COMMENT \(Self.quoted(comment))" }
        if !table.partitionKeys.isEmpty { text += newLine + "PARTITIONED BY (\(names(table.partitionKeys)))" }
        if !table.options.isEmpty { text += newLine + "WITH " + options(table.options.map { ($0.key, $0.value) }) }
        if let like = table.like {
            text += newLine + "LIKE \(name(like.source))"
            if !like.options.isEmpty { text += " " + enclosed { inner in like.options.map { "\($0.strategy.rawValue) \($0.feature.rawValue)" }.joined(separator: inner.newLine) } }
        }
        if let query = table.asQuery?.query { text += newLine + "AS" + newLine + self.text(query) }
        return text
    }

    /// Parts in parentheses, one a line.
    private func lines(_ parts: [String]) -> String { enclosed { inner in parts.joined(separator: "," + inner.newLine) } }

    /// Columns, watermark and key. Columns of ALTER TABLE may have a position.
    private func elements(of table: CreateTable, positions: [String: ColumnPosition] = [:]) -> [String] {
        var elements = table.columns.map { column in
            switch positions[column.name] {
            case nil: text(column)
            case .first?: text(column) + " FIRST"
            case .after(let other)?: text(column) + " AFTER \(name(other))"
            }
        }
        if let watermark = table.watermark { elements.append("WATERMARK FOR \(name(watermark.column)) AS \(text(watermark.expr))") }
        if !table.primaryKey.isEmpty {
            elements.append((table.constraintName.map { "CONSTRAINT \(name($0)) " } ?? "") + "PRIMARY KEY (\(names(table.primaryKey))) NOT ENFORCED")
        }
        return elements
    }

    public func text(_ column: ColumnDefinition) -> String {
        let head = name(column.name) + " ", comment = column.comment.map { " COMMENT \(Self.quoted($0))" } ?? ""
        switch column.kind {
        case .physical(let type, let nullable): return head + self.type(type) + (nullable ? "" : " NOT NULL") + comment
        case .computed(let expr): return head + "AS \(text(expr))" + comment
        case .metadata(let type, let nullable, let key, let virtual):
            return head + self.type(type) + (nullable ? "" : " NOT NULL") + " METADATA" + (key.map { " FROM \(Self.quoted($0))" } ?? "")
                + (virtual ? " VIRTUAL" : "") + comment
        }
    }

    public func text(_ view: CreateView) -> String {
        "CREATE \(view.orReplace ? "OR REPLACE " : "")\(view.temporary ? "TEMPORARY " : "")VIEW \(view.ifNotExists ? "IF NOT EXISTS " : "")\(name(view.name))"
            + (view.columns.map { " (\(names($0)))" } ?? "") + (view.comment.map { newLine + "COMMENT \(Self.quoted($0))" } ?? "") + " AS" + newLine
            + text(view.query)
    }

    // MARK: Catalogs

    public func text(_ statement: CatalogStatement) -> String {
        func comment(_ text: String?) -> String { text.map { newLine + "COMMENT \(Self.quoted($0))" } ?? "" }
        func with(_ pairs: [OptionSyntax]) -> String { pairs.isEmpty ? "" : newLine + "WITH " + options(pairs) }
        func condition(_ isThere: Bool) -> String { isThere ? "IF EXISTS " : "" }
        switch statement {
        case .createCatalog(let catalog, let ifNotExists, let note, let pairs):
            return "CREATE CATALOG \(ifNotExists ? "IF NOT EXISTS " : "")\(name(catalog))" + comment(note) + with(pairs)
        case .alterCatalog(let catalog, let set, let reset, let note):
            let change = note.map { "COMMENT \(Self.quoted($0))" } ?? (reset.isEmpty ? "SET " + options(set) : "RESET \(keys(reset))")
            return "ALTER CATALOG \(name(catalog)) " + change
        case .dropCatalog(let catalog, let ifExists): return "DROP CATALOG \(condition(ifExists))\(name(catalog))"
        case .createDatabase(let database, let ifNotExists, let note, let pairs):
            return "CREATE DATABASE \(ifNotExists ? "IF NOT EXISTS " : "")\(name(database))" + comment(note) + with(pairs)
        case .alterDatabase(let database, let set): return "ALTER DATABASE \(name(database)) SET " + options(set)
        case .dropDatabase(let database, let ifExists, let cascade): return "DROP DATABASE \(condition(ifExists))\(name(database))\(cascade ? " CASCADE" : "")"
        case .useCatalog(let catalog): return "USE CATALOG \(name(catalog))"
        case .use(let database): return "USE \(name(database))"
        case .describeCatalog(let catalog, let extended): return "DESCRIBE CATALOG \(extended ? "EXTENDED " : "")\(name(catalog))"
        case .describeDatabase(let database, let extended): return "DESCRIBE DATABASE \(extended ? "EXTENDED " : "")\(name(database))"
        case .describeFunction(let function, let extended): return "DESCRIBE FUNCTION \(extended ? "EXTENDED " : "")\(name(function))"
        case .show(let subject, let filter): return "SHOW " + text(subject) + (filter.map { " " + text($0) } ?? "")
        case .alterTable(let table, let ifExists, let change): return "ALTER TABLE \(condition(ifExists))\(name(table)) " + text(change)
        case .renameView(let view, let other): return "ALTER VIEW \(name(view)) RENAME TO \(name(other))"
        case .alterView(let view, let query, _): return "ALTER VIEW \(name(view)) AS" + newLine + text(query)
        case .createFunction(let function): return "CREATE " + text(function, "IF NOT EXISTS ")
        case .alterFunction(let function): return "ALTER " + text(function, "IF EXISTS ")
        case .dropFunction(let function, let ifExists, let temporary, let system):
            return "DROP \(temporary ? "TEMPORARY " : "")\(system ? "SYSTEM " : "")FUNCTION \(condition(ifExists))\(name(function))"
        case .truncate(let table): return "TRUNCATE TABLE \(name(table))"
        case .delete(let table, let filter): return "DELETE FROM \(name(table))" + (filter.map { newLine + self.condition("WHERE", $0) } ?? "")
        case .update(let table, let assignments, let filter):
            return "UPDATE \(name(table))" + newLine + list("SET", assignments.map { "\(name($0.column)) = \(deeper.text($0.value))" })
                + (filter.map { newLine + self.condition("WHERE", $0) } ?? "")
        case .analyze(let table): return "ANALYZE TABLE\(table.map { " " + name($0) } ?? "S") COMPUTE STATISTICS"
        case .stopJob(let id, let savepoint, let drain, _): return "STOP JOB \(Self.quoted(id))\(savepoint ? " WITH SAVEPOINT" : "")\(drain ? " WITH DRAIN" : "")"
        case .idle(let text, _): return text
        }
    }

    private func options(_ pairs: [OptionSyntax]) -> String { options(pairs.map { ($0.key, $0.value) }) }

    private func keys(_ keys: [String]) -> String { "(\(keys.map(Self.quoted).joined(separator: ", ")))" }

    /// PARTITION (k = 'v', ...)
    func text(_ partition: PartitionSpec) -> String {
        "PARTITION (\(partition.entries.map { entry in name(entry.key) + (entry.value.map { " = \(text($0))" } ?? "") }.joined(separator: ", ")))"
    }

    private func text(_ change: TableChange) -> String {
        switch change {
        case .rename(let table): "RENAME TO \(name(table))"
        case .renameColumn(let column, let other): "RENAME \(name(column)) TO \(name(other))"
        case .setOptions(let pairs): "SET " + options(pairs)
        case .resetOptions(let keys): "RESET \(self.keys(keys))"
        case .add(let elements, let positions): "ADD " + lines(deeper.elements(of: elements, positions: positions))
        case .modify(let elements, let positions): "MODIFY " + lines(deeper.elements(of: elements, positions: positions))
        case .dropColumns(let columns): "DROP (\(names(columns)))"
        case .dropPrimaryKey: "DROP PRIMARY KEY"
        case .dropConstraint(let constraint): "DROP CONSTRAINT \(name(constraint))"
        case .dropWatermark: "DROP WATERMARK"
        case .addPartitions(let partitions, let ifNotExists): "ADD \(ifNotExists ? "IF NOT EXISTS " : "")\(partitions.map { text($0) }.joined(separator: " "))"
        case .dropPartitions(let partitions, let ifExists): "DROP \(ifExists ? "IF EXISTS " : "")\(partitions.map { text($0) }.joined(separator: ", "))"
        case .recoverPartitions: "RECOVER PARTITIONS"
        }
    }

    private func text(_ function: FunctionDefinition, _ condition: String) -> String {
        let kind = (function.temporary ? "TEMPORARY " : "") + (function.system ? "SYSTEM " : "")
        return "\(kind)FUNCTION \(function.isConditional ? condition : "")\(name(function.name)) AS \(Self.quoted(function.identifier))"
            + (function.language.map { " LANGUAGE \($0)" } ?? "")
            + (function.resources.isEmpty ? "" : " USING " + function.resources.map { "\($0.kind) \(Self.quoted($0.path))" }.joined(separator: ", "))
    }

    private func text(_ filter: NameFilter) -> String {
        "\(filter.negated ? "NOT " : "")\(filter.ignoresCase ? "ILIKE" : "LIKE") \(Self.quoted(filter.pattern))"
    }

    private func text(_ subject: ShowSubject) -> String {
        func place(_ name: QualifiedName?) -> String { name.map { " FROM \(self.name($0))" } ?? "" }
        return switch subject {
        case .catalogs: "CATALOGS"
        case .currentCatalog: "CURRENT CATALOG"
        case .databases(let catalog): "DATABASES" + place(catalog)
        case .currentDatabase: "CURRENT DATABASE"
        case .tables(let database): "TABLES" + place(database)
        case .views(let database): "VIEWS" + place(database)
        case .columns(let table): "COLUMNS" + place(table)
        case .partitions(let table, let partition): "PARTITIONS \(name(table))" + (partition.map { " " + text($0) } ?? "")
        case .functions(let database, let userOnly): "\(userOnly ? "USER " : "")FUNCTIONS" + place(database)
        case .modules(let full): "\(full ? "FULL " : "")MODULES"
        case .jars: "JARS"
        case .jobs: "JOBS"
        case .createTable(let table): "CREATE TABLE \(name(table))"
        case .createView(let view): "CREATE VIEW \(name(view))"
        case .createCatalog(let catalog): "CREATE CATALOG \(name(catalog))"
        case .createDatabase(let database): "CREATE DATABASE \(name(database))"
        }
    }
}
