import StreamCore

/// ``GroupAggregateOperator`` over a store: an entry per group.
final class StoredGroupAggregateOperator: StoredOperator {
    private let spec: GroupAggregateSpec
    private let plan: AggregatePlan

    private let keyColumns: [Int]

    /// - Parameter takesPartials: rows are those of ``Operators/localGroupAggregate(_:)``.
    init(_ spec: GroupAggregateSpec, takesPartials: Bool = false) throws {
        self.spec = spec
        keyColumns = takesPartials ? Array(spec.keys.indices) : spec.keys
        plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        // Two hash tables and the accumulators, with room to grow.
        try super.init(entryBytes: 64 + 2 * StoredLayout.width(spec.keys.map { spec.inputSchema[$0].type } + plan.stateTypes), rowBytes: plan.growsWithRows ? 256 : 0) {
            try GroupAggregateOperator(spec, takesPartials: takesPartials)
        }
    }

    override func layouts() -> [StoredLayout] {
        let keys = spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) }
        let accumulators = zip(plan.stateNames(spec.inputSchema.map(\.name)), plan.stateTypes)
        return [StoredLayout(name: "groups", columns: StateColumns(keys + accumulators), identityCount: keys.count, keys: Array(keys.indices),
                             isTimed: spec.stateTTL != nil, hasNulls: plan.stateHasNulls, maxParallelism: context.maxParallelism)]
    }

    override var timesToLive: [Int64?] { [spec.stateTTL?.wholeMilliseconds] }

    override func prepare(_ batch: Batch, input: Int) throws {
        let new = states[0].touch(keyColumns.map { batch.columns[$0] }, rows: batch.selection?.rows, count: batch.count)
        if !isComplete { try give(states[0].read(new)) }
    }
}
