import StreamCore

/// SQL scripts with cells, `-- %%`, as jupytext has them.
package enum PercentScript {
    /// Members of ``Notebook/metadata`` and ``NotebookCell/metadata`` that only scripts have.
    static let headerMember = "script_header"
    static let byteOrderMarkMember = "script_byte_order_mark"
    static let lineEndMember = "script_line_end"
    static let lastLineMember = "script_ends_with_newline"
    static let markerMember = "script_marker"
    /// jupytext's name: blank lines before the next marker, when it is not one.
    static let blankLinesMember = "lines_to_next_cell"

    /// - Throws: `.parse` with the place in the file.
    package static func parse(_ text: String, file: String? = nil) throws -> Notebook { try PercentDocument(text, file: file).notebook }

    /// The notebook as a script that `parse` reads as the same cells.
    ///
    /// - Throws: `.validate` when a cell holds a line that would begin another cell.
    package static func text(_ notebook: Notebook) throws -> String {
        let metadata = notebook.metadata
        let newline = metadata[lineEndMember]?.string == "\r\n" ? "\r\n" : "\n"
        var lines: [String] = []
        for cell in notebook.cells { lines += self.lines(of: cell) }
        var text = metadata[headerMember]?.string ?? ""
        if metadata[headerMember] == nil {
            // Python's convention, which jupytext follows for other languages' scripts: it adds the line when it is missing.
            let needsEncoding = notebook.cells.contains { PercentCell.parts(of: $0).body.contains { !$0.utf8.allSatisfy { $0 < 0x80 } } } && notebook.cells.first?.hasMarker != false
            let encoding = metadata["jupytext"]?["encoding"]?.string ?? (needsEncoding ? PercentHeader.encoding : nil)
            var header = encoding.map { [$0] } ?? []
            if let more = PercentHeader.text(for: metadata) { header += more + [""] }
            text = header.map { $0 + newline }.joined()
        }
        text += lines.joined(separator: newline)
        if metadata[lastLineMember] == .bool(false), text.hasSuffix(newline) { text.unicodeScalars.removeLast(newline.unicodeScalars.count) }
        if metadata[byteOrderMarkMember] == .bool(true) { text = "\u{FEFF}" + text }
        try check(text, holds: notebook)
        return text
    }

    /// A cell's lines with its marker and the blank lines behind it.
    static func lines(of cell: NotebookCell) -> [String] {
        var (options, body, isCommented) = PercentCell.parts(of: cell)
        options.members.removeAll { unwritten.contains($0.name) }
        if !isCommented { body = withoutSpaceAtEnd(body) }
        // jupytext indents the marker as the code's first line is.
        let indent = isCommented ? "" : body.first.flatMap { $0.isBlank ? nil : $0.leadingSpace } ?? ""
        let marker = cell.hasMarker ? [indent + CommentPrefix.mark + " %%" + options.text] : []
        var blankLines = 1
        if case .int(let n)? = cell.metadata[blankLinesMember] { blankLines = Int(max(0, min(n, 1000))) }
        return marker + body + Array(repeating: "", count: blankLines)
    }

    /// One blank line at the end of code would be read as space between cells.
    static func withoutSpaceAtEnd(_ body: [String]) -> [String] {
        guard let last = body.last, last.isBlank, body.count == 1 || !body[body.count - 2].isBlank else { return body }
        return Array(body.dropLast())
    }

    static let unwritten: Set<String> = [markerMember, blankLinesMember, "cell_marker", "lines_to_end_of_cell_marker", "skipline", "noskipline",
                                                 JupyterNotebook.identityMember, JupyterNotebook.attachmentsMember, "autoscroll", "collapsed", "scrolled", "trusted", "execution", "ExecuteTime"]

    private static func check(_ text: String, holds notebook: Notebook) throws {
        let written = try parse(text).cells
        let differing = zip(notebook.cells, written).enumerated().first { $1.0.source.trimmedAtEnd != $1.1.source.trimmedAtEnd }?.offset
        guard let at = differing ?? (written.count == notebook.cells.count ? nil : min(written.count, notebook.cells.count) - 1) else { return }
        let lines = notebook.cells[at].source.splitLines, kept = written[at].source.splitLines
        let line = lines.indices.first { $0 >= kept.count || kept[$0] != lines[$0] }.map { lines[$0] } ?? ""
        throw StreamError(.validate, "cell \(at + 1) holds a line that a script cannot hold inside a cell: \"\(line)\" reads as a cell's marker or interpreter there",
                          fix: "write that line differently, for example with a word before it")
    }
}

extension NotebookCell {
    /// False for what stands before the first marker of a script.
    var hasMarker: Bool { metadata[PercentScript.markerMember] != .bool(false) }
}
