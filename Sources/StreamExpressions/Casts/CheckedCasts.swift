import StreamCore

/// Casts of numbers for a sink: what CAST would wrap, saturate or turn into null fails instead, with the value.
public enum CheckedCasts {
    /// - Returns: nil when no value of the expression's type can be lost by a plain CAST, or when the types are not both numbers.
    public static func cast(_ expr: Expr, to type: DataType, column: String) -> Expr? {
        let from = expr.type
        guard from.isNumeric, type.isNumeric, from != type else { return nil }
        @Sendable func failure(_ value: Column, _ row: Int) -> StreamError {
            StreamError(.runtime, "\(value.shown(at: row)) does not fit \(column) \(type)",
                        fix: "declare \(column) as \(from), or write CAST(... AS \(type)) for Flink's conversion of such values")
        }
        func integers<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: T.Type) -> Expr? {
            let body: KernelBody
            switch from {
            case .tinyint: return nil
            case .smallint: body = narrowed(Int16.self)
            case .int: body = narrowed(Int32.self)
            case .bigint: body = narrowed(Int64.self)
            case .float: body = truncated(Float.self)
            case .double: body = truncated(Double.self)
            case .decimal(_, let scale):
                let divisor = DecimalMath.power(scale)
                body = { args, rows, _ in
                    let a = args[0].vector(Int128.self)
                    return try rows.fixed(type) { row -> T in
                        guard let value = T(exactly: a[row] / divisor) else { throw failure(args[0], row) }
                        return value
                    }
                }
            default: return nil
            }
            func narrowed<S: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: S.Type) -> KernelBody {
                { args, rows, _ in
                    let a = args[0].vector(S.self)
                    return try rows.fixed(type) { row -> T in
                        guard let value = T(exactly: a[row]) else { throw failure(args[0], row) }
                        return value
                    }
                }
            }
            func truncated<S: BinaryFloatingPoint & BitwiseCopyable & SendableMetatype>(_: S.Type) -> KernelBody {
                { args, rows, _ in
                    let a = args[0].vector(S.self)
                    return try rows.fixed(type) { row -> T in
                        guard let value = T(exactly: a[row].rounded(.towardZero)) else { throw failure(args[0], row) }
                        return value
                    }
                }
            }
            return Binding.call("CAST TO \(type)", type, [expr], body)
        }
        switch type {
        case .tinyint: return integers(Int8.self)
        case .smallint: return from == .tinyint ? nil : integers(Int16.self)
        case .int: return from == .tinyint || from == .smallint ? nil : integers(Int32.self)
        case .bigint: return from == .tinyint || from == .smallint || from == .int ? nil : integers(Int64.self)
        case .decimal:
            // A DECIMAL cast gives null for what does not fit.
            return Binding.callLenient("CAST TO \(type)", type, [.cast(expr, to: type, safe: false), expr]) { args, rows, _ in
                try rows.forEach { row in
                    if !args[0].isValid(row), args[1].isValid(row) { throw failure(args[1], row) }
                }
                return args[0]
            }
        default: return nil
        }
    }
}
