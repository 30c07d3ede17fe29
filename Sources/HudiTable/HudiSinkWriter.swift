import StreamCore

/// What a sink writes and how: the checked form of a table's options.
struct WriteConfiguration: Sendable {
    enum Operation: String, Sendable, CaseIterable {
        case insert, upsert, bulkInsert = "bulk_insert"
        var commitName: String { self == .bulkInsert ? "BULK_INSERT" : rawValue.uppercased() }
    }

    var operation: Operation
    /// The declared columns as the table stores them.
    var stored: Schema
    var codec: ParquetCodec
    var globalKeys: Bool
    var limits: FileRouter.Limits
    /// Inserts go to small files first, which are rewritten for it. Upserts always do that.
    var mergeSmallFilesOnInsert: Bool
    /// Rows of an upsert are merged into files before the commit when they take more memory than this.
    var upsertBufferBytes = 512 << 20
}

/// Writes the rows of a job into files of pending commits.
final class HudiSinkWriter: SinkWriter {
    private let session: WriteSession
    private let configuration: WriteConfiguration
    private let metrics: OperatorMetrics
    private let jobID: String
    private let seeds: KeyHash.Seeds
    private let keys: KeyGenerator
    private let orderingColumn: Int?
    private var schema: Schema
    private var groups: FileGroupTable
    private var index: KeyIndex?
    private var buffer: UpsertBuffer
    /// Completed writes that `groups` and `index` reflect, and our own: also those that are prepared and not completed yet,
    /// since the next commit is built on their files.
    private var known: Set<String> = []
    private var instant: String?
    private var router: FileRouter?
    private var attempts = 0
    private var released = false

    init(session: WriteSession, configuration: WriteConfiguration, context: SinkContext) throws {
        self.session = session
        self.configuration = configuration
        (metrics, jobID) = (context.metrics, context.jobID)
        seeds = KeyHash.Seeds(session.files.host)
        try session.acquire()
        keys = KeyGenerator(session.properties, schema: configuration.stored)
        orderingColumn = session.properties.orderingField.flatMap { name in configuration.stored.firstIndex { $0.name == name } }
        schema = configuration.stored
        buffer = UpsertBuffer(orderingColumn: orderingColumn, seeds: seeds)
        groups = FileGroupTable([], keys: keys, files: session.files)
        do { try loadTable() } catch {
            session.release()
            released = true
            throw error
        }
    }

    deinit { releaseLock() }

    private func releaseLock() {
        if !released { session.release() }
        released = true
    }

    private func loadTable() throws {
        let snapshot = try TableSnapshot.load(session.files, session.properties)
        schema = try snapshot.schema.map { try SchemaEvolution.merge(table: $0, writer: configuration.stored, name: session.properties.name) }
            ?? configuration.stored
        known = Set(snapshot.timeline.instants.lazy.filter(\.isCompletedWrite).map(\.time))
        groups = FileGroupTable(snapshot.slices, keys: keys, files: session.files)
        guard configuration.operation == .upsert else { return }
        let index = KeyIndex(), seeds = seeds
        for group in groups.slices.indices {
            let reader = try BaseFileReader(path: session.files.absolute(groups.slices[group].path), wanted: [Field("_hoodie_record_key", .string)])
            let salt = configuration.globalKeys ? 0 : groups.partition(of: group) + 1
            while let batch = try reader.next() {
                for row in 0..<batch.physicalCount { index.set(KeyHash(batch.columns[0].bytes(at: row), salt: salt, seeds: seeds), group: group) }
            }
        }
        self.index = index
    }

    /// The files of the current instant, which begins with the first row of a commit.
    private func currentRouter() throws -> FileRouter {
        if let router { return router }
        try reloadIfOthersWrote()
        let time = try session.begin(operation: configuration.operation.commitName)
        instant = time
        known.insert(time)
        attempts += 1
        let context = BaseFileContext(files: session.files, markers: CommitMarkers(session.files, instant: time), tableName: session.properties.name,
                                      schema: schema, codec: configuration.codec, instant: time,
                                      partitionDepth: session.properties.partitionFields.count)
        let fill = configuration.operation == .upsert || configuration.mergeSmallFilesOnInsert
        let router = FileRouter(context, groups: groups, limits: configuration.limits, attempt: attempts, fillSmallFiles: fill)
        self.router = router
        self.context = context
        return router
    }

    private var context: BaseFileContext?

    /// Our lock keeps out other jobs of this engine, not other engines.
    private func reloadIfOthersWrote() throws {
        let timeline = try Timeline.load(session.files, version: session.properties.version)
        let strangers = timeline.instants.filter { $0.isCompletedWrite && !known.contains($0.time) }
        guard let first = strangers.first else { return }
        guard !session.hasOpenInstants else {
            throw StreamError(.conflict, "another engine wrote commit \(first.time) to Hudi table \(session.files.root) while this job was committing",
                              fix: "run one writer per table, and start the job again")
        }
        try loadTable()
    }

    // MARK: SinkWriter

    func write(_ batch: Batch) throws {
        guard batch.count > 0 else { return }
        let batch = batch.compacted()
        let columns = try zip(batch.columns, configuration.stored).map { try ColumnConversion.convert($0, to: $1.type, name: $1.name) }
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
            throw StreamError(.runtime, "table \(session.properties.name): a \(batch.kind(atPhysical: i)) row came to an operation that only inserts",
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

    /// Merges the buffered rows into files of the current instant.
    private func mergeBuffer() throws {
        // Deletes of keys that are not there leave nothing to commit.
        if router == nil, let index, !buffer.entries.contains(where: { !$0.isDelete || index.find($0.hash) >= 0 }) { return buffer.clear() }
        let router = try currentRouter()
        try UpsertMerge(buffer: buffer, index: index!, groups: groups, router: router, context: context!, orderingColumn: orderingColumn,
                        globalKeys: configuration.globalKeys).run()
        buffer.clear()
    }

    func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        if !buffer.isEmpty { try mergeBuffer() }
        guard let router, let instant else { return [] }
        var metadata = CommitMetadata(operation: configuration.operation.commitName)
        metadata.stats = try router.stats()
        metadata.extra = ["schema": AvroSchema.json(schema, table: session.properties.name),
                          CommitMetadata.checkpointKey: String(checkpoint), CommitMetadata.jobKey: jobID]
        try session.files.reached(.prepared)
        metrics.bytesOut.add(Int(metadata.stats.reduce(0) { $0 + $1.bytes }))
        self.router = nil
        self.instant = nil
        return [PreparedCommit(instant: instant, metadata: metadata).committable()]
    }

    /// Undoes the open commit. Prepared ones stay pending: the checkpoint that the job resumes from decides on them.
    func abort() {
        buffer.clear()
        router = nil
        if let instant {
            // The next writer undoes it if this fails.
            try? session.abandon(instant)
        }
        instant = nil
        releaseLock()
    }

    func close() throws {
        if instant != nil { return abort() }
        releaseLock()
    }
}
