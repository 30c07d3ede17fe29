import StreamCore
import StreamExpressions
import StreamOperators

/// Joins in FROM.
extension QueryBinder {
    func join(_ left: TableRef, _ right: TableRef, _ kindName: String, _ on: SyntaxExpr?, _ using: [String], _ ref: TableRef) throws
        -> (LogicalPlan, Scope)
    {
        if using.isEmpty, let path = try unnestedPath(left, right, kindName, on, ref) { return path }
        if right.isRowFunction {
            guard using.isEmpty else { throw context.unsupported("USING with a table function", fix: "use ON", at: ref.span) }
            return try correlated(try table(left), right, kindName, on, ref)
        }
        if let asOf = right.asOf, try constantTime(asOf) == nil { return try temporalJoin(left, right, kindName, on, using, ref) }
        let kind = JoinKind(rawValue: kindName.lowercased()) ?? .inner
        let (leftPlan, leftScope) = try table(left)
        if right.lateral, case .query(let query) = right.node { return try lateral(leftPlan, leftScope, query, kind, on, right) }
        let (rightPlan, rightScope) = try table(right)
        if let alias = leftScope.relations.compactMap(\.alias).first(where: { a in rightScope.relations.contains { $0.alias == a } }) {
            throw context.error(.validate, "two tables in FROM are called \(alias)", fix: "give one of them an alias", at: right.span)
        }
        var scope = leftScope.joined(rightScope)
        scope.columns = LogicalPlan.joinColumns(leftScope.columns, rightScope.columns, kind)
        let shift = leftScope.columns.count
        var conditions: [Expr] = []
        let merged = try (ref.natural ? Self.commonNames(leftScope, rightScope) : using).map { name in
            let (l, r) = (try column(name, leftScope, "left", ref), try column(name, rightScope, "right", ref) + shift)
            conditions.append(
                try context.script.locating(ref.span) {
                    try context.functions.bind("=", [.column(l, scope.columns[l].type), .column(r, scope.columns[r].type)])
                })
            return (name: name, left: l, right: r)
        }
        let isFiltered = kind == .inner && on?.containsSubquery == true
        if let on, !isFiltered { conditions.append(try ExpressionBinder(context, scope: scope, clause: "ON").condition(on)) }
        var plan = LogicalPlan.join(
            leftPlan, rightPlan,
            .init(
                kind: kind, condition: Expr.all(conditions), columns: scope.columns, leftTTL: lengthOfOnly(leftScope),
                rightTTL: lengthOfOnly(rightScope)))
        if isFiltered, let on { plan = try filtered(plan, on, scope, clause: "ON") }
        return merged.isEmpty ? (plan, scope) : try merging(merged, plan, scope, kind, ref)
    }

    /// Each row of the left side beside those that a query, which may refer to it, gives.
    private func lateral(_ plan: LogicalPlan, _ scope: Scope, _ query: Query, _ kind: JoinKind, _ on: SyntaxExpr?, _ ref: TableRef) throws
        -> (LogicalPlan, Scope)
    {
        guard kind == .inner || kind == .left else {
            throw context.error(.validate, "a \(kind.rawValue) join cannot have LATERAL on its right: there is no left row to refer to", fix: "use LEFT JOIN LATERAL", at: ref.span)
        }
        let subqueries = Subqueries(self)
        let (columns, values) = try subqueries.addLateral(query, kind, ExpressionBinder(context, scope: scope, clause: "LATERAL"))
        let (joined, resolved) = subqueries.joined(to: plan)
        let names = ref.columnAliases ?? columns.map(\.name)
        guard names.count == columns.count else {
            throw context.error(.validate, "\(ref.alias ?? "the sub-query") has \(columns.count) columns, but \(names.count) names are given", at: ref.span)
        }
        let left = LogicalPlan.Projection.columns(Array(scope.columns.indices), of: scope.columns)
        let right = zip(columns, names).map { $0.renamed($1) }
        let all = LogicalPlan.joinColumns(scope.columns, right, kind)
        var result = LogicalPlan.project(joined, .init(exprs: left.exprs + values.map(resolved), columns: all))
        var both = scope.joined(Scope(alias: ref.alias, columns: right))
        both.columns = all
        if let on {
            let isTrue = if case .boolean(true) = on.node { true } else { false }
            if kind == .left, !isTrue {
                throw context.unsupported("a condition in ON behind LEFT JOIN LATERAL", fix: "write ON TRUE, and the condition inside of the sub-query", at: on.span)
            }
            if !isTrue { result = try filtered(result, on, both, clause: "ON") }
        }
        return (result, both)
    }

    /// Columns that NATURAL joins by, in the order of the left side.
    private static func commonNames(_ left: Scope, _ right: Scope) -> [String] {
        func names(_ scope: Scope) -> [String] {
            scope.star(nil)!.map { i in scope.relations.lazy.flatMap(\.columns).first { $0.index == i }!.name }
        }
        let others = Set(names(right))
        return names(left).filter(others.contains)
    }

    private func column(_ name: String, _ scope: Scope, _ side: String, _ ref: TableRef) throws -> Int {
        let what = ref.natural ? "NATURAL JOIN" : "USING (\(name))"
        switch scope.resolve([name]) {
        case .column(let i, let rest) where rest.isEmpty: return i
        case .ambiguous:
            throw context.error(.validate, "\(what): column \(name) is ambiguous on the \(side) side", fix: "write ON with the tables' names", at: ref.span)
        default:
            throw context.error(
                .validate, "\(what): the \(side) side has no column \(name)", fix: NearName.hint(for: name, in: scope.names), at: ref.span)
        }
    }

    /// Puts one column for each pair that USING joins by in front: the value of the side that has one.
    private func merging(
        _ merged: [(name: String, left: Int, right: Int)], _ plan: LogicalPlan, _ scope: Scope, _ kind: JoinKind, _ ref: TableRef
    ) throws -> (LogicalPlan, Scope) {
        let all = LogicalPlan.Projection.columns(Array(scope.columns.indices), of: scope.columns)
        var exprs: [Expr] = [], columns: [PlanColumn] = []
        for (name, l, r) in merged {
            let (left, right) = (scope.columns[l], scope.columns[r])
            let expr: Expr
            switch kind {
            case .full:
                guard let type = TypeCoercion.commonType(left.type, right.type) else { preconditionFailure("the sides were compared") }
                expr = .coalesce([Expr.column(l, left.type).implicitlyCast(to: type), Expr.column(r, right.type).implicitlyCast(to: type)], type)
            case .right: expr = .column(r, right.type)
            default: expr = .column(l, left.type)
            }
            exprs.append(expr)
            if case .column(let i, _) = expr {
                columns.append(scope.columns[i].renamed(name))
            } else {
                columns.append(PlanColumn(name, expr.type, nullable: true))
            }
        }
        let n = merged.count
        let own = Scope.Relation(alias: nil, columns: merged.enumerated().map { ($1.name, $0) })
        let moved = scope.relations.map { Scope.Relation(alias: $0.alias, columns: $0.columns.map { ($0.name, $0.index + n) }) }
        let hidden = Set(scope.hidden.map { $0 + n } + merged.flatMap { [$0.left + n, $0.right + n] })
        return (
            .project(plan, .init(exprs: exprs + all.exprs, columns: columns + all.columns)),
            Scope(relations: [own] + moved, columns: columns + all.columns, hidden: hidden)
        )
    }
}
