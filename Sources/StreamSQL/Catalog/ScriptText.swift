import StreamCore

/// The script that pieces of syntax point into, for errors that show the line they are about, and where its names are looked for.
struct ScriptText: Sendable {
    let source: SourceText
    /// Where names are looked for; nil = in the session's current database.
    var namespace: Namespace?

    init(_ source: SourceText, namespace: Namespace? = nil) { (self.source, self.namespace) = (source, namespace) }
    init(of statement: Statement) { source = statement.source ?? SourceText(statement.text) }

    func location(_ span: SourceSpan) -> SourceLocation {
        SourceLocation(file: source.file, line: span.line, column: span.column)
    }

    func line(_ number: Int) -> String? {
        source.error(.validate, "", at: SourceSpan(start: 0, end: 0, line: number, column: 1)).sourceLine
    }

    func error(_ code: StreamError.Code, _ problem: String, fix: String? = nil, at span: SourceSpan) -> StreamError {
        source.error(code, problem, fix: fix, at: span)
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
