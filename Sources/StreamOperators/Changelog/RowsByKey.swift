import StreamCore

/// Rows in lists by key, in memory: the state of operators that know rows by a primary key.
final class RowsByKey {
    let keys: [Int]
    let arena: RowArena
    private let schema: Schema
    private let table: GroupTable
    /// Numbers of rows in the arena, by group.
    private(set) var lists: [[Int32]] = []
    private var live = 0
    private let versions = VersionCounter()
    private let changes: ChunkVersions
    private let expiry: GroupExpiry?
    private let ids = Scratch<Int32>()
    private static let evictionMinimum = 65_536

    /// - Parameter timeToLive: milliseconds after its last write at which a key is forgotten; nil = never.
    init(schema: Schema, keys: [Int], timeToLive: Int64?) {
        (self.schema, self.keys) = (schema, keys)
        table = GroupTable(types: keys.map { schema[$0].type })
        arena = RowArena(types: schema.map(\.type))
        changes = ChunkVersions(versions)
        expiry = timeToLive.map { GroupExpiry(milliseconds: $0) }
    }

    func start(at now: Int64) { versions.start(at: now) }

    /// The groups of a batch's rows, which are about to change; those that are too old are emptied first.
    func groups(_ columns: [Column], rows: UnsafePointer<Int32>?, count n: Int, now: Int64) -> [Int32] {
        evict()
        let groups = ids.reserve(n)
        table.lookup(keys.map { columns[$0] }, rows: rows, count: n, into: groups)
        while lists.count < table.count { lists.append([]) }
        let found = Array(UnsafeBufferPointer(start: groups, count: n))
        changes.mark(groups, count: n)
        if let expiry {
            expiry.reserve(table.count)
            for group in found where expiry.isExpired(group, now) { empty(group) }
            expiry.touch(found, now)
            for group in expiry.sweep(2 * n + 1_024, of: table.count, now) where !lists[Int(group)].isEmpty {
                changes.mark(Int(group))
                empty(group)
            }
        }
        return found
    }

    private func empty(_ group: Int32) {
        let gone = lists[Int(group)]
        lists[Int(group)] = []
        live -= gone.isEmpty ? 0 : 1
        gone.withUnsafeBufferPointer { if let base = $0.baseAddress { arena.remove(base, count: $0.count) } }
    }

    /// Changes the list of a group; rows taken out of it stay in the arena until they are removed there.
    func update<R>(_ group: Int32, _ body: (inout [Int32]) -> R) -> R {
        let before = lists[Int(group)].isEmpty
        let result = body(&lists[Int(group)])
        live += (before ? 1 : 0) - (lists[Int(group)].isEmpty ? 1 : 0)
        return result
    }

    /// Gives up keys without rows once most of many have none.
    private func evict() {
        guard table.count > Self.evictionMinimum, live * 2 < table.count else { return }
        let kept = (0..<Int32(table.count)).filter { !lists[Int($0)].isEmpty }
        guard !kept.isEmpty else { return }
        table.keep(kept)
        lists = kept.map { lists[Int($0)] }
        expiry?.remap(kept)
        changes.markAll()
    }

    // MARK: state

    /// Columns of a piece: the key's, then the row's.
    var form: KeyedStateForm {
        KeyedStateForm(keyCount: keys.count, kinds: [.init("rows", columns, timeToLive: expiry?.timeToLive)])
    }

    private var columns: StateColumns { StateColumns(keys.map { schema[$0] }) + StateColumns(schema) }

    func units(maxParallelism: Int) -> [StateUnit] {
        let rows = arena.frozen(), groups = FrozenGroups(table.keys, maxParallelism: maxParallelism)
        let names = (expiry == nil ? columns : columns + .lastWrite).names, keys = keys
        return changes.take(min(table.count, lists.count)).map { range, version in
            let part = Array(lists[range]), times = expiry?.frozen(range)
            return StateUnit(name: "rows/\(range.lowerBound / ChunkVersions.size)", version: version) {
                var (owners, numbers): ([Int32], [Int32]) = ([], [])
                for (i, list) in part.enumerated() {
                    for row in list {
                        owners.append(Int32(truncatingIfNeeded: range.lowerBound + i))
                        numbers.append(row)
                    }
                }
                guard !owners.isEmpty else { return [] }
                let all = rows.columns(numbers)
                // Positions in `owners`, in the order of the key groups of their keys.
                let order = owners.withUnsafeBufferPointer { owners in
                    groups.positions(of: owners.baseAddress!, count: owners.count)
                }
                let n = owners.count, sorted = order.ids.rows
                var columns = (keys.map { all[$0] } + all).map { $0.gather(sorted, count: n) }
                if let times {
                    let from = times.base.assumingMemoryBound(to: Int64.self)
                    columns.append(.make(.timestampLTZ(3), count: n, zero: Int64(0)) { from[Int(owners[Int(sorted[$0])]) - range.lowerBound] })
                }
                return order.cut(columns, name: "rows", columnNames: names)
            }
        }
    }

    func restore(_ state: RestoredState, operator name: String, now: Int64) throws {
        try state.forEach { piece in
            guard piece.name == "rows" else { throw piece.unknown(operator: name) }
            let all = try columns.columns(of: piece, operator: name, extra: .lastWrite), n = piece.batch.count
            guard n > 0 else { return }
            let groups = ids.reserve(n)
            table.lookup(Array(all[..<keys.count]), rows: nil, count: n, into: groups)
            while lists.count < table.count { lists.append([]) }
            var numbers = [Int32](repeating: 0, count: n)
            numbers.withUnsafeMutableBufferPointer { arena.add(Array(all[keys.count..<keys.count + schema.count]), rows: nil, count: n, into: $0.baseAddress!) }
            for i in 0..<n {
                if lists[Int(groups[i])].isEmpty { live += 1 }
                lists[Int(groups[i])].append(numbers[i])
            }
            changes.mark(groups, count: n)
            guard let expiry else { return }
            expiry.reserve(table.count)
            // State that was kept without a time to live begins to age now.
            let times = all.count > keys.count + schema.count ? all[keys.count + schema.count].pointer(as: Int64.self) : nil
            withExtendedLifetime(all) { for i in 0..<n { expiry.set(groups[i], times?[i] ?? now) } }
        }
    }
}

/// A list of changes that is being put together: rows of an arena with their kinds.
struct ChangeList {
    private(set) var rows: [Int32] = []
    private(set) var kinds: [UInt8] = []
    /// Rows to be removed from the arena once the changes have been given.
    var removed: [Int32] = []

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ kind: RowKind, _ row: Int32) {
        rows.append(row)
        kinds.append(kind.rawValue)
    }

    /// Gives the changes in batches, and empties the list.
    mutating func emit(_ arena: RowArena, _ output: any Output) throws {
        let allInserts = kinds.allSatisfy { $0 == RowKind.insert.rawValue }
        try rows.withUnsafeBufferPointer { rows in
            var start = 0
            while start < rows.count {
                var end = min(start + Batch.targetRows, rows.count)
                // -U and +U stay together.
                if end < rows.count, kinds[end - 1] == RowKind.updateBefore.rawValue { end -= 1 }
                let n = end - start
                let slice = allInserts ? nil : kinds[start..<end].withUnsafeBytes { Buffer(copying: $0) }
                try output.emit(Batch(columns: arena.columns(rows.baseAddress! + start, count: n), physicalCount: n, rowKinds: slice))
                start = end
            }
        }
        removed.withUnsafeBufferPointer { if let base = $0.baseAddress { arena.remove(base, count: $0.count) } }
        self = ChangeList()
    }
}
