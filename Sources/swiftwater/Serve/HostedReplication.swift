import JobControl
import Foundation
import TableReplication
import StreamCore
import struct StreamCore.Host
import StreamRuntime
import StreamSQL
import Topology
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A replication that runs on threads of its own: one job per table, each with checkpoints in a directory of its own below that of all
/// jobs. The replication's own directory there holds its lock and the socket that `swiftwater jobs` and `swiftwater stop` talk to.
final class HostedReplication: Sendable {
    enum Output: Sendable { case text, json, silent }

    private struct State {
        /// All jobs have ended; what asked for that may still wait for its answer.
        var isOver = false
        var isDone = false
        var failure: StreamError?
    }

    private let replication: Replication
    private let placement: JobPlacement
    private let catalogFile: String?
    private let fixed: Set<String>
    private let workers: Int?
    private let output: Output
    private let session: @Sendable () throws -> SQLSession
    private let only: Set<String>
    private let startedAt = Clock.milliseconds()
    private let state = Monitor(State())
    /// Set once, by the initialiser's last line.
    private let run: ReplicationRun

    /// - Parameters:
    ///   - only: names of tables; empty = all.
    ///   - catalogFile: where tables are registered once they have been written.
    ///   - fixed: settings that the command line has made.
    init(_ replication: Replication, placement: JobPlacement, only: Set<String> = [], catalogFile: String? = nil, fixed: Set<String> = [], workers: Int? = nil,
         output: Output, session: @escaping @Sendable () throws -> SQLSession) {
        (self.replication, self.placement, self.only, self.catalogFile, self.fixed, self.workers) = (replication, placement, only, catalogFile, fixed, workers)
        (self.output, self.session) = (output, session)
        let jobs = TableJobs(replication: replication, placement: placement, catalogFile: catalogFile, fixed: fixed, workers: workers, output: output, session: session)
        run = ReplicationRun(replication, discovery: Self.discovery(replication), only: only, report: { jobs.report($0) }) { try jobs.execute($0) }
    }

    /// - Throws: `.conflict` when another process runs the replication; errors of its settings.
    func start() throws {
        // A table alone may be run beside others: its own lock keeps two from running it.
        let home = only.isEmpty ? try JobHome(name: replication.name, root: try checkpointRoot()) : nil
        let server = try home.map { home in
            try ControlServer(directory: home.directory) { [weak self] request in
                self?.answer(request, directory: home.directory) ?? StreamError(.runtime, "the replication has ended").asAnswer
            }
        }
        Background.run { [self] in
            var failure: StreamError?
            do { try run.run() } catch let error as StreamError { failure = error } catch { failure = StreamError(.runtime, "\(error)") }
            state.withLock { state in
                state.isOver = true
                state.failure = failure
            }
            state.broadcast()
            server?.close()
            state.withLock { $0.isDone = true }
            state.broadcast()
            _ = home
        }
    }

    func stop() { run.stop() }

    /// Waits for the end.
    /// - Returns: what it failed with.
    func wait() -> StreamError? {
        state.wait { state -> Monitor<State>.Decision<StreamError?> in state.isDone ? .take(state.failure) : .wait(nanoseconds: nil) }
    }

    private func checkpointRoot() throws -> String {
        let session = try session()
        for statement in replication.settings {
            if case .set(let key, _) = statement.node, fixed.contains(key) { continue }
            _ = try session.execute(statement)
        }
        return placement.checkpointRoot(session.settings)
    }

    private func answer(_ request: ControlRequest, directory: String) -> ControlAnswer {
        switch request.request {
        case .status:
            return ControlAnswer(status: JobStatus(
                name: replication.name, id: replication.name, directory: LocalSocket.realPath(directory), process: getpid(), startedAt: startedAt, restarts: 0,
                failedCheckpoints: 0, operators: [], tables: run.tables))
        case .report: return ControlAnswer(report: JobReport(name: replication.name, id: replication.name, state: .running, startedAt: startedAt))
        case .history: return ControlAnswer(history: JobHistory(job: replication.name, name: replication.name, points: []))
        case .view: return StreamError(.validate, "a replication has no views", fix: "ask the job that has the view").asAnswer
        case .savepoint:
            return StreamError(.validate, "a replication has no state of its own", fix: "take a savepoint of a table's job: \(replication.name).SCHEMA.TABLE").asAnswer
        case .stop:
            if request.savepoint ?? false {
                return StreamError(.validate, "a replication has no state of its own", fix: "stop it without --savepoint: each table goes on from its checkpoint").asAnswer
            }
            run.stop()
            if let failure = state.wait({ state -> Monitor<State>.Decision<StreamError?> in state.isOver ? .take(state.failure) : .wait(nanoseconds: nil) }) {
                return failure.asAnswer
            }
            return ControlAnswer(end: "stopped")
        }
    }

    // MARK: What there is to replicate

    static func discovery(_ replication: Replication) -> TableDiscovery {
        TableDiscovery(source: replication.source) { try SourceNames.of($0) }
    }

    /// The tables there are, and the job graphs of each. Runs nothing.
    static func plan(_ replication: Replication, _ session: () throws -> SQLSession) throws -> [(table: ReplicatedTable, graphs: [JobGraph])] {
        let run = ReplicationRun(replication, discovery: discovery(replication), report: { if case .warning(let text) = $0 { Terminal.error("warning: \(text)") } }) { _ in }
        let told = ToldNotices()
        return try run.planned().map { table in
            (table, try table.jobs(session).flatMap {
                let runner = ScriptRunner(session: try session())
                runner.told = told
                return try runner.plan($0.statements)
            })
        }
    }
}

/// Runs the jobs of tables, and says what becomes of them.
private struct TableJobs: Sendable {
    let replication: Replication
    let placement: JobPlacement
    let catalogFile: String?
    let fixed: Set<String>
    let workers: Int?
    let output: HostedReplication.Output
    let session: @Sendable () throws -> SQLSession
    private let told = ToldNotices()

    init(replication: Replication, placement: JobPlacement, catalogFile: String?, fixed: Set<String>, workers: Int?, output: HostedReplication.Output,
         session: @escaping @Sendable () throws -> SQLSession) {
        (self.replication, self.placement, self.catalogFile, self.fixed, self.workers) = (replication, placement, catalogFile, fixed, workers)
        (self.output, self.session) = (output, session)
    }

    /// One job after the other, each with its checkpoints: what an earlier run has read is not read again.
    func execute(_ handle: TableHandle) throws {
        for job in try handle.table.jobs(session) where !handle.isStopped {
            let runner = ScriptRunner(session: try session())
            runner.told = told
            runner.fixed = fixed.subtracting(["pipeline.name"])
            runner.workers = workers
            runner.placement = placement
            let stop = Handover()
            runner.handover = stop
            handle.whenStopped { stop.stop() }
            let registration = Once()
            runner.observer = { event in
                switch event {
                case .restarting(_, _, let error): handle.noteRetry(error)
                case .checkpointCompleted(let manifest, _) where manifest.kind != .savepoint:
                    handle.noteProgress()
                    // A job that ends registers its table at its end: by then the commit is done.
                    if !job.isBounded, catalogFile != nil, registration.isFirst { Background.run { register(handle.table) } }
                case .warning(let name, let text): report(.warning("table \(handle.table.name): \(name): \(text)"))
                default: break
                }
            }
            runner.ended = { runner in handle.noteRows(runner.status().filter { $0.rowsIn == 0 }.reduce(0) { $0 + $1.rowsOut }) }
            try runner.run(job.statements, name: job.name)
            if job.isBounded, catalogFile != nil { register(handle.table) }
        }
    }

    /// A table that cannot be registered is written all the same.
    private func register(_ table: ReplicatedTable) {
        do {
            let session = try session()
            for statement in try table.registration(directory: FileManager.default.currentDirectoryPath) { _ = try session.execute(statement) }
        } catch {
            report(.warning("table \(table.name) could not be registered in the catalog: \(error)"))
        }
    }

    func report(_ event: ReplicationRun.Event) {
        switch (event, output) {
        case (_, .silent): break
        case (.warning(let text), .text): Terminal.error("warning: \(text)")
        case (.warning(let text), .json): Terminal.error("{\"event\":\"warning\",\"warning\":\(JSONText.quote(text))}")
        case (.changed(let table), .json): Terminal.write(json(table))
        case (.changed(let table), .text):
            switch table.state {
            case .finished: Terminal.error("table \(table.table): finished, \(grouped(table.rows)) rows read")
            case .stopped: Terminal.error("table \(table.table): stopped")
            case .failed: Terminal.error("table \(table.table) failed: \(table.error ?? "")")
            case .retrying: Terminal.error("table \(table.table) failed and is tried again: \(table.error ?? "")")
            case .waiting, .running: break
            }
        }
    }

    private func json(_ table: TableState) -> String {
        "{\"event\":\"table\",\"replication\":\(JSONText.quote(replication.name)),\"table\":\(JSONText.quote(table.table)),\"state\":\"\(table.state.rawValue)\","
            + "\"attempts\":\(table.attempts),\"rows_read\":\(table.rows),\"error\":\(table.error.map(JSONText.quote) ?? "null")}\n"
    }
}
