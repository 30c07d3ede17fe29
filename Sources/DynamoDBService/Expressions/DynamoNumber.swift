import AWSProtocol

/// A decimal number of up to 38 significant digits, from 1E-130 to 9.99…E+125 in magnitude, exact.
public struct DynamoNumber: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Without trailing zeros; 0 only for zero.
    let coefficient: UInt128
    /// The value is `coefficient` times ten to this power.
    let exponent: Int
    let isNegative: Bool

    public static let digitsMax = 38
    public static let zero = DynamoNumber(coefficient: 0, exponent: 0, isNegative: false)

    private init(coefficient: UInt128, exponent: Int, isNegative: Bool) {
        (self.coefficient, self.exponent, self.isNegative) = (coefficient, exponent, isNegative)
    }

    public init(_ value: Int) {
        // At most 19 digits: always in range.
        (coefficient, exponent) = Self.stripped(UInt128(value.magnitude), 0)
        isNegative = value < 0
    }

    /// Reads a decimal number with or without fraction and exponent.
    ///
    /// - Throws: `ValidationException` for text that is no number, for too many digits, and for a magnitude that is out of range.
    public init(parsing text: String) throws {
        if text.isEmpty { throw AWSError.validation("The parameter cannot be converted to a numeric value") }
        guard let parts = Parts(text) else { throw AWSError.validation("The parameter cannot be converted to a numeric value: \(text)") }
        guard let first = parts.digits.firstIndex(where: { $0 != 0 }) else {
            self = .zero
            return
        }
        let last = parts.digits.lastIndex { $0 != 0 }!
        let significant = parts.digits[first...last]
        let exponent = parts.exponent + (parts.digits.count - 1 - last)
        try Self.checkRange(exponent + significant.count - 1)
        guard significant.count <= Self.digitsMax else {
            throw AWSError.validation("Attempting to store more than \(Self.digitsMax) significant digits in a Number")
        }
        coefficient = significant.reduce(0) { $0 * 10 + UInt128($1) }
        self.exponent = exponent
        isNegative = parts.isNegative
    }

    private static let overflow = AWSError.validation("Number overflow. Attempting to store a number with magnitude larger than supported range")

    private static func checkRange(_ scale: Int) throws {
        if scale > 125 { throw overflow }
        if scale < -130 {
            throw AWSError.validation("Number underflow. Attempting to store a number with magnitude smaller than supported range")
        }
    }

    private static func stripped(_ coefficient: UInt128, _ exponent: Int) -> (UInt128, Int) {
        var (coefficient, exponent) = (coefficient, exponent)
        if coefficient == 0 { return (0, 0) }
        while coefficient % 10 == 0 {
            coefficient /= 10
            exponent += 1
        }
        return (coefficient, exponent)
    }

    private struct Parts {
        var digits: [UInt8] = []
        var exponent = 0
        var isNegative = false

        init?(_ text: String) {
            var bytes = Array(text.utf8)[...]
            if bytes.first == UInt8(ascii: "-") || bytes.first == UInt8(ascii: "+") { isNegative = bytes.removeFirst() == UInt8(ascii: "-") }
            var fraction = false
            while let byte = bytes.first, byte != UInt8(ascii: "e"), byte != UInt8(ascii: "E") {
                bytes.removeFirst()
                if byte == UInt8(ascii: "."), !fraction {
                    fraction = true
                    continue
                }
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                digits.append(byte - 0x30)
                if fraction { exponent -= 1 }
            }
            guard !digits.isEmpty else { return nil }
            guard bytes.popFirst() != nil else { return }
            var negative = false
            if bytes.first == UInt8(ascii: "-") || bytes.first == UInt8(ascii: "+") { negative = bytes.removeFirst() == UInt8(ascii: "-") }
            guard !bytes.isEmpty, bytes.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
            // Beyond a million everything is out of range, whatever the digits.
            let power = bytes.reduce(0) { min($0 * 10 + Int($1 - 0x30), 1_000_000) }
            exponent += negative ? -power : power
        }
    }

    // MARK: Text

    private var digits: [UInt8] { Array(String(coefficient).utf8) }

    /// The power of ten of the first digit.
    private var scale: Int { exponent + digits.count - 1 }

    /// In plain notation, without needless zeros: `-12.5`, `0.001`, `100`.
    public var description: String {
        if coefficient == 0 { return "0" }
        let digits = digits
        var out: [UInt8] = isNegative ? [UInt8(ascii: "-")] : []
        let zero = UInt8(ascii: "0"), point = UInt8(ascii: ".")
        if exponent >= 0 {
            out += digits + Array(repeating: zero, count: exponent)
        } else if digits.count + exponent > 0 {
            out += digits[..<(digits.count + exponent)] + [point] + digits[(digits.count + exponent)...]
        } else {
            out += [zero, point] + Array(repeating: zero, count: -exponent - digits.count) + digits
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// As the service counts it: a byte for each two digits of base 100, one for the exponent, one for a minus sign.
    var byteCount: Int {
        if coefficient == 0 { return 1 }
        let count = digits.count
        return 1 + (count + 1) / 2 + (count % 2 == 0 && scale % 2 == 0 ? 1 : 0) + (isNegative ? 1 : 0)
    }

    /// nil when it is no whole number of 64 bits.
    public var int: Int? { exponent >= 0 || coefficient == 0 ? Int(description) : nil }

    // MARK: Arithmetic

    public static prefix func - (a: Self) -> Self {
        DynamoNumber(coefficient: a.coefficient, exponent: a.exponent, isNegative: a.coefficient != 0 && !a.isNegative)
    }

    /// Exact.
    ///
    /// - Throws: `ValidationException` when the result is out of range or needs more than 38 digits, which the service calls an
    ///   overflow too.
    public func adding(_ other: Self) throws -> Self {
        if coefficient == 0 { return other }
        if other.coefficient == 0 { return self }
        let (high, low) = exponent >= other.exponent ? (self, other) : (other, self)
        // A coefficient that no longer fits gives a result of more than 38 digits: the other's last digit is not 0.
        var scaled = high.coefficient
        for _ in 0..<(high.exponent - low.exponent) {
            let (product, overflow) = scaled.multipliedReportingOverflow(by: 10)
            if overflow { throw Self.overflow }
            scaled = product
        }
        var sum: UInt128, negative = high.isNegative
        if high.isNegative == low.isNegative {
            let (result, overflow) = scaled.addingReportingOverflow(low.coefficient)
            if overflow { throw Self.overflow }
            sum = result
        } else if scaled >= low.coefficient {
            sum = scaled - low.coefficient
        } else {
            sum = low.coefficient - scaled
            negative = low.isNegative
        }
        if sum == 0 { return .zero }
        let (coefficient, exponent) = Self.stripped(sum, low.exponent)
        let result = DynamoNumber(coefficient: coefficient, exponent: exponent, isNegative: negative)
        try Self.checkRange(result.scale)
        guard result.digits.count <= Self.digitsMax else { throw Self.overflow }
        return result
    }

    public func subtracting(_ other: Self) throws -> Self { try adding(-other) }

    public static func < (a: Self, b: Self) -> Bool { a.orderedBytes.lexicographicallyPrecedes(b.orderedBytes) }

    // MARK: Bytes

    /// Bytes that compare as the numbers do: sign, exponent, digits in base 100; complemented and closed by FF when negative.
    public var orderedBytes: [UInt8] {
        if coefficient == 0 { return [1] }
        let digits = digits
        var body = [UInt8(scale + 130)]
        for i in stride(from: 0, to: digits.count, by: 2) {
            body.append((digits[i] - 0x30) * 10 + (i + 1 < digits.count ? digits[i + 1] - 0x30 : 0) + 1)
        }
        return isNegative ? [0] + body.map { ~$0 } + [0xFF] : [2] + body
    }

    func encode(to out: inout [UInt8]) {
        out.append(isNegative ? 1 : 0)
        out.append(UInt8(truncatingIfNeeded: exponent &+ 170))
        out.append(UInt8(truncatingIfNeeded: (exponent + 170) >> 8))
        var rest = coefficient
        var bytes: [UInt8] = []
        while rest > 0 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
        out.append(UInt8(bytes.count))
        out += bytes
    }

    init(reading reader: inout ItemReader) throws {
        let negative = try reader.byte() == 1
        let exponent = Int(try reader.byte()) | Int(try reader.byte()) << 8
        let count = Int(try reader.byte())
        guard count <= 16 else { throw reader.damaged }
        let bytes = try reader.bytes(count)
        self.init(coefficient: bytes.reversed().reduce(0) { $0 << 8 | UInt128($1) }, exponent: exponent - 170, isNegative: negative)
    }
}
