import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Testing
@testable import RestConnector

@Suite("Lookups over HTTP") struct RestLookupTests {
    private static let users = """
        {"1": {"id": 1, "name": "Ann", "age": 31}, "2": [{"name": "Bob"}, {"name": "Bea"}], "a b/c": {"name": "spaced"}}
        """

    /// The rows of a query over orders (`ids`) and a table with the options, sorted.
    private func run(_ server: PythonServer, _ query: String, ids: [String], options: String, columns: String = "id STRING, name STRING, age INT") throws
        -> [String]
    {
        let file = server.directory.appendingPathComponent("orders-\(UUID().uuidString).json")
        let lines = ids.map { "{\"id\": \($0 == "null" ? "null" : "\"\($0)\"")}" }.joined(separator: "\n")
        try lines.write(to: file, atomically: true, encoding: .utf8)
        let session = SQLSession(connectors: [FilesystemConnector(), RestConnector()])
        let script = """
            CREATE TABLE o (id STRING, pt AS PROCTIME()) WITH ('connector' = 'filesystem', 'path' = '\(file.path)', 'format' = 'json');
            CREATE TABLE u (\(columns)) WITH ('connector' = 'rest', \(options.replacing("PORT", with: "\(server.port)")));
            \(query)
            """
        let sink = CollectingSink(maxParallelism: 1)
        for statement in try SQLParser(text: script).parseScript() {
            guard case .query(let planned) = try session.execute(statement) else { continue }
            _ = try JobExecution(try planned.jobGraph(into: sink)).run()
        }
        return sink.rows.map { $0.values.map(Self.text).joined(separator: " ") }.sorted()
    }

    private static func text(_ value: Value) -> String {
        switch value {
        case .null: "null"
        case .int(let i): "\(i)"
        case .string(let s): s
        default: "\(value)"
        }
    }

    private func with<R>(_ body: (PythonServer) throws -> R) throws -> R {
        let server = try PythonServer(users: Self.users)
        defer { server.stop() }
        return try body(server)
    }

    private static let join = "SELECT o.id, u.name, u.age FROM o JOIN u FOR SYSTEM_TIME AS OF o.pt ON o.id = u.id"
    private static let outer = "SELECT o.id, u.name FROM o LEFT JOIN u FOR SYSTEM_TIME AS OF o.pt ON o.id = u.id AND u.name <> 'Bea'"

    @Test("rows are found by key: none, one or several")
    func find() throws {
        try with { (server: PythonServer) throws -> Void in
            let options = "'url' = 'http://127.0.0.1:PORT/users/{id}', 'headers.X-Token' = 'secret'"
            let ids = ["1", "2", "2", "9", "a b/c", "null"]
            let found = try run(server, Self.join, ids: ids, options: options)
            #expect(found == ["1 Ann 31", "2 Bea null", "2 Bea null", "2 Bob null", "2 Bob null", "a b/c spaced null"].sorted())
            #expect(server.requests.contains("GET /users/a%20b%2Fc secret "))
            #expect(server.requests.count == 4, "each key of a batch is asked for once")
            #expect(try run(server, Self.outer, ids: ids, options: options) == ["1 Ann", "2 Bob", "2 Bob", "9 null", "a b/c spaced", "null null"].sorted())
        }
    }

    @Test("a body with the key is posted as JSON")
    func post() throws {
        try with { (server: PythonServer) throws -> Void in
            let options = "'url' = 'http://127.0.0.1:PORT/post', 'body' = '{\"q\": {id}, \"n\": 1}', 'method' = 'post'"
            #expect(try run(server, "SELECT u.name FROM o JOIN u FOR SYSTEM_TIME AS OF o.pt ON o.id = u.id", ids: ["a\\\"b"], options: options) == ["a\"b 1", "a\"b 2"])
        }
    }

    @Test("what fails for a while is asked for again, and the job fails when it goes on")
    func retries() throws {
        try with { (server: PythonServer) throws -> Void in
            let options = "'url' = 'http://127.0.0.1:PORT/flaky/{id}', 'retry.backoff' = '1 ms'"
            #expect(try run(server, Self.join, ids: ["1"], options: options) == ["1 after 3 null"])
            let error = #expect(throws: StreamError.self) { try run(server, Self.join, ids: ["2"], options: options + ", 'lookup.max-retries' = '1'") }
            #expect(error?.problem.contains("gave status 503, also after 1 retry") == true, "\(error!)")
            let timeout = #expect(throws: StreamError.self) {
                try run(server, Self.join, ids: ["1"], options: "'url' = 'http://127.0.0.1:PORT/slow/{id}', 'timeout' = '20 ms', 'lookup.max-retries' = '0'")
            }
            #expect(timeout?.problem.contains("cannot be reached") == true, "\(timeout!)")
            for (path, problem) in [("other/{id}", "gave status 403"), ("text/{id}", "neither a JSON object")] {
                let error = #expect(throws: StreamError.self) { try run(server, Self.join, ids: ["1"], options: "'url' = 'http://127.0.0.1:PORT/\(path)'") }
                #expect(error?.problem.contains(problem) == true, "\(error!)")
            }
        }
    }

    @Test("keys are asked for side by side")
    func concurrency() throws {
        try with { (server: PythonServer) throws -> Void in
            let start = Date()
            let rows = try run(
                server, Self.join, ids: (0..<20).map { "\($0)" }, options: "'url' = 'http://127.0.0.1:PORT/slow/{id}', 'concurrency' = '20'")
            #expect(rows.count == 20)
            #expect(Date().timeIntervalSince(start) < 3, "twenty answers of 0.2 s each came one after the other")
        }
    }

    @Test("a partial cache asks again only for what it lacks")
    func partialCache() throws {
        try with { (server: PythonServer) throws -> Void in
            let options = try LookupOptions(TableDescriptor(
                name: "u", schema: [Field("id", .string), Field("name", .string)],
                options: ["lookup.cache": "partial", "lookup.partial-cache.expire-after-write": "10 s", "lookup.partial-cache.max-rows": "3"]), caches: [.none, .partial])
            #expect(options.cache == .partial && options.maxRows == 3 && options.expireAfterWrite == 10_000)
            let rows = try run(
                server, Self.join, ids: ["1", "2", "1"],
                options: "'url' = 'http://127.0.0.1:PORT/users/{id}', 'lookup.cache' = 'PARTIAL', 'lookup.partial-cache.max-rows' = '100'")
            #expect(rows.count == 4)
        }
    }

    @Test(
        "wrong options are refused",
        arguments: [
            ("'url' = 'ftp://x'", "is no HTTP address"), ("'method' = 'GET'", "needs option 'url'"), ("'url' = 'http://x/{nope}'", "names {nope}"),
            ("'url' = 'http://x/{id}', 'body' = 'x', 'method' = 'GET'", "cannot be sent with method GET"),
            ("'url' = 'http://x/{id}', 'lookup.cache' = 'FULL'", "is not known here"), ("'url' = 'http://x/{age}'", "does not compare column age"),
            ("'url' = 'http://x/{id}', 'lookup.partial-cache.max-rows' = '3'", "counts only with"), ("'url' = 'http://x/{id}', 'colour' = 'red'", "has no option 'colour'"),
        ])
    func options(options: String, problem: String) throws {
        let session = SQLSession(connectors: [RestConnector()])
        let script = """
            CREATE TABLE u (id STRING, name STRING, age INT) WITH ('connector' = 'rest', \(options));
            SELECT u.name FROM (SELECT 'x' AS id, PROCTIME() AS pt) o JOIN u FOR SYSTEM_TIME AS OF o.pt ON o.id = u.id
            """
        let error = #expect(throws: StreamError.self) {
            for statement in try SQLParser(text: script).parseScript() { _ = try session.execute(statement) }
        }
        #expect(error?.problem.contains(problem) == true, "\(error!)")
    }
}
