import StreamCore

enum ArithmeticOperation: String, CaseIterable, Sendable {
    case add = "+", subtract = "-", multiply = "*", divide = "/", remainder = "%"

    func resultType(_ a: DataType, _ b: DataType) -> DataType {
        switch self {
        case .add, .subtract: TypeCoercion.additive(a, b)
        case .multiply: TypeCoercion.product(a, b)
        case .divide: TypeCoercion.quotient(a, b)
        case .remainder: TypeCoercion.remainder(a, b)
        }
    }
}

/// Kernels for numbers. Integers wrap; DOUBLE follows IEEE 754; a DECIMAL that does not fit its type is null.
enum Arithmetic {
    static func divisionByZero(_ operation: ArithmeticOperation) -> StreamError {
        StreamError(.runtime, "Division by zero in an integer or DECIMAL \(operation.rawValue)",
                    fix: "guard it with NULLIF(divisor, 0) or CASE, or cast to DOUBLE")
    }

    /// Both arguments have type `type`, which is an integer type, FLOAT or DOUBLE.
    static func body(_ operation: ArithmeticOperation, _ type: DataType) -> KernelBody {
        switch type.physical {
        case .int8: integer(operation, Int8.self, type)
        case .int16: integer(operation, Int16.self, type)
        case .int32: integer(operation, Int32.self, type)
        case .int64: integer(operation, Int64.self, type)
        case .float: floating(operation, Float.self, type)
        default: floating(operation, Double.self, type)
        }
    }

    private static func integer<T: FixedWidthInteger & SignedInteger & BitwiseCopyable & SendableMetatype>(_ operation: ArithmeticOperation, _: T.Type, _ type: DataType) -> KernelBody {
        switch operation {
        case .add: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a &+ b } }
        case .subtract: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a &- b } }
        case .multiply: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a &* b } }
        // The smallest value over -1 wraps to itself; the machine's instruction would trap.
        case .divide: { args, rows, _ in try checked(operation, type, args, rows) { (a: T, b: T) in b == -1 ? 0 &- a : a / b } }
        case .remainder: { args, rows, _ in try checked(operation, type, args, rows) { (a: T, b: T) in b == -1 ? 0 : a % b } }
        }
    }

    @inline(__always)
    private static func checked<T: FixedWidthInteger & BitwiseCopyable>(_ operation: ArithmeticOperation, _ type: DataType, _ args: [Column],
                                                                        _ rows: RowSet, _ compute: (T, T) -> T) throws -> Column {
        let a = args[0].vector(T.self), b = args[1].vector(T.self)
        if let divisor = b.constant, divisor != 0 { return rows.fixed(type) { compute(a[$0], divisor) } }
        return try rows.fixed(type) { row -> T in
            let divisor = b[row]
            if divisor == 0 { throw divisionByZero(operation) }
            return compute(a[row], divisor)
        }
    }

    private static func floating<T: BinaryFloatingPoint & BitwiseCopyable & SendableMetatype>(_ operation: ArithmeticOperation, _: T.Type, _ type: DataType) -> KernelBody {
        switch operation {
        case .add: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a + b } }
        case .subtract: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a - b } }
        case .multiply: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a * b } }
        case .divide: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a / b } }
        case .remainder: { args, rows, _ in Elementwise.zip(type, args[0], args[1], rows, as: T.self, T.self) { a, b -> T in a.truncatingRemainder(dividingBy: b) } }
        }
    }

    /// DECIMAL operands of scales `s` and `t`, result `DECIMAL(precision, scale)`.
    static func decimal(_ operation: ArithmeticOperation, scales s: Int, _ t: Int, precision: Int, scale: Int) -> KernelBody {
        let type = DataType.decimal(precision: precision, scale: scale)
        switch operation {
        case .add, .subtract:
            let negate = operation == .subtract
            if s == scale && t == scale {
                return decimal(type, precision) { a, b in
                    let (sum, overflow) = negate ? a.subtractingReportingOverflow(b) : a.addingReportingOverflow(b)
                    return overflow ? nil : sum
                }
            }
            return decimal(type, precision) { a, b in DecimalMath.add(a, scale: s, negate ? -b : b, scale: t, to: scale) }
        case .multiply:
            return decimal(type, precision) { a, b in DecimalMath.multiply(a, b, drop: s + t - scale) }
        case .divide:
            return decimal(type, precision) { a, b in
                if b == 0 { throw divisionByZero(operation) }
                return DecimalMath.divide(a, b, shift: scale - s + t)
            }
        case .remainder:
            return decimal(type, precision) { a, b in
                if b == 0 { throw divisionByZero(operation) }
                return DecimalMath.remainder(a, scale: s, b, scale: t).flatMap { DecimalMath.rescale($0, from: max(s, t), to: scale) }
            }
        }
    }

    @inline(__always)
    private static func decimal(_ type: DataType, _ precision: Int, _ compute: @escaping @Sendable (Int128, Int128) throws -> Int128?) -> KernelBody {
        { args, rows, _ in
            let a = args[0].vector(Int128.self), b = args[1].vector(Int128.self)
            return try rows.fixedOrNull(type) { row -> Int128? in
                guard let value = try compute(a[row], b[row]), DecimalMath.fits(value, precision: precision) else { return nil }
                return value
            }
        }
    }

    /// `-a`, of the same type.
    static func negation(_ type: DataType) -> KernelBody {
        func integer<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: T.self) { a -> T in 0 &- a } }
        }
        func floating<T: BinaryFloatingPoint & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: T.self) { a -> T in -a } }
        }
        return switch type.physical {
        case .int8: integer(Int8.self)
        case .int16: integer(Int16.self)
        case .int32: integer(Int32.self)
        case .int64: integer(Int64.self)
        case .int128: integer(Int128.self)
        case .float: floating(Float.self)
        default: floating(Double.self)
        }
    }
}
