import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi sinks in jobs with checkpoints") struct CheckpointTests {
    static func job(_ folder: TemporaryFolder, seed: UInt64 = 3, insert: Bool = false, version: TableVersion = .six, options: [String: String] = [:]) -> CheckpointJob {
        let options = options.merging(version.options) { a, _ in a }
        return CheckpointJob.random(folder.path, seed: seed, connector: HudiConnector(), insert: insert, global: true, ordered: false, options: options)
    }

    /// Name and content of every timeline file.
    static func timeline(_ folder: TemporaryFolder) throws -> [String] {
        try HudiTable.open(folder.path).timeline.map { "\($0.action) \($0.state)" }
    }

    static func commits(_ folder: TemporaryFolder) throws -> [CommitMetadata] {
        try HudiTable.open(folder.path).commits.map(\.metadata)
    }

    @Test("several prepared instants are committed in their order, each built on the one before", arguments: [true, false], TableVersion.allCases)
    func severalPrepared(insert: Bool, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder, insert: insert, version: version)
        try job.start()
        for _ in 0..<4 {
            for _ in 0..<3 { try job.write() }
            try job.prepare()
        }
        #expect(try job.table.read().isEmpty)
        for n in 1...4 {
            job.complete()
            try job.commit()
            #expect(try job.table.read().canonical == job.manifests[n].expected.rows.canonical)
            try expectSound(folder.path, rows: job.manifests[n].expected.rows.count, globalKeys: !insert)
        }
        try job.stop()
        #expect(try Self.timeline(folder) == Array(repeating: "commit completed", count: 4))
        #expect(try Self.commits(folder).map { $0.extra["swiftwater.checkpoint"] } == ["1", "2", "3", "4"])
        #expect(try Self.commits(folder).allSatisfy { $0.extra["swiftwater.job"] == "job-7" })
    }

    @Test("an instant is refused while an earlier one is not completed")
    func outOfOrder() throws {
        let folder = try TemporaryFolder()
        let table = Self.job(folder).table, context = SinkContext(isRecoverable: true)
        let sink = try table.sink(), writer = try sink.writer(context), committer = try #require(try sink.committer(context))
        try writer.write(table.batch([UpsertTests.row(1, "oslo", 1, 1)]))
        let first = try writer.prepareCommit(1)
        try writer.write(table.batch([UpsertTests.row(1, "oslo", 2, 1)]))
        let second = try writer.prepareCommit(2)
        let error = #expect(throws: StreamError.self) { try committer.commit(2, second) }
        #expect(error?.problem.contains("before commit") == true)
        #expect(try table.read().isEmpty)
        try committer.commit(2, second + first)
        #expect(try table.read() == [UpsertTests.row(1, "oslo", 2, 1)])
        try writer.close()
        committer.close()
    }

    @Test("what a given up checkpoint prepared is committed with the next one")
    func givenUp() throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder)
        try job.start()
        for _ in 0..<3 {
            try job.write()
            try job.prepare()
        }
        job.giveUp()
        job.giveUp()
        job.complete()
        #expect(job.manifests[1].committables.count == 3)
        try job.commit()
        try job.write()
        try job.finish()
        #expect(try job.table.read().canonical == job.expected.rows.canonical)
        try expectSound(folder.path, rows: job.expected.rows.count, globalKeys: true)
        #expect(try Self.timeline(folder) == Array(repeating: "commit completed", count: 4))
    }

    @Test("a checkpoint without rows makes no instant")
    func empty() throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder)
        try job.start()
        try job.prepare()
        try job.write()
        try job.prepare()
        try job.prepare()
        #expect(job.running.map(\.committables.count) == [0, 1, 0])
        job.complete()
        job.complete()
        job.complete()
        try job.commit()
        try job.stop()
        #expect(try Self.timeline(folder).count == 1)
    }

    @Test("a recovery completes what the checkpoint names and undoes the rest, before there is a writer, and may be repeated", arguments: TableVersion.allCases)
    func recovery(version: TableVersion) throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder, version: version)
        try job.start()
        for n in 0..<4 {
            try job.write()
            try job.prepare()
            if n < 2 { job.complete() }
            if n == 0 { try job.commit() }
        }
        try job.write()
        job.crash()
        #expect(try Self.timeline(folder).filter { $0 == "commit completed" }.count == 1)
        let sink = try job.table.sink()
        let committer = try #require(try sink.committer(SinkContext(isRecoverable: true, restoredCheckpoint: 2)))
        for _ in 0..<2 {
            try committer.recover(2, job.manifests[1].committables + job.manifests[2].committables)
            #expect(try Self.timeline(folder) == ["commit completed", "commit completed", "rollback completed", "rollback completed"])
            #expect(try job.table.read().canonical == job.manifests[2].expected.rows.canonical)
        }
        committer.close()
        try job.start()
        try job.write()
        try job.finish()
        #expect(try job.table.read().canonical == job.expected.rows.canonical)
        try expectSound(folder.path, rows: job.expected.rows.count, globalKeys: true)
    }

    @Test("what was committed long ago is left alone, also when its files were cleaned and its instant archived", arguments: [false, true], TableVersion.allCases)
    func oldCheckpoint(archived: Bool, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder, version: version, options: ["clean.retain_commits": "1"])
        try job.start()
        for _ in 0..<5 {
            try job.write()
            try job.prepare()
            job.complete()
            try job.commit()
        }
        try job.stop()
        let first = try PreparedCommit(job.manifests[1].committables[0])
        #expect(first.metadata.stats.contains { !FileManager.default.fileExists(atPath: folder.path + "/" + $0.path!) }, "a file of it was cleaned")
        if archived {
            let from = folder.path + "/" + version.timelineFolder, to = folder.path + "/" + version.archiveFolder
            let names = try FileManager.default.contentsOfDirectory(atPath: from).filter { $0.hasPrefix(first.instant) }
            #expect(names.count == 3)
            for name in names { try FileManager.default.moveItem(atPath: "\(from)/\(name)", toPath: "\(to)/\(name)") }
        }
        let before = try Self.timeline(folder)
        let sink = try job.table.sink(), committer = try #require(try sink.committer(SinkContext(isRecoverable: true, restoredCheckpoint: 1)))
        try committer.recover(1, job.manifests[1].committables)
        try committer.recover(1, [])
        committer.close()
        #expect(try Self.timeline(folder) == before)
        #expect(try job.table.read().canonical == job.expected.rows.canonical)
    }

    enum Damage: CaseIterable { case deleted, cutShort, rolledBack, rolledBackAndFollowed, unnamed, committable }

    @Test("a checkpoint whose instant is lost is refused by name, and nothing of it shows", arguments: Damage.allCases, [TableVersion.six, .nine])
    func damage(_ damage: Damage, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        var job = Self.job(folder, version: version)
        try job.start()
        for _ in 0..<2 {
            try job.write()
            try job.prepare()
        }
        var committables = job.running.flatMap(\.committables)
        let prepared = try committables.map { try PreparedCommit($0) }
        job.crash()
        let file = folder.path + "/" + prepared[0].metadata.stats[0].path!
        let (code, text): (StreamError.Code, String)
        switch damage {
        case .deleted:
            try FileManager.default.removeItem(atPath: file)
            (code, text) = (.conflict, "is gone")
        case .cutShort:
            try FileHandle(forWritingTo: URL(fileURLWithPath: file)).truncate(atOffset: 100)
            (code, text) = (.corrupt, "has 100 bytes instead of")
        case .rolledBack, .rolledBackAndFollowed:
            let other = try job.table.sink(), writer = try other.writer(SinkContext(jobID: "other"))
            try writer.write(job.table.batch([UpsertTests.row(1, "oslo", 1, 1)]))
            let theirs = try writer.prepareCommit(1)
            if damage == .rolledBackAndFollowed {
                let committer = try #require(try other.committer(SinkContext(jobID: "other")))
                try committer.commit(1, theirs)
                committer.close()
            }
            try writer.close()
            (code, text) = (.conflict, "was rolled back")
        case .unnamed:
            committables.removeFirst()
            (code, text) = (.conflict, "is built on commit \(prepared[0].instant)")
        case .committable:
            committables[0].bytes.removeFirst(20)
            (code, text) = (.corrupt, "a committable of a Hudi sink")
        }
        let before = try job.table.read()
        let committer = try #require(try job.table.sink().committer(SinkContext(isRecoverable: true, restoredCheckpoint: 2)))
        let error = #expect(throws: StreamError.self) { try committer.recover(2, committables) }
        committer.close()
        #expect(error?.code == code && error?.description.contains(text) == true, "\(error.map(String.init(describing:)) ?? "")")
        #expect(error?.fix != nil)
        #expect(try job.table.read().canonical == before.canonical)
    }

    @Test("without checkpoints nothing pending is completed: the next writer undoes it when it begins")
    func withoutCheckpoints() throws {
        let folder = try TemporaryFolder()
        let table = Self.job(folder).table
        do {
            let writer = try table.sink().writer(SinkContext())
            try writer.write(table.batch([UpsertTests.row(1, "oslo", 1, 1)]))
            _ = try writer.prepareCommit(1)
        }
        try table.commit([UpsertTests.row(2, "oslo", 1, 1)])
        #expect(try table.read() == [UpsertTests.row(2, "oslo", 1, 1)])
        #expect(try Self.timeline(folder) == ["rollback completed", "commit completed"])
    }
}
