import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import TestScripts
import Testing

@testable import DeltaTable
@testable import LakeTable

@Suite("The Delta format") struct FormatTests {
    @Test("all types are read back exactly by delta-rs and DuckDB, and by us")
    func types() throws {
        let folder = try TemporaryFolder()
        let schema: Schema = [
            Field("id", .bigint), Field("flag", .boolean), Field("small", .smallint), Field("amount", .decimal(precision: 9, scale: 2)),
            Field("huge", .decimal(precision: 38, scale: 10)), Field("ratio", .double), Field("part", .float), Field("day", .date),
            Field("at", .timestamp(6)), Field("seen", .timestampLTZ(3)), Field("name", .varchar(50)), Field("raw", .bytes),
            Field("tags", .array(.string)), Field("scores", .map(key: .string, value: .int)),
            Field("place", .row([Field("city", .string), Field("at", .timestamp(3)), Field("points", .array(.double))])),
        ]
        var rows: [[Value]] = [
            [.int(1), .bool(true), .int(-7), .decimal(-12_345), .decimal(12_345_678_901_234_567_890), .double(-0.1), .float(0.1), .int(-1),
             .int(1_577_840_523_456_789), .int(1_577_840_523_456), .string("Ünïcode \"quoted\""), .binary([0, 255, 10]), .array([.string("a"), .null]),
             .map([.init(.string("k"), .int(1)), .init(.string("l"), .null)]), .row([.string("oslo"), .int(1_000), .array([.double(1.5)])])],
            [.int(.max)] + Array(repeating: .null, count: schema.count - 1),
            [.int(.min), .bool(false), .int(32_767), .decimal(999_999_999), .decimal(-1), .double(1e300), .float(-2.5), .int(20_000), .int(-1), .int(-1),
             .string(String(repeating: "long ", count: 40)), .binary([]), .array([]), .map([]), .row([.null, .null, .array([])])],
        ]
        let table = TestTable(folder.path, schema: schema, key: ["id"])
        try table.commit(rows)
        #expect(try table.read().canonical == rows.canonical)
        let judged = try Judge.read(folder.path)
        #expect(judged.rows == rows.judged(schema))
        #expect(judged.duckDB == 3)
        // Merged files keep them.
        rows[1] = [.int(.max), .bool(true)] + Array(repeating: .null, count: schema.count - 2)
        try table.commit([rows[1]])
        #expect(try Judge.read(folder.path).rows == rows.judged(schema))
        let types = try #require(try Judge.info(folder.path)["schema"] as? [[Any]]).prefix(12).map { "\($0[1])" }
        #expect(types == ["long", "boolean", "integer", "decimal(9,2)", "decimal(38,10)", "double", "float", "date", "timestamp", "timestamp", "string", "binary"])
    }

    @Test("types that Delta does not have, and names that it cannot, are refused with the column")
    func refusedTypes() throws {
        for (schema, text) in [
            ([Field("id", .int), Field("t", .time(3))], "column t"), ([Field("id", .int), Field("a b", .int)], "'a b'"),
            ([Field("id", .int), Field("ID", .int)], "'ID'"),
        ] as [(Schema, String)] {
            let folder = try TemporaryFolder()
            let error = #expect(throws: StreamError.self) { try TestTable(folder.path, schema: schema).sink() }
            #expect(error?.description.contains(text) == true, "\(String(describing: error))")
        }
    }

    @Test("checkpoints are ours and delta-rs's, old commits leave the log, removed files the disk, and live ones never")
    func upkeep() throws {
        let folder = try TemporaryFolder()
        let clock = DyingHost(now: 1_790_000_000_000)
        var table = TestTable(folder.path, partitions: ["city"], options: [
            "delta.checkpointInterval": "5", "delta.deletedFileRetentionDuration": "1 h", "delta.logRetentionDuration": "interval 2 hours",
        ])
        table.connector = DeltaConnector(host: clock.host)
        var versions: [[String]] = [[]]
        var model: [Int: [Value]] = [:]
        for turn in 1...23 {
            let rows = (0..<10).map { TestTable.row((turn * 3 + $0) % 40, ["oslo", "lima"][$0 % 2], turn, 1) }
            for (i, row) in rows.enumerated() { model[(turn * 3 + i) % 40] = row }
            try table.commit(rows)
            versions.append(Array(model.values).judged(table.descriptor.schema))
            clock.advance(milliseconds: 10 * 60_000)
            #expect(try table.read().judged(table.descriptor.schema) == versions[turn])
        }
        var files = try TableFiles(path: folder.path)
        files.metaFolder = LogListing.folder
        let listing = try LogListing(files)
        // 2 hours are 12 commits: from version 8 on at the last upkeep, which its checkpoint 5 is the base of.
        #expect(listing.versions == Array(5...23) && listing.checkpoints.map(\.version) == [5, 10, 15, 20])
        let snapshot = try #require(try DeltaSnapshot.load(files))
        // An hour are 6 commits: what was removed before version 14 is gone from the disk.
        #expect(Set(try dataFiles(folder.path)) == Set(snapshot.files.keys).union(snapshot.removed.keys))
        #expect(snapshot.removed.count == 20 && snapshot.removed.values.allSatisfy { $0.deletionTimestamp! >= 1_790_000_000_000 + 13 * 600_000 })
        for (i, judged) in try Judge.read(folder.path, versions: Array(15...23)).enumerated() { #expect(judged.rows == versions[15 + i]) }
        for version in 15...23 { #expect(try table.read(options: ["versionAsOf": "\(version)"]).judged(table.descriptor.schema) == versions[version]) }
        let error = #expect(throws: StreamError.self) { try table.read(options: ["versionAsOf": "3"]) }
        #expect(error?.description.contains("not in its log any more") == true)
        // A checkpoint of delta-rs is one for us.
        try Judge.run("checkpoint", folder.path)
        #expect(try LogListing(files).checkpoints.last?.version == 23)
        try table.commit([TestTable.row(1, "lima", 77, 1)])
        model[1] = TestTable.row(1, "lima", 77, 1)
        #expect(try table.read().canonical == Array(model.values).canonical)
        let info = try Judge.info(folder.path)
        #expect((info["configuration"] as? [String: String])?["delta.deletedFileRetentionDuration"] == "interval 1 hours")
        #expect(info["reader"] as? Int == 1 && info["writer"] as? Int == 2)
        // Of all that lies about, delta-rs would delete what is removed, and nothing else.
        let rubbish = Set(try #require(info["vacuum"] as? [String])), now = try #require(try DeltaSnapshot.load(files))
        #expect(rubbish.isSubset(of: now.removed.keys), "\(rubbish)")
    }

    @Test("the past is read by version and by time")
    func timeTravel() throws {
        let folder = try TemporaryFolder()
        let clock = DyingHost(now: 1_790_000_000_000)
        var table = TestTable(folder.path)
        table.connector = DeltaConnector(host: clock.host)
        for turn in 0..<5 {
            try table.commit([TestTable.row(turn, "oslo", turn, 1)])
            clock.advance(milliseconds: 60_000)
        }
        #expect(try table.read(options: ["versionAsOf": "2"]).count == 2)
        #expect(try table.read(options: ["timestampAsOf": DateTimeText.timestamp(1_790_000_000_000 + 130_000, precision: 3)]).count == 3)
        #expect(try table.read(options: ["timestampAsOf": "2099-01-01T00:00:00Z"]).count == 5)
        let asOf = try table.connector.table(table.descriptor, asOf: 1_790_000_000_000 + 61_000)
        let source = try table.connector.source(for: asOf, scan: ScanRequest(projection: [0]))
        #expect(try TestTable.rows(of: source).count == 2)
        for (option, value, text) in [("timestampAsOf", "2001-01-01", "cannot be read as of"), ("versionAsOf", "9", "no version 9"), ("timestampAsOf", "noon", "is no time")] {
            let error = #expect(throws: StreamError.self) { try table.read(options: [option: value]) }
            #expect(error?.description.contains(text) == true, "\(String(describing: error))")
        }
        var past = table
        past.descriptor.options["versionAsOf"] = "1"
        #expect(throws: StreamError.self) { try past.sink() }
    }

    @Test("partitions and files that cannot have a wanted row are not read")
    func skipping() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, partitions: ["city"], options: ["write.operation": "insert"])
        for turn in 0..<4 { try table.commit((0..<10).map { TestTable.row(turn * 10 + $0, ["oslo", "lima"][$0 % 2], turn * 10 + $0, turn * 1_000) }) }
        func files(_ change: (inout ScanRequest) -> Void) throws -> Int {
            var scan = ScanRequest(projection: [0])
            change(&scan)
            return try table.source(scan).splits().count
        }
        #expect(try files { _ in } == 8)
        #expect(try files { $0.partitionFilter = ["city": [.string("oslo")]] } == 4)
        #expect(try files { $0.filter = [ScanPredicate(column: 2, .compares(.greaterOrEqual, .int(30)))] } == 2)
        #expect(try files { $0.filter = [ScanPredicate(column: 2, .compares(.equal, .int(12))), ScanPredicate(column: 3, .compares(.equal, .int(1_000)))] } == 2)
        #expect(try files { $0.filter = [ScanPredicate(column: 3, .compares(.greater, .int(3_000)))] } == 0)
        #expect(try files { $0.filter = [ScanPredicate(column: 0, .compares(.less, .string("order-1")))] } == 1)
        #expect(try files { $0.filter = [ScanPredicate(column: 2, .isNull)] } == 0)
    }

    @Test("tables of delta-rs with a checkpoint, deletes and appends are read")
    func foreignTable() throws {
        let folder = try TemporaryFolder()
        try Judge.run("create", folder.path, "plain")
        let opened = try DeltaTable.open(folder.path)
        #expect(opened.version == 3 && opened.rowCount == 5)
        #expect(try opened.timeline().map(\.operation) == ["WRITE", "WRITE", "DELETE", "WRITE"])
        var table = TestTable("")
        table.descriptor = opened.descriptor()
        #expect(try table.read().judged(opened.schema) == (try Judge.read(folder.path).rows))
        #expect(try table.read(options: ["versionAsOf": "1"]).count == 6)
    }

    @Test("features that are not known are refused with their names", arguments: [("vectors", "deletionVectors", false), ("mapping", "columnMapping", false), ("features", "changeDataFeed", true)])
    func refusedFeatures(kind: String, name: String, readable: Bool) throws {
        let folder = try TemporaryFolder()
        try Judge.run("create", folder.path, kind)
        let schema: Schema = [Field("id", .int), Field("city", .string), Field("at", .timestamp(6)), Field("amount", .decimal(precision: 10, scale: 2))]
        let table = TestTable(folder.path, schema: schema)
        let error = #expect(throws: StreamError.self) { try table.sink() }
        #expect(error?.code == .validate && error?.description.contains(name) == true, "\(String(describing: error))")
        if readable { #expect(try table.read().count == 3) } else { #expect(throws: StreamError.self) { try table.read() } }
    }

    @Test("new columns are added, old files read NULL, other changes are refused with the column")
    func evolution() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, partitions: ["city"])
        try table.commit((0..<10).map { TestTable.row($0, "oslo", $0, 1) })
        let old = try dataFiles(folder.path)
        table.descriptor.schema.append(Field("note", .string))
        table.descriptor.schema.append(Field("price", .decimal(precision: 10, scale: 2)))
        try table.commit([TestTable.row(20, "lima", 1, 1) + [.string("new"), .decimal(100)]])
        var rows = (0..<10).map { TestTable.row($0, "oslo", $0, 1) + [.null, .null] } + [TestTable.row(20, "lima", 1, 1) + [.string("new"), .decimal(100)]]
        #expect(try table.read().canonical == rows.canonical)
        #expect(Set(try dataFiles(folder.path)).isSuperset(of: old))
        try table.commit([TestTable.row(3, "oslo", 33, 1) + [.string("x"), .null]])
        rows[3] = TestTable.row(3, "oslo", 33, 1) + [.string("x"), .null]
        #expect(try table.read().canonical == rows.canonical)
        #expect(try Judge.read(folder.path).rows == rows.judged(table.descriptor.schema))
        // As it was before.
        var before = table
        before.descriptor.schema.removeLast(2)
        #expect(try before.read(options: ["versionAsOf": "1"]).count == 10)

        func refused(_ text: String, _ change: (inout TableDescriptor) -> Void) {
            var other = table
            change(&other.descriptor)
            let error = #expect(throws: StreamError.self) { try other.sink() }
            #expect(error?.description.contains(text) == true, "\(String(describing: error))")
        }
        refused("column amount is INT") { $0.schema[2] = Field("amount", .bigint) }
        refused("column note") { $0.schema.remove(at: 4) }
        refused("partition columns") { $0.partitionKeys = [] }
        refused("primary key") { $0.primaryKey = ["id", "amount"] }
        refused("'NOTE'") { $0.schema.append(Field("NOTE", .string)) }
        refused("'upsert' needs a primary key") {
            $0.options["path"] = folder.path + "/other"
            $0.primaryKey = []
            $0.options["write.operation"] = "upsert"
        }
        refused("names column 'tss'") { $0.options["ordering.field"] = "tss" }
        refused("is not known here") { $0.options["parquet.compression.codec"] = "zst" }
        refused("is not a duration") { $0.options["delta.logRetentionDuration"] = "long" }
    }

    @Test("fields of the image of a row become columns; a type that would have to change is refused with the field's name")
    func rowImages() throws {
        let folder = try TemporaryFolder()
        let session = SQLSession(connectors: [FilesystemConnector(), DeltaConnector()])
        func insert(_ values: String) throws {
            for statement in try SQLParser(text: "INSERT INTO object SELECT id, PARSE_JSON(j) FROM (VALUES \(values)) AS v(id, j)", file: nil).parseScript() {
                guard case .insert(let graph) = try session.execute(statement) else { continue }
                try JobExecution(graph).run()
            }
        }
        _ = try session.execute(try SQLParser(text: """
            CREATE TABLE object (object_id INT, `row` VARIANT METADATA, PRIMARY KEY (object_id) NOT ENFORCED)
            WITH ('connector' = 'delta', 'path' = '\(folder.path)/object')
            """, file: nil).parseScript()[0])
        try insert(#"(1, '{"a": 1, "b": "x"}'), (2, '{"a": 2}')"#)
        try insert(#"(2, '{"c": true, "a": 3}')"#)
        let opened = try DeltaTable.open(folder.path + "/object")
        #expect(opened.schema.map { "\($0.name) \($0.type)" } == ["object_id INT", "a BIGINT", "b STRING", "c BOOLEAN"])
        #expect(try Judge.read(opened.path).rows == [#"[1, 1, "x", null]"#, "[2, 3, null, true]"])
        let error = #expect(throws: StreamError.self) { try insert(#"(3, '{"a": 1.5}')"#) }
        #expect(error?.description.contains("column a is BIGINT") == true, "\(String(describing: error))")
        #expect(try DeltaTable.open(opened.path).rowCount == 2)
    }

    @Test("scenario 16 through SQL: 25 policies, then five changes: 25 then 27, 131372604 then 118077604")
    func insurance() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/policies", seeds = PythonScript.root.appending(path: "Tests/Support/seeds").path
        let session = SQLSession(connectors: [FilesystemConnector(), DeltaConnector()])
        func run(_ script: String) throws {
            for statement in try SQLParser(text: script, file: nil).parseScript() {
                guard case .insert(let graph) = try session.execute(statement) else { continue }
                try JobExecution(graph).run()
            }
        }
        func query(_ text: String) throws -> [[Value]] {
            guard case .query(let query) = try session.execute(try SQLParser(text: text, file: nil).parseScript()[0]) else { return [] }
            let sink = CollectingSink(maxParallelism: 1)
            try JobExecution(try query.jobGraph(into: sink)).run()
            var rows: [[Value]] = []
            for row in sink.rows {
                if row.kind.isAdd { rows.append(row.values) } else if let at = rows.firstIndex(of: row.values) { rows.remove(at: at) }
            }
            return rows
        }
        let columns = """
            policy_id INT, expiry_date DATE, location_name STRING, state_code STRING, region_name STRING, insured_value INT, business_type STRING,
            earthquake_coverage STRING, flood_coverage STRING
            """
        try run("""
            CREATE TABLE full_load (\(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-full-load.csv', 'format' = 'csv', 'csv.header' = 'true');
            CREATE TABLE cdc_load (op STRING, \(columns)) WITH ('connector' = 'filesystem', 'path' = '\(seeds)/insurance-cdc-load.csv', 'format' = 'csv');
            CREATE TABLE policies (\(columns), PRIMARY KEY (policy_id) NOT ENFORCED)
            WITH ('connector' = 'delta', 'path' = '\(path)', 'write.operation' = 'upsert');
            INSERT INTO policies SELECT * FROM full_load
            """)
        let check = "SELECT * FROM policies WHERE policy_id IN (100462, 100463, 100475, 110001, 110002) ORDER BY policy_id"
        #expect(try query(check).count == 3)
        #expect(try query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(25), .int(131_372_604)]])
        #expect(try query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(11)]])
        try run("""
            INSERT INTO policies SELECT policy_id, expiry_date, location_name, state_code, region_name, insured_value, business_type,
              earthquake_coverage, flood_coverage FROM cdc_load WHERE op IN ('I', 'U')
            """)
        let rows = try query(check)
        #expect(rows.count == 5)
        #expect(rows[0][1] == .int(20_088) && rows[1][5] == .int(1_000_000) && rows[2][8] == .string("Y") && rows[3][4] == .string("WEST"))
        #expect(try query("SELECT COUNT(*), SUM(CAST(insured_value AS BIGINT)) FROM policies") == [[.int(27), .int(118_077_604)]])
        #expect(try query("SELECT COUNT(*) FROM policies WHERE flood_coverage = 'Y'") == [[.int(13)]])
        #expect(try query("SELECT COUNT(*) FROM policies FOR SYSTEM_TIME AS OF TIMESTAMP '2099-01-01 00:00:00'") == [[.int(27)]])
        let opened = try DeltaTable.open(path), judged = try Judge.read(path)
        #expect(judged.version == 2 && judged.duckDB == 27)
        #expect(judged.rows == (try query("SELECT * FROM policies")).judged(opened.schema))
        let options = #expect(throws: StreamError.self) {
            try run("CREATE TABLE wrong (a INT) WITH ('connector' = 'delta', 'path' = '\(path)', 'write.operatoin' = 'upsert')")
            try run("INSERT INTO wrong SELECT policy_id FROM full_load")
        }
        #expect(options?.description.contains("write.operation") == true, "\(String(describing: options))")
    }
}
