import StreamCore
import StreamSQL

/// Files and messages of AWS DMS as Flink's own formats see them: a column that says what became of a row, and the row.
struct DMSRecords {
    private let own: String

    init(_ prefix: String) { own = prefix + "dms." }

    func shape(_ to: inout OptionTranslation) -> RawChanges.Shape? {
        let table = to.table.declaration, isFile = to.table.connector == "filesystem"
        let form = to.take(own + "file-format")?.trimmed.lowercased() ?? "csv"
        let isAppend = to.take(own + "changelog-mode")?.trimmed.lowercased() == "append"
        let op = to.take(own + "op-column") ?? "Op", stamp = to.take(own + "timestamp-column"), loads = to.take(own + "full-load.prefix") ?? "LOAD"
        let loadsHaveOp = to.isTrue(own + "full-load.op-column"), isLast = to.take(own + "csv.timestamp-position")?.trimmed.lowercased() == "last"
        let isEnvelope = to.take(own + "json.envelope")?.trimmed.lowercased() == "true", ignore = to.take(own + "ignore-parse-errors")
        _ = to.take(own + "full-load.op-column")
        let schema = table.columns.filter { $0.kind == .physical }

        var options = ["format": form], columns: [TableDeclaration.Column] = [], isText = false
        switch form {
        case "csv":
            if to.isTrue(own + "csv.header") {
                to.refuse(own + "csv.header", reason: "Flink's CSV has no header, by which the files of the full load and of changes differ", instead: "let DMS write Parquet (DataFormat=parquet), and set '\(own)file-format' = 'parquet'")
                return nil
            }
            _ = to.take(own + "csv.header")
            guard loadsHaveOp else {
                to.refuse(reason: "the files of the full load lack the column '\(op)', and Flink's CSV finds columns by their places",
                          instead: "let DMS write it (IncludeOpForFullLoad=true) and set '\(own)full-load.op-column' = 'true', or let it write Parquet and set '\(own)file-format' = 'parquet'")
                return nil
            }
            for name in ["field-delimiter", "quote-character", "escape-character"] { if let value = to.take(own + "csv." + name) { options["csv." + name] = value } }
            options["csv.null-literal"] = to.take(own + "csv.null-literal") ?? "NULL"
            isText = true
        case "parquet":
            options["parquet.utc-timezone"] = "true"
            to.need(FlinkJars.parquet(to.version))
        default: options["json.timestamp-format.standard"] = "ISO-8601"
        }
        if let ignore, form != "parquet" { options["\(form).ignore-parse-errors"] = ignore }

        let hasOwnStamp = stamp.map { name in schema.contains { $0.name == name } } ?? false
        // Where a declared column is, and what it is read as.
        func place(_ name: String) -> String { isEnvelope ? "`data`.\(RawChanges.quoted(name))" : RawChanges.quoted(name) }
        if isEnvelope {
            let row = schema.map { "\(RawChanges.quoted($0.name)) \(TypeText($0.type ?? "STRING").sql)" }.joined(separator: ", ")
            columns = [.init(name: "data", type: "ROW<\(row)>"), .init(name: "metadata", type: "ROW<`operation` STRING, `record-type` STRING, `timestamp` STRING>")]
        } else {
            columns = [.init(name: op, type: "STRING")]
            let stampColumn = stamp.flatMap { hasOwnStamp ? nil : TableDeclaration.Column(name: $0, type: form == "parquet" ? "TIMESTAMP(6)" : "STRING") }
            if let stampColumn, !(form == "csv" && isLast) { columns.append(stampColumn) }
            // An empty field is NULL where it is no text, which Flink's CSV would not read.
            columns += schema.map { TableDeclaration.Column(name: $0.name, type: isText ? "STRING" : $0.type) }
            if let stampColumn, form == "csv", isLast { columns.append(stampColumn) }
        }
        let opValue = isEnvelope ? "CASE `metadata`.`operation` WHEN 'insert' THEN 'I' WHEN 'load' THEN 'I' WHEN 'update' THEN 'U' WHEN 'delete' THEN 'D' END" : RawChanges.quoted(op)

        var values: [(name: String, expression: String)] = [], readable = true
        for column in table.columns {
            switch column.kind {
            case .computed: continue
            case .physical:
                let at = place(column.name), type = TypeText(column.type ?? "STRING")
                if type.name == "VARIANT" || isText && ["ROW", "ARRAY", "MAP"].contains(type.name) {
                    readable = false
                    to.refuse(column: column.name, reason: "Flink cannot read \(type.text) of DMS files", instead: "declare it as STRING")
                }
                values.append((column.name, isText ? Self.read(at, type) : at))
            case .metadata(let key, _):
                let key = key ?? column.name, type = column.type ?? "STRING"
                switch key.hasPrefix("value.") ? String(key.dropFirst(6)) : key {
                case "op": values.append((column.name, "CAST(\(opValue) AS \(type))"))
                case "timestamp" where isEnvelope: values.append((column.name, Self.read("`metadata`.`timestamp`", TypeText(type))))
                case "timestamp" where stamp != nil:
                    values.append((column.name, form == "parquet" || hasOwnStamp && !isText ? "CAST(\(place(stamp!)) AS \(type))" : Self.read(place(stamp!), TypeText(type))))
                default:
                    readable = false
                    to.refuse(column: column.name, reason: "Flink cannot give '\(key)' of a DMS record",
                              instead: key.hasPrefix("error") ? BrokenRecords.instead : "declare the fields that are wanted as columns")
                }
            }
        }
        guard readable else { return nil }
        guard isAppend || !table.primaryKey.isEmpty else {
            to.refuse(reason: "changes find their rows by a key, and it declares none", instead: "declare PRIMARY KEY (...) NOT ENFORCED, or set '\(own)changelog-mode' = 'append'")
            return nil
        }
        var shape = RawChanges.Shape(
            columns: columns, options: options, values: values, keys: isAppend ? [] : table.primaryKey.map { key in values.first { $0.name == key }!.expression },
            deletes: "COALESCE(\(opValue), 'I') = 'D'")
        if isEnvelope { shape.filter = "`metadata`.`record-type` IS DISTINCT FROM 'control'" }
        if isFile, !isAppend {
            shape.columns.append(.init(name: "__name", type: "STRING", nullable: false, kind: .metadata(key: "file.name", virtual: false)))
            shape.fileOrder = "CASE WHEN `__name` LIKE \(RawChanges.literal(loads.replacing("_", with: "\\_").replacing("%", with: "\\%") + "%"))\(loads.contains("_") || loads.contains("%") ? " ESCAPE '\\'" : "") THEN CONCAT('0', `__name`) ELSE CONCAT('1', `__name`) END"
        }
        to.note("the \(isFile ? "files" : "messages") are read as \(form) by table \(RawChanges.plainName(to.table.name))_records, and are rows in a view over it" + (isFile ? "; files that Flink cuts into several splits must not hold a key twice" : ""))
        return shape
    }

    /// A text as a value of a type, as DMS writes it.
    private static func read(_ at: String, _ type: TypeText) -> String {
        switch type.name {
        case _ where type.isText: type.name == "STRING" ? at : "CAST(\(at) AS \(type.text))"
        case "TIMESTAMP": "CAST(REPLACE(REPLACE(NULLIF(\(at), ''), 'T', ' '), 'Z', '') AS \(type.text))"
        default: "CAST(NULLIF(\(at), '') AS \(type.text))"
        }
    }
}
