import Foundation
import TestScripts
import Testing
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("swiftwater notebook") struct NotebookCommandTests {
    /// What `--output json` says of the cells that did something.
    private struct Cell {
        var title: String, state: String, outputs: [[String: Any]], error: [String: Any]?

        var rows: [[Any]] { outputs.last { $0["type"] as? String == "table" }?["rows"] as? [[Any]] ?? [] }
        var lines: [String] { rows.map { $0.map { "\($0)" }.joined(separator: "|") } }
        var text: String { outputs.filter { $0["type"] as? String == "text" }.compactMap { $0["text"] as? String }.joined() }
        var messages: [String] { outputs.filter { $0["type"] as? String == "message" }.compactMap { $0["text"] as? String } }
    }

    private static func run(_ workspace: Workspace, _ text: String, _ arguments: [String] = [], status: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) throws -> (cells: [Cell], outcome: Outcome) {
        let file = try workspace.write(text, to: "note.sql")
        let outcome = try workspace.start(["notebook", "run", file, "--output", "json=\(workspace.path("note.json"))"] + arguments).end()
        try #require(outcome.status == status, "\(outcome)", sourceLocation: sourceLocation)
        let read = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: workspace.path("note.json"))))
        let cells = try #require((read as? [String: Any])?["cells"] as? [[String: Any]])
        return (cells.compactMap { cell in
            guard let state = cell["state"] as? String else { return nil }
            return Cell(title: cell["title"] as? String ?? "", state: state, outputs: cell["outputs"] as? [[String: Any]] ?? [], error: cell["error"] as? [String: Any])
        }, outcome)
    }

    private static let numbers = """
        -- %% Table
        -- %flink.ssql
        CREATE TABLE numbers (id BIGINT, word STRING) WITH ('connector' = 'datagen', 'rows-per-second' = '200',
            'fields.id.kind' = 'sequence', 'fields.id.start' = '1', 'fields.id.end' = '100000000', 'fields.word.length' = '2');


        """

    @Test("cells run in order; queries without an end stop at their rows or their time, and update in place")
    func limits() throws {
        let workspace = try Workspace()
        let (cells, outcome) = try Self.run(workspace, Self.numbers + """
            -- %% [markdown]
            -- # Numbers

            -- %% Append
            -- %flink.ssql(type=append)
            -- @rows 7
            SELECT id FROM numbers;

            -- %% Update
            -- %flink.ssql(type=update)
            -- @for 1s
            SELECT id % 2 AS odd, COUNT(*) AS n FROM numbers GROUP BY id % 2;

            -- %% Batch
            -- %flink.bsql
            SELECT SUM(x) AS s FROM (VALUES (1), (2), (39)) AS t(x);

            -- %% Single
            -- %flink.ssql(type=single, template="<b>{0}</b> of {1}")
            SELECT COUNT(*), '<x>' FROM (VALUES (1), (2)) AS t(x);
            """)
        #expect(cells.map(\.title) == ["Table", "Append", "Update", "Batch", "Single"])
        #expect(cells.map(\.state) == ["finished", "stopped", "stopped", "finished", "finished"])
        #expect(cells[0].messages == ["table numbers created"])
        #expect(cells[1].rows.compactMap { $0.first as? Int } == Array(1...7))
        #expect(cells[2].rows.count == 2 && cells[2].rows.allSatisfy { ($0[1] as? Int ?? 0) > 10 }, "\(cells[2].rows)")
        #expect(cells[3].rows.first?.first as? Int == 42)
        #expect(cells[4].outputs.last?["html"] as? String == "<b>2</b> of &lt;x&gt;", "\(cells[4].outputs)")
        #expect(outcome.out.contains("[5/5] Single  %flink.ssql"))
    }

    @Test("a cell that fails is named with its line, ends the notebook with status 1, and those after it are skipped")
    func failures() throws {
        let workspace = try Workspace()
        let text = Self.numbers + """
            -- %% Shell
            -- %sh
            -- echo before
            -- false
            -- echo after

            -- %% Never
            SELECT 1;
            """
        let (cells, outcome) = try Self.run(workspace, text, status: 1)
        #expect(cells.map(\.state) == ["finished", "failed", "skipped"] && cells[1].text == "before\n")
        #expect(outcome.errors.contains("note.sql:8: cell 2 \"Shell\" failed") && outcome.errors.contains("exit status 1"), "\(outcome.errors)")

        let (wrong, said) = try Self.run(workspace, Self.numbers + "-- %% Wrong\n-- %flink.ssql(type=update)\nSELECT id,\n  wrd FROM numbers;\n", status: 1)
        #expect(wrong[1].error?["line"] as? Int == 9 && wrong[1].error?["column"] as? Int == 3, "\(wrong[1])")
        #expect(said.errors.contains("note.sql:9: cell 2 \"Wrong\" failed") && said.errors.contains("word"), "\(said.errors)")

        let (tolerated, _) = try Self.run(workspace, "-- %% A\n-- @allow-failure\nSELECT nothing;\n\n-- %% B\nSELECT 1 AS n;\n")
        #expect(tolerated.map(\.state) == ["failed", "finished"])

        try workspace.run("notebook", "run", "none.sql").expectOneError(containing: "none.sql", "No such file")
        let outputs = try workspace.run("notebook", "run", try workspace.write("SELECT 1", to: "x.sql"), "--output", "pdf")
        outputs.expectOneError(containing: "pdf", "html, ipynb, markdown, json, svg or png")
        try workspace.run("notebook", "run", workspace.path("x.sql"), "--for", "soon").expectOneError(containing: "soon", "30s")
    }

    @Test("wrong properties, interpreters and unbounded batches are refused with what to write", arguments: [
        ("-- %flink.ssql(tpe=update)\nSELECT 1;", "type"), ("-- %flink.ssql(type=updates)\nSELECT 1;", "type=append"), ("-- %flnk.ssql\nSELECT 1;", "flink.ssql"), ("-- %flink\n-- val x = 1", "Scala"),
        ("-- %flink.ssql(savepointDir=/tmp)\nSELECT 1;", "deploy"), ("-- %flink.bsql\nCREATE TABLE endless (id INT) WITH ('connector' = 'datagen');\nSELECT * FROM endless;", "%flink.ssql"),
        ("-- %flink.ssql(type=append)\nSELECT COUNT(*) FROM numbers;", "type=update"),
    ])
    func refusals(cell: String, advice: String) throws {
        let (cells, _) = try Self.run(try Workspace(), Self.numbers + "-- %% Cell\n" + cell + "\n", status: 1)
        #expect(cells[1].state == "failed" && (cells[1].error?["message"] as? String ?? "").contains(advice), "\(cells[1])")
    }

    @Test("cells in the background go on beside those that follow, and end with the notebook")
    func background() throws {
        let workspace = try Workspace()
        let (cells, _) = try Self.run(workspace, """
            -- %% Stream
            -- %sh
            -- swiftwater stream create readings --shards 1

            -- %% Feed
            -- %sh
            -- # @background
            -- trap 'echo ended > \(workspace.path("ended"))' TERM
            -- i=0; while sleep 0.05; do i=$((i+1)); echo "{\\"n\\": $i}"; done | swiftwater stream put readings &
            -- wait

            -- %% Table
            CREATE TABLE readings (n BIGINT) WITH ('connector' = 'kinesis', 'stream' = 'readings', 'format' = 'json', 'scan.stream.initpos' = 'TRIM_HORIZON');
            CREATE TABLE copies (n BIGINT) WITH ('connector' = 'filesystem', 'path' = '${data}/copies', 'format' = 'csv');

            -- %% Copy
            -- @background
            INSERT INTO copies SELECT n FROM readings;

            -- %% Read
            -- @rows 5
            -- @for 60s
            SELECT n FROM readings;
            """, ["--data", workspace.path("data")])
        #expect(cells.first { $0.title == "Read" }?.rows.compactMap { $0.first as? Int } == [1, 2, 3, 4, 5], "\(cells)")
        #expect(cells.first { $0.title == "Feed" }?.state == "stopped" && cells.first { $0.title == "Copy" }?.state == "stopped", "\(cells)")
        #expect(FileManager.default.fileExists(atPath: workspace.path("ended")))
    }

    @Test("parameters come from the notebook, its forms and the command line")
    func parameters() throws {
        let workspace = try Workspace()
        let text = """
            -- %% [parameters]
            -- least = 2
            -- word = it's

            -- %% Query
            SELECT x, '${label=none}' AS label FROM (VALUES (1), (2), (3)) AS t(x) WHERE x >= ${least} ORDER BY x;

            -- %% Shell
            -- %sh
            -- echo "${least} ${HOME:+home} $((1 + 1))"
            """
        let (plain, _) = try Self.run(workspace, text)
        #expect(plain[0].lines == ["2|none", "3|none"] && plain[1].text == "2 home 2\n", "\(plain)")
        let (given, _) = try Self.run(workspace, text, ["-p", "least=3", "-p", "label=x"])
        #expect(given[0].lines == ["3|x"] && given[1].text == "3 home 2\n", "\(given)")
        let file = try workspace.write(text, to: "p.sql")
        try workspace.run("notebook", "run", file, "-p", "lest=3").expectOneError(containing: "lest", "least")
        try workspace.run("notebook", "run", file, "-p", "least").expectOneError(containing: "name=value")
        try workspace.run("notebook", "run", try workspace.write("-- %%\nSELECT ${nothing};\n", to: "q.sql")).expectOneError(containing: "q.sql:2:8", "nothing")
    }

    @Test("Python cells read tables as Arrow and pandas, give tables back, keep their names, and fail with their line")
    func python() throws {
        let workspace = try Workspace()
        let (cells, outcome) = try Self.run(workspace, """
            -- %% Table
            CREATE TEMPORARY VIEW t AS SELECT * FROM (VALUES (1, 'a', CAST(1.5 AS DECIMAL(5, 2)), TIMESTAMP '2024-01-02 03:04:05.678'), (2, 'b', CAST(NULL AS DECIMAL(5, 2)), CAST(NULL AS TIMESTAMP(3)))) AS v(id, name, price, seen);

            -- %% Read
            -- %python
            -- import sys, subprocess
            -- table = z.table("t")
            -- print(table.num_rows, table.schema.field("price").type, table.column("seen")[0].as_py())
            -- subprocess.run(["echo", "from a program"])
            -- frame = table.to_pandas()
            -- frame["twice"] = frame["id"] * 2
            -- frame[["id", "twice"]]

            -- %% Register
            -- %flink.pyflink
            -- z.register("doubled", frame[["id", "name", "twice"]])
            -- st_env.execute_sql("SELECT MAX(twice) AS most FROM doubled").print()

            -- %% Use
            SELECT name, twice FROM doubled WHERE twice > 2;

            -- %% Fail
            -- %python
            -- ok = 1
            -- frame["missing"]
            """, status: 1)
        #expect(cells[1].text.hasPrefix("2 decimal128(5, 2) 2024-01-02 03:04:05.678000\n") && cells[1].text.contains("from a program\n"), "\(cells[1])")
        #expect(cells[1].lines == ["1|2", "2|4"], "\(cells[1])")
        #expect(cells[2].rows.first?.first as? Int == 4, "\(cells[2])")
        #expect(cells[3].lines == ["b|4"], "\(cells[3])")
        #expect(cells[4].state == "failed" && cells[4].error?["line"] as? Int == 25 && (cells[4].error?["message"] as? String ?? "").contains("KeyError"), "\(cells[4])")
        #expect(outcome.errors.contains("note.sql:25"))
    }

    @Test("Swift cells are compiled and read tables; what does not compile is said with its line")
    func swift() throws {
        let (cells, _) = try Self.run(try Workspace(), """
            -- %% Rows
            -- %swift
            -- let rows = try sql("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(id, name) ORDER BY id")
            -- print(rows.map { "\\($0["id"]!)\\($0["name"]!)" }.joined(separator: ","))

            -- %% Broken
            -- %swift
            -- let x: Int = "text"
            """, status: 1)
        #expect(cells[0].text == "1a,2b\n", "\(cells[0])")
        #expect(cells[1].error?["line"] as? Int == 8 && (cells[1].error?["message"] as? String ?? "").contains("cannot convert value"), "\(cells[1])")
    }

    @Test("Ctrl-C ends the cell and the notebook, with what there is as its result; --scratch leaves nothing")
    func interrupted() throws {
        let workspace = try Workspace()
        let file = try workspace.write(Self.numbers + "-- %% Endless\nSELECT COUNT(*) AS n FROM numbers;\n\n-- %% After\nSELECT 1;\n", to: "note.sql")
        let temporary = workspace.path("temporary")
        try FileManager.default.createDirectory(atPath: temporary, withIntermediateDirectories: true)
        let command = try workspace.start(["notebook", "run", file, "--scratch", "--output", "json=\(workspace.path("note.json"))"], environment: ["TMPDIR": temporary])
        try eventually("the endless cell") { command.out.contains("[2/3]") }
        command.signal(SIGINT)
        let outcome = try command.end()
        #expect(outcome.status == 130, "\(outcome)")
        let states = ((try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: workspace.path("note.json")))) as? [String: Any])?["cells"] as? [[String: Any]])?.compactMap { $0["state"] as? String }
        #expect(states == ["finished", "stopped", "skipped"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary).filter { $0.hasPrefix("swiftwater") } == [])
    }

    @Test("a topology is made of the chosen cells, and of what they need of those before them")
    func deployment() throws {
        let workspace = try Workspace()
        let file = try workspace.write("""
            -- %% Settings
            SET 'table.local-time-zone' = 'Europe/Berlin';

            -- %% Source
            CREATE TABLE source (id BIGINT) WITH ('connector' = 'datagen', 'number-of-rows' = '${count=10}');

            -- %% Unused
            CREATE TABLE unused (id BIGINT) WITH ('connector' = 'blackhole');

            -- %% View
            CREATE VIEW even AS SELECT id FROM source WHERE MOD(id, 2) = 0;

            -- %% Look
            SELECT * FROM even;

            -- %% Sink
            CREATE TABLE target (id BIGINT) WITH ('connector' = 'blackhole');

            -- %% Insert tags=["job"]
            -- %flink.ssql(parallelism=2)
            INSERT INTO target SELECT id FROM even;
            SELECT 1;
            """, to: "note.sql")
        for choice in ["7", "insert", "job", "7-7"] {
            let outcome = try workspace.ok("notebook", "deploy", file, "--cells", choice, "--dry-run", "-p", "count=5")
            let text = outcome.out
            let order = ["SET 'parallelism.default' = '2';", "SET 'table.local-time-zone'", "CREATE TABLE source", "'number-of-rows' = '5'", "CREATE VIEW even", "CREATE TABLE target", "INSERT INTO target"]
            var at = text.startIndex
            for part in order {
                let found = try #require(text.range(of: part, range: at..<text.endIndex), "\(part) in \(text)")
                at = found.upperBound
            }
            #expect(!text.contains("unused") && !text.contains("SELECT * FROM") && outcome.errors.contains("left out: cell 7 \"Insert\": a job shows no rows: SELECT 1"), "\(outcome)")
        }
        let set = try workspace.ok("notebook", "deploy", file, "--cells", "job", "--dry-run", "--parallelism", "3", "--set", "table.local-time-zone=UTC", "-o", workspace.path("job.sql"))
        #expect(set.out.contains("SET 'parallelism.default' = '3';") && set.out.contains("SET 'table.local-time-zone' = 'UTC';") && !set.out.contains("Berlin") && !set.out.contains("'2'"), "\(set.out)")
        try workspace.ok("run", workspace.path("job.sql"))
        try workspace.run("notebook", "deploy", file, "--cells", "source", "--dry-run").expectOneError(containing: "INSERT")
        try workspace.run("notebook", "deploy", file, "--cells", "insrt", "--dry-run").expectOneError(containing: "insrt", "Insert")
        try workspace.run("notebook", "deploy", file, "--cells", "9", "--dry-run").expectOneError(containing: "1 to 7")
        let alone = try workspace.run("notebook", "deploy", file, "--cells", "insert", "--data", workspace.path("none"))
        #expect(alone.status == 1 && alone.errors.contains("error: no daemon serves"), "\(alone)")
    }

    @Test("notebooks go from form to form, and a file that is there is not replaced unasked")
    func convert() throws {
        let workspace = try Workspace()
        let text = Self.numbers + "-- %% [markdown]\n-- # Numbers\n\n-- %% Py language=\"python\"\n-- x = 1\n"
        let file = try workspace.write(text, to: "note.sql")
        for form in ["ipynb", "zpln"] {
            try workspace.ok("notebook", "convert", file, workspace.path("note.\(form)"))
            try workspace.ok("notebook", "convert", workspace.path("note.\(form)"), workspace.path("back-\(form).sql"))
            #expect(try String(contentsOfFile: workspace.path("back-\(form).sql"), encoding: .utf8) == text, "\(form)")
            #expect(try workspace.ok("notebook", "convert", workspace.path("note.\(form)"), "-", "--to", "sql").out == text)
            try workspace.run("notebook", "convert", file, workspace.path("note.\(form)")).expectOneError(containing: "already", "--force")
        }
        try workspace.run("notebook", "convert", file, workspace.path("note.pdf")).expectOneError(containing: "note.pdf", ".ipynb")
        try workspace.run("notebook", "convert", file, "-").expectOneError(containing: "--to")
        try workspace.run("notebook", "convert", try workspace.write("{", to: "broken.ipynb"), "x.sql").expectOneError(containing: "broken.ipynb")
    }

    @Test("the seed's notebook, statement by statement, with its own generator: rows within seconds, and deployed as an application")
    func seed() throws {
        let workspace = try Workspace()
        let answer = try PythonScript.answer("notebook/studio_seed.py", [Workspace.binary, workspace.path("data")], seconds: 300) as? [String: Any]
        #expect(answer?["ok"] as? Bool == true, "\(String(describing: answer))")
    }

    @Test("the sensors notebook's page shows the average temperature by status as bars, in a real browser")
    func page() throws {
        let workspace = try Workspace()
        let directory = ProcessInfo.processInfo.environment["SWIFTWATER_SCREENSHOTS"] ?? workspace.path("page")
        let answer = try PythonScript.answer("notebook/sensors_page.py", [Workspace.binary, Workspace.root + "/Examples/sensors.sql", directory], seconds: 200) as? [String: Any]
        #expect(answer?["bars"] as? Int == 3, "\(String(describing: answer))")
    }

    @Test("what does not end when it is asked is ended: by a limit, and by a second Ctrl-C; nothing is left behind")
    func stubborn() throws {
        let workspace = try Workspace()
        let (cells, _) = try Self.run(workspace, """
            -- %% Table
            CREATE TABLE endless (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '5');

            -- %% Waiting Python
            -- %python
            -- # @for 1s
            -- kept = 5
            -- try:
            --     z.sql("SELECT * FROM endless", seconds=60)
            -- finally:
            --     print("ended")

            -- %% Its names
            -- %python
            -- print("still", kept)

            -- %% Deaf
            -- %sh
            -- # @for 1s
            -- trap '' TERM; sleep 60; echo never

            -- %% Programs are not queries
            -- %sh
            -- sleep 2; (sleep 300 & echo $! > \(workspace.path("left"))); echo done
            """, ["--for", "1s"])
        #expect(cells.map(\.state) == ["finished", "stopped", "finished", "stopped", "finished"], "\(cells)")
        #expect(cells[1].text.contains("ended") && cells[2].text == "still 5\n" && cells[3].text == "" && cells[4].text == "done\n", "\(cells)")
        let left = try #require(Int32(String(contentsOfFile: workspace.path("left"), encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)))
        try eventually("the end of what a cell left running") { kill(left, 0) != 0 }

        let file = try workspace.write("-- %% Deaf\n-- %sh\n-- trap '' TERM INT; echo $$ > \(workspace.path("pid")); sleep 301\n\n-- %% After\nSELECT 1;\n", to: "deaf.sql")
        let command = try workspace.start(["notebook", "run", file, "--scratch"])
        try eventually("the deaf cell") { (try? String(contentsOfFile: workspace.path("pid"), encoding: .utf8))?.hasSuffix("\n") == true }
        let shell = try #require(Int32(String(contentsOfFile: workspace.path("pid"), encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)))
        command.signal(SIGINT)
        // The second counts when the first has been taken.
        try eventually("the shell's end") {
            command.signal(SIGINT)
            usleep(200_000)
            return kill(shell, 0) != 0 || !command.isRunning
        }
        #expect(try command.end().status == 130)
        #expect(kill(shell, 0) != 0)
    }

    @Test("errors are said at their places in the file, whatever parameters put before them")
    func places() throws {
        let workspace = try Workspace()
        try workspace.run("notebook", "run", try workspace.write("x", to: "x")).expectOneError(containing: "is not named as a notebook")
        let (cells, _) = try Self.run(try Workspace(), "-- %% Bad\nSELECT '${word=abcdefgh}', nothing_here FROM (VALUES (1)) AS t(x);\n", ["-p", "word=a much longer one"], status: 1)
        #expect(cells[0].error?["line"] as? Int == 2 && cells[0].error?["column"] as? Int == 28, "\(cells)")
    }

    @Test("charts are written beside Markdown, and into notebooks for Jupyter")
    func pictures() throws {
        let workspace = try Workspace()
        let file = try workspace.write("-- %% Chart\n-- @chart bar x=name y=n\nSELECT * FROM (VALUES ('a', 1), ('b', 2)) AS t(name, n);\n", to: "c.sql")
        let markdown = workspace.path("out/c.md"), jupyter = workspace.path("out/c.ipynb")
        try FileManager.default.createDirectory(atPath: workspace.path("out"), withIntermediateDirectories: true)
        try workspace.ok("notebook", "run", file, "--output", "markdown=\(markdown)", "--output", jupyter)
        #expect(try String(contentsOfFile: markdown, encoding: .utf8).contains("c-files/"))
        let pictures = try FileManager.default.contentsOfDirectory(atPath: workspace.path("out/c-files"))
        #expect(pictures.count == 1 && pictures[0].hasSuffix(".svg"))
        try workspace.ok("notebook", "run", file, "-q", "--output", "svg=\(workspace.path("svg"))", "--output", "png=\(workspace.path("png"))")
        #expect(try FileManager.default.contentsOfDirectory(atPath: workspace.path("svg")) == ["cell-1.svg"])
        #expect(try String(contentsOfFile: workspace.path("svg/cell-1.svg"), encoding: .utf8).hasPrefix("<svg "))
        // A picture of 720 by 360, twice as large.
        let png = try Data(contentsOf: URL(filePath: workspace.path("png/cell-1.png")))
        #expect(png.prefix(8) == Data([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) && Array(png[16..<24]) == [0, 0, 5, 160, 0, 0, 2, 208])
        let cells = (try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: jupyter))) as? [String: Any])?["cells"] as? [[String: Any]]
        let outputs = cells?.first?["outputs"] as? [[String: Any]] ?? []
        let kinds = Set(outputs.flatMap { ($0["data"] as? [String: Any] ?? [:]).keys })
        #expect(kinds.isSuperset(of: ["image/svg+xml", "text/html", "text/plain"]), "\(kinds)")
    }

    @Test("a kernel takes values as they are, counts places as editors do, and hides what is too large")
    func kernel() throws {
        let workspace = try Workspace()
        let requests: [[String: Any]] = [
            ["do": "run", "run": 1, "interpreter": "sh", "source": "printf '%s|%s' '${Max rows=10}' \"${quoted=x}\"", "line": 1, "parameters": ["Max rows": "5", "quoted": "say it's"]],
            ["do": "run", "run": 2, "source": "CREATE VIEW senses AS SELECT 1 AS n", "line": 1],
            ["do": "run", "run": 3, "interpreter": "python", "source": "class Big:\n  def _repr_html_(self): return 'x' * 6_000_000\nBig()", "line": 1],
            ["do": "run", "run": 4, "source": "SELECT n FROM senses", "line": 1],
        ]
        let input = try requests.map { String(decoding: try JSONSerialization.data(withJSONObject: $0), as: UTF8.self) + "\n" }.joined()
        let feed = Pipe()
        let command = try workspace.start(["notebook", "kernel", "--data", workspace.path("data")], feed: feed)
        feed.fileHandleForWriting.write(Data(input.utf8))
        func events() -> [[String: Any]] { command.out.split(separator: "\n").compactMap { try? JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any] } }
        try eventually("the end of the last run") { events().contains { $0["event"] as? String == "finished" && $0["run"] as? Int == 4 } }
        feed.fileHandleForWriting.write(try JSONSerialization.data(withJSONObject: ["do": "complete", "run": 5, "source": "-- 😀\nSELECT * FROM sen", "at": 23] as [String: Any]) + Data([10]))
        try eventually("completions") { events().contains { $0["event"] as? String == "completions" } }
        try feed.fileHandleForWriting.close()
        #expect(try command.end().status == 0)
        let all = events()
        #expect(all.first?["event"] as? String == "ready")
        #expect(all.filter { $0["run"] as? Int == 1 && $0["event"] as? String == "text" }.compactMap { $0["text"] as? String }.joined() == "5|say it's")
        #expect(all.contains { $0["run"] as? Int == 3 && ($0["text"] as? String ?? "").contains("is not shown: more than 4 MiB") })
        #expect(all.last { $0["run"] as? Int == 4 && $0["event"] as? String == "table" }?["rows"] as? [[Int]] == [[1]])
        let completions = try #require(all.first { $0["event"] as? String == "completions" })
        #expect(completions["from"] as? Int == 20 && (completions["items"] as? [[String: Any]])?.contains { $0["text"] as? String == "senses" } == true, "\(completions)")
    }
}
