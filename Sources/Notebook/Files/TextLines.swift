import StreamCore

/// A text file as lines, such that writing them back gives the same bytes.
struct TextLines {
    struct Line: Hashable {
        var text: String
        /// `\n`, `\r\n`, or nothing after the last line of a file that does not end with a newline.
        var end: String
    }

    var hasByteOrderMark: Bool
    var lines: [Line]

    init(_ text: String) {
        var bytes = Array(text.utf8)
        hasByteOrderMark = bytes.starts(with: [0xEF, 0xBB, 0xBF])
        if hasByteOrderMark { bytes.removeFirst(3) }
        lines = []
        var start = 0
        for (i, byte) in bytes.enumerated() where byte == 0x0A {
            let hasReturn = i > start && bytes[i - 1] == 0x0D
            lines.append(Line(text: String(decoding: bytes[start..<(hasReturn ? i - 1 : i)], as: UTF8.self), end: hasReturn ? "\r\n" : "\n"))
            start = i + 1
        }
        if start < bytes.count { lines.append(Line(text: String(decoding: bytes[start...], as: UTF8.self), end: "")) }
    }

    var text: String { (hasByteOrderMark ? "\u{FEFF}" : "") + Self.joined(lines[...]) }

    static func joined(_ lines: ArraySlice<Line>) -> String { lines.reduce(into: "") { $0 += $1.text + $1.end } }

    /// How most lines end: what new lines get.
    var newline: String { lines.count { $0.end == "\r\n" } * 2 > lines.count { !$0.end.isEmpty } ? "\r\n" : "\n" }
}

extension StringProtocol {
    /// Lines without their ends; a text that ends with a newline has an empty last line.
    var splitLines: [String] {
        utf8.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            String(decoding: line.last == 0x0D ? line.dropLast() : line, as: UTF8.self)
        }
    }

    var isBlank: Bool { unicodeScalars.allSatisfy { $0.properties.isWhitespace } }

    /// Without white space at both ends.
    var trimmed: String {
        var part = Substring(self).unicodeScalars
        while let first = part.first, first.properties.isWhitespace { part.removeFirst() }
        while let last = part.last, last.properties.isWhitespace { part.removeLast() }
        return String(part)
    }

    var trimmedAtEnd: String {
        var part = Substring(self).unicodeScalars
        while let last = part.last, last.properties.isWhitespace { part.removeLast() }
        return String(part)
    }

    /// The white space that it begins with.
    var leadingSpace: String { String(String.UnicodeScalarView(unicodeScalars.prefix { $0.properties.isWhitespace })) }
}

/// SQL's comment prefix, as Markdown and program text bear it in a script.
enum CommentPrefix {
    static let mark = "--"

    static func adding(to line: String) -> String { line.isEmpty ? mark : mark + " " + line }

    static func removing(from line: String) -> String {
        let bytes = line.utf8
        guard bytes.starts(with: mark.utf8) else { return line }
        return String(line.utf8.dropFirst(bytes.dropFirst(2).first == 0x20 ? 3 : 2)) ?? line
    }

    /// Characters that ``removing(from:)`` takes away.
    static func width(of line: String) -> Int { line.utf8.count - removing(from: line).utf8.count }
}

/// Whether a line stands inside a Python string of several lines, in which a cell marker is only text.
///
/// Single quotes end with their line. SQL has no such strings: a line that looks like a marker is one.
struct LongStringScanner {
    let comment: String
    private(set) var quote: Unicode.Scalar?

    init(comment: String) { self.comment = comment }

    mutating func read(_ line: String) {
        let text = Array(line.unicodeScalars), mark = Array(comment.unicodeScalars)
        if quote == nil, line.trimmed.hasPrefix(comment) { return }
        var single: Unicode.Scalar?, opened = -3, i = 0
        while i < text.count {
            let c = text[i]
            defer { i += 1 }
            if single == nil, quote == nil, text[i...].starts(with: mark) { break }
            guard c == "\"" || c == "'", i == 0 || text[i - 1] != "\\" else { continue }
            if single == c {
                single = nil
            } else if single == nil {
                if i >= 2, text[i - 1] == c, text[i - 2] == c, i >= opened + 3 {
                    if quote == c {
                        (quote, opened) = (nil, i)
                    } else if quote == nil {
                        (quote, opened) = (c, i)
                    }
                } else if quote == nil {
                    single = c
                }
            }
        }
    }
}
