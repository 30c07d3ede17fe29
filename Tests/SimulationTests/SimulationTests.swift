import Simulations
import StreamCore
import StreamTesting
import Testing

@Suite("Simulation") struct SimulationTests {
    /// Each seed is another input, order of steps, size of pieces, set of faults and crashes.
    @Test("whole jobs lose nothing, repeat nothing and show nothing unfinished, whatever happens", arguments: SimulatedJob.allCases, 0..<4)
    func seeds(job: SimulatedJob, part: Int) throws {
        for seed in UInt64(part * 25)..<UInt64(part * 25 + 25) { try job.run(seed: seed) }
    }

    @Test("so do jobs that keep their state in RocksDB, whose files no crash may tear", arguments: [SimulatedJob.sensors, .join])
    func rocksDB(job: SimulatedJob) throws {
        for seed in UInt64(500)..<506 { try job.run(seed: seed, inRocksDB: true) }
    }

    @Test("a seed replays: the same steps, and the same bytes in the end", arguments: SimulatedJob.allCases)
    func replays(job: SimulatedJob) throws {
        // Seeds that no other test runs at the same time: the path of the disk, which some files hold, is the seed's own.
        for seed in UInt64(1_000)..<1_004 {
            var first: [String] = [], second: [String] = []
            let one = try job.run(seed: seed) { first.append($0) }
            let two = try job.run(seed: seed) { second.append($0) }
            let at = zip(first, second).enumerated().first { $0.element.0 != $0.element.1 }
            #expect(at == nil, "\(job.rawValue), seed \(seed), line \(at?.offset ?? 0): \(at?.element.0 ?? "") | \(at?.element.1 ?? "")")
            #expect(first.count == second.count && first.count > 50)
            #expect(one.digest == two.digest)
        }
    }

    @Test("a planted bug is found within 500 seeds", arguments: PlantedBug.allCases)
    func plantedBugs(bug: PlantedBug) throws {
        var found: SimulationFailure?
        search: for seed in UInt64(0)..<500 {
            for job in [SimulatedJob.sensors, .join] {
                do {
                    try job.run(seed: seed, planted: bug)
                } catch let failure as SimulationFailure {
                    found = failure
                    break search
                }
            }
        }
        let failure = try #require(found, "\(bug.rawValue) was not found")
        #expect(failure.description.contains("swiftwater-simulate --topology \(failure.topology) --seed \(failure.seed)"))
        // Without the bug the same seed ends well.
        try SimulatedJob(rawValue: failure.topology)!.run(seed: failure.seed)
    }

    @Test("runs are rough enough: crashes within and between steps, failures, restarts at other parallelisms")
    func roughness() throws {
        var powerCuts = 0, kills = 0, failures = 0, checkpoints = 0
        var parallelisms: Set<String> = []
        var cutRecoveries = 0, unaligned = 0
        for seed in UInt64(0)..<25 {
            var previous = ""
            let report = try SimulatedJob.join.run(seed: seed) { line in
                if line.hasPrefix("start ") {
                    parallelisms.insert(String(line.split(separator: ",")[0].suffix(1)))
                    if line.contains("unaligned") { unaligned += 1 }
                }
                if line.hasPrefix("power cut"), previous.hasPrefix("resume") || previous.hasPrefix("start") { cutRecoveries += 1 }
                if !line.hasPrefix("  disk") { previous = line }
            }
            powerCuts += report.powerCuts
            kills += report.kills
            failures += report.failures
            checkpoints += report.checkpoints
        }
        #expect(powerCuts > 20 && kills > 5 && failures > 0 && checkpoints > 50, "\(powerCuts) power cuts, \(kills) kills, \(failures) failures, \(checkpoints) checkpoints")
        #expect(parallelisms == ["1", "2", "3"])
        #expect(cutRecoveries > 0 && unaligned > 5)
    }
}
