import FileConnectors
import Foundation
import KafkaConnector
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import Testing

/// SQL jobs over Kafka tables, run to their end or until they have given so many rows.
struct SQLJobs {
    let session: SQLSession

    init(_ script: String = "") throws {
        session = SQLSession(connectors: [KafkaConnector(), UpsertKafkaConnector(), FilesystemConnector(), DatagenConnector(), BlackholeConnector()])
        if !script.isEmpty { try run(script) }
    }

    /// Executes all statements, each INSERT to its end; the result of the last one.
    @discardableResult
    func run(_ script: String) throws -> StatementResult {
        var last = StatementResult.message("")
        for statement in try SQLParser(text: script).parseScript() {
            last = try session.execute(statement)
            if case .insert(let graph) = last { _ = try JobExecution(graph).run() }
        }
        return last
    }

    func planned(_ query: String) throws -> PlannedQuery {
        guard case .query(let planned) = try run(query) else { throw StreamError(.runtime, "no query: \(query)") }
        return planned
    }

    /// The rows of a query over input that ends, as text (`1|a|NULL`), sorted; changes with their kind in front (`+I 1|a`) when `kinds`.
    func rows(_ query: String, kinds: Bool = false) throws -> [String] {
        let sink = LiveSink()
        _ = try JobExecution(try planned(query).jobGraph(into: sink)).run()
        return sink.texts(kinds: kinds).sorted()
    }

    /// The error that a script, or the run of its last query, must give.
    func error(_ script: String, sourceLocation: Testing.SourceLocation = #_sourceLocation) -> StreamError? {
        do {
            if case .query(let planned) = try run(script) { _ = try JobExecution(try planned.jobGraph(into: LiveSink())).run() }
            Issue.record("no error from: \(script)", sourceLocation: sourceLocation)
        } catch let error as StreamError {
            return error
        } catch {
            Issue.record("\(error)", sourceLocation: sourceLocation)
        }
        return nil
    }

    /// Starts a query, or an INSERT, that goes on until it is stopped.
    func start(_ statement: String, options: JobOptions = .init()) throws -> LiveJob {
        let sink = LiveSink()
        switch try run(statement, starting: true) {
        case .query(let planned): return try LiveJob(planned.jobGraph(into: sink), sink, options)
        case .insert(let graph): return try LiveJob(graph, sink, options)
        default: throw StreamError(.runtime, "no job: \(statement)")
        }
    }

    private func run(_ statement: String, starting: Bool) throws -> StatementResult {
        try session.execute(try #require(try SQLParser(text: statement).parseScript().first))
    }
}

/// A job on a thread of its own.
final class LiveJob: @unchecked Sendable {
    // SAFETY: the outcome is behind a mutex; the rest does not change.
    let execution: JobExecution
    let sink: LiveSink
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let ended = DispatchSemaphore(value: 0)

    init(_ graph: JobGraph, _ sink: LiveSink, _ options: JobOptions) throws {
        (execution, self.sink) = (try JobExecution(graph, options: options), sink)
        Thread { [self] in
            let result = Result { try execution.run() }
            outcome.withLock { $0 = result }
            ended.signal()
        }.start()
    }

    var failure: (any Error)? { outcome.withLock { if case .failure(let error)? = $0 { error } else { nil } } }

    /// Waits until the job has given so many rows, or `enough` says so.
    func wait(rows: Int = 0, seconds: Int = 60, enough: ([String]) -> Bool = { _ in true }) throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while ContinuousClock.now < deadline {
            if let failure { throw failure }
            if sink.count >= rows, enough(sink.texts()) { return }
            usleep(5_000)
        }
        throw BrokerError("after \(seconds) s there are \(sink.count) rows: \(sink.texts().sorted().prefix(60))")
    }

    /// Stops it, and gives its rows.
    @discardableResult
    func stop(kinds: Bool = false) throws -> [String] {
        execution.stop()
        guard ended.wait(timeout: .now() + 60) == .success else { throw BrokerError("the job does not stop") }
        if let failure { throw failure }
        return sink.texts(kinds: kinds).sorted()
    }

    /// Waits for the end that it comes to by itself: the error, if there is one.
    func end(seconds: Double = 60) throws -> StreamError? {
        guard ended.wait(timeout: .now() + seconds) == .success else {
            execution.cancel()
            throw BrokerError("the job goes on")
        }
        return failure as? StreamError
    }
}

/// Shows rows as soon as they are written.
final class LiveSink: TableSink {
    private let written = Mutex<[(RowKind, [Value])]>([])
    var acceptsChanges: Bool { true }

    var count: Int { written.withLock { $0.count } }
    func texts(kinds: Bool = false) -> [String] {
        written.withLock { $0 }.map { kind, row in (kinds ? "\(kind) " : "") + row.map(Self.text).joined(separator: "|") }
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .int(let n): "\(n)"
        case .string(let s): s
        case .bool(let b): "\(b)"
        case .double(let d): "\(d)"
        default: "\(value)"
        }
    }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

    private final class Writer: SinkWriter {
        private let sink: LiveSink
        init(_ sink: LiveSink) { self.sink = sink }
        func write(_ batch: Batch) throws {
            let rows = zip(0..<batch.count, batch.rows()).map { (batch.kind(atPhysical: batch.row($0)), $1) }
            sink.written.withLock { $0 += rows }
        }

        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
        func abort() {}
    }
}
