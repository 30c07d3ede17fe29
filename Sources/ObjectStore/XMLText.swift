/// As much XML as the answers of S3 need: elements and text, without attributes.
struct XMLText {
    /// Name and content of the elements right inside a text, in their order.
    static func children(of text: Substring) -> [(name: Substring, content: Substring)] {
        var out: [(Substring, Substring)] = [], rest = text
        while let open = rest.firstIndex(of: "<") {
            rest = rest[rest.index(after: open)...]
            guard let close = rest.firstIndex(of: ">") else { break }
            let tag = rest[..<close]
            rest = rest[rest.index(after: close)...]
            if tag.hasPrefix("?") || tag.hasPrefix("!") || tag.hasPrefix("/") { continue }
            let name = tag.prefix { $0 != " " && $0 != "/" && $0 != "\n" }
            if tag.hasSuffix("/") {
                out.append((name, ""))
                continue
            }
            guard let end = end(of: name, in: rest) else { break }
            out.append((name, rest[..<end]))
            rest = rest[end...].dropFirst(name.count + 3)
        }
        return out
    }

    /// Where `</name>` of the element stands whose content the text begins with.
    private static func end(of name: Substring, in text: Substring) -> Substring.Index? {
        var depth = 0, rest = text
        while let open = rest.firstIndex(of: "<") {
            rest = rest[rest.index(after: open)...]
            guard let close = rest.firstIndex(of: ">") else { return nil }
            let tag = rest[..<close]
            if tag.hasPrefix("/") {
                if tag.dropFirst() == name {
                    if depth == 0 { return open }
                    depth -= 1
                }
            } else if !tag.hasSuffix("/"), tag.prefix(while: { $0 != " " }) == name {
                depth += 1
            }
            rest = rest[rest.index(after: close)...]
        }
        return nil
    }

    /// The text of an element with that name right inside.
    static func value(_ name: String, in children: [(name: Substring, content: Substring)]) -> String? {
        children.first { $0.name == name }.map { unescaped($0.content) }
    }

    static func unescaped(_ text: Substring) -> String {
        guard text.contains("&") else { return String(text) }
        var out = "", rest = text
        while let start = rest.firstIndex(of: "&") {
            out += rest[..<start]
            rest = rest[start...]
            guard let end = rest.firstIndex(of: ";") else { break }
            let name = rest[rest.index(after: start)..<end]
            let named: [Substring: String] = ["amp": "&", "lt": "<", "gt": ">", "quot": "\"", "apos": "'"]
            let number = name.hasPrefix("#x") ? UInt32(name.dropFirst(2), radix: 16) : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
            out += named[name] ?? number.flatMap(Unicode.Scalar.init).map { String(Character($0)) } ?? "&\(name);"
            rest = rest[rest.index(after: end)...]
        }
        return out + rest
    }

    static func escaped(_ text: String) -> String {
        var out = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case _ where character.value < 0x20: out += "&#\(character.value);"
            default: out.unicodeScalars.append(character)
            }
        }
        return out
    }
}
