import Foundation
import StreamCore
import StreamRuntime
import Testing
@testable import KafkaConnector

/// What only Apache Kafka itself can judge: brokers that die and come back, leaders that are lost, time-outs, take-over, certificates and passwords.
/// Skipped and counted so where `KAFKA_HOME` names no distribution.
@Suite("Apache Kafka", .kafkaOnly, .serialized) struct ApacheKafkaTests {
    private func table(_ bootstrap: String, _ topic: String, _ more: String = "", name: String = "t") -> String {
        """
        CREATE TABLE \(name) (id BIGINT, name STRING) WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'format' = 'json', 'scan.startup.mode' = 'earliest-offset',
          'properties.bootstrap.servers' = '\(bootstrap)'\(more.isEmpty ? "" : ", " + more));
        """
    }
    private func json(_ range: Range<Int>) -> [String] { range.map { #"{"id": \#($0), "name": "n\#($0)"}"# } }
    private func ids(_ range: Range<Int>) -> [String] { range.map { "\($0)" }.sorted() }
    /// Ids in JSON objects, each as often as it occurs.
    private func written(_ messages: [Message]) -> [String] {
        messages.compactMap { message in message.text.flatMap { text in text.firstMatch(of: /"id":\s*(\d+)/).map { String($0.1) } } }.sorted()
    }

    @Test("a copying job goes on through a broker that is killed and comes back", arguments: ["kill 1", "stop 1"])
    func restart(how: String) throws {
        let broker = Broker.restartable, input = try broker.topic("in", partitions: 2), output = try broker.topic("out"), judge = try broker.judge
        try judge.produce(input, json(0..<100))
        let jobs = try SQLJobs(table(try broker.bootstrap, input, name: "i") + table(try broker.bootstrap, output, name: "o"))
        let job = try jobs.start("INSERT INTO o SELECT * FROM i", options: JobOptions())
        #expect(try judge.consume(output, count: 100, seconds: 60).count >= 100)
        try broker.command(how)
        usleep(2_000_000)
        #expect(job.failure == nil, "a broker that is away is waited for")
        try broker.command("start")
        try judge.produce(input, json(100..<200))
        _ = try judge.consume(output, count: 200, seconds: 90)
        try job.stop()
        // The idempotent producer writes no row twice.
        #expect(written(try judge.consume(output)) == ids(0..<200))
    }

    @Test("nothing is lost or doubled when the leader dies, of three nodes")
    func leaderLoss() throws {
        let cluster = Broker.cluster, input = try cluster.topic("in", partitions: 3), output = try cluster.topic("out", partitions: 3), judge = try cluster.judge
        try judge.produce(input, json(0..<300))
        let jobs = try SQLJobs(table(try cluster.bootstrap, input, name: "i") + table(try cluster.bootstrap, output, name: "o"))
        let job = try jobs.start("INSERT INTO o SELECT * FROM i")
        for (round, node) in [1, 2, 3].enumerated() {
            _ = try judge.consume(output, count: 300 * (round + 1), seconds: 90)
            try cluster.command("kill \(node)")
            try judge.produce(input, json(300 * (round + 1)..<300 * (round + 2)).map { Message($0) }, properties: ["message.timeout.ms": "90000"])
            try cluster.command("start")
        }
        _ = try judge.consume(output, count: 1_200, seconds: 90)
        try job.stop()
        #expect(written(try judge.consume(output)) == ids(0..<1_200))
    }

    @Test("a transaction time-out above the broker's limit is an error at the start")
    func transactionTimeoutLimit() throws {
        let broker = Broker.shared, topic = try broker.topic("limit")
        let error = try SQLJobs().error(table(try broker.bootstrap, topic, """
            'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '\(Broker.fresh("tx"))', 'properties.transaction.timeout.ms' = '3600000'
            """) + "INSERT INTO t VALUES (1, 'a')")
        #expect(error?.fix?.contains("transaction.max.timeout.ms") == true, "\(error?.description ?? "")")
    }

    @Test("an open transaction that times out is aborted by the broker: readers go on, and its rows are not seen")
    func transactionTimesOut() throws {
        let broker = Broker.shared, topic = try broker.topic("timeout"), judge = try broker.judge
        try judge.produce(topic, [Message(#"{"id": 1}"#)], transaction: .open, properties: ["transaction.timeout.ms": "2000", "socket.timeout.ms": "2000"])
        try judge.produce(topic, [#"{"id": 2}"#])
        let job = try SQLJobs(table(try broker.bootstrap, topic)).start("SELECT id FROM t")
        try job.wait(rows: 1, seconds: 30)
        #expect(try job.stop() == ["2"])
    }

    @Test("a group of another client goes on where the job's checkpoints have committed")
    func groupTakeOver() throws {
        let broker = Broker.shared, topic = try broker.topic("group", partitions: 3), group = broker.group(), judge = try broker.judge
        try judge.produce(topic, json(0..<90))
        let jobs = try SQLJobs(table(try broker.bootstrap, topic, "'properties.group.id' = '\(group)', 'scan.bounded.mode' = 'latest-offset'"))
        #expect(try jobs.rows("SELECT id FROM t").count == 90)
        try judge.produce(topic, json(90..<120))
        #expect(written(try judge.consume(topic, group: group, count: 30)) == ids(90..<120))
        // And the other way round: the job goes on where the group stands.
        try judge.produce(topic, json(120..<150))
        let again = try SQLJobs(table(try broker.bootstrap, topic, "'properties.group.id' = '\(group)', 'scan.bounded.mode' = 'latest-offset'")
            .replacing("earliest-offset", with: "group-offsets"))
        #expect(try again.rows("SELECT id FROM t") == ids(120..<150))
    }

    // MARK: Listeners that want more

    private func secure(_ offset: Int) throws -> String { "127.0.0.1:\(try Broker.secure.port + offset)" }
    private func roundTrip(_ bootstrap: String, _ options: String) throws {
        let topic = try Broker.secure.topic("secure")
        let jobs = try SQLJobs(table(bootstrap, topic, options + ", 'scan.bounded.mode' = 'latest-offset'"))
        try jobs.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
        #expect(try jobs.rows("SELECT * FROM t") == ["1|a", "2|b"])
        #expect(written(try Broker.secure.judge.consume(topic)) == ["1", "2"])
    }
    private func failure(_ bootstrap: String, _ options: String) throws -> StreamError? {
        let topic = try Broker.secure.topic("secure")
        return try SQLJobs().error(table(bootstrap, topic, options + ", 'scan.bounded.mode' = 'latest-offset'") + "SELECT * FROM t")
    }

    @Test func sslWithACertificateAuthority() throws {
        try roundTrip(secure(200), "'properties.security.protocol' = 'SSL', 'properties.ssl.ca.location' = '\(try Broker.secure.certificates)/ca.pem'")
    }

    @Test func sslWithAClientCertificate() throws {
        let folder = try Broker.secure.certificates
        try roundTrip(secure(200), """
            'properties.security.protocol' = 'SSL', 'properties.ssl.ca.location' = '\(folder)/ca.pem',
            'properties.ssl.certificate.location' = '\(folder)/client.crt', 'properties.ssl.key.location' = '\(folder)/client.key'
            """)
    }

    @Test func anUnknownAuthorityIsRefused() throws {
        let error = try failure(secure(200), "'properties.security.protocol' = 'SSL'")
        #expect(error?.fix?.contains("ssl.ca.location") == true, "\(error?.description ?? "")")
    }

    @Test(arguments: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"], [300, 400])
    func sasl(mechanism: String, offset: Int) throws {
        let ssl = offset == 400 ? ", 'properties.ssl.ca.location' = '\(try Broker.secure.certificates)/ca.pem'" : ""
        let login = mechanism == "PLAIN" ? "plain.PlainLoginModule" : "scram.ScramLoginModule"
        let common = "'properties.security.protocol' = '\(offset == 400 ? "SASL_SSL" : "SASL_PLAINTEXT")', 'properties.sasl.mechanism' = '\(mechanism)'\(ssl)"
        try roundTrip(secure(offset), common + ", 'properties.sasl.username' = 'alice', 'properties.sasl.password' = 'alice-secret'")
        try roundTrip(secure(offset), common + #", 'properties.sasl.jaas.config' = 'org.apache.kafka.common.security.\#(login) required username="alice" password="alice-secret";'"#)
        let error = try failure(secure(offset), common + ", 'properties.sasl.username' = 'alice', 'properties.sasl.password' = 'wrong'")
        #expect(error?.fix?.contains("sasl.password") == true && error?.description.contains("wrong'") == false, "\(error?.description ?? "")")
    }
}
