import Foundation
import Testing

/// `swiftwater export --engine flink`, and what `compare` says before it runs anything. What Flink makes of it is the matter of FlinkEngineTests.
@Suite("swiftwater export") struct ExportCommandTests {
    /// What `--output json` says.
    private struct Export {
        var script: String, refusals: [[String: Any]], notes: [[String: Any]], jars: [String], lostState: [String]

        init(_ outcome: Outcome) throws {
            let object = try #require(try outcome.objects().first, "\(outcome)")
            script = try #require(object["script"] as? String)
            refusals = try #require(object["refusals"] as? [[String: Any]])
            notes = try #require(object["notes"] as? [[String: Any]])
            jars = try #require(object["jars"] as? [[String: Any]]).compactMap { $0["coordinates"] as? String }
            lostState = try #require(object["lostState"] as? [String])
        }

        /// A statement by how it begins, with single spaces.
        func statement(_ begin: String) -> String? {
            script.components(separatedBy: ";\n").map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }.first { $0.hasPrefix(begin) || $0.contains(" " + begin) }
        }
    }

    private static func export(_ workspace: Workspace, _ file: String, _ arguments: String...) throws -> Export {
        try Export(try workspace.start(["export", "--engine", "flink", file, "--output", "json"] + arguments).end())
    }

    @Test("a topology keeps its tables, keys, watermarks and INSERTs") func sensors() throws {
        let workspace = try Workspace()
        let export = try Self.export(workspace, Workspace.topologies + "/sensors.yaml", "--map", workspace.path("data") + "=s3://lake/one", "--kinesis-endpoint", "http://10.0.0.5:4566",
                                     "--kinesis-account", "123456789012", "--flink-version", "1.20")
        #expect(export.refusals.isEmpty)
        let source = try #require(export.statement("CREATE TEMPORARY TABLE sensor_data"))
        for part in ["WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND", "'stream.arn' = 'arn:aws:kinesis:us-east-1:123456789012:stream/my-input-stream'",
                     "'aws.endpoint' = 'http://10.0.0.5:4566'", "'source.init.position' = 'TRIM_HORIZON'", "'json.timestamp-format.standard' = 'ISO-8601'"] {
            #expect(source.contains(part), "\(part) is missing: \(source)")
        }
        let lake = try #require(export.statement("CREATE TEMPORARY TABLE sensor_state_cow"))
        for part in ["PRIMARY KEY (status, hop_time) NOT ENFORCED", "'path' = 's3://lake/one/tables/sensor_state_cow'", "'hoodie.write.table.version' = '6'", "'precombine.field' = 'hop_time'"] {
            #expect(lake.contains(part), "\(part) is missing: \(lake)")
        }
        // COUNT(*) is a BIGINT and the column an INTEGER.
        let insert = try #require(export.statement("EXECUTE STATEMENT SET"))
        #expect(insert.contains("INSERT INTO sensor_state SELECT status, CAST(num AS INT), avg_current_temperature, hop_time FROM"), "\(insert)")
        #expect(export.statement("INSERT INTO sensor_state_cow") != nil || export.script.contains("INSERT INTO sensor_state_cow"))
        for setting in ["'table.exec.sink.not-null-enforcer' = 'DROP'", "'table.local-time-zone' = 'UTC'", "'parallelism.default' = '1'", "'execution.checkpointing.interval' = '5000 ms'"] {
            #expect(export.script.contains("SET \(setting);"), "\(setting)")
        }
        #expect(export.jars.contains { $0.hasPrefix("org.apache.hudi:hudi-flink1.20-bundle:") } && export.jars.contains { $0.contains("kinesis-streams") }, "\(export.jars)")
        #expect(export.notes.contains { "\($0["text"]!)".contains("num: a value that does not fit ends the job here") })
    }

    @Test("what only this machine has is refused with its place, and nothing is written") func refused() throws {
        let workspace = try Workspace(), file = Workspace.topologies + "/orders.yaml"
        let outcome = try workspace.run("export", "--engine", "flink", file, "-o", workspace.path("flink"))
        #expect(outcome.status == 1 && outcome.out.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains("orders.yaml:54:7: table order_hudi_cow, option 'path': only this machine has") && outcome.errors.contains("--map"), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: workspace.path("flink")))
        try workspace.run("export", "--engine", "flink", file, "--flink-version", "1.7").expectOneError(containing: "--flink-version '1.7'", "1.20")
        try workspace.run("export", "--engine", "flink", file, "--map", "lake").expectOneError(containing: "--map 'lake'", "FROM=TO")
        try workspace.run("export", "--engine", "flink", file, "--cells", "1").expectOneError(containing: "--cells is for notebooks")
    }

    @Test("a folder gets the script and what has to be known about it") func folder() throws {
        let workspace = try Workspace()
        try workspace.ok("export", "--engine", "flink", Workspace.topologies + "/orders.yaml", "--map", workspace.path("data") + "=/mnt/shared", "-o", workspace.path("flink"))
        let script = try String(contentsOfFile: workspace.path("flink/orders.sql"), encoding: .utf8), readme = try String(contentsOfFile: workspace.path("flink/README.md"), encoding: .utf8)
        #expect(script.contains("'path' = '/mnt/shared/tables/order_hudi_cow'") || script.contains("'path' = 'file:///mnt/shared/tables/order_hudi_cow'"), "\(script)")
        #expect(readme.contains("sql-client.sh -f orders.sql") && readme.contains("org.apache.hudi:hudi-flink") && readme.contains("Compare") == false, "\(readme)")
    }

    @Test("--partial leaves out what Flink lacks, with all that hangs on it, and says so") func partial() throws {
        let workspace = try Workspace(), file = Workspace.topologies + "/logs.yaml"
        let whole = try workspace.run("export", "--engine", "flink", file, "--map", workspace.path("data") + "=/mnt")
        #expect(whole.status == 1 && whole.errors.contains("Flink has no RANDOM_CUT_FOREST") && whole.errors.contains("--partial"), "\(whole)")
        let export = try Self.export(workspace, file, "--map", workspace.path("data") + "=/mnt", "--partial")
        #expect(export.refusals.map { "\($0["what"]!)" } == ["view watched", "INSERT INTO minutes"], "\(export.refusals)")
        #expect(export.script.contains("INSERT INTO encoded_log") && !export.script.split(separator: "\n").contains { $0.hasPrefix("INSERT INTO minutes") })
        #expect(export.script.contains("-- Left out: view watched: Flink has no RANDOM_CUT_FOREST"))
    }

    @Test("each step that Flink would refuse is refused here, with its line") func steps() throws {
        let workspace = try Workspace()
        let file = try workspace.write("""
            SET 'table.exec.emit.early-fire.enabled' = 'true';
            SET 'table.exec.emit.early-fire.delay' = '1 s';
            CREATE TABLE t (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'kafka', 'topic' = 't', 'properties.bootstrap.servers' = 'k:9092', 'format' = 'json');
            CREATE TABLE counts (id INT, n BIGINT) WITH ('connector' = 'blackhole');
            CREATE TABLE unused (id INT) WITH ('connector' = 'print');
            INSERT INTO counts
            SELECT id, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY id, window_start, window_end;
            INSERT INTO counts SELECT CARDINALITY(ONE_HOT('x', ARRAY['x'])), 1 FROM t;
            """, to: "steps.sql")
        let export = try Self.export(workspace, file, "--partial")
        let found = export.refusals.map { "\($0["location"] ?? "")".split(separator: "/").last.map(String.init) ?? "" }
        #expect(found == ["steps.sql:7:26", "steps.sql:8:39"], "\(export.refusals)")
        #expect(export.notes.contains { "\($0["about"]!)" == "table unused" })
        #expect(!export.script.split(separator: "\n").contains { $0.hasPrefix("INSERT") })
    }

    private static let tables = """
        CREATE TABLE t (id BIGINT, v STRING) WITH ('connector' = 'filesystem', 'path' = '/in/t', 'format' = 'json');
        CREATE TABLE o (id INT, v STRING) WITH ('connector' = 'filesystem', 'path' = '/out/o', 'format' = 'json');

        """

    @Test("statements mean on Flink what they mean where they stand", arguments: [
        ("CREATE DATABASE d; CREATE TABLE d.o (id INT, v STRING) WITH ('connector' = 'print'); USE d; INSERT INTO o SELECT * FROM default_database.t; USE default_database; INSERT INTO t SELECT * FROM t;",
         ["USE d", "INSERT INTO o SELECT CAST(id AS INT), v FROM", "USE default_database", "INSERT INTO t SELECT * FROM t"]),
        ("CREATE TEMPORARY VIEW w AS SELECT * FROM t; INSERT INTO o SELECT * FROM w; DROP TEMPORARY VIEW w; CREATE VIEW w AS SELECT v FROM o; SELECT * FROM w;",
         ["CREATE TEMPORARY VIEW w AS SELECT * FROM t", "INSERT INTO o SELECT CAST(id AS INT), v FROM", "DROP TEMPORARY VIEW w", "CREATE VIEW w AS SELECT v FROM o", "SELECT * FROM w"]),
        ("CREATE TABLE c (v, id) WITH ('connector' = 'print') AS SELECT id, v FROM t;", ["CREATE TABLE c ( v STRING, id BIGINT ) WITH ( 'connector' = 'print' )", "INSERT INTO c (id, v) SELECT id, v FROM t"]),
        ("INSERT INTO o SELECT 1, v FROM t /*+ OPTIONS('path' = '/in/other') */;", ["INSERT INTO o SELECT 1, v FROM t /*+ OPTIONS('path' = 'file:///in/other') */"]),
        ("RESET; INSERT INTO o SELECT 1, v FROM t;", ["RESET", "SET 'execution.runtime-mode' = 'streaming'", "SET 'table.local-time-zone' = 'UTC'", "SET 'execution.checkpointing.interval' =", "INSERT INTO o SELECT 1, v FROM t"]),
        ("CREATE VIEW unused AS SELECT id FROM t; SELECT v FROM o;", ["CREATE VIEW unused AS SELECT id FROM t", "SELECT v FROM o"]),
    ])
    func whereTheyStand(statements: String, wanted: [String]) throws {
        let workspace = try Workspace(), export = try Self.export(workspace, try workspace.write(Self.tables + statements, to: "job.sql"), "--map", "/=file:///")
        #expect(export.refusals.isEmpty, "\(export.refusals)")
        let texts = export.script.components(separatedBy: ";\n").map { $0.split(whereSeparator: \.isWhitespace).joined(separator: " ") }
        // In this order, among others.
        var rest = texts[...]
        for part in wanted {
            let found = rest.firstIndex { $0.hasPrefix(part) }
            #expect(found != nil, "\(part) is missing behind what came before: \(export.script)")
            if let found { rest = rest[(found + 1)...] }
        }
    }

    @Test("an order that means nothing to a result is left out, one by time and one with LIMIT stay") func orders() throws {
        let workspace = try Workspace()
        let file = try workspace.write("""
            CREATE TABLE t (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = 'none', 'format' = 'json');
            SELECT id FROM t ORDER BY id;
            SELECT id, ts FROM t ORDER BY ts;
            SELECT id FROM t ORDER BY id LIMIT 3;
            """, to: "orders.sql")
        let export = try Self.export(workspace, file, "--map", "/=file:///")
        let orders = export.script.components(separatedBy: "ORDER BY ").dropFirst().map { $0.prefix { $0 != "\n" && $0 != ";" }.description }
        #expect(orders == ["ts", "id"], "\(export.script)")
        #expect(export.notes.contains { "\($0["text"]!)".contains("ORDER BY is left out") })
    }

    @Test("tables and views of an earlier run come along") func catalog() throws {
        let workspace = try Workspace(), catalog = workspace.path("catalog.db")
        try workspace.ok("sql", "--catalog", catalog, "-e", """
            CREATE TABLE numbers (x INT) WITH ('connector' = 'datagen', 'number-of-rows' = '5');
            CREATE VIEW small AS SELECT x FROM numbers WHERE x < 100;
            CREATE TABLE other (x INT) WITH ('connector' = 'blackhole');
            """)
        let file = try workspace.write("INSERT INTO other SELECT x FROM small;", to: "later.sql")
        let export = try Self.export(workspace, file, "--catalog", catalog)
        let kinds = export.script.split(separator: "\n").filter { $0.hasPrefix("CREATE") || $0.hasPrefix("INSERT") }
        #expect(kinds == ["CREATE TEMPORARY TABLE numbers (", "CREATE TEMPORARY VIEW small AS", "CREATE TEMPORARY TABLE other (", "INSERT INTO other"], "\(export.script)")
    }

    @Test("cells of a notebook that are SQL are exported, and the others named") func notebook() throws {
        let workspace = try Workspace()
        let export = try Self.export(workspace, Workspace.root + "/Examples/score-card.sql", "--map", "/=file:///")
        #expect(export.refusals.isEmpty && export.script.contains("CREATE TEMPORARY TABLE patients (") && export.script.contains("EXECUTE STATEMENT SET"), "\(export.script)")
        let orders = try Self.export(workspace, Workspace.root + "/Examples/orders.sql", "--map", "/=file:///", "--partial")
        #expect(orders.notes.contains { "\($0["text"]!)".contains("a %sh cell is no part of a job") }, "\(orders.notes)")
    }

    @Test("streams of the built-in log go along as files") func files() throws {
        let workspace = try Workspace(), data = workspace.path("data")
        try workspace.ok("generate", "sensors", "--count", "500", "--stream", "my-input-stream", "--data", data)
        let export = try Self.export(workspace, Workspace.topologies + "/sensors.yaml", "--variable", "SWIFTWATER_DATA=\(data)", "--files", workspace.path("files"), "--map", "\(workspace.directory)=file:///mnt")
        let source = try #require(export.statement("CREATE TEMPORARY TABLE sensor_data"))
        #expect(source.contains("'connector' = 'filesystem'") && source.contains("'path' = 'file:///mnt/files/sensor_data.json'") && !source.contains("PARTITIONED"), "\(source)")
        let lines = try String(contentsOfFile: workspace.path("files/sensor_data.json"), encoding: .utf8).split(separator: "\n")
        let stored = try workspace.ok("stream", "get", "my-input-stream", "--data", data).lines
        #expect(lines.count == 500 && stored.count == 500)
        let generated = try workspace.ok("generate", "sensors", "--count", "500").lines
        #expect(lines.map(String.init) == generated)
    }

    @Test("Flink begins where a stopped job ended, and state that it builds anew is named") func savepoint() throws {
        let workspace = try Workspace(), data = workspace.path("data"), file = Workspace.topologies + "/sensors.yaml"
        try workspace.ok("generate", "sensors", "--count", "500", "--step", "100ms", "--stream", "my-input-stream", "--data", data)
        let job = try workspace.start(["run", file, "--data", data, "--quiet"])
        try workspace.waitForRows(500, of: "sensors")
        let savepoint = try #require(try workspace.ok("stop", "sensors", "--savepoint", "--data", data).lines.last { $0.contains("savepoint-") })
        _ = try job.end()
        let export = try Self.export(workspace, file, "--variable", "SWIFTWATER_DATA=\(data)", "--map", "\(workspace.directory)=file:///mnt", "--from-savepoint", savepoint)
        let source = try #require(export.statement("CREATE TEMPORARY TABLE sensor_data"))
        #expect(source.contains("'source.init.position' = 'AT_TIMESTAMP'") && source.contains("'source.init.timestamp' = '20"), "\(source) \(export.notes)")
        #expect(export.lostState.count == 1 && export.lostState[0].contains("read sensor_data 1 min back"), "\(export.lostState)")
        try workspace.run("export", "--engine", "flink", file, "--map", "/=file:///", "--from-savepoint", workspace.path("none")).expectOneError(containing: "none")
    }

    @Test("compare says what it lacks before anything runs") func compare() throws {
        let workspace = try Workspace(), file = Workspace.topologies + "/orders.yaml", home = workspace.path("home")
        let nowhere = ["FLINK_HOME": ""]
        try workspace.run("compare", "--engine", "flink", file, "--input", workspace.directory, "--flink-home", home, environment: nowhere).expectOneError(containing: "there is no Flink in \(home)", "pip install")
        try FileManager.default.createDirectory(atPath: home + "/lib", withIntermediateDirectories: true)
        let outcome = try workspace.run("compare", "--engine", "flink", file, "--input", workspace.directory, "--flink-home", home)
        #expect(outcome.status == 1 && outcome.errors.contains("table order_changes: the folder of inputs has no records for it") && outcome.errors.contains("order_changes.json"), "\(outcome)")
        try workspace.run("compare", "--engine", "flink", file, "--input", workspace.directory, "--flink-home", home, "--timeout", "soon").expectOneError(containing: "--timeout 'soon'")
    }
}
