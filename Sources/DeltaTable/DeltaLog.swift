import LakeTable
import StreamCore
import Synchronization

/// The one writer of a table in this process: holds the lock, writes commits, and undoes those that never happened.
///
/// A commit is a JSON file with the number of the version that it makes, created only if there is none. Until then its files are
/// known by notes. Other engines may commit in between: what they append stays, and a commit that builds on files that they took
/// away is refused.
final class DeltaLog: CommitLog {
    let files: TableFiles
    let plan: DeltaPlan

    private struct State {
        var lock: TableLock?
        var users = 0
        /// Commits of this process that are begun and neither completed nor undone, with what they do once they are prepared.
        var open: [String: Open] = [:]
        var lastName: Int64 = 0
        /// The newest version that was looked at.
        var snapshot: DeltaSnapshot?
        /// The version that the writer has loaded.
        var loaded: Int64 = -1
        var lastTimestamp: Int64 = 0
    }

    private struct Open {
        var base: Int64
        var prepared: PreparedCommit?
    }

    private let state = Mutex(State())

    init(files: TableFiles, plan: DeltaPlan) { (self.files, self.plan) = (files, plan) }

    var title: String { "Delta table \(files.root)" }
    var markColumns: MarkColumns { .none }

    func evolve(table: Schema, writer: Schema, name: String, missing: Bool) throws -> Schema {
        try DeltaSchema.evolve(table: table, writer: writer, name: name, missing: missing)
    }

    // MARK: The lock

    func acquire() throws {
        try state.withLock { state in
            if state.lock == nil {
                try files.makeFolder(LogListing.folder)
                state.lock = try TableLock(files)
                do {
                    if try LogListing(files).versions.isEmpty { try create() }
                    state.snapshot = nil
                    try requireFit(try refreshed(&state))
                    try removeLeftovers()
                } catch {
                    state.lock = nil
                    throw error
                }
                // What earlier users prepared is completed by a recovery or not at all.
                state.open = [:]
            }
            state.users += 1
        }
    }

    func release() {
        state.withLock { state in
            state.users -= 1
            if state.users == 0 { state.lock = nil }
        }
    }

    private func create() throws {
        let now = files.host.now()
        let actions = [
            LogAction(commitInfo: CommitInfo(timestamp: now, operation: "CREATE TABLE", operationParameters: [:], engineInfo: "Swiftwater")),
            LogAction(protocol: TableProtocol(minReaderVersion: 1, minWriterVersion: 2)),
            LogAction(metaData: TableMetadata(
                id: files.host.uuid(), name: plan.tableName, schemaString: try DeltaSchema.json(plan.stored), partitionColumns: plan.partitions,
                configuration: plan.settings, createdTime: now)),
        ]
        try files.publish(LogListing.path(0), try actions.json())
        try files.flushRoot()
    }

    /// Temporary files of writers that died.
    private func removeLeftovers() throws {
        for name in try files.names(in: PendingNotes.parent) where name.utf8.count == 36 && name.utf8.filter({ $0 == 0x2D }).count == 4 {
            let path = PendingNotes.parent + "/" + name
            if !files.isFolder(path) { try files.remove(path) }
        }
    }

    /// The newest version; it stays in the state.
    private func refreshed(_ state: inout State) throws -> DeltaSnapshot {
        if state.snapshot == nil {
            guard let loaded = try DeltaSnapshot.load(files) else { throw lost() }
            state.snapshot = loaded
        } else {
            try state.snapshot!.refresh(files)
        }
        guard try files.isThere(LogListing.path(state.snapshot!.version)) else { throw lost() }
        state.lastTimestamp = max(state.lastTimestamp, state.snapshot!.commits[state.snapshot!.version]?.timestamp ?? 0)
        return state.snapshot!
    }

    private func lost() -> StreamError {
        StreamError(.conflict, "\(title) has lost its \(LogListing.folder)", fix: "restore it or drop the table's folder")
    }

    private func requireFit(_ snapshot: DeltaSnapshot) throws {
        try ProtocolCheck.requireWritable(snapshot, table: files.root)
        try plan.requireFit(snapshot.metadata, table: files.root)
    }

    // MARK: Looking

    var hasOpenCommits: Bool { state.withLock { !$0.open.isEmpty } }

    func load() throws -> TableState {
        try state.withLock { state in
            let snapshot = try refreshed(&state)
            try requireFit(snapshot)
            state.loaded = snapshot.version
            let schema = try snapshot.schema().columns
            let partitions = try plan.partitions.map { name in
                guard let column = schema.first(where: { $0.name == name }) else {
                    throw StreamError(.corrupt, "\(title) is partitioned by column \(name), which its schema lacks")
                }
                return column
            }
            var groups: Set<String> = []
            var constants: [[String: String?]: (folder: String, values: [String: Value])] = [:]
            let slices = try snapshot.files.sorted { $0.key < $1.key }.map { path, file in
                let part: (folder: String, values: [String: Value])
                if let known = constants[file.partitionValues] { part = known } else {
                    part = (try PartitionValues.folder(of: file, partitions: partitions, rules: plan.keyRules),
                            try PartitionValues.constants(of: file, partitions: partitions, table: files.root))
                    constants[file.partitionValues] = part
                }
                // A copy that another engine made of a table may have a group twice.
                let fileId = DeltaFiles.fileId(ofPath: path) ?? path
                var slice = FileSlice(partition: part.folder, fileId: groups.insert(fileId).inserted ? fileId : path, name: path, instant: String(snapshot.version))
                slice.location = path
                slice.constants = part.values
                return (slice: slice, bytes: file.size)
            }
            return TableState(schema: schema, slices: slices, commits: [])
        }
    }

    /// Those since the writer has loaded the table.
    func completedCommits() throws -> Set<String> {
        try state.withLock { state in
            let snapshot = try refreshed(&state)
            var names: Set<String> = []
            for version in stride(from: state.loaded + 1, through: snapshot.version, by: 1) {
                names.insert(snapshot.commits[version]?.swiftwaterCommit ?? "version \(version)")
            }
            return names
        }
    }

    // MARK: Commits

    func begin(_ operation: String) throws -> any CommitFiles {
        try state.withLock { state in
            let snapshot = try refreshed(&state)
            try requireFit(snapshot)
            if operation != "INSERT", operation != "BULK_INSERT", snapshot.metadata.setting("delta.appendOnly")?.lowercased() == "true" {
                throw StreamError(.validate, "\(title) takes inserts only (delta.appendOnly), not \(operation)", fix: "set 'write.operation' = 'insert'")
            }
            let pending = try PendingNotes.commits(files)
            for commit in pending where state.open[commit] == nil { try undo(commit, &state) }
            let last = pending.lazy.compactMap { CommitName.milliseconds($0) }.max() ?? 0
            state.lastName = max(files.host.now(), state.lastName + 1, last + 1)
            let commit = CommitName.make(state.lastName, files.host)
            try PendingNotes(files, commit: commit).begin()
            state.open[commit] = Open(base: snapshot.version)
            do { try files.reached(.requested) } catch {
                state.open[commit] = nil
                throw error
            }
            return DeltaFiles(files, codec: plan.codec, commit: commit)
        }
    }

    /// Removes the files of a commit that did not happen. Those of one that did are on the log.
    private func undo(_ commit: String, _ state: inout State) throws {
        let snapshot = try refreshed(&state)
        var folders: Set<String> = []
        for path in try PendingNotes.paths(of: commit, files) where snapshot.files[path] == nil && snapshot.removed[path] == nil {
            guard try files.isThere(path) else { continue }
            try files.remove(path)
            folders.insert(TableFiles.folder(of: path))
        }
        // The notes must not go before the files do.
        for folder in folders.sorted() { try files.flush(folder) }
        try files.reached(.rollbackFilesDeleted)
        try files.removeTree(PendingNotes.folder(of: commit))
        try files.reached(.rollbackCompleted)
    }

    func abandon(_ commit: String) throws {
        try state.withLock { state in
            guard state.open.removeValue(forKey: commit) != nil else { return }
            try undo(commit, &state)
        }
    }

    func prepared(_ commit: String, _ changes: CommitChanges) throws -> Committable {
        let (base, schemaBefore) = try state.withLock { state in
            let snapshot = try refreshed(&state)
            // Commits that are still to be completed come before this one.
            let last = state.open.filter { $0.key < commit && $0.value.prepared != nil }.max { $0.key < $1.key }
            return (state.open[commit]?.base ?? snapshot.version, last?.value.prepared?.schemaString ?? snapshot.metadata.schemaString)
        }
        let table = try DeltaSchema(json: schemaBefore, table: files.root)
        let schema = try DeltaSchema.evolve(table: table.columns, writer: changes.schema, name: plan.tableName)
        let partitions = Set(plan.partitions)
        var adds: [PreparedCommit.File] = []
        for stat in changes.stats {
            guard let path = stat.path else { continue }
            let found = try FileStatistics(files.absolute(path), schema: schema, partitions: partitions)
            if let column = table.required.sorted().first(where: { (found.nulls[$0] ?? 0) > 0 }) {
                throw StreamError(.runtime, "column \(column) is NULL in \(found.nulls[column]!) rows, and must not be in \(title)",
                                  fix: "leave such rows out (WHERE \(column) IS NOT NULL) or give the column a default")
            }
            adds.append(.init(path: path, partitionValues: try partitionValues(stat.partition, changes), size: stat.bytes, rows: stat.rows, stats: found.json))
        }
        let added = schema.count > table.columns.count
        let prepared = PreparedCommit(
            commit: commit, base: base, operation: changes.operation, adds: adds, removes: (changes.superseded + changes.removed).map(\.path),
            schemaBefore: schemaBefore,
            schemaString: added ? try DeltaSchema.json(schemaBefore, adding: schema[table.columns.count...], table: files.root) : schemaBefore,
            inserted: changes.stats.reduce(0) { $0 + $1.inserts }, updated: changes.stats.reduce(0) { $0 + $1.updates },
            deleted: changes.stats.reduce(0) { $0 + $1.deletes }, checkpoint: changes.checkpoint, jobID: changes.jobID)
        try state.withLock { state in
            // Better now than when the job's checkpoint counts on it.
            let snapshot = try refreshed(&state)
            let before = state.open.values.compactMap(\.prepared)
            try requireBase(of: prepared, snapshot, coming: Set(before.flatMap(\.adds).map(\.path)), hasPending: !before.isEmpty)
            state.open[commit]?.prepared = prepared
        }
        return try prepared.committable()
    }

    private func partitionValues(_ partition: String, _ changes: CommitChanges) throws -> [String: String?] {
        if plan.partitions.isEmpty { return [:] }
        let texts = changes.partitionValues[partition] ?? PartitionValues.texts(ofFolder: partition)
        guard texts.count == plan.partitions.count else {
            throw StreamError(.corrupt, "\(title): the partition '\(partition)' does not have the columns \(plan.partitions.joined(separator: ", "))")
        }
        return Dictionary(uniqueKeysWithValues: zip(plan.partitions, texts))
    }

    /// What the commit takes away must still be there.
    /// - Parameters:
    ///   - coming: files of commits that are to be completed before.
    ///   - hasPending: there are such commits, which may change the columns.
    private func requireBase(of prepared: PreparedCommit, _ snapshot: DeltaSnapshot, coming: Set<String> = [], hasPending: Bool = false) throws {
        if try !hasPending && !fits(prepared, snapshot.metadata.schemaString) {
            throw StreamError(.conflict, "another engine has changed the columns of \(title) (the table is at version \(snapshot.version)) while this job was "
                              + "writing commit \(prepared.commit) on top of version \(prepared.base)", fix: "start the job again, from the checkpoint before")
        }
        guard let gone = prepared.removes.first(where: { snapshot.files[$0] == nil && !coming.contains($0) }) else { return }
        throw StreamError(.conflict, "another engine has rewritten \(gone) of \(title) (the table is at version \(snapshot.version)) while this job was "
                          + "writing commit \(prepared.commit) on top of version \(prepared.base)",
                          fix: "run one writer per table, and start the job again; if it says so again, from the checkpoint before")
    }

    /// Whether the files of a commit are right for a table with these columns.
    private func fits(_ prepared: PreparedCommit, _ current: String) throws -> Bool {
        if current == prepared.schemaBefore || current == prepared.schemaString { return true }
        let columns = try DeltaSchema(json: current, table: files.root).columns
        return try prepared.schemaString == prepared.schemaBefore && DeltaSchema(json: prepared.schemaString, table: files.root).columns.allSatisfy { column in
            columns.contains { $0.name == column.name && SchemaEvolution.same($0.type, column.type) }
        }
    }

    func recover(_ committables: [Committable]) throws {
        let prepared = try PreparedCommit.all(committables)
        try state.withLock { state in
            // Whatever an earlier attempt in this process had open is decided on here.
            state.open = [:]
            state.snapshot = nil
            try requireFit(try refreshed(&state))
        }
        for commit in prepared { try complete(commit) }
        try state.withLock { state in
            for commit in try PendingNotes.commits(files) { try undo(commit, &state) }
        }
    }

    func complete(_ committables: [Committable]) throws {
        for commit in try PreparedCommit.all(committables) { try complete(commit) }
    }

    /// The commit point. Does nothing when the commit is on the log already.
    /// - Throws: `.conflict` when files that it builds on, or its own, are gone, `.corrupt` when they are damaged.
    private func complete(_ prepared: PreparedCommit) throws {
        try state.withLock { state in
            if let earlier = state.open.keys.min(), earlier < prepared.commit {
                throw StreamError(.runtime, "commit \(prepared.commit) of \(title) cannot be completed before commit \(earlier), which it is built on",
                                  fix: "start the job again from its newest checkpoint")
            }
            let snapshot = try refreshed(&state)
            if try isOnLog(prepared, snapshot) {
                // The attempt that made it may have failed before it was durable.
                try files.flush(LogListing.folder)
            } else {
                for file in prepared.adds { try requireFile(file, prepared.commit) }
                try publish(prepared, &state)
            }
            try files.reached(.committed)
            state.open[prepared.commit] = nil
            let notes = PendingNotes.folder(of: prepared.commit)
            if files.exists(notes) { try files.removeTree(notes) }
            try files.reached(.markersDeleted)
            let version = state.snapshot!.version
            if version > 0, version % plan.checkpointInterval(state.snapshot!.metadata) == 0 { try Upkeep(files: files, plan: plan).run(&state.snapshot!) }
        }
    }

    private func publish(_ prepared: PreparedCommit, _ state: inout State) throws {
        while true {
            let snapshot = try refreshed(&state)
            try requireFit(snapshot)
            try requireBase(of: prepared, snapshot)
            let version = snapshot.version + 1, time = max(files.host.now(), state.lastTimestamp + 1)
            let actions = actions(prepared, on: snapshot, time: time)
            do { try files.publish(LogListing.path(version), try actions.json()) } catch let error as StreamError where error.code == .conflict {
                // Without the lock, or without a version that took the name, there is nothing to go on top of.
                try state.lock?.require()
                let now = try refreshed(&state)
                if try isOnLog(prepared, now) { return }
                guard now.version >= version else { throw error }
                // Another engine was faster: on top of what it did, if that is possible.
                continue
            }
            try state.snapshot!.apply(actions, version: version)
            state.lastTimestamp = time
            return
        }
    }

    private func actions(_ prepared: PreparedCommit, on snapshot: DeltaSnapshot, time: Int64) -> [LogAction] {
        let info = CommitInfo(
            timestamp: time, operation: prepared.operation == "UPSERT" ? "MERGE" : prepared.operation == "BULK_INSERT" || prepared.operation == "INSERT" ? "WRITE" : prepared.operation,
            operationParameters: ["operation": .text(prepared.operation), "checkpoint": .text(String(prepared.checkpoint)), "job": .text(prepared.jobID)],
            operationMetrics: ["numFiles": .text(String(prepared.adds.count)), "numRemovedFiles": .text(String(prepared.removes.count)),
                               "numOutputRows": .text(String(prepared.adds.reduce(0) { $0 + $1.rows })),
                               "numOutputBytes": .text(String(prepared.adds.reduce(0) { $0 + $1.size })),
                               "numTargetRowsInserted": .text(String(prepared.inserted)), "numTargetRowsUpdated": .text(String(prepared.updated)),
                               "numTargetRowsDeleted": .text(String(prepared.deleted))],
            engineInfo: "Swiftwater", swiftwaterCommit: prepared.commit)
        var out = [LogAction(commitInfo: info),
                   LogAction(txn: Transaction(appId: prepared.application, version: Int64(prepared.checkpoint), lastUpdated: time))]
        if prepared.schemaString != prepared.schemaBefore, prepared.schemaString != snapshot.metadata.schemaString {
            var metadata = snapshot.metadata
            metadata.schemaString = prepared.schemaString
            out.append(LogAction(metaData: metadata))
        }
        for path in prepared.removes {
            guard let file = snapshot.files[path] else { continue }
            out.append(LogAction(remove: RemoveFile(path: file.path, deletionTimestamp: time, dataChange: true, extendedFileMetadata: true,
                                                    partitionValues: file.partitionValues, size: file.size)))
        }
        for file in prepared.adds {
            out.append(LogAction(add: AddFile(path: ActionPath.encode(file.path), partitionValues: file.partitionValues, size: file.size,
                                              modificationTime: time, dataChange: true, stats: file.stats)))
        }
        return out
    }

    /// Whether the commit is one of those after the version that it was begun on.
    private func isOnLog(_ prepared: PreparedCommit, _ snapshot: DeltaSnapshot) throws -> Bool {
        var unsure = false
        for version in stride(from: prepared.base + 1, through: snapshot.version, by: 1) {
            var info = snapshot.commits[version]
            let file = LogListing.path(version)
            if info == nil, let bytes = try files.readIfThere(file) {
                info = try LogAction.parse(bytes, file: files.absolute(file)).lazy.compactMap(\.commitInfo).first ?? CommitInfo()
            }
            if info?.swiftwaterCommit == prepared.commit { return true }
            if info == nil { unsure = true }
        }
        // Old commits may have been cleaned off the log, but not what they did.
        guard unsure else { return false }
        let paths = prepared.adds.map(\.path)
        if paths.contains(where: { snapshot.files[$0] != nil || snapshot.removed[$0] != nil }) { return true }
        // Its files may be gone, too, once others took their place.
        return try applied(prepared, snapshot) && paths.allSatisfy { try !files.isThere($0) }
    }

    private func applied(_ prepared: PreparedCommit, _ snapshot: DeltaSnapshot) -> Bool {
        snapshot.transactions[prepared.application].map { $0.version >= Int64(prepared.checkpoint) } ?? false
    }

    private func requireFile(_ file: PreparedCommit.File, _ commit: String) throws {
        guard try files.isThere(file.path) else {
            throw StreamError(.conflict, "commit \(commit) of \(title) cannot be completed: \(file.path) is gone",
                              fix: "run one writer per table, and restore from the newest checkpoint")
        }
        guard files.size(file.path) == file.size else {
            throw StreamError(.corrupt, "commit \(commit) of \(title) cannot be completed: \(file.path) has \(files.size(file.path)) bytes instead of \(file.size)",
                              fix: "restore from an older checkpoint, or put the file back")
        }
    }
}
