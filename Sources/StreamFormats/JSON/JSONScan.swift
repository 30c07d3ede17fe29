/// Finding and checking the tokens of JSON text, 8 bytes at a time.
///
/// The text ends with a byte that no token holds (a newline or a zero), so that no loop needs to ask where the end is; up to
/// 16 bytes behind it may be read, which the padding of chunks allows.
enum JSONScan {
    typealias Text = UnsafePointer<UInt8>

    @inline(__always)
    static func word(_ p: Text) -> UInt64 { UnsafeRawPointer(p).loadUnaligned(as: UInt64.self) }

    private static let ones: UInt64 = 0x0101_0101_0101_0101
    private static let highs: UInt64 = 0x8080_8080_8080_8080

    /// From inside a string to the first quote, backslash or control character, and whether a byte beyond ASCII was on the way.
    @inline(__always)
    static func string(_ start: Text) -> (stop: Text, nonASCII: UInt64) {
        var p = start
        var nonASCII: UInt64 = 0
        while true {
            let w = word(p)
            let quote = w ^ (ones &* 0x22), backslash = w ^ (ones &* 0x5C)
            // A borrow can only raise false marks above the first true one.
            let stop = (((quote &- ones) & ~quote) | ((backslash &- ones) & ~backslash) | ((w &- ones &* 0x20) & ~w)) & highs
            if stop != 0 {
                let n = stop.trailingZeroBitCount
                nonASCII |= w & highs & ((1 &<< UInt64(truncatingIfNeeded: n &- 7)) &- 1)
                return (p + (n &>> 3), nonASCII)
            }
            nonASCII |= w & highs
            p += 8
        }
    }

    /// True for well-formed UTF-8: no overlong forms, no surrogates, nothing beyond U+10FFFF.
    static func isUTF8(_ start: Text, _ end: Text) -> Bool {
        var p = start
        while p < end {
            if end - p >= 8, word(p) & highs == 0 {
                p += 8
                continue
            }
            let c = p[0]
            if c < 0x80 {
                p += 1
                continue
            }
            let left = end - p
            @inline(__always) func tail(_ i: Int) -> Bool { p[i] & 0xC0 == 0x80 }
            switch c {
            case 0xC2...0xDF:
                guard left >= 2, tail(1) else { return false }
                p += 2
            case 0xE0...0xEF:
                guard left >= 3, tail(1), tail(2), c != 0xE0 || p[1] >= 0xA0, c != 0xED || p[1] < 0xA0 else { return false }
                p += 3
            case 0xF0...0xF4:
                guard left >= 4, tail(1), tail(2), tail(3), c != 0xF0 || p[1] >= 0x90, c != 0xF4 || p[1] < 0x90 else { return false }
                p += 4
            default:
                return false
            }
        }
        return true
    }

    /// The value of four hexadecimal digits, or nil.
    static func hex4(_ p: Text) -> UInt32? {
        var value: UInt32 = 0
        for i in 0..<4 {
            let c = p[i]
            let digit: UInt8
            switch c {
            case 48...57: digit = c - 48
            case 65...70: digit = c - 55
            case 97...102: digit = c - 87
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    /// The character of an escape sequence at a backslash and where the text goes on. nil when it is none, or half a
    /// surrogate pair.
    static func escape(_ p: Text) -> (scalar: UInt32, next: Text)? {
        switch p[1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return (UInt32(p[1]), p + 2)
        case UInt8(ascii: "b"): return (8, p + 2)
        case UInt8(ascii: "f"): return (12, p + 2)
        case UInt8(ascii: "n"): return (10, p + 2)
        case UInt8(ascii: "r"): return (13, p + 2)
        case UInt8(ascii: "t"): return (9, p + 2)
        case UInt8(ascii: "u"):
            guard let unit = hex4(p + 2) else { return nil }
            switch unit {
            case 0xD800...0xDBFF:
                guard p[6] == UInt8(ascii: "\\"), p[7] == UInt8(ascii: "u"), let low = hex4(p + 8), (0xDC00...0xDFFF).contains(low) else { return nil }
                return (0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00), p + 12)
            case 0xDC00...0xDFFF: return nil
            default: return (unit, p + 6)
            }
        default: return nil
        }
    }

    /// Past the closing quote of a string whose opening quote is at `p`; nil when it is not a well-formed string.
    static func skipString(_ p: Text) -> (end: Text, hasEscapes: Bool)? {
        var at = p + 1, hasEscapes = false
        while true {
            let (stop, nonASCII) = string(at)
            if nonASCII != 0, !isUTF8(at, stop) { return nil }
            if stop[0] == UInt8(ascii: "\"") { return (stop + 1, hasEscapes) }
            guard stop[0] == UInt8(ascii: "\\"), let (_, next) = escape(stop) else { return nil }
            hasEscapes = true
            at = next
        }
    }

    /// Writes the text of a checked string without its escapes; `out` has room for the bytes between the quotes.
    static func unescape(_ p: Text, to out: UnsafeMutablePointer<UInt8>) -> Int {
        var at = p + 1, n = 0
        while true {
            let c = at[0]
            if c == UInt8(ascii: "\"") { return n }
            guard c == UInt8(ascii: "\\"), let (scalar, next) = escape(at) else {
                out[n] = c
                n += 1
                at += 1
                continue
            }
            n += encode(scalar, to: out + n)
            at = next
        }
    }

    private static func encode(_ scalar: UInt32, to out: UnsafeMutablePointer<UInt8>) -> Int {
        func byte(_ v: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: v) }
        if scalar < 0x80 {
            out[0] = byte(scalar)
            return 1
        }
        if scalar < 0x800 {
            out[0] = byte(0xC0 | scalar >> 6)
            out[1] = byte(0x80 | scalar & 0x3F)
            return 2
        }
        if scalar < 0x10000 {
            out[0] = byte(0xE0 | scalar >> 12)
            out[1] = byte(0x80 | scalar >> 6 & 0x3F)
            out[2] = byte(0x80 | scalar & 0x3F)
            return 3
        }
        out[0] = byte(0xF0 | scalar >> 18)
        out[1] = byte(0x80 | scalar >> 12 & 0x3F)
        out[2] = byte(0x80 | scalar >> 6 & 0x3F)
        out[3] = byte(0x80 | scalar & 0x3F)
        return 4
    }

    /// Past a number; nil when it is not one in JSON's grammar. What follows it is not looked at.
    @inline(__always)
    static func skipNumber(_ start: Text) -> Text? {
        var p = start
        if p[0] == UInt8(ascii: "-") { p += 1 }
        guard p[0] &- 48 < 10 else { return nil }
        if p[0] == 48 {
            p += 1
        } else {
            while p[0] &- 48 < 10 { p += 1 }
        }
        if p[0] == UInt8(ascii: ".") {
            p += 1
            guard p[0] &- 48 < 10 else { return nil }
            while p[0] &- 48 < 10 { p += 1 }
        }
        if p[0] | 0x20 == UInt8(ascii: "e") {
            p += 1
            if p[0] == UInt8(ascii: "+") || p[0] == UInt8(ascii: "-") { p += 1 }
            guard p[0] &- 48 < 10 else { return nil }
            while p[0] &- 48 < 10 { p += 1 }
        }
        return p
    }

    static let wordNull: UInt32 = 0x6C6C_756E, wordTrue: UInt32 = 0x6575_7274, wordFals: UInt32 = 0x736C_6166

    @inline(__always)
    static func half(_ p: Text) -> UInt32 { UnsafeRawPointer(p).loadUnaligned(as: UInt32.self) }
}
