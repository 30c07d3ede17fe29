import AWSEndpoint
import TestScripts
import Testing

@testable import DynamoDBService

struct StreamEndpointTests {
    @Test func streamsAreReadThroughBoto3() throws {
        let tables = try StreamedTables()
        let endpoint = try AWSEndpoint(services: [tables.service, tables.streams])
        defer { endpoint.stop() }
        #expect(try PythonScript.answer("aws/dynamodb_streams.py", ["http://127.0.0.1:\(endpoint.port)"]) as? String == "ok")
    }

    /// What moto takes and the service does not, and what only a service that forgets does.
    private static let motoOnly = [
        // Looks for a stream of its own in front of those of tables that earlier tests deleted; they are listed for 24 hours.
        "test_dynamodbstreams.py::TestCore::test_list_streams",
        // Views of the names OLD_IMAGES and NEW_IMAGES, which the service's model does not have.
        "test_dynamodbstreams.py::TestEdges::test_enable_stream_on_table", "test_dynamodbstreams.py::TestEdges::test_stream_with_range_key",
    ]

    @Test func motosOwnTestsPass() throws {
        let tables = try StreamedTables()
        let endpoint = try AWSEndpoint(services: [tables.service, tables.streams])
        defer { endpoint.stop() }
        let answer = try PythonScript.answer("aws/moto_tests.py", ["http://127.0.0.1:\(endpoint.port)", "test_dynamodbstreams"], seconds: 300)
        let outcomes = try #require(answer as? [String: [String]])
        #expect(outcomes.count == 15)
        for (test, outcome) in outcomes where !Self.motoOnly.contains(test) { #expect(outcome[0] == "passed", "\(test): \(outcome[1])") }
    }
}
