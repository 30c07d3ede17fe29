import StreamCore

/// What stands behind a cell marker: `Title [markdown] tags=["a"] key=1`, as jupytext reads and writes it.
struct CellOptions: Hashable {
    var title: String?
    var kind = NotebookCell.Kind.code
    var members: [JSON.Member] = []

    init(title: String? = nil, kind: NotebookCell.Kind = .code, members: [JSON.Member] = []) {
        (self.title, self.kind, self.members) = (title, kind, members)
    }

    subscript(name: String) -> JSON? {
        get { members.first { $0.name == name }?.value }
        set {
            members.removeAll { $0.name == name }
            if let newValue { members.append(JSON.Member(name, newValue)) }
        }
    }

    // MARK: Reading

    init(parsing text: String) {
        let text = text.trimmed
        let brace = text.firstIndex(of: "{"), equals = text.firstIndex(of: "=")
        var title: String
        if let brace, equals == nil || brace < equals! {
            title = text[..<brace].trimmed
            members = PythonLiteral.value(String(text[brace...]))?.members ?? [JSON.Member(Self.unreadable, .string(String(text[brace...])))]
        } else {
            var words: [Substring]
            if let equals {
                words = text[..<equals].split(separator: " ", omittingEmptySubsequences: false)
                // The last word is the name before the equals sign.
                while words.last?.isEmpty == true { words.removeLast() }
                _ = words.popLast()
            } else {
                words = text.split(separator: " ", omittingEmptySubsequences: false)
            }
            while let last = words.last, last.isBlank || last.hasPrefix(".") { words.removeLast() }
            title = words.joined(separator: " ")
            members = Self.pairs(text[title.endIndex(in: text)...])
        }
        for (mark, kind, region) in [("[markdown]", NotebookCell.Kind.markdown, nil), ("[raw]", .raw, nil), ("[md]", .markdown, "md")] as [(String, NotebookCell.Kind, String?)] {
            guard let at = title.firstRange(of: mark) else { continue }
            title = (title[..<at.lowerBound] + title[at.upperBound...]).trimmed
            // The mark may stand more than once; all of them go.
            while let again = title.firstRange(of: mark) { title = (title[..<again.lowerBound] + title[again.upperBound...]).trimmed }
            self.kind = kind
            if let region { self["region_name"] = .string(region) }
            break
        }
        let depth = title.prefix { $0 == "%" }.count
        if depth > 0 {
            title = title.dropFirst(depth).trimmed
            self["cell_depth"] = .int(Int64(depth))
        }
        self.title = title.isEmpty ? nil : title
        if self.title == nil, let named = self["title"]?.string {
            (self.title, self["title"]) = (named, nil)
        }
        members = members.sortedByName
    }

    /// The member under which jupytext keeps what it could not read.
    static let unreadable = "incorrectly_encoded_metadata"

    /// `a=1 b="x" flag`: read from the right, as a value may hold spaces and equals signs.
    private static func pairs(_ part: Substring) -> [JSON.Member] {
        let text = part.trimmed
        guard !text.isEmpty else { return [] }
        let lastSpace = text.lastIndex(of: " ")
        let last = lastSpace.map { text[text.index(after: $0)...] } ?? text[...]
        if !text.hasPrefix("--"), isFlag(last) {
            return (lastSpace.map { pairs(text[..<$0]) } ?? []).setting(String(last), .null)
        }
        var end = text.endIndex
        while let equals = text[..<end].lastIndex(of: "=") {
            end = equals
            let before = text[..<equals].trimmedAtEnd
            let space = before.lastIndex(of: " ")
            let name = (space.map { before[before.index(after: $0)...] } ?? before[...]).trimmed
            guard isName(name), let value = PythonLiteral.value(String(text[text.index(after: equals)...])) else { continue }
            return (space.map { pairs(before[..<$0]) } ?? []).setting(name, value)
        }
        return [JSON.Member(unreadable, .string(text))]
    }

    private static func isFlag(_ text: some StringProtocol) -> Bool {
        guard let first = text.unicodeScalars.first, first.isASCII, first.properties.isAlphabetic || first == "_" || first == "." else { return false }
        return text.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || $0 == "_" || $0 == ".") }
    }

    private static func isName(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0) || "_.@/-".unicodeScalars.contains($0)) }
    }

    // MARK: Writing

    static func isReadBack(title: String) -> Bool {
        let read = CellOptions(parsing: title)
        return read.title == title && read.kind == .code && read.members.isEmpty && title.utf8.allSatisfy { $0 >= 0x20 || $0 == 0x09 } && title != "[parameters]" && !title.hasSuffix(" [parameters]")
    }

    /// What follows `-- %%`: empty, or a space and the options.
    var text: String {
        var options = self
        var words: [String] = [], depth = ""
        if case .int(let n)? = options["cell_depth"] {
            depth = String(repeating: "%", count: Int(max(0, min(n, 16))))
            options["cell_depth"] = nil
        }
        if let title = options.title {
            if Self.isReadBack(title: title) { words.append(title) } else { options["name"] = .string(title) }
        }
        switch kind {
        case .code: break
        case .markdown:
            words.append(options["region_name"] == .string("md") ? "[md]" : "[markdown]")
            options["region_name"] = nil
        case .raw: words.append("[raw]")
        }
        if let mark = options.parameterMark { words.append(mark) }
        let late = ["magic_args", "language"].filter { name in
            // Languages that Jupyter has cell magics for stand last, because jupytext makes the option of the magic.
            options["language"]?.string.map(CellInterpreter.hasCellMagic) == true && options[name] != nil
        }
        let sorted = options.members.filter { !late.contains($0.name) }.sortedByName
        for member in sorted + late.map({ JSON.Member($0, options[$0]!) }) {
            if member.name == Self.unreadable, let text = member.value.string {
                words.append(text)
            } else if member.value == .null, Self.isFlag(member.name), member.name.hasPrefix(".") || words.contains(where: { $0.contains("=") }) {
                // Alone it would be a part of the title.
                words.append(member.name)
            } else {
                words.append(member.name + "=" + PythonLiteral.text(member.value))
            }
        }
        return depth + (words.isEmpty ? "" : " " + words.joined(separator: " "))
    }

    /// `[parameters]` in the title's place is the same as the tag, and stays as it was spelled.
    private var parameterMark: String? {
        mutating get {
            guard self["region_name"] == .string("parameters") else { return nil }
            self["region_name"] = nil
            guard kind == .code, case .array(let tags)? = self["tags"], tags.contains(.string("parameters")) else { return nil }
            let others = tags.filter { $0 != .string("parameters") }
            self["tags"] = others.isEmpty ? nil : .array(others)
            return "[parameters]"
        }
    }
}

extension [JSON.Member] {
    func setting(_ name: String, _ value: JSON) -> [JSON.Member] { filter { $0.name != name } + [JSON.Member(name, value)] }

    subscript(name: String) -> JSON? { first { $0.name == name }?.value }

    /// As nbformat writes members: by code points.
    var sortedByName: [JSON.Member] { sorted { $0.name.unicodeScalars.lexicographicallyPrecedes($1.name.unicodeScalars) } }
}

extension String {
    /// Where `self`, a prefix of `text`, ends in it.
    fileprivate func endIndex(in text: String) -> String.Index { text.index(text.startIndex, offsetBy: count) }
}
