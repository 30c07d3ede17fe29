import StreamCore

extension FunctionRegistry {
    /// `= <> < <= > >=`, IS [NOT] DISTINCT FROM, and IS [NOT] TRUE / FALSE.
    static func registerComparisons(into registry: inout FunctionRegistry) {
        for comparison in Comparison.allCases {
            registry.register(comparison.rawValue) { args, _ in try ComparisonBinder.bind(comparison, comparison.rawValue, args) }
        }
        for (name, distinct) in [("IS DISTINCT FROM", true), ("IS NOT DISTINCT FROM", false)] {
            registry.register(name) { args, _ in try ComparisonBinder.distinct(name, distinct, args) }
        }
        for (name, wanted, negated) in [("IS TRUE", true, false), ("IS NOT TRUE", true, true), ("IS FALSE", false, false), ("IS NOT FALSE", false, true)] {
            registry.register(name) { args, _ in
                let args = try Binding.arguments(name, args, [.boolean("value")])
                return Binding.callLenient(name, .boolean, args) { args, rows, _ in
                    let a = args[0].vector(UInt8.self), column = args[0]
                    return rows.booleans { row in (column.isValid(row) && (a[row] != 0) == wanted) != negated }
                }
            }
        }
    }
}

enum ComparisonBinder {
    /// Name of the call that gives text or binary values a type without a length.
    static let retype = "RETYPE"

    static func bind(_ comparison: Comparison, _ name: String, _ args: [Expr]) throws -> Expr {
        if let call = try VariantComparison.bind(comparison, name, args) { return call }
        let (a, b) = try comparable(name, args)
        if let call = decimal(name, a, b, { comparison.holds($0) }) { return call }
        guard let body = Comparisons.body(comparison, a.type) else {
            throw Binding.mismatch(name, args, takes: "values that have an order")
        }
        return Binding.call(name, .boolean, [a, b], body)
    }

    /// Null-safe (in)equality: never null itself.
    static func distinct(_ name: String, _ distinct: Bool, _ args: [Expr]) throws -> Expr {
        if args.count == 2, let other = [0, 1].first(where: { args[$0].type == .null }) {
            return .isNull(args[1 - other], negated: distinct)
        }
        let (a, b) = try comparable(name, args)
        let equal: Expr = decimal("=", a, b) { $0 == 0 } ?? Binding.call("=", .boolean, [a, b], Comparisons.body(.equal, a.type)!)
        let equalOrUnknown = Binding.callLenient(name, .boolean, [equal, a, b]) { args, rows, _ in
            let value = args[0].vector(UInt8.self), equal = args[0], a = args[1], b = args[2]
            return rows.booleans { row in
                let same = equal.isValid(row) ? value[row] != 0 : !a.isValid(row) && !b.isValid(row)
                return same != distinct
            }
        }
        return equalOrUnknown
    }

    /// Both arguments with one type, by the implicit casts of comparisons.
    static func comparable(_ name: String, _ args: [Expr]) throws -> (Expr, Expr) {
        guard args.count == 2 else { throw Binding.arityError(name, given: args.count, least: 2, most: 2, names: ["left", "right"]) }
        let (a, b) = (args[0], args[1])
        if a.type == .null && b.type == .null { throw Binding.bareNull(name) }
        if a.type == .null { return (.literal(.null, b.type), b) }
        if b.type == .null { return (a, .literal(.null, a.type)) }
        // Text compares by its bytes whatever the declared lengths: CHAR(4) 'ab  ' is not 'ab'.
        if a.type.isText && b.type.isText { return (try asUnbounded(a, .string), try asUnbounded(b, .string)) }
        if a.type.isBinary && b.type.isBinary { return (try asUnbounded(a, .bytes), try asUnbounded(b, .bytes)) }
        if a.type.isDecimal || b.type.isDecimal, let x = a.type.decimalShape, let y = b.type.decimalShape,
           max(x.precision - x.scale, y.precision - y.scale) + max(x.scale, y.scale) > 38 {
            return (try Binding.cast(a, to: .decimal(precision: x.precision, scale: x.scale)),
                    try Binding.cast(b, to: .decimal(precision: y.precision, scale: y.scale)))
        }
        if let narrow = integerLiteral(a, like: b.type) { return (narrow, b) }
        if let narrow = integerLiteral(b, like: a.type) { return (a, narrow) }
        if a.type == .date && b.type.isTimestamp || a.type.isTimestamp && b.type == .date {
            throw Binding.mismatch(name, args, takes: "two dates or two timestamps", fix: "write CAST(... AS \(a.type == .date ? b.type : a.type)) around the date")
        }
        if let common = TypeCoercion.commonType(a.type, b.type) {
            return (try Binding.cast(a, to: common), try Binding.cast(b, to: common))
        }
        if a.type.isText { return (try fromText(name, a, like: b), b) }
        if b.type.isText { return (a, try fromText(name, b, like: a)) }
        throw Binding.mismatch(name, args, takes: "two values of one type", fix: "write CAST(... AS \(a.type)) around the second")
    }

    /// An integer literal as a narrower integer type that holds its value, so that the column beside it need not be widened.
    private static func integerLiteral(_ e: Expr, like type: DataType) -> Expr? {
        guard case .literal(.int(let value), let own) = e, own.isInteger, type.isInteger else { return nil }
        let fits = switch type {
        case .tinyint: Int8(exactly: value) != nil
        case .smallint: Int16(exactly: value) != nil
        case .int: Int32(exactly: value) != nil
        default: true
        }
        return fits ? .literal(.int(value), type) : nil
    }

    /// The same bytes under a type without a length; a column needs no work for it, so no cast is made.
    private static func asUnbounded(_ e: Expr, _ type: DataType) throws -> Expr {
        if e.type == type { return e }
        if case .literal(let value, _) = e { return .literal(value, type) }
        return Binding.call(retype, type, [e]) { args, _, _ in args[0].retyped(type) }
    }

    /// Text beside a value of another type: a time, or a constant number or truth value.
    private static func fromText(_ name: String, _ text: Expr, like other: Expr) throws -> Expr {
        if other.type.isTemporal || other.type.isInterval { return try Binding.cast(text, to: other.type) }
        if other.type.isNumeric || other.type == .boolean, let constant = Binding.constant(text) {
            if constant == .null { return .literal(.null, other.type) }
            // Only a number that the other type holds can be equal to it; '2.5' must not become 2.
            let wide: DataType = other.type.isInteger ? .decimal(precision: 38, scale: 18) : other.type
            if let value = try? Evaluator.evaluateConstant(.cast(text, to: wide, safe: false)), value != .null,
               let narrow = try? Evaluator.evaluateConstant(.cast(.literal(value, wide), to: other.type, safe: false)),
               (try? Evaluator.evaluateConstant(.cast(.literal(narrow, other.type), to: wide, safe: false))) == value {
                return .literal(narrow, other.type)
            }
        }
        throw Binding.mismatch(name, [other, text], takes: "two values of one type",
                               fix: other.type.isNumeric ? "write CAST(... AS \(other.type)) around the string" : nil)
    }

    /// DECIMALs whose common type would need more than 38 digits are compared without bringing them to one scale.
    private static func decimal(_ name: String, _ a: Expr, _ b: Expr, _ holds: @escaping @Sendable (Int) -> Bool) -> Expr? {
        guard case .decimal(_, let s) = a.type, case .decimal(_, let t) = b.type, a.type != b.type else { return nil }
        return Binding.call(name, .boolean, [a, b]) { args, rows, _ in
            let x = args[0].vector(Int128.self), y = args[1].vector(Int128.self)
            return rows.booleans { holds(DecimalMath.compare(x[$0], scale: s, y[$0], scale: t)) }
        }
    }
}
