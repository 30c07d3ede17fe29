import StreamCore
import StreamExpressions
import StreamOperators

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
