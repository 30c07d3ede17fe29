import StreamCore

/// Writes state as bytes that are compact, say themselves where they end, and sort as the values do.
///
///     integer          a byte 80h + n, or 7Fh - n for negative ones, then the n lowest bytes that matter, highest first
///     Double, Float    8 or 4 bytes, highest first, the sign turned so that the order is that of the numbers
///     Bool             a byte
///     text, bytes      the bytes with 00 as 00 FF, then 00 00
///     optional         00, or 01 and the value
///     array, map       01 before each element or entry, 00 at the end
public struct StateWriter: Sendable {
    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// Appends a value of any type that can be kept as state.
    public mutating func write(_ value: some StateCodable) { value.write(to: &self) }

    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    package mutating func integer(_ value: some FixedWidthInteger) {
        if let word = Int64(exactly: value) {
            let size = (64 - (word < 0 ? ~word : word).leadingZeroBitCount + 7) / 8
            bytes.append(word < 0 ? 0x7F - UInt8(size) : 0x80 + UInt8(size))
            for i in (0..<size).reversed() { bytes.append(UInt8(truncatingIfNeeded: word >> (8 * Int64(i)))) }
            return
        }
        let wide = Int128(value)
        let size = (128 - (wide < 0 ? ~wide : wide).leadingZeroBitCount + 7) / 8
        bytes.append(wide < 0 ? 0x7F - UInt8(size) : 0x80 + UInt8(size))
        for i in (0..<size).reversed() { bytes.append(UInt8(truncatingIfNeeded: wide >> Int128(8 * i))) }
    }

    package mutating func fixed(_ value: some FixedWidthInteger) { withUnsafeBytes(of: value.bigEndian) { bytes += $0 } }

    package mutating func double(_ value: Double) {
        let bits = value.bitPattern
        fixed(bits >> 63 == 1 ? ~bits : bits | 1 << 63)
    }

    package mutating func float(_ value: Float) {
        let bits = value.bitPattern
        fixed(bits >> 31 == 1 ? ~bits : bits | 1 << 31)
    }

    package mutating func escaped(_ raw: UnsafeRawBufferPointer) {
        bytes.reserveCapacity(bytes.count + raw.count + 2)
        for byte in raw {
            bytes.append(byte)
            if byte == 0 { bytes.append(0xFF) }
        }
        bytes.append(0)
        bytes.append(0)
    }

    package mutating func raw(_ more: [UInt8]) { bytes += more }
}

/// Reads what ``StateWriter`` wrote, in the same order. Damaged bytes give a `.corrupt` error.
public struct StateReader: Sendable {
    private let bytes: [UInt8]
    package private(set) var at: Int

    public init(_ bytes: [UInt8]) { self.init(bytes, at: 0) }

    package init(_ bytes: [UInt8], at: Int) {
        self.bytes = bytes
        self.at = at
    }

    public mutating func read<T: StateCodable>(_ type: T.Type = T.self) throws -> T { try T(from: &self) }

    public var isAtEnd: Bool { at == bytes.count }

    /// What is left, for errors and for values that are the rest of the bytes.
    package var rest: ArraySlice<UInt8> { bytes[at...] }

    package func damaged(_ what: String) -> StreamError {
        StreamError(.corrupt, "a stored value of \(bytes.count) bytes is damaged at byte \(at): \(what)",
                    fix: "restore an older checkpoint; if a type's write(to:) has changed, also change its stateTypeName")
    }

    package mutating func byte() throws -> UInt8 {
        guard at < bytes.count else { throw damaged("it ends too early") }
        defer { at += 1 }
        return bytes[at]
    }

    package mutating func integer<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        let tag = Int(try byte())
        let size = tag >= 0x80 ? tag - 0x80 : 0x7F - tag
        guard size <= 16, at + size <= bytes.count else { throw damaged("no integer begins with byte \(tag)") }
        var value: Int128 = tag >= 0x80 ? 0 : -1
        for _ in 0..<size {
            value = value << 8 | Int128(bytes[at])
            at += 1
        }
        guard let exact = T(exactly: value) else { throw damaged("\(value) is no \(T.self)") }
        return exact
    }

    package mutating func fixed<T: FixedWidthInteger>(_ type: T.Type) throws -> T {
        let size = T.bitWidth / 8
        guard at + size <= bytes.count else { throw damaged("it ends too early") }
        defer { at += size }
        return bytes.withUnsafeBytes { T(bigEndian: $0.loadUnaligned(fromByteOffset: at, as: T.self)) }
    }

    package mutating func double() throws -> Double {
        let bits = try fixed(UInt64.self)
        return Double(bitPattern: bits >> 63 == 1 ? bits & ~(1 << 63) : ~bits)
    }

    package mutating func float() throws -> Float {
        let bits = try fixed(UInt32.self)
        return Float(bitPattern: bits >> 31 == 1 ? bits & ~(1 << 31) : ~bits)
    }

    package mutating func escaped() throws -> [UInt8] {
        var out: [UInt8] = []
        while true {
            let next = try byte()
            if next != 0 {
                out.append(next)
                continue
            }
            switch try byte() {
            case 0: return out
            case 0xFF: out.append(0)
            case let other: throw damaged("byte \(other) behind a zero")
            }
        }
    }
}
