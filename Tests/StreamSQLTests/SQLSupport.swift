import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization

/// A connector whose tables hold rows given by the test, and that keeps what was asked of it.
final class MemoryConnector: TableConnector {
    let identifier = "memory"
    struct Stored: Sendable {
        var rows: [[Value]] = [], isBounded = true, kinds: [RowKind]?
    }
    private let stored = Mutex<[String: Stored]>([:])
    private let requests = Mutex<[(table: String, scan: ScanRequest)]>([])
    private let written = Mutex<[String: CollectingSink]>([:])

    func fill(_ table: String, _ rows: [[Value]], isBounded: Bool = true, kinds: [RowKind]? = nil) {
        stored.withLock { $0[table] = Stored(rows: rows, isBounded: isBounded, kinds: kinds) }
    }

    var scans: [(table: String, scan: ScanRequest)] { requests.withLock { $0 } }
    func sink(_ table: String) -> CollectingSink? { written.withLock { $0[table] } }

    func optionKeys(for table: TableDescriptor) -> Set<String> { ["changes", "unbounded", "mode", "properties."] }
    func validate(_ table: TableDescriptor) throws {}
    func metadataKeys(for table: TableDescriptor) -> [String: DataType] { ["offset": .bigint] }

    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        requests.withLock { $0.append((table.name, scan)) }
        var rows = stored.withLock { $0[table.name] } ?? Stored()
        if table.options["unbounded"] == "true" { rows.isBounded = false }
        let schema =
            scan.projection.map { table.schema[$0] } + scan.metadata.map { Field(table.metadata[$0].name, table.metadata[$0].type) }
        let projected = rows.rows.enumerated().map { i, row in
            scan.projection.map { row[$0] } + scan.metadata.map { _ in Value.int(Int64(i)) }
        }
        return MemorySource(
            batch: Batch(schema: schema, rows: projected, kinds: rows.kinds), isBounded: rows.isBounded, isUpsert: table.options["mode"] == "upsert")
    }

    func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        let sink = CollectingSink()
        written.withLock { $0[table.name] = sink }
        if table.options["mode"] == "upsert" { return Upsert(sink: sink) }
        return table.options["changes"] == "false" ? AppendOnly(sink: sink) as any TableSink : sink
    }

    struct MemorySource: TableSource {
        var batch: Batch
        var isBounded: Bool
        var isUpsert = false
        var producesChanges: Bool { isUpsert || batch.rowKinds != nil }
        var changelogMode: ChangelogMode { isUpsert ? .upsert : batch.rowKinds != nil ? .all : .insertOnly }
        func splits() throws -> [SourceSplit] { [SourceSplit(id: "0")] }
        func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader { Reader(batch) }

        final class Reader: SplitReader {
            private var batch: Batch?
            init(_ batch: Batch) { self.batch = batch }
            var position: String { batch == nil ? "1" : "0" }
            func next(maxRows: Int) throws -> ReadResult {
                guard let batch else { return .endOfSplit }
                self.batch = nil
                return batch.isEmpty ? .endOfSplit : .batch(batch)
            }
        }
    }

    struct Upsert: TableSink {
        var sink: CollectingSink
        var acceptsChanges: Bool { true }
        var changelogMode: ChangelogMode { .upsert }
        func writer(_ context: SinkContext) throws -> any SinkWriter { try sink.writer(context) }
        func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { try sink.committer(context) }
    }

    struct AppendOnly: TableSink {
        var sink: CollectingSink
        func writer(_ context: SinkContext) throws -> any SinkWriter {
            try sink.writer(context)
        }
        func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { try sink.committer(context) }
    }
}

/// A session over a ``MemoryConnector``.
struct SQLHarness {
    let memory = MemoryConnector()
    let session: SQLSession

    init(_ script: String = "") throws {
        session = SQLSession(connectors: [memory])
        if !script.isEmpty { _ = try run(script) }
    }

    /// Executes all statements; the result of the last one.
    @discardableResult
    func run(_ script: String) throws -> StatementResult {
        var last = StatementResult.message("")
        for statement in try SQLParser(text: script).parseScript() {
            last = try session.execute(statement)
            if case .insert(let graph) = last { _ = try JobExecution(graph).run() }
        }
        return last
    }

    /// The final rows of a query, changes having been applied, sorted by their text.
    func rows(_ query: String) throws -> [[Value]] {
        guard case .query(let planned) = try run(query) else { return [] }
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try planned.jobGraph(into: sink)).run()
        return Self.collapsed(sink.rows)
    }

    static func collapsed(_ changes: [CollectingSink.Row]) -> [[Value]] {
        var rows: [[Value]] = []
        for change in changes {
            if change.kind.isAdd {
                rows.append(change.values)
            } else if let i = rows.lastIndex(of: change.values) {
                rows.remove(at: i)
            }
        }
        return rows.sorted { "\($0)" < "\($1)" }
    }

    func explain(_ query: String) throws -> String {
        guard case .rows(_, let rows) = try run("EXPLAIN " + query), case .string(let text)? = rows.first?.first else { return "" }
        return text
    }

    /// The error that a script must give.
    func error(_ script: String) throws -> StreamError? {
        do {
            _ = try run(script)
            return nil
        } catch let error as StreamError {
            return error
        }
    }
}
