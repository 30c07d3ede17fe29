import StreamCore

/// A percent script as it stands in its file: cells and the lines they have. Edits change the lines of one cell and no other byte.
package struct PercentDocument: Sendable {
    /// Where a cell stands. Lines count from 0 here, and end before the upper bound.
    package struct Place: Sendable, Hashable {
        /// From the marker to the next cell's marker.
        package var lines: Range<Int>
        /// Nil for what stands before the first marker.
        package var marker: Int?
        /// The line of `%flink.ssql`, if there is one.
        package var interpreter: Int?
        /// The source's lines; text on the interpreter's own line is in none of them.
        package var source: Range<Int>
        /// Whether its text stands in comments.
        package var isCommented: Bool
    }

    package private(set) var cells: [NotebookCell] = []
    package private(set) var places: [Place] = []
    /// Lines of jupytext's header, with the blank line behind it.
    package private(set) var headerEnd = 0
    private(set) var file: TextLines
    private let path: String?

    /// - Throws: `.parse` with the place when an interpreter's properties cannot be read.
    package init(_ text: String, file path: String? = nil) throws {
        self.path = path
        file = TextLines(text)
        headerEnd = PercentHeader.end(in: file.lines.map(\.text))
        var at = headerEnd
        while at < file.lines.count { at = try readCell(at) }
    }

    /// The file's text.
    package var text: String { file.text }
    package var header: String { TextLines.joined(file.lines[..<headerEnd]) }

    package var notebook: Notebook {
        var metadata: [JSON.Member] = []
        if headerEnd > 0 { metadata.append(JSON.Member(PercentScript.headerMember, .string(header))) }
        if file.hasByteOrderMark { metadata.append(JSON.Member(PercentScript.byteOrderMarkMember, .bool(true))) }
        if file.newline == "\r\n" { metadata.append(JSON.Member(PercentScript.lineEndMember, .string("\r\n"))) }
        if file.lines.last?.end == "" { metadata.append(JSON.Member(PercentScript.lastLineMember, .bool(false))) }
        return Notebook(cells: cells, metadata: metadata)
    }

    /// The document with other lines: read anew, as an edit may make cells or take them away.
    func with(_ lines: [TextLines.Line]) throws -> PercentDocument {
        var file = file
        file.lines = lines
        return try PercentDocument(file.text, file: path)
    }

    // MARK: Reading

    /// Adds the cell that begins at line `start`. Returns where the next one begins.
    private mutating func readCell(_ start: Int) throws -> Int {
        let marker = PercentMarker.options(in: file.lines[start].text)
        let options = marker.map(CellOptions.init(parsing:)) ?? CellOptions()
        let bodyStart = marker == nil ? start : start + 1
        let end = cellEnd(start, kind: options.kind, language: options["language"]?.string)
        var read: PercentCell
        do {
            read = try PercentCell(options, body: file.lines[bodyStart..<end.content].map(\.text))
        } catch var error as StreamError {
            error.location = SourceLocation(file: path, line: (error.location?.line ?? 1) + bodyStart, column: error.location?.column ?? 1)
            throw error
        }
        read.cell.line += bodyStart
        if marker == nil { read.cell.metadata.append(JSON.Member(PercentScript.markerMember, .bool(false))) }
        if end.blankLines != 1 { read.cell.metadata = read.cell.metadata.setting(PercentScript.blankLinesMember, .int(Int64(end.blankLines))) }
        read.cell.metadata = read.cell.metadata.sortedByName
        cells.append(read.cell)
        places.append(Place(lines: start..<end.next, marker: marker == nil ? nil : start, interpreter: read.interpreterLine.map { $0 + bodyStart },
                            source: (bodyStart + read.sourceStart)..<end.content, isCommented: read.isCommented))
        return end.next
    }

    /// Where a cell's text ends, where the next cell begins, and how many blank lines jupytext counts between them.
    private func cellEnd(_ start: Int, kind: NotebookCell.Kind, language: String?) -> (content: Int, next: Int, blankLines: Int) {
        let lines = file.lines
        var next = lines.count, fence: MarkdownFence?
        var scanner = language == "python" ? LongStringScanner(comment: "#") : nil
        search: for i in start..<lines.count {
            let line = lines[i].text
            if scanner?.quote != nil {
                scanner?.read(line)
                continue
            }
            scanner?.read(line)
            if kind != .code {
                let text = CommentPrefix.removing(from: line)
                if let open = fence {
                    if open.isClosed(by: text) { fence = nil }
                    continue
                }
                if let open = MarkdownFence(opening: text), lines[(i + 1)...].contains(where: { open.isClosed(by: CommentPrefix.removing(from: $0.text)) }) {
                    fence = open
                    continue
                }
            }
            if i > start, PercentMarker.options(in: line) != nil {
                next = i
                break search
            }
        }
        var content = next
        if next - start >= 3, !lines[next - 3].text.isBlank, lines[next - 2].text.isBlank, lines[next - 1].text.isBlank {
            content = next - 2
        } else if next > start, lines[next - 1].text.isEmpty {
            content = next - 1
        }
        let blankLines = content < lines.count ? next - content + (next >= lines.count ? 1 : 0) : 1
        return (max(content, min(start + 1, next)), next, blankLines)
    }
}

/// A fenced block in Markdown, in which `%%` is only text.
private struct MarkdownFence {
    let mark: Character, length: Int

    private static func parts(_ text: String) -> (mark: Character, length: Int, rest: Substring)? {
        let line = text.drop { $0 == " " }
        guard text.count - line.count <= 3, let mark = line.first, mark == "`" || mark == "~" else { return nil }
        let length = line.prefix { $0 == mark }.count
        return length >= 3 ? (mark, length, line.dropFirst(length)) : nil
    }

    init?(opening text: String) {
        guard let (mark, length, rest) = Self.parts(text), mark == "~" || !rest.contains("`") else { return nil }
        (self.mark, self.length) = (mark, length)
    }

    func isClosed(by text: String) -> Bool {
        guard let (mark, length, rest) = Self.parts(text) else { return false }
        return mark == self.mark && length >= self.length && rest.isBlank
    }
}

/// `-- %%`, and what follows it.
enum PercentMarker {
    /// Nil when the line is no marker. More percent signs than two are part of the options: a deeper cell.
    static func options(in line: String) -> String? {
        let text = line.trimmed
        guard text.hasPrefix(CommentPrefix.mark) else { return nil }
        let rest = text.dropFirst(CommentPrefix.mark.count).trimmed
        if rest.hasPrefix("%%") {
            let behind = rest.dropFirst(2)
            let afterSigns = behind.drop { $0 == "%" }
            if let next = afterSigns.unicodeScalars.first { return next.properties.isWhitespace ? String(behind) : nil }
            // Of a marker alone jupytext allows no more than the two signs, unless white space follows.
            return behind.isEmpty || line.unicodeScalars.last!.properties.isWhitespace ? String(behind) : nil
        }
        if rest == "<codecell>" { return "" }
        guard rest.hasPrefix("In["), let close = rest.firstIndex(of: "]") else { return nil }
        let number = rest[rest.index(rest.startIndex, offsetBy: 3)..<close], end = rest[rest.index(after: close)...]
        return number.allSatisfy { $0 == " " || ("0"..."9").contains($0) } && (end.isEmpty || end == ":") ? "" : nil
    }
}

/// The header that jupytext writes: `-- ---`, YAML in comments, `-- ---`; and lines about encoding or the program to run with before it.
enum PercentHeader {
    static let encoding = "-- -*- coding: utf-8 -*-"

    /// The first line behind it, and behind one blank line.
    static func end(in lines: [String]) -> Int {
        var start = 0, isStarted = false
        for (i, line) in lines.enumerated() {
            if i == 0, line.hasPrefix("#!") {
                start = 1
                continue
            }
            if i == 0 || i == 1 && !isEncoding(lines[0]), isEncoding(line) {
                start = i + 1
                continue
            }
            guard line.hasPrefix(CommentPrefix.mark) else { break }
            let text = CommentPrefix.removing(from: line)
            if text.hasPrefix("---"), text.dropFirst(3).isBlank {
                guard isStarted else {
                    isStarted = true
                    continue
                }
                let next = i + 1
                return next < lines.count && CommentPrefix.removing(from: lines[next]).isBlank ? next + 1 : next
            }
            if !isStarted, !text.isBlank { break }
        }
        return start
    }

    private static func isEncoding(_ line: String) -> Bool {
        guard line.trimmed.hasPrefix(CommentPrefix.mark), let at = line.firstRange(of: "coding:") ?? line.firstRange(of: "coding=") else { return false }
        let name = line[at.upperBound...].drop { $0 == " " || $0 == "\t" }
        return name.first.map { $0.isLetter || $0.isNumber || "-_.".contains($0) } ?? false
    }
}
