import LakeTable
import StreamCore

// Where what is, from the outside in:
//
//     IcebergConnector, IcebergOptions, IcebergSource         the connector; IcebergTable is the read-only view for tools
//     IcebergCommitLog, SnapshotProducer, PreparedSnapshot    how this format records what was done
//     IcebergFiles, FileMetrics                               data files
//     MetadataFolder, TableMetadata, IcebergSchema, JSON      metadata files
//     ManifestStore, Manifest, AvroValue, Deflate             manifests
//
// Which rows go to which file is decided by LakeTable, for all formats.

/// Tables with `'connector' = 'iceberg'`: Apache Iceberg tables of format version 2 in a folder, written by copy-on-write.
///
///     read      bounded: the newest snapshot, or the one that 'snapshot-id' or 'as-of-timestamp' name
///     write     'write.operation' = upsert (default with a primary key), insert or bulk_insert; one writer of ours per table
///     commit    one snapshot per checkpoint, or per 'write.commit.interval' and at the end of input
///     recover   commits that a checkpoint names are completed after a crash unless they are there, all others are undone
public struct IcebergConnector: TableConnector {
    public let identifier = "iceberg"
    /// Makes all changes of the disk, and tells the time.
    let host: Host
    /// For tests: called after each step of a write.
    let reached: @Sendable (WriteStep) throws -> Void

    public init(host: Host = .system) { self.init(host: host, reached: { _ in }) }

    init(host: Host = .system, reached: @escaping @Sendable (WriteStep) throws -> Void) {
        self.host = host
        self.reached = reached
    }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { IcebergOption.all.union(LookupOptions.keys) }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        let layout = "files are laid out in a way of their own", following = "a table is read as it is when the job starts"
        return [
            .init("write.distribution-mode", "rows go to the file that their key or partition has"), .init("write-parallelism", "the parallelism of the job counts"),
            .init("write.parallelism", "the parallelism of the job counts"), .init("write.parquet.", layout), .init("write.avro.", layout), .init("write.orc.", layout),
            .init("write.metadata.", layout), .init("write.summary-partition-limit", layout), .init("write.spark.", layout),
            .init("write.delete.mode", "files are rewritten", usual: ["copy-on-write"]), .init("write.update.mode", "files are rewritten", usual: ["copy-on-write"]),
            .init("write.merge.mode", "files are rewritten", usual: ["copy-on-write"]), .init("read.", "files are read one after another"),
            .init("commit.retry.", "a commit that meets another is made again"), .init("commit.status-check.", "a commit that meets another is made again"),
            .init("engine.hive.enabled", "there is no metastore", usual: ["false"]), .init("gc.enabled", "'history.expire.*' says what is kept", usual: ["true"]),
            .init("cache-enabled", "metadata are read when they are asked for"), .init("clients", "there is no metastore"),
            .init("split-", layout), .init("history.expire.max-ref-age-ms", "the table has one branch"),
            .init("streaming", following, .refused(fix: "read the changes from 'connector' = 'hudi' with 'read.streaming.enabled' = 'true', or start the job again for new snapshots"), usual: ["false"]),
            .init("monitor-interval", following), .init("starting-strategy", following, .refused(fix: "leave it out, or write 'snapshot-id' or 'as-of-timestamp'"), usual: ["table_scan_then_incremental"]),
            .init("start-snapshot-id", following, .refused(fix: "write 'snapshot-id'")), .init("end-snapshot-id", following, .refused(fix: "write 'snapshot-id'")),
            .init("branch", "the table has one branch", .refused(fix: "leave it out"), usual: ["main"]), .init("tag", "tags are not read", .refused(fix: "write 'snapshot-id'")),
        ]
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] { [RowColumns.metadataKey: .variant] }

    /// `row`: the image of each row, whose fields become columns of the table; it is written only.
    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { [RowColumns.metadataKey] }

    private func metadata(_ files: TableFiles) throws -> TableMetadata? {
        let folder = MetadataFolder(files: files)
        return try folder.newest().map { try folder.load($0.path) }
    }

    public func validate(_ table: TableDescriptor) throws {
        try Parquet.require()
        let options = IcebergOptions(table)
        let files = try options.files()
        _ = try options.commitInterval()
        // A declaration that is only read from may leave columns out; what it can do is checked when it is used.
        if try options.asOf() == .newest, try MetadataFolder(files: files).newest() == nil {
            _ = try options.writeConfiguration(nil)
            _ = try options.upkeep(nil)
        }
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try Parquet.require()
        let options = IcebergOptions(table)
        guard try options.asOf() == .newest else {
            throw StreamError(.validate, "table \(table.name) is declared as of an old snapshot, and cannot be written", fix: "declare it without 'snapshot-id' and 'as-of-timestamp'")
        }
        var files = try options.files()
        files.host = host
        files.reached = reached
        let metadata = try metadata(files)
        let configuration = try options.writeConfiguration(metadata)
        let log = IcebergCommitLog(files: files, draft: try options.draft(), upkeep: try options.upkeep(metadata), keys: configuration.operation.findsKeys ? configuration.keys : nil, replacesFiles: configuration.operation.replaces)
        return LakeSink(log: log, configuration: configuration, commitInterval: try options.commitInterval())
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try Parquet.require()
        if let column = scan.metadata.map({ table.metadata[$0] }).first {
            throw StreamError(.validate, "table \(table.name): column \(column.name) (METADATA FROM '\(column.key)') can be written, not read",
                              fix: "select the columns that the table has got: swiftwater table show \(table.options[LakeOptions.path] ?? "PATH")")
        }
        let options = IcebergOptions(table)
        return IcebergSource(files: try options.files(), table: table, scan: scan, asOf: try options.asOf())
    }

    public func usesFilter(on column: Int, of table: TableDescriptor) -> Bool { FilePruning.canPrune(table.schema[column].type) }
}

extension IcebergConnector: TimeTravelConnector {
    public func table(_ table: TableDescriptor, asOf milliseconds: Int64) throws -> TableDescriptor {
        if let option = [IcebergOption.snapshotID, IcebergOption.asOfTimestamp].first(where: { table.options[$0] != nil }) {
            throw StreamError(.validate, "table \(table.name) is declared with '\(option)', and asked for as of another time",
                              fix: "leave out the option, or FOR SYSTEM_TIME AS OF", at: table.optionLocations[option])
        }
        var table = table
        table.options[IcebergOption.asOfTimestamp] = String(milliseconds)
        return table
    }
}

extension IcebergConnector: LookupConnector {
    /// The newest snapshot is kept as a whole, and read again when there is another.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        try Parquet.require()
        let options = IcebergOptions(table)
        let files = try options.files(), asOf = try options.asOf()
        let scan = ScanRequest(projection: request.projection, timeZone: request.timeZone)
        return .whole(ScannedTable(
            version: { try MetadataFolder(files: files).newest()?.path ?? "" },
            source: { IcebergSource(files: files, table: table, scan: scan, asOf: asOf) }))
    }
}
