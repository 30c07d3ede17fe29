import Foundation
import ReferenceSQL
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

private func topTwo(_ order: String, over query: String) -> String {
    "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (ORDER BY \(order)) AS rn FROM (\(query))) WHERE rn <= 2"
}

@Suite("Top-N, deduplication and OVER") struct RankSQLTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v INT, ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
          WITH ('connector' = 'memory');
        CREATE TABLE endless (id INT, k STRING, v INT, ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
          WITH ('connector' = 'memory', 'unbounded' = 'true');

        """

    /// Rows of (id, k, v, seconds).
    private static let rows: [(Int64, String, Int64?, Int64)] = [
        (1, "a", 5, 10), (2, "b", 7, 11), (3, "a", 9, 12), (4, "a", nil, 13), (5, "b", 7, 14), (6, "a", 9, 25), (7, "b", 1, 11), (8, "a", 2, 26),
    ]

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(Self.tables)
        let rows = Self.rows.map { [Value.int($0.0), .string($0.1), $0.2.map { .int($0) } ?? .null, .int($0.3 * 1_000)] }
        harness.memory.fill("ev", rows)
        harness.memory.fill("endless", rows, isBounded: false)
        return harness
    }

    private func text(_ row: [Value]) -> String {
        row.map { value in
            switch value {
            case .int(let n): "\(n)"
            case .string(let s): s
            case .null: "-"
            default: "\(value)"
            }
        }.joined(separator: " ")
    }

    private func texts(_ query: String) throws -> [String] { try harness().rows(query).map(text).sorted() }

    /// What a query over input without an end has given once it has read all rows that there are.
    private func textsSoFar(_ query: String) throws -> [String] {
        let sink = CollectingSink(maxParallelism: 1)
        let job = try JobExecution(planned(query).jobGraph(into: sink)), ended = DispatchSemaphore(value: 0)
        Thread {
            _ = try? job.run()
            ended.signal()
        }.start()
        let deadline = ContinuousClock.now + .seconds(60)
        while job.status().map(\.rowsOut).max() ?? 0 < Int64(Self.rows.count), ContinuousClock.now < deadline { usleep(1_000) }
        job.stop()
        #expect(ended.wait(timeout: .now() + 60) == .success)
        return SQLHarness.collapsed(sink.rows).map(text).sorted()
    }

    private func planned(_ query: String) throws -> PlannedQuery {
        guard case .query(let planned) = try harness().run(query) else { throw StreamError(.runtime, "no query") }
        return planned
    }

    /// Each change, in order, of a query's run.
    private func changes(_ query: String) throws -> [String] {
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try planned(query).jobGraph(into: sink)).run()
        return sink.rows.map { "\($0.kind) \(text($0.values))" }
    }

    private func ranked(_ order: String, _ condition: String, partition: String = "PARTITION BY k") -> String {
        "SELECT k, id, rn FROM (SELECT *, ROW_NUMBER() OVER (\(partition) ORDER BY \(order)) AS rn FROM ev) WHERE \(condition)"
    }

    // MARK: top-N

    @Test("every way to limit ROW_NUMBER makes a rank", arguments: [
        ("rn <= 2", "places: 1 to 2"), ("rn < 3", "places: 1 to 2"), ("2 >= rn", "places: 1 to 2"), ("rn BETWEEN 2 AND 3", "places: 2 to 3"),
        ("rn > 1 AND rn <= 4 AND rn < 9", "places: 2 to 4"), ("rn = 3", "place: 3"), ("rn <= 2 AND k = 'a'", "places: 1 to 2"),
    ]) func limits(condition: String, places: String) throws {
        let plan = try planned(ranked("v DESC, id", condition)).optimizedPlan.treeText
        #expect(plan.contains("Rank(by: k, order: v DESC, id, \(places)"), "\(plan)")
    }

    @Test("conditions on the partition go below, others stay above, and a number that nobody reads is not made") func plans() throws {
        let query = "SELECT id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v) AS rn FROM ev) WHERE rn <= 2 AND k = 'a' AND id > 3"
        let planned = try planned(query)
        #expect(planned.plan.treeText.contains("Over(by: k, order: v, compute: ROW_NUMBER())"))
        #expect(
            planned.optimizedPlan.treeText == """
                Calc(where: id > 3, select: id)
                +- Rank(by: k, order: v, places: 1 to 2)
                   +- Calc(where: k = 'a', select: id, k, v)
                      +- Scan(ev: id, k, v, ts)
                """, "\(planned.optimizedPlan.treeText)")
    }

    @Test("the first rows by some columns, nulls being smallest") func topN() throws {
        #expect(try texts(ranked("v DESC, id", "rn <= 2")) == ["a 3 1", "a 6 2", "b 2 1", "b 5 2"])
        #expect(try texts(ranked("v, id", "rn <= 1")) == ["a 4 1", "b 7 1"])
        #expect(try texts(ranked("v NULLS LAST", "rn BETWEEN 2 AND 3")) == ["a 1 2", "a 3 3", "b 2 2", "b 5 3"])
        #expect(try texts(ranked("v DESC, id", "rn <= 3", partition: "")) == ["a 3 1", "a 6 2", "b 2 3"])
        #expect(try texts("SELECT id FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY v DESC, id) AS rn FROM ev) WHERE rn <= 2 AND id <> 3") == ["2", "5", "6"])
    }

    @Test("over an aggregation results follow its changes") func overAggregation() throws {
        let query = """
            SELECT k, s, rn FROM (SELECT k, s, ROW_NUMBER() OVER (ORDER BY s DESC) AS rn FROM (SELECT k, SUM(v) AS s FROM ev GROUP BY k)) WHERE rn <= 1
            """
        #expect(try texts(query) == ["a 25 1"])
        let plan = try planned(query).optimizedPlan.treeText
        #expect(plan.contains("DESC, place: 1"), "\(plan)")
        #expect(try planned(query).isChangelog)
    }

    @Test("rows that only move forward are ranked by their key, and their old rows are not asked for", arguments: [
        topTwo("n DESC, k", over: "SELECT k, COUNT(*) AS n FROM ev GROUP BY k"),
        topTwo("k", over: "SELECT k, COUNT(*) AS n FROM ev GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, MAX(v) AS n FROM ev GROUP BY k"),
        topTwo("n NULLS LAST", over: "SELECT k, MIN(v) AS n FROM ev GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, SUM(CAST(v AS BIGINT)) AS n FROM ev WHERE v >= 0 GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, SUM(n) AS n FROM (SELECT k, id, COUNT(*) AS n FROM ev GROUP BY k, id) GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, COUNT(DISTINCT id) + 0 AS x, COUNT(*) AS n FROM ev GROUP BY k HAVING COUNT(*) > 1"),
        topTwo("n DESC", over: "SELECT a.k, a.n FROM (SELECT k, COUNT(*) AS n FROM ev GROUP BY k) a JOIN (SELECT k, MAX(v) AS m FROM ev GROUP BY k) b ON a.k = b.k"),
        "SELECT k, COUNT(*) AS n FROM ev GROUP BY k ORDER BY n DESC LIMIT 2",
    ]) func movesForward(query: String) throws {
        let planned = try planned(query.replacing("FROM ev", with: "FROM endless"))
        let plan = planned.changelog.treeText
        #expect(plan.contains(/Rank\(|SortLimit\(/) && plan.contains("updated by: k"), "\(plan)")
        #expect(try planned.jobGraph(into: CollectingSink()).vertices.contains { $0.name.hasPrefix("UpdateFast") })
        if !query.contains("JOIN"), !query.contains("HAVING"), !query.contains("id, COUNT") { #expect(plan.contains("[I,UA]"), "\(plan)") }
    }

    @Test("rows that may move back, or leave, are all kept", arguments: [
        topTwo("n", over: "SELECT k, COUNT(*) AS n FROM ev GROUP BY k"),
        topTwo("n DESC NULLS FIRST", over: "SELECT k, MAX(v) AS n FROM ev GROUP BY k"),
        topTwo("n", over: "SELECT k, MIN(v) AS n FROM ev GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, SUM(CAST(v AS BIGINT)) AS n FROM ev GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, SUM(v) AS n FROM ev WHERE v >= 0 GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, AVG(v) AS n FROM ev GROUP BY k"),
        topTwo("n DESC", over: "SELECT k, COUNT(*) AS n FROM ev GROUP BY k HAVING COUNT(*) < 5"),
        topTwo("n DESC", over: "SELECT m, COUNT(*) AS n FROM (SELECT k, MAX(v) AS m FROM ev GROUP BY k) GROUP BY m"),
        topTwo("n DESC", over: "SELECT COUNT(*) AS n FROM ev GROUP BY k"),
        "SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY n ORDER BY k) AS rn FROM (SELECT k, COUNT(*) AS n FROM ev GROUP BY k)) WHERE rn <= 2",
    ]) func mayMoveBack(query: String) throws {
        let plan = try planned(query.replacing("FROM ev", with: "FROM endless")).changelog.treeText
        #expect(plan.contains("Rank(") && !plan.contains("updated by"), "\(plan)")
    }

    /// Against the reference, which sorts what is left.
    @Test("rows that only move forward give the first rows of what is left", arguments: 0..<6) func forwardRows(round: Int) throws {
        let seed = UInt64.random(in: 0..<1_000_000_000)
        print("forward rows \(round): seed \(seed)")
        var random = SeededRandom(seed)
        let table = ReferenceInterpreter.Table(rows: (0..<400).map { i in
            [.int(Int64.random(in: 0..<3, using: &random)), .int(Int64.random(in: 0..<40, using: &random)),
             Int.random(in: 0..<5, using: &random) == 0 ? .null : .int(Int64.random(in: -9...9, using: &random))]
        })
        let value = ["COUNT(v)", "MAX(v)", "SUM(CAST(v AS BIGINT)) FILTER (WHERE g < 2)"][round % 3], filter = round % 3 == 2 ? " WHERE v >= 0" : ""
        let script = """
            CREATE TABLE t (g INT, k INT, v INT) WITH ('connector' = 'rows');
            SELECT * FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY g ORDER BY n DESC, k) AS rn
              FROM (SELECT g, k, \(value) AS n FROM t\(filter) GROUP BY g, k)) WHERE rn <= \(round % 2 == 0 ? "3" : "5 AND rn > 1");
            """
        let session = SQLSession(connectors: [RowsConnector(["t": table])])
        var expected: [String] = []
        for statement in try SQLParser(text: script).parseScript() {
            guard case .query(let query) = try session.execute(statement) else { continue }
            #expect(query.changelog.treeText.contains("updated by: g, k"), "\(query.changelog.treeText)")
            expected = try ReferenceInterpreter(tables: ["t": table], context: session.evaluation).rows(of: query.plan).map { "\($0)" }.sorted()
        }
        #expect(!expected.isEmpty)
        for parallelism in [1, 2, 4] {
            var settings = RunSettings()
            (settings.parallelism, settings.batchRows) = (parallelism, [1, 7, 400][round % 3])
            if parallelism > 1 { (settings.seed, settings.kills, settings.changesParallelism) = (seed, 2, true) }
            settings.usesRocksDB = parallelism == 4
            if round > 2 {
                settings.session = ["table.exec.mini-batch.enabled": "true", "table.exec.mini-batch.allow-latency": "1 s", "table.exec.mini-batch.size": "20"]
            }
            var run = ScriptRun(settings) { [RowsConnector(["t": table])] }
            #expect(try run.run(script)[0].rows.map { "\($0)" }.sorted() == expected, "\(settings)")
        }
    }

    @Test("ORDER BY ... LIMIT and LIMIT over input without an end") func unboundedLimits() throws {
        let sorted = try planned("SELECT id, v FROM endless ORDER BY v DESC, id LIMIT 2 OFFSET 1")
        #expect(sorted.isChangelog && !sorted.isBounded && !sorted.isOrdered && sorted.limit == nil)
        #expect(sorted.optimizedPlan.treeText.contains("SortLimit(order: v DESC, id, places: 2 to 3)"))
        #expect(try textsSoFar("SELECT id, v FROM endless ORDER BY v DESC, id LIMIT 2 OFFSET 1") == ["2 7", "6 9"])
        // Whichever came first of the rows that are left.
        let limited = try textsSoFar("SELECT k, COUNT(*) FROM endless GROUP BY k LIMIT 1")
        #expect(limited == ["a 5"] || limited == ["b 3"], "\(limited)")
        let error = try harness().error("SELECT id FROM endless ORDER BY v")
        #expect(error?.problem.contains("ORDER BY") == true)
        #expect(try !planned("SELECT id FROM endless LIMIT 3").isChangelog)
    }

    @Test("RANK and DENSE_RANK cannot be limited, functions of rows to come are refused") func refused() throws {
        for function in ["RANK", "DENSE_RANK"] {
            let error = try harness().error("SELECT * FROM (SELECT *, \(function)() OVER (PARTITION BY k ORDER BY v) AS r FROM ev) WHERE r <= 2")
            #expect(error?.code == .plan && error?.problem.contains(function) == true && error?.location != nil)
        }
        for function in ["LEAD(id, 1)", "NTILE(2)", "PERCENT_RANK()", "CUME_DIST()"] {
            let error = try harness().error("SELECT \(function) OVER (PARTITION BY k ORDER BY ts) FROM ev")
            #expect(error?.code == .plan && error?.problem.contains(String(function.prefix { $0 != "(" })) == true && error?.location != nil)
        }
        func problem(_ list: String) throws -> String { try harness().error("SELECT \(list) FROM ev")?.problem ?? "" }
        #expect(try problem("SUM(v) OVER (PARTITION BY k ORDER BY v ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)").contains("time attribute"))
        #expect(try problem("SUM(v) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING)").contains("ends at another row"))
        #expect(try problem("SUM(v) OVER (PARTITION BY k)").contains("needs ORDER BY"))
        #expect(try problem("SUM(v) OVER (ORDER BY ts RANGE BETWEEN 5 PRECEDING AND CURRENT ROW)").contains("INT"))
        #expect(try problem("ROW_NUMBER() OVER (ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)").contains("takes no ROWS"))
        #expect(try problem("UPPER(k) OVER (ORDER BY ts)").contains("takes no OVER"))
        #expect(try problem("ROW_NUMBER()").contains("needs OVER"))
        #expect(try problem("id FROM ev WHERE ROW_NUMBER() OVER (ORDER BY ts) = 1 UNION ALL SELECT 1").contains("WHERE"))
    }

    // MARK: deduplication

    @Test("keep the first or the last row by event time") func deduplication() throws {
        #expect(try texts(ranked("ts", "rn = 1")) == ["a 1 1", "b 2 1"])
        #expect(try texts(ranked("ts DESC", "rn = 1")) == ["a 8 1", "b 5 1"])
        let first = try planned(ranked("ts", "rn = 1"))
        #expect(!first.isChangelog)
        #expect(first.optimizedPlan.treeText.contains("Deduplicate(keep first, by: k, order: ts)"))
        #expect(first.changelog.treeText.contains("changelogMode=[I]"))
        let last = try planned(ranked("ts DESC", "rn = 1"))
        #expect(last.optimizedPlan.treeText.contains("Deduplicate(keep last, by: k, order: ts DESC)"))
        #expect(last.changelog.treeText.contains("[I,UB,UA]"))
    }

    @Test("keep the first or the last row by processing time, which is the order of arrival") func processingTime() throws {
        #expect(try texts(ranked("p", "rn = 1")) == ["a 1 1", "b 2 1"])
        #expect(try texts(ranked("p DESC", "rn = 1")) == ["a 8 1", "b 7 1"])
        #expect(try texts(ranked("PROCTIME() DESC", "rn = 1")) == ["a 8 1", "b 7 1"])
        #expect(try !planned(ranked("p", "rn = 1")).isChangelog)
    }

    @Test("the first rows keep their time attribute, and the last ones may be windowed and taken back") func windowed() throws {
        let query = { (order: String) in
            """
            SELECT window_start, COUNT(*), SUM(id) FROM TABLE(TUMBLE(TABLE d, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end
            """.replacing("TABLE d", with: "TABLE \(order)")
        }
        let views = ["first": "ts", "last": "ts DESC"].map { name, order in
            "CREATE TEMPORARY VIEW d_\(name) AS SELECT id, k, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY \(order)) AS rn FROM ev) WHERE rn = 1;"
        }.joined()
        let harness = try harness()
        try harness.run(views)
        #expect(try harness.rows(query("d_first")).map(text) == ["10000 2 3"])
        // Row 6 takes row 4 back before the watermark has passed 20 s.
        #expect(try harness.rows(query("d_last")).map(text).sorted() == ["10000 1 5", "20000 1 8"])
    }

    // MARK: windows

    @Test("window top-N and window deduplication come out when the window ends, once") func windowTopN() throws {
        let query = """
            SELECT window_end, id, rn FROM (
              SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY v DESC, id) AS rn
              FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND))) WHERE rn <= 2
            """
        #expect(try changes(query) == ["+I 20000 3 1", "+I 20000 2 2", "+I 30000 6 1", "+I 30000 8 2"])
        #expect(try planned(query).optimizedPlan.treeText.contains("WindowRank(by: window_start, window_end, order: v DESC, id, places: 1 to 2"))
        let dedup = """
            SELECT k, id FROM (
              SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end, k ORDER BY ts DESC) AS rn
              FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND))) WHERE rn <= 1
            """
        #expect(try texts(dedup) == ["a 4", "a 8", "b 5"])
        #expect(try planned(dedup).optimizedPlan.treeText.contains("WindowDeduplicate("))
        #expect(try !planned(dedup).isChangelog)
    }

    @Test("a window top-N of a window aggregation can be grouped by its window again") func cascade() throws {
        let query = """
            SELECT window_start, COUNT(*), SUM(s) FROM (
              SELECT *, ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY s DESC) AS rn FROM (
                SELECT k, window_start, window_end, window_time, SUM(id) AS s FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND))
                GROUP BY k, window_start, window_end, window_time)) WHERE rn <= 1
            GROUP BY window_start, window_end
            """
        #expect(try texts(query) == ["10000 1 8", "20000 1 14"])
    }

    // MARK: OVER

    @Test("frames of rows and of time, named windows, FILTER and DISTINCT") func over() throws {
        #expect(
            try texts("SELECT id, SUM(v) OVER w, COUNT(*) FILTER (WHERE v > 5) OVER w, COUNT(DISTINCT v) OVER w FROM ev WINDOW w AS (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)")
                == ["1 5 0 1", "2 7 1 1", "3 14 1 2", "4 9 1 1", "5 14 2 1", "6 9 1 1", "8 11 1 2"])
        #expect(
            try texts("SELECT id, COUNT(*) OVER (PARTITION BY k ORDER BY ts RANGE BETWEEN INTERVAL '2' SECOND PRECEDING AND CURRENT ROW) FROM ev")
                == ["1 1", "2 1", "3 2", "4 2", "5 1", "6 1", "8 2"])
        #expect(try texts("SELECT id, LAG(v, 1, 0) OVER (PARTITION BY k ORDER BY ts) - v FROM ev WHERE k = 'b'") == ["2 -7", "5 0"])
        #expect(try texts("SELECT id, ROW_NUMBER() OVER (ORDER BY ts) + 10 AS n FROM ev WHERE id < 4") == ["1 11", "2 12", "3 13"])
        #expect(try texts("SELECT id, SUM(v) OVER (PARTITION BY k ORDER BY p ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM ev WHERE k = 'b'") == ["2 7", "5 14", "7 8"])
        #expect(try texts("SELECT id, CASE WHEN LAG(id) OVER (PARTITION BY k ORDER BY ts) IS NULL THEN 'first' ELSE 'later' END FROM ev WHERE id < 4") == ["1 first", "2 first", "3 later"])
    }

    @Test("one window in one SELECT, with one or more frames") func severalWindows() throws {
        #expect(
            try texts("SELECT id, SUM(v) OVER (PARTITION BY k ORDER BY ts), ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts), COUNT(*) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), LAG(id) OVER (PARTITION BY k ORDER BY ts) FROM ev WHERE id < 5")
                == ["1 5 1 1 -", "2 7 1 1 -", "3 14 2 2 1", "4 14 3 2 3"])
        let two = try harness().error("SELECT SUM(v) OVER (PARTITION BY k ORDER BY ts), COUNT(*) OVER (ORDER BY ts) FROM ev")
        #expect(two?.code == .plan && two?.problem.contains("same window") == true && two?.location != nil)
        for order in ["ts DESC", "v, id", "v DESC"] {
            let error = try harness().error("SELECT SUM(v) OVER (PARTITION BY k ORDER BY \(order)) FROM ev")
            #expect(error?.code == .plan && error?.problem.contains("OVER") == true && error?.location != nil)
        }
    }

    @Test("by other columns and over rows that are taken back, results are updated") func updated() throws {
        let byValue = "SELECT id, SUM(v) OVER (PARTITION BY k ORDER BY v ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS s FROM ev"
        #expect(try texts(byValue) == ["1 7", "2 8", "3 16", "4 -", "5 15", "6 25", "7 1", "8 2"])
        #expect(try planned(byValue).isChangelog)
        let overAggregate = "SELECT k, c, SUM(c) OVER (ORDER BY c) AS s FROM (SELECT k, COUNT(*) AS c FROM ev GROUP BY k)"
        #expect(try texts(overAggregate) == ["a 5 8", "b 3 3"])
        let grouped = "SELECT k, SUM(v), ROW_NUMBER() OVER (ORDER BY SUM(v) DESC) FROM ev GROUP BY k"
        #expect(try texts(grouped) == ["a 25 1", "b 15 2"])
    }

    @Test("results do not depend on how rows are batched: what is taken back of a window that has fired stays in it") func everyWatermark() throws {
        let harness = try SQLHarness(Self.tables)
        // Nothing comes behind its watermark, but the last row takes back the first, whose window ended with the second.
        harness.memory.fill("ev", [
            [.int(1), .string("a"), .int(1), .int(1_000)], [.int(2), .string("b"), .int(1), .int(15_000)], [.int(3), .string("a"), .int(1), .int(16_000)],
        ])
        let rows = try harness.rows("""
            SELECT TUMBLE_START(ts, INTERVAL '10' SECOND), COUNT(*) FROM (
              SELECT id, k, ts FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM ev) WHERE rn = 1)
            GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)
            """)
        #expect(rows.map(text).sorted() == ["0 1", "10000 2"])
    }
}
