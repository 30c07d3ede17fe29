import StreamCore
import StreamOperators
import StreamRuntime
import StreamState
import StreamTesting
import Testing

private let readings: Schema = [Field("sensor", .string), Field("celsius", .double), Field("ts", .timestamp(3))]
private let alerts: Schema = [Field("sensor", .string), Field("ts", .timestamp(3)), Field("alert", .string)]

/// Says when a sensor's temperature rises above 30 degrees, and when nothing was heard of it for a minute.
private final class TemperatureAlert: KeyedProcessFunction {
    private struct Last: StateCodable {
        var celsius: Double, time: Int64

        init(celsius: Double, time: Int64) { (self.celsius, self.time) = (celsius, time) }
        func write(to state: inout StateWriter) {
            state.write(celsius)
            state.write(time)
        }
        init(from state: inout StateReader) throws {
            celsius = try state.read()
            time = try state.read()
        }
    }

    private static let silence: Int64 = 60_000
    private var last: ValueState<Last>!
    private var celsius = 0

    func open(_ context: ProcessContext) throws {
        last = try context.valueState("last", of: Last.self)
        celsius = try context.column("celsius")
    }

    func process(_ row: Row, _ context: KeyContext, _ out: RowCollector) throws {
        guard let now = try row.double(celsius), let time = context.timestamp else { return }
        let before = try last.value()
        if let before {
            guard time > before.time else { return }
            if time < before.time + Self.silence { try context.deleteTimer(.eventTime, at: before.time + Self.silence) }
        }
        if now > 30, before.map({ $0.celsius <= 30 }) ?? true { try out.emit(row.string("sensor"), time, "hot: \(now)") }
        try last.update(Last(celsius: now, time: time))
        try context.setTimer(.eventTime, at: time + Self.silence)
    }

    func onTimer(_ timestamp: Int64, _ domain: TimeDomain, _ context: KeyContext, _ out: RowCollector) throws {
        try out.emit(context.key().string("sensor"), timestamp, "silent")
    }
}

@Suite("Process functions in jobs") struct ProcessJobTests {
    @Test("temperature alerts are the same in any order of steps and with any number of subtasks", arguments: UInt64(0)..<40)
    func temperatureAlert(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var expected: [String] = []
        let splits = (0..<3).map { split in
            var batches: [Batch] = []
            var time: Int64 = 0, last: [String: (celsius: Double, time: Int64)] = [:]
            for _ in 0..<12 {
                let rows: [[Value]] = (0..<Int.random(in: 1...8, using: &random)).map { _ in
                    time += Int64.random(in: 1...25_000, using: &random)
                    let sensor = "sensor \(split)-\(Int.random(in: 0..<3, using: &random))", celsius = Double.random(in: 20...40, using: &random)
                    if let before = last[sensor], before.time + 60_000 <= time { expected.append("\(sensor) \(before.time + 60_000) silent") }
                    if celsius > 30, last[sensor].map({ $0.celsius <= 30 }) ?? true { expected.append("\(sensor) \(time) hot: \(celsius)") }
                    last[sensor] = (celsius, time)
                    return [.string(sensor), .double(celsius), .int(time)]
                }
                batches.append(Batch(schema: readings, rows: rows))
            }
            for (sensor, end) in last { expected.append("\(sensor) \(end.time + 60_000) silent") }
            return batches
        }
        let source = SourceVertex(source: ScriptedSource(splits: splits), watermark: WatermarkStrategy(timeColumn: 2, columnName: "ts"))
        let sink = CollectingSink()
        let alert = try Operators.keyedProcess(inputSchema: readings, keys: ["sensor"], outputSchema: alerts, timeColumn: "ts") { TemperatureAlert() }
        let parallelism = Int(seed % 4) + 1
        try SeededRunner(seed: seed, barrierEvery: 9).run(JobGraph(name: "temperature alerts", vertices: [
            JobVertex(id: 0, name: "readings", kind: .source(source), parallelism: 2, outputSchema: readings),
            JobVertex(id: 1, name: "alerts", kind: .transform(alert), parallelism: parallelism, outputSchema: alerts),
            JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: alerts),
        ], edges: [JobEdge(from: 0, to: 1, partitioning: .hash([0])), JobEdge(from: 1, to: 2, partitioning: .single)]))
        let actual = sink.rows.map { "\($0.values[0].text!) \($0.values[1].number!) \($0.values[2].text!)" }
        #expect(actual.sorted() == expected.sorted(), "seed \(seed)")
        #expect(!expected.isEmpty)
    }
}
