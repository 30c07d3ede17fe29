import StreamCore
import Testing
@testable import StreamSQL

@Suite("Plans") struct PlanTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v DOUBLE, dt STRING, ts TIMESTAMP(3), twice AS v * 2, note STRING, pos BIGINT METADATA FROM 'offset' VIRTUAL,
          WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) PARTITIONED BY (dt) WITH ('connector' = 'memory');
        CREATE TABLE users (uid INT, name STRING, score INT) WITH ('connector' = 'memory');
        CREATE TABLE o (k STRING, c BIGINT) WITH ('connector' = 'memory');
        CREATE TABLE o2 (id INT) WITH ('connector' = 'memory');

        """

    private func part(_ title: String, _ text: String) -> String {
        guard let start = text.range(of: "== \(title) ==\n")?.upperBound else { return "" }
        return String(text[start...].prefix(upTo: text[start...].range(of: "\n\n==")?.lowerBound ?? text.endIndex))
    }

    @Test("EXPLAIN shows the query as written, as optimised and as a job")
    func explain() throws {
        let text = try SQLHarness(Self.tables).explain("SELECT k, id + 1 AS n FROM ev WHERE v > 1.5 AND dt IN ('a', 'b')")
        #expect(
            text == """
                == Abstract plan ==
                Project(k, id + 1 AS n)
                +- Filter((v > 1.5) AND ((dt = 'a') OR (dt = 'b')))
                   +- Scan(ev: id, k, v, dt, ts, twice, note, pos)

                == Optimized plan ==
                Calc(where: (v > 1.5) AND ((dt = 'a') OR (dt = 'b')), select: k, id + 1 AS n)
                +- Scan(ev: id, k, v, dt, ts, partitions: dt in ('a', 'b'))

                == Job graph ==
                0: Source: ev (id, k, v, dt, ts) [parallelism 1]
                1: where (v > 1.5) AND ((dt = 'a') OR (dt = 'b')), select k, id + 1 AS n [parallelism 1] <- 0
                2: Sink: collect [parallelism 1] <- 1
                """)
    }

    @Test("a window in FROM and its GROUP BY become one step that assigns windows itself")
    func fusedWindow() throws {
        let text = try SQLHarness(Self.tables).explain(
            """
            SELECT k, window_start, COUNT(*) AS c, SUM(twice) AS s
            FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)) WHERE v > 0 GROUP BY k, window_start, window_end
            """)
        #expect(
            part("Optimized plan", text) == """
                Calc(select: k, window_start, COUNT(*) AS c, SUM(twice) AS s)
                +- WindowAggregate(HOP(10 s, 1 min) on ts, by: k, compute: COUNT(*), SUM(twice), give: start)
                   +- Calc(where: v > 0.0, select: k, twice, ts)
                      +- Scan(ev: k, v, ts, twice)
                """)
    }

    @Test("rows carry their windows where something looks at the window columns first")
    func carriedWindow() throws {
        let text = try SQLHarness(Self.tables).explain(
            """
            SELECT window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
            WHERE window_start > TIMESTAMP '2024-01-01 00:00:00' GROUP BY window_start, window_end
            """)
        #expect(
            part("Optimized plan", text).hasPrefix(
                "WindowAggregate(TUMBLE(1 min) on window_end, by: window_start, window_end, compute: COUNT(*))"))
    }

    @Test("a window over the result of the same window closes with it")
    func cascadedWindow() throws {
        let text = try SQLHarness(Self.tables).explain(
            """
            SELECT window_start, window_end, MAX(c) FROM (
              SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
              GROUP BY k, window_start, window_end) GROUP BY window_start, window_end
            """)
        #expect(
            part("Optimized plan", text) == """
                WindowAggregate(TUMBLE(1 min) on window_end, by: window_start, window_end, compute: MAX(c))
                +- Calc(select: window_start, window_end, COUNT(*) AS c)
                   +- WindowAggregate(TUMBLE(1 min) on ts, by: k, compute: COUNT(*), give: start, end)
                      +- Scan(ev: k, ts)
                """)
    }

    @Test("conditions go to the side of the join that they are about, equalities become its keys")
    func join() throws {
        let text = try SQLHarness(Self.tables).explain(
            """
            SELECT name, n FROM users JOIN (SELECT id, COUNT(*) n FROM ev GROUP BY id) e ON uid = e.id AND score > n
            WHERE name <> 'x' AND id > 5 ORDER BY n DESC LIMIT 3
            """)
        #expect(
            part("Optimized plan", text) == """
                Sort(by: n DESC, limit: 3)
                +- Calc(where: CAST(score AS BIGINT) > COUNT(*), select: name, COUNT(*) AS n)
                   +- Join(uid = id)
                      :- Calc(where: name <> 'x', select: uid, name, score)
                      |  +- Scan(users: uid, name, score)
                      +- GroupAggregate(by: id, compute: COUNT(*))
                         +- Calc(where: id > 5, select: id)
                            +- Scan(ev: id, ts)
                """)
    }

    @Test("a comma join with its condition in WHERE is keyed too")
    func commaJoin() throws {
        let text = try SQLHarness(Self.tables).explain("SELECT k FROM ev, users WHERE uid + 1 = id")
        #expect(part("Optimized plan", text).contains("Join("))
        #expect(!text.contains("CrossJoin\n   :- Scan(ev: id, k)\n   +- Scan"))
        #expect(part("Job graph", text).contains("join on id = key$"))
    }

    @Test("INSERTs of one statement set read a table once, with the columns of all of them")
    func sharedScan() throws {
        let text = try SQLHarness(Self.tables).explain(
            """
            STATEMENT SET BEGIN INSERT INTO o SELECT k, COUNT(*) FROM ev GROUP BY k; INSERT INTO o2 SELECT id FROM ev WHERE id > 1; END
            """)
        #expect(
            part("Job graph", text) == """
                0: Source: ev (id, k, ts) [parallelism 1]
                1: select k [parallelism 1] <- 0
                2: GROUP BY k: COUNT(*) [parallelism 1] <- 1
                3: where id > 1, select id [parallelism 1] <- 0
                4: Sink: o [parallelism 1] <- 2
                5: Sink: o2 [parallelism 1] <- 3
                """)
    }

    @Test("with several subtasks a window aggregates before and behind the exchange, and a sort runs in one")
    func parallel() throws {
        let harness = try SQLHarness(Self.tables)
        try harness.run("SET 'parallelism.default' = '2'")
        let text = try harness.explain(
            "SELECT k, TUMBLE_END(ts, INTERVAL '10' SECOND) AS e, COUNT(*) AS c FROM ev GROUP BY k, TUMBLE(ts, INTERVAL '10' SECOND) ORDER BY 2"
        )
        #expect(
            part("Job graph", text) == """
                0: Source: ev (k, ts) [parallelism 2]
                1: select ts, k [parallelism 2] <- 0
                2: local TUMBLE(10 s) k: COUNT(*) [parallelism 2] <- 1
                3: TUMBLE(10 s) k: COUNT(*) [parallelism 2] <- 2 hash(k)
                4: select k, window_end AS e, COUNT(*) AS c [parallelism 2] <- 3
                5: Sort(by: e) [parallelism 1] <- 4 single
                6: Sink: collect [parallelism 1] <- 5
                """)
    }

    @Test("EXPLAIN DOT draws the job")
    func dot() throws {
        let text = try SQLHarness(Self.tables).explain("DOT SELECT uid FROM users WHERE name = '\"'")
        #expect(
            text == """
                digraph "SELECT" {
                  rankdir=LR;
                  node [shape=box, fontname="Helvetica"];
                  v0 [label="Source: users (uid, name)\\nparallelism 1", style=rounded];
                  v1 [label="where name = '\\"', select uid\\nparallelism 1"];
                  v2 [label="Sink: collect\\nparallelism 1", style=rounded];
                  v0 -> v1;
                  v1 -> v2;
                }
                """)
    }

    struct Pushed: Sendable, CustomTestStringConvertible {
        var query: String, projection: [Int], metadata: [Int] = [], partitions: Set<String>? = nil
        var testDescription: String { query }
    }

    @Test(
        "a scan asks for the columns that are read, the watermark's among them, and for the partitions that are left",
        arguments: [
            Pushed(query: "SELECT id FROM ev WHERE dt = 'a' AND v > 1", projection: [0, 2, 3, 4], partitions: ["a"]),
            Pushed(query: "SELECT twice FROM ev", projection: [4, 2]),
            Pushed(
                query: "SELECT note, pos FROM ev WHERE dt IN ('a', 'b') AND dt <> 'c'", projection: [3, 4, 5], metadata: [0],
                partitions: ["a", "b"]),
            Pushed(query: "SELECT COUNT(*) FROM ev", projection: [4]),
            Pushed(
                query: "SELECT COUNT(*) FROM (SELECT k, dt FROM ev WHERE dt = 'a') WHERE k = 'x'", projection: [1, 3, 4], partitions: ["a"]),
            Pushed(query: "SELECT id FROM ev WHERE dt = 'a' OR id = 1", projection: [0, 3, 4]),
        ])
    func pushdown(c: Pushed) throws {
        let harness = try SQLHarness(Self.tables)
        try harness.run(c.query)
        let scan = try #require(harness.memory.scans.last).scan
        #expect(scan.projection == c.projection)
        #expect(scan.metadata == c.metadata)
        #expect(scan.partitionFilter == (c.partitions.map { ["dt": Set($0.map { Value.string($0) })] } ?? [:]))
    }
}
