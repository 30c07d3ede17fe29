import Foundation
import StreamCore
import TestScripts
import Testing

@testable import Notebook

/// What jupytext and nbformat say to many texts at once: Python is started once for all of them.
enum FormatJudge {
    struct Task {
        var what: String, text: String, form = "lua"
    }

    static func answers(_ tasks: [Task]) throws -> [JSON] {
        let file = FileManager.default.temporaryDirectory.appending(path: "notebook-judge-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: file) }
        let list = JSON.array(tasks.map { .object([JSON.Member("do", .string($0.what)), JSON.Member("text", .string($0.text)), JSON.Member("form", .string($0.form))]) })
        try Data(list.text().utf8).write(to: file)
        let result = try PythonScript.run("notebook/judge.py", [file.path])
        guard result.status == 0, let line = result.output.split(separator: "\n").last, let answers = try JSON.parse(Array(line.utf8), "the judge's answer").array else {
            throw PythonScript.Failure("the judge ended with status \(result.status)\n\(result.errors)")
        }
        return answers
    }
}

extension NotebookCell {
    /// Without the place in a file, and what says how many blank lines follow.
    var plain: NotebookCell {
        var cell = self
        (cell.line, cell.indent) = (1, 0)
        cell.metadata.removeAll { $0.name == "notebook_cell_id" || $0.name == "script_marker" }
        return cell
    }
}

/// Notebooks with all sorts of cells, such that a script can hold them.
struct RandomNotebooks {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }

    mutating func pick<T>(_ items: [T]) -> T { items[next(items.count)] }

    static let titles: [String?] = [nil, nil, nil, "Create tables", "It's \"quoted\"", "a=b", "x {y}", "%odd", "Grüße", "ends .cls", "two  spaces", "[brackets] in it", "Q1: status=OK?", "name=1 two=2", " led",
                                    "[markdown]", "x [raw] y", "-- dashes", "1.5", "{\"a\": 1}", "t\u{00E4}b\t1"]
    static let sql = ["SELECT 1;", "SELECT '-- %% no cell', 'it''s' FROM t -- a 'comment", "-- a comment", "--", "", "", "  WHERE x = 1", "/* %% */", "INSERT INTO t", "-- @chart bar x=a y=b", "'ü' || '€' || '😀'",
                      "\tSELECT 2", "  ", "-- don't", "a \\ b", "-- %%sql", "x % y", "-- %matplotlib", "%%nope", "-- %%%x", "E'\\''"]
    static let program = ["print(1)", "", "# x", "    indented()", "-- no", "--x", "  ", "'''", "'''", "echo \"%d\" 'ü'", "%matplotlib inline", "x = '%%'", "def f():", "\t1", "// c", "%%time"]
    static let prose = ["# Title", "", "Text with *marks*.", "- item", "--", "-- x", "```", "%% in a fence", "```", "<b>", "ü", "  indented", "%flink.ssql is an interpreter"]
    static let interpreters: [CellInterpreter?] = [
        nil, nil, nil, CellInterpreter("flink.ssql"), CellInterpreter("flink.ssql", [.init("type", "update"), .init("refreshInterval", "2000")]), CellInterpreter("flink.bsql"), CellInterpreter("python"),
        CellInterpreter("flink.pyflink"), CellInterpreter("flink.ipyflink"), CellInterpreter("sh"), CellInterpreter("swift"), CellInterpreter("flink"), CellInterpreter("angular"), CellInterpreter("mysql"),
        CellInterpreter("flink.ssql", [.init("type", "single"), .init("template", "<h1>{1}</h1>, \"x\" (y=z) \\ é")]), CellInterpreter("python", [.init("pool", "pool")]), CellInterpreter("bash"), CellInterpreter("r"),
    ]

    mutating func notebook() -> Notebook {
        var cells = (0..<next(7)).map { _ in cell() }
        // After the last cell, it is the file that ends with a newline or does not.
        if let last = cells.indices.last { cells[last].metadata.removeAll { $0.name == "lines_to_next_cell" } }
        return Notebook(cells: cells)
    }

    mutating func cell() -> NotebookCell {
        let kind = pick([NotebookCell.Kind.code, .code, .code, .code, .markdown, .raw])
        let interpreter = kind == .code ? pick(Self.interpreters) : nil
        let isSQL = kind == .code && interpreter.map { $0.language == .sql } ?? true
        var lines = (0..<next(6)).map { _ in pick(kind != .code ? Self.prose : isSQL ? Self.sql : Self.program) }
        // What is lost in a script, by jupytext as well: one blank line at the end of code, magics in SQL, a fence that is left open.
        if isSQL {
            while let last = lines.last, last.isBlank { lines.removeLast() }
            lines.removeAll { $0 == "%%nope" || $0 == "-- %matplotlib" || $0 == "-- %%sql" }
            while let last = lines.last, last.isBlank { lines.removeLast() }
        } else if lines.allSatisfy(\.isEmpty) {
            lines = []
        }
        if kind != .code {
            lines.removeAll { $0 == "%% in a fence" || $0 == "```" }
            if next(4) == 0 { lines += ["```mermaid", "%% in a fence", "```"] }
        } else if lines.count(where: { $0 == "'''" }) % 2 == 1 {
            lines.append("'''")
        }
        // Text that looks like another interpreter's line cannot be told from one.
        if kind == .code, let first = lines.first(where: { !$0.isBlank }), first.hasPrefix("%") { lines.removeAll { $0.hasPrefix("%") } }
        var metadata: [JSON.Member] = []
        if next(4) == 0 { metadata.append(JSON.Member("jupyter", .object([JSON.Member("source_hidden", .bool(true))]))) }
        if next(5) == 0 { metadata.append(JSON.Member("slide", .string("it's = \"ü\""))) }
        if next(6) == 0 { metadata.append(JSON.Member("width", .double(0.5))) }
        if next(8) == 0 { metadata.append(JSON.Member(".flag", .null)) }
        if next(5) == 0 { metadata.insert(JSON.Member("lines_to_next_cell", .int(pick([0, 2]))), at: metadata.endIndex) }
        var cell = NotebookCell(kind: kind, title: pick(Self.titles), interpreter: interpreter, source: lines.joined(separator: "\n"), tags: next(4) == 0 ? pick([["a"], ["parameters"], ["x", "ü y"]]) : [])
        if cell.isParameters, kind == .code, next(2) == 0 { metadata.append(JSON.Member("region_name", .string("parameters"))) }
        cell.metadata = metadata.sortedByName
        return cell
    }
}

@Suite("Notebooks, judged by jupytext and nbformat") struct JupyterFormatTests {
    static let hard = [
        "-- %%\n",
        "-- %%\nSELECT 1\n",
        "-- %% a \"quoted\" title\nSELECT '-- %%';\n\n-- %% [markdown]\n-- ü is not ASCII\n".replacingOccurrences(of: "ü", with: "u"),
        "-- -*- coding: utf-8 -*-\n-- %% Grüße\nSELECT 'ü€😀'\n",
        "-- %%\n\n-- %%\nx\n-- %%\ny\n\n\n-- %%\nz\n\n\n\n\n-- %% [markdown]\n--\n",
        "-- %% T tags=[\"a\", \"b\"] width=0.5\n-- %flink.ssql(type=update, template=\"<h1>{1}</h1>, x\")\n-- @chart bar x=a\nSELECT 1;\n",
        "-- %% [parameters]\n-- n = 5\n\n-- %% All [parameters]\n-- m = 6\n\n-- %% tags=[\"parameters\"]\n-- o = 7\n",
        "-- %% language=\"python\"\n-- print(\"\"\"\n--\n-- %% inside a string\n-- \"\"\")\n\n-- %% magic_args=\"-x\" language=\"sh\"\n-- ls\n",
        "-- %% language=\"python\"\n-- %flink.pyflink\n-- table = 1\n\n-- %%\n-- %flink.conf\n-- a b\n\n-- %% S language=\"swift\"\n-- print(1)\n",
        "-- %% [markdown]\n-- ```mermaid\n-- %% a comment of the diagram's\n-- ```\n\n-- %% [raw]\n-- raw\n\n-- %% [md]\n-- text\n",
        "-- ---\n-- jupyter:\n--   jupytext:\n--     text_representation:\n--       extension: .FORM\n--       format_name: percent\n--       format_version: '1.3'\n--       jupytext_version: 1.19.6\n--   kernelspec:\n--     display_name: Swiftwater SQL\n--     name: swiftwater\n-- ---\n\n-- %%\nSELECT 1\n",
        "-- ---\n-- title: Front matter\n-- ---\n\n-- %%\nSELECT 1\n",
        "   -- %%\n   SELECT 1\n\n-- %% name=\"a = b\"\nSELECT 2\n\n-- %%%% deeper\nSELECT 3\n",
        "-- %% active=\"sql\"\nSELECT 1\n\n-- %% tags=[\"active-py\"]\n-- z\n",
        "-- %%\nSELECT '''a''', '''b'''\n\n-- %%\nSELECT 2\n",
    ]

    @Test("scripts go to .ipynb and back by jupytext without a changed byte, and both readers find the same cells")
    func scripts() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("scripts: seed \(seed)")
        var random = RandomNotebooks(seed: seed)
        let notebooks = (0..<100).map { _ in random.notebook() }
        var written: [String] = []
        for notebook in notebooks {
            do { written.append(try PercentScript.text(notebook)) } catch { Issue.record("seed \(seed) \(error) \(notebook.cells)") }
        }
        try #require(written.count == notebooks.count)
        for (notebook, text) in zip(notebooks, written) {
            let read = try PercentScript.parse(text)
            #expect(read.cells.map(\.plain) == notebook.cells.map(\.plain), "seed \(seed)\n\(text)")
            #expect(try PercentScript.text(read) == text, "seed \(seed)")
        }
        let tasks = (written + Self.hard).flatMap { text in
            // `active="sql"` means the file's extension, which an unchanged jupytext takes for Lua's.
            (text.contains("active=\"sql\"") ? ["sql"] : ["lua", "sql"]).map { FormatJudge.Task(what: "roundtrip", text: text.replacingOccurrences(of: ".FORM", with: "." + $0), form: $0) }
        }
        for (task, answer) in zip(tasks, try FormatJudge.answers(tasks)) {
            #expect(answer["error"] == nil, "seed \(seed) \(task.form) \(answer["error"]?.string ?? "")\n\(task.text)")
            #expect(answer["text"]?.string == task.text, "seed \(seed) \(task.form)")
            let ours = try PercentScript.parse(task.text), file = answer["ipynb"]?.string ?? ""
            let theirs = try JupyterNotebook.parse(Array(file.utf8), path: "theirs.ipynb")
            // jupytext keeps front matter as a cell.
            let cells = theirs.cells.first?.source.hasPrefix("---\n") == true ? Array(theirs.cells.dropFirst()) : theirs.cells
            #expect(cells.map(\.plain) == ours.cells.map(\.plain), "seed \(seed) \(task.form)\n\(task.text)")
            if !task.text.hasPrefix("-- ---") { #expect(try PercentScript.text(theirs) == task.text, "seed \(seed) \(task.form)") }
        }
    }

    @Test("what we write is valid, is laid out as nbformat does it, and jupytext makes the same script of it")
    func notebooks() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("notebooks: seed \(seed)")
        var random = RandomNotebooks(seed: seed)
        let scripts = try (0..<60).map { _ in try PercentScript.text(random.notebook()) } + Self.hard.map { $0.replacingOccurrences(of: ".FORM", with: ".sql") }
        let notebooks = try scripts.map { try PercentScript.parse($0) }, files = notebooks.map { JupyterNotebook.text($0) }
        let valid = try FormatJudge.answers(files.map { .init(what: "validate", text: $0) } + files.flatMap { file in ["lua", "sql"].map { .init(what: "toscript", text: file, form: $0) } })
        for (i, file) in files.enumerated() {
            #expect(valid[i]["error"] == nil, "seed \(seed) \(valid[i]["error"]?.string ?? "")\n\(file)")
            #expect(valid[i]["canonical"]?.string.map { $0 + "\n" } == file, "seed \(seed)")
            let read = try JupyterNotebook.parse(Array(file.utf8), path: "ours.ipynb")
            #expect(read == Notebook(cells: notebooks[i].cells.map { cell in
                var cell = cell
                (cell.line, cell.indent) = (1, 0)
                return cell
            }, metadata: notebooks[i].metadata), "seed \(seed)")
            #expect(try PercentScript.text(read) == scripts[i], "seed \(seed)")
            for form in (scripts[i].contains("active=") ? 1 : 0)..<2 {
                let script = valid[files.count + 2 * i + form]["text"]?.string ?? ""
                #expect(try PercentScript.parse(script).cells.map(\.plain) == notebooks[i].cells.map(\.plain), "seed \(seed)\n\(script)")
            }
        }
    }

    @Test("results are written as outputs that nbformat takes")
    func outputs() throws {
        let table = ResultTable(columns: [.init(name: "status", type: "STRING", isNumeric: false), .init(name: "n & m", type: "INT", isNumeric: true)], rows: [[.string("OK <b>"), .int(3)], [.null, .double(1.5)]], total: 7)
        let notebook = try PercentScript.parse("-- %% [markdown]\n-- # T\n\n-- %%\nSELECT 1\n\n-- %% language=\"python\"\n-- print(1)\n\n-- %%\nSELECT 3\n")
        let results = [
            CellResult(cell: 1, state: .finished, outputs: [.message("table t created"), .text("more\n", isError: false), .text("oh\n", isError: true), .table(table, ChartSpec(.bar, x: "status", title: "By status"))]),
            CellResult(cell: 2, state: .failed, outputs: [.image(type: "image/png", bytes: [0x89, 0x50, 0x4E, 0x47]), .image(type: "image/svg+xml", bytes: Array("<svg/>".utf8)), .html("<p>x</p>")],
                       error: CellError(message: "no column \"x\"", line: 8, column: 4)),
            CellResult(cell: 3, state: .skipped),
        ]
        let file = JupyterNotebook.text(notebook, results: results) { _, spec in "<svg>\(spec.kind.rawValue)\n</svg>" }
        let answer = try FormatJudge.answers([.init(what: "validate", text: file)])[0]
        #expect(answer["error"] == nil)
        #expect(answer["canonical"]?.string.map { $0 + "\n" } == file)
        let cells = try #require(try JSON.parse(Array(file.utf8), "x")["cells"]?.array)
        #expect(cells.map { $0["execution_count"] } == [nil, .int(1), .int(2), .null])
        let outputs = try #require(cells[1]["outputs"]?.array)
        #expect(outputs.map { $0["output_type"]?.string } == ["stream", "stream", "display_data", "execute_result"])
        #expect(outputs[0]["text"] == .array([.string("table t created\n"), .string("more\n")]))
        #expect(outputs[2]["data"]?["image/svg+xml"] == .array([.string("<svg>bar\n"), .string("</svg>")]))
        #expect(outputs[3]["data"]?["text/plain"]?.array?.compactMap(\.string).joined() == "status  n & m\n------  -----\nOK <b>      3\nNULL      1.5\n(the newest 2 of 7 rows)")
        #expect(outputs[3]["data"]?["text/html"]?.array?.compactMap(\.string).joined().contains("<td>OK &lt;b&gt;</td><td style=\"text-align: right\">3</td>") == true)
        let second = try #require(cells[2]["outputs"]?.array)
        #expect(second[0]["data"]?["image/png"] == .string("iVBORw==\n"))
        #expect(second.last?["evalue"] == .string("no column \"x\"") && second.last?["traceback"] == .array([.string("line 8:4: no column \"x\"")]))
        #expect(cells[3]["outputs"] == .array([]))
        // Outputs are no part of a notebook.
        #expect(try JupyterNotebook.parse(Array(file.utf8), path: "x").cells.map(\.plain) == notebook.cells.map(\.plain))
    }

    @Test("a Python notebook's cells are Python cells, and go back as they came")
    func python() throws {
        let file = """
            {"cells": [{"cell_type": "code", "execution_count": null, "id": "a1", "metadata": {}, "outputs": [], "source": ["import x\\n", "%matplotlib inline"]},
              {"cell_type": "code", "execution_count": 1, "id": "a2", "metadata": {"tags": ["t"]}, "outputs": [], "source": "%%sql\\nSELECT 1"}],
             "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}
            """
        let notebook = try JupyterNotebook.parse(Array(file.utf8), path: "p.ipynb")
        #expect(notebook.cells.map { $0.interpreter?.text } == ["%python", nil])
        #expect(notebook.cells.map(\.source) == ["import x\n%matplotlib inline", "SELECT 1"])
        let back = try JSON.parse(Array(JupyterNotebook.text(notebook).utf8), "x")
        #expect(back["cells"]?.array?.map { $0["source"] } == [.array([.string("import x\n"), .string("%matplotlib inline")]), .array([.string("%%sql\n"), .string("SELECT 1")])])
        #expect(back["cells"]?.array?.map { $0["id"]?.string } == ["a1", "a2"])
        #expect(try PercentScript.text(notebook).hasSuffix("-- %% language=\"python\"\n-- import x\n-- %matplotlib inline\n\n-- %% tags=[\"t\"]\nSELECT 1\n"))
    }

    @Test("errors name the file and what to do", arguments: [("{", "x.ipynb is not valid JSON"), ("{\"nbformat\": 3}", "it has version 3"), ("{\"nbformat\": 4, \"cells\": [{}]}", "cell 1 has no cell_type")])
    func errors(text: String, problem: String) {
        let error = #expect(throws: StreamError.self) { try JupyterNotebook.parse(Array(text.utf8), path: "x.ipynb") }
        #expect(error?.description.contains(problem) == true && error?.fix != nil)
    }
}
