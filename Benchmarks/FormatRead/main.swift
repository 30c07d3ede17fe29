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

    /// Change records as Kinesis Data Streams for DynamoDB gives them: inserts, updates with both images, and deletes.
    static func changeRecords(_ n: Int) -> [[UInt8]] {
        func image(_ i: Int, _ version: Int) -> String {
            #"{"order_id":{"S":"order-\#(i)"},"item_id":{"N":"\#(i % 50)"},"customer_id":{"S":"customer-\#(i % 977)"},"product":{"S":"Keyboard, quiet, model \#(i % 13)"},"#
                + #""amount":{"N":"\#(i % 90).\#(version)"},"currency":{"S":"USD"},"time_stamp":{"S":"2020-09-02 10:00:0\#(version)"},"active":{"BOOL":true}}"#
        }
        return (0..<n).map { i in
            let event = i % 4 == 0 ? "INSERT" : i % 4 == 3 ? "REMOVE" : "MODIFY"
            var images = ""
            if event != "REMOVE" { images += #""NewImage":\#(image(i, 1)),"# }
            if event != "INSERT" { images += #""OldImage":\#(image(i, 0)),"# }
            return Array((#"{"awsRegion":"us-east-1","eventID":"d5f2f2c6-2bd5-4c0c-8b4c-0000\#(i)","eventName":"\#(event)","userIdentity":null,"recordFormat":"application/json","#
                + #""tableName":"orders","dynamodb":{"ApproximateCreationDateTime":\#(1_700_000_000_000 + i),"Keys":{"order_id":{"S":"order-\#(i)"},"item_id":{"N":"\#(i % 50)"}},"#
                + images + #""SizeBytes":310},"eventSource":"aws:dynamodb"}"#).utf8)
        }
    }

    static func runDynamoDB(passes: Int) throws {
        let schema: Schema = [
            Field("order_id", .string), Field("item_id", .int), Field("customer_id", .string), Field("product", .string), Field("amount", .decimal(precision: 3, scale: 1)),
            Field("currency", .string), Field("time_stamp", .string), Field("active", .boolean),
        ]
        var bytes: [UInt8] = [], messages: [Range<Int>] = []
        for record in changeRecords(8_192) {
            messages.append(bytes.count..<bytes.count + record.count)
            bytes += record
        }
        let chunk = bytes.withUnsafeBytes { Buffer(copying: $0) }
        for (label, mode, projection, metadata) in [
            ("8 columns, all", "all", Array(schema.indices), [String]()), ("8 columns, upsert", "upsert", Array(schema.indices), []),
            ("2 columns, upsert", "upsert", [0, 4], []), ("8 columns and row, upsert", "upsert", Array(schema.indices), ["row"]),
        ] {
            let table = TableDescriptor(name: "bench", schema: schema, primaryKey: ["order_id", "item_id"],
                                        options: ["format": "dynamodb-json", "dynamodb-json.changelog-mode": mode])
            let decoder = try FormatFactory.decoder(for: table, projection: projection, metadata: metadata, metrics: OperatorMetrics())
            var best = UInt64.max
            for _ in 0..<passes {
                let began = cpuNanoseconds()
                for _ in 0..<20 { _ = try decoder.decode(records: messages, in: chunk) }
                best = min(best, cpuNanoseconds() - began)
            }
            let perRecord = Double(best) / 20 / Double(messages.count)
            print("dynamodb-json, read \(label): \(Int(Double(bytes.count / messages.count) / perRecord * 1_000)) MB/s, \(Double(Int(1_000 / perRecord * 100)) / 100) M records/s, \(bytes.count / messages.count) bytes a record")
        }
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
    try FormatReadBenchmark.runDynamoDB(passes: passes)
    for name in ["json", "avro", "csv"] { try FormatReadBenchmark.run(name, passes: passes) }
} catch {
    print(error)
    exit(1)
}
