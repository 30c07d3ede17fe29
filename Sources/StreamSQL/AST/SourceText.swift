import StreamCore

/// A script, or a piece of SQL inside another document, with what is needed to point at a place in it.
///
/// The piece keeps its own offsets; lines and columns are those of the document, so that an error in the SQL of a YAML
/// file names the line of the YAML file.
public final class SourceText: Sendable {
    /// From `offset` of the text on, places count from this line and column, until the next anchor or line end.
    public struct Anchor: Hashable, Sendable {
        public var offset: Int, line: Int, column: Int
        public init(offset: Int, line: Int, column: Int) {
            self.offset = offset
            self.line = line
            self.column = column
        }
    }

    public let text: String
    public let file: String?
    let bytes: [UInt8]
    /// Ascending by offset; the given ones and more, at line starts and within long lines.
    public let anchors: [Anchor]
    /// The lines of the whole document, shown in errors.
    public let documentLines: [String]

    public convenience init(_ text: String, file: String? = nil) {
        self.init(fragment: text, file: file, anchors: [], documentLines: Self.lines(of: text))
    }

    /// - Parameter anchors: ascending by offset; without any the fragment starts at line 1, column 1.
    public init(fragment: String, file: String?, anchors: [Anchor], documentLines: [String]) {
        text = fragment
        self.file = file
        bytes = Array(fragment.utf8)
        self.documentLines = documentLines
        // The added anchors keep a look-up from walking many bytes.
        var all: [Anchor] = anchors.first?.offset == 0 ? [] : [Anchor(offset: 0, line: 1, column: 1)]
        var given = anchors[...]
        for i in bytes.indices {
            while let next = given.first, next.offset <= i {
                all.append(next)
                given.removeFirst()
            }
            if i > 0, bytes[i - 1] == 0x0A, all[all.count - 1].offset != i {
                all.append(Anchor(offset: i, line: all[all.count - 1].line + 1, column: 1))
            } else if i > 0, i - all[all.count - 1].offset >= 128, bytes[i] < 0x80, bytes[i - 1] < 0x80, bytes[i - 1] != 0x0D {
                let last = all[all.count - 1]
                let passed = String(decoding: bytes[last.offset..<i], as: UTF8.self).count
                all.append(Anchor(offset: i, line: last.line, column: last.column + passed))
            }
        }
        all += given
        self.anchors = all
    }

    public static func lines(of text: String) -> [String] {
        // By bytes: as a Character, "\r\n" is not "\n".
        text.utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
        }
    }

    /// Line and column (from 1, in characters) of a UTF-8 offset.
    public func position(_ offset: Int) -> (line: Int, column: Int) {
        var low = 0, high = anchors.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if anchors[middle].offset <= offset { low = middle } else { high = middle }
        }
        let anchor = anchors[low]
        let end = min(offset, bytes.count)
        guard anchor.offset < end else { return (anchor.line, anchor.column) }
        return (anchor.line, anchor.column + String(decoding: bytes[anchor.offset..<end], as: UTF8.self).count)
    }

    public func span(_ start: Int, _ end: Int) -> SourceSpan {
        let (line, column) = position(start)
        return SourceSpan(start: start, end: end, line: line, column: column)
    }

    public func slice(_ start: Int, _ end: Int) -> String { String(decoding: bytes[start..<max(start, end)], as: UTF8.self) }

    /// An error that points at `span` and shows its line.
    public func error(_ code: StreamError.Code, _ problem: String, fix: String? = nil, at span: SourceSpan) -> StreamError {
        StreamError(
            code, problem, fix: fix, at: SourceLocation(file: file, line: span.line, column: span.column),
            sourceLine: documentLines.indices.contains(span.line - 1) ? documentLines[span.line - 1] : nil)
    }
}
