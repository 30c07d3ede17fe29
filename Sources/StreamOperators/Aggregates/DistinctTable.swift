import StreamCore

/// Aggregates over the distinct values of some arguments, of rows that are only added: one look-up serves all of them, whatever
/// their filters. Each value of a group has a bit for each filter that has let it pass; an aggregate sees the value when its bit is set.
final class DistinctTable: Accumulator {
    /// Filters of one table.
    static let membersMax = 64

    private let arguments: [Int]
    /// By filter (nil = none): accumulators over columns 0..<arguments.count.
    let members: [(filter: Int?, set: AccumulatorSet)]
    private var pairs: PairGroups
    /// By pair.
    private var bits = GroupArray<UInt64>(fill: 0)
    private var next = GroupArray<Int32>(fill: -1)
    /// By group: its newest pair.
    private var heads = GroupArray<Int32>(fill: -1)
    private var linked = 0
    /// Pairs of groups that were reset.
    private var dead = 0
    /// The place among arrivals of values that the next merge brings.
    var mergePlace: Int64 = 0
    private let pairIDs = Scratch<Int32>(), newBits = Scratch<UInt64>(), newRows = Scratch<Int32>(), newGroups = Scratch<Int32>()

    /// - Parameter hasNulls: nulls among the values count.
    init(arguments: [Int], types: [DataType], hasNulls: Bool, members: [(filter: Int?, set: AccumulatorSet)]) {
        (self.arguments, self.members) = (arguments, members)
        pairs = PairGroups(types: types, hasNulls: hasNulls)
        super.init(stateTypes: [Self.stateType(types)] + members.flatMap(\.set.plan.stateTypes))
    }

    private static func stateType(_ types: [DataType]) -> DataType {
        .array(.row(types.enumerated().map { Field("v\($0.offset)", $0.element) } + [Field("filters", .bigint)]))
    }

    override func reserve(_ n: Int) {
        heads.reserve(n)
        for member in members { member.set.reserve(n) }
    }

    /// Numbers of the pairs of rows; new ones are put into the lists of their groups.
    private func lookup(_ columns: [Column], _ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>?, _ n: Int) -> UnsafePointer<Int32> {
        let ids = pairIDs.reserve(n)
        pairs.lookup(columns, groups: groups, rows: rows, count: n, into: ids)
        let count = pairs.count
        if count > linked {
            bits.reserve(count)
            next.reserve(count)
            let (heads, next) = (heads.base, next.base)
            var known = linked
            for i in 0..<n where Int(ids[i]) == known {
                next[known] = heads[Int(groups[i])]
                heads[Int(groups[i])] = ids[i]
                known &+= 1
            }
            linked = known
        }
        return UnsafePointer(ids)
    }

    override func update(_ input: UpdateInput) {
        let n = input.count
        let columns = arguments.map { input.columns[$0] }
        let ids = lookup(columns, input.groups, input.rows, n)
        let fresh = newBits.reserve(n), bits = bits.base
        let always = members.enumerated().reduce(UInt64(0)) { $1.element.filter == nil ? $0 | 1 << UInt64($1.offset) : $0 }
        for i in 0..<n { fresh[i] = always }
        for (m, member) in members.enumerated() {
            guard let filter = member.filter.map({ input.columns[$0] }) else { continue }
            let flags = filter.pointer(as: UInt8.self), valid = filter.validity.map { UnsafeRawPointer($0.base) }, shift = UInt64(m)
            withExtendedLifetime(filter) {
                if let valid {
                    forEachRow(input.rows, n) { i, row in
                        if flags[row] != 0, Bitmap.get(valid, row) { fresh[i] |= 1 << shift }
                    }
                } else {
                    forEachRow(input.rows, n) { i, row in fresh[i] |= UInt64(flags[row] & 1) << shift }
                }
            }
        }
        var any: UInt64 = 0
        for i in 0..<n {
            let pair = Int(ids[i]), known = bits[pair], now = fresh[i] & ~known
            fresh[i] = now
            any |= now
            bits[pair] = known | now
        }
        distribute(columns, input, fresh, any)
    }

    /// Gives each member the rows whose values are new to it.
    private func distribute(_ columns: [Column], _ input: UpdateInput, _ fresh: UnsafePointer<UInt64>, _ any: UInt64) {
        let n = input.count
        let toRows = newRows.reserve(n + 1), toGroups = newGroups.reserve(n + 1), from = input.groups
        for m in members.indices where any >> UInt64(m) & 1 == 1 {
            var kept = 0
            forEachRow(input.rows, n) { i, row in
                toRows[kept] = Int32(truncatingIfNeeded: row)
                toGroups[kept] = from[i]
                kept &+= Int(truncatingIfNeeded: fresh[i] >> UInt64(m) & 1)
            }
            members[m].set.update(UpdateInput(
                columns: columns, groups: UnsafePointer(toGroups), rows: UnsafePointer(toRows), count: kept,
                firstArrival: input.firstArrival, arrivalStep: input.arrivalStep))
        }
    }

    override func merge(_ other: Accumulator, from: Int, count: Int) {
        let other = unsafeDowncast(other, to: DistinctTable.self)
        var (found, owners): ([Int32], [Int32]) = ([], [])
        for group in 0..<count {
            let start = found.count
            other.forEachPair(of: Int32(truncatingIfNeeded: group + from)) { found.append($0) }
            // Lists have the newest first.
            found[start...].reverse()
            for _ in start..<found.count { owners.append(Int32(truncatingIfNeeded: group)) }
        }
        guard !found.isEmpty else { return }
        let n = found.count
        let columns = found.withUnsafeBufferPointer { other.pairs.values($0.baseAddress!, count: n) }.map { $0.flat() }
        owners.withUnsafeBufferPointer { owners in
            let ids = lookup(columns, owners.baseAddress!, nil, n)
            let fresh = newBits.reserve(n)
            var any: UInt64 = 0
            for i in 0..<n {
                let now = other.bits.base[Int(found[i])] & ~bits.base[Int(ids[i])]
                fresh[i] = now
                any |= now
                bits.base[Int(ids[i])] |= now
            }
            distribute(columns, UpdateInput(columns: columns, groups: owners.baseAddress!, rows: nil, count: n, firstArrival: mergePlace,
                                            arrivalStep: 0), fresh, any)
        }
    }

    @inline(__always)
    private func forEachPair(of group: Int32, _ body: (Int32) -> Void) {
        var pair = Int(group) < heads.capacity ? heads.base[Int(group)] : -1
        while pair >= 0 {
            body(pair)
            pair = next.base[Int(pair)]
        }
    }

    override func clear(_ n: Int) {
        pairs.removeAll()
        bits.clear(linked)
        heads.clear(heads.capacity)
        (linked, dead) = (0, 0)
        for member in members { member.set.clear(n) }
    }

    /// The pairs stay, without a bit, until they are many: their values may well come again.
    override func reset(_ groups: UnsafePointer<Int32>, count: Int) {
        for i in 0..<count {
            forEachPair(of: groups[i]) { pair in
                if bits.base[Int(pair)] != 0 { dead += 1 }
                bits.base[Int(pair)] = 0
            }
        }
        for member in members { member.set.reset(groups, count: count) }
        if dead > 65_536, dead * 2 > linked { rebuild { $0 } }
    }

    override func remap(_ kept: [Int32]) {
        var numbers = [Int32](repeating: -1, count: heads.capacity)
        for (i, group) in kept.enumerated() where Int(group) < numbers.count { numbers[Int(group)] = Int32(i) }
        rebuild { Int($0) < numbers.count ? numbers[Int($0)] : -1 }
        heads.reserve(kept.count)
        for member in members { member.set.remap(kept) }
    }

    /// Keeps the pairs with a bit whose group has a number (-1 = none), in their order.
    private func rebuild(_ number: (Int32) -> Int32) {
        let owners = pairs.owners()
        var (kept, groups, held): ([Int32], [Int32], [UInt64]) = ([], [], [])
        for pair in 0..<linked where bits.base[pair] != 0 {
            let group = number(owners[pair])
            guard group >= 0 else { continue }
            kept.append(Int32(truncatingIfNeeded: pair))
            groups.append(group)
            held.append(bits.base[pair])
        }
        let columns = kept.withUnsafeBufferPointer { $0.isEmpty ? [] : pairs.values($0.baseAddress!, count: $0.count).map { $0.flat() } }
        pairs.removeAll()
        bits.clear(linked)
        heads.clear(heads.capacity)
        (linked, dead) = (0, 0)
        add(columns, groups, held)
    }

    private func add(_ columns: [Column], _ groups: [Int32], _ held: [UInt64]) {
        guard let last = groups.max() else { return }
        heads.reserve(Int(last) + 1)
        groups.withUnsafeBufferPointer { groups in
            let ids = lookup(columns, groups.baseAddress!, nil, groups.count)
            for i in 0..<groups.count { bits.base[Int(ids[i])] |= held[i] }
        }
    }

    override func assign(_ other: Accumulator) {
        let other = unsafeDowncast(other, to: DistinctTable.self)
        pairs = other.pairs.copy()
        (bits, next, heads) = (other.bits.copy(), other.next.copy(), other.heads.copy())
        (linked, dead) = (other.linked, other.dead)
        for (mine, theirs) in zip(members, other.members) { mine.set.assign(theirs.set) }
    }

    /// Each group's values, the first to come first, and which filters have let each pass. The states of the aggregates go along, as
    /// they may depend on the order in which values came.
    override func state(_ groups: UnsafePointer<Int32>, count n: Int) -> [Column] {
        var found: [Int32] = []
        let offsets = Buffer(capacity: (n + 1) * 4)
        let ends = offsets.pointer(as: Int32.self)
        ends[0] = 0
        for i in 0..<n {
            let start = found.count
            forEachPair(of: groups[i]) { if bits.base[Int($0)] != 0 { found.append($0) } }
            found[start...].reverse()
            ends[i + 1] = Int32(truncatingIfNeeded: found.count)
        }
        let total = found.count
        var parts = found.withUnsafeBufferPointer {
            $0.isEmpty ? pairs.types.map { Column.nulls(type: $0, count: 0) } : pairs.values($0.baseAddress!, count: total).map { $0.flat() }
        }
        parts.append(.make(.bigint, count: total, zero: Int64(0)) { Int64(bitPattern: bits.base[Int(found[$0])]) })
        guard case .array(let element) = stateTypes[0] else { preconditionFailure("the state is an array") }
        let rows = Column(type: element, count: total, values: Buffer.empty, children: parts)
        return [Column(type: stateTypes[0], count: n, values: offsets, children: [rows])]
            + members.flatMap { $0.set.state(groups, count: n) }
    }

    /// Only for groups that are empty: values that both held would count twice.
    override func absorb(_ state: [Column], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?, count n: Int) {
        let lists = state[0].flat(), elements = lists.children[0].flat()
        let parts = elements.children.map { $0.flat() }
        var (picks, owners): ([Int32], [Int32]) = ([], [])
        let ends = lists.codes
        forEachRow(rows, n) { i, row in
            guard lists.isValid(row) else { return }
            for k in ends[row]..<ends[row + 1] {
                picks.append(k)
                owners.append(groups[i])
            }
        }
        if !picks.isEmpty {
            let columns = picks.withUnsafeBufferPointer { picks in parts.map { $0.gather(picks.baseAddress!, count: picks.count).flat() } }
            let held = columns[columns.count - 1]
            let masks = withExtendedLifetime(held) { (0..<picks.count).map { UInt64(bitPattern: held.pointer(as: Int64.self)[$0]) } }
            add(Array(columns.dropLast()), owners, masks)
        }
        var at = 1
        for member in members {
            let width = member.set.plan.stateTypes.count
            member.set.absorb(Array(state[at..<at + width]), groups: groups, rows: rows, count: n)
            at += width
        }
    }
}
