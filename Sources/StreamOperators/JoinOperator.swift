import StreamCore

/// Regular inner join: each side's rows are kept, and each arriving row is paired with the other side's rows of its key. The
/// results have the row kind of the row that arrived. A null key matches nothing; such rows are not kept.
final class JoinOperator: StreamOperator {
    let spec: JoinSpec
    private(set) var context = OperatorContext(name: "join")
    private let versions = VersionCounter()
    /// Keys of both sides.
    let table: GroupTable
    let sides: [GroupedMultiset]
    /// Which rows of each side differ from those of the last snapshot.
    let changes: [ChunkVersions]
    /// Milliseconds after which rows of each side are forgotten.
    let timeToLive: [Int64?]
    let ids = Scratch<Int32>()
    private var evictionCheckAt = JoinOperator.evictionMinimum
    private static let evictionMinimum = 65_536

    /// The part of an arrived batch that has not been paired yet.
    private struct Probe {
        var batch: Batch
        var side: Int
        var rows: [Int32]
        var groups: [Int32]
        var next = 0
        /// Where the list of the current row's matches goes on, and how many of that match are out.
        var pair: Int32?
        var copies: Int64 = 0
    }
    private var probe: Probe?

    init(_ spec: JoinSpec) throws {
        try spec.check()
        self.spec = spec
        table = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        let versions = versions
        let changes = [ChunkVersions(versions), ChunkVersions(versions)]
        let timeToLive = [spec.leftTTL, spec.rightTTL].map { $0?.wholeMilliseconds }
        sides = [spec.leftSchema, spec.rightSchema].enumerated().map { side, schema in
            GroupedMultiset(types: schema.map(\.type), changes: changes[side], timeToLive: timeToLive[side])
        }
        (self.changes, self.timeToLive) = (changes, timeToLive)
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let keys = (input == 0 ? spec.leftKeys : spec.rightKeys).map { batch.columns[$0] }
        let rows = Self.rows(of: batch, where: keys)
        guard !rows.isEmpty else { return .done }
        forget(rows.count)
        let groups = rows.withUnsafeBufferPointer {
            let groups = ids.reserve($0.count)
            table.lookup(keys, rows: $0.baseAddress, count: $0.count, into: groups)
            return Array(UnsafeBufferPointer(start: groups, count: $0.count))
        }
        for side in sides { side.reserve(table.count) }
        store(batch, rows, groups, side: input)
        probe = Probe(batch: batch, side: input, rows: rows, groups: groups)
        return try resume(output)
    }

    /// Rows without a null among their keys.
    private static func rows(of batch: Batch, where keys: [Column]) -> [Int32] {
        let n = batch.count, validities = keys.compactMap(\.validity)
        guard n > 0 else { return [] }
        let selected = batch.selection?.rows
        return withExtendedLifetime((batch, validities)) {
            [Int32](unsafeUninitializedCapacity: n) { rows, kept in
                let to = rows.baseAddress!
                kept = 0
                for i in 0..<n {
                    let row = selected.map { $0[i] } ?? Int32(truncatingIfNeeded: i)
                    to[kept] = row
                    var isKept = true
                    for bits in validities { isKept = isKept && Bitmap.get(bits.base, Int(row)) }
                    kept += isKept ? 1 : 0
                }
            }
        }
    }

    /// Drops some of the rows that have expired, and gives up keys once most of many have no rows.
    private func forget(_ arriving: Int) {
        if timeToLive.contains(where: { $0 != nil }) {
            let now = context.now()
            for side in sides {
                side.setTime(now)
                side.sweep(2 * arriving + 1_024)
            }
        }
        let n = table.count
        guard n > evictionCheckAt else { return }
        var isLive = [Bool](repeating: false, count: n)
        isLive.withUnsafeMutableBufferPointer { for side in sides { side.markOwners($0.baseAddress!) } }
        let kept = (0..<Int32(n)).filter { isLive[Int($0)] }
        if kept.count * 2 < n {
            table.keep(kept)
            for side in sides { side.remap(kept) }
        }
        evictionCheckAt = max(Self.evictionMinimum, 2 * kept.count)
    }

    private func store(_ batch: Batch, _ rows: [Int32], _ groups: [Int32], side: Int) {
        func add(_ rows: [Int32], _ groups: [Int32], _ weight: Int64) {
            rows.withUnsafeBufferPointer { rows in
                groups.withUnsafeBufferPointer { groups in
                    guard let from = rows.baseAddress, rows.count > 0 else { return }
                    // As many rows as there are, in order: all of them.
                    let isWhole = batch.selection == nil && rows.count == batch.physicalCount
                    let columns = batch.columns.map { isWhole ? $0.flat() : $0.gather(from, count: rows.count).flat() }
                    if timeToLive[side] == nil {
                        sides[side].add(columns, groups: groups.baseAddress!, count: rows.count, weight: weight)
                    } else {
                        sides[side].addTimed(columns, groups: groups.baseAddress!, count: rows.count, weight: weight)
                    }
                }
            }
        }
        guard batch.rowKinds != nil else { return add(rows, groups, 1) }
        for isAdd in [true, false] {
            let these = rows.indices.filter { batch.kind(atPhysical: Int(rows[$0])).isAdd == isAdd }
            add(these.map { rows[$0] }, these.map { groups[$0] }, isAdd ? 1 : -1)
        }
    }

    func resume(_ output: any Output) throws -> Progress {
        while probe != nil {
            guard output.isReady else { return .more }
            if let batch = nextBatch() { try output.emit(batch) }
        }
        return .done
    }

    /// Up to a batch of pairs; nil when there were none.
    private func nextBatch() -> Batch? {
        var work = probe!
        let other = sides[1 - work.side]
        var rows: [Int32] = [], pairs: [Int32] = []
        while work.next < work.rows.count, rows.count < Batch.targetRows {
            var pair = work.pair ?? other.first(of: work.groups[work.next])
            while pair >= 0, rows.count < Batch.targetRows {
                let copies = other.liveMultiplicity(pair)
                while work.copies < copies, rows.count < Batch.targetRows {
                    rows.append(work.rows[work.next])
                    pairs.append(pair)
                    work.copies += 1
                }
                guard work.copies >= copies else { break }
                work.copies = 0
                pair = other.following(pair)
            }
            if pair >= 0 {
                work.pair = pair
            } else {
                work.pair = nil
                work.next += 1
            }
        }
        probe = work.next < work.rows.count ? work : nil
        guard !rows.isEmpty else { return nil }
        return rows.withUnsafeBufferPointer { rows in
            pairs.withUnsafeBufferPointer { pairs in
                let n = rows.count
                let arrived = work.batch.columns.map { $0.gather(rows.baseAddress!, count: n) }
                let matched = other.rows(pairs.baseAddress!, count: n)
                var kinds: Buffer?
                if let from = work.batch.rowKinds?.pointer(as: UInt8.self) {
                    let to = Buffer(capacity: n)
                    for i in 0..<n { to.pointer(as: UInt8.self)[i] = from[Int(rows[i])] }
                    kinds = to
                }
                return Batch(columns: work.side == 0 ? arrived + matched : matched + arrived, physicalCount: n, rowKinds: kinds)
            }
        }
    }
}
