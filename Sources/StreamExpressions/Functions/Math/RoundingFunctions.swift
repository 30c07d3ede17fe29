import StreamCore

/// ROUND, TRUNCATE, and CEIL and FLOOR of numbers.
extension FunctionRegistry {
    mutating func registerRoundingFunctions() {
        for (name, mode) in [("ROUND", Rounding.halfUp), ("TRUNCATE", .down)] {
            register(name) { args, _ in
                let bound = try Binding.arguments(name, args, [.numeric("number"), .int("digits")], optional: 1)
                return Rounding.bind(name, mode, bound)
            }
        }
        for (name, mode) in [("CEIL", Rounding.up), ("CEILING", .up), ("FLOOR", .floor)] {
            register(name) { args, _ in
                if args.count == 2 { return try TimeFloor.bind(name, args, ceil: mode == .up) }
                let bound = try Binding.arguments(name, args, [.numeric("number")])
                if bound[0].type.isInteger { return bound[0] }
                return Rounding.bind(name, mode, bound)
            }
        }
    }
}

/// Rounding to a number of decimal digits.
enum Rounding: Sendable {
    /// Away from zero on a tie.
    case halfUp
    case down, up, floor

    static func bind(_ name: String, _ mode: Rounding, _ args: [Expr]) -> Expr {
        let type = args[0].type
        var digits: Int? = args.count == 1 ? 0 : nil
        if args.count == 2, case .int(let n)? = Binding.constant(args[1]) { digits = Int(n) }
        switch type {
        case .decimal(let precision, let scale):
            let result: DataType
            if let digits {
                if digits >= scale, mode == .halfUp || mode == .down { return args[0] }
                let shown = min(max(digits, 0), scale)
                result = mode == .up || mode == .floor
                    ? .decimal(precision: precision, scale: 0)
                    : .decimal(precision: min(38, 1 + precision - scale + shown), scale: shown)
            } else {
                result = .decimal(precision: precision, scale: scale)
            }
            return Binding.call(name, result, args, decimal(mode, scale: scale, result))
        case .float, .double:
            if (mode == .up || mode == .floor) && args.count == 1 { return Binding.call(name, type, args, whole(mode, type)) }
            return Binding.call(name, type, args, type == .float ? floating(mode, Float.self, type) : floating(mode, Double.self, type))
        case .tinyint: return Binding.call(name, type, args, integers(mode, Int8.self, type))
        case .smallint: return Binding.call(name, type, args, integers(mode, Int16.self, type))
        case .int: return Binding.call(name, type, args, integers(mode, Int32.self, type))
        default: return Binding.call(name, type, args, integers(mode, Int64.self, type))
        }
    }

    private static func digits(_ args: [Column]) -> Vector<Int32>? { args.count > 1 ? args[1].vector(Int32.self) : nil }

    /// The unscaled value with its last `drop` digits rounded away; still at the old scale's step of 10^drop.
    @inline(__always)
    func quotient(_ value: Int128, drop: Int) -> Int128 {
        if drop > 38 { return self == .floor && value < 0 ? -1 : self == .up && value > 0 ? 1 : 0 }
        let divisor = NumberText.int128PowersOfTen[drop]
        let (q, r) = value.quotientAndRemainder(dividingBy: divisor)
        switch self {
        case .down: return q
        case .floor: return r < 0 ? q - 1 : q
        case .up: return r > 0 ? q + 1 : q
        case .halfUp: return r.magnitude >= divisor.magnitude - r.magnitude && r != 0 ? (value < 0 ? q - 1 : q + 1) : q
        }
    }

    /// A result that has too many digits for its type is null.
    private static func decimal(_ mode: Rounding, scale: Int, _ result: DataType) -> KernelBody {
        let (precision, to) = result.decimalShape!
        return { args, rows, _ in
            let x = args[0].vector(Int128.self), digits = digits(args)
            return rows.fixedOrNull(result) { row -> Int128? in
                let places = digits.map { Int($0[row]) } ?? 0
                if places >= scale { return DecimalMath.rescale(x[row], from: scale, to: to).flatMap { DecimalMath.fits($0, precision: precision) ? $0 : nil } }
                let q = mode.quotient(x[row], drop: scale - places)
                // Back to the result's scale: 10^places units become 10^to.
                guard let value = DecimalMath.rescale(q, from: 0, to: to - places), DecimalMath.fits(value, precision: precision) else { return nil }
                return value
            }
        }
    }

    /// Rounding in front of the point; a result that does not fit wraps around, as in Flink.
    private static func integers<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_ mode: Rounding, _: T.Type, _ type: DataType) -> KernelBody {
        { args, rows, _ in
            let x = args[0].vector(T.self), digits = digits(args)
            return rows.fixed(type) { row -> T in
                let places = digits.map { Int($0[row]) } ?? 0
                if places >= 0 { return x[row] }
                if places < -20 { return 0 }
                return T(truncatingIfNeeded: mode.quotient(Int128(x[row]), drop: -places) &* NumberText.int128PowersOfTen[-places])
            }
        }
    }

    private static func whole(_ mode: Rounding, _ type: DataType) -> KernelBody {
        switch (type, mode) {
        case (.float, .up): { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { x -> Float in x.rounded(.up) } }
        case (.float, _): { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { x -> Float in x.rounded(.down) } }
        case (_, .up): { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { x -> Double in x.rounded(.up) } }
        default: { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { x -> Double in x.rounded(.down) } }
        }
    }

    private static func floating<T: BinaryFloatingPoint & BitwiseCopyable & SendableMetatype>(_ mode: Rounding, _: T.Type, _ type: DataType) -> KernelBody {
        { args, rows, _ in
            let x = args[0].vector(T.self), digits = digits(args)
            // A FLOAT is rounded by the digits of the DOUBLE that equals it, as in Flink.
            return rows.fixed(type) { row -> T in T(mode.rounded(Double(x[row]), to: digits.map { Int($0[row]) } ?? 0)) }
        }
    }

    private static let powers: [Double] = (0...22).reduce(into: []) { powers, n in powers.append(n == 0 ? 1 : powers[n - 1] * 10) }

    /// Rounds the shortest decimal number that stands for `x`, as Flink does: 1.005 to two digits is 1.01.
    func rounded(_ x: Double, to places: Int) -> Double {
        guard x.isFinite else { return x }
        if places >= 0, places <= 15 {
            // Well away from a tie, binary arithmetic gives the same; one division of whole numbers is rounded once.
            let scaled = x.magnitude * Self.powers[places]
            if scaled < 0x1p50 {
                let below = scaled.rounded(.down), rest = scaled - below
                let isClear = self == .halfUp ? (rest - 0.5).magnitude > 1e-3 : rest > 1e-3 && rest < 1 - 1e-3
                if isClear {
                    let whole = self == .halfUp && rest > 0.5 ? below + 1 : below
                    let result = whole / Self.powers[places]
                    return x < 0 && whole != 0 ? -result : result
                }
            }
        }
        return exact(x, to: places)
    }

    @inline(never)
    private func exact(_ x: Double, to places: Int) -> Double {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: NumberText.capacity) { out in
            let n = NumberText.write(x, to: out.baseAddress!)
            var value = UInt64(0), point: Int?, exponent = 0, i = 0
            let negative = out[0] == UInt8(ascii: "-")
            if negative { i = 1 }
            // At most 17 digits, so that they fit.
            while i < n, out[i] != UInt8(ascii: "E") {
                if out[i] == UInt8(ascii: ".") { point = i } else { value = value * 10 + UInt64(out[i] - 48) }
                i += 1
            }
            let scale = point.map { i - $0 - 1 } ?? 0
            if i < n { exponent = Int(NumberText.parseInt64(UnsafeRawBufferPointer(start: out.baseAddress! + i + 1, count: n - i - 1)) ?? 0) }
            // x = value * 10^(exponent - scale).
            let drop = scale - exponent - places
            if drop <= 0 { return x }
            let signed = negative ? -Int128(value) : Int128(value)
            let q = quotient(signed, drop: drop)
            if q == 0 { return 0 }
            let text = "\(q)E\(-places)"
            return text.utf8.withContiguousStorageIfAvailable { NumberText.parseDouble(UnsafeRawBufferPointer($0)) ?? x } ?? x
        }
    }
}
