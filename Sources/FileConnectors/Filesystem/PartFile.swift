import Foundation
import StreamCore
import StreamFormats

/// What a checkpoint knows of a part file.
struct PartNote: Codable, Hashable, Sendable {
    /// Relative to the table's directory; empty for the directory itself.
    var folder: String
    /// Once it is seen; until then it is `.<name>.inprogress`.
    var name: String
    /// Bytes that belong to the checkpoint.
    var length: Int
    /// Milliseconds since 1970-01-01: of the beginning, and of the last row.
    var created: Int64
    var lastWrite: Int64
    /// The hidden file, relative to the table's directory, when it is not beside the one that is seen.
    var aside: String?
    /// A file that is of no use any more once this one is seen: the same rows, before compression.
    var source: String?
    /// What rows it takes, when the folder does not say it.
    var key: String?

    /// The directory that all of this is relative to, when that of the table may change while the file is there.
    var base: String?

    var group: String { aside == nil ? folder : key ?? "" }

    init(folder: String, name: String, length: Int, created: Int64, lastWrite: Int64) {
        (self.folder, self.name, self.length, self.created, self.lastWrite) = (folder, name, length, created, lastWrite)
    }

    func path(in directory: String) -> String { (base ?? directory) + "/" + (folder.isEmpty ? "" : folder + "/") + name }
    func hiddenPath(in directory: String) -> String {
        if let aside { return (base ?? directory) + "/" + aside }
        return (base ?? directory) + "/" + (folder.isEmpty ? "" : folder + "/") + Self.hidden(name)
    }
    func folderPath(in directory: String) -> String { (base ?? directory) + (folder.isEmpty ? "" : "/" + folder) }

    static func hidden(_ name: String) -> String { "." + name + suffix }
    static let suffix = ".inprogress"
}

/// What a writer leaves for the committer.
enum FileCommittable: Codable, Sendable {
    /// On disk as a whole, to be renamed.
    case finished(PartNote)
    /// Goes on growing; to be left alone.
    case growing(PartNote)
    /// How far event time has come at a subtask, milliseconds.
    case progress(subtask: Int, watermark: Int64)

    var committable: Committable {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            return Committable(Array(try encoder.encode(self)))
        }
    }

    init(_ committable: Committable) throws {
        do {
            self = try JSONDecoder().decode(FileCommittable.self, from: Data(committable.bytes))
        } catch {
            throw StreamError(.corrupt, "\(committable.bytes.count) bytes in a checkpoint do not tell which part file is to be committed",
                              fix: "start from another checkpoint")
        }
    }
}

/// A part file that is being written, or was written and waits for the checkpoint.
final class PartFile {
    private(set) var note: PartNote
    let folder: String
    private var hidden: String
    private let directory: String
    private let host: StreamCore.Host
    private var fd: Int32
    var bytes = EncodedBytes(capacity: 1 << 16)
    private var written: Int
    /// Makes the file, where the format makes files as a whole.
    var encoder: (any FileEncoder)?
    /// For choosing which to end when too many are open.
    var lastUse = 0
    /// A checkpoint that may be resumed from knows the file.
    private(set) var isInCheckpoint: Bool

    /// A new file; the folder is there.
    init(_ note: PartNote, in directory: String, host: StreamCore.Host) throws {
        self.note = note
        self.host = host
        self.directory = directory
        folder = note.folderPath(in: directory)
        hidden = note.hiddenPath(in: directory)
        (written, isInCheckpoint) = (0, false)
        fd = host.open(hidden, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard fd >= 0 else { throw StreamCore.Host.failure("create", hidden) }
    }

    /// Goes on with a file as a checkpoint knows it: what came after is cut off.
    init(resuming note: PartNote, in directory: String, host: StreamCore.Host) throws {
        self.note = note
        self.host = host
        self.directory = directory
        folder = note.folderPath(in: directory)
        hidden = note.hiddenPath(in: directory)
        (written, isInCheckpoint) = (note.length, true)
        let visible = note.path(in: directory)
        if !StreamCore.Host.exists(hidden), StreamCore.Host.exists(visible) {
            // A later checkpoint ended and committed it, and is not the one that the job resumes from.
            guard host.rename(visible, hidden) == 0 else { throw StreamCore.Host.failure("rename \(visible) to", hidden) }
            try host.syncDirectory(folder)
        }
        fd = host.open(hidden, O_WRONLY, 0)
        guard fd >= 0 else { throw StreamCore.Host.failure("go on writing", hidden, fix: "restore the file, or start from another checkpoint") }
        let size = StreamCore.Host.size(of: hidden) ?? 0
        guard size >= note.length else {
            _ = host.close(fd)
            fd = -1
            throw StreamError(.corrupt, "\(hidden) has \(size) bytes; the checkpoint counts on \(note.length)",
                              fix: "restore the file, or start from another checkpoint")
        }
        guard size == note.length || host.truncate(fd, note.length) == 0 else { throw StreamCore.Host.failure("truncate", hidden) }
    }

    deinit { close() }

    private func close() {
        if fd >= 0 { _ = host.close(fd) }
        fd = -1
    }

    var size: Int { written + bytes.count + (encoder?.bytes ?? 0) }

    func touch(_ now: Int64) { note.lastWrite = now }

    func isDue(_ now: Int64, _ policy: RollingPolicy) -> Bool {
        now - note.created >= policy.rollover || now - note.lastWrite >= policy.inactivity
    }

    func flush(_ metrics: OperatorMetrics) throws {
        guard bytes.count > 0 else { return }
        try host.writeAll(fd, bytes.bytes, at: written, path: hidden)
        written += bytes.count
        metrics.bytesOut.add(bytes.count)
        bytes.removeAll()
    }

    /// All that was flushed survives a power cut, once the folder is synced too.
    func sync() throws {
        guard fd >= 0 else { return }
        guard host.sync(fd) == 0 else { throw StreamCore.Host.failure("flush", hidden) }
        note.length = written
    }

    /// No more is written.
    func end() throws {
        try sync()
        close()
    }

    /// Makes a compressed file of one that has ended. The other stays until the commit: an earlier checkpoint may need it.
    func compress() throws {
        let plain = note.aside ?? note.name
        note.length = try Gzip.compress(hidden, to: hidden + ".gz", host: host)
        note.source = plain
        note.aside = plain + ".gz"
    }

    func enterCheckpoint() { isInCheckpoint = true }

    /// Removes the file, unless a checkpoint counts on it.
    func abandon() {
        close()
        if note.source != nil { _ = host.unlink(note.hiddenPath(in: directory)) }
        if !isInCheckpoint { _ = host.unlink(hidden) }
    }
}
