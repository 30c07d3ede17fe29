import LakeTable
import StreamCore
import Synchronization

/// The one writer of a table in this process: holds the lock, begins instants, completes and undoes them.
///
/// Shared by the sink's writer and committer, which may be on different threads.
final class WriteSession: CommitLog {
    let files: TableFiles
    let properties: TableProperties
    /// Which old versions are deleted after a commit; nil = none.
    let cleaning: CleanPolicy?

    private struct State {
        var lock: TableLock?
        var users = 0
        /// Instants of this process that are begun and neither completed nor undone.
        var open: Set<String> = []
        /// Of prepared instants: the versions that are not live any more once they are completed.
        var leaving: [String: (superseded: [FileSlice], removed: [FileSlice])] = [:]
        /// What a clean may delete; nil = not known.
        var retired: Retired?
        /// The content of hoodie.properties that was found to be as expected.
        var properties: [UInt8] = []
    }

    /// The committed versions on the disk that are not live.
    private struct Retired {
        var versions: [RetiredVersion]
        /// The writes that they take account of.
        var writes: Set<String>
    }

    private let state = Mutex(State())
    let timeline: WriterTimeline

    init(files: TableFiles, properties: TableProperties, cleaning: CleanPolicy? = .standard) {
        self.files = files
        self.properties = properties
        self.cleaning = cleaning
        timeline = WriterTimeline(files, version: properties.version)
    }

    /// Takes the table's lock, creating the table when there is none. Each call is undone by one `release`.
    /// - Throws: `.conflict` when another writer holds the table.
    func acquire() throws {
        let isFirst = try state.withLock { state in
            let isFirst = state.lock == nil
            if isFirst {
                try files.makeFolder(TableFiles.metaFolder)
                state.lock = try TableLock(files)
                do {
                    try TableProperties.settleBackup(files)
                    if try TableProperties.load(files) == nil { try properties.create(in: files) }
                    state.properties = []
                    try properties.requireUnchanged(files, seen: &state.properties)
                    try removeLeftovers()
                    try cleaner.finishPending()
                } catch {
                    state.lock = nil
                    throw error
                }
                // What earlier users prepared is completed by a recovery or not at all.
                (state.open, state.leaving, state.retired) = ([], [:], nil)
            }
            state.users += 1
            return isFirst
        }
        guard isFirst else { return }
        do { try restore.finishPending() } catch {
            release()
            throw error
        }
    }

    /// Temporary files of writers that died, and markers of writes that are done.
    private func removeLeftovers() throws {
        let now = try timeline.look(), pending = Set(now.pendingWrites.map(\.time))
        for savepoint in now.instants where savepoint.action == "savepoint" && savepoint.state != .completed { try timeline.remove(savepoint) }
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

    /// Others may change a table between two commits, or take its lock away; what we rely on must still hold.
    func requireUnchanged() throws {
        try state.withLock { state in
            try state.lock?.require()
            guard state.lock?.isHeld(files) ?? true else {
                throw StreamError(.conflict, "the lock of Hudi table \(files.root) is gone: its file was deleted or replaced while this job held it",
                                  fix: "start the job again, and do not delete .hoodie/.swiftwater.lock while one runs")
            }
            try properties.requireUnchanged(files, seen: &state.properties)
        }
    }

    /// Undoes what earlier writers left pending, then begins a write.
    func begin(_ operation: String) throws -> any CommitFiles { try begin(operation, plan: []) }

    func begin(clustering groups: [[FileSlice]], sortColumns: [String]) throws -> any CommitFiles {
        try begin(FileClustering.operation, plan: ClusteringPlan(groups: groups, sortColumns: sortColumns).encoded(files))
    }

    private func begin(_ operation: String, plan: [UInt8]) throws -> any CommitFiles {
        try requireUnchanged()
        try rollBackPending()
        let time = try timeline.newTime(), action = pendingAction(operation)
        state.withLock { _ = $0.open.insert(time) }
        do {
            try timeline.publish(time, action, .requested, plan)
            try files.reached(.requested)
            // Rows stream in, so the plan has no counts yet.
            try timeline.publish(time, action, .inflight, version.encode(CommitMetadata(operation: operation)))
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
        let snapshot = try TableSnapshot.load(files, properties, timeline: try timeline.look(), sizes: true)
        let commits = snapshot.timeline.completedWrites
        state.withLock { $0.retired = Retired(versions: snapshot.retired, writes: commits) }
        return TableState(schema: snapshot.schema, slices: Array(zip(snapshot.slices, snapshot.sizes)).map { (slice: $0, bytes: $1) }, commits: commits)
    }

    func completedCommits() throws -> Set<String> { try timeline.look().completedWrites }

    func prepared(_ commit: String, _ changes: CommitChanges) throws -> Committable {
        var metadata = CommitMetadata(operation: changes.operation)
        metadata.stats = changes.stats
        metadata.replaced = Dictionary(grouping: changes.removed, by: \.partition).mapValues { $0.map(\.fileId).sorted() }
        metadata.extra = ["schema": AvroSchema.json(changes.schema, table: properties.name),
                          CommitMetadata.checkpointKey: String(changes.checkpoint), CommitMetadata.jobKey: changes.jobID]
        state.withLock { $0.leaving[commit] = (changes.superseded, changes.removed) }
        return PreparedCommit(instant: commit, metadata: metadata).committable()
    }

    func recover(_ committables: [Committable]) throws { try recover(PreparedCommit.all(committables)) }

    func complete(_ committables: [Committable]) throws {
        for prepared in try PreparedCommit.all(committables) { try complete(prepared.instant, prepared.metadata) }
    }

    var rollback: Rollback { Rollback(timeline) }
    var cleaner: Cleaner { Cleaner(timeline) }
    var restore: Restore { Restore(timeline: timeline, rollback: rollback) }

    private func pendingAction(_ operation: String) -> String {
        version.pendingAction(CommitMetadata.action(of: operation), clustering: operation == FileClustering.operation)
    }

    func commitsSinceClustering() throws -> Int? {
        var count = 0
        let now = try timeline.current()
        for instant in now.instants.reversed() where instant.isCompletedWrite {
            if instant.action == "replacecommit", try now.metadata(of: instant, in: files).operation == FileClustering.operation { return count }
            count += 1
        }
        return count
    }

    func rollBackPending() throws {
        let keeping = state.withLock { $0.open }
        try rollback.undoPending(keeping: keeping)
    }

    /// Brings the table to the state of a checkpoint: completes the instants that it names, in the order of their times, and
    /// rolls back all other pending ones. May be repeated, also after it failed in the middle.
    /// - Throws: `.conflict` when a named instant was rolled back or its files are gone, `.corrupt` when they are damaged.
    func recover(_ prepared: [PreparedCommit]) throws {
        // Whatever an earlier attempt in this process had open is decided on here.
        state.withLock { ($0.open, $0.leaving) = ([], [:]) }
        try requireUnchanged()
        // One that was begun is finished first: it may undo what is about to be completed, which must then be refused.
        try rollback.finishPending()
        let named = Set(prepared.map(\.instant))
        let pending = try timeline.current().pendingWrites.map(\.time)
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
        if try timeline.look().completedWrite(time) != nil {
            // The attempt that made it may have failed before it was durable.
            try timeline.flush()
        } else if try !isArchived(time, metadata) {
            try requireUnchanged()
            try requirePending(time, pendingAction(metadata.operation))
            for stat in metadata.stats { try requireFile(stat, time) }
            try timeline.publish(time, metadata.action, .completed, version.encode(metadata))
            noteRetired(by: time)
        }
        try files.reached(.committed)
        state.withLock { _ = $0.open.remove(time) }
        let markers = CommitMarkers.folder(of: time)
        if files.exists(markers) { try files.removeTree(markers) }
        try files.reached(.markersDeleted)
        if let cleaning, let plan = try cleaner.plan(cleaning, retiredVersions) { try clean(plan) }
    }

    /// Deletes what a plan names.
    /// - Returns: the clean's instant.
    @discardableResult
    func clean(_ plan: CleanPlan) throws -> String {
        let time = try timeline.newTime()
        try cleaner.run(plan, at: time)
        let gone = Set(plan.files.values.joined())
        state.withLock { [files] in $0.retired?.versions.removeAll { gone.contains(files.absolute($0.slice.path)) } }
        return time
    }

    private var version: TableVersion { properties.version }

    /// What a commit of this process has put out of use, so that the table need not be listed again.
    private func noteRetired(by time: String) {
        state.withLock { state in
            guard let leaving = state.leaving.removeValue(forKey: time) else { return state.retired = nil }
            state.retired?.versions += leaving.superseded.map { RetiredVersion(slice: $0, by: time) }
            state.retired?.versions += leaving.removed.map { RetiredVersion(slice: $0, by: time, isReplaced: true) }
            state.retired?.writes.insert(time)
        }
    }

    /// Committed versions on the disk that are not live.
    func retiredVersions() throws -> [RetiredVersion] {
        let now = try timeline.current()
        if let retired = state.withLock({ $0.retired }), retired.writes == now.completedWrites { return retired.versions }
        let snapshot = try TableSnapshot.load(files, properties, timeline: now)
        state.withLock { $0.retired = Retired(versions: snapshot.retired, writes: now.completedWrites) }
        return snapshot.retired
    }

    /// Whether another engine has moved the completed instant off the timeline since. Those that were rolled back are missing
    /// there as well, but their rollback is not.
    private func isArchived(_ time: String, _ metadata: CommitMetadata) throws -> Bool {
        let now = try timeline.current()
        guard try !now.has(time) && now.isCommitted(time) && !files.names(in: version.archiveFolder).isEmpty && !rollback.undoes(time) else { return false }
        // A rollback of it may be archived as well: then neither its files nor later versions of them are there.
        if metadata.stats.isEmpty || metadata.stats.contains(where: { $0.path.map(files.exists) ?? false }) { return true }
        let groups = Set(metadata.stats.map(\.fileId))
        return try TableSnapshot.load(files, properties).slices.contains { groups.contains($0.fileId) && $0.instant > time }
    }

    private func requirePending(_ time: String, _ action: String) throws {
        if let earlier = state.withLock({ $0.open.min() }), earlier < time {
            throw StreamError(.runtime, "commit \(time) of Hudi table \(files.root) cannot be completed before commit \(earlier), which it is built on",
                              fix: "start the job again from its newest checkpoint")
        }
        guard timeline.exists(time, action, .inflight), try !rollback.undoes(time) else {
            throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: it was rolled back",
                              fix: "run one writer per table, and restore from the newest checkpoint")
        }
    }

    private func requireFile(_ stat: WriteStat, _ time: String) throws {
        guard let path = stat.path else { return }
        guard try files.isThere(path) else {
            throw StreamError(.conflict, "commit \(time) of Hudi table \(files.root) cannot be completed: \(path) is gone", fix: "restore from the newest checkpoint")
        }
        guard files.size(path) == stat.bytes else {
            throw StreamError(.corrupt, "commit \(time) of Hudi table \(files.root) cannot be completed: \(path) has \(files.size(path)) bytes instead of \(stat.bytes)",
                              fix: "restore from an older checkpoint, or put the file back")
        }
    }

    /// Gives an instant of this process up and removes its files.
    func abandon(_ time: String) throws {
        guard state.withLock({ $0.open.remove(time) }) != nil,
              let instant = try timeline.look().pendingWrites.first(where: { $0.time == time }) else { return }
        try rollback.undo(instant)
    }
}
