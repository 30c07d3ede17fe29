import Foundation
import ShardLog
import StreamCore
import TestScripts
import Testing
import Topology

@testable import FirehoseService

@Suite("Delivery streams, as boto3 uses them")
struct DeliveryTests {
    @Test("records become files with the service's names", arguments: ["delivers", "burst", "trickle", "compressed", "partitioned", "manages", "encrypts"])
    func scenario(name: String) throws { try withServer { try $0.python(name) } }

    @Test("documents and requests go to other services, and what these refuse to the backup", arguments: ["opensearch", "http"])
    func services(name: String) throws {
        let service = try BackgroundScript("aws/opensearch_server.py")
        defer { service.end() }
        try withServer { try $0.python(name, [service.firstLine]) }
    }

    @Test("requests made of the service's model get an answer that it knows")
    func model() throws {
        try withServer { server in
            let result = try PythonScript.run("aws/model_requests.py", ["http://127.0.0.1:\(server.endpoint.port)", "firehose"], seconds: 240)
            #expect(result.status == 0, "\(result.output.suffix(6_000))\n\(result.errors.suffix(2_000))")
        }
    }

    @Test("a delivery stream of a Kinesis stream begins with what comes after its creation")
    func kinesisSource() throws {
        try withServer { server in
            try server.log.createStream("numbers", shards: 3)
            let writer = try server.log.writer("numbers")
            try writer.append([Record(partitionKey: "a", data: Array("old\n".utf8))])
            // Its place is a time in milliseconds.
            Thread.sleep(forTimeInterval: 0.01)
            let script = try BackgroundScript("aws/firehose_delivery.py", ["\(server.endpoint.port)", server.data, "kinesis_source"])
            defer { script.end() }
            #expect(script.firstLine == "created")
            try writer.append([Record(partitionKey: "b", data: Array("new\n".utf8))])
            try wait { server.files("lake").values.reduce(Data(), +) == Data("new\n".utf8) && !server.files("all").isEmpty }
        }
    }

    @Test("change records of a DynamoDB table become flat records below the day")
    func changeRecords() throws {
        try withServer { server in
            try server.log.createStream("table-changes", shards: 10)
            let topology = try Topology.parse(
                yaml: """
                    name: changes
                    delivery-streams:
                      changes:
                        source: {stream: table-changes}
                        transform: {flatten: dynamodb}
                        buffer: {size: 1 MiB, interval: 1 s}
                        to:
                          files: \(server.data)/buckets/changes
                          prefix: items/!{timestamp:yyyy/MM/dd}/
                          error-prefix: failed/!{firehose:error-output-type}/
                    """, file: nil, variables: [:])
            try server.runner.define(topology.deliveryStreams)
            let writer = try server.log.writer("table-changes")
            func change(_ event: String, _ images: String) -> Record {
                Record(
                    partitionKey: "864732",
                    data: Array(
                        """
                        {"awsRegion":"us-east-1","eventID":"e","eventName":"\(event)","userIdentity":null,"recordFormat":"application/json","tableName":"blog-srsa-ddb-table",\
                        "dynamodb":{"ApproximateCreationDateTime":1700000000000,"Keys":{"id":{"S":"864732"}},\(images),"SizeBytes":60},"eventSource":"aws:dynamodb"}
                        """.utf8))
            }
            func item(_ role: String) -> String { #"{"id":{"S":"864732"},"name":{"S":"Adam"},"Designation":{"S":"\#(role)"}}"# }
            try writer.append([
                change("INSERT", #""NewImage":\#(item("Architect"))"#),
                change("MODIFY", #""NewImage":\#(item("Senior Architect")),"OldImage":\#(item("Architect"))"#),
                change("REMOVE", #""OldImage":\#(item("Senior Architect"))"#),
                Record(partitionKey: "864732", data: Array(#"{"no":"change"}"#.utf8)),
            ])
            try server.python("flattens")
        }
    }

    @Test("items of every type become what boto3 reads them as")
    func types() throws {
        try withServer { server in
            let topology = try Topology.parse(
                yaml: """
                    delivery-streams:
                      typed:
                        transform: {flatten: dynamodb, deleted: deliver}
                        buffer: {size: 1 MiB, interval: 1 s}
                        to: {files: \(server.data)/buckets/typed, prefix: good/, error-prefix: bad/}
                    """, file: nil, variables: [:])
            try server.runner.define(topology.deliveryStreams)
            try server.python("typed")
        }
    }

    @Test("a stream that fails says why, and goes on once it can")
    func recovers() throws {
        try withServer { server in
            let script = try BackgroundScript("aws/firehose_delivery.py", ["\(server.endpoint.port)", server.data, "recovers"])
            defer { script.end() }
            #expect(script.firstLine == "failed")
            try server.log.createStream("later", shards: 2)
            try server.log.writer("later").append([Record(partitionKey: "a", data: Array("at last\n".utf8))])
            try wait { server.files("lake").values.reduce(Data(), +) == Data("at last\n".utf8) && server.runner.failure("early") == nil }
        }
    }

    @Test("every record is delivered once, whenever the process ends", arguments: [UInt64.random(in: 0...UInt64.max)])
    func crashes(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        try withServer { server in
            let log = server.log
            for (name, compression) in [("a", "none"), ("b", "gzip")] {
                var files = DeliveryStream.Files(directory: server.data + "/buckets/\(name)")
                (files.bufferBytes, files.bufferInterval, files.compression) = (700, 1_500, compression)
                try server.runner.define([DeliveryStream(name: name, source: .directPut, destination: .files(files))])
            }
            let put = DirectPut(log: log)
            var sent = 0
            for _ in 0..<6 {
                for _ in 0..<Int.random(in: 1...4, using: &random) {
                    let count = Int.random(in: 1...60, using: &random)
                    let records = (sent..<sent + count).map { Array("\($0)".utf8) }
                    for name in ["a", "b"] { _ = try put.append(records, to: name) }
                    sent += count
                    Thread.sleep(forTimeInterval: Double.random(in: 0...0.4, using: &random))
                }
                try server.crash()
                for name in ["a", "b"] {
                    let stored = try StoredStream.read(from: "\(server.data)/firehose/\(name)")
                    try server.runner.define([stored.definition])
                }
            }
            put.close()
            func delivered(_ name: String) throws -> [[String]] {
                try server.files(name).map { path, bytes in
                    let text = path.hasSuffix(".gz") ? try gunzip(server.data + "/buckets/\(name)/" + path) : String(decoding: bytes, as: UTF8.self)
                    return text.split(separator: "\n").map(String.init)
                }
            }
            for name in ["a", "b"] { try wait { (try? delivered(name).joined().count) ?? 0 >= sent } }
            server.runner.stop()
            for name in ["a", "b"] {
                var lines: [String] = []
                for rows in try delivered(name) {
                    #expect(rows == rows.sorted { Int($0)! < Int($1)! })
                    lines += rows
                }
                #expect(lines.count == sent && Set(lines) == Set((0..<sent).map(String.init)), "seed \(seed): stream \(name) delivered \(lines.count) of \(sent), \(Set(lines).count) different")
                let aside = try FileManager.default.contentsOfDirectory(atPath: server.data + "/buckets/\(name)").filter { $0.hasPrefix(".delivery-") }
                for folder in aside { #expect(try FileManager.default.contentsOfDirectory(atPath: server.data + "/buckets/\(name)/\(folder)") == []) }
            }
            #expect(server.failures == [])
        }
    }

    private func gunzip(_ path: String) throws -> String {
        let result = try PythonScript.run(nil, ["-c", "import gzip, sys; sys.stdout.write(gzip.open(sys.argv[1], 'rt').read())", path])
        return result.output
    }

    private func wait(_ condition: () -> Bool) throws {
        let end = Date() + 20
        while !condition() {
            guard Date() < end else { throw PythonScript.Failure("not within 20 s") }
            Thread.sleep(forTimeInterval: 0.05)
        }
    }
}

/// Repeatable random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
