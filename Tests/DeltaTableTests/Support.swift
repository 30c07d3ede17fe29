import Foundation
import StreamCore
import TestScripts
import Testing

@testable import DeltaTable
@testable import LakeTable

/// A new folder under the system's temporary folder, removed with its owner.
final class TemporaryFolder {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "swiftwater-delta-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: path) }
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
    mutating func below(_ n: Int) -> Int { Int(next() % UInt64(n)) }
}

/// A declared table and the ways to write and read it without a job.
struct TestTable {
    var descriptor: TableDescriptor
    var connector = DeltaConnector()

    static let orders: Schema = [Field("id", .string), Field("city", .string), Field("amount", .int), Field("ts", .timestamp(3))]

    init(_ path: String, name: String = "trips", schema: Schema = TestTable.orders, key: [String] = ["id"], partitions: [String] = [],
         options: [String: String] = [:]) {
        descriptor = TableDescriptor(name: name, schema: schema, primaryKey: key, partitionKeys: partitions,
                                     options: options.merging(["connector": "delta", "path": path]) { a, _ in a })
    }

    static func row(_ id: Int, _ city: String?, _ amount: Int, _ ts: Int) -> [Value] {
        [.string("order-\(id)"), city.map { .string($0) } ?? .null, .int(Int64(amount)), .int(Int64(ts))]
    }

    func sink() throws -> any TableSink {
        try connector.validate(descriptor)
        return try connector.sink(for: descriptor, timeZone: "UTC")
    }

    func batch(_ rows: [[Value]], kinds: [RowKind]? = nil) -> Batch { Batch(schema: descriptor.schema, rows: rows, kinds: kinds) }

    /// Writes and commits.
    func commit(_ batches: [Batch], checkpoint: UInt64 = 1) throws {
        let sink = try sink()
        let writer = try sink.writer(SinkContext())
        let committer = try #require(try sink.committer(SinkContext()))
        defer { committer.close() }
        do {
            for batch in batches { try writer.write(batch) }
            try committer.commit(checkpoint, try writer.prepareCommit(checkpoint))
            try writer.close()
        } catch {
            writer.abort()
            throw error
        }
    }

    func commit(_ rows: [[Value]], kinds: [RowKind]? = nil) throws { try commit([batch(rows, kinds: kinds)]) }

    /// Everything, or what a scan asks for.
    func read(_ scan: ScanRequest? = nil, options: [String: String] = [:]) throws -> [[Value]] {
        try Self.rows(of: try source(scan, options: options))
    }

    func source(_ scan: ScanRequest? = nil, options: [String: String] = [:]) throws -> any TableSource {
        var descriptor = descriptor
        descriptor.options.merge(options) { $1 }
        try connector.validate(descriptor)
        return try connector.source(for: descriptor, scan: scan ?? ScanRequest(projection: Array(descriptor.schema.indices)))
    }

    static func rows(of source: any TableSource) throws -> [[Value]] {
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
}

/// What a table must hold, as a dictionary.
struct Model {
    let ordered: Bool
    private(set) var stored: [String: (row: [Value], ts: Int)] = [:]
    private var pending: [String: (row: [Value], ts: Int, delete: Bool)] = [:]

    init(ordered: Bool = false) { self.ordered = ordered }

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

    var rows: [[Value]] { stored.values.map(\.row) }
}

extension Array where Element == [Value] {
    /// In an order that does not depend on where rows lie.
    var canonical: [String] { map { "\($0)" }.sorted() }

    /// As the judge prints rows of a table of these columns, sorted.
    func judged(_ schema: Schema) -> [String] {
        map { "[" + zip($0, schema).map { Self.text($0, $1.type) }.joined(separator: ", ") + "]" }.sorted()
    }

    private static func text(_ value: Value, _ type: DataType) -> String {
        switch (value, type) {
        case (.null, _): return "null"
        case (.bool(let value), _): return value ? "true" : "false"
        case (.int(let value), _) where type.isTimestamp: return String(value * (1_000_000 / type.timeUnit!.rawValue))
        case (.int(let value), _): return String(value)
        case (.double(let value), _): return value.description
        case (.float(let value), _): return Double(value).description
        case (.decimal(let value), .decimal(_, let scale)): return "\"" + TextColumn.decimal(value, scale: scale) + "\""
        case (.string(let value), _): return JSONText.quote(value)
        case (.binary(let value), _): return "\"" + value.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\""
        case (.array(let values), .array(let element)): return "[" + values.map { text($0, element) }.joined(separator: ", ") + "]"
        case (.map(let entries), .map(let key, let value)):
            return "[" + entries.map { "[" + text($0.key, key) + ", " + text($0.value, value) + "]" }.joined(separator: ", ") + "]"
        case (.row(let values), .row(let fields)): return "[" + zip(values, fields).map { text($0, $1.type) }.joined(separator: ", ") + "]"
        default: return "\(value)"
        }
    }
}

/// What delta-rs, DuckDB and pyarrow say.
enum Judge {
    struct Version {
        var version: Int
        var rows: [String]
        var files: [String]
        /// Rows that DuckDB finds in those files; nil when it was not asked.
        var duckDB: Int?
    }

    static func run(_ arguments: String...) throws { _ = try PythonScript.answer("delta/judge.py", arguments) }

    /// The newest version.
    static func read(_ path: String) throws -> Version { try version(try PythonScript.answer("delta/judge.py", ["read", path])) }

    static func read(_ path: String, versions: [Int]) throws -> [Version] {
        let answer = try #require(try PythonScript.answer("delta/judge.py", ["read", path] + versions.map(String.init)) as? [Any])
        return try answer.map { try version($0) }
    }

    static func info(_ path: String) throws -> [String: Any] { try #require(try PythonScript.answer("delta/judge.py", ["info", path]) as? [String: Any]) }

    private static func version(_ answer: Any) throws -> Version {
        let answer = try #require(answer as? [String: Any])
        return Version(version: try #require(answer["version"] as? Int), rows: try #require(answer["rows"] as? [String]),
                       files: try #require(answer["files"] as? [String]), duckDB: answer["duckdb"] as? Int)
    }
}

/// Data files in the folders of a table, on the log or not.
func dataFiles(_ path: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: path).filter { $0.hasSuffix(".parquet") && !$0.hasPrefix("_delta_log") }.sorted()
}
