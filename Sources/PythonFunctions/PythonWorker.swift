import Foundation
import StreamCore

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// `send` of the C library, which the method of this name hides.
private func systemSend(_ socket: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int { send(socket, bytes, count, flags) }

/// A Python process that answers requests over a socket. One thread at a time.
///
/// Frames in both directions: a letter, the length as UInt32, the content.
final class PythonWorker {
    let name: String
    private let executable: String
    private let process: pid_t
    private let socket: Int32
    private var isOpen = true
    /// Longest wait for an answer, in milliseconds.
    private let timeout: Int

    /// Starts `executable` with the worker's program; its standard error is the engine's.
    ///
    /// - Parameter name: of the function, for messages.
    /// - Throws: `.io` when there is no such program.
    init(name: String, executable: String, timeout: Int) throws {
        self.name = name
        self.executable = executable
        self.timeout = timeout
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Self.streamType, 0, &ends) == 0 else { throw StreamError(.io, "\(name): no socket for a Python worker: \(Self.lastError)") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        #if canImport(Glibc)
        var actions = posix_spawn_file_actions_t()
        #else
        var actions: posix_spawn_file_actions_t?
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 0)
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let words: [String] = [executable, "-u", "-c", WorkerScript.text]
        let arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var started: pid_t = 0
        let code = posix_spawnp(&started, executable, &actions, nil, arguments, environ)
        close(ends[1])
        guard code == 0 else {
            close(ends[0])
            throw StreamError(.io, "\(name): cannot start Python \"\(executable)\": \(String(cString: strerror(code)))",
                              fix: "SET 'python.executable' to the path of a Python 3 with pyarrow, or set SWIFTWATER_PYTHON")
        }
        process = started
        socket = ends[0]
    }

    deinit { stop() }

    #if canImport(Glibc)
    private static var streamType: Int32 { Int32(SOCK_STREAM.rawValue) }
    private static let sendFlags = Int32(MSG_NOSIGNAL)
    #else
    private static var streamType: Int32 { SOCK_STREAM }
    private static let sendFlags: Int32 = 0
    #endif

    private static var lastError: String { String(cString: strerror(errno)) }

    /// Ends the process, if it runs, and waits for its end.
    private func stop() {
        guard isOpen else { return }
        isOpen = false
        close(socket)
        // The worker ends by itself when the socket closes; one that is inside of a function does not.
        kill(process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) == -1, errno == EINTR {}
    }

    /// How the process ended.
    private func death() -> StreamError {
        isOpen = false
        close(socket)
        var status: Int32 = 0
        // It closed its end; it may take a moment to be gone.
        for _ in 0..<200 {
            if waitpid(process, &status, WNOHANG) != 0 { break }
            usleep(10_000)
        }
        if kill(process, 0) == 0 {
            kill(process, SIGKILL)
            while waitpid(process, &status, 0) == -1, errno == EINTR {}
        }
        let signal = status & 0x7F
        let how = signal == 0 ? "ended with exit code \(status >> 8 & 0xFF)" : "was ended by signal \(signal) (\(String(cString: strsignal(signal))))"
        return StreamError(.runtime, "\(name): its Python worker \(how)", fix: "see what it wrote to standard error")
    }

    func send(_ kind: Character, _ content: [UInt8]) throws {
        var frame: [UInt8] = [kind.asciiValue!]
        withUnsafeBytes(of: UInt32(content.count)) { frame += $0 }
        try write(frame)
        try write(content)
    }

    private func write(_ bytes: [UInt8]) throws {
        var at = 0
        while at < bytes.count {
            let n = bytes.withUnsafeBytes { systemSend(socket, $0.baseAddress! + at, bytes.count - at, Self.sendFlags) }
            if n < 0, errno == EINTR { continue }
            if n <= 0 { throw death() }
            at += n
        }
    }

    func receive() throws -> (kind: Character, content: [UInt8]) {
        let head = try read(5)
        let size = head.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 1, as: UInt32.self) }
        return (Character(Unicode.Scalar(head[0])), try read(Int(size)))
    }

    private func read(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count), at = 0
        while at < count {
            var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
            let ready = poll(&wait, 1, Int32(clamping: timeout))
            if ready < 0, errno == EINTR { continue }
            if ready == 0 {
                stop()
                throw StreamError(.runtime, "\(name): its Python worker gave no answer within \(timeout) ms", fix: "SET 'python.worker.timeout' to a longer time, for example '10 min'")
            }
            let n = bytes.withUnsafeMutableBytes { recv(socket, $0.baseAddress! + at, count - at, 0) }
            if n < 0, errno == EINTR { continue }
            if n <= 0 { throw death() }
            at += n
        }
        return bytes
    }

    /// An `E` frame as an error.
    func failure(_ content: [UInt8]) -> StreamError {
        struct Report: Decodable { var kind: String, message: String, row: Int?, values: [String]?, traceback: String? }
        guard let report = try? JSONDecoder().decode(Report.self, from: Data(content)) else {
            return StreamError(.runtime, "\(name): its Python worker failed: \(String(decoding: content, as: UTF8.self))")
        }
        let trace = report.traceback.map { "\n" + $0.trimmingCharacters(in: .newlines) } ?? ""
        switch report.kind {
        case "pyarrow":
            return StreamError(.runtime, "\(name): Python \"\(executable)\" has no pyarrow (\(report.message))", fix: "run \(executable) -m pip install pyarrow")
        case "load":
            return StreamError(.validate, "\(name): Python cannot load the function: \(report.message)\(trace)",
                               fix: "check the name 'module.function', and SET 'python.files' to the folder of the module")
        default:
            let arguments = report.values.map { "(" + $0.joined(separator: ", ") + ")" } ?? ""
            return StreamError(.runtime, "\(name)\(arguments) failed in Python: \(report.message)\(trace)")
        }
    }
}
