import Foundation
import StreamCore
import Testing

@testable import Notebook

@Suite("Parameters and forms") struct ParameterTests {
    private func cells(_ text: String) throws -> [NotebookCell] { try PercentScript.parse(text, file: "n.sql").cells }

    @Test("values come from the command line, the parameters cell, or the form's own default")
    func order() throws {
        let cells = try cells("""
            -- %% [parameters]
            -- rows = 10  -- How many rows
            -- name = 'it is'
            -- A sentence, not a parameter.

            -- %%
            SELECT '${name}' FROM t_${rows} WHERE a = ${level=5} AND b = ${rows=7} -- ${unknown}
            """)
        let parameters = try NotebookParameters(cells: cells, file: "n.sql")
        #expect(parameters.forms.map(\.name) == ["rows", "name", "level"])
        #expect(parameters.forms.map(\.value) == ["10", "it is", "5"])
        #expect(parameters.forms[0].label == "How many rows")
        #expect(try parameters.fill(cells[1]) == "SELECT 'it is' FROM t_10 WHERE a = 5 AND b = 10 -- ${unknown}")
        let given = try NotebookParameters(cells: cells, overrides: ["rows": "3", "level": "x$&\\1"])
        #expect(try given.fill(cells[1]) == "SELECT 'it is' FROM t_3 WHERE a = x$&\\1 AND b = 3 -- ${unknown}")
    }

    @Test("Zeppelin's forms", arguments: [
        ("${age}", "age", nil, ParameterForm.Kind.text, nil, []),
        ("${age=3}", "age", nil, .text, "3", []),
        ("$${age(Years of age)=3}", "age", "Years of age", .text, "3", []),
        ("_${age=}", "age", nil, .text, "", []),
        ("${country=US,US(United States)|UK|JP}", "country", nil, .select, "US", [.init("US", label: "United States"), .init("UK"), .init("JP")]),
        ("${checkbox( or ):country(Country)=US|JP,US|UK|JP}", "country", "Country", .checkbox, "US|JP", [.init("US"), .init("UK"), .init("JP")]),
        ("${password:key}", "key", nil, .password, nil, []),
        ("${a b=x,'p|q'|r}", "a b", nil, .select, "x", [.init("'p|q'"), .init("r")]),
    ] as [(String, String, String?, ParameterForm.Kind, String?, [ParameterForm.Option])])
    func forms(text: String, name: String, label: String?, kind: ParameterForm.Kind, defaultValue: String?, options: [ParameterForm.Option]) throws {
        let parameters = try NotebookParameters(cells: [NotebookCell(source: "SELECT " + text)])
        let form = try #require(parameters.forms.first)
        #expect(form.name == name && form.label == label && form.kind == kind && form.defaultValue == defaultValue && form.options == options)
        guard let defaultValue else { return }
        let expected = kind == .checkbox ? "US or JP" : defaultValue
        #expect(try parameters.fill("SELECT " + text, language: .sql) == "SELECT " + expected)
    }

    @Test("places in the filled text are those in the file")
    func places() throws {
        let cell = NotebookCell(source: "SELECT ${a=1}, x,\n  ${b=longer than before}, y", line: 10, indent: 3)
        let filled = try NotebookParameters(cells: [cell], overrides: ["b": "2"]).filled(cell)
        #expect(filled.text == "SELECT 1, x,\n  2, y")
        func column(_ line: Int, _ column: Int) -> Int { filled.location(line: line, column: column).column }
        #expect(filled.location(line: 2, column: 1, file: "n.sql") == SourceLocation(file: "n.sql", line: 11, column: 4))
        // Of S, of the value, of x; of the value, of y.
        let columns = [column(1, 1), column(1, 8), column(1, 11), column(2, 3), column(2, 6)]
        #expect(columns == [4, 11, 19, 6, 31])
    }

    @Test("choices are checked, and a checkbox takes several")
    func choices() throws {
        let cells = [NotebookCell(source: "SELECT '${checkbox:s=OK,OK|WARNING|ERROR}', ${k=a,a|b}")]
        #expect(try NotebookParameters(cells: cells, overrides: ["s": "OK|ERROR", "k": "b"]).fill(cells[0]) == "SELECT 'OK,ERROR', b")
        #expect(try NotebookParameters(cells: cells, overrides: ["s": "WARNING, OK"]).fill(cells[0]) == "SELECT 'WARNING,OK', a")
        let error = #expect(throws: StreamError.self) { try NotebookParameters(cells: cells, overrides: ["s": "EROR"]) }
        #expect(error?.description == "parameter s has no option \"EROR\". Fix: write \"ERROR\".")
    }

    @Test("programs keep what is theirs: only known names and forms with a default are filled in")
    func programs() throws {
        let shell = NotebookCell(interpreter: CellInterpreter("sh"), source: "echo ${HOME} ${x:-y} ${rows} ${list[@]} ${#a} $HOME ${n=4} $(date) ${open")
        let parameters = try NotebookParameters(cells: [NotebookCell(source: "-- rows = 2", tags: ["parameters"]), shell])
        #expect(parameters.forms.map(\.name) == ["rows", "n"])
        #expect(try parameters.fill(shell) == "echo ${HOME} ${x:-y} 2 ${list[@]} ${#a} $HOME 4 $(date) ${open")
    }

    @Test("what is missing is said with its place and what to do")
    func errors() throws {
        let cells = try cells("-- %% [parameters]\n-- rows = 10\n\n-- %%\nSELECT 1,\n  'ü' || ${rwos}\n")
        let parameters = try NotebookParameters(cells: cells, file: "n.sql")
        let error = #expect(throws: StreamError.self) { try parameters.fill(cells[1]) }
        #expect(error?.location == SourceLocation(file: "n.sql", line: 6, column: 10))
        #expect(error?.description.contains("parameter rwos has no value") == true && error?.fix?.hasPrefix("write ${rows}, or give it one with -p rwos=") == true)
        let unknown = #expect(throws: StreamError.self) { try NotebookParameters(cells: cells, overrides: ["row": "1"]) }
        #expect(unknown?.description == "the notebook has no parameter row. Fix: write \"rows\".")
        let lines = #expect(throws: StreamError.self) { try NotebookParameters(cells: cells, overrides: ["rows": "1\n2"]) }
        #expect(lines?.problem.contains("line break") == true)
        let type = #expect(throws: StreamError.self) { try parameters.fill("SELECT ${chekbox:a=b,b}", language: .sql) }
        #expect(type?.location?.column == 8)
        let long = #expect(throws: StreamError.self) { try parameters.fill("SELECT ${a=1\n}", language: .sql) }
        #expect(long?.problem.contains("more than one line") == true)
    }

    @Test("values that a note keeps of its forms")
    func saved() throws {
        let cell = NotebookCell(source: "SELECT ${maxAge=30}", metadata: [JSON.Member("zeppelin", .object([JSON.Member("params", .object([JSON.Member("maxAge", .string("35"))]))]))])
        #expect(try NotebookParameters(cells: [cell]).fill(cell) == "SELECT 35")
        #expect(try NotebookParameters(cells: [cell], overrides: ["maxAge": "1"]).fill(cell) == "SELECT 1")
    }
}

@Suite("Directives") struct DirectiveFormatTests {
    @Test("all of them, in each language's comments")
    func all() throws {
        let script = """
            -- %%
            -- %flink.ssql(type=update)
            -- A remark.
            -- @chart bar x=status y=avg_current_temperature,n y="max, of all" group=site aggregate=avg title="By \\"status\\""
            -- @for 1.5 min

            -- @rows 1_000
            SELECT 1; -- @background
            -- @rows 3

            -- %% language="python"
            -- # @background
            -- # @allow-failure
            -- # @needs pandoc latex
            -- print(1)
            """
        let cells = try PercentScript.parse(script).cells
        let directives = try CellDirectives(of: cells[0])
        let chart = ChartSpec(.bar, x: "status", y: ["avg_current_temperature", "n", "max, of all"], group: "site", title: "By \"status\"", aggregate: .avg)
        #expect(directives.chart == chart && directives.duration == .seconds(90) && directives.rows == 1000 && !directives.isBackground)
        #expect(try ChartSpec.parse(chart.text) == chart)
        let python = try CellDirectives(of: cells[1])
        #expect(python.isBackground && python.allowsFailure && python.chart == nil && python.needs == ["pandoc", "latex"])
        #expect(["500ms", "30s", "2 min", "1h", "3 seconds"].map(CellDirectives.duration) == [.milliseconds(500), .seconds(30), .seconds(120), .seconds(3600), .seconds(3)])
        #expect(["", "5", "s", "-1s", "1 week"].allSatisfy { CellDirectives.duration($0) == nil })
    }

    @Test("mistakes are named with line and column", arguments: [
        ("-- @chrt bar", 2, 4, "write @chart"), ("-- @chart pi x=a", 2, 11, "write \"pie\""), ("-- @chart bar colour=a", 2, 15, "use one of aggregate, group, title, x, y"), ("-- @chart", 2, 4, "use one of table"),
        ("-- @chart bar title=\"a", 2, 21, "end it with"), ("-- @for soon", 2, 9, "@for 500ms"), ("--   @rows none", 2, 12, "above 0"), ("-- @background yes", 2, 16, "alone"), ("-- @needs", 2, 4, "@needs swiftc"), ("-- @rows 1\n-- @rows 2", 3, 4, "remove one"),
        ("-- @chart bar x=a x=b", 2, 19, "remove one"),
    ])
    func mistakes(source: String, line: Int, column: Int, fix: String) throws {
        let cell = try PercentScript.parse("-- %%\n" + source + "\nSELECT 1\n").cells[0]
        let error = #expect(throws: StreamError.self) { try CellDirectives(of: cell, file: "n.sql") }
        #expect(error?.location == SourceLocation(file: "n.sql", line: line, column: column), "\(error?.description ?? "")")
        #expect(error?.fix?.contains(fix) == true, "\(error?.description ?? "")")
    }

    @Test("an interpreter's properties that cannot be read are named with their place", arguments: [("-- %flink.ssql(type=update", 15), ("-- %flink.ssql(a=b=c)", 15), ("%flink.ssql(=x)", 12), ("-- %flink.ssql(a,,b)", 15)])
    func interpreters(line: String, column: Int) {
        let error = #expect(throws: StreamError.self) { try PercentScript.parse("-- %%\n\n" + line + "\nSELECT 1", file: "n.sql") }
        #expect(error?.location == SourceLocation(file: "n.sql", line: 3, column: column), "\(error?.description ?? "")")
        #expect(error?.sourceLine == line)
    }
}
