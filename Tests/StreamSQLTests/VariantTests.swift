import StreamCore
import StreamExpressions
import Testing
@testable import StreamSQL

/// VARIANT, access to its parts, and un-nesting along paths.
@Suite("VARIANT and paths") struct VariantTests {
    /// The text of an expression's value.
    private func text(_ expr: String) throws -> String? {
        let rows = try SQLHarness().rows("SELECT CAST(\(expr) AS STRING) AS x")
        guard case .string(let text)? = rows.first?.first else { return nil }
        return text
    }

    @Test(
        "values are read, normalised and written",
        arguments: [
            ("PARSE_JSON('{\"b\":[1,2], \"a\":1}')", "{\"a\":1,\"b\":[1,2]}"), ("PARSE_JSON('1.50')", "1.5"),
            ("PARSE_JSON('12345678901234567890')", "12345678901234567890"),
            ("PARSE_JSON('1.12345678901234567890')", "1.1234567890123456789"), ("PARSE_JSON('{\"a\":1,\"a\":2}', TRUE)", "{\"a\":2}"),
            ("PARSE_JSON('\"é\\n\\\"\\u0001\"')", "\"é\\n\\\"\\u0001\""), ("JSON_STRING(PARSE_JSON('{\"b\":1,\"a\":{\"d\":null,\"c\":[]}}'))", "{\"a\":{\"c\":[],\"d\":null},\"b\":1}"),
            ("PARSE_JSON('{\"a\":[1,{\"b\":2.5}]}')['a'][2]['b']", "2.5"), ("PARSE_JSON('{\"a\":{\"b\":3}}').a.b", "3"),
            ("TYPEOF(PARSE_JSON('1'))", "VARIANT NOT NULL"), ("CAST(ROW(1, 'x') AS VARIANT)", "{\"EXPR$0\":1,\"EXPR$1\":\"x\"}"),
            ("CAST(DATE '2024-02-29' AS VARIANT)", "\"2024-02-29\""), ("CAST(PARSE_JSON('[1,2]') AS ARRAY<INT>)", "[1, 2]"),
            ("CAST(PARSE_JSON('{\"y\":\"z\",\"x\":5}') AS ROW<x INT, y STRING>)", "(5, z)"),
            ("CAST(PARSE_JSON('{\"k\":1}') AS MAP<STRING, BIGINT>)", "{k=1}"), ("CAST(PARSE_JSON('12.5') AS DECIMAL(5, 2))", "12.50"),
            ("CAST(PARSE_JSON('12.5') AS INT)", "12"), ("CAST(PARSE_JSON('\"2024-02-29\"') AS DATE)", "2024-02-29"),
            ("CAST(PARSE_JSON('true') AS BOOLEAN)", "TRUE"), ("CAST(PARSE_JSON('\"x\"') AS STRING)", "x"),
        ])
    func values(_ expr: String, _ expected: String) throws {
        #expect(try text(expr) == expected)
    }

    @Test(
        "null",
        arguments: [
            "TRY_PARSE_JSON('x')", "PARSE_JSON(CAST(NULL AS STRING))", "PARSE_JSON('[1,2]')[0]", "PARSE_JSON('[1,2]')[3]", "PARSE_JSON('{}')['a']",
            "PARSE_JSON('[1]').a", "TRY_CAST(PARSE_JSON('\"x\"') AS INT)", "TRY_CAST(PARSE_JSON('300') AS TINYINT)", "CAST(PARSE_JSON('null') AS INT)",
            "PARSE_JSON('null') = 1",
        ])
    func nulls(_ expr: String) throws {
        #expect(try text(expr) == nil)
    }

    @Test(
        "comparisons",
        arguments: [
            ("PARSE_JSON('1') = PARSE_JSON('1')", "TRUE"), ("PARSE_JSON('1.0') = PARSE_JSON('1')", "FALSE"),
            ("PARSE_JSON('{\"a\":1,\"b\":2}') = PARSE_JSON('{\"b\":2,\"a\":1}')", "TRUE"), ("PARSE_JSON('1.0') = 1", "TRUE"),
            ("PARSE_JSON('\"1\"') = 1", "FALSE"), ("PARSE_JSON('\"1\"') > 0", "FALSE"), ("PARSE_JSON('\"a\"') = 'a'", "TRUE"),
            ("PARSE_JSON('\"a\"') <> 2", "TRUE"), ("PARSE_JSON('2.5') > 2", "TRUE"), ("PARSE_JSON('null') IS NULL", "FALSE"),
        ])
    func comparisons(_ expr: String, _ expected: String) throws {
        #expect(try text(expr) == expected)
    }

    @Test(
        "errors tell the value",
        arguments: [
            ("PARSE_JSON('{\"a\":}')", "not JSON"), ("PARSE_JSON('{\"a\":1,\"a\":2}')", "twice"), ("PARSE_JSON('[1,2]')['a']", "needs an object"),
            ("PARSE_JSON('{\"a\":1}')[1]", "needs an array"), ("CAST(PARSE_JSON('\"x\"') AS INT)", "a string"),
        ])
    func errors(_ expr: String, _ part: String) throws {
        let error = #expect(throws: StreamError.self) { try text(expr) }
        #expect(error?.problem.contains(part) == true, "\(String(describing: error))")
    }

    private func harness() throws -> SQLHarness {
        let harness = try SQLHarness("CREATE TABLE t (id INT, js STRING, xs ARRAY<ROW<n INT, s STRING>>) WITH ('connector' = 'memory')")
        harness.memory.fill(
            "t",
            [
                [
                    .int(1), .string(#"{"messages":[{"topic":"sample topic","format":"json","payload":[1,2,3]},{"topic":7,"payload":"no array"}],"qos":0}"#),
                    .array([.row([.int(5), .string("a")]), .row([.int(6), .null])]),
                ],
                [.int(2), .string(#"{"messages":"none"}"#), .array([])], [.int(3), .null, .null],
            ])
        return harness
    }

    private static let view = "(SELECT id, PARSE_JSON(js) AS doc, xs FROM t)"

    @Test func pathsAreUnnested() throws {
        let harness = try harness()
        #expect(
            try harness.rows("SELECT c.id, JSON_STRING(o['topic']), i FROM \(Self.view) AS c, c.doc.messages AS o AT i")
                == [[.int(1), .string("\"sample topic\""), .int(0)], [.int(1), .string("7"), .int(1)]])
        // A number is not the text, and that is no error.
        #expect(
            try harness.rows("SELECT c.id, CAST(o.format AS STRING) FROM \(Self.view) AS c, c.doc.messages AS o WHERE o.topic = 'sample topic'")
                == [[.int(1), .string("json")]])
        // Un-nesting what is no array gives nothing.
        #expect(
            try harness.rows("SELECT CAST(p AS INT), i FROM \(Self.view) AS c, c.doc.messages AS o, o.payload AS p AT i")
                == [[.int(1), .int(0)], [.int(2), .int(1)], [.int(3), .int(2)]])
        #expect(try harness.rows("SELECT CAST(p AS INT) FROM \(Self.view) AS c, c.doc.messages[1].payload AS p") == [[.int(1)], [.int(2)], [.int(3)]])
    }

    @Test func arraysOfRowsAreUnnested() throws {
        let harness = try harness()
        #expect(try harness.rows("SELECT t.id, x.n, x.s FROM t, t.xs AS x") == [[.int(1), .int(5), .string("a")], [.int(1), .int(6), .null]])
        #expect(
            try harness.rows("SELECT t.id, x.n, i FROM t LEFT JOIN t.xs AS x AT i ON TRUE") == [
                [.int(1), .int(5), .int(0)], [.int(1), .int(6), .int(1)], [.int(2), .null, .null], [.int(3), .null, .null],
            ])
        let error = try harness.error("SELECT * FROM t, t.id AS x")
        #expect(error?.problem.contains("arrays and VARIANTs") == true)
    }

    @Test func variantsAreKeysAndState() throws {
        let harness = try harness()
        #expect(
            try harness.rows("SELECT JSON_STRING(k), COUNT(*) FROM (SELECT PARSE_JSON(js)['messages'] AS k FROM t) GROUP BY k").count == 3)
    }
}
