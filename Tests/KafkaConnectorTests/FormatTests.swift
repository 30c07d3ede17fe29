import Foundation
import KafkaConnector
import SchemaRegistry
import StreamCore
import Testing

/// Formats that look at more than the bytes of a value, through SQL and a broker.
@Suite("formats") struct FormatTests {
    /// The registry of Tests/Support/formats, in another process, stopped with the last reference.
    private final class Registry {
        private let folder = FileManager.default.temporaryDirectory.appending(path: Broker.fresh("registry"))
        private let process = Process()
        private(set) var url = ""

        init() throws {
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            process.executableURL = URL(filePath: Script.python)
            process.arguments = [Script.root.appending(path: "Tests/Support/formats/registry_server.py").path, folder.path]
            try process.run()
            let deadline = Date().addingTimeInterval(60)
            while url.isEmpty, Date() < deadline {
                if let port = try? String(contentsOf: folder.appending(path: "port"), encoding: .utf8) { url = "http://127.0.0.1:\(port)" } else { usleep(10_000) }
            }
            if url.isEmpty { throw BrokerError("the registry did not start") }
        }

        deinit {
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            try? FileManager.default.removeItem(at: folder)
        }

        var requests: [String] { ((try? String(contentsOf: folder.appending(path: "log"), encoding: .utf8)) ?? "").split(separator: "\n").map(String.init) }
    }

    private func options(_ topic: String, _ more: [String: String]) throws -> String {
        var all = ["connector": "kafka", "topic": topic, "properties.bootstrap.servers": try Broker.shared.bootstrap, "scan.startup.mode": "earliest-offset",
                   "scan.bounded.mode": "latest-offset"]
        all.merge(more) { $1 }
        return all.sorted { $0.key < $1.key }.map { "'\($0)' = '\($1)'" }.joined(separator: ", ")
    }

    @Test func keysAndValuesWithARegistryAreKnownByTheTopic() throws {
        SchemaRegistryFormats.register()
        let registry = try Registry(), topic = try Broker.shared.topic("avro")
        let jobs = try SQLJobs("""
            CREATE TABLE t (id BIGINT, name STRING, at_time TIMESTAMP(3)) WITH (\(try options(topic, [
                "key.format": "avro-confluent", "key.fields": "id", "key.avro-confluent.url": registry.url, "value.format": "avro-confluent",
                "value.avro-confluent.url": registry.url, "value.fields-include": "EXCEPT_KEY",
            ])));
            INSERT INTO t VALUES (1, 'a', TIMESTAMP '2024-01-01 00:00:00'), (2, CAST(NULL AS STRING), TIMESTAMP '2024-01-02 00:00:00.5');
            """)
        #expect(try jobs.rows("SELECT id, name FROM t") == ["1|a", "2|NULL"])
        #expect(Set(registry.requests.filter { $0.hasPrefix("POST") }) == ["POST /subjects/\(topic)-key/versions", "POST /subjects/\(topic)-value/versions"])
        // A newer schema, and one message that is none.
        try Broker.shared.judge.produce(topic, [Message("no avro", key: nil)])
        try jobs.run("""
            CREATE TABLE more (name STRING, n INT) WITH (\(try options(topic, [
                "value.format": "avro-confluent", "value.avro-confluent.url": registry.url, "on-error": "skip",
            ])));
            INSERT INTO more VALUES ('c', 7);
            """)
        #expect(try jobs.rows("SELECT name, n FROM more") == ["NULL|NULL", "a|NULL", "c|7"])
    }

    @Test func aFormatTellsOfItsMessages() throws {
        let topic = try Broker.shared.topic("debezium")
        try Broker.shared.judge.produce(topic, [
            #"{"before":null,"after":{"id":1},"source":{"db":"shop","table":"orders","ts_ms":1600000000123},"op":"c","ts_ms":1600000000999}"#,
            #"{"before":{"id":1},"after":{"id":2},"source":{"db":"shop","table":"orders","ts_ms":5},"op":"u","ts_ms":7}"#,
        ])
        let jobs = try SQLJobs("""
            CREATE TABLE t (id INT, told TIMESTAMP_LTZ(3) METADATA FROM 'value.ingestion-timestamp' VIRTUAL, made TIMESTAMP(6) METADATA FROM 'value.source.timestamp' VIRTUAL,
              db STRING METADATA FROM 'value.source.database' VIRTUAL, o BIGINT METADATA FROM 'offset' VIRTUAL, tab STRING METADATA FROM 'value.source.table' VIRTUAL)
            WITH (\(try options(topic, ["value.format": "debezium-json"])));
            """)
        let rows = try jobs.rows("SELECT id, db, tab, o FROM t WHERE made > TIMESTAMP '1970-01-01 00:00:00'", kinds: true)
        #expect(rows == ["+I 1|shop|orders|0", "+U 2|shop|orders|1", "-U 1|shop|orders|1"])
        let error = jobs.error("CREATE TABLE u (id INT, x STRING METADATA FROM 'value.source.tabel' VIRTUAL) WITH (\(try options(topic, ["value.format": "debezium-json"])))")
        #expect(error.map { "\($0)" }?.contains("value.source.table") == true)
        let type = jobs.error("CREATE TABLE u (id INT, x INT METADATA FROM 'value.source.table' VIRTUAL) WITH (\(try options(topic, ["value.format": "debezium-json"])))")
        #expect(type?.problem.contains("cannot hold 'value.source.table'") == true)
    }
}
