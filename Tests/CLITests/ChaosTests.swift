import Foundation
import Testing

@Suite("Killing at random") struct ChaosTests {
    /// `make chaos` does this some hundred times.
    @Test("jobs that are killed at random moments commit what an uninterrupted run does")
    func fewKills() throws {
        let workspace = try Workspace()
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Workspace.root + "/.venv/bin/python"
        let outcome = try workspace.start(
            [Workspace.root + "/Tests/Chaos/chaos.py", "--binary", Workspace.binary, "--kills", "6"], program: python,
            environment: ["TMPDIR": workspace.directory]).end(within: 300)
        #expect(outcome.status == 0 && outcome.out.hasPrefix("seed "), "\(outcome)")
    }

    /// `make chaos-kafka` does this a hundred times.
    @Test("a job from Kafka to Kafka that is killed at random moments writes each result once")
    func fewKillsOnKafka() throws {
        let workspace = try Workspace()
        let python = ProcessInfo.processInfo.environment["SWIFTWATER_PYTHON"] ?? Workspace.root + "/.venv/bin/python"
        let outcome = try workspace.start(
            [Workspace.root + "/Tests/Chaos/kafka_chaos.py", "--binary", Workspace.binary, "--kills", "10"], program: python,
            environment: ["TMPDIR": workspace.directory]).end(within: 300)
        #expect(outcome.status == 0 && outcome.out.hasPrefix("seed "), "\(outcome)")
    }
}
