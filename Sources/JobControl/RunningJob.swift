import Foundation
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import StreamState
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A job that keeps checkpoints in a directory of its own.
package struct RecoverableJob {
    package let home: JobHome
    package let recovery: RecoveryOptions
    /// For what the job keeps on the disk while it runs.
    package let workDirectory: String

    /// - Parameters:
    ///   - base: the name without the number that a script's later jobs have.
    ///   - number: of the job in its script, from 1.
    /// - Throws: `.conflict` when another process runs the job; `.io` when its directory cannot be used; errors about the savepoint.
    package init(_ placement: JobPlacement, name: String, base: String, number: Int, _ settings: SessionSettings) throws {
        let home = try JobHome(name: name, root: placement.checkpointRoot(settings), startsAnew: placement.startsAnew)
        self.home = home
        let startFrom = placement.isHosted ? placement.startFrom : nil
        let hasGoneOn = startFrom.map { home.hasGoneOn(from: $0) } ?? false
        let savepoint = hasGoneOn ? nil : try placement.savepoint(for: name, base: base, number: number, settings)
        var recovery = RecoveryOptions(
            directory: home.directory, jobID: try home.jobID(startsElsewhere: savepoint != nil, from: savepoint == nil ? nil : startFrom))
        if let retained = settings.recovery.retained { recovery.retained = retained }
        recovery.startFrom = savepoint?.directory
        recovery.allowsNonRestoredState = placement.allowsNonRestoredState || settings.recovery.allowsNonRestoredState
        recovery.keepsFinished = settings.recovery.keepsCheckpointsAtEnd
        recovery.restart = settings.restart
        self.recovery = recovery
        workDirectory = home.directory + "/work"
        try Host.system.removeTree(workDirectory)
        savepoints = LocalSocket.absolute(placement.savepointRoot(settings))
    }

    private let savepoints: String

    /// Lets others ask for the job's state, for savepoints and for its end.
    package func serve(_ runner: JobRunner) throws -> RunningJob {
        let job = try RunningJob(runner, home: home, id: recovery.jobID, savepoints: savepoints)
        if let process = HostedProcess.current.withLock({ $0 }) {
            try process.began(home.name, directory: home.directory) { [weak job] in job?.report() ?? runner.report() }
            Housekeeping.shared.follow(job)
        }
        return job
    }
}

/// A job under way as others ask about it: its counters, its newest checkpoint, and how it ends.
package final class RunningJob: Sendable {
    private struct State {
        package var checkpoint: UInt64?
        package var checkpointAt: Int64?
        package var checkpointBytes: Int?
        package var failed = 0
        package var restarts = 0
        /// The last failure, until a checkpoint has been completed since.
        package var failure: String?
        package var savepoint: String?
        /// Requests to stop with a savepoint that have not been told yet what became of it.
        package var savepointsUnderWay = 0
        /// How the job ended; a failure in the end is an answer too.
        package var end: ControlAnswer?
    }

    private let name: String, id: String, directory: String, savepoints: String
    private let runner: JobRunner
    private let startedAt = Clock.milliseconds()
    private let state = Monitor(State())
    private let server = Mutex<ControlServer?>(nil)
    private let noteFirst: @Sendable () -> Void
    private let history = Mutex(HistoryRing())

    /// - Parameter savepoints: where they go when a request names no directory.
    package init(_ runner: JobRunner, home: JobHome, id: String, savepoints: String) throws {
        self.runner = runner
        (name, directory) = (home.name, home.directory)
        self.id = id
        self.savepoints = savepoints
        noteFirst = home.checkpointMarker
        let server = try ControlServer(directory: home.directory) { [weak self] request in
            self?.answer(request) ?? StreamError(.runtime, "the job has ended").asAnswer
        }
        self.server.withLock { $0 = server }
    }

    package func close() { server.withLock { $0 }?.close() }

    package func note(_ event: JobRunner.Event) {
        if case .checkpointCompleted = event { noteFirst() }
        state.withLock { state in
            switch event {
            case .started(_, let from?): (state.checkpoint, state.checkpointAt) = (from.checkpoint, from.completedAt)
            // A savepoint is nothing that the next run goes on from by itself.
            case .checkpointCompleted(let manifest, _) where manifest.kind == .savepoint: break
            case .checkpointCompleted(let manifest, let bytes):
                state.failure = nil
                (state.checkpoint, state.checkpointAt, state.checkpointBytes) = (manifest.checkpoint, manifest.completedAt, bytes)
            case .checkpointFailed: state.failed += 1
            case .restarting(_, _, let error):
                state.restarts += 1
                state.failure = "\(error)"
            case .started, .passedOver, .warning: break
            }
        }
    }

    package var newestCheckpoint: UInt64? { state.withLock { $0.checkpoint } }

    /// The savepoint that the job was stopped with. The job's last thread may be quicker than the one that asked for it: that is waited for.
    package var savepoint: String? {
        state.wait { state -> Monitor<State>.Decision<String?> in state.savepointsUnderWay == 0 ? .take(state.savepoint) : .wait(nanoseconds: nil) }
    }

    /// Tells those who wait for the end.
    package func ended(_ end: JobExecution.End) { ended(ControlAnswer(end: "\(end)")) }

    package func failed(_ error: any Error) {
        ended((error as? StreamError ?? StreamError(.runtime, "\(error)")).asAnswer)
    }

    private func ended(_ answer: ControlAnswer) {
        state.withLock { $0.end = answer }
        state.broadcast()
    }

    package func answer(_ request: ControlRequest) -> ControlAnswer {
        do {
            switch request.request {
            case .status: return ControlAnswer(status: status())
            case .report:
                return ControlAnswer(report: report())
            case .history:
                // Nothing that is kept is older than a day.
                let since = Clock.milliseconds() - Int64(max(0, min(request.seconds ?? 600, 86_400))) * 1_000
                return ControlAnswer(history: JobHistory(job: id, name: runner.graph.name, points: history.withLock { $0.newest(since: since) }))
            case .savepoint: return ControlAnswer(path: try runner.savepoint(in: request.directory ?? savepoints))
            case .view: throw StreamError(.validate, "the process of job \(name) has no views", fix: "start it with a swiftwater that has the 'view' connector")
            case .stop:
                let drain = request.drain ?? false
                guard request.savepoint ?? false else {
                    HostedProcess.current.withLock { $0 }?.stopped(savepoint: nil)
                    runner.stop(drain: drain)
                    return end()
                }
                let path = try stop(savepointIn: request.directory ?? savepoints, drain: drain)
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

    /// Adds what is measured now to the history.
    func sample() {
        let point = JobHistory.Point(report())
        history.withLock { $0.add(point) }
    }

    package func report() -> JobReport {
        var report = runner.report()
        (report.id, report.startedAt) = (id, startedAt)
        return report
    }

    private func stop(savepointIn directory: String, drain: Bool) throws -> String {
        state.withLock { $0.savepointsUnderWay += 1 }
        var path: String?
        defer {
            state.withLock { state in
                state.savepointsUnderWay -= 1
                state.savepoint = path ?? state.savepoint
            }
            state.broadcast()
        }
        path = try runner.stop(savepointIn: directory, drain: drain)
        HostedProcess.current.withLock { $0 }?.stopped(savepoint: path)
        return path!
    }

    private func end() -> ControlAnswer {
        state.wait { state -> Monitor<State>.Decision<ControlAnswer> in state.end.map { .take($0) } ?? .wait(nanoseconds: nil) }
    }

    private func status() -> JobStatus {
        let operators = runner.status().map { s in
            JobStatus.Operator(
                name: s.name, parallelism: s.parallelism, rowsIn: s.rowsIn, rowsOut: s.rowsOut,
                watermark: s.watermark.flatMap { $0 == .max ? nil : $0.milliseconds }, lag: s.lag,
                gauges: s.gauges.isEmpty ? nil : s.gauges)
        }
        return state.withLock { state in
            JobStatus(
                name: name, id: id, directory: LocalSocket.realPath(directory), process: getpid(), startedAt: startedAt, restarts: state.restarts,
                checkpoint: state.checkpoint, checkpointAt: state.checkpointAt, checkpointBytes: state.checkpointBytes,
                failedCheckpoints: state.failed, operators: operators, failure: state.failure)
        }
    }
}
