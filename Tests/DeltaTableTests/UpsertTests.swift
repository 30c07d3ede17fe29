import Foundation
import StreamCore
import Testing

@testable import DeltaTable
@testable import LakeTable

@Suite("Delta upserts") struct UpsertTests {
    @Test("insert, upsert, partition change and delete leave one row per key, for delta-rs and DuckDB too", arguments: [true, false])
    func history(globalKeys: Bool) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, partitions: ["city"], options: ["ordering.field": "ts", "index.global.enabled": String(globalKeys)])
        var rows = (0..<100).map { TestTable.row($0, ["oslo", "a b/c%=&?"][$0 % 2], $0, 10) }
        try table.commit(rows)
        #expect(try table.read().canonical == rows.canonical)
        // Changes, with an older and a newer duplicate in the batch, and new keys.
        rows[4] = TestTable.row(4, "oslo", 1_004, 20)
        rows[7] = TestTable.row(7, "a b/c%=&?", 1_007, 10)
        try table.commit([TestTable.row(4, "oslo", 1, 15), rows[4], TestTable.row(4, "oslo", 2, 19), rows[7], TestTable.row(100, nil, 100, 1)])
        rows.append(TestTable.row(100, nil, 100, 1))
        #expect(try table.read().canonical == rows.canonical)
        // Key 2 moves; it stays where it was when keys count per partition.
        try table.commit([TestTable.row(2, "lima", 2, 11)])
        if globalKeys { rows[2] = TestTable.row(2, "lima", 2, 11) } else { rows.append(TestTable.row(2, "lima", 2, 11)) }
        #expect(try table.read().canonical == rows.canonical)
        try table.commit([TestTable.row(0, "oslo", 0, 12), TestTable.row(1, "a b/c%=&?", 0, 12)], kinds: [.delete, .delete])
        rows.removeSubrange(0..<2)
        #expect(try table.read().canonical == rows.canonical)
        let judged = try Judge.read(folder.path)
        #expect(judged.version == 4 && judged.rows == rows.judged(table.descriptor.schema) && judged.duckDB == rows.count)
        let opened = try DeltaTable.open(folder.path)
        let timeline = try opened.timeline()
        #expect(timeline.map(\.operation) == ["CREATE TABLE", "MERGE", "MERGE", "MERGE", "MERGE"])
        #expect(timeline[1].inserted == 100 && timeline[4].deleted == 2)
        #expect(try opened.timeline(last: 2) == Array(timeline[3...]))
        #expect(opened.rowCount == Int64(rows.count) && opened.primaryKey == ["id"] && opened.partitionFields == ["city"])
    }

    @Test("without a key rows are appended, and changes are refused")
    func appends() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, key: [], partitions: ["city"])
        let rows = (0..<50).map { TestTable.row($0 % 10, ["oslo", "lima"][$0 % 2], $0, 1) }
        try table.commit(rows)
        try table.commit(rows)
        #expect(try table.read().canonical == (rows + rows).canonical)
        let judged = try Judge.read(folder.path)
        #expect(judged.rows == (rows + rows).judged(table.descriptor.schema) && judged.files.count == 4)
        let error = #expect(throws: StreamError.self) { try table.commit([rows[0]], kinds: [.delete]) }
        #expect(error?.description.contains("takes only +I") == true)
        #expect(try table.sink().acceptsChanges == false)
    }

    @Test("partitions and tables are overwritten, partitions emptied, keys deleted; what other partitions hold stays")
    func otherOperations() throws {
        let folder = try TemporaryFolder()
        func table(_ operation: String) -> TestTable { TestTable(folder.path, partitions: ["city"], options: ["write.operation": operation, "write.parquet.max.file.size": "4 kb"]) }
        var rows = (0..<60).map { TestTable.row($0, ["oslo", "lima", "pune"][$0 % 3], $0, 1) }
        try table("upsert").commit(rows)
        let oslo = (100..<110).map { TestTable.row($0, "oslo", $0, 2) }
        try table("insert_overwrite").commit(oslo)
        rows = rows.filter { $0[1] != .string("oslo") } + oslo
        #expect(try table("insert").read().canonical == rows.canonical)
        try table("delete").commit([oslo[3], TestTable.row(1, "lima", 0, 0)])
        rows.removeAll { $0[0] == oslo[3][0] || $0[0] == .string("order-1") }
        #expect(try table("insert").read().canonical == rows.canonical)
        try table("delete_partition").commit([TestTable.row(0, "pune", 0, 0)])
        rows.removeAll { $0[1] == .string("pune") }
        #expect(try table("insert").read().canonical == rows.canonical)
        #expect(try Judge.read(folder.path).rows == rows.judged(TestTable.orders))
        try table("insert_overwrite_table").commit(oslo)
        #expect(try Judge.read(folder.path).rows == oslo.judged(TestTable.orders))
        #expect(try table("insert").read(options: ["versionAsOf": "4"]).canonical == rows.canonical)
    }

    struct History: CustomTestStringConvertible {
        var seed: UInt64
        var partitioned: Bool { seed % 2 == 0 }
        var global: Bool { seed % 4 < 2 }
        var ordered: Bool { seed % 3 != 0 }
        var testDescription: String { "seed \(seed), partitioned \(partitioned), global \(global), ordered \(ordered)" }
    }

    @Test("random histories equal a dictionary after every commit, and at every version for delta-rs", arguments: (1...6).map { History(seed: $0) })
    func randomHistory(_ history: History) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(history.seed)
        var options = ["index.global.enabled": String(history.global), "write.parquet.max.file.size": "4 kb", "write.parquet.small.file.limit": "3 kb",
                       "delta.checkpointInterval": "4"]
        if history.ordered { options["precombine.field"] = "ts" }
        let table = TestTable(folder.path, partitions: history.partitioned ? ["city"] : [], options: options)
        let cities = ["oslo", "lima", "a b/c"]
        var model = Model(ordered: history.ordered), versions: [[String]] = [[]]
        // One writer for some commits, then a new one, which builds its index from the files.
        for _ in 0..<3 {
            let sink = try table.sink(), writer = try sink.writer(SinkContext())
            let committer = try #require(try sink.committer(SinkContext()))
            for checkpoint in 1...UInt64(4) {
                for _ in 0..<(1 + random.below(3)) {
                    var rows: [[Value]] = [], kinds: [RowKind] = []
                    for _ in 0..<random.below(60) {
                        let id = random.below(80), city = cities[random.below(3)], ts = random.below(20)
                        let row = TestTable.row(id, city, random.below(1_000), ts), delete = random.below(6) == 0
                        rows.append(row)
                        kinds.append(delete ? .delete : [.insert, .updateAfter][random.below(2)])
                        model.apply(row, delete: delete, ts: ts, key: history.global || !history.partitioned ? "\(id)" : "\(id) \(city)")
                    }
                    try writer.write(table.batch(rows, kinds: kinds))
                }
                model.commit()
                try committer.commit(checkpoint, try writer.prepareCommit(checkpoint))
                #expect(try table.read().canonical == model.rows.canonical, "\(history)")
                while versions.count <= (try DeltaTable.open(folder.path).version) { versions.append(model.rows.judged(table.descriptor.schema)) }
            }
            try writer.close()
            committer.close()
        }
        for (number, judged) in try Judge.read(folder.path, versions: Array(versions.indices)).enumerated() {
            #expect(judged.rows == versions[number], "\(history), version \(number)")
            #expect(try table.read(options: ["versionAsOf": "\(number)"]).judged(table.descriptor.schema) == versions[number], "\(history), version \(number)")
        }
    }

    @Test("a table of delta-rs is written on: its partitions, folders and rows", arguments: [true, false])
    func foreignTable(globalKeys: Bool) throws {
        let folder = try TemporaryFolder()
        try Judge.run("create", folder.path, "partitioned")
        let schema: Schema = [Field("id", .int), Field("city", .string), Field("at", .timestampLTZ(6)), Field("amount", .decimal(precision: 10, scale: 2))]
        let table = TestTable(folder.path, schema: schema, key: ["id"], partitions: ["city"], options: ["index.global.enabled": String(globalKeys)])
        let before = try table.read()
        #expect(before.canonical == [[.int(1), .string("oslo"), .int(1_577_840_523_456_789), .decimal(150)], [.int(2), .string("a b/c%=&?"), .null, .null],
                                     [.int(3), .null, .int(0), .decimal(-225)]].canonical)
        // Changed in place, moved, deleted, new; the row of NULL stays.
        var rows: [[Value]] = [[.int(2), .string("a b/c%=&?"), .int(5), .decimal(1)], [.int(4), .string("oslo"), .null, .null]]
        try table.commit(rows)
        rows += [before.first { $0[0] == .int(1) }!, before.first { $0[0] == .int(3) }!]
        #expect(try table.read().canonical == rows.canonical)
        try table.commit([rows[2]], kinds: [.delete])
        rows.remove(at: 2)
        #expect(try table.read().canonical == rows.canonical)
        #expect(try Judge.read(folder.path).rows == rows.judged(schema))
    }
}
