import StreamCore
import StreamExpressions
import StreamOperators

/// What updates do to the columns of a row, found again by its upsert key: as in Flink it is known of counts, of the greatest and
/// smallest value and of sums of what is not negative that they go one way.
struct RowTrends: Sendable {
    enum Trend: Sendable {
        /// A null that becomes a value goes up and down alike.
        case constant, increasing, decreasing, unknown
    }

    struct Column: Sendable {
        var trend: Trend
        /// Its values, nulls apart, are zero or more.
        var isNotNegative = false
        /// A BIGINT of values of a narrower type, or of as many as there are rows: its sums do not overflow.
        var isSmall = false
    }
    var columns: [Column]

    private var areConstant: Bool { columns.allSatisfy { $0.trend == .constant } }

    private init(_ columns: [Column]) { self.columns = columns }

    /// - Returns: nil when rows may be taken back.
    init?(_ plan: LogicalPlan, _ inputs: [ChangelogNode], _ modifications: Modifications) {
        let known: RowTrends? =
            switch plan {
            case .project(_, let p): inputs[0].trends?.computed(p.exprs)
            case .filter(_, let e): inputs[0].trends?.filtered(e)
            case .calc(_, let filter?, let p): inputs[0].trends?.filtered(filter)?.computed(p.exprs)
            case .calc(_, nil, let p): inputs[0].trends?.computed(p.exprs)
            case .aggregate(_, let a): inputs[0].trends?.aggregated(a)
            case .join(_, _, let j): Self.joined(j, inputs[0].trends, inputs[1].trends)
            case .step(let rank as Rank, _): inputs[0].trends?.ranked(rank, inputs[0].plan.columns, modifications)
            case .step(is SharedPlan, _): inputs[0].trends
            default: nil
            }
        if modifications.isInsertOnly {
            columns = known?.columns ?? plan.columns.map { _ in Column(trend: .constant) }
            for i in columns.indices { columns[i].trend = .constant }
        } else if let known {
            columns = known.columns
        } else {
            return nil
        }
    }

    // MARK: rows by themselves

    private func computed(_ exprs: [Expr]) -> RowTrends {
        RowTrends(exprs.map { Column(trend: trend($0), isNotNegative: isNotNegative($0), isSmall: isSmall($0)) })
    }

    private func trend(_ expr: Expr) -> Trend {
        switch expr {
        case .column(let c, _): return columns[c].trend
        case .call(let f, let args) where f.name == "NOT NULL": return trend(args[0])
        case .cast(let e, let to, _) where Self.keepsOrder(e.type, to): return trend(e)
        default: return expr.isDeterministic && expr.columns.allSatisfy { columns[$0].trend == .constant } ? .constant : .unknown
        }
    }

    private static func keepsOrder(_ from: DataType, _ to: DataType) -> Bool {
        from.isInteger && (to.isInteger && from.width <= to.width || to.isApproximate)
    }

    private func isNotNegative(_ expr: Expr) -> Bool {
        switch expr {
        case .column(let c, _): columns[c].isNotNegative
        case .literal(let value, _): Self.isNotNegative(value)
        case .call(let f, let args) where f.name == "NOT NULL": isNotNegative(args[0])
        case .cast(let e, let to, _): Self.keepsOrder(e.type, to) && isNotNegative(e)
        case .coalesce(let parts, _): parts.allSatisfy(isNotNegative)
        default: false
        }
    }

    private static func isNotNegative(_ value: Value) -> Bool {
        switch value {
        case .int(let x): x >= 0
        case .float(let x): x >= 0
        case .double(let x): x >= 0
        case .decimal(let x): x >= 0
        default: false
        }
    }

    private func isSmall(_ expr: Expr) -> Bool {
        switch expr {
        case .column(let c, _): columns[c].isSmall
        case .literal(.int(let x), _): abs(x) <= Int64(Int32.max)
        case .call(let f, let args) where f.name == "NOT NULL": isSmall(args[0])
        case .cast(let e, .bigint, _): e.type.isInteger && (e.type != .bigint || isSmall(e))
        case .coalesce(let parts, _): parts.allSatisfy(isSmall)
        default: false
        }
    }

    /// A row that has passed goes on to pass; nil = it may not.
    private func filtered(_ condition: Expr) -> RowTrends? {
        var result = self
        for part in condition.conjuncts {
            guard passesOn(part) else { return nil }
            guard case .call(let f, let args) = part, args.count == 2 else { continue }
            let (greater, less) = [">", ">="].contains(f.name) ? (args[0], args[1]) : (args[1], args[0])
            guard [">", ">=", "<", "<=", "="].contains(f.name) else { continue }
            for (column, least) in f.name == "=" ? [(greater, less), (less, greater)] : [(greater, less)] {
                if let c = Self.column(column), case .literal(let value, _) = least, Self.isNotNegative(value) { result.columns[c].isNotNegative = true }
            }
        }
        return result
    }

    /// The column that has the sign of an expression.
    private static func column(_ expr: Expr) -> Int? {
        switch expr {
        case .column(let c, _): c
        case .cast(let e, let to, _) where e.type.isInteger && to.isNumeric: column(e)
        case .cast(let e, .decimal(_, let scale), _): if case .decimal(_, let from) = e.type, from <= scale { column(e) } else { nil }
        default: nil
        }
    }

    private func passesOn(_ condition: Expr) -> Bool {
        if trend(condition) == .constant { return true }
        switch condition {
        case .isNull(let e, negated: true): return trend(e) == .increasing || trend(e) == .decreasing
        case .call(let f, let args) where args.count == 2:
            let (a, b) = (trend(args[0]), trend(args[1]))
            return switch f.name {
            case ">", ">=": a == .increasing && b == .constant || a == .constant && b == .decreasing
            case "<", "<=": a == .decreasing && b == .constant || a == .constant && b == .increasing
            default: false
            }
        default: return false
        }
    }

    // MARK: rows with others

    private func aggregated(_ a: LogicalPlan.Aggregate) -> RowTrends? {
        guard a.keys.allSatisfy({ columns[$0].trend == .constant }) else { return nil }
        return RowTrends(a.keys.map { columns[$0] } + a.aggregates.map(aggregated))
    }

    /// Rows that are updated are taken out of it and put in again.
    private func aggregated(_ call: AggregateCall) -> Column {
        let unknown = Column(trend: .unknown)
        guard call.user == nil else { return unknown }
        let isFilterConstant = call.filter.map { columns[$0].trend == .constant } ?? true
        if call.function == "COUNT" {
            let isConstant = isFilterConstant && call.arguments.allSatisfy { columns[$0].trend == .constant }
            return Column(trend: isConstant ? .increasing : .unknown, isNotNegative: true, isSmall: true)
        }
        guard call.arguments.count == 1 else { return unknown }
        var column = columns[call.arguments[0]]
        let before = column.trend
        column.trend = .unknown
        let grows = isFilterConstant && (before == .constant || before == .increasing)
        switch call.function {
        case "MAX": if grows { column.trend = .increasing }
        case "MIN": if isFilterConstant, before == .constant || before == .decreasing { column.trend = .decreasing }
        case "SUM":
            if grows, column.isNotNegative, before == .constant || !call.distinct, doesNotOverflow(call, column) { column.trend = .increasing }
            column.isNotNegative = column.isNotNegative && column.isSmall
        default: return unknown
        }
        return column
    }

    /// Integers wrap round, and a DECIMAL of more than 38 digits is null.
    private func doesNotOverflow(_ sum: AggregateCall, _ column: Column) -> Bool {
        switch sum.resultType {
        case .bigint: column.isSmall
        case .decimal: if case .decimal(let precision, _) = sum.argumentTypes[0] { precision <= 28 } else { false }
        // What is taken out and put in again may be rounded down.
        case .float, .double: areConstant
        default: false
        }
    }

    /// Pairs stay pairs when what they are found by stays.
    private static func joined(_ j: LogicalPlan.Join, _ left: RowTrends?, _ right: RowTrends?) -> RowTrends? {
        guard j.kind == .inner, let left, let right else { return nil }
        guard j.leftKeys.allSatisfy({ left.columns[$0].trend == .constant }), j.rightKeys.allSatisfy({ right.columns[$0].trend == .constant })
        else { return nil }
        let both = RowTrends(left.columns + right.columns)
        return j.condition.map { both.filtered($0) } ?? both
    }

    /// The row at a place is replaced by one of a better order.
    private func ranked(_ rank: Rank, _ input: [PlanColumn], _ modifications: Modifications) -> RowTrends? {
        guard areConstant, !modifications.contains(.delete), rank.form == .general, !rank.givesVersions, let first = rank.order.first else { return nil }
        var result = self
        for c in columns.indices where !rank.partition.contains(c) { result.columns[c].trend = .unknown }
        if !rank.partition.contains(first.column), !first.nullsFirst || !input[first.column].nullable {
            result.columns[first.column].trend = first.descending ? .increasing : .decreasing
        }
        if rank.givesPlace { result.columns.append(Column(trend: .constant, isNotNegative: true)) }
        return result
    }
}

extension Rank {
    /// The columns under which rows of an updating input move forward only: Flink's UpdateFastStrategy. Unlike there a column that may
    /// be null first, and then a value, must not stand at the front while it is null, and a sum must not be one that wraps round.
    func keysOfUpdates(in input: ChangelogNode) -> [Int]? {
        guard form == .general, !givesVersions, last != nil, !order.isEmpty, !input.modifications.isInsertOnly, let trends = input.trends,
              let key = input.upsertKeys.first(where: { $0.isSuperset(of: partition) })
        else { return nil }
        let columns = input.plan.columns
        let moveForward = order.allSatisfy { key in
            let isNullLast = !key.nullsFirst || !columns[key.column].nullable
            return switch trends.columns[key.column].trend {
            case .constant: true
            case .increasing: key.descending && isNullLast
            case .decreasing: !key.descending && isNullLast
            case .unknown: false
            }
        }
        return moveForward ? key.sorted() : nil
    }
}
