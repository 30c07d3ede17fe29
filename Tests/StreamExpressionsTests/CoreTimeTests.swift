import StreamCore
import Testing
@testable import StreamExpressions

@Suite("Time zones and intervals") struct CoreTimeTests {
    private func utc(_ text: String) -> Int64 {
        Array(text.utf8).withUnsafeBytes { DateTimeText.parseTimestamp($0, precision: 0)! } / 1_000
    }
    private func local(_ zone: String, _ text: String) throws -> String {
        let rules = try TimeZoneRules.named(zone), seconds = utc(text)
        return DateTimeText.timestamp((seconds + rules.offset(atUTC: seconds)) * 1_000, precision: 0)
    }

    @Test("offsets from the files, from the rule behind them, and fixed ones") func offsets() throws {
        #expect(try local("Europe/Berlin", "2024-03-31 00:59:59") == "2024-03-31 01:59:59")
        #expect(try local("Europe/Berlin", "2024-03-31 01:00:00") == "2024-03-31 03:00:00")
        #expect(try local("Europe/Berlin", "2024-10-27 01:00:00") == "2024-10-27 02:00:00")
        #expect(try local("Europe/Berlin", "2100-07-01 00:00:00") == "2100-07-01 02:00:00")
        #expect(try local("Europe/Berlin", "2100-12-31 23:30:00") == "2101-01-01 00:30:00")
        #expect(try local("Europe/Berlin", "1944-06-01 00:00:00") == "1944-06-01 02:00:00")
        #expect(try local("Europe/Berlin", "1850-01-01 00:00:00") == "1850-01-01 00:53:28")
        #expect(try local("Australia/Sydney", "2090-01-01 00:00:00") == "2090-01-01 11:00:00")
        #expect(try local("Australia/Sydney", "2090-07-01 00:00:00") == "2090-07-01 10:00:00")
        #expect(try local("America/New_York", "1969-12-31 23:59:59") == "1969-12-31 18:59:59")
        #expect(try local("Asia/Kolkata", "2200-01-01 00:00:00") == "2200-01-01 05:30:00")
        #expect(try local("UTC+2", "2024-01-01 00:00:00") == "2024-01-01 02:00:00")
        #expect(try local("GMT-01:30", "2024-01-01 00:00:00") == "2023-12-31 22:30:00")
        #expect(try local("+05:30", "2024-01-01 00:00:00") == "2024-01-01 05:30:00")
    }

    @Test("local times that a clock skips or shows twice") func gaps() throws {
        func back(_ zone: String, _ text: String) throws -> String {
            DateTimeText.timestamp(try TimeZoneRules.named(zone).utc(fromLocal: utc(text)) * 1_000, precision: 0)
        }
        #expect(try back("Europe/Berlin", "2024-03-31 02:30:00") == "2024-03-31 01:30:00")
        #expect(try back("Europe/Berlin", "2024-10-27 02:30:00") == "2024-10-27 00:30:00")
        #expect(try back("America/Los_Angeles", "2024-11-03 01:30:00") == "2024-11-03 08:30:00")
        #expect(try back("Asia/Kolkata", "1970-01-01 05:30:00") == "1970-01-01 00:00:00")
    }

    @Test("the cursor agrees with the rules", arguments: ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "UTC"])
    func cursor(_ zone: String) throws {
        var random = SeededRandom(11), time: Int64 = 0
        let rules = try TimeZoneRules.named(zone)
        var cursor = ZoneCursor(rules)
        for _ in 0..<20_000 {
            time = Int.random(in: 0..<50, using: &random) == 0 ? Int64.random(in: -5_000_000_000...8_000_000_000, using: &random)
                : time + Int64.random(in: -40_000...90_000, using: &random)
            #expect(cursor.offset(atUTC: time) == rules.offset(atUTC: time), "seed 11, \(zone) at \(time)")
            #expect(cursor.utc(time * 1_000 + 7, .milliseconds) == rules.utc(fromLocal: time) * 1_000 + 7, "seed 11, \(zone) local \(time)")
        }
    }

    @Test("unknown zones get a near name") func unknown() {
        for bad in ["Europe/Berln", "", "../etc/passwd", "/etc/localtime", "UTC+99", "GMT+1:x"] {
            #expect(errorCode { _ = try TimeZoneRules.named(bad) } == .validate, "\(bad)")
        }
        #expect(errorText { _ = try TimeZoneRules.named("America/NewYork") }?.contains("America/New_York") == true)
    }

    @Test("times plus and minus intervals") func intervals() throws {
        func time(_ text: String, _ type: DataType) -> Expr { SQL.cast(SQL.text(text), type) }
        let month = Expr.literal(.int(1), .intervalYearMonth), day = Expr.literal(.int(86_400_000), .intervalDayTime)
        let minute = Expr.literal(.int(60_000), .intervalDayTime)
        #expect(try SQL.show(SQL.call("+", time("2024-01-31 00:00:00", .timestamp(0)), month)) == "2024-02-29 00:00:00")
        #expect(try SQL.show(SQL.call("-", time("2024-03-01", .date), day)) == "2024-02-29")
        #expect(try SQL.show(SQL.call("+", day, time("2024-02-29", .date))) == "2024-03-01")
        #expect(try SQL.show(SQL.call("-", time("2024-03-31", .date), month)) == "2024-02-29")
        #expect(try SQL.show(SQL.call("-", time("0001-01-31", .date), SQL.call("*", month, SQL.int(2)))) == "0000-11-30")
        #expect(try SQL.show(SQL.call("+", time("2024-03-31", .date), minute)) == "2024-03-31")
        #expect(try SQL.show(SQL.call("-", time("00:00:30", .time(0)), minute)) == "23:59:30")
        #expect(try SQL.show(SQL.call("-", time("2024-01-01 00:00:00.5", .timestamp(6)), minute)) == "2023-12-31 23:59:00.500000")
        #expect(try SQL.show(SQL.call("-", time("1960-01-31 10:00:00", .timestamp(9)), SQL.call("NEGATE", month))) == "1960-02-29 10:00:00.000000000")
        #expect(try SQL.show(SQL.call("+", day, minute)) == "+1 00:01:00.000")
        #expect(try SQL.show(SQL.call("*", minute, SQL.int(90))) == "+0 01:30:00.000")
        #expect(try SQL.show(SQL.call("*", SQL.double(1.5), month)) == "+0-01")
        #expect(try SQL.show(SQL.call("/", day, SQL.int(4))) == "+0 06:00:00.000")
        #expect(errorText { _ = try SQL.call("-", time("2024-01-01", .date), time("2024-01-01", .date)) }?.contains("TIMESTAMPDIFF") == true)
        #expect(errorCode { _ = try SQL.call("+", time("2024-01-01", .date), SQL.int(1)) } == .validate)
    }
}
