import Foundation
import StreamCore
import StreamTesting
import Synchronization
import Testing

@testable import DeltaTable
@testable import LakeTable

@Suite("Delta writers that die, and tables that change under them") struct RecoveryTests {
    /// Throws when a step is reached for the n-th time, as if the process died there.
    final class Death: Sendable {
        struct Error: Swift.Error {}
        private let left: Mutex<Int>
        private let step: WriteStep
        init(at step: WriteStep, count: Int = 1) {
            self.step = step
            left = Mutex(count)
        }
        func reached(_ step: WriteStep) throws {
            guard step == self.step else { return }
            let dies = left.withLock { left in
                left -= 1
                return left <= 0
            }
            if dies { throw Error() }
        }
    }

    static let rows = (0..<40).map { TestTable.row($0, ["oslo", "lima"][$0 % 2], $0, 1) }
    static let change = (20..<60).map { TestTable.row($0, ["oslo", "lima"][$0 % 2], $0 + 1_000, 2) }
    static let after = Array(rows[0..<20]) + change

    /// Every data file that lies about is on the log, and nothing is pending.
    static func expectSettled(_ path: String, _ what: String = "", sourceLocation: Testing.SourceLocation = #_sourceLocation) throws {
        var files = try TableFiles(path: path)
        files.metaFolder = LogListing.folder
        #expect(try PendingNotes.commits(files).isEmpty, "\(what)", sourceLocation: sourceLocation)
        let snapshot = try #require(try DeltaSnapshot.load(files))
        let known = Set(snapshot.files.keys).union(snapshot.removed.keys)
        #expect(try dataFiles(path).filter { !known.contains($0) } == [], "\(what)", sourceLocation: sourceLocation)
        #expect(Set(try dataFiles(path)).isSuperset(of: snapshot.files.keys), "\(what)", sourceLocation: sourceLocation)
    }

    static let steps: [WriteStep] = [.requested, .marker, .baseFileWritten, .baseFilePublished, .prepared, .committed, .markersDeleted, .cleanFilesDeleted]

    @Test("dying at any step leaves the table as it was or as it should be, and a recovery makes it so", arguments: steps, [1, 2])
    func death(step: WriteStep, count: Int) throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, partitions: ["city"], options: ["clean.retain_commits": "1", "delta.checkpointInterval": "1"])
        try table.commit(Self.rows)
        let death = Death(at: step, count: count)
        table.connector = DeltaConnector(reached: { try death.reached($0) })
        var committables: [Committable] = []
        do {
            let sink = try table.sink(), writer = try sink.writer(SinkContext())
            let committer = try #require(try sink.committer(SinkContext()))
            try writer.write(table.batch(Self.change))
            committables = try writer.prepareCommit(1)
            try committer.commit(1, committables)
            return  // Reached only once.
        } catch is Death.Error {}
        table.connector = DeltaConnector()
        let rows = try table.read()
        #expect(rows.canonical == Self.rows.canonical || rows.canonical == Self.after.canonical)
        // The job resumes from its checkpoint: with the commit, if it got that far.
        let sink = try table.sink()
        let committer = try #require(try sink.committer(SinkContext(restoredCheckpoint: 1)))
        try committer.recover(1, committables)
        try committer.recover(1, committables)
        #expect(try table.read().canonical == (committables.isEmpty ? Self.rows : Self.after).canonical)
        try Self.expectSettled(folder.path)
        let versions = try DeltaTable.open(folder.path).version
        #expect(versions == (committables.isEmpty ? 1 : 2))
        let writer = try sink.writer(SinkContext(restoredCheckpoint: 1))
        try writer.write(table.batch(Self.change))
        try committer.commit(2, try writer.prepareCommit(2))
        try writer.close()
        committer.close()
        #expect(try table.read().canonical == Self.after.canonical)
        if step == .committed || step == .prepared { #expect(try Judge.read(folder.path).rows == Self.after.judged(table.descriptor.schema)) }
    }

    @Test("death at any call that changes the disk, with the power off or on, loses and repeats nothing", arguments: [(true, true), (true, false), (false, true), (false, false)])
    func crashes(upsert: Bool, powerCut: Bool) throws {
        func block(_ n: Int) -> [[Value]] {
            var random = SeededGenerator(UInt64(n) &* 77 &+ 5)
            return (0..<20).map { TestTable.row(upsert ? random.below(40) : n * 100 + $0, ["oslo", "a b"][upsert ? random.below(2) : n % 2], random.below(100), n) }
        }
        let steps: [SinkStep] = [
            .write(subtask: 0, rows: block(1)), .checkpoint, .write(subtask: 0, rows: block(2)), .checkpointWithoutCommit, .fail, .write(subtask: 0, rows: block(3)),
            .abortedCheckpoint, .write(subtask: 0, rows: block(4)), .checkpoint, .restart(parallelism: 1), .write(subtask: 0, rows: block(5)), .fail,
            .write(subtask: 0, rows: block(6)), .checkpoint, .wait(milliseconds: 10), .write(subtask: 0, rows: block(7)), .checkpoint, .write(subtask: 0, rows: block(8)), .finish,
        ]
        func run(dyingAt call: Int?) throws -> Int {
            let folder = try TemporaryFolder(), disk = powerCut ? try SimulatedDisk(seed: UInt64(call ?? 0)) : nil
            let path = (disk?.root ?? folder.path) + "/table"
            func table(_ host: StreamCore.Host) -> TestTable {
                var table = TestTable(path, key: upsert ? ["id"] : [], partitions: ["city"],
                                      options: ["write.parquet.max.file.size": "4 kb", "delta.checkpointInterval": "2", "clean.retain_commits": "1"])
                table.connector = DeltaConnector(host: host)
                return table
            }
            var history = SinkHistory(steps: steps, schema: TestTable.orders, sink: { try table($0).sink() })
            history.disk = disk
            history.check = { rows in
                var expected = rows
                if upsert { expected = Array(Dictionary(rows.map { ($0[0], $0) }, uniquingKeysWith: { $1 }).values) }
                let there = (try LogListing(try DeltaOptions(table: table(.system).descriptor).files())).versions.isEmpty ? [] : try table(.system).read()
                #expect(there.canonical == expected.canonical, "died at call \(call ?? -1)")
            }
            let calls = try history.run(dyingAt: call)
            try Self.expectSettled(path, "died at call \(call ?? -1)")
            return calls
        }
        let calls = try run(dyingAt: nil)
        #expect(calls > 200)
        let step = ProcessInfo.processInfo.environment["SWIFTWATER_THOROUGH"] == nil ? 17 : 1
        for call in stride(from: 0, to: calls, by: step) { _ = try run(dyingAt: call) }
    }

    @Test("random jobs that die at random calls give the rows of an undisturbed run", arguments: (1...8).map { UInt64($0) })
    func randomJobs(seed: UInt64) throws {
        var random = SeededGenerator(seed)
        let upsert = seed % 4 != 0, ordered = upsert && seed % 3 == 0
        var steps: [SinkStep] = [], blocks = 0
        for _ in 0..<24 {
            switch random.below(9) {
            case 0, 1, 2, 3:
                blocks += 1
                let n = random.below(30)
                steps.append(.write(subtask: 0, rows: (0..<n).map { i in
                    // Rows of a block are newer than those before, so that the last one of a key wins either way.
                    TestTable.row(upsert ? random.below(50) : blocks * 100 + i, ["oslo", "a b", nil][random.below(3)], random.below(1_000), blocks * 100 + i)
                }))
            case 4, 5: steps.append(.checkpoint)
            case 6: steps.append(.abortedCheckpoint)
            case 7: steps += [.checkpointWithoutCommit, [.fail, .restart(parallelism: 1)][random.below(2)]]
            default: steps.append([.fail, .restart(parallelism: 1), .wait(milliseconds: 5_000)][random.below(3)])
            }
        }
        steps.append(.finish)
        for powerCut in [false, true] {
            var call: Int?
            for turn in 0..<4 {
                let folder = try TemporaryFolder(), disk = powerCut ? try SimulatedDisk(seed: seed &+ UInt64(turn)) : nil
                let path = (disk?.root ?? folder.path) + "/table"
                var options = ["write.parquet.max.file.size": "6 kb", "write.parquet.small.file.limit": "4 kb", "delta.checkpointInterval": "3",
                               "clean.retain_commits": "2", "write.task.max.size": ordered || seed % 2 == 0 ? "10" : "4 kb"]
                if ordered { options["ordering.field"] = "ts" }
                var table = TestTable(path, key: upsert ? ["id"] : [], partitions: ["city"], options: options)
                var history = SinkHistory(steps: steps, schema: TestTable.orders, sink: {
                    table.connector = DeltaConnector(host: $0)
                    return try table.sink()
                })
                history.seed = seed
                history.disk = disk
                let reader = TestTable(path, key: upsert ? ["id"] : [], partitions: ["city"])
                history.check = { rows in
                    let expected = upsert ? Array(Dictionary(rows.map { ($0[0], $0) }, uniquingKeysWith: { $1 }).values) : rows
                    let there = try LogListing(try DeltaOptions(table: reader.descriptor).files()).versions.isEmpty ? [] : try reader.read()
                    #expect(there.canonical == expected.canonical, "seed \(seed), died at call \(call ?? -1), power cut \(powerCut)")
                }
                let calls = try history.run(dyingAt: call)
                try Self.expectSettled(path, "seed \(seed), died at call \(call ?? -1)")
                if powerCut, turn == 3, seed == 1 { #expect(try Judge.read(path).rows == (try reader.read()).judged(TestTable.orders)) }
                call = random.below(max(calls, 1))
            }
        }
    }

    @Test("a second writer is told that there is one")
    func twoWriters() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path)
        let first = try table.sink().writer(SinkContext())
        let error = #expect(throws: StreamError.self) { try table.sink().writer(SinkContext()) }
        #expect(error?.code == .conflict && error?.description.contains("is being written by another job") == true)
        try first.close()
        try table.commit(Self.rows)
    }

    @Test("what delta-rs appends between two commits, and during one, stays; the job goes on")
    func appendsOfOthers() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path)
        let sink = try table.sink(), writer = try sink.writer(SinkContext())
        let committer = try #require(try sink.committer(SinkContext()))
        try writer.write(table.batch(Self.rows))
        try committer.commit(1, try writer.prepareCommit(1))
        // Between two commits: keys of theirs are ours from then on.
        try Judge.run("append", folder.path, #"[["order-50", "oslo", 1, 1000], ["order-99", "oslo", 2, 1000]]"#)
        try writer.write(table.batch(Self.change))
        let prepared = try writer.prepareCommit(2)
        // During one.
        try Judge.run("append", folder.path, #"[["order-100", "oslo", 3, 1000]]"#)
        try committer.commit(2, prepared)
        let expected = Self.after + [TestTable.row(99, "oslo", 2, 1), TestTable.row(100, "oslo", 3, 1)]
        #expect(try table.read().canonical == expected.canonical)
        try writer.write(table.batch([TestTable.row(100, "oslo", 4, 1)]))
        try committer.commit(3, try writer.prepareCommit(3))
        try writer.close()
        committer.close()
        let judged = try Judge.read(folder.path)
        #expect(judged.rows == (expected.dropLast() + [TestTable.row(100, "oslo", 4, 1)]).judged(table.descriptor.schema) && judged.version == 5)
    }

    @Test("a commit on files that delta-rs has rewritten meanwhile is a conflict; the job starts again and goes on")
    func rewritesOfOthers() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path)
        try table.commit(Self.rows)
        do {
            let sink = try table.sink(), writer = try sink.writer(SinkContext())
            let committer = try #require(try sink.committer(SinkContext()))
            try writer.write(table.batch(Array(Self.change[0..<1])))
            try committer.commit(1, try writer.prepareCommit(1))
            // A merge into a file, which another engine rewrites.
            try writer.write(table.batch(Self.change))
            let prepared = try writer.prepareCommit(2)
            try Judge.run("delete", folder.path, "id = 'order-3'")
            let error = #expect(throws: StreamError.self) { try committer.commit(2, prepared) }
            #expect(error?.code == .conflict && error?.description.contains("another engine has rewritten") == true)
            writer.abort()
            committer.close()
        }
        let before = Self.rows.filter { $0[0] != .string("order-3") && $0[0] != .string("order-20") } + [Self.change[0]]
        #expect(try table.read().canonical == before.canonical)
        // From the checkpoint before, with its input again.
        let sink = try table.sink(), committer = try #require(try sink.committer(SinkContext(restoredCheckpoint: 1)))
        try committer.recover(1, [])
        let writer = try sink.writer(SinkContext(restoredCheckpoint: 1))
        try writer.write(table.batch(Self.change))
        try committer.commit(2, try writer.prepareCommit(2))
        try writer.close()
        committer.close()
        let after = Self.after.filter { $0[0] != .string("order-3") }
        #expect(try table.read().canonical == after.canonical)
        #expect(try Judge.read(folder.path).rows == after.judged(table.descriptor.schema))
        try Self.expectSettled(folder.path)
    }
}
