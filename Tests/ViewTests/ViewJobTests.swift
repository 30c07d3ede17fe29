import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Synchronization
import Testing
@testable import ViewConnector

/// Views as the sinks of jobs.
@Suite("views of jobs") struct ViewJobTests {
    private static let input: Schema = [Field("device", .string, nullable: false), Field("amount", .bigint, nullable: false)]

    /// Four splits of 250 batches, and what sums they make.
    private static func source(_ seed: UInt64, isBounded: Bool = false) -> (source: ScriptedSource, sums: [String: (Int64, Int64)]) {
        var random = SeededRandom(seed), sums: [String: (Int64, Int64)] = [:]
        let splits: [[Batch]] = (0..<4).map { _ in
            (0..<250).map { _ in
                Batch(schema: input, rows: (0..<20).map { _ in
                    let device = "d\(Int.random(in: 0..<500, using: &random))", amount = Int64.random(in: 0..<100, using: &random)
                    sums[device, default: (0, 0)].0 += 1
                    sums[device]!.1 += amount
                    return [.string(device), .int(amount)]
                })
            }
        }
        return (ScriptedSource(splits: splits, isBounded: isBounded), sums)
    }

    private static func job(_ source: ScriptedSource, _ registry: ViewRegistry, parallelism: Int, options: String = "") throws -> JobGraph {
        try graph([Given(source: source), ViewConnector(registry: registry)], """
            SET 'parallelism.default' = '\(parallelism)';
            CREATE TABLE logs (device STRING NOT NULL, amount BIGINT NOT NULL) WITH ('connector' = 'given');
            CREATE TABLE totals (device STRING NOT NULL, n BIGINT, total BIGINT, PRIMARY KEY (device) NOT ENFORCED) WITH ('connector' = 'view'\(options));
            INSERT INTO totals SELECT device, COUNT(*), SUM(amount) FROM logs GROUP BY device;
            """)
    }

    private static func rows(_ registry: ViewRegistry) throws -> [String: String] {
        var rows: [String: String] = [:]
        for row in try registry.scan("totals", limit: 1_000, after: nil).rows { rows[row.key] = String(decoding: row.row ?? [], as: UTF8.self) }
        return rows
    }

    private static func expected(_ sums: [String: (Int64, Int64)]) -> [String: String] {
        Dictionary(uniqueKeysWithValues: sums.map { ($0.key, "{\"device\":\"\($0.key)\",\"n\":\($0.value.0),\"total\":\($0.value.1)}") })
    }

    @Test("a job that is killed again and again, and rescaled 1, 3, 2 with savepoints, ends with the view of one that was left alone",
          arguments: ["immediate", "checkpoint"])
    func restarts(_ visibility: String) throws {
        try temporary { directory in
            let (source, sums) = Self.source(11), expected = Self.expected(sums)
            var savepoint: String?, last = ViewRegistry()
            for (i, parallelism) in [1, 3, 2].enumerated() {
                for kill in 0..<3 {
                    let registry = ViewRegistry()
                    last = registry
                    let job = try Job.start(
                        try Self.job(source, registry, parallelism: parallelism, options: ", 'view.visibility' = '\(visibility)'"), checkpoints: "\(directory)/checkpoints-\(i)", from: kill == 0 ? savepoint : nil, work: "\(directory)/work")
                    try eventually("a checkpoint") { job.checkpoints > 0 || job.isOver }
                    if let failure = job.failure { throw failure }
                    if kill < 2 {
                        try job.kill()
                    } else if i < 2 {
                        savepoint = try job.runner.stop(savepointIn: "\(directory)/savepoints", drain: false)
                        try job.end()
                    } else {
                        try eventually("all rows") { try Self.rows(registry) == expected || job.isOver }
                        if let failure = job.failure { throw failure }
                        try job.stop()
                    }
                }
            }
            #expect(try Self.rows(last) == expected)
            #expect(try last.list()[0].rows == expected.count)
        }
    }

    @Test("a job that fails and starts again inside of its process goes on with its view; subscribers are told")
    func failures() throws {
        try temporary { directory in
            let (source, sums) = Self.source(12), expected = Self.expected(sums), registry = ViewRegistry()
            let failing = FailingSource(source: source, after: 300)
            let made = try graph([Given(source: failing), ViewConnector(registry: registry)], """
                CREATE TABLE logs (device STRING NOT NULL, amount BIGINT NOT NULL) WITH ('connector' = 'given');
                CREATE TABLE totals (device STRING NOT NULL, n BIGINT, total BIGINT, PRIMARY KEY (device) NOT ENFORCED) WITH ('connector' = 'view');
                INSERT INTO totals SELECT device, COUNT(*), SUM(amount) FROM logs GROUP BY device;
                """)
            var recovery = RecoveryOptions(directory: directory + "/checkpoints", jobID: "job")
            recovery.restart = .fixedDelay(attempts: 5, delay: .milliseconds(1))
            var options = JobOptions(workers: 1)
            options.checkpoints.interval = .milliseconds(5)
            let runner = try JobRunner(made, options: options, recovery: recovery)
            let ended = Mutex(false), known = Mutex<[String: ViewRow]>([:]), resets = Mutex(0)
            Thread.detachNewThread {
                _ = try? runner.run()
                ended.withLock { $0 = true }
            }
            try eventually("the view") { (try? registry.subscribe("totals", key: nil, since: nil, snapshot: true).close()) != nil }
            let changes = try registry.subscribe("totals", key: nil, since: nil, snapshot: true)
            try eventually("all rows", seconds: 60) {
                for event in (try? changes.next(milliseconds: 50)) ?? [] {
                    switch event {
                    case .reset:
                        resets.withLock { $0 += 1 }
                        known.withLock { $0 = [:] }
                    case .change(_, let row): known.withLock { $0[row.key] = row }
                    }
                }
                return known.withLock { $0.mapValues { String(decoding: $0.row ?? [], as: UTF8.self) } } == expected
            }
            #expect(resets.withLock { $0 } > 0 && failing.failures > 0)
            #expect(try Self.rows(registry) == expected)
            runner.stop()
            try eventually("the job's end") { ended.withLock { $0 } }
        }
    }

    @Test("what a subtask held that has ended before the others is part of every later checkpoint")
    func finishedSubtasks() throws {
        try temporary { directory in
            let (source, sums) = Self.source(13, isBounded: true), expected = Self.expected(sums)
            let registry = ViewRegistry()
            var recovery = RecoveryOptions(directory: directory + "/checkpoints", jobID: "job")
            recovery.keepsFinished = true
            var options = JobOptions(workers: 2)
            options.checkpoints.interval = .milliseconds(5)
            let end = try JobRunner(try Self.job(source, registry, parallelism: 3), options: options, recovery: recovery).run()
            #expect(try end == .finished && Self.rows(registry) == expected)
            // The last checkpoint of a job that is through has it all.
            let again = ViewRegistry()
            let second = try Self.job(source, again, parallelism: 2)
            var secondEnd: JobExecution.End?
            try eventually("the second run") {
                do { secondEnd = try JobRunner(second, options: options, recovery: recovery).run() } catch let error as StreamError where error.code == .conflict {}
                return secondEnd != nil
            }
            #expect(try secondEnd == .finished && Self.rows(again) == expected)
        }
    }

    @Test("a view is a table in SQL: read as a whole, and looked up by its key")
    func queries() throws {
        let view = try DrivenView()
        try view.start()
        try view.write((0..<2_500).map { [.string("k\($0)"), .int(Int64($0)), .string("é,\"\($0)")] })
        let connector = ViewConnector(registry: view.registry)
        func rows(_ script: String, _ other: [any TableConnector] = []) throws -> [[Value]] {
            let sink = CollectingSink(maxParallelism: 1)
            _ = try JobRunner(try graph([connector, Collecting(sink: sink)] + other, script), options: JobOptions(workers: 1)).run()
            return sink.rows.map(\.values)
        }
        let table = "CREATE TABLE v (id STRING NOT NULL, a BIGINT, b STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'view');"
        let all = try rows(table + "CREATE TABLE o (b STRING, a BIGINT) WITH ('connector' = 'collect'); INSERT INTO o SELECT b, a + 1 FROM v WHERE a >= 100;")
        #expect(all.count == 2_400 && Set(all) == Set((100..<2_500).map { [.string("é,\"\($0)"), .int(Int64($0) + 1)] }))
        let orders = ScriptedSource(splits: [[Batch(schema: Self.input, rows: [[.string("k7"), .int(1)], [.string("none"), .int(2)], [.string("k8"), .int(3)], [.string("k7"), .int(4)]])]])
        let joined = try rows(table + """
            CREATE TABLE logs (device STRING NOT NULL, amount BIGINT NOT NULL, t AS PROCTIME()) WITH ('connector' = 'given');
            CREATE TABLE o (amount BIGINT, a BIGINT, b STRING) WITH ('connector' = 'collect');
            INSERT INTO o SELECT amount, v.a, v.b FROM logs LEFT JOIN v FOR SYSTEM_TIME AS OF logs.t ON logs.device = v.id;
            """, [Given(source: orders)])
        #expect(joined == [[.int(1), .int(7), .string("é,\"7")], [.int(2), .null, .null], [.int(3), .int(8), .string("é,\"8")], [.int(4), .int(7), .string("é,\"7")]])
        let error = #expect(throws: StreamError.self) {
            _ = try rows(table.replacingOccurrences(of: " v (", with: " w (") + "CREATE TABLE o (a BIGINT) WITH ('connector' = 'collect'); INSERT INTO o SELECT a FROM w;")
        }
        #expect(error?.description.contains("write \"v\"") == true)
    }

    @Test("kills and power cuts between any two steps, other parallelisms, savepoints: what is visible is what a checkpoint holds",
          arguments: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] as [UInt64])
    func simulations(_ seed: UInt64) throws {
        _ = try Simulation(name: "view", seed: seed) { try SimulatedViewJob(seed: seed, disk: $0) }.run()
    }
}

/// Fails now and then.
private final class FailingSource: TableSource {
    let source: ScriptedSource
    private let state: Mutex<(left: Int, after: Int, failures: Int)>
    var isBounded: Bool { source.isBounded }
    var failures: Int { state.withLock { $0.failures } }

    init(source: ScriptedSource, after: Int) {
        self.source = source
        state = Mutex((after, after, 0))
    }

    func splits() throws -> [SourceSplit] { try source.splits() }
    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader { Reader(try source.reader(for: split, metrics: metrics), self) }

    private func step() throws {
        try state.withLock { state in
            state.left -= 1
            guard state.left == 0, state.failures < 3 else { return }
            state.left = state.after
            state.failures += 1
            throw StreamError(.runtime, "a failure on purpose")
        }
    }

    private final class Reader: SplitReader {
        private let reader: any SplitReader
        private let source: FailingSource
        init(_ reader: any SplitReader, _ source: FailingSource) { (self.reader, self.source) = (reader, source) }
        func next(maxRows: Int) throws -> ReadResult {
            try source.step()
            return try reader.next(maxRows: maxRows)
        }
        var position: String { reader.position }
    }
}

/// A changelog into a view that shows checkpoints.
private final class SimulatedViewJob: SimulatedTopology {
    private let broker: SimulatedBroker
    private let partitions: [[SimulatedBroker.Row]]
    private var registry = ViewRegistry()
    private var last = VisibleOutput(kind: .table, rows: [])
    private static let schema: Schema = [Field("id", .string, nullable: false), Field("version", .bigint)]

    init(seed: UInt64, disk: SimulatedDisk) throws {
        var random = SeededRandom(seed ^ 0x71E3)
        var known: Set<Int> = [], partitions = [[SimulatedBroker.Row]](repeating: [], count: Int.random(in: 1...3, using: &random))
        for version in 0..<Int64.random(in: 10...150, using: &random) {
            let id = Int.random(in: 0..<20, using: &random), values: [Value] = [.string("k\(id)"), .int(version)]
            let kind: RowKind = known.contains(id) ? Int.random(in: 0..<4, using: &random) == 0 ? .delete : .updateAfter : .insert
            if kind == .delete { known.remove(id) } else { known.insert(id) }
            partitions[id % partitions.count].append(.init(values, kind: kind))
        }
        self.partitions = partitions
        broker = SimulatedBroker(seed: seed)
        broker.add("changes", Self.schema, partitions: partitions)
    }

    func graph(host: Host, parallelism: Int) throws -> JobGraph {
        registry = ViewRegistry()
        let session = SQLSession(catalog: Catalog(connectors: [SimulatedBrokerConnector(broker), ViewConnector(registry: registry, host: host)]), now: host.now)
        var made: JobGraph?
        let script = """
            SET 'parallelism.default' = '\(parallelism)';
            SET 'table.exec.sink.upsert-materialize' = 'NONE';
            CREATE TABLE changes (id STRING NOT NULL, version BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'simulated', 'topic' = 'changes');
            CREATE TABLE newest (id STRING NOT NULL, version BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'view', 'view.visibility' = 'checkpoint');
            INSERT INTO newest SELECT id, version FROM changes;
            """
        for statement in try SQLParser(text: script).parseScript() { if case .insert(let graph) = try session.execute(statement) { made = graph } }
        return try #require(made)
    }

    private static func model(_ changes: [SimulatedBroker.Row]) -> [String: VisibleOutput] {
        var rows: [Value: [Value]] = [:]
        for change in changes { rows[change.values[0]] = change.kind == .delete ? nil : change.values }
        return ["newest": VisibleOutput(kind: .table, rows: rows.values.map { "\(text($0[0])) \(text($0[1]))" })]
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .string(let text): text
        case .int(let number): "\(number)"
        default: "\(value)"
        }
    }

    var expected: [String: VisibleOutput] { Self.model(partitions.flatMap { $0 }) }
    var violations: [String] { broker.violations }

    func expected(at manifest: CheckpointManifest?) -> [String: VisibleOutput]? {
        var offsets = [Int](repeating: 0, count: partitions.count)
        for op in manifest?.operators ?? [] where op.name.hasPrefix("Source: changes") {
            for split in op.splits { offsets[Int(split.id)!] = Int(split.position ?? "0")! }
        }
        return Self.model(zip(partitions, offsets).flatMap { $0.prefix($1) })
    }

    /// While a process is down nobody sees anything: what was seen last counts.
    func visible() throws -> [String: VisibleOutput] {
        if let page = try? registry.scan("newest", limit: 1_000, after: nil) {
            last = VisibleOutput(kind: .table, rows: try page.rows.map { row in
                let object = try #require(try JSONSerialization.jsonObject(with: Data(row.row ?? [])) as? [String: Any])
                return "\(object["id"]!) \(object["version"]!)"
            })
        }
        return ["newest": last]
    }
}
