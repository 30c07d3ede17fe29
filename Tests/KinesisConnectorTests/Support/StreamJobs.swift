import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import Testing
@testable import KinesisConnector

/// Statements over Kinesis tables, run as jobs.
struct StreamJobs {
    let session: SQLSession

    init(_ script: String = "", parallelism: Int = 1) throws {
        session = SQLSession(connectors: [KinesisConnector(), DatagenConnector(), FilesystemConnector()])
        _ = try run("SET 'parallelism.default' = '\(parallelism)'; " + script)
    }

    /// Executes all statements, each INSERT to its end.
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

    /// The rows of a query over input that ends, in order.
    func rows(_ query: String) throws -> [[Value]] {
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try graph(query, into: sink)).run()
        return sink.rows.map(\.values)
    }

    func texts(_ query: String) throws -> [String] { try rows(query).map(Self.text) }

    static func text(_ row: [Value]) -> String {
        row.map { value in
            switch value {
            case .null: "NULL"
            case .string(let text): text
            case .int(let number): "\(number)"
            default: "\(value)"
            }
        }.joined(separator: "|")
    }
}

/// A job that goes on until it is stopped.
final class RunningJob: Sendable {
    let runner: JobRunner
    let sink: CollectingSink
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let warned = Mutex<[String]>([])

    init(_ jobs: StreamJobs, _ query: String, directory: String? = nil, into sink: CollectingSink = CollectingSink(maxParallelism: 1, commitInterval: .milliseconds(30))) throws {
        self.sink = sink
        var recovery: RecoveryOptions?
        if let directory {
            recovery = RecoveryOptions(directory: directory, jobID: "job")
            recovery!.keepsFinished = true
        }
        runner = try Self.runner(try jobs.graph(query, into: sink), recovery)
        runner.onEvent { [unowned self] event in if case .warning(_, let text) = event { warned.withLock { $0.append(text) } } }
        Thread.detachNewThread { [self] in
            let result = Result { try runner.run() }
            outcome.withLock { $0 = result }
        }
    }

    /// A job that has ended holds its directory for a moment longer.
    private static func runner(_ graph: JobGraph, _ recovery: RecoveryOptions?) throws -> JobRunner {
        let deadline = Date().addingTimeInterval(20)
        while true {
            do { return try JobRunner(graph, recovery: recovery) } catch let error as StreamError where error.code == .conflict && Date() < deadline { usleep(5_000) }
        }
    }

    var warnings: [String] { warned.withLock { $0 } }
    var texts: [String] { sink.rows.map { StreamJobs.text($0.values) } }
    var isOver: Bool { outcome.withLock { $0 != nil } }

    /// - Throws: the job's failure, or when it does not get there in time.
    func wait(seconds: Double = 60, _ what: String = "", _ condition: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if try condition() { return }
            if let result = outcome.withLock({ $0 }) { _ = try result.get() }
            usleep(5_000)
        }
        throw StreamError(.runtime, "the job did not get there: \(what), it has \(sink.rows.count) rows")
    }

    func wait(rows: Int) throws { try wait("\(rows) rows") { sink.rows.count >= rows } }

    @discardableResult
    func end(seconds: Double = 60) throws -> JobExecution.End {
        let deadline = Date().addingTimeInterval(seconds)
        while Date() < deadline {
            if let result = outcome.withLock({ $0 }) { return try result.get() }
            usleep(5_000)
        }
        runner.cancel()
        throw StreamError(.runtime, "the job did not end")
    }

    func stop() throws {
        runner.stop()
        try end()
    }

    func cancel() throws {
        runner.cancel()
        try end()
    }
}
