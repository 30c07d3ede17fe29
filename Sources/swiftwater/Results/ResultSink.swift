import StreamCore
import StreamExpressions
import Synchronization

enum OutputFormat: String, CaseIterable, Sendable { case table, csv, json }

/// Shows the result of a SELECT.
///
/// - Bounded and append-only: csv and json rows are written as they come; a table when its input has ended.
/// - Bounded and updating: the final rows, at the end.
/// - Unbounded on a terminal: the current rows, redrawn in place; otherwise each change as it comes, with its kind.
final class ResultSink: TableSink {
    let schema: Schema
    let format: OutputFormat
    let isBounded: Bool, isChangelog: Bool
    private let zone: TimeZoneRules
    private let inPlace: Bool
    private let state: Mutex<State>

    private struct State {
        var result: ResultRows
        /// Rows that were written as they came.
        var streamed = 0
        var wroteHeader = false
        var drawnLines = 0
        var lastDraw: UInt64 = 0
        var dirty = false
    }

    init(schema: Schema, format: OutputFormat, isBounded: Bool, isChangelog: Bool, timeZone: String) throws {
        zone = try TimeZoneRules.named(timeZone)
        self.schema = schema
        self.format = format
        self.isBounded = isBounded
        self.isChangelog = isChangelog
        inPlace = !isBounded && format == .table && Terminal.outputIsTerminal
        state = Mutex(State(result: ResultRows(isChangelog: isChangelog)))
    }

    private static let keptRows = 1_024

    var maxParallelism: Int? { 1 }
    var acceptsChanges: Bool { true }
    var keepsRows: Bool { false }

    private var streams: Bool { isBounded ? !isChangelog && format != .table : !inPlace }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

    private final class Writer: SinkWriter {
        private let sink: ResultSink
        init(_ sink: ResultSink) { self.sink = sink }
        func write(_ batch: Batch) throws { sink.add(batch) }
        func idle() throws { sink.redraw(force: true) }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }

    func add(_ batch: Batch) {
        if streams { return stream(batch) }
        state.withLock { state in
            for i in 0..<batch.count {
                let row = batch.row(i)
                state.result.add(batch.shownValues(row, schema, in: zone), kind: batch.kind(atPhysical: row))
            }
            if inPlace { state.result.keep(newest: Self.keptRows) }
            state.dirty = true
        }
        if inPlace { redraw(force: false) }
    }

    private func stream(_ batch: Batch) {
        var text = ""
        for i in 0..<batch.count {
            let row = batch.row(i)
            text += line(batch.shownValues(row, schema, in: zone), kind: batch.kind(atPhysical: row))
        }
        let header = state.withLock { state in
            state.streamed += batch.count
            defer { state.wroteHeader = true }
            return state.wroteHeader ? "" : headerLine()
        }
        Terminal.write(header + text)
    }

    private var showsKinds: Bool { !isBounded && isChangelog }

    private func headerLine() -> String {
        switch format {
        case .json: ""
        case .csv: ((showsKinds ? ["op"] : []) + schema.map { JSONText.csv($0.name) }).joined(separator: ",") + "\n"
        case .table: ((showsKinds ? ["op"] : []) + schema.map(\.name)).joined(separator: " | ") + "\n"
        }
    }

    private func line(_ values: [Value], kind: RowKind) -> String {
        switch format {
        case .json:
            let parts = zip(schema, values).map { JSONText.quote($0.name) + ":" + ValueText.json($1, $0.type) }
            return "{" + ((showsKinds ? ["\"op\":\"\(kind)\""] : []) + parts).joined(separator: ",") + "}\n"
        case .csv:
            return ((showsKinds ? ["\(kind)"] : []) + zip(schema, values).map { JSONText.csv(ValueText.text($1, $0.type, null: "")) })
                .joined(separator: ",") + "\n"
        case .table:
            return ((showsKinds ? ["\(kind)"] : []) + zip(schema, values).map { ValueText.text($1, $0.type) }).joined(separator: " | ") + "\n"
        }
    }

    private func redraw(force: Bool, ended: Bool = false) {
        guard inPlace else { return }
        state.withLock { state in
            let now = Clock.monotonicNanoseconds()
            guard ended || state.dirty, force || now - state.lastDraw > 200_000_000 else { return }
            state.lastDraw = now
            state.dirty = false
            state.result.compact()
            let room = max(3, Terminal.height - 6)
            let shown = state.result.rows.suffix(room)
            let hidden = state.result.count - shown.count
            let footer = "\(grouped(Int64(state.result.count))) row\(state.result.count == 1 ? "" : "s")"
                + (hidden > 0 ? ", the last \(grouped(Int64(shown.count))) shown" : "") + (ended ? "" : "; Ctrl-C stops")
            let (text, lines) = Terminal.cut(boxed(Array(shown)) + "\n" + footer)
            Terminal.write(Terminal.up(state.drawnLines) + text + "\n")
            state.drawnLines = lines
        }
    }

    private func boxed(_ rows: [[Value]]) -> String {
        TextTable(columns: schema.map(\.name), alignRight: schema.map(\.type.isNumeric),
                  rows: rows.map { zip($0, schema).map { ValueText.text($0, $1.type) } }).boxed()
    }

    /// Writes what waits for the end of the input. Returns the number of rows shown.
    @discardableResult
    func finish(footer: Bool = true) -> Int {
        if inPlace {
            redraw(force: true, ended: true)
            return state.withLock { $0.result.count }
        }
        if streams {
            return state.withLock { state in
                if !state.wroteHeader, format == .csv { Terminal.write(headerLine()) }
                return state.streamed
            }
        }
        return state.withLock { state in
            state.result.compact()
            let rows = state.result.rows
            switch format {
            case .table:
                Terminal.write(boxed(rows) + "\n" + (footer ? "\(grouped(Int64(rows.count))) row\(rows.count == 1 ? "" : "s")\n" : ""))
            case .csv, .json: Terminal.write((format == .csv ? headerLine() : "") + rows.map { line($0, kind: .insert) }.joined())
            }
            return rows.count
        }
    }
}
