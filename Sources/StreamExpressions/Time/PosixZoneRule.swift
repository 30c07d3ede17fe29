import StreamCore

/// A POSIX TZ rule such as `CET-1CEST,M3.5.0,M10.5.0/3`: the offsets of all years to come.
struct PosixZoneRule: Sendable {
    /// Day of the year on which the clock changes, and the local second of that day.
    private enum Day: Sendable {
        case julian(Int), zeroBased(Int), weekday(month: Int, week: Int, day: Int)
    }
    private struct Change: Sendable { var day: Day, second: Int64 }

    private let standard: Int64
    private let daylight: (offset: Int64, start: Change, end: Change)?

    /// nil for text that is empty or no such rule.
    init?(_ text: String) {
        var scanner = Scanner(text)
        guard scanner.name(), let west = scanner.time() else { return nil }
        standard = -west
        guard scanner.name() else {
            daylight = nil
            return
        }
        let summer = scanner.time().map { -$0 } ?? standard + 3_600
        guard scanner.take(","), let start = scanner.change(), scanner.take(","), let end = scanner.change() else { return nil }
        daylight = (summer, start, end)
    }

    /// The span around a time that is not before the last listed transition.
    func span(at seconds: Int64, notBefore: Int64) -> TimeZoneRules.Span {
        guard let daylight else { return .init(from: notBefore, until: .max, offset: standard) }
        let year = CivilDate(days: Int(TemporalArithmetic.floorDivide(seconds, 86_400))).year
        // The changes of three years surround the time in either hemisphere.
        var changes: [(at: Int64, offset: Int64)] = []
        for y in year - 1...year + 1 {
            changes.append((Self.second(daylight.start, year: y) - standard, daylight.offset))
            changes.append((Self.second(daylight.end, year: y) - daylight.offset, standard))
        }
        changes.sort { $0.at < $1.at }
        let next = changes.firstIndex { $0.at > seconds } ?? changes.count
        let until = next < changes.count ? changes[next].at : .max
        if next == 0 { return .init(from: notBefore, until: until, offset: standard) }
        return .init(from: max(notBefore, changes[next - 1].at), until: until, offset: changes[next - 1].offset)
    }

    private static func second(_ change: Change, year: Int) -> Int64 {
        let newYear = CivilDate(year: year, month: 1, day: 1).days
        let day: Int
        switch change.day {
        case .zeroBased(let n): day = newYear + n
        case .julian(let n): day = newYear + n - 1 + (CivilDate.isLeap(year) && n >= 60 ? 1 : 0)
        case .weekday(let month, let week, let weekday):
            let first = CivilDate(year: year, month: month, day: 1).days
            // 1970-01-01 was a Thursday; Sunday is 0.
            let firstWeekday = ((first + 4) % 7 + 7) % 7
            var number = (weekday - firstWeekday + 7) % 7 + (week - 1) * 7
            if number >= CivilDate.daysInMonth(month, of: year) { number -= 7 }
            day = first + number
        }
        return Int64(day) * 86_400 + change.second
    }

    private struct Scanner {
        private var rest: Substring

        init(_ text: String) { rest = Substring(text) }

        mutating func take(_ c: Character) -> Bool {
            guard rest.first == c else { return false }
            rest.removeFirst()
            return true
        }

        /// An abbreviation: letters, or anything between `<` and `>`.
        mutating func name() -> Bool {
            if take("<") {
                guard let end = rest.firstIndex(of: ">") else { return false }
                rest = rest[rest.index(after: end)...]
                return true
            }
            let letters = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(letters.count)
            return !letters.isEmpty
        }

        mutating func number() -> Int? {
            let digits = rest.prefix { $0.isNumber }
            rest = rest.dropFirst(digits.count)
            return Int(digits)
        }

        /// `[+-]h[:mm[:ss]]` in seconds.
        mutating func time() -> Int64? {
            let negative = take("-")
            if !negative { _ = take("+") }
            guard let hours = number() else { return nil }
            var seconds = hours * 3_600
            if take(":") { seconds += (number() ?? 0) * 60 }
            if take(":") { seconds += number() ?? 0 }
            return Int64(negative ? -seconds : seconds)
        }

        mutating func change() -> Change? {
            let day: Day
            if take("M") {
                guard let month = number(), take("."), let week = number(), take("."), let weekday = number(),
                      (1...12).contains(month), (1...5).contains(week), (0...6).contains(weekday) else { return nil }
                day = .weekday(month: month, week: week, day: weekday)
            } else if take("J") {
                guard let n = number() else { return nil }
                day = .julian(n)
            } else {
                guard let n = number() else { return nil }
                day = .zeroBased(n)
            }
            guard take("/") else { return Change(day: day, second: 7_200) }
            return time().map { Change(day: day, second: $0) }
        }
    }
}
