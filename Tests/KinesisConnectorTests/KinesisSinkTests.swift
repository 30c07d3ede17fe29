import Foundation
import KinesisConnector
import ShardLog
import StreamCore
import StreamTesting
import Testing

@Suite("kinesis sink, exactly once") struct KinesisSinkTests {
    static let schema: Schema = [Field("id", .bigint), Field("name", .string), Field("text", .string)]

    private final class Directory: Sendable {
        let path: String
        let disk: SimulatedDisk?

        init(disk: SimulatedDisk? = nil) {
            self.disk = disk
            path = disk.map { $0.root + "/log" } ?? FileManager.default.temporaryDirectory.appendingPathComponent("kinesis-sink-\(UUID().uuidString)").path
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }

        func table(_ options: [String: String] = [:]) -> TableDescriptor {
            TableDescriptor(name: "t", schema: KinesisSinkTests.schema, partitionKeys: ["name"], options: options.merging(
                ["connector": "kinesis", "stream": "s", "format": "json", "log.directory": path, "stream.create-shards": "3"]) { a, _ in a })
        }

        func sink(_ host: StreamCore.Host = .system, _ options: [String: String] = [:]) throws -> any TableSink {
            try KinesisConnector(host: host, diskWait: .zero).sink(for: table(options), timeZone: "UTC")
        }

        /// Ids in each shard, in order.
        func ids() throws -> [[(key: String, id: Int)]] {
            let log = try ShardLog(directory: path)
            guard log.exists("s") else { return [] }
            return try (0..<log.shardCount("s")).map { shard in
                let reader = try log.reader("s", shard: shard, position: .trimHorizon)
                var ids: [(String, Int)] = []
                while let chunk = try reader.read() {
                    for i in 0..<chunk.count {
                        let text = String(decoding: chunk.data(i), as: UTF8.self)
                        ids.append((chunk.partitionKey(i), Int(text.dropFirst(#"{"id":"#.count).prefix { $0.isNumber })!))
                    }
                }
                return ids
            }
        }

        var staged: [String] { (try? FileManager.default.contentsOfDirectory(atPath: path + "/streams/s/staged")) ?? [] }

        func check(_ rows: [[Value]], _ note: String) throws {
            let shards = try ids()
            let wanted = rows.map { row -> Int in if case .int(let id) = row[0] { Int(id) } else { -1 } }.sorted()
            #expect(shards.flatMap { $0.map(\.id) }.sorted() == wanted, "\(note)")
            for shard in shards {
                for (key, group) in Dictionary(grouping: shard, by: \.key) {
                    let ids = group.map(\.id)
                    #expect(ids == ids.sorted(), "\(note): key \(key)")
                }
            }
        }
    }

    /// Rows with growing ids. Each key belongs to one subtask; large rows go to a file, small ones into the committable.
    private struct Rows {
        var next = 0
        mutating func callAsFunction(_ subtask: Int, _ count: Int, bytes: Int = 10) -> SinkStep {
            defer { next += count }
            let text = Value.string(String(repeating: "x", count: bytes))
            return .write(subtask: subtask, rows: (next..<next + count).map { [.int(Int64($0)), .string("k\(subtask)-\($0 % 3)"), text] })
        }
    }

    private static func steps() -> [SinkStep] {
        var rows = Rows()
        return [
            rows(0, 5), rows(1, 4), .checkpoint, rows(0, 30, bytes: 9_000), rows(1, 3), .idle, .checkpointWithoutCommit, .restart(parallelism: 1),
            rows(0, 4), rows(1, 40, bytes: 5_000), .abortedCheckpoint, rows(1, 2), .checkpoint, .restart(parallelism: 3),
            rows(2, 6), rows(0, 2), rows(1, 2), .checkpointWithoutCommit, .fail, rows(2, 20, bytes: 20_000), .finish,
        ]
    }

    @Test("a death at any call that changes the disk leaves each row once, in order, and nothing staged")
    func everyDeath() throws {
        func run(_ call: Int?) throws -> Int {
            let directory = Directory()
            var history = SinkHistory(steps: Self.steps(), schema: Self.schema, parallelism: 2) { try directory.sink($0) }
            history.check = { try directory.check($0, "dying at \(call ?? -1)") }
            defer { #expect(directory.staged.isEmpty, "dying at \(call ?? -1)") }
            return try history.run(dyingAt: call)
        }
        let calls = try run(nil)
        #expect(calls > 100, "\(calls)")
        for call in SinkHistory.deaths(of: calls) { _ = try run(call) }
    }

    @Test("a power cut at any call loses and repeats nothing", arguments: UInt64(1)...2)
    func everyPowerCut(seed: UInt64) throws {
        func run(_ call: Int?) throws -> Int {
            let directory = Directory(disk: try SimulatedDisk(seed: seed &* 1_000 &+ UInt64(call ?? 999)))
            var history = SinkHistory(steps: Self.steps(), schema: Self.schema, parallelism: 2) { try directory.sink($0) }
            history.disk = directory.disk
            history.seed = seed
            history.check = { try directory.check($0, "seed \(seed), power cut at \(call ?? -1)") }
            return try history.run(dyingAt: call)
        }
        let calls = try run(nil)
        for call in SinkHistory.deaths(of: calls) { _ = try run(call + Int(seed)) }
    }

    @Test("random histories", arguments: UInt64(1)...20)
    func histories(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var rows = Rows(), steps: [SinkStep] = []
        for _ in 0..<30 {
            switch Int.random(in: 0..<12, using: &random) {
            case 0...5: steps.append(rows(Int.random(in: 0..<4, using: &random), Int.random(in: 1...20, using: &random),
                                          bytes: Bool.random(using: &random) ? 10 : Int.random(in: 1...9_000, using: &random)))
            case 6: steps.append(.abortedCheckpoint)
            case 7: steps.append(.fail)
            case 8: steps += [.checkpointWithoutCommit, .restart(parallelism: Int.random(in: 1...4, using: &random))]
            case 9: steps.append(.idle)
            default: steps.append(.checkpoint)
            }
        }
        steps.append(.finish)
        let directory = Directory(disk: Bool.random(using: &random) ? try SimulatedDisk(seed: seed) : nil)
        if Bool.random(using: &random) {
            // Small segments that are soon removed: a producer must be known by its snapshot.
            var settings = StreamSettings()
            settings.segmentBytes = 4_096
            try ShardLog(directory: directory.path, host: directory.disk?.host ?? .system).createStream("s", shards: 2, settings: settings)
        }
        var history = SinkHistory(steps: steps, schema: Self.schema, parallelism: 2) { try directory.sink($0) }
        history.seed = seed
        history.disk = directory.disk
        history.check = { try directory.check($0, "seed \(seed)") }
        try history.run(dyingAt: Int.random(in: 0..<200, using: &random))
        #expect(directory.staged.isEmpty, "seed \(seed)")
    }

    @Test("rows are hidden until the commit; a job's recovery leaves alone what other jobs and sinks have staged")
    func owners() throws {
        let directory = Directory()
        func context(_ job: String, _ op: String = "sink", restored: UInt64? = nil) -> SinkContext {
            SinkContext(jobID: job, operatorID: op, isRecoverable: true, restoredCheckpoint: restored)
        }
        func row(_ id: Int64) -> Batch { Batch(schema: Self.schema, rows: [[.int(id), .string("k"), .string(String(repeating: "y", count: 100_000))]]) }
        let sink = try directory.sink()
        #expect(sink.commitInterval == .seconds(1))
        var committables: [[Committable]] = []
        for (i, (job, op)) in [("a", "sink"), ("a", "other sink"), ("b", "sink")].enumerated() {
            let writer = try sink.writer(context(job, op))
            try writer.write(row(Int64(i)))
            committables.append(try writer.prepareCommit(1))
            try writer.write(row(100))
            _ = try writer.prepareCommit(2)
        }
        #expect(try directory.ids().joined().isEmpty && directory.staged.count == 6)
        try #require(try sink.committer(context("a", restored: 1))).recover(1, committables[0])
        #expect(try directory.ids().joined().map(\.id) == [0] && directory.staged.count == 4)
        let committer = try #require(try sink.committer(context("b", restored: 1)))
        try committer.recover(1, committables[2])
        try committer.recover(1, committables[2])
        try #require(try sink.committer(context("a", "other sink", restored: 1))).recover(1, committables[1])
        #expect(try directory.ids().joined().map(\.id).sorted() == [0, 1, 2] && directory.staged.isEmpty)
        // A job that starts from nothing has no use for what its first try left.
        let writer = try sink.writer(context("c"))
        try writer.write(row(7))
        let lost = try writer.prepareCommit(1)
        _ = try sink.committer(context("c"))
        #expect(directory.staged.isEmpty)
        let error = #expect(throws: StreamError.self) { try sink.committer(context("c"))!.commit(1, lost) }
        #expect(error?.code == .corrupt && error?.problem.contains("is missing") == true)
    }

    @Test("a repetition is recognised after retention has removed the batch, and after reopening")
    func retention() throws {
        let directory = Directory()
        let log = try ShardLog(directory: directory.path)
        var settings = StreamSettings()
        settings.segmentBytes = 4_096
        settings.retentionBytes = 8_192
        settings.compresses = false
        try log.createStream("s", settings: settings)
        let sink = try directory.sink()
        let writer = try sink.writer(SinkContext(isRecoverable: true))
        try writer.write(Batch(schema: Self.schema, rows: [[.int(1), .string("k"), .string("once")]]))
        let small = try writer.prepareCommit(1)
        try writer.write(Batch(schema: Self.schema, rows: [[.int(2), .string("k"), .string(String(repeating: "z", count: 80_000))]]))
        let large = try writer.prepareCommit(2)
        let committer = try #require(try sink.committer(SinkContext(isRecoverable: true, restoredCheckpoint: 1)))
        try committer.commit(1, small)
        try committer.commit(2, large)
        committer.close()
        let other = try log.writer("s")
        for i in 10..<200 { try other.append([Record(partitionKey: "k", data: Array("{\"id\":\(i)} \(String(repeating: "w", count: 200))".utf8))]) }
        try other.close()
        #expect(try directory.ids()[0].first!.id > 10)
        let again = try #require(try directory.sink().committer(SinkContext(isRecoverable: true, restoredCheckpoint: 2)))
        try again.recover(2, small + large)
        let ids = try directory.ids()[0].map(\.id)
        #expect(ids.last == 199 && ids.allSatisfy { $0 > 10 })
    }

    @Test("a record that the stream would refuse is refused when it is written")
    func tooLarge() throws {
        let directory = Directory()
        let log = try ShardLog(directory: directory.path)
        var settings = StreamSettings()
        settings.recordBytesMax = 100
        try log.createStream("s", settings: settings)
        let writer = try directory.sink().writer(SinkContext())
        try writer.write(Batch(schema: Self.schema, rows: [[.int(1), .string("k"), .string(String(repeating: "y", count: 200))]]))
        let error = #expect(throws: StreamError.self) { try writer.prepareCommit(1) }
        #expect(error?.code == .validate && error?.problem.contains("100 are allowed") == true)
    }

    @Test("damaged staged records and committables are recognised")
    func damage() throws {
        let directory = Directory()
        let sink = try directory.sink()
        let writer = try sink.writer(SinkContext(isRecoverable: true))
        try writer.write(Batch(schema: Self.schema, rows: (0..<20).map { [.int($0), .string("k"), .string(String(repeating: "y", count: 9_000))] }))
        let committables = try writer.prepareCommit(1)
        let path = directory.path + "/streams/s/staged/" + directory.staged[0]
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: path)))
        bytes[5_000] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let error = #expect(throws: StreamError.self) { try sink.committer(SinkContext())!.commit(1, committables) }
        #expect(error?.code == .corrupt && error?.problem.contains(directory.staged[0]) == true)
        #expect(try directory.ids().joined().isEmpty)
        for cut in [0, 3, 31, 32] {
            #expect(throws: StreamError.self) { try sink.committer(SinkContext())!.commit(1, [Committable(Array(committables[0].bytes.prefix(cut)))]) }
        }
    }

    @Test("wrong delivery options say what to write", arguments: [
        (["sink.delivery-guarantee": "twice"], "is not known here"), (["sink.flush": "os"], "has no effect with exactly-once"),
        (["sink.commit.interval": "soon"], "is not a duration"), (["sink.commit.interval": "0 s"], "is not positive"),
    ])
    func wrong(options: [String: String], text: String) throws {
        let error = #expect(throws: StreamError.self) { try KinesisConnector().validate(Directory().table(options)) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
}
