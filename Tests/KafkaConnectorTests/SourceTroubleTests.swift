import CRdKafka
import Foundation
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import KafkaConnector

/// What goes wrong between a job and its cluster.
@Suite("kafka: reading through trouble") struct SourceTroubleTests {
    private let bounded = ["scan.bounded.mode": "latest-offset"]

    private static func messages(_ ids: Range<Int>) -> [String] { ids.map { #"{"id": \#($0)}"# } }

    /// Writes to a mock cluster, with the client under test as there is no other that knows it.
    private func produce(_ cluster: MockCluster, _ topic: String, _ values: [String]) throws {
        let client = try KafkaClient(.producer, KafkaConfiguration(["bootstrap.servers": cluster.bootstrap]))
        let handle = rd_kafka_topic_new(client.handle, topic, nil)
        for value in values {
            var bytes = Array(value.utf8)
            rd_kafka_produce(handle, 0, Int32(RD_KAFKA_MSG_F_COPY), &bytes, bytes.count, nil, 0, nil)
        }
        rd_kafka_flush(client.handle, 30_000)
        rd_kafka_topic_destroy(handle)
        client.close()
    }

    @Test("errors that pass are tried again by themselves") func transientErrors() throws {
        let cluster = try MockCluster(brokers: 1)
        cluster.topic("t")
        try produce(cluster, "t", Self.messages(0..<50))
        for error in [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR] {
            cluster.fail(.fetch, error, times: 2)
            #expect(try KafkaSQL(KafkaSQL.table("id INT", "t", bounded, broker: cluster.bootstrap)).texts("SELECT id FROM t").count == 50)
        }
    }

    @Test("a topic that may not be read ends the job") func forbidden() throws {
        let cluster = try MockCluster(brokers: 1)
        cluster.topic("t")
        try produce(cluster, "t", Self.messages(0..<5))
        cluster.fail(.fetch, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, times: 20)
        let error = #expect(throws: StreamError.self) { try KafkaSQL(KafkaSQL.table("id INT", "t", bounded, broker: cluster.bootstrap)).texts("SELECT id FROM t") }
        #expect(error?.problem.hasPrefix("reading t-0: ") == true && error?.fix?.contains("allow it to the user") == true, "\(error as Any)")
    }

    @Test("a cluster that goes away is waited for, and warned of once") func brokerAway() throws {
        let cluster = try MockCluster(brokers: 1)
        cluster.topic("t")
        try produce(cluster, "t", Self.messages(0..<5))
        let sql = try KafkaSQL(KafkaSQL.table("id INT", "t", ["scan.topic-partition-discovery.interval": "100 ms", "properties.reconnect.backoff.max.ms": "200"], broker: cluster.bootstrap))
        let job = try RunningQuery(sql, "SELECT id FROM t")
        #expect(job.waitForRows(5), "\(job.failure as Any)")
        cluster.setDown(1)
        #expect(job.wait { job.warnings.contains { $0.hasPrefix("reading topic t: ") } }, "\(job.failure as Any) \(job.warnings)")
        cluster.setUp(1)
        try produce(cluster, "t", Self.messages(5..<10))
        #expect(job.waitForRows(10), "\(job.failure as Any) \(job.warnings)")
        #expect(job.warnings.count < 6, "\(job.warnings)")
        try job.stop()
        #expect(job.texts == (0..<10).map { "\($0)" })
    }

    @Test("a cluster that is not there is an error after a while, with the reason") func nobodyThere() throws {
        let error = #expect(throws: StreamError.self) {
            try KafkaSQL(KafkaSQL.table("id INT", "t", bounded.merging(["connector": "impatient-kafka"]) { $1 }, broker: "127.0.0.1:9")).texts("SELECT id FROM t")
        }
        #expect(error?.code == .io && error?.problem.hasPrefix("table t: reading topic t: ") == true && error?.problem.contains("Connection refused") == true, "\(error as Any)")
        #expect(error?.fix?.contains("'properties.bootstrap.servers'") == true)
    }

    @Test("a listener without SSL does not take SSL, and says so soon") func noSSL() throws {
        let start = Date()
        let error = #expect(throws: StreamError.self) {
            try KafkaSQL(KafkaSQL.table("id INT", "t", bounded.merging(["properties.security.protocol": "SSL"]) { $1 })).texts("SELECT id FROM t")
        }
        #expect(error?.problem.contains("SSL") == true && Date().timeIntervalSince(start) < 29, "\(error as Any)")
    }

    @Test("a wrong password ends the start at once", .kafkaOnly) func wrongPassword() throws {
        let error = #expect(throws: StreamError.self) {
            try KafkaSQL(KafkaSQL.table("id INT", "t", bounded.merging([
                "properties.security.protocol": "SASL_PLAINTEXT", "properties.sasl.mechanism": "PLAIN", "properties.sasl.username": "alice", "properties.sasl.password": "wrong",
            ]) { $1 }, broker: "127.0.0.1:\(try Broker.secure.port + 300)")).texts("SELECT id FROM t")
        }
        #expect(error?.code == .validate && error?.fix?.contains("'properties.sasl.password'") == true, "\(error as Any)")
    }

    @Test("a deleted topic ends the job", .kafkaOnly) func deletedTopic() throws {
        let topic = try Broker.shared.topic("source"), judge = try Broker.shared.judge
        try judge.produce(topic, Self.messages(0..<3))
        let job = try RunningQuery(try KafkaSQL(KafkaSQL.table("id INT", topic, ["properties.topic.metadata.propagation.max.ms": "1000", "properties.topic.metadata.refresh.interval.ms": "1000"])), "SELECT id FROM t")
        #expect(job.waitForRows(3))
        try judge.delete(topic)
        let error = #expect(throws: StreamError.self) { try job.end() }
        #expect(error?.problem.hasPrefix("reading \(topic)-0: the cluster ") == true, "\(error as Any)")
    }

    @Test("what comes after the start is not missed when reading begins at the end") func latest() throws {
        let topic = try Broker.shared.topic("source", partitions: 3), judge = try Broker.shared.judge
        try judge.produce(topic, Self.messages(0..<10))
        let sql = try KafkaSQL(KafkaSQL.table("id INT", topic, ["scan.startup.mode": "latest-offset", "scan.parallelism": "2"]))
        // The graph's splits are listed when the job is made, which is before `init` returns.
        let job = try RunningQuery(sql, "SELECT id FROM t")
        #expect(job.wait { !job.runner.status().isEmpty })
        try judge.produce(topic, (10..<20).map { Message(#"{"id": \#($0)}"#, partition: $0 % 3) })
        #expect(job.waitForRows(10))
        #expect(job.runner.status().first?.parallelism == 2)
        try job.stop()
        #expect(job.texts.sorted() == (10..<20).map { "\($0)" })
    }

    @Test func positionsAreText() throws {
        for (text, position) in [("earliest", KafkaPosition(.earliest)), ("latest", .init(.latest)), ("42", .init(.offset(42))), ("42..100", .init(.offset(42), end: 100)), ("earliest..0", .init(.earliest, end: 0))] {
            #expect(position.text == text)
            #expect(try KafkaPosition(parsing: text) == position)
        }
        for text in ["", "x", "-1", "1..", "1..2..3"] { #expect(throws: StreamError.self) { try KafkaPosition(parsing: text) } }
        #expect(TopicPartition(splitID: "a-b-12") == TopicPartition("a-b", 12))
        #expect(TopicPartition(splitID: "a") == nil)
    }

    @Test func gaugesAreReadFromTheStatistics() {
        let text = #"""
            {"name":"c","msg_size":120,"rxmsgs":7,"brokers":{"h:1/1":{"nodeid":1,"outbuf_cnt":2,"waitresp_cnt":1,"txerrs":0,"rtt":{"min":1,"avg":250,"cnt":4},"int_latency":{"avg":31,"cnt":1}},
            "h:1/bootstrap":{"nodeid":-1,"outbuf_cnt":9,"rtt":{"avg":0,"cnt":0}},"h:2/2":{"nodeid":2,"rtt":{"avg":0,"cnt":0}}},
            "topics":{"orders":{"topic":"orders","partitions":{"0":{"consumer_lag":12,"fetchq_cnt":3},"1":{"consumer_lag":-1,"fetchq_cnt":0},"-1":{"consumer_lag":5}}}}}
            """#
        #expect(KafkaStatistics.gauges(text) == [
            "queued-bytes": 120, "received-messages": 7, "requests-waiting.h:1/1": 2, "requests-in-flight.h:1/1": 1, "request-errors.h:1/1": 0,
            "rtt-microseconds.h:1/1": 250, "request-latency-microseconds.h:1/1": 31, "consumer-lag.orders-0": 12, "fetched-messages.orders-0": 3, "fetched-messages.orders-1": 0,
        ])
        #expect(KafkaStatistics.gauges("no JSON") == [:])
    }
}
