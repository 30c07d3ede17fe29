import StreamCore
import StreamExpressions
import StreamOperators

/// The sub-queries in a clause: each becomes a join with the rows that the clause looks at.
///
/// While the clause is bound, the columns that these joins will add have numbers of their own; ``joined(to:_:)`` makes the joins.
final class Subqueries {
    private struct Pending {
        var plan: LogicalPlan
        var kind: JoinKind
        var condition: Expr?
        /// Number of the first of its columns.
        var first: Int
    }

    /// Numbers of the columns to come start here.
    static let base = 1 << 35

    private let queries: QueryBinder
    private var context: BindingContext { queries.context }
    private var pending: [Pending] = []
    private var next = Subqueries.base

    init(_ queries: QueryBinder) { self.queries = queries }

    // MARK: Conditions

    /// The parts of a condition that must all be true. Those that only ask whether a sub-query has a matching row become semi and
    /// anti joins and are left out.
    func conditions(_ syntax: SyntaxExpr, _ binder: ExpressionBinder) throws -> [Expr] {
        if case .binary(let op, let a, let b) = syntax.node, op.uppercased() == "AND" {
            return try conditions(a, binder) + conditions(b, binder)
        }
        if try test(syntax, binder, negated: false) { return [] }
        var binder = binder
        binder.nullIsFalse = true
        return [try binder.condition(syntax)]
    }

    private func test(_ syntax: SyntaxExpr, _ binder: ExpressionBinder, negated: Bool) throws -> Bool {
        switch syntax.node {
        case .unary(let op, let e) where op.uppercased() == "NOT": return try test(e, binder, negated: !negated)
        case .exists(let query):
            try addExists(try decorrelated(query, binder, forExistence: true), negated: negated)
        case .inQuery(let e, let query, let isNot):
            let values = try Self.parts(e).map(binder.withNulls.value)
            let found = try decorrelated(query, binder)
            let tests = try comparisons(values, found, e)
            try negated != isNot ? addNotIn(values, found, tests, binder) : addExists(found, and: tests, negated: false)
        case .quantified(let op, let e, let isAll, let query):
            // All fulfil it when none fails to.
            let found = try decorrelated(query, binder)
            guard found.outputs.count == 1 else { throw columnCount(found, 1, syntax.span) }
            let value = try binder.withNulls.value(e)
            let comparison = try context.script.locating(syntax.span) { try context.functions.bind(op == "!=" ? "<>" : op, [Self.inward(value), found.outputs[0]]) }
            let fails = isAll != negated
            // x op ALL: no row for which it is false or unknown. NOT (x op ANY): no row for which it is true or unknown.
            let condition = !fails ? (negated ? try context.functions.bind("IS FALSE", [comparison]) : comparison)
                : try context.functions.bind(negated ? "IS NOT FALSE" : "IS NOT TRUE", [comparison])
            try addExists(found, and: [condition], negated: fails)
        default: return false
        }
        return true
    }

    private func addExists(_ found: Decorrelated, and tests: [Expr] = [], negated: Bool) throws {
        let all = found.conditions + tests
        add(all.isEmpty ? Self.atMostOneRow(found.plan) : found.plan, negated ? .anti : .semi, all)
    }

    /// `x NOT IN (query)` is true where no value equals x, none is null, and x is not null unless there are no values at all.
    private func addNotIn(_ values: [Expr], _ found: Decorrelated, _ tests: [Expr], _ binder: ExpressionBinder) throws {
        let below = found.plan.columns
        let mayBeNull = values.contains { binder.isNullable($0) }
        let mayHoldNull = found.outputs.contains { $0.readsOuterColumns || $0.isNullable(in: below) }
        guard mayBeNull || mayHoldNull else { return try addExists(found, and: tests, negated: true) }
        guard values.count == 1, !found.outputs[0].readsOuterColumns else {
            let isEqual = Expr.all(tests)!
            return try addExists(found, and: [try context.functions.bind("IS NOT FALSE", [isEqual])], negated: true)
        }
        try addExists(found, and: tests, negated: true)
        if mayHoldNull {
            var nulls = found
            nulls.plan = .filter(found.plan, .isNull(found.outputs[0], negated: false))
            try addExists(nulls, negated: true)
        }
        if mayBeNull {
            let isNull = Expr.isNull(Self.inward(values[0]), negated: false)
            add(found.conditions.isEmpty ? Self.atMostOneRow(found.plan) : found.plan, .anti, found.conditions + [isNull])
        }
    }

    // MARK: Values

    /// The value of a sub-query in an expression.
    func value(_ syntax: SyntaxExpr, _ binder: ExpressionBinder) throws -> Expr {
        switch syntax.node {
        case .exists(let query): return try mark(try decorrelated(query, binder, forExistence: true), [], syntax)
        case .inQuery(let e, let query, let negated):
            let test = try isIn(try Self.parts(e).map(binder.withNulls.value), e, try decorrelated(query, binder), binder, syntax)
            return negated ? .not(test) : test
        case .quantified(let op, let e, let isAll, let query) where (op == "=") != isAll && (op == "=" || op == "<>" || op == "!="):
            let test = try isIn([try binder.withNulls.value(e)], e, try decorrelated(query, binder), binder, syntax)
            return isAll ? .not(test) : test
        case .quantified(let op, _, let isAll, _):
            throw context.unsupported("\(op) \(isAll ? "ALL" : "ANY") inside a larger condition", fix: "connect it to the other conditions by AND, or compare with MIN or MAX of the set", at: syntax.span)
        case .scalarQuery(let query): return try scalar(try decorrelated(query, binder), syntax)
        default: preconditionFailure("not a sub-query")
        }
    }

    private func isIn(_ values: [Expr], _ e: SyntaxExpr, _ found: Decorrelated, _ binder: ExpressionBinder, _ syntax: SyntaxExpr) throws -> Expr {
        let tests = try comparisons(values, found, e)
        let isFound = try mark(found, tests, syntax)
        let below = found.plan.columns
        let mayBeNull = values.contains { binder.isNullable($0) }, mayHoldNull = found.outputs.contains { $0.isNullable(in: below) }
        guard !binder.nullIsFalse, mayBeNull || mayHoldNull else { return isFound }
        guard values.count == 1 else {
            throw context.unsupported("IN of several values that may be null inside NOT or a value", fix: "filter nulls out, or use EXISTS", at: syntax.span)
        }
        // Unknown where nothing is found but x or one of the values is null.
        let keys = try equalities(found, syntax)
        let k = keys.count, value = found.outputs[0]
        let keyColumns = keys.enumerated().map { PlanColumn("outer$\($0)", $1.inner.type, nullable: $1.inner.isNullable(in: below)) }
        let given = LogicalPlan.project(
            found.plan, .init(exprs: keys.map(\.inner) + [value], columns: keyColumns + [PlanColumn("value", value.type, nullable: true)]))
        func count(_ arguments: [Int]) -> AggregateCall {
            AggregateCall(function: "COUNT", arguments: arguments, argumentTypes: arguments.map { _ in value.type }, resultType: .bigint)
        }
        let counted = LogicalPlan.aggregate(
            given,
            .init(
                keys: Array(0..<k), aggregates: [count([]), count([k])],
                columns: keyColumns + [PlanColumn("rows", .bigint, nullable: false), PlanColumn("values", .bigint, nullable: false)]))
        let first = add(counted, .left, keys.enumerated().map { i, key in key.comparing(.column(i, key.inner.type)) })
        let rows = Expr.column(first + k, .bigint), nonNull = Expr.column(first + k + 1, .bigint)
        let isUnknown = Expr.or([.isNull(values[0], negated: false), try context.functions.bind("<", [nonNull, rows])])
        return .caseWhen(
            [
                .init(isFound, then: .literal(.bool(true), .boolean)), .init(.isNull(rows, negated: false), then: .literal(.bool(false), .boolean)),
                .init(isUnknown, then: .literal(.null, .boolean)),
            ], otherwise: .literal(.bool(false), .boolean), .boolean)
    }

    /// Whether a row has a match, as a value.
    private func mark(_ found: Decorrelated, _ tests: [Expr], _ syntax: SyntaxExpr) throws -> Expr {
        var both = found
        both.conditions += tests
        let keys = try equalities(both, syntax), below = found.plan.columns
        let columns = keys.enumerated().map { PlanColumn("outer$\($0)", $1.inner.type, nullable: $1.inner.isNullable(in: below)) }
        let marked = LogicalPlan.project(
            found.plan,
            .init(exprs: keys.map(\.inner) + [.literal(.bool(true), .boolean)], columns: columns + [PlanColumn("found", .boolean, nullable: false)]))
        let first = add(QueryBinder.distinct(marked), .left, keys.enumerated().map { i, key in key.comparing(.column(i, key.inner.type)) })
        return .isNull(.column(first + keys.count, .boolean), negated: true)
    }

    private func scalar(_ given: Decorrelated, _ syntax: SyntaxExpr) throws -> Expr {
        var found = given
        guard found.outputs.count == 1 else { throw columnCount(found, 1, syntax.span) }
        if found.conditions.isEmpty, !found.outputs[0].readsOuterColumns {
            let value = found.outputs[0]
            let column = PlanColumn("value", value.type, nullable: true)
            let plan = LogicalPlan.project(found.plan, .init(exprs: [value], columns: [column]))
            let single = found.isGlobalAggregate ? plan : .step(SingleRow(keys: [], columns: plan.columns), [plan])
            return .column(add(single, .left, []), value.type)
        }
        let below = found.plan.columns
        if found.isGlobalAggregate {
            // One row for each value of the keys; the result is computed behind the join, where COUNT of nothing is 0.
            let first = add(found.plan, .left, found.conditions)
            return found.outputs[0].map {
                guard case .column(let i, let type) = $0 else { return nil }
                let moved = Expr.column(OuterColumns.isOuter(i) ? OuterColumns.outward(i) : first + i, type)
                return found.counts.contains(i) ? .coalesce([moved, .literal(.int(0), type)], type) : moved
            }
        }
        let keys = try equalities(found, syntax), value = found.outputs[0]
        guard !value.readsOuterColumns else {
            throw context.unsupported("a value of outer columns selected by a sub-query", fix: "join with the query instead", at: syntax.span)
        }
        let columns = keys.enumerated().map { PlanColumn("outer$\($0)", $1.inner.type, nullable: $1.inner.isNullable(in: below)) }
        let plan = LogicalPlan.project(
            found.plan, .init(exprs: keys.map(\.inner) + [value], columns: columns + [PlanColumn("value", value.type, nullable: true)]))
        found.plan = .step(SingleRow(keys: Array(keys.indices), columns: plan.columns), [plan])
        let first = add(found.plan, .left, keys.enumerated().map { i, key in key.comparing(.column(i, key.inner.type)) })
        return .column(first + keys.count, value.type)
    }

    // MARK: Parts

    private func decorrelated(_ query: Query, _ binder: ExpressionBinder, forExistence: Bool = false) throws -> Decorrelated {
        var inner = queries
        inner.outer = [binder] + binder.scope.outer
        var plan = try inner.bind(query)
        // Any row will do.
        while forExistence {
            if case .sort(let input, let s) = plan, s.offset == 0, s.limit ?? 1 > 0 {
                plan = input
            } else if case .project(let input, let p) = plan, case .sort(let below, let s) = input, s.offset == 0, s.limit ?? 1 > 0 {
                plan = .project(below, p)
            } else {
                break
            }
        }
        return try Decorrelated.of(plan, context, at: query.span)
    }

    /// An expression of the clause as its sub-query sees it.
    private static func inward(_ e: Expr) -> Expr { e.mapColumns { OuterColumns.number($0, level: 1) } }

    /// Values of a tuple.
    private static func parts(_ e: SyntaxExpr) -> [SyntaxExpr] {
        if case .row(let parts) = e.node { parts } else { [e] }
    }

    private func columnCount(_ found: Decorrelated, _ wanted: Int, _ span: SourceSpan) -> StreamError {
        context.error(
            .validate, "the sub-query has \(found.outputs.count) columns, but \(wanted) \(wanted == 1 ? "is" : "are") needed here",
            fix: "select as many columns as it is compared with", at: span)
    }

    private func comparisons(_ values: [Expr], _ found: Decorrelated, _ e: SyntaxExpr) throws -> [Expr] {
        guard values.count == found.outputs.count else { throw columnCount(found, values.count, e.span) }
        return try zip(values, found.outputs).map { value, output in
            try context.script.locating(e.span) { try context.functions.bind("=", [Self.inward(value), output]) }
        }
    }

    private func equalities(_ found: Decorrelated, _ syntax: SyntaxExpr) throws -> [Decorrelated.Equality] {
        guard let keys = found.equalities else {
            throw context.unsupported(
                "a comparison other than = with the outer query in a sub-query inside OR, NOT or a value",
                fix: "connect the sub-query to the other conditions by AND, or join with the query", at: syntax.span)
        }
        return keys
    }

    private static func atMostOneRow(_ plan: LogicalPlan) -> LogicalPlan {
        QueryBinder.distinct(.project(plan, .init(exprs: [.literal(.bool(true), .boolean)], columns: [PlanColumn("found", .boolean, nullable: false)])))
    }

    // MARK: Joins

    /// - Parameter conditions: over the plan's columns and, as outer ones, those of the clause.
    /// - Returns: the number by which the first of its columns is known.
    @discardableResult
    private func add(_ plan: LogicalPlan, _ kind: JoinKind, _ conditions: [Expr]) -> Int {
        let first = next
        next += plan.columns.count
        let moved = Expr.all(conditions)?.mapColumns { OuterColumns.isOuter($0) ? OuterColumns.outward($0) : first + $0 }
        pending.append(Pending(plan: plan, kind: kind, condition: moved, first: first))
        return first
    }

    /// A row of the clause beside each row of a sub-query of FROM.
    func addLateral(_ query: Query, _ kind: JoinKind, _ binder: ExpressionBinder) throws -> (columns: [PlanColumn], values: [Expr]) {
        var inner = queries
        inner.outer = [binder] + binder.scope.outer
        let plan = try inner.bind(query)
        let found = try Decorrelated.of(plan, context, at: query.span)
        // A global aggregate has a row for each row of the clause.
        let isFilled = found.isGlobalAggregate && !found.conditions.isEmpty
        guard isFilled || kind == .inner || !found.outputs.contains(where: \.readsOuterColumns) else {
            throw context.unsupported("a LEFT JOIN LATERAL that computes with outer columns", fix: "compute them outside", at: query.span)
        }
        let first: Int
        var values: [Expr]
        if kind == .left, !isFilled {
            // Nulls for all of it where nothing matches: computed in front of the join.
            let below = found.plan.columns, all = LogicalPlan.Projection.columns(Array(below.indices), of: below)
            first = add(.project(found.plan, .init(exprs: all.exprs + found.outputs, columns: all.columns + plan.columns)), kind, found.conditions)
            values = plan.columns.enumerated().map { .column(first + below.count + $0, $1.type) }
        } else {
            first = add(found.plan, isFilled ? .left : kind, found.conditions)
            values = found.outputs.map { output in
                output.map {
                    guard case .column(let i, let type) = $0 else { return nil }
                    let moved = Expr.column(OuterColumns.isOuter(i) ? OuterColumns.outward(i) : first + i, type)
                    return isFilled && found.counts.contains(i) ? .coalesce([moved, .literal(.int(0), type)], type) : moved
                }
            }
        }
        return (plan.columns, values)
    }

    /// The rows of `plan` joined with all sub-queries, and what expressions of the clause are over its columns.
    ///
    /// - Parameter resolve: turns columns of the clause into those of `plan`.
    func joined(to plan: LogicalPlan, _ resolve: @escaping (Expr) -> Expr = { $0 }) -> (LogicalPlan, (Expr) -> Expr) {
        var plan = plan, places: [Int: Int] = [:]
        for part in pending {
            let start = plan.columns.count, width = part.plan.columns.count
            for i in 0..<width { places[part.first + i] = start + i }
            let known = places
            let condition = part.condition.map { resolve($0).mapColumns { known[$0] ?? $0 } }
            plan = .join(
                plan, part.plan,
                .init(kind: part.kind, condition: condition, columns: LogicalPlan.joinColumns(plan.columns, part.plan.columns, part.kind)))
        }
        let known = places
        return (plan, { resolve($0).mapColumns { known[$0] ?? $0 } })
    }
}

extension QueryBinder {
    /// The rows of a plan for which a condition is true.
    func filtered(_ plan: LogicalPlan, _ condition: SyntaxExpr, _ scope: Scope, clause: String) throws -> LogicalPlan {
        let subqueries = Subqueries(self)
        var scope = scope
        scope.subqueries = subqueries
        let parts = try subqueries.conditions(condition, ExpressionBinder(context, scope: scope, clause: clause))
        let (joined, resolved) = subqueries.joined(to: plan)
        guard let filter = Expr.all(parts.flatMap { resolved($0).conjuncts }) else { return joined }
        let result = LogicalPlan.filter(joined, filter)
        if joined.columns.count == plan.columns.count { return result }
        return .project(result, .columns(Array(plan.columns.indices), of: joined.columns))
    }
}

extension SyntaxExpr {
    /// Whether a sub-query stands in it.
    var containsSubquery: Bool {
        switch node {
        case .inQuery, .exists, .scalarQuery, .quantified: true
        default: children.contains(where: \.containsSubquery)
        }
    }
}
