import Foundation
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A Unix-domain socket of this user: lines of text, one connection for each question and its answer.
enum LocalSocket {
    /// What fits a socket's address on every system.
    private static let longestPath = 100
    private static let longestLine = 1 << 20

    /// Where the socket of a job is: in its directory, or, when that path is too long for a socket, in one of the user's own,
    /// which a file beside it names.
    static func path(in directory: String, creating: Bool = false) throws -> String {
        let real = realPath(directory)
        let path = real + "/control", pointer = real + "/control.path"
        if path.utf8.count <= longestPath { return path }
        if !creating {
            guard let bytes = try? Host.read(pointer) else { return pointer }
            return String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        }
        let own = "/tmp/swiftwater-\(getuid())"
        if Host.system.mkdir(own, 0o700) != 0, errno != EEXIST { throw Host.failure("create directory", own) }
        var status = stat()
        guard lstat(own, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid(), status.st_mode & 0o077 == 0 else {
            throw StreamError(.io, "\(own) is not a directory that only this user can use", fix: "remove it, or choose a shorter --checkpoint-dir")
        }
        let socket = own + "/" + String(JobHome.hash(real), radix: 16)
        try Host.system.replaceFile(pointer, Array((socket + "\n").utf8))
        return socket
    }

    static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// The path from the root, also of what does not exist yet.
    static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// A socket that listens, for this user alone.
    static func listen(at path: String) throws -> Int32 {
        // One that is there belongs to a process that is gone: the caller holds the job's lock.
        try Host.system.remove(path)
        let fd = try make()
        let mask = umask(0o077)
        let bound = withAddress(path) { bind(fd, $0, $1) }
        let code = errno
        umask(mask)
        guard bound == 0, chmod(path, 0o600) == 0, systemListen(fd, 16) == 0 else {
            close(fd)
            throw Host.failure("listen at", path, code: bound == 0 ? errno : code)
        }
        return fd
    }

    /// A connection to whoever listens; nil when nobody does.
    static func connect(to path: String) throws -> Int32? {
        guard path.utf8.count <= longestPath + 3 else { return nil }
        let fd = try make()
        if withAddress(path, { systemConnect(fd, $0, $1) }) == 0 { return fd }
        let code = errno
        close(fd)
        if [ENOENT, ECONNREFUSED, ENOTSOCK, ENOTDIR].contains(code) { return nil }
        throw Host.failure("connect to", path, code: code)
    }

    private static func make() throws -> Int32 {
        #if canImport(Glibc)
        let fd = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        #else
        let fd = socket(AF_UNIX, SOCK_STREAM, 0)
        var on: Int32 = 1
        setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<Int32>.size))
        #endif
        guard fd >= 0 else { throw Host.failure("open", "a local socket") }
        return fd
    }

    private static func withAddress(_ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { room in
            for (i, byte) in path.utf8.enumerated() where i < room.count - 1 { room[i] = byte }
        }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_un>.size)) }
        }
    }

    /// Waits at most this long for the other side's next bytes.
    static func limitReads(_ fd: Int32, seconds: Int) {
        var limit = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    }

    /// The bytes up to the end of the line; nil when the other side has gone before it.
    static func readLine(_ fd: Int32) -> [UInt8]? {
        var line: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 4_096)
        while line.count < longestLine {
            let n = read(fd, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return nil }
            line += chunk[..<n]
            if let end = line.firstIndex(of: 10) { return Array(line[..<end]) }
        }
        return nil
    }

    /// False when the other side has gone.
    @discardableResult
    static func writeLine(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        let line = bytes + [10]
        var done = 0
        while done < line.count {
            #if canImport(Glibc)
            let n = line[done...].withUnsafeBytes { send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            #else
            let n = line[done...].withUnsafeBytes { send(fd, $0.baseAddress, $0.count, 0) }
            #endif
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return false }
            done += n
        }
        return true
    }
}

private func systemListen(_ fd: Int32, _ backlog: Int32) -> Int32 { listen(fd, backlog) }
private func systemConnect(_ fd: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 { connect(fd, address, length) }
