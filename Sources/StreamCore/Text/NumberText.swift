#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Text forms of numbers, as SQL and JSON in Flink read and write them.
///
/// Parsers take the whole text (no surrounding spaces) and return nil when it is not a number or does not fit. Writers put
/// ASCII at `out`, which has room for ``capacity`` bytes, and return how many they wrote.
public enum NumberText {
    /// No writer puts more than this many bytes.
    public static let capacity = 48

    // MARK: integers

    /// Decimal digits with an optional sign.
    public static func parseInt64(_ text: UnsafeRawBufferPointer) -> Int64? {
        var i = 0
        let negative = text.count > 0 && text[0] == UInt8(ascii: "-")
        if negative || (text.count > 0 && text[0] == UInt8(ascii: "+")) { i = 1 }
        guard i < text.count else { return nil }
        var value: Int64 = 0
        while i < text.count {
            let digit = text[i] &- 48
            guard digit < 10 else { return nil }
            let (scaled, o1) = value.multipliedReportingOverflow(by: 10)
            // Counted downwards when negative, so that the least value can be read.
            let (sum, o2) = negative ? scaled.subtractingReportingOverflow(Int64(digit)) : scaled.addingReportingOverflow(Int64(digit))
            guard !o1, !o2 else { return nil }
            value = sum
            i += 1
        }
        return value
    }

    public static func write(_ value: Int64, to out: UnsafeMutablePointer<UInt8>) -> Int {
        write(magnitude: value.magnitude, negative: value < 0, to: out)
    }

    @inline(__always)
    static func write(magnitude: UInt64, negative: Bool, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var n = 0
        if negative {
            out[0] = UInt8(ascii: "-")
            n = 1
        }
        let digits = digitCount(magnitude)
        var rest = magnitude, i = n + digits
        while i > n {
            i -= 1
            let (q, r) = rest.quotientAndRemainder(dividingBy: 10)
            out[i] = UInt8(truncatingIfNeeded: 48 + r)
            rest = q
        }
        return n + digits
    }

    static func digitCount(_ v: UInt64) -> Int {
        var n = 1
        var bound: UInt64 = 10
        while n < 20, v >= bound {
            n += 1
            let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
            if overflow { break }
            bound = next
        }
        return n
    }

    // MARK: floating point

    /// The double nearest to the text, ties to even. Also reads `NaN`, `Infinity`, `-Infinity` and `inf`, as CAST does in
    /// Flink (Java); text formats that know only plain numbers check that first. Numbers too large become infinite.
    public static func parseDouble(_ text: UnsafeRawBufferPointer) -> Double? {
        guard let parts = DecimalParts(text) else { return special(text) }
        if let fast = parts.exactDouble { return fast }
        return withTerminated(text) { strtod($0, nil) }
    }

    /// As ``parseDouble(_:)``, rounded once, straight to single precision.
    public static func parseFloat(_ text: UnsafeRawBufferPointer) -> Float? {
        guard DecimalParts(text) != nil else { return special(text).map { Float($0) } }
        return withTerminated(text) { strtof($0, nil) }
    }

    /// digits / 10^scale, correctly rounded, for up to 18 digits: 0 <= digits < 10^18, 0 <= scale <= 18.
    ///
    /// A 128-bit by 64-bit division gives at least 62 bits of the quotient; whether anything is left over is kept in the
    /// lowest, so that the conversion to floating point rounds as it would for the exact value.
    @inlinable
    public static func quotient<T: BinaryFloatingPoint>(_ digits: UInt64, scale: Int, as _: T.Type) -> T {
        if digits == 0 { return 0 }
        let divisor = uint64PowersOfTen[scale]
        let digitShift = digits.leadingZeroBitCount, divisorShift = divisor.leadingZeroBitCount
        let d = digits &<< UInt64(digitShift), s = divisor &<< UInt64(divisorShift)
        // d / 2 < 2^63 <= s, so the quotient fits in 64 bits.
        let (q, rest) = s.dividingFullWidth((d &>> 1, d &<< 63))
        let power = T(sign: .plus, exponent: T.Exponent(divisorShift - digitShift - 63), significand: 1)
        return T(q | (rest == 0 ? 0 : 1)) * power
    }

    /// 10^0 ... 10^18.
    @usableFromInline
    static let uint64PowersOfTen: [UInt64] = (0...18).map { n in (0..<n).reduce(UInt64(1)) { p, _ in p * 10 } }

    private static func special(_ text: UnsafeRawBufferPointer) -> Double? {
        switch String(decoding: text, as: UTF8.self) {
        case "NaN", "+NaN", "-NaN": .nan
        case "Infinity", "+Infinity", "inf", "+inf": .infinity
        case "-Infinity", "-inf": -.infinity
        default: nil
        }
    }

    /// The C functions need a zero at the end; numbers beyond 100 digits are rare enough to be copied to the heap.
    private static func withTerminated<T>(_ text: UnsafeRawBufferPointer, _ body: (UnsafePointer<CChar>) -> T) -> T {
        withUnsafeTemporaryAllocation(byteCount: text.count + 1, alignment: 1) { copy in
            if let start = text.baseAddress { copy.baseAddress!.copyMemory(from: start, byteCount: text.count) }
            copy[text.count] = 0
            return body(copy.baseAddress!.assumingMemoryBound(to: CChar.self))
        }
    }

    /// As Java's Double.toString: `1.0`, `0.001`, `1.0E7`, `1.23456789E8`, `4.9E-324`, `NaN`, `-Infinity`; the fewest
    /// digits that give the value back.
    public static func write(_ value: Double, to out: UnsafeMutablePointer<UInt8>) -> Int {
        if let n = writeShort(value, to: out) { return n }
        return writeJava(value.description, value, to: out)
    }

    /// As Java's Float.toString.
    public static func write(_ value: Float, to out: UnsafeMutablePointer<UInt8>) -> Int {
        writeJava(value.description, Double(value), to: out)
    }

    /// Values of at most 15 digits with up to 6 of them behind the point: the common case, in a few divisions.
    ///
    /// At most one decimal number of up to 15 digits rounds to a given double, so the first scale at which the division
    /// gives the value back has the digits that the shortest form has.
    private static func writeShort(_ value: Double, to out: UnsafeMutablePointer<UInt8>) -> Int? {
        let magnitude = value.magnitude
        guard magnitude >= 1e-3, magnitude < 1e7 else { return nil }
        var power = 1.0
        for scale in 0...6 {
            let scaled = (magnitude * power).rounded()
            if scaled / power == magnitude, scaled < 1e15 {
                return writeScaled(UInt64(scaled), scale: scale, negative: value < 0, to: out)
            }
            power *= 10
        }
        return nil
    }

    private static func writeScaled(_ digits: UInt64, scale: Int, negative: Bool, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var divisor: UInt64 = 1
        for _ in 0..<scale { divisor *= 10 }
        let (whole, fraction) = digits.quotientAndRemainder(dividingBy: divisor)
        var n = write(magnitude: whole, negative: negative, to: out)
        out[n] = UInt8(ascii: ".")
        n += 1
        if scale == 0 {
            out[n] = 48
            return n + 1
        }
        var rest = fraction
        for i in stride(from: n + scale - 1, through: n, by: -1) {
            out[i] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        return n + scale
    }

    /// The two digits nearest to a value, d.d * 10^exponent.
    private static func withTwoDigits(_ value: Double, _ body: (UInt8, UInt8, Int) -> Void) {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { buffer in
            _ = withVaList([value.magnitude]) { vsnprintf(buffer.baseAddress!, 32, "%.1e", $0) }
            body(UInt8(bitPattern: buffer[0]), UInt8(bitPattern: buffer[2]), Int(strtol(buffer.baseAddress! + 4, nil, 10)))
        }
    }

    /// Sets Swift's shortest digits (`1e-05`, `123.4`, `5e-324`) in Java's form.
    private static func writeJava(_ text: String, _ value: Double, to out: UnsafeMutablePointer<UInt8>) -> Int {
        if !value.isFinite { return copy(value.isNaN ? "NaN" : value < 0 ? "-Infinity" : "Infinity", to: out) }
        // digits, and where the point is: value = 0.d1d2d3... * 10^point
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 40) { digits in
            var count = 0, point = 0, exponent = 0, seenPoint = false, minus = false, inExponent = false, exponentMinus = false
            for c in text.utf8 {
                switch c {
                case UInt8(ascii: "-"): if inExponent { exponentMinus = true } else { minus = true }
                case UInt8(ascii: "+"): break
                case UInt8(ascii: "."): seenPoint = true
                case UInt8(ascii: "e"): inExponent = true
                default:
                    if inExponent {
                        exponent = exponent * 10 + Int(c - 48)
                    } else if count == 0, c == 48 {
                        if seenPoint { point -= 1 }
                    } else {
                        digits[count] = c
                        count += 1
                        if !seenPoint { point += 1 }
                    }
                }
            }
            while count > 0, digits[count - 1] == 48 { count -= 1 }
            point += exponentMinus ? -exponent : exponent
            var n = 0
            func put(_ c: UInt8) {
                out[n] = c
                n += 1
            }
            if minus { put(UInt8(ascii: "-")) }
            if count == 0 { return n + copy("0.0", to: out + n) }
            // Java gives two digits at least, those nearest to the value: 1.4E-45 where 1E-45 would do. The second one is
            // not 0 only where the spacing of values is wide, among the subnormal ones.
            if count == 1, point < -35 {
                withTwoDigits(value) { first, second, exponent in
                    (digits[0], digits[1], point) = (first, second, exponent + 1)
                    count = second == 48 ? 1 : 2
                }
            }
            if point > 7 || point < -2 {
                put(digits[0])
                put(UInt8(ascii: "."))
                if count == 1 { put(48) }
                for i in 1..<max(count, 1) { put(digits[i]) }
                put(UInt8(ascii: "E"))
                return n + write(Int64(point - 1), to: out + n)
            }
            if point <= 0 {
                put(48)
                put(UInt8(ascii: "."))
                for _ in 0..<(-point) { put(48) }
                for i in 0..<count { put(digits[i]) }
                return n
            }
            for i in 0..<max(point, count) {
                if i == point { put(UInt8(ascii: ".")) }
                put(i < count ? digits[i] : 48)
            }
            if count <= point {
                put(UInt8(ascii: "."))
                put(48)
            }
            return n
        }
    }

    private static func copy(_ text: StaticString, to out: UnsafeMutablePointer<UInt8>) -> Int {
        out.update(from: text.utf8Start, count: text.utf8CodeUnitCount)
        return text.utf8CodeUnitCount
    }

    // MARK: decimals

    /// 10^0 ... 10^38.
    public static let int128PowersOfTen: [Int128] = (0...38).map { n in (0..<n).reduce(Int128(1)) { p, _ in p * 10 } }

    /// The unscaled value of a DECIMAL(precision, scale), rounded half up (away from zero); nil when it does not fit.
    /// Exponents are read.
    public static func parseDecimal(_ text: UnsafeRawBufferPointer, precision: Int, scale: Int) -> Int128? {
        guard let parts = DecimalParts(text) else { return nil }
        return parts.unscaled(precision: precision, scale: scale)
    }

    /// With exactly `scale` digits behind the point.
    public static func write(decimal value: Int128, scale: Int, to out: UnsafeMutablePointer<UInt8>) -> Int {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 44) { digits in
            var count = 0
            var rest = value.magnitude
            while rest > UInt128(UInt64.max) {
                let (q, r) = rest.quotientAndRemainder(dividingBy: 10_000_000_000_000_000_000)
                var low = UInt64(truncatingIfNeeded: r)
                for _ in 0..<19 {
                    digits[count] = UInt8(truncatingIfNeeded: 48 + low % 10)
                    low /= 10
                    count += 1
                }
                rest = q
            }
            var low = UInt64(truncatingIfNeeded: rest)
            while low > 0 {
                digits[count] = UInt8(truncatingIfNeeded: 48 + low % 10)
                low /= 10
                count += 1
            }
            while count <= scale {
                digits[count] = 48
                count += 1
            }
            var n = 0
            if value < 0 {
                out[0] = UInt8(ascii: "-")
                n = 1
            }
            for i in stride(from: count - 1, through: 0, by: -1) {
                out[n] = digits[i]
                n += 1
                if i == scale, scale > 0 {
                    out[n] = UInt8(ascii: ".")
                    n += 1
                }
            }
            return n
        }
    }

    // MARK: as strings, off the hot path

    public static func string(_ value: Double) -> String { string { write(value, to: $0) } }
    public static func string(_ value: Float) -> String { string { write(value, to: $0) } }
    public static func string(decimal value: Int128, scale: Int) -> String { string { write(decimal: value, scale: scale, to: $0) } }

    /// The text that a writer of this file or of ``DateTimeText`` produces.
    public static func string(_ write: (UnsafeMutablePointer<UInt8>) -> Int) -> String {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { out in
            let n = write(out.baseAddress!)
            return String(decoding: UnsafeBufferPointer(start: out.baseAddress!, count: n), as: UTF8.self)
        }
    }
}

/// A decimal number in text, taken apart: sign, the digits of whole and fraction, exponent.
struct DecimalParts {
    private let text: UnsafeRawBufferPointer
    private var negative = false
    private var digits = 0..<0
    /// Position of the point in `text`, or the end of `digits` when there is none.
    private var point = 0
    private var exponent = 0

    /// `[+-] digits [. digits] [e [+-] digits]` with a digit before or behind the point; nil for anything else.
    init?(_ text: UnsafeRawBufferPointer) {
        self.text = text
        var i = 0
        let n = text.count
        if i < n, text[i] == UInt8(ascii: "-") || text[i] == UInt8(ascii: "+") {
            negative = text[i] == UInt8(ascii: "-")
            i += 1
        }
        let start = i
        while i < n, text[i] &- 48 < 10 { i += 1 }
        point = i
        var seen = i - start
        if i < n, text[i] == UInt8(ascii: ".") {
            i += 1
            let fraction = i
            while i < n, text[i] &- 48 < 10 { i += 1 }
            seen += i - fraction
        }
        digits = start..<i
        guard seen > 0 else { return nil }
        if i < n, text[i] | 0x20 == UInt8(ascii: "e") {
            i += 1
            var minus = false
            if i < n, text[i] == UInt8(ascii: "-") || text[i] == UInt8(ascii: "+") {
                minus = text[i] == UInt8(ascii: "-")
                i += 1
            }
            guard i < n else { return nil }
            while i < n, text[i] &- 48 < 10 {
                // Bounded: beyond it every value is zero or out of range.
                if exponent < 1_000_000 { exponent = exponent * 10 + Int(text[i] &- 48) }
                i += 1
            }
            if minus { exponent = -exponent }
        }
        guard i == n else { return nil }
    }

    private static let exactPowers: [Double] = (0...22).map { n in (0..<n).reduce(1.0) { p, _ in p * 10 } }

    /// The value when one correctly rounded operation gives it: digits below 2^53 and a power of ten up to 10^22, or up to
    /// 18 digits of which some are a fraction.
    ///
    /// - Source: William Clinger, "How to read floating point numbers accurately", PLDI 1990.
    var exactDouble: Double? {
        guard digits.count <= 20 else { return nil }
        var value: UInt64 = 0, behind = 0
        for i in digits where i != point {
            // One digit more might pass 10^18.
            if value > 99_999_999_999_999_999 { return nil }
            value = value &* 10 &+ UInt64(text[i] &- 48)
            if i > point { behind += 1 }
        }
        let power = exponent - behind
        guard value <= 1 << 53 else {
            guard power <= 0, power >= -18 else { return nil }
            let magnitude = NumberText.quotient(value, scale: -power, as: Double.self)
            return negative ? -magnitude : magnitude
        }
        guard power.magnitude <= 22 else { return value == 0 ? (negative ? -0.0 : 0) : nil }
        let magnitude = power < 0 ? Double(value) / Self.exactPowers[-power] : Double(value) * Self.exactPowers[power]
        return negative ? -magnitude : magnitude
    }

    func unscaled(precision: Int, scale: Int) -> Int128? {
        // Digits kept: those left of the point, shifted by scale and exponent; the next one decides about rounding.
        let limit = NumberText.int128PowersOfTen[min(max(precision, 1), 38)]
        let shift = exponent + scale
        var value: Int128 = 0, place = point - digits.lowerBound + shift  // digits still to take before rounding
        var roundUp = false, decided = false
        for i in digits where i != point {
            if place > 0 {
                guard value < limit / 10 else { return nil }
                value = value * 10 + Int128(text[i] &- 48)
                place -= 1
            } else if !decided {
                roundUp = place == 0 && text[i] >= UInt8(ascii: "5")
                decided = true
            }
        }
        if value != 0 {
            while place > 0 {
                guard value < limit / 10 else { return nil }
                value *= 10
                place -= 1
            }
        }
        if roundUp { value += 1 }
        guard value < limit else { return nil }
        return negative ? -value : value
    }
}
