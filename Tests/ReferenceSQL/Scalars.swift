import StreamCore
import StreamExpressions

/// Expressions over one boxed row.
///
/// Logic, comparison, arithmetic, conditionals, LIKE, the casts among common types and a handful of functions are its own. What
/// is not listed in ``own(_:_:_:)`` or ``ownCast(_:_:_:)`` is computed by the engine's kernel, for one row.
struct Scalars {
    let context: EvaluationContext

    func value(of expr: Expr, _ row: [Value]) throws -> Value {
        switch expr {
        case .column(let i, _): return row[i]
        case .literal(let value, _): return value
        case .call(let function, let args):
            let values = try args.map { try value(of: $0, row) }
            if let own = try own(function, args.map(\.type), values) { return own }
            let columns = zip(values, args).map { Self.column($0, $1.type) }
            return try function.kernel(columns, nil, 1, context).value(at: 0)
        case .cast(let e, let type, let safe): return try cast(try value(of: e, row), e.type, type, safe)
        case .caseWhen(let branches, let otherwise, _):
            for branch in branches where try value(of: branch.condition, row) == .bool(true) { return try value(of: branch.result, row) }
            return try value(of: otherwise, row)
        case .and(let operands):
            var isUnknown = false
            for operand in operands {
                switch try value(of: operand, row) {
                case .bool(false): return .bool(false)
                case .null: isUnknown = true
                default: break
                }
            }
            return isUnknown ? .null : .bool(true)
        case .or(let operands):
            var isUnknown = false
            for operand in operands {
                switch try value(of: operand, row) {
                case .bool(true): return .bool(true)
                case .null: isUnknown = true
                default: break
                }
            }
            return isUnknown ? .null : .bool(false)
        case .not(let e):
            guard case .bool(let b) = try value(of: e, row) else { return .null }
            return .bool(!b)
        case .isNull(let e, let negated): return .bool((try value(of: e, row) == .null) != negated)
        case .coalesce(let operands, _):
            for operand in operands {
                let value = try value(of: operand, row)
                if value != .null { return value }
            }
            return .null
        case .field(let e, let index, _):
            guard case .row(let parts) = try value(of: e, row) else { return .null }
            return parts[index]
        }
    }

    /// A column of one row.
    static func column(_ value: Value, _ type: DataType) -> Column {
        let builder = ColumnBuilder(type: type, capacity: 1)
        builder.append(value)
        return builder.finish()
    }

    // MARK: functions

    private func own(_ function: BoundFunction, _ types: [DataType], _ args: [Value]) throws -> Value? {
        let name = function.name
        switch name {
        case "IS TRUE": return .bool(args[0] == .bool(true))
        case "IS NOT TRUE": return .bool(args[0] != .bool(true))
        case "IS FALSE": return .bool(args[0] == .bool(false))
        case "IS NOT FALSE": return .bool(args[0] != .bool(false))
        case "IS DISTINCT FROM" where args.count == 3, "IS NOT DISTINCT FROM" where args.count == 3:
            // The engine passes the equality first, and then the operands.
            let same = args[1] == .null || args[2] == .null ? args[1] == args[2] : args[0] == .bool(true)
            return .bool(same == (name == "IS NOT DISTINCT FROM"))
        case "RETYPE": return args[0]
        default: break
        }
        let strict: Set<String> = [
            "=", "<>", "<", "<=", ">", ">=", "NULLIF", "+", "-", "*", "/", "%", "MOD", "NEGATE", "ABS", "||", "UPPER", "LOWER", "CHAR_LENGTH",
            "CHARACTER_LENGTH", "LIKE", "GREATEST", "LEAST",
        ]
        guard strict.contains(name) else { return nil }
        if args.contains(.null) { return .null }
        switch name {
        case "=", "<>", "<", "<=", ">", ">=", "NULLIF":
            guard args.count == 2, let order = order(args[0], types[0], args[1], types[1]) else { return nil }
            switch name {
            case "<>": return .bool(order != 0)
            case "<": return .bool(order < 0)
            case "<=": return .bool(order <= 0)
            case ">": return .bool(order > 0)
            case ">=": return .bool(order >= 0)
            default: return .bool(order == 0)
            }
        case "GREATEST", "LEAST":
            guard args.count == 2, let order = order(args[0], types[0], args[1], types[1]) else { return nil }
            return (name == "GREATEST") == (order >= 0) ? args[0] : args[1]
        case "+", "-", "*", "/", "%", "MOD":
            return try arithmetic(name == "MOD" ? "%" : name, args[0], types[0], args[1], types[1], function.resultType)
        case "NEGATE", "ABS":
            if name == "ABS", order(args[0], types[0], zero(args[0]), types[0]) ?? 0 >= 0 { return args[0] }
            switch args[0] {
            case .int(let x): return .int(Numbers.wrapped(0 &- x, types[0]))
            case .float(let x): return .float(-x)
            case .double(let x): return .double(-x)
            case .decimal(let x): return .decimal(-x)
            default: return nil
            }
        case "||":
            if case .string(let a) = args[0], case .string(let b) = args[1] { return .string(a + b) }
            return nil
        case "UPPER": return args[0].text.map { .string($0.uppercased()) }
        case "LOWER": return args[0].text.map { .string($0.lowercased()) }
        case "CHAR_LENGTH", "CHARACTER_LENGTH": return args[0].text.map { .int(Int64($0.unicodeScalars.count)) }
        case "LIKE":
            guard args.count == 2, let text = args[0].text, let pattern = args[1].text, !pattern.contains("\\") else { return nil }
            return .bool(Self.isLike(Array(text.unicodeScalars)[...], Array(pattern.unicodeScalars)[...]))
        default: return nil
        }
    }

    private func zero(_ like: Value) -> Value {
        switch like {
        case .float: .float(0)
        case .double: .double(0)
        case .decimal: .decimal(0)
        default: .int(0)
        }
    }

    private static func isLike(_ text: ArraySlice<Unicode.Scalar>, _ pattern: ArraySlice<Unicode.Scalar>) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        switch first {
        case "%": return (0...text.count).contains { isLike(text.dropFirst($0), pattern.dropFirst()) }
        case "_": return !text.isEmpty && isLike(text.dropFirst(), pattern.dropFirst())
        default: return text.first == first && isLike(text.dropFirst(), pattern.dropFirst())
        }
    }

    /// Nil when it takes more than 128 bits, or types that are not known here.
    private func order(_ a: Value, _ s: DataType, _ b: Value, _ t: DataType) -> Int? {
        if case .decimal(let x) = a, case .decimal(let y) = b {
            let scale = max(s.decimalShape!.scale, t.decimalShape!.scale)
            guard let p = Numbers.rescaled(x, from: s.decimalShape!.scale, to: scale), let q = Numbers.rescaled(y, from: t.decimalShape!.scale, to: scale)
            else { return nil }
            return Ordering.compare(.decimal(p), .decimal(q))
        }
        switch (a, b) {
        case (.int, .int), (.double, .double), (.float, .float), (.string, .string), (.bool, .bool), (.binary, .binary):
            return Ordering.compare(a, b)
        default: return nil
        }
    }

    private func arithmetic(_ op: String, _ a: Value, _ s: DataType, _ b: Value, _ t: DataType, _ result: DataType) throws -> Value? {
        switch (a, b) {
        case (.int(let x), .int(let y)) where s.isInteger && t.isInteger:
            switch op {
            case "+": return .int(Numbers.wrapped(x &+ y, result))
            case "-": return .int(Numbers.wrapped(x &- y, result))
            case "*": return .int(Numbers.wrapped(x &* y, result))
            default:
                if y == 0 { throw StreamError(.runtime, "division by zero") }
                if y == -1 { return .int(op == "/" ? Numbers.wrapped(0 &- x, result) : 0) }
                return .int(op == "/" ? x / y : x % y)
            }
        case (.double(let x), .double(let y)):
            switch op {
            case "+": return .double(x + y)
            case "-": return .double(x - y)
            case "*": return .double(x * y)
            case "/": return .double(x / y)
            default: return .double(x.truncatingRemainder(dividingBy: y))
            }
        case (.decimal(let x), .decimal(let y)):
            guard case .decimal(let precision, let scale) = result, let p = s.decimalShape?.scale, let q = t.decimalShape?.scale else { return nil }
            let common = max(p, q)
            switch op {
            case "+", "-":
                guard let left = Numbers.rescaled(x, from: p, to: common), let right = Numbers.rescaled(y, from: q, to: common) else { return nil }
                let (sum, overflow) = op == "+" ? left.addingReportingOverflow(right) : left.subtractingReportingOverflow(right)
                guard !overflow, let rounded = Numbers.rescaled(sum, from: common, to: scale) else { return nil }
                return Numbers.fitting(rounded, precision)
            case "*":
                let (product, overflow) = x.multipliedReportingOverflow(by: y)
                guard !overflow, let rounded = Numbers.rescaled(product, from: p + q, to: scale) else { return nil }
                return Numbers.fitting(rounded, precision)
            case "/":
                if y == 0 { throw StreamError(.runtime, "division by zero") }
                guard scale + q - p >= 0, let dividend = Numbers.rescaled(x, from: 0, to: scale + q - p) else { return nil }
                return Numbers.fitting(Numbers.roundedQuotient(dividend, y), precision)
            default: return nil
            }
        default: return nil
        }
    }

    // MARK: casts

    private func cast(_ value: Value, _ from: DataType, _ to: DataType, _ safe: Bool) throws -> Value {
        if value == .null || from == to { return value }
        if let own = ownCast(value, from, to) { return own }
        return try Evaluator.evaluateConstant(.cast(.literal(value, from), to: to, safe: safe), context: context)
    }

    private func ownCast(_ value: Value, _ from: DataType, _ to: DataType) -> Value? {
        switch (value, to) {
        case (.int(let x), _) where from.isInteger && to.isInteger && to.width >= from.width: return .int(x)
        case (.int(let x), .double) where from.isInteger: return .double(Double(x))
        case (.int(let x), .decimal(let precision, let scale)) where from.isInteger:
            return Numbers.rescaled(Int128(x), from: 0, to: scale).map { Numbers.fitting($0, precision) }
        case (.int(let x), .varchar(DataType.maxLength)) where from.isInteger: return .string("\(x)")
        case (.decimal(let x), .decimal(let precision, let scale)):
            guard case .decimal(_, let own) = from else { return nil }
            return Numbers.rescaled(x, from: own, to: scale).map { Numbers.fitting($0, precision) }
        case (.decimal, .double): return .double(Numbers.double(value, from))
        case (.decimal(let x), .varchar(DataType.maxLength)): return .string(Numbers.decimalText(x, scale: from.decimalShape!.scale))
        case (.float(let x), .double): return .double(Double(x))
        case (.double(let x), .int): return .int(x.isNaN ? 0 : Int64(Int32(exactly: x.rounded(.towardZero)) ?? (x < 0 ? .min : .max)))
        case (.double(let x), .bigint): return .int(x.isNaN ? 0 : Int64(exactly: x.rounded(.towardZero)) ?? (x < 0 ? .min : .max))
        case (.string, .varchar(DataType.maxLength)): return value
        default: return nil
        }
    }
}
