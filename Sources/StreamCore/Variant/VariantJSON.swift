/// JSON as VARIANT and back.
///
/// Integers of 64 bits stay integers; larger ones and numbers with a fraction become decimals of up to 38 digits; numbers with an
/// exponent or more digits become doubles.
public enum VariantJSON {
    /// Why a text is no JSON.
    public enum Failure: Error, Equatable {
        case malformed(at: Int)
        case duplicateKey(String)
        case tooDeep
    }

    static let maxDepth = 1_000

    /// Appends the value of a whole JSON text.
    ///
    /// - Parameter allowsDuplicates: of equal keys of an object the last one counts; else they are a failure.
    public static func parse(_ text: UnsafeRawBufferPointer, allowsDuplicates: Bool, into writer: inout VariantWriter) throws(Failure) {
        var reader = Reader(text: text, allowsDuplicates: allowsDuplicates)
        try reader.value(&writer, 0)
        reader.skipBlanks()
        if reader.at < text.count { throw .malformed(at: reader.at) }
    }

    private struct Reader {
        let text: UnsafeRawBufferPointer
        let allowsDuplicates: Bool
        var at = 0

        mutating func skipBlanks() {
            while at < text.count, text[at] == 0x20 || text[at] == 0x0A || text[at] == 0x0D || text[at] == 0x09 { at += 1 }
        }

        mutating func value(_ out: inout VariantWriter, _ depth: Int) throws(Failure) {
            guard depth < VariantJSON.maxDepth else { throw .tooDeep }
            skipBlanks()
            guard at < text.count else { throw .malformed(at: at) }
            switch text[at] {
            case UInt8(ascii: "{"): try object(&out, depth)
            case UInt8(ascii: "["): try array(&out, depth)
            case UInt8(ascii: "\""):
                if let plain = plainString() { out.append(string: plain) } else { try string().withUnsafeBytes { out.append(string: $0) } }
            case UInt8(ascii: "t"):
                try word("true")
                out.append(true)
            case UInt8(ascii: "f"):
                try word("false")
                out.append(false)
            case UInt8(ascii: "n"):
                try word("null")
                out.appendNull()
            default: try number(&out)
            }
        }

        private mutating func word(_ word: StaticString) throws(Failure) {
            let n = word.utf8CodeUnitCount
            guard at + n <= text.count else { throw .malformed(at: at) }
            for i in 0..<n where text[at + i] != word.utf8Start[i] { throw .malformed(at: at) }
            at += n
        }

        /// True when the container goes on, false when it ends.
        private mutating func goesOn(_ close: UInt8) throws(Failure) -> Bool {
            skipBlanks()
            guard at < text.count, text[at] == close || text[at] == UInt8(ascii: ",") else { throw .malformed(at: at) }
            at += 1
            return text[at - 1] != close
        }

        private mutating func isEmpty(_ close: UInt8) -> Bool {
            at += 1
            skipBlanks()
            guard at < text.count, text[at] == close else { return false }
            at += 1
            return true
        }

        private mutating func array(_ out: inout VariantWriter, _ depth: Int) throws(Failure) {
            try out.array { (out, next) throws(Failure) in
                if isEmpty(UInt8(ascii: "]")) { return }
                repeat {
                    try value(&out, depth + 1)
                    next(&out)
                } while try goesOn(UInt8(ascii: "]"))
            }
        }

        private mutating func object(_ out: inout VariantWriter, _ depth: Int) throws(Failure) {
            var seen: Set<[UInt8]> = []
            let object = out.beginObject()
            if !isEmpty(UInt8(ascii: "}")) {
                repeat {
                    skipBlanks()
                    guard at < text.count, text[at] == UInt8(ascii: "\"") else { throw .malformed(at: at) }
                    let plain = plainString(), escaped = try plain == nil ? string() : []
                    if !allowsDuplicates {
                        let key = plain.map { Array($0) } ?? escaped
                        if !seen.insert(key).inserted { throw .duplicateKey(String(decoding: key, as: UTF8.self)) }
                    }
                    skipBlanks()
                    guard at < text.count, text[at] == UInt8(ascii: ":") else { throw .malformed(at: at) }
                    at += 1
                    try value(&out, depth + 1)
                    if let plain { out.endMember(key: plain) } else { escaped.withUnsafeBytes { out.endMember(key: $0) } }
                } while try goesOn(UInt8(ascii: "}"))
            }
            out.endObject(object)
        }

        /// A string without escapes, as it stands in the text; nil, and nothing is read, when it has some or does not end.
        private mutating func plainString() -> UnsafeRawBufferPointer? {
            let start = at + 1
            var end = start
            while end < text.count {
                let c = text[end]
                if c == UInt8(ascii: "\"") {
                    at = end + 1
                    return UnsafeRawBufferPointer(rebasing: text[start..<end])
                }
                if c == UInt8(ascii: "\\") || c < 0x20 { return nil }
                end += 1
            }
            return nil
        }

        private mutating func string() throws(Failure) -> [UInt8] {
            at += 1
            var result: [UInt8] = []
            while at < text.count {
                let c = text[at]
                at += 1
                if c == UInt8(ascii: "\"") { return result }
                if c < 0x20 { throw .malformed(at: at - 1) }
                guard c == UInt8(ascii: "\\") else {
                    result.append(c)
                    continue
                }
                guard at < text.count else { break }
                let escape = text[at]
                at += 1
                switch escape {
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(escape)
                case UInt8(ascii: "b"): result.append(8)
                case UInt8(ascii: "f"): result.append(12)
                case UInt8(ascii: "n"): result.append(10)
                case UInt8(ascii: "r"): result.append(13)
                case UInt8(ascii: "t"): result.append(9)
                case UInt8(ascii: "u"):
                    var unit = try hex()
                    if unit & 0xFC00 == 0xD800, at + 1 < text.count, text[at] == UInt8(ascii: "\\"), text[at + 1] == UInt8(ascii: "u") {
                        at += 2
                        let low = try hex()
                        unit = low & 0xFC00 == 0xDC00 ? 0x10000 + (unit & 0x3FF) << 10 + low & 0x3FF : 0xFFFD
                    }
                    result += Array(String(Character(Unicode.Scalar(unit) ?? "\u{FFFD}")).utf8)
                default: throw .malformed(at: at - 1)
                }
            }
            throw .malformed(at: at)
        }

        private mutating func hex() throws(Failure) -> UInt32 {
            guard at + 4 <= text.count else { throw .malformed(at: at) }
            var unit: UInt32 = 0
            for _ in 0..<4 {
                guard let digit = Character(Unicode.Scalar(text[at])).hexDigitValue else { throw .malformed(at: at) }
                unit = unit << 4 | UInt32(digit)
                at += 1
            }
            return unit
        }

        private mutating func number(_ out: inout VariantWriter) throws(Failure) {
            let start = at
            if at < text.count, text[at] == UInt8(ascii: "-") { at += 1 }
            func digits(_ at: inout Int) -> Int {
                let from = at
                while at < text.count, text[at] &- 0x30 < 10 { at += 1 }
                return at - from
            }
            let first = at, whole = digits(&at)
            guard whole > 0, whole == 1 || text[first] != 0x30 else { throw .malformed(at: start) }
            var fraction = 0, hasExponent = false
            if at < text.count, text[at] == UInt8(ascii: ".") {
                at += 1
                fraction = digits(&at)
                guard fraction > 0 else { throw .malformed(at: start) }
            }
            if at < text.count, text[at] | 0x20 == UInt8(ascii: "e") {
                hasExponent = true
                at += 1
                if at < text.count, text[at] == UInt8(ascii: "+") || text[at] == UInt8(ascii: "-") { at += 1 }
                guard digits(&at) > 0 else { throw .malformed(at: start) }
            }
            let token = UnsafeRawBufferPointer(rebasing: text[start..<at])
            if !hasExponent, whole + fraction <= 38, let unscaled = Self.unscaled(token) {
                if fraction == 0, let integer = Int64(exactly: unscaled) { out.append(integer) } else { out.append(decimal: unscaled, scale: fraction) }
            } else {
                out.append(NumberText.parseDouble(token) ?? 0)
            }
        }

        private static func unscaled(_ token: UnsafeRawBufferPointer) -> Int128? {
            var value: Int128 = 0
            for c in token where c &- 0x30 < 10 { value = value * 10 + Int128(c - 0x30) }
            return token[0] == UInt8(ascii: "-") ? -value : value
        }
    }

    // MARK: writing

    /// Appends the value as JSON, without blanks; what JSON has no form for comes as a string.
    public static func write(_ value: Variant, to out: inout [UInt8]) {
        switch value.kind {
        case .null: out += "null".utf8
        case .true: out += "true".utf8
        case .false: out += "false".utf8
        case .integer: out += String(value.integer).utf8
        case .double: append(double: value.double, to: &out)
        case .float: append(number: NumberText.string(value.float), isFinite: value.float.isFinite, to: &out)
        case .decimal: out += NumberText.string(decimal: value.decimal.unscaled, scale: value.decimal.scale).utf8
        case .string: quote(value.content, to: &out)
        case .binary:
            out.append(UInt8(ascii: "\""))
            out += base64(value.content)
            out.append(UInt8(ascii: "\""))
        case .date: quote(DateTimeText.date(value.int32), to: &out)
        case .time: quote(DateTimeText.time(value.int32, precision: 3), to: &out)
        case .timestamp: quote(DateTimeText.timestamp(value.timestamp.value, precision: value.timestamp.precision), to: &out)
        case .instant: quote(DateTimeText.timestamp(value.timestamp.value, precision: value.timestamp.precision) + "Z", to: &out)
        case .array:
            out.append(UInt8(ascii: "["))
            for i in 0..<value.count {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                write(value.element(i), to: &out)
            }
            out.append(UInt8(ascii: "]"))
        case .object:
            out.append(UInt8(ascii: "{"))
            for i in 0..<value.count {
                if i > 0 { out.append(UInt8(ascii: ",")) }
                quote(value.key(i), to: &out)
                out.append(UInt8(ascii: ":"))
                write(value.value(i), to: &out)
            }
            out.append(UInt8(ascii: "}"))
        }
    }

    public static func text(_ value: Variant) -> String {
        var out: [UInt8] = []
        write(value, to: &out)
        return String(decoding: out, as: UTF8.self)
    }

    private static func append(double: Double, to out: inout [UInt8]) {
        append(number: NumberText.string(double), isFinite: double.isFinite, to: &out)
    }

    private static func append(number: String, isFinite: Bool, to out: inout [UInt8]) {
        if isFinite { out += number.utf8 } else { quote(number, to: &out) }
    }

    private static func quote(_ text: String, to out: inout [UInt8]) {
        var copy = text
        copy.withUTF8 { quote(UnsafeRawBufferPointer($0), to: &out) }
    }

    private static func quote(_ text: UnsafeRawBufferPointer, to out: inout [UInt8]) {
        out.append(UInt8(ascii: "\""))
        for c in text {
            switch c {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): out += [UInt8(ascii: "\\"), c]
            case 8: out += "\\b".utf8
            case 9: out += "\\t".utf8
            case 10: out += "\\n".utf8
            case 12: out += "\\f".utf8
            case 13: out += "\\r".utf8
            case 0..<0x20:
                out += "\\u00".utf8
                for digit in [c >> 4, c & 15] { out.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
            default: out.append(c)
            }
        }
        out.append(UInt8(ascii: "\""))
    }

    private static func base64(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        for i in stride(from: 0, to: bytes.count, by: 3) {
            let n = min(3, bytes.count - i)
            let word = (0..<3).reduce(0) { $0 << 8 | ($1 < n ? Int(bytes[i + $1]) : 0) }
            for k in 0..<4 { out.append(k <= n ? letters[word >> (18 - 6 * k) & 63] : UInt8(ascii: "=")) }
        }
        return out
    }
}
