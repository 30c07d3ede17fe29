import StreamCore

/// Periods: OVERLAPS, and differences of times as intervals.
extension FunctionRegistry {
    static func registerPeriods(into registry: inout FunctionRegistry) {
        registry.register("OVERLAPS") { args, _ in try PeriodBinder.overlaps(args) }
        registry.register("TIME DIFFERENCE") { args, _ in try PeriodBinder.difference(args) }
    }
}

private enum PeriodBinder {
    /// (a, b) OVERLAPS (c, d), bounds included; a second part may be an interval. Bounds may come in any order.
    static func overlaps(_ args: [Expr]) throws -> Expr {
        guard args.count == 4 else { throw Binding.arityError("OVERLAPS", given: args.count, least: 4, most: 4, names: ["start", "end", "start", "end"]) }
        let times = [args[0], args[1], args[2], args[3]]
        guard args[0].type.isTemporal, args[2].type.isTemporal else {
            throw Binding.mismatch("OVERLAPS", args, takes: "two periods", fix: "write (start, end) OVERLAPS (start, end), where each end may be an interval")
        }
        func end(_ start: Expr, _ end: Expr) throws -> Expr {
            if end.type.isInterval { return try ArithmeticBinder.bind(.add, "+", [start, end]) }
            guard end.type.isTemporal else { throw Binding.mismatch("OVERLAPS", args, takes: "two periods, each with a time or an interval as its end") }
            return end
        }
        let (unified, _) = try Binding.unify("OVERLAPS", [times[0], try end(times[0], times[1]), times[2], try end(times[2], times[3])])
        func compare(_ comparison: Comparison, _ a: Expr, _ b: Expr) throws -> Expr { try ComparisonBinder.bind(comparison, "OVERLAPS", [a, b]) }
        func ordered(_ a: Expr, _ b: Expr) throws -> (Expr, Expr) {
            let isOrdered = try compare(.lessOrEqual, a, b), type = a.type
            return (.caseWhen([.init(isOrdered, then: a)], otherwise: b, type), .caseWhen([.init(isOrdered, then: b)], otherwise: a, type))
        }
        let (firstStart, firstEnd) = try ordered(unified[0], unified[1]), (secondStart, secondEnd) = try ordered(unified[2], unified[3])
        return .and([try compare(.greaterOrEqual, firstEnd, secondStart), try compare(.greaterOrEqual, secondEnd, firstStart)])
    }

    /// (a - b) MONTH and the like; `args[0]` is the unit. Years and months are whole months, all else is in milliseconds.
    static func difference(_ args: [Expr]) throws -> Expr {
        guard args.count == 3, let unit = Binding.constantText(args[0]) else {
            throw Binding.arityError("-", given: args.count - 1, least: 2, most: 2, names: ["time", "time"])
        }
        let (a, b) = (args[1], args[2])
        guard a.type.isTemporal, b.type.isTemporal else { throw Binding.mismatch("(a - b) \(unit)", [a, b], takes: "two dates or times") }
        let (times, type) = try Binding.unify("(a - b) \(unit)", [a, b])
        if unit == "YEAR" || unit == "MONTH" {
            let months = try FunctionRegistry.builtin.bind("TIMESTAMPDIFF", [.literal(.string("MONTH"), .string), times[1], times[0]])
            return Binding.call("MONTHS", .intervalYearMonth, [months]) { args, _, _ in args[0].retyped(.intervalYearMonth) }
        }
        return Binding.call("-", .intervalDayTime, times) { args, rows, _ in
            if type == .date || type.physical == .int32 {
                let x = args[0].vector(Int32.self), y = args[1].vector(Int32.self), factor: Int64 = type == .date ? 86_400_000 : 1
                return rows.fixed(.intervalDayTime) { (Int64(x[$0]) - Int64(y[$0])) * factor }
            }
            let x = args[0].vector(Int64.self), y = args[1].vector(Int64.self), perMillisecond = type.timeUnit!.perMillisecond
            return rows.fixed(.intervalDayTime) {
                TemporalArithmetic.floorDivide(x[$0], perMillisecond) &- TemporalArithmetic.floorDivide(y[$0], perMillisecond)
            }
        }
    }
}
