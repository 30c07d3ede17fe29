import StreamCore
import Testing
@testable import StreamSQL

/// The tables and results of Flink's documentation of pattern recognition, and what it refuses.
@Suite("MATCH_RECOGNIZE") struct MatchRecognizeTests {
    private static let tables = """
        CREATE TABLE ticker (symbol STRING, price INT, tax INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'memory');
        CREATE TABLE changing (symbol STRING, c BIGINT) WITH ('connector' = 'memory');

        """

    /// Rows of one symbol, a second (or `step` ms) apart.
    private func harness(_ prices: [Int64], step: Int64 = 1_000, symbols: [String] = ["ACME"]) throws -> SQLHarness {
        let harness = try SQLHarness(Self.tables)
        var rows: [[Value]] = []
        for (i, price) in prices.enumerated() {
            for symbol in symbols { rows.append([.string(symbol), .int(price), .int(1), .int(Int64(i) * step)]) }
        }
        harness.memory.fill("ticker", rows)
        return harness
    }

    private func texts(_ harness: SQLHarness, _ query: String) throws -> [String] {
        try harness.rows(query).map { row in
            row.map { value in
                switch value {
                case .int(let n): "\(n)"
                case .string(let s): s
                case .double(let d): "\(d)"
                case .null: "-"
                default: "\(value)"
                }
            }.joined(separator: " ")
        }.sorted()
    }

    @Test("a falling price and its end") func fallingPrice() throws {
        let harness = try harness([12, 17, 19, 21, 25, 18, 15, 14, 24, 25, 19])
        #expect(try texts(harness, """
            SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
              MEASURES START_ROW.ts AS s, LAST(PRICE_DOWN.ts) AS bottom, LAST(PRICE_UP.ts) AS e
              ONE ROW PER MATCH AFTER MATCH SKIP TO LAST PRICE_UP PATTERN (START_ROW PRICE_DOWN+ PRICE_UP)
              DEFINE PRICE_DOWN AS (LAST(PRICE_DOWN.price, 1) IS NULL AND PRICE_DOWN.price < START_ROW.price) OR PRICE_DOWN.price < LAST(PRICE_DOWN.price, 1),
                PRICE_UP AS PRICE_UP.price > LAST(PRICE_DOWN.price, 1)) MR
            """) == ["ACME 4000 7000 8000"])
    }

    @Test("aggregates of the rows of a variable, in DEFINE and MEASURES") func aggregates() throws {
        let harness = try harness([12, 17, 13, 16, 25, 2, 4, 10, 15, 25, 25, 30])
        #expect(try texts(harness, """
            SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts
              MEASURES FIRST(A.ts) AS s, LAST(A.ts) AS e, AVG(CAST(A.price AS DOUBLE)) AS p, COUNT(A.price) AS n, SUM(price) AS everything
              ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A+ B) DEFINE A AS AVG(A.price) < 15) MR
            """) == ["ACME 0 3000 14.5 4 83", "ACME 5000 10000 13.5 6 111"])
    }

    @Test("greedy and reluctant quantifiers", arguments: [("B*", ["XYZ 16"]), ("B*?", ["XYZ 13", "XYZ 16"])])
    func quantifiers(_ b: String, _ expected: [String]) throws {
        let harness = try harness([10, 11, 12, 13, 14, 16], symbols: ["XYZ"])
        #expect(try texts(harness, """
            SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES C.price AS lastPrice ONE ROW PER MATCH
              AFTER MATCH SKIP PAST LAST ROW PATTERN (A \(b) C) DEFINE A AS A.price > 10, B AS B.price < 15, C AS C.price > 12)
            """) == expected)
    }

    @Test("numbers of rows", arguments: [
        ("A{2} B", ["2 3 9", "4 5 8"]), ("A{2,} B", ["1 3 9", "4 5 8"]), ("A{2,3} B", ["1 3 9", "4 5 8"]), ("A? B", ["- - 7", "3 3 9", "5 5 8"]),
        ("B A{1,2}?", ["4 4 9"]), ("A{3} B{1}", ["1 3 9"]), ("A{,2} B", ["- - 7", "2 3 9", "4 5 8"]), ("A* B", ["- - 7", "1 3 9", "4 5 8"]),
    ])
    func counts(_ pattern: String, _ expected: [String]) throws {
        // Numbers below 7 are A, the others B.
        let harness = try harness([1, 2, 3, 9, 4, 5, 8, 7])
        let found = try texts(harness, """
            SELECT f, l, b FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES FIRST(A.price) AS f, LAST(A.price) AS l, B.price AS b ONE ROW PER MATCH
              AFTER MATCH SKIP PAST LAST ROW PATTERN (\(pattern)) DEFINE A AS A.price < 7, B AS B.price >= 7)
            """)
        #expect(found == expected)
    }

    @Test("where the search goes on", arguments: [
        ("PAST LAST ROW", ["17 4000 6000", "26 0 3000"]), ("TO NEXT ROW", ["17 4000 6000", "22 3000 6000", "24 1000 4000", "25 2000 5000", "26 0 3000"]),
        ("TO LAST A", ["17 4000 6000", "25 2000 5000", "26 0 3000"]),
    ])
    func skip(_ skip: String, _ expected: [String]) throws {
        let harness = try harness([7, 9, 10, 5, 10, 7, 14])
        #expect(try texts(harness, """
            SELECT sumPrice, s, e FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES SUM(A.price) AS sumPrice, FIRST(ts) AS s, LAST(ts) AS e
              ONE ROW PER MATCH AFTER MATCH SKIP \(skip) PATTERN (A+ C) DEFINE A AS SUM(A.price) < 30)
            """) == expected)
    }

    @Test("skipping to where the match began fails") func skipToStart() throws {
        let harness = try harness([7, 9, 10, 5, 10, 7, 14])
        #expect(throws: StreamError.self) {
            try harness.rows("SELECT * FROM ticker MATCH_RECOGNIZE (ORDER BY ts MEASURES SUM(A.price) AS s AFTER MATCH SKIP TO FIRST A PATTERN (A+ C) DEFINE A AS SUM(A.price) < 30)")
        }
    }

    @Test("a match must end before its time is over") func within() throws {
        let harness = try harness([20, 17, 18, 11, 14, 9, 15, 14, 24, 1, 19], step: 20 * 60_000)
        #expect(try texts(harness, """
            SELECT dropTime, dropDiff FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES C.ts AS dropTime, A.price - C.price AS dropDiff
              ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B* C) WITHIN INTERVAL '1' HOUR
              DEFINE B AS B.price > A.price - 10, C AS C.price < A.price - 10)
            """) == ["\(9 * 20 * 60_000) 13"])
    }

    @Test("rows of several keys, out of order and late, with ties ordered by a further column") func order() throws {
        let harness = try SQLHarness(Self.tables)
        func row(_ s: String?, _ price: Int64, _ second: Int64) -> [Value] { [s.map { .string($0) } ?? .null, .int(price), .int(0), .int(second * 1_000)] }
        // Watermark: two seconds behind. The row of second 1 after that of second 9 is late.
        harness.memory.fill("ticker", [
            row("a", 2, 1), row("b", 1, 1), row("a", 1, 1), row("a", 3, 3), row(nil, 1, 2), row("a", 9, 2), row("b", 5, 4), row(nil, 2, 5), row("a", 7, 9), row("b", 3, 1), row("a", 8, 20),
        ])
        #expect(try texts(harness, """
            SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts, price DESC MEASURES A.price AS x, B.price AS y, MATCH_ROWTIME() AS t
              ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW PATTERN (A B) DEFINE B AS TRUE)
            """) == ["- 1 2 5000", "a 2 1 1000", "a 7 8 20000", "a 9 3 3000", "b 1 5 4000"])
        guard case .query(let query) = try harness.run("SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol ORDER BY ts MEASURES MATCH_ROWTIME(ts) AS t PATTERN (A B) DEFINE A AS TRUE)") else { return }
        #expect(query.plan.columns.last?.isTimeAttribute == true)
        #expect(!query.isChangelog)
    }

    @Test("what Flink refuses is refused", arguments: [
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A B*) DEFINE A AS TRUE", "last element"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A* B?) DEFINE A AS TRUE", "empty matches"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A??  B) DEFINE A AS TRUE", "reluctant optional"),
        ("ORDER BY ts MEASURES A.price AS p ALL ROWS PER MATCH PATTERN (A B) DEFINE A AS TRUE", "ALL ROWS PER MATCH"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A (B C)+) DEFINE A AS TRUE", "group"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A | B) DEFINE A AS TRUE", "|"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (PERMUTE(A, B)) DEFINE A AS TRUE", "PERMUTE"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN ({- A -} B) DEFINE A AS TRUE", "{-"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A B) SUBSET S = (A, B) DEFINE A AS TRUE", "SUBSET"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A B A) DEFINE A AS TRUE", "unique"),
        ("MEASURES A.price AS p PATTERN (A B) DEFINE A AS TRUE", "rowtime or proctime"),
        ("ORDER BY price, ts MEASURES A.price AS p PATTERN (A B) DEFINE A AS TRUE", "rowtime or proctime"),
        ("ORDER BY ts DESC MEASURES A.price AS p PATTERN (A B) DEFINE A AS TRUE", "ascending"),
        ("ORDER BY ts MEASURES SUM(A.price * B.tax) AS p PATTERN (A B) DEFINE A AS TRUE", "single pattern variable"),
        ("ORDER BY ts MEASURES LAST(A.price * B.tax) AS p PATTERN (A B) DEFINE A AS TRUE", "single pattern variable"),
        ("ORDER BY ts MEASURES SUM(DISTINCT A.price) AS p PATTERN (A B) DEFINE A AS TRUE", "DISTINCT"),
        ("ORDER BY ts MEASURES CLASSIFIER() AS p PATTERN (A B) DEFINE A AS TRUE", "CLASSIFIER"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A B) DEFINE C AS TRUE", "no variable"),
        ("ORDER BY ts MEASURES A.nope AS p PATTERN (A B) DEFINE A AS TRUE", "nope"),
        ("ORDER BY ts MEASURES A.price AS p PATTERN (A B) WITHIN INTERVAL '1' MONTH DEFINE A AS TRUE", "millisecond"),
    ])
    func refused(_ clause: String, _ mention: String) throws {
        let error = try SQLHarness(Self.tables).error("SELECT * FROM ticker MATCH_RECOGNIZE (PARTITION BY symbol \(clause)) AS t")
        #expect(error?.problem.contains(mention) == true, "\(String(describing: error))")
        #expect(error?.location != nil)
    }

    @Test("an updating input is refused") func updates() throws {
        let error = try SQLHarness(Self.tables).error(
            "SELECT * FROM (SELECT symbol, MAX(ts) AS ts, COUNT(*) AS c FROM ticker GROUP BY symbol) MATCH_RECOGNIZE (ORDER BY ts MEASURES A.c AS p PATTERN (A B) DEFINE A AS TRUE)")
        #expect(error != nil)
    }
}
