import Foundation
import StreamCore
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A Unix-domain socket of this user: lines of text, one connection for each question and its answer.
package enum LocalSocket {
    /// What fits a socket's address on every system.
    private static let longestPath = 100
    /// Of a request, in bytes.
    package static let longestRequest = 1 << 20
    /// Of an answer: reports and histories of wide jobs are long.
    package static let longestAnswer = 32 << 20

    /// Where the socket of a job is: in its directory, or, when that path is too long for a socket, in one of the user's own,
    /// which a file beside it names.
    package static func path(in directory: String, creating: Bool = false) throws -> String {
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

    package static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// The path from the root, also of what does not exist yet.
    package static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }

    /// A socket that listens, for this user alone.
    package static func listen(at path: String) throws -> Int32 {
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
    package static func connect(to path: String) throws -> Int32? {
        guard path.utf8.count <= longestPath + 3 else { return nil }
        let fd = try make()
        var limit = timeval(tv_sec: 3, tv_usec: 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
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

    /// What came of a question.
    package enum Reply: Sendable {
        case line([UInt8])
        /// Nobody listens there, or the other side has gone before its answer was complete.
        case gone
        /// No answer until the deadline, or one that is longer than answers may be.
        case silent
    }

    /// Asks all of them at once, and waits for all answers together: one that hangs costs no other its answer.
    /// - Parameter deadline: of the monotonic clock, for everything: connecting, sending, and the whole of the answers.
    /// - Returns: a reply for each path.
    package static func exchange(_ paths: [String], _ request: [UInt8], deadline: UInt64) -> [Reply] {
        // Descriptors are bounded: those beyond are asked after the first have answered.
        guard paths.count <= 256 else {
            return stride(from: 0, to: paths.count, by: 256).flatMap { exchange(Array(paths[$0..<min($0 + 256, paths.count)]), request, deadline: deadline) }
        }
        var questions = paths.map { Question(path: $0) }
        defer { for question in questions where question.descriptor >= 0 { close(question.descriptor) } }
        let line = request + [10]
        while true {
            for i in questions.indices { questions[i].advance(line) }
            let open = questions.indices.filter { questions[$0].reply == nil }
            let now = Clock.monotonicNanoseconds()
            guard !open.isEmpty, now < deadline else { return questions.map { $0.reply ?? .silent } }
            var polled = open.filter { questions[$0].descriptor >= 0 }.map { i in
                pollfd(fd: questions[i].descriptor, events: Int16(questions[i].sent < line.count ? POLLOUT : POLLIN), revents: 0)
            }
            // A socket whose queue is full takes connections later.
            let left = Int32(clamping: (deadline - now + 999_999) / 1_000_000)
            poll(&polled, nfds_t(polled.count), polled.count < open.count ? min(left, 10) : left)
        }
    }

    /// One side of an exchange; none of its steps blocks.
    private struct Question {
        let path: String
        var descriptor: Int32 = -1
        var sent = 0
        var answer: [UInt8] = []
        var reply: Reply?

        mutating func advance(_ line: [UInt8]) {
            guard reply == nil else { return }
            if descriptor < 0 {
                guard path.utf8.count <= longestPath + 3, let fd = try? make() else { return reply = .gone }
                _ = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)
                guard withAddress(path, { systemConnect(fd, $0, $1) }) == 0 else {
                    let code = errno
                    close(fd)
                    if code != EAGAIN, code != EINTR { reply = .gone }
                    return
                }
                descriptor = fd
            }
            while sent < line.count {
                let n = sendSome(descriptor, line[sent...])
                if n < 0, errno == EINTR { continue }
                if n < 0, errno == EAGAIN { return }
                guard n > 0 else { return reply = .gone }
                sent += n
            }
            while reply == nil {
                switch readSome(descriptor, &answer) {
                case .line(let count): reply = .line(Array(answer[..<count]))
                case .some: if answer.count > longestAnswer { reply = .silent }
                case .none: return
                case .gone: reply = .gone
                }
            }
        }
    }

    private enum Piece { case line(Int), some, none, gone }

    /// Adds what is there; of it alone the end of the line is looked for.
    private static func readSome(_ fd: Int32, _ line: inout [UInt8]) -> Piece {
        withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 8) { chunk in
            var n = read(fd, chunk.baseAddress, chunk.count)
            while n < 0, errno == EINTR { n = read(fd, chunk.baseAddress, chunk.count) }
            if n < 0, errno == EAGAIN { return .none }
            guard n > 0 else { return .gone }
            let before = line.count
            line.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[..<n]))
            return memchr(chunk.baseAddress!, 10, n).map { .line(before + (UnsafeRawPointer($0) - UnsafeRawPointer(chunk.baseAddress!))) } ?? .some
        }
    }

    /// The bytes up to the end of the line; nil when the other side has gone before it, the line is longer than `limit`, or time is up.
    /// - Parameter deadline: of the monotonic clock, for the whole line; nil = it is waited for.
    package static func readLine(_ fd: Int32, limit: Int, deadline: UInt64? = nil) -> [UInt8]? {
        var line: [UInt8] = []
        while line.count <= limit {
            if let deadline {
                let now = Clock.monotonicNanoseconds()
                guard now < deadline else { return nil }
                var asked = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
                let ready = poll(&asked, 1, Int32(clamping: (deadline - now + 999_999) / 1_000_000))
                if ready == 0 || ready < 0 && errno == EINTR { continue }
            }
            switch readSome(fd, &line) {
            case .line(let count): return count <= limit ? Array(line[..<count]) : nil
            case .some, .none: continue
            case .gone: return nil
            }
        }
        return nil
    }

    /// False when the other side has gone.
    @discardableResult
    package static func writeLine(_ fd: Int32, _ bytes: [UInt8]) -> Bool {
        let line = bytes + [10]
        var done = 0
        while done < line.count {
            let n = sendSome(fd, line[done...])
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return false }
            done += n
        }
        return true
    }

    private static func sendSome(_ fd: Int32, _ bytes: ArraySlice<UInt8>) -> Int {
        #if canImport(Glibc)
        bytes.withUnsafeBytes { send(fd, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        #else
        bytes.withUnsafeBytes { send(fd, $0.baseAddress, $0.count, 0) }
        #endif
    }
}

private func systemListen(_ fd: Int32, _ backlog: Int32) -> Int32 { listen(fd, backlog) }
private func systemConnect(_ fd: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 { connect(fd, address, length) }
