import StreamCore

/// GROUP BY window, keys: a row updates the accumulators of its group in its slice; the watermark fires windows, each of
/// which merges its slices.
///
/// Windows fire in the order of their ends once the watermark has reached their last millisecond. A row counts as long as
/// one window that holds it has not fired; later ones are dropped and counted in `lateRows`.
///
/// - Complexity: O(1) a row; O(groups * slices of the window) a firing.
final class WindowAggregateOperator: StreamOperator {
    let spec: WindowAggregateSpec
    /// The input is what ``LocalWindowAggregateOperator`` emits.
    private let takesPartials: Bool
    let windowing: Windowing
    private var clock: WindowClock
    let store: SliceStore
    let partition = SlicePartition()
    private(set) var context = OperatorContext(name: "window aggregate")
    let versions = VersionCounter()

    /// Windows that end here or before have fired.
    var firedEnd = Int64.min
    /// What had fired by key group when state came from subtasks that were not equally far, until all are past that.
    var firedByKeyGroup: FiredByKeyGroup?
    var arrivals: Int64 = 0
    private var pending: [Int64] = []
    private var firing: Firing?
    /// The merged groups of a chunk.
    private let merged: AccumulatorSet
    let times = Scratch<Int64>(), ids = Scratch<Int32>()
    private let live = Scratch<Int32>(), liveGlobal = Scratch<Int32>()

    private struct Firing {
        var end: Int64
        /// Newest first, the order in which Flink adds them up.
        var slices: [SliceStore.Slice]
        var groups: Int
        var next = 0
    }

    convenience init(_ spec: WindowAggregateSpec) throws { try self.init(spec, takesPartials: false) }
    convenience init(globalOf spec: WindowAggregateSpec) throws {
        guard spec.supportsTwoPhase else {
            throw StreamError(.plan, "a window aggregate of \(spec.aggregates.map(\.function)) cannot be split in two steps",
                              fix: "plan it as one step")
        }
        try self.init(spec, takesPartials: true)
    }

    private init(_ spec: WindowAggregateSpec, takesPartials: Bool) throws {
        self.spec = spec
        self.takesPartials = takesPartials
        windowing = try Windowing(spec.window)
        clock = try WindowClock(spec)
        let plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        store = SliceStore(plan: plan, keyTypes: spec.keys.map { spec.inputSchema[$0].type })
        merged = plan.makeSet()
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    /// The last window that has ended for the sender of the batch.
    private var senderFiredEnd = Int64.min

    func senderReached(_ watermark: EventTime) {
        senderFiredEnd = watermark == .min || spec.isProcessingTime ? .min : clock.firedEnd(windowing, watermark: watermark)
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let rows = batch.selection?.rows
        let times = times.reserve(n)
        if spec.isProcessingTime {
            times.update(repeating: clock.local(readClock()), count: n)
        } else if takesPartials {
            let column = batch.columns[spec.keys.count].flat()
            withExtendedLifetime(column) {
                let ends = column.pointer(as: Int64.self)
                forEachRow(rows, n) { i, row in times[i] = ends[row] - 1 }
            }
        } else {
            try WindowTimes.read(batch, column: spec.timeColumn, name: spec.inputSchema[spec.timeColumn].name, clock: &clock, into: times)
        }
        let groups = ids.reserve(n)
        let keys = takesPartials ? Array(batch.columns[0..<spec.keys.count]) : spec.keys.map { batch.columns[$0] }
        store.table.lookup(keys, rows: rows, count: n, into: groups)
        var parts = partition.split(times, groups: groups, rows: rows, count: n, windowing)
        if windowing.isCumulative { redirect(&parts) }
        if takesPartials {
            absorb(parts, state: batch.columns[(spec.keys.count + 1)...].map { $0.flat() })
        } else {
            let columns = store.plan.plainColumns(batch)
            for part in parts {
                if windowing.lastEnd(ofSlice: part.slice) <= max(firedEnd, senderFiredEnd) {
                    context.metrics.lateRows.add(part.count)
                } else {
                    store.update(part, columns: columns, kinds: batch.rowKinds.map { UnsafePointer($0.pointer(as: UInt8.self)) },
                                 firstArrival: arrivals)
                }
            }
            arrivals += Int64(batch.physicalCount)
        }
        return .done
    }

    /// Slices of growing windows that have fired are one by now: a row that is taken back must meet the row that was added.
    private func redirect(_ parts: inout [SlicePartition.Part]) {
        for i in parts.indices where parts[i].slice < firedEnd { parts[i].slice = windowing.firstSlice(ofWindowEnding: parts[i].slice + 1) }
    }

    private func absorb(_ parts: [SlicePartition.Part], state: [Column]) {
        for part in parts {
            if windowing.lastEnd(ofSlice: part.slice) <= max(firedEnd, senderFiredEnd) {
                let counts = state[0].pointer(as: Int64.self)
                var late: Int64 = 0
                forEachRow(part.rows, part.count) { _, row in late += counts[row] }
                context.metrics.lateRows.add(Int(late))
            } else {
                store.slice(part.slice).set.absorb(state, groups: part.groups, rows: part.rows, count: part.count)
            }
        }
    }

    // MARK: Processing time

    /// What the clock is to say until the next batch is through, for an owner that has asked it already.
    var fixedClock: Int64?
    private var lastClock = Int64.min

    /// Wall-clock milliseconds, which never go back.
    private func readClock() -> Int64 {
        lastClock = max(lastClock, fixedClock ?? context.now())
        return lastClock
    }

    var wakeAt: Int64? {
        guard spec.isProcessingTime else { return nil }
        let next = store.slices.keys.compactMap { windowing.ends(ofSlice: $0, after: firedEnd, upTo: .max)?.lowerBound }.min()
        return next.map { clock.instant(windowing.time(ofSlice: $0) - 1) + 1 }
    }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        spec.isProcessingTime ? try fire(to: EventTime(milliseconds: now - 1), output) : .done
    }

    // MARK: Firing

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        spec.isProcessingTime ? .done : try fire(to: watermark, output)
    }

    private func fire(to watermark: EventTime, _ output: any Output) throws -> Progress {
        let fired = max(firedEnd, clock.firedEnd(windowing, watermark: watermark))
        guard fired > firedEnd else { return .done }
        var ends: Set<Int64> = []
        for slice in store.slices.keys {
            if let range = windowing.ends(ofSlice: slice, after: firedEnd, upTo: fired) { ends.formUnion(range) }
        }
        firedEnd = fired
        pending = ends.sorted(by: >)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while true {
            if firing == nil {
                guard let end = pending.popLast() else { break }
                let first = windowing.firstSlice(ofWindowEnding: end)
                let slices = store.slices.values.filter { $0.index >= first && $0.index < end }.sorted { $0.index > $1.index }
                firing = Firing(end: end, slices: slices, groups: slices.map(\.groups).max() ?? 0)
            }
            while firing!.next < firing!.groups {
                guard output.isReady else { return .more }
                try emitChunk(output)
            }
            expire(firing!.end)
            firing = nil
        }
        if let past = firedByKeyGroup, past.latest <= firedEnd { firedByKeyGroup = nil }
        store.evict()
        return .done
    }

    /// Emits the next groups of the window that fires.
    private func emitChunk(_ output: any Output) throws {
        let start = firing!.next
        let n = min(Batch.targetRows, firing!.groups - start)
        firing!.next += n
        let isMerged = firing!.slices.count > 1
        let set: AccumulatorSet
        if isMerged {
            set = merged
            set.clear(n)
            set.reserve(n)
            for slice in firing!.slices where slice.groups > start {
                set.merge(slice.set, from: start, count: min(n, slice.groups - start), place: slice.index)
            }
        } else {
            set = firing!.slices[0].set
        }
        let live = live.reserve(n), liveGlobal = liveGlobal.reserve(n)
        let counts = set.rowCounts
        let shift = isMerged ? 0 : start
        var kept = 0
        for i in 0..<n {
            live[kept] = Int32(truncatingIfNeeded: i &+ shift)
            liveGlobal[kept] = Int32(truncatingIfNeeded: i &+ start)
            kept &+= counts[i &+ shift] > 0 ? 1 : 0
        }
        if let past = firedByKeyGroup, past.latest >= firing!.end {
            kept = past.drop(firedAt: firing!.end, store.table, live, liveGlobal, count: kept)
        }
        guard kept > 0 else { return }
        var columns = store.table.keyColumns(liveGlobal, count: kept)
        columns += set.results(live, count: kept)
        columns += propertyColumns(end: firing!.end, count: kept)
        try output.emit(Batch(columns: columns, physicalCount: kept))
    }

    private func propertyColumns(end: Int64, count: Int) -> [Column] {
        spec.properties.map { property in
            let endTime = windowing.time(ofSlice: end)
            return switch property {
            case .start: .constant(.int(windowing.time(ofSlice: windowing.firstSlice(ofWindowEnding: end))), type: .timestamp(3), count: count)
            case .end: .constant(.int(endTime), type: .timestamp(3), count: count)
            case .time: .constant(.int(clock.instant(endTime - 1)), type: clock.timeType, count: count)
            }
        }
    }

    /// Lets go of slices that no later window holds. Windows that grow need their past as one slice only.
    private func expire(_ end: Int64) {
        for slice in Array(store.slices.values) where windowing.lastEnd(ofSlice: slice.index) <= end { store.remove(slice) }
        guard windowing.isCumulative else { return }
        let first = windowing.firstSlice(ofWindowEnding: end)
        for slice in store.slices.values.filter({ $0.index > first && $0.index < end }).sorted(by: { $0.index < $1.index }) {
            store.fold(slice, into: first, arrival: arrivals)
        }
    }
}

enum WindowTimes {
    /// The local time of each selected row.
    /// - Throws: `.runtime` for a null.
    static func read(_ batch: Batch, column: Int, name: String, clock: inout WindowClock, into times: UnsafeMutablePointer<Int64>) throws {
        let column = batch.columns[column].flat()
        let rows = batch.selection?.rows, n = batch.count
        if column.validity != nil {
            for i in 0..<n where !column.isValid(batch.row(i)) {
                throw StreamError(.runtime, "the time attribute \(name) is null in a row that is to be assigned to a window",
                                  fix: "make it not null, for example with COALESCE in a computed column, or keep such rows out of the source")
            }
        }
        withExtendedLifetime(column) {
            let from = column.pointer(as: Int64.self)
            if clock.isReadShifted {
                forEachRow(rows, n) { i, row in times[i] = clock.read(from[row]) }
            } else {
                forEachRow(rows, n) { i, row in times[i] = from[row] }
            }
        }
    }
}
