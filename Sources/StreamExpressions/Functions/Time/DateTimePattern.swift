import StreamCore

/// A pattern such as `yyyy-MM-dd HH:mm:ss`, as Java reads it. Immutable; made once per constant pattern.
struct DateTimePattern: Sendable {
    /// The two pattern languages of Java that Flink's functions use; they differ in a few letters and in how strictly they read.
    enum Dialect: Sendable {
        /// java.time.format.DateTimeFormatter: DATE_FORMAT, TO_TIMESTAMP.
        case modern
        /// java.text.SimpleDateFormat: FROM_UNIXTIME, UNIX_TIMESTAMP, TO_DATE with a pattern.
        case legacy
    }

    enum Part: Sendable {
        /// Bytes of ``literals``.
        case literal(Int, count: Int)
        case field(UInt8, Int)
        case optionalStart, optionalEnd
    }

    let parts: [Part]
    let literals: [UInt8]
    let dialect: Dialect
    let source: String

    /// For how many seconds, counted from the epoch, the text is the same at least; nil when it shows parts of a second, or fields that
    /// are not known to be so.
    var wholeSeconds: Int64? {
        var seconds: Int64 = 86_400
        for case .field(let letter, _) in parts {
            switch letter {
            case UInt8(ascii: "y"), UInt8(ascii: "M"), UInt8(ascii: "d"): break
            case UInt8(ascii: "H"): seconds = min(seconds, 3_600)
            case UInt8(ascii: "m"): seconds = min(seconds, 60)
            case UInt8(ascii: "s"): seconds = min(seconds, 1)
            default: return nil
            }
        }
        return seconds
    }

    /// - Throws: `.validate` for a letter that means nothing, or a quote or bracket that is not closed.
    init(_ pattern: String, _ dialect: Dialect) throws {
        source = pattern
        self.dialect = dialect
        let bytes = Array(pattern.utf8)
        var parts: [Part] = [], literals: [UInt8] = [], literal: [UInt8] = [], i = 0, depth = 0
        func flush() {
            if !literal.isEmpty { parts.append(.literal(literals.count, count: literal.count)) }
            literals += literal
            literal = []
        }
        func invalid(_ why: String) -> StreamError {
            StreamError(.validate, "'\(pattern)' is not a pattern for dates and times: \(why)",
                        fix: "write a pattern such as 'yyyy-MM-dd HH:mm:ss', with text in single quotes (doubled within SQL)")
        }
        while i < bytes.count {
            let c = bytes[i]
            if c | 0x20 >= 0x61 && c | 0x20 <= 0x7A {
                var n = 1
                while i + n < bytes.count, bytes[i + n] == c { n += 1 }
                guard Self.isKnown(c, dialect), n <= 19 else { throw invalid("\(String(repeating: Character(Unicode.Scalar(c)), count: n)) means nothing there") }
                flush()
                parts.append(.field(c, n))
                i += n
            } else if c == UInt8(ascii: "'") {
                i += 1
                if i < bytes.count, bytes[i] == c {
                    literal.append(c)
                    i += 1
                    continue
                }
                while true {
                    guard i < bytes.count else { throw invalid("a quote is not closed") }
                    if bytes[i] == c {
                        guard i + 1 < bytes.count, bytes[i + 1] == c else { break }
                        i += 1
                    }
                    literal.append(bytes[i])
                    i += 1
                }
                i += 1
            } else if dialect == .modern, c == UInt8(ascii: "[") {
                flush()
                parts.append(.optionalStart)
                depth += 1
                i += 1
            } else if dialect == .modern, c == UInt8(ascii: "]") {
                guard depth > 0 else { throw invalid("] has no [ before it") }
                flush()
                parts.append(.optionalEnd)
                depth -= 1
                i += 1
            } else if dialect == .modern, c == UInt8(ascii: "{") || c == UInt8(ascii: "}") || c == UInt8(ascii: "#") {
                throw invalid("\(Character(Unicode.Scalar(c))) is reserved")
            } else {
                literal.append(c)
                i += 1
            }
        }
        flush()
        for _ in 0..<depth { parts.append(.optionalEnd) }
        self.parts = parts
        self.literals = literals
    }

    private static func isKnown(_ letter: UInt8, _ dialect: Dialect) -> Bool {
        switch dialect {
        case .modern: "GuyYDMLdQqwWeEcFaKkhHmsSAnNXxZ".utf8.contains(letter)
        case .legacy: "GyYMLwWDdFEuaHkKhmsSzZX".utf8.contains(letter)
        }
    }

    /// Patterns with a zone can be read, but a TIMESTAMP has no zone that could be written.
    var mentionsZone: Bool {
        parts.contains { if case .field(let letter, _) = $0 { "XxZz".utf8.contains(letter) } else { false } }
    }

    // MARK: names

    static let months = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"]
    static let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
}

/// A local date and time, cut into its parts once per value.
struct LocalDateTime {
    var date: CivilDate
    var dayNumber: Int
    var secondOfDay: Int
    var nanos: Int
    /// For the patterns that show a zone: its name and seconds east of UTC.
    var zone = "UTC"
    var offset = 0

    /// From a local timestamp in `unit`.
    init(_ value: Int64, _ unit: TimeUnit) {
        let second = TemporalArithmetic.floorDivide(value, unit.perSecond)
        nanos = Int((value - second * unit.perSecond) * (1_000_000_000 / unit.perSecond))
        let day = TemporalArithmetic.floorDivide(second, 86_400)
        dayNumber = Int(day)
        secondOfDay = Int(second - day * 86_400)
        date = CivilDate(days: dayNumber)
    }

    var hour: Int { secondOfDay / 3_600 }
    var minute: Int { secondOfDay / 60 % 60 }
    var second: Int { secondOfDay % 60 }
    /// 1 = Monday ... 7 = Sunday.
    var isoDayOfWeek: Int { CivilDate.isoDayOfWeek(days: dayNumber) }
    /// 1 = Sunday ... 7 = Saturday.
    var dayOfWeek: Int { isoDayOfWeek % 7 + 1 }

    /// Week and its year as the United States count: weeks start on Sunday, 1 January is in week 1.
    var localWeek: (year: Int, week: Int) {
        let nextYear = CivilDate(year: date.year + 1, month: 1, day: 1).days
        let nextStart = nextYear - CivilDate.isoDayOfWeek(days: nextYear) % 7
        if dayNumber >= nextStart { return (date.year + 1, 1) }
        let january = CivilDate(year: date.year, month: 1, day: 1).days
        let start = january - CivilDate.isoDayOfWeek(days: january) % 7
        return (date.year, (dayNumber - start) / 7 + 1)
    }

    var weekOfMonth: Int {
        let first = dayNumber - date.day + 1
        return (date.day - 1 + CivilDate.isoDayOfWeek(days: first) % 7) / 7 + 1
    }
}

// MARK: writing

extension DateTimePattern {
    func append(_ time: LocalDateTime, to out: inout TextSink) {
        for part in parts {
            switch part {
            case .literal(let start, let count):
                literals.withUnsafeBytes { out.append(UnsafeRawBufferPointer(rebasing: $0[start..<start + count])) }
            case .optionalStart, .optionalEnd: break
            case .field(let letter, let n):
                if dialect == .legacy { appendLegacy(letter, n, time, &out) } else { appendModern(letter, n, time, &out) }
            }
        }
    }

    private func appendModern(_ letter: UInt8, _ n: Int, _ t: LocalDateTime, _ out: inout TextSink) {
        switch letter {
        case UInt8(ascii: "G"): out.append(string: n == 4 ? (t.date.year > 0 ? "Anno Domini" : "Before Christ") : n == 5 ? (t.date.year > 0 ? "A" : "B") : t.date.year > 0 ? "AD" : "BC")
        case UInt8(ascii: "u"): Self.appendYear(t.date.year, n, &out)
        case UInt8(ascii: "y"): Self.appendYear(t.date.year > 0 ? t.date.year : 1 - t.date.year, n, &out)
        case UInt8(ascii: "Y"): Self.appendYear(t.localWeek.year, n, &out)
        case UInt8(ascii: "Q"), UInt8(ascii: "q"):
            let quarter = (t.date.month + 2) / 3
            switch n {
            case 3: out.append(string: "Q\(quarter)")
            case 4: out.append(string: ["1st", "2nd", "3rd", "4th"][quarter - 1] + " quarter")
            default: Self.appendNumber(quarter, n, &out)
            }
        case UInt8(ascii: "M"), UInt8(ascii: "L"): Self.appendName(Self.months[t.date.month - 1], number: t.date.month, n, &out)
        case UInt8(ascii: "w"): Self.appendNumber(t.localWeek.week, n, &out)
        case UInt8(ascii: "W"): Self.appendNumber(t.weekOfMonth, n, &out)
        case UInt8(ascii: "F"): Self.appendNumber((t.date.day - 1) % 7 + 1, n, &out)
        case UInt8(ascii: "E"): Self.appendName(Self.days[t.isoDayOfWeek - 1], number: t.dayOfWeek, max(n, 3), &out)
        case UInt8(ascii: "e"), UInt8(ascii: "c"): Self.appendName(Self.days[t.isoDayOfWeek - 1], number: t.dayOfWeek, n, &out)
        case UInt8(ascii: "S"): Self.appendFraction(t.nanos, n, &out)
        case UInt8(ascii: "A"): Self.appendNumber(t.secondOfDay * 1_000 + t.nanos / 1_000_000, n, &out)
        case UInt8(ascii: "n"): Self.appendNumber(t.nanos, n, &out)
        case UInt8(ascii: "N"): Self.appendNumber(t.secondOfDay * 1_000_000_000 + t.nanos, n, &out)
        default: appendCommon(letter, n, t, &out)
        }
    }

    private func appendLegacy(_ letter: UInt8, _ n: Int, _ t: LocalDateTime, _ out: inout TextSink) {
        switch letter {
        case UInt8(ascii: "G"): out.append(string: t.date.year > 0 ? "AD" : "BC")
        case UInt8(ascii: "y"), UInt8(ascii: "Y"):
            let year = letter == UInt8(ascii: "Y") ? t.localWeek.year : t.date.year > 0 ? t.date.year : 1 - t.date.year
            if n == 2 { Self.appendNumber(year % 100, 2, &out) } else { Self.appendNumber(year, n, &out) }
        case UInt8(ascii: "M"), UInt8(ascii: "L"): Self.appendName(Self.months[t.date.month - 1], number: t.date.month, min(n, 4), &out)
        case UInt8(ascii: "w"): Self.appendNumber(t.localWeek.week, n, &out)
        case UInt8(ascii: "W"): Self.appendNumber(t.weekOfMonth, n, &out)
        case UInt8(ascii: "F"): Self.appendNumber((t.date.day - 1) / 7 + 1, n, &out)
        case UInt8(ascii: "E"): Self.appendName(Self.days[t.isoDayOfWeek - 1], number: t.dayOfWeek, n >= 4 ? 4 : 3, &out)
        case UInt8(ascii: "u"): Self.appendNumber(t.isoDayOfWeek, n, &out)
        case UInt8(ascii: "S"): Self.appendNumber(t.nanos / 1_000_000, n, &out)
        case UInt8(ascii: "z"): out.append(string: t.zone)
        case UInt8(ascii: "Z"): Self.appendOffset(t.offset, colon: false, minutes: true, &out)
        case UInt8(ascii: "X"):
            if t.offset == 0 { out.append(UInt8(ascii: "Z")) } else { Self.appendOffset(t.offset, colon: n == 3, minutes: n > 1, &out) }
        default: appendCommon(letter, n, t, &out)
        }
    }

    /// Letters that mean the same in both.
    private func appendCommon(_ letter: UInt8, _ n: Int, _ t: LocalDateTime, _ out: inout TextSink) {
        let value = switch letter {
        case UInt8(ascii: "D"): t.date.dayOfYear
        case UInt8(ascii: "d"): t.date.day
        case UInt8(ascii: "H"): t.hour
        case UInt8(ascii: "k"): t.hour == 0 ? 24 : t.hour
        case UInt8(ascii: "K"): t.hour % 12
        case UInt8(ascii: "h"): t.hour % 12 == 0 ? 12 : t.hour % 12
        case UInt8(ascii: "m"): t.minute
        case UInt8(ascii: "s"): t.second
        default: -1
        }
        if value < 0 { out.append(t.hour < 12 ? "AM" : "PM") } else { Self.appendNumber(value, n, &out) }
    }

    private static func appendYear(_ year: Int, _ n: Int, _ out: inout TextSink) {
        if n == 2 { return appendNumber((year % 100 + 100) % 100, 2, &out) }
        if n >= 4, year > 9_999 { out.append(UInt8(ascii: "+")) }
        appendNumber(year, n, &out)
    }

    private static func appendName(_ name: String, number: Int, _ n: Int, _ out: inout TextSink) {
        switch n {
        case 1, 2: appendNumber(number, n, &out)
        case 3: out.append(string: String(name.prefix(3)))
        case 5: out.append(string: String(name.prefix(1)))
        default: out.append(string: name)
        }
    }

    @inline(__always)
    private static func appendNumber(_ value: Int, _ width: Int, _ out: inout TextSink) {
        let to = out.spareText(width + 24)
        if width == 2, value >= 0, value < 100 {
            to[0] = UInt8(truncatingIfNeeded: 48 + value / 10)
            to[1] = UInt8(truncatingIfNeeded: 48 + value % 10)
            return out.advance(2)
        }
        var rest = value.magnitude, digits = 1, bound: UInt = 10
        while bound <= rest, digits < 19 {
            digits += 1
            bound *= 10
        }
        var n = max(digits, width)
        let sign = value < 0 ? 1 : 0
        if sign == 1 { to[0] = UInt8(ascii: "-") }
        var i = n + sign
        while i > sign {
            i -= 1
            to[i] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        n += sign
        out.advance(n)
    }

    private static func appendFraction(_ nanos: Int, _ n: Int, _ out: inout TextSink) {
        var rest = nanos, unit = 100_000_000
        for _ in 0..<n {
            out.append(unit == 0 ? 48 : UInt8(truncatingIfNeeded: 48 + rest / unit))
            if unit > 0 {
                rest %= unit
                unit /= 10
            }
        }
    }

    private static func appendOffset(_ seconds: Int, colon: Bool, minutes: Bool, _ out: inout TextSink) {
        out.append(seconds < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        appendNumber(Int(seconds.magnitude) / 3_600, 2, &out)
        if colon { out.append(UInt8(ascii: ":")) }
        if minutes { appendNumber(Int(seconds.magnitude) / 60 % 60, 2, &out) }
    }
}
