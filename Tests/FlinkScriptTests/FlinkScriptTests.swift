import Foundation
import StreamCore
import StreamSQL
import Testing

/// Scripts as people write them for Flink 1.13 to 2.3, unchanged.
@Suite("Scripts of Flink") struct FlinkScriptTests {
    @Test("plans, and tells each thing that means nothing here once", arguments: FlinkScript.all)
    func notices(script: FlinkScript) throws {
        var session = try ScriptSession()
        defer { session.remove() }
        try session.run(script.text, file: "\(script.name).sql", runs: script.runs)
        #expect(session.session.notices.all.sorted() == script.notices.sorted())
        #expect(Set(session.session.notices.all).count == session.session.notices.all.count)
        // A second run in the same session has nothing new to tell.
        let told = session.session.notices.take()
        for statement in try SQLParser(text: script.text).parseScript() { if case .set = statement.node { _ = try session.session.execute(statement) } }
        #expect(!told.isEmpty && session.session.notices.take().isEmpty)
    }

    @Test("what runs writes the rows that Flink 2.3 writes", arguments: FlinkScript.all.filter { FileManager.default.fileExists(atPath: FlinkScript.folder.path + "/Expected/\($0.name).json") })
    func rows(script: FlinkScript) throws {
        var session = try ScriptSession()
        defer { session.remove() }
        try session.run(script.text)
        let expected = try script.expected()
        #expect(!expected.isEmpty)
        for (table, lines) in expected { #expect(session.lines(table).map(Self.canonical) == lines.map(Self.canonical), "\(table)") }
    }

    /// JSON with its keys in order, and numbers as numbers.
    private static func canonical(_ line: String) -> String {
        guard let value = try? JSONSerialization.jsonObject(with: Data(line.utf8)),
              let data = try? JSONSerialization.data(withJSONObject: value, options: [.sortedKeys]) else { return line }
        return String(decoding: data, as: UTF8.self)
    }

    @Test("the scripts are there") func present() {
        #expect(FlinkScript.all.count >= 13)
        #expect(FlinkScript.all.count { $0.runs } >= 7)
    }

    @Test("a stream's script for the cloud runs over the built-in log")
    func home() throws {
        var session = try ScriptSession()
        defer { session.remove() }
        try session.run(try #require(FlinkScript.all.first { $0.name == "kinesis_at_home" }).text)
        #expect(session.lines("copied") == [#"{"id":1,"note":"a"}"#, #"{"id":2,"note":"b"}"#])
    }

    @Test("catalogs of Hudi and Iceberg know the tables in their folders", arguments: ["hudi_catalog", "iceberg_catalog"])
    func catalogs(name: String) throws {
        var session = try ScriptSession()
        defer { session.remove() }
        try session.run(try #require(FlinkScript.all.first { $0.name == name }).text)
        let isHudi = name == "hudi_catalog"
        #expect(session.results.count == (isHudi ? 2 : 1) && session.results.contains(isHudi ? [.string("t1"), .string("ana"), .double(12)] : [.string("b")]))
        // Another session finds what this one has left on the disk.
        var later = try ScriptSession(out: session.out)
        let create = isHudi
            ? "CREATE CATALOG c WITH ('type' = 'hudi', 'catalog.path' = '${OUT}/hudi'); USE c.rides;"
            : "CREATE CATALOG c WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = '${OUT}/warehouse'); USE c.iceberg_db;"
        try later.run(create)
        func names(_ statement: String) throws -> [Value] {
            guard case .rows(_, let rows) = try later.session.execute(try SQLParser(text: statement).parseStatement()) else { return [] }
            return rows.map { $0[0] }
        }
        #expect(try names("SHOW TABLES") == [.string(isHudi ? "trips" : "sample")])
        #expect(try names("SHOW DATABASES").contains(.string(isHudi ? "rides" : "iceberg_db")))
        try later.run(isHudi ? "SELECT COUNT(*) FROM trips" : "SELECT COUNT(*) FROM sample")
        #expect(later.results == [[.int(2)]])
        #expect(later.error(isHudi ? "DROP TABLE trips" : "DROP TABLE sample")?.fix == "remove the folder")
        // Also in the session that made them.
        for (statement, folder) in isHudi ? [("DROP TABLE trips", "/hudi/rides/trips"), ("USE `default`; DROP DATABASE rides CASCADE", "/hudi/rides")]
            : [("DROP TABLE iceberg_db.sample", "/warehouse/iceberg_db/sample"), ("USE `default`; DROP DATABASE iceberg_db CASCADE", "/warehouse/iceberg_db")] {
            let error = session.error(statement)
            #expect(error?.problem.contains("its files are in \(session.out)\(folder)") == true && error?.fix == "remove the folder" && error?.location != nil, "\(error as Any)")
        }
        // What has no folder yet is dropped.
        try later.run("CREATE DATABASE unused; CREATE TABLE unused.t (a INT PRIMARY KEY NOT ENFORCED); CREATE VIEW unused.v AS SELECT 1 AS a; DROP VIEW unused.v; DROP TABLE unused.t; CREATE TABLE unused.t (b BIGINT PRIMARY KEY NOT ENFORCED); DROP DATABASE unused CASCADE")
        #expect(try !names("SHOW DATABASES").contains(.string("unused")))
        #expect(later.error("SELECT * FROM others")?.problem.contains("is not known here") == true)
    }

    @Test("a catalog of a metastore is told not to be reached", arguments: [
        "'type' = 'iceberg', 'warehouse' = '${OUT}/w'", "'type' = 'iceberg', 'uri' = 'thrift://h:9083', 'warehouse' = '${OUT}/w'", "'type' = 'iceberg', 'catalog-type' = 'hive'",
        "'type' = 'iceberg', 'catalog-impl' = 'org.example.C', 'any' = 'x'", "'type' = 'hudi', 'mode' = 'hms', 'catalog.path' = '${OUT}/w', 'hive.conf.dir' = '/c'",
    ])
    func metastores(options: String) throws {
        var session = try ScriptSession()
        defer { session.remove() }
        try session.run("CREATE CATALOG c WITH (\(options))")
        let notices = session.session.notices.take()
        #expect(notices.count == 1 && notices[0].contains("catalog c of type") && notices[0].contains("is not reached from here"), "\(notices)")
        #expect(notices[0].contains("'catalog-type' = 'hadoop'") == !(options.contains("catalog-") || options.contains("hudi")))
        #expect(session.error("CREATE TABLE c.`default`.t (a INT)")?.problem.contains("names no connector") == true)
    }

    @Test("what would make another script of it is refused, with its place and what to write", arguments: [
        ("CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'csv',\n 'csv.trim-spaces' = 'true')", "fields are taken as they are", "TRIM(column)", 2),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'json', 'streaming-source.enable' = 'true')", "is read once", "source.monitor-interval", 1),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p',\n\n'payload.class' = 'org.apache.hudi.common.model.PartialUpdateAvroPayload')",
         "rows are merged", "leave the option out", 3),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p',\n'table.type' = 'MERGE_ON_READ')", "is not supported", "COPY_ON_WRITE", 2),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p', 'hoodie.write.concurrency.mode' = 'OPTIMISTIC_CONCURRENCY_CONTROL')",
         "one writer", "from one job", 1),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p',\n'changelog.enabled' = 'true')", "not the changes between", "read.streaming.changelog", 2),
        ("SET 'table.local-time-zone' = 'Europe/Berlin';\nCREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p', 'write.utc-timezone' = 'false')",
         "stored as they are", "'table.local-time-zone' = 'UTC'", 2),
        ("SET 'table.local-time-zone' = 'Asia/Tokyo';\nCREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p', 'read.utc-timezone' = 'false')",
         "stored as they are", "write 'true'", 2),
        ("SET 'table.local-time-zone' = 'Asia/Tokyo';\nCREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'parquet',\n'parquet.utc-timezone' = 'false')",
         "stored as they are", "write 'true'", 3),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'iceberg', 'path' = 'p', 'streaming' = 'true')", "as it is when the job starts", "hudi", 1),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'delta', 'table-path' = 'p')", "called 'path'", "write 'path'", 1),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'jdbc', 'url' = 'jdbc:mysql://h/db')", "no connector 'jdbc'", "rest", 1),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'elasticsearch-7', 'hosts' = 'http://h:9200')", "no connector 'elasticsearch-7'", "opensearch", 1),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'mysql-cdc', 'hostname' = 'h')", "no connector 'mysql-cdc'", "debezium-json", 1),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'kafka', 'topic' = 't', 'properties.bootstrap.servers' = 'h:1', 'format' = 'json', 'sink.semantic' = 'exactly-once')",
         "'sink.semantic' = 'exactly-once' needs", "sink.transactional-id-prefix", 1),
        ("CREATE FUNCTION f AS 'com.example.F';\nSELECT f(1)", "function f is written in Java (com.example.F)", "LANGUAGE PYTHON", 2),
        ("CREATE TEMPORARY SYSTEM FUNCTION md5 AS 'com.example.Digest' LANGUAGE SCALA; SELECT MD5('a')", "function md5 is written in Scala", "LANGUAGE PYTHON", 1),
        ("CREATE FUNCTION f AS 'com.example.F';\nSELECT * FROM (VALUES (1)) AS t (a), LATERAL TABLE(f(a))", "function f is written in Java", "LANGUAGE PYTHON", 2),
        ("SET 'table.sql-dialect' = 'hive'", "Flink's own dialect", "leave the setting out", 1),
        ("SET table.exec.legacy-cast-behaviour = enabled", "ends the job", "TRY_CAST", 1),
        ("SET 'table.exec.sink.type-length-enforcer' = 'TRIM_PAD'", "as they are", "CAST(column AS VARCHAR(n))", 1),
        ("COMPILE PLAN 'p' FOR INSERT INTO t SELECT 1", "not supported yet: COMPILE", "run the INSERT itself", 1),
        ("EXECUTE PLAN 'p'", "EXECUTE PLAN", "run the INSERT itself", 1),
        ("CREATE CATALOG h WITH ('type' = 'hive'); USE CATALOG h;\nSELECT * FROM orders", "is not known here", "CREATE TABLE orders", 2),
        ("CREATE CATALOG h WITH ('type' = 'hive'); USE h.sales", "there is no database h.sales", "CREATE DATABASE", 1),
        ("CREATE CATALOG p WITH ('type' = 'paimon', 'warehouse' = 'file:/w'); CREATE TABLE p.`default`.t (a INT)", "names no connector", "'connector' = 'iceberg'", 1),
        ("STOP JOB 'a1'", "STOP JOB", "swiftwater stop", 1),
    ] as [(String, String, String, Int)])
    func refused(script: String, problem: String, fix: String, line: Int) throws {
        let session = try ScriptSession()
        defer { session.remove() }
        let error = try #require(session.error(script))
        #expect(error.problem.contains(problem) && error.fix?.contains(fix) == true, "\(error)")
        #expect(error.location?.line == line, "\(error)")
    }

    @Test("every setting of Flink 1.20 and 2.3, and their older names, is known")
    func settings() throws {
        let names = try String(contentsOf: FlinkScript.folder.appendingPathComponent("Data/settings.txt"), encoding: .utf8).split(separator: "\n").map(String.init)
        #expect(names.count > 1_000)
        for name in names {
            var settings = SessionSettings()
            // What is read may want another value, but never another name.
            do {
                let warning = try settings.set(name, to: "1")
                #expect(warning?.contains("none of the settings") != true, "\(name)")
            } catch let error as StreamError {
                #expect(!error.problem.contains("there is no setting") && (error.fix != nil || error.problem.contains("is not a")), "\(name): \(error)")
            }
        }
    }

    @Test("a misspelled name stays an error that tells the right one", arguments: [
        ("CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = 'p', 'format' = 'json', 'sink.paralelism' = '2')", "sink.parallelism"),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p', 'clustering.delta_comits' = '2')", "clustering.delta_commits"),
        ("CREATE TABLE t (a INT PRIMARY KEY NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = 'p', 'write.task' = '2')", "write.tasks"),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'kinesis', 'stream' = 's', 'format' = 'json', 'source.init.positon' = 'LATEST')", "source.init.position"),
        ("SET 'table.exec.mini-batch.enable' = 'true'", "table.exec.mini-batch.enabled"), ("SET parallelism.defualt = 2", "parallelism.default"),
        ("CREATE CATALOG c WITH ('type' = 'hudi', 'catalgo.path' = '/w')", "catalog.path"), ("CREATE CATALOG c WITH ('type' = 'iceberg', 'catalog-typ' = 'hadoop', 'warehouse' = '/w')", "catalog-type"),
        ("CREATE CATALOG c WITH ('type' = 'iceberg', 'catalog-type' = 'hadoop', 'warehouse' = '/w', 'cache-enable' = 'true')", "cache-enabled"),
        ("CREATE CATALOG c WITH ('type' = 'hudi', 'catalog.path' = '/w', 'something' = 'x')", "leave it out"),
        ("SET 'execution.checkpoint.interval' = '1 s'", "execution.checkpointing.interval"), ("SET 'pipeline.nam' = 'x'", "pipeline.name"),
    ])
    func misspelled(script: String, name: String) throws {
        let session = try ScriptSession()
        defer { session.remove() }
        let error = try #require(session.error(script))
        #expect(error.fix?.contains(name) == true, "\(error)")
        #expect(session.session.notices.all.isEmpty)
    }
}
