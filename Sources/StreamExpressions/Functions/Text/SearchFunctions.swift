import StreamCore

/// Lengths, positions and tests of texts.
extension FunctionRegistry {
    mutating func registerSearchFunctions() {
        define("CHAR_LENGTH", "CHARACTER_LENGTH", takes: [.text("string")], returns: .int) { args, rows, _ in
            let text = args[0].text
            return rows.fixed(.int) { Int32(truncatingIfNeeded: Utf8Text.count(text[$0])) }
        }
        define("ASCII", takes: [.text("string")], returns: .int) { args, rows, _ in
            let text = args[0].text
            return rows.fixed(.int) { row in
                let s = text[row]
                return s.isEmpty ? 0 : Int32(Int8(bitPattern: s[0]))
            }
        }
        define("POSITION", takes: [.text("search"), .text("string")], returns: .int) { args, rows, _ in
            let search = args[0].text, text = args[1].text
            return rows.fixed(.int) { TextSearch.position(search[$0], in: text[$0], from: 1) }
        }
        define("LOCATE", takes: [.text("search"), .text("string"), .int("start")], optional: 1, result: { _ in .int }) { bound, _ in
            let hasStart = bound.count == 3
            return { args, rows, _ in
                let search = args[0].text, text = args[1].text
                guard hasStart else { return rows.fixed(.int) { TextSearch.position(search[$0], in: text[$0], from: 1) } }
                let start = args[2].vector(Int32.self)
                return rows.fixed(.int) { TextSearch.position(search[$0], in: text[$0], from: Int(start[$0])) }
            }
        }
        define("INSTR", takes: [.text("string"), .text("search"), .int("start"), .int("occurrence")], optional: 2, result: { _ in .int }) { bound, _ in
            let n = bound.count
            return { args, rows, _ in
                let text = args[0].text, search = args[1].text
                let start = n > 2 ? args[2].vector(Int32.self) : nil, occurrence = n > 3 ? args[3].vector(Int32.self) : nil
                return try rows.fixed(.int) { row in
                    try TextSearch.instr(text[row], search[row], start: start.map { Int($0[row]) } ?? 1, occurrence: occurrence.map { Int($0[row]) } ?? 1)
                }
            }
        }
        for (name, atEnd) in [("STARTSWITH", false), ("ENDSWITH", true)] {
            register(name) { args, _ in
                let bound = try Binding.arguments(name, args, [.textOrBinary("string"), .textOrBinary("part")])
                guard bound[0].type.isText == bound[1].type.isText else {
                    throw Binding.mismatch(name, bound, takes: "two strings or two binary values")
                }
                return Binding.call(name, .boolean, bound) { args, rows, _ in
                    let text = args[0].text, part = args[1].text
                    return rows.booleans { row in
                        let (t, p) = (text[row], part[row])
                        return t.count >= p.count && Utf8Text.matches(p, in: t, at: atEnd ? t.count - p.count : 0)
                    }
                }
            }
        }
        defineTest("IS_ALPHA", numbersPass: { _ in false }) { text in
            TextSearch.allCharacters(text) { c in c < 128 ? c & 0x5F &- 0x41 < 26 : CharacterSet.Property.letter.holds(c) }
        }
        defineTest("IS_DIGIT", numbersPass: { $0.isInteger }) { text in
            TextSearch.allCharacters(text) { c in c < 128 ? c &- 0x30 < 10 : CharacterSet.Property.decimalDigit.holds(c) }
        }
        defineTest("IS_DECIMAL", numbersPass: { $0.isNumeric }) { TextSearch.isJavaNumber($0) }
        define("HASH_CODE", takes: [.text("string")], returns: .int) { args, rows, _ in
            let text = args[0].text
            return rows.fixed(.int) { row in
                var hash: Int32 = 0
                for unit in text[row].string.utf16 { hash = hash &* 31 &+ Int32(unit) }
                return hash < 0 ? 0 &- hash : hash
            }
        }
    }

    /// A test that is false, not null, for null.
    private mutating func defineTest(_ name: String, numbersPass: @escaping @Sendable (DataType) -> Bool,
                                     _ test: @escaping @Sendable (UnsafeRawBufferPointer) -> Bool) {
        register(name) { args, _ in
            let bound = try Binding.arguments(name, args, [.any("value")])
            let isText = bound[0].type.isText, passes = numbersPass(bound[0].type)
            return Binding.callLenient(name, .boolean, bound) { args, rows, _ in
                let column = args[0]
                guard isText else { return rows.booleans { passes && column.isValid($0) } }
                let text = column.text
                return rows.booleans { column.isValid($0) && test(text[$0]) }
            }
        }
    }
}

enum TextSearch {
    typealias Bytes = UnsafeRawBufferPointer

    /// Position in characters, from 1; 0 when not found.
    @inline(__always)
    static func position(_ search: Bytes, in text: Bytes, from start: Int) -> Int32 {
        if search.isEmpty { return 1 }
        let from = start > 1 ? Utf8Text.skip(start - 1, in: text) : 0
        guard let hit = Utf8Text.find(search, in: text, from: from) else { return 0 }
        return Int32(truncatingIfNeeded: Utf8Text.count(Utf8Text.slice(text, 0, hit)) + 1)
    }

    /// Searches towards the start when `start` is negative.
    static func instr(_ text: Bytes, _ search: Bytes, start: Int, occurrence: Int) throws -> Int32 {
        guard occurrence > 0 else {
            throw StreamError(.runtime, "INSTR was asked for occurrence \(occurrence)", fix: "count occurrences from 1")
        }
        if start == 0 { return 0 }
        if search.isEmpty { return 1 }
        if start > 0 {
            var from = Utf8Text.skip(start - 1, in: text), hit = 0
            for _ in 0..<occurrence {
                guard let found = Utf8Text.find(search, in: text, from: from) else { return 0 }
                hit = found
                from = found + Utf8Text.width(text[found])
            }
            return Int32(truncatingIfNeeded: Utf8Text.count(Utf8Text.slice(text, 0, hit)) + 1)
        }
        // The text that ends with the |start|-th character from the end, searched backwards for whole occurrences.
        var limit = Utf8Text.skipBack(-start - 1, in: text), seen = 0
        while true {
            var at = limit - search.count, found = -1
            while at >= 0 {
                if Utf8Text.matches(search, in: text, at: at) {
                    found = at
                    break
                }
                at -= 1
            }
            guard found >= 0 else { return 0 }
            seen += 1
            if seen == occurrence { return Int32(truncatingIfNeeded: Utf8Text.count(Utf8Text.slice(text, 0, found)) + 1) }
            limit = Utf8Text.previous(text, found + search.count)
        }
    }

    /// False for an empty text.
    @inline(__always)
    static func allCharacters(_ text: Bytes, _ test: (UInt32) -> Bool) -> Bool {
        var at = 0
        while at < text.count {
            let (c, width) = Utf8Text.decode(text, at)
            if !test(c) { return false }
            at += width
        }
        return !text.isEmpty
    }

    /// What Java's Double.parseDouble reads: blanks around it, an exponent, a suffix f or d, hexadecimal forms, NaN, Infinity.
    static func isJavaNumber(_ text: Bytes) -> Bool {
        var from = 0, to = text.count
        while from < to, text[from] <= 0x20 { from += 1 }
        while to > from, text[to - 1] <= 0x20 { to -= 1 }
        var at = from
        if at < to, text[at] == 0x2B || text[at] == 0x2D { at += 1 }
        guard at < to else { return false }
        func rest(_ word: String) -> Bool { Utf8Text.slice(text, at, to).string == word }
        if rest("NaN") || rest("Infinity") { return true }
        let isHex = at + 1 < to && text[at] == 0x30 && text[at + 1] | 0x20 == 0x78
        if isHex { at += 2 }
        func digits() -> Int {
            let start = at
            while at < to, text[at] &- 0x30 < 10 || (isHex && (text[at] | 0x20) &- 0x61 < 6) { at += 1 }
            return at - start
        }
        var n = digits()
        if at < to, text[at] == 0x2E {
            at += 1
            n += digits()
        }
        guard n > 0 else { return false }
        let hasExponent = at < to && text[at] | 0x20 == (isHex ? 0x70 : 0x65)
        if hasExponent {
            at += 1
            if at < to, text[at] == 0x2B || text[at] == 0x2D { at += 1 }
            let start = at
            while at < to, text[at] &- 0x30 < 10 { at += 1 }
            if at == start { return false }
        } else if isHex {
            return false
        }
        if at < to, [0x66, 0x64].contains(text[at] | 0x20) { at += 1 }
        return at == to
    }
}
