/// What is wrong with a regular expression, and where.
struct RegexSyntaxError: Error {
    let problem: String
    /// Characters before the place.
    let position: Int
}

/// The parts of a regular expression.
indirect enum RegexNode: Sendable {
    case empty
    /// UTF-8 bytes that stand there as they are.
    case literal([UInt8])
    case set(CharacterSet)
    case sequence([RegexNode])
    case alternatives([RegexNode])
    /// `index` 1 and up for capturing groups.
    case capture(RegexNode, index: Int)
    case repetition(RegexNode, least: Int, most: Int?, RegexGreed)
    case assertion(RegexAssertion)
    case backreference(Int, caseInsensitive: Bool)
    case look(RegexNode, ahead: Bool, negated: Bool)
    case atomic(RegexNode)
}

enum RegexGreed: Sendable { case greedy, lazy, possessive }
enum RegexAssertion: Sendable { case textStart, textEnd, textEndOrFinalNewline, lineStart, lineEnd, wordBoundary, notWordBoundary, previousMatchEnd }

/// Reads regular expressions in the syntax of java.util.regex.
struct RegexParser {
    private let pattern: [UInt32]
    private var at = 0
    private(set) var groupCount = 0
    private var groupNames: [String: Int] = [:]
    private var flags = Flags()
    private var depth = 0

    private struct Flags {
        var caseInsensitive = false, unicodeCase = false, dotAll = false, multiline = false, comments = false, unixLines = false
    }

    /// Nesting beyond this is refused rather than risking the stack.
    private static let maxDepth = 200

    init(_ text: String) { pattern = text.unicodeScalars.map(\.value) }

    /// `dotAll`: `.` takes line breaks too.
    static func parse(_ text: String, dotAll: Bool = false) throws(RegexSyntaxError) -> (root: RegexNode, groups: Int) {
        var parser = RegexParser(text)
        parser.flags.dotAll = dotAll
        let root = try parser.alternatives()
        if parser.at < parser.pattern.count { throw parser.error("unmatched )") }
        return (root, parser.groupCount)
    }

    private func error(_ problem: String) -> RegexSyntaxError { RegexSyntaxError(problem: problem, position: at) }

    private func ch(_ c: Character) -> UInt32 { c.unicodeScalars.first!.value }
    private var peek: UInt32? { at < pattern.count ? pattern[at] : nil }
    private func peekIs(_ c: Character) -> Bool { peek == ch(c) }

    private mutating func take(_ c: Character) -> Bool {
        guard peekIs(c) else { return false }
        at += 1
        return true
    }

    private mutating func skipComments() {
        guard flags.comments else { return }
        while let c = peek {
            if c == 0x23 {
                while let d = peek, d != 0x0A { at += 1 }
            } else if c == 0x20 || (0x09...0x0D).contains(c) {
                at += 1
            } else {
                return
            }
        }
    }

    private mutating func alternatives() throws(RegexSyntaxError) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.maxDepth { throw error("groups are nested more than \(Self.maxDepth) deep") }
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .alternatives(branches)
    }

    private mutating func sequence() throws(RegexSyntaxError) -> RegexNode {
        var parts: [RegexNode] = []
        while true {
            skipComments()
            guard let c = peek, c != ch("|"), c != ch(")") else { break }
            guard let atom = try atom() else { continue }
            let part = try quantified(atom)
            if case .literal(let new) = part, case .literal(let old)? = parts.last {
                parts[parts.count - 1] = .literal(old + new)
            } else {
                parts.append(part)
            }
        }
        return parts.isEmpty ? .empty : parts.count == 1 ? parts[0] : .sequence(parts)
    }

    private mutating func quantified(_ atom: RegexNode) throws(RegexSyntaxError) -> RegexNode {
        skipComments()
        let least: Int, most: Int?
        switch peek {
        case ch("*"): (least, most) = (0, nil)
        case ch("+"): (least, most) = (1, nil)
        case ch("?"): (least, most) = (0, 1)
        case ch("{"): (least, most) = try bounds()
        default: return atom
        }
        at += 1
        return .repetition(atom, least: least, most: most, take("?") ? .lazy : take("+") ? .possessive : .greedy)
    }

    /// `{n}`, `{n,}`, `{n,m}`; stops at the closing brace.
    private mutating func bounds() throws(RegexSyntaxError) -> (Int, Int?) {
        at += 1
        guard let least = number() else { throw error("a number must follow {") }
        var most: Int? = least
        if take(",") { most = number() }
        guard peekIs("}") else { throw error("{ is not closed") }
        if let most, most < least { throw error("{\(least),\(most)} counts down") }
        if max(least, most ?? 0) > 1_000 { throw error("more than 1000 repetitions are asked for") }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let c = peek, (0x30...0x39).contains(c), (value ?? 0) < 1_000_000 {
            value = (value ?? 0) * 10 + Int(c - 0x30)
            at += 1
        }
        return value
    }

    /// One atom; nil when what stood there only set flags.
    private mutating func atom() throws(RegexSyntaxError) -> RegexNode? {
        let c = pattern[at]
        at += 1
        switch c {
        case ch("("): return try group()
        case ch("["): return .set(adjusted(try characterClass()))
        case ch("."):
            return .set(flags.dotAll ? .any : flags.unixLines ? CharacterSet((0x0A, 0x0A)).inverted : CharacterSet.lineTerminators.inverted)
        case ch("^"): return .assertion(flags.multiline ? .lineStart : .textStart)
        case ch("$"): return .assertion(flags.multiline ? .lineEnd : .textEndOrFinalNewline)
        case ch("\\"): return try escape()
        case ch("*"), ch("+"), ch("?"), ch("{"):
            at -= 1
            throw error("there is nothing to repeat before \(Unicode.Scalar(c)!)")
        default: return character(c)
        }
    }

    private func character(_ c: UInt32) -> RegexNode {
        if flags.caseInsensitive {
            let alone = CharacterSet((c, c)), both = alone.caseInsensitive(unicode: flags.unicodeCase)
            if both.low != alone.low || both.high != alone.high || (flags.unicodeCase && !CharacterSet.cases(of: c).isEmpty) { return .set(both) }
        }
        guard let scalar = Unicode.Scalar(c) else { return .set(CharacterSet()) }
        return .literal(Array(UTF8.encode(scalar)!))
    }

    private func adjusted(_ set: CharacterSet) -> CharacterSet {
        flags.caseInsensitive ? set.caseInsensitive(unicode: flags.unicodeCase) : set
    }

    // MARK: groups

    private mutating func group() throws(RegexSyntaxError) -> RegexNode? {
        let outer = flags
        guard take("?") else {
            groupCount += 1
            let index = groupCount
            return .capture(try body(restoring: outer), index: index)
        }
        if take(":") { return try body(restoring: outer) }
        if take("=") { return .look(try body(restoring: outer), ahead: true, negated: false) }
        if take("!") { return .look(try body(restoring: outer), ahead: true, negated: true) }
        if take(">") { return .atomic(try body(restoring: outer)) }
        if take("<") {
            if take("=") { return .look(try body(restoring: outer), ahead: false, negated: false) }
            if take("!") { return .look(try body(restoring: outer), ahead: false, negated: true) }
            let name = try groupName()
            if groupNames[name] != nil { throw error("two groups are named \(name)") }
            groupCount += 1
            let index = groupCount
            groupNames[name] = index
            return .capture(try body(restoring: outer), index: index)
        }
        var on = true
        while let c = peek {
            at += 1
            switch c {
            case ch("-"): on = false
            case ch("i"): flags.caseInsensitive = on
            case ch("u"): flags.unicodeCase = on
            case ch("s"): flags.dotAll = on
            case ch("m"): flags.multiline = on
            case ch("x"): flags.comments = on
            case ch("d"): flags.unixLines = on
            case ch("U"): flags.unicodeCase = on
            case ch(")"): return nil
            case ch(":"): return try body(restoring: outer)
            default:
                at -= 1
                throw error("unknown group or flag after (?")
            }
        }
        throw error("( is not closed")
    }

    private mutating func body(restoring outer: Flags) throws(RegexSyntaxError) -> RegexNode {
        let node = try alternatives()
        guard take(")") else { throw error("( is not closed") }
        flags = outer
        return node
    }

    private mutating func groupName() throws(RegexSyntaxError) -> String {
        var name = ""
        while let c = peek, c != ch(">") {
            let scalar = Unicode.Scalar(c)
            guard let scalar, scalar.isASCII, Character(scalar).isLetter || (Character(scalar).isNumber && !name.isEmpty) else { throw error("bad group name") }
            name.unicodeScalars.append(scalar)
            at += 1
        }
        guard take(">"), !name.isEmpty else { throw error("the group name is not closed with >") }
        return name
    }

    // MARK: escapes

    private mutating func escape() throws(RegexSyntaxError) -> RegexNode? {
        guard let c = peek else { throw error("the pattern ends with a backslash") }
        if let set = try escapedSet() { return .set(adjusted(set)) }
        switch c {
        case ch("b"):
            at += 1
            return .assertion(.wordBoundary)
        case ch("B"):
            at += 1
            return .assertion(.notWordBoundary)
        case ch("A"):
            at += 1
            return .assertion(.textStart)
        case ch("z"):
            at += 1
            return .assertion(.textEnd)
        case ch("Z"):
            at += 1
            return .assertion(.textEndOrFinalNewline)
        case ch("G"):
            at += 1
            return .assertion(.previousMatchEnd)
        case ch("R"):
            at += 1
            return .alternatives([.literal([0x0D, 0x0A]), .set(.verticalSpace)])
        case ch("Q"):
            at += 1
            var parts: [RegexNode] = []
            while at < pattern.count {
                if pattern[at] == ch("\\"), at + 1 < pattern.count, pattern[at + 1] == ch("E") {
                    at += 2
                    break
                }
                parts.append(character(pattern[at]))
                at += 1
            }
            return parts.isEmpty ? nil : .sequence(parts)
        case ch("k"):
            at += 1
            guard take("<") else { throw error("\\k must be followed by <name>") }
            let name = try groupName()
            guard let index = groupNames[name] else { throw error("there is no group named \(name)") }
            return .backreference(index, caseInsensitive: flags.caseInsensitive)
        case 0x31...0x39:
            // Further digits belong to the number only while there are so many groups.
            var index = Int(c - 0x30)
            at += 1
            while let d = peek, (0x30...0x39).contains(d), index * 10 + Int(d - 0x30) <= groupCount {
                index = index * 10 + Int(d - 0x30)
                at += 1
            }
            return .backreference(index, caseInsensitive: flags.caseInsensitive)
        default: return character(try escapedCharacter())
        }
    }

    /// `\d`, `\p{L}` and the like; nil when something else follows the backslash.
    private mutating func escapedSet() throws(RegexSyntaxError) -> CharacterSet? {
        guard let c = peek else { return nil }
        let set: CharacterSet
        switch c {
        case ch("d"): set = .digit
        case ch("D"): set = CharacterSet.digit.inverted
        case ch("w"): set = .word
        case ch("W"): set = CharacterSet.word.inverted
        case ch("s"): set = .space
        case ch("S"): set = CharacterSet.space.inverted
        case ch("h"): set = .horizontalSpace
        case ch("H"): set = CharacterSet.horizontalSpace.inverted
        case ch("v"): set = .verticalSpace
        case ch("V"): set = CharacterSet.verticalSpace.inverted
        case ch("p"), ch("P"):
            at += 1
            var name = ""
            if take("{") {
                while let d = peek, d != ch("}") {
                    name.unicodeScalars.append(Unicode.Scalar(d) ?? "?")
                    at += 1
                }
                guard take("}") else { throw error("\\p{ is not closed") }
            } else if let d = peek {
                name.unicodeScalars.append(Unicode.Scalar(d) ?? "?")
                at += 1
            }
            guard let named = CharacterSet.named(name) else { throw error("unknown character property {\(name)}") }
            return c == ch("P") ? named.inverted : named
        default: return nil
        }
        at += 1
        return set
    }

    private mutating func escapedCharacter() throws(RegexSyntaxError) -> UInt32 {
        guard let c = peek else { throw error("the pattern ends with a backslash") }
        at += 1
        switch c {
        case ch("t"): return 0x09
        case ch("n"): return 0x0A
        case ch("r"): return 0x0D
        case ch("f"): return 0x0C
        case ch("a"): return 0x07
        case ch("e"): return 0x1B
        case ch("0"):
            var value: UInt32 = 0, n = 0
            while n < 3, let d = peek, (0x30...0x37).contains(d), value * 8 + d - 0x30 <= 0o377 {
                value = value * 8 + d - 0x30
                at += 1
                n += 1
            }
            if n == 0 { throw error("\\0 must be followed by octal digits") }
            return value
        case ch("x"):
            if take("{") {
                let value = hex(upTo: 8)
                guard take("}"), let value, value <= 0x10FFFF else { throw error("\\x{ must be followed by a code point and }") }
                return value
            }
            guard let value = hex(exactly: 2) else { throw error("\\x must be followed by two hexadecimal digits") }
            return value
        case ch("u"):
            guard let value = hex(exactly: 4) else { throw error("\\u must be followed by four hexadecimal digits") }
            if (0xD800..<0xDC00).contains(value), peekIs("\\"), at + 1 < pattern.count, pattern[at + 1] == ch("u") {
                let mark = at
                at += 2
                if let low = hex(exactly: 4), (0xDC00..<0xE000).contains(low) { return 0x10000 + (value - 0xD800) << 10 + (low - 0xDC00) }
                at = mark
            }
            return value
        case ch("c"):
            guard let d = peek else { throw error("\\c must be followed by a character") }
            at += 1
            return d ^ 64
        case 0x41...0x5A, 0x61...0x7A:
            at -= 1
            throw error("unknown escape \\\(Unicode.Scalar(c)!)")
        default: return c
        }
    }

    private mutating func hex(upTo most: Int) -> UInt32? {
        var value: UInt32?
        for _ in 0..<most {
            guard let c = peek, let digit = Self.hexDigit(c) else { break }
            value = (value ?? 0) << 4 | digit
            at += 1
        }
        return value
    }

    private mutating func hex(exactly n: Int) -> UInt32? {
        let start = at
        let value = hex(upTo: n)
        if at - start == n { return value }
        at = start
        return nil
    }

    private static func hexDigit(_ c: UInt32) -> UInt32? {
        switch c {
        case 0x30...0x39: c - 0x30
        case 0x41...0x46: c - 0x41 + 10
        case 0x61...0x66: c - 0x61 + 10
        default: nil
        }
    }

    // MARK: character classes

    /// After `[`, up to and with `]`.
    private mutating func characterClass() throws(RegexSyntaxError) -> CharacterSet {
        depth += 1
        defer { depth -= 1 }
        if depth > Self.maxDepth { throw error("character classes are nested more than \(Self.maxDepth) deep") }
        let negated = take("^")
        var set = CharacterSet(), first = true
        var whole: CharacterSet?
        while true {
            guard let c = peek else { throw error("[ is not closed") }
            if c == ch("]"), !first { break }
            first = false
            if c == ch("&"), at + 1 < pattern.count, pattern[at + 1] == ch("&") {
                at += 2
                whole = whole.map { $0.intersection(set) } ?? set
                set = CharacterSet()
                first = false
                continue
            }
            if c == ch("[") {
                at += 1
                set.formUnion(try characterClass())
                continue
            }
            guard let from = try classItem(&set) else { continue }
            // A minus before `]` or `[` stands for itself.
            if peekIs("-"), at + 1 < pattern.count, pattern[at + 1] != ch("]"), pattern[at + 1] != ch("[") {
                at += 1
                guard let to = try classItem(&set) else { throw error("a range ends with a class") }
                if to < from { throw error("a range in [ ] counts down") }
                set.insert(from, to)
            } else {
                set.insert(from)
            }
        }
        at += 1
        if let whole { set = whole.intersection(set) }
        if flags.caseInsensitive { set = set.caseInsensitive(unicode: flags.unicodeCase) }
        return negated ? set.inverted : set
    }

    /// A single character, or nil when a set was added.
    private mutating func classItem(_ set: inout CharacterSet) throws(RegexSyntaxError) -> UInt32? {
        guard let c = peek else { throw error("[ is not closed") }
        at += 1
        guard c == ch("\\") else { return c }
        if let named = try escapedSet() {
            set.formUnion(named)
            return nil
        }
        if take("Q") {
            while at < pattern.count, !(pattern[at] == ch("\\") && at + 1 < pattern.count && pattern[at + 1] == ch("E")) {
                set.insert(pattern[at])
                at += 1
            }
            at = min(at + 2, pattern.count)
            return nil
        }
        return try escapedCharacter()
    }
}
