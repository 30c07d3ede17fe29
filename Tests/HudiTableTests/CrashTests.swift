import Foundation
import StreamCore
import Testing

@testable import HudiTable
@testable import LakeTable

@Suite("Hudi sinks on a disk that fails at any call and forgets what was not flushed") struct CrashTests {
    /// No action is pending, no file lies about that no commit has, and the table holds the rows.
    static func expectSettled(_ folder: TemporaryFolder, _ job: CheckpointJob, _ rows: [[Value]], _ what: String,
                              sourceLocation: SourceLocation = #_sourceLocation) throws {
        #expect(try job.table.read().canonical == rows.canonical, "\(what)", sourceLocation: sourceLocation)
        let files = try TableFiles(path: folder.path), version = try #require(try TableProperties.load(files)).version
        let timeline = try Timeline.load(files, version: version)
        let pending = timeline.instants.filter { $0.state != .completed }
        #expect(pending.isEmpty, "\(what)", sourceLocation: sourceLocation)
        let strays = try TableListing.baseFiles(files).filter { !timeline.isCommitted($0.instant) }
        #expect(strays.isEmpty, "\(what)", sourceLocation: sourceLocation)
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

    /// Runs the script up to where the disk dies; then the job is started again, and it too dies, a bit later each time. In the
    /// end all is there.
    @Test("dying at any call, with and without a power cut, loses and repeats nothing",
          arguments: [(false, false, .six), (false, true, .eight), (true, false, .six), (true, true, .six), (true, false, .nine)] as [(Bool, Bool, TableVersion)])
    func everyCall(powerCut: Bool, insert: Bool, version: TableVersion) throws {
        func run(dieAt: Int) throws -> Int {
            let folder = try TemporaryFolder(), disk = SimulatedDisk(folder.path, seed: UInt64(dieAt))
            var job = CheckpointJob.random(folder.path, seed: 5, connector: HudiConnector(host: disk.host), insert: insert, global: true,
                                           ordered: !insert, options: version.options.merging(["clean.retain_commits": "1"]) { a, _ in a })
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
            if job.manifests.count > 1 { try Self.expectSettled(folder, job, job.manifests.last!.expected.rows, what) }
            while job.position < 8 { try job.write() }
            try job.finish()
            try Self.expectSettled(folder, job, job.expected.rows, what)
            if Self.thorough, dieAt % 50 == 0 { try expectSound(folder.path, rows: job.expected.rows.count, globalKeys: !insert) }
            return disk.calls
        }
        // One run tells how many calls there are to die at.
        for dieAt in stride(from: 1, through: try run(dieAt: .max / 2), by: Self.thorough ? 1 : 31) { _ = try run(dieAt: dieAt) }
    }

    /// With SWIFTWATER_THOROUGH=1: every call and many seeds.
    static let thorough = ProcessInfo.processInfo.environment["SWIFTWATER_THOROUGH"] != nil

    struct Settings: CustomTestStringConvertible {
        var seed: UInt64
        var insert: Bool { seed % 4 == 1 }
        var global: Bool { insert || seed % 3 != 0 }
        var ordered: Bool { !insert && seed % 5 < 2 }
        var version: TableVersion { TableVersion.allCases[Int(seed / 2 % 3)] }
        var testDescription: String { "seed \(seed), version \(version.rawValue)\(insert ? ", inserts" : "")\(global ? ", global keys" : "")\(ordered ? ", ordered" : "")" }
    }

    @Test("random jobs with late, failed and overtaken checkpoints, crashes and power cuts give the rows of an undisturbed run",
          arguments: (1...(CrashTests.thorough ? 400 : 16)).map { Settings(seed: $0) })
    func randomJobs(_ settings: Settings) throws {
        let folder = try TemporaryFolder(), disk = SimulatedDisk(folder.path, seed: settings.seed)
        var random = SeededGenerator(settings.seed)
        func below(_ n: Int) -> Int { Int(random.next() % UInt64(n)) }
        // A deleted key whose ordering value counts is remembered until the buffer is merged, hence not longer than a commit.
        let spills = !settings.ordered && below(2) == 0
        var job = CheckpointJob.random(folder.path, seed: settings.seed, connector: HudiConnector(host: disk.host), insert: settings.insert,
                                       global: settings.global, ordered: settings.ordered,
                                       options: ["clean.retain_commits": String(1 + below(3)), "write.task.max.size": spills ? "6 kb" : "10"]
                                           .merging(settings.version.options) { a, _ in a })
        // Rows of an older checkpoint are written again: only rows that replace each other come out the same.
        let mayGoBack = !settings.insert && !settings.ordered
        var reached = 0, runs = 0, running = false
        while runs < 14 {
            if Bool.random(using: &random) { disk.die(after: below(150)) }
            do {
                if !running {
                    runs += 1
                    let from = mayGoBack && below(4) == 0 ? below(job.manifests.count) : job.manifests.count - 1
                    try job.start(from: from)
                    running = true
                    if job.manifests.count > 1, job.position >= reached {
                        try Self.expectSettled(folder, job, job.expected.rows, "run \(runs), checkpoint \(job.manifests.last!.number)")
                    }
                }
                for _ in 0..<below(25) {
                    switch below(8) {
                    case 0, 1, 2: try job.write()
                    case 3: try job.prepare()
                    case 4, 5: job.complete()
                    case 6:
                        try job.commit()
                        reached = max(reached, job.manifests[job.committed - 1].position)
                        if job.manifests[job.committed - 1].position == reached {
                            let rows = job.manifests[job.committed - 1].expected.rows
                            #expect(try job.table.read().canonical == rows.canonical, "run \(runs)")
                        }
                    default: if below(3) == 0 { job.giveUp() }
                    }
                }
                if below(3) == 0 {
                    if below(2) == 0 { job.crash() } else { job.fail() }
                    running = false
                    try disk.revive(powerCut: below(2) == 0)
                }
            } catch let error as StreamError {
                try #require(disk.isDead, "run \(runs): \(error)")
                // A commit that failed may have got through.
                reached = max(reached, job.manifests.last!.position)
                if below(3) == 0 { job.fail() } else { job.crash() }
                running = false
                try disk.revive(powerCut: below(2) == 0)
            }
        }
        job.crash()
        try disk.revive(powerCut: true)
        try job.start()
        while job.position < reached + 2 { try job.write() }
        try job.finish()
        try Self.expectSettled(folder, job, job.expected.rows, "in the end")
        if settings.seed % 6 < 2 { try expectSound(folder.path, rows: job.expected.rows.count, globalKeys: settings.global && !settings.insert) }
    }

    @Test("the same seed makes the same calls and the same bytes", arguments: [false, true], [TableVersion.six, .nine])
    func determinism(insert: Bool, version: TableVersion) throws {
        let folder = try TemporaryFolder()
        func run() throws -> (files: [String: [UInt8]], trace: UInt64, calls: Int) {
            let path = folder.path + "/table"
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            let disk = SimulatedDisk(path, seed: 9)
            var job = CheckpointJob.random(path, seed: 9, connector: HudiConnector(host: disk.host), insert: insert, global: true, ordered: !insert,
                                           options: version.options.merging(["clean.retain_commits": "1", "write.insert.cluster": "true"]) { a, _ in a })
            for step in Self.script { try step(&job) }
            var files: [String: [UInt8]] = [:]
            for name in try FileManager.default.subpathsOfDirectory(atPath: path) {
                files[name] = FileManager.default.contents(atPath: path + "/" + name).map { Array($0) } ?? []
            }
            try FileManager.default.removeItem(atPath: path)
            return (files, disk.trace, disk.calls)
        }
        let first = try run(), second = try run()
        #expect(first.files.count > 20 && first.files.keys.contains { $0.hasSuffix(".rollback") } && first.files.keys.contains { $0.hasSuffix(".clean") })
        #expect(Set(first.files.keys) == Set(second.files.keys))
        for (name, bytes) in first.files { #expect(second.files[name] == bytes, "\(name)") }
        #expect(first.trace == second.trace && first.calls == second.calls)
    }
}
