import LakeTable
import StreamCore

// Where what is, from the outside in:
//
//     DeltaConnector, DeltaOptions, DeltaSource          the connector; DeltaTable is the read-only view for tools
//     DeltaLog, PreparedCommit, DeltaFiles, Upkeep       how this format records what was done
//     DeltaSnapshot, Checkpoint, Actions, DeltaSchema    what the log says
//     FileStatistics, FileSkipping, PartitionValues      what it says of a file's values
//     ProtocolCheck                                      what is refused
//
// Which rows go to which file is decided by LakeTable, for all formats.

/// Tables with `'connector' = 'delta'`: Delta Lake tables on a local disk or an object store, written by copy-on-write.
///
///     read      bounded: the newest version, or the one that 'versionAsOf' or 'timestampAsOf' name
///     write     'write.operation' = upsert (default with a primary key), insert or bulk_insert; one writer of ours per table
///     commit    one version per checkpoint, or per 'write.commit.interval' and at the end of input
///     recover   commits that a checkpoint names are completed after a crash unless they are on the log, all others are undone
public struct DeltaConnector: TableConnector {
    public let identifier = "delta"
    /// Makes all changes of the disk, and tells the time.
    let host: Host
    /// For tests: called after each step of a write.
    let reached: @Sendable (WriteStep) throws -> Void

    public init(host: Host = .system) { self.init(host: host, reached: { _ in }) }

    init(host: Host = .system, reached: @escaping @Sendable (WriteStep) throws -> Void) {
        self.host = host
        self.reached = reached
    }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { DeltaOption.all.union(LookupOptions.keys) }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        [
            .init("table-path", "the option is called 'path' here", .refused(fix: "write 'path'")),
            .init("mode", "a table is read as it is when the job starts", .refused(fix: "start the job again for new versions"), usual: ["batch"]),
            .init("delta.autoOptimize.", "small files take the next rows"), .init("delta.dataSkippingNumIndexedCols", "statistics are taken of all columns"),
            .init("delta.parquet.", "files are laid out in a way of their own"),
        ]
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] { [RowColumns.metadataKey: .variant] }

    /// `row`: the image of each row, whose fields become columns of the table; it is written only.
    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { [RowColumns.metadataKey] }

    public func validate(_ table: TableDescriptor) throws {
        try Parquet.require()
        let options = DeltaOptions(table: table)
        let files = try options.files()
        _ = try options.commitInterval()
        let asOf = try options.asOf()
        // A declaration that is only read from may leave columns out; what it can do is checked when it is used.
        if asOf == .newest, try LogListing(files).versions.isEmpty { _ = try options.writeConfiguration(try options.plan()) }
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        try Parquet.require()
        let options = DeltaOptions(table: table)
        var files = try options.files()
        files.host = host
        files.reached = reached
        let plan = try options.plan(), configuration = try options.writeConfiguration(plan)
        if let snapshot = try DeltaSnapshot.load(files) {
            try ProtocolCheck.requireWritable(snapshot, table: files.root)
            try plan.requireFit(snapshot.metadata, table: files.root)
            _ = try DeltaSchema.evolve(table: try snapshot.schema().columns, writer: plan.stored, name: table.name,
                                        missing: configuration.nullForMissing)
        }
        return LakeSink(log: DeltaLog(files: files, plan: plan), configuration: configuration, commitInterval: try options.commitInterval())
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        try Parquet.require()
        if let column = scan.metadata.map({ table.metadata[$0] }).first(where: { $0.key == RowColumns.metadataKey }) {
            throw StreamError(.validate, "table \(table.name): column \(column.name) (METADATA FROM 'row') can be written, not read",
                              fix: "select the columns that the table has got: swiftwater table show \(table.options[LakeOptions.path] ?? "PATH")")
        }
        let options = DeltaOptions(table: table)
        return DeltaSource(files: try options.files(), table: table, scan: scan, asOf: try options.asOf())
    }

    public func usesFilter(on column: Int, of table: TableDescriptor) -> Bool { FileSkipping.canSkip(table.schema[column].type) }
}

extension DeltaConnector: TimeTravelConnector {
    public func table(_ table: TableDescriptor, asOf milliseconds: Int64) throws -> TableDescriptor {
        if let option = [DeltaOption.versionAsOf, DeltaOption.timestampAsOf].first(where: { table.options[$0] != nil }) {
            throw StreamError(.validate, "table \(table.name) is declared with '\(option)', and asked for as of another time",
                              fix: "leave out the option, or FOR SYSTEM_TIME AS OF", at: table.optionLocations[option])
        }
        var table = table
        table.options[DeltaOption.timestampAsOf] = DateTimeText.timestamp(milliseconds, precision: 3)
        return table
    }
}

extension DeltaConnector: LookupConnector {
    /// The newest version is kept as a whole, and read again when there is another.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        try Parquet.require()
        let options = DeltaOptions(table: table)
        let files = try options.files(), asOf = try options.asOf()
        let scan = ScanRequest(projection: request.projection, timeZone: request.timeZone)
        return .whole(ScannedTable(
            version: { try DeltaSource(files: files, table: table, scan: scan, asOf: asOf).splits().map(\.id).sorted().joined(separator: "\n") },
            source: { DeltaSource(files: files, table: table, scan: scan, asOf: asOf) }))
    }
}
