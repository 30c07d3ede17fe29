import StreamCore

/// UPPER, LOWER, INITCAP and REVERSE.
extension FunctionRegistry {
    mutating func registerCaseFunctions() {
        define("UPPER", takes: [.text("string")], result: { $0[0].type }) { _, type in
            { args, rows, _ in
                let text = args[0].text
                return rows.text(type) { row, out in LetterCase.append(text[row], upper: true, to: &out) }
            }
        }
        define("LOWER", takes: [.text("string")], result: { $0[0].type }) { _, type in
            { args, rows, _ in
                let text = args[0].text
                return rows.text(type) { row, out in LetterCase.append(text[row], upper: false, to: &out) }
            }
        }
        define("INITCAP", takes: [.text("string")], result: { $0[0].type }) { _, type in
            { args, rows, _ in
                let text = args[0].text
                return rows.text(type) { row, out in LetterCase.appendCapitalised(text[row], to: &out) }
            }
        }
        define("REVERSE", takes: [.text("string")], returns: .string) { args, rows, _ in
            let text = args[0].text
            return rows.text(.string) { row, out in
                let s = text[row]
                var end = s.count
                while end > 0 {
                    let start = Utf8Text.previous(s, end)
                    out.append(Utf8Text.slice(s, start, end))
                    end = start
                }
            }
        }
    }
}

/// Changes of case, by Unicode's full mappings without a locale.
enum LetterCase {
    @inline(__always)
    static func append(_ text: UnsafeRawBufferPointer, upper: Bool, to out: inout TextSink) {
        guard text.count > 0 else { return }
        guard Utf8Text.isASCII(text) else { return appendUnicode(text, upper: upper, to: &out) }
        let to = out.spareText(text.count)
        let first: UInt8 = upper ? 0x61 : 0x41
        for i in 0..<text.count {
            let c = text[i]
            to[i] = c &- first < 26 ? c ^ 0x20 : c
        }
        out.advance(text.count)
    }

    @inline(never)
    private static func appendUnicode(_ text: UnsafeRawBufferPointer, upper: Bool, to out: inout TextSink) {
        var at = 0
        while at < text.count {
            let (c, width) = Utf8Text.decode(text, at)
            if c < 0x80 {
                let first: UInt32 = upper ? 0x61 : 0x41
                out.append(UInt8(truncatingIfNeeded: c &- first < 26 ? c ^ 0x20 : c))
            } else if let scalar = Unicode.Scalar(c) {
                if c == 0x3A3, !upper, endsWord(text, at, width) {
                    out.append(scalar: Unicode.Scalar(0x3C2)!)
                } else {
                    for mapped in (upper ? scalar.properties.uppercaseMapping : scalar.properties.lowercaseMapping).unicodeScalars { out.append(scalar: mapped) }
                }
            } else {
                out.append(Utf8Text.slice(text, at, at + width))
            }
            at += width
        }
    }

    /// A capital sigma that ends a word becomes a final sigma: a cased letter before it, none behind it.
    private static func endsWord(_ text: UnsafeRawBufferPointer, _ at: Int, _ width: Int) -> Bool {
        func isCased(_ c: UInt32) -> Bool { Unicode.Scalar(c)?.properties.isCased ?? false }
        func isIgnorable(_ c: UInt32) -> Bool { Unicode.Scalar(c)?.properties.isCaseIgnorable ?? false }
        var i = at, found = false
        while i > 0 {
            i = Utf8Text.previous(text, i)
            let c = Utf8Text.decode(text, i).scalar
            if isIgnorable(c) { continue }
            found = isCased(c)
            break
        }
        guard found else { return false }
        i = at + width
        while i < text.count {
            let (c, n) = Utf8Text.decode(text, i)
            if !isIgnorable(c) { return !isCased(c) }
            i += n
        }
        return true
    }

    /// Words are runs of ASCII letters and digits, as in Flink: other letters end a word and keep their case.
    static func appendCapitalised(_ text: UnsafeRawBufferPointer, to out: inout TextSink) {
        guard text.count > 0 else { return }
        let to = out.spareText(text.count)
        var atStart = true
        for i in 0..<text.count {
            var c = text[i]
            let isUpper = c &- 0x41 < 26, isLower = c &- 0x61 < 26
            if atStart {
                if isLower { c -= 32 }
                if isUpper || isLower || c &- 0x30 < 10 { atStart = false }
            } else if isUpper {
                c += 32
            } else if !isLower && c &- 0x30 >= 10 {
                atStart = true
            }
            to[i] = c
        }
        out.advance(text.count)
    }
}
