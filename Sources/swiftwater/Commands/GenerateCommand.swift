import ArgumentParser
import KafkaConnector
import Notebook
import ShardLog
import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Make repeatable load: sensor readings, orders or Nexmark events.",
        discussion: "Example: swiftwater generate sensors --seed 7 --count 1000 --stream my-input-stream",
        subcommands: [Sensors.self, Orders.self, Nexmark.self])

    struct Target: ParsableArguments {
        @Option(help: "Append to this stream of the shard log (it is created with one shard when missing).")
        var stream: String?
        @Option(help: "Append to this Kafka topic (it is created with one partition when missing).")
        var topic: String?
        @Option(help: "Kafka brokers, host:port, several with commas.")
        var bootstrap = "localhost:9092"
        @Option(help: "Write to this file instead of standard output.")
        var file: String?
        @Option(help: "json or csv; a stream and a topic take json.")
        var format: RecordFormat = .json
        @Option(help: "The same seed gives the same records.")
        var seed: UInt64 = 1
        @Option(help: "Records per second; without it as fast as possible.")
        var rate: Int?
        @OptionGroup var data: DataDirectory

        func validate() throws {
            if [stream, file, topic].filter({ $0 != nil }).count > 1 { throw ValidationError("--stream, --topic and --file exclude each other") }
            if let rate, rate < 1 { throw ValidationError("--rate must be at least 1") }
            if stream != nil || topic != nil, format == .csv { throw ValidationError("a stream or topic takes json records: leave --format out") }
        }
    }

    enum RecordFormat: String, ExpressibleByArgument, CaseIterable { case json, csv }

    struct Sensors: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Sensor readings: sensor_id, current_temperature, status, event_time.",
            discussion: "Example: swiftwater generate sensors --rate 100 --start now --stream my-input-stream")
        @OptionGroup var target: Target
        @Option(help: "Number of records; without it until stopped.")
        var count: Int?
        @Option(help: "Event time of the first record (2024-01-01T00:00:00), or 'now' to stamp each record with the clock.")
        var start = "2024-01-01T00:00:00"
        @Option(help: "Event time between two records, for example 100ms; without it as --rate says. A longer one lets event time run ahead of the clock.")
        var step: String?

        func validate() throws {
            if let count, count < 0 { throw ValidationError("--count must not be negative") }
            if let step {
                guard let length = CellDirectives.duration(step), length >= .microseconds(1) else { throw ValidationError("--step '\(step)' is not a time: write 100ms or 1s") }
                if start == "now" { throw ValidationError("--step and --start now exclude each other") }
            }
        }

        func run() throws {
            let rate = target.rate ?? 100
            let isNow = start == "now"
            guard let first = isNow ? Clock.milliseconds() * 1_000 : parsedStart() else {
                throw ValidationError("--start '\(start)' is not a time: write 2024-01-01T00:00:00, or now")
            }
            let generator = SensorGenerator(seed: target.seed, count: count, startMicroseconds: first, stepMicroseconds: step.flatMap { CellDirectives.duration($0) }.map { Int64($0 / .microseconds(1)) } ?? Int64(1_000_000 / rate))
            if !isNow { return try GeneratorRun(target).run(generator) }
            // The rows stay those of the seed; only their time is the clock's.
            try GeneratorRun(target).run(generator) { record in
                record.fields[3].json = "\"\(GeneratorTime.iso(Clock.milliseconds() * 1_000))\""
            }
        }

        private func parsedStart() -> Int64? {
            var text = start.replacing("T", with: " ")
            return text.withUTF8 { DateTimeText.parseTimestamp(UnsafeRawBufferPointer($0), precision: 6) }
        }
    }

    struct Orders: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Orders: order_id, item_id, customer_id, product, amount, currency, time_stamp, transaction_date.",
            discussion: """
                Order 3801 item 23 of 2020-09-02 is always among them. With --changes: later versions of ten of the same orders.
                Example: swiftwater generate orders --count 1000 --stream order-data-stream
                """)
        @OptionGroup var target: Target
        @Option(help: "Number of orders.")
        var count = 1_000
        @Flag(help: "The change file of these orders instead of the orders.")
        var changes = false

        func validate() throws {
            if count < 0 { throw ValidationError("--count must not be negative") }
        }

        func run() throws { try GeneratorRun(target).run(OrderGenerator(seed: target.seed, count: count, changes: changes)) }
    }
}

/// Writes a generator's records to a stream, a file or standard output.
struct GeneratorRun {
    private let target: GenerateCommand.Target

    init(_ target: GenerateCommand.Target) { self.target = target }

    func run(_ generator: some LoadGenerator, adjust: ((inout GeneratedRecord) -> Void)? = nil) throws {
        let stopping = Flagged()
        Signals.onStop { stopping.set() }
        let write = try destination()
        let started = Clock.monotonicNanoseconds()
        var generator = generator
        var made = 0, chunk: [GeneratedRecord] = []
        // Small chunks keep the pace even; large ones keep the speed up.
        let chunkSize = max(1, min(target.rate.map { $0 / 20 } ?? 4_096, 4_096))
        while !stopping.isSet {
            guard var record = generator.next() else { break }
            adjust?(&record)
            chunk.append(record)
            made += 1
            guard chunk.count >= chunkSize else { continue }
            try write(chunk)
            chunk.removeAll(keepingCapacity: true)
            if let rate = target.rate {
                let due = started + UInt64(Double(made) / Double(rate) * 1e9)
                while !stopping.isSet, due > Clock.monotonicNanoseconds() {
                    usleep(UInt32(min(50_000, (due - min(due, Clock.monotonicNanoseconds())) / 1_000 + 1)))
                }
            }
        }
        try write(chunk)
        let to = target.stream.map { "stream \($0)" } ?? target.topic.map { "topic \($0)" } ?? target.file ?? "standard output"
        Terminal.error("\(grouped(Int64(made))) records to \(to)")
    }

    private func destination() throws -> ([GeneratedRecord]) throws -> Void {
        if let stream = target.stream {
            let log = try ShardLog(directory: target.data.path)
            if !log.exists(stream) { try log.createStream(stream) }
            let writer = try log.writer(stream)
            return { records in
                guard !records.isEmpty else { return }
                _ = try writer.append(records.map { Record(partitionKey: $0.partitionKey, data: Array($0.json.utf8)) })
            }
        }
        if let topic = target.topic {
            let appender = try KafkaAppender(topic: topic, ["bootstrap.servers": target.bootstrap], prefix: "", options: ["bootstrap.servers": "--bootstrap"])
            return { records in
                for record in records { try appender.append(key: record.partitionKey, value: record.json) }
                try appender.flush()
            }
        }
        var wroteHeader = false
        let format = target.format
        let descriptor: Int32
        if let file = target.file {
            descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
            guard descriptor >= 0 else {
                throw StreamError(.io, "cannot write \(file): \(String(cString: strerror(errno)))", fix: "name a file in a directory that exists and may be written")
            }
        } else {
            descriptor = STDOUT_FILENO
        }
        return { records in
            var text = ""
            for record in records {
                if format == .csv, !wroteHeader {
                    text += record.csvHeader + "\n"
                    wroteHeader = true
                }
                text += (format == .json ? record.json : record.csv) + "\n"
            }
            Terminal.write(text, to: descriptor)
        }
    }
}
