import StreamCore
import StreamExpressions

/// The first rows of each partition, given once, when event time has passed them: nothing is ever taken back.
public struct TimedRankSpec: Sendable {
    /// When a partition's rows are given.
    public enum Due: Sendable, Hashable {
        /// Once its window has ended. The column, of type TIMESTAMP(3) and part of the partition, is the window's end; it is in local
        /// time if the time attribute (of type `timeType`) is TIMESTAMP_LTZ.
        case windowEnd(column: Int, timeType: DataType, timeZone: String)
        /// Once its earliest row by the time column is final; later rows of the partition are ignored. `order` is that column,
        /// and `last` is 1.
        case firstRow(column: Int)
    }
    public var inputSchema: Schema
    public var partition: [Int]
    public var order: [SortSpec.Key]
    public var due: Due
    public var first: Int, last: Int?
    /// Of rows that compare equal the one that came last stands first.
    public var latestFirst: Bool
    public var givesPlace: Bool
    /// For `.firstRow`: as ``RankSpec/stateTTL``.
    public var stateTTL: Duration?

    public init(inputSchema: Schema, partition: [Int], order: [SortSpec.Key], due: Due, first: Int = 1, last: Int?, latestFirst: Bool = false,
                givesPlace: Bool = false, stateTTL: Duration? = nil) {
        self.inputSchema = inputSchema
        self.partition = partition
        self.order = order
        self.due = due
        self.first = first
        self.last = last
        self.latestFirst = latestFirst
        self.givesPlace = givesPlace
        self.stateTTL = stateTTL
    }
}

extension Operators {
    /// Window top-N, window deduplication, and keep-first deduplication by event time, over append-only input partitioned by
    /// `spec.partition`.
    public static func timedRank(_ spec: TimedRankSpec) -> Factory {
        keyed { try TimedRankOperator(spec) }
    }
}

final class TimedRankOperator: KeyedStateOperator {
    private let spec: TimedRankSpec
    private let rows: KeyedRows
    private let sortKeys: RowSortKeys
    private let versions = VersionCounter()
    private var context = OperatorContext(name: "rank")
    private let kept: Int
    private var clock: WindowClock?
    private let made = Scratch<SortWord>(), times = Scratch<Int64>()
    private var watermark = Int64.min
    /// When each group is due; .max = never.
    private let dueAt = GroupArray<Int64>(fill: .max)
    /// 1 = has given its row.
    private let isDone = GroupArray<UInt8>(fill: 0)
    private var heap = DueHeap()
    private var waiting = BatchQueue()
    /// The last end of a window that was asked for, and when that is.
    private var lastEnd: (local: Int64, due: Int64)?

    init(_ spec: TimedRankSpec) throws {
        try RankSpec(inputSchema: spec.inputSchema, partition: spec.partition, order: spec.order, first: spec.first, last: spec.last).check()
        self.spec = spec
        kept = spec.last ?? .max
        var timeToLive: Duration?
        switch spec.due {
        case .windowEnd(let column, let timeType, let timeZone):
            clock = try WindowClock(timeType: timeType, timeZone: timeZone, column: spec.inputSchema[column].name)
        case .firstRow(let column):
            _ = try WindowClock(timeType: spec.inputSchema[column].type, timeZone: "UTC", column: spec.inputSchema[column].name)
            timeToLive = spec.stateTTL
        }
        rows = KeyedRows(spec.inputSchema, keys: spec.partition, timeToLive: timeToLive, versions: versions)
        sortKeys = RowSortKeys(SortWords(spec.order, spec.inputSchema))
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.partition.map { batch.columns[$0] } }

    private static let dueColumn = StateColumns([("due", .timestamp(3))]), doneColumn = StateColumns([("done", .boolean)])

    var keyedState: KeyedStateForm {
        KeyedStateForm(
            keyCount: spec.partition.count,
            kinds: [
                .init("rows", rows.stateColumns, timeToLive: rows.expiry?.timeToLive), .init("due", rows.keyColumns + Self.dueColumn),
                .init("done", rows.keyColumns + Self.doneColumn, timeToLive: rows.expiry?.timeToLive),
            ], due: "due")
    }

    private var timeColumn: Int {
        switch spec.due {
        case .windowEnd(let column, _, _), .firstRow(let column): column
        }
    }

    private var isFirstRow: Bool { if case .firstRow = spec.due { true } else { false } }

    /// The watermark at which a row's partition is due, or would be if there were no other row.
    private func due(_ time: Int64) -> Int64 {
        guard clock != nil else { return time }
        if let lastEnd, lastEnd.local == time { return lastEnd.due }
        let due = clock!.instant(time - 1)
        lastEnd = (time, due)
        return due
    }

    // MARK: Input

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        let n = batch.count
        guard n > 0 else { return .done }
        let groups = rows.lookup(batch)
        dueAt.reserve(rows.table.count)
        isDone.reserve(rows.table.count)
        expire(groups, n)
        let words = made.reserve(n), due = times.reserve(n)
        let tails = sortKeys.words.make(batch.columns, rows: batch.selection?.rows, count: n, into: words)
        let column = batch.columns[timeColumn].flat()
        var picks: [Int32] = [], late = 0
        withExtendedLifetime(column) {
            let time = column.pointer(as: Int64.self)
            for i in 0..<n {
                let row = batch.row(i)
                guard column.isValid(row) else { continue }
                due[i] = self.due(time[row])
                if isFirstRow ? due[i] < watermark : due[i] <= watermark {
                    late += 1
                } else if isDone.base[Int(groups[i])] == 0, enters(groups[i], words[i], tails, i) {
                    picks.append(Int32(truncatingIfNeeded: i))
                }
            }
        }
        if late > 0 { context.metrics.lateRows.add(late) }
        if !picks.isEmpty { insert(batch, picks, groups, words, tails, due) }
        if let kept = rows.groupsToKeep({ isLive($0) }) { keep(kept) }
        return .done
    }

    private func isLive(_ group: Int32) -> Bool { rows.lists.count(group) > 0 || isDone.base[Int(group)] != 0 }

    private func enters(_ group: Int32, _ word: SortWord, _ tails: [[UInt8]], _ i: Int) -> Bool {
        let n = rows.lists.count(group)
        guard n >= kept else { return true }
        let worst = rows.lists.rows(group)[n - 1]
        return spec.latestFirst ? !sortKeys.precedes(worst, word) { tails[i] } : sortKeys.precedes(word, { tails[i] }, worst)
    }

    private func insert(_ batch: Batch, _ picks: [Int32], _ groups: UnsafePointer<Int32>, _ words: UnsafePointer<SortWord>, _ tails: [[UInt8]],
                        _ due: UnsafePointer<Int64>) {
        let m = picks.count
        let ids = UnsafeMutablePointer<Int32>.allocate(capacity: m)
        defer { ids.deallocate() }
        picks.map { Int32(truncatingIfNeeded: batch.row(Int($0))) }.withUnsafeBufferPointer {
            rows.add(batch.columns, rows: $0.baseAddress!, count: m, into: ids)
        }
        picks.withUnsafeBufferPointer { sortKeys.set(ids, words, tails, at: $0.baseAddress!, count: m, capacity: rows.arena.capacity) }
        var removed: [Int32] = []
        let now = context.now(), lists = rows.lists
        for k in 0..<m {
            let i = Int(picks[k]), group = groups[i], n = lists.count(group)
            let at = spec.latestFirst ? sortKeys.lowerBound(lists.rows(group), n, ids[k]) : sortKeys.upperBound(lists.rows(group), n, ids[k])
            guard at < kept else {
                removed.append(ids[k])
                continue
            }
            if n == kept {
                removed.append(lists.rows(group)[n - 1])
                lists.remove(at: n - 1, of: group)
            }
            lists.insert(ids[k], at: at, of: group)
            if due[i] < dueAt.base[Int(group)] {
                dueAt.base[Int(group)] = due[i]
                heap.push(due[i], group)
            }
            rows.changes.mark(Int(group))
            rows.expiry?.set(group, now)
        }
        if !removed.isEmpty { removed.withUnsafeBufferPointer { rows.arena.remove($0.baseAddress!, count: $0.count) } }
    }

    private func expire(_ groups: UnsafePointer<Int32>, _ n: Int) {
        guard let expiry = rows.expiry else { return }
        let now = context.now()
        var old = expiry.sweep(2 * n + 1_024, of: rows.table.count, now)
        for i in 0..<n where expiry.isExpired(groups[i], now) { old.append(groups[i]) }
        for group in old where isLive(group) {
            clear(group)
            isDone.base[Int(group)] = 0
        }
    }

    private func clear(_ group: Int32) {
        let n = rows.lists.count(group)
        if n > 0 {
            rows.arena.remove(rows.lists.rows(group), count: n)
            rows.lists.removeAll(of: group)
        }
        dueAt.base[Int(group)] = .max
        rows.changes.mark(Int(group))
    }

    private func keep(_ kept: [Int32]) {
        rows.keep(kept)
        dueAt.remap(kept)
        isDone.remap(kept)
        heap.removeAll()
        for group in 0..<Int32(kept.count) where dueAt.base[Int(group)] != .max { heap.push(dueAt.base[Int(group)], group) }
    }

    // MARK: Output

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while true {
            guard try waiting.emit(to: output) == .done else { return .more }
            guard fire() else { return .done }
        }
    }

    /// Makes the next batch of rows that are due; false when there are none.
    private func fire() -> Bool {
        var changes = RankChanges(), fired: [Int32] = []
        while changes.count < Batch.targetRows, let time = heap.first, time <= watermark {
            let (due, group) = heap.pop()
            guard dueAt.base[Int(group)] == due else { continue }
            let n = rows.lists.count(group), start = min(spec.first - 1, n)
            changes.insert(UnsafeBufferPointer(start: rows.lists.rows(group) + start, count: n - start), group, from: spec.first)
            dueAt.base[Int(group)] = .max
            fired.append(group)
        }
        guard !fired.isEmpty else { return false }
        changes.makeBatches(rows, givesPlace: spec.givesPlace) { waiting.append($0) }
        let now = context.now()
        for group in fired {
            clear(group)
            guard isFirstRow else { continue }
            isDone.base[Int(group)] = 1
            rows.expiry?.set(group, now)
        }
        return true
    }

    // MARK: State

    private static let progress = StateColumns([("watermark", .bigint)])

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let progress = KeyGroupState.broadcast("progress", Self.progress, rows: [[watermark]])
        let form = keyedState
        let units = rows.units("rows", maxParallelism: context.maxParallelism) { range in
            let pending = range.map { Int32(truncatingIfNeeded: $0) }.filter { rows.lists.count($0) > 0 }
            let done = range.map { Int32(truncatingIfNeeded: $0) }.filter { Int($0) < isDone.capacity && isDone.base[Int($0)] != 0 }
            return [
                KeyedRows.ByGroup(name: "due", columns: form.kinds[1].columns, groups: pending, values: [
                    .make(.timestamp(3), count: pending.count, zero: Int64(0)) { dueAt.base[Int(pending[$0])] },
                ]),
                KeyedRows.ByGroup(name: "done", columns: rows.expiry == nil ? form.kinds[2].columns : form.kinds[2].columns + .lastWrite, groups: done,
                                  values: [.make(.boolean, count: done.count, zero: UInt8(0)) { _ in 1 }] + rows.lastWrites(done)),
            ]
        }
        return OperatorSnapshot(units: [StateUnit(name: "progress") { [progress] }] + units)
    }

    func restore(_ state: RestoredState) throws {
        let form = keyedState, now = context.now()
        try state.forEach { piece in
            switch piece.name {
            case "progress":
                let marks = try Self.progress.columns(of: piece, operator: context.name)[0]
                for row in 0..<marks.count { watermark = max(watermark, marks.pointer(as: Int64.self)[row]) }
            case "rows":
                try rows.restore(piece, operator: context.name, now: now) { columns, groups, ids, n in
                    let words = made.reserve(n)
                    let tails = sortKeys.words.make(columns, rows: nil, count: n, into: words)
                    sortKeys.set(ids, words, tails, at: nil, count: n, capacity: rows.arena.capacity)
                    dueAt.reserve(rows.table.count)
                    isDone.reserve(rows.table.count)
                    let column = columns[timeColumn]
                    withExtendedLifetime(column) {
                        for i in 0..<n {
                            let due = self.due(column.pointer(as: Int64.self)[i])
                            guard due < dueAt.base[Int(groups[i])] else { continue }
                            dueAt.base[Int(groups[i])] = due
                            heap.push(due, groups[i])
                        }
                    }
                }
            case "due": break  // Follows from the rows.
            case "done":
                let (columns, groups) = try rows.byGroup(piece, form.kinds[2].columns, operator: context.name)
                isDone.reserve(rows.table.count)
                dueAt.reserve(rows.table.count)
                for (i, group) in groups.enumerated() {
                    isDone.base[Int(group)] = 1
                    rows.changes.mark(Int(group))
                    rows.expiry?.set(group, columns.count > 1 ? columns[1].pointer(as: Int64.self)[i] : now)
                }
            default: throw piece.unknown(operator: context.name)
            }
        }
    }
}
