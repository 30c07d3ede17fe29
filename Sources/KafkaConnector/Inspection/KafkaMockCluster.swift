import CRdKafka
import StreamCore

/// librdkafka's own cluster, within this process: for trying things out and for examples, where no Kafka runs.
///
/// Records are kept in memory (of each partition about the newest 5 MB) and are gone with it; it listens on this machine only, on ports that it picks.
/// Clients write, read, join groups and commit offsets as elsewhere. It makes no topics when asked to, describes no settings, and lists no groups.
public final class KafkaMockCluster: @unchecked Sendable {
    // SAFETY: calls on the cluster go to its own thread through a queue; nothing here changes after `init`.
    private let owner: OpaquePointer
    private let cluster: OpaquePointer
    /// `host:port`, several with commas.
    public let bootstrap: String

    /// - Parameters:
    ///   - brokers: 1 to 100.
    ///   - topics: names and numbers of partitions.
    /// - Throws: `.validate` for what no cluster can have.
    public init(brokers: Int = 1, topics: [(name: String, partitions: Int)]) throws {
        guard (1...100).contains(brokers) else { throw StreamError(.validate, "a cluster of \(brokers) brokers cannot be made", fix: "ask for 1 to 100") }
        var names: Set<String> = []
        for topic in topics {
            guard !topic.name.isEmpty, topic.name.utf8.count <= 249, topic.name.unicodeScalars.allSatisfy({ $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "._-".unicodeScalars.contains($0)) }) else {
                throw StreamError(.validate, "'\(topic.name)' is no name of a topic", fix: "use letters, digits, '.', '_' and '-'")
            }
            guard (1...10_000).contains(topic.partitions) else {
                throw StreamError(.validate, "topic \(topic.name) cannot have \(topic.partitions) partitions", fix: "give it 1 to 10000")
            }
            guard names.insert(topic.name).inserted else { throw StreamError(.validate, "topic \(topic.name) is named twice", fix: "name it once") }
        }
        var text = [CChar](repeating: 0, count: 512)
        let conf = rd_kafka_conf_new()
        // The client that it belongs to has no brokers, and would warn of that.
        rd_kafka_conf_set(conf, "log_level", "0", &text, text.count)
        guard let owner = rd_kafka_new(RD_KAFKA_PRODUCER, conf, &text, text.count) else {
            rd_kafka_conf_destroy(conf)
            throw StreamError(.io, "librdkafka cannot be started: \(text.withUnsafeBufferPointer { String(cString: $0.baseAddress!) })")
        }
        guard let cluster = rd_kafka_mock_cluster_new(owner, Int32(brokers)) else {
            rd_kafka_destroy(owner)
            throw StreamError(.io, "no port of this machine could be listened on", fix: "look whether loopback connections are allowed here")
        }
        (self.owner, self.cluster) = (owner, cluster)
        bootstrap = String(cString: rd_kafka_mock_cluster_bootstraps(cluster))
        for topic in topics {
            let code = rd_kafka_mock_topic_create(cluster, topic.name, Int32(topic.partitions), Int32(min(brokers, 3)))
            guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw StreamError(.runtime, "topic \(topic.name) could not be made: \(String(cString: rd_kafka_err2str(code)))") }
        }
    }

    deinit {
        rd_kafka_mock_cluster_destroy(cluster)
        rd_kafka_destroy(owner)
    }
}
