import StreamCore
import StreamExpressions
import StreamOperators

/// Rewrites a bound plan into an equal one that reads and computes less.
struct Optimizer {
    var context: EvaluationContext
    var script: ScriptText

    func optimize(_ plan: LogicalPlan) throws -> LogicalPlan {
        var plan = ConstantFolding(context: context).apply(plan)
        plan = FilterPushdown().apply(plan)
        plan = JoinKeys().apply(plan)
        plan = CalcMerging().apply(plan)
        plan = try WindowFusion(script: script).apply(plan)
        plan = CalcMerging().apply(plan)
        plan = ColumnPruning().apply(plan)
        plan = CalcMerging().apply(plan)
        return PartitionPruning().apply(plan)
    }
}

extension Expr {
    /// Parts that must all be true.
    var conjuncts: [Expr] { if case .and(let parts) = self { parts.flatMap(\.conjuncts) } else { [self] } }
    var disjuncts: [Expr] { if case .or(let parts) = self { parts.flatMap(\.disjuncts) } else { [self] } }

    static func all(_ conditions: [Expr]) -> Expr? {
        conditions.isEmpty ? nil : conditions.count == 1 ? conditions[0] : .and(conditions)
    }

    /// As cheap to compute twice as once.
    var isTrivial: Bool {
        switch self {
        case .column, .literal: true
        case .field(let e, _, _): e.isTrivial
        default: false
        }
    }

    /// The expression with its columns replaced by expressions.
    func substituting(_ exprs: [Expr]) -> Expr {
        map { if case .column(let i, _) = $0 { exprs[i] } else { nil } }
    }

    /// Replaces parts, outermost first; parts for which `replace` gives nil are searched further.
    func map(_ replace: (Expr) -> Expr?) -> Expr {
        if let new = replace(self) { return new }
        switch self {
        case .column, .literal: return self
        case .call(let f, let args): return .call(f, args.map { $0.map(replace) })
        case .cast(let e, let t, let safe): return .cast(e.map(replace), to: t, safe: safe)
        case .caseWhen(let branches, let otherwise, let t):
            return .caseWhen(
                branches.map { Branch($0.condition.map(replace), then: $0.result.map(replace)) }, otherwise: otherwise.map(replace), t)
        case .and(let es): return .and(es.map { $0.map(replace) })
        case .or(let es): return .or(es.map { $0.map(replace) })
        case .not(let e): return .not(e.map(replace))
        case .isNull(let e, let negated): return .isNull(e.map(replace), negated: negated)
        case .coalesce(let es, let t): return .coalesce(es.map { $0.map(replace) }, t)
        case .field(let e, let i, let t): return .field(e.map(replace), index: i, t)
        }
    }

    /// Adds how often each column is read.
    func countColumns(into counts: inout [Int: Int]) {
        _ = map {
            if case .column(let i, _) = $0 { counts[i, default: 0] += 1 }
            return nil
        }
    }
}

/// Computes what depends on no row once. What fails is left for the run, where it fails only if a row needs it.
struct ConstantFolding {
    var context: EvaluationContext

    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            switch step {
            case .project(let input, var p):
                p.exprs = p.exprs.map(fold)
                return .project(input, p)
            case .filter(let input, let e): return .filter(input, fold(e))
            case .join(let l, let r, var j):
                j.condition = j.condition.map(fold)
                return .join(l, r, j)
            default: return step
            }
        }
    }

    func fold(_ expr: Expr) -> Expr {
        expr.map { part in
            if case .literal = part { return part }
            guard part.isFoldable, let value = try? Evaluator.evaluateConstant(part, context: context) else { return nil }
            return .literal(value, part.type)
        }
    }
}

/// Moves conditions towards the sources.
struct FilterPushdown {
    func apply(_ plan: LogicalPlan) -> LogicalPlan { push([], into: plan) }

    private func wrap(_ plan: LogicalPlan, _ conditions: [Expr]) -> LogicalPlan {
        Expr.all(conditions).map { .filter(plan, $0) } ?? plan
    }

    /// The plan with `conditions` (over its output) applied as early as possible.
    private func push(_ conditions: [Expr], into plan: LogicalPlan) -> LogicalPlan {
        switch plan {
        case .filter(let input, let e): return push(e.conjuncts + conditions, into: input)
        case .project(let input, let p):
            // A condition on a computed column stays above, so that the column is computed once.
            let (below, above) = split(conditions) { $0.columns.allSatisfy { p.exprs[$0].isTrivial } }
            return wrap(.project(push(below.map { $0.substituting(p.exprs) }, into: input), p), above)
        case .union(let inputs, let columns): return .union(inputs.map { push(conditions, into: $0) }, columns)
        case .windowTable(let input, let w):
            let (below, above) = split(conditions) { $0.columns.allSatisfy { $0 < input.columns.count } }
            return wrap(.windowTable(push(below, into: input), w), above)
        case .aggregate(let input, let a):
            // A global aggregate has one row whatever comes in, so nothing may pass it.
            let (below, above) = split(conditions) { !a.keys.isEmpty && !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.aggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .windowAggregate(let input, let a):
            let (below, above) = split(conditions) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < a.keys.count } }
            return wrap(.windowAggregate(push(below.map { $0.mapColumns { a.keys[$0] } }, into: input), a), above)
        case .join(let l, let r, var j):
            let width = l.columns.count
            let all = (j.condition?.conjuncts ?? []) + conditions
            let (left, others) = split(all) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 < width } }
            let (right, both) = split(others) { !$0.columns.isEmpty && $0.columns.allSatisfy { $0 >= width } }
            j.condition = Expr.all(both)
            return .join(push(left, into: l), push(right.map { $0.mapColumns { $0 - width } }, into: r), j)
        case .sort(let input, let s):
            if s.limit == nil && s.offset == 0 { return .sort(push(conditions, into: input), s) }
            return wrap(.sort(push([], into: input), s), conditions)
        case .scan, .values, .calc:
            return wrap(plan.replacingInputs(plan.inputs.map { push([], into: $0) }), conditions)
        }
    }

    private func split(_ conditions: [Expr], _ test: (Expr) -> Bool) -> ([Expr], [Expr]) {
        (conditions.filter { test($0) && $0.isDeterministic }, conditions.filter { !(test($0) && $0.isDeterministic) })
    }
}

extension Expr {
    var isDeterministic: Bool {
        var result = true
        _ = map {
            if case .call(let f, _) = $0, !f.isDeterministic { result = false }
            return nil
        }
        return result
    }
}

/// Finds the equalities that a join can be keyed by; the rest of its condition becomes a filter behind it.
struct JoinKeys {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .join(let l, let r, let j) = step, let condition = j.condition else { return step }
            return keyed(l, r, j, condition)
        }
    }

    private func keyed(_ l: LogicalPlan, _ r: LogicalPlan, _ j: LogicalPlan.Join, _ condition: Expr) -> LogicalPlan {
        let (n, m) = (l.columns.count, r.columns.count)
        var left = LogicalPlan.Projection.columns(Array(0..<n), of: l.columns)
        var right = LogicalPlan.Projection.columns(Array(0..<m), of: r.columns)
        var join = LogicalPlan.Join(columns: [], leftTTL: j.leftTTL, rightTTL: j.rightTTL)
        var residual: [Expr] = []
        for part in condition.conjuncts {
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2, let (a, b) = sides(args[0], args[1], n),
                a.type.physical == b.type.physical
            else {
                residual.append(part)
                continue
            }
            join.leftKeys.append(column(a, &left))
            join.rightKeys.append(column(b.mapColumns { $0 - n }, &right))
        }
        let (wideLeft, wideRight) = (left.exprs.count, right.exprs.count)
        let inputs = (wideLeft == n ? l : .project(l, left), wideRight == m ? r : .project(r, right))
        join.columns = left.columns + right.columns
        var result = LogicalPlan.join(inputs.0, inputs.1, join)
        if let rest = Expr.all(residual) { result = .filter(result, rest.mapColumns { $0 < n ? $0 : $0 - n + wideLeft }) }
        if wideLeft == n && wideRight == m { return result }
        return .project(result, .columns(Array(0..<n) + (0..<m).map { wideLeft + $0 }, of: join.columns))
    }

    /// One expression over the left side only and one over the right side only.
    private func sides(_ a: Expr, _ b: Expr, _ n: Int) -> (Expr, Expr)? {
        guard !a.columns.isEmpty, !b.columns.isEmpty, a.isDeterministic, b.isDeterministic else { return nil }
        if a.columns.allSatisfy({ $0 < n }) && b.columns.allSatisfy({ $0 >= n }) { return (a, b) }
        if b.columns.allSatisfy({ $0 < n }) && a.columns.allSatisfy({ $0 >= n }) { return (b, a) }
        return nil
    }

    private func column(_ expr: Expr, _ projection: inout LogicalPlan.Projection) -> Int {
        if case .column(let i, _) = expr { return i }
        projection.columns.append(PlanColumn("key$\(projection.exprs.count)", expr.type))
        projection.exprs.append(expr)
        return projection.exprs.count - 1
    }
}

/// Makes one Calc of neighbouring filters and projections, unless an expression would then be computed twice.
struct CalcMerging {
    func apply(_ plan: LogicalPlan) -> LogicalPlan { plan.rewritten(merge) }

    private func merge(_ step: LogicalPlan) -> LogicalPlan {
        switch step {
        case .filter(let input, let e):
            return merge(.calc(input, filter: e, .columns(Array(input.columns.indices), of: input.columns)))
        case .project(let input, let p): return merge(.calc(input, filter: nil, p))
        case .calc(let input, let filter, let p):
            if filter == nil, p.isIdentity, p.exprs.count == input.columns.count || p.exprs.isEmpty { return input }
            guard case .calc(let inner, let innerFilter, let innerProjection) = input,
                canInline(innerProjection.exprs, into: p.exprs, filter)
            else { return step }
            let condition = Expr.all(
                (innerFilter?.conjuncts ?? []) + (filter.map { $0.substituting(innerProjection.exprs).conjuncts } ?? []))
            let exprs = p.exprs.map { $0.substituting(innerProjection.exprs) }
            return merge(.calc(inner, filter: condition, .init(exprs: exprs, columns: p.columns)))
        default: return step
        }
    }

    private func canInline(_ inner: [Expr], into outer: [Expr], _ filter: Expr?) -> Bool {
        var counts: [Int: Int] = [:]
        for expr in outer { expr.countColumns(into: &counts) }
        if let filter { filter.countColumns(into: &counts) }
        return counts.allSatisfy { column, n in n <= 1 || inner[column].isTrivial }
    }
}

/// Tells a scan which partitions a filter leaves.
struct PartitionPruning {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .calc(.scan(var scan), let filter?, let p) = step else { return step }
            for part in filter.conjuncts {
                guard let (column, values) = fixed(part), case let name = scan.table.columns[scan.used[column]].name,
                    scan.table.descriptor.partitionKeys.contains(name)
                else { continue }
                scan.partitionFilter[name] = scan.partitionFilter[name].map { $0.intersection(values) } ?? values
            }
            return .calc(.scan(scan), filter: filter, p)
        }
    }

    /// `column = literal`, or several of these for one column joined by OR.
    private func fixed(_ condition: Expr) -> (Int, Set<Value>)? {
        var column: Int?, values: Set<Value> = []
        for part in condition.disjuncts {
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2,
                let (i, value) = equality(args[0], args[1]) ?? equality(args[1], args[0]), column ?? i == i
            else { return nil }
            column = i
            values.insert(value)
        }
        return column.map { ($0, values) }
    }

    private func equality(_ a: Expr, _ b: Expr) -> (Int, Value)? {
        guard case .literal(let value, let type) = b, value != .null else { return nil }
        switch a {
        case .column(let i, let t) where t.physical == type.physical && !t.isTimestamp && !t.isDecimal: return (i, value)
        case .cast(.column(let i, let t), let to, _) where t.isInteger && to.isInteger || t.isText && to.isText: return (i, value)
        default: return nil
        }
    }
}
