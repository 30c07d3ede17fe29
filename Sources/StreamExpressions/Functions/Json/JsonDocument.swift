import StreamCore

/// A JSON text, parsed into a flat list of nodes that point into it. Reused from text to text without allocating.
///
///     node   kind, byte range of its text, index behind its last descendant
///     order  a container, then its members: for an object each key (a string) followed by its value
///
/// Only the first value of the text counts; what follows it is ignored, as Flink does.
struct JsonDocument {
    enum Kind: UInt8 { case object, array, string, integer, decimal, `true`, `false`, null }

    struct Node {
        var kind: Kind
        /// The string holds escapes.
        var isEscaped = false
        /// Byte range in the text; of a string, without its quotes.
        var start: Int32, end: Int32
        var next: Int32
    }

    private(set) var nodes: [Node] = []
    private(set) var text = UnsafeRawBufferPointer(start: nil, count: 0)

    /// Deeper nesting is not JSON that Flink reads.
    static let maxDepth = 1_000

    /// False when the text does not start with a JSON value. The text must live as long as the nodes are used.
    mutating func parse(_ text: UnsafeRawBufferPointer) -> Bool {
        nodes.removeAll(keepingCapacity: true)
        self.text = text
        guard text.count < Int(Int32.max) else { return false }
        var at = 0
        guard value(&at, 0) else { return false }
        // A number or word must not run on.
        if at < text.count, nodes[0].kind.rawValue > Kind.string.rawValue {
            return [0x20, 0x09, 0x0A, 0x0D].contains(text[at])
        }
        return true
    }

    @inline(__always)
    private func skipBlanks(_ at: inout Int) {
        while at < text.count, text[at] == 0x20 || text[at] == 0x0A || text[at] == 0x0D || text[at] == 0x09 { at += 1 }
    }

    private mutating func value(_ at: inout Int, _ depth: Int) -> Bool {
        skipBlanks(&at)
        guard at < text.count else { return false }
        switch text[at] {
        case UInt8(ascii: "{"): return container(&at, depth, isObject: true)
        case UInt8(ascii: "["): return container(&at, depth, isObject: false)
        case UInt8(ascii: "\""): return string(&at)
        case UInt8(ascii: "t"): return word("true", .true, &at)
        case UInt8(ascii: "f"): return word("false", .false, &at)
        case UInt8(ascii: "n"): return word("null", .null, &at)
        default: return number(&at)
        }
    }

    private mutating func container(_ at: inout Int, _ depth: Int, isObject: Bool) -> Bool {
        guard depth < Self.maxDepth else { return false }
        let index = nodes.count, close: UInt8 = isObject ? 0x7D : 0x5D
        nodes.append(Node(kind: isObject ? .object : .array, start: Int32(at), end: 0, next: 0))
        at += 1
        skipBlanks(&at)
        if at < text.count, text[at] == close {
            at += 1
        } else {
            while true {
                if isObject {
                    skipBlanks(&at)
                    guard at < text.count, text[at] == UInt8(ascii: "\""), string(&at) else { return false }
                    skipBlanks(&at)
                    guard at < text.count, text[at] == UInt8(ascii: ":") else { return false }
                    at += 1
                }
                guard value(&at, depth + 1) else { return false }
                skipBlanks(&at)
                guard at < text.count else { return false }
                let c = text[at]
                at += 1
                if c == close { break }
                guard c == UInt8(ascii: ",") else { return false }
            }
        }
        nodes[index].end = Int32(at)
        nodes[index].next = Int32(nodes.count)
        return true
    }

    private mutating func string(_ at: inout Int) -> Bool {
        let start = at + 1
        var i = start, escaped = false
        while i < text.count {
            let c = text[i]
            if c == UInt8(ascii: "\"") {
                nodes.append(Node(kind: .string, isEscaped: escaped, start: Int32(start), end: Int32(i), next: Int32(nodes.count + 1)))
                at = i + 1
                return true
            }
            if c < 0x20 { return false }
            if c == UInt8(ascii: "\\") {
                escaped = true
                guard i + 1 < text.count else { return false }
                switch text[i + 1] {
                case UInt8(ascii: "u"):
                    guard i + 5 < text.count, (2...5).allSatisfy({ ByteText.nibble(text[i + $0]) != nil }) else { return false }
                    i += 6
                case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"),
                     UInt8(ascii: "t"):
                    i += 2
                default: return false
                }
            } else {
                i += 1
            }
        }
        return false
    }

    private mutating func word(_ word: StaticString, _ kind: Kind, _ at: inout Int) -> Bool {
        let n = word.utf8CodeUnitCount
        guard Utf8Text.matches(UnsafeRawBufferPointer(start: word.utf8Start, count: n), in: text, at: at) else { return false }
        if at + n < text.count {
            let c = text[at + n]
            if c >= 0x80 || c == 0x5F || c &- 0x30 < 10 || (c | 0x20) &- 0x61 < 26 { return false }
        }
        nodes.append(Node(kind: kind, start: Int32(at), end: Int32(at + n), next: Int32(nodes.count + 1)))
        at += n
        return true
    }

    private mutating func number(_ at: inout Int) -> Bool {
        let start = at
        var i = at
        func digits() -> Int {
            let first = i
            while i < text.count, text[i] &- 0x30 < 10 { i += 1 }
            return i - first
        }
        if i < text.count, text[i] == UInt8(ascii: "-") { i += 1 }
        let whole = i
        let n = digits()
        guard n > 0, n == 1 || text[whole] != UInt8(ascii: "0") else { return false }
        var kind = Kind.integer
        if i < text.count, text[i] == UInt8(ascii: ".") {
            i += 1
            guard digits() > 0 else { return false }
            kind = .decimal
        }
        if i < text.count, text[i] | 0x20 == UInt8(ascii: "e") {
            i += 1
            if i < text.count, text[i] == UInt8(ascii: "+") || text[i] == UInt8(ascii: "-") { i += 1 }
            guard digits() > 0 else { return false }
            kind = .decimal
        }
        nodes.append(Node(kind: kind, start: Int32(start), end: Int32(i), next: Int32(nodes.count + 1)))
        at = i
        return true
    }

    // MARK: access

    @inline(__always)
    func bytes(_ node: Node) -> UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: text[Int(node.start)..<Int(node.end)]) }

    /// Value of the member of an object by its name; the last one when the name occurs twice.
    func member(_ object: Int, _ name: [UInt8]) -> Int? {
        var i = object + 1, found: Int?
        let end = Int(nodes[object].next)
        name.withUnsafeBytes { name in
            while i < end {
                if matches(i, name) { found = i + 1 }
                i = Int(nodes[i + 1].next)
            }
        }
        return found
    }

    func matches(_ key: Int, _ name: UnsafeRawBufferPointer) -> Bool {
        let node = nodes[key]
        if !node.isEscaped { return Utf8Text.equal(bytes(node), name) }
        return unescaped(node).withUnsafeBytes { Utf8Text.equal($0, name) }
    }

    func unescaped(_ node: Node) -> [UInt8] {
        var out: [UInt8] = []
        _ = JsonText.unescape(bytes(node)) { out.append($0) }
        return out
    }

    /// The children of an array, or the values of an object.
    func children(_ container: Int) -> [Int] {
        var result: [Int] = [], i = container + 1
        let node = nodes[container], step = node.kind == .object ? 1 : 0
        guard node.kind == .object || node.kind == .array else { return [] }
        while i < Int(node.next) {
            result.append(i + step)
            i = Int(nodes[i + step].next)
        }
        return result
    }

    func isScalar(_ node: Int) -> Bool { nodes[node].kind.rawValue >= Kind.string.rawValue }
}

/// Escapes and numbers of JSON texts.
enum JsonText {
    /// Calls `emit` with the bytes that the escapes spell. False for an escape that does not exist.
    static func unescape(_ bytes: UnsafeRawBufferPointer, _ emit: (UInt8) -> Void) -> Bool {
        var i = 0
        func unit(_ at: Int) -> UInt32? {
            guard at + 4 <= bytes.count else { return nil }
            var value: UInt32 = 0
            for j in 0..<4 {
                guard let digit = ByteText.nibble(bytes[at + j]) else { return nil }
                value = value << 4 | UInt32(digit)
            }
            return value
        }
        while i < bytes.count {
            let c = bytes[i]
            guard c == UInt8(ascii: "\\") else {
                emit(c)
                i += 1
                continue
            }
            guard i + 1 < bytes.count else { return false }
            i += 2
            switch bytes[i - 1] {
            case UInt8(ascii: "b"): emit(0x08)
            case UInt8(ascii: "f"): emit(0x0C)
            case UInt8(ascii: "n"): emit(0x0A)
            case UInt8(ascii: "r"): emit(0x0D)
            case UInt8(ascii: "t"): emit(0x09)
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): emit(bytes[i - 1])
            case UInt8(ascii: "u"):
                guard var scalar = unit(i) else { return false }
                i += 4
                if (0xD800..<0xDC00).contains(scalar), i + 6 <= bytes.count, bytes[i] == UInt8(ascii: "\\"), bytes[i + 1] == UInt8(ascii: "u"),
                   let low = unit(i + 2), (0xDC00..<0xE000).contains(low) {
                    scalar = 0x10000 + (scalar - 0xD800) << 10 + (low - 0xDC00)
                    i += 6
                }
                // Half a pair is no character.
                for byte in UTF8.encode(Unicode.Scalar(scalar) ?? "\u{FFFD}")! { emit(byte) }
            default: return false
            }
        }
        return true
    }

    /// Text as a JSON string, with the escapes that Flink's writer uses.
    static func appendQuoted(_ text: UnsafeRawBufferPointer, to out: inout TextSink) {
        out.append(UInt8(ascii: "\""))
        var from = 0
        for i in 0..<text.count {
            let c = text[i]
            guard c < 0x20 || c == 0x22 || c == 0x5C else { continue }
            if from < i { out.append(Utf8Text.slice(text, from, i)) }
            from = i + 1
            out.append(UInt8(ascii: "\\"))
            switch c {
            case 0x22, 0x5C: out.append(c)
            case 0x08: out.append(UInt8(ascii: "b"))
            case 0x09: out.append(UInt8(ascii: "t"))
            case 0x0A: out.append(UInt8(ascii: "n"))
            case 0x0C: out.append(UInt8(ascii: "f"))
            case 0x0D: out.append(UInt8(ascii: "r"))
            default:
                out.append("u00")
                out.append(ByteText.hexDigit(c >> 4, upper: true))
                out.append(ByteText.hexDigit(c & 15, upper: true))
            }
        }
        if from < text.count { out.append(Utf8Text.slice(text, from, text.count)) }
        out.append(UInt8(ascii: "\""))
    }

    /// A number in the form of Java's BigDecimal: plain, or with an exponent when it is very small or has one.
    static func appendNumber(_ text: UnsafeRawBufferPointer, to out: inout TextSink) {
        var i = 0, negative = false
        if text.count > 0, text[0] == UInt8(ascii: "-") {
            negative = true
            i = 1
        }
        withUnsafeTemporaryAllocation(byteCount: text.count + 1, alignment: 1) { digits in
            var n = 0, scale = 0, seenPoint = false
            while i < text.count, text[i] | 0x20 != UInt8(ascii: "e") {
                if text[i] == UInt8(ascii: ".") { seenPoint = true } else {
                    // Leading zeros are no digits of the number.
                    if n > 0 || text[i] != UInt8(ascii: "0") {
                        digits[n] = text[i]
                        n += 1
                    }
                    if seenPoint { scale += 1 }
                }
                i += 1
            }
            if n == 0 {
                digits[0] = UInt8(ascii: "0")
                n = 1
                // Zero has no sign in BigDecimal.
                negative = false
            }
            if i < text.count {
                let exponent = NumberText.parseInt64(Utf8Text.slice(text, i + 1, text.count)) ?? 0
                scale = Int(clamping: Int64(scale) - max(min(exponent, 1 << 40), -(1 << 40)))
            }
            if negative { out.append(UInt8(ascii: "-")) }
            let all = UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(digits)[0..<n])
            let adjusted = n - 1 - scale
            if scale == 0 { return out.append(all) }
            if scale > 0, adjusted >= -6 {
                let whole = n - scale
                if whole > 0 {
                    out.append(Utf8Text.slice(all, 0, whole))
                    out.append(UInt8(ascii: "."))
                    out.append(Utf8Text.slice(all, whole, n))
                } else {
                    out.append("0.")
                    for _ in 0..<(-whole) { out.append(UInt8(ascii: "0")) }
                    out.append(all)
                }
                return
            }
            out.append(all[0])
            if n > 1 {
                out.append(UInt8(ascii: "."))
                out.append(Utf8Text.slice(all, 1, n))
            }
            out.append(UInt8(ascii: "E"))
            if adjusted > 0 { out.append(UInt8(ascii: "+")) }
            let to = out.spareText(NumberText.capacity)
            out.advance(NumberText.write(Int64(adjusted), to: to))
        }
    }
}

// MARK: writing

extension JsonDocument {
    /// The value as text: strings without quotes, numbers in canonical form.
    func appendScalar(_ index: Int, to out: inout TextSink) {
        let node = nodes[index]
        switch node.kind {
        case .string:
            if node.isEscaped { unescaped(node).withUnsafeBytes { out.append($0) } } else { out.append(bytes(node)) }
        case .integer, .decimal: JsonText.appendNumber(bytes(node), to: &out)
        default: out.append(bytes(node))
        }
    }

    /// The value as JSON without blanks, the members of objects in the order of their names.
    func append(_ index: Int, to out: inout TextSink) {
        let node = nodes[index]
        switch node.kind {
        case .string:
            if node.isEscaped {
                unescaped(node).withUnsafeBytes { JsonText.appendQuoted($0, to: &out) }
            } else {
                JsonText.appendQuoted(bytes(node), to: &out)
            }
        case .integer, .decimal: JsonText.appendNumber(bytes(node), to: &out)
        case .true, .false, .null: out.append(bytes(node))
        case .array:
            out.append(UInt8(ascii: "["))
            var i = index + 1
            while i < Int(node.next) {
                if i > index + 1 { out.append(UInt8(ascii: ",")) }
                append(i, to: &out)
                i = Int(nodes[i].next)
            }
            out.append(UInt8(ascii: "]"))
        case .object:
            var keys: [Int] = [], i = index + 1
            while i < Int(node.next) {
                keys.append(i)
                i = Int(nodes[i + 1].next)
            }
            appendMembers(keys, to: &out)
        }
    }

    /// An object of the members with these keys; the last of several with one name counts.
    func appendMembers(_ keys: [Int], to out: inout TextSink) {
        out.append(UInt8(ascii: "{"))
        var named = keys.map { key in (name: nodes[key].isEscaped ? unescaped(nodes[key]) : Array(bytes(nodes[key])), key: key) }
        named.sort { a, b in
            if a.name == b.name { return a.key < b.key }
            return a.name.withUnsafeBytes { x in b.name.withUnsafeBytes { y in Utf8Text.javaOrder(x, y) } }
        }
        var first = true
        for (i, member) in named.enumerated() where i + 1 == named.count || named[i + 1].name != member.name {
            if !first { out.append(UInt8(ascii: ",")) }
            first = false
            member.name.withUnsafeBytes { JsonText.appendQuoted($0, to: &out) }
            out.append(UInt8(ascii: ":"))
            append(member.key + 1, to: &out)
        }
        out.append(UInt8(ascii: "}"))
    }
}
