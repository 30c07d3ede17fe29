import StreamCore

/// Dates and times plus and minus intervals.
public enum TemporalArithmetic {
    public static let millisecondsPerDay: Int64 = 86_400_000

    /// The day `months` later, or the last day of that month when it is shorter.
    public static func addMonths(days: Int, _ months: Int) -> Int {
        let date = CivilDate(days: days)
        let index = date.year * 12 + date.month - 1 + months
        let year = index >= 0 ? index / 12 : (index - 11) / 12
        let month = index - year * 12 + 1
        return CivilDate(year: year, month: month, day: min(date.day, CivilDate.daysInMonth(month, of: year))).days
    }

    /// A timestamp `months` later, in its unit; the time of day stays.
    public static func addMonths(timestamp: Int64, unit: TimeUnit, _ months: Int) -> Int64 {
        let perDay = unit.perSecond * 86_400
        let day = floorDivide(timestamp, perDay)
        return Int64(addMonths(days: Int(day), months)) &* perDay &+ (timestamp &- day &* perDay)
    }

    @inline(__always)
    public static func floorDivide(_ a: Int64, _ b: Int64) -> Int64 {
        let q = a / b
        return a % b < 0 ? q - 1 : q
    }

    /// `time + interval` (or `-`), where the first argument is a DATE, TIME or timestamp and the second an interval. `result` is
    /// the type of `time`, or a TIMESTAMP for a DATE.
    static func shift(_ type: DataType, by interval: DataType, subtract: Bool, result: DataType) -> KernelBody {
        let sign: Int64 = subtract ? -1 : 1
        if interval == .intervalYearMonth {
            switch type {
            case .date:
                return { args, rows, _ in
                    let a = args[0].vector(Int32.self), b = args[1].vector(Int32.self)
                    return rows.fixed(result) { Int32(truncatingIfNeeded: addMonths(days: Int(a[$0]), Int(sign) * Int(b[$0]))) }
                }
            case .time:
                return { args, rows, _ in Elementwise.map(result, args[0], rows, as: Int32.self) { a -> Int32 in a } }
            default:
                let unit = type.timeUnit!
                return { args, rows, _ in
                    let a = args[0].vector(Int64.self), b = args[1].vector(Int32.self)
                    return rows.fixed(result) { addMonths(timestamp: a[$0], unit: unit, Int(sign) * Int(b[$0])) }
                }
            }
        }
        switch type {
        case .date:
            if let unit = result.timeUnit {
                return { args, rows, _ in
                    Elementwise.zip(result, args[0], args[1], rows, as: Int32.self, Int64.self) { a, b -> Int64 in
                        (Int64(a) &* millisecondsPerDay &+ sign &* b) &* unit.perMillisecond
                    }
                }
            }
            return { args, rows, _ in
                Elementwise.zip(result, args[0], args[1], rows, as: Int32.self, Int64.self) { a, b -> Int32 in
                    a &+ Int32(truncatingIfNeeded: sign &* (b / millisecondsPerDay))
                }
            }
        case .time:
            return { args, rows, _ in
                Elementwise.zip(result, args[0], args[1], rows, as: Int32.self, Int64.self) { a, b -> Int32 in
                    let rest = (Int64(a) &+ sign &* b) % millisecondsPerDay
                    return Int32(truncatingIfNeeded: rest < 0 ? rest + millisecondsPerDay : rest)
                }
            }
        default:
            let factor = type.timeUnit!.perMillisecond &* sign
            return { args, rows, _ in
                Elementwise.zip(result, args[0], args[1], rows, as: Int64.self, Int64.self) { a, b -> Int64 in a &+ factor &* b }
            }
        }
    }
}
