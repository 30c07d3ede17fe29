import Foundation
import Testing

@Suite("swiftwater kafka") struct KafkaCommandTests {
    @Test("topics: names, partitions, records, leaders")
    func topics() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = try Broker.shared.topic("cli", partitions: 3)
        try Broker.shared.judge.produce(topic, (0..<7).map { Message("\($0)", partition: $0 == 6 ? 2 : 0) })
        let all = try workspace.ok("kafka", "topics", "--bootstrap", bootstrap, "--output", "json").objects()
        let mine = try #require(all.first { $0["topic"] as? String == topic })
        #expect(mine["records"] as? Int == 7 && (mine["partitions"] as? [Any])?.count == 3)
        #expect(try workspace.ok("kafka", "topics", "--bootstrap", bootstrap).lines.contains { $0.hasPrefix("| \(topic)") })
        let one = try workspace.ok("kafka", "topics", topic, "--bootstrap", bootstrap, "--output", "json").objects()
        let partitions = try #require(one.first?["partitions"] as? [[String: Any]])
        #expect(one.count == 1 && partitions.map { $0["records"] as? Int } == [6, 0, 1] && partitions.allSatisfy { ($0["leader"] as? Int ?? -1) >= 0 })
        #expect(try workspace.ok("kafka", "topics", topic, "--bootstrap", bootstrap).lines.count == 7)
    }

    @Test("tail: the last records, a partition, an offset, a time; what a terminal must not get is escaped")
    func tail() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = try Broker.shared.topic("cli", partitions: 2)
        let time: Int64 = 1_772_366_400_000 // 2026-03-01T12:00:00Z
        try Broker.shared.judge.produce(topic, (0..<20).map {
            Message("v\($0)", key: "k\($0)", partition: $0 % 2, headers: $0 == 19 ? [.init("h", "x"), .init("none", nil)] : [], timestamp: time + Int64($0) * 1_000)
        })
        func values(_ more: String...) throws -> [String] {
            let outcome = try workspace.start(["kafka", "tail", topic, "--bootstrap", bootstrap, "--output", "json"] + more).end(within: 60)
            try #require(outcome.status == 0, "\(outcome)")
            return try outcome.objects().map { $0["value"] as? String ?? "-" }
        }
        #expect(try values() == (10..<20).map { "v\($0)" })
        #expect(try values("-n", "3") == ["v17", "v18", "v19"])
        #expect(try values("-n", "0") == [])
        #expect(try values("--partition", "1", "-n", "2") == ["v17", "v19"])
        #expect(try values("--from", "earliest") == (0..<20).map { "v\($0)" })
        #expect(try values("--from", "latest") == [])
        #expect(try values("--from", "8", "--partition", "0") == ["v16", "v18"])
        #expect(try values("--from", "8", "--partition", "0", "-n", "1") == ["v16"])
        #expect(try values("--from", "2026-03-01T12:00:17Z") == ["v17", "v18", "v19"])
        let line = try workspace.ok("kafka", "tail", topic, "-n", "1", "--bootstrap", bootstrap).out
        #expect(line == "1/9  2026-03-01 12:00:19.000  k19  v19  {h=x, none=NULL}\n")

        try Broker.shared.judge.produce(topic, [Message(bytes: Array("a\u{1B}[2J\n\u{202E}ü\\".utf8) + [0xFF], key: nil, partition: 0, timestamp: time + 60_000)])
        let shown = try workspace.ok("kafka", "tail", topic, "-n", "1", "--bootstrap", bootstrap).out
        #expect(shown == #"0/10  2026-03-01 12:01:00.000  NULL  a\x1b[2J\n\u202eü\\\xff"# + "\n")
        let object = try #require(try workspace.ok("kafka", "tail", topic, "-n", "1", "--bootstrap", bootstrap, "--output", "json").objects().first)
        #expect(object["key"] is NSNull && (object["value_base64"] as? String).flatMap { Data(base64Encoded: $0) }?.last == 0xFF)
    }

    @Test("tail --follow shows what comes and ends well on SIGINT")
    func follow() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = try Broker.shared.topic("cli")
        try Broker.shared.judge.produce(topic, ["old", "newer"])
        let command = try workspace.start(["kafka", "tail", topic, "--follow", "-n", "1", "--bootstrap", bootstrap, "--output", "json"])
        try eventually("the newest record there is") { command.out.contains("newer") }
        try Broker.shared.judge.produce(topic, [Message("hidden")], transaction: .abort)
        #expect(try workspace.ok("kafka", "tail", topic, "-n", "2", "--bootstrap", bootstrap).lines.count == 2, "marks of transactions are not records")
        try Broker.shared.judge.produce(topic, ["new"])
        try eventually("the new record") { command.out.contains(#""value":"new""#) }
        command.signal(SIGINT)
        let outcome = try command.end(within: 30)
        #expect(outcome.status == 0 && outcome.errors.isEmpty && !outcome.out.contains("hidden") && !outcome.out.contains("old"), "\(outcome)")
    }

    @Test("lag: what groups have committed and what is left; --max-lag fails with status 3")
    func lag() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = try Broker.shared.topic("cli", partitions: 2), group = Broker.shared.group()
        try Broker.shared.judge.produce(topic, (0..<10).map { Message("\($0)", partition: 0) })
        try Broker.shared.judge.commit(topic, group: group, [0: 4])
        for arguments in [["--group", group], []] {
            let outcome = try workspace.start(["kafka", "lag", "--bootstrap", bootstrap, "--output", "json"] + arguments).end(within: 60)
            let mine = try outcome.objects().filter { $0["group"] as? String == group }
            #expect(mine.map { [$0["partition"], $0["committed"], $0["end"], $0["lag"]].map { $0 as? Int } } == [[0, 4, 10, 6]], "\(outcome)")
        }
        #expect(try workspace.ok("kafka", "lag", "--group", group, "--bootstrap", bootstrap).lines.contains { $0.hasSuffix("|         4 |  10 |   6 |") })
        #expect(try workspace.run("kafka", "lag", "--group", group, "--max-lag", "6", "--bootstrap", bootstrap).status == 0)
        let behind = try workspace.run("kafka", "lag", "--group", group, "--max-lag", "5", "--bootstrap", bootstrap)
        #expect(behind.status == 3 && behind.errors == "group \(group) is 6 records behind in \(topic)-0, more than 5\n", "\(behind)")
    }

    @Test("what is mistyped or away is one error")
    func errors() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = try Broker.shared.topic("cli-errors")
        try workspace.run("kafka", "tail", topic + "x", "--bootstrap", bootstrap).expectOneError(containing: topic + "x", "\"\(topic)\"")
        try workspace.run("kafka", "topics", topic + "x", "--bootstrap", bootstrap).expectOneError(containing: topic + "x", "\"\(topic)\"")
        try workspace.run("kafka", "tail", topic, "--partition", "3", "--bootstrap", bootstrap).expectOneError(containing: "no partition 3", "0 to 0")
        try workspace.run("kafka", "tail", topic, "--from", "yesterday", "--bootstrap", bootstrap).expectOneError(containing: "'yesterday'", "earliest, latest")
        try workspace.run("kafka", "lag", "--group", "nobody-at-all", "--bootstrap", bootstrap).expectOneError(containing: "'nobody-at-all'", "no offsets")
        try workspace.run("kafka", "topics", "--bootstrap", "127.0.0.1:1", "--timeout", "2").expectOneError(containing: "127.0.0.1:1", "--bootstrap")
        try workspace.run("kafka", "topics", "--bootstrap", bootstrap, "--property", "sesion.timeout.ms=3").expectOneError(containing: "sesion.timeout.ms", "\"session.timeout.ms\"")
        try workspace.run("kafka", "topics", "--bootstrap", bootstrap, "--property", "security").expectOneError(containing: "--property key=value")
        try workspace.run("kafka", "topcis").expectOneError(status: 64, containing: "topcis", "topics")
    }

    @Test("Topologies/kafka-orders.yaml keeps the newest version of each generated order, and puts aside what is none")
    func orders() throws {
        let workspace = try Workspace(), bootstrap = try Broker.shared.bootstrap, topic = Broker.fresh("cli-orders")
        try workspace.ok("generate", "orders", "--count", "200", "--topic", topic, "--bootstrap", bootstrap)
        try workspace.ok("generate", "orders", "--count", "200", "--changes", "--topic", topic, "--bootstrap", bootstrap)
        try Broker.shared.judge.produce(topic, ["oops"])
        let outcome = try workspace.start(["run", Workspace.topologies + "/kafka-orders.yaml"], environment: [
            "BROKERS": bootstrap, "TOPIC": topic, "GROUP": topic, "DEAD_LETTERS": topic + "-dead", "BOUNDED": "latest-offset",
        ]).end()
        #expect(outcome.status == 0, "\(outcome)")
        try workspace.check(table: workspace.path("data/tables/order_hudi"), key: "order_id,item_id")
        let count = try workspace.ok("table", "query", workspace.path("data/tables/order_hudi"), "SELECT COUNT(*) AS n FROM t", "--output", "json").objects()
        #expect(count.first?["n"] as? Int == 200, "\(count)")
        #expect(try Broker.shared.judge.consume(topic + "-dead").map(\.text) == ["oops"])
    }
}
