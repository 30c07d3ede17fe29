import StreamCore
import StreamExpressions
import StreamOperators
import Testing
@testable import StreamSQL

@Suite("UNNEST and LATERAL TABLE") struct LateralTests {
    private static let tables = """
        CREATE TABLE t (id INT, xs ARRAY<INT>, m MAP<STRING, INT>, rs ARRAY<ROW<n INT, s STRING>>) WITH ('connector' = 'memory');
        """

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness(Self.tables)
        harness.memory.fill(
            "t",
            [
                [
                    .int(1), .array([.int(5), .null]), .map([.init(.string("a"), .int(1))]),
                    .array([.row([.int(1), .string("p")]), .null, .row([.int(2), .null])]),
                ],
                [.int(2), .array([]), .null, .array([])],
                [.int(3), .null, .map([]), .null],
            ])
        return harness
    }

    /// `split(text, count)`: the text's pieces of `count` characters, with their lengths.
    private func registerSplit(_ session: SQLSession) {
        session.rowFunctions.register("split") { arguments in
            guard arguments.count == 1, arguments[0].type.isText || arguments[0].type == .int else {
                throw StreamError(.validate, "SPLIT takes (text)")
            }
            let function = RowFunction(name: "SPLIT", resultTypes: [.int, .bigint]) { _ in Split() }
            return .init(function: function, arguments: arguments, columns: [Field("part", .int), Field("size", .bigint)])
        }
    }

    private final class Split: RowFunctionInstance {
        func call(_ arguments: [Column], count: Int) throws -> (columns: [Column], calls: [Int32]) {
            var calls: [Int32] = []
            let (parts, sizes) = (ColumnBuilder(type: .int), ColumnBuilder(type: .bigint))
            for i in 0..<count {
                guard case .int(let n) = arguments[0].flat().value(at: i) else { continue }
                for part in 0..<n {
                    calls.append(Int32(i))
                    parts.append(.int(part))
                    sizes.append(.int(n))
                }
            }
            return ([parts.finish(), sizes.finish()], calls)
        }
    }

    struct Case: CustomTestStringConvertible, Sendable {
        var query: String, rows: String
        var testDescription: String { query }
    }

    @Test(
        "gives a row for each element",
        arguments: [
            Case(query: "SELECT id, x FROM t CROSS JOIN UNNEST(xs) AS u(x)", rows: "1 5; 1 null"),
            Case(query: "SELECT id, x FROM t, UNNEST(xs) AS x", rows: "1 5; 1 null"),
            Case(query: "SELECT id, u.x FROM t LEFT JOIN UNNEST(xs) AS u(x) ON TRUE", rows: "1 5; 1 null; 2 null; 3 null"),
            Case(query: "SELECT id, u.x FROM t LEFT JOIN UNNEST(xs) AS u(x) ON x > 5", rows: "1 null; 2 null; 3 null"),
            Case(query: "SELECT id, x, o FROM t, UNNEST(xs) WITH ORDINALITY AS u(x, o) WHERE x IS NULL", rows: "1 null 2"),
            Case(query: "SELECT id, `KEY`, `VALUE` FROM t CROSS JOIN UNNEST(m)", rows: "1 a 1"),
            Case(query: "SELECT id, n, s FROM t CROSS JOIN UNNEST(rs) AS u(n, s)", rows: "1 1 p; 1 2 null"),
            Case(query: "SELECT u.n FROM t CROSS JOIN UNNEST(rs) AS u WHERE id = 1 AND u.n > 1", rows: "2"),
            Case(query: "SELECT x FROM UNNEST(ARRAY[3, 4]) AS u(x)", rows: "3; 4"),
            Case(query: "SELECT id, COUNT(*) AS n FROM t, UNNEST(xs) AS a(x), UNNEST(rs) AS b GROUP BY id", rows: "1 4"),
            Case(query: "SELECT COUNT(*) FROM t, UNNEST(xs) AS x", rows: "2"),
            Case(query: "SELECT a.x, b.y FROM t, UNNEST(xs) AS a(x), UNNEST(ARRAY[a.x, id]) AS b(y) WHERE a.x = 5", rows: "5 1; 5 5"),
            Case(query: "SELECT id, part, size FROM t, LATERAL TABLE(split(id)) WHERE id < 3", rows: "1 0 1; 2 0 2; 2 1 2"),
            Case(query: "SELECT id, p FROM t LEFT JOIN LATERAL TABLE(split(id - 1)) AS s(p, n) ON TRUE WHERE id < 3", rows: "1 null; 2 0"),
            Case(query: "SELECT part FROM TABLE(split(2))", rows: "0; 1"),
        ])
    func rows(c: Case) throws {
        let harness = try harness()
        registerSplit(harness.session)
        let rows = try harness.rows(c.query).map { $0.map(Self.text).joined(separator: " ") }.sorted()
        #expect(rows.joined(separator: "; ") == c.rows)
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .int(let i): "\(i)"
        case .string(let s): s
        default: "\(value)"
        }
    }

    @Test("conditions on the left side pass below, others go into the step, and what only the call needs is not given on")
    func plan() throws {
        let text = try harness().explain("SELECT x FROM t CROSS JOIN UNNEST(xs) AS u(x) WHERE id > 1 AND x > 2")
        #expect(
            text.contains(
                """
                Correlate(inner UNNEST(xs) as x where x > 2, select x)
                +- Calc(where: id > 1, select: xs)
                   +- Scan(t: id, xs)
                """), "\(text)")
    }

    @Test(
        "refuses what it cannot call",
        arguments: [
            ("SELECT 1 FROM t, UNNEST(id)", "UNNEST takes an array or a map"), ("SELECT 1 FROM t, LATERAL TABLE(nope(id))", "no table function NOPE"),
            ("SELECT 1 FROM t, UNNEST(xs) AS u(a, b)", "has 1 columns, but 2 names"),
            ("SELECT 1 FROM t RIGHT JOIN UNNEST(xs) AS u(a) ON TRUE", "not supported yet: RIGHT JOIN with a table function"),
            ("SELECT 1 FROM t, LATERAL TABLE(split())", "SPLIT takes"),
        ])
    func refusals(query: String, problem: String) throws {
        let harness = try harness()
        registerSplit(harness.session)
        let error = try #require(try harness.error(query))
        #expect(error.problem.contains(problem), "\(error)")
        #expect(error.location != nil)
    }
}

@Suite("Processing time") struct ProcessingTimeTests {
    @Test("PROCTIME() makes a processing-time attribute, which is the clock's time as a value")
    func attribute() throws {
        let memory = MemoryConnector()
        let session = SQLSession(catalog: Catalog(connectors: [memory]), now: { 1_000 })
        let script = "CREATE TABLE p (id INT, pt AS PROCTIME()) WITH ('connector' = 'memory'); SELECT id, pt, PROCTIME() AS q FROM p; DESCRIBE p"
        memory.fill("p", [[.int(1)]])
        var results: [StatementResult] = []
        for statement in try SQLParser(text: script).parseScript() { results.append(try session.execute(statement)) }
        guard case .query(let planned) = results[1], case .rows(_, let described) = results[2] else { throw StreamError(.runtime, "no query") }
        #expect(planned.plan.columns.map(\.role) == [.none, .processingTime, .processingTime])
        #expect(planned.schema[1] == Field("pt", .timestampLTZ(3), nullable: false))
        #expect(described[1][1] == .string("TIMESTAMP_LTZ(3) *PROCTIME*"))
    }
}
