import Notebook
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization

/// What the interpreter line of a cell with statements asks for: `%flink.ssql(type=update, parallelism=2)`.
struct CellQueryOptions {
    var type = CellResultType.update
    var refresh: Duration?
    /// For the cell's statements alone.
    var settings: [(key: String, value: String)] = []
    var jobName: String?
    /// Only what ends by itself runs.
    var isBatch = false

    init() {}

    private static let known = ["type", "refreshInterval", "threshold", "template", "parallelism", "maxParallelism", "jobName", "runAsOne"]

    init(_ request: CellRequest) throws {
        let place = SourceLocation(file: request.file, line: max(1, request.line - 1), column: 1)
        isBatch = request.interpreter.name == "flink.bsql"
        for property in request.interpreter.properties {
            func number() throws -> Int64 {
                guard let n = Int64(property.value), n >= 0 else {
                    throw StreamError(.validate, "\(property.name)=\(property.value) is not a number", fix: "write for example \(property.name)=1000", at: place)
                }
                return n
            }
            switch property.name {
            case "type", "refreshInterval", "threshold", "template": if property.name == "refreshInterval" { refresh = .milliseconds(try number()) }
            case "parallelism": settings.append(("parallelism.default", "\(try number())"))
            case "maxParallelism": settings.append(("pipeline.max-parallelism", "\(try number())"))
            case "jobName": jobName = property.value
            // INSERTs that follow each other always run as one job here.
            case "runAsOne": break
            case "savepointDir", "resumeFromSavepoint", "resumeFromLatestCheckpoint":
                throw StreamError(.validate, "cells keep no savepoints, so \(property.name) has no meaning here", fix: "deploy the statements: swiftwater notebook deploy FILE", at: place)
            default:
                throw StreamError(.validate, "%\(request.interpreter.name) has no property '\(property.name)'", fix: NearName.hint(for: property.name, in: Self.known), at: place)
            }
        }
        switch request.interpreter["type"]?.lowercased() ?? "update" {
        case "update": type = .update
        case "append": type = .append(window: request.interpreter["threshold"].flatMap { Int64($0) })
        case "single": type = .single(template: request.interpreter["template"])
        case let other: throw StreamError(.validate, "type=\(other) is no way to show a result", fix: "write type=update, type=append or type=single", at: place)
        }
    }
}

protocol CellQueryPresenter: ScriptPresenter {
    /// A job begins; `full` stops it when enough rows are there.
    func begins(full: @escaping @Sendable () -> Void)
    func ended(_ job: JobRunner)
}

/// Stops the job under way when its result is full, even if that was before anybody could be told.
final class JobBrake: Sendable {
    private let state = Mutex((isFull: false, stop: (@Sendable () -> Void)?.none))

    func begins(_ stop: @escaping @Sendable () -> Void) {
        let isFull = state.withLock { state in
            state.stop = stop
            return state.isFull
        }
        if isFull { stop() }
    }

    func full() {
        let stop = state.withLock { state in
            state.isFull = true
            return state.stop
        }
        stop?()
    }

    func ended() { state.withLock { $0 = (false, nil) } }
}

/// Shows what the statements of a cell give.
final class CellPresenter: CellQueryPresenter {
    private let request: CellRequest
    private let how: CellQueryOptions
    private let refresh: Duration
    private let emit: @Sendable (CellEvent) -> Void
    private var outputs = 0
    private var sink: CellSink?
    private let brake = JobBrake()

    init(_ request: CellRequest, _ how: CellQueryOptions, refresh: Duration, _ emit: @escaping @Sendable (CellEvent) -> Void) {
        (self.request, self.how, self.refresh, self.emit) = (request, how, how.refresh ?? refresh, emit)
    }

    func message(_ text: String) { emit(.message(text)) }

    func rows(_ schema: Schema, _ rows: [[Value]]) throws {
        // One cell of text, such as a plan, is shown as it is.
        if schema.count == 1, rows.count == 1, case .string(let text) = rows[0][0], text.contains("\n") {
            return emit(.text(text.hasSuffix("\n") ? text : text + "\n", isError: false))
        }
        emit(.table(outputs, ResultTable(schema, rows: rows, total: Int64(rows.count)), request.chart, isFinal: true))
        outputs += 1
    }

    func sink(for query: PlannedQuery, _ settings: SessionSettings) throws -> any TableSink {
        let brake = brake
        let made = try CellSink(
            query, settings, type: query.isBounded && how.type == .update ? .update : how.type, chart: request.chart, number: outputs, refresh: refresh, rowsMax: request.rows, emit: emit
        ) { brake.full() }
        outputs += 1
        sink = made
        return made
    }

    func begins(full: @escaping @Sendable () -> Void) { brake.begins(full) }

    func ended(_ job: JobRunner) {
        brake.ended()
        if let sink {
            self.sink = nil
            sink.tell(isFinal: true)
        } else {
            let rows = Self.written(job)
            emit(.message("\(grouped(rows)) row\(rows == 1 ? "" : "s") written"))
        }
        let status = job.status(), late = status.reduce(0) { $0 + $1.lateRows }, bad = status.reduce(0) { $0 + $1.badRecords }
        if late > 0 { emit(.message("\(grouped(late)) row\(late == 1 ? " came" : "s came") too late for the watermark and \(late == 1 ? "was" : "were") left out")) }
        if bad > 0 { emit(.message("\(grouped(bad)) record\(bad == 1 ? "" : "s") could not be decoded and \(bad == 1 ? "was" : "were") skipped or put aside")) }
    }

    /// Rows that the job's last operators took.
    static func written(_ job: JobRunner) -> Int64 {
        let inner = Set(job.graph.edges.map(\.from))
        return job.status().filter { !inner.contains($0.id) }.reduce(0) { $0 + $1.rowsIn }
    }
}

/// Keeps all rows of the last query, for a program.
final class CellCollector: CellQueryPresenter {
    private let rowsMax: Int?
    private let mayGoOn: Bool
    private var sink: Sink?
    private var shown: (schema: Schema, rows: [[Value]])?
    private let brake = JobBrake()

    init(rowsMax: Int?, mayGoOn: Bool) { (self.rowsMax, self.mayGoOn) = (rowsMax, mayGoOn) }

    /// nil when no statement had rows.
    var result: (schema: Schema, rows: [[Value]])? { sink.map { ($0.schema, $0.rows) } ?? shown }

    func message(_ text: String) {}
    func rows(_ schema: Schema, _ rows: [[Value]]) throws { (shown, sink) = ((schema, rows), nil) }

    func sink(for query: PlannedQuery, _ settings: SessionSettings) throws -> any TableSink {
        guard query.isBounded || mayGoOn else {
            throw StreamError(.plan, "the query has no end", fix: "say when it is enough: rows=100 or seconds=10")
        }
        let brake = brake
        let made = Sink(query.schema, isChangelog: query.isChangelog, rowsMax: rowsMax) { brake.full() }
        (sink, shown) = (made, nil)
        return made
    }

    func begins(full: @escaping @Sendable () -> Void) { brake.begins(full) }
    func ended(_ job: JobRunner) { brake.ended() }

    private final class Sink: TableSink {
        let schema: Schema
        private let rowsMax: Int?
        private let full: @Sendable () -> Void
        private let state: Mutex<ResultRows>

        init(_ schema: Schema, isChangelog: Bool, rowsMax: Int?, full: @escaping @Sendable () -> Void) {
            (self.schema, self.rowsMax, self.full) = (schema, rowsMax, full)
            state = Mutex(ResultRows(isChangelog: isChangelog))
        }

        var rows: [[Value]] {
            state.withLock { state in
                state.compact()
                return rowsMax.map { Array(state.rows.prefix($0)) } ?? state.rows
            }
        }
        var isFull: Bool { rowsMax.map { max in state.withLock { $0.count >= max } } ?? false }
        var maxParallelism: Int? { 1 }
        var acceptsChanges: Bool { true }
        var keepsRows: Bool { false }
        func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

        private final class Writer: SinkWriter {
            private let sink: Sink
            init(_ sink: Sink) { self.sink = sink }
            func write(_ batch: Batch) throws {
                sink.state.withLock { state in
                    for i in 0..<batch.count {
                        let row = batch.row(i)
                        state.add(batch.columns.map { $0.value(at: row) }, kind: batch.kind(atPhysical: row))
                    }
                }
                if sink.isFull { sink.full() }
            }
            func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
        }
    }
}
