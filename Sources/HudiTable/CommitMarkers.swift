import LakeTable
import StreamCore
import Synchronization

/// The markers of one commit: an empty file for each base file that it is going to write, by which other engines find what a
/// rollback has to delete. (Ours looks at the names of the base files themselves.)
final class CommitMarkers: Sendable {
    private let files: TableFiles
    private let folder: String
    /// Folders with names in them that a power failure could still take away.
    private let unflushed = Mutex<Set<String>>([])

    init(_ files: TableFiles, instant: String) {
        self.files = files
        folder = Self.folder(of: instant)
    }

    static func folder(of instant: String) -> String { TableFiles.temporaryFolder + "/" + instant }

    /// - Parameter isNew: the base file begins a file group, rather than replacing a version of one.
    func add(_ baseFile: String, partition: String, isNew: Bool) throws {
        var folder = folder
        var above = [TableFiles.temporaryFolder, folder]
        for level in partition.split(separator: "/") {
            folder += "/" + level
            above.append(folder)
        }
        if files.hasFolders, !files.exists(folder) {
            try files.makeFolder(folder, flushing: false)
            unflushed.withLock { [above] in $0.formUnion(above) }
        }
        try files.touch("\(folder)/\(baseFile).marker.\(isNew ? "CREATE" : "MERGE")")
        unflushed.withLock { [folder] in _ = $0.insert(folder) }
    }

    /// To be called before a base file gets its name. The folders of all open files are flushed at once: after the first one
    /// the others cost next to nothing.
    func flush() throws {
        // Under the lock: a file must not get its name before its marker is durable, whoever flushes it.
        try unflushed.withLock { unflushed in
            for folder in unflushed.sorted() { try files.flush(folder) }
            unflushed = []
        }
    }
}
