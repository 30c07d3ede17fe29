import LakeTable
import StreamCore

/// What is done after some commits: files that were removed long ago are deleted, a checkpoint is written, and commits that nobody
/// can ask for any more leave the log.
struct Upkeep {
    let files: TableFiles
    let plan: DeltaPlan

    /// May be repeated, also after it failed in the middle.
    /// - Parameter snapshot: the newest version.
    func run(_ snapshot: inout DeltaSnapshot) throws {
        let gone = try deleteRemoved(snapshot)
        snapshot.forget(gone)
        try Checkpoint.write(snapshot, files)
        try cleanLog(snapshot)
    }

    /// Deletes data files that were removed from the table before the time for which its past stays readable.
    private func deleteRemoved(_ snapshot: DeltaSnapshot) throws -> [String] {
        guard let limit = try limit(snapshot) else { return [] }
        let gone = snapshot.removed.filter { snapshot.files[$0.key] == nil && ($0.value.deletionTimestamp ?? 0) <= limit }.map(\.key).sorted()
        for path in gone { try files.remove(path) }
        // Once a checkpoint is without them nobody would look for them again.
        try files.flush(folders: Set(gone.map(TableFiles.folder)))
        try files.reached(.cleanFilesDeleted)
        return gone
    }

    /// Files that were removed at this time or before may be deleted; nil = none.
    private func limit(_ snapshot: DeltaSnapshot) throws -> Int64? {
        var limits: [Int64] = []
        if let retention = try plan.fileRetention(snapshot.metadata) { limits.append(files.host.now() - retention - 1) }
        if let commits = plan.retainedCommits {
            // A version needs the files that were removed after it.
            let oldest = snapshot.version - Int64(clamping: commits) + 1
            guard oldest >= 0 else { return nil }
            let known = try snapshot.commits[oldest]?.timestamp ?? (files.exists(LogListing.path(oldest)) ? LogListing.timestamp(oldest, files) : nil)
            guard let known else { return nil }
            limits.append(known)
        }
        return limits.min()
    }

    private func cleanLog(_ snapshot: DeltaSnapshot) throws {
        if snapshot.metadata.setting("delta.enableExpiredLogCleanup")?.lowercased() == "false" { return }
        let limit = files.host.now() - (try plan.logRetention(snapshot.metadata)), listing = try LogListing(files)
        var expired: Int64?
        for version in listing.versions {
            guard let time = try LogListing.timestamp(version, files), time < limit else { break }
            expired = version
        }
        // What comes after this checkpoint is read from it.
        guard let expired, let base = listing.checkpoints.last(where: { $0.version <= expired }) else { return }
        for version in listing.versions where version < base.version { try files.remove(LogListing.path(version)) }
        for checkpoint in listing.checkpoints where checkpoint.version < base.version {
            for name in checkpoint.names { try files.remove(LogListing.folder + "/" + name) }
        }
    }
}
