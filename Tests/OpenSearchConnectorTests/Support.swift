import FileConnectors
import Foundation
import OpenSearchConnector
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization
import TestScripts
import Testing

#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// `Tests/Support/aws/opensearch_server.py` on a port of its own, and a directory.
final class SearchServer {
    private let script: BackgroundScript
    let address: String
    let directory: String

    init() throws {
        script = try BackgroundScript("aws/opensearch_server.py")
        address = "http://127.0.0.1:\(script.firstLine)"
        directory = NSTemporaryDirectory() + "opensearch-\(UUID().uuidString)"
    }

    deinit {
        script.end()
        try? FileManager.default.removeItem(atPath: directory)
    }

    func end() { script.end() }

    @discardableResult
    func ask(_ path: String, _ body: Any? = nil) throws -> Any {
        var request = URLRequest(url: URL(string: address + path)!)
        if let body {
            request.httpMethod = "POST"
            request.httpBody = try JSONSerialization.data(withJSONObject: body)
        }
        let result = Box()
        let done = DispatchSemaphore(value: 0)
        URLSession.shared.dataTask(with: request) { data, _, error in
            result.data.withLock { $0 = data }
            done.signal()
        }.resume()
        done.wait()
        let data = try #require(result.data.withLock { $0 })
        return try JSONSerialization.jsonObject(with: data, options: .fragmentsAllowed)
    }

    private final class Box: Sendable { let data = Mutex<Data?>(nil) }

    func plan(_ what: [String: Any]) throws { try ask("/_plan", what) }

    func count(_ index: String, _ query: [String: Any] = ["match_all": [String: String]()]) throws -> Int {
        (try ask("/\(index)/_count", ["query": query]) as? [String: Any])?["count"] as? Int ?? 0
    }

    /// Documents by id.
    func documents(_ index: String) throws -> [String: [String: Any]] {
        ((try ask("/_all") as? [String: Any])?[index] as? [String: [String: Any]]) ?? [:]
    }

    var indexes: [String] { get throws { ((try ask("/_all") as? [String: Any]) ?? [:]).keys.sorted() } }

    /// What came to /lines and /firehose.
    var requests: [[String: Any]] { get throws { try ask("/_requests") as? [[String: Any]] ?? [] } }

    /// Lines of the committed backup files that begin with `kind`, and files that are not committed.
    func backup(_ kind: String = "failed") throws -> (lines: [[String: Any]], hidden: [String]) {
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []).sorted()
        var lines: [[String: Any]] = []
        for name in names where name.hasPrefix(kind + "-") {
            for line in try String(contentsOfFile: directory + "/" + name, encoding: .utf8).split(separator: "\n") {
                lines.append(try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]))
            }
        }
        return (lines, names.filter { $0.hasPrefix(".") })
    }

    func table(_ schema: Schema, key: [String] = [], _ options: [String: String] = [:], connector: String = "opensearch") -> TableDescriptor {
        let own = connector == "opensearch" ? ["hosts": address, "index": "t", "sink.bulk-flush.backoff.delay": "1 ms"] : ["sink.bulk-flush.backoff.delay": "1 ms"]
        return TableDescriptor(name: "t", schema: schema, primaryKey: key,
                               options: ["connector": connector].merging(own) { $1 }.merging(options) { $1 })
    }

    /// Runs statements of a script to the end of their input.
    func run(_ script: String) throws {
        let session = SQLSession(connectors: [OpenSearchConnector(), HTTPPostConnector(), FilesystemConnector(), DatagenConnector()])
        for statement in try SQLParser(text: script).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            _ = try JobExecution(graph).run()
        }
    }
}

/// The rows of one INSERT, in order, by a writer of its own.
extension TableSink {
    func write(_ schema: Schema, _ batches: [(rows: [[Value]], kinds: [RowKind]?)], metrics: OperatorMetrics = OperatorMetrics()) throws {
        let context = SinkContext(metrics: metrics)
        let committer = try committer(context), writer = try writer(context)
        for (number, batch) in batches.enumerated() {
            try writer.write(Batch(schema: schema, rows: batch.rows, kinds: batch.kinds))
            let parts = try writer.prepareCommit(UInt64(number + 1))
            _ = try writer.state()
            try committer?.commit(UInt64(number + 1), parts)
        }
        try writer.finish()
        try committer?.commit(99, try writer.prepareCommit(99))
        try writer.close()
    }
}
