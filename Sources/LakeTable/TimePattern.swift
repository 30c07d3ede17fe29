import StreamCore

/// A date and time pattern such as `yyyy/MM/dd/HH`, with the letters of Java's formatters that partition paths are made with.
package struct TimePattern: Sendable, Equatable {
    package let text: String
    private let tokens: [Token]

    private enum Token: Sendable {
        case number(Field, width: Int)
        case literal([UInt8])
        /// `+0100`, or `+01:00`.
        case offset(colon: Bool)
        case halfOfDay
    }

    private enum Field: Sendable { case year, month, day, dayOfYear, hour, hourOfHalf, minute, second, fraction }

    package static func == (a: Self, b: Self) -> Bool { a.text == b.text }

    /// - Throws: `.validate` for letters that are not known, naming them.
    package init(_ text: String) throws {
        var tokens: [Token] = [], literal: [UInt8] = []
        let bytes = Array(text.utf8)
        var at = 0
        func flushed(_ token: Token) {
            if !literal.isEmpty { tokens.append(.literal(literal)) }
            literal = []
            tokens.append(token)
        }
        while at < bytes.count {
            let letter = bytes[at]
            if letter == 0x27 {
                let start = at + 1
                guard let end = bytes[start...].firstIndex(of: 0x27) else { throw StreamError(.validate, "pattern '\(text)' has a quote that does not end") }
                literal += end == start ? [0x27] : Array(bytes[start..<end])
                at = end + 1
                continue
            }
            guard (0x41...0x5A).contains(letter) || (0x61...0x7A).contains(letter) else {
                literal.append(letter)
                at += 1
                continue
            }
            var width = 0
            while at < bytes.count, bytes[at] == letter {
                width += 1
                at += 1
            }
            let field: Field
            switch letter {
            case UInt8(ascii: "y"), UInt8(ascii: "Y"), UInt8(ascii: "u"): field = .year
            case UInt8(ascii: "M") where width <= 2: field = .month
            case UInt8(ascii: "d"): field = .day
            case UInt8(ascii: "D"): field = .dayOfYear
            case UInt8(ascii: "H"): field = .hour
            case UInt8(ascii: "h"): field = .hourOfHalf
            case UInt8(ascii: "m"): field = .minute
            case UInt8(ascii: "s"): field = .second
            case UInt8(ascii: "S") where width <= 9: field = .fraction
            case UInt8(ascii: "a"):
                flushed(.halfOfDay)
                continue
            case UInt8(ascii: "Z"), UInt8(ascii: "X"):
                flushed(.offset(colon: letter == UInt8(ascii: "Z") ? width == 2 : width >= 3))
                continue
            default:
                throw StreamError(.validate, "pattern '\(text)' has '\(String(repeating: Character(UnicodeScalar(letter)), count: width))', which is not supported",
                                  fix: "use y M d D H h a m s S Z and quoted text")
            }
            flushed(.number(field, width: width))
        }
        if !literal.isEmpty { tokens.append(.literal(literal)) }
        (self.text, self.tokens) = (text, tokens)
    }

    /// Nothing finer than minutes is written.
    package var isCoarse: Bool {
        !tokens.contains { token in
            switch token {
            case .number(.second, _), .number(.fraction, _): true
            default: false
            }
        }
    }

    // MARK: Writing

    /// Appends the text of a local time.
    /// - Parameters:
    ///   - micros: since 1970-01-01 00:00 of the local clock.
    ///   - offset: seconds east of UTC.
    package func write(_ micros: Int64, offset: Int, to out: inout [UInt8]) {
        let day = Self.floor(micros, 86_400_000_000)
        let rest = micros - day * 86_400_000_000, date = CivilDate(days: Int(day)), seconds = Int(rest / 1_000_000)
        for token in tokens {
            switch token {
            case .literal(let bytes): out += bytes
            case .halfOfDay: out += Array((seconds < 43_200 ? "AM" : "PM").utf8)
            case .offset(let colon):
                out.append(offset < 0 ? 0x2D : 0x2B)
                Self.append(abs(offset) / 3_600, 2, &out)
                if colon { out.append(0x3A) }
                Self.append(abs(offset) / 60 % 60, 2, &out)
            case .number(let field, let width):
                switch field {
                case .year:
                    if date.year < 0 { out.append(0x2D) }
                    Self.append(width == 2 ? abs(date.year) % 100 : abs(date.year), width, &out)
                case .month: Self.append(date.month, width, &out)
                case .day: Self.append(date.day, width, &out)
                case .dayOfYear: Self.append(Int(day) - CivilDate(year: date.year, month: 1, day: 1).days + 1, width, &out)
                case .hour: Self.append(seconds / 3_600, width, &out)
                case .hourOfHalf: Self.append((seconds / 3_600 + 11) % 12 + 1, width, &out)
                case .minute: Self.append(seconds / 60 % 60, width, &out)
                case .second: Self.append(seconds % 60, width, &out)
                case .fraction:
                    var nanos = Int(rest % 1_000_000) * 1_000
                    for _ in width..<9 { nanos /= 10 }
                    Self.append(nanos, width, &out)
                }
            }
        }
    }

    private static func append(_ value: Int, _ width: Int, _ out: inout [UInt8]) {
        var digits = 1, limit = 10
        while value >= limit {
            digits += 1
            limit *= 10
        }
        let start = out.count, n = max(digits, width)
        out += repeatElement(0x30, count: n)
        var rest = value, at = start + n - 1
        while rest > 0 {
            out[at] = 0x30 + UInt8(rest % 10)
            rest /= 10
            at -= 1
        }
    }

    static func floor(_ a: Int64, _ b: Int64) -> Int64 { a >= 0 ? a / b : -((b - 1 - a) / b) }

    // MARK: Reading

    /// The time that a text says; nil when it does not follow the pattern.
    /// - Returns: microseconds of the local clock, and seconds east of UTC if the text says them.
    package func parse(_ text: UnsafeRawBufferPointer) -> (micros: Int64, offset: Int?)? {
        var year = 1970, month = 1, day = 1, dayOfYear: Int?, hour = 0, minute = 0, second = 0, nanos = 0, offset: Int?, isAfternoon: Bool?
        var at = 0
        func number(_ width: Int, upTo longest: Int) -> Int? {
            var value = 0, n = 0
            while at < text.count, n < longest, text[at] &- 0x30 <= 9 {
                value = value * 10 + Int(text[at] - 0x30)
                at += 1
                n += 1
            }
            return n >= min(width, 1) ? value : nil
        }
        for (i, token) in tokens.enumerated() {
            switch token {
            case .literal(let bytes):
                for byte in bytes {
                    guard at < text.count, text[at] == byte else { return nil }
                    at += 1
                }
            case .halfOfDay:
                guard at + 2 <= text.count, text[at + 1] | 0x20 == 0x6D else { return nil }
                switch text[at] | 0x20 {
                case 0x61: isAfternoon = false
                case 0x70: isAfternoon = true
                default: return nil
                }
                at += 2
            case .offset:
                guard at < text.count else { return nil }
                if text[at] == 0x5A {
                    (offset, at) = (0, at + 1)
                    continue
                }
                guard text[at] == 0x2B || text[at] == 0x2D else { return nil }
                let sign = text[at] == 0x2D ? -1 : 1
                at += 1
                guard let hours = number(2, upTo: 2) else { return nil }
                if at < text.count, text[at] == 0x3A { at += 1 }
                offset = sign * (hours * 3_600 + (number(0, upTo: 2) ?? 0) * 60)
            case .number(let field, let width):
                // Digits of the next field begin where this one's end, if nothing is between them.
                var isFollowedByDigits = false
                if i + 1 < tokens.count, case .number = tokens[i + 1] { isFollowedByDigits = true }
                let start = at
                guard let value = number(1, upTo: isFollowedByDigits ? width : field == .fraction ? 9 : max(width, field == .year ? 9 : 2)) else { return nil }
                switch field {
                case .year: year = width == 2 && at - start == 2 ? 2000 + value : value
                case .month: month = value
                case .day: day = value
                case .dayOfYear: dayOfYear = value
                case .hour, .hourOfHalf: hour = value
                case .minute: minute = value
                case .second: second = value
                case .fraction:
                    nanos = value
                    for _ in (at - start)..<9 { nanos *= 10 }
                }
            }
        }
        if let isAfternoon { hour = hour % 12 + (isAfternoon ? 12 : 0) }
        let length = month == 2 ? (CivilDate.isLeap(year) ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
        guard at == text.count, (1...12).contains(month), (1...length).contains(day), hour < 24, minute < 60, second < 60 else { return nil }
        let days = dayOfYear.map { CivilDate(year: year, month: 1, day: 1).days + $0 - 1 } ?? CivilDate(year: year, month: month, day: day).days
        return (Int64(days) * 86_400_000_000 + Int64(hour * 3_600 + minute * 60 + second) * 1_000_000 + Int64(nanos / 1_000), offset)
    }
}
