import LakeTable
import StreamCore

// Where what is, from the outside in:
//
//     HudiConnector, HudiOptions, ReadOptions                   the connector; HudiTable is the read-only view for tools
//     HudiSource, TableHistory, RecordKeyLookup                 snapshots, time travel, rows since an instant, point queries
//     ChangeStreamSource, ChangePosition, FileGroupChanges      a table as a stream of changes
//     WriteSession, Timeline, CommitMetadata, Rollback, Clean   how this format records what was done
//     TableMaintenance: Savepoint, Restore, ClusteringPlan      what is done to tables from outside of jobs
//     HudiFiles, BloomFilter                                    what it adds to base files
//     TableProperties, AvroSchema, AvroContainer                encodings
//
// Which rows go to which file is decided by LakeTable, for all formats.

/// Tables with `'connector' = 'hudi'`: Apache Hudi copy-on-write tables on a local disk or on S3.
///
///     read      bounded: the newest committed snapshot, fixed when the splits are first asked for; the one as of
///               'read.as-of-instant'; rows written after 'read.start-commit' until 'read.end-commit'
///               unbounded: the snapshot and then each commit's changes, with 'read.streaming.enabled'
///     write     'write.operation' = upsert (default), insert, bulk_insert, delete, insert_overwrite, insert_overwrite_table or
///               delete_partition; one writer per table
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

    public func optionKeys(for table: TableDescriptor) -> Set<String> { HudiOption.all.union(ReadOption.all).union(LookupOptions.keys).union(TableFiles.storageOptions) }

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
        _ = try options.readMode()
        _ = try options.commitInterval()
        _ = try options.cleaning()
        let stored = try StoredTypes.stored(table.schema)
        // A declaration that is only read from may leave columns out; what it can do is checked when it is used.
        if try TableProperties.load(files) == nil { _ = try options.properties(stored: stored) }
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { try sink(for: table) { _, _ in } }

    func sink(for table: TableDescriptor, adjust: (inout WriteConfiguration, TableProperties) throws -> Void) throws -> any TableSink {
        try Parquet.require()
        let options = HudiOptions(table: table)
        var files = try options.files()
        files.host = host
        files.reached = reached
        let properties = try options.agreedProperties(files, stored: try StoredTypes.stored(table.schema))
        var configuration = try options.writeConfiguration(properties)
        try adjust(&configuration, properties)
        let session = WriteSession(files: files, properties: properties, cleaning: try options.cleaning())
        return LakeSink(log: session, configuration: configuration, commitInterval: try options.commitInterval())
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try Parquet.require()
        if let column = scan.metadata.map({ table.metadata[$0] }).first(where: { $0.key == RowColumns.metadataKey }) {
            throw StreamError(.validate, "table \(table.name): column \(column.name) (METADATA FROM 'row') can be written, not read",
                              fix: "select the columns that the table has got: swiftwater table show \(table.options[HudiOption.path] ?? "PATH")")
        }
        return try reading(table, scan)
    }
}
