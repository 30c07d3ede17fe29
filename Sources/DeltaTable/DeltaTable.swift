import LakeTable
import StreamCore

/// A Delta table as it is on disk now, to look at: columns, commits, files. It never writes.
public struct DeltaTable: Sendable {
    /// One commit that is still on the log.
    public struct TimelineEntry: Sendable, Hashable {
        public var version: Int64
        /// Milliseconds since 1970; nil when the commit does not say.
        public var timestamp: Int64?
        /// `WRITE`, `MERGE`, `DELETE`, `CREATE TABLE`, ...
        public var operation: String?
        public var engine: String?
        /// Files that it added and removed, rows in those added, and bytes of them.
        public var added = 0, removed = 0, rows: Int64 = 0, bytes: Int64 = 0
        /// What happened to rows, as far as the commit says.
        public var inserted: Int64?, updated: Int64?, deleted: Int64?
    }

    /// A live data file.
    public struct DataFile: Sendable, Hashable {
        /// Relative to the table.
        public var path: String
        /// The text of each partition column; nil = NULL.
        public var partition: [String?]
        public var rows: Int64
        public var bytes: Int64
    }

    /// Absolute path of the table's folder, or its `s3:` URL.
    public var path: String { files.root }
    /// The name in its metadata, or that of its folder.
    public let name: String
    public let version: Int64
    public let schema: Schema
    public let partitionFields: [String]
    /// As declared by the job that made the table; empty when another engine did.
    public let primaryKey: [String]
    /// `delta.…` and other settings.
    public let settings: [String: String]
    /// Versions of the protocol that readers and writers must know.
    public let readerVersion: Int, writerVersion: Int
    /// Live files, by path.
    public let dataFiles: [DataFile]

    private let files: TableFiles

    /// - Parameters:
    ///   - version: nil = the newest.
    ///   - options: a table whose options say how an object store is reached; without it the environment does.
    /// - Throws: `.validate` when there is no table, or one that needs features that are not known, `.io` and `.corrupt` when it cannot
    ///   be read.
    public static func open(_ path: String, version: Int64? = nil, options: TableDescriptor? = nil) throws -> DeltaTable {
        var files = try TableFiles(path: path, table: options)
        files.metaFolder = LogListing.folder
        guard let snapshot = try DeltaSnapshot.load(files, version: version) else {
            throw StreamError(.validate, "there is no Delta table at \(files.root)", fix: "give the folder that has _delta_log in it")
        }
        try ProtocolCheck.requireReadable(snapshot, table: files.root)
        return try DeltaTable(files, snapshot)
    }

    /// Whether a folder has a Delta table in it.
    public static func isTable(_ path: String) -> Bool {
        guard let files = try? TableFiles(path: path), let listing = try? LogListing(files) else { return false }
        return !listing.versions.isEmpty || !listing.checkpoints.isEmpty
    }

    private init(_ files: TableFiles, _ snapshot: DeltaSnapshot) throws {
        self.files = files
        version = snapshot.version
        name = snapshot.metadata.name ?? files.root.split(separator: "/").last.map(String.init) ?? files.root
        schema = try snapshot.schema().columns
        let partitionFields = snapshot.metadata.partitionColumns
        self.partitionFields = partitionFields
        settings = (snapshot.metadata.configuration ?? [:]).compactMapValues { $0 }
        primaryKey = settings[DeltaOption.primaryKey]?.split(separator: ",").map { String($0) } ?? []
        (readerVersion, writerVersion) = (snapshot.protocol.minReaderVersion, snapshot.protocol.minWriterVersion)
        dataFiles = try snapshot.files.sorted { $0.key < $1.key }.map { path, file in
            let rows = try FileStatistics.rows(file.stats) ?? ParquetReader(path: files.absolute(path)).rows
            return DataFile(path: path, partition: partitionFields.map { file.partitionValues[$0] ?? nil }, rows: rows, bytes: file.size)
        }
    }

    /// What the commits that are still on the log did, oldest first. Each of them is read: ask for as many as are shown.
    /// - Parameter last: how many of the newest; nil = all.
    public func timeline(last: Int? = nil) throws -> [TimelineEntry] {
        let versions = try LogListing(files).versions.filter { $0 <= version }
        return try versions.suffix(last ?? versions.count).map { version in
            var entry = TimelineEntry(version: version)
            for action in try LogAction.parse(try files.read(LogListing.path(version)), file: files.absolute(LogListing.path(version))) {
                if let info = action.commitInfo {
                    (entry.timestamp, entry.operation, entry.engine) = (info.timestamp, info.operation, info.engineInfo)
                    func metric(_ names: String...) -> Int64? { names.lazy.compactMap { info.operationMetrics?[$0]??.number }.first }
                    entry.inserted = metric("numTargetRowsInserted", "num_target_rows_inserted", "num_added_rows")
                    entry.updated = metric("numTargetRowsUpdated", "num_target_rows_updated")
                    entry.deleted = metric("numTargetRowsDeleted", "num_target_rows_deleted", "numDeletedRows", "num_deleted_rows")
                }
                if let file = action.add {
                    entry.added += 1
                    entry.rows += FileStatistics.rows(file.stats) ?? 0
                    entry.bytes += file.size
                }
                if action.remove != nil { entry.removed += 1 }
            }
            return entry
        }
    }

    public var rowCount: Int64 { dataFiles.reduce(0) { $0 + $1.rows } }
    public var bytes: Int64 { dataFiles.reduce(0) { $0 + $1.bytes } }

    /// A declaration with which SQL can read the table.
    public func descriptor(name: String? = nil) -> TableDescriptor {
        TableDescriptor(name: name ?? self.name, schema: schema, primaryKey: primaryKey, partitionKeys: partitionFields,
                        options: ["connector": "delta", "path": path])
    }
}
