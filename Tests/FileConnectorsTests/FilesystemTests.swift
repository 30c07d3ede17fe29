import FileConnectors
import Foundation
import StreamCore
import Testing

@Suite("filesystem") struct FilesystemTests {
    static let schema: Schema = [Field("id", .bigint), Field("name", .string)]

    private func table(_ path: String, _ options: [String: String] = [:], schema: Schema = schema, partitionKeys: [String] = [],
                       metadata: [TableDescriptor.MetadataColumn] = []) -> TableDescriptor {
        TableDescriptor(name: "t", schema: schema, metadata: metadata, partitionKeys: partitionKeys,
                        options: options.merging(["connector": "filesystem", "path": path, "format": "json"]) { a, _ in a })
    }

    private func source(_ table: TableDescriptor, projection: [Int]? = nil, metadata: [Int] = [], filter: [String: Set<Value>] = [:]) throws -> any TableSource {
        try FilesystemConnector().validate(table)
        return try FilesystemConnector().source(for: table, scan: ScanRequest(projection: projection ?? Array(table.schema.indices), metadata: metadata, partitionFilter: filter))
    }

    private func line(_ i: Int, padding: Int = 0) -> String { #"{"id": \#(i), "name": "name \#(i)\#(String(repeating: "x", count: padding))"}"# + "\n" }

    // MARK: Reading

    @Test("a file, a directory with folders below, and a pattern give all rows in the order of files and lines; hidden files do not count")
    func paths() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("in/b.json", line(3) + line(4))
        try temporary.write("in/a.json", line(1) + "\n" + line(2).dropLast())
        try temporary.write("in/deep/c.json", line(5))
        try temporary.write("in/.hidden.json", "junk")
        try temporary.write("in/_SUCCESS", "junk")
        try temporary.write("in/_tmp/d.json", "junk")
        try temporary.write("in/empty.json", "")
        func ids(_ path: String, _ options: [String: String] = [:]) throws -> [Value] { try source(table(path, options)).rows().map { $0[0] } }
        #expect(try ids(temporary.path + "/in") == (1...5).map { .int($0) })
        #expect(try ids("file://" + temporary.path + "/in/") == (1...5).map { .int($0) })
        #expect(try ids(temporary.path + "/in/b.json") == [.int(3), .int(4)])
        #expect(try ids(temporary.path + "/in/[ab].json") == (1...4).map { .int($0) })
        #expect(try ids(temporary.path + "/in", ["source.path.regex-pattern": #".*/[bc]\.json"#]) == (3...5).map { .int($0) })
        #expect(try source(table(temporary.path + "/in/a.json")).rows() == [[.int(1), .string("name 1")], [.int(2), .string("name 2")]])
    }

    @Test("rows come back whole at every chunk border, batch size and resume position", arguments: [1, 7, 100, 8_192])
    func chunks(maxRows: Int) throws {
        let temporary = TemporaryDirectory()
        var random = SystemRandomNumberGenerator()
        let n = maxRows == 1 ? 2_000 : 20_000
        try temporary.write("f.json", (0..<n).map { line($0, padding: Int(random.next() % 90)) }.joined())
        let source = try source(table(temporary.path + "/f.json"))
        let reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics())
        var rows: [[Value]] = [], resume: [(rows: Int, position: String)] = []
        while case .batch(let batch) = try reader.next(maxRows: maxRows) {
            #expect(batch.count <= maxRows)
            rows += batch.rows()
            if random.next() % 10 == 0 { resume.append((rows.count, reader.position)) }
        }
        #expect(rows.map { $0[0] } == (0..<n).map { .int(Int64($0)) })
        for point in resume.shuffled().prefix(5) {
            let again = try source.reader(for: SourceSplit(id: try source.splits()[0].id, position: point.position), metrics: OperatorMetrics())
            #expect(try again.rows(maxRows: maxRows) == Array(rows[point.rows...]))
        }
    }

    @Test("a row larger than a chunk is read")
    func largeRow() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f.json", line(1) + line(2, padding: 3_000_000) + line(3))
        #expect(try source(table(temporary.path + "/f.json")).rows().map { $0[0] } == [.int(1), .int(2), .int(3)])
    }

    @Test("a file cut into splits gives every row once, whatever the size", arguments: ["4096", "5000", "64kb", "1g"])
    func splitSize(size: String) throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f.json", (0..<3_000).map { line($0, padding: $0 % 50) }.joined())
        let source = try source(table(temporary.path, ["source.split-size": size]))
        #expect(try (source.splits().count > 1) == (size != "1g"))
        #expect(try source.rows().map { $0[0] } == (0..<3_000).map { .int($0) })
    }

    @Test("partition columns come from folders, wherever they stand in the projection, and prune files")
    func partitions() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("day=2024-01-01/kind=a/x.json", line(1))
        try temporary.write("day=2024-01-02/kind=b%2Fc/x.json", line(2))
        try temporary.write("day=2024-01-02/kind=__DEFAULT_PARTITION__/x.json", line(3))
        let schema: Schema = [Field("kind", .string), Field("id", .bigint), Field("day", .date), Field("name", .string)]
        let table = table(temporary.path, schema: schema, partitionKeys: ["day", "kind"])
        let (first, second) = (Value.int(19_723), Value.int(19_724))
        #expect(try Set(source(table).rows()) == [
            [.string("a"), .int(1), first, .string("name 1")], [.string("b/c"), .int(2), second, .string("name 2")],
            [.null, .int(3), second, .string("name 3")],
        ])
        #expect(try Set(source(table, projection: [3, 2]).rows()) == [
            [.string("name 1"), first], [.string("name 2"), second], [.string("name 3"), second],
        ])
        #expect(try source(table, projection: [0]).rows().count == 3)
        let pruned = try source(table, filter: ["day": [second], "kind": [.null, .string("zz")]])
        #expect(try pruned.splits().count == 1 && pruned.rows().map { $0[1] } == [.int(3)])
        try temporary.write("stray.json", line(4))
        let stray = #expect(throws: StreamError.self) { try source(table).rows() }
        #expect(stray?.problem.contains("stray.json lies in no folder kind=") == true)
        try FileManager.default.removeItem(atPath: temporary.path + "/stray.json")
        try temporary.write("day=soon/kind=a/x.json", line(4))
        let wrong = #expect(throws: StreamError.self) { try source(table).rows() }
        #expect(wrong?.problem.contains("folder day=soon does not hold a DATE") == true)
    }

    @Test("metadata columns follow the others")
    func metadata() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f.json", line(1) + line(2))
        let keys = ["file.path", "file.name", "file.size", "file.modification-time"]
        let types = FilesystemConnector().metadataKeys(for: table("x"))
        let table = table(temporary.path, metadata: keys.map { .init(name: $0, key: $0, type: types[$0]!) })
        let rows = try source(table, projection: [1], metadata: [1, 0, 2, 3]).rows()
        #expect(rows.count == 2 && rows[1].prefix(4) == [.string("name 2"), .string("f.json"), .string(temporary.path + "/f.json"), .int(Int64((line(1) + line(2)).utf8.count))])
        guard case .int(let time) = rows[0][4] else { Issue.record("\(rows[0])"); return }
        #expect(abs(time - Clock.milliseconds()) < 60_000)
        let wrong = self.table(temporary.path, metadata: [.init(name: "m", key: "file.sise", type: .bigint)])
        let error = #expect(throws: StreamError.self) { try FilesystemConnector().validate(wrong) }
        #expect(error?.fix == "write \"file.size\"")
    }

    @Test("with a monitor interval new files become new splits, and a missing directory may still come")
    func monitoring() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("in/a.json", line(1))
        let source = try source(table(temporary.path + "/in", ["source.monitor-interval": "20 ms"]))
        #expect(!source.isBounded && source.discoveryInterval == .milliseconds(20))
        let before = try source.splits()
        try temporary.write("in/b.json", line(2))
        let after = try source.splits()
        #expect(Set(after).subtracting(before).count == 1 && Set(before).isSubset(of: after))
    }

    // MARK: Bad input

    @Test("a bad record names file, line and text; or is counted and skipped")
    func badRecord() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f.json", line(1) + line(2) + "{\"id\": oops}\n" + line(4))
        let error = #expect(throws: StreamError.self) { try source(table(temporary.path + "/f.json")).rows() }
        #expect(error?.location == SourceLocation(file: temporary.path + "/f.json", line: 3, column: 1))
        #expect(error?.sourceLine == "{\"id\": oops}")
        let metrics = OperatorMetrics()
        let rows = try source(table(temporary.path + "/f.json", ["json.ignore-parse-errors": "true"])).rows(metrics: metrics)
        #expect(rows.map { $0[0] } == [.int(1), .int(2), .int(4)] && metrics.badRecords.get() == 1)
    }

    @Test("a change message that makes no sense names file and line, in every format; or is counted and skipped",
          arguments: [
              ("debezium-json", #"{"before":null,"after":{"id":1},"op":"c"}"#, #"{"before":null,"after":{"id":1},"op":"t"}"#, "unknown \"op\" value"),
              ("debezium-json", #"{"before":null,"after":{"id":1},"op":"c"}"#, #"{"before":null,"after":{"id":1},"op":"u"}"#, "REPLICA IDENTITY"),
              ("debezium-json", #"{"before":null,"after":{"id":1},"op":"c"}"#, #"{"before":null,"after":{"id":1},"op"}"#, "not well-formed"),
              ("canal-json", #"{"data":[{"id":1}],"type":"INSERT"}"#, #"{"data":[{"id":"one"}],"type":"INSERT"}"#, "data.id"),
              ("maxwell-json", #"{"data":{"id":1},"type":"insert"}"#, #"{"data":{"id":1},"type":"drop"}"#, "unknown \"type\" value"),
          ])
    func badChange(format: String, good: String, bad: String, mention: String) throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f", [good, "", good, bad, good].joined(separator: "\n"))
        func read(_ options: [String: String] = [:], metrics: OperatorMetrics = OperatorMetrics()) throws -> [[Value]] {
            let source = try source(table(temporary.path + "/f", options.merging(["format": format]) { a, _ in a }))
            #expect(source.producesChanges && source.changelogMode == .all)
            return try source.rows(metrics: metrics)
        }
        let error = #expect(throws: StreamError.self) { try read() }
        #expect(error?.location == SourceLocation(file: temporary.path + "/f", line: 4, column: 1))
        #expect(error?.sourceLine == bad && error?.problem.contains(mention) == true, "\(error?.description ?? "")")
        guard mention != "data.id" else { return }
        let metrics = OperatorMetrics()
        #expect(try read(["\(format).ignore-parse-errors": "true"], metrics: metrics).count == 3 && metrics.badRecords.get() == 1)
    }

    @Test("changes are written, and read back with their kinds from any position", arguments: ["debezium-json", "canal-json", "maxwell-json"], [1, 2, 100])
    func changes(format: String, maxRows: Int) throws {
        let temporary = TemporaryDirectory()
        let table = table(temporary.path, ["format": format, "sink.rolling-policy.on-checkpoint": "true"])
        let sink = try FilesystemConnector().sink(for: table, timeZone: "UTC")
        #expect(sink.acceptsChanges)
        let rows: [[Value]] = (0..<300).map { [.int(Int64($0)), $0 % 3 == 0 ? .null : .string("the name of row \($0)")] }
        let kinds: [RowKind] = (0..<300).map { [.insert, .updateBefore, .updateAfter, .delete][$0 % 4] }
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        try writer.write(Batch(schema: Self.schema, rows: rows, kinds: kinds))
        try sink.committer(SinkContext())!.commit(1, try writer.prepareCommit(1))
        let source = try source(table)
        var split = try source.splits()[0]
        var read: [[Value]] = [], readKinds: [RowKind] = []
        while true {
            // A new reader for each batch, from where the one before it stopped.
            let reader = try source.reader(for: split, metrics: OperatorMetrics())
            guard case .batch(let batch) = try reader.next(maxRows: maxRows) else { break }
            #expect(batch.count <= maxRows)
            read += batch.rows()
            readKinds += (0..<batch.count).map { batch.kind(atPhysical: $0) }
            split = SourceSplit(id: split.id, position: reader.position)
        }
        #expect(read == rows)
        #expect(readKinds == kinds.map { $0.isAdd ? .insert : .delete })
        let error = #expect(throws: StreamError.self) { try FilesystemConnector().validate(self.table("x", ["format": format, "source.split-size": "1mb"])) }
        #expect(error?.description.contains("keep their order") == true)
    }

    @Test("missing paths, wrong options and unreadable files say what and why")
    func errors() throws {
        let temporary = TemporaryDirectory()
        let missing = #expect(throws: StreamError.self) { try source(table(temporary.path + "/nothing")) }
        #expect(missing?.code == .io && missing?.problem == "cannot find \(temporary.path)/nothing: No such file or directory")
        let pattern = #expect(throws: StreamError.self) { try source(table(temporary.path + "/*.json")) }
        #expect(pattern?.problem == "no file matches \(temporary.path)/*.json")
        for (options, text) in [
            (["path": ""], "must not be empty"), (["path": "s3://bucket/x"], "has the scheme s3"), (["source.monitor-interval": "soon"], "is not a duration"),
            (["source.path.regex-pattern": "("], "is not a regular expression"), (["sink.rolling-policy.file-size": "x"], "is not a size"),
            (["format": "jsn"], "json"),
        ] {
            let error = #expect(throws: StreamError.self) { try FilesystemConnector().validate(table(temporary.path, options)) }
            #expect(error?.code == .validate && error?.description.contains(text) == true, "\(error?.description ?? "")")
        }
        #expect(FilesystemConnector().optionKeys(for: table("x")).isSuperset(of: ["path", "format", "json.ignore-parse-errors", "source.monitor-interval"]))
    }

    // MARK: Writing

    private func batch(_ ids: Range<Int>) -> Batch {
        Batch(schema: Self.schema, rows: ids.map { [.int(Int64($0)), .string("n\($0)")] })
    }

    @Test("part files are hidden until the commit, then whole; a repeated commit changes nothing")
    func commit() throws {
        let temporary = TemporaryDirectory()
        let out = temporary.path + "/out"
        let sink = try FilesystemConnector().sink(for: table(out), timeZone: "UTC")
        #expect(!sink.acceptsChanges && sink.commitInterval == .seconds(1_800))
        let writers = try (0..<2).map { try sink.writer(SinkContext(subtask: $0, parallelism: 2, metrics: OperatorMetrics())) }
        for (i, writer) in writers.enumerated() { try writer.write(batch(i * 10..<i * 10 + 5)) }
        let committables = try writers.flatMap { try $0.prepareCommit(1) }
        #expect(try source(table(out)).rows().isEmpty && temporary.files().count == 2)
        let committer = try #require(try sink.committer(SinkContext()))
        try committer.commit(1, committables)
        try committer.commit(1, committables)
        let expected = Array(0..<5) + Array(10..<15)
        #expect(try source(table(out)).rows().map { $0[0] } == expected.map { .int(Int64($0)) })
        #expect(temporary.files().allSatisfy { $0.hasPrefix("out/part-") && $0.hasSuffix(".json") } && temporary.files().count == 2)
        // What comes after the commit and is aborted leaves nothing.
        try writers[0].write(batch(50..<60))
        writers[0].abort()
        try writers[1].write(batch(50..<60))
        try writers[1].close()
        #expect(temporary.files().count == 2)
    }

    @Test("a size makes several files; an interval asks for commits")
    func rolling() throws {
        let temporary = TemporaryDirectory()
        let table = table(temporary.path + "/out", ["sink.rolling-policy.file-size": "100 b", "sink.rolling-policy.rollover-interval": "2 s"])
        let sink = try FilesystemConnector().sink(for: table, timeZone: "UTC")
        #expect(sink.commitInterval == .seconds(2))
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        for i in 0..<4 { try writer.write(batch(i * 10..<i * 10 + 10)) }
        try sink.committer(SinkContext())!.commit(1, try writer.prepareCommit(1))
        #expect(temporary.files().count == 4)
        #expect(try source(table).rows().count == 40)
    }

    @Test("partitioned output lands in folders and reads back, also nulls and odd values")
    func partitionedOutput() throws {
        let temporary = TemporaryDirectory()
        let schema: Schema = [Field("id", .bigint), Field("day", .date), Field("kind", .string)]
        let table = table(temporary.path + "/out", schema: schema, partitionKeys: ["day", "kind"])
        let sink = try FilesystemConnector().sink(for: table, timeZone: "UTC")
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        let kinds: [Value] = [.string("a"), .string("x/y=z"), .null, .string(".."), .string("é%")]
        let rows: [[Value]] = (0..<200).map { [.int(Int64($0)), .int(Int64(19_723 + $0 % 3)), kinds[$0 % 5]] }
        try writer.write(Batch(schema: schema, rows: Array(rows[..<150])))
        var rest = Batch(schema: schema, rows: Array(rows[100...]))
        rest.selection = Selection((50..<100).map { Int32($0) })
        try writer.write(rest)
        try sink.committer(SinkContext())!.commit(1, try writer.prepareCommit(1))
        #expect(temporary.files().count == 15 && temporary.files().contains { $0.hasPrefix("out/day=2024-01-01/kind=x%2Fy%3Dz/part-") })
        #expect(try Set(source(table).rows()) == Set(rows))
        #expect(try source(table, filter: ["kind": [.null]]).rows().count == 40)
        #expect(!(try temporary.read(temporary.files()[0]).contains("kind")))
    }

    @Test("csv and raw tables write and read back", arguments: ["csv", "raw"])
    func otherFormats(format: String) throws {
        let temporary = TemporaryDirectory()
        let schema: Schema = format == "csv" ? [Field("id", .bigint), Field("text", .string), Field("at", .timestamp(3))] : [Field("text", .string)]
        let table = table(temporary.path + "/out", ["format": format].merging(format == "csv" ? ["csv.null-literal": "NULL"] : [:]) { a, _ in a }, schema: schema)
        let rows: [[Value]] = (0..<5_000).map { i in
            format == "csv" ? [.int(Int64(i)), i % 3 == 0 ? .null : .string("a \"quoted\", text \(i)"), .int(Int64(i) * 1_001)] : [.string("line \(i)")]
        }
        let sink = try FilesystemConnector().sink(for: table, timeZone: "UTC")
        let writer = try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics()))
        try writer.write(Batch(schema: schema, rows: rows))
        try sink.committer(SinkContext())!.commit(1, try writer.prepareCommit(1))
        #expect(temporary.files()[0].hasSuffix(".\(format)"))
        let source = try source(table)
        let reader = try source.reader(for: try source.splits()[0], metrics: OperatorMetrics())
        guard case .batch(let first) = try reader.next(maxRows: 777) else { Issue.record("no rows"); return }
        let resumed = try source.reader(for: SourceSplit(id: try source.splits()[0].id, position: reader.position), metrics: OperatorMetrics())
        let got = try first.rows() + resumed.rows(maxRows: 100)
        #expect(got.count == rows.count && zip(got, rows).first { $0 != $1 } == nil, "\(zip(got, rows).first { $0 != $1 }.map { "\($0)" } ?? "")")
        let split = #expect(throws: StreamError.self) { try FilesystemConnector().validate(self.table("x", ["format": format, "source.split-size": "1mb"], schema: schema)) }
        #expect(split?.code == .validate)
    }

    @Test("writing where a file stands, or to a pattern, is refused")
    func badSink() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("f", "x")
        let sink = try FilesystemConnector().sink(for: table(temporary.path + "/f"), timeZone: "UTC")
        let error = #expect(throws: StreamError.self) { try sink.writer(SinkContext(subtask: 0, parallelism: 1, metrics: OperatorMetrics())) }
        #expect(error?.problem == "\(temporary.path)/f is a file; a directory is needed here")
        #expect(throws: StreamError.self) { try FilesystemConnector().sink(for: table(temporary.path + "/*"), timeZone: "UTC") }
    }
}
