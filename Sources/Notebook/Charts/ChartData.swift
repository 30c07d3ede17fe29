import StreamCore

/// What a chart draws: series of points, taken from a result by a ``ChartSpec``.
///
/// Nothing is left out silently: `notes` say which rows, values or series are not drawn, and why.
package struct ChartData: Sendable, Hashable {
    package enum XKind: Sendable, Hashable { case category, number, time }

    package struct Point: Sendable, Hashable {
        /// The number, milliseconds since 1970 for times, or the place in `categories` when `isBanded`.
        package var x: Double
        /// nil = NULL, or no finite number.
        package var y: Double?
    }

    package struct Series: Sendable, Hashable {
        package var name: String
        package var points: [Point]
    }

    package struct Category: Sendable, Hashable {
        /// As in the result.
        package var text: String
        /// The number or time that the text is; 0 for categories.
        package var value: Double
    }

    package var kind: ChartSpec.Kind
    package var title: String?
    package var xName: String
    /// What the vertical axis shows; empty when the series are different columns.
    package var yName: String
    package var xKind: XKind
    /// Whether `x` has only the places of `categories`: always for bars and slices, and for others when it is no number or time.
    package var isBanded: Bool
    package var categories: [Category]
    package var series: [Series]
    package var notes: [String]

    package static let seriesMax = 8

    package var isEmpty: Bool { !series.contains { $0.points.contains { $0.y != nil } } }
    package var values: [Double] { series.flatMap { $0.points.compactMap(\.y) } }

    /// - Throws: `.validate` when a column does not exist or has no numbers, or the chart cannot show what is asked for.
    package init(_ table: ResultTable, _ spec: ChartSpec) throws {
        guard spec.kind != .table else {
            throw StreamError(.validate, "a table is not drawn", fix: "choose one of bar, line, area, pie, scatter")
        }
        let plan = try ChartColumns(table, spec)
        var reader = ChartReader(table, spec, plan)
        try reader.read()
        (kind, title, xName, xKind, isBanded) = (spec.kind, spec.title, plan.x.map { table.columns[$0].name } ?? "", plan.xKind, plan.isBanded)
        (categories, series, notes) = (reader.categories, reader.series, reader.notes)
        yName = plan.y.count == 1 ? reader.valueName(0) : ""
        if spec.kind == .pie { try checkSlices() }
        if isBanded, xKind != .category { sortCategories() }
        if !isBanded, spec.kind != .scatter { for i in series.indices { series[i].points.sort { $0.x < $1.x } } }
        limitSeries()
        // A bar that is not there leaves its place empty, and a line its gap; slices and points leave nothing.
        let missing = series.reduce(0) { $0 + $1.points.count { $0.y == nil } }
        if kind == .pie || kind == .scatter, missing > 0 { notes.append("\(ChartNumber.grouped(Int64(missing))) without \(yName.isEmpty ? "a value" : yName) not drawn") }
        if table.total > Int64(table.rows.count) {
            notes.insert("drawn from the newest \(ChartNumber.grouped(Int64(table.rows.count))) of \(ChartNumber.grouped(table.total)) rows", at: 0)
        }
    }

    // MARK: Limits

    private mutating func limitSeries() {
        guard series.count > Self.seriesMax else { return }
        let left = series[Self.seriesMax...].map(\.name)
        series.removeLast(left.count)
        notes.append("\(left.count) more series not drawn: " + Self.list(left))
    }

    /// Keeps the first categories, or the newest when they are times.
    package mutating func limit(categories most: Int) {
        guard isBanded, categories.count > most else { return }
        let from = xKind == .time ? categories.count - most : 0
        let left = categories.indices.filter { $0 < from || $0 >= from + most }.map { xKind == .time ? ChartTime.text(Int64(categories[$0].value)) : categories[$0].text }
        categories = Array(categories[from..<from + most])
        for i in series.indices {
            series[i].points = series[i].points.compactMap { p in
                let x = Int(p.x) - from
                return categories.indices.contains(x) ? Point(x: Double(x), y: p.y) : nil
            }
        }
        notes.append("\(ChartNumber.grouped(Int64(left.count))) \(xKind == .time ? "earlier" : "more") values of \(xName) not drawn: " + Self.list(left))
    }

    /// Keeps the largest slices in their order, and one for the rest.
    package mutating func limit(slices most: Int) {
        guard kind == .pie, let points = series.first?.points, points.count > most else { return }
        let bySize = points.indices.sorted { (points[$0].y ?? 0, $1) > (points[$1].y ?? 0, $0) }
        let kept = bySize.prefix(most - 1).sorted(), rest = bySize.dropFirst(most - 1).sorted()
        let names = rest.map { categories[Int(points[$0].x)].text }
        categories = kept.map { categories[Int(points[$0].x)] } + [Category(text: "\(rest.count) others", value: 0)]
        series[0].points = kept.enumerated().map { Point(x: Double($0), y: points[$1].y) } + [Point(x: Double(most - 1), y: rest.reduce(0) { $0 + (points[$1].y ?? 0) })]
        notes.append("\(rest.count) others are " + Self.list(names))
    }

    /// Lines keep the lowest and highest point of each stretch, areas the newest points, scatter charts the rows that came last.
    package mutating func limit(points most: Int) {
        let count = series.reduce(0) { $0 + $1.points.count }
        guard !isBanded, count > most, !series.isEmpty else { return }
        let each = max(2, most / series.count)
        for i in series.indices where series[i].points.count > each {
            series[i].points = kind == .line ? Self.thinned(series[i].points, to: each) : Array(series[i].points.suffix(each))
        }
        let drawn = series.reduce(0) { $0 + $1.points.count }
        let which = kind == .line ? "the lowest and highest of each stretch: " : "the last "
        notes.append(which + "\(ChartNumber.grouped(Int64(drawn))) of \(ChartNumber.grouped(Int64(count))) points")
    }

    private static func thinned(_ points: [Point], to most: Int) -> [Point] {
        let stretches = max(1, most / 2)
        return (0..<stretches).flatMap { s -> [Point] in
            let part = points[points.count * s / stretches..<points.count * (s + 1) / stretches]
            guard let low = part.indices.min(by: { part[$0].y ?? .infinity < part[$1].y ?? .infinity }),
                  let high = part.indices.max(by: { part[$0].y ?? -.infinity < part[$1].y ?? -.infinity }) else { return [] }
            return low == high ? [part[low]] : [part[min(low, high)], part[max(low, high)]]
        }
    }

    static func list(_ names: [String]) -> String {
        names.prefix(5).map { ChartText.shortened($0, to: 24) }.joined(separator: ", ") + (names.count > 5 ? ", …" : "")
    }

    // MARK: Shape

    private func checkSlices() throws {
        for p in series.first?.points ?? [] {
            guard let y = p.y, y < 0 else { continue }
            throw StreamError(.validate, "a pie shows parts of a whole, and \(yName) of \"\(categories[Int(p.x)].text)\" is \(ChartNumber.text(y))", fix: "draw it with @chart bar")
        }
    }

    private mutating func sortCategories() {
        let order = categories.indices.sorted { (categories[$0].value, $0) < (categories[$1].value, $1) }
        var place = [Int](repeating: 0, count: order.count)
        for (new, old) in order.enumerated() { place[old] = new }
        categories = order.map { categories[$0] }
        for i in series.indices {
            for p in series[i].points.indices { series[i].points[p].x = Double(place[Int(series[i].points[p].x)]) }
        }
    }

    /// What to write at each category: short forms of times, the text of others.
    package var categoryLabels: [String] {
        switch xKind {
        case .category: categories.map(\.text)
        case .number: categories.map { ChartNumber.text($0.value) }
        case .time: ChartTime.labels(categories.map { Int64($0.value) })
        }
    }

    /// In words: what the chart shows, and its values when they are few.
    package var summary: String {
        let count = series.reduce(0) { $0 + $1.points.count { $0.y != nil } }
        let what = yName.isEmpty ? ChartData.list(series.map(\.name)) : yName
        var out = "\(kind.rawValue.prefix(1).uppercased() + kind.rawValue.dropFirst()) chart of \(what)" + (xName.isEmpty ? "." : " by \(xName).")
        guard count > 0 else { return out + " There are no rows." }
        if isBanded, count <= 12 {
            let labels = categories.map { ChartText.shortened($0.text, to: 40) }
            let said = series.flatMap { s in s.points.compactMap { p in p.y.map { (series.count > 1 ? s.name + ", " : "") + labels[Int(p.x)] + ": " + ChartNumber.text($0) } } }
            return out + " " + said.joined(separator: "; ") + "."
        }
        if series.count > 1, !yName.isEmpty { out += " Series: " + series.map { ChartText.shortened($0.name, to: 40) }.joined(separator: ", ") + "." }
        let all = values
        return out + " \(ChartNumber.grouped(Int64(count))) values from \(ChartNumber.text(all.min() ?? 0)) to \(ChartNumber.text(all.max() ?? 0))."
    }

    /// A point's place on the horizontal axis in words, exactly.
    package func xText(_ point: Point) -> String {
        if isBanded { return categories[Int(point.x)].text }
        return xKind == .time ? ChartTime.text(Int64(point.x)) : ChartNumber.exact(point.x)
    }
}
