import StreamCore

/// HEX, UNHEX, BIN, base 64, digests, character sets, UUID.
extension FunctionRegistry {
    mutating func registerEncodingFunctions() {
        define("TO_BASE64", takes: [.textOrBinary("value")], returns: .string) { args, rows, _ in
            let value = args[0].text
            return rows.text(.string) { row, out in ByteText.appendBase64(value[row], to: &out) }
        }
        define("FROM_BASE64", takes: [.textOrBinary("value")], returns: .string) { args, rows, _ in
            let value = args[0].text
            return try rows.text(.string) { row, out in try ByteText.appendDecodedBase64(value[row], to: &out) }
        }
        define("HEX", takes: [Parameter("value", takes: "a string or an integer", example: "STRING") {
            $0.type.isText || $0.type.isBinary ? $0.type : $0.type.isInteger ? .bigint : nil
        }], result: { _ in .string }) { bound, type in
            if bound[0].type == .bigint {
                return { args, rows, _ in
                    let value = args[0].vector(Int64.self)
                    return rows.text(type) { row, out in ByteText.appendDigits(UInt64(bitPattern: value[row]), bitsPerDigit: 4, to: &out) }
                }
            }
            return { args, rows, _ in
                let value = args[0].text
                return rows.text(type) { row, out in ByteText.appendHex(value[row], upper: true, to: &out) }
            }
        }
        define("BIN", takes: [.bigint("value")], returns: .string) { args, rows, _ in
            let value = args[0].vector(Int64.self)
            return rows.text(.string) { row, out in ByteText.appendDigits(UInt64(bitPattern: value[row]), bitsPerDigit: 1, to: &out) }
        }
        define("UNHEX", takes: [.text("digits")], returns: .bytes) { args, rows, _ in
            let digits = args[0].text
            return rows.text(.bytes) { row, out in ByteText.appendUnhexed(digits[row], to: &out) }
        }
        for (name, digest) in [("MD5", Digest.md5), ("SHA1", .sha1), ("SHA224", .sha224), ("SHA256", .sha256), ("SHA384", .sha384), ("SHA512", .sha512)] {
            define(name, takes: [.textOrBinary("value")], returns: .char(digest.byteCount * 2)) { args, rows, _ in
                let value = args[0].text
                return rows.text(.char(digest.byteCount * 2)) { row, out in ByteText.appendDigest(digest, value[row], to: &out) }
            }
        }
        define("SHA2", takes: [.textOrBinary("value"), .int("bits")], result: { _ in .varchar(128) }) { bound, type in
            if case .int(let bits)? = Binding.constant(bound[1]) { _ = try ByteText.digest(bits: bits, .validate) }
            return { args, rows, _ in
                let value = args[0].text, bits = args[1].vector(Int32.self)
                return try rows.text(type) { row, out in
                    ByteText.appendDigest(try ByteText.digest(bits: Int64(bits[row]), .runtime), value[row], to: &out)
                }
            }
        }
        define("ENCODE", takes: [.text("string"), .text("character set")], returns: .bytes) { args, rows, _ in
            let text = args[0].text, name = args[1].text
            return try rows.text(.bytes) { row, out in try CharacterEncoding(name[row]).encode(text[row], to: &out) }
        }
        define("DECODE", takes: [.binary("bytes"), .text("character set")], returns: .string) { args, rows, _ in
            let bytes = args[0].text, name = args[1].text
            return try rows.text(.string) { row, out in try CharacterEncoding(name[row]).decode(bytes[row], to: &out) }
        }
        register("UUID") { args, _ in
            guard args.isEmpty else { throw Binding.arityError("UUID", given: args.count, least: 0, most: 0, names: []) }
            return Binding.callLenient("UUID", .char(36), [], isDeterministic: false) { _, rows, _ in
                var random = SystemRandomNumberGenerator()
                return rows.text(.char(36)) { _, out in ByteText.appendUUID(random.next(), random.next(), to: &out) }
            }
        }
    }
}

enum ByteText {
    typealias Bytes = UnsafeRawBufferPointer

    static let alphabet: [UInt8] = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    @inline(__always)
    static func hexDigit(_ nibble: UInt8, upper: Bool) -> UInt8 { nibble < 10 ? 48 + nibble : (upper ? 55 : 87) + nibble }

    @inline(__always)
    static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 55
        case 0x61...0x66: digit - 87
        default: nil
        }
    }

    static func appendHex(_ bytes: Bytes, upper: Bool, to out: inout TextSink) {
        guard bytes.count > 0 else { return }
        let to = out.spareText(bytes.count * 2)
        for i in 0..<bytes.count {
            to[i * 2] = hexDigit(bytes[i] >> 4, upper: upper)
            to[i * 2 + 1] = hexDigit(bytes[i] & 15, upper: upper)
        }
        out.advance(bytes.count * 2)
    }

    /// An odd number of digits gets a zero in front; null when something is not a digit.
    static func appendUnhexed(_ digits: Bytes, to out: inout TextSink) {
        var high: UInt8 = 0, isHigh = true
        // Of an odd number of digits the first is taken for 0 once it is checked, as in Flink.
        if digits.count & 1 == 1 {
            guard nibble(digits[0]) != nil else { return out.setNull() }
            out.append(0)
        }
        for digit in digits.dropFirst(digits.count & 1) {
            guard let value = nibble(digit) else { return out.setNull() }
            if isHigh { high = value } else {
                out.append(high << 4 | value)
                high = 0
            }
            isHigh.toggle()
        }
    }

    /// Without leading zeros.
    static func appendDigits(_ value: UInt64, bitsPerDigit: Int, to out: inout TextSink) {
        let n = max(1, (64 - value.leadingZeroBitCount + bitsPerDigit - 1) / bitsPerDigit)
        let to = out.spareText(n)
        let mask = UInt64(1) << UInt64(bitsPerDigit) - 1
        for i in 0..<n { to[n - 1 - i] = hexDigit(UInt8(truncatingIfNeeded: value >> UInt64(i * bitsPerDigit) & mask), upper: true) }
        out.advance(n)
    }

    static func appendBase64(_ bytes: Bytes, to out: inout TextSink) {
        guard bytes.count > 0 else { return }
        let n = (bytes.count + 2) / 3 * 4
        let to = out.spareText(n)
        alphabet.withUnsafeBufferPointer { alphabet in
            var i = 0, k = 0
            while i < bytes.count {
                let b = i + 1 < bytes.count ? bytes[i + 1] : 0, c = i + 2 < bytes.count ? bytes[i + 2] : 0
                let word = UInt32(bytes[i]) << 16 | UInt32(b) << 8 | UInt32(c)
                for j in 0..<4 { to[k + j] = alphabet[Int(word >> UInt32(18 - 6 * j) & 63)] }
                if i + 1 >= bytes.count { to[k + 2] = UInt8(ascii: "=") }
                if i + 2 >= bytes.count { to[k + 3] = UInt8(ascii: "=") }
                i += 3
                k += 4
            }
        }
        out.advance(n)
    }

    /// The padding may be left out.
    static func appendDecodedBase64(_ text: Bytes, to out: inout TextSink) throws {
        func invalid(_ why: String) -> StreamError {
            StreamError(.runtime, "FROM_BASE64 was given '\(text.string)', which is not base 64: \(why)", fix: "filter such values out first")
        }
        var word: UInt32 = 0, bits = 0, end = text.count, padding = 0
        while end > 0, text[end - 1] == UInt8(ascii: "="), padding < 2 {
            end -= 1
            padding += 1
        }
        if padding > 0, text.count % 4 != 0 { throw invalid("its padding is wrong") }
        if end % 4 == 1 { throw invalid("its length is wrong") }
        for i in 0..<end {
            let c = text[i], value: UInt32
            switch c {
            case 0x41...0x5A: value = UInt32(c) - 0x41
            case 0x61...0x7A: value = UInt32(c) - 0x61 + 26
            case 0x30...0x39: value = UInt32(c) - 0x30 + 52
            case 0x2B: value = 62
            case 0x2F: value = 63
            default: throw invalid("it holds the byte \(c)")
            }
            word = word << 6 | value
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: word >> UInt32(bits)))
            }
        }
    }

    static func appendDigest(_ digest: Digest, _ bytes: Bytes, to out: inout TextSink) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { hash in
            digest.compute(bytes, into: hash.baseAddress!)
            appendHex(Bytes(start: hash.baseAddress, count: digest.byteCount), upper: false, to: &out)
        }
    }

    static func digest(bits: Int64, _ code: StreamError.Code) throws -> Digest {
        switch bits {
        case 224: .sha224
        case 256, 0: .sha256
        case 384: .sha384
        case 512: .sha512
        default: throw StreamError(code, "SHA2 knows no digest of \(bits) bits", fix: "ask for 224, 256, 384 or 512")
        }
    }

    /// A random UUID, version 4.
    static func appendUUID(_ a: UInt64, _ b: UInt64, to out: inout TextSink) {
        let high = a & 0xFFFF_FFFF_FFFF_0FFF | 0x4000, low = b & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
        for i in 0..<32 {
            if i == 8 || i == 12 || i == 16 || i == 20 { out.append(UInt8(ascii: "-")) }
            let word = i < 16 ? high : low
            out.append(hexDigit(UInt8(truncatingIfNeeded: word >> UInt64(60 - 4 * (i & 15)) & 15), upper: false))
        }
    }
}

/// The character sets that Java guarantees.
enum CharacterEncoding {
    case utf8, ascii, latin1, utf16, utf16BE, utf16LE

    init(_ name: UnsafeRawBufferPointer) throws {
        switch name.string.uppercased() {
        case "UTF-8", "UTF8": self = .utf8
        case "US-ASCII", "ASCII": self = .ascii
        case "ISO-8859-1", "ISO8859_1", "LATIN1", "ISO_8859_1": self = .latin1
        case "UTF-16", "UTF16": self = .utf16
        case "UTF-16BE": self = .utf16BE
        case "UTF-16LE": self = .utf16LE
        default:
            throw StreamError(.runtime, "there is no character set '\(name.string)'",
                              fix: "use UTF-8, US-ASCII, ISO-8859-1, UTF-16, UTF-16BE or UTF-16LE")
        }
    }

    /// Characters that the set lacks become question marks.
    func encode(_ text: UnsafeRawBufferPointer, to out: inout TextSink) {
        switch self {
        case .utf8: out.append(text)
        case .ascii, .latin1:
            let limit: UInt32 = self == .ascii ? 0x80 : 0x100
            var at = 0
            while at < text.count {
                let (c, width) = Utf8Text.decode(text, at)
                out.append(c < limit ? UInt8(c) : UInt8(ascii: "?"))
                at += width
            }
        case .utf16, .utf16BE, .utf16LE:
            if self == .utf16 {
                out.append(0xFE)
                out.append(0xFF)
            }
            for unit in text.string.utf16 {
                let (high, low) = (UInt8(unit >> 8), UInt8(unit & 0xFF))
                out.append(self == .utf16LE ? low : high)
                out.append(self == .utf16LE ? high : low)
            }
        }
    }

    /// Bytes that are not of the set become U+FFFD.
    func decode(_ bytes: UnsafeRawBufferPointer, to out: inout TextSink) {
        switch self {
        case .utf8: out.append(string: bytes.string)
        case .ascii: for b in bytes { out.append(scalar: b < 0x80 ? Unicode.Scalar(b) : "\u{FFFD}") }
        case .latin1: for b in bytes { out.append(scalar: Unicode.Scalar(b)) }
        case .utf16, .utf16BE, .utf16LE:
            var little = self == .utf16LE, at = 0
            if self == .utf16, bytes.count >= 2 {
                if bytes[0] == 0xFF, bytes[1] == 0xFE { little = true }
                if bytes[0] &+ bytes[1] == 0xFD, bytes[0] >= 0xFE { at = 2 }
            }
            var units: [UInt16] = []
            while at + 1 < bytes.count {
                let (a, b) = (UInt16(bytes[at]), UInt16(bytes[at + 1]))
                units.append(little ? b << 8 | a : a << 8 | b)
                at += 2
            }
            if at < bytes.count { units.append(0xFFFD) }
            out.append(string: String(decoding: units, as: UTF16.self))
        }
    }
}
