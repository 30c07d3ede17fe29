/// A table as a connector sees it: physical columns, keys and options, all checked against each other already.
public struct TableDescriptor: Sendable {
    /// A METADATA column: its name in the table, and the key under which the connector knows it.
    public struct MetadataColumn: Sendable {
        /// The column's name in the table, the connector's key for it, and the column's type.
        public var name: String, key: String, type: DataType
        /// Declared VIRTUAL: it is read only. The others are written too: their columns come to a sink after those of the schema.
        public var isVirtual: Bool
        public init(name: String, key: String, type: DataType, isVirtual: Bool = false) {
            (self.name, self.key, self.type, self.isVirtual) = (name, key, type, isVirtual)
        }
    }

    public var name: String
    /// Columns that are read from and written to the outside; computed and metadata columns are not among them.
    public var schema: Schema
    public var metadata: [MetadataColumn]
    public var primaryKey: [String]
    public var partitionKeys: [String]
    public var options: [String: String]
    /// Where an option was written, for error messages.
    public var optionLocations: [String: SourceLocation]

    public init(name: String, schema: Schema, metadata: [MetadataColumn] = [], primaryKey: [String] = [],
                partitionKeys: [String] = [], options: [String: String] = [:], optionLocations: [String: SourceLocation] = [:]) {
        self.name = name
        self.schema = schema
        self.metadata = metadata
        self.primaryKey = primaryKey
        self.partitionKeys = partitionKeys
        self.options = options
        self.optionLocations = optionLocations
    }
}

/// What a query wants of a source.
public struct ScanRequest: Sendable {
    /// Indices into `TableDescriptor.schema`, in the order in which the columns are to come.
    public var projection: [Int]
    /// Indices into `TableDescriptor.metadata`; their columns come after the projected ones.
    public var metadata: [Int]
    /// For each partition key that the query fixes: the values it can have. A source may use this to skip data; the
    /// query filters again.
    public var partitionFilter: [String: Set<Value>]
    /// Bounds of partition keys, used like ``partitionFilter``.
    public var partitionRanges: [String: ValueRange] = [:]
    /// Conditions that all hold for the rows wanted, on columns that ``TableConnector/usesFilter(on:of:)`` names. Their columns need not be
    /// among the projected ones.
    public var filter: [ScanPredicate] = []
    /// The partitions to read, kept by a catalog and filtered already; nil = those on the disk. Asked each time that splits
    /// are listed.
    public var partitions: (@Sendable () throws -> [TablePartition])?
    public var parallelism: Int
    /// Session time zone, for formats that read local times.
    public var timeZone: String

    public init(projection: [Int], metadata: [Int] = [], partitionFilter: [String: Set<Value>] = [:], parallelism: Int = 1,
                timeZone: String = "UTC") {
        self.projection = projection
        self.metadata = metadata
        self.partitionFilter = partitionFilter
        self.parallelism = parallelism
        self.timeZone = timeZone
    }

    public var wantedPartitions: PartitionFilter { PartitionFilter(values: partitionFilter, ranges: partitionRanges) }
}

/// A table as its own files describe it.
public struct StoredTable: Sendable {
    public var schema: Schema
    public var primaryKey: [String]
    public var partitionKeys: [String]
    public init(schema: Schema, primaryKey: [String] = [], partitionKeys: [String] = []) {
        (self.schema, self.primaryKey, self.partitionKeys) = (schema, primaryKey, partitionKeys)
    }
}

/// Makes sources and sinks for tables with `'connector' = identifier`.
public protocol TableConnector: Sendable {
    var identifier: String { get }
    /// All option keys that it and its formats understand for this table; `CREATE TABLE` refuses others, except prefixes
    /// that end in `.` (for example `properties.`).
    func optionKeys(for table: TableDescriptor) -> Set<String>
    /// Options of Flink's connector of the same name that do nothing here, or cannot be done; the first that matches an option counts,
    /// before ``optionKeys(for:)``.
    func foreignOptions(for table: TableDescriptor) -> [ForeignOption]
    /// Checks options and schema when the table is created or first used. Throws `.validate` errors.
    func validate(_ table: TableDescriptor) throws
    /// Checks that what the table is about is there, as far as that is to be known before a job runs. Not asked for scripts that are to run elsewhere.
    func requireStorage(of table: TableDescriptor) throws
    /// What the storage itself says of a table that is declared without columns; nil = this connector's tables do not say.
    /// - Throws: when there is no such table, or it cannot be read.
    func storedTable(for table: TableDescriptor) throws -> StoredTable?
    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource
    func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink
    /// Metadata keys it can deliver, with their types.
    func metadataKeys(for table: TableDescriptor) -> [String: DataType]
    /// Those of them that can be written too. A sink's batches have the columns of the schema, then the metadata columns that are
    /// not virtual, in the table's order.
    func writableMetadataKeys(for table: TableDescriptor) -> Set<String>
    /// Parts of ROW columns are found by their names: a table declared with fewer of them reads the same data.
    func findsRowPartsByName(_ table: TableDescriptor) -> Bool
    /// Where broken records of a table go whose options do not name a table of the catalog for them; see ``BadInput``. Its physical
    /// columns and then its metadata columns are filled by their names, as those of such a table are.
    func deadLetterTable(for table: TableDescriptor) throws -> TableDescriptor?
    /// Whether sources of the table can skip data by conditions on a column.
    func usesFilter(on column: Int, of table: TableDescriptor) -> Bool
}

/// A connector whose tables can be read as they were: `FROM t FOR SYSTEM_TIME AS OF TIMESTAMP '...'`.
public protocol TimeTravelConnector: TableConnector {
    /// The table, declared such that it is read as of a time.
    ///
    /// - Parameter milliseconds: since 1970, UTC.
    /// - Throws: `.validate` when options of the table say otherwise.
    func table(_ table: TableDescriptor, asOf milliseconds: Int64) throws -> TableDescriptor
}

extension TableConnector {
    public func requireStorage(of table: TableDescriptor) throws {}
    public func foreignOptions(for table: TableDescriptor) -> [ForeignOption] { [] }
    public func storedTable(for table: TableDescriptor) throws -> StoredTable? { nil }
    public func deadLetterTable(for table: TableDescriptor) throws -> TableDescriptor? { nil }
    public func usesFilter(on column: Int, of table: TableDescriptor) -> Bool { false }
    public func metadataKeys(for table: TableDescriptor) -> [String: DataType] { [:] }
    public func writableMetadataKeys(for table: TableDescriptor) -> Set<String> { [] }
    public func findsRowPartsByName(_ table: TableDescriptor) -> Bool { false }
    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        throw StreamError(.validate, "table \(table.name): connector '\(identifier)' cannot be written to")
    }
    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        throw StreamError(.validate, "table \(table.name): connector '\(identifier)' cannot be read from")
    }
}

/// A unit of source work: a file, a byte range of one, a shard, a partition.
public struct SourceSplit: Hashable, Sendable {
    public var id: String
    /// The position to start from, in the source's own text form; nil = its configured start.
    public var position: String?
    public init(id: String, position: String? = nil) { (self.id, self.position) = (id, position) }
}

/// Something to read a table from, as splits that can be read side by side.
public protocol TableSource: Sendable {
    /// True when every split ends and no new ones appear.
    var isBounded: Bool { get }
    /// The splits there are now, in a stable order. May block for as long as a start may take.
    func splits() throws -> [SourceSplit]
    /// How often a source that grows is asked for ``newSplits(known:)``; nil = never.
    var discoveryInterval: Duration? { get }
    /// Splits beside those with the ids in `known`: asked at ``discoveryInterval``, by a thread of its own, and at the start from a
    /// checkpoint, for what came while the job was down. May block for seconds. While the job runs, an `.io` error is a warning, and
    /// the source is asked again soon.
    func newSplits(known: Set<String>) throws -> [SourceSplit]
    /// At the start from a checkpoint ``newSplits(known:)`` is asked for what came while the job was down. The default: a source that
    /// grows. One that ends may want it too, when each run of a job is to read what has come since the last.
    var looksForNewSplitsOnRestore: Bool { get }
    /// A split that an earlier run has read to its end may have grown since: its reader goes on from there. The default: it has not.
    var readsOnInFinishedSplits: Bool { get }
    /// A run begins: these splits are to be read, beside those that it will ask for with ``newSplits(known:)``. What an earlier run
    /// has read to its end is not among them. Called once in a run, before readers are made; may block for as long as a start may take.
    func begins(_ splits: [SourceSplit]) throws
    /// How many subtasks read it; nil = as many as the job has.
    var parallelism: Int? { get }
    /// A subtask reads all of its splits side by side, however many: they do not end, or their watermarks belong together.
    var readsAllSplitsAtOnce: Bool { get }
    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader
    /// Rows come as a changelog (with row kinds) rather than inserts only.
    var producesChanges: Bool { get }
    /// What its rows do to rows before. An `.upsert` source gives +U without the row before it, and -D of which only the primary
    /// key counts.
    var changelogMode: ChangelogMode { get }
    /// A checkpoint is durable, and its sinks have been committed: where reading goes on after a crash, for every split begun. For
    /// sources that tell others how far they are. Called by the thread that coordinates the job; must not block.
    func checkpointCompleted(_ positions: [SourceSplit])
    /// The run is over, and its readers are closed: lets go of what they shared. Another run may follow.
    func runEnded()
}

/// Which kinds of rows a source gives or a sink takes.
public enum ChangelogMode: Sendable {
    /// +I only.
    case insertOnly
    /// +I, +U and -D: rows are found by their primary key. A sink gets -U all the same when keys change.
    case upsert
    /// +I, -U, +U and -D.
    case all
}

extension TableSource {
    public var discoveryInterval: Duration? { nil }
    public var looksForNewSplitsOnRestore: Bool { discoveryInterval != nil }
    public var readsOnInFinishedSplits: Bool { false }
    public func newSplits(known: Set<String>) throws -> [SourceSplit] { try splits().filter { !known.contains($0.id) } }
    public var parallelism: Int? { nil }
    public func begins(_ splits: [SourceSplit]) throws {}
    public var readsAllSplitsAtOnce: Bool { !isBounded }
    public func checkpointCompleted(_ positions: [SourceSplit]) {}
    public func runEnded() {}
    public var producesChanges: Bool { false }
    public var changelogMode: ChangelogMode { producesChanges ? .all : .insertOnly }
}

/// Reads one split. One thread at a time; must not block for longer than a disk read.
public protocol SplitReader: AnyObject {
    /// The next rows: projected columns, then metadata columns.
    func next(maxRows: Int) throws -> ReadResult
    /// Where reading would go on after the rows handed out so far, in the split's text form.
    var position: String { get }
    /// Records behind the end of the split, as last measured; nil when unknown.
    var recordsBehind: Int64? { get }
    /// Called once, before the first `next`. A reader that learns by itself that more has come may call `wake`, from any thread, and is asked
    /// again at once; so it can ask for long pauses while there is nothing.
    func onMore(_ wake: @escaping @Sendable () -> Void)
    func close()
}

extension SplitReader {
    public func onMore(_ wake: @escaping @Sendable () -> Void) {}
    public var recordsBehind: Int64? { nil }
    public func close() {}
}

/// What a split has to give now.
public enum ReadResult: Sendable {
    case batch(Batch)
    /// Nothing now; ask again after this long at the latest.
    case waiting(Duration)
    case endOfSplit
}

/// Something to write a table to.
public protocol TableSink: Sendable {
    /// nil = any; 1 for sinks with a single writer.
    var maxParallelism: Int? { get }
    /// Indices of schema columns that rows are distributed by when there are several writers; empty = no matter.
    var distributionKeys: [Int] { get }
    /// Accepts -U, +U and -D rows. When false, the planner refuses queries that update.
    var acceptsChanges: Bool { get }
    /// In what form it wants changes: an `.upsert` sink needs no -U. The default follows ``acceptsChanges``.
    var changelogMode: ChangelogMode { get }
    /// Rows that an upsert source gives may come as they are: +I or +U whether or not the key is there, and -D of which only the key counts.
    var takesUpserts: Bool { get }
    /// A commit is wanted this often (a barrier is sent through the job); nil = only at the end of input.
    var commitInterval: Duration? { get }
    /// ``commitInterval`` holds also when a longer time between checkpoints is set.
    var commitsOnTime: Bool { get }
    /// What is written stays behind when the job ends: a job that only shows rows, or drops them, is not worth recovering.
    var keepsRows: Bool { get }
    func writer(_ context: SinkContext) throws -> any SinkWriter
    /// Makes what the writers prepared visible; nil when writes are visible at once.
    func committer(_ context: SinkContext) throws -> (any SinkCommitter)?
}

/// What a sink may know of the job that it is part of.
public struct SinkContext: Sendable {
    /// Stays the same when the job is started again from one of its checkpoints; no other job has it.
    public var jobID: String
    /// Identifies the sink within the job, across restarts.
    public var operatorID: String
    public var subtask: Int
    public var parallelism: Int
    public var metrics: OperatorMetrics
    /// The job has checkpoints that it can be recovered from. Without them a crash leaves nothing to go on from, and what
    /// is pending then is never committed.
    public var isRecoverable: Bool
    /// The checkpoint that the job resumes from; nil at its first start.
    public var restoredCheckpoint: UInt64?
    /// What ``SinkWriter/state()`` of this sink's writers gave at that checkpoint, dealt out to the writers of now.
    public var restoredStates: [[UInt8]]
    /// Key groups that rows are distributed by; see ``KeyGroups``.
    public var maxParallelism = KeyGroups.defaultMaxParallelism
    /// A directory for what this subtask keeps on the disk while it runs, not made yet; empty = the job has none.
    public var workDirectory = ""

    public init(jobID: String = "job", operatorID: String = "sink", subtask: Int = 0, parallelism: Int = 1,
                metrics: OperatorMetrics = OperatorMetrics(), isRecoverable: Bool = false, restoredCheckpoint: UInt64? = nil,
                restoredStates: [[UInt8]] = []) {
        self.jobID = jobID
        self.operatorID = operatorID
        self.subtask = subtask
        self.parallelism = parallelism
        self.metrics = metrics
        self.isRecoverable = isRecoverable
        self.restoredCheckpoint = restoredCheckpoint
        self.restoredStates = restoredStates
    }

    /// 16 hexadecimal digits that stay the same for this sink of this job, whatever the subtask: to tell what it left outside from
    /// what others did.
    public var tag: String {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325  // FNV-1a
        for byte in jobID.utf8 + [0] + operatorID.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let digits = String(hash, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension TableSink {
    public var maxParallelism: Int? { nil }
    public var distributionKeys: [Int] { [] }
    public var acceptsChanges: Bool { false }
    public var changelogMode: ChangelogMode { acceptsChanges ? .all : .insertOnly }
    public var takesUpserts: Bool { false }
    public var commitInterval: Duration? { nil }
    public var commitsOnTime: Bool { false }
    public var keepsRows: Bool { true }
    public func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { nil }
}

/// Writes one subtask's rows. One thread.
///
///     write*  prepareCommit(n)  state()  write*  prepareCommit(n + 1)  state()  ...  finish  prepareCommit(m)  state()  close
///
/// What `prepareCommit(n)` returns is durable, but not yet visible. Without a committer it has only to flush.
public protocol SinkWriter: AnyObject {
    func write(_ batch: Batch) throws
    /// Event time has come to here: rows before it are late. `.max` at the end of the input.
    func watermark(_ time: EventTime) throws
    /// Called when no input is at hand, so that rows buffered only for batching reach the outside soon.
    func idle() throws
    /// Ends what belongs to checkpoint n. Numbers grow; some may be left out.
    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable]
    /// What the writer has to know after a recovery from the checkpoint that was just prepared, beyond the committables: for
    /// example a file that goes on growing. nil = nothing.
    func state() throws -> [UInt8]?
    /// No row comes any more, as the input has ended or the job stops: what goes on across checkpoints ends with the next
    /// `prepareCommit`, which is the last.
    func finish() throws
    /// After an error or a cancellation nothing of the open checkpoint may become visible. What was prepared stays: it may
    /// be part of a checkpoint that the job resumes from.
    func abort()
    func close() throws
}

extension SinkWriter {
    public func watermark(_ time: EventTime) throws {}
    public func idle() throws {}
    public func finish() throws {}
    public func state() throws -> [UInt8]? { nil }
    public func abort() {}
    public func close() throws {}
}

/// A writer that keeps rows itself, such as a table that is read where it is written: they are part of the checkpoint like an
/// operator's state, by key group, whatever the parallelism.
public protocol StatefulSinkWriter: SinkWriter {
    /// Called after ``SinkWriter/prepareCommit(_:)`` and ``SinkWriter/state()`` of the same barrier. Costs a copy at most.
    func snapshot(_ barrier: Barrier) throws -> OperatorSnapshot
    /// What every checkpoint holds from now on, as the writer has ended and others of its job go on: units alone, whose pieces may be asked
    /// for again and again. Called after `finish`, the last `prepareCommit` and `state`.
    func lastSnapshot() throws -> [StateUnit]
    /// Gives back what snapshots held, for the key groups of this subtask; empty when there is nothing to go on from. Called once, before
    /// any row.
    func restore(_ state: RestoredState) throws
}

/// What a writer leaves for the committer, in the sink's own encoding.
public struct Committable: Hashable, Sendable {
    public var bytes: [UInt8]
    public init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// Publishes the committables of all writers of a checkpoint, all or nothing.
///
///     recover(n, parts)?  commit(n + 1, parts)  commit(n + 2, parts)  ...  close
public protocol SinkCommitter: AnyObject {
    /// Called once after a restart, before any writer is made: checkpoint n is the one that the job resumes from, and these
    /// are its committables, which may have been committed before the crash, in part or all. Commits what was not, and undoes
    /// whatever was prepared after the checkpoint.
    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws
    /// Idempotent: the same committables may come again, after a crash in the middle or at the end of the first time.
    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws
    /// Checkpoint n will never complete; what its writers prepared comes again with the next one's committables.
    func abort(_ checkpoint: UInt64)
    func close()
}

extension SinkCommitter {
    public func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws { try commit(checkpoint, committables) }
    public func abort(_ checkpoint: UInt64) {}
    public func close() {}
}
