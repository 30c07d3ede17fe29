import Foundation
import HudiTable
import StreamCore

// Inserts five-column rows into a new Hudi table and prints rows per second and peak memory.
//
//     HudiInsert [rows] [codec] [partitions] [operation]        defaults: 5000000 zstd 1 insert
//     KEEP=DIR keeps the table there
//
// With upsert the same rows are written twice: first as new keys, then as changes of all of them. With changes the rows are inserted
// first, then every twentieth of them is changed by one upsert: all of its columns but the key and the status. Then the table is read: three of its columns, three with a
// condition that statistics answer in part, all columns, and single rows by their keys.

#if canImport(Glibc)
import Glibc
let thisProcess = __rusage_who_t(RUSAGE_SELF.rawValue)
#else
let thisProcess = RUSAGE_SELF
#endif

/// The same numbers in every run.
struct Numbers {
    var state: UInt64 = 1
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}

func makeBatch(_ schema: Schema, first: Int, rows: Int, partitions: Int, _ random: inout Numbers) -> Batch {
    let builders = schema.map { ColumnBuilder(type: $0.type, capacity: rows) }
    for i in 0..<rows {
        builders[0].append(fixed: Int64(first + i))
        builders[1].append(string: "status-\(Int(random.next()) % partitions)")
        builders[2].append(fixed: Double(random.next() % 100_000) / 100)
        builders[3].append(string: "device \(random.next() % 1_000_000) text")
        builders[4].append(fixed: 1_700_000_000_000 + Int64(first + i) * 10)
    }
    return Batch(columns: builders.map { $0.finish() }, physicalCount: rows)
}

func run() throws {
    let arguments = CommandLine.arguments
    let total = arguments.count > 1 ? Int(arguments[1])! : 5_000_000
    let codec = arguments.count > 2 ? arguments[2] : "zstd"
    let partitions = arguments.count > 3 ? Int(arguments[3])! : 1
    let operation = arguments.count > 4 ? arguments[4] : "insert"
    let kept = ProcessInfo.processInfo.environment["KEEP"]
    let path = kept ?? NSTemporaryDirectory() + "swiftwater-bench-" + UUID().uuidString
    defer { if kept == nil { try? FileManager.default.removeItem(atPath: path) } }
    let schema = [Field("id", .bigint), Field("status", .string), Field("value", .double), Field("device", .string), Field("ts", .timestamp(3))]
    let table = TableDescriptor(name: "bench", schema: schema, primaryKey: ["id"], partitionKeys: partitions > 1 ? ["status"] : [], options: [
        "connector": "hudi", "path": path, "write.operation": operation, "hoodie.parquet.compression.codec": codec,
    ])
    var random = Numbers()
    // A few hundred distinct batches would fit no cache; the ids are made fresh for each.
    let pool = (0..<64).map { makeBatch(schema, first: $0 * Batch.targetRows, rows: Batch.targetRows, partitions: max(partitions, 3), &random) }
    var batches: [Batch] = []
    var made = 0
    while made < total {
        let n = min(Batch.targetRows, total - made)
        var batch = pool[batches.count % pool.count]
        let ids = Buffer(capacity: Batch.targetRows * 8)
        for i in 0..<Batch.targetRows { ids.pointer(as: Int64.self)[i] = Int64(made + i) }
        batch.columns[0] = Column(type: .bigint, count: Batch.targetRows, values: ids)
        batches.append(batch.slice(0..<n).compacted())
        made += n
    }
    for pass in 0..<(operation == "insert" ? 1 : 2) {
        var table = table
        if operation == "changes" {
            table.options["write.operation"] = pass == 0 ? "insert" : "upsert"
            if pass == 1 { batches = spread(batches, every: 20, &random) }
        }
        let total = batches.reduce(0) { $0 + $1.count }
        let before0 = pass == 1 ? try HudiTable.open(path).bytes : 0
        let sink = try HudiConnector().sink(for: table, timeZone: "UTC")
        let opening = Clock.monotonicNanoseconds()
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let start = Clock.monotonicNanoseconds(), before = cpuSeconds()
        if pass == 1 { print("reading the keys of the table: \(Double(start - opening) / 1e9) s") }
        for batch in batches { try writer.write(batch) }
        let committer = try sink.committer(SinkContext())!
        try committer.commit(1, try writer.prepareCommit(1))
        let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9, used = cpuSeconds() - before
        try writer.close()
        committer.close()
        if pass == 1 {
            let written = try HudiTable.open(path).timeline.last { $0.action == "commit" }!.bytes
            print("bytes written / bytes of the table before: \(Double(written) / Double(before0))")
        }
        let opened = try HudiTable.open(path)
        var usage = rusage()
        getrusage(thisProcess, &usage)
        print("\(operation) \(pass + 1)  rows \(try opened.rowCount)  codec \(codec)  partitions \(opened.partitions.count)  files \(opened.fileCount)  bytes \(opened.bytes)")
        print("rows/s \(Int(Double(total) / seconds))  rows/CPU-s \(Int(Double(total) / used))  wall \(seconds) s  CPU \(used) s  peak RSS \(usage.ru_maxrss / 1_024) MiB")
    }
    try scan("3 of 5 columns", table, ScanRequest(projection: [0, 2, 4]))
    try scan("text and number", table, ScanRequest(projection: [1, 2]))
    try scan("5 columns", table, ScanRequest(projection: [0, 1, 2, 3, 4]))
    var last = ScanRequest(projection: [0, 2, 4])
    last.filter = [ScanPredicate(column: 0, .compares(.greaterOrEqual, .int(Int64(total - total / 10))))]
    try scan("newest tenth, by statistics", table, last)
    for i in 0..<3 {
        var point = ScanRequest(projection: [0, 1, 2, 3, 4])
        point.filter = [ScanPredicate(column: 0, .compares(.equal, .int(Int64(total / 4 * (i + 1)))))]
        try scan("one key", table, point)
    }
}

/// Reads a table as a job with one subtask does.
func scan(_ name: String, _ table: TableDescriptor, _ request: ScanRequest) throws {
    let start = Clock.monotonicNanoseconds(), before = cpuSeconds(), metrics = OperatorMetrics()
    let source = try HudiConnector().source(for: table, scan: request)
    var rows = 0
    for split in try source.splits() {
        let reader = try source.reader(for: split, metrics: metrics)
        reading: while true {
            switch try reader.next(maxRows: Batch.targetRows) {
            case .batch(let batch): rows += batch.count
            case .waiting: continue
            case .endOfSplit: break reading
            }
        }
    }
    let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9, used = cpuSeconds() - before
    print("scan \(name): \(rows) rows  rows/s \(Int(Double(rows) / seconds))  rows/CPU-s \(Int(Double(rows) / used))  wall \(seconds) s  CPU \(used) s  \(metrics.gauges)")
}

/// One row of `every` from each batch, with another value, device and time.
func spread(_ batches: [Batch], every: Int, _ random: inout Numbers) -> [Batch] {
    batches.map { batch in
        let rows = stride(from: 0, to: batch.physicalCount, by: every).map { Int32($0) }
        var columns = rows.withUnsafeBufferPointer { rows in batch.columns.map { $0.gather(rows.baseAddress!, count: rows.count) } }
        let value = ColumnBuilder(type: columns[2].type, capacity: rows.count), device = ColumnBuilder(type: columns[3].type, capacity: rows.count)
        let time = ColumnBuilder(type: columns[4].type, capacity: rows.count)
        let times = columns[4].flat().pointer(as: Int64.self)
        for i in rows.indices {
            value.append(fixed: Double(random.next() % 100_000) / 100 + 1_000)
            device.append(string: "device \(random.next() % 1_000_000) changed")
            time.append(fixed: times[i] + 3)
        }
        columns[2] = value.finish()
        columns[3] = device.finish()
        columns[4] = time.finish()
        return Batch(columns: columns, physicalCount: rows.count)
    }
}

func cpuSeconds() -> Double {
    var u = rusage()
    getrusage(thisProcess, &u)
    return Double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + Double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6
}

do { try run() } catch {
    print("\(error)")
    exit(1)
}
