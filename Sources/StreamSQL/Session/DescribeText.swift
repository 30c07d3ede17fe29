import StreamCore

/// DESCRIBE, SHOW COLUMNS, SHOW CREATE TABLE and SHOW CREATE VIEW.
enum DescribeText {
    /// One row per column of a table or view; comments make a column of their own when there are any.
    static func describe(_ entry: Catalog.Entry, _ filter: (String) -> Bool = { _ in true }) -> StatementResult {
        var fields = ["name", "type", "null", "key", "extras", "watermark"].map { Field($0, $0 == "null" ? .boolean : .string) }
        func text(_ value: String?) -> Value { value.map { .string($0) } ?? .null }
        var rows: [[Value]] = []
        switch entry {
        case .view(let view):
            rows = view.schema.enumerated().map { i, field in
                [
                    .string(field.name), .string(type(field.type, view.timeAttributes.contains(i) ? "ROWTIME" : view.processingTimes.contains(i) ? "PROCTIME" : nil)), .bool(field.nullable), .null, .null, .null,
                ]
            }
        case .table(let table):
            let keys = table.descriptor.primaryKey
            let hasComments = table.columns.contains { $0.comment != nil }
            if hasComments { fields.append(Field("comment", .string)) }
            rows = table.columns.enumerated().map { i, column in
                [
                    .string(column.name), .string(type(column.type, table.watermark?.column == i ? "ROWTIME" : table.isProcessingTime(i) ? "PROCTIME" : nil)), .bool(column.nullable),
                    text(keys.contains(column.name) ? "PRI(\(keys.joined(separator: ", ")))" : nil), text(extras(column, table)),
                    text(table.watermark.flatMap { $0.column == i ? $0.text : nil }),
                ] + (hasComments ? [text(column.comment)] : [])
            }
        }
        return .rows(fields, rows.filter { if case .string(let name) = $0[0] { filter(name) } else { true } })
    }

    private static func type(_ type: DataType, _ attribute: String?) -> String { shown(type) + (attribute.map { " *\($0)*" } ?? "") }

    /// With the names of fields in backticks.
    private static func shown(_ type: DataType) -> String { SQLWriter.definition.type(type) }

    private static func extras(_ column: CatalogTable.Column, _ table: CatalogTable) -> String? {
        switch column.kind {
        case .physical: nil
        case .computed(_, let syntax): "AS " + SyntaxText.of(syntax)
        case .metadata(let i, let virtual): metadata(table.descriptor.metadata[i], virtual)
        }
    }

    private static func metadata(_ column: TableDescriptor.MetadataColumn, _ virtual: Bool) -> String {
        "METADATA" + (column.key == column.name ? "" : " FROM \(SyntaxText.quoted(column.key))") + (virtual ? " VIRTUAL" : "")
    }

    /// A statement that makes the table again, its expressions normalised.
    static func create(_ table: CatalogTable) -> String {
        var declaration = table.declaration
        if declaration.columns.isEmpty {
            declaration.columns = table.columns.map { .init(name: $0.name, type: SyntaxText.type($0.type), nullable: $0.nullable) }
            declaration.primaryKey = table.descriptor.primaryKey
            declaration.partitionKeys = table.descriptor.partitionKeys
        }
        for (i, column) in table.columns.enumerated() {
            if case .computed(_, let syntax) = column.kind, case .computed(let text) = declaration.columns[i].kind {
                declaration.columns[i].kind = .computed(normalised(text, syntax))
            }
            if case .physical = column.kind { declaration.columns[i].nullable = column.nullable }
        }
        if let watermark = table.watermark { declaration.watermark?.expression = watermark.text }
        return declaration.statement(name: table.path.sql, temporary: table.temporary)
    }

    /// Clauses of JSON functions are kept as they were written.
    private static func normalised(_ text: String, _ syntax: SyntaxExpr) -> String {
        text.uppercased().contains("JSON_") ? text : SyntaxText.of(syntax)
    }

    static func create(_ view: CatalogView) -> String {
        view.declaration.statement(name: view.path.sql, columns: view.schema.map(\.name), temporary: view.temporary)
    }
}
