import StreamCore

/// A multiset of rows per group: how often each distinct row was added and not taken back.
///
/// A (group, row) pair has a dense number of its own; the pairs of a group form a list. Counts may be below zero for a
/// while, when a row is taken back before it is added; such rows are not in the multiset.
final class GroupedMultiset {
    let types: [DataType]
    private let table: GroupTable
    private let counts = GroupArray<Int64>(fill: 0)
    private let next = GroupArray<Int32>(fill: -1)
    private let heads = GroupArray<Int32>(fill: -1)
    /// 1 = a row of the group came back that had been gone: it does not stand at the front of the list.
    private let revived = GroupArray<UInt8>(fill: 0)
    /// Counts the times that pairs got new numbers.
    private(set) var renumberings = 0
    private var linked = 0
    private var zeros = 0
    private let pairScratch = Scratch<Int32>()

    init(types: [DataType]) {
        self.types = types
        table = GroupTable(types: [.int] + types)
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
        let pairs = pairScratch.reserve(n)
        table.lookup([.fixed(.int, groups, count: n)] + columns, rows: nil, count: n, into: pairs)
        counts.reserve(table.count)
        next.reserve(table.count)
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
        if zeros > 1_024, zeros * 2 > table.count { compact() }
    }

    func add(_ columns: [Column], groups: UnsafePointer<Int32>, count n: Int, weight: Int64, weights: UnsafePointer<Int64>? = nil) {
        var (appeared, vanished): ([Int32], [Int32]) = ([], [])
        add(columns, groups: groups, count: n, weight: weight, weights: weights, appeared: &appeared, vanished: &vanished)
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
        table.removeAll()
        (linked, zeros) = (0, 0)
        renumberings += 1
    }

    private func compact() {
        let kept = (0..<Int32(table.count)).filter { counts.base[Int($0)] != 0 }
        table.keep(kept)
        counts.remap(kept)
        relink()
    }

    /// Group kept[i] becomes group i.
    func remap(_ kept: [Int32]) {
        guard !kept.isEmpty else { return removeAll() }
        let members = kept.withUnsafeBufferPointer { self.members($0.baseAddress!, count: kept.count) }
        let columns = members.pairs.withUnsafeBufferPointer { $0.isEmpty ? [] : rows($0.baseAddress!, count: $0.count) }
        removeAll()
        reserve(kept.count)
        members.positions.withUnsafeBufferPointer { positions in
            members.counts.withUnsafeBufferPointer {
                if positions.count > 0 { add(columns, groups: positions.baseAddress!, count: positions.count, weight: 1, weights: $0.baseAddress) }
            }
        }
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
    }

    /// ARRAY<ROW<values..., n BIGINT>> of each group's rows.
    func state(_ groups: UnsafePointer<Int32>, count n: Int) -> Column {
        let members = members(groups, count: n)
        let columns = members.pairs.withUnsafeBufferPointer { $0.isEmpty ? [] : rows($0.baseAddress!, count: $0.count) }
        let builder = ColumnBuilder(type: Self.stateType(types), capacity: n)
        var at = 0
        for i in 0..<n {
            var items: [Value] = []
            while at < members.positions.count, members.positions[at] == Int32(i) {
                items.append(.row(columns.map { $0.value(at: at) } + [.int(members.counts[at])]))
                at += 1
            }
            builder.append(.array(items))
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
