import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

/// A new folder under the system's temporary folder, removed with its owner.
final class TemporaryFolder {
    let path: String
    init() throws {
        path = NSTemporaryDirectory() + "swiftwater-hudi-" + UUID().uuidString
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
}

/// Python with the packages of Tests/Support/hudi/requirements.txt.
enum Python {
    static let packageRoot = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path
    static let executable = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? packageRoot + "/.venv/bin/python"

    static func run(_ arguments: [String]) throws -> (status: Int32, output: String, errors: String) {
        // Both streams go to files, so that no pipe can fill up and block.
        let folder = try TemporaryFolder(), process = Process()
        func file(_ name: String) throws -> FileHandle {
            _ = FileManager.default.createFile(atPath: folder.path + name, contents: nil)
            return try FileHandle(forWritingTo: URL(fileURLWithPath: folder.path + name))
        }
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.standardOutput = try file("/out")
        process.standardError = try file("/err")
        do { try process.run() } catch {
            throw StreamError(.io, "cannot run \(executable): \(error)", fix: "run make setup, or point SWIFTWATER_PYTHON at a Python with hudi and pyarrow")
        }
        process.waitUntilExit()
        func text(_ name: String) -> String { (try? String(contentsOfFile: folder.path + name, encoding: .utf8)) ?? "" }
        return (process.terminationStatus, text("/out"), text("/err"))
    }
}

/// What the independent checker says about a table.
struct CheckedTable {
    let passed: Bool
    let text: String

    /// - Parameter rows: how many the snapshot must have.
    init(_ path: String, rows: Int? = nil, key: String? = nil, globalKeys: Bool = false, dump: String? = nil) throws {
        var arguments = [Python.packageRoot + "/Tests/Support/hudi/check_table.py", path]
        if let rows { arguments += ["--expect-rows", String(rows)] }
        if let key { arguments += ["--key", key] }
        if globalKeys { arguments.append("--global-keys") }
        if let dump { arguments += ["--dump", dump] }
        let result = try Python.run(arguments)
        passed = result.status == 0
        text = result.output + result.errors
    }
}

/// A declared table and the ways to write and read it without a job.
struct TestTable {
    var descriptor: TableDescriptor
    var connector = HudiConnector()

    init(_ path: String, name: String = "trips", schema: Schema, key: [String], partitions: [String] = [], options: [String: String] = [:]) {
        descriptor = TableDescriptor(name: name, schema: schema, primaryKey: key, partitionKeys: partitions,
                                     options: options.merging(["connector": "hudi", "path": path]) { a, _ in a })
    }

    func sink() throws -> any TableSink {
        try connector.validate(descriptor)
        return try connector.sink(for: descriptor, timeZone: "UTC")
    }

    func batch(_ rows: [[Value]], kinds: [RowKind]? = nil) -> Batch { Batch(schema: descriptor.schema, rows: rows, kinds: kinds) }

    /// Writes and commits.
    func commit(_ batches: [Batch], checkpoint: UInt64 = 1) throws {
        let sink = try sink()
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
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
}

/// Fails the test with the checker's text unless the table is fine.
func expectSound(_ path: String, rows: Int? = nil, key: String? = nil, globalKeys: Bool = false, dump: String? = nil,
                 sourceLocation: SourceLocation = #_sourceLocation) throws {
    let checked = try CheckedTable(path, rows: rows, key: key, globalKeys: globalKeys, dump: dump)
    #expect(checked.passed, "\(checked.text)", sourceLocation: sourceLocation)
}

typealias SourceLocation = Testing.SourceLocation

extension Array where Element == [Value] {
    /// In an order that does not depend on where rows lie.
    var canonical: [String] { map { "\($0)" }.sorted() }
}

extension TableVersion: CustomTestStringConvertible {
    public var testDescription: String { "version \(rawValue)" }
    /// What makes a new table one of this version.
    var options: [String: String] { self == .six ? [:] : ["hoodie.write.table.version": String(rawValue)] }
}
