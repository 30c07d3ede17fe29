import LakeTable
import StreamCore

// Where what is, from the outside in:
//
//     HudiConnector, HudiOptions, HudiSource                    the connector; HudiTable is the read-only view for tools
//     WriteSession, Timeline, CommitMetadata, Rollback, Clean   how this format records what was done
//     HudiFiles, BloomFilter                                    what it adds to base files
//     TableProperties, AvroSchema, AvroContainer                encodings
//
// Which rows go to which file is decided by LakeTable, for all formats.

/// Tables with `'connector' = 'hudi'`: Apache Hudi copy-on-write tables on a local disk.
///
///     read      bounded: the newest committed snapshot, fixed when the splits are first asked for
///     write     'write.operation' = upsert (default), insert or bulk_insert; one writer per table
///     commit    one instant per checkpoint, or per 'write.commit.interval' and at the end of input
///     recover   instants that a checkpoint names are completed after a crash, all others are rolled back
public struct HudiConnector: TableConnector {
    public let identifier = "hudi"
    /// Makes all changes of the disk, and tells the time that instants are named after.
    let host: Host
    /// For tests: called after each step of a write.
    let reached: @Sendable (WriteStep) throws -> Void

    public init(host: Host = .system) { self.init(host: host, reached: { _ in }) }

    init(host: Host = .system, reached: @escaping @Sendable (WriteStep) throws -> Void) {
        self.host = host
        self.reached = reached
    }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { HudiOption.all.union(LookupOptions.keys) }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] {
        Dictionary(uniqueKeysWithValues: AvroSchema.metaColumns.map { ($0, .string) } + [(RowColumns.metadataKey, .variant)])
    }

    /// `row`: the image of each row, whose fields become columns of the table; it is written only.
    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { [RowColumns.metadataKey] }

    public func validate(_ table: TableDescriptor) throws {
        try Parquet.require()
        let options = HudiOptions(table: table)
        let files = try options.files()
        try options.checkWriting()
        _ = try options.commitInterval()
        _ = try options.retainedCommits()
        let stored = try StoredTypes.stored(table.schema)
        // A declaration that is only read from may leave columns out; what it can do is checked when it is used.
        if try TableProperties.load(files) == nil { _ = try options.properties(stored: stored) }
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try Parquet.require()
        let options = HudiOptions(table: table)
        var files = try options.files()
        files.host = host
        files.reached = reached
        let properties = try options.agreedProperties(files, stored: try StoredTypes.stored(table.schema))
        let configuration = try options.writeConfiguration(properties)
        let session = WriteSession(files: files, properties: properties, retainedCommits: try options.retainedCommits())
        return LakeSink(log: session, configuration: configuration, commitInterval: try options.commitInterval())
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try Parquet.require()
        if let column = scan.metadata.map({ table.metadata[$0] }).first(where: { $0.key == RowColumns.metadataKey }) {
            throw StreamError(.validate, "table \(table.name): column \(column.name) (METADATA FROM 'row') can be written, not read",
                              fix: "select the columns that the table has got: swiftwater table show \(table.options[HudiOption.path] ?? "PATH")")
        }
        return HudiSource(files: try HudiOptions(table: table).files(), table: table, scan: scan)
    }
}
