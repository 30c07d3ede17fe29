import Notebook
import StreamCore
import Synchronization

/// Shows a notebook's run on a terminal: results that go on in place, others when they are done.
final class NotebookScreen: Sendable {
    enum Mode: Sendable { case live, plain, silent }

    private static let progressInterval: Int64 = 10_000
    private let mode: Mode
    private let state = Mutex(State())

    private struct State {
        var drawnLines = 0
        var tables: [Int: (table: ResultTable, chart: ChartSpec?)] = [:]
        /// Of the cell's time, where nothing is drawn in place.
        var nextProgress = NotebookScreen.progressInterval
        /// The cell whose output stands at the bottom.
        var front: Int?
        var atLineStart = true
    }

    init(_ mode: Mode) { self.mode = mode }

    func begins(_ cell: NotebookCell, index: Int, number: Int, of count: Int, _ request: CellRequest) {
        guard mode != .silent else { return }
        state.withLock { state in
            if !request.isBackground { (state.front, state.tables, state.drawnLines, state.nextProgress) = (index, [:], 0, Self.progressInterval) }
            let title = cell.title ?? Self.firstLine(request.source)
            Terminal.write("\(mode == .live ? "\u{1B}[1m" : "")[\(number)/\(count)] \(title)\(mode == .live ? "\u{1B}[0m" : "")  %\(request.interpreter.name)\(request.isBackground ? ", in the background" : "")\n")
        }
    }

    private static func firstLine(_ source: String) -> String {
        let line = source.split(whereSeparator: \.isNewline).map { $0.drop(while: \.isWhitespace) }.first { !$0.hasPrefix("--") && !$0.hasPrefix("#") && !$0.hasPrefix("//") && !$0.isEmpty }
        guard let line else { return "cell" }
        return line.count > 60 ? line.prefix(59) + "…" : String(line)
    }

    func note(_ event: CellEvent, _ index: Int) {
        guard mode != .silent else { return }
        state.withLock { state in
            guard state.front == index else {
                // Of cells in the background only what goes wrong is worth a line among another's.
                if case .text(let text, isError: true) = event { Terminal.write(text, to: 2) }
                return
            }
            switch event {
            case .started, .finished: break
            case .text(let text, let isError): Terminal.write(text, to: isError ? 2 : 1)
            case .message(let text): Terminal.write("  \(text)\n")
            case .table(let n, let table, let chart, let isFinal):
                state.tables[n] = (table, chart)
                if isFinal || mode == .live { draw(&state, n, isFinal: isFinal) }
            case .html(_, let html): Terminal.write(NotebookText.plain(html) + "\n")
            case .image(_, let type, let bytes): Terminal.write("  (\(type), \(grouped(Int64(bytes.count))) bytes; --output html shows it)\n")
            case .progress(let rowsIn, _, let milliseconds):
                let text = "  \(grouped(rowsIn)) rows read, \(milliseconds / 1_000) s; Ctrl-C stops"
                if mode == .plain, milliseconds >= state.nextProgress {
                    state.nextProgress = milliseconds + Self.progressInterval
                    Terminal.error(text)
                }
                guard mode == .live, state.tables.isEmpty else { return }
                Terminal.write(Terminal.up(state.drawnLines) + text + "\n")
                state.drawnLines = 1
            }
        }
    }

    private func draw(_ state: inout State, _ n: Int, isFinal: Bool) {
        guard let (table, chart) = state.tables[n] else { return }
        let text = NotebookText.table(table, chart, rowsMax: mode == .live ? max(3, Terminal.height - 8) : 40, width: Terminal.width, isLive: mode == .live, isFinal: isFinal)
        let (shown, lines) = mode == .live ? Terminal.cut(text) : (text, 0)
        Terminal.write(Terminal.up(state.drawnLines) + shown + "\n")
        state.drawnLines = isFinal ? 0 : lines
    }

    func ended(_ result: CellResult, isBackground: Bool) {
        guard mode != .silent else { return }
        state.withLock { state in
            if let error = result.error { Terminal.write("error: \(error.message)\n", to: 2) }
            guard !isBackground else { return }
            state.drawnLines = 0
            let seconds = fixed(Double(result.milliseconds) / 1_000, 1)
            Terminal.write("  \(result.state.rawValue) after \(seconds) s\n\n")
            state.front = nil
        }
    }
}

/// Results as text.
enum NotebookText {
    static func table(_ table: ResultTable, _ chart: ChartSpec?, rowsMax: Int, width: Int, isLive: Bool, isFinal: Bool) -> String {
        if let chart, chart.kind != .table, let drawn = try? ChartTerminal.text(table, chart, width: min(width, 120), height: 16, colors: isLive) { return drawn }
        let rows = table.rows.suffix(rowsMax)
        let boxed = TextTable(columns: table.columns.map(\.name), alignRight: table.columns.map(\.isNumeric), rows: rows.map { $0.map(cell) }).boxed()
        let hidden = table.total - Int64(rows.count)
        return boxed + "\n\(grouped(table.total)) row\(table.total == 1 ? "" : "s")" + (hidden > 0 ? ", the last \(rows.count) shown" : "") + (isFinal || !isLive ? "" : "; Ctrl-C stops")
    }

    /// The text of a piece of HTML.
    static func plain(_ html: String) -> String {
        var out = "", isTag = false
        for c in html {
            if c == "<" { isTag = true } else if c == ">", isTag { isTag = false } else if !isTag { out.append(c) }
        }
        for (entity, text) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")] { out = out.replacing(entity, with: text) }
        return out
    }

    static func cell(_ value: JSON) -> String {
        switch value {
        case .null: "NULL"
        case .bool(let v): v ? "TRUE" : "FALSE"
        case .int(let v): "\(v)"
        case .double(let v): NumberText.string(v)
        case .string(let v): v
        case .array, .object: value.text()
        }
    }
}
