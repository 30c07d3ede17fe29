import Foundation
import TestScripts
import Testing

/// Apache Flink, where `.ci/flink` has installed it.
private enum Flink {
    static let home = ProcessInfo.processInfo.environment["SWIFTWATER_FLINK_HOME"] ?? PythonScript.root.appending(path: ".venv/flink/pyflink").path
    /// Written by `.ci/flink` when it has installed nothing.
    private static let skipped = try? String(contentsOf: PythonScript.root.appending(path: ".venv/flink-skipped"), encoding: .utf8)

    static let isThere = skipped == nil && FileManager.default.fileExists(atPath: home + "/lib")
    static let reason = Comment(rawValue: skipped?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "skipped: no Flink at \(home); .ci/flink installs it where there is Java")
}

/// `make test-flink` compares all topologies and examples; here two stand for them, as a cluster takes its time.
@Suite("A cluster of Flink", .serialized, .enabled(if: Flink.isThere, Flink.reason)) struct FlinkEngineTests {
    @Test("runs what is exported of a topology and of an example, with rows equal to ours") func compared() throws {
        let answer = try PythonScript.answer("flink/compare_all.py", [Workspace.binary, Flink.home, "sensors.yaml", "score-card.sql"], seconds: 900)
        let counts = try #require(answer as? [String: Any])
        #expect(counts["compared"] as? Int == 2 && counts["equal"] as? Int == 2, "\(counts)")
    }
}

/// What needs no Flink of the scripts that compare with one.
@Suite("Comparing with Flink") struct FlinkComparisonTests {
    @Test("scripts are split, changelogs added up and values compared as they should be") func harness() throws {
        let result = try PythonScript.run("flink/test_harness.py", seconds: 120)
        #expect(result.status == 0, "\(result.output)\(result.errors)")
    }
}
