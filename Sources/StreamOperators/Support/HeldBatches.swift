import StreamCore

/// Rows that an operator holds in order of arrival, as compacted batches, and their snapshots: a unit per run of batches,
/// all of key group 0, since operators that hold rows run in one subtask.
struct HeldBatches {
    private(set) var batches: [Batch] = []
    private(set) var rowCount = 0
    /// Version by unit, 0 = changed since the last snapshot.
    private var unitVersions: [UInt64] = []
    private static let batchesPerUnit = 64
    private static let extra = StateColumns([("arrival", .bigint), ("row_kind", .tinyint)])

    mutating func append(_ batch: Batch) {
        let unit = batches.count / Self.batchesPerUnit
        if unit == unitVersions.count { unitVersions.append(0) } else { unitVersions[unit] = 0 }
        batches.append(batch)
        rowCount += batch.count
    }

    mutating func replaceAll(_ others: [Batch]) {
        (batches, rowCount, unitVersions) = ([], 0, [])
        for batch in others { append(batch) }
    }

    /// The rows as one.
    func joined(_ columnCount: Int) -> [Column] { (0..<columnCount).map { c in Column.concatenated(batches.map { $0.columns[c] }) } }

    mutating func units(_ schema: Schema, _ counter: VersionCounter) -> [StateUnit] {
        let names = (StateColumns(schema) + Self.extra).names
        var arrival: Int64 = 0
        return unitVersions.indices.map { unit in
            if unitVersions[unit] == 0 { unitVersions[unit] = counter.next() }
            let first = unit * Self.batchesPerUnit
            let part = Array(batches[first..<min(first + Self.batchesPerUnit, batches.count)])
            let start = arrival
            for batch in part { arrival += Int64(batch.count) }
            return StateUnit(name: "rows/\(unit)", version: unitVersions[unit]) {
                var next = start
                return part.map { batch in
                    let from = next
                    next += Int64(batch.count)
                    let kinds = batch.rowKinds?.pointer(as: Int8.self)
                    let extra: [Column] = withExtendedLifetime(batch) {
                        [.make(.bigint, count: batch.count, zero: Int64(0)) { from + Int64($0) },
                         .make(.tinyint, count: batch.count, zero: Int8(0)) { kinds?[$0] ?? 0 }]
                    }
                    return KeyGroupState(keyGroup: 0, name: "rows", batch: Batch(columns: batch.columns + extra, physicalCount: batch.count),
                                         columns: names)
                }
            }
        }
    }

    /// Takes back what units of ``units(_:_:)`` held, in order of arrival.
    mutating func restore(_ pieces: [KeyGroupState], _ schema: Schema, operator name: String) throws {
        var found: [(arrival: Int64, batch: Batch)] = []
        for piece in pieces where piece.batch.count > 0 {
            let columns = try (StateColumns(schema) + Self.extra).columns(of: piece, operator: name), n = piece.batch.count
            let kinds = columns[schema.count + 1].pointer(as: UInt8.self)
            let hasKinds = (0..<n).contains { kinds[$0] != 0 }
            let rowKinds = hasKinds ? Buffer(copying: UnsafeRawBufferPointer(start: kinds, count: n)) : nil
            found.append((columns[schema.count].pointer(as: Int64.self)[0],
                          Batch(columns: Array(columns[0..<schema.count]), physicalCount: n, rowKinds: rowKinds)))
        }
        for (_, batch) in found.sorted(by: { $0.arrival < $1.arrival }) { append(batch) }
    }
}
