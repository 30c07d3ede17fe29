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

/// Readings of some sensors, each in one split and in the order of time, and the alerts that they are to give.
private struct Readings {
    var splits: [[[[Value]]]] = []
    var alerts: [String] = []

    init(using random: inout SeededRandom, batches: Int) {
        for split in 0..<3 {
            var made: [[[Value]]] = []
            var time: Int64 = 0, last: [String: (celsius: Double, time: Int64)] = [:]
            for _ in 0..<batches {
                made.append((0..<Int.random(in: 1...8, using: &random)).map { _ in
                    time += Int64.random(in: 1...25_000, using: &random)
                    let sensor = "sensor \(split)-\(Int.random(in: 0..<3, using: &random))", celsius = Double.random(in: 20...40, using: &random)
                    if let before = last[sensor], before.time + 60_000 <= time { alerts.append("\(sensor) \(before.time + 60_000) silent") }
                    if celsius > 30, last[sensor].map({ $0.celsius <= 30 }) ?? true { alerts.append("\(sensor) \(time) hot: \(celsius)") }
                    last[sensor] = (celsius, time)
                    return [.string(sensor), .double(celsius), .int(time)]
                })
            }
            for (sensor, end) in last { alerts.append("\(sensor) \(end.time + 60_000) silent") }
            splits.append(made)
        }
    }

    static func text(_ row: [Value]) -> String { "\(row[0].text!) \(row[1].number!) \(row[2].text!)" }
}

private func temperatureAlerts(_ source: any TableSource, _ sink: any TableSink, parallelism: Int) throws -> JobGraph {
    let source = SourceVertex(source: source, watermark: WatermarkStrategy(timeColumn: 2, columnName: "ts"))
    let alert = try Operators.keyedProcess(inputSchema: readings, keys: ["sensor"], outputSchema: alerts, timeColumn: "ts") { TemperatureAlert() }
    return JobGraph(name: "temperature alerts", vertices: [
        JobVertex(id: 0, name: "readings", kind: .source(source), parallelism: parallelism, outputSchema: readings),
        JobVertex(id: 1, name: "alerts", kind: .transform(alert), parallelism: parallelism, outputSchema: alerts),
        JobVertex(id: 2, name: "sink", kind: .sink(sink), parallelism: 1, outputSchema: alerts),
    ], edges: [JobEdge(from: 0, to: 1, partitioning: .hash([0])), JobEdge(from: 1, to: 2, partitioning: .single)])
}

@Suite("Process functions in jobs") struct ProcessJobTests {
    @Test("temperature alerts are the same in any order of steps and with any number of subtasks", arguments: UInt64(0)..<40)
    func temperatureAlert(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let input = Readings(using: &random, batches: 12), sink = CollectingSink()
        let source = ScriptedSource(splits: input.splits.map { $0.map { Batch(schema: readings, rows: $0) } })
        try SeededRunner(seed: seed, barrierEvery: 9).run(temperatureAlerts(source, sink, parallelism: Int(seed % 4) + 1))
        #expect(sink.rows.map { Readings.text($0.values) }.sorted() == input.alerts.sorted(), "seed \(seed)")
        #expect(!input.alerts.isEmpty)
    }

    /// The job with a broker's topics in front and behind.
    private final class Alerts: SimulatedTopology {
        private let broker: SimulatedBroker
        let expected: [String: VisibleOutput]

        init(seed: UInt64) {
            var random = SeededRandom(seed)
            let input = Readings(using: &random, batches: 6)
            broker = SimulatedBroker(seed: seed)
            broker.add("readings", readings, partitions: input.splits.map { $0.flatMap { $0 }.map { .init($0) } })
            expected = ["alerts": VisibleOutput(kind: .log, rows: input.alerts)]
        }

        func graph(host: Host, parallelism: Int) throws -> JobGraph {
            let connector = SimulatedBrokerConnector(broker)
            let source = try connector.source(for: TableDescriptor(name: "readings", schema: readings, options: ["topic": "readings"]),
                                              scan: ScanRequest(projection: [0, 1, 2]))
            let sink = try connector.sink(for: TableDescriptor(name: "alerts", schema: alerts, options: ["topic": "alerts"]), timeZone: "UTC")
            return try temperatureAlerts(source, sink, parallelism: parallelism)
        }

        func visible() -> [String: VisibleOutput] {
            ["alerts": VisibleOutput(kind: .log, rows: broker.rows("alerts").map { Readings.text($0.values) })]
        }
        var violations: [String] { broker.violations }
    }

    @Test("crashes and restarts at other parallelisms lose no state and no timer, and repeat no alert", arguments: Array(UInt64(0)..<40) + [340])
    func crashes(seed: UInt64) throws {
        _ = try Simulation(name: "temperature alerts", seed: seed) { _ in Alerts(seed: seed) }.run()
    }
}
