import StreamCore

/// The values of a notebook's parameters and forms, and what fills them in.
///
/// A value comes from the first of: the command line, the form's value in a Zeppelin note, the parameters cell, the form's own default where it stands,
/// the default of another form of that name.
package struct NotebookParameters: Sendable {
    /// In the order in which the notebook names them.
    package private(set) var forms: [ParameterForm] = []
    private var given: [String: String] = [:]
    private var declared: [String: String] = [:]
    private let file: String?

    /// - Parameter overrides: `-p name=value`.
    /// - Throws: `.validate` when the notebook has no such parameter, or a value is none of its options or has a line break; `.parse` with the place when a form is malformed.
    /// - Parameter known: values of names that the notebook need not declare; what it does with other names does not matter.
    package init(cells: [NotebookCell], overrides: [String: String] = [:], given known: [String: String] = [:], file: String? = nil) throws {
        self.file = file
        for (name, value) in known.sorted(by: { $0.key < $1.key }) {
            declared[name] = value
            add(ParameterForm(name: name, defaultValue: value))
        }
        for cell in cells where cell.isParameters && cell.kind != .markdown {
            for (name, value, label) in Self.declarations(in: cell) {
                declared[name] = value
                add(ParameterForm(name: name, label: label, defaultValue: value))
            }
        }
        var saved: [String: String] = [:]
        for cell in cells {
            for place in Self.places(in: cell) {
                if let form = place.form { add(form) }
            }
            for (name, value) in Self.savedValues(of: cell) { saved[name] = value }
        }
        // A form's own default gives way to a value that is given.
        for (name, value) in known { given[name] = value }
        for (name, value) in saved where forms.contains(where: { $0.name == name }) { given[name] = value }
        for name in overrides.keys.sorted() {
            guard let form = forms.first(where: { $0.name == name }) else {
                let what = forms.isEmpty ? "it has none: add a cell -- %% [parameters] with the line -- \(name) = \(overrides[name]!)" : NearName.hint(for: name, in: forms.map(\.name)) ?? ""
                throw StreamError(.validate, "the notebook has no parameter \(name)", fix: what)
            }
            given[name] = try Self.checked(overrides[name]!, form)
        }
        for i in forms.indices { forms[i].value = given[forms[i].name] ?? declared[forms[i].name] ?? forms[i].defaultValue }
    }

    /// A form that says more than one before it of the same name takes its place.
    private mutating func add(_ form: ParameterForm) {
        guard let at = forms.firstIndex(where: { $0.name == form.name }) else { return forms.append(form) }
        if forms[at].kind == .text, form.kind != .text {
            forms[at] = ParameterForm.merged(form, declared[form.name] ?? form.defaultValue ?? forms[at].defaultValue, label: form.label ?? forms[at].label)
        } else {
            forms[at].label = forms[at].label ?? form.label
            forms[at].defaultValue = forms[at].defaultValue ?? form.defaultValue
        }
    }

    private static func checked(_ value: String, _ form: ParameterForm) throws -> String {
        guard !value.utf8.contains(where: { $0 == 0x0A || $0 == 0x0D }) else {
            throw StreamError(.validate, "the value of parameter \(form.name) has a line break, and lines in errors would no longer be those of the file", fix: "give a value of one line")
        }
        guard form.kind == .select || form.kind == .checkbox, !form.options.isEmpty else { return value }
        let values = form.options.map(\.value)
        // A value as the text would have it is taken too.
        let chosen = form.kind == .select || values.contains(value) ? [value] : value.contains("|") ? ParameterForm.split(value) : value.isEmpty ? [] : value.split(separator: ",").map { $0.trimmed }
        for one in chosen where !values.contains(one) {
            throw StreamError(.validate, "parameter \(form.name) has no option \"\(one)\"", fix: NearName.hint(for: one, in: values) ?? "use one of its options")
        }
        return form.kind == .select ? value : chosen.joined(separator: "|")
    }

    // MARK: What a notebook declares

    /// The lines `-- name = value`, with or without the comment; ` -- Label` may follow. Quotes around a value are not part of it.
    static func declarations(in cell: NotebookCell) -> [(name: String, value: String, label: String?)] {
        cell.source.splitLines.compactMap { line in
            var text = line.trimmed
            for mark in ["--", "#", "//"] where text.hasPrefix(mark) {
                text = text.dropFirst(mark.count).trimmed
                break
            }
            guard let equals = text.firstIndex(of: "=") else { return nil }
            let name = text[..<equals].trimmed
            guard let first = name.first, first.isLetter || first == "_", name.allSatisfy({ $0.isLetter || $0.isNumber || "_-.".contains($0) }) else { return nil }
            var value = text[text.index(after: equals)...].trimmed, label: String?
            if let quote = value.first, quote == "'" || quote == "\"", let close = value.dropFirst().firstIndex(of: quote) {
                let rest = value[value.index(after: close)...].trimmed
                value = String(value[value.index(after: value.startIndex)..<close])
                if rest.hasPrefix("--") || rest.hasPrefix("#") { label = rest.drop { $0 == "-" || $0 == "#" }.trimmed }
            } else if let at = value.firstRange(of: " -- ") {
                label = value[at.upperBound...].trimmed
                value = value[..<at.lowerBound].trimmed
            }
            return (name, value, label)
        }
    }

    /// What a Zeppelin note keeps of the forms of a paragraph.
    private static func savedValues(of cell: NotebookCell) -> [(String, String)] {
        (cell.metadata["zeppelin"]?["params"]?.members ?? []).compactMap { member in
            switch member.value {
            case .string(let text): (member.name, text)
            case .array(let items): (member.name, items.compactMap(\.string).joined(separator: "|"))
            case .int, .double, .bool: (member.name, member.value.text())
            case .null, .object: nil
            }
        }
    }

    // MARK: Filling in

    /// A cell's source with values in the places of `${name}` and `$${name}`. It has as many lines.
    ///
    /// In SQL each must have a value, but in comments. In other languages only known names and forms with a default are filled in: the rest is the language's own.
    /// - Throws: `.validate` with the place in the file when there is no value.
    package func fill(_ cell: NotebookCell) throws -> String { try filled(cell).text }

    /// - Parameter line, indent: of the source in its file, as ``NotebookCell`` has them.
    package func fill(_ source: String, language: CellLanguage, line: Int = 1, indent: Int = 0) throws -> String {
        try filled(source, language: language, line: line, indent: indent).text
    }

    /// As ``fill(_:)``, and where its characters stand in the file.
    package func filled(_ cell: NotebookCell) throws -> FilledSource { try filled(cell.source, language: cell.language, line: cell.line, indent: cell.indent) }

    private func filled(_ source: String, language: CellLanguage, line: Int, indent: Int) throws -> FilledSource {
        var filled = FilledSource(line: line, indent: indent), at = source.unicodeScalars.startIndex
        let scalars = source.unicodeScalars
        for place in Self.places(in: source, language: language) {
            guard let value = try value(of: place, language: language, source: source, line: line, indent: indent) else { continue }
            filled.append(String(scalars[at..<place.range.lowerBound]))
            filled.append(value, insteadOf: String(scalars[place.range]))
            at = place.range.upperBound
        }
        filled.append(String(scalars[at...]))
        return filled
    }

    /// Nil when the text stays as it is.
    private func value(of place: Place, language: CellLanguage, source: String, line: Int, indent: Int) throws -> String? {
        func problem(_ what: String, fix: String) -> StreamError {
            let before = source.unicodeScalars[..<place.range.lowerBound], text = String(before).splitLines
            let lineText = source.splitLines[text.count - 1]
            return StreamError(.validate, what, fix: fix, at: SourceLocation(file: file, line: line + text.count - 1, column: text.last!.count + 1 + indent),
                               sourceLine: String(repeating: " ", count: indent) + lineText)
        }
        let isSQL = language == .sql
        guard let form = place.form else {
            guard isSQL, !place.isComment else { return nil }
            throw problem("${\(place.text)} is no form", fix: "write ${name}, ${name=default}, ${name=default,a|b}, ${checkbox:name=a,a|b} or ${password:name}")
        }
        let value = given[form.name] ?? declared[form.name] ?? form.defaultValue ?? forms.first { $0.name == form.name }?.value
        guard let value else {
            guard isSQL, !place.isComment else { return nil }
            let known = forms.filter { $0.value != nil }.map(\.name)
            let near = NearName.nearest(to: form.name, in: known).map { "write ${\($0)}, or " } ?? ""
            throw problem("parameter \(form.name) has no value", fix: near + (form.kind == .password ? "run with -p \(form.name)=…" : "give it one with -p \(form.name)=…, a line -- \(form.name) = … in a cell -- %% [parameters], or ${\(form.name)=…}"))
        }
        guard !place.text.utf8.contains(0x0A) else {
            throw problem("the form \(form.name) stands on more than one line, and lines in errors would no longer be those of the file", fix: "write ${\(form.name)=…} on one line")
        }
        return form.expanded(value)
    }

    // MARK: Finding forms

    struct Place {
        /// With `$`, the braces, and a `_` before them that hides the form.
        var range: Range<String.UnicodeScalarView.Index>
        /// Between the braces.
        var text: String
        var form: ParameterForm?
        var isComment: Bool
    }

    static func places(in cell: NotebookCell) -> [Place] {
        cell.kind == .raw ? [] : places(in: cell.source, language: cell.language).filter { place in
            guard let form = place.form else { return false }
            return cell.language == .sql ? !place.isComment || form.defaultValue != nil : form.defaultValue != nil || form.kind != .text
        }
    }

    static func places(in source: String, language: CellLanguage) -> [Place] {
        let scalars = source.unicodeScalars
        var places: [Place] = [], at = scalars.startIndex, inString: Unicode.Scalar?, comment: Comment?
        enum Comment { case line, block }
        func next(_ i: String.UnicodeScalarView.Index) -> Unicode.Scalar? {
            let j = scalars.index(after: i)
            return j < scalars.endIndex ? scalars[j] : nil
        }
        while at < scalars.endIndex {
            let c = scalars[at]
            if language == .sql {
                switch (comment, inString) {
                case (.line, _): if c == "\n" { comment = nil }
                case (.block, _): if c == "*", next(at) == "/" { comment = nil }
                case (nil, let open?): if c == open { inString = nil }
                case (nil, nil):
                    if c == "-", next(at) == "-" {
                        comment = .line
                    } else if c == "/", next(at) == "*" {
                        comment = .block
                    } else if c == "'" || c == "\"" || c == "`" {
                        inString = c
                    }
                }
            }
            guard c == "$", let following = next(at), following == "{" || following == "$" else {
                scalars.formIndex(after: &at)
                continue
            }
            // `${name}` is the paragraph's form in Zeppelin, `$${name}` the note's; here both are the notebook's.
            var open = scalars.index(after: at)
            if following == "$" {
                guard next(open) == "{" else {
                    scalars.formIndex(after: &at)
                    continue
                }
                scalars.formIndex(after: &open)
            }
            let start = scalars.index(after: open)
            guard let close = scalars[start...].firstIndex(of: "}") else { break }
            let text = String(scalars[start..<close])
            var first = at
            // `_${name}` hides a form. After a letter, the underscore belongs to a name: sensor_${n}.
            if first > scalars.startIndex, scalars[scalars.index(before: first)] == "_" {
                let mark = scalars.index(before: first)
                let isWord = mark > scalars.startIndex && { $0.properties.isAlphabetic || $0.properties.numericType != nil || $0 == "_" }(scalars[scalars.index(before: mark)])
                if !isWord { first = mark }
            }
            places.append(Place(range: first..<scalars.index(after: close), text: text, form: ParameterForm(text), isComment: comment != nil))
            at = scalars.index(after: close)
        }
        return places
    }
}

extension ParameterForm {
    fileprivate static func merged(_ form: ParameterForm, _ value: String?, label: String?) -> ParameterForm {
        var form = form
        (form.defaultValue, form.label) = (value, label)
        return form
    }
}
