import Foundation
import Testing

@Suite("Savepoints on the command line") struct SavepointTests {
    private static let sensors = Workspace.topologies + "/sensors.yaml"
    private static let query = "SELECT status, num, avg_current_temperature AS a, CAST(hop_time AS STRING) AS ends FROM t"
    private static let fast = ["COMMIT_INTERVAL": "100 ms"]

    /// A third of the input: 3,000 readings of thirty seconds.
    private func generate(_ workspace: Workspace, part: Int) throws {
        try workspace.ok("generate", "sensors", "--seed", "\(part + 7)", "--count", "3000", "--start", "2024-01-01T00:0\(part / 2):\(part % 2 == 0 ? "00" : "30")",
                         "--stream", "my-input-stream")
    }

    private func table(_ workspace: Workspace) -> String { workspace.path("data/tables/sensor_state_cow") }

    /// What a run without interruptions gives.
    private func expected() throws -> (rows: [String], records: [String]) {
        let workspace = try Workspace()
        try workspace.ok("stream", "create", "my-input-stream", "--shards", "4")
        for part in 0..<3 { try generate(workspace, part: part) }
        try workspace.ok("run", Self.sensors, environment: ["BOUNDED": "latest-offset"])
        return (try workspace.rows(table: table(workspace), Self.query), try workspace.records(stream: "my-output-stream"))
    }

    @Test("stopped and resumed at parallelism 1, 2 and 4, a job gives the results of one run", arguments: ["hashmap", "rocksdb"])
    func rescale(backend: String) throws {
        let expected = try expected(), workspace = try Workspace()
        #expect(expected.rows.count > 20 && expected.records.count == expected.rows.count)
        try workspace.ok("stream", "create", "my-input-stream", "--shards", "4")
        var savepoint: [String] = []
        for (part, parallelism) in [1, 2].enumerated() {
            try generate(workspace, part: part)
            let job = try workspace.start(
                ["run", Self.sensors, "--parallelism", "\(parallelism)", "--set", "state.backend.type=\(backend)"] + savepoint, environment: Self.fast)
            try workspace.waitForRows(3_000, of: "sensors")
            let path = try workspace.ok("stop", "sensors", "--savepoint").out.trimmingCharacters(in: .newlines)
            let outcome = try job.end()
            #expect(outcome.status == 0 && outcome.errors.contains("savepoint: \(path)"), "\(outcome)")
            // The file has a parallelism of its own, which the command line overrides.
            let manifest = try String(contentsOfFile: path + "/manifest.json", encoding: .utf8).filter { !$0.isWhitespace }
            #expect(manifest.contains("\"parallelism\":\(parallelism)"))
            #expect(manifest.contains("\"parallelism\":2") == (parallelism == 2))
            savepoint = ["--from-savepoint", path]
        }
        try generate(workspace, part: 2)
        let last = try workspace.start(
            ["run", Self.sensors, "--parallelism", "4", "--set", "state.backend.type=\(backend)"] + savepoint,
            environment: Self.fast.merging(["BOUNDED": "latest-offset"]) { $1 }).end()
        #expect(last.status == 0 && last.errors.contains("job sensors goes on from savepoint"), "\(last)")
        #expect(try workspace.rows(table: table(workspace), Self.query) == expected.rows)
        #expect(try workspace.records(stream: "my-output-stream") == expected.records)
        try workspace.check(table: table(workspace), key: "status,hop_time")
    }

    @Test("scenario 15: a worker is killed, then a new version is deployed; results continue and match, nothing is lost or repeated")
    func nodeLossAndRedeploy() throws {
        let expected = try expected(), workspace = try Workspace()
        try workspace.ok("stream", "create", "my-input-stream", "--shards", "4")
        try generate(workspace, part: 0)
        let first = try workspace.start(["run", Self.sensors, "--parallelism", "2"], environment: Self.fast)
        try workspace.waitForRows(3_000, of: "sensors")
        try workspace.waitForCheckpoint(above: 0, of: "sensors")
        try generate(workspace, part: 1)
        try first.crash()
        let second = try workspace.start(["run", Self.sensors, "--parallelism", "2"], environment: Self.fast)
        try eventually("the second run") { try workspace.status(of: "sensors") != nil }
        let savepoint = try workspace.ok("savepoint", "create", "sensors").out.trimmingCharacters(in: .newlines)
        try workspace.ok("stop", "sensors", "--savepoint", "--target", workspace.path("kept"))
        #expect(try second.end().errors.contains("job sensors goes on from checkpoint"))
        let kept = try #require(try FileManager.default.contentsOfDirectory(atPath: workspace.path("kept")).first)
        #expect(FileManager.default.fileExists(atPath: savepoint + "/manifest.json"))
        try generate(workspace, part: 2)
        try workspace.ok("run", Self.sensors, "--parallelism", "3", "--from-savepoint", workspace.path("kept/" + kept),
                         environment: Self.fast.merging(["BOUNDED": "latest-offset"]) { $1 })
        #expect(try workspace.rows(table: table(workspace), Self.query) == expected.rows)
        #expect(try workspace.records(stream: "my-output-stream") == expected.records)
    }

    @Test("list and inspect show a savepoint: operators, positions, watermarks, and the rows of a state")
    func inspect() throws {
        let workspace = try Workspace()
        try generate(workspace, part: 0)
        let job = try workspace.start(["run", Self.sensors], environment: Self.fast)
        try workspace.waitForRows(3_000, of: "sensors")
        let path = try workspace.ok("stop", "sens", "--savepoint").out.trimmingCharacters(in: .newlines)
        _ = try job.end()
        let listed = try #require(try workspace.ok("savepoint", "list", "--output", "json").objects().first)
        #expect(listed["job"] as? String == "sensors" && listed["directory"] as? String == path)
        #expect(try workspace.ok("savepoint", "list", "other", "--output", "json").out.isEmpty)

        let report = try #require(try workspace.ok("savepoint", "inspect", path, "--verify", "--output", "json").objects().first)
        let operators = try #require(report["operators"] as? [[String: Any]])
        #expect(report["maxParallelism"] as? Int == 128 && operators.count > 5 && report["bytes"] as? Int ?? 0 > 1_000)
        let source = try #require(operators.first { !($0["splits"] as? [Any] ?? []).isEmpty })
        let split = try #require((source["splits"] as? [[String: Any]])?.first)
        #expect(split["id"] as? String == "shardId-000000000000" && split["position"] is String && split["watermark"] as? Int ?? 0 > 1_704_067_200_000)
        let window = try #require(operators.first { ($0["name"] as? String)?.hasPrefix("HOP(") ?? false })
        #expect(window["stateBytes"] as? Int ?? 0 > 0)

        let id = try #require(window["id"] as? String)
        let rows = try workspace.ok("savepoint", "inspect", path, "--operator", id, "--output", "json").objects().filter { $0["state"] as? String == "slices" }
        #expect(rows.contains { $0["status"] as? String == "OK" && $0["count"] as? Int ?? 0 > 0 && $0["slice_start"] is String }, "\(rows)")
        let shown = try workspace.ok("savepoint", "inspect", path, "--operator", id, "--rows", "1").out
        #expect(shown.contains("| slice_start") && shown.contains("state of HOP("), "\(shown)")
        let text = try workspace.ok("savepoint", "inspect", path).out
        #expect(text.contains("shardId-000000000000") && text.contains("of job sensors") && text.contains(id), "\(text)")
        try workspace.run("savepoint", "inspect", path, "--operator", "HOP").expectOneError(containing: "operators have 'HOP' in their name", id)
        try workspace.run("savepoint", "inspect", path, "--operator", "nothing").expectOneError(containing: "has no operator 'nothing'", id)
        try workspace.run("savepoint", "inspect", workspace.path("nowhere")).expectOneError(containing: "there is no checkpoint or savepoint", "manifest.json")
        try workspace.run("savepoint", "create", "sensors").expectOneError(containing: "job sensors is not running")
        try workspace.run("stop", "senors").expectOneError(containing: "there is no job 'senors'", "sensors")
    }

    @Test("drained, a job gives the rows of its open windows before the savepoint")
    func drain() throws {
        let workspace = try Workspace()
        try generate(workspace, part: 0)
        let job = try workspace.start(["run", Self.sensors], environment: Self.fast)
        try workspace.waitForRows(3_000, of: "sensors")
        try workspace.ok("stop", "sensors", "--savepoint", "--drain")
        #expect(try job.end().status == 0)
        let whole = try Workspace()
        try generate(whole, part: 0)
        try whole.ok("run", Self.sensors, environment: ["BOUNDED": "latest-offset"])
        #expect(try workspace.rows(table: table(workspace), Self.query) == whole.rows(table: table(whole), Self.query))
    }
}
