import Foundation
import StreamCore
import StreamRuntime
import StreamState
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A job under way as others ask about it: its counters, its newest checkpoint, and how it ends.
final class RunningJob: Sendable {
    private struct State {
        var checkpoint: UInt64?
        var checkpointAt: Int64?
        var checkpointBytes: Int?
        var failed = 0
        var restarts = 0
        /// How the job ended; a failure in the end is an answer too.
        var end: ControlAnswer?
    }

    private let name: String, id: String, directory: String
    private let runner: JobRunner
    private let startedAt = Clock.milliseconds()
    private let state = Monitor(State())

    init(_ runner: JobRunner, name: String, id: String, directory: String) {
        self.runner = runner
        self.name = name
        self.id = id
        self.directory = directory
    }

    func note(_ event: JobRunner.Event) {
        state.withLock { state in
            switch event {
            case .started(_, let from?): (state.checkpoint, state.checkpointAt) = (from.checkpoint, from.completedAt)
            case .checkpointCompleted(let manifest, let bytes):
                (state.checkpoint, state.checkpointAt, state.checkpointBytes) = (manifest.checkpoint, manifest.completedAt, bytes)
            case .checkpointFailed: state.failed += 1
            case .restarting: state.restarts += 1
            case .started, .passedOver: break
            }
        }
    }

    var newestCheckpoint: UInt64? { state.withLock { $0.checkpoint } }

    /// Tells those who wait for the end.
    func ended(_ answer: ControlAnswer) {
        state.withLock { $0.end = answer }
        state.broadcast()
    }

    func answer(_ request: ControlRequest) -> ControlAnswer {
        do {
            switch request.request {
            case .status: return ControlAnswer(status: status())
            case .savepoint: return ControlAnswer(path: try runner.savepoint(in: try directory(of: request)))
            case .stop:
                guard request.directory != nil else {
                    runner.stop()
                    return end()
                }
                let path = try runner.stop(savepointIn: try directory(of: request), drain: request.drain ?? false)
                var answer = end()
                answer.path = path
                return answer
            }
        } catch let error as StreamError {
            return error.asAnswer
        } catch {
            return StreamError(.runtime, "\(error)").asAnswer
        }
    }

    private func directory(of request: ControlRequest) throws -> String {
        guard let directory = request.directory else { throw StreamError(.validate, "the request names no directory for the savepoint") }
        return directory
    }

    private func end() -> ControlAnswer {
        state.wait { state -> Monitor<State>.Decision<ControlAnswer> in state.end.map { .take($0) } ?? .wait(nanoseconds: nil) }
    }

    private func status() -> JobStatus {
        let operators = runner.status().map { s in
            JobStatus.Operator(
                name: s.name, parallelism: s.parallelism, rowsIn: s.rowsIn, rowsOut: s.rowsOut,
                watermark: s.watermark.flatMap { $0 == .max ? nil : $0.milliseconds }, lag: s.lag)
        }
        return state.withLock { state in
            JobStatus(
                name: name, id: id, directory: LocalSocket.realPath(directory), process: getpid(), startedAt: startedAt, restarts: state.restarts,
                checkpoint: state.checkpoint, checkpointAt: state.checkpointAt, checkpointBytes: state.checkpointBytes,
                failedCheckpoints: state.failed, operators: operators)
        }
    }
}
