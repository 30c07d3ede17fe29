import StreamCore

/// Snapshots of a join: per side a unit per range of pair numbers, in which a row is an input row and how often it is there.
extension JoinOperator {
    private func stateColumns(_ side: Int) -> StateColumns {
        StateColumns(side == 0 ? spec.leftSchema : spec.rightSchema) + StateColumns([("count", .bigint)])
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        var units: [StateUnit] = []
        for (side, multiset) in sides.enumerated() {
            let name = side == 0 ? "left" : "right"
            let keys = multiset.pairKeys, keyColumns = side == 0 ? spec.leftKeys : spec.rightKeys
            let columns = timeToLive[side] == nil ? stateColumns(side) : stateColumns(side) + .lastWrite
            let maxParallelism = context.maxParallelism
            for (range, version) in changes[side].take(multiset.pairCount) {
                let counts = multiset.frozenCounts(range), times = multiset.frozenTimes(range)
                units.append(StateUnit(name: "\(name)/\(range.lowerBound / ChunkVersions.size)", version: version) {
                    Self.pieces(keys, range, keyColumns, counts, times, name, columns.names, maxParallelism)
                })
            }
        }
        return OperatorSnapshot(units: units)
    }

    private static func pieces(_ keys: GroupKeys, _ range: Range<Int>, _ keyColumns: [Int], _ counts: MemoryBlock, _ times: MemoryBlock?,
                               _ name: String, _ names: [String], _ maxParallelism: Int) -> [KeyGroupState] {
        withExtendedLifetime((counts, times)) {
            let count = counts.base.assumingMemoryBound(to: Int64.self), first = range.lowerBound
            return range.filter { count[$0 - first] != 0 }.map { Int32(truncatingIfNeeded: $0) }.withUnsafeBufferPointer { present in
                guard let pairs = present.baseAddress, present.count > 0 else { return [] }
                let n = present.count
                let rows = Batch(columns: Array(keys.columns(pairs, count: n).dropFirst()), physicalCount: n)
                let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
                defer { hashes.deallocate() }
                RowHash.hash(rows, keys: keyColumns, into: hashes)
                let all = Selection.all(n)
                let order = withExtendedLifetime(all) {
                    KeyGroupOrder(all.rows, count: n, maxParallelism: maxParallelism) { i, _ in
                        KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                    }
                }
                let sorted = order.ids.rows
                var columns = rows.columns.map { $0.gather(sorted, count: n) }
                columns.append(.make(.bigint, count: n, zero: Int64(0)) { count[Int(pairs[Int(sorted[$0])]) - first] })
                if let time = times?.base.assumingMemoryBound(to: Int64.self) {
                    columns.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { time[Int(pairs[Int(sorted[$0])]) - first] })
                }
                return order.cut(columns, name: name, columnNames: names)
            }
        }
    }

    func restore(_ state: RestoredState) throws {
        let now = context.now()
        for side in sides { side.setTime(now) }
        // In the order in which the rows came: chunks were numbered so, and pieces of a chunk keep its order.
        try state.forEach { piece in
            guard piece.name == "left" || piece.name == "right" else { throw piece.unknown(operator: context.name) }
            let side = piece.name == "left" ? 0 : 1, wanted = stateColumns(side), width = wanted.types.count
            let columns = try wanted.columns(of: piece, operator: context.name, extra: .lastWrite), n = piece.batch.count
            guard n > 0 else { return }
            let groups = ids.reserve(n)
            table.lookup((side == 0 ? spec.leftKeys : spec.rightKeys).map { columns[$0] }, rows: nil, count: n, into: groups)
            for side in sides { side.reserve(table.count) }
            let rows = Array(columns[0..<width - 1]), counts = columns[width - 1]
            withExtendedLifetime(columns) {
                let weights = counts.pointer(as: Int64.self)
                guard timeToLive[side] != nil else {
                    return sides[side].add(rows, groups: groups, count: n, weight: 1, weights: weights)
                }
                // State that was kept without a time to live begins to age now.
                let times = columns.count > width ? columns[width].pointer(as: Int64.self) : nil
                sides[side].addTimed(rows, groups: groups, count: n, weights: weights, times: times)
            }
        }
    }
}
