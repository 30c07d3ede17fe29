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

    public func encoder(_ table: TableDescriptor) throws -> any RecordEncoder { throw readOnly(table) }
    public func fileEncoder(_ table: TableDescriptor) throws -> any FileEncoder { throw readOnly(table) }

    private func readOnly(_ table: TableDescriptor) -> StreamError {
        StreamError(.validate, "table \(table.name): format '\(name)' is read only", fix: "write with 'csv', 'json' or a table format",
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
    /// Messages are `{"data": {...}, "metadata": {"operation": ...}}`, as DMS sends them to streams.
    let hasEnvelope: Bool
    var csv = CSVOptions()
    let table: TableDescriptor

    static let fullLoadPrefixKey = DMSFormat.prefix + "full-load.prefix", fullLoadPrefix = "LOAD"

    static let keys: Set<String> = Set([
        "file-format", "changelog-mode", "op-column", "timestamp-column", "full-load.prefix", "full-load.op-column", "ignore-parse-errors", "csv.header",
        "csv.field-delimiter", "csv.quote-character", "csv.escape-character", "csv.null-literal", "csv.timestamp-position", "json.envelope",
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
        hasEnvelope = try options.bool(key("json.envelope"))
        guard !hasEnvelope || fileFormat == .json else {
            throw options.error("option '\(key("json.envelope"))' is true, but the format is \(fileFormat.rawValue)", fix: "set '\(key("file-format"))' = 'json'", key: key("json.envelope"))
        }
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
    let hasEnvelope: Bool
    /// Where whole records are in the projection.
    var whole: Int { projection.count }

    /// The fields of messages that are envelopes.
    let envelope: Schema

    /// The columns that are read, out of envelopes, and which of them they are: not those that tell of a table's definition.
    func unwrapped(_ found: Batch) -> (Batch, rowOf: [Int32]) {
        let tells = found.columns[0].children, data = found.columns[1]
        let ops = ColumnBuilder(type: .string, capacity: found.physicalCount)
        var rowOf: [Int32] = []
        for row in 0..<found.physicalCount {
            if tells[1].isValid(row), tells[1].bytes(at: row).elementsEqual("control".utf8) { continue }
            rowOf.append(Int32(truncatingIfNeeded: row))
            guard tells[0].isValid(row) else {
                ops.append(string: "none")
                continue
            }
            let word = String(decoding: tells[0].bytes(at: row), as: UTF8.self)
            ops.append(string: ["insert": "I", "load": "I", "update": "U", "delete": "D"][word] ?? word)
        }
        let last = hasWhole ? data.children.count - 1 : data.children.count
        var parts = Array(data.children.prefix(last))
        if projection.count > 1 + last { parts += [Column](repeating: tells[2], count: projection.count - 1 - last) }
        if hasWhole { parts.append(data.children[last]) }
        if rowOf.count < found.physicalCount {
            parts = rowOf.withUnsafeBufferPointer { rows in
                parts.map { part in rows.baseAddress.map { part.gather($0, count: rows.count) } ?? ColumnBuilder(type: part.type).finish() }
            }
        }
        return (Batch(columns: [ops.finish()] + parts, physicalCount: rowOf.count), rowOf)
    }

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
        hasEnvelope = options.hasEnvelope
        var outputs: [Output] = wanted.indices.map { .column(1 + $0) }
        for key in metadata {
            switch key {
            case "op": outputs.append(.op)
            case WholeRecord.key: outputs.append(.whole)
            case "timestamp":
                if hasEnvelope {
                    // Not read by its place: see ``envelope``.
                    outputs.append(.timestamp(places.count))
                    places.append(0)
                    continue
                }
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
        let image = wanted.map { Field(table.schema[$0].name, table.schema[$0].type) } + (metadata.contains(WholeRecord.key) ? [WholeRecord.field] : [])
        envelope = [Field("metadata", .row([Field("operation", .string), Field("record-type", .string), Field("timestamp", .string)])), Field("data", .row(image))]
        hasWhole = metadata.contains(WholeRecord.key)
    }
}
