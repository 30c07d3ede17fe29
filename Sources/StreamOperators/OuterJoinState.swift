import StreamCore

/// Snapshots of a join: per side a unit per range of pair numbers, in which a row is the key, the other columns, how often the row
/// is there and, where it matters, how many rows it matches.
extension OuterJoinOperator {
    private static func name(_ side: Int) -> String { side == 0 ? "left" : "right" }

    private func stateColumns(_ side: Int) -> StateColumns {
        let shape = shapes[side]
        let keys = StateColumns(zip(shape.keys, table.types).map { (shape.schema[$0].name, $1) })
        let counts = StateColumns([("count", .bigint)] + (sides[side].associations == nil ? [] : [("matches", .int)]))
        return keys + StateColumns(shape.rest.map { shape.schema[$0] }) + counts
    }

    var keyedState: KeyedStateForm {
        KeyedStateForm(keyCount: table.types.count, kinds: (0..<2).map { .init(Self.name($0), stateColumns($0), timeToLive: timeToLive[$0]) })
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        var units: [StateUnit] = []
        let keys = table.keys, maxParallelism = context.maxParallelism
        for (side, multiset) in sides.enumerated() {
            let rows = multiset.pairKeys, name = Self.name(side)
            let columns = timeToLive[side] == nil ? stateColumns(side) : stateColumns(side) + .lastWrite
            for (range, version) in changes[side].take(multiset.pairCount) {
                let frozen = JoinRange(
                    pairs: range, rows: rows, keys: keys, counts: multiset.frozenCounts(range),
                    matches: multiset.associations?.frozen(range), times: multiset.frozenTimes(range))
                units.append(StateUnit(name: "\(name)/\(range.lowerBound / ChunkVersions.size)", version: version) {
                    frozen.pieces(name, columns.names, maxParallelism)
                })
            }
        }
        return OperatorSnapshot(units: units)
    }

    func restore(_ state: RestoredState) throws {
        let now = context.now()
        for side in sides { side.setTime(now) }
        // In the order in which the rows came: chunks were numbered so, and pieces of a chunk keep its order.
        try state.forEach { piece in
            guard let side = (0..<2).first(where: { Self.name($0) == piece.name }) else { throw piece.unknown(operator: context.name) }
            let wanted = stateColumns(side), multiset = sides[side]
            let columns = try wanted.columns(of: piece, operator: context.name, extra: .lastWrite), n = piece.batch.count
            guard n > 0 else { return }
            let keyCount = table.types.count, restEnd = keyCount + shapes[side].rest.count
            let groups = ids.reserve(n)
            table.lookup(Array(columns[..<keyCount]), rows: nil, count: n, into: groups)
            for side in sides { side.reserve(table.count) }
            let rows = Array(columns[keyCount..<restEnd])
            withExtendedLifetime(columns) {
                let weights = columns[restEnd].pointer(as: Int64.self)
                // State that was kept without a time to live begins to age now.
                let times = columns.count > wanted.types.count ? columns[wanted.types.count].pointer(as: Int64.self) : nil
                guard multiset.associations != nil else {
                    if timeToLive[side] == nil { return multiset.add(rows, groups: groups, count: n, weight: 1, weights: weights) }
                    return multiset.addTimed(rows, groups: groups, count: n, weights: weights, times: times)
                }
                multiset.addMatched(rows, groups: groups, count: n, weights: weights, times: times,
                                    matches: columns[restEnd + 1].pointer(as: Int32.self))
            }
        }
    }
}

/// Some rows of one side of a join, at a barrier.
private struct JoinRange: Sendable {
    let pairs: Range<Int>
    /// Group and columns of each pair.
    let rows: GroupKeys
    /// Keys by group.
    let keys: GroupKeys
    let counts: MemoryBlock
    let matches: MemoryBlock?, times: MemoryBlock?

    func pieces(_ name: String, _ columnNames: [String], _ maxParallelism: Int) -> [KeyGroupState] {
        let count = counts.base.assumingMemoryBound(to: Int64.self), first = pairs.lowerBound
        let present = pairs.filter { count[$0 - first] != 0 }.map { Int32(truncatingIfNeeded: $0) }, n = present.count
        guard n > 0 else { return [] }
        return withExtendedLifetime(self) {
            let stored = present.withUnsafeBufferPointer { rows.columns($0.baseAddress!, count: n) }
            let key = withExtendedLifetime(stored) { keys.columns(stored[0].pointer(as: Int32.self), count: n) }
            let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
            defer { hashes.deallocate() }
            RowHash.hash(Batch(columns: key, physicalCount: n), keys: Array(key.indices), into: hashes)
            let all = Selection.all(n)
            let order = withExtendedLifetime(all) {
                KeyGroupOrder(all.rows, count: n, maxParallelism: maxParallelism) { i, _ in
                    KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                }
            }
            let sorted = order.ids.rows
            func place(_ i: Int) -> Int { Int(present[Int(sorted[i])]) - first }
            var columns = (key + stored.dropFirst()).map { $0.gather(sorted, count: n) }
            columns.append(.make(.bigint, count: n, zero: Int64(0)) { count[place($0)] })
            if let matched = matches?.base.assumingMemoryBound(to: Int32.self) {
                columns.append(.make(.int, count: n, zero: Int32(0)) { matched[place($0)] })
            }
            if let time = times?.base.assumingMemoryBound(to: Int64.self) {
                columns.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { time[place($0)] })
            }
            return order.cut(columns, name: name, columnNames: columnNames)
        }
    }
}
