import StreamCore
import Synchronization
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Functions of DOUBLEs, ABS, SIGN and random numbers.
extension FunctionRegistry {
    mutating func registerMathFunctions() {
        defineDouble("SQRT") { sqrt($0) }
        defineDouble("LN") { log($0) }
        defineDouble("LOG10") { log10($0) }
        defineDouble("LOG2") { log($0) / log(2) }
        defineDouble("EXP") { exp($0) }
        defineDouble("SIN") { sin($0) }
        defineDouble("COS") { cos($0) }
        defineDouble("TAN") { tan($0) }
        defineDouble("COT") { 1 / tan($0) }
        defineDouble("ASIN") { asin($0) }
        defineDouble("ACOS") { acos($0) }
        defineDouble("ATAN") { atan($0) }
        defineDouble("SINH") { sinh($0) }
        defineDouble("COSH") { cosh($0) }
        defineDouble("TANH") { tanh($0) }
        defineDouble("DEGREES") { $0 * (180 / Double.pi) }
        defineDouble("RADIANS") { $0 * (Double.pi / 180) }
        defineDouble("POWER", "base", "exponent") { pow($0, $1) }
        defineDouble("ATAN2", "y", "x") { atan2($0, $1) }
        register("LOG") { args, _ in
            if args.count == 1 {
                let bound = try Binding.arguments("LOG", args, [.double("number")])
                return Binding.call("LOG", .double, bound) { args, rows, _ in
                    Elementwise.map(.double, args[0], rows, as: Double.self) { x -> Double in log(x) }
                }
            }
            let bound = try Binding.arguments("LOG", args, [.double("base"), .double("number")])
            return Binding.call("LOG", .double, bound) { args, rows, _ in
                Elementwise.zip(.double, args[0], args[1], rows, as: Double.self, Double.self) { base, x -> Double in log(x) / log(base) }
            }
        }
        for (name, value) in [("PI", Double.pi), ("E", M_E)] {
            register(name) { args, _ in
                guard args.isEmpty else { throw Binding.arityError(name, given: args.count, least: 0, most: 0, names: []) }
                return .literal(.double(value), .double)
            }
        }
        define("ABS", takes: [.numeric("number")], result: { $0[0].type }) { _, type in MathKernels.absolute(type) }
        define("SIGN", takes: [.numeric("number")], result: { $0[0].type }) { _, type in MathKernels.sign(type) }
        registerRandom()
    }

    /// A function of one DOUBLE. The closure is inlined into the loop's caller once per batch, not called through an existential.
    private mutating func defineDouble(_ name: String, _ function: @escaping @Sendable (Double) -> Double) {
        define(name, takes: [.double("number")], returns: .double) { args, rows, _ in
            Elementwise.map(.double, args[0], rows, as: Double.self, function)
        }
    }

    private mutating func defineDouble(_ name: String, _ first: String, _ second: String, _ function: @escaping @Sendable (Double, Double) -> Double) {
        define(name, takes: [.double(first), .double(second)], returns: .double) { args, rows, _ in
            Elementwise.zip(.double, args[0], args[1], rows, as: Double.self, Double.self, function)
        }
    }

    private mutating func registerRandom() {
        register("RAND") { args, _ in
            let bound = try Binding.arguments("RAND", args, [.int("seed")], optional: 1)
            let random = RandomSource(bound.first)
            return Binding.callLenient("RAND", .double, bound, isDeterministic: false) { args, rows, _ in
                random.withGenerator(args.first) { generator in rows.fixed(.double) { _ in generator.nextDouble() } }
            }
        }
        register("RAND_INTEGER") { args, _ in
            let names: [Parameter] = args.count == 1 ? [.int("bound")] : [.int("seed"), .int("bound")]
            let bound = try Binding.arguments("RAND_INTEGER", args, names)
            let random = RandomSource(bound.count == 2 ? bound[0] : nil)
            return Binding.callLenient("RAND_INTEGER", .int, bound, isDeterministic: false) { args, rows, _ in
                let limits = args[args.count - 1], limit = limits.vector(Int32.self)
                return try random.withGenerator(args.count == 2 ? args[0] : nil) { generator in
                    try rows.fixedOrNull(.int) { row -> Int32? in
                        guard limits.isValid(row) else { return nil }
                        guard limit[row] > 0 else {
                            throw StreamError(.runtime, "RAND_INTEGER was given the bound \(limit[row])", fix: "give a bound above 0")
                        }
                        return generator.next(limit[row])
                    }
                }
            }
        }
    }
}

/// The generator of java.util.Random, so that a seed gives the numbers that it gives in Flink.
struct JavaRandom: Sendable {
    private var state: UInt64

    init(seed: Int64) { state = (UInt64(bitPattern: seed) ^ 0x5DEECE66D) & (1 << 48 - 1) }

    private mutating func bits(_ n: UInt64) -> Int32 {
        state = (state &* 0x5DEECE66D &+ 0xB) & (1 << 48 - 1)
        return Int32(truncatingIfNeeded: state >> (48 - n))
    }

    /// In 0..<1.
    mutating func nextDouble() -> Double {
        let high = Int64(bits(26)) << 27
        return Double(high + Int64(bits(27))) * 0x1p-53
    }

    /// In 0..<bound.
    mutating func next(_ bound: Int32) -> Int32 {
        if bound & (bound - 1) == 0 { return Int32(truncatingIfNeeded: Int64(bound) * Int64(bits(31)) >> 31) }
        while true {
            let value = bits(31), result = value % bound
            if value &- result &+ (bound - 1) >= 0 { return result }
        }
    }
}

/// The generator of one call in a statement; with a constant seed it goes on from batch to batch.
private final class RandomSource: Sendable {
    private let generator: Mutex<JavaRandom?>

    init(_ seed: Expr?) {
        guard let seed else {
            generator = Mutex(JavaRandom(seed: Int64.random(in: .min ... .max)))
            return
        }
        if case .int(let value)? = Binding.constant(seed) { generator = Mutex(JavaRandom(seed: value)) } else { generator = Mutex(nil) }
    }

    /// A seed that is no constant starts a generator with the first row's value.
    func withGenerator<R>(_ seeds: Column?, _ body: (inout JavaRandom) throws -> sending R) rethrows -> sending R {
        try generator.withLock { state in
            if state == nil {
                let seed = seeds.flatMap { $0.count > 0 && $0.isValid(0) ? Int64($0.vector(Int32.self)[0]) : nil }
                state = JavaRandom(seed: seed ?? 0)
            }
            return try body(&state!)
        }
    }
}

enum MathKernels {
    /// The least integer stays as it is: its negative does not fit.
    static func absolute(_ type: DataType) -> KernelBody {
        func integers<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: T.self) { x -> T in x < 0 ? 0 &- x : x } }
        }
        switch type.physical {
        case .int8: return integers(Int8.self)
        case .int16: return integers(Int16.self)
        case .int32: return integers(Int32.self)
        case .int64: return integers(Int64.self)
        case .float: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { x -> Float in x.magnitude } }
        case .double: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { x -> Double in x.magnitude } }
        default: return integers(Int128.self)
        }
    }

    /// -1, 0 or 1 in the argument's type.
    static func sign(_ type: DataType) -> KernelBody {
        func integers<T: FixedWidthInteger & BitwiseCopyable & SendableMetatype>(_: T.Type) -> KernelBody {
            { args, rows, _ in Elementwise.map(type, args[0], rows, as: T.self) { x -> T in x > 0 ? 1 : x < 0 ? 0 &- 1 : 0 } }
        }
        switch type.physical {
        case .int8: return integers(Int8.self)
        case .int16: return integers(Int16.self)
        case .int32: return integers(Int32.self)
        case .int64: return integers(Int64.self)
        case .float: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Float.self) { x -> Float in x > 0 ? 1 : x < 0 ? -1 : x } }
        case .double: return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Double.self) { x -> Double in x > 0 ? 1 : x < 0 ? -1 : x } }
        default:
            let (precision, scale) = type.decimalShape!
            let one = NumberText.int128PowersOfTen[scale]
            // A type without integer digits cannot hold a one.
            if scale >= precision {
                return { args, rows, _ in
                    let x = args[0].vector(Int128.self)
                    return rows.fixedOrNull(type) { row -> Int128? in x[row] == 0 ? 0 : nil }
                }
            }
            return { args, rows, _ in Elementwise.map(type, args[0], rows, as: Int128.self) { x -> Int128 in x > 0 ? one : x < 0 ? -one : 0 } }
        }
    }
}
