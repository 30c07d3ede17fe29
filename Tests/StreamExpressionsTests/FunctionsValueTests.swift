import StreamCore
import Testing
@testable import StreamExpressions

/// Values that depend on the session, on state or on sizes, which the tables do not cover.
struct FunctionValueTests {
    private func show(_ expression: String, in zone: String) throws -> String? { try SQL.show(try ExpressionReader.bind(expression), timeZone: zone) }

    @Test func sessionTimeZone() throws {
        let berlin = "Europe/Berlin"
        #expect(try show("UNIX_TIMESTAMP('2024-02-29 00:00:00')", in: berlin) == "1709161200")
        #expect(try show("FROM_UNIXTIME(0)", in: berlin) == "1970-01-01 01:00:00")
        #expect(try show("FROM_UNIXTIME(1719835200, 'HH:mm z Z XXX')", in: berlin) == "14:00 Europe/Berlin +0200 +02:00")
        #expect(try show("DATE_FORMAT(TO_TIMESTAMP_LTZ(0, 3), 'yyyy-MM-dd HH:mm')", in: berlin) == "1970-01-01 01:00")
        #expect(try show("TO_TIMESTAMP_LTZ('2024-02-29 12:00:00')", in: berlin) == "2024-02-29 13:00:00.000")
        #expect(try show("EXTRACT(HOUR FROM TO_TIMESTAMP_LTZ(0, 3))", in: "America/New_York") == "-5")
        #expect(try show("FLOOR(TO_TIMESTAMP_LTZ(1711843200000, 3) TO DAY)", in: berlin) == "2024-03-31 00:00:00.000")
        // The clocks change at 01:00 UTC that day; the offset after the change is taken off, as in Flink.
        #expect(try show("FLOOR(TO_TIMESTAMP_LTZ(1711886400000, 3) TO DAY)", in: berlin) == "2024-03-30 23:00:00.000")
    }

    @Test func clockIsReadOncePerBatch() throws {
        let context = EvaluationContext(timeZone: "Europe/Berlin", now: { 1_709_251_199_999 })
        func value(_ name: String) throws -> Value {
            let column = try Evaluator([try FunctionRegistry.builtin.bind(name, [])], context: context).evaluate(Batch(columns: [], physicalCount: 3))[0]
            #expect(column.count == 3 && column.value(at: 0) == column.value(at: 2))
            return column.value(at: 1)
        }
        for name in ["CURRENT_TIMESTAMP", "NOW", "CURRENT_ROW_TIMESTAMP", "PROCTIME"] { #expect(try value(name) == .int(1_709_251_199_999)) }
        #expect(try value("LOCALTIMESTAMP") == .int(1_709_254_799_999))
        #expect(try value("CURRENT_DATE") == .int(19_783))
        #expect(try value("CURRENT_TIME") == .int(3_599_000))
        #expect(try value("UNIX_TIMESTAMP") == .int(1_709_251_199))
    }

    @Test func randomNumbersFollowTheirSeed() throws {
        let evaluator = Evaluator([try SQL.call("RAND", SQL.int(1)), try SQL.call("RAND_INTEGER", SQL.int(1), SQL.int(10)), try SQL.call("RAND")],
                                  context: EvaluationContext())
        let columns = try evaluator.evaluate(Batch(columns: [], physicalCount: 2))
        // java.util.Random(1) gives these.
        #expect(columns[0].value(at: 0) == .double(0.7308781907032909) && columns[0].value(at: 1) == .double(0.41008081149220166))
        #expect(columns[1].value(at: 0) == .int(5) && columns[1].value(at: 1) == .int(8))
        #expect(try evaluator.evaluate(Batch(columns: [], physicalCount: 1))[0].value(at: 0) == .double(0.20771484130971707))
        for i in 0..<2 { if case .double(let d) = columns[2].value(at: i) { #expect((0..<1).contains(d)) } else { Issue.record("no DOUBLE") } }
    }

    @Test func uuids() throws {
        let column = try Evaluator([try SQL.call("UUID")], context: EvaluationContext()).evaluate(Batch(columns: [], physicalCount: 100))[0]
        let all = (0..<100).map { column.value(at: $0) }
        #expect(Set(all).count == 100)
        for case .string(let s) in all { #expect(s.wholeMatch(of: /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/) != nil, "\(s)") }
    }

    /// Digests of texts that need one, two and many blocks.
    @Test func digestsOfAllLengths() throws {
        let million = String(repeating: "a", count: 1_000_000)
        #expect(try SQL.show(SQL.call("MD5", SQL.text(million))) == "7707d6ae4e027c70eea2a935c2296f21")
        #expect(try SQL.show(SQL.call("SHA1", SQL.text(million))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f")
        #expect(try SQL.show(SQL.call("SHA256", SQL.text(million))) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
        #expect(try SQL.show(SQL.call("SHA512", SQL.text(String(repeating: "a", count: 111))))
            == "fa9121c7b32b9e01733d034cfc78cbf67f926c7ed83e82200ef86818196921760b4beff48404df811b953828274461673c68d04e297b0eb7b2b4d60fc6b566a2")
        #expect(try SQL.show(SQL.call("SHA512", SQL.text(String(repeating: "a", count: 112))))
            == "c01d080efd492776a1c43bd23dd99d0a2e626d481e16782e75d54c2503b5dc32bd05f0f1ba33e568b88fd2d970929b719ecbb152f58f130a407c8830604b70ca")
    }

    @Test func base64AndHexOfRandomBytes() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for n in 0..<80 {
            let bytes = (0..<n).map { _ in UInt8.random(in: 0x20..<0x7F, using: &random) }
            let text = SQL.text(String(decoding: bytes, as: UTF8.self))
            #expect(try SQL.value(SQL.call("FROM_BASE64", SQL.call("TO_BASE64", text))) == .string(String(decoding: bytes, as: UTF8.self)), "seed \(seed)")
            #expect(try SQL.value(SQL.call("UNHEX", SQL.call("HEX", text))) == .binary(bytes), "seed \(seed)")
        }
    }

    @Test func encodings() throws {
        func encode(_ set: String) throws -> Value { try SQL.value(SQL.call("ENCODE", SQL.text("aé😀"), SQL.text(set))) }
        #expect(try encode("UTF-8") == .binary(Array("aé😀".utf8)))
        #expect(try encode("US-ASCII") == .binary(Array("a??".utf8)))
        #expect(try encode("iso-8859-1") == .binary([0x61, 0xE9, 0x3F]))
        #expect(try encode("UTF-16") == .binary([0xFE, 0xFF, 0, 0x61, 0, 0xE9, 0xD8, 0x3D, 0xDE, 0]))
        #expect(try encode("UTF-16LE") == .binary([0x61, 0, 0xE9, 0, 0x3D, 0xD8, 0, 0xDE]))
        for set in ["UTF-8", "UTF-16", "UTF-16BE", "UTF-16LE"] {
            #expect(try SQL.value(SQL.call("DECODE", SQL.call("ENCODE", SQL.text("aé😀"), SQL.text(set)), SQL.text(set))) == .string("aé😀"), "\(set)")
        }
    }

    /// LIKE against a slow model, on random patterns.
    @Test func likeMatchesTheModel() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        func matches(_ t: ArraySlice<Character>, _ p: ArraySlice<Character>) -> Bool {
            guard let c = p.first else { return t.isEmpty }
            if c == "%" { return matches(t, p.dropFirst()) || (!t.isEmpty && matches(t.dropFirst(), p)) }
            guard let d = t.first else { return false }
            return (c == "_" || c == d) && matches(t.dropFirst(), p.dropFirst())
        }
        for _ in 0..<4_000 {
            let text = String((0..<Int.random(in: 0...8, using: &random)).map { _ in "abé".randomElement(using: &random)! })
            let pattern = String((0..<Int.random(in: 0...6, using: &random)).map { _ in "abé%_%".randomElement(using: &random)! })
            let like = try Array(pattern.utf8).withUnsafeBytes { try LikePattern($0) }
            let column = like.match(Column.make([.string(text)], .string), RowSet(nil, count: 1))
            let expected = matches(Array(text)[...], Array(pattern)[...])
            #expect(column.value(at: 0) == .bool(expected), "'\(text)' LIKE '\(pattern)', seed \(seed)")
            #expect(Array(text.utf8).withUnsafeBytes { like.matches($0) } == expected, "'\(text)' LIKE '\(pattern)', seed \(seed)")
        }
    }

    /// ROUND of DOUBLEs gives what rounding the shortest decimal text gives, on the fast and the exact way.
    @Test func roundMatchesDecimalText() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededRandom(seed)
        for _ in 0..<20_000 {
            let places = Int.random(in: 0...6, using: &random)
            let x = Double(Int64.random(in: -100_000_000...100_000_000, using: &random)) / [1, 8, 10, 1_000, 100_000, 10_000_000].randomElement(using: &random)!
            let text = Array(NumberText.string(x).utf8)
            guard let expected = text.withUnsafeBytes({ NumberText.parseDecimal($0, precision: 38, scale: places) }) else { continue }
            let shown = Array(NumberText.string(decimal: expected, scale: places).utf8).withUnsafeBytes { NumberText.parseDouble($0)! }
            #expect(Rounding.halfUp.rounded(x, to: places) == shown, "ROUND(\(x), \(places)), seed \(seed)")
        }
    }

    @Test func resultTypes() throws {
        func type(_ expression: String) throws -> String { try ExpressionReader.bind(expression).type.description }
        #expect(try type("ROUND(1234.567, 1)") == "DECIMAL(6, 1)")
        #expect(try type("ROUND(1234.567)") == "DECIMAL(5, 0)")
        #expect(try type("CEIL(12.345)") == "DECIMAL(5, 0)")
        #expect(try type("SIGN(-2.5)") == "DECIMAL(2, 1)")
        #expect(try type("SUBSTRING('hello', 2)") == "VARCHAR(5)")
        #expect(try type("OVERLAY('abcdef' PLACING 'XX' FROM 3)") == "VARCHAR(8)")
        #expect(try type("MD5('a')") == "CHAR(32)")
        #expect(try type("YEAR(DATE '2024-01-01')") == "BIGINT")
        #expect(try type("TIMESTAMPADD(HOUR, 1, DATE '2024-01-31')") == "TIMESTAMP(6)")
        #expect(try type("TO_TIMESTAMP_LTZ(1, 6)") == "TIMESTAMP_LTZ(6)")
        #expect(try type("MAP_ENTRIES(MAP['a', 1])") == "ARRAY<ROW<key CHAR(1), value INT>>")
        #expect(try type("ARRAY[1, 2.5]") == "ARRAY<DECIMAL(11, 1)>")
    }

    /// SUBSTRING, TRIM and their like share the memory of their argument instead of copying it.
    @Test func partsShareMemory() throws {
        let column = Column.make([.string("  a text that is longer than a view  ")], .string)
        let result = try Evaluator([try SQL.call("SUBSTRING", .column(0, .string), SQL.int(3), SQL.int(30))], context: EvaluationContext())
            .evaluate(Batch(columns: [column], physicalCount: 1))[0]
        #expect(result.heaps.count == 1 && result.heaps[0] === column.heaps[0])
        #expect(result.value(at: 0) == .string("a text that is longer than a v"))
    }

    /// Good, malformed, empty and null documents side by side: a row must not see what an earlier one left behind.
    @Test func jsonOfMixedRows() throws {
        let documents: [Value] = [.string(#"{"s":"hi","a":{"b":[1,2,3]}}"#), .string(#"{"a":{"b":[]}}"#), .string("nojson"), .null, .string("[1,2"), .string(""),
                                  .string(#"{"a":{"b":[0,"7"]}}"#), .string("[]"), .string(#"{"a":{"b":[0,99999999999]}}"#)]
        let e = Expr.column(0, .string), path = SQL.text("$.a.b[1]")
        var int = FunctionOptions(), boolean = FunctionOptions(), double = FunctionOptions()
        (int.returning, boolean.returning, double.returning) = (.int, .boolean, .double)
        let registry = FunctionRegistry.builtin
        let exprs = try [registry.bind("JSON_VALUE", [e, path], options: int), registry.bind("JSON_VALUE", [e, path], options: double),
                         registry.bind("JSON_VALUE", [e, path], options: boolean), registry.bind("JSON_VALUE", [e, path]),
                         registry.bind("JSON_QUERY", [e, SQL.text("$.a.b")]), registry.bind("JSON_EXISTS", [e, SQL.text("$.a")])]
        for encoding in [Encoding.plain, .dictionary] {
            let batch = Batch(columns: [.make(documents, .string, encoding)], physicalCount: documents.count)
            let columns = try Evaluator(exprs, context: EvaluationContext()).evaluate(batch)
            func values(_ i: Int) -> [Value] { documents.indices.map { columns[i].value(at: $0) } }
            #expect(values(0) == [.int(2), .null, .null, .null, .null, .null, .int(7), .null, .null])
            #expect(values(1) == [.double(2), .null, .null, .null, .null, .null, .double(7), .null, .double(99_999_999_999)])
            #expect(values(2) == Array(repeating: .null, count: 9))
            #expect(values(3) == [.string("2"), .null, .null, .null, .null, .null, .string("7"), .null, .string("99999999999")])
            #expect(values(4) == [.string("[1,2,3]"), .string("[]"), .null, .null, .null, .null, .string(#"[0,"7"]"#), .null, .string("[0,99999999999]")])
            #expect(values(5) == [.bool(true), .bool(true), .bool(false), .null, .bool(false), .bool(false), .bool(true), .bool(false), .bool(true)])
        }
    }
}
