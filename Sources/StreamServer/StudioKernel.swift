import Foundation
import StreamCore
import struct StreamCore.Host
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A process that runs the cells of one notebook: requests go to its input, events come from its output, a JSON object a line each.
///
/// It ends with its input: when the daemon is killed, no kernel survives it.
final class StudioKernel: Sendable {
    /// Of what it says on its error output, the end.
    private static let logBytes = 32 << 10
    /// Of a longer event only its beginning is kept: a message is shown in its place.
    private static let lineBytes = 16 << 20
    private static let headBytes = 256
    /// Of requests that it has not taken.
    private static let waitingBytes = 16 << 20

    let process: pid_t
    private let id = Host.system.uuid()
    private let input: Int32
    private let requests = DispatchQueue(label: "swiftwater.studio.kernel")
    private let state = Mutex(State())

    private struct State {
        var log: [UInt8] = []
        var waiting = 0
        var isClosed = false
        var hasEnded = false
        /// How it ended; known a moment after it has.
        var exit: String?
    }

    /// - Parameters:
    ///   - onEvent: called with each event, in their order, by a thread of the kernel's own.
    ///   - onEnd: called once, behind the last event, with how it ended.
    /// - Throws: `.io` when the process cannot be started.
    init(executable: String, arguments: [String], data: String, onEvent: @escaping @Sendable (JSON) -> Void, onEnd: @escaping @Sendable (String) -> Void) throws {
        var channels: [(reading: Int32, writing: Int32)] = []
        func closeAll() { for channel in channels { for end in [channel.reading, channel.writing] { close(end) } } }
        do {
            channels.append(try Self.lifeline())
            for _ in 0..<2 { channels.append(try Self.channel()) }
            process = try ChildProcess.spawn(executable, arguments, files: (channels[0].reading, channels[1].writing, channels[2].writing),
                                             environment: ["SWIFTWATER_DATA": data, Self.mark: id])
        } catch {
            closeAll()
            throw error
        }
        close(channels[0].reading)
        close(channels[1].writing)
        close(channels[2].writing)
        let (input, output, errors) = (channels[0].writing, channels[1].reading, channels[2].reading)
        self.input = input
        let readers = DispatchGroup()
        for _ in 0..<2 { readers.enter() }
        Thread.detachNewThread { [self] in
            readEvents(output, onEvent)
            close(output)
            readers.leave()
        }
        Thread.detachNewThread { [self] in
            readLog(errors)
            close(errors)
            readers.leave()
        }
        Thread.detachNewThread { [self] in
            var information = siginfo_t()
            // Until it has been waited for its number is no other's.
            while waitid(P_PID, id_t(process), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
            // What its cells started goes with it; it also holds the pipes open.
            _ = Foundation.kill(-process, SIGKILL)
            Self.endPrograms(of: id)
            _ = readers.wait(timeout: .now() + 2)
            state.withLock { $0.hasEnded = true }
            let exit = ChildProcess.wait(process).map { "\($0)" } ?? "an unknown status"
            closeInput()
            onEnd(state.withLock { state in
                state.exit = exit
                return exit
            })
        }
    }

    private static let mark = "SWIFTWATER_STUDIO_KERNEL"

    /// Ends programs of cells that a kernel left behind because it was killed: they are in sessions of their own, and known by their environment.
    private static func endPrograms(of id: String) {
        #if os(Linux)
        let wanted = Array("\(mark)=\(id)".utf8)
        for name in (try? Host.names(in: "/proc")) ?? [] {
            guard let pid = pid_t(name), pid > 1, let environment = FileManager.default.contents(atPath: "/proc/\(name)/environ") else { continue }
            if environment.split(separator: 0).contains(where: { $0.elementsEqual(wanted) }) { _ = Foundation.kill(pid, SIGKILL) }
        }
        #endif
    }

    /// Its input. Another child that inherited our end would keep the kernel alive behind the daemon: this end is closed in children from
    /// its very beginning, which a pipe's is not.
    private static func lifeline() throws -> (reading: Int32, writing: Int32) {
        #if os(Linux)
        var ends: [Int32] = [0, 0]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else { throw Host.failure("make", "a socket") }
        return (ends[0], ends[1])
        #else
        return try channel()
        #endif
    }

    private static func channel() throws -> (reading: Int32, writing: Int32) {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw Host.failure("make", "a pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }

    /// Queues a request; what a kernel that has ended does not take is dropped.
    /// - Throws: `.conflict` when it takes none any more.
    func send(_ request: JSON) throws {
        let line = Array((request.text() + "\n").utf8)
        let hasRoom = state.withLock { state in
            guard state.waiting + line.count <= Self.waitingBytes else { return false }
            state.waiting += line.count
            return true
        }
        guard hasRoom else { throw StreamError(.conflict, "the kernel takes no requests", fix: "restart it") }
        requests.async { [self] in
            let isOpen = state.withLock { state in
                state.waiting -= line.count
                return !state.isClosed
            }
            guard isOpen else { return }
            var done = 0
            while done < line.count {
                let n = line.withUnsafeBytes { write(input, $0.baseAddress! + done, line.count - done) }
                if n < 0, errno == EINTR { continue }
                guard n > 0 else { return }
                done += n
            }
        }
    }

    /// Asks it to end, and ends it after `seconds`. Returns at once.
    func end(seconds: Double = 2) {
        closeInput()
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds) { self.signal(SIGTERM) }
        DispatchQueue.global().asyncAfter(deadline: .now() + seconds + 1) { self.signal(SIGKILL) }
    }

    /// Ends it and what it started, now.
    func kill() { signal(SIGKILL) }

    var hasEnded: Bool { state.withLock { $0.hasEnded } }
    var exit: String? { state.withLock { $0.exit } }

    /// The last lines of its error output.
    var log: String {
        let bytes = state.withLock { $0.log }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        return lines.suffix(40).joined(separator: "\n").trimmingCharacters(in: .newlines)
    }

    private func signal(_ number: Int32) {
        state.withLock { if !$0.hasEnded { _ = Foundation.kill(-process, number) } }
    }

    private func closeInput() {
        let isFirst = state.withLock { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        // Behind what is being written: a kernel that does not read gets its end from the signals.
        requests.async { [input] in close(input) }
    }

    private func readEvents(_ fd: Int32, _ onEvent: @Sendable (JSON) -> Void) {
        var rest: [UInt8] = [], chunk = [UInt8](repeating: 0, count: 1 << 16)
        // Bytes that were passed over of an event that is too long, whose beginning is in `rest`.
        var skipped = 0
        while true {
            let n = read(fd, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return }
            var start = 0, from = rest.count
            if skipped > 0 {
                guard let end = chunk[..<n].firstIndex(of: 10) else {
                    skipped += n
                    continue
                }
                tooLong(rest, bytes: rest.count + skipped + end, onEvent)
                rest = Array(chunk[(end + 1)..<n])
                (skipped, from) = (0, 0)
            } else {
                rest += chunk[..<n]
            }
            while let end = rest[from...].firstIndex(of: 10) {
                if end > start { event(Array(rest[start..<end]), onEvent) }
                start = end + 1
                from = start
            }
            rest.removeFirst(start)
            if rest.count > Self.lineBytes {
                skipped = rest.count - Self.headBytes
                rest = Array(rest[..<Self.headBytes])
            }
        }
    }

    /// What is shown instead of an event of which only the beginning is known. Events name themselves and their runs first.
    private func tooLong(_ head: [UInt8], bytes: Int, _ onEvent: (JSON) -> Void) {
        let text = String(decoding: head, as: UTF8.self)
        func value(_ name: String) -> Substring? {
            guard let key = text.range(of: "\"\(name)\"") else { return nil }
            let rest = text[key.upperBound...].drop { $0 == " " || $0 == ":" || $0 == "\"" }
            let found = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber) }
            return found.isEmpty ? nil : found
        }
        let what = "an event of \(bytes >> 20) MiB is not shown: \(Self.lineBytes >> 20) MiB is the most"
        guard let kind = value("event"), let run = value("run").flatMap({ Int64($0) }) else { return note(Array((what + "\n").utf8)) }
        if kind == "finished" {
            // The run must end all the same.
            let state = value("state").map { String($0) } ?? "failed"
            return onEvent(FlinkAnswers.object(["event": .string("finished"), "run": .int(run), "state": .string(state), "error": FlinkAnswers.object(["message": .string(what)])]))
        }
        var members: [JSON.Member] = [.init("event", .string("message")), .init("run", .int(run)), .init("text", .string(what))]
        // It takes the place of what it would have replaced.
        if let output = value("output").flatMap({ Int64($0) }) { members.append(.init("output", .int(output))) }
        onEvent(.object(members))
    }

    private func event(_ line: [UInt8], _ onEvent: @Sendable (JSON) -> Void) {
        guard let event = try? JSON.parse(line, "an event"), event["event"]?.string != nil else {
            // Something that prints to the output of the whole process must not be lost.
            return note(line + [10])
        }
        onEvent(event)
    }

    private func readLog(_ fd: Int32) {
        var chunk = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let n = read(fd, &chunk, chunk.count)
            if n < 0, errno == EINTR { continue }
            guard n > 0 else { return }
            note(Array(chunk[..<n]))
        }
    }

    private func note(_ bytes: [UInt8]) {
        state.withLock { state in
            state.log += bytes
            if state.log.count > 2 * Self.logBytes { state.log.removeFirst(state.log.count - Self.logBytes) }
        }
    }
}
