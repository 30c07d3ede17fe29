import StreamCore
import StreamTesting
import Testing
@testable import StreamSQL

/// Windows assigned by the aggregation, windows carried by the rows and GROUP BY windows are three ways to one result.
@Suite("Window plans") struct WindowPlanTests {
    private static let windows = [
        "TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND)",
        "TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND, INTERVAL '3' SECOND)",
        "HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)",
        "CUMULATE(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' SECOND, INTERVAL '20' SECOND)",
    ]

    private func harness(_ seed: UInt64, type: String = "TIMESTAMP(3)") throws -> SQLHarness {
        let harness = try SQLHarness(
            """
            CREATE TABLE ev (id INT, k STRING, ts \(type), WATERMARK FOR ts AS ts - INTERVAL '2' SECOND) WITH ('connector' = 'memory');
            """)
        var random = SeededRandom(seed), time: Int64 = 0
        harness.memory.fill(
            "ev",
            (0..<80).map { i in
                time += Int64.random(in: 0...2_500, using: &random)
                let behind = Int.random(in: 0..<4, using: &random) == 0 ? Int64.random(in: 0...15_000, using: &random) : 0
                let key: Value = [.string("a"), .string("b"), .null].randomElement(using: &random)!
                return [.int(Int64(i)), key, .int(max(0, time - behind))]
            })
        return harness
    }

    @Test("agree, late rows and all", arguments: UInt64(0)..<12, windows)
    func agree(seed: UInt64, window: String) throws {
        let harness = try harness(seed)
        let select = "SELECT k, window_start, window_end, window_time, COUNT(*), SUM(id) FROM TABLE(\(window))"
        let grouping = "GROUP BY k, window_start, window_end, window_time"
        let fused = try harness.rows("\(select) \(grouping)")
        #expect(!fused.isEmpty)
        let carried = try harness.rows("\(select) WHERE window_start > TIMESTAMP '1900-01-01 00:00:00' \(grouping)")
        #expect(carried == fused, "seed \(seed)")
        try harness.run("SET 'parallelism.default' = '3'")
        #expect(try harness.rows("\(select) \(grouping)") == fused, "seed \(seed), parallelism 3")
        #expect(try harness.rows("\(select) WHERE window_end IS NOT NULL \(grouping)") == fused, "seed \(seed), parallelism 3")
    }

    @Test("GROUP BY windows give what window functions in FROM give", arguments: UInt64(0)..<6, ["TIMESTAMP(3)", "TIMESTAMP_LTZ(3)"])
    func legacy(seed: UInt64, type: String) throws {
        let harness = try harness(seed, type: type)
        try harness.run("SET 'table.local-time-zone' = 'Asia/Kolkata'")
        let table = try harness.rows(
            """
            SELECT k, window_start, window_end, window_time, COUNT(*)
            FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR)) GROUP BY k, window_start, window_end, window_time
            """)
        let legacy = try harness.rows(
            """
            SELECT k, HOP_START(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR), HOP_END(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR),
              HOP_ROWTIME(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR), COUNT(*)
            FROM ev GROUP BY k, HOP(ts, INTERVAL '5' MINUTE, INTERVAL '1' HOUR)
            """)
        #expect(table == legacy, "seed \(seed)")
        let cascaded = try harness.rows(
            """
            SELECT window_start, SUM(c) FROM (
              SELECT k, window_start, window_end, COUNT(*) AS c FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR))
              GROUP BY k, window_start, window_end) GROUP BY window_start, window_end
            """)
        let direct = try harness.rows(
            """
            SELECT window_start, COUNT(*) FROM TABLE(HOP(TABLE ev, DESCRIPTOR(ts), INTERVAL '5' MINUTE, INTERVAL '1' HOUR)) GROUP BY window_start, window_end
            """)
        #expect(cascaded == direct, "seed \(seed)")
    }
}
