import StreamCore

extension CheckpointStorage {
    /// Begins to write a savepoint: self-contained, movable, always in full. It is in a new directory in `parent`, which is
    /// called `<name>.incomplete` until it is complete.
    /// - Returns: the writer, whose ``CheckpointWriter/directory`` is the savepoint's.
    public static func beginSavepoint(_ checkpoint: UInt64, in parent: String, jobName: String, host: Host) throws -> CheckpointWriter {
        try host.createDirectories(parent)
        let random = String(host.randomBits() >> 40 | 1 << 24, radix: 16).dropFirst()
        let directory = "\(parent)/savepoint-\(fileName(jobName))-\(checkpoint)-\(random)"
        let incomplete = directory + ".incomplete"
        guard host.mkdir(incomplete, 0o755) == 0 else { throw Host.failure("create directory", incomplete) }
        try host.createDirectories(incomplete + "/state")
        return CheckpointWriter(checkpoint: checkpoint, savepoint: directory, incomplete: incomplete, host: host)
    }

    /// A job's name as a part of a file name.
    private static func fileName(_ name: String) -> String {
        let kept = name.unicodeScalars.prefix(60).map { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar == "_") ? Character(scalar) : "-"
        }
        return kept.isEmpty ? "job" : String(kept)
    }

    /// A checkpoint or savepoint that the user names: its directory or its manifest. All but the pieces is checked; those are
    /// when they are loaded.
    /// - Throws: `.io`, `.corrupt` or `.validate` with the file's name and the way out.
    public static func open(_ path: String) throws -> Checkpoint {
        var directory = path
        while directory.count > 1, directory.hasSuffix("/") { directory.removeLast() }
        guard Host.exists(directory) else {
            throw StreamError(.io, "there is no checkpoint or savepoint at \(path)", fix: "name the directory that has \(ManifestFile.name) in it")
        }
        if directory.hasSuffix("/" + ManifestFile.name) || directory == ManifestFile.name { directory = Host.parent(of: directory) }
        guard Host.exists("\(directory)/\(ManifestFile.name)") else { throw notACheckpoint(path, directory) }
        let checkpoint = try Checkpoint(reading: directory)
        try checkpoint.verify(pieces: false)
        return checkpoint
    }

    private static func notACheckpoint(_ path: String, _ directory: String) -> StreamError {
        let complete = ((try? Host.names(in: directory)) ?? [])
            .filter { Host.exists("\(directory)/\($0)/\(ManifestFile.name)") }
            .sorted { $0.count == $1.count ? $0 < $1 : $0.count < $1.count }
        if let newest = complete.last {
            return StreamError(.validate, "\(path) is a directory of checkpoints or savepoints, not one of them",
                               fix: "name one, for example \(directory)/\(newest)")
        }
        if path.contains(".incomplete") {
            return StreamError(.corrupt, "\(path) is a savepoint that was never completed", fix: "take another one; this one can be removed")
        }
        return StreamError(.validate, "\(path) is not a checkpoint or savepoint: it has no \(ManifestFile.name)",
                           fix: "name the directory that has \(ManifestFile.name) in it; one without was never completed")
    }
}
