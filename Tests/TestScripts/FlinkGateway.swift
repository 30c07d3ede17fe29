import Foundation
import Synchronization

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A SQL gateway and a JobManager for tests: see Tests/Support/flink/gateway.py. End with the object.
public final class FlinkGateway: Sendable {
    private let process: BackgroundScript
    public let url: String
    public let rest: String
    /// Requests go to a Flink that others run: `FLINK_GATEWAY`, and `FLINK_REST` or port 8081 of the same host.
    public let isReal: Bool

    /// URLs of the gateway and the JobManager that this run of the tests may use; nil = none is at hand.
    public static let real: (gateway: String, rest: String)? = {
        let environment = ProcessInfo.processInfo.environment
        guard let gateway = environment["FLINK_GATEWAY"], let parts = URLComponents(string: gateway) else { return nil }
        return (gateway, environment["FLINK_REST"] ?? "\(parts.scheme ?? "http")://\(parts.host ?? "127.0.0.1"):8081")
    }()

    /// - Parameter real: where requests are handed on to, once they are checked; nil = what answers is made up.
    public init(real: (gateway: String, rest: String)? = nil, versions: String? = nil) throws {
        isReal = real != nil
        let arguments = real.map { ["--forward", $0.gateway, "--forward-rest", $0.rest] } ?? []
        process = try BackgroundScript("flink/gateway.py", arguments + (versions.map { ["--versions", $0] } ?? []))
        let line = try JSONSerialization.jsonObject(with: Data(process.firstLine.utf8)) as? [String: String] ?? [:]
        guard let url = line["gateway"], let rest = line["rest"] else { throw PythonScript.Failure("the gateway of the test told no addresses: \(process.firstLine)") }
        (self.url, self.rest) = (url, rest)
    }

    public struct Log: Sendable {
        /// "METHOD /path" of each request to either, in their order.
        public var requests: [String]
        /// What breaks the published descriptions, in requests and in answers.
        public var problems: [String]
        /// Of the newest request.
        public var headers: [String: String]
    }

    public func log() throws -> Log {
        let log = try ask("GET", "/test/log")
        return Log(requests: log["requests"] as? [String] ?? [], problems: log["problems"] as? [String] ?? [], headers: log["headers"] as? [String: String] ?? [:])
    }

    /// What the next requests meet; see gateway.py.
    public func fail(_ faults: [[String: any Sendable]]) throws { _ = try ask("POST", "/test/faults", faults) }

    private func ask(_ method: String, _ path: String, _ body: Any? = nil) throws -> [String: Any] {
        var request = URLRequest(url: URL(string: url + path)!)
        request.httpMethod = method
        request.timeoutInterval = 20
        request.httpBody = try body.map { try JSONSerialization.data(withJSONObject: $0) }
        let done = DispatchSemaphore(value: 0), answer = Mutex<Data?>(nil)
        URLSession.shared.dataTask(with: request) { data, _, _ in
            answer.withLock { $0 = data }
            done.signal()
        }.resume()
        done.wait()
        guard let data = answer.withLock({ $0 }), let object = try JSONSerialization.jsonObject(with: data) as? [String: Any] else {
            throw PythonScript.Failure("the gateway of the test gave no answer")
        }
        return object
    }
}
