import AWSEndpoint
import AWSProtocol
import Foundation
import StreamCore
import TestScripts
import Testing

/// As much of Kinesis as the endpoint's own tests need.
struct StreamNames: AWSService {
    let targetPrefix = "Kinesis_20131202"

    func handle(_ request: AWSRequest) throws -> AWSResponse {
        switch request.operation {
        case "ListStreams": return .output(["StreamNames": [.string(request.region)], "HasMoreStreams": false])
        case "GetShardIterator":
            let input = try request.input(Structure(optional: [("Timestamp", .timestamp)]))
            return .output(["ShardIterator": .string("\(input["Timestamp"]?.double ?? 0)")])
        case "GetRecords":
            let records: AWSValue = ["Records": [["Data": .blob(Array("data".utf8)), "PartitionKey": "k", "SequenceNumber": "1",
                                                  "ApproximateArrivalTimestamp": .timestamp(1_767_323_045.25)]]]
            return .encoded(request.encoding == .cbor ? CBOR.write(records) : AWSJSON.write(records))
        case "DescribeLimits": throw AWSError("LimitExceededException", "too often")
        default: throw AWSError.unknownOperation()
        }
    }
}

@Suite struct AccessTests {
    static func endpoint(_ change: (inout AWSEndpoint.Options) -> Void = { _ in }) throws -> AWSEndpoint {
        var options = AWSEndpoint.Options()
        change(&options)
        return try AWSEndpoint(services: [StreamNames()], options: options)
    }

    @Test func `boto3 is let in with the right key, and told in the service's words otherwise`() throws {
        let endpoint = try Self.endpoint { options in
            options.credentials = [AWSCredentials(accessKey: "AKIDFIRST", secret: "first"), AWSCredentials(accessKey: "AKIDSECOND", secret: "s/e+c=ret")]
            options.regions = ["us-east-1", "eu-central-1"]
        }
        defer { endpoint.stop() }
        let answer = try PythonScript.answer("aws/authentication.py", ["http://127.0.0.1:\(endpoint.port)", "AKIDSECOND", "s/e+c=ret"]) as! [String: [Any]]
        func said(_ name: String) -> String { answer[name]!.map { "\($0)" }.joined(separator: " | ") }
        #expect(said("right") == "us-east-1")
        #expect(said("other region") == "eu-central-1")
        #expect(said("nearly old") == "us-east-1")
        #expect(said("with a token") == "us-east-1")
        #expect(said("unknown region") == "InvalidSignatureException | Credential should be scoped to a valid region, not 'us-west-2'. | 400")
        #expect(said("wrong secret").hasPrefix("InvalidSignatureException | The request signature we calculated does not match the signature you provided."))
        #expect(said("unknown key") == "UnrecognizedClientException | The security token included in the request is invalid. | 400")
        #expect(said("unsigned") == "MissingAuthenticationTokenException | Missing Authentication Token | 400")
        #expect(said("old").hasPrefix("InvalidSignatureException | Signature expired: "))
        #expect(said("new").hasPrefix("InvalidSignatureException | Signature not yet current: "))
    }

    @Test func `without credentials any signature does, and its scope tells the region`() throws {
        let endpoint = try Self.endpoint { $0.region = "eu-west-1" }
        defer { endpoint.stop() }
        let answer = try PythonScript.answer("aws/authentication.py", ["http://localhost:\(endpoint.port)", "any", "thing"]) as! [String: [String]]
        #expect(answer["right"] == ["us-east-1"])
        #expect(answer["old"] == ["us-east-1"])
        #expect(answer["unknown region"] == ["us-west-2"])
        #expect(answer["unsigned"] == ["eu-west-1"])
    }

    static let lists = "X-Amz-Target: Kinesis_20131202.ListStreams\r\nContent-Type: application/x-amz-json-1.1\r\n"

    @Test(arguments: [
        ("Host: localhost", 200), ("Host: 127.0.0.1:4566", 200), ("Host: [::1]:4566", 200), ("Host: app.localhost", 200),
        ("Host: kinesis.us-east-1.localhost.localstack.cloud:4566", 200), ("Host: box", 200), ("Host: evil.example", 403),
        ("Host: localhost.evil.example", 403), ("Host: 127.0.0.1.evil.example", 403), ("Host: localhost\r\nOrigin: http://localhost:3000", 200),
        ("Host: localhost\r\nOrigin: http://evil.example", 403), ("Host: localhost\r\nOrigin: null", 403), ("Host: localhost\r\nOrigin: file://", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site", 403),
    ]) func `requests that a page has a browser send are refused`(_ headers: String, _ status: Int) throws {
        let endpoint = try Self.endpoint { $0.hosts = ["Box"] }
        defer { endpoint.stop() }
        let client = RawClient(port: endpoint.port)
        client.send("POST / HTTP/1.1\r\n\(headers)\r\n\(Self.lists)Content-Length: 2\r\n\r\n{}")
        let response = client.response()
        #expect(response?.status == status)
        #expect(status == 200 || response?.body.contains("AccessDeniedException") == true)
    }

    @Test func `with credentials any name will do, and no signature will not`() throws {
        let endpoint = try Self.endpoint { $0.credentials = [AWSCredentials(accessKey: "a", secret: "b")] }
        defer { endpoint.stop() }
        let client = RawClient(port: endpoint.port)
        client.send("POST / HTTP/1.1\r\nHost: box.example\r\n\(Self.lists)Content-Length: 2\r\n\r\n{}")
        #expect(client.response()?.body == "{\"__type\":\"MissingAuthenticationTokenException\",\"message\":\"Missing Authentication Token\"}")
        let request = SignableRequest(headers: [(name: "Host", value: "box.example"), (name: "X-Amz-Target", value: "Kinesis_20131202.ListStreams")],
                                      body: Array("{}".utf8))
        let added = SignatureV4.sign(request, AWSCredentials(accessKey: "a", secret: "b"), region: "us-east-1", service: "kinesis",
                                     at: Host.system.now() / 1_000)
        let headers = (request.headers + added).map { "\($0.name): \($0.value)\r\n" }.joined()
        for (body, status) in [("{}", 200), ("{ ", 400)] {
            client.send("POST / HTTP/1.1\r\n\(headers)Content-Length: 2\r\n\r\n\(body)")
            #expect(client.response()?.status == status)
        }
    }

    @Test func `listening beyond the loopback interface takes credentials`() throws {
        for host in ["0.0.0.0", "::", "192.168.1.5"] {
            let error = #expect(throws: StreamError.self) { try AWSEndpoint(host: host, services: [StreamNames()]) }
            #expect("\(error!)".contains(host) && "\(error!)".contains("credentials"))
        }
        var options = AWSEndpoint.Options()
        options.credentials = [AWSCredentials(accessKey: "a", secret: "b")]
        try AWSEndpoint(host: "0.0.0.0", services: [StreamNames()], options: options).stop()
        let taken = try Self.endpoint()
        defer { taken.stop() }
        #expect(throws: StreamError.self) { try AWSEndpoint(port: taken.port, services: []) }
    }

    @Test func `credentials are read from files and the environment`() throws {
        let text = "# mine\n[default]\naws_access_key_id = AKID\naws_secret_access_key=se=cret\r\n\n[temporary]\nregion = us-east-1\nAWS_ACCESS_KEY_ID=B\n"
            + "aws_secret_access_key = C\naws_session_token = D\n[role]\nrole_arn = x\n"
        let profiles = try AWSCredentials.profiles(text: text, name: "credentials")
        #expect(profiles.map(\.profile) == ["default", "temporary"])
        #expect(profiles.map(\.credentials) == [AWSCredentials(accessKey: "AKID", secret: "se=cret"), AWSCredentials(accessKey: "B", secret: "C", sessionToken: "D")])
        for broken in ["aws_access_key_id = A", "[a]\nnonsense", "[a]\naws_access_key_id = A", "[a]\naws_secret_access_key = A"] {
            #expect(throws: StreamError.self) { try AWSCredentials.profiles(text: broken, name: "credentials") }
        }
        #expect(throws: StreamError.self) { try AWSCredentials.profiles(path: "/nowhere/credentials") }
        #expect(try AWSCredentials.environment(["HOME": "/"]) == nil)
        #expect(try AWSCredentials.environment(["AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"]) == AWSCredentials(accessKey: "A", secret: "B"))
        #expect(throws: StreamError.self) { try AWSCredentials.environment(["AWS_ACCESS_KEY_ID": "A"]) }
    }

    @Test func `Smithy's RPC protocol is spoken as botocore does`() throws {
        let endpoint = try Self.endpoint()
        defer { endpoint.stop() }
        let answer = try PythonScript.answer("aws/rpc_cbor.py", ["127.0.0.1", "\(endpoint.port)"]) as! [String: Any]
        #expect(answer["seconds"] as? String == "1767323045.5")
        #expect(answer["arrived"] as? Double == 1_767_323_045.25)
        #expect(answer["data"] as? String == "data")
        #expect(answer["error"] as? String == "LimitExceededException")
        #expect(answer["message"] as? String == "too often")
        #expect(answer["status"] as? Int == 400)
    }
}
