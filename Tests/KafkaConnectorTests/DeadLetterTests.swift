import FileConnectors
import Foundation
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Testing
@testable import KafkaConnector

@Suite("kafka: dead letters") struct DeadLetterTests {
    private let judge: Judge
    private let session = SQLSession(connectors: [KafkaConnector(), UpsertKafkaConnector(), FilesystemConnector()])

    init() throws { judge = try Broker.shared.judge }

    private func run(_ script: String) throws {
        for statement in try SQLParser(text: script).parseScript() {
            if case .insert(let graph) = try session.execute(statement) { _ = try JobExecution(graph).run() }
        }
    }

    private func rows(_ query: String) throws -> [String] {
        guard case .query(let planned) = try session.execute(try SQLParser(text: query).parseStatement()) else { return [] }
        let sink = CollectingSink(maxParallelism: 1)
        _ = try JobExecution(try planned.jobGraph(into: sink)).run()
        return sink.rows.map { row in
            row.values.map { value in
                switch value {
                case .null: "NULL"
                case .int(let number): "\(number)"
                case .bool(let flag): "\(flag)"
                case .binary(let bytes): String(decoding: bytes, as: UTF8.self)
                default: "\(value)"
                }
            }.joined(separator: " ")
        }
    }

    private func table(_ name: String, _ columns: String, _ topic: String, _ options: [String: String] = [:]) throws -> String {
        var all = ["connector": "kafka", "topic": topic, "format": "json", "properties.bootstrap.servers": try Broker.shared.bootstrap,
                   "scan.startup.mode": "earliest-offset", "scan.bounded.mode": "latest-offset"]
        all.merge(options) { $1 }
        return "CREATE TABLE \(name) (\(columns)) WITH (" + all.sorted { $0.key < $1.key }.map { "'\($0.key)' = '\($0.value)'" }.joined(separator: ", ") + ");"
    }

    /// One message in a hundred is broken, each in another way.
    private func fill(_ topic: String, _ count: Int, partitions: Int) throws -> (good: [String], broken: [Int: Message]) {
        var messages: [Message] = [], good: [String] = [], broken: [Int: Message] = [:]
        for i in 0..<count {
            let texts = [#"{"id": "x\#(i)"}"#, "oops \(i)", #"{"id": \#(i)"#]
            var message = Message(i % 100 == 7 ? texts[i / 100 % 3] : #"{"id": \#(i)}"#, partition: i % partitions)
            message.key = Array("key-\(i)".utf8)
            if i % 100 == 7 { broken[i] = message } else { good.append("\(i)") }
            messages.append(message)
        }
        try judge.produce(topic, messages)
        return (good, broken)
    }

    private func lines(_ directory: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: directory).filter { !$0.hasPrefix(".") }.flatMap {
            try String(contentsOfFile: directory + "/" + $0, encoding: .utf8).split(separator: "\n").map(String.init)
        }
    }

    @Test("the good ones of a topic are in the table, the broken ones in another topic as they were, with topic, partition, offset and reason",
          arguments: ["at-least-once", "exactly-once"], [1, 3])
    func topic(guarantee: String, parallelism: Int) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "kafka-letters-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let topic = try Broker.shared.topic("orders", partitions: 3), letters = try Broker.shared.topic("letters")
        let (good, broken) = try fill(topic, 3_000, partitions: 3)
        var options = ["on-error": "dead-letter", "dead-letter.topic": letters, "sink.delivery-guarantee": guarantee]
        if guarantee == "exactly-once" { options["sink.transactional-id-prefix"] = Broker.fresh("letters") }
        try run("""
            SET 'parallelism.default' = '\(parallelism)';
            \(try table("orders", "id INT", topic, options))
            CREATE TABLE ids (id INT) WITH ('connector' = 'filesystem', 'path' = '\(directory)', 'format' = 'csv');
            INSERT INTO ids SELECT id FROM orders;
            """)
        #expect(try lines(directory).sorted() == good.sorted())
        let found = try judge.consume(letters, count: broken.count)
        #expect(found.count == broken.count)
        for message in found {
            let key = message.keyText ?? "", i = Int(key.dropFirst(4)) ?? -1
            #expect(message.value == broken[i]?.value, "\(key)")
            let headers = Dictionary(message.headers.map { ($0.key, String(decoding: $0.value ?? [], as: UTF8.self)) }) { $1 }
            #expect(headers["error.topic"] == topic && headers["error.partition"] == "\(i % 3)" && headers["error.offset"] == "\(i / 3)", "\(headers)")
            #expect(headers["error.table"] == "orders" && headers["error.reason"]?.isEmpty == false)
        }
        #expect(Set(found.map { $0.keyText }) == Set(broken.keys.map { "key-\($0)" }))
    }

    @Test("killed and restored, rows and dead letters are there once for readers of what is committed", arguments: UInt64(0)..<3)
    func killed(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let directory = FileManager.default.temporaryDirectory.appending(path: "kafka-letters-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let topic = try Broker.shared.topic("orders", partitions: 2), letters = try Broker.shared.topic("letters"), out = try Broker.shared.topic("out")
        let (good, broken) = try fill(topic, 2_000, partitions: 2), prefix = Broker.fresh("ids")
        try run(try table("orders", "id INT", topic, [
            "on-error": "dead-letter", "dead-letter.topic": letters, "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": prefix + "-a"])
            + table("ids", "id INT", out, ["format": "csv", "sink.delivery-guarantee": "exactly-once", "sink.transactional-id-prefix": prefix + "-b"]))
        for life in 0...3 {
            guard case .insert(let graph) = try session.execute(try SQLParser(text: "INSERT INTO ids SELECT id FROM orders").parseStatement()) else { return }
            let storage = try CheckpointStorage(directory: directory, retained: 2)
            let restored = try storage.newest { Issue.record("seed \(seed): \($0)") }
            #expect(life == 0 || restored != nil, "seed \(seed): life \(life) begins anew")
            let job = try SteppedExecution(graph, options: JobOptions(batchRows: 64, queueCapacity: 2), recovery: JobRecovery(jobID: "letters", storage: storage, restored: restored))
            // Some way beyond a checkpoint, or to the end.
            var checkpoints = 0, beyond = Int.random(in: 0...60, using: &random), ended = false
            let deadline = Date().addingTimeInterval(60)
            while !ended, life == 3 || checkpoints < 2 || beyond > 0 {
                if checkpoints >= 2 { beyond -= 1 }
                switch Int.random(in: 0..<12, using: &random) {
                case 0: job.startCheckpoint()
                case 1: _ = job.writeStep()
                case 2: try job.commitPending()
                default:
                    if let next = job.open.randomElement(using: &random) { _ = try job.step(next) } else { ended = job.conclude() }
                }
                for case (_, .success) in job.takeOutcomes() { checkpoints += 1 }
                try #require(Date() < deadline, "no progress with seed \(seed)")
            }
            if ended {
                job.close()
                break
            }
            job.abandon()
        }
        #expect(try judge.consume(out, count: good.count).compactMap(\.text).sorted() == good.sorted(), "seed \(seed)")
        #expect(try judge.consume(letters, count: broken.count).compactMap(\.keyText).sorted() == broken.keys.map { "key-\($0)" }.sorted(), "seed \(seed)")
    }

    @Test("a dead-letter table is filled by the names of its columns, metadata that it writes among them") func ofTheCatalog() throws {
        let topic = try Broker.shared.topic("orders"), letters = try Broker.shared.topic("letters"), out = try Broker.shared.topic("out")
        let (good, broken) = try fill(topic, 500, partitions: 1)
        try run("""
            \(try table("orders", "id INT, sent TIMESTAMP_LTZ(3) METADATA FROM 'timestamp', WATERMARK FOR sent AS sent", topic, [
                "on-error": "dead-letter", "dead-letter.table": "letters"]))
            \(try table("letters", "source STRING, topic STRING, `partition` STRING, `offset` BIGINT, record STRING, `key` STRING, reason STRING, `timestamp` TIMESTAMP_LTZ(3) METADATA", letters))
            \(try table("ids", "id INT", out, ["format": "csv"]))
            INSERT INTO ids SELECT id FROM orders;
            """)
        #expect(try judge.consume(out, count: good.count).compactMap(\.text).sorted() == good.sorted())
        let found = try judge.consume(letters, count: broken.count)
        #expect(found.count == broken.count)
        for message in found {
            let row = try #require(try JSONSerialization.jsonObject(with: Data(message.value ?? [])) as? [String: Any])
            let i = try #require(row["offset"] as? Int)
            #expect(row["record"] as? String == broken[i]?.text && row["key"] as? String == "key-\(i)" && row["topic"] as? String == topic)
            #expect(row["partition"] as? String == "0" && row["source"] as? String == "orders" && row["timestamp"] == nil)
        }
        let source = try judge.consume(topic, count: 500).filter { broken[Int($0.offset!)] != nil }.map(\.timestamp)
        #expect(found.map(\.timestamp) == source)
    }

    @Test("broken messages are rows where the table declares them, and a query that shows rows only writes nothing") func rows() throws {
        let topic = try Broker.shared.topic("orders"), letters = try Broker.shared.topic("letters")
        try judge.produce(topic, [#"{"id": 1}"#, "x", #"{"id": 3}"#])
        try run(try table("t", "id INT, why STRING METADATA FROM 'error', what BYTES METADATA FROM 'error.record', `offset` BIGINT METADATA", topic))
        #expect(try rows("SELECT id, why IS NULL, what, `offset` FROM t") == ["1 true NULL 0", "NULL false x 1", "3 true NULL 2"])
        try run(try table("u", "id INT", topic, ["on-error": "dead-letter", "dead-letter.topic": letters]))
        #expect(try rows("SELECT id FROM u").count == 2)
        #expect(try judge.bounds(letters).map(\.high) == [0])
        let both = #expect(throws: StreamError.self) {
            try run(try table("v", "id INT", topic, ["on-error": "dead-letter", "dead-letter.topic": letters, "dead-letter.table": "u"]))
        }
        #expect(both?.fix == "keep one of the two")
        let unused = #expect(throws: StreamError.self) { try run(try table("w", "id INT", topic, ["dead-letter.topic": letters])) }
        #expect(unused?.problem.contains("used only with") == true)
    }
}
