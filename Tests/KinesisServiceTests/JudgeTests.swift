import AWSProtocol
import Foundation
import KinesisService
import TestScripts
import Testing

/// Judges that nobody here wrote: moto's tests, the AWS CLI, botocore's model of the service.
@Suite struct JudgeTests {
    /// All of moto's tests of Kinesis pass, but for those that `moto_kinesis_exceptions.txt` lists, each with its reason.
    @Test func `moto's own tests pass`() throws {
        var options = KinesisServiceOptions()
        // As large as the service's limit was when these tests were written.
        options.requestBytesMax = 5 << 20
        try TestServer.run(options, account: "123456789012") { server in
            let answer = try PythonScript.answer("aws/moto_tests.py", [server.url, "test_kinesis"], seconds: 300)
            let outcomes = try #require(answer as? [String: [String]])
            let list = try String(contentsOf: PythonScript.root.appending(path: "Tests/Support/aws/moto_kinesis_exceptions.txt"), encoding: .utf8)
            let lines = list.split(separator: "\n").filter { !$0.hasPrefix("#") && !$0.hasPrefix(" ") }
            let exceptions = Set(lines.map(String.init))
            #expect(outcomes.count >= 87)
            for (test, outcome) in outcomes.sorted(by: { $0.key < $1.key }) {
                if exceptions.contains(test) {
                    #expect(outcome[0] == "failed", "\(test) is listed as an exception, and \(outcome[0])")
                } else {
                    #expect(outcome[0] != "failed", "\(test): \(outcome[1])")
                }
            }
            for test in exceptions { #expect(outcomes[test] != nil, "\(test) is listed, and there is no such test") }
            print("moto's tests: \(outcomes.values.count { $0[0] == "passed" }) passed, \(outcomes.values.count { $0[0] == "failed" }) failed of \(outcomes.count)")
        }
    }

    @Test func `the AWS CLI's commands work`() throws {
        try TestServer.run { server in
            let aws = PythonScript.root.appending(path: ".venv/bin/aws").path
            func run(_ arguments: String..., fails: Bool = false) throws -> [String: Any] {
                let process = Process()
                process.executableURL = URL(filePath: aws)
                process.arguments = ["--endpoint-url", server.url, "--region", "us-east-1", "--output", "json", "kinesis"] + arguments
                process.environment = ["AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "PATH": "/usr/bin:/bin", "HOME": server.directory,
                                       "AWS_MAX_ATTEMPTS": "1"]
                let output = Pipe(), errors = Pipe()
                (process.standardOutput, process.standardError) = (output, errors)
                try process.run()
                let text = output.fileHandleForReading.readDataToEndOfFile(), problem = errors.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                if fails { return ["error": String(decoding: problem, as: UTF8.self), "status": Int(process.terminationStatus)] }
                guard process.terminationStatus == 0 else {
                    throw PythonScript.Failure("aws kinesis \(arguments.joined(separator: " ")): \(String(decoding: problem, as: UTF8.self))")
                }
                return text.isEmpty ? [:] : try JSONSerialization.jsonObject(with: text) as? [String: Any] ?? [:]
            }
            _ = try run("create-stream", "--stream-name", "clicks", "--shard-count", "2")
            _ = try run("wait", "stream-exists", "--stream-name", "clicks")
            let put = try run("put-record", "--stream-name", "clicks", "--partition-key", "user-1", "--data", "hello")
            #expect((put["SequenceNumber"] as? String)?.count == 56)
            let shard = try #require(put["ShardId"] as? String)
            let several = try run("put-records", "--stream-name", "clicks", "--records", "Data=a,PartitionKey=user-1", "Data=b,PartitionKey=user-1")
            #expect(several["FailedRecordCount"] as? Int == 0)
            let iterator = try run("get-shard-iterator", "--stream-name", "clicks", "--shard-id", shard, "--shard-iterator-type", "TRIM_HORIZON")
            let page = try run("get-records", "--shard-iterator", try #require(iterator["ShardIterator"] as? String))
            #expect((page["Records"] as? [[String: Any]])?.compactMap { $0["Data"] as? String } == ["aGVsbG8=", "YQ==", "Yg=="])
            let described = try run("describe-stream", "--stream-name", "clicks")
            #expect(((described["StreamDescription"] as? [String: Any])?["Shards"] as? [Any])?.count == 2)
            #expect(try run("list-streams")["StreamNames"] as? [String] == ["clicks"])
            _ = try run("update-shard-count", "--stream-name", "clicks", "--target-shard-count", "4", "--scaling-type", "UNIFORM_SCALING")
            #expect((try run("list-shards", "--stream-name", "clicks", "--shard-filter", "Type=AT_LATEST")["Shards"] as? [Any])?.count == 4)
            let missing = try run("describe-stream-summary", "--stream-name", "nothing", fails: true)
            #expect([254, 255].contains(missing["status"] as? Int))
            #expect((missing["error"] as? String)?.contains("(ResourceNotFoundException) when calling the DescribeStreamSummary operation: "
                + "Stream nothing under account 000000000000 not found.") == true)
            _ = try run("delete-stream", "--stream-name", "clicks")
            #expect(try run("list-streams")["StreamNames"] as? [String] == [])
        }
    }

    @Test func `the shapes are those of botocore's model`() throws {
        let result = try PythonScript.run("aws/kinesis_shapes.py")
        let file = try String(contentsOf: PythonScript.root.appending(path: "Sources/KinesisService/KinesisShapes.swift"), encoding: .utf8)
        #expect(result.output == file, "make KinesisShapes.swift anew with Tests/Support/aws/kinesis_shapes.py")
    }

    /// Valid requests, and each constraint of the model broken in turn.
    @Test(arguments: ["json", "cbor"]) func `requests generated from the model get the right answers`(encoding: String) throws {
        try TestServer.run { server in
            let result = try PythonScript.run("aws/model_requests.py", [server.url, "kinesis", "--encoding", encoding], seconds: 280)
            print(String(result.output.split(separator: "\n").last ?? "").prefix(3_000))
            #expect(result.status == 0, "\(result.output.suffix(6_000))\(result.errors.suffix(2_000))")
        }
    }
}
