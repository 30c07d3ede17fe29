import FileConnectors
import KafkaConnector
import StreamCore
import StreamRuntime
import StreamSQL
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Prints the speed of reading and writing Kafka as ratios of one run.
struct KafkaBench {
    let bootstrap: String, messages: Int, rounds: Int

    init(_ bootstrap: String, messages: Int, rounds: Int) {
        // Rows are written in whole batches.
        (self.bootstrap, self.messages, self.rounds) = (bootstrap, (messages + 8_191) / 8_192 * 8_192, rounds)
    }

    func run() throws {
        let admin = try KafkaClient(.producer, KafkaConfiguration(["bootstrap.servers": bootstrap]))
        let raw = RawClient(bootstrap: bootstrap), run = "bench-\(getpid())"
        func topic(_ name: String) throws -> String {
            try admin.createTopic("\(run)-\(name)", partitions: 1)
            return "\(run)-\(name)"
        }

        let input = try topic("input")
        try raw.produce(input, messages: messages, fill: RawClient.fill)
        var read = (raw: Cost.none, hop: Cost.none, decode: Cost.none)
        for _ in 0..<rounds {
            read.raw = try read.raw.best(Cost.of { try raw.consume(input, messages: messages) })
            read.hop = try read.hop.best(Cost.of { try consume(input, Self.hop) })
            read.decode = try read.decode.best(Cost.of { try consume(input, "INSERT INTO nowhere SELECT status, sensor_id, current_temperature, event_time FROM input") })
        }

        var write = (raw: Cost.none, rows: Cost.none, atLeastOnce: Cost.none, exactlyOnce: Cost.none)
        for round in 0..<rounds {
            let targets = try (0..<4).map { try topic("output-\(round)-\($0)") }
            write.raw = try write.raw.best(Cost.of { try raw.produce(targets[0], messages: messages) })
            write.rows = try write.rows.best(Cost.of { try produce(targets[1]) })
            write.atLeastOnce = try write.atLeastOnce.best(Cost.of { try produce(targets[2], checkpoints: true) })
            write.exactlyOnce = try write.exactlyOnce.best(Cost.of {
                try produce(targets[3], checkpoints: true, "'sink.delivery-guarantee' = 'exactly-once', 'sink.transactional-id-prefix' = '\(run)-\(round)',")
            })
        }

        print("| \(messages) messages of \(RawClient.text(0).utf8.count) bytes, one partition, 1 worker | M messages/s | CPU s | ratio |")
        print("| --- | --- | --- | --- |")
        row("librdkafka alone, reading", read.raw, nil)
        row("reading, JSON decoded, HOP 10 s / 1 min by status", read.hop, read.raw, "of librdkafka")
        row("reading, JSON decoded to `blackhole`", read.decode, read.raw, "of librdkafka")
        row("librdkafka alone, writing", write.raw, nil)
        row("writing JSON", write.rows, write.raw, "of librdkafka")
        row("writing JSON, a checkpoint each second", write.atLeastOnce, write.raw, "of librdkafka")
        row("the same, exactly once", write.exactlyOnce, write.atLeastOnce, "of at-least-once")
    }

    private static let hop = """
        INSERT INTO nowhere SELECT status, COUNT(*), AVG(current_temperature), window_end
        FROM TABLE(HOP(TABLE input, DESCRIPTOR(event_time), INTERVAL '10' SECOND, INTERVAL '1' MINUTE)) GROUP BY status, window_start, window_end
        """

    private func consume(_ topic: String, _ statement: String) throws {
        let columns = statement == Self.hop
            ? "status STRING, num BIGINT, average DOUBLE, window_end TIMESTAMP(3)"
            : "status STRING, sensor_id INT, current_temperature DOUBLE, event_time TIMESTAMP(3)"
        try execute("""
            CREATE TABLE input (sensor_id INT, current_temperature DOUBLE, status STRING, event_time TIMESTAMP(3),
              WATERMARK FOR event_time AS event_time - INTERVAL '5' SECOND)
            WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'properties.bootstrap.servers' = '\(bootstrap)', 'scan.startup.mode' = 'earliest-offset',
                  'scan.bounded.mode' = 'specific-offsets', 'scan.bounded.specific-offsets' = 'partition:0,offset:\(messages)',
                  'format' = 'json', 'json.timestamp-format.standard' = 'ISO-8601');
            CREATE TABLE nowhere (\(columns)) WITH ('connector' = 'blackhole');
            """ + statement)
    }

    private func produce(_ topic: String, checkpoints: Bool = false, _ options: String = "") throws {
        try execute("""
            CREATE TABLE made (sensor_id INT, current_temperature DOUBLE, status STRING, event_time STRING) WITH ('connector' = 'repeat', 'rows' = '\(messages)');
            CREATE TABLE output (sensor_id INT, current_temperature DOUBLE, status STRING, event_time STRING)
            WITH ('connector' = 'kafka', 'topic' = '\(topic)', 'properties.bootstrap.servers' = '\(bootstrap)', \(options) 'format' = 'json');
            INSERT INTO output SELECT * FROM made
            """, checkpoints: checkpoints)
    }

    private func execute(_ script: String, checkpoints: Bool = false) throws {
        let session = SQLSession(connectors: [KafkaConnector(), BlackholeConnector(), RepeatedRows()])
        for statement in try SQLParser(text: script).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            var options = JobOptions()
            options.workers = 1
            if checkpoints { options.checkpoints.interval = .seconds(1) }
            try JobExecution(graph, options: options).run()
        }
    }

    private func row(_ name: String, _ cost: Cost, _ base: Cost?, _ of: String = "") {
        func number(_ value: Double, _ digits: Int) -> String {
            let scale = [1.0, 10, 100][digits]
            let rounded = (value * scale).rounded() / scale
            return digits == 2 && "\(rounded)".split(separator: ".").last?.count == 1 ? "\(rounded)0" : "\(rounded)"
        }
        let ratio = base.map { number($0.seconds / cost.seconds, 2) + " " + of } ?? ""
        print("| \(name) | \(number(Double(messages) / cost.seconds / 1e6, 2)) | \(number(cost.processor, 2)) | \(ratio) |")
    }
}

/// What something took.
struct Cost {
    var seconds: Double, processor: Double
    static let none = Cost(seconds: .infinity, processor: .infinity)

    static func of(_ body: () throws -> Void) rethrows -> Cost {
        let start = Clock.monotonicNanoseconds(), used = processorSeconds()
        try body()
        return Cost(seconds: Double(Clock.monotonicNanoseconds() - start) / 1e9, processor: processorSeconds() - used)
    }

    func best(_ other: Cost) -> Cost { other.seconds < seconds ? other : self }

    private static func processorSeconds() -> Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }
}
