import StreamCore

// Where what is, from the outside in:
//
//     HudiConnector, HudiOptions, HudiSource, HudiSinkWriter   the connector; HudiTable is the read-only view for tools
//     FileRouter, UpsertBuffer, UpsertMerge, KeyIndex           which rows go to which file
//     WriteSession, Timeline, CommitMetadata, Rollback, Clean   how this format records what was done
//     BaseFileWriter, BaseFileReader, BloomFilter, KeyGenerator the content of base files
//     TableFiles, TableProperties, AvroSchema, AvroContainer    files and encodings
//
// Another format with the same division would replace the third line and parts of the fourth.

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
        Dictionary(uniqueKeysWithValues: AvroSchema.metaColumns.map { ($0, .string) })
    }

    public func validate(_ table: TableDescriptor) throws {
        try Parquet.require()
        let options = HudiOptions(table: table)
        let files = try options.files()
        _ = try options.writeConfiguration()
        _ = try options.commitInterval()
        _ = try options.retainedCommits()
        let stored = try AvroSchema.stored(table.schema)
        // A declaration that is only read from may leave columns out; what it can do is checked when it is used.
        if try TableProperties.load(files) == nil { _ = try options.properties(stored: stored) }
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try Parquet.require()
        let options = HudiOptions(table: table)
        var files = try options.files()
        files.host = host
        files.reached = reached
        let configuration = try options.writeConfiguration()
        let properties = try options.agreedProperties(files, stored: configuration.stored)
        return HudiSink(session: WriteSession(files: files, properties: properties, retainedCommits: try options.retainedCommits()),
                        configuration: configuration,
                        commitInterval: try options.commitInterval())
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try Parquet.require()
        return HudiSource(files: try HudiOptions(table: table).files(), table: table, scan: scan)
    }
}

/// Writes a Hudi table: rows become files of a pending commit, which the committer completes.
struct HudiSink: TableSink {
    let session: WriteSession
    let configuration: WriteConfiguration
    let commitInterval: Duration?

    /// The format has one writer per table.
    var maxParallelism: Int? { 1 }
    var acceptsChanges: Bool { configuration.operation == .upsert }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        precondition(context.parallelism == 1, "a Hudi sink has one writer, not \(context.parallelism)")
        return try HudiSinkWriter(session: session, configuration: configuration, context: context)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { try HudiCommitter(session) }
}
