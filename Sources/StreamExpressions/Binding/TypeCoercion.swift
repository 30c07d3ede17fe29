import StreamCore

/// How types are brought together: for UNION, VALUES, CASE, COALESCE, comparisons and arithmetic.
public enum TypeCoercion {
    /// The type that takes every value of all of them without a cast that a user must write; nil when there is none.
    /// `.null` gives way to any type; only NULLs give `.null`.
    public static func commonType(_ types: [DataType]) -> DataType? {
        guard var result = types.first else { return nil }
        for type in types.dropFirst() {
            guard let next = commonType(result, type) else { return nil }
            result = next
        }
        return result
    }

    public static func commonType(_ a: DataType, _ b: DataType) -> DataType? {
        if a == b || b == .null { return a }
        if a == .null { return b }
        if a.isNumeric && b.isNumeric { return commonNumeric(a, b) }
        switch (a, b) {
        // Text of unequal length becomes VARCHAR, so that nothing is padded.
        case (.char(let n), .char(let m)), (.char(let n), .varchar(let m)), (.varchar(let n), .char(let m)), (.varchar(let n), .varchar(let m)):
            return .varchar(max(n, m))
        case (.binary(let n), .binary(let m)), (.binary(let n), .varbinary(let m)), (.varbinary(let n), .binary(let m)), (.varbinary(let n), .varbinary(let m)):
            return .varbinary(max(n, m))
        case (.time(let p), .time(let q)): return .time(max(p, q))
        case (.timestamp(let p), .timestamp(let q)): return .timestamp(max(p, q))
        case (.timestampLTZ(let p), .timestampLTZ(let q)), (.timestampLTZ(let p), .timestamp(let q)), (.timestamp(let p), .timestampLTZ(let q)):
            return .timestampLTZ(max(p, q))
        case (.date, .timestamp(let p)), (.timestamp(let p), .date): return .timestamp(p)
        case (.date, .timestampLTZ(let p)), (.timestampLTZ(let p), .date): return .timestampLTZ(p)
        case (.array(let x), .array(let y)): return commonType(x, y).map { .array($0) }
        case (.map(let k, let v), .map(let l, let w)):
            guard let key = commonType(k, l), let value = commonType(v, w) else { return nil }
            return .map(key: key, value: value)
        case (.row(let f), .row(let g)):
            guard f.count == g.count else { return nil }
            var fields: [Field] = []
            for (x, y) in zip(f, g) {
                guard let type = commonType(x.type, y.type) else { return nil }
                fields.append(Field(x.name, type, nullable: x.nullable || y.nullable))
            }
            return .row(fields)
        default: return nil
        }
    }

    private static func commonNumeric(_ a: DataType, _ b: DataType) -> DataType {
        if a == .double || b == .double { return .double }
        if a == .float || b == .float { return a.isDecimal || b.isDecimal ? .double : .float }
        let (p, s) = a.decimalShape!, (q, t) = b.decimalShape!
        if !a.isDecimal && !b.isDecimal { return p >= q ? a : b }
        let scale = max(s, t)
        return .decimal(precision: min(38, max(p - s, q - t) + scale), scale: scale)
    }

    /// True when `from` fits `to` by a cast that is inserted silently: the same family, and no value is lost.
    public static func canWiden(_ from: DataType, to: DataType) -> Bool {
        from == to || commonType(from, to) == to
    }

    /// True when a query's column of type `from` may be written to a table's column of type `to` without a CAST, as in Flink.
    /// The cast that does it may cut text and fractions, and makes a DECIMAL that does not fit null.
    public static func canAssign(_ from: DataType, to: DataType) -> Bool {
        if from == to || from == .null { return true }
        switch (from, to) {
        case (.char(let n), .char(let m)), (.binary(let n), .binary(let m)): return n <= m
        case (_, .varchar): return from.isText
        case (_, .varbinary): return from.isBinary
        case (_, .decimal), (_, .double): return from.isNumeric
        case (_, .float): return from.isNumeric && from != .double
        case (_, .bigint), (_, .int), (_, .smallint), (_, .tinyint): return from.isInteger && to.isInteger && from.width <= to.width
        case (.timestamp, .date), (.timestamp, .time), (.time, .time): return true
        case (_, .timestamp), (_, .timestampLTZ): return from.isTimestamp
        case (.array(let x), .array(let y)): return canAssign(x, to: y)
        case (.map(let k, let v), .map(let l, let w)): return canAssign(k, to: l) && canAssign(v, to: w)
        case (.row(let f), .row(let g)): return f.count == g.count && zip(f, g).allSatisfy { canAssign($0.type, to: $1.type) }
        default: return false
        }
    }

    /// Type of a + b and a - b.
    static func additive(_ a: DataType, _ b: DataType) -> DataType { arithmetic(a, b, DecimalTypes.sum) }
    static func product(_ a: DataType, _ b: DataType) -> DataType { arithmetic(a, b, DecimalTypes.product) }
    static func quotient(_ a: DataType, _ b: DataType) -> DataType { arithmetic(a, b, DecimalTypes.quotient) }

    /// Type of a % b: that of the divisor for integers.
    static func remainder(_ a: DataType, _ b: DataType) -> DataType {
        a.isInteger && b.isInteger ? b : arithmetic(a, b, DecimalTypes.remainder)
    }

    private static func arithmetic(_ a: DataType, _ b: DataType, _ decimal: (DecimalTypes.Shape, DecimalTypes.Shape) -> DataType) -> DataType {
        // Of FLOAT and DOUBLE the first operand's type wins, as in Flink.
        if a.isApproximate && b.isApproximate { return a }
        if a.isApproximate || b.isApproximate || !(a.isDecimal || b.isDecimal) { return commonNumeric(a, b) }
        return decimal(a.decimalShape!, b.decimalShape!)
    }
}

/// Result types of DECIMAL arithmetic, as in Flink.
public enum DecimalTypes {
    public typealias Shape = (precision: Int, scale: Int)

    public static func sum(_ a: Shape, _ b: Shape) -> DataType {
        let scale = max(a.scale, b.scale)
        return adjusted(max(a.precision - a.scale, b.precision - b.scale) + scale + 1, scale)
    }

    public static func product(_ a: Shape, _ b: Shape) -> DataType {
        adjusted(a.precision + b.precision + 1, a.scale + b.scale)
    }

    public static func quotient(_ a: Shape, _ b: Shape) -> DataType {
        let scale = max(6, a.scale + b.precision + 1)
        return adjusted(a.precision - a.scale + b.scale + scale, scale)
    }

    public static func remainder(_ a: Shape, _ b: Shape) -> DataType {
        let scale = max(a.scale, b.scale)
        return adjusted(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)
    }

    /// Beyond 38 digits the integer part is kept and the scale gives way, down to 6 digits.
    public static func adjusted(_ precision: Int, _ scale: Int) -> DataType {
        if precision <= 38 { return .decimal(precision: precision, scale: scale) }
        return .decimal(precision: 38, scale: max(38 - (precision - scale), min(scale, 6)))
    }
}
