import Foundation
import HudiTable
import LakeTable
import StreamCore

// Opens a Hudi table with a long timeline and many files, reads its whole history, and commits small changes to it.
//
//     HudiOpen [instants] [files] [partitions] [version]        defaults: 10000 100000 1000 6
//
// The table is written by the sink with one row per partition; its other commits and files are copies of these under new names, so
// that names and sizes are like those of a table that has grown, without its rows.

#if canImport(Glibc)
import Glibc
let thisProcess = __rusage_who_t(RUSAGE_SELF.rawValue)
#else
let thisProcess = RUSAGE_SELF
#endif

func cpuSeconds() -> Double {
    var u = rusage()
    getrusage(thisProcess, &u)
    return Double(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + Double(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6
}

func timed<T>(_ what: String, _ body: () throws -> T) rethrows -> T {
    let start = Clock.monotonicNanoseconds(), before = cpuSeconds()
    let result = try body()
    func digits(_ value: Double) -> String { String(format: "%.3f", value) }
    print("\(what)  wall \(digits(Double(Clock.monotonicNanoseconds() - start) / 1e9)) s  CPU \(digits(cpuSeconds() - before)) s")
    return result
}

func descriptor(_ path: String, version: Int) -> TableDescriptor {
    let schema = [Field("id", .bigint), Field("part", .int), Field("value", .double), Field("device", .string), Field("ts", .timestamp(3))]
    return TableDescriptor(name: "bench", schema: schema, primaryKey: ["id"], partitionKeys: ["part"], options: [
        "connector": "hudi", "path": path, "write.operation": "insert", "hoodie.write.table.version": String(version),
        "hoodie.datasource.write.hive_style_partitioning": "true", "hoodie.parquet.small.file.limit": "1 kb",
    ])
}

func rows(_ table: TableDescriptor, _ parts: Range<Int>) -> Batch {
    Batch(schema: table.schema, rows: parts.map { [.int(Int64($0)), .int(Int64($0)), .double(1), .string("device \($0)"), .int(0)] })
}

func instantName(_ n: Int) -> String {
    // A second each, from 2026-01-01 on.
    let day = n / 86_400, rest = n % 86_400
    func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
    return "202601" + two(1 + day) + two(rest / 3_600) + two(rest / 60 % 60) + two(rest % 60) + "000"
}

/// Gives the table as many commits and files as asked for: every one has the same number of new file groups.
func grow(_ path: String, version: Int, instants: Int, files: Int, partitions: Int) throws {
    let manager = FileManager.default, timeline = path + (version == 6 ? "/.hoodie" : "/.hoodie/timeline")
    let made = try manager.contentsOfDirectory(atPath: timeline).first { $0.hasSuffix(".commit") }!
    let first = try CommitMetadata.parse(Array(try Data(contentsOf: URL(fileURLWithPath: timeline + "/" + made))), file: made)
    let models = Dictionary(first.stats.map { ($0.partition, $0) }) { a, _ in a }
    var number = 0
    for i in 0..<instants {
        let time = instantName(i), done = time.dropLast(3) + "500"
        var metadata = first
        metadata.stats = []
        for _ in 0..<(i + 1) * files / instants - number {
            let partition = "part=\(number % partitions)", model = models[partition]!
            let id = "\(UUID().uuidString.lowercased())-0", name = "\(partition)/\(id)_0-1-0_\(time).parquet"
            // A link stands for a file: listing it costs the same.
            guard link("\(path)/\(model.path!)", "\(path)/\(name)") == 0 else { throw POSIXError(.EMLINK) }
            metadata.stats.append(WriteStat(fileId: id, path: name, partition: partition, rows: 1, inserts: 1, bytes: model.bytes))
            number += 1
        }
        for (ending, content) in [("commit.requested", []), ("inflight", []), (version == 6 ? "commit" : "", version == 6 ? metadata.json() : metadata.avro())] {
            let name = ending.isEmpty ? "\(time)_\(done).commit" : "\(time).\(ending)"
            try Data(content).write(to: URL(fileURLWithPath: "\(timeline)/\(name)"))
        }
    }
}

func run() throws {
    let arguments = CommandLine.arguments.dropFirst().map { Int($0)! }
    func argument(_ i: Int, _ usual: Int) -> Int { i < arguments.count ? arguments[i] : usual }
    let instants = argument(0, 10_000), files = argument(1, 100_000), partitions = argument(2, 1_000), version = argument(3, 6)
    let path = NSTemporaryDirectory() + "swiftwater-bench-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    var table = descriptor(path, version: version)

    func commits(_ count: Int, _ batch: Batch) throws -> [Double] {
        let sink = try HudiConnector().sink(for: table, timeZone: "UTC")
        let writer = try timed("start of a writer") { try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics())) }
        let committer = try sink.committer(SinkContext())!
        var seconds: [Double] = []
        for n in 1...count {
            let start = Clock.monotonicNanoseconds()
            try writer.write(batch)
            try committer.commit(UInt64(n), try writer.prepareCommit(UInt64(n)))
            seconds.append(Double(Clock.monotonicNanoseconds() - start) / 1e9)
        }
        try writer.close()
        committer.close()
        return seconds
    }

    _ = try commits(1, rows(table, 0..<partitions))
    try timed("making the table") { try grow(path, version: version, instants: instants, files: files, partitions: partitions) }
    for _ in 0..<3 {
        let opened = try timed("open") { try HudiTable.open(path) }
        print("    version \(opened.version)  columns \(opened.schema.count)  files \(opened.fileCount)  partitions \(opened.partitions.count)")
        let timeline = try timed("all of the timeline's numbers") { try opened.timeline }
        print("    instants \(timeline.count)  rows \(try opened.rowCount)")
    }
    try timed("splits of a scan") {
        print("    \(try HudiConnector().source(for: table, scan: ScanRequest(projection: [0])).splits().count)")
    }
    // Cleaning is due after each commit.
    table.options["clean.retain_commits"] = "10"
    let seconds = try timed("20 commits of one row") { try commits(20, rows(table, 0..<1)) }.sorted()
    print("commit  median \(seconds[10]) s  longest \(seconds[19]) s")
    var usage = rusage()
    getrusage(thisProcess, &usage)
    print("peak RSS \(usage.ru_maxrss / 1_024) MiB")
}

do { try run() } catch {
    print("\(error)")
    exit(1)
}
