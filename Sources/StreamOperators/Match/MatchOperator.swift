import StreamCore
import StreamExpressions

/// Searches the rows of each key for a pattern, in the order of their time: rows are held until the watermark has reached them, and
/// those that come behind it are dropped and counted in `lateRows`.
///
/// Of each key the partial matches are known, and the complete ones that wait for an earlier one to end: matches come in the order of
/// their first rows, and each rules out those that begin before the place where the search is to go on.
final class MatchOperator: KeyedStateOperator {
    struct Partial {
        var state: Int
        var node: Int32
        /// Number and time of the first row; both Int64.max for the start.
        var first: Int64, firstTime: Int64

        var isStart: Bool { first == .max }
    }
    struct KeyState {
        /// Rows in order of arrival that the watermark has not reached.
        var pending: [Int32] = []
        /// The partial ones with the start, as which nothing has been taken yet; empty = the start alone.
        var partials = MatchQueue(), complete = MatchQueue()
        var nextNumber: Int64 = 0
    }

    let spec: MatchSpec
    let automaton: MatchAutomaton
    private(set) var context = OperatorContext(name: "match")
    let table: GroupTable
    var keys: [KeyState] = []
    /// Rows with all columns of the input.
    let rows: RowArena
    /// By row: its time, its number among the rows of its key (-1 = pending), when it arrived, which conditions it fulfils by itself.
    let times = GroupArray<Int64>(fill: 0), numbers = GroupArray<Int64>(fill: -1), arrivals = GroupArray<Int64>(fill: 0)
    let flags = GroupArray<UInt64>(fill: 0)
    let paths = MatchPaths()
    var watermark = Int64.min
    var nextArrival: Int64 = 0
    /// When keys are due, and all times at which some were to be.
    let dueAt = GroupArray<Int64>(fill: .max)
    private var due = TimeHeap()
    let ids = Scratch<Int32>()
    private let rowConditions: [Evaluator?]
    private let histories: [MatchHistory?]
    let measures: MatchMeasures
    private var isAdvancing = false

    init(_ spec: MatchSpec, _ context: EvaluationContext) throws {
        guard spec.variables.count <= 64 else {
            throw StreamError(.validate, "a pattern of \(spec.variables.count) variables", fix: "use at most 64 variables")
        }
        self.spec = spec
        automaton = MatchAutomaton(spec.pattern)
        table = GroupTable(types: spec.keys.map { spec.inputSchema[$0].type })
        rows = RowArena(types: spec.inputSchema.map(\.type))
        rowConditions = spec.conditions.map { if case .row(let e)? = $0 { Evaluator([e], context: context) } else { nil } }
        histories = try spec.conditions.map { if case .history(let e)? = $0 { try MatchHistory([e], spec, context) } else { nil } }
        measures = try MatchMeasures(spec, context)
    }

    func open(_ context: OperatorContext) { self.context = context }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { spec.keys.map { batch.columns[$0] } }

    // MARK: Rows

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        var batch = batch
        if let timeColumn = spec.timeColumn {
            let column = batch.columns[timeColumn].flat()
            let all = batch.count
            let kept = withExtendedLifetime(column) {
                let times = column.pointer(as: Int64.self)
                return (0..<all).map { Int32(truncatingIfNeeded: batch.row($0)) }.filter { times[Int($0)] > watermark }
            }
            if kept.count < all {
                context.metrics.lateRows.add(all - kept.count)
                batch.selection = Selection(kept)
            }
        }
        guard !batch.isEmpty else { return .done }
        batch = batch.compacted()
        let n = batch.count
        let groups = ids.reserve(n)
        table.lookup(keyColumns(of: batch, input: input), rows: nil, count: n, into: groups)
        let owners = Array(UnsafeBufferPointer(start: groups, count: n))
        let now = spec.timeColumn == nil ? context.now() : 0
        let added = try take(batch, times: spec.timeColumn.map { batch.columns[$0].flat() }, now: now)
        reserveKeys()
        for i in 0..<n {
            let group = Int(owners[i])
            arrivals.base[Int(added[i])] = nextArrival
            nextArrival += 1
            if spec.timeColumn == nil {
                try event(group, added[i], now)
                paths.releaseRow(added[i])
            } else {
                keys[group].pending.append(added[i])
                setDue(group, times.base[Int(added[i])])
            }
        }
        if spec.timeColumn == nil {
            try flush(output)
            freeRows()
        }
        return .done
    }

    func reserveKeys() {
        while keys.count < table.count { keys.append(KeyState()) }
        dueAt.reserve(table.count)
    }

    /// Keeps rows, which the caller holds.
    func take(_ batch: Batch, times given: Column?, now: Int64) throws -> [Int32] {
        let n = batch.count
        let columns = batch.columns.map { $0.flat() }
        var added = [Int32](repeating: 0, count: n)
        added.withUnsafeMutableBufferPointer { rows.add(columns, rows: nil, count: n, into: $0.baseAddress!) }
        for array in [times, numbers, arrivals] { array.reserve(rows.capacity) }
        flags.reserve(rows.capacity)
        for (i, row) in added.enumerated() {
            times.base[Int(row)] = given.map { $0.pointer(as: Int64.self)[i] } ?? now
            numbers.base[Int(row)] = -1
            flags.base[Int(row)] = 0
            paths.holdRow(row)
        }
        let plain = Batch(columns: columns, physicalCount: n)
        for (variable, condition) in rowConditions.enumerated() {
            guard let condition else { continue }
            let truth = try condition.evaluate(plain)[0].flat()
            withExtendedLifetime(truth) {
                let values = truth.pointer(as: UInt8.self)
                for i in 0..<n where values[i] != 0 && truth.isValid(i) { flags.base[Int(added[i])] |= 1 << UInt64(variable) }
            }
        }
        return added
    }

    func setDue(_ group: Int, _ time: Int64) {
        guard time < dueAt.base[group] else { return }
        dueAt.base[group] = time
        due.push(time, Int32(truncatingIfNeeded: group))
    }

    func freeRows() {
        let gone = paths.takeReleased()
        if !gone.isEmpty { gone.withUnsafeBufferPointer { rows.remove($0.baseAddress!, count: $0.count) } }
    }

    // MARK: Time

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        isAdvancing = spec.timeColumn != nil
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        guard isAdvancing else { return .done }
        while let next = due.first, next.time <= watermark {
            guard output.isReady else { return .more }
            due.pop()
            let group = Int(next.number)
            // Other entries of the heap are of times that no longer hold.
            guard dueAt.base[group] == next.time else { continue }
            try advance(group)
            if measures.count >= Batch.targetRows {
                try flush(output)
                freeRows()
            }
        }
        try flush(output)
        freeRows()
        isAdvancing = false
        return .done
    }

    private func flush(_ output: any Output) throws {
        if let batch = try measures.take(rows, table) { try output.emit(batch) }
    }

    private func advance(_ group: Int) throws {
        let ready = inOrder(keys[group].pending.filter { times.base[Int($0)] <= watermark })
        keys[group].pending.removeAll { times.base[Int($0)] <= watermark }
        for row in ready {
            try event(group, row, times.base[Int(row)])
            paths.releaseRow(row)
        }
        try expire(group, at: watermark)
        var next = keys[group].pending.lazy.map { self.times.base[Int($0)] }.min() ?? .max
        if let within = spec.within, let first = keys[group].partials.items.lazy.map(\.firstTime).min(), first < .max - within {
            next = min(next, first + within)
        }
        dueAt.base[group] = .max
        if next < .max { setDue(group, next) }
    }

    /// By time, then as ORDER BY says, then as they arrived.
    private func inOrder(_ pending: [Int32]) -> [Int32] {
        var ranks = [Int](repeating: 0, count: pending.count)
        if !spec.order.isEmpty, pending.count > 1 {
            for (rank, i) in SortKeys(rows.columns(pending), keys: spec.order, count: pending.count).order().enumerated() { ranks[Int(i)] = rank }
        }
        return pending.indices.sorted { a, b in
            let (x, y) = (times.base[Int(pending[a])], times.base[Int(pending[b])])
            return (x, ranks[a], a) < (y, ranks[b], b)
        }.map { pending[$0] }
    }

    /// Drops partial matches that have no time left.
    private func expire(_ group: Int, at time: Int64) throws {
        guard let within = spec.within, !keys[group].partials.isEmpty else { return }
        func isOver(_ partial: Partial) -> Bool {
            guard !partial.isStart else { return false }
            let (age, overflow) = time.subtractingReportingOverflow(partial.firstTime)
            return overflow || age >= within
        }
        let partials = keys[group].partials.items
        guard partials.contains(where: isOver) else { return }
        var left = MatchQueue()
        for partial in partials {
            if isOver(partial) { paths.release(partial.node) } else { left.add(partial) }
        }
        keys[group].partials = left
        try giveComplete(group)
    }

    // MARK: The automaton

    private func event(_ group: Int, _ row: Int32, _ time: Int64) throws {
        try expire(group, at: time)
        let number = keys[group].nextNumber
        keys[group].nextNumber += 1
        numbers.base[Int(row)] = number
        var left = MatchQueue(), matches = MatchQueue()
        func step(from partial: Partial) throws {
            var next: [Partial] = [], found: [Partial] = []
            var from = partial
            if partial.isStart { (from.first, from.firstTime) = (number, time) }
            try self.step(from, row, &next, &found)
            for match in found { matches.add(match) }
            for made in next { left.add(made) }
            if partial.isStart { left.add(partial) } else { paths.release(partial.node) }
        }
        if keys[group].partials.isEmpty {
            try step(from: start)
        } else {
            for partial in keys[group].partials.items { try step(from: partial) }
        }
        keys[group].partials = left.items.count == 1 ? MatchQueue() : left
        guard !matches.isEmpty || !keys[group].complete.isEmpty else { return }
        for match in matches.items { keys[group].complete.add(match) }
        try giveComplete(group)
    }

    /// A match that has not begun.
    var start: Partial { Partial(state: automaton.start, node: -1, first: .max, firstTime: .max) }

    private func step(_ partial: Partial, _ row: Int32, _ next: inout [Partial], _ found: inout [Partial]) throws {
        // Whether each variable can take the row: 0 = not known yet.
        var known = (no: UInt64(0), yes: UInt64(0))
        func takes(_ variable: Int) throws -> Bool {
            let bit = UInt64(1) << UInt64(variable)
            if known.yes & bit != 0 { return true }
            if known.no & bit != 0 { return false }
            let isTaken: Bool =
                switch spec.conditions[variable] {
                case nil: true
                case .row: flags.base[Int(row)] & bit != 0
                case .history: try histories[variable]!.isTrue(paths.path(partial.node), row, variable, paths, rows)
                }
            if isTaken { known.yes |= bit } else { known.no |= bit }
            return isTaken
        }
        func isFree(_ edge: MatchAutomaton.Edge) throws -> Bool {
            for variable in edge.nots where try takes(variable) { return false }
            return true
        }
        func reachesEnd(_ state: Int) throws -> Bool {
            for edge in automaton.states[state].proceeds where try isFree(edge) {
                if try edge.target == MatchAutomaton.final || reachesEnd(edge.target) { return true }
            }
            return false
        }
        var open = [partial.state]
        while let state = open.popLast() {
            for edge in automaton.states[state].takes where try takes(edge.variable) && isFree(edge) {
                var made = partial
                made.state = edge.target
                made.node = paths.add(row, edge.variable, after: partial.node)
                if edge.target == MatchAutomaton.final {
                    found.append(made)
                    continue
                }
                next.append(made)
                if try reachesEnd(edge.target) {
                    paths.hold(made.node)
                    found.append(made)
                }
            }
            for edge in automaton.states[state].proceeds where edge.target != MatchAutomaton.final {
                if try isFree(edge) { open.append(edge.target) }
            }
        }
    }

    /// Gives the complete matches before which no partial one begins.
    private func giveComplete(_ group: Int) throws {
        while let match = keys[group].complete.first, match.first <= keys[group].partials.first?.first ?? .max {
            _ = keys[group].complete.removeFirst()
            let path = paths.path(match.node)
            try measures.add(Int32(truncatingIfNeeded: group), path, paths, rows)
            let isGone = try skipped(path, match)
            for other in keys[group].partials.items + keys[group].complete.items where isGone(other.first) { paths.release(other.node) }
            keys[group].partials.removeAll { isGone($0.first) }
            if keys[group].partials.items.count == 1 { keys[group].partials = MatchQueue() }
            keys[group].complete.removeAll { isGone($0.first) }
            paths.release(match.node)
        }
    }

    /// Which matches a match rules out, by the number of their first rows.
    private func skipped(_ path: [Int32], _ match: Partial) throws -> (Int64) -> Bool {
        func number(_ node: Int32) -> Int64 { numbers.base[Int(paths.row(node))] }
        switch spec.skip {
        case .pastLastRow:
            let last = number(path.last!)
            return { $0 <= last }
        case .toNextRow: return { $0 <= match.first }
        case .toFirst(let variable), .toLast(let variable):
            let isFirst = if case .toFirst = spec.skip { true } else { false }
            let taken = path.filter { paths.variable($0) == Int32(variable) }
            let name = spec.variables[variable]
            guard let node = isFirst ? taken.first : taken.last else {
                throw StreamError(.runtime, "AFTER MATCH SKIP TO \(isFirst ? "FIRST" : "LAST") \(name): the match has no row of \(name)",
                                  fix: "skip to a variable that takes at least one row")
            }
            let place = number(node)
            guard place != match.first else {
                throw StreamError(.runtime, "AFTER MATCH SKIP TO \(isFirst ? "FIRST" : "LAST") \(name) would go on at the first row of the match and find it again for ever",
                                  fix: "skip to a variable that takes later rows, or SKIP TO NEXT ROW")
            }
            return { $0 < place }
        }
    }
}
