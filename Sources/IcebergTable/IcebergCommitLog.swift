import LakeTable
import StreamCore
import Synchronization

/// What a table is made as, when there is none.
struct TableDraft: Sendable {
    var schema: IcebergSchema
    var spec: PartitionSpec
    var properties: [String: String]
}

/// The one writer of a table in this process: each commit becomes a snapshot.
///
///     begin      metadata/.swiftwater/pending/<snapshot id>.marker   so that files of a commit that never happens are found again
///     files      data/.../<task>-<attempt>-<snapshot id>-<uuid>.parquet
///     complete   manifests, the manifest list, then v<N+1>.metadata.json, which must not exist: the commit point
///
/// What only expired snapshots need is named in `metadata/.swiftwater/garbage/` before the commit point, and deleted after it.
final class IcebergCommitLog: CommitLog {
    let files: TableFiles
    private let draft: TableDraft
    private let upkeep: Upkeep
    /// How rows are found by their keys; nil when they are not.
    private let keys: KeyRules?
    /// Every live file must be one that can be replaced.
    private let replacesFiles: Bool
    private let folder: MetadataFolder
    private let store: ManifestStore

    private struct State {
        var lock: TableLock?
        var users = 0
        /// Commits of this process that are begun and neither completed nor undone, oldest first.
        var open: [(id: Int64, parent: Int64?, sequence: Int64)] = []
        /// What the next commit is built on: the newest snapshot, or the newest open commit.
        var tip: Int64?
        /// Snapshots of which this process knows.
        var known: Set<Int64> = []
        var newest: (path: String, version: Int, metadata: TableMetadata)?
        var book: SchemaBook?
        /// Partition path -> the text of each column, of partitions that the table has.
        var partitions: [String: [String?]] = [:]
    }

    private let state = Mutex(State())

    init(files: TableFiles, draft: TableDraft, upkeep: Upkeep, keys: KeyRules?, replacesFiles: Bool) {
        (self.files, self.draft, self.upkeep, self.keys, self.replacesFiles) = (files, draft, upkeep, keys, replacesFiles || keys != nil)
        folder = MetadataFolder(files: files)
        store = ManifestStore(files)
    }

    var title: String { "Iceberg table \(files.root)" }
    var markColumns: MarkColumns { .none }

    private static let pending = MetadataFolder.own + "/pending"
    private static let garbage = MetadataFolder.own + "/garbage"

    /// The file that says that a commit has been begun. Object stores tell files from folders by their endings.
    private static func marker(_ id: Int64) -> String { "\(pending)/\(id).marker" }
    private static func plan(_ id: Int64) -> String { "\(garbage)/\(id).txt" }
    private static func id(_ name: String) -> Int64? { name.split(separator: ".").first.flatMap { Int64($0) } }

    // MARK: Life

    func acquire() throws {
        try state.withLock { state in
            if state.lock == nil {
                try files.makeFolder(MetadataFolder.own)
                state.lock = try TableLock(files)
                do {
                    if try folder.newest() == nil { try create() }
                    for name in try files.names(in: MetadataFolder.own + "/.temp") { try files.remove(MetadataFolder.own + "/.temp/" + name) }
                    state.newest = nil
                    let metadata = try newest(&state).metadata
                    try finishGarbage(metadata)
                } catch {
                    state.lock = nil
                    throw error
                }
                // What earlier users prepared is completed by a recovery or not at all.
                state.open = []
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

    var hasOpenCommits: Bool { state.withLock { !$0.open.isEmpty } }

    private func create() throws {
        try files.makeFolder(IcebergFiles.dataFolder)
        let metadata = try TableMetadata(uuid: files.host.uuid(), location: TableLocation.uri(of: files), now: files.host.now(), schema: draft.schema,
                                         spec: draft.spec, properties: draft.properties, file: files.absolute(MetadataFolder.name(1)))
        try folder.publish(metadata, version: 1)
        try folder.publishHint(1)
        try files.flushRoot()
    }

    /// The newest metadata; the file is read when it is a new one.
    private func newest(_ state: inout State) throws -> (path: String, version: Int, metadata: TableMetadata) {
        guard let (path, version) = try folder.newest() else {
            throw StreamError(.conflict, "\(title) has lost its metadata files", fix: "restore them, or drop the table's folder")
        }
        guard let version else {
            throw StreamError(.validate, "\(title) belongs to a catalog that keeps its own record of the newest metadata (\(path)); such a table can be read only",
                              fix: "write to a table with the file system's layout (metadata/v<N>.metadata.json)")
        }
        if let newest = state.newest, newest.path == path { return newest }
        let metadata = try folder.load(path)
        guard metadata.formatVersion == 2 else {
            throw StreamError(.validate, "\(title) is of format version \(metadata.formatVersion); only version 2 can be written", fix: "upgrade the table: set its property 'format-version' to 2")
        }
        guard TableLocation(metadata, files).isWhereTheTableLies else {
            throw StreamError(.validate, "\(title) says that it lies at \(metadata.location)", fix: "write it there, or rewrite its metadata with the new place")
        }
        for field in metadata.schema.fields {
            if let type = field.type.unwritable { throw StreamError(.validate, "column \(field.name) of \(title) is \(type), which cannot be written", fix: "use a table with BINARY or STRING") }
        }
        state.newest = (path, version, metadata)
        return (path, version, metadata)
    }

    private func book(_ state: inout State) throws -> SchemaBook {
        if let book = state.book { return book }
        let book = SchemaBook(try newest(&state).metadata)
        state.book = book
        return book
    }

    func load() throws -> TableState {
        try state.withLock { state in
            let metadata = try newest(&state).metadata, location = TableLocation(metadata, files)
            let tuple = try PartitionTuple(metadata.spec, metadata.schema)
            if state.open.isEmpty { try book(&state).reset(metadata) }
            var slices: [(slice: FileSlice, bytes: Int64)] = []
            if let snapshot = metadata.currentSnapshot {
                for (entry, specID) in try store.liveFiles(snapshot, metadata, location) {
                    guard specID == metadata.defaultSpecID else {
                        if replacesFiles {
                            throw StreamError(.validate, "\(title) has files of an older partition spec (\(entry.file.path)), whose rows cannot be replaced",
                                              fix: "rewrite the table's files by the current spec, or write with 'write.operation' = 'insert'")
                        }
                        continue
                    }
                    guard entry.file.format.uppercased() == "PARQUET" else {
                        throw StreamError(.validate, "\(title) has a file in \(entry.file.format) (\(entry.file.path)); only Parquet is supported", fix: "rewrite the table as Parquet")
                    }
                    let path = try location.relative(entry.file.path), partition = try tuple.path(entry.file.partition)
                    state.partitions[partition] = tuple.texts(entry.file.partition)
                    let name = path.split(separator: "/").last.map(String.init) ?? path
                    var slice = FileSlice(partition: partition, fileId: IcebergFiles.fileID(name) ?? path, name: name, instant: String(entry.snapshot))
                    slice.location = path
                    slices.append((slice, entry.file.bytes))
                }
            }
            if state.open.isEmpty { state.tip = metadata.currentSnapshotID }
            state.known.formUnion(metadata.snapshots.map(\.id))
            slices.sort { ($0.slice.partition, $0.slice.path) < ($1.slice.partition, $1.slice.path) }
            return TableState(schema: metadata.schema.columns.map { Field($0.name, $0.type) }, slices: slices, commits: Set(metadata.snapshots.map { String($0.id) }))
        }
    }

    func completedCommits() throws -> Set<String> {
        try state.withLock { state in Set(try newest(&state).metadata.snapshots.map { String($0.id) }) }
    }

    // MARK: Columns

    static let allowedChanges = "INT to BIGINT, FLOAT to DOUBLE, and a DECIMAL to one of more digits"

    func fieldIDs(_ schema: Schema) -> [Int32?]? {
        // The writer has loaded the table before.
        state.withLock { $0.book }?.fields(schema).map { Int32($0.id) }
    }

    func evolve(table: Schema, writer: Schema, name: String, missing: Bool) throws -> Schema {
        let merged = try SchemaEvolution.merge(table: table, writer: writer, name: name, missing: missing, widening: IcebergTypes.promotes,
                                               allowed: Self.allowedChanges)
        try state.withLock { state in
            let book = try book(&state)
            for field in book.schema.fields where field.required && !writer.contains(where: { $0.name == field.name }) {
                throw StreamError(.validate, "column \(field.name) of \(title) must not be NULL, and the declaration lacks it", fix: "add it to CREATE TABLE")
            }
            book.fields(merged)
        }
        return merged
    }

    // MARK: Commits

    func begin(_ operation: String) throws -> any CommitFiles {
        let id: Int64 = try state.withLock { state in
            let metadata = try newest(&state).metadata
            try undoPending(state, metadata)
            if state.open.isEmpty, metadata.currentSnapshotID != state.tip {
                throw StreamError(.conflict, "\(title) was set back to another snapshot by another engine while it was being written",
                                  fix: "start the job again")
            }
            var id: Int64 = 0
            while id == 0 || state.known.contains(id) { id = Int64(bitPattern: files.host.randomBits() & UInt64(Int64.max)) }
            state.open.append((id, state.tip, (state.open.last?.sequence ?? metadata.lastSequence) + 1))
            state.known.insert(id)
            state.tip = id
            return id
        }
        do {
            try files.makeFolder(Self.pending)
            try files.publish(Self.marker(id), [])
            try files.reached(.requested)
        } catch {
            state.withLock { state in
                if let last = state.open.last, last.id == id {
                    state.open.removeLast()
                    state.tip = last.parent
                }
            }
            throw error
        }
        return IcebergFiles(files, try state.withLock { try book(&$0) }, commit: String(id))
    }

    func abandon(_ commit: String) throws {
        try state.withLock { state in
            guard let at = state.open.firstIndex(where: { String($0.id) == commit }) else { return }
            let gone = state.open.remove(at: at)
            if state.tip == gone.id { state.tip = gone.parent }
            let metadata = try newest(&state).metadata
            guard metadata.snapshot(gone.id) == nil else { return }
            try undo(gone.id, metadata)
        }
    }

    func prepared(_ commit: String, _ changes: CommitChanges) throws -> Committable {
        try state.withLock { state in
            guard let open = state.open.first(where: { String($0.id) == commit }) else { preconditionFailure("commit \(commit) was not begun") }
            let metadata = try newest(&state).metadata
            // Found here, the conflict costs the job this checkpoint; found at the commit point, its rows would be part of a durable one.
            if let current = metadata.currentSnapshotID, !state.known.contains(current) {
                state.open.removeAll { $0.id == open.id }
                state.tip = open.parent
                try undo(open.id, metadata)
                throw conflict(open.id, current, metadata)
            }
            let book = try book(&state)
            var prepared = PreparedSnapshot(id: open.id, parent: open.parent, sequence: open.sequence, schema: book.schema, lastColumnID: book.lastColumnID,
                                            specID: metadata.defaultSpecID)
            for (path, texts) in changes.partitionValues { state.partitions[path] = texts }
            prepared.added = changes.stats.map { stat in
                .init(path: stat.path!, bytes: stat.bytes, rows: stat.rows, partition: stat.partition.isEmpty ? [] : state.partitions[stat.partition]!)
            }
            prepared.removed = (changes.superseded + changes.removed).map(\.path)
            prepared.updated = changes.stats.reduce(0) { $0 + $1.updates }
            prepared.deleted = changes.stats.reduce(0) { $0 + $1.deletes }
            prepared.isRearrangement = changes.operation == FileClustering.operation
            (prepared.checkpoint, prepared.job) = (changes.checkpoint, changes.jobID)
            return prepared.committable()
        }
    }

    private func conflict(_ id: Int64, _ other: Int64, _ metadata: TableMetadata) -> StreamError {
        let engine = metadata.snapshot(other)?.summary("engine-name").map { " (\($0))" } ?? ""
        return StreamError(.conflict, "another engine\(engine) wrote snapshot \(other) to \(title) while this job was preparing commit \(id)",
                           fix: "run one writer per table, and start the job again: it goes on from the newest snapshot")
    }

    func complete(_ committables: [Committable]) throws {
        for prepared in try PreparedSnapshot.all(committables) { try state.withLock { try complete(prepared, &$0) } }
    }

    func recover(_ committables: [Committable]) throws {
        let all = try PreparedSnapshot.all(committables)
        try state.withLock { state in
            // Whatever an earlier attempt in this process had open is decided on here.
            state.open = []
            for prepared in all { try complete(prepared, &state, mayFollowOthers: true) }
            let metadata = try newest(&state).metadata
            try undoPending(state, metadata)
            state.tip = metadata.currentSnapshotID
        }
    }

    /// The commit point. Does nothing when the snapshot is there already.
    /// - Parameter mayFollowOthers: another engine's snapshots may have come between, if they have nothing to do with these rows.
    private func complete(_ prepared: PreparedSnapshot, _ state: inout State, mayFollowOthers: Bool = false) throws {
        let (path, version, metadata) = try newest(&state)
        let marker = Self.marker(prepared.id)
        if metadata.snapshot(prepared.id) != nil {
            // The attempt that made it may have failed before it was durable.
            try files.flush(MetadataFolder.folder)
            try folder.publishHint(version)
        } else if try files.isThere(marker), try holds(prepared, metadata) {
            // It was completed, its snapshot has been expired since, and its files live on.
            try files.flush(MetadataFolder.folder)
        } else if try files.isThere(marker) {
            if metadata.currentSnapshotID != prepared.parent, try !mayFollowOthers || !isApart(prepared, metadata) {
                guard let current = metadata.currentSnapshotID else {
                    throw StreamError(.conflict, "\(title) has lost snapshot \(prepared.parent!), which commit \(prepared.id) is built on", fix: "restore the table, or start the job anew")
                }
                throw conflict(prepared.id, current, metadata)
            }
            for file in prepared.added { try requireFile(file, prepared.id) }
            try removeMetadata(of: prepared.id)
            let producer = SnapshotProducer(files: files, store: store, location: TableLocation(metadata, files), upkeep: upkeep, metadata: metadata, prepared: prepared)
            let result = try producer.run(metadataFile: path)
            try files.flush(MetadataFolder.folder)
            try files.reached(.inflight)
            try planGarbage(result.garbage, prepared.id)
            try folder.publish(result.metadata, version: version + 1)
            try files.reached(.committed)
            try folder.publishHint(version + 1)
            state.newest = (MetadataFolder.name(version + 1), version + 1, result.metadata)
            try removeGarbage(result.garbage, prepared.id)
        } else if !metadata.snapshots.contains(where: { $0.summary(Snapshot.jobKey) == prepared.job && ($0.summary(Snapshot.checkpointKey).flatMap { UInt64($0) } ?? 0) >= prepared.checkpoint }) {
            // A snapshot that has been expired since has no marker either, but later ones of the job.
            throw StreamError(.conflict, "commit \(prepared.id) of \(title) cannot be completed: it was undone",
                              fix: "run one writer per table, and restore from the newest checkpoint")
        }
        try removeMarker(marker)
        state.open.removeAll { $0.id == prepared.id }
        state.known.insert(prepared.id)
        if state.open.isEmpty { state.tip = try newest(&state).metadata.currentSnapshotID }
        try files.reached(.markersDeleted)
    }

    /// Whether the newest snapshot has a file of a commit, so that it was completed.
    private func holds(_ prepared: PreparedSnapshot, _ metadata: TableMetadata) throws -> Bool {
        guard let current = metadata.currentSnapshot, current.id != prepared.parent, !prepared.added.isEmpty else { return false }
        let location = TableLocation(metadata, files), added = Set(prepared.added.map(\.path))
        return try store.liveFiles(current, metadata, location).contains { added.contains(try location.relative($0.entry.file.path)) }
    }

    /// Whether what other engines did since a commit was begun leaves its files alone and has none of its keys. The rows of a checkpoint that
    /// is durable come from nowhere else again, so that such a commit is completed on top of theirs.
    private func isApart(_ prepared: PreparedSnapshot, _ metadata: TableMetadata) throws -> Bool {
        guard let current = metadata.currentSnapshot else { return false }
        let location = TableLocation(metadata, files)
        let history = metadata.ancestors(of: current.id)
        guard prepared.parent == nil || history.contains(where: { $0.id == prepared.parent }) else { return false }
        func paths(_ snapshot: Snapshot) throws -> Set<String> {
            Set(try store.liveFiles(snapshot, metadata, location).map { try location.relative($0.entry.file.path) })
        }
        let now = try paths(current), before = try prepared.parent.flatMap { metadata.snapshot($0) }.map(paths) ?? []
        guard now.isSuperset(of: prepared.removed) else { return false }
        guard let keys else { return true }
        let seeds = KeyHash.Seeds(files.host), ours = try keyHashes(prepared.added.map(\.path), keys, prepared.schema, seeds)
        return try keyHashes(now.subtracting(before).sorted(), keys, metadata.schema, seeds).isDisjoint(with: ours)
    }

    private func keyHashes(_ paths: [String], _ keys: KeyRules, _ schema: IcebergSchema, _ seeds: KeyHash.Seeds) throws -> Set<KeyHash> {
        var out: Set<KeyHash> = []
        let fields = try keys.recordKeyFields.map { name in
            guard let field = schema.field(named: name) else { throw StreamError(.conflict, "\(title) has lost its key column \(name)", fix: "start the job anew") }
            return field
        }
        var rules = keys
        rules.partitionFields = []
        let wanted = fields.map { Field($0.name, $0.type.dataType) }, generator = KeyGenerator(rules, schema: wanted)
        for path in paths {
            let reader = try DataFileReader(path: files.absolute(path), wanted: wanted, ids: fields.map { Int32($0.id) })
            while let batch = try reader.next() {
                let texts = try generator.recordKeys(batch.columns)
                for row in 0..<texts.count { out.insert(KeyHash(texts.value(row), salt: 0, seeds: seeds)) }
            }
        }
        return out
    }

    private func requireFile(_ file: PreparedSnapshot.Added, _ id: Int64) throws {
        guard try files.isThere(file.path) else {
            throw StreamError(.conflict, "commit \(id) of \(title) cannot be completed: \(file.path) is gone", fix: "restore from the newest checkpoint")
        }
        guard files.size(file.path) == file.bytes else {
            throw StreamError(.corrupt, "commit \(id) of \(title) cannot be completed: \(file.path) has \(files.size(file.path)) bytes instead of \(file.bytes)",
                              fix: "restore from an older checkpoint, or put the file back")
        }
    }

    // MARK: Undoing

    /// Removes what commits left behind that will never be completed.
    private func undoPending(_ state: State, _ metadata: TableMetadata) throws {
        for name in try files.names(in: Self.pending) {
            guard let id = Self.id(name), !state.open.contains(where: { $0.id == id }) else { continue }
            if metadata.snapshot(id) == nil { try undo(id, metadata) } else { try removeMarker(Self.marker(id)) }
        }
    }

    /// A marker that came back after a power failure would be that of a commit to be completed, if its snapshot has been expired since.
    private func removeMarker(_ marker: String) throws {
        guard try files.isThere(marker) else { return }
        try files.remove(marker)
        try files.flush(Self.pending)
    }

    private func undo(_ id: Int64, _ metadata: TableMetadata) throws {
        var found = try files.names(in: MetadataFolder.folder).filter { $0.hasPrefix("\(id)-m") || $0.hasPrefix("snap-\(id)-") }.map { MetadataFolder.folder + "/" + $0 }
        var folders: Set<String> = [MetadataFolder.folder]
        try dataFiles(of: id, in: IcebergFiles.dataFolder, &found, &folders)
        if !found.isEmpty {
            // A snapshot that was completed and has been expired since has files that others still need.
            let needed = try store.reachable(metadata, TableLocation(metadata, files))
            found.removeAll { needed.contains($0) }
        }
        for path in found { try files.remove(path) }
        // Also those that an attempt before has deleted must not come back after a power failure.
        try files.flush(folders: folders)
        try files.reached(.rollbackFilesDeleted)
        try files.remove(Self.marker(id))
    }

    private func dataFiles(of id: Int64, in folder: String, _ out: inout [String], _ folders: inout Set<String>) throws {
        folders.insert(folder)
        for name in try files.names(in: folder) {
            let path = "\(folder)/\(name)"
            if name.hasSuffix(".parquet") {
                if name.contains("-\(id)-") { out.append(path) }
            } else if files.isFolder(path) {
                try dataFiles(of: id, in: path, &out, &folders)
            }
        }
    }

    /// Manifests of an attempt that did not get to the commit point.
    private func removeMetadata(of id: Int64) throws {
        let left = try files.names(in: MetadataFolder.folder).filter { $0.hasPrefix("\(id)-m") || $0.hasPrefix("snap-\(id)-") }
        for name in left { try files.remove(MetadataFolder.folder + "/" + name) }
        if !left.isEmpty { try files.flush(MetadataFolder.folder) }
    }

    // MARK: Garbage

    private func planGarbage(_ paths: [String], _ id: Int64) throws {
        guard !paths.isEmpty else { return }
        try files.makeFolder(Self.garbage)
        try files.replace(Self.plan(id), Array(paths.joined(separator: "\n").utf8))
        try files.reached(.cleanRequested)
    }

    private func removeGarbage(_ paths: [String], _ id: Int64) throws {
        guard !paths.isEmpty else { return }
        for path in paths { try files.remove(path) }
        try files.flush(folders: Set(paths.map(TableFiles.folder)))
        try files.reached(.cleanFilesDeleted)
        try files.remove(Self.plan(id))
    }

    /// Finishes deletions that were interrupted; the commit that planned them may not have happened.
    private func finishGarbage(_ metadata: TableMetadata) throws {
        let plans = try files.names(in: Self.garbage)
        guard !plans.isEmpty else { return }
        // The newest metadata may not be durable yet, and older ones need what is deleted here.
        try files.flush(MetadataFolder.folder)
        let needed = try store.reachable(metadata, TableLocation(metadata, files)).union([MetadataFolder.name((try folder.newest()?.version) ?? 0)])
        for plan in plans {
            guard let id = Self.id(plan) else { continue }
            let paths = String(decoding: try files.read("\(Self.garbage)/\(plan)"), as: UTF8.self).split(separator: "\n").map(String.init)
            try removeGarbage(paths.filter { !needed.contains($0) }, id)
            try files.remove("\(Self.garbage)/\(plan)")
        }
    }
}
