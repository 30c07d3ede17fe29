import StreamCore
import Testing
@testable import StreamExpressions

@Suite("CAST and TRY_CAST") struct CoreCastTests {
    private func check(_ e: Expr, _ text: String?, zone: String = "UTC", _ place: Testing.SourceLocation = #_sourceLocation) throws {
        #expect(try SQL.show(e, timeZone: zone) == text, sourceLocation: place)
    }
    private func t(_ text: String) -> Expr { SQL.text(text) }
    private func c(_ e: Expr, _ type: DataType) -> Expr { SQL.cast(e, type) }
    private func tc(_ e: Expr, _ type: DataType) -> Expr { SQL.tryCast(e, type) }

    @Test("between numbers") func numbers() throws {
        try check(c(SQL.decimal("12.7"), .int), "12")
        try check(c(SQL.decimal("-12.7"), .int), "-12")
        try check(c(SQL.decimal("1.005"), .decimal(precision: 5, scale: 2)), "1.01")
        try check(c(SQL.int(300), .tinyint), "44")
        try check(c(SQL.double(1e10), .int), "2147483647")
        try check(c(SQL.double(1e10), .tinyint), "-1")
        try check(c(SQL.double(-1.9), .bigint), "-1")
        try check(c(SQL.double(.nan), .int), "0")
        try check(c(SQL.double(.greatestFiniteMagnitude), .bigint), "9223372036854775807")
        try check(c(SQL.double(-1e300), .bigint), "-9223372036854775808")
        try check(c(c(SQL.decimal("1.999"), .decimal(precision: 10, scale: 3)), .decimal(precision: 10, scale: 1)), "2.0")
        try check(c(SQL.decimal("99999999.99"), .decimal(precision: 4, scale: 1)), nil)
        try check(c(SQL.decimal("-7.50"), .decimal(precision: 4, scale: 1)), "-7.5")
        try check(c(SQL.int(Int64(Int32.max)), .decimal(precision: 12, scale: 2)), "2147483647.00")
        try check(c(SQL.int(1000), .decimal(precision: 4, scale: 2)), nil)
        try check(c(SQL.double(0.1), .decimal(precision: 20, scale: 5)), "0.10000")
        try check(c(SQL.double(.leastNonzeroMagnitude), .decimal(precision: 20, scale: 5)), "0.00000")
        try check(c(SQL.double(1.7976931348623157e308), .decimal(precision: 20, scale: 5)), nil)
        try check(c(c(SQL.decimal("3.5"), .float), .double), "3.5")
        try check(c(SQL.decimal("99999999.99"), .double), "9.999999999E7")
        try check(c(SQL.bool(true), .int), "1")
        try check(c(SQL.int(-7), .boolean), "TRUE")
        try check(c(SQL.int(0), .boolean), "FALSE")
        try check(c(SQL.bigint(.max), .smallint), "-1")
        try check(c(.literal(.null, .null), .decimal(precision: 4, scale: 2)), nil)
    }

    @Test("to text") func toText() throws {
        try check(c(SQL.double(1e20), .string), "1.0E20")
        try check(SQL.double(1), "1.0")
        try check(SQL.double(123_456_789), "1.23456789E8")
        try check(SQL.double(-0.0), "-0.0")
        try check(c(SQL.double(3.4028235e38), .float), "3.4028235E38")
        try check(SQL.bool(true), "TRUE")
        try check(c(t("abc"), .char(5)), "abc  ")
        try check(c(t("abcdef"), .varchar(3)), "abc")
        try check(c(t("ééé"), .varchar(2)), "éé")
        try check(c(SQL.int(12345), .varchar(3)), "123")
        try check(c(SQL.bool(false), .varchar(10)), "FALSE")
        try check(c(SQL.decimal("1.50"), .char(6)), "1.50  ")
        #expect(try SQL.value(c(t("abc"), .bytes)) == .binary(Array("abc".utf8)))
        #expect(try SQL.value(c(t("abc"), .binary(2))) == .binary(Array("ab".utf8)))
        #expect(try SQL.value(c(t("a"), .binary(3))) == .binary([97, 0, 0]))
        try check(c(.literal(.binary([0x61, 0x62, 0x63]), .binary(3)), .string), "abc")
        try check(.literal(.int(18), .intervalYearMonth), "+1-06")
        try check(.literal(.int(-90_061_001), .intervalDayTime), "-1 01:01:01.001")
        let equal = try SQL.call("=", c(t("ab"), .char(4)), t("ab"))
        #expect(try SQL.value(equal) == .bool(false))
        try check(SQL.call("||", SQL.call("||", c(t("x"), .char(1)), c(t("y"), .char(3))), t("z")), "xy  z")
    }

    @Test("text to numbers: spaces are trimmed, digits behind a point dropped, an exponent refused") func fromText() throws {
        try check(c(t("12"), .int), "12")
        try check(c(t(" 12 "), .int), "12")
        try check(c(t("1.9"), .int), "1")
        try check(c(t("-2147483648"), .int), "-2147483648")
        try check(c(t("-9223372036854775808"), .bigint), "-9223372036854775808")
        try check(c(t("+5"), .tinyint), "5")
        for (bad, type) in [("x", DataType.int), ("1e3", .int), ("300", .tinyint), ("", .int), ("-", .bigint), ("1.2.3", .int), ("9223372036854775808", .bigint),
                            ("maybe", .boolean), ("x", .double), ("x", .decimal(precision: 4, scale: 1)), ("1,5", .double)] {
            try check(tc(t(bad), type), nil)
            #expect(errorCode { _ = try SQL.show(c(t(bad), type)) } == .runtime, "CAST('\(bad)' AS \(type))")
            #expect(errorText { _ = try SQL.show(c(t(bad), type)) }?.contains("'\(bad)'") == true)
        }
        #expect(errorText { _ = try SQL.show(c(t("1x2"), .int)) } == "cannot cast '1x2' to INT. Fix: write TRY_CAST(... AS INT) to get NULL for such values.")
        try check(c(t("1.5e3"), .double), "1500.0")
        try check(c(t(" 12.345 "), .decimal(precision: 5, scale: 2)), "12.35")
        try check(c(t("12345.678"), .decimal(precision: 5, scale: 2)), nil)
        for (yes, no) in [("true", "false"), ("T", "f"), ("Yes", "NO"), ("y", "n"), ("1", "0"), (" TRUE ", " False")] {
            try check(c(t(yes), .boolean), "TRUE")
            try check(c(t(no), .boolean), "FALSE")
        }
    }

    @Test("dates and times") func times() throws {
        try check(c(t("2024-1-1"), .date), "2024-01-01")
        try check(c(t("12"), .date), "0012-01-01")
        try check(c(t("2024-02-03 10:00:00"), .date), "2024-02-03")
        try check(tc(t("2024-13-01"), .date), nil)
        try check(tc(t("2024-02-30"), .date), nil)
        try check(c(t("2024-01-01 10:00:00"), .timestamp(3)), "2024-01-01 10:00:00.000")
        try check(c(t("2024-02-29 1:2:3"), .timestamp(0)), "2024-02-29 01:02:03")
        try check(c(t("2024-02-29 12:34:56.789999"), .timestamp(3)), "2024-02-29 12:34:56.789")
        try check(c(t("2024-02-30 00:00:00"), .timestamp(0)), "2024-02-29 00:00:00")
        try check(tc(t("24:00:00"), .time(0)), nil)
        try check(c(t("12:34"), .time(0)), "12:34:00")
        let stamp = c(t("2024-02-29 12:34:56.789123"), .timestamp(6))
        try check(c(stamp, .timestamp(0)), "2024-02-29 12:34:56")
        try check(c(stamp, .timestamp(1)), "2024-02-29 12:34:56.7")
        try check(c(stamp, .timestamp(4)), "2024-02-29 12:34:56.7891")
        try check(c(stamp, .timestamp(9)), "2024-02-29 12:34:56.789123000")
        try check(c(stamp, .date), "2024-02-29")
        try check(c(stamp, .time(0)), "12:34:56")
        try check(c(stamp, .time(3)), "12:34:56.789")
        try check(c(c(t("1969-12-31 23:59:59.999"), .timestamp(3)), .timestamp(0)), "1969-12-31 23:59:59")
        try check(c(c(t("1969-12-31 23:59:59.999"), .timestamp(3)), .date), "1969-12-31")
        try check(c(c(t("2024-02-29"), .date), .timestamp(3)), "2024-02-29 00:00:00.000")
    }

    @Test("TIMESTAMP_LTZ goes by the session's time zone") func localTime() throws {
        let instant = Expr.literal(.int(1_700_000_000_000), .timestampLTZ(3))
        try check(instant, "2023-11-14 22:13:20.000")
        try check(instant, "2023-11-14 23:13:20.000", zone: "Europe/Berlin")
        try check(instant, "2023-11-15 03:43:20.000", zone: "Asia/Kolkata")
        try check(c(instant, .date), "2023-11-15", zone: "Asia/Kolkata")
        try check(c(instant, .time(0)), "03:43:20", zone: "Asia/Kolkata")
        try check(c(instant, .timestamp(0)), "2023-11-14 14:13:20", zone: "America/Los_Angeles")
        #expect(try SQL.value(c(t("2024-07-01 00:00:00"), .timestampLTZ(3)), timeZone: "Europe/Berlin") == .int(1_719_784_800_000))
        #expect(try SQL.value(c(c(t("2024-01-01"), .date), .timestampLTZ(3)), timeZone: "Europe/Berlin") == .int(1_704_063_600_000))
        let round = c(c(c(t("2024-07-01 00:00:00"), .timestamp(0)), .timestampLTZ(3)), .string)
        try check(round, "2024-07-01 00:00:00.000", zone: "Europe/Berlin")
        // A literal is not converted before the session's zone is known.
        let bound = try Binding.cast(.literal(.int(0), .timestamp(3)), to: .timestampLTZ(3))
        #expect(try SQL.value(bound, timeZone: "UTC+2") == .int(-7_200_000))
        #expect(errorText { _ = try SQL.show(instant, timeZone: "Europe/Berlni") }?.contains("write \"Europe/Berlin\"") == true)
    }

    @Test("nested values") func nested() throws {
        let ints = Expr.literal(.array([.int(1), .null]), .array(.int))
        try check(ints, "[1, NULL]")
        try check(.literal(.map([.init(.string("x"), .int(1)), .init(.string("y"), .null)]), .map(key: .string, value: .int)), "{x=1, y=NULL}")
        try check(.literal(.row([.int(1), .string("a")]), .row([Field("a", .int), Field("b", .string)])), "(1, a)")
        try check(.literal(.row([.null, .int(4)]), .row([Field("a", .string), Field("b", .int)])), "(NULL, 4)")
        try check(c(ints, .array(.double)), "[1.0, NULL]")
        try check(c(.literal(.array([.string("1"), .string(" 2")]), .array(.string)), .array(.int)), "[1, 2]")
        #expect(errorText { _ = try SQL.show(c(.literal(.array([.string("1"), .string("z")]), .array(.string)), .array(.int))) }?.contains("'z'") == true)
        let row = DataType.row([Field("a", .int), Field("b", .date)])
        try check(c(.literal(.row([.string("1"), .string("2024-01-02")]), .row([Field("x", .string), Field("y", .string)])), row), "(1, 2024-01-02)")
        #expect(try Expr.field(.literal(.row([.int(1), .null]), row), index: 0, .int).type == .int)
        #expect(try SQL.value(.field(.literal(.row([.int(1), .null]), row), index: 0, .int)) == .int(1))
        // Parts of a null row, or of a row that is not selected, are not looked at.
        let type = DataType.row([Field("x", .string)])
        let column = Column.make([.row([.string("7")]), .null, .row([.string("bad")])], type)
        let evaluator = Evaluator([c(.column(0, type), .row([Field("x", .int)]))], context: EvaluationContext())
        let out = try evaluator.evaluate(Batch(columns: [column], physicalCount: 3, selection: Selection([0, 1])))[0]
        #expect([out.value(at: 0), out.value(at: 1)] == [.row([.int(7)]), .null])
        let lists = Column.make([.array([.string("bad")]), .array([]), .array([.string("5"), .null])], .array(.string))
        let cast = Evaluator([c(.column(0, .array(.string)), .array(.int))], context: EvaluationContext())
        #expect(try cast.evaluate(Batch(columns: [lists], physicalCount: 3, selection: Selection([1, 2])))[0].value(at: 2) == .array([.int(5), .null]))
        #expect(try cast.evaluate(Batch(columns: [lists], physicalCount: 3, selection: Selection([1])))[0].value(at: 1) == .array([]))
    }

    @Test("casts over columns: encodings, nulls, selections") func columns() throws {
        var random = SeededRandom(3)
        let words: [Value] = [.string("1"), .string("22"), .null, .string(" 3 "), .string("4.5")]
        let numbers: [Value] = [.int(1), .int(22), .null, .int(3), .int(4)]
        for encoding in Encoding.allCases {
            let picks = (0..<200).map { _ in Int.random(in: 0..<5, using: &random) }
            let column = Column.make(picks.map { words[$0] }, .string, encoding)
            let rows = encoding == .plain ? nil : Selection((0..<200).filter { $0 % 3 == 0 })
            let batch = Batch(columns: [column], physicalCount: 200, selection: rows)
            let out = try Evaluator([c(.column(0, .string), .int)], context: EvaluationContext()).evaluate(batch)[0]
            for i in 0..<batch.count {
                let row = batch.row(i)
                let wanted = encoding == .constant ? numbers[picks[0]] : numbers[picks[row]]
                #expect(out.value(at: row) == wanted)
            }
        }
        // A dictionary entry that no selected row has must not fail.
        let column = Column.make([.string("1"), .string("bad"), .string("1")], .string, .dictionary)
        let out = try Evaluator([c(.column(0, .string), .int)], context: EvaluationContext())
            .evaluate(Batch(columns: [column], physicalCount: 3, selection: Selection([0, 2])))[0]
        #expect(out.value(at: 2) == .int(1))
    }

    @Test("casts that do not exist are refused with another way") func refused() throws {
        #expect(Casts.isSupported(.int, .string) && Casts.isSupported(.string, .timestampLTZ(3)) && Casts.isSupported(.null, .date))
        #expect(!Casts.isSupported(.date, .int) && !Casts.isSupported(.boolean, .date) && !Casts.isSupported(.array(.int), .int))
        #expect(errorCode { try Casts.check(.timestamp(3), .bigint) } == .validate)
        #expect(errorText { try Casts.check(.bigint, .timestamp(3)) }?.contains("TO_TIMESTAMP_LTZ") == true)
    }
}
