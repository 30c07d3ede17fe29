import StreamCore

/// A notebook with what its cells did, as GitHub shows Markdown files.
package enum MarkdownPage {
    package struct File: Sendable, Hashable {
        /// Below the Markdown file's own directory.
        package var path: String
        package var bytes: [UInt8]
    }

    /// - Parameters:
    ///   - pictures: the directory, beside the Markdown file, of the pictures: charts are SVG files in it; nil = charts are drawn with characters.
    ///   - rowsMax: rows of a table that are written; the rest are counted.
    /// - Returns: the text, and the files that it refers to.
    package static func text(notebook: Notebook, results: [CellResult], title: String, parameters: [(name: String, value: String)] = [], pictures: String? = nil,
                             rowsMax: Int = 50) -> (text: String, files: [File]) {
        var writer = MarkdownWriter(pictures: pictures, rowsMax: rowsMax)
        let byCell = Dictionary(results.map { ($0.cell, $0) }) { $1 }
        let first = notebook.cells.first { !($0.isParameters && $0.kind == .code) }
        let hasTitle = first?.kind == .markdown && first?.source.hasPrefix("# ") == true
        if !hasTitle { writer.part("# " + escaped(title)) }
        func head() {
            if !results.isEmpty { writer.part("_" + escaped(PageText.summary(results)) + "_") }
            if !parameters.isEmpty { writer.part(parameters.map { "- \(escaped($0.name)) = \(code($0.value))" }.joined(separator: "\n")) }
        }
        if !hasTitle { head() }
        for (i, cell) in notebook.cells.enumerated() {
            writer.write(cell, i, byCell[i])
            if hasTitle, cell == first, i == notebook.cells.firstIndex(of: cell) { head() }
        }
        return (writer.out, writer.files)
    }

    /// Text that Markdown takes for text.
    static func escaped(_ text: String) -> String {
        var out = ""
        for c in ChartText.clean(text) {
            switch c {
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "&": out += "&amp;"
            case "\\", "`", "*", "_", "[", "]", "|", "~", "#", "$", "!": out += "\\" + String(c)
            default: out.append(c)
            }
        }
        return out
    }

    /// A fence longer than any within.
    static func fenced(_ text: String, _ language: String) -> String {
        var longest = 0, run = 0
        for c in text {
            run = c == "`" ? run + 1 : 0
            longest = max(longest, run)
        }
        let fence = String(repeating: "`", count: max(3, longest + 1))
        return fence + language + "\n" + text + (text.hasSuffix("\n") || text.isEmpty ? "" : "\n") + fence
    }

    static func code(_ text: String) -> String {
        guard text.contains("`") || text.isEmpty else { return "`\(ChartText.clean(text))`" }
        return escaped(text)
    }
}

private struct MarkdownWriter {
    let pictures: String?, rowsMax: Int
    var out = ""
    var files: [MarkdownPage.File] = []

    init(pictures: String?, rowsMax: Int) { (self.pictures, self.rowsMax) = (pictures, rowsMax) }

    mutating func part(_ text: String) { out += (out.isEmpty ? "" : "\n") + text + (text.hasSuffix("\n") ? "" : "\n") }

    mutating func write(_ cell: NotebookCell, _ i: Int, _ result: CellResult?) {
        let name = cell.interpreter?.name
        guard cell.kind == .code, name != "md" else { return part(cell.kind == .raw ? MarkdownPage.fenced(cell.source, "") : cell.source) }
        if let title = cell.title, !title.isEmpty { part("**" + MarkdownPage.escaped(title) + "**") }
        let language = switch SourceHighlighter.Language(interpreter: name) {
        case .sql: "sql"
        case .python: "python"
        case .swift: "swift"
        case .shell: "sh"
        case .plain: ""
        }
        if !cell.source.isEmpty { part(MarkdownPage.fenced(cell.source, language)) }
        guard let result else { return }
        for (k, output) in result.outputs.enumerated() { write(output, "cell-\(i)-output-\(k)") }
        if let error = result.error {
            part("> **Failed\(PageText.place(error).map { " at \($0)" } ?? "")**\n>\n" + MarkdownPage.fenced(error.message, "text").split(separator: "\n", omittingEmptySubsequences: false).map { "> " + $0 }.joined(separator: "\n"))
        } else if result.state != .finished {
            part("_\(result.state.rawValue)" + (result.state == .stopped ? " after \(PageText.duration(result.milliseconds))" : "") + "_")
        }
    }

    private mutating func write(_ output: CellOutput, _ name: String) {
        switch output {
        case .text(let text, _): part(MarkdownPage.fenced(PageText.withoutEscapes(text), "text"))
        case .message(let text): part(MarkdownPage.escaped(text))
        case .html(let html): part(MarkdownPage.fenced(html, "html"))
        case .image(let type, let bytes):
            guard let pictures, let ending = ["image/png": "png", "image/svg+xml": "svg", "image/jpeg": "jpg", "image/gif": "gif"][type] else {
                return part("_An image (\(MarkdownPage.escaped(type)), \(bytes.count) bytes)_")
            }
            picture("An image that the cell made", "\(pictures)/\(name).\(ending)", bytes)
        case .table(let table, let chart):
            if let chart, chart.kind != .table { draw(table, chart, name) }
            write(table)
        }
    }

    private mutating func picture(_ alt: String, _ path: String, _ bytes: [UInt8]) {
        files.append(MarkdownPage.File(path: path, bytes: bytes))
        part("![\(MarkdownPage.escaped(alt))](<\(path)>)")
    }

    private mutating func draw(_ table: ResultTable, _ chart: ChartSpec, _ name: String) {
        do {
            let data = try ChartData(table, chart)
            guard let pictures else { return part(MarkdownPage.fenced(ChartTerminal.text(data, width: 80, height: 18, colors: false), "text")) }
            picture(data.title ?? data.summary, "\(pictures)/\(name).svg", Array(ChartSVG.text(data, theme: .auto).utf8))
        } catch {
            part("> The chart cannot be drawn: " + MarkdownPage.escaped("\(error)"))
        }
    }

    private mutating func write(_ table: ResultTable) {
        guard !table.columns.isEmpty else { return part(PageText.rows(table)) }
        var text = "| " + table.columns.map { MarkdownPage.escaped($0.name) }.joined(separator: " | ") + " |\n"
        text += "| " + table.columns.map { $0.isNumeric ? "---:" : "---" }.joined(separator: " | ") + " |\n"
        for row in table.rows.suffix(rowsMax) { text += "| " + row.map { MarkdownPage.escaped(PageText.cell($0)) }.joined(separator: " | ") + " |\n" }
        part(text)
        part("_\(PageText.rows(table, most: rowsMax))_")
    }
}
