import StreamCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// An open file; closed when the last holder lets go.
final class LogFile: Sendable {
    let fd: Int32
    let path: String
    private let host: Host

    init(_ path: String, flags: Int32, create: Bool = false, host: Host = .system) throws {
        fd = host.open(path, flags | (create ? O_CREAT : 0), 0o644)
        self.path = path
        self.host = host
        if fd < 0 { throw Host.failure("open", path) }
    }

    deinit { _ = host.close(fd) }

    func status() throws -> (size: Int, links: Int) {
        var s = stat()
        guard fstat(fd, &s) == 0 else { throw Host.failure("inspect", path) }
        return (Int(s.st_size), Int(s.st_nlink))
    }

    func size() throws -> Int { try status().size }

    /// Fills up to `count` bytes; fewer only at the end of the file.
    func read(into bytes: UnsafeMutableRawPointer, count: Int, at offset: Int) throws -> Int {
        var done = 0
        while done < count {
            let n = pread(fd, bytes + done, count - done, off_t(offset + done))
            if n < 0, errno == EINTR { continue }
            if n < 0 { throw Host.failure("read", path) }
            if n == 0 { break }
            done += n
        }
        return done
    }

    /// Writes all or throws; what was written of a failed write stays and is the caller's to cut off.
    func write(_ bytes: UnsafeRawPointer, count: Int, at offset: Int) throws {
        try host.writeAll(fd, UnsafeRawBufferPointer(start: bytes, count: count), at: offset, path: path)
    }

    func sync() throws {
        guard host.sync(fd) == 0 else { throw Host.failure("flush", path) }
    }

    func cut(to size: Int) throws {
        guard host.truncate(fd, size) == 0 else { throw Host.failure("truncate", path) }
    }

    /// Runs `body` while no other open file, of this or another process, holds the lock.
    func exclusively<R>(_ body: () throws -> R) throws -> R {
        while flock(fd, LOCK_EX) != 0 {
            if errno != EINTR { throw Host.failure("lock", path) }
        }
        defer { _ = flock(fd, LOCK_UN) }
        return try body()
    }
}
