import Foundation
import Testing

@Suite("Topologies/mirror.yaml on the command line", .serialized) struct MirrorCommandTests {
    private let file = Workspace.topologies + "/mirror.yaml"

    /// What a record is, apart from its offset.
    private func contents(_ broker: Broker, _ topic: String, count: Int) throws -> [String] {
        try broker.judge.consume(topic, count: count).map { "\($0.partition ?? -1) \($0.key ?? [0]) \($0.value ?? [0]) \($0.headers) \($0.timestamp ?? 0)" }
    }

    private func messages(_ n: Int, from: Int = 0) -> [Message] {
        let time = Int64(Date().timeIntervalSince1970 * 1_000) - 3_600_000
        return (from..<from + n).map { Message($0 % 7 == 3 ? nil : "value \($0)", key: "key \($0)", partition: $0 % 3, headers: $0 % 2 == 0 ? [] : [.init("h", "\($0)")], timestamp: time + Int64($0)) }
    }

    @Test func copiesWhatThereIsAndEnds() throws {
        let workspace = try Workspace(), a = try Broker.shared.topic("cli-a", partitions: 3), b = try Broker.shared.topic("cli-b", partitions: 3)
        try Broker.shared.judge.produce(a, messages(100))
        try Broker.shared.judge.produce(b, messages(50))
        let ended = try workspace.ok("run", file, "--output", "json", environment: [
            "FROM": try Broker.shared.bootstrap, "TO": try Broker.other.bootstrap, "TOPICS": "\(a);\(b)", "UNTIL": "latest", "REPLICATION": "1",
        ])
        #expect(try ended.objects().last?["event"] as? String == "finished", "\(ended)")
        #expect(try contents(.other, a, count: 100) == contents(.shared, a, count: 100) && contents(.other, b, count: 50) == contents(.shared, b, count: 50))
    }

    @Test("killed again and again it loses nothing, repeats nothing and carries groups over")
    func killed() throws {
        let workspace = try Workspace(), topic = try Broker.shared.topic("cli-killed", partitions: 3), group = Broker.shared.group()
        let here = try Broker.shared.judge, there = try Broker.other.judge
        let environment = ["FROM": try Broker.shared.bootstrap, "TO": try Broker.other.bootstrap, "TOPICS": topic, "GROUPS": group, "INTERVAL": "300 ms",
                           "REPLICATION": "1", "DELIVERY": "exactly-once"]
        var written = 0
        for round in 0..<4 {
            let command = try workspace.start(["run", file, "--output", "json"], environment: environment)
            try here.produce(topic, messages(200, from: written))
            written += 200
            try eventually("most of the records") { try there.topics()[topic] != nil && there.consume(topic, seconds: 1).count >= written - 150 }
            try here.produce(topic, messages(20, from: written))
            written += 20
            // A first start that dies before its first checkpoint begins anew.
            if round == 0 { try workspace.waitForCheckpoint(above: 0, of: "mirror") }
            try command.crash()
        }
        #expect(try here.consume(topic, group: group, count: 300).count == 300)
        let command = try workspace.start(["run", file, "--output", "json"], environment: environment)
        try eventually("all records") { try there.consume(topic, seconds: 1).count >= written }
        let committed = try here.committed(topic, group: group)
        try eventually("the group's offsets") {
            let now = try there.committed(topic, group: group)
            return zip(committed, now).allSatisfy { ($0 == nil) == ($1 == nil) }
        }
        command.signal(SIGTERM)
        #expect(try command.end().status == 0)
        #expect(try contents(.other, topic, count: written) == contents(.shared, topic, count: written))
        // What the group has not read at the first cluster it reads at the second.
        let rest = try there.consume(topic, group: group, count: written - 300)
        #expect(rest.count == written - 300)
    }
}
