import StreamCore

/// The rows that stand at places `first` to `last` of their partition's order, with their place behind them if asked for; a
/// changelog. Rows that compare equal stand in order of arrival.
public struct RankSpec: Sendable {
    public var inputSchema: Schema
    public var partition: [Int]
    /// Empty = in order of arrival.
    public var order: [SortSpec.Key]
    /// From 1; `last` = nil: all that follow.
    public var first: Int, last: Int?
    /// A BIGINT column behind the input's.
    public var givesPlace: Bool
    /// Of rows that compare equal the one that came last stands first: keep-last deduplication.
    public var latestFirst: Bool
    public var inputChanges: Bool
    /// Updates come with the row before them (-U).
    public var emitsUpdateBefore: Bool
    /// Every row's change is given, rather than what a batch changes on the whole: for readers of versions.
    public var givesEveryChange = false
    /// Columns, those of the partition among them, under which a row is updated; never taken back otherwise. An update moves a row
    /// forward in its partition, or leaves it where it is: rows behind the last place cannot come up again without being updated, and
    /// are not kept. Old rows of updates (-U) need not come. nil = nothing is known of the changes.
    public var updateKeys: [Int]?
    /// Wall-clock time after its last change at which a partition is forgotten (`table.exec.state.ttl`); nil = never.
    public var stateTTL: Duration?

    public init(inputSchema: Schema, partition: [Int], order: [SortSpec.Key], first: Int = 1, last: Int?, givesPlace: Bool = false,
                latestFirst: Bool = false, inputChanges: Bool = false, emitsUpdateBefore: Bool = true, stateTTL: Duration? = nil) {
        self.emitsUpdateBefore = emitsUpdateBefore
        self.inputSchema = inputSchema
        self.partition = partition
        self.order = order
        self.first = first
        self.last = last
        self.givesPlace = givesPlace
        self.latestFirst = latestFirst
        self.inputChanges = inputChanges
        self.stateTTL = stateTTL
    }

    func check() throws {
        try SortKeys.check(order, inputSchema)
        guard first >= 1, last ?? first >= first else {
            throw StreamError(.validate, "a rank from \(first) to \(last ?? 0) takes no rows", fix: "give a range that begins at 1 or later")
        }
        if let updateKeys, !Set(partition).isSubset(of: updateKeys) {
            throw StreamError(.validate, "rows are updated by columns \(updateKeys), but ranked by \(partition)", fix: "add the partition to the key")
        }
    }
}

extension Operators {
    /// Top-N and deduplication without windows. Its input must be partitioned by `spec.partition`.
    ///
    /// Over input that takes nothing back, or has ``RankSpec/updateKeys``, only the first `last` rows of each partition are kept, else all.
    public static func rank(_ spec: RankSpec) -> Factory {
        keyed { try RankOperator(spec) }
    }
}

/// Several changes of a partition within one batch become one: what left, then what came, or, with places, what stands at each
/// place now in place of what stood there.
final class RankOperator: KeyedStateOperator {
    private let spec: RankSpec
    private let rows: KeyedRows
    private let sortKeys: RowSortKeys
    private let versions = VersionCounter()
    private var context = OperatorContext(name: "rank")
    /// Rows that are kept of a partition.
    private let kept: Int
    /// The rows that are kept, by ``RankSpec/updateKeys``.
    private let index: RowIndex?
    private let made = Scratch<SortWord>(), picked = Scratch<Int32>(), numbers = Scratch<Int32>()
    /// What a touched partition gave before the batch: number of the touch by group, and the rows one behind the other.
    private let touchOf = GroupArray<Int32>(fill: -1)
    private var touched: [Int32] = []
    private var before: [Int32] = [], beforeStarts: [Int] = []
    private var removed: [Int32] = []
    private var waiting = BatchQueue()

    init(_ spec: RankSpec) throws {
        try spec.check()
        self.spec = spec
        kept = spec.inputChanges && spec.updateKeys == nil ? .max : spec.last ?? .max
        index = spec.updateKeys.map { RowIndex(spec.inputSchema, keys: $0) }
        rows = KeyedRows(spec.inputSchema, keys: spec.partition, timeToLive: spec.stateTTL, versions: versions)
        sortKeys = RowSortKeys(SortWords(spec.order, spec.inputSchema))
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.partition.map { batch.columns[$0] } }

    var keyedState: KeyedStateForm {
        KeyedStateForm(keyCount: spec.partition.count, kinds: [.init("rows", rows.stateColumns, timeToLive: rows.expiry?.timeToLive)])
    }

    // MARK: Input

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard batch.count > 0 else { return .done }
        if spec.givesEveryChange { for i in 0..<batch.count { try take(batch.slice(i..<i + 1), output) } } else { try take(batch, output) }
        return try waiting.emit(to: output)
    }

    private func take(_ batch: Batch, _ output: any Output) throws {
        let n = batch.count
        let groups = rows.lookup(batch)
        touchOf.reserve(rows.table.count)
        expire(groups, n)
        let words = made.reserve(n)
        let tails = sortKeys.words.make(batch.columns, rows: batch.selection?.rows, count: n, into: words)
        if let index {
            update(batch, groups, words, tails, index)
        } else if batch.rowKinds == nil {
            insert(batch, groups, words, tails)
        } else {
            change(batch, groups, words, tails)
        }
        try finishTouched(output)
        index?.forgetUnused()
        if let kept = rows.groupsToKeep({ rows.lists.count($0) > 0 }) {
            rows.keep(kept)
            touchOf.remap([])
        }
    }

    func resume(_ output: any Output) throws -> Progress { try waiting.emit(to: output) }

    /// Forgets partitions that are too old, without a word, as Flink does.
    private func expire(_ groups: UnsafePointer<Int32>, _ n: Int) {
        guard let expiry = rows.expiry else { return }
        let now = context.now()
        var old = expiry.sweep(2 * n + 1_024, of: rows.table.count, now)
        for i in 0..<n where expiry.isExpired(groups[i], now) { old.append(groups[i]) }
        for group in old where rows.lists.count(group) > 0 {
            if let index { for k in 0..<rows.lists.count(group) { index.remove(rows.lists.rows(group)[k]) } }
            rows.arena.remove(rows.lists.rows(group), count: rows.lists.count(group))
            rows.lists.removeAll(of: group)
            rows.changes.mark(Int(group))
        }
    }

    /// Notes what a partition gives before it changes.
    @inline(__always)
    private func touch(_ group: Int32) {
        if touchOf.base[Int(group)] < 0 { firstTouch(group) }
    }

    private func firstTouch(_ group: Int32) {
        touchOf.base[Int(group)] = Int32(touched.count)
        touched.append(group)
        beforeStarts.append(before.count)
        before.append(contentsOf: given(group))
    }

    /// The rows of the wanted places.
    private func given(_ group: Int32) -> UnsafeBufferPointer<Int32> {
        let end = min(rows.lists.count(group), spec.last ?? .max), start = min(spec.first - 1, end)
        return UnsafeBufferPointer(start: rows.lists.rows(group) + start, count: end - start)
    }

    /// Rows of a batch without row kinds.
    private func insert(_ batch: Batch, _ groups: UnsafePointer<Int32>, _ words: UnsafePointer<SortWord>, _ tails: [[UInt8]]) {
        let n = batch.count
        // Most rows are behind what their full partition has already, and go no further.
        let picks = picked.reserve(2 * n)
        var m = 0
        for i in 0..<n where enters(groups[i], words[i], tails, i) {
            picks[m] = Int32(truncatingIfNeeded: i)
            m += 1
        }
        guard m > 0 else { return }
        let ids = numbers.reserve(m)
        addToArena(batch, picks, m, ids, spare: picks + n)
        sortKeys.set(ids, words, tails, at: picks, count: m, capacity: rows.arena.capacity)
        for k in 0..<m { place(ids[k], groups[Int(picks[k])]) }
    }

    private func addToArena(_ batch: Batch, _ picks: UnsafePointer<Int32>, _ m: Int, _ ids: UnsafeMutablePointer<Int32>,
                            spare: UnsafeMutablePointer<Int32>) {
        if let selection = batch.selection?.rows {
            for k in 0..<m { spare[k] = selection[Int(picks[k])] }
            rows.add(batch.columns, rows: spare, count: m, into: ids)
        } else {
            rows.add(batch.columns, rows: picks, count: m, into: ids)
        }
    }

    @inline(__always)
    private func enters(_ group: Int32, _ word: SortWord, _ tails: [[UInt8]], _ i: Int) -> Bool {
        let n = rows.lists.count(group)
        guard n >= kept else { return true }
        let worst = rows.lists.rows(group)[n - 1]
        return spec.latestFirst ? !sortKeys.precedes(worst, word) { tails[i] } : sortKeys.precedes(word, { tails[i] }, worst)
    }

    /// Puts a row into its partition's order; the one that falls out of it, if any, is removed later.
    @inline(__always)
    private func place(_ id: Int32, _ group: Int32) {
        let lists = rows.lists, n = lists.count(group)
        let at = spec.latestFirst ? sortKeys.lowerBound(lists.rows(group), n, id) : sortKeys.upperBound(lists.rows(group), n, id)
        guard at < kept else {
            removed.append(id)
            return
        }
        touch(group)
        if n == kept {
            removed.append(lists.rows(group)[n - 1])
            lists.remove(at: n - 1, of: group)
        }
        lists.insert(id, at: at, of: group)
    }

    /// Rows in place of those of the same key; what is taken back comes again.
    private func update(_ batch: Batch, _ groups: UnsafePointer<Int32>, _ words: UnsafePointer<SortWord>, _ tails: [[UInt8]], _ index: RowIndex) {
        let n = batch.count
        let keys = index.lookup(batch.columns, rows: batch.selection?.rows, count: n)
        let picks = picked.reserve(2 * n)
        var m = 0
        // With a time to live a key that was forgotten above begins anew, behind where it was.
        let picksAll = spec.stateTTL != nil
        for i in 0..<n where batch.kind(atPhysical: batch.row(i)).isAdd {
            guard picksAll || index.row(keys[i]) >= 0 || enters(groups[i], words[i], tails, i) else { continue }
            picks[m] = Int32(truncatingIfNeeded: i)
            m += 1
        }
        guard m > 0 else { return }
        let ids = numbers.reserve(m)
        addToArena(batch, picks, m, ids, spare: picks + n)
        sortKeys.set(ids, words, tails, at: picks, count: m, capacity: rows.arena.capacity)
        for k in 0..<m { update(ids[k], keys[Int(picks[k])], groups[Int(picks[k])], index) }
    }

    /// As in Flink a row keeps its place among equal ones when its order stays the same, and stands behind them when it comes to them.
    private func update(_ id: Int32, _ key: Int32, _ group: Int32, _ index: RowIndex) {
        let lists = rows.lists, n = lists.count(group), old = index.row(key)
        if old >= 0 {
            touch(group)
            removed.append(old)
            var at = sortKeys.lowerBound(lists.rows(group), n, old)
            while lists.rows(group)[at] != old { at += 1 }
            if !sortKeys.precedes(id, old), !sortKeys.precedes(old, id) {
                lists.rows(group)[at] = id
            } else {
                lists.remove(at: at, of: group)
                lists.insert(id, at: sortKeys.upperBound(lists.rows(group), n - 1, id), of: group)
            }
        } else {
            guard n < kept || sortKeys.precedes(id, lists.rows(group)[n - 1]) else {
                removed.append(id)
                return
            }
            touch(group)
            if n >= kept {
                let last = lists.rows(group)[n - 1]
                removed.append(last)
                index.remove(last)
                lists.remove(at: n - 1, of: group)
            }
            lists.insert(id, at: sortKeys.upperBound(lists.rows(group), lists.count(group), id), of: group)
        }
        index.set(key, id, capacity: rows.arena.capacity)
    }

    private func change(_ batch: Batch, _ groups: UnsafePointer<Int32>, _ words: UnsafePointer<SortWord>, _ tails: [[UInt8]]) {
        let n = batch.count, ids = numbers.reserve(n)
        rows.add(batch.columns, rows: batch.selection?.rows, count: n, into: ids)
        sortKeys.set(ids, words, tails, at: nil, count: n, capacity: rows.arena.capacity)
        for i in 0..<n {
            if batch.kind(atPhysical: batch.row(i)).isAdd { place(ids[i], groups[i]) } else { takeBack(ids[i], groups[i]) }
        }
    }

    /// Removes a row equal to `id`, if there is one.
    private func takeBack(_ id: Int32, _ group: Int32) {
        removed.append(id)
        let lists = rows.lists, list = lists.rows(group), n = lists.count(group)
        var at = sortKeys.lowerBound(list, n, id)
        while at < n, !rows.arena.isEqual(list[at], id) {
            if sortKeys.precedes(id, list[at]) { return }
            at += 1
        }
        guard at < n else { return }
        touch(group)
        removed.append(list[at])
        lists.remove(at: at, of: group)
    }

    // MARK: Output

    private func finishTouched(_ output: any Output) throws {
        if !touched.isEmpty {
            var changes = RankChanges(emitsUpdateBefore: spec.emitsUpdateBefore)
            beforeStarts.append(before.count)
            for (k, group) in touched.enumerated() {
                before.withUnsafeBufferPointer { before in
                    let old = UnsafeBufferPointer(rebasing: before[beforeStarts[k]..<beforeStarts[k + 1]])
                    if spec.givesPlace || spec.last == spec.first {
                        changes.compareByPlace(old, given(group), group, from: spec.first, rows.arena)
                    } else {
                        changes.compareAsSets(old, given(group), group)
                    }
                }
                touchOf.base[Int(group)] = -1
                rows.changes.mark(Int(group))
            }
            if let expiry = rows.expiry { expiry.touch(touched, context.now()) }
            changes.makeBatches(rows, givesPlace: spec.givesPlace) { waiting.append($0) }
            touched.removeAll(keepingCapacity: true)
            before.removeAll(keepingCapacity: true)
            beforeStarts.removeAll(keepingCapacity: true)
        }
        if !removed.isEmpty {
            removed.withUnsafeBufferPointer { rows.arena.remove($0.baseAddress!, count: $0.count) }
            removed.removeAll(keepingCapacity: true)
        }
    }

    // MARK: State

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        OperatorSnapshot(units: rows.units("rows", maxParallelism: context.maxParallelism))
    }

    func restore(_ state: RestoredState) throws {
        try state.forEach { piece in
            guard piece.name == "rows" else { throw piece.unknown(operator: context.name) }
            try rows.restore(piece, operator: context.name, now: context.now()) { columns, _, ids, n in
                let words = made.reserve(n)
                let tails = sortKeys.words.make(columns, rows: nil, count: n, into: words)
                sortKeys.set(ids, words, tails, at: nil, count: n, capacity: rows.arena.capacity)
                guard let index else { return }
                let keys = index.lookup(columns, rows: nil, count: n)
                for i in 0..<n { index.set(keys[i], ids[i], capacity: rows.arena.capacity) }
            }
        }
    }
}
