/// Reads the steps of a path, and the conditions of filters.
struct JsonPathParser {
    private let text: [UInt8]
    private var at = 0
    private var depth = 0

    init(_ text: [UInt8]) { self.text = text }

    var atEnd: Bool { at == text.count }
    var rest: String { String(decoding: text[at...], as: UTF8.self) }
    private var peek: UInt8? { at < text.count ? text[at] : nil }

    private func fail(_ problem: String) -> JsonPath.SyntaxError { JsonPath.SyntaxError(problem: problem) }

    private mutating func take(_ c: Character) -> Bool {
        guard peek == c.asciiValue! else { return false }
        at += 1
        return true
    }

    private mutating func take(_ word: String) -> Bool {
        guard text[at...].starts(with: word.utf8) else { return false }
        at += word.utf8.count
        return true
    }

    private mutating func skipBlanks() {
        while let c = peek, c == 0x20 || c == 0x09 || c == 0x0A || c == 0x0D { at += 1 }
    }

    /// `$` or `@` and what follows it.
    mutating func path(inFilter: Bool = false) throws(JsonPath.SyntaxError) -> [JsonPath.Step] {
        guard take("$") || take("@") else { throw fail("it does not start with $") }
        var steps: [JsonPath.Step] = []
        while let c = peek {
            if c == UInt8(ascii: ".") {
                at += 1
                if take(".") {
                    steps.append(.descendants)
                    if peek == UInt8(ascii: "[") { continue }
                }
                if take("*") {
                    steps.append(.wildcard)
                    continue
                }
                let name = name(inFilter: inFilter)
                guard !name.isEmpty else { throw fail("a name is missing after .") }
                guard !name.contains(0x20) else { throw fail("a name with a blank must be written ['name']") }
                if take("(") {
                    guard take(")"), let function = JsonPath.Function(rawValue: String(decoding: name, as: UTF8.self)) else {
                        throw fail("there is no function \(String(decoding: name, as: UTF8.self))()")
                    }
                    steps.append(.function(function))
                } else {
                    steps.append(.child(name))
                }
            } else if c == UInt8(ascii: "[") {
                at += 1
                steps.append(try bracket())
            } else if inFilter {
                break
            } else {
                throw fail("'\(rest)' is not understood")
            }
        }
        if case .descendants? = steps.last { throw fail("it ends with ..") }
        return steps
    }

    private mutating func name(inFilter: Bool) -> [UInt8] {
        var name: [UInt8] = []
        while let c = peek, c != UInt8(ascii: "."), c != UInt8(ascii: "["), c != UInt8(ascii: "(") {
            if inFilter, c <= 0x20 || [0x29, 0x3D, 0x21, 0x3C, 0x3E, 0x26, 0x7C, 0x2C, 0x5D].contains(c) { break }
            name.append(c)
            at += 1
        }
        return name
    }

    /// After `[`, up to and with `]`.
    private mutating func bracket() throws(JsonPath.SyntaxError) -> JsonPath.Step {
        skipBlanks()
        let step: JsonPath.Step
        if take("*") {
            step = .wildcard
        } else if take("?") {
            skipBlanks()
            guard take("(") else { throw fail("( is missing after ?") }
            step = .filter(try condition())
            skipBlanks()
            guard take(")") else { throw fail("a filter is not closed with )") }
        } else if peek == UInt8(ascii: "'") || peek == UInt8(ascii: "\"") {
            var names: [[UInt8]] = []
            repeat {
                skipBlanks()
                names.append(try quoted())
                skipBlanks()
            } while take(",")
            step = names.count == 1 ? .child(names[0]) : .children(names)
        } else {
            step = try indices()
        }
        skipBlanks()
        guard take("]") else { throw fail("[ is not closed") }
        return step
    }

    private mutating func indices() throws(JsonPath.SyntaxError) -> JsonPath.Step {
        let first = integer()
        skipBlanks()
        if take(":") {
            skipBlanks()
            let second = integer()
            skipBlanks()
            // A step is read and, as in Flink, without effect.
            if take(":") { _ = integer() }
            return .slice(first, second)
        }
        guard let first else { throw fail("an index, a name in quotes, * or ?( is missing after [") }
        var list = [first]
        while take(",") {
            skipBlanks()
            guard let next = integer() else { throw fail("an index is missing after ,") }
            list.append(next)
            skipBlanks()
        }
        return list.count == 1 ? .index(first) : .indices(list)
    }

    private mutating func integer() -> Int? {
        let mark = at
        let negative = take("-")
        var value = 0, n = 0
        while let c = peek, c &- 0x30 < 10, n < 9 {
            value = value * 10 + Int(c - 0x30)
            at += 1
            n += 1
        }
        if n == 0 {
            at = mark
            return nil
        }
        return negative ? -value : value
    }

    private mutating func quoted() throws(JsonPath.SyntaxError) -> [UInt8] {
        guard let quote = peek, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else { throw fail("a quote is missing") }
        at += 1
        var out: [UInt8] = []
        while let c = peek {
            at += 1
            if c == quote { return out }
            if c == UInt8(ascii: "\\"), let next = peek {
                out.append(next)
                at += 1
            } else {
                out.append(c)
            }
        }
        throw fail("a quote is not closed")
    }

    // MARK: filters

    private mutating func condition() throws(JsonPath.SyntaxError) -> JsonFilter {
        depth += 1
        defer { depth -= 1 }
        if depth > 100 { throw fail("its filters are nested too deep") }
        var result = try conjunction()
        skipBlanks()
        while take("||") {
            result = .or(result, try conjunction())
            skipBlanks()
        }
        return result
    }

    private mutating func conjunction() throws(JsonPath.SyntaxError) -> JsonFilter {
        var result = try term()
        skipBlanks()
        while take("&&") {
            result = .and(result, try term())
            skipBlanks()
        }
        return result
    }

    private mutating func term() throws(JsonPath.SyntaxError) -> JsonFilter {
        skipBlanks()
        if peek == UInt8(ascii: "!"), at + 1 < text.count, text[at + 1] != UInt8(ascii: "=") {
            at += 1
            depth += 1
            defer { depth -= 1 }
            if depth > 100 { throw fail("its filters are nested too deep") }
            return .not(try term())
        }
        if take("(") {
            let inner = try condition()
            skipBlanks()
            guard take(")") else { throw fail("( is not closed") }
            return inner
        }
        let left = try operand()
        skipBlanks()
        for (symbol, comparison) in JsonFilter.comparisons where take(symbol) {
            skipBlanks()
            return .compare(left, comparison, try operand())
        }
        if take("=~") {
            skipBlanks()
            return .matches(left, try regex())
        }
        for (word, negated) in [("nin", true), ("in", false)] where take(word + " ") || take(word + "[") {
            if text[at - 1] == UInt8(ascii: "[") { at -= 1 }
            skipBlanks()
            guard take("[") else { throw fail("[ is missing after \(word)") }
            var list: [JsonFilter.Operand] = []
            skipBlanks()
            while !take("]") {
                if !list.isEmpty, !take(",") { throw fail("a list is not closed with ]") }
                skipBlanks()
                list.append(try operand())
                skipBlanks()
            }
            let member = JsonFilter.isIn(left, list)
            return negated ? .not(member) : member
        }
        guard case .path(let path) = left else { throw fail("a comparison is missing in a filter") }
        return .exists(path)
    }

    private mutating func operand() throws(JsonPath.SyntaxError) -> JsonFilter.Operand {
        guard let c = peek else { throw fail("a filter ends too early") }
        switch c {
        case UInt8(ascii: "@"): return .path(JsonPath(steps: try path(inFilter: true)))
        case UInt8(ascii: "$"): return .rootPath(JsonPath(steps: try path(inFilter: true)))
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try quoted())
        default: break
        }
        if take("true") { return .bool(true) }
        if take("false") { return .bool(false) }
        if take("null") { return .null }
        let start = at
        while let c = peek, "+-.eE0123456789".utf8.contains(c) { at += 1 }
        let number = Double(String(decoding: text[start..<at], as: UTF8.self))
        guard let number else { throw fail("'\(rest)' is not a value for a filter") }
        return .number(number)
    }

    private mutating func regex() throws(JsonPath.SyntaxError) -> RegexProgram {
        guard take("/") else { throw fail("/ is missing after =~") }
        var pattern: [UInt8] = []
        while let c = peek, c != UInt8(ascii: "/") {
            at += 1
            if c == UInt8(ascii: "\\"), peek == UInt8(ascii: "/") { continue }
            pattern.append(c)
        }
        guard take("/") else { throw fail("a regular expression is not closed with /") }
        var flags = ""
        while let c = peek, (c | 0x20) &- 0x61 < 26 {
            flags.append(Character(Unicode.Scalar(c)))
            at += 1
        }
        let source = (flags.isEmpty ? "" : "(?\(flags))") + String(decoding: pattern, as: UTF8.self)
        do throws(RegexSyntaxError) { return try RegexProgram(source) } catch { throw fail("the regular expression in it is wrong: \(error.problem)") }
    }
}
