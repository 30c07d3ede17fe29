import StreamCore
import Testing
@testable import StreamSQL

@Suite("Joins") struct JoinTests {
    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(
            """
            CREATE TABLE l (id INT, k STRING, a INT) WITH ('connector' = 'memory');
            CREATE TABLE r (id INT, k STRING, b INT) WITH ('connector' = 'memory');
            """)
        harness.memory.fill("l", [[.int(1), .string("x"), .int(10)], [.int(2), .string("y"), .int(20)], [.null, .string("z"), .int(30)]])
        harness.memory.fill("r", [[.int(1), .string("x"), .int(5)], [.int(1), .null, .int(15)], [.int(3), .string("y"), .int(6)], [.null, .string("z"), .int(7)]])
        return harness
    }

    private func texts(_ query: String) throws -> [String] {
        try harness().rows(query).map { row in
            row.map { value in
                switch value {
                case .int(let n): "\(n)"
                case .string(let s): s
                case .null: "-"
                default: "\(value)"
                }
            }.joined(separator: " ")
        }.sorted()
    }

    @Test("every kind of outer join, with a condition beside the key") func kinds() throws {
        #expect(try texts("SELECT l.id, a, b FROM l LEFT JOIN r ON l.id = r.id") == ["- 30 -", "1 10 15", "1 10 5", "2 20 -"])
        #expect(try texts("SELECT a, b FROM l RIGHT JOIN r ON l.id = r.id AND b < a") == ["- 15", "- 6", "- 7", "10 5"])
        #expect(try texts("SELECT a, b FROM l FULL OUTER JOIN r ON l.id = r.id AND b < a") == ["- 15", "- 6", "- 7", "10 5", "20 -", "30 -"])
        #expect(try texts("SELECT a, b FROM l FULL JOIN r ON l.id IS NOT DISTINCT FROM r.id") == ["- 6", "10 15", "10 5", "20 -", "30 7"])
        #expect(try texts("SELECT a, b FROM l LEFT JOIN r ON a < b") == ["10 15", "20 -", "30 -"])
        #expect(try texts("SELECT a, b FROM l FULL JOIN r ON FALSE WHERE b IS NULL") == ["10 -", "20 -", "30 -"])
    }

    @Test("USING and NATURAL merge columns: one of each in front") func merged() throws {
        #expect(try texts("SELECT id, a, b FROM l FULL JOIN r USING (id)") == ["- - 7", "- 30 -", "1 10 15", "1 10 5", "2 20 -", "3 - 6"])
        #expect(try texts("SELECT id, r.id, l.id FROM l RIGHT JOIN r USING (id)") == ["- - -", "1 1 1", "1 1 1", "3 3 -"])
        #expect(try texts("SELECT * FROM l JOIN r USING (k)") == ["x 1 10 1 5", "y 2 20 3 6", "z - 30 - 7"])
        #expect(try texts("SELECT * FROM l NATURAL LEFT JOIN r") == ["- z 30 -", "1 x 10 5", "2 y 20 -"])
        #expect(try texts("SELECT id FROM l JOIN r USING (id) JOIN r AS s USING (id)") == ["1", "1", "1", "1"])
        let error = try harness().error("SELECT * FROM l NATURAL JOIN r WHERE r.nope = 1")
        #expect(error?.problem.contains("nope") == true)
    }

    @Test("columns of a side that may lack a match are nullable") func nullability() throws {
        guard case .query(let query) = try SQLHarness(
            """
            CREATE TABLE l (id INT NOT NULL) WITH ('connector' = 'memory');
            CREATE TABLE r (id INT NOT NULL) WITH ('connector' = 'memory');
            """).run("SELECT l.id, r.id FROM l LEFT JOIN r ON l.id = r.id") else { return }
        #expect(query.schema.map(\.nullable) == [false, true])
        #expect(query.isChangelog)
    }

    private func plans(_ query: String) throws -> (before: String, after: String) {
        guard case .query(let planned) = try harness().run(query) else { return ("", "") }
        return (planned.plan.treeText, planned.optimizedPlan.treeText)
    }

    @Test("a condition above a left join passes to the left side only, one of ON to the right side only") func pushdown() throws {
        let (before, after) = try plans("SELECT a, b FROM l LEFT JOIN r ON l.id = r.id AND a > 1 AND b > 2 WHERE a < 9 AND (b IS NULL OR b > 3)")
        #expect(
            before == """
                Project(a, b)
                +- Filter((a < 9) AND ((b IS NULL) OR (b > 3)))
                   +- LeftJoin((id = id) AND (a > 1) AND (b > 2))
                      :- Scan(l: id, k, a)
                      +- Scan(r: id, k, b)
                """)
        #expect(
            after == """
                Calc(where: (b IS NULL) OR (b > 3), select: a, b)
                +- LeftJoin(id = id AND a > 1)
                   :- Calc(where: a < 9, select: id, a)
                   |  +- Scan(l: id, a)
                   +- Calc(where: b > 2, select: id, b)
                      +- Scan(r: id, b)
                """)
    }

    @Test("an outer join keeps only the nulls that a condition above lets through",
          arguments: [("FULL", "a > 1", "LeftJoin"), ("FULL", "b > 1", "RightJoin"), ("FULL", "a > b", "Join"), ("LEFT", "b + 1 = 2", "Join"),
                      ("LEFT", "b IS NOT NULL", "Join"), ("RIGHT", "a > 1 OR a < 0", "Join"), ("LEFT", "COALESCE(b, 0) = 0", "LeftJoin"),
                      ("LEFT", "b IS NULL", "LeftJoin"), ("RIGHT", "b = 1", "RightJoin")])
    func simplified(_ kind: String, _ condition: String, _ expected: String) throws {
        let (before, after) = try plans("SELECT a, b FROM l \(kind) JOIN r ON l.id = r.id WHERE \(condition)")
        #expect(before.contains("\(kind.capitalized)Join("))
        #expect(after.contains("+- \(expected)(id = id)") || after.hasPrefix("\(expected)(id = id)"), "\(after)")
    }
}
