import StreamCore
import StreamExpressions
import StreamRuntime

/// What a scan reads from its connector, and how that becomes the columns that the plan uses.
struct ScanLayout {
    /// Indices into the descriptor's schema and metadata: what the connector delivers, in this order.
    let physical: [Int], metadata: [Int]
    /// The scan's columns.
    let columns: [PlanColumn]
    private let table: CatalogTable
    /// Each of ``columns`` over the delivered columns.
    private let exprs: [Expr]
    private let deliveredCount: Int
    /// Table column -> position in ``columns``.
    private let position: [Int: Int]

    init(_ scan: LogicalPlan.Scan) {
        let (table, used) = (scan.table, scan.used)
        // Columns of the table that must be delivered.
        var wanted: Set<Int> = []
        for i in used {
            if case .computed(let expr, _) = table.columns[i].kind { wanted.formUnion(expr.columns) } else { wanted.insert(i) }
        }
        var physical: [Int] = [], metadata: [Int] = [], delivered: [Int] = [], deliveredMetadata: [Int] = []
        // In the order of first use, so that a plain projection needs no further step.
        let inOrder = used.filter { wanted.contains($0) } + wanted.subtracting(used).sorted()
        for i in inOrder {
            switch table.columns[i].kind {
            case .physical:
                physical.append(table.physicalIndex(of: i))
                delivered.append(i)
            case .metadata(let index, _):
                metadata.append(index)
                deliveredMetadata.append(i)
            case .computed: break
            }
        }
        if physical.isEmpty && metadata.isEmpty,
            let first = table.columns.firstIndex(where: { if case .physical = $0.kind { true } else { false } })
        {
            physical = [table.physicalIndex(of: first)]
            delivered = [first]
        }
        let order = delivered + deliveredMetadata
        let place = Dictionary(uniqueKeysWithValues: order.enumerated().map { ($1, $0) })
        self.table = table
        self.physical = physical
        self.metadata = metadata
        deliveredCount = order.count
        columns = used.map { table.planColumn($0) }
        exprs = used.map { i in
            if case .computed(let expr, _) = table.columns[i].kind { return expr.mapColumns { place[$0]! } }
            return .column(place[i]!, table.columns[i].type)
        }
        position = Dictionary(uniqueKeysWithValues: used.enumerated().map { ($1, $0) })
    }

    /// Makes the function from delivered batches to the vertex's output; nil when they are the same.
    func prepare(_ context: EvaluationContext) -> (@Sendable () throws -> (Batch) throws -> Batch)? {
        let isPlain =
            exprs.count == deliveredCount && exprs.enumerated().allSatisfy { i, e in if case .column(i, _) = e { true } else { false } }
        if isPlain { return nil }
        let exprs = exprs
        return {
            let evaluator = Evaluator(exprs, context: context)
            return { batch in
                var result = batch
                result.columns = try evaluator.evaluate(batch)
                return result
            }
        }
    }

    /// Columns that a scan must have for its watermark, whatever the query reads.
    static func watermarkColumns(_ table: CatalogTable) -> Set<Int> {
        guard let watermark = table.watermark else { return [] }
        return (delay(watermark) == nil ? watermark.expr.columns : []).union([watermark.column])
    }

    /// Milliseconds of a watermark of the form `column - INTERVAL ...`, or of the column alone; nil for other forms.
    private static func delay(_ watermark: CatalogTable.Watermark) -> Int64? {
        switch watermark.expr {
        case .column(watermark.column, _): return 0
        case .call(let f, let args) where f.name == "-" && args.count == 2:
            guard case .column(watermark.column, _) = args[0], args[1].type == .intervalDayTime,
                case .int(let milliseconds)? = Binding.constant(args[1]), milliseconds >= 0
            else { return nil }
            return milliseconds
        default: return nil
        }
    }

    func watermark(_ settings: SessionSettings, _ context: EvaluationContext) throws -> WatermarkStrategy? {
        guard let watermark = table.watermark else { return nil }
        var idle = settings.idleTimeout
        if let option = table.descriptor.options[TableChecks.idleTimeoutOption] {
            // Checked when the table was declared.
            idle = Durations.parse(option).flatMap { $0 == .zero ? nil : $0 }
        }
        let name = table.columns[watermark.column].name
        let time = position[watermark.column]!
        if let delay = Self.delay(watermark) {
            return WatermarkStrategy(timeColumn: time, columnName: name, delayMilliseconds: delay, idleTimeout: idle)
        }
        let expr = watermark.expr.mapColumns { position[$0]! }
        return WatermarkStrategy(timeColumn: time, columnName: name, idleTimeout: idle) { batch in
            try Evaluator([expr], context: context).evaluate(batch)[0].flat()
        }
    }
}

/// One scan for all that read the same table in the same way.
enum SharedScans {
    /// Equal for scans that can be one.
    static func key(_ scan: LogicalPlan.Scan) -> String {
        let options = scan.table.descriptor.options.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
        let partitions = scan.partitionFilter.sorted { $0.key < $1.key }.map { "\($0):\($1.map { "\($0)" }.sorted())" }
        let ranges = scan.partitionRanges.sorted { $0.key < $1.key }.map { "\($0):\($1)" }
        let name = "\(scan.table.path)" + (scan.table.temporary ? " temporary" : "")
        return ([name] + options + ["|"] + partitions + ["|"] + ranges + ["|"] + scan.filter.map { "\($0)" }).joined(separator: ";")
    }

    /// Widens scans of the same table to the columns that any of them uses. One that puts broken records aside is read once, whatever
    /// partitions are wanted of it where, as each of those records is to be put aside once.
    static func widened(_ plans: [LogicalPlan]) -> [LogicalPlan] {
        let plans = unitingPartitions(plans)
        var used: [String: Set<Int>] = [:], counts: [String: Int] = [:]
        func collect(_ plan: LogicalPlan) {
            if case .scan(let scan) = plan {
                used[key(scan), default: []].formUnion(scan.used)
                counts[key(scan), default: 0] += 1
            }
            plan.inputs.forEach(collect)
        }
        plans.forEach(collect)
        return plans.map { plan in
            CalcMerging().apply(
                plan.rewritten { step in
                    guard case .scan(var scan) = step, counts[key(scan)]! > 1, case let all = used[key(scan)]!.sorted(), all != scan.used
                    else { return step }
                    let kept = scan.used.map { all.firstIndex(of: $0)! }
                    scan.used = all
                    return .project(.scan(scan), .columns(kept, of: scan.columns))
                })
        }
    }

    private static func unitingPartitions(_ plans: [LogicalPlan]) -> [LogicalPlan] {
        func whole(_ scan: LogicalPlan.Scan) -> LogicalPlan.Scan {
            var copy = scan
            (copy.partitionFilter, copy.partitionRanges, copy.filter) = ([:], [:], [])
            return copy
        }
        var keys: [String: Set<String>] = [:]
        func collect(_ plan: LogicalPlan) {
            if case .scan(let scan) = plan, BadInput.putsAside(scan.table.descriptor) { keys[key(whole(scan)), default: []].insert(key(scan)) }
            plan.inputs.forEach(collect)
        }
        plans.forEach(collect)
        guard keys.contains(where: { $0.value.count > 1 }) else { return plans }
        return plans.map { plan in
            plan.rewritten { step in
                if case .scan(let scan) = step, keys[key(whole(scan)), default: []].count > 1 { .scan(whole(scan)) } else { step }
            }
        }
    }
}
