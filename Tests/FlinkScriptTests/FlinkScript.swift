import DeltaTable
import FileConnectors
import Foundation
import HudiTable
import IcebergTable
import KafkaConnector
import KinesisConnector
import ParquetFormat
import StreamCore
import StreamFormats
import StreamRuntime
import StreamSQL
import StreamTesting
import Testing

/// A script of `Scripts/`, as it was written for Flink. Lines at its head say what is expected: `-- notice: ...` for each notice, in any
/// order, and `-- runs` for one whose jobs end by themselves.
struct FlinkScript: CustomTestStringConvertible, Sendable {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()

    static let all: [FlinkScript] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.appendingPathComponent("Scripts").path)) ?? []
        return files.filter { $0.hasSuffix(".sql") }.sorted().compactMap { file in
            (try? String(contentsOf: folder.appendingPathComponent("Scripts/\(file)"), encoding: .utf8)).map { FlinkScript(name: String(file.dropLast(4)), text: $0) }
        }
    }()

    var name: String, text: String
    var testDescription: String { name }

    private var head: [Substring] { text.split(separator: "\n").prefix { $0.hasPrefix("--") } }
    var notices: [String] { head.filter { $0.hasPrefix("-- notice: ") }.map { String($0.dropFirst(11)) } }
    var runs: Bool { head.contains("-- runs") }

    /// What Flink 2.3 wrote into the tables of files, and what its queries gave: by table, or by `result`.
    func expected() throws -> [String: [String]] {
        let url = Self.folder.appendingPathComponent("Expected/\(name).json")
        return try JSONDecoder().decode([String: [String]].self, from: Data(contentsOf: url))
    }
}

/// Runs a script as `swiftwater run` does.
struct ScriptSession {
    /// A folder for what the script writes.
    let out: String
    let session: SQLSession
    /// Rows of the queries, changes having been applied.
    var results: [[Value]] = []

    init(out: String? = nil) throws {
        FormatFactory.register([ParquetFormat()])
        self.out = out ?? NSTemporaryDirectory() + "flink-script-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: self.out, withIntermediateDirectories: true)
        let null = open("/dev/null", O_WRONLY)
        session = SQLSession(connectors: [
            FilesystemConnector(), DatagenConnector(), PrintConnector(output: null, error: null), BlackholeConnector(), KafkaConnector(), UpsertKafkaConnector(),
            KinesisConnector(), KinesisConnector(isLegacy: true), HudiConnector(), DeltaConnector(), IcebergConnector(),
        ])
    }

    func remove() { try? FileManager.default.removeItem(atPath: out) }

    /// - Parameter runs: jobs are run, not only planned.
    mutating func run(_ text: String, file: String? = nil, runs: Bool = true) throws {
        let text = text.replacing("${DATA}", with: FlinkScript.folder.appendingPathComponent("Data").path).replacing("${OUT}", with: out)
        for statement in try SQLParser(text: text, file: file).parseScript() {
            switch try session.execute(statement) {
            case .insert(let graph) where runs: _ = try JobExecution(graph).run()
            case .query(let query) where runs:
                let sink = CollectingSink(maxParallelism: 1)
                _ = try JobExecution(try query.jobGraph(into: sink)).run()
                for row in sink.rows {
                    if row.kind.isAdd { results.append(row.values) } else if let i = results.firstIndex(of: row.values) { results.remove(at: i) }
                }
            default: break
            }
        }
    }

    func error(_ text: String) -> StreamError? {
        var copy = self
        do { try copy.run(text, runs: false) } catch { return error as? StreamError }
        return nil
    }

    /// Lines of all files that a table of the script has written, sorted.
    func lines(_ table: String) -> [String] {
        let files = FileManager.default.enumerator(atPath: "\(out)/\(table)")?.compactMap { $0 as? String } ?? []
        return files.filter { !$0.split(separator: "/").contains { $0.hasPrefix(".") || $0.hasPrefix("_") } }.flatMap { file in
            ((try? String(contentsOfFile: "\(out)/\(table)/\(file)", encoding: .utf8)) ?? "").split(separator: "\n").map(String.init)
        }.sorted()
    }
}
