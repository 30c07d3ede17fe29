import StreamCore
import StreamExpressions
import StreamOperators

/// Tells a scan which partitions a filter leaves.
struct PartitionPruning {
    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        plan.rewritten { step in
            guard case .calc(.scan(var scan), let filter?, let p) = step else { return step }
            for part in filter.conjuncts {
                guard let column = Self.column(of: part), case let name = scan.table.columns[scan.used[column]].name,
                    scan.table.descriptor.partitionKeys.contains(name)
                else { continue }
                if let (_, values) = fixed(part) {
                    scan.partitionFilter[name] = scan.partitionFilter[name].map { $0.intersection(values) } ?? values
                } else if let range = bound(part) {
                    scan.partitionRanges[name] = scan.partitionRanges[name].map { $0.intersection(range) } ?? range
                }
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

    /// The only column that a condition is about.
    private static func column(of condition: Expr) -> Int? { condition.columns.count == 1 ? condition.columns.first : nil }

    /// `column < literal` and the like, on either side.
    private func bound(_ condition: Expr) -> ValueRange? {
        guard case .call(let f, let args) = condition, args.count == 2 else { return nil }
        let mirrored = ["<": ">", "<=": ">=", ">": "<", ">=": "<="]
        guard let opposite = mirrored[f.name] else { return nil }
        if let (_, value) = equality(args[0], args[1], ordered: true) { return Self.range(f.name, value) }
        if let (_, value) = equality(args[1], args[0], ordered: true) { return Self.range(opposite, value) }
        return nil
    }

    private static func range(_ op: String, _ value: Value) -> ValueRange {
        switch op {
        case "<": ValueRange(upper: value, includesUpper: false)
        case "<=": ValueRange(upper: value)
        case ">": ValueRange(lower: value, includesLower: false)
        default: ValueRange(lower: value)
        }
    }

    /// A column, as it is or widened, and what it is compared with.
    private func equality(_ a: Expr, _ b: Expr, ordered: Bool = false) -> (Int, Value)? {
        guard case .literal(let value, let type) = b, value != .null else { return nil }
        switch a {
        case .column(let i, let t) where t.physical == type.physical && !t.isTimestamp && !t.isDecimal && (!ordered || ValueRange.isOrdered(t)):
            return (i, value)
        case .cast(.column(let i, let t), let to, _) where keepsValues(t, to) && (!ordered || ValueRange.isOrdered(t)): return (i, value)
        default: return nil
        }
    }

    /// Different values stay different, and in their order.
    private func keepsValues(_ from: DataType, _ to: DataType) -> Bool {
        if case .varchar(let n) = from, case .varchar(let m) = to { return m >= n }
        return from.isInteger && to.isInteger && to.width >= from.width
    }
}
