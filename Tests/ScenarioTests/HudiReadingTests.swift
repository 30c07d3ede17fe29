import Foundation
import HudiTable
import StreamCore
import StreamRuntime
import StreamSQL
import Testing

/// Hudi tables read by SQL: as of a time, since an instant, and as a stream that another table is made of.
@Suite("Reading Hudi tables") struct HudiReadingTests {
    private func instants(_ table: String) throws -> [String] {
        try HudiTable.open(table).timeline.filter { $0.operation != nil }.map(\.instant)
    }

    private func explain(_ harness: Harness, _ query: String) throws -> String {
        guard case .rows(_, let rows) = try harness.session.execute(try SQLParser(text: "EXPLAIN " + query, file: nil).parseScript()[0]),
            case .string(let text)? = rows.first?.first
        else { return "" }
        return text
    }

    @Test("time travel and windows by FOR SYSTEM_TIME AS OF, options and hints") func timeTravel() throws {
        let harness = try Harness(), path = harness.directory + "/t"
        try harness.run("""
            CREATE TABLE t (id INT, name STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(path)');
            INSERT INTO t VALUES (1, 'a'), (2, 'b');
            INSERT INTO t VALUES (2, 'bb'), (3, 'c')
            """)
        let first = try instants(path)[0], second = try instants(path)[1]
        // The table gets a column: rows that were written before have NULL in it, whatever they are read as of.
        try harness.run("""
            CREATE TABLE wide (id INT, name STRING, extra INT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'hudi', 'path' = '\(path)');
            INSERT INTO wide VALUES (1, 'aa', 7)
            """)
        func time(_ instant: String, zone: Int = 0) -> String {
            let d = Array(instant)
            func part(_ a: Int, _ n: Int) -> String { String(d[a..<a + n]) }
            return "TIMESTAMP '\(part(0, 4))-\(part(4, 2))-\(part(6, 2)) \(part(8, 2)):\(part(10, 2)):\(part(12, 2)).\(part(14, 3))'"
        }
        func texts(_ query: String) throws -> [String] { try harness.query(query).map { "\($0)" }.sorted() }
        let old = try texts("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) v(id, name)"), new = try texts("SELECT * FROM (VALUES (1, 'a'), (2, 'bb'), (3, 'c')) v(id, name)")
        #expect(try texts("SELECT * FROM t FOR SYSTEM_TIME AS OF \(time(first))") == old)
        #expect(try texts("SELECT * FROM t FOR SYSTEM_TIME AS OF \(time(second)) - INTERVAL '0.001' SECOND AS x") == old)
        #expect(try texts("SELECT x.id, x.name FROM t FOR SYSTEM_TIME AS OF \(time(second)) AS x") == new)
        #expect(try texts("SELECT * FROM t /*+ OPTIONS('read.as-of-instant' = '\(first)') */") == old)
        #expect(try texts("SELECT * FROM wide FOR SYSTEM_TIME AS OF \(time(first))") == texts("SELECT id, name, CAST(NULL AS INT) FROM (VALUES (1, 'a'), (2, 'b')) v(id, name)"))
        // Both sides of a join as of other times, and what was written between them.
        #expect(try texts("SELECT n.name FROM t FOR SYSTEM_TIME AS OF \(time(first)) AS o JOIN t FOR SYSTEM_TIME AS OF \(time(second)) AS n ON o.id = n.id WHERE o.name <> n.name") == texts("SELECT 'bb'"))
        #expect(try texts("SELECT name FROM t /*+ OPTIONS('read.start-commit' = '\(first)', 'read.end-commit' = '\(second)') */") == texts("SELECT * FROM (VALUES ('bb'), ('c')) v(name)"))
        #expect(try texts("SELECT name FROM t /*+ OPTIONS('read.start-commit' = '\(second)') */") == texts("SELECT 'aa'"))
        // A TIMESTAMP is local to the session.
        try harness.run("SET 'table.local-time-zone' = 'Asia/Tokyo'")
        #expect(try texts("SELECT * FROM t FOR SYSTEM_TIME AS OF \(time(second)) + INTERVAL '9' HOUR") == new)
        #expect(try texts("SELECT * FROM t FOR SYSTEM_TIME AS OF \(time(second))").isEmpty)

        for (query, part) in [
            ("SELECT * FROM t FOR SYSTEM_TIME AS OF 'x'", "takes a time"),
            ("SELECT * FROM t FOR SYSTEM_TIME AS OF t.id", "constant time"),
            ("SELECT * FROM (SELECT * FROM t) FOR SYSTEM_TIME AS OF \(time(first))", "behind a query"),
            ("SELECT * FROM t /*+ OPTIONS('read.as-of-instant' = 'yesterday') */", "is no instant"),
            ("SELECT * FROM t /*+ OPTIONS('read.as-of-instant' = '\(first)', 'read.start-commit' = '\(first)') */", "does not go with"),
        ] {
            let error = #expect(throws: StreamError.self) { try harness.query(query) }
            #expect(error.map { "\($0)".contains(part) } == true, "\(query): \(error.map { "\($0)" } ?? "")")
        }
    }

    @Test("conditions on columns are pushed into the scan, and EXPLAIN shows them") func pushDown() throws {
        let harness = try Harness(), path = harness.directory + "/t"
        try harness.run("""
            CREATE TABLE t (id BIGINT, name VARCHAR(20), price DECIMAL(10, 2), moment TIMESTAMP(3), ok BOOLEAN, ratio FLOAT, PRIMARY KEY (id) NOT ENFORCED)
            WITH ('connector' = 'hudi', 'path' = '\(path)', 'hoodie.parquet.small.file.limit' = '1', 'write.operation' = 'insert');
            INSERT INTO t VALUES (1, 'a', 1.50, TIMESTAMP '2026-01-01 00:00:00', TRUE, CAST(0.5 AS FLOAT)), (2, 'b', -2.25, CAST(NULL AS TIMESTAMP(3)), FALSE, CAST(1.5 AS FLOAT));
            INSERT INTO t VALUES (11, 'k', 10.00, TIMESTAMP '2026-02-01 00:00:00', TRUE, CAST(NULL AS FLOAT)), (12, 'é', 20.00, TIMESTAMP '2026-02-02 00:00:00', FALSE, CAST(-0.0 AS FLOAT))
            """)
        for (condition, pushed, ids) in [
            ("id = 2", "id = 2", [2]), ("id IN (2, 11, 99)", "id IN (2, 11, 99)", [2, 11]), ("CAST(id AS INT) = 2", nil, [2]), ("id < 3 AND id >= 2", "id < 3 AND id >= 2", [2]),
            ("3 > id", "id < 3", [1, 2]), ("name = 'é'", "name = 'é'", [12]), ("name > 'b'", "name > 'b'", [11, 12]), ("price = 1.5", "price = 1.50", [1]),
            ("price < 1.505", nil, [1, 2]), ("moment IS NULL", "moment IS NULL", [2]), ("moment IS NOT NULL AND id > 1", "moment IS NOT NULL AND id > 1", [11, 12]),
            ("moment >= TIMESTAMP '2026-02-01 00:00:00'", "moment >= TIMESTAMP(3)(1769904000000)", [11, 12]), ("ok", "ok = TRUE", [1, 11]), ("NOT ok", "ok = FALSE", [2, 12]),
            ("ratio = 0", "ratio = 0", [12]), ("ratio > 1", "ratio > 1", [2]), ("id BETWEEN 2 AND 11", "id >= 2 AND id <= 11", [2, 11]), ("id + 1 = 3", nil, [2]),
            ("id = 1 OR name = 'k'", nil, [1, 11]), ("UPPER(name) = 'A' AND id < 5", "id < 5", [1]),
        ] as [(String, String?, [Int64])] {
            let query = "SELECT id FROM t WHERE \(condition)"
            #expect(try harness.query(query).map { $0[0] }.sorted { "\($0)" < "\($1)" } == ids.map { .int($0) }.sorted { "\($0)" < "\($1)" }, "\(condition)")
            let plan = try explain(harness, query), shown = plan.components(separatedBy: "skip by: ").dropFirst().first?.components(separatedBy: ")\n").first
            if let pushed { #expect(shown?.hasPrefix(pushed) == true, "\(plan)") } else { #expect(shown == nil, "\(condition): \(plan)") }
        }
    }

    @Test("a table made of another table's changes equals the model after every commit, whatever the crashes", arguments: [1, 2] as [UInt64])
    func downstream(seed: UInt64) throws {
        print("tables downstream of tables: seed \(seed)")
        var random = SplitMix(seed)
        let harness = try Harness()
        let stream = "/*+ OPTIONS('read.streaming.enabled' = 'true', 'read.streaming.check-interval' = '10 ms') */"
        try harness.run("""
            CREATE TABLE orders (id INT, city STRING, amount BIGINT, PRIMARY KEY (id) NOT ENFORCED) PARTITIONED BY (city)
            WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/orders');
            CREATE TABLE totals (city STRING, n BIGINT, total BIGINT, PRIMARY KEY (city) NOT ENFORCED)
            WITH ('connector' = 'hudi', 'path' = '\(harness.directory)/totals')
            """)
        func start() throws -> RunningRunner {
            let statement = try SQLParser(text: "INSERT INTO totals SELECT city, COUNT(*), SUM(amount) FROM orders \(stream) GROUP BY city", file: nil).parseScript()[0]
            guard case .insert(let graph) = try harness.session.execute(statement) else { throw StreamError(.validate, "not an INSERT") }
            return try RunningRunner(graph, directory: harness.directory + "/checkpoints")
        }
        var model: [Int: (city: String, amount: Int)] = [:]
        var job: RunningRunner? = try start()
        defer { job?.cancel() }
        for round in 0..<8 {
            var rows: [String] = []
            for id in Set((0..<12).map { _ in Int.random(in: 0..<25, using: &random) }).sorted() {
                let row = (city: ["oslo", "lima", "rome", "bern"].randomElement(using: &random)!, amount: Int.random(in: 1..<100, using: &random))
                model[id] = row
                rows.append("(\(id), '\(row.city)', \(row.amount))")
            }
            try harness.run("INSERT INTO orders VALUES " + rows.joined(separator: ", "))
            if Bool.random(using: &random) {
                // As kill -9 leaves it: nothing is flushed, checkpointed or committed any more.
                job?.cancel()
                job = nil
                job = try start()
            }
            let wanted = Dictionary(grouping: model.values, by: \.city).map { city, rows in
                "\([Value.string(city), .int(Int64(rows.count)), .int(Int64(rows.reduce(0) { $0 + $1.amount }))])"
            }.sorted()
            var last: [String] = []
            try eventually("\(wanted) after round \(round) instead of \(last)") {
                if let error = job?.failure { throw error }
                guard FileManager.default.fileExists(atPath: harness.directory + "/totals/.hoodie/hoodie.properties") else { return false }
                last = try harness.query("SELECT city, n, total FROM totals").map { "\($0)" }.sorted()
                return last == wanted
            }
        }
        job?.cancel()
        try harness.check(table: harness.directory + "/totals", key: "city")
    }
}

/// A job with checkpoints, on a thread of its own.
private final class RunningRunner {
    private let runner: JobRunner, thread: WorkerThread, result: Handed

    private final class Handed: @unchecked Sendable {  // SAFETY: guarded by the lock
        private let lock = NSLock()
        private var found: (any Error)?
        var error: (any Error)? {
            get { lock.withLock { found } }
            set { lock.withLock { found = newValue } }
        }
    }

    init(_ graph: JobGraph, directory: String) throws {
        var options = JobOptions()
        options.checkpoints.interval = .milliseconds(50)
        let runner = try JobRunner(graph, options: options, recovery: RecoveryOptions(directory: directory, jobID: "totals")), result = Handed()
        self.runner = runner
        self.result = result
        thread = WorkerThread {
            do { try runner.run() } catch { result.error = error }
        }
    }

    var failure: (any Error)? { result.error }

    private var isOver = false
    func cancel() {
        if isOver { return }
        isOver = true
        runner.cancel()
        thread.join()
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
