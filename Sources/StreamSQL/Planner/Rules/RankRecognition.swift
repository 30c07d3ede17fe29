import StreamCore
import StreamExpressions
import StreamOperators

/// Makes a ``Rank`` of ROW_NUMBER() whose numbers are limited by a condition above it.
struct RankRecognition {
    func apply(_ plan: LogicalPlan) throws -> LogicalPlan {
        let plan = try plan.rewritten { step in
            guard case .filter(.step(let over as Over, let inputs), let condition) = step else { return step }
            return try recognised(over, inputs[0], condition.conjuncts) ?? step
        }
        try check(plan)
        return plan
    }

    /// What is left is computed row after row, in an order that goes forward.
    private func check(_ plan: LogicalPlan) throws {
        for input in plan.inputs { try check(input) }
        guard case .step(let over as Over, _) = plan, over.calls != [.rowNumber] else { return }
        guard over.order.count <= 1, !over.order.contains(where: \.descending) else {
            throw StreamError(
                .plan, "an OVER window can only be ordered by a single column and in ascending mode, but this one is ordered by "
                    + over.order.map { ExprText.sortKey($0, over.columns) }.joined(separator: ", "),
                fix: "order by the time attribute, ascending")
        }
    }

    private func recognised(_ over: Over, _ input: LogicalPlan, _ conditions: [Expr]) throws -> LogicalPlan? {
        let width = input.columns.count
        for (i, call) in over.calls.enumerated() where call == .rank || call == .denseRank {
            if limits(conditions, width + i).last != nil {
                let name = call == .rank ? "RANK" : "DENSE_RANK"
                throw StreamError(
                    .plan, "\(name)() with a condition on its result (a top-N by \(name)) is not supported on streams", fix: "use ROW_NUMBER()")
            }
        }
        guard over.calls == [.rowNumber] else { return nil }
        let (first, last, rest) = limits(conditions, width)
        guard let last, last >= first else { return nil }
        let inputColumns = Array(over.columns[..<width])
        var rank = Rank(
            partition: over.partition, order: over.order, first: first, last: last, form: form(over, input, first: first, last: last),
            givesPlace: first != last, columns: first == last ? inputColumns : over.columns)
        // By processing time rows are in order as they come.
        if first == 1, last == 1, rank.order.count == 1, input.columns[rank.order[0].column].isProcessingTime {
            if rank.order[0].descending { rank.form = .keepLast }
            rank.order = []
        }
        var plan = LogicalPlan.step(rank, [input])
        if !rank.givesPlace {
            var all = LogicalPlan.Projection.columns(Array(0..<width), of: inputColumns)
            all.exprs.append(.literal(.int(Int64(first)), .bigint))
            all.columns.append(over.columns[width])
            plan = .project(plan, all)
        }
        return Expr.all(rest).map { .filter(plan, $0) } ?? plan
    }

    private func form(_ over: Over, _ input: LogicalPlan, first: Int, last: Int) -> Rank.Form {
        for c in over.partition {
            guard case .windowEnd(let origin) = input.columns[c].role, !origin.isProcessingTime, over.partition.contains(where: { input.columns[$0].role == .windowStart(origin) }),
                let type = timeType(of: origin, in: input)
            else { continue }
            return .window(end: c, timeType: type)
        }
        guard first == 1, last == 1, over.order.count == 1, input.columns[over.order[0].column].isTimeAttribute else { return .general }
        return over.order[0].descending ? .keepLast : .keepFirst
    }

    /// Of the time attribute that the window is made of.
    private func timeType(of origin: WindowOrigin, in plan: LogicalPlan) -> DataType? {
        if let column = plan.columns.first(where: { $0.role == .windowTime(origin) }) { return column.type }
        return plan.inputs.lazy.compactMap { timeType(of: origin, in: $0) }.first
    }

    /// Which numbers of a column conditions let pass; `last` nil = there is no end.
    private func limits(_ conditions: [Expr], _ column: Int) -> (first: Int, last: Int?, rest: [Expr]) {
        var first = 1, last: Int?, rest: [Expr] = []
        for condition in conditions {
            guard let (comparison, value) = comparison(condition, column) else {
                rest.append(condition)
                continue
            }
            let n = Int(clamping: value)
            func atMost(_ n: Int) { last = min(last ?? n, n) }
            switch comparison {
            case "<": atMost(n - 1)
            case "<=": atMost(n)
            case ">": first = max(first, n + 1)
            case ">=": first = max(first, n)
            default:
                first = max(first, n)
                atMost(n)
            }
        }
        return (first, last, rest)
    }

    /// `column comparison value`, whichever side the column stands on.
    private func comparison(_ condition: Expr, _ column: Int) -> (String, Int64)? {
        guard case .call(let function, let args) = condition, args.count == 2 else { return nil }
        let turned = ["<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="]
        guard let other = turned[function.name] else { return nil }
        func isColumn(_ e: Expr) -> Bool {
            switch e {
            case .column(let c, _): c == column
            case .cast(let inner, .bigint, _): isColumn(inner)
            default: false
            }
        }
        if isColumn(args[0]), case .int(let n)? = Binding.constant(args[1]) { return (function.name, n) }
        if isColumn(args[1]), case .int(let n)? = Binding.constant(args[0]) { return (other, n) }
        return nil
    }
}
