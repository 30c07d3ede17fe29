import StreamCore

/// Edits give a new document. They write the lines that change, and leave every other byte as it was.
extension PercentDocument {
    /// Another source for a cell. Lines that stay keep their bytes.
    ///
    /// A line that looks like a marker begins another cell, as it would in an editor.
    /// - Throws: `.parse` when the text's interpreter line cannot be read.
    package func replacing(_ index: Int, source: String) throws -> PercentDocument {
        var cell = cells[index]
        cell.source = source
        return try replacing(index, with: cell)
    }

    /// Another title, kind, interpreter, tags or source for a cell; what is the same in both keeps its bytes.
    package func replacing(_ index: Int, with cell: NotebookCell) throws -> PercentDocument {
        let old = cells[index], place = places[index]
        let oldParts = PercentCell.separateParts(of: old), parts = PercentCell.separateParts(of: cell)
        let bodyStart = place.marker.map { $0 + 1 } ?? place.lines.lowerBound
        var edits = LineEdits(file)
        // Text on the interpreter's own line goes to lines of its own once it changes.
        let isOnOneLine = place.interpreter.map { old.line == $0 + 1 } ?? false
        let keepsInterpreter = old.interpreter == cell.interpreter && old.kind == cell.kind && !(isOnOneLine && old.source != cell.source)
        let isCommented = keepsInterpreter ? place.isCommented : parts.isCommented
        if old.source != cell.source || isCommented != place.isCommented || !keepsInterpreter && isOnOneLine {
            edits.replace(place.source, with: source(of: cell, isCommented: isCommented, parts), keeping: isCommented == place.isCommented && !isOnOneLine ? CommentUse(isCommented) : nil)
        }
        if !keepsInterpreter { edits.replace(bodyStart..<place.source.lowerBound, with: parts.interpreter.map { [$0] } ?? []) }
        // A marker need not say the language when a line behind it names the interpreter.
        let saysLanguage = place.marker.flatMap { PercentMarker.options(in: file.lines[$0].text) }.flatMap { CellOptions(parsing: $0)["language"] }
        if written(oldParts.options) != written(parts.options) || !keepsInterpreter && saysLanguage != parts.options["language"] {
            let indent = place.marker.map { file.lines[$0].text.leadingSpace } ?? ""
            edits.replace(place.lines.lowerBound..<bodyStart, with: [indent + CommentPrefix.mark + " %%" + written(parts.options).text])
        }
        return try with(edits.result)
    }

    /// A new cell before cell `index`, or behind the last.
    package func inserting(_ cell: NotebookCell, at index: Int) throws -> PercentDocument {
        var cell = cell
        cell.metadata.removeAll { $0.name == PercentScript.markerMember || $0.name == PercentScript.blankLinesMember }
        return try inserting(PercentScript.lines(of: cell).dropLast(), at: index)
    }

    package func removing(_ index: Int) throws -> PercentDocument {
        var edits = LineEdits(file), lines = places[index].lines
        // The space before the last cell goes with it.
        if index == cells.count - 1, index > 0 { lines = contentEnd(index - 1)..<lines.upperBound }
        edits.replace(lines, with: [])
        return try with(edits.result)
    }

    /// The cell is number `target` afterwards.
    package func moving(_ index: Int, to target: Int) throws -> PercentDocument {
        guard index != target else { return self }
        var block = file.lines[places[index].lines.lowerBound..<contentEnd(index)].map(\.text)
        if places[index].marker == nil { block.insert(CommentPrefix.mark + " %%", at: 0) }
        return try removing(index).inserting(block[...], at: target)
    }

    private func inserting(_ block: ArraySlice<String>, at index: Int) throws -> PercentDocument {
        var edits = LineEdits(file)
        if index < cells.count {
            let start = places[index].lines.lowerBound
            // What had no marker, because it was the first, gets one.
            edits.replace(start..<start, with: block + [""] + (places[index].marker == nil ? [CommentPrefix.mark + " %%"] : []))
        } else {
            let end = file.lines.count, hasSpace = cells.isEmpty || file.lines.last?.text.isEmpty == true
            edits.replace(end..<end, with: (hasSpace ? [] : [""]) + block)
        }
        return try with(edits.result)
    }

    /// Behind the cell's last line that is not space between cells.
    private func contentEnd(_ index: Int) -> Int { max(places[index].source.upperBound, places[index].lines.lowerBound + 1) }

    private func source(of cell: NotebookCell, isCommented: Bool, _ parts: (options: CellOptions, interpreter: String?, source: [String], isCommented: Bool)) -> [String] {
        if cell.source.isEmpty { return parts.source.isEmpty || !isCommented ? [] : [CommentPrefix.mark] }
        let lines = cell.source.splitLines
        return isCommented ? lines.map(CommentPrefix.adding) : PercentScript.withoutSpaceAtEnd(lines)
    }

    private func written(_ options: CellOptions) -> CellOptions {
        var options = options
        options.members.removeAll { PercentScript.unwritten.contains($0.name) }
        options.members = options.members.sortedByName
        return options
    }
}

/// How lines bear a cell's text: two that bear the same text are the same line.
private struct CommentUse {
    let isCommented: Bool
    init(_ isCommented: Bool) { self.isCommented = isCommented }
    func text(_ line: String) -> String { isCommented ? CommentPrefix.removing(from: line) : line }
}

/// Replaces ranges of a file's lines, from the last to the first.
private struct LineEdits {
    private(set) var result: [TextLines.Line]
    private let newline: String

    init(_ file: TextLines) { (result, newline) = (file.lines, file.newline) }

    /// - Parameter use: lines at both ends that bear the same text as before keep their bytes.
    mutating func replace(_ range: Range<Int>, with texts: [String], keeping use: CommentUse? = nil) {
        var range = range, texts = texts[...]
        if let use {
            while let old = range.first, let new = texts.first, use.text(result[old].text) == use.text(new) {
                range = (old + 1)..<range.upperBound
                texts.removeFirst()
            }
            while let old = range.last, let new = texts.last, use.text(result[old].text) == use.text(new) {
                range = range.lowerBound..<old
                texts.removeLast()
            }
        }
        // A file that ends without a newline goes on doing so.
        let endsOpen = range.upperBound == result.count && result.last?.end == ""
        result.replaceSubrange(range, with: texts.map { TextLines.Line(text: $0, end: newline) })
        for i in result.indices.dropLast() where result[i].end.isEmpty { result[i].end = newline }
        if endsOpen, !result.isEmpty { result[result.count - 1].end = "" }
    }
}
