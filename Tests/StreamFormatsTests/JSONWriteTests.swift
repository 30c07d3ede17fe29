import Foundation
import StreamCore
import StreamFormats
import Testing

@Suite("JSON writing") struct JSONWriteTests {
    static let schema: Schema = [
        Field("b", .boolean), Field("i", .bigint), Field("f", .float), Field("d", .double), Field("c", .decimal(precision: 10, scale: 2)), Field("s", .string),
        Field("x", .bytes), Field("day", .date), Field("t", .time(0)), Field("ts", .timestamp(3)), Field("z", .timestampLTZ(6)), Field("xs", .array(.int)),
        Field("m", .map(key: .string, value: .int)), Field("r", .row([Field("a", .int), Field("n", .string)])),
    ]
    static let row: [Value] = [
        .bool(true), .int(-5), .float(1.5), .double(1e10), .decimal(1_050), .string("a\"b\\\n\u{1f}é/"), .binary([1, 2, 3]), .int(19_723), .int(37_230_000),
        .int(1_704_067_200_120), .int(1_704_067_200_000_000), .array([.int(1), .null]), .map([.init(.string("k"), .int(1)), .init(.string("l"), .null)]), .row([.int(1), .null]),
    ]

    func encoder(_ schema: Schema, _ change: (inout JSONOptions) -> Void = { _ in }) throws -> JSONRecordEncoder {
        var options = JSONOptions()
        change(&options)
        return try JSONRecordEncoder(schema: schema, options: options)
    }

    @Test("fields are written in Flink's form")
    func form() throws {
        let batch = Batch(schema: Self.schema, rows: [Self.row, Self.row.map { _ in .null }])
        let expected = #"""
            {"b":true,"i":-5,"f":1.5,"d":1.0E10,"c":10.50,"s":"a\"b\\\n\u001Fé/","x":"AQID","day":"2024-01-01","t":"10:20:30","ts":"2024-01-01 00:00:00.12","z":"2024-01-01 00:00:00Z","xs":[1,null],"m":{"k":1,"l":null},"r":{"a":1,"n":null}}
            {"b":null,"i":null,"f":null,"d":null,"c":null,"s":null,"x":null,"day":null,"t":null,"ts":null,"z":null,"xs":null,"m":null,"r":null}

            """#
        #expect(try text(encoder(Self.schema), batch) == expected)
        let iso = try text(encoder(Self.schema) { $0.timestamps = .iso8601; $0.ignoreNullFields = true }, batch)
        #expect(iso.contains(#""ts":"2024-01-01T00:00:00.12","z":"2024-01-01T00:00:00Z""#) && iso.contains(#""r":{"a":1}}"#) && iso.hasSuffix("\n{}\n"))
        let special: Schema = [Field("d", .double), Field("f", .float)]
        #expect(try text(encoder(special), Batch(schema: special, rows: [[.double(.nan), .float(-.infinity)]])) == "{\"d\":\"NaN\",\"f\":\"-Infinity\"}\n")
    }

    @Test("null map keys fail, are dropped or get a name")
    func nullKeys() throws {
        let schema: Schema = [Field("m", .map(key: .string, value: .int))]
        let batch = Batch(schema: schema, rows: [[.map([.init(.null, .int(1)), .init(.string("a"), .int(2))])]])
        #expect(failure { _ = try text(encoder(schema), batch) }.contains("json.map-null-key.mode"))
        #expect(try text(encoder(schema) { $0.nullKeys = .drop }, batch) == "{\"m\":{\"a\":2}}\n")
        #expect(try text(encoder(schema) { $0.nullKeys = .literal("x") }, batch) == "{\"m\":{\"x\":1,\"a\":2}}\n")
        #expect(failure { _ = try encoder([Field("m", .map(key: .int, value: .int))]) }.contains("text keys"))
    }

    @Test("selected rows only, and where each ends")
    func selection() throws {
        let schema: Schema = [Field("a", .int)]
        var batch = Batch(schema: schema, rows: [[.int(1)], [.int(22)], [.int(3)]])
        batch.selection = Selection([1, 2])
        var out = EncodedBytes(), ends: [Int] = []
        try encoder(schema).encode(batch, into: &out, ends: &ends)
        #expect(String(decoding: out.bytes, as: UTF8.self) == "{\"a\":22}{\"a\":3}" && ends == [8, 15])
        batch.columns = [.constant(.int(7), type: .int, count: 3)]
        #expect(try text(encoder(schema), batch) == "{\"a\":7}\n{\"a\":7}\n")
    }

    static func randomRow(_ random: inout SeededRandom) -> [Value] {
        func string() -> Value { .string(String((0..<Int.random(in: 0..<30, using: &random)).map { _ in ["a", "\"", "\\", "\n", "\t", "é", "日", "😀", ",", " ", "\u{1}", ";"].randomElement(using: &random)! }.joined())) }
        func int() -> Value { .int(Int64(Int32(truncatingIfNeeded: random.next()))) }
        func finite<T: BinaryFloatingPoint>(_ make: () -> T) -> T { while true { let v = make(); if v.isFinite { return v } } }
        let bytes = (0..<Int.random(in: 0..<20, using: &random)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        let row: [Value] = [
            .bool(Bool.random(using: &random)), .int(Int64(truncatingIfNeeded: random.next())), .float(finite { Float(bitPattern: UInt32(truncatingIfNeeded: random.next())) }),
            .double(finite { Double(bitPattern: random.next()) }), .decimal(Int128.random(in: -9_999_999_999...9_999_999_999, using: &random)), string(), .binary(bytes),
            .int(Int64.random(in: -700_000...2_900_000, using: &random)), .int(Int64.random(in: 0..<86_400, using: &random) * 1_000),
            .int(Int64.random(in: -60_000_000_000_000...200_000_000_000_000, using: &random)), .int(Int64.random(in: -60_000_000_000_000_000...200_000_000_000_000_000, using: &random)),
            .array((0..<Int.random(in: 0..<4, using: &random)).map { _ in Bool.random(using: &random) ? int() : .null }),
            .map((0..<Int.random(in: 0..<4, using: &random)).map { .init(.string("key number \($0)"), int()) }), .row([int(), string()]),
        ]
        return row.map { Int.random(in: 0..<8, using: &random) == 0 ? .null : $0 }
    }

    @Test("what is written is read back, and Foundation can read it", arguments: UInt64(0)..<4, [JSONOptions.TimestampStandard.sql, .iso8601])
    func roundTrip(seed: UInt64, standard: JSONOptions.TimestampStandard) throws {
        var random = SeededRandom(seed)
        let rows = (0..<200).map { _ in Self.randomRow(&random) }
        let written = try text(encoder(Self.schema) { $0.timestamps = standard }, Batch(schema: Self.schema, rows: rows))
        let back = try jsonDecoder(Self.schema) { $0.timestamps = standard }.rows(written)
        try #require(back.count == rows.count)
        for (a, b) in zip(rows, back) {
            // A null ROW is read as null parts too; the boxed form of both is .null.
            #expect(a == b, "seed \(seed)")
        }
        for line in written.split(separator: "\n") { #expect(JSONFuzzTests.parsed(Array(line.utf8)) != nil, "\(line), seed \(seed)") }
    }
}
