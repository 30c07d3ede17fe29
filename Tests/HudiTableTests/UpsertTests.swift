import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi upserts") struct UpsertTests {
    static let schema: Schema = [Field("id", .string), Field("city", .string), Field("amount", .int), Field("ts", .timestamp(3))]
    static let hive = ["hoodie.datasource.write.hive_style_partitioning": "true"]

    static func row(_ id: Int, _ city: String, _ amount: Int, _ ts: Int) -> [Value] {
        [.string("order-\(id)"), .string(city), .int(Int64(amount)), .int(Int64(ts))]
    }

    @Test("insert, upsert, second upsert, partition change and delete leave one row per key", arguments: [true, false], TableVersion.allCases)
    func history(globalKeys: Bool, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        let options = Self.hive.merging(version.options) { a, _ in a }.merging(["precombine.field": "ts", "index.global.enabled": String(globalKeys)]) { a, _ in a }
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: options)
        func check(_ expected: [[Value]]) throws {
            try expectSound(folder.path, rows: expected.count, key: "id", globalKeys: globalKeys)
            #expect(try table.read().canonical == expected.canonical)
        }
        var rows = (0..<100).map { Self.row($0, ["oslo", "lima"][$0 % 2], $0, 10) }
        try table.commit(rows)
        try check(rows)
        // Changes, with an older and a newer duplicate in the batch, and new keys.
        rows[4] = Self.row(4, "oslo", 1_004, 20)
        rows[7] = Self.row(7, "lima", 1_007, 10)
        rows.append(Self.row(200, "pune", 1, 10))
        rows.append(Self.row(201, "oslo", 2, 10))
        try table.commit([Self.row(4, "oslo", 1, 19), rows[4], Self.row(4, "oslo", 2, 15), rows[7], rows[100], rows[101]])
        try check(rows)
        // A stored row with a larger ordering value wins; on a tie the later one.
        rows[5] = Self.row(5, "lima", 5_005, 10)
        try table.commit([Self.row(4, "oslo", -1, 19), rows[5]])
        try check(rows)
        // Partition change.
        try table.commit([Self.row(6, "pune", 6_006, 30), Self.row(4, "pune", -4, 3)])
        if globalKeys {
            rows[6] = Self.row(6, "pune", 6_006, 30)
        } else {
            rows += [Self.row(6, "pune", 6_006, 30), Self.row(4, "pune", -4, 3)]
        }
        try check(rows)
        // Delete, of keys that are there, too old, and not there.
        try table.commit([Self.row(8, "oslo", 0, 50), Self.row(9, "lima", 0, 5), Self.row(999, "oslo", 0, 50)], kinds: [.delete, .delete, .delete])
        rows.removeAll { $0[0] == .string("order-8") }
        try check(rows)
        let before = try HudiTable.open(folder.path).timeline.count
        try table.commit([Self.row(999, "oslo", 0, 50)], kinds: [.delete])
        #expect(try HudiTable.open(folder.path).timeline.count == before, "a delete that finds nothing commits nothing")
    }

    @Test("a trickle of small batches with a constant column fills one file, not many")
    func trickle() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: ["write.task.max.size": "8"])
        let batches = (0..<300).map { i in
            let batch = table.batch((0..<4).map { Self.row(i * 4 + $0, "oslo", $0, 1) })
            var columns = batch.columns
            columns[1] = .constant(.string("oslo"), type: .string, count: 4)
            return Batch(columns: columns, physicalCount: 4)
        }
        try table.commit(batches)
        try expectSound(folder.path, rows: 1_200, key: "id")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/oslo").filter { $0.hasSuffix(".parquet") }.count == 1)
    }

    @Test("a changelog is followed: -U then +U, also into another partition", arguments: [true, false])
    func changelog(globalKeys: Bool) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"],
                              options: ["index.global.enabled": String(globalKeys)])
        try table.commit([Self.row(1, "oslo", 1, 1), Self.row(2, "oslo", 2, 1), Self.row(3, "oslo", 3, 1)])
        try table.commit([Self.row(1, "oslo", 1, 1), Self.row(1, "lima", 10, 1), Self.row(2, "oslo", 2, 1), Self.row(2, "oslo", 20, 1),
                          Self.row(3, "oslo", 3, 1), Self.row(4, "oslo", 4, 1)],
                         kinds: [.updateBefore, .updateAfter, .updateBefore, .updateAfter, .delete, .insert])
        try expectSound(folder.path, rows: 3, key: "id", globalKeys: true)
        #expect(try table.read().canonical == [Self.row(1, "lima", 10, 1), Self.row(2, "oslo", 20, 1), Self.row(4, "oslo", 4, 1)].canonical)
    }

    @Test("a group whose last row goes stays as an empty file")
    func lastRow() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"])
        try table.commit([Self.row(1, "oslo", 1, 1)])
        try table.commit([Self.row(1, "oslo", 1, 1)], kinds: [.delete])
        try expectSound(folder.path, rows: 0)
        try table.commit([Self.row(1, "oslo", 2, 2)])
        try expectSound(folder.path, rows: 1, key: "id")
    }

    @Test("copied rows keep their commit time, changed ones get the new one")
    func commitTimes() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, schema: Self.schema, key: ["id"])
        table.descriptor.metadata = [.init(name: "time", key: "_hoodie_commit_time", type: .string)]
        try table.commit((0..<4).map { Self.row($0, "oslo", $0, 1) })
        try table.commit([Self.row(2, "oslo", 22, 2)])
        let instants = try HudiTable.open(folder.path).timeline
        #expect(try table.read(ScanRequest(projection: [0], metadata: [0])).canonical == (0..<4).map { n -> [Value] in
            [.string("order-\(n)"), .string(instants[n == 2 ? 1 : 0].instant)]
        }.canonical)
        #expect(instants[1].updated == 1 && instants[1].inserted == 0 && instants[1].rows == 4)
    }

    @Test("new rows fill the smallest file of their partition")
    func smallFiles() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"])
        for turn in 0..<5 { try table.commit([Self.row(turn, "oslo", turn, 1), Self.row(turn + 10, "lima", turn, 1)]) }
        #expect(try HudiTable.open(folder.path).baseFiles.count == 2)
        try expectSound(folder.path, rows: 10, key: "id")
    }

    @Test("several key columns make complex keys, with markers for NULL and empty")
    func complexKeys() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, schema: Self.schema, key: ["id", "amount"], partitions: ["city"], options: Self.hive)
        table.descriptor.metadata = [.init(name: "key", key: "_hoodie_record_key", type: .string)]
        let rows: [[Value]] = [[.string(""), .string("oslo"), .int(1), .null], [.null, .string("oslo"), .int(1), .null], [.string("a"), .null, .null, .null]]
        try table.commit(rows)
        try table.commit(rows)
        try expectSound(folder.path, rows: 3)
        #expect(try table.read(ScanRequest(projection: [], metadata: [0])).canonical
                == [[.string("id:__empty__,amount:1")], [.string("id:__null__,amount:1")], [.string("id:a,amount:__null__")]].canonical)
    }

    @Test("a commit larger than the buffer is merged in several passes and still is one commit")
    func spilling() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"],
                              options: ["write.task.max.size": "20 kb", "precombine.field": "ts"])
        try table.commit((0..<300).map { Self.row($0, ["oslo", "lima"][$0 % 2], 0, 1) })
        var model: [Int: [Value]] = [:]
        for n in 0..<300 { model[n] = Self.row(n, ["oslo", "lima"][n % 2], 0, 1) }
        var random = SeededGenerator(11), batches: [Batch] = []
        for turn in 0..<10 {
            let ids = Array(Set((0..<120).map { _ in Int(random.next() % 500) })).sorted()
            let rows = ids.map { Self.row($0, ["oslo", "lima", "pune"][Int(random.next() % 3)], turn, 2) }
            let kinds = ids.map { $0 % 7 == turn % 7 ? RowKind.delete : .updateAfter }
            for (i, id) in ids.enumerated() { model[id] = kinds[i] == .delete ? nil : rows[i] }
            batches.append(table.batch(rows, kinds: kinds))
        }
        try table.commit(batches)
        try expectSound(folder.path, rows: model.count, key: "id", globalKeys: true)
        #expect(try table.read().canonical == Array(model.values).canonical)
        let opened = try HudiTable.open(folder.path)
        #expect(try opened.timeline.count == 2)
    }

    struct History: CustomTestStringConvertible {
        var seed: UInt64, partitioned: Bool, global: Bool, ordered: Bool
        var version: TableVersion { TableVersion.allCases[Int(seed % 3)] }
        var testDescription: String { "version \(version.rawValue), seed \(seed), partitioned \(partitioned), global \(global), ordered \(ordered)" }
    }

    static let histories: [History] = (1...8).map { (n: Int) -> History in
        History(seed: UInt64(n), partitioned: n % 2 == 0, global: n % 4 < 2, ordered: n % 3 != 0)
    }

    @Test("random histories equal a dictionary", arguments: histories)
    func randomHistory(_ history: History) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(history.seed)
        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
        var options = ["index.global.enabled": String(history.global), "write.parquet.max.file.size": "4 kb", "hoodie.parquet.small.file.limit": "3 kb"]
        options.merge(history.version.options) { a, _ in a }
        if history.ordered { options["precombine.field"] = "ts" }
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: history.partitioned ? ["city"] : [], options: options)
        let cities = ["oslo", "lima", "a b"]
        var model = Model(ordered: history.ordered)
        // One writer for some commits, then a new one, which builds its index from the files.
        for _ in 0..<3 {
            let sink = try table.sink()
            let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
            let committer = try #require(try sink.committer(SinkContext()))
            for checkpoint in 1...UInt64(3) {
                for _ in 0..<(1 + below(3)) {
                    var rows: [[Value]] = [], kinds: [RowKind] = []
                    for _ in 0..<below(60) {
                        let id = below(80), city = cities[below(3)], ts = below(20)
                        let row = Self.row(id, city, below(1_000), ts), delete = below(6) == 0
                        rows.append(row)
                        kinds.append(delete ? .delete : [.insert, .updateAfter][below(2)])
                        let key = history.global || !history.partitioned ? "\(id)" : "\(id) \(city)"
                        model.apply(row, delete: delete, ts: ts, key: key)
                    }
                    try writer.write(table.batch(rows, kinds: kinds))
                }
                model.commit()
                try committer.commit(checkpoint, try writer.prepareCommit(checkpoint))
                #expect(try table.read().canonical == model.stored.values.map(\.row).canonical, "\(history)")
            }
            try writer.close()
            committer.close()
            try expectSound(folder.path, rows: model.stored.count, globalKeys: history.global || !history.partitioned)
        }
    }

    /// What a table must hold, as a dictionary.
    struct Model {
        let ordered: Bool
        private(set) var stored: [String: (row: [Value], ts: Int)] = [:]
        private var pending: [String: (row: [Value], ts: Int, delete: Bool)] = [:]

        init(ordered: Bool) { self.ordered = ordered }

        mutating func apply(_ row: [Value], delete: Bool, ts: Int, key: String) {
            if ordered, let old = pending[key], old.ts > ts { return }
            pending[key] = (row, ts, delete)
        }

        mutating func commit() {
            for (key, change) in pending {
                if ordered, let old = stored[key], old.ts > change.ts { continue }
                stored[key] = change.delete ? nil : (change.row, change.ts)
            }
            pending = [:]
        }
    }
}
