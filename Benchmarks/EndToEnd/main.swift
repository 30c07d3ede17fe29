import Foundation
import KinesisConnector
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import Synchronization

// How long after its put a record is a row of a windowless query: records are appended to the log one at a time, each flushed to the
// disk, while a job in the same process reads the stream into a sink in memory.
//
//     bench-end-to-end [--records 3000] [--rate 300] [--flush batch|interval] [--checkpoints SECONDS]
//
// Latency goes from before the append to the call of the sink's writer; `put` is the append alone, until it is on the disk.

struct Settings {
    var records = 3_000, rate = 300.0, flush = FlushPolicy.everyAppend, checkpoints: Double?

    init(_ arguments: [String]) throws {
        var rest = arguments[...]
        while let option = rest.popFirst() {
            guard let value = rest.popFirst() else { throw StreamError(.validate, "\(option) has no value") }
            switch (option, Double(value)) {
            case ("--records", let n?) where n >= 1: records = Int(n)
            case ("--rate", let n?) where n > 0: rate = n
            case ("--checkpoints", let n?) where n > 0: checkpoints = n
            case ("--flush", _) where value == "batch" || value == "interval": flush = value == "batch" ? .everyAppend : .interval(milliseconds: 50)
            default: throw StreamError(.validate, "\(option) \(value) is not known here", fix: "see the head of Benchmarks/EndToEnd/main.swift")
            }
        }
    }
}

/// Notes when each row came; rows are numbered by their first column.
final class ArrivalSink: TableSink {
    private let arrivals: Mutex<(times: [UInt64], count: Int)>
    var keepsRows: Bool { false }

    init(count: Int) { arrivals = Mutex((Array(repeating: 0, count: count), 0)) }

    var count: Int { arrivals.withLock { $0.count } }
    var times: [UInt64] { arrivals.withLock { $0.times } }

    func writer(_ context: SinkContext) throws -> any SinkWriter { Writer(self) }

    private final class Writer: SinkWriter {
        private let sink: ArrivalSink
        init(_ sink: ArrivalSink) { self.sink = sink }

        func write(_ batch: Batch) throws {
            let now = Clock.monotonicNanoseconds()
            sink.arrivals.withLock { arrivals in
                for i in 0..<batch.count {
                    guard case .int(let id) = batch.columns[0].value(at: batch.row(i)), id >= 0 else { continue }
                    arrivals.times[Int(id)] = now
                    arrivals.count += 1
                }
            }
        }

        func prepareCommit(_ checkpoint: UInt64) throws -> [Committable] { [] }
    }
}

func report(_ name: String, _ nanoseconds: [UInt64]) {
    let sorted = nanoseconds.sorted()
    func at(_ share: Double) -> String { String(format: "%7.2f", Double(sorted[min(sorted.count - 1, Int(Double(sorted.count) * share))]) / 1e6) }
    let title = name.padding(toLength: 11, withPad: " ", startingAt: 0)
    print("\(title) p50 \(at(0.5))   p90 \(at(0.9))   p99 \(at(0.99))   p99.9 \(at(0.999))   max \(at(1)) ms")
}

func run() throws {
    let settings = try Settings(Array(CommandLine.arguments.dropFirst()))
    let directory = NSTemporaryDirectory() + "bench-end-to-end-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let log = try ShardLog(directory: directory)
    try log.createStream("readings")
    let session = SQLSession(connectors: [KinesisConnector()])
    let script = """
        CREATE TABLE readings (id BIGINT, sensor STRING, temperature DOUBLE) WITH ('connector' = 'kinesis', 'stream' = 'readings',
            'log.directory' = '\(directory)', 'format' = 'json', 'scan.stream.initpos' = 'TRIM_HORIZON');
        SELECT id, UPPER(sensor) AS sensor, temperature * 1.8 + 32 AS fahrenheit FROM readings WHERE temperature > -100
        """
    var query: JobGraph?
    let sink = ArrivalSink(count: settings.records)
    for statement in try SQLParser(text: script).parseScript() {
        if case .query(let planned) = try session.execute(statement) { query = try planned.jobGraph(into: sink) }
    }
    var options = JobOptions(), recovery: RecoveryOptions?
    if let seconds = settings.checkpoints {
        options.checkpoints.interval = .milliseconds(Int64(seconds * 1_000))
        recovery = RecoveryOptions(directory: directory + "/checkpoints", jobID: "job")
    }
    let runner = try JobRunner(query!, options: options, recovery: recovery)
    let ended = DispatchSemaphore(value: 0), failure = Failure()
    Thread.detachNewThread {
        do { _ = try runner.run() } catch { failure.error.withLock { $0 = error } }
        ended.signal()
    }
    // The job reads before the clock starts.
    let writer = try log.writer("readings", flush: settings.flush)
    try writer.append([Record(partitionKey: "warm-up", data: Array("{\"id\":-1,\"sensor\":\"x\",\"temperature\":0}".utf8))])
    while (runner.status().first?.rowsOut ?? 0) < 1, failure.error.withLock({ $0 == nil }) { usleep(1_000) }
    var puts: [UInt64] = [], starts: [UInt64] = []
    let began = Clock.monotonicNanoseconds()
    var random = SystemRandomNumberGenerator()
    var due = Double(began)
    for id in 0..<settings.records {
        // At random intervals, so that no rhythm of the reader's hides how long it sleeps.
        due += -log1p(-Double.random(in: 0..<1, using: &random)) / settings.rate * 1e9
        let now = Clock.monotonicNanoseconds()
        if Double(now) < due { usleep(UInt32((due - Double(now)) / 1e3)) }
        let record = Record(partitionKey: "sensor-\(id % 50)", data: Array("{\"id\":\(id),\"sensor\":\"sensor-\(id % 50)\",\"temperature\":\(Double(id % 400) / 10)}".utf8))
        let start = Clock.monotonicNanoseconds()
        try writer.append([record])
        starts.append(start)
        puts.append(Clock.monotonicNanoseconds() - start)
    }
    let deadline = Date().addingTimeInterval(30)
    while sink.count < settings.records, Date() < deadline, failure.error.withLock({ $0 == nil }) { usleep(1_000) }
    runner.stop()
    ended.wait()
    if let error = failure.error.withLock({ $0 }) { throw error }
    guard sink.count == settings.records else { throw StreamError(.runtime, "\(sink.count) of \(settings.records) records became rows") }
    let seconds = Double(Clock.monotonicNanoseconds() - began) / 1e9
    print("\(settings.records) records, \(Int(Double(settings.records) / seconds)) a second, flush \(settings.flush == .everyAppend ? "per record" : "every 50 ms")")
    report("put", puts)
    report("put to row", zip(starts, sink.times).map { $1 - $0 })
}

final class Failure: Sendable { let error = Mutex<(any Error)?>(nil) }

do { try run() } catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
