import StreamCore
import StreamSQL

/// `kafka` and `upsert-kafka`: Flink's connectors of the same names, whose options ours have taken over.
struct KafkaTranslation: TableTranslation {
    let isUpsert: Bool
    var connector: String { isUpsert ? "upsert-kafka" : "kafka" }

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.need(FlinkJars.kafka(target.version))
        to.keep("topic", "topic-pattern", "key.fields", "key.fields-prefix", "value.fields-include")
        for key in to.rest("properties.") { property(key, &to) }
        jaas(&to)
        to.brokenRecords(formatPrefix: to.has("value.format") ? "value." : "")
        let valueFormat = to.value("value.format") ?? to.value("format")
        for prefix in ["", "key.", "value."] { captured(prefix, &to) }

        if !isUpsert { to.keep("scan.startup.mode", "scan.startup.specific-offsets", "scan.startup.timestamp-millis") }
        to.keep("scan.bounded.mode", "scan.bounded.specific-offsets", "scan.bounded.timestamp-millis")
        if target.version >= FlinkVersion(2, 0) {
            to.keep("scan.parallelism")
        } else {
            to.drop("scan.parallelism", because: "the connector for Flink \(target.version) reads with the parallelism of the job")
        }
        if !isUpsert || target.version >= FlinkVersion(2, 1) {
            to.keep("scan.topic-partition-discovery.interval")
        } else {
            to.drop("scan.topic-partition-discovery.interval", because: "the connector for Flink \(target.version) looks for new partitions every five minutes")
        }

        to.keep("sink.delivery-guarantee", "sink.transactional-id-prefix", "sink.parallelism")
        if isUpsert { to.keep("sink.buffer-flush.max-rows", "sink.buffer-flush.interval") }
        if target.version >= FlinkVersion(2, 0) {
            to.keep("sink.transaction-naming-strategy")
        } else {
            to.drop("sink.transaction-naming-strategy", because: "the connector for Flink \(target.version) has one strategy")
        }
        if isUpsert {
            to.drop("sink.partitioner", when: ["default"], reason: "Flink's upsert-kafka places rows by their keys alone", instead: "leave the option out")
        } else {
            to.keep("sink.partitioner")
        }
        to.drop("sink.commit.interval", because: "Flink commits with its checkpoints: 'execution.checkpointing.interval'")
        to.drop("sink.lost-transactions", when: ["ignore"], reason: "Flink goes on with a warning when the cluster says that a transaction can no longer be committed",
                instead: "leave the option out, and set 'properties.transaction.timeout.ms' longer than any pause of the job")
        if to.value("sink.delivery-guarantee")?.trimmed.lowercased() == "exactly-once", !to.has("properties.transaction.timeout.ms") {
            to.note("Flink asks for transactions of one hour: the brokers' transaction.max.timeout.ms must allow it, or set 'properties.transaction.timeout.ms'")
        }

        var readable = Dictionary(uniqueKeysWithValues: ["topic", "partition", "offset", "timestamp", "timestamp-type", "headers", "leader-epoch"].map { ($0, $0) })
        readable.merge(to.formatMetadata(valueFormat)) { own, _ in own }
        to.columns(readable: readable, writable: ["topic", "headers", "timestamp"]) { key in
            switch key {
            case "error.key": BrokenRecords.instead
            case "op", "value.op", "row", "value.row": "read the messages with 'format' = 'json', as columns before, after and op"
            default: nil
            }
        }
        return to.finish(&findings)
    }

    /// Formats of change records that Flink lacks are read as what they are: see ``RawChanges``.
    private func captured(_ prefix: String, _ to: inout OptionTranslation) {
        if prefix != "key.", let changes = RawChanges(to, prefix: prefix) { changes.apply(&to) } else { to.format(prefix: prefix) }
    }

    // MARK: Properties

    /// Names of librdkafka and the Java client's names for them.
    private static let javaNames: [String: String] = [
        "metadata.broker.list": "bootstrap.servers", "sasl.mechanisms": "sasl.mechanism", "queue.buffering.max.ms": "linger.ms", "message.max.bytes": "max.request.size",
        "socket.timeout.ms": "request.timeout.ms", "fetch.wait.max.ms": "fetch.max.wait.ms", "fetch.message.max.bytes": "max.partition.fetch.bytes", "compression.codec": "compression.type",
        "request.required.acks": "acks", "message.timeout.ms": "delivery.timeout.ms", "message.send.max.retries": "retries", "topic.metadata.refresh.interval.ms": "metadata.max.age.ms",
        "socket.receive.buffer.bytes": "receive.buffer.bytes", "socket.send.buffer.bytes": "send.buffer.bytes", "ssl.ca.pem": "ssl.truststore.certificates",
        "ssl.certificate.pem": "ssl.keystore.certificate.chain", "ssl.key.pem": "ssl.keystore.key", "max.in.flight": "max.in.flight.requests.per.connection",
    ]

    /// What the Java client has no need of.
    private static let needless: Set<String> = [
        "queue.buffering.max.messages", "statistics.interval.ms", "debug", "log_level", "socket.keepalive.enable", "batch.num.messages", "queued.min.messages",
        "queued.max.messages.kbytes", "log.connection.close", "api.version.request", "broker.address.ttl", "broker.version.fallback", "enable.auto.offset.store", "log.queue",
        "socket.nagle.disable", "socket.max.fails", "fetch.error.backoff.ms", "topic.metadata.refresh.fast.interval.ms", "topic.metadata.refresh.sparse", "enable.partition.eof",
    ]

    /// Properties of the Java client's consumers and producers.
    private static let java: Set<String> = Set(javaNames.values).union([
        "group.id", "group.instance.id", "client.id", "client.rack", "client.dns.lookup", "auto.offset.reset", "enable.auto.commit", "auto.commit.interval.ms", "isolation.level",
        "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "max.poll.records", "fetch.min.bytes", "fetch.max.bytes", "check.crcs", "exclude.internal.topics",
        "allow.auto.create.topics", "partition.assignment.strategy", "default.api.timeout.ms", "connections.max.idle.ms", "reconnect.backoff.ms", "reconnect.backoff.max.ms",
        "retry.backoff.ms", "retry.backoff.max.ms", "batch.size", "buffer.memory", "max.block.ms", "enable.idempotence", "transaction.timeout.ms", "transactional.id", "partitioner.class",
        "interceptor.classes", "key.deserializer", "value.deserializer", "key.serializer", "value.serializer", "metric.reporters", "metrics.num.samples", "metrics.recording.level",
        "metrics.sample.window.ms", "security.protocol", "security.providers", "sasl.jaas.config", "sasl.kerberos.service.name", "sasl.kerberos.kinit.cmd", "sasl.login.class",
        "sasl.login.callback.handler.class", "sasl.client.callback.handler.class", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.scope.claim.name", "ssl.protocol",
        "ssl.enabled.protocols", "ssl.cipher.suites", "ssl.endpoint.identification.algorithm", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.type",
        "ssl.keystore.location", "ssl.keystore.password", "ssl.keystore.type", "ssl.key.password", "auto.include.jmx.reporter", "enable.metrics.push", "socket.connection.setup.timeout.ms",
        "socket.connection.setup.timeout.max.ms", "compression.gzip.level", "compression.lz4.level", "compression.zstd.level",
        // Of Flink itself.
        "partition.discovery.interval.ms", "client.id.prefix", "register.consumer.metrics", "commit.offsets.on.checkpoint",
    ])

    private func property(_ key: String, _ to: inout OptionTranslation) {
        let name = String(key.dropFirst("properties.".count))
        switch name {
        case "auto.offset.reset":
            to.change(key, instead: "write earliest, latest or none") {
                ["earliest": "earliest", "smallest": "earliest", "beginning": "earliest", "latest": "latest", "largest": "latest", "end": "latest", "none": "none", "error": "none"][$0.lowercased()]
            }
        case "queue.buffering.max.kbytes": to.change(key, to: "properties.buffer.memory", instead: "write 'properties.buffer.memory' in bytes") { Int($0).map { "\($0 << 10)" } }
        case "ssl.endpoint.identification.algorithm": to.change(key, instead: "write https, or nothing") { $0.lowercased() == "none" ? "" : $0 }
        case "ssl.ca.location":
            guard let file = to.take(key) else { return }
            to.set("properties.ssl.truststore.type", "PEM")
            to.set("properties.ssl.truststore.location", file)
            to.note("'properties.ssl.ca.location' is 'properties.ssl.truststore.location' of type PEM: the file \(file) must be there on every worker")
        case "ssl.ca.pem":
            to.set("properties.ssl.truststore.type", "PEM")
            to.rename(key, to: "properties.ssl.truststore.certificates")
        case "ssl.certificate.pem", "ssl.key.pem":
            to.set("properties.ssl.keystore.type", "PEM")
            to.rename(key, to: "properties." + Self.javaNames[name]!)
        case "ssl.certificate.location", "ssl.key.location":
            to.refuse(key, reason: "the Java client takes certificate and key from one file",
                      instead: "put both into one PEM file, and write 'properties.ssl.keystore.type' = 'PEM' and 'properties.ssl.keystore.location'")
        case "enable.ssl.certificate.verification":
            to.drop(key, when: ["true"], reason: "the Java client always checks certificates", instead: "name the certificate authority in 'properties.ssl.truststore.location'")
        case "sasl.username", "sasl.password": _ = to.take(key)
        case _ where name.hasPrefix("test.mock."): to.refuse(key, reason: "the mock cluster is within this process", instead: "name brokers in 'properties.bootstrap.servers'")
        case _ where Self.javaNames[name] != nil: to.rename(key, to: "properties." + Self.javaNames[name]!)
        case _ where Self.needless.contains(name): to.drop(key, because: "it tunes librdkafka")
        case _ where Self.java.contains(name): to.keep(key)
        default: to.refuse(key, reason: "it is no property of the Java client", instead: "find its name among Kafka's consumer and producer configurations")
        }
    }

    /// The Java client takes user and password in a line of its own.
    private func jaas(_ to: inout OptionTranslation) {
        guard let user = to.value("properties.sasl.username"), let password = to.value("properties.sasl.password"), !to.has("properties.sasl.jaas.config") else { return }
        func quoted(_ text: String) -> String { "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\"" }
        let mechanism = (to.value("properties.sasl.mechanism") ?? to.value("properties.sasl.mechanisms") ?? "PLAIN").uppercased()
        let module = mechanism.hasPrefix("SCRAM") ? "org.apache.kafka.common.security.scram.ScramLoginModule" : "org.apache.kafka.common.security.plain.PlainLoginModule"
        to.set("properties.sasl.jaas.config", "\(module) required username=\(quoted(user)) password=\(quoted(password));")
    }
}
