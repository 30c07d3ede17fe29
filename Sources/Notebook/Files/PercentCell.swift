import StreamCore

/// One cell of a script: how its options and lines are read as a cell, and a cell written as such.
struct PercentCell {
    var cell: NotebookCell
    /// Offsets in the body's lines.
    var interpreterLine: Int?
    var sourceStart = 0
    /// Whether the text stands in comments.
    var isCommented: Bool

    // MARK: Reading

    /// - Parameter body: the lines behind the marker; the cell's `line` counts from the first of them.
    /// - Throws: `.parse`, the location's line in `body`.
    init(_ options: CellOptions, body: [String]) throws {
        cell = NotebookCell(kind: options.kind, title: options.title, source: "", metadata: options.members)
        cell.takeTags()
        // A cell that jupytext leaves out of a notebook's code is a raw cell there.
        let isInactive = cell.kind == .code && !cell.isActive(in: "ipynb")
        if isInactive { cell.kind = .raw }
        if cell.metadata["active"] == .string("") { cell.metadata.removeAll { $0.name == "active" } }
        let language = options.kind == .code ? options["language"]?.string : nil
        isCommented = switch options.kind {
        case .code: !NotebookCell(source: "", tags: cell.tags, metadata: options.members).isActive(in: "sql", otherwise: language == nil)
        case .markdown, .raw: true
        }

        var first: String?
        if cell.kind == .code, let found = try Self.interpreter(in: body, isCommented: isCommented) {
            cell.interpreter = found.interpreter
            (interpreterLine, sourceStart, first) = (found.line, found.line + 1, found.rest)
            if language == nil, found.interpreter.language != .sql { isCommented = found.isComment }
            if found.interpreter.language == .markdown { cell.kind = .markdown }
        } else if cell.kind == .code, let language, language.lowercased() != "sql" {
            cell.interpreter = CellInterpreter(language)
        }
        if let language, cell.interpreter?.languageOption == language { cell.metadata.removeAll { $0.name == "language" } }
        if cell.kind == .markdown, cell.interpreter?.properties.isEmpty == true { cell.interpreter = nil }

        cell.metadata = cell.metadata.sortedByName
        var lines = Array(body[min(sourceStart, body.count)...])
        if isCommented {
            cell.indent = (lines.first { !CommentPrefix.removing(from: $0).isEmpty } ?? lines.first).map(CommentPrefix.width) ?? CommentPrefix.mark.count + 1
            lines = lines.map(CommentPrefix.removing)
        }
        cell.line = sourceStart + 1
        if let first {
            lines.insert(first, at: 0)
            cell.line -= 1
        }
        cell.source = lines.joined(separator: "\n")
    }

    /// The interpreter is the first line that is not blank: `-- %flink.ssql`, or `%flink.ssql` as pasted from a note.
    private static func interpreter(in body: [String], isCommented: Bool) throws -> (line: Int, interpreter: CellInterpreter, rest: String?, isComment: Bool)? {
        guard let line = body.firstIndex(where: { !$0.isBlank }) else { return nil }
        let whole = body[line], isComment = whole.trimmed.hasPrefix(CommentPrefix.mark)
        let text = isComment ? CommentPrefix.removing(from: String(whole.dropFirst(whole.leadingSpace.count))) : whole
        guard text.trimmed.hasPrefix("%"), !text.trimmed.hasPrefix("%%") else { return nil }
        do {
            guard let (interpreter, end) = try CellInterpreter.parse(text) else { return nil }
            let rest = text[end...]
            if rest.isBlank { return (line, interpreter, nil, isComment) }
            // Text behind it belongs to the cell, unless it only looks so: a comment about "%done", Python's "%matplotlib inline".
            guard interpreter.isKnown, rest.first?.isWhitespace == true, !isCommented else { return nil }
            return (line, interpreter, rest.trimmed, isComment)
        } catch var error as StreamError {
            error.location = SourceLocation(line: line + 1, column: (error.location?.column ?? 1) + whole.count - text.count)
            error.sourceLine = whole
            throw error
        }
    }

    // MARK: Writing

    /// What stands behind a cell's marker, and its lines.
    static func parts(of cell: NotebookCell) -> (options: CellOptions, body: [String], isCommented: Bool) {
        let (options, interpreter, source, isCommented) = separateParts(of: cell)
        return (options, (interpreter.map { [$0] } ?? []) + source, isCommented)
    }

    /// The interpreter's line, if it has one, apart from the source's.
    static func separateParts(of cell: NotebookCell) -> (options: CellOptions, interpreter: String?, source: [String], isCommented: Bool) {
        var options = CellOptions(title: cell.title, kind: cell.kind, members: cell.metadata)
        if !cell.tags.isEmpty { options["tags"] = .array(cell.tags.map { .string($0) }) }
        var isCommented = cell.kind != .code
        switch cell.kind {
        case .code:
            let language = cell.metadata["language"]?.string ?? cell.interpreter?.languageOption
            options["language"] = language.map { .string($0) }
            isCommented = !cell.isActive(in: "sql", otherwise: language == nil) || cell.interpreter.map { $0.language != .sql } == true
        case .raw where cell.metadata["active"] != nil || cell.tags.contains { $0.hasPrefix("active-") }:
            options.kind = .code
            isCommented = !cell.isActive(in: "sql")
        case .markdown, .raw: break
        }
        var body = cell.source.splitLines
        if isCommented { body = body.map(CommentPrefix.adding) }
        if cell.source.isEmpty, cell.kind == .code || cell.interpreter != nil { body = [] }
        var interpreterText: String?
        if let interpreter = cell.interpreter, cell.kind != .raw {
            if cell.kind == .markdown { options.kind = .code }
            let isSaid = interpreter.properties.isEmpty && options["language"]?.string == interpreter.name
            // A text whose own first line looks like an interpreter needs the line before it.
            let isNeeded = isSaid && (try? Self.interpreter(in: body, isCommented: isCommented)) != nil
            if !isSaid || isNeeded { interpreterText = CommentPrefix.adding(to: interpreter.text) }
        }
        if body.isEmpty, isCommented, interpreterText == nil { body = [CommentPrefix.mark] }
        return (options, interpreterText, body, isCommented)
    }
}

extension NotebookCell {
    /// Moves the tags, and the spelling `[parameters]`, from the metadata and title to where they belong.
    mutating func takeTags() {
        if case .array(let items)? = metadata["tags"], items.allSatisfy({ $0.string != nil }), !items.isEmpty {
            tags = items.compactMap(\.string)
            metadata.removeAll { $0.name == "tags" }
        }
        let mark = "[parameters]"
        if kind == .code, let title, title == mark || title.hasSuffix(" " + mark) {
            let rest = title.dropLast(mark.count).trimmed
            self.title = rest.isEmpty ? nil : rest
            if !isParameters { tags.append("parameters") }
            metadata = metadata.setting("region_name", .string("parameters"))
        }
        // A title that would not be read back as one stands under another name.
        if title == nil, let named = metadata["name"]?.string, !CellOptions.isReadBack(title: named) {
            title = named
            metadata.removeAll { $0.name == "name" }
        }
    }

    /// jupytext's option `active="ipynb,sql"` and its tags: in which files a cell is code.
    func isActive(in extension: String, otherwise: Bool = true) -> Bool {
        if let tag = tags.first(where: { $0.hasPrefix("active-") }) { return tag.split(separator: "-").contains { $0 == `extension` } }
        guard let active = metadata["active"]?.string else { return otherwise }
        return active.split { $0 == "." || $0 == "," }.contains { $0 == `extension` }
    }
}
