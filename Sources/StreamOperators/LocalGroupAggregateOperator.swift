import StreamCore

/// The step of a GROUP BY in front of the exchange: rows of one group become one row of partial results for each bundle.
///
/// Where keys hardly repeat within a bundle, looking them up gains nothing: rows are then passed on as partial results of their
/// own, and from time to time it is tried again whether that still holds.
final class LocalGroupAggregateOperator: StreamOperator {
    private let spec: GroupAggregateSpec
    private let miniBatch: GroupAggregateSpec.MiniBatch
    private let plan: AggregatePlan
    private let table: GroupTable
    private let set: AccumulatorSet
    /// One group per row, for rows that are passed on.
    private let single: AccumulatorSet
    private var context = OperatorContext(name: "local group aggregate")
    private let ids = Scratch<Int32>(), splitRows = Scratch<Int32>(), splitGroups = Scratch<Int32>()
    private var rowsHeld = 0
    private var bundleEnd: Int64?
    /// Rows to pass on before the next try.
    private var passRows = 0

    private static let passRowsAtOnce = 1 << 20

    init(_ spec: GroupAggregateSpec) throws {
        guard spec.supportsTwoPhase, let miniBatch = spec.miniBatch else {
            throw StreamError(.plan, "an aggregation of \(spec.aggregates.map(\.function)) cannot be split in two steps", fix: "plan it as one step")
        }
        self.spec = spec
        self.miniBatch = miniBatch
        plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        table = GroupTable(types: spec.keys.map { spec.inputSchema[$0].type })
        set = plan.makeSet()
        single = plan.makeSet()
    }

    func open(_ context: OperatorContext) { self.context = context }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        if passRows > 0 {
            passRows -= n
            try passOn(batch, output)
            return .done
        }
        let groups = ids.reserve(n)
        table.lookup(spec.keys.map { batch.columns[$0] }, rows: batch.selection?.rows, count: n, into: groups)
        set.reserve(table.count)
        update(set, batch, groups, isSingleGroup: !table.hasKeys)
        rowsHeld += n
        if bundleEnd == nil { bundleEnd = context.now() + miniBatch.latency }
        if rowsHeld >= miniBatch.rows { try flush(output) }
        return .done
    }

    private func update(_ set: AccumulatorSet, _ batch: Batch, _ groups: UnsafePointer<Int32>, isSingleGroup: Bool) {
        let n = batch.count, rows = batch.selection?.rows
        var input = UpdateInput(columns: plan.plainColumns(batch), groups: groups, rows: rows, count: n, isSingleGroup: isSingleGroup)
        guard let kinds = batch.rowKinds?.pointer(as: UInt8.self) else { return set.update(input) }
        for retract in [false, true] {
            let toRows = splitRows.reserve(n + 1), toGroups = splitGroups.reserve(n + 1)
            let wanted: UInt8 = retract ? 1 : 0
            var kept = 0
            forEachRow(rows, n) { i, row in
                toRows[kept] = Int32(truncatingIfNeeded: row)
                toGroups[kept] = groups[i]
                kept &+= kinds[row] & 1 == wanted ? 1 : 0
            }
            (input.rows, input.groups, input.count, input.retract) = (UnsafePointer(toRows), UnsafePointer(toGroups), kept, retract)
            set.update(input)
        }
    }

    var wakeAt: Int64? { bundleEnd }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        if let bundleEnd, now >= bundleEnd { try flush(output) }
        return .done
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        if watermark == .max { try flush(output) }
        return .done
    }

    func finish(input: Int, output: any Output) throws -> Progress {
        try flush(output)
        return .done
    }

    func idle(output: any Output) throws { try flush(output) }
    func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws { try flush(output) }

    /// What was held is downstream by now: there is nothing to keep.
    func restore(_ state: RestoredState) throws {}

    private func flush(_ output: any Output) throws {
        bundleEnd = nil
        let count = table.count
        guard rowsHeld > 0, count > 0 else { return }
        for start in stride(from: 0, to: count, by: Batch.targetRows) {
            let range = Selection.range(start..<min(start + Batch.targetRows, count))
            let columns = withExtendedLifetime(range) {
                table.keyColumns(range.rows, count: range.count) + set.state(range.rows, count: range.count)
            }
            try output.emit(Batch(columns: columns, physicalCount: range.count))
        }
        if rowsHeld >= 4_096, count * 2 > rowsHeld { passRows = Self.passRowsAtOnce }
        rowsHeld = 0
        set.clear(count)
        table.removeAll()
    }

    private func passOn(_ batch: Batch, _ output: any Output) throws {
        let n = batch.count
        let all = Selection.all(n)
        single.reserve(n)
        let state = withExtendedLifetime(all) {
            update(single, batch, all.rows, isSingleGroup: false)
            return single.state(all.rows, count: n)
        }
        let keys = spec.keys.map { batch.columns[$0].taking(batch.selection?.rows, count: n) }
        try output.emit(Batch(columns: keys + state, physicalCount: n))
        single.clear(n)
    }
}
