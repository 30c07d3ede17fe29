import FileConnectors
import Foundation
import StreamCore
import StreamFormats
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import Testing
@testable import KafkaConnector

/// Statements over Kafka tables, run as jobs.
struct KafkaSQL {
    let session: SQLSession

    init(_ script: String = "", parallelism: Int = 1) throws {
        session = SQLSession(connectors: [KafkaConnector(), UpsertKafkaConnector(), Impatient()])
        _ = try run("SET 'parallelism.default' = '\(parallelism)'; " + script)
    }

    /// A table over a topic; options without `connector` and `properties.bootstrap.servers`.
    static func table(_ columns: String, _ topic: String, _ options: [String: String], name: String = "t", broker: String? = nil) throws -> String {
        var all = ["connector": "kafka", "topic": topic, "format": "json", "properties.bootstrap.servers": try broker ?? Broker.shared.bootstrap,
                   "scan.startup.mode": "earliest-offset"]
        for (key, value) in options { all[key] = value.isEmpty ? nil : value }
        if all["value.format"] != nil, options["format"] == nil { all["format"] = nil }
        // Always from the beginning.
        if all["connector"] == "upsert-kafka" { all["scan.startup.mode"] = nil; all["format"] = nil }
        if all["topic-pattern"] != nil { all["topic"] = nil }
        return "CREATE TABLE \(name) (\(columns)) WITH (" + all.sorted { $0.key < $1.key }.map { "'\($0.key)' = '\($0.value)'" }.joined(separator: ", ") + ");"
    }

    @discardableResult
    func run(_ script: String) throws -> StatementResult {
        var last = StatementResult.message("")
        for statement in try SQLParser(text: script).parseScript() {
            last = try session.execute(statement)
            if case .insert(let graph) = last { _ = try JobExecution(graph).run() }
        }
        return last
    }

    func graph(_ query: String, into sink: any TableSink) throws -> JobGraph {
        guard case .query(let planned) = try run(query) else { throw StreamError(.runtime, "no query") }
        return try planned.jobGraph(into: sink)
    }

    /// The changes that a bounded query gives, in order.
    func changes(_ query: String) throws -> [CollectingSink.Row] {
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try graph(query, into: sink)).run()
        return sink.rows
    }

    func rows(_ query: String) throws -> [[Value]] { try changes(query).map(\.values) }

    /// Text of the first column's values, sorted.
    func texts(_ query: String) throws -> [String] { try rows(query).map { $0.map(Self.text).joined(separator: " ") }.sorted() }

    static func text(_ value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .string(let text): text
        case .int(let number): "\(number)"
        case .binary(let bytes): String(decoding: bytes, as: UTF8.self)
        case .map(let entries): "{" + entries.map { text($0.key) + "=" + text($0.value) }.joined(separator: ",") + "}"
        default: "\(value)"
        }
    }
}

/// A job that goes on until it is stopped.
final class RunningQuery: Sendable {
    let runner: JobRunner
    let sink: CollectingSink
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let seen = Mutex<(warnings: [String], checkpoints: Int)>(([], 0))

    init(_ sql: KafkaSQL, _ query: String, directory: String? = nil) throws {
        sink = CollectingSink(maxParallelism: 1, commitInterval: .milliseconds(50))
        var recovery: RecoveryOptions?
        if let directory {
            recovery = RecoveryOptions(directory: directory, jobID: "job")
            recovery!.keepsFinished = true
        }
        runner = try JobRunner(try sql.graph(query, into: sink), recovery: recovery)
        runner.onEvent { [unowned self] event in
            switch event {
            case .warning(_, let text): seen.withLock { $0.warnings.append(text) }
            case .checkpointCompleted: seen.withLock { $0.checkpoints += 1 }
            default: break
            }
        }
        Thread.detachNewThread { [self] in
            let result = Result { try runner.run() }
            outcome.withLock { $0 = result }
        }
    }

    var warnings: [String] { seen.withLock { $0.warnings } }
    var checkpoints: Int { seen.withLock { $0.checkpoints } }
    var texts: [String] { sink.rows.map { $0.values.map(KafkaSQL.text).joined(separator: " ") } }
    var failure: (any Error)? { if case .failure(let error) = outcome.withLock({ $0 }) { error } else { nil } }

    /// Waits until something holds; false when the job ended, or did not get there in time.
    @discardableResult
    func wait(seconds: Double = 40, _ condition: () throws -> Bool) rethrows -> Bool {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if try condition() { return true }
            if outcome.withLock({ $0 != nil }) { return try condition() }
            usleep(5_000)
        }
        return false
    }

    func waitForRows(_ count: Int) -> Bool { wait { sink.rows.count >= count } }

    /// Waits for the end, after `stop` or a failure.
    @discardableResult
    func end() throws -> JobExecution.End {
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline {
            if let result = outcome.withLock({ $0 }) { return try result.get() }
            usleep(5_000)
        }
        throw StreamError(.runtime, "the job did not end")
    }

    func stop() throws {
        runner.stop()
        try end()
    }
}

/// `impatient-kafka`: waits for a broker for two seconds.
struct Impatient: TableConnector {
    var identifier: String { "impatient-kafka" }
    func optionKeys(for table: TableDescriptor) -> Set<String> { KafkaConnector().optionKeys(for: table) }
    func validate(_ table: TableDescriptor) throws {}
    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource { try KafkaSource(KafkaTable(table), scan: scan, startLimit: 2_000) }
}

/// A directory that goes away with its owner.
final class ScratchDirectory: Sendable {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("kafka-\(UUID().uuidString)").path
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
