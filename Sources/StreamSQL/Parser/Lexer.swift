import StreamCore

struct Token {
    enum Kind: Equatable {
        /// `text` as written, `upper` in capitals.
        case word
        /// `name` in backticks.
        case quoted
        /// 'text'; `text` is the value.
        case string
        /// X'0a'; `text` holds the hex digits.
        case hexString
        case integer, decimal, approximate
        case symbol
        /// `/*+`; the closing `*/` is a symbol.
        case hint
        case end
    }
    var kind: Kind
    var text: String
    var upper = ""
    var start: Int, end: Int
}

/// Cuts a script into tokens. Comments vanish, hints stay.
struct Lexer {
    let source: SourceText
    private let bytes: [UInt8]
    private var at = 0
    private var inHint = false

    init(_ source: SourceText) {
        self.source = source
        bytes = source.bytes
    }

    /// All tokens, the last one being `.end`.
    mutating func tokens() throws -> [Token] {
        var all: [Token] = []
        while true {
            try skipBlanks()
            let token = try next()
            let begins = all.last.map { $0.kind == .symbol && $0.text == ";" } ?? true
            all.append(token)
            if token.kind == .end { return all }
            guard begins, token.kind == .word else { continue }
            if token.upper == "SET" || token.upper == "RESET" { all += try setting() }
            if token.upper == "ADD" || token.upper == "REMOVE" { all += try jar() }
        }
    }

    /// What follows SET and RESET. Keys and values may stand there without quotes, as Flink's SQL client takes them: a value then goes to
    /// the end of its line, a semicolon or a comment.
    private mutating func setting() throws -> [Token] {
        try skipBlanks()
        var found: [Token] = []
        if byte(is: "'") {
            found.append(try next())
        } else if isNameStart(byte()) {
            let start = at
            while isNamePart(byte()) || byte(is: ".") || byte(is: "-") { at += 1 }
            found.append(Token(kind: .string, text: source.slice(start, at), start: start, end: at))
        } else {
            return []
        }
        try skipBlanks()
        guard byte(is: "="), !byte(1, is: "=") else { return found }
        found.append(try next())
        try skipBlanks()
        return found + bare()
    }

    /// What follows ADD and REMOVE: JAR with a path, which may stand there without quotes.
    private mutating func jar() throws -> [Token] {
        try skipBlanks()
        guard isNameStart(byte()) else { return [] }
        let word = try next()
        guard word.kind == .word, word.upper == "JAR" else { return [word] }
        // The next line is another statement.
        while byte(is: " ") || byte(is: "\t") { at += 1 }
        let isComment = byte(is: "-") && byte(1, is: "-") || byte(is: "/") && byte(1, is: "*")
        return byte(is: "\n") || byte(is: "\r") || isComment ? [word] : [word] + bare()
    }

    /// Text without quotes to the end of its line, a semicolon or a comment; empty where a quote begins.
    private mutating func bare() -> [Token] {
        let start = at
        guard at < bytes.count, !byte(is: "'"), !byte(is: ";"), !(byte() | 0x20 == UInt8(ascii: "u") && byte(1, is: "&")) else { return [] }
        func isComment() -> Bool { bytes[at - 1] <= 0x20 && (byte(is: "-") && byte(1, is: "-") || byte(is: "/") && byte(1, is: "*")) }
        while at < bytes.count, !byte(is: ";"), !byte(is: "\n"), !isComment() { at += 1 }
        var end = at
        while end > start, bytes[end - 1] <= 0x20 { end -= 1 }
        return [Token(kind: .string, text: source.slice(start, end), start: start, end: end)]
    }

    private func byte(_ ahead: Int = 0) -> UInt8 { at + ahead < bytes.count ? bytes[at + ahead] : 0 }
    private func byte(_ ahead: Int = 0, is character: Unicode.Scalar) -> Bool { byte(ahead) == UInt8(ascii: character) }

    private func error(_ problem: String, fix: String, from start: Int) -> StreamError {
        source.error(.parse, problem, fix: fix, at: source.span(start, min(start + 1, bytes.count)))
    }

    private mutating func skipBlanks() throws {
        while at < bytes.count {
            if byte() <= 0x20 {
                at += 1
            } else if byte(is: "-"), byte(1, is: "-") {
                while at < bytes.count, bytes[at] != 0x0A { at += 1 }
            } else if byte(is: "/"), byte(1, is: "*"), !byte(2, is: "+") {
                let start = at
                at += 2
                while at < bytes.count, !(byte(is: "*") && byte(1, is: "/")) { at += 1 }
                guard at < bytes.count else { throw error("this comment does not end", fix: "close it with */", from: start) }
                at += 2
            } else if byte() == 0xC2, byte(1) == 0xA0 {
                at += 2  // a no-break space, pasted from a web page
            } else if at == 0, byte() == 0xEF, byte(1) == 0xBB, byte(2) == 0xBF {
                at += 3  // byte order mark
            } else {
                return
            }
        }
    }

    private mutating func next() throws -> Token {
        let start = at
        guard at < bytes.count else { return Token(kind: .end, text: "", start: start, end: start) }
        let first = byte()
        switch first {
        case UInt8(ascii: "'"):
            return Token(kind: .string, text: try quoted("'", "text", start), start: start, end: at)
        case UInt8(ascii: "`"):
            let name = try quoted("`", "name", start)
            guard !name.isEmpty else { throw error("a name is empty", fix: "write the name between the backticks", from: start) }
            return Token(kind: .quoted, text: name, start: start, end: at)
        case UInt8(ascii: "\""):
            throw error("double quotes quote nothing here", fix: "write 'text' for a string and `name` for a name", from: start)
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try number(start)
        case UInt8(ascii: ".") where isDigit(byte(1)):
            return try number(start)
        case UInt8(ascii: "/") where byte(1, is: "*"):
            at += 3
            inHint = true
            return Token(kind: .hint, text: "/*+", start: start, end: at)
        default:
            return isNameStart(first) ? try word(start) : try symbol(start)
        }
    }

    /// The text between two marks; the mark doubled stands for itself.
    private mutating func quoted(_ mark: Unicode.Scalar, _ what: String, _ start: Int) throws -> String {
        let mark = UInt8(ascii: mark)
        var value: [UInt8] = []
        at += 1
        while at < bytes.count {
            if bytes[at] == mark {
                if byte(1) != mark || at + 1 >= bytes.count {
                    at += 1
                    return String(decoding: value, as: UTF8.self)
                }
                at += 1
            }
            value.append(bytes[at])
            at += 1
        }
        let sign = Character(Unicode.Scalar(mark))
        throw error("this \(what) does not end", fix: "close it with \(sign)", from: start)
    }

    private mutating func number(_ start: Int) throws -> Token {
        var kind = Token.Kind.integer
        while isDigit(byte()) { at += 1 }
        if byte(is: ".") {
            kind = .decimal
            at += 1
            while isDigit(byte()) { at += 1 }
        }
        if byte() | 0x20 == UInt8(ascii: "e") {
            let sign = byte(1, is: "+") || byte(1, is: "-") ? 1 : 0
            if isDigit(byte(1 + sign)) {
                kind = .approximate
                at += 1 + sign
                while isDigit(byte()) { at += 1 }
            }
        }
        guard !isNameStart(byte()) else {
            while isNamePart(byte()) { at += 1 }
            let text = source.slice(start, at)
            throw error("\(text) is neither a number nor a name", fix: "write `\(text)` in backticks if it is a name", from: start)
        }
        return Token(kind: kind, text: source.slice(start, at), start: start, end: at)
    }

    private mutating func word(_ start: Int) throws -> Token {
        while isNamePart(byte()), !(byte() == 0xC2 && byte(1) == 0xA0) { at += 1 }
        let text = source.slice(start, at), upper = text.uppercased()
        if upper == "X", byte(is: "'") {
            let digits = try quoted("'", "text", at)
            guard digits.utf8.count % 2 == 0, digits.utf8.allSatisfy({ isHex($0) }) else {
                throw error("X'\(digits)' is not a binary value", fix: "write an even number of hexadecimal digits", from: start)
            }
            return Token(kind: .hexString, text: digits, start: start, end: at)
        }
        if upper == "U", byte(is: "&"), byte(1, is: "'") {
            at += 1
            return Token(kind: .string, text: try unescaped(try quoted("'", "text", at), start), start: start, end: at)
        }
        return Token(kind: .word, text: text, upper: upper, start: start, end: at)
    }

    /// U&'\00e9': four hex digits after a backslash name a UTF-16 unit.
    private func unescaped(_ text: String, _ start: Int) throws -> String {
        var units: [UInt16] = [], rest = Array(text.utf16)[...]
        let backslash = UInt16(UInt8(ascii: "\\"))
        while let unit = rest.popFirst() {
            guard unit == backslash else {
                units.append(unit)
                continue
            }
            if rest.first == backslash {
                units.append(rest.removeFirst())
            } else if rest.count >= 4, let value = UInt16(String(decoding: rest.prefix(4), as: UTF16.self), radix: 16) {
                units.append(value)
                rest.removeFirst(4)
            } else {
                throw error(
                    "U&'...' holds a backslash that starts no escape", fix: "write four hexadecimal digits after it, or \\\\ for itself",
                    from: start)
            }
        }
        return String(decoding: units, as: UTF16.self)
    }

    private mutating func symbol(_ start: Int) throws -> Token {
        func token(_ text: String, as value: String? = nil) -> Token {
            Token(kind: .symbol, text: value ?? text, start: start, end: start + text.utf8.count)
        }
        let second = byte(1)
        let found: Token? =
            switch (byte(), second) {
            case (UInt8(ascii: "<"), UInt8(ascii: ">")): token("<>")
            case (UInt8(ascii: "<"), UInt8(ascii: "=")): token("<=")
            case (UInt8(ascii: ">"), UInt8(ascii: "=")): token(">=")
            case (UInt8(ascii: "="), UInt8(ascii: ">")): token("=>")
            case (UInt8(ascii: "!"), UInt8(ascii: "=")): token("!=", as: "<>")
            case (UInt8(ascii: "|"), UInt8(ascii: "|")): token("||")
            case (UInt8(ascii: "*"), UInt8(ascii: "/")) where inHint: token("*/")
            case (UInt8(ascii: "="), UInt8(ascii: "=")): nil
            default: byte() < 0x80 && "()[]{},;.:=<>+-*/%?|^$".utf8.contains(byte()) ? token(String(UnicodeScalar(byte()))) : nil
            }
        guard let found else {
            if byte(is: "="), second == UInt8(ascii: "=") { throw error("\"==\" is not an operator", fix: "write \"=\"", from: start) }
            let shown = String(decoding: bytes[start..<min(start + 8, bytes.count)], as: UTF8.self).first.map(String.init) ?? ""
            throw error("\"\(shown)\" has no meaning here", fix: "remove it, or put it into quotes", from: start)
        }
        if found.text == "*/" { inHint = false }
        at = found.end
        return found
    }

    private func isDigit(_ b: UInt8) -> Bool { b >= 0x30 && b <= 0x39 }
    private func isHex(_ b: UInt8) -> Bool { isDigit(b) || (b | 0x20 >= 0x61 && b | 0x20 <= 0x66) }
    private func isNameStart(_ b: UInt8) -> Bool { (b | 0x20 >= 0x61 && b | 0x20 <= 0x7A) || b == 0x5F || b >= 0x80 }
    private func isNamePart(_ b: UInt8) -> Bool { isNameStart(b) || isDigit(b) || b == 0x24 }
}
