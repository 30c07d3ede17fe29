import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi key generators") struct KeyGeneratorTests {
    // MARK: Patterns

    static let moments: [(pattern: String, text: String)] = [
        ("yyyy/MM/dd/HH", "2024/03/09/14"), ("yyyyMMdd", "20240309"), ("yy-M-d", "24-3-9"), ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-03-09T14:05:07.089"),
        ("yyyy-DDD", "2024-069"), ("hh a", "02 PM"), ("'day' dd ''", "day 09 '"), ("yyyy-MM-dd HH:mm:ssZ", "2024-03-09 14:05:07+0100"),
        ("HH:mm:ssZZ", "14:05:07+01:00"), ("SSSSSS", "089012"),
    ]

    @Test("times are written by patterns, and read where nothing is left out", arguments: 0..<10)
    func patterns(_ index: Int) throws {
        let (text, expected) = Self.moments[index]
        let pattern = try TimePattern(text), local: Int64 = 1_709_993_107_089_012
        var out: [UInt8] = []
        pattern.write(local, offset: 3_600, to: &out)
        #expect(String(decoding: out, as: UTF8.self) == expected)
        var again: [UInt8] = []
        let parsed = try #require(out.withUnsafeBytes { pattern.parse($0) })
        pattern.write(parsed.micros, offset: 3_600, to: &again)
        #expect(again == out)
        #expect(parsed.offset == (text.contains("Z") ? 3_600 : nil))
    }

    @Test("random times survive their text, also before 1970")
    func randomTimes() throws {
        var random = SeededGenerator(4)
        let pattern = try TimePattern("yyyy-MM-dd HH:mm:ss.SSSSSS")
        for _ in 0..<2_000 {
            let time = Int64.random(in: -60_000_000_000_000_000...200_000_000_000_000_000, using: &random)
            var out: [UInt8] = []
            pattern.write(time, offset: 0, to: &out)
            #expect(out.withUnsafeBytes { pattern.parse($0)?.micros } == time, "\(time)")
        }
        for text in ["2024-02-30 00:00:00.0", "2024-13-01 00:00:00.0", "2024-01-01 24:00:00.0", "2024-01-01", "", "2024-01-01 00:00:00.0x"] {
            #expect(Array(text.utf8).withUnsafeBytes { pattern.parse($0) } == nil, "\(text)")
        }
        #expect(throws: StreamError.self) { try TimePattern("yyyy-MMM") }
        #expect(throws: StreamError.self) { try TimePattern("yyyy'") }
    }

    // MARK: Tables

    struct Layout: CustomTestStringConvertible {
        var type: DataType, values: [Value], options: [String: String], paths: [String]
        var version = TableVersion.six
        var testDescription: String { "\(type) \(options.values.sorted().joined(separator: " ")), version \(version.rawValue)" }
    }

    private static let prefix = "hoodie.keygen.timebased."
    private static let hours = [1_709_993_107, 1_709_996_707, 1_709_993_199, 1_710_028_800]  // 14:05, 15:05, 14:06, 00:00 the next day
    static let layouts: [Layout] = [
        Layout(type: .timestamp(3), values: hours.map { .int(Int64($0) * 1_000) }, options: ["output.dateformat": "yyyy/MM/dd/HH"],
               paths: ["2024/03/09/14", "2024/03/09/15", "2024/03/10/00"]),
        Layout(type: .bigint, values: hours.map { .int(Int64($0)) }, options: ["timestamp.type": "UNIX_TIMESTAMP", "output.dateformat": "yyyy-MM-dd"],
               paths: ["2024-03-09", "2024-03-10"], version: .eight),
        Layout(type: .bigint, values: hours.map { .int(Int64($0) * 1_000) },
               options: ["timestamp.type": "EPOCHMILLISECONDS", "output.dateformat": "yyyyMMddHH", "timezone": "Europe/Oslo"],
               paths: ["2024030915", "2024030916", "2024031001"], version: .nine),
        Layout(type: .int, values: hours.map { .int(Int64($0) / 86_400) },
               options: ["timestamp.type": "SCALAR", "timestamp.scalar.time.unit": "days", "output.dateformat": "yyyy/MM"], paths: ["2024/03"]),
        Layout(type: .date, values: hours.map { .int(Int64($0) / 86_400) }, options: ["output.dateformat": "yyyy/MM/dd"], paths: ["2024/03/09", "2024/03/10"], version: .nine),
        Layout(type: .string, values: ["2024-03-09 14:05:07", "09.03.2024", "2024-03-09 23:59:59", "2024-03-10 00:00:00"].map { .string($0) },
               options: ["timestamp.type": "DATE_STRING", "input.dateformat": "yyyy-MM-dd HH:mm:ss,dd.MM.yyyy", "output.dateformat": "yyyy/MM/dd"],
               paths: ["2024/03/09", "2024/03/10"], version: .eight),
    ]

    static func table(_ folder: TemporaryFolder, _ layout: Layout, hive: Bool) -> TestTable {
        var options = layout.version.options
        for (key, value) in layout.options { options[prefix + key] = value }
        options["hoodie.datasource.write.keygenerator.class"] = "org.apache.hudi.keygen.TimestampBasedKeyGenerator"
        options["hoodie.datasource.write.hive_style_partitioning"] = String(hive)
        return TestTable(folder.path, schema: [Field("id", .bigint), Field("at", layout.type), Field("n", .int)], key: ["id"], partitions: ["at"], options: options)
    }

    @Test("partitions by time: paths, upserts, pruning, and what hudi-rs reads", arguments: layouts, [false, true])
    func timestamps(_ layout: Layout, hive: Bool) throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, layout, hive: hive)
        var rows = layout.values.enumerated().map { [Value.int(Int64($0)), $1, .int(1)] } + [[.int(100), .null, .int(1)]]
        if hive { rows.removeLast() }
        try table.commit(rows)
        let partitions = try HudiTable.open(folder.path).partitions
        let expected = (layout.paths + (hive || layout.paths.contains { $0.hasPrefix("1970") } ? [] : [partitions.first { $0.hasPrefix("1970") } ?? "no partition of NULL"]))
        #expect(partitions == expected.map { hive ? "at=\($0)" : $0 }.sorted())
        try expectSound(folder.path, rows: rows.count)
        rows[1][2] = .int(2)
        rows[2][1] = layout.values[3]
        try table.commit([rows[1], rows[2]])
        try expectSound(folder.path, rows: rows.count)
        // A declaration that says nothing of the key generator follows the table.
        let plain = TestTable(folder.path, schema: table.descriptor.schema, key: ["id"], partitions: ["at"])
        try plain.commit([rows[0]])
        #expect(try plain.read().canonical == rows.canonical)
        for value in Set(rows.map { $0[1] }) {
            let scan = ScanRequest(projection: [0, 1, 2], partitionFilter: ["at": [value]])
            let read = try plain.read(scan), wanted = rows.filter { $0[1] == value }
            #expect(Set(read.canonical).isSuperset(of: wanted.canonical), "\(value)")
            if value != .null, partitions.count > 1 { #expect(read.count < rows.count, "\(value) prunes") }
        }
        let other = TestTable(folder.path, schema: table.descriptor.schema, key: ["id"], partitions: ["at"],
                              options: table.descriptor.options.merging([Self.prefix + "output.dateformat": "yyyy"]) { $1 })
        let error = #expect(throws: StreamError.self) { _ = try other.sink() }
        #expect(error?.description.contains("partitioning by time") == true)
    }

    static let mistakes: [([String: String], String)] = [
        (["hoodie.datasource.write.keygenerator.class": "com.example.MyKeyGenerator"], "key generator 'com.example.MyKeyGenerator' is not supported"),
        (["hoodie.datasource.write.keygenerator.type": "CUSTOM"], "write one of NON_PARTITION, SIMPLE, COMPLEX, TIMESTAMP"),
        (["hoodie.datasource.write.keygenerator.type": "NON_PARTITION"], "does not go with 1 key and 1 partition columns"),
        (["hoodie.datasource.write.keygenerator.type": "TIMESTAMP"], "needs 'hoodie.keygen.timebased.output.dateformat'"),
        (["hoodie.datasource.write.keygenerator.type": "TIMESTAMP", prefix + "output.dateformat": "yyyy", prefix + "timestamp.type": "EPOCH"], "'EPOCH' is not supported"),
        (["hoodie.datasource.write.keygenerator.type": "TIMESTAMP", prefix + "output.dateformat": "yyyy EEE"], "has 'EEE', which is not supported"),
        (["hoodie.datasource.write.keygenerator.type": "TIMESTAMP", prefix + "output.dateformat": "yyyy", prefix + "timezone": "Mars/North"], "time zone 'Mars/North' is not known"),
        (["hoodie.datasource.write.keygenerator.type": "TIMESTAMP", prefix + "output.dateformat": "yyyy", prefix + "timestamp.type": "DATE_STRING", prefix + "input.dateformat": "yyyy"], "does not hold what"),
        ([prefix + "output.dateformat": "yyyy"], "only for the timestamp-based key generator"),
        (["hoodie.write.table.version": "7"], "write '6', '8' or '9'"),
        (["precombine.field": "ts,amount"], "tables of version 9 can have several"),
        (["hoodie.record.merge.mode": "EVENT_TIME_ORDERING"], "ordering by event time needs an ordering field"),
        (["hoodie.record.merge.mode": "CUSTOM"], "write one of EVENT_TIME_ORDERING, COMMIT_TIME_ORDERING"),
    ]

    @Test("wrong key generators give one error that says what to write", arguments: 0..<13)
    func mistakes(_ index: Int) throws {
        let (options, text) = Self.mistakes[index]
        let table = TestTable("/nowhere/table", schema: UpsertTests.schema, key: ["id"], partitions: index < 3 || index >= 8 ? ["city"] : ["ts"], options: options)
        let error = #expect(throws: StreamError.self) { try table.connector.validate(table.descriptor) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "no error")")
    }

    @Test("text that is no time stops the job with the value and the pattern")
    func badText() throws {
        let folder = try TemporaryFolder(), table = Self.table(folder, Self.layouts[5], hive: false)
        let error = #expect(throws: StreamError.self) { try table.commit([[.int(1), .string("tomorrow"), .null]]) }
        #expect(error?.description.contains("'tomorrow', which does not follow 'yyyy-MM-dd HH:mm:ss' or 'dd.MM.yyyy'") == true)
    }

    // MARK: Deletes by key

    @Test("a delete that has only the key finds its row in any partition when keys are global", arguments: TableVersion.allCases)
    func deleteByKey(version: TableVersion) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: version.options.merging(["precombine.field": "ts"]) { a, _ in a })
        let rows = (0..<30).map { UpsertTests.row($0, ["oslo", "lima", "pune"][$0 % 3], $0, 1) }
        try table.commit(rows)
        try table.commit([3, 7, 99].map { [.string("order-\($0)"), .null, .null, .null] }, kinds: [.delete, .delete, .delete])
        let left = rows.filter { ![.string("order-3"), .string("order-7")].contains($0[0]) }
        try expectSound(folder.path, rows: 28, key: "id", globalKeys: true)
        #expect(try table.read().canonical == left.canonical)
    }

    @Test("with keys per partition it is refused, unless the row is in the partition of NULL")
    func deleteWithoutPartition() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], partitions: ["city"], options: ["index.global.enabled": "false"])
        let kept = UpsertTests.row(1, "oslo", 1, 1)
        try table.commit([kept, [.string("order-2"), .null, .int(1), .int(1)]])
        try table.commit([[.string("order-2"), .null, .null, .null]], kinds: [.delete])
        #expect(try table.read() == [kept])
        try table.commit([[.string("order-3"), .null, .null, .null], [.string("order-3"), .null, .null, .null]], kinds: [.insert, .delete])
        let error = #expect(throws: StreamError.self) { try table.commit([[.string("order-1"), .null, .null, .null]], kinds: [.delete]) }
        #expect(error?.description.contains("key 'order-1' has NULL in city") == true)
        #expect(try table.read() == [kept])
    }

    // MARK: Ordering

    @Test("commit-time ordering lets the later row win although there is an ordering field", arguments: TableVersion.allCases)
    func commitTime(version: TableVersion) throws {
        let folder = try TemporaryFolder()
        let options = version.options.merging(["precombine.field": "ts", "hoodie.record.merge.mode": "COMMIT_TIME_ORDERING"]) { a, _ in a }
        try TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], options: options).commit([UpsertTests.row(1, "oslo", 1, 50)])
        // What the table says counts for jobs that do not say it.
        let table = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"])
        try table.commit([UpsertTests.row(1, "oslo", 2, 20), UpsertTests.row(1, "oslo", 3, 10)])
        #expect(try table.read() == [UpsertTests.row(1, "oslo", 3, 10)])
        try expectSound(folder.path, rows: 1, key: "id")
        let other = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], options: ["hoodie.record.merge.mode": "EVENT_TIME_ORDERING", "precombine.field": "ts"])
        #expect(throws: StreamError.self) { _ = try other.sink() }
    }

    @Test("several ordering fields are compared from left to right")
    func severalFields() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: UpsertTests.schema, key: ["id"], options: TableVersion.nine.options.merging(["ordering.fields": "ts,amount"]) { a, _ in a })
        var random = SeededGenerator(8), model: [Int: (ts: Int, amount: Int)] = [:]
        for _ in 0..<4 {
            let rows = (0..<60).map { _ in (id: Int(random.next() % 12), ts: Int(random.next() % 4), amount: Int(random.next() % 9)) }
            for row in rows where model[row.id].map({ ($0.ts, $0.amount) <= (row.ts, row.amount) }) ?? true { model[row.id] = (row.ts, row.amount) }
            try table.commit(rows.map { UpsertTests.row($0.id, "oslo", $0.amount, $0.ts) })
            #expect(try table.read().canonical == model.map { UpsertTests.row($0, "oslo", $1.amount, $1.ts) }.canonical)
        }
        // hudi-rs 0.5 refuses to open tables with several ordering fields.
        #expect(try HudiTable.open(folder.path).rowCount == Int64(model.count))
        #expect(try HudiTable.open(folder.path).orderingFields == ["ts", "amount"])
    }
}
