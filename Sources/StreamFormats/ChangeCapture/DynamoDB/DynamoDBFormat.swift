import StreamCore

/// `'format' = 'dynamodb-json'`: change records of DynamoDB tables, as Kinesis Data Streams for DynamoDB and DynamoDB Streams give
/// them, read as a changelog.
///
///     {"eventID":"...","eventName":"MODIFY","tableName":"orders","dynamodb":{"ApproximateCreationDateTime":1700000000123,
///      "Keys":{"id":{"S":"1"}},"OldImage":{"id":{"S":"1"},"n":{"N":"1"}},"NewImage":{"id":{"S":"1"},"n":{"N":"2"}},"SizeBytes":30}}
///
/// A record is a message or a line; an object with a list `Records` (an answer of GetRecords, an event of a function) holds several.
/// Columns are top-level attributes of the item, by their names.
public struct DynamoDBFormat: Format {
    public init() {}

    static let prefix = "dynamodb-json."
    static let ignoreErrorsKey = prefix + "ignore-parse-errors"
    static let tableKey = prefix + "table.include"
    static let modeKey = prefix + "changelog-mode"
    static let timestampKey = prefix + "timestamp-format.standard"

    public var name: String { "dynamodb-json" }
    public var producesChanges: Bool { true }
    public var findsRowPartsByName: Bool { true }
    public var optionKeys: Set<String> { [Self.ignoreErrorsKey, Self.tableKey, Self.modeKey, Self.timestampKey] }
    public var metadataKeys: [String: DataType] { Dictionary(uniqueKeysWithValues: DynamoDBMetadata.allCases.map { ($0.rawValue, $0.type) }) }

    public func changelogMode(_ table: TableDescriptor) -> ChangelogMode {
        ((try? ChangeMode(FormatOptions(table: table), key: Self.modeKey, [.all, .upsert, .append])) ?? .all).changelogMode
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try decoder(table, projection: projection, metadata: [], metrics: metrics)
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        for field in table.schema { try checkJSON(field.type, column: field.name) }
        let options = FormatOptions(table: table)
        var json = JSONOptions()
        json.ignoreParseErrors = try options.bool(Self.ignoreErrorsKey)
        json.timestamps = try options.choice(Self.timestampKey, ["ISO-8601", "SQL"]) == "SQL" ? .sql : .iso8601
        var filter: NamePattern?
        if let text = options.string(Self.tableKey) {
            guard let pattern = NamePattern(field: "tableName", text) else {
                throw options.error("option '\(Self.tableKey)' = '\(text)' is not a regular expression", fix: "write a pattern of the whole name, for example 'orders_.*'", key: Self.tableKey)
            }
            filter = pattern
        }
        let wanted = try metadata.map { key in
            guard let found = DynamoDBMetadata(rawValue: key) else {
                throw StreamError(.validate, "table \(table.name): format '\(name)' has no metadata '\(key)'",
                                  fix: NearName.hint(for: key, in: DynamoDBMetadata.allCases.map(\.rawValue)))
            }
            return found
        }
        return try DynamoDBDecoder(schema: table.schema, projection: projection, mode: ChangeMode(options, key: Self.modeKey, [.all, .upsert, .append]), filter: filter, metadata: wanted,
                                   options: json, metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        throw StreamError(.validate, "table \(table.name): format '\(name)' is read only", fix: "write with 'debezium-json' or 'json'",
                          at: table.optionLocations["format"])
    }
}

/// What a change record tells beside its item.
enum DynamoDBMetadata: String, CaseIterable {
    case eventID = "event-id", eventName = "event-name", table, sequenceNumber = "sequence-number", time = "approximate-creation-time", region
    case sizeBytes = "size-bytes", keys, row

    var type: DataType {
        switch self {
        case .eventID, .eventName, .table, .sequenceNumber, .region: .string
        case .time: .timestampLTZ(6)
        case .sizeBytes: .bigint
        case .keys, .row: .variant
        }
    }
}
