import StreamCore

/// Options of `'format' = 'csv'`, as Flink names them, and one of ours: `csv.header`.
public struct CSVOptions: Sendable {
    public var delimiter = UInt8(ascii: ",")
    /// nil = no quoting.
    public var quote: UInt8? = UInt8(ascii: "\"")
    public var escape: UInt8?
    /// Text that stands for NULL; nil = nothing does when reading, and NULL is written as nothing.
    public var nullLiteral: [UInt8]?
    public var ignoreParseErrors = false
    /// Lines that begin with `#` are skipped.
    public var allowComments = false
    public var arrayDelimiter: [UInt8] = [UInt8(ascii: ";")]
    /// The first line of a file holds names: skipped when reading, written when writing.
    public var header = false
    /// Columns are found by the names in the header; those that a file lacks are NULL. Else they are found by their places.
    public var columnsByName = false
    /// An empty field of a type other than text is NULL.
    var emptyIsNull = false
    /// Names that are left out of whole records.
    var control: Set<String> = []

    public init() {}

    static let keys: Set<String> = [
        "csv.field-delimiter", "csv.quote-character", "csv.disable-quote-character", "csv.escape-character", "csv.null-literal",
        "csv.ignore-parse-errors", "csv.allow-comments", "csv.array-element-delimiter", "csv.write-bigdecimal-in-scientific-notation", "csv.header", "csv.header.columns",
    ]

    init(_ options: FormatOptions) throws {
        if let character = try options.character("csv.field-delimiter") { delimiter = character }
        if let character = try options.character("csv.quote-character") {
            quote = character
        }
        if try options.bool("csv.disable-quote-character") {
            guard options.string("csv.quote-character") == nil else {
                throw options.error("options 'csv.quote-character' and 'csv.disable-quote-character' contradict each other", fix: "leave out one of them",
                                    key: "csv.disable-quote-character")
            }
            quote = nil
        }
        escape = try options.character("csv.escape-character")
        nullLiteral = options.string("csv.null-literal").map { Array($0.utf8) }
        ignoreParseErrors = try options.bool("csv.ignore-parse-errors")
        allowComments = try options.bool("csv.allow-comments")
        if let text = options.string("csv.array-element-delimiter") {
            guard !text.isEmpty else {
                throw options.error("option 'csv.array-element-delimiter' is empty", fix: "write the text that separates elements, for example ';'",
                                    key: "csv.array-element-delimiter")
            }
            arrayDelimiter = Array(text.utf8)
        }
        // Decimals are always written plainly: the value is only checked.
        _ = try options.bool("csv.write-bigdecimal-in-scientific-notation", default: true)
        header = try options.bool("csv.header")
        columnsByName = try options.choice("csv.header.columns", ["position", "name"]) == "name"
        if columnsByName, !header {
            throw options.error("option 'csv.header.columns' is 'name', but files have no header", fix: "set 'csv.header' = 'true'", key: "csv.header.columns")
        }
        let special = [delimiter, quote, escape].compactMap { $0 }
        guard Set(special).count == special.count, !special.contains(10), !special.contains(13) else {
            throw options.error("delimiter, quote character and escape character of CSV must differ from each other and from line ends",
                                fix: "choose another 'csv.field-delimiter', 'csv.quote-character' or 'csv.escape-character'", key: "csv.field-delimiter")
        }
    }

    /// Refuses types that a CSV field cannot hold.
    static func check(_ type: DataType, column: String) throws {
        switch type {
        case .array(let element):
            guard SlotKind(element).isScalar else { throw refusal(type, column) }
        case .row(let fields):
            guard fields.allSatisfy({ SlotKind($0.type).isScalar }) else { throw refusal(type, column) }
        case .map: throw refusal(type, column)
        default: break
        }
    }

    private static func refusal(_ type: DataType, _ column: String) -> StreamError {
        StreamError(.validate, "column \(column): CSV has no form for \(type)", fix: "use 'format' = 'json', or a STRING column")
    }
}

extension SlotKind {
    var isScalar: Bool { self != .array && self != .map && self != .row }
}

/// `'format' = 'csv'`.
public struct CSVFormat: Format {
    public init() {}
    public var name: String { "csv" }
    public var optionKeys: Set<String> { CSVOptions.keys }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try CSVRecordDecoder(schema: table.schema, projection: projection, options: CSVOptions(FormatOptions(table: table)), metrics: metrics)
    }

    public var metadataKeys: [String: DataType] { [WholeRecord.key: .variant] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        let wanted = try WholeRecord.schema(table, projection, metadata, format: name)
        return try CSVRecordDecoder(schema: wanted.schema, projection: wanted.projection, options: CSVOptions(FormatOptions(table: table)), metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        try CSVRecordEncoder(schema: table.schema, options: CSVOptions(FormatOptions(table: table)))
    }
}
