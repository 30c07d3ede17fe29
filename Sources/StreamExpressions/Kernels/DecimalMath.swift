import StreamCore

/// Exact arithmetic on unscaled DECIMAL values with 256-bit intermediates. Rounding is HALF_UP (away from zero).
/// nil means that the result does not fit 128 bits; ``fits(_:precision:)`` checks the SQL precision.
public enum DecimalMath {
    @inline(__always) static func power(_ n: Int) -> Int128 { NumberText.int128PowersOfTen[n] }

    /// True for at most `precision` digits.
    @inline(__always)
    public static func fits(_ value: Int128, precision: Int) -> Bool {
        value.magnitude < power(precision).magnitude
    }

    @inline(__always) static func signed(_ magnitude: UInt128, negative: Bool) -> Int128? {
        guard magnitude <= UInt128(Int128.max) else { return nil }
        return negative ? -Int128(magnitude) : Int128(magnitude)
    }

    /// `value / divisor`, rounded; the divisor is positive.
    @inline(__always)
    static func dividedRounding(_ value: UInt128, by divisor: UInt128) -> UInt128 {
        // Division of 128 bits calls into the runtime; most values fit 64.
        if let v = UInt64(exactly: value), let d = UInt64(exactly: divisor) {
            let (q, r) = v.quotientAndRemainder(dividingBy: d)
            return UInt128(q + (r >= d - r ? 1 : 0))
        }
        let (q, r) = value.quotientAndRemainder(dividingBy: divisor)
        return q + (r >= divisor - r ? 1 : 0)
    }

    /// The value with another scale.
    public static func rescale(_ value: Int128, from: Int, to: Int) -> Int128? {
        if from == to { return value }
        if to > from {
            let (result, overflow) = value.multipliedReportingOverflow(by: power(min(to - from, 38)))
            return overflow || (to - from > 38 && value != 0) ? nil : result
        }
        if from - to > 38 { return 0 }
        return signed(dividedRounding(value.magnitude, by: power(from - to).magnitude), negative: value < 0)
    }

    /// `a * b`, with the last `drop` digits (0...76) rounded away; both of at most 38 digits.
    public static func multiply(_ a: Int128, _ b: Int128, drop: Int) -> Int128? {
        let negative = (a < 0) != (b < 0)
        let (high, low) = a.magnitude.multipliedFullWidth(by: b.magnitude)
        if drop > 38 {
            // Only the first digit that goes decides about rounding, so the others may be cut before.
            let cut = high == 0 ? low / power(38).magnitude : power(38).magnitude.dividingFullWidth((high, low)).quotient
            return signed(dividedRounding(cut, by: power(drop - 38).magnitude), negative: negative)
        }
        if drop == 0 { return high == 0 ? signed(low, negative: negative) : nil }
        let divisor = power(drop).magnitude
        if high == 0 { return signed(dividedRounding(low, by: divisor), negative: negative) }
        guard high < divisor else { return nil }
        let (q, r) = divisor.dividingFullWidth((high, low))
        let (rounded, overflow) = q.addingReportingOverflow(r >= divisor - r ? 1 : 0)
        return overflow ? nil : signed(rounded, negative: negative)
    }

    /// `a * 10^shift / b`, rounded. Both of at most 38 digits, `b` not zero; -38...76 for `shift`.
    public static func divide(_ a: Int128, _ b: Int128, shift: Int) -> Int128? {
        let negative = (a < 0) != (b < 0)
        if shift < 0 {
            let (divisor, overflow) = b.magnitude.multipliedReportingOverflow(by: power(-shift).magnitude)
            return overflow ? 0 : signed(dividedRounding(a.magnitude, by: divisor), negative: negative)
        }
        let divisor = b.magnitude
        let (high, low) = a.magnitude.multipliedFullWidth(by: power(min(shift, 38)).magnitude)
        if shift > 38 {
            // The first 38 digits, and then the rest from the remainder.
            guard high < divisor else { return nil }
            let (whole, rest) = divisor.dividingFullWidth((high, low))
            let factor = power(shift - 38).magnitude
            let (more, less) = rest.multipliedFullWidth(by: factor)
            let (q, r) = divisor.dividingFullWidth((more, less))
            let (scaled, overflow) = whole.multipliedReportingOverflow(by: factor)
            let (sum, carry) = scaled.addingReportingOverflow(q)
            if overflow || carry || sum == .max { return nil }
            return signed(sum + (r >= divisor - r ? 1 : 0), negative: negative)
        }
        if high == 0 { return signed(dividedRounding(low, by: divisor), negative: negative) }
        guard high < divisor else { return nil }
        let (q, r) = divisor.dividingFullWidth((high, low))
        let (rounded, overflow) = q.addingReportingOverflow(r >= divisor - r ? 1 : 0)
        return overflow ? nil : signed(rounded, negative: negative)
    }

    /// `a + b` of the given scales, at `scale`, which is at most the larger of the two.
    public static func add(_ a: Int128, scale s: Int, _ b: Int128, scale t: Int, to scale: Int) -> Int128? {
        let common = max(s, t)
        if let x = rescale(a, from: s, to: common), let y = rescale(b, from: t, to: common) {
            let (sum, overflow) = x.addingReportingOverflow(y)
            if !overflow { return rescale(sum, from: common, to: scale) }
        }
        // Whole parts and fractions apart: the sum may fit although the operands at the common scale do not.
        let (wholeA, fractionA) = a.quotientAndRemainder(dividingBy: power(s))
        let (wholeB, fractionB) = b.quotientAndRemainder(dividingBy: power(t))
        guard let x = rescale(fractionA, from: s, to: common), let y = rescale(fractionB, from: t, to: common) else { return nil }
        var (fraction, overflow) = x.addingReportingOverflow(y)
        var whole = wholeA + wholeB
        if overflow { return nil }
        // Both parts get the sign of the sum, so that rounding away from zero is right.
        if whole > 0 && fraction < 0 { (whole, fraction) = (whole - 1, fraction + power(common)) }
        if whole < 0 && fraction > 0 { (whole, fraction) = (whole + 1, fraction - power(common)) }
        guard let high = rescale(whole, from: 0, to: scale), let low = rescale(fraction, from: common, to: scale) else { return nil }
        let result: Int128
        (result, overflow) = high.addingReportingOverflow(low)
        return overflow ? nil : result
    }

    /// `a % b` at the larger of the two scales, with the sign of `a`. `b` is not zero.
    public static func remainder(_ a: Int128, scale s: Int, _ b: Int128, scale t: Int) -> Int128? {
        let common = max(s, t)
        // A divisor too large for 128 bits is larger than any dividend.
        guard let divisor = rescale(b, from: t, to: common)?.magnitude else { return rescale(a, from: s, to: common) }
        let (high, low) = a.magnitude.multipliedFullWidth(by: power(common - s).magnitude)
        let rest = high == 0 ? low % divisor : divisor.dividingFullWidth((high % divisor, low)).remainder
        return signed(rest, negative: a < 0)
    }

    /// Order of two values of unequal scale.
    public static func compare(_ a: Int128, scale s: Int, _ b: Int128, scale t: Int) -> Int {
        func order(_ x: Int128, _ y: Int128) -> Int { x < y ? -1 : x == y ? 0 : 1 }
        let (wholeA, fractionA) = a.quotientAndRemainder(dividingBy: power(s))
        let (wholeB, fractionB) = b.quotientAndRemainder(dividingBy: power(t))
        if wholeA != wholeB { return order(wholeA, wholeB) }
        // Fractions have fewer digits than their scale, so at the larger scale they still fit.
        return order(fractionA * power(max(s, t) - s), fractionB * power(max(s, t) - t))
    }

    /// The nearest DOUBLE.
    public static func double(_ value: Int128, scale: Int) -> Double {
        // Up to 2^53 and 10^22 one division of exact operands is rounded once.
        if value.magnitude <= 1 << 53 && scale <= 22 { return Double(Int64(truncatingIfNeeded: value)) / doublePowers[scale] }
        var text = [UInt8](repeating: 0, count: NumberText.capacity)
        return text.withUnsafeMutableBufferPointer { out in
            let n = NumberText.write(decimal: value, scale: scale, to: out.baseAddress!)
            return NumberText.parseDouble(UnsafeRawBufferPointer(start: out.baseAddress!, count: n))!
        }
    }

    private static let doublePowers: [Double] = (0...22).reduce(into: []) { powers, n in powers.append(n == 0 ? 1 : powers[n - 1] * 10) }
}
