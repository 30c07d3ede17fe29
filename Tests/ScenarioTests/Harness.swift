import FileConnectors
import Foundation
import HudiTable
import KinesisConnector
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Testing

/// A directory of its own, a shard log in it, and an SQL session with every connector.
final class Harness {
    let directory: String
    let log: ShardLog
    let session: SQLSession

    init() throws {
        directory = NSTemporaryDirectory() + "swiftwater-scenario-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        log = try ShardLog(directory: directory + "/log")
        session = SQLSession(connectors: [
            FilesystemConnector(), DatagenConnector(), PrintConnector(), BlackholeConnector(), KinesisConnector(), HudiConnector(),
        ])
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// The repository's `Tests/Support`.
    static let support = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().appending(path: "Support").path
    static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().path

    static func lines(_ seed: String) throws -> [String] {
        try String(contentsOfFile: support + "/seeds/" + seed, encoding: .utf8).split(separator: "\n").map(String.init)
    }

    func put(_ stream: String, _ records: [(key: String, text: String)]) throws {
        let writer = try log.writer(stream)
        _ = try writer.append(records.map { Record(partitionKey: $0.key, data: Array($0.text.utf8)) })
        try writer.close()
    }

    /// All records of a stream, shard by shard.
    func records(_ stream: String) throws -> [String] {
        var result: [String] = []
        for shard in 0..<(try log.shardCount(stream)) {
            let reader = try log.reader(stream, shard: shard, position: .trimHorizon)
            while let chunk = try reader.read() {
                result += (0..<chunk.count).map { String(decoding: chunk.data($0), as: UTF8.self) }
            }
        }
        return result
    }

    /// Runs statements; INSERTs run to the end of their input. Returns the counters of the last job.
    @discardableResult
    func run(_ script: String) throws -> [VertexStatus] {
        var status: [VertexStatus] = []
        for statement in try SQLParser(text: script, file: nil).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            let execution = try JobExecution(graph)
            try execution.run()
            status = execution.status()
        }
        return status
    }

    /// The rows of a bounded query, changes netted out, in no particular order.
    func query(_ text: String) throws -> [[Value]] {
        guard case .query(let query) = try session.execute(try SQLParser(text: text, file: nil).parseScript()[0]) else {
            throw StreamError(.validate, "not a query: \(text)")
        }
        let sink = CollectingSink(maxParallelism: 1)
        try JobExecution(try query.jobGraph(into: sink)).run()
        var rows: [[Value]] = []
        for row in sink.rows {
            if row.kind.isAdd { rows.append(row.values) } else if let at = rows.firstIndex(of: row.values) { rows.remove(at: at) }
        }
        return rows
    }

    /// Starts the job of one INSERT on threads of its own.
    func start(_ insert: String) throws -> RunningJob {
        guard case .insert(let graph) = try session.execute(try SQLParser(text: insert, file: nil).parseScript()[0]) else {
            throw StreamError(.validate, "not an INSERT: \(insert)")
        }
        return try RunningJob(graph)
    }

    /// What the independent reader says of a Hudi table; throws unless it is ok.
    @discardableResult
    func check(table: String, key: String) throws -> String {
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Self.root + "/.venv/bin/python"
        return try Self.output(python, [Self.support + "/hudi/check_table.py", table, "--key", key])
    }

    /// The first value of the first row of a query by DuckDB over what hudi-rs reads of the table, and over the files that it lists,
    /// which must say the same.
    static func independent(_ table: String, _ query: String) throws -> String {
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? root + "/.venv/bin/python"
        let code = """
            import sys, duckdb, pyarrow as pa
            from hudi import HudiTable
            table = HudiTable(sys.argv[1])
            t = pa.Table.from_batches(table.read())
            read = duckdb.sql(sys.argv[2]).fetchall()[0][0]
            files = [f"{sys.argv[1]}/{s.base_file_relative_path()}" for s in table.get_file_slices()]
            t = duckdb.read_parquet(files, union_by_name=True, hive_partitioning=False)
            listed = duckdb.sql(sys.argv[2]).fetchall()[0][0]
            if read != listed: sys.exit(f"hudi-rs reads {read}, DuckDB {listed} from its files")
            print(read)
            """
        return try output(python, ["-c", code, table, query])
    }

    static func output(_ program: String, _ arguments: [String]) throws -> String {
        let process = Process(), pipe = Pipe(), errors = Pipe()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = errors
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        let complaint = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let text = String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard process.terminationStatus == 0 else {
            throw StreamError(.runtime, "\(program) \(arguments) ended with \(process.terminationStatus): \(text) \(String(decoding: complaint, as: UTF8.self))")
        }
        return text
    }
}

/// A job on threads of its own.
final class RunningJob {
    let execution: JobExecution
    private let thread: WorkerThread
    private let result: Handed

    private final class Handed: @unchecked Sendable {  // SAFETY: written by the job's thread before its end, read after the join
        var error: (any Error)?
    }

    init(_ graph: JobGraph, options: JobOptions = JobOptions(), recovery: JobRecovery? = nil) throws {
        let execution = try JobExecution(graph, options: options, recovery: recovery), result = Handed()
        self.execution = execution
        self.result = result
        thread = WorkerThread {
            do { try execution.run() } catch { result.error = error }
        }
    }

    /// Stops the job cleanly and waits for its end.
    func stop() throws {
        execution.stop()
        thread.join()
        if let error = result.error { throw error }
    }

    func cancel() {
        execution.cancel()
        thread.join()
    }
}

/// Waits until `condition` holds, for at most a minute.
func eventually(_ what: String, _ condition: () throws -> Bool) throws {
    let deadline = Clock.monotonicNanoseconds() + 60_000_000_000
    while try !condition() {
        guard Clock.monotonicNanoseconds() < deadline else { throw StreamError(.runtime, "waited a minute for: \(what)") }
        usleep(5_000)
    }
}
