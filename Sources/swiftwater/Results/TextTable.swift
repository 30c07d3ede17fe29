import StreamCore

/// A table of text cells in fixed-width columns.
struct TextTable {
    var columns: [String]
    var alignRight: [Bool]
    var rows: [[String]]
    /// Longer cells are cut and end in an ellipsis.
    var maxCell = 60

    init(columns: [String], alignRight: [Bool]? = nil, rows: [[String]], maxCell: Int = 60) {
        self.columns = columns
        self.alignRight = alignRight ?? columns.map { _ in false }
        self.rows = rows
        self.maxCell = maxCell
    }

    private func widths() -> [Int] {
        columns.indices.map { c in
            min(maxCell, max(columns[c].displayWidth, rows.map { $0[c].displayWidth }.max() ?? 0))
        }
    }

    private func cell(_ text: String, _ width: Int, right: Bool) -> String {
        let clean = text.contains(where: \.isNewline) ? text.replacing("\n", with: "\\n") : text
        let cut = clean.displayWidth > width ? clean.prefix(max(width - 1, 0)) + "…" : Substring(clean)
        let pad = String(repeating: " ", count: max(0, width - String(cut).displayWidth))
        return right ? pad + cut : cut + pad
    }

    /// Without rules: for status displays.
    func plain() -> String {
        let widths = widths()
        return ([columns] + rows).map { row in
            row.indices.map { cell(row[$0], widths[$0], right: alignRight[$0]) }.joined(separator: "  ")
        }.joined(separator: "\n")
    }

    /// With rules, as SQL clients draw result sets.
    func boxed() -> String {
        let widths = widths()
        let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "+") + "+"
        func line(_ row: [String]) -> String {
            "| " + row.indices.map { cell(row[$0], widths[$0], right: alignRight[$0]) }.joined(separator: " | ") + " |"
        }
        return ([rule, line(columns), rule] + rows.map(line) + [rule]).joined(separator: "\n")
    }
}

extension String {
    /// Terminal cells: wide East Asian characters and emoji take two.
    var displayWidth: Int {
        unicodeScalars.reduce(0) { width, scalar in
            switch scalar.value {
            case 0x0300...0x036F, 0x200B...0x200D, 0xFE00...0xFE0F: width
            case 0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE4F, 0xFF00...0xFF60, 0x1F300...0x1FAFF: width + 2
            default: width + 1
            }
        }
    }
}

extension JSONText {
    /// A CSV field, quoted when it must be.
    static func csv(_ text: String) -> String {
        guard text.contains(where: { $0 == "," || $0 == "\"" || $0.isNewline }) else { return text }
        return "\"" + text.replacing("\"", with: "\"\"") + "\""
    }
}
