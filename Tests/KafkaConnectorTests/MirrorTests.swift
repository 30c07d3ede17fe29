import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization
import Testing
@testable import KafkaConnector

/// A mirror that runs on a thread of its own.
private final class Mirror: Sendable {
    /// nil when it is over: the folder is another one's to use then.
    private let current: Mutex<JobRunner?>
    private let outcome = Mutex<Result<JobExecution.End, any Error>?>(nil)

    /// The statements that a `mirror` step with these options stands for.
    static func graph(_ options: [String: String], parallelism: Int = 1, warn: @escaping @Sendable (String) -> Void = { _ in }) throws -> JobGraph {
        let session = SQLSession(connectors: [MirrorConnector(warn: warn)])
        _ = try session.set("parallelism.default", to: "\(parallelism)")
        let with = (["connector": "kafka-mirror"].merging(options) { a, _ in a }).sorted { $0.key < $1.key }.map { "'\($0.key)' = '\($0.value)'" }.joined(separator: ", ")
        let columns = "`topic` STRING, `partition` INT, `offset` BIGINT, `timestamp` BIGINT, `key` BYTES, `value` BYTES, `headers` BYTES"
        let script = "CREATE TEMPORARY TABLE a (\(columns)) WITH (\(with)); CREATE TEMPORARY TABLE b (\(columns)) WITH (\(with)); INSERT INTO b SELECT * FROM a"
        var last: StatementResult?
        for statement in try SQLParser(text: script).parseScript() { last = try session.execute(statement) }
        guard case .insert(let graph) = last else { throw BrokerError("no job") }
        return graph
    }

    init(_ options: [String: String], folder: String? = nil, parallelism: Int = 1) throws {
        let log = Log()
        self.log = log
        var checkpoints = CheckpointOptions()
        checkpoints.interval = .milliseconds(200)
        var recovery: RecoveryOptions?
        if let folder {
            recovery = RecoveryOptions(directory: folder, jobID: "mirror")
            recovery!.keepsFinished = true
        }
        let graph = try Self.graph(options, parallelism: parallelism) { text in log.add(text) }
        let runner = try JobRunner(graph, options: JobOptions(workers: parallelism, checkpoints: checkpoints), recovery: recovery)
        runner.onEvent { [log] event in if case .checkpointCompleted = event { log.addCheckpoint() } }
        current = Mutex(runner)
        Thread { [self] in
            let result = Result { try current.withLock { $0 }!.run() }
            current.withLock { $0 = nil }
            outcome.withLock { $0 = result }
        }.start()
    }

    final class Log: Sendable {
        private let lines = Mutex<[String]>([])
        func add(_ text: String) { lines.withLock { $0.append(text) } }
        var all: [String] { lines.withLock { $0 } }
        private let completed = Mutex(0)
        func addCheckpoint() { completed.withLock { $0 += 1 } }
        var checkpoints: Int { completed.withLock { $0 } }
    }
    let log: Log

    var error: (any Error)? { outcome.withLock { if case .failure(let error) = $0 { error } else { nil } } }

    /// Waits until it is over.
    func end(seconds: Double = 60) throws -> JobExecution.End {
        try until("the mirror has ended", seconds: seconds) { outcome.withLock { $0 != nil } }
        return try outcome.withLock { try $0!.get() }
    }

    /// Ends it behind a last checkpoint.
    func stop() throws {
        current.withLock { $0 }?.stop()
        _ = try end()
    }

    /// Ends it as a crash would: without a checkpoint, and with what librdkafka holds dropped.
    func crash() throws {
        current.withLock { $0 }?.cancel()
        _ = try end()
    }

    /// Waits for something that the mirror is to bring about.
    func until(_ what: String, seconds: Double = 40, _ condition: () throws -> Bool) throws {
        let deadline = Date().addingTimeInterval(seconds)
        while try !condition() {
            if let error, what != "the mirror has ended" { throw error }
            guard Date() < deadline else { throw BrokerError("after \(seconds) s not yet: \(what); warnings: \(log.all)") }
            Thread.sleep(forTimeInterval: 0.05)
        }
    }
}

private func temporaryFolder() throws -> String {
    let path = FileManager.default.temporaryDirectory.appending(path: "mirror-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
}

/// What a record is, apart from its offset.
private struct Content: Equatable, CustomStringConvertible {
    var partition: Int?, key: [UInt8]?, value: [UInt8]?, headers: [Message.Header], timestamp: Int64?
    init(_ message: Message) { (partition, key, value, headers, timestamp) = (message.partition, message.key, message.value, message.headers, message.timestamp) }
    var description: String { "\(partition ?? -1) \(value.map { String(decoding: $0, as: UTF8.self) } ?? "null") @\(timestamp ?? -1)" }
}

@Suite("mirroring", .serialized) struct MirrorTests {
    private func options(from: Broker = .shared, to: Broker = .other, _ more: [String: String]) throws -> [String: String] {
        ["from.bootstrap.servers": try from.bootstrap, "to.bootstrap.servers": try to.bootstrap, "sync.interval": "200 ms", "sync.offsets.interval": "200 ms",
         "replication.factor": "1"].merging(more) { $1 }
    }

    private func count(_ broker: Broker, _ topic: String) throws -> Int64 {
        guard try broker.judge.topics()[topic] != nil else { return -1 }
        return try broker.judge.bounds(topic).reduce(0) { $0 + $1.high - $1.low }
    }

    /// Not so long ago that the broker would delete it.
    private static let anHourAgo = Int64(Date().timeIntervalSince1970 * 1_000) - 3_600_000

    /// Records of all kinds there are.
    private func messages(_ n: Int, partitions: Int, from: Int = 0) -> [Message] {
        (from..<from + n).map { i in
            var message = Message(i % 13 == 5 ? nil : i % 11 == 3 ? "" : "value \(i) " + String(repeating: "x", count: i % 50), key: i % 7 == 2 ? nil : i % 9 == 4 ? "" : "key \(i)",
                                  partition: i % partitions, timestamp: Self.anHourAgo + Int64(i))
            if i % 3 == 1 {
                message.headers = [.init("a", "1"), .init("b", nil), .init("a", "2"), .init("c", ""), .init(key: "d", bytes: [0, 255, UInt8(i & 255)])]
            }
            return message
        }
    }

    @Test("records arrive byte for byte, whatever they are compressed with", arguments: [("none", 1), ("gzip", 2), ("lz4", 1), ("zstd", 2)])
    func identical(compression: String, parallelism: Int) throws {
        let topic = try Broker.shared.topic("mirror", partitions: 6)
        try Broker.shared.judge.produce(topic, messages(700, partitions: 6), compression: compression)
        let mirror = try Mirror(try options(["topics": topic, "until": "latest", "to.compression.type": compression]), parallelism: parallelism)
        #expect(try mirror.end() == .finished)
        #expect(mirror.log.all == [])
        for library in ["none", "gzip"].contains(compression) ? [Judge.Library.confluent, .pure] : [.confluent] {
            let there = try Broker.other.judge.consume(topic, count: 700, library: library), here = try Broker.shared.judge.consume(topic, count: 700, library: library)
            #expect(there.map(Content.init) == here.map(Content.init))
            #expect(there.map(\.offset) == here.map(\.offset) && here.count == 700)
        }
    }

    @Test func topicsGetTheirPartitionsAndSettingsAndFollow() throws {
        let prefix = Broker.fresh("made"), a = prefix + ".a", b = prefix + ".b", c = prefix + ".c", left = prefix + ".left"
        let here = try Broker.shared.judge, there = try Broker.other.judge
        try here.create(a, partitions: 3, settings: ["retention.ms": "123456789", "segment.bytes": "2000000"])
        try here.create(left)
        let mirror = try Mirror(try options(["topics": prefix + "[.].*", "exclude": left]))
        try mirror.until("the topic is there") { try there.topics()[a] == 3 }
        #expect(try there.settings(a)["retention.ms"] == "123456789" && there.settings(a)["segment.bytes"] == "2000000")
        try here.produce(a, messages(9, partitions: 3))
        try mirror.until("its records are there") { try count(.other, a) == 9 }
        // A new topic, more partitions, other settings.
        try here.create(b, partitions: 2)
        try here.produce(b, messages(20, partitions: 2))
        try here.grow(a, to: 5)
        try here.alter(a, ["retention.ms": "55555555"])
        try mirror.until("the new topic's records are there") { try count(.other, b) == 20 }
        try mirror.until("the partitions are there") { try there.topics()[a] == 5 }
        try mirror.until("the settings are there") { try there.settings(a)["retention.ms"] == "55555555" }
        try here.produce(a, [Message("late", partition: 4)])
        try mirror.until("the record in the new partition is there") { try count(.other, a) == 10 }
        #expect(try there.consume(a, count: 10).last?.text == "late")
        try here.create(c, settings: ["cleanup.policy": "compact"])
        try mirror.until("an empty topic is there") { try there.topics()[c] == 1 }
        #expect(try there.settings(c)["cleanup.policy"] == "compact")
        #expect(try there.topics()[left] == nil)
        try mirror.stop()
    }

    @Test func aStartAtTheEndLeavesOutWhatIsThereAndNothingElse() throws {
        let prefix = Broker.fresh("late"), topic = prefix + ".a", later = prefix + ".b", folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let here = try Broker.shared.judge, there = try Broker.other.judge
        try here.create(topic)
        try here.produce(topic, ["old 1", "old 2"])
        let given = try options(["topics": prefix + "[.].*", "start": "latest", "naming": "prefix", "prefix": "dc1-"])
        let first = try Mirror(given, folder: folder)
        try first.until("the topic is there") { try there.topics()["dc1-" + topic] == 1 }
        try here.produce(topic, ["new 1", "new 2"])
        try first.until("new records are there") { try count(.other, "dc1-" + topic) == 2 }
        try first.stop()
        // A topic that comes up while the mirror is away is new all the same.
        try here.create(later)
        try here.produce(later, ["b 1"])
        try here.produce(topic, ["new 3"])
        let second = try Mirror(given, folder: folder)
        try second.until("the later topic is there") { try count(.other, "dc1-" + later) == 1 }
        try second.until("what came meanwhile is there") { try count(.other, "dc1-" + topic) == 3 }
        try second.stop()
        #expect(try there.consume("dc1-" + topic, count: 3).map(\.text) == ["new 1", "new 2", "new 3"])
        #expect(try here.topics().keys.filter { $0.hasPrefix("dc1-") } == [])
    }

    @Test("after a crash nothing is missing and nothing comes twice", arguments: ["at-least-once", "exactly-once"])
    func crash(delivery: String) throws {
        let topic = try Broker.shared.topic("crash", partitions: 3), folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let here = try Broker.shared.judge, there = try Broker.other.judge
        let given = try options(["topics": topic, "delivery": delivery])
        var written = 0
        for round in 0..<4 {
            let mirror = try Mirror(given, folder: folder, parallelism: 1 + round % 2)
            try here.produce(topic, messages(200, partitions: 3, from: written))
            written += 200
            try mirror.until("part of them are there") { try count(.other, topic) >= Int64(written - 150) }
            try here.produce(topic, messages(30, partitions: 3, from: written))
            written += 30
            // A first start that dies before its first checkpoint begins anew.
            if round == 0 { try mirror.until("there is a checkpoint") { mirror.log.checkpoints > 0 } }
            try mirror.crash()
        }
        let last = try Mirror(given, folder: folder)
        try last.until("all are there") { try there.consume(topic, count: written, seconds: 2).count >= written }
        try last.stop()
        let found = try there.consume(topic, count: written).map(Content.init)
        let wanted = try here.consume(topic, count: written).map(Content.init)
        #expect(wanted.count == written && found.count == written)
        #expect(found == wanted)
    }

    @Test func twoMirrorsDoNotFeedEachOther() throws {
        let topic = try Broker.shared.topic("two"), here = try Broker.shared.judge, there = try Broker.other.judge
        try there.create(topic)
        let forth = try Mirror(try options(["topics": topic, "from.alias": "dc1", "to.alias": "dc2"]))
        let back = try Mirror(try options(from: .other, to: .shared, ["topics": topic, "from.alias": "dc2", "to.alias": "dc1"]))
        for i in 0..<10 {
            try here.produce(topic, [Message("here \(i)", headers: [.init("h", "1")])])
            try there.produce(topic, ["there \(i)"])
        }
        for (mirror, broker) in [(forth, Broker.other), (back, Broker.shared)] { try mirror.until("both sides have all") { try count(broker, topic) >= 20 } }
        // What is written now comes behind anything that went round.
        try here.produce(topic, ["end here"])
        try there.produce(topic, ["end there"])
        for (mirror, broker) in [(forth, Broker.other), (back, Broker.shared)] { try mirror.until("both sides have the end") { try count(broker, topic) >= 22 } }
        try forth.stop()
        try back.stop()
        for (judge, own, other) in [(here, "here", "dc2"), (there, "there", "dc1")] {
            let found = try judge.consume(topic, count: 22)
            #expect(found.count == 22 && Set(found.map(\.text)).count == 22)
            for message in found {
                let marks = message.headers.filter { $0.key == MirrorRecord.originHeader }
                #expect(marks == (message.text!.contains(own == "here" ? "there" : "zzz") || own == "there" && !message.text!.contains("there") ? [.init(MirrorRecord.originHeader, other)] : []))
            }
        }
    }

    @Test func prefixedMirrorsOfBothDirectionsLeaveEachOthersTopicsAlone() throws {
        let name = Broker.fresh("both"), here = try Broker.shared.judge, there = try Broker.other.judge
        try here.create(name)
        try there.create(name)
        try here.produce(name, ["from here"])
        try there.produce(name, ["from there"])
        let common = ["naming": "prefix", "topics": ".*" + name]
        let forth = try Mirror(try options(common.merging(["from.alias": "dc1", "to.alias": "dc2"]) { $1 }))
        let back = try Mirror(try options(from: .other, to: .shared, common.merging(["from.alias": "dc2", "to.alias": "dc1"]) { $1 }))
        try forth.until("dc1's records are at dc2") { try count(.other, "dc1." + name) == 1 }
        try back.until("dc2's records are at dc1") { try count(.shared, "dc2." + name) == 1 }
        let again = Broker.fresh("again")
        try here.create(again + name)
        try forth.until("another topic has come") { try there.topics()["dc1." + again + name] != nil }
        try there.create(again + "2" + name)
        try back.until("another topic has come back") { try here.topics()["dc2." + again + "2" + name] != nil }
        #expect(try here.topics().keys.filter { $0.contains(name) }.count == 4 && there.topics().keys.filter { $0.contains(name) }.count == 4)
        try forth.stop()
        try back.stop()
    }

    @Test func aGroupGoesOnAtTheOtherClusterWhenTheFirstIsKilled() throws {
        let broker = Broker.doomed, topic = try broker.topic("orders", partitions: 2), group = broker.group(), folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let here = try broker.judge, there = try Broker.other.judge
        // Something of another kind in front, so that offsets differ.
        try there.create(topic, partitions: 2)
        try there.produce(topic, (0..<7).map { Message("other \($0)", partition: $0 % 2) })
        let mirror = try Mirror(try options(from: broker, ["topics": topic, "groups": group]), folder: folder)
        try here.produce(topic, messages(300, partitions: 2).map { message in
            var message = message
            message.value = message.value ?? [0]
            return message
        })
        let read = try here.consume(topic, group: group, count: 100)
        #expect(read.count == 100)
        try mirror.until("all records are there") { try count(.other, topic) == 307 }
        let committed = try here.committed(topic, group: group)
        let wanted = committed.enumerated().map { i, offset in offset.map { $0 + (i == 0 ? 4 : 3) } }
        try mirror.until("the group's offsets are there") { try there.committed(topic, group: group) == wanted }
        try broker.command("kill 1")
        // In the partition that it has not come to it begins at the beginning.
        let others = zip([4, 3], committed).reduce(0) { $0 + ($1.1 == nil ? $1.0 : 0) }
        let rest = try there.consume(topic, group: group, count: 200 + others).filter { !$0.text!.hasPrefix("other") }
        let all = (read + rest).map { "\($0.partition!) \($0.timestamp!)" }
        #expect(Set(all).count == 300 && all.count == 300)
        // A dead source does not end the mirror.
        #expect(mirror.error == nil)
        try mirror.stop()
    }

    @Test func aGroupIsNeverSetBack() throws {
        let topic = try Broker.shared.topic("back", partitions: 2), group = Broker.shared.group(), left = Broker.shared.group("console-consumer")
        let here = try Broker.shared.judge, there = try Broker.other.judge
        try here.produce(topic, messages(100, partitions: 2))
        let mirror = try Mirror(try options(["topics": topic]))
        try mirror.until("all records are there") { try count(.other, topic) == 100 }
        try there.commit(topic, group: group, [0: 40])
        try here.commit(topic, group: left, [0: 5, 1: 5])
        try here.commit(topic, group: group, [0: 10, 1: 20])
        try mirror.until("the group has moved on in the other partition") { try there.committed(topic, group: group) == [40, 20] }
        try here.commit(topic, group: group, [0: 45, 1: 20])
        try mirror.until("the group has moved on in both") { try there.committed(topic, group: group) == [45, 20] }
        #expect(try there.committed(topic, group: left) == [nil, nil])
        try mirror.stop()
    }

    @Test func whatIsDeletedBeforeItIsCopiedDoesNotHoldTheRestUp() throws {
        let topic = try Broker.shared.topic("expired"), folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let here = try Broker.shared.judge, there = try Broker.other.judge
        try here.produce(topic, ["0", "1"])
        let first = try Mirror(try options(["topics": topic]), folder: folder)
        try first.until("the first are there") { try count(.other, topic) == 2 }
        try first.stop()
        try here.produce(topic, ["2", "3", "4", "5"])
        try here.deleteRecords(topic, before: 4)
        let refused = try Mirror(try options(["topics": topic, "from.auto.offset.reset": "error"]), folder: folder)
        let error = #expect(throws: StreamError.self) { try refused.end() }
        #expect(error?.problem.contains("from offset 2: it has 4 to 6") == true, "\(error.map { "\($0)" } ?? "")")
        let second = try Mirror(try options(["topics": topic]), folder: folder)
        try second.until("the rest is there") { try count(.other, topic) == 4 }
        try second.stop()
        #expect(try there.consume(topic, count: 4).map(\.text) == ["0", "1", "4", "5"])
    }

    /// librdkafka's own cluster lists none, and makes no topics.
    @Test func groupsThatAreNamedAreCarriedOverWhenBrokersListNone() throws {
        let from = try KafkaMockCluster(topics: [("orders", 2)]), to = try KafkaMockCluster(topics: [("orders", 2)]), other = try KafkaMockCluster(topics: [("orders", 2)]), folder = try temporaryFolder()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        func write(_ cluster: KafkaMockCluster, _ numbers: Range<Int>) throws {
            let appender = try KafkaAppender(topic: "orders", ["bootstrap.servers": cluster.bootstrap], prefix: "", partitions: 2)
            for n in numbers { try appender.append(key: "key \(n)", value: "\(n)") }
            try appender.flush()
        }
        func client(_ cluster: KafkaMockCluster) throws -> KafkaClient { try KafkaClient(.producer, KafkaConfiguration(["bootstrap.servers": cluster.bootstrap])) }
        let partitions = [TopicPartition("orders", 0), TopicPartition("orders", 1)]
        func ends(_ cluster: KafkaMockCluster) throws -> [Int64] {
            try KafkaInspection(["bootstrap.servers": cluster.bootstrap], prefix: "").topics(["orders"]).flatMap { $0.partitions.map { $0.bounds?.high ?? -1 } }
        }
        // Something of another kind in front, so that offsets differ.
        try write(to, 0..<50)
        let before = try ends(to)
        #expect(before.allSatisfy { $0 > 0 })
        try write(from, 0..<200)
        let all = try ends(from), read = [partitions[0]: all[0], partitions[1]: 7]
        try client(from).setOffsets(ofGroup: "billing", read)

        let common = ["from.bootstrap.servers": from.bootstrap, "topics": "orders", "sync.configs": "false", "sync.offsets.interval": "200 ms"]
        let unnamed = try Mirror(common.merging(["to.bootstrap.servers": other.bootstrap]) { $1 })
        try unnamed.until("it asks for names") { unnamed.log.all.contains { $0.contains("list no groups") && $0.contains("name them") } }
        try unnamed.stop()
        #expect(try client(other).offsets(ofGroup: "billing", partitions).isEmpty)

        let mirror = try Mirror(common.merging(["to.bootstrap.servers": to.bootstrap, "groups": "billing"]) { $1 }, folder: folder), there = try client(to)
        let wanted = [partitions[0]: before[0] + all[0], partitions[1]: before[1] + 7]
        try mirror.until("the group's offsets are there") { try there.offsets(ofGroup: "billing", partitions) == wanted }
        try mirror.stop()
    }

    @Test func wrongOptionsAreRefusedWithWhatToDo() throws {
        func refused(_ options: [String: String], _ problem: String, _ fix: String?) {
            let error = #expect(throws: StreamError.self) { try Mirror.graph(options) }
            #expect(error?.problem.contains(problem) == true && (fix == nil || error?.fix?.contains(fix!) == true), "\(error.map { "\($0)" } ?? "")")
        }
        let servers = ["from.bootstrap.servers": "a:1", "to.bootstrap.servers": "b:1"]
        func with(_ more: [String: String]) -> [String: String] { servers.merging(more) { $1 } }
        refused(["from.bootstrap.servers": "a:1"], "a mirror needs 'to.bootstrap.servers'", "add bootstrap.servers: host:9092 below to:")
        refused(with(["topics": "a("]), "neither a name nor a regular expression: a(", nil)
        refused(with(["naming": "prefix"]), "needs the prefix", "alias: dc1")
        refused(with(["to.bootstrap.servers": "a:1"]), "copied for ever", "naming: prefix")
        refused(with(["from.alias": "dc1"]), "one cluster only", "name the other")
        refused(with(["to.sesion.timeout.ms": "1"]), "'to.sesion.timeout.ms' = '1' is not a property of librdkafka", "session.timeout.ms")
        refused(with(["delivery": "perhaps"]), "'delivery' = 'perhaps' is not known here", "exactly-once")
    }
}
