import Foundation
import StreamCore
import StreamTesting
import Testing

@testable import StreamState

@Suite struct CheckpointCrashTests {
    let temporary: TemporaryDirectory
    let job: SampleJob

    init() throws {
        temporary = try TemporaryDirectory()
        job = SampleJob(scratch: temporary.path + "/work", rowsPerPiece: 5)
    }

    /// Takes checkpoints 1 and 2, then 3 with a fault at its k-th call, for every k (or step-th) until it has fewer calls than that.
    private func forEveryCall(_ fault: FaultyHost.Fault, step: Int = 1,
                              _ check: (Int, String, CheckpointStorage?, FaultyHost, Bool) throws -> Void) throws {
        for k in stride(from: 1, to: .max, by: step) {
            let directory = "\(temporary.path)/job-\(k)", faulty = FaultyHost()
            var storage: CheckpointStorage? = try CheckpointStorage(directory: directory, host: faulty.host, retained: 2)
            for n in 1...2 { _ = try job.take(n, in: storage!) }
            faulty.arm(fault, at: k)
            let isComplete = (try? job.take(3, in: storage!)) != nil
            let hasFired = faulty.hasFired
            if !hasFired { faulty.arm(.none, at: 0) }
            if case .crash = fault { storage = nil }
            try check(k, directory, storage, faulty, isComplete)
            storage = nil
            try FileManager.default.removeItem(atPath: directory)
            if !hasFired {
                #expect(k > 50 && isComplete)
                return
            }
        }
    }

    private func stateFiles(_ directory: String) throws -> Set<String> { Set(try Host.names(in: directory + "/state").map { "../state/" + $0 }) }

    /// State files that the manifests name.
    private func referenced(_ directory: String, _ checkpoints: [Int]) throws -> Set<String> {
        Set(try checkpoints.flatMap { try CheckpointStorage.open("\(directory)/chk-\($0)").manifest.files.map(\.name) }.filter { $0.hasSuffix(".state") })
    }

    @Test func aCrashAtAnyCallLeavesACompleteCheckpoint() throws {
        try forEveryCall(.crash) { k, directory, _, faulty, isComplete in
            let what = Comment("call \(k): \(faulty.calls.prefix(k).last ?? "")")
            let storage = try CheckpointStorage(directory: directory, host: FaultyHost().host, retained: 2)
            let found = try #require(try storage.newest { Issue.record("call \(k): \($0)") }, what)
            let number = Int(found.manifest.checkpoint)
            #expect(number == 3 || number == 2 && !isComplete, what)
            #expect(try job.contents(found) == job.expected(number), what)
            try found.verify()
            // The next one goes on from there, and only what it needs stays.
            let next = try storage.lastNumber() + 1
            #expect(next >= number + 1, what)
            #expect(try job.contents(job.take(Int(next), in: storage)) == job.expected(Int(next)), what)
            #expect(try Host.names(in: directory) == ["chk-\(number)", "chk-\(next)", "lock", "state"], what)
            #expect(try stateFiles(directory) == referenced(directory, [number, Int(next)]), what)
        }
    }

    @Test func aCallThatFailsOnceCostsOneCheckpoint() throws {
        for (code, step) in [(EIO, 1), (ENOSPC, 5)] {
            try forEveryCall(.once(code), step: step) { k, directory, storage, faulty, isComplete in
                let what = Comment("call \(k): \(faulty.calls.prefix(k).last ?? ""), \(String(cString: strerror(code)))")
                let storage = try #require(storage)
                let found = try #require(try storage.newest { Issue.record("call \(k): \($0)") }, what)
                #expect(Int(found.manifest.checkpoint) == (isComplete ? 3 : 2), what)
                #expect(try job.contents(found) == job.expected(Int(found.manifest.checkpoint)), what)
                // It is built upon whatever was complete before.
                #expect(try job.contents(job.take(4, in: storage)) == job.expected(4), what)
                #expect(try Host.names(in: directory) == ["chk-\(isComplete ? 3 : 2)", "chk-4", "lock", "state"], what)
                #expect(try stateFiles(directory) == referenced(directory, [isComplete ? 3 : 2, 4]), what)
            }
        }
    }

    @Test func aCrashWhileOpeningHarmsNothing() throws {
        for k in 1... {
            let directory = "\(temporary.path)/job-\(k)", faulty = FaultyHost()
            do {
                let storage = try CheckpointStorage(directory: directory, host: faulty.host)
                for n in 1...2 { _ = try job.take(n, in: storage) }
                let writer = try storage.begin(3)
                _ = try writer.write(job.snapshot(3, subtask: 0), operatorID: SampleJob.operatorID, subtask: 0)
                _ = try storage.begin(4)
            }
            try Data("x".utf8).write(to: URL(filePath: directory + "/state/9-1.state"))
            faulty.arm(.crash, at: k)
            let opened = (try? CheckpointStorage(directory: directory, host: faulty.host)) != nil
            let storage = try CheckpointStorage(directory: directory, host: FaultyHost().host)
            let found = try #require(try storage.newest { Issue.record("call \(k): \($0)") })
            #expect(found.manifest.checkpoint == 2)
            #expect(try job.contents(found) == job.expected(2), "call \(k)")
            #expect(try storage.lastNumber() == 4)
            if opened {
                #expect(k > 5)
                return
            }
        }
    }

    @Test func aCrashAtAnyCallOfASavepointLeavesNoneOrAWholeOne() throws {
        for k in 1... {
            let parent = "\(temporary.path)/savepoints-\(k)", faulty = FaultyHost()
            faulty.arm(.crash, at: k)
            var isComplete = false
            if let writer = try? CheckpointStorage.beginSavepoint(1, in: parent, jobName: "j", host: faulty.host) {
                isComplete = (try? job.take(1, with: writer, kind: .savepoint)) != nil
                if !isComplete { writer.abandon() }
                for name in try Host.names(in: parent) where !name.hasSuffix(".incomplete") {
                    #expect(try job.contents(CheckpointStorage.open("\(parent)/\(name)")) == job.expected(1), "call \(k)")
                }
            }
            if !faulty.hasFired {
                #expect(k > 30 && isComplete)
                return
            }
        }
    }

    @Test func aDirectoryThatCannotBeWrittenToIsNamed() throws {
        let file = temporary.path + "/file"
        try Data().write(to: URL(filePath: file))
        let error = try #require(failure { _ = try CheckpointStorage(directory: file + "/job") })
        #expect(error.code == .io && error.description.contains(file))

        var host = Host.system
        host.write = { _, _, _, _ in
            errno = ENOSPC
            return -1
        }
        let storage = try CheckpointStorage(directory: temporary.path + "/full", host: host)
        let full = try #require(failure { _ = try job.take(1, in: storage) })
        #expect(full.code == .io && full.description.contains(temporary.path + "/full/") && full.description.contains("free disk space"))
        #expect(try files(below: temporary.path + "/full") == ["lock"])
    }
}
