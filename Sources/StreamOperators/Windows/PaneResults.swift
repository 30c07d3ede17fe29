import StreamCore

/// What panes of a ``PaneWindowOperator`` gave so far, and when they are to give results apart from their end.
final class PaneResults {
    private let emission: WindowEmission
    /// Given results: aggregates and properties.
    let rows: RowArena
    /// Number in ``rows`` by pane; -1 = none given.
    let given = GroupArray<Int32>(fill: -1)
    /// 1 = the result at the end of the window has been given.
    let hasEnded = GroupArray<UInt8>(fill: 0)
    /// Wall-clock time at which the pane is to give its result; max = not.
    let wanted = GroupArray<Int64>(fill: .max)
    /// Number of the last batch that touched the pane.
    private let touchedIn = GroupArray<Int64>(fill: 0)
    private var batchNumber: Int64 = 1
    private var timers = TimerHeap()
    /// Given results of sessions that are parts of others now, with their groups.
    private var retracted: [(row: Int32, group: Int32)] = []
    /// Sessions that such a one became a part of.
    private var connected: Set<Int32> = []

    init(_ emission: WindowEmission, types: [DataType]) {
        self.emission = emission
        rows = RowArena(types: types)
    }

    func reserve(_ panes: Int) {
        given.reserve(panes)
        hasEnded.reserve(panes)
        wanted.reserve(panes)
        touchedIn.reserve(panes)
    }

    // MARK: Changes

    /// The panes in a list that were not in one since the last batch.
    func untouched(_ panes: UnsafePointer<Int32>, count: Int) -> [Int32] {
        var new: [Int32] = []
        for i in 0..<count where touchedIn.base[Int(panes[i])] != batchNumber {
            touchedIn.base[Int(panes[i])] = batchNumber
            new.append(panes[i])
        }
        return new
    }

    /// A session goes on beyond the end that it had; returns whether that had been reached.
    func goesOn(_ pane: Int32) -> Bool {
        defer { hasEnded.base[Int(pane)] = 0 }
        return hasEnded.base[Int(pane)] != 0
    }

    func merged(_ pane: Int32, into target: Int32, group: Int32) {
        let p = Int(pane)
        if given.base[p] >= 0 {
            retracted.append((given.base[p], group))
            connected.insert(target)
        }
        if wanted.base[p] < wanted.base[Int(target)] { want(target, at: wanted.base[p]) }
        clear(pane)
    }

    private func clear(_ pane: Int32) {
        let p = Int(pane)
        (given.base[p], hasEnded.base[p], wanted.base[p], touchedIn.base[p]) = (-1, 0, .max, 0)
        connected.remove(pane)
    }

    func forget(_ panes: [Int32]) {
        let held = panes.map { given.base[Int($0)] }.filter { $0 >= 0 }
        held.withUnsafeBufferPointer { if let ids = $0.baseAddress { rows.remove(ids, count: $0.count) } }
        for pane in panes { clear(pane) }
    }

    func ended(_ pane: Int32) { hasEnded.base[Int(pane)] = 1 }
    /// Whether a pane whose timer is due has something to give.
    func isWanted(_ pane: Int32) -> Bool { hasEnded.base[Int(pane)] == 0 || wanted.base[Int(pane)] != .max }

    // MARK: Timers

    private func want(_ pane: Int32, at time: Int64) {
        wanted.base[Int(pane)] = time
        timers.push(.init(time: time, pane: pane, generation: 0))
    }

    var nextTimer: Int64? {
        while let first = timers.first {
            if wanted.base[Int(first.pane)] == first.time { return first.time }
            timers.removeFirst()
        }
        return nil
    }

    /// A batch is in the accumulators: gives what is to be given at once, and sets timers for the rest.
    func wrote(_ touched: [Int32], _ owner: PaneWindowOperator, _ output: any Output) throws {
        batchNumber += 1
        var now: [Int32] = []
        for pane in touched where owner.panes.group.base[Int(pane)] >= 0 {
            let delay = owner.hasEnded(pane) ? emission.lateDelay : emission.earlyDelay
            if delay == 0 || connected.contains(pane) {
                now.append(pane)
            } else if let delay, wanted.base[Int(pane)] == .max {
                want(pane, at: owner.context.now() + delay)
            }
        }
        try takeBack(owner, output)
        connected = []
        try give(now, owner, output)
    }

    func onTime(_ now: Int64, _ owner: PaneWindowOperator, _ output: any Output) throws {
        var due: [Int32] = []
        while let first = timers.first, first.time <= now {
            timers.removeFirst()
            guard wanted.base[Int(first.pane)] == first.time else { continue }
            wanted.base[Int(first.pane)] = .max
            due.append(first.pane)
        }
        try give(due, owner, output)
    }

    // MARK: Output

    private func takeBack(_ owner: PaneWindowOperator, _ output: any Output) throws {
        guard !retracted.isEmpty else { return }
        let ids = retracted.map(\.row), groups = retracted.map(\.group)
        retracted = []
        let columns = groups.withUnsafeBufferPointer { owner.table.keyColumns($0.baseAddress!, count: $0.count) } + rows.columns(ids)
        try output.emit(Batch(columns: columns, physicalCount: ids.count, rowKinds: .kinds(.delete, count: ids.count)))
        ids.withUnsafeBufferPointer { rows.remove($0.baseAddress!, count: $0.count) }
    }

    /// Emits how the results of panes differ from what was given.
    func give(_ panes: [Int32], _ owner: PaneWindowOperator, _ output: any Output) throws {
        for start in stride(from: 0, to: panes.count, by: Batch.targetRows / 2) {
            try giveSome(Array(panes[start..<min(start + Batch.targetRows / 2, panes.count)]), owner, output)
        }
    }

    private func giveSome(_ panes: [Int32], _ owner: PaneWindowOperator, _ output: any Output) throws {
        var new = [Int32](repeating: -1, count: panes.count)
        let columns = owner.resultColumns(panes)
        new.withUnsafeMutableBufferPointer { rows.add(columns, rows: nil, count: panes.count, into: $0.baseAddress!) }
        var ids: [Int32] = [], owners: [Int32] = [], kinds: [UInt8] = [], gone: [Int32] = []
        func add(_ id: Int32, _ pane: Int32, _ kind: RowKind) {
            ids.append(id)
            owners.append(pane)
            kinds.append(kind.rawValue)
        }
        let counts = owner.set.rowCounts
        for (pane, id) in zip(panes, new) {
            let p = Int(pane), old = given.base[p]
            wanted.base[p] = .max
            switch (old >= 0, counts[p] > 0) {
            case (false, true):
                add(id, pane, .insert)
                given.base[p] = id
            case (true, true) where !rows.isEqual(old, id):
                add(old, pane, .updateBefore)
                add(id, pane, .updateAfter)
                given.base[p] = id
                gone.append(old)
            case (true, false):
                add(old, pane, .delete)
                given.base[p] = -1
                gone += [old, id]
            default: gone.append(id)
            }
            owner.changes.mark(p)
        }
        if !ids.isEmpty {
            let kinds = kinds.allSatisfy { $0 == 0 } ? nil : kinds.withUnsafeBytes { Buffer(copying: $0) }
            try output.emit(Batch(columns: owner.keys(owners) + rows.columns(ids), physicalCount: ids.count, rowKinds: kinds))
        }
        gone.withUnsafeBufferPointer { if let ids = $0.baseAddress { rows.remove(ids, count: $0.count) } }
    }

    // MARK: State

    /// What a pane had given, as a snapshot held it, and whether it was to give more.
    func restore(_ pane: Int32, given row: Int32, hasEnded: Bool, isWanted: Bool, now: Int64) {
        given.base[Int(pane)] = row
        self.hasEnded.base[Int(pane)] = hasEnded ? 1 : 0
        if isWanted { want(pane, at: now + (hasEnded ? emission.lateDelay : emission.earlyDelay ?? 0)) }
    }
}
