import StreamCore

/// The columns that a chart takes, by their places in the result.
struct ChartColumns {
    /// nil when the result has no column for it: a count of all rows.
    var x: Int?
    /// Empty = rows are counted.
    var y: [Int]
    var group: Int?
    var xKind: ChartData.XKind
    var isBanded: Bool

    init(_ table: ResultTable, _ spec: ChartSpec) throws {
        let columns = table.columns
        func place(_ name: String, _ role: String) throws -> Int {
            if let at = columns.firstIndex(where: { $0.name == name }) { return at }
            let alike = columns.indices.filter { columns[$0].name.lowercased() == name.lowercased() }
            if alike.count == 1 { return alike[0] }
            throw StreamError(.validate, "the chart's \(role) is \"\(name)\", which is no column of the result", fix: NearName.hint(for: name, in: columns.map(\.name)))
        }
        let group = try spec.group.map { try place($0, "group") }
        var y = try spec.y.map { try place($0, "y") }
        let isTime = columns.map { ChartTime.isTime($0.type) }
        let free = columns.indices.filter { $0 != group && !y.contains($0) }
        func numeric(_ place: Int) -> Bool { columns[place].isNumeric }
        var x = try spec.x.map { try place($0, "x") }
        if x == nil {
            if spec.kind != .bar, spec.kind != .pie { x = free.first { isTime[$0] } }
            if x == nil, spec.kind == .scatter, y.isEmpty ? free.count(where: numeric) > 1 : true { x = free.first(where: numeric) }
            x = x ?? free.first { !numeric($0) } ?? free.first
        }
        if y.isEmpty, spec.aggregate != .count {
            y = columns.indices.filter { columns[$0].isNumeric && $0 != x && $0 != group }
            if spec.kind == .pie || spec.kind == .scatter { y = Array(y.prefix(1)) }
            guard !y.isEmpty else {
                let names = columns.map { "\($0.name) \($0.type)" }.joined(separator: ", ")
                throw StreamError(.validate, "there is no numeric column to draw in (\(names))", fix: "name one with y=, or count rows with aggregate=count")
            }
        }
        if spec.kind == .pie {
            guard y.count < 2 else {
                throw StreamError(.validate, "a pie shows one column, and y names \(y.map { columns[$0].name }.joined(separator: ", "))", fix: "keep one of them, or draw them with @chart bar")
            }
            guard group == nil else {
                throw StreamError(.validate, "a pie has no groups, and group is \"\(spec.group ?? "")\"", fix: "leave out group=, or draw it with @chart bar")
            }
        }
        (self.x, self.y, self.group) = (x, y, group)
        xKind = x.map { isTime[$0] ? .time : columns[$0].isNumeric ? .number : .category } ?? .category
        isBanded = spec.kind == .bar || spec.kind == .pie || xKind == .category
    }
}

/// Takes a result's rows apart into series.
struct ChartReader {
    private let table: ResultTable, spec: ChartSpec, plan: ChartColumns
    /// nil = every row is a point.
    private let aggregate: ChartSpec.Aggregate?
    private(set) var categories: [ChartData.Category] = []
    private(set) var series: [ChartData.Series] = []
    private(set) var notes: [String] = []
    private var categoryPlaces: [String: Int] = [:]
    private var seriesPlaces: [String: Int] = [:]
    private var merged: [[Merged]] = []
    private var pointPlaces: [[Double: Int]] = []
    private var repeated = 0, withoutX = 0, withoutValue = 0

    private struct Merged {
        var sum = 0.0, least = Double.infinity, most = -Double.infinity, count = 0
        var last: Double?
    }

    init(_ table: ResultTable, _ spec: ChartSpec, _ plan: ChartColumns) {
        (self.table, self.spec, self.plan) = (table, spec, plan)
        aggregate = spec.aggregate ?? (spec.kind == .bar || spec.kind == .pie ? .sum : spec.kind == .scatter ? nil : .last)
    }

    mutating func read() throws {
        for (number, row) in table.rows.enumerated() {
            guard let x = try place(row, number) else {
                withoutX += 1
                continue
            }
            let group = plan.group.map { Self.text(row, $0) }
            guard !plan.y.isEmpty else {
                add(x, 1, to: group ?? "count")
                continue
            }
            for column in plan.y {
                let name = table.columns[column].name
                add(x, try value(row, column, number), to: group.map { plan.y.count > 1 ? "\($0) · \(name)" : $0 } ?? name)
            }
        }
        if let aggregate {
            for s in series.indices {
                for p in series[s].points.indices { series[s].points[p].y = Self.result(merged[s][p], aggregate) }
            }
        }
        // A column's own name says what a series is, until rows were put together.
        if plan.group == nil {
            for i in series.indices where i < max(1, plan.y.count) { series[i].name = valueName(i) }
        }
        if aggregate == .last, spec.aggregate == nil, repeated > 0, let x = plan.x {
            notes.append("\(ChartNumber.grouped(Int64(repeated))) rows have the same \(table.columns[x].name) as a later one, which is drawn")
        }
        if withoutX > 0, let x = plan.x { notes.append("\(ChartNumber.grouped(Int64(withoutX))) rows without \(table.columns[x].name) not drawn") }
        if withoutValue > 0 { notes.append("\(ChartNumber.grouped(Int64(withoutValue))) values that are no numbers or beyond 1e300 not drawn") }
    }

    /// What column `index` of `y` stands for: `avg(temperature)` once rows are put together.
    func valueName(_ index: Int) -> String {
        guard plan.y.indices.contains(index) else { return "count" }
        let name = table.columns[plan.y[index]].name
        if let asked = spec.aggregate { return "\(asked.rawValue)(\(name))" }
        return aggregate == .sum && repeated > 0 ? "sum(\(name))" : name
    }

    private mutating func add(_ x: Double, _ y: Double?, to name: String) {
        let s: Int
        if let known = seriesPlaces[name] {
            s = known
        } else {
            s = series.count
            seriesPlaces[name] = s
            series.append(ChartData.Series(name: name, points: []))
            merged.append([])
            pointPlaces.append([:])
        }
        guard aggregate != nil else { return series[s].points.append(ChartData.Point(x: x, y: y)) }
        let p: Int
        if let known = pointPlaces[s][x] {
            p = known
            repeated += 1
        } else {
            p = series[s].points.count
            pointPlaces[s][x] = p
            series[s].points.append(ChartData.Point(x: x, y: nil))
            merged[s].append(Merged())
        }
        merged[s][p].last = y
        guard let y else { return }
        merged[s][p].sum += y
        merged[s][p].least = min(merged[s][p].least, y)
        merged[s][p].most = max(merged[s][p].most, y)
        merged[s][p].count += 1
    }

    private static func result(_ m: Merged, _ aggregate: ChartSpec.Aggregate) -> Double? {
        switch aggregate {
        case .count: return Double(m.count)
        case .last: return m.last
        case _ where m.count == 0: return nil
        case .sum: return m.sum
        case .avg: return m.sum / Double(m.count)
        case .min: return m.least
        case .max: return m.most
        }
    }

    // MARK: Values

    /// The row's place on the horizontal axis; nil when it has none there.
    private mutating func place(_ row: [JSON], _ number: Int) throws -> Double? {
        guard let x = plan.x else { return category("all rows", 0) }
        let cell = x < row.count ? row[x] : .null
        switch plan.xKind {
        case .category: return category(Self.text(row, x), 0)
        case .number, .time:
            if cell == .null { return nil }
            let value: Double
            if plan.xKind == .time {
                guard let time = ChartTime.parse(Self.text(row, x)) else {
                    throw StreamError(.validate, "row \(number + 1): \(table.columns[x].name) is \(cell.text()), which is no \(table.columns[x].type)")
                }
                value = Double(time)
            } else {
                guard let n = try self.value(row, x, number) else { return nil }
                value = n
            }
            return plan.isBanded ? category(Self.text(row, x), value) : value
        }
    }

    private mutating func category(_ text: String, _ value: Double) -> Double {
        if let known = categoryPlaces[text] { return Double(known) }
        categoryPlaces[text] = categories.count
        categories.append(ChartData.Category(text: text, value: value))
        return Double(categories.count - 1)
    }

    private mutating func value(_ row: [JSON], _ column: Int, _ number: Int) throws -> Double? {
        let cell = column < row.count ? row[column] : .null
        let value: Double
        switch cell {
        case .null: return nil
        case .int(let n): value = Double(n)
        case .double(let d): value = d
        case .string(let s):
            if let d = Double(s) {
                value = d
                break
            }
            fallthrough
        default:
            if spec.aggregate == .count { return 1 }
            throw StreamError(.validate, "row \(number + 1): \(table.columns[column].name) is \(cell.text()), which is no number",
                              fix: "draw a column of numbers, or count rows with aggregate=count")
        }
        // Sums and differences of those that are drawn must be numbers too.
        guard value.magnitude < 1e300 else {
            withoutValue += 1
            return nil
        }
        return value
    }

    static func text(_ row: [JSON], _ column: Int) -> String {
        guard column < row.count else { return "NULL" }
        return switch row[column] {
        case .null: "NULL"
        case .string(let s): s
        case let other: other.text()
        }
    }
}
