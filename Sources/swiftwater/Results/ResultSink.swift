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
    private let state = Mutex(State())

    private struct State {
        var rows: [[Value]] = []
        /// Positions in `rows` of equal rows, for retractions; empty rows are removed ones.
        var index: [[Value]: [Int]] = [:]
        var alive: [Bool] = []
        var count = 0
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
                let values = values(batch, row)
                if batch.kind(atPhysical: row).isAdd {
                    if isChangelog { state.index[values, default: []].append(state.rows.count) }
                    state.rows.append(values)
                    state.alive.append(true)
                    state.count += 1
                } else if let at = state.index[values]?.popLast() {
                    state.alive[at] = false
                    state.count -= 1
                }
            }
            // Rows that nothing takes back and that have left the screen are not needed any more.
            if inPlace, !isChangelog, state.rows.count > 2 * Self.keptRows {
                state.rows.removeFirst(state.rows.count - Self.keptRows)
                state.alive = state.rows.map { _ in true }
            }
            state.dirty = true
        }
        if inPlace { redraw(force: false) }
    }

    private func stream(_ batch: Batch) {
        var text = ""
        for i in 0..<batch.count {
            let row = batch.row(i)
            text += line(values(batch, row), kind: batch.kind(atPhysical: row))
        }
        let header = state.withLock { state in
            state.count += batch.count
            defer { state.wroteHeader = true }
            return state.wroteHeader ? "" : headerLine()
        }
        Terminal.write(header + text)
    }

    /// A row's values; TIMESTAMP_LTZ as local time of the session.
    private func values(_ batch: Batch, _ row: Int) -> [Value] {
        zip(batch.columns, schema).map { column, field in
            let value = column.value(at: row)
            guard case .int(let time) = value, case .timestampLTZ = field.type, let unit = field.type.timeUnit, zone !== TimeZoneRules.utc else {
                return value
            }
            let seconds = time / unit.perSecond - (time % unit.perSecond < 0 ? 1 : 0)
            return .int(time + zone.offset(atUTC: seconds) * unit.perSecond)
        }
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
            compact(&state)
            let room = max(3, Terminal.height - 6)
            let shown = state.rows.suffix(room)
            let hidden = state.count - shown.count
            let footer = "\(grouped(Int64(state.count))) row\(state.count == 1 ? "" : "s")"
                + (hidden > 0 ? ", the last \(grouped(Int64(shown.count))) shown" : "") + (ended ? "" : "; Ctrl-C stops")
            let (text, lines) = Terminal.cut(boxed(Array(shown)) + "\n" + footer)
            Terminal.write(Terminal.up(state.drawnLines) + text + "\n")
            state.drawnLines = lines
        }
    }

    private func compact(_ state: inout State) {
        guard state.alive.contains(false) else { return }
        state.rows = zip(state.rows, state.alive).filter(\.1).map(\.0)
        state.alive = state.rows.map { _ in true }
        state.index = [:]
        for (i, row) in state.rows.enumerated() { state.index[row, default: []].append(i) }
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
            return state.withLock { $0.count }
        }
        if streams {
            return state.withLock { state in
                if !state.wroteHeader, format == .csv { Terminal.write(headerLine()) }
                return state.count
            }
        }
        return state.withLock { state in
            compact(&state)
            switch format {
            case .table:
                Terminal.write(boxed(state.rows) + "\n" + (footer ? "\(grouped(Int64(state.rows.count))) row\(state.rows.count == 1 ? "" : "s")\n" : ""))
            case .csv, .json: Terminal.write((format == .csv ? headerLine() : "") + state.rows.map { line($0, kind: .insert) }.joined())
            }
            return state.rows.count
        }
    }
}
