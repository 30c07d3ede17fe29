import CArrowData
import StreamCore

/// One version of a file group: a data file. Rows never leave their file group while their key stays in its partition.
package struct FileSlice: Sendable, Hashable {
    /// Folder relative to the table; "" without partitions.
    package var partition: String
    /// Names the file group; unique in the table.
    package var fileId: String
    /// The file's name without its folder.
    package var name: String
    /// The commit that wrote it.
    package var instant: String

    /// Where the file is relative to the table, when that is not the partition's folder.
    package var location: String?
    /// Columns that have one value in all rows, whatever the file says: partition columns that it need not hold.
    package var constants: [String: Value] = [:]

    package var path: String { location ?? (partition.isEmpty ? name : "\(partition)/\(name)") }

    package init(partition: String, fileId: String, name: String, instant: String) {
        (self.partition, self.fileId, self.name, self.instant) = (partition, fileId, name, instant)
    }
}

/// What a commit did to one data file.
package struct WriteStat: Sendable, Hashable {
    package var fileId: String
    /// Relative to the table; nil in the plan of a commit that is still at work.
    package var path: String?
    /// The commit of the version replaced; nil for a new file group.
    package var previous: String?
    package var partition: String
    /// Rows in the file.
    package var rows: Int64
    package var inserts: Int64
    package var updates: Int64
    package var deletes: Int64
    package var bytes: Int64

    package init(fileId: String, path: String? = nil, previous: String? = nil, partition: String, rows: Int64 = 0, inserts: Int64 = 0,
                 updates: Int64 = 0, deletes: Int64 = 0, bytes: Int64 = 0) {
        (self.fileId, self.path, self.previous, self.partition) = (fileId, path, previous, partition)
        (self.rows, self.inserts, self.updates, self.deletes, self.bytes) = (rows, inserts, updates, deletes, bytes)
    }
}

/// The table as its newest commit left it.
package struct TableState: Sendable {
    /// As stored, without meta columns; nil when the table has none yet.
    package var schema: Schema?
    /// The live version of each file group, with its size in bytes.
    package var slices: [(slice: FileSlice, bytes: Int64)]
    /// Names of the commits that it reflects.
    package var commits: Set<String>

    package init(schema: Schema?, slices: [(slice: FileSlice, bytes: Int64)], commits: Set<String>) {
        (self.schema, self.slices, self.commits) = (schema, slices, commits)
    }
}

/// All that one commit does to a table.
package struct CommitChanges: Sendable {
    /// `INSERT`, `UPSERT`, ...
    package var operation: String
    /// The table's columns from this commit on, as stored.
    package var schema: Schema
    /// The new files.
    package var stats: [WriteStat]
    /// Versions that new files replace; those that this very commit had written are not among them.
    package var superseded: [FileSlice]
    /// File groups that leave the table with all of their rows, without a new version.
    package var removed: [FileSlice]
    /// Partition path -> the text of each partition column; nil = NULL. Of the partitions that rows were written to.
    package var partitionValues: [String: [String?]]
    package var checkpoint: UInt64
    package var jobID: String

    package init(operation: String, schema: Schema, stats: [WriteStat], superseded: [FileSlice], removed: [FileSlice] = [],
                 partitionValues: [String: [String?]], checkpoint: UInt64, jobID: String) {
        (self.operation, self.schema, self.stats, self.superseded, self.removed) = (operation, schema, stats, superseded, removed)
        (self.partitionValues, self.checkpoint, self.jobID) = (partitionValues, checkpoint, jobID)
    }
}

/// How a table format records what was done to a table: the part of a sink that differs between formats.
///
///     acquire  recover?  (begin  ... files ...  prepared  complete | abandon)*  release
///
/// Shared by the sink's writer and committer, which may be on different threads. Several commits may be open at a time: what
/// a checkpoint has prepared is completed while the next commit's files are written, on top of those of the one before.
package protocol CommitLog: AnyObject, Sendable {
    var files: TableFiles { get }
    /// What the table is called in errors, for example "Hudi table /data/orders".
    var title: String { get }
    var markColumns: MarkColumns { get }
    /// Ids of columns, where files name them by ids rather than names; nil = by name.
    func fieldIDs(_ schema: Schema) -> [Int32?]?
    /// The schema of the next commit.
    /// - Parameter missing: the writer may lack columns of the table: its rows get NULL there.
    /// - Throws: `.validate` for a change of columns that the format does not allow, naming the column.
    func evolve(table: Schema, writer: Schema, name: String, missing: Bool) throws -> Schema
    /// Takes the table's lock, creating the table when there is none. Each call is undone by one `release`.
    /// - Throws: `.conflict` when another writer holds the table.
    func acquire() throws
    func release()
    func load() throws -> TableState
    /// Names of the commits on the table now.
    func completedCommits() throws -> Set<String>
    /// Commits of this process are begun or prepared, and neither completed nor undone.
    var hasOpenCommits: Bool { get }
    /// Begins a commit; what writers that died left behind is undone first.
    func begin(_ operation: String) throws -> any CommitFiles
    /// Begins a commit that writes the rows of these file groups into new ones, those of each element together.
    func begin(clustering groups: [[FileSlice]], sortColumns: [String]) throws -> any CommitFiles
    /// How many commits there are after the newest one that clustered; nil when the format does not count them.
    func commitsSinceClustering() throws -> Int?
    /// Gives up a commit that was begun, and removes its files.
    func abandon(_ commit: String) throws
    /// Called when all files of a commit are durable. Nothing is visible yet.
    func prepared(_ commit: String, _ changes: CommitChanges) throws -> Committable
    /// Brings the table to the state of a checkpoint: completes what it names, undoes all else that is open. May be repeated.
    func recover(_ committables: [Committable]) throws
    /// The commit points, in the order in which the commits were begun. Those that are completed already are passed over.
    func complete(_ committables: [Committable]) throws
}

extension CommitLog {
    package func begin(clustering groups: [[FileSlice]], sortColumns: [String]) throws -> any CommitFiles {
        try begin(FileClustering.operation)
    }

    package func commitsSinceClustering() throws -> Int? { nil }
    package func fieldIDs(_ schema: Schema) -> [Int32?]? { nil }

    package func evolve(table: Schema, writer: Schema, name: String, missing: Bool) throws -> Schema {
        try SchemaEvolution.merge(table: table, writer: writer, name: name, missing: missing)
    }
}

/// The columns that a format keeps in front of the data columns, all text.
package struct MarkColumns: Sendable {
    /// Those that a row keeps when it is copied into a new version.
    package var kept: [String]
    /// Which of them is the record key; nil = keys are made from the data columns.
    package var key: Int?
    /// Which of them names the commit that wrote the row.
    package var commit: Int?
    /// Those in which a row that changes keeps its value: its key, and where it lies.
    package var unchanged: Set<String>

    package init(kept: [String], key: Int?, commit: Int?, unchanged: Set<String> = []) {
        (self.kept, self.key, self.commit, self.unchanged) = (kept, key, commit, unchanged)
    }

    /// A format that stores the data columns alone.
    package static let none = MarkColumns(kept: [], key: nil, commit: nil)
}

/// What the files of one commit look like. Used by several threads, one file each.
package protocol CommitFiles: AnyObject, Sendable {
    /// The commit's name: `FileSlice.instant` of its files.
    var commit: String { get }
    /// Columns whose values hardly repeat, beside those of the data.
    var plainColumns: [String] { get }
    /// The name of a new file. `task` differs between the files of a commit, `attempt` between commits of a writer.
    func name(fileId: String, task: Int, attempt: Int) -> String
    func newFileId() -> String
    /// Where a file is relative to the table; nil = in the folder that the partition is called after.
    func location(partition: String, name: String) -> String?
    /// How values look in Parquet.
    var layout: ArrowLayout { get }
    /// Ids of the columns, where files name them by ids rather than names; nil = by name.
    func fieldIDs(_ schema: Schema) -> [Int32?]?
    /// Called before a file is begun, by one thread at a time: makes its folder and what must be there before it.
    func prepare(_ file: FileSlice, isNew: Bool) throws
    /// Called before a file gets its name.
    func flush() throws
    /// The columns in front of the data of one file, and what goes into its footer.
    func marks(for file: FileSlice, task: Int) -> any FileMarks
    /// The file's schema for Parquet, which takes it over.
    func arrowSchema(_ fields: Schema, layout: ArrowLayout) -> ArrowSchema
    /// Footer entries beside those of the marks.
    func footer(_ schema: Schema) -> [(String, String)]
}

extension CommitFiles {
    package var layout: ArrowLayout { .lake }
    package func location(partition: String, name: String) -> String? { nil }
    package func fieldIDs(_ schema: Schema) -> [Int32?]? { nil }
}

/// The columns in front of the data columns of one file.
package protocol FileMarks: AnyObject {
    /// The names and values of the columns, all text; the first ones are those that are kept.
    var names: [String] { get }
    var builders: [ArrowArrayBuilder] { get }
    /// Rows that this commit inserts or changes.
    func appendFresh(_ keys: TextColumn) throws
    /// Rows that this commit changes in a file whose keys were inherited.
    func appendChanged(_ keys: TextColumn) throws
    /// Takes over what the footer of the version before says of its keys.
    /// - Returns: false when they have to be noted again.
    func inherit(rows: Int64, _ footer: (String) -> String?) -> Bool
    /// Notes keys of rows of the version before.
    func note(_ keys: TextColumn)
    /// Rows of the version before have gone; the ranges of keys that follow are those of all rows that are left.
    func forgetRange()
    /// - Parameters: the smallest and the largest of some keys that are left, by their bytes.
    func noteRange(_ smallest: UnsafeRawBufferPointer, _ largest: UnsafeRawBufferPointer)
    /// The text of a column in front of the data that is the same in all rows that are copied; nil = what the row has.
    func constant(_ column: String) -> String?
    /// Rows of the version before.
    /// - Parameter batch: the kept columns come first.
    func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) throws
    /// Entries of the footer, when all rows are there.
    func footer() -> [(String, String)]
}

extension FileMarks {
    package func appendChanged(_ keys: TextColumn) throws { try appendFresh(keys) }
    package func inherit(rows: Int64, _ footer: (String) -> String?) -> Bool { true }
    package func note(_ keys: TextColumn) {}
    package func forgetRange() {}
    package func noteRange(_ smallest: UnsafeRawBufferPointer, _ largest: UnsafeRawBufferPointer) {}
    package func constant(_ column: String) -> String? { nil }
}
