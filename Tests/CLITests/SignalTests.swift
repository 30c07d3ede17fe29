import Foundation
import Testing

@Suite("Stopping and killing") struct SignalTests {
    private static let someKeys = "'fields.id.min' = '1', 'fields.id.max' = '500'"
    private static let newKeys = "'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '100000000'"

    /// A job that writes rows into a table, without end unless `rows` is given.
    private func job(_ workspace: Workspace, commitInterval: String, keys: String = someKeys, rows: Int? = nil) throws -> String {
        try workspace.write("""
            CREATE TABLE g (id BIGINT, v INT) WITH ('connector' = 'datagen', 'rows-per-second' = '2000',
              \(rows.map { "'number-of-rows' = '\($0)', " } ?? "") \(keys));
            CREATE TABLE t (id BIGINT, v INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(workspace.path("t"))',
              'write.operation' = 'upsert', 'write.commit.interval' = '\(commitInterval)');
            INSERT INTO t SELECT id, v FROM g;
            """, to: "job-\(UUID().uuidString).sql")
    }

    private func commits(_ workspace: Workspace) -> Int {
        ((try? FileManager.default.contentsOfDirectory(atPath: workspace.path("t/.hoodie"))) ?? []).filter { $0.hasSuffix(".commit") }.count
    }

    @Test("SIGINT and SIGTERM stop an unbounded job soon, with what was read committed", arguments: [SIGINT, SIGTERM])
    func cleanStop(number: Int32) throws {
        let workspace = try Workspace()
        let command = try workspace.start(["run", try job(workspace, commitInterval: "1 h", keys: Self.newKeys), "--output", "json"])
        try eventually("rows") {
            command.out.split(separator: "\n").last?.range(of: #""rows_out":[1-9]"#, options: .regularExpression) != nil
        }
        #expect(commits(workspace) == 0)
        command.signal(number)
        let outcome = try command.end(within: 30)
        let events = try outcome.events().map { $0["event"] as? String }
        #expect(outcome.status == 0 && events.first == "started" && events.last == "resumable", "\(outcome)")
        let last = try #require(try outcome.objects().last)
        #expect(last["event"] as? String == "stopped")
        let operators = try #require(last["operators"] as? [[String: Any]])
        let read = try #require(operators.first?["rows_out"] as? Int)
        #expect(read > 0 && operators.last?["rows_in"] as? Int == read)
        #expect(commits(workspace) == 1)
        let keys = try #require(try workspace.ok("table", "query", workspace.path("t"), "SELECT COUNT(*) AS n FROM t", "--output", "json").objects().first?["n"] as? Int)
        #expect(keys == read)
    }

    @Test("a stop ends the script: jobs behind the one that runs do not begin")
    func stopsTheScript() throws {
        let workspace = try Workspace()
        let file = try workspace.write("""
            SET 'table.dml-sync' = 'true';
            CREATE TABLE g (id BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '100');
            CREATE TABLE t1 (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(workspace.path("first"))');
            CREATE TABLE t2 (id BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(workspace.path("second"))');
            INSERT INTO t1 SELECT id FROM g;
            INSERT INTO t2 SELECT id FROM g;
            """, to: "two.sql")
        let command = try workspace.start(["run", file, "--output", "json"])
        try eventually("rows") { command.out.split(separator: "\n").last?.range(of: #""rows_out":[1-9]"#, options: .regularExpression) != nil }
        command.signal(SIGTERM)
        let outcome = try command.end(within: 60)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(try outcome.events().filter { $0["event"] as? String == "started" }.count == 1 && !FileManager.default.fileExists(atPath: workspace.path("second")), "\(outcome.errors)")
    }

    @Test("a second signal ends a job at once that cannot stop")
    func secondSignal() throws {
        let workspace = try Workspace(), pipe = Pipe()
        // Nobody reads the pipe: the job waits in its write, and cannot come to a clean end.
        let command = try workspace.start(["sql", "--output", "csv", "-e",
            "CREATE TABLE g (a BIGINT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000000'); SELECT a FROM g"], output: pipe)
        let descriptor = pipe.fileHandleForReading.fileDescriptor
        // Linux gives small pipes to those who have many.
        #if os(Linux)
        let capacity = fcntl(descriptor, 1032 /* F_GETPIPE_SZ */)
        #else
        let capacity: Int32 = 65_536
        #endif
        try eventually("a pipe of \(capacity) bytes that is full") {
            var waiting: Int32 = 0
            return ioctl(descriptor, UInt(FIONREAD), &waiting) == 0 && Int(waiting) * 10 >= Int(capacity) * 9
        }
        command.signal(SIGINT)
        // Signals that come close together count once.
        try eventually("the end", within: 30) {
            command.signal(SIGINT)
            return !command.isRunning
        }
        let outcome = try command.end(within: 30)
        #expect(outcome.status == 128 + SIGINT && outcome.errors.isEmpty, "\(outcome)")
    }

    @Test("--duration stops an unbounded job and commits")
    func duration() throws {
        let workspace = try Workspace()
        let outcome = try workspace.ok("run", try job(workspace, commitInterval: "1 h"), "--duration", "1s")
        #expect(outcome.errors.contains("stopped after 1.") && outcome.out.isEmpty, "\(outcome)")
        #expect(commits(workspace) == 1)
        try workspace.check(table: workspace.path("t"), key: "id")
    }

    @Test("a killed writer leaves a whole table, and the next one goes on")
    func killed() throws {
        let workspace = try Workspace(), table = workspace.path("t")
        let script = try job(workspace, commitInterval: "20 ms")
        for round in 1...3 {
            let before = commits(workspace)
            let command = try workspace.start(["run", script, "--quiet"])
            try eventually("commits in round \(round)") { commits(workspace) >= before + 3 }
            command.signal(SIGKILL)
            #expect(try command.end(within: 30).status == 128 + SIGKILL)
            try workspace.check(table: table, key: "id")
        }
        try workspace.ok("run", try job(workspace, commitInterval: "1 h", rows: 5_000))
        try workspace.check(table: table, key: "id")
        let row = try #require(try workspace.ok("table", "query", table, "SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS k FROM t", "--output", "json").objects().first)
        #expect(row["n"] as? Int == row["k"] as? Int)
        #expect((490...500).contains(try #require(row["n"] as? Int)))
    }
}
