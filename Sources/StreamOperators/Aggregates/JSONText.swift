import StreamCore

/// JSON text of boxed values, for the JSON aggregates.
enum JSONText {
    /// - Parameter type: nil = a text that is JSON already.
    static func of(_ value: Value, _ type: DataType?) -> String {
        if let type { return of(value, type) }
        guard case .string(let json) = value else { return "null" }
        return json
    }

    static func of(_ value: Value, _ type: DataType) -> String {
        switch (value, type) {
        case (.null, _): "null"
        case (.bool(let b), _): b ? "true" : "false"
        case (.int(let i), _) where type.isInteger: "\(i)"
        case (.int(let i), .date): quoted(DateTimeText.date(Int32(truncatingIfNeeded: i)))
        case (.int(let i), .time(let p)): quoted(DateTimeText.time(Int32(truncatingIfNeeded: i), precision: p))
        case (.int(let i), .timestamp(let p)), (.int(let i), .timestampLTZ(let p)): quoted(DateTimeText.timestamp(i, precision: p))
        case (.int(let i), _): "\(i)"
        case (.float(let f), _): f.isFinite ? NumberText.string(f) : quoted(NumberText.string(f))
        case (.double(let d), _): d.isFinite ? NumberText.string(d) : quoted(NumberText.string(d))
        case (.decimal(let d), .decimal(_, let scale)): NumberText.string(decimal: d, scale: scale)
        case (.decimal(let d), _): "\(d)"
        case (.string(let s), _): quoted(s)
        case (.binary(let b), .variant): b.withUnsafeBytes { VariantJSON.text(Variant($0)) }
        case (.binary(let b), _): quoted(base64(b))
        case (.array(let items), .array(let element)): "[" + items.map { of($0, element) }.joined(separator: ",") + "]"
        case (.map(let entries), .map(let key, let item)):
            "{" + entries.map { name($0.key, key) + ":" + of($0.value, item) }.joined(separator: ",") + "}"
        case (.row(let items), .row(let fields)):
            "{" + zip(fields, items).map { quoted($0.name) + ":" + of($1, $0.type) }.joined(separator: ",") + "}"
        default: "null"
        }
    }

    /// Order of an object's names: by their UTF-16 units, as Java's strings are.
    static func precedes(_ a: Value, _ b: Value) -> Bool {
        guard case .string(let a) = a, case .string(let b) = b else { return false }
        return a.utf16.lexicographicallyPrecedes(b.utf16)
    }

    private static func name(_ key: Value, _ type: DataType) -> String {
        let text = of(key, type)
        return text.hasPrefix("\"") ? text : quoted(text)
    }

    static func quoted(_ text: String) -> String {
        var out = "\""
        for u in text.unicodeScalars {
            switch u {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case "\u{8}": out += "\\b"
            case "\u{C}": out += "\\f"
            case _ where u.value < 0x20: out += "\\u00" + (u.value < 16 ? "0" : "") + String(u.value, radix: 16, uppercase: true)
            default: out.unicodeScalars.append(u)
            }
        }
        return out + "\""
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
        var out = ""
        for i in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[i..<min(i + 3, bytes.count)]
            let n = part.enumerated().reduce(0) { $0 | Int($1.element) << (16 - 8 * $1.offset) }
            for k in 0..<4 { out.append(k <= part.count ? alphabet[n >> (18 - 6 * k) & 63] : "=") }
        }
        return out
    }
}
