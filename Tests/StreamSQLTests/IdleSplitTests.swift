import StreamCore
import StreamTesting
import Testing
@testable import StreamSQL

/// Splits that fall silent while others go on, run step by step with a simulated clock.
@Suite("Idle splits") struct IdleSplitTests {
    /// Each split hands out rows at given seconds; nil = nothing for a while.
    private struct ScriptedConnector: TableConnector {
        let identifier = "scripted"
        var splits: [[Int64?]]

        func optionKeys(for table: TableDescriptor) -> Set<String> { [] }
        func validate(_ table: TableDescriptor) throws {}
        func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
            let schema = Schema(scan.projection.map { table.schema[$0] })
            return ScriptedSource(splits: splits.map { split in
                split.map { second in
                    let row: [Value] = [.int(second ?? 0), .int((second ?? 0) * 1_000)]
                    return Batch(schema: schema, rows: second == nil ? [] : [scan.projection.map { row[$0] }])
                }
            })
        }
    }

    /// The counts per window of ten seconds, and the rows that were late.
    private func counts(_ splits: [[Int64?]], settings: String, options: String, seed: UInt64) throws -> (windows: [[Value]], late: UInt64) {
        let session = SQLSession(connectors: [ScriptedConnector(splits: splits)])
        let script = """
            SET 'parallelism.default' = '2'; \(settings)
            CREATE TABLE ev (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH ('connector' = 'scripted'\(options));
            SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE ev, DESCRIPTOR(ts), INTERVAL '10' SECOND)) GROUP BY window_start, window_end
            """
        var last = StatementResult.message("")
        for statement in try SQLParser(text: script).parseScript() { last = try session.execute(statement) }
        guard case .query(let planned) = last else { return ([], 0) }
        let sink = CollectingSink(maxParallelism: 1)
        let (status, finished) = try SeededRunner(seed: seed).run(try planned.jobGraph(into: sink))
        #expect(finished)
        return (SQLHarness.collapsed(sink.rows), status.reduce(0) { $0 + UInt64($1.lateRows) })
    }

    private static let silence: [Int64?] = Array(repeating: nil, count: 400)
    /// The second split goes far ahead while the first one, whose row is held in front of the exchange, says nothing.
    private static let splits: [[Int64?]] = [[1] + silence + silence, [2] + silence + [33, 34]]

    @Test("the rows of a split that falls silent are counted before event time moves on without it", arguments: UInt64(0)..<12)
    func heldRows(seed: UInt64) throws {
        let expected: [[Value]] = [[.int(0), .int(2)], [.int(30_000), .int(2)]]
        for (settings, options) in [
            ("", ", 'scan.watermark.idle-timeout' = '100 ms'"), ("SET 'table.exec.source.idle-timeout' = '100 ms';", ""), ("", ""),
        ] {
            let (windows, late) = try counts(Self.splits, settings: settings, options: options, seed: seed)
            #expect(windows == expected, "seed \(seed) \(settings)\(options)")
            #expect(late == 0, "seed \(seed) \(settings)\(options)")
        }
    }

    @Test("a row that comes after event time has moved on without its split is late", arguments: UInt64(0)..<12)
    func lateAfterIdle(seed: UInt64) throws {
        let splits: [[Int64?]] = [[1] + Self.silence + Self.silence + [3], [2, 33] + Self.silence + [34]]
        let (windows, late) = try counts(splits, settings: "", options: ", 'scan.watermark.idle-timeout' = '100 ms'", seed: seed)
        #expect(windows == [[.int(0), .int(2)], [.int(30_000), .int(2)]], "seed \(seed)")
        #expect(late == 1, "seed \(seed)")
    }
}
