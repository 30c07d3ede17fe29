import CRdKafka
import Foundation
import StreamCore
import StreamTesting
import Testing
@testable import KafkaConnector

@Suite("kafka sink") struct KafkaSinkTests {
    static let schema: Schema = [Field("id", .bigint), Field("name", .string)]

    static func table(_ servers: String, _ topic: String, _ options: [String: String] = [:], schema: Schema = schema, key: [String] = [],
                      metadata: [TableDescriptor.MetadataColumn] = []) -> TableDescriptor {
        var all = ["connector": "kafka", "properties.bootstrap.servers": servers, "topic": topic, "format": "json"]
        all.merge(options) { $1 }
        return TableDescriptor(name: "t", schema: schema, metadata: metadata, primaryKey: key, options: all.filter { !$0.value.isEmpty })
    }

    static func sink(_ table: TableDescriptor) throws -> any TableSink {
        let connector: any TableConnector = table.options["connector"] == "upsert-kafka" ? UpsertKafkaConnector() : KafkaConnector()
        try connector.validate(table)
        return try connector.sink(for: table, timeZone: "UTC")
    }

    static func rows(_ range: Range<Int>, _ name: String = "n") -> Batch {
        Batch(schema: schema, rows: range.map { [.int(Int64($0)), .string("\(name)\($0 % 5)")] })
    }

    static func ids(_ messages: [Message]) -> [Int] {
        messages.map { Int(($0.text ?? "").dropFirst(#"{"id":"#.count).prefix { $0.isNumber }) ?? -1 }
    }

    @Test("rows arrive once their checkpoint is prepared, keys choose the partition as Java's client does", arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
    func atLeastOnce(compression: String) throws {
        let topic = try Broker.shared.topic("sink", partitions: 6), judge = try Broker.shared.judge
        let sink = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, [
            "key.format": "raw", "key.fields": "name", "value.format": "json", "format": "", "properties.compression.type": compression]))
        #expect(sink.commitInterval == nil && !sink.acceptsChanges)
        let writer = try sink.writer(SinkContext())
        for i in 0..<10 { try writer.write(Self.rows(i * 1_000..<(i + 1) * 1_000)) }
        #expect(try writer.prepareCommit(1).isEmpty)
        let found = try judge.consume(topic)
        #expect(Self.ids(found).sorted() == Array(0..<10_000))
        for (key, messages) in Dictionary(grouping: found, by: \.keyText) {
            #expect(Set(messages.map(\.partition)).count == 1, "\(key ?? "")")
            #expect(Self.ids(messages) == Self.ids(messages).sorted())
        }
        try writer.close()
        // The other client with the same partitioner agrees.
        let other = try Broker.shared.topic("sink", partitions: 6)
        try judge.produce(other, (0..<5).map { Message("v", key: "n\($0)") }, properties: ["partitioner": "murmur2_random"])
        let places = Dictionary(uniqueKeysWithValues: try judge.consume(other).map { ($0.keyText!, $0.partition!) })
        #expect(found.allSatisfy { places[$0.keyText!] == $0.partition })
    }

    @Test func whatWaitsAndHowSoonBrokersAnswerIsMeasured() throws {
        let topic = try Broker.shared.topic("sink", partitions: 1), metrics = OperatorMetrics()
        let writer = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, ["properties.statistics.interval.ms": "50"])).writer(SinkContext(metrics: metrics))
        defer { writer.abort() }
        let deadline = ContinuousClock.now + .seconds(30)
        var id = 0
        while !metrics.gauges.keys.contains(where: { $0.hasPrefix("rtt-microseconds.") }), .now < deadline {
            try writer.write(Self.rows(id..<id + 1))
            id += 1
            _ = try writer.prepareCommit(UInt64(id))
        }
        let gauges = metrics.gauges
        #expect(gauges["queued-messages"].map { $0 >= 0 } == true)
        #expect(gauges.contains { $0.key.hasPrefix("rtt-microseconds.127.0.0.1:") && $0.value > 0 }, "\(gauges)")
        #expect(gauges["sent-messages"].map { $0 > 0 } == true && gauges.contains { $0.key.hasPrefix("requests-in-flight.127.0.0.1:") })
    }

    @Test func partitioners() throws {
        let topic = try Broker.shared.topic("sink", partitions: 3), judge = try Broker.shared.judge
        func write(_ options: [String: String], subtask: Int) throws {
            let writer = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, options)).writer(SinkContext(subtask: subtask, parallelism: 5))
            try writer.write(Self.rows(0..<2))
            try writer.write(Self.rows(2..<7))
            _ = try writer.prepareCommit(1)
            try writer.close()
        }
        try write(["sink.partitioner": "fixed"], subtask: 4)
        #expect(try judge.consume(topic).map(\.partition) == Array(repeating: 1, count: 7))
        try write(["sink.partitioner": "round-robin", "sink.delivery-guarantee": "none"], subtask: 0)
        let found = try judge.consume(topic)
        #expect((0..<3).map { p in found.count { $0.partition == p } } == [3, 9, 2])
    }

    @Test("headers, timestamp, topic and partition come from metadata columns")
    func metadata() throws {
        let topics = [try Broker.shared.topic("sink", partitions: 3), try Broker.shared.topic("sink", partitions: 3)], judge = try Broker.shared.judge
        let bytes = DataType.varbinary(DataType.maxLength)
        let metadata: [TableDescriptor.MetadataColumn] = [
            .init(name: "h", key: "headers", type: .map(key: .string, value: bytes)), .init(name: "o", key: "offset", type: .bigint, isVirtual: true),
            .init(name: "ts", key: "timestamp", type: .timestampLTZ(6)), .init(name: "topic", key: "topic", type: .string),
            .init(name: "p", key: "partition", type: .int),
        ]
        let table = Self.table(try Broker.shared.bootstrap, topics.joined(separator: ";"), metadata: metadata)
        let sink = try Self.sink(table), writer = try sink.writer(SinkContext())
        let written = Self.schema + metadata.filter { !$0.isVirtual }.map { Field($0.name, $0.type) }
        let headers = Value.map([.init(.string("a"), .binary([1, 0, 2])), .init(.string("empty"), .binary([])), .init(.string("null"), .null)])
        try writer.write(Batch(schema: written, rows: [
            [.int(1), .string("x"), headers, .int(1_700_000_000_123_456), .string(topics[0]), .int(2)],
            [.int(2), .string("y"), .null, .null, .string(topics[1]), .null],
            [.int(3), .string("z"), .map([]), .int(1_000), .string(topics[0]), .int(0)],
        ]))
        _ = try writer.prepareCommit(1)
        let first = try judge.consume(topics[0]), second = try judge.consume(topics[1])
        #expect(first.map(\.text) == [#"{"id":3,"name":"z"}"#, #"{"id":1,"name":"x"}"#])
        #expect(first.map(\.partition) == [0, 2] && first.map(\.timestamp) == [1, 1_700_000_000_123])
        #expect(first[1].headers == [.init(key: "a", bytes: [1, 0, 2]), .init(key: "empty", bytes: []), .init(key: "null", bytes: nil)])
        #expect(first[0].headers == [] && second.count == 1 && second[0].headers == [])
        #expect(abs(Double(second[0].timestamp!) / 1_000 - Date().timeIntervalSince1970) < 60)
        var error = #expect(throws: StreamError.self) {
            try writer.write(Batch(schema: written, rows: [[.int(1), .string("x"), .null, .null, .string("elsewhere"), .null]]))
        }
        #expect(error?.problem.contains("'elsewhere'") == true && error?.problem.contains("does not allow") == true, "\(error!)")
        error = #expect(throws: StreamError.self) {
            try writer.write(Batch(schema: written, rows: [[.int(1), .string("x"), .null, .null, .string(topics[0]), .int(7)]]))
            _ = try writer.prepareCommit(2)
        }
        #expect(error?.problem.contains("partition 7 of topic \(topics[0])") == true, "\(error!)")
        writer.abort()
        error = #expect(throws: StreamError.self) { _ = try Self.sink(Self.table("x:1", "a;b")) }
        #expect(error?.problem.contains("'topic' = 'a;b' does not say which topic") == true)
        error = #expect(throws: StreamError.self) { _ = try Self.sink(Self.table("x:1", "a", metadata: [.init(name: "h", key: "headers", type: .string)])) }
        #expect(error?.fix == "declare it as MAP<STRING, BYTES>")
    }

    @Test("upsert-kafka writes values by key, and tombstones", arguments: [false, true])
    func upserts(buffered: Bool) throws {
        let topic = try Broker.shared.topic("sink", partitions: 2), judge = try Broker.shared.judge
        var options = ["connector": "upsert-kafka", "format": "", "key.format": "json", "value.format": "json"]
        if buffered { options.merge(["sink.buffer-flush.max-rows": "100", "sink.buffer-flush.interval": "1 h"]) { $1 } }
        let sink = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, options, key: ["id"]))
        #expect(sink.changelogMode == .upsert && sink.distributionKeys == [0])
        let writer = try sink.writer(SinkContext())
        func row(_ id: Int64, _ name: String) -> [Value] { [.int(id), .string(name)] }
        try writer.write(Batch(schema: Self.schema, rows: [row(1, "a"), row(2, "b")]))
        try writer.write(Batch(schema: Self.schema, rows: [row(1, "a"), row(1, "c"), row(2, "b"), row(3, "d")], kinds: [.updateBefore, .updateAfter, .delete, .insert]))
        try writer.idle()
        _ = try writer.prepareCommit(1)
        let byKey = Dictionary(grouping: try judge.consume(topic), by: \.keyText!).mapValues { $0.map { $0.text ?? "-" } }
        let wanted = [1: [#"{"id":1,"name":"a"}"#, #"{"id":1,"name":"c"}"#], 2: [#"{"id":2,"name":"b"}"#, "-"], 3: [#"{"id":3,"name":"d"}"#]]
        #expect(byKey == Dictionary(uniqueKeysWithValues: wanted.map { (#"{"id":\#($0)}"#, buffered ? [$1.last!] : $1) }))
        if buffered {
            // Full: written without a checkpoint.
            try writer.write(Self.rows(1_000..<1_100))
            #expect(try judge.consume(topic, count: 103).count == 103)
        }
        try writer.close()
    }

    @Test func changesGoThroughFormatsOfChanges() throws {
        let topic = try Broker.shared.topic("sink")
        let sink = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, ["format": "debezium-json"]))
        #expect(sink.changelogMode == .all)
        let writer = try sink.writer(SinkContext())
        try writer.write(Batch(schema: Self.schema, rows: [[.int(1), .string("a")], [.int(1), .string("a")]], kinds: [.insert, .delete]))
        _ = try writer.prepareCommit(1)
        let found = try Broker.shared.judge.consume(topic).map { $0.text! }
        #expect(found.count == 2 && found[0].contains(#""op":"c""#) && found[1].contains(#""op":"d""#), "\(found)")
        try writer.close()
    }

    @Test("options that do not go together", arguments: [
        (["sink.delivery-guarantee": "exactly-once"], "needs option 'sink.transactional-id-prefix'"),
        (["sink.partitioner": "org.example.Mine"], "is not known here; classes cannot be loaded"),
        (["sink.partitioner": "round-robin", "key.fields": "id", "key.format": "raw"], "does not go with keys"),
        (["sink.delivery-guarantee": "twice"], "is not known here"),
        (["sink.commit.interval": "1 s"], "has no effect without"),
        (["sink.buffer-flush.max-rows": "5"], "needs 'sink.buffer-flush.interval'"),
        (["sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": "p", "properties.security.protocol": "SASL_SSL", "properties.sasl.mechanism": "OAUTHBEARER"], "not supported yet"),
        (["sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": "p", "properties.transaction.timeout.ms": "1000"], "sink.commit.interval"),
    ])
    func refused(options: [String: String], problem: String) throws {
        let error = #expect(throws: StreamError.self) { _ = try Self.sink(Self.table("127.0.0.1:1", "t", options)) }
        #expect(error?.problem.contains(problem) == true, "\(error?.description ?? "")")
    }

    // MARK: Errors

    @Test("what the brokers refuse for a while is written again, once", arguments: [
        RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS])
    func transientErrors(code: rd_kafka_resp_err_t) throws {
        let mock = try MockCluster(), topic = mock.topic("t", partitions: 2)
        let sink = try Self.sink(Self.table(mock.bootstrap, topic, ["properties.retry.backoff.ms": "10"]))
        let writer = try sink.writer(SinkContext())
        mock.fail(.produce, code, times: 3)
        try writer.write(Self.rows(0..<500))
        _ = try writer.prepareCommit(1)
        try writer.write(Self.rows(500..<1_000))
        _ = try writer.prepareCommit(2)
        let found = Self.ids(try Judge(bootstrap: mock.bootstrap).consume(topic)).sorted()
        // A connection that breaks takes the answers to other requests along. What is sent again then has its sequence number, which brokers recognise and this cluster in memory does not.
        #expect((code == RD_KAFKA_RESP_ERR__TRANSPORT ? Set(found).sorted() : found) == Array(0..<1_000), "\(found.count) records, \(Set(found).count) rows")
        try writer.close()
    }

    @Test func errorsThatStayFailTheCheckpoint() throws {
        let mock = try MockCluster(), topic = mock.topic("t")
        let writer = try Self.sink(Self.table(mock.bootstrap, topic)).writer(SinkContext())
        mock.fail(.produce, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, times: 5)
        let error = #expect(throws: StreamError.self) {
            try writer.write(Self.rows(0..<5))
            _ = try writer.prepareCommit(1)
        }
        #expect(error?.problem.contains("topic t") == true && error?.problem.contains("authorization failed") == true, "\(error!)")
        #expect(error?.fix?.contains("sasl.username") == true)
        writer.abort()
    }

    @Test func aMessageThatIsTooLargeIsNamed() throws {
        let topic = try Broker.shared.topic("sink")
        func write(_ options: [String: String]) throws {
            let writer = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, options)).writer(SinkContext())
            defer { writer.abort() }
            try writer.write(Batch(schema: Self.schema, rows: [[.int(1), .string(String(repeating: "x", count: 2_000_000))]]))
            _ = try writer.prepareCommit(1)
        }
        // Refused by the client, then by the broker.
        for options in [[:], ["properties.message.max.bytes": "5000000"]] {
            let error = #expect(throws: StreamError.self) { try write(options) }
            #expect(error?.code == .runtime && error?.problem.contains("a message of 20000") == true && error?.problem.contains(topic) == true, "\(error!)")
            #expect(error?.fix?.contains("message.max.bytes") == true)
        }
    }

    @Test func aBrokerThatIsAwayIsAnError() throws {
        let writer = try Self.sink(Self.table("127.0.0.1:1", "t", ["properties.message.timeout.ms": "500"])).writer(SinkContext())
        let error = #expect(throws: StreamError.self) {
            try writer.write(Self.rows(0..<5))
            _ = try writer.prepareCommit(1)
        }
        #expect(error?.code == .io && error?.fix?.contains("message.timeout.ms") == true, "\(error!)")
        writer.abort()
    }

    @Test("a full queue holds the writer up, and loses nothing")
    func backPressure() throws {
        let topic = try Broker.shared.topic("sink")
        let writer = try Self.sink(Self.table(try Broker.shared.bootstrap, topic, ["properties.queue.buffering.max.messages": "100"])).writer(SinkContext())
        try writer.write(Self.rows(0..<5_000))
        _ = try writer.prepareCommit(1)
        #expect(Self.ids(try Broker.shared.judge.consume(topic)) == Array(0..<5_000))
        try writer.close()
    }
}
