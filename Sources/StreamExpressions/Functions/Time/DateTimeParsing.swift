import StreamCore

/// What a pattern read from a text; nil for what the pattern does not mention.
struct ParsedDateTime {
    var year: Int?, yearOfEra: Int?, isBC = false
    var quarter: Int?, month: Int?, day: Int?, dayOfYear: Int?, dayOfWeek: Int?
    var hour: Int?, hourOfHalf: Int?, isPM: Bool?
    var minute: Int?, second: Int?, nanos: Int?
    var milliOfDay: Int?
    /// Seconds east of UTC, when the text names an offset.
    var offset: Int?

    /// Days and time of day, with 1970-01-01 00:00 for what is missing. nil when the values do not fit together.
    ///
    /// - Parameter lenient: values beyond their range count on, as in SimpleDateFormat; else the day is cut to the month's
    ///   end and all else must be in range.
    func resolve(lenient: Bool) -> (days: Int, secondOfDay: Int, nanos: Int)? {
        let eraYear = yearOfEra.map { isBC ? 1 - $0 : $0 }
        let year = self.year ?? eraYear ?? 1970
        var days: Int
        if let dayOfYear, month == nil, day == nil {
            guard lenient || (1...(CivilDate.isLeap(year) ? 366 : 365)).contains(dayOfYear) else { return nil }
            days = CivilDate(year: year, month: 1, day: 1).days + dayOfYear - 1
        } else {
            let month = self.month ?? (quarter.map { $0 * 3 - 2 } ?? 1), day = self.day ?? 1
            if lenient {
                let index = year * 12 + month - 1
                let y = Int(TemporalArithmetic.floorDivide(Int64(index), 12))
                days = CivilDate(year: y, month: index - y * 12 + 1, day: 1).days + day - 1
            } else {
                guard (1...12).contains(month), (1...31).contains(day) else { return nil }
                days = CivilDate(year: year, month: month, day: min(day, CivilDate.daysInMonth(month, of: year))).days
                if let dayOfWeek, CivilDate.isoDayOfWeek(days: days) != dayOfWeek { return nil }
            }
        }
        var hour = self.hour ?? 0
        if self.hour == nil, let half = hourOfHalf {
            guard lenient || (0...12).contains(half) else { return nil }
            hour = half % 12 + (isPM == true ? 12 : 0)
        }
        if lenient {
            let total = hour * 3_600 + (minute ?? 0) * 60 + (second ?? 0)
            let shift = Int(TemporalArithmetic.floorDivide(Int64(total), 86_400))
            days += shift
            return (days, total - shift * 86_400, nanos ?? 0)
        }
        if let milliOfDay {
            guard milliOfDay < 86_400_000 else { return nil }
            return (days, milliOfDay / 1_000, milliOfDay % 1_000 * 1_000_000)
        }
        guard (0..<24).contains(hour), (0..<60).contains(minute ?? 0), (0..<60).contains(second ?? 0) else { return nil }
        return (days, hour * 3_600 + (minute ?? 0) * 60 + (second ?? 0), nanos ?? 0)
    }
}

extension DateTimePattern {
    /// Reads the whole text (with the legacy dialect, the start of it); nil when it does not follow the pattern.
    func parse(_ text: UnsafeRawBufferPointer) -> ParsedDateTime? {
        var result = ParsedDateTime(), at = 0
        guard parse(text, &at, &result, 0, parts.count) else { return nil }
        return dialect == .legacy || at == text.count ? result : nil
    }

    private func parse(_ text: UnsafeRawBufferPointer, _ at: inout Int, _ result: inout ParsedDateTime, _ from: Int, _ to: Int) -> Bool {
        var i = from
        while i < to {
            switch parts[i] {
            case .literal(let start, let count):
                let stands = literals.withUnsafeBytes { Utf8Text.matches(UnsafeRawBufferPointer(rebasing: $0[start..<start + count]), in: text, at: at) }
                guard stands else { return false }
                at += count
            case .optionalStart:
                let end = closing(i)
                let (savedAt, saved) = (at, result)
                if !parse(text, &at, &result, i + 1, end) { (at, result) = (savedAt, saved) }
                i = end
            case .optionalEnd: break
            case .field(let letter, let n):
                guard dialect == .legacy ? parseLegacy(text, &at, &result, letter, n, i) : parseModern(text, &at, &result, letter, n, i) else { return false }
            }
            i += 1
        }
        return true
    }

    private func closing(_ start: Int) -> Int {
        var depth = 0
        for i in start..<parts.count {
            if case .optionalStart = parts[i] { depth += 1 }
            if case .optionalEnd = parts[i] {
                depth -= 1
                if depth == 0 { return i }
            }
        }
        return parts.count
    }

    /// Digits that directly following numbers of fixed width need for themselves.
    private func reserved(after index: Int) -> Int {
        var sum = 0
        for part in parts[(index + 1)...] {
            guard case .field(let letter, let n) = part, Self.isFixedNumber(letter, n) else { break }
            sum += n
        }
        return sum
    }

    private static func isFixedNumber(_ letter: UInt8, _ n: Int) -> Bool {
        switch letter {
        case UInt8(ascii: "S"): true
        case UInt8(ascii: "M"), UInt8(ascii: "L"), UInt8(ascii: "d"), UInt8(ascii: "H"), UInt8(ascii: "h"), UInt8(ascii: "k"), UInt8(ascii: "K"),
             UInt8(ascii: "m"), UInt8(ascii: "s"), UInt8(ascii: "y"), UInt8(ascii: "u"), UInt8(ascii: "w"), UInt8(ascii: "Q"), UInt8(ascii: "q"): n == 2
        case UInt8(ascii: "D"): n == 3 || n == 2
        default: false
        }
    }

    private static func number(_ text: UnsafeRawBufferPointer, _ at: inout Int, least: Int, most: Int) -> Int? {
        var value = 0, n = 0
        while n < most, at + n < text.count, text[at + n] &- 48 < 10 {
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            if overflow { return nil }
            value = scaled &+ Int(text[at + n] &- 48)
            n += 1
        }
        guard n >= least, value >= 0 else { return nil }
        at += n
        return value
    }

    private func parseModern(_ text: UnsafeRawBufferPointer, _ at: inout Int, _ result: inout ParsedDateTime, _ letter: UInt8, _ n: Int, _ index: Int) -> Bool {
        switch letter {
        case UInt8(ascii: "S"):
            guard n <= 9, let digits = Self.number(text, &at, least: n, most: n) else { return false }
            result.nanos = (0..<(9 - n)).reduce(digits) { v, _ in v * 10 }
            return true
        case UInt8(ascii: "y"), UInt8(ascii: "u"):
            let year: Int?
            if n == 2 {
                year = Self.number(text, &at, least: 2, most: 2).map { 2_000 + $0 }
            } else {
                // More digits than asked for need a plus sign.
                var sign = 1, signed = false
                if at < text.count, text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") {
                    sign = text[at] == UInt8(ascii: "-") ? -1 : 1
                    signed = true
                    at += 1
                }
                let run = digitRun(text, at), available = run - reserved(after: index)
                let most = signed ? 19 : n >= 4 ? n : 19
                if n >= 4, !signed, available > n { return false }
                year = Self.number(text, &at, least: n, most: min(most, max(available, 1))).map { sign * $0 }
            }
            guard let year else { return false }
            if letter == UInt8(ascii: "u") { result.year = year } else { result.yearOfEra = year }
            return letter == UInt8(ascii: "u") || year >= 1
        case UInt8(ascii: "X"), UInt8(ascii: "x"), UInt8(ascii: "Z"): return parseZone(text, &at, &result, UInt8(ascii: "X"))
        default: break
        }
        if parseText(text, &at, &result, letter, n, ignoringCase: false) { return true }
        guard Self.isNumber(letter, n) else { return false }
        let most = n == 1 ? max(digitRun(text, at) - reserved(after: index), 1) : n
        guard let value = Self.number(text, &at, least: n, most: n == 1 ? min(most, 19) : most) else { return false }
        return set(letter, value, &result, lenient: false)
    }

    private func parseLegacy(_ text: UnsafeRawBufferPointer, _ at: inout Int, _ result: inout ParsedDateTime, _ letter: UInt8, _ n: Int, _ index: Int) -> Bool {
        while at < text.count, text[at] == 0x20 || text[at] == 0x09 { at += 1 }
        if letter == UInt8(ascii: "z") || letter == UInt8(ascii: "Z") || letter == UInt8(ascii: "X") { return parseZone(text, &at, &result, letter) }
        if parseText(text, &at, &result, letter, n, ignoringCase: true) { return true }
        guard Self.isNumber(letter, n) || letter == UInt8(ascii: "y") || letter == UInt8(ascii: "S") else { return false }
        var sign = 1
        if at < text.count, text[at] == UInt8(ascii: "-") {
            sign = -1
            at += 1
        }
        // A number next to another takes only its own digits.
        var followed = false
        if index + 1 < parts.count, case .field(let next, let m) = parts[index + 1] { followed = Self.isNumber(next, m) || next == UInt8(ascii: "y") || next == UInt8(ascii: "S") }
        let start = at
        guard var value = Self.number(text, &at, least: 1, most: followed ? n : 18) else { return false }
        if letter == UInt8(ascii: "y"), n <= 2, at - start == 2, sign > 0 {
            // Two digits mean the year within 80 years before and 20 after now; the window of 1946 to 2045 suits this decade.
            value += value <= 45 ? 2_000 : 1_900
        }
        value *= sign
        switch letter {
        case UInt8(ascii: "y"): result.yearOfEra = value
        case UInt8(ascii: "S"): result.nanos = value * 1_000_000
        default: return set(letter, value, &result, lenient: true)
        }
        return true
    }

    private func digitRun(_ text: UnsafeRawBufferPointer, _ at: Int) -> Int {
        var n = 0
        while at + n < text.count, text[at + n] &- 48 < 10 { n += 1 }
        return n
    }

    private static func isNumber(_ letter: UInt8, _ n: Int) -> Bool {
        switch letter {
        case UInt8(ascii: "M"), UInt8(ascii: "L"), UInt8(ascii: "Q"), UInt8(ascii: "q"), UInt8(ascii: "e"), UInt8(ascii: "c"): n <= 2
        case UInt8(ascii: "G"), UInt8(ascii: "E"), UInt8(ascii: "a"): false
        default: true
        }
    }

    private func set(_ letter: UInt8, _ value: Int, _ result: inout ParsedDateTime, lenient: Bool) -> Bool {
        switch letter {
        case UInt8(ascii: "M"), UInt8(ascii: "L"): result.month = value
        case UInt8(ascii: "d"): result.day = value
        case UInt8(ascii: "D"): result.dayOfYear = value
        case UInt8(ascii: "Q"), UInt8(ascii: "q"): result.quarter = value
        case UInt8(ascii: "H"): result.hour = value
        case UInt8(ascii: "k"):
            if !lenient, !(1...24).contains(value) { return false }
            result.hour = value == 24 ? 0 : value
        case UInt8(ascii: "h"), UInt8(ascii: "K"):
            if !lenient, !(letter == UInt8(ascii: "h") ? 1...12 : 0...11).contains(value) { return false }
            result.hourOfHalf = value == 12 ? 0 : value
        case UInt8(ascii: "m"): result.minute = value
        case UInt8(ascii: "s"): result.second = value
        case UInt8(ascii: "n"): result.nanos = value
        case UInt8(ascii: "A"): result.milliOfDay = value
        default: break
        }
        return true
    }

    /// Names of months and days, AM and PM, eras.
    private func parseText(_ text: UnsafeRawBufferPointer, _ at: inout Int, _ result: inout ParsedDateTime, _ letter: UInt8, _ n: Int, ignoringCase: Bool) -> Bool {
        func matches(_ name: Substring) -> Bool {
            var i = at
            for c in name.utf8 {
                guard i < text.count else { return false }
                if text[i] != c, !ignoringCase || text[i] ^ c != 0x20 { return false }
                i += 1
            }
            at = i
            return true
        }
        func index(_ names: [String]) -> Int? {
            for (i, name) in names.enumerated() {
                if n >= 4 || ignoringCase, matches(name[...]) { return i }
                if n == 3 || ignoringCase, matches(name.prefix(3)) { return i }
            }
            return nil
        }
        switch letter {
        case UInt8(ascii: "M"), UInt8(ascii: "L"):
            guard n >= 3, let i = index(Self.months) else { return false }
            result.month = i + 1
        case UInt8(ascii: "E"):
            guard let i = index(Self.days) ?? (n < 3 && !ignoringCase ? Self.days.firstIndex { matches($0.prefix(3)) } : nil) else { return false }
            result.dayOfWeek = i + 1
        case UInt8(ascii: "a"):
            if matches("AM") { result.isPM = false } else if matches("PM") { result.isPM = true } else { return false }
        case UInt8(ascii: "G"):
            if matches("AD") { result.isBC = false } else if matches("BC") { result.isBC = true } else { return false }
        default: return false
        }
        return true
    }

    /// `Z`, `+0100`, `+01:00`, `UTC`, `GMT+1`.
    private func parseZone(_ text: UnsafeRawBufferPointer, _ at: inout Int, _ result: inout ParsedDateTime, _ letter: UInt8) -> Bool {
        for name in ["UTC", "GMT"] where letter != UInt8(ascii: "X") && at + 3 <= text.count && Utf8Text.slice(text, at, at + 3).elementsEqual(name.utf8) {
            at += 3
            result.offset = 0
            if at >= text.count || (text[at] != UInt8(ascii: "+") && text[at] != UInt8(ascii: "-")) { return true }
        }
        guard at < text.count else { return false }
        if text[at] == UInt8(ascii: "Z"), letter == UInt8(ascii: "X") {
            at += 1
            result.offset = 0
            return true
        }
        guard text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") else { return false }
        let sign = text[at] == UInt8(ascii: "-") ? -1 : 1
        at += 1
        guard let hours = Self.number(text, &at, least: 1, most: 2) else { return false }
        if at < text.count, text[at] == UInt8(ascii: ":") { at += 1 }
        let minutes = Self.number(text, &at, least: 2, most: 2) ?? 0
        result.offset = sign * (hours * 3_600 + minutes * 60)
        return true
    }
}

/// `yyyy-[m]m-[d]d[ [h]h:[m]m:[s]s[.f...]]`, the form that TO_TIMESTAMP falls back on.
enum PlainTimestamp {
    static func parse(_ text: UnsafeRawBufferPointer) -> (days: Int, secondOfDay: Int, nanos: Int)? {
        let to = text.count
        var at = 0
        func number(_ most: Int) -> Int? {
            var value = 0, n = 0
            while n < most, at < to, text[at] &- 48 < 10 {
                value = value * 10 + Int(text[at] &- 48)
                at += 1
                n += 1
            }
            return n == 0 ? nil : value
        }
        func take(_ c: Character) -> Bool {
            guard at < to, text[at] == c.asciiValue! else { return false }
            at += 1
            return true
        }
        let start = at
        guard let year = number(4), at - start == 4, take("-"), let month = number(2), (1...12).contains(month), take("-"),
              let day = number(2), (1...31).contains(day) else { return nil }
        let days = CivilDate(year: year, month: month, day: min(day, CivilDate.daysInMonth(month, of: year))).days
        if at == to { return (days, 0, 0) }
        guard take(" "), let hour = number(2), hour < 24, take(":"), let minute = number(2), minute < 60, take(":"),
              let second = number(2), second < 60 else { return nil }
        var nanos = 0
        if take(".") {
            let mark = at
            guard let digits = number(9) else { return nil }
            nanos = (0..<(9 - (at - mark))).reduce(digits) { v, _ in v * 10 }
        }
        return at == to ? (days, hour * 3_600 + minute * 60 + second, nanos) : nil
    }
}
