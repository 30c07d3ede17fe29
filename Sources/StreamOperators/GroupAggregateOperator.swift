import StreamCore

/// GROUP BY keys: a changelog of each group's results.
///
/// A group's first row gives +I, a change of its results -U and +U, taking back its last row -D. Several changes of a group
/// within one batch become one, and none if the results are what they were.
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
    /// Number of the last batch that touched the group.
    private let touchedIn = GroupArray<Int32>(fill: 0)
    private var batchNumber: Int32 = 0
    private static let evictionMinimum = 65_536

    init(_ spec: GroupAggregateSpec) throws {
        self.spec = spec
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
        table.lookup(spec.keys.map { batch.columns[$0] }, rows: rows, count: n, into: groups)
        content.thaw { set, _ in set.copy() }
        set.reserve(table.count)
        let touched = touchedGroups(groups, n)
        if expiry != nil { expire(touched) }
        try touched.withUnsafeBufferPointer { touched in
            let (list, m) = (touched.baseAddress!, touched.count)
            let before = set.results(list, count: m).map { $0.flat() }
            let existed = touched.map { set.rowCounts[Int($0)] > 0 }
            update(batch, groups: groups, rows: rows)
            let after = set.results(list, count: m).map { $0.flat() }
            try emit(list, m, before: before, existed: existed, after: after, output)
        }
        evict()
        return .done
    }

    private func touchedGroups(_ groups: UnsafePointer<Int32>, _ n: Int) -> [Int32] {
        touchedIn.reserve(table.count)
        batchNumber &+= 1
        if batchNumber == 0 { batchNumber = 1 }
        let (marks, number) = (touchedIn.base, batchNumber)
        var touched: [Int32] = []
        for i in 0..<n where marks[Int(groups[i])] != number {
            marks[Int(groups[i])] = number
            touched.append(groups[i])
        }
        for group in touched { changes.mark(Int(group)) }
        return touched
    }

    /// Forgets the groups among those touched that are too old, and some others that are.
    private func expire(_ touched: [Int32]) {
        guard let expiry else { return }
        let now = context.now()
        expiry.reserve(table.count)
        var gone = touched.filter { expiry.isExpired($0, now) && set.rowCounts[Int($0)] > 0 }
        expiry.touch(touched, now)
        // As many as the batch can have added twice over, so that a round through all groups comes to its end.
        gone += expiry.sweep(2 * touched.count + 1_024, of: table.count, now).filter { set.rowCounts[Int($0)] > 0 }
        guard !gone.isEmpty else { return }
        for group in gone { changes.mark(Int(group)) }
        gone.withUnsafeBufferPointer { set.reset($0.baseAddress!, count: $0.count) }
        liveGroups -= gone.count
    }

    private func update(_ batch: Batch, groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?) {
        let n = batch.count
        var input = UpdateInput(columns: plan.plainColumns(batch), groups: groups, rows: rows, count: n, isSingleGroup: !table.hasKeys,
                                firstArrival: arrivals)
        arrivals += Int64(batch.physicalCount)
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

    private func emit(_ touched: UnsafePointer<Int32>, _ m: Int, before: [Column], existed: [Bool], after: [Column],
                      _ output: any Output) throws {
        var differs = [Bool](repeating: false, count: m)
        for (old, new) in zip(before, after) { old.forEachDifference(from: new) { differs[$0] = true } }
        // Row i of `before` is row i of both results put together, row i of `after` is m + i.
        var picks: [Int32] = [], keys: [Int32] = [], kinds: [UInt8] = [], gone: [Int32] = []
        func add(_ i: Int, old: Bool, _ kind: RowKind) {
            picks.append(Int32(old ? i : m + i))
            keys.append(touched[i])
            kinds.append(kind.rawValue)
        }
        for i in 0..<m {
            let exists = set.rowCounts[Int(touched[i])] > 0
            switch (existed[i], exists) {
            case (false, true): add(i, old: false, .insert)
            case (true, true):
                guard differs[i] else { break }
                add(i, old: true, .updateBefore)
                add(i, old: false, .updateAfter)
            case (true, false): add(i, old: true, .delete)
            case (false, false): break
            }
            if !exists { gone.append(touched[i]) }
            liveGroups += (exists ? 1 : 0) - (existed[i] ? 1 : 0)
        }
        if !gone.isEmpty { gone.withUnsafeBufferPointer { set.reset($0.baseAddress!, count: $0.count) } }
        guard !picks.isEmpty else { return }
        let results = zip(before, after).map { Column.concatenated([$0, $1]) }
        let allInserts = kinds.allSatisfy { $0 == RowKind.insert.rawValue }
        try picks.withUnsafeBufferPointer { picks in
            try keys.withUnsafeBufferPointer { keys in
                // Cut between groups, so that -U and +U stay together.
                var start = 0
                while start < picks.count {
                    var end = min(start + Batch.targetRows, picks.count)
                    if end < picks.count, kinds[end] == RowKind.updateAfter.rawValue { end -= 1 }
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
