import Foundation
import StreamCore
import StreamTesting
import Testing

@testable import StreamState

@Suite struct CheckpointDamageTests {
    let temporary: TemporaryDirectory
    let job: SampleJob
    var directory: String { temporary.path + "/job" }

    init() throws {
        temporary = try TemporaryDirectory()
        job = SampleJob(scratch: temporary.path + "/work")
    }

    private func prepare(_ checkpoints: ClosedRange<Int>) throws {
        let storage = try CheckpointStorage(directory: directory)
        for n in checkpoints { _ = try job.take(n, in: storage) }
    }

    private func newest() throws -> (Checkpoint?, [StreamError]) {
        var problems: [StreamError] = []
        let found = try CheckpointStorage(directory: directory).newest { problems.append($0) }
        return (found, problems)
    }

    @Test func aDamagedByteAnywhereIsNeverReadAsData() throws {
        try prepare(1...2)
        let seed = UInt64.random(in: 0...UInt64.max)
        var data = RandomData(seed)
        // Hard links are one file: a damaged byte shows in both checkpoints. Those have checksums of the store's own.
        let paths = try files(below: directory).filter { !$0.hasSuffix(".sst") && $0 != "lock" }
        #expect(paths.count == 8)
        for round in 0..<200 {
            let path = paths[data.int(0...paths.count - 1)], file = "\(directory)/\(path)"
            let good = try Host.read(file)
            var bad = good
            let at = data.int(0...bad.count - 1)
            switch data.int(0...3) {
            case 0: bad.removeSubrange(at...)
            default: bad[at] ^= UInt8(1 << data.int(0...7))
            }
            try Data(bad).write(to: URL(filePath: file))
            let what = Comment("seed \(seed), round \(round): \(path) at \(at) of \(good.count)")
            do {
                let (found, problems) = try newest()
                let checkpoint = try #require(found, what)
                #expect(try job.contents(checkpoint) == job.expected(Int(checkpoint.manifest.checkpoint)), what)
                // The last bytes of a header say which checkpoint it is, for people only.
                if checkpoint.manifest.checkpoint < 2 { #expect(problems.count == 1 && problems[0].description.contains(Host.parent(of: path)), what) }
            } catch let error as StreamError {
                #expect(error.code == .corrupt && error.description.contains(directory), what)
            }
            try Data(good).write(to: URL(filePath: file))
        }
        let (found, problems) = try newest()
        #expect(found?.manifest.checkpoint == 2 && problems.isEmpty)
    }

    @Test func aMissingFileOfAChainIsNamedWithItsUnits() throws {
        try prepare(1...3)
        let first = try #require(try Host.names(in: directory + "/state").first { $0.hasPrefix("1-") })
        let path = "\(directory)/state/\(first)"
        try FileManager.default.removeItem(atPath: path)
        let opened = try #require(failure { _ = try CheckpointStorage.open(directory + "/chk-3") })
        #expect(opened.code == .corrupt && opened.description.contains(path) && opened.description.contains("unit \"constant\" of operator \"COUNT(*)\""))
        #expect(opened.fix?.contains("put the file back") == true)
        var problems: [StreamError] = []
        let storage = try CheckpointStorage(directory: directory)
        let all = try #require(failure { _ = try storage.newest { problems.append($0) } })
        #expect(all.code == .corrupt && all.description.contains("all 3 checkpoints") && problems.count == 3)
        #expect(problems.allSatisfy { $0.description.contains(path) })
    }

    @Test func aMissingFileOfAStoreIsNamed() throws {
        try prepare(1...2)
        try FileManager.default.removeItem(atPath: directory + "/chk-2/stores/1/1.sst")
        let (found, problems) = try newest()
        #expect(found?.manifest.checkpoint == 1)
        #expect(problems.count == 1 && problems[0].description.contains("chk-2/stores/1/1.sst, which holds a part of the store of operator"))
    }

    @Test func aDamagedCheckpointIsReplacedByTheNext() throws {
        try prepare(1...3)
        try Data("{}".utf8).write(to: URL(filePath: directory + "/chk-3/manifest.json"))
        let storage = try CheckpointStorage(directory: directory, retained: 2)
        var problems: [StreamError] = []
        let found = try #require(try storage.newest { problems.append($0) })
        #expect(found.manifest.checkpoint == 2 && problems.count == 1)
        #expect(problems[0].description.contains("chk-3/manifest.json is damaged"))
        _ = try job.take(4, in: storage)
        // Two that can be used are kept, the damaged one is not counted as one.
        #expect(try Host.names(in: directory) == ["chk-2", "chk-4", "lock", "state"])
        #expect(try job.contents(CheckpointStorage.open(directory + "/chk-2")) == job.expected(2))
    }

    @Test func aNewerVersionIsNotPassedOver() throws {
        try prepare(1...2)
        let path = directory + "/chk-2/manifest.json"
        let text = String(decoding: try Host.read(path), as: UTF8.self)
        var manifest = try ManifestFile.read(directory + "/chk-2")
        manifest.version = 2
        for newer in [text.replacing("{\"version\":1,", with: "{\"version\":2,"), String(decoding: try ManifestFile.encode(manifest), as: UTF8.self)] {
            try Data(newer.utf8).write(to: URL(filePath: path))
            for error in [failure { _ = try newest() }, failure { _ = try CheckpointStorage.open(directory + "/chk-2") }] {
                let error = try #require(error)
                #expect(error.code == .validate && error.description.contains(path) && error.description.contains("format 2"))
                #expect(error.description.contains("use a newer swiftwater"))
            }
        }
        try Data(text.utf8).write(to: URL(filePath: path))
        #expect(try newest().0?.manifest.checkpoint == 2)
    }

    @Test func damageAfterTheCheckIsFoundWhenAPieceIsLoaded() throws {
        try prepare(1...1)
        let checkpoint = try CheckpointStorage.open(directory + "/chk-1")
        let state = try checkpoint.state(of: SampleJob.operatorID, keyGroups: 0..<128)
        let piece = try #require(checkpoint.pieces(of: SampleJob.operatorID).first)
        let path = checkpoint.files[piece.entry.file].path
        var bytes = try Host.read(path)
        bytes[piece.entry.offset + 20] ^= 1
        try Data(bytes).write(to: URL(filePath: path))
        let error = try #require(failure { _ = try state.loaded() })
        #expect(error.code == .corrupt && error.description.contains(path) && error.description.contains("unit \"constant\""))
        #expect(failure { try checkpoint.verify() }?.code == .corrupt)
    }
}
