import StreamCore

/// EXTRACT and its short forms, FLOOR and CEIL to a unit, TIMESTAMPADD and TIMESTAMPDIFF.
extension FunctionRegistry {
    mutating func registerTimeFieldFunctions() {
        register("EXTRACT") { args, _ in
            guard args.count == 2, let unit = Binding.constantText(args[0]) else {
                throw Binding.arityError("EXTRACT", given: args.count, least: 2, most: 2, names: ["unit", "value"])
            }
            return try TimeFields.bind("EXTRACT", unit, args[1])
        }
        for (name, unit) in [("YEAR", "YEAR"), ("QUARTER", "QUARTER"), ("MONTH", "MONTH"), ("WEEK", "WEEK"), ("DAYOFYEAR", "DOY"), ("DAYOFMONTH", "DAY"),
                             ("DAYOFWEEK", "DOW"), ("HOUR", "HOUR"), ("MINUTE", "MINUTE"), ("SECOND", "SECOND")] {
            register(name) { args, _ in
                guard args.count == 1 else { throw Binding.arityError(name, given: args.count, least: 1, most: 1, names: ["date or timestamp"]) }
                return try TimeFields.bind(name, unit, args[0])
            }
        }
        register("TIMESTAMPADD") { args, _ in try TimeShift.bindAdd(args) }
        register("TIMESTAMPDIFF") { args, _ in try TimeShift.bindDifference(args) }
    }
}

/// The units of EXTRACT.
enum TimeField: String, CaseIterable, Sendable {
    case millennium = "MILLENNIUM", century = "CENTURY", decade = "DECADE", year = "YEAR", isoYear = "ISOYEAR", quarter = "QUARTER", month = "MONTH"
    case week = "WEEK", dayOfYear = "DOY", day = "DAY", dayOfWeek = "DOW", isoDayOfWeek = "ISODOW"
    case hour = "HOUR", minute = "MINUTE", second = "SECOND", millisecond = "MILLISECOND", microsecond = "MICROSECOND", nanosecond = "NANOSECOND"
    case epoch = "EPOCH"

    static func named(_ name: String, _ function: String) throws -> TimeField {
        let upper = name.uppercased()
        if let field = TimeField(rawValue: upper) { return field }
        switch upper {
        case "DAYOFWEEK": return .dayOfWeek
        case "DAYOFYEAR": return .dayOfYear
        default:
            let names = allCases.map(\.rawValue)
            throw StreamError(.validate, "\(function) knows no unit \(name)", fix: NearName.hint(for: upper, in: names))
        }
    }

    var isOfDate: Bool {
        switch self {
        case .hour, .minute, .second, .millisecond, .microsecond, .nanosecond, .epoch: false
        default: true
        }
    }

    /// The field of a day.
    @inline(__always)
    func ofDay(_ days: Int) -> Int64 {
        switch self {
        case .dayOfWeek: return Int64(CivilDate.isoDayOfWeek(days: days) % 7 + 1)
        case .isoDayOfWeek: return Int64(CivilDate.isoDayOfWeek(days: days))
        case .week, .isoYear:
            // The week belongs to the year of its Thursday.
            let thursday = days - CivilDate.isoDayOfWeek(days: days) + 4
            let year = CivilDate(days: thursday).year
            if self == .isoYear { return Int64(year) }
            return Int64((thursday - CivilDate(year: year, month: 1, day: 1).days) / 7 + 1)
        default: break
        }
        let date = CivilDate(days: days)
        let year = date.year
        switch self {
        case .millennium: return Int64(year > 0 ? (year + 999) / 1_000 : -((999 - year) / 1_000))
        case .century: return Int64(year > 0 ? (year + 99) / 100 : -((99 - year) / 100))
        case .decade: return TemporalArithmetic.floorDivide(Int64(year), 10)
        case .year: return Int64(year)
        case .quarter: return Int64((date.month + 2) / 3)
        case .month: return Int64(date.month)
        case .dayOfYear: return Int64(date.dayOfYear)
        case .day: return Int64(date.day)
        default: return 0
        }
    }

    /// The field of milliseconds since midnight; before 1970 the remainders that count here are negative, as in Flink.
    @inline(__always)
    func ofMilliseconds(_ ms: Int64) -> Int64 {
        switch self {
        case .hour: ms % 86_400_000 / 3_600_000
        case .minute: ms % 3_600_000 / 60_000
        case .second: ms % 60_000 / 1_000
        case .millisecond: ms % 1_000
        case .microsecond: ms % 1_000 * 1_000
        case .nanosecond: ms % 1_000 * 1_000_000
        default: ms / 1_000
        }
    }
}

enum TimeFields {
    static func bind(_ name: String, _ unit: String, _ value: Expr) throws -> Expr {
        let field = try TimeField.named(unit, name)
        let type = value.type
        if type == .null { throw Binding.bareNull(name, "value") }
        func refused() -> StreamError {
            StreamError(.validate, "\(name) cannot take \(field.rawValue) from \(type)",
                        fix: type.isText ? "write CAST(... AS TIMESTAMP(3)) or CAST(... AS DATE)" : "give a DATE, a TIMESTAMP or an interval that has this unit")
        }
        func call(_ body: @escaping KernelBody) -> Expr { Binding.call(name, .bigint, [value], body) }
        switch type {
        case .date:
            if !field.isOfDate && field != .epoch {
                return call { args, rows, _ in Elementwise.map(.bigint, args[0], rows, as: Int32.self) { _ -> Int64 in 0 } }
            }
            if field == .epoch { return call { args, rows, _ in Elementwise.map(.bigint, args[0], rows, as: Int32.self) { d -> Int64 in Int64(d) * 86_400 } } }
            return call { args, rows, _ in
                let days = args[0].vector(Int32.self)
                return rows.fixed(.bigint) { field.ofDay(Int(days[$0])) }
            }
        case .time:
            if field.isOfDate { throw refused() }
            return call { args, rows, _ in
                let ms = args[0].vector(Int32.self)
                return rows.fixed(.bigint) { field.ofMilliseconds(Int64(ms[$0])) }
            }
        case .timestamp, .timestampLTZ:
            let unit = type.timeUnit!
            var isLocal = false
            if case .timestampLTZ = type { isLocal = true }
            // Seconds since 1970 do not depend on the zone.
            let shifts = isLocal && field != .epoch
            return call { args, rows, context in
                let time = args[0].vector(Int64.self)
                var zone = try ZoneCursor(named: shifts ? context.timeZone : "UTC")
                func local(_ row: Int) -> Int64 { shifts ? zone.local(time[row], unit) : time[row] }
                if field.isOfDate {
                    // Division towards zero: before 1970 a time within a day counts as the next day, as in Flink.
                    let perDay = unit.perSecond * 86_400
                    return rows.fixed(.bigint) { field.ofDay(Int(local($0) / perDay)) }
                }
                if field == .microsecond || field == .nanosecond {
                    let factor = (field == .microsecond ? 1_000_000 : 1_000_000_000) / unit.perSecond
                    return rows.fixed(.bigint) { row -> Int64 in
                        let rest = local(row) % unit.perSecond
                        return factor > 0 ? rest * factor : rest / 1_000
                    }
                }
                let perMillisecond = unit.perMillisecond
                return rows.fixed(.bigint) { field.ofMilliseconds(TemporalArithmetic.floorDivide(local($0), perMillisecond)) }
            }
        case .intervalYearMonth:
            guard field == .year || field == .month || field == .quarter || field == .decade || field == .century || field == .millennium else { throw refused() }
            return call { args, rows, _ in
                let months = args[0].vector(Int32.self)
                return rows.fixed(.bigint) { row -> Int64 in
                    let m = Int64(months[row])
                    switch field {
                    case .month: return m % 12
                    case .quarter: return m % 12 / 3 + 1
                    case .year: return m / 12
                    case .decade: return m / 120
                    case .century: return m / 1_200
                    default: return m / 12_000
                    }
                }
            }
        case .intervalDayTime:
            guard field == .day || !field.isOfDate else { throw refused() }
            return call { args, rows, _ in
                let ms = args[0].vector(Int64.self)
                return rows.fixed(.bigint) { field == .day ? ms[$0] / 86_400_000 : field.ofMilliseconds(ms[$0]) }
            }
        default: throw refused()
        }
    }
}

/// FLOOR and CEIL of dates and times.
enum TimeFloor {
    private static let millisecondsOf: [TimeField: Int64] = [.millisecond: 1, .second: 1_000, .minute: 60_000, .hour: 3_600_000, .day: 86_400_000]

    static func bind(_ name: String, _ args: [Expr], ceil: Bool) throws -> Expr {
        guard let unit = Binding.constantText(args[1]) else {
            throw Binding.mismatch(name, args, takes: "a number, or a date or time TO a unit")
        }
        let field = try TimeField.named(unit, name), type = args[0].type
        if type == .null { throw Binding.bareNull(name, "value") }
        let milliseconds = millisecondsOf[field]
        let isOfDate = [.millennium, .century, .decade, .year, .quarter, .month, .week].contains(field)
        func refused() -> StreamError {
            StreamError(.validate, "\(name) cannot round \(type) to \(field.rawValue)",
                        fix: type.isTemporal ? "use YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND" : "write CAST(... AS TIMESTAMP(3))")
        }
        func call(_ body: @escaping KernelBody) -> Expr { Binding.call(name, type, [args[0]], body) }
        switch type {
        case .date:
            if milliseconds != nil { return args[0] }
            guard isOfDate else { throw refused() }
            return call { args, rows, _ in
                let days = args[0].vector(Int32.self)
                return rows.fixed(type) { Int32(truncatingIfNeeded: day(Int(days[$0]), field, ceil: ceil)) }
            }
        case .time:
            guard let milliseconds, milliseconds < 86_400_000 else { throw refused() }
            return call { args, rows, _ in
                Elementwise.map(type, args[0], rows, as: Int32.self) { t -> Int32 in Int32(truncatingIfNeeded: step(Int64(t), milliseconds, ceil: ceil)) }
            }
        case .timestamp, .timestampLTZ:
            guard milliseconds != nil || isOfDate else { throw refused() }
            let unit = type.timeUnit!
            var isLocal = false
            if case .timestampLTZ = type { isLocal = true }
            let shifts = isLocal
            return call { args, rows, context in
                let time = args[0].vector(Int64.self)
                var zone = try ZoneCursor(named: shifts ? context.timeZone : "UTC")
                let perMillisecond = unit.perMillisecond
                return rows.fixed(type) { row -> Int64 in
                    let t = TemporalArithmetic.floorDivide(time[row], perMillisecond)
                    // The offset before rounding is taken off again, also when a change of clocks lies between.
                    let offset = shifts ? zone.offset(atUTC: TemporalArithmetic.floorDivide(t, 1_000)) * 1_000 : 0
                    let local = t + offset
                    if let milliseconds { return (step(local, milliseconds, ceil: ceil) - offset) &* perMillisecond }
                    // Division towards zero: before 1970 a time within a day counts as the next day, as in Flink.
                    return (Int64(day(Int(local / 86_400_000), field, ceil: ceil)) * 86_400_000 - offset) &* perMillisecond
                }
            }
        default: throw refused()
        }
    }

    @inline(__always)
    private static func step(_ value: Int64, _ step: Int64, ceil: Bool) -> Int64 {
        let floor = TemporalArithmetic.floorDivide(value, step) &* step
        return ceil && floor != value ? floor + step : floor
    }

    /// Weeks start on Sunday.
    static func day(_ days: Int, _ field: TimeField, ceil: Bool) -> Int {
        if field == .week {
            let sinceSunday = CivilDate.isoDayOfWeek(days: days) % 7
            return days - sinceSunday + (ceil && sinceSunday > 0 ? 7 : 0)
        }
        let date = CivilDate(days: days)
        var year = date.year, month = 1
        switch field {
        case .millennium: year = 1_000 * ((year + 999) / 1_000) + (ceil ? 1 : -999)
        case .century: year = 100 * ((year + 99) / 100) + (ceil ? 1 : -99)
        case .decade: year = 10 * (year / 10 + (ceil ? 1 : 0))
        case .year: if ceil, date.month > 1 || date.day > 1 { year += 1 }
        case .quarter:
            month = (date.month - 1) / 3 * 3 + 1
            // The first day of the second to fourth quarter counts as within it, as in Flink.
            if ceil, date.month > 1 || date.day > 1 { month += 3 }
        default:
            month = date.month
            if ceil, date.day > 1 { month += 1 }
        }
        if month > 12 { (year, month) = (year + 1, month - 12) }
        return CivilDate(year: year, month: month, day: 1).days
    }
}

/// TIMESTAMPADD and TIMESTAMPDIFF.
enum TimeShift {
    private enum Unit {
        case months(Int64), milliseconds(Int64)

        init(_ name: String, _ function: String) throws {
            let upper = name.uppercased()
            let short = upper.hasPrefix("SQL_TSI_") ? String(upper.dropFirst(8)) : upper
            switch short {
            case "YEAR": self = .months(12)
            case "QUARTER": self = .months(3)
            case "MONTH": self = .months(1)
            case "WEEK": self = .milliseconds(604_800_000)
            case "DAY": self = .milliseconds(86_400_000)
            case "HOUR": self = .milliseconds(3_600_000)
            case "MINUTE": self = .milliseconds(60_000)
            case "SECOND": self = .milliseconds(1_000)
            case "MILLISECOND": self = .milliseconds(1)
            default:
                throw StreamError(.validate, "\(function) knows no unit \(name)", fix: "use YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND or MILLISECOND")
            }
        }
    }

    static func bindAdd(_ args: [Expr]) throws -> Expr {
        guard args.count == 3, let name = Binding.constantText(args[0]) else {
            throw Binding.arityError("TIMESTAMPADD", given: args.count, least: 3, most: 3, names: ["unit", "number", "date or timestamp"])
        }
        let bound = try Binding.arguments("TIMESTAMPADD", Array(args.dropFirst()), [.bigint("number"), .temporal("date or timestamp")])
        let type = bound[1].type
        let interval: DataType, factor: Int64, result: DataType
        switch try Unit(name, "TIMESTAMPADD") {
        case .months(let n): (interval, factor, result) = (.intervalYearMonth, n, type)
        case .milliseconds(let n):
            // Parts of a day make a timestamp of a date.
            (interval, factor) = (.intervalDayTime, n)
            switch type {
            case .date where n % 86_400_000 != 0: result = .timestamp(6)
            case .timestamp(let p) where n < 1_000: result = .timestamp(max(p, 3))
            case .timestampLTZ(let p) where n < 1_000: result = .timestampLTZ(max(p, 3))
            default: result = type
            }
        }
        let amount = interval == .intervalYearMonth
            ? Binding.call("TIMESTAMPADD", interval, [bound[0]]) { args, rows, _ in
                Elementwise.map(interval, args[0], rows, as: Int64.self) { n -> Int32 in Int32(truncatingIfNeeded: n &* factor) }
            }
            : Binding.call("TIMESTAMPADD", interval, [bound[0]]) { args, rows, _ in
                Elementwise.map(interval, args[0], rows, as: Int64.self) { n -> Int64 in n &* factor }
            }
        return Binding.call("TIMESTAMPADD", result, [bound[1], amount], TemporalArithmetic.shift(type, by: interval, subtract: false, result: result))
    }

    static func bindDifference(_ args: [Expr]) throws -> Expr {
        guard args.count == 3, let name = Binding.constantText(args[0]) else {
            throw Binding.arityError("TIMESTAMPDIFF", given: args.count, least: 3, most: 3, names: ["unit", "from", "to"])
        }
        let unit = try Unit(name, "TIMESTAMPDIFF")
        let bound = try Binding.arguments("TIMESTAMPDIFF", Array(args.dropFirst()), [.temporal("first time"), .temporal("second time")])
        var from = bound[0], to = bound[1]
        if from.type != to.type {
            guard let common = TypeCoercion.commonType(from.type, to.type) else { throw Binding.mismatch("TIMESTAMPDIFF", bound, takes: "two dates or timestamps") }
            (from, to) = (try Binding.cast(from, to: common), try Binding.cast(to, to: common))
        }
        let type = from.type
        return Binding.call("TIMESTAMPDIFF", .int, [from, to]) { args, rows, _ in
            let perMillisecond = type.timeUnit?.perMillisecond ?? 1
            // Whole milliseconds, whatever the arguments' type.
            func difference(_ a: @escaping (Int) -> Int64, _ b: @escaping (Int) -> Int64) -> Column {
                rows.fixed(.int) { row -> Int32 in
                    switch unit {
                    case .milliseconds(let n): Int32(truncatingIfNeeded: (b(row) - a(row)) / n)
                    case .months(let n): Int32(truncatingIfNeeded: months(from: a(row), to: b(row)) / n)
                    }
                }
            }
            if type == .date {
                let a = args[0].vector(Int32.self), b = args[1].vector(Int32.self)
                return difference({ Int64(a[$0]) * 86_400_000 }, { Int64(b[$0]) * 86_400_000 })
            }
            if case .time = type {
                let a = args[0].vector(Int32.self), b = args[1].vector(Int32.self)
                return difference({ Int64(a[$0]) }, { Int64(b[$0]) })
            }
            let a = args[0].vector(Int64.self), b = args[1].vector(Int64.self)
            return difference({ TemporalArithmetic.floorDivide(a[$0], perMillisecond) }, { TemporalArithmetic.floorDivide(b[$0], perMillisecond) })
        }
    }

    /// Whole months between two times in milliseconds; the last day of a shorter month completes one.
    static func months(from start: Int64, to end: Int64) -> Int64 {
        func whole(_ low: Int, _ high: Int) -> Int {
            var m = (high - low) / 31
            while true {
                if TemporalArithmetic.addMonths(days: low, m) >= high { return m }
                if TemporalArithmetic.addMonths(days: low, m + 1) > high { return m }
                m += 1
            }
        }
        let (startDay, endDay) = (Int(TemporalArithmetic.floorDivide(start, 86_400_000)), Int(TemporalArithmetic.floorDivide(end, 86_400_000)))
        var m = endDay >= startDay ? whole(startDay, endDay) : -whole(endDay, startDay)
        let (startTime, endTime) = (start - Int64(startDay) * 86_400_000, end - Int64(endDay) * 86_400_000)
        if endTime < startTime, TemporalArithmetic.addMonths(days: startDay, m) == endDay { m -= 1 }
        return Int64(m)
    }
}
