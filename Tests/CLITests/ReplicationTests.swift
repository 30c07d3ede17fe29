import Foundation
import Testing

/// `swiftwater run` of a file with replications.
@Suite("Replications") struct ReplicationCommandTests {
    private static func definition(bounded: Bool) -> String {
        """
        name: sports
        replications:
          sports:
            source: {connector: filesystem, path: raw, format: csv, csv.header: true}
            defaults:
              domain: sports
              columns: {id: BIGINT, name: STRING}
              key: id
            schema-evolution: false
            sink: {connector: hudi, path: "lake/{domain}/{table}"}
            bounded: \(bounded)
            discovery-interval: 100 ms
        settings:
          checkpoint: {interval: 200 ms}
        """
    }

    private func write(_ workspace: Workspace, _ table: String, _ file: String, _ rows: String) throws {
        try FileManager.default.createDirectory(atPath: workspace.path("raw/db/\(table)"), withIntermediateDirectories: true)
        // Written beside and moved: a file in its folder is whole.
        try workspace.write("id,name\n" + rows, to: ".part")
        if rename(workspace.path(".part"), workspace.path("raw/db/\(table)/\(file)")) != 0 { throw Unmet(description: "rename \(file)") }
    }

    @Test("19: the good tables load, the run ends with 1 and names the bad one; the next run reads that one alone; the catalog knows all")
    func isolation() throws {
        let workspace = try Workspace()
        try workspace.write(Self.definition(bounded: true), to: "sports.yaml")
        try write(workspace, "player", "LOAD00000001.csv", "1,Ann\n2,Bob\n")
        try write(workspace, "team", "LOAD00000001.csv", "1,Rams\n")
        try write(workspace, "event", "LOAD00000001.csv", "1,Final\nx,Semi\n")
        let checked = try workspace.ok("validate", "sports.yaml")
        #expect(checked.out.contains("replication sports, 3 tables: db.event, db.player, db.team"), "\(checked)")
        let first = try workspace.run("run", "sports.yaml", "--catalog", "lake.catalog")
        #expect(first.status == 1 && first.errors.contains("error: replication sports: 1 of 3 tables failed: db.event."), "\(first)")
        #expect(first.errors.contains("table db.event failed: raw/db/event/LOAD00000001.csv:3:1") && first.errors.contains("table db.player: finished, 2 rows read"), "\(first)")
        try workspace.check(table: workspace.path("lake/sports/player"), key: "id")
        try workspace.check(table: workspace.path("lake/sports/team"), key: "id")

        try write(workspace, "event", "LOAD00000001.csv", "1,Final\n2,Semi\n")
        let retry = try workspace.ok("run", "sports.yaml", "--catalog", "lake.catalog", "--output", "json")
        let ends = try retry.objects().filter { $0["state"] as? String == "finished" }
        #expect(Dictionary(uniqueKeysWithValues: ends.map { ($0["table"] as! String, $0["rows_read"] as! Int) }) == ["db.event": 2, "db.player": 0, "db.team": 0], "\(retry)")
        try workspace.check(table: workspace.path("lake/sports/event"), key: "id")

        // Another session, elsewhere: columns, keys and rows are those of the files.
        let read = try workspace.ok("sql", "--catalog", "lake.catalog", "--output", "csv", "-e", "USE sports; SHOW TABLES; SELECT name FROM event WHERE id = 2; SHOW CREATE TABLE team")
        for part in ["event", "player", "team", "Semi", "`id` BIGINT NOT NULL", "PRIMARY KEY (`id`) NOT ENFORCED", workspace.path("lake/sports/team")] {
            #expect(read.out.contains(part), "\(part) is missing: \(read)")
        }
        try write(workspace, "team", "later.csv", "2,Bears\n")
        let one = try workspace.ok("run", "sports.yaml", "--table", "db.team", "--output", "json")
        #expect(try one.objects().filter { $0["state"] as? String == "finished" }.map { $0["rows_read"] as? Int } == [1], "\(one)")
        try workspace.run("run", "sports.yaml", "--table", "db.teams").expectOneError(containing: "replication sports has no table db.teams", "db.team")
    }

    @Test("without end: a bad table is retried alone and shown by jobs; new tables and files are picked up; stop, kill and start again lose nothing")
    func continuous() throws {
        let workspace = try Workspace()
        try workspace.write(Self.definition(bounded: false), to: "sports.yaml")
        try write(workspace, "player", "LOAD00000001.csv", "1,Ann\n")
        try write(workspace, "event", "LOAD00000001.csv", "x,Final\n")
        let run = try workspace.start(["run", "sports.yaml"])
        func tables() throws -> [String: [String: Any]] {
            let all = try workspace.status(of: "sports")?["tables"] as? [[String: Any]] ?? []
            return Dictionary(uniqueKeysWithValues: all.map { ($0["table"] as! String, $0) })
        }
        func count(_ table: String) throws -> [String] {
            let outcome = try workspace.run("table", "query", "lake/sports/\(table)", "SELECT COUNT(*) AS n FROM t", "--output", "csv")
            return outcome.lines.suffix(1).map { String($0) }
        }
        try eventually("the bad table is retried and the good one committed") {
            try tables()["db.event"]?["state"] as? String == "retrying" && count("player") == ["1"]
        }
        #expect(try (tables()["db.event"]?["error"] as? String)?.contains("raw/db/event/LOAD00000001.csv:2:1") == true)
        let shown = try workspace.ok("jobs").out
        #expect(shown.contains("sports.db.player") && shown.contains("2 tables, 1 failing") && shown.contains("sports: table db.event retrying: "), "\(shown)")
        try write(workspace, "team", "LOAD00000001.csv", "1,Rams\n")
        try write(workspace, "player", "later.csv", "2,Bob\n")
        try write(workspace, "event", "LOAD00000001.csv", "1,Final\n2,Semi\n")
        try eventually("all rows of all tables") { try count("player") == ["2"] && count("team") == ["1"] && count("event") == ["2"] }
        try eventually("no table fails") { try tables().values.allSatisfy { $0["state"] as? String == "running" && $0["error"] == nil } }
        let second = try workspace.run("run", "sports.yaml")
        second.expectOneError(containing: "job sports runs already")

        try run.crash()
        try write(workspace, "team", "later.csv", "2,Bears\n3,Jets\n")
        let again = try workspace.start(["run", "sports.yaml"])
        try eventually("what came while it was down") { try count("team") == ["3"] }
        #expect(try count("player") == ["2"] && count("event") == ["2"])
        try workspace.ok("stop", "sports")
        let end = try again.end()
        #expect(end.status == 0, "\(end)")
        for table in ["player", "team", "event"] { try workspace.check(table: workspace.path("lake/sports/\(table)"), key: "id") }
    }

    @Test("table ddl: a view that DuckDB runs over the live files, and statements for Athena, Trino and Spark")
    func ddl() throws {
        let workspace = try Workspace()
        try workspace.write("""
            CREATE TABLE orders (id INT, product STRING, amount DECIMAL(3, 1), `day` STRING, PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (`day`)
            WITH ('connector' = 'hudi', 'path' = 'orders', 'precombine.field' = 'product', 'hoodie.datasource.write.hive_style_partitioning' = 'true');
            INSERT INTO orders VALUES (1, 'a', 1.5, '2020-09-02'), (2, 'it''s', 2.5, '2020-09-03');
            """, to: "fill.sql")
        try workspace.ok("run", "fill.sql", "--quiet")
        try workspace.write("CREATE TABLE o WITH ('connector' = 'hudi', 'path' = 'orders'); INSERT INTO o VALUES (1, 'b', CAST(3.5 AS DECIMAL(3, 1)), '2020-09-02');", to: "more.sql")
        try workspace.ok("run", "more.sql", "--quiet")

        let athena = try workspace.ok("table", "ddl", "orders", "--engine", "athena", "--location", "s3://bucket/order_hudi_cow", "--database", "order_db").out
        #expect(athena == """
            CREATE DATABASE IF NOT EXISTS `order_db`;

            CREATE EXTERNAL TABLE `order_db`.`orders` (
              `_hoodie_commit_time` string,
              `_hoodie_commit_seqno` string,
              `_hoodie_record_key` string,
              `_hoodie_partition_path` string,
              `_hoodie_file_name` string,
              `id` int,
              `product` string,
              `amount` decimal(3,1)
            )
            PARTITIONED BY (
              `day` string
            )
            ROW FORMAT SERDE
              'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'
            STORED AS INPUTFORMAT
              'org.apache.hudi.hadoop.HoodieParquetInputFormat'
            OUTPUTFORMAT
              'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'
            LOCATION
              's3://bucket/order_hudi_cow';

            ALTER TABLE `order_db`.`orders` ADD IF NOT EXISTS
              PARTITION (`day` = '2020-09-02') LOCATION 's3://bucket/order_hudi_cow/day=2020-09-02/'
              PARTITION (`day` = '2020-09-03') LOCATION 's3://bucket/order_hudi_cow/day=2020-09-03/';

            """)
        let spark = try workspace.ok("table", "ddl", "orders", "--engine", "spark").out
        for part in ["USING hudi", "PARTITIONED BY (`day`)", "primaryKey = 'id'", "preCombineField = 'product'", "type = 'cow'", "LOCATION '", "`amount` DECIMAL(3,1)"] {
            #expect(spark.contains(part), "\(part) is missing: \(spark)")
        }
        #expect(try workspace.ok("table", "ddl", "orders", "--engine", "trino").out.contains("SELECT count(*) FROM hudi.\"default\".\"orders\""))

        try workspace.write(try workspace.ok("table", "ddl", "orders", "--engine", "duckdb", "--database", "lake").out, to: "view.sql")
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Workspace.root + "/.venv/bin/python"
        let code = """
            import duckdb
            c = duckdb.connect("orders.duckdb")
            c.execute(open("view.sql").read())
            print(c.sql("SELECT count(*), sum(amount), max(product), min(_hoodie_record_key), typeof(any_value(amount)) FROM lake.orders").fetchall())
            """
        let rows = try workspace.start(["-c", code], program: python).end()
        #expect(rows.out == "[(2, Decimal('6.0'), \"it's\", '1', 'DECIMAL(3,1)')]\n", "\(rows)")
        try workspace.run("table", "ddl", "nowhere", "--engine", "spark").expectOneError(containing: "there is no Hudi table at")
    }
}
