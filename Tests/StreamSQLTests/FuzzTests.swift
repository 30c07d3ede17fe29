import Foundation
import ReferenceSQL
import StreamCore
import StreamSQL
import Testing

/// Random queries on the engine and on the reference interpreter, for $SWIFTWATER_FUZZ_SECONDS (10 when not set), always the same ones
/// from seed 1 (or $SWIFTWATER_FUZZ_SEED), so that a commit passes or fails for its own sake; `make fuzz-sql` draws new ones.
/// A failure prints its seed: `swiftwater-fuzz-sql --seed N --cases 1` shows it again.
@Suite("Random queries") struct FuzzTests {
    /// As many as two minutes are enough for on two cores beside the other tests, or nearly so.
    private static let cases: UInt64 = 600

    @Test("give the rows of the reference interpreter") func agree() {
        let environment = ProcessInfo.processInfo.environment
        let seconds = environment["SWIFTWATER_FUZZ_SECONDS"].flatMap { Double($0) } ?? 10
        let first = environment["SWIFTWATER_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
        let most = environment["SWIFTWATER_FUZZ_CASES"].flatMap { UInt64($0) } ?? Self.cases
        let fuzzer = Fuzzer(), end = Date().addingTimeInterval(seconds)
        var seed = first, agreed = 0
        while Date() < end, seed - first < most {
            let fuzz = FuzzCase(seed: seed)
            switch fuzzer.check(fuzz) {
            case .failed(let found):
                // What does not fail each time is told as it was found.
                let small = fuzzer.shrunk(fuzz, tries: 300)
                Issue.record("seed \(seed): \(found)\n\(fuzz.text)\nsmaller:\n\(small.text)\n\(fuzzer.check(small))")
                return
            case .agreed: agreed += 1
            default: break
            }
            seed += 1
        }
        print("random queries: seeds \(first) to \(seed - 1), \(agreed) of \(seed - first) compared with the reference")
        #expect(seconds == 0 || agreed > 0)
    }

    /// As in Flink: rows 3 and 7 of key b in the case over_lag_defaults.
    @Test("rows of one time have the LAG of the last of them, in every run and in the reference") func tiedLag() throws {
        let script = """
            CREATE TABLE t (id BIGINT, k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'rows');
            SELECT id, LAG(id) OVER (PARTITION BY k ORDER BY ts) AS a, LAG(id, 2, -1) OVER (PARTITION BY k ORDER BY ts) AS b FROM t;
            """
        // Key 1: a row, three of one time, a row. Key 2: two of one time.
        let times: [(key: Int64, time: Int64)] = [(1, 1_000), (1, 2_000), (2, 2_000), (1, 2_000), (2, 2_000), (1, 2_000), (1, 3_000)]
        let table = ReferenceInterpreter.Table(rows: times.enumerated().map { i, t in [.int(Int64(i)), .int(t.key), .int(t.time)] })
        let expected = [
            "[0, null, -1]", "[1, 3, 1]", "[2, 2, -1]", "[3, 3, 1]", "[4, 2, -1]", "[5, 3, 1]", "[6, 5, 3]",
        ]
        func texts(_ rows: [[Value]]) -> [String] {
            rows.map { row in "[" + row.map { if case .int(let x) = $0 { "\(x)" } else { "null" } }.joined(separator: ", ") + "]" }.sorted()
        }
        let session = SQLSession(connectors: [RowsConnector(["t": table])])
        for statement in try SQLParser(text: script).parseScript() {
            guard case .query(let query) = try session.execute(statement) else { continue }
            #expect(texts(try ReferenceInterpreter(tables: ["t": table], context: session.evaluation).rows(of: query.plan)) == expected)
        }
        for parallelism in [1, 2, 4] {
            for batchRows in [1, 7] {
                var settings = RunSettings()
                (settings.parallelism, settings.batchRows) = (parallelism, batchRows)
                var run = ScriptRun(settings) { [RowsConnector(["t": table])] }
                #expect(texts(try run.run(script)[0].rows) == expected, "\(settings)")
            }
        }
    }

    /// A limited frame takes a late row of a key that it has given nothing of yet; an unlimited one above it does not.
    @Test("a row that is late for one of two frames is late whichever comes first, in every run and in the reference") func lateBehindOver() throws {
        let script = """
            CREATE TABLE t (id BIGINT, k INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'rows');
            SELECT id, COUNT(*) OVER (PARTITION BY k ORDER BY ts ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) AS n, LAG(id) OVER (PARTITION BY k ORDER BY ts) AS a FROM t;
            """
        let times: [(key: Int64, time: Int64)] = [(1, 5_000), (2, 2_000), (1, 4_500), (2, 7_000), (3, 1_000)]
        let table = ReferenceInterpreter.Table(rows: times.enumerated().map { i, t in [.int(Int64(i)), .int(t.key), .int(t.time)] })
        let expected: [[Value]] = [[.int(0), .int(2), .int(2)], [.int(2), .int(1), .null], [.int(3), .int(2), .null]]
        let session = SQLSession(connectors: [RowsConnector(["t": table])])
        for statement in try SQLParser(text: script).parseScript() {
            guard case .query(let query) = try session.execute(statement) else { continue }
            let rows = try ReferenceInterpreter(tables: ["t": table], context: session.evaluation).rows(of: query.plan)
            #expect(Set(rows) == Set(expected), "\(rows)")
        }
        for parallelism in [1, 2, 4] {
            for batchRows in [1, 2, 7] {
                var settings = RunSettings()
                (settings.parallelism, settings.batchRows) = (parallelism, batchRows)
                var run = ScriptRun(settings) { [RowsConnector(["t": table])] }
                let rows = try run.run(script)[0].rows
                #expect(Set(rows) == Set(expected), "\(settings): \(rows)")
            }
        }
    }

    @Test("a planted bug is found, and cut down to a few rows") func planted() throws {
        var fuzzer = Fuzzer()
        fuzzer.losesRows = true
        let found = try #require((UInt64(1)..<200).lazy.map(FuzzCase.init).first { fuzzer.check($0).isFailure })
        let small = fuzzer.shrunk(found)
        #expect(fuzzer.check(small).isFailure)
        #expect(small.tables.reduce(0) { $0 + $1.rows.count } <= 4, "\(small.text)")
    }
}
