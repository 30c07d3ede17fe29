/// The characters that one position of a regular expression takes. ASCII is a bitmap; the rest a small tree.
struct CharacterSet: Sendable {
    /// Bit c of `low` for characters 0...63, of `high` for 64...127.
    var low: UInt64 = 0, high: UInt64 = 0
    var beyond: Beyond = .none

    /// Characters from U+0080 on.
    indirect enum Beyond: Sendable {
        case none, all
        case range(UInt32, UInt32)
        case property(Property)
        case either(Beyond, Beyond)
        case both(Beyond, Beyond)
        case not(Beyond)
    }

    /// Properties that `\p{..}` names.
    enum Property: Sendable, Hashable {
        case letter, uppercase, lowercase, titlecase, mark, number, decimalDigit, punctuation, symbol, separator, other, control
        case alphabetic, whitespace, ideographic, assigned
        case han, hiragana, katakana, latin, greek, cyrillic, arabic, hebrew, thai, hangul

        func holds(_ scalar: UInt32) -> Bool {
            guard let c = Unicode.Scalar(scalar) else { return false }
            func within(_ ranges: [ClosedRange<UInt32>]) -> Bool { ranges.contains { $0.contains(scalar) } }
            let category = c.properties.generalCategory
            switch self {
            case .letter: return [.uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter].contains(category)
            case .uppercase: return category == .uppercaseLetter
            case .lowercase: return category == .lowercaseLetter
            case .titlecase: return category == .titlecaseLetter
            case .mark: return [.nonspacingMark, .spacingMark, .enclosingMark].contains(category)
            case .number: return [.decimalNumber, .letterNumber, .otherNumber].contains(category)
            case .decimalDigit: return category == .decimalNumber
            case .punctuation:
                return [.connectorPunctuation, .dashPunctuation, .openPunctuation, .closePunctuation, .initialPunctuation, .finalPunctuation,
                        .otherPunctuation].contains(category)
            case .symbol: return [.mathSymbol, .currencySymbol, .modifierSymbol, .otherSymbol].contains(category)
            case .separator: return [.spaceSeparator, .lineSeparator, .paragraphSeparator].contains(category)
            case .other: return [.control, .format, .surrogate, .privateUse, .unassigned].contains(category)
            case .control: return category == .control
            case .alphabetic: return c.properties.isAlphabetic
            case .whitespace: return c.properties.isWhitespace
            case .ideographic: return c.properties.isIdeographic
            case .assigned: return category != .unassigned
            case .han: return c.properties.isIdeographic && !within([0x17000...0x18CFF, 0x1B170...0x1B2FF])
            case .hiragana: return within([0x3041...0x3096, 0x309D...0x309F])
            case .katakana: return within([0x30A1...0x30FA, 0x30FD...0x30FF, 0x31F0...0x31FF, 0xFF66...0xFF6F, 0xFF71...0xFF9D])
            case .latin:
                return c.properties.isAlphabetic && within([0x41...0x24F, 0x250...0x2AF, 0x1E00...0x1EFF, 0x2C60...0x2C7F, 0xA722...0xA7FF,
                                                            0xFF21...0xFF5A])
            case .greek: return within([0x370...0x3FF, 0x1F00...0x1FFF])
            case .cyrillic: return within([0x400...0x52F, 0x1C80...0x1C8F, 0x2DE0...0x2DFF, 0xA640...0xA69F])
            case .arabic: return within([0x600...0x6FF, 0x750...0x77F, 0x8A0...0x8FF, 0xFB50...0xFDFF, 0xFE70...0xFEFF])
            case .hebrew: return within([0x591...0x5F4, 0xFB1D...0xFB4F])
            case .thai: return within([0xE01...0xE3A, 0xE40...0xE5B])
            case .hangul: return within([0x1100...0x11FF, 0x3131...0x318E, 0xA960...0xA97C, 0xAC00...0xD7A3, 0xD7B0...0xD7FB])
            }
        }
    }

    @inline(__always)
    func contains(_ scalar: UInt32) -> Bool {
        if scalar < 64 { return low >> UInt64(scalar) & 1 != 0 }
        if scalar < 128 { return high >> UInt64(scalar - 64) & 1 != 0 }
        return containsBeyond(scalar)
    }

    private func containsBeyond(_ scalar: UInt32) -> Bool {
        func holds(_ b: Beyond) -> Bool {
            switch b {
            case .none: false
            case .all: true
            case .range(let from, let to): from <= scalar && scalar <= to
            case .property(let p): p.holds(scalar)
            case .either(let x, let y): holds(x) || holds(y)
            case .both(let x, let y): holds(x) && holds(y)
            case .not(let x): !holds(x)
            }
        }
        return holds(beyond)
    }

    mutating func insert(_ from: UInt32, _ to: UInt32) {
        guard from <= to else { return }
        var c = from
        while c <= min(to, 127) {
            if c < 64 { low |= 1 << UInt64(c) } else { high |= 1 << UInt64(c - 64) }
            c += 1
        }
        if to >= 128 { beyond = Self.either(beyond, .range(max(from, 128), to)) }
    }

    mutating func insert(_ scalar: UInt32) { insert(scalar, scalar) }

    mutating func formUnion(_ other: CharacterSet) {
        low |= other.low
        high |= other.high
        beyond = Self.either(beyond, other.beyond)
    }

    func intersection(_ other: CharacterSet) -> CharacterSet {
        CharacterSet(low: low & other.low, high: high & other.high, beyond: .both(beyond, other.beyond))
    }

    var inverted: CharacterSet {
        let rest: Beyond = switch beyond {
        case .none: .all
        case .all: .none
        case .not(let x): x
        default: .not(beyond)
        }
        return CharacterSet(low: ~low, high: ~high, beyond: rest)
    }

    /// With the other case of every character: ASCII only, or by Unicode's simple mappings.
    func caseInsensitive(unicode: Bool) -> CharacterSet {
        var result = self
        for c in UInt32(0x41)...0x5A where contains(c) || contains(c + 32) {
            result.insert(c)
            result.insert(c + 32)
        }
        guard unicode else { return result }
        func add(_ b: Beyond) {
            switch b {
            case .range(let from, let to) where to - from < 4_096:
                for c in from...to { for other in Self.cases(of: c) { result.insert(other) } }
            case .either(let x, let y):
                add(x)
                add(y)
            default: break
            }
        }
        add(beyond)
        return result
    }

    /// Single characters that differ from `scalar` in case only.
    static func cases(of scalar: UInt32) -> [UInt32] {
        guard let c = Unicode.Scalar(scalar) else { return [] }
        return [c.properties.lowercaseMapping, c.properties.uppercaseMapping].compactMap { text in
            let scalars = text.unicodeScalars
            return scalars.count == 1 && scalars.first != c ? scalars.first!.value : nil
        }
    }

    private static func either(_ a: Beyond, _ b: Beyond) -> Beyond {
        if case .none = a { return b }
        if case .none = b { return a }
        if case .all = a { return .all }
        if case .all = b { return .all }
        return .either(a, b)
    }

    // MARK: named sets

    init(low: UInt64, high: UInt64, beyond: Beyond) {
        self.low = low
        self.high = high
        self.beyond = beyond
    }

    init(_ ranges: (UInt32, UInt32)...) {
        for (from, to) in ranges { insert(from, to) }
    }

    init(_ property: Property) {
        for c in UInt32(0)..<128 where property.holds(c) { insert(c) }
        beyond = .property(property)
    }

    static let digit = CharacterSet((0x30, 0x39))
    static let word = CharacterSet((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
    static let space = CharacterSet((0x09, 0x0D), (0x20, 0x20))
    static let horizontalSpace = CharacterSet((0x09, 0x09), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x180E, 0x180E), (0x2000, 0x200A),
                                              (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000))
    static let verticalSpace = CharacterSet((0x0A, 0x0D), (0x85, 0x85), (0x2028, 0x2029))
    static let any = CharacterSet().inverted
    static let lineTerminators = CharacterSet((0x0A, 0x0A), (0x0D, 0x0D), (0x85, 0x85), (0x2028, 0x2029))

    /// What `\p{name}` stands for in Java; nil for a name that is not known.
    static func named(_ text: String) -> CharacterSet? {
        var name = text
        if name.hasPrefix("Is") { name.removeFirst(2) }
        for key in ["script=", "sc=", "general_category=", "gc=", "block=", "blk="] where name.lowercased().hasPrefix(key) { name.removeFirst(key.count) }
        if name.hasPrefix("In") { name.removeFirst(2) }
        switch name {
        case "Lower": return CharacterSet((0x61, 0x7A))
        case "Upper": return CharacterSet((0x41, 0x5A))
        case "ASCII": return CharacterSet((0, 0x7F))
        case "Alpha": return CharacterSet((0x41, 0x5A), (0x61, 0x7A))
        case "Digit": return digit
        case "Alnum": return CharacterSet((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A))
        case "Punct": return CharacterSet((0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E))
        case "Graph": return CharacterSet((0x21, 0x7E))
        case "Print": return CharacterSet((0x20, 0x7E))
        case "Blank": return CharacterSet((0x09, 0x09), (0x20, 0x20))
        case "Cntrl": return CharacterSet((0, 0x1F), (0x7F, 0x7F))
        case "XDigit": return CharacterSet((0x30, 0x39), (0x41, 0x46), (0x61, 0x66))
        case "Space": return space
        case "L", "javaLetter", "Letter": return CharacterSet(.letter)
        case "Lu", "Uppercase", "javaUpperCase": return CharacterSet(.uppercase)
        case "Ll", "Lowercase", "javaLowerCase": return CharacterSet(.lowercase)
        case "Lt", "Titlecase": return CharacterSet(.titlecase)
        case "M": return CharacterSet(.mark)
        case "N": return CharacterSet(.number)
        case "Nd": return CharacterSet(.decimalDigit)
        case "P", "Punctuation": return CharacterSet(.punctuation)
        case "S": return CharacterSet(.symbol)
        case "Z": return CharacterSet(.separator)
        case "C": return CharacterSet(.other)
        case "Cc", "Control": return CharacterSet(.control)
        case "Alphabetic": return CharacterSet(.alphabetic)
        case "White_Space", "javaWhitespace": return CharacterSet(.whitespace)
        case "Ideographic": return CharacterSet(.ideographic)
        case "Assigned": return CharacterSet(.assigned)
        case "Han", "CJKUnifiedIdeographs": return CharacterSet(.han)
        case "Hiragana": return CharacterSet(.hiragana)
        case "Katakana": return CharacterSet(.katakana)
        case "Latin": return CharacterSet(.latin)
        case "Greek": return CharacterSet(.greek)
        case "Cyrillic": return CharacterSet(.cyrillic)
        case "Arabic": return CharacterSet(.arabic)
        case "Hebrew": return CharacterSet(.hebrew)
        case "Thai": return CharacterSet(.thai)
        case "Hangul": return CharacterSet(.hangul)
        default: return nil
        }
    }
}
