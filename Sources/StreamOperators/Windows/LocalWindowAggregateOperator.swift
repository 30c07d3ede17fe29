import StreamCore

/// The step in front of the exchange: rows of one group and slice become one row of partial results.
///
/// Held rows are emitted before a watermark passes that could fire one of their windows, before a barrier, and when they are
/// many. Where keys hardly repeat, looking them up gains nothing: each row is then passed on as a partial result of its own,
/// and from time to time it is tried again whether that still holds.
final class LocalWindowAggregateOperator: StreamOperator {
    private let spec: WindowAggregateSpec
    private let windowing: Windowing
    private var clock: WindowClock
    private let store: SliceStore
    private let partition = SlicePartition()
    /// One group per row, for rows that are passed on.
    private let single: AccumulatorSet
    private let times = Scratch<Int64>(), ids = Scratch<Int32>()
    private var rowsHeld = 0
    private var firstSlice = Int64.max
    /// Rows to pass on before the next try.
    private var passRows = 0
    private var arrivals: Int64 = 0

    private static let entriesMax = 65_536
    private static let passRowsAtOnce = 1 << 20

    init(_ spec: WindowAggregateSpec) throws {
        guard spec.supportsTwoPhase else {
            throw StreamError(.plan, "a window aggregate of \(spec.aggregates.map(\.function)) cannot be split in two steps",
                              fix: "plan it as one step")
        }
        self.spec = spec
        windowing = try Windowing(spec.window)
        clock = try WindowClock(spec)
        let plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: false)
        store = SliceStore(plan: plan, keyTypes: spec.keys.map { spec.inputSchema[$0].type })
        single = plan.makeSet()
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let rows = batch.selection?.rows
        let times = times.reserve(n)
        try WindowTimes.read(batch, column: spec.timeColumn, name: spec.inputSchema[spec.timeColumn].name, clock: &clock, into: times)
        if passRows > 0 {
            passRows -= n
            try passOn(batch, times, output)
            return .done
        }
        let groups = ids.reserve(n)
        store.table.lookup(spec.keys.map { batch.columns[$0] }, rows: rows, count: n, into: groups)
        let columns = store.plan.plainColumns(batch)
        for part in partition.split(times, groups: groups, rows: rows, count: n, windowing) {
            store.update(part, columns: columns, kinds: nil, firstArrival: arrivals)
            firstSlice = min(firstSlice, part.slice)
        }
        arrivals += Int64(batch.physicalCount)
        rowsHeld += n
        if store.table.count * store.slices.count > Self.entriesMax { try flush(output) }
        return .done
    }

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        if !store.isEmpty, clock.firedEnd(windowing, watermark: watermark) > firstSlice { try flush(output) }
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
        var emitted = 0
        for slice in store.slices.values.sorted(by: { $0.index < $1.index }) {
            let groups = store.liveGroups(of: slice)
            try groups.withUnsafeBufferPointer { groups in
                for start in stride(from: 0, to: groups.count, by: Batch.targetRows) {
                    let ids = groups.baseAddress! + start, n = min(Batch.targetRows, groups.count - start)
                    let end = Column.constant(.int(windowing.time(ofSlice: slice.index + 1)), type: .timestamp(3), count: n)
                    try output.emit(Batch(columns: store.table.keyColumns(ids, count: n) + [end] + slice.set.state(ids, count: n),
                                          physicalCount: n))
                }
            }
            emitted += groups.count
            store.remove(slice)
        }
        if rowsHeld >= 4_096, emitted * 2 > rowsHeld { passRows = Self.passRowsAtOnce }
        if store.table.count > 16_384 || passRows > 0 { store.removeAllGroups() }
        rowsHeld = 0
        firstSlice = .max
    }

    private func passOn(_ batch: Batch, _ times: UnsafePointer<Int64>, _ output: any Output) throws {
        let n = batch.count
        let all = Selection.all(n)
        single.reserve(n)
        let state = withExtendedLifetime(all) {
            single.update(UpdateInput(columns: store.plan.plainColumns(batch), groups: all.rows, rows: batch.selection?.rows, count: n))
            return single.state(all.rows, count: n)
        }
        // The receiver finds the slice of `end - 1`: any time of the slice does, and the row's own costs no division.
        let ends = Column.make(.timestamp(3), count: n, zero: Int64(0)) { times[$0] + 1 }
        let keys = spec.keys.map { batch.columns[$0].taking(batch.selection?.rows, count: n) }
        try output.emit(Batch(columns: keys + [ends] + state, physicalCount: n))
        single.clear(n)
    }
}
