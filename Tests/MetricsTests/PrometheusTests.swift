import FileConnectors
import Foundation
import HTTPServer
import Monitoring
import RocksDBState
import StreamCore
import StreamRuntime
import StreamSQL
import StreamState
import StreamTesting
import Synchronization
import Testing

/// A Prometheus that scrapes one endpoint with the configuration that is shipped, once per second.
private final class Prometheus {
    let base: String
    private let process = Process()
    private let directory: TemporaryDirectory

    init(scraping port: Int) throws {
        directory = try TemporaryDirectory()
        let shipped = Tool.root.appending(path: "Examples/monitoring").path
        let text = try String(contentsOfFile: shipped + "/prometheus.yml", encoding: .utf8)
        let changed = text.replacing("127.0.0.1:8081", with: "127.0.0.1:\(port)").replacing("15s", with: "1s").replacing("alerts.rules.yml", with: shipped + "/alerts.rules.yml")
        try changed.write(toFile: directory.path + "/prometheus.yml", atomically: true, encoding: .utf8)
        let own = try Self.freePort()
        base = "http://127.0.0.1:\(own)"
        process.executableURL = try Tool.path("prometheus")
        process.arguments = [
            "--config.file=\(directory.path)/prometheus.yml", "--storage.tsdb.path=\(directory.path)/data", "--web.listen-address=127.0.0.1:\(own)", "--log.level=error",
        ]
        (process.standardOutput, process.standardError) = (FileHandle.nullDevice, FileHandle.nullDevice)
        try process.run()
        eventually("Prometheus is ready", seconds: 60) { (try? Tool.get(base + "/-/ready").status) == 200 }
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
    }

    private static func freePort() throws -> Int {
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { _ in .text(200, "") }
        defer { server.stop() }
        return server.port
    }

    struct Answer: Decodable {
        struct Contents: Decodable { var result: [Series] }
        struct Series: Decodable {
            var metric: [String: String]
            var value: Value
        }
        struct Value: Decodable {
            var number: Double
            init(from decoder: any Decoder) throws {
                var both = try decoder.unkeyedContainer()
                _ = try both.decode(Double.self)
                number = Double(try both.decode(String.self)) ?? .nan
            }
        }
        var status: String
        var data: Contents?
        var error: String?
    }

    func query(_ expression: String) throws -> Answer {
        var components = URLComponents(string: base + "/api/v1/query")!
        components.queryItems = [URLQueryItem(name: "query", value: expression)]
        let text = components.url!.absoluteString.replacing("+", with: "%2B")
        return try JSONDecoder().decode(Answer.self, from: Tool.get(text).body)
    }
}

/// Everything that a dashboard or a rule asks for.
private func shippedExpressions() throws -> [String] {
    let directory = Tool.root.appending(path: "Examples/monitoring").path
    var all: [String] = []
    func collect(_ value: Any) {
        if let object = value as? [String: Any] {
            if let expression = object["expr"] as? String { all.append(expression) }
            object.values.forEach(collect)
        } else if let array = value as? [Any] {
            array.forEach(collect)
        }
    }
    collect(try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: directory + "/grafana-dashboard.json"))))
    #expect(all.count > 25)
    return all.map { $0.replacing("$__rate_interval", with: "1m").replacing("$job", with: ".*") }
}

private func names(in expression: String) -> Set<String> {
    Set(expression.matches(of: /\b(?:flink|process|swiftwater)_[A-Za-z0-9_]+/).map { String($0.output) })
}

/// Gives what another source gives, and says what it has not read yet.
private struct Lagging: TableSource {
    let source: ScriptedSource
    var isBounded: Bool { true }
    func splits() throws -> [SourceSplit] { try source.splits() }
    func reader(for split: SourceSplit, metrics: OperatorMetrics) throws -> any SplitReader {
        metrics.lag.set(12)
        return try source.reader(for: split, metrics: metrics)
    }
}

@Suite struct PrometheusTests {
    @Test func rulesAreValidAndFireWhenTheyShould() throws {
        let rules = try Tool.run("promtool", ["check", "rules", Tool.root.appending(path: "Examples/monitoring/alerts.rules.yml").path])
        #expect(rules.status == 0 && rules.output.contains("12 rules found"), "\(rules.output)")
        let tests = try Tool.run("promtool", ["test", "rules", Tool.root.appending(path: "Tests/Support/monitoring/alerts.test.yml").path])
        #expect(tests.status == 0, "\(tests.output)")
        let configuration = try Tool.run("promtool", ["check", "config", Tool.root.appending(path: "Examples/monitoring/prometheus.yml").path])
        #expect(configuration.status == 0, "\(configuration.output)")
    }

    /// A real job, an HTTP endpoint that shows it, and a real Prometheus that scrapes it: what its queries answer are the job's counters.
    @Test func aScrapeGivesTheJobsCounters() throws {
        let directory = try TemporaryDirectory()
        let session = SQLSession(connectors: [DatagenConnector(), BlackholeConnector()])
        var graph: JobGraph?
        let script = """
            SET 'parallelism.default' = '2';
            SET 'execution.checkpointing.interval' = '200 ms';
            SET 'metrics.latency.interval' = '20 ms';
            CREATE TABLE clicks (id INT, clicked TIMESTAMP_LTZ(3), WATERMARK FOR clicked AS clicked) WITH ('connector' = 'datagen', 'rows-per-second' = '2000', 'fields.id.min' = '0', 'fields.id.max' = '50');
            CREATE TABLE counts (id INT, n BIGINT, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'blackhole');
            INSERT INTO counts SELECT id, COUNT(*) FROM clicks GROUP BY id;
            """
        for statement in try SQLParser(text: script, file: nil).parseScript() { if case .insert(let planned) = try session.execute(statement) { graph = planned } }
        var options = JobOptions()
        options.checkpoints = session.settings.checkpoints
        options.latencyInterval = session.settings.latencyInterval
        options.backend = try RocksDBBackend()
        options.workDirectory = directory.path + "/work"
        let job = RunningTestJob(try JobRunner(#require(graph), options: options, recovery: RecoveryOptions(directory: directory.path + "/checkpoints", jobID: "0123456789abcdef")))
        // Beside it, one that has ended, whose source says what it has not read.
        let second = try JobRunner(JobGraph(name: "second \"job\"", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: Lagging(source: ScriptedSource(splits: [[rows([(1, 2, 3)])]])), watermark: .init(timeColumn: 2, columnName: "ts"))),
                      parallelism: 1, outputSchema: rowSchema),
            JobVertex(id: 1, name: "sink", kind: .sink(CollectingSink()), parallelism: 1, outputSchema: rowSchema),
        ], edges: [JobEdge(from: 0, to: 1)]))
        try second.run()

        let trackers = Mutex<[String: RateTracker]>([:])
        @Sendable func exposition() -> [UInt8] {
            var text = PrometheusText(labels: ["host": "test"])
            for report in [job.runner.report(), second.report()] {
                let tracker = trackers.withLock { trackers in
                    trackers[report.id, default: RateTracker()].observe(report)
                    return trackers[report.id]!
                }
                text.add(report, rates: tracker)
            }
            text.add(ProcessMetrics.current())
            return text.render()
        }
        let server = try HTTPServer(host: "127.0.0.1", port: 0) { request in
            request.path == "/metrics" ? HTTPResponse(200, headers: [("Content-Type", PrometheusText.contentType)], body: exposition()) : .text(404, "")
        }
        defer { server.stop() }
        let prometheus = try Prometheus(scraping: server.port)
        try eventually("a scrape succeeds") { try prometheus.query("up{job=\"swiftwater\"} == 1").data?.result.count == 1 }
        try eventually("rows move, and checkpoints complete") {
            try prometheus.query("sum(flink_taskmanager_job_task_operator_numRecordsIn{job_id=\"0123456789abcdef\"}) > 1000 and sum(flink_jobmanager_job_numberOfCompletedCheckpoints) > 2").data?.result.count == 1
        }
        try eventually("rates are there") { try prometheus.query("sum(flink_taskmanager_job_task_operator_numRecordsOutPerSecond{job_id=\"0123456789abcdef\"}) > 100").data?.result.count == 1 }
        // Everything that the dashboard and the rules ask for parses and is there, while the job runs.
        let exposed = Set(String(decoding: exposition(), as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { String($0.prefix { $0 != "{" && $0 != " " }) })
        for expression in try shippedExpressions() {
            let answer = try prometheus.query(expression)
            #expect(answer.status == "success", "\(expression): \(answer.error ?? "")")
            #expect(names(in: expression).isSubset(of: exposed), "\(expression): no such metric as \(names(in: expression).subtracting(exposed))")
            #expect(!names(in: expression).isEmpty)
        }
        let rules = try Tool.get(prometheus.base + "/api/v1/rules")
        let loaded = try #require(try JSONSerialization.jsonObject(with: rules.body) as? [String: Any])
        let groups = try #require((loaded["data"] as? [String: Any])?["groups"] as? [[String: Any]])
        for rule in groups.flatMap({ $0["rules"] as? [[String: Any]] ?? [] }) {
            let query = try #require(rule["query"] as? String)
            #expect(names(in: query).isSubset(of: exposed), "\(query): no such metric as \(names(in: query).subtracting(exposed))")
        }
        job.runner.stop()
        #expect(try job.end().get() == .stopped)

        // From now on counters stand still.
        let report = job.runner.report()
        let source = try #require(report.vertices.first { $0.kind == .source })
        let total = source.subtasks.reduce(0) { $0 + $1.rowsOut }
        try eventually("the last counters are scraped") {
            try prometheus.query("sum(flink_taskmanager_job_task_operator_numRecordsOut{operator_id=\"\(source.operatorID)\"}) == \(total) and sum(flink_jobmanager_job_finishedState) == 2").data?.result.count == 1
        }
        func series(_ name: String) throws -> [[String: String]: Double] {
            Dictionary(uniqueKeysWithValues: try #require(try prometheus.query("\(name){job_id=\"0123456789abcdef\"}").data).result.map { ($0.metric, $0.value.number) })
        }
        for (name, value) in [("numRecordsIn", \JobReport.Subtask.rowsIn), ("numRecordsOut", \.rowsOut)] as [(String, KeyPath<JobReport.Subtask, Int64>)] {
            let scraped = try series("flink_taskmanager_job_task_operator_" + name)
            #expect(scraped.count == report.vertices.reduce(0) { $0 + $1.subtasks.count })
            for vertex in report.vertices {
                for subtask in vertex.subtasks {
                    let found = scraped.first { $0.key["operator_id"] == vertex.operatorID && $0.key["subtask_index"] == "\(subtask.index)" }
                    #expect(found?.value == Double(subtask[keyPath: value]), "\(name) of \(vertex.name)")
                    #expect(found?.key["operator_name"] == vertex.name && found?.key["job_name"] == report.name && found?.key["host"] == "test")
                }
            }
        }
        #expect(try series("flink_jobmanager_job_numberOfCompletedCheckpoints").values.first == Double(report.checkpoints.completed))
        let latency = try series("flink_taskmanager_job_latency_source_id_operator_id_operator_subtask_index_latency_count")
        #expect(latency.values.reduce(0, +) == Double(report.histograms.filter { $0.name == "latency" }.reduce(0) { $0 + $1.count }) && !latency.isEmpty)
        let pending = try #require(try prometheus.query("flink_taskmanager_job_task_operator_pendingRecords{job_name=\"second \\\"job\\\"\"}").data)
        #expect(pending.result.map(\.value.number) == [12])
    }
}
