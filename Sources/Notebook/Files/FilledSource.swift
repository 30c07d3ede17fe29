import StreamCore

/// A cell's source with the values of parameters, and where its characters stand in the notebook's file.
package struct FilledSource: Sendable, Hashable {
    package private(set) var text = ""
    private let line: Int, indent: Int
    /// Columns count characters from 0, lines from 0.
    private struct Value: Hashable {
        var line: Int, column: Int, count: Int, originalColumn: Int, originalCount: Int
    }

    private var values: [Value] = []
    private var lastLine = 0, column = 0, originalColumn = 0

    init(line: Int, indent: Int) { (self.line, self.indent) = (line, indent) }

    mutating func append(_ part: String) {
        text += part
        let lines = part.splitLines
        if lines.count > 1 { (lastLine, column, originalColumn) = (lastLine + lines.count - 1, 0, 0) }
        column += lines.last!.count
        originalColumn += lines.last!.count
    }

    /// - Parameter value: of one line.
    mutating func append(_ value: String, insteadOf original: String) {
        text += value
        values.append(Value(line: lastLine, column: column, count: value.count, originalColumn: originalColumn, originalCount: original.count))
        column += value.count
        originalColumn += original.count
    }

    /// The place in the file of a place in `text`, both from 1. Within a value it is that of its `${`.
    package func location(line: Int, column: Int, file: String? = nil) -> SourceLocation {
        var column = column - 1
        if let value = values.last(where: { $0.line == line - 1 && $0.column <= column }) {
            column = column < value.column + value.count ? value.originalColumn : column - value.column - value.count + value.originalColumn + value.originalCount
        }
        return SourceLocation(file: file, line: self.line + line - 1, column: column + 1 + indent)
    }
}
