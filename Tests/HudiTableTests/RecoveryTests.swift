import Foundation
import StreamCore
import Synchronization
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi writers that die, and tables that change under them") struct RecoveryTests {
    static let schema = UpsertTests.schema

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

        /// Throws at all later steps, as nothing is done any more.
        func stayDead() throws { if left.withLock({ $0 <= 0 }) { throw Error() } }
    }

    /// Writes and "dies": nothing is cleaned up, as after kill -9. Returns whether it did die.
    static func die(_ table: TestTable, _ rows: [[Value]], at death: Death) throws -> Bool {
        var table = table
        table.connector = HudiConnector(reached: { try death.reached($0) })
        do {
            let sink = try table.sink()
            let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
            let committer = try #require(try sink.committer(SinkContext()))
            try writer.write(table.batch(rows))
            try committer.commit(1, try writer.prepareCommit(1))
            return false
        } catch is Death.Error {
            return true
        }
    }

    static let rows = (0..<40).map { UpsertTests.row($0, ["oslo", "lima"][$0 % 2], $0, 1) }
    static let change = (20..<60).map { UpsertTests.row($0, ["oslo", "lima"][$0 % 2], $0 + 1_000, 2) }
    static let after = Array(rows[0..<20]) + change

    static let writeSteps: [WriteStep] = [.requested, .inflight, .marker, .partitionMetadata, .baseFileWritten, .baseFilePublished, .prepared,
                                          .committed, .markersDeleted]

    @Test("dying at any step leaves the table as it was or as it should be, and the next writer goes on",
          arguments: writeSteps, [1, 2])
    func death(step: WriteStep, count: Int) throws {
        let folder = try TemporaryFolder(), version: TableVersion = count == 1 ? .eight : .six
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: version.options)
        try table.commit(Self.rows)
        guard try Self.die(table, Self.change, at: Death(at: step, count: count)) else { return }  // reached only once
        let completed = step == .committed || step == .markersDeleted
        let expected = completed ? Self.after : Self.rows
        try expectSound(folder.path, rows: expected.count, key: "id")
        #expect(try table.read().canonical == expected.canonical)
        // The same change again, as a restart from the last checkpoint would send it.
        try table.commit(Self.change)
        try expectSound(folder.path, rows: 60, key: "id")
        #expect(try table.read().canonical == Self.after.canonical)
        #expect(try HudiTable.open(folder.path).timeline.allSatisfy { $0.state == "completed" })
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/.hoodie/.temp").filter { !$0.hasPrefix("2") }.isEmpty)
    }

    static let rollbackSteps: [WriteStep] = [.rollbackRequested, .rollbackInflight, .rollbackHidden, .rollbackFilesDeleted, .rollbackInstantDeleted, .rollbackCompleted]

    @Test("dying in a rollback is made good by the next writer", arguments: rollbackSteps, [TableVersion.six, .nine])
    func deathInRollback(step: WriteStep, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: version.options)
        try table.commit(Self.rows)
        #expect(try Self.die(table, Self.change, at: Death(at: .prepared)))
        #expect(try Self.die(table, Self.change, at: Death(at: step)))
        try expectSound(folder.path, rows: 40, key: "id")
        try table.commit(Self.change)
        try expectSound(folder.path, rows: 60, key: "id")
        #expect(try table.read().canonical == Self.after.canonical)
        let timeline = try HudiTable.open(folder.path).timeline
        #expect(timeline.map(\.action).sorted() == ["commit", "commit", "rollback"])
        #expect(timeline.allSatisfy { $0.state == "completed" })
    }

    @Test("old versions are deleted, those that retained commits need stay, and a clean that died is finished", arguments: [nil, WriteStep.cleanRequested, .cleanInflight, .cleanFilesDeleted], [TableVersion.six, .eight])
    func cleaning(step: WriteStep?, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"], options: version.options.merging(["clean.retain_commits": "2"]) { a, _ in a })
        try table.commit(Self.rows)
        try table.commit([UpsertTests.row(0, "oslo", 1, 1)])
        try table.commit([UpsertTests.row(0, "oslo", 2, 1)])
        if let step { #expect(try Self.die(table, [UpsertTests.row(0, "oslo", 3, 1)], at: Death(at: step))) }
        // The checker knows that files were cleaned only when the clean is completed.
        if step == .cleanFilesDeleted { #expect(try table.read().count == 40) } else { try expectSound(folder.path, rows: 40, key: "id") }
        try table.commit([UpsertTests.row(1, "lima", 4, 1)])
        try table.commit([UpsertTests.row(0, "oslo", 5, 1)])
        try expectSound(folder.path, rows: 40, key: "id")
        let opened = try HudiTable.open(folder.path)
        #expect(try opened.timeline.allSatisfy { $0.state == "completed" })
        #expect(try opened.timeline.contains { $0.action == "clean" })
        // Two live files, and what a reader of the newest commit but one sees instead of them.
        let left = try TableListing.baseFiles(TableFiles(path: folder.path)).count
        #expect(left == 4)
        #expect(try table.read().contains(UpsertTests.row(0, "oslo", 5, 1)))
    }

    @Test("a prepared commit of a checkpoint is completed after a restart")
    func recoveredCommit() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"])
        try table.commit(Self.rows)
        var prepared: [Committable] = []
        do {
            let writer = try table.sink().writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
            try writer.write(table.batch(Self.change))
            prepared = try writer.prepareCommit(2)
        }
        let sink = try table.sink()
        // Whichever of the two comes first.
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let committer = try #require(try sink.committer(SinkContext()))
        try committer.commit(2, prepared)
        try expectSound(folder.path, rows: 60, key: "id")
        try writer.write(table.batch([UpsertTests.row(20, "oslo", -1, 3)]))
        try committer.commit(3, try writer.prepareCommit(3))
        try writer.close()
        committer.close()
        try expectSound(folder.path, rows: 60, key: "id")
        #expect(try table.read().contains(UpsertTests.row(20, "oslo", -1, 3)))
    }

    @Test("a full disk gives one error and nothing visible")
    func fullDisk() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"], partitions: ["city"])
        try table.commit(Self.rows)
        var failing = table
        failing.connector = HudiConnector(reached: { step in
            if step == .baseFileWritten { throw TableFiles.failure("write", "/disk/file.parquet", ENOSPC) }
        })
        let error = #expect(throws: StreamError.self) { try failing.commit(Self.change) }
        #expect(error?.problem == "cannot write /disk/file.parquet: No space left on device")
        #expect(error?.fix == "free disk space and start again; nothing of the unfinished commit is visible")
        try expectSound(folder.path, rows: 40, key: "id")
        #expect(try HudiTable.open(folder.path).timeline.map { $0.action + " " + $0.state } == ["commit completed", "rollback completed"])
    }

    @Test("a second writer is refused while the first is at work, and may start after it")
    func secondWriter() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"])
        let writer = try table.sink().writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let error = #expect(throws: StreamError.self) { try table.commit(Self.rows) }
        #expect(error?.code == .conflict)
        #expect(error?.description.contains("being written by another job") == true)
        try writer.close()
        try table.commit(Self.rows)
    }

    static let tampering: [(String, StreamError.Code, String)] = [
        ("s/hoodie.table.version=6/hoodie.table.version=8/", .validate, "timeline layout 1 does not belong to version 8"),
        ("s/hoodie.timeline.layout.version=1/hoodie.timeline.layout.version=2/", .validate, "timeline layout 2"),
        ("s/COPY_ON_WRITE/MERGE_ON_READ/", .validate, "only COPY_ON_WRITE"),
        ("$ahoodie.table.metadata.partitions=files", .conflict, "metadata table"),
        ("s/recordkey.fields=id/recordkey.fields=city/", .conflict, "were changed"),
    ]

    @Test("a table that another engine has upgraded or changed is refused before the next commit", arguments: 0..<5)
    func tampered(_ index: Int) throws {
        let (edit, code, text) = Self.tampering[index]
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema, key: ["id"])
        let sink = try table.sink()
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let committer = try #require(try sink.committer(SinkContext()))
        try writer.write(table.batch(Self.rows))
        let prepared = try writer.prepareCommit(1)
        let sed = Process()
        sed.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        sed.arguments = ["sed", "-i", edit, folder.path + "/.hoodie/hoodie.properties"]
        try sed.run()
        sed.waitUntilExit()
        let error = #expect(throws: StreamError.self) { try committer.commit(1, prepared) }
        #expect(error?.code == code && error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "")")
        #expect(try !FileManager.default.contentsOfDirectory(atPath: folder.path + "/.hoodie").contains { $0.hasSuffix(".commit") })
    }

    @Test("an instant is later than everything on the timeline, also when the clock runs back")
    func instants() throws {
        let timeline = Timeline(version: .six, instants: [Instant(time: "20990101000000999", action: "clean", state: .requested)])
        #expect(timeline.nextTime(now: 0) == "20990101000001000")
        #expect(timeline.nextTime(now: 0, after: "20990228235959999") == "20990301000000000")
        #expect(Timeline(version: .six, instants: []).nextTime(now: 1_767_225_600_001) == "20260101000000001")
        #expect(InstantTime.parse("20260101000000001") == 1_767_225_600_001)
        #expect(InstantTime.parse("2026010100000000x") == nil)
    }
}
