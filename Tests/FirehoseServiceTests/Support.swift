import AWSEndpoint
import FileConnectors
import Foundation
import KinesisConnector
import OpenSearchConnector
import ShardLog
import StreamCore
import StreamSQL
import Synchronization
import TestScripts
import Testing
import Topology

@testable import FirehoseService

/// A data directory with the Firehose API on a free port.
final class FirehoseServer {
    let data: String
    let log: ShardLog
    private(set) var runner: DeliveryRunner
    private(set) var endpoint: AWSEndpoint
    private let messages = Messages()

    final class Messages: Sendable {
        let all = Mutex<[String]>([])
        func add(_ text: String) { all.withLock { $0.append(text) } }
    }

    init() throws {
        data = NSTemporaryDirectory() + "firehose-\(UUID().uuidString)"
        log = try ShardLog(directory: data)
        runner = try Self.runner(data, messages)
        endpoint = try AWSEndpoint(services: [FirehoseService(log: log, runner: runner)])
    }

    static func runner(_ data: String, _ messages: Messages) throws -> DeliveryRunner {
        var options = DeliveryRunner.Options()
        options.log = { messages.add($0) }
        return try DeliveryRunner(data: data, options: options) { session() }
    }

    static func session() -> SQLSession { SQLSession(connectors: [KinesisConnector(), FilesystemConnector(), DatagenConnector(), OpenSearchConnector(), HTTPPostConnector()]) }

    var failures: [String] { messages.all.withLock { $0 } }

    func python(_ scenario: String, _ more: [String] = [], seconds: Double = 60) throws {
        do {
            _ = try PythonScript.answer("aws/firehose_delivery.py", ["\(endpoint.port)", data, scenario] + more, seconds: seconds)
        } catch {
            throw PythonScript.Failure("\(error)\n\(failures.joined(separator: "\n"))")
        }
    }

    /// Ends everything as a crash would, and starts it again.
    func crash() throws {
        runner.abandon()
        endpoint.stop()
        runner = try Self.release(&runner, data, messages)
        endpoint = try AWSEndpoint(services: [FirehoseService(log: log, runner: runner)])
    }

    private static func release(_ runner: inout DeliveryRunner, _ data: String, _ messages: Messages) throws -> DeliveryRunner {
        runner.unlock()
        return try Self.runner(data, messages)
    }

    func stop() {
        endpoint.stop()
        runner.stop()
    }

    deinit { try? FileManager.default.removeItem(atPath: data) }

    /// Delivered files below a bucket: path -> bytes.
    func files(_ bucket: String) -> [String: Data] {
        let root = data + "/buckets/" + bucket
        guard let walker = FileManager.default.enumerator(atPath: root) else { return [:] }
        var found: [String: Data] = [:]
        for case let path as String in walker where !path.split(separator: "/").contains(where: { $0.hasPrefix(".") }) {
            if let bytes = FileManager.default.contents(atPath: root + "/" + path) { found[path] = bytes }
        }
        return found
    }
}

/// Runs `body` with a server that is stopped in the end.
func withServer(_ body: (FirehoseServer) throws -> Void) throws {
    let server = try FirehoseServer()
    defer { server.stop() }
    try body(server)
}
