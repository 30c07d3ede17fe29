import LakeTable
import StreamCore
import Synchronization

/// The one writer of a table in this process: holds the lock, begins instants, completes and undoes them.
///
/// Shared by the sink's writer and committer, which may be on different threads.
final class WriteSession: CommitLog {
    let files: TableFiles
    let properties: TableProperties
    /// Snapshots as of this many newest commits stay readable; older file versions are deleted after a commit.
    let retainedCommits: Int

    private struct State {
        var lock: TableLock?
        var users = 0
        /// Instants of this process that are begun and neither completed nor undone.
        var open: Set<String> = []
        var last: String?
    }

    private let state = Mutex(State())

    init(files: TableFiles, properties: TableProperties, retainedCommits: Int = 30) {
        self.files = files
        self.properties = properties
        self.retainedCommits = retainedCommits
    }

    /// Takes the table's lock, creating the table when there is none. Each call is undone by one `release`.
    /// - Throws: `.conflict` when another writer holds the table.
    func acquire() throws {
        try state.withLock { state in
            if state.lock == nil {
                try files.makeFolder(TableFiles.metaFolder)
                state.lock = try TableLock(files)
                do {
                    if try TableProperties.load(files) == nil { try properties.create(in: files) }
                    try requireUnchanged()
                    try removeLeftovers()
                    try cleaner.finishPending()
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

    /// Temporary files of writers that died, and markers of writes that are done.
    private func removeLeftovers() throws {
        let pending = Set(try Timeline.load(files, version: properties.version).pendingWrites.map(\.time))
        for name in try files.names(in: TableFiles.temporaryFolder) {
            let path = TableFiles.temporaryFolder + "/" + name
            if name.utf8.count == 36, name.utf8.filter({ $0 == 0x2D }).count == 4 {
                if !files.isFolder(path) { try files.remove(path) }
            } else if InstantTime.parse(name) != nil, !pending.contains(name), files.isFolder(path) {
                try files.removeTree(path)
            }
        }
    }

    func release() {
        state.withLock { state in
            state.users -= 1
            if state.users == 0 { state.lock = nil }
        }
    }

    var hasOpenCommits: Bool { state.withLock { !$0.open.isEmpty } }

    /// Properties may be changed by others between two commits; what we rely on must still hold.
    private func requireUnchanged() throws {
        guard let now = try TableProperties.load(files) else {
            throw StreamError(.conflict, "Hudi table \(files.root) has lost its hoodie.properties", fix: "restore the file or drop the table's folder")
        }
        var expected = properties
        (expected.createSchema, expected.database) = (now.createSchema, now.database)
        guard now == expected else {
            throw StreamError(.conflict, "the properties of Hudi table \(files.root) were changed while it was being written", fix: "start the job again")
        }
        try TableProperties.requireNoMetadataTable(files)
    }

    /// Undoes what earlier writers left pending, then begins a write.
    func begin(_ operation: String) throws -> any CommitFiles {
        try requireUnchanged()
        try rollBackPending()
        let time = try newTime()
        state.withLock { _ = $0.open.insert(time) }
        do {
            try files.publish(Timeline.fileName(time, "commit", .requested, version: properties.version), [])
            try files.reached(.requested)
            // Rows stream in, so the plan has no counts yet.
            try files.publish(Timeline.fileName(time, "commit", .inflight, version: properties.version), CommitMetadata(operation: operation).json())
            try files.reached(.inflight)
        } catch {
            state.withLock { _ = $0.open.remove(time) }
            throw error
        }
        return HudiFiles(files, properties, instant: time)
    }

    var title: String { "Hudi table \(files.root)" }
    var markColumns: MarkColumns { HudiFiles.markColumns }

    func load() throws -> TableState {
        let snapshot = try TableSnapshot.load(files, properties)
        return TableState(schema: snapshot.schema, slices: snapshot.slices.map { ($0, files.size($0.path)) },
                          commits: Set(snapshot.timeline.instants.lazy.filter(\.isCompletedWrite).map(\.time)))
    }

    func completedCommits() throws -> Set<String> {
        Set(try Timeline.load(files, version: properties.version).instants.lazy.filter(\.isCompletedWrite).map(\.time))
    }

    func prepared(_ commit: String, _ changes: CommitChanges) throws -> Committable {
        var metadata = CommitMetadata(operation: changes.operation)
        metadata.stats = changes.stats
        metadata.extra = ["schema": AvroSchema.json(changes.schema, table: properties.name),
                          CommitMetadata.checkpointKey: String(changes.checkpoint), CommitMetadata.jobKey: changes.jobID]
        return PreparedCommit(instant: commit, metadata: metadata).committable()
    }

    func recover(_ committables: [Committable]) throws { try recover(PreparedCommit.all(committables)) }

    func complete(_ committables: [Committable]) throws {
        for prepared in try PreparedCommit.all(committables) { try complete(prepared.instant, prepared.metadata) }
    }

    /// A time for a new instant, later than all others; the writer's and the committer's threads never get the same.
    private func newTime() throws -> String {
        try state.withLock { state in
            let time = try Timeline.load(files, version: properties.version).nextTime(now: files.host.now(), after: state.last)
            state.last = time
            return time
        }
    }

    private var rollback: Rollback { Rollback(files: files, version: properties.version) { try self.newTime() } }
    private var cleaner: Cleaner { Cleaner(files: files, version: properties.version) }

    func rollBackPending() throws {
        let keeping = state.withLock { $0.open }
        try rollback.undoPending(keeping: keeping)
    }

    /// Brings the table to the state of a checkpoint: completes the instants that it names, in the order of their times, and
    /// rolls back all other pending ones. May be repeated, also after it failed in the middle.
    /// - Throws: `.conflict` when a named instant was rolled back or its files are gone, `.corrupt` when they are damaged.
    func recover(_ prepared: [PreparedCommit]) throws {
        // Whatever an earlier attempt in this process had open is decided on here.
        state.withLock { $0.open = [] }
        try requireUnchanged()
        // One that was begun is finished first: it may undo what is about to be completed, which must then be refused.
        try rollback.finishPending()
        let named = Set(prepared.map(\.instant))
        let pending = try Timeline.load(files, version: properties.version).pendingWrites.map(\.time)
        if let last = pending.last(where: named.contains), let missing = pending.first(where: { !named.contains($0) && $0 < last }) {
            throw StreamError(.conflict, "commit \(last) of Hudi table \(files.root) is built on commit \(missing), which is neither completed nor part of the checkpoint",
                              fix: "run one writer per table, and restore from another checkpoint")
        }
        for commit in prepared { try complete(commit.instant, commit.metadata) }
        try rollback.undoPending(keeping: [])
    }

    /// The commit point. Does nothing when the instant is completed already.
    /// - Throws: `.conflict` when the instant was rolled back or its files are gone, `.corrupt` when they are damaged.
    func complete(_ time: String, _ metadata: CommitMetadata) throws {
        let completed = Timeline.fileName(time, "commit", .completed, version: properties.version)
        if files.exists(completed) {
            // The attempt that made it may have failed before it was durable.
            try files.flush(version.timelineFolder)
        } else if try !isArchived(time) {
            try requireUnchanged()
            try requirePending(time)
            for stat in metadata.stats { try requireFile(stat, time) }
            try files.publish(completed, metadata.json())
        }
        try files.reached(.committed)
        state.withLock { _ = $0.open.remove(time) }
        let markers = CommitMarkers.folder(of: time)
        if files.exists(markers) { try files.removeTree(markers) }
        try files.reached(.markersDeleted)
        if let plan = try cleaner.plan(retaining: retainedCommits) { try cleaner.run(plan, at: try newTime()) }
    }

    private var version: TableVersion { properties.version }

    /// Whether another engine has moved the completed instant off the timeline since. Those that were rolled back are missing
    /// there as well, but their rollback is not.
    private func isArchived(_ time: String) throws -> Bool {
        let timeline = try Timeline.load(files, version: version)
        return try !timeline.has(time) && timeline.isCommitted(time) && !files.names(in: TableFiles.metaFolder + "/archived").isEmpty
            && !rollback.undoes(time, on: timeline)
    }

    private func requirePending(_ time: String) throws {
        if let earlier = state.withLock({ $0.open.min() }), earlier < time {
            throw StreamError(.runtime, "commit \(time) of Hudi table \(files.root) cannot be completed before commit \(earlier), which it is built on",
                              fix: "start the job again from its newest checkpoint")
        }
        let timeline = try Timeline.load(files, version: version)
        guard files.exists(Timeline.fileName(time, "commit", .inflight, version: version)), try !rollback.undoes(time, on: timeline) else {
            throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: it was rolled back",
                              fix: "run one writer per table, and restore from the newest checkpoint")
        }
    }

    private func requireFile(_ stat: WriteStat, _ time: String) throws {
        guard let path = stat.path else { return }
        guard files.exists(path) else {
            throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: \(path) is gone", fix: "restore from the newest checkpoint")
        }
        guard files.size(path) == stat.bytes else {
            throw StreamError(.corrupt, "commit \(time) of Hudi table \(files.root) cannot be completed: \(path) has \(files.size(path)) bytes instead of \(stat.bytes)",
                              fix: "restore from an older checkpoint, or put the file back")
        }
    }

    /// Gives an instant of this process up and removes its files.
    func abandon(_ time: String) throws {
        let action = state.withLock { state in state.open.remove(time) }
        guard action != nil, !files.exists(Timeline.fileName(time, "commit", .completed, version: properties.version)) else { return }
        try rollback.undo(Instant(time: time, action: "commit", state: .inflight))
    }
}
