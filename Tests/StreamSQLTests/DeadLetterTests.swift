import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Testing

/// Files of which one line in a hundred is broken, tables over them, and what jobs made of them.
private final class BrokenFiles {
    let path = FileManager.default.temporaryDirectory.appending(path: "dead-letters-\(UUID().uuidString)").path
    let memory = MemoryConnector()
    let session: SQLSession
    private(set) var good: [Int] = []
    /// File name, offset and text of each broken line, sorted.
    private(set) var broken: [String] = []
    private let format: String

    init(format: String, files: Int = 3, lines: Int = 2_000, brokenShare: Int = 100, options: String = "", columns: String = "", parallelism: Int = 1) throws {
        self.format = format
        session = SQLSession(connectors: [FilesystemConnector(), memory])
        try FileManager.default.createDirectory(atPath: path + "/in", withIntermediateDirectories: true)
        for file in 0..<files {
            var text = ""
            for line in 0..<lines {
                let id = file * lines + line
                let time = "2024-05-04 10:00:\(id % 60 < 10 ? "0" : "")\(id % 60)"
                if (id * 7 + file) % brokenShare == 3 {
                    let bad = format == "json" ? [#"{"id": "x\#(id)""#, #"{"id": \#(id)x, "ts": "\#(time)"}"#, "nothing \(id)"][id % 3] : ["\(id)", "x\(id),\(time)", "\(id),\(time),more"][id % 3]
                    broken.append("\(file).\(format)|\(text.utf8.count)|\(bad)")
                    text += bad + "\n"
                } else {
                    good.append(id)
                    text += format == "json" ? #"{"id": \#(id), "ts": "\#(time)"}"# + "\n" : "\(id),\(time)\n"
                }
            }
            try text.write(toFile: path + "/in/\(file).\(format)", atomically: false, encoding: .utf8)
        }
        broken.sort()
        try run("""
            SET 'parallelism.default' = '\(parallelism)';
            CREATE TABLE t (id INT\(columns.contains("ts") ? "" : ", ts TIMESTAMP(3)")\(columns)) WITH (
              'connector' = 'filesystem', 'path' = '\(path)/in', 'format' = '\(format)'\(options));
            CREATE TABLE letters (file_name STRING, `offset` BIGINT, record STRING, reason STRING, source STRING) WITH (
              'connector' = 'filesystem', 'path' = '\(path)/letters', 'format' = 'json');
            CREATE TABLE ids (id INT) WITH ('connector' = 'filesystem', 'path' = '\(path)/ids', 'format' = 'json');
            CREATE TABLE counts (name STRING, n BIGINT) WITH ('connector' = 'filesystem', 'path' = '\(path)/counts', 'format' = 'csv');
            CREATE TABLE changes (n BIGINT) WITH ('connector' = 'memory');
            """)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    static let putAside = ", 'on-error' = 'dead-letter', 'dead-letter.table' = 'letters'"

    func graph(_ script: String) throws -> JobGraph {
        var graph: JobGraph?
        for statement in try SQLParser(text: script).parseScript() {
            if case .insert(let made) = try session.execute(statement) { graph = made }
        }
        return try #require(graph)
    }

    func run(_ script: String) throws {
        for statement in try SQLParser(text: script).parseScript() {
            if case .insert(let graph) = try session.execute(statement) { _ = try JobExecution(graph).run() }
        }
    }

    func rows(_ query: String) throws -> [[Value]] {
        guard case .query(let planned) = try session.execute(try SQLParser(text: query).parseStatement()) else { return [] }
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try planned.jobGraph(into: sink)).run()
        return SQLHarness.collapsed(sink.rows)
    }

    func error(_ script: String) -> StreamError? {
        do { try run(script) } catch let error as StreamError { return error } catch {}
        return nil
    }

    // MARK: Results

    var ids: [Int] {
        get throws { try rows("SELECT id FROM ids").map { if case .int(let id) = $0[0] { Int(id) } else { -1 } }.sorted() }
    }

    var letters: [String] {
        get throws {
            try rows("SELECT file_name, `offset`, record FROM letters WHERE reason <> '' AND source = 't'").map { row in
                row.map { value in
                    switch value {
                    case .int(let n): "\(n)"
                    case .string(let text): text
                    default: "\(value)"
                    }
                }.joined(separator: "|")
            }.sorted()
        }
    }

    func check(_ comment: Comment) throws {
        #expect(try ids == good, comment)
        #expect(try letters == broken, comment)
        #expect(!broken.isEmpty && broken.count * 50 < good.count * 2, comment)
    }
}

@Suite("Dead letters") struct DeadLetterTests {
    @Test("good rows go on, broken records go to another table with their place and a reason", arguments: ["json", "csv"], [1, 4])
    func aside(format: String, parallelism: Int) throws {
        let files = try BrokenFiles(format: format, options: BrokenFiles.putAside, parallelism: parallelism)
        try files.run("INSERT INTO ids SELECT id FROM t")
        try files.check("\(format), \(parallelism)")
    }

    @Test("a source is read once for its rows and for its broken records, whatever reads it")
    func readOnce() throws {
        let files = try BrokenFiles(format: "json", options: BrokenFiles.putAside, parallelism: 2)
        let graph = try files.graph("""
            EXECUTE STATEMENT SET BEGIN
            INSERT INTO ids SELECT id FROM t;
            INSERT INTO changes SELECT COUNT(*) FROM (SELECT ts FROM t GROUP BY ts, id);
            INSERT INTO letters SELECT 'none', 0, CAST(ts AS STRING), CAST(id AS STRING), 'u' FROM t WHERE id = 17;
            END
            """)
        #expect(graph.vertices.count { if case .source = $0.kind { true } else { false } } == 1)
        #expect(graph.vertices.count { if case .sink = $0.kind { true } else { false } } == 3)
        _ = try JobExecution(graph).run()
        try files.check("statement set")
        #expect(SQLHarness.collapsed(try #require(files.memory.sink("changes")).rows) == [[.int(Int64(files.good.count))]])
        #expect(try files.rows("SELECT * FROM letters WHERE source = 'u'").count == 1)
    }

    @Test("a query that reads no column counts good rows only") func noColumns() throws {
        let files = try BrokenFiles(format: "csv", options: BrokenFiles.putAside)
        try files.run("INSERT INTO changes SELECT COUNT(*) FROM t")
        #expect(SQLHarness.collapsed(try #require(files.memory.sink("changes")).rows) == [[.int(Int64(files.good.count))]])
        #expect(try files.letters == files.broken)
    }

    @Test("a broken record has no event time and no computed column", arguments: [1, 4])
    func eventTime(parallelism: Int) throws {
        let columns = """
            , ts TIMESTAMP(3) NOT NULL, later AS CAST(CAST(id + 1 AS STRING) AS INT),
            WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE
            """
        let files = try BrokenFiles(format: "json", options: BrokenFiles.putAside, columns: columns, parallelism: parallelism)
        try files.run("""
            EXECUTE STATEMENT SET BEGIN
            INSERT INTO counts SELECT CAST(window_start AS STRING), COUNT(later) FROM TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '10' SECOND) GROUP BY window_start, window_end;
            INSERT INTO ids SELECT id FROM t;
            END
            """)
        try files.check("\(parallelism)")
        let total = try files.rows("SELECT SUM(n), COUNT(*) FROM counts")
        #expect(total == [[.int(Int64(files.good.count)), .int(6)]])
    }

    @Test("skip leaves them out, fail names file and line, and a query that only shows rows writes nothing")
    func otherPolicies() throws {
        let skipping = try BrokenFiles(format: "json", options: ", 'on-error' = 'skip'")
        #expect(try skipping.rows("SELECT id FROM t").count == skipping.good.count)
        let failing = try BrokenFiles(format: "json", options: ", 'on-error' = 'fail', 'json.ignore-parse-errors' = 'true'")
        #expect(throws: StreamError.self) { try failing.rows("SELECT id FROM t") }
        let shown = try BrokenFiles(format: "json", options: BrokenFiles.putAside)
        #expect(try shown.rows("SELECT id FROM t").count == shown.good.count)
        #expect(!FileManager.default.fileExists(atPath: shown.path + "/letters"))
    }

    @Test("with metadata 'error' broken records are rows of the table, at their place", arguments: ["json", "csv", "raw"])
    func rowsOfTheTable(format: String) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "error-rows-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let lines: [String: String] = [
            "json": "{\"a\":1}\n{\"a\":}\n{\"a\":3}\n[4]\n", "csv": "1\nx\n3\n4,4\n", "raw": "\u{1}\nxyz\n\u{3}\n\u{4}\u{4}\n",
        ]
        try lines[format]!.write(toFile: path + "/f", atomically: false, encoding: .utf8)
        let session = try SQLHarness()
        session.session.catalog.register(FilesystemConnector())
        try session.run("""
            CREATE TABLE e (a TINYINT, why STRING METADATA FROM 'error' VIRTUAL, what BYTES METADATA FROM 'error.record', place BIGINT METADATA FROM 'error.offset' VIRTUAL)
            WITH ('connector' = 'filesystem', 'path' = '\(path)', 'format' = '\(format)')
            """)
        guard case .query(let planned) = try session.run("SELECT a, what, place, why IS NULL FROM e") else { return }
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try planned.jobGraph(into: sink)).run()
        let parts = lines[format]!.split(separator: "\n")
        let (second, fourth) = (Array(parts[1].utf8), Array(parts[3].utf8))
        let at = Int64(parts[0].utf8.count + 1)
        #expect(sink.rows.map(\.values) == [
            [.int(1), .null, .null, .bool(true)], [.null, .binary(second), .int(at), .bool(false)], [.int(3), .null, .null, .bool(true)],
            [.null, .binary(fourth), .int(at + Int64(second.count + parts[2].utf8.count + 2)), .bool(false)],
        ])
        // The rows of a table do not depend on what a query reads of it.
        #expect(try session.rows("SELECT COUNT(*) FROM e") == [[.int(4)]])
        #expect(try session.rows("SELECT a FROM e").count == 4)
    }

    @Test("killed and restored, every row and every dead letter is there once", arguments: UInt64(0)..<12)
    func killed(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let format = seed % 2 == 0 ? "json" : "csv"
        let columns = ", ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' MINUTE"
        let files = try BrokenFiles(format: format, files: 4, lines: 300, brokenShare: 20, options: BrokenFiles.putAside, columns: columns)
        let clock = SimulatedClock()
        for life in 0...4 {
            let parallelism = Int.random(in: 1...4, using: &random)
            let graph = try files.graph("SET 'parallelism.default' = '\(parallelism)'; INSERT INTO ids SELECT id FROM t")
            let storage = try CheckpointStorage(directory: files.path + "/checkpoints", retained: 2)
            let restored = try storage.newest { Issue.record("seed \(seed): \($0)") }
            let options = JobOptions(batchRows: 16, queueCapacity: 2, clock: { clock.now })
            let job = try SteppedExecution(graph, options: options, recovery: JobRecovery(jobID: "letters", storage: storage, restored: restored))
            var steps = 0, ended = false
            let crashAfter = life == 4 ? Int.max : Int.random(in: 1...400, using: &random)
            while steps < crashAfter, !ended {
                steps += 1
                clock.advance(by: .milliseconds(1))
                switch Int.random(in: 0..<10, using: &random) {
                case 0: job.startCheckpoint()
                case 1: _ = job.writeStep()
                case 2: try job.commitPending()
                default:
                    if let next = job.open.randomElement(using: &random) { _ = try job.step(next) } else { ended = job.conclude() }
                }
                try #require(steps < 200_000, "no progress with seed \(seed)")
            }
            if ended {
                job.close()
                break
            }
            job.abandon()
        }
        #expect(try files.ids == files.good, "seed \(seed)")
        #expect(try files.letters == files.broken, "seed \(seed)")
    }

    @Test("what cannot work is refused with the place and what to write instead") func errors() throws {
        let files = try BrokenFiles(format: "json")
        func table(_ options: String, columns: String = "id INT", name: String = "u") -> String {
            "CREATE TABLE \(name) (\(columns)) WITH ('connector' = 'filesystem', 'path' = '\(files.path)/in', 'format' = 'json'\(options))"
        }
        #expect(files.error(table(", 'on-error' = 'drop'"))?.problem.contains("'on-error' = 'drop'") == true)
        #expect(files.error(table(", 'on-error' = 'dead-letter'"))?.fix?.contains("dead-letter.table") == true)
        #expect(files.error(table(", 'dead-letter.table' = 'letters'"))?.fix?.contains("set both") == true)
        #expect(files.error(table(", 'on-error' = 'skip'", columns: "id INT, e STRING METADATA FROM 'error'"))?.problem.contains("rows of the table") == true)
        #expect(files.error(table("", columns: "id INT NOT NULL, e STRING METADATA FROM 'error'"))?.problem.contains("NOT NULL") == true)
        #expect(files.error(table("", columns: "id INT, e INT METADATA FROM 'error'"))?.fix == "declare it as STRING")
        try files.run(table(", 'on-error' = 'dead-letter', 'dead-letter.table' = 'nowhere'"))
        #expect(files.error("INSERT INTO ids SELECT id FROM u")?.problem.contains("no table nowhere") == true)
        try files.run(table(", 'on-error' = 'dead-letter', 'dead-letter.table' = 'ids'", name: "v"))
        let unknown = files.error("INSERT INTO ids SELECT id FROM v")
        #expect(unknown?.problem.contains("column id") == true && unknown?.fix?.contains("file_path") == true && unknown?.location != nil)
        try files.run(table(", 'on-error' = 'dead-letter', 'dead-letter.table' = 'w'", columns: "reason STRING", name: "w"))
        #expect(files.error("INSERT INTO ids SELECT 1 FROM w")?.problem.contains("its own dead letters") == true)
    }
}
