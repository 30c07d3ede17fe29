/// A JSON value: 64-bit numbers stay whole, and members keep their order.
package indirect enum JSON: Sendable, Hashable {
    case null, bool(Bool), int(Int64), double(Double), string(String), array([JSON]), object([Member])

    package struct Member: Sendable, Hashable {
        package var name: String, value: JSON
        package init(_ name: String, _ value: JSON) { (self.name, self.value) = (name, value) }
    }

    package subscript(name: String) -> JSON? {
        get {
            guard case .object(let members) = self else { return nil }
            return members.first { $0.name == name }?.value
        }
        set {
            guard case .object(var members) = self else { return }
            let at = members.firstIndex { $0.name == name }
            switch (at, newValue) {
            case (let at?, let value?): members[at].value = value
            case (let at?, nil): members.remove(at: at)
            case (nil, let value?): members.append(Member(name, value))
            case (nil, nil): break
            }
            self = .object(members)
        }
    }

    package var int: Int64? { if case .int(let n) = self { n } else { nil } }
    package var bool: Bool? { if case .bool(let b) = self { b } else { nil } }
    package var string: String? { if case .string(let s) = self { s } else { nil } }
    package var array: [JSON]? { if case .array(let a) = self { a } else { nil } }
    package var members: [Member]? { if case .object(let m) = self { m } else { nil } }

    // MARK: Text

    package func text() -> String {
        var out = ""
        write(&out)
        return out
    }

    private func write(_ out: inout String) {
        switch self {
        case .null: out += "null"
        case .bool(let b): out += b ? "true" : "false"
        case .int(let n): out += String(n)
        case .double(let d): out += d.isFinite ? "\(d)" : "null"
        case .string(let s): out += JSONText.quote(s)
        case .array(let items):
            out += "["
            for (i, item) in items.enumerated() {
                if i > 0 { out += "," }
                item.write(&out)
            }
            out += "]"
        case .object(let members):
            out += "{"
            for (i, member) in members.enumerated() {
                if i > 0 { out += "," }
                out += JSONText.quote(member.name) + ":"
                member.value.write(&out)
            }
            out += "}"
        }
    }

    // MARK: Parsing

    /// - Throws: `.corrupt`, naming `what`, when the text is not JSON.
    package static func parse(_ bytes: [UInt8], _ what: String) throws -> JSON {
        var parser = Parser(bytes: bytes, what: what)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.at == bytes.count else { throw parser.damaged() }
        return value
    }

    private struct Parser {
        let bytes: [UInt8]
        let what: String
        var at = 0

        func damaged() -> StreamError { StreamError(.corrupt, "\(what) is not valid JSON at byte \(at)", fix: "restore the file") }

        mutating func skipSpace() {
            while at < bytes.count, bytes[at] == 0x20 || (0x09...0x0D).contains(bytes[at]) { at += 1 }
        }

        mutating func expect(_ byte: UInt8) throws {
            skipSpace()
            guard at < bytes.count, bytes[at] == byte else { throw damaged() }
            at += 1
        }

        mutating func take(_ byte: UInt8) -> Bool {
            skipSpace()
            guard at < bytes.count, bytes[at] == byte else { return false }
            at += 1
            return true
        }

        mutating func value(depth: Int) throws -> JSON {
            skipSpace()
            guard at < bytes.count, depth < 200 else { throw damaged() }
            switch bytes[at] {
            case 0x7B:
                at += 1
                var members: [Member] = []
                if take(0x7D) { return .object([]) }
                repeat {
                    skipSpace()
                    let name = try string()
                    try expect(0x3A)
                    members.append(Member(name, try value(depth: depth + 1)))
                } while take(0x2C)
                try expect(0x7D)
                return .object(members)
            case 0x5B:
                at += 1
                var items: [JSON] = []
                if take(0x5D) { return .array([]) }
                repeat { items.append(try value(depth: depth + 1)) } while take(0x2C)
                try expect(0x5D)
                return .array(items)
            case 0x22: return .string(try string())
            case 0x74: return try word("true", .bool(true))
            case 0x66: return try word("false", .bool(false))
            case 0x6E: return try word("null", .null)
            default: return try number()
            }
        }

        private mutating func word(_ text: String, _ value: JSON) throws -> JSON {
            guard bytes[at...].starts(with: text.utf8) else { throw damaged() }
            at += text.utf8.count
            return value
        }

        private mutating func number() throws -> JSON {
            let start = at
            while at < bytes.count, "+-.0123456789eE".utf8.contains(bytes[at]) { at += 1 }
            let text = String(decoding: bytes[start..<at], as: UTF8.self)
            if let n = Int64(text) { return .int(n) }
            guard let d = Double(text) else { throw damaged() }
            return .double(d)
        }

        private mutating func string() throws -> String {
            guard at < bytes.count, bytes[at] == 0x22 else { throw damaged() }
            at += 1
            var out: [UInt8] = []
            while at < bytes.count, bytes[at] != 0x22 {
                guard bytes[at] == 0x5C else {
                    out.append(bytes[at])
                    at += 1
                    continue
                }
                guard at + 1 < bytes.count else { throw damaged() }
                at += 2
                switch bytes[at - 1] {
                case 0x6E: out.append(0x0A)
                case 0x74: out.append(0x09)
                case 0x72: out.append(0x0D)
                case 0x62: out.append(0x08)
                case 0x66: out.append(0x0C)
                case 0x75:
                    var code = try hex()
                    if (0xD800..<0xDC00).contains(code), at + 1 < bytes.count, bytes[at] == 0x5C, bytes[at + 1] == 0x75 {
                        at += 2
                        code = 0x10000 + (code - 0xD800) << 10 + (try hex() & 0x3FF)
                    }
                    out += Array(String(Character(Unicode.Scalar(code) ?? "\u{FFFD}")).utf8)
                default: out.append(bytes[at - 1])
                }
            }
            guard at < bytes.count else { throw damaged() }
            at += 1
            return String(decoding: out, as: UTF8.self)
        }

        private mutating func hex() throws -> UInt32 {
            guard at + 4 <= bytes.count, let code = UInt32(String(decoding: bytes[at..<at + 4], as: UTF8.self), radix: 16) else { throw damaged() }
            at += 4
            return code
        }
    }
}
