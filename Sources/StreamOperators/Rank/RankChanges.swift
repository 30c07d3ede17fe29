import StreamCore

/// Changes to ranked rows, on their way out.
struct RankChanges {
    private let emitsUpdateBefore: Bool
    private var ids: [Int32] = [], groups: [Int32] = [], places: [Int64] = []
    private var kinds: [UInt8] = []

    init(emitsUpdateBefore: Bool = true) { self.emitsUpdateBefore = emitsUpdateBefore }

    private mutating func add(_ kind: RowKind, _ id: Int32, _ group: Int32, _ place: Int) {
        ids.append(id)
        groups.append(group)
        places.append(Int64(place))
        kinds.append(kind.rawValue)
    }

    /// What stands at each place, the first of which is `from`.
    mutating func compareByPlace(_ old: UnsafeBufferPointer<Int32>, _ new: UnsafeBufferPointer<Int32>, _ group: Int32, from: Int, _ arena: RowArena) {
        for i in 0..<max(old.count, new.count) {
            if i >= new.count {
                add(.delete, old[i], group, from + i)
            } else if i >= old.count {
                add(.insert, new[i], group, from + i)
            } else if old[i] != new[i], !arena.isEqual(old[i], new[i]) {
                if emitsUpdateBefore { add(.updateBefore, old[i], group, from + i) }
                add(.updateAfter, new[i], group, from + i)
            }
        }
    }

    /// Which rows are there, wherever they stand.
    mutating func compareAsSets(_ old: UnsafeBufferPointer<Int32>, _ new: UnsafeBufferPointer<Int32>, _ group: Int32) {
        if old.count + new.count <= 32 {
            for id in old where !new.contains(id) { add(.delete, id, group, 0) }
            for id in new where !old.contains(id) { add(.insert, id, group, 0) }
        } else {
            let (was, stays) = (Set(old), Set(new))
            for id in old where !stays.contains(id) { add(.delete, id, group, 0) }
            for id in new where !was.contains(id) { add(.insert, id, group, 0) }
        }
    }

    /// Rows that are given once and never taken back.
    mutating func insert(_ new: UnsafeBufferPointer<Int32>, _ group: Int32, from: Int) {
        for (i, id) in new.enumerated() { add(.insert, id, group, from + i) }
    }

    var count: Int { ids.count }

    /// Batches of the rows, cut where no update is torn apart.
    func makeBatches(_ rows: KeyedRows, givesPlace: Bool, _ take: (Batch) -> Void) {
        let insertsOnly = kinds.allSatisfy { $0 == RowKind.insert.rawValue }
        ids.withUnsafeBufferPointer { ids in
            groups.withUnsafeBufferPointer { groups in
                var start = 0
                while start < ids.count {
                    var end = min(start + Batch.targetRows, ids.count)
                    if emitsUpdateBefore, end < ids.count, kinds[end] == RowKind.updateAfter.rawValue { end -= 1 }
                    let n = end - start
                    var columns = rows.columns(groups.baseAddress! + start, ids.baseAddress! + start, count: n)
                    if givesPlace {
                        columns.append(places.withUnsafeBufferPointer { .fixed(.bigint, $0.baseAddress! + start, count: n) })
                    }
                    let slice = insertsOnly ? nil : kinds[start..<end].withUnsafeBytes { Buffer(copying: $0) }
                    take(Batch(columns: columns, physicalCount: n, rowKinds: slice))
                    start = end
                }
            }
        }
    }
}

/// Batches that wait until there is room for them downstream.
struct BatchQueue {
    private var batches: [Batch] = []
    private var next = 0

    mutating func append(_ batch: Batch) { batches.append(batch) }

    mutating func emit(to output: any Output) throws -> Progress {
        while next < batches.count {
            guard output.isReady else { return .more }
            try output.emit(batches[next])
            next += 1
        }
        batches.removeAll()
        next = 0
        return .done
    }
}
