import FileConnectors
import Foundation
import StreamCore
import StreamTesting
import Testing

@Suite("filesystem sink, exactly once") struct FilesystemSinkTests {
    static let schema: Schema = [Field("id", .bigint), Field("day", .string), Field("text", .string)]
    static let growing = ["sink.rolling-policy.on-checkpoint": "false"]
    static let marking = ["sink.partition-commit.policy.kind": "success-file", "sink.partition-commit.trigger": "partition-time"]

    private func table(_ directory: TemporaryDirectory, _ options: [String: String] = [:], partitioned: Bool = true) -> TableDescriptor {
        TableDescriptor(name: "t", schema: Self.schema, partitionKeys: partitioned ? ["day"] : [],
                        options: options.merging(["connector": "filesystem", "path": directory.path + "/out", "format": "json"]) { a, _ in a })
    }

    private func sink(_ directory: TemporaryDirectory, _ host: StreamCore.Host = .system, _ options: [String: String] = [:],
                      partitioned: Bool = true) throws -> any TableSink {
        try FilesystemConnector(host: host).sink(for: table(directory, options, partitioned: partitioned), timeZone: "UTC")
    }

    /// What a reader sees.
    private func ids(_ directory: TemporaryDirectory) throws -> [Int64] {
        guard FileManager.default.fileExists(atPath: directory.path + "/out") else { return [] }
        let source = try FilesystemConnector().source(for: table(directory, partitioned: false), scan: ScanRequest(projection: [0]))
        return Self.ids(try source.rows())
    }

    private static func ids(_ rows: [[Value]]) -> [Int64] { rows.map { if case .int(let id) = $0[0] { id } else { -1 } }.sorted() }

    private static func rows(_ ids: Range<Int64>, day: String? = nil) -> [[Value]] {
        ids.map { [.int($0), .string(day ?? "2024-01-0\(1 + $0 % 3)"), .string("text \($0)")] }
    }

    private static func batch(_ ids: Range<Int64>, day: String? = nil) -> Batch { Batch(schema: schema, rows: rows(ids, day: day)) }

    private func hidden(_ directory: TemporaryDirectory) -> [String] { directory.files().filter { $0.contains("/.") } }

    // MARK: Crashes

    private func history(_ steps: [SinkStep], _ directory: TemporaryDirectory, _ options: [String: String], _ note: String) -> SinkHistory {
        let total = steps.reduce(0) { if case .write(_, let rows) = $1 { $0 + rows.count } else { $0 } }
        var history = SinkHistory(steps: steps, schema: Self.schema, parallelism: 2) { try sink(directory, $0, options) }
        let growing = options["sink.rolling-policy.on-checkpoint"] == "false"
        history.check = { rows in
            let (seen, all) = (try ids(directory), Self.ids(rows))
            if growing, rows.count < total {
                // Files that go on are seen later; none is seen twice or too early.
                #expect(Set(seen).count == seen.count && Set(seen).isSubset(of: all), "\(note)")
            } else {
                #expect(seen == all, "\(note)")
            }
        }
        return history
    }

    private func checkEnd(_ directory: TemporaryDirectory, _ options: [String: String], _ note: String) {
        #expect(hidden(directory).isEmpty, "\(note): \(hidden(directory))")
        guard options["sink.partition-commit.policy.kind"] != nil else { return }
        for day in Set(directory.files().map { $0.split(separator: "/").dropLast().joined(separator: "/") }) {
            #expect(directory.files().contains(day + "/_SUCCESS"), "\(note): \(day)")
        }
    }

    @Test("a death at any call that changes the disk leaves each row once, and nothing else", arguments: [true, false], [true, false])
    func everyDeath(onCheckpoint: Bool, marks: Bool) throws {
        var options = marks ? Self.marking : [:]
        if !onCheckpoint { options.merge(Self.growing.merging(["sink.rolling-policy.file-size": "200 b"]) { $1 }) { $1 } }
        let steps: [SinkStep] = [
            .write(subtask: 0, rows: Self.rows(0..<5)), .write(subtask: 1, rows: Self.rows(5..<9)), .checkpoint,
            .write(subtask: 0, rows: Self.rows(9..<12)), .watermark(EventTime(milliseconds: 1_704_150_000_000)), .checkpoint,
            .write(subtask: 1, rows: Self.rows(12..<14)), .abortedCheckpoint, .write(subtask: 1, rows: Self.rows(14..<15)),
            .checkpointWithoutCommit, .restart(parallelism: 1), .write(subtask: 0, rows: Self.rows(15..<18)), .checkpointWithoutCommit, .fail,
            .write(subtask: 0, rows: Self.rows(18..<19)), .checkpointWithoutCommit, .restart(parallelism: 3),
            .write(subtask: 2, rows: Self.rows(19..<22)), .checkpoint, .write(subtask: 1, rows: Self.rows(22..<24)), .finish,
        ]
        func run(_ call: Int?, _ disk: SimulatedDisk?) throws -> Int {
            let note = "\(disk == nil ? "dying" : "power cut") at \(call ?? -1)"
            let directory = disk.map { TemporaryDirectory(at: $0.root) } ?? TemporaryDirectory()
            var history = history(steps, directory, options, note)
            history.disk = disk
            history.seed = UInt64(call ?? 0)
            let calls = try history.run(dyingAt: call)
            checkEnd(directory, options, note)
            return calls
        }
        let calls = try run(nil, nil)
        #expect(calls > 100, "\(calls)")
        for call in SinkHistory.deaths(of: calls) {
            _ = try run(call + (marks ? 1 : 0), nil)
            _ = try run(call + (onCheckpoint ? 2 : 3), SimulatedDisk(seed: UInt64(call)))
        }
    }

    @Test("random histories", arguments: UInt64(1)...40)
    func histories(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var next: Int64 = 0, steps: [SinkStep] = []
        func write() -> SinkStep {
            let count = Int64.random(in: 1...12, using: &random)
            defer { next += count }
            return .write(subtask: Int.random(in: 0..<4, using: &random), rows: Self.rows(next..<next + count))
        }
        for _ in 0..<40 {
            switch Int.random(in: 0..<14, using: &random) {
            case 0...5: steps.append(write())
            case 6: steps.append(.abortedCheckpoint)
            case 7: steps.append(.fail)
            case 8: steps += [.checkpointWithoutCommit, .restart(parallelism: Int.random(in: 1...4, using: &random))]
            case 9: steps.append(.wait(milliseconds: Int64.random(in: 0...2_000_000, using: &random)))
            case 10: steps.append(.watermark(EventTime(milliseconds: 1_704_067_200_000 + Int64.random(in: 0...260_000_000, using: &random))))
            case 11: steps.append(.idle)
            default: steps.append(.checkpoint)
            }
        }
        steps += [write(), .finish]
        var options = Bool.random(using: &random) ? Self.marking : [:]
        if Bool.random(using: &random) { options.merge(Self.growing) { $1 } }
        if Bool.random(using: &random) { options["sink.rolling-policy.file-size"] = "300 b" }
        let disk = Bool.random(using: &random) ? try SimulatedDisk(seed: seed) : nil
        let directory = disk.map { TemporaryDirectory(at: $0.root) } ?? TemporaryDirectory()
        var history = history(steps, directory, options, "seed \(seed)")
        history.disk = disk
        history.seed = seed
        try history.run(dyingAt: Int.random(in: 0..<300, using: &random))
        checkEnd(directory, options, "seed \(seed)")
    }

    @Test("recovery leaves alone what other jobs and other sinks of the job have prepared")
    func owners() throws {
        let directory = TemporaryDirectory()
        func context(_ job: String, _ op: String, restored: UInt64? = nil) -> SinkContext {
            SinkContext(jobID: job, operatorID: op, isRecoverable: true, restoredCheckpoint: restored)
        }
        let sink = try sink(directory)
        var committables: [[Committable]] = []
        for (i, (job, op)) in [("a", "x"), ("a", "y"), ("b", "x")].enumerated() {
            let writer = try sink.writer(context(job, op))
            try writer.write(Self.batch(Int64(i) * 10..<Int64(i) * 10 + 1))
            committables.append(try writer.prepareCommit(1))
            try writer.write(Self.batch(100..<101))
            _ = try writer.prepareCommit(2)
        }
        #expect(hidden(directory).count == 6)
        try sink.committer(context("a", "x", restored: 1))!.recover(1, committables[0])
        #expect(try ids(directory) == [0] && hidden(directory).count == 4)
        _ = try sink.committer(context("a", "y"))
        #expect(hidden(directory).count == 2)
        try sink.committer(context("b", "x", restored: 1))!.recover(1, committables[2])
        #expect(try ids(directory) == [0, 20] && hidden(directory).isEmpty)
    }

    @Test("a part file that lost bytes, or is gone, is recognised")
    func damage() throws {
        let directory = TemporaryDirectory()
        let sink = try sink(directory, partitioned: false)
        let writer = try sink.writer(SinkContext(isRecoverable: true))
        try writer.write(Self.batch(0..<9))
        let committables = try writer.prepareCommit(1)
        let path = directory.path + "/" + directory.files()[0]
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        try bytes.dropLast(3).write(to: URL(fileURLWithPath: path))
        let short = #expect(throws: StreamError.self) { try sink.committer(SinkContext())!.commit(1, committables) }
        #expect(short?.code == .corrupt && short?.problem.contains("\(path) has \(bytes.count - 3) bytes") == true)
        try FileManager.default.removeItem(atPath: path)
        let missing = #expect(throws: StreamError.self) { try sink.committer(SinkContext())!.recover(1, committables) }
        #expect(missing?.code == .io && missing?.problem.contains("is missing") == true)
        #expect(throws: StreamError.self) { try sink.committer(SinkContext())!.commit(1, [Committable([1, 2, 3])]) }
        #expect(throws: StreamError.self) { try sink.writer(SinkContext(restoredStates: [[1, 2]])) }
    }

    // MARK: Rolling

    @Test("a file goes on across checkpoints until it is large or old, and is seen then; a failure cuts it back")
    func growingFile() throws {
        let directory = TemporaryDirectory(), machine = DyingHost()
        let sink = try sink(directory, machine.host, Self.growing.merging(["sink.rolling-policy.rollover-interval": "10 min"]) { $1 }, partitioned: false)
        #expect(sink.commitInterval == .seconds(60))
        let committer = try #require(try sink.committer(SinkContext(isRecoverable: true)))
        var writer = try sink.writer(SinkContext(isRecoverable: true))
        try writer.write(Self.batch(0..<5))
        try committer.commit(1, try writer.prepareCommit(1))
        try writer.write(Self.batch(5..<9))
        let committables = try writer.prepareCommit(2)
        let state = try #require(try writer.state())
        try committer.commit(2, committables)
        #expect(try ids(directory).isEmpty && directory.files().count == 1)
        try writer.write(Self.batch(50..<40_000))
        writer.abort()
        #expect(directory.files().count == 1)

        let restored = SinkContext(isRecoverable: true, restoredCheckpoint: 2, restoredStates: [state])
        try sink.committer(restored)!.recover(2, committables)
        writer = try sink.writer(restored)
        machine.advance(milliseconds: 9 * 60_000)
        try writer.write(Self.batch(9..<12))
        try committer.commit(3, try writer.prepareCommit(3))
        #expect(try ids(directory).isEmpty)
        machine.advance(milliseconds: 60_000)
        try committer.commit(4, try writer.prepareCommit(4))
        #expect(try ids(directory) == Array(0..<12) && directory.files().count == 1)
        #expect(try writer.state() == nil)

        // Back to checkpoint 2 although 4 was committed: the file is taken back, and its later rows come again.
        try sink.committer(restored)!.recover(2, committables)
        writer = try sink.writer(restored)
        #expect(try ids(directory).isEmpty)
        try writer.write(Self.batch(9..<12))
        try writer.finish()
        try committer.commit(5, try writer.prepareCommit(5))
        #expect(try ids(directory) == Array(0..<12) && directory.files().count == 1)
    }

    @Test("a file without new rows ends after the inactivity interval, one that is too old at the next look")
    func time() throws {
        let directory = TemporaryDirectory(), machine = DyingHost()
        let options = Self.growing.merging(["sink.rolling-policy.inactivity-interval": "3 min", "sink.rolling-policy.rollover-interval": "8 min"]) { $1 }
        let sink = try sink(directory, machine.host, options, partitioned: false)
        let committer = try #require(try sink.committer(SinkContext()))
        let writer = try sink.writer(SinkContext())
        var checkpoint: UInt64 = 0
        func seen(after minutes: Int64, writing ids: Range<Int64>?) throws -> Int {
            machine.advance(milliseconds: minutes * 60_000)
            if let ids { try writer.write(Self.batch(ids)) }
            checkpoint += 1
            try committer.commit(checkpoint, try writer.prepareCommit(checkpoint))
            return try self.ids(directory).count
        }
        #expect(try seen(after: 0, writing: 0..<10) == 0)
        #expect(try seen(after: 2, writing: nil) == 0)
        #expect(try seen(after: 2, writing: nil) == 10)
        #expect(try seen(after: 1, writing: 10..<20) == 10)
        #expect(try seen(after: 2, writing: 20..<30) == 10)
        #expect(try seen(after: 2, writing: 30..<40) == 10)
        #expect(try seen(after: 2, writing: 40..<50) == 10)
        #expect(try seen(after: 2, writing: 50..<60) == 60)
        #expect(hidden(directory).isEmpty && directory.files().count == 2)
    }

    // MARK: Partitions

    @Test("a partition is marked when the clock, or the watermark of all writers, has passed it by the delay; also after a restart")
    func partitionCommit() throws {
        for trigger in ["process-time", "partition-time"] {
            let directory = TemporaryDirectory(), machine = DyingHost()
            let options = ["sink.partition-commit.policy.kind": "success-file", "sink.partition-commit.trigger": trigger,
                           "sink.partition-commit.delay": "1 h", "sink.partition-commit.success-file.name": "_DONE",
                           "sink.partition-commit.watermark-time-zone": "Europe/Berlin"]
            let sink = try sink(directory, machine.host, options)
            func marked() -> [String] { directory.files().filter { $0.hasSuffix("_DONE") }.map { String($0.dropFirst(4).prefix(14)) } }
            var committer = try #require(try sink.committer(SinkContext(isRecoverable: true)))
            let writers = try (0..<2).map { try sink.writer(SinkContext(subtask: $0, parallelism: 2, isRecoverable: true)) }
            var checkpoint: UInt64 = 0
            func commit() throws {
                checkpoint += 1
                try committer.commit(checkpoint, try writers.flatMap { try $0.prepareCommit(checkpoint) })
            }
            try writers[0].write(Self.batch(0..<2, day: "2024-07-01"))
            try writers[1].write(Self.batch(2..<4, day: "2024-07-02"))
            try commit()
            #expect(marked() == [] && hidden(directory).count == 1)
            // The list of what is pending outlives the committer.
            committer = try #require(try sink.committer(SinkContext(isRecoverable: true, restoredCheckpoint: checkpoint)))
            let berlin: Int64 = 1_719_784_800_000  // 2024-07-01 00:00 in Berlin
            machine.advance(milliseconds: 3_599_999)
            try writers[0].watermark(EventTime(milliseconds: berlin + 3_600_001))
            try writers[1].watermark(EventTime(milliseconds: berlin + 3_600_000))
            try commit()
            #expect(marked() == [], "\(trigger)")
            machine.advance(milliseconds: 1)
            try writers[1].watermark(EventTime(milliseconds: berlin + 3_600_001))
            try commit()
            #expect(marked() == (trigger == "process-time" ? ["day=2024-07-01", "day=2024-07-02"] : ["day=2024-07-01"]))
            for writer in writers {
                try writer.watermark(.max)
                try writer.finish()
            }
            try commit()
            #expect(marked() == ["day=2024-07-01", "day=2024-07-02"] && hidden(directory).isEmpty)
            #expect(try ids(directory) == [0, 1, 2, 3])
        }
    }

    @Test("a partition's time comes from a pattern over its columns and a formatter; a value that tells none is refused when it is written")
    func partitionTime() throws {
        let directory = TemporaryDirectory()
        let schema: Schema = [Field("id", .bigint), Field("d", .string), Field("dh", .int)]
        func sink(_ pattern: String, _ formatter: String?) throws -> any TableSink {
            var options = Self.marking.merging(["connector": "filesystem", "path": directory.path + "/out", "format": "json",
                                                "partition.time-extractor.timestamp-pattern": pattern]) { $1 }
            options["partition.time-extractor.timestamp-formatter"] = formatter
            return try FilesystemConnector().sink(for: TableDescriptor(name: "t", schema: schema, partitionKeys: ["d", "dh"], options: options), timeZone: "UTC")
        }
        let time: Int64 = 1_704_081_600_000  // 2024-01-01 04:00
        for (i, (pattern, formatter, day)) in [("$d $dh:00:00", nil, "2024-1-01"), ("$d/$dh", "yyyyMMdd/H", "20240101")].enumerated() {
            let sink = try sink(pattern, formatter)
            let writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
            try writer.write(Batch(schema: schema, rows: [[.int(1), .string(day), .int(4)]]))
            try writer.watermark(EventTime(milliseconds: time))
            try committer.commit(1, try writer.prepareCommit(1))
            #expect(directory.files().count { $0.hasSuffix("/_SUCCESS") } == i)
            try writer.watermark(EventTime(milliseconds: time + 1))
            try committer.commit(2, try writer.prepareCommit(2))
            #expect(directory.files().count { $0.hasSuffix("/_SUCCESS") } == i + 1, "\(directory.files())")
            let error = #expect(throws: StreamError.self) { try writer.write(Batch(schema: schema, rows: [[.int(1), .null, .int(4)]])) }
            #expect(error?.code == .runtime && error?.problem.contains("tells no time") == true)
        }
    }

    @Test("wrong sink options say what to write", arguments: [
        (["sink.partition-commit.policy.kind": "metastore,success-file"], "there is no metastore"),
        (["sink.partition-commit.policy.kind": "sucess-file"], "use 'success-file'"), (["sink.partition-commit.success-file.name": "DONE"], "would be read as data"),
        (["sink.partition-commit.trigger": "event-time"], "is not known here"), (["sink.partition-commit.watermark-time-zone": "Moon"], "is not a time zone"),
        (["partition.time-extractor.kind": "custom"], "classes cannot be loaded"), (["partition.time-extractor.timestamp-pattern": "$hour"], "names no partition column"),
        (["sink.rolling-policy.rollover-interval": "0 s"], "is not positive"), (["sink.rolling-policy.on-checkpoint": "maybe"], "neither true nor false"),
    ])
    func wrong(options: [String: String], text: String) throws {
        let error = #expect(throws: StreamError.self) { try FilesystemConnector().validate(table(TemporaryDirectory(), options)) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
        #expect(FilesystemConnector().optionKeys(for: table(TemporaryDirectory())).isSuperset(of: options.keys))
    }

    @Test("success files need partitions; rows are shuffled by partition on request")
    func plan() throws {
        let directory = TemporaryDirectory()
        #expect(throws: StreamError.self) { try FilesystemConnector().validate(table(directory, Self.marking, partitioned: false)) }
        #expect(try sink(directory).distributionKeys == [] && sink(directory, .system, ["sink.shuffle-by-partition.enable": "true"]).distributionKeys == [1])
    }
}
