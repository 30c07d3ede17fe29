import Alerts
import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization
import TestScripts
import Testing
import Topology

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A directory of its own, removed at the end.
final class Folder {
    let path = NSTemporaryDirectory() + "alerts-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    var database: String { path + "/service/alerts.sqlite" }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        try text.write(toFile: path + "/" + name, atomically: true, encoding: .utf8)
        return path + "/" + name
    }
}

/// The receiver of Tests/Support/alerts.
final class Receiver {
    private let process: BackgroundScript
    private let ports: [String: Any]
    static let password = "hunter2-secret"

    init(_ folder: Folder) throws {
        process = try BackgroundScript("alerts/receiver.py", [folder.path], environment: ["RECEIVER_PASSWORD": Self.password])
        ports = try #require(try JSONSerialization.jsonObject(with: Data(process.firstLine.utf8)) as? [String: Any])
    }

    func port(_ name: String) -> Int { ports[name] as! Int }
    var certificate: String { ports["certificate"] as! String }
    var url: String { "http://127.0.0.1:\(port("http"))" }

    func received(_ kind: String, path: String? = nil) throws -> [[String: Any]] {
        let all = try #require(try JSONSerialization.jsonObject(with: try Data(contentsOf: URL(string: url + "/received")!)) as? [[String: Any]])
        return all.filter { $0["kind"] as? String == kind && (path == nil || $0["path"] as? String == path) }
    }

    func end() { process.end() }
}

/// Waits until something holds, for at most `seconds`.
func eventually(_ what: String, seconds: Double = 30, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while try !condition() {
        if Date() > deadline { throw StreamError(.runtime, "waited for: \(what)") }
        usleep(5_000)
    }
}

enum Jobs {
    static func topology(_ yaml: String, _ variables: [String: String] = [:]) throws -> Topology { try Topology.parse(yaml: yaml, file: "alerts.yaml", variables: variables) }

    /// The job of a topology.
    static func graph(_ topology: Topology) throws -> JobGraph {
        let session = SQLSession(connectors: [FilesystemConnector(), DatagenConnector(), BlackholeConnector(), AlertConnector()])
        var last: JobGraph?
        for statement in topology.statements { if case .insert(let graph) = try session.execute(statement) { last = graph } }
        return try #require(last)
    }

    /// Runs it to the end of its input.
    static func run(_ topology: Topology, checkpoints: String? = nil) throws {
        let runner = try JobRunner(try graph(topology), recovery: checkpoints.map { RecoveryOptions(directory: $0, jobID: "job") })
        _ = try runner.run()
    }
}

/// A job that goes on until it is stopped or killed.
final class RunningJob: Sendable {
    let runner: JobRunner
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let seen = Mutex(0)

    init(_ graph: JobGraph, checkpoints: String) throws {
        runner = try JobRunner(graph, recovery: RecoveryOptions(directory: checkpoints, jobID: "job"))
        runner.onEvent { [unowned self] in if case .checkpointCompleted = $0 { seen.withLock { $0 += 1 } } }
        Thread.detachNewThread { [self] in
            let result = Result { try runner.run() }
            outcome.withLock { $0 = result }
        }
    }

    var checkpoints: Int { seen.withLock { $0 } }

    private func end() throws { try eventually("the job's end") { outcome.withLock { $0 != nil } } }

    /// Without a last checkpoint, as after a crash.
    func kill() throws {
        runner.cancel()
        try end()
    }

    func stop() throws {
        runner.stop()
        try end()
        if case .failure(let error) = outcome.withLock({ $0 }) { throw error }
    }
}

/// Runs `body` with environment variables that are not set otherwise.
func setting(_ name: String, _ value: String) { setenv(name, value, 1) }
