import LakeTable
import StreamCore

/// Walks through JSON text without building anything of it. A timeline can have tens of thousands of commits to look at.
struct JSONScanner {
    private let bytes: UnsafeBufferPointer<UInt8>
    private var at = 0
    private var depth = 0

    init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private func bad(_ what: String) -> StreamError { StreamError(.corrupt, "\(what) at byte \(at) of its JSON") }

    private mutating func next() throws -> UInt8 {
        while at < bytes.count {
            let byte = bytes[at]
            guard byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return byte }
            at += 1
        }
        throw bad("the text ends")
    }

    private mutating func expect(_ byte: UInt8) throws {
        guard try next() == byte else { throw bad("'\(Character(UnicodeScalar(byte)))' is missing") }
        at += 1
    }

    private mutating func word(_ text: StaticString) -> Bool {
        let n = text.utf8CodeUnitCount
        guard at + n <= bytes.count else { return false }
        for i in 0..<n where bytes[at + i] != text.utf8Start[i] { return false }
        at += n
        return true
    }

    /// Whether a null comes next, which is then passed over.
    private mutating func null() throws -> Bool { try next() == 0x6E && word("null") }

    private mutating func enter() throws {
        depth += 1
        guard depth < 200 else { throw bad("values are nested too deeply") }
    }

    /// Calls `field` with each key; it must read or skip the value. Null counts as an object without keys.
    mutating func object(_ field: (inout JSONScanner, String) throws -> Void) throws {
        if try null() { return }
        try expect(0x7B)
        try enter()
        if try next() != 0x7D {
            repeat {
                let key = try string()
                try expect(0x3A)
                try field(&self, key)
            } while try more()
        }
        try expect(0x7D)
        depth -= 1
    }

    mutating func array(_ item: (inout JSONScanner) throws -> Void) throws {
        if try null() { return }
        try expect(0x5B)
        try enter()
        if try next() != 0x5D { repeat { try item(&self) } while try more() }
        try expect(0x5D)
        depth -= 1
    }

    private mutating func more() throws -> Bool {
        guard try next() == 0x2C else { return false }
        at += 1
        return true
    }

    /// A string; nil for null.
    mutating func text() throws -> String? { try null() ? nil : try string() }

    private mutating func string() throws -> String {
        try expect(0x22)
        let start = at
        while at < bytes.count {
            switch bytes[at] {
            case 0x22:
                defer { at += 1 }
                return String(decoding: bytes[start..<at], as: UTF8.self)
            case 0x5C: return try escapedString(start)
            default: at += 1
            }
        }
        throw bad("a string does not end")
    }

    private mutating func escapedString(_ start: Int) throws -> String {
        var out = Array(bytes[start..<at])
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            if byte == 0x22 { return String(decoding: out, as: UTF8.self) }
            guard byte == 0x5C else {
                out.append(byte)
                continue
            }
            guard at < bytes.count else { break }
            let escape = bytes[at]
            at += 1
            switch escape {
            case 0x22, 0x5C, 0x2F: out.append(escape)
            case UInt8(ascii: "b"): out.append(0x08)
            case UInt8(ascii: "f"): out.append(0x0C)
            case UInt8(ascii: "n"): out.append(0x0A)
            case UInt8(ascii: "r"): out.append(0x0D)
            case UInt8(ascii: "t"): out.append(0x09)
            case UInt8(ascii: "u"):
                var unit = try hex()
                if unit & 0xFC00 == 0xD800, word("\\u") { unit = 0x10000 + (unit & 0x3FF) << 10 + (try hex() & 0x3FF) }
                out += Array(String(UnicodeScalar(unit) ?? "\u{FFFD}").utf8)
            default: throw bad("an escape is not known")
            }
        }
        throw bad("a string does not end")
    }

    private mutating func hex() throws -> UInt32 {
        guard at + 4 <= bytes.count, let unit = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16) else { throw bad("an escape is not known") }
        at += 4
        return unit
    }

    /// A whole number; nil for null.
    mutating func integer() throws -> Int64? {
        if try null() { return nil }
        let start = at
        while at < bytes.count, bytes[at] == 0x2D || bytes[at] &- 0x30 <= 9 { at += 1 }
        guard let value = Int64(String(decoding: bytes[start..<at], as: UTF8.self)) else { throw bad("a number is missing") }
        return value
    }

    mutating func skip() throws {
        switch try next() {
        case 0x7B: try object { json, _ in try json.skip() }
        case 0x5B: try array { try $0.skip() }
        case 0x22:
            at += 1
            while at < bytes.count, bytes[at] != 0x22 { at += bytes[at] == 0x5C ? 2 : 1 }
            guard at < bytes.count else { throw bad("a string does not end") }
            at += 1
        default:
            let start = at
            while at < bytes.count, bytes[at] != 0x2C, bytes[at] != 0x7D, bytes[at] != 0x5D, bytes[at] > 0x20 { at += 1 }
            guard at > start else { throw bad("a value is missing") }
        }
    }

    /// Nothing but white space is left.
    mutating func end() throws {
        while at < bytes.count, bytes[at] == 0x20 || bytes[at] == 0x0A || bytes[at] == 0x0D || bytes[at] == 0x09 { at += 1 }
        guard at == bytes.count else { throw bad("there is more text") }
    }
}
