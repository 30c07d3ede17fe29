import Foundation
import StreamCore
import TestScripts
import Testing

@testable import IcebergTable
@testable import LakeTable

/// A new folder under the system's temporary folder, removed with its owner.
final class TemporaryFolder {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "swiftwater-iceberg-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit {
        try? FileManager.default.removeItem(atPath: path)
        try? FileManager.default.removeItem(atPath: path + ".db")
    }
}

/// SplitMix64: the same numbers for the same seed on every platform.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A declared table and the ways to write and read it without a job.
struct TestTable {
    var descriptor: TableDescriptor
    var connector = IcebergConnector()

    static let schema: Schema = [Field("id", .string), Field("city", .string), Field("amount", .int), Field("ts", .timestamp(3))]

    static func row(_ id: Int, _ city: String?, _ amount: Int, _ ts: Int) -> [Value] {
        [.string("order-\(id)"), city.map { .string($0) } ?? .null, .int(Int64(amount)), .int(Int64(ts))]
    }

    init(_ path: String, schema: Schema = TestTable.schema, key: [String] = ["id"], partitions: [String] = [], options: [String: String] = [:]) {
        descriptor = TableDescriptor(name: "trips", schema: schema, primaryKey: key, partitionKeys: partitions,
                                     options: options.merging(["connector": "iceberg", "path": path]) { a, _ in a })
    }

    func with(_ options: [String: String]) -> TestTable {
        var table = self
        table.descriptor.options.merge(options) { $1 }
        return table
    }

    func sink() throws -> any TableSink {
        try connector.validate(descriptor)
        return try connector.sink(for: descriptor, timeZone: "UTC")
    }

    func batch(_ rows: [[Value]], kinds: [RowKind]? = nil) -> Batch { Batch(schema: descriptor.schema, rows: rows, kinds: kinds) }

    /// Writes and commits.
    func commit(_ rows: [[Value]], kinds: [RowKind]? = nil, checkpoint: UInt64 = 1) throws {
        let sink = try sink()
        let writer = try sink.writer(SinkContext())
        let committer = try #require(try sink.committer(SinkContext()))
        defer { committer.close() }
        do {
            try writer.write(batch(rows, kinds: kinds))
            try committer.commit(checkpoint, try writer.prepareCommit(checkpoint))
            try writer.close()
        } catch {
            writer.abort()
            throw error
        }
    }

    /// Everything, or what a scan asks for.
    func read(_ scan: ScanRequest? = nil) throws -> [[Value]] {
        let source = try connector.source(for: descriptor, scan: scan ?? ScanRequest(projection: Array(descriptor.schema.indices)))
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

    /// Rows as the judge prints them.
    func judged(_ rows: [[Value]]) -> [String] {
        rows.map { Judge.text(zip($0, descriptor.schema).map { Judge.json($0, $1.type) } as [Any]) }.sorted()
    }
}

/// The program that reads tables with pyiceberg, fastavro and pyarrow.
enum Judge {
    static func answer(_ arguments: String...) throws -> Any { try PythonScript.answer("iceberg/judge.py", arguments) }

    static func rows(_ path: String) throws -> [String] { texts(try answer("rows", path)) }

    static func texts(_ rows: Any) -> [String] { (rows as? [Any] ?? []).map(text).sorted() }

    struct History {
        var snapshots: [Int64: [String]] = [:]
        var current: [String] = []
        var strays: [String] = []
        var manifests = 0
    }

    /// Every snapshot with its rows; throws when a file is not what the manifests say.
    static func history(_ path: String) throws -> History {
        let answer = try answer("history", path) as? [String: Any] ?? [:]
        var out = History()
        for (id, rows) in answer["snapshots"] as? [String: Any] ?? [:] { out.snapshots[Int64(id)!] = texts(rows) }
        out.current = texts(answer["current"] ?? [])
        out.strays = answer["strays"] as? [String] ?? ["no answer"]
        out.manifests = answer["manifests"] as? Int ?? 0
        return out
    }

    static func text(_ row: Any) -> String {
        String(decoding: try! JSONSerialization.data(withJSONObject: row, options: [.withoutEscapingSlashes]), as: UTF8.self)
    }

    static func json(_ value: Value, _ type: DataType) -> Any {
        switch (value, type) {
        case (.null, _): return NSNull()
        case (.bool(let b), _): return b
        case (.int(let n), .time): return n * 1_000
        case (.int(let n), _) where type.timeUnit == .milliseconds: return n * 1_000
        case (.int(let n), _): return n
        case (.float(let f), _): return Double(f)
        case (.double(let d), _): return d
        case (.decimal(let d), .decimal(_, let scale)): return TextColumn.decimal(d, scale: scale)
        case (.string(let s), _): return s
        case (.binary(let b), _): return b.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        case (.array(let items), .array(let element)): return items.map { json($0, element) }
        case (.map(let entries), .map(let key, let v)): return entries.map { [json($0.key, key), json($0.value, v)] }
        case (.row(let parts), .row(let fields)): return zip(parts, fields).map { json($0, $1.type) }
        default: return "\(value)"
        }
    }
}

typealias SourceLocation = Testing.SourceLocation

extension Array where Element == [Value] {
    /// In an order that does not depend on where rows lie.
    var canonical: [String] { map { "\($0)" }.sorted() }
}
