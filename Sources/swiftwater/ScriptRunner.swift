import StreamCore
import StreamRuntime
import StreamSQL

/// Runs statements one after another. INSERTs that follow each other run as one job, so that they share their sources.
final class ScriptRunner {
    let session: SQLSession
    var workers: Int?
    var status = StatusView.Mode.silent
    var resultFormat = OutputFormat.table
    var footer = true
    /// Whether to say that a statement without a result has been done.
    var showsMessages = false
    var stopAfter: Duration?

    init(session: SQLSession) { self.session = session }

    func run(_ statements: [Statement], name: String?) throws {
        try each(statements, name: name) { graph, result in
            try execute(graph)
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
            switch try session.execute(statement) {
            case .message(let message): if showsRows, showsMessages || message.hasPrefix("warning") { Terminal.error(message) }
            case .rows(let schema, let rows): if showsRows { try show(schema, rows) }
            case .query(let query):
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
            if case .insert(let insert) = statement.node, session.settings.values["table.dml-sync"] != "true" {
                inserts.append(insert)
                first = first ?? statement
                continue
            }
            try runInserts()
            if case .quit = statement.node { return }
            try run(statement)
        }
        try runInserts()
    }

    private func show(_ schema: Schema, _ rows: [[Value]]) throws {
        // One cell of text, such as a plan, is shown as it is.
        if resultFormat == .table, schema.count == 1, rows.count == 1, case .string(let text) = rows[0][0], text.contains("\n") {
            return Terminal.write(text.hasSuffix("\n") ? text : text + "\n")
        }
        let sink = try ResultSink(schema: schema, format: resultFormat, isBounded: true, isChangelog: false, timeZone: session.settings.timeZone)
        sink.add(Batch(schema: schema, rows: rows))
        sink.finish(footer: footer)
    }

    private func execute(_ graph: JobGraph) throws {
        // Before the workers start: they inherit the signal mask.
        let handover = Handover()
        Signals.onStop { handover.stop() }
        defer { Signals.forget() }
        var options = JobOptions(workers: workers)
        options.checkpoints.interval = session.settings.checkpointInterval
        let execution = try JobExecution(graph, options: options)
        handover.set(execution)
        if let stopAfter { stop(execution, after: stopAfter) }
        let view = StatusView(execution, mode: status)
        view.start()
        do {
            view.finish("\(try execution.run())")
        } catch {
            view.finish(nil)
            throw error
        }
        let bad = execution.status().reduce(0) { $0 + $1.badRecords }
        if bad > 0, status != .json { Terminal.error("warning: \(grouped(bad)) record\(bad == 1 ? "" : "s") could not be decoded and \(bad == 1 ? "was" : "were") skipped") }
    }

    private func stop(_ execution: JobExecution, after limit: Duration) {
        Background.run {
            pause(milliseconds: Int(limit / .milliseconds(1)))
            execution.stop()
        }
    }

    private static let help = """
        SELECT ...;                      show a query's rows; Ctrl-C stops one that does not end
        CREATE TABLE t (...) WITH (...); SHOW TABLES; DESCRIBE t; EXPLAIN SELECT ...;
        INSERT INTO t SELECT ...;        run a job
        SET 'key' = 'value'; SET; RESET; QUIT;

        """
}
