import StreamCore

/// Charts as SVG. Each mark has `data-x`, `data-y` and `data-series` and says them when it is pointed at.
package enum ChartSVG {
    /// Marks for each row at most; longer lines are thinned.
    package static let pointsMax = 4_000
    /// Points that can be pointed at; a chart with more has the line only.
    static let hoverMax = 1_000
    static let slicesMax = 8

    /// - Parameters:
    ///   - width, height: in pixels, at least 200 by 120; what stands around the plot may make it higher.
    ///   - id: begins the names of the elements that are referred to; different for each chart of a page.
    /// - Returns: one `<svg>` element; a file by itself unless the theme is `.page`.
    /// - Throws: `.validate`: see ``ChartData``.
    package static func text(_ table: ResultTable, _ spec: ChartSpec, width: Double = 720, height: Double = 360, theme: ChartTheme = .auto, id: String = "chart") throws -> String {
        text(try ChartData(table, spec), width: width, height: height, theme: theme, id: id)
    }

    package static func text(_ data: ChartData, width: Double = 720, height: Double = 360, theme: ChartTheme = .auto, id: String = "chart") -> String {
        var data = data
        let width = max(200, width), height = max(120, height)
        data.limit(points: pointsMax)
        data.limit(slices: slicesMax)
        data.limit(categories: max(8, Int((width - 60) / (4 * Double(max(1, data.kind == .bar ? data.series.count : 1)) + 2))))
        var frame = ChartFrame(data, width: width, height: height)
        if data.kind == .pie {
            frame.drawPie()
        } else {
            frame.drawAxes()
            frame.drawMarks()
        }
        frame.bottom = frame.bottom.rounded(.up)
        let size = "\(ChartFrame.n(width))\" height=\"\(ChartFrame.n(frame.bottom))\""
        var out = "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart chart-\(data.kind.rawValue)\" viewBox=\"0 0 \(ChartFrame.n(width)) \(ChartFrame.n(frame.bottom))\" width=\"\(size)"
        out += " role=\"img\" aria-labelledby=\"\(id)-title \(id)-desc\">"
        out += "<title id=\"\(id)-title\">\(ChartText.escaped(data.title ?? "\(data.kind.rawValue) chart of \(data.yName.isEmpty ? data.series.map(\.name).joined(separator: ", ") : data.yName)"))</title>"
        out += "<desc id=\"\(id)-desc\">\(ChartText.escaped(([data.summary] + data.notes).joined(separator: " ")))</desc>"
        if let styles = theme.styles {
            out += "<style>\(styles)</style><rect class=\"ground\" width=\"100%\" height=\"100%\"/>"
        }
        return out + frame.out + "</svg>"
    }
}

/// A picture that is being drawn: from the top the title, the legend, the plot with its axes, and the notes.
struct ChartFrame {
    var data: ChartData
    let width: Double
    /// Grows when labels and notes need more than was given.
    var bottom: Double
    var out = ""
    private(set) var top = 8.0
    var plot = (left: 0.0, right: 0.0, top: 0.0, bottom: 0.0)
    var x = LinearScale(low: 0, high: 1, start: 0, end: 1), y = LinearScale(low: 0, high: 1, start: 0, end: 1)
    /// Width of one category.
    var band = 0.0
    /// For each series and point of a stacked area: where it begins.
    var floors: [[Double]]?

    static func n(_ value: Double) -> String {
        guard value.isFinite else { return "0" }
        let r = (value * 100).rounded() / 100
        return r == r.rounded() ? String(Int64(r)) : "\(r)"
    }

    init(_ data: ChartData, width: Double, height: Double) {
        (self.data, self.width, bottom) = (data, width, height)
        if data.kind == .area { stack() }
        if let title = data.title, !title.isEmpty {
            for line in ChartText.wrapped(title, to: width - 16, size: 15).prefix(3) {
                top += 18
                text(line, 8, top - 4, "title", anchor: nil)
            }
            top += 4
        }
        if data.kind != .pie, data.series.count > 1 { drawLegend() }
    }

    // MARK: Elements

    mutating func text(_ text: String, _ x: Double, _ y: Double, _ name: String? = nil, anchor: String?, rotated: Bool = false, full: String? = nil) {
        out += "<text x=\"\(Self.n(x))\" y=\"\(Self.n(y))\""
        if let name { out += " class=\"\(name)\"" }
        if let anchor { out += " text-anchor=\"\(anchor)\"" }
        if rotated { out += " transform=\"rotate(-40 \(Self.n(x)) \(Self.n(y)))\"" }
        out += ">\(ChartText.escaped(text))"
        if let full, full != text { out += "<title>\(ChartText.escaped(full))</title>" }
        out += "</text>"
    }

    mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, _ name: String) {
        out += "<line class=\"\(name)\" x1=\"\(Self.n(x1))\" y1=\"\(Self.n(y1))\" x2=\"\(Self.n(x2))\" y2=\"\(Self.n(y2))\"/>"
    }

    /// The attributes of a mark, and what it says.
    func mark(_ series: Int, _ point: ChartData.Point, _ name: String) -> (attributes: String, title: String) {
        let s = data.series[series], x = data.xText(point), y = point.y ?? 0
        let attributes = "class=\"mark \(name) s\(series)\" data-x=\"\(ChartText.escaped(x))\" data-y=\"\(ChartNumber.exact(y))\" data-series=\"\(ChartText.escaped(s.name))\""
        let title = (data.xName.isEmpty ? "" : "\(data.xName): \(x)\n") + "\(s.name): \(ChartNumber.text(y, digits: 9))"
        return (attributes, "<title>\(ChartText.escaped(title))</title>")
    }

    /// A circle, square, triangle or diamond: series differ by more than their colour.
    static func shape(_ series: Int, _ x: Double, _ y: Double, _ r: Double) -> String {
        switch series % 4 {
        case 1: "M\(n(x - r)) \(n(y - r))h\(n(2 * r))v\(n(2 * r))h\(n(-2 * r))z"
        case 2: "M\(n(x)) \(n(y - 1.25 * r))L\(n(x + 1.2 * r)) \(n(y + r))H\(n(x - 1.2 * r))z"
        case 3: "M\(n(x)) \(n(y - 1.4 * r))l\(n(1.4 * r)) \(n(1.4 * r))l\(n(-1.4 * r)) \(n(1.4 * r))l\(n(-1.4 * r)) \(n(-1.4 * r))z"
        default: "M\(n(x - r)) \(n(y))a\(n(r)) \(n(r)) 0 1 0 \(n(2 * r)) 0a\(n(r)) \(n(r)) 0 1 0 \(n(-2 * r)) 0z"
        }
    }

    static let dashes = ["", "", "", "", "7 3", "2 3", "9 3 2 3", "5 5"]

    private mutating func drawLegend() {
        var at = 8.0
        top += 16
        out += "<g class=\"legend\">"
        for (i, s) in data.series.enumerated() {
            let name = ChartText.fitted(s.name, to: min(220, width - 40)), needed = 20 + ChartText.width(name) + 16
            if at > 8, at + needed - 16 > width - 8 {
                at = 8
                top += 18
            }
            swatch(i, at, top - 4)
            text(name, at + 18, top, "legend-label", anchor: nil, full: s.name)
            at += needed
        }
        out += "</g>"
        top += 8
    }

    mutating func swatch(_ series: Int, _ x: Double, _ y: Double) {
        switch data.kind {
        case .line, .scatter:
            if data.kind == .line { out += "<path class=\"line s\(series)\" stroke-width=\"2\"\(dash(series)) d=\"M\(Self.n(x)) \(Self.n(y))h14\"/>" }
            out += "<path class=\"swatch s\(series)\" d=\"\(Self.shape(series, x + 7, y, 3.5))\"/>"
        default: out += "<rect class=\"swatch s\(series)\" x=\"\(Self.n(x))\" y=\"\(Self.n(y - 6))\" width=\"12\" height=\"12\" rx=\"2\"/>"
        }
    }

    func dash(_ series: Int) -> String {
        let dash = Self.dashes[series % Self.dashes.count]
        return dash.isEmpty ? "" : " stroke-dasharray=\"\(dash)\""
    }

    mutating func drawNotes(from y: Double) {
        var y = y
        for note in data.notes {
            for line in ChartText.wrapped(note.prefix(1).uppercased() + note.dropFirst() + ".", to: width - 16, size: 11) {
                y += 15
                text(line, 8, y, "note muted", anchor: nil)
            }
        }
        bottom = max(bottom, y + 6)
    }

    /// Pixels that the notes will take.
    var noteHeight: Double {
        15 * Double(data.notes.reduce(0) { $0 + ChartText.wrapped($1 + ".", to: width - 16, size: 11).count })
    }
}
