import StreamCore

/// JSON messages in which a tool for change capture says what became of the rows of a database table; read and written as a changelog.
public enum ChangeCaptureFormat: String, CaseIterable, Format {
    /// `before`, `after` and `op` (c, r, u, d) of one row.
    case debezium = "debezium-json"
    /// `data` and `old`, arrays of rows, and `type`.
    case canal = "canal-json"
    /// `data` and `old` of one row, and `type`.
    case maxwell = "maxwell-json"

    public var name: String { rawValue }
    public var producesChanges: Bool { true }
    public var findsRowPartsByName: Bool { true }

    public var optionKeys: Set<String> { JSONOptions.sharedKeys(prefix: prefix).union(ownKeys).union([modeKey]) }

    private var modeKey: String { prefix + "changelog-mode" }

    public func changelogMode(_ table: TableDescriptor) -> ChangelogMode { ((try? mode(table)) ?? .all).changelogMode }

    private func mode(_ table: TableDescriptor) throws -> ChangeMode { try ChangeMode(FormatOptions(table: table), key: modeKey, [.all, .append]) }

    var prefix: String { rawValue + "." }

    private var ownKeys: [String] {
        switch self {
        case .debezium: ["debezium-json.schema-include"]
        case .canal: ["canal-json.database.include", "canal-json.table.include"]
        case .maxwell: []
        }
    }

    public var metadataKeys: [String: DataType] { Dictionary(uniqueKeysWithValues: ChangeMetadata.all(self).map { ($0.key, $0.type) }) }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try decoder(table, projection: projection, metadata: [], metrics: metrics)
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        for field in table.schema { try checkJSON(field.type, column: field.name) }
        let options = FormatOptions(table: table)
        var filters: [NamePattern] = []
        if self == .canal {
            for name in ["database", "table"] {
                let key = "\(prefix)\(name).include"
                guard let text = options.string(key) else { continue }
                guard let pattern = NamePattern(field: name, text) else {
                    throw options.error("option '\(key)' = '\(text)' is not a regular expression", fix: "write a pattern of the whole name, for example 'shop_.*'", key: key)
                }
                filters.append(pattern)
            }
        }
        let known = ChangeMetadata.all(self)
        let wanted = try metadata.map { key in
            guard let found = known.first(where: { $0.key == key }) else {
                throw StreamError(.validate, "table \(table.name): format '\(name)' has no metadata '\(key)'", fix: NearName.hint(for: key, in: known.map(\.key)))
            }
            return found
        }
        let json = try JSONOptions(options, prefix: prefix)
        return try ChangeDecoder(
            self, mode: mode(table), name: name, schema: table.schema, primaryKey: table.primaryKey, projection: projection, hasSchema: self == .debezium && options.bool("debezium-json.schema-include"),
            filters: filters, metadata: wanted, ignoreErrorsOption: prefix + "ignore-parse-errors", ignoreErrors: json.ignoreParseErrors, metrics: metrics
        ) { fields in
            // Bad records are counted once they are known to be wanted.
            try JSONRecordDecoder(schema: fields, projection: Array(fields.indices), options: json, metrics: OperatorMetrics())
        }
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        for field in table.schema { try checkJSON(field.type, column: field.name) }
        let options = FormatOptions(table: table)
        let key = "debezium-json.schema-include"
        if self == .debezium, try options.bool(key) {
            throw options.error("option '\(key)' is true, but messages are written without their schema", fix: "leave the option out", key: key)
        }
        return try ChangeEncoder(self, schema: table.schema, options: JSONOptions(options, prefix: prefix))
    }
}

/// Which databases or tables are wanted: a regular expression for the whole name. Names repeat, so the last answer is kept.
struct NamePattern {
    let field: String
    private let regex: Regex<AnyRegexOutput>
    private var last: [UInt8]?
    private var lastMatches = false

    init?(field: String, _ text: String) {
        guard let regex = try? Regex(text) else { return nil }
        self.field = field
        self.regex = regex
    }

    mutating func matches(_ name: UnsafeRawBufferPointer) -> Bool {
        if let last, last.elementsEqual(name) { return lastMatches }
        let text = String(decoding: name, as: UTF8.self)
        lastMatches = ((try? regex.wholeMatch(in: text)) ?? nil) != nil
        last = Array(name)
        return lastMatches
    }
}
