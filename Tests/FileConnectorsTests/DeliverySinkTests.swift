import CZlib
import FileConnectors
import Foundation
import StreamCore
import StreamTesting
import Testing

@Suite("filesystem sink as a delivery stream") struct DeliverySinkTests {
    static let schema: Schema = [Field("id", .bigint), Field("day", .string), Field("text", .string)]

    private func table(_ directory: TemporaryDirectory, _ options: [String: String], partitioned: Bool = false, schema: Schema = schema) -> TableDescriptor {
        var own = ["connector": "filesystem", "path": directory.path + "/out", "format": "json", "sink.delivery.stream": "orders"]
        if partitioned { own["sink.delivery.prefix"] = "day=!{partitionKeyFromQuery:day}/part-" }
        return TableDescriptor(name: "t", schema: schema, partitionKeys: partitioned ? ["day"] : [], options: options.merging(own) { a, _ in a })
    }

    private func sink(_ directory: TemporaryDirectory, _ host: StreamCore.Host = .system, _ options: [String: String], partitioned: Bool = false) throws -> any TableSink {
        try FilesystemConnector(host: host).sink(for: table(directory, options, partitioned: partitioned), timeZone: "UTC")
    }

    private static func rows(_ ids: Range<Int64>) -> [[Value]] { ids.map { [.int($0), .string("2024-01-0\(1 + $0 % 3)"), .string("text \($0 % 10)")] } }

    /// What is seen of each file: its path, and its text.
    private func seen(_ directory: TemporaryDirectory) throws -> [(path: String, text: String)] {
        try directory.files().filter { !$0.contains("/.") }.map { path in
            let bytes = try Data(contentsOf: URL(fileURLWithPath: directory.path + "/" + path))
            return (path, String(decoding: path.hasSuffix(".gz") ? try Self.unpacked(Array(bytes)) : Array(bytes), as: UTF8.self))
        }
    }

    private func ids(_ directory: TemporaryDirectory) throws -> [Int64] {
        try seen(directory).flatMap { file in
            try file.text.split(separator: "\n").map { line in
                let row = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                return try #require(row["id"] as? Int64)
            }
        }
    }

    private static func unpacked(_ bytes: [UInt8]) throws -> [UInt8] {
        var bytes = bytes, out = [UInt8](repeating: 0, count: 1 << 20), stream = z_stream()
        try #require(inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK)
        defer { inflateEnd(&stream) }
        let (input, room) = (UInt32(bytes.count), UInt32(out.count))
        let code = bytes.withUnsafeMutableBufferPointer { from in
            out.withUnsafeMutableBufferPointer { to in
                (stream.next_in, stream.avail_in) = (from.baseAddress, input)
                (stream.next_out, stream.avail_out) = (to.baseAddress, room)
                return inflate(&stream, Z_FINISH)
            }
        }
        try #require(code == Z_STREAM_END && stream.avail_in == 0)
        return Array(out[..<Int(room - stream.avail_out)])
    }

    @Test("a death at any call that changes the disk leaves each row once, and nothing else", arguments: ["none", "gzip"], [true, false])
    func everyDeath(compression: String, partitioned: Bool) throws {
        let options = ["sink.delivery.compression": compression, "sink.delivery.buffer-size": "150 b", "sink.delivery.buffer-interval": "10 min"]
        let steps: [SinkStep] = [
            .write(subtask: 0, rows: Self.rows(0..<5)), .checkpoint, .write(subtask: 0, rows: Self.rows(5..<9)), .wait(milliseconds: 700_000), .checkpoint,
            .write(subtask: 0, rows: Self.rows(9..<10)), .abortedCheckpoint, .write(subtask: 0, rows: Self.rows(10..<14)), .checkpointWithoutCommit,
            .restart(parallelism: 1), .write(subtask: 0, rows: Self.rows(14..<15)), .checkpoint, .write(subtask: 0, rows: Self.rows(15..<22)), .checkpointWithoutCommit,
            .fail, .write(subtask: 0, rows: Self.rows(22..<24)), .wait(milliseconds: 700_000), .checkpoint, .write(subtask: 0, rows: Self.rows(24..<25)), .finish,
        ]
        func run(_ call: Int?, _ disk: SimulatedDisk?) throws -> Int {
            let note = "\(disk == nil ? "dying" : "power cut") at \(call ?? -1)"
            let directory = disk.map { TemporaryDirectory(at: $0.root) } ?? TemporaryDirectory()
            var history = SinkHistory(steps: steps, schema: Self.schema, parallelism: 1) { try sink(directory, $0, options, partitioned: partitioned) }
            history.disk = disk
            history.seed = UInt64(call ?? 0)
            history.check = { rows in
                let seen = try ids(directory), all = rows.map { row -> Int64 in if case .int(let id) = row[0] { id } else { -1 } }
                #expect(Set(seen).count == seen.count && Set(seen).isSubset(of: all), "\(note)")
                if rows.count == 25 { #expect(seen.sorted() == all.sorted(), "\(note)") }
            }
            let calls = try history.run(dyingAt: call)
            let hidden = directory.files().filter { $0.contains("/.") }
            #expect(hidden.isEmpty, "\(note): \(hidden)")
            return calls
        }
        let calls = try run(nil, nil)
        #expect(calls > 60, "\(calls)")
        for call in SinkHistory.deaths(of: calls) {
            _ = try run(call, nil)
            _ = try run(call + 1, SimulatedDisk(seed: UInt64(call)))
        }
    }

    @Test("a file ends with the row that fills it, or when it is old enough; it is named after its oldest row")
    func limits() throws {
        let directory = TemporaryDirectory(), machine = DyingHost()
        let options = ["sink.delivery.buffer-size": "45 b", "sink.delivery.buffer-interval": "2 min", "sink.delivery.time-zone": "Asia/Tokyo", "sink.delivery.version": "7",
                       "sink.delivery.prefix": "in/!{timestamp:yyyy-MM-dd'T'HH}/", "sink.delivery.file-extension": ".json"]
        var descriptor = table(directory, options, schema: [Field("id", .bigint)])
        descriptor.metadata = [.init(name: "at", key: "arrival-timestamp", type: .timestampLTZ(3))]
        let connector = FilesystemConnector(host: machine.host)
        #expect(connector.writableMetadataKeys(for: descriptor) == ["arrival-timestamp"])
        let sink = try connector.sink(for: descriptor, timeZone: "UTC")
        #expect(sink.maxParallelism == 1 && sink.commitsOnTime && sink.commitInterval == .seconds(1))
        let committer = try #require(try sink.committer(SinkContext(isRecoverable: true))), writer = try sink.writer(SinkContext(isRecoverable: true))
        // 9 bytes in a line: 5 lines fill a file.
        let time: Int64 = 1_704_067_200_000
        try writer.write(Batch(schema: [Field("id", .bigint), Field("at", .timestampLTZ(3))], rows: (10..<22).map { [.int($0), .int(time + $0 * 1_000)] }))
        try committer.commit(1, try writer.prepareCommit(1))
        func contents() throws -> [String] { try seen(directory).map { $0.text.replacing("{\"id\":", with: "").replacing("}\n", with: " ") }.sorted() }
        #expect(try contents() == ["10 11 12 13 14 ", "15 16 17 18 19 "])
        for (path, text) in try seen(directory) {
            let second = text.contains("10") ? "10" : "15"
            #expect(path.hasPrefix("out/in/2024-01-01T09/orders-7-2024-01-01-09-00-\(second)-") && path.hasSuffix(".json"), "\(path)")
        }
        machine.advance(milliseconds: 119_000)
        try committer.commit(2, try writer.prepareCommit(2))
        #expect(try contents().count == 2)
        machine.advance(milliseconds: 1_500)
        try committer.commit(3, try writer.prepareCommit(3))
        #expect(try contents() == ["10 11 12 13 14 ", "15 16 17 18 19 ", "20 21 "])
        try committer.commit(4, try writer.prepareCommit(4))
        #expect(directory.files().count == 3)
    }

    @Test("prefixes are completed as the service does, and lead nowhere else", arguments: [
        ("", "2024/01/01/00/"), ("in/", "in/2024/01/01/00/"), ("in", "in2024/01/01/00/"), ("!{timestamp:yyyy}/x", "2024/x"),
        ("/a//b/", "a/b/2024/01/01/00/"), ("../../!{timestamp:dd}/./", "%2E%2E/%2E%2E/01/%2E/"),
    ])
    func prefixes(prefix: String, path: String) throws {
        let directory = TemporaryDirectory(), machine = DyingHost()
        var descriptor = table(directory, ["sink.delivery.prefix": prefix], schema: [Field("id", .bigint)])
        descriptor.metadata = [.init(name: "at", key: "arrival-timestamp", type: .timestampLTZ(3))]
        let sink = try FilesystemConnector(host: machine.host).sink(for: descriptor, timeZone: "UTC"), writer = try sink.writer(SinkContext())
        try writer.write(Batch(schema: [Field("id", .bigint), Field("at", .timestampLTZ(3))], rows: [[.int(1), .int(1_704_067_200_000)]]))
        try writer.finish()
        try #require(try sink.committer(SinkContext())).commit(1, try writer.prepareCommit(1))
        #expect(directory.files().map { String($0.prefix { _ in true }.split(separator: "orders-1-")[0]) } == ["out/" + path])
    }

    @Test("wrong options say what to write", arguments: [
        (["sink.delivery.compression": "zip"], "use 'none' or 'gzip'"), (["sink.delivery.prefix": "!{timestamp:yyyy"], "is not ended"),
        (["sink.delivery.prefix": "!{timestamp:q}"], "no letter of a time pattern"), (["sink.delivery.prefix": "!{x:y}"], "of no namespace"),
        (["sink.delivery.prefix": "!{partitionKeyFromQuery:k}/"], "PARTITIONED BY (k)"), (["sink.delivery.prefix": "!{firehose:error-output-type}/"], "only failed records have"),
        (["sink.delivery.time-zone": "Mars"], "is not a time zone"), (["sink.rolling-policy.file-size": "1 mb"], "use 'sink.delivery.buffer-size'"),
        (["sink.delivery.stream": "a/b"], "cannot begin the names of files"), (["sink.delivery.error-type": "failed"], "is not one of a table of failed records"),
        (["sink.delivery.file-extension": "json"], "'.json'"), (["sink.delivery.buffer-size": "0 b"], "is not positive"),
    ])
    func mistakes(options: [String: String], message: String) throws {
        let directory = TemporaryDirectory()
        let error = #expect(throws: StreamError.self) { try FilesystemConnector().validate(table(directory, [:]).with(options)) }
        #expect("\(try #require(error))".contains(message), "\(String(describing: error))")
    }
}

extension TableDescriptor {
    fileprivate func with(_ options: [String: String]) -> TableDescriptor {
        var copy = self
        copy.options.merge(options) { $1 }
        return copy
    }
}
