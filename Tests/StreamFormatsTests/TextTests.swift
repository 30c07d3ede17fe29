import Foundation
import StreamCore
import Testing

struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = (seed &+ 1) &* 0xD6E8_FEB8_6659_FD93 ^ 0x5851_F42D_4C95_7F2D }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Calls `body` with the UTF-8 bytes of a string.
func bytes<T>(_ text: String, _ body: (UnsafeRawBufferPointer) -> T) -> T {
    Array(text.utf8).withUnsafeBytes { body($0) }
}

@Suite("Date, time and number text") struct TextTests {
    @Test("days and civil dates are inverse, and agree with Foundation")
    func civil() {
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = TimeZone(identifier: "UTC")!
        for days in stride(from: -700_000, through: 3_000_000, by: 37) {
            let date = CivilDate(days: days)
            #expect(date.days == days)
            if days > -140_000 {
                let parts = calendar.dateComponents([.year, .month, .day, .weekday], from: Date(timeIntervalSince1970: Double(days) * 86_400))
                #expect(parts.year == date.year && parts.month == date.month && parts.day == date.day, "\(days)")
                #expect((parts.weekday! + 5) % 7 + 1 == CivilDate.isoDayOfWeek(days: days))
            }
        }
    }

    @Test("timestamps: accepted and refused texts", arguments: [
        ("2024-01-01 00:00:00", 3, 1_704_067_200_000 as Int64?), ("2024-01-01 00:00:00.123456", 3, 1_704_067_200_123),
        ("2024-01-01 00:00:00.123456", 6, 1_704_067_200_123_456), ("2024-01-01T00:00:00.5", 3, 1_704_067_200_500),
        ("2024-1-1 0:0:0", 3, 1_704_067_200_000), ("2024-01-01", 3, 1_704_067_200_000), ("2024-01-01 00:00:00.999", 0, 1_704_067_200_000),
        ("1969-12-31 23:59:59.999", 3, -1), ("2023-02-30 00:00:00", 3, 1_677_542_400_000), ("2023-02-32 00:00:00", 3, nil),
        ("2024-13-01 00:00:00", 3, nil), ("2024-01-01 24:00:00", 3, nil), ("2024-01-01 00:60:00", 3, nil), ("", 3, nil),
        ("2024-01-01 00:00:00Z", 3, nil), ("2024-01-01 00:00:00.1234567890", 9, nil), ("9999-01-01 00:00:00", 9, nil), ("2024", 3, nil),
        ("24-01-01 00:00:00", 3, nil), ("2024-01-01  00:00:00", 3, nil),
    ])
    func timestamps(text: String, precision: Int, expected: Int64?) {
        #expect(bytes(text) { DateTimeText.parseTimestamp($0, precision: precision) } == expected, "\(text)")
    }

    @Test("strict forms of timestamps in JSON")
    func strictForms() {
        func parse(_ s: String, _ form: DateTimeText.Form) -> Int64? { bytes(s) { DateTimeText.parseTimestamp($0, precision: 3, form: form) } }
        #expect(parse("2024-01-01T00:00:00", .sql) == nil)
        #expect(parse("2024-01-01 00:00", .sql) == nil)
        #expect(parse("2024-1-01 00:00:00", .sql) == nil)
        #expect(parse("2024-01-01T00:00", .iso8601) == 1_704_067_200_000)
        #expect(parse("2023-02-30T00:00:00", .iso8601) == nil)
        #expect(parse("2024-01-01T00:00:00Z", .iso8601) == nil)
        #expect(parse("2024-01-01T00:00:00Z", .iso8601.zone(.optionalZ)) == 1_704_067_200_000)
        #expect(parse("2024-01-01T00:00:00", .iso8601.zone(.requiredZ)) == nil)
        #expect(parse("2024-01-01T00:00:00Zx", .iso8601.zone(.requiredZ)) == nil)
    }

    @Test("what is written is read back", arguments: UInt64(0)..<4)
    func timestampRoundTrip(seed: UInt64) {
        var random = SeededRandom(seed)
        for _ in 0..<2_000 {
            let precision = Int.random(in: 0...9, using: &random)
            let unit = TimeUnit(precision: precision)
            let range = unit == .nanoseconds ? 9_000_000_000 as Int64 : 60_000_000_000
            let seconds = Int64.random(in: -range...range, using: &random)
            var value = seconds * unit.perSecond + Int64.random(in: 0..<unit.perSecond, using: &random)
            let digits = [3, 6, 9].first { $0 >= precision }!
            for _ in precision..<digits { value = value / 10 }
            for _ in precision..<digits { value = value * 10 }
            for fraction in [DateTimeText.Fraction.exact, .trimmed] {
                let text = DateTimeText.timestamp(value, precision: precision, fraction: fraction)
                #expect(bytes(text) { DateTimeText.parseTimestamp($0, precision: precision, form: .sql) } == value, "\(text) seed \(seed)")
            }
        }
        #expect(DateTimeText.timestamp(-1, precision: 3) == "1969-12-31 23:59:59.999")
        #expect(DateTimeText.timestamp(1_000, precision: 3, fraction: .trimmed) == "1970-01-01 00:00:01")
        #expect(DateTimeText.timestamp(1_100, precision: 3, fraction: .trimmed) == "1970-01-01 00:00:01.1")
        #expect(DateTimeText.timestamp(1_000, precision: 0) == "1970-01-01 00:00:01")
    }

    @Test("dates and times of day")
    func datesAndTimes() {
        func date(_ s: String, _ lenient: Bool = false) -> Int32? { bytes(s) { DateTimeText.parseDate($0, lenient: lenient) } }
        #expect(date("1970-01-02") == 1)
        #expect(date("2023-02-29") == nil)
        #expect(date("2024-1-2") == nil)
        #expect(date("2024-1-2", true) == 19_724)
        #expect(date("12", true).map(DateTimeText.date) == "0012-01-01")
        #expect(date("2024-02-30", true) == nil)
        #expect(date("1970-01-02x") == nil)
        func time(_ s: String, _ precision: Int = 3, _ lenient: Bool = false) -> Int32? {
            bytes(s) { DateTimeText.parseTime($0, precision: precision, lenient: lenient) }
        }
        #expect(time("10:20:30.1234") == 37_230_123)
        #expect(time("10:20:30.999", 0) == 37_230_000)
        #expect(time("10:20") == nil)
        #expect(time("10:2", 0, true) == 36_120_000)
        #expect(time("9", 0, true) == 32_400_000)
        #expect(time("24:00:00") == nil)
        #expect(DateTimeText.time(37_230_123, precision: 3) == "10:20:30.123")
        #expect(DateTimeText.time(37_230_123) == "10:20:30")
    }

    @Test("integers")
    func integers() {
        func parse(_ s: String) -> Int64? { bytes(s, NumberText.parseInt64) }
        #expect(parse("9223372036854775807") == .max)
        #expect(parse("-9223372036854775808") == .min)
        #expect(parse("9223372036854775808") == nil)
        #expect(parse("-9223372036854775809") == nil)
        #expect(parse("+7") == 7)
        for bad in ["", "-", "+", "1.0", "1e3", " 1", "1 ", "--1", "0x1", "99999999999999999999999"] { #expect(parse(bad) == nil, "\(bad)") }
        for value in [0, 9, 10, 99, 100, -1, .min, .max, 1_234_567_890_123_456_789] as [Int64] {
            #expect(NumberText.string { NumberText.write(value, to: $0) } == String(value))
        }
    }

    @Test("doubles are read as strtod reads them", arguments: UInt64(0)..<4)
    func doubles(seed: UInt64) {
        var random = SeededRandom(seed)
        for i in 0..<20_000 {
            let text: String
            switch i % 4 {
            case 0: text = "\(Double(bitPattern: random.next()))"
            case 1: text = "\(Int64.random(in: -999_999...999_999, using: &random)).\(UInt16.random(in: 0...9_999, using: &random))"
            case 2: text = "\(random.next())e\(Int.random(in: -345...312, using: &random))"
            default: text = "0.\(random.next())\(random.next())E-\(Int.random(in: 0...30, using: &random))"
            }
            guard !text.contains("n") else { continue }
            #expect(bytes(text, NumberText.parseDouble)?.bitPattern == strtod(text, nil).bitPattern, "\(text) seed \(seed)")
            #expect(bytes(text, NumberText.parseFloat)?.bitPattern == strtof(text, nil).bitPattern, "\(text) seed \(seed)")
        }
        for bad in ["", ".", "-", "e5", "1e", "1e+", "0x10", "1..2", "1.2.3", "1 ", " 1", "infinit", "nan(1)"] {
            #expect(bytes(bad, NumberText.parseDouble) == nil, "\(bad)")
        }
    }

    @Test("quotients of up to 18 digits are rounded once", arguments: UInt64(0)..<4)
    func quotients(seed: UInt64) {
        var random = SeededRandom(seed)
        for _ in 0..<20_000 {
            let digits = random.next() % 1_000_000_000_000_000_000 >> UInt64.random(in: 0..<60, using: &random)
            let scale = Int.random(in: 0...18, using: &random)
            let text = "\(digits)e-\(scale)"
            #expect(NumberText.quotient(digits, scale: scale, as: Double.self) == strtod(text, nil), "\(text) seed \(seed)")
            #expect(NumberText.quotient(digits, scale: scale, as: Float.self) == strtof(text, nil), "\(text) seed \(seed)")
        }
    }

    @Test("doubles and floats are written as Java writes them")
    func javaText() {
        let doubles: [(Double, String)] = [
            (0, "0.0"), (-0.0, "-0.0"), (1, "1.0"), (-1.5, "-1.5"), (93.11, "93.11"), (0.001, "0.001"), (0.0001, "1.0E-4"),
            (9_999_999, "9999999.0"), (1e7, "1.0E7"), (123_456_789, "1.23456789E8"), (1e20, "1.0E20"), (.leastNonzeroMagnitude, "4.9E-324"), (Double("1e-323")!, "9.9E-324"), (Double("2e-310")!, "2.0E-310"),
            (.greatestFiniteMagnitude, "1.7976931348623157E308"), (0.1 + 0.2, "0.30000000000000004"), (.nan, "NaN"),
            (.infinity, "Infinity"), (-.infinity, "-Infinity"), (100, "100.0"), (1_234_567.125, "1234567.125"), (0.00123, "0.00123"),
            (2.2250738585072014e-308, "2.2250738585072014E-308"), (1e21, "1.0E21"), (1.0 / 3, "0.3333333333333333"),
        ]
        for (value, text) in doubles { #expect(NumberText.string(value) == text) }
        let floats: [(Float, String)] = [(0.1, "0.1"), (1e10, "1.0E10"), (16_777_216, "1.6777216E7"), (3.4028235e38, "3.4028235E38"), (1.5, "1.5")]
        for (value, text) in floats { #expect(NumberText.string(value) == text) }
    }

    @Test("the short way and the long way of writing doubles agree", arguments: UInt64(0)..<4)
    func doubleRoundTrip(seed: UInt64) {
        var random = SeededRandom(seed)
        for i in 0..<20_000 {
            let value = i % 2 == 0 ? Double(Int64.random(in: -10_000_000_000...10_000_000_000, using: &random)) / 1_000_000
                : Double(bitPattern: random.next())
            guard value.isFinite else { continue }
            let text = NumberText.string(value)
            #expect(Double(text) == value, "\(text) seed \(seed)")
            let digits = text.prefix { $0 != "E" }.filter(\.isNumber).drop { $0 == "0" }
            let swift = value.description.prefix { $0 != "e" }.filter(\.isNumber).drop { $0 == "0" }
            func trimmed(_ s: some StringProtocol) -> String { var t = String(s); while t.last == "0" { t.removeLast() }; return t }
            #expect(trimmed(digits) == trimmed(swift) || value.magnitude == .leastNonzeroMagnitude, "\(text) seed \(seed)")
        }
    }

    @Test("decimals")
    func decimals() {
        func parse(_ s: String, _ p: Int, _ scale: Int) -> String? {
            bytes(s) { NumberText.parseDecimal($0, precision: p, scale: scale) }.map { NumberText.string(decimal: $0, scale: scale) }
        }
        #expect(parse("1.005", 10, 2) == "1.01")
        #expect(parse("-1.005", 10, 2) == "-1.01")
        #expect(parse("1.00499999", 10, 2) == "1.00")
        #expect(parse("0.5", 10, 0) == "1")
        #expect(parse("0.05", 10, 0) == "0")
        #expect(parse("99.995", 4, 2) == nil)
        #expect(parse("99.994", 4, 2) == "99.99")
        #expect(parse("1e3", 10, 2) == "1000.00")
        #expect(parse("1.5E-3", 10, 4) == "0.0015")
        #expect(parse("1e999999999999", 38, 0) == nil)
        #expect(parse("0e999999999999", 38, 0) == "0")
        #expect(parse("1e-999999999999", 38, 10) == "0.0000000000")
        #expect(parse("99999999999999999999999999999999999999", 38, 0) == "99999999999999999999999999999999999999")
        #expect(parse("999999999999999999999999999999999999999", 38, 0) == nil)
        #expect(parse("-0.00000000000000000000000000000000000001", 38, 38) == "-0.00000000000000000000000000000000000001")
        #expect(parse("00000000000000000000000000000000000000000000000000012.5", 3, 1) == "12.5")
        for bad in ["", "abc", "1.2.3", "NaN", "1e", "-"] { #expect(parse(bad, 10, 2) == nil, "\(bad)") }
        #expect(NumberText.string(decimal: 5, scale: 3) == "0.005")
        #expect(NumberText.string(decimal: -123_456, scale: 0) == "-123456")
        #expect(NumberText.string(decimal: 0, scale: 2) == "0.00")
    }
}
