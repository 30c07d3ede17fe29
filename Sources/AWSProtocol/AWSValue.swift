/// A value of a request or a response, whatever it is written in: JSON or CBOR.
public enum AWSValue: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    /// Base64 text in JSON, a byte string in CBOR.
    case blob([UInt8])
    /// Seconds since 1970-01-01; a number in JSON, tag 1 in CBOR.
    case timestamp(Double)
    case list([AWSValue])
    case map([String: AWSValue])

    public subscript(name: String) -> AWSValue? {
        guard case .map(let members) = self, let value = members[name], value != .null else { return nil }
        return value
    }

    public var string: String? { if case .string(let text) = self { text } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var blob: [UInt8]? { if case .blob(let bytes) = self { bytes } else { nil } }
    public var list: [AWSValue]? { if case .list(let all) = self { all } else { nil } }
    public var map: [String: AWSValue]? { if case .map(let all) = self { all } else { nil } }

    public var integer: Int? {
        switch self {
        case .integer(let value): Int(value)
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value), .timestamp(let value): value
        default: nil
        }
    }
}

extension AWSValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
    ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int64) { self = .integer(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: AWSValue...) { self = .list(elements) }
    public init(dictionaryLiteral elements: (String, AWSValue)...) { self = .map(Dictionary(elements) { $1 }) }
}
