import StreamCore
import StreamExpressions

/// Values and types of literals, as Flink types them.
enum Literals {
    /// INT, or BIGINT or DECIMAL when it does not fit; nil when it has more than 38 digits.
    static func integer(_ text: String, negative: Bool = false) -> Expr? {
        guard let magnitude = Int128(text) else { return nil }
        let value = negative ? -magnitude : magnitude
        if let v = Int32(exactly: value) { return .literal(.int(Int64(v)), .int) }
        if let v = Int64(exactly: value) { return .literal(.int(v), .bigint) }
        let digits = String(value.magnitude).count
        return digits <= 38 ? .literal(.decimal(value), .decimal(precision: digits, scale: 0)) : nil
    }

    /// `12.50` is DECIMAL(4, 2); nil when it has more than 38 digits.
    static func decimal(_ text: String, negative: Bool = false) -> Expr? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        let fraction = parts.count > 1 ? parts[1] : ""
        let digits = parts[0] + fraction
        guard !digits.isEmpty, digits.count <= 38, let magnitude = Int128(digits) else { return nil }
        return .literal(.decimal(negative ? -magnitude : magnitude), .decimal(precision: max(1, digits.count), scale: fraction.count))
    }

    static func approximate(_ text: String, negative: Bool = false) -> Expr? {
        Double(text).map { .literal(.double(negative ? -$0 : $0), .double) }
    }

    static func string(_ text: String) -> Expr { .literal(.string(text), .char(text.unicodeScalars.count)) }

    // MARK: dates and times

    static func date(_ text: String) -> Expr? {
        days(text).map { .literal(.int($0), .date) }
    }

    static func time(_ text: String) -> Expr? {
        guard let (nanoseconds, digits) = nanosecondsOfDay(text[...]) else { return nil }
        return .literal(.int(nanoseconds / 1_000_000), .time(min(digits, 3)))
    }

    /// TIMESTAMP(p) with as many digits after the second as are written.
    static func timestamp(_ text: String) -> Expr? {
        let parts = text.split(separator: " ", maxSplits: 1)
        guard let first = parts.first, let day = days(String(first)) else { return nil }
        var nanoseconds: Int64 = 0, digits = 0
        if parts.count == 2 {
            guard let time = nanosecondsOfDay(parts[1]) else { return nil }
            (nanoseconds, digits) = time
        }
        let unit = TimeUnit(precision: digits)
        let (whole, overflow) = (day * 86_400).multipliedReportingOverflow(by: unit.perSecond)
        return overflow ? nil : .literal(.int(whole + nanoseconds / (1_000_000_000 / unit.perSecond)), .timestamp(digits))
    }

    /// Days since 1970-01-01 of `yyyy-mm-dd`; nil when there is no such day.
    private static func days(_ text: String) -> Int64? {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) }), parts[0].count <= 4,
            parts[1].count <= 2, parts[2].count <= 2, let y = Int64(parts[0]), let m = Int64(parts[1]), let d = Int64(parts[2])
        else { return nil }
        let leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0)
        let lengths: [Int64] = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard (1...12).contains(m), (1...lengths[Int(m) - 1]).contains(d) else { return nil }
        // Howard Hinnant's days_from_civil.
        let year = m <= 2 ? y - 1 : y
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func nanosecondsOfDay(_ text: Substring) -> (Int64, digits: Int)? {
        let halves = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, parts.allSatisfy({ (1...2).contains($0.count) && $0.allSatisfy(\.isASCIIDigit) }),
            let h = Int64(parts[0]), let m = Int64(parts[1]), let s = Int64(parts[2]), h < 24, m < 60, s < 60
        else { return nil }
        var nanoseconds: Int64 = 0, digits = 0
        if halves.count == 2 {
            guard !halves[1].isEmpty, halves[1].count <= 9, halves[1].allSatisfy(\.isASCIIDigit) else { return nil }
            digits = halves[1].count
            nanoseconds = Int64(halves[1] + String(repeating: "0", count: 9 - digits))!
        }
        return (((h * 60 + m) * 60 + s) * 1_000_000_000 + nanoseconds, digits)
    }

    // MARK: intervals

    /// INTERVAL 'text' from [TO to]: months or milliseconds.
    static func interval(_ text: String, from: String, to: String?, negative: Bool) -> Expr? {
        var body = text[...]
        var sign: Int64 = negative ? -1 : 1
        if body.hasPrefix("-") { (sign, body) = (-sign, body.dropFirst()) } else if body.hasPrefix("+") { body = body.dropFirst() }
        func number(_ s: Substring) -> Int64? { s.allSatisfy(\.isASCIIDigit) ? Int64(s) : nil }
        let (from, to) = (unitName(from), to.map(unitName))
        switch (from, to) {
        case ("YEAR", nil): return number(body).flatMap { months($0, 12, sign) }
        case ("QUARTER", nil): return number(body).flatMap { months($0, 3, sign) }
        case ("MONTH", nil): return number(body).flatMap { months($0, 1, sign) }
        case ("YEAR", "MONTH"?):
            let parts = body.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 2, let y = number(parts[0]), let m = number(parts[1]), m < 12, y < 100_000_000 else { return nil }
            return months(y * 12 + m, 1, sign)
        default: return milliseconds(body, from: from, to: to ?? from).map { .literal(.int(sign * $0), .intervalDayTime) }
        }
    }

    private static func unitName(_ name: String) -> String {
        let upper = name.uppercased()
        return upper.hasSuffix("S") ? String(upper.dropLast()) : upper
    }

    private static func months(_ n: Int64, _ factor: Int64, _ sign: Int64) -> Expr? {
        let (value, overflow) = n.multipliedReportingOverflow(by: factor * sign)
        guard !overflow, Int32(exactly: value) != nil else { return nil }
        return .literal(.int(value), .intervalYearMonth)
    }

    private static let units: [(name: String, milliseconds: Int64, separator: Character)] =
        [("DAY", 86_400_000, " "), ("HOUR", 3_600_000, ":"), ("MINUTE", 60_000, ":"), ("SECOND", 1_000, ".")]

    private static func milliseconds(_ text: Substring, from: String, to: String) -> Int64? {
        if from == "WEEK", to == "WEEK" {
            guard text.allSatisfy(\.isASCIIDigit), let n = Int64(text), n < 10_000_000 else { return nil }
            return n * 7 * 86_400_000
        }
        guard let first = units.firstIndex(where: { $0.name == from }), let last = units.firstIndex(where: { $0.name == to }),
            first <= last
        else { return nil }
        var rest = text, total: Int64 = 0
        for i in first...last {
            let unit = units[i]
            let digits = rest.prefix(while: \.isASCIIDigit)
            guard !digits.isEmpty, let n = Int64(digits), n < 1 << 40 else { return nil }
            let (part, overflow) = n.multipliedReportingOverflow(by: unit.milliseconds)
            if overflow { return nil }
            total += part
            rest = rest.dropFirst(digits.count)
            if i < last {
                guard rest.first == unit.separator else { return nil }
                rest = rest.dropFirst()
            } else if unit.name == "SECOND", rest.first == "." {
                let fraction = rest.dropFirst().prefix(while: \.isASCIIDigit)
                guard !fraction.isEmpty, fraction.count <= 9 else { return nil }
                total += Int64(String((fraction + "000").prefix(3)))!
                rest = rest.dropFirst(1 + fraction.count)
            }
        }
        return rest.isEmpty ? total : nil
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
