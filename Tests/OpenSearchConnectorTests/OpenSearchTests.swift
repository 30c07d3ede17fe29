import Foundation
import OpenSearchConnector
import StreamCore
import StreamTesting
import Testing

@Suite("opensearch sink") struct OpenSearchTests {
    static let schema: Schema = [Field("id", .bigint), Field("name", .string), Field("n", .string), Field("ts", .timestamp(3))]

    private static func row(_ id: Int64, _ name: String, _ n: String = "1", _ ts: Int64 = 0) -> [Value] { [.int(id), .string(name), .string(n), .int(ts)] }

    private func sink(_ server: SearchServer, key: [String] = [], _ options: [String: String] = [:]) throws -> any TableSink {
        let table = server.table(Self.schema, key: key, options)
        try OpenSearchConnector().validate(table)
        return try OpenSearchConnector().sink(for: table, timeZone: "UTC")
    }

    @Test("a changelog becomes documents by primary key: inserted, replaced and deleted")
    func upserts() throws {
        let server = try SearchServer()
        try sink(server, key: ["id", "name"]).write(Self.schema, [
            ([Self.row(1, "a"), Self.row(2, "b"), Self.row(3, "c\"\\")], nil),
            ([Self.row(1, "a", "old"), Self.row(1, "a", "new"), Self.row(2, "b"), Self.row(9, "never")], [.updateBefore, .updateAfter, .delete, .delete]),
            // Within one request the last of a document counts.
            ([Self.row(4, "d", "1"), Self.row(4, "d", "2"), Self.row(5, "e"), Self.row(5, "e")], [.insert, .updateAfter, .insert, .delete]),
        ])
        let found = try server.documents("t")
        #expect(found.keys.sorted() == ["1_a", "3_c\"\\", "4_d"])
        #expect(found["1_a"]?["n"] as? String == "new" && found["4_d"]?["n"] as? String == "2")
        #expect(found["1_a"]?["id"] as? Int == 1)
    }

    @Test("rows without a key get ids of their own; with 'create' the service gives them")
    func appends() throws {
        let server = try SearchServer()
        try sink(server).write(Self.schema, [((0..<10).map { Self.row($0, "same") }, nil), ([Self.row(0, "same")], nil)])
        #expect(try server.count("t") == 11)
        try sink(server, ["index": "u", "sink.bulk-action": "create"]).write(Self.schema, [([Self.row(1, "a"), Self.row(1, "a")], nil)])
        #expect(try server.documents("u").keys.allSatisfy { $0.hasPrefix("auto-") } && server.count("u") == 2)
    }

    @Test("index names from columns, dates and the present")
    func indexNames() throws {
        let server = try SearchServer()
        let second: Int64 = 1_714_852_726_480  // 2024-05-04T19:58:46.480Z
        let batch: (rows: [[Value]], kinds: [RowKind]?) = ([Self.row(1, "web", "1", second), Self.row(2, "db", "1", second + 86_400_000), Self.row(3, "db", "1", -1)], nil)
        try sink(server, ["index": "logs-{name}-{ts|yyyy.MM.dd}"]).write(Self.schema, [batch])
        #expect(try server.indexes == ["logs-db-1969.12.31", "logs-db-2024.05.05", "logs-web-2024.05.04"])
        try sink(server, ["index": "h-{ts | yyyy-MM-dd'T'HH'h'}"]).write(Self.schema, [([Self.row(1, "web", "1", second)], nil)])
        #expect(try server.count("h-2024-05-04T19h") == 1)
        try sink(server, ["index": "now-{now()|yyyy}"]).write(Self.schema, [([Self.row(1, "web")], nil)])
        #expect(try server.indexes.contains { $0.hasPrefix("now-2") })
    }

    @Test("documents that the service is too busy for are sent again, and only those; so are requests")
    func retries() throws {
        let server = try SearchServer(), metrics = OperatorMetrics()
        try server.plan(["busy": 25])
        try sink(server, key: ["id"]).write(Self.schema, [((0..<100).map { Self.row($0, "x") }, nil)], metrics: metrics)
        #expect(try server.count("t") == 100)
        #expect(metrics.gauges["documents-resent"] == 25)
        #expect(metrics.gauges["bulk-requests"] == 2)
        try server.plan(["busy_requests": 3])
        try sink(server, key: ["id"]).write(Self.schema, [((100..<110).map { Self.row($0, "x") }, nil)])
        #expect(try server.count("t") == 110)
        // Cut off after the request was carried out: the ids make the repetition harmless.
        try server.plan(["drop_after": 1])
        try sink(server, ["index": "dropped"]).write(Self.schema, [((0..<10).map { Self.row($0, "x") }, nil)])
        #expect(try server.count("dropped") == 10)
        // Too large a request goes in parts.
        try server.plan(["max_body": 2_000])
        try sink(server, ["index": "parts"]).write(Self.schema, [((0..<100).map { Self.row($0, "x") }, nil)])
        #expect(try server.count("parts") == 100)
        let error = #expect(throws: StreamError.self) {
            try sink(server).write(Self.schema, [([Self.row(1, String(repeating: "x", count: 3_000))], nil)])
        }
        #expect(error?.problem.contains("gave status 413") == true, "\(error!)")
    }

    @Test("a job fails with the reason when the service stays away, or refuses a document and there is no backup")
    func failures() throws {
        let server = try SearchServer()
        try server.plan(["integer": ["n"]])
        let refused = #expect(throws: StreamError.self) { try sink(server, key: ["id"]).write(Self.schema, [([Self.row(1, "a"), Self.row(7, "b", "x7")], nil)]) }
        #expect(refused?.problem.contains("index t refused to index document 7: mapper_parsing_exception: failed to parse field [n] of type [integer]: For input string: \"x7\"") == true, "\(refused!)")
        #expect(refused?.fix?.contains("sink.backup.path") == true)
        try server.plan(["user": "joe:pass"])
        let unauthorized = #expect(throws: StreamError.self) { try sink(server, ["username": "joe", "password": "wrong"]).write(Self.schema, [([Self.row(1, "a")], nil)]) }
        #expect(unauthorized?.problem.contains("gave status 401") == true && unauthorized?.fix?.contains("'password'") == true)
        try sink(server, ["username": "joe", "password": "pass", "index": "v"]).write(Self.schema, [([Self.row(1, "a")], nil)])
        try server.plan(["user": NSNull(), "busy": 1_000])
        let busy = #expect(throws: StreamError.self) {
            try sink(server, ["sink.bulk-flush.backoff.max-retries": "2"]).write(Self.schema, [([Self.row(1, "a")], nil)])
        }
        #expect(busy?.problem.contains("also after 2 retries: rejected_execution_exception") == true, "\(busy!)")
        server.end()
        let away = #expect(throws: StreamError.self) {
            try sink(server, ["sink.bulk-flush.backoff.max-retries": "1"]).write(Self.schema, [([Self.row(1, "a")], nil)])
        }
        #expect(away?.code == .io && away?.problem.contains("cannot be reached") == true, "\(away!)")
    }

    @Test("the next of several servers is asked when one is away")
    func severalHosts() throws {
        let server = try SearchServer(), gone = try SearchServer()
        gone.end()
        try sink(server, ["hosts": "\(gone.address);\(server.address)/"]).write(Self.schema, [([Self.row(1, "a")], nil)])
        #expect(try server.count("t") == 1)
    }

    @Test("refused documents go to the backup with their reason, all documents when asked for")
    func backup() throws {
        let server = try SearchServer()
        try server.plan(["integer": ["n"]])
        let rows = (0..<20).map { Self.row(Int64($0), "a", $0 % 5 == 0 ? "-" : "\($0)") }
        let sink = try sink(server, ["sink.backup.path": server.directory, "sink.backup.mode": "all"])
        #expect(sink.commitInterval == .seconds(1))
        try sink.write(Self.schema, [(Array(rows[..<10]), nil), (Array(rows[10...]), nil)])
        #expect(try server.count("t") == 16)
        let (failed, hidden) = try server.backup()
        #expect(hidden.isEmpty && failed.count == 4)
        #expect(failed.compactMap { ($0["document"] as? [String: Any])?["id"] as? Int } == [0, 5, 10, 15])
        #expect(failed.allSatisfy { $0["error_type"] as? String == "mapper_parsing_exception" && $0["status"] as? Int == 400 && $0["index"] as? String == "t" })
        #expect(try server.backup("documents").lines.count == 20)
    }

    @Test("whenever the process dies, each row is in the index once in the end, each refused one in the backup once")
    func everyDeath() throws {
        func run(_ call: Int?) throws -> Int {
            let server = try SearchServer()
            try server.plan(["integer": ["n"]])
            var next: Int64 = 0
            func rows(_ subtask: Int, _ count: Int64) -> SinkStep {
                defer { next += count }
                return .write(subtask: subtask, rows: (next..<next + count).map { Self.row($0, "k", $0 % 3 == 0 ? "bad" : "\($0)") })
            }
            let steps = [
                rows(0, 5), rows(1, 4), .checkpoint, rows(0, 7), .idle, rows(1, 3), .checkpointWithoutCommit, .restart(parallelism: 2), rows(0, 4), rows(1, 5), .idle,
                .abortedCheckpoint, rows(1, 3), .fail, rows(0, 4), .checkpoint, rows(0, 2), rows(1, 2), .finish,
            ]
            var history = SinkHistory(steps: steps, schema: Self.schema, parallelism: 2) { host in
                try OpenSearchConnector(host: host).sink(for: server.table(Self.schema, ["sink.backup.path": server.directory]), timeZone: "UTC")
            }
            var last: [Int] = []
            history.check = { rows in
                let ids = rows.compactMap { if case .int(let id) = $0[0] { Int(id) } else { nil } }
                last = ids
                let refused = try server.backup().lines.compactMap { ($0["document"] as? [String: Any])?["id"] as? Int }.sorted(), wanted = ids.filter { $0 % 3 == 0 }.sorted()
                #expect(refused == wanted, "dying at \(call ?? -1)")
                // Rows since the checkpoint may be there early, but none of before is missing.
                let found = Set(try server.documents("t").values.compactMap { $0["id"] as? Int })
                #expect(found.isSuperset(of: ids.filter { $0 % 3 != 0 }), "dying at \(call ?? -1)")
            }
            let calls = try history.run(dyingAt: call)
            #expect(try server.documents("t").values.compactMap { $0["id"] as? Int }.sorted() == last.filter { $0 % 3 != 0 }.sorted(), "dying at \(call ?? -1)")
            #expect(try server.backup().hidden.isEmpty, "dying at \(call ?? -1)")
            return calls
        }
        let calls = try run(nil)
        #expect(calls > 20, "\(calls)")
        for call in SinkHistory.deaths(of: calls) { _ = try run(call) }
    }

    @Test("options that cannot be are refused with what to write", arguments: [
        (["hosts": "localhost:9200"], "'hosts' = 'localhost:9200' has 'localhost:9200' in it"), (["index": "Logs"], "has 'L' in it"),
        (["index": "a-{nam}"], "names {nam}, which is no column"), (["index": "a-{name|yyyy}"], "is no date or time"),
        (["index": "a-{ts|QQ}"], "has 'QQ' in its date format"), (["password": "x"], "stands without 'username'"), (["format": "csv"], "use 'json'"),
        (["sink.bulk-flush.backoff.strategy": "DISABLED", "sink.bulk-flush.backoff.delay": "1 s"], "has no effect"),
        (["sink.backup.mode": "all"], "has no directory"), (["allow-insecure": "true", "hosts": "https://a:1"], "certificates are always checked"),
    ])
    func options(_ options: [String: String], _ problem: String) throws {
        let table = TableDescriptor(name: "t", schema: Self.schema, options: ["connector": "opensearch", "hosts": "http://127.0.0.1:1", "index": "t"].merging(options) { $1 })
        let error = #expect(throws: StreamError.self) { try OpenSearchConnector().validate(table) }
        #expect(error?.description.contains(problem) == true, "\(error!)")
    }
}
