import FileConnectors
import Foundation
import Nexmark
import ReferenceSQL
import StreamCore
import StreamFormats
import StreamRuntime
import StreamTesting
import Testing
@testable import StreamSQL

/// The benchmark's events and queries.
@Suite("Nexmark") struct NexmarkTests {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Benchmarks/Nexmark/queries").path

    private func withEvents<T>(_ count: Int, _ body: (String) throws -> T) throws -> T {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("nexmark-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try NexmarkGenerator(seed: 3).write(events: count, to: path)
        return try body(path)
    }

    /// A query of the benchmark without its sink, planned.
    private func plan(_ query: String, _ events: String, _ settings: [String: String] = [:]) throws -> (planned: PlannedQuery, session: SQLSession) {
        let session = SQLSession(connectors: [FilesystemConnector(), BlackholeConnector()])
        for (key, value) in settings { try session.set(key, to: value) }
        let script = try NexmarkQueries(folder: Self.folder).script(query, events: events).replacing("INSERT INTO results", with: "")
        var planned: PlannedQuery?
        for statement in try SQLParser(text: script).parseScript() {
            if case .query(let query) = try session.execute(statement) { planned = query }
        }
        return (try #require(planned), session)
    }

    /// The final rows of a query, as sorted texts.
    private func run(_ query: String, _ events: String, _ settings: [String: String] = [:], workers: Int = 1) throws -> [String] {
        try rows(query, events, settings, workers: workers).map { "\($0)" }.sorted()
    }

    private func rows(_ query: String, _ events: String, _ settings: [String: String] = [:], workers: Int = 1) throws -> [[Value]] {
        let planned = try plan(query, events, settings).planned
        let sink = CollectingSink(maxParallelism: 1)
        try JobExecution(planned.jobGraph(into: sink), options: JobOptions(workers: workers)).run()
        return StatementRows.collapsed(sink.rows)
    }

    private struct Event: Decodable {
        struct Bid: Decodable { var auction: Int, bidder: Int, price: Int, url: String }
        var event_type: Int, bid: Bid?
    }

    private func parsed(_ line: Substring) throws -> Event { try JSONDecoder().decode(Event.self, from: Data(line.utf8)) }

    @Test("the same seed gives the same events, in the reference proportions") func events() throws {
        let text = NexmarkGenerator(seed: 3).text(0..<5_000)
        #expect(text == NexmarkGenerator(seed: 3).text(0..<5_000))
        #expect(text.hasPrefix(NexmarkGenerator(seed: 3).text(0..<100)))
        #expect(text != NexmarkGenerator(seed: 4).text(0..<5_000))
        let lines = text.split(separator: "\n")
        #expect(lines.count == 5_000)
        func count(_ part: String) -> Int { lines.count { $0.contains(part) } }
        #expect(count("\"event_type\":0,") == 100)
        #expect(count("\"event_type\":1,") == 300)
        #expect(count("\"event_type\":2,") == 4_600)
        let hot = count("\"channel\":\"Google\"") + count("\"channel\":\"Facebook\"") + count("\"channel\":\"Baidu\"") + count("\"channel\":\"Apple\"")
        #expect(abs(hot - 2_300) < 200)
        for line in lines.prefix(200) { #expect(try (parsed(line).event_type == 2) == (parsed(line).bid != nil)) }
    }

    @Test("queries do not depend on mini-batches, split-distinct, parallelism or batch size", arguments: NexmarkQueries.names)
    func results(query: String) throws {
        // Windows of processing time depend on the clock.
        guard query != "q12" else { return }
        try withEvents(20_000) { path in
            let plain = try run(query, path)
            #expect(!plain.isEmpty)
            let bundled = [
                "table.exec.mini-batch.enabled": "true", "table.exec.mini-batch.allow-latency": "2 s", "table.exec.mini-batch.size": "5000",
                "table.optimizer.distinct-agg.split.enabled": "true",
            ]
            #expect(try run(query, path, bundled) == plain)
            #expect(try run(query, path, bundled.merging(["parallelism.default": "2"]) { $1 }, workers: 2) == plain)
        }
    }

    /// NEXMARK_EVENTS=100000 compares more of them, for some minutes.
    @Test("queries give what the reference interpreter gives", arguments: NexmarkQueries.names)
    func reference(query: String) throws {
        guard query != "q12" else { return }
        let count = ProcessInfo.processInfo.environment["NEXMARK_EVENTS"].flatMap(Int.init) ?? 1_500
        try withEvents(count) { path in
            try compare(query, path, count)
        }
    }

    private func compare(_ query: String, _ path: String, _ count: Int) throws {
        let (planned, session) = try plan(query, path)
        let input = try events(of: try #require(Self.table(planned.plan)), path)
        #expect(input.count == count)
        let reference = ReferenceInterpreter(tables: ["nexmark": .init(rows: input)], context: session.evaluation)
        // Which of several bids of one moment is the last one is not told.
        let expected = try reference.rows(of: planned.plan)
        let found = try rows(query, path)
        func texts(_ rows: [[Value]]) -> [String] {
            rows.map { query == "q18" ? "\([$0[0], $0[1], $0[5]])" : "\($0)" }.sorted()
        }
        #expect(texts(found) == texts(expected))
    }

    private static func table(_ plan: LogicalPlan) -> TableDescriptor? {
        if case .scan(let scan) = plan { return scan.table.descriptor }
        return plan.inputs.lazy.compactMap { table($0) }.first
    }

    private func events(of table: TableDescriptor, _ path: String) throws -> [[Value]] {
        let decoder = try FormatFactory.decoder(for: table, projection: Array(table.schema.indices), metrics: OperatorMetrics())
        let bytes = try Host.read(path)
        let chunk = bytes.withUnsafeBytes { Buffer(copying: $0) }
        var rows: [[Value]] = [], at = 0
        while at < bytes.count {
            let (batch, used) = try decoder.decode(chunk: chunk, range: at..<bytes.count, isLast: true, maxRows: 8_192)
            guard let batch, used > 0 else { break }
            rows += batch.rows()
            at += used
        }
        return rows
    }

    @Test("q2 and q15 agree with a count by hand") func byHand() throws {
        try withEvents(10_000) { path in
            let bids = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").compactMap { try parsed($0).bid }
            #expect(bids.count == 9_200)
            #expect(try run("q2", path).count == bids.count { $0.auction % 123 == 0 })
            let row = try run("q15", path)
            #expect(row.count == 1)
            let ranges = [0..<Int.max, 0..<10_000, 10_000..<1_000_000, 1_000_000..<Int.max]
            let counts =
                ranges.map { range in bids.count { range.contains($0.price) } }
                + ranges.map { range in Set(bids.filter { range.contains($0.price) }.map(\.bidder)).count }
                + ranges.map { range in Set(bids.filter { range.contains($0.price) }.map(\.auction)).count }
            #expect(row == ["\([Value.string("2024-01-01")] + counts.map { Value.int(Int64($0)) })"])
        }
    }
}
