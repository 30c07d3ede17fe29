import FileConnectors
import Foundation
import KinesisConnector
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import Synchronization
import Testing

@testable import FlinkExport

@Suite("Start positions on Flink", .timeLimit(.minutes(5))) struct StartPositionTests {
    @Test("how far back a step's input is read", arguments: [
        ("TUMBLE(1 min) id: COUNT(*)", StartPositions.Distance.time(60_000)), ("HOP(10 s, 1 min) id: COUNT(*)", .time(60_000)), ("CUMULATE(10 s, 1 h) id: COUNT(*)", .time(3_600_000)),
        ("SESSION(10 s) id: COUNT(*)", .session(10_000)), ("IntervalJoin(inner: id = id AND ts BETWEEN ts - 10 min AND ts + 5 s)", .time(600_000)),
        ("Over(by: id, order: ts, range 1 h, compute: SUM(v))", .time(3_600_000)), ("Over(by: id, order: ts, rows 10, compute: SUM(v))", .everything),
        ("GROUP BY id: COUNT(*)", .everything), ("left join on id = id", .everything), ("Deduplicate(keep last, by: id, order: ts DESC)", .everything),
        ("ChangelogNormalize(by: id)", .everything), ("TemporalSort(by: ts)", .time(0)),
    ])
    func distances(name: String, distance: StartPositions.Distance) {
        #expect(StartPositions.distance(name, stateTTL: nil, lateness: 0) == distance)
        if distance == .everything { #expect(StartPositions.distance(name, stateTTL: 5_000, lateness: 0) == .timeToLive(5_000)) }
    }

    private func temporary(_ body: (String) throws -> Void) throws {
        let path = NSTemporaryDirectory() + "flink-start-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func plan(_ script: String) throws -> JobGraph {
        let session = SQLSession(connectors: [KinesisConnector(), FilesystemConnector(), BlackholeConnector()])
        var graph: JobGraph?
        for statement in try SQLParser(text: script).parseScript() { if case .insert(let planned) = try session.execute(statement) { graph = planned } }
        return try #require(graph)
    }

    /// Takes savepoints of a running job until one is as wanted, and then stops the job.
    private func savepoint(of graph: JobGraph, in directory: String, until isWanted: (CheckpointManifest) -> Bool) throws -> String {
        let runner = try JobRunner(graph, recovery: RecoveryOptions(directory: directory + "/checkpoints", jobID: "job")), failure = Mutex<String?>(nil), ended = DispatchSemaphore(value: 0)
        Thread.detachNewThread {
            do { _ = try runner.run() } catch { failure.withLock { $0 = "\(error)" } }
            ended.signal()
        }
        defer {
            runner.stop()
            #expect(ended.wait(timeout: .now() + 60) == .success)
        }
        let deadline = Date.now.addingTimeInterval(60)
        while Date.now < deadline {
            if let failed = failure.withLock({ $0 }) { throw StreamError(.runtime, failed) }
            let path = try runner.savepoint(in: directory + "/savepoints")
            if isWanted(try CheckpointStorage.open(path).manifest) { return path }
            Thread.sleep(forTimeInterval: 0.05)
        }
        throw StreamError(.runtime, "the job was never where it was to be")
    }

    @Test("a Kinesis stream goes on from the earliest arrival, and a window reads its size back") func kinesis() throws {
        try temporary { root in
            let log = try ShardLog(directory: root + "/log")
            try log.createStream("events", shards: 2)
            let writer = try log.writer("events")
            for i in 0..<20 { _ = try writer.append([Record(partitionKey: "\(i)", data: Array("{\"id\":\(i),\"ts\":\"2024-01-01 00:00:\(i + 10)\"}".utf8))]) }
            try writer.flush()
            let script = """
                CREATE TABLE events (id INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)
                WITH ('connector' = 'kinesis', 'stream' = 'events', 'log.directory' = '\(root)/log', 'source.init.position' = 'TRIM_HORIZON', 'format' = 'json',
                      'json.timestamp-format.standard' = 'SQL');
                CREATE TABLE counts (id INT, n BIGINT) WITH ('connector' = 'blackhole');
                INSERT INTO counts SELECT id, COUNT(*) FROM TABLE(TUMBLE(TABLE events, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY id, window_start, window_end;
                """
            let graph = try plan(script)
            let path = try savepoint(of: graph, in: root) { manifest in
                let splits = manifest.operators.flatMap(\.splits)
                return splits.count == 2 && splits.allSatisfy { $0.position != "TRIM_HORIZON" && $0.watermark != nil }
                    && manifest.operators.contains { $0.hasState && $0.subtasks.contains { $0.watermark != nil } }
            }
            try writer.close()
            let splits = try CheckpointStorage.open(path).manifest.operators.flatMap(\.splits)
            let source = table("events", "id INT", ["connector": "kinesis"])
            var findings = Findings()
            let positions = try StartPositions(savepoint: path, graphs: [graph], tables: [source], arrivalTime: { _, shard, number in
                #expect(splits.contains { $0.id == shard && $0.position == number })
                return shard == splits[0].id ? 1_700_000_000_500 : 1_700_000_000_900
            }, findings: &findings)
            #expect(positions.options == ["events": ["source.init.position": "AT_TIMESTAMP", "source.init.timestamp": "2023-11-14T22:13:20.500Z", "source.init.timestamp.format": ""]])
            #expect(findings.refusals.isEmpty && findings.notes.contains { $0.text.contains("primary key") })
            let window = try #require(positions.rebuild.first)
            #expect(positions.rebuild.count == 1 && window.step.hasPrefix("TUMBLE(1 min)") && window.tables == ["events"] && window.distance == .time(60_000))
            #expect(try #require(window.since) < 1_704_067_230_000 && window.text.contains("read events 1 min back, from event time 2023-12-31T23:59:"))

            let unknown = try StartPositions(savepoint: path, graphs: [graph], tables: [source], findings: &findings)
            #expect(unknown.options["events"]?["source.init.position"] == "TRIM_HORIZON" && unknown.options["events"]?["source.init.timestamp"] == "" && findings.notes.contains { $0.text.contains("not known when") })
            let other = try plan(script.replacing("id INT, ts", with: "id BIGINT, other INT, ts").replacing("SELECT id, COUNT(*)", with: "SELECT other, COUNT(*)").replacing("BY id", with: "BY other"))
            #expect(throws: StreamError.self) { _ = try StartPositions(savepoint: path, graphs: [other], tables: [source], findings: &findings) }
        }
    }

    @Test("files that were read are named, and refused where they would be read again") func files() throws {
        try temporary { root in
            try FileManager.default.createDirectory(atPath: root + "/in", withIntermediateDirectories: true)
            try "{\"id\":1}\n{\"id\":2}\n".write(toFile: root + "/in/a.json", atomically: true, encoding: .utf8)
            let graph = try plan("""
                CREATE TABLE readings (id INT) WITH ('connector' = 'filesystem', 'path' = '\(root)/in', 'format' = 'json', 'source.monitor-interval' = '50 ms');
                CREATE TABLE counts (id INT, n BIGINT) WITH ('connector' = 'blackhole');
                INSERT INTO counts SELECT id, COUNT(*) FROM readings GROUP BY id;
                """)
            let path = try savepoint(of: graph, in: root) { manifest in manifest.operators.flatMap(\.splits).contains { $0.isFinished } && manifest.operators.contains { $0.hasState } }
            var findings = Findings()
            let source = table("readings", "id INT", ["connector": "filesystem", "source.monitor-interval": "50 ms"])
            let positions = try StartPositions(savepoint: path, graphs: [graph], tables: [source], findings: &findings)
            #expect(positions.files["readings"] == [root + "/in/a.json"] && positions.options.isEmpty)
            #expect(findings.refusals.map(\.what) == ["table readings"] && findings.refusals[0].reason.contains("1 file has been read") && findings.refusals[0].location?.line == 1)
            #expect(positions.rebuild.map(\.distance) == [.everything] && positions.rebuild[0].text.hasPrefix("GROUP BY id: COUNT(*): read readings from the beginning"))
            let kept = try StartPositions(savepoint: path, graphs: [graph], tables: [source], stateTTL: 86_400_000, findings: &findings)
            #expect(kept.rebuild[0].text.contains("within the last 1 d"))
        }
    }

    /// Of a savepoint with positions that are given.
    private func positions(_ connector: String, _ splits: [CheckpointManifest.SplitEntry], _ more: [String: String] = [:]) throws -> (StartPositions, Findings) {
        var result: (StartPositions, Findings)?
        try temporary { root in
            let graph = try plan("""
                CREATE TABLE t (id INT) WITH ('connector' = 'filesystem', 'path' = '\(root)', 'format' = 'json', 'source.monitor-interval' = '50 ms');
                CREATE TABLE gone (id INT) WITH ('connector' = 'blackhole');
                INSERT INTO gone SELECT id FROM t;
                """)
            var manifest = CheckpointManifest(kind: .savepoint, checkpoint: 1, jobID: "job", jobName: "job", planFingerprint: "", maxParallelism: 128, startedAt: 0)
            manifest.operators = graph.vertices.map { vertex in
                .init(id: vertex.operatorID, name: vertex.name, parallelism: 1, splits: vertex.name.hasPrefix("Source: t") ? splits : [])
            }
            var findings = Findings()
            let start = try StartPositions(manifest, root, [graph], [table("t", "id INT", more.merging(["connector": connector]) { $1 })], nil, 0, { _, _, _ in nil }, &findings)
            result = (start, findings)
        }
        return result!
    }

    @Test func kafka() throws {
        let (start, findings) = try positions("kafka", [.init(id: "my-topic-0", position: "42"), .init(id: "my-topic-10", position: "7..100"), .init(id: "my-topic-2", position: "earliest")])
        #expect(start.options["t"] == ["scan.startup.mode": "specific-offsets", "scan.startup.specific-offsets": "partition:0,offset:42;partition:2,offset:0;partition:10,offset:7", "scan.startup.timestamp-millis": ""])
        #expect(findings.refusals.isEmpty && findings.notes.map(\.text) == ["partitions 2 had not been read: they begin at their first record"])
        #expect(try positions("kafka", [.init(id: "a-0", position: "1"), .init(id: "b-0", position: "1")]).1.refusals.first?.instead.contains("UNION ALL") == true)
        #expect(try positions("kafka", [.init(id: "a-0", position: "latest")]).1.refusals.first?.what == "table t, partition 0")
        #expect(try positions("upsert-kafka", [.init(id: "a-0", position: "1")]).0.options.isEmpty)
    }

    @Test func hudi() throws {
        let streaming = ["read.streaming.enabled": "true"]
        #expect(try positions("hudi", [.init(id: "0", position: "1|c|20260131120000000|||0")], streaming).0.options["t"] == ["read.start-commit": "20260131120000000"])
        #expect(try positions("hudi", [.init(id: "0", position: "1|s||||5")], streaming).0.options["t"] == ["read.start-commit": "earliest"])
        #expect(try positions("hudi", [.init(id: "0", position: nil)]).0.options.isEmpty)
    }
}
