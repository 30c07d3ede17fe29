import StreamCore

/// The state of a window aggregate: the groups of the operator, and per slice of time the accumulators by group number.
final class SliceStore {
    final class Slice {
        let index: Int64
        fileprivate var content: Freezable<AccumulatorSet>
        /// Groups that the accumulators have room for; later ones have no rows here.
        fileprivate(set) var groups = 0
        private var isChanged = true
        private var version: UInt64 = 0

        init(index: Int64, set: AccumulatorSet) { (self.index, content) = (index, Freezable(set)) }

        /// For reading; what is to be written to is asked for with ``SliceStore/slice(_:)``.
        var set: AccumulatorSet { content.state }

        fileprivate func willChange(_ copy: (AccumulatorSet, FrozenHold) -> AccumulatorSet) {
            content.thaw(copy)
            isChanged = true
        }

        /// The contents for another thread to read, with a version that differs whenever they do.
        func freeze(_ counter: VersionCounter) -> (set: Frozen<AccumulatorSet>, version: UInt64) {
            if isChanged { version = counter.next() }
            isChanged = false
            return (content.freeze(), version)
        }
    }

    let plan: AggregatePlan
    let table: GroupTable
    private(set) var slices: [Int64: Slice] = [:]
    private var recycled: [AccumulatorSet] = []
    private var left: [Left] = []
    private let retractRows = Scratch<Int32>(), retractGroups = Scratch<Int32>()
    private var evictionCheckAt = SliceStore.evictionMinimum
    private static let evictionMinimum = 65_536

    init(plan: AggregatePlan, keyTypes: [DataType]) {
        self.plan = plan
        table = GroupTable(types: keyTypes)
    }

    var isEmpty: Bool { slices.isEmpty }

    /// A copy in memory that is in use already if there is any: fresh pages cost far more than the copying.
    private func copy(_ set: AccumulatorSet, _ hold: FrozenHold) -> AccumulatorSet {
        var made: AccumulatorSet?
        if let free = left.firstIndex(where: { $0.isFree }) {
            made = left.remove(at: free).set
        } else {
            made = recycled.popLast()
        }
        if left.count < 2 { left.append(Left(set: set, hold: hold)) }
        return set.copy(into: made)
    }

    /// A set that was left to snapshots; its memory is used again once they are done.
    private struct Left {
        let set: AccumulatorSet
        private weak var hold: FrozenHold?
        init(set: AccumulatorSet, hold: FrozenHold) { (self.set, self.hold) = (set, hold) }
        var isFree: Bool { hold == nil }
    }

    /// The slice to write to, made when it is new, with room for all groups.
    func slice(_ index: Int64) -> Slice {
        let slice: Slice
        if let known = slices[index] {
            slice = known
            slice.willChange(copy)
        } else {
            slice = Slice(index: index, set: recycled.popLast() ?? plan.makeSet())
            slices[index] = slice
        }
        let n = table.count
        if n > slice.groups {
            slice.set.reserve(n)
            slice.groups = n
        }
        return slice
    }

    /// Adds rows of a batch, or takes them away as their row kinds say.
    func update(_ part: SlicePartition.Part, columns: [Column], kinds: UnsafePointer<UInt8>?, firstArrival: Int64) {
        let set = slice(part.slice).set
        var input = UpdateInput(columns: columns, groups: part.groups, rows: part.rows, count: part.count,
                                isSingleGroup: !table.hasKeys, firstArrival: firstArrival)
        guard let kinds else { return set.update(input) }
        for retract in [false, true] {
            let rows = retractRows.reserve(part.count + 1), groups = retractGroups.reserve(part.count + 1)
            let wanted: UInt8 = retract ? 1 : 0
            var n = 0
            forEachRow(part.rows, part.count) { i, row in
                rows[n] = Int32(truncatingIfNeeded: row)
                groups[n] = part.groups[i]
                n &+= kinds[row] & 1 == wanted ? 1 : 0
            }
            (input.rows, input.groups, input.count, input.retract) = (UnsafePointer(rows), UnsafePointer(groups), n, retract)
            set.update(input)
        }
    }

    func remove(_ slice: Slice) {
        slices[slice.index] = nil
        guard recycled.count < 16, !slice.content.isFrozen else { return }
        slice.set.clear(slice.groups)
        recycled.append(slice.set)
    }

    /// Moves all rows of a slice into another one, as if they had arrived there as number `arrival` of all.
    func fold(_ slice: Slice, into target: Int64, arrival: Int64) {
        let target = self.slice(target)
        target.set.merge(slice.set, from: 0, count: slice.groups, place: arrival)
        remove(slice)
    }

    /// Forgets groups without rows once they are the greater part of many.
    func evict() {
        let n = table.count
        guard n > evictionCheckAt else { return }
        var isLive = [Bool](repeating: false, count: n)
        isLive.withUnsafeMutableBufferPointer { live in
            let live = live.baseAddress!
            for slice in slices.values {
                let counts = slice.set.rowCounts
                for g in 0..<slice.groups where counts[g] > 0 { live[g] = true }
            }
        }
        let kept = (0..<Int32(n)).filter { isLive[Int($0)] }
        if kept.count * 2 < n {
            table.keep(kept)
            (recycled, left) = ([], [])
            for slice in slices.values {
                // The contents stay what they are: a snapshot names them by key.
                slice.content.thaw(copy)
                slice.set.remap(kept)
                slice.groups = kept.count
            }
        }
        evictionCheckAt = max(Self.evictionMinimum, 2 * kept.count)
    }

    func removeAllGroups() {
        precondition(slices.isEmpty)
        table.removeAll()
    }

    /// Numbers of the groups with rows in a slice, ascending.
    func liveGroups(of slice: Slice) -> [Int32] {
        slice.set.liveGroups(0..<slice.groups)
    }
}
