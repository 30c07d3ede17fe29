#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Reads and writes ``AWSValue`` as JSON.
public enum AWSJSON {
    static let depthMax = 100

    /// Strings stay strings: only a shape knows which of them are blobs.
    ///
    /// - Throws: `SerializationException` with the byte at which the text is not JSON.
    public static func parse(_ bytes: [UInt8]) throws -> AWSValue {
        try bytes.withUnsafeBufferPointer { all in
            var reader = Reader(bytes: all)
            let value = try reader.value(0)
            reader.skipSpace()
            guard reader.at == all.count else { throw reader.malformed }
            return value
        }
    }

    /// Members in alphabetical order, so that equal values give equal texts.
    public static func write(_ value: AWSValue) -> [UInt8] {
        var out: [UInt8] = []
        write(value, to: &out)
        return out
    }

    public static func write(_ value: AWSValue, to out: inout [UInt8]) {
        switch value {
        case .null: out += "null".utf8
        case .bool(let value): out += (value ? "true" : "false").utf8
        case .integer(let value): out += String(value).utf8
        case .double(let value), .timestamp(let value): out += number(value).utf8
        case .string(let text): quote(text, to: &out)
        case .blob(let bytes):
            out.append(UInt8(ascii: "\""))
            Base64.encode(bytes, to: &out)
            out.append(UInt8(ascii: "\""))
        case .list(let all):
            out.append(UInt8(ascii: "["))
            for (i, element) in all.enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                write(element, to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .map(let members):
            out.append(UInt8(ascii: "{"))
            for (i, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                quote(member.key, to: &out)
                out.append(UInt8(ascii: ":"))
                write(member.value, to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    /// Whole numbers without a fraction; never in exponent form, which some SDKs' timestamp readers refuse.
    private static func number(_ value: Double) -> String {
        if let whole = Int64(exactly: value) { return String(whole) }
        let text = "\(value)"
        guard text.contains("e"), value.isFinite else { return value.isFinite ? text : "null" }
        return abs(value) < 1e15 ? fixed(value) : text
    }

    private static func fixed(_ value: Double) -> String {
        var buffer = [CChar](repeating: 0, count: 64)
        let n = withVaList([value]) { vsnprintf(&buffer, 64, "%.9f", $0) }
        return String(decoding: buffer[..<Int(n)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    public static func quote(_ text: String, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { bytes in
            // Runs of bytes that stay as they are go at once.
            var start = 0
            for (i, byte) in bytes.enumerated() where byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                out.append(contentsOf: bytes[start..<i])
                start = i + 1
                switch byte {
                case UInt8(ascii: "\""): out += "\\\"".utf8
                case UInt8(ascii: "\\"): out += "\\\\".utf8
                case 0x0A: out += "\\n".utf8
                case 0x0D: out += "\\r".utf8
                case 0x09: out += "\\t".utf8
                default: out += "\\u00".utf8 + [hexadecimal(byte >> 4), hexadecimal(byte & 15)]
                }
            }
            out.append(contentsOf: bytes[start...])
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func hexadecimal(_ nibble: UInt8) -> UInt8 { nibble < 10 ? 0x30 + nibble : 0x57 + nibble }

    private struct Reader {
        let bytes: UnsafeBufferPointer<UInt8>
        var at = 0

        var malformed: AWSError { .serialization("the body is not well-formed JSON at byte \(at)") }

        var byte: UInt8 { at < bytes.count ? bytes[at] : 0 }

        mutating func skipSpace() { while byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 } }

        mutating func value(_ depth: Int) throws -> AWSValue {
            guard depth < AWSJSON.depthMax else { throw AWSError.serialization("the body is nested deeper than \(AWSJSON.depthMax) levels") }
            skipSpace()
            switch byte {
            case UInt8(ascii: "{"):
                at += 1
                var members: [String: AWSValue] = [:]
                skipSpace()
                if take("}") { return .map(members) }
                repeat {
                    skipSpace()
                    let name = try string()
                    skipSpace()
                    guard take(":") else { throw malformed }
                    members[name] = try value(depth + 1)
                    skipSpace()
                } while take(",")
                guard take("}") else { throw malformed }
                return .map(members)
            case UInt8(ascii: "["):
                at += 1
                var elements: [AWSValue] = []
                skipSpace()
                if take("]") { return .list(elements) }
                repeat {
                    elements.append(try value(depth + 1))
                    skipSpace()
                } while take(",")
                guard take("]") else { throw malformed }
                return .list(elements)
            case UInt8(ascii: "\""): return .string(try string())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            default: return try number()
            }
        }

        private mutating func take(_ expected: Unicode.Scalar) -> Bool {
            guard byte == UInt8(ascii: expected), at < bytes.count else { return false }
            at += 1
            return true
        }

        private mutating func word(_ word: StaticString, _ value: AWSValue) throws -> AWSValue {
            guard at + word.utf8CodeUnitCount <= bytes.count,
                  memcmp(bytes.baseAddress! + at, word.utf8Start, word.utf8CodeUnitCount) == 0 else { throw malformed }
            at += word.utf8CodeUnitCount
            return value
        }

        private mutating func digits() throws {
            let first = at
            while byte >= 0x30 && byte <= 0x39 { at += 1 }
            guard at > first else { throw malformed }
        }

        private mutating func number() throws -> AWSValue {
            let start = at
            if byte == UInt8(ascii: "-") { at += 1 }
            let lead = byte
            let first = at
            try digits()
            guard lead != 0x30 || at == first + 1 else { throw malformed }
            var isWhole = true
            if byte == UInt8(ascii: ".") {
                at += 1
                isWhole = false
                try digits()
            }
            if byte | 0x20 == UInt8(ascii: "e") {
                at += 1
                isWhole = false
                if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
                try digits()
            }
            let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self)
            if isWhole, let value = Int64(text) { return .integer(value) }
            return .double(Double(text) ?? .infinity)
        }

        private mutating func string() throws -> String {
            guard take("\"") else { throw malformed }
            let start = at
            while at < bytes.count, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { at += 1 }
            if byte == UInt8(ascii: "\""), at < bytes.count {
                defer { at += 1 }
                guard let text = String(validating: UnsafeBufferPointer(rebasing: bytes[start..<at]), as: UTF8.self) else { throw malformed }
                return text
            }
            var out = Array(bytes[start..<at])
            while at < bytes.count, byte != UInt8(ascii: "\"") {
                guard byte >= 0x20 else { throw malformed }
                if byte != UInt8(ascii: "\\") {
                    out.append(byte)
                    at += 1
                    continue
                }
                at += 1
                let escaped = byte
                at += 1
                switch escaped {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(escaped)
                case UInt8(ascii: "b"): out.append(8)
                case UInt8(ascii: "f"): out.append(12)
                case UInt8(ascii: "n"): out.append(10)
                case UInt8(ascii: "r"): out.append(13)
                case UInt8(ascii: "t"): out.append(9)
                case UInt8(ascii: "u"): out += Array(String(try scalar()).utf8)
                default: throw malformed
                }
            }
            guard take("\""), let text = String(validating: out, as: UTF8.self) else { throw malformed }
            return text
        }

        private mutating func scalar() throws -> Unicode.Scalar {
            let high = try unit()
            guard high & 0xFC00 == 0xD800 else {
                guard let scalar = Unicode.Scalar(high) else { throw malformed }
                return scalar
            }
            guard take("\\"), take("u") else { throw malformed }
            let low = try unit()
            guard low & 0xFC00 == 0xDC00, let scalar = Unicode.Scalar(0x10000 + (high & 0x3FF) << 10 + low & 0x3FF) else { throw malformed }
            return scalar
        }

        private mutating func unit() throws -> UInt32 {
            guard at + 4 <= bytes.count, let text = String(validating: bytes[at..<at + 4], as: UTF8.self), let value = UInt32(text, radix: 16)
            else { throw malformed }
            at += 4
            return value
        }
    }
}

/// RFC 4648 with padding.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let values: [UInt8] = {
        var table = [UInt8](repeating: 0xFF, count: 256)
        for (i, letter) in alphabet.enumerated() { table[Int(letter)] = UInt8(i) }
        return table
    }()

    public static func encode(_ bytes: [UInt8], to out: inout [UInt8]) { bytes.withUnsafeBytes { encode($0, to: &out) } }

    public static func encode(_ bytes: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        out.reserveCapacity(out.count + (bytes.count + 2) / 3 * 4)
        alphabet.withUnsafeBufferPointer { letters in
            var i = 0
            while i < bytes.count {
                let n = min(3, bytes.count - i)
                let word = UInt32(bytes[i]) << 16 | (n > 1 ? UInt32(bytes[i + 1]) << 8 : 0) | (n > 2 ? UInt32(bytes[i + 2]) : 0)
                out.append(letters[Int((word >> 18) & 63)])
                out.append(letters[Int((word >> 12) & 63)])
                out.append(n > 1 ? letters[Int((word >> 6) & 63)] : UInt8(ascii: "="))
                out.append(n > 2 ? letters[Int(word & 63)] : UInt8(ascii: "="))
                i += 3
            }
        }
    }

    public static func encode(_ bytes: [UInt8]) -> String {
        var out: [UInt8] = []
        encode(bytes, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    /// nil when the text is not Base64 with its padding.
    public static func decode(_ text: String) -> [UInt8]? {
        var out: [UInt8] = [], copy = text
        return copy.withUTF8 { decode(UnsafeRawBufferPointer($0), to: &out) } ? out : nil
    }

    /// Appends the bytes; false, with a part of them appended, when the text is not Base64 with its padding.
    public static func decode(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) -> Bool {
        guard text.count % 4 == 0 else { return false }
        guard text.count > 0 else { return true }
        let padding = text[text.count - 1] != UInt8(ascii: "=") ? 0 : text[text.count - 2] == UInt8(ascii: "=") ? 2 : 1
        out.reserveCapacity(out.count + text.count / 4 * 3)
        return values.withUnsafeBufferPointer { values in
            var i = 0
            while i < text.count {
                let isLast = i + 4 == text.count
                let kept = isLast ? 4 - padding : 4
                var word: UInt32 = 0
                for k in 0..<4 {
                    let value = k < kept ? values[Int(text[i + k])] : 0
                    if value == 0xFF { return false }
                    word = word << 6 | UInt32(value)
                }
                out.append(UInt8(truncatingIfNeeded: word >> 16))
                if kept > 2 { out.append(UInt8(truncatingIfNeeded: word >> 8)) }
                if kept > 3 { out.append(UInt8(truncatingIfNeeded: word)) }
                i += 4
            }
            return true
        }
    }
}
