import ArgumentParser
import Foundation
import Simulations
import StreamTesting
import Synchronization

/// `make simulate SEEDS=n`: whole jobs under seeded schedulers, with crashes and faults.
@main
struct Simulate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "swiftwater-simulate",
        abstract: "Runs whole jobs under a seeded scheduler with a simulated clock, disk and broker, and checks what they commit.")

    @Option(help: "Seeds for each topology, from --seed on.")
    var seeds = 1
    @Option(help: "The first seed.")
    var seed: UInt64 = 0
    @Option(help: "sensors, orders, changes or join; all of them by default.")
    var topology: String?
    @Option(help: "A bug to plant: commit-before-manifest, skipped-barrier or lost-flush. The simulation then must fail.")
    var plant: String?
    @Flag(help: "Keep operators' state in RocksDB instead of memory.")
    var rocksdb = false
    @Flag(help: "Print everything that happens.")
    var trace = false
    @Option(help: "Seeds that run at the same time.")
    var threads = 2

    func run() throws {
        // The order of dictionaries is no part of what a seed decides, so it must be the same in every run.
        if getenv("SWIFT_DETERMINISTIC_HASHING") == nil {
            setenv("SWIFT_DETERMINISTIC_HASHING", "1", 1)
            var arguments: [UnsafeMutablePointer<CChar>?] = CommandLine.arguments.map { strdup($0) } + [nil]
            execv(Bundle.main.executablePath ?? CommandLine.arguments[0], &arguments)
        }
        let jobs = try topology.map { name in
            guard let job = SimulatedJob(rawValue: name) else {
                throw ValidationError("there is no topology \(name); there are \(SimulatedJob.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return [job]
        } ?? SimulatedJob.allCases
        let planted = try plant.map { name in
            guard let bug = PlantedBug(rawValue: name) else {
                throw ValidationError("there is no bug \(name); there are \(PlantedBug.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return bug
        }
        let results = Results()
        let work = (seed..<seed + UInt64(seeds)).flatMap { seed in jobs.map { (seed, $0) } }
        let (isTracing, inRocksDB, start) = (trace, rocksdb, Date())
        let next = Mutex(0)
        let group = DispatchGroup()
        for _ in 0..<max(1, isTracing ? 1 : threads) {
            DispatchQueue.global().async(group: group) {
                while true {
                    let i = next.withLock { i in defer { i += 1 }; return i }
                    guard i < work.count else { return }
                    let (seed, job) = work[i]
                    do {
                        let report = try job.run(seed: seed, planted: planted, inRocksDB: inRocksDB, trace: isTracing ? { print($0) } : nil)
                        results.add(report)
                        if isTracing { print("\(job.rawValue), seed \(seed): digest \(String(report.digest, radix: 16))") }
                    } catch {
                        results.fail("\(error)")
                        print("\(error)\n")
                    }
                }
            }
        }
        group.wait()
        print(results.summary, "in \(Int(Date().timeIntervalSince(start))) s")
        if results.failures > 0 { throw ExitCode.failure }
    }
}

private final class Results: Sendable {
    private struct Sums { var runs = 0, failed = 0, starts = 0, powerCuts = 0, kills = 0, errors = 0, steps = 0, checkpoints = 0, unaligned = 0 }
    private let sums = Mutex(Sums())

    func add(_ report: SimulationReport) {
        sums.withLock {
            $0.runs += 1
            $0.starts += report.starts
            $0.powerCuts += report.powerCuts
            $0.kills += report.kills
            $0.errors += report.failures
            $0.steps += report.steps
            $0.checkpoints += report.checkpoints
            $0.unaligned += report.unaligned
        }
    }

    func fail(_ problem: String) { sums.withLock { $0.failed += 1 } }
    var failures: Int { sums.withLock { $0.failed } }

    var summary: String {
        sums.withLock {
            "\($0.runs) runs passed, \($0.failed) failed: \($0.starts) starts, \($0.powerCuts) power cuts, \($0.kills) kills, \($0.errors) failures, "
                + "\($0.checkpoints) checkpoints (\($0.unaligned) unaligned), \($0.steps) steps"
        }
    }
}
