import StreamCore
import StreamExpressions
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

/// What each rule of the optimiser makes of a plan.
@Suite("Optimizer rules") struct RuleTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v DOUBLE, dt STRING, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '5' SECOND)
          PARTITIONED BY (dt) WITH ('connector' = 'memory');
        CREATE TABLE big (id INT, a INT, b INT) WITH ('connector' = 'memory', 'statistics.row-count' = '1000000');
        CREATE TABLE middle (a INT, c INT) WITH ('connector' = 'memory', 'statistics.row-count' = '1000');
        CREATE TABLE small (c INT, b INT) WITH ('connector' = 'memory', 'statistics.row-count' = '10');

        """

    /// The plan of a query as bound, and as the rules make it.
    private func plans(_ query: String, _ rules: (LogicalPlan, EvaluationContext) throws -> LogicalPlan) throws -> (before: String, after: String) {
        let session = try SQLHarness(Self.tables).session
        let script = ScriptText(SourceText(query))
        let context = BindingContext(
            catalog: session.catalog, functions: .builtin, settings: session.settings, script: script, counter: .init())
        let plan = try QueryBinder(context).bind(try SQLParser(text: query).parseQuery()).unshared
        return (plan.treeText, try rules(plan, session.evaluation).treeText)
    }

    @Test("ConstantFolding computes what depends on no row, once")
    func constantFolding() throws {
        let (before, after) = try plans("SELECT id, UPPER('a' || 'b') AS u FROM ev WHERE v > 1e0 + 2e0") { ConstantFolding(context: $1).apply($0) }
        #expect(
            before == """
                Project(id, UPPER('a' || 'b') AS u)
                +- Filter(v > (1.0 + 2.0))
                   +- Scan(ev: id, k, v, dt, ts)
                """)
        #expect(
            after == """
                Project(id, 'AB' AS u)
                +- Filter(v > 3.0)
                   +- Scan(ev: id, k, v, dt, ts)
                """)
    }

    @Test("FilterPushdown moves conditions below projections, unions and groupings of their keys")
    func filterPushdown() throws {
        let (before, after) = try plans(
            "SELECT * FROM (SELECT k, COUNT(*) AS n FROM (SELECT k FROM ev UNION ALL SELECT dt FROM ev) GROUP BY k) WHERE k = 'x' AND n > 1"
        ) { plan, _ in FilterPushdown().apply(plan) }
        #expect(before.hasPrefix("Project(k, n)\n+- Filter((k = 'x') AND (n > 1))\n"))
        #expect(
            after == """
                Project(k, n)
                +- Project(k, COUNT(*) AS n)
                   +- Filter(COUNT(*) > 1)
                      +- GroupAggregate(by: k, compute: COUNT(*))
                         +- Project(k)
                            +- UnionAll(2 inputs)
                               :- Project(k)
                               |  +- Filter(k = 'x')
                               |     +- Scan(ev: id, k, v, dt, ts)
                               +- Project(dt)
                                  +- Filter(dt = 'x')
                                     +- Scan(ev: id, k, v, dt, ts)
                """)
    }

    @Test("JoinKeys finds the columns that a join compares")
    func joinKeys() throws {
        let (before, after) = try plans("SELECT ev.id FROM ev JOIN big ON ev.id = big.id AND ev.v > big.a") { plan, _ in JoinKeys().apply(plan) }
        #expect(before.contains("Join((id = id) AND"))
        #expect(after.contains("Join(id = id)"))
    }

    @Test("CalcMerging makes one step of a filter and projections, unless something would be computed twice")
    func calcMerging() throws {
        let (_, after) = try plans("SELECT x AS a FROM (SELECT v + 1 AS x, k FROM ev) WHERE k = 'a'") { plan, _ in CalcMerging().apply(plan) }
        #expect(
            after == """
                Calc(where: k = 'a', select: v + 1.0 AS a)
                +- Scan(ev: id, k, v, dt, ts)
                """)
        let (_, twice) = try plans("SELECT x + x AS a FROM (SELECT v * v AS x FROM ev)") { plan, _ in CalcMerging().apply(plan) }
        #expect(twice.split(separator: "\n").count == 3)
    }

    @Test("ColumnPruning reads only the columns that are used, and those of the watermark")
    func columnPruning() throws {
        let (before, after) = try plans("SELECT k FROM ev") { plan, _ in ColumnPruning().apply(plan) }
        #expect(before.contains("Scan(ev: id, k, v, dt, ts)"))
        #expect(after.contains("Scan(ev: k, ts)"))
    }

    @Test("PartitionPruning tells a scan which partitions there are to read")
    func partitionPruning() throws {
        let (before, after) = try plans("SELECT k FROM ev WHERE dt = '2026-01-01' OR dt = '2026-01-02'") { plan, _ in
            PartitionPruning().apply(CalcMerging().apply(plan))
        }
        #expect(!before.contains("partitions"))
        #expect(after.contains("partitions: dt in ('2026-01-01', '2026-01-02')"))
    }

    @Test("WindowFusion lets the grouping assign the windows")
    func windowFusion() throws {
        let (before, after) = try plans(
            "SELECT k, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY k, window_start, window_end"
        ) { plan, _ in CalcMerging().apply(WindowFusion().apply(CalcMerging().apply(plan))) }
        #expect(before.contains("WindowTable(TUMBLE(10 s) on ts)"))
        #expect(after.contains("WindowAggregate(TUMBLE(10 s) on ts, by: k, compute: COUNT(*))") && !after.contains("WindowTable"))
    }

    @Test("SubplanReuse keeps marks of costly queries that are read twice")
    func subplanReuse() throws {
        let session = try SQLHarness(Self.tables).session
        func plan(_ query: String) throws -> LogicalPlan {
            let script = ScriptText(SourceText(query))
            let context = BindingContext(
                catalog: session.catalog, functions: .builtin, settings: session.settings, script: script, counter: .init())
            return try QueryBinder(context).bind(try SQLParser(text: query).parseQuery())
        }
        let twice = try plan("WITH s AS (SELECT k, COUNT(*) AS n FROM ev GROUP BY k) SELECT k FROM s UNION ALL SELECT k FROM s WHERE n > 1")
        #expect(SubplanReuse().apply([twice])[0].treeText.components("Shared(s)") == 2)
        #expect(SubplanReuse(isOff: true).apply([twice])[0].treeText.components("Shared(s)") == 0)
        let once = try plan("WITH s AS (SELECT k, COUNT(*) AS n FROM ev GROUP BY k) SELECT k FROM s")
        #expect(SubplanReuse().apply([once])[0].treeText.components("Shared(s)") == 0)
        let cheap = try plan("WITH s AS (SELECT k FROM ev) SELECT k FROM s UNION ALL SELECT k FROM s")
        #expect(SubplanReuse().apply([cheap])[0].treeText.components("Shared(s)") == 0)
    }

    @Test("JoinReorder begins with the smallest table and goes on with what is tied to it")
    func joinReorder() throws {
        let query = "SELECT big.id, small.b FROM big JOIN middle ON big.a = middle.a JOIN small ON middle.c = small.c"
        let (before, after) = try plans(query) { plan, _ in JoinReorder().apply(FilterPushdown().apply(plan)) }
        #expect(
            before == """
                Project(id, b)
                +- Join(c = c)
                   :- Join(a = a)
                   |  :- Scan(big: id, a, b)
                   |  +- Scan(middle: a, c)
                   +- Scan(small: c, b)
                """)
        #expect(
            after == """
                Project(id, b)
                +- Project(id, a, b, a, c, c, b)
                   +- Join(a = a)
                      :- Join(c = c)
                      |  :- Scan(small: c, b)
                      |  +- Scan(middle: a, c)
                      +- Scan(big: id, a, b)
                """)
        // The same rows either way.
        let harness = try SQLHarness(Self.tables)
        harness.memory.fill("big", (0..<40).map { [.int($0), .int($0 % 7), .int($0)] })
        harness.memory.fill("middle", (0..<14).map { [.int($0 % 7), .int($0 % 3)] })
        harness.memory.fill("small", [[.int(1), .int(100)], [.int(2), .int(200)], [.int(1), .int(101)]])
        let plain = try harness.rows(query)
        try harness.run("SET 'table.optimizer.join-reorder-enabled' = 'true'")
        #expect(try harness.rows(query) == plain && plain.count > 20)
    }
}

extension String {
    /// How often `part` stands in it.
    fileprivate func components(_ part: String) -> Int { ranges(of: part).count }
}
