import StreamCore

/// Values of cell options: JSON as Python's `json.dumps` writes it; read also as Python literals (`'x'`, `True`, `None`).
enum PythonLiteral {
    static func text(_ value: JSON) -> String {
        switch value {
        case .array(let items): "[" + items.map(text).joined(separator: ", ") + "]"
        case .object(let members): "{" + members.map { quoted($0.name) + ": " + text($0.value) }.joined(separator: ", ") + "}"
        case .string(let s): quoted(s)
        default: value.text()
        }
    }

    /// - Parameter isASCII: other characters become `\u00fc`, as `json.dumps` has it by default.
    static func quoted(_ text: String, isASCII: Bool = true) -> String {
        var out = "\""
        func escape(_ unit: UInt16) {
            let digits = String(unit, radix: 16)
            out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\u{8}": out += "\\b"
            case "\u{C}": out += "\\f"
            case _ where scalar.value < 0x20 || isASCII && scalar.value > 0x7E: String(scalar).utf16.forEach(escape)
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out + "\""
    }

    /// Nil when the text is neither.
    static func value(_ text: String) -> JSON? {
        let text = text.trimmed
        guard !text.isEmpty else { return nil }
        if let value = try? JSON.parse(Array(text.utf8), "a cell option") { return value }
        var reader = Reader(text: Array(text.unicodeScalars))
        guard let value = reader.value(depth: 0) else { return nil }
        reader.skipSpace()
        return reader.at == reader.text.count ? value : nil
    }

    private struct Reader {
        let text: [Unicode.Scalar]
        var at = 0

        mutating func skipSpace() { while at < text.count, text[at].properties.isWhitespace { at += 1 } }

        mutating func take(_ scalar: Unicode.Scalar) -> Bool {
            skipSpace()
            guard at < text.count, text[at] == scalar else { return false }
            at += 1
            return true
        }

        mutating func value(depth: Int) -> JSON? {
            skipSpace()
            guard at < text.count, depth < 100 else { return nil }
            switch text[at] {
            case "[": return items(close: "]", depth: depth).map { .array($0) }
            case "(": return items(close: ")", depth: depth).map { .array($0) }
            case "{": return object(depth: depth)
            case "'", "\"": return string().map { .string($0) }
            default:
                let start = at
                while at < text.count, !",]):} ".unicodeScalars.contains(text[at]) { at += 1 }
                let word = String(String.UnicodeScalarView(text[start..<at]))
                switch word {
                case "True": return .bool(true)
                case "False": return .bool(false)
                case "None": return .null
                default: return try? JSON.parse(Array(word.utf8), "a cell option")
                }
            }
        }

        private mutating func items(close: Unicode.Scalar, depth: Int) -> [JSON]? {
            at += 1
            var items: [JSON] = []
            while !take(close) {
                guard let item = value(depth: depth + 1) else { return nil }
                items.append(item)
                if !take(",") {
                    guard take(close) else { return nil }
                    return items
                }
            }
            return items
        }

        private mutating func object(depth: Int) -> JSON? {
            at += 1
            var members: [JSON.Member] = []
            while !take("}") {
                guard case .string(let name)? = value(depth: depth + 1), take(":"), let value = value(depth: depth + 1) else { return nil }
                members.append(JSON.Member(name, value))
                if !take(",") {
                    guard take("}") else { return nil }
                    return .object(members)
                }
            }
            return .object(members)
        }

        private mutating func string() -> String? {
            let quote = text[at]
            at += 1
            var out = String.UnicodeScalarView()
            while at < text.count, text[at] != quote {
                if text[at] == "\\" {
                    at += 1
                    guard at < text.count else { return nil }
                    switch text[at] {
                    case "n": out.append("\n")
                    case "t": out.append("\t")
                    case "r": out.append("\r")
                    case "\\", "'", "\"": out.append(text[at])
                    default: out.append("\\"); out.append(text[at])
                    }
                } else {
                    out.append(text[at])
                }
                at += 1
            }
            guard at < text.count else { return nil }
            at += 1
            return String(out)
        }
    }
}
