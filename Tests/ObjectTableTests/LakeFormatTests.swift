import DeltaTable
import Foundation
import HudiTable
import IcebergTable
import LakeTable
import StreamCore
import Testing
import TestScripts

/// The rows of upserts by key, as a table should have them.
private struct Model {
    var rows: [Int: [Value]] = [:]

    mutating func apply(_ changes: [[Value]], _ kinds: [RowKind]) {
        for (row, kind) in zip(changes, kinds) {
            guard case .int(let id) = row[0] else { continue }
            rows[Int(id)] = kind == .delete ? nil : row
        }
    }

    var texts: [[String]] {
        rows.values.map { $0.map { value in
            switch value {
            case .int(let n): String(n)
            case .string(let text): text
            default: "None"
            }
        } }.sorted { $0.lexicographicallyPrecedes($1) }
    }
}

@Suite("Delta, Iceberg and Hudi tables on an object store", .serialized) final class LakeFormatTests {
    let server: S3Server
    static let schema: Schema = [Field("id", .int), Field("city", .string), Field("amount", .int)]

    init() throws { server = try S3Server() }
    deinit { server.end() }

    private func connector(_ kind: String) -> any TableConnector {
        switch kind {
        case "delta": DeltaConnector()
        case "iceberg": IcebergConnector()
        default: HudiConnector()
        }
    }

    private func read(_ connector: any TableConnector, _ table: TableDescriptor) throws -> [[Value]] {
        let source = try connector.source(for: table, scan: ScanRequest(projection: Array(table.schema.indices)))
        var out: [[Value]] = []
        for split in try source.splits() {
            let reader = try source.reader(for: split, metrics: OperatorMetrics())
            loop: while true {
                switch try reader.next(maxRows: 1_000) {
                case .batch(let batch): out += batch.rows()
                case .waiting: continue
                case .endOfSplit: break loop
                }
            }
            reader.close()
        }
        return out
    }

    /// Upserts and deletes made of a seed.
    private func changes(_ random: inout some RandomNumberGenerator) -> ([[Value]], [RowKind]) {
        var rows: [Int: ([Value], RowKind)] = [:]
        for _ in 0..<40 {
            let id = Int.random(in: 0..<60, using: &random), kind: RowKind = Int.random(in: 0..<5, using: &random) == 0 ? .delete : .insert
            rows[id] = ([.int(Int64(id)), .string(["oslo", "lima", "a b"][id % 3]), .int(Int64.random(in: 0..<1_000, using: &random))], kind)
        }
        let all = rows.sorted { $0.key < $1.key }.map(\.value)
        return (all.map(\.0), all.map(\.1))
    }

    @Test("upserts over commits, restarts and lost answers are what their own readers read from the store", arguments: ["delta", "iceberg", "hudi"])
    func upserts(kind: String) throws {
        let connector = connector(kind), path = "s3://lake/\(kind)/orders"
        let table = TableDescriptor(name: "orders", schema: Self.schema, primaryKey: ["id"], partitionKeys: ["city"],
                                    options: server.options.merging(["connector": kind, "path": path, "clean.retain_commits": "3"].filter { kind != "iceberg" || $0.key != "clean.retain_commits" }) { $1 })
        var model = Model(), random = SystemRandomNumberGenerator()
        for round in 0..<3 {
            if round == 1 {
                for key in ["metadata.json", "_delta_log", ".commit", ".parquet"] { try server.dropAnswers("PutObject", key: key) }
            }
            try connector.validate(table)
            let sink = try connector.sink(for: table, timeZone: "UTC")
            let context = SinkContext(jobID: "job", isRecoverable: true, restoredCheckpoint: nil)
            let committer = try #require(try sink.committer(context)), writer = try sink.writer(context)
            for checkpoint in 1...3 as ClosedRange<UInt64> {
                let (rows, kinds) = changes(&random)
                try writer.write(Batch(schema: table.schema, rows: rows, kinds: kinds))
                model.apply(rows, kinds)
                let prepared = try writer.prepareCommit(UInt64(round) * 10 + checkpoint)
                if checkpoint == 2 { try server.reset() }
                try committer.commit(UInt64(round) * 10 + checkpoint, prepared)
                if checkpoint == 2, round == 2 {
                    let counts = try server.counts()
                    print("requests of a \(kind) commit point: \(counts.values.reduce(0, +)) \(counts)")
                }
            }
            try writer.close()
            committer.close()
            let ours = try read(connector, table)
            var seen = Model()
            seen.apply(ours, ours.map { _ in .insert })
            #expect(ours.count == model.rows.count && seen.texts == model.texts, "\(kind), round \(round)")
        }
        if kind != "hudi" {
            let theirs = try PythonScript.answer("s3/read_lake.py", [kind, path, "id,city,amount"], environment: server.environment) as? [[String]]
            #expect(theirs == model.texts, "\(kind)")
        }
    }

    @Test("a second writer of any format is told who holds the lock", arguments: ["delta", "iceberg", "hudi"])
    func writers(kind: String) throws {
        let connector = connector(kind)
        let table = TableDescriptor(name: "orders", schema: Self.schema, primaryKey: ["id"], options: server.options.merging(["connector": kind, "path": "s3://lake/two/\(kind)"]) { $1 })
        let first = try connector.sink(for: table, timeZone: "UTC").writer(SinkContext())
        let error = #expect(throws: StreamError.self) { _ = try connector.sink(for: table, timeZone: "UTC").writer(SinkContext()) }
        #expect(error?.code == .conflict && error!.problem.contains("its lock is held by process \(getpid())"), "\(String(describing: error))")
        first.abort()
    }
}
