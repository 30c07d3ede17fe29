import StreamCore

/// Rows of one input of a join, each of a group (its key) and with a time: a list for each group, latest first, and all rows by
/// stretches of time, so that those that event time has passed are found without looking at the others.
final class TimedRows {
    private struct Link {
        var time: Int64
        /// In the group's list: the next earlier and the next later row; -1 = none.
        var earlier: Int32, later: Int32
        var group: Int32
        /// The row that came into the same stretch before it; -1 = none.
        var inStretch: Int32

        static let none = Link(time: 0, earlier: -1, later: -1, group: -1, inStretch: -1)
    }

    let arena: RowArena
    /// Milliseconds of a stretch; 0 = rows are in none.
    let width: Int64
    /// A byte for each row that is its user's own.
    let marks = GroupArray<UInt8>(fill: 0)
    private let links = GroupArray<Link>(fill: .none)
    private let heads = GroupArray<Int32>(fill: -1)
    /// The last row of each stretch, but for the one in `current`.
    private var stretches: [Int64: Int32] = [:]
    private var current = (stretch: Int64.min, last: Int32(-1))
    /// No row is in a stretch before this one.
    private var earliest = Int64.max
    private let ids = Scratch<Int32>()

    /// - Parameter width: milliseconds of a stretch; nil = rows are never taken by time.
    init(types: [DataType], width: Int64?) {
        arena = RowArena(types: types)
        self.width = width.map { max(1, $0) } ?? 0
    }

    func reserve(groups: Int) { heads.reserve(groups) }

    // MARK: lists

    /// The latest row of a group; -1 = it has none.
    @inline(__always) func latest(_ group: Int32) -> Int32 { heads.base[Int(group)] }
    @inline(__always) func earlier(_ row: Int32) -> Int32 { links.base[Int(row)].earlier }
    @inline(__always) func time(_ row: Int32) -> Int64 { links.base[Int(row)].time }
    @inline(__always) func group(_ row: Int32) -> Int32 { links.base[Int(row)].group }

    /// Adds rows `rows[i]` of plain columns with their groups and times. Of rows of one time the one added last comes first.
    /// - Returns: their numbers, valid until the next call.
    @discardableResult
    func add(_ columns: [Column], rows: UnsafePointer<Int32>?, groups: UnsafePointer<Int32>, times: UnsafePointer<Int64>, count n: Int)
        -> UnsafePointer<Int32>
    {
        let numbers = ids.reserve(n)
        arena.add(columns, rows: rows, count: n, into: numbers)
        links.reserve(arena.capacity)
        marks.reserve(arena.capacity)
        let (links, heads) = (links.base, heads.base)
        for i in 0..<n {
            let (id, time, group) = (numbers[i], times[i], groups[i])
            var later: Int32 = -1, earlier = heads[Int(group)]
            while earlier >= 0, links[Int(earlier)].time > time { (later, earlier) = (earlier, links[Int(earlier)].earlier) }
            if later < 0 { heads[Int(group)] = id } else { links[Int(later)].earlier = id }
            if earlier >= 0 { links[Int(earlier)].later = id }
            let stretch = width == 0 ? current.stretch : Self.stretch(time, width)
            if stretch != current.stretch { open(stretch) }
            links[Int(id)] = Link(time: time, earlier: earlier, later: later, group: group, inStretch: current.last)
            if width > 0 { current.last = id }
            marks.base[Int(id)] = 0
        }
        return UnsafePointer(numbers)
    }

    private func open(_ stretch: Int64) {
        close()
        current = (stretch, stretches[stretch] ?? -1)
        if stretch < earliest { earliest = stretch }
    }

    private func close() {
        if current.last >= 0 { stretches[current.stretch] = current.last }
        current = (.min, -1)
    }

    private static func stretch(_ time: Int64, _ width: Int64) -> Int64 {
        time >= 0 ? time / width : -((-1 - time) / width) - 1
    }

    /// The time at which the stretch of a time ends.
    func end(ofStretchOf time: Int64) -> Int64 { (Self.stretch(time, width) + 1) * width }

    // MARK: event time

    /// Takes rows out of their lists whose stretch ends at `time` or before, in the order of stretches, and in each in order of
    /// arrival. They stay readable until ``release(_:)``.
    ///
    /// - Parameter exactly: every row before `time`, also those of a stretch that ends later.
    func take(before time: Int64, exactly: Bool = false) -> [Int32] {
        close()
        func isOver(_ stretch: Int64) -> Bool { time == .max || (stretch + 1) * width <= time }
        guard earliest != .max, isOver(earliest) || exactly && earliest * width < time else { return [] }
        var taken: [Int32] = []
        for stretch in stretches.keys.filter({ isOver($0) || exactly && $0 * width < time }).sorted() {
            let first = taken.count
            var row = stretches.removeValue(forKey: stretch)!, kept: [Int32] = []
            while row >= 0 {
                let link = links.base[Int(row)]
                if link.time < time || time == .max { taken.append(row) } else { kept.append(row) }
                row = link.inStretch
            }
            taken[first...].reverse()
            guard !kept.isEmpty else { continue }
            for (i, row) in kept.enumerated() { links.base[Int(row)].inStretch = i + 1 < kept.count ? kept[i + 1] : -1 }
            stretches[stretch] = kept[0]
        }
        earliest = stretches.keys.min() ?? .max
        for row in taken { unlink(row) }
        return taken
    }

    private func unlink(_ row: Int32) {
        let link = links.base[Int(row)]
        if link.later < 0 { heads.base[Int(link.group)] = link.earlier } else { links.base[Int(link.later)].earlier = link.earlier }
        if link.earlier >= 0 { links.base[Int(link.earlier)].later = link.later }
    }

    /// Forgets rows that were taken.
    func release(_ rows: [Int32]) { rows.withUnsafeBufferPointer { if let base = $0.baseAddress { arena.remove(base, count: $0.count) } } }

    /// Drops the rows of a group that are earlier than `row`. Only where rows are never taken by time.
    func cut(behind row: Int32) {
        while case let next = links.base[Int(row)].earlier, next >= 0 { drop(next) }
    }

    /// Drops a row. Only where rows are never taken by time.
    func drop(_ row: Int32) {
        assert(width == 0)
        unlink(row)
        release([row])
    }

    // MARK: groups

    func hasRows(_ group: Int32) -> Bool { Int(group) < heads.capacity && heads.base[Int(group)] >= 0 }

    /// Group `kept[i]` becomes group i; the others have no rows.
    func remap(_ kept: [Int32]) {
        heads.remap(kept)
        for (group, _) in kept.enumerated() {
            var row = heads.base[group]
            while row >= 0 {
                links.base[Int(row)].group = Int32(truncatingIfNeeded: group)
                row = links.base[Int(row)].earlier
            }
        }
    }

    /// All rows as they are now, those of a group together, the earliest first.
    func frozen(groups: Int) -> FrozenTimedRows {
        var all: [Int32] = [], ends: [Int] = []
        all.reserveCapacity(arena.count)
        for group in 0..<Int32(min(groups, heads.capacity)) {
            let first = all.count
            var row = heads.base[Int(group)]
            while row >= 0 {
                all.append(row)
                row = links.base[Int(row)].earlier
            }
            all[first...].reverse()
            ends.append(all.count)
        }
        return FrozenTimedRows(rows: arena.frozen(), ids: all, marks: all.map { marks.base[Int($0)] })
    }
}

/// Rows of a ``TimedRows`` at a barrier, in the order in which they are to be added again.
struct FrozenTimedRows: Sendable {
    let rows: FrozenRows
    let ids: [Int32]
    let marks: [UInt8]

    /// Cut into key groups by the columns of the key.
    ///
    /// - Parameter mark: the name of a column for the rows' marks, behind the others; nil = they mean nothing.
    func pieces(_ name: String, _ layout: KeyedRowLayout, mark: String?, maxParallelism: Int) -> [KeyGroupState] {
        var pieces: [KeyGroupState] = []
        let step = 65_536
        for start in stride(from: 0, to: ids.count, by: step) {
            let range = start..<min(start + step, ids.count), n = range.count
            var columns = layout.state(ofRow: rows.columns(Array(ids[range])))
            let hashes = UnsafeMutablePointer<UInt64>.allocate(capacity: n)
            defer { hashes.deallocate() }
            KeyGroups.hash(Array(columns[..<layout.keys.count]), count: n, into: hashes)
            if mark != nil { columns.append(.make(.tinyint, count: n, zero: UInt8(0)) { marks[start + $0] }) }
            let all = Selection.all(n)
            let order = withExtendedLifetime(all) {
                KeyGroupOrder(all.rows, count: n, maxParallelism: maxParallelism) { i, _ in
                    KeyGroups.group(ofHash: hashes[i], maxParallelism: maxParallelism)
                }
            }
            let sorted = columns.map { column in withExtendedLifetime(order.ids) { column.gather(order.ids.rows, count: n) } }
            pieces += order.cut(sorted, name: name, columnNames: layout.columns.names + (mark.map { [$0] } ?? []))
        }
        return pieces
    }
}

/// How rows of a schema lie in pieces of state: the columns of the key first, then the others.
struct KeyedRowLayout: Sendable {
    let schema: Schema
    let keys: [Int]
    private let rest: [Int]

    init(_ schema: Schema, keys: [Int]) {
        (self.schema, self.keys) = (schema, keys)
        rest = schema.indices.filter { !keys.contains($0) }
    }

    var columns: StateColumns { StateColumns((keys + rest).map { schema[$0] }) }

    func state(ofRow row: [Column]) -> [Column] { (keys + rest).map { row[$0] } }

    func row(ofState state: [Column]) -> [Column] {
        schema.indices.map { c in state[keys.firstIndex(of: c) ?? keys.count + rest.firstIndex(of: c)!] }
    }
}

package extension Int64 {
    /// `self - other`, or the end of the range.
    func minus(_ other: Int64) -> Int64 {
        let (difference, overflow) = subtractingReportingOverflow(other)
        return overflow ? (other > 0 ? .min : .max) : difference
    }

    func plus(_ other: Int64) -> Int64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? (other > 0 ? .max : .min) : sum
    }
}
