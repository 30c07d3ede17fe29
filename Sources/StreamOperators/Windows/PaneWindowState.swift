import StreamCore

/// Snapshots: a unit per range of pane numbers, in which a row is a pane with its accumulators and, if results are updated, what it
/// gave; one of when each key is due; and one of the time.
extension PaneWindowOperator {
    private static let progress = StateColumns([("watermark", .bigint), ("arrivals", .bigint)])
    private static let extra = StateColumns([("window_start", .timestamp(3)), ("window_end", .timestamp(3))])
    private static let stage = StateColumns([("is_given", .boolean), ("has_ended", .boolean), ("is_wanted", .boolean)])

    private var keyFields: StateColumns { StateColumns(spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) }) }

    private var paneColumns: StateColumns {
        let accumulators = StateColumns(Array(zip(plan.stateNames(spec.inputSchema.map(\.name)), plan.stateTypes)))
        guard let results else { return keyFields + Self.extra + accumulators }
        let given = StateColumns(results.rows.types.enumerated().map { ("given\($0.offset)", $0.element) })
        return keyFields + Self.extra + Self.stage + given + accumulators
    }

    private var dueColumns: StateColumns { keyFields + StateColumns([("due", .timestamp(3))]) }

    var keyedState: KeyedStateForm {
        var form = KeyedStateForm(keyCount: spec.keys.count, kinds: [.init("panes", paneColumns), .init("due", dueColumns)], due: "due")
        form.isDueByClock = spec.isProcessingTime
        return form
    }

    /// Panes of a range as they were at a barrier; places by number from the start of the range.
    private struct Frozen: Sendable {
        var range: Range<Int>
        var start: MemoryBlock, end: MemoryBlock, group: MemoryBlock
        var given: MemoryBlock?, hasEnded: MemoryBlock?, wanted: MemoryBlock?
        var rows: FrozenRows?

        func live() -> [Int32] {
            let group = group.base.assumingMemoryBound(to: Int32.self)
            return range.indices.filter { group[$0 - range.lowerBound] >= 0 }.map { Int32($0) }
        }
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[watermark, arrivals]])
        let count = panes.capacity
        let accumulators = content.freeze(), groups = FrozenGroups(table.keys, maxParallelism: context.maxParallelism)
        let (names, rows) = (paneColumns.names, results?.rows.frozen())
        let chunks = changes.take(count).map { range, version in
            let frozen = Frozen(range: range, start: panes.start.frozen(range), end: panes.end.frozen(range), group: panes.group.frozen(range),
                                given: results?.given.frozen(range), hasEnded: results?.hasEnded.frozen(range),
                                wanted: results?.wanted.frozen(range), rows: rows)
            return StateUnit(name: "panes/\(range.lowerBound / ChunkVersions.size)", version: version) {
                accumulators.read { Self.pieces($0, frozen, groups, names) }
            }
        }
        let owners = panes.group.frozen(0..<count), timers = panes.timer.frozen(0..<count), dueNames = dueColumns.names
        let due = StateUnit(name: "due") { Self.due(owners, timers, count: count, groups, dueNames) }
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }, due] + chunks)
    }

    private static func pieces(_ set: AccumulatorSet, _ frozen: Frozen, _ groups: FrozenGroups, _ names: [String]) -> [KeyGroupState] {
        let live = frozen.live()
        guard !live.isEmpty else { return [] }
        let (n, first) = (live.count, frozen.range.lowerBound)
        let of = frozen.group.base.assumingMemoryBound(to: Int32.self)
        let order = live.withUnsafeBufferPointer { groups.order($0.baseAddress!, count: n, groups: of - first) }
        let ids = Array(UnsafeBufferPointer(start: order.ids.rows, count: n))
        let owners = ids.map { of[Int($0) - first] }
        func times(_ block: MemoryBlock) -> Column {
            let from = block.base.assumingMemoryBound(to: Int64.self)
            return .make(.timestamp(3), count: n, zero: Int64(0)) { from[Int(ids[$0]) - first] }
        }
        var columns = owners.withUnsafeBufferPointer { groups.keys.columns($0.baseAddress!, count: n) }
        columns += [times(frozen.start), times(frozen.end)]
        if let rows = frozen.rows, let given = frozen.given, let hasEnded = frozen.hasEnded, let wanted = frozen.wanted {
            let (row, ended) = (given.base.assumingMemoryBound(to: Int32.self), hasEnded.base.assumingMemoryBound(to: UInt8.self))
            let times = wanted.base.assumingMemoryBound(to: Int64.self)
            let numbers = ids.map { row[Int($0) - first] }
            columns.append(.make(.boolean, count: n, zero: UInt8(0)) { numbers[$0] >= 0 ? 1 : 0 })
            columns.append(.make(.boolean, count: n, zero: UInt8(0)) { ended[Int(ids[$0]) - first] })
            columns.append(.make(.boolean, count: n, zero: UInt8(0)) { times[Int(ids[$0]) - first] == .max ? 0 : 1 })
            let known = numbers.filter { $0 >= 0 }
            var at: Int32 = 0
            let places = numbers.map { number -> Int32 in
                guard number >= 0 else { return -1 }
                defer { at += 1 }
                return at
            }
            columns += known.isEmpty ? rows.columns([]).map { .nulls(type: $0.type, count: n) } : rows.columns(known).map { $0.gatherOrNull(places) }
        }
        columns += set.state(order.ids.rows, count: n)
        return order.cut(columns, name: "panes", columnNames: names)
    }

    /// When each key is due first.
    private static func due(_ owners: MemoryBlock, _ timers: MemoryBlock, count: Int, _ groups: FrozenGroups, _ names: [String]) -> [KeyGroupState] {
        let (owner, timer) = (owners.base.assumingMemoryBound(to: Int32.self), timers.base.assumingMemoryBound(to: Int64.self))
        var first: [Int32: Int64] = [:]
        for pane in 0..<count where owner[pane] >= 0 { first[owner[pane]] = min(first[owner[pane]] ?? .max, timer[pane]) }
        let list = first.keys.sorted()
        guard !list.isEmpty else { return [] }
        let order = list.withUnsafeBufferPointer { groups.order($0.baseAddress!, count: list.count) }, ids = order.ids.rows
        let times = Column.make(.timestamp(3), count: list.count, zero: Int64(0)) { first[ids[$0]]! }
        return order.cut(groups.keys.columns(ids, count: list.count) + [times], name: "due", columnNames: names)
    }

    func restore(_ state: RestoredState) throws {
        let (wanted, due, keys) = (paneColumns, dueColumns, spec.keys.count)
        var restoredWatermark: Int64?
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let columns = try Self.progress.columns(of: piece, operator: context.name)
                for row in 0..<piece.batch.count {
                    // The least of all: a row that is late for one subtask need not be for this one.
                    let own = columns[0].pointer(as: Int64.self)[row]
                    restoredWatermark = min(restoredWatermark ?? own, own)
                    arrivals = max(arrivals, columns[1].pointer(as: Int64.self)[row])
                }
            case "due": _ = try due.columns(of: piece, operator: context.name)
            case "panes": try restorePanes(wanted.columns(of: piece, operator: context.name), piece.batch.count, keys)
            default: throw piece.unknown(operator: context.name)
            }
        }
        if let restoredWatermark { watermark = max(watermark, restoredWatermark) }
    }

    private func restorePanes(_ columns: [Column], _ n: Int, _ keys: Int) throws {
        guard n > 0 else { return }
        let groups = ids.reserve(n)
        table.lookup(Array(columns[0..<keys]), rows: nil, count: n, into: groups)
        panes.reserve(n, groups: table.count)
        content.thaw { set, _ in set.copy() }
        var restored: [Int32] = []
        withExtendedLifetime(columns) {
            let (start, end) = (columns[keys].pointer(as: Int64.self), columns[keys + 1].pointer(as: Int64.self))
            for i in 0..<n {
                restored.append(panes.add(group: groups[i], start: start[i], end: end[i], timer: clock.instant(end[i] - 1)))
            }
        }
        set.reserve(panes.capacity)
        var at = keys + 2
        if let results {
            results.reserve(panes.capacity)
            let width = results.rows.types.count
            var given = [Int32](repeating: -1, count: n)
            given.withUnsafeMutableBufferPointer {
                results.rows.add(Array(columns[at + 3..<at + 3 + width]), rows: nil, count: n, into: $0.baseAddress!)
            }
            var unused: [Int32] = []
            withExtendedLifetime(columns) {
                let (isGiven, hasEnded, isWanted) = (columns[at].pointer(as: UInt8.self), columns[at + 1].pointer(as: UInt8.self),
                                                     columns[at + 2].pointer(as: UInt8.self))
                for (i, pane) in restored.enumerated() {
                    if isGiven[i] == 0 { unused.append(given[i]) }
                    results.restore(pane, given: isGiven[i] == 0 ? -1 : given[i], hasEnded: hasEnded[i] != 0, isWanted: isWanted[i] != 0,
                                    now: context.now())
                }
            }
            unused.withUnsafeBufferPointer { if let ids = $0.baseAddress { results.rows.remove(ids, count: $0.count) } }
            at += 3 + width
        }
        restored.withUnsafeBufferPointer {
            changes.mark($0.baseAddress!, count: n)
            set.restore(Array(columns[at...]), groups: $0.baseAddress!, count: n)
        }
    }
}
