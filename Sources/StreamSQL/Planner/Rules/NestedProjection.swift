import StreamCore
import StreamExpressions
import StreamOperators

/// Narrows the ROW columns of scans to the parts that are read, where the connector finds parts by their names: JSON that nobody
/// asks for is skipped, not decoded. Scans of one table that are to be one scan are narrowed alike.
struct NestedProjection {
    var connectors: [String: any TableConnector]

    /// Parts of a ROW that are read.
    private final class Need {
        var whole = false
        var parts: [Int: Need] = [:]

        func part(_ i: Int) -> Need {
            if let known = parts[i] { return known }
            let made = Need()
            parts[i] = made
            return made
        }

        /// The ROW type with the parts that are needed, in their order.
        func narrowed(_ type: DataType) -> DataType {
            guard !whole, !parts.isEmpty, case .row(let fields) = type else { return type }
            return .row(parts.keys.sorted().map { Field(fields[$0].name, parts[$0]!.narrowed(fields[$0].type), nullable: fields[$0].nullable) })
        }
    }

    func apply(_ plans: [LogicalPlan]) -> [LogicalPlan] {
        var needs: [String: [Int: Need]] = [:]
        for plan in plans { collect(plan, into: &needs) }
        guard needs.values.contains(where: { $0.values.contains { !$0.whole } }) else { return plans }
        return plans.map { rewrite($0, needs) }
    }

    private func canNarrow(_ scan: LogicalPlan.Scan) -> Bool {
        let table = scan.table
        guard table.columns.contains(where: { $0.type.physical == .row }) else { return false }
        return connectors[table.descriptor.options["connector"] ?? ""]?.findsRowPartsByName(table.descriptor) ?? false
    }

    // MARK: what is read

    private func collect(_ plan: LogicalPlan, into needs: inout [String: [Int: Need]]) {
        switch plan {
        case .calc(.scan(let scan), let filter, let p) where canNarrow(scan):
            var own = needs[SharedScans.key(scan)] ?? [:]
            for expr in p.exprs + (filter.map { [$0] } ?? []) { Self.collect(expr, { scan.used[$0] }, into: &own) }
            collectTable(scan, into: &own)
            needs[SharedScans.key(scan)] = own
        case .scan(let scan) where canNarrow(scan):
            var own = needs[SharedScans.key(scan)] ?? [:]
            for i in scan.used { Self.need(i, &own).whole = true }
            collectTable(scan, into: &own)
            needs[SharedScans.key(scan)] = own
        default:
            for input in plan.inputs { collect(input, into: &needs) }
        }
    }

    /// What computed columns and the watermark read.
    private func collectTable(_ scan: LogicalPlan.Scan, into needs: inout [Int: Need]) {
        for i in scan.used {
            if case .computed(let expr, _) = scan.table.columns[i].kind { Self.collect(expr, { $0 }, into: &needs) }
        }
        if let watermark = scan.table.watermark { Self.collect(watermark.expr, { $0 }, into: &needs) }
    }

    private static func need(_ column: Int, _ needs: inout [Int: Need]) -> Need {
        if let known = needs[column] { return known }
        let made = Need()
        needs[column] = made
        return made
    }

    private static func collect(_ expr: Expr, _ table: (Int) -> Int, into needs: inout [Int: Need]) {
        var own = needs
        _ = expr.map { part in
            switch part {
            case .column(let i, _): need(table(i), &own).whole = true
            case .field:
                guard let (column, path) = Self.path(part) else { return nil }
                path.reduce(need(table(column), &own)) { $0.part($1) }.whole = true
                return part
            default: break
            }
            return nil
        }
        needs = own
    }

    /// The column and the parts on the way of `column.a.b`.
    private static func path(_ expr: Expr) -> (column: Int, path: [Int])? {
        switch expr {
        case .column(let i, _): return (i, [])
        case .field(let inner, let i, _): return path(inner).map { ($0.column, $0.path + [i]) }
        default: return nil
        }
    }

    // MARK: rewriting

    private func rewrite(_ plan: LogicalPlan, _ needs: [String: [Int: Need]]) -> LogicalPlan {
        switch plan {
        case .calc(.scan(let scan), let filter, var p) where canNarrow(scan):
            guard let own = needs[SharedScans.key(scan)] else { return plan }
            let table: (Int) -> Int = { scan.used[$0] }
            p.exprs = p.exprs.map { Self.narrow($0, table, scan.table, own) }
            return .calc(.scan(narrowed(scan, own)), filter: filter.map { Self.narrow($0, table, scan.table, own) }, p)
        case .scan(let scan) where canNarrow(scan):
            return .scan(needs[SharedScans.key(scan)].map { narrowed(scan, $0) } ?? scan)
        default:
            return plan.replacingInputs(plan.inputs.map { rewrite($0, needs) })
        }
    }

    private func narrowed(_ scan: LogicalPlan.Scan, _ needs: [Int: Need]) -> LogicalPlan.Scan {
        var scan = scan
        let whole = scan.table
        for i in whole.columns.indices {
            switch whole.columns[i].kind {
            case .physical:
                guard let type = needs[i]?.narrowed(whole.columns[i].type) else { continue }
                scan.table.columns[i].type = type
                scan.table.descriptor.schema[whole.physicalIndex(of: i)].type = type
            case .computed(let expr, let syntax) where scan.used.contains(i):
                scan.table.columns[i].kind = .computed(Self.narrow(expr, { $0 }, whole, needs), syntax)
            case .computed, .metadata: break
            }
        }
        if let watermark = whole.watermark { scan.table.watermark?.expr = Self.narrow(watermark.expr, { $0 }, whole, needs) }
        return scan
    }

    /// The expression over narrowed columns.
    private static func narrow(_ expr: Expr, _ table: (Int) -> Int, _ whole: CatalogTable, _ needs: [Int: Need]) -> Expr {
        expr.map { part in
            guard case .field = part, let (column, path) = Self.path(part), var need = needs[table(column)] else { return nil }
            var type = whole.columns[table(column)].type
            var result = Expr.column(column, need.narrowed(type))
            for i in path {
                guard case .row(let fields) = type else { return nil }
                type = fields[i].type
                if need.whole {
                    result = .field(result, index: i, type)
                } else {
                    let at = need.parts.keys.sorted().firstIndex(of: i)!
                    need = need.parts[i]!
                    result = .field(result, index: at, need.narrowed(type))
                }
            }
            return result
        }
    }
}
