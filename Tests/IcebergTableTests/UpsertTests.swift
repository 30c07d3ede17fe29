import Foundation
import StreamCore
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg upserts") struct UpsertTests {
    @Test("insert, upsert, partition change and delete leave one row per key, for us and for pyiceberg", arguments: [true, false])
    func history(partitioned: Bool) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, partitions: partitioned ? ["city"] : [], options: ["precombine.field": "ts"])
        var snapshots: [Int64: [String]] = [:]
        func check(_ expected: [[Value]], _ operation: String) throws {
            #expect(try table.read().canonical == expected.canonical)
            let view = try IcebergTable.open(folder.path)
            #expect(view.rowCount == Int64(expected.count) && view.timeline.last?.operation == operation)
            snapshots[view.currentSnapshotID!] = table.judged(expected)
        }
        let cities = ["oslo", "a b/c", "", nil]
        var rows = (0..<100).map { TestTable.row($0, cities[$0 % 4], $0, 10) }
        try table.commit(rows)
        try check(rows, "append")
        rows[4] = TestTable.row(4, "oslo", 1_004, 20)
        rows[7] = TestTable.row(7, nil, 1_007, 10)
        rows.append(TestTable.row(200, "pune", 1, 10))
        try table.commit([TestTable.row(4, "oslo", 1, 19), rows[4], TestTable.row(4, "oslo", 2, 15), rows[7], rows[100]])
        try check(rows, "overwrite")
        rows[5] = TestTable.row(5, "oslo", 5_005, 30)
        try table.commit([TestTable.row(4, "oslo", -1, 19), rows[5]])
        try check(rows, "overwrite")
        try table.commit([TestTable.row(8, "oslo", 0, 50), TestTable.row(9, "a b/c", 0, 5), TestTable.row(999, "oslo", 0, 50)], kinds: [.delete, .delete, .delete])
        rows.removeAll { $0[0] == .string("order-8") }
        try check(rows, "overwrite")
        let before = try IcebergTable.open(folder.path).timeline.count
        try table.commit([TestTable.row(999, "oslo", 0, 50)], kinds: [.delete])
        #expect(try IcebergTable.open(folder.path).timeline.count == before, "a delete that finds nothing commits nothing")
        let judged = try Judge.history(folder.path)
        #expect(judged.snapshots == snapshots && judged.current == table.judged(rows) && judged.strays == [])
    }
}
