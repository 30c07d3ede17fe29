import CArrowData
import LakeTable
import StreamCore
import Synchronization

/// The data files of one commit, and the notes by which they are found when the commit never happens.
final class DeltaFiles: CommitFiles {
    let commit: String
    private let files: TableFiles
    private let codec: ParquetCodec
    private let notes: PendingNotes

    init(_ files: TableFiles, codec: ParquetCodec, commit: String) {
        self.files = files
        self.codec = codec
        self.commit = commit
        notes = PendingNotes(files, commit: commit)
    }

    var plainColumns: [String] { [] }

    /// `part-<task>-<file group>-<random>-c000.<codec>.parquet`: no two files ever have the same name.
    func name(fileId: String, task: Int, attempt: Int) -> String {
        let number = String(task), random = String(files.host.randomBits(), radix: 16)
        // Files of other engines begin a group of ours with their first new version.
        let fileId = fileId.utf8.count == 36 && !fileId.contains("/") ? fileId : newFileId()
        return "part-" + String(repeating: "0", count: max(0, 5 - number.utf8.count)) + number + "-" + fileId + "-"
            + String(repeating: "0", count: 16 - random.utf8.count) + random + "-c000\(codec == .none ? "" : "." + codec.rawValue).parquet"
    }

    /// The file group in the name of a file of ours; nil for those of others.
    static func fileId(ofPath path: String) -> String? {
        let parts = path.split(separator: "/").last.map { $0.split(separator: "-", omittingEmptySubsequences: false) } ?? []
        // A UUID has five parts.
        guard parts.count == 9, parts[0] == "part", parts[7].utf8.count == 16, parts[8].hasPrefix("c000.") else { return nil }
        let fileId = parts[2...6].joined(separator: "-")
        return fileId.utf8.count == 36 ? fileId : nil
    }

    func newFileId() -> String { files.host.uuid() }

    func prepare(_ file: FileSlice, isNew: Bool) throws {
        try files.makeFolder(file.partition, flushing: false)
        try notes.add(file.path)
        try files.reached(.marker)
    }

    func flush() throws { try notes.flush() }

    func marks(for file: FileSlice, task: Int) -> any FileMarks { NoMarks() }

    func arrowSchema(_ fields: Schema, layout: ArrowLayout) -> ArrowSchema { layout.schema(fields) }

    func footer(_ schema: Schema) -> [(String, String)] { [] }
}

/// Delta stores the data columns alone.
final class NoMarks: FileMarks {
    let names: [String] = []
    let builders: [ArrowArrayBuilder] = []
    func appendFresh(_ keys: TextColumn) {}
    func appendCopied(_ batch: Batch, rows: UnsafePointer<Int32>, count n: Int) {}
    func footer() -> [(String, String)] { [] }
}

/// An empty file for each data file that a commit is going to write, under `_delta_log/.temp/<commit>`. Other engines do not look
/// there.
final class PendingNotes: Sendable {
    private let files: TableFiles
    private let folder: String
    /// Folders with names in them that a power failure could still take away.
    private let unflushed = Mutex<Set<String>>([])

    init(_ files: TableFiles, commit: String) {
        self.files = files
        folder = Self.folder(of: commit)
    }

    static let parent = LogListing.folder + "/.temp"
    static func folder(of commit: String) -> String { parent + "/" + commit }

    func begin() throws {
        try files.makeFolder(folder)
    }

    func add(_ path: String) throws {
        let note = folder + "/" + path, parent = TableFiles.folder(of: note)
        if !files.exists(parent) { try files.makeFolder(parent, flushing: false) }
        try files.touch(note)
        var above = parent
        unflushed.withLock { unflushed in
            while above.utf8.count >= folder.utf8.count {
                unflushed.insert(above)
                above = TableFiles.folder(of: above)
            }
        }
    }

    /// To be called before a data file gets its name.
    func flush() throws {
        // Under the lock: a file must not get its name before its note is durable, whoever flushes it.
        try unflushed.withLock { unflushed in
            for folder in unflushed.sorted() { try files.flush(folder) }
            unflushed = []
        }
    }

    /// Names of commits that have notes.
    static func commits(_ files: TableFiles) throws -> [String] {
        try files.names(in: parent).filter { CommitName.isOne($0) && files.isFolder(parent + "/" + $0) }
    }

    /// The data files that a commit was going to write.
    static func paths(of commit: String, _ files: TableFiles) throws -> [String] {
        var out: [String] = []
        func walk(_ below: String) throws {
            for name in try files.names(in: folder(of: commit) + (below.isEmpty ? "" : "/" + below)) {
                let path = below.isEmpty ? name : below + "/" + name
                if files.isFolder(folder(of: commit) + "/" + path) { try walk(path) } else { out.append(path) }
            }
        }
        try walk("")
        return out
    }
}

/// Names of commits before they have a version: a time and a random part, ascending in the order in which they are begun.
enum CommitName {
    static func make(_ milliseconds: Int64, _ host: Host) -> String {
        let time = String(milliseconds), random = String(host.randomBits() >> 32, radix: 16)
        return String(repeating: "0", count: max(0, 15 - time.utf8.count)) + time + "-" + String(repeating: "0", count: 8 - random.utf8.count) + random
    }

    static func isOne(_ name: String) -> Bool { name.utf8.count == 24 && milliseconds(name) != nil }

    static func milliseconds(_ name: String) -> Int64? { Int64(name.prefix { $0 != "-" }) }
}
