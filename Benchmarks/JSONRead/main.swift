import StreamCore
import StreamFormats

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// Rows per second of CPU time of the JSON reader on one thread: bench-json FILE [PASSES].
// The file comes from the sensor generator; it is read into memory first, in chunks of 1 MiB that end at a line.
struct JSONReadBenchmark {
    let chunks: [Buffer]
    let bytes: Int

    init(path: String) throws {
        guard let file = fopen(path, "rb") else {
            throw StreamError(.io, "cannot open \(path)", fix: "give the path of a file of JSON lines")
        }
        defer { fclose(file) }
        var chunks: [Buffer] = [], bytes = 0
        var rest: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            let n = fread(&block, 1, block.count, file)
            rest += block[0..<n]
            let end = n == 0 ? rest.count : (rest.lastIndex(of: 10).map { $0 + 1 } ?? 0)
            if end > 0 {
                chunks.append(rest[0..<end].withUnsafeBytes { Buffer(copying: $0) })
                bytes += end
                rest.removeSubrange(0..<end)
            }
            if n == 0 { break }
        }
        (self.chunks, self.bytes) = (chunks, bytes)
    }

    /// Where each line is, for the decoding of messages.
    func lines(_ chunk: Buffer) -> [Range<Int>] {
        let bytes = chunk.pointer(as: UInt8.self)
        var ranges: [Range<Int>] = [], start = 0
        for i in 0..<chunk.capacity where bytes[i] == 10 {
            ranges.append(start..<i)
            start = i + 1
        }
        return ranges
    }

    func run(_ label: String, projection: [Int], passes: Int, asMessages: Bool = false) throws {
        let schema: Schema = [Field("sensor_id", .int), Field("current_temperature", .double), Field("status", .varchar(6)), Field("event_time", .timestamp(3))]
        var options = JSONOptions()
        options.timestamps = .iso8601
        let decoder = try JSONRecordDecoder(schema: schema, projection: projection, options: options, metrics: OperatorMetrics())
        let messages = asMessages ? chunks.map(lines) : []
        var best = UInt64.max, rows = 0
        for _ in 0..<passes {
            rows = 0
            let start = cpuNanoseconds()
            for (i, list) in messages.enumerated() { rows += try decoder.decode(records: list, in: chunks[i]).batch.count }
            for chunk in asMessages ? [] : chunks {
                var at = 0
                while at < chunk.capacity {
                    let (batch, consumed) = try decoder.decode(chunk: chunk, range: at..<chunk.capacity, isLast: true, maxRows: Batch.targetRows)
                    rows += batch?.count ?? 0
                    at += consumed
                }
            }
            best = min(best, cpuNanoseconds() - start)
        }
        let seconds = Double(best) / 1e9
        print("\(label): \(rows) rows, \((Double(rows) / seconds / 1e5).rounded() / 10) M rows/s, \((Double(bytes) / seconds / 1e8).rounded() / 10) GB/s")
    }

    /// Time on this thread, so that other jobs on the machine count less.
    func cpuNanoseconds() -> UInt64 {
        var t = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
        return UInt64(t.tv_sec) * 1_000_000_000 + UInt64(t.tv_nsec)
    }

    static func main(_ arguments: [String]) throws {
        guard arguments.count >= 2 else {
            print("usage: bench-json FILE [PASSES]")
            exit(2)
        }
        let benchmark = try JSONReadBenchmark(path: arguments[1])
        let passes = arguments.count > 2 ? Int(arguments[2]) ?? 5 : 5
        try benchmark.run("4 of 4 columns", projection: [0, 1, 2, 3], passes: passes)
        try benchmark.run("2 of 4 columns", projection: [0, 1], passes: passes)
        try benchmark.run("0 of 4 columns", projection: [], passes: passes)
        try benchmark.run("4 of 4 columns, one message a row", projection: [0, 1, 2, 3], passes: passes, asMessages: true)
    }
}

try JSONReadBenchmark.main(CommandLine.arguments)
