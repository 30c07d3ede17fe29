import Foundation
import Testing

@Suite("Recovery on the command line") struct RecoveryTests {
    /// Counts by status, from a stream into a table, with frequent checkpoints.
    private func totals(_ workspace: Workspace, compute: String = "COUNT(*)", name: String = "totals.sql", commit: String = "100 ms") throws -> String {
        try workspace.write("""
            CREATE TABLE s (sensor_id INT, current_temperature DOUBLE, status STRING, event_time TIMESTAMP(3)) WITH ('connector' = 'kinesis', 'stream' = 'in',
              'log.directory' = '\(workspace.path("data"))', 'scan.stream.initpos' = 'TRIM_HORIZON', 'format' = 'json',
              'json.timestamp-format.standard' = 'ISO-8601');
            CREATE TABLE t (status STRING, n BIGINT, PRIMARY KEY (status) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(workspace.path("t"))',
              'write.operation' = 'upsert', 'write.commit.interval' = '\(commit)');
            INSERT INTO t SELECT status, \(compute) FROM s WHERE status IS NOT NULL GROUP BY status;
            """, to: name)
    }

    private func generate(_ workspace: Workspace, _ count: Int = 2_000) throws {
        try workspace.ok("generate", "sensors", "--count", "\(count)", "--stream", "in")
    }

    private func total(_ workspace: Workspace) throws -> Int? {
        try workspace.ok("table", "query", workspace.path("t"), "SELECT SUM(n) AS n FROM t", "--output", "json").objects().first?["n"] as? Int
    }

    private func checkpoints(_ workspace: Workspace, _ job: String = "totals") -> [Int] {
        let directory = workspace.path("data/checkpoints/\(job)")
        return ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).filter {
            $0.hasPrefix("chk-") && FileManager.default.fileExists(atPath: "\(directory)/\($0)/manifest.json")
        }.compactMap { Int($0.dropFirst(4)) }.sorted()
    }

    @Test("scenario 9: killed in the middle of a batch and started again, the table equals an uninterrupted run's")
    func replaySafety() throws {
        let orders = Workspace.topologies + "/orders.yaml", query = "SELECT order_id, item_id, product, CAST(amount AS STRING) AS a, time_stamp FROM t"
        func load(_ workspace: Workspace) throws {
            for changes in [[], ["--changes"]] {
                #expect(try workspace.start(["generate", "orders", "--count", "20000", "--stream", "order-data-stream"] + changes).end().status == 0)
            }
        }
        let whole = try Workspace(), workspace = try Workspace()
        try load(whole)
        try whole.ok("run", orders, environment: ["BOUNDED": "latest-offset"])
        try load(workspace)
        let table = workspace.path("data/tables/order_hudi_cow")
        for round in 1...4 {
            let job = try workspace.start(["run", orders, "--parallelism", "\(round % 2 + 1)"], environment: ["COMMIT_INTERVAL": "20 ms"])
            if round % 2 == 0 {
                try eventually("data files") { FileManager.default.fileExists(atPath: table + "/.hoodie") }
            } else {
                let before = checkpoints(workspace, "orders").last
                try eventually("a checkpoint in round \(round)") { checkpoints(workspace, "orders").last ?? 0 > before ?? 0 }
            }
            try job.crash()
        }
        let end = try workspace.ok("run", orders, environment: ["BOUNDED": "latest-offset", "COMMIT_INTERVAL": "20 ms"])
        #expect(end.errors.contains("job orders goes on from checkpoint"), "\(end)")
        try workspace.check(table: table, key: "order_id,item_id")
        #expect(try workspace.rows(table: table, query) == whole.rows(table: whole.path("data/tables/order_hudi_cow"), query))
        // A job that has ended well leaves nothing to go on from.
        #expect(checkpoints(workspace, "orders").isEmpty)
    }

    @Test("after Ctrl-C and after a crash a job goes on where it was")
    func resume() throws {
        let workspace = try Workspace(), script = try totals(workspace)
        try generate(workspace)
        let first = try workspace.start(["run", script, "--output", "json"])
        try workspace.waitForRows(2_000, of: "totals")
        first.signal(SIGINT)
        let stopped = try first.end()
        let resumable = try #require(try stopped.events().last)
        let newest = checkpoints(workspace).last
        #expect(resumable["event"] as? String == "resumable" && resumable["checkpoint"] as? Int == newest, "\(stopped)")
        #expect(try stopped.events().first?["event"] as? String == "started")
        #expect(try total(workspace) == 2_000)

        try generate(workspace)
        let second = try workspace.start(["run", script])
        try workspace.waitForRows(2_000, of: "totals")
        let seen = try #require(try workspace.status(of: "totals")?["checkpoint"] as? Int)
        try workspace.waitForCheckpoint(above: seen, of: "totals")
        try second.crash()
        #expect(second.errors.contains("job totals goes on from checkpoint \(resumable["checkpoint"]!)"), "\(second.errors)")
        let third = try workspace.ok("run", script, "--duration", "1s")
        #expect(third.errors.contains("shardId-000000000000 at ") && third.errors.contains("the next run of job totals goes on from checkpoint"), "\(third)")
        #expect(try total(workspace) == 4_000)

        let anew = try workspace.ok("run", script, "--fresh", "--duration", "2s")
        #expect(anew.errors.contains("job totals starts from the beginning"))
        #expect(try total(workspace) == 4_000)
    }

    @Test("a query that has changed is refused with the operators that differ, unless state may be left behind")
    func changedQuery() throws {
        let workspace = try Workspace()
        try generate(workspace)
        try workspace.ok("run", try totals(workspace), "--duration", "1s")
        let changed = try totals(workspace, compute: "SUM(sensor_id)")
        try workspace.run("run", changed).expectOneError(
            containing: "does not fit the job totals", "GROUP BY status: COUNT(*)", "GROUP BY status: SUM(sensor_id)", "--allow-non-restored-state", "--fresh")
        try workspace.ok("run", changed, "--allow-non-restored-state", "--duration", "200ms")
    }

    @Test("a damaged newest checkpoint is named and passed over")
    func damaged() throws {
        let workspace = try Workspace(), script = try totals(workspace)
        try generate(workspace)
        try workspace.ok("run", script, "--duration", "1s")
        let numbers = checkpoints(workspace)
        try #require(numbers.count == 3)
        let manifest = URL(filePath: workspace.path("data/checkpoints/totals/chk-\(numbers[2])/manifest.json"))
        var bytes = try Data(contentsOf: manifest)
        bytes[bytes.count / 2] ^= 1
        try bytes.write(to: manifest)
        let outcome = try workspace.ok("run", script, "--duration", "1s")
        #expect(outcome.errors.contains("warning: checkpoint \(numbers[2]) is passed over: \(manifest.path) is damaged"), "\(outcome)")
        #expect(outcome.errors.contains("job totals goes on from checkpoint \(numbers[1]) of "), "\(outcome)")
        #expect(try total(workspace) == 2_000)
    }

    @Test("a place that cannot be written to, and a job that runs already, are clear errors")
    func places() throws {
        let workspace = try Workspace(), script = try totals(workspace)
        try generate(workspace)
        try workspace.write("", to: "file")
        try workspace.run("run", script, "--checkpoint-dir", workspace.path("file/x"))
            .expectOneError(containing: "job totals has no place for its checkpoints", workspace.path("file"), "--checkpoint-dir")
        let job = try workspace.start(["run", script, "--quiet"])
        try workspace.waitForRows(1, of: "totals")
        try workspace.run("run", script).expectOneError(containing: "job totals runs already, in process ", "swiftwater stop totals")
        // What asks is not what runs: another directory holds another job.
        try workspace.run("stop", "totals", "--checkpoint-dir", workspace.path("elsewhere")).expectOneError(containing: "there is no job 'totals'")
        #expect(try workspace.ok("stop", "totals").errors == "job totals has stopped\n")
        #expect(try job.end().errors.isEmpty)
        // The socket that a killed process leaves is nobody's.
        let killed = try workspace.start(["run", script, "--quiet"])
        try eventually("the job") { try workspace.status(of: "totals") != nil }
        try killed.crash()
        #expect(FileManager.default.fileExists(atPath: workspace.path("data/checkpoints/totals/control")) || workspace.directory.utf8.count > 60)
        try workspace.run("stop", "totals").expectOneError(containing: "job totals is not running")
        #expect(try workspace.ok("jobs", "--output", "json").out.isEmpty)
        try workspace.ok("run", script, "--duration", "200ms")
    }

    @Test("jobs of a script have names of their own, and names that begin alike must be told apart")
    func names() throws {
        let workspace = try Workspace()
        func made(_ table: String) -> String {
            "CREATE TABLE \(table) (v INT) WITH ('connector' = 'filesystem', 'path' = '\(workspace.path(table))', 'format' = 'json');"
        }
        let script = try workspace.write("""
            CREATE TABLE g (v INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1000'); \(made("a")) \(made("b"))
            SET 'table.dml-sync' = 'true'; SET 'pipeline.name' = 'two / jobs';
            INSERT INTO a SELECT v FROM g /*+ OPTIONS('number-of-rows' = '10') */; INSERT INTO b SELECT v FROM g;
            """, to: "x.sql")
        let deep = workspace.path(String(repeating: "deep/", count: 20))
        let job = try workspace.start(["run", script, "--checkpoint-dir", deep])
        try eventually("the second job") { try !workspace.ok("jobs", "--checkpoint-dir", deep, "--output", "json").out.isEmpty }
        #expect(try workspace.ok("jobs", "--checkpoint-dir", deep, "--output", "json").objects().map { $0["name"] as? String } == ["two / jobs-2"])
        try workspace.run("stop", "two", "--checkpoint-dir", deep).expectOneError(containing: "2 jobs have names that begin with 'two'", "two / jobs-2")
        try workspace.ok("stop", "two / jobs-2", "--checkpoint-dir", deep)
        #expect(try job.end().status == 0)
    }

    @Test("a failure inside the job starts it again, as often as the strategy says")
    func restarts() throws {
        let workspace = try Workspace()
        let script = try workspace.write("""
            CREATE TABLE g (v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '10', 'fields.v.min' = '0', 'fields.v.max' = '0');
            CREATE TABLE f (v INT) WITH ('connector' = 'filesystem', 'path' = '\(workspace.path("out"))', 'format' = 'json');
            INSERT INTO f SELECT 1 / v FROM g;
            """, to: "failing.sql")
        let settings = ["restart-strategy.type=fixed-delay", "restart-strategy.fixed-delay.attempts=2", "restart-strategy.fixed-delay.delay=10 ms"]
        let outcome = try workspace.start(["run", script] + settings.flatMap { ["--set", $0] }).end()
        #expect(outcome.status == 1 && outcome.errors.components(separatedBy: "job failing failed and is started again").count == 3, "\(outcome)")
        #expect(outcome.errors.contains("in 0.0 s: "), "\(outcome)")
        try workspace.run("run", script, "--set", "restart-strategy.type=sometimes").expectOneError(containing: "'restart-strategy.type' = 'sometimes' is not known")
    }

    @Test("a job that only shows rows has checkpoints when an interval is set")
    func shownRows() throws {
        let workspace = try Workspace()
        let script = try workspace.write("CREATE TABLE g (v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '10'); SELECT COUNT(v) AS n FROM g;", to: "shown.sql")
        let plain = try workspace.ok("run", script)
        #expect(!plain.errors.contains("job shown") && !FileManager.default.fileExists(atPath: workspace.path("data/checkpoints/shown")), "\(plain)")
        let kept = try workspace.ok("run", script, "--set", "execution.checkpointing.interval=10 ms", "--set",
                                    "execution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION")
        #expect(kept.errors.contains("job shown starts from the beginning"), "\(kept)")
        #expect(checkpoints(workspace, "shown").count >= 1)
    }
}
