import StreamCore

/// Order and equality of values, by SQL's rules.
enum Ordering {
    /// Below, at or above zero; a null is below every value.
    static func compare(_ a: Value, _ b: Value) -> Int {
        func order<T: Comparable>(_ x: T, _ y: T) -> Int { x < y ? -1 : x == y ? 0 : 1 }
        switch (a, b) {
        case (.null, .null): return 0
        case (.null, _): return -1
        case (_, .null): return 1
        case (.bool(let x), .bool(let y)): return order(x ? 1 : 0, y ? 1 : 0)
        case (.int(let x), .int(let y)): return order(x, y)
        case (.float(let x), .float(let y)): return order(x, y)
        case (.double(let x), .double(let y)): return order(x, y)
        case (.decimal(let x), .decimal(let y)): return order(x, y)
        case (.string(let x), .string(let y)): return compare(Array(x.utf8), Array(y.utf8))
        case (.binary(let x), .binary(let y)): return compare(x, y)
        case (.array(let x), .array(let y)), (.row(let x), .row(let y)):
            for (p, q) in zip(x, y) where compare(p, q) != 0 { return compare(p, q) }
            return order(x.count, y.count)
        default: return a == b ? 0 : -1
        }
    }

    static func compare(_ a: [UInt8], _ b: [UInt8]) -> Int { a == b ? 0 : a.lexicographicallyPrecedes(b) ? -1 : 1 }

    static func compare(_ a: Value, _ b: Value, nullsFirst: Bool, descending: Bool) -> Int {
        if a == .null || b == .null {
            let order = compare(a, b)
            return nullsFirst ? order : -order
        }
        return descending ? -compare(a, b) : compare(a, b)
    }

    /// Equal, or both null.
    static func isSame(_ a: Value, _ b: Value) -> Bool { compare(a, b) == 0 }
}

/// Arithmetic on boxed numbers.
enum Numbers {
    /// Cut to the width of an integer type, as two's complement.
    static func wrapped(_ x: Int64, _ type: DataType) -> Int64 {
        switch type {
        case .tinyint: Int64(Int8(truncatingIfNeeded: x))
        case .smallint: Int64(Int16(truncatingIfNeeded: x))
        case .int, .date, .time, .intervalYearMonth: Int64(Int32(truncatingIfNeeded: x))
        default: x
        }
    }

    static func power(_ n: Int) -> Int128 { (0..<n).reduce(Int128(1)) { p, _ in p * 10 } }

    static func double(_ value: Value, _ type: DataType) -> Double {
        switch value {
        case .int(let x): return Double(x)
        case .float(let x): return Double(x)
        case .double(let x): return x
        case .decimal(let x):
            // By way of its text, so that it is rounded once.
            return Double(decimalText(x, scale: type.decimalShape?.scale ?? 0)) ?? .nan
        default: return .nan
        }
    }

    static func decimalText(_ x: Int128, scale: Int) -> String {
        var digits = String(x.magnitude)
        if scale > 0 {
            digits = String(repeating: "0", count: max(0, scale + 1 - digits.count)) + digits
            digits.insert(".", at: digits.index(digits.endIndex, offsetBy: -scale))
        }
        return (x < 0 ? "-" : "") + digits
    }

    /// Half away from zero.
    static func roundedQuotient(_ a: Int128, _ b: Int128) -> Int128 {
        let (q, r) = a.magnitude.quotientAndRemainder(dividingBy: b.magnitude)
        let rounded = Int128(r >= b.magnitude - r ? q + 1 : q)
        return (a < 0) != (b < 0) ? -rounded : rounded
    }

    /// At another scale, half away from zero; nil when it does not fit into 128 bits.
    static func rescaled(_ x: Int128, from: Int, to: Int) -> Int128? {
        if to <= from { return from - to > 38 ? 0 : roundedQuotient(x, power(from - to)) }
        guard to - from <= 38 else { return x == 0 ? 0 : nil }
        let (result, overflow) = x.multipliedReportingOverflow(by: power(to - from))
        return overflow ? nil : result
    }

    /// Null when it has more digits than the precision allows.
    static func fitting(_ x: Int128?, _ precision: Int) -> Value {
        guard let x, x.magnitude < power(precision).magnitude else { return .null }
        return .decimal(x)
    }
}
