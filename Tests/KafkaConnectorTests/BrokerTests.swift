import CRdKafka
import StreamCore
import Testing
@testable import KafkaConnector

/// The tools of these tests do what the tests take from them.
@Suite("brokers to test against") struct BrokerTests {
    @Test("what one client writes the other reads, byte for byte", arguments: ["none", "gzip", "snappy", "lz4", "zstd"])
    func roundTrip(compression: String) throws {
        let topic = try Broker.shared.topic("tools", partitions: 6), judge = try Broker.shared.judge
        let messages = (0..<50).map { Message(bytes: $0 == 7 ? nil : [0, 255, UInt8($0)], key: $0 == 9 ? nil : [UInt8($0), 10], partition: $0 % 6,
                                              headers: [.init("a", "b\($0)"), .init("none", nil)], timestamp: 1_700_000_000_000 + Int64($0)) }
        let placed = try judge.produce(topic, messages, compression: compression)
        #expect(placed.map(\.partition) == (0..<50).map { $0 % 6 })
        // kafka-python unpacks no more than gzip without further packages.
        for library in ["none", "gzip"].contains(compression) ? [Judge.Library.confluent, .pure] : [.confluent] {
            let found = try judge.consume(topic, library: library)
            #expect(found.count == 50, "\(library): \(found.map { "\($0.partition!)/\($0.offset!)" })")
            #expect(found.map(\.value) == found.map { messages[Int($0.timestamp! - 1_700_000_000_000)].value })
            #expect(found.map(\.headers) == found.map { messages[Int($0.timestamp! - 1_700_000_000_000)].headers })
            #expect(found.map(\.key) == found.map { messages[Int($0.timestamp! - 1_700_000_000_000)].key })
        }
    }

    @Test func anAbortedTransactionIsSeenByReadUncommittedOnly() throws {
        let topic = try Broker.shared.topic("tools"), judge = try Broker.shared.judge
        try judge.produce(topic, [Message("a")], transaction: .abort)
        try judge.produce(topic, [Message("b")], transaction: .commit)
        #expect(try judge.consume(topic).map(\.text) == ["b"])
        #expect(try judge.consume(topic, library: .pure).map(\.text) == ["b"])
        #expect(try judge.consume(topic, isolation: .readUncommitted).map(\.text) == ["a", "b"])
    }

    @Test func groupsCommitAndRecordsAreDeleted() throws {
        let topic = try Broker.shared.topic("tools", partitions: 2), group = Broker.shared.group(), judge = try Broker.shared.judge
        try judge.produce(topic, (0..<10).map { Message("\($0)", partition: 0) })
        #expect(try judge.committed(topic, group: group) == [nil, nil])
        try judge.commit(topic, group: group, [0: 4])
        #expect(try judge.committed(topic, group: group) == [4, nil])
        try judge.deleteRecords(topic, before: 3)
        #expect(try judge.bounds(topic).map { [$0.low, $0.high] } == [[3, 10], [0, 0]])
        try judge.grow(topic, to: 3)
        #expect(try judge.topics()[topic] == 3)
    }

    @Test func tansuAnswersToo() throws {
        let topic = try Broker.tansu.topic("tools", partitions: 3), judge = try Broker.tansu.judge
        try judge.produce(topic, (0..<20).map { Message("\($0)", partition: $0 % 3) }, compression: "lz4")
        #expect(Set(try judge.consume(topic).map(\.text)) == Set((0..<20).map { "\($0)" }))
        let client = try KafkaClient(.consumer, KafkaConfiguration(["bootstrap.servers": try Broker.tansu.bootstrap]))
        #expect(try client.topics([topic]).first?.partitions.count == 3)
    }

    @Test func theMockClusterRefusesWhatItIsTold() throws {
        let cluster = try MockCluster()
        cluster.topic("t", partitions: 4, replication: 3)
        let client = try KafkaClient(.consumer, KafkaConfiguration(["bootstrap.servers": cluster.bootstrap]))
        #expect(try client.topics(["t"]).first?.partitions.count == 4)
        cluster.setError(topic: "t", RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        let error = #expect(throws: StreamError.self) { try client.topics(["t"]) }
        #expect(error?.problem.contains("topic t: Broker: Topic authorization failed") == true, "\(error?.description ?? "")")
    }

    @Test(.kafkaOnly) func apacheKafkaComesBackOnItsData() throws {
        let broker = Broker.restartable, topic = try broker.topic("tools")
        try broker.judge.produce(topic, ["a"])
        try broker.command("kill 1")
        try broker.command("start")
        #expect(try broker.judge.consume(topic, count: 1).map(\.text) == ["a"])
    }
}
