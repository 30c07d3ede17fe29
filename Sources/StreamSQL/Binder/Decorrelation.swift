import StreamCore
import StreamExpressions
import StreamOperators

/// A sub-query without what in it depends on the queries around it: conditions that compare its columns with theirs are taken out
/// and become those of a join, and its results are computed behind that join.
struct Decorrelated {
    /// Reads nothing of the queries around it.
    var plan: LogicalPlan
    /// The sub-query's columns, over those of ``plan`` and of the queries around it.
    var outputs: [Expr]
    /// What a row of ``plan`` and a row around it must fulfil to belong together.
    var conditions: [Expr] = []
    /// It is an aggregate without GROUP BY: a row around it has one row in it, also where nothing belongs to it.
    var isGlobalAggregate = false
    /// Columns of ``plan`` that count, and so are 0 where nothing belongs to a row.
    var counts: Set<Int> = []

    private init(_ plan: LogicalPlan) {
        self.plan = plan
        outputs = plan.columns.enumerated().map { .column($0, $1.type) }
    }

    /// - Throws: `.plan` when the sub-query depends on the queries around it in a way that no join can express.
    static func of(_ plan: LogicalPlan, _ context: BindingContext, at span: SourceSpan) throws -> Decorrelated {
        func refused(_ what: String) -> StreamError {
            context.error(
                .plan, "not supported yet: \(what) in a sub-query that refers to the query around it",
                fix: "compare columns of the sub-query with columns of the outer query in its WHERE, with = under aggregates", at: span)
        }
        guard plan.readsOuterColumns else {
            var result = Decorrelated(plan)
            var root = plan
            while case .project(let input, _) = root { root = input }
            if case .aggregate(_, let a) = root, a.keys.isEmpty { result.isGlobalAggregate = true }
            return result
        }
        switch plan {
        case .filter(let input, let e):
            var result = try of(input, context, at: span)
            let parts = e.substitutingInner(result.outputs).conjuncts
            result.conditions += parts.filter(\.readsOuterColumns)
            if let rest = Expr.all(parts.filter { !$0.readsOuterColumns }) { result.plan = .filter(result.plan, rest) }
            result.isGlobalAggregate = false
            return result
        case .project(let input, let p):
            var result = try of(input, context, at: span)
            result.outputs = p.exprs.map { $0.substitutingInner(result.outputs) }
            return result
        case .join(let l, let r, var j):
            var left = try of(l, context, at: span)
            let right = try of(r, context, at: span)
            let shift = left.plan.columns.count
            func moved(_ e: Expr) -> Expr { e.mapColumns { OuterColumns.isOuter($0) ? $0 : $0 + shift } }
            let outputs = left.outputs + right.outputs.map(moved)
            let own = (j.condition?.conjuncts ?? []).map { $0.substitutingInner(outputs) }
            let outer = own.filter(\.readsOuterColumns) + right.conditions.map(moved)
            guard j.kind == .inner || (outer.isEmpty && (left.conditions.isEmpty || j.kind == .left || j.kind.isLeftOnly)),
                j.kind == .inner || !right.outputs.contains(where: \.readsOuterColumns)
            else { throw refused("a \(j.kind.rawValue) join") }
            j.condition = Expr.all(own.filter { !$0.readsOuterColumns })
            j.columns = LogicalPlan.joinColumns(left.plan.columns, right.plan.columns, j.kind)
            left.plan = .join(left.plan, right.plan, j)
            left.outputs = j.kind.isLeftOnly ? left.outputs : outputs
            left.conditions += outer
            left.isGlobalAggregate = false
            left.counts = []
            return left
        case .aggregate(let input, let a):
            return try grouped(try of(input, context, at: span), a, refused)
        case .windowTable(let input, var w):
            var result = try of(input, context, at: span)
            guard !result.outputs.contains(where: \.readsOuterColumns) else { throw refused("a computed column under a window function") }
            // The input's columns as the function knows them, and behind them what the conditions compare.
            let n = result.outputs.count, below = result.plan.columns
            let columns = zip(result.outputs, input.columns).map { $1 }
            let all = LogicalPlan.Projection.columns(Array(below.indices), of: below)
            let plan = LogicalPlan.project(result.plan, .init(exprs: result.outputs + all.exprs, columns: columns + all.columns))
            let added = Array(w.columns[n...])
            w.columns = Array(w.columns[..<n]) + all.columns + added
            result.plan = .windowTable(plan, w)
            result.conditions = result.conditions.map { $0.mapColumns { OuterColumns.isOuter($0) ? $0 : $0 + n } }
            let end = n + all.columns.count
            result.outputs = (Array(0..<n) + (0..<added.count).map { end + $0 }).map { .column($0, w.columns[$0].type) }
            return result
        case .sort(let input, let s) where s.limit == nil && s.offset == 0: return try of(input, context, at: span)
        case .sort(let input, let s):
            guard let limit = s.limit, !s.keys.isEmpty else { throw refused("LIMIT without ORDER BY, or OFFSET without LIMIT") }
            return try first(limit, s, try of(input, context, at: span), context, refused)
        case .windowAggregate: throw refused("GROUP BY a window")
        case .union: throw refused("UNION")
        case .values: throw refused("VALUES")
        case .step, .calc, .scan: throw refused("a table function, window or pattern")
        }
    }

    /// The aggregate with the columns that are compared with those around it as further keys.
    private static func grouped(_ input: Decorrelated, _ a: LogicalPlan.Aggregate, _ refused: (String) -> StreamError) throws -> Decorrelated {
        guard !input.outputs.contains(where: \.readsOuterColumns) else { throw refused("an aggregate of outer columns") }
        let keys = try input.conditions.map { condition in
            guard let equality = Equality(condition) else { throw refused("an aggregate below a comparison other than =") }
            return equality
        }
        let below = input.plan.columns
        var exprs = input.outputs
        var columns = exprs.enumerated().map { i, e in
            if case .column(let c, _) = e { return below[c] }
            return PlanColumn("$f\(i)", e.type, nullable: e.isNullable(in: below))
        }
        var aggregate = a
        for (i, key) in keys.enumerated() {
            aggregate.keys.append(exprs.count)
            exprs.append(key.inner)
            columns.append(PlanColumn("outer$\(i)", key.inner.type, nullable: key.inner.isNullable(in: below)))
        }
        let k = a.keys.count, added = Array(columns[(exprs.count - keys.count)...])
        aggregate.columns = Array(a.columns[..<k]) + added + Array(a.columns[k...])
        var result = Decorrelated(.aggregate(.project(input.plan, .init(exprs: exprs, columns: columns)), aggregate))
        result.conditions = keys.enumerated().map { i, key in key.comparing(.column(k + i, key.inner.type)) }
        let calls = k + keys.count
        result.outputs = (Array(0..<k) + (calls..<calls + a.aggregates.count)).map { .column($0, aggregate.columns[$0].type) }
        result.isGlobalAggregate = a.keys.isEmpty
        if a.keys.isEmpty { result.counts = Set(a.aggregates.indices.filter { a.aggregates[$0].function == "COUNT" }.map { calls + $0 }) }
        return result
    }

    /// ORDER BY ... LIMIT: the first rows for each value of what is compared with the query around it, null being such a value.
    private static func first(_ limit: Int, _ sort: LogicalPlan.Sort, _ input: Decorrelated, _ context: BindingContext, _ refused: (String) -> StreamError) throws
        -> Decorrelated
    {
        guard let keys = input.equalities, !input.outputs.contains(where: \.readsOuterColumns) else {
            throw refused("LIMIT above a comparison other than =")
        }
        let below = input.plan.columns, n = input.outputs.count
        let columns = (input.outputs + keys.map(\.inner)).enumerated().map { i, e in
            if case .column(let c, _) = e { return below[c] }
            return PlanColumn("$f\(i)", e.type, nullable: e.isNullable(in: below))
        }
        let plan = LogicalPlan.project(input.plan, .init(exprs: input.outputs + keys.map(\.inner), columns: columns))
        let rank = Rank(
            partition: Array(n..<columns.count), order: sort.keys, first: sort.offset + 1, last: sort.offset + limit, form: .general, givesPlace: false,
            columns: columns)
        var result = Decorrelated(.step(rank, [plan]))
        result.conditions = try keys.enumerated().map { i, key in
            try context.functions.bind("IS NOT DISTINCT FROM", [.column(n + i, key.inner.type), key.outer])
        }
        result.outputs = Array(result.outputs[..<n])
        return result
    }

    /// A condition that compares an expression over the sub-query with one over the queries around it.
    struct Equality {
        var function: BoundFunction
        var inner: Expr, outer: Expr

        init?(_ condition: Expr) {
            guard case .call(let f, let args) = condition, args.count == 2, f.name == "=" || f.name == "IS NOT DISTINCT FROM" else { return nil }
            func isInner(_ e: Expr) -> Bool { !e.columns.isEmpty && !e.readsOuterColumns }
            func isOuter(_ e: Expr) -> Bool { e.columns.allSatisfy(OuterColumns.isOuter) }
            function = f
            if isInner(args[0]), isOuter(args[1]) {
                (inner, outer) = (args[0], args[1])
            } else if isInner(args[1]), isOuter(args[0]) {
                (inner, outer) = (args[1], args[0])
            } else {
                return nil
            }
        }

        /// The comparison with the inner side's value in another place.
        func comparing(_ inner: Expr) -> Expr { .call(function, [inner, outer]) }
    }

    /// Its equalities; nil when there is any other condition.
    var equalities: [Equality]? {
        let found = conditions.map { Equality($0) }
        return found.contains { $0 == nil } ? nil : found.map { $0! }
    }
}
