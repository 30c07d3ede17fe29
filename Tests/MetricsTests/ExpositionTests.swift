import CoreMetrics
import Foundation
import Monitoring
import StreamCore
import StreamRuntime
import Testing

/// A report of many subtasks, with names that need care.
func largeReport(vertices: Int, subtasks: Int, name: String = "big") -> JobReport {
    var report = JobReport(name: name, id: "00112233445566778899aabbccddeeff", state: .running, startedAt: 1_000, attempt: 2)
    report.takenAt = 61_000
    report.vertices = (0..<vertices).map { id in
        .init(id: id, operatorID: "op-\(id)", name: "operator \(id) \"quoted\" \\ line\nbreak", kind: id == 0 ? .source : id == vertices - 1 ? .sink : .transform,
              parallelism: subtasks, subtasks: (0..<subtasks).map { index in
            var subtask = JobReport.Subtask(index: index)
            (subtask.rowsIn, subtask.rowsOut, subtask.watermark, subtask.outputWatermark) = (Int64(id * 1_000 + index), 5, 1_700_000_000_000, 1_700_000_000_000)
            (subtask.busy, subtask.idle, subtask.lag, subtask.queued) = (30_000, 30_000, 17, id == 0 ? nil : 3)
            subtask.gauges = ["lag.orders-\(index)": 4, "files.skipped": 2]
            return subtask
        })
    }
    report.histograms = [.init(name: "checkpointDuration", labels: [:], count: 2, sum: 30.5, quantiles: [.init(quantile: 0.5, value: 10), .init(quantile: 0.999, value: 20.5)])]
    return report
}

@Suite struct ExpositionTests {
    private func lines(_ text: PrometheusText) -> [String] { String(decoding: text.render(), as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }

    @Test func familiesAreContiguousAndDescribedOnce() throws {
        var text = PrometheusText(labels: ["host": "h"])
        text.add(largeReport(vertices: 3, subtasks: 2, name: "a"))
        text.add(largeReport(vertices: 3, subtasks: 2, name: "b"))
        text.add(ProcessMetrics.current())
        let lines = lines(text)
        #expect(lines.last == "")
        var family = "", seen: Set<String> = []
        for line in lines.dropLast() {
            if line.hasPrefix("# HELP ") {
                family = String(line.split(separator: " ")[2])
                #expect(seen.insert(family).inserted, "\(family) comes twice")
            } else if line.hasPrefix("# TYPE ") {
                #expect(line.split(separator: " ")[2] == family)
            } else {
                let name = String(line.prefix { $0 != "{" && $0 != " " })
                #expect([family, family + "_sum", family + "_count"].contains(name), "\(name) below \(family)")
            }
        }
        #expect(lines.contains("# TYPE flink_taskmanager_job_task_operator_numRecordsIn counter"))
        #expect(lines.contains("flink_jobmanager_numRunningJobs{host=\"h\"} 2"))
        #expect(lines.contains("flink_jobmanager_job_checkpointDuration{job_id=\"00112233445566778899aabbccddeeff\",job_name=\"a\",host=\"h\",quantile=\"0.999\"} 20.5"))
        #expect(lines.contains("flink_jobmanager_job_checkpointDuration_count{job_id=\"00112233445566778899aabbccddeeff\",job_name=\"a\",host=\"h\"} 2"))
        #expect(lines.contains { $0.hasPrefix("flink_taskmanager_job_task_operator_lag{") && $0.contains("split=\"orders-1\"") && $0.hasSuffix("} 4") })
        #expect(lines.contains { $0.hasPrefix("flink_taskmanager_job_task_operator_files_skipped{") })
        #expect(lines.contains { $0.contains("operator_name=\"operator 1 \\\"quoted\\\" \\\\ line\\nbreak\"") })
        #expect(lines.contains { $0.hasPrefix("process_resident_memory_bytes ") && Double($0.split(separator: " ")[1])! > 1_000_000 })
        #expect(lines.contains { $0.hasPrefix("process_cpu_seconds_total ") })
    }

    /// What promtool finds is that Flink's names are Flink's: nothing that it cannot read, and nothing else about form.
    @Test func promtoolReadsIt() throws {
        var text = PrometheusText(labels: ["host": "h", "tm_id": "h"])
        text.add(largeReport(vertices: 4, subtasks: 3))
        text.add(ProcessMetrics.current())
        let instruments = Instruments()
        Counter(label: "requests", dimensions: [("path", "/metrics")], factory: instruments).increment()
        CoreMetrics.Timer(label: "answer-time", dimensions: [], factory: instruments).recordNanoseconds(5_000_000)
        text.add(instruments)
        let result = try Tool.run("promtool", ["check", "metrics"], input: text.render())
        // 3 stands for matters of style.
        #expect(result.status == 3 || result.status == 0, "\(result.output)")
        for line in result.output.split(separator: "\n") {
            #expect(line.hasPrefix("flink_") && (line.contains("snake_case") || line.contains("should have \"_total\" suffix") || line.contains("should not contain abbreviated units")
                || line.contains("metric type in name") || line.contains("use base unit")), "\(line)")
        }
    }

    @Test func aThousandSeriesTakeFewMilliseconds() throws {
        let report = largeReport(vertices: 10, subtasks: 4)
        var best = UInt64.max, series = 0
        for _ in 0..<5 {
            let start = Clock.monotonicNanoseconds()
            var text = PrometheusText()
            text.add(report)
            let bytes = text.render()
            best = min(best, Clock.monotonicNanoseconds() - start)
            series = String(decoding: bytes, as: UTF8.self).split(separator: "\n").count { !$0.hasPrefix("#") }
        }
        #expect(series >= 1_000)
        // Built without optimisation, as tests are, it takes some ten times as long as it does in a release build.
        let milliseconds = Double(best) / 1e6 * 1_000 / Double(series)
        print("1000 series: \(milliseconds) ms")
        #expect(milliseconds < 2_000)
    }

    @Test func instrumentsOfLibrariesAreShown() throws {
        let instruments = Instruments()
        let counter = Counter(label: "http.requests", dimensions: [("route", "/v1/\"x\"")], factory: instruments)
        counter.increment(by: 3)
        Counter(label: "http.requests", dimensions: [("route", "/v1/\"x\"")], factory: instruments).increment(by: 4)
        FloatingPointCounter(label: "seconds", dimensions: [], factory: instruments).increment(by: 1.5)
        let meter = Meter(label: "connections", dimensions: [], factory: instruments)
        meter.set(5)
        meter.decrement(by: 2)
        let recorder = Recorder(label: "body.bytes", dimensions: [], aggregate: true, factory: instruments)
        recorder.record(10)
        recorder.record(30)
        let timer = CoreMetrics.Timer(label: "answer", dimensions: [], factory: instruments)
        for n in 1...100 { timer.recordMilliseconds(n) }
        // One name cannot be of two kinds.
        Meter(label: "http.requests_total", dimensions: [], factory: instruments).set(1)
        var text = PrometheusText()
        text.add(instruments)
        let lines = lines(text)
        #expect(lines.contains("http_requests_total{route=\"/v1/\\\"x\\\"\"} 7"))
        #expect(lines.contains("seconds_total 1.5") && lines.contains("connections 3"))
        #expect(lines.contains("body_bytes_sum 40") && lines.contains("body_bytes_count 2"))
        #expect(lines.contains("answer_seconds_count 100") && lines.contains("answer_seconds_sum 5.05"))
        #expect(lines.contains("http_requests_total_meter 1"))
        let median = try #require(lines.first { $0.hasPrefix("answer_seconds{quantile=\"0.5\"}") }.flatMap { Double($0.split(separator: " ")[1]) })
        #expect(abs(median - 0.05) <= 0.0005)
        counter.destroy()
        var after = PrometheusText()
        after.add(instruments)
        #expect(!String(decoding: after.render(), as: UTF8.self).contains("http_requests_total{"))
    }
}
