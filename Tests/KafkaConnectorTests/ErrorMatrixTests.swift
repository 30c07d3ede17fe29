import Foundation
import StreamCore
import Testing
@testable import KafkaConnector

/// What goes wrong becomes one error that says which option to look at.
@Suite("errors") struct ErrorMatrixTests {
    private func table(_ topic: String, _ more: String = "", bootstrap: String? = nil, name: String = "t") throws -> String {
        """
        CREATE TABLE \(name) (id BIGINT, name STRING) WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'format' = 'json',
          'properties.bootstrap.servers' = '\(try bootstrap ?? Broker.shared.bootstrap)'\(more.isEmpty ? "" : ", " + more));
        """
    }
    private static let fromStart = "'scan.startup.mode' = 'earliest-offset'", bounded = "'scan.bounded.mode' = 'latest-offset'"

    @Test func unknownTopic() throws {
        let name = Broker.fresh("absent")
        let read = try SQLJobs().error(table(name, "\(Self.fromStart), \(Self.bounded)") + "SELECT * FROM t")
        #expect(read?.problem.contains(name) == true && read?.fix?.contains("'topic'") == true, "\(read?.description ?? "")")
        #expect(try Broker.shared.judge.topics()[name] == nil, "reading must not make a topic")
    }

    @Test func wrongPort() throws {
        // Port 1 is never listened on.
        let error = try SQLJobs().error(table("t", "\(Self.fromStart), \(Self.bounded), 'properties.socket.timeout.ms' = '3000', 'properties.socket.connection.setup.timeout.ms' = '1000'", bootstrap: "127.0.0.1:1") + "SELECT * FROM t")
        #expect(error?.problem.contains("127.0.0.1:1") == true, "\(error?.description ?? "")")
        #expect(error?.fix?.contains("'properties.bootstrap.servers'") == true, "\(error?.description ?? "")")
    }

    @Test func tooLargeMessage() throws {
        let topic = try Broker.shared.topic("large")
        let error = try SQLJobs().error(table(topic, "'properties.message.max.bytes' = '2000'") + "INSERT INTO t VALUES (1, REPEAT('x', 3000))")
        #expect(error?.problem.lowercased().contains("message size too large") == true, "\(error?.description ?? "")")
        #expect(error?.fix?.contains("'properties.message.max.bytes'") == true, "\(error?.description ?? "")")
        #expect(try Broker.shared.judge.consume(topic).isEmpty)
    }

    @Test func theBrokersLimitOfAMessage() throws {
        let topic = try Broker.shared.topic("large", settings: ["max.message.bytes": "2000"])
        guard try Broker.shared.judge.settings(topic)["max.message.bytes"] == "2000" else { return }
        let error = try SQLJobs().error(table(topic, "'properties.message.max.bytes' = '20000000'") + "INSERT INTO t VALUES (1, REPEAT('x', 5000000))")
        #expect(error?.problem.lowercased().contains("message size too large") == true, "\(error?.description ?? "")")
        #expect(error?.fix?.contains("max.message.bytes") == true, "\(error?.description ?? "")")
    }

    @Test(arguments: [
        ("'scan.startup.mod' = 'earliest-offset'", "scan.startup.mod", "\"scan.startup.mode\""),
        ("'properties.grup.id' = 'g'", "'properties.grup.id' = 'g' is not a property of librdkafka", "\"group.id\""),
        ("'scan.startup.mode' = 'erliest-offset'", "'scan.startup.mode'", "earliest-offset"),
        ("'scan.startup.mode' = 'timestamp'", "needs option 'scan.startup.timestamp-millis'", "milliseconds"),
        ("'scan.startup.mode' = 'specific-offsets'", "needs option 'scan.startup.specific-offsets'", "partition:0,offset:42"),
        ("'scan.startup.mode' = 'specific-offsets', 'scan.startup.specific-offsets' = 'partition:0,offset:x'", "'scan.startup.specific-offsets'", "partition:0,offset:42"),
        ("'scan.bounded.mode' = 'specific-offsets', 'scan.bounded.specific-offsets' = '0:7'", "'scan.bounded.specific-offsets'", "partition:0,offset:42"),
        ("'scan.startup.mode' = 'group-offsets'", "needs option 'properties.group.id'", "'earliest-offset'"),
        ("'sink.delivery-guarantee' = 'exactly-once'", "sink.transactional-id-prefix", "sink.transactional-id-prefix"),
        ("'key.fields' = 'id'", "key.format", "key.format"),
        ("'key.format' = 'json', 'key.fields' = 'idd'", "'idd'", "id"),
        ("'topic-pattern' = 'a.*'", "topic-pattern", "one of the two"),
    ])
    func options(given: String, problem: String, fix: String) throws {
        let jobs = try SQLJobs()
        let reads = !given.contains("sink.")
        let error = jobs.error(try table("t", given) + (reads ? "SELECT * FROM t" : "INSERT INTO t VALUES (1, 'a')"))
        #expect(error?.problem.contains(problem) == true, "\(error?.description ?? "")")
        #expect(error?.fix?.contains(fix) == true, "\(error?.description ?? "")")
    }

    @Test func missingOptions() throws {
        let none = try SQLJobs().error("CREATE TABLE t (id BIGINT) WITH ('connector' = 'kafka', 'topic' = 'a', 'format' = 'json'); SELECT * FROM t")
        #expect(none?.problem.contains("needs option 'properties.bootstrap.servers'") == true, "\(none?.description ?? "")")
        let topic = try SQLJobs().error("CREATE TABLE t (id BIGINT) WITH ('connector' = 'kafka', 'properties.bootstrap.servers' = 'a:1', 'format' = 'json'); SELECT * FROM t")
        #expect(topic?.problem.contains("needs option 'topic' or 'topic-pattern'") == true, "\(topic?.description ?? "")")
        let format = try SQLJobs().error("CREATE TABLE t (id BIGINT) WITH ('connector' = 'kafka', 'properties.bootstrap.servers' = 'a:1', 'topic' = 'a'); SELECT * FROM t")
        #expect(format?.problem.contains("format") == true, "\(format?.description ?? "")")
        let key = try SQLJobs().error("CREATE TABLE t (id BIGINT) WITH ('connector' = 'upsert-kafka', 'properties.bootstrap.servers' = 'a:1', 'topic' = 'a', 'key.format' = 'json', 'value.format' = 'json'); SELECT * FROM t")
        #expect(key?.problem.contains("needs a primary key") == true, "\(key?.description ?? "")")
    }

    @Test("records that are gone: an error without auto.offset.reset, else counted and passed over")
    func expiredOffsets() throws {
        let topic = try Broker.shared.topic("expired"), judge = try Broker.shared.judge, group = Broker.shared.group()
        try judge.produce(topic, (0..<20).map { #"{"id": \#($0), "name": "a"}"# })
        try judge.commit(topic, group: group, [0: 3])
        try judge.deleteRecords(topic, before: 10)
        let options = "'properties.group.id' = '\(group)', 'scan.startup.mode' = 'group-offsets', \(Self.bounded)"
        let error = try SQLJobs().error(table(topic, options) + "SELECT * FROM t")
        #expect(error?.description.contains("\(topic)-0") == true && error?.fix?.contains("auto.offset.reset") == true, "\(error?.description ?? "")")
        let jobs = try SQLJobs(table(topic, options + ", 'properties.auto.offset.reset' = 'earliest'"))
        #expect(try jobs.rows("SELECT id FROM t") == (10..<20).map { "\($0)" })
        let latest = try SQLJobs(table(topic, options + ", 'properties.auto.offset.reset' = 'latest'"))
        #expect(try latest.rows("SELECT id FROM t") == [])
    }

    @Test("a partition beyond those there are is named")
    func unknownPartition() throws {
        let topic = try Broker.shared.topic("few", partitions: 2)
        let error = try SQLJobs().error(table(topic, "'scan.startup.mode' = 'specific-offsets', 'scan.startup.specific-offsets' = 'partition:0,offset:0;partition:7,offset:0', \(Self.bounded)") + "SELECT * FROM t")
        #expect(error?.description.contains("7") == true, "\(error?.description ?? "")")
    }

    @Test func aBrokenRecordNamesItsPlace() throws {
        let topic = try Broker.shared.topic("broken")
        try Broker.shared.judge.produce(topic, [#"{"id": 1}"#, "oops"])
        let error = try SQLJobs().error(table(topic, "\(Self.fromStart), \(Self.bounded)") + "SELECT * FROM t")
        #expect(error?.problem.contains(topic) == true && error?.problem.contains("offset 1") == true, "\(error?.description ?? "")")
        let skipping = try SQLJobs(table(topic, "\(Self.fromStart), \(Self.bounded), 'json.ignore-parse-errors' = 'true'"))
        #expect(try skipping.rows("SELECT id FROM t") == ["1"])
    }

    /// A plain listener that is spoken to with SSL.
    @Test func wrongProtocol() throws {
        let error = try SQLJobs().error(table("t", "\(Self.fromStart), \(Self.bounded), 'properties.security.protocol' = 'SSL', 'properties.socket.timeout.ms' = '5000'") + "SELECT * FROM t")
        #expect(error?.fix?.contains("'properties.security.protocol'") == true, "\(error?.description ?? "")")
    }
}
