import Foundation
import KinesisConnector
import ShardLog
import StreamCore
import Testing

@Suite("kinesis") struct KinesisConnectorTests {
    final class Data_: Sendable {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("kinesis-\(UUID().uuidString)").path
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    static let schema: Schema = [Field("id", .bigint), Field("name", .string)]

    private func table(_ data: Data_, _ options: [String: String] = [:], schema: Schema = schema, partitionKeys: [String] = [],
                       metadata: [TableDescriptor.MetadataColumn] = []) -> TableDescriptor {
        TableDescriptor(name: "t", schema: schema, metadata: metadata, partitionKeys: partitionKeys,
                        options: options.merging(["connector": "kinesis", "stream": "s", "format": "json", "log.directory": data.path,
                                                  "scan.stream.initpos": "TRIM_HORIZON", "scan.bounded.mode": "latest-offset"]) { a, _ in a })
    }

    private func log(_ data: Data_, shards: Int = 1) throws -> ShardLog {
        let log = try ShardLog(directory: data.path)
        try log.createStream("s", shards: shards)
        return log
    }

    private func put(_ log: ShardLog, _ ids: Range<Int>) throws {
        try log.writer("s").append(ids.map { Record(partitionKey: "k\($0)", data: Array(#"{"id": \#($0), "name": "n\#($0)"}"#.utf8)) })
    }

    private func source(_ table: TableDescriptor, projection: [Int] = [0, 1], metadata: [Int] = []) throws -> any TableSource {
        try KinesisConnector().validate(table)
        return try KinesisConnector().source(for: table, scan: ScanRequest(projection: projection, metadata: metadata))
    }

    private func rows(_ reader: any SplitReader, maxRows: Int = 8_192, stopsWaiting: Bool = false) throws -> [[Value]] {
        var all: [[Value]] = []
        let deadline = Date().addingTimeInterval(60)
        while Date() < deadline {
            switch try reader.next(maxRows: maxRows) {
            case .batch(let batch): all += batch.rows()
            case .waiting: if stopsWaiting { return all }
            case .endOfSplit: return all
            }
        }
        return all
    }

    private func rows(_ source: any TableSource, maxRows: Int = 8_192, metrics: OperatorMetrics = OperatorMetrics()) throws -> [[Value]] {
        try source.splits().flatMap { try rows(try source.reader(for: $0, metrics: metrics), maxRows: maxRows) }
    }

    @Test("a bounded read gives what each shard held at the start, once, in order", arguments: [1, 3, 8_192])
    func bounded(maxRows: Int) throws {
        let data = Data_()
        let log = try log(data, shards: 3)
        for i in 0..<20 { try put(log, i * 10..<i * 10 + 10) }
        let source = try source(table(data), projection: [1, 0])
        #expect(source.isBounded)
        let splits = try source.splits()
        #expect(splits.map(\.id) == ["shardId-000000000000", "shardId-000000000001", "shardId-000000000002"])
        try put(log, 1_000..<1_050)
        let metrics = OperatorMetrics()
        let shards = try splits.map { try rows(try source.reader(for: $0, metrics: metrics), maxRows: maxRows) }
        for shard in shards {
            let ids = shard.compactMap { if case .int(let id) = $0[1] { id } else { nil } }
            #expect(ids == ids.sorted())
        }
        #expect(Set(shards.joined()) == Set((0..<200).map { [.string("n\($0)"), .int(Int64($0))] }) && shards.joined().count == 200)
        #expect(metrics.lag.get() == 0)
    }

    @Test("the start is the oldest record, the newest, or a time; a position resumes after the last row")
    func positions() throws {
        let data = Data_()
        let log = try log(data)
        try put(log, 0..<5)
        let old = Clock.milliseconds()
        // Two milliseconds, as formatting a Date may cut one off.
        while Clock.milliseconds() <= old + 1 {}
        let time = Clock.milliseconds()
        try put(log, 5..<8)

        func ids(_ options: [String: String]) throws -> [Value] { try rows(source(table(data, options))).map { $0[0] } }
        #expect(try ids([:]).count == 8)
        #expect(try ids(["scan.stream.initpos": "LATEST"]) == [])
        let seconds = String(format: "%.3f", Double(time) / 1_000)
        let iso = Date(timeIntervalSince1970: Double(time) / 1_000).formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        for (position, at) in [("scan.stream.initpos", "scan.stream.initpos-timestamp"), ("source.init.position", "source.init.timestamp")] {
            #expect(try ids([position: "AT_TIMESTAMP", at: seconds]) == [.int(5), .int(6), .int(7)])
            #expect(try ids([position: "AT_TIMESTAMP", at: iso]) == [.int(5), .int(6), .int(7)])
        }
        #expect(try ids(["scan.stream.initpos": "AT_TIMESTAMP", "scan.stream.initpos-timestamp": "2020 01 02",
                         "scan.stream.initpos-timestamp-format": "yyyy MM dd"]).count == 8)

        // LATEST is fixed when the splits are asked for, not when reading starts.
        let latest = try source(table(data, ["scan.stream.initpos": "LATEST", "scan.bounded.mode": "unbounded"]))
        let split = try latest.splits()[0]
        try put(log, 8..<10)
        let reader = try latest.reader(for: split, metrics: OperatorMetrics())
        #expect(try rows(reader, stopsWaiting: true).map { $0[0] } == [.int(8), .int(9)])
        try put(log, 10..<20)
        #expect(try rows(reader, maxRows: 4, stopsWaiting: true).count == 10)

        let all = try self.source(table(data))
        let first = try all.reader(for: try all.splits()[0], metrics: OperatorMetrics())
        guard case .batch(let batch) = try first.next(maxRows: 7) else { Issue.record("no rows"); return }
        let resumed = try all.reader(for: SourceSplit(id: try all.splits()[0].id, position: first.position), metrics: OperatorMetrics())
        #expect(try batch.rows() + self.rows(resumed) == (0..<20).map { [.int($0), .string("n\($0)")] })
    }

    @Test("metadata columns follow the others and tell each record's shard, number and time")
    func metadata() throws {
        let data = Data_()
        let log = try log(data)
        let before = Clock.milliseconds()
        try put(log, 0..<3)
        let placed = try log.writer("s").append([Record(partitionKey: "k", data: Array(#"{"id": 3}"#.utf8))])
        let table = table(data, metadata: [
            .init(name: "seq", key: "sequence-number", type: .varchar(128)), .init(name: "shard", key: "shard-id", type: .string),
            .init(name: "at", key: "timestamp", type: .timestampLTZ(3)),
        ])
        let rows = try rows(source(table, projection: [0], metadata: [2, 0, 1]), maxRows: 2)
        #expect(rows.map { $0[0] } == (0..<4).map { .int($0) } && rows.allSatisfy { $0[3] == .string("shardId-000000000000") })
        #expect(rows[3][2] == .string(placed[0].sequence!.description) && Set(rows.map { $0[2] }).count == 4)
        for row in rows {
            guard case .int(let time) = row[1] else { Issue.record("\(row)"); return }
            #expect(time >= before && time <= Clock.milliseconds())
        }
    }

    @Test("a bad record names stream, shard and sequence number; or is counted and skipped")
    func badRecord() throws {
        let data = Data_()
        let log = try log(data)
        try put(log, 0..<2)
        let placed = try log.writer("s").append([Record(partitionKey: "k", data: Array("oops".utf8))])
        try put(log, 3..<5)
        let error = #expect(throws: StreamError.self) { try rows(source(table(data))) }
        #expect(error?.problem.hasPrefix("stream s, shardId-000000000000, record \(placed[0].sequence!)") == true, "\(error?.description ?? "")")
        let metrics = OperatorMetrics()
        let kept = try rows(source(table(data, ["json.ignore-parse-errors": "true"])), metrics: metrics)
        #expect(kept.map { $0[0] } == [.int(0), .int(1), .int(3), .int(4)] && metrics.badRecords.get() == 1)
    }

    @Test("change messages come with their kinds and the metadata of their record", arguments: [1, 2, 8_192])
    func changes(maxRows: Int) throws {
        let data = Data_()
        let log = try log(data)
        let messages = [
            #"{"before":null,"after":{"id":1,"name":"a name of some length"},"op":"c"}"#, "",
            #"{"before":{"id":1,"name":"a name of some length"},"after":{"id":1,"name":null},"op":"u"}"#, #"{"before":null,"after":{"id":1},"op":"d"}"#,
            #"{"before":{"id":1,"name":null},"after":null,"op":"d"}"#,
        ]
        try log.writer("s").append(messages.map { Record(partitionKey: "k", data: Array($0.utf8)) })
        func read(_ options: [String: String]) throws -> (kinds: [RowKind], rows: [[Value]]) {
            let table = table(data, options.merging(["format": "debezium-json"]) { a, _ in a },
                              metadata: [.init(name: "number", key: "sequence-number", type: .string)])
            let source = try source(table, projection: [1, 0], metadata: [0])
            #expect(source.changelogMode == .all)
            let reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics())
            var kinds: [RowKind] = [], rows: [[Value]] = []
            while case .batch(let batch) = try reader.next(maxRows: maxRows) {
                kinds += (0..<batch.count).map { batch.kind(atPhysical: $0) }
                rows += batch.rows()
            }
            return (kinds, rows)
        }
        let error = #expect(throws: StreamError.self) { try read([:]) }
        #expect(error?.problem.contains("REPLICA IDENTITY") == true)
        let (kinds, rows) = try read(["debezium-json.ignore-parse-errors": "true"])
        #expect(kinds == [.insert, .updateBefore, .updateAfter, .delete])
        #expect(rows.map { $0[0] } == [.string("a name of some length"), .string("a name of some length"), .null, .null])
        #expect(rows.allSatisfy { $0[1] == .int(1) })
        #expect(rows[1][2] == rows[2][2] && Set(rows.map { $0[2] }).count == 3)
    }

    @Test("with metadata 'error' a broken record is a row at its place, whose other metadata is there", arguments: [1, 2, 8_192])
    func errorRows(maxRows: Int) throws {
        let errors: [TableDescriptor.MetadataColumn] = [
            .init(name: "number", key: "sequence-number", type: .string), .init(name: "why", key: "error", type: .string),
            .init(name: "what", key: "error.record", type: .bytes),
        ]
        func read(_ messages: [String], _ format: String, schema: Schema = Self.schema) throws -> (kinds: [RowKind], rows: [[Value]], numbers: [String]) {
            let data = Data_()
            let placed = try log(data).writer("s").append(messages.map { Record(partitionKey: "k", data: Array($0.utf8)) })
            let source = try source(table(data, ["format": format], schema: schema, metadata: errors), projection: Array(schema.indices), metadata: [0, 1, 2])
            let reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics())
            var kinds: [RowKind] = [], rows: [[Value]] = []
            while case .batch(let batch) = try reader.next(maxRows: maxRows) {
                kinds += (0..<batch.count).map { batch.kind(atPhysical: $0) }
                rows += batch.rows()
            }
            return (kinds, rows, placed.map { $0.sequence!.description })
        }
        func binary(_ text: String) -> Value { .binary(Array(text.utf8)) }

        let plain = ["oops", #"{"id": 1, "name": "one of more than twelve"}"#, #"{"id": "x"}"#, "{", #"{"id": 4}"#]
        var (kinds, rows, numbers) = try read(plain, "json")
        #expect(rows.map { $0[0] } == [.null, .int(1), .null, .null, .int(4)] && rows[1][1] == .string("one of more than twelve"))
        #expect(rows.map { $0[2] } == numbers.map { .string($0) })
        #expect(rows.map { $0[3] == .null } == [false, true, false, false, true])
        #expect(rows.map { $0[4] } == [binary(plain[0]), .null, binary(plain[2]), binary(plain[3]), .null])

        // An empty message is no number either, and the one behind it begins at the same byte.
        (_, rows, numbers) = try read(["12345678", "", "x", ""], "raw", schema: [Field("id", .bigint)])
        #expect(rows.map { $0[0] == .null } == [false, true, true, true] && rows.map { $0[1] } == numbers.map { .string($0) })
        #expect(rows.map { $0[3] } == [.null, binary(""), binary("x"), binary("")])

        let changes = [
            #"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#, "no envelope", #"{"before":{"id":1,"name":"a"},"after":{"id":1,"name":"b"},"op":"u"}"#,
            #"{"before":null,"after":{"id":1},"op":"d"}"#, "[", #"{"before":{"id":1,"name":"b"},"after":null,"op":"d"}"#,
        ]
        (kinds, rows, numbers) = try read(changes, "debezium-json")
        #expect(kinds == [.insert, .insert, .updateBefore, .updateAfter, .insert, .insert, .delete])
        #expect(rows.map { $0[0] } == [.int(1), .null, .int(1), .int(1), .null, .null, .int(1)])
        #expect(rows.map { $0[2] } == [0, 1, 2, 2, 3, 4, 5].map { .string(numbers[$0]) })
        #expect(rows.map { $0[4] } == [.null, binary(changes[1]), .null, .null, binary(changes[3]), binary(changes[4]), .null])
    }

    @Test("rows are appended as records whose keys come from PARTITIONED BY, the subtask, or chance", arguments: ["columns", "fixed", "random"], ["exactly-once", "at-least-once"])
    func sink(kind: String, guarantee: String) throws {
        let data = Data_()
        let log = try log(data, shards: 4)
        var options = ["sink.delivery-guarantee": guarantee]
        if kind != "columns" { options["sink.partitioner"] = kind }
        if kind == "columns" { options["sink.partitioner-field-delimiter"] = "-" }
        let table = table(data, options, partitionKeys: kind == "columns" ? ["name", "id"] : [])
        let sink = try KinesisConnector().sink(for: table, timeZone: "UTC")
        #expect(!sink.acceptsChanges)
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let values: [[Value]] = (0..<100).map { [.int(Int64($0)), .string("n\($0 % 7)")] }
        var batch = Batch(schema: Self.schema, rows: values)
        batch.selection = Selection((0..<100).filter { $0 % 2 == 0 }.map { Int32($0) })
        try writer.write(batch)
        try writer.idle()
        // At least once, rows are readable at once; exactly once, after the commit.
        #expect(try log.describe("s").shards.map(\.records).reduce(0, +) == (guarantee == "exactly-once" ? 0 : 50))
        try writer.write(Batch(schema: Self.schema, rows: [[.int(500), .string("last")]]))
        let committables = try writer.prepareCommit(1)
        try writer.close()
        if let committer = try sink.committer(SinkContext()) { try committer.commit(1, committables) } else { #expect(committables.isEmpty) }
        #expect(try Set(rows(source(self.table(data)))) == Set(values.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) + [[.int(500), .string("last")]]))
        var keys: Set<String> = []
        for shard in 0..<4 {
            let reader = try log.reader("s", shard: shard, position: .trimHorizon)
            while let chunk = try reader.read() {
                for i in 0..<chunk.count {
                    keys.insert(chunk.partitionKey(i))
                    #expect(log.directory.isEmpty == false && HashKeyRange.even(4)[shard].contains(HashKey.of(chunk.partitionKey(i))))
                }
            }
        }
        switch kind {
        case "columns": #expect(keys.contains("n4-4") && keys.contains("last-500"))
        case "fixed": #expect(keys.count == 1)
        default: #expect(keys.count == 51)
        }
    }

    @Test("a missing stream is refused with the near name, or created when asked for")
    func missing() throws {
        let data = Data_()
        _ = try log(data)
        let error = #expect(throws: StreamError.self) { try KinesisConnector().requireStorage(of: table(data, ["stream": "sx"])) }
        #expect(error?.code == .validate && error?.fix == "write \"s\", or create it with `swiftwater stream create sx`")
        let made = table(data, ["stream": "fresh", "stream.create-shards": "3"])
        try KinesisConnector().validate(made)
        try KinesisConnector().requireStorage(of: made)
        #expect(try ShardLog(directory: data.path).listStreams() == ["s"])
        let sink = try KinesisConnector().sink(for: made, timeZone: "UTC")
        let source = try KinesisConnector().source(for: made, scan: ScanRequest(projection: [0]))
        // A plan makes nothing; a job does.
        #expect(try ShardLog(directory: data.path).listStreams() == ["s"])
        _ = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        #expect(try source.splits().count == 3)
        #expect(try ShardLog(directory: data.path).shardCount("fresh") == 3)
    }

    @Test("wrong options say what to write", arguments: [
        (["stream.arn": "arn:aws:kinesis:us-east-1:1:stream/orders"], "write 'stream' = 'orders'"),
        (["aws.endpoint": "http://x"], "leave the option out"), (["scan.stream.initpos": "TRIM_HORIZONT"], "write \"TRIM_HORIZON\""),
        (["scan.stream.initpos": "AT_TIMESTAMP"], "needs option 'scan.stream.initpos-timestamp'"),
        (["scan.stream.initpos": "AT_TIMESTAMP", "scan.stream.initpos-timestamp": "soon"], "is not a time"),
        (["sink.partitioner": "com.x.Mine"], "is not known here"), (["stream": "a b"], "cannot name a stream"),
        (["stream.create-shards": "0"], "from 1 to 10000"),
    ])
    func wrong(options: [String: String], text: String) throws {
        let data = Data_()
        _ = try log(data)
        let error = #expect(throws: StreamError.self) { try KinesisConnector().validate(table(data, options)) }
        #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
    }
}
