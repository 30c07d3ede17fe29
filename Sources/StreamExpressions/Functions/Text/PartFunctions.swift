import StreamCore

/// SUBSTRING, LEFT, RIGHT, TRIM and the like: results are parts of the argument and share its memory.
extension FunctionRegistry {
    mutating func registerPartFunctions() {
        define("SUBSTRING", "SUBSTR", takes: [.text("string"), .bigint("start"), .bigint("length")], optional: 1,
               result: { $0[0].type.unpadded }) { bound, type in
            let limited = bound.count == 3
            return { args, rows, _ in
                let start = args[1].vector(Int64.self)
                let length = limited ? args[2].vector(Int64.self) : start
                return rows.slices(type, of: args[0]) { row, text in
                    TextPart.substring(text, start[row], limited ? length[row] : Int64(Int32.max))
                }
            }
        }
        define("LEFT", takes: [.text("string"), .bigint("length")], result: { $0[0].type.unpadded }) { _, type in
            { args, rows, _ in
                let length = args[1].vector(Int64.self)
                return rows.slices(type, of: args[0]) { row, text in
                    0..<Utf8Text.skip(Int(clamping: max(length[row], 0)), in: text)
                }
            }
        }
        define("RIGHT", takes: [.text("string"), .bigint("length")], result: { $0[0].type.unpadded }) { _, type in
            { args, rows, _ in
                let length = args[1].vector(Int64.self)
                return rows.slices(type, of: args[0]) { row, text in
                    Utf8Text.skipBack(Int(clamping: max(length[row], 0)), in: text)..<text.count
                }
            }
        }
        defineTrim("LTRIM", leading: true, trailing: false)
        defineTrim("RTRIM", leading: false, trailing: true)
        defineTrim("BTRIM", leading: true, trailing: true)
        register("TRIM") { args, _ in
            guard args.count == 3, let side = Binding.constantText(args[0]) else {
                throw Binding.arityError("TRIM", given: max(args.count - 2, 0), least: 1, most: 1, names: ["string"])
            }
            let bound = try Binding.arguments("TRIM", [args[2], args[1]], [.text("string"), .text("characters")])
            return TextPart.trim("TRIM", bound, leading: side != "TRAILING", trailing: side != "LEADING", type: bound[0].type.unpadded)
        }
        define("SPLIT_INDEX", takes: [.text("string"), Parameter("separator", takes: "a string or an INT character code", example: "STRING") {
            $0.type.isText ? $0.type : TypeCoercion.canWiden($0.type, to: .int) ? .int : nil
        }, .int("index")], result: { _ in .string }) { bound, type in
            if bound[1].type.isText {
                return { args, rows, _ in
                    let separator = args[1].text, index = args[2].vector(Int32.self)
                    return rows.slices(type, of: args[0]) { row, text in TextPart.splitIndex(text, separator[row], Int(index[row])) }
                }
            }
            return { args, rows, _ in
                let separator = args[1].vector(Int32.self), index = args[2].vector(Int32.self)
                return rows.slices(type, of: args[0]) { row, text in
                    guard let scalar = UInt8(exactly: separator[row]), scalar > 0 else { return nil }
                    var bytes: (UInt8, UInt8) = scalar < 0x80 ? (scalar, 0) : (0xC0 | scalar >> 6, 0x80 | scalar & 0x3F)
                    return withUnsafeBytes(of: &bytes) {
                        TextPart.splitIndex(text, UnsafeRawBufferPointer(rebasing: $0[0..<(scalar < 0x80 ? 1 : 2)]), Int(index[row]))
                    }
                }
            }
        }
    }

    private mutating func defineTrim(_ name: String, leading: Bool, trailing: Bool) {
        register(name) { args, _ in
            let bound = try Binding.arguments(name, args, [.text("string"), .text("characters")], optional: 1)
            let whole = bound.count == 2 ? bound : [bound[0], .literal(.string(" "), .char(1))]
            return TextPart.trim(name, whole, leading: leading, trailing: trailing, type: name == "BTRIM" ? .string : bound[0].type.unpadded)
        }
    }
}

/// Where the parts that functions cut out begin and end.
enum TextPart {
    typealias Bytes = UnsafeRawBufferPointer

    /// Counts characters from 1, from the end when `start` is negative; 0 is as 1. nil for a negative length.
    @inline(__always)
    static func substring(_ text: Bytes, _ start: Int64, _ length: Int64) -> Range<Int>? {
        guard length >= 0 else { return nil }
        var from: Int
        if start >= 0 {
            from = Utf8Text.skip(Int(clamping: max(start - 1, 0)), in: text)
        } else {
            guard start >= -Int64(text.count), let at = back(text, Int(-start)) else { return 0..<0 }
            from = at
        }
        if length > Int64(text.count) { return from..<text.count }
        let to = Utf8Text.skip(Int(length), in: text, from: from)
        if from > to { from = to }
        return from..<to
    }

    /// Start of the last `n` characters; nil when there are fewer.
    private static func back(_ text: Bytes, _ n: Int) -> Int? {
        var at = text.count
        for _ in 0..<n {
            guard at > 0 else { return nil }
            at = Utf8Text.previous(text, at)
        }
        return at
    }

    /// The call that cuts the characters of the second argument off the first.
    static func trim(_ name: String, _ args: [Expr], leading: Bool, trailing: Bool, type: DataType) -> Expr {
        Binding.call(name, type, args) { args, rows, _ in
            let characters = args[1].text
            // One ASCII character, nearly always a space, needs no search.
            if let one = characters.constant, one.count == 1, one[0] < 0x80 {
                let c = one[0]
                return rows.slices(type, of: args[0]) { _, text in
                    var from = 0, to = text.count
                    if leading { while from < to, text[from] == c { from += 1 } }
                    if trailing { while to > from, text[to - 1] == c { to -= 1 } }
                    return from..<to
                }
            }
            return rows.slices(type, of: args[0]) { row, text in trimmed(text, characters[row], leading, trailing) }
        }
    }

    private static func trimmed(_ text: Bytes, _ characters: Bytes, _ leading: Bool, _ trailing: Bool) -> Range<Int> {
        func isWanted(_ from: Int, _ to: Int) -> Bool {
            let c = Utf8Text.slice(text, from, to)
            var at = 0
            while at < characters.count {
                let next = min(at + Utf8Text.width(characters[at]), characters.count)
                if Utf8Text.equal(Utf8Text.slice(characters, at, next), c) { return true }
                at = next
            }
            return false
        }
        var from = 0, to = text.count
        if leading {
            while from < to, case let next = min(from + Utf8Text.width(text[from]), to), isWanted(from, next) { from = next }
        }
        if trailing {
            while to > from, case let previous = max(Utf8Text.previous(text, to), from), isWanted(previous, to) { to = previous }
        }
        return from..<to
    }

    /// Part `index` (from 0) between separators; nil when there are fewer, and for an empty text. An empty separator stands for
    /// runs of white space.
    static func splitIndex(_ text: Bytes, _ separator: Bytes, _ index: Int) -> Range<Int>? {
        guard index >= 0, text.count > 0 else { return nil }
        if separator.isEmpty { return splitWhitespace(text, index) }
        var from = 0, n = 0
        while true {
            let hit = Utf8Text.find(separator, in: text, from: from)
            if n == index { return from..<(hit ?? text.count) }
            guard let hit else { return nil }
            from = hit + separator.count
            n += 1
        }
    }

    /// Every single white space character separates.
    private static func splitWhitespace(_ text: Bytes, _ index: Int) -> Range<Int>? {
        var from = 0, n = 0, at = 0
        while at < text.count {
            let c = text[at]
            if c == 0x20 || (0x09...0x0D).contains(c) || (0x1C...0x1F).contains(c) {
                if n == index { return from..<at }
                n += 1
                from = at + 1
            }
            at += 1
        }
        return n == index ? from..<text.count : nil
    }
}
