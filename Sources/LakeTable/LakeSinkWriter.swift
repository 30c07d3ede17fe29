import Foundation
import StreamCore
import Synchronization

/// What a sink writes and how: the checked form of a table's options.
package struct WriteConfiguration: Sendable {
    package enum Operation: String, Sendable, CaseIterable {
        case insert, upsert, bulkInsert = "bulk_insert"
        /// Every row that comes takes the row with its key away.
        case delete
        /// What others wrote to the partitions that rows come for is replaced; or to the whole table.
        case insertOverwrite = "insert_overwrite", insertOverwriteTable = "insert_overwrite_table"
        /// The partitions that rows come for are emptied.
        case deletePartition = "delete_partition"

        package var commitName: String { rawValue.uppercased() }
        /// Rows are found by their keys.
        package var findsKeys: Bool { self == .upsert || self == .delete }
        /// File groups leave the table with all of their rows.
        package var replaces: Bool { self == .insertOverwrite || self == .insertOverwriteTable || self == .deletePartition }
    }

    package var operation: Operation
    package var keys: KeyRules
    /// The column whose larger value tells the newer of two rows with one key; nil = the later one to arrive.
    package var orderingField: String?
    /// Those that decide where the ones before are equal.
    package var moreOrderingFields: [String] = []
    var orderingFields: [String] { (orderingField.map { [$0] } ?? []) + moreOrderingFields }
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
    /// Threads that write file groups side by side at a merge.
    package var threads = max(1, min(4, ProcessInfo.processInfo.activeProcessorCount))
    /// The partition that an overwrite replaces also when no row comes for it; nil = those that rows come for.
    package var overwrittenPartition: String?
    /// Small files are merged after so many commits; nil = never by itself.
    package var clustering: (commits: Int, settings: FileClustering.Settings)?

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
    private var seeds: KeyHash.Seeds
    /// Keys of at least so many rows are kept in a file at an orderly stop.
    package static let keptIndexKeys = 100_000
    private var keys: KeyGenerator
    private var orderingColumns: [Int] = []
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
    /// Of operations that replace: file groups that this job did not write, and that have not left the table yet.
    private var replaceable: [FileSlice] = []
    /// File groups that this job made, in earlier runs too: its own rows are not what an overwrite replaces, so the result does
    /// not depend on where checkpoints fall.
    private var own: Set<String> = []
    /// Paths of partitions that are to be emptied.
    private var emptied: Set<String> = []
    private var finished = false

    package init(log: any CommitLog, configuration: WriteConfiguration, context: SinkContext) throws {
        self.log = log
        self.configuration = configuration
        (metrics, jobID) = (context.metrics, context.jobID)
        for state in context.restoredStates { own.formUnion(String(decoding: state, as: UTF8.self).split(separator: "\n").map(String.init)) }
        seeds = KeyHash.Seeds(log.files.host)
        try log.acquire()
        keys = KeyGenerator(configuration.keys, schema: configuration.stored)
        rowColumns = RowColumns(tableName: configuration.keys.tableName, declared: configuration.stored.map(\.name))
        schema = configuration.stored
        buffer = UpsertBuffer(orderingColumns: [], seeds: seeds)
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
        // Only before the first row: hashes that are made already have their seeds.
        var kept: KeyIndex?
        if sources.isEmpty, keepsIndex {
            if let loaded = KeyIndexFile.load(log.files, slices: state.slices.map(\.slice), rules: configuration.keys) { (kept, seeds) = (loaded.index, loaded.seeds) }
        }
        // Columns that rows have brought since the last commit are not on the table yet.
        let writer = sources.isEmpty ? configuration.stored : schema
        let merged = try state.schema.map {
            try log.evolve(table: $0, writer: writer, name: configuration.keys.tableName, missing: configuration.nullForMissing)
        } ?? writer
        guard sources.isEmpty || zip(merged, schema).allSatisfy({ $0.name == $1.name }) && merged.count >= schema.count else {
            throw StreamError(.conflict, "another engine has added columns to \(log.title) while this job was about to add its own", fix: "start the job again")
        }
        try use(merged)
        try loadGroups(state, kept)
    }

    /// Keys of several partitions are told apart by numbers that partitions get anew in every run.
    private var keepsIndex: Bool { configuration.operation == .upsert && configuration.globalKeys && log.files.hasFolders }

    private func loadGroups(_ state: TableState, _ kept: KeyIndex? = nil) throws {
        known = state.commits
        if configuration.operation.replaces {
            replaceable = state.slices.lazy.map(\.slice).filter { !own.contains($0.fileId) }
            groups = FileGroupTable(state.slices.filter { own.contains($0.slice.fileId) }, keys: keys)
        } else {
            groups = FileGroupTable(state.slices, keys: keys)
        }
        if configuration.operation.findsKeys { index = try kept ?? loadIndex() }
    }

    /// Goes over to a schema. Columns keep their positions, as new ones come at the end: only when the table is first seen do they
    /// get them.
    private func use(_ new: Schema) throws {
        guard new != schema || sources.isEmpty else { return }
        if sources.isEmpty {
            keys = KeyGenerator(configuration.keys, schema: new)
            orderingColumns = configuration.orderingFields.compactMap { name in new.firstIndex { $0.name == name } }
            buffer = UpsertBuffer(orderingColumns: orderingColumns, seeds: seeds)
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
        if let images {
            let grown = try rowColumns.evolve(schema, images, count: n, isWanted: isAdded)
            // The format has a say in it.
            if grown != schema { try use(try log.evolve(table: schema, writer: grown, name: configuration.keys.tableName, missing: false)) }
        }
        return try zip(schema, sources).map { field, source in
            if let source { return try ColumnConversion.convert(batch.columns[source], to: field.type, name: field.name) }
            return try images.map { try rowColumns.column(field, of: $0, count: n, isWanted: isAdded) } ?? .nulls(type: field.type, count: n)
        }
    }

    /// Reads the keys of all live files.
    private func loadIndex() throws -> KeyIndex {
        let seeds = seeds
        var index = KeyIndex()
        // Rows are told by the size of the largest file, so that the index need not grow many times.
        if let largest = groups.slices.indices.max(by: { groups.bytes(of: $0) < groups.bytes(of: $1) }), groups.bytes(of: largest) > 1 << 20 {
            let slice = groups.slices[largest], rows = try ParquetReader(path: log.files.absolute(slice.path)).rows
            let total = groups.slices.indices.reduce(0) { $0 + groups.bytes(of: $1) }
            index = KeyIndex(capacity: min(Int(Double(rows) / Double(groups.bytes(of: largest)) * Double(total)), 1 << 28))
        }
        var wanted = keys.keySchema(schema), generator: KeyGenerator?
        if let column = log.markColumns.key {
            wanted = [Field(log.markColumns.kept[column], .string)]
        } else {
            generator = keys.ofKeysOnly(schema)
        }
        let ids = log.markColumns.key == nil ? log.fieldIDs(wanted) : nil
        let bytes = groups.slices.indices.reduce(0) { $0 + groups.bytes(of: $1) }
        // The index is changed under the lock; all else is only read until the threads are done.
        let lock = Mutex(())
        try Parallel.forEach(groups.slices.count, bytes >= Parallel.fewBytes ? configuration.threads : 1) { group in
            let slice = groups.slices[group], salt = configuration.globalKeys ? 0 : groups.partition(of: group) + 1
            let reader = try DataFileReader(path: log.files.absolute(slice.path), wanted: wanted, ids: ids, constants: slice.constants)
            var first = 0, hashes = ContiguousArray<KeyHash>()
            while let batch = try reader.next() {
                let keys: StoredKeys = try generator.map { .made(try $0.recordKeys(batch.columns)) } ?? .column(batch.columns[0])
                hashes.removeAll(keepingCapacity: true)
                for row in 0..<batch.physicalCount { hashes.append(KeyHash(keys.bytes(at: row), salt: salt, seeds: seeds)) }
                hashes.withUnsafeBufferPointer { hashes in lock.withLock { _ in index.load(hashes, group: group, firstRow: first) } }
                first += batch.physicalCount
            }
        }
        return index
    }

    /// The files of the current commit, which begins with the first row of it.
    private func currentRouter() throws -> FileRouter {
        if let router { return router }
        try reloadIfOthersWrote()
        try clusterIfDue()
        let commit = try log.begin(configuration.operation.commitName)
        known.insert(commit.commit)
        attempts += 1
        let context = DataFileContext(files: log.files, commit: commit, marks: log.markColumns, schema: schema, codec: configuration.codec)
        let fill = configuration.operation.findsKeys || configuration.mergeSmallFilesOnInsert
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

    /// Between two commits, as what it replaces must not be written to any more.
    private func clusterIfDue() throws {
        guard let (commits, settings) = configuration.clustering, !configuration.operation.replaces, !log.hasOpenCommits,
              let since = try log.commitsSinceClustering(), since >= commits else { return }
        if try FileClustering(log: log, keys: configuration.keys, codec: configuration.codec, settings: settings, jobID: jobID).run() != nil {
            // Buffered rows may have columns already that the table gets with the next commit.
            try loadGroups(try log.load())
        }
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
        if configuration.operation == .deletePartition {
            try requireInserts(batch)
            for number in Set(UnsafeBufferPointer(start: numbers.pointer(as: Int32.self), count: n)) { emptied.insert(keys.partitions[Int(number)]) }
        } else if configuration.operation == .delete {
            try requireInserts(batch)
            let kinds = Buffer(capacity: n)
            kinds.pointer(as: UInt8.self).update(repeating: RowKind.delete.rawValue, count: n)
            try requirePartitions(texts, UnsafePointer(kinds.pointer(as: UInt8.self)), numbers.pointer(as: Int32.self))
            buffer.add(.init(columns: columns, keys: texts), kinds: UnsafePointer(kinds.pointer(as: UInt8.self)),
                       partitions: numbers.pointer(as: Int32.self), globalKeys: configuration.globalKeys)
            if buffer.bytes > configuration.upsertBufferBytes { try mergeBuffer() }
        } else if configuration.operation == .upsert {
            let kinds = batch.rowKinds.map { UnsafePointer($0.pointer(as: UInt8.self)) }
            if let kinds { try requirePartitions(texts, kinds, numbers.pointer(as: Int32.self)) }
            buffer.add(.init(columns: columns, keys: texts), kinds: kinds, partitions: numbers.pointer(as: Int32.self), globalKeys: configuration.globalKeys)
            if buffer.bytes > configuration.upsertBufferBytes { try mergeBuffer() }
        } else {
            try requireInserts(batch)
            let router = try currentRouter()
            if let partition {
                try router.insert(columns, keys: texts, rows: nil, count: n, partition: partition) { _, _, _ in }
            } else {
                try insertByPartition(columns, texts, numbers, n, router)
            }
        }
    }

    /// Where keys are unique per partition only, a delete that leaves its partition open must not pass without finding its row.
    private func requirePartitions(_ texts: TextColumn, _ kinds: UnsafePointer<UInt8>, _ partitions: UnsafePointer<Int32>) throws {
        guard !configuration.globalKeys, !keys.unknownPartitions.isEmpty else { return }
        var seen: Set<KeyHash> = []
        for i in 0..<texts.count where keys.unknownPartitions.contains(partitions[i]) {
            let hash = KeyHash(texts.value(i), salt: Int(partitions[i]) + 1, seeds: seeds)
            // Rows can truly be in the partition of NULL.
            if seen.insert(hash).inserted, kinds[i] == RowKind.delete.rawValue, index!.find(hash) < 0, buffer.find(hash) < 0 {
                throw StreamError(.runtime, "table \(configuration.keys.tableName): a -D row of key '\(String(decoding: texts.value(i), as: UTF8.self))' has NULL in "
                                  + "\(configuration.keys.partitionFields.joined(separator: ", ")), and keys are unique per partition: it does not say which row goes",
                                  fix: "let deletes bring the partition columns, or make keys unique in the table with 'index.global.enabled' = 'true'")
            }
        }
    }

    private func requireInserts(_ batch: Batch) throws {
        guard let kinds = batch.rowKinds else { return }
        for i in 0..<batch.physicalCount where kinds.pointer(as: UInt8.self)[i] != RowKind.insert.rawValue {
            throw StreamError(.runtime, "table \(configuration.keys.tableName): a \(batch.kind(atPhysical: i)) row came to operation '\(configuration.operation.rawValue)', which takes only +I",
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
            try router.insert(columns, keys: texts, rows: rows + starts[p], count: starts[p + 1] - starts[p], partition: p) { _, _, _ in }
        }
    }

    /// Merges the buffered rows into files of the current commit.
    private func mergeBuffer() throws {
        if router == nil { try reloadIfOthersWrote() }
        // Deletes of keys that are not there leave nothing to commit.
        if router == nil, let index, !buffer.entries.contains(where: { !$0.isDelete || index.find($0.hash) >= 0 }) { return buffer.clear() }
        let router = try currentRouter()
        try UpsertMerge(buffer: buffer, index: index!, groups: groups, router: router, context: context!, keyGenerator: keys,
                        orderingColumns: orderingColumns, globalKeys: configuration.globalKeys, threads: configuration.threads).run()
        buffer.clear()
    }

    package func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
        if !buffer.isEmpty { try mergeBuffer() }
        // Rows make a commit; so does what leaves the table without any row coming.
        if router == nil, configuration.operation.replaces, replaceable.contains(where: leaves) { _ = try currentRouter() }
        guard let router, let context else { return [] }
        let (stats, superseded) = try router.finish()
        let removed = replaced(by: stats)
        try log.files.reached(.prepared)
        metrics.bytesOut.add(Int(stats.reduce(0) { $0 + $1.bytes }))
        self.router = nil
        self.context = nil
        let changes = CommitChanges(operation: configuration.operation.commitName, schema: schema, stats: stats, superseded: superseded, removed: removed,
                                    partitionValues: keys.values, checkpoint: checkpoint, jobID: jobID)
        return [try log.prepared(context.commit.commit, changes)]
    }

    package func finish() throws { finished = true }

    package func state() throws -> [UInt8]? { own.isEmpty ? nil : Array(own.sorted().joined(separator: "\n").utf8) }

    /// Whether a file group leaves the table although no row was written in its place.
    private func leaves(_ slice: FileSlice) -> Bool {
        switch configuration.operation {
        case .deletePartition: emptied.contains(slice.partition)
        case .insertOverwriteTable: finished
        default: finished && slice.partition == configuration.overwrittenPartition
        }
    }

    /// The file groups that the current commit takes out of the table.
    private func replaced(by stats: [WriteStat]) -> [FileSlice] {
        guard configuration.operation.replaces else { return [] }
        own.formUnion(stats.lazy.map(\.fileId))
        let written = Set(stats.lazy.map(\.partition)), all = configuration.operation == .insertOverwriteTable && !stats.isEmpty
        let removed = replaceable.filter { all || written.contains($0.partition) || leaves($0) }
        replaceable.removeAll { all || written.contains($0.partition) || leaves($0) }
        emptied = []
        return removed
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
        if !released, keepsIndex, let index, index.count >= Self.keptIndexKeys {
            // Without the file the next run reads the keys again, so that failing to write it is no failure of the job.
            do { try KeyIndexFile.save(index, seeds: seeds, slices: groups.slices, rules: configuration.keys, log.files) } catch {
                metrics.warn("the index of the keys of \(log.title) could not be kept, and the next run reads all keys: \(error)")
            }
        }
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
