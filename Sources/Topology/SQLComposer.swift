import StreamCore
import StreamSQL

/// A statement put together from pieces of a document, each of which keeps its place.
struct SQLComposer {
    private let document: YAMLDocument
    private var text = ""
    private var anchors: [SourceText.Anchor] = []

    init(_ document: YAMLDocument) { self.document = document }

    /// Generated words that stand for the place `at`.
    mutating func add(_ words: String, at span: SourceSpan) {
        anchors.append(.init(offset: text.utf8.count, line: span.line, column: span.column))
        text += words
    }

    /// A name in backticks.
    mutating func addName(_ name: String, at span: SourceSpan) { add(Self.quoted(name), at: span) }

    /// A part of SQL as the user wrote it; a line break keeps a comment at its end from swallowing what follows.
    mutating func add(_ fragment: SourceText, from start: Int = 0, to end: Int? = nil) {
        let end = end ?? fragment.text.utf8.count
        let (line, column) = fragment.position(start)
        let base = text.utf8.count
        anchors.append(.init(offset: base, line: line, column: column))
        for anchor in fragment.anchors where anchor.offset > start && anchor.offset < end {
            anchors.append(.init(offset: base + anchor.offset - start, line: anchor.line, column: anchor.column))
        }
        text += fragment.slice(start, end)
        if fragment.slice(start, end).contains("--") { text += "\n" }
    }

    func statement() throws -> Statement {
        let source = SourceText(fragment: text, file: document.source.file, anchors: anchors, documentLines: document.source.documentLines)
        return try SQLParser(source: source).parseStatement()
    }

    static func quoted(_ name: String) -> String { "`" + name.replacing("`", with: "``") + "`" }
    static func literal(_ text: String) -> String { "'" + text.replacing("'", with: "''") + "'" }
}
