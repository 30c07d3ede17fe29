/// Text in charts and pages.
package enum ChartText {
    /// For XML and HTML, in text and in attributes; characters that XML has not become U+FFFD.
    package static func escaped(_ text: String) -> String {
        var out = ""
        out.reserveCapacity(text.utf8.count + 8)
        for scalar in text.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            case "\t", "\n", "\r": out.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar.value & 0xFFFE == 0xFFFE: out += "\u{FFFD}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }

    /// At most so many characters, the last of them `…` when some are left out.
    package static func shortened(_ text: String, to most: Int) -> String {
        let line = text.contains(where: \.isNewline) ? String(text.map { $0.isNewline ? " " : $0 }) : text
        return line.count > most ? line.prefix(max(0, most - 1)) + "…" : line
    }

    /// About how wide sans-serif text is, rather too wide than too narrow.
    static func width(_ text: String, size: Double = 12) -> Double {
        size * text.unicodeScalars.reduce(0) { width, scalar in
            switch scalar {
            case "i", "j", "l", "t", "f", "r", ".", ",", ":", ";", "'", "|", "!", "(", ")", "[", "]", " ", "I": width + 0.4
            case "m", "w", "M", "W", "@", "%": width + 0.98
            case "A"..."Z", "_": width + 0.7
            case _ where isWide(scalar): width + 1.05
            default: width + 0.62
            }
        }
    }

    /// Shortened to a width in pixels.
    static func fitted(_ text: String, to most: Double, size: Double = 12) -> String {
        let line = shortened(text, to: 200)
        if width(line, size: size) <= most { return line }
        var count = line.count
        while count > 2, width(line.prefix(count - 1) + "…", size: size) > most { count -= 1 }
        return line.prefix(max(1, count - 1)) + "…"
    }

    /// Words on lines of a width in pixels.
    static func wrapped(_ text: String, to most: Double, size: Double) -> [String] {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            if let last = lines.last, width(last + " " + word, size: size) <= most {
                lines[lines.count - 1] += " " + word
            } else {
                lines.append(fitted(String(word), to: most, size: size))
            }
        }
        return lines
    }

    // MARK: Terminal

    private static func isWide(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60, 0x1F300...0x1FAFF: true
        default: false
        }
    }

    /// Cells of a terminal: wide East Asian characters and emoji take two, marks that join the character before them none.
    static func cells(_ text: some StringProtocol) -> Int {
        text.unicodeScalars.reduce(0) { width, scalar in
            switch scalar.value {
            case 0x0300...0x036F, 0x200B...0x200D, 0xFE00...0xFE0F: width
            default: width + (isWide(scalar) ? 2 : 1)
            }
        }
    }

    /// Exactly so many cells of a terminal, without control characters.
    static func padded(_ text: String, to width: Int, right: Bool = false) -> String {
        let line = clean(text)
        var out = line
        if cells(line) > width {
            out = ""
            for c in line {
                guard cells(out) + cells(String(c)) <= width - 1 else { break }
                out.append(c)
            }
            if width > 0 { out += "…" }
        }
        let space = String(repeating: " ", count: max(0, width - cells(out)))
        return right ? space + out : out + space
    }

    /// One line without characters that would move a terminal's cursor or change its colours.
    static func clean(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) || (0x202A...0x202E).contains($0.value) }) else { return text }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x09, 0x0A, 0x0D: out += " "
            case 0..<0x20, 0x7F...0x9F, 0x202A...0x202E: out += "\u{FFFD}"
            default: out.unicodeScalars.append(scalar)
            }
        }
        return out
    }
}
