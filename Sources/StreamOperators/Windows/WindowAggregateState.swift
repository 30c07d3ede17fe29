import StreamCore

/// Snapshots of a window aggregate: a unit per slice, in which a row is a group with its accumulators, and one of what has fired.
///
/// The one-step and the two-step form keep the same.
extension WindowAggregateOperator {
    private static let progress = StateColumns([("first_key_group", .bigint), ("end_key_group", .bigint), ("fired_end", .bigint),
                                                ("arrivals", .bigint)])

    private var stateColumns: StateColumns {
        StateColumns(spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) } + [("slice_start", .timestamp(3))]
            + zip(store.plan.stateNames(spec.inputSchema.map(\.name)), store.plan.stateTypes))
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let groups = FrozenGroups(store.table.keys, maxParallelism: context.maxParallelism)
        let names = stateColumns.names
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: firedRanges.map {
            [Int64($0.groups.lowerBound), Int64($0.groups.upperBound), $0.end, arrivals]
        })
        let slices = store.slices.values.sorted { $0.index < $1.index }.map { slice in
            let (frozen, version) = slice.freeze(versions)
            let (start, count) = (windowing.time(ofSlice: slice.index), slice.groups)
            return StateUnit(name: "slices/\(slice.index)", version: version) {
                frozen.read { Self.pieces($0, groups, count: count, start: start, names) }
            }
        }
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }] + slices)
    }

    private static func pieces(_ set: AccumulatorSet, _ groups: FrozenGroups, count: Int, start: Int64, _ names: [String]) -> [KeyGroupState] {
        set.liveGroups(0..<count).withUnsafeBufferPointer { live in
            guard let ids = live.baseAddress, live.count > 0 else { return [] }
            let n = live.count, order = groups.order(ids, count: n)
            let start = Column.make(.timestamp(3), count: n, zero: Int64(0)) { _ in start }
            let columns = groups.keys.columns(order.ids.rows, count: n) + [start] + set.state(order.ids.rows, count: n)
            return order.cut(columns, name: "slices", columnNames: names)
        }
    }

    /// What has fired in the key groups of this subtask.
    private var firedRanges: [(groups: Range<Int>, end: Int64)] {
        guard let past = firedByKeyGroup else { return [(context.keyGroups, firedEnd)] }
        return past.ends.map { ($0.groups, max($0.end, firedEnd)) }
    }

    func restore(_ state: RestoredState) throws {
        var fired: [(groups: Range<Int>, end: Int64)] = []
        let (wanted, keys) = (stateColumns, spec.keys.count)
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let columns = try Self.progress.columns(of: piece, operator: context.name)
                for row in 0..<piece.batch.count {
                    let numbers = columns.map { $0.pointer(as: Int64.self)[row] }
                    let own = context.keyGroups.clamped(to: Int(numbers[0])..<Int(numbers[1]))
                    if !own.isEmpty { fired.append((own, numbers[2])) }
                    arrivals = max(arrivals, numbers[3])
                }
            case "slices":
                let columns = try wanted.columns(of: piece, operator: context.name), n = piece.batch.count
                guard n > 0 else { return }
                let groups = ids.reserve(n), times = times.reserve(n)
                store.table.lookupInOrder(Array(columns[0..<keys]), count: n, into: groups)
                withExtendedLifetime(columns) { times.update(from: columns[keys].pointer(as: Int64.self), count: n) }
                for part in partition.split(times, groups: groups, rows: nil, count: n, windowing) {
                    let state = columns[(keys + 1)...].map { $0.taking(part.rows, count: part.count) }
                    store.slice(part.slice).set.restore(state, groups: part.groups, count: part.count)
                }
            default: throw piece.unknown(operator: context.name)
            }
        }
        // The least of all: a window that one subtask had not fired must not be taken for fired.
        firedEnd = fired.map(\.end).min() ?? .min
        firedByKeyGroup = fired.contains { $0.end != firedEnd } ? FiredByKeyGroup(ends: fired, maxParallelism: context.maxParallelism) : nil
    }
}

/// Ends of the windows that had fired, by key group, where they differ.
struct FiredByKeyGroup {
    let ends: [(groups: Range<Int>, end: Int64)]
    let latest: Int64
    private let maxParallelism: Int

    init(ends: [(groups: Range<Int>, end: Int64)], maxParallelism: Int) {
        self.ends = ends.sorted { $0.groups.lowerBound < $1.groups.lowerBound }
        latest = ends.map(\.end).max() ?? .min
        self.maxParallelism = maxParallelism
    }

    /// Leaves out the groups for which the window had fired; returns how many stay.
    func drop(firedAt end: Int64, _ table: GroupTable, _ live: UnsafeMutablePointer<Int32>, _ groups: UnsafeMutablePointer<Int32>, count n: Int) -> Int {
        var hasFired = [Bool](repeating: false, count: maxParallelism)
        for range in ends where range.end >= end { for group in range.groups { hasFired[group] = true } }
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n + 1)
        defer { hashes.deallocate() }
        KeyGroups.hash(table.keyColumns(groups, count: n), count: n, into: hashes)
        var kept = 0
        for i in 0..<n {
            let stays = !hasFired[KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)]
            (live[kept], groups[kept]) = (live[i], groups[i])
            kept += stays ? 1 : 0
        }
        return kept
    }
}
