import LakeTable
import StreamCore

/// A Hudi table as it is on disk now, to look at: columns, timeline, partitions, files. It never writes.
public struct HudiTable: Sendable {
    /// One action on the table.
    public struct TimelineEntry: Sendable, Hashable {
        /// `yyyyMMddHHmmssSSS`, UTC.
        public var instant: String
        /// `commit`, `replacecommit`, `rollback`, `clean`, ...
        public var action: String
        /// `requested`, `inflight` or `completed`.
        public var state: String
        /// What a completed write did: `INSERT`, `UPSERT`, ...; nil for other actions and pending ones.
        public var operation: String?
        /// Files that it wrote, rows in them, and what happened to rows; 0 when not a completed write.
        public var files = 0, rows: Int64 = 0, inserted: Int64 = 0, updated: Int64 = 0, deleted: Int64 = 0, bytes: Int64 = 0
    }

    /// The live version of one file group.
    public struct BaseFile: Sendable, Hashable {
        /// Relative to the table.
        public var path: String
        public var partition: String
        public var fileId: String
        /// The instant that wrote it.
        public var instant: String
        public var rows: Int64
        public var bytes: Int64
    }

    /// Absolute path of the table's folder.
    public var path: String { files.root }
    public var name: String { properties.name }
    public var version: Int { properties.version.rawValue }
    public var recordKeyFields: [String] { properties.recordKeyFields }
    public var partitionFields: [String] { properties.partitionFields }
    public var orderingField: String? { properties.orderingField }
    /// Columns of the newest commit, meta columns left out; timestamps are TIMESTAMP(6).
    public let schema: Schema
    /// Oldest first.
    public let timeline: [TimelineEntry]
    /// Live files by partition.
    public let baseFiles: [BaseFile]

    private let files: TableFiles
    let properties: TableProperties

    /// - Throws: `.validate` when there is no table or one of another version, `.io` and `.corrupt` when it cannot be read.
    public static func open(_ path: String) throws -> HudiTable {
        let files = try TableFiles(path: path)
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "there is no Hudi table at \(files.root)", fix: "give the folder that has .hoodie in it")
        }
        return try HudiTable(files, properties)
    }

    private init(_ files: TableFiles, _ properties: TableProperties) throws {
        let snapshot = try TableSnapshot.load(files, properties)
        (self.files, self.properties) = (files, properties)
        schema = snapshot.schema ?? []
        baseFiles = try snapshot.slices.map { slice in
            let rows = try snapshot.stats[slice.path]?.rows ?? ParquetReader(path: files.absolute(slice.path)).rows
            return BaseFile(path: slice.path, partition: slice.partition, fileId: slice.fileId, instant: slice.instant, rows: rows, bytes: files.size(slice.path))
        }
        timeline = try snapshot.timeline.instants.map { instant in
            var entry = TimelineEntry(instant: instant.time, action: instant.action, state: instant.state.rawValue)
            guard instant.isCompletedWrite else { return entry }
            let file = Timeline.fileName(instant.time, instant.action, .completed, version: properties.version)
            let metadata = try CommitMetadata.parse(try files.read(file), file: files.absolute(file))
            entry.operation = metadata.operation
            entry.files = metadata.stats.count
            for stat in metadata.stats {
                entry.rows += stat.rows
                entry.inserted += stat.inserts
                entry.updated += stat.updates
                entry.deleted += stat.deletes
                entry.bytes += stat.bytes
            }
            return entry
        }
    }

    /// Partition paths that have live files, sorted; one empty path for a table without partitions.
    public var partitions: [String] { Array(Set(baseFiles.map(\.partition))).sorted() }
    public var rowCount: Int64 { baseFiles.reduce(0) { $0 + $1.rows } }
    public var bytes: Int64 { baseFiles.reduce(0) { $0 + $1.bytes } }

    /// A declaration with which SQL can read the table.
    public func descriptor(name: String? = nil) -> TableDescriptor {
        TableDescriptor(name: name ?? self.name, schema: schema, primaryKey: recordKeyFields, partitionKeys: partitionFields,
                        options: ["connector": "hudi", "path": path])
    }
}
