import Foundation
import RocksDBState
import StreamCore
import StreamRuntime
import StreamState
import StreamTesting
import Testing

/// source (2) ─ hash ─▶ pass (2) ─▶ sink (1)
private func passJob(_ splits: [[Batch]], isBounded: Bool = true, plan: Faulty.Plan = .init(0), sink: any TableSink, watermark: WatermarkStrategy? = nil) -> JobGraph {
    JobGraph(name: "pass", vertices: [
        JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: splits, isBounded: isBounded), watermark: watermark)), parallelism: 2,
                  outputSchema: rowSchema, operatorID: "source-id"),
        JobVertex(id: 1, name: "pass", kind: .transform { Faulty(plan) }, parallelism: 2, outputSchema: rowSchema, operatorID: "pass-id"),
        JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: rowSchema, operatorID: "sink-id"),
    ], edges: [JobEdge(from: 0, to: 1, partitioning: .hash([0])), JobEdge(from: 1, to: 2, partitioning: .single)])
}

private let eventTime = WatermarkStrategy(timeColumn: 2, columnName: "ts", delayMilliseconds: 5)

@Suite struct ReportTests {
    @Test func aFinishedJobTellsOfEverySubtaskAndCheckpoint() throws {
        let directory = try TemporaryDirectory()
        func batch(_ split: Int64, _ number: Int64) -> Batch { rows((0..<10).map { (k: Int64) -> (Int64, Int64, Int64) in (k, number, split * 1_000 + number * 10 + k) }) }
        let splits: [[Batch]] = (0..<2).map { (split: Int64) -> [Batch] in (0..<10).map { batch(split, $0) } }
        let sink = CollectingSink()
        var recovery = RecoveryOptions(directory: directory.path, jobID: "the-job")
        recovery.keepsFinished = true
        let runner = try JobRunner(passJob(splits, sink: sink, watermark: eventTime), recovery: recovery)
        #expect(runner.report().state == .initializing)
        #expect(runner.report().vertices.map(\.name) == ["source", "pass", "sink"])
        try runner.run()
        let report = runner.report()
        #expect(report.state == .finished && report.id == "the-job" && report.attempt == 1)
        #expect(report.startedAt > 0 && report.endedAt! >= report.startedAt && report.takenAt >= report.endedAt!)
        #expect(report.vertices.map(\.subtasks.count) == [2, 2, 1])
        #expect(report.vertices[0].subtasks.map(\.rowsOut) == [100, 100])
        #expect(report.vertices[1].subtasks.reduce(0) { $0 + $1.rowsIn } == 200)
        #expect(report.vertices[1].subtasks.allSatisfy { $0.rowsIn > 0 && $0.rowsIn == $0.rowsOut && $0.watermark == .max && $0.outputWatermark == .max })
        #expect(report.vertices[2].subtasks[0].rowsIn == 200)
        // Each batch of a source goes to both, as both have keys in it.
        #expect(report.vertices[1].subtasks.map(\.batchesIn) == [20, 20])
        #expect(report.vertices[1].subtasks.allSatisfy { $0.queued == 0 && !$0.isBackPressured })
        #expect(report.checkpoints.completed == 1 && report.checkpoints.inProgress == 0 && report.checkpoints.failed == 0)
        let last = try #require(report.checkpoints.history.last)
        #expect(last.status == .completed && !last.isSavepoint && last.duration! >= 0 && last.path!.hasPrefix(directory.path))
        #expect(report.histograms.map(\.name) == ["checkpointDuration", "commitDuration"] && report.histograms.allSatisfy { $0.count == 1 })
        #expect(report.failures.isEmpty)
        let json = try JSONEncoder().encode(report)
        #expect(try JSONDecoder().decode(JobReport.self, from: json) == report)
    }

    @Test func failuresAreKeptThroughRestartsAndTheirStateIsTold() throws {
        let directory = try TemporaryDirectory()
        var recovery = RecoveryOptions(directory: directory.path, jobID: "job")
        recovery.restart = .fixedDelay(attempts: 1, delay: .seconds(600))
        let plan = Faulty.Plan(1)
        let job = RunningTestJob(try JobRunner(passJob([[rows([(1, 1, 1)])], []], isBounded: false, plan: plan, sink: CollectingSink()), recovery: recovery))
        eventually("the job waits to be started again") { job.runner.report().state == .restarting }
        let between = job.runner.report()
        #expect(between.attempt == 1 && between.failures.count == 1)
        #expect(between.failures[0].kind == "runtime" && between.failures[0].attempt == 1 && between.failures[0].at >= between.startedAt)
        #expect(between.failures[0].message.hasPrefix("in.jsonl:3:8: the value 7 of record 3 cannot be used") && between.failures[0].message.contains("correct it"))
        // The counters of the attempt that failed are there still.
        #expect(between.vertices[0].subtasks.reduce(0) { $0 + $1.rowsOut } == 1)
        let samples = between.samples()
        #expect(samples.first { $0.name == "restartingState" }?.value == 1 && samples.first { $0.name == "downtime" }!.value >= 0)
        job.runner.cancel()
        #expect(try job.end().get() == .cancelled)
        #expect(job.runner.report().state == .canceled)

        recovery = RecoveryOptions(directory: directory.path + "/2", jobID: "job")
        recovery.restart = .fixedDelay(attempts: 2, delay: .milliseconds(1))
        let hopeless = try JobRunner(passJob([[rows([(1, 1, 1)])], []], plan: Faulty.Plan(5), sink: CollectingSink()), recovery: recovery)
        #expect(throws: StreamError.self) { try hopeless.run() }
        let end = hopeless.report()
        #expect(end.state == .failed && end.attempt == 3 && end.failures.map(\.attempt) == [1, 2, 3])
        #expect(end.samples().first { $0.name == "numRestarts" }?.value == 2)
    }

    @Test func savepointsAndRestoresAreInTheHistory() throws {
        let directory = try TemporaryDirectory()
        let recovery = RecoveryOptions(directory: directory.path + "/checkpoints", jobID: "job")
        let graph = { passJob([[rows([(1, 1, 1)])], [rows([(2, 1, 1)])]], isBounded: false, sink: CollectingSink(), watermark: eventTime) }
        var last: UInt64 = 0
        // The first runner holds the directory of the checkpoints for as long as there is one.
        do {
            let job = RunningTestJob(try JobRunner(graph(), recovery: recovery))
            let path = try job.runner.savepoint(in: directory.path + "/savepoints")
            // Splits are told a few times per second.
            eventually("both splits are told") { job.runner.report().vertices[0].subtasks.flatMap(\.splits).filter { $0.watermark == -4 && $0.position == "1" }.count == 2 }
            let report = job.runner.report()
            let savepoint = try #require(report.checkpoints.history.first { $0.isSavepoint })
            #expect(report.state == .running && savepoint.status == .completed && savepoint.path == path)
            // Event times are 1 ms after 1970.
        let lags = report.vertices[0].subtasks.compactMap(\.eventTimeLag)
        #expect(lags.count == 2 && lags.allSatisfy { $0 > report.startedAt - 1_000 && $0 < report.takenAt })
        #expect(report.samples().count { $0.name == "currentFetchEventTimeLag" && lags.map(Double.init).contains($0.value) } == 2)
        #expect(Set(report.vertices[0].subtasks.flatMap(\.splits).map(\.id)) == ["0", "1"])
            job.runner.stop()
            #expect(try job.end().get() == .stopped)
            last = job.runner.report().checkpoints.history.last!.id
            #expect(last > savepoint.id)
        }
        let again = RunningTestJob(try JobRunner(graph(), recovery: recovery))
        eventually("the job runs again") { again.runner.report().state == .running }
        let restored = again.runner.report()
        #expect(restored.checkpoints.restored == 1 && restored.checkpoints.restoredID == last && restored.checkpoints.restoredAt! > 0)
        again.runner.cancel()
        again.end()
    }

    /// Scenario 30: queues grow when nobody takes what is in them.
    @Test func queuesGrowUnderBackPressure() throws {
        let sink = GatedSink()
        let many: [Batch] = (0..<2_000).map { (b: Int64) -> Batch in rows([(0, b, 0), (1, b, 0), (2, b, 0), (3, b, 0)]) }
        let graph = JobGraph(name: "gate", vertices: [
            JobVertex(id: 0, name: "source", kind: .source(SourceVertex(source: ScriptedSource(splits: [many]))), parallelism: 1, outputSchema: rowSchema),
            JobVertex(id: 1, name: "pass", kind: .transform { Faulty(.init(0)) }, parallelism: 1, outputSchema: rowSchema),
            JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 2, outputSchema: rowSchema),
        ], edges: [JobEdge(from: 0, to: 1), JobEdge(from: 1, to: 2, partitioning: .rebalance)])
        let job = RunningTestJob(try JobRunner(graph, options: JobOptions(workers: 3, queueCapacity: 8)))
        defer {
            sink.open()
            job.end()
        }
        eventually("the queues are full, and the source waits") {
            let vertices = job.runner.report().vertices
            return vertices.count == 3 && vertices[2].subtasks.contains { $0.queued == 8 } && vertices[0].subtasks.first?.isBackPressured == true
        }
        let first = job.runner.report()
        eventually("time under back-pressure is counted") { job.runner.report().vertices[0].subtasks[0].backPressured >= first.vertices[0].subtasks[0].backPressured + 20 }
        var tracker = RateTracker()
        tracker.observe(first)
        tracker.observe(job.runner.report())
        let samples = job.runner.report().samples(rates: tracker)
        func value(_ name: String, _ task: String) -> Double? { samples.first { $0.name == name && $0.labels["task_name"] == task && $0.labels["operator_id"] == nil }?.value }
        #expect(value("buffers.inputQueueLength", "sink")! >= 7)
        #expect(value("isBackPressured", "source -> pass") == 1)
        #expect(value("backPressuredTimeMsPerSecond", "source -> pass")! > 900)
        #expect(value("Shuffle.Netty.Input.numBuffersInRemote", "sink") == 0)
        sink.open()
        #expect(try job.end().get() == .finished)
        let end = job.runner.report()
        #expect(end.vertices[2].subtasks.allSatisfy { $0.queued == 0 } && sink.rowCount == 8_000)
        #expect(end.vertices.map(\.chain) == [0, 0, 2])
        #expect(end.vertices[2].subtasks.reduce(0) { $0 + $1.batchesIn! } == 2_000)
        // The fused operators were blocked together, and the sink's threads were in its code.
        #expect(end.vertices[0].subtasks[0].backPressured == end.vertices[1].subtasks[0].backPressured)
        #expect(end.vertices[2].subtasks[0].busy >= 20)
    }

    @Test func latencyIsWhatMarkersTook() throws {
        let clock = SimulatedClock()
        var options = JobOptions(queueCapacity: 64, clock: { clock.now })
        options.latencyInterval = .milliseconds(10)
        let splits = [[rows([(1, 1, 1)])], [rows([(2, 1, 1)])]]
        let job = try SteppedExecution(passJob(splits, isBounded: false, sink: CollectingSink()), options: options)
        defer { job.abandon() }
        // Subtasks 0 and 1 are of the source, 2 and 3 of the operator, 4 is the sink.
        for _ in 0..<100 {
            clock.advance(by: .milliseconds(10))
            for source in 0...1 { _ = try job.step(source) }
            clock.advance(by: .milliseconds(30))
            for id in 2...3 { while try job.step(id) == .progress {} }
            clock.advance(by: .milliseconds(7))
            while try job.step(4) == .progress {}
        }
        let histograms = job.latencyHistograms()
        func all(_ name: String) -> [JobReport.Histogram] { histograms.filter { $0.labels["operator_name"] == name } }
        #expect(all("source").isEmpty && all("pass").count == 2 && all("sink").count == 1)
        #expect(all("pass").reduce(0) { $0 + $1.count } == 200 && all("sink")[0].count == 200)
        #expect(histograms.allSatisfy { $0.name == "latency" && $0.labels["source_id"] == "source-id" })
        for (name, expected) in [("pass", 30.0), ("sink", 37)] {
            for histogram in all(name) {
                #expect(histogram.quantiles.map(\.quantile) == [0.5, 0.9, 0.95, 0.98, 0.99, 0.999])
                #expect(histogram.quantiles.allSatisfy { abs($0.value - expected) <= expected * 0.01 }, "\(name): \(histogram.quantiles)")
                #expect(abs(histogram.sum - expected * Double(histogram.count)) < 0.001)
            }
        }
    }

    @Test func noMarkersAreSentUnlessAskedFor() throws {
        let job = try JobRunner(passJob([[rows([(1, 1, 1)])], []], sink: CollectingSink()))
        try job.run()
        #expect(!job.report().histograms.contains { $0.name == "latency" })
    }
}

@Suite struct RateTrackerTests {
    private func report(at: Int64, rowsIn: Int64, attempt: Int = 1) -> JobReport {
        var report = JobReport(name: "j", id: "1", state: .running, startedAt: 1, attempt: attempt)
        report.takenAt = at
        var subtask = JobReport.Subtask(index: 0)
        (subtask.rowsIn, subtask.busy, subtask.idle) = (rowsIn, at / 4, at * 3 / 4)
        report.vertices = [.init(id: 3, operatorID: "o", name: "o", kind: .transform, parallelism: 1, subtasks: [subtask])]
        return report
    }

    @Test func ratesAreOfTheLastMinute() {
        var tracker = RateTracker()
        tracker.observe(report(at: 1_000, rowsIn: 0))
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == nil)
        // 100 rows per second for five minutes, then 10.
        for second in 2...300 { tracker.observe(report(at: Int64(second) * 1_000, rowsIn: Int64(second - 1) * 100)) }
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == 100)
        #expect(tracker.perSecond(.busy, vertex: 3, subtask: 0) == 250)
        for second in 301...330 { tracker.observe(report(at: Int64(second) * 1_000, rowsIn: 29_900 + Int64(second - 300) * 10)) }
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == 55)
        for second in 331...400 { tracker.observe(report(at: Int64(second) * 1_000, rowsIn: 29_900 + Int64(second - 300) * 10)) }
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == 10)
        #expect(tracker.perSecond(.rowsIn, vertex: 4, subtask: 0) == nil)
        // A new attempt counts from 0.
        tracker.observe(report(at: 401_000, rowsIn: 5, attempt: 2))
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == nil)
        tracker.observe(report(at: 403_000, rowsIn: 45, attempt: 2))
        #expect(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0) == 20)
    }

    @Test func askingOftenKeepsNoMore() {
        var tracker = RateTracker()
        for at in stride(from: Int64(0), through: 200_000, by: 10) { tracker.observe(report(at: at, rowsIn: at)) }
        #expect(abs(tracker.perSecond(.rowsIn, vertex: 3, subtask: 0)! - 1_000) < 1)
        #expect(MemoryLayout.size(ofValue: tracker) < 200)
    }

    @Test func withoutATrackerRatesAreOfTheWholeAttempt() {
        let samples = report(at: 40_000, rowsIn: 4_000).samples()
        #expect(samples.first { $0.name == "numRecordsInPerSecond" && $0.labels["operator_id"] == "o" }?.value == 100)
        #expect(samples.first { $0.name == "busyTimeMsPerSecond" && $0.labels["operator_id"] == nil }?.value == 250)
        #expect(samples.first { $0.name == "idleTimeMsPerSecond" }?.value == 750)
    }
}

@Suite struct StoreStatisticsTests {
    @Test func whatRocksDBSaysIsAmongTheGauges() throws {
        let directory = try TemporaryDirectory()
        var options = RocksDBOptions()
        options.countsTickers = true
        let store = try RocksDBBackend(options).makeStore("s", identity: "s", directory: directory.path + "/store")
        let metrics = OperatorMetrics()
        metrics.setGauge("own", 1)
        metrics.addGauges(try #require(store.gauges))
        var changes = StoreChanges()
        for n in 0..<1_000 {
            changes.puts.append([0, 0, UInt8(n / 256), UInt8(n % 256)])
            changes.values.append([UInt8](repeating: 7, count: 100))
        }
        try store.apply(changes)
        let full = metrics.gauges
        #expect(full["own"] == 1 && full["rocksdb.estimate-num-keys"] == 1_000 && full["rocksdb.cur-size-active-mem-table"]! > 100_000)
        #expect(full["rocksdb.live-sst-files-size"] == 0 && full["rocksdb.bytes-written"]! > 100_000)
        // A snapshot makes a file of the buffer, and reading that goes through the cache.
        _ = try store.snapshot(1)
        for _ in 0..<2 { #expect(try store.get([0, 0, 0, 3])?.count == 100) }
        let flushed = metrics.gauges
        #expect(flushed["rocksdb.live-sst-files-size"]! > 10_000 && flushed["rocksdb.block-cache-usage"]! > 0)
        #expect(flushed["rocksdb.block-cache-hit"]! > 0 && flushed["rocksdb.block-cache-miss"]! > 0)
        #expect(flushed["rocksdb.block-cache-capacity"]! > flushed["rocksdb.block-cache-usage"]!)
        store.close()
        #expect(metrics.gauges == ["own": 1])
    }
}
