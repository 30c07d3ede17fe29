import Foundation
import HTTPConnector
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import StreamTesting
import Synchronization
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// An http table in a directory of its own, read by hand.
final class Device {
    let directory: String
    let table: TableDescriptor
    private(set) var metrics = OperatorMetrics()
    private(set) var source: (any TableSource)?
    private(set) var reader: (any SplitReader)?

    static let schema: Schema = [Field("id", .bigint), Field("text", .string)]

    init(_ options: [String: String] = [:], schema: Schema = Device.schema, metadata: [TableDescriptor.MetadataColumn] = [], directory: String? = nil) {
        self.directory = directory ?? NSTemporaryDirectory() + "http-\(UUID().uuidString)"
        table = TableDescriptor(name: "logs", schema: schema, metadata: metadata, options: [
            "connector": "http", "listen": "127.0.0.1:0", "path": "/devices/{device}/logs", "format": "json", "log.directory": self.directory, "spool": "spool",
        ].merging(options) { $1 }.filter { !$0.value.isEmpty })
    }

    deinit {
        stop()
        try? FileManager.default.removeItem(atPath: directory)
    }

    /// - Parameter position: of a checkpoint; nil = a start without one.
    func start(at position: String? = nil) throws {
        try HTTPConnector().validate(table)
        let source = try HTTPConnector().source(for: table, scan: ScanRequest(projection: Array(table.schema.indices), metadata: Array(table.metadata.indices)))
        metrics = OperatorMetrics()
        let split = try position.map { SourceSplit(id: "spool", position: $0) } ?? source.splits()[0]
        reader = try source.reader(for: split, metrics: metrics)
        self.source = source
    }

    func stop() {
        reader?.close()
        source?.runEnded()
        (reader, source) = (nil, nil)
    }

    var port: Int { Int(metrics.gauges["http-port"] ?? 0) }
    var log: ShardLog { get throws { try ShardLog(directory: directory) } }

    @discardableResult
    func post(_ body: String, _ headers: [String: String] = [:], path: String = "/devices/r7/logs", method: String = "POST") throws -> (status: Int, text: String, headers: [String: String]) {
        try HTTP.send(method, "http://127.0.0.1:\(port)\(path)", Array(body.utf8), headers)
    }

    /// Rows until there are none.
    func rows(maxRows: Int = 1_000) throws -> [[Value]] {
        var rows: [[Value]] = []
        while case .batch(let batch) = try reader!.next(maxRows: maxRows) { rows += batch.rows() }
        return rows
    }

    func texts(maxRows: Int = 1_000) throws -> [String] { try rows(maxRows: maxRows).map { $0.map(Self.text).joined(separator: " ") } }

    static func text(_ value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .string(let text): text
        case .int(let number): "\(number)"
        case .binary(let bytes): String(decoding: bytes, as: UTF8.self)
        default: "\(value)"
        }
    }
}

enum HTTP {
    private final class Box: Sendable { let result = Mutex<(status: Int, text: String, headers: [String: String])?>(nil) }

    static func send(_ method: String, _ address: String, _ body: [UInt8], _ headers: [String: String] = [:]) throws -> (status: Int, text: String, headers: [String: String]) {
        var request = URLRequest(url: try #require(URL(string: address)), timeoutInterval: 60)
        request.httpMethod = method
        if method != "GET" { request.httpBody = Data(body) }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let box = Box(), done = DispatchSemaphore(value: 0)
        URLSession.shared.dataTask(with: request) { data, response, error in
            if let response = response as? HTTPURLResponse {
                let headers = Dictionary(response.allHeaderFields.map { ("\($0.key)".lowercased(), "\($0.value)") }) { a, _ in a }
                box.result.withLock { $0 = (response.statusCode, String(decoding: data ?? Data(), as: UTF8.self), headers) }
            }
            done.signal()
        }.resume()
        done.wait()
        guard let result = box.result.withLock({ $0 }) else { throw StreamError(.io, "no answer from \(address)") }
        return result
    }
}

/// A port that was free a moment ago.
func freePort() throws -> Int {
    let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let code = withUnsafeMutablePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(socket, $0, size) == 0 ? getsockname(socket, $0, &size) : -1 } }
    try #require(code == 0)
    return Int(UInt16(bigEndian: address.sin_port))
}

/// Waits until something holds, for at most `seconds`.
func eventually(_ what: String, seconds: Double = 40, _ condition: () throws -> Bool) throws {
    let deadline = Date().addingTimeInterval(seconds)
    while try !condition() {
        if Date() > deadline { throw StreamError(.runtime, "waited for: \(what)") }
        usleep(2_000)
    }
}

/// A job that goes on until it is stopped or killed.
final class RunningJob: Sendable {
    let runner: JobRunner
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let seen = Mutex(0)

    init(_ graph: JobGraph, checkpoints: String? = nil) throws {
        runner = try JobRunner(graph, recovery: checkpoints.map { RecoveryOptions(directory: $0, jobID: "job") })
        runner.onEvent { [unowned self] in if case .checkpointCompleted = $0 { seen.withLock { $0 += 1 } } }
        Thread.detachNewThread { [self] in
            let result = Result { try runner.run() }
            outcome.withLock { $0 = result }
        }
    }

    var checkpoints: Int { seen.withLock { $0 } }
    var failure: (any Error)? { if case .failure(let error) = outcome.withLock({ $0 }) { error } else { nil } }

    func end() throws { try eventually("the job's end") { outcome.withLock { $0 != nil } } }

    /// Without a last checkpoint, as after a crash.
    func kill() throws {
        runner.cancel()
        try end()
    }

    func stop() throws {
        runner.stop()
        try end()
        if let failure { throw failure }
    }
}

/// A connector under any name that collects what is written.
struct Collector: TableConnector {
    let identifier: String
    let sink: CollectingSink
    func optionKeys(for table: TableDescriptor) -> Set<String> { Set(table.options.keys) }
    func validate(_ table: TableDescriptor) throws {}
    func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { sink }
}
