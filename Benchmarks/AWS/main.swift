import AWSEndpoint
import AWSProtocol
import Foundation
import KinesisService
import ShardLog
import StreamCore
import Synchronization

#if canImport(Glibc)
import Glibc
private let systemSocket = Glibc.socket
private let socketType = Int32(SOCK_STREAM.rawValue)
#elseif canImport(Darwin)
import Darwin
private let systemSocket = Darwin.socket
private let socketType = SOCK_STREAM
#endif

// Load on the Kinesis API over HTTP: throughput of PutRecords and GetRecords, and how long a single PutRecord takes.
//
//     swift run -c release bench-aws                        an endpoint in this process, over a log in a temporary directory
//     swift run -c release bench-aws 127.0.0.1:4566         one that runs elsewhere
//
// The load generator and the endpoint share the machine's cores; a PutRecord is answered when it is flushed to the disk.

/// One connection that is kept open: a request, then its answer.
final class Connection {
    private let socket: Int32
    private let host: String
    private var buffer = [UInt8](repeating: 0, count: 1 << 20)

    init(host: String, port: Int) throws {
        self.host = "\(host):\(port)"
        socket = systemSocket(AF_INET, socketType, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        guard inet_pton(AF_INET, host, &address.sin_addr) == 1 else { throw StreamError(.validate, "\(host) is no IPv4 address") }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
        guard result == 0 else { throw StreamError(.io, "cannot connect to \(host):\(port): \(String(cString: strerror(errno)))") }
        var on: Int32 = 1
        setsockopt(socket, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    }

    deinit { close(socket) }

    func head(_ operation: String, _ length: Int) -> [UInt8] {
        Array(("POST / HTTP/1.1\r\nHost: \(host)\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.\(operation)\r\n"
            + "Content-Length: \(length)\r\n\r\n").utf8)
    }

    /// The body of the answer.
    func send(_ operation: String, _ body: [UInt8]) throws -> ArraySlice<UInt8> {
        let request = head(operation, body.count) + body
        var sent = 0
        while sent < request.count {
            let n = request.withUnsafeBytes { write(socket, $0.baseAddress! + sent, $0.count - sent) }
            guard n > 0 else { throw StreamError(.io, "the endpoint hung up") }
            sent += n
        }
        var have = 0
        while true {
            if have == buffer.count { buffer += [UInt8](repeating: 0, count: buffer.count) }
            let n = buffer.withUnsafeMutableBytes { read(socket, $0.baseAddress! + have, $0.count - have) }
            guard n > 0 else { throw StreamError(.io, "the endpoint hung up") }
            have += n
            guard let end = headEnd(have) else { continue }
            let head = String(decoding: buffer[..<end], as: UTF8.self)
            let length = head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).trimmingCharacters(in: .whitespaces)) } ?? 0
            guard have >= end + length else { continue }
            guard head.hasPrefix("HTTP/1.1 200") else {
                throw StreamError(.runtime, "\(operation) failed: \(head.prefix(12)) \(String(decoding: buffer[end..<(end + length)], as: UTF8.self))")
            }
            return buffer[end..<(end + length)]
        }
    }

    private func headEnd(_ have: Int) -> Int? {
        guard have >= 4 else { return nil }
        for i in 0...(min(have, 4_096) - 4) where buffer[i] == 13 && buffer[i + 1] == 10 && buffer[i + 2] == 13 && buffer[i + 3] == 10 { return i + 4 }
        return nil
    }
}

func cpuSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}

func json(_ value: AWSValue) -> [UInt8] { AWSJSON.write(value) }

/// `count` threads, each with a connection; what they return, and how many seconds they took.
func load<R: Sendable>(_ count: Int, _ host: String, _ port: Int, _ body: @escaping @Sendable (Int, Connection) throws -> R) throws -> ([R], Double) {
    let results = Mutex<[Result<R, any Error>]>([])
    let group = DispatchGroup()
    let start = Clock.monotonicNanoseconds()
    for i in 0..<count {
        group.enter()
        Thread.detachNewThread {
            let result = Result { try body(i, Connection(host: host, port: port)) }
            results.withLock { $0.append(result) }
            group.leave()
        }
    }
    group.wait()
    let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
    return (try results.withLock { try $0.map { try $0.get() } }, seconds)
}

func round(_ value: Double, _ digits: Int = 1) -> String { String(format: "%.\(digits)f", value) }

/// How long the disk takes to make an append of a few bytes durable: what a put cannot be faster than.
func flushTimes(_ directory: String) -> [Double] {
    let path = directory + "/flush"
    let fd = open(path, O_CREAT | O_WRONLY, 0o600)
    defer {
        close(fd)
        unlink(path)
    }
    let bytes = [UInt8](repeating: 1, count: 250)
    return (0..<300).map { _ in
        _ = write(fd, bytes, bytes.count)
        let start = Clock.monotonicNanoseconds()
        fsync(fd)
        return Double(Clock.monotonicNanoseconds() - start) / 1e6
    }.sorted()
}

/// - Parameter directory: on the disk of the endpoint's log; nil when that is not known.
func run(host: String, port: Int, directory: String?) throws {
    let control = try Connection(host: host, port: port)
    let stream = "bench-\(UInt32.random(in: 0 ... .max))"
    _ = try control.send("CreateStream", json(["StreamName": .string(stream), "ShardCount": 4]))
    defer { _ = try? control.send("DeleteStream", json(["StreamName": .string(stream)])) }
    Thread.sleep(forTimeInterval: 0.2)

    // PutRecords of 500 records of 100 bytes.
    let bodies = (0..<8).map { n in
        json(["StreamName": .string(stream), "Records": .list((0..<500).map { i in
            ["Data": .blob((0..<100).map { _ in UInt8.random(in: 32...126) }), "PartitionKey": .string("key-\(n * 500 + i)")]
        })])
    }
    for connections in [1, 4] {
        let rounds = 240 / connections
        let before = cpuSeconds()
        let (_, seconds) = try load(connections, host, port) { n, connection in
            for i in 0..<rounds { _ = try connection.send("PutRecords", bodies[(n + i) % bodies.count]) }
        }
        let records = Double(connections * rounds * 500)
        print("PutRecords, 500 x 100 bytes, \(connections) connection\(connections > 1 ? "s" : ""): \(Int(records / seconds)) records/s, "
            + "\(round((cpuSeconds() - before) / records * 1e6, 2)) µs of CPU a record with the load generator")
    }

    // Single records: each answer waits for the disk.
    for connections in [1, 16] {
        let rounds = connections == 1 ? 1_000 : 200
        let (times, seconds) = try load(connections, host, port) { n, connection -> [Double] in
            let body = json(["StreamName": .string(stream), "Data": .blob([UInt8](repeating: 65, count: 100)), "PartitionKey": .string("single-\(n)")])
            return try (0..<rounds).map { _ in
                let start = Clock.monotonicNanoseconds()
                _ = try connection.send("PutRecord", body)
                return Double(Clock.monotonicNanoseconds() - start) / 1e6
            }
        }
        let sorted = times.flatMap { $0 }.sorted()
        func percentile(_ p: Double) -> String { round(sorted[min(sorted.count - 1, Int(Double(sorted.count) * p))], 2) }
        let flushes = directory.map { flushTimes($0) }
        // A file system in memory has nothing to compare with.
        let floor = flushes.flatMap { all in
            all[297] < 0.05 ? nil : "; of the disk's own flushes p50 \(round(all[150], 2)), p99 \(round(all[297], 2)): \(round(sorted[sorted.count * 99 / 100] / all[297], 2)) times as long at p99"
        }
        print("PutRecord, 100 bytes, \(connections) connection\(connections > 1 ? "s" : ""): \(Int(Double(sorted.count) / seconds)) records/s; "
            + "ms p50 \(percentile(0.5)), p90 \(percentile(0.9)), p99 \(percentile(0.99)), max \(percentile(1))" + (floor ?? ""))
    }

    // All of it back, shard by shard.
    let before = cpuSeconds()
    var count = 0, bytes = 0
    let start = Clock.monotonicNanoseconds()
    for shard in 0..<4 {
        let id = "shardId-00000000000\(shard)"
        let answer = try AWSJSON.parse(Array(control.send("GetShardIterator", json(
            ["StreamName": .string(stream), "ShardId": .string(id), "ShardIteratorType": "TRIM_HORIZON"]))))
        var iterator = answer["ShardIterator"]?.string
        while let position = iterator {
            let page = try control.send("GetRecords", json(["ShardIterator": .string(position)]))
            bytes += page.count
            let (records, next, behind) = scan(page)
            count += records
            iterator = behind == 0 ? nil : next
        }
    }
    let seconds = Double(Clock.monotonicNanoseconds() - start) / 1e9
    print("GetRecords, 1 connection: \(Int(Double(count) / seconds)) records/s, \(round(Double(bytes) / seconds / 1e6)) MB/s of JSON, "
        + "\(round((cpuSeconds() - before) / Double(count) * 1e6, 2)) µs of CPU a record; \(count) records came back")
}

/// Records, next iterator and lag of a GetRecords answer, without reading the records.
func scan(_ page: ArraySlice<UInt8>) -> (Int, String?, Int) {
    let marker = Array("\"SequenceNumber\":".utf8)
    var count = 0
    page.withUnsafeBytes { bytes in
        // Its capital S is rarer than a quotation mark.
        var at = 1
        while at < bytes.count, let found = memchr(bytes.baseAddress! + at, Int32(UInt8(ascii: "S")), bytes.count - at) {
            let start = UnsafeRawPointer(found) - 1
            at = start - bytes.baseAddress! + 2
            if start + marker.count <= bytes.baseAddress! + bytes.count, memcmp(start, marker, marker.count) == 0 { count += 1 }
        }
    }
    let tail = String(decoding: page.suffix(700), as: UTF8.self)
    func value(_ name: String) -> Substring? {
        guard let range = tail.range(of: "\"\(name)\":") else { return nil }
        return tail[range.upperBound...].prefix { $0 != "," && $0 != "}" }
    }
    return (count, value("NextShardIterator").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "\"")) }, value("MillisBehindLatest").flatMap { Int($0) } ?? 0)
}

if CommandLine.arguments.count > 1 {
    let parts = CommandLine.arguments[1].split(separator: ":")
    guard parts.count == 2, let port = Int(parts[1]) else {
        print("usage: bench-aws [address:port]")
        exit(2)
    }
    try run(host: String(parts[0]), port: port, directory: nil)
} else {
    let directory = NSTemporaryDirectory() + "swiftwater-bench-aws-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let endpoint = try AWSEndpoint(services: [KinesisService(log: ShardLog(directory: directory))])
    try run(host: "127.0.0.1", port: endpoint.port, directory: directory)
    endpoint.stop()
}
