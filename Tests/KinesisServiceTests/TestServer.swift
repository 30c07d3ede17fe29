import AWSEndpoint
import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import TestScripts

/// The service behind an endpoint on a free port, over a log in a directory of its own.
final class TestServer {
    let directory: String
    let service: KinesisService
    let endpoint: AWSEndpoint
    var url: String { "http://127.0.0.1:\(endpoint.port)" }

    static func newDirectory() -> String { NSTemporaryDirectory() + "swiftwater-kinesis-\(UUID().uuidString)" }

    init(directory: String, account: String = AWSRequest.defaultAccountID, port: Int = 0, _ options: KinesisServiceOptions = KinesisServiceOptions()) throws {
        self.directory = directory
        service = KinesisService(log: try ShardLog(directory: directory), options: options)
        var endpointOptions = AWSEndpoint.Options()
        endpointOptions.accountID = account
        endpointOptions.log = { print("endpoint:", $0) }
        endpoint = try AWSEndpoint(port: port, services: [service], options: endpointOptions)
    }

    func stop() { endpoint.stop() }

    static func run<R>(_ options: KinesisServiceOptions = KinesisServiceOptions(), account: String = AWSRequest.defaultAccountID,
                       _ body: (TestServer) throws -> R) throws -> R {
        let directory = newDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let server = try TestServer(directory: directory, account: account, options)
        defer { server.stop() }
        return try body(server)
    }

    /// Runs a program with the endpoint as its first argument; its failures by test.
    func failures(_ script: String, _ tests: [String] = []) throws -> [String: String] {
        let answer = try PythonScript.answer("aws/\(script)", [url] + tests)
        guard let answer = answer as? [String: Any], let failures = answer["failures"] as? [String: String], let passed = answer["passed"] as? Int,
              passed + failures.count > 0 else { throw PythonScript.Failure("\(script) answered \(answer)") }
        return failures
    }
}
