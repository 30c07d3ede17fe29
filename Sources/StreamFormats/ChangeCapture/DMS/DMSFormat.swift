import StreamCore

/// `'format' = 'dms'`: what AWS Database Migration Service writes of a table to object storage, read as a changelog of upserts.
///
///     LOAD00000001.csv            101,Smith,2021-06-04
///     20210607-121314567.csv      U,101,Smythe,2021-06-07
///                                 D,102,Jones,2021-06-05
///
/// A column says what became of a row: I, U or D; a row without it is one of the full load, an insert. Files of the full load are read
/// before the others, all of them in the order of their names. Files are CSV with or without a header, JSON lines, or Parquet.
public struct DMSFormat: FileFormat {
    public init() {}

    static let prefix = "dms."
    public var name: String { "dms" }
    public var producesChanges: Bool { true }
    public var findsRowPartsByName: Bool { true }
    public var optionKeys: Set<String> { DMSOptions.keys }
    public var metadataKeys: [String: DataType] { ["op": .string, "timestamp": .timestamp(6), WholeRecord.key: .variant] }

    public func changelogMode(_ table: TableDescriptor) -> ChangelogMode { (try? DMSOptions(table))?.mode.changelogMode ?? .upsert }
    public func fileOrder(_ table: TableDescriptor) -> FileOrder? { FileOrder(firstPrefix: table.options[DMSOptions.fullLoadPrefixKey] ?? DMSOptions.fullLoadPrefix) }

    public func readsWholeFiles(_ table: TableDescriptor) -> Bool { (try? DMSOptions(table))?.fileFormat == .parquet }

    public func validateFiles(_ table: TableDescriptor) throws {
        let options = try DMSOptions(table)
        try options.parquet().validateFiles(DMSLayout(table, projection: Array(table.schema.indices), metadata: [], options).inner)
    }

    public func fileReader(_ path: String, table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any FileReader {
        let options = try DMSOptions(table), layout = try DMSLayout(table, projection: projection, metadata: metadata, options)
        let rows = try options.parquet().fileReader(path, table: layout.inner, projection: layout.projection, metadata: layout.hasWhole ? [WholeRecord.key] : [],
                                                    metrics: metrics)
        return DMSFileReader(path: path, rows: rows, changes: DMSRows(layout, options), metrics: metrics, ignoreErrors: options.ignoreErrors)
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder {
        try decoder(table, projection: projection, metadata: [], metrics: metrics)
    }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        let options = try DMSOptions(table), layout = try DMSLayout(table, projection: projection, metadata: metadata, options)
        return try DMSDecoder(layout, options, metrics: metrics)
    }

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder {
        throw StreamError(.validate, "table \(table.name): format '\(name)' is read only", fix: "write with 'csv', 'json' or a table format",
                          at: table.optionLocations["format"])
    }
}

/// Options of `'format' = 'dms'`.
struct DMSOptions {
    enum FileFormat: String, CaseIterable { case csv, json, parquet }

    let fileFormat: FileFormat
    let mode: ChangeMode
    let opColumn: String
    let timestampColumn: String?
    /// CSV without a header has the timestamp behind the table's columns, and not before them.
    let timestampIsLast: Bool
    let fullLoadPrefix: String
    /// Files of the full load have the Op column, too: in CSV without a header that does not show.
    let fullLoadHasOp: Bool
    let ignoreErrors: Bool
    var csv = CSVOptions()
    let table: TableDescriptor

    static let fullLoadPrefixKey = DMSFormat.prefix + "full-load.prefix", fullLoadPrefix = "LOAD"

    static let keys: Set<String> = Set([
        "file-format", "changelog-mode", "op-column", "timestamp-column", "full-load.prefix", "full-load.op-column", "ignore-parse-errors", "csv.header",
        "csv.field-delimiter", "csv.quote-character", "csv.escape-character", "csv.null-literal", "csv.timestamp-position",
    ].map { DMSFormat.prefix + $0 })

    init(_ table: TableDescriptor) throws {
        let options = FormatOptions(table: table)
        self.table = table
        func key(_ name: String) -> String { DMSFormat.prefix + name }
        fileFormat = FileFormat(rawValue: try options.choice(key("file-format"), FileFormat.allCases.map(\.rawValue)))!
        mode = try ChangeMode(options, key: key("changelog-mode"), [.upsert, .append])
        opColumn = options.string(key("op-column")) ?? "Op"
        timestampColumn = options.string(key("timestamp-column"))
        timestampIsLast = try options.choice(key("csv.timestamp-position"), ["after-op", "last"]) == "last"
        fullLoadPrefix = options.string(Self.fullLoadPrefixKey) ?? Self.fullLoadPrefix
        fullLoadHasOp = try options.bool(key("full-load.op-column"))
        ignoreErrors = try options.bool(key("ignore-parse-errors"))
        if let character = try options.character(key("csv.field-delimiter")) { csv.delimiter = character }
        if let character = try options.character(key("csv.quote-character")) { csv.quote = character }
        csv.escape = try options.character(key("csv.escape-character"))
        csv.nullLiteral = Array((options.string(key("csv.null-literal")) ?? "NULL").utf8)
        csv.emptyIsNull = true
        csv.header = try options.bool(key("csv.header"))
        csv.columnsByName = csv.header
        csv.ignoreParseErrors = ignoreErrors
        csv.control = Set([opColumn] + (timestampColumn.map { [$0] } ?? []))
        if table.schema.contains(where: { $0.name == opColumn }) {
            throw options.error("column \(opColumn) is the one that '\(key("op-column"))' names, which is not part of rows",
                                fix: "leave it out; declare op STRING METADATA VIRTUAL to read it", key: key("op-column"))
        }
        for field in table.schema where fileFormat == .csv { try CSVOptions.check(field.type, column: field.name) }
        for field in table.schema where fileFormat == .json { try checkJSON(field.type, column: field.name) }
    }

    func parquet() throws -> any StreamFormats.FileFormat {
        guard let format = FormatFactory.formats["parquet"] as? any StreamFormats.FileFormat else {
            throw FormatOptions(table: table).error("this build reads no Parquet files", fix: "use a build with Parquet, or 'csv' or 'json'", key: DMSFormat.prefix + "file-format")
        }
        return format
    }
}

/// A file's columns, and which of them make up what is wanted.
struct DMSLayout {
    /// The table as its files hold it: the control columns, then the others.
    let inner: TableDescriptor
    /// Columns of `inner` to read: Op, the wanted ones, then what metadata needs.
    let projection: [Int]
    /// For each output column, where it is in the projection.
    let outputs: [Output]
    let hasWhole: Bool
    /// Where whole records are in the projection.
    var whole: Int { projection.count }

    enum Output { case column(Int), op, timestamp(Int?), whole }

    init(_ table: TableDescriptor, projection wanted: [Int], metadata: [String], _ options: DMSOptions) throws {
        var before = [Field(options.opColumn, .string)], after: Schema = []
        // A timestamp that is a column of the table, too, is where the table has it.
        if let name = options.timestampColumn, !table.schema.contains(where: { $0.name == name }) {
            if options.timestampIsLast { after.append(Field(name, .string)) } else { before.append(Field(name, .string)) }
        }
        let schema = before + table.schema + after
        var copy = table
        copy.schema = schema
        copy.metadata = []
        copy.primaryKey = []
        copy.options = ["format": options.fileFormat.rawValue]
        copy.optionLocations = [:]
        inner = copy
        var places = [0] + wanted.map { before.count + $0 }
        var outputs: [Output] = wanted.indices.map { .column(1 + $0) }
        for key in metadata {
            switch key {
            case "op": outputs.append(.op)
            case WholeRecord.key: outputs.append(.whole)
            case "timestamp":
                guard let name = options.timestampColumn, let column = schema.firstIndex(where: { $0.name == name }) else {
                    throw StreamError(.validate, "table \(table.name): metadata 'timestamp' needs the name of the column that holds it",
                                      fix: "set '\(DMSFormat.prefix)timestamp-column', for example to 'last_update_time'")
                }
                outputs.append(.timestamp(places.count))
                places.append(column)
            default:
                throw StreamError(.validate, "table \(table.name): format 'dms' has no metadata '\(key)'", fix: NearName.hint(for: key, in: DMSFormat().metadataKeys.keys))
            }
        }
        self.outputs = outputs
        self.projection = places
        hasWhole = metadata.contains(WholeRecord.key)
    }
}
