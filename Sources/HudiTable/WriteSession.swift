import StreamCore
import Synchronization

/// The one writer of a table in this process: holds the lock, begins instants, completes and undoes them.
///
/// Shared by the sink's writer and committer, which may be on different threads.
final class WriteSession: Sendable {
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
            }
            state.users += 1
        }
    }

    /// Temporary files of writers that died. Folders there are markers, which a rollback removes.
    private func removeLeftovers() throws {
        for name in try files.names(in: TableFiles.temporaryFolder) where name.utf8.count == 36 && name.utf8.filter({ $0 == 0x2D }).count == 4 {
            let path = TableFiles.temporaryFolder + "/" + name
            if !files.isFolder(path) { try files.remove(path) }
        }
    }

    func release() {
        state.withLock { state in
            state.users -= 1
            if state.users == 0 { state.lock = nil }
        }
    }

    var hasOpenInstants: Bool { state.withLock { !$0.open.isEmpty } }

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
    func begin(operation: String) throws -> String {
        try requireUnchanged()
        try rollBackPending()
        let time = try newTime()
        state.withLock { _ = $0.open.insert(time) }
        try files.publish(Timeline.fileName(time, "commit", .requested, version: properties.version), [])
        try files.reached(.requested)
        // Rows stream in, so the plan has no counts yet.
        try files.publish(Timeline.fileName(time, "commit", .inflight, version: properties.version), CommitMetadata(operation: operation).json())
        try files.reached(.inflight)
        return time
    }

    /// A time for a new instant, later than all others; the writer's and the committer's threads never get the same.
    private func newTime() throws -> String {
        try state.withLock { state in
            let time = try Timeline.load(files, version: properties.version).nextTime(now: Clock.milliseconds(), after: state.last)
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

    /// The commit point. Does nothing when the instant is completed already.
    /// - Throws: `.conflict` when the instant was rolled back.
    func complete(_ time: String, _ metadata: CommitMetadata) throws {
        let completed = Timeline.fileName(time, "commit", .completed, version: properties.version)
        if !files.exists(completed) {
            try requireUnchanged()
            guard files.exists(Timeline.fileName(time, "commit", .inflight, version: properties.version)) else {
                throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: it was rolled back",
                                  fix: "run one writer per table, and restore from the newest checkpoint")
            }
            for stat in metadata.stats { if let path = stat.path { try requireFile(path, time) } }
            try files.publish(completed, metadata.json())
        }
        try files.reached(.committed)
        state.withLock { _ = $0.open.remove(time) }
        let markers = TableFiles.temporaryFolder + "/" + time
        if files.exists(markers) { try files.removeTree(markers) }
        try files.reached(.markersDeleted)
        if let plan = try cleaner.plan(retaining: retainedCommits) { try cleaner.run(plan, at: try newTime()) }
    }

    private func requireFile(_ path: String, _ time: String) throws {
        guard files.exists(path) else {
            throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: \(path) is gone", fix: "restore from the newest checkpoint")
        }
    }

    /// Gives an instant of this process up and removes its files.
    func abandon(_ time: String) throws {
        let action = state.withLock { state in state.open.remove(time) }
        guard action != nil, !files.exists(Timeline.fileName(time, "commit", .completed, version: properties.version)) else { return }
        try rollback.undo(Instant(time: time, action: "commit", state: .inflight))
    }
}
