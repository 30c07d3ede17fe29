/// A day of the proleptic Gregorian calendar, and its number counted from 1970-01-01.
@frozen
public struct CivilDate: Hashable, Sendable {
    public var year: Int, month: Int, day: Int

    @inlinable public init(year: Int, month: Int, day: Int) { (self.year, self.month, self.day) = (year, month, day) }

    /// The day with that number.
    ///
    /// - Source: Howard Hinnant, "chrono-compatible low-level date algorithms": eras of 400 years that start in March.
    @inlinable public init(days: Int) {
        let z = days + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let marchMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
        month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days since 1970-01-01. The month must be in 1...12; a day past the month's end counts into the next month.
    @inlinable public var days: Int {
        let y = month <= 2 ? year - 1 : year
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    @inlinable public static func isLeap(_ year: Int) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    /// 28...31.
    @inlinable public static func daysInMonth(_ month: Int, of year: Int) -> Int {
        month == 2 ? (isLeap(year) ? 29 : 28) : month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31
    }

    /// 1 for 1 January.
    @inlinable public var dayOfYear: Int { days - CivilDate(year: year, month: 1, day: 1).days + 1 }

    /// ISO: 1 = Monday ... 7 = Sunday.
    @inlinable public static func isoDayOfWeek(days: Int) -> Int {
        let m = (days + 3) % 7
        return (m < 0 ? m + 7 : m) + 1
    }
}
