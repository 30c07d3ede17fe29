/// Where a chart's colours come from.
package enum ChartTheme: Sendable, Hashable, CaseIterable {
    /// From the page around it, which has ``ChartTheme/pageStyles``: no style of its own.
    case page
    /// From the reader's preference of dark or light: a file by itself.
    case auto
    case light, dark

    struct Colors {
        var ground, text, muted, grid, axis: String
        /// In the order of the series. They differ, by their lightness too, for readers without red, green or blue cones; the first four most.
        /// Each has a contrast of at least 3 to 1 with the ground.
        var series: [String]
    }

    static let lightColors = Colors(ground: "#ffffff", text: "#17212b", muted: "#54626d", grid: "#dfe4e8", axis: "#828f99",
                                    series: ["#0068b0", "#d55e00", "#2c1f7a", "#1f9c86", "#cc66d6", "#7c8a4e", "#84082c", "#5c6066"])
    static let darkColors = Colors(ground: "#161d23", text: "#e5ebef", muted: "#a2b0ba", grid: "#2b363f", axis: "#66757f",
                                   series: ["#5aa9e6", "#ee7f22", "#d1b2f3", "#6adc93", "#fcd1f0", "#dcea5e", "#b8505a", "#98a0a8"])
    static let fonts = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif"

    /// Rules for charts in a page. They take the page's variables `--card`, `--text`, `--muted`, `--line`, `--strong-line` and `--series-0` to `--series-7`,
    /// and light colours where it has none.
    package static var pageStyles: String {
        let c = lightColors
        return rules(Colors(ground: "var(--card, \(c.ground))", text: "var(--text, \(c.text))", muted: "var(--muted, \(c.muted))", grid: "var(--line, \(c.grid))",
                            axis: "var(--strong-line, \(c.axis))", series: c.series.enumerated().map { "var(--series-\($0), \($1))" }))
    }

    /// What stands in the chart's own `<style>`; nil when the page has it.
    var styles: String? {
        switch self {
        case .page: nil
        case .light: Self.rules(Self.lightColors)
        case .dark: Self.rules(Self.darkColors)
        case .auto: Self.rules(Self.lightColors) + "@media (prefers-color-scheme: dark) {" + Self.colors(Self.darkColors) + "}"
        }
    }

    private static func rules(_ c: Colors) -> String {
        """
        .chart{font-family:\(fonts);font-size:12px;font-variant-numeric:tabular-nums}\
        .chart .title{font-size:15px;font-weight:600}.chart .note{font-size:11px}\
        .chart .grid,.chart .axis{stroke-width:1;fill:none}.chart .line{fill:none;stroke:currentColor;stroke-linejoin:round;stroke-linecap:round}\
        .chart .bar,.chart .slice,.chart .point,.chart .swatch{fill:currentColor}.chart .area{fill:currentColor;fill-opacity:.35}\
        .chart .slice{stroke-width:1.5;stroke-linejoin:round}.chart .point{stroke-width:1}.chart .hover{fill:currentColor;fill-opacity:0}.chart .scattered{fill-opacity:.8}\
        .chart .mark:hover{fill-opacity:1;filter:brightness(1.15)}
        """ + colors(c)
    }

    private static func colors(_ c: Colors) -> String {
        ".chart text{fill:\(c.text)}.chart text.muted{fill:\(c.muted)}.chart .grid{stroke:\(c.grid)}.chart .axis{stroke:\(c.axis)}.chart .ground{fill:\(c.ground)}"
            + ".chart .slice,.chart .point{stroke:\(c.ground)}" + c.series.enumerated().map { ".chart .s\($0){color:\($1)}" }.joined()
    }
}
