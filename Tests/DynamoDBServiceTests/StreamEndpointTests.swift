import AWSEndpoint
import TestScripts
import Testing

@testable import DynamoDBService

struct StreamEndpointTests {
    @Test func streamsAreReadThroughBoto3() throws {
        let tables = try TestTables()
        let endpoint = try AWSEndpoint(services: [tables.service, tables.streams])
        defer { endpoint.stop() }
        #expect(try PythonScript.answer("aws/dynamodb_streams.py", ["http://127.0.0.1:\(endpoint.port)"]) as? String == "ok")
    }
}
