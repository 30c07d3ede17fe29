import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The calls that can fail for want of space or a healthy disk; tests replace them.
package struct FileOperations: Sendable {
    /// As pwrite(2): bytes written, or -1 with errno set.
    package var write: @Sendable (_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ offset: Int) -> Int
    /// 0, or -1 with errno set.
    package var sync: @Sendable (_ fd: Int32) -> Int32

    package init(write: @escaping @Sendable (Int32, UnsafeRawPointer, Int, Int) -> Int, sync: @escaping @Sendable (Int32) -> Int32) {
        self.write = write
        self.sync = sync
    }

    package static let system = FileOperations(
        write: { pwrite($0, $1, $2, off_t($3)) },
        sync: {
            #if canImport(Darwin)
            fcntl($0, F_FULLFSYNC)
            #else
            fdatasync($0)
            #endif
        })
}

/// An open file; closed when the last holder lets go.
final class LogFile: Sendable {
    let fd: Int32
    let path: String

    init(_ path: String, flags: Int32, create: Bool = false) throws {
        fd = open(path, flags | O_CLOEXEC | (create ? O_CREAT : 0), 0o644)
        self.path = path
        if fd < 0 { throw Self.failure("open", path) }
    }

    deinit { close(fd) }

    static func failure(_ verb: String, _ path: String, fix: String? = nil) -> StreamError {
        let code = errno
        let hint: String? = switch code {
        case ENOSPC, EDQUOT: "free disk space, or lower the stream's retention"
        case EACCES, EPERM, EROFS: "check who owns the file and its permissions"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        default: fix
        }
        return StreamError(.io, "cannot \(verb) \(path): \(String(cString: strerror(code)))", fix: hint)
    }

    func status() throws -> (size: Int, links: Int) {
        var s = stat()
        guard fstat(fd, &s) == 0 else { throw Self.failure("inspect", path) }
        return (Int(s.st_size), Int(s.st_nlink))
    }

    func size() throws -> Int { try status().size }

    /// Fills up to `count` bytes; fewer only at the end of the file.
    func read(into bytes: UnsafeMutableRawPointer, count: Int, at offset: Int) throws -> Int {
        var done = 0
        while done < count {
            let n = pread(fd, bytes + done, count - done, off_t(offset + done))
            if n < 0, errno == EINTR { continue }
            if n < 0 { throw Self.failure("read", path) }
            if n == 0 { break }
            done += n
        }
        return done
    }

    /// Writes all or throws; what was written of a failed write stays and is the caller's to cut off.
    func write(_ bytes: UnsafeRawPointer, count: Int, at offset: Int, _ files: FileOperations) throws {
        var done = 0
        while done < count {
            let n = files.write(fd, bytes + done, count - done, offset + done)
            if n < 0, errno == EINTR { continue }
            if n <= 0 { throw Self.failure("write \(count) bytes at offset \(offset) of", path) }
            done += n
        }
    }

    func sync(_ files: FileOperations) throws {
        guard files.sync(fd) == 0 else { throw Self.failure("flush", path) }
    }

    func cut(to size: Int) throws {
        guard ftruncate(fd, off_t(size)) == 0 else { throw Self.failure("truncate", path) }
    }

    /// Runs `body` while no other open file, of this or another process, holds the lock.
    func exclusively<R>(_ body: () throws -> R) throws -> R {
        while flock(fd, LOCK_EX) != 0 {
            if errno != EINTR { throw Self.failure("lock", path) }
        }
        defer { _ = flock(fd, LOCK_UN) }
        return try body()
    }
}

enum Directory {
    static func names(_ path: String) throws -> [String] {
        guard let handle = opendir(path) else { throw LogFile.failure("list", path) }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Makes renames, creations and removals inside the directory survive a power cut.
    static func sync(_ path: String) throws {
        let directory = try LogFile(path, flags: O_RDONLY)
        guard fsync(directory.fd) == 0 else { throw LogFile.failure("flush", path) }
    }

    /// Creates it and its parents.
    static func create(_ path: String) throws {
        if mkdir(path, 0o755) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw LogFile.failure("create directory", path)
        }
        try create(String(path[..<slash]))
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw LogFile.failure("create directory", path) }
    }

    static func rename(_ from: String, _ to: String) throws {
        guard Self.move(from, to) == 0 else { throw LogFile.failure("rename \(from) to", to) }
    }

    private static func move(_ from: String, _ to: String) -> Int32 {
        #if canImport(Glibc)
        Glibc.rename(from, to)
        #else
        Darwin.rename(from, to)
        #endif
    }

    /// Removes a directory and what is in it.
    static func removeTree(_ path: String) throws {
        for name in try names(path) {
            let child = path + "/" + name
            if unlink(child) != 0 { try removeTree(child) }
        }
        guard rmdir(path) == 0 else { throw LogFile.failure("remove", path) }
    }

    /// Replaces a small file as a whole: readers see the old bytes or the new ones.
    static func replaceFile(_ path: String, _ bytes: [UInt8]) throws {
        let temporary = path + ".new"
        do {
            let file = try LogFile(temporary, flags: O_WRONLY | O_TRUNC, create: true)
            try bytes.withUnsafeBytes { if $0.count > 0 { try file.write($0.baseAddress!, count: $0.count, at: 0, .system) } }
            guard fsync(file.fd) == 0 else { throw LogFile.failure("flush", temporary) }
        }
        try rename(temporary, path)
        try sync(path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".")
    }

    static func readFile(_ path: String) throws -> [UInt8] {
        let file = try LogFile(path, flags: O_RDONLY)
        let size = try file.size()
        return try [UInt8](unsafeUninitializedCapacity: max(size, 1)) { buffer, count in
            count = try file.read(into: buffer.baseAddress!, count: size, at: 0)
        }
    }
}
