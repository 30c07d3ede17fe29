import StreamCore

/// Casts to BOOLEAN and to numbers.
enum NumberCasts {
    static func toBoolean(_ mode: Casts.Mode) -> KernelBody? {
        func nonZero<T: Numeric & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(.boolean, args[0], rows, as: T.self) { a -> UInt8 in a != 0 ? 1 : 0 } }
        }
        switch mode.from {
        case .tinyint: return nonZero(Int8.self)
        case .smallint: return nonZero(Int16.self)
        case .int: return nonZero(Int32.self)
        case .bigint: return nonZero(Int64.self)
        case .float: return nonZero(Float.self)
        case .double: return nonZero(Double.self)
        case .decimal: return nonZero(Int128.self)
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.cast(mode, args[0]) { row -> UInt8? in parseBoolean(text[row].trimmed).map { $0 ? 1 : 0 } }
            }
        default: return nil
        }
    }

    /// true, t, yes, y, 1 and false, f, no, n, 0, in any case.
    static func parseBoolean(_ text: UnsafeRawBufferPointer) -> Bool? {
        guard (1...5).contains(text.count) else { return nil }
        func matches(_ word: StaticString) -> Bool {
            guard word.utf8CodeUnitCount == text.count else { return false }
            for i in 0..<text.count {
                let c = text[i]
                if (c >= 0x41 && c <= 0x5A ? c | 0x20 : c) != word.utf8Start[i] { return false }
            }
            return true
        }
        if matches("true") || matches("t") || matches("yes") || matches("y") || matches("1") { return true }
        if matches("false") || matches("f") || matches("no") || matches("n") || matches("0") { return false }
        return nil
    }

    static func toInteger<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_ mode: Casts.Mode, _: T.Type) -> KernelBody? {
        let type = mode.to
        func narrowed<S: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: S.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: S.self) { a -> T in T(truncatingIfNeeded: a) } }
        }
        switch mode.from {
        case .tinyint: return narrowed(Int8.self)
        case .smallint: return narrowed(Int16.self)
        case .int: return narrowed(Int32.self)
        case .bigint: return narrowed(Int64.self)
        case .float:
            return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { a -> T in saturated(Double(a)) } }
        case .double:
            return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { a -> T in saturated(a) } }
        case .decimal(_, let scale):
            let divisor = DecimalMath.power(scale)
            return { args, rows, _ in
                let a = args[0].vector(Int128.self)
                return rows.fixed(type) { T(truncatingIfNeeded: a[$0] / divisor) }
            }
        case .boolean:
            return { args, rows, _ in Elementwise.map(type, args[0], rows, as: UInt8.self) { a -> T in T(a & 1) } }
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.cast(mode, args[0]) { row -> T? in parseInteger(text[row].trimmed).flatMap { T(exactly: $0) } }
            }
        default: return nil
        }
    }

    /// Java's conversion: towards zero, saturated to 32 or 64 bits, then the low bits for smaller types.
    @inline(__always)
    private static func saturated<T: FixedWidthInteger>(_ value: Double) -> T {
        if value.isNaN { return 0 }
        if T.bitWidth == 64 {
            if value >= 9_223_372_036_854_775_808.0 { return T(truncatingIfNeeded: Int64.max) }
            if value < -9_223_372_036_854_775_808.0 { return T(truncatingIfNeeded: Int64.min) }
            return T(truncatingIfNeeded: Int64(value))
        }
        if value >= 2_147_483_647 { return T(truncatingIfNeeded: Int32.max) }
        if value <= -2_147_483_648 { return T(truncatingIfNeeded: Int32.min) }
        return T(truncatingIfNeeded: Int32(value))
    }

    /// Digits with a sign; digits behind a point are checked and dropped. No exponent.
    static func parseInteger(_ text: UnsafeRawBufferPointer) -> Int64? {
        var i = 0
        let n = text.count
        guard n > 0 else { return nil }
        let negative = text[0] == UInt8(ascii: "-")
        if negative || text[0] == UInt8(ascii: "+") { i = 1 }
        if i == n { return nil }
        var value: Int64 = 0, digits = 0
        while i < n, text[i] != UInt8(ascii: ".") {
            let digit = text[i] &- 0x30
            guard digit < 10 else { return nil }
            // Counted below zero, where there is room for one more.
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, underflow) = product.subtractingReportingOverflow(Int64(digit))
            if overflow || underflow { return nil }
            value = next
            digits += 1
            i += 1
        }
        while i + 1 < n {
            i += 1
            guard text[i] &- 0x30 < 10 else { return nil }
            digits += 1
        }
        guard digits > 0 else { return nil }
        return negative ? value : value == .min ? nil : -value
    }

    static func toFloating<T: BinaryFloatingPoint & BitwiseCopyable & SendableMetatype>(
        _ mode: Casts.Mode, _: T.Type, parse: @escaping @Sendable (UnsafeRawBufferPointer) -> T?
    ) -> KernelBody? {
        let type = mode.to
        func converted<S: BinaryInteger & BitwiseCopyable & SendableMetatype>(_: S.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: S.self) { a -> T in T(a) } }
        }
        switch mode.from {
        case .tinyint: return converted(Int8.self)
        case .smallint: return converted(Int16.self)
        case .int: return converted(Int32.self)
        case .bigint: return converted(Int64.self)
        case .float: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { a -> T in T(a) } }
        case .double: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { a -> T in T(a) } }
        case .boolean: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: UInt8.self) { a -> T in a & 1 == 0 ? 0 : 1 } }
        case .decimal(_, let scale):
            return { args, rows, _ in
                let a = args[0].vector(Int128.self)
                return rows.fixed(type) { T(DecimalMath.double(a[$0], scale: scale)) }
            }
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.cast(mode, args[0]) { row -> T? in parse(text[row].trimmed) }
            }
        default: return nil
        }
    }

    static func toDecimal(_ mode: Casts.Mode, precision: Int, scale: Int) -> KernelBody? {
        let type = mode.to
        func scaled<S: BinaryInteger & BitwiseCopyable & SendableMetatype>(_: S.Type) -> KernelBody {
            let factor = DecimalMath.power(scale), limit = DecimalMath.power(precision)
            // Decided once: whether every value of the integer type fits.
            let digits = MemoryLayout<S>.size == 1 ? 3 : MemoryLayout<S>.size == 2 ? 5 : MemoryLayout<S>.size == 4 ? 10 : 19
            if digits + scale <= precision {
                return { args, rows, _ in Elementwise.map(type, args[0], rows, as: S.self) { a -> Int128 in Int128(a) &* factor } }
            }
            return { args, rows, _ in
                let a = args[0].vector(S.self)
                return rows.fixedOrNull(type) { row -> Int128? in
                    let (value, overflow) = Int128(a[row]).multipliedReportingOverflow(by: factor)
                    return overflow || value.magnitude >= limit.magnitude ? nil : value
                }
            }
        }
        switch mode.from {
        case .tinyint: return scaled(Int8.self)
        case .smallint: return scaled(Int16.self)
        case .int: return scaled(Int32.self)
        case .bigint: return scaled(Int64.self)
        case .boolean:
            return { args, rows, _ in
                let a = args[0].vector(UInt8.self)
                return rows.fixedOrNull(type) { row -> Int128? in
                    let value = Int128(a[row] & 1) * DecimalMath.power(scale)
                    return DecimalMath.fits(value, precision: precision) ? value : nil
                }
            }
        case .float, .double:
            let single = mode.from == .float
            return { args, rows, _ in
                let a = single ? nil : args[0].vector(Double.self), f = single ? args[0].vector(Float.self) : nil
                return try rows.fixedOrNull(type) { row -> Int128? in
                    let value = single ? Double(f![row]) : a![row]
                    if !value.isFinite {
                        if mode.safe { return nil }
                        throw mode.failure(NumberText.string(value))
                    }
                    return fromDouble(value, precision: precision, scale: scale)
                }
            }
        case .decimal(_, let from):
            return { args, rows, _ in
                let a = args[0].vector(Int128.self)
                return rows.fixedOrNull(type) { row -> Int128? in
                    guard let value = DecimalMath.rescale(a[row], from: from, to: scale), DecimalMath.fits(value, precision: precision) else { return nil }
                    return value
                }
            }
        case .char, .varchar:
            return { args, rows, _ in
                let text = args[0].text
                return try rows.fixedOrNull(type) { row -> Int128? in
                    let digits = text[row].trimmed
                    if let value = NumberText.parseDecimal(digits, precision: precision, scale: scale) { return value }
                    // A number that is too large is null, as everywhere with DECIMAL; what is no number is an error.
                    if mode.safe || NumberText.parseDouble(digits)?.isFinite == true { return nil }
                    throw mode.failure(args[0].shown(at: row))
                }
            }
        default: return nil
        }
    }

    /// By way of the shortest decimal text, as Java's BigDecimal.valueOf.
    static func fromDouble(_ value: Double, precision: Int, scale: Int) -> Int128? {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: NumberText.capacity) { out in
            let n = NumberText.write(value, to: out.baseAddress!)
            return NumberText.parseDecimal(UnsafeRawBufferPointer(start: out.baseAddress!, count: n), precision: precision, scale: scale)
        }
    }
}
