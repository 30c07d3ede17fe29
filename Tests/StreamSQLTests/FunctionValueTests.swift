import StreamCore
import Testing
@testable import StreamSQL

/// Values that Flink 2.3 gave for expressions whose syntax or types the binder decides.
@Suite("Expressions as in Flink") struct FunctionValueTests {
    private func text(_ expr: String) throws -> String? {
        let rows = try SQLHarness(
            "CREATE VIEW v AS SELECT * FROM (VALUES (3, CAST(1 AS FLOAT), CAST(1 AS DOUBLE), CAST(0.1 AS DECIMAL(5, 1)), DATE '2024-01-31', "
                + "TIMESTAMP '2024-01-31 10:11:12.345', TIME '10:11:12')) AS t(i, f, d, de, dt, ts, tm)"
        ).rows("SELECT CAST(\(expr) AS STRING) FROM v")
        guard case .string(let text)? = rows.first?.first else { return nil }
        return text
    }

    @Test(
        "periods and differences of times",
        arguments: [
            ("(TIME '2:55:00', INTERVAL '1' HOUR) OVERLAPS (TIME '3:30:00', INTERVAL '2' HOUR)", "TRUE"), ("(ts, ts) OVERLAPS (ts, ts)", "TRUE"),
            ("(DATE '2020-01-01', DATE '2020-01-05') OVERLAPS (DATE '2020-01-06', INTERVAL '2' DAY)", "FALSE"),
            ("(dt, dt) OVERLAPS (DATE '2024-02-01', DATE '2024-01-01')", "TRUE"), ("(dt, CAST(NULL AS DATE)) OVERLAPS (dt, dt)", nil),
            ("(dt, INTERVAL '1' MONTH) OVERLAPS (DATE '2024-02-20', DATE '2024-03-01')", "TRUE"), ("(dt - DATE '2023-11-15') MONTH", "+0-02"),
            ("(dt - DATE '2023-11-15') DAY", "+77 00:00:00.000"), ("(ts - TIMESTAMP '2024-01-30 12:00:00') HOUR", "+0 22:11:12.345"),
            ("(tm - TIME '09:00:00') SECOND", "+0 01:11:12.000"), ("(ts - TIMESTAMP '2024-01-30 12:00:00') DAY TO SECOND", "+0 22:11:12.345"),
            ("dt + INTERVAL '25' HOUR", "2024-02-01"), ("dt - INTERVAL '1' HOUR", "2024-01-31"),
        ] as [(String, String?)])
    func times(_ expr: String, _ expected: String?) throws {
        #expect(try text(expr) == expected)
    }

    @Test(
        "types",
        arguments: [
            ("TYPEOF(f + d)", "FLOAT NOT NULL"), ("TYPEOF(d + f)", "DOUBLE NOT NULL"), ("TYPEOF(ARRAY[1, 2])", "ARRAY<INT NOT NULL> NOT NULL"),
            ("TYPEOF(ROW(1, 'a'))", "ROW<`EXPR$0` INT NOT NULL, `EXPR$1` CHAR(1) NOT NULL> NOT NULL"),
            ("TYPEOF(MAP['a', 1])", "MAP<CHAR(1) NOT NULL, INT NOT NULL> NOT NULL"), ("TYPEOF(CAST(NULL AS INT))", "INT"),
            ("TYPEOF(INTERVAL '1' DAY)", "INTERVAL SECOND(3) NOT NULL"), ("HEX(CAST(UNHEX('F12') AS STRING))", "0012"),
            ("CONVERT_TZ('1970-01-01 00:00:00', 'UTC', 'Nowhere')", "1970-01-01 00:00:00"), ("TRANSLATE3('hello', 'el', 'ip')", "hippo"),
            ("CURRENT_DATABASE()", "default_database"),
        ])
    func types(_ expr: String, _ expected: String) throws {
        #expect(try text(expr) == expected)
    }

    @Test(
        "refused",
        arguments: [
            ("ts >= dt", "two dates or two timestamps"), ("CAST(INTERVAL '1' DAY AS BIGINT)", "there is no cast"), ("BITMAP_BUILD(ARRAY[1])", "not supported yet"),
            ("OBJECT_OF('a.B', 'x', 1)", "not supported yet"), ("i OVERLAPS i", "two periods"),
        ])
    func refused(_ expr: String, _ part: String) throws {
        let error = #expect(throws: StreamError.self) { try text(expr) }
        #expect(error?.problem.contains(part) == true, "\(String(describing: error))")
    }
}
