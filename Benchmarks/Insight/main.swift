import FileConnectors
import StreamCore
import StreamExpressions
import StreamOperators
import StreamRuntime
import StreamSQL

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

// Rows per second of CPU time of RANDOM_CUT_FOREST and of encoding: bench-insight [ROWS].
struct InsightBenchmark {
    final class Nowhere: Output {
        var rows = 0
        var isReady: Bool { true }
        func emit(_ batch: Batch) { rows += batch.count }
    }

    static func cpuNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    static func forest(rows: Int, columns: Int, decay: Int, shingle: Int = 1) throws {
        let schema: Schema = (0..<columns).map { Field("c\($0)", .double) }
        var state: UInt64 = 1
        func unit() -> Double {
            state &+= 0x9E37_79B9_7F4A_7C15
            return Double(RowHash.mix(state) >> 11) * 0x1p-53
        }
        var options = RandomCutForestOptions()
        (options.timeDecay, options.shingle) = (decay, shingle)
        let spec = RandomCutForestSpec(
            inputSchema: schema, partition: [], features: (0..<columns).map { .column($0, .double) }, forest: options, explains: true)
        let op = try Operators.randomCutForest(spec, context: EvaluationContext())()
        try op.open(OperatorContext(name: "bench"))
        let output = Nowhere()
        func batch(_ n: Int) -> Batch { Batch(schema: schema, rows: (0..<n).map { _ in (0..<columns).map { _ in .double(unit() + unit() + unit()) } }) }
        _ = try op.process(batch(2_000), input: 0, output: output)
        let batches = (0..<max(1, rows / 2_000)).map { _ in batch(2_000) }
        let start = cpuNanoseconds()
        for batch in batches { _ = try op.process(batch, input: 0, output: output) }
        let seconds = Double(cpuNanoseconds() - start) / 1e9
        print("RANDOM_CUT_FOREST 100 x 256, \(columns) columns, shingle \(shingle), decay \(decay): \(Int(Double(batches.count * 2_000) / seconds)) rows/s of CPU")
    }

    static func query(rows: Int, _ select: String, columns: String) throws -> Double {
        let session = SQLSession(connectors: [DatagenConnector(), BlackholeConnector()])
        let script = """
            CREATE TABLE s (status INT, verb INT) WITH ('connector' = 'datagen', 'number-of-rows' = '\(rows)', 'rows-per-second' = '1000000000', 'fields.status.min' = '100', 'fields.status.max' = '599',
                'fields.verb.min' = '0', 'fields.verb.max' = '9');
            CREATE TABLE t (\(columns)) WITH ('connector' = 'blackhole');
            INSERT INTO t \(select)
            """
        for statement in try SQLParser(text: script, file: nil).parseScript() {
            guard case .insert(let graph) = try session.execute(statement) else { continue }
            let start = cpuNanoseconds()
            try JobExecution(graph).run()
            return Double(cpuNanoseconds() - start) / 1e9
        }
        return 0
    }

    static func encode(rows: Int) throws {
        let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
        let named = "(SELECT status, ELT(verb + 1, \(methods.map { "'\($0)'" }.joined(separator: ", ")), 'BREW') AS m FROM s)"
        let plain = try query(rows: rows, "SELECT status, m FROM \(named)", columns: "status INT, m STRING")
        let flags = methods.map { "CASE WHEN m = '\($0)' THEN 1 ELSE 0 END" } + (1...5).map { "CASE WHEN status >= \($0)00 AND status < \($0 + 1)00 THEN 1 ELSE 0 END" }
        let steps: [(String, String, String)] = [
            ("one-hot of 9 and 5 bins as 14 columns", flags.joined(separator: ", "), flags.indices.map { "c\($0) INT" }.joined(separator: ", ")),
            ("WIDTH_BUCKET of 6 edges", "WIDTH_BUCKET(status, ARRAY[100, 200, 300, 400, 500, 600])", "c INT"),
            ("ONE_HOT of 9", "ONE_HOT(m, ARRAY[\(methods.map { "'\($0)'" }.joined(separator: ", "))])", "c ARRAY<INT>"),
            ("ARRAY_POSITION of 9", "ARRAY_POSITION(ARRAY[\(methods.map { "'\($0)'" }.joined(separator: ", "))], m)", "c INT"),
        ]
        for (name, select, columns) in steps {
            let seconds = try query(rows: rows, "SELECT status, m, \(select) FROM \(named)", columns: "status INT, m STRING, " + columns) - plain
            print("\(name): \(Int(Double(rows) / max(seconds, 1e-9))) rows/s of CPU, without source and sink")
        }
    }
}

let rows = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 100_000 : 100_000
try InsightBenchmark.forest(rows: rows, columns: 1, decay: 100_000)
try InsightBenchmark.forest(rows: rows, columns: 2, decay: 100_000)
try InsightBenchmark.forest(rows: rows, columns: 5, decay: 100_000)
try InsightBenchmark.forest(rows: rows, columns: 2, decay: 1_000)
try InsightBenchmark.forest(rows: rows, columns: 2, decay: 100_000, shingle: 4)
try InsightBenchmark.encode(rows: rows * 20)
