import StreamCore

/// A value that a notebook asks for: a line of a parameters cell, or a form in the text, `${name(Label)=default,a|b}`.
package struct ParameterForm: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable { case text, select, checkbox, password }
    package struct Option: Sendable, Hashable {
        package var value: String
        /// As it is shown; nil = the value.
        package var label: String?
        package init(_ value: String, label: String? = nil) { (self.value, self.label) = (value, label) }
    }

    package var name: String
    package var label: String?
    package var kind: Kind
    package var defaultValue: String?
    /// Of a select or checkbox form.
    package var options: [Option] = []
    /// What stands between a checkbox form's values in the text.
    package var delimiter = ","
    /// What it has in this run; nil when nobody gave one and there is no default.
    package var value: String?

    package init(name: String, label: String? = nil, kind: Kind = .text, defaultValue: String? = nil) {
        (self.name, self.label, self.kind, self.defaultValue) = (name, label, kind, defaultValue)
    }

    /// What stands between the braces: `checkbox( or ):country(Country)=US|JP,US(United States)|UK|JP`.
    ///
    /// - Returns: nil when it is no form, such as `HOME:-/root` or `x[@]` in a shell.
    init?(_ text: String) {
        let equals = text.firstIndex(of: "=")
        var head = (equals.map { text[..<$0] } ?? text[...]).trimmed
        let tail = equals.map { String(text[text.index(after: $0)...]) }
        var kind: Kind?, delimiter = ","
        if let colon = head.lastIndex(of: ":") {
            var type = head[..<colon].trimmed
            head = head[head.index(after: colon)...].trimmed
            if type.hasSuffix(")"), let open = type.firstIndex(of: "(") {
                delimiter = String(type[type.index(after: open)..<type.index(before: type.endIndex)])
                type = type[..<open].trimmed
            }
            guard type == "checkbox" || type == "password" else { return nil }
            kind = Kind(rawValue: type)
        }
        var label: String?
        if head.hasSuffix(")"), let open = head.firstIndex(of: "(") {
            label = head[head.index(after: open)..<head.index(before: head.endIndex)].trimmed
            head = head[..<open].trimmed
        }
        guard let first = head.first, first.isLetter || first == "_" || first.isNumber,
              head.allSatisfy({ $0.isLetter || $0.isNumber || "_-. ".contains($0) }) else { return nil }
        self.init(name: head, label: label?.isEmpty == true ? nil : label, kind: kind ?? .text, defaultValue: nil)
        self.delimiter = delimiter
        guard self.kind != .password, let tail else { return }
        guard let comma = tail.firstIndex(of: ",") else {
            defaultValue = tail
            return
        }
        defaultValue = String(tail[..<comma])
        if kind == nil { self.kind = .select }
        options = Self.split(String(tail[tail.index(after: comma)...])).map { option in
            guard option.hasSuffix(")"), let open = option.firstIndex(of: "(") else { return Option(option) }
            return Option(String(option[..<open]), label: String(option[option.index(after: open)..<option.index(before: option.endIndex)]))
        }
    }

    /// At `|`, but not inside quotes; a backslash takes the meaning from quotes, commas, `;`, `$`, braces and bars.
    static func split(_ text: String) -> [String] {
        var parts: [String] = [], part = "", quote: Character?, isEscaped = false
        for c in text {
            if isEscaped {
                if !"\"',;${}|".contains(c) { part.append("\\") }
                part.append(c)
                isEscaped = false
            } else if c == "\\" {
                isEscaped = true
            } else if let open = quote {
                part.append(c)
                if c == open { quote = nil }
            } else if c == "|" {
                parts.append(part)
                part = ""
            } else {
                if c == "\"" || c == "'" { quote = c }
                part.append(c)
            }
        }
        if isEscaped { part.append("\\") }
        return parts + [part]
    }

    /// The text that a value is in a cell.
    func expanded(_ value: String) -> String { kind == .checkbox ? Self.split(value).joined(separator: delimiter) : value }
}
