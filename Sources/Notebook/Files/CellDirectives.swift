import StreamCore

/// The lines `-- @…` at the top of a cell: how long its query runs, and how its result is drawn.
package struct CellDirectives: Sendable, Hashable {
    package var chart: ChartSpec?
    /// The cell's query ends after so long.
    package var duration: Duration?
    /// It ends once it has given so many rows.
    package var rows: Int?
    /// The next cells run while it does.
    package var isBackground = false
    /// The notebook goes on when it fails.
    package var allowsFailure = false
    /// Programs without which the cell is left out: `swiftc`.
    package var needs: [String] = []

    package init() {}

    /// Directives stand in comments before the first line that is none: `-- @for 10s`, in Python and shell `# @for 10s`, in Swift and Scala `// @for 10s`.
    ///
    /// - Throws: `.parse` with the place in `file` when one is unknown, twice there, or malformed.
    package init(of cell: NotebookCell, file: String? = nil) throws {
        guard cell.kind == .code else { return }
        let mark = cell.commentMark
        var seen: Set<String> = []
        for (i, line) in cell.source.splitLines.enumerated() {
            let text = line.trimmed
            if text.isEmpty { continue }
            guard text.hasPrefix(mark) else { break }
            let body = text.dropFirst(mark.count).trimmed
            guard body.hasPrefix("@"), body.dropFirst().first?.isLetter == true else { continue }
            // Of the @ sign, in the file.
            let column = line.distance(from: line.startIndex, to: line.firstIndex(of: "@")!) + 1
            try read(body, DirectiveText(line: line, column: column, lineInFile: cell.line + i, indent: cell.indent, file: file), &seen)
        }
    }

    static let names = ["chart", "for", "rows", "background", "allow-failure", "needs"]

    private mutating func read(_ body: String, _ place: DirectiveText, _ seen: inout Set<String>) throws {
        let name = String(body.dropFirst().prefix { !$0.isWhitespace }), value = body.dropFirst(name.count + 1).trimmed
        guard Self.names.contains(name) else {
            throw place.error("no directive is named @\(name)", fix: NearName.nearest(to: name, in: Self.names).map { "write @\($0)" } ?? "use one of " + Self.names.map { "@" + $0 }.joined(separator: ", ") + ", or write the comment without the @")
        }
        guard seen.insert(name).inserted else { throw place.error("@\(name) stands twice in this cell", fix: "remove one of them") }
        // Where the value begins.
        let offset = place.line.trimmedAtEnd.count - value.count + 1
        switch name {
        case "chart": chart = try ChartSpec.parse(value, place.at(column: value.isEmpty ? place.column : offset))
        case "for":
            guard let duration = Self.duration(value) else {
                throw place.at(column: offset).error("\"\(value)\" is no length of time", fix: "write a number and a unit: @for 500ms, @for 30s, @for 2 min, @for 1h")
            }
            self.duration = duration
        case "rows":
            guard let rows = Int(value.filter { $0 != "_" && $0 != "," }), rows > 0 else {
                throw place.at(column: offset).error("\"\(value)\" is no number of rows", fix: "write a whole number above 0: @rows 20")
            }
            self.rows = rows
        case "needs":
            needs = value.split(separator: " ").map(String.init)
            if needs.isEmpty { throw place.error("@needs names no program", fix: "write what must be in the PATH: @needs swiftc") }
        default:
            guard value.isEmpty else { throw place.at(column: offset).error("@\(name) takes no value, and has \"\(value)\"", fix: "write @\(name) alone") }
            if name == "background" { isBackground = true } else { allowsFailure = true }
        }
    }

    /// `500ms`, `30s`, `1.5 min`, `2 hours`; nil when the text is none of these.
    package static func duration(_ text: String) -> Duration? {
        let text = text.trimmed, number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let count = Double(number), count > 0, count < 1e9 else { return nil }
        let milliseconds: Double
        switch text.dropFirst(number.count).trimmed.lowercased() {
        case "ms", "milli", "millis", "millisecond", "milliseconds": milliseconds = count
        case "s", "sec", "secs", "second", "seconds": milliseconds = count * 1000
        case "m", "min", "mins", "minute", "minutes": milliseconds = count * 60_000
        case "h", "hour", "hours": milliseconds = count * 3_600_000
        default: return nil
        }
        return .milliseconds(Int64(milliseconds.rounded()))
    }
}

extension NotebookCell {
    package var language: CellLanguage { kind == .code ? interpreter?.language ?? .sql : .markdown }

    /// What a comment begins with in the cell's language.
    package var commentMark: String {
        switch language {
        case .sql: "--"
        case .python, .shell, .markdown, .other: "#"
        case .swift, .scala: "//"
        }
    }
}

/// Where a directive stands.
struct DirectiveText {
    var line: String, column: Int, lineInFile: Int, indent: Int, file: String? = nil

    func at(column: Int) -> DirectiveText {
        var place = self
        place.column = column
        return place
    }

    func error(_ problem: String, fix: String) -> StreamError {
        StreamError(.parse, problem, fix: fix, at: SourceLocation(file: file, line: lineInFile, column: column + indent), sourceLine: String(repeating: " ", count: indent) + line)
    }
}

extension ChartSpec {
    /// What follows `@chart`: `bar x=status y=avg_current_temperature,n group=site title="By status"`.
    ///
    /// - Throws: `.parse` without a place in a file.
    package static func parse(_ text: String) throws -> ChartSpec { try parse(text, DirectiveText(line: text, column: 1, lineInFile: 1, indent: 0)) }

    /// - Parameter place: the column is the text's first.
    static func parse(_ text: String, _ place: DirectiveText) throws -> ChartSpec {
        let words = try self.words(text, place), kinds = Kind.allCases.map(\.rawValue)
        let example = "write for example: @chart bar x=status y=amount"
        guard let first = words.first else { throw place.error("@chart says no kind of chart", fix: "use one of " + kinds.joined(separator: ", ") + "; " + example) }
        guard let kind = Kind(rawValue: first.text.lowercased()) else {
            throw place.at(column: place.column + first.offset).error("no chart is of the kind \"\(first.text)\"", fix: NearName.hint(for: first.text, in: kinds) ?? example)
        }
        var spec = ChartSpec(kind), seen: Set<String> = []
        for word in words.dropFirst() {
            let here = place.at(column: place.column + word.offset)
            guard let name = word.name?.lowercased() else { throw here.error("\"\(word.text)\" in @chart has no name and =", fix: example) }
            let options = ["x", "y", "group", "title", "aggregate"]
            guard options.contains(name) else { throw here.error("@chart has no option \(name)", fix: NearName.hint(for: name, in: options) ?? example) }
            guard !word.text.isEmpty else { throw here.error("\(name)= in @chart has no value", fix: example) }
            guard name == "y" || seen.insert(name).inserted else { throw here.error("@chart has \(name)= twice", fix: "remove one of them") }
            switch name {
            case "x": spec.x = word.text
            case "y": spec.y += word.parts
            case "group": spec.group = word.text
            case "aggregate":
                let known = Aggregate.allCases.map(\.rawValue)
                guard let aggregate = Aggregate(rawValue: word.text.lowercased()) else {
                    throw here.error("there is no aggregate \"\(word.text)\" for @chart", fix: NearName.hint(for: word.text, in: known) ?? example)
                }
                spec.aggregate = aggregate
            default: spec.title = word.text
            }
        }
        return spec
    }

    private struct Word {
        var offset: Int, name: String?, text = "", parts: [String] = []
    }

    /// Words apart by white space; double quotes keep white space, commas and equals signs, and `\"` is a quote.
    private static func words(_ text: String, _ place: DirectiveText) throws -> [Word] {
        var words: [Word] = [], word: Word?, part = "", quote: Int?, isEscaped = false
        func end() {
            guard var done = word else { return }
            done.parts.append(part)
            done.parts.removeAll { $0.isEmpty }
            words.append(done)
            (word, part) = (nil, "")
        }
        for (i, c) in text.enumerated() {
            if quote == nil, c.isWhitespace {
                end()
                continue
            }
            if word == nil { word = Word(offset: i, name: nil) }
            if isEscaped {
                (isEscaped, word!.text, part) = (false, word!.text + String(c), part + String(c))
            } else if quote != nil, c == "\\" {
                isEscaped = true
            } else if c == "\"" {
                quote = quote == nil ? i : nil
            } else if quote == nil, c == "=", word!.name == nil {
                (word!.name, word!.text, part) = (word!.text, "", "")
            } else if quote == nil, c == ",", word!.name != nil {
                word!.parts.append(part)
                (word!.text, part) = (word!.text + ",", "")
            } else {
                (word!.text, part) = (word!.text + String(c), part + String(c))
            }
        }
        if let quote { throw place.at(column: place.column + quote).error("a quote in @chart is not closed", fix: "end it with \"") }
        end()
        return words
    }

    /// As ``parse(_:)`` reads it.
    package var text: String {
        func quoted(_ text: String) -> String {
            let isPlain = !text.isEmpty && !text.contains { $0.isWhitespace || "\",=\\".contains($0) }
            return isPlain ? text : "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
        }
        var words = [kind.rawValue]
        if let x { words.append("x=" + quoted(x)) }
        if !y.isEmpty { words.append("y=" + y.map(quoted).joined(separator: ",")) }
        if let group { words.append("group=" + quoted(group)) }
        if let aggregate { words.append("aggregate=" + aggregate.rawValue) }
        if let title { words.append("title=" + quoted(title)) }
        return words.joined(separator: " ")
    }
}
