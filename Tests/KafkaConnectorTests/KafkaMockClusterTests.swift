import StreamCore
import Testing
@testable import KafkaConnector

@Suite("A cluster in memory") struct KafkaMockClusterTests {
    @Test("it has the topics that were asked for, keeps records, and makes no others")
    func topics() throws {
        let cluster = try KafkaMockCluster(brokers: 2, topics: [("orders", 3), ("payments.eu", 1)]), properties = ["bootstrap.servers": cluster.bootstrap]
        #expect(cluster.bootstrap.split(separator: ",").count == 2)
        let inspection = try KafkaInspection(properties, prefix: "")
        let appender = try KafkaAppender(topic: "orders", properties, prefix: "", partitions: 3)
        for n in 0..<30 { try appender.append(key: "\(n)", value: "order \(n)") }
        try appender.flush()
        let topics = try inspection.topics()
        #expect(topics.map(\.name).sorted() == ["orders", "payments.eu"])
        #expect(topics.first { $0.name == "orders" }.map { [$0.partitions.count, Int($0.records)] } == [3, 30])
        #expect(throws: StreamError.self) { try inspection.topics(["others"]) }
        #expect(try inspection.topics().count == 2)
    }

    @Test("what no cluster can have is refused", arguments: [("a b", 1, "no name of a topic"), ("", 1, "no name of a topic"), ("a", 0, "cannot have 0 partitions"), ("a", 10_001, "10001 partitions")])
    func refused(name: String, partitions: Int, problem: String) {
        let error = #expect(throws: StreamError.self) { try KafkaMockCluster(topics: [(name, partitions)]) }
        #expect(error?.problem.contains(problem) == true, "\(error?.description ?? "")")
    }

    @Test func namesAndBrokersAreChecked() {
        #expect(throws: StreamError.self) { try KafkaMockCluster(topics: [("a", 1), ("a", 2)]) }
        #expect(throws: StreamError.self) { try KafkaMockCluster(brokers: 0, topics: []) }
    }
}
