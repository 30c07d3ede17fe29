import StreamCore

/// GROUP BY keys: a changelog of each group's results.
///
/// A group's first row gives +I, a change of its results -U and +U, taking back its last row -D. Several changes of a group
/// within one bundle become one, and none if the results are what they were. A bundle is a batch, or with mini-batches as many rows
/// as ``GroupAggregateSpec/MiniBatch`` says; the accumulators are always up to date, only what is emitted waits.
final class GroupAggregateOperator: StreamOperator {
    let spec: GroupAggregateSpec
    let plan: AggregatePlan
    let table: GroupTable
    var content: Freezable<AccumulatorSet>
    private(set) var context = OperatorContext(name: "group aggregate")
    var arrivals: Int64 = 0
    var liveGroups = 0
    /// Which groups differ from those of the last snapshot.
    let changes: ChunkVersions
    private let versions = VersionCounter()
    /// When each group was last written, if groups are forgotten.
    let expiry: GroupExpiry?
    let ids = Scratch<Int32>()
    private let splitRows = Scratch<Int32>(), splitGroups = Scratch<Int32>()
    /// Rows are partial results of ``LocalGroupAggregateOperator``: keys, then the accumulators' state.
    private let takesPartials: Bool
    private let keyColumns: [Int]

    /// Groups that the bundle touched, and what they were before it.
    private var bundle = GroupBundle()
    /// Number of the last bundle that touched the group.
    private let touchedIn = GroupArray<Int32>(fill: 0)
    private var bundleNumber: Int32 = 1
    private var bundleRows = 0
    private var bundleEnd: Int64?
    private static let evictionMinimum = 65_536

    init(_ spec: GroupAggregateSpec, takesPartials: Bool = false) throws {
        self.spec = spec
        self.takesPartials = takesPartials
        keyColumns = takesPartials ? Array(spec.keys.indices) : spec.keys
        plan = try AggregatePlan(spec.aggregates, inputSchema: spec.inputSchema, retracts: spec.inputChanges)
        table = GroupTable(types: spec.keys.map { spec.inputSchema[$0].type })
        content = Freezable(plan.makeSet())
        changes = ChunkVersions(versions)
        expiry = spec.stateTTL.map { GroupExpiry(milliseconds: $0.wholeMilliseconds) }
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    /// The accumulators; to be made fit for writing once a batch.
    private var set: AccumulatorSet { content.state }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let rows = batch.selection?.rows
        let groups = ids.reserve(n)
        table.lookup(keyColumns.map { batch.columns[$0] }, rows: rows, count: n, into: groups)
        content.thaw { set, _ in set.copy() }
        set.reserve(table.count)
        let fresh = freshGroups(groups, n)
        if expiry != nil { expire(fresh, groups, n) }
        bundle.add(fresh, set)
        if takesPartials {
            absorb(batch, groups: groups)
        } else if plan.needsOrder {
            try updateInOrder(batch, groups: groups, rows: rows)
        } else {
            update(batch, groups: groups, rows: rows)
        }
        guard let miniBatch = spec.miniBatch else {
            try flush(output)
            return .done
        }
        bundleRows += n
        if bundleEnd == nil { bundleEnd = context.now() + miniBatch.latency }
        if bundleRows >= miniBatch.rows { try flush(output) }
        return .done
    }

    // MARK: The end of a bundle

    var wakeAt: Int64? { bundleEnd }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        if let bundleEnd, now >= bundleEnd { try flush(output) }
        return .done
    }

    /// Results carry no event time, so that a watermark may pass the rows of a bundle; only the last one ends it.
    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        if watermark == .max { try flush(output) }
        return .done
    }

    func finish(input: Int, output: any Output) throws -> Progress {
        try flush(output)
        return .done
    }

    func prepareSnapshot(_ checkpoint: UInt64, output: any Output) throws { try flush(output) }

    private func flush(_ output: any Output) throws {
        (bundleRows, bundleEnd) = (0, nil)
        guard !bundle.groups.isEmpty else { return }
        try emit(output)
        bundle.removeAll()
        bundleNumber = bundleNumber == .max ? 1 : bundleNumber + 1
        evict()
    }

    // MARK: Rows

    /// Groups that the bundle did not touch before.
    private func freshGroups(_ groups: UnsafePointer<Int32>, _ n: Int) -> [Int32] {
        touchedIn.reserve(table.count)
        let (marks, number) = (touchedIn.base, bundleNumber)
        var fresh: [Int32] = []
        for i in 0..<n where marks[Int(groups[i])] != number {
            marks[Int(groups[i])] = number
            fresh.append(groups[i])
        }
        for group in fresh { changes.mark(Int(group)) }
        return fresh
    }

    /// Forgets the groups new to the bundle that are too old, and some others that are. Those of the bundle stay until it ends.
    private func expire(_ fresh: [Int32], _ groups: UnsafePointer<Int32>, _ n: Int) {
        guard let expiry else { return }
        let now = context.now()
        expiry.reserve(table.count)
        var gone = fresh.filter { expiry.isExpired($0, now) && set.rowCounts[Int($0)] > 0 }
        for i in 0..<n { expiry.set(groups[i], now) }
        let (marks, number) = (touchedIn.base, bundleNumber)
        // As many as the batch can have added twice over, so that a round through all groups comes to its end.
        gone += expiry.sweep(2 * n + 1_024, of: table.count, now).filter { set.rowCounts[Int($0)] > 0 && marks[Int($0)] != number }
        guard !gone.isEmpty else { return }
        for group in gone { changes.mark(Int(group)) }
        gone.withUnsafeBufferPointer { set.reset($0.baseAddress!, count: $0.count) }
        liveGroups -= gone.count
    }

    private func input(_ batch: Batch, _ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>?) -> UpdateInput {
        defer { arrivals += Int64(batch.physicalCount) }
        return UpdateInput(columns: plan.plainColumns(batch), groups: groups, rows: rows, count: batch.count, isSingleGroup: !table.hasKeys,
                           firstArrival: arrivals)
    }

    private func update(_ batch: Batch, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?) {
        let n = batch.count
        var input = input(batch, groups, rows)
        guard let kinds = batch.rowKinds?.pointer(as: UInt8.self) else { return set.update(input) }
        // Additions first: a row may be added and taken back within the batch.
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

    /// One run of additions or retractions after the other, for aggregates that refuse some of what comes about between them.
    private func updateInOrder(_ batch: Batch, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?) throws {
        let n = batch.count
        var part = input(batch, groups, rows)
        let kinds = batch.rowKinds?.pointer(as: UInt8.self)
        let list = splitRows.reserve(n)
        forEachRow(rows, n) { i, row in list[i] = Int32(truncatingIfNeeded: row) }
        var start = 0
        while start < n {
            let sign = kinds.map { $0[Int(list[start])] & 1 } ?? 0
            var end = start + 1
            while end < n, (kinds.map { $0[Int(list[end])] & 1 } ?? 0) == sign { end += 1 }
            (part.rows, part.groups, part.count, part.retract) = (UnsafePointer(list + start), groups + start, end - start, sign == 1)
            set.update(part)
            try plan.check(set, groups + start, count: end - start)
            start = end
        }
    }

    private func absorb(_ batch: Batch, groups: UnsafePointer<Int32>) {
        let n = batch.count
        let state = batch.columns.dropFirst(spec.keys.count).map { $0.taking(batch.selection?.rows, count: n).flat() }
        set.absorb(Array(state), groups: groups, rows: nil, count: n)
    }

    // MARK: Changes

    private func emit(_ output: any Output) throws {
        let touched = bundle.groups
        try touched.withUnsafeBufferPointer { touched in
            let list = touched.baseAddress!, m = touched.count
            let before = bundle.beforeColumns(), after = set.results(list, count: m).map { $0.flat() }
            let differs = bundle.differences(before, after)
            let known = before.first?.count ?? 0
            // Row i of `before` is row i of both results put together, row i of `after` is known + i.
            var picks: [Int32] = [], keys: [Int32] = [], kinds: [UInt8] = [], gone: [Int32] = []
            picks.reserveCapacity(2 * m)
            keys.reserveCapacity(2 * m)
            kinds.reserveCapacity(2 * m)
            let counts = set.rowCounts
            for i in 0..<m {
                let old = bundle.before[i], exists = counts[Int(list[i])] > 0
                if old < 0 {
                    if exists {
                        picks.append(Int32(truncatingIfNeeded: known + i))
                        keys.append(list[i])
                        kinds.append(RowKind.insert.rawValue)
                        liveGroups += 1
                    } else {
                        gone.append(list[i])
                    }
                } else if !exists {
                    picks.append(old)
                    keys.append(list[i])
                    kinds.append(RowKind.delete.rawValue)
                    gone.append(list[i])
                    liveGroups -= 1
                } else if differs[Int(old)] {
                    if spec.emitUpdateBefore {
                        picks.append(old)
                        keys.append(list[i])
                        kinds.append(RowKind.updateBefore.rawValue)
                    }
                    picks.append(Int32(truncatingIfNeeded: known + i))
                    keys.append(list[i])
                    kinds.append(RowKind.updateAfter.rawValue)
                }
            }
            if !gone.isEmpty { gone.withUnsafeBufferPointer { set.reset($0.baseAddress!, count: $0.count) } }
            let results = known == 0 ? after : zip(before, after).map { Column.concatenated([$0, $1]) }
            try emit(picks, keys, kinds, results, output)
        }
    }

    private func emit(_ picks: [Int32], _ keys: [Int32], _ kinds: [UInt8], _ results: [Column], _ output: any Output) throws {
        let allInserts = kinds.allSatisfy { $0 == RowKind.insert.rawValue }
        try picks.withUnsafeBufferPointer { picks in
            try keys.withUnsafeBufferPointer { keys in
                // Cut between groups, so that -U and +U stay together.
                var start = 0
                while start < picks.count {
                    var end = min(start + Batch.targetRows, picks.count)
                    if end < picks.count, kinds[end] == RowKind.updateAfter.rawValue, kinds[end - 1] == RowKind.updateBefore.rawValue { end -= 1 }
                    let n = end - start
                    var columns = table.keyColumns(keys.baseAddress! + start, count: n)
                    columns += results.map { $0.gather(picks.baseAddress! + start, count: n) }
                    let slice = allInserts ? nil : kinds[start..<end].withUnsafeBytes { Buffer(copying: $0) }
                    try output.emit(Batch(columns: columns, physicalCount: n, rowKinds: slice))
                    start = end
                }
            }
        }
    }

    private func evict() {
        let n = table.count
        guard n > Self.evictionMinimum, liveGroups * 2 < n else { return }
        let kept = (0..<Int32(n)).filter { set.rowCounts[Int($0)] > 0 }
        table.keep(kept)
        set.remap(kept)
        touchedIn.remap(kept)
        expiry?.remap(kept)
        changes.markAll()
    }
}

/// The groups that a bundle touched, with the results that they had before it.
struct GroupBundle {
    private(set) var groups: [Int32] = []
    /// For each group its row of the results before the bundle; -1 = it did not exist.
    private(set) var before: [Int32] = []
    private var parts: [[Column]] = []
    private var known = 0
    /// Position in `groups` of those that existed.
    private var positions: [Int32] = []

    mutating func add(_ fresh: [Int32], _ set: AccumulatorSet) {
        guard !fresh.isEmpty else { return }
        let counts = set.rowCounts
        var live: [Int32] = []
        live.reserveCapacity(fresh.count)
        for group in fresh {
            if counts[Int(group)] > 0 {
                before.append(Int32(truncatingIfNeeded: known + live.count))
                positions.append(Int32(truncatingIfNeeded: groups.count))
                live.append(group)
            } else {
                before.append(-1)
            }
            groups.append(group)
        }
        guard !live.isEmpty else { return }
        parts.append(live.withUnsafeBufferPointer { set.results($0.baseAddress!, count: $0.count).map { $0.flat() } })
        known += live.count
    }

    /// The results of the groups that existed, in the order of `before`.
    func beforeColumns() -> [Column] {
        guard let first = parts.first else { return [] }
        if parts.count == 1 { return first }
        return first.indices.map { c in Column.concatenated(parts.map { $0[c] }) }
    }

    /// For each row of `before` whether the group's results differ now.
    func differences(_ before: [Column], _ after: [Column]) -> [Bool] {
        var differs = [Bool](repeating: false, count: known)
        guard known > 0 else { return differs }
        positions.withUnsafeBufferPointer { positions in
            for (old, new) in zip(before, after) {
                let now = known == groups.count ? new : new.gather(positions.baseAddress!, count: known)
                old.forEachDifference(from: now) { differs[$0] = true }
            }
        }
        return differs
    }

    mutating func removeAll() {
        groups.removeAll(keepingCapacity: true)
        before.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        parts.removeAll()
        known = 0
    }
}
