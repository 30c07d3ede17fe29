import Foundation
import StreamCore
import Synchronization
import struct StreamCore.Host
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Runs commands of this program in processes of their own: what reads tables, streams or a query takes no memory of the daemon, and
/// cannot end it.
struct Tool: Sendable {
    let executable: String
    let data: String
    /// Of an answer.
    var bytesMax = 16 << 20

    /// - Parameters:
    ///   - seconds: after that it is ended.
    ///   - lines: of its answer; after these it is ended.
    ///   - toleratesEnd: what came until it was ended is an answer.
    /// - Returns: what the command wrote, cut at `bytesMax`; `isCut` = it was ended for time or size.
    /// - Throws: what the command said when it failed.
    func run(_ arguments: [String], seconds: Double, lines: Int = .max, input: String? = nil, toleratesEnd: Bool = false) throws -> (output: [UInt8], isCut: Bool) {
        guard Self.slots.take() else {
            throw StreamError(.conflict, "\(Self.slotsMax) commands run already that look at tables, streams or queries", fix: "try again in a moment")
        }
        defer { Self.slots.giveBack() }
        let input = try Channel(input ?? ""), output = try Channel(), errors = try Channel()
        let pid: pid_t
        do {
            pid = try ChildProcess.spawn(executable, arguments, files: (input.reading, output.writing, errors.writing), environment: ["SWIFTWATER_DATA": data])
        } catch {
            for channel in [input, output, errors] { channel.close() }
            throw error
        }
        // The child's ends are the child's alone: theirs is the end of the files.
        close(input.reading)
        close(output.writing)
        close(errors.writing)
        let state = Mutex((isLate: false, hasEnded: false))
        let limit = DispatchWorkItem {
            // The first asks, the second ends it at once.
            state.withLock { state in
                guard !state.hasEnded else { return }
                state.isLate = true
                kill(pid, SIGTERM)
            }
            DispatchQueue.global().asyncAfter(deadline: .now() + 1) { state.withLock { if !$0.hasEnded { kill(pid, SIGKILL) } } }
        }
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds, execute: limit)
        // One that does not read, or writes a lot to the other side, must not hold up the reading of its answer.
        let problem = Mutex([UInt8]()), others = DispatchGroup()
        DispatchQueue.global().async(group: others) { input.write() }
        DispatchQueue.global().async(group: others) {
            let text = Self.read(errors.reading, max: 1 << 16, lines: .max, whenFull: {}).bytes
            problem.withLock { $0 = text }
        }
        let (bytes, isFull) = Self.read(output.reading, max: bytesMax, lines: lines) { state.withLock { if !$0.hasEnded { kill(pid, SIGKILL) } } }
        var information = siginfo_t()
        // Until it has been waited for its number is no other's.
        while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        let isLate = state.withLock { state in
            state.hasEnded = true
            return state.isLate
        }
        let exit = ChildProcess.wait(pid)
        limit.cancel()
        others.wait()
        close(output.reading)
        close(errors.reading)
        if case .code(0)? = exit { return (bytes, isFull || isLate) }
        if isFull || isLate && toleratesEnd { return (bytes, true) }
        if isLate { throw StreamError(.runtime, "the command did not end within \(Int(seconds)) s", fix: "ask for less") }
        // Warnings about settings and options come before the error.
        let lines = String(decoding: problem.withLock { $0 }, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).drop { $0.hasPrefix("warning: ") }
        let text = lines.joined(separator: "\n").trimmingCharacters(in: .whitespacesAndNewlines)
        throw StreamError(.validate, text.hasPrefix("error: ") ? String(text.dropFirst(7)) : text.isEmpty ? "the command failed" : text)
    }

    /// A pipe.
    private struct Channel: Sendable {
        let reading: Int32, writing: Int32
        private let text: [UInt8]

        init(_ text: String = "") throws {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { throw Host.failure("make", "a pipe") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            (reading, writing, self.text) = (ends[0], ends[1], Array(text.utf8))
        }

        /// All of the text; what the other side does not take is dropped.
        func write() {
            var done = 0
            while done < text.count {
                let n = text.withUnsafeBytes { Foundation.write(writing, $0.baseAddress! + done, text.count - done) }
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { break }
                done += n
            }
            Foundation.close(writing)
        }

        func close() { for end in [reading, writing] { Foundation.close(end) } }
    }

    private static let slotsMax = 8
    private static let slots = Slots(slotsMax)

    private final class Slots: Sendable {
        private let free: Mutex<Int>
        init(_ n: Int) { free = Mutex(n) }
        func take() -> Bool {
            free.withLock { free in
                guard free > 0 else { return false }
                free -= 1
                return true
            }
        }
        func giveBack() { free.withLock { $0 += 1 } }
    }

    /// The answer as JSON values, one in a line.
    func lines(_ arguments: [String], seconds: Double = 20) throws -> [JSON] {
        try run(arguments, seconds: seconds).output.split(separator: 10).map { try JSON.parse(Array($0), "the command's answer") }
    }

    private static func read(_ fd: Int32, max: Int, lines: Int, whenFull: () -> Void) -> (bytes: [UInt8], isFull: Bool) {
        var out: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 16), isFull = false, seen = 0
        while true {
            let n = Foundation.read(fd, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return (out, isFull) }
            if out.count + n > max, !isFull {
                isFull = true
                whenFull()
            }
            guard !isFull else { continue }
            out += chunk[..<n]
            if lines < .max {
                seen += chunk[..<n].reduce(0) { $0 + ($1 == 10 ? 1 : 0) }
                if seen >= lines {
                    isFull = true
                    whenFull()
                }
            }
        }
    }
}
