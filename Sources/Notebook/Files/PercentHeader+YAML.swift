import StreamCore

/// The part of YAML that jupytext's headers are written in: nested mappings of plain and quoted scalars.
extension PercentHeader {
    /// The header that jupytext would give a notebook with this metadata; nil when it needs none.
    static func text(for metadata: [JSON.Member]) -> [String]? {
        let jupytext = metadata["jupytext"]?.members ?? []
        // What jupytext notes of a script without a header.
        if jupytext["notebook_metadata_filter"]?.string == "-all" { return nil }
        guard metadata["jupytext"] != nil || metadata["kernelspec"] != nil else { return nil }
        let form: JSON = .object([JSON.Member("extension", .string(".sql")), JSON.Member("format_name", .string("percent")), JSON.Member("format_version", .string("1.3"))])
        var members = jupytext.filter { !["encoding", "executable", "main_language"].contains($0.name) }
        if members["text_representation"] == nil { members.append(JSON.Member("text_representation", form)) }
        var jupyter = [JSON.Member("jupytext", .object(members))]
        if let kernel = metadata["kernelspec"] { jupyter.append(JSON.Member("kernelspec", kernel)) }
        var lines = ["---"]
        write(.object([JSON.Member("jupyter", .object(jupyter))]), 0, &lines)
        return (lines + ["---"]).map(CommentPrefix.adding)
    }

    private static func write(_ value: JSON, _ depth: Int, _ lines: inout [String]) {
        let members = (value.members ?? []).sortedByName
        for member in members {
            let start = String(repeating: "  ", count: depth) + scalar(member.name) + ":"
            switch member.value {
            case .object(let inner) where !inner.isEmpty:
                lines.append(start)
                write(member.value, depth + 1, &lines)
            case .object: lines.append(start + " {}")
            case .array, .null, .bool, .int, .double: lines.append(start + " " + member.value.text())
            case .string(let text): lines.append(start + " " + scalar(text))
            }
        }
    }

    /// Plain when YAML reads it as the same text, else in quotes.
    private static func scalar(_ text: String) -> String {
        let isWord = text.unicodeScalars.first.map { $0.properties.isAlphabetic || $0 == "." || $0 == "_" || $0 == "/" } ?? false
        let isPlain = isWord && text.unicodeScalars.allSatisfy { $0.properties.isAlphabetic || ("0"..."9").contains($0) || " ._-/()+,".unicodeScalars.contains($0) } && text == text.trimmed
        // 1.19.6 is text to YAML, 1.3 and yes are not.
        let isVersion = text.split(separator: ".").count > 2 && text.allSatisfy { $0.isNumber || $0 == "." }
        let isOther = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "~", ".nan", ".inf"].contains(text.lowercased())
        if isPlain && !isOther && Double(text) == nil || isVersion { return text }
        if text.unicodeScalars.allSatisfy({ $0.value >= 0x20 }) { return "'" + text.replacing("'", with: "''") + "'" }
        return PythonLiteral.quoted(text)
    }

    /// The members of `jupyter:` in a header; nil when it has none, or is written in more of YAML than this.
    static func values(_ header: String) -> [JSON.Member]? {
        var lines = header.splitLines.filter { $0.hasPrefix(CommentPrefix.mark) }.map(CommentPrefix.removing)
        guard let start = lines.firstIndex(where: { $0.trimmedAtEnd == "---" }), let end = lines[(start + 1)...].firstIndex(where: { $0.trimmedAtEnd == "---" }) else { return nil }
        lines = Array(lines[(start + 1)..<end])
        guard let at = lines.firstIndex(where: { $0.trimmedAtEnd == "jupyter:" }) else { return nil }
        var index = at + 1
        return mapping(lines, &index, indent: 2)
    }

    private static func mapping(_ lines: [String], _ index: inout Int, indent: Int) -> [JSON.Member]? {
        var members: [JSON.Member] = []
        while index < lines.count {
            let line = lines[index], space = line.prefix { $0 == " " }.count
            if space < indent || line.isBlank { break }
            guard space == indent, let colon = line.firstRange(of: ":") else { return nil }
            let name = line[..<colon.lowerBound].trimmed, value = line[colon.upperBound...].trimmed
            guard !name.isEmpty, !name.contains(where: { "'\"-#[]{}&*!|>".contains($0) }) || name.contains("_") || name.contains("-") && !name.hasPrefix("-") else { return nil }
            index += 1
            if value.isEmpty {
                guard let inner = mapping(lines, &index, indent: indent + 2) else { return nil }
                members.append(JSON.Member(name, .object(inner)))
            } else {
                guard let value = plain(value) else { return nil }
                members.append(JSON.Member(name, value))
            }
        }
        return members
    }

    private static func plain(_ text: String) -> JSON? {
        if text.hasPrefix("'"), text.hasSuffix("'"), text.count > 1 { return .string(String(text.dropFirst().dropLast()).replacing("''", with: "'")) }
        if text.hasPrefix("\"") { return PythonLiteral.value(text) }
        if text == "{}" { return .object([]) }
        guard let first = text.first, !"[{&*!|>#%@`".contains(first), !text.contains(" #"), !text.contains(": ") else { return nil }
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null", "~": return .null
        default: break
        }
        if let n = Int64(text) { return .int(n) }
        if let d = Double(text), d.isFinite { return .double(d) }
        return .string(text)
    }
}
