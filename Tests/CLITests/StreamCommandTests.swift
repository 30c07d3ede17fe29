import Foundation
import Testing

@Suite("swiftwater stream") struct StreamCommandTests {
    @Test("create, list, describe, put, get, tail, delete")
    func roundTrip() throws {
        let workspace = try Workspace()
        try workspace.ok("stream", "create", "readings", "--shards", "3")
        try workspace.run("stream", "create", "readings").expectOneError(containing: "readings", "exists")
        try workspace.ok("stream", "create", "readings", "--if-not-exists")
        try workspace.ok("stream", "put", "readings", #"{"n": 0}"#, "--partition-key", "k")
        try workspace.ok("stream", "put", "readings", input: (1...99).map { "{\"n\": \($0)}\n" }.joined())
        #expect(try workspace.ok("stream", "list", "--output", "json").objects().map { "\($0["stream"]!) \($0["shards"]!) \($0["records"]!)" } == ["readings 3 100"])
        #expect(try workspace.ok("stream", "list").out.contains("| readings |      3 |     100 |"))

        let shards = try #require(try workspace.ok("stream", "describe", "readings", "--output", "json").objects().first?["shards"] as? [[String: Any]])
        #expect(shards.map { $0["shard"] as? String } == ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"])
        #expect(shards.compactMap { $0["records"] as? Int }.reduce(0, +) == 100)
        #expect(shards[0]["first_hash_key"] as? String == "0")
        #expect(shards[2]["last_hash_key"] as? String == "340282366920938463463374607431768211455")

        let wanted = Set((0...99).map { "{\"n\": \($0)}" })
        #expect(Set(try workspace.ok("stream", "get", "readings").lines) == wanted)
        #expect(try workspace.ok("stream", "get", "readings", "--limit", "7").lines.count == 7)
        #expect(Set(try workspace.ok("stream", "tail", "readings", "--from-start", "--limit", "100").lines) == wanted)
        var byShard = 0
        for shard in 0..<3 { byShard += try workspace.ok("stream", "get", "readings", "--shard", "\(shard)").lines.count }
        #expect(byShard == 100)
        let first = try #require(try workspace.ok("stream", "get", "readings", "--metadata").objects().first { $0["partition_key"] as? String == "k" })
        #expect(first["data"] as? String == #"{"n": 0}"#)

        try workspace.ok("stream", "delete", "readings")
        #expect(try workspace.ok("stream", "list", "--output", "json").out.isEmpty)
    }

    @Test("a mistyped stream or shard is one error")
    func mistyped() throws {
        let workspace = try Workspace()
        try workspace.ok("stream", "create", "my-input-stream")
        for command in ["describe", "get", "tail", "delete", "put"] {
            try workspace.run("stream", command, "my-inptu-stream").expectOneError(containing: "my-inptu-stream", "\"my-input-stream\"")
        }
        try workspace.run("stream", "get", "my-input-stream", "--shard", "4").expectOneError(containing: "no shardId-000000000004")
        try workspace.run("stream", "create", "no/name").expectOneError(containing: "no/name")
        try workspace.run("stream", "create", "x", "--shards", "0").expectOneError(containing: "0 shards")
    }

    @Test("a tail shows what comes and ends well on SIGINT")
    func tail() throws {
        let workspace = try Workspace()
        try workspace.ok("stream", "create", "s", "--shards", "2")
        try workspace.ok("stream", "put", "s", "old")
        let command = try workspace.start(["stream", "tail", "s", "--from-start"])
        try eventually("the old record") { command.out == "old\n" }
        try workspace.ok("stream", "put", "s", "new")
        try eventually("the new record") { command.out == "old\nnew\n" }
        command.signal(SIGINT)
        let outcome = try command.end(within: 30)
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
    }
}
