import StreamCore

/// Keeps each group's values with their counts: COLLECT, and MIN and MAX over input that takes rows back.
final class ValueMultiset: Accumulator {
    private let argument: Int
    private let multiset: GroupedMultiset
    /// Pairs that were the least and greatest when they were last asked for, and the front of the group's list then.
    private struct Known { var least: Int32 = -1, leastHead: Int32 = -1, greatest: Int32 = -1, greatestHead: Int32 = -1 }
    private var known: [Int32: Known] = [:]
    /// The multiset's numbering that `known` is of.
    private var knownAt = 0

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
        let members = withExtendedLifetime(range) { other.members(range.rows, count: count) }
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

    override func assign(_ other: Accumulator) {
        let other = unsafeDowncast(other, to: ValueMultiset.self)
        multiset.assign(other.multiset)
        (known, knownAt) = (other.known, other.knownAt)
    }

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
    ///
    /// - Complexity: O(values that are new since the last call) a group; O(its values) when its extreme was taken back.
    func extreme(isMin: Bool, _ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        if knownAt != multiset.renumberings {
            known = [:]
            knownAt = multiset.renumberings
        }
        var candidates: [Int32] = [], ends: [Int] = []
        for i in 0..<n {
            let group = groups[i]
            var known = known[group] ?? Known()
            if multiset.takeRevived(group) { known = Known() }
            let start = candidates.count
            appendCandidates(group, beyond: isMin ? known.least : known.greatest, behind: isMin ? known.leastHead : known.greatestHead, to: &candidates)
            // The other end is computed anew when it is asked for, if a row came back.
            self.known[group] = known
            if candidates.count == start { candidates.append(-1) }
            ends.append(candidates.count)
        }
        let live = candidates.filter { $0 >= 0 }
        guard !live.isEmpty else { return .nulls(type: multiset.types[0], count: n) }
        let values = live.withUnsafeBufferPointer { multiset.rows($0.baseAddress!, count: $0.count)[0] }
        var best = [Int32](repeating: 0, count: n)
        var validity: Buffer?
        var at = 0, start = 0
        for i in 0..<n {
            guard candidates[start] >= 0 else {
                if validity == nil { validity = Bitmap.make(n, valid: true) }
                Bitmap.clear(validity!.base, i)
                start = ends[i]
                continue
            }
            var held = at
            for k in at..<at + ends[i] - start where isMin ? values.isOrdered(k, before: held) : values.isOrdered(held, before: k) { held = k }
            at += ends[i] - start
            start = ends[i]
            best[i] = Int32(held)
            remember(groups[i], live[held], isMin: isMin)
        }
        let result = best.withUnsafeBufferPointer { values.gather($0.baseAddress!, count: n) }
        return Column(type: result.type, count: n, validity: validity, values: result.values, heaps: result.heaps)
    }

    /// The pairs among which a group's extreme is: those in front of `head`, and `best`; all if `best` is gone.
    private func appendCandidates(_ group: Int32, beyond best: Int32, behind head: Int32, to candidates: inout [Int32]) {
        let isKnown = best >= 0 && multiset.multiplicity(best) > 0
        var pair = multiset.first(of: group)
        while pair >= 0, !(isKnown && pair == head) {
            if multiset.multiplicity(pair) > 0, !(isKnown && pair == best) { candidates.append(pair) }
            pair = multiset.following(pair)
        }
        if isKnown { candidates.append(best) }
    }

    private func remember(_ group: Int32, _ pair: Int32, isMin: Bool) {
        let head = multiset.first(of: group)
        if isMin {
            known[group]!.least = pair
            known[group]!.leastHead = head
        } else {
            known[group]!.greatest = pair
            known[group]!.greatestHead = head
        }
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
    /// The place among arrivals of values that the next merge brings.
    var mergePlace: Int64 = 0

    init(arguments: [Int], types: [DataType], inner: AccumulatorSet) {
        (self.arguments, self.inner) = (arguments, inner)
        multiset = GroupedMultiset(types: types)
        super.init(stateTypes: [GroupedMultiset.stateType(types)] + inner.plan.stateTypes)
    }

    override func reserve(_ n: Int) {
        multiset.reserve(n)
        inner.reserve(n)
    }

    override func update(_ input: UpdateInput) {
        let columns = arguments.map { input.columns[$0].taking(input.rows, count: input.count) }
        add(columns, groups: input.groups, count: input.count, weight: input.retract ? -1 : 1, weights: nil,
            firstArrival: input.firstArrival + Int64(input.rows.map { $0[0] } ?? 0), arrivalStep: 1)
    }

    private func add(_ columns: [Column], groups: UnsafePointer<Int32>, count: Int, weight: Int64, weights: UnsafePointer<Int64>?,
                     firstArrival: Int64, arrivalStep: Int64) {
        var (appeared, vanished): ([Int32], [Int32]) = ([], [])
        multiset.add(columns, groups: groups, count: count, weight: weight, weights: weights, appeared: &appeared, vanished: &vanished)
        for (rows, retract) in [(appeared, false), (vanished, true)] where !rows.isEmpty {
            let owners = rows.map { groups[Int($0)] }
            owners.withUnsafeBufferPointer { owners in
                rows.withUnsafeBufferPointer {
                    inner.update(UpdateInput(columns: columns, groups: owners.baseAddress!, rows: $0.baseAddress!, count: $0.count,
                                             retract: retract, firstArrival: firstArrival, arrivalStep: arrivalStep))
                }
            }
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: DistinctAccumulator.self).multiset
        let range = Selection.range(from..<from + count)
        var members = withExtendedLifetime(range) { other.members(range.rows, count: count) }
        guard !members.pairs.isEmpty else { return }
        // Lists have the newest first.
        members.positions.reverse()
        members.pairs.reverse()
        members.counts.reverse()
        let columns = members.pairs.withUnsafeBufferPointer { other.rows($0.baseAddress!, count: $0.count) }
        members.counts.withUnsafeBufferPointer { counts in
            members.positions.withUnsafeBufferPointer {
                add(columns, groups: $0.baseAddress!, count: $0.count, weight: 1, weights: counts.baseAddress, firstArrival: mergePlace,
                    arrivalStep: 0)
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

    override func assign(_ other: Accumulator) {
        let other = unsafeDowncast(other, to: DistinctAccumulator.self)
        multiset.assign(other.multiset)
        inner.assign(other.inner)
    }

    /// The inner state goes along, as it may depend on the order in which values appeared.
    override func state(_ groups: UnsafePointer<Int32>, count: Int) -> [Column] {
        [multiset.state(groups, count: count)] + inner.state(groups, count: count)
    }

    /// Only for groups that are empty: values that both held would count twice.
    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count: Int) {
        let (columns, owners, counts) = GroupedMultiset.unpack(state[0], types: multiset.types, groups: groups, rows: rows, count: count)
        counts.withUnsafeBufferPointer { counts in
            owners.withUnsafeBufferPointer {
                if let owners = $0.baseAddress { multiset.add(columns, groups: owners, count: $0.count, weight: 1, weights: counts.baseAddress) }
            }
        }
        inner.absorb(Array(state.dropFirst()), groups: groups, rows: rows, count: count)
    }
}
