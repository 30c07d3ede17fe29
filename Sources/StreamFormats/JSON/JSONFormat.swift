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
    /// How the option keys of the format begin, for error messages.
    var prefix = "json."

    public init() {}

    /// What formats that hold rows in JSON of their own have in common.
    init(_ options: FormatOptions, prefix: String) throws {
        self.prefix = prefix
        ignoreParseErrors = try options.bool(prefix + "ignore-parse-errors")
        timestamps = try options.choice(prefix + "timestamp-format.standard", ["SQL", "ISO-8601"]) == "SQL" ? .sql : .iso8601
        switch try options.choice(prefix + "map-null-key.mode", ["FAIL", "DROP", "LITERAL"]) {
        case "DROP": nullKeys = .drop
        case "LITERAL": nullKeys = .literal(options.string(prefix + "map-null-key.literal") ?? "null")
        default: nullKeys = .fail
        }
        // Decimals are always written plainly: the value is only checked.
        _ = try options.bool(prefix + "encode.decimal-as-plain-number")
        ignoreNullFields = try options.bool(prefix + "encode.ignore-null-fields")
    }

    static func sharedKeys(prefix: String) -> Set<String> {
        Set(["ignore-parse-errors", "timestamp-format.standard", "map-null-key.mode", "map-null-key.literal",
             "encode.decimal-as-plain-number", "encode.ignore-null-fields"].map { prefix + $0 })
    }

    static let keys = sharedKeys(prefix: "json.").union(["json.fail-on-missing-field", "json.decode.json-parser.enabled"])

    init(_ options: FormatOptions) throws {
        try self.init(options, prefix: "json.")
        failOnMissingField = try options.bool("json.fail-on-missing-field")
        if failOnMissingField, ignoreParseErrors {
            throw options.error("options 'json.fail-on-missing-field' and 'json.ignore-parse-errors' are both true",
                                fix: "leave out one of them", key: "json.fail-on-missing-field")
        }
        // The reader is always the streaming one.
        _ = try options.bool("json.decode.json-parser.enabled", default: true)
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

    public var metadataKeys: [String: DataType] { [WholeRecord.key: .variant] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        let wanted = try WholeRecord.schema(table, projection, metadata, format: name)
        return try JSONRecordDecoder(schema: wanted.schema, projection: wanted.projection, options: JSONOptions(FormatOptions(table: table)), metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        try JSONRecordEncoder(schema: table.schema, options: JSONOptions(FormatOptions(table: table)))
    }
}
