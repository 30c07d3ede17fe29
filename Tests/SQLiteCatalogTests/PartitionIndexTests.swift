import Foundation
import StreamCore
import StreamSQL
import Testing

@testable import SQLiteCatalog

@Suite("The partition index") struct PartitionIndexTests {
    static let keys = ["year", "month", "day", "hour"]

    /// 1980 to 2021, every year of 365 days, hour by hour.
    static func partitions() -> [TablePartition] {
        let lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        var all: [TablePartition] = []
        all.reserveCapacity(367_920)
        for year in 1980...2021 {
            for (m, length) in lengths.enumerated() {
                for day in 1...length {
                    for hour in 0..<24 {
                        let parts = ["\(year)", two(m + 1), two(day), two(hour)]
                        let name = zip(keys, parts).map { "\($0)=\($1)" }.joined(separator: "/")
                        all.append(TablePartition(name: name, values: parts.map { .string($0) }, location: name))
                    }
                }
            }
        }
        return all
    }

    @Test("of 367,920 partitions a query for one day looks at 24, and lists no other folder")
    func oneDay() throws {
        let folder = try Folder()
        let session = try folder.session()
        try run(
            session,
            """
            CREATE TABLE readings (sensor INT, `value` DOUBLE, `year` STRING, `month` STRING, `day` STRING, `hour` STRING)
            PARTITIONED BY (`year`, `month`, `day`, `hour`) WITH ('connector' = 'filesystem', 'path' = '\(folder.path)/data', 'format' = 'json')
            """)
        let all = Self.partitions()
        #expect(all.count == 367_920)
        let store = try SQLiteCatalogStore(path: folder.file)
        #expect(try store.addPartitions(all, of: "readings", in: "default_database") == 367_920)
        #expect(try store.addPartitions(Array(all[..<10]), of: "readings", in: "default_database") == 0)
        // Data of two days, and of one hour of every year.
        for partition in all where partition.name.hasPrefix("year=2021/month=04/day=01/") || partition.name.hasPrefix("year=2021/month=04/day=02/")
            || partition.name.hasSuffix("month=07/day=01/hour=09")
        {
            let path = folder.path + "/data/" + partition.location
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            guard case .string(let hour) = partition.values[3] else { continue }
            try "{\"sensor\": 1, \"value\": \(Int(hour)!).5}\n".write(toFile: path + "/data.json", atomically: true, encoding: .utf8)
        }

        let day = "`year` = '2021' AND `month` = '04' AND `day` = '01'"
        let rows = try run(session, "SELECT `value`, `hour` FROM readings WHERE \(day)")
        #expect(rows.count == 24)
        var sum = 0.0
        for row in rows { if case .double(let value) = row[0] { sum += value } }
        #expect(sum == 288)
        let listed = folder.takeListed()
        #expect(listed.count == 24 && listed.allSatisfy { $0.hasPrefix(folder.path + "/data/year=2021/month=04/day=01/hour=") })

        #expect(texts(try run(session, "SHOW PARTITIONS readings PARTITION (`year` = '2021', `month` = '04', `day` = '01')")).count == 24)
        #expect(try run(session, "SHOW PARTITIONS readings PARTITION (`month` = '02', `day` = '29')").isEmpty)
        #expect(folder.takeListed().isEmpty)

        // A range, and columns that are not the first ones: the folders that are there among the 42.
        #expect(try run(session, "SELECT `value` FROM readings WHERE `month` = '07' AND `day` = '01' AND `hour` = '09' AND `year` >= '2019'").count == 3)
        #expect(folder.takeListed().count == 3)
        #expect(try run(session, "SELECT `value` FROM readings WHERE `year` = '2021' AND `month` = '04' AND `day` < '03' AND `hour` BETWEEN '05' AND '06'").count == 4)
        #expect(folder.takeListed().count == 4)

        // Another process gets the same.
        let other = try folder.session()
        #expect(try run(other, "SELECT `value` FROM readings WHERE \(day)").count == 24)
        try run(other, "ALTER TABLE readings DROP PARTITION (`year` = '2021', `month` = '04', `day` = '01', `hour` = '00')")
        #expect(try run(session, "SELECT `value` FROM readings WHERE \(day)").count == 23)
    }

    @Test("the look-up goes through the index by value")
    func usesIndex() throws {
        let folder = try Folder()
        _ = try folder.session()
        let store = try SQLiteCatalogStore(path: folder.file)
        let plan = try store.read { db in
            try GRDBRow.texts(db, "EXPLAIN QUERY PLAN SELECT name FROM partitions WHERE object_id = 1 AND v0 IN ('2021') AND v1 IN ('04') AND v2 >= '01'")
        }
        #expect(plan.contains { $0.contains("partitions_by_value (object_id=? AND v0=? AND v1=? AND v2>?)") }, "\(plan)")
    }

    @Test("values of every type are found again, NULL only when nothing is asked of it")
    func types() throws {
        let folder = try Folder()
        let store = try SQLiteCatalogStore(path: folder.file)
        _ = try folder.session()
        let columns = (0..<10).map { TableDeclaration.Column(name: "k\($0)", type: "INT") }
        #expect(try store.create(CatalogObject(name: "t", declaration: .table(TableDeclaration(columns: columns))), in: "default_database"))
        let keys = columns.map(\.name)
        let values: [Value] = [
            .int(-3), .string("é"), .bool(true), .decimal(12_345), .double(0.5), .float(1.5), .binary([0, 255]), .null, .string("ninth"), .int(10),
        ]
        let partitions = [
            TablePartition(name: "a", values: values, location: "a"),
            TablePartition(name: "b", values: [.int(20), .string("z"), .bool(false)] + values[3..<9] + [.null], location: "/elsewhere"),
        ]
        _ = try store.addPartitions(partitions, of: "t", in: "default_database")
        func find(_ filter: PartitionFilter) throws -> [String] {
            try store.partitions(of: "t", in: "default_database", keys: keys, matching: filter).map(\.name)
        }
        #expect(try store.partitions(of: "t", in: "default_database", keys: keys, matching: PartitionFilter()) == partitions)
        for (i, key) in keys.enumerated() where values[i] != .null { #expect(try find(PartitionFilter(values: [key: [values[i]]])).contains("a"), "\(key)") }
        #expect(try find(PartitionFilter(ranges: ["k0": ValueRange(lower: .int(-3), includesLower: false)])) == ["b"])
        #expect(try find(PartitionFilter(ranges: ["k1": ValueRange(upper: .string("z"), includesUpper: true)])) == ["b"])
        #expect(try find(PartitionFilter(ranges: ["k9": ValueRange(lower: .int(0))])) == ["a"])
        #expect(try find(PartitionFilter(values: ["k7": [.int(1)]])).isEmpty)
        #expect(try find(PartitionFilter(values: ["k0": Set((0..<2_000).map { .int($0) })])) == ["b"])
    }
}
