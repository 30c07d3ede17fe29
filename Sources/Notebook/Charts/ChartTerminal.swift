import StreamCore

/// Charts as lines of text: bars of eighth blocks, lines and points of braille dots.
package enum ChartTerminal {
    /// The foreground colours of terminals, in the order of the series; a reader's theme decides what they look like.
    static let colors = [36, 33, 35, 32, 34, 31, 96, 37]

    /// - Parameters:
    ///   - width: cells of a line; no line is longer. At least 24.
    ///   - height: lines that the chart should take about, at least 8; notes come below.
    ///   - colors: with escape codes: only for a terminal.
    /// - Returns: lines, each with a line feed at its end.
    /// - Throws: `.validate`: see ``ChartData``.
    package static func text(_ table: ResultTable, _ spec: ChartSpec, width: Int = 80, height: Int = 20, colors: Bool) throws -> String {
        text(try ChartData(table, spec), width: width, height: height, colors: colors)
    }

    package static func text(_ data: ChartData, width: Int = 80, height: Int = 20, colors: Bool) -> String {
        var data = data
        let width = max(24, width), height = max(8, height)
        data.limit(points: 20_000)
        var out: [String] = []
        func color(_ text: String, _ code: Int) -> String { colors ? "\u{1B}[\(code)m\(text)\u{1B}[0m" : text }
        if let title = data.title, !title.isEmpty { out.append(color(ChartText.shortened(ChartText.clean(title), to: width), 1)) }
        if data.isEmpty {
            out.append(ChartText.shortened("No rows to draw" + (data.xName.isEmpty ? "" : " by " + ChartText.clean(data.xName)), to: width))
        } else if data.kind == .bar || data.kind == .pie {
            out += TerminalBars(data: data, width: width, height: height - out.count, color: color).lines(&data)
        } else {
            var plot = TerminalPlot(data, width: width, height: height - out.count, hasColors: colors)
            out += plot.lines(color)
            data.notes = plot.notes
        }
        for note in data.notes {
            var line = ""
            for word in (ChartText.clean(note.prefix(1).uppercased() + note.dropFirst()) + ".").split(separator: " ") {
                if !line.isEmpty, ChartText.cells(line) + 1 + ChartText.cells(word) > width {
                    out.append(line)
                    line = ""
                }
                line += (line.isEmpty ? "" : " ") + ChartText.padded(String(word), to: min(ChartText.cells(word), width))
            }
            out.append(line)
        }
        return out.map { $0 + "\n" }.joined()
    }
}

/// Horizontal bars with their values; for pies also the shares.
struct TerminalBars {
    var data: ChartData
    let width: Int, height: Int
    let color: (String, Int) -> String

    func lines(_ data: inout ChartData) -> [String] {
        let count = max(1, data.series.count), isPie = data.kind == .pie
        data.limit(slices: max(4, height - 2))
        data.limit(categories: max(3, (height - 1 - (count > 1 ? 1 : 0)) / count))
        let names = data.categoryLabels.map(ChartText.clean), seriesNames = data.series.map { ChartText.clean($0.name) }
        let total = data.values.reduce(0, +)
        func value(_ y: Double?) -> String {
            guard let y else { return "NULL" }
            let number = ChartNumber.text(y, digits: width < 40 ? 4 : 6)
            return isPie && total > 0 ? number + "  " + ChartFrame.percent(y / total) : number
        }
        // Values are never cut, as half a number is another one; names make room for them and for four cells of the bar.
        let valueWidth = data.series.flatMap { $0.points.map { ChartText.cells(value($0.y)) } }.max() ?? 0
        let forNames = max(2, min(width / 2, width - valueWidth - 7))
        let seriesWidth = count > 1 ? min((seriesNames.map(ChartText.cells).max() ?? 0) + 1, max(2, forNames * 2 / 5)) : 0
        let nameWidth = min(names.map(ChartText.cells).max() ?? 0, max(1, min(forNames - seriesWidth, width * 3 / 10)))
        let room = max(1, width - nameWidth - seriesWidth - valueWidth - 3)
        let values = data.values, low = min(0, values.min() ?? 0), high = max(0, values.max() ?? 0)
        let zero = low == 0 ? 0 : min(room, max(1, Int((-low / (high - low) * Double(room)).rounded())))
        let heading = (data.yName.isEmpty ? "" : data.yName) + (data.xName.isEmpty ? "" : (data.yName.isEmpty ? "" : " by ") + data.xName)
            + (data.xKind == .time ? ChartTime.commonDay(data.categories.map { Int64($0.value) }).map { ", " + $0 } ?? "" : "")
        var out = heading.isEmpty ? [] : [color(ChartText.shortened(ChartText.clean(heading), to: width), 2)]
        for (c, name) in names.enumerated() {
            var isFirst = true
            for (s, series) in data.series.enumerated() {
                guard let point = series.points.first(where: { Int($0.x) == c }) else { continue }
                let tint = ChartTerminal.colors[(isPie ? c : s) % ChartTerminal.colors.count]
                var line = ChartText.padded(isFirst ? name : "", to: nameWidth) + " "
                if count > 1 { line += color(ChartText.padded(seriesNames[s], to: seriesWidth - 1), tint) + " " }
                let (bar, used) = bar(point.y ?? 0, zero: zero, room: room, low: low, high: high)
                line += "\(zero > 0 ? "" : "│")" + color(bar, tint)
                let said = value(point.y)
                // The values of a pie stand below each other, those of bars at their ends.
                line += isPie ? String(repeating: " ", count: max(1, room - used + 1 + valueWidth - ChartText.cells(said))) + said : " " + said
                out.append(line)
                isFirst = false
            }
        }
        return out
    }

    /// Cells of a bar up to its end, and how many they are.
    private func bar(_ value: Double, zero: Int, room: Int, low: Double, high: Double) -> (String, Int) {
        // The share first: the inverse of the smallest numbers is infinite.
        let share = high == low ? 0 : value.magnitude / (high - low)
        guard zero > 0 else {
            let eighths = Int((share * Double(room) * 8).rounded()), full = eighths / 8, rest = eighths % 8
            let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
            let out = String(repeating: "█", count: full) + (value > 0 && eighths == 0 ? "▏" : parts[rest])
            return (out, full + (rest > 0 || (value > 0 && eighths == 0) ? 1 : 0))
        }
        let cells = Int((share * Double(room)).rounded())
        if value < 0 {
            let used = min(cells, zero)
            return (String(repeating: " ", count: zero - used) + String(repeating: "█", count: used) + "│", zero + 1)
        }
        let used = min(cells, room - zero)
        return (String(repeating: " ", count: zero) + "│" + String(repeating: "█", count: used), zero + 1 + used)
    }
}
