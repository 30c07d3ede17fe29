import StreamCore
import Testing
@testable import StreamSQL

@Suite("Queries over rows in memory") struct QueryTests {
    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(
            """
            CREATE TABLE a (id INT, k STRING, v INT) WITH ('connector' = 'memory');
            CREATE TABLE b (id INT, w STRING) WITH ('connector' = 'memory');
            CREATE TABLE ev (id INT, k STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'memory');
            CREATE TABLE narrow (k CHAR(2), n INT) WITH ('connector' = 'memory');
            CREATE TABLE strict (k STRING NOT NULL, n INT) WITH ('connector' = 'memory');
            """)
        harness.memory.fill("a", [[.int(1), .string("x"), .int(10)], [.int(2), .string("y"), .int(20)], [.int(3), .null, .int(30)]])
        harness.memory.fill(
            "b", [[.int(1), .string("one")], [.int(1), .string("uno")], [.int(3), .string("three")], [.null, .string("?")]])
        harness.memory.fill(
            "ev",
            [(1, "p", 0), (2, "p", 4_000), (3, "q", 11_000), (4, "p", 2_000), (5, "q", 21_000)].map {
                [.int(Int64($0.0)), .string($0.1), .int(Int64($0.2))]
            })
        return harness
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var sql: String, rows: [[Value]]
        init(_ sql: String, _ rows: [[Value]]) { (self.sql, self.rows) = (sql, rows) }
        var testDescription: String { sql }
    }

    static let cases = [
        Case(
            "SELECT a.id, w FROM a JOIN b ON a.id = b.id",
            [[.int(1), .string("one")], [.int(1), .string("uno")], [.int(3), .string("three")]]),
        Case("SELECT * FROM a JOIN b USING (id) WHERE v > 10", [[.int(3), .null, .int(30), .string("three")]]),
        Case("SELECT w FROM a, b WHERE a.id = b.id AND v + 1 > 30", [[.string("three")]]),
        Case("SELECT a.v, w FROM a JOIN b ON a.id + 2 = b.id AND a.v < b.id", []),
        Case("SELECT t.* FROM (SELECT id + 1 AS n, k FROM a) AS t WHERE n > 2", [[.int(3), .string("y")], [.int(4), .null]]),
        Case(
            "SELECT ev.id, w FROM ev JOIN b ON ev.id = b.id",
            [[.int(1), .string("one")], [.int(1), .string("uno")], [.int(3), .string("three")]]),
        Case("SELECT DISTINCT id FROM b", [[.int(1)], [.int(3)], [.null]]),
        Case("SELECT id FROM a UNION SELECT id FROM b", [[.int(1)], [.int(2)], [.int(3)], [.null]]),
        Case("SELECT id FROM a INTERSECT SELECT id FROM b", [[.int(1)], [.int(3)]]),
        Case("SELECT id FROM b EXCEPT SELECT id FROM a", [[.null]]),
        Case("SELECT COUNT(*), SUM(v) FROM a", [[.int(3), .int(60)]]),
        Case("SELECT k, SUM(v) FROM a GROUP BY k HAVING SUM(v) >= 20", [[.null, .int(30)], [.string("y"), .int(20)]]),
        Case("SELECT id FROM a LIMIT 2", [[.int(1)], [.int(2)]]),
        Case("SELECT id FROM a LIMIT 5 OFFSET 2", [[.int(3)]]),
        Case("SELECT v FROM a ORDER BY k DESC LIMIT 1", [[.int(20)]]),
        Case("SELECT k FROM a ORDER BY v + 0 LIMIT 1", [[.string("x")]]),
        Case("SELECT SUM(v) AS s FROM a GROUP BY k ORDER BY MAX(id) DESC LIMIT 1", [[.int(30)]]),
        Case("SELECT 1 WHERE 1 = 2", []),
        Case("WITH t AS (SELECT id FROM a), u AS (SELECT id + 1 AS id FROM t) SELECT MAX(id) FROM u", [[.int(4)]]),
        Case("SELECT x FROM (VALUES (1, 'a'), (2, 'bc')) AS t(x, y) WHERE y = 'bc'", [[.int(2)]]),
        Case("SELECT COUNT(*) FROM (SELECT k, COUNT(*) AS c FROM ev GROUP BY k)", [[.int(2)]]),
        Case(
            "SELECT k, COUNT(*) FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND)",
            [[.string("p"), .int(2)], [.string("q"), .int(1)], [.string("q"), .int(1)]]),
        Case(
            "SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND)) WHERE window_start >= TIMESTAMP '1970-01-01 00:00:10' GROUP BY window_start, window_end",
            [[.int(10_000), .int(1)], [.int(20_000), .int(1)]]),
        Case(
            "SELECT window_end, SUM(c) FROM (SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '20' SECOND)) GROUP BY k, window_start, window_end) GROUP BY window_start, window_end",
            [[.int(10_000), .int(2)], [.int(20_000), .int(4)], [.int(30_000), .int(2)], [.int(40_000), .int(1)]]),
        Case(
            "SELECT TUMBLE_START(wt, INTERVAL '20' SECOND), SUM(c) FROM (SELECT TUMBLE_ROWTIME(ts, INTERVAL '10' SECOND) AS wt, COUNT(*) AS c FROM ev GROUP BY TUMBLE(ts, INTERVAL '10' SECOND)) GROUP BY TUMBLE(wt, INTERVAL '20' SECOND)",
            [[.int(0), .int(3)], [.int(20_000), .int(1)]]),
    ]

    @Test("give their rows", arguments: cases, [1, 2])
    func rows(c: Case, parallelism: Int) throws {
        let harness = try harness()
        try harness.run("SET 'parallelism.default' = '\(parallelism)'")
        let rows = try harness.rows(c.sql)
        // LIMIT without ORDER BY may take any rows.
        if c.sql.contains("LIMIT") && !c.sql.contains("ORDER BY") {
            #expect(rows.count == c.rows.count)
        } else {
            #expect(rows == c.rows.sorted { "\($0)" < "\($1)" })
        }
    }

    @Test("INSERT casts to the sink's types and fills columns that are not listed with null")
    func insertCasts() throws {
        let harness = try harness()
        try harness.run("INSERT INTO narrow (n) SELECT COUNT(*) FROM a")
        #expect(harness.memory.sink("narrow")?.rows.last?.values == [.null, .int(3)])
        try harness.run("INSERT INTO narrow VALUES ('a', NULL), (NULL, CAST(2000000000 AS BIGINT))")
        #expect(harness.memory.sink("narrow")?.rows.map(\.values) == [[.string("a "), .null], [.null, .int(2_000_000_000)]])
    }

    @Test("a null for a NOT NULL column fails the job, or is left out on request")
    func notNull() throws {
        let harness = try harness()
        let error = try #require(try harness.error("INSERT INTO strict SELECT k, v FROM a"))
        #expect(error.code == .runtime)
        #expect(error.problem == "table strict: column k is NOT NULL, but a row has null for it")
        try harness.run("SET 'table.exec.sink.not-null-enforcer' = 'DROP'; INSERT INTO strict SELECT k, v FROM a")
        #expect(harness.memory.sink("strict")?.rows.count == 2)
    }

    @Test("a statement set runs its INSERTs in one job over one scan")
    func statementSet() throws {
        let harness = try harness()
        try harness.run(
            "EXECUTE STATEMENT SET BEGIN INSERT INTO strict SELECT 'k', v FROM a; INSERT INTO narrow SELECT k, 1 FROM a WHERE id < 3; END")
        #expect(harness.memory.sink("strict")?.rows.count == 3)
        #expect(harness.memory.sink("narrow")?.rows.count == 2)
        #expect(harness.memory.scans.map(\.table) == ["a"])
    }

    @Test("INSERTs into one table share its sink")
    func sharedSink() throws {
        let harness = try harness()
        try harness.run("EXECUTE STATEMENT SET BEGIN INSERT INTO strict SELECT 'k', v FROM a; INSERT INTO strict SELECT w, id FROM b; END")
        #expect(harness.memory.sink("strict")?.rows.count == 7)
        #expect(harness.memory.sink("strict")?.commits.count == 1)
    }

    @Test("an updating query says so, a windowed one does not")
    func changelog() throws {
        let harness = try harness()
        func planned(_ sql: String) throws -> PlannedQuery {
            guard case .query(let query) = try harness.run(sql) else { throw StreamError(.plan, "no query") }
            return query
        }
        #expect(try planned("SELECT k, COUNT(*) FROM a GROUP BY k").isChangelog)
        #expect(try !planned("SELECT DISTINCT k FROM a").isChangelog)
        #expect(try !planned("SELECT COUNT(*) FROM ev GROUP BY TUMBLE(ts, INTERVAL '1' SECOND)").isChangelog)
        let limited = try planned("SELECT id AS n FROM a ORDER BY n LIMIT 4")
        #expect(limited.isOrdered && limited.limit == 4 && limited.isBounded)
        #expect(limited.schema == [Field("n", .int)])
    }

    @Test("a change-bearing source can be grouped again")
    func changes() throws {
        let harness = try harness()
        harness.memory.fill(
            "a", [[.int(1), .string("x"), .int(10)], [.int(1), .string("x"), .int(10)], [.int(1), .string("x"), .int(15)]],
            kinds: [.insert, .updateBefore, .updateAfter])
        #expect(try harness.rows("SELECT k, SUM(v), COUNT(*) FROM a GROUP BY k") == [[.string("x"), .int(15), .int(1)]])
    }
}
