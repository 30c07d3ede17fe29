import StreamCore
import Testing
@testable import StreamExpressions

/// Every kernel against a slow, obvious function of single values: random columns with nulls, in all encodings, with and
/// without a selection.
@Suite("Kernels against a scalar model") struct CoreKernelModelTests {
    static let types: [DataType] = [.boolean, .tinyint, .smallint, .int, .bigint, .float, .double, .decimal(precision: 20, scale: 4), .string,
                                    .varchar(20), .date, .timestamp(3)]

    static func random(_ type: DataType, _ random: inout SeededRandom) -> Value {
        if Int.random(in: 0..<6, using: &random) == 0 { return .null }
        let small = Int64.random(in: -4...4, using: &random), wild = Bool.random(using: &random)
        switch type {
        case .boolean: return .bool(Bool.random(using: &random))
        case .tinyint: return .int(wild ? Int64(Int8.random(in: .min ... .max, using: &random)) : small)
        case .smallint: return .int(wild ? Int64(Int16.random(in: .min ... .max, using: &random)) : small)
        case .int, .date: return .int(wild ? Int64(Int32.random(in: .min ... .max, using: &random)) : small)
        case .bigint, .timestamp: return .int(wild ? Int64.random(in: .min ... .max, using: &random) : small)
        case .float: return .float(wild ? [Float.nan, .infinity, -0.0, 0.1, 1e30].randomElement(using: &random)! : Float(small))
        case .double: return .double(wild ? [Double.nan, -.infinity, -0.0, 0.1, 1e300].randomElement(using: &random)! : Double(small))
        case .decimal: return .decimal(wild ? Int128(Int64.random(in: .min ... .max, using: &random)) : Int128(small) * 10_000)
        default:
            let stems = ["", "a", "ab", "abc", "abcd", "abcd\u{0}", "abcdefghijkl", "abcdefghijklm", "abcdefghijklmn", "é", "zz", "A"]
            return .string(stems.randomElement(using: &random)!)
        }
    }

    /// Applies `expr` over columns 0 and 1 and compares each selected row with `model`; nil stands for "must throw".
    private func check(_ expr: Expr, _ types: (DataType, DataType), seed: UInt64, _ model: (Value, Value) -> Value) throws {
        var random = SeededRandom(seed)
        for left in Encoding.allCases {
            for right in Encoding.allCases {
                let n = Int.random(in: 1...150, using: &random)
                let a = Column.make((0..<n).map { _ in Self.random(types.0, &random) }, types.0, left)
                let b = Column.make((0..<n).map { _ in Self.random(types.1, &random) }, types.1, right)
                let density = [1, 2, 9].randomElement(using: &random)!
                let rows = density == 1 ? nil : Selection((0..<Int32(n)).filter { _ in Int.random(in: 0..<density, using: &random) == 0 })
                let batch = Batch(columns: [a, b], physicalCount: n, selection: rows)
                let result = try Evaluator([expr], context: EvaluationContext()).evaluate(batch)[0]
                #expect(result.count == n && result.type == expr.type)
                var passing: [[Value]] = []
                for i in 0..<batch.count {
                    let row = batch.row(i)
                    let (x, y) = (a.value(at: row), b.value(at: row))
                    let wanted = model(x, y), got = result.value(at: row)
                    if wanted == .bool(true) { passing.append([x, y]) }
                    #expect(same(got, wanted), "seed \(seed), \(left) \(right): f(\(x), \(y)) = \(got), expected \(wanted)")
                }
                if expr.type == .boolean {
                    let kept = try Evaluator([expr], context: EvaluationContext()).filter(batch)
                    #expect(zip(kept.rows(), passing).allSatisfy { zip($0, $1).allSatisfy(same) } && kept.count == passing.count,
                            "seed \(seed), filter over \(left) \(right)")
                }
            }
        }
    }

    private func same(_ a: Value, _ b: Value) -> Bool {
        switch (a, b) {
        case (.double(let x), .double(let y)): x == y || (x.isNaN && y.isNaN)
        case (.float(let x), .float(let y)): x == y || (x.isNaN && y.isNaN)
        default: a == b
        }
    }

    private static func order(_ a: Value, _ b: Value) -> Int? {
        func of<T: Comparable>(_ x: T, _ y: T) -> Int? { x < y ? -1 : x == y ? 0 : x > y ? 1 : nil }
        switch (a, b) {
        case (.bool(let x), .bool(let y)): return of(x ? 1 : 0, y ? 1 : 0)
        case (.int(let x), .int(let y)): return of(x, y)
        case (.float(let x), .float(let y)): return of(x, y)
        case (.double(let x), .double(let y)): return of(x, y)
        case (.decimal(let x), .decimal(let y)): return of(x, y)
        case (.string(let x), .string(let y)):
            if Array(x.utf8) == Array(y.utf8) { return 0 }
            return x.utf8.lexicographicallyPrecedes(y.utf8) ? -1 : 1
        default: return nil
        }
    }

    @Test("comparisons", arguments: types) func comparisons(_ type: DataType) throws {
        for (i, name) in ["=", "<>", "<", "<=", ">", ">="].enumerated() {
            let expr = try SQL.call(name, .column(0, type), .column(1, type))
            try check(expr, (type, type), seed: UInt64(i) + 100) { a, b in
                if a == .null || b == .null { return .null }
                // Unordered numbers (NaN) are equal to nothing.
                guard let order = Self.order(a, b) else { return .bool(name == "<>") }
                return .bool(Comparison(rawValue: name)!.holds(order))
            }
        }
    }

    @Test("comparisons with a literal", arguments: types) func literals(_ type: DataType) throws {
        var random = SeededRandom(77)
        for name in ["=", "<>", "<", ">="] {
            for _ in 0..<3 {
                var constant = Value.null
                while constant == .null { constant = Self.random(type, &random) }
                let right = try SQL.call(name, .column(0, type), .literal(constant, type))
                let left = try SQL.call(name, .literal(constant, type), .column(0, type))
                func model(_ a: Value, _ b: Value) -> Value {
                    if a == .null { return .null }
                    guard let order = Self.order(a, b) else { return .bool(name == "<>") }
                    return .bool(Comparison(rawValue: name)!.holds(order))
                }
                try check(right, (type, type), seed: 1) { a, _ in model(a, constant) }
                try check(left, (type, type), seed: 2) { a, _ in
                    if a == .null { return .null }
                    guard let order = Self.order(constant, a) else { return .bool(name == "<>") }
                    return .bool(Comparison(rawValue: name)!.holds(order))
                }
            }
        }
    }

    @Test("IN lists", arguments: types) func lists(_ type: DataType) throws {
        var random = SeededRandom(42)
        for size in [1, 2, 5, 40] {
            var list: [Value] = []
            while list.count < size {
                let value = Self.random(type, &random)
                if value != .null { list.append(value) }
            }
            let expr = Expr.or(try list.map { try SQL.call("=", .column(0, type), .literal($0, type)) })
            try check(expr, (type, type), seed: UInt64(size)) { a, _ in
                a == .null ? .null : .bool(list.contains { Self.order(a, $0) == 0 })
            }
        }
    }

    @Test("integer arithmetic wraps", arguments: [DataType.tinyint, .smallint, .int, .bigint]) func integers(_ type: DataType) throws {
        func wrap(_ v: Int64) -> Value {
            switch type {
            case .tinyint: .int(Int64(Int8(truncatingIfNeeded: v)))
            case .smallint: .int(Int64(Int16(truncatingIfNeeded: v)))
            case .int: .int(Int64(Int32(truncatingIfNeeded: v)))
            default: .int(v)
            }
        }
        let operations: [(String, (Int64, Int64) -> Int64)] = [("+", { $0 &+ $1 }), ("-", { $0 &- $1 }), ("*", { $0 &* $1 })]
        for (i, (name, f)) in operations.enumerated() {
            let expr = try SQL.call(name, .column(0, type), .column(1, type))
            #expect(expr.type == type)
            try check(expr, (type, type), seed: UInt64(i)) { a, b in
                guard case (.int(let x), .int(let y)) = (a, b) else { return .null }
                return wrap(f(x, y))
            }
        }
        // A divisor of zero is taken out first.
        let safe = try SQL.call("NULLIF", .column(1, type), .literal(.int(0), type))
        for (name, f) in [("/", { (x: Int64, y: Int64) in x.dividedReportingOverflow(by: y).partialValue }),
                          ("%", { (x: Int64, y: Int64) in x.remainderReportingOverflow(dividingBy: y).partialValue })] {
            try check(SQL.call(name, .column(0, type), safe), (type, type), seed: 9) { a, b in
                guard case (.int(let x), .int(let y)) = (a, b), y != 0 else { return .null }
                return wrap(f(x, y))
            }
        }
        try check(SQL.call("NEGATE", .column(0, type)), (type, type), seed: 10) { a, _ in
            if case .int(let x) = a { wrap(0 &- x) } else { .null }
        }
    }

    @Test("floating point follows IEEE 754") func floating() throws {
        let operations: [(String, (Double, Double) -> Double)] = [
            ("+", { $0 + $1 }), ("-", { $0 - $1 }), ("*", { $0 * $1 }), ("/", { $0 / $1 }), ("%", { $0.truncatingRemainder(dividingBy: $1) }),
        ]
        for (i, (name, f)) in operations.enumerated() {
            try check(SQL.call(name, .column(0, .double), .column(1, .double)), (.double, .double), seed: UInt64(i)) { a, b in
                guard case (.double(let x), .double(let y)) = (a, b) else { return .null }
                return .double(f(x, y))
            }
            let mixed = try SQL.call(name, .column(0, .int), .column(1, .double))
            #expect(mixed.type == .double)
            try check(mixed, (.int, .double), seed: UInt64(i)) { a, b in
                guard case (.int(let x), .double(let y)) = (a, b) else { return .null }
                return .double(f(Double(x), y))
            }
        }
    }

    @Test("concatenation, GREATEST, LEAST, COALESCE, NULLIF, CASE") func others() throws {
        let a = Expr.column(0, .string), b = Expr.column(1, .string)
        try check(SQL.call("||", a, b), (.string, .string), seed: 1) { x, y in
            guard case (.string(let x), .string(let y)) = (x, y) else { return .null }
            return .string(x + y)
        }
        for type in Self.types where !type.isApproximate {
            let (a, b) = (Expr.column(0, type), Expr.column(1, type))
            for (name, sign) in [("GREATEST", 1), ("LEAST", -1)] {
                try check(SQL.call(name, a, b), (type, type), seed: 2) { x, y in
                    if x == .null || y == .null { return .null }
                    return Self.order(x, y)! * sign >= 0 ? x : y
                }
            }
            try check(SQL.call("COALESCE", a, b), (type, type), seed: 3) { x, y in x == .null ? y : x }
            try check(SQL.call("IFNULL", a, b), (type, type), seed: 4) { x, y in x == .null ? y : x }
            try check(SQL.call("NULLIF", a, b), (type, type), seed: 5) { x, y in x != .null && x == y ? .null : x }
            try check(SQL.call("IF", .isNull(a, negated: false), b, a), (type, type), seed: 6) { x, y in x == .null ? y : x }
            try check(SQL.call("IS DISTINCT FROM", a, b), (type, type), seed: 7) { x, y in .bool(x != y) }
            try check(SQL.call("IS NOT DISTINCT FROM", a, b), (type, type), seed: 8) { x, y in .bool(x == y) }
            try check(.isNull(a, negated: true), (type, type), seed: 9) { x, _ in .bool(x != .null) }
        }
    }

    @Test("nested values are equal when their parts are") func nested() throws {
        let array = DataType.array(.int), map = DataType.map(key: .string, value: .int)
        let row = DataType.row([Field("a", .int), Field("b", .string)])
        let cases: [(DataType, [Value])] = [
            (array, [.array([]), .array([.int(1)]), .array([.int(1), .null]), .null, .array([.int(2)])]),
            (map, [.map([]), .map([.init(.string("a"), .int(1)), .init(.string("b"), .null)]), .map([.init(.string("b"), .null), .init(.string("a"), .int(1))]), .null]),
            (row, [.row([.int(1), .string("x")]), .row([.int(1), .null]), .row([.null, .null]), .null]),
        ]
        for (type, values) in cases {
            for encoding in [Encoding.plain, .dictionary] {
                let n = values.count
                let left = Column.make(values.flatMap { Array(repeating: $0, count: n) }, type, encoding)
                let right = Column.make((0..<n).flatMap { _ in values }, type, encoding)
                let exprs = [try SQL.call("=", .column(0, type), .column(1, type)), try SQL.call("IS NOT DISTINCT FROM", .column(0, type), .column(1, type)),
                             try SQL.call("COALESCE", .column(0, type), .column(1, type))]
                let out = try Evaluator(exprs, context: EvaluationContext()).evaluate(Batch(columns: [left, right], physicalCount: n * n))
                for i in 0..<n * n {
                    let (x, y) = (values[i / n], values[i % n])
                    let mapsEqual = type == map && x != .null && y != .null && i / n > 0 && i % n > 0
                    let equal = x == y || mapsEqual
                    #expect(out[0].value(at: i) == (x == .null || y == .null ? .null : .bool(equal)), "\(x) = \(y)")
                    #expect(out[1].value(at: i) == .bool(equal), "\(x) IS NOT DISTINCT FROM \(y)")
                    #expect(out[2].value(at: i) == (x == .null ? y : x), "COALESCE(\(x), \(y))")
                }
            }
        }
        #expect(errorText { _ = try SQL.call("<", .column(0, array), .column(1, array)) }?.contains("order") == true)
    }

    @Test("columns come back uncopied, full filters return the batch, sparse ones are compacted") func identity() throws {
        let batch = Batch(schema: [Field("v", .int)], rows: (0..<800).map { [.int($0)] })
        let v = Expr.column(0, .int)
        #expect(try Evaluator([v], context: EvaluationContext()).evaluate(batch)[0] === batch.columns[0])
        let all = try Evaluator([SQL.call(">=", v, SQL.int(0))], context: EvaluationContext()).filter(batch)
        #expect(all.selection == nil && all.columns[0] === batch.columns[0])
        let half = try Evaluator([SQL.call("<", v, SQL.int(400))], context: EvaluationContext()).filter(batch)
        #expect(half.columns[0] === batch.columns[0] && half.count == 400)
        let few = try Evaluator([SQL.call("=", v, SQL.int(5))], context: EvaluationContext()).filter(batch)
        #expect(few.physicalCount == 1 && few.selection == nil && few.rows() == [[.int(5)]])
        let none = try Evaluator([SQL.call("<", v, SQL.int(0))], context: EvaluationContext()).filter(batch)
        #expect(none.isEmpty)
    }
}
