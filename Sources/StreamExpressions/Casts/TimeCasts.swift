import StreamCore

/// Casts to DATE, TIME, TIMESTAMP and TIMESTAMP_LTZ. Local times are those of the session's time zone.
enum TimeCasts {
    static func body(_ mode: Casts.Mode) -> KernelBody? {
        switch mode.to {
        case .date: toDate(mode)
        case .time(let precision): toTime(mode, precision)
        case .timestamp(let precision), .timestampLTZ(let precision): toTimestamp(mode, precision)
        default: nil
        }
    }

    /// Units of a timestamp of precision `p` in a day.
    private static func perDay(_ p: Int) -> Int64 { TimeUnit(precision: p).perSecond * 86_400 }

    private static func toDate(_ mode: Casts.Mode) -> KernelBody? {
        switch mode.from {
        case .timestamp(let p):
            let perDay = perDay(p)
            return { args, rows, _ in
                Elementwise.map(.date, args[0], rows, as: Int64.self) { a -> Int32 in Int32(truncatingIfNeeded: TemporalArithmetic.floorDivide(a, perDay)) }
            }
        case .timestampLTZ(let p):
            let unit = TimeUnit(precision: p), perDay = perDay(p)
            return { args, rows, context in
                var zone = try ZoneCursor(named: context.timeZone)
                let a = args[0].vector(Int64.self)
                return rows.fixed(.date) { Int32(truncatingIfNeeded: TemporalArithmetic.floorDivide(zone.local(a[$0], unit), perDay)) }
            }
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.cast(mode, args[0]) { row -> Int32? in parseDate(text[row].trimmed) }
            }
        default: return nil
        }
    }

    /// A date, or the date of a timestamp.
    static func parseDate(_ text: UnsafeRawBufferPointer) -> Int32? {
        let end = text.firstIndex(of: UInt8(ascii: " ")) ?? text.count
        return DateTimeText.parseDate(UnsafeRawBufferPointer(rebasing: text[0..<end]), lenient: true)
    }

    private static func toTime(_ mode: Casts.Mode, _ precision: Int) -> KernelBody? {
        let type = mode.to
        // Times are stored in milliseconds; what is finer than the precision is cut.
        let step = Int64([1_000, 100, 10, 1][min(precision, 3)])
        @Sendable func ofDay(_ local: Int64, _ unit: TimeUnit) -> Int32 {
            let perDay = unit.perSecond * 86_400
            let rest = local &- TemporalArithmetic.floorDivide(local, perDay) &* perDay
            return Int32(truncatingIfNeeded: rest / unit.perMillisecond / step * step)
        }
        switch mode.from {
        case .time: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Int32.self) { a -> Int32 in a / Int32(step) * Int32(step) } }
        case .timestamp(let p):
            let unit = TimeUnit(precision: p)
            return { args, rows, _ in
                let a = args[0].vector(Int64.self)
                return rows.fixed(type) { ofDay(a[$0], unit) }
            }
        case .timestampLTZ(let p):
            let unit = TimeUnit(precision: p)
            return { args, rows, context in
                var zone = try ZoneCursor(named: context.timeZone)
                let a = args[0].vector(Int64.self)
                return rows.fixed(type) { ofDay(zone.local(a[$0], unit), unit) }
            }
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.cast(mode, args[0]) { row -> Int32? in DateTimeText.parseTime(text[row].trimmed, precision: precision, lenient: true) }
            }
        default: return nil
        }
    }

    private static func toTimestamp(_ mode: Casts.Mode, _ precision: Int) -> KernelBody? {
        let type = mode.to, unit = TimeUnit(precision: precision)
        let toLocalZone = if case .timestampLTZ = type { true } else { false }
        switch mode.from {
        case .date, .time:
            let factor = mode.from == .date ? perDay(precision) : unit.perMillisecond
            return { args, rows, context in
                let a = args[0].vector(Int32.self)
                if !toLocalZone { return rows.fixed(type) { saturatingProduct(Int64(a[$0]), factor) } }
                var zone = try ZoneCursor(named: context.timeZone)
                return rows.fixed(type) { zone.utc(saturatingProduct(Int64(a[$0]), factor), unit) }
            }
        case .timestamp(let p), .timestampLTZ(let p):
            let fromLocalZone = if case .timestampLTZ = mode.from { true } else { false }
            let change = PrecisionChange(from: p, to: precision)
            if fromLocalZone == toLocalZone {
                return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Int64.self) { a -> Int64 in change.apply(a) } }
            }
            return { args, rows, context in
                var zone = try ZoneCursor(named: context.timeZone)
                let a = args[0].vector(Int64.self)
                if fromLocalZone { return rows.fixed(type) { zone.local(change.apply(a[$0]), unit) } }
                return rows.fixed(type) { zone.utc(change.apply(a[$0]), unit) }
            }
        case .char, .varchar:
            return { args, rows, context in
                let text = args[0].text
                if !toLocalZone {
                    return try rows.cast(mode, args[0]) { row -> Int64? in DateTimeText.parseTimestamp(text[row].trimmed, precision: precision) }
                }
                var zone = try ZoneCursor(named: context.timeZone)
                return try rows.cast(mode, args[0]) { row -> Int64? in
                    DateTimeText.parseTimestamp(text[row].trimmed, precision: precision).map { zone.utc($0, unit) }
                }
            }
        default: return nil
        }
    }

    /// Beyond the range of a unit the first or last time stands, so that order is kept.
    @inline(__always)
    static func saturatingProduct(_ a: Int64, _ b: Int64) -> Int64 {
        let (product, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? (a < 0) == (b < 0) ? .max : .min : product
    }
}

/// A timestamp of one precision as one of another: the unit may change, and finer digits are cut.
public struct PrecisionChange: Sendable {
    private let multiplier: Int64, divisor: Int64, step: Int64

    public init(from: Int, to: Int) {
        let (old, new) = (TimeUnit(precision: from).perSecond, TimeUnit(precision: to).perSecond)
        multiplier = max(1, new / old)
        divisor = max(1, old / new)
        var finest: Int64 = 1
        for _ in 0..<to { finest *= 10 }
        step = to < from ? new / finest : 1
    }

    @inline(__always)
    public func apply(_ value: Int64) -> Int64 {
        var result = multiplier == 1 ? value : TimeCasts.saturatingProduct(value, multiplier)
        if divisor != 1 { result = TemporalArithmetic.floorDivide(result, divisor) }
        if step != 1 { result = TemporalArithmetic.floorDivide(result, step) &* step }
        return result
    }
}
