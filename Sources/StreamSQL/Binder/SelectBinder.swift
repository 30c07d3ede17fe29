import StreamCore
import StreamExpressions
import StreamOperators

extension QueryBinder {
    /// SELECT ... FROM ... WHERE ... GROUP BY ... HAVING. Columns behind the first `width` are there to sort by.
    func select(_ select: Select, orderBy: [OrderItem]) throws -> (LogicalPlan, [SortSpec.Key], width: Int) {
        var inner = self
        inner.stateTTL = try lengths(select.stateTTL)
        for hint in select.joinHints {
            let reason = hint.uppercased().hasPrefix("LOOKUP")
                ? "rows are looked up as the options 'lookup.*' of the table say" : "both sides of a join are in one process"
            context.catalog.notices.note("hint \(hint) means nothing here: \(reason)")
        }
        var (plan, scope) = try select.from.map(inner.table) ?? (.values(.init(rows: [[]], columns: [])), .empty)
        let stateTTL = try inner.groupTTL(select.stateTTL, scope)
        scope.outer = outer
        if let filter = select.filter {
            plan = try inner.filtered(plan, filter, scope, clause: "WHERE")
        }
        let items = try expandStars(select.items, scope)
        let overs = OverCollector(context)
        var listContext = context
        listContext.overs = overs
        let isGrouped =
            !select.groupBy.isEmpty || select.having != nil || items.contains { $0.expr.containsAggregate }
            || orderBy.contains { $0.expr.containsAggregate }
        guard isGrouped else {
            let subqueries = Subqueries(inner)
            scope.subqueries = subqueries
            let binder = ExpressionBinder(listContext, scope: scope, clause: "SELECT")
            let projection = try project(items, orderBy, binder, distinct: select.distinct)
            let (joined, resolved) = subqueries.joined(to: plan)
            let columns = scope.columns + joined.columns.dropFirst(scope.columns.count)
            return finish(joined, columns, projection, select, stateTTL, overs, resolved)
        }
        let grouped = try GroupedSelect(context, input: plan, scope: scope, groupBy: select.groupBy, isDistinct: select.isGroupByDistinct, aliases: items.compactMap(\.alias))
        let subqueries = Subqueries(inner)
        scope.groupedSubqueries = subqueries
        let binder = ExpressionBinder(listContext, scope: scope, clause: "SELECT", grouping: grouped)
        let projection = try project(items, orderBy, binder, distinct: select.distinct)
        let having = try select.having.map {
            try subqueries.conditions($0, ExpressionBinder(context, scope: scope, clause: "HAVING", grouping: grouped))
        }
        let (joined, resolved) = subqueries.joined(to: try grouped.plan(stateTTL: stateTTL), grouped.resolved)
        plan = Expr.all((having ?? []).flatMap { resolved($0).conjuncts }).map { .filter(joined, $0) } ?? joined
        return finish(plan, joined.columns, projection, select, stateTTL, overs, resolved)
    }

    private struct SelectList {
        var exprs: [Expr], names: [String], width: Int, keys: [SortSpec.Key]

        func mapped(_ map: (Expr) -> Expr) -> Self {
            var copy = self
            copy.exprs = exprs.map(map)
            return copy
        }
    }

    private func finish(
        _ input: LogicalPlan, _ columns: [PlanColumn], _ list: SelectList, _ select: Select, _ stateTTL: Duration?, _ overs: OverCollector,
        _ resolve: @escaping (Expr) -> Expr
    ) -> (LogicalPlan, [SortSpec.Key], width: Int) {
        let (input, map) = overs.plan(over: input, resolve)
        let columns = columns + input.columns.dropFirst(columns.count), list = list.mapped(map)
        let output = zip(list.exprs, list.names).map { expr, name in
            if case .column(let i, _) = expr, columns.indices.contains(i) { return columns[i].renamed(name) }
            return PlanColumn(name, expr.type, nullable: expr.isNullable(in: columns), role: expr.isProcessingTime ? .processingTime : .none)
        }
        var plan = LogicalPlan.project(input, .init(exprs: list.exprs, columns: output))
        if select.distinct { plan = Self.distinct(plan, stateTTL: stateTTL) }
        return (plan, list.keys, list.width)
    }

    /// The SELECT list, and behind it what ORDER BY needs in addition.
    private func project(_ items: [Select.Item], _ orderBy: [OrderItem], _ binder: ExpressionBinder, distinct: Bool) throws -> SelectList {
        var list = SelectList(exprs: [], names: [], width: items.count, keys: [])
        for (i, item) in items.enumerated() {
            list.exprs.append(try binder.value(item.expr))
            list.names.append(item.alias ?? item.expr.impliedName ?? "EXPR$\(i)")
        }
        let output = zip(list.exprs, list.names).map { PlanColumn($1, $0.type) }
        let fingerprint = Fingerprint(scope: binder.scope)
        var sorting = binder
        sorting.clause = "ORDER BY"
        for item in orderBy {
            var column = try outputColumn(item, output)
            if column == nil {
                let wanted = fingerprint.of(item.expr)
                column = items.firstIndex { fingerprint.of($0.expr) == wanted }
            }
            if column == nil {
                let expr = try sorting.value(item.expr)
                guard !distinct else {
                    throw context.error(.validate, "with SELECT DISTINCT, ORDER BY takes only what is selected", at: item.expr.span)
                }
                list.exprs.append(expr)
                list.names.append("ORDER$\(list.keys.count)")
                column = list.exprs.count - 1
            }
            list.keys.append(Self.sortKey(item, column: column!))
        }
        return list
    }

    private func expandStars(_ items: [Select.Item], _ scope: Scope) throws -> [Select.Item] {
        var used: Set<String> = []
        return try items.flatMap { item -> [Select.Item] in
            guard case .star(let table) = item.expr.node else {
                if let name = item.alias ?? item.expr.impliedName { used.insert(name) }
                return [item]
            }
            guard let indices = scope.star(table?.parts.last) else {
                if let table, let fields = fields(of: table, scope) {
                    return fields.map { field in
                        let name = QualifiedName(table.parts + [field], span: item.expr.span)
                        return Select.Item(expr: SyntaxExpr(.name(name), span: item.expr.span), alias: UniqueNames.add(field, to: &used))
                    }
                }
                throw context.error(
                    .validate, "there is no table \(table!.text) in FROM",
                    fix: NearName.hint(for: table!.text, in: scope.relations.compactMap(\.alias)), at: item.expr.span)
            }
            guard !indices.isEmpty else { throw context.error(.validate, "SELECT * needs a FROM clause", at: item.expr.span) }
            return indices.map { i in
                let relation = scope.relations.first { $0.columns.contains { $0.index == i } }!
                let name = relation.columns.first { $0.index == i }!.name
                let parts = (scope.relations.count > 1 ? relation.alias.map { [$0] } ?? [] : []) + [name]
                return Select.Item(expr: SyntaxExpr(.name(QualifiedName(parts, span: item.expr.span)), span: item.expr.span), alias: UniqueNames.add(name, to: &used))
            }
        }
    }

    /// The fields of a column, or of a field in it, that is a ROW.
    private func fields(of name: QualifiedName, _ scope: Scope) -> [String]? {
        let path = SyntaxExpr(.name(name), span: name.span)
        guard case .row(let fields)? = (try? ExpressionBinder(context, scope: scope, clause: "SELECT").bind(path))?.type else { return nil }
        return fields.map(\.name)
    }

    // MARK: STATE_TTL

    private func lengths(_ hints: [Select.Hint]) throws -> [String: Duration] {
        var lengths: [String: Duration] = [:]
        for hint in hints {
            guard let length = Durations.parse(hint.value) else {
                throw context.error(
                    .validate, "STATE_TTL('\(hint.key)' = '\(hint.value)'): that is not a length of time",
                    fix: "write for example '1 d', '12 h' or '30 min'", at: hint.span)
            }
            lengths[hint.key] = length
        }
        return lengths
    }

    /// What a grouping of the rows in FROM gets: the hint for the table when there is only one. Refuses names that FROM lacks.
    private func groupTTL(_ hints: [Select.Hint], _ scope: Scope) throws -> Duration? {
        let names = scope.relations.compactMap(\.alias)
        for hint in hints where !names.contains(hint.key) {
            throw context.error(
                .validate, "STATE_TTL names '\(hint.key)', but FROM has no such table", fix: NearName.hint(for: hint.key, in: names), at: hint.span)
        }
        return lengthOfOnly(scope)
    }

    /// The hint for a table that is not joined with another one.
    func lengthOfOnly(_ scope: Scope) -> Duration? {
        scope.relations.count == 1 ? scope.relations[0].alias.flatMap { stateTTL[$0] } : nil
    }

    // MARK: FROM

    func table(_ ref: TableRef) throws -> (LogicalPlan, Scope) {
        if let asOf = ref.asOf {
            guard let time = try constantTime(asOf) else {
                throw context.error(
                    .validate, "FOR SYSTEM_TIME AS OF a column stands behind a table that is joined with another one",
                    fix: "write ... FROM t JOIN v FOR SYSTEM_TIME AS OF t.ts ON t.k = v.k, or give a constant time: TIMESTAMP '2026-01-31 12:00:00'",
                    at: asOf.span)
            }
            return try table(ref, asOf: time)
        }
        switch ref.node {
        case .table(let name, let hints): return try named(name, hints, ref)
        case .query(let query):
            let plan = try bind(query)
            return try aliased(plan, ref.alias, ref)
        case .windowFunction(let name, let input, let time, let arguments):
            let (plan, scope) = try table(input)
            return try aliased(try windowTable(name, plan, scope, time, partitionBy: input.partitionBy, arguments, ref.span), ref.alias, ref)
        case .randomCutForest(let call): return try aliased(try randomCutForest(call, ref), ref.alias, ref)
        case .path(let path):
            throw context.error(.validate, "a path into a table stands behind that table", fix: "write FROM t, t.items AS item", at: path.span)
        case .unnest, .tableFunction:
            return try correlated((.values(.init(rows: [[]], columns: [])), .empty), ref, "CROSS", nil, ref)
        case .match(let input, let match): return try self.match(input, match, ref)
        case .join(let left, let right, let kind, let on, let using): return try join(left, right, kind.uppercased(), on, using, ref)
        }
    }

    func named(_ name: QualifiedName, _ hints: [String: String], _ ref: TableRef) throws -> (LogicalPlan, Scope) {
        if name.parts.count == 1, let common = commonTables[name.parts[0]] {
            var inner = self
            inner.commonTables = common.outer
            let plan = try renamed(
                try inner.bind(common.definition.query), common.definition.columns, common.definition.name, common.definition.span)
            let key = "WITH \(common.definition.name) at \(common.definition.span.start) in \(context.openViews.joined(separator: "/"))"
            return try aliased(Self.shared(plan, key, common.definition.name), ref.alias ?? name.parts[0], ref)
        }
        switch try context.catalog.lookUp(name, context.script, as: "table or view") {
        case .table(var table):
            if !hints.isEmpty {
                table.descriptor.options.merge(hints) { $1 }
                for key in hints.keys { table.descriptor.optionLocations[key] = context.script.location(ref.span) }
                try TableChecks(context).options(of: table.descriptor, at: ref.span)
            }
            let plan = LogicalPlan.scan(.init(table: table, used: Array(table.columns.indices)))
            return try aliased(plan, ref.alias ?? table.name, ref)
        case .view(let view):
            guard !context.openViews.contains(view.path.description) else {
                throw context.error(.validate, "view \(view.name) reads itself", at: name.span)
            }
            var inner = context
            inner.script = view.script
            inner.openViews.append(view.path.description)
            let plan = try QueryBinder(inner).viewPlan(view.query, view.declaration, view.name, at: name.span)
            return try aliased(Self.shared(plan, "VIEW \(view.name)", view.name), ref.alias ?? view.name, ref)
        }
    }

    private static func shared(_ plan: LogicalPlan, _ key: String, _ name: String) -> LogicalPlan {
        .step(SharedPlan(key: key, name: name, columns: plan.columns), [plan])
    }

    /// The plan with the columns named by a list, if there is one.
    func renamed(_ plan: LogicalPlan, _ names: [String]?, _ what: String, _ span: SourceSpan) throws -> LogicalPlan {
        guard let names else { return plan }
        guard names.count == plan.columns.count else {
            throw context.error(.validate, "\(what) has \(plan.columns.count) columns, but \(names.count) names are given", at: span)
        }
        var projection = LogicalPlan.Projection.columns(Array(names.indices), of: plan.columns)
        projection.columns = zip(projection.columns, names).map { $0.renamed($1) }
        return .project(plan, projection)
    }

    func aliased(_ plan: LogicalPlan, _ alias: String?, _ ref: TableRef) throws -> (LogicalPlan, Scope) {
        let named = try renamed(plan, ref.columnAliases, alias ?? "the subquery", ref.span)
        var scope = Scope(alias: alias, columns: named.columns)
        scope.outer = outer
        return (named, scope)
    }
}

extension SyntaxExpr {
    /// The name that a column gets from its expression alone.
    var impliedName: String? {
        switch node {
        case .name(let name): name.parts.last
        case .field(_, let name): name
        default: nil
        }
    }

    /// Whether an aggregate call stands in it, subqueries aside.
    var containsAggregate: Bool {
        if case .call(let call) = node, call.over == nil, AggregateRegistry.contains(call.name.uppercased()) { return true }
        return children.contains(where: \.containsAggregate)
    }

    var children: [SyntaxExpr] {
        switch node {
        case .name, .star, .integer, .decimal, .approximate, .string, .bytes, .boolean, .null, .dateLiteral, .timeLiteral,
            .timestampLiteral, .interval, .exists, .scalarQuery, .quantified:
            []
        case .unary(_, let e), .isNull(let e, _), .isTruth(let e, _, _), .isJSON(let e, _, _), .inQuery(let e, _, _), .cast(let e, _, _),
            .field(let e, _):
            [e]
        case .binary(_, let a, let b), .isDistinct(let a, let b, _), .subscriptOf(let a, let b): [a, b]
        case .between(let e, let low, let high, _, _): [e, low, high]
        case .inList(let e, let items, _): [e] + items
        case .like(_, let a, let b, let escape, _): [a, b] + (escape.map { [$0] } ?? [])
        case .caseWhen(let operand, let branches, let otherwise):
            [operand, otherwise].compactMap { $0 } + branches.flatMap { [$0.when, $0.then] }
        case .call(let call):
            call.arguments + [call.filter, call.emptyDefault, call.errorDefault].compactMap { $0 } + (call.over?.partitionBy ?? [])
                + (call.over?.orderBy.map(\.expr) ?? [])
        case .array(let items), .map(let items), .row(let items): items
        }
    }
}
