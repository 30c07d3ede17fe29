import Foundation
import Testing

/// What commands say of a script that was written for Flink.
@Suite("Scripts of Flink on the command line") struct FlinkScriptCommandTests {
    private static let script = """
        SET taskmanager.memory.process.size = 4g;
        SET taskmanager.memory.process.size = 2g;
        SET execution.parallelism = 1;
        ADD JAR '/opt/udfs.jar';
        CREATE TABLE numbers (n INT) WITH ('connector' = 'datagen', 'number-of-rows' = '3', 'fields.n.kind' = 'sequence', 'fields.n.start' = '1', 'fields.n.end' = '3');
        CREATE TABLE results (n INT) WITH ('connector' = 'filesystem', 'path' = 'out', 'format' = 'csv', 'auto-compaction' = 'true');
        INSERT INTO results SELECT n FROM numbers;
        """
    private static let notices = [
        "setting 'taskmanager.memory.process.size' means nothing here: there is no JVM",
        "ADD JAR '/opt/udfs.jar' means nothing here: there is no JVM to load it; connectors and formats are built in",
        "table results: option 'auto-compaction' means nothing here: small files are not merged; a longer 'execution.checkpointing.interval' makes fewer",
    ]

    @Test("each notice comes once: from run, validate, sql and plan")
    func once() throws {
        let workspace = try Workspace()
        let file = try workspace.write(Self.script, to: "orders.sql")
        for command in [["run", file, "--quiet"], ["validate", file], ["plan", file], ["sql", "-f", file]] {
            let outcome = try workspace.start(command).end()
            #expect(outcome.status == 0 && outcome.errors == Self.notices.map { "warning: \($0)\n" }.joined(), "\(command): \(outcome)")
        }
        let set = try workspace.ok("sql", "--set", "akka.ask.timeout=10 s", "-e", "SELECT 1")
        #expect(set.errors == "warning: setting 'akka.ask.timeout' means nothing here: one process runs the job: there is no cluster\n")
    }

    @Test("with --output json they are events")
    func json() throws {
        let workspace = try Workspace()
        let events = try workspace.ok("run", try workspace.write(Self.script, to: "orders.sql"), "--output", "json").events()
        #expect(events.filter { $0["event"] as? String == "warning" }.compactMap { $0["warning"] as? String } == Self.notices, "\(events)")
    }

    @Test("a statement that fails says what it would have told before")
    func failing() throws {
        let workspace = try Workspace()
        let outcome = try workspace.run("sql", "-e", "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'x', 'format' = 'json', 'auto-compaction' = 'true', 'z' = '1')")
        #expect(outcome.status == 1 && outcome.errors.hasPrefix("warning: table t: option 'auto-compaction'") && outcome.errors.contains("has no option 'z'"), "\(outcome)")
    }

    @Test("STOP JOB stops a running job, with a savepoint")
    func stop() throws {
        let workspace = try Workspace()
        let file = try workspace.write("""
            SET 'pipeline.name' = 'endless'; SET 'execution.checkpointing.interval' = '1 s';
            CREATE TABLE numbers (n INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10'); CREATE TABLE nowhere (n INT) WITH ('connector' = 'blackhole');
            INSERT INTO nowhere SELECT n FROM numbers;
            """, to: "endless.sql")
        let job = try workspace.start(["run", file])
        try workspace.waitForCheckpoint(above: 0, of: "endless")
        let id = try #require(try workspace.ok("sql", "--output", "json", "-e", "SHOW JOBS").objects().first?["job id"] as? String)
        try workspace.run("sql", "-e", "STOP JOB 'nobody'").expectOneError(containing: "nobody", "1:1")
        try workspace.ok("sql", "-e", "STOP JOB '\(id)' WITH SAVEPOINT")
        let outcome = try job.end()
        #expect(outcome.status == 0 && outcome.errors.contains("savepoint: "), "\(outcome)")
    }
}
