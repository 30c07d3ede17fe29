import StreamCore
import StreamSQL
import Yams

/// A parsed YAML file whose nodes know their place in the file as the user wrote it.
struct YAMLDocument {
    let source: SourceText
    let root: Node
    private let lineStarts: [Int]

    init(_ source: SourceText) throws {
        self.source = source
        var starts = [0]
        for (i, byte) in source.text.utf8.enumerated() where byte == UInt8(ascii: "\n") { starts.append(i + 1) }
        lineStarts = starts
        do {
            guard let node = try Yams.compose(yaml: source.text) else {
                throw source.error(.validate, "the topology is empty", fix: "write name, tables and pipeline", at: source.span(0, 0))
            }
            root = node
        } catch let error as YamlError {
            throw Self.converted(error, source, starts)
        }
    }

    // MARK: Places

    private static func offset(_ mark: Mark, _ source: SourceText, _ starts: [Int]) -> Int {
        guard mark.line >= 1, mark.line <= starts.count else { return source.text.utf8.count }
        let start = starts[mark.line - 1]
        let end = mark.line < starts.count ? starts[mark.line] : source.text.utf8.count
        let line = source.slice(start, end).unicodeScalars
        return start + String(String.UnicodeScalarView(line.prefix(max(0, mark.column - 1)))).utf8.count
    }

    func offset(_ node: Node) -> Int { node.mark.map { Self.offset($0, source, lineStarts) } ?? 0 }

    func span(_ node: Node) -> SourceSpan {
        let start = offset(node)
        return source.span(start, start + (node.scalar?.string.utf8.count ?? 1))
    }

    func error(_ problem: String, fix: String? = nil, at node: Node) -> StreamError {
        source.error(.validate, problem, fix: fix, at: span(node))
    }

    /// The SQL in a scalar, each piece knowing its place in the file.
    ///
    /// YAML may have taken away indentation, line breaks and quotes; so both texts are walked in step over what isn't blank.
    func fragment(_ scalar: Node.Scalar, at node: Node) -> SourceText {
        var content = scalar.string
        while let last = content.last, last.isWhitespace { content.removeLast() }
        let wanted = Array(content.utf8), whole = Array(source.text.utf8)
        var at = offset(node)
        switch scalar.style {
        case .literal, .folded:
            while at < whole.count, whole[at] != UInt8(ascii: "\n") { at += 1 }
        case .singleQuoted, .doubleQuoted: at += 1
        default: break
        }
        var anchors: [SourceText.Anchor] = [], expected = -1
        for (i, byte) in wanted.enumerated() where byte > 0x20 {
            guard let found = whole[min(at, whole.count)...].firstIndex(of: byte) else { break }
            if found != expected || anchors.isEmpty || wanted[i - 1] <= 0x20 {
                let (line, column) = source.position(found)
                anchors.append(.init(offset: i, line: line, column: column))
            }
            at = found + 1
            expected = at
        }
        if anchors.first?.offset != 0 {
            let place = span(node)
            anchors.insert(.init(offset: 0, line: place.line, column: place.column), at: 0)
        }
        return SourceText(fragment: content, file: source.file, anchors: anchors, documentLines: source.documentLines)
    }

    // MARK: Errors of the YAML itself

    private static func converted(_ error: YamlError, _ source: SourceText, _ starts: [Int]) -> StreamError {
        func at(_ mark: Mark) -> SourceSpan {
            let start = offset(mark, source, starts)
            return source.span(start, start + 1)
        }
        switch error {
        case .scanner(let context, let problem, let mark, _), .parser(let context, let problem, let mark, _),
            .composer(let context, let problem, let mark, _):
            let detail = context.map { " \($0.text.trimmingPrefix(" "))" } ?? ""
            return source.error(
                .parse, "this is not YAML: \(problem)\(detail)", fix: "mend the indentation or quotes at or above this place", at: at(mark))
        case .reader(let problem, let offset, _, _):
            return source.error(
                .parse, "this is not YAML: \(problem)", fix: "save the file as UTF-8 text", at: source.span(offset ?? 0, (offset ?? 0) + 1))
        case .duplicatedKeysInMapping(let duplicates, let context):
            let key = duplicates.sorted().first ?? ""
            let places = keyPlaces(key, source, from: offset(context.mark, source, starts))
            guard places.count > 1 else {
                return source.error(.parse, "the key \"\(key)\" is given twice", fix: "keep one of them", at: at(context.mark))
            }
            return source.error(
                .parse, "the key \"\(key)\" is given twice, first in line \(places[0].line)", fix: "keep one of them", at: places[1])
        default:
            return source.error(.parse, "this is not YAML: \(error)", at: source.span(0, 1))
        }
    }

    /// Where the first two lines begin with `key:` at the same depth.
    private static func keyPlaces(_ key: String, _ source: SourceText, from start: Int) -> [SourceSpan] {
        var places: [SourceSpan] = [], indent: Int?
        let text = Array(source.text.utf8)
        var line = text[..<min(start, text.count)].lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        while line < text.count {
            let end = text[line...].firstIndex(of: UInt8(ascii: "\n")) ?? text.count
            let content = source.slice(line, end), blanks = content.prefix { $0 == " " || $0 == "-" }.count
            let rest = content.dropFirst(blanks)
            if ["\(key):", "'\(key)':", "\"\(key)\":"].contains(where: { rest.hasPrefix($0) }), indent == nil || indent == blanks {
                indent = blanks
                places.append(source.span(line + blanks, end))
                if places.count == 2 { return places }
            }
            line = end + 1
        }
        return places
    }
}
