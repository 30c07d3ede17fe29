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
package struct ControlRequest: Codable, Sendable {
    package enum Kind: String, Codable, Sendable { case status, report, savepoint, stop, view, history }
    package var request: Kind
    /// Stop with a savepoint.
    package var savepoint: Bool?
    /// Absolute; where the savepoint goes, if not where the job puts them.
    package var directory: String?
    package var drain: Bool?
    package var view: ViewQuery?
    /// Of the history: not older than that.
    package var seconds: Int?

    package init(request: Kind, savepoint: Bool? = nil, directory: String? = nil, drain: Bool? = nil, view: ViewQuery? = nil, seconds: Int? = nil) {
        (self.request, self.savepoint, self.directory, self.drain, self.view, self.seconds) = (request, savepoint, directory, drain, view, seconds)
    }
}

/// What is asked of a job's views.
package struct ViewQuery: Codable, Sendable {
    package enum Operation: String, Codable, Sendable { case list, get, scan, changes }
    package var operation: Operation
    package var name: String?
    package var key: String?
    package var limit: Int?
    package var after: String?
    package var since: Int64?
    package var snapshot: Bool?

    package init(_ operation: Operation, name: String? = nil, key: String? = nil, limit: Int? = nil, after: String? = nil, since: Int64? = nil, snapshot: Bool? = nil) {
        (self.operation, self.name, self.key, self.limit) = (operation, name, key, limit)
        (self.after, self.since, self.snapshot) = (after, since, snapshot)
    }
}

/// What it answers: one line of JSON.
package struct ControlAnswer: Codable, Sendable {
    package struct Failure: Codable, Sendable {
        package var kind: String, problem: String
        package var fix: String?

        package init(kind: String, problem: String, fix: String? = nil) { (self.kind, self.problem, self.fix) = (kind, problem, fix) }
    }
    package var error: Failure?
    /// Of the savepoint.
    package var path: String?
    /// How the job ended.
    package var end: String?
    package var status: JobStatus?
    package var report: JobReport?
    package var history: JobHistory?

    package init(error: Failure? = nil, path: String? = nil, end: String? = nil, status: JobStatus? = nil, report: JobReport? = nil, history: JobHistory? = nil) {
        (self.error, self.path, self.end, self.status, self.report, self.history) = (error, path, end, status, report, history)
    }
}

/// A running job as `swiftwater jobs` shows it.
package struct JobStatus: Codable, Sendable {
    package struct Operator: Codable, Sendable {
        package var name: String
        package var parallelism: Int
        package var rowsIn: Int64, rowsOut: Int64
        package var watermark: Int64?
        package var lag: Int64?
        /// What a connector measures, by name.
        package var gauges: [String: Int64]?
    }
    package var name: String
    package var id: String
    package var directory: String
    package var process: Int32
    /// Milliseconds since 1970-01-01.
    package var startedAt: Int64
    package var restarts: Int
    /// The newest complete one.
    package var checkpoint: UInt64?
    package var checkpointAt: Int64?
    package var checkpointBytes: Int?
    package var failedCheckpoints: Int
    package var operators: [Operator]
    /// What the job failed with last, until it has completed a checkpoint again.
    package var failure: String?
    /// Of a replication, whose tables are jobs of their own.
    package var tables: [TableState]?

    package init(name: String, id: String, directory: String, process: Int32, startedAt: Int64, restarts: Int = 0, checkpoint: UInt64? = nil, checkpointAt: Int64? = nil,
                 checkpointBytes: Int? = nil, failedCheckpoints: Int = 0, operators: [Operator] = [], failure: String? = nil, tables: [TableState]? = nil) {
        (self.name, self.id, self.directory, self.process, self.startedAt, self.restarts) = (name, id, directory, process, startedAt, restarts)
        (self.checkpoint, self.checkpointAt, self.checkpointBytes, self.failedCheckpoints) = (checkpoint, checkpointAt, checkpointBytes, failedCheckpoints)
        (self.operators, self.failure, self.tables) = (operators, failure, tables)
    }
}

/// Answers requests at a job's socket, each on a thread of its own.
package final class ControlServer: Sendable {
    private struct State {
        package var isClosed = false
        package var answering = 0
    }
    private let path: String
    private let socket: Int32
    private let state = Monitor(State())
    private let answer: @Sendable (ControlRequest) -> ControlAnswer

    package init(directory: String, answer: @escaping @Sendable (ControlRequest) -> ControlAnswer) throws {
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
                if [EMFILE, ENFILE, ENOMEM, ENOBUFS].contains(errno) {
                    usleep(100_000)
                    continue
                }
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
        let deadline = Clock.monotonicNanoseconds() + 5_000_000_000
        guard let line = LocalSocket.readLine(connection, limit: LocalSocket.longestRequest, deadline: deadline) else { return }
        let answer: ControlAnswer
        if let request = try? JSONDecoder().decode(ControlRequest.self, from: Data(line)) {
            if let handler = ControlHandlers.handler(of: request.request) {
                return handler(request, ControlConnection(descriptor: connection, isClosing: { [state] in state.withLock { $0.isClosed } }))
            }
            answer = self.answer(request)
        } else {
            answer = ControlAnswer(error: .init(kind: "validate", problem: "the job does not understand the request", fix: "use a swiftwater of the same version"))
        }
        if let bytes = try? JSONEncoder().encode(answer) { LocalSocket.writeLine(connection, [UInt8](bytes)) }
    }

    /// Takes no more requests, and waits until those under way have their answers.
    package func close() {
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
    package var asAnswer: ControlAnswer { ControlAnswer(error: .init(kind: "\(code)", problem: problem, fix: fix)) }
}
