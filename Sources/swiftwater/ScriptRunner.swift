import Alerts
import class Foundation.NSLock
import JobControl
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization
import Synchronization

/// Shows what statements give, in place of the terminal.
protocol ScriptPresenter: AnyObject {
    func message(_ text: String)
    func rows(_ schema: Schema, _ rows: [[Value]]) throws
    /// What takes the rows of a query.
    func sink(for query: PlannedQuery, _ settings: SessionSettings) throws -> any TableSink
}

/// Keeps a session that several threads use to one at a time.
final class SessionLock: Sendable {
    private let lock = NSLock()
    func locked<T>(_ body: () throws -> T) rethrows -> T {
        lock.lock()
        defer { lock.unlock() }
        return try body()
    }
}

/// What has been told of a run whose jobs have a session each.
final class ToldNotices: Sendable {
    private let texts = Mutex<Set<String>>([])
    func isNew(_ text: String) -> Bool { texts.withLock { $0.insert(text).inserted } }
}

private final class StopFlag: Sendable {
    private let value = Mutex(false)
    var isSet: Bool { value.withLock { $0 } }
    func set() { value.withLock { $0 = true } }
    func clear() { value.withLock { $0 = false } }
}

/// Runs statements one after another. INSERTs that follow each other run as one job, so that they share their sources.
final class ScriptRunner {
    let session: SQLSession
    var workers: Int?
    /// Settings that the command line has made: what the script sets them to does not count.
    var fixed: Set<String> = []
    var status = StatusView.Mode.silent
    var resultFormat = OutputFormat.table
    var footer = true
    /// Alerts over what is measured of the jobs.
    var metricRules: [AlertRule] = []
    /// Whether a line with the columns comes before the rows of each query.
    var writesSchema = false
    /// Whether to say that a statement without a result has been done.
    var showsMessages = false
    var stopAfter: Duration?
    /// Where jobs keep their checkpoints; nil = they are not to be recovered.
    var placement: JobPlacement?
    /// Stops the job under way, and all that follow; nil = SIGINT and SIGTERM do.
    var handover: Handover?
    /// Told what each job goes through, from any of its threads.
    var observer: (@Sendable (JobRunner.Event) -> Void)?
    /// Called with each job that has ended, however it did.
    var ended: ((JobRunner) -> Void)?
    /// nil = the terminal.
    var presenter: (any ScriptPresenter)?
    /// nil = nobody else uses the session.
    var lock: SessionLock?
    /// Settings that hold while the statements are planned, and no longer.
    var statementSettings: [(key: String, value: String)] = []
    /// nil = the session is the only one of the run.
    var told: ToldNotices?
    /// Refuses queries and INSERTs that do not end by themselves.
    var requiresEnd = false
    /// Called with each job before it runs.
    var started: ((JobRunner) -> Void)?
    /// Jobs with checkpoints so far.
    private var jobs = 0
    /// A job was stopped by a signal: the ones behind it are not to run.
    private let stopped = StopFlag()

    init(session: SQLSession) { self.session = session }

    func run(_ statements: [Statement], name: String?) throws {
        stopped.clear()
        try each(statements, name: name) { graph, result in
            try execute(graph, name: name)
            result?.finish(footer: footer)
        }
    }

    /// Plans everything; runs nothing.
    func plan(_ statements: [Statement]) throws -> [JobGraph] {
        var graphs: [JobGraph] = []
        try each(statements, name: nil, showsRows: false) { graph, _ in graphs.append(graph) }
        return graphs
    }

    private func each(_ statements: [Statement], name: String?, showsRows: Bool = true, job: (JobGraph, ResultSink?) throws -> Void) throws {
        var inserts: [Insert] = [], first: Statement?
        func runInserts() throws {
            guard var statement = first else { return }
            if inserts.count > 1 { statement.node = .statementSet(inserts) }
            (inserts, first) = ([], nil)
            try run(statement)
        }
        func run(_ statement: Statement) throws {
            switch try planned(statement) {
            case .message(let message) where presenter != nil: if showsRows { presenter?.message(message) }
            case .message(let message): if showsRows, showsMessages { Terminal.error(message) }
            case .rows(let schema, let rows): if showsRows { try show(schema, rows) }
            case .query(let query) where presenter != nil:
                let graph = try locked {
                    guard let sink = try presenter?.sink(for: query, session.settings) else { throw StreamError(.plan, "nothing takes the rows of this query") }
                    return try query.jobGraph(into: sink, name: name ?? "query")
                }
                try job(graph, nil)
            case .query(let query):
                if writesSchema { writeSchema(query.schema, isChangelog: !query.isBounded && query.isChangelog) }
                let sink = try ResultSink(schema: query.schema, format: resultFormat, isBounded: query.isBounded, isChangelog: query.isChangelog,
                                      timeZone: session.settings.timeZone)
                try job(try query.jobGraph(into: sink, name: name ?? "query"), sink)
            case .insert(var graph):
                if let name { graph.name = name }
                try job(graph, nil)
            case .help: if showsRows { Terminal.write(Self.help) }
            case .quit: break
            }
        }
        for statement in statements {
            if case .set(let key, _) = statement.node, fixed.contains(key) || fixed.contains(SessionSettings.newestName(of: key)) { continue }
            // What overwrites a table is a job of its own: the others may read or write that table.
            if case .insert(let insert) = statement.node, !insert.overwrite, session.settings.values["table.dml-sync"] != "true" {
                inserts.append(insert)
                first = first ?? statement
                continue
            }
            try runInserts()
            if stopped.isSet { return }
            if case .quit = statement.node { return }
            try run(statement)
        }
        try runInserts()
    }

    /// Plans a statement, and says what it asks for that means nothing here, also when it fails.
    private func planned(_ statement: Statement) throws -> StatementResult {
        defer { for notice in locked({ session.notices.take() }) { warn(notice) } }
        return try locked { try execute(statement) }
    }

    /// Says what a statement has asked for that means nothing here.
    private func warn(_ notice: String) {
        guard told?.isNew(notice) ?? true else { return }
        if let presenter {
            presenter.message("warning: \(notice)")
        } else if status == .json {
            Terminal.error("{\"event\":\"warning\",\"warning\":\(JSONText.quote(notice))}")
        } else {
            Terminal.error("warning: \(notice)")
        }
    }

    private func execute(_ statement: Statement) throws -> StatementResult {
        let before = statementSettings.map { ($0.key, session.settings.values[$0.key]) }
        for (key, value) in statementSettings { try session.set(key, to: value) }
        defer { for (key, value) in before { try? session.restore(key, to: value) } }
        let result = try session.execute(statement)
        if requiresEnd {
            let hasEnd = switch result {
            case .query(let query): query.isBounded
            case .insert(let graph): graph.vertices.allSatisfy(\.hasEnd)
            default: true
            }
            guard hasEnd else {
                let problem = "the input has no end, and a batch ends with its input", fix = "write %flink.ssql, or give the table bounds such as 'scan.bounded.mode'"
                throw statement.source?.error(.plan, problem, fix: fix, at: statement.span) ?? StreamError(.plan, problem, fix: fix)
            }
        }
        return result
    }

    private func locked<T>(_ body: () throws -> T) rethrows -> T {
        if let lock { try lock.locked(body) } else { try body() }
    }

    private func writeSchema(_ schema: Schema, isChangelog: Bool) {
        let columns = schema.map { "{\"name\":\(JSONText.quote($0.name)),\"type\":\(JSONText.quote("\($0.type)"))}" }
        Terminal.write("{\"columns\":[\(columns.joined(separator: ","))],\"changelog\":\(isChangelog)}\n")
    }

    private func show(_ schema: Schema, _ rows: [[Value]]) throws {
        if let presenter { return try presenter.rows(schema, rows) }
        if writesSchema { writeSchema(schema, isChangelog: false) }
        // One cell of text, such as a plan, is shown as it is.
        if resultFormat == .table, schema.count == 1, rows.count == 1, case .string(let text) = rows[0][0], text.contains("\n") {
            return Terminal.write(text.hasSuffix("\n") ? text : text + "\n")
        }
        let sink = try ResultSink(schema: schema, format: resultFormat, isBounded: true, isChangelog: false, timeZone: session.settings.timeZone)
        sink.add(Batch(schema: schema, rows: rows))
        sink.finish(footer: footer)
    }

    private func execute(_ graph: JobGraph, name: String?) throws {
        // Before the workers start: they inherit the signal mask.
        let handover = handover ?? Handover()
        if self.handover == nil {
            Signals.onStop { [stopped] in
                stopped.set()
                handover.stop()
            }
        }
        defer { if self.handover == nil { Signals.forget() } }
        let settings = locked { session.settings }
        var options = JobOptions(workers: workers)
        options.checkpoints = settings.checkpoints
        options.latencyInterval = settings.latencyInterval
        options.backend = try Engine.backend(settings)
        var graph = graph
        var job: RecoverableJob?
        if let placement, graph.keepsRows || placement.isHosted || settings.checkpointInterval != nil {
            jobs += 1
            let base = settings.pipelineName ?? name ?? graph.name
            graph.name = jobs == 1 ? base : "\(base)-\(jobs)"
            job = try RecoverableJob(placement, name: graph.name, base: base, number: jobs, settings)
        }
        if placement == nil, settings.recovery.startFrom != nil {
            throw StreamError(.validate, "'execution.savepoint.path' is set, but statements that run here keep no checkpoints",
                              fix: "put them into a file and start it with swiftwater run --from-savepoint")
        }
        if let placement, job == nil, placement.startFrom ?? settings.recovery.startFrom ?? placement.checkpoints != nil || placement.startsAnew {
            Terminal.error("warning: a job that only shows rows keeps no checkpoints and starts from the beginning; set execution.checkpointing.interval to give it some")
        }
        options.workDirectory = job?.workDirectory ?? Engine.workDirectory(placement?.data)
        let runner = try JobRunner(graph, options: options, recovery: job?.recovery)
        let view = StatusView(runner, mode: status)
        let log = JobLog(job: graph.name, isJSON: status == .json) { view.log($0) }
        let running = try job.map { try $0.serve(runner) }
        defer { running?.close() }
        let isLogged = job != nil
        let observer = observer
        defer { ended?(runner) }
        runner.onEvent { event in
            observer?(event)
            if isLogged { log.note(event) } else if case .warning = event { log.note(event) }
            running?.note(event)
        }
        // The events know the job that knows the runner.
        defer { runner.onEvent { _ in } }
        let watch = try MetricWatch(metricRules, of: runner, data: placement?.data)
        defer { watch?.end() }
        started?(runner)
        handover.set(runner)
        if let stopAfter { stop(runner, after: stopAfter) }
        view.start()
        let end: JobExecution.End
        do {
            end = try runner.run()
            if end == .finished, !settings.recovery.keepsCheckpointsAtEnd { try job?.home.forget() }
        } catch {
            view.finish(nil)
            running?.failed(error)
            throw error
        }
        view.finish("\(end)")
        if end == .stopped, let running { log.stopped(running.newestCheckpoint, savepoint: running.savepoint) }
        running?.ended(end)
        let bad = runner.status().reduce(0) { $0 + $1.badRecords }
        if bad > 0, status != .json { Terminal.error("warning: \(grouped(bad)) record\(bad == 1 ? "" : "s") could not be decoded and \(bad == 1 ? "was" : "were") skipped or put aside") }
    }

    private func stop(_ runner: JobRunner, after limit: Duration) {
        Background.run {
            pause(milliseconds: Int(limit / .milliseconds(1)))
            runner.stop()
        }
    }

    private static let help = """
        SELECT ...;                      show a query's rows; Ctrl-C stops one that does not end
        CREATE TABLE t (...) WITH (...); SHOW TABLES; DESCRIBE t; EXPLAIN SELECT ...;
        INSERT INTO t SELECT ...;        run a job
        SET 'key' = 'value'; SET; RESET; QUIT;

        """
}

extension JobVertex {
    /// It does not read without end.
    fileprivate var hasEnd: Bool { if case .source(let vertex) = kind { vertex.source.isBounded } else { true } }
}
