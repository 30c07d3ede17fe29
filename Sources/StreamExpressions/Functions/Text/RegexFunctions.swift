import StreamCore

/// LIKE, SIMILAR TO and the REGEXP functions.
extension FunctionRegistry {
    mutating func registerPatternFunctions() {
        for negated in [false, true] {
            let like = negated ? "NOT LIKE" : "LIKE", similar = negated ? "NOT SIMILAR TO" : "SIMILAR TO"
            register(like) { args, _ in
                let bound = try Binding.arguments("LIKE", args, [.text("string"), .text("pattern"), .text("escape character")], optional: 1)
                return try Patterns.like(like, bound, negated: negated)
            }
            register(similar) { args, _ in
                let bound = try Binding.arguments("SIMILAR TO", args, [.text("string"), .text("pattern"), .text("escape character")], optional: 1)
                return try Patterns.similar(similar, bound, negated: negated)
            }
        }
        define("REGEXP", "RLIKE", takes: [.text("string"), .text("pattern")], result: { _ in .boolean }) { bound, _ in
            let source = RegexSource(bound[1])
            return { args, rows, _ in
                let text = args[0].text, pattern = args[1].text
                var regex = RegexColumn(args[1], source)
                return try rows.booleans { row in
                    if pattern[row].isEmpty { return false }
                    return try regex.with(row, invalid: false) { try $0.find(text[row]) }
                }
            }
        }
        define("REGEXP_EXTRACT", takes: [.text("string"), .text("pattern"), .bigint("group")], optional: 1, result: { _ in .string }) { bound, type in
            let source = RegexSource(bound[1]), hasGroup = bound.count == 3
            return { args, rows, _ in
                var regex = RegexColumn(args[1], source)
                let group = hasGroup ? args[2].vector(Int64.self) : nil
                return try rows.slices(type, of: args[0]) { row, text in
                    try regex.with(row, invalid: nil) { matcher in
                        let wanted = group.map { Int(clamping: $0[row]) } ?? 0
                        guard wanted >= 0, wanted <= matcher.program.groupCount, try matcher.find(text) else { return nil }
                        return matcher.range(ofGroup: wanted)
                    }
                }
            }
        }
        define("REGEXP_SUBSTR", takes: [.text("string"), .text("pattern")], result: { _ in .string }) { bound, type in
            let source = RegexSource(bound[1])
            return { args, rows, _ in
                var regex = RegexColumn(args[1], source)
                return try rows.slices(type, of: args[0]) { row, text in
                    try regex.with(row, invalid: nil) { try $0.find(text) ? $0.range(ofGroup: 0) : nil }
                }
            }
        }
        define("REGEXP_EXTRACT_ALL", takes: [.text("string"), .text("pattern"), .bigint("group")], optional: 1,
               result: { _ in .array(.string) }) { bound, type in
            let source = RegexSource(bound[1]), hasGroup = bound.count == 3
            return { args, rows, _ in
                let text = args[0].text
                var regex = RegexColumn(args[1], source)
                let group = hasGroup ? args[2].vector(Int64.self) : nil
                return try rows.build(type) { row, builder in
                    let wanted = group.map { Int(clamping: $0[row]) } ?? 1
                    let ok = try regex.with(row, invalid: false) { matcher in
                        guard wanted >= 0, wanted <= matcher.program.groupCount else { return false }
                        let s = text[row], items = builder.child(0)
                        try Patterns.forEachMatch(&matcher, s) { matcher in
                            if let range = matcher.range(ofGroup: wanted) {
                                items.append(bytes: UnsafeRawBufferPointer(rebasing: s[range]))
                            } else {
                                items.appendNull()
                            }
                        }
                        return true
                    }
                    if ok { builder.finishList() } else { builder.appendNull() }
                }
            }
        }
        define("REGEXP_REPLACE", takes: [.text("string"), .text("pattern"), .text("replacement")], result: { _ in .string }) { bound, type in
            let source = RegexSource(bound[1])
            return { args, rows, _ in
                let text = args[0].text, replacement = args[2].text
                var regex = RegexColumn(args[1], source)
                return try rows.text(type) { row, out in
                    let s = text[row], with = replacement[row]
                    var at = 0
                    // The sink cannot be captured by two closures at once, so the matches are walked here.
                    var ends: [Range<Int>] = []
                    let ok = try regex.with(row, invalid: false) { matcher in
                        try Patterns.forEachMatch(&matcher, s) { ends.append($0.range(ofGroup: 0)!) }
                        return true
                    }
                    guard ok else { return out.setNull() }
                    for match in ends {
                        out.append(Utf8Text.slice(s, at, match.lowerBound))
                        out.append(with)
                        at = match.upperBound
                    }
                    out.append(Utf8Text.slice(s, at, s.count))
                }
            }
        }
        define("REGEXP_COUNT", takes: [.text("string"), .text("pattern")], result: { _ in .int }) { bound, type in
            let source = RegexSource(bound[1])
            return { args, rows, _ in
                let text = args[0].text
                var regex = RegexColumn(args[1], source)
                return try rows.fixedOrNull(type) { row -> Int32? in
                    try regex.with(row, invalid: nil) { matcher in
                        var n: Int32 = 0
                        try Patterns.forEachMatch(&matcher, text[row]) { _ in n += 1 }
                        return n
                    }
                }
            }
        }
        define("REGEXP_INSTR", takes: [.text("string"), .text("pattern")], result: { _ in .int }) { bound, type in
            let source = RegexSource(bound[1])
            return { args, rows, _ in
                let text = args[0].text
                var regex = RegexColumn(args[1], source)
                return try rows.fixedOrNull(type) { row -> Int32? in
                    try regex.with(row, invalid: nil) { matcher in
                        guard try matcher.find(text[row]) else { return 0 }
                        return Int32(truncatingIfNeeded: Utf8Text.utf16Count(Utf8Text.slice(text[row], 0, matcher.registers[0])) + 1)
                    }
                }
            }
        }
    }
}

enum Patterns {
    /// Calls `body` after each match, from left to right; an empty match moves on by one character.
    @inline(__always)
    static func forEachMatch(_ matcher: inout RegexMatcher, _ text: UnsafeRawBufferPointer, _ body: (borrowing RegexMatcher) -> Void) throws {
        var at = 0
        while at <= text.count, try matcher.find(text, from: at) {
            body(matcher)
            let (start, end) = (matcher.registers[0], matcher.registers[1])
            at = end > start ? end : end < text.count ? end + Utf8Text.width(text[end]) : text.count + 1
        }
    }

    private static func escapeCharacter(_ name: String, _ text: UnsafeRawBufferPointer) throws -> UInt32 {
        guard Utf8Text.count(text) == 1 else {
            throw StreamError(.runtime, "the escape character of \(name) must be one character, not '\(text.string)'", fix: "write for example ESCAPE '!'")
        }
        return Utf8Text.decode(text, 0).scalar
    }

    static func like(_ name: String, _ args: [Expr], negated: Bool) throws -> Expr {
        @Sendable func pattern(_ text: UnsafeRawBufferPointer, _ escape: UnsafeRawBufferPointer?) throws -> LikePattern {
            try LikePattern(text, escape: try escape.map { try escapeCharacter("LIKE", $0) })
        }
        var prepared: LikePattern?
        if var text = Binding.constantText(args[1]) {
            var escape = args.count == 3 ? Binding.constantText(args[2]) : nil
            if args.count == 2 || escape != nil {
                do {
                    prepared = try text.withUTF8 { t in
                        guard escape != nil else { return try pattern(UnsafeRawBufferPointer(t), nil) }
                        return try escape!.withUTF8 { try pattern(UnsafeRawBufferPointer(t), UnsafeRawBufferPointer($0)) }
                    }
                } catch let error as StreamError {
                    // The pattern is written in the statement, so the statement is wrong.
                    throw StreamError(.validate, error.problem, fix: error.fix)
                }
            }
        }
        let constant = prepared
        return Binding.call(name, .boolean, args) { args, rows, _ in
            if let constant { return constant.match(args[0], rows, negated: negated) }
            let text = args[0].text, patterns = args[1].text, escapes = args.count == 3 ? args[2].text : nil
            return try rows.booleans { try pattern(patterns[$0], escapes?[$0]).matches(text[$0]) != negated }
        }
    }

    static func similar(_ name: String, _ args: [Expr], negated: Bool) throws -> Expr {
        @Sendable func program(_ pattern: String, _ escape: String?, _ code: StreamError.Code) throws -> RegexProgram {
            do throws(RegexSyntaxError) {
                let (root, groups) = try RegexParser.parse(try SimilarPattern.regex(pattern, escape: escape))
                return try RegexProgram(root: root, groups: groups, source: pattern)
            } catch {
                throw StreamError(code, "'\(pattern)' is not a pattern for SIMILAR TO: \(error.problem)", fix: "see the SQL standard's regular expressions")
            }
        }
        var prepared: RegexProgram?
        if let text = Binding.constantText(args[1]) {
            if args.count == 2 {
                prepared = try program(text, nil, .validate)
            } else if let escape = Binding.constantText(args[2]) {
                prepared = try program(text, escape, .validate)
            }
        }
        let constant = prepared
        return Binding.call(name, .boolean, args) { args, rows, _ in
            let text = args[0].text
            if let constant {
                var matcher = RegexMatcher(constant)
                return try rows.booleans { try matcher.matches(text[$0]) != negated }
            }
            let patterns = args[1].text, escapes = args.count == 3 ? args[2].text : nil
            return try rows.booleans { row in
                var matcher = RegexMatcher(try program(patterns[row].string, escapes?[row].string, .runtime))
                return try matcher.matches(text[row]) != negated
            }
        }
    }
}

/// Patterns of SIMILAR TO, written as regular expressions.
enum SimilarPattern {
    private static let classes = ["ALPHA": "\\p{Alpha}", "UPPER": "\\p{Upper}", "LOWER": "\\p{Lower}", "DIGIT": "\\d", "SPACE": " ",
                                  "WHITESPACE": "\\s", "ALNUM": "\\p{Alnum}"]

    /// `%` and `_` stand for any characters and any one; `.`, `|`, `*`, `+`, `?`, `{}`, `()` and `[]` keep their meaning.
    static func regex(_ pattern: String, escape: String?) throws(RegexSyntaxError) -> String {
        let p = Array(pattern)
        let escapeCharacter = escape?.first
        if let escape, escape.count != 1 { throw RegexSyntaxError(problem: "the escape '\(escape)' is not one character", position: 0) }
        var out = "", i = 0
        func quoted(_ c: Character) -> String { c.isASCII && !c.isLetter && !c.isNumber && c != " " ? "\\\(c)" : String(c) }
        while i < p.count {
            let c = p[i]
            if c == escapeCharacter {
                guard i + 1 < p.count else { throw RegexSyntaxError(problem: "it ends with the escape character", position: i) }
                out += quoted(p[i + 1])
                i += 2
                continue
            }
            switch c {
            case "_": out += "."
            case "%": out += "(?s:.*)"
            case "[":
                out += "["
                i += 1
                while i < p.count, p[i] != "]" {
                    if p[i] == "[", let (name, end) = className(p, i) {
                        guard let replacement = classes[name] else { throw RegexSyntaxError(problem: "unknown class [:\(name):]", position: i) }
                        out += replacement
                        i = end
                    } else if p[i] == escapeCharacter, i + 1 < p.count {
                        out += quoted(p[i + 1])
                        i += 2
                    } else {
                        out += p[i] == "\\" || p[i] == "[" || p[i] == "&" ? "\\\(p[i])" : String(p[i])
                        i += 1
                    }
                }
                guard i < p.count else { throw RegexSyntaxError(problem: "[ is not closed", position: i) }
                out += "]"
            case "\\", "$": out += "\\\(c)"
            default: out.append(c)
            }
            i += 1
        }
        return out
    }

    /// `[:NAME:]` at `start`, inside brackets; its end.
    private static func className(_ p: [Character], _ start: Int) -> (String, Int)? {
        var i = start + 1
        guard i < p.count, p[i] == ":" else { return nil }
        i += 1
        var name = ""
        while i < p.count, p[i].isLetter {
            name.append(p[i])
            i += 1
        }
        guard i + 1 < p.count, p[i] == ":", p[i + 1] == "]", !name.isEmpty else { return nil }
        i += 2
        return (name, i)
    }
}
