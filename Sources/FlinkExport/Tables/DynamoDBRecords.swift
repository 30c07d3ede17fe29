import StreamCore
import StreamSQL

/// Change records of DynamoDB as Flink's JSON sees them: images whose attributes are rows with a field for each kind of value.
///
///     {"eventName": "MODIFY", "dynamodb": {"Keys": {"id": {"S": "1"}}, "NewImage": {"id": {"S": "1"}, "n": {"N": "2"}}}}
///     eventName STRING, dynamodb ROW<Keys ROW<id ROW<S STRING, ...>>, NewImage ROW<id ROW<S STRING, ...>, n ROW<N INT, S INT>>, ...>
struct DynamoDBRecords {
    private let own: String

    init(_ prefix: String) { own = prefix + "dynamodb-json." }

    func shape(_ to: inout OptionTranslation) -> RawChanges.Shape? {
        let table = to.table.declaration
        let isAppend = to.take(own + "changelog-mode")?.trimmed.lowercased() == "append"
        var options = ["format": "json"]
        if let ignore = to.take(own + "ignore-parse-errors") { options["json.ignore-parse-errors"] = ignore }
        if let standard = to.take(own + "timestamp-format.standard") { options["json.timestamp-format.standard"] = standard } else { options["json.timestamp-format.standard"] = "ISO-8601" }

        var image: [String] = [], values: [(String, String)] = [], attributes: [String: Attribute] = [:], readable = true
        var needs: Set<String> = []
        for column in table.columns {
            switch column.kind {
            case .computed: continue
            case .metadata(let key, _):
                let key = key ?? column.name
                guard let (expression, field) = metadata(key.hasPrefix("value.") ? String(key.dropFirst(6)) : key) else {
                    readable = false
                    to.refuse(column: column.name, reason: "Flink cannot give '\(key)' of a DynamoDB record as \(column.type ?? "a column")",
                              instead: key.hasPrefix("error") ? BrokenRecords.instead : "declare the attributes that are wanted as columns")
                    continue
                }
                needs.insert(field)
                values.append((column.name, "CAST(\(expression) AS \(column.type ?? "STRING"))"))
            case .physical:
                guard let type = column.type, let attribute = Attribute(TypeText(type)) else {
                    readable = false
                    to.refuse(column: column.name, reason: "an attribute of type \(column.type ?? "") cannot be made of its parts in Flink's SQL: L and M hold values that are each wrapped in their kind",
                              instead: "declare the parts that are wanted in a ROW, write the attribute as S with JSON text in it, or use a user function in Java or Python")
                    continue
                }
                attributes[column.name] = attribute
                image.append("\(RawChanges.quoted(column.name)) \(attribute.raw)")
                values.append((column.name, ""))
            }
        }
        guard readable else { return nil }
        let keyed = !table.primaryKey.isEmpty || isAppend
        let row = "ROW<\(image.joined(separator: ", "))>"
        var parts = ["`Keys` " + (keyed ? row : "STRING"), "`NewImage` \(row)"]
        if keyed { parts.append("`OldImage` \(row)") }
        parts += needs.sorted().compactMap { Self.inner[$0] }
        var columns: [TableDeclaration.Column] = [.init(name: "eventName", type: "STRING")]
        for (name, type) in Self.outer where needs.contains(name) || name == "tableName" || name == "eventSourceARN" { columns.append(.init(name: name, type: type)) }
        columns.append(.init(name: "dynamodb", type: "ROW<\(parts.joined(separator: ", "))>"))

        func value(_ name: String, _ image: String) -> String { attributes[name]!.value("`dynamodb`.`\(image)`.\(RawChanges.quoted(name))") }
        for i in values.indices where attributes[values[i].0] != nil {
            let name = values[i].0, new = value(name, "NewImage")
            if isAppend {
                values[i].1 = "CASE WHEN `eventName` <> 'REMOVE' THEN \(new) WHEN `dynamodb`.`OldImage` IS NOT NULL THEN \(value(name, "OldImage")) ELSE \(value(name, "Keys")) END"
            } else if table.primaryKey.contains(name) {
                values[i].1 = "COALESCE(\(new), \(value(name, "OldImage")), \(value(name, "Keys")))"
            } else {
                values[i].1 = new
            }
        }
        var filter = "`eventName` IN ('INSERT', 'MODIFY', 'REMOVE')"
        if let pattern = to.take(own + "table.include") {
            filter += " AND REGEXP(\(Self.tableName), \(RawChanges.literal("^(?:\(pattern))$")))"
        }
        to.note("the records are read as JSON by table \(RawChanges.plainName(to.table.name))_records, and are rows in a view over it; a record that is a list of Records, or whose eventName is unknown, gives no row there")
        if attributes.values.contains(where: \.refusesLists) { to.note("an attribute that is a list, a map or a set of numbers ends the job in Flink where its column is a STRING: here it is plain JSON") }
        let keys = isAppend ? [] : table.primaryKey.isEmpty ? ["`dynamodb`.`Keys`"] : table.primaryKey.map { key in values.first { $0.0 == key }?.1 ?? "NULL" }
        return RawChanges.Shape(columns: columns, options: options, values: values.map { (name: $0.0, expression: $0.1) }, keys: keys, filter: filter, deletes: "`eventName` = 'REMOVE'",
                                fileOrder: nil)
    }

    private static let outer = [("eventID", "STRING"), ("awsRegion", "STRING"), ("tableName", "STRING"), ("eventSourceARN", "STRING")]
    private static let inner = [
        "SequenceNumber": "`SequenceNumber` STRING", "SizeBytes": "`SizeBytes` BIGINT",
        "time": "`ApproximateCreationDateTime` DOUBLE, `ApproximateCreationDateTimePrecision` STRING",
    ]

    /// Kinesis records name the table, DynamoDB Streams in `arn:aws:dynamodb:region:account:table/NAME/stream/...`.
    private static let tableName = "COALESCE(`tableName`, SPLIT_INDEX(`eventSourceARN`, '/', 1))"

    /// The expression of a record's metadata, and the field that it needs.
    private func metadata(_ key: String) -> (String, String)? {
        let time = "`dynamodb`.`ApproximateCreationDateTime`", precision = "`dynamodb`.`ApproximateCreationDateTimePrecision`"
        switch key {
        case "event-id": return ("`eventID`", "eventID")
        case "event-name": return ("`eventName`", "eventName")
        case "table": return (Self.tableName, "tableName")
        case "region": return ("`awsRegion`", "awsRegion")
        case "sequence-number": return ("`dynamodb`.`SequenceNumber`", "SequenceNumber")
        case "size-bytes": return ("`dynamodb`.`SizeBytes`", "SizeBytes")
        case "approximate-creation-time":
            // Seconds, milliseconds or microseconds: the precision says it, else the size.
            let milliseconds = "CASE WHEN \(precision) = 'MICROSECOND' THEN \(time) / 1000 WHEN \(precision) = 'MILLISECOND' THEN \(time)"
                + " WHEN \(time) < 1e11 THEN \(time) * 1000 WHEN \(time) < 1e14 THEN \(time) ELSE \(time) / 1000 END"
            return ("TO_TIMESTAMP_LTZ(CAST(\(milliseconds) AS BIGINT), 3)", "time")
        default: return nil
        }
    }

    /// An attribute value as a row with a field for each of its kinds, and the value of that.
    private struct Attribute {
        var raw: String
        let value: (String) -> String
        var refusesLists = false

        init?(_ type: TypeText) {
            switch type {
            case _ where type.isText:
                raw = "ROW<`S` STRING, `N` STRING, `B` STRING, `BOOL` BOOLEAN, `SS` STRING, `L` STRING, `M` STRING, `NS` STRING, `BS` STRING>"
                refusesLists = true
                value = { at in
                    // What cannot be plain JSON here must not be NULL: the cast of such a text fails, and shows it.
                    let nested = "COALESCE(\(at).`L`, \(at).`M`, \(at).`NS`, \(at).`BS`)"
                    let text = "COALESCE(\(at).`S`, \(at).`N`, \(at).`B`, CASE WHEN \(at).`BOOL` THEN 'true' WHEN NOT \(at).`BOOL` THEN 'false' END, \(at).`SS`,"
                        + " CAST(CAST(\(nested) AS INT) AS STRING))"
                    return type.name == "STRING" ? text : "CAST(\(text) AS \(type.text))"
                }
            case _ where type.isNumber:
                raw = "ROW<`N` \(type.text), `S` \(type.text)>"
                value = { "COALESCE(\($0).`N`, \($0).`S`)" }
            case _ where type.isBinary:
                raw = "ROW<`B` BYTES, `S` STRING>"
                value = { "CAST(COALESCE(\($0).`B`, ENCODE(\($0).`S`, 'UTF-8')) AS \(type.text))" }
            default:
                switch type.name {
                case "BOOLEAN":
                    raw = "ROW<`BOOL` BOOLEAN>"
                    value = { "\($0).`BOOL`" }
                case "DATE", "TIME", "TIMESTAMP_LTZ":
                    raw = "ROW<`S` \(type.text)>"
                    value = { "\($0).`S`" }
                case "TIMESTAMP":
                    raw = "ROW<`S` STRING>"
                    value = { "CAST(REPLACE(REPLACE(\($0).`S`, 'T', ' '), 'Z', '') AS \(type.text))" }
                case "ROW":
                    var parts: [(name: String, attribute: Attribute)] = []
                    for field in type.fields {
                        guard let attribute = Attribute(field.type) else { return nil }
                        parts.append((field.name, attribute))
                    }
                    raw = "ROW<`M` ROW<\(parts.map { "\(RawChanges.quoted($0.name)) \($0.attribute.raw)" }.joined(separator: ", "))>>"
                    refusesLists = parts.contains { $0.attribute.refusesLists }
                    value = { at in
                        let row = parts.map { $0.attribute.value("\(at).`M`.\(RawChanges.quoted($0.name))") }.joined(separator: ", ")
                        return "CAST(CASE WHEN \(at).`M` IS NOT NULL THEN ROW(\(row)) END AS \(type.sql))"
                    }
                default: return nil
                }
            }
        }
    }
}
