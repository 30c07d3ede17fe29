import StreamTesting

/// A query, or a relation in FROM, and what its reader may rely on.
struct FuzzQuery {
    var sql: Piece
    /// For a relation: with its alias in front. For a query: bare names.
    var columns: [FuzzColumn]
    /// Rows are taken back.
    var isUpdating = false
    /// Rows come in the same order in every run.
    var isOrdered = true

    var timeColumn: FuzzColumn? { columns.first { $0.isTime } }

    /// Whether an order by time is the same in every run: rows of one time stand as they came.
    var hasSettledOrder: Bool { isOrdered || timeColumn?.isUnique ?? false }
}

/// Makes random queries over some tables.
struct FuzzQueries {
    var make: FuzzExpressions
    let tables: [FuzzTable]
    /// Rows may be late: then only steps are made for which it is told which rows those are, and each table is read once.
    let late: Bool
    private var names = 0
    private(set) var views: [Piece] = []

    init(tables: [FuzzTable], late: Bool, random: SeededRandom) {
        make = FuzzExpressions(random: random)
        self.tables = tables
        self.late = late
    }

    private mutating func name(_ prefix: String) -> String {
        names += 1
        return "\(prefix)\(names)"
    }

    /// The whole query, perhaps with ORDER BY and LIMIT.
    mutating func statement() -> Piece {
        let query = self.query(make.number(1...3))
        if make.chance(6), let key = query.columns.first(where: \.isUnique) {
            let more = query.columns.filter { $0.kind != .array }.randomElement(using: &make.random)
            let by = more.map { "\($0.sql)\(make.pick(["", " DESC", " NULLS LAST"])), " } ?? ""
            return "SELECT * FROM (\(query.sql)) AS last ORDER BY \(.optional(.text(by)))\(key.sql) LIMIT \(make.number(0...9))\(.optional(" OFFSET \(make.number(0...3))"))"
        }
        return query.sql
    }

    // MARK: relations

    private mutating func relation(_ depth: Int) -> FuzzQuery {
        if depth > 0, !make.chance(3) { return derived(query(depth - 1), depth) }
        let table = make.pick(tables), alias = name("t")
        let columns = table.columns.map {
            FuzzColumn(sql: "\(alias).\($0.name)", kind: $0.kind, isTime: $0.name == "ts", isUnique: ($0.name == "id" || $0.name == "ts") && table.kinds == nil)
        }
        return FuzzQuery(sql: "\(table.name) AS \(alias)", columns: columns, isUpdating: table.kinds != nil)
    }

    /// A query in parentheses, or behind a view.
    private mutating func derived(_ query: FuzzQuery, _ depth: Int) -> FuzzQuery {
        let alias = name("q")
        var result = query
        result.columns = query.columns.map { FuzzColumn(sql: "\(alias).\($0.sql)", kind: $0.kind, isTime: $0.isTime, isUnique: $0.isUnique) }
        if make.chance(5) {
            let view = name("v")
            views.append("CREATE VIEW \(view) AS \(query.sql);")
            result.sql = "\(view) AS \(alias)"
        } else {
            result.sql = "(\(query.sql)) AS \(alias)"
        }
        return result
    }

    private mutating func source(_ depth: Int) -> FuzzQuery {
        switch late ? 10 : make.number(0...11) {
        case 0, 1: return join(depth)
        case 2: return intervalJoin(depth) ?? join(depth)
        case 3: return windowJoin(depth) ?? join(depth)
        case 4: return unnest(depth)
        default: return relation(depth)
        }
    }

    // MARK: queries

    mutating func query(_ depth: Int) -> FuzzQuery {
        switch make.number(0...15) {
        case 0...2: return aggregate(depth)
        case 3, 4: return windowAggregate(depth) ?? aggregate(depth)
        case 5 where !late: return setOperation(depth)
        case 6: return distinct(depth)
        case 7 where !late: return top(depth)
        case 8: return over(depth) ?? plain(depth)
        case 9 where !late: return deduplicate(depth) ?? plain(depth)
        case 10: return groupingSets(depth)
        case 11 where !late: return windowTop(depth) ?? plain(depth)
        default: return plain(depth)
        }
    }

    private mutating func whereClause(_ scope: [FuzzColumn]) -> Piece {
        guard make.chance(2) else { return "" }
        var parts = (0...make.number(0...1)).map { _ in make.condition(scope, 2) }
        if !late, make.chance(3) { parts.append(subqueryCondition(scope)) }
        return .list(parts, prefix: " WHERE ", separator: " AND ")
    }

    /// IN, EXISTS and comparisons with a query.
    private mutating func subqueryCondition(_ scope: [FuzzColumn]) -> Piece {
        let inner = relation(make.number(0...1))
        let kind = make.pick([FuzzKind.int, .string])
        let (a, b) = (make.leaf(kind, scope), make.leaf(kind, inner.columns))
        let filter: Piece = make.chance(2) ? .list([make.condition(inner.columns, 1)], prefix: " WHERE ", separator: "") : ""
        switch make.number(0...4) {
        case 0, 1: return "\(a) \(make.chance(3) ? "NOT " : "")IN (SELECT \(b) FROM \(inner.sql)\(filter))"
        case 2, 3:
            return "\(make.chance(3) ? "NOT " : "")EXISTS (SELECT 1 FROM \(inner.sql) WHERE \(a) = \(b)\(.optional(" AND \(make.condition(inner.columns, 1))")))"
        default: return "\(make.leaf(.int, scope)) \(make.pick(["<", "=", ">="])) (SELECT MAX(\(make.leaf(.int, inner.columns))) FROM \(inner.sql))"
        }
    }

    /// SELECT items and the columns that they make.
    private mutating func items(_ scope: [FuzzColumn], _ count: Int) -> ([Piece], [FuzzColumn]) {
        var pieces: [Piece] = [], columns: [FuzzColumn] = []
        func add(_ piece: Piece, _ column: FuzzColumn) {
            let alias = "c\(columns.count)"
            pieces.append("\(piece) AS \(alias)")
            columns.append(FuzzColumn(sql: alias, kind: column.kind, isTime: column.isTime, isUnique: column.isUnique))
        }
        for _ in 0..<count {
            let kind = make.pick(FuzzKind.scalars)
            add(make.expression(kind, scope, 2), FuzzColumn(sql: "", kind: kind))
        }
        for column in scope where (column.isUnique || column.isTime || make.chance(4)) && columns.count < 8 { add(.text(column.sql), column) }
        if columns.allSatisfy({ !$0.kind.isNumeric }) { add(make.leaf(.int, scope), FuzzColumn(sql: "", kind: .int)) }
        return (pieces, columns)
    }

    private mutating func plain(_ depth: Int) -> FuzzQuery {
        let input = source(depth)
        var (pieces, columns) = items(input.columns, make.number(1...3))
        let filter = whereClause(input.columns)
        // A row that waits for what a query in the condition gives may be late behind it, and behind others.
        let waits = filter.sql.contains("SELECT")
        if waits { for i in columns.indices { columns[i].isTime = false } }
        return FuzzQuery(
            sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(input.sql)\(filter)", columns: columns,
            isUpdating: input.isUpdating, isOrdered: input.isOrdered && !waits)
    }

    private mutating func distinct(_ depth: Int) -> FuzzQuery {
        let input = source(depth)
        var (pieces, columns) = (0..<make.number(1...2)).reduce(into: ([Piece](), [FuzzColumn]())) { result, i in
            let kind = make.pick([FuzzKind.int, .string, .boolean, .decimal])
            result.0.append("\(make.expression(kind, input.columns, 1)) AS c\(i)")
            result.1.append(FuzzColumn(sql: "c\(i)", kind: kind))
        }
        if columns.count == 1 { columns[0].isUnique = true }
        pieces = [.list(pieces, separator: ", ", least: 1)]
        return FuzzQuery(sql: "SELECT DISTINCT \(pieces[0]) FROM \(input.sql)\(whereClause(input.columns))", columns: columns, isUpdating: true, isOrdered: false)
    }

    private mutating func groupKeys(_ scope: [FuzzColumn], _ range: ClosedRange<Int>) -> [FuzzColumn] {
        Array(scope.filter { $0.kind != .array && !$0.isTime }.shuffled(using: &make.random).prefix(make.number(range)))
    }

    private mutating func aggregates(_ input: FuzzQuery, behind filter: Piece) -> [(Piece, FuzzKind)] {
        // Rows that wait for what a query in the condition gives come after others that do not have to.
        let ordered = input.isOrdered && !input.isUpdating && !filter.sql.contains("SELECT")
        return (0...make.number(0...2)).map { _ in make.aggregate(input.columns, ordered: ordered) }
    }

    private mutating func aggregate(_ depth: Int) -> FuzzQuery {
        let input = source(depth)
        let filter = whereClause(input.columns)
        let keys = groupKeys(input.columns, 0...2), calls = aggregates(input, behind: filter)
        var pieces: [Piece] = [], columns: [FuzzColumn] = []
        for key in keys {
            pieces.append("\(key.sql) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: key.kind, isUnique: keys.count == 1))
        }
        for (call, kind) in calls {
            pieces.append("\(call) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: kind))
        }
        let by: Piece = .list(keys.map { .text($0.sql) }, prefix: " GROUP BY ", separator: ", ")
        let having: Piece = make.chance(4) ? .optional(" HAVING COUNT(*) \(make.pick([">", "<="])) \(make.number(1...3))") : ""
        return FuzzQuery(
            sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(input.sql)\(filter)\(by)\(having)", columns: columns,
            isUpdating: true, isOrdered: false)
    }

    private mutating func groupingSets(_ depth: Int) -> FuzzQuery {
        let input = source(depth)
        let filter = whereClause(input.columns)
        let keys = groupKeys(input.columns, 1...3), calls = aggregates(input, behind: filter)
        guard !keys.isEmpty else { return aggregate(depth) }
        let names = keys.map(\.sql)
        let by =
            switch make.number(0...2) {
            case 0: "ROLLUP (\(names.joined(separator: ", ")))"
            case 1: "CUBE (\(names.joined(separator: ", ")))"
            default: "GROUPING SETS ((\(names.joined(separator: ", "))), (\(names[0])), ())"
            }
        var pieces: [Piece] = [], columns: [FuzzColumn] = []
        for (piece, kind) in keys.map({ (Piece.text($0.sql), $0.kind) }) + calls {
            pieces.append("\(piece) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: kind))
        }
        if make.chance(2) {
            pieces.append("GROUPING(\(names[0])) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: .bigint))
        }
        return FuzzQuery(
            sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(input.sql)\(filter) GROUP BY \(by)", columns: columns,
            isUpdating: true, isOrdered: false)
    }

    // MARK: windows

    /// A window table function's call over a table or view, and its name.
    private mutating func window(_ table: String, _ time: String, _ key: String?) -> Piece {
        let call = "TABLE \(table), DESCRIPTOR(\(time))"
        switch make.number(0...4) {
        case 0, 1: return "TABLE(TUMBLE(\(call), INTERVAL '\(make.pick([1, 5, 10]))' SECOND\(make.chance(4) ? ", INTERVAL '2' SECOND" : "")))"
        case 2: return "TABLE(HOP(\(call), INTERVAL '\(make.pick([1, 5]))' SECOND, INTERVAL '\(make.pick([5, 10, 20]))' SECOND))"
        case 3: return "TABLE(CUMULATE(\(call), INTERVAL '\(make.pick([1, 5]))' SECOND, INTERVAL '\(make.pick([10, 20]))' SECOND))"
        default: return "TABLE(SESSION(TABLE \(table)\(key.map { " PARTITION BY \($0)" } ?? ""), DESCRIPTOR(\(time)), INTERVAL '\(make.pick([1, 2, 5]))' SECOND))"
        }
    }

    /// A table or view with a time attribute, by its name and bare column names.
    private mutating func timed(_ depth: Int) -> (name: String, columns: [FuzzColumn], query: FuzzQuery)? {
        let input = relation(depth)
        guard input.timeColumn != nil else { return nil }
        let view = name("v")
        let bare = input.columns.map { FuzzColumn(sql: "\($0.sql.split(separator: ".").last!)", kind: $0.kind, isTime: $0.isTime, isUnique: $0.isUnique) }
        views.append("CREATE VIEW \(view) AS SELECT * FROM \(input.sql);")
        return (view, bare, input)
    }

    private mutating func windowAggregate(_ depth: Int) -> FuzzQuery? {
        guard let (view, scope, input) = timed(depth), let time = scope.first(where: \.isTime) else { return nil }
        let keys = groupKeys(scope, 0...1)
        let calls = (0...make.number(0...2)).map { _ in make.aggregate(scope, ordered: input.isOrdered && !input.isUpdating) }
        var pieces: [Piece] = [], columns: [FuzzColumn] = []
        func add(_ piece: Piece, _ kind: FuzzKind, isTime: Bool = false, isUnique: Bool = false) {
            pieces.append("\(piece) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: kind, isTime: isTime, isUnique: isUnique))
        }
        for key in keys { add(.text(key.sql), key.kind) }
        for (call, kind) in calls { add(call, kind) }
        var filter: Piece = make.chance(3) ? .list([make.condition(scope, 1)], prefix: " WHERE ", separator: "") : ""
        let having: Piece = make.chance(5) ? .optional(" HAVING COUNT(*) > 1") : ""
        if make.chance(3) {
            // GROUP BY TUMBLE(ts, ...)
            let kind = make.pick(["TUMBLE", "HOP", "SESSION"])
            let lengths =
                switch kind {
                case "TUMBLE": "INTERVAL '\(make.pick([1, 5, 10]))' SECOND"
                case "HOP": "INTERVAL '5' SECOND, INTERVAL '\(make.pick([5, 10, 20]))' SECOND"
                default: "INTERVAL '\(make.pick([1, 2, 5]))' SECOND"
                }
            let window = "\(time.sql), \(lengths)"
            add("\(kind)_START(\(window))", .timestamp)
            add("\(kind)_END(\(window))", .timestamp)
            if make.chance(2) { add("\(kind)_ROWTIME(\(window))", .timestamp, isTime: true) }
            let by: [Piece] = keys.map { .text($0.sql) } + ["\(kind)(\(window))"]
            return FuzzQuery(
                sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(view)\(filter) GROUP BY \(.list(by, separator: ", ", least: by.count))\(having)",
                columns: columns, isOrdered: false)
        }
        add("window_start", .timestamp)
        add("window_end", .timestamp)
        var by = ["window_start", "window_end"]
        if make.chance(2) {
            add("window_time", .timestamp, isTime: true)
            by.append("window_time")
        }
        let table = window(view, time.sql, keys.first?.sql)
        // Whether a condition comes before or behind the sessions is the planner's choice.
        if table.sql.contains("SESSION") { filter = "" }
        let list = by.map { Piece.text($0) } + keys.map { .text($0.sql) }
        return FuzzQuery(
            sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(table)\(filter) GROUP BY \(.list(list, separator: ", ", least: list.count))\(having)",
            columns: columns, isOrdered: false)
    }

    private mutating func windowJoin(_ depth: Int) -> FuzzQuery? {
        guard let left = timed(0), let right = timed(0) else { return nil }
        let (l, r) = (name("w"), name("w"))
        let kind = make.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        // Both sides have the same windows.
        let size = make.pick([5, 10])
        func side(_ side: (name: String, columns: [FuzzColumn], query: FuzzQuery), _ alias: String) -> String {
            "(SELECT * FROM TABLE(TUMBLE(TABLE \(side.name), DESCRIPTOR(\(side.columns.first(where: \.isTime)!.sql)), INTERVAL '\(size)' SECOND))) AS \(alias)"
        }
        let columns = (left.columns.map { ($0, l) } + right.columns.map { ($0, r) }).map { FuzzColumn(sql: "\($1).\($0.sql)", kind: $0.kind) }
        guard !left.query.isUpdating, !right.query.isUpdating, let a = make.column(.int, columns.filter { $0.sql.hasPrefix(l + ".") }),
              let b = make.column(.int, columns.filter { $0.sql.hasPrefix(r + ".") }) else { return nil }
        return FuzzQuery(
            sql: "\(side(left, l)) \(kind) \(side(right, r)) ON \(a.sql) = \(b.sql) AND \(l).window_start = \(r).window_start AND \(l).window_end = \(r).window_end",
            columns: columns, isOrdered: false)
    }

    // MARK: joins

    private mutating func join(_ depth: Int) -> FuzzQuery {
        let left = relation(depth), right = relation(max(depth - 1, 0))
        let kind = make.pick(["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN"])
        let columns = (left.columns + right.columns).map { FuzzColumn(sql: $0.sql, kind: $0.kind) }
        let result = FuzzQuery(sql: "", columns: columns, isUpdating: left.isUpdating || right.isUpdating || kind != "JOIN" && kind != "CROSS JOIN", isOrdered: false)
        var made = result
        if kind == "CROSS JOIN" {
            made.sql = "\(left.sql) CROSS JOIN \(right.sql)"
            return made
        }
        let key = make.pick([FuzzKind.int, .string, .bigint])
        let (a, b) = (make.leaf(key, left.columns), make.leaf(key, right.columns))
        let more: Piece = make.chance(3) ? .optional(" AND \(make.condition(columns, 1))") : ""
        let choice: Piece = kind == "JOIN" ? "JOIN" : .or(.text(kind), ["JOIN"])
        made.sql = "\(left.sql) \(choice) \(right.sql) ON \(a) = \(b)\(more)"
        return made
    }

    private mutating func intervalJoin(_ depth: Int) -> FuzzQuery? {
        let left = relation(0), right = relation(0)
        guard let x = left.timeColumn, let y = right.timeColumn, !left.isUpdating, !right.isUpdating,
              let a = make.column(.int, left.columns), let b = make.column(.int, right.columns) else { return nil }
        let kind = make.pick(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"])
        let columns = (left.columns + right.columns).map { FuzzColumn(sql: $0.sql, kind: $0.kind) }
        return FuzzQuery(
            sql: "\(left.sql) \(.or(.text(kind), ["JOIN"])) \(right.sql) ON \(a.sql) = \(b.sql) AND \(x.sql) BETWEEN \(y.sql) - INTERVAL '\(make.number(0...5))' SECOND AND \(y.sql) + INTERVAL '\(make.number(0...5))' SECOND",
            columns: columns, isOrdered: false)
    }

    private mutating func unnest(_ depth: Int) -> FuzzQuery {
        var input = relation(depth)
        guard let array = make.column(.array, input.columns) else { return input }
        let alias = name("u")
        input.sql = make.chance(2)
            ? "\(input.sql) CROSS JOIN UNNEST(\(array.sql)) AS \(alias)(x)" : "\(input.sql) LEFT JOIN UNNEST(\(array.sql)) AS \(alias)(x) ON TRUE"
        input.columns = input.columns.map { FuzzColumn(sql: $0.sql, kind: $0.kind, isTime: $0.isTime) } + [FuzzColumn(sql: "\(alias).x", kind: .int)]
        return input
    }

    // MARK: sets, ranks, OVER

    private mutating func setOperation(_ depth: Int) -> FuzzQuery {
        let kinds = (0...make.number(0...1)).map { _ in make.pick([FuzzKind.int, .string, .boolean, .date, .bigint]) }
        func side() -> (Piece, Bool) {
            let input = source(max(depth - 1, 0))
            let items = kinds.enumerated().map { i, kind in "\(make.expression(kind, input.columns, 1)) AS c\(i)" as Piece }
            return ("SELECT \(.list(items, separator: ", ", least: items.count)) FROM \(input.sql)\(whereClause(input.columns))", input.isUpdating)
        }
        let op = make.pick(["UNION ALL", "UNION ALL", "UNION", "INTERSECT", "EXCEPT", "INTERSECT ALL", "EXCEPT ALL"])
        let (a, x) = side(), (b, y) = side()
        return FuzzQuery(
            sql: .or("\(a) \(op) \(b)", [a, b]), columns: kinds.enumerated().map { FuzzColumn(sql: "c\($0)", kind: $1) },
            isUpdating: x || y || op != "UNION ALL", isOrdered: false)
    }

    /// The first rows of each group, by a unique order.
    private mutating func top(_ depth: Int) -> FuzzQuery {
        let input = relation(depth)
        guard let unique = input.columns.first(where: \.isUnique), let key = make.column(make.pick([.int, .string]), input.columns) else { return plain(depth) }
        let (pieces, columns) = items(input.columns, 1)
        let order = (make.chance(2) ? input.columns.filter { $0.kind != .array && !$0.isTime }.randomElement(using: &make.random) : nil)
            .map { "\($0.sql)\(make.pick(["", " DESC"])), " } ?? ""
        let inner: Piece = "SELECT \(.list(pieces, separator: ", ", least: 1)), ROW_NUMBER() OVER (\(.optional("PARTITION BY \(key.sql) "))ORDER BY \(.optional(.text(order)))\(unique.sql)\(make.pick(["", " DESC"]))) AS rn FROM \(input.sql)"
        let alias = name("q"), showsRank = make.chance(2)
        let list = columns.map(\.sql).joined(separator: ", ")
        return FuzzQuery(
            sql: "SELECT \(showsRank ? "*" : list) FROM (\(inner)) AS \(alias) WHERE rn <= \(make.number(1...3))",
            columns: columns.map { FuzzColumn(sql: $0.sql, kind: $0.kind, isUnique: $0.isUnique) } + (showsRank ? [FuzzColumn(sql: "rn", kind: .bigint)] : []),
            isUpdating: true, isOrdered: false)
    }

    private mutating func deduplicate(_ depth: Int) -> FuzzQuery? {
        let input = relation(depth)
        guard let time = input.timeColumn, let key = make.column(make.pick([.int, .string]), input.columns), !input.isUpdating, input.hasSettledOrder
        else { return nil }
        let (pieces, columns) = items(input.columns, 1)
        let inner: Piece = "SELECT \(.list(pieces, separator: ", ", least: 1)), ROW_NUMBER() OVER (PARTITION BY \(key.sql) ORDER BY \(time.sql)\(make.pick(["", " DESC"]))) AS rn FROM \(input.sql)"
        let alias = name("q")
        return FuzzQuery(
            sql: "SELECT \(columns.map(\.sql).joined(separator: ", ")) FROM (\(inner)) AS \(alias) WHERE rn = 1",
            columns: columns.map { FuzzColumn(sql: $0.sql, kind: $0.kind, isUnique: $0.isUnique) }, isUpdating: true, isOrdered: false)
    }

    private mutating func windowTop(_ depth: Int) -> FuzzQuery? {
        guard let (view, scope, input) = timed(depth), let time = scope.first(where: \.isTime), let unique = scope.first(where: \.isUnique), !input.isUpdating
        else { return nil }
        let alias = name("q"), key = make.column(.int, scope)
        let partition = key.map { ", \($0.sql)" } ?? ""
        let inner: Piece = "SELECT \(unique.sql), window_start, window_end, ROW_NUMBER() OVER (PARTITION BY window_start, window_end\(.optional(.text(partition))) ORDER BY \(unique.sql)\(make.pick(["", " DESC"]))) AS rn FROM \(window(view, time.sql, key?.sql))"
        return FuzzQuery(
            sql: "SELECT \(unique.sql) AS c0, window_start AS c1, window_end AS c2 FROM (\(inner)) AS \(alias) WHERE rn <= \(make.number(1...2))",
            columns: [FuzzColumn(sql: "c0", kind: unique.kind), FuzzColumn(sql: "c1", kind: .timestamp), FuzzColumn(sql: "c2", kind: .timestamp)], isOrdered: false)
    }

    private mutating func over(_ depth: Int) -> FuzzQuery? {
        let input = relation(depth)
        guard let time = input.timeColumn, !input.isUpdating else { return nil }
        let key = make.column(make.pick([.int, .string]), input.columns)
        let partition: Piece = key.map { .optional("PARTITION BY \($0.sql) ") } ?? ""
        let isSettled = input.hasSettledOrder
        let ranges = [
            "", "RANGE BETWEEN INTERVAL '\(make.number(1...20))' SECOND PRECEDING AND CURRENT ROW", "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW",
        ]
        let rows = ["ROWS BETWEEN \(make.number(0...3)) PRECEDING AND CURRENT ROW", "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"]
        let frame = make.pick(ranges + (isSettled ? rows : []))
        let window: Piece = "(\(partition)ORDER BY \(time.sql) \(frame))"
        var (pieces, columns) = items(input.columns, 1)
        for _ in 0...make.number(0...1) {
            let kind = make.pick([FuzzKind.int, .decimal, .double])
            let value = make.leaf(kind, input.columns)
            let (call, result): (Piece, FuzzKind) =
                switch make.number(isSettled ? 0...6 : 0...3) {
                case 0: ("COUNT(*) OVER \(window)", .bigint)
                case 1: ("\(make.pick(["MIN", "MAX", "AVG"]))(\(value)) OVER \(window)", kind)
                case 2: ("COUNT(DISTINCT \(value)) OVER \(window)", .bigint)
                case 3: ("SUM(\(value)) OVER \(window)", kind)
                case 4: ("ROW_NUMBER() OVER (\(partition)ORDER BY \(time.sql))", .bigint)
                case 5: ("LAG(\(value), \(make.number(1...2))) OVER (\(partition)ORDER BY \(time.sql))", kind)
                default: ("\(make.pick(["FIRST_VALUE", "LAST_VALUE"]))(\(value)) OVER \(window)", kind)
                }
            pieces.append("\(call) AS c\(columns.count)")
            columns.append(FuzzColumn(sql: "c\(columns.count)", kind: result))
        }
        return FuzzQuery(
            sql: "SELECT \(.list(pieces, separator: ", ", least: 1)) FROM \(input.sql)", columns: columns.map { FuzzColumn(sql: $0.sql, kind: $0.kind, isUnique: $0.isUnique) },
            isOrdered: false)
    }
}
