import Foundation
import HTTPServer
import JobControl
import StreamCore
import ViewConnector
import ViewService

// How fast a view takes rows and answers: rows a second of CPU time, bytes a row, and latencies.
//
//     swift build -c release --product bench-views && .build/release/bench-views [rows]
let rows = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000

let schema: Schema = [
    Field("device", .string, nullable: false), Field("quarter", .timestamp(3)), Field("errors", .bigint), Field("last_error", .string), Field("rate", .double),
]

func cpu() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

/// Rows of `keys` devices, in an order that is not that of the keys.
func batches(_ count: Int, keys: Int) -> [Batch] {
    (0..<count / 8_192).map { number in
        let columns = schema.map { ColumnBuilder(type: $0.type, capacity: 8_192) }
        for i in 0..<8_192 {
            let row = number * 8_192 + i, key = Int((UInt64(row) &* 0x9E37_79B9_7F4A_7C15) >> 20) % keys
            columns[0].append(string: "router-\(key)")
            columns[1].append(fixed: Int64(1_700_000_000_000 + row))
            columns[2].append(fixed: Int64(row))
            columns[3].append(string: "WAN link down, try \(row)")
            columns[4].append(fixed: Double(row) / 3)
        }
        return Batch(columns: columns.map { $0.finish() }, physicalCount: 8_192)
    }
}

func measure(_ name: String, keys: Int, memory: String, subscribers: Int = 0) throws -> ViewRegistry {
    let registry = ViewRegistry()
    let table = TableDescriptor(name: "v", schema: schema, primaryKey: ["device"], options: ["connector": "view", "view.memory": memory])
    let sink = try ViewConnector(registry: registry).sink(for: table, timeZone: "UTC")
    var context = SinkContext()
    context.workDirectory = NSTemporaryDirectory() + "bench-views-\(getpid())"
    _ = try sink.committer(context)
    let writer = try sink.writer(context) as! any StatefulSinkWriter
    try writer.restore(RestoredState())
    let input = batches(rows, keys: keys)
    let subscriptions = try (0..<subscribers).map { _ in try registry.subscribe("v", key: nil, since: nil, snapshot: false) }
    let start = cpu()
    for batch in input { try writer.write(batch) }
    let used = cpu() - start, about = try registry.list()[0], count = input.count * 8_192
    print("\(name): \(Int(Double(count) / used / 1_000)) thousand rows/s of CPU, \(about.rows) rows, \(about.memoryBytes / max(about.rows, 1)) bytes each in memory\(about.isOnDisk ? ", on disk" : "")")
    subscriptions.forEach { $0.close() }
    return registry
}

func latencies(_ name: String, _ n: Int, _ body: (Int) throws -> Void) rethrows {
    for i in 0..<n / 10 { try body(i) }
    var times: [UInt64] = []
    for i in 0..<n {
        let start = Clock.monotonicNanoseconds()
        try body(i)
        times.append(Clock.monotonicNanoseconds() - start)
    }
    times.sort()
    print("\(name): p50 \(Double(times[n / 2]) / 1_000) us, p99 \(Double(times[n * 99 / 100]) / 1_000) us")
}

_ = try measure("1,000 keys", keys: 1_000, memory: "64 mb")
_ = try measure("1,000 keys, a subscriber", keys: 1_000, memory: "64 mb", subscribers: 1)
let registry = try measure("200,000 keys", keys: 200_000, memory: "256 mb")
_ = try measure("1,000,000 keys over RocksDB", keys: 1_000_000, memory: "32 mb")
try latencies("get in the process", 20_000) { _ = try registry.get("v", key: "router-\($0)") }
ViewControl.install(registry)
let directory = NSTemporaryDirectory() + "bench-views-control-\(getpid())"
try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
let control = try ControlServer(directory: directory) { _ in ControlAnswer() }
let job = JobViews(directory: directory)
try latencies("get through the control socket", 5_000) { _ = try job.get("v", key: "router-\($0)") }

/// Sends requests over one connection.
func http(_ name: String, _ reader: any ViewReader) throws {
    let views = ViewHTTP(reader)
    let server = try HTTPServer(host: "127.0.0.1", port: 0) { views.answer($0) ?? .text(404, "") }
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = UInt16(server.port).bigEndian
    address.sin_addr.s_addr = inet_addr("127.0.0.1")
    _ = withUnsafePointer(to: &address) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) } }
    var chunk = [UInt8](repeating: 0, count: 65_536)
    latencies(name, 5_000) { i in
        let request = Array("GET /v1/views/v/router-\(i) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
        _ = send(descriptor, request, request.count, 0)
        _ = recv(descriptor, &chunk, chunk.count, 0)
    }
    close(descriptor)
    server.stop(grace: 1)
}
try http("GET over HTTP, in the job's process", registry)
try http("GET over HTTP, through the control socket", job)
control.close()
try FileManager.default.removeItem(atPath: directory)
