import Foundation
import Testing

@Suite("swiftwater sql") struct SQLCommandTests {
    @Test("-e shows a result as a table, csv and json")
    func formats() throws {
        let workspace = try Workspace()
        let query = "SELECT 1 AS a, 'x,y' AS b, CAST(NULL AS INT) AS c, TRUE AS d"
        #expect(try workspace.ok("sql", "-e", query).out == """
            +---+-----+------+------+
            | a | b   |    c | d    |
            +---+-----+------+------+
            | 1 | x,y | NULL | TRUE |
            +---+-----+------+------+

            """)
        #expect(try workspace.ok("sql", "-e", query, "--output", "csv").out == "a,b,c,d\n1,\"x,y\",,TRUE\n")
        #expect(try workspace.ok("sql", "-e", query, "--output", "json").out == #"{"a":1,"b":"x,y","c":null,"d":true}"# + "\n")
    }

    @Test("a script comes from standard input or a file")
    func scripts() throws {
        let workspace = try Workspace()
        let script = "-- two\nSELECT 1 AS a;\nSELECT a + 1 AS b FROM (VALUES (1)) AS t(a);\n"
        #expect(try workspace.ok("sql", "--output", "csv", input: script).out == "a\n1\nb\n2\n")
        #expect(try workspace.ok("sql", "--output", "csv", "-f", try workspace.write(script, to: "s.sql")).out == "a\n1\nb\n2\n")
    }

    @Test("a file that cannot be read is one error")
    func unreadable() throws {
        let workspace = try Workspace()
        try workspace.run("sql", "-f", "none.sql").expectOneError(containing: "none.sql", "No such file")
        try workspace.run("sql", "-f", ".").expectOneError(containing: "directory")
        try Data([0x53, 0xFF, 0xFE]).write(to: URL(filePath: workspace.path("bytes.sql")))
        try workspace.run("sql", "-f", "bytes.sql").expectOneError(containing: "bytes.sql", "UTF-8")
        try workspace.run("run", "none.yaml").expectOneError(containing: "none.yaml")
    }

    @Test("a mistake is one error with its place and the near name", arguments: [
        ("SELCT 1", "1:1", "SELECT"),
        ("SELECT 1 FORM t", "1:10", "FROM"),
        ("SELECT nme FROM (VALUES (1, 'a')) AS t(id, name)", "1:8", "name"),
        ("SELECT\n  uper('a')", "2:3", "UPPER"),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'datagn')", "1:", "datagen"),
        ("CREATE TABLE t (a INT) WITH ('connector' = 'datagen', 'number-of-row' = '3'); SELECT * FROM t", "1:", "number-of-rows"),
        ("CREATE TABLE t (a INTT) WITH ('connector' = 'datagen')", "1:", "INT"),
        ("SELECT * FROM nowhere", "1:15", "nowhere"),
        ("SELECT 'abc", "1:8", ""),
        ("SELECT 1 +", "1:", ""),
        ("SELECT CAST('x' AS INT)", "", "x"),
        ("SELECT 1 / 0", "", "zero"),
    ])
    func mistakes(statement: String, place: String, near: String) throws {
        try Workspace().run("sql", "-e", statement).expectOneError(containing: place, near)
    }

    @Test("a mistyped argument is one error with status 64")
    func arguments() throws {
        let workspace = try Workspace()
        try workspace.run("rn", "x").expectOneError(status: 64, containing: "'rn'", "\"run\"")
        try workspace.run("stream", "crate", "x").expectOneError(status: 64, containing: "'crate'", "\"create\"")
        try workspace.run("sql", "--otput", "csv").expectOneError(status: 64, containing: "--otput", "--output")
        try workspace.run("sql", "--output", "xml", "-e", "SELECT 1").expectOneError(status: 64, containing: "xml", "json")
        try workspace.run("run").expectOneError(status: 64, containing: "<file>")
        try workspace.run("sql", "-e", "SELECT 1", "-f", "x.sql").expectOneError(status: 64, containing: "-e and -f")
        try workspace.run("sql", "--set", "paralelism.default=1", "-e", "SELECT 1").expectOneError(containing: "parallelism.default")
        try workspace.run("sql", "--workers", "0", "-e", "SELECT 1").expectOneError(status: 64, containing: "--workers")
        let warned = try workspace.ok("sql", "-e", "SET 'table.exec.async-lookup.timeout' = '3 min'; SELECT 1")
        #expect(warned.errors == "warning: setting 'table.exec.async-lookup.timeout' means nothing here: calls are made in the order of the rows\n")
        try workspace.run("sql", "--set", "nothing", "-e", "SELECT 1").expectOneError(containing: "key=value")
        try workspace.run("run", "x.sql", "--duration", "soon").expectOneError(containing: "soon", "30s")
    }

    @Test("a record that cannot be decoded fails the query, or is counted with ignore-parse-errors")
    func badRecords() throws {
        let workspace = try Workspace()
        try workspace.write("{\"a\": 1}\n{\"a\": oops}\n{\"a\": 3}\n", to: "in.json")
        func script(_ more: String) -> String {
            "CREATE TABLE t (a INT) WITH ('connector' = 'filesystem', 'path' = '\(workspace.path("in.json"))', 'format' = 'json'\(more)); SELECT a FROM t"
        }
        try workspace.run("sql", "-e", script("")).expectOneError(containing: "json")
        let kept = try workspace.ok("sql", "--output", "csv", "-e", script(", 'json.ignore-parse-errors' = 'true'"))
        #expect(kept.out == "a\n1\n3\n")
        #expect(kept.errors.contains("1 record could not be decoded"), "\(kept)")
    }

    @Test("a table over a path that is not there is one error")
    func missingPath() throws {
        let workspace = try Workspace()
        for connector in ["'filesystem', 'format' = 'json'", "'hudi'"] {
            try workspace.run("sql", "-e", "CREATE TABLE t (a INT) WITH ('connector' = \(connector), 'path' = '\(workspace.path("none"))'); SELECT a FROM t")
                .expectOneError(containing: workspace.path("none"))
        }
    }

    @Test("a reader that goes away ends the query without a complaint")
    func closedPipe() throws {
        let workspace = try Workspace()
        let endless = "CREATE TABLE g (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100000'); SELECT a FROM g"
        let outcome = try workspace.start(["-c", "\"$0\" sql --output csv -e \"$1\" | head -n 3", Workspace.binary, endless], program: "/bin/sh").end()
        #expect(outcome.status == 0 && outcome.lines.count == 3 && outcome.errors.isEmpty, "\(outcome)")
    }

    @Test("a full disk is one error")
    func fullDisk() throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let workspace = try Workspace()
        try workspace.run("generate", "sensors", "--count", "10", "--file", "/dev/full").expectOneError(containing: "No space left")
        let outcome = try workspace.start(["-c", "\"$0\" sql -e 'SELECT 1' > /dev/full", Workspace.binary], program: "/bin/sh").end()
        outcome.expectOneError(containing: "No space left")
    }

    @Test("an unbounded query writes rows as they come, and ends well on SIGINT")
    func unbounded() throws {
        let workspace = try Workspace()
        let table = "CREATE TABLE g (a INT) WITH ('connector' = 'datagen', 'rows-per-second' = '500', 'fields.a.min' = '1', 'fields.a.max' = '3');"
        for (query, field) in [("SELECT a FROM g", "a"), ("SELECT a, COUNT(*) AS n FROM g GROUP BY a", "op")] {
            let command = try workspace.start(["sql", "--output", "json", "-e", table + query])
            try eventually("rows of \(query)") { command.out.split(separator: "\n").count >= 10 }
            #expect(command.isRunning)
            command.signal(SIGINT)
            let outcome = try command.end(within: 30)
            #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
            for row in try outcome.objects() { #expect(row[field] != nil, "\(row)") }
        }
    }
}
