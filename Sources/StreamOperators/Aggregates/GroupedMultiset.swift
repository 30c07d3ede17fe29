import StreamCore

/// A multiset of rows per group: how often each distinct row was added and not taken back.
///
/// A (group, row) pair has a dense number of its own; the pairs of a group form a list. Counts may be below zero for a
/// while, when a row is taken back before it is added; such rows are not in the multiset.
final class GroupedMultiset {
    let types: [DataType]
    private var table: GroupTable
    private var counts = GroupArray<Int64>(fill: 0)
    private var next = GroupArray<Int32>(fill: -1)
    private var heads = GroupArray<Int32>(fill: -1)
    /// 1 = a row of the group came back that had been gone: it does not stand at the front of the list.
    private var revived = GroupArray<UInt8>(fill: 0)
    /// Counts the times that pairs got new numbers.
    private(set) var renumberings = 0
    private var linked = 0
    private var zeros = 0
    private let pairScratch = Scratch<Int32>()
    /// Which pairs changed since the last snapshot, for owners that ask.
    private let changes: ChunkVersions?
    /// When each pair was last written, for rows that expire.
    private var writtenAt: GroupArray<Int64>?
    private let timeToLive: Int64
    private var now: Int64 = 0
    /// The pair at which the search for expired ones goes on.
    private var sweepAt = 0
    /// How many rows of the other side of a join each pair's row matches, for joins that ask.
    let associations: GroupArray<Int32>?

    /// - Parameters:
    ///   - changes: is told of every pair that changes.
    ///   - timeToLive: milliseconds after its last write at which a row is gone; nil = never.
    ///   - associates: pairs have ``associations``.
    init(types: [DataType], changes: ChunkVersions? = nil, timeToLive: Int64? = nil, associates: Bool = false) {
        associations = associates ? GroupArray(fill: 0) : nil
        self.types = types
        self.changes = changes
        self.timeToLive = timeToLive ?? .max
        writtenAt = timeToLive.map { _ in GroupArray(fill: 0) }
        table = GroupTable(types: [.int] + types)
    }

    /// Pairs by number, those that are gone too.
    var pairCount: Int { table.count }
    /// Group and row of each pair, as columns: the group first.
    var pairKeys: GroupKeys { table.keys }
    func frozenCounts(_ pairs: Range<Int>) -> MemoryBlock { counts.frozen(pairs) }

    /// Takes over the pairs of another one, with their numbers.
    func assign(_ other: GroupedMultiset) {
        (table, counts, next) = (other.table.copy(), other.counts.copy(), other.next.copy())
        (heads, revived) = (other.heads.copy(), other.revived.copy())
        (renumberings, linked, zeros) = (other.renumberings, other.linked, other.zeros)
    }

    func reserve(_ groups: Int) {
        heads.reserve(groups)
        revived.reserve(groups)
    }

    /// Adds row i of the columns to `groups[i]`, `weights[i]` times `weight` times. Positions of rows that the multiset did
    /// not hold before, or holds no longer, are appended to `appeared` and `vanished`.
    func add(_ columns: [Column], groups: UnsafePointer<Int32>, count n: Int, weight: Int64, weights: UnsafePointer<Int64>? = nil,
             appeared: inout [Int32], vanished: inout [Int32]) {
        guard n > 0 else { return }
        let pairs = lookup(columns, groups, n)
        let (counts, next, heads) = (counts.base, next.base, heads.base)
        for i in 0..<n {
            let pair = Int(pairs[i]), group = Int(groups[i])
            if pair == linked {
                next[pair] = heads[group]
                heads[group] = Int32(truncatingIfNeeded: pair)
                linked += 1
                zeros += 1
            } else if counts[pair] <= 0 {
                revived.base[group] = 1
            }
            let before = counts[pair]
            let after = before + (weights.map { $0[i] * weight } ?? weight)
            counts[pair] = after
            if before == 0 { zeros -= 1 }
            if after == 0 { zeros += 1 }
            if before <= 0, after > 0 { appeared.append(Int32(truncatingIfNeeded: i)) }
            if before > 0, after <= 0 { vanished.append(Int32(truncatingIfNeeded: i)) }
        }
        changes?.mark(pairs, count: n)
        if zeros > 1_024, zeros * 2 > table.count { compact() }
    }

    private func lookup(_ columns: [Column], _ groups: UnsafePointer<Int32>, _ n: Int) -> UnsafeMutablePointer<Int32> {
        let pairs = pairScratch.reserve(n)
        table.lookup([.fixed(.int, groups, count: n)] + columns, rows: nil, count: n, into: pairs)
        counts.reserve(table.count)
        next.reserve(table.count)
        associations?.reserve(table.count)
        return pairs
    }

    func add(_ columns: [Column], groups: UnsafePointer<Int32>, count n: Int, weight: Int64, weights: UnsafePointer<Int64>? = nil) {
        var (appeared, vanished): ([Int32], [Int32]) = ([], [])
        add(columns, groups: groups, count: n, weight: weight, weights: weights, appeared: &appeared, vanished: &vanished)
    }

    /// As `add` or, for rows that expire, `addTimed`; rows that come (not those that go) match `matches[i]` rows of the other side.
    func addMatched(_ columns: [Column], groups: UnsafePointer<Int32>, count n: Int, weights: UnsafePointer<Int64>,
                    times: UnsafePointer<Int64>? = nil, matches: UnsafePointer<Int32>) {
        guard n > 0 else { return }
        if let associations {
            let pairs = lookup(columns, groups, n)
            for i in 0..<n where weights[i] > 0 { associations.base[Int(pairs[i])] = matches[i] }
        }
        if writtenAt == nil {
            add(columns, groups: groups, count: n, weight: 1, weights: weights)
        } else {
            addTimed(columns, groups: groups, count: n, weights: weights, times: times)
        }
    }

    /// The first pair of a group's list, -1 = none.
    @inline(__always) func first(of group: Int32) -> Int32 { Int(group) < heads.capacity ? heads.base[Int(group)] : -1 }
    @inline(__always) func following(_ pair: Int32) -> Int32 { next.base[Int(pair)] }
    @inline(__always) func multiplicity(_ pair: Int32) -> Int64 { counts.base[Int(pair)] }

    /// Whether a row came back since the last call: a pair further down the list may count again.
    func takeRevived(_ group: Int32) -> Bool {
        defer { revived.base[Int(group)] = 0 }
        return revived.base[Int(group)] != 0
    }

    /// The rows of pairs, as columns.
    func rows(_ pairs: UnsafePointer<Int32>, count: Int) -> [Column] { Array(table.keyColumns(pairs, count: count).dropFirst()) }

    /// Pairs of the listed groups that are in the multiset: positions in `groups`, pair numbers, multiplicities.
    func members(_ groups: UnsafePointer<Int32>, count n: Int) -> (positions: [Int32], pairs: [Int32], counts: [Int64]) {
        var (positions, pairs, multiplicities): ([Int32], [Int32], [Int64]) = ([], [], [])
        for i in 0..<n {
            var pair = first(of: groups[i])
            while pair >= 0 {
                if counts.base[Int(pair)] > 0 {
                    positions.append(Int32(truncatingIfNeeded: i))
                    pairs.append(pair)
                    multiplicities.append(counts.base[Int(pair)])
                }
                pair = next.base[Int(pair)]
            }
        }
        return (positions, pairs, multiplicities)
    }

    func removeAll(_ groups: UnsafePointer<Int32>, count n: Int) {
        for i in 0..<n {
            var pair = first(of: groups[i])
            while pair >= 0 {
                if counts.base[Int(pair)] != 0 { zeros += 1 }
                counts.base[Int(pair)] = 0
                pair = next.base[Int(pair)]
            }
        }
    }

    func removeAll() {
        counts.clear(linked)
        next.clear(linked)
        heads.clear(heads.capacity)
        revived.clear(revived.capacity)
        writtenAt?.clear(linked)
        associations?.clear(linked)
        table.removeAll()
        (linked, zeros) = (0, 0)
        renumberings += 1
        sweepAt = 0
        changes?.markAll()
    }

    private func compact() {
        let kept = (0..<Int32(table.count)).filter { counts.base[Int($0)] != 0 }
        table.keep(kept)
        counts.remap(kept)
        writtenAt?.remap(kept)
        associations?.remap(kept)
        relink()
    }

    /// Group kept[i] becomes group i, the others go.
    func remap(_ kept: [Int32]) {
        let n = table.count
        guard !kept.isEmpty, n > 0 else { return removeAll() }
        var numbers = [Int32](repeating: -1, count: heads.capacity)
        for (i, group) in kept.enumerated() where Int(group) < numbers.count { numbers[Int(group)] = Int32(i) }
        let all = Selection.all(n)
        let groups = withExtendedLifetime(all) { table.keyColumns(all.rows, count: n)[0] }
        // In the order of their numbers, which is that of the lists.
        let pairs = (0..<Int32(n)).filter { counts.base[Int($0)] != 0 && numbers[Int(groups.pointer(as: Int32.self)[Int($0)])] >= 0 }
        let owners = pairs.map { numbers[Int(groups.pointer(as: Int32.self)[Int($0)])] }
        let multiplicities = pairs.map { counts.base[Int($0)] }
        let columns = pairs.withUnsafeBufferPointer { $0.isEmpty ? [] : rows($0.baseAddress!, count: $0.count) }
        let times = writtenAt.map { times in pairs.map { times.base[Int($0)] } }
        let matches = associations.map { matches in pairs.map { matches.base[Int($0)] } }
        removeAll()
        heads = GroupArray(fill: -1)
        revived = GroupArray(fill: 0)
        reserve(kept.count)
        guard !pairs.isEmpty else { return }
        owners.withUnsafeBufferPointer { owners in
            multiplicities.withUnsafeBufferPointer { counts in
                if let times {
                    times.withUnsafeBufferPointer {
                        addTimed(columns, groups: owners.baseAddress!, count: owners.count, weights: counts.baseAddress!, times: $0.baseAddress!)
                    }
                } else {
                    add(columns, groups: owners.baseAddress!, count: owners.count, weight: 1, weights: counts.baseAddress)
                }
            }
        }
        // Rows that stand apart get their numbers in order.
        if let associations, let matches { for (pair, n) in matches.enumerated() { associations.base[pair] = n } }
    }

    private func relink() {
        let n = table.count
        heads.clear(heads.capacity)
        next.reserve(n)
        let all = Selection.all(n)
        let groups = table.keyColumns(all.rows, count: n)[0]
        withExtendedLifetime(groups) {
            for pair in 0..<n {
                let group = Int(groups.pointer(as: Int32.self)[pair])
                next.base[pair] = heads.base[group]
                heads.base[group] = Int32(pair)
            }
        }
        linked = n
        zeros = 0
        renumberings += 1
        sweepAt = 0
        changes?.markAll()
    }

    /// ARRAY<ROW<values..., n BIGINT>> of each group's rows, in the order in which they first came, with counts below zero too.
    func state(_ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        var pairs: [Int32] = [], ends: [Int] = []
        for i in 0..<n {
            let start = pairs.count
            var pair = first(of: groups[i])
            while pair >= 0 {
                if counts.base[Int(pair)] != 0 { pairs.append(pair) }
                pair = next.base[Int(pair)]
            }
            pairs[start...].reverse()
            ends.append(pairs.count)
        }
        let columns = pairs.withUnsafeBufferPointer { $0.isEmpty ? [] : rows($0.baseAddress!, count: $0.count) }
        let builder = ColumnBuilder(type: Self.stateType(types), capacity: n)
        var at = 0
        for end in ends {
            builder.append(.array((at..<end).map { k in .row(columns.map { $0.value(at: k) } + [.int(counts.base[Int(pairs[k])])]) }))
            at = end
        }
        return builder.finish()
    }

    static func stateType(_ types: [DataType]) -> DataType {
        .array(.row(types.enumerated().map { Field("v\($0.offset)", $0.element) } + [Field("n", .bigint)]))
    }

    /// Unpacks a state column: rows, the position in `groups` that each belongs to, and counts.
    static func unpack(_ state: Column, types: [DataType], groups: UnsafePointer<Int32>, rows: UnsafePointer<Int32>?,
                       count n: Int) -> (columns: [Column], groups: [Int32], counts: [Int64]) {
        let builders = types.map { ColumnBuilder(type: $0) }
        var (owners, counts): ([Int32], [Int64]) = ([], [])
        forEachRow(rows, n) { i, row in
            guard case .array(let items) = state.value(at: row) else { return }
            for case .row(let parts) in items {
                for (builder, part) in zip(builders, parts) { builder.append(part) }
                if case .int(let n)? = parts.last { counts.append(n) }
                owners.append(groups[i])
            }
        }
        return (builders.map { $0.finish() }, owners, counts)
    }
}

// MARK: Rows that expire

extension GroupedMultiset {
    /// Tells the time that "expired" refers to from now on.
    func setTime(_ milliseconds: Int64) { now = milliseconds }

    /// How often a pair's row is there: not at all once it has expired.
    @inline(__always) func liveMultiplicity(_ pair: Int32) -> Int64 {
        if let writtenAt, now - writtenAt.base[Int(pair)] >= timeToLive { return 0 }
        return counts.base[Int(pair)]
    }

    /// As `add`, for rows that expire. Taking back a row that is not there does nothing, since it may have expired.
    ///
    /// - Parameter times: when each row was last written, as a snapshot held it; nil = now.
    func addTimed(_ columns: [Column], groups: UnsafePointer<Int32>, count n: Int, weight: Int64 = 1, weights: UnsafePointer<Int64>? = nil,
                  times: UnsafePointer<Int64>? = nil) {
        guard n > 0, let writtenAt else { return }
        let pairs = lookup(columns, groups, n)
        writtenAt.reserve(table.count)
        for i in 0..<n {
            let pair = Int(pairs[i]), group = Int(groups[i])
            if pair == linked {
                next.base[pair] = heads.base[group]
                heads.base[group] = Int32(truncatingIfNeeded: pair)
                linked += 1
                zeros += 1
            }
            let before = counts.base[pair]
            let present = liveMultiplicity(Int32(truncatingIfNeeded: pair))
            let change = weights.map { $0[i] * weight } ?? weight
            let after = present <= 0 && change < 0 ? 0 : present + change
            counts.base[pair] = after
            writtenAt.base[pair] = times?[i] ?? now
            if before == 0 { zeros -= 1 }
            if after == 0 { zeros += 1 }
        }
        changes?.mark(pairs, count: n)
    }

    /// Looks at the next `budget` pairs, drops the expired ones, and gives memory back once most are gone.
    func sweep(_ budget: Int) {
        guard let writtenAt, table.count > 0 else { return }
        var budget = min(budget, table.count)
        while budget > 0 {
            if sweepAt >= table.count { sweepAt = 0 }
            if counts.base[sweepAt] != 0, now - writtenAt.base[sweepAt] >= timeToLive {
                counts.base[sweepAt] = 0
                zeros += 1
                changes?.mark(sweepAt)
            }
            sweepAt += 1
            budget -= 1
        }
        if zeros > 1_024, zeros * 2 > table.count { compact() }
    }

    func frozenTimes(_ pairs: Range<Int>) -> MemoryBlock? { writtenAt?.frozen(pairs) }

    /// One row more (`change` = 1) or less (-1) of the other side matches the pair's row, which counts as a write; the number before.
    @inline(__always) func associate(_ pair: Int32, _ change: Int32) -> Int32 {
        let place = associations!.base + Int(pair)
        let before = place.pointee
        place.pointee = max(0, before + change)
        writtenAt?.base[Int(pair)] = now
        changes?.mark(Int(pair))
        return before
    }

    /// Marks the groups that have a row, however often.
    func markOwners(_ isLive: UnsafeMutablePointer<Bool>) {
        let n = table.count
        for start in stride(from: 0, to: n, by: 65_536) {
            let rows = Selection.range(start..<min(start + 65_536, n))
            let groups = withExtendedLifetime(rows) { table.keyColumns(rows.rows, count: rows.count)[0] }
            let owners = groups.pointer(as: Int32.self)
            withExtendedLifetime(groups) {
                for i in 0..<rows.count where counts.base[start + i] != 0 { isLive[Int(owners[i])] = true }
            }
        }
    }
}
