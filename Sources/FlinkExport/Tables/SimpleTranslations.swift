import StreamCore
import StreamSQL

struct PrintTranslation: TableTranslation {
    let connector = "print"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.keep("print-identifier", "standard-error", "sink.parallelism")
        to.note("rows are printed by the workers: they are in the TaskManagers' .out files")
        to.columns()
        return to.finish(&findings)
    }
}

struct BlackholeTranslation: TableTranslation {
    let connector = "blackhole"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.keep("property-version")
        to.columns()
        return to.finish(&findings)
    }
}

struct DatagenTranslation: TableTranslation {
    let connector = "datagen"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.keep("rows-per-second", "number-of-rows", "scan.parallelism")
        to.drop("seed", because: "Flink's made-up rows are other ones each time")
        for key in to.rest("fields.") { to.keep(key) }
        to.columns()
        return to.finish(&findings)
    }
}

/// A connector that Flink has no equal for.
struct RefusedConnector: TableTranslation {
    let connector: String
    let reason: String, instead: String

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        findings.refuse("table \(table.name)", reason: "connector '\(connector)': " + reason, instead: instead, at: table.optionLocations["connector"] ?? table.location)
        return nil
    }

    static let all = [
        RefusedConnector(
            connector: "view", reason: "its rows are kept and answered by this process",
            instead: "write to a table of Flink's connector 'upsert-kafka' or 'jdbc', and ask that database; or let a job here read the topic into the view"),
        RefusedConnector(
            connector: "alert", reason: "rules are watched, and messages sent, by this process",
            instead: "write the rows to a topic with connector 'kafka', and let a job here read it into the alert"),
        RefusedConnector(
            connector: "http", reason: "devices send to a port of this machine, and Flink's workers listen on none",
            instead: "let a job here put what it receives into a stream ('kinesis' or 'kafka'), and read that stream on Flink"),
        RefusedConnector(
            connector: "http-post", reason: "Flink itself posts to no address",
            instead: "use connector 'http-sink' of com.getindata:flink-http-connector, or write to a topic and let Kafka Connect's HTTP sink post it"),
        RefusedConnector(
            connector: "rest", reason: "Flink itself looks no rows up over HTTP",
            instead: "use connector 'rest-lookup' of com.getindata:flink-http-connector, or keep the rows in a database and use connector 'jdbc'"),
        RefusedConnector(
            connector: "kafka-mirror", reason: "Flink copies records, but neither topics' settings nor the offsets of their groups",
            instead: "use Kafka's MirrorMaker 2 (connect-mirror-maker.sh)"),
    ]
}

/// `opensearch`: Flink's connector of the same name.
struct OpenSearchTranslation: TableTranslation {
    let connector = "opensearch"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        guard let jar = FlinkJars.openSearch(target.version) else {
            to.refuse(reason: "no OpenSearch connector is published for Flink \(target.version)",
                      instead: "export with --flink-version 1.20, or write to a topic with connector 'upsert-kafka' and let Kafka Connect's OpenSearch sink take it")
            return to.finish(&findings)
        }
        to.need(jar)
        to.keep("hosts", "index", "document-id.key-delimiter", "username", "password", "allow-insecure", "connection.path-prefix", "connection.timeout", "connection.request-timeout",
                "socket.timeout", "sink.parallelism", "sink.bulk-flush.max-actions", "sink.bulk-flush.max-size", "sink.bulk-flush.interval", "sink.bulk-flush.backoff.strategy",
                "sink.bulk-flush.backoff.max-retries", "sink.bulk-flush.backoff.delay", "sink.delivery-guarantee")
        if let flush = to.take("sink.flush-on-checkpoint"), !to.has("sink.delivery-guarantee") {
            to.set("sink.delivery-guarantee", flush.trimmed.lowercased() == "false" ? "none" : "at-least-once")
        }
        to.drop("sink.commit.interval", because: "Flink flushes with its checkpoints: 'execution.checkpointing.interval'")
        to.drop("sink.bulk-action", when: ["index"], reason: "Flink writes documents over those that are there", instead: "give the table a primary key, so that a document that comes again is the same one")
        for key in ["sink.backup.path", "sink.backup.mode"] {
            to.refuse(key, reason: "Flink puts no documents aside that are refused: the job fails", instead: "leave it out; 'sink.bulk-flush.backoff.max-retries' says how often a request is made again")
        }
        to.format()
        to.columns()
        return to.finish(&findings)
    }
}
