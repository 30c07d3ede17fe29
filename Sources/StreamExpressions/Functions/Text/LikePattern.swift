import StreamCore

/// A LIKE pattern, cut at its `%` signs into pieces that are compared bytewise. Immutable; made once per constant pattern.
struct LikePattern: Sendable {
    /// How the text is searched: most patterns need one comparison.
    private enum Shape { case exact, prefix, suffix, contains, anything, general }

    /// Stands for `_` in a piece; no byte of UTF-8 text has this value.
    private static let one: UInt8 = 0xFF

    private let shape: Shape
    private let pieces: [[UInt8]]
    private let opensWithAny: Bool, closesWithAny: Bool

    /// - Parameter escape: the character after which `%`, `_` and itself stand for themselves; nil for none.
    /// - Throws: `.runtime` when something else follows the escape character.
    init(_ pattern: UnsafeRawBufferPointer, escape: UInt32? = nil) throws {
        var pieces: [[UInt8]] = [], piece: [UInt8] = []
        var any = false, opens = false, plain = true
        var at = 0
        while at < pattern.count {
            let (c, width) = Utf8Text.decode(pattern, at)
            at += width
            if c == escape {
                guard at < pattern.count, case let (next, n) = Utf8Text.decode(pattern, at),
                      next == 0x25 || next == 0x5F || next == escape else {
                    throw StreamError(.runtime, "invalid escape sequence at byte \(at - width) of the LIKE pattern '\(pattern.string)'",
                                      fix: "write %, _ or the escape character itself after the escape character")
                }
                piece.append(contentsOf: pattern[at..<at + n])
                at += n
                any = false
            } else if c == 0x25 {
                if pieces.isEmpty && piece.isEmpty { opens = true }
                if !piece.isEmpty { pieces.append(piece) }
                piece = []
                any = true
            } else {
                if c == 0x5F {
                    piece.append(Self.one)
                    plain = false
                } else {
                    piece.append(contentsOf: pattern[(at - width)..<at])
                }
                any = false
            }
        }
        if !piece.isEmpty { pieces.append(piece) }
        self.pieces = pieces
        opensWithAny = opens
        closesWithAny = any
        shape = !plain || pieces.count > 1 ? .general
            : pieces.isEmpty ? (any ? .anything : .exact)
            : opens ? (any ? .contains : .suffix) : any ? .prefix : .exact
    }

    /// A BOOLEAN column: whether each text matches.
    func match(_ column: Column, _ rows: RowSet, negated: Bool = false) -> Column {
        let text = column.text
        if shape == .general { return rows.booleans { matchesGeneral(text[$0]) != negated } }
        let piece = pieces.first ?? []
        return piece.withUnsafeBytes { piece in
            switch shape {
            case .exact: rows.booleans { Utf8Text.equal(text[$0], piece) != negated }
            case .prefix: rows.booleans { Utf8Text.matches(piece, in: text[$0], at: 0) != negated }
            case .suffix:
                rows.booleans { row in
                    let t = text[row]
                    return (t.count >= piece.count && Utf8Text.matches(piece, in: t, at: t.count - piece.count)) != negated
                }
            case .contains: rows.booleans { (Utf8Text.find(piece, in: text[$0]) != nil) != negated }
            case .anything, .general: rows.booleans { _ in !negated }
            }
        }
    }

    func matches(_ text: UnsafeRawBufferPointer) -> Bool {
        shape == .anything || matchesGeneral(text)
    }

    private func matchesGeneral(_ text: UnsafeRawBufferPointer) -> Bool {
        guard let first = pieces.first else { return opensWithAny || text.isEmpty }
        var at = 0, next = 0, last = pieces.count
        if !opensWithAny {
            guard let end = Self.end(of: first, in: text, at: 0) else { return false }
            at = end
            next = 1
            if pieces.count == 1 { return closesWithAny || end == text.count }
        }
        if !closesWithAny { last -= 1 }
        while next < last {
            guard let end = Self.search(pieces[next], in: text, from: at) else { return false }
            at = end
            next += 1
        }
        if closesWithAny { return true }
        // The last piece ends with the text, so it starts as many characters before the end as it has.
        let tail = pieces[pieces.count - 1]
        var start = text.count, i = tail.count
        while i > 0 {
            i -= 1
            guard start > 0 else { return false }
            if tail[i] == Self.one {
                start = Utf8Text.previous(text, start)
                if Self.isLineBreak(text, start) { return false }
            } else {
                start -= 1
                if text[start] != tail[i] { return false }
            }
        }
        return start >= at
    }

    /// The end of the piece when it stands at `start`.
    @inline(__always)
    private static func end(of piece: [UInt8], in text: UnsafeRawBufferPointer, at start: Int) -> Int? {
        var at = start
        for byte in piece {
            guard at < text.count else { return nil }
            if byte == one {
                guard !isLineBreak(text, at) else { return nil }
                at = min(at + Utf8Text.width(text[at]), text.count)
            } else {
                guard text[at] == byte else { return nil }
                at += 1
            }
        }
        return at
    }

    /// `_` takes any character but a line break, as in Flink (`%` takes those too).
    @inline(__always)
    private static func isLineBreak(_ text: UnsafeRawBufferPointer, _ at: Int) -> Bool {
        let byte = text[at]
        if byte > 0x0D && byte < 0xC2 { return false }
        return byte == 0x0A || byte == 0x0D || (byte >= 0xC2 && CharacterSet.lineTerminators.contains(Utf8Text.decode(text, at).scalar))
    }

    private static func search(_ piece: [UInt8], in text: UnsafeRawBufferPointer, from: Int) -> Int? {
        var at = from
        while at < text.count {
            if let end = end(of: piece, in: text, at: at) { return end }
            at += Utf8Text.width(text[at])
        }
        return nil
    }
}
