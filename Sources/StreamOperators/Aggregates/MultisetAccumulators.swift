import StreamCore

/// Keeps each group's values with their counts: COLLECT, and MIN and MAX over input that takes rows back.
final class ValueMultiset: Accumulator {
    private let argument: Int
    private let multiset: GroupedMultiset

    init(argument: Int, type: DataType) {
        self.argument = argument
        multiset = GroupedMultiset(types: [type])
        super.init(stateTypes: [GroupedMultiset.stateType([type])])
    }

    override func reserve(_ n: Int) { multiset.reserve(n) }

    override func update(_ input: UpdateInput) {
        let column = input.columns[argument].taking(input.rows, count: input.count)
        multiset.add([column], groups: input.groups, count: input.count, weight: input.retract ? -1 : 1)
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: ValueMultiset.self).multiset
        let range = Selection.range(from..<from + count)
        let members = other.members(range.rows, count: count)
        guard !members.pairs.isEmpty else { return }
        let columns = members.pairs.withUnsafeBufferPointer { other.rows($0.baseAddress!, count: $0.count) }
        members.counts.withUnsafeBufferPointer { counts in
            members.positions.withUnsafeBufferPointer {
                multiset.add(columns, groups: $0.baseAddress!, count: $0.count, weight: 1, weights: counts.baseAddress)
            }
        }
    }

    override func clear(_ n: Int) { multiset.removeAll() }
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) { multiset.removeAll(groups, count: count) }
    override func remap(_ kept: [Int32]) { multiset.remap(kept) }
    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] { [multiset.state(groups, count: count)] }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (columns, owners, counts) = GroupedMultiset.unpack(state[0], types: multiset.types, groups: groups, rows: rows, count: count)
        counts.withUnsafeBufferPointer { counts in
            owners.withUnsafeBufferPointer {
                if let owners = $0.baseAddress { multiset.add(columns, groups: owners, count: $0.count, weight: 1, weights: counts.baseAddress) }
            }
        }
    }

    /// The least or greatest value of each group, null where there is none.
    func extreme(isMin: Bool, _ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        let members = multiset.members(groups, count: n)
        guard !members.pairs.isEmpty else { return .nulls(type: multiset.types[0], count: n) }
        let values = members.pairs.withUnsafeBufferPointer { multiset.rows($0.baseAddress!, count: $0.count)[0] }
        var best = [Int32](repeating: -1, count: n)
        for (k, position) in members.positions.enumerated() {
            let held = Int(best[Int(position)])
            if held < 0 || (isMin ? values.isOrdered(k, before: held) : values.isOrdered(held, before: k)) {
                best[Int(position)] = Int32(k)
            }
        }
        var validity: Buffer?
        for i in 0..<n where best[i] < 0 {
            if validity == nil { validity = Bitmap.make(n, valid: true) }
            Bitmap.clear(validity!.base, i)
            best[i] = 0
        }
        let result = best.withUnsafeBufferPointer { values.gather($0.baseAddress!, count: n) }
        return Column(type: result.type, count: n, validity: validity, values: result.values, heaps: result.heaps,
                      children: result.children)
    }

    /// MAP of value to count.
    func collected(_ type: DataType, _ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        let members = multiset.members(groups, count: n)
        let values = members.pairs.withUnsafeBufferPointer { $0.isEmpty ? nil : multiset.rows($0.baseAddress!, count: $0.count)[0] }
        let builder = ColumnBuilder(type: type, capacity: n)
        var at = 0
        for i in 0..<n {
            var entries: [Value.MapEntry] = []
            while at < members.positions.count, members.positions[at] == Int32(i) {
                entries.append(.init(values!.value(at: at), .int(members.counts[at])))
                at += 1
            }
            builder.append(.map(entries.reversed()))
        }
        return builder.finish()
    }
}

/// An aggregate over distinct arguments: the inner one sees a value when its count leaves or reaches zero.
final class DistinctAccumulator: Accumulator {
    private let arguments: [Int]
    private let multiset: GroupedMultiset
    /// Over columns 0..<arguments.count.
    let inner: AccumulatorSet

    init(arguments: [Int], types: [DataType], inner: AccumulatorSet) {
        (self.arguments, self.inner) = (arguments, inner)
        multiset = GroupedMultiset(types: types)
        super.init(stateTypes: [GroupedMultiset.stateType(types)])
    }

    override func reserve(_ n: Int) {
        multiset.reserve(n)
        inner.reserve(n)
    }

    override func update(_ input: UpdateInput) {
        let columns = arguments.map { input.columns[$0].taking(input.rows, count: input.count) }
        add(columns, groups: input.groups, count: input.count, weight: input.retract ? -1 : 1, weights: nil,
            firstArrival: input.firstArrival + Int64(input.rows.map { $0[0] } ?? 0))
    }

    private func add(_ columns: [Column], groups: UnsafePointer<Int32>, count: Int, weight: Int64, weights: UnsafePointer<Int64>?,
                     firstArrival: Int64) {
        var (appeared, vanished): ([Int32], [Int32]) = ([], [])
        multiset.add(columns, groups: groups, count: count, weight: weight, weights: weights, appeared: &appeared, vanished: &vanished)
        for (rows, retract) in [(appeared, false), (vanished, true)] where !rows.isEmpty {
            let owners = rows.map { groups[Int($0)] }
            owners.withUnsafeBufferPointer { owners in
                rows.withUnsafeBufferPointer {
                    inner.update(UpdateInput(columns: columns, groups: owners.baseAddress!, rows: $0.baseAddress!, count: $0.count,
                                             retract: retract, firstArrival: firstArrival))
                }
            }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: DistinctAccumulator.self).multiset
        let range = Selection.range(from..<from + count)
        let members = other.members(range.rows, count: count)
        guard !members.pairs.isEmpty else { return }
        let columns = members.pairs.withUnsafeBufferPointer { other.rows($0.baseAddress!, count: $0.count) }
        members.counts.withUnsafeBufferPointer { counts in
            members.positions.withUnsafeBufferPointer {
                add(columns, groups: $0.baseAddress!, count: $0.count, weight: 1, weights: counts.baseAddress, firstArrival: 0)
            }
        }
    }

    override func clear(_ n: Int) {
        multiset.removeAll()
        inner.clear(n)
    }

    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        multiset.removeAll(groups, count: count)
        inner.reset(groups, count: count)
    }

    override func remap(_ kept: [Int32]) {
        multiset.remap(kept)
        inner.remap(kept)
    }

    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] { [multiset.state(groups, count: count)] }

    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (columns, owners, counts) = GroupedMultiset.unpack(state[0], types: multiset.types, groups: groups, rows: rows, count: count)
        counts.withUnsafeBufferPointer { counts in
            owners.withUnsafeBufferPointer {
                if let owners = $0.baseAddress {
                    add(columns, groups: owners, count: $0.count, weight: 1, weights: counts.baseAddress, firstArrival: 0)
                }
            }
        }
    }
}
