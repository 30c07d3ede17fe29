/// Text forms of DATE, TIME and TIMESTAMP values. Nothing here knows a time zone: a caller that means local times shifts them.
///
/// Parsers return nil for text that is not of the form asked for; fractions finer than the precision are cut, as Flink does.
/// Writers put ASCII at `out`, which has room for ``capacity`` bytes, and return how many they wrote.
public enum DateTimeText {
    /// No writer puts more than this many bytes.
    public static let capacity = 48

    /// How strict a timestamp is read.
    public struct Form: Sendable {
        /// What may stand between date and time.
        public enum Separator: Sendable { case space, letterT, either }
        /// Whether a text has to end in `Z`.
        public enum Zone: Sendable { case none, optionalZ, requiredZ }
        public var separator: Separator
        public var zone: Zone
        /// One-digit months, days, hours, minutes and seconds are read.
        public var shortParts: Bool
        /// The time, or the seconds of the time, may be missing.
        public var optionalTime: Bool, optionalSeconds: Bool
        /// 30 February becomes the last day of February; otherwise it is refused.
        public var clampsDay: Bool

        public init(separator: Separator, zone: Zone = .none, shortParts: Bool = false, optionalTime: Bool = false,
                    optionalSeconds: Bool = false, clampsDay: Bool = false) {
            self.separator = separator
            self.zone = zone
            self.shortParts = shortParts
            self.optionalTime = optionalTime
            self.optionalSeconds = optionalSeconds
            self.clampsDay = clampsDay
        }

        /// CAST of a string: `2024-1-5`, `2024-01-05 10:00:00.5`, with a `T` too.
        public static let cast = Form(separator: .either, shortParts: true, optionalTime: true, optionalSeconds: true, clampsDay: true)
        /// `2024-01-05 10:00:00[.5]`.
        public static let sql = Form(separator: .space, clampsDay: true)
        /// `2024-01-05T10:00[:00[.5]]`.
        public static let iso8601 = Form(separator: .letterT, optionalSeconds: true)

        public func zone(_ zone: Zone) -> Form {
            var copy = self
            copy.zone = zone
            return copy
        }
    }

    // MARK: parsing

    /// A timestamp in the unit of its precision (0...9): see ``TimeUnit``. nil also when it is out of the unit's range.
    public static func parseTimestamp(_ text: UnsafeRawBufferPointer, precision: Int, form: Form = .cast) -> Int64? {
        var cursor = Cursor(text)
        guard let date = cursor.date(short: form.shortParts, clamps: form.clampsDay) else { return nil }
        var secondOfDay = 0, nanos = 0
        if cursor.atEnd {
            guard form.optionalTime, form.zone != .requiredZ else { return nil }
        } else {
            let separator = cursor.next()
            switch form.separator {
            case .space: guard separator == UInt8(ascii: " ") else { return nil }
            case .letterT: guard separator == UInt8(ascii: "T") else { return nil }
            case .either: guard separator == UInt8(ascii: " ") || separator == UInt8(ascii: "T") else { return nil }
            }
            guard let time = cursor.time(short: form.shortParts, optionalSeconds: form.optionalSeconds) else { return nil }
            (secondOfDay, nanos) = time
            if form.zone != .none, cursor.peek == UInt8(ascii: "Z") {
                _ = cursor.next()
            } else if form.zone == .requiredZ {
                return nil
            }
            guard cursor.atEnd else { return nil }
        }
        return assemble(days: date.days, secondOfDay: secondOfDay, nanos: nanos, precision: precision)
    }

    /// Days since 1970-01-01, from `2024-01-05`; with `lenient` also `2024-1-5`, `2024-1` and `2024`, as CAST reads.
    /// A day that does not exist gives nil.
    public static func parseDate(_ text: UnsafeRawBufferPointer, lenient: Bool = false) -> Int32? {
        var cursor = Cursor(text)
        if lenient {
            guard let year = cursor.number(digits: 1...4) else { return nil }
            var month = 1, day = 1
            if !cursor.atEnd {
                guard cursor.next() == UInt8(ascii: "-"), let m = cursor.number(digits: 1...2), (1...12).contains(m) else { return nil }
                month = m
                if !cursor.atEnd {
                    guard cursor.next() == UInt8(ascii: "-"), let d = cursor.number(digits: 1...2), cursor.atEnd,
                          d >= 1, d <= CivilDate.daysInMonth(m, of: year) else { return nil }
                    day = d
                }
            }
            return Int32(CivilDate(year: year, month: month, day: day).days)
        }
        guard let date = cursor.date(short: false, clamps: false), cursor.atEnd else { return nil }
        return Int32(date.days)
    }

    /// Milliseconds of the day, from `10:20:30[.123]`; with `lenient` also `9:5`, `10` and one-digit parts. Fractions are
    /// cut to `precision` digits (at most 3 are stored).
    public static func parseTime(_ text: UnsafeRawBufferPointer, precision: Int = 3, lenient: Bool = false) -> Int32? {
        var cursor = Cursor(text)
        if lenient {
            var copy = cursor
            if let hour = copy.number(digits: 1...2), copy.atEnd, hour < 24 { return Int32(hour * 3_600_000) }
        }
        guard let (second, nanos) = cursor.time(short: lenient, optionalSeconds: lenient), cursor.atEnd else { return nil }
        let step = powersOfTen[9 - min(max(precision, 0), 3)]
        return Int32(second * 1_000 + nanos / step * step / 1_000_000)
    }

    /// Joins the parts of a timestamp, cutting `nanos` to the precision; nil on overflow.
    @inlinable
    public static func assemble(days: Int, secondOfDay: Int, nanos: Int, precision: Int) -> Int64? {
        let unit = TimeUnit(precision: precision)
        let step = powersOfTen[9 - min(max(precision, 0), 9)]
        let fraction = Int64(nanos / step * step) / (1_000_000_000 / unit.perSecond)
        let (scaled, overflow) = Int64(days * 86_400 + secondOfDay).multipliedReportingOverflow(by: unit.perSecond)
        let (sum, overflow2) = scaled.addingReportingOverflow(fraction)
        return overflow || overflow2 ? nil : sum
    }

    @usableFromInline
    static let powersOfTen = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000]

    // MARK: writing

    /// `2024-01-05 10:00:00.123`: exactly `precision` digits after the second when `fraction` is `.exact` (CAST AS STRING),
    /// without trailing zeros (and without the point when none is left) when it is `.trimmed`.
    public static func writeTimestamp(_ value: Int64, precision: Int, fraction: Fraction = .exact, separator: UInt8 = UInt8(ascii: " "),
                                      to out: UnsafeMutablePointer<UInt8>) -> Int {
        let perSecond = TimeUnit(precision: precision).perSecond
        var (seconds, rest) = value.quotientAndRemainder(dividingBy: perSecond)
        if rest < 0 { (seconds, rest) = (seconds - 1, rest + perSecond) }
        var (days, second) = seconds.quotientAndRemainder(dividingBy: 86_400)
        if second < 0 { (days, second) = (days - 1, second + 86_400) }
        var n = writeDate(Int32(truncatingIfNeeded: days), to: out)
        out[n] = separator
        n += 1
        n += writeClock(Int(second), to: out + n)
        return n + writeFraction(Int(rest) * (1_000_000_000 / Int(perSecond)), precision: precision, fraction, to: out + n)
    }

    /// All digits of a fraction of a second, or none of the zeros at its end.
    public enum Fraction: Sendable { case exact, trimmed }

    /// `2024-01-05`. Years beyond 9999 get a plus sign, years before 0 a minus sign.
    public static func writeDate(_ days: Int32, to out: UnsafeMutablePointer<UInt8>) -> Int {
        let date = CivilDate(days: Int(days))
        var n = 0
        var year = date.year
        if year < 0 {
            out[n] = UInt8(ascii: "-")
            n += 1
            year = -year
        } else if year > 9_999 {
            out[n] = UInt8(ascii: "+")
            n += 1
        }
        if year > 9_999 {
            n += NumberText.write(Int64(year), to: out + n)
        } else {
            twoDigits(year / 100, out + n)
            twoDigits(year % 100, out + n + 2)
            n += 4
        }
        out[n] = UInt8(ascii: "-")
        twoDigits(date.month, out + n + 1)
        out[n + 3] = UInt8(ascii: "-")
        twoDigits(date.day, out + n + 4)
        return n + 6
    }

    /// `10:20:30.123` from milliseconds of the day.
    public static func writeTime(_ milliseconds: Int32, precision: Int, fraction: Fraction = .exact, to out: UnsafeMutablePointer<UInt8>) -> Int {
        let (second, rest) = Int(milliseconds).quotientAndRemainder(dividingBy: 1_000)
        let n = writeClock(second, to: out)
        return n + writeFraction(rest * 1_000_000, precision: precision, fraction, to: out + n)
    }

    private static func writeClock(_ second: Int, to out: UnsafeMutablePointer<UInt8>) -> Int {
        twoDigits(second / 3_600, out)
        out[2] = UInt8(ascii: ":")
        twoDigits(second / 60 % 60, out + 3)
        out[5] = UInt8(ascii: ":")
        twoDigits(second % 60, out + 6)
        return 8
    }

    private static func writeFraction(_ nanos: Int, precision: Int, _ fraction: Fraction, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var digits = min(max(precision, 0), 9)
        var shown = nanos / powersOfTen[9 - digits]
        if fraction == .trimmed {
            while digits > 0, shown % 10 == 0 { (shown, digits) = (shown / 10, digits - 1) }
        }
        guard digits > 0 else { return 0 }
        out[0] = UInt8(ascii: ".")
        for i in stride(from: digits, to: 0, by: -1) {
            out[i] = UInt8(truncatingIfNeeded: 48 + shown % 10)
            shown /= 10
        }
        return digits + 1
    }

    @inline(__always)
    private static func twoDigits(_ v: Int, _ out: UnsafeMutablePointer<UInt8>) {
        out[0] = UInt8(truncatingIfNeeded: 48 + v / 10 % 10)
        out[1] = UInt8(truncatingIfNeeded: 48 + v % 10)
    }

    // MARK: as strings, off the hot path

    public static func timestamp(_ value: Int64, precision: Int, fraction: Fraction = .exact) -> String {
        NumberText.string { writeTimestamp(value, precision: precision, fraction: fraction, to: $0) }
    }

    public static func date(_ days: Int32) -> String { NumberText.string { writeDate(days, to: $0) } }

    public static func time(_ milliseconds: Int32, precision: Int = 0) -> String {
        NumberText.string { writeTime(milliseconds, precision: precision, to: $0) }
    }
}

/// Reads the parts of a date or time from left to right, never past the end.
private struct Cursor {
    var at: Int = 0
    let text: UnsafeRawBufferPointer

    init(_ text: UnsafeRawBufferPointer) { self.text = text }

    var atEnd: Bool { at == text.count }
    var peek: UInt8 { at < text.count ? text[at] : 0 }

    /// 0 at the end.
    mutating func next() -> UInt8 {
        guard at < text.count else { return 0 }
        defer { at += 1 }
        return text[at]
    }

    mutating func number(digits: ClosedRange<Int>) -> Int? {
        var value = 0, n = 0
        while n < digits.upperBound, at < text.count, text[at] &- 48 < 10 {
            value = value * 10 + Int(text[at] &- 48)
            at += 1
            n += 1
        }
        return n < digits.lowerBound ? nil : value
    }

    mutating func date(short: Bool, clamps: Bool) -> CivilDate? {
        let part = (short ? 1 : 2)...2
        guard let year = number(digits: 4...4), next() == UInt8(ascii: "-"),
              let month = number(digits: part), (1...12).contains(month), next() == UInt8(ascii: "-"),
              var day = number(digits: part), (1...31).contains(day) else { return nil }
        let last = CivilDate.daysInMonth(month, of: year)
        if day > last {
            guard clamps else { return nil }
            day = last
        }
        return CivilDate(year: year, month: month, day: day)
    }

    /// Second of the day and nanoseconds.
    mutating func time(short: Bool, optionalSeconds: Bool) -> (Int, Int)? {
        let part = (short ? 1 : 2)...2
        guard let hour = number(digits: part), hour < 24, next() == UInt8(ascii: ":"),
              let minute = number(digits: part), minute < 60 else { return nil }
        guard peek == UInt8(ascii: ":") else { return optionalSeconds ? (hour * 3_600 + minute * 60, 0) : nil }
        at += 1
        guard let second = number(digits: part), second < 60 else { return nil }
        var nanos = 0
        if peek == UInt8(ascii: ".") {
            at += 1
            let start = at
            guard let digits = number(digits: 0...9) else { return nil }
            nanos = digits * DateTimeText.powersOfTen[9 - (at - start)]
        }
        return (hour * 3_600 + minute * 60 + second, nanos)
    }
}
