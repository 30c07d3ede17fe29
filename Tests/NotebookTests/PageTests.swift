import Foundation
import StreamCore
import TestScripts
import Testing
@testable import Notebook

struct PageTests {
    private static let parameters = [(name: "status", value: "OK"), (name: "<i>", value: Samples.evil)]

    @Test func aBrowserShowsThePage() throws {
        let place = try ChartTests.directory()
        defer { ChartTests.remove(place) }
        let (notebook, results) = Samples.notebook()
        try HTMLPage.text(notebook: notebook, results: results, title: "Sensors " + Samples.evil, parameters: Self.parameters)
            .write(to: place.appending(path: "page.html"), atomically: true, encoding: .utf8)
        for chart in Samples.charts {
            try ChartSVG.text(chart.table, chart.spec).write(to: place.appending(path: "file-\(chart.name).svg"), atomically: true, encoding: .utf8)
        }
        var options = [place.path]
        if let shots = ProcessInfo.processInfo.environment["SWIFTWATER_CHART_SAMPLES"] { options += ["--screenshots", shots + "/shots"] }
        let result = try PythonScript.run("notebook/look.py", options, seconds: 110)
        let answer = try #require(try JSONSerialization.jsonObject(with: Data((result.output.split(separator: "\n").last.map(String.init) ?? "").utf8)) as? [String: Any], "\(result.errors)")
        if let reason = answer["skipped"] { return print("not looked at: \(reason)") }
        for failure in answer["failures"] as? [String] ?? ["no answer"] { Issue.record("\(failure)") }
        #expect(answer["checks"] as? Int ?? 0 > 40)
        #expect(result.status == 0)
    }

    @Test func nothingOfAPageIsElsewhere() {
        let (notebook, results) = Samples.notebook()
        let page = HTMLPage.text(notebook: notebook, results: results, title: "Sensors", parameters: Self.parameters)
        #expect(!page.contains("<script") && !page.contains("<link") && !page.contains(" style=\"") && !page.contains("<img src=x"))
        for match in page.matches(of: /(?:src|href)="([^"]*)"/) {
            let url = match.output.1
            #expect(url.isEmpty || url.hasPrefix("#") || url.hasPrefix("data:image/") || url.hasPrefix("https://example.org/"), "\(url)")
        }
        #expect(page.contains("the newest 2 of 5,210 rows") && page.contains("9007199254740993"))
        #expect(page.contains("Failed at line 88, column 8"))
        #expect(page.contains("16 cells ran in 33.8 s, 1 failed, 1 stopped, 1 skipped"))
        let long = Samples.table([("n", "INT")], (0..<1_500).map { [.int(Int64($0))] })
        let table = HTMLPage.output(.table(long, nil), id: "long")
        #expect(table.contains("The newest 1,000 of 1,500 rows") && table.contains("<td class=\"number\">1499</td>") && !table.contains("<td class=\"number\">499</td>"))
    }

    @Test func markdownIsSafe() {
        let html = MarkdownHTML.text("# A *title*\n\n<script>x</script>\n\n[a](javascript:x) [b](JaVaScRiPt:x) [c](data:text/html,x) [d](https://e.org)\n\n<img src=x onerror=y> a<br>b\n\n![p](http://h/x.png) ![q](javascript:x)\n\n| a |\n| --- |\n| 1 |\n")
        #expect(html.contains("<h1><span class=\"anchor\" id=\"a-title\"></span>A <em>title</em></h1>"))
        #expect(!html.contains("<script") && !html.contains("<img") && !html.lowercased().contains("=\"javascript:") && !html.contains("data:text"))
        #expect(html.contains("&lt;script&gt;x&lt;/script&gt;") && html.contains("a<br />\nb") && html.contains("<a href=\"http://h/x.png\" title=\"an image: http://h/x.png\">p</a>"))
        #expect(html.contains("<table>") && html.contains("href=\"https://e.org\""))
        #expect(MarkdownHTML.text("").isEmpty && MarkdownHTML.text("a\u{0}b") == "<p>a\u{FFFD}b</p>\n")
        var ids: Set<String> = ["a"]
        #expect(MarkdownHTML.document("# a\n# a\n# !?\n", ids: &ids).headings.map(\.id) == ["a-1", "a-2", "section"])
    }

    @Test func noMarkdownIsDangerous() throws {
        let seed = UInt64.random(in: 0...(.max))
        var state = seed
        func pick(_ n: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % n
        }
        let pieces = ["<script>", "</script>", "alert(1)", "<img src=x onerror=y>", "<svg/onload=x>", "<!--", "-->", "--!>", "<![CDATA[", "]]>", "<?php", "?>", "<!DOCTYPE x>", "javascript:x", "JAVA\tscript:x",
                      "data:text/html,x", "data:image/png;base64,AA", "data:image/svg+xml,x", "vbscript:x", "&#106;avascript:x", "[a](", ")", "![b](", "<", ">", "\"", "'", "`", "```", "~~~ html onload=x", "\n", "\n\n", "    ", "| a | b |\n|---|---|\n| ",
                      " | ", "# ", "- [ ] ", "> ", "1. ", "*", "**", "_", "~~", "<br>", "<br/ onload=x>", "<details open ontoggle=x>", "[r]: javascript:x \"t\"", "[r]", "https://e.org/\"onload=x", "<https://e.org>", "<javascript:x>", "\\", "&lt;", "&quot;", "\u{0}", "é", "===", "---"]
        let fragments = (0..<600).map { _ in MarkdownHTML.text((0..<(1 + pick(14))).map { _ in pieces[pick(pieces.count)] }.joined(separator: pick(3) == 0 ? " " : "")) }
        let path = FileManager.default.temporaryDirectory.appending(path: "swiftwater-fragments-\(UUID().uuidString).json")
        defer { try? FileManager.default.removeItem(at: path) }
        try JSON.array(fragments.map { .string($0) }).text().write(to: path, atomically: true, encoding: .utf8)
        let findings = try #require(try PythonScript.answer("notebook/safe_html.py", [path.path]) as? [String])
        #expect(findings.isEmpty, "seed \(seed): \(findings.prefix(5)) in \(findings.prefix(5).compactMap { Int($0.prefix { $0.isNumber }) }.map { fragments[$0] })")
    }

    @Test func sourceIsMarkedUp() {
        func sql(_ text: String) -> String { SourceHighlighter.html(text, .sql) }
        #expect(sql("SELECT 'it''s -- no' FROM t -- yes") == "<span class=\"keyword\">SELECT</span> <span class=\"string\">&#39;it&#39;&#39;s -- no&#39;</span> <span class=\"keyword\">FROM</span> t <span class=\"comment\">-- yes</span>")
        #expect(sql("-- @chart bar\n1.5e3 `a b` \"c\" ${p=1} /* x */") == "<span class=\"directive\">-- @chart bar</span>\n<span class=\"number\">1.5e3</span> <span class=\"name\">`a b`</span> <span class=\"name\">&quot;c&quot;</span> <span class=\"parameter\">${p=1}</span> <span class=\"comment\">/* x */</span>")
        #expect(sql("'open <b>") == "<span class=\"string\">&#39;open &lt;b&gt;</span>" && sql("/* open") == "<span class=\"comment\">/* open</span>")
        #expect(SourceHighlighter.html("def f(): return '''a\nb''' # c", .python) == "<span class=\"keyword\">def</span> f(): <span class=\"keyword\">return</span> <span class=\"string\">&#39;&#39;&#39;a\nb&#39;&#39;&#39;</span> <span class=\"comment\"># c</span>")
        // Whatever the source, its text stays the same.
        let pieces = ["'", "\"", "`", "--", "/*", "*/", "#", "//", "${", "}", "\\", "\n", "é", "a1", "SELECT", "<", "&", "\u{0301}", "👩‍👩‍👧", "'''", " "]
        var state: UInt64 = 42
        for _ in 0..<300 {
            var text = ""
            for _ in 0..<12 {
                state = state &* 6_364_136_223_846_793_005 &+ 1
                text += pieces[Int(state >> 33) % pieces.count]
            }
            for language in [SourceHighlighter.Language.sql, .python, .swift, .shell, .plain] {
                let plain = SourceHighlighter.html(text, language).replacing(/<[^>]*>/, with: "")
                #expect(plain == ChartText.escaped(text), "\(language): \(text.debugDescription)")
            }
        }
    }

    @Test func digestsAreThose() {
        #expect(Base64.text(Digests.sha256("")) == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")
        #expect(Digests.sha256("abc").prefix(4) == [0xBA, 0x78, 0x16, 0xBF])
        #expect(Digests.sha256(String(repeating: "a", count: 1_000)).prefix(4) == [0x41, 0xED, 0xEC, 0xE4])
        for n in 0...130 { #expect(Base64.text(Array(repeating: 0xA5, count: n)) == Data(repeating: 0xA5, count: n).base64EncodedString()) }
    }

    @Test func markdownPage() throws {
        let (notebook, results) = Samples.notebook()
        let (text, none) = MarkdownPage.text(notebook: notebook, results: results, title: "Sensors")
        #expect(none.isEmpty && text.hasPrefix("# Sensors\n") && text.contains("```sql\n-- @chart bar x=status y=avg_current_temperature\n"))
        #expect(text.contains("OK      │███"))
        #expect(text.contains("| status | num | avg\\_current\\_temperature |\n| --- | ---: | ---: |\n| OK | 412 | 74.93 |"))
        #expect(text.contains("_the newest 2 of 5,210 rows_") && text.contains("> **Failed at line 88, column 8**"))
        #expect(text.contains("\\| a \\| \\`b\\`"))
        let (linked, files) = MarkdownPage.text(notebook: notebook, results: results, title: "Sensors", pictures: "sensors_files")
        #expect(files.count == Samples.charts.count + 2)
        for file in files { #expect(linked.contains("](<\(file.path)>)")) }
        // The safe Markdown of ours and another reader agree that nothing of a table is HTML.
        let html = try PythonScript.run(nil, ["-c", "import sys; from markdown_it import MarkdownIt; print(MarkdownIt('commonmark', {'html': True}).enable('table').render(open(sys.argv[1]).read()))", try write(text)])
        #expect(html.status == 0, "\(html.errors)")
        let tables = html.output.matches(of: /<table>[\s\S]*?<\/table>/).map { String($0.output) }
        #expect(tables.count == Samples.charts.count + 3 && !tables.contains { $0.contains("<script") || $0.contains("<img") })
        #expect(html.output.contains("<td>9007199254740993</td>") || html.output.contains(">9007199254740993</td>"))
    }

    private func write(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "swiftwater-page-\(UUID().uuidString).md")
        try text.write(to: path, atomically: true, encoding: .utf8)
        return path.path
    }

    @Test func jsonPage() throws {
        let (notebook, results) = Samples.notebook()
        let text = JSONPage.text(notebook: notebook, results: results, title: "Sensors", parameters: [("status", "OK")])
        let page = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(page["title"] as? String == "Sensors" && page["state"] as? String == "failed" && (page["parameters"] as? [String: String]) == ["status": "OK"])
        let cells = try #require(page["cells"] as? [[String: Any]])
        #expect(cells.count == notebook.cells.count && cells[0]["kind"] as? String == "markdown" && cells[0]["state"] == nil)
        #expect(cells[5]["state"] as? String == "stopped" && cells[5]["interpreter"] as? String == "flink.ssql(type=update)" && cells[5]["milliseconds"] as? Int == 10_240)
        let output = try #require((cells[5]["outputs"] as? [[String: Any]])?.first)
        #expect(output["type"] as? String == "table" && output["total"] as? Int == 3 && (output["rows"] as? [[Any]])?[0][0] as? String == "OK")
        #expect((output["chart"] as? [String: Any])?["x"] as? String == "status")
        let failed = try #require(cells.first { $0["state"] as? String == "failed" })
        #expect((failed["error"] as? [String: Any])?["line"] as? Int == 88)
    }
}
