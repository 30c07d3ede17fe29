import Foundation
import StreamCore
import StreamExpressions
import StreamRuntime
import StreamTesting
import Synchronization
import Testing
@testable import StreamSQL

/// Windows in SQL: results of small inputs.
@Suite("windows") struct WindowQueryTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v INT, ts TIMESTAMP(3), p AS PROCTIME(), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND)
        WITH ('connector' = 'memory');
        CREATE TABLE plain (id INT, k STRING, v INT) WITH ('connector' = 'memory');
        CREATE TABLE zoned (id INT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts) WITH ('connector' = 'memory');
        """

    /// (id, key, value, second).
    static let rows: [(Int64, String?, Int64, Int64)] = [
        (1, "a", 10, 1), (2, "b", 20, 3), (3, "a", 30, 4), (4, "a", 40, 12), (5, "b", 50, 13), (6, nil, 60, 21), (7, "a", 70, 19), (8, "c", 80, 32),
        (9, "a", 90, 2), (10, "b", 100, 40),
    ]

    static func harness() throws -> SQLHarness {
        let harness = try SQLHarness(tables)
        harness.memory.fill("ev", rows.map { [.int($0.0), $0.1.map { .string($0) } ?? .null, .int($0.2), .int($0.3 * 1_000)] })
        harness.memory.fill("plain", rows.map { [.int($0.0), $0.1.map { .string($0) } ?? .null, .int($0.2)] })
        return harness
    }

    /// Rows as texts: instants in seconds.
    func texts(_ harness: SQLHarness, _ query: String) throws -> [String] {
        guard case .query(let planned) = try harness.run(query) else { return [] }
        return try harness.rows(query).map { row in
            zip(row, planned.schema).map { value, field in
                switch value {
                case .null: "-"
                case .int(let n): field.type.isTimestamp ? (n % 1_000 == 0 ? "\(n / 1_000)s" : "\(n)ms") : "\(n)"
                case .string(let text): text
                case .double(let d): "\(d)"
                default: "\(value)"
                }
            }.joined(separator: " ")
        }.sorted()
    }

    // MARK: sessions

    @Test("both forms of SESSION give the same")
    func session() throws {
        let harness = try Self.harness()
        // Row 9 is late, and there is no session left that it could join.
        let expected = [
            "- 21s 26s 25999ms 1", "a 12s 17s 16999ms 1", "a 19s 24s 23999ms 1", "a 1s 9s 8999ms 2", "b 13s 18s 17999ms 1", "b 3s 8s 7999ms 1",
            "b 40s 45s 44999ms 1", "c 32s 37s 36999ms 1",
        ]
        let function = """
            SELECT k, window_start, window_end, window_time, COUNT(*) FROM TABLE(SESSION(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' SECOND))
            GROUP BY k, window_start, window_end, window_time
            """
        #expect(try texts(harness, function) == expected)
        let legacy = """
            SELECT k, SESSION_START(ts, INTERVAL '5' SECOND), SESSION_END(ts, INTERVAL '5' SECOND), SESSION_ROWTIME(ts, INTERVAL '5' SECOND), COUNT(*)
            FROM ev GROUP BY SESSION(ts, INTERVAL '5' SECOND), k
            """
        #expect(try texts(harness, legacy) == expected)
    }

    @Test("sessions end when nothing came for the gap")
    func sessionRows() throws {
        let harness = try Self.harness()
        let query = "SELECT k, window_start, window_end, COUNT(*), SUM(v) FROM TABLE(SESSION(DATA => TABLE ev PARTITION BY (k), TIMECOL => DESCRIPTOR(ts), GAP => INTERVAL '8' SECOND)) GROUP BY k, window_start, window_end"
        #expect(
            try texts(harness, query) == [
                "- 21s 29s 1 60", "a 1s 27s 4 150", "b 13s 21s 1 50", "b 3s 11s 1 20", "b 40s 48s 1 100", "c 32s 40s 1 80",
            ])
    }

    @Test("rows of SESSION come with their windows; what reads them may look at the windows")
    func sessionTable() throws {
        let harness = try Self.harness()
        let all = "SELECT id, window_start, window_end FROM TABLE(SESSION(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND)) WHERE k = 'a'"
        #expect(try texts(harness, all) == ["1 1s 27s", "3 1s 27s", "4 1s 27s", "7 1s 27s"])
        // Rows that a filter leaves out count for the session.
        let filtered = "SELECT k, window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND)) WHERE v <> 30 AND k = 'a' GROUP BY k, window_start, window_end"
        #expect(try texts(harness, filtered) == ["a 1s 27s 3"])
        let other = "SELECT window_start, window_end, COUNT(*) FROM TABLE(SESSION(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND)) GROUP BY window_start, window_end"
        #expect(try texts(harness, other) == ["13s 21s 1", "1s 27s 4", "21s 29s 1", "32s 40s 1", "3s 11s 1", "40s 48s 1"])
    }

    @Test("a session aggregation over the function groups by itself where it can")
    func sessionPlans() throws {
        let harness = try Self.harness()
        let head = "FROM TABLE(SESSION(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '8' SECOND))"
        #expect(
            optimized(try harness.explain("SELECT k, window_end, COUNT(*) AS c \(head) GROUP BY window_start, window_end, k")) == """
                Calc(select: k, window_end, COUNT(*) AS c)
                +- WindowAggregate(SESSION(8 s) on ts, by: k, compute: COUNT(*), give: end)
                   +- Scan(ev: k, ts)
                """)
        // Conditions on the keys alone pass the sessions, others must not.
        let filtered = optimized(try harness.explain("SELECT k, window_end, COUNT(*) AS c \(head) WHERE v > 1 AND k > 'a' GROUP BY window_start, window_end, k"))
        let parts = ["WindowAggregate(TUMBLE(1 ms) on window_end", "where: v > 1", "WindowTable(SESSION(8 s) on ts by k)", "where: k > 'a'"]
        let places = parts.compactMap { filtered.range(of: $0)?.lowerBound }
        #expect(places.count == parts.count && places == places.sorted(), "\(filtered)")
    }

    private func optimized(_ text: String) -> String {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let start = lines.firstIndex(where: { $0.contains("Optimized plan") }) else { return text }
        return lines[(start + 1)...].prefix { !$0.isEmpty }.joined(separator: "\n")
    }

    // MARK: grouping sets

    @Test("GROUPING SETS, ROLLUP and CUBE")
    func groupingSets() throws {
        let harness = try Self.harness()
        #expect(
            try texts(harness, "SELECT k, COUNT(*), GROUPING(k) FROM plain GROUP BY GROUPING SETS ((k), ())")
                == ["- 1 0", "- 10 1", "a 5 0", "b 3 0", "c 1 0"])
        #expect(try texts(harness, "SELECT k, SUM(v) FROM plain GROUP BY ROLLUP (k) HAVING GROUPING(k) = 1") == ["- 550"])
        let cube = "SELECT k, v > 50 AS big, COUNT(*), GROUPING_ID(k, v > 50) FROM plain WHERE k = 'a' GROUP BY CUBE (k, v > 50)"
        #expect(
            Set(try texts(harness, cube).map { $0.replacing("bool(true)", with: "t").replacing("bool(false)", with: "f") })
                == ["a f 3 0", "a t 2 0", "a - 5 1", "- f 3 2", "- t 2 2", "- - 5 3"])
        // Aggregates see the values of keys that a set leaves out.
        #expect(try texts(harness, "SELECT k, MAX(k) FROM plain GROUP BY GROUPING SETS ((k), ())") == ["- -", "- c", "a a", "b b", "c c"])
        #expect(try texts(harness, "SELECT k, COUNT(*) FROM plain GROUP BY k, ROLLUP (v > 50) HAVING k = 'c'") == ["c 1", "c 1"])
        #expect(try texts(harness, "SELECT k, GROUP_ID() FROM plain WHERE k = 'c' GROUP BY GROUPING SETS (k, k)") == ["c 0", "c 1"])
        #expect(try texts(harness, "SELECT k FROM plain WHERE k = 'c' GROUP BY DISTINCT GROUPING SETS (k, k)") == ["c"])
        #expect(try texts(harness, "SELECT COUNT(*), GROUPING(k) FROM plain WHERE k = 'c' GROUP BY k") == ["1 0"])
    }

    @Test("GROUPING SETS of windows")
    func windowGroupingSets() throws {
        let harness = try Self.harness()
        let function = "SELECT window_start, window_end, k, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY window_start, window_end, ROLLUP (k)"
        let expected = ["0s 20s - 6", "0s 20s a 4", "0s 20s b 2", "20s 40s - 1", "20s 40s - 2", "20s 40s c 1", "40s 60s - 1", "40s 60s b 1"]
        #expect(try texts(harness, function) == expected)
        #expect(try texts(harness, function.replacing("ROLLUP (k)", with: "GROUPING SETS ((), (k))")) == expected)
        let inside = "SELECT window_start, window_end, k, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY GROUPING SETS ((window_start, window_end, k), (window_start, window_end))"
        #expect(try texts(harness, inside) == expected)
        let legacy = "SELECT TUMBLE_START(ts, INTERVAL '20' SECOND), TUMBLE_END(ts, INTERVAL '20' SECOND), k, COUNT(*) FROM ev GROUP BY TUMBLE(ts, INTERVAL '20' SECOND), ROLLUP (k)"
        #expect(try texts(harness, legacy) == expected)
    }

    // MARK: forms

    @Test("names of arguments and offsets")
    func arguments() throws {
        let harness = try Self.harness()
        let query = """
            SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(DATA => TABLE ev, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '20' SECOND, `OFFSET` => INTERVAL -'5' SECOND))
            GROUP BY window_start, window_end
            """
        #expect(try texts(harness, query) == ["-5s 5", "15s 3", "35s 1"])
        #expect(try harness.error("SELECT window_start FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '10' SECOND))")?.problem.contains("offset") == true)
        #expect(try harness.error("SELECT window_start FROM TABLE(TUMBLE(TABLE ev PARTITION BY k, DESCRIPTOR(ts), INTERVAL '10' SECOND))")?.problem.contains("PARTITION BY") == true)
        #expect(try harness.error("SELECT COUNT(*) FROM ev GROUP BY HOP(ts, INTERVAL '0.001' SECOND, INTERVAL '1' DAY)")?.problem.contains("86400000 windows") == true)
    }

    @Test("windows of local time follow the clocks of the session's zone")
    func localTime() throws {
        let harness = try Self.harness()
        _ = try harness.run("SET 'table.local-time-zone' = 'Europe/Berlin'")
        // 2024-03-31 was 23 hours long.
        let start: Int64 = 1_711_839_600_000
        harness.memory.fill("zoned", [[.int(1), .int(start)], [.int(2), .int(start + 22 * 3_600_000)], [.int(3), .int(start + 23 * 3_600_000)]])
        let query = "SELECT DATE_FORMAT(window_start, 'MM-dd HH:mm'), DATE_FORMAT(window_end, 'MM-dd HH:mm'), COUNT(*) FROM TABLE(TUMBLE(TABLE zoned, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end"
        #expect(try texts(harness, query) == ["03-31 00:00 04-01 00:00 2", "04-01 00:00 04-02 00:00 1"])
        let session = "SELECT DATE_FORMAT(SESSION_START(ts, INTERVAL '2' HOUR), 'MM-dd HH:mm'), COUNT(*) FROM zoned GROUP BY SESSION(ts, INTERVAL '2' HOUR)"
        #expect(try texts(harness, session) == ["03-31 00:00 1", "03-31 23:00 2"])
    }

    @Test("windows on windows, over their time, several levels")
    func cascade() throws {
        let harness = try Self.harness()
        let inner = "SELECT window_time AS wt, k, SUM(v) AS s FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' SECOND)) GROUP BY window_start, window_end, window_time, k"
        let middle = "SELECT window_time AS wt, SUM(s) AS s FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(wt), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, window_time"
        let outer = "WITH a AS (\(inner)), b AS (\(middle)) SELECT window_start, SUM(s) FROM TABLE(TUMBLE(TABLE b, DESCRIPTOR(wt), INTERVAL '20' SECOND)) GROUP BY window_start, window_end"
        let once = "SELECT window_start, SUM(v) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '20' SECOND)) WHERE id NOT IN (9, 7) GROUP BY window_start, window_end"
        #expect(try texts(harness, outer).count == 3)
        #expect(try texts(harness, outer).last == (try texts(harness, once).last))
        let legacy = """
            SELECT TUMBLE_START(rt, INTERVAL '20' SECOND), SUM(s) FROM
              (SELECT TUMBLE_ROWTIME(ts, INTERVAL '10' SECOND) AS rt, SUM(v) AS s FROM ev GROUP BY TUMBLE(ts, INTERVAL '10' SECOND))
            GROUP BY TUMBLE(rt, INTERVAL '20' SECOND)
            """
        #expect(try texts(harness, legacy) == (try texts(harness, outer)))
    }

    @Test("grouping by one end of the windows only is no window aggregation")
    func oneEnd() throws {
        let harness = try Self.harness()
        let query = "SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY window_start"
        // A plain aggregation drops no late row.
        #expect(try texts(harness, query) == ["0s 7", "20s 2", "40s 1"])
        #expect(optimized(try harness.explain(query)).contains("GroupAggregate"))
    }

    @Test("windows take rows back")
    func changes() throws {
        let harness = try Self.harness()
        let last = "(SELECT id, k, ts, v FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY k ORDER BY ts DESC) AS rn FROM ev) WHERE rn = 1)"
        let legacy = "SELECT TUMBLE_START(ts, INTERVAL '20' SECOND), COUNT(*), SUM(v) FROM \(last) GROUP BY TUMBLE(ts, INTERVAL '20' SECOND)"
        let function = "WITH l AS \(last.dropFirst().dropLast()) SELECT window_start, COUNT(*), SUM(v) FROM TABLE(TUMBLE(TABLE l, DESCRIPTOR(ts), INTERVAL '20' SECOND)) GROUP BY window_start, window_end"
        // The last row of a key is taken back from its window while that is open.
        let expected = ["0s 2 120", "20s 2 140", "40s 1 100"]
        #expect(try texts(harness, legacy) == expected)
        #expect(try texts(harness, function.replacing("WITH l AS SELECT", with: "WITH l AS (SELECT").replacing("rn = 1 SELECT", with: "rn = 1) SELECT")) == expected)
    }

    // MARK: early and late results

    @Test("late rows update results for as long as is allowed")
    func lateness() throws {
        let harness = try Self.harness()
        let query = "SELECT k, TUMBLE_START(ts, INTERVAL '10' SECOND), COUNT(*) FROM ev GROUP BY TUMBLE(ts, INTERVAL '10' SECOND), k"
        #expect(try texts(harness, query).filter { $0.hasPrefix("a") } == ["a 0s 2", "a 10s 2"])
        _ = try harness.run("SET 'table.exec.emit.allow-lateness' = '1 min'")
        #expect(try texts(harness, query).filter { $0.hasPrefix("a") } == ["a 0s 3", "a 10s 2"])
        guard case .query(let planned) = try harness.run(query) else { return }
        #expect(planned.isChangelog)
        let function = "SELECT k, window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end, k"
        #expect(try texts(harness, function).filter { $0.hasPrefix("a") } == ["a 0s 3", "a 10s 2"])
        _ = try harness.run("SET 'table.exec.emit.late-fire.enabled' = 'true'")
        #expect(try harness.error(query)?.problem.contains("late-fire") == true)
        _ = try harness.run("SET 'table.exec.emit.late-fire.delay' = '2 min'")
        #expect(try harness.error(query)?.problem.contains("shorter") == true)
        _ = try harness.run("SET 'table.exec.emit.late-fire.delay' = '0 s'; SET 'table.exec.emit.early-fire.enabled' = 'true'")
        #expect(try harness.error(query)?.problem.contains("early-fire") == true)
        _ = try harness.run("SET 'table.exec.emit.early-fire.delay' = '0 s'")
        #expect(try texts(harness, query).filter { $0.hasPrefix("a") } == ["a 0s 3", "a 10s 2"])
    }

    // MARK: processing time

    @Test("windows of processing time, in all forms")
    func processingTime() throws {
        let harness = try Self.harness()
        // What has not ended when the input does is given up, as in Flink.
        for query in [
            "SELECT k, window_end, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(p), INTERVAL '1' DAY)) GROUP BY k, window_start, window_end",
            "SELECT k, TUMBLE_END(p, INTERVAL '1' DAY), TUMBLE_PROCTIME(p, INTERVAL '1' DAY), COUNT(*) FROM ev GROUP BY TUMBLE(p, INTERVAL '1' DAY), k",
            "SELECT k, COUNT(*) FROM ev GROUP BY TUMBLE(PROCTIME(), INTERVAL '1' DAY), k",
            "SELECT k, COUNT(*) FROM ev GROUP BY SESSION(p, INTERVAL '1' DAY), k",
            "SELECT k, COUNT(*) FROM ev GROUP BY HOP(p, INTERVAL '1' DAY, INTERVAL '2' DAY), k",
        ] {
            #expect(try texts(harness, query) == [], "\(query)")
            #expect(try harness.explain(query).contains(" on "))
        }
        let rows = "SELECT * FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(p), INTERVAL '1' DAY))"
        #expect(try harness.error(rows)?.problem.contains("Processing time Window TableFunction") == true)
        #expect(try harness.error("SELECT TUMBLE_ROWTIME(p, INTERVAL '1' DAY) FROM ev GROUP BY TUMBLE(p, INTERVAL '1' DAY)")?.problem.contains("ROWTIME") == true)
    }

    @Test("CURRENT_WATERMARK is the watermark before the row")
    func currentWatermark() throws {
        let harness = try Self.harness()
        #expect(
            try texts(harness, "SELECT id, CURRENT_WATERMARK(ts) FROM ev WHERE id < 6")
                == ["1 -", "2 -1s", "3 1s", "4 2s", "5 10s"])
        #expect(try texts(harness, "SELECT id FROM ev WHERE ts <= CURRENT_WATERMARK(ts)") == ["7", "9"])
        #expect(try harness.error("SELECT CURRENT_WATERMARK(v) FROM ev")?.problem.contains("time attribute") == true)
    }
}
