import Foundation
import StreamCore
import Testing

@testable import Notebook

@Suite("Edits of percent scripts") struct PercentEditFormatTests {
    static let script = """
        -- ---
        -- jupyter: {}
        -- ---

        --  %%   Odd   marker   tags = ['a']
        --%flink.ssql( type = update )
        SELECT 1,
          2;


        -- %% [markdown]
        --# Title
        -- text

        -- %%
        %sh
        ls -l
        -- %% language='python'
        -- x = 1
        --y = 2

        -- %%
        SELECT 3
        """

    /// Lines of one that are not in the other, as a diff shows them.
    private func difference(_ before: String, _ after: String) -> [String] {
        let changes = after.split(separator: "\n", omittingEmptySubsequences: false).difference(from: before.split(separator: "\n", omittingEmptySubsequences: false))
        return changes.map { change in
            switch change {
            case .insert(_, let line, _): "+" + line
            case .remove(_, let line, _): "-" + line
            }
        }.sorted()
    }

    @Test("an edit changes the lines that it is about")
    func lines() throws {
        let document = try PercentDocument(Self.script)
        #expect(document.text == Self.script && document.cells.map(\.source) == ["SELECT 1,\n  2;", "# Title\ntext", "ls -l", "x = 1\ny = 2", "SELECT 3"])
        func after(_ edit: (PercentDocument) throws -> PercentDocument) rethrows -> [String] { difference(Self.script, try edit(document).text) }
        #expect(try after { try $0.replacing(0, source: "SELECT 1,\n  3;") } == ["+  3;", "-  2;"])
        #expect(try after { try $0.replacing(1, source: "# Title\n\nmore\ntext") } == ["+--", "+-- more"])
        #expect(try after { try $0.replacing(2, source: "ls -l\ndate") } == ["+date"])
        #expect(try after { try $0.replacing(3, source: "x = 2\ny = 2") } == ["+-- x = 2", "--- x = 1"])
        #expect(try after { try $0.replacing(4, source: "SELECT 4\nFROM t") } == ["+FROM t", "+SELECT 4", "-SELECT 3"])
        #expect(try after { try $0.replacing(4, source: "") } == ["-SELECT 3"])
        #expect(try after { try $0.replacing(0, source: "SELECT 1,\n  2;") }.isEmpty)
        var cell = document.cells[0]
        cell.title = "Better"
        #expect(try after { try $0.replacing(0, with: cell) } == ["+-- %% Better tags=[\"a\"]", "---  %%   Odd   marker   tags = ['a']"])
        cell = document.cells[0]
        cell.interpreter = CellInterpreter("flink.bsql")
        #expect(try after { try $0.replacing(0, with: cell) } == ["+-- %flink.bsql", "---%flink.ssql( type = update )"])
        cell.interpreter = nil
        #expect(try after { try $0.replacing(0, with: cell) } == ["---%flink.ssql( type = update )"])
        cell = document.cells[4]
        cell.interpreter = CellInterpreter("python")
        #expect(try after { try $0.replacing(4, with: cell) } == ["+-- %% language=\"python\"", "+-- SELECT 3", "--- %%", "-SELECT 3"])
        #expect(try after { try $0.removing(2) } == ["-%sh", "--- %%", "-ls -l"])
        #expect(try document.removing(4).text.hasSuffix("--y = 2"))
        #expect(try after { try $0.inserting(NotebookCell(title: "New", source: "SELECT 5"), at: 3) } == ["+", "+-- %% New", "+SELECT 5"])
        #expect(try document.inserting(NotebookCell(kind: .markdown, source: "End"), at: 5).text == Self.script + "\n\n-- %% [markdown]\n-- End")
        let moved = try document.moving(4, to: 0)
        #expect(moved.cells.map(\.source) == ["SELECT 3", "SELECT 1,\n  2;", "# Title\ntext", "ls -l", "x = 1\ny = 2"])
        #expect(difference(Self.script, moved.text) == ["+", "+-- %%", "+SELECT 3", "-", "--- %%", "-SELECT 3"])
    }

    @Test("random edits do what they say, and leave other cells' bytes alone", arguments: ["\n", "\r\n"])
    func random(newline: String) throws {
        let seed = UInt64.random(in: 0..<1 << 32)
        print("edits: seed \(seed)")
        var random = RandomNotebooks(seed: seed)
        for round in 0..<200 {
            var notebook = random.notebook()
            if newline == "\r\n" { notebook.metadata = [JSON.Member("script_line_end", .string("\r\n"))] }
            if random.next(4) == 0 { notebook.metadata.append(JSON.Member("script_ends_with_newline", .bool(false))) }
            let document = try PercentDocument(PercentScript.text(notebook))
            var cells = document.cells.map(\.plainest), edited = document
            let count = cells.count, new = random.cell()
            switch count == 0 ? 0 : random.next(5) {
            case 0:
                let at = random.next(count + 1)
                edited = try document.inserting(new, at: at)
                cells.insert(new.plainest, at: at)
            case 1:
                let at = random.next(count)
                edited = try document.removing(at)
                cells.remove(at: at)
            case 2:
                let from = random.next(count), to = random.next(count)
                edited = try document.moving(from, to: to)
                cells.insert(cells.remove(at: from), at: to)
            case 3:
                let at = random.next(count)
                edited = try document.replacing(at, with: new)
                cells[at] = new.plainest
                if at + 1 < count { #expect(edited.text.hasSuffix(TextLines.joined(document.file.lines[document.places[at + 1].lines.lowerBound...])), "seed \(seed)") }
                #expect(edited.text.hasPrefix(TextLines.joined(document.file.lines[..<document.places[at].lines.lowerBound])), "seed \(seed)")
            default:
                let at = random.next(count)
                guard new.language == document.cells[at].language, new.kind == document.cells[at].kind else { continue }
                edited = try document.replacing(at, source: new.source)
                cells[at].source = new.source
            }
            // Blank lines at the end of a cell may become space between cells, and the reverse.
            #expect(edited.cells.map(\.plainest.trimmed) == cells.map(\.trimmed), "seed \(seed) round \(round)\n\(document.text)\n=====\n\(edited.text)")
            // A file of one line that does not end says nothing about how lines end.
            if document.file.newline == "\r\n" { #expect(!edited.file.lines.contains { $0.end == "\n" }, "seed \(seed)") }
        }
    }

    @Test("text on the interpreter's line, a script without a marker, text that is another cell")
    func special() throws {
        let one = try PercentDocument("-- %%\n-- %sh ls\n-- date\n\n-- %%\nx\n")
        #expect(one.cells[0].source == "ls\ndate" && one.cells[0].line == 2)
        #expect(try one.replacing(0, source: "ls -l\ndate").text == "-- %% language=\"sh\"\n-- ls -l\n-- date\n\n-- %%\nx\n")
        let plain = try PercentDocument("SELECT 1;\n")
        #expect(try plain.replacing(0, source: "SELECT 2;").text == "SELECT 2;\n")
        #expect(try plain.inserting(NotebookCell(source: "SELECT 0;"), at: 0).text == "-- %%\nSELECT 0;\n\n-- %%\nSELECT 1;\n")
        #expect(try plain.inserting(NotebookCell(source: "SELECT 2;"), at: 1).cells.map(\.source) == ["SELECT 1;", "SELECT 2;"])
        #expect(try plain.replacing(0, source: "SELECT 1;\n\n-- %% More\nSELECT 2;").cells.map(\.title) == [nil, "More"])
        #expect(try PercentDocument("").inserting(NotebookCell(source: "SELECT 1"), at: 0).text == "-- %%\nSELECT 1\n")
    }
}

extension NotebookCell {
    fileprivate var plainest: NotebookCell {
        var cell = plain
        cell.metadata.removeAll { $0.name == "lines_to_next_cell" }
        return cell
    }

    fileprivate var trimmed: NotebookCell {
        var cell = self
        cell.source = source.trimmedAtEnd
        return cell
    }
}
