import Foundation
import StreamCore
import Testing

@testable import IcebergTable
@testable import LakeTable

@Suite("Iceberg columns") struct TypesTests {
    static let schema: Schema = [
        Field("id", .bigint), Field("b", .boolean), Field("i", .int), Field("small", .smallint), Field("f", .float), Field("d", .double),
        Field("dec", .decimal(precision: 20, scale: 3)), Field("tiny", .decimal(precision: 4, scale: 2)), Field("day", .date), Field("at", .time(3)),
        Field("local", .timestamp(6)), Field("millis", .timestamp(3)), Field("utc", .timestampLTZ(6)), Field("text", .string), Field("raw", .bytes),
        Field("tags", .array(.string)), Field("props", .map(key: .string, value: .bigint)),
        Field("pos", .row([Field("x", .double), Field("deep", .array(.row([Field("n", .int), Field("t", .timestamp(6))])))])),
        Field("counts", .map(key: .int, value: .decimal(precision: 10, scale: 1))),
    ]

    static func row(_ i: Int) -> [Value] {
        if i % 5 == 4 { return [.int(Int64(i))] + Array(repeating: .null, count: schema.count - 1) }
        let n = Int64(i)
        return [
            .int(n), .bool(i % 2 == 0), .int(n * -7), .int(n), .float(Float(i) / 4), .double(Double(i) / 8 - 3), .decimal(Int128(n) * -123_456_789_012_345),
            .decimal(Int128(i) - 9_000), .int(n * 100 - 5_000), .int(n * 1_234_567 % 86_400_000), .int(1_700_000_000_123_456 + n), .int(-1_000 * n - 1),
            .int(-1 - n * 1_000_001), .string("ünï·\(i)·" + String(repeating: "x", count: i * 3)), .binary([0, 0xFF, UInt8(i)]),
            .array([.string("a"), .null, .string("\(i)")]), .map([.init(.string("k"), .int(n)), .init(.string("z"), .null)]),
            .row([.double(1.5), .array([.row([.int(n), .int(n)]), .row([.null, .int(-1)])])]),
            .map([.init(.int(7), .decimal(Int128(n)))]),
        ]
    }

    @Test("all stored types read back exactly, for us, for pyiceberg and for Daft")
    func types() throws {
        let folder = try TemporaryFolder()
        let table = TestTable(folder.path, schema: Self.schema)
        let rows = (0..<40).map(Self.row)
        try table.commit(rows)
        #expect(try table.read().canonical == rows.canonical)
        // The first half is written anew beside the second, which is copied.
        let changed = (0..<20).map { Self.row($0 + 40).replacing(0, .int(Int64($0))) }
        try table.commit(changed)
        let now = changed + rows[20...]
        #expect(try table.read().canonical == now.canonical)
        let judged = try Judge.history(folder.path)
        #expect(judged.current == table.judged(now) && judged.strays == [])
        #expect(Judge.texts(try Judge.answer("daft", folder.path)).count == 40)
    }

    @Test("new columns get new ids, widened ones keep theirs, old files read NULL and the wider type")
    func evolution() throws {
        let folder = try TemporaryFolder()
        let first: Schema = [Field("id", .int), Field("n", .int), Field("f", .float), Field("dec", .decimal(precision: 6, scale: 2))]
        let one = TestTable(folder.path, schema: first, key: ["id"])
        try one.commit((0..<10).map { [.int(Int64($0)), .int(Int64($0)), .float(0.5), .decimal(123)] })
        let files = try IcebergTable.open(folder.path).baseFiles
        let second: Schema = [Field("id", .int), Field("note", .string), Field("n", .bigint), Field("f", .double), Field("dec", .decimal(precision: 12, scale: 2))]
        // A delete of nothing changes nothing; a new row leaves the old file alone when that is not small.
        let two = TestTable(folder.path, schema: second, key: ["id"], options: ["write.parquet.small.file.limit": "1 b"])
        try two.commit([[.int(100), .string("new"), .int(1 << 40), .double(0.1), .decimal(1_234_567_890)]])
        let view = try IcebergTable.open(folder.path)
        #expect(view.baseFiles.count == 2 && view.baseFiles.contains(files[0]), "old files are not rewritten")
        #expect(view.schema.map(\.name) == ["id", "n", "f", "dec", "note"] && view.schemaHistory.count == 2)
        var rows: [[Value]] = (0..<10).map { [.int(Int64($0)), .null, .int(Int64($0)), .double(0.5), .decimal(123)] }
        rows.append([.int(100), .string("new"), .int(1 << 40), .double(0.1), .decimal(1_234_567_890)])
        #expect(try two.read().canonical == rows.canonical)
        // An old row is changed: its file is written with the new columns.
        rows[3] = [.int(3), .string("changed"), .int(-1 << 40), .double(0.25), .decimal(-5)]
        try two.commit([rows[3]])
        #expect(try two.read().canonical == rows.canonical)
        let order = TestTable(folder.path, schema: [second[0], second[2], second[3], second[4], second[1]], key: ["id"])
        #expect(try Judge.history(folder.path).current == order.judged(try order.read()))
        for (column, type) in [("n", DataType.double), ("note", .int), ("f", .string), ("dec", .decimal(precision: 12, scale: 3))] {
            var wrong = second
            wrong[wrong.firstIndex { $0.name == column }!].type = type
            let error = #expect(throws: StreamError.self) { try TestTable(folder.path, schema: wrong, key: ["id"]).commit([]) }
            #expect(error?.description.contains("column \(column) ") == true, "\(error?.description ?? "")")
        }
    }

    @Test("a row's image gives the table columns by itself; what the format cannot widen is refused with the column's name")
    func images() throws {
        let folder = try TemporaryFolder()
        var table = TestTable(folder.path, schema: [Field("id", .int)], key: ["id"])
        table.descriptor.metadata = [.init(name: "row", key: "row", type: .variant)]
        func commit(_ images: [String]) throws {
            let sink = try table.sink(), writer = try sink.writer(SinkContext()), committer = try #require(try sink.committer(SinkContext()))
            defer { committer.close() }
            let ids = ColumnBuilder(type: .int, capacity: images.count), rows = ColumnBuilder(type: .variant, capacity: images.count)
            for (i, image) in images.enumerated() {
                ids.append(.int(Int64(i)))
                var variant = VariantWriter()
                try Array(image.utf8).withUnsafeBytes { try VariantJSON.parse($0, allowsDuplicates: false, into: &variant) }
                rows.append(.binary(variant.bytes))
            }
            do {
                try writer.write(Batch(columns: [ids.finish(), rows.finish()], physicalCount: images.count))
                try committer.commit(1, try writer.prepareCommit(1))
                try writer.close()
            } catch {
                writer.abort()
                throw error
            }
        }
        try commit([#"{"name": "a", "n": 1}"#, #"{"name": "b", "n": 2, "more": true}"#])
        try commit([#"{"name": "c", "late": 1.5}"#])
        let view = try IcebergTable.open(folder.path)
        #expect(view.schema.map { "\($0.name) \($0.type)" }.sorted() == ["id INT", "late DOUBLE", "more BOOLEAN", "n BIGINT", "name STRING"])
        let error = #expect(throws: StreamError.self) { try commit([#"{"n": 1.5}"#]) }
        #expect(error?.description.contains("column n ") == true, "\(error?.description ?? "")")
        #expect(try Judge.history(folder.path).strays == [])
        #expect(try IcebergTable.open(folder.path).timeline.count == 2)
    }
}

extension Array {
    func replacing(_ at: Int, _ value: Element) -> [Element] {
        var copy = self
        copy[at] = value
        return copy
    }
}
