import Foundation
import StreamCore
import StreamTesting
import Testing

@testable import StreamState

@Suite struct CheckpointStorageTests {
    let temporary: TemporaryDirectory
    let job: SampleJob
    var directory: String { temporary.path + "/job" }

    init() throws {
        temporary = try TemporaryDirectory()
        job = SampleJob(scratch: temporary.path + "/work")
    }

    private func newest(_ storage: CheckpointStorage) throws -> Checkpoint? { try storage.newest { Issue.record("passed over: \($0)") } }

    @Test func whatWasWrittenComesBackAfterARestart() throws {
        do {
            let storage = try CheckpointStorage(directory: directory)
            #expect(try newest(storage) == nil)
            #expect(try storage.lastNumber() == 0)
            for n in 1...2 { #expect(try job.contents(job.take(n, in: storage)) == job.expected(n)) }
        }
        let storage = try CheckpointStorage(directory: directory)
        let found = try #require(try newest(storage))
        #expect(found.manifest.checkpoint == 2 && found.manifest.jobName == "sample" && found.manifest.completedAt > 0)
        #expect(found.manifest.operators[0].committables == [CheckpointManifest.Bytes([1, 2, 2])])
        #expect(try job.contents(found) == job.expected(2))
        try found.verify()
        #expect(try storage.lastNumber() == 2)
        // What snapshots held of stores is gone.
        #expect(try FileManager.default.contentsOfDirectory(atPath: temporary.path + "/work").isEmpty)
    }

    @Test func keyGroupsAreGivenToWhomTheyBelong() throws {
        let storage = try CheckpointStorage(directory: directory)
        let checkpoint = try job.take(1, in: storage)
        let groups = try checkpoint.state(of: SampleJob.operatorID, keyGroups: 1..<65).pieces.map(\.keyGroup)
        #expect(groups.sorted() == [1, 2, 64, 64, KeyGroupState.everywhere, KeyGroupState.everywhere])
        #expect(try checkpoint.state(of: "another", keyGroups: 0..<128).isEmpty)
    }

    @Test func unchangedUnitsAreReferencedAndNotAskedFor() throws {
        let storage = try CheckpointStorage(directory: directory)
        let batch = Batch(schema: [Field("n", .bigint)], rows: (0..<50_000).map { [.int(Int64(($0 &* 2_654_435_761) % 1_000_003))] })
        func take(_ number: UInt64, _ version: UInt64, called: inout Bool) throws -> Checkpoint {
            nonisolated(unsafe) var asked = false
            let writer = try storage.begin(number)
            let unit = StateUnit(name: "big", version: version) {
                asked = true
                return [KeyGroupState(keyGroup: 1, name: "table", batch: batch)]
            }
            let (state, _, bytes) = try writer.write(OperatorSnapshot(units: [unit]), operatorID: "a", subtask: 0)
            #expect(bytes > 100_000)
            called = asked
            return try writer.complete(CheckpointManifest(
                kind: .checkpoint, checkpoint: number, jobID: "", jobName: "", planFingerprint: "", maxParallelism: 128, startedAt: 0,
                operators: [.init(id: "a", name: "a", parallelism: 1, subtasks: [.init(subtask: 0, state: state, stateBytes: bytes)])]))
        }
        func stateBytes() throws -> [Int] {
            try Host.names(in: directory + "/state").compactMap { Host.size(of: "\(directory)/state/\($0)") }.sorted()
        }
        var called = false
        _ = try take(1, 1, called: &called)
        #expect(called)
        let first = try stateBytes()
        for number in UInt64(2)...6 {
            let checkpoint = try take(number, 1, called: &called)
            #expect(!called)
            #expect(try checkpoint.state(of: "a", keyGroups: 0..<2).loaded()[0].batch.rows() == batch.rows())
        }
        // The first file is still there, as it is needed, and each of the three that are kept adds an index only.
        let later = try stateBytes()
        #expect(later.count == 4 && later.last == first[0] && later.dropLast().allSatisfy { $0 < 200 })
        _ = try take(7, 2, called: &called)
        #expect(called)
        // Another process knows no versions.
        #expect(try newest(storage)?.manifest.checkpoint == 7)
    }

    @Test func aRestartWritesEverythingAnew() throws {
        do { _ = try job.take(1, in: CheckpointStorage(directory: directory)) }
        let again = try CheckpointStorage(directory: directory)
        let checkpoint = try job.take(2, in: again)
        #expect(checkpoint.manifest.files.filter { $0.name.hasSuffix(".state") }.count == 1)
        #expect(try job.contents(checkpoint) == job.expected(2))
    }

    @Test func unchangedFilesOfStoresAreOneFileOnTheDisk() throws {
        let storage = try CheckpointStorage(directory: directory)
        for n in 1...3 { _ = try job.take(n, in: storage) }
        func inode(_ path: String) throws -> UInt64 {
            try #require(FileManager.default.attributesOfItem(atPath: "\(directory)/\(path)")[.systemFileNumber] as? UInt64)
        }
        let first = try inode("chk-1/stores/0/1.sst")
        #expect(try inode("chk-3/stores/0/1.sst") == first)
        #expect(try inode("chk-3/stores/1/1.sst") != first)
        #expect(try inode("chk-3/stores/0/CURRENT") != inode("chk-2/stores/0/CURRENT"))
    }

    @Test func storesAreCopiedWhereLinksCannotBeMade() throws {
        var host = Host.system
        host.link = { _, _ in
            errno = EXDEV
            return -1
        }
        let storage = try CheckpointStorage(directory: directory, host: host)
        for n in 1...2 { _ = try job.take(n, in: storage) }
        let found = try #require(try newest(storage))
        #expect(try job.contents(found) == job.expected(2))
        #expect(found.manifest.files.filter { !$0.name.hasSuffix(".state") }.allSatisfy { $0.crc32c != nil })
    }

    @Test func exactlyWhatIsUnreferencedIsRemoved() throws {
        let storage = try CheckpointStorage(directory: directory, retained: 2)
        for n in 1...6 {
            _ = try job.take(n, in: storage)
            let kept = (max(1, n - 1)...n).map { "chk-\($0)" }
            #expect(try Host.names(in: directory) == (kept + ["lock", "state"]).sorted())
            // The constant unit keeps the first file.
            let states = Set(try Host.names(in: directory + "/state").map { Int($0.prefix { $0 != "-" })! })
            #expect(states == Set([1] + Array(max(1, n - 1)...n)))
        }
        let found = try #require(try newest(storage))
        #expect(try job.contents(found) == job.expected(6))
        let older = try CheckpointStorage.open(directory + "/chk-5")
        #expect(try job.contents(older) == job.expected(5))
    }

    @Test func aFileOfWhichLittleIsNeededIsGivenUp() throws {
        let storage = try CheckpointStorage(directory: directory, retained: 1)
        var random = SeededRandom(1)
        let noise = Batch(schema: [Field("n", .bigint)], rows: (0..<200_000).map { _ in [.int(Int64(truncatingIfNeeded: random.next()))] })
        for n in UInt64(1)...3 {
            let writer = try storage.begin(n)
            let units = [
                StateUnit(name: "small", version: 1) { [job.piece(1, "table", 1)] },
                StateUnit(name: "large", version: n) { n == 1 ? [KeyGroupState(keyGroup: 1, name: "noise", batch: noise)] : [] },
            ]
            let (state, _, bytes) = try writer.write(OperatorSnapshot(units: units), operatorID: "a", subtask: 0)
            let checkpoint = try writer.complete(CheckpointManifest(
                kind: .checkpoint, checkpoint: n, jobID: "", jobName: "", planFingerprint: "", maxParallelism: 128, startedAt: 0,
                operators: [.init(id: "a", name: "a", parallelism: 1, subtasks: [.init(subtask: 0, state: state, stateBytes: bytes)])]))
            #expect(try checkpoint.state(of: "a", keyGroups: 0..<128).loaded().contains { $0.batch.rows() == job.piece(1, "table", 1).batch.rows() })
        }
        let sizes = try Host.names(in: directory + "/state").compactMap { Host.size(of: "\(directory)/state/\($0)") }
        #expect(sizes.count == 1 && sizes[0] < 10_000)
    }

    @Test func numbersAreNeverGivenAgain() throws {
        do {
            let storage = try CheckpointStorage(directory: directory)
            _ = try job.take(4, in: storage)
            _ = try storage.begin(9)
            #expect(try storage.lastNumber() == 9)
            #expect(failure { _ = try storage.begin(4) }?.code == .conflict)
        }
        do { #expect(try CheckpointStorage(directory: directory).lastNumber() == 9) }
        let storage = try CheckpointStorage(directory: directory)
        #expect(try storage.lastNumber() == 9)
        try storage.begin(10).abandon()
        _ = try job.take(11, in: storage)
        #expect(try Host.names(in: directory) == ["chk-11", "chk-4", "lock", "state"])
        try storage.removeAll()
        #expect(try newest(storage) == nil)
        #expect(try files(below: directory) == ["lock"])
        #expect(try storage.lastNumber() == 11)
    }

    @Test func aNumberCanBeTakenForASavepoint() throws {
        do { try CheckpointStorage(directory: directory).reserve(5) }
        let storage = try CheckpointStorage(directory: directory)
        #expect(try storage.lastNumber() == 5)
        _ = try job.take(6, in: storage)
        #expect(try Host.names(in: directory) == ["chk-6", "lock", "state"])
    }

    @Test func aCheckpointInProgressKeepsWhatItIsBuiltOn() throws {
        let storage = try CheckpointStorage(directory: directory, retained: 1)
        _ = try job.take(1, in: storage)
        let slow = try storage.begin(2)
        let quick = try storage.begin(3)
        try job.take(3, with: quick)
        let checkpoint = try job.take(2, with: slow)
        // Too old by now: it is complete, and removed at once.
        #expect(checkpoint.manifest.checkpoint == 2)
        let found = try #require(try newest(storage))
        #expect(try job.contents(found) == job.expected(3))
    }

    @Test func twoProcessesCannotHoldOneDirectory() throws {
        let first = try CheckpointStorage(directory: directory)
        let error = try #require(failure { _ = try CheckpointStorage(directory: directory) })
        #expect(error.code == .conflict && error.description.contains("another process runs this job") && error.description.contains(directory))
        withExtendedLifetime(first) {}
    }

    @Test func leftoversOfACrashAreRemoved() throws {
        do {
            let storage = try CheckpointStorage(directory: directory)
            _ = try job.take(1, in: storage)
        }
        let good = try files(below: directory)
        for path in ["state/2-abc.state", "chk-1/manifest.json.tmp", "chk-2/stores/0/x.sst", "chk-3/manifest.json.tmp"] {
            try FileManager.default.createDirectory(atPath: Host.parent(of: "\(directory)/\(path)"), withIntermediateDirectories: true)
            try Data("x".utf8).write(to: URL(filePath: "\(directory)/\(path)"))
        }
        let storage = try CheckpointStorage(directory: directory)
        #expect(try files(below: directory) == good)
        #expect(try storage.lastNumber() == 3)
        #expect(try Host.names(in: directory) == ["chk-1", "chk-3", "lock", "state"])
    }

    @Test func aCheckpointSaysWhatIsInIt() throws {
        let checkpoint = try job.take(1, in: CheckpointStorage(directory: directory))
        let summary = try #require(try checkpoint.operators().first)
        #expect(summary.id == SampleJob.operatorID && summary.pieces == 10 && summary.rows == 200 && summary.storeFiles == 6)
        #expect(summary.bytes == checkpoint.stateBytes && checkpoint.totalBytes > summary.bytes)
        let pieces = try checkpoint.pieces(of: SampleJob.operatorID)
        let piece = try #require(pieces.first { $0.unit == "changing" && $0.subtask == 1 })
        #expect(piece.keyGroup == 66 && piece.name == "table" && piece.rows == 20 && piece.bytes < piece.rawBytes)
        let loaded = try checkpoint.load(piece)
        #expect(loaded.columns == ["n", "text"] && loaded.batch.rows() == job.piece(66, "table", 1).batch.rows())
        let error = try #require(failure { _ = try checkpoint.pieces(of: "op-2") })
        #expect(error.code == .validate && error.description.contains("op-1"))
    }

    @Test func unitsOfOneNameAreRefused() throws {
        let writer = try CheckpointStorage(directory: directory).begin(1)
        let units = ["a", "a"].map { StateUnit(name: $0) { [] } }
        #expect(failure { _ = try writer.write(OperatorSnapshot(units: units), operatorID: "x", subtask: 0) }?.problem.contains("\"a\"") == true)
    }
}
