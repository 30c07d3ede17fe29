import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamServer
import Synchronization
import JobControl
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A program that a cell runs, in a process group of its own.
final class CellProcess: Sendable {
    private let pid: pid_t
    private let hasEnded = Mutex(false)
    private let readers = Monitor(2)

    /// - Parameters:
    ///   - input: becomes the program's standard input and is closed here; nil = nothing to read.
    ///   - text: told what it writes, as it comes, from threads of their own.
    init(_ executable: String, _ arguments: [String], environment: [String: String], input: Int32? = nil, text: @escaping @Sendable (String, Bool) -> Void) throws {
        let inputEnd = input ?? open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(inputEnd) }
        var output: [Int32] = [0, 0], errors: [Int32] = [0, 0]
        guard pipe(&output) == 0 else { throw Host.failure("make", "a pipe") }
        guard pipe(&errors) == 0 else {
            close(output[0])
            close(output[1])
            throw Host.failure("make", "a pipe")
        }
        for end in output + errors { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        do {
            pid = try ChildProcess.spawn(executable, arguments, files: (inputEnd, output[1], errors[1]), environment: environment)
        } catch {
            for end in output + errors { close(end) }
            throw error
        }
        close(output[1])
        close(errors[1])
        for (end, isError) in [(output[0], false), (errors[0], true)] {
            let readers = readers
            Background.run {
                Self.read(end) { text($0, isError) }
                close(end)
                readers.withLock { $0 -= 1 }
                readers.broadcast()
            }
        }
    }

    /// Asks the program, and all that it started, to end; a second time ends it at once.
    func stop(atOnce: Bool = false) { hasEnded.withLock { if !$0 { kill(-pid, atOnce ? SIGKILL : SIGTERM) } } }

    /// What Ctrl-C does, to the program alone.
    func interrupt() { hasEnded.withLock { if !$0 { kill(pid, SIGINT) } } }

    /// Programs that it started still run.
    var hasLeftOthers: Bool { kill(-pid, 0) == 0 }

    /// Asks all that the program started to end, when it has ended itself.
    func stopGroup() { kill(-pid, SIGTERM) }

    /// Returns when the program has ended and all that it wrote has been told.
    /// - Returns: nil = it ended well; else what to say.
    func wait() -> String? {
        var information = siginfo_t()
        // Until it has been waited for its number is no other's.
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let exit = hasEnded.withLock { ended in
            ended = true
            return ChildProcess.wait(pid)
        }
        // Programs that it left behind may hold the pipes open for ever.
        let deadline = Clock.monotonicNanoseconds() + 1_000_000_000
        readers.wait { left -> Monitor<Int>.Decision<Void> in
            let now = Clock.monotonicNanoseconds()
            return left == 0 || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
        }
        if case .code(0)? = exit { return nil }
        return exit.map { "\($0)" } ?? "it could not be waited for"
    }

    /// Reads text until the end, without cutting characters apart.
    private static func read(_ descriptor: Int32, _ tell: (String) -> Void) {
        var pending: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let n = systemRead(descriptor, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { break }
            pending += chunk[..<n]
            // A character has at most four bytes; the first says how many.
            var whole = pending.count
            for back in 1...min(4, pending.count) {
                let byte = pending[pending.count - back]
                if byte & 0xC0 == 0x80 { continue }
                let length = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
                if length > back { whole = pending.count - back }
                break
            }
            if whole > 0 { tell(String(decoding: pending[..<whole], as: UTF8.self)) }
            pending.removeFirst(whole)
        }
        if !pending.isEmpty { tell(String(decoding: pending, as: UTF8.self)) }
    }
}

private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int { read(descriptor, bytes, count) }
