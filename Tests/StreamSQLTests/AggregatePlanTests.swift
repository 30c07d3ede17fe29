import FileConnectors
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

/// Plans of aggregations before and after each rule, and what the functions give.
@Suite("Aggregations") struct AggregatePlanTests {
    static let miniBatch = """
        SET 'table.exec.mini-batch.enabled' = 'true'; SET 'table.exec.mini-batch.allow-latency' = '1 s'; SET 'table.exec.mini-batch.size' = '100';
        """
    static let table = "CREATE TABLE t (k STRING, v INT, w BIGINT) WITH ('connector' = 'memory');"

    static let rows: [[Value]] = (0..<500).map { (i: Int) -> [Value] in
        let k: Value = i % 11 == 0 ? .null : .string("k\(i % 5)")
        let v: Value = i % 13 == 0 ? .null : .int(Int64(i * 7 % 40))
        return [k, v, .int(Int64(i * 31 % 17))]
    }

    private func harness(_ settings: String = "") throws -> SQLHarness {
        let harness = try SQLHarness(settings + Self.table)
        harness.memory.fill("t", Self.rows)
        return harness
    }

    @Test("two phases: partial results in front of the exchange, when mini-batches are on and there are several subtasks")
    func twoPhases() throws {
        let query = "SELECT k, COUNT(*), SUM(v), MAX(w) FROM t GROUP BY k"
        let parallel = "SET 'parallelism.default' = '2';"
        func hasLocal(_ settings: String, _ query: String) throws -> Bool { try harness(settings).explain(query).contains("local GROUP BY k") }
        #expect(try !hasLocal(parallel, query))
        #expect(try !hasLocal(Self.miniBatch, query))
        #expect(try hasLocal(Self.miniBatch + parallel, query))
        #expect(try !hasLocal(Self.miniBatch + parallel + "SET 'table.optimizer.agg-phase-strategy' = 'ONE_PHASE';", query))
        #expect(try !hasLocal(Self.miniBatch + parallel, "SELECT k, COUNT(DISTINCT v) FROM t GROUP BY k"))
        let expected = try harness().rows(query)
        #expect(expected.count == 6)
        #expect(try harness(Self.miniBatch + parallel).rows(query) == expected)
        #expect(try harness(Self.miniBatch).rows(query) == expected)
    }

    @Test("mini-batches need both of their bounds")
    func bounds() throws {
        let harness = try harness("SET 'table.exec.mini-batch.enabled' = 'true';")
        #expect(throws: StreamError.self) { try harness.rows("SELECT COUNT(*) FROM t") }
        #expect(throws: StreamError.self) { try harness.run("SET 'table.optimizer.agg-phase-strategy' = 'THREE'") }
    }

    @Test("split-distinct: DISTINCT by bucket of values first, then the group")
    func splitDistinct() throws {
        let query = """
            SELECT k, COUNT(*), COUNT(DISTINCT v), COUNT(DISTINCT v) FILTER (WHERE w > 5), SUM(DISTINCT w), MIN(v), COUNT(v) FILTER (WHERE w < 3)
            FROM t GROUP BY k
            """
        let split = Self.miniBatch + "SET 'table.optimizer.distinct-agg.split.enabled' = 'true'; SET 'table.optimizer.distinct-agg.split.bucket-num' = '7';"
        let before = try harness(Self.miniBatch).explain(query)
        #expect(!before.contains("DistinctSplit"))
        let after = try harness(split).explain(query)
        #expect(after.contains("DistinctSplit((v), (w) into 7 buckets"))
        #expect(try !harness(split).explain("SELECT k, COUNT(DISTINCT v), AVG(v) FROM t GROUP BY k").contains("DistinctSplit"))
        let expected = try harness().rows(query)
        #expect(try harness(split).rows(query) == expected)
        #expect(try harness(split + "SET 'parallelism.default' = '2';").rows(query) == expected)
        // Over input that takes rows back.
        let over = "SELECT COUNT(DISTINCT n), SUM(DISTINCT n), COUNT(*) FROM (SELECT k, v, COUNT(*) AS n FROM t GROUP BY k, v)"
        #expect(try harness(split).rows(over) == harness().rows(over))
    }

    @Test("functions give what Flink's documentation says")
    func functions() throws {
        let harness = try SQLHarness("CREATE TABLE s (g INT, x INT, p DOUBLE) WITH ('connector' = 'memory');")
        harness.memory.fill("s", [
            [.int(1), .int(10), .double(0.25)], [.int(1), .null, .double(0.25)], [.int(1), .int(20), .double(0.25)], [.int(1), .int(10), .double(0.25)],
            [.int(1), .int(40), .double(0.25)],
        ])
        func one(_ exprs: String) throws -> [Value] { try harness.rows("SELECT \(exprs) FROM s GROUP BY g")[0] }
        #expect(try one("ARRAY_AGG(x), ARRAY_AGG(x) IGNORE NULLS, ARRAY_AGG(DISTINCT x IGNORE NULLS)") == [
            .array([.int(10), .null, .int(20), .int(10), .int(40)]), .array([.int(10), .int(20), .int(10), .int(40)]),
            .array([.int(10), .int(20), .int(40)]),
        ])
        #expect(try one("ARRAY_AGG(x) FILTER (WHERE x > 100)") == [.null])
        #expect(try one("PERCENTILE(x, 0.5), PERCENTILE(x, ARRAY[0.0, 0.25, 1.0]), PERCENTILE(x, 0.5, x)") == [
            .double(15), .array([.double(10), .double(10), .double(40)]), .double(30),
        ])
        #expect(try one("APPROX_COUNT_DISTINCT(x)") == [.int(3)])
        #expect(try one("COUNT(DISTINCT x), SUM(DISTINCT x), AVG(DISTINCT x), COUNT(DISTINCT x) FILTER (WHERE x < 30), COUNT(x, g)") == [
            .int(3), .int(70), .int(23), .int(2), .int(4),
        ])
        #expect(try harness.rows("SELECT SINGLE_VALUE(x) FROM s WHERE x = 20") == [[.int(20)]])
        #expect(throws: StreamError.self) { try harness.rows("SELECT SINGLE_VALUE(x) FROM s") }
        #expect(throws: StreamError.self) { try harness.rows("SELECT APPROX_COUNT_DISTINCT(n) FROM (SELECT COUNT(*) AS n FROM s GROUP BY x)") }
        #expect(throws: StreamError.self) { try harness.rows("SELECT LISTAGG(CAST(x AS STRING)) WITHIN GROUP (ORDER BY x) FROM s") }
        #expect(throws: StreamError.self) { try harness.rows("SELECT SUM(x) IGNORE NULLS FROM s") }
    }

    @Test("only the parts of a ROW that are read are asked for, where the connector finds them by name")
    func nestedProjection() throws {
        let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector()])
        func table(_ format: String) throws {
            for statement in try SQLParser(text: """
                CREATE TABLE \(format)_events (kind INT, a ROW<x INT, s STRING, inner_row ROW<p INT, q STRING>, ts TIMESTAMP(3)>, b ROW<y INT, z INT>,
                  ts AS a.ts, WATERMARK FOR ts AS ts) WITH ('connector' = 'filesystem', 'path' = '/nowhere/\(format)', 'format' = '\(format)');
                """).parseScript() { _ = try session.execute(statement) }
        }
        try table("json")
        func scan(_ query: String) throws -> [String: DataType] {
            guard case .query(let planned) = try session.execute(try SQLParser(text: query).parseScript()[0]) else { return [:] }
            var found: [String: DataType] = [:]
            func visit(_ plan: LogicalPlan) {
                if case .scan(let scan) = plan { for field in scan.table.descriptor.schema { found[field.name] = field.type } }
                plan.inputs.forEach(visit)
            }
            visit(planned.optimizedPlan)
            return found
        }
        let ts = Field("ts", .timestamp(3))
        var types = try scan("SELECT a.x, b.z FROM json_events WHERE kind = 1")
        #expect(types["a"] == .row([Field("x", .int), ts]))
        #expect(types["b"] == .row([Field("z", .int)]))
        types = try scan("SELECT a.inner_row.q, UPPER(a.s), b FROM json_events")
        #expect(types["a"] == .row([Field("s", .string), Field("inner_row", .row([Field("q", .string)])), ts]))
        #expect(types["b"] == .row([Field("y", .int), Field("z", .int)]))
        // One scan for both sides.
        types = try scan("SELECT l.a.x, r.b.y FROM json_events l JOIN json_events r ON l.kind = r.kind")
        #expect(types["a"] == .row([Field("x", .int), ts]))
        #expect(types["b"] == .row([Field("y", .int)]))
        types = try scan("SELECT a.inner_row, a.inner_row.p FROM json_events")
        #expect(types["a"] == .row([Field("inner_row", .row([Field("p", .int), Field("q", .string)])), ts]))
    }
}
