import Foundation
import StreamCore
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg sinks on a disk that fails at any call and forgets what was not flushed") struct CrashTests {
    /// The table holds the rows, and no file lies about that no snapshot needs.
    static func expectSettled(_ folder: TemporaryFolder, _ job: CheckpointJob, _ rows: [[Value]], _ what: String,
                              sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try job.table.read().canonical == rows.canonical, "\(what)", sourceLocation: sourceLocation)
        let own = folder.path + "/" + MetadataFolder.own
        for left in ["pending", "garbage", ".temp"] {
            #expect(try StreamCore.Host.names(in: own + "/" + left, orNone: true) == [], "\(what): \(left)", sourceLocation: sourceLocation)
        }
        let left = try strays(folder.path)
        #expect(left == [], "\(what)", sourceLocation: sourceLocation)
    }

    /// Data files, manifests and lists that no snapshot needs.
    static func strays(_ path: String) throws -> [String] {
        let files = try TableFiles(path: path), folder = MetadataFolder(files: files)
        let metadata = try folder.load(try #require(try folder.newest()).path)
        let needed = try ManifestStore(files).reachable(metadata, TableLocation(metadata, files))
        let all = try FileManager.default.subpathsOfDirectory(atPath: path).filter { $0.hasSuffix(".parquet") || $0.hasSuffix(".avro") }
        return all.filter { !needed.contains($0) }.sorted()
    }

    /// Goes through everything a job does to a table, in a fixed order.
    private static let script: [@Sendable (inout CheckpointJob) throws -> Void] = [
        { try $0.start() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() }, { try $0.commit() },
        { try $0.write() }, { try $0.write() }, { try $0.prepare() }, { try $0.write() }, { try $0.prepare() }, { $0.complete() },
        { $0.complete() }, { try $0.commit() }, { try $0.write() }, { try $0.prepare() }, { $0.giveUp() },
        { try $0.write() }, { try $0.prepare() }, { $0.complete() },
        { try $0.write() }, { $0.fail() }, { try $0.start() }, { try $0.write() }, { try $0.prepare() }, { try $0.write() }, { try $0.write() },
        { $0.fail() }, { try $0.start() }, { try $0.write() }, { try $0.finish() },
    ]

    /// With SWIFTWATER_THOROUGH=1: every call and many seeds.
    static let thorough = ProcessInfo.processInfo.environment["SWIFTWATER_THOROUGH"] != nil

    /// With SWIFTWATER_SEED=58: that one only.
    static let seeds = ProcessInfo.processInfo.environment["SWIFTWATER_SEED"].flatMap { Int($0) }.map { [$0] } ?? Array(1...(thorough ? 300 : 12))

    /// Runs the script up to where the disk dies; then the job is started again, and it too dies, a bit later each time. In the
    /// end all is there.
    @Test("dying at any call, with and without a power cut, loses and repeats nothing", arguments: [false, true])
    func everyCall(powerCut: Bool) throws {
        func run(dieAt: Int) throws -> Int {
            let folder = try TemporaryFolder(), disk = SimulatedDisk(folder.path, seed: UInt64(dieAt))
            var job = CheckpointJob.random(folder.path, seed: 5, connector: IcebergConnector(host: disk.host),
                                           options: ["history.expire.max-snapshot-age-ms": "0", "write.metadata.delete-after-commit.enabled": "true",
                                                     "write.metadata.previous-versions-max": "2"])
            disk.die(after: dieAt)
            var step = 0
            do {
                while step < Self.script.count {
                    try Self.script[step](&job)
                    step += 1
                }
                guard disk.isDead else { return disk.calls }
            } catch let error as StreamError {
                try #require(disk.isDead, "\(error)")
            }
            let what = "died at call \(dieAt), step \(step)"
            var patience = 1
            while true {
                job.crash()
                try disk.revive(powerCut: powerCut)
                disk.die(after: patience)
                patience += patience / 2 + 1
                do {
                    try job.start()
                    if !disk.isDead { break }
                } catch let error as StreamError {
                    try #require(disk.isDead, "\(what): \(error)")
                }
            }
            try disk.revive(powerCut: false)
            if job.manifests.count > 1 { try Self.expectSettled(folder, job, Array(job.manifests.last!.expected.values), what) }
            while job.position < 8 { try job.write() }
            try job.finish()
            try Self.expectSettled(folder, job, Array(job.expected.values), what)
            return disk.calls
        }
        // One run tells how many calls there are to die at.
        for dieAt in stride(from: 1, through: try run(dieAt: .max / 2), by: Self.thorough ? 1 : 37) { _ = try run(dieAt: dieAt) }
    }

    @Test("random jobs with late, failed and overtaken checkpoints, crashes and power cuts give the rows of an undisturbed run",
          arguments: CrashTests.seeds)
    func randomJobs(_ seed: Int) throws {
        let folder = try TemporaryFolder(), disk = SimulatedDisk(folder.path, seed: UInt64(seed))
        var random = SeededGenerator(UInt64(seed))
        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
        var job = CheckpointJob.random(folder.path, seed: UInt64(seed), connector: IcebergConnector(host: disk.host),
                                       options: ["write.task.max.size": below(2) == 0 ? "6 kb" : "10", "history.expire.max-snapshot-age-ms": String(below(40)),
                                                 "history.expire.min-snapshots-to-keep": String(1 + below(3))])
        var runs = 0, running = false
        while runs < 12 {
            if Bool.random(using: &random) { disk.die(after: below(150)) }
            do {
                if !running {
                    runs += 1
                    try job.start()
                    running = true
                    if job.manifests.count > 1 { try Self.expectSettled(folder, job, Array(job.expected.values), "seed \(seed), run \(runs), checkpoint \(job.manifests.last!.number)") }
                }
                for _ in 0..<below(25) {
                    switch below(8) {
                    case 0, 1, 2: try job.write()
                    case 3: try job.prepare()
                    case 4, 5: job.complete()
                    case 6:
                        try job.commit()
                        let rows = Array(job.manifests[job.committed - 1].expected.values)
                        #expect(try job.table.read().canonical == rows.canonical, "seed \(seed), run \(runs)")
                    default: if below(3) == 0 { job.giveUp() }
                    }
                }
                if below(3) == 0 {
                    if below(2) == 0 { job.crash() } else { job.fail() }
                    running = false
                    try disk.revive(powerCut: below(2) == 0)
                }
            } catch let error as StreamError {
                try #require(disk.isDead, "seed \(seed), run \(runs): \(error)")
                if below(3) == 0 { job.fail() } else { job.crash() }
                running = false
                try disk.revive(powerCut: below(2) == 0)
            }
        }
        job.crash()
        try disk.revive(powerCut: true)
        try job.start()
        try job.write()
        try job.finish()
        try Self.expectSettled(folder, job, Array(job.expected.values), "seed \(seed), in the end")
        if seed % 6 == 0 {
            let judged = try Judge.history(folder.path)
            #expect(judged.current == job.table.judged(Array(job.expected.values)) && judged.strays == [])
        }
    }

    @Test("the same seed makes the same calls and the same bytes")
    func determinism() throws {
        let folder = try TemporaryFolder()
        func run() throws -> (files: [String: [UInt8]], trace: UInt64, calls: Int) {
            let path = folder.path + "/table"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let disk = SimulatedDisk(path, seed: 9)
            var job = CheckpointJob.random(path, seed: 9, connector: IcebergConnector(host: disk.host))
            for step in Self.script { try step(&job) }
            var files: [String: [UInt8]] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
                files[name] = FileManager.default.contents(atPath: path + "/" + name).map { Array($0) } ?? []
            }
            try FileManager.default.removeItem(atPath: path)
            return (files, disk.trace, disk.calls)
        }
        let first = try run(), second = try run()
        #expect(first.files.count > 20)
        #expect(Set(first.files.keys) == Set(second.files.keys))
        for (name, bytes) in first.files { #expect(second.files[name] == bytes, "\(name)") }
        #expect(first.calls == second.calls)
    }
}

extension StreamCore.Host {
    static func names(in path: String, orNone: Bool) throws -> [String] { exists(path) ? try names(in: path) : [] }
}
