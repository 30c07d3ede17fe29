import Foundation
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A local S3 server with a bucket `lake`: see Tests/Support/s3/s3_server.py. Ends with the object.
public final class S3Server: Sendable {
    private let process: BackgroundScript
    public let endpoint: String
    public static let accessKey = "test"
    public static let secret = "test-secret"

    /// With TLS: the file of the server's certificate.
    public let certificate: String?

    /// - Parameter isSecure: with TLS; it cannot be controlled then.
    public init(isSecure: Bool = false) throws {
        process = try BackgroundScript("s3/s3_server.py", isSecure ? ["--tls"] : [])
        let words = process.firstLine.split(separator: " ").map(String.init)
        certificate = words.count > 1 ? words[1] : nil
        endpoint = isSecure ? "https://localhost:\(words[0])" : "http://127.0.0.1:\(words[0])"
    }

    /// What other programs need to reach the server.
    public var environment: [String: String] {
        ["AWS_ACCESS_KEY_ID": Self.accessKey, "AWS_SECRET_ACCESS_KEY": Self.secret, "AWS_REGION": "us-east-1", "AWS_ENDPOINT_URL": endpoint, "AWS_ENDPOINT": endpoint,
         "AWS_ALLOW_HTTP": "true"]
    }

    /// WITH options of a table.
    public var options: [String: String] {
        ["s3.endpoint": endpoint, "s3.access-key": Self.accessKey, "s3.secret-key": Self.secret, "s3.region": "us-east-1"]
    }

    @discardableResult
    public func control(_ order: [String: Any] = [:]) throws -> [String: Any] {
        var request = URLRequest(url: URL(string: endpoint + "/_control")!)
        request.httpMethod = "POST"
        request.timeoutInterval = 20
        request.httpBody = try JSONSerialization.data(withJSONObject: order)
        let done = DispatchSemaphore(value: 0), answer = Mutex<Data?>(nil)
        URLSession.shared.dataTask(with: request) { data, _, _ in
            answer.withLock { $0 = data }
            done.signal()
        }.resume()
        done.wait()
        guard let data = answer.withLock({ $0 }), let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw PythonScript.Failure("the S3 server of the test gave no answer")
        }
        return object
    }

    /// The next requests of an operation whose key has a part are carried out, and their answers lost.
    public func dropAnswers(_ operation: String, key: String = "", times: Int = 1) throws {
        try control(["drop": operation, "key": key, "times": times])
    }

    /// The next requests of an operation are refused because the server is busy.
    public func refuse(_ operation: String, key: String = "", times: Int = 1) throws {
        try control(["refuse": operation, "key": key, "times": times])
    }

    public func reset() throws { try control(["reset": true]) }

    /// Requests by operation since the last reset.
    public func counts() throws -> [String: Int] { try control()["counts"] as? [String: Int] ?? [:] }
    public func log() throws -> [String] { try control()["log"] as? [String] ?? [] }

    public func end() { process.end() }
}
