import StreamCore
import Testing
@testable import StreamSQL

@Suite("Errors of binding and planning") struct ErrorTests {
    static let tables = """
        CREATE TABLE trades (id INT, k STRING, p DECIMAL(10,2), q INT, ts TIMESTAMP(3), r ROW<city STRING, n INT>,
          WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'memory');
        CREATE TABLE o (k STRING, c BIGINT) WITH ('connector' = 'memory');
        CREATE TABLE strict (k STRING NOT NULL, c TIMESTAMP(3)) WITH ('connector' = 'memory', 'changes' = 'false');
        CREATE TABLE plain (id INT, ts TIMESTAMP(3)) WITH ('connector' = 'memory', 'unbounded' = 'true');

        """

    struct Case: Sendable, CustomTestStringConvertible {
        var sql: String, line: Int, column: Int, problem: String, fix: String?
        init(_ sql: String, _ line: Int, _ column: Int, _ problem: String, fix: String? = nil) {
            (self.sql, self.line, self.column, self.problem, self.fix) = (sql, line, column, problem, fix)
        }
        var testDescription: String { sql }
    }

    @Test(
        "names the place, the problem and what to write",
        arguments: [
            Case("SELECT id, prise FROM trades", 1, 12, "there is no column prise", fix: "use one of id, k, p, q, r, ts"),
            Case("SELECT idd FROM trades", 1, 8, "there is no column idd", fix: "write \"id\""),
            Case("SELECT id\nFROM trade", 2, 6, "there is no table or view trade", fix: "write \"trades\""),
            Case("SELECT t.x FROM trades AS t", 1, 8, "t has no column x", fix: "write \"k\""),
            Case("SELECT r.town FROM trades", 1, 8, "ROW<city STRING, n INT> has no field town", fix: "use one of city, n"),
            Case(
                "SELECT id FROM trades a, trades b", 1, 8, "column id is ambiguous: several tables have it",
                fix: "put the table's name or alias in front"),
            Case(
                "SELECT k, q, COUNT(*) FROM trades GROUP BY k", 1, 11, "column q is neither in GROUP BY nor inside an aggregate",
                fix: "add q to GROUP BY, or put it into an aggregate such as MAX(q)"),
            Case(
                "SELECT k, COUNT(*) FROM trades GROUP BY 1", 1, 8, "column k is neither in GROUP BY nor inside an aggregate",
                fix: "write the expression itself: GROUP BY takes no positions"),
            Case(
                "SELECT id + 1 AS x, COUNT(*) FROM trades GROUP BY x", 1, 51, "there is no column x",
                fix: "write the expression that x stands for: GROUP BY takes no names given in SELECT"),
            Case(
                "SELECT k FROM trades WHERE COUNT(*) > 1", 1, 28, "COUNT is an aggregate and cannot stand in WHERE",
                fix: "put the condition into HAVING"),
            Case("SELECT MEDIANISH(q) FROM trades", 1, 8, "there is no function MEDIANISH"),
            Case("SELECT NULL AS x", 1, 8, "NULL has no type here", fix: "write CAST(NULL AS type), for example CAST(NULL AS STRING)"),
            Case(
                "SELECT id FROM trades WHERE q", 1, 29, "WHERE needs a condition, but this is of type INT", fix: "compare it with something"
            ),
            Case(
                "SELECT id FROM trades UNION ALL SELECT ts FROM trades", 1, 33,
                "UNION ALL: column 1 is id INT on the left and ts TIMESTAMP(3) on the right", fix: "cast one of them"),
            Case(
                "SELECT id FROM trades UNION SELECT id, k FROM trades", 1, 29,
                "UNION needs as many columns on both sides: 1 on the left, 2 on the right"),
            Case(
                "INSERT INTO o SELECT k, id, q FROM trades", 1, 13,
                "table o takes 2 columns (k, c), but the query gives 3 (k, id, q)",
                fix: "select one expression per column, or list the columns: INSERT INTO o (...)"),
            Case(
                "INSERT INTO strict SELECT k, q FROM trades", 1, 13,
                "table strict: column c is TIMESTAMP(3), but the query gives q INT for it",
                fix: "write CAST(q AS TIMESTAMP(3))"),
            Case(
                "INSERT INTO strict (c) SELECT ts FROM trades", 1, 13, "table strict: column k is NOT NULL, but the INSERT leaves it out",
                fix: "add it to the column list"),
            Case("INSERT INTO o (k, d) SELECT k, id FROM trades", 1, 13, "table o has no column d to write to", fix: "write \"k\""),
            Case(
                "SELECT id FROM plain ORDER BY id", 1, 1, "ORDER BY needs bounded input, but this query reads a stream that does not end",
                fix: "order by the time attribute first, leave ORDER BY out, or bound the source"),
            Case(
                "SELECT * FROM TABLE(TUMBLE(TABLE plain, DESCRIPTOR(ts), INTERVAL '1' SECOND))", 1, 52,
                "TUMBLE needs a time attribute, but ts is a plain TIMESTAMP(3)",
                fix: "declare WATERMARK FOR on the table's column, and pass the column on as it is: a cast or function makes it plain"),
            Case(
                "SELECT COUNT(*) FROM trades GROUP BY HOP(ts, INTERVAL '2' SECOND, INTERVAL '5' SECOND)", 1, 38,
                "HOP: the size must be a multiple of the slide"),
            Case(
                "SELECT TUMBLE_START(ts, INTERVAL '2' SECOND) FROM trades GROUP BY TUMBLE(ts, INTERVAL '5' SECOND)", 1, 8,
                "TUMBLE_START needs GROUP BY TUMBLE(...) with the same arguments"),
            Case(
                "CREATE TABLE t (id INT) WITH ('connector' = 'memry')", 1, 31, "table t: there is no connector 'memry'",
                fix: "write \"memory\""),
            Case(
                "CREATE TABLE t (id INT)\nWITH ('connector' = 'memory',\n 'unbonded' = 'true')", 3, 2,
                "table t: connector 'memory' has no option 'unbonded'", fix: "write \"unbounded\""),
            Case(
                "CREATE TABLE t (id INT, WATERMARK FOR id AS id) WITH ('connector' = 'memory')", 1, 39,
                "WATERMARK FOR id: the column is of type INT", fix: "make it TIMESTAMP(3) or TIMESTAMP_LTZ(3)"),
            Case("DROP VIEW trades", 1, 11, "trades is a table", fix: "write DROP TABLE trades"),
            Case(
                "SET 'tabel.local-time-zone' = 'UTC'", 1, 1, "there is no setting 'tabel.local-time-zone'",
                fix: "write \"table.local-time-zone\""),
        ])
    func located(_ c: Case) throws {
        let harness = try SQLHarness(Self.tables)
        let error = try #require(try harness.error(c.sql))
        #expect(error.problem == c.problem)
        if let fix = c.fix { #expect(error.fix == fix) }
        #expect(error.location == SourceLocation(line: c.line, column: c.column))
        #expect(error.sourceLine == SQLSource.line(c.line, of: c.sql))
    }

    @Test("a query that updates is refused by a sink that only appends")
    func updates() throws {
        let harness = try SQLHarness(Self.tables)
        let error = try #require(try harness.error("INSERT INTO strict SELECT k, MAX(ts) FROM trades GROUP BY k"))
        #expect(
            error.problem
                == "table sink 'strict' doesn't support consuming update changes which is produced by GroupAggregate(by: k, compute: MAX(ts))"
        )
        #expect(error.location == SourceLocation(line: 1, column: 13))
    }

    @Test("an error inside of a view shows the view's own text")
    func insideView() throws {
        let harness = try SQLHarness(Self.tables)
        try harness.run("\n\nCREATE VIEW v AS\nSELECT id FROM plain")
        try harness.run("DROP TABLE plain")
        let error = try #require(try harness.error("SELECT * FROM v"))
        #expect(error.problem == "there is no table or view plain")
        #expect(error.location == SourceLocation(line: 4, column: 16))
        #expect(error.sourceLine == "SELECT id FROM plain")
    }
}

enum SQLSource {
    static func line(_ n: Int, of text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)[n - 1]
    }
}

@Suite("Values that do not fit a sink") struct SinkValueTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var type: String, value: String, problem: String?
        init(_ type: String, _ value: String, _ problem: String? = nil) { (self.type, self.value, self.problem) = (type, value, problem) }
        var testDescription: String { "\(value) into \(type)" }
    }

    @Test(
        "fail the job with the value, and are not wrapped",
        arguments: [
            Case("INT", "2147483647"), Case("INT", "CAST(-2147483648 AS BIGINT)"),
            Case("INT", "2147483648", "2147483648 does not fit v INT"), Case("INT", "-2147483649", "-2147483649 does not fit v INT"),
            Case("TINYINT", "127"), Case("TINYINT", "128", "128 does not fit v TINYINT"),
            Case("SMALLINT", "CAST(40000 AS BIGINT)", "40000 does not fit v SMALLINT"),
            Case("INT", "3.99"), Case("INT", "1e10", "1.0E10 does not fit v INT"), Case("BIGINT", "CAST('NaN' AS DOUBLE)", "NaN does not fit v BIGINT"),
            Case("INT", "12345678901.5", "12345678901.5 does not fit v INT"),
            Case("DECIMAL(5, 2)", "999.99"), Case("DECIMAL(5, 2)", "1000", "1000 does not fit v DECIMAL(5, 2)"),
            Case("DECIMAL(5, 2)", "CAST(NULL AS INT)"), Case("INT", "CAST(NULL AS BIGINT)"),
        ])
    func notWrapped(_ c: Case) throws {
        let script = """
            CREATE TABLE o (v \(c.type)) WITH ('connector' = 'memory');
            INSERT INTO o SELECT x FROM (VALUES (\(c.value))) t(x);
            """
        let error = try SQLHarness().error(script)
        #expect(error?.problem == c.problem)
        if c.problem != nil { #expect(error?.code == .runtime && error?.fix?.contains("CAST(... AS") == true) }
    }

    @Test("a long line is shown around the place, without control characters")
    func excerpt() {
        let line = String(repeating: "a", count: 500) + "\u{1B}[2J?" + String(repeating: "b", count: 500)
        let text = StreamError(.parse, "no", at: SourceLocation(line: 1, column: 505), sourceLine: line).description.split(separator: "\n")
        #expect(text.count == 3 && text[1].count < 180)
        #expect(!text[1].contains("\u{1B}"))
        #expect(Array(text[1])[text[2].count - 1] == "?")
    }
}
