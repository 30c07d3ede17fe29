import Foundation
import StreamCore
import Testing

@testable import Notebook

@Suite("Zeppelin notes") struct ZeppelinFormatTests {
    /// Laid out as Zeppelin 0.9 to 0.11 write notes.
    static let note = #"""
        {
          "paragraphs": [
            {"title": "About", "text": "%md\n\n# Sensors\n\nWhat they measure.\n", "user": "anonymous",
             "config": {"title": true, "colWidth": 12.0, "enabled": true, "editorHide": true, "results": {}, "editorMode": "ace/mode/markdown"},
             "settings": {"params": {}, "forms": {}}, "results": {"code": "SUCCESS", "msg": [{"type": "HTML", "data": "\u003ch1\u003eSensors\u003c/h1\u003e"}]},
             "id": "paragraph_1", "status": "FINISHED"},
            {"title": "Averages", "text": "%flink.ssql(type\u003dupdate, refreshInterval\u003d2000, template\u003d\"\u003ch1\u003e{1}, {0}\u003c/h1\u003e\")\n\nselect status, avg(temperature) as t from sensors where age \u003e ${maxAge\u003d30} and marital \u003d \u0027${marital\u003dsingle,single|divorced(Divorced)|married}\u0027 group by status\n\n",
             "config": {"colWidth": 6.0, "enabled": true, "fontSize": 9.0, "title": true,
               "results": {"0": {"graph": {"mode": "multiBarChart", "height": 300.0, "setting": {}, "keys": [{"name": "status", "index": 0.0, "aggr": "sum"}], "groups": [], "values": [{"name": "t", "index": 1.0, "aggr": "sum"}]}, "helium": {}}}},
             "settings": {"params": {"maxAge": "35"}, "forms": {}}, "id": "paragraph_2", "status": "ABORT"},
            {"text": "%sh ls -l", "config": {"enabled": false, "editorMode": "ace/mode/sh"}, "settings": {"params": {}, "forms": {}}, "id": "paragraph_3"},
            {"text": "%flink.pyflink\r\n\r\nprint('é')", "config": {}, "settings": {}, "id": "paragraph_4"},
            {"text": "val x = 1", "config": {}, "id": "paragraph_5"},
            {"text": "%spark.r {\"imageWidth\": \"400px\"}\nplot(1)", "config": {}, "id": "paragraph_6"},
            {"text": "%flink.ssql\n", "config": {}, "settings": {"params": {}, "forms": {}}, "id": "paragraph_7"},
            {"config": {}, "id": "paragraph_8", "status": "READY"}
          ],
          "name": "Sensors", "id": "2SENSORS1", "defaultInterpreterGroup": "flink", "version": "0.9.0", "noteParams": {}, "noteForms": {}, "angularObjects": {},
          "config": {"isZeppelinNotebookCronEnable": false}, "info": {}
        }
        """#

    @Test("paragraphs are cells: interpreters, titles, charts, values of forms and what differs from the usual")
    func read() throws {
        let notebook = try ZeppelinNote.parse(Array(Self.note.utf8), path: "s.zpln"), cells = notebook.cells
        #expect(cells.map(\.kind) == [.markdown, .code, .code, .code, .code, .code, .code, .code])
        #expect(cells.map(\.title) == ["About", "Averages", nil, nil, nil, nil, nil, nil])
        #expect(cells.map { $0.interpreter?.text } == [nil, "%flink.ssql(type=update, refreshInterval=2000, template=\"<h1>{1}, {0}</h1>\")", "%sh", "%flink.pyflink", "%flink", "%spark.r", "%flink.ssql", nil])
        #expect(cells[0].source == "# Sensors\n\nWhat they measure.")
        #expect(cells[1].source.hasPrefix("-- @chart bar x=status y=t\nselect status, avg") && cells[1].source.hasSuffix("group by status"))
        #expect(cells[1].metadata["zeppelin"] == .object([JSON.Member("colWidth", .double(6)), JSON.Member("params", .object([JSON.Member("maxAge", .string("35"))]))]))
        #expect(cells[2].source == "ls -l" && cells[2].metadata["zeppelin"]?["enabled"] == .bool(false))
        #expect(cells[3].source == "\nprint('é')" && cells[4].source == "val x = 1" && cells[5].source == "{\"imageWidth\": \"400px\"}\nplot(1)" && cells[7].source == "")
        #expect(try NotebookParameters(cells: cells).fill(cells[1]).contains("where age > 35 and marital = 'single'"))
        #expect(try CellDirectives(of: cells[1]).chart == ChartSpec(.bar, x: "status", y: ["t"]))
        #expect(notebook.metadata["zeppelin"]?["name"] == .string("Sensors"))
    }

    @Test("a note goes to a script, to .ipynb and back with the same cells")
    func there() throws {
        let notebook = try ZeppelinNote.parse(Array(Self.note.utf8), path: "s.zpln"), cells = notebook.cells.map(\.plain)
        let script = try PercentScript.text(notebook)
        #expect(try PercentScript.parse(script).cells.map(\.plain) == cells, "\(script)")
        #expect(try ZeppelinNote.parse(Array(ZeppelinNote.text(PercentScript.parse(script)).utf8), path: "x").cells.map(\.plain) == cells)
        let written = ZeppelinNote.text(notebook)
        #expect(try ZeppelinNote.parse(Array(written.utf8), path: "x") == notebook)
        #expect(try JupyterNotebook.parse(Array(JupyterNotebook.text(notebook).utf8), path: "x").cells.map(\.plain) == cells)
        // As Zeppelin shows it: the text of a paragraph, the forms' fields, the chart.
        let paragraphs = try #require(try JSON.parse(Array(written.utf8), "x")["paragraphs"]?.array)
        #expect(paragraphs[5]["text"] == .string("%spark.r {\"imageWidth\": \"400px\"}\nplot(1)"))
        #expect(paragraphs[1]["settings"]?["forms"]?["marital"]?["type"] == .string("Select") && paragraphs[1]["settings"]?["params"]?["maxAge"] == .string("35"))
        #expect(paragraphs[1]["settings"]?["forms"]?["marital"]?["options"]?.array?[1] == .object([JSON.Member("value", .string("divorced")), JSON.Member("displayName", .string("Divorced"))]))
        #expect(paragraphs[1]["config"]?["results"]?["0"]?["graph"]?["mode"] == .string("multiBarChart") && paragraphs[1]["config"]?["colWidth"] == .double(6))
        #expect(Set(paragraphs.map { $0["id"]?.string }).count == paragraphs.count)
    }

    @Test("scripts go to a note and back without a changed byte")
    func back() throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("notes: seed \(seed)")
        var random = RandomNotebooks(seed: seed)
        for script in try (0..<120).map({ _ in try PercentScript.text(random.notebook()) }) + JupyterFormatTests.hard {
            let notebook = try PercentScript.parse(script), note = ZeppelinNote.text(notebook)
            let read = try ZeppelinNote.parse(Array(note.utf8), path: "x.zpln")
            #expect(read.cells.map(\.plain) == notebook.cells.map(\.plain), "seed \(seed)\n\(script)")
            #expect(try PercentScript.text(read) == script, "seed \(seed)")
        }
    }

    @Test("charts of either side")
    func charts() throws {
        let specs = [ChartSpec(.bar, x: "a", y: ["b", "c d"], group: "g"), ChartSpec(.line, x: "t", y: ["v"], aggregate: .sum), ChartSpec(.bar, x: "t", y: ["v"], aggregate: .avg), ChartSpec(.area), ChartSpec(.pie, x: "s", y: ["n"]), ChartSpec(.scatter, x: "u", y: ["v"], group: "w")]
        let note = ZeppelinNote.text(Notebook(cells: specs.map { NotebookCell(source: "-- @chart \($0.text)\nSELECT 1") }))
        // Read as Zeppelin's own: from the graph, not from the directive.
        let foreign = note.replacingOccurrences(of: "\"swiftwater\"", with: "\"other\"").replacingOccurrences(of: "-- @chart", with: "-- chart")
        let read = try ZeppelinNote.parse(Array(foreign.utf8), path: "x").cells.map { try CellDirectives(of: $0).chart }
        #expect(read == specs)
    }

    @Test("what is no note is said so", arguments: [("[]", "it has no paragraphs"), ("{\"paragraphs\": [{\"text\": \"%sh(a\"}]}", "x.zpln: paragraph 1: the properties of %sh have no closing parenthesis")])
    func errors(text: String, problem: String) {
        let error = #expect(throws: StreamError.self) { try NotebookFile.parse(Array(text.utf8), path: "x.zpln") }
        #expect(error?.description.contains(problem) == true && error?.fix != nil)
    }

    @Test("formats go by the file's name")
    func names() throws {
        #expect(try ["a/b.sql", "B.IPYNB", "x.y.zpln", "note.json"].map(NotebookFile.format) == [.script, .jupyter, .zeppelin, .zeppelin])
        #expect(throws: StreamError.self) { try NotebookFile.format(of: "a.sql/b") }
        let error = #expect(throws: StreamError.self) { try NotebookFile.parse([0x61, 0x0A, 0xFF], path: "x.sql") }
        #expect(error?.problem == "x.sql is not UTF-8 in line 2")
    }
}
