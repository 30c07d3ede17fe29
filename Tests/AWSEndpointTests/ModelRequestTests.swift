import AWSEndpoint
import AWSProtocol
import Foundation
import TestScripts
import Testing

/// The judge of the services is judged: it must find what is wrong with services that are.
@Suite struct ModelRequestTests {
    /// Takes everything, or nothing.
    struct Careless: AWSService {
        let targetPrefix = "Kinesis_20131202"
        var answer: @Sendable (AWSRequest) throws -> AWSResponse
        func handle(_ request: AWSRequest) throws -> AWSResponse { try answer(request) }
    }

    func judge(_ arguments: [String] = [], options: AWSEndpoint.Options = .init(), _ answer: @escaping @Sendable (AWSRequest) throws -> AWSResponse) throws
        -> (status: Int32, requests: Int, failures: Int, first: [String])
    {
        let endpoint = try AWSEndpoint(services: [Careless(answer: answer)], options: options)
        defer { endpoint.stop() }
        let result = try PythonScript.run(
            "aws/model_requests.py", ["http://127.0.0.1:\(endpoint.port)", "kinesis", "--only", "ListShards", "--failures", "1000"] + arguments)
        let line = result.output.split(separator: "\n").last.map(String.init) ?? ""
        let answer = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(result.output)\(result.errors)")
        return (result.status, try #require(answer["requests"] as? Int), try #require(answer["failures"] as? Int), try #require(answer["first"] as? [String]))
    }

    @Test func `a service that takes everything fails by each broken constraint`() throws {
        let (status, _, failures, first) = try judge { _ in .output(["Shards": []]) }
        #expect(status == 1 && failures == first.count)
        for kind in ["short", "long", "pattern", "range", "enum", "type", "malformed", "missing"] {
            for encoding in ["json", "cbor"] { #expect(first.contains { $0.hasPrefix("ListShards \(encoding) \(kind) ") }, "\(kind) in \(encoding)") }
        }
        #expect(!first.contains { $0.contains(" valid ") })
    }

    @Test func `answers that are not the model's fail, as do errors that it does not have and failures of the server`() throws {
        let wrong: [@Sendable (AWSRequest) throws -> AWSResponse] = [
            { _ in .output(["Shards": [["ShardId": 5]]]) }, { _ in .output(["Shards": [], "Other": 1]) }, { _ in .output(["NextToken": .null]) },
            { _ in throw AWSError("ExpiredNothingException", "no") }, { _ in throw AWSError("InternalFailure", "no", status: 500) },
        ]
        for answer in wrong {
            let (status, requests, failures, first) = try judge(["--encoding", "json"], answer)
            #expect(status == 1 && failures > 0 && requests > 50)
            #expect(first.contains { $0.hasPrefix("ListShards json valid ") })
        }
    }

    @Test func `a service that checks its input and is signed for passes`() throws {
        let text = Shape.Pattern.letters("[a-zA-Z0-9_.-]+", and: "_.-")
        let types = ["AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"]
        let filter = Structure(required: [("Type", .string(values: types))], optional: [("ShardId", .string(min: 1, max: 128, pattern: text)), ("Timestamp", .timestamp)])
        let arn = Shape.Pattern("arn:aws.*:kinesis:.*:\\d{12}:stream/\\S+") { value in
            let parts = value.split(separator: ":", maxSplits: 5, omittingEmptySubsequences: false)
            return parts.count == 6 && parts[0] == "arn" && parts[1].hasPrefix("aws") && parts[2] == "kinesis" && parts[4].utf8.count == 12
                && parts[5].hasPrefix("stream/") && !parts[5].contains(" ")
        }
        let id = Shape.Pattern("[a-z0-9]{20}-[a-z0-9]{3}") { $0.utf8.count == 24 && $0.utf8.allSatisfy { $0 == 0x2D || $0 >= 0x30 && $0 <= 0x39 || $0 >= 0x61 && $0 <= 0x7A } }
        let shape = Structure(optional: [
            ("StreamName", .string(min: 1, max: 128, pattern: text)), ("NextToken", .string(min: 1, max: 1_048_576)),
            ("ExclusiveStartShardId", .string(min: 1, max: 128, pattern: text)), ("MaxResults", .integer(min: 1, max: 10_000)),
            ("StreamCreationTimestamp", .timestamp), ("ShardFilter", .structure(filter)), ("StreamARN", .string(min: 1, max: 2_048, pattern: arn)),
            ("StreamId", .string(min: 1, max: 24, pattern: id)),
        ])
        var options = AWSEndpoint.Options()
        options.credentials = [AWSCredentials(accessKey: "AKID", secret: "secret")]
        let (status, requests, failures, first) = try judge(["--access-key", "AKID", "--secret-key", "secret"], options: options) { request in
            _ = try request.input(shape)
            return .output(["Shards": [], "NextToken": "n"])
        }
        #expect(status == 0 && failures == 0, "\(first)")
        #expect(requests > 150)
    }
}
