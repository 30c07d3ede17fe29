import StreamCore

/// Lines, areas and points between two axes, in cells of a terminal.
struct TerminalPlot {
    private var frame: ChartFrame
    private let width: Int, hasColors: Bool
    private var rows: Int
    private var columns = 0
    /// Braille dots of each cell, or the character itself; and the series it belongs to.
    private var dots: [UInt8] = [], marks: [Character?] = [], owners: [Int8] = []
    private static let symbols: [Character] = ["*", "+", "x", "o", "#", "@", "%", "&"]
    private static let shades: [Character] = ["█", "▓", "▒", "░", "#", "+", "=", "-"]

    private var data: ChartData { frame.data }
    var notes: [String] { frame.data.notes }

    init(_ data: ChartData, width: Int, height: Int, hasColors: Bool) {
        // The stacking and the ranges are those of the pictures.
        frame = ChartFrame(data, width: 720, height: 360)
        (self.width, self.hasColors) = (width, hasColors)
        rows = max(4, height - 2 - (data.yName.isEmpty ? 0 : 1) - (data.series.count > 1 ? 1 : 0) - (data.xKind == .time && !data.isBanded ? 1 : 0))
    }

    mutating func lines(_ color: (String, Int) -> String) -> [String] {
        let range = frame.valueRange()
        let ticks = NumberTicks(from: range.low, to: range.high, count: max(2, rows / 4)), labels = ticks.labels
        let margin = min(labels.map(ChartText.cells).max() ?? 0, width - 12)
        columns = max(8, width - margin - 2)
        (dots, marks, owners) = ([UInt8](repeating: 0, count: rows * columns), [Character?](repeating: nil, count: rows * columns), [Int8](repeating: -1, count: rows * columns))
        frame.y = LinearScale(low: ticks.low, high: ticks.high, start: Double(rows * 4 - 1), end: 0)
        let axis = scaleAcross()
        data.kind == .area ? fill() : trace()

        var out: [String] = []
        if !data.yName.isEmpty { out.append(color(ChartText.shortened(ChartText.clean(data.yName + (data.xName.isEmpty ? "" : " by " + data.xName)), to: width), 2)) }
        if data.series.count > 1 { out.append(legend(color)) }
        var named: [Int: String] = [:]
        for (value, label) in zip(ticks.values, labels) { named[Int((frame.y(value) / Double(rows * 4 - 1) * Double(rows - 1)).rounded())] = label }
        for row in 0..<rows {
            out.append(ChartText.padded(named[row] ?? "", to: margin, right: true) + (named[row] == nil ? " │" : " ┤") + cells(row, color))
        }
        out.append(String(repeating: " ", count: margin) + " └" + String(repeating: "─", count: columns))
        let indent = margin + 2
        for line in [axis.map(\.label), axis.map { $0.day ?? "" }] where line.contains(where: { !$0.isEmpty }) {
            out.append(below(zip(axis, line).map { ($0.at, $1) }, indent))
        }
        return out
    }

    private func legend(_ color: (String, Int) -> String) -> String {
        var names: [String] = [], used = 0
        for (s, series) in data.series.enumerated() {
            let mark = hasColors ? (data.kind == .area ? "█" : data.kind == .line ? "━" : "•") : String(data.kind == .area ? Self.shades[s % 8] : Self.symbols[s % 8])
            let name = ChartText.shortened(ChartText.clean(series.name), to: max(6, (width - 4) / min(data.series.count, 4) - 4)), needed = ChartText.cells(name) + 4
            if used + needed - 2 > width - (s < data.series.count - 1 ? 1 : 0) {
                names.append("…")
                break
            }
            names.append(color(mark, ChartTerminal.colors[s % 8]) + " " + name)
            used += needed
        }
        return names.joined(separator: "  ")
    }

    // MARK: Axis

    private mutating func scaleAcross() -> [(at: Int, label: String, day: String?)] {
        let end = Double(columns * 2 - 1)
        func cell(_ dot: Double) -> Int { min(columns - 1, max(0, Int(dot / 2))) }
        if data.isBanded {
            frame.x = LinearScale(low: 0, high: Double(max(1, data.categories.count)), start: 0, end: end)
            let room = max(3, columns / max(1, data.categories.count) - 1)
            return data.categoryLabels.enumerated().map { (cell(frame.x(Double($0) + 0.5)), ChartText.shortened(ChartText.clean($1), to: room), nil) }
        }
        let places = data.series.flatMap { $0.points.filter { $0.y != nil }.map(\.x) }
        var low = places.min() ?? 0, high = places.max() ?? 1
        if data.xKind == .time {
            if low == high { (low, high) = (low - 30_000, high + 30_000) }
            frame.x = LinearScale(low: low, high: high, start: 0, end: end)
            let ticks = TimeTicks(from: Int64(low), to: Int64(high), count: max(1, columns / 13))
            return zip(ticks.values, ticks.labels).map { (cell(frame.x(Double($0))), $1.0, $1.1) }
        }
        let ticks = NumberTicks(from: low, to: high, count: max(2, columns / 12))
        frame.x = LinearScale(low: ticks.low, high: ticks.high, start: 0, end: end)
        return zip(ticks.values, ticks.labels).map { (cell(frame.x($0)), $1, nil) }
    }

    /// Labels centred at their places; one that would touch the one before it is left out.
    private func below(_ labels: [(at: Int, label: String)], _ indent: Int) -> String {
        var out = String(repeating: " ", count: indent), used = indent
        for (at, label) in labels where !label.isEmpty {
            let size = ChartText.cells(label), from = min(max(indent + at - size / 2, indent), width - size)
            guard from >= used + (used > indent ? 1 : 0), from >= 0 else { continue }
            out += String(repeating: " ", count: from - used) + label
            used = from + size
        }
        return out
    }

    // MARK: Cells

    private func cells(_ row: Int, _ color: (String, Int) -> String) -> String {
        var out = "", run = "", owner: Int8 = -1
        func flush() {
            out += owner < 0 || run.allSatisfy({ $0 == " " }) ? run : color(run, ChartTerminal.colors[Int(owner) % 8])
            run = ""
        }
        for at in row * columns..<(row + 1) * columns {
            let c: Character = marks[at] ?? (dots[at] == 0 ? " " : Character(Unicode.Scalar(0x2800 + UInt32(dots[at])) ?? " "))
            if c != " ", owners[at] != owner {
                flush()
                owner = owners[at]
            }
            run.append(c)
        }
        flush()
        while out.hasSuffix(" ") { out.removeLast() }
        return out
    }

    private mutating func dot(_ x: Int, _ y: Int, _ series: Int) {
        guard x >= 0, y >= 0, x < columns * 2, y < rows * 4 else { return }
        let at = y / 4 * columns + x / 2
        // Bits of a braille pattern: dots 1-3 and 7 on the left, 4-6 and 8 on the right.
        let bits: [[UInt8]] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]]
        if !hasColors, data.series.count > 1 {
            marks[at] = Self.symbols[series % 8]
        } else {
            // A dot of its own colour is worth more than those of another one in the same cell.
            if owners[at] != Int8(series) { dots[at] = 0 }
            dots[at] |= bits[x & 1][y & 3]
        }
        owners[at] = Int8(series)
    }

    private mutating func trace() {
        for s in data.series.indices {
            var before: (Int, Int)?
            for point in data.series[s].points {
                guard let value = point.y else {
                    before = nil
                    continue
                }
                let to = (Int(frame.across(point).rounded()), Int(frame.y(value).rounded()))
                if data.kind == .line, let from = before {
                    let steps = max(abs(to.0 - from.0), abs(to.1 - from.1), 1)
                    for i in 0...steps { dot(from.0 + (to.0 - from.0) * i / steps, from.1 + (to.1 - from.1) * i / steps, s) }
                } else {
                    dot(to.0, to.1, s)
                    // A single dot of a scatter chart is hard to see.
                    if data.kind == .scatter, hasColors || data.series.count == 1 { for (dx, dy) in [(1, 0), (0, 1), (1, 1)] { dot(to.0 + dx, to.1 + dy, s) } }
                }
                before = to
            }
        }
    }

    private mutating func fill() {
        let base = frame.y(min(max(0, frame.y.low), frame.y.high))
        for s in data.series.indices {
            let points = data.series[s].points
            for run in points.indices.split(whereSeparator: { points[$0].y == nil }) {
                for (p, next) in zip(run, run.dropFirst() + [run[run.endIndex - 1]]) {
                    let from = frame.across(points[p]), to = frame.across(points[next])
                    let floor = frame.floors?[s], low = (floor.map { frame.y($0[p]) } ?? base, floor.map { frame.y($0[next]) } ?? base)
                    let high = (frame.y((points[p].y ?? 0) + (floor?[p] ?? 0)), frame.y((points[next].y ?? 0) + (floor?[next] ?? 0)))
                    for column in Int(from / 2)...max(Int(from / 2), Int(to / 2)) where column < columns {
                        let share = to == from ? 0 : min(max((Double(column) * 2 + 0.5 - from) / (to - from), 0), 1)
                        raise(column, from: low.0 + (low.1 - low.0) * share, to: high.0 + (high.1 - high.0) * share, s)
                    }
                }
            }
        }
    }

    /// Fills a column between two heights, which are counted in dots from the top.
    private mutating func raise(_ column: Int, from: Double, to: Double, _ series: Int) {
        let (upper, lower) = (min(from, to), max(from, to))
        for row in 0..<rows {
            let middle = Double(row * 4) + 1.5
            guard middle >= upper - 2, middle <= lower + 0.5 else { continue }
            let at = row * columns + column
            var mark = hasColors || data.series.count == 1 ? "█" : Self.shades[series % 8]
            if middle < upper + 1.5, data.series.count == 1 {
                let eighths = Int(((Double(row * 4 + 4) - upper) * 2).rounded())
                guard eighths > 0 else { continue }
                mark = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"][min(eighths, 8) - 1]
            } else if middle < upper {
                continue
            }
            (marks[at], owners[at]) = (mark, Int8(series))
        }
    }
}
