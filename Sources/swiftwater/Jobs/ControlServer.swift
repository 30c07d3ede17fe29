import Foundation
import TableReplication
import StreamCore
import struct StreamCore.Host
import StreamRuntime
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a running job is asked: one line of JSON.
struct ControlRequest: Codable, Sendable {
    enum Kind: String, Codable, Sendable { case status, savepoint, stop }
    var request: Kind
    /// Stop with a savepoint.
    var savepoint: Bool?
    /// Absolute; where the savepoint goes, if not where the job puts them.
    var directory: String?
    var drain: Bool?
}

/// What it answers: one line of JSON.
struct ControlAnswer: Codable, Sendable {
    struct Failure: Codable, Sendable {
        var kind: String, problem: String
        var fix: String?
    }
    var error: Failure?
    /// Of the savepoint.
    var path: String?
    /// How the job ended.
    var end: String?
    var status: JobStatus?
}

/// A running job as `swiftwater jobs` shows it.
struct JobStatus: Codable, Sendable {
    struct Operator: Codable, Sendable {
        var name: String
        var parallelism: Int
        var rowsIn: Int64, rowsOut: Int64
        var watermark: Int64?
        var lag: Int64?
        /// What a connector measures, by name.
        var gauges: [String: Int64]?
    }
    var name: String
    var id: String
    var directory: String
    var process: Int32
    /// Milliseconds since 1970-01-01.
    var startedAt: Int64
    var restarts: Int
    /// The newest complete one.
    var checkpoint: UInt64?
    var checkpointAt: Int64?
    var checkpointBytes: Int?
    var failedCheckpoints: Int
    var operators: [Operator]
    /// What the job failed with last, until it has completed a checkpoint again.
    var failure: String?
    /// Of a replication, whose tables are jobs of their own.
    var tables: [TableState]?
}

/// Answers requests at a job's socket, each on a thread of its own.
final class ControlServer: Sendable {
    private struct State {
        var isClosed = false
        var answering = 0
    }
    private let path: String
    private let socket: Int32
    private let state = Monitor(State())
    private let answer: @Sendable (ControlRequest) -> ControlAnswer

    init(directory: String, answer: @escaping @Sendable (ControlRequest) -> ControlAnswer) throws {
        path = try LocalSocket.path(in: directory, creating: true)
        socket = try LocalSocket.listen(at: path)
        self.answer = answer
        Background.run { [self] in listen() }
    }

    private func listen() {
        while true {
            let connection = accept(socket, nil, nil)
            if connection < 0 {
                if errno == EINTR || errno == ECONNABORTED { continue }
                return
            }
            let isOpen = state.withLock { state in
                if !state.isClosed { state.answering += 1 }
                return !state.isClosed
            }
            guard isOpen else {
                systemClose(connection)
                return
            }
            Background.run { [self] in
                serve(connection)
                systemClose(connection)
                state.withLock { $0.answering -= 1 }
                state.broadcast()
            }
        }
    }

    private func serve(_ connection: Int32) {
        // One that connects and says nothing must not keep the job from its end.
        LocalSocket.limitReads(connection, seconds: 5)
        guard let line = LocalSocket.readLine(connection) else { return }
        let answer: ControlAnswer
        if let request = try? JSONDecoder().decode(ControlRequest.self, from: Data(line)) {
            answer = self.answer(request)
        } else {
            answer = ControlAnswer(error: .init(kind: "validate", problem: "the job does not understand the request", fix: "use a swiftwater of the same version"))
        }
        if let bytes = try? JSONEncoder().encode(answer) { LocalSocket.writeLine(connection, [UInt8](bytes)) }
    }

    /// Takes no more requests, and waits until those under way have their answers.
    func close() {
        state.withLock { $0.isClosed = true }
        try? Host.system.remove(path)
        shutdown(socket, Int32(SHUT_RDWR))
        systemClose(socket)
        let deadline = Clock.monotonicNanoseconds() + 10_000_000_000
        state.wait { state -> Monitor<State>.Decision<Void> in
            let now = Clock.monotonicNanoseconds()
            return state.answering == 0 || now >= deadline ? .take(()) : .wait(nanoseconds: deadline - now)
        }
    }
}

private func systemClose(_ fd: Int32) { close(fd) }

extension StreamError {
    var asAnswer: ControlAnswer { ControlAnswer(error: .init(kind: "\(code)", problem: problem, fix: fix)) }
}
