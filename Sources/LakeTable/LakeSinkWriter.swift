import StreamCore

/// What a sink writes and how: the checked form of a table's options.
package struct WriteConfiguration: Sendable {
    package enum Operation: String, Sendable, CaseIterable {
        case insert, upsert, bulkInsert = "bulk_insert"
        package var commitName: String { self == .bulkInsert ? "BULK_INSERT" : rawValue.uppercased() }
    }

    package var operation: Operation
    package var keys: KeyRules
    /// The column whose larger value tells the newer of two rows with one key; nil = the later one to arrive.
    package var orderingField: String?
    /// The declared columns as the table stores them.
    package var stored: Schema
    package var codec: ParquetCodec
    package var globalKeys: Bool
    package var limits: FileRouter.Limits
    /// Inserts go to small files first, which are rewritten for it. Upserts always do that.
    package var mergeSmallFilesOnInsert: Bool
    /// Rows of an upsert are merged into files before the commit when they take more memory than this.
    package var upsertBufferBytes: Int
    /// Which of the columns that come is the row's image, whose fields become columns; see ``RowColumns``.
    package var rowColumn: Int?
    /// Columns of the table that the declaration lacks are written as NULL.
    package var nullForMissing: Bool

    package init(operation: Operation, keys: KeyRules, orderingField: String?, stored: Schema, codec: ParquetCodec, globalKeys: Bool,
                 limits: FileRouter.Limits, mergeSmallFilesOnInsert: Bool, upsertBufferBytes: Int = 512 << 20,
                 rowColumn: Int? = nil, nullForMissing: Bool = false) {
        (self.operation, self.keys, self.orderingField, self.stored, self.codec) = (operation, keys, orderingField, stored, codec)
        (self.globalKeys, self.limits, self.mergeSmallFilesOnInsert) = (globalKeys, limits, mergeSmallFilesOnInsert)
        (self.upsertBufferBytes, self.rowColumn, self.nullForMissing) = (upsertBufferBytes, rowColumn, nullForMissing || rowColumn != nil)
    }
}

/// Writes the rows of a job into files of pending commits.
package final class LakeSinkWriter: SinkWriter {
    private let log: any CommitLog
    private let configuration: WriteConfiguration
    private let metrics: OperatorMetrics
    private let jobID: String
    private let seeds: KeyHash.Seeds
    private var keys: KeyGenerator
    private var orderingColumn: Int?
    /// The columns of the table from the next commit on.
    private var schema: Schema
    /// Position of each column of `schema` among those that come; nil = it comes in the row's image, or not at all.
    private var sources: [Int?] = []
    private let rowColumns: RowColumns
    private var groups: FileGroupTable
    private var index: KeyIndex?
    private var buffer: UpsertBuffer
    /// Completed commits that `groups` and `index` reflect, and our own: also those that are prepared and not completed yet,
    /// since the next commit is built on their files.
    private var known: Set<String> = []
    private var context: DataFileContext?
    private var router: FileRouter?
    private var attempts = 0
    private var released = false

    package init(log: any CommitLog, configuration: WriteConfiguration, context: SinkContext) throws {
        self.log = log
        self.configuration = configuration
        (metrics, jobID) = (context.metrics, context.jobID)
        seeds = KeyHash.Seeds(log.files.host)
        try log.acquire()
        keys = KeyGenerator(configuration.keys, schema: configuration.stored)
        rowColumns = RowColumns(tableName: configuration.keys.tableName, declared: configuration.stored.map(\.name))
        schema = configuration.stored
        buffer = UpsertBuffer(orderingColumn: nil, seeds: seeds)
        groups = FileGroupTable([], keys: keys)
        do { try loadTable() } catch {
            log.release()
            released = true
            throw error
        }
    }

    deinit { releaseLock() }

    private func releaseLock() {
        if !released { log.release() }
        released = true
    }

    private func loadTable() throws {
        let state = try log.load()
        try use(try state.schema.map {
            try SchemaEvolution.merge(table: $0, writer: configuration.stored, name: configuration.keys.tableName, missing: configuration.nullForMissing)
        } ?? configuration.stored)
        known = state.commits
        groups = FileGroupTable(state.slices, keys: keys)
        if configuration.operation == .upsert { index = try loadIndex() }
    }

    /// Goes over to a schema. Columns keep their positions, as new ones come at the end: only when the table is first seen do they
    /// get them.
    private func use(_ new: Schema) throws {
        guard new != schema || sources.isEmpty else { return }
        if sources.isEmpty {
            keys = KeyGenerator(configuration.keys, schema: new)
            orderingColumn = configuration.orderingField.flatMap { name in new.firstIndex { $0.name == name } }
            buffer = UpsertBuffer(orderingColumn: orderingColumn, seeds: seeds)
        }
        schema = new
        sources = new.map { field in configuration.stored.firstIndex { $0.name == field.name } }
        try buffer.adapt(to: new)
        guard let router, let context else { return }
        let changed = DataFileContext(files: context.files, commit: context.commit, marks: context.marks, schema: new, codec: context.codec)
        try router.use(changed)
        self.context = changed
    }

    /// The columns of the table for the rows of a batch; the schema follows the rows' images.
    private func columns(of batch: Batch) throws -> [Column] {
        let n = batch.physicalCount
        let images = configuration.rowColumn.map { batch.columns[$0].flat() }
        let kinds = batch.rowKinds.map { UnsafePointer($0.pointer(as: UInt8.self)) }
        func isAdded(_ row: Int) -> Bool { kinds.map { RowKind(rawValue: $0[row])!.isAdd } ?? true }
        if let images { try use(try rowColumns.evolve(schema, images, count: n, isWanted: isAdded)) }
        return try zip(schema, sources).map { field, source in
            if let source { return try ColumnConversion.convert(batch.columns[source], to: field.type, name: field.name) }
            return try images.map { try rowColumns.column(field, of: $0, count: n, isWanted: isAdded) } ?? .nulls(type: field.type, count: n)
        }
    }

    /// Reads the keys of all live files.
    private func loadIndex() throws -> KeyIndex {
        let index = KeyIndex(), seeds = seeds
        var wanted = configuration.keys.recordKeyFields.map { name in configuration.stored.first { $0.name == name }! }
        var generator: KeyGenerator?
        if let column = log.markColumns.key {
            wanted = [Field(log.markColumns.kept[column], .string)]
        } else {
            var rules = configuration.keys
            rules.partitionFields = []
            generator = KeyGenerator(rules, schema: wanted)
        }
        for group in groups.slices.indices {
            let reader = try DataFileReader(path: log.files.absolute(groups.slices[group].path), wanted: wanted)
            let salt = configuration.globalKeys ? 0 : groups.partition(of: group) + 1
            while let batch = try reader.next() {
                let keys: StoredKeys = try generator.map { .made(try $0.recordKeys(batch.columns)) } ?? .column(batch.columns[0])
                for row in 0..<batch.physicalCount { index.set(KeyHash(keys.bytes(at: row), salt: salt, seeds: seeds), group: group) }
            }
        }
        return index
    }

    /// The files of the current commit, which begins with the first row of it.
    private func currentRouter() throws -> FileRouter {
        if let router { return router }
        try reloadIfOthersWrote()
        let commit = try log.begin(configuration.operation.commitName)
        known.insert(commit.commit)
        attempts += 1
        let context = DataFileContext(files: log.files, commit: commit, marks: log.markColumns, schema: schema, codec: configuration.codec)
        let fill = configuration.operation == .upsert || configuration.mergeSmallFilesOnInsert
        let router = FileRouter(context, groups: groups, limits: configuration.limits, attempt: attempts, fillSmallFiles: fill)
        self.router = router
        self.context = context
        return router
    }

    /// Our lock keeps out other jobs of this engine, not other engines.
    private func reloadIfOthersWrote() throws {
        let strangers = try log.completedCommits().subtracting(known)
        guard let first = strangers.min() else { return }
        guard !log.hasOpenCommits else {
            throw StreamError(.conflict, "another engine wrote commit \(first) to \(log.title) while this job was committing",
                              fix: "run one writer per table, and start the job again")
        }
        try loadTable()
    }

    // MARK: SinkWriter

    package func write(_ batch: Batch) throws {
        guard batch.count > 0 else { return }
        let batch = batch.compacted()
        let columns = try columns(of: batch)
        let texts = try keys.recordKeys(columns)
        let n = batch.physicalCount
        let numbers = Buffer(capacity: n * 4)
        let partition = try keys.partitions(columns, count: n, into: numbers.pointer(as: Int32.self))
        if configuration.operation == .upsert {
            let kinds = batch.rowKinds.map { UnsafePointer($0.pointer(as: UInt8.self)) }
            buffer.add(.init(columns: columns, keys: texts), kinds: kinds, partitions: numbers.pointer(as: Int32.self), globalKeys: configuration.globalKeys)
            if buffer.bytes > configuration.upsertBufferBytes { try mergeBuffer() }
        } else {
            try requireInserts(batch)
            let router = try currentRouter()
            if let partition {
                try router.insert(columns, keys: texts, rows: nil, count: n, partition: partition) { _, _ in }
            } else {
                try insertByPartition(columns, texts, numbers, n, router)
            }
        }
    }

    private func requireInserts(_ batch: Batch) throws {
        guard let kinds = batch.rowKinds else { return }
        for i in 0..<batch.physicalCount where kinds.pointer(as: UInt8.self)[i] != RowKind.insert.rawValue {
            throw StreamError(.runtime, "table \(configuration.keys.tableName): a \(batch.kind(atPhysical: i)) row came to an operation that only inserts",
                              fix: "set 'write.operation' = 'upsert'")
        }
    }

    /// Sorts row numbers by partition (counting sort), then appends partition by partition.
    private func insertByPartition(_ columns: [Column], _ texts: TextColumn, _ numbers: Buffer, _ n: Int, _ router: FileRouter) throws {
        let partitionOf = numbers.pointer(as: Int32.self)
        var starts = [Int](repeating: 0, count: keys.partitions.count + 1)
        for i in 0..<n { starts[Int(partitionOf[i]) + 1] += 1 }
        for p in 0..<keys.partitions.count { starts[p + 1] += starts[p] }
        let sorted = Buffer(capacity: n * 4)
        let rows = sorted.pointer(as: Int32.self)
        var next = starts
        for i in 0..<n {
            let p = Int(partitionOf[i])
            rows[next[p]] = Int32(truncatingIfNeeded: i)
            next[p] += 1
        }
        for p in 0..<keys.partitions.count where starts[p + 1] > starts[p] {
            try router.insert(columns, keys: texts, rows: rows + starts[p], count: starts[p + 1] - starts[p], partition: p) { _, _ in }
        }
    }

    /// Merges the buffered rows into files of the current commit.
    private func mergeBuffer() throws {
        // Deletes of keys that are not there leave nothing to commit.
        if router == nil, let index, !buffer.entries.contains(where: { !$0.isDelete || index.find($0.hash) >= 0 }) { return buffer.clear() }
        let router = try currentRouter()
        try UpsertMerge(buffer: buffer, index: index!, groups: groups, router: router, context: context!, keyGenerator: keys,
                        orderingColumn: orderingColumn, globalKeys: configuration.globalKeys).run()
        buffer.clear()
    }

    package func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        if !buffer.isEmpty { try mergeBuffer() }
        guard let router, let context else { return [] }
        let (stats, superseded) = try router.finish()
        try log.files.reached(.prepared)
        metrics.bytesOut.add(Int(stats.reduce(0) { $0 + $1.bytes }))
        self.router = nil
        self.context = nil
        let changes = CommitChanges(operation: configuration.operation.commitName, schema: schema, stats: stats, superseded: superseded,
                                    partitionValues: keys.values, checkpoint: checkpoint, jobID: jobID)
        return [try log.prepared(context.commit.commit, changes)]
    }

    /// Undoes the open commit. Prepared ones stay pending: the checkpoint that the job resumes from decides on them.
    package func abort() {
        buffer.clear()
        router = nil
        if let context {
            // The next writer undoes it if this fails.
            try? log.abandon(context.commit.commit)
        }
        context = nil
        releaseLock()
    }

    package func close() throws {
        if context != nil { return abort() }
        releaseLock()
    }
}

/// Completes prepared commits, and undoes those that no checkpoint names.
///
/// A checkpoint that is given up leaves its commit pending: the writer goes on from its files, and it is completed with the
/// next checkpoint's.
package final class LakeCommitter: SinkCommitter {
    private let log: any CommitLog
    private var released = false

    package init(_ log: any CommitLog) throws {
        self.log = log
        try log.acquire()
    }

    deinit { close() }

    package func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws { try log.recover(committables) }

    package func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws { try log.complete(committables) }

    package func close() {
        if !released { log.release() }
        released = true
    }
}

/// Writes a lake table: rows become files of a pending commit, which the committer completes.
package struct LakeSink: TableSink {
    private let log: any CommitLog
    private let configuration: WriteConfiguration
    package let commitInterval: Duration?

    package init(log: any CommitLog, configuration: WriteConfiguration, commitInterval: Duration?) {
        (self.log, self.configuration, self.commitInterval) = (log, configuration, commitInterval)
    }

    /// Lake tables have one writer.
    package var maxParallelism: Int? { 1 }
    package var acceptsChanges: Bool { configuration.operation == .upsert }
    /// With keys that are unique in a partition only, a row that moves must be taken from the partition where it was.
    package var takesUpserts: Bool { configuration.operation == .upsert && configuration.globalKeys }

    package func writer(_ context: SinkContext) throws -> any SinkWriter {
        precondition(context.parallelism == 1, "a lake sink has one writer, not \(context.parallelism)")
        return try LakeSinkWriter(log: log, configuration: configuration, context: context)
    }

    package func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { try LakeCommitter(log) }
}
