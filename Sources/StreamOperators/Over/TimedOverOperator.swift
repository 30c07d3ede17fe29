import StreamCore

/// OVER by event time, or by arrival: each row comes out once.
///
/// By event time rows are held, in order of time and then of arrival, until the watermark has passed them. A row is late, dropped and
/// counted, when an unlimited frame has had its time as the watermark, or when a row of its partition at its time or a later one
/// has come out of a limited frame: there a partition that nothing has come out of yet takes any row.
///
///     rows of a partition    | earlier, of the frame or read by LAG | to come out |
final class TimedOverOperator: KeyedStateOperator {
    private let spec: OverSpec
    private let rows: KeyedRows
    private let evaluator: OverEvaluator
    /// nil = by arrival.
    private let timeColumn: Int?
    private let isLimited: Bool
    private let versions = VersionCounter()
    private var context = OperatorContext(name: "over")
    private let set: AccumulatorSet
    private var watermark = Int64.min, arrivals: Int64 = 0
    /// By row number.
    private let timeOf = GroupArray<Int64>(fill: 0)
    // By group: rows that came out already, those of them before the frame, numbers so far, time of the last row that came out,
    // and of the first that is to come out.
    private let earlier = GroupArray<Int32>(fill: 0), beforeFrame = GroupArray<Int32>(fill: 0)
    private let counts = GroupArray<OverEvaluator.Counts>(fill: .init())
    private let lastTime = GroupArray<Int64>(fill: .min), dueAt = GroupArray<Int64>(fill: .max)
    private var heap = DueHeap()
    private var waiting = BatchQueue()
    private let numbers = Scratch<Int32>()
    private static let rowsAtOnce = 32_768

    init(_ spec: OverSpec) throws {
        var spec = spec
        if case .eventTime(let column) = spec.order {
            timeColumn = column
            guard spec.inputSchema[column].type.timeUnit == .milliseconds else {
                throw StreamError(.validate, "OVER is ordered by \(spec.inputSchema[column].name) of type \(spec.inputSchema[column].type)",
                                  fix: "use a TIMESTAMP(3) or TIMESTAMP_LTZ(3) column with a WATERMARK")
            }
        } else {
            timeColumn = nil
            guard spec.frame.preceding == nil || !spec.frame.isRange else {
                throw StreamError(.validate, "RANGE with an interval is not supported without a time attribute to order by",
                                  fix: "order by a column with a WATERMARK, or use ROWS")
            }
            spec.frame.isRange = false
        }
        self.spec = spec
        isLimited = spec.frame.preceding != nil
        evaluator = try OverEvaluator(spec.calls, spec.frame, spec.inputSchema)
        set = evaluator.plan.makeSet()
        rows = KeyedRows(spec.inputSchema, keys: spec.partition, timeToLive: spec.stateTTL, versions: versions)
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.partition.map { batch.columns[$0] } }

    private func reserve() {
        let n = rows.table.count
        earlier.reserve(n)
        beforeFrame.reserve(n)
        counts.reserve(n)
        lastTime.reserve(n)
        dueAt.reserve(n)
        set.reserve(n)
    }

    // MARK: Input

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let groups = rows.lookup(batch)
        reserve()
        expire(groups, n)
        var picks: [Int32] = [], owners: [Int32] = [], times: [Int64] = []
        if let timeColumn {
            let column = batch.columns[timeColumn].flat()
            withExtendedLifetime(column) {
                let time = column.pointer(as: Int64.self)
                for i in 0..<n {
                    let row = batch.row(i)
                    guard column.isValid(row), time[row] > (isLimited ? lastTime.base[Int(groups[i])] : watermark) else { continue }
                    picks.append(Int32(truncatingIfNeeded: row))
                    owners.append(groups[i])
                    times.append(time[row])
                }
            }
            if picks.count < n { context.metrics.lateRows.add(n - picks.count) }
        } else {
            for i in 0..<n {
                picks.append(Int32(truncatingIfNeeded: batch.row(i)))
                owners.append(groups[i])
                times.append(0)
            }
        }
        if !picks.isEmpty { hold(batch, picks, owners, times) }
        if let kept = rows.groupsToKeep({ isLive($0) }) { keep(kept) }
        return timeColumn == nil ? try resume(output) : .done
    }

    private func hold(_ batch: Batch, _ picks: [Int32], _ owners: [Int32], _ times: [Int64]) {
        let m = picks.count, ids = numbers.reserve(m), lists = rows.lists
        picks.withUnsafeBufferPointer { rows.add(batch.columns, rows: $0.baseAddress!, count: m, into: ids) }
        timeOf.reserve(rows.arena.capacity)
        let now = context.now()
        // A row behind the watermark that is taken all the same comes out when event time next moves on: not when a watermark is
        // told once more, as it is after a restart.
        let soonest = watermark == .min || watermark == .max ? watermark : watermark + 1
        for i in 0..<m {
            let group = owners[i], time = times[i], due = max(time, soonest)
            timeOf.base[Int(ids[i])] = time
            let list = lists.rows(group), n = lists.count(group)
            var (low, high) = (Int(earlier.base[Int(group)]), n)
            if n > low, timeOf.base[Int(list[n - 1])] <= time { low = n }
            while low < high {
                let middle = (low + high) >> 1
                if timeOf.base[Int(list[middle])] <= time { low = middle + 1 } else { high = middle }
            }
            lists.insert(ids[i], at: low, of: group)
            if due < dueAt.base[Int(group)] {
                dueAt.base[Int(group)] = due
                heap.push(due, group)
            }
            rows.changes.mark(Int(group))
            rows.expiry?.set(group, now)
        }
    }

    private func isLive(_ group: Int32) -> Bool {
        rows.lists.count(group) > 0 || lastTime.base[Int(group)] != .min || counts.base[Int(group)].rows > 0
    }

    /// Partitions with rows to come out are not forgotten.
    private func expire(_ groups: UnsafePointer<Int32>, _ n: Int) {
        guard let expiry = rows.expiry else { return }
        let now = context.now()
        var old = expiry.sweep(2 * n + 1_024, of: rows.table.count, now)
        for i in 0..<n where expiry.isExpired(groups[i], now) { old.append(groups[i]) }
        for group in old where isLive(group) && dueAt.base[Int(group)] == .max {
            removeFirst(rows.lists.count(group), of: group)
            let g = Int(group)
            (earlier.base[g], beforeFrame.base[g], counts.base[g], lastTime.base[g]) = (0, 0, .init(), .min)
            withUnsafePointer(to: group) { set.reset($0, count: 1) }
            rows.changes.mark(g)
        }
    }

    private func removeFirst(_ n: Int, of group: Int32) {
        guard n > 0 else { return }
        rows.arena.remove(rows.lists.rows(group), count: n)
        rows.lists.removeFirst(n, of: group)
    }

    private func keep(_ kept: [Int32]) {
        rows.keep(kept)
        earlier.remap(kept)
        beforeFrame.remap(kept)
        counts.remap(kept)
        lastTime.remap(kept)
        dueAt.remap(kept)
        set.remap(kept)
        heap.removeAll()
        for group in 0..<Int32(kept.count) where dueAt.base[Int(group)] != .max { heap.push(dueAt.base[Int(group)], group) }
    }

    // MARK: Output

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        return timeColumn == nil ? .done : try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while true {
            guard try waiting.emit(to: output) == .done else { return .more }
            guard fire() else { return .done }
        }
    }

    /// Makes batches of rows that are due, of as many partitions as are worth a batch; false when there are none.
    private func fire() -> Bool {
        let limit = timeColumn == nil ? Int64.max : watermark
        var runs: [OverEvaluator.Run] = [], ids: [Int32] = [], owners: [Int32] = []
        while ids.count < Self.rowsAtOnce, let time = heap.first, time <= limit {
            let (due, group) = heap.pop()
            guard dueAt.base[Int(group)] == due else { continue }
            dueAt.base[Int(group)] = .max  // The heap may have it twice.
            addRun(group, upTo: limit, &runs, &ids, &owners)
        }
        guard !runs.isEmpty else { return false }
        let n = ids.count
        let columns = owners.withUnsafeBufferPointer { owners in
            ids.withUnsafeBufferPointer { rows.columns(owners.baseAddress!, $0.baseAddress!, count: n) }
        }
        let times = ids.map { timeOf.base[Int($0)] }
        var peers = [Int32](repeating: 0, count: n)
        for run in runs {
            for p in run.new..<run.new + run.newCount {
                let isPeer = timeColumn != nil && p > run.new && times[p] == times[p - 1]
                peers[p] = isPeer ? peers[p - 1] : Int32(truncatingIfNeeded: p)
            }
        }
        let (positions, results) = evaluator.evaluate(columns, times: times, peers: peers, runs: &runs, set: set, arrivals: &arrivals)
        for start in stride(from: 0, to: positions.count, by: Batch.targetRows) {
            let part = Array(positions[start..<min(start + Batch.targetRows, positions.count)])
            let range = Selection.range(start..<start + part.count)
            withExtendedLifetime(range) {
                waiting.append(Batch(columns: columns.map { $0.gather(part) } + results.map { $0.gather(range.rows, count: part.count) },
                                     physicalCount: part.count))
            }
        }
        for run in runs { finish(run) }
        return true
    }

    private func addRun(_ group: Int32, upTo limit: Int64, _ runs: inout [OverEvaluator.Run], _ ids: inout [Int32], _ owners: inout [Int32]) {
        let list = rows.lists.rows(group), n = rows.lists.count(group), from = Int(earlier.base[Int(group)])
        var end = from
        while end < n, timeOf.base[Int(list[end])] <= limit { end += 1 }
        // Of the earlier rows those that leave the frame are read again, and those that LAG looks at.
        var read = evaluator.lagRows > 0 ? from : 0
        if read == 0, isLimited { read = leaving(list, from: from, end: end) }
        let start = ids.count
        for row in 0..<read { ids.append(list[row]) }
        for row in from..<end { ids.append(list[row]) }
        for _ in start..<ids.count { owners.append(group) }
        runs.append(.init(slot: group, earlier: start, earlierCount: read, from: from, new: start + read, newCount: end - from,
                          frameStart: Int(beforeFrame.base[Int(group)]), counts: counts.base[Int(group)]))
    }

    /// How many of the earlier rows are out of the frame of the last new one, with the one by whose time that is known.
    private func leaving(_ list: UnsafePointer<Int32>, from: Int, end: Int) -> Int {
        let preceding = spec.frame.preceding!
        guard spec.frame.isRange else { return max(0, min(from, end - 1 - Int(clamping: preceding))) }
        let limit = timeOf.base[Int(list[end - 1])] &- preceding
        var n = 0
        while n < from, timeOf.base[Int(list[n])] < limit { n += 1 }
        return min(n + 1, from)
    }

    private func finish(_ run: OverEvaluator.Run) {
        let group = run.slot, g = Int(group), list = rows.lists.rows(group)
        lastTime.base[g] = timeColumn == nil ? .min : timeOf.base[Int(list[run.end - 1])]
        counts.base[g] = run.counts
        dueAt.base[g] = run.end < rows.lists.count(group) ? timeOf.base[Int(list[run.end])] : .max
        if dueAt.base[g] != .max { heap.push(dueAt.base[g], group) }
        let unread = max(0, run.end - evaluator.lagRows)
        let dropped = isLimited ? min(run.frameStart, unread) : unread
        removeFirst(dropped, of: group)
        earlier.base[g] = Int32(run.end - dropped)
        beforeFrame.base[g] = isLimited ? Int32(run.frameStart - dropped) : 0
        rows.changes.mark(g)
    }

    // MARK: State

    private static let progress = StateColumns([("watermark", .bigint), ("arrivals", .bigint)])
    private static let dueColumn = StateColumns([("due", .timestamp(3))])
    private static let partitionColumns = StateColumns([
        ("earlier_rows", .int), ("before_frame", .int), ("last_time", .timestamp(3)), ("row_count", .bigint), ("rank", .bigint), ("dense_rank", .bigint),
    ])

    /// Accumulators of limited frames are made again of the rows in them.
    private var keepsAccumulators: Bool { !isLimited && evaluator.hasAggregates }

    private var accumulatorColumns: StateColumns {
        rows.keyColumns + StateColumns(Array(zip(evaluator.plan.stateNames(spec.inputSchema.map(\.name)), evaluator.plan.stateTypes)))
    }

    var keyedState: KeyedStateForm {
        let life = rows.expiry?.timeToLive
        var kinds = [KeyedStateForm.Kind("rows", rows.stateColumns, timeToLive: life),
                     .init("partitions", rows.keyColumns + Self.partitionColumns, timeToLive: life)]
        if timeColumn != nil { kinds.append(.init("due", rows.keyColumns + Self.dueColumn)) }
        if keepsAccumulators { kinds.append(.init("accumulators", accumulatorColumns, timeToLive: life)) }
        return KeyedStateForm(keyCount: spec.partition.count, kinds: kinds, due: timeColumn == nil ? nil : "due")
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[watermark, arrivals]])
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }] + rows.units("rows", maxParallelism: context.maxParallelism, more: state))
    }

    private func state(_ range: Range<Int>) -> [KeyedRows.ByGroup] {
        reserve()
        let last = rows.expiry == nil ? StateColumns([] as [(String, DataType)]) : .lastWrite
        let live = range.map { Int32(truncatingIfNeeded: $0) }.filter { isLive($0) }
        func column<T: BitwiseCopyable>(_ type: DataType, _ zero: T, _ value: (Int) -> T) -> Column {
            .make(type, count: live.count, zero: zero) { value(Int(live[$0])) }
        }
        var parts = [KeyedRows.ByGroup(name: "partitions", columns: rows.keyColumns + Self.partitionColumns + last, groups: live, values: [
            column(.int, Int32(0)) { earlier.base[$0] }, column(.int, Int32(0)) { beforeFrame.base[$0] },
            column(.timestamp(3), Int64(0)) { lastTime.base[$0] }, column(.bigint, Int64(0)) { counts.base[$0].rows },
            column(.bigint, Int64(0)) { counts.base[$0].rank }, column(.bigint, Int64(0)) { counts.base[$0].denseRank },
        ] + rows.lastWrites(live))]
        if timeColumn != nil {
            let pending = live.filter { dueAt.base[Int($0)] != .max }
            parts.append(.init(name: "due", columns: rows.keyColumns + Self.dueColumn, groups: pending, values: [
                .make(.timestamp(3), count: pending.count, zero: Int64(0)) { dueAt.base[Int(pending[$0])] },
            ]))
        }
        if keepsAccumulators {
            let filled = live.filter { set.rowCounts[Int($0)] > 0 }
            let values = filled.isEmpty ? [] : filled.withUnsafeBufferPointer { set.state($0.baseAddress!, count: $0.count) }
            parts.append(.init(name: "accumulators", columns: accumulatorColumns + last, groups: filled, values: values + rows.lastWrites(filled)))
        }
        return parts
    }

    func restore(_ state: RestoredState) throws {
        let now = context.now(), name = context.name
        var restored: [Int32] = [], pending: [Int32] = []
        // Rows first: what is said about partitions is about them.
        let pieces = try state.loaded()
        for piece in pieces where piece.name == "rows" {
            try rows.restore(piece, operator: name, now: now) { columns, _, ids, n in
                timeOf.reserve(rows.arena.capacity)
                guard let timeColumn else { return }
                let column = columns[timeColumn]
                withExtendedLifetime(column) { for i in 0..<n { timeOf.base[Int(ids[i])] = column.pointer(as: Int64.self)[i] } }
            }
        }
        for piece in pieces {
            switch piece.name {
            case "rows": break
            case "due":
                let (columns, groups) = try rows.byGroup(piece, rows.keyColumns + Self.dueColumn, operator: name)
                reserve()
                withExtendedLifetime(columns) {
                    for (i, group) in groups.enumerated() {
                        let due = columns[0].pointer(as: Int64.self)[i]
                        dueAt.base[Int(group)] = due
                        heap.push(due, group)
                        pending.append(group)
                    }
                }
            case "progress":
                let columns = try Self.progress.columns(of: piece, operator: name)
                for row in 0..<piece.batch.count {
                    watermark = max(watermark, columns[0].pointer(as: Int64.self)[row])
                    arrivals = max(arrivals, columns[1].pointer(as: Int64.self)[row])
                }
            case "partitions":
                let (columns, groups) = try rows.byGroup(piece, rows.keyColumns + Self.partitionColumns, operator: name)
                reserve()
                restorePartitions(columns, groups, now)
                restored += groups
            case "accumulators" where keepsAccumulators:
                let (columns, groups) = try rows.byGroup(piece, accumulatorColumns, operator: name)
                reserve()
                let width = evaluator.plan.stateTypes.count
                groups.withUnsafeBufferPointer { if let from = $0.baseAddress { set.restore(Array(columns[..<width]), groups: from, count: $0.count) } }
            default: throw piece.unknown(operator: name)
            }
        }
        // Rows may have been forgotten alone, if they were in a store.
        for group in pending where Int(earlier.base[Int(group)]) >= rows.lists.count(group) { dueAt.base[Int(group)] = .max }
        if isLimited, evaluator.hasAggregates { refill(restored) }
    }

    private func restorePartitions(_ columns: [Column], _ groups: [Int32], _ now: Int64) {
        for (i, group) in groups.enumerated() {
            let g = Int(group)
            // Rows may have been forgotten alone, if they were in a store.
            let n = rows.lists.count(group)
            earlier.base[g] = min(columns[0].pointer(as: Int32.self)[i], Int32(n))
            beforeFrame.base[g] = min(columns[1].pointer(as: Int32.self)[i], earlier.base[g])
            lastTime.base[g] = columns[2].pointer(as: Int64.self)[i]
            counts.base[g] = .init(rows: columns[3].pointer(as: Int64.self)[i], rank: columns[4].pointer(as: Int64.self)[i],
                                   denseRank: columns[5].pointer(as: Int64.self)[i])
            rows.changes.mark(g)
            rows.expiry?.set(group, columns.count > 6 ? columns[6].pointer(as: Int64.self)[i] : now)
        }
        withExtendedLifetime(columns) {}
    }

    private func refill(_ groups: [Int32]) {
        var ids: [Int32] = [], owners: [Int32] = []
        for group in groups {
            let list = rows.lists.rows(group)
            for row in Int(beforeFrame.base[Int(group)])..<Int(earlier.base[Int(group)]) {
                ids.append(list[row])
                owners.append(group)
            }
        }
        guard !ids.isEmpty else { return }
        let columns = owners.withUnsafeBufferPointer { owners in
            ids.withUnsafeBufferPointer { rows.columns(owners.baseAddress!, $0.baseAddress!, count: ids.count) }
        }
        evaluator.refill(set, columns, groups: owners, arrivals: &arrivals)
    }
}
