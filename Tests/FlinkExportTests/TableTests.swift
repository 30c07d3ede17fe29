import FileConnectors
import KinesisConnector
import StreamCore
import StreamFormats
import StreamSQL
import Testing

@testable import FlinkExport

@Suite("Tables in Flink") struct TableTests {
    static let all: [(String, SourceTable)] = [
        ("filesystem-json", table("readings", "id INT, at TIMESTAMP(3), v DOUBLE", more: [Column(name: "file", type: "STRING", kind: .metadata(key: "file.name", virtual: true))],
                                  watermark: .init(column: "at", expression: "`at` - INTERVAL '5' SECOND"),
                                  ["connector": "filesystem", "path": "/in/readings", "format": "json", "source.monitor-interval": "1 s", "on-error": "skip", "json.timestamp-format.standard": "ISO-8601"])),
        ("filesystem-csv-sink", table("out", "id INT, day STRING", partitions: ["day"], isRead: false, isWritten: true,
                                      ["connector": "filesystem", "path": "/in/out", "format": "csv", "csv.field-delimiter": ";", "sink.rolling-policy.rollover-interval": "5 min",
                                       "sink.partition-commit.policy.kind": "success-file", "sink.rolling-policy.on-checkpoint": "true"])),
        ("filesystem-debezium", table("changes", "id INT, v STRING", key: ["id"], ["connector": "filesystem", "path": "/in/changes", "format": "debezium-json"])),
        ("filesystem-raw", table("lines", "line STRING", ["connector": "filesystem", "path": "file:///in/lines", "format": "raw"])),
        ("print", table("shown", isRead: false, isWritten: true, ["connector": "print", "print-identifier": "x"])),
        ("blackhole", table("gone", isRead: false, isWritten: true, ["connector": "blackhole"])),
        ("datagen", table("made", "id INT, v STRING", ["connector": "datagen", "rows-per-second": "5", "number-of-rows": "10", "seed": "7", "fields.id.kind": "sequence", "fields.id.start": "1",
                                                      "fields.id.end": "10", "fields.v.length": "4", "fields.v.null-rate": "0.5"])),
        ("kafka", table("orders", "id STRING, v INT", more: [Column(name: "at", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "timestamp", virtual: true))],
                        ["connector": "kafka", "topic": "orders", "properties.metadata.broker.list": "b:9092", "properties.group.id": "g", "properties.sasl.mechanism": "SCRAM-SHA-256",
                         "properties.sasl.username": "me", "properties.sasl.password": "a\"b", "properties.security.protocol": "SASL_SSL", "scan.startup.mode": "earliest-offset",
                         "scan.bounded.mode": "latest-offset", "key.format": "raw", "key.fields": "id", "value.format": "json", "value.json.ignore-parse-errors": "true",
                         "properties.statistics.interval.ms": "1000"])),
        ("kafka-exactly-once", table("paid", "id STRING, v INT", isRead: false, isWritten: true,
                                     ["connector": "kafka", "topic": "paid", "properties.bootstrap.servers": "b:9092", "format": "avro-confluent", "avro-confluent.url": "http://r:8081",
                                      "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": "p", "sink.commit.interval": "1 s", "sink.transaction-naming-strategy": "pooling"])),
        ("upsert-kafka", table("totals", "id STRING, v INT", key: ["id"], isRead: false, isWritten: true, takesChanges: true,
                               ["connector": "upsert-kafka", "topic": "totals", "properties.bootstrap.servers": "b:9092", "key.format": "raw", "value.format": "json",
                                "sink.buffer-flush.max-rows": "100", "sink.buffer-flush.interval": "1 s"])),
        ("kinesis-log", table("events", "id STRING", ["connector": "kinesis", "stream": "events", "format": "json", "scan.stream.initpos": "AT_TIMESTAMP",
                                                     "scan.stream.initpos-timestamp": "2024-05-04T19:58:46Z", "log.directory": "data", "stream.create-shards": "4"])),
        ("kinesis-cloud", table("events", "id STRING", partitions: ["id"], isWritten: true,
                                ["connector": "kinesis", "stream.arn": "arn:aws:kinesis:eu-west-1:1:stream/e", "format": "json", "scan.stream.recordpublisher": "EFO",
                                 "scan.stream.efo.consumername": "me", "scan.stream.efo.registration": "NONE", "sink.partitioner-field-delimiter": "-",
                                 "aws.credentials.provider.basic.accesskeyid": "k", "aws.credentials.basic.secretkey": "s", "sink.delivery-guarantee": "at-least-once"])),
        ("hudi", table("orders", "id STRING, at TIMESTAMP(3), dt STRING", key: ["id"], partitions: ["dt"], isWritten: true, takesChanges: true,
                       ["connector": "hudi", "path": "/lake/orders", "precombine.field": "at", "write.commit.interval": "5 s", "hoodie.datasource.write.hive_style_partitioning": "true",
                        "write.task.max.size": "256 mb", "hoodie.parquet.small.file.limit": "10", "clean.retain_commits": "5", "s3.endpoint": "http://h"])),
        ("hudi-stream", table("orders", "id STRING, at TIMESTAMP(3)", key: ["id"],
                              ["connector": "hudi", "path": "s3://b/orders", "read.streaming.enabled": "true", "read.streaming.check-interval": "500 ms", "read.streaming.changelog": "none",
                               "read.start-commit": "2026-01-31 12:00:00"])),
        ("iceberg", table("orders", "id STRING, v INT", key: ["id"], isWritten: true, takesChanges: true, ["connector": "iceberg", "path": "/lake/db/orders", "write.commit.interval": "5 s"])),
        ("iceberg-append", table("orders", "id STRING, v INT", isWritten: true, ["connector": "iceberg", "warehouse": "/lake", "catalog-database": "db", "write.operation": "insert"])),
        ("dynamodb", table("items", RecordTests.items, more: RecordTests.told, key: ["id"], RecordTests.dynamoDB)),
        ("dynamodb-keys", table("items", "n BIGINT, id STRING", ["connector": "filesystem", "path": "/in/dynamodb-all", "format": "dynamodb-json"])),
        ("dynamodb-append", table("items", "id STRING", more: RecordTests.history, watermark: .init(column: "changed", expression: "`changed` - INTERVAL '1' SECOND"),
                                  RecordTests.dynamoDB.merging(["dynamodb-json.changelog-mode": "append"]) { $1 })),
        ("dms-json", table("policies", RecordTests.policies, more: RecordTests.op, key: ["id"], RecordTests.dms("json", "dms-json"))),
        ("dms-csv", table("policies", RecordTests.policies, more: RecordTests.op, key: ["id"], RecordTests.dms("csv", "dms-csv"))),
        ("dms-envelope", table("policies", RecordTests.policies, more: RecordTests.op, key: ["id"],
                               ["connector": "filesystem", "path": "/in/dms-envelope", "format": "dms", "dms.file-format": "json", "dms.json.envelope": "true"])),
        ("csv-header", table("patients", "id INT, name STRING, born DATE, seen TIMESTAMP(3), weight DOUBLE", more: [Column(name: "later", type: nil, kind: .computed("`seen` + INTERVAL '1' DAY"))],
                             watermark: .init(column: "seen", expression: "`seen` - INTERVAL '1' SECOND"),
                             ["connector": "filesystem", "path": "/in/csv-header", "format": "csv", "csv.header": "true", "csv.null-literal": "-"])),
        ("opensearch", table("logs", "id STRING, v INT", key: ["id"], isRead: false, isWritten: true,
                             ["connector": "opensearch", "hosts": "http://o:9200", "index": "logs", "sink.bulk-flush.interval": "1 s", "sink.commit.interval": "1 s"])),
    ]

    @Test("text of each table", arguments: TableTests.all.map(\.0)) func golden(name: String) throws {
        let given = Self.all.first { $0.0 == name }!.1
        let outcome = translate(given, target(name == "opensearch" ? FlinkVersion(1, 20) : FlinkVersion(2, 3), kinesis: name == "kinesis-log" ? "http://node:4566" : nil))
        #expect(outcome.refusals.isEmpty)
        try Golden.check("\(name).sql", outcome.sql(given.name) + outcome.findings.notes.map { "-- \($0.about): \($0.text)\n" }.joined() + outcome.findings.jars.map { "-- \($0.coordinates)\n" }.joined())
    }

    @Test("each option that a connector knows is one that its translation knows", arguments: ["json", "csv", "raw", "debezium-json", "canal-json", "maxwell-json", "dynamodb-json", "dms"])
    func everyOption(format: String) {
        let connectors: [any TableConnector] = [FilesystemConnector(), KinesisConnector(), DatagenConnector(), PrintConnector(), BlackholeConnector()]
        for connector in connectors where format == "json" || ["filesystem", "kinesis"].contains(connector.identifier) {
            let plain = TableDescriptor(name: "t", schema: [Field("id", .int), Field("v", .string)], options: ["connector": connector.identifier, "format": format])
            for key in connector.optionKeys(for: plain).subtracting(["connector", "format"]) where !key.hasSuffix(".") {
                for isWritten in [false, true] {
                    let given = table(key: ["id"], isRead: !isWritten, isWritten: isWritten, ["connector": connector.identifier, "format": format, key: "/in/1"])
                    let unknown = translate(given).refusals.filter { $0.contains("not known") }
                    #expect(unknown.allSatisfy { $0.contains("'format'") }, "\(connector.identifier) \(format) \(key): \(unknown)")
                }
            }
        }
    }

    struct Refused: Sendable {
        var what: String, place: String, says: [String]
        var table: SourceTable
        var version = FlinkVersion(2, 3)
    }

    static let refused: [Refused] = [
        .init(what: "option 'path'", place: "job.sql:4:5", says: ["only this machine has 'data/x'", "--map /home/me/data/x="], table: table(["connector": "filesystem", "path": "data/x", "format": "json"])),
        .init(what: "option 'path'", place: "job.sql:4:5", says: ["patterns", "source.path.regex-pattern"], table: table(["connector": "filesystem", "path": "/in/*.json", "format": "json"])),
        .init(what: "option 'nonsense'", place: "job.sql:4:5", says: ["not known"], table: table(["connector": "filesystem", "path": "/in/x", "format": "json", "nonsense": "1"])),
        .init(what: "option 'csv.header'", place: "job.sql:3:5", says: ["no header", "tail -n +2"], table: table("t", "a STRING", ["connector": "filesystem", "path": "/in/x", "format": "csv", "csv.header": "true"])),
        .init(what: "option 'on-error'", place: "job.sql:5:5", says: ["aside", "IS JSON"],
              table: table(["connector": "filesystem", "path": "/in/x", "format": "json", "on-error": "dead-letter", "dead-letter.table": "d"])),
        .init(what: "option 'on-error'", place: "job.sql:4:5", says: ["'avro'"], table: table(["connector": "kafka", "topic": "x", "properties.bootstrap.servers": "b", "format": "avro", "on-error": "skip"])),
        .init(what: "column why", place: "job.sql:1:1", says: ["no metadata 'error'"],
              table: table(more: [Column(name: "why", type: "STRING", kind: .metadata(key: "error", virtual: true))], ["connector": "filesystem", "path": "/in/x", "format": "json"])),
        .init(what: "column row", place: "job.sql:1:1", says: ["VARIANT", "JSON_VALUE"], table: table("t", "row VARIANT", ["connector": "filesystem", "path": "/in/x", "format": "json"]), version: FlinkVersion(2, 0)),
        .init(what: "column p", place: "job.sql:1:1", says: ["cannot write", "VIRTUAL"],
              table: table(more: [Column(name: "p", type: "INT", kind: .metadata(key: "partition", virtual: false))], isWritten: true,
                           ["connector": "kafka", "topic": "x", "properties.bootstrap.servers": "b", "format": "json"])),
        .init(what: "option 'properties.ssl.certificate.location'", place: "job.sql:5:5", says: ["one PEM file"],
              table: table(["connector": "kafka", "topic": "x", "properties.bootstrap.servers": "b", "properties.ssl.certificate.location": "/c", "format": "json"])),
        .init(what: "option 'properties.made.up'", place: "job.sql:4:5", says: ["Java client"],
              table: table(["connector": "kafka", "topic": "x", "properties.made.up": "b", "format": "json"])),
        .init(what: "option 'debezium-json.changelog-mode'", place: "job.sql:3:5", says: ["before, after"],
              table: table(["connector": "kafka", "topic": "x", "debezium-json.changelog-mode": "append", "properties.bootstrap.servers": "b", "format": "debezium-json"])),
        .init(what: "option 'scan.bounded.mode'", place: "job.sql:4:5", says: ["without end", "compare"], table: table(["connector": "kinesis", "stream": "x", "scan.bounded.mode": "latest-offset", "format": "json"])),
        .init(what: "option 'sink.delivery-guarantee'", place: "job.sql:4:5", says: ["at least once"],
              table: table(isWritten: true, ["connector": "kinesis", "stream": "x", "format": "json", "sink.delivery-guarantee": "exactly-once"])),
        .init(what: "column at", place: "job.sql:1:1", says: ["'timestamp'", "kinesis-legacy"],
              table: table(more: [Column(name: "at", type: "TIMESTAMP_LTZ(3)", kind: .metadata(key: "timestamp", virtual: true))], ["connector": "kinesis", "stream": "x", "format": "json"]),
              version: FlinkVersion(1, 20)),
        .init(what: "option 'read.streaming.enabled'", place: "job.sql:4:5", says: ["deletes not at all", "ROW_NUMBER"],
              table: table("t", key: ["id"], ["connector": "hudi", "path": "/lake/x", "read.streaming.enabled": "true"])),
        .init(what: "column row", place: "job.sql:1:1", says: ["declare the columns"],
              table: table(more: [Column(name: "row", type: "VARIANT", kind: .metadata(key: nil, virtual: false))], key: ["id"], isWritten: true, ["connector": "hudi", "path": "/lake/x"])),
        .init(what: "option 'write.operation'", place: "job.sql:4:5", says: ["INSERT OVERWRITE"],
              table: table(key: ["id"], isWritten: true, ["connector": "hudi", "path": "/lake/x", "write.operation": "insert_overwrite"])),
        .init(what: "option 'precombine.field'", place: "job.sql:4:5", says: ["came last", "ROW_NUMBER"],
              table: table(key: ["id"], isWritten: true, takesChanges: true, ["connector": "iceberg", "path": "/lake/d/x", "precombine.field": "v"])),
        .init(what: "table t", place: "job.sql:1:1", says: ["appends rows", "hudi"], table: table(key: ["id"], isWritten: true, takesChanges: true, ["connector": "delta", "path": "/lake/d/x"])),
        .init(what: "table t", place: "job.sql:1:1", says: ["delta-catalog"], table: table(["connector": "delta", "path": "/lake/d/x"]), version: FlinkVersion(1, 20)),
        .init(what: "table t", place: "job.sql:1:1", says: ["no OpenSearch connector"], table: table(isWritten: true, ["connector": "opensearch", "hosts": "h", "index": "i"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["upsert-kafka"], table: table(isWritten: true, ["connector": "view"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["kafka"], table: table(isWritten: true, ["connector": "alert", "rule": "{}"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["listen", "kinesis"], table: table(["connector": "http", "listen": "127.0.0.1:1", "format": "json"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["http-sink"], table: table(isWritten: true, ["connector": "http-post", "url": "http://x"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["rest-lookup"], table: table(["connector": "rest", "url": "http://x/{id}"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["MirrorMaker 2"], table: table(["connector": "kafka-mirror"])),
        .init(what: "table t", place: "job.sql:2:5", says: ["'mine'"], table: table(["connector": "mine"])),
        .init(what: "option 'format'", place: "job.sql:3:5", says: ["updated", "debezium-json"], table: table(isWritten: true, takesChanges: true, ["connector": "filesystem", "path": "/in/x", "format": "json"])),
        .init(what: "option 'sink.delivery.prefix'", place: "job.sql:5:5", says: ["firehose"], table: table(isWritten: true, ["connector": "filesystem", "path": "/in/x", "format": "json", "sink.delivery.prefix": "p"])),
        .init(what: "column tags", place: "job.sql:1:1", says: ["ARRAY<STRING>", "JSON text"],
              table: table("t", "id STRING, tags ARRAY<STRING>", key: ["id"], ["connector": "kinesis", "stream": "x", "format": "dynamodb-json"])),
        .init(what: "table t", place: "job.sql:1:1", says: ["IncludeOpForFullLoad"], table: table(key: ["id"], ["connector": "filesystem", "path": "/in/x", "format": "dms"])),
    ]

    @Test("a refusal names table, option or column, and line", arguments: TableTests.refused.indices) func refusals(index: Int) throws {
        let given = Self.refused[index]
        let outcome = translate(given.table, target(given.version))
        #expect(outcome.translated == nil)
        let all = outcome.refusals
        let found = try #require(all.first { $0.contains(given.what) && $0.hasPrefix(given.place + ": ") }, "\(all)")
        for text in given.says { #expect(found.contains(text), "\(found)") }
        #expect(all.count == 1, "\(all)")
        #expect(found.contains("table t"))
    }

    /// A table some of whose options mean nothing here.
    private func foreign(_ keys: Set<String>, _ table: SourceTable) -> SourceTable {
        var copy = table
        copy.foreignOptions = keys
        return copy
    }

    @Test("options of Hudi's connector that mean nothing here come through") func foreignHudi() {
        let given = ["write.tasks": "4", "index.type": "BUCKET", "hoodie.bucket.index.num.buckets": "8", "read.utc-timezone": "true", "compaction.tasks": "2", "hive_sync.mode": "hms"]
        let more = ["metadata.enabled": "true", "hoodie.metadata.index.column.stats.enable": "true", "connector": "hudi", "path": "/lake/x"]
        let made = table(key: ["id"], isWritten: true, takesChanges: true, given.merging(more) { $1 })
        let outcome = translate(foreign(Set(given.keys).union(["metadata.enabled", "hoodie.metadata.index.column.stats.enable"]), made))
        #expect(outcome.refusals.isEmpty, "\(outcome.refusals)")
        for (key, value) in given { #expect(outcome.options[key] == value, "\(key)") }
        // A table with a metadata table is one that this engine does not read.
        #expect(outcome.options["metadata.enabled"] == "false" && outcome.options["hoodie.metadata.index.column.stats.enable"] == nil && outcome.notes.contains("'metadata.enabled', 'hoodie.metadata."))
        #expect(outcome.options["index.bootstrap.enabled"] == nil && outcome.notes.contains("numbers of buckets"))
        // The same keys are refused when nobody says that they are Flink's.
        #expect(translate(made).refusals.contains { $0.contains("'write.tasks'") && $0.contains("not known") })
    }

    @Test("options of formats and of other connectors that mean nothing here come through, but not those that Flink's connector has no more") func foreignOptions() {
        let files = translate(foreign(["parquet.utc-timezone", "parquet.block.size", "source.report-statistics"], table(isRead: false, isWritten: true, [
            "connector": "filesystem", "path": "/in/x", "format": "parquet", "parquet.utc-timezone": "true", "parquet.block.size": "1048576", "source.report-statistics": "ALL"])))
        #expect(files.refusals.isEmpty && files.options["parquet.block.size"] == "1048576" && files.options["parquet.utc-timezone"] == "true" && files.options["source.report-statistics"] == "ALL")
        let stream = translate(foreign(["scan.shard.adaptivereads", "sink.producer.aggregationenabled", "scan.watermark.alignment.group"], table(isWritten: true, [
            "connector": "kinesis", "stream": "x", "format": "json", "scan.shard.adaptivereads": "true", "sink.producer.aggregationenabled": "false", "scan.watermark.alignment.group": "g"])))
        #expect(stream.refusals.isEmpty && stream.options["scan.watermark.alignment.group"] == "g" && stream.options["scan.shard.adaptivereads"] == nil)
        #expect(stream.notes.contains("'scan.shard.adaptivereads', 'sink.producer.aggregationenabled' left out"))
    }

    @Test("the exporter asks the session's connectors which options are Flink's") func foreignOfSession() throws {
        let session = SQLSession(connectors: [DatagenConnector(), FilesystemConnector()])
        let text = """
            CREATE TABLE made (id INT) WITH ('connector' = 'datagen', 'scan.watermark.emit.strategy' = 'on-periodic', 'scan.watermark.idle-timeout' = '5 s');
            CREATE TABLE kept (id INT) WITH ('connector' = 'filesystem', 'path' = '/in/kept', 'format' = 'json', 'compaction.parallelism' = '2');
            INSERT INTO kept SELECT id FROM made;
            """
        let script = try FlinkExporter(try ScriptSurvey(try SQLParser(text: text).parseScript(), session: session), session: session, target: target()).script(name: "s")
        let lines = script.statements.map(\.text).joined(separator: "\n")
        #expect(script.findings.refusals.isEmpty, "\(script.findings.refusals)")
        for option in ["'scan.watermark.emit.strategy' = 'on-periodic'", "'scan.watermark.idle-timeout' = '5 s'", "'compaction.parallelism' = '2'"] { #expect(lines.contains(option), "\(lines)") }
    }

    /// A connector whose tables are those of a format.
    private struct FormatOnly: TableConnector {
        let identifier = "formats"
        func optionKeys(for table: TableDescriptor) -> Set<String> { ["format"] }
        func foreignOptions(for table: TableDescriptor) -> [ForeignOption] { FormatFactory.foreignOptions(for: table) }
        func validate(_ table: TableDescriptor) throws {}
    }

    @Test("times in another zone than the session's are refused", arguments: [("UTC", false), ("Europe/Berlin", true)]) func zones(zone: String, isRefused: Bool) throws {
        let session = SQLSession(connectors: [FormatOnly()])
        func create(_ name: String, _ value: String) throws {
            for statement in try SQLParser(text: "SET 'table.local-time-zone' = '\(zone)'; CREATE TABLE \(name) (moment TIMESTAMP(3)) WITH ('connector' = 'formats', 'format' = 'parquet', 'parquet.utc-timezone' = '\(value)')").parseScript() {
                _ = try session.execute(statement)
            }
        }
        try create("usual", "true")
        #expect(session.notices.all.isEmpty)
        guard isRefused else {
            try create("elsewhere", "false")
            #expect(session.notices.all.contains { $0.contains("'parquet.utc-timezone' means nothing here") })
            return
        }
        let error = try #require(throws: StreamError.self) { try create("elsewhere", "false") }
        #expect(error.problem.contains("'parquet.utc-timezone' = 'false' is not supported") && error.fix?.contains("'table.local-time-zone' = 'UTC'") == true)
    }

    @Test func kafkaOptionsOfEachVersion() {
        let given = ["connector": "upsert-kafka", "topic": "x", "properties.bootstrap.servers": "b", "key.format": "raw", "value.format": "json", "scan.parallelism": "2",
                     "scan.topic-partition-discovery.interval": "1 min", "sink.transaction-naming-strategy": "pooling"]
        func kept(_ version: FlinkVersion) -> [String] {
            let outcome = translate(table(key: ["id"], given), target(version))
            #expect(outcome.refusals.isEmpty)
            let kept = ["scan.parallelism", "scan.topic-partition-discovery.interval", "sink.transaction-naming-strategy"].filter { outcome.options[$0] != nil }
            #expect(outcome.findings.notes.count == 3 - kept.count)
            return kept
        }
        #expect(kept(FlinkVersion(1, 20)).isEmpty && kept(FlinkVersion(2, 0)) == ["scan.parallelism", "sink.transaction-naming-strategy"] && kept(FlinkVersion(2, 1)).count == 3)
    }

    @Test func connectorsOfEachVersionHaveTheirLibraries() {
        func jar(_ connector: String, _ version: FlinkVersion) -> String {
            let options = ["kafka": ["topic": "x", "properties.bootstrap.servers": "b", "format": "json"], "kinesis": ["stream": "x", "format": "json"], "hudi": ["path": "/lake/x"]][connector]!
            return translate(table(key: connector == "hudi" ? ["id"] : [], options.merging(["connector": connector]) { $1 }), target(version)).findings.jars.first { !$0.coordinates.contains("-fs-") }?.coordinates ?? ""
        }
        #expect(jar("kafka", FlinkVersion(1, 20)) == "org.apache.flink:flink-sql-connector-kafka:3.4.0-1.20" && jar("kafka", FlinkVersion(2, 0)).hasSuffix("4.0.1-2.0"))
        #expect(jar("kinesis", FlinkVersion(1, 20)).hasSuffix("5.1.0-1.20") && jar("kinesis", FlinkVersion(2, 2)).hasSuffix("6.0.0-2.0"))
        #expect(jar("hudi", FlinkVersion(1, 20)).contains("hudi-flink1.20-bundle") && jar("hudi", FlinkVersion(2, 3)).contains("hudi-flink2.1-bundle"))
    }

    @Test func everyConnectorHasATranslation() {
        let ours = ["filesystem", "kafka", "upsert-kafka", "kafka-mirror", "kinesis", "hudi", "iceberg", "delta", "print", "blackhole", "datagen", "opensearch", "http", "http-post", "rest", "view", "alert"]
        #expect(Set(TableTranslations.all.map(\.connector)) == Set(ours))
        #expect(TableTranslations.of("Filesystem") != nil)
    }
}
