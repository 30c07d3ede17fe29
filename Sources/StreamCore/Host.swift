#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The machine as the engine sees it: the calls that change a disk, the time, and chance.
///
/// Everything that must survive a crash goes through these; simulations replace them with ones that tear, lose, delay and
/// fail. Reading needs no seam: what is on the disk is what is read.
/// The calls are those of POSIX: -1 and `errno` on failure.
public struct Host: Sendable {
    public var open: @Sendable (_ path: String, _ flags: Int32, _ mode: UInt32) -> Int32
    public var close: @Sendable (_ fd: Int32) -> Int32
    /// As pwrite(2): bytes written, which may be fewer than asked for.
    public var write: @Sendable (_ fd: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ offset: Int) -> Int
    /// Makes the contents of a file, or the names in a directory, survive a power cut.
    public var sync: @Sendable (_ fd: Int32) -> Int32
    public var truncate: @Sendable (_ fd: Int32, _ size: Int) -> Int32
    public var rename: @Sendable (_ from: String, _ to: String) -> Int32
    public var link: @Sendable (_ from: String, _ to: String) -> Int32
    public var unlink: @Sendable (_ path: String) -> Int32
    public var mkdir: @Sendable (_ path: String, _ mode: UInt32) -> Int32
    public var rmdir: @Sendable (_ path: String) -> Int32
    /// Wall-clock milliseconds since 1970-01-01.
    public var now: @Sendable () -> Int64
    public var randomBits: @Sendable () -> UInt64

    public init(
        open: @escaping @Sendable (String, Int32, UInt32) -> Int32, close: @escaping @Sendable (Int32) -> Int32,
        write: @escaping @Sendable (Int32, UnsafeRawPointer, Int, Int) -> Int, sync: @escaping @Sendable (Int32) -> Int32,
        truncate: @escaping @Sendable (Int32, Int) -> Int32, rename: @escaping @Sendable (String, String) -> Int32,
        link: @escaping @Sendable (String, String) -> Int32, unlink: @escaping @Sendable (String) -> Int32,
        mkdir: @escaping @Sendable (String, UInt32) -> Int32, rmdir: @escaping @Sendable (String) -> Int32,
        now: @escaping @Sendable () -> Int64, randomBits: @escaping @Sendable () -> UInt64
    ) {
        self.open = open
        self.close = close
        self.write = write
        self.sync = sync
        self.truncate = truncate
        self.rename = rename
        self.link = link
        self.unlink = unlink
        self.mkdir = mkdir
        self.rmdir = rmdir
        self.now = now
        self.randomBits = randomBits
    }

    /// This machine.
    public static let system = Host(
        open: { systemOpen($0, $1, $2) },
        close: { systemClose($0) },
        write: { pwrite($0, $1, $2, off_t($3)) },
        sync: {
            #if canImport(Darwin)
            fcntl($0, F_FULLFSYNC)
            #else
            fsync($0)
            #endif
        },
        truncate: { ftruncate($0, off_t($1)) },
        rename: { systemRename($0, $1) },
        link: { systemLink($0, $1) },
        unlink: { systemUnlink($0) },
        mkdir: { systemMkdir($0, mode_t($1)) },
        rmdir: { systemRmdir($0) },
        now: { Clock.milliseconds() },
        randomBits: { .random(in: 0...UInt64.max) })

    /// A random (version 4) UUID in lower case.
    public func uuid() -> String {
        let digits = Array("0123456789abcdef".utf8)
        let (a, b) = ((randomBits() & ~0xF000) | 0x4000, (randomBits() & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000)
        var text: [UInt8] = []
        for i in 0..<32 {
            if [8, 12, 16, 20].contains(i) { text.append(0x2D) }
            let word = i < 16 ? a : b
            text.append(digits[Int(word >> UInt64(60 - 4 * (i % 16)) & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

// The calls by names that members of `Host` do not hide.
private func systemOpen(_ path: String, _ flags: Int32, _ mode: UInt32) -> Int32 { open(path, flags | O_CLOEXEC, mode_t(mode)) }
private func systemClose(_ fd: Int32) -> Int32 { close(fd) }
private func systemRename(_ from: String, _ to: String) -> Int32 { rename(from, to) }
private func systemLink(_ from: String, _ to: String) -> Int32 { link(from, to) }
private func systemUnlink(_ path: String) -> Int32 { unlink(path) }
private func systemMkdir(_ path: String, _ mode: mode_t) -> Int32 { mkdir(path, mode) }
private func systemRmdir(_ path: String) -> Int32 { rmdir(path) }

// MARK: What every user of a disk needs

extension Host {
    /// An error for the call that just failed.
    public static func failure(_ doing: String, _ path: String, code: Int32 = errno, fix: String? = nil) -> StreamError {
        let hint: String? = switch code {
        case ENOSPC, EDQUOT: "free disk space"
        case EACCES, EPERM, EROFS: "check who owns it and its permissions"
        case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
        default: nil
        }
        var error = StreamError(.io, "cannot \(doing) \(path): \(String(cString: strerror(code)))", fix: fix ?? hint)
        error.systemError = code
        return error
    }

    /// Creates a directory and those above it; one that is there already is fine. Names are made durable.
    public func createDirectories(_ path: String) throws {
        var status = stat()
        if stat(path, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFDIR else {
                throw StreamError(.io, "\(path) is a file; a directory is needed here", fix: "name another directory, or move the file away")
            }
            return
        }
        let parent = Self.parent(of: path)
        if parent != path { try createDirectories(parent) }
        if mkdir(path, 0o755) != 0, errno != EEXIST { throw Self.failure("create directory", path) }
        try syncDirectory(parent)
    }

    /// Makes creations, renames and removals inside the directory survive a power cut.
    public func syncDirectory(_ path: String) throws {
        let fd = open(path, O_RDONLY, 0)
        guard fd >= 0 else { throw Self.failure("open directory", path) }
        defer { _ = close(fd) }
        guard sync(fd) == 0 else { throw Self.failure("flush directory", path) }
    }

    /// Writes all bytes at an offset of an open file, or throws.
    public func writeAll(_ fd: Int32, _ bytes: UnsafeRawBufferPointer, at offset: Int, path: String) throws {
        var done = 0
        while done < bytes.count {
            let n = write(fd, bytes.baseAddress! + done, bytes.count - done, offset + done)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { throw Self.failure("write \(bytes.count) bytes at offset \(offset) of", path) }
            done += n
        }
    }

    /// Replaces a small file as a whole and durably: readers see the old bytes or the new ones, also after a crash.
    public func replaceFile(_ path: String, _ bytes: [UInt8]) throws {
        let temporary = path + ".tmp"
        let fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
        guard fd >= 0 else { throw Self.failure("create", temporary) }
        do {
            defer { _ = close(fd) }
            try bytes.withUnsafeBytes { try writeAll(fd, $0, at: 0, path: temporary) }
            guard sync(fd) == 0 else { throw Self.failure("flush", temporary) }
        } catch {
            _ = unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let failure = Self.failure("rename \(temporary) to", path)
            _ = unlink(temporary)
            throw failure
        }
        try syncDirectory(Self.parent(of: path))
    }

    /// Deletes a file; one that is missing counts as deleted.
    public func remove(_ path: String) throws {
        if unlink(path) != 0, errno != ENOENT { throw Self.failure("delete", path) }
    }

    /// Deletes a directory with all that is in it; one that is missing counts as deleted.
    public func removeTree(_ path: String) throws {
        for name in try Self.names(in: path) {
            let child = path + "/" + name
            if Self.isDirectory(child) { try removeTree(child) } else { try remove(child) }
        }
        if rmdir(path) != 0, errno != ENOENT { throw Self.failure("delete directory", path) }
    }

    /// The part before the last slash; "." when there is none.
    public static func parent(of path: String) -> String {
        var path = Substring(path)
        while path.count > 1, path.last == "/" { path.removeLast() }
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// True for a directory itself, not for a link to one.
    public static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Size in bytes; nil when there is no such file.
    public static func size(of path: String) -> Int? {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : nil
    }

    /// Names in a directory, sorted; none when it is missing.
    public static func names(in path: String) throws -> [String] {
        guard let handle = opendir(path) else {
            if errno == ENOENT { return [] }
            throw failure("list", path)
        }
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

    /// All bytes of a file.
    public static func read(_ path: String) throws -> [UInt8] {
        guard let size = size(of: path) else { throw failure("open", path) }
        return try read(path, offset: 0, count: size)
    }

    /// `count` bytes of a file at an offset; fewer at its end.
    public static func read(_ path: String, offset: Int, count: Int) throws -> [UInt8] {
        let fd = systemOpen(path, O_RDONLY, 0)
        guard fd >= 0 else { throw failure("open", path) }
        defer { _ = systemClose(fd) }
        return try [UInt8](unsafeUninitializedCapacity: max(count, 1)) { buffer, filled in
            filled = 0
            while filled < count {
                let n = pread(fd, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if n < 0, errno == EINTR { continue }
                guard n >= 0 else { throw failure("read", path) }
                if n == 0 { break }
                filled += n
            }
        }
    }
}
