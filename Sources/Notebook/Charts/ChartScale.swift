import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Numbers as charts write them.
package enum ChartNumber {
    /// `1,234,567`.
    package static func grouped(_ n: Int64) -> String {
        let digits = String(n.magnitude)
        var out = n < 0 ? "\u{2212}" : ""
        for (i, d) in digits.enumerated() {
            if i > 0, (digits.count - i) % 3 == 0 { out += "," }
            out.append(d)
        }
        return out
    }

    /// With so many decimals, and commas between thousands; the sign is a minus.
    package static func fixed(_ value: Double, decimals: Int) -> String {
        let scaled = (value.magnitude * pow(10, Double(decimals))).rounded()
        guard scaled < 1e18 else { return scientific(value) }
        let whole = Int64(scaled), unit = Int64(pow(10, Double(decimals)))
        let fraction = String(whole % unit)
        return (value < 0 && whole > 0 ? "\u{2212}" : "") + grouped(whole / unit)
            + (decimals > 0 ? "." + String(repeating: "0", count: decimals - fraction.count) + fraction : "")
    }

    /// For a reader: at most `digits` significant digits after the whole part has taken its own.
    package static func text(_ value: Double, digits: Int = 6) -> String {
        guard value != 0 else { return "0" }
        let size = Int(log10(value.magnitude).rounded(.down))
        guard size > -7, size < 15 else { return scientific(value, digits: digits) }
        return trimmed(fixed(value, decimals: max(0, min(9, digits - 1 - size))))
    }

    /// `1.5e20`.
    static func scientific(_ value: Double, digits: Int = 6) -> String {
        guard value != 0, value.isFinite else { return "0" }
        var size = Int(log10(value.magnitude).rounded(.down))
        var mantissa = value / pow(10, Double(size))
        // 9.9999999 is written as 10.
        if fixed(mantissa.magnitude, decimals: digits - 1).hasPrefix("10") { (mantissa, size) = (mantissa / 10, size + 1) }
        return trimmed(fixed(mantissa, decimals: digits - 1)) + "e" + (size < 0 ? "\u{2212}" : "") + String(size.magnitude)
    }

    private static func trimmed(_ text: String) -> String {
        guard text.contains(".") else { return text }
        var out = text
        while out.hasSuffix("0") { out.removeLast() }
        if out.hasSuffix(".") { out.removeLast() }
        return out
    }

    /// For programs: every digit, without commas.
    package static func exact(_ value: Double) -> String {
        value == value.rounded() && value.magnitude < 1e15 ? String(Int64(value)) : "\(value)"
    }
}

/// Round values for an axis: steps of 1, 2 or 5 times a power of ten.
package struct NumberTicks: Sendable, Hashable {
    package var values: [Double]
    package var step: Double

    /// Ends that are ticks themselves and cover low and high.
    package var low: Double { values[0] }
    package var high: Double { values[values.count - 1] }

    /// - Parameter count: about as many; low <= high.
    package init(from low: Double, to high: Double, count: Int) {
        var (low, high) = (low, high)
        // Values so close that doubles have no steps between them are one value.
        let size = max(low.magnitude, high.magnitude)
        if high - low <= size * 1e-13 || high - low < 1e-280 {
            let room = size < 1e-280 ? 1 : size * 0.1
            (low, high) = (low - room, high + room)
        }
        let rough = (high - low) / Double(max(1, count)), power = pow(10, log10(rough).rounded(.down)), error = rough / power
        let factor: Double = error >= 7.07 ? 10 : error >= 3.16 ? 5 : error >= 1.41 ? 2 : 1
        step = factor * power
        let first = (low / step + 1e-9).rounded(.down), last = (high / step - 1e-9).rounded(.up)
        // A power of ten below 1 is no exact number; dividing by its inverse gives 0.3 where multiplying gives 0.30000000000000004.
        let inverse = power < 1 ? pow(10, -log10(power).rounded()) : 1
        let unit = power < 1 ? factor : step
        values = (0...Int(last - first)).map { (first + Double($0)) * unit / inverse }
    }

    package var labels: [String] {
        let most = max(low.magnitude, high.magnitude)
        let units: [(Double, String)] = [(1e12, "T"), (1e9, "B"), (1e6, "M")]
        if most < 1e15, let (unit, name) = units.first(where: { most >= $0.0 && step >= $0.0 / 100 }) {
            return values.map { $0 == 0 ? "0" : ChartNumber.fixed($0 / unit, decimals: Self.decimals(step / unit)) + name }
        }
        guard most < 1e15, step > 1e-7 else { return values.map { ChartNumber.scientific($0, digits: 1 + max(0, Int(log10(most / step).rounded(.up)))) } }
        return values.map { ChartNumber.fixed($0, decimals: Self.decimals(step)) }
    }

    private static func decimals(_ step: Double) -> Int { max(0, Int((-log10(step) - 1e-9).rounded(.up))) }
}

/// Times as charts read and write them: milliseconds since 1970, without a zone.
package enum ChartTime {
    static let day: Int64 = 86_400_000

    /// By a column's SQL type.
    package static func isTime(_ type: String) -> Bool {
        let name = type.uppercased()
        return ["DATE", "TIME"].contains { word in
            name.hasPrefix(word) && (name.dropFirst(word.count).first.map { "( ".contains($0) } ?? true)
        } || name.hasPrefix("TIMESTAMP") || name.hasPrefix("DATETIME")
    }

    /// `2021-05-19 11:20:00.5`, also with `T`, a `Z` or a date or time of day only.
    package static func parse(_ text: String) -> Int64? {
        var bytes = Array(text.utf8)
        if bytes.last == UInt8(ascii: "Z") { bytes.removeLast() }
        return bytes.withUnsafeBytes { raw in
            DateTimeText.parseTimestamp(raw, precision: 3) ?? DateTimeText.parseTime(raw, precision: 3).map(Int64.init)
        }
    }

    static func parts(_ time: Int64) -> (date: CivilDate, ofDay: Int64) {
        let days = time >= 0 ? time / day : -((-time + day - 1) / day)
        return (CivilDate(days: Int(days)), time - days * day)
    }

    static func date(_ time: Int64) -> String {
        let d = parts(time).date
        return "\(String(d.year))-\(two(d.month))-\(two(d.day))"
    }

    static func clock(_ time: Int64, unit: Int64) -> String {
        let t = parts(time).ofDay
        var out = two(Int(t / 3_600_000)) + ":" + two(Int(t / 60_000 % 60))
        if unit < 60_000 { out += ":" + two(Int(t / 1000 % 60)) }
        if unit < 1000 {
            let fraction = String(t % 1000)
            out += "." + String(repeating: "0", count: 3 - fraction.count) + fraction
        }
        return out
    }

    private static func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }

    /// Exact, without trailing zeros.
    package static func text(_ time: Int64) -> String {
        let t = parts(time).ofDay
        return date(time) + (t == 0 ? "" : " " + clock(time, unit: t % 1000 == 0 ? 1000 : 1))
    }

    /// As short as all of them allow: dates only, or times of one day.
    static func labels(_ times: [Int64]) -> [String] {
        let ofDay = times.map { parts($0).ofDay }
        if ofDay.allSatisfy({ $0 == 0 }) { return times.map(date) }
        let unit: Int64 = ofDay.contains { $0 % 1000 != 0 } ? 1 : ofDay.contains { $0 % 60_000 != 0 } ? 1000 : 60_000
        let isOneDay = Set(times.map { date($0) }).count == 1
        return times.map { (isOneDay ? "" : date($0).dropFirst(5) + " ") + clock($0, unit: unit) }
    }

    /// The day that `labels` leave out.
    static func commonDay(_ times: [Int64]) -> String? {
        guard let first = times.first, first >= day, times.contains(where: { parts($0).ofDay != 0 }), Set(times.map { date($0) }).count == 1 else { return nil }
        return date(first)
    }
}

/// Whole seconds, minutes, hours, days, months or years for an axis of times.
package struct TimeTicks: Sendable, Hashable {
    package var values: [Int64] = []
    /// At each tick: the time, and below it the day where it begins or changes.
    package var labels: [(String, String?)] { zip(texts, days).map { ($0, $1) } }
    private var texts: [String] = [], days: [String?] = []

    private static let steps: [Int64] = [1, 2, 5, 10, 20, 50, 100, 200, 500]
        + [1, 2, 5, 10, 15, 30].map { $0 * 1000 } + [1, 2, 5, 10, 15, 30].map { $0 * 60_000 } + [1, 2, 3, 6, 12].map { $0 * 3_600_000 }
        + [1, 2, 7, 14].map { $0 * ChartTime.day }
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    /// At most about `count` of them, all within low and high.
    package init(from low: Int64, to high: Int64, count: Int) {
        let count = Int64(max(1, count)), span = max(1, high - low)
        if let step = Self.steps.first(where: { span / $0 <= count }) {
            // Weeks begin on a Monday, which 1970-01-05 was.
            let origin: Int64 = step % (7 * ChartTime.day) == 0 ? 4 * ChartTime.day : 0
            var at = origin + Int64((Double(low - origin) / Double(step)).rounded(.up)) * step
            while at <= high {
                values.append(at)
                at += step
            }
            guard step < ChartTime.day else {
                nameDays()
                return
            }
            texts = values.map { ChartTime.clock($0, unit: step) }
            var before: String?
            // Times of day have no date: they are those of the first day of 1970.
            let hasDates = low < 0 || high >= ChartTime.day
            days = values.map { at in
                let day = ChartTime.date(at)
                defer { before = day }
                return day != before && hasDates ? day : nil
            }
            return
        }
        let first = ChartTime.parts(low).date, last = ChartTime.parts(high).date
        let spanMonths = (last.year - first.year) * 12 + last.month - first.month
        let monthSteps = [1, 2, 3, 6] + [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].map { $0 * 12 }
        let step = monthSteps.first { spanMonths / $0 <= Int(count) } ?? 60_000
        var month = first.year * 12 + first.month - 1
        month -= ((month % step) + step) % step
        while month <= last.year * 12 + last.month - 1 {
            let at = Int64(CivilDate(year: month / 12, month: month % 12 + 1, day: 1).days) * ChartTime.day
            if at >= low, at <= high {
                values.append(at)
                texts.append(step % 12 == 0 ? String(month / 12) : Self.months[month % 12])
                days.append(step % 12 != 0 && (values.count == 1 || month % 12 < step) ? String(month / 12) : nil)
            }
            month += step
        }
    }

    private mutating func nameDays() {
        var year: Int?
        for at in values {
            let d = ChartTime.parts(at).date
            texts.append("\(Self.months[d.month - 1]) \(d.day)")
            days.append(d.year == year ? nil : String(d.year))
            year = d.year
        }
    }
}

/// A line from values to places on the picture.
struct LinearScale {
    var low: Double, high: Double, start: Double, end: Double

    func callAsFunction(_ value: Double) -> Double {
        high == low ? (start + end) / 2 : start + (value - low) / (high - low) * (end - start)
    }
}
