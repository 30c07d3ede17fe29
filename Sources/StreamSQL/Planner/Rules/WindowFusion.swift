import StreamCore
import StreamExpressions
import StreamOperators

/// Plans GROUP BY window_start, window_end.
///
/// Where rows reach the aggregation with nothing in between that looks at the window columns, they are not multiplied by
/// their windows at all: the aggregation assigns the windows itself. Otherwise they carry their windows, and each window ends
/// in a slice of its own, so that tumbling over the ends of the windows closes every window at its own time.
struct WindowFusion {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .windowAggregate(let input, let a) = step, case .attached(let origin, let start, let end) = a.assignment else {
                return step
            }
            return fused(input, a, origin, start, end) ?? carried(input, a, origin, start, end)
        }
    }

    // MARK: windows assigned by the aggregation

    private enum Source { case column(Int), start, end, time }

    private struct Unwindowed {
        var plan: LogicalPlan
        /// What each column of the former output is now.
        var sources: [Source]
        var timeColumn: Int
        /// Of SESSION.
        var partitionKeys: [Int]
        var window: WindowSpec

        func column(_ i: Int) -> Int? { if case .column(let c) = sources[i] { c } else { nil } }
        func expr(_ expr: Expr) -> Expr? {
            expr.columns.allSatisfy { column($0) != nil } ? expr.mapColumns { column($0)! } : nil
        }
    }

    /// The same rows without their windows; nil when something reads the window columns.
    private func unwindowed(_ plan: LogicalPlan, _ origin: WindowOrigin) -> Unwindowed? {
        switch plan {
        case .windowTable(let input, let w) where w.origin == origin:
            let sources = input.columns.indices.map { Source.column($0) } + [.start, .end, .time]
            return Unwindowed(plan: input, sources: sources, timeColumn: w.timeColumn, partitionKeys: w.partitionKeys, window: origin.window)
        case .calc(let input, let filter, let p):
            guard var below = unwindowed(input, origin) else { return nil }
            var condition: Expr?
            if let filter {
                // Sessions depend on all rows of their key.
                if case .session = origin.window { return nil }
                guard let mapped = below.expr(filter) else { return nil }
                condition = mapped
            }
            var projection = LogicalPlan.Projection(exprs: [], columns: []), sources: [Source] = []
            for (expr, column) in zip(p.exprs, p.columns) {
                if case .column(let i, _) = expr, below.column(i) == nil {
                    sources.append(below.sources[i])
                    continue
                }
                guard let mapped = below.expr(expr) else { return nil }
                sources.append(.column(projection.exprs.count))
                projection.exprs.append(mapped)
                projection.columns.append(column)
            }
            func keeping(_ column: Int) -> Int {
                if let known = projection.exprs.firstIndex(where: { if case .column(column, _) = $0 { true } else { false } }) { return known }
                projection.exprs.append(.column(column, below.plan.columns[column].type))
                projection.columns.append(below.plan.columns[column])
                return projection.exprs.count - 1
            }
            below.timeColumn = keeping(below.timeColumn)
            below.partitionKeys = below.partitionKeys.map(keeping)
            below.plan = .calc(below.plan, filter: condition, projection)
            below.sources = sources
            return below
        case .step(let expand as Expand, let inputs):
            guard var below = unwindowed(inputs[0], origin) else { return nil }
            let keys = expand.keys.compactMap { below.column($0) }
            guard keys.count == expand.keys.count else { return nil }
            let width = below.plan.columns.count
            let new = expand.over(below.plan.columns, keys: keys)
            below.sources += (width..<new.columns.count).map { .column($0) }
            below.plan = .step(new, [below.plan])
            return below
        default: return nil
        }
    }

    private func fused(_ input: LogicalPlan, _ a: LogicalPlan.WindowAggregate, _ origin: WindowOrigin, _ start: Int, _ end: Int)
        -> LogicalPlan?
    {
        guard let new = unwindowed(input, origin), case .start = new.sources[start], case .end = new.sources[end] else { return nil }
        let columns = a.keys + a.aggregates.flatMap { $0.arguments + ($0.filter.map { [$0] } ?? []) }
        guard columns.allSatisfy({ new.column($0) != nil }) else { return nil }
        var fused = a
        fused.keys = a.keys.map { new.column($0)! }
        // A session belongs to a partition: it is one of the aggregation only if that groups by the same.
        if case .session = new.window, Set(fused.keys) != Set(new.partitionKeys) { return nil }
        fused.aggregates = a.aggregates.map { $0.mapColumns { new.column($0)! } }
        fused.assignment = .time(new.window, column: new.timeColumn)
        return .windowAggregate(new.plan, fused)
    }

    // MARK: windows carried by the rows

    private func carried(_ input: LogicalPlan, _ a: LogicalPlan.WindowAggregate, _ origin: WindowOrigin, _ start: Int, _ end: Int)
        -> LogicalPlan
    {
        let step: WindowSpec =
            switch origin.window {
            case .tumble(let size, let offset): .tumble(size: size, offset: offset)
            case .hop(let slide, _, let offset): .tumble(size: slide, offset: offset)
            case .cumulate(let step, _, let offset): .tumble(size: step, offset: offset)
            case .session: .tumble(size: 1, offset: 0)
            }
        let givesTime = a.properties.contains(.time)
        let (k, n) = (a.keys.count, a.aggregates.count)
        let given =
            Array(a.columns[..<k]) + [input.columns[start], input.columns[end]] + a.columns[k..<k + n]
            + (givesTime ? [a.columns[k + n + a.properties.firstIndex(of: .time)!]] : [])
        let aggregate = LogicalPlan.windowAggregate(
            input,
            .init(
                keys: a.keys + [start, end], assignment: .time(step, column: end), aggregates: a.aggregates,
                properties: givesTime ? [.time] : [], columns: given, attachedTimeType: origin.timeType, emission: a.emission))
        let order =
            Array(0..<k) + (0..<n).map { k + 2 + $0 }
            + a.properties.map { property in
                switch property {
                case .start: k
                case .end: k + 1
                case .time: k + 2 + n
                }
            }
        var projection = LogicalPlan.Projection.columns(order, of: given)
        projection.columns = a.columns
        return .project(aggregate, projection)
    }
}

extension AggregateCall {
    func mapColumns(_ map: (Int) -> Int) -> AggregateCall {
        var copy = self
        copy.arguments = arguments.map(map)
        copy.filter = filter.map(map)
        return copy
    }
}
