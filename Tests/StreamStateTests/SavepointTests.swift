import Foundation
import StreamCore
import Testing

@testable import StreamState

@Suite struct SavepointTests {
    let temporary: TemporaryDirectory
    let job: SampleJob

    init() throws {
        temporary = try TemporaryDirectory()
        job = SampleJob(scratch: temporary.path + "/work")
    }

    @Test func aSavepointCanBeMoved() throws {
        let parent = temporary.path + "/savepoints"
        let writer = try CheckpointStorage.beginSavepoint(12, in: parent, jobName: "orders/2026 café", host: .system)
        #expect(writer.directory.hasPrefix(parent + "/savepoint-orders-2026-caf--12-"))
        #expect(!Host.exists(writer.directory))
        let made = try job.take(12, with: writer, kind: .savepoint)
        #expect(made.directory == writer.directory)
        #expect(try Host.names(in: parent) == [String(writer.directory.dropFirst(parent.count + 1))])
        #expect(try job.contents(made) == job.expected(12))

        let moved = temporary.path + "/elsewhere"
        try FileManager.default.copyItem(atPath: writer.directory, toPath: moved)
        try FileManager.default.removeItem(atPath: writer.directory)
        for path in [moved, moved + "/", moved + "/manifest.json"] {
            let checkpoint = try CheckpointStorage.open(path)
            #expect(checkpoint.manifest.kind == .savepoint)
            #expect(try job.contents(checkpoint) == job.expected(12))
            try checkpoint.verify()
        }
    }

    @Test func anAbandonedSavepointLeavesNothing() throws {
        let writer = try CheckpointStorage.beginSavepoint(1, in: temporary.path + "/s", jobName: "j", host: .system)
        _ = try writer.write(job.snapshot(1, subtask: 0), operatorID: "x", subtask: 0)
        writer.abandon()
        writer.abandon()
        #expect(try Host.names(in: temporary.path + "/s").isEmpty)
        #expect(failure { _ = try writer.complete(CheckpointManifest(kind: .savepoint, checkpoint: 1, jobID: "", jobName: "", planFingerprint: "", maxParallelism: 1, startedAt: 0)) } != nil)
    }

    @Test func whatIsNotASavepointIsNamed() throws {
        let nowhere = try #require(failure { _ = try CheckpointStorage.open(temporary.path + "/nowhere") })
        #expect(nowhere.code == .io && nowhere.description.contains("/nowhere"))
        let empty = try #require(failure { _ = try CheckpointStorage.open(temporary.path) })
        #expect(empty.code == .validate && empty.description.contains("no manifest.json"))
        do {
            let storage = try CheckpointStorage(directory: temporary.path + "/job")
            for n in [9, 10] { _ = try job.take(n, in: storage) }
        }
        let parent = try #require(failure { _ = try CheckpointStorage.open(temporary.path + "/job") })
        #expect(parent.code == .validate && parent.description.contains("job/chk-10"))
        // A checkpoint can be named as well.
        #expect(try job.contents(CheckpointStorage.open(temporary.path + "/job/chk-9")) == job.expected(9))
        // But not be moved on its own.
        try FileManager.default.copyItem(atPath: temporary.path + "/job/chk-9", toPath: temporary.path + "/moved")
        let moved = try #require(failure { _ = try CheckpointStorage.open(temporary.path + "/moved") })
        #expect(moved.code == .corrupt && moved.description.contains(".state") && moved.description.contains("is missing"))
    }

    @Test func aLinkToACheckpointIsFollowed() throws {
        do { _ = try job.take(1, in: CheckpointStorage(directory: temporary.path + "/a/job")) }
        let link = temporary.path + "/latest"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: temporary.path + "/a/job/chk-1")
        #expect(try job.contents(CheckpointStorage.open(link)) == job.expected(1))
    }
}
