import LakeTable
import StreamCore

/// An Iceberg table as it is on disk now, to look at: columns, snapshots, files. It never writes.
public struct IcebergTable: Sendable {
    /// A snapshot that is kept.
    public struct TimelineEntry: Sendable, Hashable {
        public var snapshotID: Int64
        public var parentID: Int64?
        public var sequenceNumber: Int64
        /// Milliseconds since 1970, UTC.
        public var time: Int64
        /// `append`, `overwrite`, `delete` or `replace`; nil when the snapshot does not say.
        public var operation: String?
        /// All that the snapshot says of itself, the operation included.
        public var summary: [String: String]
        /// It is the newest one, or one that it comes from.
        public var isCurrent: Bool
    }

    /// A live data file.
    public struct BaseFile: Sendable, Hashable {
        /// Relative to the table.
        public var path: String
        /// `city=oslo/day=2024-01-05`; empty without partitions, and for partitions that are not the columns' own values.
        public var partition: String
        /// The snapshot that added it.
        public var snapshotID: Int64
        public var rows: Int64
        public var bytes: Int64
    }

    /// A version of the columns.
    public struct SchemaVersion: Sendable, Hashable {
        public var id: Int
        public var columns: Schema
    }

    /// Absolute path of the table's folder.
    public var path: String { files.root }
    /// The folder's name.
    public var name: String { files.root.split(separator: "/").last.map(String.init) ?? files.root }
    public var formatVersion: Int { metadata.formatVersion }
    /// The newest metadata file, relative to the table.
    public let metadataFile: String
    public var schema: Schema { metadata.schema.columns }
    /// All versions of the columns, oldest first.
    public var schemaHistory: [SchemaVersion] { metadata.schemas.map { SchemaVersion(id: $0.id, columns: $0.columns) } }
    /// The identifier fields.
    public var recordKeyFields: [String] { metadata.schema.identifierIDs.compactMap { metadata.schema.field($0)?.name } }
    /// Columns that the table is partitioned by; others are written as Iceberg does, for example `bucket[16](id)`.
    public var partitionFields: [String] {
        metadata.spec.parts.map { part in
            let column = metadata.schema.field(part.source)?.name ?? "#\(part.source)"
            return part.transform == "identity" ? column : "\(part.transform)(\(column))"
        }
    }
    public var properties: [String: String] { metadata.properties }
    public var currentSnapshotID: Int64? { metadata.currentSnapshotID }
    /// Oldest first.
    public let timeline: [TimelineEntry]
    /// Live files by partition.
    public let baseFiles: [BaseFile]

    private let files: TableFiles
    private let metadata: TableMetadata

    /// - Parameters:
    ///   - path: the table's folder.
    ///   - snapshotID: whose files `baseFiles` are; nil = the newest.
    /// - Throws: `.validate` when there is no table, or one that is not supported; `.io` and `.corrupt` when it cannot be read.
    public static func open(_ path: String, snapshotID: Int64? = nil) throws -> IcebergTable {
        let files = try TableFiles(path: path), folder = MetadataFolder(files: files)
        guard let newest = try folder.newest() else {
            throw StreamError(.validate, "there is no Iceberg table at \(files.root)", fix: "give the folder that has metadata/v1.metadata.json in it")
        }
        return try IcebergTable(files, newest.path, try folder.load(newest.path), snapshotID)
    }

    /// Whether a folder holds an Iceberg table.
    public static func isTable(_ path: String) -> Bool {
        guard let files = try? TableFiles(path: path) else { return false }
        return (try? MetadataFolder(files: files).newest()) != nil
    }

    private init(_ files: TableFiles, _ metadataFile: String, _ metadata: TableMetadata, _ snapshotID: Int64?) throws {
        (self.files, self.metadata, self.metadataFile) = (files, metadata, metadataFile)
        let current = Set(metadata.ancestors(of: metadata.currentSnapshotID).map(\.id))
        timeline = metadata.snapshots.map { snapshot in
            var summary: [String: String] = [:]
            for member in snapshot.summary { summary[member.name] = member.value.string }
            return TimelineEntry(snapshotID: snapshot.id, parentID: snapshot.parent, sequenceNumber: snapshot.sequence, time: snapshot.time,
                                 operation: summary["operation"], summary: summary, isCurrent: current.contains(snapshot.id))
        }
        let location = TableLocation(metadata, files)
        guard let id = snapshotID ?? metadata.currentSnapshotID else {
            baseFiles = []
            return
        }
        guard let snapshot = metadata.snapshot(id) else {
            throw StreamError(.validate, "the Iceberg table at \(files.root) has no snapshot \(id)", fix: "see its timeline")
        }
        let tuples = Dictionary(metadata.specs.map { ($0.id, try? PartitionTuple($0, metadata.schema)) }) { a, _ in a }
        baseFiles = try ManifestStore(files).liveFiles(snapshot, metadata, location).map { entry, specID in
            let partition = try (tuples[specID] ?? nil)?.path(entry.file.partition) ?? ""
            return BaseFile(path: try location.relative(entry.file.path), partition: partition, snapshotID: entry.snapshot, rows: entry.file.rows, bytes: entry.file.bytes)
        }.sorted { ($0.partition, $0.path) < ($1.partition, $1.path) }
    }

    /// Partitions that have live files, sorted; one empty path for a table without partitions.
    public var partitions: [String] { Array(Set(baseFiles.map(\.partition))).sorted() }
    public var rowCount: Int64 { baseFiles.reduce(0) { $0 + $1.rows } }
    public var bytes: Int64 { baseFiles.reduce(0) { $0 + $1.bytes } }

    /// A declaration with which SQL can read the table.
    public func descriptor(name: String? = nil, snapshotID: Int64? = nil) -> TableDescriptor {
        var options = ["connector": "iceberg", "path": path]
        if let snapshotID { options[IcebergOption.snapshotID] = String(snapshotID) }
        return TableDescriptor(name: name ?? self.name, schema: schema, primaryKey: recordKeyFields, options: options)
    }
}
