import AWSEndpoint
import DynamoDBService
import Foundation
import Testing
import TestScripts

/// boto3, the AWS CLI and moto's server as judges.
@Suite struct BotoTests {
    private func answer(_ script: String, _ arguments: [String] = []) throws -> Any {
        let tables = try TestTables()
        let endpoint = try AWSEndpoint(services: [tables.service])
        defer { endpoint.stop() }
        return try PythonScript.answer("aws/\(script)", ["http://127.0.0.1:\(endpoint.port)"] + arguments)
    }

    @Test func `boto3's client gets the service's answers and errors`() throws {
        let counts = try #require(try answer("dynamodb_client.py") as? [String: Int])
        #expect(counts["checks"] ?? 0 > 90)
    }

    @Test func `boto3's tables, conditions, batches and waiters work`() throws { #expect(try answer("dynamodb_resource.py") as? String == "ok") }

    @Test func `the AWS CLI runs the walkthrough's commands word for word`() throws { #expect(try answer("dynamodb_cli.py") as? String == "ok") }

    @Test func `random operations are answered as moto answers them`() throws {
        let moto = try BackgroundScript("aws/moto_server.py", seconds: 180)
        defer { moto.end() }
        let seed = UInt32.random(in: 0...UInt32.max)
        let result = try #require(
            try answer("dynamodb_random.py", ["http://127.0.0.1:\(moto.firstLine)", "\(seed)", "400"]) as? [String: Any], "seed \(seed)")
        #expect(result["different"] as? Int == 0, "seed \(seed)")
    }
}
