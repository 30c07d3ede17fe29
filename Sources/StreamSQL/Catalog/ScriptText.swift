import StreamCore

/// The text that pieces of syntax point into, so that errors can show the line they are about.
public struct ScriptText: Sendable {
    public var file: String?
    private var lines: [Substring]
    /// Line and column of the text's first character.
    private var firstLine: Int, firstColumn: Int

    /// A whole script.
    public init(_ text: String, file: String? = nil) {
        self.init(text, file: file, firstLine: 1, firstColumn: 1)
    }

    /// One statement of a script, standing where its span says.
    public init(of statement: Statement, file: String? = nil) {
        self.init(statement.text, file: file, firstLine: statement.span.line, firstColumn: statement.span.column)
    }

    private init(_ text: String, file: String?, firstLine: Int, firstColumn: Int) {
        self.file = file
        self.firstLine = firstLine
        self.firstColumn = firstColumn
        lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    }

    func location(_ span: SourceSpan) -> SourceLocation {
        SourceLocation(file: file, line: span.line, column: span.column)
    }

    /// The line, with the part in front of the first character as blanks; nil when it is not part of this text.
    func line(_ number: Int) -> String? {
        let i = number - firstLine
        guard lines.indices.contains(i) else { return nil }
        return (i == 0 ? String(repeating: " ", count: max(0, firstColumn - 1)) : "") + lines[i]
    }

    func error(_ code: StreamError.Code, _ problem: String, fix: String? = nil, at span: SourceSpan) -> StreamError {
        StreamError(code, problem, fix: fix, at: location(span), sourceLine: line(span.line))
    }

    /// Runs `body`; an error without a location gets this one.
    func locating<T>(_ span: SourceSpan, _ body: () throws -> T) throws -> T {
        do {
            return try body()
        } catch var error as StreamError {
            if error.location == nil {
                error.location = location(span)
                error.sourceLine = line(span.line)
            }
            throw error
        }
    }
}
