import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// Rows per second of CPU time on one thread, of formats that read the same rows as messages: bench-formats [PASSES].
struct FormatReadBenchmark {
    static let schema: Schema = [
        Field("sensor_id", .int), Field("current_temperature", .double), Field("status", .varchar(6)), Field("event_time", .timestamp(3)),
        Field("place", .string), Field("count", .bigint),
    ]

    static func batch(_ n: Int) -> Batch {
        let words = ["OK", "WARN", "FAILED"], places = ["hall 1", "the north end of hall 2", "outside"]
        var rows: [[Value]] = []
        for i in 0..<n {
            let temperature = 20 + Double(i % 977) / 10, time = 1_700_000_000_000 + Int64(i) * 37
            rows.append([
                .int(Int64(i % 1_000)), .double(temperature), .string(words[i % 3]), .int(time), .string(places[i % 3]), .int(Int64(i) * 7_919),
            ])
        }
        return Batch(schema: schema, rows: rows)
    }

    static func cpuNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    static func run(_ name: String, passes: Int) throws {
        let table = TableDescriptor(name: "bench", schema: schema, options: ["format": name])
        let rows = batch(8_192)
        var out = EncodedBytes(), ends: [Int] = []
        try FormatFactory.encoder(for: table).encode(rows, into: &out, ends: &ends)
        let chunk = Buffer(copying: out.bytes)
        var start = 0
        let messages = ends.map { end in
            defer { start = end }
            return start..<end
        }
        for (label, projection) in [("6 columns", Array(schema.indices)), ("2 columns", [0, 5])] {
            let decoder = try FormatFactory.decoder(for: table, projection: projection, metrics: OperatorMetrics())
            var best = UInt64.max
            for _ in 0..<passes {
                let began = cpuNanoseconds()
                for _ in 0..<100 { _ = try decoder.decode(records: messages, in: chunk) }
                best = min(best, cpuNanoseconds() - began)
            }
            let perRow = Double(best) / 100 / Double(messages.count)
            print("\(name), read \(label): \(Int(1_000 / perRow * 10) / 10) M rows/s, \(chunk.capacity / messages.count) bytes a row")
        }
        let encoder = try FormatFactory.encoder(for: table)
        var best = UInt64.max
        for _ in 0..<passes {
            let began = cpuNanoseconds()
            for _ in 0..<100 {
                out.removeAll()
                ends.removeAll(keepingCapacity: true)
                try encoder.encode(rows, into: &out, ends: &ends)
            }
            best = min(best, cpuNanoseconds() - began)
        }
        print("\(name), write: \(Int(1_000 / (Double(best) / 100 / Double(messages.count)) * 10) / 10) M rows/s")
    }
}

do {
    let passes = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 5
    for name in ["json", "avro", "csv"] { try FormatReadBenchmark.run(name, passes: passes) }
} catch {
    print(error)
    exit(1)
}
