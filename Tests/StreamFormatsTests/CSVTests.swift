import Foundation
import StreamCore
import StreamFormats
import Testing

@Suite("CSV") struct CSVTests {
    static let schema: Schema = [Field("id", .int), Field("name", .string), Field("price", .decimal(precision: 8, scale: 2)), Field("ts", .timestamp(3))]

    @Test("plain, quoted and escaped fields")
    func fields() throws {
        let rows = try csvDecoder(Self.schema).rows("""
            1,plain,1.5,2024-01-01 00:00:00
            2,"with, comma and ""quotes""\",2,"2024-01-01 00:00:00.123456"\r
            3,"two
            lines",3, 2024-01-01 00:00:00

             4 ,é,4.005,2024-01-01 00:00:00
            """)
        #expect(rows == [
            [.int(1), .string("plain"), .decimal(150), .int(1_704_067_200_000)], [.int(2), .string("with, comma and \"quotes\""), .decimal(200), .int(1_704_067_200_123)],
            [.int(3), .string("two\nlines"), .decimal(300), .int(1_704_067_200_000)], [.int(4), .string("é"), .decimal(401), .int(1_704_067_200_000)],
        ])
        let escaped = try csvDecoder([Field("a", .string), Field("b", .string)]) { $0.escape = UInt8(ascii: "\\"); $0.delimiter = UInt8(ascii: ";") }
        #expect(try escaped.rows(#"a\;b;"c\"d\n""#) == [[.string("a;b"), .string("c\"d\n")]])
        let unquoted = try csvDecoder([Field("a", .string), Field("b", .string)]) { $0.quote = nil }
        #expect(try unquoted.rows("\"a,b\"") == [[.string("\"a"), .string("b\"")]])
    }

    @Test("wrong numbers of fields, and fields that do not fit")
    func errors() throws {
        let schema: Schema = [Field("id", .int), Field("name", .string)]
        #expect(failure { _ = try csvDecoder(schema).rows("1") }.contains("it has 1 fields, but the table has 2 columns"))
        #expect(failure { _ = try csvDecoder(schema).rows("1,a,b") }.contains("more than 2 fields"))
        #expect(failure { _ = try csvDecoder(schema).rows("x,a") }.contains("field \"id\": \"x\" cannot be read as INT"))
        #expect(failure { _ = try csvDecoder(schema).rows(",a") }.contains("csv.null-literal"))
        #expect(failure { _ = try csvDecoder(schema).rows("1,\"a") }.contains("not closed"))
        #expect(failure { _ = try csvDecoder(schema).rows([49, 44, 0xFF]) }.contains("not UTF-8"))
        let metrics = OperatorMetrics()
        let lenient = try csvDecoder(schema, metrics: metrics) { $0.ignoreParseErrors = true }
        #expect(try lenient.rows("1\n2,b,c\nx,d\n3,\"e\"f\n4,g") == [[.int(1), .null], [.null, .string("d")], [.int(4), .string("g")]])
        #expect(metrics.badRecords.get() == 2)
        var bad: [BadRecord] = []
        let aside = try csvDecoder(schema)
        aside.onBadRecord = { bad.append($0) }
        #expect(try aside.rows("1\n2,b\n") == [[.int(2), .string("b")]])
        #expect(bad.count == 1 && bad[0].bytes == [49] && bad[0].offset == 0)
    }

    @Test("null literals, comments, headers and arrays")
    func options() throws {
        let schema: Schema = [Field("id", .int), Field("xs", .array(.int)), Field("s", .string)]
        let decoder = try csvDecoder(schema) {
            $0.nullLiteral = Array("NULL".utf8)
            $0.allowComments = true
            $0.header = true
        }
        let file = "id,xs,s\n# a comment, with more, fields, than fit\n1,1;NULL;3,NULL\nNULL,,x\n"
        #expect(try decoder.rows(file) == [[.int(1), .array([.int(1), .null, .int(3)]), .null], [.null, .array([]), .string("x")]])
        decoder.startFile("t.csv")
        #expect(try decoder.rows(file).count == 2)
        #expect(try csvDecoder([Field("i", .int), Field("s", .string)]) { $0.nullLiteral = [] }.rows(",") == [[.null, .null]])
        #expect(try csvDecoder(schema, projection: [2, 0]).rows("1,bad,x") == [[.string("x"), .int(1)]])
        #expect(failure { _ = try csvDecoder([Field("m", .map(key: .string, value: .int))]) }.contains("CSV has no form"))
    }

    @Test("cutting the input at any byte changes nothing")
    func boundaries() throws {
        let bytes = Array("1,\"a \"\"quoted\"\"\r\nfield, long\",1.5,2024-01-01 00:00:00\r\n2,b,2,2024-01-01 00:00:00\n3,\"c\",3,2024-01-01 00:00:00".utf8)
        let whole = try csvDecoder(Self.schema).rows(bytes)
        #expect(whole.count == 3)
        for cut in 0...bytes.count { #expect(try csvDecoder(Self.schema).rows(bytes, cutAt: cut) == whole, "cut at \(cut)") }
    }

    @Test("messages")
    func messages() throws {
        let bytes = Array("1,aa2,b\n".utf8)
        let (batch, records) = try csvDecoder([Field("id", .int), Field("s", .string)]).decode(records: [0..<4, 4..<4, 4..<8], in: buffer(bytes))
        #expect(batch.rows() == [[.int(1), .string("aa")], [.int(2), .string("b")]] && records == [0, 2])
    }

    @Test("quoting as Flink does it")
    func writing() throws {
        let schema: Schema = [Field("s", .string), Field("d", .double), Field("ts", .timestamp(3)), Field("day", .date), Field("xs", .array(.int))]
        func written(_ row: [Value], _ change: (inout CSVOptions) -> Void = { _ in }) throws -> String {
            var options = CSVOptions()
            change(&options)
            return try text(CSVRecordEncoder(schema: schema, options: options), Batch(schema: schema, rows: [row]))
        }
        #expect(try written([.string("plain"), .double(1e10), .int(1_704_067_200_500), .int(19_723), .array([.int(1), .null])])
            == "plain,1.0E10,\"2024-01-01 00:00:00.5\",2024-01-01,1;\n")
        #expect(try written([.string("a \"b\", c"), .null, .null, .null, .null]) == "\"a \"\"b\"\", c\",,,,\n")
        #expect(try written([.string("a \"b\", c"), .null, .null, .null, .null]) { $0.escape = UInt8(ascii: "\\"); $0.nullLiteral = Array("n/a".utf8) }
            == "\"a \"\"b\"\", c\",n/a,n/a,n/a,n/a\n")
        var header = CSVOptions()
        header.header = true
        var out = EncodedBytes()
        try CSVRecordEncoder(schema: schema, options: header).startFile(into: &out)
        #expect(String(decoding: out.bytes, as: UTF8.self) == "s,d,ts,day,xs\n")
    }

    @Test("what is written is read back", arguments: UInt64(0)..<4, [false, true])
    func roundTrip(seed: UInt64, withEscape: Bool) throws {
        var random = SeededRandom(seed)
        let schema = Array(JSONWriteTests.schema.prefix(12))
        // An array of one NULL is written as NULL is: CSV cannot tell them apart.
        let rows = (0..<200).map { _ in JSONWriteTests.randomRow(&random).prefix(12).map { $0 == .array([.null]) ? .null : $0 } }
        var options = CSVOptions()
        options.nullLiteral = Array("null".utf8)
        if withEscape { options.escape = UInt8(ascii: "\\") }
        let written = try text(CSVRecordEncoder(schema: schema, options: options), Batch(schema: schema, rows: rows))
        let back = try CSVRecordDecoder(schema: schema, projection: Array(schema.indices), options: options, metrics: OperatorMetrics()).rows(written)
        try #require(back.count == rows.count)
        for (a, b) in zip(rows, back) { #expect(a == b, "seed \(seed)") }
    }

    @Test("random bytes never crash", arguments: UInt64(0)..<4)
    func noise(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let decoder = try csvDecoder(Self.schema) { $0.ignoreParseErrors = true; $0.escape = UInt8(ascii: "\\"); $0.allowComments = true }
        let alphabet = Array("\",,\n\r\\#1a; ".utf8) + [0xC3, 0xA9]
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0..<60, using: &random)).map { _ in alphabet.randomElement(using: &random)! }
            let whole = try decoder.rows(bytes)
            let cut = Int.random(in: 0...bytes.count, using: &random)
            #expect(try decoder.rows(bytes, cutAt: cut) == whole, "\(bytes) cut at \(cut), seed \(seed)")
        }
    }
}

@Suite("Raw records and the choice of formats") struct RawTests {
    @Test("text lines, and binary numbers in both byte orders")
    func raw() throws {
        let text = try FormatFactory.decoder(for: table([Field("line", .string)], ["format": "raw"]), projection: [0], metrics: OperatorMetrics())
        #expect(try text.rows("one\n\na line that is longer than a view\nlast") == [[.string("one")], [.string("")], [.string("a line that is longer than a view")], [.string("last")]])
        #expect(failure { _ = try text.rows([0xFF, 10]) }.contains("not UTF-8"))
        for (order, expected) in [("big-endian", Int64(1)), ("little-endian", 0x0100_0000)] {
            let number = table([Field("n", .int)], ["format": "raw", "raw.endianness": order])
            let decoder = try FormatFactory.decoder(for: number, projection: [0], metrics: OperatorMetrics())
            let (batch, records) = try decoder.decode(records: [1..<5], in: buffer([9, 0, 0, 0, 1]))
            #expect(batch.rows() == [[.int(expected)]] && records == [0])
            #expect(failure { _ = try decoder.decode(records: [0..<5], in: buffer([9, 0, 0, 0, 1])) }.contains("has 5 bytes, but a INT has 4"))
            var out = EncodedBytes(), ends: [Int] = []
            try FormatFactory.encoder(for: number).encode(batch, into: &out, ends: &ends)
            #expect(Array(out.bytes) == [0, 0, 0, 1] && ends == [4])
        }
    }

    @Test("options are checked when a table is made", arguments: [
        (["format": "json", "json.timestamp-format.standard": "RFC-1123"], "RFC-1123"), ([:], "format"), (["format": "jsn"], "\"json\""),
        (["format": "json", "json.fail-on-missing-field": "true", "json.ignore-parse-errors": "true"], "both true"), (["format": "json", "json.ignore-parse-errors": "yes"], "'yes'"),
        (["format": "json", "json.map-null-key.mode": "KEEP"], "KEEP"), (["format": "csv", "csv.field-delimiter": "ab"], "'ab'"), (["format": "csv", "csv.field-delimiter": "\""], "must differ"),
        (["format": "csv", "csv.disable-quote-character": "true", "csv.quote-character": "'"], "contradict"), (["format": "raw", "raw.charset": "latin1"], "latin1"),
    ])
    func options(options: [String: String], mention: String) {
        do {
            try FormatFactory.validate(table([Field("s", .string)], options))
            Issue.record("\(options) was taken")
        } catch {
            #expect((error as? StreamError)?.code == .validate && "\(error)".contains(mention), "\(error)")
        }
    }

    @Test("keys, prefixes and tab delimiters")
    func keys() throws {
        #expect(FormatFactory.optionKeys(for: "json").isSuperset(of: ["format", "json.ignore-parse-errors"]))
        #expect(FormatFactory.optionKeys(for: "csv", prefix: "value.").contains("value.csv.header"))
        #expect(FormatFactory.optionKeys(for: nil) == ["format"])
        let descriptor = table([Field("a", .int), Field("b", .int)], ["value.format": "csv", "value.csv.field-delimiter": "\\t"])
        #expect(try FormatFactory.decoder(for: descriptor, projection: [1, 0], metrics: OperatorMetrics(), prefix: "value.").rows("1\t2") == [[.int(2), .int(1)]])
        #expect(failure { try FormatFactory.validate(table([Field("a", .int), Field("b", .int)], ["format": "raw"])) }.contains("exactly one column"))
    }
}
