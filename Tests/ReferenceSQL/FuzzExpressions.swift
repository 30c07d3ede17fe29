import StreamTesting

/// A column that an expression may name.
struct FuzzColumn {
    var sql: String
    var kind: FuzzKind
    /// The time attribute.
    var isTime = false
    var isUnique = false
}

/// Makes random typed expressions as text.
struct FuzzExpressions {
    var random: SeededRandom

    mutating func chance(_ oneIn: Int) -> Bool { Int.random(in: 0..<oneIn, using: &random) == 0 }
    mutating func pick<T>(_ items: [T]) -> T { items.randomElement(using: &random)! }
    mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &random) }

    mutating func literal(_ kind: FuzzKind) -> Piece {
        switch kind {
        case .boolean: .text(pick(["TRUE", "FALSE"]))
        case .int: .text("\(number(-2...5))")
        case .bigint: "CAST(\(number(-2...10)) AS BIGINT)"
        case .decimal: .text(pick(["0.00", "1.50", "-2.25", "3.125"]))
        case .double: .text(pick(["0.5E0", "1E0", "2.25E0", "-4E0"]))
        case .string: .text(pick(["'a'", "'b'", "'ab'", "''", "'zz'"]))
        case .timestamp: .text(pick(["TIMESTAMP '2024-01-01 00:00:01.500'", "TIMESTAMP '2024-01-01 00:01:00'"]))
        case .date: .text(pick(["DATE '2024-01-01'", "DATE '1970-01-01'"]))
        case .array: "ARRAY[1, \(number(0...3))]"
        }
    }

    mutating func column(_ kind: FuzzKind, _ scope: [FuzzColumn]) -> FuzzColumn? { scope.filter { $0.kind == kind }.randomElement(using: &random) }

    mutating func leaf(_ kind: FuzzKind, _ scope: [FuzzColumn]) -> Piece {
        if !chance(4), let column = column(kind, scope) { return .text(column.sql) }
        return literal(kind)
    }

    mutating func expression(_ kind: FuzzKind, _ scope: [FuzzColumn], _ depth: Int) -> Piece {
        guard depth > 0, !chance(3) else { return leaf(kind, scope) }
        func sub(_ this: inout FuzzExpressions, _ k: FuzzKind) -> Piece { this.expression(k, scope, depth - 1) }
        // What it becomes when it is made smaller.
        let a = sub(&self, kind)
        if chance(5) {
            let b = sub(&self, kind)
            switch number(0...4) {
            case 0: return .or("CASE WHEN \(condition(scope, depth - 1)) THEN \(a) ELSE \(b) END", [a, b])
            case 1: return .or("CASE WHEN \(condition(scope, depth - 1)) THEN \(a) END", [a])
            case 2: return .or("COALESCE(\(a), \(b))", [a, b])
            case 3 where kind != .array && kind != .boolean: return .or("NULLIF(\(a), \(b))", [a])
            default: return .or("IF(\(condition(scope, depth - 1)), \(a), \(b))", [a, b])
            }
        }
        switch kind {
        case .boolean: return "(\(condition(scope, depth)))"
        case .int:
            switch number(0...7) {
            case 0, 1: return .or("(\(a) \(pick(["+", "-", "*"])) \(sub(&self, .int)))", [a])
            case 2: return .or("(\(a) / NULLIF(\(sub(&self, .int)), 0))", [a])
            case 3: return .or("MOD(\(a), \(number(2...4)))", [a])
            case 4: return .or("CHAR_LENGTH(\(sub(&self, .string)))", [a])
            case 5: return .or("ABS(\(a))", [a])
            case 6: return .or("CARDINALITY(\(leaf(.array, scope)))", [a])
            default: return .or("TRY_CAST(\(sub(&self, .string)) AS INT)", [a])
            }
        case .bigint:
            switch number(0...3) {
            case 0, 1: return .or("(\(a) \(pick(["+", "-", "*"])) \(sub(&self, .int)))", [a])
            case 2: return .or("CAST(\(sub(&self, pick([.int, .decimal, .double]))) AS BIGINT)", [a])
            default: return .or("EXTRACT(\(pick(["SECOND", "MINUTE", "HOUR", "DAY"])) FROM \(sub(&self, .timestamp)))", [a])
            }
        case .decimal:
            switch number(0...3) {
            case 0: return .or("(\(a) \(pick(["+", "-", "*"])) \(sub(&self, pick([.int, .decimal]))))", [a])
            case 1: return .or("(\(a) / NULLIF(\(leaf(.decimal, scope)), 0))", [a])
            case 2: return .or("CAST(\(sub(&self, pick([.int, .decimal]))) AS DECIMAL(12, 3))", [a])
            default: return .or("ROUND(\(a), 1)", [a])
            }
        case .double:
            switch number(0...2) {
            case 0: return .or("(\(a) \(pick(["+", "-", "*"])) \(sub(&self, .double)))", [a])
            case 1: return .or("CAST(\(sub(&self, .int)) AS DOUBLE)", [a])
            default: return .or("ABS(\(a))", [a])
            }
        case .string:
            switch number(0...5) {
            case 0: return .or("UPPER(\(a))", [a])
            case 1: return .or("(\(a) || \(sub(&self, .string)))", [a])
            case 2: return .or("SUBSTRING(\(a), \(number(1...3)))", [a])
            case 3: return .or("CAST(\(sub(&self, pick([.int, .bigint, .decimal, .boolean, .date]))) AS STRING)", [a])
            case 4: return .or("TRIM(\(a))", [a])
            default: return .or("LOWER(\(a))", [a])
            }
        case .timestamp: return .or("(\(a) + INTERVAL '\(number(1...90))' SECOND)", [a])
        case .date: return .or("CAST(\(sub(&self, .timestamp)) AS DATE)", [a])
        case .array: return a
        }
    }

    mutating func condition(_ scope: [FuzzColumn], _ depth: Int) -> Piece {
        let kind = pick(FuzzKind.scalars)
        let deeper = max(depth - 1, 0)
        switch depth > 0 ? number(0...11) : number(0...3) {
        case 0...2:
            return "\(expression(kind, scope, deeper)) \(pick(["=", "<>", "<", "<=", ">", ">="])) \(expression(kind, scope, deeper))"
        case 3:
            guard let column = scope.randomElement(using: &random) else { return "TRUE" }
            return "\(column.sql) IS \(chance(2) ? "NOT " : "")NULL"
        case 4:
            let (a, b) = (condition(scope, deeper), condition(scope, deeper))
            return .or("(\(a) AND \(b))", [a, b])
        case 5:
            let (a, b) = (condition(scope, deeper), condition(scope, deeper))
            return .or("(\(a) OR \(b))", [a, b])
        case 6:
            let a = condition(scope, deeper)
            return .or("NOT (\(a))", [a])
        case 7:
            return "\(expression(kind, scope, deeper)) \(chance(2) ? "NOT " : "")IN (\(literal(kind)), \(literal(kind)))"
        case 8: return "\(expression(.string, scope, deeper)) \(chance(2) ? "NOT " : "")LIKE \(pick(["'a%'", "'%b'", "'_'", "'%'"]))"
        case 9: return "\(expression(kind, scope, deeper)) IS \(chance(2) ? "NOT " : "")DISTINCT FROM \(expression(kind, scope, deeper))"
        case 10: return "\(expression(kind, scope, deeper)) BETWEEN \(literal(kind)) AND \(literal(kind))"
        default:
            let a = condition(scope, deeper)
            return .or("(\(a)) IS \(chance(2) ? "NOT " : "")\(pick(["TRUE", "FALSE", "UNKNOWN"]))", [a])
        }
    }

    /// An aggregate call and what it gives. `ordered`: rows of a group come in an order that does not depend on the run.
    mutating func aggregate(_ scope: [FuzzColumn], ordered: Bool) -> (Piece, FuzzKind) {
        let filter: Piece = chance(5) ? .optional(" FILTER (WHERE \(condition(scope, 1)))") : ""
        let distinct = chance(5) ? "DISTINCT " : ""
        switch number(0...(ordered ? 9 : 6)) {
        case 0: return ("COUNT(*)\(filter)", .bigint)
        case 1: return ("COUNT(\(distinct)\(expression(pick(FuzzKind.scalars), scope, 1)))\(filter)", .bigint)
        case 2, 3:
            let kind = pick([FuzzKind.int, .bigint, .decimal, .double])
            return ("SUM(\(distinct)\(expression(kind, scope, 1)))\(filter)", kind)
        case 4:
            let kind = pick([FuzzKind.int, .decimal, .double])
            return ("AVG(\(distinct)\(expression(kind, scope, 1)))\(filter)", kind)
        case 5, 6:
            let kind = pick([FuzzKind.int, .bigint, .decimal, .double, .string, .timestamp, .date])
            return ("\(pick(["MIN", "MAX"]))(\(expression(kind, scope, 1)))\(filter)", kind)
        case 7:
            let kind = pick(FuzzKind.scalars)
            return ("\(pick(["FIRST_VALUE", "LAST_VALUE"]))(\(expression(kind, scope, 1)))\(filter)", kind)
        case 8: return ("LISTAGG(\(expression(.string, scope, 1)))\(filter)", .string)
        default: return ("\(pick(["VAR_POP", "STDDEV_POP", "VAR_SAMP"]))(\(leaf(.double, scope)))\(filter)", .double)
        }
    }
}
