import StreamCore
import StreamExpressions

/// Plans through which upserts pass one by one, so that a sink by the same key may take them as the source gives them.
enum DirectUpserts {
    /// Metadata that says where a record is from: the same for all records of a row.
    private static let origins: Set<String> = [
        "source.table", "source.schema", "source.database", "table", "table-name", "schema", "schema-name", "database", "topic", "file.path",
    ]

    /// The scan at the end of projections and, right above it, conditions on its key or on where records are from; nil for other plans.
    static func scan(of plan: LogicalPlan) -> LogicalPlan.Scan? {
        switch plan {
        case .project(let input, _), .calc(let input, filter: nil, _): return scan(of: input)
        case .filter(let input, let condition), .calc(let input, let condition?, _):
            guard let scan = bareScan(of: input), condition.isDeterministic, condition.columns.allSatisfy({ isFixed($0, scan) }) else { return nil }
            return scan
        default: return bareScan(of: plan)
        }
    }

    private static func bareScan(of plan: LogicalPlan) -> LogicalPlan.Scan? {
        if case .scan(let scan) = plan { return scan }
        guard case .filter(let input, let condition) = plan, let scan = bareScan(of: input), condition.isDeterministic,
            condition.columns.allSatisfy({ isFixed($0, scan) })
        else { return nil }
        return scan
    }

    private static func isFixed(_ column: Int, _ scan: LogicalPlan.Scan) -> Bool {
        guard column < scan.used.count else { return false }
        let definition = scan.table.columns[scan.used[column]]
        switch definition.kind {
        case .physical: return scan.table.descriptor.primaryKey.contains(definition.name)
        case .metadata(let i, _):
            let key = scan.table.descriptor.metadata[i].key
            return origins.contains(key.hasPrefix("value.") ? String(key.dropFirst(6)) : key)
        case .computed: return false
        }
    }
}
