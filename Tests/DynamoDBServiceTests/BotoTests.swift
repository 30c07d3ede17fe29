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

    @Test func `requests made from the service's model are answered or refused as the model says`() throws {
        let counts = try #require(try answer("model_requests.py", ["dynamodb"]) as? [String: Any])
        #expect(counts["failures"] as? Int == 0, "\(counts["first"] ?? "")")
        #expect(counts["requests"] as? Int ?? 0 > 5_000)
    }

    /// All of moto's tests of DynamoDB's API pass, but for those that `moto_dynamodb_exceptions.txt` lists, each with its reason.
    /// They take some minutes: `SWIFTWATER_MOTO_DYNAMODB=1` runs them.
    @Test(.enabled(if: ProcessInfo.processInfo.environment["SWIFTWATER_MOTO_DYNAMODB"] != nil)) func `moto's own tests pass`() throws {
        let tables = try TestTables()
        var options = AWSEndpoint.Options()
        options.accountID = "123456789012"
        let endpoint = try AWSEndpoint(services: [tables.service, DynamoDBStreamsService(store: tables.service.store)], options: options)
        defer { endpoint.stop() }
        // Of moto's own classes, of other services, or of operations that are refused.
        let left = ["export_table", "import_table", "iam_permission", "cloudformation", "statements", "executor", "validation", "expression_tokenizer",
                    "utils", "expressions", "account_mode"].map { "tests/test_dynamodb/test_dynamodb_\($0).py" }
        let ignored = (left + ["tests/test_dynamodb/models", "tests/test_dynamodb/test_server.py"]).flatMap { ["--ignore", $0] }
        let answer = try PythonScript.answer("aws/moto_tests.py", ["http://127.0.0.1:\(endpoint.port)", "test_dynamodb"] + ignored, seconds: 1_800)
        let outcomes = try #require(answer as? [String: [String]])
        let list = try String(contentsOf: PythonScript.root.appending(path: "Tests/Support/aws/moto_dynamodb_exceptions.txt"), encoding: .utf8)
        let exceptions = Set(list.split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.hasPrefix(" ") }.map(String.init))
        #expect(outcomes.count > 480)
        for (test, outcome) in outcomes.sorted(by: { $0.key < $1.key }) where outcome[0] == "failed" && !exceptions.contains(test) {
            Issue.record("\(test): \(outcome[1])")
        }
        for test in exceptions { #expect(outcomes[test]?[0] == "failed", "\(test) is listed as an exception") }
    }

    @Test func `random operations are answered as moto answers them`() throws {
        let moto = try BackgroundScript("aws/moto_server.py", seconds: 180)
        defer { moto.end() }
        let seed = UInt32.random(in: 0...UInt32.max)
        let result = try #require(
            try answer("dynamodb_random.py", ["http://127.0.0.1:\(moto.firstLine)", "\(seed)", "400"]) as? [String: Any], "seed \(seed)")
        #expect(result["different"] as? Int == 0, "seed \(seed)")
    }
}
