import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi format details") struct FormatTests {
    @Test("bloom filter bytes are those of the format's reference program")
    func bloomBytes() {
        var filter = BloomFilter()
        for key in ["a", "trip-0001", "trip-0002", "id:1,city:oslo", "é-é-é", "0123456789abcdefghijklmnopqrstuvwxyz"] {
            Array(key.utf8).withUnsafeBytes { filter.add($0) }
        }
        #expect(filter.encoded() == "/////wAAAA4BAAAAdAAAAAYAAAAGAAAAAf////8AAAAOAQAAAHSvh73FUAaO4DdgG9NlKg8=")
    }

    @Test("properties survive escaping, and comments are skipped")
    func properties() {
        let pairs = [("a.b", "x:y\\z#!"), ("empty", ""), ("unicode", "é 1")]
        let parsed = PropertiesText.parse(PropertiesText.format(pairs, comment: "saved a=b"))
        #expect(parsed == Dictionary(uniqueKeysWithValues: pairs))
        #expect(CRC32.checksum("default.trips") == 2_200_697_520)
    }

    @Test("commit metadata survives JSON, names with quotes included")
    func commitMetadata() throws {
        var metadata = CommitMetadata(operation: "UPSERT")
        metadata.stats = [WriteStat(fileId: "f-0", path: "a\"b/f-0_0-1-0_20260101000000001.parquet", previous: "20260101000000000", partition: "a\"b",
                                    rows: 5, inserts: 2, updates: 1, deletes: 3, bytes: 99),
                          WriteStat(fileId: "g-0", path: "g.parquet", previous: nil, partition: "")]
        metadata.extra = ["schema": "{\"type\":\"record\"}\n\t\u{1}"]
        metadata.replaced = ["p": ["x-0"]]
        var parsed = try CommitMetadata.parse(metadata.json(), file: "test")
        parsed.stats.sort { $0.fileId < $1.fileId }
        #expect(parsed == metadata)
        let prepared = PreparedCommit(instant: "20260101000000001", metadata: metadata)
        #expect(try PreparedCommit(prepared.committable()).instant == prepared.instant)
        #expect(throws: StreamError.self) { try CommitMetadata.parse(Array("{".utf8), file: "test") }
    }

    @Test("rollback and clean plans survive Avro")
    func rollbackPlan() throws {
        let plan = RollbackPlan(instant: "20260101000000001", action: "commit", files: ["p=1": ["/t/p=1/a", "/t/p=1/b"], "": []])
        #expect(try RollbackPlan.parse(plan.encoded()) == plan)
        let clean = CleanPlan(earliest: Instant(time: "20260101000000001", action: "commit", state: .completed), files: ["p=1": ["/t/p=1/a"], "": ["/t/b"]])
        #expect(try CleanPlan.parse(clean.encoded()) == clean)
        #expect(throws: StreamError.self) { try RollbackPlan.parse(Array(plan.encoded().prefix(200))) }
    }

    @Test("Avro schemas come back as what a table stores")
    func avroSchemas() throws {
        let stored = try StoredTypes.stored(InsertTests.schema)
        let parsed = try AvroSchema.parse(AvroSchema.json(stored, table: "t"), table: "t")
        #expect(parsed == stored)
        #expect(try AvroSchema.parse(AvroSchema.json(stored, table: "t", withMetaColumns: true), table: "t") == stored)
        #expect([1, 2, 9, 10, 18, 19, 38].map(AvroSchema.fixedSize) == [1, 1, 4, 5, 8, 9, 16])
    }

    @Test("partition values become folder names, or a clear error")
    func partitionPaths() throws {
        var properties = TableProperties(name: "t", recordKeyFields: ["id"], partitionFields: ["p"], keyGenerator: .simple)
        #expect(try PartitionPath.level(field: "p", value: "a b é", properties.keyRules) == "a b é")
        for value in ["a/b", ".", "..", ".hidden"] { #expect(throws: StreamError.self) { try PartitionPath.level(field: "p", value: value, properties.keyRules) } }
        properties.hiveStylePartitioning = true
        properties.urlEncodePartitions = true
        #expect(try PartitionPath.level(field: "p", value: "a/b=%\u{7}", properties.keyRules) == "p=a%2Fb%3D%25%07")
        #expect(throws: StreamError.self) { try PartitionPath.level(field: "p", value: "..", properties.keyRules) }
    }

    @Test("numbers, dates and decimals as text")
    func keyTexts() throws {
        func texts(_ type: DataType, _ values: [Value]) throws -> [String] {
            let column = Batch(schema: [Field("c", type)], rows: values.map { [$0] }).columns[0]
            let texts = try TextColumn(column, null: "NULL", empty: "EMPTY", what: "c")
            return (0..<texts.count).map { String(decoding: texts.value($0), as: UTF8.self) }
        }
        #expect(try texts(.bigint, [.int(0), .int(.min), .int(.max), .int(-10), .null, .int(999), .int(1_000)])
                == ["0", "-9223372036854775808", "9223372036854775807", "-10", "NULL", "999", "1000"])
        #expect(try texts(.tinyint, [.int(-128), .int(9)]) == ["-128", "9"])
        #expect(try texts(.date, [.int(0), .int(-1), .int(20_000), .int(-719_529)]) == ["1970-01-01", "1969-12-31", "2024-10-04", "-0001-12-31"])
        #expect(try texts(.decimal(precision: 5, scale: 2), [.decimal(-5), .decimal(12_345), .decimal(0)]) == ["-0.05", "123.45", "0.00"])
        #expect(try texts(.string, [.string(""), .null, .string("a text longer than twelve bytes")]) == ["EMPTY", "NULL", "a text longer than twelve bytes"])
        #expect(try texts(.boolean, [.bool(true), .bool(false)]) == ["true", "false"])
        #expect(try texts(.timestamp(3), [.int(5)]) == ["5000"])
        #expect(throws: StreamError.self) {
            _ = try TextColumn(Batch(schema: [Field("c", .string)], rows: [[.null]]).columns[0], null: nil, empty: nil, what: "record key column c")
        }
    }

    @Test("columns may be added at the end and widened; old files are read with the new types")
    func evolution() throws {
        let folder = try TemporaryFolder()
        let old: Schema = [Field("id", .string), Field("n", .int), Field("f", .float)]
        let first = TestTable(folder.path, schema: old, key: ["id"])
        try first.commit([[.string("a"), .int(1), .float(1.5)], [.string("b"), .int(2), .null]])
        let new: Schema = [Field("id", .string), Field("n", .bigint), Field("f", .double), Field("note", .string)]
        let second = TestTable(folder.path, schema: new, key: ["id"])
        #expect(try second.read(ScanRequest(projection: [0, 1, 2])).canonical
                == [[.string("a"), .int(1), .double(1.5)], [.string("b"), .int(2), .null]].canonical)
        #expect(throws: StreamError.self, "the table has no such column yet") { try second.read() }
        try second.commit([[.string("b"), .int(1 << 40), .double(0.1), .string("new")]])
        try expectSound(folder.path, rows: 2, key: "id")
        #expect(try second.read().canonical == [[.string("a"), .int(1), .double(1.5), .null], [.string("b"), .int(1 << 40), .double(0.1), .string("new")]].canonical)
        for (schema, text) in [(Array(new[0..<3]), "has a column note"), (old, "has a column note"),
                               ([new[0], Field("n", .string), new[2], new[3]], "is BIGINT")] as [(Schema, String)] {
            let error = #expect(throws: StreamError.self) { _ = try TestTable(folder.path, schema: schema, key: ["id"]).sink() }
            #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "")")
        }
    }

    static let mistakes: [([String: String], [String], String)] = [
        (["table.type": "MERGE_ON_READ"], ["id"], "'table.type' = 'COPY_ON_WRITE'"),
        ([:], [], "declare PRIMARY KEY"),
        (["write.operation": "replicate"], ["id"], "use one of bulk_insert, delete, "),
        (["precombine.field": "tss"], ["id"], "write \"ts\""),
        (["hoodie.datasource.write.recordkey.field": "city"], ["id"], "give only one of them"),
        (["hoodie.parquet.compression.codec": "gzp"], ["id"], "write \"gzip\""),
        (["write.commit.interval": "often"], ["id"], "write it as in '10 s'"),
        (["write.parquet.max.file.size": "-1"], ["id"], "is not a size"),
        (["hoodie.datasource.write.hive_style_partitioning": "yes"], ["id"], "is neither true nor false"),
        (["path": "hdfs://host/table"], ["id"], "tables on hdfs: are not supported"),
        (["hoodie.table.name": "a b"], ["id"], "letters, digits and underscores"),
        (["hoodie.datasource.write.partitionpath.field": "amont"], ["id"], "write \"amount\""),
    ]

    @Test("wrong options give one error that says what to write", arguments: 0..<12)
    func mistakes(_ index: Int) throws {
        let (options, key, text) = Self.mistakes[index]
        let table = TestTable("/nowhere/table", schema: UpsertTests.schema, key: key, options: options)
        let error = #expect(throws: StreamError.self) { try table.connector.validate(table.descriptor) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "no error")")
    }

    @Test("the declaration must agree with an existing table")
    func agreement() throws {
        let folder = try TemporaryFolder()
        try TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: ["precombine.field": "ts"]).commit(RecoveryTests.rows)
        func refused(_ key: [String], _ partitions: [String], _ options: [String: String]) -> String {
            let table = TestTable(folder.path, schema: UpsertTests.schema, key: key, partitions: partitions, options: options)
            return #expect(throws: StreamError.self) { _ = try table.sink() }.map { $0.description } ?? ""
        }
        #expect(refused(["city"], ["city"], [:]).contains("has the record key 'id'"))
        #expect(refused(["id"], [], [:]).contains("the partition columns"))
        #expect(refused(["id"], ["city"], ["precombine.field": "amount"]).contains("the ordering field"))
        #expect(refused(["id"], ["city"], ["hoodie.datasource.write.hive_style_partitioning": "true"]).contains("hive style"))
        let missing = TestTable(folder.path + "/none", schema: UpsertTests.schema, key: ["id"])
        #expect(throws: StreamError.self) { try missing.read() }
        #expect(throws: StreamError.self) { try HudiTable.open(folder.path + "/none") }
    }

    @Test("a NULL record key stops the job with the column's name, and changes are refused by insert")
    func badRows() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"])
        var row = UpsertTests.row(1, "oslo", 1, 1)
        row[0] = .null
        let error = #expect(throws: StreamError.self) { try table.commit([row]) }
        #expect(error?.description.contains("record key column id is NULL") == true)
        let insert = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], options: ["write.operation": "insert"])
        #expect(throws: StreamError.self) { try insert.commit([UpsertTests.row(1, "oslo", 1, 1)], kinds: [.delete]) }
        #expect(try HudiTable.open(folder.path).timeline.isEmpty)
    }
}
