import Foundation
import StreamCore
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg tables over many commits") struct HistoryTests {
    /// A host whose clock moves by a second a call.
    static func ticking() -> StreamCore.Host {
        let counter = Counter()
        var host = StreamCore.Host.system
        host.now = { counter.next() }
        return host
    }

    private final class Counter: Sendable {
        private let value = Atomic()
        func next() -> Int64 { value.add(1_000) }
    }

    @Test("random upserts, deletes and partition moves equal a dictionary after every commit and at every snapshot", arguments: 1...4)
    func random(_ seed: Int) throws {
        let folder = try TemporaryFolder()
        var random = SeededGenerator(UInt64(seed))
        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
        let table = TestTable(folder.path, partitions: seed % 2 == 0 ? ["city"] : [], options: [
            "write.target-file-size-bytes": "6 kb", "write.parquet.small.file.limit": seed < 3 ? "1 b" : "4 kb", "commit.manifest.min-count-to-merge": "5",
        ])
        let cities = ["oslo", "lima", "a=b/c", "", nil]
        var model: [Int: [Value]] = [:], snapshots: [Int64: [[Value]]] = [:]
        for commit in 0..<25 {
            var rows: [[Value]] = [], kinds: [RowKind] = []
            for _ in 0..<1 + below(60) {
                let id = below(200), row = TestTable.row(id, cities[below(5)], below(1_000), below(1_000))
                let deletes = below(5) == 0
                rows.append(row)
                kinds.append(deletes ? .delete : .updateAfter)
                model[id] = deletes ? nil : row
            }
            try table.commit(rows, kinds: kinds, checkpoint: UInt64(commit + 1))
            #expect(try table.read().canonical == Array(model.values).canonical, "seed \(seed), commit \(commit)")
            if let id = try IcebergTable.open(folder.path).currentSnapshotID { snapshots[id] = Array(model.values) }
        }
        let judged = try Judge.history(folder.path)
        #expect(judged.strays == [] && judged.manifests <= 6, "seed \(seed): \(judged.manifests) manifests, strays \(judged.strays)")
        #expect(Set(judged.snapshots.keys) == Set(snapshots.keys))
        for (id, rows) in snapshots {
            #expect(judged.snapshots[id] == table.judged(rows), "seed \(seed), snapshot \(id)")
            #expect(try table.with(["snapshot-id": "\(id)"]).read().canonical == rows.canonical, "seed \(seed), snapshot \(id)")
        }
    }

    @Test("inserts need no key, append snapshots, and leave files alone")
    func inserts() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, key: [], partitions: ["city"])
        for i in 0..<12 { try table.commit([TestTable.row(i, "oslo", i, 1), TestTable.row(i, "lima", i, 1)]) }
        let view = try IcebergTable.open(folder.path)
        #expect(view.timeline.allSatisfy { $0.operation == "append" } && view.baseFiles.count == 24 && view.rowCount == 24 && view.recordKeyFields == [])
        let judged = try Judge.history(folder.path)
        #expect(judged.current == table.judged(try table.read()) && judged.current.count == 24)
        let error = #expect(throws: StreamError.self) { try table.commit([TestTable.row(1, "oslo", 1, 1)], kinds: [.delete]) }
        #expect(error?.code == .runtime || error != nil)
    }

    @Test("many commits: manifests stay few, old snapshots go with what only they need, old metadata files too")
    func upkeep() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, partitions: ["city"], options: [
            "history.expire.max-snapshot-age-ms": "4500", "history.expire.min-snapshots-to-keep": "3", "write.metadata.delete-after-commit.enabled": "true",
            "write.metadata.previous-versions-max": "5", "commit.manifest.min-count-to-merge": "4",
        ])
        table.connector = IcebergConnector(host: Self.ticking())
        var model: [Int: [Value]] = [:]
        for commit in 0..<40 {
            let rows = (0..<3).map { TestTable.row((commit * 3 + $0) % 50, ["oslo", "lima", "rome"][commit % 3], commit, 1) }
            for row in rows { model[Int(row[0].text!.dropFirst(6))!] = row }
            try table.commit(rows, checkpoint: UInt64(commit + 1))
        }
        let view = try IcebergTable.open(folder.path), judged = try Judge.history(folder.path)
        #expect(judged.strays == [] && judged.current == table.judged(Array(model.values)) && judged.manifests <= 5)
        #expect(view.timeline.count >= 3 && view.timeline.count < 10 && judged.snapshots.count == view.timeline.count)
        let versions = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/metadata").filter { $0.hasSuffix(".metadata.json") }
        #expect(versions.count <= 7, "\(versions)")
        // As of a time: that of a kept snapshot, one between, and one that is too early.
        let entry = view.timeline[view.timeline.count - 2]
        let then = try table.with(["snapshot-id": "\(entry.snapshotID)"]).read().canonical
        #expect(try table.with(["as-of-timestamp": "\(entry.time)"]).read().canonical == then)
        #expect(try table.with(["as-of-timestamp": "\(view.timeline.last!.time - 1)"]).read().canonical == then)
        #expect(judged.snapshots[entry.snapshotID] == table.judged(try table.with(["snapshot-id": "\(entry.snapshotID)"]).read()))
        #expect(throws: StreamError.self) { try table.with(["as-of-timestamp": "1000"]).read() }
        #expect(throws: StreamError.self) { try table.with(["snapshot-id": "17"]).read() }
    }

    @Test("partitions and bounds leave files out")
    func pruning() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, key: [], partitions: ["city"])
        for i in 0..<6 { try table.commit([TestTable.row(i, i % 2 == 0 ? "oslo" : nil, i * 10, 1)]) }
        func splits(_ change: (inout ScanRequest) -> Void) throws -> Int {
            var scan = ScanRequest(projection: [0])
            change(&scan)
            return try table.connector.source(for: table.descriptor, scan: scan).splits().count
        }
        #expect(try splits { _ in } == 6)
        #expect(try splits { $0.partitionFilter = ["city": [.string("oslo")]] } == 3)
        #expect(try splits { $0.filter = [ScanPredicate(column: 2, .compares(.greaterOrEqual, .int(30)))] } == 3)
        #expect(try splits { $0.filter = [ScanPredicate(column: 1, .isNull)] } == 3)
        #expect(try splits { $0.filter = [ScanPredicate(column: 1, .compares(.equal, .string("lima")))] } == 0)
        #expect(try splits { $0.filter = [ScanPredicate(column: 0, .isIn([.string("order-4"), .string("order-9")]))] } == 1)
    }

    @Test("a table in a warehouse lies where Iceberg's file system catalog looks for it")
    func warehouse() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path)
        table.descriptor.options = ["connector": "iceberg", "catalog-type": "hadoop", "warehouse": folder.path, "catalog-database": "db", "catalog-table": "orders"]
        try table.commit([TestTable.row(1, "oslo", 1, 1)])
        #expect(try Judge.rows(folder.path + "/db/orders") == table.judged(try table.read()))
        for (option, value) in [("catalog-type", "hive"), ("format-version", "3"), ("write.format.default", "orc"), ("snapshot-id", "x"), ("path", "/tmp/x")] {
            #expect(throws: StreamError.self, "\(option)") { try table.with([option: value]).connector.validate(table.with([option: value]).descriptor) }
        }
    }
}

import Synchronization

/// A number that several threads add to.
final class Atomic: Sendable {
    private let value = Mutex<Int64>(1_767_225_600_000)
    func add(_ n: Int64) -> Int64 {
        value.withLock { value in
            value += n
            return value
        }
    }
}

extension Value {
    var text: String? { if case .string(let s) = self { s } else { nil } }
}
