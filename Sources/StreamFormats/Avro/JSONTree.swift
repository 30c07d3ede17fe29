import StreamCore

/// A JSON text as a tree: for schemas and other small texts, not for records.
public indirect enum JSONTree: Sendable, Equatable {
    case null, bool(Bool)
    /// As it is written.
    case number(String)
    case string(String)
    case array([JSONTree])
    /// In the order in which they are written.
    case object([Member])

    /// One name of an object and its value.
    public struct Member: Sendable, Equatable {
        public var name: String, value: JSONTree
        public init(_ name: String, _ value: JSONTree) { (self.name, self.value) = (name, value) }
    }

    private static let depthMax = 200

    /// - Throws: `.validate` with the byte at which the text is not JSON.
    public init(_ text: String) throws {
        var reader = Reader(bytes: Array(text.utf8) + [0])
        self = try reader.value(0)
        reader.skipSpace()
        guard reader.at == reader.bytes.count - 1 else { throw reader.error }
    }

    public subscript(name: String) -> JSONTree? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name == name }?.value
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var int: Int? { if case .number(let text) = self { Int(text) } else { nil } }
    public var elements: [JSONTree]? { if case .array(let all) = self { all } else { nil } }

    /// A text as a JSON string with its quotes.
    public static func quoted(_ text: String) -> String {
        var out = EncodedBytes(capacity: text.utf8.count + 16), copy = text
        copy.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0), to: &out) }
        return String(decoding: out.bytes, as: UTF8.self)
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0

        var error: StreamError { StreamError(.validate, "it is not well-formed JSON at its byte \(at)") }

        mutating func skipSpace() { while [0x20, 0x09, 0x0A, 0x0D].contains(bytes[at]) { at += 1 } }

        mutating func value(_ depth: Int) throws -> JSONTree {
            guard depth < depthMax else { throw StreamError(.validate, "it is nested deeper than \(depthMax) levels") }
            skipSpace()
            switch bytes[at] {
            case UInt8(ascii: "{"):
                var members: [Member] = []
                at += 1
                skipSpace()
                if try ends(UInt8(ascii: "}"), isFirst: true) { return .object([]) }
                repeat {
                    skipSpace()
                    let name = try text()
                    skipSpace()
                    guard bytes[at] == UInt8(ascii: ":") else { throw error }
                    at += 1
                    members.append(Member(name, try value(depth + 1)))
                } while try !ends(UInt8(ascii: "}"), isFirst: false)
                return .object(members)
            case UInt8(ascii: "["):
                var elements: [JSONTree] = []
                at += 1
                skipSpace()
                if try ends(UInt8(ascii: "]"), isFirst: true) { return .array([]) }
                repeat { elements.append(try value(depth + 1)) } while try !ends(UInt8(ascii: "]"), isFirst: false)
                return .array(elements)
            case UInt8(ascii: "\""): return .string(try text())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            default:
                return try bytes.withUnsafeBufferPointer { all in
                    guard let end = JSONScan.skipNumber(all.baseAddress! + at) else { throw error }
                    let start = at
                    at = end - all.baseAddress!
                    return .number(String(decoding: all[start..<at], as: UTF8.self))
                }
            }
        }

        /// Behind an element: whether the container ends here; else past the comma.
        private mutating func ends(_ close: UInt8, isFirst: Bool) throws -> Bool {
            skipSpace()
            if bytes[at] == close {
                at += 1
                return true
            }
            if isFirst { return false }
            guard bytes[at] == UInt8(ascii: ",") else { throw error }
            at += 1
            return false
        }

        private mutating func word(_ word: String, _ value: JSONTree) throws -> JSONTree {
            guard bytes[at...].starts(with: word.utf8) else { throw error }
            at += word.utf8.count
            return value
        }

        private mutating func text() throws -> String {
            guard bytes[at] == UInt8(ascii: "\"") else { throw error }
            var out: [UInt8] = []
            at += 1
            while bytes[at] != UInt8(ascii: "\"") {
                let byte = bytes[at]
                guard byte >= 0x20 else { throw error }
                guard byte == UInt8(ascii: "\\") else {
                    out.append(byte)
                    at += 1
                    continue
                }
                at += 1
                switch bytes[at] {
                case UInt8(ascii: "b"): out.append(8)
                case UInt8(ascii: "f"): out.append(12)
                case UInt8(ascii: "n"): out.append(10)
                case UInt8(ascii: "r"): out.append(13)
                case UInt8(ascii: "t"): out.append(9)
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(bytes[at])
                case UInt8(ascii: "u"):
                    var code = try hex()
                    if code >= 0xD800, code < 0xDC00, bytes[at + 1] == UInt8(ascii: "\\"), bytes[at + 2] == UInt8(ascii: "u") {
                        at += 2
                        code = 0x10000 &+ (code &- 0xD800) << 10 &+ (try hex() &- 0xDC00)
                    }
                    guard let scalar = Unicode.Scalar(code) else { throw error }
                    out += Array(String(Character(scalar)).utf8)
                default: throw error
                }
                at += 1
            }
            at += 1
            return String(decoding: out, as: UTF8.self)
        }

        /// The four digits behind a `u`; ends on the last of them.
        private mutating func hex() throws -> UInt32 {
            var code: UInt32 = 0
            for _ in 0..<4 {
                at += 1
                guard let digit = Character(Unicode.Scalar(bytes[at])).hexDigitValue else { throw error }
                code = code << 4 | UInt32(digit)
            }
            return code
        }
    }
}
