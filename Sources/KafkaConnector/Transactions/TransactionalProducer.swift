import CRdKafka
import StreamCore

/// A producer with a transactional id, as it stands after `init_transactions`: what an earlier run left open under the id is
/// aborted, and that run is fenced.
final class TransactionalProducer: Sendable {
    let name: TransactionName
    /// The transactional id.
    let id: String
    let producer: KafkaProducer
    /// With the id they name the open transaction to the cluster.
    let producerID: Int64, epoch: Int16
    private let table: String

    /// How often librdkafka tells its producer id. It is read once.
    private static let statisticsInterval = "100"
    private static let patience: UInt64 = 60_000_000_000

    /// Waits for the cluster.
    init(_ name: TransactionName, id: String, _ configuration: KafkaConfiguration, table: String) throws {
        var configuration = configuration
        configuration.set("transactional.id", id)
        configuration.set("statistics.interval.ms", Self.statisticsInterval)
        self.name = name
        self.id = id
        self.table = table
        producer = try KafkaProducer(configuration, table: table)
        let deadline = Clock.monotonicNanoseconds() &+ Self.patience
        while let error = rd_kafka_init_transactions(producer.client.handle, 5_000) {
            defer { rd_kafka_error_destroy(error) }
            let failure = Self.failure(error, "table \(table): beginning transactions as \(id)", producer)
            if let fatal = producer.client.fatalFailure("table \(table): beginning transactions as \(id)") { throw fatal }
            guard rd_kafka_error_is_retriable(error) != 0, Clock.monotonicNanoseconds() < deadline else { throw failure }
        }
        (producerID, epoch) = try Self.identity(producer, id, deadline)
    }

    /// librdkafka tells producer id and epoch in its statistics only.
    private static func identity(_ producer: KafkaProducer, _ id: String, _ deadline: UInt64) throws -> (Int64, Int16) {
        while true {
            producer.client.poll(milliseconds: 20)
            if let text = producer.client.statistics, let eos = text.firstRange(of: "\"eos\"") {
                let part = text[eos.upperBound...]
                if let producerID = number("\"producer_id\":", part), producerID >= 0, let epoch = number("\"producer_epoch\":", part), epoch >= 0 {
                    return (producerID, Int16(truncatingIfNeeded: epoch))
                }
            }
            guard Clock.monotonicNanoseconds() < deadline else {
                throw StreamError(.io, "librdkafka does not tell the producer id of transactional id \(id)", fix: "use librdkafka 1.4 or later")
            }
        }
    }

    private static func number(_ key: String, _ text: Substring) -> Int64? {
        guard let found = text.firstRange(of: key) else { return nil }
        return Int64(text[found.upperBound...].drop { $0 == " " }.prefix { $0.isNumber || $0 == "-" })
    }

    private static func failure(_ error: OpaquePointer, _ what: String, _ producer: KafkaProducer) -> StreamError {
        producer.client.error(rd_kafka_error_code(error), what, said: rd_kafka_error_string(error).map { String(cString: $0) })
    }

    /// Asks nothing of the cluster.
    func begin() throws {
        guard let error = rd_kafka_begin_transaction(producer.client.handle) else { return }
        defer { rd_kafka_error_destroy(error) }
        throw Self.failure(error, "table \(table): beginning a transaction as \(id)", producer)
    }

    /// Ends the open transaction, whose messages must all have been delivered. An outcome that stays unknown is an error.
    func commit() throws {
        let deadline = Clock.monotonicNanoseconds() &+ Self.patience
        while let error = rd_kafka_commit_transaction(producer.client.handle, 5_000) {
            defer { rd_kafka_error_destroy(error) }
            guard rd_kafka_error_is_retriable(error) != 0, Clock.monotonicNanoseconds() < deadline else {
                throw Self.failure(error, "table \(table): committing the transaction of \(id)", producer)
            }
        }
    }

    /// Gives the open transaction up. When that fails the next run, or the cluster after `transaction.timeout.ms`, does it.
    func abandon() {
        if let error = rd_kafka_abort_transaction(producer.client.handle, 3_000) { rd_kafka_error_destroy(error) }
        producer.close()
    }
}

/// Which transactional id of a sink: each subtask has a few, numbered from 0.
struct TransactionName: Hashable, Sendable, Comparable {
    var subtask: Int, number: Int
    static func < (a: Self, b: Self) -> Bool { (a.subtask, a.number) < (b.subtask, b.number) }
}

/// A prepared transaction, as checkpoints keep it: with this any process can commit it.
struct PreparedTransaction: Hashable, Sendable {
    var checkpoint: UInt64
    var name: TransactionName
    var id: String
    var producerID: Int64, epoch: Int16
    /// Of the run that wrote it.
    var parallelism: Int

    /// `1 checkpoint subtask number parallelism producer-id epoch transactional-id`
    var bytes: [UInt8] { Array("1 \(checkpoint) \(name.subtask) \(name.number) \(parallelism) \(producerID) \(epoch) \(id)".utf8) }

    init(checkpoint: UInt64, name: TransactionName, id: String, producerID: Int64, epoch: Int16, parallelism: Int) {
        (self.checkpoint, self.name, self.id, self.producerID, self.epoch, self.parallelism) = (checkpoint, name, id, producerID, epoch, parallelism)
    }

    init(bytes: [UInt8]) throws {
        let text = String(decoding: bytes, as: UTF8.self)
        let parts = text.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: false)
        guard parts.count == 8, parts[0] == "1", let checkpoint = UInt64(parts[1]), let subtask = Int(parts[2]), let number = Int(parts[3]),
              let parallelism = Int(parts[4]), let producerID = Int64(parts[5]), let epoch = Int16(parts[6])
        else { throw StreamError(.corrupt, "a checkpoint holds '\(text.prefix(200))', which is no prepared transaction of a Kafka sink") }
        self.init(checkpoint: checkpoint, name: .init(subtask: subtask, number: number), id: String(parts[7]), producerID: producerID, epoch: epoch,
                  parallelism: parallelism)
    }
}
