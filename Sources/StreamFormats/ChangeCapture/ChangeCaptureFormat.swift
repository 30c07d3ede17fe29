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

    public var optionKeys: Set<String> { JSONOptions.sharedKeys(prefix: prefix).union(ownKeys) }

    var prefix: String { rawValue + "." }

    private var ownKeys: [String] {
        switch self {
        case .debezium: ["debezium-json.schema-include"]
        case .canal: ["canal-json.database.include", "canal-json.table.include"]
        case .maxwell: []
        }
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
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
        return try ChangeDecoder(
            self, schema: table.schema, projection: projection, hasSchema: self == .debezium && options.bool("debezium-json.schema-include"),
            filters: filters, options: JSONOptions(options, prefix: prefix), metrics: metrics)
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
