import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import TestScripts
import Testing
import Topology

/// A directory of its own and sessions over the file connectors.
final class InsightHarness {
    let directory: String
    static let topologies = PythonScript.root.appending(path: "Topologies").path

    init() throws {
        directory = NSTemporaryDirectory() + "swiftwater-insight-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    }
    deinit { try? FileManager.default.removeItem(atPath: directory) }

    static func session() -> SQLSession { SQLSession(connectors: [FilesystemConnector(), DatagenConnector(), PrintConnector(), BlackholeConnector()]) }

    func run(_ topology: Topology) throws {
        let session = Self.session()
        for statement in topology.statements {
            if case .insert(let graph) = try session.execute(statement) { try JobExecution(graph).run() }
        }
    }

    func run(_ file: String, _ variables: [String: String] = [:]) throws {
        try run(try Topology.load(path: "\(Self.topologies)/\(file)", variables: ["SWIFTWATER_DATA": directory].merging(variables) { $1 }))
    }

    /// A topology over its own tables, whose `result` is written as JSON lines.
    func run(yaml: String) throws -> [[String: Any]] {
        try run(try Topology.parse(yaml: yaml.replacing("DIRECTORY", with: directory), file: nil, variables: [:]))
        return try objects("result")
    }

    func text(_ folder: String) throws -> String {
        let path = "\(directory)/\(folder)"
        return try FileManager.default.contentsOfDirectory(atPath: path).filter { !$0.hasPrefix(".") && !$0.hasPrefix("_") }.sorted()
            .map { try String(contentsOfFile: "\(path)/\($0)", encoding: .utf8) }.joined()
    }

    func objects(_ folder: String) throws -> [[String: Any]] {
        try text(folder).split(separator: "\n").map { try JSONSerialization.jsonObject(with: Data($0.utf8)) as! [String: Any] }
    }

    /// The rows of a bounded query, changes netted out.
    static func query(_ text: String, _ session: SQLSession = session()) throws -> [[Value]] {
        guard case .query(let query) = try session.execute(try SQLParser(text: text, file: nil).parseScript()[0]) else { throw StreamError(.validate, "not a query: \(text)") }
        let sink = CollectingSink(maxParallelism: 1)
        try JobExecution(try query.jobGraph(into: sink)).run()
        var rows: [[Value]] = []
        for row in sink.rows {
            if row.kind.isAdd { rows.append(row.values) } else if let at = rows.firstIndex(of: row.values) { rows.remove(at: at) }
        }
        return rows
    }
}

@Suite("21: log encoding") struct EncodingScenarios {
    static let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
    static let codes = [100, 101, 200, 202, 301, 304, 400, 401, 404, 500, 502, 503]
    static let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]

    /// The printed tables, written by hand.
    static let printedMethods = ["GET": [1, 0, 0, 0, 0, 0, 0, 0, 0], "POST": [0, 0, 1, 0, 0, 0, 0, 0, 0], "OPTIONS": [0, 0, 0, 0, 0, 0, 1, 0, 0]]
    static let printedCodes = [
        100: [1, 0, 0, 0, 0], 101: [1, 0, 0, 0, 0], 200: [0, 1, 0, 0, 0], 202: [0, 1, 0, 0, 0], 301: [0, 0, 1, 0, 0], 304: [0, 0, 1, 0, 0],
        400: [0, 0, 0, 1, 0], 401: [0, 0, 0, 1, 0], 404: [0, 0, 0, 1, 0], 500: [0, 0, 0, 0, 1], 502: [0, 0, 0, 0, 1], 503: [0, 0, 0, 0, 1],
        // The printed program leaves these out by mistake: its text says that the ranges include their ends.
        199: [1, 0, 0, 0, 0], 299: [0, 1, 0, 0, 0], 399: [0, 0, 1, 0, 0], 499: [0, 0, 0, 1, 0], 599: [0, 0, 0, 0, 1],
        99: [0, 0, 0, 0, 0], 600: [0, 0, 0, 0, 0],
    ]

    @Test("as functions of SQL")
    func functions() throws {
        let list = Self.methods.map { "'\($0)'" }.joined(separator: ", ")
        let methods = try InsightHarness.query("SELECT m, ONE_HOT(m, ARRAY[\(list)]) FROM (VALUES ('GET'), ('POST'), ('OPTIONS')) AS t(m)")
        #expect(methods.count == 3)
        for row in methods {
            guard case .string(let method) = row[0] else { return #expect(Bool(false), "\(row)") }
            #expect(row[1] == .array(Self.printedMethods[method]!.map { .int(Int64($0)) }))
        }
        let codes = try InsightHarness.query(
            "SELECT c, WIDTH_BUCKET(c, ARRAY[100, 200, 300, 400, 500, 600]), ONE_HOT(WIDTH_BUCKET(c, 100, 600, 5), ARRAY[1, 2, 3, 4, 5]) FROM (VALUES "
                + Self.printedCodes.keys.map { "(\($0))" }.joined(separator: ", ") + ") AS t(c)")
        #expect(codes.count == Self.printedCodes.count)
        for row in codes {
            guard case .int(let code) = row[0] else { return #expect(Bool(false), "\(row)") }
            let flags = Self.printedCodes[Int(code)]!
            #expect(row[2] == .array(flags.map { .int(Int64($0)) }), "\(code)")
            #expect(row[1] == .int(flags.firstIndex(of: 1).map { Int64($0 + 1) } ?? (code < 100 ? 0 : 6)))
        }
        let levels = Self.levels.map { "'\($0)'" }.joined(separator: ", ")
        let numbers = try InsightHarness.query("SELECT l, ARRAY_POSITION(ARRAY[\(levels)], l) FROM (VALUES " + Self.levels.map { "('\($0)')" }.joined(separator: ", ") + ") AS t(l)")
        #expect(Set(numbers) == Set(Self.levels.enumerated().map { [.string($1), .int(Int64($0 + 1))] }))
    }

    @Test("WIDTH_BUCKET by width, by edges, and with wrong bounds")
    func buckets() throws {
        // Values that PostgreSQL's documentation and SQL:2003 give.
        #expect(try InsightHarness.query("SELECT WIDTH_BUCKET(5.35, 0.024, 10.06, 5), WIDTH_BUCKET(0, 0, 10, 5), WIDTH_BUCKET(10, 0, 10, 5), WIDTH_BUCKET(-1, 0, 10, 5)")
            == [[.int(3), .int(1), .int(6), .int(0)]])
        #expect(try InsightHarness.query("SELECT WIDTH_BUCKET(9, 10, 0, 5), WIDTH_BUCKET(10, 10, 0, 5), WIDTH_BUCKET(0, 10, 0, 5), WIDTH_BUCKET(11, 10, 0, 5)")
            == [[.int(1), .int(1), .int(6), .int(0)]])
        #expect(try InsightHarness.query("SELECT WIDTH_BUCKET(CAST(NULL AS INT), ARRAY[1, 2]), ONE_HOT(CAST(NULL AS STRING), ARRAY['a'])") == [[.null, .null]])
        #expect(throws: StreamError.self) { try InsightHarness.query("SELECT WIDTH_BUCKET(x, ARRAY[2, 1]) FROM (VALUES (1), (2)) AS t(x)") }
        #expect(throws: StreamError.self) { try InsightHarness.query("SELECT WIDTH_BUCKET(x, 1, 1, 5) FROM (VALUES (1), (2)) AS t(x)") }
        #expect(throws: StreamError.self) { try InsightHarness.query("SELECT ONE_HOT(1)") }
    }

    @Test("as a step: Topologies/logs.yaml")
    func step() throws {
        let harness = try InsightHarness()
        try FileManager.default.createDirectory(atPath: harness.directory + "/logs", withIntermediateDirectories: true)
        let codes = Array(Self.printedCodes.keys).sorted(), methods = Self.methods + ["BREW"], levels = Self.levels + ["NOTICE"]
        var lines = ""
        for i in 0..<max(codes.count, methods.count, levels.count) {
            lines += #"{"bucket": "b", "ts": "2021-03-22 10:00:\#(i + 10)", "request_uri": "\#(methods[i % methods.count]) /x HTTP/1.1", "http_status": \#(codes[i % codes.count]), "level": "\#(levels[i % levels.count])", "bytes_sent": \#(codes[i % codes.count])}"# + "\n"
        }
        try lines.write(toFile: harness.directory + "/logs/access.json", atomically: true, encoding: .utf8)
        try harness.run("logs.yaml")
        let rows = try harness.objects("encoded_log")
        #expect(rows.count == codes.count)
        for (i, row) in rows.enumerated() {
            let method = methods[i % methods.count], level = levels[i % levels.count]
            #expect(row.count { $0.key.hasPrefix("http_method_") } == 9)
            for name in Self.methods { #expect(row["http_method_\(name.lowercased())"] as? Int == (name == method ? 1 : 0)) }
            #expect(["1xx", "2xx", "3xx", "4xx", "5xx"].map { row["http_\($0)"] as? Int } == Self.printedCodes[codes[i]]!)
            #expect(row["level_number"] as? Int == Self.levels.firstIndex(of: level).map { $0 + 1 })
        }
    }
}

@Suite("22: anomalies") struct AnomalyScenarios {
    @Test("the minute of a burst alone is flagged", arguments: ["5xx", "DELETE", "none"], [22, 23])
    func burst(kind: String, seed: Int) throws {
        let harness = try InsightHarness()
        let made = try PythonScript.answer("insight/logs.py", [harness.directory, kind, "180", "\(seed)"]) as! [String: Any]
        try harness.run("logs.yaml")
        let minutes = try harness.objects("minutes")
        #expect(minutes.count == 180)
        let flagged = minutes.filter { $0["is_anomaly"] as? Bool == true }
        let grades = minutes.compactMap { row in (row["anomaly_grade"] as? Double).map { (row["window_start"] as! String, $0) } }.sorted { $0.1 > $1.1 }
        print(kind, seed, grades.prefix(3).map { "\($0.0) \($0.1)" })
        #expect(flagged.map { $0["window_start"] as! String } == (kind == "none" ? [] : [made["burst"] as! String]))
        #expect(minutes.prefix(60).allSatisfy { $0["detector_state"] as? String == "initializing" && $0["anomaly_score"] is NSNull })
        #expect(minutes.dropFirst(60).allSatisfy { $0["detector_state"] as? String == "running" && $0["anomaly_score"] is Double })
        for row in minutes.dropFirst(60) {
            let parts = row.filter { $0.key.hasPrefix("attribution_") }.values.map { $0 as! Double }
            #expect(parts.count == 4 && abs(parts.reduce(0, +) - (row["anomaly_score"] as! Double)) < 1e-9)
        }
        guard let burst = flagged.first else { return }
        let cause = kind == "5xx" ? "attribution_errors" : "attribution_deletes"
        #expect((burst[cause] as! Double) > 0.6 * (burst["anomaly_score"] as! Double))
    }

    @Test("RANDOM_CUT_FOREST in SQL: columns behind the input's, one forest per key, NULL until it has learned enough")
    func function() throws {
        let values = (0..<60).flatMap { i in ["a", "b"].map { "('\($0)', \(i == 50 && $0 == "b" ? 90 : i % 7))" } }.joined(separator: ", ")
        let rows = try InsightHarness.query("""
            SELECT k, v, anomaly_score FROM TABLE(RANDOM_CUT_FOREST(DATA => (SELECT * FROM (VALUES \(values)) AS t(k, v)) PARTITION BY k,
                COLUMNS => DESCRIPTOR(v), NUMBER_OF_TREES => 50, SUB_SAMPLE_SIZE => 40, OUTPUT_AFTER => 20, seed => 3))
            """)
        #expect(rows.count == 120)
        for key in ["a", "b"] {
            let own = rows.filter { $0[0] == .string(key) }
            #expect(own.prefix(20).allSatisfy { $0[2] == .null })
            let scores = own.dropFirst(20).compactMap { if case .double(let x) = $0[2] { x } else { nil } }
            #expect(scores.count == 40)
            let most = scores.indices.max { scores[$0] < scores[$1] }!
            if key == "b" { #expect(most == 30 && scores[most] > 20) } else { #expect(scores[most] < 20) }
        }
        // By position, as in Kinesis Data Analytics.
        let other = try InsightHarness.query("SELECT * FROM TABLE(RANDOM_CUT_FOREST((SELECT v FROM (VALUES (1), (2), (3)) AS t(v)), DESCRIPTOR(v), 10, 16, 100, 1, 1))")
        #expect(other.count == 3 && other[0].count == 2)
        let explained = try InsightHarness.query("SELECT * FROM RANDOM_CUT_FOREST_WITH_EXPLANATION((SELECT v FROM (VALUES (1), (2)) AS t(v)), DESCRIPTOR(v), numberOfTrees => 4, outputAfter => 1)")
        #expect(explained.count == 2 && explained[0].count == 4)
    }

    @Test("mistakes are named", arguments: [
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(TABLE v, DESCRIPTOR(name)))", "compares numbers, but name"),
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(TABLE v, DESCRIPTOR(x), TREES => 3))", "no argument TREES left"),
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(TABLE v, DESCRIPTOR(x), NUMBER_OF_TREES => 0))", "constant from 1 to 1000"),
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(TABLE v, DESCRIPTOR(x, x)))", "names x twice"),
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(COLUMNS => DESCRIPTOR(x)))", "lacks the argument DATA"),
        ("SELECT * FROM TABLE(RANDOM_CUT_FOREST(DATA => (SELECT name, COUNT(*) AS n FROM v GROUP BY name), COLUMNS => DESCRIPTOR(n)))", "scores new rows only"),
    ])
    func mistakes(query: String, problem: String) throws {
        let session = InsightHarness.session()
        for statement in try SQLParser(text: "CREATE TEMPORARY VIEW v AS SELECT * FROM (VALUES (1, 'a')) AS t(x, name)", file: nil).parseScript() { _ = try session.execute(statement) }
        do {
            _ = try InsightHarness.query(query, session)
            Issue.record("accepted")
        } catch let error as StreamError {
            #expect("\(error)".contains(problem), "\(error)")
        }
    }
}

@Suite("28: quality split") struct QualityScenarios {
    @Test("good and bad are all, and the percentages are those of hand counts and of DuckDB", arguments: zip([28, 29], ["1", "2"]))
    func split(seed: Int, parallelism: String) throws {
        let harness = try InsightHarness()
        let counts = try PythonScript.answer("insight/patients.py", [harness.directory + "/clinic", "1000", "\(seed)"]) as! [String: Int]
        try harness.run("quality.yaml", ["PARALLELISM": parallelism])
        let card = try #require(try harness.objects("clinic/score_card").first), judge = try PythonScript.answer("insight/quality_judge.py", [harness.directory + "/clinic"]) as! [String: Any]
        #expect(try harness.objects("clinic/score_card").count == 1)
        #expect(card["name"] as? String == "checked")
        for name in ["birthdate", "drivers", "patient", "bad"] {
            let percent = card["\(name)_percent"] as! Double
            #expect(abs(percent - 100 * Double(counts[name]!) / 1_000) < 1e-9, "\(name)")
            #expect(abs(percent - (judge["\(name)_percent"] as! Double)) < 1e-9, "\(name)")
        }
        #expect(card["records"] as? Int == 1_000 && card["bad_records"] as? Int == counts["bad"])
        func records(_ folder: String) throws -> [[String]] {
            try harness.text(folder).split(separator: "\n").map { line in
                // Names with a comma are the only quoted fields.
                var fields: [String] = [], field = "", isQuoted = false
                for c in line {
                    if c == "\"" { isQuoted.toggle() } else if c == ",", !isQuoted {
                        fields.append(field)
                        field = ""
                    } else {
                        field.append(c)
                    }
                }
                return fields + [field]
            }
        }
        let good = try records("clinic/good_records"), bad = try records("clinic/bad_records")
        #expect((good + bad).allSatisfy { $0.count == 29 })
        // No patient is lost, and none repeated, though most have several encounters.
        #expect(good.count + bad.count == 1_000 && Set((good + bad).map { $0[0] }).count == 1_000)
        #expect(good.map { $0[0] }.sorted() == judge["good"] as! [String])
        // The views of the post, over the flags: birthdate_flagged Yes, drivers_flagged No, patient_flagged No.
        #expect(good.allSatisfy { $0[2] == "Yes" && $0[6] == "No" && $0[28] == "No" && $0[27] == $0[0] })
        #expect(bad.allSatisfy { $0[2] == "No" || $0[6] == "Yes" || $0[28] == "Yes" })
        #expect(bad.allSatisfy { ($0[27] == "") == ($0[28] == "Yes") })
    }

    @Test("each kind of rule, unknown counts as broken, and a score card by group")
    func rules() throws {
        let harness = try InsightHarness()
        try FileManager.default.createDirectory(atPath: harness.directory + "/in", withIntermediateDirectories: true)
        try """
            {"k": 1, "site": "x", "age": 30, "state": "on", "mail": "a@b"}
            {"k": 2, "site": "x", "age": 130, "state": "off", "mail": "c@d"}
            {"k": 3, "site": "y", "age": null, "state": "odd", "mail": null}
            {"k": 4, "site": "y", "age": 0, "state": "on", "mail": "none"}

            """.write(toFile: harness.directory + "/in/a.json", atomically: true, encoding: .utf8)
        let yaml = """
            tables:
              people:
                columns: {k: INT, site: STRING, age: INT, state: STRING, mail: STRING}
                with: {connector: filesystem, path: DIRECTORY/in, format: json}
              checked_people:
                columns: {k: INT, site: STRING, age: INT, state: STRING, mail: STRING, age_flagged: STRING, state_flagged: STRING, known_flagged: STRING, mail_flagged: STRING, adult_flagged: STRING, dq_flag: STRING}
                with: {connector: filesystem, path: DIRECTORY/checked, format: json}
              result:
                columns: {site: STRING, records: BIGINT, bad_records: BIGINT, age_percent: DOUBLE, state_percent: DOUBLE, known_percent: DOUBLE, mail_percent: DOUBLE, adult_percent: DOUBLE, bad_percent: DOUBLE}
                with: {connector: filesystem, path: DIRECTORY/result, format: json}
            pipeline:
              - name: checked
                transform: quality
                from: people
                rules:
                  age: {column: age, between: [0, 120]}
                  state: {column: state, in: [on, off]}
                  known: {column: mail, not-null: true}
                  mail: {column: mail, matches: '^[^@]+@[^@]+$', yes-means: met}
                  adult: {is: age >= 18}
                score: {into: result, by: site}
                final: true
                into: checked_people
            """
        let card = try harness.run(yaml: yaml)
        let flags = try harness.objects("checked").sorted { ($0["k"] as! Int) < ($1["k"] as! Int) }.map { row in
            ["age_flagged", "state_flagged", "known_flagged", "mail_flagged", "adult_flagged", "dq_flag"].map { row[$0] as! String }
        }
        #expect(flags == [
            ["No", "No", "No", "Yes", "No", "Valid"], ["Yes", "No", "No", "Yes", "No", "Invalid"], ["Yes", "Yes", "Yes", "No", "Yes", "Invalid"],
            ["No", "No", "No", "No", "Yes", "Invalid"],
        ])
        #expect(card.map { $0["site"] as! String } == ["x", "y"])
        #expect(card.map { $0["bad_percent"] as! Double } == [50, 100])
        #expect(card.map { $0["adult_percent"] as! Double } == [0, 100])
        #expect(card.map { $0["state_percent"] as! Double } == [0, 50])
    }

    @Test("over a stream the score card is updated as records come")
    func updates() throws {
        let topology = try Topology.parse(yaml: """
            tables:
              people:
                columns: {k: INT, name: STRING}
                with: {connector: datagen}
              card:
                columns: {name: STRING, records: BIGINT, bad_records: BIGINT, named_percent: DOUBLE, bad_percent: DOUBLE}
                key: name
                with: {connector: print}
            pipeline:
              - {name: checked, transform: quality, from: people, rules: {named: name IS NOT NULL}, score: card}
            """, file: nil, variables: [:])
        let session = InsightHarness.session()
        var planned = false
        for statement in topology.statements { if case .insert = try session.execute(statement) { planned = true } }
        #expect(planned)
    }

    @Test("mistakes are told with their place", arguments: [
        ("rules: {a: {column: k, matches: x, in: [1]}}", "exactly one of"),
        ("rules: {a: {column: k, between: [1]}}", "has 1 values"),
        ("rules: {a: {column: k, exists-in: {table: nobody, column: x}}}", "reads \"nobody\""),
        ("rules: {}", "rules of step s is empty"),
        ("rules: {a: k > 0}\n    good: nowhere", "not a table of this topology"),
        ("rules: {a: {column: k, not-null: true, yes-means: good}}", "neither met nor broken"),
    ])
    func mistakes(rules: String, problem: String) throws {
        let yaml = """
            tables:
              t: {columns: {k: INT}, with: {connector: datagen}}
              out: {columns: {k: INT}, with: {connector: print}}
            pipeline:
              - name: s
                transform: quality
                from: t
                \(rules)
            """
        do {
            _ = try Topology.parse(yaml: yaml, file: "x.yaml", variables: [:])
            Issue.record("accepted")
        } catch let error as StreamError {
            #expect("\(error)".contains(problem), "\(error)")
            #expect("\(error)".contains("x.yaml:"), "\(error)")
        }
    }
}
