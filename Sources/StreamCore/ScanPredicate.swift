/// A condition on one column of a scan. A source may use it to skip data; the query filters again.
public struct ScanPredicate: Hashable, Sendable {
    public enum Comparison: String, Sendable {
        case equal = "=", less = "<", lessOrEqual = "<=", greater = ">", greaterOrEqual = ">="
    }

    /// What must hold of the column's value. Constants are not NULL and have the column's type; those of FLOAT columns may be DOUBLE.
    public enum Condition: Hashable, Sendable {
        case compares(Comparison, Value)
        /// Equal to one of these.
        case isIn([Value])
        case isNull
        case isNotNull
    }

    /// Index into `TableDescriptor.schema`.
    public var column: Int
    public var condition: Condition
    public init(column: Int, _ condition: Condition) { (self.column, self.condition) = (column, condition) }

    /// The only values that the column can have; nil = not limited to some.
    public var values: [Value]? {
        switch condition {
        case .compares(.equal, let value): [value]
        case .isIn(let values): values
        default: nil
        }
    }
}

/// What is known of the values that a column has in some part of a table: a file, a row group, a page.
public struct ColumnBounds: Hashable, Sendable {
    /// No value is less than `lower` or greater than `upper`; they need not occur. NaN may occur beside them. nil = not known.
    public var lower: Value?, upper: Value?
    /// nil = not known.
    public var nulls: Int64?
    public var rows: Int64

    public init(lower: Value? = nil, upper: Value? = nil, nulls: Int64? = nil, rows: Int64) {
        self.lower = lower
        self.upper = upper
        self.nulls = nulls
        self.rows = rows
    }

    /// False only when the condition holds for none of the values.
    public func mayHold(_ condition: ScanPredicate.Condition) -> Bool {
        if rows == 0 { return false }
        switch condition {
        case .isNull: return nulls != 0
        case .isNotNull: return nulls != rows
        case .compares(let comparison, let value): return nulls != rows && mayHold(comparison, value)
        case .isIn(let values): return nulls != rows && values.contains { mayHold(.equal, $0) }
        }
    }

    private func mayHold(_ comparison: ScanPredicate.Comparison, _ value: Value) -> Bool {
        func least(_ holds: (Int) -> Bool) -> Bool { lower.flatMap { Self.order($0, value) }.map(holds) ?? true }
        func most(_ holds: (Int) -> Bool) -> Bool { upper.flatMap { Self.order($0, value) }.map(holds) ?? true }
        switch comparison {
        case .equal: return least { $0 <= 0 } && most { $0 >= 0 }
        case .less: return least { $0 < 0 }
        case .lessOrEqual: return least { $0 <= 0 }
        case .greater: return most { $0 > 0 }
        case .greaterOrEqual: return most { $0 >= 0 }
        }
    }

    /// Negative, zero or positive, as SQL compares; nil for values that have no order here, NaN among them. Text is compared by its bytes.
    public static func order(_ a: Value, _ b: Value) -> Int? {
        func number(_ value: Value) -> Double? {
            switch value {
            case .float(let x): Double(x)
            case .double(let x): x
            default: nil
            }
        }
        switch (a, b) {
        case (.bool(let x), .bool(let y)): return x == y ? 0 : x ? 1 : -1
        case (.decimal(let x), .decimal(let y)): return x < y ? -1 : x > y ? 1 : 0
        case (.binary(let x), .binary(let y)): return x == y ? 0 : x.lexicographicallyPrecedes(y) ? -1 : 1
        case (.float, _), (.double, _):
            guard let x = number(a), let y = number(b), !x.isNaN, !y.isNaN else { return nil }
            return x < y ? -1 : x > y ? 1 : 0
        default: return ValueRange.order(a, b)
        }
    }
}
