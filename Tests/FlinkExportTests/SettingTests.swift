import Foundation
import StreamCore
import StreamExpressions
import StreamSQL
import Testing

@testable import FlinkExport

@Suite("Settings in Flink") struct SettingTests {
    private func set(_ key: String, _ value: String, _ version: FlinkVersion = FlinkVersion(2, 3)) -> (lines: [String], findings: Findings) {
        var findings = Findings()
        let lines = FlinkSettings.translate(key: key, value: value, target: target(version), findings: &findings, at: SourceLocation(file: "job.sql", line: 3, column: 1))
        return (lines.map { "\($0.0)=\($0.1)" }, findings)
    }

    @Test("names that Flink 2 knows", arguments: [
        ("state.checkpoints.dir", "/state/c", "execution.checkpointing.dir=s3://lake/state/c"), ("state.backend", "memory", "state.backend.type=hashmap"),
        ("execution.checkpointing.dir", "s3://b/c", "execution.checkpointing.dir=s3://b/c"),
        ("restart-strategy", "fixeddelay", "restart-strategy.type=fixed-delay"), ("restart-strategy.fixed-delay.attempts", "3", "restart-strategy.fixed-delay.attempts=3"),
        ("state.backend.rocksdb.memory.managed-limit", "64 mb", "state.backend.rocksdb.memory.fixed-per-slot=64 mb"), ("table.local-time-zone", "default", "table.local-time-zone=UTC"),
        ("execution.runtime-mode", "AUTOMATIC", "execution.runtime-mode=streaming"), ("metrics.latency.interval", "2 s", "metrics.latency.interval=2000"),
        ("scan.watermark.idle-timeout", "5 s", "table.exec.source.idle-timeout=5 s"), ("table.exec.mini-batch.enabled", "true", "table.exec.mini-batch.enabled=true"),
        ("python.files", "/in/udf.py", "python.files=${DATA}/udf.py"), ("execution.checkpointing.interval", "3 s", "execution.checkpointing.interval=3 s"),
        ("pipeline.object-reuse", "true", "pipeline.object-reuse=true"),
        ("execution.min-idle-state-retention", "3600000", "table.exec.state.ttl=3600000 ms"), ("execution.max-parallelism", "32", "pipeline.max-parallelism=32"),
        ("execution.parallelism", "2", "parallelism.default=2"), ("execution.type", "streaming", "execution.runtime-mode=streaming"),
        ("execution.restart-strategy.type", "fixed-delay", "restart-strategy.type=fixed-delay"), ("execution.restart-strategy.attempts", "3", "restart-strategy.fixed-delay.attempts=3"),
        ("execution.restart-strategy.delay", "1000", "restart-strategy.fixed-delay.delay=1000 ms"),
        ("execution.restart-strategy.failure-rate-interval", "60000", "restart-strategy.failure-rate.failure-rate-interval=60000 ms"),
        ("execution.restart-strategy.max-failures-per-interval", "2", "restart-strategy.failure-rate.max-failures-per-interval=2"),
        ("execution.checkpointing.alignment-timeout", "30 s", "execution.checkpointing.aligned-checkpoint-timeout=30 s"),
        ("state.backend.fs.checkpointdir", "file:///state/c", "execution.checkpointing.dir=s3://lake/state/c"), ("savepoints.state.backend.fs.dir", "/state/s", "execution.checkpointing.savepoint-dir=s3://lake/state/s"),
        ("state.backend", "filesystem", "state.backend.type=hashmap"), ("state.backend", "jobmanager", "state.backend.type=hashmap"), ("state.backend.type", "rocksdb", "state.backend.type=rocksdb"),
    ])
    func names(key: String, value: String, line: String) {
        let (lines, findings) = set(key, value)
        #expect(lines == [line] && findings.refusals.isEmpty)
    }

    @Test("left out, with a note", arguments: [("python.worker.timeout", "1 min"), ("alerts.database", "x"), ("execution.checkpointing.interval", "0"), ("execution.max-idle-state-retention", "7200000"),
                                             ("taskmanager.memory.process.size", "4 gb"), ("rest.port", "8081"), ("s3.endpoint", "http://h"), ("high-availability", "zookeeper")])
    func leftOut(key: String, value: String) {
        let (lines, findings) = set(key, value)
        #expect(lines.isEmpty && findings.refusals.isEmpty && findings.notes.map(\.about) == ["SET '\(key)'"])
    }

    @Test("refused, with the line", arguments: [
        ("execution.savepoint.path", "x", "--from-savepoint x"), ("execution.checkpointing.dir", "here/c", "--map /home/me/here/c="), ("python.files", "mine.py", "--map /home/me/mine.py"),
        ("state.backend.fs.checkpointdir", "here/c", "--map /home/me/here/c="), ("state.backend", "nowhere", "'hashmap' or 'rocksdb'"),
        ("made.up", "1", "leave it out"),
    ])
    func refused(key: String, value: String, instead: String) {
        let (lines, findings) = set(key, value)
        #expect(lines.isEmpty && findings.refusals.count == 1 && findings.refusals[0].what == "SET '\(key)'" && findings.refusals[0].location?.line == 3)
        #expect(findings.refusals[0].instead.contains(instead))
    }

    @Test("every setting that the engine reads has a translation")
    func all() throws {
        let recovery = ["execution.checkpointing.interval", "execution.checkpointing.timeout", "execution.checkpointing.min-pause", "execution.checkpointing.max-concurrent-checkpoints",
                        "execution.checkpointing.tolerable-failed-checkpoints", "execution.checkpointing.aligned-checkpoint-timeout", "execution.checkpointing.unaligned.enabled",
                        "execution.checkpointing.mode", "execution.checkpointing.num-retained", "execution.checkpointing.externalized-checkpoint-retention", "table.exec.state.ttl",
                        "table.exec.emit.early-fire.enabled", "table.exec.emit.allow-lateness", "table.optimizer.agg-phase-strategy", "table.dml-sync", "parallelism.default", "pipeline.max-parallelism"]
        for key in recovery {
            let (lines, findings) = set(key, "1")
            let isTime = ["interval", "timeout", "min-pause", "ttl", "lateness"].contains { key.hasSuffix($0) }
            #expect(lines == ["\(key)=1\(isTime ? " ms" : "")"] && findings.notes.isEmpty && findings.refusals.isEmpty, "\(key)")
        }
    }

    @Test("a setting of the cluster says where it belongs") func cluster() {
        let (_, findings) = set("taskmanager.memory.process.size", "4 gb")
        #expect(findings.notes.map(\.text) == ["left out: it is no setting of a job: set it in the cluster's configuration, its config.yaml"])
    }

    @Test("what an older name sets is reset under the name that Flink gets") func reset() throws {
        let session = SQLSession(connectors: [])
        let statements = try SQLParser(text: "SET 'execution.min-idle-state-retention' = '3600000'; RESET 'execution.min-idle-state-retention'").parseScript()
        let script = try FlinkExporter(try ScriptSurvey(statements, session: session), session: session, target: target()).script(name: "s")
        let lines = script.statements.map(\.text)
        #expect(lines.suffix(2) == ["SET 'table.exec.state.ttl' = '3600000 ms'", "RESET 'table.exec.state.ttl'"] && script.findings.refusals.isEmpty)
    }

    @Test func whatAScriptGetsBeside() {
        let sinks = [table(isWritten: true, ["connector": "hudi", "write.commit.interval": "3 s"]), table(isWritten: true, ["connector": "kinesis"]), table(["connector": "kafka", "sink.commit.interval": "1 ms"])]
        #expect(FlinkSettings.commitInterval(of: sinks) == 1_000 && FlinkSettings.commitInterval(of: [sinks[0]]) == 3_000 && FlinkSettings.commitInterval(of: [sinks[2]]) == nil)
        let lines = FlinkSettings.defaults(given: ["table.local-time-zone"], name: "sensors", parallelism: 2, commitInterval: 3_000)
        #expect(lines.map { "\($0.0)=\($0.1)" } == ["pipeline.name=sensors", "execution.runtime-mode=streaming", "parallelism.default=2", "execution.checkpointing.interval=3000 ms"])
    }
}

@Suite("Functions in Flink") struct FunctionTests {
    /// Names of ours that a version of Flink planned when it was asked to.
    private func known(_ version: FlinkVersion) throws -> Set<String> {
        let file = Golden.directory.appending(path: "functions/\(version).txt")
        return Set(try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init))
    }

    @Test("each version has what it is said to have", arguments: FlinkVersion.all) func availability(version: FlinkVersion) throws {
        let there = try known(version)
        let names = try known(FlinkVersion(2, 3)).union(FunctionRegistry.builtin.names.filter { $0.first!.isLetter && !$0.contains(" ") })
        #expect(names.count > 150)
        for name in names.sorted() {
            let said = switch FlinkFunctions.availability(of: name) {
            case .since(let since): since <= version
            case .rewritten(_, let before): before <= version
            case .absent: false
            }
            #expect(said == there.contains(name), "\(name) in \(version)")
        }
    }

    @Test func rewritings() {
        let old = FlinkVersion(1, 20)
        #expect(FlinkFunctions.rewriting("startswith", arguments: ["a", "'$2'"], old) == "(LEFT(a, CHAR_LENGTH('$2')) = '$2')")
        #expect(FlinkFunctions.rewriting("BTRIM", arguments: ["a"], old) == "TRIM(a)" && FlinkFunctions.rewriting("BTRIM", arguments: ["a", "'x'"], old) == "TRIM(BOTH 'x' FROM a)")
        #expect(FlinkFunctions.rewriting("REGEXP_SUBSTR", arguments: ["a", "'$1'"], old) == "REGEXP_EXTRACT(a, '$1', 0)")
        #expect(FlinkFunctions.rewriting("STARTSWITH", arguments: ["a", "b"], FlinkVersion(2, 0)) == nil && FlinkFunctions.rewriting("UPPER", arguments: ["a"], old) == nil)
        #expect(FlinkFunctions.problem("STARTSWITH", arguments: 2, old) == nil)
        #expect(FlinkFunctions.problem("PARSE_JSON", arguments: 1, FlinkVersion(2, 0))?.reason == "Flink 2.0 has no function PARSE_JSON, which came with 2.1")
        #expect(FlinkFunctions.problem("FIELD", arguments: 3, FlinkVersion(2, 3))?.instead.contains("CASE") == true)
    }
}
