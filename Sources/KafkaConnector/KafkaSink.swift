import StreamCore
import StreamFormats

/// Writes rows as messages.
///
/// At least once: an idempotent producer per subtask, and a checkpoint waits for the brokers. Exactly once: each subtask writes the
/// rows of a checkpoint in a transaction (``TransactionPool``), which the committer ends.
struct KafkaSink: TableSink {
    let kafka: KafkaTable
    let options: KafkaSinkOptions
    let metadata: KafkaSinkMetadata
    let topics: KafkaSinkTopics
    let isUpsert: Bool
    let configuration: KafkaConfiguration
    private let host: Host
    /// What the committer and the writers of one run share.
    private let run: TransactionRun?

    init(_ kafka: KafkaTable, isUpsert: Bool, host: Host) throws {
        self.kafka = kafka
        self.isUpsert = isUpsert
        self.host = host
        options = try KafkaSinkOptions(kafka.table)
        metadata = try KafkaSinkMetadata(kafka.table)
        topics = try KafkaSinkTopics(kafka, metadata)
        configuration = KafkaProducer.configuration(kafka.configuration, options.guarantee)
        if options.guarantee == .exactlyOnce {
            try KafkaWireClient.check(kafka.configuration, table: kafka.table.name)
            if let timeout = kafka.configuration["transaction.timeout.ms"].flatMap({ Int64($0) }), let interval = options.commitInterval, .milliseconds(timeout) <= interval {
                throw StreamError(.validate, "table \(kafka.table.name): '\(kafka.configuration.option("transaction.timeout.ms"))' = '\(timeout)' is no longer than 'sink.commit.interval': transactions would end before their commit",
                                  fix: "make it longer than the time from one checkpoint to the next, and than the job may be down")
            }
            run = TransactionRun()
        } else {
            run = nil
        }
    }

    var maxParallelism: Int? { options.parallelism }
    var distributionKeys: [Int] { isUpsert ? kafka.keyColumns : [] }
    var acceptsChanges: Bool { isUpsert || kafka.valueFormat.producesChanges }
    var changelogMode: ChangelogMode { isUpsert ? .upsert : kafka.valueFormat.producesChanges ? .all : .insertOnly }
    var commitInterval: Duration? { options.commitInterval }

    func writer(_ context: SinkContext) throws -> any SinkWriter {
        let producers: KafkaWriter.Producers
        if let run {
            let pool = run.pool(self.pool(context))
            try pool.open(context.subtask, parallelism: context.parallelism)
            pool.takeWarnings().forEach { context.metrics.warn($0) }
            producers = .transactions(pool)
        } else {
            producers = .single(try KafkaProducer(configuration, table: kafka.table.name))
        }
        return try KafkaWriter(self, context, producers, now: host.now)
    }

    func committer(_ context: SinkContext) throws -> (any SinkCommitter)? {
        guard let run else { return nil }
        let pool = run.restart(self.pool(context))
        let committer = TransactionCommitter(pool, parallelism: context.parallelism, ignoresLost: options.ignoresLostTransactions)
        // Before its first checkpoint a job has nothing to go on from: what an earlier try left open is of no use.
        if context.isRecoverable, context.restoredCheckpoint == nil { try committer.abortOthers(than: []) }
        return committer
    }

    private func pool(_ context: SinkContext) -> TransactionPool {
        TransactionPool(configuration, prefix: "\(options.transactionalIDPrefix)-\(context.tag)", table: kafka.table.name)
    }
}

/// The topics that rows may go to.
struct KafkaSinkTopics: Sendable {
    /// Where all rows go; nil = where each row's `topic` says.
    let single: String?
    private let kafka: KafkaTable

    init(_ kafka: KafkaTable, _ metadata: KafkaSinkMetadata) throws {
        self.kafka = kafka
        if metadata.topic == nil {
            guard case .names(let names) = kafka.topics, names.count == 1 else {
                let key = kafka.table.options["topic"] == nil ? "topic-pattern" : "topic"
                throw TableOptions(kafka.table).error(key, "does not say which topic a row is to be written to",
                                                      fix: "name one topic, or declare a column topic STRING NOT NULL METADATA that gives it for each row")
            }
            single = names[0]
        } else {
            single = nil
        }
    }

    /// - Throws: `.runtime` for a topic that the table's options do not allow.
    func check(_ topic: String) throws {
        let isAllowed: Bool, option: String
        switch kafka.topics {
        case .names(let names): (isAllowed, option) = (names.contains(topic), "'topic' = '\(names.joined(separator: ";"))'")
        case .pattern(let pattern):
            (isAllowed, option) = (try Regex(pattern).wholeMatch(in: topic) != nil, "'topic-pattern' = '\(pattern)'")
        }
        guard isAllowed, !topic.isEmpty else {
            throw StreamError(.runtime, "table \(kafka.table.name): a row says topic '\(topic)', which \(option) does not allow",
                              fix: "add the topic to the option, or filter the row out")
        }
    }
}
