import Foundation
import OpenSearchConnector
import StreamCore
import Testing

@Suite("HTTP endpoint sink") struct HTTPPostTests {
    static let schema: Schema = [Field("id", .bigint), Field("name", .string)]
    private static func rows(_ range: Range<Int64>) -> [[Value]] { range.map { [.int($0), .string("n\($0)")] } }

    private func sink(_ server: SearchServer, _ path: String, _ options: [String: String] = [:]) throws -> any TableSink {
        let table = server.table(Self.schema, ["url": server.address + path].merging(options) { $1 }, connector: "http-post")
        try HTTPPostConnector().validate(table)
        return try HTTPPostConnector().sink(for: table, timeZone: "UTC")
    }

    @Test("rows go in batches as lines or as an array, packed when asked for", arguments: ["ndjson", "json-array"], [false, true])
    func bodies(_ form: String, _ isPacked: Bool) throws {
        let server = try SearchServer()
        try sink(server, "/lines?a=b", ["request-format": form, "content-encoding": isPacked ? "gzip" : "none", "headers.X-Team": "blue", "sink.bulk-flush.max-actions": "4"])
            .write(Self.schema, [(Self.rows(0..<10), nil)])
        let requests = try server.requests
        #expect(requests.count == 3 && requests.allSatisfy { $0["path"] as? String == "/lines?a=b" && ($0["headers"] as? [String: String])?["X-Team"] == "blue" })
        let bodies = requests.compactMap { $0["body"] as? String }
        #expect(bodies.last == (form == "ndjson" ? "{\"id\":8,\"name\":\"n8\"}\n{\"id\":9,\"name\":\"n9\"}\n" : "[{\"id\":8,\"name\":\"n8\"},{\"id\":9,\"name\":\"n9\"}]"))
    }

    @Test("a Firehose endpoint gets its form of request, and the same one again after a refusal")
    func firehose() throws {
        let server = try SearchServer()
        try server.plan(["busy_requests": 2])
        try sink(server, "/firehose", ["request-format": "firehose", "access-key": "secret", "common-attributes.env": "te\"st"]).write(Self.schema, [(Self.rows(0..<3), nil)])
        let request = try #require(try server.requests.first), headers = try #require(request["headers"] as? [String: String])
        #expect(try server.requests.count == 1)
        func header(_ name: String) -> String? { headers.first { $0.key.lowercased() == name.lowercased() }?.value }
        #expect(header("X-Amz-Firehose-Protocol-Version") == "1.0" && header("Content-Type") == "application/json")
        #expect(header("X-Amz-Firehose-Common-Attributes") == "{\"commonAttributes\":{\"env\":\"te\\\"st\"}}")
        let body = try #require(try JSONSerialization.jsonObject(with: Data((request["body"] as! String).utf8)) as? [String: Any])
        #expect(body["requestId"] as? String == header("X-Amz-Firehose-Request-Id") && (body["requestId"] as! String).count == 36)
        #expect(body["timestamp"] as? Int64 ?? 0 > 1_700_000_000_000)
        let data = (body["records"] as? [[String: String]] ?? []).compactMap { $0["data"].flatMap { Data(base64Encoded: $0) } }.map { String(decoding: $0, as: UTF8.self) }
        #expect(data == ["{\"id\":0,\"name\":\"n0\"}", "{\"id\":1,\"name\":\"n1\"}", "{\"id\":2,\"name\":\"n2\"}"])
    }

    @Test("what an endpoint does not take goes to the backup, or fails the job")
    func refusals() throws {
        let server = try SearchServer(), options = ["request-format": "firehose", "access-key": "wrong", "sink.bulk-flush.backoff.max-retries": "1"]
        let error = #expect(throws: StreamError.self) { try sink(server, "/firehose", options).write(Self.schema, [(Self.rows(0..<3), nil)]) }
        #expect(error?.problem.contains("did not take 3 records after 2 tries: gave status 401: wrong access key") == true, "\(error!)")
        try sink(server, "/firehose", options.merging(["sink.backup.path": server.directory]) { $1 }).write(Self.schema, [(Self.rows(0..<3), nil)])
        let (lines, hidden) = try server.backup()
        #expect(lines.count == 3 && hidden.isEmpty && lines.allSatisfy { $0["error_type"] as? String == "HttpEndpoint.StatusCode401" && $0["attempts"] as? Int == 2 })
        #expect(lines.first?["data"] as? String == Data("{\"id\":0,\"name\":\"n0\"}".utf8).base64EncodedString())
    }
}
