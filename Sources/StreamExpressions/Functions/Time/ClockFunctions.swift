import StreamCore

/// The functions that read the clock. All rows of a batch get the same time.
extension FunctionRegistry {
    mutating func registerClockFunctions() {
        for name in ["CURRENT_TIMESTAMP", "NOW", "CURRENT_ROW_TIMESTAMP", "PROCTIME"] {
            defineClock(name, .timestampLTZ(3)) { utc, _ in utc }
        }
        defineClock("LOCALTIMESTAMP", .timestamp(3)) { _, local in local }
        defineClock("CURRENT_DATE", .date) { _, local in TemporalArithmetic.floorDivide(local, 86_400_000) }
        for name in ["CURRENT_TIME", "LOCALTIME"] {
            defineClock(name, .time(0)) { _, local in
                let ofDay = local - TemporalArithmetic.floorDivide(local, 86_400_000) * 86_400_000
                return ofDay / 1_000 * 1_000
            }
        }
    }

    /// - Parameter value: from milliseconds since 1970, in UTC and on the session's clocks.
    private mutating func defineClock(_ name: String, _ type: DataType, _ value: @escaping @Sendable (_ utc: Int64, _ local: Int64) -> Int64) {
        register(name) { args, _ in
            guard args.isEmpty else { throw Binding.arityError(name, given: args.count, least: 0, most: 0, names: []) }
            return Binding.callLenient(name, type, [], isDeterministic: false) { _, rows, context in
                let utc = context.now()
                var zone = try ZoneCursor(named: context.timeZone)
                return .constant(.int(value(utc, zone.local(utc, .milliseconds))), type: type, count: rows.count)
            }
        }
    }
}
