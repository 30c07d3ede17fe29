import StreamCore

/// ``WindowAggregateOperator`` over a store: an entry per slice and group.
///
/// Windows fire one key group after the other: its slices are read into an in-memory operator, which fires them and is gone
/// again. Memory for that is what one key group needs.
final class StoredWindowAggregateOperator: StoredOperator {
    private let spec: WindowAggregateSpec
    private let takesPartials: Bool
    private let plan: AggregatePlan
    private let windowing: Windowing
    private var clock: WindowClock
    private let times = Scratch<Int64>()
    /// Windows that end here or before have fired.
    private var firedEnd = Int64.min
    /// Slices in the store by key group.
    private var stored: [Int: Set<Int64>] = [:]

    private struct Firing {
        var watermark: EventTime
        /// What had fired before.
        var before: [KeyGroupState]
        /// Last one first.
        var groups: [Int]
        var current: (any StreamOperator)?
    }
    private var firing: Firing?

    init(_ spec: WindowAggregateSpec, takesPartials: Bool) throws {
        (self.spec, self.takesPartials) = (spec, takesPartials)
        plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        windowing = try Windowing(spec.window)
        clock = try WindowClock(spec)
        try super.init(entryBytes: 96 + 2 * StoredLayout.width(spec.keys.map { spec.inputSchema[$0].type } + plan.stateTypes), rowBytes: plan.growsWithRows ? 256 : 0) {
            try takesPartials ? WindowAggregateOperator(globalOf: spec) : WindowAggregateOperator(spec)
        }
    }

    override func layouts() -> [StoredLayout] {
        let keys = spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) }
        let accumulators = zip(plan.stateNames(spec.inputSchema.map(\.name)), plan.stateTypes)
        return [StoredLayout(name: "slices", part: .slice, columns: StateColumns(keys + [("slice_start", .timestamp(3))] + accumulators),
                             identityCount: keys.count + 1, keys: Array(keys.indices), isTimed: false, hasNulls: plan.stateHasNulls,
                             maxParallelism: context.maxParallelism)]
    }

    override func prepare(_ batch: Batch, input: Int) throws {
        let n = batch.count, rows = batch.selection?.rows
        let times = times.reserve(n)
        if spec.isProcessingTime {
            lastClock = max(lastClock, context.now())
            (inner as? WindowAggregateOperator)?.fixedClock = lastClock
            times.update(repeating: clock.local(lastClock), count: n)
        } else if takesPartials {
            let column = batch.columns[spec.keys.count].flat()
            withExtendedLifetime(column) {
                let ends = column.pointer(as: Int64.self)
                forEachRow(rows, n) { i, row in times[i] = ends[row] - 1 }
            }
        } else {
            try WindowTimes.read(batch, column: spec.timeColumn, name: spec.inputSchema[spec.timeColumn].name, clock: &clock, into: times)
        }
        let slices = Buffer(zeroed: batch.physicalCount * 8)
        let to = slices.pointer(as: Int64.self)
        var from: Int64 = 1, until: Int64 = 0, kept: Int64 = 0
        forEachRow(rows, n) { i, row in
            let time = times[i]
            if time < from || time >= until {
                let slice = windowing.slice(of: time)
                from = windowing.time(ofSlice: slice)
                until = from + windowing.width
                // Where the in-memory operator puts it: slices of growing windows that have fired are one by now.
                let isFolded = windowing.isCumulative && slice < firedEnd
                kept = isFolded ? windowing.time(ofSlice: windowing.firstSlice(ofWindowEnding: slice + 1)) : from
            }
            to[row] = kept
        }
        let keys = takesPartials ? Array(batch.columns[0..<spec.keys.count]) : spec.keys.map { batch.columns[$0] }
        let new = states[0].touch(keys + [Column(type: .timestamp(3), count: batch.physicalCount, values: slices)], rows: rows, count: n)
        if !isComplete { try give(states[0].read(new)) }
    }

    /// With the windows that have fired since the in-memory operator was asked last.
    override func progressPieces() -> [KeyGroupState] {
        progress.map { piece in
            guard piece.name == "progress", piece.batch.columns.count > Self.firedColumn else { return piece }
            var piece = piece
            let old = piece.batch.columns[Self.firedColumn].flat(), fired = firedEnd
            piece.batch.columns[Self.firedColumn] = withExtendedLifetime(old) {
                .make(.bigint, count: old.count, zero: Int64(0)) { max(old.pointer(as: Int64.self)[$0], fired) }
            }
            return piece
        }
    }

    /// Of the pieces of progress: the end of the last window that fired.
    private static let firedColumn = 2

    // MARK: Processing time

    private var lastClock = Int64.min

    override var wakeAt: Int64? {
        guard spec.isProcessingTime else { return nil }
        var next: Int64?
        for slices in stored.values {
            for slice in slices {
                if let end = windowing.ends(ofSlice: slice, after: firedEnd, upTo: .max)?.lowerBound { next = min(next ?? end, end) }
            }
        }
        let stored = next.map { clock.instant(windowing.time(ofSlice: $0) - 1) + 1 }
        guard let held = inner.wakeAt else { return stored }
        return min(held, stored ?? held)
    }

    override func onTime(_ now: Int64, output: any Output) throws -> Progress {
        spec.isProcessingTime ? try fire(to: EventTime(milliseconds: now - 1), output) : .done
    }

    // MARK: Firing

    override func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        spec.isProcessingTime ? .done : try fire(to: watermark, output)
    }

    /// Tells an in-memory operator how far time has come.
    private func tell(_ operation: any StreamOperator, _ watermark: EventTime, _ output: any Output) throws -> Progress {
        spec.isProcessingTime
            ? try operation.onTime(watermark.milliseconds + 1, output: output) : try operation.advance(to: watermark, output: output)
    }

    private func fire(to watermark: EventTime, _ output: any Output) throws -> Progress {
        let fired = max(firedEnd, clock.firedEnd(windowing, watermark: watermark))
        guard fired > firedEnd else { return .done }
        let before = firedEnd
        if isComplete {
            firedEnd = fired
            // Windows that grow fold their slices when they fire.
            changedAll = changedAll || windowing.isCumulative
            return try settled(tell(inner, watermark, output), output)
        }
        try write()
        let progressBefore = oneOfEach(progressPieces())
        firedEnd = fired
        try startAnew()
        let groups = stored.filter { _, slices in slices.contains { windowing.ends(ofSlice: $0, after: before, upTo: fired) != nil } }.keys
        firing = Firing(watermark: watermark, before: progressBefore, groups: groups.sorted(by: >))
        return try resume(output)
    }

    override func resume(_ output: any Output) throws -> Progress {
        guard firing != nil else { return try super.resume(output) }
        while true {
            let step: Progress
            if let current = firing!.current {
                step = try current.resume(output)
            } else {
                guard let group = firing!.groups.last else { break }
                guard output.isReady else { return .more }
                let current = try read(group, before: firing!.before)
                firing!.current = current
                step = try tell(current, firing!.watermark, output)
            }
            if step == .more { return .more }
            try end(firing!.groups.removeLast(), firing!.current!)
            firing!.current = nil
        }
        firing = nil
        if stored.isEmpty { storeIsEmpty() }
        return .done
    }

    /// An in-memory operator with the slices of one key group that windows about to fire may hold.
    private func read(_ group: Int, before: [KeyGroupState]) throws -> any StreamOperator {
        let other = try makeOther()
        let reader = StoredLayout.Reader(states[0].layout)
        try store.scan(from: StoredLayout.prefix(keyGroup: group), to: endOfFired(group)) { key, value in
            try reader.append(key, value)
            return true
        }
        if let (columns, n) = reader.finish() {
            let piece = KeyGroupState(keyGroup: UInt16(group), name: "slices", batch: Batch(columns: columns, physicalCount: n))
            try other.restore(RestoredState(before + [piece]))
        }
        return other
    }

    /// Where the keys of a slice begin.
    private func prefix(_ group: Int, _ slice: Int64) -> [UInt8] {
        StoredLayout.prefix(keyGroup: group, slice: windowing.time(ofSlice: slice))
    }

    /// The key behind all slices of windows that have fired.
    private func endOfFired(_ group: Int) -> [UInt8] {
        firedEnd == .max ? StoredLayout.prefix(keyGroup: group + 1) : prefix(group, firedEnd)
    }

    /// Deletes the slices that no later window holds.
    private func end(_ group: Int, _ other: any StreamOperator) throws {
        var changes = StoreChanges()
        if windowing.isCumulative {
            changes.deleteRange(StoredLayout.prefix(keyGroup: group), endOfFired(group))
            try store.apply(changes)
            stored[group] = stored[group]!.filter { $0 >= firedEnd }
            let pieces = try other.snapshot(0).loaded().filter { $0.name == "slices" }
            for piece in pieces { try states[0].load(piece) }
            try note(pieces)
        } else {
            let gone = stored[group]!.filter { windowing.lastEnd(ofSlice: $0) <= firedEnd }
            if let first = gone.min(), let last = gone.max() {
                changes.deleteRange(prefix(group, first), prefix(group, last + 1))
                try store.apply(changes)
            }
            stored[group]!.subtract(gone)
        }
        if stored[group]!.isEmpty { stored[group] = nil }
        other.close()
    }

    // MARK: State

    // Slices that have gone since are deleted when the others are written.
    override func willWrite() { if isComplete { stored = [:] } }

    override func wrote(_ piece: KeyGroupState) throws { try note([piece]) }

    /// Remembers which slices of which key groups are in the store.
    private func note(_ pieces: [KeyGroupState]) throws {
        for piece in pieces where piece.name == "slices" {
            let (identity, _, n) = try states[0].layout.columns(of: piece, operator: context.name, now: 0)
            let slices = identity[identity.count - 1]
            var last: Int64?
            withExtendedLifetime(slices) {
                let slices = slices.pointer(as: Int64.self)
                for i in 0..<n where slices[i] != last {
                    last = slices[i]
                    stored[Int(piece.keyGroup), default: []].insert(windowing.slice(of: slices[i]))
                }
            }
        }
    }

    override func restore(_ state: RestoredState) throws {
        try super.restore(state)
        var fired: Int64?
        for piece in progress where piece.name == "progress" {
            for row in piece.batch.rows() {
                if case .int(let own) = row[Self.firedColumn] { fired = min(fired ?? own, own) }
            }
        }
        firedEnd = fired ?? .min
        try findSlices()
        if stored.isEmpty { storeIsEmpty() }
    }

    private func findSlices() throws {
        for group in context.keyGroups {
            var low = StoredLayout.prefix(keyGroup: group), found: Int64?
            repeat {
                found = nil
                try store.scan(from: low, to: StoredLayout.prefix(keyGroup: group + 1)) { key, _ in
                    found = StoredLayout.slice(ofKey: key)
                    return false
                }
                if let time = found {
                    stored[group, default: []].insert(windowing.slice(of: time))
                    low = StoredLayout.prefix(keyGroup: group, slice: time + 1)
                }
            } while found != nil
        }
    }
}
