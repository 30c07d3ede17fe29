import StreamCore

/// The option `path`: parts between slashes, each a text or `{name}`, which takes whatever stands there.
struct PathPattern: Hashable, Sendable {
    enum Part: Hashable, Sendable { case text(String), name(String) }

    let text: String
    let parts: [Part]
    var names: [String] { parts.compactMap { if case .name(let name) = $0 { name } else { nil } } }

    init(_ options: TableOptions) throws {
        text = try options.require("path")
        guard text.hasPrefix("/") else { throw options.error("path", "does not begin with '/'", fix: "write it as in '/devices/{device}/logs'") }
        var parts: [Part] = []
        for part in text.dropFirst().split(separator: "/", omittingEmptySubsequences: false) {
            if part.hasPrefix("{"), part.hasSuffix("}") {
                let name = String(part.dropFirst().dropLast())
                guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-") }) else {
                    throw options.error("path", "has '\(part)' in it, which is no name", fix: "use letters, digits, '_' and '-' between the braces")
                }
                guard !parts.contains(.name(name)) else { throw options.error("path", "names {\(name)} twice") }
                parts.append(.name(name))
            } else {
                guard !part.contains(where: { "{}?#%".contains($0) }) else {
                    throw options.error("path", "has '\(part)' in it", fix: "a {name} stands for the whole of what is between two slashes")
                }
                parts.append(.text(String(part)))
            }
        }
        self.parts = parts
    }

    /// The values of the names, in their order; nil when a path is another one.
    func match(_ path: String) -> [String]? {
        guard path.hasPrefix("/") else { return nil }
        let given = path.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        guard given.count == parts.count else { return nil }
        var values: [String] = []
        for (part, text) in zip(parts, given) {
            guard let decoded = Self.decoded(text) else { return nil }
            switch part {
            case .text(let wanted): if decoded != wanted { return nil }
            case .name:
                if decoded.isEmpty { return nil }
                values.append(decoded)
            }
        }
        return values
    }

    /// Whether some path fits both.
    func overlaps(_ other: PathPattern) -> Bool {
        parts.count == other.parts.count && zip(parts, other.parts).allSatisfy { a, b in
            if case .text(let x) = a, case .text(let y) = b { x == y } else { true }
        }
    }

    /// With `%41` and the like replaced; nil when that is no UTF-8, or an escape is broken.
    private static func decoded(_ text: Substring) -> String? {
        guard text.utf8.contains(UInt8(ascii: "%")) else { return String(text) }
        var bytes: [UInt8] = [], rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else { bytes.append(byte); continue }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}
