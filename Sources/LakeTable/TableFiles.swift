import Foundation
import ObjectStore
import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The moments of a write after which a test can make the process "die".
package enum WriteStep: String, CaseIterable, Sendable {
    case requested, inflight, marker, partitionMetadata, baseFileWritten, baseFilePublished, prepared, committed, markersDeleted
    case cleanRequested, cleanInflight, cleanFilesDeleted
    case restoreRequested, restoreInflight, restoreUndone
    case rollbackRequested, rollbackInflight, rollbackHidden, rollbackFilesDeleted, rollbackInstantDeleted, rollbackCompleted
}

/// The files of one table on a local disk or an object store. Everything that must be durable or all-or-nothing goes through here.
package struct TableFiles: Sendable {
    /// Absolute, or an `s3:` URL; without a slash at the end.
    package let root: String
    /// Where the table is on an object store.
    package let objects: ObjectFolder?
    /// Makes all changes, and tells the time.
    package var host = Host.system
    /// The folder of the lock and, in `.temp`, of temporary files.
    package var metaFolder = TableFiles.metaFolder
    /// Called after each step of a write; throws where a test wants the writer to die.
    package var reached: @Sendable (WriteStep) throws -> Void = { _ in }

    /// - Parameters:
    ///   - path: an absolute or relative path, or a `file:` or `s3:` URL.
    ///   - table: its options say how an object store is reached; without it the environment does.
    /// - Throws: `.validate` for other schemes.
    package init(path: String, table: TableDescriptor? = nil) throws {
        if let location = try ObjectLocation(path) {
            let folder = try ObjectFolder(location, table.map { try ObjectStoreOptions($0) } ?? .environment())
            (root, objects) = (location.description, folder)
            return
        }
        objects = nil
        var path = path
        if let colon = path.range(of: "://") {
            let scheme = path[..<colon.lowerBound]
            guard scheme == "file" else {
                throw StreamError(.validate, "path '\(path)': tables on \(scheme): are not supported",
                                  fix: "give a path on a local disk, for example '/data/orders', or on S3, for example 's3://bucket/orders'")
            }
            path = String(path[colon.upperBound...])
        } else if path.hasPrefix("file:") {
            path = String(path.dropFirst(5))
        }
        guard !path.isEmpty else { throw StreamError(.validate, "the path of a table is empty") }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        root = path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// False where folders are nothing but parts of names, as on object stores.
    package var hasFolders: Bool { objects == nil }

    /// Options of tables on object stores.
    package static var storageOptions: Set<String> { ObjectStoreOptions.Key.all }

    package static let metaFolder = ".hoodie"
    package static let temporaryFolder = ".hoodie/.temp"

    /// The path or URL of a file; of temporary ones always a local path.
    package func absolute(_ relative: String) -> String { objects?.spoolFile(relative) ?? (relative.isEmpty ? root : root + "/" + relative) }

    package static func failure(_ doing: String, _ path: String, _ code: Int32 = errno) -> StreamError {
        StreamError(.io, "cannot \(doing) \(path): \(String(cString: strerror(code)))", fix: fix(code))
    }

    /// What helps against a system error; nil when the error says it all.
    package static func fix(_ code: Int32) -> String? {
        switch code {
        case ENOSPC, EDQUOT: "free disk space and start again; nothing of the unfinished commit is visible"
        case EACCES, EPERM, EROFS: "check the permissions of the folder and of those above it"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        case ENOTDIR, ENOENT: "check 'path': it must be a folder, or one that can be created"
        default: nil
        }
    }

    // MARK: Reading

    /// Whether there is a file or folder. An object store that does not answer counts as no; the next call that can throw tells of it.
    package func exists(_ relative: String) -> Bool { objects?.exists(relative) ?? (access(absolute(relative), F_OK) == 0) }

    /// As `exists`, where a wrong answer would mislead.
    package func isThere(_ relative: String) throws -> Bool { try objects?.isThere(relative) ?? exists(relative) }

    /// The content of a file; nil when there is none.
    package func readIfThere(_ relative: String) throws -> [UInt8]? {
        if let objects { return try objects.readIfThere(relative) }
        return exists(relative) ? try read(relative) : nil
    }

    /// Names in a folder, sorted; none when it is missing.
    package func names(in relative: String) throws -> [String] {
        if let objects { return try objects.names(in: relative) }
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

    package func isFolder(_ relative: String) -> Bool {
        if let objects { return objects.isFolder(relative) }
        var info = stat()
        return stat(absolute(relative), &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    package func size(_ relative: String) -> Int64 {
        if let objects { return objects.size(relative) }
        var info = stat()
        return stat(absolute(relative), &info) == 0 ? Int64(info.st_size) : 0
    }

    package func read(_ relative: String) throws -> [UInt8] {
        if let objects { return try objects.read(relative) }
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

    /// Makes a folder and those above it.
    /// - Parameter flushing: false when the caller flushes the folders themselves, before anything depends on them.
    package func makeFolder(_ relative: String, flushing: Bool = true) throws {
        if objects == nil { try makeFolder(at: absolute(relative), flushing: flushing) }
    }

    private func makeFolder(at path: String, flushing: Bool) throws {
        var info = stat()
        if stat(path, &info) == 0 {
            guard info.st_mode & S_IFMT == S_IFDIR else { throw StreamError(.io, "\(path) is not a folder") }
            return
        }
        let parent = Host.parent(of: path)
        if parent != path { try makeFolder(at: parent, flushing: flushing) }
        if host.mkdir(path, 0o755) != 0, errno != EEXIST { throw Self.failure("create folder", path) }
        if flushing { try flush(at: parent) }
    }

    /// A name for a new file in the table's temporary folder.
    package func temporaryName() throws -> String {
        if let objects { return try objects.temporaryName(metaFolder + "/.temp", host) }
        try makeFolder(metaFolder + "/.temp")
        return metaFolder + "/.temp/" + host.uuid()
    }

    /// Creates a file that is there whole or not at all and never replaces another one.
    /// - Throws: `.conflict` when the name is taken.
    /// - Parameter flushingFolder: false when the caller flushes the folder itself, before anything depends on the file.
    package func publish(_ relative: String, _ bytes: [UInt8], flushingFolder: Bool = true) throws {
        if let objects { return try objects.publish(relative, bytes, host) }
        let temporary = try temporaryName()
        let path = absolute(temporary)
        let descriptor = host.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644)
        guard descriptor >= 0 else { throw Self.failure("create", path) }
        do {
            defer { _ = host.close(descriptor) }
            try bytes.withUnsafeBytes { bytes in
                var done = 0
                while done < bytes.count {
                    let n = host.write(descriptor, bytes.baseAddress! + done, bytes.count - done, done)
                    if n < 0, errno == EINTR { continue }
                    guard n > 0 else { throw Self.failure("write", path) }
                    done += n
                }
            }
            guard host.sync(descriptor) == 0 else { throw Self.failure("flush", path) }
        } catch {
            _ = host.unlink(path)
            throw error
        }
        try publish(temporary: temporary, as: relative, flushingFolder: flushingFolder)
    }

    /// Creates a file, or puts a new one in the place of the one that is there, all at once.
    package func replace(_ relative: String, _ bytes: [UInt8]) throws {
        if let objects { return try objects.replace(relative, bytes) }
        let temporary = try temporaryName()
        try publish(temporary, bytes, flushingFolder: false)
        if host.rename(absolute(temporary), absolute(relative)) != 0 { throw Self.failure("replace", absolute(relative)) }
        try flush(Self.folder(of: relative))
    }

    /// Gives a finished, flushed temporary file its name; removes it when that fails.
    package func publish(temporary: String, as relative: String, flushingFolder: Bool = true) throws {
        if let objects { return try objects.publish(temporary: temporary, as: relative, host) }
        let made = host.link(absolute(temporary), absolute(relative)) == 0
        let code = errno
        _ = host.unlink(absolute(temporary))
        guard made else {
            if code == EEXIST {
                throw StreamError(.conflict, "\(absolute(relative)) is already there: another writer is at work on this table",
                                  fix: "run one writer per table")
            }
            throw Self.failure("create", absolute(relative), code)
        }
        if flushingFolder { try flush(Self.folder(of: relative)) }
    }

    /// The folder that a file of the table is in.
    package static func folder(of relative: String) -> String { relative.lastIndex(of: "/").map { String(relative[..<$0]) } ?? "" }

    /// Creates an empty file.
    package func touch(_ relative: String) throws {
        if let objects { return try objects.touch(relative, host) }
        let descriptor = host.open(absolute(relative), O_WRONLY | O_CREAT, 0o644)
        guard descriptor >= 0 else { throw Self.failure("create", absolute(relative)) }
        _ = host.close(descriptor)
    }

    /// Makes the content of a file, or the names in a folder, outlive a power failure.
    package func flush(_ relative: String) throws { if objects == nil { try flush(at: absolute(relative)) } }

    /// Makes the table's own folder outlive a power failure.
    package func flushRoot() throws {
        if objects != nil { return }
        try flush(at: Host.parent(of: root))
        try flush("")
    }

    private func flush(at path: String) throws {
        let descriptor = host.open(path, O_RDONLY, 0)
        guard descriptor >= 0 else { throw Self.failure("open", path) }
        let done = host.sync(descriptor) == 0
        let code = errno
        _ = host.close(descriptor)
        guard done else { throw Self.failure("flush", path, code) }
    }

    /// Flushes folders with all those above them inside the table; those that are missing have nothing to lose.
    package func flush(folders: Set<String>) throws {
        if objects != nil { return }
        // A new folder is durable when the one above it is flushed.
        var all: Set<String> = [""]
        for folder in folders {
            let levels = folder.split(separator: "/")
            for depth in levels.indices { all.insert(levels[...depth].joined(separator: "/")) }
        }
        for folder in all.sorted() where exists(folder) { try flush(folder) }
    }

    /// Deletes a file; one that is missing counts as deleted.
    package func remove(_ relative: String) throws {
        if let objects { return try objects.remove(relative, host) }
        if host.unlink(absolute(relative)) != 0, errno != ENOENT { throw Self.failure("delete", absolute(relative)) }
    }

    /// Deletes a folder with all that is in it.
    package func removeTree(_ relative: String) throws {
        if let objects { return try objects.removeTree(relative) }
        for name in try names(in: relative) {
            let path = relative + "/" + name
            if isFolder(path) { try removeTree(path) } else { try remove(path) }
        }
        if host.rmdir(absolute(relative)) != 0, errno != ENOENT { throw Self.failure("delete folder", absolute(relative)) }
    }
}

/// An exclusive lock on a table. On a local disk among the processes of a machine, ending with its owner, also when that is killed; on an object store
/// among all writers, ending some time after an owner that was killed.
package final class TableLock: Sendable {
    private let descriptor: Int32
    private let lease: (objects: ObjectFolder, lease: ObjectLease)?

    /// - Throws: `.conflict` when another writer holds it.
    package init(_ files: TableFiles) throws {
        // Readers of the format skip names that start with a dot.
        let file = files.metaFolder + "/.swiftwater.lock", path = files.absolute(file)
        if let objects = files.objects {
            (descriptor, lease) = (-1, (objects, try objects.lock(file, files.host)))
            return
        }
        lease = nil
        if !files.exists(file) { try files.touch(file) }
        // Locking changes nothing on the disk, and must not depend on whether the disk still takes changes.
        descriptor = open(path, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw TableFiles.failure("open", path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            // The end of what is thrown away closes the file; a second time it would be somebody else's.
            let code = errno
            guard code == EWOULDBLOCK else { throw TableFiles.failure("lock", path, code) }
            throw StreamError(.conflict, "table \(files.root) is being written by another job",
                              fix: "stop that job, or write both inputs with one INSERT (UNION ALL)")
        }
    }

    /// Makes sure, on an object store, that nobody has taken the lock over.
    /// - Throws: `.conflict` when somebody has, saying who.
    package func require() throws { try lease?.lease.require() }

    /// Whether the file that is locked still is the one that others would lock.
    package func isHeld(_ files: TableFiles) -> Bool {
        // A lease is checked by each write.
        if lease != nil { return true }
        var held = stat(), named = stat()
        return fstat(descriptor, &held) == 0 && stat(files.absolute(files.metaFolder + "/.swiftwater.lock"), &named) == 0
            && held.st_ino == named.st_ino && held.st_dev == named.st_dev
    }

    deinit {
        if let lease { return lease.objects.unlock(lease.lease) }
        // Closing is not enough while a child process that was just forked holds a copy of the descriptor.
        flock(descriptor, LOCK_UN)
        close(descriptor)
    }
}
