import StreamCore

/// ``JoinOperator`` over a store: an entry per side and distinct row, with the times it is there.
///
/// Of the side that a row arrives on only that row is read, of the other one all rows of its key.
final class StoredJoinOperator: StoredOperator {
    private let spec: JoinSpec
    /// Keys of either side, and of which sides all rows in the store are held, a bit each.
    private let keys: GroupTable
    private let sides = GroupArray<UInt8>(fill: 0)
    private let ids = Scratch<Int32>()

    init(_ spec: JoinSpec) throws {
        self.spec = spec
        keys = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        try super.init(entryBytes: 128 + StoredLayout.width((spec.leftSchema + spec.rightSchema).map(\.type)), rowBytes: 64) { try JoinOperator(spec) }
    }

    override func layouts() -> [StoredLayout] {
        let kinds = [("left", spec.leftSchema, spec.leftKeys), ("right", spec.rightSchema, spec.rightKeys)]
        return zip(kinds, timesToLive).enumerated().map { side, kind in
            let ((name, schema, keys), timeToLive) = kind
            return StoredLayout(name: name, part: .side(UInt8(side)), columns: StateColumns(schema) + StateColumns([("count", .bigint)]),
                                identityCount: schema.count, keys: keys, isTimed: timeToLive != nil, hasNulls: false,
                                maxParallelism: context.maxParallelism)
        }
    }

    override var timesToLive: [Int64?] { [spec.leftTTL, spec.rightTTL].map { $0?.wholeMilliseconds } }

    override func letGone() {
        keys.removeAll()
        sides.clear(sides.capacity)
    }

    override func prepare(_ batch: Batch, input: Int) throws {
        let columns = (input == 0 ? spec.leftKeys : spec.rightKeys).map { batch.columns[$0] }
        let rows = (0..<batch.count).map { Int32(truncatingIfNeeded: batch.row($0)) }
            .filter { row in columns.allSatisfy { $0.isValid(Int(row)) } }
        guard !rows.isEmpty else { return }
        try rows.withUnsafeBufferPointer { rows in
            let new = states[input].touch(batch.columns, rows: rows.baseAddress!, count: rows.count)
            guard !isComplete else { return }
            try readOther(columns, rows, side: 1 - input)
            try give(states[input].read(new))
        }
    }

    /// Reads all rows of the other side that have one of the keys.
    private func readOther(_ columns: [Column], _ rows: UnsafeBufferPointer<Int32>, side: Int) throws {
        let groups = ids.reserve(rows.count)
        keys.lookup(columns, rows: rows.baseAddress!, count: rows.count, into: groups)
        sides.reserve(keys.count)
        let bit = UInt8(1 << side)
        var wanted: [Int32] = []
        for i in 0..<rows.count where sides.base[Int(groups[i])] & bit == 0 {
            sides.base[Int(groups[i])] |= bit
            wanted.append(groups[i])
        }
        guard !wanted.isEmpty else { return }
        let missing = wanted.withUnsafeBufferPointer { keys.keyColumns($0.baseAddress!, count: $0.count) }
        var prefixes = ByteList(), sorted = ByteList()
        states[side].layout.appendPrefixes(missing, count: wanted.count, to: &prefixes)
        for i in prefixes.sortedOrder() { prefixes.withBytes(Int(i)) { sorted.append($0) } }
        try give(states[side].read(prefixes: sorted))
    }
}
