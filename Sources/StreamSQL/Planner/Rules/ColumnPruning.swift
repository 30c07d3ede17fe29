import StreamCore
import StreamExpressions
import StreamOperators

/// Leaves out columns that nobody reads, down to the scans.
public struct ColumnPruning {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        exactly(Array(plan.columns.indices), of: plan)
    }

    /// A plan whose columns are `wanted` of the given plan's, in that order.
    func exactly(_ wanted: [Int], of plan: LogicalPlan) -> LogicalPlan {
        let (pruned, map) = prune(plan, Set(wanted))
        let order = wanted.map { map[$0]! }
        if order == Array(pruned.columns.indices) { return pruned }
        var projection = LogicalPlan.Projection.columns(order, of: pruned.columns)
        projection.columns = wanted.map { plan.columns[$0] }
        return .project(pruned, projection)
    }

    /// A plan that has at least the columns `needed`, and where each of them is now.
    func prune(_ plan: LogicalPlan, _ needed: Set<Int>) -> (LogicalPlan, [Int: Int]) {
        switch plan {
        case .scan(var scan):
            let forWatermark = ScanLayout.watermarkColumns(scan.table)
            var kept = scan.used.indices.filter { needed.contains($0) || forWatermark.contains(scan.used[$0]) }
            if kept.isEmpty { kept = [cheapest(scan)] }
            let used = kept.map { scan.used[$0] }
            scan.used = used
            return (.scan(scan), index(kept))
        case .values(var values):
            let kept = needed.sorted()
            values.rows = values.rows.map { row in kept.map { row[$0] } }
            values.columns = kept.map { values.columns[$0] }
            return (.values(values), index(kept))
        case .project(let input, let p): return prune(.calc(input, filter: nil, p), needed)
        case .calc(let input, let filter, let p):
            // One column stays where only the number of rows matters: a projection of none is not told from its input.
            let kept = needed.isEmpty && !p.exprs.isEmpty ? [p.exprs.firstIndex(where: \.isTrivial) ?? 0] : needed.sorted()
            let exprs = kept.map { p.exprs[$0] }
            let (below, map) = prune(input, exprs.reduce(filter?.columns ?? []) { $0.union($1.columns) })
            let projection = LogicalPlan.Projection(exprs: exprs.map { $0.mapColumns { map[$0]! } }, columns: kept.map { p.columns[$0] })
            return (.calc(below, filter: filter?.mapColumns { map[$0]! }, projection), index(kept))
        case .filter(let input, let e):
            let (below, map) = prune(input, needed.union(e.columns))
            return (.filter(below, e.mapColumns { map[$0]! }), map)
        case .sort(let input, var s):
            let (below, map) = prune(input, needed.union(s.keys.map(\.column)))
            s.keys = s.keys.map { SortSpec.Key(column: map[$0.column]!, descending: $0.descending, nullsFirst: $0.nullsFirst) }
            return (.sort(below, s), map)
        case .windowTable(let input, var w):
            let n = input.columns.count
            var (below, map) = prune(input, needed.filter { $0 < n }.union([w.timeColumn] + w.partitionKeys))
            let old = w.timeColumn
            w.timeColumn = map[old]!
            w.partitionKeys = w.partitionKeys.map { [map] in map[$0]! }
            var columns = below.columns
            columns[w.timeColumn].role = .none
            w.columns = columns + plan.columns[n...]
            for i in 0..<3 { map[n + i] = below.columns.count + i }
            return (.windowTable(below, w), map)
        case .windowAggregate(let input, let a): return prune(input, a, needed)
        case .aggregate(let input, var a):
            let (aggregates, map) = keptAggregates(a.aggregates, a.keys.count, needed)
            let (below, inputMap) = prune(input, inputs(a.keys, aggregates))
            a.columns = a.columns.indices.filter { map[$0] != nil }.map { a.columns[$0] }
            a.keys = a.keys.map { inputMap[$0]! }
            a.aggregates = aggregates.map { $0.mapColumns { inputMap[$0]! } }
            return (.aggregate(below, a), map)
        case .join(let l, let r, let j): return prune(l, r, j, needed)
        case .union(let inputs, let columns):
            let kept = needed.isEmpty ? [0] : needed.sorted()
            return (.union(inputs.map { exactly(kept, of: $0) }, kept.map { columns[$0] }), index(kept))
        case .step(let step, let inputs): return step.pruned(needed, inputs, self)
        }
    }

    private func prune(_ input: LogicalPlan, _ a: LogicalPlan.WindowAggregate, _ needed: Set<Int>) -> (LogicalPlan, [Int: Int]) {
        var a = a
        let base = a.keys.count + a.aggregates.count
        var (aggregates, map) = keptAggregates(a.aggregates, a.keys.count, needed)
        var properties: [WindowProperty] = []
        for (i, property) in a.properties.enumerated() where needed.contains(base + i) {
            map[base + i] = a.keys.count + aggregates.count + properties.count
            properties.append(property)
        }
        var read = inputs(a.keys, aggregates)
        switch a.assignment {
        case .time(_, let column): read.insert(column)
        case .attached(_, let start, let end): read.formUnion([start, end])
        }
        let (below, inputMap) = prune(input, read)
        switch a.assignment {
        case .time(let spec, let column): a.assignment = .time(spec, column: inputMap[column]!)
        case .attached(let origin, let start, let end): a.assignment = .attached(origin, start: inputMap[start]!, end: inputMap[end]!)
        }
        a.columns = a.columns.indices.filter { map[$0] != nil }.map { a.columns[$0] }
        a.keys = a.keys.map { inputMap[$0]! }
        aggregates = aggregates.map { $0.mapColumns { inputMap[$0]! } }
        a.aggregates = aggregates
        a.properties = properties
        return (.windowAggregate(below, a), map)
    }

    private func prune(_ l: LogicalPlan, _ r: LogicalPlan, _ j: LogicalPlan.Join, _ needed: Set<Int>) -> (LogicalPlan, [Int: Int]) {
        let n = l.columns.count
        let all = needed.union(j.condition?.columns ?? [])
        let (left, leftMap) = prune(l, all.filter { $0 < n }.union(j.leftKeys))
        let (right, rightMap) = prune(r, Set(all.filter { $0 >= n }.map { $0 - n }).union(j.rightKeys))
        var map: [Int: Int] = [:]
        for (old, new) in leftMap { map[old] = new }
        for (old, new) in rightMap { map[old + n] = new + left.columns.count }
        var join = j
        join.leftKeys = j.leftKeys.map { leftMap[$0]! }
        join.rightKeys = j.rightKeys.map { rightMap[$0]! }
        join.condition = j.condition?.mapColumns { map[$0]! }
        join.columns = LogicalPlan.joinColumns(left.columns, right.columns, j.kind)
        return (.join(left, right, join), map)
    }

    /// Keys stay, and the aggregates that are needed.
    func keptAggregates(_ calls: [AggregateCall], _ keys: Int, _ needed: Set<Int>) -> ([AggregateCall], [Int: Int]) {
        var map = Dictionary(uniqueKeysWithValues: (0..<keys).map { ($0, $0) })
        var kept: [AggregateCall] = []
        for (i, call) in calls.enumerated() where needed.contains(keys + i) {
            map[keys + i] = keys + kept.count
            kept.append(call)
        }
        return (kept, map)
    }

    func inputs(_ keys: [Int], _ calls: [AggregateCall]) -> Set<Int> {
        Set(keys + calls.flatMap { $0.arguments + ($0.filter.map { [$0] } ?? []) })
    }

    func index(_ kept: [Int]) -> [Int: Int] {
        Dictionary(uniqueKeysWithValues: kept.enumerated().map { ($1, $0) })
    }

    /// What to read when only the number of rows matters.
    private func cheapest(_ scan: LogicalPlan.Scan) -> Int {
        func cost(_ i: Int) -> Int {
            let column = scan.table.columns[scan.used[i]]
            guard case .physical = column.kind else { return 1_000 }
            return column.type.physical == .list || column.type.physical == .map || column.type.physical == .row ? 500 : column.type.width
        }
        return scan.used.indices.min { cost($0) < cost($1) }!
    }
}
