import Foundation
import StreamCore
import StreamRuntime
import StreamState
import StreamTesting
import Synchronization
import Testing

let rowSchema: Schema = [Field("k", .int), Field("v", .bigint), Field("ts", .timestamp(3))]

func rows(_ all: [(Int64, Int64, Int64)]) -> Batch { Batch(schema: rowSchema, rows: all.map { [.int($0.0), .int($0.1), .int($0.2)] }) }

/// A sink that takes a batch only while its gate is open.
final class GatedSink: TableSink {
    private struct State {
        var isOpen = false
        var rows = 0
    }
    private let state = Monitor(State())
    let maxParallelism: Int? = nil

    func open() {
        state.withLock { $0.isOpen = true }
        state.broadcast()
    }

    var rowCount: Int { state.withLock { $0.rows } }
    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(sink: self) }

    private final class Writer: SinkWriter {
        let sink: GatedSink
        init(sink: GatedSink) { self.sink = sink }
        func write(_ batch: Batch) throws {
            sink.state.wait { state -> Monitor<State>.Decision<Void> in
                guard state.isOpen else { return .wait(nanoseconds: nil) }
                state.rows += batch.count
                return .take(())
            }
        }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }
}

/// Passes rows on; fails at a value, as often as told.
final class Faulty: StreamOperator {
    final class Plan: Sendable {
        let failures: Mutex<Int>
        init(_ failures: Int) { self.failures = Mutex(failures) }
    }
    private let plan: Plan
    init(_ plan: Plan) { self.plan = plan }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> StreamCore.Progress {
        let fails = plan.failures.withLock { left in
            defer { left = max(left - 1, 0) }
            return left > 0
        }
        if fails { throw StreamError(.runtime, "the value 7 of record 3 cannot be used", fix: "correct it", at: SourceLocation(file: "in.jsonl", line: 3, column: 8)) }
        try output.emit(batch)
        return .done
    }
}

/// Waits until `condition` holds; records an issue after `seconds`.
func eventually(_ what: String, seconds: Double = 20, _ condition: () throws -> Bool) rethrows {
    let deadline = Clock.monotonicNanoseconds() + UInt64(seconds * 1e9)
    while Clock.monotonicNanoseconds() < deadline {
        if try condition() { return }
        usleep(2_000)
    }
    Issue.record("not within \(seconds) s: \(what)")
}

/// A job on a thread of its own; `end` waits for it.
final class RunningTestJob: Sendable {
    let runner: JobRunner
    private let result = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let thread: Mutex<WorkerThread?> = Mutex(nil)

    init(_ runner: JobRunner) {
        self.runner = runner
        let made = WorkerThread { [self] in
            let end = Result { try runner.run() }
            result.withLock { $0 = end }
        }
        thread.withLock { $0 = made }
    }

    @discardableResult
    func end() -> Result<JobExecution.End, any Error> {
        let running = thread.withLock { thread in defer { thread = nil }; return thread }
        running?.join()
        return result.withLock { $0! }
    }
}

final class TemporaryDirectory {
    let path = NSTemporaryDirectory() + "swiftwater-metrics-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}
