import Foundation
import TestScripts
import Testing

/// `--engine flink`: a script on a Flink that others run, as its users have it.
@Suite(.serialized) struct FlinkCommandTests {
    private static let script = """
        CREATE TABLE numbers (x INT, y STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '5');
        CREATE TABLE nowhere (x INT, y STRING) WITH ('connector' = 'blackhole');
        CREATE VIEW big AS SELECT x, y FROM numbers WHERE x > 10;

        INSERT INTO nowhere SELECT x, y FROM big;
        """
    /// Statements before the INSERT: settings that the export writes, two tables, a view.
    private static func before(_ workspace: Workspace, _ file: String) throws -> Int {
        let text = try workspace.ok("export", "--engine", "flink", file).out
        return text.split(separator: "\n").count { $0.hasPrefix("SET ") || $0.hasPrefix("CREATE ") }
    }

    private static let both: [Bool] = FlinkGateway.real == nil ? [false] : [false, true]

    @Test("a script is deployed, listed, shown, stopped with a savepoint and canceled", arguments: both) func wholeLife(isReal: Bool) throws {
        let workspace = try Workspace(), flink = try FlinkGateway(real: isReal ? FlinkGateway.real : nil)
        let environment = ["FLINK_GATEWAY": flink.url, "FLINK_REST": flink.rest], name = "life \(UUID().uuidString.prefix(8))"
        let file = try workspace.write(Self.script, to: "script.sql")
        let deployed = try workspace.ok("deploy", "--engine", "flink", file, "--name", name, environment: environment)
        let id = try #require(deployed.lines.first)
        #expect(deployed.lines.count == 1 && id.count == 32 && deployed.errors.contains("topology \(name): its job runs on Flink "), "\(deployed)")

        let row = try #require(try workspace.ok("list", "--engine", "flink", environment: environment).lines.first { $0.contains(id) })
        #expect(row.contains(name) && row.contains("RUNNING") && row.contains(" running"), "\(row)")
        let listed = try #require(try workspace.ok("list", "--engine", "flink", "--output", "json", environment: environment).objects().first { $0["id"] as? String == id })
        #expect(listed["name"] as? String == name && listed["state"] as? String == "RUNNING" && listed["startedAt"] is Int)

        let shown = try workspace.ok("show", String(id.prefix(12)), "--engine", "flink", environment: environment).out
        for part in ["job \(name) (\(id)): RUNNING", "parallelism", "checkpoints, "] { #expect(shown.contains(part), "\(shown)") }
        let json = try workspace.ok("show", name, "--engine", "flink", "--output", "json", environment: environment).objects()[0]
        #expect((json["vertices"] as? [[String: Any]])?.first?["parallelism"] as? Int == 1 && json["checkpoints"] is [String: Any])

        try workspace.run("stop", name, "--engine", "flink", environment: environment).expectOneError(containing: "with a savepoint only", "--savepoint")
        let stopped = try workspace.ok("stop", name, "--engine", "flink", "--savepoint", "--target", "file://" + workspace.path("savepoints"), environment: environment)
        #expect(stopped.lines.count == 1 && stopped.lines[0].contains(workspace.path("savepoints")) && stopped.errors.contains("(\(id)) has stopped"), "\(stopped)")
        try workspace.run("stop", id, "--engine", "flink", "--savepoint", environment: environment).expectOneError(containing: "has ended: FINISHED")
        #expect(try workspace.ok("cancel", id, "--engine", "flink", environment: environment).errors.contains("has ended before: FINISHED"))

        let again = try workspace.ok("deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file, "--name", name, "--output", "json").objects()[0]
        let job = try #require((again["jobs"] as? [[String: Any]])?.first?["id"] as? String)
        #expect(try workspace.ok("cancel", name, "--engine", "flink", environment: environment).errors == "job \(name) (\(job)) is canceled\n")
        try workspace.run("cancel", "nobody", "--engine", "flink", environment: environment).expectOneError(containing: "has no job 'nobody'")
        #expect(try flink.log().problems == [])
    }

    @Test("what Flink refuses is shown with its statement, and its place in the user's file") func refused() throws {
        let workspace = try Workspace(), flink = try FlinkGateway(), file = try workspace.write(Self.script, to: "script.sql")
        let trace = "org.apache.flink.table.api.TableException: Cannot plan this.\n\tat org.apache.flink.A.b(A.java:1)\n"
        try flink.fail([["match": "/statements$", "skip": try Self.before(workspace, file), "do": "status", "status": 500, "errors": ["Internal server error.", trace] as [String]]])
        let outcome = try workspace.run("deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file)
        #expect(outcome.status == 1 && outcome.out.isEmpty)
        for part in ["script.sql:5:1: Flink refuses statement ", "\nCannot plan this.", "    INSERT INTO nowhere"] { #expect(outcome.errors.contains(part), "\(outcome.errors)") }
        #expect(!outcome.errors.contains("\tat "))
        #expect(try flink.log().requests.last?.hasPrefix("DELETE /v4/sessions/") == true)
    }

    @Test("a job that fails as it starts ends the command with its exception") func failing() throws {
        let workspace = try Workspace(), flink = try FlinkGateway()
        let file = try workspace.write(Self.script.replacingOccurrences(of: "SELECT x, y FROM big", with: "SELECT x / 0, y FROM big"), to: "script.sql")
        let outcome = try workspace.run("deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file, "--timeout", "5s")
        #expect(outcome.status == 1 && outcome.out.isEmpty)
        for part in ["error: job ", "ArithmeticException: / by zero"] { #expect(outcome.errors.contains(part), "\(outcome.errors)") }
        #expect(try flink.log().problems == [])
    }

    @Test("a dry run prints the script and asks nobody") func dryRun() throws {
        let workspace = try Workspace(), flink = try FlinkGateway(), file = try workspace.write(Self.script, to: "script.sql")
        let outcome = try workspace.ok("deploy", "--engine", "flink", "--gateway", flink.url, "--dry-run", file)
        #expect(outcome.out.contains("CREATE VIEW big") && outcome.out.contains("INSERT INTO nowhere"))
        #expect(try flink.log().requests == [])
    }

    @Test("Ctrl-C closes the session and leaves nothing running") func interrupted() throws {
        let workspace = try Workspace(), flink = try FlinkGateway(), file = try workspace.write(Self.script, to: "script.sql")
        try flink.fail([["match": "/status$", "do": "replace", "times": 1_000_000, "answer": ["status": "RUNNING"] as [String: String]]])
        let command = try workspace.start(["deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file])
        try eventually("a statement is looked at") { try flink.log().requests.contains { $0.hasSuffix("/status") } }
        command.signal(SIGINT)
        let outcome = try command.end()
        #expect(outcome.status == 130 && outcome.errors.contains("nothing of it runs on Flink"), "\(outcome)")
        let ends = try flink.log().requests.filter { $0.hasSuffix("/cancel") || $0.hasPrefix("DELETE ") }
        #expect(ends.count == 3 && ends[0].hasSuffix("/cancel") && ends[1].hasSuffix("/close"), "\(ends)")
    }

    @Test("Ctrl-C while an INSERT is on its way ends its job too") func interruptedInsert() throws {
        let workspace = try Workspace(), flink = try FlinkGateway(), file = try workspace.write(Self.script, to: "script.sql"), before = try Self.before(workspace, file)
        try flink.fail([["match": "/statements$", "skip": before, "do": "slow", "seconds": 3.0]])
        let command = try workspace.start(["deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file])
        try eventually("the INSERT is sent") { try flink.log().requests.count { $0.hasSuffix("/statements") } == before + 1 }
        command.signal(SIGINT)
        let outcome = try command.end()
        #expect(outcome.status == 130 && outcome.errors.contains("nothing of it runs on Flink"), "\(outcome)")
        let jobs = try workspace.ok("list", "--engine", "flink", "--rest", flink.rest, "--output", "json").objects()
        #expect(jobs.count == 1 && jobs[0]["state"] as? String == "CANCELED", "\(jobs)")
    }

    @Test("Ctrl-C tells the jobs that it could not end") func notCancelled() throws {
        let workspace = try Workspace(), flink = try FlinkGateway(), file = try workspace.write(Self.script, to: "script.sql")
        let created: [String: any Sendable] = ["jid": "x", "name": "n", "state": "CREATED", "vertices": [String]()]
        try flink.fail([
            ["match": "^PATCH", "times": 100, "do": "status", "status": 500, "errors": ["no"] as [String]], ["match": "GET /v1/jobs/[0-9a-f]+$", "times": 100_000, "do": "replace", "answer": created],
        ])
        let command = try workspace.start(["deploy", "--engine", "flink", "--gateway", flink.url, "--rest", flink.rest, file])
        try eventually("the job is waited for") { try flink.log().requests.contains { $0.hasPrefix("GET /v1/jobs/") } }
        command.signal(SIGINT)
        let outcome = try command.end()
        let id = try #require(try workspace.ok("list", "--engine", "flink", "--rest", flink.rest, "--output", "json").objects().first?["id"] as? String)
        #expect(outcome.status == 130 && !outcome.errors.contains("nothing of it runs"), "\(outcome)")
        for part in ["not cancelled: \(id)", "end them with swiftwater cancel ID --engine flink"] { #expect(outcome.errors.contains(part), "\(outcome.errors)") }
    }

    @Test("options of the other engine, and addresses that are missing, are told") func options() throws {
        let workspace = try Workspace(), file = try workspace.write(Self.script, to: "script.sql")
        try workspace.run("deploy", "--engine", "flink", "--workers", "2", file).expectOneError(containing: "--workers is for --engine swiftwater")
        try workspace.run("deploy", "--gateway", "http://127.0.0.1:8083", file).expectOneError(containing: "--gateway is for --engine flink")
        try workspace.run("list", "--engine", "flink", "--url", "http://127.0.0.1:1").expectOneError(containing: "--url is for --engine swiftwater")
        try workspace.run("list", "--rest", "http://127.0.0.1:1").expectOneError(containing: "--rest is for --engine flink")
        try workspace.run("stop", "a", "--timeout", "5s").expectOneError(containing: "--timeout is for --engine flink")
        try workspace.run("list", "--engine", "flink", "--rest", "flink").expectOneError(containing: "'flink' is no URL of a Flink JobManager")
        try workspace.run("list", "--engine", "flink", "--rest", "http://127.0.0.1:1", "--timeout", "soon").expectOneError(containing: "--timeout 'soon'", "5min")
        let query = try workspace.write("SELECT 1 AS x;", to: "query.sql")
        try workspace.run("deploy", "--engine", "flink", "--dry-run", query).expectOneError(containing: "query.sql:1:1", "rows of a query")
    }
}
