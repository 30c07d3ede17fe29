import Foundation
import HudiTable
import ParquetFormat
import StreamCore
import StreamFormats
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import TestScripts
import Testing
import Topology

/// Changes of databases: DynamoDB's change records into flat files, and DMS files into a Hudi table.
@Suite("Change scenarios") struct ChangeScenarios {
    enum FileFormat: String, CaseIterable, Sendable { case csv, json, parquet }

    /// A row of a change file: what became of it, when, its key, its name.
    struct Change {
        var op: String?, time: String?, id: Int, name: String?
        init(_ op: String?, _ time: String?, _ id: Int, _ name: String?) { (self.op, self.time, self.id, self.name) = (op, time, id, name) }
    }

    static let load = [1, 2, 3, 4, 6].map { Change(nil, nil, $0, "load \($0)") }
    static let first = [
        Change("I", "10:00:00", 5, "e"), Change("U", "10:00:01", 5, "e2"), Change("U", "10:00:02", 5, "e3"), Change("D", "10:00:03", 5, nil),
        // Out of order: the newer one is first.
        Change("U", "10:00:05", 1, "a newer"), Change("U", "10:00:04", 1, "a older"),
        // At the same time: the later position wins.
        Change("U", "10:00:06", 2, "b first"), Change("U", "10:00:06", 2, "b second"),
        // Deleted, and then an older update.
        Change("D", "10:00:09", 4, nil), Change("U", "10:00:08", 4, "d stale"),
        Change("U", "10:00:10", 6, "f new"),
    ]
    static let second = [
        // A delete that is older than the row, an update that is older than the delete, a change, and one that comes again.
        Change("D", "10:00:07", 6, nil), Change("U", "10:00:02", 5, "e stale"), Change("U", "11:00:00", 3, "c changed"), Change("U", "10:00:06", 2, "b second"),
    ]

    static func write(_ changes: [Change], _ folder: String, _ name: String, _ format: FileFormat) throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        func stamp(_ time: String) -> String { "2024-01-01 \(time).000000" }
        let temporary = folder + "/." + name, path = folder + "/" + name + "." + format.rawValue
        switch format {
        case .csv:
            let lines = changes.map { ($0.op.map { "\($0)," } ?? "") + ($0.time.map { "\(stamp($0))," } ?? "") + "\($0.id),\($0.name ?? "NULL")\n" }
            // Files of the full load have the time column, too.
            let text = changes[0].op == nil ? changes.map { "NULL,\($0.id),\($0.name ?? "NULL")\n" } : lines
            try text.joined().write(toFile: temporary, atomically: true, encoding: .utf8)
        case .json:
            let lines = changes.map { change in
                "{" + (change.op.map { #""Op":"\#($0)","# } ?? "") + (change.time.map { #""last_update_time":"\#(stamp($0))","# } ?? "") + #""id":\#(change.id),"#
                    + #""name":\#(change.name.map { "\"\($0)\"" } ?? "null")}"# + "\n"
            }
            try lines.joined().write(toFile: temporary, atomically: true, encoding: .utf8)
        case .parquet:
            let isLoad = changes[0].op == nil
            let columns = (isLoad ? "" : #"["Op", "string"], ["last_update_time", "timestamp[us]"], "#) + #"["id", "int32"], ["name", "string"]"#
            let rows = changes.map { change in
                "[" + (isLoad ? "" : #""\#(change.op!)", "\#(stamp(change.time!))", "#) + "\(change.id), \(change.name.map { "\"\($0)\"" } ?? "null")]"
            }
            let specification = folder + "/.specification.json"
            try #"{".\#(name)": {"columns": [\#(columns)], "rows": [\#(rows.joined(separator: ", "))]}}"#.write(toFile: specification, atomically: true, encoding: .utf8)
            let result = try PythonScript.run("formats/write_parquet.py", [folder, specification])
            try #require(result.status == 0, "\(result.errors)")
            try FileManager.default.removeItem(atPath: specification)
        }
        try FileManager.default.moveItem(atPath: temporary, toPath: path)
    }

    /// DMS files put in order by a step, into a Hudi table.
    static func topology(_ harness: Harness, _ format: FileFormat, monitored: Bool = false) -> String {
        """
        tables:
          changes:
            columns:
              id: INT
              name: STRING
              op: {type: STRING, metadata: true, virtual: true}
              update_time: {type: TIMESTAMP(6), metadata: timestamp, virtual: true}
              position: {type: STRING, metadata: true, virtual: true}
            with:
              connector: filesystem
              path: \(harness.directory)/sport_team
              format: dms
              dms.file-format: \(format.rawValue)
              dms.timestamp-column: last_update_time
              dms.changelog-mode: append
        \(monitored ? "      source.monitor-interval: 20 ms\n" : "")\
          teams:
            columns: {id: INT, name: STRING}
            key: id
            with: {connector: hudi, path: \(harness.directory)/teams, write.operation: upsert}
        pipeline:
          - name: current
            transform: deduplicate
            from: changes
            keys: id
            order-by: [update_time, position]
            deleted: op = 'D'
            columns: [id, name]
            into: teams
        """
    }

    private func texts(_ harness: Harness) throws -> [String] {
        try harness.query("SELECT id, name FROM teams").map { row in
            guard case .int(let id) = row[0], case .string(let name) = row[1] else { return "\(row)" }
            return "\(id) \(name)"
        }.sorted()
    }

    static let afterFirst = ["1 a newer", "2 b second", "3 load 3", "6 f new"]
    static let afterSecond = ["1 a newer", "2 b second", "3 c changed", "6 f new"]

    /// Only the columns of the table are stored.
    private func checkTable(_ harness: Harness, rows: Int) throws {
        let path = harness.directory + "/teams"
        try harness.check(table: path, key: "id")
        #expect(try Harness.independent(path, "SELECT COUNT(*) FROM t") == "\(rows)")
        #expect(try Harness.independent(path, "SELECT COUNT(DISTINCT id) FROM t") == "\(rows)")
        #expect(try Harness.independent(path, "SELECT string_agg(column_name, ',' ORDER BY column_name) FROM (DESCRIBE t) WHERE column_name NOT LIKE '_hoodie%'") == "id,name")
    }

    @Test("18: the last change by time wins, ties by position, deleted keys are absent, control columns are not stored", arguments: FileFormat.allCases)
    func deduplication(format: FileFormat) throws {
        FormatFactory.register([ParquetFormat()])
        let harness = try Harness(), folder = harness.directory + "/sport_team"
        try Self.write(Self.load, folder, "LOAD00000001", format)
        try Self.write(Self.first, folder, "20240101-100000000", format)
        let topology = try Topology.parse(yaml: Self.topology(harness, format), file: "t.yaml", variables: [:])
        for statement in topology.statements {
            guard case .insert(let graph) = try harness.session.execute(statement) else { continue }
            try JobExecution(graph).run()
        }
        #expect(try texts(harness) == Self.afterFirst)
        try checkTable(harness, rows: 4)
        // The whole folder again, with what has come: the same step over the same table.
        try Self.write(Self.second, folder, "20240101-110000000", format)
        guard case .insert(let again) = try harness.session.execute(topology.statements.last!) else { return }
        try JobExecution(again).run()
        #expect(try texts(harness) == Self.afterSecond)
        try checkTable(harness, rows: 4)
    }

    @Test("18, across batches and restarts: the state remembers deleted keys")
    func acrossRestarts() throws {
        FormatFactory.register([ParquetFormat()])
        let harness = try Harness(), folder = harness.directory + "/sport_team", format = FileFormat.csv
        try Self.write(Self.load, folder, "LOAD00000001", format)
        let topology = try Topology.parse(yaml: Self.topology(harness, format, monitored: true), file: "t.yaml", variables: [:])
        for statement in topology.statements.dropLast() { _ = try harness.session.execute(statement) }
        let storage = try CheckpointStorage(directory: harness.directory + "/checkpoints", retained: 2)
        func run(until wanted: [String]) throws {
            guard case .insert(let graph) = try harness.session.execute(topology.statements.last!) else { return }
            var options = JobOptions()
            options.checkpoints.interval = .milliseconds(50)
            let job = try RunningJob(graph, options: options, recovery: JobRecovery(jobID: "teams", storage: storage, restored: storage.newest { Issue.record("\($0)") }))
            do {
                try eventually("the table holds \(wanted)") { try Host.exists(harness.directory + "/teams/.hoodie") && texts(harness) == wanted }
            } catch {
                job.cancel()
                throw error
            }
            try job.stop()
            #expect(try texts(harness) == wanted)
        }
        try run(until: Self.load.map { "\($0.id) \($0.name!)" }.sorted())
        try Self.write(Self.first, folder, "20240101-100000000", format)
        try run(until: Self.afterFirst)
        try Self.write(Self.second, folder, "20240101-110000000", format)
        try run(until: Self.afterSecond)
        // Nothing new: the same rows, and a commit more or less.
        try run(until: Self.afterSecond)
        try checkTable(harness, rows: 4)
    }

    @Test("dms as upserts straight into a table: without a time, the order of files and rows decides", arguments: FileFormat.allCases)
    func upserts(format: FileFormat) throws {
        FormatFactory.register([ParquetFormat()])
        let harness = try Harness(), folder = harness.directory + "/sport_team"
        try Self.write(Self.first, folder, "20240101-100000000", format)
        try Self.write([Change("U", "12:00:00", 1, "z"), Change("I", "12:00:01", 9, "nine"), Change("D", "12:00:02", 3, nil)], folder, "20240102-100000000", format)
        try Self.write(Self.load, folder, "LOAD00000001", format)
        try harness.run("""
            CREATE TABLE changes (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'filesystem', 'path' = '\(folder)', 'format' = 'dms', 'dms.file-format' = '\(format.rawValue)', 'dms.timestamp-column' = 'last_update_time');
            CREATE TABLE teams (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/teams', 'write.operation' = 'upsert');
            INSERT INTO teams SELECT * FROM changes
            """)
        #expect(try texts(harness) == ["1 z", "2 b second", "4 d stale", "6 f new", "9 nine"])
        try checkTable(harness, rows: 5)
    }

    // MARK: DynamoDB

    private func putItem(_ event: String, _ name: String, designation: String, before: String? = nil) -> String {
        func image(_ designation: String) -> String { #"{"id":{"S":"864732"},"name":{"S":"\#(name)"},"Designation":{"S":"\#(designation)"},"home":{"M":{"city":{"S":"Rome"},"tags":{"SS":["a","b"]}}}}"# }
        return #"{"awsRegion":"us-east-1","eventID":"1","eventName":"\#(event)","userIdentity":null,"recordFormat":"application/json","tableName":"blog-srsa-ddb-table","dynamodb":"#
            + #"{"ApproximateCreationDateTime":1700000000123,"Keys":{"id":{"S":"864732"}},"NewImage":\#(image(designation))\#(before.map { ",\"OldImage\":" + image($0) } ?? ""),"SizeBytes":99},"eventSource":"aws:dynamodb"}"#
    }

    @Test("10: two put-items of Adam become two flat records under the day's prefix, Architect then Senior Architect")
    func flattened() throws {
        let harness = try Harness()
        try harness.log.createStream("blog-srsa-ddb-table-data-stream", shards: 2)
        try harness.put("blog-srsa-ddb-table-data-stream", [
            ("864732", putItem("INSERT", "Adam", designation: "Architect")),
            ("864732", putItem("MODIFY", "Adam", designation: "Senior Architect", before: "Architect")),
        ])
        let topology = """
            tables:
              changes:
                columns:
                  item: {type: VARIANT, metadata: row, virtual: true}
                  id: STRING
                with:
                  connector: kinesis
                  stream: blog-srsa-ddb-table-data-stream
                  scan.stream.initpos: TRIM_HORIZON
                  scan.bounded.mode: latest-offset
                  format: dynamodb-json
                  dynamodb-json.changelog-mode: append
                  dynamodb-json.table.include: blog-srsa-.*
                  log.directory: \(harness.log.directory)
              lake:
                columns: {record: STRING, year: STRING, month: STRING, day: STRING}
                partitioned-by: [year, month, day]
                with: {connector: filesystem, path: \(harness.directory)/lake, format: raw}
            pipeline:
              - name: flat
                transform: flatten
                from: changes
                column: item
                separator: _
                depth: 3
                as: flat
              - sql: >-
                  SELECT JSON_STRING(flat), DATE_FORMAT(LOCALTIMESTAMP, 'yyyy'), DATE_FORMAT(LOCALTIMESTAMP, 'MM'), DATE_FORMAT(LOCALTIMESTAMP, 'dd') FROM flat
                into: lake
            """
        let calendar = Calendar(identifier: .gregorian)
        let before = Date()
        for statement in try Topology.parse(yaml: topology, file: "t.yaml", variables: [:]).statements {
            guard case .insert(let graph) = try harness.session.execute(statement) else { continue }
            try JobExecution(graph).run()
        }
        var utc = calendar
        utc.timeZone = TimeZone(identifier: "UTC")!
        // A run may begin on one day and end on the next.
        let folders = [before, Date()].map { date in
            let parts = utc.dateComponents([.year, .month, .day], from: date)
            return String(format: "year=%04d/month=%02d/day=%02d", parts.year!, parts.month!, parts.day!)
        }
        let files = (FileManager.default.enumerator(atPath: harness.directory + "/lake")?.compactMap { $0 as? String } ?? [])
            .filter { !$0.split(separator: "/").last!.hasPrefix(".") && !$0.split(separator: "/").last!.hasPrefix("_") && $0.contains("part-") }.sorted()
        #expect(!files.isEmpty && files.allSatisfy { file in folders.contains { file.hasPrefix($0 + "/") } }, "\(files)")
        let lines = try files.flatMap { try String(contentsOfFile: harness.directory + "/lake/" + $0, encoding: .utf8).split(separator: "\n").map(String.init) }
        #expect(lines == ["Architect", "Senior Architect"].map { #"{"Designation":"\#($0)","home_city":"Rome","home_tags":"[\"a\",\"b\"]","id":"864732","name":"Adam"}"# })
    }

    @Test("changes of a DynamoDB table keep a Hudi table equal to it")
    func dynamoTable() throws {
        let harness = try Harness()
        try harness.log.createStream("changes", shards: 1)
        func image(_ id: String, _ n: Int) -> String { #"{"id":{"S":"\#(id)"},"n":{"N":"\#(n)"},"when":{"S":"2024-01-01T00:00:00Z"},"tags":{"L":[{"S":"x"},{"N":"\#(n)"}]}}"# }
        func record(_ event: String, _ id: String, old: Int?, new: Int?) -> (key: String, text: String) {
            (id, #"{"eventName":"\#(event)","tableName":"t","dynamodb":{"Keys":{"id":{"S":"\#(id)"}}\#(new.map { ",\"NewImage\":" + image(id, $0) } ?? "")\#(old.map { ",\"OldImage\":" + image(id, $0) } ?? "")}}"#)
        }
        try harness.put("changes", [
            record("INSERT", "a", old: nil, new: 1), record("INSERT", "b", old: nil, new: 2), record("MODIFY", "a", old: 1, new: 10), record("REMOVE", "b", old: 2, new: nil),
            record("INSERT", "c", old: nil, new: 3),
        ])
        try harness.run("""
            CREATE TABLE changes (id STRING, n BIGINT, `when` TIMESTAMP_LTZ(3), tags STRING, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'kinesis', 'stream' = 'changes', 'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.bounded.mode' = 'latest-offset', 'format' = 'dynamodb-json',
              'log.directory' = '\(harness.log.directory)');
            CREATE TABLE items (id STRING, n BIGINT, `when` TIMESTAMP_LTZ(3), tags STRING, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/items', 'write.operation' = 'upsert');
            INSERT INTO items SELECT * FROM changes
            """)
        #expect(Set(try harness.query("SELECT id, n, tags FROM items")) == [
            [.string("a"), .int(10), .string(#"["x",10]"#)], [.string("c"), .int(3), .string(#"["x",3]"#)],
        ])
        #expect(try harness.query("SELECT SUM(n), COUNT(*) FROM changes") == [[.int(13), .int(2)]])
        try harness.check(table: harness.directory + "/items", key: "id")
        #expect(try Harness.independent(harness.directory + "/items", "SELECT SUM(n) FROM t") == "13")
    }

    // MARK: Drift and keys

    @Test("columns that come and go in DMS files come into the table by themselves")
    func drift() throws {
        FormatFactory.register([ParquetFormat()])
        let harness = try Harness(), folder = harness.directory + "/in", specification = harness.directory + "/specification.json"
        try #"""
            {"LOAD00000001.parquet": {"columns": [["id", "int32"], ["name", "string"]], "rows": [[1, "a"], [2, "b"]]},
             "20240101-100000000.parquet": {"columns": [["Op", "string"], ["last_update_time", "timestamp[us]"], ["id", "int32"], ["name", "string"], ["born", "date32"], ["height", "decimal(6,2)"]],
               "rows": [["U", "2024-01-01T10:00:00", 1, "a2", "1990-02-03", "1.85"]]},
             "20240102-100000000.parquet": {"columns": [["Op", "string"], ["last_update_time", "timestamp[us]"], ["id", "int32"], ["height", "decimal(6,2)"], ["city", "string"]],
               "rows": [["I", "2024-01-02T10:00:00", 3, "1.70", "Rome"], ["D", "2024-01-02T10:00:01", 2, null, null]]}}
            """#.write(toFile: specification, atomically: true, encoding: .utf8)
        let result = try PythonScript.run("formats/write_parquet.py", [folder, specification])
        try #require(result.status == 0, "\(result.errors)")
        try harness.run("""
            CREATE TABLE changes (id INT, `row` VARIANT METADATA VIRTUAL, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'filesystem', 'path' = '\(folder)', 'format' = 'dms', 'dms.file-format' = 'parquet', 'dms.timestamp-column' = 'last_update_time');
            CREATE TABLE people (id INT, `row` VARIANT METADATA, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/people', 'write.operation' = 'upsert');
            INSERT INTO people SELECT id, `row` FROM changes
            """)
        let path = harness.directory + "/people"
        try harness.check(table: path, key: "id")
        #expect(try Harness.independent(path, "SELECT string_agg(column_name, ',' ORDER BY column_name) FROM (DESCRIBE t) WHERE column_name NOT LIKE '_hoodie%'") == "born,city,height,id,name")
        #expect(try Harness.independent(path, "SELECT string_agg(concat_ws('|', id, COALESCE(name, '-'), COALESCE(CAST(born AS VARCHAR), '-'), CAST(height AS DOUBLE), COALESCE(city, '-')), ';' ORDER BY id) FROM t")
            == "1|a2|1990-02-03|1.85|-;3|-|-|1.7|Rome")
    }

    @Test("a key that changes is a delete and an insert in one commit; tombstones say nothing")
    func keyChange() throws {
        let harness = try Harness()
        try harness.log.createStream("changes", shards: 1)
        try harness.put("changes", [
            #"{"before":null,"after":{"id":1,"v":"a"},"op":"c"}"#, #"{"before":null,"after":{"id":2,"v":"b"},"op":"r"}"#, "null",
            #"{"before":{"id":1,"v":"a"},"after":{"id":7,"v":"a"},"op":"u"}"#, #"{"before":{"id":2,"v":"b"},"after":{"id":2,"v":"c"},"op":"u"}"#, "",
        ].map { ("k", $0) })
        try harness.run("""
            CREATE TABLE changes (id INT, v STRING, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'kinesis', 'stream' = 'changes', 'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.bounded.mode' = 'latest-offset', 'format' = 'debezium-json',
              'log.directory' = '\(harness.log.directory)');
            CREATE TABLE t (id INT, v STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/t', 'write.operation' = 'upsert');
            INSERT INTO t SELECT * FROM changes
            """)
        #expect(Set(try harness.query("SELECT id, v FROM t")) == [[.int(7), .string("a")], [.int(2), .string("c")]])
        try harness.check(table: harness.directory + "/t", key: "id")
        #expect(try HudiTable.open(harness.directory + "/t").timeline.count == 1)
    }

    @Test("as SQL: the history of a Debezium topic, late and repeated, in the order of its source")
    func deduplicationInSQL() throws {
        let harness = try Harness()
        try harness.log.createStream("changes", shards: 1)
        func change(_ op: String, _ time: Int, _ id: Int, _ v: String?) -> String {
            let image = v.map { #"{"id":\#(id),"v":"\#($0)"}"# } ?? "null", old = #"{"id":\#(id),"v":"?"}"#
            return #"{"before":\#(op == "c" ? "null" : old),"after":\#(image),"source":{"ts_ms":\#(time)},"op":"\#(op)"}"#
        }
        try harness.put("changes", [
            change("c", 1, 1, "a"), change("u", 5, 1, "newest"), change("u", 3, 1, "late"), change("u", 5, 1, "newest"),
            change("c", 1, 2, "b"), change("d", 9, 2, nil), change("u", 4, 2, "older than the delete"), change("c", 2, 3, "c"),
        ].map { ("k", $0) })
        try harness.run("""
            CREATE TABLE changes (id INT, v STRING, op STRING METADATA VIRTUAL, changed TIMESTAMP_LTZ(3) METADATA FROM 'source.timestamp' VIRTUAL, `position` STRING METADATA FROM 'sequence-number' VIRTUAL)
            WITH ('connector' = 'kinesis', 'stream' = 'changes', 'scan.stream.initpos' = 'TRIM_HORIZON', 'scan.bounded.mode' = 'latest-offset', 'format' = 'debezium-json',
              'debezium-json.changelog-mode' = 'append', 'log.directory' = '\(harness.log.directory)');
            CREATE TABLE t (id INT, v STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/t', 'write.operation' = 'upsert');
            INSERT INTO t SELECT id, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY id ORDER BY changed DESC, `position` DESC) AS n FROM changes) WHERE n = 1 AND op <> 'D'
            """)
        #expect(Set(try harness.query("SELECT id, v FROM t")) == [[.int(1), .string("newest")], [.int(3), .string("c")]])
        try harness.check(table: harness.directory + "/t", key: "id")
    }
}
