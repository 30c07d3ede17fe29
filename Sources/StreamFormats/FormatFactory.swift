import StreamCore
import Synchronization

/// A way to write rows as bytes: what `'format' = '...'` names.
public protocol Format: Sendable {
    var name: String { get }
    /// Its option keys, as they stand without a prefix: `json.ignore-parse-errors`. One that ends in `.` stands for all that begin so.
    var optionKeys: Set<String> { get }
    /// Rows come as a changelog (with row kinds) rather than inserts only.
    var producesChanges: Bool { get }
    /// What rows of a table do to rows before; see ``TableSource/changelogMode``.
    func changelogMode(_ table: TableDescriptor) -> ChangelogMode
    /// In which order the files of a table are read, one behind the other; nil = side by side.
    func fileOrder(_ table: TableDescriptor) -> FileOrder?
    /// Parts of ROW columns are found by their names: a table declared with fewer of them reads the same data.
    var findsRowPartsByName: Bool { get }
    /// Records have no ends of their own: only connectors of messages can use the format, files cannot.
    var needsMessages: Bool { get }
    /// What records tell beside the rows, by key, with types: a connector of messages offers them as `value.` and the key.
    var metadataKeys: [String: DataType] { get }
    /// Options that follow from the topic that messages are in, where the table does not set them.
    func topicDefaults(topic: String, isKey: Bool) -> [String: String]
    /// - Parameters:
    ///   - table: its schema and options; the options are those of this format, without a prefix.
    ///   - projection: indices into the schema, in the order in which columns are wanted.
    /// - Throws: `.validate` for options or types that it does not take.
    func decoder(_ table: TableDescriptor, projection: [Int], metrics: OperatorMetrics) throws -> any RecordDecoder
    /// The same, with a column for each of `metadata` behind the projected ones.
    func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder
    /// Encodes batches with the columns of `table.schema`.
    func encoder(_ table: TableDescriptor) throws -> any RecordEncoder
}

extension Format {
    public var producesChanges: Bool { false }
    public func changelogMode(_ table: TableDescriptor) -> ChangelogMode { producesChanges ? .all : .insertOnly }
    public func fileOrder(_ table: TableDescriptor) -> FileOrder? { nil }
    public var findsRowPartsByName: Bool { false }
    public var needsMessages: Bool { false }
    public var metadataKeys: [String: DataType] { [:] }
    public func topicDefaults(topic: String, isKey: Bool) -> [String: String] { [:] }

    public func decoder(_ table: TableDescriptor, projection: [Int], metadata: [String], metrics: OperatorMetrics) throws -> any RecordDecoder {
        if let key = metadata.first {
            throw StreamError(.validate, "table \(table.name): format '\(name)' has no metadata '\(key)'", fix: NearName.hint(for: key, in: metadataKeys.keys))
        }
        return try decoder(table, projection: projection, metrics: metrics)
    }
}

/// Finds the format of a table and makes its decoders and encoders.
///
/// `prefix` is for connectors with several formats, as in `'value.format' = 'json', 'value.json.ignore-parse-errors' = 'true'`:
/// pass `"value."`. All functions throw `.validate` errors that name the table, the option and what to write.
public enum FormatFactory {
    private static let all = Mutex<[String: any Format]>(Dictionary(
        uniqueKeysWithValues: ([JSONFormat(), CSVFormat(), RawFormat(), AvroFormat(), ProtobufFormat(), DynamoDBFormat(), DMSFormat()] as [any Format]
            + ChangeCaptureFormat.allCases.map { $0 as any Format }).map { ($0.name, $0) }))

    /// All formats, by name.
    public static var formats: [String: any Format] { all.withLock { $0 } }

    /// Adds formats that need more than this module has, such as a client for a schema registry. One with the name of another
    /// takes its place, so that adding the same twice does no harm.
    public static func register(_ formats: [any Format]) {
        all.withLock { all in for format in formats { all[format.name] = format } }
    }

    /// Keys that a table with this format may have, `format` among them; with an unknown format only that one.
    public static func optionKeys(for format: String?, prefix: String = "") -> Set<String> {
        Set((["format"] + (format.flatMap { formats[$0.lowercased()]?.optionKeys } ?? [])).map { prefix + $0 })
    }

    /// Options of Flink's formats that do nothing here, or cannot be done, of all formats that a table may name.
    public static func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        var all: [ForeignOption] = []
        for prefix in ["", "key.", "value."] {
            switch table.options[prefix + "format"]?.lowercased() {
            case "csv":
                all += [
                    .init(prefix + "csv.trim-spaces", "fields are taken as they are", .refused(fix: "write TRIM(column) in the query"), usual: ["false"]),
                    .init(prefix + "csv.empty-string-as-null", "an empty text is a text", .refused(fix: "write NULLIF(column, '') in the query, or set 'csv.null-literal' = ''"), usual: ["false"]),
                    .init(prefix + "csv.ignore-trailing-unmappable", "a line with more fields than columns is an error", .refused(fix: "declare the columns, or set 'csv.ignore-parse-errors' = 'true'"), usual: ["false"]),
                    .init(prefix + "csv.allow-trailing-comma", "a comma begins another field", .refused(fix: "declare one column more"), usual: ["true"]),
                    .init(prefix + "csv.fail-on-missing-columns", "a line with fewer fields than columns is an error", usual: ["true"]),
                ]
            case "parquet":
                all.append(.init(prefix + "parquet.utc-timezone", "TIMESTAMP columns are stored as they are", .refusedOutsideUTC(fix: "write 'true', or SET 'table.local-time-zone' = 'UTC'"), usual: ["true"]))
                all.append(.init(prefix + "parquet.", "files are laid out in a way of their own"))
            default: break
            }
        }
        return all
    }

    public static func format(of table: TableDescriptor, prefix: String = "") throws -> any Format {
        let key = prefix + "format"
        guard let name = table.options[key] else {
            throw StreamError(.validate, "table \(table.name): the option '\(key)' is missing",
                              fix: "add '\(key)' = '...' with one of " + formats.keys.sorted().joined(separator: ", "))
        }
        guard let format = formats[name.lowercased()] else {
            throw StreamError(.validate, "table \(table.name): there is no format '\(name)'", fix: NearName.hint(for: name, in: formats.keys),
                              at: table.optionLocations[key])
        }
        return format
    }

    /// The table with those options of its format that follow from its topic: call it before a decoder or encoder is made.
    public static func withTopicDefaults(_ table: TableDescriptor, topic: String, isKey: Bool, prefix: String = "") throws -> TableDescriptor {
        var copy = table
        for (key, value) in try format(of: table, prefix: prefix).topicDefaults(topic: topic, isKey: isKey) where copy.options[prefix + key] == nil {
            copy.options[prefix + key] = value
        }
        return copy
    }

    /// Checks the format's options and types, without keeping anything.
    public static func validate(_ table: TableDescriptor, prefix: String = "") throws {
        _ = try decoder(for: table, projection: Array(table.schema.indices), metrics: OperatorMetrics(), prefix: prefix)
    }

    /// - Parameter metadata: keys of ``Format/metadataKeys``, without `value.`; their columns come after the projected ones.
    public static func decoder(for table: TableDescriptor, projection: [Int], metadata: [String] = [], metrics: OperatorMetrics,
                               prefix: String = "") throws -> any RecordDecoder {
        try format(of: table, prefix: prefix).decoder(unprefixed(table, prefix), projection: projection, metadata: metadata, metrics: metrics)
    }

    public static func encoder(for table: TableDescriptor, prefix: String = "") throws -> any RecordEncoder {
        try format(of: table, prefix: prefix).encoder(unprefixed(table, prefix))
    }

    /// The table that a format sees which has only some of a table's columns, under names of its own, and the options behind `prefix`.
    public static func table(_ table: TableDescriptor, prefix: String, columns: [(field: Field, name: String)]) -> TableDescriptor {
        var copy = unprefixed(table, prefix)
        copy.schema = columns.map { Field($0.name, $0.field.type, nullable: $0.field.nullable) }
        copy.metadata = []
        copy.primaryKey = []
        return copy
    }

    private static func unprefixed(_ table: TableDescriptor, _ prefix: String) -> TableDescriptor {
        guard !prefix.isEmpty else { return table }
        var copy = table
        copy.options = [:]
        copy.optionLocations = [:]
        for (key, value) in table.options where key.hasPrefix(prefix) {
            let short = String(key.dropFirst(prefix.count))
            copy.options[short] = value
            copy.optionLocations[short] = table.optionLocations[key]
        }
        return copy
    }
}
