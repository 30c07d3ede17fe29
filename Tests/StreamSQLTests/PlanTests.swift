import StreamCore
import Testing
@testable import StreamSQL

@Suite("Plans") struct PlanTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v DOUBLE, day STRING, ts TIMESTAMP(3), twice AS v * 2, note STRING,
          WATERMARK FOR ts AS ts - INTERVAL '5' SECOND) PARTITIONED BY (day) WITH ('connector' = 'memory');
        CREATE TABLE users (uid INT, name STRING, score INT) WITH ('connector' = 'memory');
        CREATE TABLE o (k STRING, c BIGINT) WITH ('connector' = 'memory');
        CREATE TABLE o2 (id INT) WITH ('connector' = 'memory');

        """
    @Test func show() throws {
        let harness = try SQLHarness(Self.tables)
        for q in ["SELECT k, id + 1 AS n FROM ev WHERE v > 1.5 AND day IN ('a', 'b')",
            "SELECT k, window_start, COUNT(*) AS c, SUM(twice) s FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)) WHERE v > 0 GROUP BY k, window_start, window_end",
            "SELECT window_start, window_end, MAX(c) FROM (SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY k, window_start, window_end) GROUP BY window_start, window_end",
            "SELECT name, n FROM users JOIN (SELECT id, COUNT(*) n FROM ev GROUP BY id) e ON uid = e.id AND score > n WHERE name <> 'x' ORDER BY n DESC LIMIT 3",
            "STATEMENT SET BEGIN INSERT INTO o SELECT k, COUNT(*) FROM ev GROUP BY k; INSERT INTO o2 SELECT id FROM ev WHERE id > 1; END",
            "SELECT COUNT(*) FROM users",
            "SELECT id FROM ev EXCEPT SELECT uid FROM users",
        ] {
            do { print(q); print(try harness.explain(q)); print() } catch { print(error) }
        }
        try harness.run("SET 'parallelism.default' = '2'")
        print(try harness.explain("SELECT k, HOP_START(ts, INTERVAL '10' SECOND, INTERVAL '1' MINUTE), COUNT(*) FROM ev GROUP BY k, HOP(ts, INTERVAL '10' SECOND, INTERVAL '1' MINUTE) ORDER BY 1"))
    }
}
