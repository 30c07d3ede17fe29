import Foundation
import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// `'connector' = 'filesystem'`: files of a directory (or one file, or a glob pattern) in one of the formats.
///
/// Reading is bounded unless `source.monitor-interval` is set; then new files are found and read as they appear. With
/// `source.new-files-on-restore` a bounded job that goes on from a checkpoint reads what has come since. Each file is a
/// split, so that its rows keep their order; `source.split-size` cuts large files of line formats into several.
///
/// Of a partitioned table only the folders are read that a query's conditions leave; a catalog may give them.
public struct FilesystemConnector: PartitionedConnector, LookupConnector {
    private let host: StreamCore.Host
    /// Called for each folder that is listed.
    private let opening: @Sendable (String) -> Void

    /// - Parameter opening: told of each folder that is listed.
    public init(host: StreamCore.Host = .system, opening: @escaping @Sendable (String) -> Void = { _ in }) {
        self.host = host
        self.opening = opening
    }

    public var identifier: String { "filesystem" }

    public func optionKeys(for table: TableDescriptor) -> Set<String> {
        let own: Set = [
            "connector", "path", "format", "source.monitor-interval", "source.path.regex-pattern", "source.split-size", "source.new-files-on-restore",
            "partition.default-name", "sink.shuffle-by-partition.enable",
        ]
        return own.union(FilesystemDelivery.keys).union(BadInput.optionKeys).union(LookupOptions.keys).union(RollingPolicy.keys).union(PartitionCommit.keys).union(FormatFactory.optionKeys(for: table.options["format"]))
    }

    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] {
        [
            .init("scan.parallelism", "files are read with the parallelism of the job"), .init("sink.parallelism", "files are written with the parallelism of the job"),
            .init("auto-compaction", "small files are not merged; a longer 'execution.checkpointing.interval' makes fewer", usual: ["false"]),
            .init("compaction.file-size", "small files are not merged"), .init("compaction.parallelism", "small files are not merged"),
            .init("source.report-statistics", "plans do not depend on statistics"), .init("lookup.join.cache.ttl", "files are read again when they change"),
            .init("streaming-source.enable", "the directory is read once", .refused(fix: "write 'source.monitor-interval' = '1 min'"), usual: ["false"]),
            .init("streaming-source.monitor-interval", "the directory is read once", .refused(fix: "write 'source.monitor-interval'")),
            .init("streaming-source.", "'source.monitor-interval' says how a directory is followed"),
        ] + FormatFactory.foreignOptions(for: table)
    }

    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> {
        table.options[FilesystemDelivery.streamKey] == nil ? [] : [FilesystemDelivery.arrivalKey]
    }

    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] {
        if table.options[FilesystemDelivery.streamKey] != nil { return [FilesystemDelivery.arrivalKey: .timestampLTZ(3)] }
        return (try? FormatFactory.format(of: table)).map { FormatMetadata.readable($0, own: FileMetadata.own($0.fileOrder(table))) } ?? FileMetadata.own(nil)
    }

    public func findsRowPartsByName(_ table: TableDescriptor) -> Bool {
        (try? FormatFactory.format(of: table).findsRowPartsByName) ?? false
    }

    public func validate(_ table: TableDescriptor) throws { _ = try FilesystemPlan(table) }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        let plan = try FilesystemPlan(table)
        guard plan.delivery == nil else {
            throw TableOptions(table).error(FilesystemDelivery.streamKey, "makes the table one that is written only", fix: "read the files through another table")
        }
        return try FilesystemSource(plan: plan, scan: scan, opening: opening)
    }

    /// The whole table is kept, and read again when a file of it has come, gone or changed.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        var bounded = table
        bounded.options["source.monitor-interval"] = nil
        let plan = try FilesystemPlan(bounded)
        guard plan.format.changelogMode(plan.files) == .insertOnly else {
            throw TableOptions(table).error("format", "gives changes, which rows cannot be looked up in", fix: "use a table of rows")
        }
        guard plan.onError != .deadLetter else {
            throw TableOptions(table).error(BadInput.option, "does not work for a table that rows are looked up in", fix: "use 'skip' or 'fail'")
        }
        let scan = ScanRequest(projection: request.projection, timeZone: request.timeZone)
        return .whole(ScannedTable(
            version: { try plan.listing().files().map { "\($0.path) \($0.size) \($0.modified)" }.joined(separator: "\n") },
            source: { [opening] in try FilesystemSource(plan: plan, scan: scan, opening: opening) }))
    }

    // MARK: Partitions

    public var readsGivenPartitions: Bool { true }

    public func partitions(of table: TableDescriptor, matching filter: PartitionFilter) throws -> [TablePartition] {
        let plan = try FilesystemPlan(table)
        var listing = plan.listing(wanted: filter)
        listing.opening = opening
        guard !FileListing.isGlob(plan.path) else {
            throw TableOptions(table).error("path", "is a pattern, whose partitions cannot be listed", fix: "set 'path' to a directory")
        }
        guard StreamCore.Host.exists(plan.path) else { return [] }
        return try listing.partitionFolders().map { folder in
            let file = DataFile(path: plan.path + "/" + folder, size: 0, modified: 0, partition: listing.folders(folder))
            return TablePartition(name: folder, values: try plan.partitionColumns.map { try plan.partitionValue($0, file) }, location: folder)
        }
    }

    public func partitionFolder(_ key: String, _ text: String?, of table: TableDescriptor) -> String {
        let standsForNull = table.options["partition.default-name"] ?? FilesystemPlan.defaultPartition
        return FileListing.escape(key) + "=" + (text.map { FileListing.escape($0) } ?? standsForNull)
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { try filesystemSink(table) }

    public func sink(
        for table: TableDescriptor, timeZone: String, registering: @escaping @Sendable ([TablePartition]) throws -> Void
    ) throws -> any TableSink {
        var sink = try filesystemSink(table)
        sink.registering = registering
        return sink
    }

    private func filesystemSink(_ table: TableDescriptor) throws -> FilesystemSink {
        let plan = try FilesystemPlan(table)
        guard !FileListing.isGlob(plan.path) else {
            throw TableOptions(table).error("path", "is a pattern, which cannot be written to", fix: "set 'path' to a directory")
        }
        var makeFileEncoder: (@Sendable () throws -> any FileEncoder)?
        if let whole = plan.format as? any FileFormat, whole.readsWholeFiles(plan.files) {
            guard plan.rolling.onCheckpoint else {
                throw TableOptions(table).error("sink.rolling-policy.on-checkpoint", "is 'false', but files of format '\(plan.formatName)' cannot go on after a checkpoint",
                                                fix: "leave the option out")
            }
            _ = try whole.fileEncoder(plan.files)
            makeFileEncoder = { [files = plan.files] in try whole.fileEncoder(files) }
        }
        return FilesystemSink(
            directory: plan.path.count > 1 && plan.path.hasSuffix("/") ? String(plan.path.dropLast()) : plan.path, extension_: plan.formatName,
            acceptsChanges: plan.format.producesChanges, schema: table.schema,
            partitionColumns: plan.partitionColumns, dataColumns: plan.dataColumns, defaultPartition: plan.defaultPartition, rolling: plan.rolling,
            partitionCommit: plan.partitionCommit, distributionKeys: plan.shufflesByPartition ? plan.partitionColumns : [],
            delivery: plan.delivery, makeEncoder: { [files = plan.files, delivery = plan.delivery, host] in
                if let delivery, case .errors = delivery.use { return ErrorRecordEncoder(files.schema, errorCode: delivery.errorCode, now: host.now) }
                return try FormatFactory.encoder(for: files)
            }, makeFileEncoder: makeFileEncoder, host: host)
    }
}

/// The options of a filesystem table, checked.
struct FilesystemPlan: Sendable {
    let table: TableDescriptor
    let path: String
    let formatName: String
    let format: any Format
    /// The table as its files hold it: without partition columns.
    let files: TableDescriptor
    /// Indices into the schema: columns that are folders (in the order of PARTITIONED BY), and those in the files.
    let partitionColumns: [Int]
    let dataColumns: [Int]
    let defaultPartition: String
    let monitorInterval: Duration?
    let pattern: PathPattern?
    let splitBytes: Int?
    /// A bounded run that goes on from a checkpoint reads the files, too, that have come since.
    let readsNewFilesOnRestore: Bool
    let rolling: RollingPolicy
    let partitionCommit: PartitionCommit?
    let shufflesByPartition: Bool
    let delivery: FilesystemDelivery?
    let onError: OnError

    static let defaultPartition = "__DEFAULT_PARTITION__"

    init(_ table: TableDescriptor) throws {
        let options = TableOptions(table)
        self.table = table
        var path = try options.require("path")
        if path.hasPrefix("file://") { path = "/" + path.dropFirst(7).drop { $0 == "/" } }
        else if path.hasPrefix("file:") { path = String(path.dropFirst(5)) }
        if let scheme = path.range(of: "://") {
            throw options.error("path", "has the scheme \(path[..<scheme.lowerBound]); this build reads local files",
                                fix: "mount the storage and give its local path")
        }
        self.path = path
        format = try FormatFactory.format(of: table)
        formatName = format.name
        guard !format.needsMessages else {
            throw options.error("format", "is for messages: files in it are not supported yet", fix: "use 'json' or 'csv', or a connector of messages such as 'kafka'")
        }
        partitionColumns = try table.partitionKeys.map { key in
            guard let index = table.schema.firstIndex(where: { $0.name == key }) else {
                throw StreamError(.validate, "table \(table.name): partition column \(key) is not one of its columns",
                                  fix: NearName.hint(for: key, in: table.schema.map(\.name)))
            }
            guard PartitionValue.isSupported(table.schema[index].type) else {
                throw StreamError(.validate, "table \(table.name): a column of type \(table.schema[index].type) cannot partition it")
            }
            return index
        }
        dataColumns = table.schema.indices.filter { [partitionColumns] in !partitionColumns.contains($0) }
        guard !dataColumns.isEmpty else {
            throw StreamError(.validate, "table \(table.name): every column is a partition column, so its files would be empty")
        }
        var files = table
        files.schema = dataColumns.map { table.schema[$0] }
        files.partitionKeys = []
        self.files = files
        defaultPartition = options.string("partition.default-name") ?? Self.defaultPartition
        if let interval = try options.milliseconds("source.monitor-interval") {
            guard interval > 0 else { throw options.error("source.monitor-interval", "is not positive") }
            monitorInterval = .milliseconds(interval)
        } else {
            monitorInterval = nil
        }
        if let text = options.string("source.path.regex-pattern") {
            guard let pattern = PathPattern(text) else { throw options.error("source.path.regex-pattern", "is not a regular expression") }
            self.pattern = pattern
        } else {
            pattern = nil
        }
        if let size = try options.bytes("source.split-size") {
            guard size >= 4_096 else { throw options.error("source.split-size", "is below 4 kB") }
            guard !format.producesChanges else { throw options.error("source.split-size", "does not work with format '\(formatName)', whose rows must keep their order") }
            guard formatName == "json" else { throw options.error("source.split-size", "does not work with format '\(formatName)', whose records may hold line ends") }
            splitBytes = size
        } else {
            splitBytes = nil
        }
        readsNewFilesOnRestore = try options.bool("source.new-files-on-restore") ?? false
        if readsNewFilesOnRestore, splitBytes != nil {
            throw options.error("source.new-files-on-restore", "does not work with 'source.split-size': a file that has grown would be cut up anew", fix: "leave one of them out")
        }
        delivery = try FilesystemDelivery(options, format: format)
        rolling = try delivery?.rolling ?? RollingPolicy(options)
        partitionCommit = try PartitionCommit(options)
        shufflesByPartition = try options.bool("sink.shuffle-by-partition.enable") ?? false
        onError = try BadInput.onError(table, ignoresParseErrors: try options.bool("\(formatName).ignore-parse-errors") ?? false)
        if delivery == nil { for column in table.metadata { try FileMetadata.check(column, table: table) } }
        if case .errors = delivery?.use { return }
        if let whole = format as? any FileFormat, whole.readsWholeFiles(files) { try whole.validateFiles(files) } else { try FormatFactory.validate(files) }
    }

    func listing(wanted: PartitionFilter = PartitionFilter()) -> FileListing {
        var listing = FileListing(path: path, partitionKeys: table.partitionKeys, defaultPartition: defaultPartition, pattern: pattern)
        listing.wanted = wanted
        for column in partitionColumns { listing.types[table.schema[column].name] = table.schema[column].type }
        return listing
    }

    /// What the folders of a file say of a partition column.
    func partitionValue(_ column: Int, _ file: DataFile) throws -> Value {
        let field = table.schema[column]
        guard let text = file.partition[field.name] else {
            throw StreamError(.io, "\(file.path) lies in no folder \(field.name)=..., which table \(table.name) is partitioned by",
                              fix: "move the file into such a folder, or drop PARTITIONED BY")
        }
        guard let text else { return .null }
        guard let value = PartitionValue.parse(text, field.type) else {
            throw StreamError(.io, "\(file.path): folder \(field.name)=\(text) does not hold a \(field.type)",
                              fix: "rename the folder, or declare column \(field.name) as STRING")
        }
        return value
    }
}

/// What a file tells beside its rows.
enum FileMetadata {
    /// Where in its file a record that cannot be decoded starts; NULL in other rows.
    static let errorOffset = "error.offset"

    /// Of formats whose files are read in order: the file's name, and which row of all files it is.
    static let file = "file", position = "position"

    /// What the connector tells without the format.
    static func own(_ order: FileOrder?) -> [String: DataType] {
        var all: [String: DataType] = [
            "file.path": .string, "file.name": .string, "file.size": .bigint, "file.modification-time": .timestampLTZ(3), errorOffset: .bigint,
        ]
        if order != nil { (all[file], all[position]) = (.string, .string) }
        return all.merging(BadInput.metadataKeys) { $1 }
    }

    static func name(_ path: String) -> String { path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path }

    static func check(_ column: TableDescriptor.MetadataColumn, table: TableDescriptor) throws {
        let format = try FormatFactory.format(of: table), own = own(format.fileOrder(table))
        if let key = FormatMetadata.key(column.key, of: format, own: own) { return try FormatMetadata.check(column, key: key, of: format, table: table) }
        let fits = switch column.key {
        case "file.path", "file.name": column.type.isText
        case file, position: own[column.key] != nil && column.type.isText
        case "file.size", errorOffset: column.type == .bigint
        case _ where BadInput.metadataKeys[column.key] != nil: true
        case "file.modification-time": column.type.isTimestamp
        default: false
        }
        guard !fits else { return }
        guard let type = FilesystemConnector().metadataKeys(for: table)[column.key] else {
            throw StreamError(.validate, "table \(table.name): connector 'filesystem' has no metadata '\(column.key)'",
                              fix: NearName.hint(for: column.key, in: FilesystemConnector().metadataKeys(for: table).keys))
        }
        throw StreamError(.validate, "table \(table.name): metadata column \(column.name) of type \(column.type) cannot hold '\(column.key)'",
                          fix: "declare it as \(type)")
    }

    static func value(_ column: TableDescriptor.MetadataColumn, _ file: DataFile) -> Value {
        switch column.key {
        case "file.path": .string(file.path)
        case "file.name", Self.file: .string(name(file.path))
        case "file.size": .int(Int64(file.size))
        default: .int(file.modified * (column.type.timeUnit?.perMillisecond ?? 1))
        }
    }
}

struct FilesystemSource: TableSource {
    let plan: FilesystemPlan
    let scan: ScanRequest
    /// Positions among the decoder's columns.
    private let decoded: [Int]
    private let listing: FileListing

    init(plan: FilesystemPlan, scan: ScanRequest, opening: @escaping @Sendable (String) -> Void = { _ in }) throws {
        self.plan = plan
        self.scan = scan
        var listing = plan.listing(wanted: scan.wantedPartitions)
        listing.opening = opening
        self.listing = listing
        decoded = scan.projection.compactMap { plan.dataColumns.firstIndex(of: $0) }
        // A wrong path shows when the query is planned, not once it runs.
        if plan.monitorInterval == nil || !FileListing.isGlob(plan.path) { _ = try listing.roots() }
    }

    var isBounded: Bool { plan.monitorInterval == nil }
    var producesChanges: Bool { changelogMode != .insertOnly }
    var changelogMode: ChangelogMode { plan.format.changelogMode(plan.files) }
    private var order: FileOrder? { plan.format.fileOrder(plan.files) }
    /// Files that are read in order are one split, whose reader looks for more itself.
    var discoveryInterval: Duration? { order == nil ? plan.monitorInterval : nil }
    private var readsOn: Bool { plan.monitorInterval != nil || plan.readsNewFilesOnRestore }
    var looksForNewSplitsOnRestore: Bool { order == nil && readsOn }
    var readsOnInFinishedSplits: Bool { order != nil && readsOn }
    var parallelism: Int? { order == nil ? nil : 1 }

    func splits() throws -> [SourceSplit] {
        if order != nil { return [SourceSplit(id: plan.path)] }
        var splits: [SourceSplit] = []
        for file in try files() {
            guard let size = plan.splitBytes, file.size > size else {
                splits.append(SourceSplit(id: file.path))
                continue
            }
            for start in stride(from: 0, to: file.size, by: size) {
                // The last part takes what the file may have gained.
                splits.append(SourceSplit(id: "\(file.path)#\(start)-\(start + size < file.size ? String(start + size) : "")"))
            }
        }
        return splits
    }

    /// Those that are wanted, in the order of their paths.
    private func files() throws -> [DataFile] {
        let listed: [DataFile]
        if let partitions = scan.partitions, !FileListing.isGlob(plan.path) {
            listed = try listing.files(in: partitions())
        } else {
            listed = try isBounded || StreamCore.Host.exists(plan.path) ? listing.files() : []
        }
        return try listed.filter { try isWanted($0) }
    }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        if let order {
            return try OrderedFilesReader(folder: plan.path, order: order, interval: plan.monitorInterval, position: split.position, files: files) { file, position, rows in
                try reader(for: SourceSplit(id: file.path, position: position), file, rows: rows, metrics)
            }
        }
        let (path, _) = Self.parse(split.id, hasRanges: plan.splitBytes != nil)
        var file = DataFile(path: path, size: 0, modified: 0)
        if !plan.partitionColumns.isEmpty || !scan.metadata.isEmpty { file = try listed(path) }
        return try reader(for: split, file, rows: 0, metrics)
    }

    /// Reads one file, or a byte range of one, `rows` rows of which lie before the split's position.
    private func reader(for split: SourceSplit, _ file: DataFile, rows: Int, _ metrics: OperatorMetrics) throws -> any FilePartReader {
        let (path, range) = Self.parse(split.id, hasRanges: plan.splitBytes != nil)
        guard let position = split.position.map({ Int($0) }) ?? .some(nil) else { throw badPosition(split) }
        if split.position != nil, position == nil { throw badPosition(split) }
        var next = 0
        var columns: [FileColumn] = try scan.projection.map { column in
            guard plan.partitionColumns.contains(column) else {
                defer { next += 1 }
                return .decoded(next)
            }
            return .constant(try plan.partitionValue(column, file), plan.table.schema[column].type)
        }
        let own = FileMetadata.own(order)
        var asked: [String] = []
        for index in scan.metadata {
            let column = plan.table.metadata[index]
            if let key = FormatMetadata.key(column.key, of: plan.format, own: own) {
                columns.append(.decoded(decoded.count + asked.count, column.type))
                asked.append(key)
                continue
            }
            if column.key == FileMetadata.position {
                columns.append(.position(order?.key(path) ?? path))
                continue
            }
            columns.append(
                column.key == FileMetadata.errorOffset ? .errorOffset(column.type)
                    : BadInput.metadataKeys[column.key] != nil ? .error(key: column.key, column.type)
                    : .constant(FileMetadata.value(column, file), column.type))
        }
        if let whole = plan.format as? any FileFormat, whole.readsWholeFiles(plan.files) {
            let rows = try whole.fileReader(path, table: plan.files, projection: decoded, metadata: asked, metrics: metrics)
            return try WholeFileReader(rows, from: position ?? 0, columns: columns)
        }
        let decoder = try FormatFactory.decoder(for: plan.files, projection: decoded, metadata: asked, metrics: metrics)
        let types = decoded.map { plan.files.schema[$0].type } + asked.map { plan.format.metadataKeys[$0]! }
        let errors = try ErrorRows(plan.onError, decoder, types: types, metrics: metrics)
        return try FileSplitReader(path: path, range: range, position: position, rows: rows, decoder: decoder, columns: columns, errors: errors,
                                   metrics: metrics)
    }

    private func badPosition(_ split: SourceSplit) -> StreamError {
        StreamError(.runtime, "\(split.id) cannot be read from position \(split.position ?? "")", fix: "start the job from a checkpoint of the same plan")
    }

    /// `path#start-end`
    private static func parse(_ id: String, hasRanges: Bool) -> (String, Range<Int>?) {
        guard hasRanges, let hash = id.lastIndex(of: "#") else { return (id, nil) }
        let bounds = id[id.index(after: hash)...].split(separator: "-", omittingEmptySubsequences: false)
        guard bounds.count == 2, let start = Int(bounds[0]) else { return (id, nil) }
        return (String(id[..<hash]), start..<(Int(bounds[1]) ?? .max))
    }

    // MARK: Partitions

    private func isWanted(_ file: DataFile) throws -> Bool {
        let wanted = scan.wantedPartitions
        for column in plan.partitionColumns where wanted.restricts(plan.table.schema[column].name) {
            if !wanted.admits(try plan.partitionValue(column, file), for: plan.table.schema[column].name) { return false }
        }
        return true
    }

    /// What is known of a file that was listed before.
    private func listed(_ path: String) throws -> DataFile {
        var found: DataFile?
        if FileListing.isGlob(plan.path) {
            found = try listing.files().first { $0.path == path }
        } else if !path.hasPrefix(plan.path), let partitions = scan.partitions {
            // In a partition that lies elsewhere.
            found = try listing.files(in: partitions().filter { path.hasPrefix($0.location) }).first { $0.path == path }
        } else {
            found = try listing.file(path)
        }
        guard let found else {
            throw StreamError(.io, "\(path) is gone", fix: "restore the file: a data file must stay while a job reads it")
        }
        return found
    }
}
