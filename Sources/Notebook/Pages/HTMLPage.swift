import StreamCore

/// A notebook with what its cells did, as one HTML file: it asks for nothing else and runs no script.
package enum HTMLPage {
    /// Rows of a table that are written; the newest of more.
    package static let rowsMax = 1_000

    /// - Parameters:
    ///   - results: of the cells that ran, in any order; cells without one are shown without outputs.
    ///   - parameters: names and values that the cells were run with.
    package static func text(notebook: Notebook, results: [CellResult], title: String, parameters: [(name: String, value: String)] = []) -> String {
        var page = HTMLWriter(notebook, results)
        page.writeCells()
        let styles = PageStyles.page, hashes = [styles, PageStyles.frame].map { "'sha256-\(Base64.text(Digests.sha256($0)))'" }.joined(separator: " ")
        var out = """
            <!doctype html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src \(hashes); img-src data:; base-uri 'none'; form-action 'none'">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <meta name="referrer" content="no-referrer">
            <meta name="generator" content="swiftwater notebook">
            <title>\(ChartText.escaped(title))</title>
            <style>\(styles)</style>
            </head>
            <body>
            <a class="skip" href="#content">To the notebook</a>
            <header class="top">

            """
        if !page.beginsWithTitle { out += "<h1>\(ChartText.escaped(title))</h1>\n" }
        out += "<p class=\"summary\" data-state=\"\(PageText.state(results).rawValue)\">"
        if let started = results.map(\.startedAt).filter({ $0 > 0 }).min() { out += "<span>\(PageText.time(started))</span> " }
        out += "<span>\(ChartText.escaped(PageText.summary(results)))</span>"
        if let failed = results.first(where: { $0.state == .failed }) { out += " <a href=\"#cell-\(failed.cell)\">Go to the error</a>" }
        out += "</p>\n"
        if notebook.cells.contains(where: { $0.kind == .code }) {
            out += "<label class=\"toggle\"><input type=\"checkbox\" id=\"hide-source\"> Hide the source</label>\n"
        }
        if !parameters.isEmpty {
            out += "<details class=\"parameters\" open><summary>Parameters</summary><dl>"
            for p in parameters { out += "<div><dt>\(ChartText.escaped(p.name))</dt><dd>\(ChartText.escaped(p.value))</dd></div>" }
            out += "</dl></details>\n"
        }
        out += "</header>\n"
        if page.contents.count > 2 {
            let least = page.contents.map(\.level).min() ?? 1
            out += "<nav class=\"contents\" aria-label=\"Contents\"><ol>"
            for heading in page.contents where heading.level < least + 3 {
                out += "<li class=\"level-\(heading.level - least)\"><a href=\"#\(ChartText.escaped(heading.id))\">\(ChartText.escaped(heading.text))</a></li>"
            }
            out += "</ol></nav>\n"
        }
        return out + "<main id=\"content\">\n" + page.out + "</main>\n</body>\n</html>\n"
    }

    /// One output as HTML, for a page with ``PageStyles``.
    ///
    /// - Parameter id: begins the names of the elements in it; different for each output of a page.
    package static func output(_ output: CellOutput, id: String) -> String {
        switch output {
        case .text(let text, let isError):
            // What is long is scrolled, by the keyboard too.
            "<pre class=\"text\(isError ? " error-text" : "")\"\(text.count > 1_000 || text.count { $0.isNewline } > 15 ? " tabindex=\"0\"" : "")>\(ChartText.escaped(PageText.withoutEscapes(text)))</pre>\n"
        case .message(let text): "<p class=\"message\">\(ChartText.escaped(text))</p>\n"
        case .table(let table, let chart): result(table, chart, id)
        case .html(let html): frame(html)
        case .image(let type, let bytes):
            ["image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml"].contains(type)
                ? "<img class=\"image\" alt=\"An image that the cell made\" src=\"data:\(type);base64,\(Base64.text(bytes))\">\n"
                : "<p class=\"message\">An image of the type \(ChartText.escaped(type)), \(bytes.count) bytes, which pages do not show.</p>\n"
        }
    }

    /// A cell's own HTML has a document of its own, which can neither run scripts nor reach the page around it.
    private static func frame(_ html: String) -> String {
        let document = "<!doctype html><meta charset=\"utf-8\"><style>\(PageStyles.frame)</style>" + html
        let lines = min(28, max(4, html.count { $0 == "\n" } + html.count / 400))
        return "<iframe class=\"frame lines-\(lines / 8)\" sandbox=\"\" title=\"HTML that the cell made\" srcdoc=\"\(ChartText.escaped(document))\"></iframe>\n"
    }

    private static func result(_ table: ResultTable, _ chart: ChartSpec?, _ id: String) -> String {
        guard let chart, chart.kind != .table else { return self.table(table, caption: PageText.rows(table, most: rowsMax), id: id) }
        do {
            let data = try ChartData(table, chart)
            var out = "<figure class=\"drawn\">"
            // A picture that is made smaller has letters that nobody can read: narrow screens get one of their own.
            for (name, width, height) in [("wide", 880.0, 380.0), ("narrow", 340.0, 300.0)] {
                out += "<div class=\"\(name)\">" + ChartSVG.text(data, width: width, height: height, theme: .page, id: "\(id)-\(name)") + "</div>"
            }
            return out + "</figure>\n<details class=\"rows\"><summary>Table: \(PageText.rows(table, most: rowsMax))</summary>\n\(self.table(table, caption: nil, id: id))</details>\n"
        } catch {
            return "<p class=\"failure\">The chart cannot be drawn: \(ChartText.escaped("\(error)"))</p>\n" + self.table(table, caption: PageText.rows(table, most: rowsMax), id: id)
        }
    }

    package static func table(_ table: ResultTable, caption: String?, id: String) -> String {
        let numeric = table.columns.map(\.isNumeric)
        var out = "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Rows of \(ChartText.escaped(id))\"><table>"
        if let caption { out += "<caption>\(ChartText.escaped(caption.prefix(1).uppercased() + caption.dropFirst()))</caption>" }
        out += "<thead><tr>"
        for (i, column) in table.columns.enumerated() {
            out += "<th scope=\"col\"\(numeric[i] ? " class=\"number\"" : "")>\(ChartText.escaped(column.name)) <span class=\"type\">\(ChartText.escaped(column.type))</span></th>"
        }
        out += "</tr></thead>\n<tbody>"
        for row in table.rows.suffix(rowsMax) {
            out += "<tr>"
            for (i, value) in row.enumerated() {
                let isNumber = i < numeric.count && numeric[i]
                out += value == .null ? "<td class=\"null\(isNumber ? " number" : "")\">NULL</td>"
                    : "<td\(isNumber ? " class=\"number\"" : "")>\(ChartText.escaped(PageText.cell(value)))</td>"
            }
            out += "</tr>\n"
        }
        return out + "</tbody></table></div>\n"
    }
}

/// Writes the cells one after another.
private struct HTMLWriter {
    let notebook: Notebook
    let results: [Int: CellResult]
    var out = ""
    var contents: [MarkdownHTML.Heading] = []
    private var ids: Set<String> = ["content", "hide-source"]
    /// Of the last Markdown heading.
    private var level = 1
    /// Whether the notebook's own first heading is the page's.
    let beginsWithTitle: Bool

    init(_ notebook: Notebook, _ results: [CellResult]) {
        self.notebook = notebook
        self.results = Dictionary(results.map { ($0.cell, $0) }) { $1 }
        for i in notebook.cells.indices { ids.insert("cell-\(i)") }
        var unused: Set<String> = []
        let first = notebook.cells.first { !($0.isParameters && $0.kind == .code) }
        beginsWithTitle = first?.kind == .markdown && MarkdownHTML.document(first?.source ?? "", ids: &unused).headings.first?.level == 1
    }

    mutating func writeCells() {
        for (i, cell) in notebook.cells.enumerated() {
            switch cell.kind {
            case .markdown: writeMarkdown(cell, i)
            case .raw: out += "<section class=\"cell\" id=\"cell-\(i)\"><pre class=\"source\">\(ChartText.escaped(cell.source))</pre></section>\n"
            case .code: cell.interpreter?.name == "md" ? writeMarkdown(cell, i) : writeCode(cell, i)
            }
        }
    }

    private mutating func writeMarkdown(_ cell: NotebookCell, _ i: Int) {
        let (html, headings) = MarkdownHTML.document(cell.source, ids: &ids)
        contents += headings
        if let last = headings.last { level = last.level }
        out += "<section class=\"cell markdown\" id=\"cell-\(i)\">\n\(html)</section>\n"
    }

    private mutating func writeCode(_ cell: NotebookCell, _ i: Int) {
        let result = results[i]
        out += "<section class=\"cell code\" id=\"cell-\(i)\" data-cell=\"\(i)\"\(result.map { " data-state=\"\($0.state.rawValue)\"" } ?? "")>\n<div class=\"head\">"
        if let title = cell.title, !title.isEmpty {
            let deeper = min(level + 1, 6), id = MarkdownHTML.unused(MarkdownHTML.slug(title), &ids)
            out += "<h\(deeper) id=\"\(ChartText.escaped(id))\">\(ChartText.escaped(title))</h\(deeper)>"
            contents.append(MarkdownHTML.Heading(level: deeper, text: title, id: id))
        }
        if let interpreter = cell.interpreter { out += "<span class=\"interpreter\">%\(ChartText.escaped(PageText.interpreter(interpreter)))</span>" }
        for tag in cell.tags { out += "<span class=\"tag\">\(ChartText.escaped(tag))</span>" }
        if let result {
            if result.state != .finished { out += "<span class=\"state\">\(result.state.rawValue)</span>" }
            if result.state != .skipped { out += "<span class=\"time\">\(PageText.duration(result.milliseconds))</span>" }
        }
        out += "</div>\n"
        let language = SourceHighlighter.Language(interpreter: cell.interpreter?.name)
        if !cell.source.isEmpty { out += "<pre class=\"source\"><code>\(SourceHighlighter.html(cell.source, language))</code></pre>\n" }
        guard let result, !result.outputs.isEmpty || result.error != nil else {
            out += "</section>\n"
            return
        }
        out += "<div class=\"outputs\">\n"
        for (k, output) in result.outputs.enumerated() { out += HTMLPage.output(output, id: "cell-\(i)-output-\(k)") }
        if let error = result.error {
            let place = PageText.place(error).map { " at \($0)" } ?? ""
            out += "<div class=\"failure\"><strong>Failed\(place)</strong><pre>\(ChartText.escaped(error.message))</pre></div>\n"
        }
        out += "</div>\n</section>\n"
    }
}
