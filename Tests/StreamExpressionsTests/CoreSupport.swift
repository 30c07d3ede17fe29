import StreamCore
import Testing
@testable import StreamExpressions

/// Repeatable random numbers (SplitMix64).
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// Short forms for building and evaluating expressions.
enum SQL {
    static func call(_ name: String, _ args: Expr...) throws -> Expr { try FunctionRegistry.builtin.bind(name, args) }
    static func int(_ v: Int64) -> Expr { .literal(.int(v), .int) }
    static func bigint(_ v: Int64) -> Expr { .literal(.int(v), .bigint) }
    static func double(_ v: Double) -> Expr { .literal(.double(v), .double) }
    static func text(_ v: String) -> Expr { .literal(.string(v), .char(v.unicodeScalars.count)) }
    static func bool(_ v: Bool?) -> Expr { .literal(v.map { .bool($0) } ?? .null, .boolean) }
    static let null = Expr.literal(.null, .null)

    /// A DECIMAL literal with the type that its digits have.
    static func decimal(_ text: String) -> Expr {
        let digits = text.filter(\.isNumber).drop { $0 == "0" }.count
        let scale = text.split(separator: ".").dropFirst().first?.count ?? 0
        return decimal(text, max(digits, scale, 1), scale)
    }

    static func decimal(_ text: String, _ precision: Int, _ scale: Int) -> Expr {
        let value = Array(text.utf8).withUnsafeBytes { NumberText.parseDecimal($0, precision: precision, scale: scale)! }
        return .literal(.decimal(value), .decimal(precision: precision, scale: scale))
    }

    static func cast(_ e: Expr, _ type: DataType) -> Expr { .cast(e, to: type, safe: false) }
    static func tryCast(_ e: Expr, _ type: DataType) -> Expr { .cast(e, to: type, safe: true) }

    /// The value as CAST AS STRING shows it; nil for null.
    static func show(_ e: Expr, timeZone: String = "UTC") throws -> String? {
        let context = EvaluationContext(timeZone: timeZone, now: { 0 })
        let text = try Evaluator.evaluateConstant(.cast(e, to: .string, safe: false), context: context)
        switch text {
        case .string(let s): return s
        case .null: return nil
        default: Issue.record("CAST AS STRING gave \(text)"); return nil
        }
    }

    static func value(_ e: Expr, timeZone: String = "UTC") throws -> Value {
        try Evaluator.evaluateConstant(e, context: EvaluationContext(timeZone: timeZone, now: { 0 }))
    }
}

/// The error that `body` throws, as text; nil when it throws none.
func errorText(_ body: () throws -> Void) -> String? {
    do {
        try body()
        return nil
    } catch { return "\(error)" }
}

func errorCode(_ body: () throws -> Void) -> StreamError.Code? {
    do {
        try body()
        return nil
    } catch { return (error as? StreamError)?.code }
}

/// How the values of a test column are stored.
enum Encoding: CaseIterable { case plain, dictionary, constant }

extension Column {
    /// A column of these values in an encoding; `.constant` takes the first value.
    static func make(_ values: [Value], _ type: DataType, _ encoding: Encoding = .plain) -> Column {
        switch encoding {
        case .plain:
            let builder = ColumnBuilder(type: type, capacity: max(values.count, 1))
            for v in values { builder.append(v) }
            return builder.finish()
        case .constant: return .constant(values.first ?? .null, type: type, count: values.count)
        case .dictionary:
            var entries: [Value] = [], codes: [Int32] = []
            let validity = Bitmap.make(values.count, valid: true)
            for (row, v) in values.enumerated() {
                if v == .null {
                    Bitmap.clear(validity.base, row)
                    codes.append(0)
                } else if let i = entries.firstIndex(of: v) {
                    codes.append(Int32(i))
                } else {
                    codes.append(Int32(entries.count))
                    entries.append(v)
                }
            }
            if entries.isEmpty { return .nulls(type: type, count: values.count) }
            return Column(type: type, count: values.count, validity: values.contains(.null) ? validity : nil,
                          values: codes.withUnsafeBytes { Buffer(copying: $0) }, dictionary: make(entries, type))
        }
    }
}
