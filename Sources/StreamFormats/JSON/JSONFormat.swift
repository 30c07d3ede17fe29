import StreamCore

/// Options of `'format' = 'json'`, as Flink names them.
public struct JSONOptions: Sendable {
    /// How timestamps are written: `2024-01-31 10:00:00` or `2024-01-31T10:00:00`.
    public enum TimestampStandard: Sendable { case sql, iso8601 }
    /// What becomes of a MAP entry whose key is null.
    public enum NullKeyMode: Sendable { case fail, drop, literal(String) }

    public var failOnMissingField = false
    public var ignoreParseErrors = false
    public var timestamps = TimestampStandard.sql
    public var nullKeys = NullKeyMode.fail
    /// Fields that are null are left out when writing.
    public var ignoreNullFields = false

    public init() {}

    static let keys: Set<String> = [
        "json.fail-on-missing-field", "json.ignore-parse-errors", "json.timestamp-format.standard", "json.map-null-key.mode",
        "json.map-null-key.literal", "json.encode.decimal-as-plain-number", "json.encode.ignore-null-fields", "json.decode.json-parser.enabled",
    ]

    init(_ options: FormatOptions) throws {
        failOnMissingField = try options.bool("json.fail-on-missing-field")
        ignoreParseErrors = try options.bool("json.ignore-parse-errors")
        if failOnMissingField, ignoreParseErrors {
            throw options.error("options 'json.fail-on-missing-field' and 'json.ignore-parse-errors' are both true",
                                fix: "leave out one of them", key: "json.fail-on-missing-field")
        }
        timestamps = try options.choice("json.timestamp-format.standard", ["SQL", "ISO-8601"]) == "SQL" ? .sql : .iso8601
        switch try options.choice("json.map-null-key.mode", ["FAIL", "DROP", "LITERAL"]) {
        case "DROP": nullKeys = .drop
        case "LITERAL": nullKeys = .literal(options.string("json.map-null-key.literal") ?? "null")
        default: nullKeys = .fail
        }
        // Decimals are always written plainly and the reader is always the streaming one: the values are only checked.
        _ = try options.bool("json.encode.decimal-as-plain-number")
        _ = try options.bool("json.decode.json-parser.enabled", default: true)
        ignoreNullFields = try options.bool("json.encode.ignore-null-fields")
    }
}

/// Refuses types that JSON has no form for.
func checkJSON(_ type: DataType, column: String) throws {
    switch type {
    case .map(let key, let value):
        guard key.isText else {
            throw StreamError(.validate, "column \(column): JSON objects have text keys, but the type is \(type)",
                              fix: "declare the map's keys as STRING")
        }
        try checkJSON(value, column: column)
    case .array(let element): try checkJSON(element, column: column)
    case .row(let fields): for field in fields { try checkJSON(field.type, column: "\(column).\(field.name)") }
    default: break
    }
}

/// `'format' = 'json'`.
public struct JSONFormat: Format {
    public init() {}
    public var name: String { "json" }
    public var optionKeys: Set<String> { JSONOptions.keys }
    public var findsRowPartsByName: Bool { true }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try JSONRecordDecoder(schema: table.schema, projection: projection, options: JSONOptions(FormatOptions(table: table)), metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        try JSONRecordEncoder(schema: table.schema, options: JSONOptions(FormatOptions(table: table)))
    }
}
