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

    @Test("killed again and again between and within the load and the changes: every table is what one run would have made, and no row is there twice")
    func kills() throws {
        var random = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: 0..<1_000_000, using: &random)
        var state = seed
        func next(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        let workspace = try Workspace()
        try workspace.write("""
            name: kills
            replications:
              kills:
                source: {connector: filesystem, path: raw, format: dms, dms.csv.header: true}
                defaults: {columns: {id: BIGINT, v: STRING, at: BIGINT}, key: id, ordering: at}
                sink: {connector: hudi, path: "lake/{table}"}
                tables-at-once: 2
            settings:
              checkpoint: {interval: 30 ms}
            """, to: "kills.yaml")
        var wanted: [String: [Int: (v: String, at: Int)]] = [:]
        for table in ["a", "b", "c"] {
            try FileManager.default.createDirectory(atPath: workspace.path("raw/db/\(table)"), withIntermediateDirectories: true)
            var rows: [Int: (v: String, at: Int)] = [:]
            for part in 1...3 {
                var text = "id,v,at\n"
                for id in (part * 4_000)..<(part * 4_000 + 4_000) {
                    rows[id] = ("load", 1)
                    text += "\(id),load,1\n"
                }
                try workspace.write(text, to: "raw/db/\(table)/LOAD0000000\(part).csv")
            }
            for file in 1...6 {
                var text = "Op,id,v,at\n"
                for change in 0..<800 {
                    let id = 4_000 + next(14_000), at = file * 1_000 + change + 1, isDelete = next(4) == 0
                    if isDelete { rows[id] = nil } else { rows[id] = ("f\(file)", at) }
                    text += "\(isDelete ? "D" : "U"),\(id),f\(file),\(at)\n"
                }
                try workspace.write(text, to: "raw/db/\(table)/2024010\(file)-000000000.csv")
            }
            wanted[table] = rows
        }
        for round in 0..<6 {
            let run = try workspace.start(["run", "kills.yaml", "--quiet"])
            let deadline = Date(timeIntervalSinceNow: Double(100 + next(900)) / 1_000 * Double(1 + round))
            try eventually("a while, or the end") { Date() > deadline || !run.isRunning }
            if !run.isRunning { break }
            try run.crash()
        }
        try workspace.ok("run", "kills.yaml")
        for (table, rows) in wanted {
            try workspace.check(table: workspace.path("lake/\(table)"), key: "id")
            let found = try workspace.rows(table: "lake/\(table)", "SELECT COUNT(*) AS n, COUNT(DISTINCT id) AS keys, SUM(`at`) AS a, SUM(id) AS ids FROM t")
            #expect(found == ["a=\(rows.values.reduce(0) { $0 + $1.at }) ids=\(rows.keys.reduce(0, +)) keys=\(rows.count) n=\(rows.count)"], "table \(table), seed \(seed)")
        }
        let again = try workspace.ok("run", "kills.yaml", "--output", "json")
        #expect(try again.objects().filter { $0["state"] as? String == "finished" }.map { $0["rows_read"] as? Int } == [0, 0, 0], "\(again)")
    }

    @Test("a Kafka topic per table: topics are found by their names, also those that are made later")
    func topics() throws {
        let workspace = try Workspace(), judge = try Broker.shared.judge, prefix = Broker.fresh("cli-replicated")
        func change(_ table: String, _ id: Int, _ name: String) throws {
            try judge.produce("\(prefix).shop.\(table)", [#"{"before": null, "after": {"id": \#(id), "name": "\#(name)"}, "op": "c"}"#])
        }
        try judge.create("\(prefix).shop.orders", partitions: 1, settings: [:])
        try change("orders", 1, "first")
        try workspace.write("""
            name: shop
            replications:
              shop:
                source:
                  connector: kafka
                  properties.bootstrap.servers: \(try Broker.shared.bootstrap)
                  topic: \(prefix).{schema}.{table}
                  scan.startup.mode: earliest-offset
                  format: debezium-json
                defaults: {key: id, columns: {id: BIGINT}}
                sink: {connector: hudi, path: "lake/{schema}/{table}"}
                bounded: false
                discovery-interval: 200 ms
            settings:
              checkpoint: {interval: 200 ms}
            """, to: "shop.yaml")
        func names(_ table: String) throws -> [String] {
            let outcome = try workspace.run("table", "query", "lake/shop/\(table)", "SELECT name FROM t ORDER BY id", "--output", "csv")
            return outcome.status == 0 ? Array(outcome.lines.dropFirst()) : []
        }
        let run = try workspace.start(["run", "shop.yaml"])
        try eventually("the first table") { try names("orders") == ["first"] }
        try judge.create("\(prefix).shop.items", partitions: 1, settings: [:])
        try change("items", 7, "later")
        try change("orders", 2, "second")
        try eventually("both tables") { try names("orders") == ["first", "second"] && names("items") == ["later"] }
        run.signal(SIGINT)
        #expect(try run.end().status == 0)
        try workspace.check(table: workspace.path("lake/shop/items"), key: "id")
    }

    @Test("tables of the other formats: read by their own readers, known to the catalog", arguments: ["delta", "iceberg"])
    func formats(format: String) throws {
        let workspace = try Workspace()
        try workspace.write("""
            name: many
            replications:
              many:
                source: {connector: filesystem, path: raw, format: dms, dms.csv.header: true, dms.timestamp-column: at}
                defaults: {key: id, columns: {id: BIGINT}, ordering: at, domain: lake}
                sink: {connector: \(format), path: "lake/{table}"}
            """, to: "many.yaml")
        for table in ["a", "b"] {
            try FileManager.default.createDirectory(atPath: workspace.path("raw/db/\(table)"), withIntermediateDirectories: true)
            try workspace.write("at,id,v\n2024-01-01 00:00:00,1,one\n2024-01-01 00:00:00,2,two\n", to: "raw/db/\(table)/LOAD00000001.csv")
        }
        try workspace.ok("run", "many.yaml", "--catalog", "lake.catalog")
        try workspace.write("Op,at,id,v\nU,2024-01-02 00:00:00,1,uno\nD,2024-01-02 00:00:00,2,two\nI,2024-01-02 00:00:00,3,three\n", to: "raw/db/a/20240102-000000000.csv")
        let second = try workspace.ok("run", "many.yaml", "--catalog", "lake.catalog")
        #expect(second.errors.contains("table db.a: finished, 3 rows read") && second.errors.contains("table db.b: finished, 0 rows read") && !second.errors.contains("warning"), "\(second)")
        let code = """
            import glob, sys
            def rows(path):
                if sys.argv[1] == "delta":
                    from deltalake import DeltaTable
                    t = DeltaTable(path).to_pyarrow_table()
                else:
                    from pyiceberg.table import StaticTable
                    t = StaticTable.from_metadata(max(glob.glob(path + "/metadata/*.metadata.json"), key=lambda f: int("".join(c for c in f.rsplit("/", 1)[1].split(".")[0].split("-")[0] if c.isdigit())))).scan().to_arrow()
                return sorted((r["id"], r["v"]) for r in t.to_pylist())
            print(rows("lake/a"), rows("lake/b"))
            """
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Workspace.root + "/.venv/bin/python"
        let judged = try workspace.start(["-c", code, format], program: python).end()
        #expect(judged.out == "[(1, 'uno'), (3, 'three')] [(1, 'one'), (2, 'two')]\n", "\(judged)")
        let read = try workspace.ok("sql", "--catalog", "lake.catalog", "--output", "csv", "-e", "SELECT v FROM lake.a WHERE id = 3; SHOW CREATE TABLE lake.b")
        #expect(read.out.contains("three") && read.out.contains("`id` BIGINT NOT NULL"), "\(read)")
        #expect(try workspace.ok("table", "ddl", "lake/a", "--engine", "trino", "--database", "d").out
            == "CALL \(format).system.register_table(schema_name => 'd', table_name => 'a', table_location => '\(workspace.path("lake/a"))');\n")
        #expect(try workspace.ok("table", "ddl", "lake/a", "--engine", "duckdb").out.contains("\(format)_scan('"))
    }

    @Test("the shipped example runs as its comments say")
    func example() throws {
        let workspace = try Workspace()
        func file(_ path: String, _ text: String) throws {
            try FileManager.default.createDirectory(atPath: URL(filePath: workspace.path(path)).deletingLastPathComponent().path, withIntermediateDirectories: true)
            try workspace.write(text, to: path)
        }
        try file("raw/dms_sample/nfl_stadium_data/LOAD00000001.csv", "last_update_time,sport_location_id,team,seatin_capacity\n2024-01-01 00:00:00.000000,31,Los Angeles Rams,90000\n")
        try file("raw/dms_sample/player/LOAD00000001.csv", "last_update_time,id,full_name\n2024-01-01 00:00:00.000000,1,Ann\n")
        try file("raw/dms_sample/sporting_event/LOAD00000001.csv", "last_update_time,id,sport_type_name\n2024-01-01 00:00:00.000000,11,football\n2024-01-01 00:00:00.000000,12,baseball\n")
        let topology = Workspace.topologies + "/replicate.yaml"
        try workspace.ok("run", topology)
        try file("raw/dms_sample/nfl_stadium_data/20240102-000000000.csv", "Op,last_update_time,sport_location_id,team,seatin_capacity\nU,2024-01-02 00:00:00.000000,31,Los Angeles Rams,93703\n")
        try workspace.ok("run", topology, "--table", "dms_sample.nfl_stadium_data")
        #expect(try workspace.rows(table: "lake/sports/nfl_stadium_data", "SELECT team, seatin_capacity FROM t") == ["seatin_capacity=93703 team=Los Angeles Rams"])
        #expect(FileManager.default.fileExists(atPath: workspace.path("lake/sports/sporting_event/sport_type_name=football")))
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
