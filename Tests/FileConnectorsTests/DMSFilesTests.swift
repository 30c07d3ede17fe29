import FileConnectors
import Foundation
import ParquetFormat
import StreamCore
import StreamFormats
import TestScripts
import Testing

/// Writes Parquet files with pyarrow.
func writeParquet(_ folder: String, _ specification: String) throws {
    let path = folder + "/.specification.json"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(specification.utf8).write(to: URL(fileURLWithPath: path))
    let result = try PythonScript.run("formats/write_parquet.py", [folder, path])
    guard result.status == 0 else { throw StreamError(.runtime, "pyarrow could not write \(specification): \(result.errors)") }
    try FileManager.default.removeItem(atPath: path)
}

func variantText(_ value: Value) -> String {
    guard case .binary(let bytes) = value else { return "\(value)" }
    return bytes.withUnsafeBytes { VariantJSON.text(Variant($0)) }
}

private func source(_ table: TableDescriptor) throws -> any TableSource {
    FormatFactory.register([ParquetFormat()])
    try FilesystemConnector().validate(table)
    return try FilesystemConnector().source(for: table, scan: ScanRequest(projection: Array(table.schema.indices), metadata: Array(table.metadata.indices)))
}

@Suite("dms files") struct DMSFilesTests {
    static let metadata: [TableDescriptor.MetadataColumn] = [
        .init(name: "op", key: "op", type: .string), .init(name: "position", key: "position", type: .string), .init(name: "file", key: "file", type: .string),
    ]

    private func table(_ path: String, _ options: [String: String] = [:], metadata: [TableDescriptor.MetadataColumn] = metadata) -> TableDescriptor {
        TableDescriptor(name: "t", schema: [Field("id", .int), Field("name", .string)], metadata: metadata, primaryKey: ["id"],
                        options: options.merging(["connector": "filesystem", "path": path, "format": "dms"]) { a, _ in a })
    }

    /// Kind, key and place of each row.
    private func texts(_ reader: any SplitReader, maxRows: Int = 100, stopsWaiting: Bool = false) throws -> [String] {
        var out: [String] = []
        while true {
            switch try reader.next(maxRows: maxRows) {
            case .batch(let batch):
                for (i, row) in batch.rows().enumerated() {
                    guard case .int(let id) = row[0], case .string(let position) = row[3], case .string(let file) = row[4] else { throw StreamError(.runtime, "\(row)") }
                    #expect(position.contains(file))
                    out.append("\(batch.kind(atPhysical: batch.row(i)))\(id) \(position)")
                }
            case .waiting: if stopsWaiting { return out }
            case .endOfSplit: return out
            }
        }
    }

    @Test("the full load comes first, then the changes in the order of their names; positions order rows", arguments: [1, 2, 100])
    func order(maxRows: Int) throws {
        let temporary = TemporaryDirectory()
        try temporary.write("in/20240102-000000001.csv", "U,1,c\nD,2,\n")
        try temporary.write("in/20240101-000000001.csv", "U,1,b\nI,3,x\n")
        try temporary.write("in/LOAD00000002.csv", "2,b\n")
        try temporary.write("in/LOAD00000001.csv", "1,a\n")
        let source = try source(table(temporary.path + "/in"))
        #expect(source.changelogMode == .upsert && source.isBounded && source.parallelism == 1)
        let splits = try source.splits()
        try #require(splits.count == 1)
        let wanted = [
            "+I1 0/LOAD00000001.csv/000000000000", "+I2 0/LOAD00000002.csv/000000000000", "+U1 1/20240101-000000001.csv/000000000000",
            "+I3 1/20240101-000000001.csv/000000000001", "+U1 1/20240102-000000001.csv/000000000000", "-D2 1/20240102-000000001.csv/000000000001",
        ]
        #expect(try texts(source.reader(for: splits[0], metrics: OperatorMetrics()), maxRows: maxRows) == wanted && wanted.map { $0.dropFirst(4) } == wanted.map { $0.dropFirst(4) }.sorted())
        // From each position on, the rest comes.
        let reader = try source.reader(for: splits[0], metrics: OperatorMetrics())
        var seen = 0
        while case .batch(let batch) = try reader.next(maxRows: 1) {
            seen += batch.count
            let again = try source.reader(for: SourceSplit(id: splits[0].id, position: reader.position), metrics: OperatorMetrics())
            #expect(try texts(again, maxRows: maxRows) == Array(wanted[seen...]))
        }
        #expect(seen == 6)
    }

    @Test("a folder that grows: files that appear are read after those before, also after a restart; one that comes too late is told")
    func growing() throws {
        let temporary = TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: temporary.path + "/in", withIntermediateDirectories: true)
        let source = try source(table(temporary.path + "/in", ["source.monitor-interval": "10 ms", "dms.csv.header": "true"]))
        #expect(!source.isBounded)
        let split = try source.splits()[0]
        let reader = try source.reader(for: split, metrics: OperatorMetrics())
        #expect(try texts(reader, stopsWaiting: true).isEmpty)
        try temporary.write("in/LOAD00000001.csv", "name,id\na,1\n")
        #expect(try texts(reader, stopsWaiting: true).map { String($0.prefix(3)) } == ["+I1"])
        try temporary.write("in/20240101-000000001.csv", "Op,id,name\nU,1,b\nU,2,c\n")
        #expect(try texts(reader, stopsWaiting: true).map { String($0.prefix(3)) } == ["+U1", "+U2"])
        try temporary.write("in/20240102-000000001.csv", "Op,name,id,new\nD,x,1,n\nU,y,5,n\n")
        guard case .batch(let batch) = try reader.next(maxRows: 1) else { throw StreamError(.runtime, "no rows") }
        #expect(batch.kind(atPhysical: batch.row(0)) == .delete)
        // Within the file, whose header tells another order of columns.
        let again = try source.reader(for: SourceSplit(id: split.id, position: reader.position), metrics: OperatorMetrics())
        #expect(try texts(again, stopsWaiting: true) == ["+U5 1/20240102-000000001.csv/000000000001"])
        // Files that were read may go.
        try FileManager.default.removeItem(atPath: temporary.path + "/in/LOAD00000001.csv")
        try temporary.write("in/20240103-000000001.csv", "Op,id,name\nI,7,b\n")
        #expect(try texts(again, stopsWaiting: true).map { String($0.prefix(3)) } == ["+I7"])
        let third = try source.reader(for: SourceSplit(id: split.id, position: again.position), metrics: OperatorMetrics())
        #expect(try texts(third, stopsWaiting: true).isEmpty)
        try temporary.write("in/20240101-000000009.csv", "Op,id,name\nI,8,b\n")
        #expect(throws: StreamError.self) { try texts(third, stopsWaiting: true) }
    }

    @Test("parquet files: the same order, kinds and positions, and whole rows with types")
    func parquet() throws {
        let temporary = TemporaryDirectory(), folder = temporary.path + "/in"
        try writeParquet(folder, #"""
            {"LOAD00000001.parquet": {"columns": [["id", "int32"], ["name", "string"]], "rows": [[1, "a"], [2, "b"], [3, "c"]], "group": 2},
             "20240101-000000001.parquet": {"columns": [["Op", "string"], ["last_update_time", "timestamp[us]"], ["id", "int64"], ["amount", "decimal(8,2)"], ["name", "string"]],
               "rows": [["U", "2024-01-01T10:00:00.000001", 1, "2.50", "z"], ["D", "2024-01-01T10:00:01", 2, null, null]]}}
            """#)
        let extra: [TableDescriptor.MetadataColumn] = [.init(name: "ts", key: "timestamp", type: .timestamp(6)), .init(name: "row", key: "row", type: .variant)]
        let options = ["dms.file-format": "parquet", "dms.timestamp-column": "last_update_time"]
        let source = try source(table(folder, options, metadata: Self.metadata + extra)), split = try source.splits()[0]
        #expect(try texts(source.reader(for: split, metrics: OperatorMetrics())) == [
            "+I1 0/LOAD00000001.parquet/000000000000", "+I2 0/LOAD00000001.parquet/000000000001", "+I3 0/LOAD00000001.parquet/000000000002",
            "+U1 1/20240101-000000001.parquet/000000000000", "-D2 1/20240101-000000001.parquet/000000000001",
        ])
        let rows = try source.rows()
        #expect(rows[3][5] == .int(1_704_103_200_000_001) && rows[0][5] == .null)
        #expect(rows.map { variantText($0[6]) } == [
            #"{"id":1,"name":"a"}"#, #"{"id":2,"name":"b"}"#, #"{"id":3,"name":"c"}"#, #"{"amount":2.5,"id":1,"name":"z"}"#, #"{"amount":null,"id":2,"name":null}"#,
        ])
        let reader = try source.reader(for: split, metrics: OperatorMetrics())
        guard case .batch = try reader.next(maxRows: 2) else { throw StreamError(.runtime, "no rows") }
        let again = try source.reader(for: SourceSplit(id: split.id, position: reader.position), metrics: OperatorMetrics())
        #expect(try texts(again).count == 3)
    }

    @Test func badOptionsAreTold() throws {
        let temporary = TemporaryDirectory()
        try temporary.write("in/LOAD1.csv", "1,a\n")
        for (options, told) in [
            (["dms.file-format": "xml"], "is not supported"), (["dms.op-column": "name"], "which is not part of rows"), (["dms.changelog-mode": "all"], "is not supported"),
        ] {
            #expect(throws: StreamError.self) { try source(table(temporary.path + "/in", options)) }
            do { _ = try source(table(temporary.path + "/in", options)) } catch { #expect("\(error)".contains(told), "\(error)") }
        }
        var keyless = table(temporary.path + "/in")
        keyless.primaryKey = []
        do { _ = try source(keyless) } catch { #expect("\(error)".contains("'dms.changelog-mode' = 'append'")) }
        keyless.options["dms.changelog-mode"] = "append"
        #expect(try source(keyless).changelogMode == .insertOnly)
    }
}

@Suite("parquet files") struct ParquetFilesTests {
    private func table(_ path: String, _ schema: Schema, _ options: [String: String] = [:]) -> TableDescriptor {
        TableDescriptor(name: "t", schema: schema, metadata: [.init(name: "row", key: "row", type: .variant)],
                        options: options.merging(["connector": "filesystem", "path": path, "format": "parquet"]) { a, _ in a })
    }

    @Test("all types, as columns and within the whole row")
    func types() throws {
        let temporary = TemporaryDirectory()
        try writeParquet(temporary.path, #"""
            {"a.parquet": {"columns": [["b", "bool"], ["i8", "int8"], ["i32", "int32"], ["i64", "int64"], ["f", "float"], ["d", "double"], ["dec", "decimal(38,10)"], ["s", "string"],
               ["bin", "binary"], ["day", "date32"], ["t", "time32[ms]"], ["ts", "timestamp[ms]"], ["tz", "timestamp[us]utc"], ["l", ["list", "int32"]], ["m", ["map", "string", "double"]],
               ["r", ["struct", [["x", "int32"], ["y", "string"]]]]],
             "rows": [[true, -1, 2, 3, 0.5, 1.25, "1234567890123456789012345678.0123456789", "é", "AAEC", "2024-02-29", "01:02:03.004", "2024-01-01T00:00:00.5", "2024-01-01T00:00:00.000001",
                       [1, null], [["k", 1.5]], {"x": 1, "y": "z"}],
                      [null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null]]}}
            """#)
        let schema: Schema = [
            Field("b", .boolean), Field("i8", .smallint), Field("i32", .bigint), Field("i64", .int), Field("f", .double), Field("d", .double),
            Field("dec", .decimal(precision: 38, scale: 10)), Field("s", .varchar(10)), Field("bin", .bytes), Field("day", .date), Field("t", .time(3)), Field("ts", .timestamp(6)),
            Field("tz", .timestampLTZ(3)), Field("l", .array(.bigint)), Field("m", .map(key: .string, value: .double)), Field("r", .row([Field("y", .string), Field("z", .int)])),
        ]
        let rows = try source(table(temporary.path, schema)).rows()
        #expect(Array(rows[0].prefix(16)) == [
            .bool(true), .int(-1), .int(2), .int(3), .double(0.5), .double(1.25), .decimal(12_345_678_901_234_567_890_123_456_780_123_456_789), .string("é"), .binary([0, 1, 2]), .int(19_782),
            .int(3_723_004), .int(1_704_067_200_500_000), .int(1_704_067_200_000), .array([.int(1), .null]), .map([.init(.string("k"), .double(1.5))]), .row([.string("z"), .null]),
        ])
        #expect(Array(rows[1].prefix(16)) == [Value](repeating: .null, count: 16))
        let whole = variantText(rows[0][16])
        for part in [#""dec":1234567890123456789012345678.0123456789"#, #""bin":"AAEC""#, #""day":"2024-02-29""#, #""l":[1,null]"#, #""m":{"k":1.5}"#, #""r":{"x":1,"y":"z"}"#, #""i64":3"#,
                     #""ts":"2024-01-01 00:00:00.500""#] {
            #expect(whole.contains(part), "\(part) in \(whole)")
        }
        // Other types than those of the file, where they fit.
        let texts = try source(table(temporary.path, [Field("i64", .string), Field("dec", .string), Field("day", .string), Field("l", .string), Field("r", .variant), Field("i32", .decimal(precision: 5, scale: 2))])).rows()
        #expect(Array(texts[0].prefix(4)) == [.string("3"), .string("1234567890123456789012345678.0123456789"), .string("2024-02-29"), .string("[1,null]")])
        #expect(variantText(texts[0][4]) == #"{"x":1,"y":"z"}"# && texts[0][5] == .decimal(200))
        do {
            _ = try source(table(temporary.path, [Field("s", .bytes)])).rows()
            Issue.record("a text was read as bytes")
        } catch { #expect("\(error)".contains("column s is stored as STRING")) }
    }

    @Test("files whose columns differ: what a file lacks is NULL, what it has more is in the whole row")
    func drift() throws {
        let temporary = TemporaryDirectory()
        try writeParquet(temporary.path, #"""
            {"1.parquet": {"columns": [["id", "int32"], ["name", "string"]], "rows": [[1, "a"]]},
             "2.parquet": {"columns": [["name", "string"], ["extra", "date32"], ["id", "int64"]], "rows": [["b", "2024-01-01", 2]]},
             "3.parquet": {"columns": [["ID", "string"]], "rows": [["3"]]},
             "4.parquet": {"columns": [["other", "int32"]], "rows": [[7], [8]]}}
            """#)
        let rows = try source(table(temporary.path, [Field("id", .int), Field("name", .string)])).rows()
        #expect(rows.map { [$0[0], $0[1]] } == [[.int(1), .string("a")], [.int(2), .string("b")], [.int(3), .null], [.null, .null], [.null, .null]])
        #expect(rows.map { variantText($0[2]) } == [#"{"id":1,"name":"a"}"#, #"{"extra":"2024-01-01","id":2,"name":"b"}"#, #"{"ID":"3"}"#, #"{"other":7}"#, #"{"other":8}"#])
    }

    @Test("reading goes on at any row", arguments: [1, 7, 100])
    func positions(maxRows: Int) throws {
        let temporary = TemporaryDirectory(), rows = (0..<50).map { "[\($0)]" }.joined(separator: ",")
        try writeParquet(temporary.path, #"{"1.parquet": {"columns": [["id", "int32"]], "rows": [\#(rows)], "group": 20}}"#)
        let source = try source(table(temporary.path, [Field("id", .int)])), split = try source.splits()[0]
        let reader = try source.reader(for: split, metrics: OperatorMetrics())
        var seen = 0
        while case .batch(let batch) = try reader.next(maxRows: maxRows) {
            #expect(batch.count <= maxRows)
            seen += batch.count
            let again = try source.reader(for: SourceSplit(id: split.id, position: reader.position), metrics: OperatorMetrics())
            #expect(try again.rows(maxRows: maxRows).map { $0[0] } == (seen..<50).map { .int(Int64($0)) })
        }
        #expect(seen == 50)
    }

    @Test("part files of a sink are Parquet that others read, folder by folder")
    func sink() throws {
        FormatFactory.register([ParquetFormat()])
        let temporary = TemporaryDirectory()
        let schema: Schema = [
            Field("id", .int), Field("small", .smallint), Field("name", .string), Field("price", .decimal(precision: 20, scale: 3)), Field("at", .timestamp(3)),
            Field("tags", .array(.string)), Field("area", .string),
        ]
        let table = TableDescriptor(name: "t", schema: schema, partitionKeys: ["area"], options: [
            "connector": "filesystem", "path": temporary.path, "format": "parquet", "parquet.compression": "zstd", "parquet.row-group.rows": "7",
        ])
        try FilesystemConnector().validate(table)
        let sink = try FilesystemConnector().sink(for: table, timeZone: "UTC"), context = SinkContext()
        let writer = try sink.writer(context)
        let rows: [[Value]] = (Int64(0)..<50).map { i -> [Value] in
            let small: Value = i % 5 == 0 ? .null : .int(i), area: Value = .string(i % 2 == 0 ? "even" : "odd")
            let time: Value = .int(1_700_000_000_000 + i), price: Value = .decimal(Int128(i) * 1_001)
            return [.int(i), small, .string("name \(i), longer than twelve"), price, time, .array([.string("x"), .null]), area]
        }
        for i in 0..<5 { try writer.write(Batch(schema: schema, rows: Array(rows[i * 10..<i * 10 + 10]))) }
        let committables = try writer.prepareCommit(1)
        #expect(temporary.files().allSatisfy { $0.contains("/.") })
        try sink.committer(context)?.commit(1, committables)
        try writer.close()
        #expect(Set(temporary.files().map { $0.split(separator: "/")[0] }) == ["area=even", "area=odd"])
        let reader = try FilesystemConnector().source(for: table, scan: ScanRequest(projection: Array(schema.indices)))
        #expect(Set(try reader.rows()) == Set(rows))
        let result = try PythonScript.run(nil, ["-c", """
            import sys, pyarrow.dataset as ds
            t = ds.dataset(sys.argv[1], partitioning="hive").to_table().sort_by("id")
            print(t.num_rows, sum(t["id"].to_pylist()), t["price"].to_pylist()[-1], t["at"].to_pylist()[0], t.schema.field("at").type, t["small"].null_count, t["area"].to_pylist()[:2])
            """, temporary.path])
        #expect(result.output == "50 1225 49.049 2023-11-14 22:13:20 timestamp[ms] 10 ['even', 'odd']\n", "\(result.output) \(result.errors)")
        // What is given up leaves nothing.
        let other = try sink.writer(SinkContext(subtask: 1))
        try other.write(Batch(schema: schema, rows: rows))
        other.abort()
        #expect(temporary.files().count == 2)
        var growing = table
        growing.options["sink.rolling-policy.on-checkpoint"] = "false"
        #expect(throws: StreamError.self) { try FilesystemConnector().sink(for: growing, timeZone: "UTC") }
    }
}
