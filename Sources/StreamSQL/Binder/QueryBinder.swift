import StreamCore
import StreamExpressions
import StreamOperators

/// Turns queries into logical plans: names resolved, types checked, views and WITH tables expanded.
struct QueryBinder {
    /// A WITH table and what it can see itself.
    struct CommonTable {
        var definition: Query.CommonTable
        var outer: [String: CommonTable]
    }

    var context: BindingContext
    var commonTables: [String: CommonTable] = [:]
    /// STATE_TTL of the SELECT that is being bound, by the name of the table.
    var stateTTL: [String: Duration] = [:]

    /// The clauses around the query that it may refer to, the nearest first.
    var outer: [ExpressionBinder] = []

    init(_ context: BindingContext) { self.context = context }

    /// - Parameters:
    ///   - isOutermost: the order of the result matters; inner queries keep ORDER BY only together with LIMIT.
    ///   - expected: types that VALUES columns of nothing but NULL take.
    func bind(_ query: Query, isOutermost: Bool = false, expected: [DataType] = []) throws -> LogicalPlan {
        var inner = self
        for table in query.with {
            guard !query.with.contains(where: { $0.name == table.name && $0.span != table.span }) else {
                throw context.error(.validate, "WITH has two tables named \(table.name)", fix: "rename one of them", at: table.span)
            }
            inner.commonTables[table.name] = CommonTable(definition: table, outer: inner.commonTables)
        }
        let bounds = (offset: try inner.rowCount(query.offset, "OFFSET") ?? 0, limit: try inner.rowCount(query.limit, "LIMIT"))
        let isCut = bounds.limit != nil || bounds.offset > 0
        let orderBy = isOutermost || isCut ? query.orderBy : []
        let plan: LogicalPlan, keys: [SortSpec.Key], width: Int
        switch query.body {
        case .select(let select):
            (plan, keys, width) = try inner.select(select, orderBy: orderBy)
        case .values(let rows, let span):
            plan = try inner.values(rows, span, expected: expected)
            (keys, width) = (try inner.outputKeys(orderBy, plan.columns), plan.columns.count)
        case .set(let op, let all, let left, let right, let span):
            plan = try inner.setOperation(op, all: all, left, right, span)
            (keys, width) = (try inner.outputKeys(orderBy, plan.columns), plan.columns.count)
        }
        guard !keys.isEmpty || isCut else { return plan }
        let sorted = LogicalPlan.sort(plan, .init(keys: keys, offset: bounds.offset, limit: bounds.limit))
        if width == plan.columns.count { return sorted }
        return .project(sorted, .columns(Array(0..<width), of: plan.columns))
    }

    private func rowCount(_ expr: SyntaxExpr?, _ clause: String) throws -> Int? {
        guard let expr else { return nil }
        let value = try ExpressionBinder(context, scope: .empty, clause: clause).bind(expr)
        guard case .literal(.int(let n), _) = value, n >= 0 else {
            throw context.error(.validate, "\(clause) takes a whole number that is not negative", at: expr.span)
        }
        return Int(n)
    }

    static func sortKey(_ item: OrderItem, column: Int) -> SortSpec.Key {
        SortSpec.Key(column: column, descending: item.descending, nullsFirst: item.nullsFirst ?? !item.descending)
    }

    /// The output column that an ORDER BY item names by position or by name; nil when it does neither.
    func outputColumn(_ item: OrderItem, _ columns: [PlanColumn]) throws -> Int? {
        switch item.expr.node {
        case .integer(let text):
            guard let n = Int(text), (1...max(1, columns.count)).contains(n), !columns.isEmpty else {
                throw context.error(.validate, "ORDER BY \(text): the result has \(columns.count) columns", at: item.expr.span)
            }
            return n - 1
        case .name(let name) where name.parts.count == 1: return columns.firstIndex { $0.name == name.parts[0] }
        default: return nil
        }
    }

    /// ORDER BY of a set operation or VALUES: output columns only.
    private func outputKeys(_ items: [OrderItem], _ columns: [PlanColumn]) throws -> [SortSpec.Key] {
        try items.map { item in
            guard let column = try outputColumn(item, columns) else {
                // The binder gives the better error for an unknown name.
                if case .name = item.expr.node {
                    _ = try ExpressionBinder(context, scope: Scope(alias: nil, columns: columns), clause: "ORDER BY").bind(item.expr)
                }
                throw context.error(.validate, "ORDER BY here takes names or positions of result columns", at: item.expr.span)
            }
            return Self.sortKey(item, column: column)
        }
    }

    // MARK: VALUES

    private func values(_ rows: [[SyntaxExpr]], _ span: SourceSpan, expected: [DataType]) throws -> LogicalPlan {
        var scope = Scope.empty
        scope.outer = outer
        let binder = ExpressionBinder(context, scope: scope, clause: "VALUES")
        let bound = try rows.map { try $0.map(binder.bind) }
        let width = bound.first?.count ?? 0
        for (row, exprs) in zip(rows, bound) where exprs.count != width {
            throw context.error(
                .validate, "VALUES rows differ: \(width) values in the first, \(exprs.count) here", at: row.first?.span ?? span)
        }
        var columns: [PlanColumn] = []
        for c in 0..<width {
            let cells = bound.map { $0[c] }
            guard var type = TypeCoercion.commonType(cells.map(\.type)) else {
                let types = cells.map { "\($0.type)" }.reduce(into: [String]()) { if !$0.contains($1) { $0.append($1) } }
                throw context.error(
                    .validate, "VALUES column \(c + 1) has types \(types.joined(separator: ", ")), which have no type in common",
                    fix: "cast them to one type", at: rows[0][c].span)
            }
            if type == .null {
                guard expected.indices.contains(c) else {
                    throw context.error(
                        .validate, "NULL has no type here", fix: "write CAST(NULL AS type), for example CAST(NULL AS STRING)",
                        at: rows[0][c].span)
                }
                type = expected[c]
            }
            columns.append(PlanColumn("EXPR$\(c)", type, nullable: cells.contains { $0.isNullable(in: []) }))
        }
        let cast = bound.map { row in zip(row, columns).map { $0.implicitlyCast(to: $1.type) } }
        return .values(.init(rows: cast, columns: columns))
    }

    // MARK: set operations

    private func setOperation(_ op: String, all: Bool, _ left: Query, _ right: Query, _ span: SourceSpan) throws -> LogicalPlan {
        let name = op.uppercased()
        let (l, r) = try aligned(try bind(left), try bind(right), all ? "\(name) ALL" : name, right.span)
        if name == "UNION" {
            let union = Self.unionAll(l, r)
            return all ? union : Self.distinct(union)
        }
        // Each side marks its rows; a row's marks are counted over both sides.
        let mark = [PlanColumn("left", .boolean), PlanColumn("right", .boolean)]
        let (yes, no) = (Expr.literal(.bool(true), .boolean), Expr.literal(.null, .boolean))
        func marked(_ plan: LogicalPlan, _ marks: [Expr]) -> LogicalPlan {
            let all = LogicalPlan.Projection.columns(Array(plan.columns.indices), of: plan.columns)
            return .project(plan, .init(exprs: all.exprs + marks, columns: all.columns + mark))
        }
        let union = Self.unionAll(marked(l, [yes, no]), marked(r, [no, yes]))
        let width = l.columns.count
        let counts = (0..<2).map {
            AggregateCall(function: "COUNT", arguments: [width + $0], argumentTypes: [.boolean], resultType: .bigint)
        }
        let keys = union.columns[..<width].map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
        let grouped = LogicalPlan.aggregate(
            union,
            .init(
                keys: Array(0..<width), aggregates: counts,
                columns: keys + mark.map { PlanColumn($0.name, .bigint, nullable: false) }))
        if all { return try replicated(grouped, width: width, name: name) }
        let zero = Expr.literal(.int(0), .bigint)
        let inLeft = try context.functions.bind(">", [.column(width, .bigint), zero])
        let inRight = try context.functions.bind(name == "INTERSECT" ? ">" : "=", [.column(width + 1, .bigint), zero])
        return .project(.filter(grouped, .and([inLeft, inRight])), .columns(Array(0..<width), of: grouped.columns))
    }

    /// INTERSECT ALL, EXCEPT ALL: each row as often as its numbers on both sides say.
    private func replicated(_ grouped: LogicalPlan, width: Int, name: String) throws -> LogicalPlan {
        let (left, right) = (Expr.column(width, .bigint), Expr.column(width + 1, .bigint))
        let times: Expr
        if name == "INTERSECT" {
            times = .caseWhen([.init(try context.functions.bind("<", [left, right]), then: left)], otherwise: right, .bigint)
        } else {
            times = try context.functions.bind("-", [left, right])
        }
        let step = Correlate(function: .replicateRows, arguments: [times], kind: .inner, columns: grouped.columns)
        return .project(.step(step, [grouped]), .columns(Array(0..<width), of: grouped.columns))
    }

    static func unionAll(_ l: LogicalPlan, _ r: LogicalPlan) -> LogicalPlan {
        let columns = zip(l.columns, r.columns).map { a, b in
            let role: PlanColumn.Role = a.role == b.role ? a.role : a.isTimeAttribute && b.isTimeAttribute ? .timeAttribute : .none
            return PlanColumn(a.name, a.type, nullable: a.nullable || b.nullable, role: role)
        }
        func branches(_ plan: LogicalPlan) -> [LogicalPlan] { if case .union(let inputs, _) = plan { inputs } else { [plan] } }
        return .union(branches(l) + branches(r), columns)
    }

    /// One row of each kind.
    static func distinct(_ plan: LogicalPlan, stateTTL: Duration? = nil) -> LogicalPlan {
        let columns = plan.columns.map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
        return .aggregate(plan, .init(keys: Array(columns.indices), aggregates: [], columns: columns, stateTTL: stateTTL))
    }

    /// Both sides with the same types.
    private func aligned(_ l: LogicalPlan, _ r: LogicalPlan, _ op: String, _ span: SourceSpan) throws -> (LogicalPlan, LogicalPlan) {
        guard l.columns.count == r.columns.count else {
            throw context.error(
                .validate, "\(op) needs as many columns on both sides: \(l.columns.count) on the left, \(r.columns.count) on the right",
                at: span)
        }
        var types: [DataType] = []
        for (i, (a, b)) in zip(l.columns, r.columns).enumerated() {
            guard let type = TypeCoercion.commonType(a.type, b.type) else {
                throw context.error(
                    .validate, "\(op): column \(i + 1) is \(a.name) \(a.type) on the left and \(b.name) \(b.type) on the right",
                    fix: "cast one of them", at: span)
            }
            types.append(type)
        }
        return (Self.cast(l, to: types), Self.cast(r, to: types))
    }

    static func cast(_ plan: LogicalPlan, to types: [DataType]) -> LogicalPlan {
        let columns = plan.columns
        if zip(columns, types).allSatisfy({ $0.type == $1 }) { return plan }
        let exprs = zip(columns, types).enumerated().map { i, c in Expr.column(i, c.0.type).implicitlyCast(to: c.1) }
        let output = zip(columns, exprs).map { column, expr in
            if case .column = expr { return column }
            return PlanColumn(column.name, expr.type, nullable: expr.isNullable(in: columns))
        }
        return .project(plan, .init(exprs: exprs, columns: output))
    }
}
