import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi inserts") struct InsertTests {
    static let schema: Schema = [
        Field("id", .bigint), Field("city", .string), Field("fare", .decimal(precision: 10, scale: 2)), Field("distance", .double),
        Field("paid", .boolean), Field("seats", .tinyint), Field("day", .date), Field("ts", .timestamp(3)), Field("raw", .bytes),
        Field("tags", .array(.string)), Field("attrs", .map(key: .string, value: .int)),
        Field("at", .row([Field("x", .double), Field("y", .array(.bigint))])), Field("t", .time(3)), Field("f", .float),
        Field("seen", .timestampLTZ(6)),
    ]

    static func row(_ n: Int) -> [Value] {
        [.int(Int64(n)), n % 7 == 3 ? .null : .string(["oslo", "lima", "a city with a long name é"][n % 3]), .decimal(Int128(n * 125)),
         n % 5 == 1 ? .null : .double(Double(n) / 2), .bool(n % 2 == 0), .int(Int64(n % 100) - 50), .int(Int64(20_000 + n % 2)),
         .int(1_700_000_000_123 + Int64(n) * 1_000), .binary([UInt8(n % 256), 0]),
         n % 4 == 0 ? .null : .array((0..<n % 3).map { .string("tag \($0)") }), .map([.init(.string("k\(n % 2)"), .int(Int64(n)))]),
         n % 6 == 0 ? .null : .row([.double(Double(n)), .array([.int(Int64(n)), .null])]), .int(Int64(n) * 1_000), .float(Float(n) / 4),
         n % 3 == 0 ? .null : .int(1_700_000_000_123_456 + Int64(n))]
    }

    static let layouts: [([String], [String: String])] = [
        ([], [:]), (["city"], ["hoodie.datasource.write.hive_style_partitioning": "true"]), (["city"], [:]),
        (["city", "day"], ["hoodie.datasource.write.hive_style_partitioning": "true", "hoodie.datasource.write.partitionpath.urlencode": "true"]),
        (["day"], ["hoodie.parquet.compression.codec": "snappy"]),
    ]

    @Test("every type in every layout reads back, here and by hudi-rs", arguments: 0..<5)
    func layouts(_ index: Int) throws {
        let folder = try TemporaryFolder(), (partitions, options) = Self.layouts[index]
        var table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: partitions,
                              options: options.merging(["write.operation": "insert"]) { a, _ in a })
        try table.commit((0..<50).map(Self.row))
        try expectSound(folder.path, rows: 50, key: "id")
        try table.commit((50..<90).map(Self.row))
        try expectSound(folder.path, rows: 90, key: "id")
        #expect(try table.read().canonical == (0..<90).map(Self.row).canonical)

        table.descriptor.metadata = [.init(name: "key", key: "_hoodie_record_key", type: .string)]
        let some = try table.read(ScanRequest(projection: [3, 0], metadata: [0]))
        let expected: [[Value]] = (0..<90).map { n in
            let key = partitions.count == 2 ? "id:\(n)" : "\(n)"
            return [Self.row(n)[3], .int(Int64(n)), .string(key)]
        }
        #expect(some.canonical == expected.canonical)
        #expect(try table.read(ScanRequest(projection: [])).count == 90)
    }

    @Test("a filter on partition columns reads only their files")
    func pruning() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city", "day"], options: ["write.operation": "insert"])
        try table.commit((0..<60).map(Self.row))
        let scan = ScanRequest(projection: [0], partitionFilter: ["city": [.string("oslo"), .null], "day": [.int(20_001)]])
        let source = try table.connector.source(for: table.descriptor, scan: scan)
        #expect(try source.splits().map { $0.id.split(separator: "/").prefix(2).joined(separator: "/") }.sorted()
                == ["__HIVE_DEFAULT_PARTITION__/2024-10-05", "oslo/2024-10-05"])
        let wanted: Set<Value> = [.string("oslo"), .null]
        let expected: [[Value]] = (0..<60).map(Self.row).filter { wanted.contains($0[1]) && $0[6] == .int(20_001) }.map { [$0[0]] }
        #expect(try table.read(scan).canonical == expected.canonical)
    }

    @Test("files are rolled at their size, and rows of many batches stay in order of their commit")
    func rolling() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: [Field("id", .bigint), Field("text", .string)], key: ["id"],
                              options: ["write.operation": "insert", "write.parquet.max.file.size": "1", "hoodie.parquet.compression.codec": "none"])
        let batches = (0..<12).map { b in
            table.batch((b * 8_192..<(b + 1) * 8_192).map { n -> [Value] in [.int(Int64(n)), .string("text number \(n)")] })
        }
        try table.commit(batches)
        try expectSound(folder.path, rows: 12 * 8_192, key: "id")
        let opened = try HudiTable.open(folder.path)
        #expect(try opened.baseFiles.count > 2)
        #expect(try opened.baseFiles.allSatisfy { $0.bytes < 4 << 20 })
        #expect(try opened.rowCount == 12 * 8_192)
        #expect(try opened.timeline.map(\.operation) == ["INSERT"])
        #expect(try opened.timeline[0].inserted == 12 * 8_192)
    }

    @Test("small inserts fill small files when asked to", arguments: [true, false])
    func insertCluster(cluster: Bool) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"],
                              options: ["write.operation": "insert", "write.insert.cluster": String(cluster)])
        for turn in 0..<3 { try table.commit((turn * 20..<turn * 20 + 20).map(Self.row)) }
        try expectSound(folder.path, rows: 60, key: "id")
        #expect(try HudiTable.open(folder.path).baseFiles.count == (cluster ? 4 : 12))
        #expect(try table.read().canonical == (0..<60).map(Self.row).canonical)
    }

    @Test("bloom filters of more keys than one row of them holds, and many partitions in little memory")
    func manyRows() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: [Field("id", .bigint), Field("p", .int)], key: ["id"], options: ["write.operation": "insert"])
        try table.commit([table.batch((0..<70_000).map { [.int(Int64($0) * 7_919), .int(0)] })])
        try expectSound(folder.path, rows: 70_000, key: "id")

        let other = try TemporaryFolder(), schema = [Field("id", .bigint), Field("p", .int)]
        let properties = TableProperties(name: "many", recordKeyFields: ["id"], partitionFields: ["p"], keyGenerator: .simple)
        let session = WriteSession(files: try TableFiles(path: other.path), properties: properties)
        var limits = FileRouter.Limits()
        (limits.maxOpenFiles, limits.maxBufferedBytes) = (3, 20_000)
        let configuration = WriteConfiguration(operation: .insert, keys: properties.keyRules, orderingField: nil, stored: schema, codec: .zstd, globalKeys: true, limits: limits, mergeSmallFilesOnInsert: false)
        let writer = try LakeSinkWriter(log: session, configuration: configuration, context: SinkContext())
        for b in 0..<3 {
            try writer.write(Batch(schema: schema, rows: (b * 30_000..<(b + 1) * 30_000).map { [.int(Int64($0)), .int(Int64($0 % 20))] }))
        }
        let committer = try LakeCommitter(session)
        try committer.commit(1, try writer.prepareCommit(1))
        try writer.close()
        committer.close()
        try expectSound(other.path, rows: 90_000, key: "id")
    }

    @Test("files of a commit that is not completed are invisible, and the next writer removes them")
    func pendingIsInvisible() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: ["write.operation": "insert"])
        try table.commit((0..<20).map(Self.row))
        do {
            let writer = try table.sink().writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
            try writer.write(table.batch((20..<40).map(Self.row)))
            #expect(try writer.prepareCommit(2).count == 1)
            #expect(try table.read().count == 20)
        }  // the writer goes away without committing, as if its process had died
        try expectSound(folder.path, rows: 20, key: "id")
        #expect(try HudiTable.open(folder.path).timeline.map(\.state) == ["completed", "inflight"])
        try table.commit((40..<50).map(Self.row))
        try expectSound(folder.path, rows: 30, key: "id")
        #expect(try HudiTable.open(folder.path).timeline.map { $0.action + " " + $0.state } == ["commit completed", "rollback completed", "commit completed"])
    }

    @Test("one writer streams several commits, and a commit that is repeated changes nothing")
    func severalCommits() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], options: ["write.operation": "insert"])
        let sink = try table.sink()
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let committer = try #require(try sink.committer(SinkContext()))
        try writer.write(table.batch((0..<10).map(Self.row)))
        let first = try writer.prepareCommit(1)
        // The next commit's rows come before the first one is completed.
        try writer.write(table.batch((10..<20).map(Self.row)))
        try committer.commit(1, first)
        try committer.commit(1, first)
        #expect(try table.read().count == 10)
        try committer.commit(2, try writer.prepareCommit(2))
        #expect(try writer.prepareCommit(3).isEmpty)
        try committer.commit(3, [])
        try writer.close()
        committer.close()
        try expectSound(folder.path, rows: 20, key: "id")
        #expect(try HudiTable.open(folder.path).timeline.count == 2)
    }
}
