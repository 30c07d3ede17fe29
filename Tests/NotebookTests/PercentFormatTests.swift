import Foundation
import StreamCore
import Testing

@testable import Notebook

@Suite("Percent scripts") struct PercentFormatTests {
    @Test("cells, titles, tags, interpreters and the places of their text")
    func cells() throws {
        let script = """
            -- ---
            -- jupyter:
            --   kernelspec: {}
            -- ---

            -- %% [markdown]
            -- # Sensors
            --
            -- What they measure.

            -- %% [parameters]
            -- rows = 10

            -- %% Create the table
            -- %flink.ssql(type=update, refreshInterval=1000)
            -- @chart bar x=status
            SELECT 1;

            -- %% Frame tags=["slow"] language="python"
            -- import pandas
            --
            -- print(1)

            -- %%
            -- %sh
            -- ls -l

            -- %%
            %flink.bsql
            SELECT 2

            """
        let notebook = try PercentScript.parse(script)
        let cells = notebook.cells
        #expect(cells.map(\.kind) == [.markdown, .code, .code, .code, .code, .code])
        #expect(cells.map(\.title) == [nil, nil, "Create the table", "Frame", nil, nil])
        #expect(cells.map(\.source) == ["# Sensors\n\nWhat they measure.", "-- rows = 10", "-- @chart bar x=status\nSELECT 1;", "import pandas\n\nprint(1)", "ls -l", "SELECT 2"])
        #expect(cells.map(\.line) == [7, 12, 16, 20, 26, 30])
        #expect(cells.map(\.indent) == [3, 0, 0, 3, 3, 0])
        #expect(cells.map { $0.interpreter?.text } == [nil, nil, "%flink.ssql(type=update, refreshInterval=1000)", "%python", "%sh", "%flink.bsql"])
        #expect(cells[1].isParameters && cells[3].tags == ["slow"])
        // The interpreter of a pasted paragraph is written as a comment; a shell cell says its language.
        let canonical = script.replacingOccurrences(of: "\n%flink.bsql", with: "\n-- %flink.bsql").replacingOccurrences(of: "-- %%\n-- %sh\n", with: "-- %% language=\"sh\"\n")
        #expect(try PercentScript.text(notebook) == canonical)
    }

    @Test("bytes that stay: line ends, byte order mark, a missing newline, a script without markers",
          arguments: ["SELECT 1;\n\nSELECT 2", "-- %%\r\nSELECT 1\r\n\r\n-- %% [markdown]\r\n-- x\r\n", "\u{FEFF}-- %% T\nSELECT 1\n", "-- %%\nSELECT 1", "", "-- hello\n\n-- %%\nSELECT 1\n",
                      "-----\n-- A box\n-----\n\n-- %%\nSELECT 1\n", "-- %%\n\n-- %%\nx\n-- %%\ny\n\n\n-- %%\nz\n\n\n\n\n-- %% [markdown]\n--\n"])
    func bytes(script: String) throws {
        #expect(try PercentScript.text(PercentScript.parse(script)) == script)
        #expect(try PercentDocument(script).text == script)
    }
}
