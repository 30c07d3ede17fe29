/// A word or sign of an expression, and where it stands.
struct ExpressionToken {
    enum Kind: Hashable {
        /// A name as it is written.
        case name
        /// `#name`
        case namePlaceholder
        /// `:value`
        case valuePlaceholder
        case integer
        /// AND, OR, NOT, BETWEEN, IN, SET, REMOVE, ADD, DELETE, in capitals.
        case keyword(String)
        /// An operator or punctuation.
        case sign(String)
        /// What no expression may contain.
        case unknown
        case end
    }

    var kind: Kind
    /// In bytes of the expression.
    var range: Range<Int>
}

/// Cuts an expression into tokens; it always succeeds, and parsing fails at tokens that are unknown.
struct ExpressionTokens {
    let source: [UInt8]
    private(set) var all: [ExpressionToken] = []

    private static let keywords: Set<String> = ["AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"]

    init(_ text: String) {
        source = Array(text.utf8)
        var at = 0
        while at < source.count {
            if [0x20, 0x09, 0x0A, 0x0D].contains(source[at]) {
                at += 1
                continue
            }
            let start = at
            let kind = next(&at)
            all.append(ExpressionToken(kind: kind, range: start..<at))
        }
        all.append(ExpressionToken(kind: .end, range: source.count..<source.count))
    }

    private func next(_ at: inout Int) -> ExpressionToken.Kind {
        let byte = source[at]
        let start = at
        at += 1
        switch byte {
        case _ where Self.isLetter(byte):
            skipWord(&at)
            let word = String(decoding: source[start..<at], as: UTF8.self).uppercased()
            return Self.keywords.contains(word) ? .keyword(word) : .name
        case UInt8(ascii: "#"), UInt8(ascii: ":"):
            skipWord(&at)
            return at == start + 1 ? .unknown : byte == UInt8(ascii: "#") ? .namePlaceholder : .valuePlaceholder
        case UInt8(ascii: "0"): return .integer
        case UInt8(ascii: "1")...UInt8(ascii: "9"):
            while at < source.count, Self.isDigit(source[at]) { at += 1 }
            return .integer
        case UInt8(ascii: "<"), UInt8(ascii: ">"):
            if at < source.count, source[at] == UInt8(ascii: "=") || (byte == UInt8(ascii: "<") && source[at] == UInt8(ascii: ">")) { at += 1 }
            return .sign(String(decoding: source[start..<at], as: UTF8.self))
        case _ where "=()[],.+-".utf8.contains(byte): return .sign(String(decoding: source[start..<at], as: UTF8.self))
        default:
            // The whole of a character beyond ASCII.
            while at < source.count, source[at] & 0xC0 == 0x80 { at += 1 }
            return .unknown
        }
    }

    private func skipWord(_ at: inout Int) {
        while at < source.count, Self.isLetter(source[at]) || Self.isDigit(source[at]) || source[at] == UInt8(ascii: "_") { at += 1 }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }
    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    func text(_ range: Range<Int>) -> String { String(decoding: source[range], as: UTF8.self) }

    /// What a syntax error at a token says: the token, and the text from the one before it to the one after.
    func problem(at index: Int) -> String {
        let token = all[index]
        let shown = token.kind == .end ? "<EOF>" : text(token.range)
        let from = index > 0 ? all[index - 1].range.lowerBound : 0
        let to = index + 1 < all.count ? all[index + 1].range.upperBound : token.range.upperBound
        return "Syntax error; token: \"\(shown)\", near: \"\(text(from..<to))\""
    }
}
