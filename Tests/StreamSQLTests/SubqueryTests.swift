import StreamCore
import Testing
@testable import StreamSQL

@Suite("Sub-queries") struct SubqueryTests {
    /// Orders with a null customer, customers with a null id.
    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(
            """
            CREATE TABLE o (oid INT, cid INT, amt INT) WITH ('connector' = 'memory');
            CREATE TABLE c (id INT, name STRING, lim INT) WITH ('connector' = 'memory');
            CREATE TABLE n (v INT) WITH ('connector' = 'memory');
            CREATE TABLE nothing (v INT) WITH ('connector' = 'memory');
            """)
        harness.memory.fill(
            "o", [[.int(1), .int(10), .int(5)], [.int(2), .int(10), .int(50)], [.int(3), .int(20), .int(7)], [.int(4), .null, .int(8)], [.int(5), .int(99), .int(1)]])
        harness.memory.fill("c", [[.int(10), .string("a"), .int(6)], [.int(20), .string("b"), .int(100)], [.int(30), .string("d"), .int(0)]])
        harness.memory.fill("n", [[.int(1)], [.null], [.int(3)]])
        return harness
    }

    private func texts(_ query: String) throws -> [String] {
        try harness().rows(query).map { row in
            row.map { value in
                switch value {
                case .int(let n): "\(n)"
                case .string(let s): s
                case .bool(let b): "\(b)"
                case .null: "-"
                default: "\(value)"
                }
            }.joined(separator: " ")
        }.sorted()
    }

    @Test("IN and NOT IN a set") func isIn() throws {
        #expect(try texts("SELECT oid FROM o WHERE cid IN (SELECT id FROM c)") == ["1", "2", "3"])
        #expect(try texts("SELECT oid FROM o WHERE cid NOT IN (SELECT id FROM c)") == ["5"])
        #expect(try texts("SELECT oid FROM o WHERE NOT (cid IN (SELECT id FROM c))") == ["5"])
        #expect(try texts("SELECT oid FROM o WHERE oid NOT IN (SELECT v FROM n)") == [])
        #expect(try texts("SELECT oid FROM o WHERE oid NOT IN (SELECT v FROM n WHERE v IS NOT NULL)") == ["2", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE cid NOT IN (SELECT v FROM nothing)") == ["1", "2", "3", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE (cid, oid) IN (SELECT id, v FROM c, n)") == ["1", "3"])
        #expect(try texts("SELECT oid FROM o WHERE (cid, oid) NOT IN (SELECT id, v FROM c, n WHERE v IS NOT NULL)") == ["2", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE oid + 1 IN (SELECT v + 1 FROM n)") == ["1", "3"])
    }

    @Test("IN under OR, NOT and as a value knows null") func inPlaces() throws {
        #expect(try texts("SELECT oid FROM o WHERE cid IN (SELECT id FROM c) OR amt = 8") == ["1", "2", "3", "4"])
        #expect(try texts("SELECT oid FROM o WHERE cid NOT IN (SELECT id FROM c) OR amt = 7") == ["3", "5"])
        #expect(try texts("SELECT oid FROM o WHERE oid NOT IN (SELECT v FROM n) OR amt = 7") == ["3"])
        #expect(try texts("SELECT oid, oid IN (SELECT v FROM n), cid IN (SELECT v FROM nothing) FROM o") == ["1 true false", "2 - false", "3 true false", "4 - false", "5 - false"])
        #expect(try texts("SELECT oid, CASE WHEN EXISTS (SELECT 1 FROM c WHERE id = cid) THEN 'y' ELSE 'n' END FROM o") == ["1 y", "2 y", "3 y", "4 n", "5 n"])
    }

    @Test("EXISTS, correlated or not, with other comparisons beside the equal ones") func exists() throws {
        #expect(try texts("SELECT oid FROM o WHERE EXISTS (SELECT 1 FROM c WHERE id = cid AND lim < amt)") == ["2"])
        #expect(try texts("SELECT oid FROM o WHERE NOT EXISTS (SELECT 1 FROM c WHERE id = cid AND lim < amt)") == ["1", "3", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE EXISTS (SELECT * FROM nothing)") == [])
        #expect(try texts("SELECT oid FROM o WHERE NOT EXISTS (SELECT * FROM nothing) AND oid < 3") == ["1", "2"])
        #expect(try texts("SELECT oid FROM o WHERE EXISTS (SELECT * FROM n LIMIT 1) AND amt > 7") == ["2", "4"])
        #expect(try texts("SELECT name FROM c WHERE EXISTS (SELECT 1 FROM o WHERE cid = c.id AND EXISTS (SELECT 1 FROM n WHERE v = o.oid))") == ["a", "b"])
        #expect(try texts("SELECT name FROM c WHERE EXISTS (SELECT cid FROM o WHERE cid = c.id GROUP BY cid HAVING COUNT(*) > 1)") == ["a"])
        #expect(try texts("SELECT name FROM c WHERE EXISTS (SELECT 1 FROM o JOIN n ON v = oid WHERE cid = c.id)") == ["a", "b"])
    }

    @Test("a query as a value") func scalar() throws {
        #expect(try texts("SELECT oid, (SELECT MAX(id) FROM c) FROM o WHERE amt > (SELECT AVG(amt) FROM o)") == ["2 30"])
        #expect(try texts("SELECT name, (SELECT COUNT(*) FROM o WHERE cid = c.id), (SELECT SUM(amt) FROM o WHERE cid = c.id) FROM c") == ["a 2 55", "b 1 7", "d 0 -"])
        #expect(try texts("SELECT oid, (SELECT name FROM c WHERE id = o.cid) FROM o") == ["1 a", "2 a", "3 b", "4 -", "5 -"])
        #expect(try texts("SELECT oid FROM o WHERE amt > (SELECT lim FROM c WHERE id = o.cid)") == ["2"])
        #expect(try texts("SELECT cid, SUM(amt) FROM o GROUP BY cid HAVING SUM(amt) > (SELECT MAX(v) FROM n) + 4") == ["- 8", "10 55"])
        #expect(try texts("SELECT cid, (SELECT name FROM c WHERE id = o.cid) FROM o GROUP BY cid") == ["- -", "10 a", "20 b", "99 -"])
        #expect(try texts("SELECT oid, (SELECT v FROM nothing) FROM o WHERE oid = 1") == ["1 -"])
        #expect(throws: StreamError.self) { try texts("SELECT oid, (SELECT v FROM n) FROM o") }
        #expect(throws: StreamError.self) { try texts("SELECT name, (SELECT amt FROM o WHERE cid = c.id) FROM c") }
    }

    @Test("comparing with ANY and ALL of a set") func quantified() throws {
        #expect(try texts("SELECT oid FROM o WHERE oid = ANY (SELECT v FROM n)") == ["1", "3"])
        #expect(try texts("SELECT oid FROM o WHERE oid > SOME (SELECT v FROM n)") == ["2", "3", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE oid >= ALL (SELECT v FROM n WHERE v > 0)") == ["3", "4", "5"])
        #expect(try texts("SELECT oid FROM o WHERE oid > ALL (SELECT v FROM n)") == [])
        #expect(try texts("SELECT oid FROM o WHERE oid > ALL (SELECT v FROM nothing) AND oid < 3") == ["1", "2"])
        #expect(try texts("SELECT oid FROM o WHERE oid <> ALL (SELECT v FROM n WHERE v > 0)") == ["2", "4", "5"])
    }

    @Test("LATERAL queries refer to the tables on their left") func lateral() throws {
        #expect(try texts("SELECT name, t.oid FROM c, LATERAL (SELECT oid FROM o WHERE cid = c.id AND amt > c.lim) AS t") == ["a 2"])
        #expect(try texts("SELECT name, t.x FROM c LEFT JOIN LATERAL (SELECT oid FROM o WHERE cid = c.id) AS t(x) ON TRUE") == ["a 1", "a 2", "b 3", "d -"])
        #expect(try texts("SELECT name, m, k FROM c, LATERAL (SELECT MAX(amt) AS m, COUNT(*) AS k FROM o WHERE cid = c.id) AS t") == ["a 50 2", "b 7 1", "d - 0"])
    }

    @Test("LATERAL top-N gives the first rows for each row on its left, a null key matching null") func lateralTop() throws {
        let query = "SELECT k, t.oid, t.amt FROM (SELECT DISTINCT cid AS k FROM o), LATERAL (SELECT oid, amt FROM o WHERE cid = k ORDER BY amt DESC LIMIT 1) AS t"
        #expect(try texts(query) == ["- 4 8", "10 2 50", "20 3 7", "99 5 1"])
    }

    @Test("INTERSECT ALL and EXCEPT ALL keep numbers of equal rows") func setAll() throws {
        let both = ["EXCEPT", "INTERSECT"].map { "SELECT v FROM (VALUES (1), (1), (1), (2), (3), (CAST(NULL AS INT))) AS l(v) \($0) ALL SELECT v FROM (VALUES (1), (1), (3), (4), (CAST(NULL AS INT))) AS r(v)" }
        #expect(try texts(both[0]) == ["1", "2"])
        #expect(try texts(both[1]) == ["-", "1", "1", "3"])
    }

    @Test("what cannot be planned is refused where it stands") func refused() throws {
        let error = try harness().error("SELECT name FROM c WHERE id = 1 OR EXISTS (SELECT 1 FROM o WHERE amt > c.lim)")
        #expect(error?.problem.contains("not supported") == true)
        #expect(error?.location != nil)
        #expect(try harness().error("SELECT oid FROM o WHERE cid IN (SELECT id, lim FROM c)")?.problem.contains("2 columns") == true)
        #expect(try harness().error("SELECT oid FROM o WHERE EXISTS (SELECT 1 FROM c WHERE idd = cid)")?.problem.contains("idd") == true)
    }

    @Test("a condition's sub-queries become semi and anti joins keyed by their equalities") func plans() throws {
        guard case .query(let planned) = try harness().run("SELECT oid FROM o WHERE EXISTS (SELECT 1 FROM c WHERE id = cid AND lim < amt) AND oid NOT IN (SELECT v FROM n WHERE v IS NOT NULL) AND amt > 1")
        else { return }
        let text = planned.optimizedPlan.treeText
        #expect(text.contains("SemiJoin(cid = id AND lim < amt)"), "\(text)")
        #expect(text.contains("AntiJoin(oid = v)"), "\(text)")
        #expect(text.contains("Calc(where: amt > 1"), "\(text)")
    }
}
