import FlinkClient
import Foundation
import StreamCore
import Synchronization
import TestScripts
import Testing

/// The same cases against what is made up and, with `FLINK_GATEWAY`, against a Flink at hand: requests and answers are checked in both.
@Suite("SQL gateway and JobManager", .serialized) struct GatewayTests {
    enum Flink: String, CaseIterable, CustomTestStringConvertible {
        case madeUp, real
        static var atHand: [Flink] { FlinkGateway.real == nil ? [.madeUp] : allCases }
        var testDescription: String { rawValue }

        func start() throws -> FlinkGateway { try FlinkGateway(real: self == .real ? FlinkGateway.real : nil) }
    }

    static let source = "CREATE TABLE numbers (x INT, y STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '5')"
    static let sink = "CREATE TABLE nowhere (x INT, y STRING) WITH ('connector' = 'blackhole')"

    static func statements(_ texts: String...) -> [FlinkSubmission.Statement] {
        texts.enumerated().map { ($1, SourceLocation(file: "script.sql", line: $0 + 1, column: 1), "statement \($0 + 1)") }
    }

    static func options(_ seconds: Double = 60, _ change: (inout FlinkClientOptions) -> Void = { _ in }) -> FlinkClientOptions {
        var options = FlinkClientOptions(timeout: seconds)
        change(&options)
        return options
    }

    /// Nothing that was sent or answered is outside of what Flink publishes, and no session is left open.
    static func expectClean(_ flink: FlinkGateway, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
        let log = try flink.log()
        #expect(log.problems == [], sourceLocation: sourceLocation)
        let opened = log.requests.count { $0.hasPrefix("POST ") && $0.hasSuffix("/sessions") }
        let closed = log.requests.count { $0.hasPrefix("DELETE ") && !$0.hasSuffix("/close") }
        #expect(opened == closed, "sessions opened \(opened), closed \(closed)", sourceLocation: sourceLocation)
    }

    static func failure(_ body: () throws -> some Any, sourceLocation: Testing.SourceLocation = #_sourceLocation) throws -> StreamError {
        do {
            _ = try body()
        } catch let error as StreamError { return error }
        throw PythonScript.Failure("no StreamError was thrown at \(sourceLocation)")
    }

    @Test("a query's rows come page by page, as values and as text", arguments: Flink.atHand) func rows(flink: Flink) throws {
        let flink = try flink.start()
        let gateway = try SQLGateway(url: flink.url, Self.options())
        #expect(gateway.version == 4 && !gateway.flinkVersion.isEmpty)
        try gateway.withSession(name: "rows", properties: [("parallelism.default", "1")]) { session in
            let query = "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (3, 'c')) AS t(x, y)"
            let values = try session.execute(query)
            #expect(values.isQuery && values.jobID?.count == 32 && values.columns.map(\.name) == ["x", "y"])
            #expect(values.rows.map { [$0.kind] + $0.fields.map { $0.text() } }.sorted { $0[1] < $1[1] } == [["INSERT", "1", "\"a\""], ["INSERT", "2", "\"b\""], ["INSERT", "3", "\"c\""]])
            let text = try session.execute(query, rowFormat: .plainText)
            #expect(text.rows.map { $0.fields.compactMap(\.string) }.sorted { $0[0] < $1[0] } == [["1", "a"], ["2", "b"], ["3", "c"]])
            #expect(try session.configuration()["parallelism.default"] == "1")
        }
        try Self.expectClean(flink)
    }

    @Test("a query that goes on is cancelled once enough rows have come", arguments: Flink.atHand) func endless(flink: Flink) throws {
        let flink = try flink.start()
        try SQLGateway(url: flink.url, Self.options()).withSession(name: "endless") { session in
            try session.configure(Self.source)
            #expect(try session.execute("SELECT * FROM numbers", rowsMax: 3).rows.count == 3)
            let error = try Self.failure { try session.execute("SELECT * FROM numbers", rowsMax: 0) }
            #expect(error.problem.contains("rows go nowhere"), "\(error)")
        }
        #expect(try flink.log().requests.count { $0.hasSuffix("/cancel") } == 2)
        try Self.expectClean(flink)
    }

    @Test("a script's jobs are submitted, found by name, id and prefix, and cancelled", arguments: Flink.atHand) func script(flink: Flink) throws {
        let flink = try flink.start(), options = Self.options(), name = "script \(UUID().uuidString.prefix(8))"
        let gateway = try SQLGateway(url: flink.url, options), rest = try FlinkREST(url: flink.rest, options)
        var told: [String] = []
        let started = try FlinkSubmission(gateway, rest: flink.rest, options).run(
            Self.statements(
                "SET 'pipeline.name' = '\(name)'", Self.source, Self.sink, "INSERT INTO nowhere SELECT * FROM numbers",
                "EXECUTE STATEMENT SET BEGIN\nINSERT INTO nowhere SELECT * FROM numbers;\nINSERT INTO nowhere SELECT x + 1, y FROM numbers;\nEND;"),
            name: name) { told.append($0.id) }
        #expect(started.map(\.summary) == ["statement 4", "statement 5"] && told == started.map(\.id))
        for job in started {
            let (details, vertices) = try rest.details(job.id)
            #expect(details.name == name && details.state == "RUNNING" && !vertices.isEmpty && vertices.allSatisfy { $0.state == "RUNNING" && $0.parallelism > 0 })
            #expect(try rest.job(named: String(job.id.prefix(10))).id == job.id)
        }
        #expect(try Self.failure { try rest.job(named: name) }.problem.contains("is 2 jobs"))
        #expect(try rest.cancel(started[0].id) == "CANCELED")
        #expect(try rest.job(named: name).id == started[1].id, "the one that still runs")
        #expect(try rest.cancel(rest.job(named: name).id) == "CANCELED")
        let error = try Self.failure { try rest.job(named: "nothing") }
        #expect(error.code == .validate && error.problem.contains("'nothing'"))
        #expect(try rest.checkpoints(started[0].id).failed >= 0 && rest.exceptions(started[1].id).isEmpty)
        #expect(try rest.overview().slots > 0 && rest.configuration()["flink-version"]?.string != nil)
        try Self.expectClean(flink)
    }

    @Test("a job that is stopped leaves a savepoint at the path that is told", arguments: Flink.atHand, [false, true]) func savepoint(flink: Flink, drain: Bool) throws {
        let flink = try flink.start(), options = Self.options(), folder = NSTemporaryDirectory() + "savepoints-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let gateway = try SQLGateway(url: flink.url, options), rest = try FlinkREST(url: flink.rest, options)
        let started = try FlinkSubmission(gateway, rest: flink.rest, options).run(
            Self.statements(Self.source, Self.sink, "INSERT INTO nowhere SELECT * FROM numbers"), name: "savepoint")
        let path = try rest.stop(started[0].id, savepointsIn: "file://\(folder)", drain: drain)
        #expect(path.contains(folder))
        if flink.isReal { #expect(FileManager.default.fileExists(atPath: String(path.drop { $0 != "/" }) + "/_metadata"), "\(path)") }
        #expect(try rest.details(started[0].id).job.state == "FINISHED")
        // Flink says how it is when a job that has ended is stopped again.
        let error = try Self.failure { try rest.stop(started[0].id, savepointsIn: "file://\(folder)", drain: drain) }
        #expect(error.problem.contains("its savepoint failed") || error.problem.contains("not"), "\(error)")
        try Self.expectClean(flink)
    }

    @Test("a job that reads to its end counts as one that ran", arguments: Flink.atHand) func bounded(flink: Flink) throws {
        let flink = try flink.start(), options = Self.options()
        let started = try FlinkSubmission(SQLGateway(url: flink.url, options), rest: flink.rest, options).run(
            Self.statements("CREATE TABLE few (x INT, y STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '5')", Self.sink, "INSERT INTO nowhere SELECT * FROM few"), name: "bounded")
        #expect(started.count == 1)
        try Self.expectClean(flink)
    }

    @Test("what Flink refuses is told with the statement and its place", arguments: Flink.atHand, [
        ("SELEC 1", "SQL parse failed"),
        ("INSERT INTO nowhere\nSELECT * FROM missing", "Object 'missing' not found"),
        ("INSERT INTO strange SELECT x FROM numbers", "Could not find any factory for identifier 'nothing'"),
    ]) func refused(flink: Flink, bad: (text: String, reason: String)) throws {
        let flink = try flink.start(), options = Self.options(), rest = try FlinkREST(url: flink.rest, options)
        let statements = Self.statements(
            Self.source, Self.sink, "CREATE TABLE strange (x INT) WITH ('connector' = 'nothing')", "INSERT INTO nowhere SELECT * FROM numbers", bad.text)
        var first = ""
        let error = try Self.failure { try FlinkSubmission(SQLGateway(url: flink.url, options), rest: flink.rest, options).run(statements, name: "refused") { first = $0.id } }
        #expect(error.location == SourceLocation(file: "script.sql", line: 5, column: 1))
        #expect(error.description.hasPrefix("script.sql:5:1: Flink refuses statement 5 of 5 (statement 5):\n    "), "\(error)")
        for part in [bad.reason, "    " + bad.text.split(separator: "\n")[0]] { #expect(error.problem.contains(part), "\(error)") }
        #expect(!error.problem.contains("\tat ") && !error.problem.contains("fetchResults"), "\(error)")
        // All of it runs, or nothing.
        #expect(error.problem.contains("cancelled now: \(first)"), "\(error)")
        #expect(try rest.details(first).job.state == "CANCELED")
        try Self.expectClean(flink)
    }

    @Test("the whole trace is told on request", arguments: Flink.atHand) func verbose(flink: Flink) throws {
        let flink = try flink.start()
        let error = try Self.failure { try SQLGateway(url: flink.url, Self.options { $0.showsTraces = true }).withSession(name: "verbose") { try $0.execute("SELEC 1") } }
        #expect(error.problem.contains("\tat ") && error.problem.contains("SqlParserException"))
        try Self.expectClean(flink)
    }

    @Test("a job that fails as it starts is told with its exception", arguments: Flink.atHand) func failing(flink: Flink) throws {
        let flink = try flink.start(), options = Self.options()
        let statements = Self.statements(
            "SET 'restart-strategy.type' = 'none'", "CREATE TABLE few (x INT, y STRING) WITH ('connector' = 'datagen', 'number-of-rows' = '50')", Self.sink, "INSERT INTO nowhere SELECT x / 0, y FROM few")
        // A job that fails between two looks may have been seen running.
        let gateway = try SQLGateway(url: flink.url, options), rest = try FlinkREST(url: flink.rest, options)
        var id = ""
        do {
            _ = try FlinkSubmission(gateway, rest: flink.rest, options).run(statements, name: "failing") { id = $0.id }
        } catch let error as StreamError {
            #expect(error.problem.contains("is FAILED") && error.problem.contains("ArithmeticException: / by zero"), "\(error)")
        }
        let end = Deadline(seconds: 60)
        while try !rest.details(id).job.isEnded, !end.hasPassed { Thread.sleep(forTimeInterval: 0.1) }
        #expect(try rest.exceptions(id).first?.cause.message == "ArithmeticException: / by zero")
        try Self.expectClean(flink)
    }

    @Test("a job that finds no slots is told with what it waits for, and is cancelled", arguments: Flink.atHand) func slots(flink: Flink) throws {
        let flink = try flink.start(), options = Self.options(8)
        let statements = Self.statements("SET 'parallelism.default' = '1000'", Self.source, Self.sink, "INSERT INTO nowhere SELECT * FROM numbers")
        var id = ""
        let error = try Self.failure { try FlinkSubmission(SQLGateway(url: flink.url, options), rest: flink.rest, options).run(statements, name: "slots") { id = $0.id } }
        // A cluster without more slots to come may give up at once.
        let waited = error.problem.contains("does not run within 8 s") && error.problem.contains("slots are free") && error.problem.contains("cancelled now: \(id)")
        #expect(waited || flink.isReal && error.problem.contains("is FAILED: NoResourceAvailableException: Could not acquire the minimum required resources"), "\(error)")
        #expect(error.fix?.contains("TaskManagers") == true)
        try Self.expectClean(flink)
    }

    @Test("a session is kept with heartbeats, and one that is gone is told", arguments: Flink.atHand) func sessions(flink: Flink) throws {
        let flink = try flink.start()
        try SQLGateway(url: flink.url, Self.options { $0.heartbeatSeconds = 0 }).withSession(name: "kept") { session in
            try session.keepAlive()
            #expect(try flink.log().requests.last?.hasSuffix("/heartbeat") == true)
            session.close()
            let error = try Self.failure { try session.execute("SET 'a' = 'b'") }
            #expect(error.problem.contains("has no session \(session.handle) any more"), "\(error)")
        }
        try SQLGateway(url: flink.url, Self.options()).withSession(name: "fresh") { session in
            try session.keepAlive()
            #expect(try flink.log().requests.last?.hasSuffix("/heartbeat") == false, "not before it is due")
        }
    }

    @Test("an address that leads elsewhere is told apart", arguments: Flink.atHand) func elsewhere(flink: Flink) throws {
        let flink = try flink.start()
        let swapped = try Self.failure { try SQLGateway(url: flink.rest, Self.options()) }
        #expect(swapped.problem.contains("is no SQL gateway") && swapped.fix?.contains("8083") == true, "\(swapped)")
        let other = try Self.failure { try FlinkREST(url: flink.url, Self.options()).overview() }
        #expect(other.problem.contains("is no JobManager"), "\(other)")
    }
}
