import StreamCore

/// DESCRIBE and SHOW CREATE TABLE.
enum DescribeText {
    static func describe(_ entry: Catalog.Entry) -> StatementResult {
        let fields = ["name", "type", "null", "key", "extras", "watermark"].map { Field($0, .string) }
        func text(_ value: String?) -> Value { value.map { .string($0) } ?? .null }
        switch entry {
        case .view(let view):
            return .rows(
                fields,
                view.schema.enumerated().map { i, field in
                    [
                        .string(field.name),
                        .string(type(field.type, view.timeAttributes.contains(i) ? "ROWTIME" : view.processingTimes.contains(i) ? "PROCTIME" : nil)),
                        .string(field.nullable ? "TRUE" : "FALSE"), .null, .null, .null,
                    ]
                })
        case .table(let table):
            let keys = table.descriptor.primaryKey
            return .rows(
                fields,
                table.columns.enumerated().map { i, column in
                    [
                        .string(column.name), .string(type(column.type, table.watermark?.column == i ? "ROWTIME" : table.isProcessingTime(i) ? "PROCTIME" : nil)),
                        .string(column.nullable ? "TRUE" : "FALSE"),
                        text(keys.contains(column.name) ? "PRI(\(keys.joined(separator: ", ")))" : nil), text(extras(column, table)),
                        text(table.watermark.flatMap { $0.column == i ? $0.text : nil }),
                    ]
                })
        }
    }

    private static func type(_ type: DataType, _ attribute: String?) -> String { "\(type)" + (attribute.map { " *\($0)*" } ?? "") }

    private static func extras(_ column: CatalogTable.Column, _ table: CatalogTable) -> String? {
        switch column.kind {
        case .physical: nil
        case .computed(_, let syntax): "AS " + SyntaxText.of(syntax)
        case .metadata(let i, let virtual): metadata(table.descriptor.metadata[i], virtual)
        }
    }

    private static func metadata(_ column: TableDescriptor.MetadataColumn, _ virtual: Bool) -> String {
        "METADATA" + (column.key == column.name ? "" : " FROM \(quoted(column.key))") + (virtual ? " VIRTUAL" : "")
    }

    private static func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

    /// A statement that makes the entry again.
    static func create(_ entry: Catalog.Entry) -> String {
        switch entry {
        case .view(let view): return view.text
        case .table(let table):
            var lines = table.columns.map { column in
                let type = "\(column.type)\(column.nullable ? "" : " NOT NULL")"
                let rest =
                    switch column.kind {
                    case .physical: type
                    case .computed(_, let syntax): "AS " + SyntaxText.of(syntax)
                    case .metadata(let i, let virtual): type + " " + metadata(table.descriptor.metadata[i], virtual)
                    }
                return "  \(SyntaxText.identifier(column.name)) \(rest)" + (column.comment.map { " COMMENT \(quoted($0))" } ?? "")
            }
            if let watermark = table.watermark {
                lines.append("  WATERMARK FOR \(SyntaxText.identifier(table.columns[watermark.column].name)) AS \(watermark.text)")
            }
            if !table.descriptor.primaryKey.isEmpty {
                lines.append(
                    "  PRIMARY KEY (\(table.descriptor.primaryKey.map(SyntaxText.identifier).joined(separator: ", "))) NOT ENFORCED")
            }
            let options = table.descriptor.options.sorted { $0.key < $1.key }.map { "  \(quoted($0.key)) = \(quoted($0.value))" }
            let partitions = table.descriptor.partitionKeys
            return "CREATE \(table.temporary ? "TEMPORARY " : "")TABLE \(SyntaxText.identifier(table.name)) (\n"
                + lines.joined(separator: ",\n") + "\n)"
                + (table.comment.map { "\nCOMMENT \(quoted($0))" } ?? "")
                + (partitions.isEmpty ? "" : "\nPARTITIONED BY (\(partitions.map(SyntaxText.identifier).joined(separator: ", ")))")
                + "\nWITH (\n" + options.joined(separator: ",\n") + "\n)"
        }
    }
}
