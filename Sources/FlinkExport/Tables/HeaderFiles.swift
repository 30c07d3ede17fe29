import StreamCore
import StreamSQL

/// CSV files whose first line holds names, which Flink's CSV would read as a row: all fields are read as text, and a view gives them their
/// types and leaves the names out.
///
/// A line is one of names when it has a text that is no value of its column in every column that is none of text.
struct HeaderFiles {
    /// nil when the files have no header, or one that a refusal must speak of.
    init?(_ to: OptionTranslation) {
        guard to.value("format")?.trimmed.lowercased() == "csv", to.isTrue("csv.header"), to.table.isRead, !to.table.isWritten, to.table.connector == "filesystem",
              to.value("csv.header.columns").map({ $0.trimmed.lowercased() == "position" }) ?? true, !to.isTrue("csv.ignore-parse-errors"),
              to.value(BadInput.option).map({ $0.trimmed.lowercased() == "fail" }) ?? true, to.table.declaration.partitionKeys.isEmpty else { return nil }
        let types = to.table.declaration.columns.filter { $0.kind == .physical }.map { TypeText($0.type ?? "STRING") }
        guard types.contains(where: { Self.isTelling($0) }), !types.contains(where: { ["ARRAY", "MAP", "ROW", "VARIANT"].contains($0.name) || $0.isBinary }) else { return nil }
    }

    private static func isTelling(_ type: TypeText) -> Bool { type.isNumber || ["DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ"].contains(type.name) }

    func shape(_ to: inout OptionTranslation) -> RawChanges.Shape {
        var columns: [TableDeclaration.Column] = [], values: [(name: String, expression: String)] = [], unreadable: [String] = []
        let watermark = to.table.declaration.watermark?.column
        for column in to.table.declaration.columns {
            switch column.kind {
            case .computed: continue
            case .metadata:
                columns.append(column)
                values.append((column.name, RawChanges.quoted(column.name)))
            case .physical:
                let raw = RawChanges.quoted("__" + column.name), type = TypeText(column.type ?? "STRING")
                columns.append(.init(name: "__" + column.name, type: "STRING"))
                values.append((column.name, type.name == "STRING" ? raw : "CAST(\(raw) AS \(type.sql))"))
                if Self.isTelling(type) { unreadable.append("\(raw) IS NOT NULL AND TRY_CAST(\(raw) AS \(type.sql)) IS NULL") }
            }
        }
        let isHeader = "(\(unreadable.joined(separator: " AND ")))"
        // A row without a time would end the job; the earliest one moves no watermark.
        if let at = values.firstIndex(where: { $0.name == watermark }), let type = to.table.declaration.columns.first(where: { $0.name == watermark })?.type {
            values[at].expression = "CASE WHEN \(isHeader) THEN CAST(TIMESTAMP '1970-01-01 00:00:00' AS \(TypeText(type).sql)) ELSE \(values[at].expression) END"
        }
        var options = ["format": "csv"]
        for name in FormatRules.same["csv"]! { if let value = to.take("csv." + name) { options["csv." + name] = value } }
        for key in ["format", "csv.header", "csv.header.columns", BadInput.option] { _ = to.take(key) }
        to.note("'csv.header' is a view over table \(RawChanges.plainName(to.table.name))_records, which leaves out each line that holds a value of none of the columns of numbers and times: a broken record of that kind does not end the job in Flink")
        return RawChanges.Shape(columns: columns, options: options, values: values, filter: "NOT \(isHeader)", deletes: "")
    }
}
