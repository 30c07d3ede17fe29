import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What of a sink's input goes to its backup directory: `sink.backup.mode`.
enum BackupMode: Sendable {
    case failed, all
}

/// The options `sink.backup.*`.
struct BackupOptions: Sendable {
    let directory: String
    let mode: BackupMode

    static let keys: Set<String> = ["sink.backup.path", "sink.backup.mode"]

    /// nil = no backup.
    init?(_ options: TableOptions) throws {
        guard options.has("sink.backup.path") else {
            if options.has("sink.backup.mode") { throw options.error("sink.backup.mode", "has no directory to write to", fix: "add 'sink.backup.path' = 'directory'") }
            return nil
        }
        directory = try options.require("sink.backup.path")
        mode = try options.choice("sink.backup.mode", ["failed", "all"]) == "all" ? .all : .failed
    }
}

/// Writes lines of the backup into files that get their names when their checkpoint commits. One thread.
///
///     <directory>/.<tag>-<uuid>    while it is written
///     <directory>/failed-<tag>-<checkpoint>-<subtask>.jsonl
final class BackupWriter {
    private let directory: String
    private let kind: String
    private let tag: String
    private let subtask: Int
    private let host: Host
    private var bytes: [UInt8] = []
    private var file: (fd: Int32, name: String, size: Int)?
    private static let bufferBytes = 1 << 20

    /// - Parameter kind: what the names begin with: `failed`.
    init(_ directory: String, kind: String, context: SinkContext, host: Host) {
        self.directory = directory
        self.kind = kind
        self.host = host
        tag = context.tag
        subtask = context.subtask
    }

    deinit { if let file { _ = host.close(file.fd) } }

    /// `line` without its newline.
    func add(_ line: some Collection<UInt8>) throws {
        bytes += line
        bytes.append(10)
        if bytes.count >= Self.bufferBytes { try write() }
    }

    private func write() throws {
        guard !bytes.isEmpty else { return }
        if file == nil {
            try host.createDirectories(directory)
            // No name comes twice: what a repeated commit finds under it must be the file that was meant.
            let name = ".\(tag)-\(host.uuid())"
            let fd = host.open(directory + "/" + name, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            guard fd >= 0 else { throw Host.failure("create", directory + "/" + name) }
            file = (fd, name, 0)
        }
        try bytes.withUnsafeBytes { try host.writeAll(file!.fd, $0, at: file!.size, path: directory + "/" + file!.name) }
        file!.size += bytes.count
        bytes.removeAll(keepingCapacity: true)
    }

    /// Ends the file of this checkpoint, durably; nil when nothing was added since the last one.
    func finish(_ checkpoint: UInt64) throws -> Committable? {
        try write()
        guard let file else { return nil }
        self.file = nil
        defer { _ = host.close(file.fd) }
        guard host.sync(file.fd) == 0 else { throw Host.failure("flush", directory + "/" + file.name) }
        try host.syncDirectory(directory)
        return Committable(Array("\(file.name)\n\(kind)-\(tag)-\(checkpoint)-\(subtask).jsonl".utf8))
    }

    func abandon() {
        bytes = []
        guard let file else { return }
        self.file = nil
        _ = host.close(file.fd)
        _ = host.unlink(directory + "/" + file.name)
    }
}

/// Gives the files of a checkpoint their names.
final class BackupCommitter: SinkCommitter {
    private let directory: String
    private let tag: String
    private let host: Host

    init(_ directory: String, context: SinkContext, host: Host) throws {
        self.directory = directory
        self.host = host
        tag = context.tag
        // Before its first checkpoint a job has nothing to go on from: what an earlier try left is of no use.
        if context.restoredCheckpoint == nil { try removeStrays() }
    }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        for committable in committables {
            let names = String(decoding: committable.bytes, as: UTF8.self).split(separator: "\n").map(String.init)
            guard names.count == 2 else { throw StreamError(.corrupt, "checkpoint \(checkpoint) names no backup file of \(directory)") }
            let (from, to) = (directory + "/" + names[0], directory + "/" + names[1])
            if Host.exists(from) {
                guard host.rename(from, to) == 0 else { throw Host.failure("rename \(from) to", to) }
            } else if !Host.exists(to) {
                throw StreamError(.io, "the backup file \(from) of checkpoint \(checkpoint) is missing", fix: "start the job with --fresh when the directory was emptied on purpose")
            }
        }
        if !committables.isEmpty { try host.syncDirectory(directory) }
    }

    func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        try commit(checkpoint, committables)
        try removeStrays()
    }

    private func removeStrays() throws {
        for name in try Host.names(in: directory) where name.hasPrefix(".\(tag)-") { try host.remove(directory + "/" + name) }
    }
}
