#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension EventPattern {
    /// Whether an event is meant. What is no object has no fields.
    public func matches(_ event: JSONValue) -> Bool { Self.matches(root, event) }

    private static func matches(_ fields: Fields, _ event: JSONValue?) -> Bool {
        for field in fields.named {
            let value = event?[field.name]
            switch field.rule {
            case .nested(let inner): if !matchesNested(inner, value) { return false }
            case .choices(let choices): if !matches(choices, value) { return false }
            }
        }
        return fields.alternatives.allSatisfy { $0.contains { matches($0, event) } }
    }

    /// Of an array one element has to match as a whole: values of different elements do not add up.
    private static func matchesNested(_ fields: Fields, _ value: JSONValue?) -> Bool {
        if case .array(let elements) = value, !elements.isEmpty { return elements.contains { matchesNested(fields, $0) } }
        return matches(fields, value)
    }

    private static func matches(_ choices: [Choice], _ value: JSONValue?) -> Bool {
        var leaves: [JSONValue] = []
        collect(value, into: &leaves)
        return choices.contains { choice in
            if case .exists(let wanted) = choice { return wanted == !leaves.isEmpty }
            return leaves.contains { matches(choice, $0) }
        }
    }

    private static func collect(_ value: JSONValue?, into leaves: inout [JSONValue]) {
        switch value {
        case nil, .object: break
        case .array(let elements): for element in elements { collect(element, into: &leaves) }
        case .some(let leaf): leaves.append(leaf)
        }
    }

    private static func matches(_ choice: Choice, _ leaf: JSONValue) -> Bool {
        switch choice {
        case .equals(let wanted): return wanted.isSame(as: leaf)
        case .exists(let wanted): return wanted
        case .text(let match):
            guard case .string(let text) = leaf else { return false }
            return match.matches(text)
        case .anythingButText(let match):
            guard case .string(let text) = leaf else { return true }
            return !match.matches(text)
        case .anythingBut(let values): return !values.contains { $0.isSame(as: leaf) }
        case .numeric(let comparisons):
            guard let number = leaf.asNumber else { return false }
            return comparisons.allSatisfy { $0.holds(number) }
        case .addresses(let range):
            guard case .string(let text) = leaf else { return false }
            return range.contains(text)
        }
    }
}

extension EventPattern.Comparison {
    func holds(_ number: Double) -> Bool {
        switch relation {
        case .less: number < than
        case .lessOrEqual: number <= than
        case .equal: number == than
        case .greater: number > than
        case .greaterOrEqual: number >= than
        }
    }
}

extension EventPattern.TextMatch {
    func matches(_ text: String) -> Bool {
        switch self {
        case .prefix(let wanted, let folded):
            let text = folded ? text.lowercased() : text
            return wanted.contains { text.utf8.starts(with: $0.utf8) }
        case .suffix(let wanted, let folded):
            let text = folded ? text.lowercased() : text
            return wanted.contains { text.utf8.reversed().starts(with: $0.utf8.reversed()) }
        case .equalsIgnoringCase(let wanted):
            let text = text.lowercased()
            return wanted.contains { $0.utf8.elementsEqual(text.utf8) }
        case .wildcard(let patterns): return patterns.contains { Self.matches(Array(text.utf8)[...], $0) }
        }
    }

    /// The first piece stands at the start, the last at the end, and the others one after another in between, each as early as it can.
    private static func matches(_ text: ArraySlice<UInt8>, _ pieces: [String]) -> Bool {
        let first = Array(pieces[0].utf8)
        guard text.starts(with: first) else { return false }
        if pieces.count == 1 { return text.count == first.count }
        var rest = text.dropFirst(first.count)
        for piece in pieces.dropFirst().dropLast() {
            let piece = Array(piece.utf8)
            guard let at = rest.indices.first(where: { rest[$0...].starts(with: piece) }) else { return false }
            rest = rest[(at + piece.count)...]
        }
        let last = Array(pieces.last!.utf8)
        return rest.count >= last.count && rest.suffix(last.count).elementsEqual(last)
    }
}

/// Addresses that begin with the same bits.
struct AddressRange: Hashable, Sendable {
    private let bytes: [UInt8]
    private let bits: Int

    /// `10.0.0.0/24`, `2001:db8::/32`, or a single address.
    init?(_ text: String) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let bytes = Self.bytes(String(parts[0])) else { return nil }
        var bits = bytes.count * 8
        if parts.count == 2 {
            guard let given = Int(parts[1]), (0...bits).contains(given) else { return nil }
            bits = given
        }
        (self.bytes, self.bits) = (bytes, bits)
    }

    func contains(_ text: String) -> Bool {
        guard let address = Self.bytes(text), address.count == bytes.count else { return false }
        let whole = bits / 8
        guard address[..<whole].elementsEqual(bytes[..<whole]) else { return false }
        let rest = bits % 8
        return rest == 0 || (address[whole] ^ bytes[whole]) >> UInt8(8 - rest) == 0
    }

    /// 4 or 16 bytes; nil when the text is no address.
    static func bytes(_ text: String) -> [UInt8]? {
        var short = in_addr(), long = in6_addr()
        if inet_pton(AF_INET, text, &short) == 1 { return withUnsafeBytes(of: &short) { Array($0) } }
        if inet_pton(AF_INET6, text, &long) == 1 { return withUnsafeBytes(of: &long) { Array($0) } }
        return nil
    }
}
