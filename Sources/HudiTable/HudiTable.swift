import LakeTable
import StreamCore
import Synchronization

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
        /// When it was completed, in tables of version 8 and 9; nil when it is not.
        public var completed: String?
        /// Files that it wrote, rows in them, and what happened to rows; 0 when not a completed write.
        public var files = 0, rows: Int64 = 0, inserted: Int64 = 0, updated: Int64 = 0, deleted: Int64 = 0, bytes: Int64 = 0

        init(_ instant: Instant, _ metadata: CommitMetadata?) {
            (self.instant, action, state, completed) = (instant.time, instant.action, instant.state.rawValue, instant.completion)
            guard let metadata else { return }
            operation = metadata.operation
            files = metadata.stats.count
            for stat in metadata.stats {
                rows += stat.rows
                inserted += stat.inserts
                updated += stat.updates
                deleted += stat.deletes
                bytes += stat.bytes
            }
        }
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
    /// Compared from left to right; none when the later row to arrive is the newer one.
    public var orderingFields: [String] { properties.effectiveOrderingFields }
    public var orderingField: String? { orderingFields.first }
    /// Columns of the newest commit, meta columns left out; timestamps are TIMESTAMP(6).
    public let schema: Schema

    let files: TableFiles
    let properties: TableProperties
    let snapshot: TableSnapshot
    private let details = Details()

    /// What takes a look at every commit, which not everybody wants: made when it is first asked for.
    private final class Details: Sendable {
        let timeline = Mutex<[TimelineEntry]?>(nil)
        let baseFiles = Mutex<[BaseFile]?>(nil)
        let commits = Mutex<[(instant: Instant, metadata: CommitMetadata)]?>(nil)
    }

    /// Looks at the table's names and at its newest commit; the other commits are read when their numbers are asked for.
    /// - Throws: `.validate` when there is no table or one of another version, `.io` and `.corrupt` when it cannot be read.
    public static func open(_ path: String) throws -> HudiTable {
        let files = try TableFiles(path: path)
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "there is no Hudi table at \(files.root)", fix: "give the folder that has .hoodie in it")
        }
        return try HudiTable(files, properties)
    }

    private init(_ files: TableFiles, _ properties: TableProperties) throws {
        snapshot = try TableSnapshot.load(files, properties, sizes: true)
        (self.files, self.properties) = (files, properties)
        schema = snapshot.schema ?? []
    }

    /// Oldest first.
    /// - Throws: `.io` and `.corrupt` when a commit cannot be read.
    public var timeline: [TimelineEntry] {
        get throws {
            try details.timeline.withLock { kept in
                if let kept { return kept }
                let commits = Dictionary(try commits.map { ($0.instant, $0.metadata) }) { a, _ in a }
                let made = snapshot.timeline.instants.map { TimelineEntry($0, commits[$0]) }
                kept = made
                return made
            }
        }
    }

    /// Live files by partition.
    /// - Throws: `.io` and `.corrupt` when a commit or a file cannot be read.
    public var baseFiles: [BaseFile] {
        get throws {
            try details.baseFiles.withLock { kept in
                if let kept { return kept }
                var rows: [String: Int64] = [:]
                for (_, metadata) in try commits { for stat in metadata.stats { if let path = stat.path { rows[path] = stat.rows } } }
                let made = try zip(snapshot.slices, snapshot.sizes).map { slice, bytes in
                    let count = try rows[slice.path] ?? ParquetReader(path: files.absolute(slice.path)).rows
                    return BaseFile(path: slice.path, partition: slice.partition, fileId: slice.fileId, instant: slice.instant, rows: count, bytes: bytes)
                }
                kept = made
                return made
            }
        }
    }

    /// All completed writes, oldest first.
    var commits: [(instant: Instant, metadata: CommitMetadata)] {
        get throws {
            try details.commits.withLock { kept in
                if let kept { return kept }
                let made = try snapshot.timeline.instants.filter(\.isCompletedWrite).map { ($0, try snapshot.timeline.metadata(of: $0, in: files)) }
                kept = made
                return made
            }
        }
    }

    /// Partition paths that have live files, sorted; one empty path for a table without partitions.
    public var partitions: [String] { Array(Set(snapshot.slices.lazy.map(\.partition))).sorted() }
    public var fileCount: Int { snapshot.slices.count }
    public var rowCount: Int64 { get throws { try baseFiles.reduce(0) { $0 + $1.rows } } }
    public var bytes: Int64 { snapshot.sizes.reduce(0, +) }

    /// A declaration with which SQL can read the table.
    public func descriptor(name: String? = nil) -> TableDescriptor {
        TableDescriptor(name: name ?? self.name, schema: schema, primaryKey: recordKeyFields, partitionKeys: partitionFields,
                        options: ["connector": "hudi", "path": path])
    }
}
