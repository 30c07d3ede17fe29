import StreamCore

extension Operators {
    /// Makes a full changelog of rows that are known by a primary key only: +I for a key's first row, +U (with -U before it if wanted)
    /// for another one, nothing for the same one again, and -D with the row as it was. Its input must be partitioned by the keys.
    public static func changelogNormalize(_ spec: UpsertSpec) -> Factory { keyed { ChangelogNormalizeOperator(spec) } }
}

final class ChangelogNormalizeOperator: KeyedStateOperator {
    private let spec: UpsertSpec
    private let state: RowsByKey
    private var context = OperatorContext(name: "changelog normalize")
    private var changes = ChangeList()

    init(_ spec: UpsertSpec) {
        self.spec = spec
        state = RowsByKey(schema: spec.inputSchema, keys: spec.keys, timeToLive: spec.stateTTL?.wholeMilliseconds)
    }

    var keyedState: KeyedStateForm { state.form }
    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.keys.map { batch.columns[$0] } }

    func open(_ context: OperatorContext) {
        self.context = context
        state.start(at: context.now())
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let batch = batch.compacted(), n = batch.count
        guard n > 0 else { return .done }
        let groups = state.groups(batch.columns, rows: nil, count: n, now: context.now())
        var numbers = [Int32](repeating: 0, count: n)
        numbers.withUnsafeMutableBufferPointer { state.arena.add(batch.columns, rows: nil, count: n, into: $0.baseAddress!) }
        for i in 0..<n {
            let (row, group) = (numbers[i], groups[i])
            let before = state.lists[Int(group)].last
            if batch.kind(atPhysical: i).isAdd { put(row, group, before) } else { takeBack(row, group, before) }
        }
        try changes.emit(state.arena, output)
        return .done
    }

    private func put(_ row: Int32, _ group: Int32, _ before: Int32?) {
        guard let before else {
            state.update(group) { $0 = [row] }
            return changes.add(.insert, row)
        }
        // With a time to live a reader may have forgotten the row that is the same.
        if spec.stateTTL == nil, state.arena.isEqual(before, row) { return changes.removed.append(row) }
        state.update(group) { $0 = [row] }
        if spec.emitUpdateBefore { changes.add(.updateBefore, before) }
        changes.add(.updateAfter, row)
        changes.removed.append(before)
    }

    private func takeBack(_ row: Int32, _ group: Int32, _ before: Int32?) {
        changes.removed.append(row)
        guard let before else { return }
        state.update(group) { $0 = [] }
        changes.add(.delete, before)
        changes.removed.append(before)
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(units: state.units(maxParallelism: context.maxParallelism)) }
    func restore(_ state: RestoredState) throws { try self.state.restore(state, operator: context.name, now: context.now()) }
}
