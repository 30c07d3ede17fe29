import Foundation
import StreamCore
import StreamFormats
import Testing

@Suite("JSON reading") struct JSONReadTests {
    static let sensors: Schema = [Field("sensor_id", .int), Field("current_temperature", .double), Field("status", .varchar(6)), Field("event_time", .timestamp(3))]

    @Test("sensor rows as the generator writes them")
    func sensors() throws {
        let decoder = try jsonDecoder(Self.sensors) { $0.timestamps = .iso8601 }
        let rows = try decoder.rows(#"""
            {"sensor_id": 77, "current_temperature": 93.11, "status": "OK", "event_time": "2024-01-01T00:00:00.000Z"}
            {"sensor_id": 99, "current_temperature": -0.5, "status": "WARNING", "event_time": "2021-05-19T11:20:00.978328"}

              {"sensor_id":1,"current_temperature":1e2,"status":null}
            """#)
        #expect(rows == [
            [.int(77), .double(93.11), .string("OK"), .int(1_704_067_200_000)],
            [.int(99), .double(-0.5), .string("WARNING"), .int(1_621_423_200_978)],
            [.int(1), .double(100), .null, .null],
        ])
    }

    @Test("every type, in the forms that Flink takes", arguments: [
        (DataType.boolean, "true", Value.bool(true)), (.boolean, "\"TRUE\"", .bool(true)), (.boolean, "1", .bool(false)), (.boolean, "\"x\"", .bool(false)),
        (.tinyint, "-128", .int(-128)), (.smallint, "\"12\"", .int(12)), (.int, "\" 12 \"", .int(12)), (.int, "1.9", .int(1)), (.int, "-2147483648", .int(-2_147_483_648)),
        (.bigint, "9223372036854775807", .int(.max)), (.bigint, "-9223372036854775808", .int(.min)), (.bigint, "1e3", .int(1_000)),
        (.float, "1.4e-45", .float(.leastNonzeroMagnitude)), (.float, "3.4028235e+38", .float(3.4028235e38)), (.float, "0.1", .float(0.1)), (.float, "\"2.5\"", .float(2.5)),
        (.double, "1.7976931348623157e+308", .double(.greatestFiniteMagnitude)), (.double, "5e-324", .double(.leastNonzeroMagnitude)),
        (.double, "-0.0", .double(-0.0)), (.double, "\"1.5\"", .double(1.5)), (.double, "123456789012345678901234567890", .double(Double("123456789012345678901234567890")!)),
        (.decimal(precision: 10, scale: 2), "99999999.99", .decimal(9_999_999_999)), (.decimal(precision: 10, scale: 2), "\"-10.005\"", .decimal(-1_001)),
        (.decimal(precision: 38, scale: 20), "\"1.5\"", .decimal(150_000_000_000_000_000_000)), (.decimal(precision: 10, scale: 2), "7", .decimal(700)),
        (.decimal(precision: 38, scale: 0), "99999999999999999999999999999999999999", .decimal(99_999_999_999_999_999_999_999_999_999_999_999_999)),
        (.string, "12", .string("12")), (.string, "1.50", .string("1.50")), (.string, "true", .string("true")), (.string, #"{"a" : [1, 1.50, "x\u00e9 \n"]}"#, .string(#"{"a":[1,1.5,"xé \n"]}"#)),
        (.string, #""a\"b\\c\/\b\f\n\r\té""#, .string("a\"b\\c/\u{8}\u{c}\n\r\té")), (.string, #""𝄞 long enough not to be inlined""#, .string("𝄞 long enough not to be inlined")),
        (.string, "\"日本語テキスト\"", .string("日本語テキスト")), (.string, "\"\"", .string("")), (.string, "\"123456789012\"", .string("123456789012")), (.string, "\"1234567890123\"", .string("1234567890123")),
        (.bytes, "\"AQID\"", .binary([1, 2, 3])), (.bytes, "\"AQI=\"", .binary([1, 2])), (.bytes, "\"\"", .binary([])),
        (.date, "\"2024-01-01\"", .int(19_723)), (.time(0), "\"10:20:30.5\"", .int(37_230_000)),
        (.timestamp(6), "\"2024-01-01 00:00:00.1234567\"", .int(1_704_067_200_123_456)), (.timestamp(9), "\"2024-01-01 00:00:00.123\"", .int(1_704_067_200_123_000_000)),
        (.timestamp(0), "\"2024-01-01 00:00:59.9\"", .int(1_704_067_259_000)), (.timestampLTZ(3), "\"2024-01-01 00:00:00.1Z\"", .int(1_704_067_200_100)),
        (.timestamp(3), "\"2023-02-30 00:00:00\"", .int(1_677_542_400_000)), (.timestamp(3), "\"1969-12-31 23:59:59.999\"", .int(-1)),
        (.intervalYearMonth, "14", .int(14)), (.intervalDayTime, "1000", .int(1_000)),
    ])
    func types(type: DataType, json: String, expected: Value) throws {
        let schema: Schema = [Field("v", type)]
        #expect(try jsonDecoder(schema).rows("{\"v\":\(json)}") == [[expected]], "\(json)")
        #expect(try jsonDecoder(schema).rows("{ \"v\" : \(json) }\n") == [[expected]], "\(json)")
        #expect(try jsonDecoder(schema).rows("{\"v\":null}\n{}") == [[.null], [.null]])
    }

    @Test("values that do not fit their type are errors that name field, value and type, or NULL when errors are ignored", arguments: [
        (DataType.int, "\"10.00\""), (.int, "2147483648"), (.int, "true"), (.int, "{}"), (.int, "[1]"), (.int, "\"\""), (.int, "1e10"), (.tinyint, "128"), (.tinyint, "1.9"),
        (.smallint, "40000"), (.bigint, "9223372036854775808"), (.bigint, "-9223372036854775809"), (.bigint, "1e30"), (.double, "\"x\""), (.double, "[]"), (.float, "false"),
        (.decimal(precision: 4, scale: 2), "100"), (.decimal(precision: 4, scale: 2), "\"abc\""), (.decimal(precision: 4, scale: 2), "99.995"),
        (.bytes, "\"a*b=\""), (.bytes, "12"), (.bytes, "\"AQ\""), (.date, "\"2024-02-30\""), (.date, "12"), (.time(0), "\"25:00:00\""), (.timestamp(3), "\"2024-01-01T00:00:00\""),
        (.timestamp(3), "\"2024-01-01\""), (.timestamp(3), "0"), (.timestampLTZ(3), "\"2024-01-01 00:00:00\""), (.timestamp(9), "\"9999-01-01 00:00:00\""), (.timestamp(3), "\"2024-01-01 00:00:60\""),
        (.array(.int), "{}"), (.map(key: .string, value: .int), "[]"), (.row([Field("a", .int)]), "1"), (.boolean, "[]"),
    ])
    func conversionErrors(type: DataType, json: String) throws {
        let schema: Schema = [Field("id", .int), Field("v", type)]
        let line = "{\"id\":1,\"v\":\(json)}"
        let message = failure { _ = try jsonDecoder(schema).rows(line) }
        #expect(message.contains("field \"v\"") && message.contains(json) && message.contains("\(type)"), "\(message)")
        let metrics = OperatorMetrics()
        #expect(try jsonDecoder(schema, metrics: metrics) { $0.ignoreParseErrors = true }.rows(line) == [[.int(1), .null]])
        #expect(metrics.badRecords.get() == 0)
    }

    @Test("text that is not JSON is refused", arguments: [
        "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "{'a':1}", "{\"a\":01}", "{\"a\":-}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":1e}",
        "{\"a\":1e+}", "{\"a\":0x1}", "{\"a\":NaN}", "{\"a\":Infinity}", "{\"a\":tru}", "{\"a\":nul}", "{\"a\":falsy}", "{\"a\":\"x}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{\"a\":\"\\ud800\"}",
        "{\"a\":\"\\udc00\"}", "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"a\tb\"}", "{\"a\":\"\\", "{\"a\":\"\\u", "{\"a\":1}}", "{\"a\":1}{\"a\":2}", "{\"a\":1} x", "[{\"a\":1},]", "[1]", "5", "\"x\"", "nulll",
        "{\"a\":[1,]}", "{\"a\":[1 2]}", "{\"a\":{\"b\":}}", "{\"b\":01}", "{\"b\":[}", "{\"b\":\"\u{1}\"}", "{\"a\":1,\"a\"}", "{\"a\":--1}", "{\"a\":1.2.3}", "{\"a\":1-2}", "{,}", "{\"a\":,}", "[", "[{\"a\":1}", "\u{0}", "{\"a\":1}\u{0}",
        "{\"a\":00}", "{\"a\":-01}", "{\"a\":0 1}",
    ])
    func syntaxErrors(line: String) throws {
        for type in [DataType.int, .double, .string, .array(.int), .timestamp(3)] {
            let schema: Schema = [Field("a", type)]
            #expect(failure { _ = try jsonDecoder(schema).rows(line) }.contains("JSON record at byte 0"), "\(line) as \(type)")
            let metrics = OperatorMetrics()
            let rows = try jsonDecoder([Field("a", .string)], metrics: metrics) { $0.ignoreParseErrors = true }.rows("{\"a\":\"before\"}\n\(line)\n{\"a\":\"after\"}\n")
            #expect(rows == [[.string("before")], [.string("after")]], "\(line)")
            #expect(metrics.badRecords.get() == 1)
            let decoder = try jsonDecoder(schema) { $0.ignoreParseErrors = true }
            let bytes = Array(line.utf8)
            #expect(try decoder.decode(records: [0..<bytes.count], in: buffer(bytes)).batch.count == 0, "\(line) as a message")
        }
    }

    @Test("bytes that are not UTF-8 are refused, wherever they are", arguments: [
        [0x80], [0xC0, 0x80], [0xC1, 0xBF], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF], [0xC3], [0xE2, 0x82], [0xF0, 0x9F, 0x98],
    ] as [[UInt8]])
    func notUTF8(bad: [UInt8]) throws {
        for (before, after) in [("{\"a\":\"", "\"}"), ("{\"a\":\"longer than one word ", " and more\"}"), ("{\"b\":\"", "\"}"), ("{\"", "\":1}"), ("{\"a\":\"\\n", "\"}")] {
            let bytes = Array(before.utf8) + bad + Array(after.utf8)
            #expect(failure { _ = try jsonDecoder([Field("a", .string)]).rows(bytes) }.contains("not well-formed"), "\(before)")
        }
    }

    @Test("nested types")
    func nested() throws {
        let schema: Schema = [
            Field("xs", .array(.int)), Field("m", .map(key: .string, value: .int)), Field("rs", .array(.row([Field("n", .int), Field("s", .string)]))),
            Field("r", .row([Field("c", .string), Field("g", .row([Field("lat", .double)]))])), Field("deep", .array(.array(.string))),
        ]
        let rows = try jsonDecoder(schema).rows(#"""
            {"xs":[1,null,3],"m":{"x":1,"y":null,"x":7},"rs":[{"n":1,"s":"p"},{"s":"q","n":2},null],"r":{"c":"Oslo","g":{"lat":1.5}},"deep":[["a"],[],null,["b","c"]]}
            {"xs":[],"m":{},"rs":[],"r":{"c":null,"g":null},"deep":[]}
            {"r":{"g":{"other":1}},"xs":[4],"xs":[5,6]}
            """#)
        #expect(rows[0] == [
            .array([.int(1), .null, .int(3)]), .map([.init(.string("x"), .int(7)), .init(.string("y"), .null)]),
            .array([.row([.int(1), .string("p")]), .row([.int(2), .string("q")]), .null]), .row([.string("Oslo"), .row([.double(1.5)])]),
            .array([.array([.string("a")]), .array([]), .null, .array([.string("b"), .string("c")])]),
        ])
        #expect(rows[1] == [.array([]), .map([]), .array([]), .row([.null, .null]), .array([])])
        #expect(rows[2] == [.array([.int(5), .int(6)]), .null, .null, .row([.null, .row([.null])]), .null])
        let many = (0..<100).map { "\"k\($0 % 60)\":\($0)" }.joined(separator: ",")
        guard case .map(let entries) = try jsonDecoder([Field("m", .map(key: .string, value: .bigint))]).rows("{\"m\":{\(many)}}")[0][0] else { return }
        #expect(entries.count == 60 && entries[5].value == .int(65) && entries[50].value == .int(50))
    }

    @Test("a bad record in the middle of nested values leaves no trace")
    func rollback() throws {
        let schema: Schema = [Field("a", .array(.array(.int))), Field("r", .row([Field("x", .array(.string)), Field("y", .int)]))]
        let good = #"{"a":[[1],[2,3]],"r":{"x":["p"],"y":1}}"#
        let decoder = try jsonDecoder(schema) { $0.ignoreParseErrors = true }
        var text = ""
        for cut in 1..<good.utf8.count { text += good + "\n" + String(good.prefix(cut)) + "\n" }
        let rows = try decoder.rows(text, maxRows: 10_000)
        #expect(rows.count == good.utf8.count - 1)
        #expect(rows.allSatisfy { $0 == [.array([.array([.int(1)]), .array([.int(2), .int(3)])]), .row([.array([.string("p")]), .int(1)])] })
    }

    @Test("names: order, duplicates, escapes, unknown and near-identical ones")
    func names() throws {
        let schema: Schema = [Field("a", .int), Field("a b", .int), Field("quo\"te", .int), Field("averylongfieldname_1", .int), Field("averylongfieldname_2", .int), Field("é", .int), Field("", .int)]
        let rows = try jsonDecoder(schema).rows(#"""
            {"a":1,"a b":2,"quo\"te":3,"averylongfieldname_1":4,"averylongfieldname_2":5,"é":6,"":7}
            {"":7,"\u00e9":6,"averylongfieldname_2":5,"averylongfieldname_1":4,"quo\u0022te":3,"a b":2,"\u0061":1}
            {"A":9,"aa":9,"averylongfieldname_":9,"averylongfieldname_12":9,"a":8,"x":{"a":9},"a":1}
            """#)
        #expect(rows[0] == (1...7).map { .int($0) })
        #expect(rows[1] == rows[0])
        #expect(rows[2] == [.int(1), .null, .null, .null, .null, .null, .null])
        // Beyond what is learned of unwanted names.
        let wide = (0..<600).map { "\"field\($0)\":\($0)" }.joined(separator: ",")
        #expect(try jsonDecoder([Field("field599", .int), Field("field0", .int)]).rows("{\(wide)}\n{\(wide)}") == [[.int(599), .int(0)], [.int(599), .int(0)]])
    }

    @Test("projection keeps order, and decodes nothing else")
    func projection() throws {
        let schema: Schema = [Field("a", .int), Field("b", .int), Field("c", .string)]
        let line = #"{"a":"not a number","b":2,"c":"x"}"#
        #expect(try jsonDecoder(schema, projection: [2, 1]).rows(line) == [[.string("x"), .int(2)]])
        #expect(try jsonDecoder(schema, projection: [1, 1]).rows(line) == [[.int(2), .int(2)]])
        #expect(try jsonDecoder(schema, projection: []).rows(line + "\n" + line) == [[], []])
        #expect(failure { _ = try jsonDecoder(schema, projection: [2]).rows(#"{"a":01,"c":"x"}"#) }.contains("not well-formed"))
    }

    @Test("missing fields")
    func missing() throws {
        let schema: Schema = [Field("a", .int), Field("r", .row([Field("x", .int)]))]
        let fails = try jsonDecoder(schema) { $0.failOnMissingField = true }
        #expect(try fails.rows(#"{"a":null,"r":{"x":1}}"#) == [[.null, .row([.int(1)])]])
        #expect(failure { _ = try fails.rows(#"{"r":{"x":1}}"#) }.contains("field \"a\" is missing"))
        #expect(failure { _ = try fails.rows(#"{"a":1,"r":{}}"#) }.contains("missing"))
    }

    @Test("cutting the input at any byte changes nothing")
    func chunkBoundaries() throws {
        let text = "{\"s\":\"ab\",\"n\":12}\r\n\n{\"s\":\"a longer text with \\u00e9 é\",\"n\":-3}\n[{\"s\":\"x\"},{\"n\":5}]\nnull\n{\"n\":6,\"s\":null}"
        let schema: Schema = [Field("s", .string), Field("n", .int)]
        let bytes = Array(text.utf8)
        let whole = try jsonDecoder(schema).rows(bytes)
        #expect(whole.count == 5)
        let decoder = try jsonDecoder(schema)
        for cut in 0...bytes.count { #expect(try decoder.rows(bytes, cutAt: cut) == whole, "cut at \(cut)") }
        #expect(try decoder.decode(chunk: buffer(bytes), range: 0..<10, isLast: false, maxRows: 5).consumed == 0)
    }

    @Test("messages: blanks give no row, newlines are spaces, arrays give several rows")
    func messages() throws {
        let decoder = try jsonDecoder([Field("a", .int)])
        let texts = ["{\"a\":1}", "", "  \n", "{\n\"a\"\n:\n2\n}\n", "[{\"a\":3},{\"a\":4}]", "null", "{}"]
        var bytes: [UInt8] = [], ranges: [Range<Int>] = []
        for text in texts {
            ranges.append(bytes.count..<(bytes.count + text.utf8.count))
            bytes += Array(text.utf8)
        }
        let (batch, records) = try decoder.decode(records: ranges, in: buffer(bytes))
        #expect(batch.rows() == [[.int(1)], [.int(2)], [.int(3)], [.int(4)], [.null]])
        #expect(records == [0, 3, 4, 4, 6])
    }

    @Test("bad records can be taken aside, with their bytes, place and reason")
    func deadLetters() throws {
        let decoder = try jsonDecoder([Field("a", .int)])
        var bad: [BadRecord] = []
        decoder.onBadRecord = { bad.append($0) }
        #expect(try decoder.rows("{\"a\":1}\n{\"a\":\"x\"}\noops\n{\"a\":2}") == [[.int(1)], [.int(2)]])
        #expect(bad.map { String(decoding: $0.bytes, as: UTF8.self) } == ["{\"a\":\"x\"}", "oops"])
        #expect(bad.map(\.offset) == [8, 18])
        #expect(bad[0].reason.contains("cannot be read as INT"))
    }

    @Test("deep nesting is refused, not a crash")
    func depth() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            func line(_ n: Int) -> String { "{\"x\":" + String(repeating: open, count: n) + "1" + String(repeating: close, count: n) + "}" }
            #expect(try jsonDecoder([Field("b", .int)]).rows(line(900)) == [[.null]])
            #expect(failure { _ = try jsonDecoder([Field("b", .int)]).rows(line(100_000)) }.contains("deeper than 1000"))
        }
    }
}
