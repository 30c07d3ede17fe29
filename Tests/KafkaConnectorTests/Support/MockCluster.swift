import CRdKafka
import StreamCore
@testable import KafkaConnector

/// librdkafka's cluster within this process, which makes the errors that a test wants. Topics must be made with ``topic(_:partitions:)`` before use.
///
/// It cannot judge transactions, groups that time out or offsets by time, and drops old records when many are written.
final class MockCluster: @unchecked Sendable {
    // SAFETY: the mock cluster's calls go to its own thread through a queue; nothing here changes after `init`.
    private let owner: OpaquePointer
    private let cluster: OpaquePointer
    let bootstrap: String

    /// Requests by their number in Kafka's protocol.
    enum Request: Int16 { case produce = 0, fetch, listOffsets, metadata, offsetCommit = 8, offsetFetch, findCoordinator, joinGroup, initProducerID = 22, addPartitions = 24, endTransaction = 26 }

    init(brokers: Int32 = 3) throws {
        var text = [CChar](repeating: 0, count: 512)
        let conf = rd_kafka_conf_new()
        // It warns that it has no brokers, which it does not need.
        rd_kafka_conf_set(conf, "log_level", "0", &text, text.count)
        guard let owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &text, text.count), let cluster = rd_kafka_mock_cluster_new(owner, brokers) else {
            throw BrokerError("no mock cluster")
        }
        (self.owner, self.cluster) = (owner, cluster)
        bootstrap = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(owner)
    }

    @discardableResult
    func topic(_ name: String, partitions: Int32 = 1, replication: Int32 = 1) -> String {
        rd_kafka_mock_topic_create(cluster, name, partitions, replication)
        return name
    }

    /// The next requests of a kind fail with these errors, one each; `RD_KAFKA_RESP_ERR_NO_ERROR` lets one through.
    func fail(_ request: Request, _ errors: [rd_kafka_resp_err_t]) {
        var errors = errors
        rd_kafka_mock_push_request_errors_array(cluster, request.rawValue, errors.count, &errors)
    }
    func fail(_ request: Request, _ error: rd_kafka_resp_err_t, times: Int) { fail(request, Array(repeating: error, count: times)) }
    /// Forgets the errors that are still to come.
    func forgive(_ request: Request) { rd_kafka_mock_clear_request_errors(cluster, request.rawValue) }

    /// Metadata calls the topic broken: `RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED`, ...
    func setError(topic: String, _ error: rd_kafka_resp_err_t) { rd_kafka_mock_topic_set_error(cluster, topic, error) }

    /// A broker goes away with its connections, and comes back. Brokers are numbered from 1.
    func setDown(_ broker: Int32) { rd_kafka_mock_broker_set_down(cluster, broker) }
    func setUp(_ broker: Int32) { rd_kafka_mock_broker_set_up(cluster, broker) }
    /// Each answer of the broker takes so long.
    func setRoundTrip(_ broker: Int32, milliseconds: Int32) { rd_kafka_mock_broker_set_rtt(cluster, broker, milliseconds) }
    /// Moves the leader of a partition; -1 = none.
    func setLeader(_ topic: String, _ partition: Int32, _ broker: Int32) { rd_kafka_mock_partition_set_leader(cluster, topic, partition, broker) }
}
