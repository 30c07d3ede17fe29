import StreamCore
#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

extension ChartFrame {
    /// Parts of an area chart stand on each other; where one has no value it is 0. Parts with negative values are drawn over each other.
    mutating func stack() {
        guard data.series.count > 1 else { return }
        guard !data.values.contains(where: { $0 < 0 }) else {
            data.notes.append("the areas overlap, as some values are negative")
            return
        }
        let places = Set(data.series.flatMap { $0.points.map(\.x) }).sorted()
        var sums = [Double](repeating: 0, count: places.count), floors: [[Double]] = []
        for i in data.series.indices {
            let known = Dictionary(data.series[i].points.map { ($0.x, $0.y) }) { $1 }
            data.series[i].points = places.map { ChartData.Point(x: $0, y: (known[$0] ?? nil) ?? 0) }
            floors.append(sums)
            for p in places.indices { sums[p] += data.series[i].points[p].y ?? 0 }
        }
        self.floors = floors
    }

    /// What the vertical axis covers: bars and areas begin at zero, lines where they are far from it do not.
    func valueRange() -> (low: Double, high: Double) {
        let values = floors.map { floors in floors.indices.flatMap { s in floors[s].indices.map { floors[s][$0] + (data.series[s].points[$0].y ?? 0) } } } ?? data.values
        guard var low = values.min(), var high = values.max() else { return (0, 1) }
        let isFromZero = data.kind == .bar || data.kind == .area
        if low > 0, isFromZero || low <= high / 2 { low = 0 }
        if high < 0, isFromZero || high >= low / 2 { high = 0 }
        return (low, high)
    }

    mutating func drawAxes() {
        let range = valueRange()
        var titleHeight = 0.0
        if !data.yName.isEmpty {
            text(ChartText.fitted(data.yName, to: width - 16), 8, top + 12, "muted y-title", anchor: nil, full: data.yName)
            titleHeight = 20
        }
        plot.top = top + titleHeight + (data.kind == .bar ? 14 : 8)
        plot.right = width - 12

        let labels = data.isBanded ? data.categoryLabels : []
        // The number of lines depends on the height, which depends on the labels below: the first guess is good enough for it.
        let ticks = NumberTicks(from: range.low, to: range.high, count: max(2, min(6, Int((bottom - plot.top - 60) / 45))))
        plot.left = max(24, (ticks.labels.map { ChartText.width($0) }.max() ?? 0) + 16)

        var below = 22.0, isRotated = false, most = 0.0, leaning: [String] = []
        if data.isBanded {
            band = (plot.right - plot.left) / Double(max(1, labels.count))
            most = labels.map { ChartText.width($0) }.max() ?? 0
            isRotated = most > max(band - 6, 24)
            if isRotated {
                most = min(most, 150, (bottom - plot.top) * 0.45)
                // A label that leans to the left begins before its band.
                plot.left = max(plot.left, min(most * 0.77 - band / 2 + 4, width * 0.15))
                band = (plot.right - plot.left) / Double(max(1, labels.count))
                leaning = labels.enumerated().map { ChartText.fitted($1, to: min(most, (plot.left + band * (Double($0) + 0.5) - 2) / 0.77)) }
                most = leaning.map { ChartText.width($0) }.max() ?? 0
                below = most * 0.65 + 20
            }
        } else if data.xKind == .time {
            below = 36
        }
        let day = data.isBanded && data.xKind == .time ? ChartTime.commonDay(data.categories.map { Int64($0.value) }) : nil
        let xTitle = data.xName + (day.map { ", " + $0 } ?? "")
        if !xTitle.isEmpty { below += 20 }
        plot.bottom = max(plot.top + 80, bottom - below - noteHeight - 8)
        bottom = max(bottom, plot.bottom + below + noteHeight + 8)

        y = LinearScale(low: ticks.low, high: ticks.high, start: plot.bottom, end: plot.top)
        out += "<g class=\"y-axis\">"
        for (value, label) in zip(ticks.values, ticks.labels) {
            line(plot.left, y(value), plot.right, y(value), "grid")
            text(label, plot.left - 8, y(value) + 4, "muted tick", anchor: "end")
        }
        out += "</g><g class=\"x-axis\">"
        let endOfLabels = data.isBanded ? drawBands(isRotated ? leaning : labels, isRotated: isRotated, most: most) : drawContinuous()
        out += "</g>"
        if data.isEmpty { text("No rows", (plot.left + plot.right) / 2, (plot.top + plot.bottom) / 2, "muted empty", anchor: "middle") }
        if !xTitle.isEmpty {
            text(ChartText.fitted(xTitle, to: plot.right - plot.left), (plot.left + plot.right) / 2, endOfLabels + 16, "muted x-title", anchor: "middle", full: xTitle)
        }
        drawNotes(from: endOfLabels + (xTitle.isEmpty ? 4 : 22))
    }

    private mutating func drawBands(_ labels: [String], isRotated: Bool, most: Double) -> Double {
        x = LinearScale(low: 0, high: Double(max(1, labels.count)), start: plot.left, end: plot.right)
        // Where lines of text would touch, only some are written; each mark says its own when it is pointed at.
        let every = isRotated ? max(1, Int((15 / band).rounded(.up))) : 1
        for (i, label) in labels.enumerated() where i % every == 0 {
            let at = x(Double(i) + 0.5)
            if isRotated {
                text(label, at + 4, plot.bottom + 14, "tick", anchor: "end", rotated: true, full: data.categories[i].text)
            } else {
                text(ChartText.fitted(label, to: max(band - 4, 24)), at, plot.bottom + 18, "tick", anchor: "middle", full: data.categories[i].text)
            }
        }
        return plot.bottom + (isRotated ? most * 0.65 + 18 : 20)
    }

    private mutating func drawContinuous() -> Double {
        let places = data.series.flatMap { $0.points.filter { $0.y != nil }.map(\.x) }
        var low = places.min() ?? 0, high = places.max() ?? 1
        if data.xKind == .time {
            if low == high { (low, high) = (low - 30_000, high + 30_000) }
            x = LinearScale(low: low, high: high, start: plot.left + 6, end: plot.right - 6)
            let ticks = TimeTicks(from: Int64(low), to: Int64(high), count: max(2, Int((plot.right - plot.left) / 80)))
            for (value, label) in zip(ticks.values, ticks.labels) {
                let at = x(Double(value))
                line(at, plot.bottom, at, plot.bottom + 5, "axis")
                let half = ChartText.width(label.1 ?? label.0) / 2
                let placed = min(max(at, half + 2), width - half - 2)
                text(label.0, placed, plot.bottom + 18, "tick", anchor: "middle")
                if let day = label.1 { text(day, placed, plot.bottom + 32, "muted tick day", anchor: "middle") }
            }
            return plot.bottom + (ticks.labels.contains { $0.1 != nil } ? 34 : 20)
        }
        let ticks = NumberTicks(from: low, to: high, count: max(2, Int((plot.right - plot.left) / 90)))
        if low == high { (low, high) = (ticks.low, ticks.high) }
        // Points do not stand on the axis; lines begin at it.
        let room = data.kind == .scatter ? (high - low) * 0.03 : 0
        (low, high) = (low - room, high + room)
        x = LinearScale(low: low, high: high, start: plot.left, end: plot.right - 8)
        for (value, label) in zip(ticks.values, ticks.labels) where value >= low - ticks.step * 1e-6 && value <= high + ticks.step * 1e-6 {
            if data.kind == .scatter { line(x(value), plot.top, x(value), plot.bottom, "grid") }
            line(x(value), plot.bottom, x(value), plot.bottom + 5, "axis")
            text(label, min(x(value), width - ChartText.width(label) / 2 - 2), plot.bottom + 18, "tick", anchor: "middle")
        }
        return plot.bottom + 20
    }

    // MARK: Marks

    /// The middle of a point's place.
    func across(_ point: ChartData.Point) -> Double { x(data.isBanded ? point.x + 0.5 : point.x) }

    mutating func drawMarks() {
        let base = y(min(max(0, y.low), y.high))
        out += "<g class=\"marks\">"
        switch data.kind {
        case .bar: drawBars(base)
        case .line, .area: drawLines(base)
        default: drawPoints()
        }
        out += "</g>"
        line(plot.left, base, plot.right, base, "axis")
    }

    private mutating func drawBars(_ base: Double) {
        let count = Double(max(1, data.series.count)), whole = min(band * (band < 6 ? 1 : 0.8), 96 * count), gap = whole / count > 5 ? 1.0 : 0
        let each = whole / count
        // A value stands at its bar when all of them have room.
        let texts = data.series.map { s in s.points.map { p in p.y.map { ChartNumber.text($0, digits: 4) } ?? "" } }
        let hasValues = (texts.joined().map { ChartText.width($0, size: 11) }.max() ?? 0) + 2 <= (data.series.count > 1 ? each : band * 0.95)
        for (s, series) in data.series.enumerated() {
            for (p, point) in series.points.enumerated() {
                guard let value = point.y else { continue }
                let (attributes, title) = mark(s, point, "bar"), end = y(value)
                let left = across(point) - whole / 2 + Double(s) * each + gap / 2
                out += "<rect \(attributes) x=\"\(Self.n(left))\" y=\"\(Self.n(min(base, end)))\" width=\"\(Self.n(each - gap))\" height=\"\(Self.n(abs(end - base)))\">\(title)</rect>"
                if hasValues { text(texts[s][p], left + (each - gap) / 2, value < 0 ? end + 12 : end - 4, "value note", anchor: "middle") }
            }
        }
    }

    private mutating func drawLines(_ base: Double) {
        let count = data.series.reduce(0) { $0 + $1.points.count }
        for s in data.series.indices.reversed() {
            let points = data.series[s].points
            func above(_ p: Int) -> Double? { points[p].y.map { y($0 + (floors?[s][p] ?? 0)) } }
            // NULLs part a line.
            for run in points.indices.split(whereSeparator: { points[$0].y == nil }) {
                let upper = run.map { "\(Self.n(across(points[$0]))) \(Self.n(above($0) ?? base))" }
                if data.kind == .area {
                    let lower = run.reversed().map { p in "\(Self.n(across(points[p]))) \(Self.n(floors.map { y($0[s][p]) } ?? base))" }
                    out += "<path class=\"area s\(s)\" d=\"M\(upper.joined(separator: "L"))L\(lower.joined(separator: "L"))z\"/>"
                }
                out += "<path class=\"line s\(s)\"\(data.kind == .line ? dash(s) : "") d=\"M\(upper.joined(separator: "L"))\(upper.count == 1 ? "h0" : "")\" stroke-width=\"\(count > 400 ? 1.2 : 2)\"/>"
            }
        }
        guard count <= ChartSVG.hoverMax else { return }
        let isSparse = count <= 80 && data.kind == .line
        for s in data.series.indices {
            for (p, point) in data.series[s].points.enumerated() {
                guard let value = point.y else { continue }
                let (attributes, title) = mark(s, point, isSparse ? "point" : "hover")
                out += "<path \(attributes) d=\"\(Self.shape(s, across(point), y(value + (floors?[s][p] ?? 0)), isSparse ? 3.5 : 4))\">\(title)</path>"
            }
        }
    }

    private mutating func drawPoints() {
        let count = data.series.reduce(0) { $0 + $1.points.count }, r = count > 1_000 ? 2.5 : count > 200 ? 3.5 : 4.5
        for (s, series) in data.series.enumerated() {
            for point in series.points {
                guard let value = point.y else { continue }
                let (attributes, title) = mark(s, point, "point scattered")
                out += "<path \(attributes) d=\"\(Self.shape(s, across(point), y(value), r))\">\(title)</path>"
            }
        }
    }

    // MARK: Pie

    mutating func drawPie() {
        let points = (data.series.first?.points ?? []).filter { $0.y != nil }
        let total = points.reduce(0) { $0 + ($1.y ?? 0) }
        let isWide = width >= 480
        let plotHeight = max(120, bottom - top - noteHeight - 16)
        let radius = min(plotHeight / 2 - 18, isWide ? width * 0.24 : (width - 100) / 2)
        let centre = (x: isWide ? max(radius + 60, width * 0.27) : width / 2, y: top + 18 + radius)
        guard total > 0 else {
            text("No rows", width / 2, centre.y, "muted empty", anchor: "middle")
            return drawNotes(from: centre.y + radius + 20)
        }
        out += "<g class=\"marks\">"
        var angle = 0.0
        func place(_ turn: Double, _ r: Double) -> (x: Double, y: Double) { (centre.x + r * sin(turn * 2 * .pi), centre.y - r * cos(turn * 2 * .pi)) }
        for (i, point) in points.enumerated() {
            let share = (point.y ?? 0) / total, name = data.categories[Int(point.x)].text
            let attributes = "class=\"mark slice s\(i % ChartSVG.slicesMax)\" data-x=\"\(ChartText.escaped(name))\" data-y=\"\(ChartNumber.exact(point.y ?? 0))\" "
                + "data-series=\"\(ChartText.escaped(data.series[0].name))\" data-share=\"\(ChartNumber.exact(share))\""
            let title = "<title>\(ChartText.escaped("\(name): \(ChartNumber.text(point.y ?? 0, digits: 9)) (\(Self.percent(share)))"))</title>"
            if share > 0.999999 {
                out += "<circle \(attributes) cx=\"\(Self.n(centre.x))\" cy=\"\(Self.n(centre.y))\" r=\"\(Self.n(radius))\">\(title)</circle>"
            } else {
                let from = place(angle, radius), to = place(angle + share, radius)
                out += "<path \(attributes) d=\"M\(Self.n(centre.x)) \(Self.n(centre.y))L\(Self.n(from.x)) \(Self.n(from.y))"
                out += "A\(Self.n(radius)) \(Self.n(radius)) 0 \(share > 0.5 ? 1 : 0) 1 \(Self.n(to.x)) \(Self.n(to.y))z\">\(title)</path>"
            }
            if share >= 0.04 {
                let middle = angle + share / 2, at = place(middle, radius + 8), side = sin(middle * 2 * .pi)
                text(Self.percent(share), at.x, at.y + 4, "muted share", anchor: abs(side) < 0.2 ? "middle" : side > 0 ? "start" : "end")
            }
            angle += share
        }
        out += "</g>"
        drawSlices(points, total, centre, radius, isWide)
    }

    static func percent(_ share: Double) -> String { ChartNumber.fixed(share * 100, decimals: share < 0.0995 ? 1 : 0) + " %" }

    /// The names of the slices, with values and shares: beside the pie, or below it on a narrow picture.
    private mutating func drawSlices(_ points: [ChartData.Point], _ total: Double, _ centre: (x: Double, y: Double), _ radius: Double, _ isWide: Bool) {
        let left = isWide ? centre.x + radius + 70 : 16, right = width - 12
        let rowHeight = 22.0
        var at = isWide ? max(top + 26, centre.y - Double(points.count) * rowHeight / 2 + 10) : centre.y + radius + 40
        out += "<g class=\"legend\">"
        text(ChartText.fitted(data.yName + (data.xName.isEmpty ? "" : " by " + data.xName), to: right - left), left, at - 2, "muted y-title", anchor: nil)
        for (i, point) in points.enumerated() {
            at += rowHeight
            swatch(i % ChartSVG.slicesMax, left, at - 4)
            let value = "\(ChartNumber.text(point.y ?? 0)) · \(Self.percent((point.y ?? 0) / total))", name = data.categories[Int(point.x)].text
            text(ChartText.fitted(name, to: max(40, right - left - 30 - ChartText.width(value))), left + 20, at, "legend-label", anchor: nil, full: name)
            text(value, right, at, "muted", anchor: "end")
        }
        out += "</g>"
        drawNotes(from: max(at, centre.y + radius + 16) + 6)
    }
}
