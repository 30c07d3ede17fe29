import Foundation
import StreamCore
import StreamRuntime
import StreamTesting
import Testing
@testable import KafkaConnector

@Suite("kafka: reading") struct SourceTests {
    private let judge: Judge
    private let bounded = ["scan.bounded.mode": "latest-offset"]

    init() throws { judge = try Broker.shared.judge }

    private static func json(_ ids: Range<Int>) -> [String] { ids.map { #"{"id": \#($0), "name": "n\#($0)"}"# } }
    /// For records with times of long ago.
    private static let keeps = ["retention.ms": "-1"]
    private static func names(_ ids: Range<Int>) -> [String] { ids.map { "\($0) n\($0)" }.sorted() }

    @Test("all that is there is read once, whatever the compression and the number of partitions", arguments: ["none", "gzip", "snappy", "lz4", "zstd"], [1, 6])
    func everything(compression: String, partitions: Int) throws {
        let topic = try Broker.shared.topic("source", partitions: partitions)
        try judge.produce(topic, (0..<500).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 % partitions) }, compression: compression)
        for parallelism in [1, 3] {
            let sql = try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, bounded), parallelism: parallelism)
            #expect(try sql.texts("SELECT id, name FROM t") == Self.names(0..<500))
            #expect(try sql.changes("SELECT COUNT(*) FROM t").last?.values == [.int(500)])
        }
    }

    @Test("every startup mode begins where it says") func startupModes() throws {
        let topic = try Broker.shared.topic("source", partitions: 2, settings: Self.keeps), group = Broker.shared.group()
        try judge.produce(topic, (0..<20).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 % 2, timestamp: 1_700_000_000_000 + Int64($0) * 1_000) })
        try judge.commit(topic, group: group, [0: 9, 1: 8])
        func ids(_ options: [String: String]) throws -> [Int] {
            try KafkaSQL(KafkaSQL.table("id INT", topic, bounded.merging(options) { $1 })).texts("SELECT id FROM t").compactMap { Int($0) }.sorted()
        }
        #expect(try ids(["scan.startup.mode": "earliest-offset"]) == Array(0..<20))
        #expect(try ids(["scan.startup.mode": "latest-offset"]) == [])
        #expect(try ids(["scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": "1700000013500"]) == Array(14..<20))
        #expect(try ids(["scan.startup.mode": "timestamp", "scan.startup.timestamp-millis": "1900000000000"]) == [])
        #expect(try ids(["scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": "partition:0,offset:9;partition:1,offset:10"]) == [18])
        #expect(try ids(["scan.startup.mode": "group-offsets", "properties.group.id": group]) == [17, 18, 19])
        #expect(try ids(["scan.startup.mode": "", "properties.group.id": group]) == [17, 18, 19])
        let other = Broker.shared.group()
        #expect(try ids(["scan.startup.mode": "group-offsets", "properties.group.id": other, "properties.auto.offset.reset": "earliest"]).count == 20)
        #expect(try ids(["scan.startup.mode": "group-offsets", "properties.group.id": other, "properties.auto.offset.reset": "latest"]) == [])
        let error = #expect(throws: StreamError.self) { try ids(["scan.startup.mode": "group-offsets", "properties.group.id": other]) }
        #expect(error?.problem == "table t: group '\(other)' has committed no offset of \(topic)-0")
        let without = #expect(throws: StreamError.self) { try ids(["scan.startup.mode": ""]) }
        #expect(without?.problem == "table t: 'scan.startup.mode' = 'group-offsets', the default, needs option 'properties.group.id'")
    }

    @Test("every bounded mode ends where it says") func boundedModes() throws {
        let topic = try Broker.shared.topic("source", partitions: 2, settings: Self.keeps), group = Broker.shared.group()
        try judge.produce(topic, (0..<20).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 % 2, timestamp: 1_700_000_000_000 + Int64($0) * 1_000) })
        try judge.commit(topic, group: group, [0: 2, 1: 1])
        func ids(_ options: [String: String]) throws -> [Int] {
            try KafkaSQL(KafkaSQL.table("id INT", topic, options)).texts("SELECT id FROM t").compactMap { Int($0) }.sorted()
        }
        #expect(try ids(["scan.bounded.mode": "latest-offset"]) == Array(0..<20))
        #expect(try ids(["scan.bounded.mode": "timestamp", "scan.bounded.timestamp-millis": "1700000005500"]) == Array(0..<6))
        #expect(try ids(["scan.bounded.mode": "specific-offsets", "scan.bounded.specific-offsets": "partition:1,offset:3"]) == [1, 3, 5])
        #expect(try ids(["scan.bounded.mode": "group-offsets", "properties.group.id": group]) == [0, 1, 2])
    }

    @Test("a bounded read ends behind the last record that counts, when nothing but markers and aborted records follow") func endsAtMarkers() throws {
        let topic = try Broker.shared.topic("source"), sql = try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, bounded))
        try judge.produce(topic, Self.json(0..<3).map { Message($0) }, transaction: .commit)
        try judge.produce(topic, Self.json(3..<6).map { Message($0) }, transaction: .abort)
        #expect(try sql.texts("SELECT id, name FROM t") == Self.names(0..<3))
        try judge.produce(topic, Self.json(6..<8).map { Message($0) })
        #expect(try sql.texts("SELECT id, name FROM t") == Self.names(0..<3) + Self.names(6..<8))
        let uncommitted = try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, bounded.merging(["properties.isolation.level": "read_uncommitted"]) { $1 }))
        #expect(try uncommitted.texts("SELECT id, name FROM t") == Self.names(0..<8))
    }

    @Test("an empty topic gives nothing, and ends") func empty() throws {
        let topic = try Broker.shared.topic("source", partitions: 3)
        #expect(try KafkaSQL(KafkaSQL.table("id INT", topic, bounded)).texts("SELECT id FROM t") == [])
    }

    @Test("metadata columns tell what a message has beside its value") func metadata() throws {
        let topic = try Broker.shared.topic("source", partitions: 2, settings: Self.keeps)
        try judge.produce(topic, [
            Message(#"{"id": 1}"#, partition: 1, headers: [.init("a", "x"), .init("b", nil), .init("a", "y")], timestamp: 1_700_000_000_123),
            Message(#"{"id": 2}"#, partition: 1, timestamp: 1_700_000_000_456), Message(#"{"id": 3}"#, partition: 0, timestamp: 1_700_000_000_789),
        ])
        let sql = try KafkaSQL(KafkaSQL.table("""
            id INT, `topic` STRING METADATA VIRTUAL, p INT METADATA FROM 'partition' VIRTUAL, `offset` BIGINT METADATA VIRTUAL, ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp',
            kind STRING METADATA FROM 'timestamp-type' VIRTUAL, headers MAP<STRING, BYTES> METADATA, epoch INT METADATA FROM 'leader-epoch' VIRTUAL
            """, topic, bounded))
        #expect(try sql.texts("SELECT id, `topic`, p, `offset`, ts, kind, headers FROM t") == [
            "1 \(topic) 1 0 1700000000123 CreateTime {b=NULL,a=y}", "2 \(topic) 1 1 1700000000456 CreateTime {}", "3 \(topic) 0 0 1700000000789 CreateTime {}",
        ])
        let epochs = try sql.texts("SELECT epoch FROM t"), offsets = try sql.texts("SELECT `offset`, id FROM t WHERE p = 1")
        #expect(epochs.count == 3)
        #expect(offsets == ["0 1", "1 2"])
    }

    @Test("keys are columns beside those of the value") func keys() throws {
        let topic = try Broker.shared.topic("source")
        try judge.produce(topic, [
            Message(#"{"id": 1, "v": "a"}"#, key: #"{"k": 10, "l": "x"}"#), Message(#"{"id": 2, "v": "b"}"#, key: #"{"k": 20}"#), Message(nil, key: #"{"k": 30}"#),
            Message(#"{"id": 4, "v": "d"}"#), Message(#"{"id": 5, "v": "e"}"#, key: #"{"l": "z", "k": 50}"#),
        ])
        let options = bounded.merging(["value.format": "json", "key.format": "json", "key.fields": "key_k;key_l", "key.fields-prefix": "key_", "value.fields-include": "EXCEPT_KEY"]) { $1 }
        let sql = try KafkaSQL(KafkaSQL.table("v STRING, key_l STRING, id INT, key_k INT, o BIGINT METADATA FROM 'offset'", topic, options))
        #expect(try sql.texts("SELECT key_k, key_l, id, v, o FROM t") == ["10 x 1 a 0", "20 NULL 2 b 1", "50 z 5 e 4"])
        #expect(try sql.texts("SELECT key_k FROM t") == ["10", "20", "50"])
        #expect(try sql.texts("SELECT v FROM t") == ["a", "b", "e"])
        let raw = try KafkaSQL(KafkaSQL.table("k STRING, v STRING", topic, bounded.merging(
            ["value.format": "raw", "key.format": "raw", "key.fields": "k", "value.fields-include": "EXCEPT_KEY"]) { $1 }))
        #expect(try raw.texts("SELECT k FROM t") == ["NULL", #"{"k": 10, "l": "x"}"#, #"{"k": 20}"#, #"{"k": 30}"#, #"{"l": "z", "k": 50}"#])
        #expect(try raw.texts("SELECT v FROM t WHERE k LIKE '%30%'") == ["NULL"])
        let both = try KafkaSQL(KafkaSQL.table("id INT, v STRING", topic, bounded.merging(["value.format": "json", "key.format": "raw", "key.fields": "id"]) { $1 }, name: "t")
            .replacing("'raw'", with: "'json'"))
        #expect(try both.texts("SELECT id, v FROM t") == ["1 a", "2 b", "5 e"])
    }

    @Test("an upsert table is what its messages leave") func upserts() throws {
        let topic = try Broker.shared.topic("source", partitions: 1)
        try judge.produce(topic, [
            Message(#"{"id": 1, "v": "a"}"#, key: #"{"id": 1}"#), Message(#"{"id": 2, "v": "b"}"#, key: #"{"id": 2}"#), Message(#"{"id": 1, "v": "c"}"#, key: #"{"id": 1}"#),
            Message(nil, key: #"{"id": 2}"#), Message(#"{"id": 3, "v": "d"}"#, key: #"{"id": 3}"#),
        ])
        let options = bounded.merging(["connector": "upsert-kafka", "key.format": "json", "value.format": "json"]) { $1 }
        let sql = try KafkaSQL(KafkaSQL.table("id INT, v STRING, PRIMARY KEY (id) NOT ENFORCED", topic, options))
        var rows: [[Value]] = []
        for change in try sql.changes("SELECT v, id FROM t") {
            if change.kind.isAdd { rows.append(change.values) } else if let i = rows.firstIndex(of: change.values) { rows.remove(at: i) } else { Issue.record("\(change)") }
        }
        #expect(Set(rows) == [[.string("c"), .int(1)], [.string("d"), .int(3)]])
        #expect(try sql.changes("SELECT COUNT(*) FROM t").last?.values == [.int(2)])
    }

    @Test("a changelog format's rows keep their kinds") func changelogs() throws {
        let topic = try Broker.shared.topic("source")
        try judge.produce(topic, [
            Message(#"{"op": "c", "before": null, "after": {"id": 1, "v": "a"}}"#), Message(#"{"op": "u", "before": {"id": 1, "v": "a"}, "after": {"id": 1, "v": "b"}}"#),
            Message(nil), Message(#"{"op": "d", "before": {"id": 1, "v": "b"}, "after": null}"#),
        ])
        let sql = try KafkaSQL(KafkaSQL.table("id INT, v STRING, o BIGINT METADATA FROM 'offset'", topic, bounded.merging(["format": "debezium-json"]) { $1 }))
        #expect(try sql.changes("SELECT id, v, o FROM t").map { "\($0.kind) " + $0.values.map(KafkaSQL.text).joined(separator: " ") } == ["+I 1 a 0", "-U 1 a 1", "+U 1 b 1", "-D 1 b 3"])
    }

    @Test("broken messages end the job with their place, are skipped, or are rows") func brokenMessages() throws {
        let topic = try Broker.shared.topic("source", partitions: 2)
        try judge.produce(topic, (0..<10).map { Message($0 == 7 ? "oops" : Self.json($0..<$0 + 1)[0], partition: 1) })
        let error = #expect(throws: StreamError.self) { try KafkaSQL(KafkaSQL.table("id INT", topic, bounded)).texts("SELECT id FROM t") }
        #expect(error?.problem.hasPrefix("topic \(topic), partition 1, offset 7, value: ") == true && error?.problem.hasSuffix(", in oops") == true, "\(error as Any)")
        for option in ["on-error", "json.ignore-parse-errors"] {
            let sql = try KafkaSQL(KafkaSQL.table("id INT", topic, bounded.merging([option: option == "on-error" ? "skip" : "true"]) { $1 }))
            #expect(try sql.texts("SELECT id FROM t").count == 9)
        }
        let rows = try KafkaSQL(KafkaSQL.table("id INT, o BIGINT METADATA FROM 'offset', e STRING METADATA FROM 'error', r BYTES METADATA FROM 'error.record'", topic, bounded))
        #expect(try rows.texts("SELECT o, r FROM t WHERE e IS NOT NULL AND id IS NULL") == ["7 oops"])
        #expect(try rows.texts("SELECT id FROM t WHERE e IS NULL").count == 9)
    }

    @Test("a job without end reads what comes, finds new partitions, and commits its offsets") func unbounded() throws {
        let topic = try Broker.shared.topic("source", partitions: 2), group = Broker.shared.group(), directory = ScratchDirectory()
        let sql = try KafkaSQL("SET 'execution.checkpointing.interval' = '100 ms';" + KafkaSQL.table("id INT, name STRING", topic, [
            "properties.group.id": group, "scan.topic-partition-discovery.interval": "200 ms",
        ]))
        try judge.produce(topic, (0..<10).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 % 2) })
        do {
            let job = try RunningQuery(sql, "SELECT id, name FROM t", directory: directory.path)
            #expect(job.waitForRows(10), "\(job.failure as Any)")
            try judge.grow(topic, to: 3)
            try judge.produce(topic, (10..<20).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 < 15 ? 2 : 0) })
            #expect(job.waitForRows(20), "\(job.failure as Any)")
            #expect(try job.wait { try judge.committed(topic, group: group) == [10, 5, 5] }, "\(job.warnings)")
            #expect(job.wait { job.runner.status().first?.gauges["lag.\(topic)-0"] == 0 }, "\(job.runner.status())")
            #expect(job.runner.status().first?.lag == 0)
            try job.stop()
            #expect(job.texts.sorted() == Self.names(0..<20))
        }

        // It goes on from its checkpoint, and reads partitions that came meanwhile from their beginning.
        try judge.grow(topic, to: 4)
        try judge.produce(topic, (20..<30).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 < 25 ? 3 : 1) })
        let latest = try KafkaSQL("SET 'execution.checkpointing.interval' = '100 ms';" + KafkaSQL.table("id INT, name STRING", topic, [
            "properties.group.id": group, "scan.startup.mode": "latest-offset",
        ]))
        let again = try RunningQuery(latest, "SELECT id, name FROM t", directory: directory.path)
        #expect(again.waitForRows(10), "\(again.failure as Any)")
        try again.stop()
        #expect(again.texts.sorted() == Self.names(20..<30))
        // The last checkpoint is committed, too.
        #expect(try judge.committed(topic, group: group) == [10, 10, 5, 5])
    }

    @Test("topics that match a pattern are found as they come") func pattern() throws {
        let prefix = Broker.fresh("pattern")
        try judge.create(prefix + "-a")
        try judge.produce(prefix + "-a", Self.json(0..<5))
        let sql = try KafkaSQL(KafkaSQL.table("id INT, name STRING, tp STRING METADATA FROM 'topic'", "", ["topic-pattern": prefix + "-[ab]", "scan.topic-partition-discovery.interval": "200 ms"]))
        let job = try RunningQuery(sql, "SELECT id, tp FROM t")
        #expect(job.waitForRows(5))
        try judge.create(prefix + "-b", partitions: 2)
        try judge.create(prefix + "-c")
        try judge.produce(prefix + "-c", Self.json(5..<6))
        try judge.produce(prefix + "-b", (6..<10).map { Message(Self.json($0..<$0 + 1)[0], partition: $0 % 2) })
        #expect(job.waitForRows(9))
        try job.stop()
        #expect(job.texts.sorted() == (0..<5).map { "\($0) \(prefix)-a" } + (6..<10).map { "\($0) \(prefix)-b" })
    }

    @Test("one subtask reads more partitions than it would read files at a time") func manyPartitions() throws {
        let topic = try Broker.shared.topic("source", partitions: 100)
        try judge.produce(topic, (0..<100).map { Message(Self.json($0..<$0 + 1)[0], partition: $0) })
        let job = try RunningQuery(try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, [:])), "SELECT id, name FROM t")
        #expect(job.waitForRows(100))
        try job.stop()
        #expect(job.texts.sorted() == Self.names(0..<100))
        #expect(try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, bounded)).texts("SELECT id, name FROM t") == Self.names(0..<100))
    }

    @Test("records that are gone are told of, and counted, or end the job") func goneRecords() throws {
        let topic = try Broker.shared.topic("source")
        try judge.produce(topic, Self.json(0..<20))
        try judge.deleteRecords(topic, before: 12)
        let specific = ["scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": "partition:0,offset:3"]
        let job = try RunningQuery(try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, specific)), "SELECT id, name FROM t")
        #expect(job.waitForRows(8), "\(job.failure as Any)")
        #expect(job.runner.status().first?.gauges["offset-resets.\(topic)-0"] == 1)
        #expect(job.warnings.contains { $0.hasPrefix("\(topic)-0 has no record at offset 3 any more: reading goes on at the first one there is") }, "\(job.warnings)")
        try job.stop()
        #expect(job.texts == Self.names(12..<20))
        let failing = try RunningQuery(try KafkaSQL(KafkaSQL.table("id INT, name STRING", topic, specific.merging(["properties.auto.offset.reset": "none"]) { $1 })), "SELECT id, name FROM t")
        let error = #expect(throws: StreamError.self) { try failing.end() }
        #expect(error?.problem.hasPrefix("reading \(topic)-0 from offset 3: ") == true && error?.fix?.contains("'properties.auto.offset.reset'") == true, "\(error as Any)")
    }

    @Test("a topic that is not there, and a broker that is not, are errors that say so") func startErrors() throws {
        let error = #expect(throws: StreamError.self) { try KafkaSQL(KafkaSQL.table("id INT", "no-such-topic", bounded)).texts("SELECT id FROM t") }
        let bootstrap = try Broker.shared.bootstrap
        #expect(error?.problem == "table t: the cluster \(bootstrap) has no topic 'no-such-topic'")
        #expect(error?.fix == "create it, or correct the option 'topic'")
    }

    @Test("event time goes by the partition that is furthest behind") func watermarks() throws {
        let topic = try Broker.shared.topic("source", partitions: 2)
        // Partition 1 is a day behind partition 0: none of its rows is late.
        try judge.produce(topic, (0..<2_000).map { i in
            Message(#"{"id": \#(i), "ts": "2024-01-0\#(2 - i % 2) 00:\#(String(format: "%02d:%02d", i / 60 % 60, i % 60))"}"#, partition: i % 2)
        })
        let sql = try KafkaSQL(KafkaSQL.table("id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts", topic, bounded))
        let rows = try sql.rows("SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' DAY)) GROUP BY window_start, window_end")
        #expect(rows.map { $0[1] } == [.int(1_000), .int(1_000)])
    }
}
