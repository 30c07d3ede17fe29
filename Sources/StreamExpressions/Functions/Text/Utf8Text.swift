#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Steps over UTF-8 text as raw bytes. "Character" means code point here, as in most of Flink's functions.
///
/// Text that is not valid UTF-8 gives odd counts, but never a read outside the buffer.
enum Utf8Text {
    typealias Bytes = UnsafeRawBufferPointer

    /// Bytes of the character that starts with `first`.
    @inline(__always)
    static func width(_ first: UInt8) -> Int {
        first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4
    }

    @inline(__always)
    static func isContinuation(_ byte: UInt8) -> Bool { byte & 0xC0 == 0x80 }

    /// True when there is no byte of 0x80 or more.
    @inline(__always)
    static func isASCII(_ text: Bytes) -> Bool {
        guard let start = text.baseAddress else { return true }
        var i = 0
        var high: UInt64 = 0
        while i + 8 <= text.count {
            high |= start.loadUnaligned(fromByteOffset: i, as: UInt64.self)
            i += 8
        }
        while i < text.count {
            high |= UInt64(start.load(fromByteOffset: i, as: UInt8.self))
            i += 1
        }
        return high & 0x8080_8080_8080_8080 == 0
    }

    /// Characters of the text.
    @inline(__always)
    static func count(_ text: Bytes) -> Int {
        var n = 0
        for byte in text where !isContinuation(byte) { n += 1 }
        return n
    }

    /// UTF-16 units of the text, which is what Java counts.
    static func utf16Count(_ text: Bytes) -> Int {
        var n = 0
        for byte in text where !isContinuation(byte) { n += byte >= 0xF0 ? 2 : 1 }
        return n
    }

    /// Where the character after `n` characters from `start` on begins; the end of the text when there are fewer.
    @inline(__always)
    static func skip(_ n: Int, in text: Bytes, from start: Int = 0) -> Int {
        var at = start, left = n
        while left > 0, at < text.count {
            at += width(text[at])
            left -= 1
        }
        return min(at, text.count)
    }

    /// Where the last `n` characters begin; 0 when there are fewer.
    @inline(__always)
    static func skipBack(_ n: Int, in text: Bytes) -> Int {
        var at = text.count, left = n
        while left > 0, at > 0 {
            at = previous(text, at)
            left -= 1
        }
        return at
    }

    /// Start of the character that ends before `at`, which is above 0.
    @inline(__always)
    static func previous(_ text: Bytes, _ at: Int) -> Int {
        var i = at - 1
        while i > 0, isContinuation(text[i]) { i -= 1 }
        return i
    }

    /// The character at `at` and its width, which never reaches past the end.
    @inline(__always)
    static func decode(_ text: Bytes, _ at: Int) -> (scalar: UInt32, width: Int) {
        let first = text[at]
        if first < 0x80 { return (UInt32(first), 1) }
        return decodeMultibyte(text, at, first)
    }

    private static func decodeMultibyte(_ text: Bytes, _ at: Int, _ first: UInt8) -> (scalar: UInt32, width: Int) {
        let n = min(width(first), text.count - at)
        var scalar = UInt32(first) & (first < 0xE0 ? 0x1F : first < 0xF0 ? 0x0F : 0x07)
        for i in 1..<max(n, 1) { scalar = scalar << 6 | UInt32(text[at + i] & 0x3F) }
        return (scalar, max(n, 1))
    }

    /// Byte position of the first `needle` at or after `from`; nil when there is none. An empty needle is found at once.
    @inline(__always)
    static func find(_ needle: Bytes, in text: Bytes, from: Int = 0) -> Int? {
        guard needle.count > 0 else { return from <= text.count ? from : nil }
        guard from + needle.count <= text.count, let base = text.baseAddress, let wanted = needle.baseAddress else { return nil }
        if needle.count == 1 {
            guard let hit = memchr(base + from, Int32(needle[0]), text.count - from) else { return nil }
            return UnsafeRawPointer(hit) - base
        }
        let first = Int32(needle[0]), last = text.count - needle.count
        var at = from
        while at <= last, let hit = memchr(base + at, first, last - at + 1) {
            at = UnsafeRawPointer(hit) - base
            if memcmp(base + at + 1, wanted + 1, needle.count - 1) == 0 { return at }
            at += 1
        }
        return nil
    }

    @inline(__always)
    static func equal(_ a: Bytes, _ b: Bytes) -> Bool {
        a.count == b.count && (a.count == 0 || memcmp(a.baseAddress!, b.baseAddress!, a.count) == 0)
    }

    /// True when `part` stands at byte `at` of `text`.
    @inline(__always)
    static func matches(_ part: Bytes, in text: Bytes, at: Int) -> Bool {
        at + part.count <= text.count && (part.count == 0 || memcmp(text.baseAddress! + at, part.baseAddress!, part.count) == 0)
    }

    @inline(__always)
    static func slice(_ text: Bytes, _ from: Int, _ to: Int) -> Bytes { Bytes(rebasing: text[from..<to]) }

    /// Order by UTF-16 units, as Java compares strings: supplementary characters come before U+E000 to U+FFFF.
    static func javaOrder(_ a: Bytes, _ b: Bytes) -> Bool {
        let n = min(a.count, b.count)
        var i = 0
        while i < n, a[i] == b[i] { i += 1 }
        if i == n { return a.count < b.count }
        let (x, y) = (a[i], b[i])
        if x >= 0xEE, y >= 0xEE, (x >= 0xF0) != (y >= 0xF0) { return x >= 0xF0 }
        return x < y
    }
}

extension UnsafeRawBufferPointer {
    var string: String { String(decoding: self, as: UTF8.self) }
}
