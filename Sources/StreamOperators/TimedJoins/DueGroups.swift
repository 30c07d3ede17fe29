import StreamCore

/// Which groups event time has to come by at, as a piece of state; see ``KeyedStateForm/due``.
enum DueGroups {
    /// - Parameter time: the watermark at which a group is due; nil = it is not. Called at once.
    static func unit(_ table: GroupTable, maxParallelism: Int, _ time: (Int32) -> Int64?) -> StateUnit {
        var groups: [Int32] = [], times: [Int64] = []
        for group in 0..<Int32(truncatingIfNeeded: table.count) {
            guard let due = time(group) else { continue }
            groups.append(group)
            times.append(due)
        }
        let frozen = FrozenGroups(table.keys, maxParallelism: maxParallelism)
        return StateUnit(name: "due") { [groups, times] in
            guard !groups.isEmpty else { return [] }
            let n = groups.count, all = Selection.all(n)
            let keys = groups.withUnsafeBufferPointer { frozen.keys.columns($0.baseAddress!, count: n) }
            let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
            defer { hashes.deallocate() }
            KeyGroups.hash(keys, count: n, into: hashes)
            let order = withExtendedLifetime(all) {
                KeyGroupOrder(all.rows, count: n, maxParallelism: maxParallelism) { i, _ in
                    KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                }
            }
            let due = Column.make(.timestamp(3), count: n, zero: Int64(0)) { times[$0] }
            let sorted = withExtendedLifetime(order.ids) { (keys + [due]).map { $0.gather(order.ids.rows, count: n) } }
            return order.cut(sorted, name: "due", columnNames: keys.indices.map { "key\($0)" } + ["due"])
        }
    }
}
