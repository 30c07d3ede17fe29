import Foundation
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The moments of a write after which a test can make the process "die".
enum WriteStep: String, CaseIterable, Sendable {
    case requested, inflight, marker, partitionMetadata, baseFileWritten, baseFilePublished, prepared, committed, markersDeleted
    case cleanRequested, cleanInflight, cleanFilesDeleted
    case rollbackRequested, rollbackInflight, rollbackFilesDeleted, rollbackInstantDeleted, rollbackCompleted
}

/// The files of one table on a local disk. Everything that must be durable or all-or-nothing goes through here.
struct TableFiles: Sendable {
    /// Absolute, without a slash at the end.
    let root: String
    /// Called after each step of a write; throws where a test wants the writer to die.
    var reached: @Sendable (WriteStep) throws -> Void = { _ in }

    /// - Parameter path: an absolute or relative path, or a `file:` URL.
    /// - Throws: `.validate` for object stores and other schemes.
    init(path: String) throws {
        var path = path
        if let colon = path.range(of: "://") {
            let scheme = path[..<colon.lowerBound]
            guard scheme == "file" else {
                throw StreamError(.validate, "path '\(path)': tables on \(scheme): are not supported",
                                  fix: "give a path on a local disk, for example '/data/orders'")
            }
            path = String(path[colon.upperBound...])
        } else if path.hasPrefix("file:") {
            path = String(path.dropFirst(5))
        }
        guard !path.isEmpty else { throw StreamError(.validate, "the path of a table is empty") }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        root = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    static let metaFolder = ".hoodie"
    static let temporaryFolder = ".hoodie/.temp"

    func absolute(_ relative: String) -> String { relative.isEmpty ? root : root + "/" + relative }

    static func failure(_ doing: String, _ path: String, _ code: Int32 = errno) -> StreamError {
        StreamError(.io, "cannot \(doing) \(path): \(String(cString: strerror(code)))", fix: fix(code))
    }

    /// What helps against a system error; nil when the error says it all.
    static func fix(_ code: Int32) -> String? {
        switch code {
        case ENOSPC, EDQUOT: "free disk space and start again; nothing of the unfinished commit is visible"
        case EACCES, EPERM, EROFS: "check the permissions of the folder and of those above it"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        case ENOTDIR, ENOENT: "check 'path': it must be a folder, or one that can be created"
        default: nil
        }
    }

    // MARK: Reading

    func exists(_ relative: String) -> Bool { access(absolute(relative), F_OK) == 0 }

    /// Names in a folder, sorted; none when it is missing.
    func names(in relative: String) throws -> [String] {
        guard let folder = opendir(absolute(relative)) else {
            if errno == ENOENT { return [] }
            throw Self.failure("list", absolute(relative))
        }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func isFolder(_ relative: String) -> Bool {
        var info = stat()
        return stat(absolute(relative), &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    func size(_ relative: String) -> Int64 {
        var info = stat()
        return stat(absolute(relative), &info) == 0 ? Int64(info.st_size) : 0
    }

    func read(_ relative: String) throws -> [UInt8] {
        let descriptor = open(absolute(relative), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("open", absolute(relative)) }
        defer { close(descriptor) }
        var out: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let n = Foundation.read(descriptor, &chunk, chunk.count)
            guard n >= 0 else { throw Self.failure("read", absolute(relative)) }
            if n == 0 { return out }
            out += chunk[0..<n]
        }
    }

    // MARK: Writing

    func makeFolder(_ relative: String) throws {
        var made = ""
        for part in absolute(relative).split(separator: "/") {
            made += "/" + part
            if mkdir(made, 0o755) != 0, errno != EEXIST { throw Self.failure("create folder", made) }
        }
        guard isFolder(relative) else { throw StreamError(.io, "\(absolute(relative)) is not a folder") }
    }

    /// A name for a new file in the table's temporary folder.
    func temporaryName() throws -> String {
        try makeFolder(Self.temporaryFolder)
        return Self.temporaryFolder + "/" + UUID().uuidString.lowercased()
    }

    /// Creates a file that is there whole or not at all and never replaces another one.
    /// - Throws: `.conflict` when the name is taken.
    /// - Parameter flushingFolder: false when the caller flushes the folder itself, before anything depends on the file.
    func publish(_ relative: String, _ bytes: [UInt8], flushingFolder: Bool = true) throws {
        let temporary = try temporaryName()
        let path = absolute(temporary)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure("create", path) }
        do {
            defer { close(descriptor) }
            try bytes.withUnsafeBytes { bytes in
                var done = 0
                while done < bytes.count {
                    let n = write(descriptor, bytes.baseAddress! + done, bytes.count - done)
                    if n < 0, errno == EINTR { continue }
                    guard n > 0 else { throw Self.failure("write", path) }
                    done += n
                }
            }
            guard fsync(descriptor) == 0 else { throw Self.failure("flush", path) }
        } catch {
            unlink(path)
            throw error
        }
        try publish(temporary: temporary, as: relative, flushingFolder: flushingFolder)
    }

    /// Gives a finished, flushed temporary file its name; removes it when that fails.
    func publish(temporary: String, as relative: String, flushingFolder: Bool = true) throws {
        let made = link(absolute(temporary), absolute(relative)) == 0
        let code = errno
        unlink(absolute(temporary))
        guard made else {
            if code == EEXIST {
                throw StreamError(.conflict, "\(absolute(relative)) is already there: another writer is at work on this table",
                                  fix: "run one writer per table")
            }
            throw Self.failure("create", absolute(relative), code)
        }
        if flushingFolder { try flushFolder((relative as NSString).deletingLastPathComponent) }
    }

    /// Creates an empty file that need not outlive a power failure.
    func touch(_ relative: String) throws {
        let descriptor = open(absolute(relative), O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure("create", absolute(relative)) }
        close(descriptor)
    }

    func flushFolder(_ relative: String) throws {
        let descriptor = open(absolute(relative), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Self.failure("open folder", absolute(relative)) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw Self.failure("flush folder", absolute(relative)) }
    }

    /// Deletes a file; one that is missing counts as deleted.
    func remove(_ relative: String) throws {
        if unlink(absolute(relative)) != 0, errno != ENOENT { throw Self.failure("delete", absolute(relative)) }
    }

    /// Deletes a folder with all that is in it.
    func removeTree(_ relative: String) throws {
        for name in try names(in: relative) {
            let path = relative + "/" + name
            if isFolder(path) { try removeTree(path) } else { try remove(path) }
        }
        if rmdir(absolute(relative)) != 0, errno != ENOENT { throw Self.failure("delete folder", absolute(relative)) }
    }
}

/// An exclusive lock on a table among the processes of a machine; it ends with its owner, also when that is killed.
final class TableLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `.conflict` when another writer holds it.
    init(_ files: TableFiles) throws {
        // Readers of the format skip names that start with a dot.
        let path = files.absolute(TableFiles.metaFolder + "/.swiftwater.lock")
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw TableFiles.failure("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let code = errno
            close(descriptor)
            guard code == EWOULDBLOCK else { throw TableFiles.failure("lock", path, code) }
            throw StreamError(.conflict, "table \(files.root) is being written by another job",
                              fix: "stop that job, or write both inputs with one INSERT (UNION ALL)")
        }
    }

    deinit {
        // Closing is not enough while a child process that was just forked holds a copy of the descriptor.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
