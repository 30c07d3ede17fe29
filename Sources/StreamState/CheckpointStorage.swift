import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The checkpoints of one job on a disk.
///
///     <directory>/lock                       locked while a process runs the job
///     <directory>/chk-<n>/manifest.json      there once checkpoint n is complete
///     <directory>/chk-<n>/stores/<k>/...     files of embedded stores, under the names that the stores know them by
///     <directory>/state/<n>-....state        what checkpoint n wrote, which later ones may refer to too
///
/// Files of a store that did not change since the checkpoint before are hard links to its files. One process at a time holds
/// a job's directory.
public final class CheckpointStorage: Sendable {
    public let directory: String
    public let host: Host
    /// Completed checkpoints that are kept.
    public let retained: Int

    private let lock: DirectoryLock
    private let contents: Mutex<Contents>

    private struct Contents {
        /// Names of the files in `state/` that each complete checkpoint refers to; nil when its manifest cannot be read.
        var complete: [UInt64: Set<String>?] = [:]
        /// Complete once, but not to be used any more.
        var damaged: Set<UInt64> = []
        /// Being written, with the files that must stay for them.
        var active: [UInt64: Set<String>] = [:]
        var greatest: UInt64 = 0
        /// The newest one that this run completed.
        var last: CheckpointRecord?
        /// Number of the run: the job may begin again from a checkpoint within one process.
        var run = 0
    }

    /// Creates the directory, locks it, and removes what a crash left behind.
    /// - Throws: `.io` when it cannot be written to; `.conflict` when another process runs this job.
    public init(directory: String, host: Host = .system, retained: Int = 3) throws {
        guard retained >= 1 else {
            throw StreamError(.validate, "\(retained) checkpoints are to be retained; it takes at least one to recover",
                              fix: "set execution.checkpointing.num-retained to 1 or more")
        }
        self.directory = directory
        self.host = host
        self.retained = retained
        try host.createDirectories(directory)
        lock = try DirectoryLock(directory)
        contents = Mutex(try Self.clean(directory, host))
    }

    static func checkpointDirectory(_ checkpoint: UInt64, in directory: String) -> String { "\(directory)/chk-\(checkpoint)" }

    private static func numbers(in directory: String) throws -> [UInt64] {
        try Host.names(in: directory).compactMap { $0.hasPrefix("chk-") ? UInt64($0.dropFirst(4)) : nil }.sorted()
    }

    // MARK: Opening

    /// Finds what is complete, and removes temporary files, checkpoints without a manifest, and files that none refers to.
    private static func clean(_ directory: String, _ host: Host) throws -> Contents {
        try host.createDirectories(directory + "/state")
        var contents = Contents()
        let numbers = try numbers(in: directory)
        contents.greatest = numbers.last ?? 0
        for number in numbers {
            let path = checkpointDirectory(number, in: directory)
            try host.remove("\(path)/\(ManifestFile.name).tmp")
            if Host.exists("\(path)/\(ManifestFile.name)") {
                contents.complete[number] = .some((try? ManifestFile.read(path)).map(stateFiles))
            } else if number == contents.greatest {
                // Its name keeps its number from being given again.
                try empty(path, host)
            } else {
                try host.removeTree(path)
            }
        }
        try removeUnreferenced(contents, directory, host)
        return contents
    }

    private static func empty(_ path: String, _ host: Host) throws {
        for name in try Host.names(in: path) {
            let child = "\(path)/\(name)"
            if Host.isDirectory(child) { try host.removeTree(child) } else { try host.remove(child) }
        }
    }

    private static func stateFiles(_ manifest: CheckpointManifest) -> Set<String> {
        Set(manifest.files.compactMap { $0.name.hasPrefix(stateFilePrefix) ? String($0.name.dropFirst(stateFilePrefix.count)) : nil })
    }

    /// How manifests name the files in `state/`.
    static let stateFilePrefix = "../state/"

    /// Removes files in `state/` that no complete or active checkpoint needs. Does nothing while a manifest cannot be read,
    /// as it may need them.
    private static func removeUnreferenced(_ contents: Contents, _ directory: String, _ host: Host) throws {
        var needed: Set<String> = []
        for files in contents.complete.values {
            guard let files else { return }
            needed.formUnion(files)
        }
        for files in contents.active.values { needed.formUnion(files) }
        for name in try Host.names(in: directory + "/state") where !needed.contains(name) {
            try host.remove("\(directory)/state/\(name)")
        }
    }

    // MARK: Finding

    /// The newest complete checkpoint that is undamaged, its pieces and the files it refers to included; nil when none was
    /// ever completed. State of more than 256 MiB is checked only as it is loaded.
    ///
    /// A new run of the job begins with this: versions of units from before mean nothing any more, and the next checkpoint
    /// writes everything anew.
    ///
    /// - Parameter problem: called for each newer one that had to be passed over, with an error that names the file.
    /// - Throws: `.validate` when a newer version wrote the newest one; `.corrupt` when all are damaged, as starting from
    ///   nothing would repeat what was committed; `.io` when a file cannot be read for a reason that is not damage.
    public func newest(problem: (StreamError) -> Void) throws -> Checkpoint? {
        var passed: [UInt64] = []
        let numbers = contents.withLock { contents in
            contents.last = nil
            contents.run += 1
            return contents.complete.keys.sorted(by: >)
        }
        for number in numbers {
            do {
                let checkpoint = try Checkpoint(reading: Self.checkpointDirectory(number, in: directory))
                guard checkpoint.manifest.checkpoint == number else {
                    throw StateFile.damaged("\(checkpoint.directory)/\(ManifestFile.name)", "it is of checkpoint \(checkpoint.manifest.checkpoint)")
                }
                try checkpoint.verify(pieces: checkpoint.verifiedBytes <= Checkpoint.verifiedBytesMax)
                return checkpoint
            } catch let error as StreamError where error.code == .corrupt {
                contents.withLock { _ = $0.damaged.insert(number) }
                passed.append(number)
                var error = error
                error.problem = "checkpoint \(number) is passed over: \(error.problem)"
                problem(error)
            }
        }
        guard passed.isEmpty else {
            throw StreamError(.corrupt, "all \(passed.count) checkpoints in \(directory) are damaged",
                              fix: "put the files named before back from a copy, start from a savepoint, or, to begin anew and accept "
                                + "that committed rows are written again, remove \(directory)")
        }
        return nil
    }

    /// Greatest number that a checkpoint here ever had, complete or not; 0 when there was none.
    public func lastNumber() throws -> UInt64 { contents.withLock { $0.greatest } }

    // MARK: Writing

    /// Begins to write a checkpoint. Its number is taken from now on, whatever becomes of it.
    /// - Throws: `.conflict` when the number is in use; `.io` when the directory cannot be written to.
    public func begin(_ checkpoint: UInt64) throws -> CheckpointWriter {
        // The files of the checkpoint that is built upon must stay while that goes on.
        let (last, run) = try contents.withLock { contents in
            guard contents.complete[checkpoint] == nil, contents.active[checkpoint] == nil else {
                throw StreamError(.conflict, "there is a checkpoint \(checkpoint) in \(directory) already")
            }
            let last = contents.last.flatMap { $0.checkpoint < checkpoint ? $0 : nil }
            contents.active[checkpoint] = last?.stateFiles ?? []
            contents.greatest = max(contents.greatest, checkpoint)
            return (last, contents.run)
        }
        do {
            try makeDirectory(checkpoint)
        } catch {
            finished(checkpoint)
            throw error
        }
        return CheckpointWriter(checkpoint: checkpoint, storage: self, base: last, run: run)
    }

    private func makeDirectory(_ checkpoint: UInt64) throws {
        let path = Self.checkpointDirectory(checkpoint, in: directory)
        // It may be there, empty, when only its name became durable before a crash.
        if host.mkdir(path, 0o755) != 0, errno != EEXIST { throw Host.failure("create directory", path) }
        try host.syncDirectory(directory)
    }

    /// Takes a number, durably, for something that is not written here: a savepoint.
    public func reserve(_ checkpoint: UInt64) throws {
        contents.withLock { $0.greatest = max($0.greatest, checkpoint) }
        try makeDirectory(checkpoint)
    }

    /// A file in `state/` belongs to a checkpoint that is being written.
    func claim(_ file: String, for checkpoint: UInt64) {
        contents.withLock { _ = $0.active[checkpoint]?.insert(file) }
    }

    /// A checkpoint is no longer being written.
    func finished(_ checkpoint: UInt64) {
        contents.withLock { $0.active[checkpoint] = nil }
    }

    /// Takes note of a durable manifest, then removes what is too old.
    /// - Returns: what could not be removed; the next completion tries again.
    func completed(_ record: CheckpointRecord) -> [StreamError] {
        contents.withLock { contents in
            contents.active[record.checkpoint] = nil
            contents.complete[record.checkpoint] = .some(record.stateFiles)
            if record.run == contents.run, record.checkpoint > contents.last?.checkpoint ?? 0 { contents.last = record }
            do {
                try removeOld(&contents)
                return []
            } catch let error as StreamError {
                return [error]
            } catch {
                return [StreamError(.io, "cannot remove old checkpoints in \(directory): \(error)")]
            }
        }
    }

    /// First manifests, durably, then what they refer to: a manifest never outlives its files.
    private func removeOld(_ contents: inout Contents) throws {
        let good = contents.complete.keys.filter { !contents.damaged.contains($0) }.sorted(by: >)
        let kept = Set(good.prefix(retained))
        for number in contents.complete.keys.sorted() where !kept.contains(number) {
            let path = Self.checkpointDirectory(number, in: directory)
            try host.remove("\(path)/\(ManifestFile.name)")
            try host.syncDirectory(path)
            contents.complete[number] = nil
            contents.damaged.remove(number)
        }
        for number in try Self.numbers(in: directory) where contents.complete[number] == nil && contents.active[number] == nil {
            guard number < contents.greatest else { continue }
            try host.removeTree(Self.checkpointDirectory(number, in: directory))
        }
        try Self.removeUnreferenced(contents, directory, host)
    }

    /// Removes all checkpoints, of a job that has ended well. An empty directory with the last number stays, so that it is
    /// not given again.
    public func removeAll() throws {
        try contents.withLock { contents in
            for number in contents.complete.keys.sorted() {
                let path = Self.checkpointDirectory(number, in: directory)
                try host.remove("\(path)/\(ManifestFile.name)")
                try host.syncDirectory(path)
                contents.complete[number] = nil
            }
            contents.damaged = []
            contents.last = nil
            for number in try Self.numbers(in: directory) where contents.active[number] == nil {
                let path = Self.checkpointDirectory(number, in: directory)
                if number == contents.greatest { try Self.empty(path, host) } else { try host.removeTree(path) }
            }
            try Self.removeUnreferenced(contents, directory, host)
        }
    }
}
