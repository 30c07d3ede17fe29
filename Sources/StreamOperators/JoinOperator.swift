import StreamCore

/// Regular inner join: each side's rows are kept, and each arriving row is paired with the other side's rows of its key. The
/// results have the row kind of the row that arrived. A null key matches nothing; such rows are not kept.
final class JoinOperator: StreamOperator {
    private let spec: JoinSpec
    private var context = OperatorContext(name: "join")
    /// Keys of both sides.
    private let table: GroupTable
    private let sides: [GroupedMultiset]
    private let ids = Scratch<Int32>()

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
        guard spec.leftKeys.count == spec.rightKeys.count else {
            throw StreamError(.validate, "a join has \(spec.leftKeys.count) keys on the left and \(spec.rightKeys.count) on the right",
                              fix: "give as many on each side")
        }
        for (l, r) in zip(spec.leftKeys, spec.rightKeys) {
            let (left, right) = (spec.leftSchema[l], spec.rightSchema[r])
            guard left.type == right.type || (left.type.physical == .view && left.type.isText == right.type.isText && right.type.physical == .view) else {
                throw StreamError(.validate, "join keys \(left.name) of type \(left.type) and \(right.name) of type \(right.type) differ",
                                  fix: "cast one to the type of the other")
            }
        }
        self.spec = spec
        table = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        sides = [GroupedMultiset(types: spec.leftSchema.map(\.type)), GroupedMultiset(types: spec.rightSchema.map(\.type))]
    }

    func open(_ context: OperatorContext) { self.context = context }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let keys = (input == 0 ? spec.leftKeys : spec.rightKeys).map { batch.columns[$0] }
        let rows = (0..<batch.count).map { Int32(truncatingIfNeeded: batch.row($0)) }
            .filter { row in keys.allSatisfy { $0.isValid(Int(row)) } }
        guard !rows.isEmpty else { return .done }
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

    private func store(_ batch: Batch, _ rows: [Int32], _ groups: [Int32], side: Int) {
        func add(_ rows: [Int32], _ groups: [Int32], _ weight: Int64) {
            rows.withUnsafeBufferPointer { rows in
                groups.withUnsafeBufferPointer { groups in
                    guard let from = rows.baseAddress, rows.count > 0 else { return }
                    sides[side].add(batch.columns.map { $0.gather(from, count: rows.count).flat() }, groups: groups.baseAddress!,
                                    count: rows.count, weight: weight)
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
                while work.copies < other.multiplicity(pair), rows.count < Batch.targetRows {
                    rows.append(work.rows[work.next])
                    pairs.append(pair)
                    work.copies += 1
                }
                guard work.copies >= other.multiplicity(pair) else { break }
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

    // MARK: State

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot { OperatorSnapshot(try keyGroupStates()) }

    private func keyGroupStates() throws -> [KeyGroupState] {
        let all = Selection.all(table.count)
        return sides.enumerated().flatMap { side, multiset -> [KeyGroupState] in
            let members = withExtendedLifetime(all) { multiset.members(all.rows, count: table.count) }
            let n = members.pairs.count
            guard n > 0 else { return [] }
            let keys = members.positions.withUnsafeBufferPointer { table.keyColumns($0.baseAddress!, count: n) }
            let rows = members.pairs.withUnsafeBufferPointer { multiset.rows($0.baseAddress!, count: n) }
            let counts = members.counts.withUnsafeBufferPointer { Column.fixed(.bigint, $0.baseAddress!, count: n) }
            return KeyedSnapshot.split(keys + rows + [counts], count: n, keys: keys.count, name: side == 0 ? "left" : "right",
                                       maxParallelism: context.maxParallelism)
        }
    }

    func restore(_ state: RestoredState) throws {
        let state = try state.loaded()
        for piece in state {
            let batch = piece.batch.compacted(), n = batch.count
            guard n > 0 else { continue }
            let k = spec.leftKeys.count
            let groups = ids.reserve(n)
            table.lookup(Array(batch.columns[0..<k]), rows: nil, count: n, into: groups)
            for side in sides { side.reserve(table.count) }
            let counts = batch.columns[batch.columns.count - 1].flat()
            withExtendedLifetime(counts) {
                sides[piece.name == "left" ? 0 : 1].add(batch.columns[k..<(batch.columns.count - 1)].map { $0.flat() }, groups: groups, count: n,
                                                        weight: 1, weights: counts.pointer(as: Int64.self))
            }
        }
    }
}
