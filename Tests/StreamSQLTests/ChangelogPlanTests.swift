import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

@Suite("Changelogs of plans") struct ChangelogPlanTests {
    static let tables = """
        CREATE TABLE ev (id INT, k STRING, v BIGINT) WITH ('connector' = 'memory');
        CREATE TABLE byKey (k STRING, c BIGINT, PRIMARY KEY (k) NOT ENFORCED) WITH ('connector' = 'memory', 'mode' = 'upsert');
        CREATE TABLE byOther (k STRING, c BIGINT, PRIMARY KEY (c) NOT ENFORCED) WITH ('connector' = 'memory', 'mode' = 'upsert');
        CREATE TABLE users (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'memory', 'mode' = 'upsert');

        """

    private func changelog(_ harness: SQLHarness, _ query: String) throws -> String {
        guard case .query(let planned) = try harness.run(query) else { return "" }
        return planned.changelog.treeText
    }

    private func steps(_ harness: SQLHarness, _ insert: String) throws -> [String] {
        guard case .insert(let graph) = try harness.session.execute(SQLParser(text: insert).parseScript()[0]) else { return [] }
        return graph.vertices.map(\.name)
    }

    @Test("every step shows the kinds of its rows")
    func modes() throws {
        let harness = try SQLHarness(Self.tables)
        let nested = try changelog(harness, "SELECT c, COUNT(*) AS n FROM (SELECT k, SUM(v) AS c FROM ev GROUP BY k) WHERE c > 1 GROUP BY c")
        #expect(
            nested == """
                GroupAggregate(by: c, compute: COUNT(*)), changelogMode=[I,UB,UA,D]
                +- Calc(where: SUM(v) > 1, select: SUM(v) AS c), changelogMode=[I,UB,UA]
                   +- GroupAggregate(by: k, compute: SUM(v)), changelogMode=[I,UB,UA]
                      +- Scan(ev: k, v), changelogMode=[I]
                """)
        #expect(try changelog(harness, "SELECT DISTINCT k FROM ev").hasPrefix("GroupAggregate(by: k), changelogMode=[I]\n"))
        #expect(try changelog(harness, "SELECT name FROM users") == """
            Calc(select: name), changelogMode=[I,UB,UA,D]
            +- ChangelogNormalize(by: id), changelogMode=[I,UB,UA,D]
               +- Scan(users: id, name), changelogMode=[I,UB,UA,D]
            """)
    }

    @Test("EXPLAIN CHANGELOG_MODE shows which rows each step gives, and that a keyed sink needs no old rows")
    func explained() throws {
        let harness = try SQLHarness(Self.tables)
        let text = try harness.explain("CHANGELOG_MODE INSERT INTO byKey SELECT k, SUM(v) FROM ev GROUP BY k")
        #expect(text.contains("Sink(byKey)\n+- Calc("))
        #expect(text.contains("GroupAggregate(by: k, compute: SUM(v)), changelogMode=[I,UA]"))
        #expect(text.contains("Scan(ev: k, v), changelogMode=[I]"))
        let query = try harness.explain("CHANGELOG_MODE SELECT k, SUM(v) FROM ev GROUP BY k")
        #expect(query.contains("GroupAggregate(by: k, compute: SUM(v)), changelogMode=[I,UB,UA]"))
        #expect(try harness.error("EXPLAIN ESTIMATED_COST SELECT k FROM ev")?.problem == "not supported yet: EXPLAIN ESTIMATED_COST")
    }

    @Test("rows that a source gives by key become a full changelog")
    func normalized() throws {
        let harness = try SQLHarness(Self.tables)
        harness.memory.fill(
            "users", [[.int(1), .string("a")], [.int(2), .string("b")], [.int(1), .string("c")], [.int(1), .string("c")], [.int(2), .null]],
            kinds: [.insert, .updateAfter, .updateAfter, .updateAfter, .delete])
        #expect(try harness.rows("SELECT id, name FROM users") == [[.int(1), .string("c")]])
        #expect(try harness.rows("SELECT COUNT(*) FROM users") == [[.int(1)]])
        // A condition on the key passes below, one on something else must not.
        #expect(try changelog(harness, "SELECT id FROM users WHERE id > 1 AND name <> 'x'").contains("Calc(where: id > 1"))
        #expect(try harness.rows("SELECT id FROM users WHERE name = 'a'") == [])
    }

    @Test("a sink gets old rows and a materializer only where its key is not the query's")
    func sinks() throws {
        let harness = try SQLHarness(Self.tables)
        harness.memory.fill("ev", [[.int(1), .string("a"), .int(5)], [.int(2), .string("b"), .int(7)], [.int(3), .string("a"), .int(2)]])
        #expect(try steps(harness, "INSERT INTO byKey SELECT k, SUM(v) FROM ev GROUP BY k").contains { $0.hasPrefix("SinkMaterializer") } == false)
        #expect(try steps(harness, "INSERT INTO byOther SELECT k, SUM(v) FROM ev GROUP BY k").contains("SinkMaterializer(c)"))
        #expect(try steps(harness, "INSERT INTO byOther SELECT k, v FROM ev").contains { $0.hasPrefix("SinkMaterializer") } == false)
        #expect(try steps(harness, "INSERT INTO byOther SELECT MAX(k), SUM(v) FROM ev").contains { $0.hasPrefix("SinkMaterializer") } == false)
        // Both have 7 in the end: the one that came last counts.
        try harness.run("INSERT INTO byOther SELECT k, SUM(v) FROM ev GROUP BY k")
        var table: [Value: Value] = [:]
        for row in harness.memory.sink("byOther")!.rows { table[row.values[1]] = row.kind.isAdd ? row.values[0] : nil }
        #expect(table == [.int(7): .string("b")])
        try harness.run("SET 'table.exec.sink.upsert-materialize' = 'NONE'")
        #expect(try steps(harness, "INSERT INTO byOther SELECT k, SUM(v) FROM ev GROUP BY k").contains { $0.hasPrefix("SinkMaterializer") } == false)
        try harness.run("SET 'table.exec.sink.upsert-materialize' = 'FORCE'")
        #expect(try steps(harness, "INSERT INTO byOther SELECT k, v FROM ev").contains { $0.hasPrefix("SinkMaterializer") })
    }

    @Test("a view that a statement set reads twice is computed once")
    func sharedView() throws {
        let harness = try SQLHarness(
            Self.tables + """
                CREATE VIEW sums AS SELECT k, SUM(v) AS c, COUNT(*) AS n FROM ev GROUP BY k;
                """)
        harness.memory.fill("ev", (1...30).map { [.int($0), .string("k\($0 % 3)"), .int($0)] })
        let set = "EXECUTE STATEMENT SET BEGIN INSERT INTO byKey SELECT k, c FROM sums; INSERT INTO byOther SELECT k, n FROM sums WHERE c > 150; END"
        #expect(try steps(harness, set).filter { $0.hasPrefix("GROUP BY") }.count == 1)
        try harness.run(set)
        #expect(harness.memory.scans.filter { $0.table == "ev" }.isEmpty == false)
        #expect(SQLHarness.collapsed(harness.memory.sink("byKey")!.rows.filter { $0.kind.isAdd }).first?.last == .int(165))
        try harness.run("SET 'table.optimizer.reuse-sub-plan-enabled' = 'false'")
        #expect(try steps(harness, set).filter { $0.hasPrefix("GROUP BY") }.count == 2)
    }

    @Test("a WITH table that is joined with itself is computed once")
    func sharedCommonTable() throws {
        let harness = try SQLHarness(Self.tables)
        harness.memory.fill("ev", (1...30).map { [.int($0), .string("k\($0 % 3)"), .int($0)] })
        let query = "WITH s AS (SELECT k, SUM(v) AS c FROM ev GROUP BY k) SELECT a.k, a.c + b.c FROM s AS a JOIN s AS b ON a.k = b.k"
        guard case .query(let planned) = try harness.run(query) else { return }
        let graph = try planned.jobGraph(into: CollectingSink(maxParallelism: 1))
        #expect(graph.vertices.filter { $0.name.hasPrefix("GROUP BY") }.count == 1)
        #expect(try harness.rows(query) == [[.string("k0"), .int(330)], [.string("k1"), .int(290)], [.string("k2"), .int(310)]])
    }
}
