import CRdKafka
import Foundation
import StreamCore
import Testing
@testable import KafkaConnector

/// Errors that librdkafka's mock cluster makes, met by whole SQL jobs: those that pass are waited out, the others end the job.
@Suite("broker faults", .serialized) struct BrokerFaultTests {
    private func table(_ cluster: MockCluster, _ more: String = "", topic: String = "t") -> String {
        """
        CREATE TABLE t (id BIGINT, name STRING) WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'format' = 'json',
          'scan.startup.mode' = 'earliest-offset', 'scan.bounded.mode' = 'latest-offset',
          'properties.bootstrap.servers' = '\(cluster.bootstrap)', 'properties.reconnect.backoff.max.ms' = '200', 'properties.retry.backoff.ms' = '20'\(more.isEmpty ? "" : ", " + more));
        """
    }
    private func values(_ range: Range<Int>) -> String { range.map { "(\($0), 'n\($0)')" }.joined(separator: ", ") }
    private func fill(_ cluster: MockCluster, _ range: Range<Int>, topic: String = "t") throws {
        try SQLJobs(table(cluster, topic: topic)).run("INSERT INTO t VALUES \(values(range))")
    }
    private func ids(_ range: Range<Int>) -> [String] { range.map { "\($0)" }.sorted() }

    @Test("reading goes on after errors that pass", arguments: [
        [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
        [RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, RD_KAFKA_RESP_ERR_REPLICA_NOT_AVAILABLE],
        [RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR],
        [RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR_NO_ERROR, RD_KAFKA_RESP_ERR__TRANSPORT],
    ])
    func fetchErrors(errors: [rd_kafka_resp_err_t]) throws {
        let cluster = try MockCluster()
        cluster.topic("t", partitions: 4, replication: 3)
        try fill(cluster, 0..<40)
        cluster.fail(.fetch, errors)
        #expect(try SQLJobs(table(cluster)).rows("SELECT id FROM t") == ids(0..<40))
    }

    @Test("looking for offsets is tried again", arguments: [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT])
    func offsetErrors(error: rd_kafka_resp_err_t) throws {
        let cluster = try MockCluster()
        cluster.topic("t", partitions: 2)
        try fill(cluster, 0..<10)
        cluster.fail(.listOffsets, error, times: 2)
        #expect(try SQLJobs(table(cluster)).rows("SELECT id FROM t") == ids(0..<10))
    }

    @Test func readingATopicThatMayNotBeSeenEnds() throws {
        let cluster = try MockCluster()
        cluster.topic("t")
        cluster.setError(topic: "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        let error = try SQLJobs().error(table(cluster) + "SELECT id FROM t")
        #expect(error?.problem.contains("Topic authorization failed") == true, "\(error?.description ?? "")")
        #expect(error?.fix?.contains("administrator") == true, "\(error?.description ?? "")")
    }

    @Test("each row is written once through errors that pass", arguments: [
        [RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION],
        [RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND],
        [RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__TRANSPORT],
    ])
    func produceErrors(errors: [rd_kafka_resp_err_t]) throws {
        let cluster = try MockCluster()
        cluster.topic("t", partitions: 2, replication: 3)
        cluster.fail(.produce, errors)
        try fill(cluster, 0..<30)
        #expect(try SQLJobs(table(cluster)).rows("SELECT id FROM t") == ids(0..<30))
    }

    @Test("errors that do not pass end the job with what to do", arguments: [
        (RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "Topic authorization failed", "administrator"),
        (RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "Message size too large", "'properties.message.max.bytes'"),
    ])
    func fatalProduceErrors(error: rd_kafka_resp_err_t, problem: String, fix: String) throws {
        let cluster = try MockCluster()
        cluster.topic("t")
        cluster.fail(.produce, error, times: 3)
        let found = try SQLJobs().error(table(cluster) + "INSERT INTO t VALUES \(values(0..<3))")
        #expect(found?.problem.contains(problem) == true && found?.problem.contains("t") == true, "\(found?.description ?? "")")
        #expect(found?.fix?.contains(fix) == true, "\(found?.description ?? "")")
    }

    @Test func rowsThatNoBrokerTakesInTimeAreAnError() throws {
        let cluster = try MockCluster(brokers: 1)
        cluster.topic("t")
        cluster.setRoundTrip(1, milliseconds: 5_000)
        let found = try SQLJobs().error(table(cluster, "'properties.message.timeout.ms' = '1500', 'properties.socket.timeout.ms' = '1000'") + "INSERT INTO t VALUES \(values(0..<3))")
        #expect(found?.fix?.contains("'properties.message.timeout.ms'") == true || found?.fix?.contains("'properties.bootstrap.servers'") == true, "\(found?.description ?? "")")
    }

    @Test func aJobReadsOnWhenItsBrokerComesBack() throws {
        let cluster = try MockCluster(brokers: 1)
        cluster.topic("t", partitions: 2)
        try fill(cluster, 0..<10)
        let job = try SQLJobs(table(cluster, "'scan.bounded.mode' = 'unbounded'").replacing("'scan.bounded.mode' = 'latest-offset',", with: "")).start("SELECT id FROM t")
        try job.wait(rows: 10)
        cluster.setDown(1)
        usleep(300_000)
        #expect(job.failure == nil)
        cluster.setUp(1)
        try fill(cluster, 10..<20)
        try job.wait(rows: 20)
        #expect(try job.stop() == ids(0..<20))
    }

    @Test func aJobFollowsTheLeader() throws {
        let cluster = try MockCluster()
        cluster.topic("t", replication: 3)
        cluster.setLeader("t", 0, 1)
        try fill(cluster, 0..<10)
        let job = try SQLJobs(table(cluster).replacing("'scan.bounded.mode' = 'latest-offset',", with: "")).start("SELECT id FROM t")
        try job.wait(rows: 10)
        for (round, leader) in [Int32(2), 3, 1].enumerated() {
            cluster.setLeader("t", 0, leader)
            try fill(cluster, 10 * (round + 1)..<10 * (round + 2))
            try job.wait(rows: 10 * (round + 2))
        }
        #expect(try job.stop() == ids(0..<40))
    }
}
