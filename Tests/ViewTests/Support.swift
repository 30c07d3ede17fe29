import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Synchronization
import Testing
@testable import ViewConnector

typealias Host = StreamCore.Host

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// A clock that is set by hand.
final class HandClock: Sendable {
    let time = Mutex<Int64>(1_700_000_000_000)
    func advance(_ milliseconds: Int64) { time.withLock { $0 += milliseconds } }
}

/// A view's sink, driven by hand: rows in, checkpoints, crashes, other parallelisms.
final class DrivenView {
    static let schema: Schema = [Field("id", .string, nullable: false), Field("a", .bigint), Field("b", .string)]
    let table: TableDescriptor
    let directory: String
    let clock = HandClock()
    private(set) var registry = ViewRegistry()
    private(set) var writers: [any StatefulSinkWriter] = []
    private var committer: (any SinkCommitter)?
    private var checkpoint: UInt64 = 0
    private var lives = 0
    /// What the newest complete checkpoint holds.
    private var durable: [OperatorSnapshot] = []
    private var committables: [Committable] = []
    /// Bytes of memory; less than what the option may be.
    let memory: Int?

    init(_ options: [String: String] = [:], schema: Schema = DrivenView.schema, key: [String] = ["id"], memory: Int? = nil) throws {
        table = TableDescriptor(name: "v", schema: schema, primaryKey: key, options: ["connector": "view"].merging(options) { $1 })
        directory = NSTemporaryDirectory() + "view-\(UUID().uuidString)"
        self.memory = memory
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    private var host: Host {
        var host = Host.system
        host.now = { [clock] in clock.time.withLock { $0 } }
        return host
    }

    func start(parallelism: Int = 1) throws {
        lives += 1
        registry = ViewRegistry()
        writers = []
        committables = []
        var options = try ViewOptions(table)
        if let memory { options.memory = memory }
        let sink = ViewSink(view: try View(options, table, host: host), registry: registry)
        var context = SinkContext(parallelism: parallelism, isRecoverable: true, restoredCheckpoint: durable.isEmpty ? nil : checkpoint)
        committer = try sink.committer(context)
        var pieces: [KeyGroupState] = []
        for snapshot in durable { pieces += try snapshot.loaded() }
        for subtask in 0..<parallelism {
            context.subtask = subtask
            context.workDirectory = directory + "/work-\(lives)-\(subtask)"
            let groups = KeyGroups.groups(ofSubtask: subtask, parallelism: parallelism, maxParallelism: context.maxParallelism)
            let own = pieces.filter { $0.keyGroup == KeyGroupState.everywhere || groups.contains(Int($0.keyGroup)) }
            var restored = RestoredState(own)
            restored.stores = durable.flatMap(\.stores)
            let writer = try sink.writer(context) as! any StatefulSinkWriter
            try writer.restore(restored)
            writers.append(writer)
        }
    }

    /// Rows go where a job would send them.
    func write(_ rows: [[Value]], _ kinds: [RowKind]? = nil) throws {
        let batch = Batch(schema: table.schema, rows: rows, kinds: kinds), keys = table.primaryKey.map { key in table.schema.firstIndex { $0.name == key }! }
        var hashes = [UInt64](repeating: 0, count: rows.count)
        RowHash.hash(batch, keys: keys, into: &hashes)
        for (subtask, writer) in writers.enumerated() {
            let own = hashes.indices.filter {
                KeyGroups.subtask(ofGroup: KeyGroups.group(ofHash: hashes[$0], maxParallelism: 128), parallelism: writers.count, maxParallelism: 128) == subtask
            }
            guard !own.isEmpty else { continue }
            var part = batch
            part.selection = Selection(own.map { Int32($0) })
            try writer.write(part)
        }
    }

    func put(_ id: String, _ a: Int64, _ b: String = "") throws { try write([[.string(id), .int(a), .string(b)]]) }
    func delete(_ id: String) throws { try write([[.string(id), .null, .null]], [.delete]) }

    /// - Parameter commits: whether the sink gets to know.
    func takeCheckpoint(isSavepoint: Bool = false, commits: Bool = true) throws {
        checkpoint += 1
        var snapshots: [OperatorSnapshot] = []
        for writer in writers {
            committables += try writer.prepareCommit(checkpoint)
            snapshots.append(try writer.snapshot(Barrier(checkpoint: checkpoint, isSavepoint: isSavepoint)))
        }
        durable = snapshots
        if commits { try commit() }
    }

    func commit() throws {
        try committer?.commit(checkpoint, committables)
        committables = []
    }
    func idle() throws { for writer in writers { try writer.idle() } }

    /// Before anything else happens, as the pieces of a checkpoint are made when they are asked for.
    func settle() throws {
        durable = try durable.map { snapshot in
            let pieces = try snapshot.loaded()
            return OperatorSnapshot(units: [StateUnit(name: "all") { pieces }], stores: snapshot.stores)
        }
    }

    func get(_ key: String) throws -> String? { try registry.get("v", key: key).map { String(decoding: $0.row ?? [], as: UTF8.self) } }

    /// All rows, by pages.
    func all(page: Int = 7) throws -> [String] {
        var rows: [String] = [], after: String?
        repeat {
            let next = try registry.scan("v", limit: page, after: after)
            rows += next.rows.map { String(decoding: $0.row ?? [], as: UTF8.self) }
            after = next.next
        } while after != nil
        return rows
    }
}

enum HTTP {
    private final class Box: Sendable { let result = Mutex<(status: Int, text: String, headers: [String: String])?>(nil) }

    static func send(_ method: String, _ address: String, _ body: [UInt8] = [], _ headers: [String: String] = [:]) throws -> (status: Int, text: String, headers: [String: String]) {
        var request = URLRequest(url: try #require(URL(string: address)), timeoutInterval: 60)
        request.httpMethod = method
        request.cachePolicy = .reloadIgnoringLocalCacheData
        if method != "GET" { request.httpBody = Data(body) }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        let box = Box(), done = DispatchSemaphore(value: 0)
        URLSession.shared.dataTask(with: request) { data, response, _ in
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
final class Job: Sendable {
    let runner: JobRunner
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)
    private let seen = Mutex(0)

    /// Waits for the job before to let go of its checkpoints, which the last of its threads does.
    static func start(_ graph: JobGraph, checkpoints: String, from savepoint: String? = nil, work: String = "") throws -> Job {
        var job: Job?
        try eventually("the next start") {
            do { job = try Job(graph, checkpoints: checkpoints, from: savepoint, work: work) } catch let error as StreamError where error.code == .conflict {}
            return job != nil
        }
        return job!
    }

    init(_ graph: JobGraph, checkpoints: String? = nil, from savepoint: String? = nil, work: String = "", id: String = "job") throws {
        var recovery = checkpoints.map { RecoveryOptions(directory: $0, jobID: id) }
        recovery?.startFrom = savepoint
        var options = JobOptions(workers: 2)
        options.workDirectory = work
        options.checkpoints.interval = .milliseconds(50)
        runner = try JobRunner(graph, options: options, recovery: recovery)
        runner.onEvent { [unowned self] in if case .checkpointCompleted = $0 { seen.withLock { $0 += 1 } } }
        Thread.detachNewThread { [self] in
            let result = Result { try runner.run() }
            outcome.withLock { $0 = result }
        }
    }

    var checkpoints: Int { seen.withLock { $0 } }
    var isOver: Bool { outcome.withLock { $0 != nil } }
    var failure: (any Error)? { if case .failure(let error) = outcome.withLock({ $0 }) { error } else { nil } }

    func end() throws { try eventually("the job's end") { isOver } }

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

/// A connector to a source that is made by hand.
struct Given: TableConnector {
    let identifier = "given"
    let source: any TableSource
    func optionKeys(for table: TableDescriptor) -> Set<String> { Set(table.options.keys) }
    func validate(_ table: TableDescriptor) throws {}
    func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource { source }
}

/// A connector to a sink that keeps what it is given.
struct Collecting: TableConnector {
    let identifier = "collect"
    let sink: CollectingSink
    func optionKeys(for table: TableDescriptor) -> Set<String> { Set(table.options.keys) }
    func validate(_ table: TableDescriptor) throws {}
    func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { sink }
}

func temporary(_ body: (String) throws -> Void) throws {
    let directory = NSTemporaryDirectory() + "views-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
}

func graph(_ connectors: [any TableConnector], _ script: String) throws -> JobGraph {
    let session = SQLSession(connectors: connectors)
    var last: JobGraph?
    for statement in try SQLParser(text: script).parseScript() { if case .insert(let graph) = try session.execute(statement) { last = graph } }
    return try #require(last)
}
