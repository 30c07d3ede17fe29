import StreamCore

/// Cuts rows of state into key groups as the exchange does.
enum KeyedSnapshot {
    /// - Parameter keys: how many of the first columns are the key.
    static func split(_ columns: [Column], count: Int, keys: Int, name: String, maxParallelism: Int) -> [KeyGroupState] {
        guard count > 0 else { return [] }
        let batch = Batch(columns: columns, physicalCount: count)
        let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        defer { hashes.deallocate() }
        RowHash.hash(batch, keys: Array(0..<keys), into: hashes)
        var rows: [Int: [Int32]] = [:]
        for i in 0..<count { rows[KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism), default: []].append(Int32(i)) }
        return rows.sorted { $0.key < $1.key }.map { group, rows in
            var part = batch
            part.selection = Selection(rows)
            return KeyGroupState(keyGroup: UInt16(group), name: name, batch: part.compacted())
        }
    }

    /// One row of numbers for each key group of the subtask, so that every subtask finds it whatever the new parallelism.
    static func broadcast(_ numbers: [Int64], name: String, context: OperatorContext) -> [KeyGroupState] {
        let batch = Batch(columns: numbers.map { n in .make(.bigint, count: 1, zero: Int64(0)) { _ in n } }, physicalCount: 1)
        return (0..<context.maxParallelism).filter {
            KeyGroups.subtask(ofGroup: $0, parallelism: context.parallelism, maxParallelism: context.maxParallelism) == context.subtask
        }.map { KeyGroupState(keyGroup: UInt16($0), name: name, batch: batch) }
    }
}
