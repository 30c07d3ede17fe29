import StreamCore

/// SESSION in FROM. Output columns: the input's, then window_start and window_end TIMESTAMP(3), then window_time of the time column's type.
public struct SessionTableSpec: Sendable {
    public var inputSchema: Schema
    /// Rows with equal values share their sessions.
    public var keys: [Int]
    /// A TIMESTAMP(0...3) or TIMESTAMP_LTZ(0...3) column of the input.
    public var timeColumn: Int
    /// Milliseconds.
    public var gap: Int64
    public var timeZone: String
    /// Sessions go by the wall clock; the time column is not read.
    public var isProcessingTime: Bool

    public init(inputSchema: Schema, keys: [Int], timeColumn: Int, gap: Int64, timeZone: String = "UTC", isProcessingTime: Bool = false) {
        (self.inputSchema, self.keys, self.timeColumn, self.gap) = (inputSchema, keys, timeColumn, gap)
        (self.timeZone, self.isProcessingTime) = (timeZone, isProcessingTime)
    }
}

extension Operators {
    /// Rows come out with their session once it has ended, with the row kinds that they came with. The input must be partitioned by
    /// the keys.
    public static func sessionTable(_ spec: SessionTableSpec) -> Factory { keyed { try SessionTableOperator(spec) } }
}

/// SESSION in FROM: holds the rows of each session until the watermark has reached its end. A row whose session has ended by then is
/// dropped and counted in `lateRows`.
final class SessionTableOperator: KeyedStateOperator {
    let spec: SessionTableSpec
    private(set) var context = OperatorContext(name: "session")
    private var clock: WindowClock
    private let table: GroupTable
    private let panes = PaneTable()
    private let rows: RowArena
    /// By row: when it arrived, what kind it is of, and the next row of its session.
    private let arrival = GroupArray<Int64>(fill: 0)
    private let kind = GroupArray<UInt8>(fill: 0)
    private let nextRow = GroupArray<Int32>(fill: -1)
    /// By session: its first and last row.
    private let firstRow = GroupArray<Int32>(fill: -1), lastRow = GroupArray<Int32>(fill: -1)
    private var watermark = Int64.min
    private var arrivals: Int64 = 0
    /// Rows to emit, in order, with the start and end of their sessions.
    private var waiting: (rows: [Int32], start: [Int64], end: [Int64]) = ([], [], [])
    private var waitingNext = 0
    private let times = Scratch<Int64>(), ids = Scratch<Int32>(), numbers = Scratch<Int32>(), kept = Scratch<Int32>()
    private var evictionCheckAt = 65_536

    init(_ spec: SessionTableSpec) throws {
        guard spec.gap > 0 else { throw StreamError(.validate, "SESSION: the gap is \(spec.gap) ms", fix: "give an interval above zero") }
        self.spec = spec
        let field = spec.inputSchema[spec.timeColumn]
        clock = try WindowClock(timeType: field.type, timeZone: spec.timeZone, column: field.name)
        table = GroupTable(types: spec.keys.map { spec.inputSchema[$0].type })
        rows = RowArena(types: spec.inputSchema.map(\.type))
    }

    func open(_ context: OperatorContext) { self.context = context }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.keys.map { batch.columns[$0] } }

    // MARK: Rows

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let selected = batch.selection?.rows
        let times = times.reserve(n), groups = ids.reserve(n)
        if spec.isProcessingTime {
            watermark = max(watermark, context.now() - 1)
            times.update(repeating: clock.local(watermark + 1), count: n)
        } else {
            try WindowTimes.read(batch, column: spec.timeColumn, name: spec.inputSchema[spec.timeColumn].name, clock: &clock, into: times)
        }
        table.lookup(spec.keys.map { batch.columns[$0] }, rows: selected, count: n, into: groups)
        panes.reserve(n, groups: table.count)
        firstRow.reserve(panes.capacity + n)
        lastRow.reserve(panes.capacity + n)
        // Which rows are late depends on the rows before: those are found first and the others kept together.
        let kept = kept.reserve(n)
        var count = 0, sessions: [Int32] = []
        sessions.reserveCapacity(n)
        for i in 0..<n {
            let pane = place(times[i], groups[i])
            guard pane >= 0 else { continue }
            kept[count] = selected.map { $0[i] } ?? Int32(truncatingIfNeeded: i)
            count += 1
            sessions.append(pane)
            // The row's number follows; until then its place among those kept, from -2 down, stands for it.
            append(placeholder: count - 1, to: pane)
        }
        if count < n { context.metrics.lateRows.add(n - count) }
        let ids = numbers.reserve(max(count, 1))
        rows.add(batch.columns, rows: kept, count: count, into: ids)
        arrival.reserve(rows.capacity)
        kind.reserve(rows.capacity)
        nextRow.reserve(rows.capacity)
        withExtendedLifetime(batch.rowKinds) {
            let kinds = batch.rowKinds?.pointer(as: UInt8.self)
            for k in 0..<count {
                let row = Int(ids[k])
                arrival.base[row] = arrivals + Int64(k)
                kind.base[row] = kinds?[Int(kept[k])] ?? 0
                nextRow.base[row] = -1
            }
            link(ids, count)
        }
        arrivals += Int64(count)
        return .done
    }

    /// Rows of the batch by session, as places among those kept.
    private var placed: [Int32: [Int32]] = [:]

    private func append(placeholder: Int, to pane: Int32) { placed[pane, default: []].append(Int32(placeholder)) }

    private func link(_ ids: UnsafePointer<Int32>, _ count: Int) {
        for (pane, places) in placed {
            let p = Int(pane)
            for place in places {
                let row = ids[Int(place)]
                if lastRow.base[p] >= 0 { nextRow.base[Int(lastRow.base[p])] = row } else { firstRow.base[p] = row }
                lastRow.base[p] = row
            }
        }
        placed.removeAll(keepingCapacity: true)
    }

    /// The session of a time, made, lengthened or put together as it takes; -1 when the row is late.
    private func place(_ time: Int64, _ group: Int32) -> Int32 {
        let upper = time &+ spec.gap
        var target: Int32 = -1
        var pane = panes.heads.base[Int(group)]
        while pane >= 0 {
            let p = Int(pane), following = panes.next.base[p]
            if panes.start.base[p] <= upper, panes.end.base[p] >= time {
                if target < 0 { target = pane } else { merge(pane, into: target) }
            }
            pane = following
        }
        if target >= 0 {
            let p = Int(target)
            panes.start.base[p] = min(panes.start.base[p], time)
            panes.end.base[p] = max(panes.end.base[p], upper)
            return target
        }
        let firesAt = clock.instant(upper - 1)
        guard firesAt > watermark else { return -1 }
        let made = panes.add(group: group, start: time, end: upper, timer: firesAt)
        (firstRow.base[Int(made)], lastRow.base[Int(made)]) = (-1, -1)
        return made
    }

    private func merge(_ pane: Int32, into target: Int32) {
        let (p, t) = (Int(pane), Int(target))
        if firstRow.base[p] >= 0 {
            if lastRow.base[t] >= 0 { nextRow.base[Int(lastRow.base[t])] = firstRow.base[p] } else { firstRow.base[t] = firstRow.base[p] }
            lastRow.base[t] = lastRow.base[p]
        }
        if let places = placed.removeValue(forKey: pane) { placed[target, default: []] += places }
        panes.start.base[t] = min(panes.start.base[t], panes.start.base[p])
        panes.end.base[t] = max(panes.end.base[t], panes.end.base[p])
        if panes.timer.base[p] < panes.timer.base[t] { panes.setTimer(target, panes.timer.base[p]) }
        (firstRow.base[p], lastRow.base[p]) = (-1, -1)
        panes.remove(pane)
    }

    // MARK: Time

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        if spec.isProcessingTime { return .done }
        self.watermark = max(self.watermark, watermark.milliseconds)
        return try fire(output)
    }

    var wakeAt: Int64? {
        guard spec.isProcessingTime, let end = panes.nextTimer, end < .max else { return nil }
        return end + 1
    }

    func onTime(_ now: Int64, output: any Output) throws -> Progress {
        guard spec.isProcessingTime else { return .done }
        watermark = max(watermark, now - 1)
        return try fire(output)
    }

    private func fire(_ output: any Output) throws -> Progress {
        var due: [Int32] = []
        while let pane = panes.takeDue(watermark) {
            // Sessions have grown since their timer was set.
            let firesAt = clock.instant(panes.end.base[Int(pane)] - 1)
            if firesAt > watermark { panes.setTimer(pane, firesAt) } else { due.append(pane) }
        }
        guard !due.isEmpty else { return .done }
        let (end, start) = (panes.end.base, panes.start.base)
        due.sort { (end[Int($0)], start[Int($0)], $0) < (end[Int($1)], start[Int($1)], $1) }
        waiting = ([], [], [])
        waitingNext = 0
        for pane in due {
            let p = Int(pane)
            let own = rowsOf(pane)
            waiting.rows += own
            waiting.start += Array(repeating: start[p], count: own.count)
            waiting.end += Array(repeating: end[p], count: own.count)
            (firstRow.base[p], lastRow.base[p]) = (-1, -1)
            panes.remove(pane)
        }
        return try resume(output)
    }

    /// In order of arrival.
    private func rowsOf(_ pane: Int32) -> [Int32] {
        var list: [Int32] = [], row = firstRow.base[Int(pane)]
        while row >= 0 {
            list.append(row)
            row = nextRow.base[Int(row)]
        }
        return list.sorted { arrival.base[Int($0)] < arrival.base[Int($1)] }
    }

    func resume(_ output: any Output) throws -> Progress {
        while waitingNext < waiting.rows.count {
            guard output.isReady else { return .more }
            let range = waitingNext..<min(waitingNext + Batch.targetRows, waiting.rows.count), n = range.count, first = waitingNext
            waitingNext += n
            let part = Array(waiting.rows[range])
            var columns = rows.columns(part)
            columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) { waiting.start[first + $0] })
            columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) { waiting.end[first + $0] })
            columns.append(.make(clock.timeType, count: n, zero: Int64(0)) { clock.instant(waiting.end[first + $0] - 1) })
            let kinds = part.map { kind.base[Int($0)] }
            let buffer = kinds.allSatisfy { $0 == 0 } ? nil : kinds.withUnsafeBytes { Buffer(copying: $0) }
            try output.emit(Batch(columns: columns, physicalCount: n, rowKinds: buffer))
            part.withUnsafeBufferPointer { rows.remove($0.baseAddress!, count: n) }
        }
        waiting = ([], [], [])
        waitingNext = 0
        evict()
        return .done
    }

    private func evict() {
        let n = table.count
        guard n > evictionCheckAt, table.hasKeys else { return }
        panes.heads.reserve(n)
        let kept = (0..<Int32(n)).filter { panes.heads.base[Int($0)] >= 0 }
        if kept.count * 2 < n {
            table.keep(kept)
            panes.renumber(kept, groups: n)
        }
        evictionCheckAt = max(65_536, 2 * table.count)
    }

    // MARK: State

    private static let progress = StateColumns([("watermark", .bigint), ("arrivals", .bigint)])
    private var keyFields: StateColumns { StateColumns(spec.keys.map { (spec.inputSchema[$0].name, spec.inputSchema[$0].type) }) }
    private static let rowFields = StateColumns([("arrival", .bigint), ("row_kind", .tinyint), ("window_start", .timestamp(3)),
                                                 ("window_end", .timestamp(3))])
    private var rowColumns: StateColumns { keyFields + Self.rowFields + StateColumns(spec.inputSchema) }
    private var dueColumns: StateColumns { keyFields + StateColumns([("due", .timestamp(3))]) }

    var keyedState: KeyedStateForm {
        var form = KeyedStateForm(keyCount: spec.keys.count, kinds: [.init("rows", rowColumns), .init("due", dueColumns)], due: "due")
        form.isDueByClock = spec.isProcessingTime
        return form
    }

    /// A unit: all rows with their sessions.
    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[watermark, arrivals]])
        var list: [Int32] = [], owners: [Int32] = [], starts: [Int64] = [], ends: [Int64] = [], first: [Int32: Int64] = [:]
        for p in 0..<panes.capacity where panes.group.base[p] >= 0 {
            let own = rowsOf(Int32(p)), group = panes.group.base[p]
            list += own
            owners += Array(repeating: group, count: own.count)
            starts += Array(repeating: panes.start.base[p], count: own.count)
            ends += Array(repeating: panes.end.base[p], count: own.count)
            first[group] = min(first[group] ?? .max, panes.timer.base[p])
        }
        let arrived = list.map { arrival.base[Int($0)] }, kinds = list.map { kind.base[Int($0)] }
        let groups = FrozenGroups(table.keys, maxParallelism: context.maxParallelism), frozen = rows.frozen()
        let (names, dueNames) = (rowColumns.names, dueColumns.names)
        let (rowList, groupOf, from, to, due) = (list, owners, starts, ends, first)
        let held = StateUnit(name: "rows") {
            guard !rowList.isEmpty else { return [] }
            let n = rowList.count, all = Selection.all(n)
            let order = groupOf.withUnsafeBufferPointer { groups.order(all.rows, count: n, groups: $0.baseAddress!) }
            let places = Array(UnsafeBufferPointer(start: order.ids.rows, count: n))
            let sortedGroups = places.map { groupOf[Int($0)] }
            var columns = sortedGroups.withUnsafeBufferPointer { groups.keys.columns($0.baseAddress!, count: n) }
            columns.append(.make(.bigint, count: n, zero: Int64(0)) { arrived[Int(places[$0])] })
            columns.append(.make(.tinyint, count: n, zero: Int8(0)) { Int8(bitPattern: kinds[Int(places[$0])]) })
            columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) { from[Int(places[$0])] })
            columns.append(.make(.timestamp(3), count: n, zero: Int64(0)) { to[Int(places[$0])] })
            columns += frozen.columns(places.map { rowList[Int($0)] })
            return order.cut(columns, name: "rows", columnNames: names)
        }
        let dueUnit = StateUnit(name: "due") {
            let list = due.keys.sorted()
            guard !list.isEmpty else { return [] }
            let order = list.withUnsafeBufferPointer { groups.order($0.baseAddress!, count: list.count) }, ids = order.ids.rows
            let times = Column.make(.timestamp(3), count: list.count, zero: Int64(0)) { due[ids[$0]]! }
            return order.cut(groups.keys.columns(ids, count: list.count) + [times], name: "due", columnNames: dueNames)
        }
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }, dueUnit, held])
    }

    func restore(_ state: RestoredState) throws {
        let (wanted, due) = (rowColumns, dueColumns)
        var restoredWatermark: Int64?
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let columns = try Self.progress.columns(of: piece, operator: context.name)
                for row in 0..<piece.batch.count {
                    let own = columns[0].pointer(as: Int64.self)[row]
                    restoredWatermark = min(restoredWatermark ?? own, own)
                    arrivals = max(arrivals, columns[1].pointer(as: Int64.self)[row])
                }
            case "due": _ = try due.columns(of: piece, operator: context.name)
            case "rows": restoreRows(try wanted.columns(of: piece, operator: context.name), piece.batch.count)
            default: throw piece.unknown(operator: context.name)
            }
        }
        if let restoredWatermark { watermark = max(watermark, restoredWatermark) }
    }

    private func restoreRows(_ columns: [Column], _ n: Int) {
        guard n > 0 else { return }
        let keys = spec.keys.count, groups = ids.reserve(n), numbers = numbers.reserve(n)
        table.lookup(Array(columns[0..<keys]), rows: nil, count: n, into: groups)
        panes.reserve(n, groups: table.count)
        firstRow.reserve(panes.capacity + n)
        lastRow.reserve(panes.capacity + n)
        rows.add(Array(columns[(keys + 4)...]), rows: nil, count: n, into: numbers)
        arrival.reserve(rows.capacity)
        kind.reserve(rows.capacity)
        nextRow.reserve(rows.capacity)
        withExtendedLifetime(columns) {
            let (arrived, kinds) = (columns[keys].pointer(as: Int64.self), columns[keys + 1].pointer(as: UInt8.self))
            let (start, end) = (columns[keys + 2].pointer(as: Int64.self), columns[keys + 3].pointer(as: Int64.self))
            for i in 0..<n {
                var pane = panes.heads.base[Int(groups[i])]
                while pane >= 0, panes.start.base[Int(pane)] != start[i] { pane = panes.next.base[Int(pane)] }
                if pane < 0 {
                    pane = panes.add(group: groups[i], start: start[i], end: end[i], timer: clock.instant(end[i] - 1))
                    (firstRow.base[Int(pane)], lastRow.base[Int(pane)]) = (-1, -1)
                }
                let row = Int(numbers[i]), p = Int(pane)
                (arrival.base[row], kind.base[row], nextRow.base[row]) = (arrived[i], kinds[i], -1)
                if lastRow.base[p] >= 0 { nextRow.base[Int(lastRow.base[p])] = Int32(row) } else { firstRow.base[p] = Int32(row) }
                lastRow.base[p] = Int32(row)
            }
        }
    }
}
