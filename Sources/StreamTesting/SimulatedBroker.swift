import StreamCore
import Synchronization

/// Topics outside of the job: what they hold survives every crash of it.
///
/// A topic that is read has partitions of rows, which can be read again from any offset, in pieces of any size and with
/// pauses. A topic that is written takes transactions: rows become visible when theirs is committed, once and for all.
///
///     let broker = SimulatedBroker(seed: seed)
///     broker.add("orders", schema, partitions: rows)
///     SQLSession(connectors: [SimulatedBrokerConnector(broker)])      // 'connector' = 'simulated', 'topic' = 'orders'
public final class SimulatedBroker: Sendable {
    /// A row and what it does to the result.
    public struct Row: Hashable, Sendable {
        public var kind: RowKind, values: [Value]
        public init(_ values: [Value], kind: RowKind = .insert) { (self.kind, self.values) = (kind, values) }
    }

    struct Topic: Sendable {
        var schema: Schema
        var partitions: [[Row]]
    }

    /// Rows that a writer has handed over to be committed later.
    private struct Transaction: Sendable {
        var rows: [Row]
        var isCommitted = false
    }

    private struct State: Sendable {
        var topics: [String: Topic] = [:]
        var transactions: [String: Transaction] = [:]
        var visible: [String: [Row]] = [:]
        var commits = 0
        var violations: [String] = []
        var chance: SeededRandom
    }

    private let state: Mutex<State>

    public init(seed: UInt64) { state = Mutex(State(chance: SeededRandom(seed ^ 0xB20C))) }

    /// Makes a topic to be read.
    public func add(_ topic: String, _ schema: Schema, partitions: [[Row]]) {
        state.withLock { $0.topics[topic] = Topic(schema: schema, partitions: partitions) }
    }

    /// Committed rows of a topic that is written, in the order of their commits.
    public func rows(_ topic: String) -> [Row] { state.withLock { $0.visible[topic] ?? [] } }

    /// Transactions committed so far.
    public var commits: Int { state.withLock { $0.commits } }

    /// What a job did that no broker would let pass: rows changed after their commit, transactions that nobody prepared.
    public var violations: [String] { state.withLock { $0.violations } }

    func topic(_ name: String) -> Topic? { state.withLock { $0.topics[name] } }

    /// How many rows a reader gets now, of those there are; nil = none for the moment.
    func portion(of available: Int) -> Int? {
        state.withLock { state in
            Int.random(in: 0..<4, using: &state.chance) == 0 ? nil : Int.random(in: 1...available, using: &state.chance)
        }
    }

    // MARK: transactions

    func prepare(_ transaction: String, _ rows: [Row]) {
        state.withLock { state in
            if let old = state.transactions[transaction], old.isCommitted {
                state.violations.append("transaction \(transaction) was prepared again after its commit")
                return
            }
            state.transactions[transaction] = Transaction(rows: rows)
        }
    }

    func commit(_ transaction: String, topic: String) {
        state.withLock { state in
            guard let found = state.transactions[transaction] else {
                state.violations.append("transaction \(transaction) was committed, but is not prepared")
                return
            }
            guard !found.isCommitted else { return }
            state.transactions[transaction]!.isCommitted = true
            state.visible[topic, default: []] += found.rows
            state.commits += 1
        }
    }

    /// Forgets transactions of a topic that are not committed.
    func rollBack(except kept: Set<String>, topic: String) {
        state.withLock { state in
            for (name, transaction) in state.transactions where name.hasPrefix(topic + "/") && !transaction.isCommitted && !kept.contains(name) {
                state.transactions[name] = nil
            }
        }
    }

    func nextNumber() -> UInt64 { state.withLock { $0.chance.next() } }
}

/// Tables with `'connector' = 'simulated'`: the topics of a ``SimulatedBroker``.
public struct SimulatedBrokerConnector: TableConnector {
    public let identifier = "simulated"
    private let broker: SimulatedBroker

    public init(_ broker: SimulatedBroker) { self.broker = broker }

    public func optionKeys(for table: TableDescriptor) -> Set<String> { ["topic"] }

    public func validate(_ table: TableDescriptor) throws {
        if table.options["topic"] == nil { throw StreamError(.validate, "table \(table.name) has no topic", fix: "set 'topic'") }
    }

    public func source(for table: TableDescriptor, scan: ScanRequest) throws -> any TableSource {
        guard let topic = broker.topic(table.options["topic"]!) else {
            throw StreamError(.validate, "there is no topic \(table.options["topic"]!)", fix: "add it to the broker before the job starts")
        }
        return SimulatedTopicSource(broker: broker, topic: topic, projection: scan.projection)
    }

    public func sink(for table: TableDescriptor, timeZone: String) throws -> any TableSink {
        SimulatedTopicSink(broker: broker, topic: table.options["topic"]!)
    }
}

/// Reads a topic; a split for each partition, whose position is the offset of the next row.
struct SimulatedTopicSource: TableSource {
    let broker: SimulatedBroker
    let topic: SimulatedBroker.Topic
    let projection: [Int]

    var isBounded: Bool { true }
    var producesChanges: Bool { topic.partitions.contains { $0.contains { $0.kind != .insert } } }
    func splits() throws -> [SourceSplit] { topic.partitions.indices.map { SourceSplit(id: "\($0)") } }

    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        guard let partition = Int(split.id), topic.partitions.indices.contains(partition), let offset = Int(split.position ?? "0") else {
            throw StreamError(.corrupt, "split \(split.id) at \(split.position ?? "its start") is not one of a topic with \(topic.partitions.count) partitions")
        }
        return Reader(source: self, rows: topic.partitions[partition], offset: offset)
    }

    private final class Reader: SplitReader {
        private let source: SimulatedTopicSource
        private let rows: [SimulatedBroker.Row]
        private var offset: Int

        init(source: SimulatedTopicSource, rows: [SimulatedBroker.Row], offset: Int) {
            self.source = source
            self.rows = rows
            self.offset = offset
        }

        func next(maxRows: Int) throws -> ReadResult {
            guard offset < rows.count else { return .endOfSplit }
            guard let count = source.broker.portion(of: min(maxRows, rows.count - offset)) else { return .waiting(.milliseconds(3)) }
            let portion = rows[offset..<offset + count]
            offset += count
            let schema = source.projection.map { source.topic.schema[$0] }
            let isPlain = portion.allSatisfy { $0.kind == .insert }
            return .batch(Batch(schema: schema, rows: portion.map { row in source.projection.map { row.values[$0] } },
                                kinds: isPlain ? nil : portion.map(\.kind)))
        }

        var position: String { "\(offset)" }
    }
}

/// Writes a topic in transactions, one for each writer and checkpoint.
struct SimulatedTopicSink: TableSink {
    let broker: SimulatedBroker
    let topic: String

    var acceptsChanges: Bool { true }
    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(broker: broker, topic: topic, subtask: context.subtask) }
    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? { Committer(broker: broker, topic: topic) }

    private final class Writer: SinkWriter {
        private let broker: SimulatedBroker
        private let topic: String
        private let prefix: String
        private var rows: [SimulatedBroker.Row] = []

        init(broker: SimulatedBroker, topic: String, subtask: Int) {
            self.broker = broker
            self.topic = topic
            // A writer of a later start never reuses the name of an earlier one's transaction.
            prefix = "\(topic)/\(subtask)-\(broker.nextNumber())-"
        }

        func write(_ batch: Batch) throws {
            rows += zip(0..<batch.count, batch.rows()).map { .init($1, kind: batch.kind(atPhysical: batch.row($0))) }
        }

        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] {
            guard !rows.isEmpty else { return [] }
            let transaction = prefix + "\(checkpoint)"
            broker.prepare(transaction, rows)
            rows = []
            return [Committable(Array(transaction.utf8))]
        }
    }

    private final class Committer: SinkCommitter {
        private let broker: SimulatedBroker
        private let topic: String
        init(broker: SimulatedBroker, topic: String) { (self.broker, self.topic) = (broker, topic) }

        func recover(_ checkpoint: UInt64, _ committables: [Committable]) throws {
            try commit(checkpoint, committables)
            broker.rollBack(except: [], topic: topic)
        }

        func commit(_ checkpoint: UInt64, _ committables: [Committable]) throws {
            for part in committables { broker.commit(String(decoding: part.bytes, as: UTF8.self), topic: topic) }
        }
    }
}
