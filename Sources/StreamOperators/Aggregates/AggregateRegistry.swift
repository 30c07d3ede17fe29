import StreamCore

/// The aggregate functions of SQL: names, argument types, result types.
public enum AggregateRegistry {
    private static let moments: Set<String> = ["STDDEV_POP", "STDDEV_SAMP", "STDDEV", "VAR_POP", "VAR_SAMP", "VARIANCE"]

    /// Functions that ``bind(_:argumentTypes:distinct:)`` takes. ARRAY_AGG and the JSON aggregates carry their null clause in the
    /// name; without one JSON_ARRAYAGG leaves nulls out, JSON_OBJECTAGG and ARRAY_AGG keep them.
    public static let names: [String] = (moments.sorted() + [
        "APPROX_COUNT_DISTINCT", "ARRAY_AGG", "ARRAY_AGG IGNORE NULLS", "AVG", "COLLECT", "COUNT", "FIRST_VALUE", "LAST_VALUE", "LISTAGG", "MAX", "MIN", "PERCENTILE", "SINGLE_VALUE", "SUM",
        "JSON_ARRAYAGG", "JSON_ARRAYAGG NULL ON NULL", "JSON_ARRAYAGG ABSENT ON NULL",
        "JSON_OBJECTAGG", "JSON_OBJECTAGG NULL ON NULL", "JSON_OBJECTAGG ABSENT ON NULL",
    ]).sorted()

    /// Functions of the session whose statement is bound count too.
    public static func contains(_ name: String) -> Bool {
        names.contains(name.uppercased()) || UserAggregates.current[name.uppercased()] != nil
    }

    /// The types that the arguments are to be cast to, and the type of the result.
    ///
    /// - Throws: `.validate` when there is no such function or its arguments do not fit.
    public static func bind(_ name: String, argumentTypes types: [DataType], distinct: Bool) throws -> (casts: [DataType], resultType: DataType) {
        let name = name.uppercased()
        if let user = UserAggregates.current[name] { return (try user.argumentTypes(types), user.resultType) }
        func arity(_ range: ClosedRange<Int>) throws {
            guard !range.contains(types.count) else { return }
            let takes = range.lowerBound == range.upperBound ? "\(range.lowerBound)" : "\(range.lowerBound) or \(range.upperBound)"
            throw StreamError(.validate, "\(name) takes \(takes) argument\(range.upperBound == 1 ? "" : "s"), not \(types.count)",
                              fix: "write \(name)(\(range.lowerBound == 1 ? "x" : "x, y"))")
        }
        func refuse(_ wanted: String) -> StreamError {
            StreamError(.validate, "cannot apply \(name) to arguments of type \(name)(\(types.map(\.description).joined(separator: ", ")))",
                        fix: "give it \(wanted), for example with CAST")
        }
        switch name {
        case "COUNT":
            if types.isEmpty, distinct { throw StreamError(.validate, "COUNT(DISTINCT *) is not allowed", fix: "name columns: COUNT(DISTINCT a, b)") }
            return (types, .bigint)
        case "SUM":
            try arity(1...1)
            guard types[0].isNumeric else { throw refuse("a number") }
            if case .decimal(_, let s) = types[0] { return (types, .decimal(precision: 38, scale: s)) }
            return (types, types[0])
        case "AVG":
            try arity(1...1)
            guard types[0].isNumeric else { throw refuse("a number") }
            if case .decimal(_, let s) = types[0] { return (types, .decimal(precision: 38, scale: max(6, s))) }
            return (types, types[0])
        case _ where moments.contains(name):
            try arity(1...1)
            guard types[0].isNumeric else { throw refuse("a number") }
            if case .decimal(_, let s) = types[0] { return (types, .decimal(precision: 38, scale: max(6, s))) }
            return (types, types[0])
        case "MIN", "MAX":
            try arity(1...1)
            if types[0] == .variant { throw refuse("a value that can be ordered") }
            switch types[0].physical {
            case .list, .map, .row, .null: throw refuse("a value that can be ordered")
            default: return (types, types[0])
            }
        case "FIRST_VALUE", "LAST_VALUE", "SINGLE_VALUE":
            try arity(1...1)
            return (types, types[0])
        case "ARRAY_AGG", "ARRAY_AGG IGNORE NULLS":
            try arity(1...1)
            return (types, .array(types[0]))
        case "APPROX_COUNT_DISTINCT":
            try arity(1...1)
            switch types[0].physical {
            case .list, .map, .row, .null: throw refuse("a number, text, date, time or timestamp")
            default: return (types, .bigint)
            }
        case "PERCENTILE":
            try arity(2...3)
            guard types[0].isNumeric else { throw refuse("a number") }
            if types.count == 3, !types[2].isInteger { throw refuse("a whole number as frequency") }
            if case .array(let element) = types[1], element.isNumeric {
                return ([.double, .array(.double)] + types.dropFirst(2).map { _ in .bigint }, .array(.double))
            }
            guard types[1].isNumeric else { throw refuse("a number from 0 to 1, or an array of such numbers, as percentage") }
            return ([.double, .double] + types.dropFirst(2).map { _ in .bigint }, .double)
        case "COLLECT":
            try arity(1...1)
            return (types, .map(key: types[0], value: .int))
        case "LISTAGG":
            try arity(1...2)
            for type in types.dropFirst() where !type.isText { throw refuse("text as separator") }
            switch types[0].physical {
            case .list, .map, .row, .null: throw refuse("text")
            default: return (types.map { $0.isText ? $0 : .string }, .string)
            }
        case _ where name.hasPrefix("JSON_ARRAYAGG") && names.contains(name):
            try arity(1...1)
            return (types, .string)
        case _ where name.hasPrefix("JSON_OBJECTAGG") && names.contains(name):
            try arity(2...2)
            guard types[0].isText else { throw refuse("a text as key") }
            return (types, .string)
        default:
            throw StreamError(.validate, "there is no aggregate function \(name)", fix: NearName.nearest(to: name, in: names).map { "write \"\($0)\"" })
        }
    }

    /// Whether the aggregate can be computed in part before an exchange: its state is a few fixed-width values, or a text.
    static func mergesPartials(_ call: AggregateCall) -> Bool {
        switch call.function {
        case "MIN", "MAX": true
        case "APPROX_COUNT_DISTINCT": true
        case "COUNT", "SUM", "AVG": !call.distinct
        default: moments.contains(call.function) && !call.distinct
        }
    }
}
