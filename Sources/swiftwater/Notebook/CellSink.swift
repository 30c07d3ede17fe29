import Notebook
import StreamCore
import StreamExpressions
import StreamSQL
import Synchronization

/// What a query of a cell shows of its rows.
enum CellResultType: Equatable, Sendable {
    /// The present rows, with changes applied.
    case update
    /// Rows as they come; of those with a time in front only the ones of the last `window` milliseconds.
    case append(window: Int64?)
    /// The newest row alone; `{0}`, `{1}`, ... in the template are its values.
    case single(template: String?)
}

/// Takes a query's rows for a cell and tells what its result looks like, not more often than its reader can follow.
final class CellSink: TableSink {
    /// Rows that are shown at most: the newest.
    static let shownRows = 1_000

    private let schema: Schema
    private let zone: TimeZoneRules
    private let type: CellResultType
    private let chart: ChartSpec?
    private let number: Int
    private let interval: UInt64
    private let rowsMax: Int?
    private let emit: @Sendable (CellEvent) -> Void
    /// Called once, when ``rowsMax`` rows are there.
    private let full: @Sendable () -> Void
    private let state: Mutex<State>

    private struct State {
        var result: ResultRows
        var isDirty = false, isFull = false
        var lastTold: UInt64 = 0
        /// Rows that came, whatever became of them.
        var came = 0
    }

    init(_ query: PlannedQuery, _ settings: SessionSettings, type: CellResultType, chart: ChartSpec?, number: Int, refresh: Duration, rowsMax: Int?,
         emit: @escaping @Sendable (CellEvent) -> Void, full: @escaping @Sendable () -> Void) throws {
        if case .append = type, query.isChangelog {
            throw StreamError(.plan, "the query's result changes rows that it has given before, and type=append shows rows as they come", fix: "write type=update")
        }
        schema = query.schema
        zone = try TimeZoneRules.named(settings.timeZone)
        (self.type, self.chart, self.number, self.rowsMax, self.emit, self.full) = (type, chart, number, rowsMax, emit, full)
        interval = UInt64(max(0, refresh / .nanoseconds(1)))
        state = Mutex(State(result: ResultRows(isChangelog: query.isChangelog, keepsPlaces: true)))
    }

    var maxParallelism: Int? { 1 }
    var acceptsChanges: Bool { true }
    var keepsRows: Bool { false }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

    private final class Writer: SinkWriter {
        private let sink: CellSink
        init(_ sink: CellSink) { self.sink = sink }
        func write(_ batch: Batch) throws { sink.add(batch) }
        func idle() throws { sink.tell(isFinal: false) }
        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }

    private func add(_ batch: Batch) {
        let isNowFull = state.withLock { state -> Bool in
            guard !state.isFull else { return false }
            for i in 0..<batch.count {
                let row = batch.row(i), kind = batch.kind(atPhysical: row)
                state.result.add(batch.shownValues(row, schema, in: zone), kind: kind)
                if kind.isAdd { state.came += 1 }
                if let rowsMax, isFull(state, rowsMax) {
                    state.isFull = true
                    break
                }
            }
            if case .append(let window?) = type { forget(&state, window) }
            state.result.keep(newest: Self.shownRows)
            state.isDirty = true
            return state.isFull
        }
        if isNowFull { full() }
        tell(isFinal: false)
    }

    /// An updating result is full when so many rows are in it; it may take many changes to get there, or none.
    private func isFull(_ state: State, _ rowsMax: Int) -> Bool { (state.result.isChangelog ? state.result.count : state.came) >= rowsMax }

    private func forget(_ state: inout State, _ window: Int64) {
        guard let unit = schema.first?.type.timeUnit, let newest = state.result.rows.last?.first, case .int(let time) = newest else { return }
        let bound = time - window * unit.perSecond / 1_000
        state.result.dropFirst { if case .int(let t)? = $0.first { t < bound } else { true } }
    }

    /// Tells the present result, if it changed and the last time is long enough ago.
    func tell(isFinal: Bool) {
        let table = state.withLock { state -> ResultTable? in
            let now = Clock.monotonicNanoseconds()
            guard isFinal || state.isDirty && now - state.lastTold >= interval else { return nil }
            state.lastTold = now
            state.isDirty = false
            state.result.compact()
            var rows = state.result.rows.suffix(Self.shownRows)
            if case .single = type { rows = rows.suffix(1) }
            return ResultTable(schema, rows: rows, total: Int64(state.result.count))
        }
        guard let table else { return }
        if case .single(let template?) = type {
            emit(.html(number, Self.filled(template, table.rows.last ?? [])))
        } else {
            emit(.table(number, table, chart, isFinal: isFinal))
        }
    }

    /// The template with a row's values, which are text and no markup.
    private static func filled(_ template: String, _ row: [JSON]) -> String {
        var out = ""
        var rest = Substring(template)
        while let open = rest.firstIndex(of: "{"), let close = rest[open...].firstIndex(of: "}") {
            out += rest[..<open]
            if let n = Int(rest[rest.index(after: open)..<close]), row.indices.contains(n) {
                let text = row[n].string ?? row[n].text()
                out += text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
            } else {
                out += rest[open...close]
            }
            rest = rest[rest.index(after: close)...]
        }
        return out + rest
    }
}

extension ResultTable {
    init(_ schema: Schema, rows: some Sequence<[Value]>, total: Int64) {
        self.init(columns: schema.map { Column(name: $0.name, type: "\($0.type)", isNumeric: $0.type.isNumeric) },
                  rows: rows.map { row in zip(row, schema).map { Self.cell($0, $1.type) } }, total: total)
    }

    private static func cell(_ value: Value, _ type: DataType) -> JSON {
        switch value {
        case .null: .null
        case .bool(let v): .bool(v)
        case .int(let v) where type.isInteger: .int(v)
        case .float(let v) where v.isFinite: .double(Double("\(v)") ?? Double(v))
        case .double(let v) where v.isFinite: .double(v)
        case .decimal(_): decimal(ValueText.text(value, type))
        default: .string(ValueText.text(value, type))
        }
    }

    /// As a number where a double has all its digits.
    private static func decimal(_ text: String) -> JSON {
        guard text.count <= 15, let value = Double(text) else { return .string(text) }
        return .double(value)
    }
}
