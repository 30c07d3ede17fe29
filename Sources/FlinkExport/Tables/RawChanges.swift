import StreamCore
import StreamSQL

/// Change records of a form that Flink has no format for (`dynamodb-json`, `dms`): a table reads them as what they are, and a view over
/// it has the rows.
///
/// With `changelog-mode` = `append` the view has each change as a row. Otherwise it has the row that each key had last, without those
/// that were deleted: changes are taken in the order in which they come, as our formats do. Files are taken in the order of their
/// names, for Flink opens them in any order.
struct RawChanges {
    let prefix: String
    private let format: Format
    private enum Format { case dynamoDB, dms }

    /// nil when the format is another one.
    init?(_ to: OptionTranslation, prefix: String) {
        switch to.value(prefix + "format")?.trimmed.lowercased() {
        case "dynamodb-json": format = .dynamoDB
        case "dms": format = .dms
        default: return nil
        }
        self.prefix = prefix
    }

    func apply(_ to: inout OptionTranslation) {
        _ = to.take(prefix + "format")
        if to.table.isWritten { return to.refuse(reason: "format '\(to.value(prefix + "format")!)' is read only", instead: "write 'debezium-json'") }
        guard let shape = format == .dynamoDB ? DynamoDBRecords(prefix).shape(&to) : DMSRecords(prefix).shape(&to) else { return }
        build(shape, &to)
    }

    /// What a format's records are.
    struct Shape {
        /// The columns of the table that reads them, as SQL text without names' conflicts with the declared ones.
        var columns: [TableDeclaration.Column]
        /// Format and options of that table, without a prefix.
        var options: [String: String]
        /// For each declared column of records or of metadata its value, over those columns.
        var values: [(name: String, expression: String)]
        /// What tells the row that a change is about; empty when each change is a row.
        var keys: [String] = []
        /// Which records count.
        var filter: String?
        /// True of a change that deletes its row.
        var deletes: String
        /// Places files in the order in which they are read, when the records are in files.
        var fileOrder: String?
    }

    private func build(_ shape: Shape, _ to: inout OptionTranslation) { Self.build(shape, prefix, &to) }

    /// Makes the table and the view of a shape.
    static func build(_ shape: Shape, _ prefix: String, _ to: inout OptionTranslation) {
        let declared = to.declaration, isAppend = shape.keys.isEmpty
        let computed = declared.columns.compactMap { column -> (String, String)? in
            if case .computed(let text) = column.kind { (column.name, text) } else { nil }
        }
        let raw = Self.plainName(to.table.name) + "_records"
        var table = TableDeclaration(columns: shape.columns, options: to.declaration.options.merging(Dictionary(uniqueKeysWithValues: shape.options.map { (prefix + $0.key, $0.value) })) { $1 }, comment: declared.comment)
        table.partitionKeys = declared.partitionKeys
        var values = shape.values
        if let watermark = declared.watermark {
            guard isAppend else {
                return to.refuse(reason: "its rows change, and a view of Flink over changing rows has no event time",
                                 instead: "set the format's changelog-mode to 'append', with which each change is a row of its own, or leave WATERMARK out")
            }
            guard let at = values.firstIndex(where: { $0.name == watermark.column }) else {
                return to.refuse(reason: "its watermark is of column \(watermark.column), which is computed of others of a view", instead: "let the records have the time as a field, and declare WATERMARK FOR it")
            }
            table.columns.append(.init(name: watermark.column, type: nil, kind: .computed(values[at].expression)))
            table.watermark = watermark
            values[at].expression = Self.quoted(watermark.column)
        }
        let fields = values.map { "\($0.expression) AS \(Self.quoted($0.name))" }
        var query: String
        if isAppend {
            query = "SELECT \(fields.joined(separator: ",\n  "))\nFROM \(Self.quoted(raw))" + (shape.filter.map { "\nWHERE \($0)" } ?? "")
        } else {
            table.columns.append(.init(name: Self.arrival, type: nil, kind: .computed("PROCTIME()")))
            let names = values.map { Self.quoted($0.name) }.joined(separator: ", ")
            let keyed = shape.keys.enumerated().map { "\($1) AS `__key\($0)`" } + ["\(shape.deletes) AS `__deleted`", "`\(Self.arrival)`"]
            let keys = shape.keys.indices.map { "`__key\($0)`" }.joined(separator: ", ")
            let ordered = shape.fileOrder.map { ["\($0) AS `__file`", "CAST(`\(Self.arrival)` AS TIMESTAMP_LTZ(3)) AS `__time`"] } ?? []
            let records = "SELECT \((fields + keyed + ordered).joined(separator: ",\n    "))\n  FROM \(Self.quoted(raw))" + (shape.filter.map { "\n  WHERE \($0)" } ?? "")
            func newest(_ from: String, by key: String, order: [String], more: String) -> String {
                "SELECT \(names), `__deleted`\(more) FROM (\n  SELECT *, ROW_NUMBER() OVER (PARTITION BY \(key) ORDER BY \(order.map { "\($0) DESC" }.joined(separator: ", "))) AS `__place` FROM (\(from))\n) WHERE `__place` = 1"
            }
            var last = records
            if shape.fileOrder != nil {
                // The last change of a key in each file, and of those the one in the last file.
                // By the file alone Flink would take its fast way for rows that only grow, which leaves out an update of equal place.
                last = newest(records, by: keys + ", `__file`", order: ["`\(Self.arrival)`"], more: ", `__file`, `__time`, " + keys)
                last = newest(last, by: keys, order: ["`__file`", "`__time`"], more: "")
            } else {
                last = newest(records, by: keys, order: ["`\(Self.arrival)`"], more: "")
            }
            query = "SELECT \(names) FROM (\n\(last)\n) WHERE NOT `__deleted`"
        }
        if !computed.isEmpty {
            let expressions = Dictionary(uniqueKeysWithValues: computed)
            let all = declared.columns.map { column in expressions[column.name].map { "\($0) AS \(Self.quoted(column.name))" } ?? Self.quoted(column.name) }
            query = "SELECT \(all.joined(separator: ", ")) FROM (\n\(query)\n)"
        }
        to.declaration = table
        to.view = .init(name: raw, query: query)
    }

    private static let arrival = "__arrival"

    static func quoted(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }
    static func literal(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }

    /// The last part of a name in SQL, without quotes.
    static func plainName(_ name: String) -> String {
        var parts = [""], isQuoted = false
        for c in name {
            if c == "`" { isQuoted.toggle() } else if c == ".", !isQuoted { parts.append("") } else { parts[parts.count - 1].append(c) }
        }
        return parts.last!
    }
}

/// A type's SQL text taken apart: `ROW<a INT, b ARRAY<STRING>>`.
struct TypeText {
    /// `DECIMAL`, `TIMESTAMP_LTZ`, `ROW`.
    var name: String
    var text: String
    var fields: [Field] = []

    struct Field {
        var name: String
        var type: TypeText
    }

    init(_ text: String) {
        self.text = text.trimmed
        let upper = self.text.uppercased()
        let word = String(upper.prefix { $0.isLetter || $0 == "_" || $0.isNumber })
        name = switch word {
        case "TIMESTAMP" where upper.contains("LOCAL TIME ZONE"): "TIMESTAMP_LTZ"
        case "CHARACTER", "VARCHAR", "CHAR": word == "CHAR" ? "CHAR" : "VARCHAR"
        case "INTEGER": "INT"
        case "DOUBLE": "DOUBLE"
        case "NUMERIC", "DEC": "DECIMAL"
        default: word
        }
        // The longest ones are what a catalog makes of STRING and BYTES.
        if ["VARCHAR", "VARBINARY"].contains(name), upper.contains("2147483647") {
            name = name == "VARCHAR" ? "STRING" : "BYTES"
            self.text = name
        }
        guard name == "ROW", let open = self.text.firstIndex(where: { "<(".contains($0) }), let close = self.text.lastIndex(where: { ">)".contains($0) }) else { return }
        for part in Self.split(String(self.text[self.text.index(after: open)..<close])) {
            let part = part.trimmed
            guard let first = part.first else { continue }
            let end = first == "`" ? part.dropFirst().firstIndex(of: "`").map { part.index(after: $0) } ?? part.endIndex : part.firstIndex { $0.isWhitespace } ?? part.endIndex
            var field = String(part[..<end])
            if field.first == "`" { field = String(field.dropFirst().dropLast()) }
            fields.append(Field(name: field, type: TypeText(String(part[end...]))))
        }
    }

    /// Parts between commas that are in no brackets.
    private static func split(_ text: String) -> [String] {
        var parts = [""], depth = 0
        for c in text {
            if "<(".contains(c) { depth += 1 } else if ">)".contains(c) { depth -= 1 }
            if c == ",", depth == 0 { parts.append("") } else { parts[parts.count - 1].append(c) }
        }
        return parts
    }

    /// With the names of fields in quotes, which some of them need in Flink.
    var sql: String {
        guard name == "ROW", !fields.isEmpty else { return text }
        return "ROW<\(fields.map { "\(RawChanges.quoted($0.name)) \($0.type.sql)" }.joined(separator: ", "))>"
    }

    var isText: Bool { ["STRING", "VARCHAR", "CHAR"].contains(name) }
    var isNumber: Bool { ["TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL"].contains(name) }
    var isBinary: Bool { ["BYTES", "VARBINARY", "BINARY"].contains(name) }
}
