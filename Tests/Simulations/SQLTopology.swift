import FileConnectors
import Foundation
import HudiTable
import KinesisConnector
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Synchronization
import Topology

/// Foundation has one too.
typealias Host = StreamCore.Host

/// A job made from SQL by the sources that run in production, all connectors on one simulated machine.
class SQLTopology {
    let disk: SimulatedDisk
    let broker: SimulatedBroker
    /// The topology's text, and whether it is YAML or SQL.
    private let text: String, isYAML: Bool
    private var parsed: [Int: Topology] = [:]
    let expected: [String: VisibleOutput]

    init(disk: SimulatedDisk, broker: SimulatedBroker, text: String, isYAML: Bool, expected: [String: VisibleOutput]) {
        self.disk = disk
        self.broker = broker
        self.text = text
        self.isYAML = isYAML
        self.expected = expected
    }

    var violations: [String] { broker.violations }

    /// What `${NAME}` stands for, beyond directories and the parallelism.
    var variables: [String: String] { [:] }

    func graph(host: Host, parallelism: Int) throws -> JobGraph {
        let topology = try parsed[parallelism] ?? parse(parallelism)
        parsed[parallelism] = topology
        let session = SQLSession(
            catalog: Catalog(connectors: [
                FilesystemConnector(host: host), KinesisConnector(host: host, diskWait: .zero), HudiConnector(host: host), SimulatedBrokerConnector(broker),
            ]), now: host.now)
        var graph: JobGraph?
        for statement in topology.statements {
            if case .insert(let made) = try session.execute(statement) { graph = made }
        }
        guard let graph else { throw StreamError(.plan, "the topology has no INSERT") }
        return graph
    }

    private func parse(_ parallelism: Int) throws -> Topology {
        var all = variables
        all["SWIFTWATER_DATA"] = disk.root
        all["PARALLELISM"] = "\(parallelism)"
        return isYAML ? try .parse(yaml: text, file: nil, variables: all) : try .parse(sql: text, file: nil, variables: all)
    }

    /// A topology that is shipped with Swiftwater.
    static func shipped(_ name: String) throws -> String {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appending(path: "Topologies/\(name)"), encoding: .utf8)
    }

    // MARK: input

    /// Appends records to a stream on the simulated disk; they are durable when it returns.
    func put(_ stream: String, shards: Int, _ records: [(key: String, text: String)]) throws {
        let log = try ShardLog(directory: disk.root, host: disk.host)
        try log.createStream(stream, shards: shards)
        let writer = try log.writer(stream)
        _ = try writer.append(records.map { Record(partitionKey: $0.key, data: Array($0.text.utf8)) })
        try writer.close()
    }

    // MARK: output

    /// All records of a stream.
    func records(_ stream: String) throws -> VisibleOutput {
        let log = try ShardLog(directory: disk.root)
        guard log.exists(stream) else { return VisibleOutput(kind: .log, rows: []) }
        var rows: [String] = []
        for shard in 0..<(try log.shardCount(stream)) {
            let reader = try log.reader(stream, shard: shard, position: .trimHorizon)
            while let chunk = try reader.read() {
                rows += (0..<chunk.count).map { String(decoding: chunk.data($0), as: UTF8.self) }
            }
        }
        return VisibleOutput(kind: .log, rows: rows)
    }

    /// All rows of a Hudi table, columns in the order of their names.
    func table(_ name: String) throws -> VisibleOutput {
        let path = disk.root + "/tables/" + name
        guard Host.exists(path + "/.hoodie/hoodie.properties") else { return VisibleOutput(kind: .table, rows: []) }
        let descriptor = try HudiTable.open(path).descriptor()
        let columns = descriptor.schema.indices.sorted { descriptor.schema[$0].name < descriptor.schema[$1].name }
        let source = try HudiConnector().source(for: descriptor, scan: ScanRequest(projection: columns))
        var rows: [String] = []
        for split in try source.splits() {
            let reader = try source.reader(for: split, metrics: OperatorMetrics())
            defer { reader.close() }
            while case .batch(let batch) = try reader.next(maxRows: 10_000) {
                rows += batch.rows().map { $0.map(Self.text).joined(separator: "|") }
            }
        }
        return VisibleOutput(kind: .table, rows: rows)
    }

    /// The lines of all files in a directory that a reader may look at.
    func lines(_ directory: String) throws -> VisibleOutput {
        let path = disk.root + "/" + directory
        let names = try Host.names(in: path).filter { !$0.hasPrefix(".") && !$0.hasPrefix("_") }
        return VisibleOutput(kind: .log, rows: try names.flatMap { name in
            String(decoding: try Host.read(path + "/" + name), as: UTF8.self).split(separator: "\n").map(String.init)
        })
    }

    /// Offsets in the partitions of a source's topic that a checkpoint has read up to; zeros for a job that begins.
    func offsets(_ source: String, partitions: Int, at manifest: CheckpointManifest?) -> [Int] {
        var offsets = [Int](repeating: 0, count: partitions)
        for op in manifest?.operators ?? [] where op.name.hasPrefix("Source: \(source)") {
            for split in op.splits { offsets[Int(split.id)!] = Int(split.position ?? "0")! }
        }
        return offsets
    }

    /// Committed rows of the broker's topic.
    func topic(_ name: String) -> VisibleOutput {
        VisibleOutput(kind: .log, rows: broker.rows(name).map { $0.values.map(Self.text).joined(separator: "|") })
    }

    static func text(_ value: Value) -> String {
        switch value {
        case .null: "NULL"
        case .bool(let v): "\(v)"
        case .int(let v): "\(v)"
        case .double(let v): "\(v)"
        case .decimal(let v): "\(v)"
        case .string(let v): v
        default: "\(value)"
        }
    }
}
