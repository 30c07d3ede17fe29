import StreamCore

/// GROUP BY window, keys with accumulators for each window of a key: for sessions, which depend on the rows, and for windows that
/// give results more than once.
///
/// A row goes into the panes of the windows that hold it. Sessions that a row connects become one. A pane gives its result when
/// the watermark has reached its last millisecond, and goes when it has reached that plus the allowed lateness. With
/// ``WindowAggregateSpec/emission`` results come earlier and later too, as a changelog.
///
/// - Complexity: O(windows that hold it) a row, and O(log panes) a pane.
final class PaneWindowOperator: KeyedStateOperator {
    let spec: WindowAggregateSpec
    let plan: AggregatePlan
    let table: GroupTable
    let panes = PaneTable()
    var content: Freezable<AccumulatorSet>
    var clock: WindowClock
    private(set) var context = OperatorContext(name: "window aggregate")
    let versions = VersionCounter()
    let changes: ChunkVersions
    /// nil for sessions.
    private let windowing: Windowing?
    private let gap: Int64
    private let lateness: Int64
    /// For processing time: the clock when it was last looked at.
    var watermark = Int64.min
    /// Of the sender of the batch: no window is begun that has ended there.
    private var sent = Int64.min

    func senderReached(_ watermark: EventTime) { sent = spec.isProcessingTime ? .min : watermark.milliseconds }
    var arrivals: Int64 = 0
    /// Results given so far, of an operator that updates them.
    let results: PaneResults?
    private let mergesStates: Bool
    private let merging: AccumulatorSet
    let times = Scratch<Int64>(), ids = Scratch<Int32>()
    private let rowOf = Scratch<Int32>(), paneOf = Scratch<Int32>()
    private let splitRows = Scratch<Int32>(), splitPanes = Scratch<Int32>()
    private var due: [Int32] = []
    private var dueNext = 0
    private var evictionCheckAt = PaneWindowOperator.evictionMinimum
    private static let evictionMinimum = 65_536
    private static let pairsAtOnce = 65_536

    init(_ spec: WindowAggregateSpec) throws {
        self.spec = spec
        plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        table = GroupTable(types: spec.keys.map { spec.inputSchema[$0].type })
        content = Freezable(plan.makeSet())
        merging = plan.makeSet()
        mergesStates = spec.aggregates.allSatisfy { AggregateRegistry.mergesPartials($0) }
        clock = try WindowClock(spec)
        changes = ChunkVersions(versions)
        if case .session(let gap) = spec.window {
            guard gap > 0 else { throw StreamError(.validate, "SESSION: the gap is \(gap) ms", fix: "give an interval above zero") }
            (self.gap, windowing) = (gap, nil)
        } else {
            (gap, windowing) = (0, try Windowing(spec.window))
        }
        lateness = spec.emission?.allowedLateness ?? 0
        results = spec.emission.map { PaneResults($0, types: spec.aggregates.map(\.resultType) + PaneWindowOperator.propertyTypes(spec)) }
    }

    private static func propertyTypes(_ spec: WindowAggregateSpec) -> [DataType] {
        spec.properties.map { $0 == .time ? spec.timeType : .timestamp(3) }
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.keys.map { batch.columns[$0] } }

    /// The accumulators; made fit for writing by ``content``.
    var set: AccumulatorSet { content.state }

    // MARK: Rows

    /// The batch that is being processed: pairs of a row and a pane, some of which are in the accumulators already.
    private struct Work {
        var columns: [Column]
        var kinds: UnsafePointer<UInt8>?
        var rows: UnsafeMutablePointer<Int32>
        var panes: UnsafeMutablePointer<Int32>
        var count = 0
        var done = 0
        /// Panes whose results may have changed, for operators that update them.
        var touched: [Int32] = []
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let rows = batch.selection?.rows
        let times = times.reserve(n)
        if spec.isProcessingTime {
            watermark = max(watermark, context.now() - 1)
            times.update(repeating: clock.local(watermark + 1), count: n)
        } else {
            try WindowTimes.read(batch, column: spec.timeColumn, name: spec.inputSchema[spec.timeColumn].name, clock: &clock, into: times)
        }
        let groups = ids.reserve(n)
        table.lookup(spec.keys.map { batch.columns[$0] }, rows: rows, count: n, into: groups)
        content.thaw { set, _ in set.copy() }
        let room = windowing == nil ? n : Self.pairsAtOnce + n
        try withExtendedLifetime(batch.rowKinds) {
            var work = Work(columns: plan.plainColumns(batch), kinds: batch.rowKinds.map { UnsafePointer($0.pointer(as: UInt8.self)) },
                            rows: rowOf.reserve(room), panes: paneOf.reserve(room))
            if let windowing {
                assign(windowing, times, groups, rows, n, &work)
            } else {
                assignSessions(times, groups, rows, n, &work)
            }
            flush(&work)
            arrivals += Int64(batch.physicalCount)
            if let results { try results.wrote(work.touched, self, output) }
        }
        return .done
    }

    private func assignSessions(_ times: UnsafePointer<Int64>, _ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>?, _ n: Int,
                                _ work: inout Work) {
        panes.reserve(n, groups: table.count)
        let (heads, next, start, end) = (panes.heads.base, panes.next.base, panes.start.base, panes.end.base)
        let (gap, isFinal) = (gap, results == nil)
        var late = 0
        for i in 0..<n {
            let time = times[i], group = groups[i]
            var pane = heads[Int(group)]
            let p = Int(pane)
            if pane >= 0, start[p] <= time, time &+ gap <= end[p] {
                // Within the session that rows came into last.
            } else if pane >= 0, next[p] < 0, start[p] <= time, time <= end[p], isFinal {
                end[p] = time &+ gap
            } else {
                pane = place(time, group, &work)
            }
            let row = rows.map { $0[i] } ?? Int32(truncatingIfNeeded: i)
            work.rows[work.count] = row
            work.panes[work.count] = pane
            work.count &+= pane >= 0 ? 1 : 0
            late &+= pane >= 0 ? 0 : 1
        }
        if late > 0 { context.metrics.lateRows.add(late) }
    }

    /// The session of a time, made, lengthened or put together as it takes; -1 when the row is late.
    private func place(_ time: Int64, _ group: Int32, _ work: inout Work) -> Int32 {
        let upper = time &+ gap
        // Of several the earliest takes the others in, whatever the order of the list.
        let target = panes.earliest(of: group, from: time, to: upper)
        var pane = target < 0 ? -1 : panes.heads.base[Int(group)]
        while pane >= 0 {
            let p = Int(pane), following = panes.next.base[p]
            if pane != target, panes.start.base[p] <= upper, panes.end.base[p] >= time {
                flush(&work)
                merge(pane, into: target)
            }
            pane = following
        }
        if target >= 0 {
            let p = Int(target)
            panes.start.base[p] = min(panes.start.base[p], time)
            lengthen(target, to: upper)
            return target
        }
        let firesAt = clock.instant(upper - 1)
        guard cleanupTime(firesAt) > max(watermark, sent) else { return -1 }
        return add(group, time, upper, firesAt)
    }

    private func lengthen(_ pane: Int32, to end: Int64) {
        guard end > panes.end.base[Int(pane)] else { return }
        panes.end.base[Int(pane)] = end
        guard let results, results.goesOn(pane) else { return }
        // It waited for the end of its time for late rows.
        panes.setTimer(pane, min(panes.timer.base[Int(pane)], clock.instant(end - 1)))
    }

    private func cleanupTime(_ firesAt: Int64) -> Int64 {
        let (time, overflow) = firesAt.addingReportingOverflow(lateness)
        return overflow ? .max : time
    }

    private func add(_ group: Int32, _ start: Int64, _ end: Int64, _ firesAt: Int64) -> Int32 {
        let pane = panes.add(group: group, start: start, end: end, timer: firesAt)
        results?.reserve(panes.capacity)
        return pane
    }

    private func merge(_ pane: Int32, into target: Int32) {
        let (p, t) = (Int(pane), Int(target))
        if mergesStates {
            withUnsafePointer(to: pane) { from in
                let state = set.state(from, count: 1)
                withUnsafePointer(to: target) { set.absorb(state, groups: $0, rows: nil, count: 1) }
            }
        } else {
            merging.clear(1)
            merging.reserve(1)
            merging.merge(set, from: t, count: 1, place: 0)
            merging.merge(set, from: p, count: 1, place: 1)
            var zero: Int32 = 0
            let state = merging.state(&zero, count: 1)
            withUnsafePointer(to: target) {
                set.reset($0, count: 1)
                set.absorb(state, groups: $0, rows: nil, count: 1)
            }
        }
        withUnsafePointer(to: pane) { set.reset($0, count: 1) }
        panes.start.base[t] = min(panes.start.base[t], panes.start.base[p])
        lengthen(target, to: panes.end.base[p])
        // The one that is due first is looked at first.
        if panes.timer.base[p] < panes.timer.base[t] { panes.setTimer(target, panes.timer.base[p]) }
        changes.mark(p)
        changes.mark(t)
        results?.merged(pane, into: target, group: panes.group.base[p])
        panes.remove(pane)
    }

    private func assign(_ windowing: Windowing, _ times: UnsafePointer<Int64>, _ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>?,
                        _ n: Int, _ work: inout Work) {
        for i in 0..<n {
            let slice = windowing.slice(of: times[i]), last = windowing.lastEnd(ofSlice: slice)
            var isLate = true
            var end = slice + 1
            while end <= last {
                if work.count == Self.pairsAtOnce { flush(&work, restart: true) }
                let pane = pane(windowing, endingAt: end, groups[i])
                if pane >= 0 {
                    work.rows[work.count] = rows.map { $0[i] } ?? Int32(truncatingIfNeeded: i)
                    work.panes[work.count] = pane
                    work.count += 1
                    isLate = false
                }
                end += 1
            }
            if isLate { context.metrics.lateRows.add(1) }
        }
    }

    /// The pane of a window, made when it is new; -1 when it has gone.
    private func pane(_ windowing: Windowing, endingAt end: Int64, _ group: Int32) -> Int32 {
        panes.reserve(1, groups: table.count)
        let from = windowing.time(ofSlice: windowing.firstSlice(ofWindowEnding: end)), to = windowing.time(ofSlice: end)
        var pane = panes.heads.base[Int(group)]
        while pane >= 0 {
            if panes.start.base[Int(pane)] == from, panes.end.base[Int(pane)] == to { return pane }
            pane = panes.next.base[Int(pane)]
        }
        let firesAt = clock.instant(to - 1)
        guard cleanupTime(firesAt) > max(watermark, sent) else { return -1 }
        return add(group, from, to, firesAt)
    }

    /// Brings the accumulators up to date with the pairs so far.
    private func flush(_ work: inout Work, restart: Bool = false) {
        let count = work.count - work.done
        defer { if restart { (work.count, work.done) = (0, 0) } else { work.done = work.count } }
        guard count > 0 else { return }
        let panes = UnsafePointer(work.panes + work.done), rows = UnsafePointer(work.rows + work.done)
        set.reserve(self.panes.capacity)
        changes.mark(panes, count: count)
        if let results { work.touched += results.untouched(panes, count: count) }
        var input = UpdateInput(columns: work.columns, groups: panes, rows: rows, count: count, firstArrival: arrivals)
        guard let kinds = work.kinds else { return set.update(input) }
        for retract in [false, true] {
            let toRows = splitRows.reserve(count + 1), toPanes = splitPanes.reserve(count + 1)
            let wanted: UInt8 = retract ? 1 : 0
            var kept = 0
            for i in 0..<count {
                toRows[kept] = rows[i]
                toPanes[kept] = panes[i]
                kept &+= kinds[Int(rows[i])] & 1 == wanted ? 1 : 0
            }
            (input.rows, input.groups, input.count, input.retract) = (UnsafePointer(toRows), UnsafePointer(toPanes), kept, retract)
            set.update(input)
        }
    }

    // MARK: Time

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        if spec.isProcessingTime { return .done }
        self.watermark = max(self.watermark, watermark.milliseconds)
        return try fire(output)
    }

    var wakeAt: Int64? {
        let early = results?.nextTimer
        guard spec.isProcessingTime, let end = panes.nextTimer else { return early }
        return min(early ?? .max, end == .max ? .max : end + 1)
    }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        if let results {
            content.thaw { set, _ in set.copy() }
            try results.onTime(now, self, output)
        }
        guard spec.isProcessingTime else { return .done }
        watermark = max(watermark, now - 1)
        return try fire(output)
    }

    /// Gives what is due at the watermark.
    private func fire(_ output: any Output) throws -> Progress {
        guard let first = panes.nextTimer, first <= watermark else { return .done }
        content.thaw { set, _ in set.copy() }
        var due: [Int32] = []
        while let pane = panes.takeDue(watermark) {
            // Sessions have grown since their timer was set.
            let firesAt = clock.instant(panes.end.base[Int(pane)] - 1)
            if firesAt > watermark { panes.setTimer(pane, firesAt) } else { due.append(pane) }
        }
        let (end, start) = (panes.end.base, panes.start.base)
        due.sort { (end[Int($0)], start[Int($0)], $0) < (end[Int($1)], start[Int($1)], $1) }
        (self.due, dueNext) = (due, 0)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while dueNext < due.count {
            guard output.isReady else { return .more }
            let part = Array(due[dueNext..<min(dueNext + Batch.targetRows, due.count)])
            dueNext += part.count
            if let results { try end(part, results, output) } else { try end(part, output) }
        }
        due = []
        evict()
        return .done
    }

    /// The final results.
    private func end(_ ended: [Int32], _ output: any Output) throws {
        let counts = set.rowCounts
        let live = ended.filter { counts[Int($0)] > 0 }
        if !live.isEmpty { try output.emit(Batch(columns: keys(live) + resultColumns(live), physicalCount: live.count)) }
        remove(ended)
    }

    /// The results at the end, which late rows may update: those go whose time for late rows is over too.
    private func end(_ ended: [Int32], _ results: PaneResults, _ output: any Output) throws {
        try results.give(ended.filter { results.isWanted($0) }, self, output)
        var gone: [Int32] = []
        for pane in ended {
            let cleanup = cleanupTime(clock.instant(panes.end.base[Int(pane)] - 1))
            if cleanup <= watermark {
                gone.append(pane)
            } else {
                results.ended(pane)
                panes.setTimer(pane, cleanup)
                changes.mark(Int(pane))
            }
        }
        results.forget(gone)
        remove(gone)
    }

    private func remove(_ gone: [Int32]) {
        guard !gone.isEmpty else { return }
        gone.withUnsafeBufferPointer { set.reset($0.baseAddress!, count: $0.count) }
        for pane in gone {
            changes.mark(Int(pane))
            panes.remove(pane)
        }
    }

    /// Key columns of panes.
    func keys(_ panes: [Int32]) -> [Column] {
        let groups = panes.map { self.panes.group.base[Int($0)] }
        return groups.withUnsafeBufferPointer { table.keyColumns($0.baseAddress!, count: $0.count) }
    }

    /// Aggregates and properties of panes.
    func resultColumns(_ list: [Int32]) -> [Column] {
        let n = list.count
        let (start, end) = (panes.start.base, panes.end.base)
        return list.withUnsafeBufferPointer { set.results($0.baseAddress!, count: n) }
            + spec.properties.map { property in
                switch property {
                case .start: .make(.timestamp(3), count: n, zero: Int64(0)) { start[Int(list[$0])] }
                case .end: .make(.timestamp(3), count: n, zero: Int64(0)) { end[Int(list[$0])] }
                case .time: .make(clock.timeType, count: n, zero: Int64(0)) { clock.instant(end[Int(list[$0])] - 1) }
                }
            }
    }

    /// Whether the end of a pane's window has been reached.
    func hasEnded(_ pane: Int32) -> Bool { clock.instant(panes.end.base[Int(pane)] - 1) <= watermark }

    /// Forgets groups without panes once they are the greater part of many.
    private func evict() {
        let n = table.count
        guard n > evictionCheckAt, table.hasKeys else { return }
        panes.heads.reserve(n)
        let kept = (0..<Int32(n)).filter { panes.heads.base[Int($0)] >= 0 }
        if kept.count * 2 < n {
            table.keep(kept)
            panes.renumber(kept, groups: n)
        }
        evictionCheckAt = max(Self.evictionMinimum, 2 * table.count)
    }
}
