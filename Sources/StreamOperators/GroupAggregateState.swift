import StreamCore

/// Snapshots of a GROUP BY: a unit per range of group numbers, in which a row is a group with its accumulators.
extension GroupAggregateOperator {
    private static let progress = StateColumns([("arrivals", .bigint)])

    private var stateColumns: StateColumns {
        StateColumns(spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) }
            + zip(plan.stateNames(spec.inputSchema.map(\.name)), plan.stateTypes))
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[arrivals]])
        // Groups that were looked up have accumulators, unless no row came yet.
        let count = min(table.count, content.state.rows.values.capacity)
        let frozen = content.freeze(), groups = FrozenGroups(table.keys, maxParallelism: context.maxParallelism)
        let names = (expiry == nil ? stateColumns : stateColumns + .lastWrite).names
        let chunks = changes.take(count).map { range, version in
            let times = expiry?.frozen(range)
            return StateUnit(name: "groups/\(range.lowerBound / ChunkVersions.size)", version: version) {
                frozen.read { Self.pieces($0, groups, range, times, names) }
            }
        }
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }] + chunks)
    }

    private static func pieces(_ set: AccumulatorSet, _ groups: FrozenGroups, _ range: Range<Int>, _ times: MemoryBlock?,
                               _ names: [String]) -> [KeyGroupState] {
        set.liveGroups(range).withUnsafeBufferPointer { live in
            guard let ids = live.baseAddress, live.count > 0 else { return [] }
            let n = live.count, order = groups.order(ids, count: n), sorted = order.ids.rows
            var columns = groups.keys.columns(sorted, count: n) + set.state(sorted, count: n)
            if let times {
                let from = times.base.assumingMemoryBound(to: Int64.self)
                columns.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { from[Int(sorted[$0]) - range.lowerBound] })
            }
            return order.cut(columns, name: "groups", columnNames: names)
        }
    }

    func restore(_ state: RestoredState) throws {
        let (wanted, keys, now) = (stateColumns, spec.keys.count, context.now())
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let columns = try Self.progress.columns(of: piece, operator: context.name)
                for row in 0..<piece.batch.count { arrivals = max(arrivals, columns[0].pointer(as: Int64.self)[row]) }
            case "groups":
                let columns = try wanted.columns(of: piece, operator: context.name, extra: .lastWrite), n = piece.batch.count
                guard n > 0 else { return }
                let groups = ids.reserve(n)
                table.lookup(Array(columns[0..<keys]), rows: nil, count: n, into: groups)
                content.state.reserve(table.count)
                content.state.restore(Array(columns[keys..<wanted.types.count]), groups: groups, count: n)
                liveGroups += n
                guard let expiry else { return }
                expiry.reserve(table.count)
                // State that was kept without a time to live begins to age now.
                let times = columns.count > wanted.types.count ? columns[wanted.types.count].pointer(as: Int64.self) : nil
                withExtendedLifetime(columns) { for i in 0..<n { expiry.set(groups[i], times?[i] ?? now) } }
            default: throw piece.unknown(operator: context.name)
            }
        }
    }
}
