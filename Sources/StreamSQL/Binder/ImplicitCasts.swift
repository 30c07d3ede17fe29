import StreamCore
import StreamExpressions

/// What INSERT converts without being asked.
enum ImplicitCasts {
    /// Whether INSERT casts `from` to the sink column's type `to` without being asked.
    static func isInsertable(_ from: DataType, into to: DataType) -> Bool {
        if from == to || from == .null { return true }
        if from.isNumeric && to.isNumeric || from.isText && to.isText || from.isBinary && to.isBinary { return true }
        switch (from, to) {
        case (.timestamp, .timestamp), (.timestamp, .timestampLTZ), (.timestampLTZ, .timestamp), (.timestampLTZ, .timestampLTZ),
            (.time, .time), (.timestamp, .date), (.timestamp, .time), (.timestampLTZ, .date), (.timestampLTZ, .time):
            return true
        case (.array(let x), .array(let y)): return isInsertable(x, into: y)
        case (.map(let k1, let v1), .map(let k2, let v2)): return isInsertable(k1, into: k2) && isInsertable(v1, into: v2)
        case (.row(let x), .row(let y)):
            return x.count == y.count && zip(x, y).allSatisfy { isInsertable($0.type, into: $1.type) }
        default: return false
        }
    }
}

extension Expr {
    /// Cast to `target` without a failure mode of its own; itself when it has that type.
    func implicitlyCast(to target: DataType) -> Expr {
        if type == target { return self }
        if case .literal(.null, _) = self { return .literal(.null, target) }
        return .cast(self, to: target, safe: false)
    }

    var isColumn: Bool { if case .column = self { true } else { false } }

    /// A NULL that no cast gave a type.
    var isUntypedNull: Bool {
        if case .literal(.null, .null) = self { true } else { false }
    }

    /// Whether it can be null, given its input's columns. May say yes too often, never no wrongly.
    func isNullable(in columns: [PlanColumn]) -> Bool {
        switch self {
        case .column(let i, _): columns.indices.contains(i) ? columns[i].nullable : true
        case .literal(let value, _): value == .null
        case .call(let function, let args):
            !function.neverNull && (!function.isTotal || args.contains { $0.isNullable(in: columns) })
        case .cast(let e, let to, let safe):
            safe || e.isNullable(in: columns) || to.isDecimal
        case .caseWhen(let branches, let otherwise, _):
            otherwise.isNullable(in: columns) || branches.contains { $0.result.isNullable(in: columns) }
        case .and(let es), .or(let es): es.contains { $0.isNullable(in: columns) }
        case .not(let e): e.isNullable(in: columns)
        case .isNull: false
        case .coalesce(let es, _): es.allSatisfy { $0.isNullable(in: columns) }
        case .field(let e, let i, _):
            if case .row(let fields) = e.type { e.isNullable(in: columns) || fields[i].nullable } else { true }
        }
    }
}

extension BoundFunction {
    /// Gives a value whenever its arguments are not null.
    fileprivate var isTotal: Bool {
        if resultType.isDecimal { return false }  // overflow gives null
        return Self.totalFunctions.contains(name.uppercased())
    }

    fileprivate var neverNull: Bool { Self.neverNullFunctions.contains(name.uppercased()) }

    private static let totalFunctions: Set<String> = [
        "+", "-", "*", "/", "%", "MOD", "NEGATE", "=", "<>", "<", "<=", ">", ">=", "||", "LIKE", "SIMILAR TO", "UPPER", "LOWER", "TRIM",
        "CONCAT", "CHAR_LENGTH", "CHARACTER_LENGTH", "ABS", "FLOOR", "CEIL", "POSITION", "REPLACE", "EXTRACT", "LTRIM", "RTRIM",
        "REVERSE", "MD5", "SHA256", "PARSE_JSON",
    ]
    private static let neverNullFunctions: Set<String> = [
        "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "IS TRUE", "IS NOT TRUE", "IS FALSE", "IS NOT FALSE", "ARRAY", "MAP", "ROW",
        "CURRENT_TIMESTAMP", "NOW", "LOCALTIMESTAMP", "CURRENT_DATE", "LOCALTIME", "CURRENT_TIME", "PROCTIME", "RAND", "RAND_INTEGER",
        "UUID", "PI", "CURRENT_ROW_TIMESTAMP",
    ]
}
