import LakeTable
import StreamCore

/// What is done to a Hudi table from outside of jobs: cleaning, clustering, savepoints, and going back.
///
/// Each action takes the table's lock, and is refused with a `.conflict` while a job writes the table.
public struct TableMaintenance: Sendable {
    private let files: TableFiles
    private let properties: TableProperties

    /// - Throws: `.validate` when there is no table or one that cannot be written here.
    public init(_ path: String, host: Host = .system) throws { try self.init(path, host: host, reached: { _ in }) }

    init(_ path: String, host: Host = .system, reached: @escaping @Sendable (WriteStep) throws -> Void) throws {
        var files = try TableFiles(path: path)
        files.host = host
        files.reached = reached
        guard let properties = try TableProperties.load(files) else {
            throw StreamError(.validate, "there is no Hudi table at \(files.root)", fix: "give the folder that has .hoodie in it")
        }
        (self.files, self.properties) = (files, properties)
    }

    /// Runs a change with the table's lock held.
    private func locked<T>(_ body: (WriteSession) throws -> T) throws -> T {
        let session = WriteSession(files: files, properties: properties, cleaning: nil)
        try session.acquire()
        defer { session.release() }
        try session.requireUnchanged()
        return try body(session)
    }

    private func timeline() throws -> Timeline { try Timeline.load(files, version: properties.version) }

    private func error(_ code: StreamError.Code, _ problem: String, fix: String? = nil) -> StreamError {
        StreamError(code, "Hudi table \(files.root): \(problem)", fix: fix)
    }

    /// Pending writes may belong to a job that is down and completes them when it comes back: nothing may be built on the state
    /// before them.
    private func requireNothingPending() throws {
        guard let pending = try timeline().pendingWrites.last else { return }
        throw error(.conflict, "commit \(pending.time) is neither completed nor rolled back: a job that is down may still complete it",
                    fix: "start that job again, or give the commit up: table rollback \(files.root) \(pending.time)")
    }

    /// What is known of files comes from the commits on the timeline here.
    private func requireWholeTimeline() throws {
        guard try files.names(in: properties.version.archiveFolder).contains(where: { !$0.hasPrefix(".") }) else { return }
        throw error(.validate, "another engine has archived commits of it, whose files are not known here", fix: "use the tools of that engine for savepoints and for undoing commits")
    }

    // MARK: Cleaning

    /// What a clean deleted, or would delete.
    public struct Cleaned: Sendable, Hashable {
        /// The clean's own instant; nil when nothing was done.
        public var instant: String?
        /// The oldest instant that can still be read as of its time; nil when versions are counted.
        public var earliest: String?
        /// Relative to the table, sorted.
        public var files: [String]
        public var bytes: Int64
    }

    /// Deletes versions of file groups that the policy does not keep.
    /// - Parameter dryRun: only tells what would go; needs no lock.
    public func clean(_ policy: CleanPolicy = .standard, dryRun: Bool = false) throws -> Cleaned {
        func cleaned(_ plan: CleanPlan?, _ instant: String?) -> Cleaned {
            let paths = (plan?.files ?? [:]).values.flatMap { $0 }.map { String($0.dropFirst(files.root.utf8.count + 1)) }.sorted()
            return Cleaned(instant: instant, earliest: plan?.earliest?.time, files: paths, bytes: paths.reduce(0) { $0 + files.size($1) })
        }
        if dryRun {
            return cleaned(try Cleaner(WriterTimeline(files, version: properties.version)).plan(policy) { try TableSnapshot.load(files, properties).retired }, nil)
        }
        return try locked { session in
            guard let plan = try session.cleaner.plan(policy, session.retiredVersions) else { return cleaned(nil, nil) }
            var done = cleaned(plan, nil)
            done.instant = try session.clean(plan)
            return done
        }
    }

    // MARK: Clustering

    /// What clustering merged, or would merge.
    public struct Clustered: Sendable, Hashable {
        /// Nil when nothing was done.
        public var instant: String?
        /// Files that leave the table, relative to it, and their sizes together.
        public var replaced: [String], replacedBytes: Int64
        /// Files that take their place; in a dry run none, and `groups` tells how many there would be about.
        public var written: [String], writtenBytes: Int64, rows: Int64
        public var groups: Int
    }

    /// Merges small files of a partition into larger ones, in one commit that changes no row.
    ///
    /// - Parameters:
    ///   - targetBytes: about how large files are made; also the most that are merged at a time.
    ///   - smallFileBytes: files of this size and above are left alone.
    ///   - sortColumns: the rows that come into one file are sorted by these; needs memory for the rows of one file.
    ///   - dryRun: only tells what would be merged; needs no lock.
    public func cluster(targetBytes: Int64 = 120 << 20, smallFileBytes: Int64 = 100 << 20, sortColumns: [String] = [], dryRun: Bool = false) throws -> Clustered {
        let settings = FileClustering.Settings(targetBytes: targetBytes, smallFileBytes: smallFileBytes, sortColumns: sortColumns)
        if dryRun {
            let groups = FileClustering.plan(try WriteSession(files: files, properties: properties).load().slices, settings)
            return Clustered(instant: nil, replaced: groups.flatMap { $0.inputs.map(\.slice.path) }.sorted(),
                             replacedBytes: groups.reduce(0) { $0 + $1.bytes }, written: [], writtenBytes: 0, rows: 0, groups: groups.count)
        }
        return try locked { session in
            try requireNothingPending()
            let clustering = FileClustering(log: session, keys: properties.keyRules, codec: .zstd, settings: settings, jobID: "table cluster")
            guard let outcome = try clustering.run() else {
                return Clustered(instant: nil, replaced: [], replacedBytes: 0, written: [], writtenBytes: 0, rows: 0, groups: 0)
            }
            return Clustered(instant: outcome.commit, replaced: outcome.removed.map(\.path).sorted(),
                             replacedBytes: outcome.removed.reduce(0) { $0 + files.size($1.path) }, written: outcome.stats.compactMap(\.path).sorted(),
                             writtenBytes: outcome.stats.reduce(0) { $0 + $1.bytes }, rows: outcome.stats.reduce(0) { $0 + $1.rows }, groups: outcome.stats.count)
        }
    }

    // MARK: Savepoints

    /// A snapshot whose files are never cleaned.
    public struct Savepoint: Sendable, Hashable {
        /// The commit that it keeps.
        public var instant: String
        public var comment: String
        /// Who made it.
        public var by: String
        /// Milliseconds since 1970.
        public var at: Int64
        public var files: Int
    }

    /// Oldest first.
    public func savepoints() throws -> [Savepoint] {
        try SavepointMetadata.all(files, try timeline()).map { time, metadata in
            Savepoint(instant: time, comment: metadata.comment, by: metadata.by, at: metadata.at, files: metadata.paths.count)
        }
    }

    /// Keeps the files of a snapshot from being cleaned.
    /// - Parameter instant: a completed commit; nil = the newest.
    /// - Throws: `.validate` when there is no such commit, `.conflict` when its files are cleaned already.
    public func createSavepoint(_ instant: String? = nil, comment: String = "", by: String = "swiftwater") throws -> Savepoint {
        try locked { session in
            try requireWholeTimeline()
            let history = try CommitHistory.load(files, version: properties.version)
            let target = try instant.map { try completed($0, history) } ?? newestWrite(history)
            if history.timeline.instants.contains(where: { $0.time == target && $0.action == "savepoint" }) {
                throw error(.conflict, "there is a savepoint of \(target) already", fix: "delete it first: table savepoint delete \(files.root) \(target)")
            }
            let slices = try readable(target, history)
            let metadata = SavepointMetadata(by: by, at: files.host.now(), comment: comment, files: Dictionary(grouping: slices, by: \.partition).mapValues { $0.map(\.name).sorted() })
            try session.timeline.publish(target, "savepoint", .inflight, [])
            try session.timeline.publish(target, "savepoint", .completed, metadata.encoded())
            return Savepoint(instant: target, comment: comment, by: by, at: metadata.at, files: slices.count)
        }
    }

    /// - Throws: `.validate` when there is no savepoint of that commit.
    public func deleteSavepoint(_ instant: String) throws {
        try locked { session in
            let known = try savepoints().map(\.instant)
            guard known.contains(instant) else { throw error(.validate, "there is no savepoint of \(instant)", fix: near(instant, known, "savepoints")) }
            for savepoint in try session.timeline.look().instants where savepoint.action == "savepoint" && savepoint.time == instant {
                try session.timeline.remove(savepoint)
            }
        }
    }

    // MARK: Going back

    /// A write that was undone, or would be.
    public struct Undone: Sendable, Hashable {
        public var instant: String
        /// `INSERT`, `UPSERT`, ...; nil when it was pending.
        public var operation: String?
        /// Base files that it wrote.
        public var files: Int
    }

    /// Undoes the newest write, completed or pending.
    /// - Parameter instant: what the caller takes the newest write to be; nil = whichever it is.
    /// - Throws: `.validate` when the instant is not the newest write, `.conflict` when a savepoint keeps it, or when files of the
    ///   snapshot before it are cleaned.
    public func rollback(_ instant: String? = nil, dryRun: Bool = false) throws -> Undone {
        func plan() throws -> (Instant, Undone) {
            let history = try CommitHistory.load(files, version: properties.version), writes = history.timeline.instants.filter(\.isWrite)
            guard let newest = writes.last else { throw error(.validate, "there is nothing to roll back: it has no commits") }
            if let instant, instant != newest.time {
                guard writes.contains(where: { $0.time == instant }) else {
                    throw error(.validate, "there is no commit \(instant)", fix: near(instant, writes.map(\.time), "commits"))
                }
                throw error(.validate, "commit \(instant) is not the newest one, which is \(newest.time)",
                            fix: "undo all later commits too: table restore \(files.root) --to <the commit before \(instant)>")
            }
            if newest.state == .completed {
                try requireWholeTimeline()
                try requireNoSavepoints([newest])
                if let before = history.writes.dropLast().last { _ = try readable(before.instant.time, history) }
            }
            return (newest, try undone([newest], history)[0])
        }
        if dryRun { return try plan().1 }
        return try locked { session in
            // One that was begun and not ended may be that of the very instant.
            let history = try CommitHistory.load(files, version: properties.version)
            let begun = try undone(history.timeline.instants.filter { $0.isWrite && $0.time == instant }, history).first
            let finished = try session.rollback.finishPending()
            if let instant, finished.contains(instant) { return begun ?? Undone(instant: instant, operation: nil, files: 0) }
            let (newest, undone) = try plan()
            try session.rollback.undo(newest)
            return undone
        }
    }

    /// Brings the table back to how a commit left it: all later commits are undone, newest first, pending ones too.
    /// - Returns: what was undone, newest first; empty when the commit is the newest write.
    /// - Throws: `.validate` when there is no such commit, `.conflict` when its files are cleaned or a later savepoint is in the way.
    public func restore(to instant: String, dryRun: Bool = false) throws -> [Undone] {
        func plan() throws -> ([Instant], [Undone]) {
            try requireWholeTimeline()
            let history = try CommitHistory.load(files, version: properties.version), target = try completed(instant, history)
            _ = try readable(target, history)
            let later = Array(history.timeline.instants.filter { $0.isWrite && $0.time > target }.reversed())
            try requireNoSavepoints(later)
            return (later, try undone(later, history))
        }
        if dryRun { return try plan().1 }
        return try locked { session in
            try session.rollback.finishPending()
            let (later, undone) = try plan()
            if !later.isEmpty { try session.restore.run(later, to: instant) }
            return undone
        }
    }

    private func undone(_ instants: [Instant], _ history: CommitHistory) throws -> [Undone] {
        let written = Dictionary(grouping: try TableListing.baseFiles(files), by: \.instant)
        return instants.map { instant in
            Undone(instant: instant.time, operation: history.writes.first { $0.instant.time == instant.time }?.metadata.operation,
                   files: written[instant.time]?.count ?? 0)
        }
    }

    // MARK: Partitions

    /// Takes all rows of partitions out of the table, in one commit.
    /// - Parameter partitions: paths relative to the table; nil = all rows of the table.
    /// - Returns: the commit, and how many files it took out; nil when there was nothing.
    public func removePartitions(_ partitions: [String]?) throws -> (instant: String, files: Int)? {
        try locked { session in
            try requireNothingPending()
            let state = try session.load(), wanted = partitions.map(Set.init)
            let removed = state.slices.map(\.slice).filter { wanted?.contains($0.partition) ?? true }
            guard !removed.isEmpty else { return nil }
            let commit = try session.begin("DELETE_PARTITION")
            let prepared: Committable
            do {
                let changes = CommitChanges(operation: "DELETE_PARTITION", schema: state.schema ?? [], stats: [], superseded: [], removed: removed,
                                            partitionValues: [:], checkpoint: 0, jobID: "table maintenance")
                prepared = try session.prepared(commit.commit, changes)
            } catch {
                try? session.abandon(commit.commit)
                throw error
            }
            // What fails here may have come to pass all the same: the next writer sees.
            try session.complete([prepared])
            return (commit.commit, removed.count)
        }
    }

    // MARK: Instants

    private func newestWrite(_ history: CommitHistory) throws -> String {
        guard let newest = history.writes.last else { throw error(.validate, "it has no commits yet", fix: "write to it first") }
        return newest.instant.time
    }

    private func completed(_ instant: String, _ history: CommitHistory) throws -> String {
        if history.writes.contains(where: { $0.instant.time == instant }) { return instant }
        if let other = history.timeline.instants.first(where: { $0.time == instant }) {
            throw error(.validate, "\(instant) is a \(other.action) (\(other.state.rawValue)), not a completed commit",
                        fix: near(instant, history.writes.map(\.instant.time), "commits"))
        }
        throw error(.validate, "there is no commit \(instant)", fix: near(instant, history.writes.map(\.instant.time), "commits"))
    }

    /// The instants around one that is not there.
    private func near(_ instant: String, _ known: [String], _ what: String) -> String? {
        guard !known.isEmpty else { return nil }
        let before = known.filter { $0 <= instant }.suffix(2), after = known.filter { $0 > instant }.prefix(2)
        return "there are the \(what) " + (before + after).joined(separator: ", ") + (known.count > before.count + after.count ? ", ..." : "")
    }

    /// The files of a snapshot, all of which are there.
    private func readable(_ instant: String, _ history: CommitHistory) throws -> [FileSlice] {
        let slices = history.slices(asOf: instant)
        guard let gone = slices.first(where: { !files.exists($0.path) }) else { return slices }
        let oldest = history.writes.first { write in history.slices(asOf: write.instant.time).allSatisfy { files.exists($0.path) } }
        throw error(.conflict, "the snapshot of \(instant) is not complete any more: \(gone.path) was cleaned",
                    fix: oldest.map { "take \($0.instant.time), the oldest commit that can still be read, or a later one" })
    }

    private func requireNoSavepoints(_ instants: [Instant]) throws {
        let kept = Set(try timeline().instants.filter { $0.action == "savepoint" }.map(\.time))
        guard let first = instants.first(where: { kept.contains($0.time) }) else { return }
        throw error(.conflict, "commit \(first.time) cannot be undone: a savepoint keeps it", fix: "delete it first: table savepoint delete \(files.root) \(first.time)")
    }
}
