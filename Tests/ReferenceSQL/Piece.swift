/// SQL text as a tree that can be made smaller, so that a failing query can be cut down to what makes it fail.
public indirect enum Piece: Sendable, ExpressibleByStringInterpolation {
    case text(String)
    case all([Piece])
    /// May be left out.
    case optional(Piece)
    /// Any of its parts may be left out but `least`; `prefix` stands in front of those that are left.
    case list([Piece], prefix: String = "", separator: String, least: Int = 0)
    /// May become one of these.
    case or(Piece, [Piece])

    public var sql: String {
        switch self {
        case .text(let text): text
        case .all(let parts): parts.map(\.sql).joined()
        case .optional(let part), .or(let part, _): part.sql
        case .list(let parts, let prefix, let separator, _): parts.isEmpty ? "" : prefix + parts.map(\.sql).joined(separator: separator)
        }
    }

    /// Every piece that is one step smaller, large steps first.
    public var reductions: [Piece] {
        switch self {
        case .text: return []
        case .all(let parts): return Self.within(parts) { .all($0) }
        case .optional(let part): return [.text("")] + part.reductions.map { .optional($0) }
        case .or(let part, let simpler): return simpler + part.reductions.map { .or($0, simpler) }
        case .list(let parts, let prefix, let separator, let least):
            var result: [Piece] = []
            if parts.count > least {
                result = parts.indices.map { i in
                    var rest = parts
                    rest.remove(at: i)
                    return .list(rest, prefix: prefix, separator: separator, least: least)
                }
            }
            return result + Self.within(parts) { .list($0, prefix: prefix, separator: separator, least: least) }
        }
    }

    private static func within(_ parts: [Piece], _ make: ([Piece]) -> Piece) -> [Piece] {
        parts.indices.flatMap { i in
            parts[i].reductions.map { smaller in
                var copy = parts
                copy[i] = smaller
                return make(copy)
            }
        }
    }

    // MARK: literals

    public init(stringLiteral value: String) { self = .text(value) }
    public init(stringInterpolation: StringInterpolation) { self = .all(stringInterpolation.parts) }

    public struct StringInterpolation: StringInterpolationProtocol {
        var parts: [Piece] = []
        public init(literalCapacity: Int, interpolationCount: Int) {}
        public mutating func appendLiteral(_ literal: String) { if !literal.isEmpty { parts.append(.text(literal)) } }
        public mutating func appendInterpolation(_ piece: Piece) { parts.append(piece) }
        public mutating func appendInterpolation(_ text: String) { parts.append(.text(text)) }
        public mutating func appendInterpolation(_ number: Int) { parts.append(.text("\(number)")) }
    }
}
