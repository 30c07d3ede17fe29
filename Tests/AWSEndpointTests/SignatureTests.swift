@testable import AWSProtocol
import Foundation
import TestScripts
import Testing

@Suite struct SignatureTests {
    struct Vector: Decodable {
        var target: String, headers: [[String]], body: Data, accessKey: String, secret: String, token: String?, service: String, region: String
        var seconds: Int64, added: [String: String]

        var request: SignableRequest {
            SignableRequest(target: target, headers: headers.map { (name: $0[0], value: $0[1]) }, body: Array(body))
        }
        var credentials: AWSCredentials { AWSCredentials(accessKey: accessKey, secret: secret, sessionToken: token) }
    }

    @Test func `signatures are those of botocore, and botocore's are accepted`() throws {
        let seed = Int.random(in: 0..<1_000_000)
        let answer = try PythonScript.answer("aws/signature_vectors.py", ["\(seed)", "300"])
        let vectors = try JSONDecoder().decode([Vector].self, from: JSONSerialization.data(withJSONObject: answer))
        #expect(vectors.count == 300)
        for vector in vectors {
            let ours = SignatureV4.sign(vector.request, vector.credentials, region: vector.region, service: vector.service, at: vector.seconds)
            #expect(Dictionary(uniqueKeysWithValues: ours.map { ($0.name, $0.value) }) == vector.added, "seed \(seed), target \(vector.target)")

            let verifier = SignatureVerifier([vector.credentials])
            var signed = vector.request
            signed.headers += vector.added.map { (name: $0.key, value: $0.value) }
            let now = vector.seconds + .random(in: -300...300)
            #expect(try verifier.verify(signed, service: vector.service, now: now) == .init(accessKey: vector.accessKey, region: vector.region))

            // Any part of the request that changes on the way breaks the signature.
            var changed = signed
            switch Int.random(in: 0..<4) {
            case 0: changed.body.append(1)
            case 1: changed.method = "PUT"
            case 2: changed.headers[1].value += "x"
            default: changed.target += changed.target.contains("?") ? "&a=b" : "?a=b"
            }
            #expect { try verifier.verify(changed, service: vector.service, now: now) } throws: { ($0 as? AWSError)?.type == "InvalidSignatureException" }
        }
    }

    /// From AWS's Signature Version 4 test suite.
    @Test(arguments: [
        ("GET", "/", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("POST", "/", [], "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        ("GET", "/?Param2=value2&Param1=value1", [], "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("GET", "/", [["My-Header1", " value1"], ["My-Header2", " \"a   b   c\""]],
         "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"),
        ("GET", "/example/..", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "/./", [], "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
    ]) func `the test suite's requests have the signatures it gives`(_ method: String, _ target: String, _ headers: [[String]], _ signature: String) {
        let request = SignableRequest(method: method, target: target,
                                      headers: [(name: "Host", value: "example.amazonaws.com")] + headers.map { (name: $0[0], value: $0[1]) }, body: [])
        let added = SignatureV4.sign(request, AWSCredentials(accessKey: "AKIDEXAMPLE", secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                     region: "us-east-1", service: "service", at: 1_440_938_160)
        #expect(added[0].value == "20150830T123600Z")
        #expect(added.last?.value.hasSuffix("Signature=" + signature) == true)
    }

    @Test func `times are written and read`() {
        for (seconds, text) in [(0, "19700101T000000Z"), (951_868_799, "20000229T235959Z"), (1_440_938_160, "20150830T123600Z"), (4_107_542_400, "21000301T000000Z")] {
            #expect(SignatureV4.basicTime(Int64(seconds)) == text)
            #expect(SignatureV4.seconds(text) == Int64(seconds))
        }
        for broken in ["", "20150830T123600", "20151330T123600Z", "2015-08-30T12:36Z", "20150830T243600Z"] { #expect(SignatureV4.seconds(broken) == nil) }
    }

    /// Each way in which a request's authentication can be wrong, in the order in which the services look.
    @Test(arguments: [
        (nil, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("Basic abc", "MissingAuthenticationTokenException", "Missing Authentication Token"),
        ("AWS4-HMAC-SHA1 Credential=a", "IncompleteSignatureException", "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'."),
        ("AWS4-HMAC-SHA256 Credential=a", "IncompleteSignatureException",
         "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=x", "IncompleteSignatureException",
         "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'a/b'"),
        ("AWS4-HMAC-SHA256 Credential=other/20150830/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=x", "UnrecognizedClientException",
         "The security token included in the request is invalid."),
        ("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=x", "InvalidSignatureException",
         "Credential should be scoped to correct service: 'kinesis'."),
        ("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/kinesis/aws4, SignedHeaders=host, Signature=x", "InvalidSignatureException",
         "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws4'."),
        ("AWS4-HMAC-SHA256 Credential=AKID/20150829/us-east-1/kinesis/aws4_request, SignedHeaders=host, Signature=x", "InvalidSignatureException",
         "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20150829' != '20150830', from '20150830T123600Z'."),
        ("AWS4-HMAC-SHA256 Credential=AKID/20150830/us-east-1/kinesis/aws4_request, SignedHeaders=x-amz-date, Signature=x", "InvalidSignatureException",
         "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."),
    ] as [(String?, String, String)]) func `wrong authentication is told apart`(_ authorization: String?, _ type: String, _ message: String) {
        let verifier = SignatureVerifier([AWSCredentials(accessKey: "AKID", secret: "secret")])
        var request = SignableRequest(headers: [(name: "host", value: "localhost"), (name: "X-Amz-Date", value: "20150830T123600Z")], body: [])
        if let authorization { request.headers.append((name: "Authorization", value: authorization)) }
        #expect(throws: AWSError(type, message)) { try verifier.verify(request, service: "kinesis", now: 1_440_938_160) }
    }

    @Test func `times off by more than five minutes are refused`() {
        let credentials = AWSCredentials(accessKey: "AKID", secret: "secret")
        var request = SignableRequest(headers: [(name: "host", value: "localhost")], body: [])
        request.headers += SignatureV4.sign(request, credentials, region: "us-east-1", service: "kinesis", at: 1_440_938_160)
        let verifier = SignatureVerifier([credentials])
        #expect(throws: AWSError("InvalidSignatureException",
                                 "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T124101Z - 5 min.)")) {
            try verifier.verify(request, service: "kinesis", now: 1_440_938_160 + 301)
        }
        #expect(throws: AWSError("InvalidSignatureException",
                                 "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T123059Z + 5 min.)")) {
            try verifier.verify(request, service: "kinesis", now: 1_440_938_160 - 301)
        }
    }

    @Test func `the session token is part of the credentials`() {
        let credentials = AWSCredentials(accessKey: "AKID", secret: "secret", sessionToken: "token")
        let host = (name: "host", value: "localhost")
        for (token, isAccepted) in [("token", true), ("other", false), (nil, false)] {
            var request = SignableRequest(headers: [host], body: [])
            let signer = AWSCredentials(accessKey: "AKID", secret: "secret", sessionToken: token)
            request.headers += SignatureV4.sign(request, signer, region: "us-east-1", service: "kinesis", at: 1_000_000_000)
            let isRight = (try? SignatureVerifier([credentials]).verify(request, service: "kinesis", now: 1_000_000_000)) != nil
            #expect(isRight == isAccepted)
        }
    }
}
