import StreamCore

/// Rows by key, in an order that the operator gives them: columns of the key once for each key, the others in an arena.
final class KeyedRows {
    let schema: Schema
    /// Columns of the key, and all others.
    let keys: [Int], others: [Int]
    let table: GroupTable
    let arena: RowArena
    let lists = RowLists()
    /// Which groups differ from those of the last snapshot.
    let changes: ChunkVersions
    /// When each group was last written, if groups are forgotten.
    let expiry: GroupExpiry?
    private let ids = Scratch<Int32>()
    private static let evictionMinimum = 65_536
    private var evictAt = KeyedRows.evictionMinimum

    init(_ schema: Schema, keys: [Int], timeToLive: Duration?, versions: VersionCounter) {
        (self.schema, self.keys) = (schema, keys)
        others = schema.indices.filter { !keys.contains($0) }
        table = GroupTable(types: keys.map { schema[$0].type })
        arena = RowArena(types: others.map { schema[$0].type })
        changes = ChunkVersions(versions)
        expiry = timeToLive.map { GroupExpiry(milliseconds: $0.wholeMilliseconds) }
    }

    var stateColumns: StateColumns { StateColumns((keys + others).map { (schema[$0].name, schema[$0].type) }) }
    var keyColumns: StateColumns { StateColumns(keys.map { (schema[$0].name, schema[$0].type) }) }

    /// The group of each row of a batch; valid until the next call.
    func lookup(_ batch: Batch) -> UnsafeMutablePointer<Int32> {
        let groups = ids.reserve(batch.count)
        table.lookup(keys.map { batch.columns[$0] }, rows: batch.selection?.rows, count: batch.count, into: groups)
        lists.reserve(table.count)
        expiry?.reserve(table.count)
        return groups
    }

    /// Adds rows of a batch to the arena.
    func add(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int, into ids: UnsafeMutablePointer<Int32>) {
        arena.add(others.map { columns[$0] }, rows: rows, count: n, into: ids)
    }

    /// The columns of rows, in the order of the schema.
    func columns(_ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>, count n: Int) -> [Column] {
        assembled(table.keyColumns(groups, count: n), arena.columns(rows, count: n))
    }

    private func assembled(_ keyParts: [Column], _ otherParts: [Column]) -> [Column] {
        var columns = [Column?](repeating: nil, count: schema.count)
        for (i, c) in keys.enumerated() { columns[c] = keyParts[i] }
        for (i, c) in others.enumerated() { columns[c] = otherParts[i] }
        return columns.map { $0! }
    }

    // MARK: Forgetting

    /// Groups without rows once they are most of many, as the numbers of those that stay; nil when there is nothing to do.
    func groupsToKeep(_ isLive: (Int32) -> Bool) -> [Int32]? {
        guard table.count > evictAt else { return nil }
        let kept = (0..<Int32(table.count)).filter(isLive)
        evictAt = max(Self.evictionMinimum, 2 * kept.count)
        return kept.count * 2 < table.count ? kept : nil
    }

    /// Forgets all groups but `kept`, whose numbers change.
    func keep(_ kept: [Int32]) {
        table.keep(kept)
        lists.remap(kept)
        expiry?.remap(kept)
        changes.markAll()
    }

    // MARK: State

    /// A unit for each range of groups with the rows of each, in order.
    ///
    /// - Parameter more: what else belongs to the groups of a range.
    func units(_ name: String, maxParallelism: Int, more: (Range<Int>) -> [ByGroup] = { _ in [] }) -> [StateUnit] {
        let rows = arena.frozen(), groups = FrozenGroups(table.keys, maxParallelism: maxParallelism)
        let names = (expiry == nil ? stateColumns : stateColumns + .lastWrite).names
        return changes.take(table.count).map { range, version in
            var owners: [Int32] = [], ids: [Int32] = []
            for group in range {
                let g = Int32(truncatingIfNeeded: group), n = lists.count(g)
                ids.append(contentsOf: UnsafeBufferPointer(start: lists.rows(g), count: n))
                for _ in 0..<n { owners.append(g) }
            }
            let times = expiry?.frozen(range), others = more(range)
            return StateUnit(name: "\(name)/\(range.lowerBound / ChunkVersions.size)", version: version) { [owners, ids] in
                Self.pieces(name, rows, groups, owners, ids, range, times, names) + others.flatMap { $0.pieces(groups) }
            }
        }
    }

    /// State with one row for each of some groups.
    struct ByGroup: Sendable {
        var name: String
        var columns: StateColumns
        var groups: [Int32]
        /// Behind the columns of the key.
        var values: [Column]

        fileprivate func pieces(_ frozen: FrozenGroups) -> [KeyGroupState] {
            guard !groups.isEmpty else { return [] }
            let n = groups.count
            let order = groups.withUnsafeBufferPointer { frozen.positions(of: $0.baseAddress!, count: n) }
            let at = order.ids.rows
            let sorted = (0..<n).map { groups[Int(at[$0])] }
            let keys = sorted.withUnsafeBufferPointer { frozen.keys.columns($0.baseAddress!, count: n) }
            return order.cut(keys + values.map { $0.gather(at, count: n) }, name: name, columnNames: columns.names)
        }
    }

    /// The columns of a piece with one row for each of some groups, and the groups.
    func byGroup(_ piece: KeyGroupState, _ wanted: StateColumns, operator name: String) throws -> (columns: [Column], groups: [Int32]) {
        let columns = try wanted.columns(of: piece, operator: name, extra: .lastWrite), n = piece.batch.count
        guard n > 0 else { return (columns, []) }
        let groups = ids.reserve(n)
        table.lookup(Array(columns[..<keys.count]), rows: nil, count: n, into: groups)
        lists.reserve(table.count)
        expiry?.reserve(table.count)
        return (Array(columns[keys.count...]), Array(UnsafeBufferPointer(start: groups, count: n)))
    }

    /// When groups were written last, as a column.
    func lastWrites(_ groups: [Int32]) -> [Column] {
        guard let expiry else { return [] }
        return [.make(.timestampLTZ(3), count: groups.count, zero: Int64(0)) { expiry.writtenAt(groups[$0]) }]
    }

    private static func pieces(_ name: String, _ rows: FrozenRows, _ groups: FrozenGroups, _ owners: [Int32], _ ids: [Int32], _ range: Range<Int>,
                               _ times: MemoryBlock?, _ names: [String]) -> [KeyGroupState] {
        guard !ids.isEmpty else { return [] }
        let n = ids.count
        let order = owners.withUnsafeBufferPointer { groups.positions(of: $0.baseAddress!, count: n) }
        let at = order.ids.rows
        let sortedOwners = (0..<n).map { owners[Int(at[$0])] }, sortedIDs = (0..<n).map { ids[Int(at[$0])] }
        return sortedOwners.withUnsafeBufferPointer { owners in
            var columns = groups.keys.columns(owners.baseAddress!, count: n) + rows.columns(sortedIDs)
            if let times {
                let from = times.base.assumingMemoryBound(to: Int64.self)
                columns.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { from[Int(owners[$0]) - range.lowerBound] })
            }
            return order.cut(columns, name: name, columnNames: names)
        }
    }

    /// Takes rows back that ``units(_:maxParallelism:)`` gave, behind those that their groups have.
    ///
    /// - Parameter added: is given the columns, the group and the number of each row.
    func restore(_ piece: KeyGroupState, operator name: String, now: Int64,
                 added: (_ columns: [Column], _ groups: UnsafePointer<Int32>, _ rows: UnsafePointer<Int32>, _ count: Int) -> Void) throws {
        let columns = try stateColumns.columns(of: piece, operator: name, extra: .lastWrite), n = piece.batch.count
        guard n > 0 else { return }
        let groups = ids.reserve(n)
        table.lookup(Array(columns[..<keys.count]), rows: nil, count: n, into: groups)
        lists.reserve(table.count)
        let numbers = UnsafeMutablePointer<Int32>.allocate(capacity: n)
        defer { numbers.deallocate() }
        arena.add(Array(columns[keys.count..<schema.count]), rows: nil, count: n, into: numbers)
        for i in 0..<n { lists.append(numbers[i], to: groups[i]) }
        for i in 0..<n { changes.mark(Int(groups[i])) }
        added(assembled(Array(columns[..<keys.count]), Array(columns[keys.count..<schema.count])), groups, numbers, n)
        guard let expiry else { return }
        expiry.reserve(table.count)
        // State that was kept without a time to live begins to age now.
        let times = columns.count > schema.count ? columns[schema.count].pointer(as: Int64.self) : nil
        withExtendedLifetime(columns) { for i in 0..<n { expiry.set(groups[i], times?[i] ?? now) } }
    }
}
