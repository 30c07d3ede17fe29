import FileConnectors
import Foundation
import ShardLog
import StreamCore
import StreamRuntime
import StreamSQL
import TestScripts
import Testing
import Topology

@testable import FirehoseService

@Suite("Delivery streams of topology files")
struct TopologyDeliveryTests {
    @Test("the topology file that comes along delivers change records without a service")
    func deliversByItself() throws {
        let data = NSTemporaryDirectory() + "delivery-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: data) }
        let log = try ShardLog(directory: data)
        try log.createStream("changes", shards: 10)
        let writer = try log.writer("changes")
        try writer.append(["Architect", "Senior Architect"].map { role in
            Record(partitionKey: "864732", data: Array(
                #"{"eventName":"MODIFY","dynamodb":{"NewImage":{"id":{"S":"864732"},"name":{"S":"Adam"},"Designation":{"S":"\#(role)"}}}}"#.utf8))
        })
        let topology = try Topology.load(
            path: PythonScript.root.appending(path: "Topologies/delivery.yaml").path,
            variables: ["SWIFTWATER_DATA": data, "INPUT": "changes", "BUFFER_INTERVAL": "1 s"])
        #expect(topology.deliveryStreams.map(\.name) == ["blog-srsa-ddb-table-delivery-stream"])
        setenv("SWIFTWATER_DATA", data, 1)
        let session = FirehoseServer.session()
        var graph: JobGraph?
        for statement in topology.statements { if case .insert(let planned) = try session.execute(statement) { graph = planned } }
        let runner = try JobRunner(try #require(graph))
        let thread = Thread { _ = try? runner.run() }
        thread.stackSize = 8 << 20
        thread.start()
        defer { runner.stop() }
        let end = Date() + 20
        var found: [URL] = []
        while found.isEmpty, Date() < end {
            Thread.sleep(forTimeInterval: 0.05)
            let walker = FileManager.default.enumerator(at: URL(filePath: data + "/buckets/data-lake/items"), includingPropertiesForKeys: [.isRegularFileKey], options: .skipsHiddenFiles)
            // A folder that is just being made does not look like one by its URL.
            found = (walker?.allObjects as? [URL] ?? []).filter { (try? $0.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile) == true }
        }
        let lines = try found.flatMap { try String(contentsOf: $0, encoding: .utf8).split(separator: "\n") }
        #expect(lines == [
            #"{"id":"864732","name":"Adam","Designation":"Architect"}"#, #"{"id":"864732","name":"Adam","Designation":"Senior Architect"}"#,
        ])
    }

    private func parse(_ streams: String) throws -> Topology {
        try Topology.parse(yaml: "delivery-streams:\n" + streams.split(separator: "\n").map { "  \($0)\n" }.joined(), file: "d.yaml", variables: [:])
    }

    @Test("a SELECT chooses, names, drops and fails records", arguments: [
        ("SELECT UPPER(data) AS data FROM record WHERE data <> 'b'", #"["A","C","NULL"]"#, "[]"),
        ("SELECT CHAR_LENGTH(data) AS n, data AS `from text` FROM record AS r -- all of them", ##"["{\"from text\":\"a\",\"n\":1}","{\"from text\":\"b\",\"n\":1}","{\"from text\":\"c\",\"n\":1}","{\"from text\":\"null\",\"n\":4}"]"##, "[]"),
        ("SELECT NULLIF(data, 'null') AS data FROM record", #"["a","b","c"]"#, #"["null"]"#),
    ])
    func transforms(query: String, delivered: String, failed: String) throws {
        try withServer { server in
            let topology = try parse("""
                t:
                  transform: |
                    \(query)
                  buffer: {size: 1 MiB, interval: 1 s}
                  to: {files: \(server.data)/buckets/t, prefix: good/, error-prefix: bad/}
                """)
            try server.runner.define(topology.deliveryStreams)
            let put = DirectPut(log: server.log)
            _ = try put.append(["a", "b", "c", "null"].map { Array($0.utf8) }, to: "t")
            put.close()
            func lines(_ folder: String) -> [String] {
                server.files("t").filter { $0.key.hasPrefix(folder) }.flatMap { String(decoding: $0.value, as: UTF8.self).split(separator: "\n").map(String.init) }
            }
            let wanted = try #require(try JSONSerialization.jsonObject(with: Data(delivered.utf8)) as? [String])
            let wantedFailed = try #require(try JSONSerialization.jsonObject(with: Data(failed.utf8)) as? [String])
            let end = Date() + 20
            while lines("good/").count < wanted.count || lines("bad/processing-failed/").count < wantedFailed.count {
                guard Date() < end else { break }
                Thread.sleep(forTimeInterval: 0.05)
            }
            #expect(lines("good/") == wanted, "\(server.failures)")
            let raw = try lines("bad/processing-failed/").map { line in
                let record = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                return String(decoding: try #require(Data(base64Encoded: record["rawData"] as? String ?? "")), as: UTF8.self)
            }
            #expect(raw == wantedFailed)
        }
    }

    @Test("a changed definition goes on where the one before was")
    func redefined() throws {
        try withServer { server in
            let put = DirectPut(log: server.log)
            var wanted: [String] = []
            let lines = {
                server.files("t").sorted { $0.key < $1.key }.flatMap { String(decoding: $0.value, as: UTF8.self).split(separator: "\n").map(String.init) }
            }
            for (i, transform) in ["", "transform: SELECT UPPER(data) AS data FROM record", "transform: {flatten: dynamodb}", "transform: SELECT data AS d, `arrival` IS NULL AS n FROM record"].enumerated() {
                try server.runner.define(
                    parse("""
                        t:
                          \(transform)
                          buffer: {size: 1 MiB, interval: \(i == 1 ? "1 h" : "1 s")}
                          to: {files: \(server.data)/buckets/t, prefix: p\(i)/, compression: none}
                        """).deliveryStreams)
                _ = try put.append([Array(#"{"a":{"S":"\#(i)"}}"#.utf8)], to: "t")
                wanted.append([#"{"a":{"S":"0"}}"#, #"{"A":{"S":"1"}}"#, #"{"a":"2"}"#, #"{"d":"{\"a\":{\"S\":\"3\"}}","n":false}"#][i])
                // Of the second, the change itself ends the file; it must have been read by then, which nothing shows.
                let end = Date() + 20
                while i != 1, lines().count < wanted.count, Date() < end { Thread.sleep(forTimeInterval: 0.05) }
                if i == 1 {
                    while !(try FileManager.default.subpathsOfDirectory(atPath: server.data + "/buckets/t")).contains(where: { $0.hasPrefix(".delivery-") && $0.contains("part-") }), Date() < end {
                        Thread.sleep(forTimeInterval: 0.05)
                    }
                }
            }
            put.close()
            #expect(lines() == wanted, "\(server.failures)")
            #expect(try StoredStream.read(from: server.data + "/firehose/t").definition.version == 4)
        }
    }

    @Test("columns of a format, and other tables, are delivered as objects of JSON")
    func columns() throws {
        try withServer { server in
            let topology = try Topology.parse(
                yaml: """
                    tables:
                      numbers:
                        columns: {n: INT}
                        with: {connector: datagen, number-of-rows: 3, fields.n.kind: sequence, fields.n.start: 1, fields.n.end: 3}
                    delivery-streams:
                      parsed:
                        record: {format: json, columns: {id: INT, city: STRING}}
                        transform: SELECT id, UPPER(city) AS city FROM record WHERE id > 1
                        buffer: {size: 1 MiB, interval: 1 s}
                        to: {files: \(server.data)/buckets/parsed, error-prefix: bad/}
                      counted:
                        source: {table: numbers}
                        transform: SELECT n, n * n AS square FROM record
                        to: {files: \(server.data)/buckets/counted}
                    """, file: nil, variables: [:])
            try server.runner.define(topology.deliveryStreams)
            let put = DirectPut(log: server.log)
            _ = try put.append([#"{"id":1,"city":"Oslo"}"#, #"{"id":2,"city":"Rome"}"#, "broken"].map { Array($0.utf8) }, to: "parsed")
            put.close()
            func lines(_ bucket: String, _ bad: Bool = false) -> [String] {
                server.files(bucket).filter { $0.key.hasPrefix("bad/") == bad }.flatMap { String(decoding: $0.value, as: UTF8.self).split(separator: "\n").map(String.init) }
            }
            let end = Date() + 20
            while lines("parsed").isEmpty || lines("parsed", true).isEmpty || lines("counted").isEmpty, Date() < end { Thread.sleep(forTimeInterval: 0.05) }
            #expect(lines("parsed") == [#"{"city":"ROME","id":2}"#], "\(server.failures)")
            #expect(lines("parsed", true).count == 1 && lines("parsed", true).first?.contains(Data("broken".utf8).base64EncodedString()) == true)
            #expect(lines("counted").sorted() == (1...3).map { "{\"n\":\($0),\"square\":\($0 * $0)}" }, "\(server.failures)")
        }
    }

    @Test("an index and an endpoint can be the destination, with a directory for what they refuse", arguments: [
        ("opensearch: {hosts: 'http://localhost:9200', index: logs}", "'sink.backup.path' = 'x/bad/AmazonOpenSearchService-failed'"),
        ("http: {url: 'http://localhost:8080/in', request-format: firehose, access-key: k}", "'sink.backup.path' = 'x/bad/http-endpoint-failed'"),
    ])
    func services(to: String, backup: String) throws {
        let topology = try parse("t: {buffer: {size: 2 MiB, interval: 1 minute}, to: {\(to), files: x, error-prefix: bad/}, backup: {files: all}}")
        let script = topology.script
        #expect(script.contains(backup) && script.contains("'sink.bulk-flush.max-size' = '2097152 b'"), "\(script)")
        let session = FirehoseServer.session()
        var graphs = 0
        for statement in topology.statements { if case .insert = try session.execute(statement) { graphs += 1 } }
        #expect(graphs == 1)
    }

    @Test("mistakes are told with their place", arguments: [
        ("t: {}", "delivery stream t does not say where its records go"),
        ("t: {to: {files: x}, transform: SELECT * FROM record}", "selects *"),
        ("t: {to: {files: x}, transform: SELECT data || '' FROM record}", "does not name all that it selects"),
        ("t: {to: {files: x}, transform: SELECT 1 AS a FROM other}", "does not read record"),
        ("t: {to: {files: x}, transform: SELECT data FROM record, partition-by: k}", "selects no partition key k"),
        ("t: {to: {files: x, compression: zip}}", "compression: zip is not available here"),
        ("t: {to: {files: x}, buffer: {size: much}}", "size: much is not a size"),
        ("t: {to: {files: x}, source: {table: t2}}", "neither a table nor a view"),
        ("t: {to: {opensearch: {hosts: a, index: b}}}", "where failed records go"),
        ("t: {to: {files: x}, source: queue}", "\"queue\" is not known"),
    ])
    func mistakes(stream: String, problem: String) throws {
        let error = #expect(throws: StreamError.self) { try parse(stream) }
        #expect(error?.problem.contains(problem) == true && error?.location?.line != nil, "\(String(describing: error))")
    }
}
