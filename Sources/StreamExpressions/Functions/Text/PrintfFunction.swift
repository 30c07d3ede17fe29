import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// PRINTF, with the conversions of java.util.Formatter. A format that does not fit its arguments gives null.
extension FunctionRegistry {
    mutating func registerPrintf() {
        register("PRINTF") { args, _ in
            guard !args.isEmpty else { throw Binding.arityError("PRINTF", given: 0, least: 1, most: .max, names: ["format", "value"]) }
            let format = try Binding.arguments("PRINTF", [args[0]], [.text("format")])
            let prepared = Binding.constantText(format[0]).map { PrintfFormat($0) }
            let types = args.dropFirst().map(\.type)
            return Binding.callLenient("PRINTF", .string, format + args.dropFirst()) { args, rows, _ in
                let formats = args[0], text = args[0].text, values = Array(args.dropFirst())
                return rows.text(.string) { row, out in
                    guard formats.isValid(row), let format = prepared ?? PrintfFormat(text[row].string),
                          format.append(values.map { $0.value(at: row) }, types, to: &out) else { return out.setNull() }
                }
            }
        }
    }
}

/// A format, cut into literal text and conversions such as `%-10.2f`.
struct PrintfFormat: Sendable {
    private enum Part: Sendable {
        case text(String)
        case conversion(Conversion)
    }

    private struct Conversion: Sendable {
        var argument: Int?
        var flags: Set<Character> = []
        var width = 0
        var precision: Int?
        var letter: Character = "s"
    }

    private var parts: [Part] = []

    /// Wider results are refused.
    private static let maxWidth = 10_000

    init?(_ format: String) {
        let f = Array(format)
        var i = 0, text = ""
        func number() -> Int? {
            var value: Int?
            while i < f.count, f[i].isASCII, let digit = f[i].wholeNumberValue, (value ?? 0) < 1_000_000 {
                value = (value ?? 0) * 10 + digit
                i += 1
            }
            return value
        }
        while i < f.count {
            if f[i] != "%" {
                text.append(f[i])
                i += 1
                continue
            }
            i += 1
            var conversion = Conversion()
            let mark = i
            if i < f.count, f[i] != "0", let n = number(), i < f.count, f[i] == "$" {
                conversion.argument = n
                i += 1
            } else {
                i = mark
            }
            while i < f.count, "-+ 0,(#".contains(f[i]) {
                conversion.flags.insert(f[i])
                i += 1
            }
            conversion.width = number() ?? 0
            if i < f.count, f[i] == "." {
                i += 1
                guard let precision = number() else { return nil }
                conversion.precision = precision
            }
            guard i < f.count, "sSdxXobBcfeE%n".contains(f[i]), conversion.width <= Self.maxWidth, (conversion.precision ?? 0) <= 30 || "sS".contains(f[i]) else { return nil }
            conversion.letter = f[i]
            i += 1
            if !text.isEmpty { parts.append(.text(text)) }
            text = ""
            parts.append(.conversion(conversion))
        }
        if !text.isEmpty { parts.append(.text(text)) }
    }

    /// False when a value is missing or of the wrong type.
    func append(_ values: [Value], _ types: [DataType], to out: inout TextSink) -> Bool {
        var next = 0
        for part in parts {
            switch part {
            case .text(let text): out.append(string: text)
            case .conversion(let conversion):
                var shown: String
                switch conversion.letter {
                case "%": shown = "%"
                case "n": shown = "\n"
                default:
                    let index = conversion.argument.map { $0 - 1 } ?? next
                    if conversion.argument == nil { next += 1 }
                    guard values.indices.contains(index), let text = Self.format(values[index], types[index], conversion) else { return false }
                    shown = text
                }
                let missing = conversion.width - shown.unicodeScalars.count
                if missing > 0 {
                    let blanks = String(repeating: " ", count: missing)
                    shown = conversion.flags.contains("-") ? shown + blanks : blanks + shown
                }
                out.append(string: shown)
            }
        }
        return true
    }

    private static func format(_ value: Value, _ type: DataType, _ c: Conversion) -> String? {
        if value == .null { return c.letter == "b" || c.letter == "B" ? "false" : cut(c.letter == "S" ? "NULL" : "null", c) }
        switch c.letter {
        case "s", "S":
            guard let text = text(value, type) else { return nil }
            return cut(c.letter == "S" ? text.uppercased() : text, c)
        case "b", "B":
            var text = "true"
            if case .bool(let b) = value { text = b ? "true" : "false" }
            return cut(c.letter == "B" ? text.uppercased() : text, c)
        case "c":
            guard case .int(let n) = value, let scalar = UInt32(exactly: n).flatMap({ Unicode.Scalar($0) }) else { return nil }
            return String(scalar)
        case "d":
            guard case .int(let n) = value, type.isInteger else { return nil }
            return signed(String(n.magnitude), negative: n < 0, c)
        case "x", "X", "o":
            guard case .int(let n) = value, type.isInteger else { return nil }
            let bits = type.width == 8 ? UInt64(bitPattern: n) : UInt64(UInt32(truncatingIfNeeded: n))
            let digits = String(bits, radix: c.letter == "o" ? 8 : 16, uppercase: c.letter == "X")
            return c.flags.contains("0") ? String(repeating: "0", count: max(0, c.width - digits.count)) + digits : digits
        default:
            let x: Double
            switch value {
            case .double(let d): x = d
            case .float(let f): x = Double(f)
            default: return nil
            }
            guard x.isFinite else { return x.isNaN ? "NaN" : x < 0 ? "-Infinity" : c.flags.contains("+") ? "+Infinity" : "Infinity" }
            let digits = c.letter == "f" ? fixed(x.magnitude, c.precision ?? 6) : printed(x.magnitude, c)
            return signed(digits, negative: x.sign == .minus, c)
        }
    }

    private static func cut(_ text: String, _ c: Conversion) -> String { c.precision.map { String(text.prefix($0)) } ?? text }

    /// The value as `%s` shows it; dates and times by their numbers, as Flink does.
    private static func text(_ value: Value, _ type: DataType) -> String? {
        switch (value, type) {
        case (.bool(let b), _): b ? "true" : "false"
        case (.int(let n), _): String(n)
        case (.float(let f), _): NumberText.string(f)
        case (.double(let d), _): NumberText.string(d)
        case (.decimal(let d), .decimal(_, let scale)): NumberText.string(decimal: d, scale: scale)
        case (.string(let s), _): s
        default: nil
        }
    }

    /// Rounds half up, by the shortest decimal text of the number.
    private static func fixed(_ x: Double, _ places: Int) -> String {
        let text = Array(NumberText.string(x).utf8)
        if let value = text.withUnsafeBytes({ NumberText.parseDecimal($0, precision: 38, scale: places) }) { return NumberText.string(decimal: value, scale: places) }
        return printed(x, Conversion(precision: places, letter: "f"))
    }

    private static func printed(_ x: Double, _ c: Conversion) -> String {
        var buffer = [CChar](repeating: 0, count: 400)
        let n = withVaList([x]) { vsnprintf(&buffer, buffer.count, "%.\(c.precision ?? 6)\(c.letter)", $0) }
        return String(decoding: buffer.prefix(max(0, min(Int(n), buffer.count - 1))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Sign, grouping and leading zeros.
    private static func signed(_ digits: String, negative: Bool, _ c: Conversion) -> String {
        var body = digits
        if c.flags.contains(","), let whole = body.split(separator: ".").first.map(String.init) {
            var grouped = ""
            for (i, digit) in whole.enumerated() {
                if i > 0, (whole.count - i) % 3 == 0 { grouped.append(",") }
                grouped.append(digit)
            }
            body = grouped + body.dropFirst(whole.count)
        }
        let brackets = negative && c.flags.contains("(")
        let sign = brackets ? "(" : negative ? "-" : c.flags.contains("+") ? "+" : c.flags.contains(" ") ? " " : ""
        if c.flags.contains("0") { body = String(repeating: "0", count: max(0, c.width - body.count - sign.count - (brackets ? 1 : 0))) + body }
        return sign + body + (brackets ? ")" : "")
    }
}
