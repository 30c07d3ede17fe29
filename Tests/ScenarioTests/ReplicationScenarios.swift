import FileConnectors
import Foundation
import HudiTable
import KinesisConnector
import ParquetFormat
import ShardLog
import StreamCore
import StreamFormats
import StreamRuntime
import StreamSQL
import Synchronization
import TableReplication
import Testing
import Topology

/// A replication's directory: raw files by schema and table, the lake, checkpoints; and the jobs, run by the engine.
final class ReplicationBench: Sendable {
    let directory: String
    let replication: Replication

    /// - Parameter definition: the lines below the replication's name; `DIR` stands for the directory.
    init(_ definition: String, config: String? = nil) throws {
        directory = NSTemporaryDirectory() + "swiftwater-replication-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        if let config { try config.write(toFile: directory + "/tables.json", atomically: true, encoding: .utf8) }
        let lines = definition.replacing("DIR", with: directory).split(separator: "\n").map { "    \($0)\n" }.joined()
        let topology = try Topology.parse(yaml: "name: test\nreplications:\n  lake:\n" + lines, file: directory + "/topology.yaml", variables: [:])
        replication = topology.replications[0]
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    func write(_ text: String, _ path: String) throws {
        let file = directory + "/" + path
        try FileManager.default.createDirectory(atPath: URL(filePath: file).deletingLastPathComponent().path, withIntermediateDirectories: true)
        try text.write(toFile: file, atomically: true, encoding: .utf8)
    }

    /// Runs all tables, or some, to the end of what there is.
    /// - Returns: the tables' states, what was warned of, and what the run failed with.
    @discardableResult
    func run(only: Set<String> = []) -> (tables: [String: TableState], warnings: [String], failure: StreamError?) {
        let warnings = Mutex<[String]>([])
        let run = ReplicationRun(replication, discovery: TableDiscovery(source: replication.source), only: only, report: { event in
            if case .warning(let text) = event { warnings.withLock { $0.append(text) } }
        }) { [self] handle in try execute(handle) }
        var failure: StreamError?
        do { try run.run() } catch { failure = error as? StreamError }
        return (Dictionary(uniqueKeysWithValues: run.tables.map { ($0.table, $0) }), warnings.withLock { $0 }, failure)
    }

    static func session() -> SQLSession { SQLSession(connectors: [FilesystemConnector(), KinesisConnector(), HudiConnector()]) }

    func execute(_ handle: TableHandle) throws {
        var rows: Int64 = 0
        for job in try handle.table.jobs(Self.session) where !handle.isStopped {
            let session = Self.session()
            for statement in job.statements {
                guard case .insert(var graph) = try session.execute(statement) else { continue }
                graph.name = job.name
                var recovery = RecoveryOptions(directory: "\(directory)/checkpoints/\(job.name)", jobID: job.name)
                recovery.keepsFinished = session.settings.recovery.keepsCheckpointsAtEnd
                recovery.restart = session.settings.restart
                let runner = try JobRunner(graph, recovery: recovery)
                handle.whenStopped { runner.stop() }
                runner.onEvent { event in
                    if case .restarting(_, _, let error) = event { handle.noteRetry(error) }
                    if case .checkpointCompleted = event { handle.noteProgress() }
                }
                try runner.run()
                rows += runner.status().filter { $0.rowsIn == 0 }.reduce(0) { $0 + $1.rowsOut }
            }
        }
        handle.noteRows(rows)
    }

    /// Rows by DuckDB over the files that hudi-rs lists.
    func rows(_ table: String, _ query: String) throws -> String {
        try Harness.output(Harness.python, [Harness.support + "/hudi/query_files.py", directory + "/" + table, query])
    }

    func check(_ table: String, key: String) throws {
        _ = try Harness.output(Harness.python, [Harness.support + "/hudi/check_table.py", directory + "/" + table, "--key", key])
    }
}

extension Harness {
    static var python: String { ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? root + "/.venv/bin/python" }
}

@Suite("Replication scenarios") struct ReplicationScenarios {
    private static let config = """
        {"dms_sample.player": {"primaryKey": "id", "domain": "sports", "partitionCols": ""},
         "dms_sample.nfl_stadium_data": {"primaryKey": "sport_location_id,team", "domain": "sports", "partitionCols": "conference"},
         "dms_sample.mlb_data": {"primaryKey": "mlb_id", "domain": "baseball", "partitionCols": ""},
         "dms_sample.keyless": {"primaryKey": "", "domain": "sports", "partitionCols": ""},
         "dms_sample.absent": {"primaryKey": "id", "domain": "sports", "partitionCols": ""}}
        """

    private func bench() throws -> ReplicationBench {
        let bench = try ReplicationBench("""
            source: {connector: filesystem, path: DIR/raw, format: csv, csv.header: true}
            config: tables.json
            schema-evolution: false
            tables:
              dms_sample.player: {columns: {id: BIGINT, name: STRING, last_update_time: TIMESTAMP(3)}, ordering: last_update_time}
              dms_sample.nfl_stadium_data: {columns: {sport_location_id: INT, team: STRING, conference: STRING, capacity: INT}}
              dms_sample.mlb_data: {columns: {mlb_id: BIGINT, bats: STRING}}
            sink: {connector: hudi, path: "DIR/lake/{domain}/{table}", hoodie.datasource.write.hive_style_partitioning: true}
            """, config: Self.config)
        try bench.write("id,name,last_update_time\n1,Ann,2024-01-01 10:00:00\n2,Bob,2024-01-01 10:00:00\n", "raw/dms_sample/player/LOAD00000001.csv")
        try bench.write("id,name,last_update_time\n3,Cid,2024-01-01 10:00:00\n", "raw/dms_sample/player/LOAD00000002.csv")
        try bench.write("sport_location_id,team,conference,capacity\n31,Rams,NFC,90000\n32,Bears,NFC,61500\n33,Jets,AFC,82500\n",
                        "raw/dms_sample/nfl_stadium_data/LOAD00000001.csv")
        try bench.write("mlb_id,bats\n506560,L\nnobody,R\n", "raw/dms_sample/mlb_data/LOAD00000001.csv")
        try bench.write("a\n1\n", "raw/dms_sample/keyless/LOAD00000001.csv")
        try bench.write("a\n1\n", "raw/dms_sample/unlisted/LOAD00000001.csv")
        return bench
    }

    @Test("19: three tables, one with bad data: two load, the run fails naming the third, a retry reads only the third")
    func isolation() throws {
        let bench = try bench()
        let first = bench.run()
        #expect(first.tables.mapValues(\.state) == ["dms_sample.player": .finished, "dms_sample.nfl_stadium_data": .finished, "dms_sample.mlb_data": .failed])
        #expect(first.failure?.problem == "replication lake: 1 of 3 tables failed: dms_sample.mlb_data", "\(String(describing: first.failure))")
        #expect(first.tables["dms_sample.mlb_data"]?.error?.contains("raw/dms_sample/mlb_data/LOAD00000001.csv:3:1") == true, "\(first.tables)")
        #expect(first.tables.mapValues(\.rows)["dms_sample.player"] == 3)
        #expect(first.warnings.count == 2 && first.warnings.contains { $0.contains("dms_sample.keyless of replication lake has no primary key") }
            && first.warnings.contains { $0.contains("dms_sample.absent of replication lake is not in the source") }, "\(first.warnings)")
        #expect(try bench.rows("lake/sports/player", "SELECT id, name FROM t ORDER BY id") == #"[[1, "Ann"], [2, "Bob"], [3, "Cid"]]"#)
        #expect(try bench.rows("lake/sports/nfl_stadium_data", "SELECT sum(capacity), count(*) FROM t") == "[[234000, 3]]")
        try bench.check("lake/sports/player", key: "id")
        try bench.check("lake/sports/nfl_stadium_data", key: "sport_location_id,team")

        // What the good tables have read is not opened any more: it may go.
        try FileManager.default.removeItem(atPath: bench.directory + "/raw/dms_sample/player/LOAD00000001.csv")
        try FileManager.default.removeItem(atPath: bench.directory + "/raw/dms_sample/nfl_stadium_data/LOAD00000001.csv")
        let commits = try HudiTable.open(bench.directory + "/lake/sports/player").timeline.count
        #expect(bench.run().failure?.problem.contains("1 of 3 tables failed: dms_sample.mlb_data") == true)
        try bench.write("mlb_id,bats\n506560,L\n506561,R\n", "raw/dms_sample/mlb_data/LOAD00000001.csv")
        let retry = bench.run()
        #expect(retry.failure == nil, "\(String(describing: retry.failure))")
        #expect(retry.tables.mapValues(\.rows) == ["dms_sample.player": 0, "dms_sample.nfl_stadium_data": 0, "dms_sample.mlb_data": 2])
        #expect(try HudiTable.open(bench.directory + "/lake/sports/player").timeline.count == commits)
        #expect(try bench.rows("lake/baseball/mlb_data", "SELECT mlb_id, bats FROM t ORDER BY 1") == #"[[506560, "L"], [506561, "R"]]"#)
        #expect(!FileManager.default.fileExists(atPath: bench.directory + "/lake/sports/unlisted"))
        try bench.check("lake/baseball/mlb_data", key: "mlb_id")
    }

    @Test("files that come later are read by the next run, alone; the newest by ordering wins, whatever the file")
    func incremental() throws {
        let bench = try bench()
        try bench.write("mlb_id,bats\n506560,L\n", "raw/dms_sample/mlb_data/LOAD00000001.csv")
        #expect(bench.run().failure == nil)
        try bench.write("id,name,last_update_time\n1,Anna,2024-01-02 10:00:00\n2,Old,2023-01-01 00:00:00\n1,Ann?,2024-01-01 12:00:00\n", "raw/dms_sample/player/20240102-100000000.csv")
        let next = bench.run(only: ["dms_sample.player"])
        #expect(next.tables.mapValues(\.rows) == ["dms_sample.player": 3] && next.failure == nil, "\(next)")
        #expect(try bench.rows("lake/sports/player", "SELECT id, name FROM t ORDER BY id") == #"[[1, "Anna"], [2, "Bob"], [3, "Cid"]]"#)
        #expect(bench.run(only: ["dms_sample.players"]).failure?.problem == "replication lake has no table dms_sample.players")
    }

    @Test("an export is read to its end before the stream of changes, once; rows changed in between are right")
    func initialThenChanges() throws {
        let bench = try ReplicationBench("""
            initial: {connector: filesystem, path: "DIR/export/{table}", format: json}
            source: {connector: filesystem, path: "DIR/changes/{table}", format: debezium-json}
            schema-evolution: false
            defaults: {key: id, columns: {id: BIGINT, v: STRING, at: BIGINT}, ordering: at}
            sink: {connector: hudi, path: "DIR/lake/{table}"}
            """)
        func change(_ op: String, _ before: String, _ after: String) -> String { #"{"before": \#(before), "after": \#(after), "op": "\#(op)"}"# + "\n" }
        for table in ["a", "b"] {
            try bench.write(#"{"id": 1, "v": "one", "at": 10}"# + "\n" + #"{"id": 2, "v": "two", "at": 20}"# + "\n" + #"{"id": 3, "v": "three", "at": 30}"# + "\n", "export/\(table)/part-0.json")
            // The first change is older than the export of its row, the second newer; the third deletes.
            try bench.write(change("u", #"{"id": 2, "v": "zero", "at": 5}"#, #"{"id": 2, "v": "stale", "at": 15}"#)
                + change("u", #"{"id": 1, "v": "one", "at": 10}"#, #"{"id": 1, "v": "uno", "at": 40}"#)
                + change("d", #"{"id": 3, "v": "three", "at": 50}"#, "null") + change("c", "null", #"{"id": 4, "v": "four", "at": 60}"#), "changes/\(table)/part-0.json")
        }
        let first = bench.run()
        #expect(first.failure == nil && first.tables.mapValues(\.state) == ["a": .finished, "b": .finished], "\(first)")
        for table in ["a", "b"] {
            #expect(try bench.rows("lake/\(table)", "SELECT id, v FROM t ORDER BY id") == #"[[1, "uno"], [2, "two"], [4, "four"]]"#)
            try bench.check("lake/\(table)", key: "id")
        }
        let again = bench.run()
        #expect(again.failure == nil && again.tables.mapValues(\.rows) == ["a": 0, "b": 0], "\(again)")
        #expect(try HudiTable.open(bench.directory + "/lake/a").timeline.count == 2)
    }

    @Test("17 as a topology: three ALTERs, four inserts in DMS files; seven columns by themselves, of which the old ones stay", arguments: ["csv", "json", "parquet"])
    func schemaEvolution(format: String) throws {
        FormatFactory.register([ParquetFormat()])
        let bench = try ReplicationBench("""
            source: {connector: filesystem, path: DIR/raw, format: dms, dms.file-format: \(format)\(format == "csv" ? ", dms.csv.header: true" : "")}
            tables:
              "db\\\\.obj.*": {key: object_id}
            sink: {connector: hudi, path: "DIR/refined/{schema}/{table}"}
            """)
        /// A file with one row: names and values, numbers as they are.
        func file(_ name: String, _ op: String?, _ row: [(String, String)]) throws {
            let fields = (op.map { [("Op", $0)] } ?? []) + row
            let numbers: Set = ["object_id", "test_column"]
            let text = format == "csv"
                ? fields.map(\.0).joined(separator: ",") + "\n" + fields.map { numbers.contains($0.0) || $0.0 == "Op" ? $0.1 : "\"\($0.1)\"" }.joined(separator: ",") + "\n"
                : "{" + fields.map { "\"\($0.0)\": " + (numbers.contains($0.0) ? $0.1 : "\"\($0.1)\"") }.joined(separator: ", ") + "}\n"
            guard format == "parquet" else { return try bench.write(text, "raw/db/object/\(name).\(format)") }
            try bench.write(text, "row.json")
            try FileManager.default.createDirectory(atPath: bench.directory + "/raw/db/object", withIntermediateDirectories: true)
            let code = "import json, sys, pyarrow as pa, pyarrow.parquet as pq; pq.write_table(pa.Table.from_pylist([json.load(open(sys.argv[1]))]), sys.argv[2])"
            _ = try Harness.output(Harness.python, ["-c", code, bench.directory + "/row.json", "\(bench.directory)/raw/db/object/\(name).parquet"])
        }
        func run() throws {
            let end = bench.run()
            #expect(end.failure == nil && end.tables["db.object"]?.rows == 1, "\(end)")
        }
        try file("LOAD00000001", nil, [("object_name", "obj1"), ("object_description", "Object-1"), ("new_column_add", ""), ("new_field_1", ""), ("object_id", "1")])
        try run()
        // The column comes second: fields are found by their names, not by their places.
        try file("20240102-000000001", "I", [("object_name", "obj2"), ("test_column", "22"), ("object_description", "test-2"), ("new_column_add", ""), ("new_field_1", ""), ("object_id", "2")])
        try run()
        try file("20240103-000000001", "I", [("object_name", "obj3"), ("test_column", "33"), ("object_description", "test-3"), ("new_column_add", ""), ("new_field_2", "new-3"), ("object_id", "3")])
        try run()
        try file("20240104-000000001", "I", [("object_name", "obj4"), ("test_column", "44"), ("object_description", "test-4"), ("new_column_add", ""), ("object_id", "4")])
        try run()
        let table = try HudiTable.open(bench.directory + "/refined/db/object")
        #expect(Set(table.schema.map(\.name)) == ["object_id", "object_name", "object_description", "new_column_add", "new_field_1", "test_column", "new_field_2"])
        #expect(table.schema.count == 7)
        #expect(try bench.rows("refined/db/object", """
            SELECT object_name, CAST(test_column AS VARCHAR), object_description, new_column_add, new_field_1, new_field_2, CAST(object_id AS INT) FROM t ORDER BY object_name
            """) == #"[["obj1", null, "Object-1", "", "", null, 1], ["obj2", "22", "test-2", "", "", null, 2], "#
                + #"["obj3", "33", "test-3", "", null, "new-3", 3], ["obj4", "44", "test-4", "", null, null, 4]]"#)
        try bench.check("refined/db/object", key: "object_id")
        // Updates and deletes find the rows whatever their columns were.
        try file("20240105-000000001", "U", [("object_name", "obj1"), ("test_column", "11"), ("object_description", "Object-1"), ("new_column_add", ""), ("object_id", "1")])
        try run()
        try file("20240105-000000002", "D", [("object_name", "obj2"), ("test_column", "22"), ("object_description", "test-2"), ("new_column_add", ""), ("object_id", "2")])
        try run()
        #expect(try bench.rows("refined/db/object", "SELECT CAST(object_id AS INT), CAST(test_column AS VARCHAR), new_field_1 FROM t ORDER BY 1")
            == #"[[1, "11", null], [3, "33", null], [4, "44", null]]"#)
        try bench.check("refined/db/object", key: "object_id")
    }

    @Test("full load, then changes: a row changed in between is right; the last of a key's changes in a file wins, at equal times the later; deleted keys are absent")
    func twoPhases() throws {
        let bench = try ReplicationBench("""
            source: {connector: filesystem, path: DIR/raw, format: dms, dms.csv.header: true, dms.timestamp-column: last_update_time}
            defaults: {ordering: last_update_time, domain: sports}
            config: tables.json
            sink: {connector: hudi, path: "DIR/lake/{domain}/{table}"}
            """, config: #"{"dms_sample.mlb_data": {"primaryKey": "mlb_id", "domain": "sports", "partitionCols": ""}}"#)
        let head = "last_update_time,mlb_id,bats\n", changeHead = "Op,last_update_time,mlb_id,bats\n"
        try bench.write(head + "2024-01-01 00:00:00.000000,1,L\n2024-01-01 00:00:00.000000,2,L\n", "raw/dms_sample/mlb_data/LOAD00000001.csv")
        try bench.write(head + "2024-01-01 00:00:00.000000,3,L\n", "raw/dms_sample/mlb_data/LOAD00000002.csv")
        // A change that was made while the load ran is in the first change file: it comes behind the whole load, also when both are there at once.
        try bench.write(changeHead + "U,2024-01-01 00:00:01.000000,3,R\nU,2023-12-31 23:59:59.000000,2,old\n", "raw/dms_sample/mlb_data/20240101-000001000.csv")
        let load = bench.run()
        #expect(load.failure == nil && load.tables["dms_sample.mlb_data"]?.rows == 5, "\(load)")
        let query = "SELECT CAST(mlb_id AS INT), bats FROM t ORDER BY 1"
        #expect(try bench.rows("lake/sports/mlb_data", query) == #"[[1, "L"], [2, "L"], [3, "R"]]"#)
        try bench.write(changeHead + "I,2024-01-02 00:00:00.000000,4,a\nU,2024-01-02 00:00:02.000000,4,b\nU,2024-01-02 00:00:02.000000,4,c\nU,2024-01-02 00:00:01.000000,4,late\n"
            + "I,2024-01-02 00:00:00.000000,5,a\nU,2024-01-02 00:00:01.000000,5,b\nU,2024-01-02 00:00:02.000000,5,c\nD,2024-01-02 00:00:03.000000,5,c\n"
            + "D,2024-01-02 00:00:00.000000,1,L\n", "raw/dms_sample/mlb_data/20240102-000000000.csv")
        let changes = bench.run()
        #expect(changes.failure == nil && changes.tables["dms_sample.mlb_data"]?.rows == 9, "\(changes)")
        #expect(try bench.rows("lake/sports/mlb_data", query) == #"[[2, "L"], [3, "R"], [4, "c"]]"#)
        #expect(bench.run().tables["dms_sample.mlb_data"]?.rows == 0)
        #expect(Set(try HudiTable.open(bench.directory + "/lake/sports/mlb_data").schema.map(\.name)) == ["mlb_id", "bats", "last_update_time"])
        try bench.check("lake/sports/mlb_data", key: "mlb_id")
    }

    @Test("one stream with the records of many tables: each table takes its own, and deletes of others' keys do not touch it")
    func sharedStream() throws {
        let bench = try ReplicationBench("""
            source: {connector: kinesis, stream: changes, scan.stream.initpos: TRIM_HORIZON, format: dynamodb-json, dynamodb-json.changelog-mode: upsert, log.directory: DIR/log}
            table-from: table
            defaults: {key: id, columns: {id: STRING}}
            tables: {people: {}, houses: {}, nobody: {}}
            sink: {connector: hudi, path: "DIR/lake/{table}"}
            """)
        let log = try ShardLog(directory: bench.directory + "/log")
        try log.createStream("changes", shards: 1)
        var number = 0
        func record(_ table: String, _ event: String, _ id: String, _ city: String?) -> Record {
            number += 1
            let image = city.map { #", "NewImage": {"id": {"S": "\#(id)"}, "city": {"S": "\#($0)"}, "n": {"N": "\#(number)"}}"# } ?? ""
            return Record(partitionKey: id, data: Array(#"""
                {"awsRegion": "eu-north-1", "eventID": "\#(number)", "eventName": "\#(event)", "userIdentity": null, "recordFormat": "application/json", "tableName": "\#(table)",
                 "dynamodb": {"ApproximateCreationDateTime": 1700000000\#(100 + number), "Keys": {"id": {"S": "\#(id)"}}\#(image), "SizeBytes": 20}, "eventSource": "aws:dynamodb"}
                """#.utf8))
        }
        let writer = try log.writer("changes")
        _ = try writer.append([
            record("people", "INSERT", "1", "Oslo"), record("houses", "INSERT", "1", "Bergen"), record("people", "INSERT", "2", "Bodø"),
            record("people", "MODIFY", "1", "Moss"), record("houses", "INSERT", "2", "Voss"), record("people", "REMOVE", "2", nil),
        ])
        try writer.close()
        let end = bench.run()
        #expect(end.failure == nil, "\(end)")
        #expect(try bench.rows("lake/people", "SELECT id, city FROM t ORDER BY 1") == #"[["1", "Moss"]]"#)
        #expect(try bench.rows("lake/houses", "SELECT id, city FROM t ORDER BY 1") == #"[["1", "Bergen"], ["2", "Voss"]]"#)
        #expect(!FileManager.default.fileExists(atPath: bench.directory + "/lake/nobody/.hoodie/hoodie.properties") || end.tables["nobody"]?.state == .finished)
        try bench.check("lake/people", key: "id")
        try bench.check("lake/houses", key: "id")
    }

    @Test("what rules say of a table: its own name counts first, then expressions in their order, then the defaults")
    func rules() throws {
        let bench = try ReplicationBench("""
            source: {connector: filesystem, path: "DIR/raw/{schema}.{table}", format: json}
            defaults: {key: id, columns: {id: BIGINT}, domain: other}
            config: tables.json
            tables:
              'shop\\..*': {domain: shop, partitioned-by: [day]}
              'shop\\.old_.*': {exclude: true}
              shop.orders: {key: "a, b", partitioned-by: []}
            sink: {connector: hudi, path: "DIR/lake/{domain}/{schema}_{table}"}
            """, config: #"{"hr.people": {"primaryKey": "pid", "domain": "", "partitionCols": "x,y"}}"#)
        for name in ["shop.orders", "shop.items", "shop.old_items", "hr.people", "hr.secrets", "_tmp.x"] { try bench.write("{}", "raw/\(name)/part.json") }
        let found = try #require(try TableDiscovery(source: bench.replication.source).tables())
        #expect(found.map(\.name) == ["hr.people", "hr.secrets", "shop.items", "shop.old_items", "shop.orders"])
        let (tables, warnings) = try bench.replication.plan(found)
        #expect(warnings.isEmpty, "\(warnings)")
        let described = tables.map { "\($0.name) \($0.settings.primaryKey ?? []) \($0.settings.partitionKeys ?? []) \($0.sink["path"]!.split(separator: "/").suffix(2).joined(separator: "/"))" }
        #expect(described == [
            #"hr.people ["pid"] ["x", "y"] other/hr_people"#, #"shop.items ["id"] ["day"] shop/shop_items"#, #"shop.orders ["a", "b"] [] shop/shop_orders"#,
        ])
        #expect(tables[0].source["path"] == bench.directory + "/raw/hr.people" && tables[0].job == "lake.hr.people")
        for (text, problem) in [("[]", "not an object"), (#"{"a.b": {"primarykey": "id"}}"#, "unknown key \"primarykey\""), (#"{"a.b": {"primaryKey": 1}}"#, "not a text"), ("{", "not JSON")] {
            do {
                _ = try Replication.rules(json: text, file: "tables.json")
                Issue.record("\(text) was taken")
            } catch { #expect("\(error)".contains(problem), "\(error)") }
        }
    }
}
