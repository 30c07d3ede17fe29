import Foundation
import StreamCore
import StreamSQL

/// `kinesis`: Flink's connector of the same name in its newer form (`flink-sql-connector-aws-kinesis-streams` 5 and 6). A stream of
/// the built-in log is read and written through the service that answers the Kinesis API for it.
struct KinesisTranslation: TableTranslation {
    let connector = "kinesis"

    static let defaultRegion = "us-east-1"

    func translate(_ table: SourceTable, _ target: FlinkTarget, _ findings: inout Findings) -> TranslatedTable? {
        var to = OptionTranslation(table, target, findings)
        to.need(FlinkJars.kinesis(target.version))
        place(&to)
        to.brokenRecords()
        if let changes = RawChanges(to, prefix: "") { changes.apply(&to) } else { to.format() }
        start(&to)
        reading(&to)
        credentials(&to)

        to.keep("sink.partitioner", "sink.partitioner-field-delimiter", "sink.batch.max-size", "sink.requests.max-inflight", "sink.requests.max-buffered", "sink.flush-buffer.size",
                "sink.flush-buffer.timeout", "sink.fail-on-error", "sink.http-client.protocol.version", "sink.http-client.max-concurrency", "sink.http-client.read-timeout")
        to.drop("sink.order-per-key", when: ["false"], reason: "Flink puts several records of a key into one request, of which the service may refuse some",
                instead: "leave the option out, and let readers order rows of a key by a time in them")
        let isExact = to.value("sink.delivery-guarantee")?.trimmed.lowercased()
        to.drop("sink.delivery-guarantee", when: ["at-least-once"], reason: "Flink writes to Kinesis at least once: the API cannot take records back",
                instead: "write 'at-least-once', and let readers drop what comes twice")
        if table.isWritten, isExact == nil {
            to.note("rows are written at least once: after a recovery some come again")
        }
        to.drop("sink.flush", because: "it says how the built-in log writes to its disk")
        to.drop("sink.commit.interval", because: "Flink sends rows as they come, and waits for all of them with its checkpoints")
        to.drop("scan.parallelism", "sink.parallelism", because: "the connector has the parallelism of the job: 'parallelism.default'")
        let older = (to.rest("scan.") + to.rest("sink.producer.")).filter { table.foreignOptions.contains($0) && !$0.hasPrefix("scan.watermark.") }
        to.drop(older, because: "the connector has it no more: it is of Flink's older one, 'kinesis-legacy'")
        // The connector declares metadata, but gives its source no word of it.
        to.columns { key in
            ["timestamp", "shard-id", "sequence-number"].contains(key) && target.version.major == 1
                ? "make the value part of the records, or make the table by hand with connector 'kinesis-legacy' of flink-sql-connector-kinesis 5.1.0-1.20, which tells it"
                : "make the value part of the records"
        }
        return to.finish(&findings)
    }

    /// Which stream, and who answers for it.
    private func place(_ to: inout OptionTranslation) {
        let arn = to.take("stream.arn"), name = to.take("stream"), endpoint = to.take("aws.endpoint"), given = to.take("aws.region")
        let isLog = arn == nil && endpoint == nil
        let parts = arn?.split(separator: ":", omittingEmptySubsequences: false).map(String.init) ?? []
        let region = given ?? (parts.count > 3 ? parts[3] : nil) ?? Self.defaultRegion
        to.set("aws.region", region)
        to.set("stream.arn", arn ?? "arn:aws:kinesis:\(region):\(to.target.kinesisAccount):stream/\(name ?? to.table.name)")
        if let endpoint { to.set("aws.endpoint", endpoint) }
        if isLog {
            let stream = name ?? to.table.name
            if let address = to.target.kinesisEndpoint {
                to.set("aws.endpoint", address)
                to.note("stream \(stream) of the built-in log is read through the Kinesis API at \(address), where `swiftwater serve --aws-listen` must answer for the same data folder; the workers need AWS credentials that it takes (without --credentials any)")
            } else {
                to.note("stream \(stream) of the built-in log is taken to be in AWS, region \(region), account \(to.target.kinesisAccount): copy it there, or export with --kinesis-endpoint and let `swiftwater serve` answer for it")
            }
        }
        to.drop("log.directory", because: "Flink reads the stream through the Kinesis API, and not from its files")
        if let shards = to.take("stream.create-shards") {
            to.note("'stream.create-shards' left out: make the stream before, with aws kinesis create-stream --stream-name \(name ?? to.table.name) --shard-count \(shards)")
        }
        to.keep("aws.trust.all.certificates", "aws.http.protocol.version", "aws.http-client.max-concurrency", "aws.http-client.read-timeout")
    }

    /// Where reading begins, and that it does not end.
    private func start(_ to: inout OptionTranslation) {
        to.rename("scan.stream.initpos", to: "source.init.position")
        to.keep("source.init.position", "source.init.timestamp.format")
        to.rename("scan.stream.initpos-timestamp-format", to: "source.init.timestamp.format")
        let format = to.declaration.options["source.init.timestamp.format"]
        for key in ["scan.stream.initpos-timestamp", "source.init.timestamp"] {
            guard let text = to.take(key) else { continue }
            to.set("source.init.timestamp", format == nil ? Self.timestamp(text) : text)
        }
        to.drop("scan.bounded.mode", when: ["unbounded"], reason: "Flink reads a Kinesis stream without end",
                instead: "let the job run and stop it, read a copy of the records in files, or use `swiftwater compare`, which reads files on both engines")
        for (old, new) in [("scan.shard.discovery.intervalmillis", "source.shard.discovery.interval"), ("source.shard.discovery.interval", "source.shard.discovery.interval")] {
            to.rename(old, to: new)
        }
    }

    /// The form of times that Flink reads when no format is given: `2024-05-04T19:58:46.480Z`. Seconds stay as they are.
    static func timestamp(_ text: String) -> String {
        if Double(text) != nil { return text }
        for style in [Date.ISO8601FormatStyle(includingFractionalSeconds: true), Date.ISO8601FormatStyle()] {
            if let date = try? style.parse(text) { return date.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true)) }
        }
        return text
    }

    private func reading(_ to: inout OptionTranslation) {
        to.rename("scan.stream.recordpublisher", to: "source.reader.type")
        to.rename("scan.stream.efo.consumername", to: "source.efo.consumer.name")
        to.keep("source.reader.type", "source.efo.consumer.name", "source.efo.lifecycle")
        to.change("scan.stream.efo.registration", to: "source.efo.lifecycle", instead: "write 'source.efo.lifecycle' = 'JOB_MANAGED' or 'SELF_MANAGED'") {
            ["NONE": "SELF_MANAGED", "LAZY": "JOB_MANAGED", "EAGER": "JOB_MANAGED"][$0.uppercased()]
        }
        to.refuse("scan.stream.efo.consumerarn", reason: "the connector finds a consumer by its name", instead: "write 'source.efo.consumer.name', and 'source.efo.lifecycle' = 'SELF_MANAGED'")
        to.rename("scan.shard.getrecords.maxrecordcount", to: "source.shard.get-records.max-record-count")
        to.keep("source.shard.get-records.max-record-count")
        to.rename("source.shard.get-records.idle-source-interval", to: "source.reader.empty-records-fetch-interval")
        to.drop("scan.shard.getrecords.intervalmillis", "source.shard.get-records.interval", because: "the connector asks again at once as long as there are records")
        to.drop(to.rest("scan.shard.getrecords.") + to.rest("scan.shard.subscribetoshard."), because: "the connector tries again as the AWS client does")
    }

    private func credentials(_ to: inout OptionTranslation) {
        to.keep("aws.credentials.provider")
        for name in ["basic.accesskeyid", "basic.secretkey", "profile.path", "profile.name"] {
            to.rename("aws.credentials.provider." + name, to: "aws.credentials." + name)
            to.keep("aws.credentials." + name)
        }
        for key in ["aws.credentials.basic.sessiontoken", "aws.credentials.provider.basic.sessiontoken"] {
            to.refuse(key, reason: "the connector takes no session token", instead: "give the workers the credentials in their environment, and leave 'aws.credentials.*' out")
        }
    }
}
