import Foundation
import StreamCore
import StreamFormats

/// `'connector' = 'alert'`: the table that `alerts:` of a topology file write their rows to.
///
/// The writer follows each key's condition and keeps what it knows in the job's checkpoints. What comes of it is committed with
/// the checkpoint, under names that are the same if it is committed again: into ``AlertHistory``, and from there to the receivers.
public struct AlertConnector: TableConnector {
    private let host: StreamCore.Host
    private let topology: String?

    /// - Parameter topology: what the topology is called here; nil = as ``topologyVariable`` says, else as its file says.
    public init(topology: String? = nil, host: StreamCore.Host = .system) { (self.topology, self.host) = (topology, host) }

    public static let name = "alert"
    /// The environment variable that says what the topology of this process is called, when its file may say otherwise.
    public static let topologyVariable = "SWIFTWATER_TOPOLOGY"

    static var hostedTopology: String? { Environment.variable(topologyVariable).flatMap { $0.isEmpty ? nil : $0 } }
    /// The column that says whether a row's condition is true.
    public static let conditionColumn = "$condition"

    public var identifier: String { Self.name }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { ["connector", "rule", "database", "sink.commit.interval"] }

    public func validate(_ table: TableDescriptor) throws { _ = try sinkOptions(table) }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink { AlertSink(options: try sinkOptions(table), host: host) }

    private func sinkOptions(_ table: TableDescriptor) throws -> AlertSinkOptions {
        let options = TableOptions(table)
        var rule = try AlertRule(json: try options.require("rule"))
        if let topology = topology ?? Self.hostedTopology { rule.topology = topology }
        func column(_ name: String, _ what: String) throws -> Int {
            guard let i = table.schema.firstIndex(where: { $0.name == name }) else {
                let known = table.schema.map(\.name).filter { $0 != Self.conditionColumn }
                throw StreamError(.validate, "alert \(rule.name): the query has no column \"\(name)\", which \(what) names", fix: NearName.hint(for: name, in: known))
            }
            return i
        }
        for name in rule.key { _ = try column(name, "key") }
        if let value = rule.value { _ = try column(value, "value") }
        let time = try rule.time.map { try column($0, "time") }
        if let time, !table.schema[time].type.isTimestamp {
            throw StreamError(.validate, "alert \(rule.name): the column \"\(rule.time!)\" is \(table.schema[time].type), which is no time",
                              fix: "name a column of type TIMESTAMP(3) or TIMESTAMP_LTZ(3) in time:")
        }
        let condition = rule.isEvent ? nil : try column(Self.conditionColumn, "the alert")
        if let condition, table.schema[condition].type != .boolean {
            throw StreamError(.validate, "alert \(rule.name): the condition \"\(rule.condition ?? "")\" is \(table.schema[condition].type), not true or false",
                              fix: "write a comparison, or for example below 300000")
        }
        let kept = table.schema.indices.filter { $0 != condition }
        var own = table
        own.schema = kept.map { table.schema[$0] }
        own.metadata = []
        own.options = ["format": "json"]
        _ = try FormatFactory.encoder(for: own)
        let data = Environment.variable("SWIFTWATER_DATA") ?? "swiftwater-data"
        let interval = try options.duration("sink.commit.interval") ?? .seconds(1)
        if interval == .zero { throw options.error("sink.commit.interval", "is not positive") }
        return AlertSinkOptions(
            rule: rule, database: options.string("database") ?? AlertHistory.path(data: data), table: own, kept: kept, condition: condition, time: time,
            timeUnit: try time.map { try Self.perMillisecond(table.schema[$0].type) } ?? 1, commitInterval: interval)
    }

    /// How many of a timestamp's units make a millisecond.
    private static func perMillisecond(_ type: DataType) throws -> Int64 {
        switch type {
        case .timestamp(let p), .timestampLTZ(let p): p <= 3 ? 1 : p <= 6 ? 1_000 : 1_000_000
        default: 1
        }
    }
}

struct AlertSinkOptions: Sendable {
    var rule: AlertRule
    /// Path of the history.
    var database: String
    /// The columns that make the row, to be written as JSON.
    var table: TableDescriptor
    /// Their indices.
    var kept: [Int]
    var condition: Int?
    var time: Int?
    var timeUnit: Int64
    var commitInterval: Duration
}

struct AlertSink: TableSink {
    let options: AlertSinkOptions
    let host: StreamCore.Host

    /// The order of rows decides what an alert does.
    var maxParallelism: Int? { 1 }
    var acceptsChanges: Bool { true }
    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        try AlertWriter(options, AlertService.shared(path: options.database, host: host), context, host)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        let service = try AlertService.shared(path: options.database, host: host), rule = options.rule
        try service.history.register(rule)
        return AlertCommitter(service, rule)
    }
}

/// Hands what a checkpoint came to over to the history.
final class AlertCommitter: SinkCommitter {
    private let service: AlertService
    private let rule: AlertRule
    /// How long a job that ends waits for the first tries of its last notifications. What is not delivered by then waits for the next
    /// process that delivers for the topology.
    private static let drainSeconds = 5.0

    init(_ service: AlertService, _ rule: AlertRule) {
        (self.service, self.rule) = (service, rule)
        service.sender.add(topology: rule.topology)
    }

    func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
        var records: [AlertHistory.Record] = []
        for committable in committables {
            guard let part = try? JSONDecoder().decode([AlertHistory.Record].self, from: Data(committable.bytes)) else {
                throw StreamError(.corrupt, "checkpoint \(checkpoint) holds notifications of alert \(rule.name) that cannot be read", fix: "start from an older checkpoint")
            }
            records += part
        }
        try service.history.append(records, topology: rule.topology, rule: rule.name)
        if !records.isEmpty { service.sender.look() }
    }

    func close() { service.sender.drain(topology: rule.topology, seconds: Self.drainSeconds) }
}
