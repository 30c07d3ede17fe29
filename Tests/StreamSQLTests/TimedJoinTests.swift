import StreamCore
import StreamExpressions
import Testing
@testable import StreamSQL

@Suite("Joins by time") struct TimedJoinTests {
    private static let tables = """
        CREATE TABLE a (id INT, k STRING, ts TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR ts AS ts) WITH ('connector' = 'memory');
        CREATE TABLE b (id INT, k STRING, ts TIMESTAMP(3), pt AS PROCTIME(), WATERMARK FOR ts AS ts) WITH ('connector' = 'memory');
        CREATE TABLE v (k STRING, rate INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'memory');
        CREATE TABLE z (k STRING, rate INT, ts TIMESTAMP_LTZ(3), WATERMARK FOR ts AS ts, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'memory');
        """

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(Self.tables)
        let rows: ([(Int64, String?, Int64)]) -> [[Value]] = { rows in
            rows.map { [.int($0.0), $0.1.map { .string($0) } ?? .null, .int($0.2)] }
        }
        harness.memory.fill("a", rows([(1, "x", 1_000), (2, "y", 2_000), (3, nil, 3_000), (4, "x", 12_000), (5, "z", 25_000)]))
        harness.memory.fill("b", rows([(10, "x", 500), (11, "x", 3_000), (12, "y", 9_000), (13, nil, 9_500), (14, "x", 15_000)]))
        harness.memory.fill("v", [("x", 1, 0), ("x", 2, 2_000), ("y", 3, 5_000)].map { [.string($0.0), .int(Int64($0.1)), .int(Int64($0.2))] })
        return harness
    }

    private func texts(_ query: String) throws -> String {
        try harness().rows(query).map { $0.map { "\($0)" }.joined(separator: " ") }.map {
            $0.replacing("int(", with: "").replacing("string(\"", with: "").replacing("\")", with: "").replacing(")", with: "")
        }.sorted().joined(separator: "; ")
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var query: String, plan: String, rows: String
        var testDescription: String { query }
    }

    @Test(
        "are recognised in all forms of bounds",
        arguments: [
            Case(query: "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '3' SECOND",
                 plan: "IntervalJoin(inner: k = k AND ts BETWEEN ts - 3 s AND ts)", rows: "1 11; 4 14"),
            Case(query: "SELECT a.id, b.id FROM a, b WHERE a.k = b.k AND a.ts > b.ts - INTERVAL '5' SECOND AND b.ts + INTERVAL '1' SECOND >= a.ts",
                 plan: "IntervalJoin(inner: k = k AND ts BETWEEN ts - 4999 ms AND ts + 1 s)", rows: "1 10; 1 11; 4 14"),
            Case(query: "SELECT a.id, b.id FROM a JOIN b ON a.ts + INTERVAL '500' DAY(3) = b.ts + INTERVAL '500' DAY(3)",
                 plan: "IntervalJoin(inner: ts BETWEEN ts AND ts)", rows: "3 11"),
            Case(query: "SELECT a.id, b.id FROM a LEFT JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '3' SECOND",
                 plan: "IntervalJoin(left: ", rows: "1 11; 2 null; 3 null; 4 14; 5 null"),
            Case(query: "SELECT a.id, b.id FROM a FULL JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '8' SECOND AND a.id < 2",
                 plan: "IntervalJoin(full: ", rows: "1 11; 2 null; 3 null; 4 null; 5 null; null 10; null 12; null 13; null 14"),
            Case(query: "SELECT a.id, b.id FROM a RIGHT JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '3' SECOND WHERE b.id < 12",
                 plan: "IntervalJoin(right: ", rows: "1 11; null 10"),
            Case(query: "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k AND a.pt BETWEEN b.pt - INTERVAL '1' HOUR AND b.pt + INTERVAL '1' HOUR",
                 plan: "of processing", rows: "1 10; 1 11; 1 14; 2 12; 4 10; 4 11; 4 14"),
            Case(query: "SELECT a.id, b.id FROM a JOIN b ON a.k = b.k AND a.ts < b.ts", plan: "Join(k = k)", rows: "1 11; 1 14; 2 12; 4 14"),
            Case(query: "SELECT w, COUNT(*) FROM (SELECT window_start AS w FROM TABLE(TUMBLE(TABLE ab, DESCRIPTOR(ts), INTERVAL '2' SECOND))) GROUP BY w",
                 plan: "IntervalJoin(", rows: "0 1; 12000 1"),
        ])
    func interval(c: Case) throws {
        let view = "CREATE VIEW ab AS SELECT a.ts AS ts FROM a JOIN b ON a.k = b.k AND b.ts BETWEEN a.ts AND a.ts + INTERVAL '3' SECOND;"
        let harness = try harness()
        _ = try harness.run(view)
        let plan = try harness.explain(c.query)
        #expect(plan.contains(c.plan), "\(plan)")
        let rows = try harness.rows(c.query).map { $0.map { "\($0)" }.joined(separator: " ") }.map {
            $0.replacing("int(", with: "").replacing(")", with: "")
        }.sorted().joined(separator: "; ")
        #expect(rows == c.rows)
    }

    private static let windows = """
        (SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '10' SECOND))) l
        KIND (SELECT * FROM TABLE(TUMBLE(TABLE b, DESCRIPTOR(ts), INTERVAL '10' SECOND))) r
        ON l.window_start = r.window_start AND l.window_end = r.window_end
        """

    @Test(
        "windows are joined when they end",
        arguments: [
            ("SELECT l.id, r.id FROM " + windows + " AND l.k = r.k", "JOIN", "1 10; 1 11; 2 12; 4 14"),
            ("SELECT l.id, r.id FROM " + windows + " AND l.k = r.k AND r.id > 10", "LEFT JOIN", "1 11; 2 12; 3 null; 4 14; 5 null"),
            ("SELECT l.id, r.id FROM " + windows + " AND l.k = r.k", "FULL JOIN", "1 10; 1 11; 2 12; 3 null; 4 14; 5 null; null 13"),
            ("SELECT l.id, r.id FROM " + windows, "RIGHT JOIN", "1 10; 1 11; 1 12; 1 13; 2 10; 2 11; 2 12; 2 13; 3 10; 3 11; 3 12; 3 13; 4 14"),
        ])
    func window(query: String, kind: String, rows: String) throws {
        let text = query.replacing("KIND", with: kind)
        let plan = try harness().explain(text)
        #expect(plan.contains("WindowJoin("), "\(plan)")
        #expect(try texts(text) == rows)
    }

    @Test("the result of a window join can be grouped by its windows")
    func cascade() throws {
        let query = "SELECT l.window_start, COUNT(*) FROM " + Self.windows.replacing("KIND", with: "JOIN") + " AND l.k = r.k GROUP BY l.window_start, l.window_end"
        #expect(try texts(query) == "0 3; 10000 1")
    }

    @Test(
        "a row is joined with the version that held at its time",
        arguments: [
            ("SELECT a.id, v.rate FROM a JOIN v FOR SYSTEM_TIME AS OF a.ts ON a.k = v.k", "1 1; 4 2"),
            ("SELECT a.id, r.rate FROM a LEFT JOIN v FOR SYSTEM_TIME AS OF a.ts AS r ON r.k = a.k", "1 1; 2 null; 3 null; 4 2; 5 null"),
            ("SELECT a.id, r.rate FROM a LEFT JOIN v FOR SYSTEM_TIME AS OF a.ts AS r ON r.k = a.k AND r.rate > 1 WHERE a.id <> 2", "1 null; 3 null; 4 2; 5 null"),
            ("SELECT a.id, r.rate FROM a JOIN v FOR SYSTEM_TIME AS OF a.ts AS r ON r.k = a.k WHERE r.rate = 1", "1 1"),
        ])
    func temporal(query: String, rows: String) throws {
        let plan = try harness().explain(query)
        #expect(plan.contains("TemporalJoin("), "\(plan)")
        #expect(try texts(query) == rows)
    }

    @Test(
        "what Flink refuses is refused",
        arguments: [
            ("SELECT 1 FROM a JOIN b FOR SYSTEM_TIME AS OF a.ts ON a.k = b.k", "primary key"),
            ("SELECT 1 FROM a JOIN v FOR SYSTEM_TIME AS OF a.ts ON a.id = v.rate", "must be included in the equality"),
            ("SELECT 1 FROM a JOIN z FOR SYSTEM_TIME AS OF a.ts ON a.k = z.k", "time attributes of one type"),
            ("SELECT 1 FROM a JOIN v FOR SYSTEM_TIME AS OF v.ts ON a.k = v.k", "no table or column v"),
            ("SELECT 1 FROM a RIGHT JOIN v FOR SYSTEM_TIME AS OF a.ts ON a.k = v.k", "not supported yet: RIGHT JOIN with FOR SYSTEM_TIME AS OF"),
            ("SELECT 1 FROM a FOR SYSTEM_TIME AS OF a.ts", "stands behind a table that is joined"),
            ("SELECT 1 FROM (SELECT k, MAX(ts) AS m FROM a GROUP BY k) x JOIN v FOR SYSTEM_TIME AS OF x.m ON x.k = v.k", "time attribute of the left table"),
        ])
    func refusals(query: String, problem: String) throws {
        let error = try #require(try harness().error(query))
        #expect(error.problem.contains(problem), "\(error)")
        #expect([.plan, .validate].contains(error.code))
    }
}
