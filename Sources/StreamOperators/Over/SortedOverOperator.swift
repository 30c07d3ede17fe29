import StreamCore

/// OVER by any columns, or over rows that may be taken back: all rows of a partition are kept in order, and a batch that changes a
/// partition has its results computed anew. Rows whose results differ from those given before are updated.
final class SortedOverOperator: KeyedStateOperator {
    private let spec: OverSpec
    private let rows: KeyedRows
    private let sortKeys: RowSortKeys
    private let evaluator: OverEvaluator
    /// For a RANGE of limited length.
    private let timeColumn: Int?
    private let versions = VersionCounter()
    private var context = OperatorContext(name: "over")
    private var set: AccumulatorSet
    private let made = Scratch<SortWord>(), numbers = Scratch<Int32>()
    private let touchOf = GroupArray<Int32>(fill: -1)
    /// Where a row stood before the batch, by row number; -1 = it was not there.
    private let placeOf = GroupArray<Int32>(fill: -1)
    private var waiting = BatchQueue()

    /// Results of some partitions' rows, in the order of `ids`.
    private struct Results {
        var ids: [Int32] = [], groups: [Int32] = []
        var columns: [Column] = []
    }

    init(_ spec: OverSpec, _ order: [SortSpec.Key]) throws {
        try SortKeys.check(order, spec.inputSchema)
        self.spec = spec
        if spec.frame.isRange, spec.frame.preceding != nil {
            guard order.count == 1, !order[0].descending, spec.inputSchema[order[0].column].type.timeUnit == .milliseconds else {
                throw StreamError(.validate, "RANGE with an interval needs an ascending order by one TIMESTAMP(3) or TIMESTAMP_LTZ(3) column",
                                  fix: "begin the window with UNBOUNDED PRECEDING")
            }
            timeColumn = order[0].column
        } else {
            timeColumn = nil
        }
        evaluator = try OverEvaluator(spec.calls, spec.frame, spec.inputSchema)
        set = evaluator.plan.makeSet()
        rows = KeyedRows(spec.inputSchema, keys: spec.partition, timeToLive: spec.stateTTL, versions: versions)
        sortKeys = RowSortKeys(SortWords(order, spec.inputSchema))
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.partition.map { batch.columns[$0] } }

    var keyedState: KeyedStateForm {
        KeyedStateForm(keyCount: spec.partition.count, kinds: [.init("rows", rows.stateColumns, timeToLive: rows.expiry?.timeToLive)])
    }

    // MARK: Input

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let groups = rows.lookup(batch)
        expire(groups, n)
        touchOf.reserve(rows.table.count)
        var touched: [Int32] = []
        for i in 0..<n where touchOf.base[Int(groups[i])] < 0 {
            touchOf.base[Int(groups[i])] = Int32(touched.count)
            touched.append(groups[i])
        }
        let before = results(touched)
        let removed = apply(batch, groups)
        emit(before, results(touched))
        for group in touched {
            touchOf.base[Int(group)] = -1
            rows.changes.mark(Int(group))
        }
        rows.expiry?.touch(touched, context.now())
        if !removed.isEmpty { removed.withUnsafeBufferPointer { rows.arena.remove($0.baseAddress!, count: $0.count) } }
        if let kept = rows.groupsToKeep({ rows.lists.count($0) > 0 }) {
            rows.keep(kept)
            touchOf.remap([])
        }
        return try waiting.emit(to: output)
    }

    func resume(_ output: any Output) throws -> Progress { try waiting.emit(to: output) }

    /// Forgets partitions that are too old, without a word.
    private func expire(_ groups: UnsafePointer<Int32>, _ n: Int) {
        guard let expiry = rows.expiry else { return }
        let now = context.now()
        var old = expiry.sweep(2 * n + 1_024, of: rows.table.count, now)
        for i in 0..<n where expiry.isExpired(groups[i], now) { old.append(groups[i]) }
        for group in old where rows.lists.count(group) > 0 {
            rows.arena.remove(rows.lists.rows(group), count: rows.lists.count(group))
            rows.lists.removeAll(of: group)
            rows.changes.mark(Int(group))
        }
    }

    /// Puts rows into their partitions' orders and takes others out. Returns the numbers of those that are gone.
    private func apply(_ batch: Batch, _ groups: UnsafePointer<Int32>) -> [Int32] {
        let n = batch.count, ids = numbers.reserve(n), words = made.reserve(n), lists = rows.lists
        let tails = sortKeys.words.make(batch.columns, rows: batch.selection?.rows, count: n, into: words)
        rows.add(batch.columns, rows: batch.selection?.rows, count: n, into: ids)
        sortKeys.set(ids, words, tails, at: nil, count: n, capacity: rows.arena.capacity)
        var removed: [Int32] = []
        for i in 0..<n {
            let group = groups[i], list = lists.rows(group), m = lists.count(group)
            if batch.kind(atPhysical: batch.row(i)).isAdd {
                lists.insert(ids[i], at: sortKeys.upperBound(list, m, ids[i]), of: group)
                continue
            }
            removed.append(ids[i])
            var at = sortKeys.lowerBound(list, m, ids[i])
            while at < m, !rows.arena.isEqual(list[at], ids[i]), !sortKeys.precedes(ids[i], list[at]) { at += 1 }
            guard at < m, rows.arena.isEqual(list[at], ids[i]) else { continue }
            removed.append(list[at])
            lists.remove(at: at, of: group)
        }
        return removed
    }

    // MARK: Results

    private func results(_ groups: [Int32]) -> Results {
        var made = Results(), runs: [OverEvaluator.Run] = []
        for (slot, group) in groups.enumerated() {
            let n = rows.lists.count(group), start = made.ids.count
            made.ids.append(contentsOf: UnsafeBufferPointer(start: rows.lists.rows(group), count: n))
            for _ in 0..<n { made.groups.append(group) }
            runs.append(.init(slot: Int32(slot), earlier: start, earlierCount: 0, from: 0, new: start, newCount: n, frameStart: 0, counts: .init()))
        }
        let n = made.ids.count
        guard n > 0 else {
            made.columns = spec.calls.map { ColumnBuilder(type: $0.resultType).finish() }
            return made
        }
        let columns = inputColumns(made.groups, made.ids)
        var times: [Int64] = []
        if let timeColumn {
            let column = columns[timeColumn]
            withExtendedLifetime(column) { times = (0..<n).map { column.pointer(as: Int64.self)[$0] } }
        }
        var peers = [Int32](repeating: 0, count: n)
        for run in runs {
            for p in run.new..<run.new + run.newCount {
                let isPeer = p > run.new && !sortKeys.precedes(made.ids[p - 1], made.ids[p])
                peers[p] = isPeer ? peers[p - 1] : Int32(truncatingIfNeeded: p)
            }
        }
        set.reserve(groups.count)
        set.clear(groups.count)
        var arrivals: Int64 = 0
        made.columns = evaluator.evaluate(columns, times: times, peers: peers, runs: &runs, set: set, arrivals: &arrivals).results.map { $0.flat() }
        return made
    }

    private func inputColumns(_ groups: [Int32], _ ids: [Int32]) -> [Column] {
        groups.withUnsafeBufferPointer { groups in
            ids.withUnsafeBufferPointer { rows.columns(groups.baseAddress!, $0.baseAddress!, count: ids.count) }
        }
    }

    // MARK: Output

    private func emit(_ before: Results, _ after: Results) {
        placeOf.reserve(rows.arena.capacity)
        for (i, id) in before.ids.enumerated() { placeOf.base[Int(id)] = Int32(truncatingIfNeeded: i) }
        // Which rows stayed, by where they stand now and stood before.
        var now: [Int32] = [], then: [Int32] = []
        for (i, id) in after.ids.enumerated() where placeOf.base[Int(id)] >= 0 {
            now.append(Int32(truncatingIfNeeded: i))
            then.append(placeOf.base[Int(id)])
            placeOf.base[Int(id)] = -2
        }
        var differs = [Bool](repeating: false, count: now.count)
        if !now.isEmpty {
            for (old, new) in zip(before.columns, after.columns) { old.gather(then).forEachDifference(from: new.gather(now)) { differs[$0] = true } }
        }
        // Row i of `before` is row i of both put together, row i of `after` is behind them.
        let width = Int32(truncatingIfNeeded: before.ids.count)
        var picks: [Int32] = [], kinds: [UInt8] = []
        func add(_ kind: RowKind, _ row: Int32) {
            picks.append(row)
            kinds.append(kind.rawValue)
        }
        for (i, id) in before.ids.enumerated() where placeOf.base[Int(id)] >= 0 { add(.delete, Int32(truncatingIfNeeded: i)) }
        for k in now.indices where differs[k] {
            if spec.emitsUpdateBefore { add(.updateBefore, then[k]) }
            add(.updateAfter, width + now[k])
        }
        for (i, id) in after.ids.enumerated() where placeOf.base[Int(id)] == -1 { add(.insert, width + Int32(truncatingIfNeeded: i)) }
        for id in before.ids { placeOf.base[Int(id)] = -1 }
        for id in after.ids { placeOf.base[Int(id)] = -1 }
        guard !picks.isEmpty else { return }
        let ids = before.ids + after.ids, groups = before.groups + after.groups
        let results = zip(before.columns, after.columns).map { Column.concatenated([$0, $1]) }
        let insertsOnly = kinds.allSatisfy { $0 == RowKind.insert.rawValue }
        var start = 0
        while start < picks.count {
            var end = min(start + Batch.targetRows, picks.count)
            if spec.emitsUpdateBefore, end < picks.count, kinds[end] == RowKind.updateAfter.rawValue { end -= 1 }
            let part = Array(picks[start..<end])
            waiting.append(Batch(
                columns: inputColumns(part.map { groups[Int($0)] }, part.map { ids[Int($0)] }) + results.map { $0.gather(part) },
                physicalCount: part.count, rowKinds: insertsOnly ? nil : kinds[start..<end].withUnsafeBytes { Buffer(copying: $0) }))
            start = end
        }
    }

    // MARK: State

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        OperatorSnapshot(units: rows.units("rows", maxParallelism: context.maxParallelism))
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            guard piece.name == "rows" else { throw piece.unknown(operator: context.name) }
            try rows.restore(piece, operator: context.name, now: context.now()) { columns, _, ids, n in
                let words = made.reserve(n)
                let tails = sortKeys.words.make(columns, rows: nil, count: n, into: words)
                sortKeys.set(ids, words, tails, at: nil, count: n, capacity: rows.arena.capacity)
            }
        }
    }
}
