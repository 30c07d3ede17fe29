import StreamCore

/// Computes the functions of an OVER for ordered rows of many partitions at a time: in rounds, each of which takes the next row,
/// or the next rows of equal order, of every partition.
final class OverEvaluator {
    /// Rows of one partition that are to be given results, and those before them that play a part.
    struct Run {
        /// Its group in the accumulators.
        var slot: Int32
        /// Rows before the new ones are numbered from 0; the first `earlierCount` of them stand at `earlier` and on.
        var earlier: Int, earlierCount: Int
        /// Number of the first new row, where the new rows stand, and how many they are.
        var from: Int, new: Int, newCount: Int
        /// Number of the first row that is in the accumulators.
        var frameStart: Int
        var counts: Counts

        var end: Int { from + newCount }
        @inline(__always) func position(_ row: Int) -> Int { row < from ? earlier + row : new + row - from }
    }

    /// Numbers of a partition's rows so far.
    struct Counts: BitwiseCopyable {
        var rows: Int64 = 0, rank: Int64 = 0, denseRank: Int64 = 0
    }

    let calls: [OverCall]
    let frame: OverFrame
    let plan: AggregatePlan
    let hasAggregates: Bool
    /// Rows before the current one that LAG reads.
    let lagRows: Int

    init(_ calls: [OverCall], _ frame: OverFrame, _ schema: Schema) throws {
        self.calls = calls
        self.frame = frame
        let aggregates = calls.compactMap { call -> AggregateCall? in if case .aggregate(let call) = call { call } else { nil } }
        plan = try AggregatePlan(aggregates, inputSchema: schema, retracts: frame.preceding != nil)
        hasAggregates = !aggregates.isEmpty
        lagRows = calls.map { if case .lag(_, _, let offset, _) = $0 { offset } else { 0 } }.max() ?? 0
    }

    /// - Parameters:
    ///   - times: by position, for a RANGE of limited length.
    ///   - peers: by position, the position of the first row of the run that is equal in order.
    ///   - arrivals: number of the next round, for functions that depend on the order of rows.
    /// - Returns: the positions of the new rows, run by run, and a column of results for each call.
    func evaluate(_ columns: [Column], times: [Int64], peers: [Int32], runs: inout [Run], set: AccumulatorSet, arrivals: inout Int64)
        -> (positions: [Int32], results: [Column]) {
        var positions: [Int32] = []
        for run in runs { for p in run.new..<run.new + run.newCount { positions.append(Int32(truncatingIfNeeded: p)) } }
        let aggregated = hasAggregates ? aggregate(columns, times, peers, &runs, set, &arrivals, positions) : []
        let numbered = number(peers, &runs, positions.count)
        var nextAggregate = 0
        let results = calls.map { call -> Column in
            switch call {
            case .aggregate:
                nextAggregate += 1
                return aggregated[nextAggregate - 1]
            case .rowNumber: return numbered.rows
            case .rank: return numbered.ranks
            case .denseRank: return numbered.denseRanks
            case .lag(let column, _, let offset, let otherwise): return lag(columns, peers, column, offset, otherwise, runs)
            }
        }
        return (positions, results)
    }

    // MARK: aggregates

    private func aggregate(_ columns: [Column], _ times: [Int64], _ peers: [Int32], _ runs: inout [Run], _ set: AccumulatorSet,
                           _ arrivals: inout Int64, _ positions: [Int32]) -> [Column] {
        var columns = columns
        for c in plan.columnsRead { columns[c] = columns[c].flat() }
        var next = runs.map(\.from)
        var active = runs.indices.filter { runs[$0].newCount > 0 }
        var resultOf = [Int32](repeating: 0, count: positions.isEmpty ? 0 : Int(positions.max()!) + 1)
        var parts: [[Column]] = []
        var made = 0
        var added: [Int32] = [], addedTo: [Int32] = [], taken: [Int32] = [], takenFrom: [Int32] = [], slots: [Int32] = []
        while !active.isEmpty {
            added.removeAll(keepingCapacity: true)
            addedTo.removeAll(keepingCapacity: true)
            taken.removeAll(keepingCapacity: true)
            takenFrom.removeAll(keepingCapacity: true)
            slots.removeAll(keepingCapacity: true)
            for k in active {
                let start = next[k], last = runs[k].end, slot = runs[k].slot
                var end = start + 1
                if frame.isRange {
                    let peer = peers[runs[k].position(start)]
                    while end < last, peers[runs[k].position(end)] == peer { end += 1 }
                }
                for row in start..<end {
                    let p = runs[k].position(row)
                    added.append(Int32(truncatingIfNeeded: p))
                    addedTo.append(slot)
                    resultOf[p] = Int32(truncatingIfNeeded: made + slots.count)
                }
                if let preceding = frame.preceding {
                    var first = runs[k].frameStart
                    let limit = frame.isRange ? times[runs[k].position(start)] &- preceding : 0
                    while first < end, frame.isRange ? times[runs[k].position(first)] < limit : Int64(end - first) > preceding + 1 {
                        taken.append(Int32(truncatingIfNeeded: runs[k].position(first)))
                        takenFrom.append(slot)
                        first += 1
                    }
                    runs[k].frameStart = first
                }
                slots.append(slot)
                next[k] = end
            }
            update(set, columns, added, addedTo, retract: false, arrivals)
            update(set, columns, taken, takenFrom, retract: true, arrivals)
            arrivals += 1
            parts.append(slots.withUnsafeBufferPointer { set.results($0.baseAddress!, count: $0.count) })
            made += slots.count
            active.removeAll { next[$0] >= runs[$0].end }
        }
        guard let first = parts.first else { return plan.calls.map { ColumnBuilder(type: $0.resultType).finish() } }
        let order = positions.map { resultOf[Int($0)] }
        return first.indices.map { c in Column.concatenated(parts.map { $0[c] }).gather(order) }
    }

    private func update(_ set: AccumulatorSet, _ columns: [Column], _ rows: [Int32], _ groups: [Int32], retract: Bool, _ arrival: Int64) {
        guard !rows.isEmpty else { return }
        rows.withUnsafeBufferPointer { rows in
            groups.withUnsafeBufferPointer { groups in
                set.update(UpdateInput(columns: columns, groups: groups.baseAddress!, rows: rows.baseAddress!, count: rows.count, retract: retract,
                                       firstArrival: arrival, arrivalStep: 0))
            }
        }
    }

    /// Puts the rows of a frame into empty accumulators.
    func refill(_ set: AccumulatorSet, _ columns: [Column], groups: [Int32], arrivals: inout Int64) {
        guard !groups.isEmpty else { return }
        var columns = columns
        for c in plan.columnsRead { columns[c] = columns[c].flat() }
        groups.withUnsafeBufferPointer {
            set.update(UpdateInput(columns: columns, groups: $0.baseAddress!, rows: nil, count: $0.count, firstArrival: arrivals))
        }
        arrivals += Int64(groups.count)
    }

    // MARK: numbers and LAG

    private func number(_ peers: [Int32], _ runs: inout [Run], _ n: Int) -> (rows: Column, ranks: Column, denseRanks: Column) {
        let buffers = (0..<3).map { _ in Buffer(capacity: n * 8) }
        let rows = buffers[0].pointer(as: Int64.self), ranks = buffers[1].pointer(as: Int64.self), dense = buffers[2].pointer(as: Int64.self)
        var i = 0
        for k in runs.indices {
            var counts = runs[k].counts
            let new = runs[k].new
            for p in new..<new + runs[k].newCount {
                counts.rows += 1
                if p == new || peers[p] != peers[p - 1] {
                    counts.rank = counts.rows
                    counts.denseRank += 1
                }
                (rows[i], ranks[i], dense[i]) = (counts.rows, counts.rank, counts.denseRank)
                i += 1
            }
            runs[k].counts = counts
        }
        func column(_ k: Int) -> Column { Column(type: .bigint, count: n, values: buffers[k]) }
        return (column(0), column(1), column(2))
    }

    /// As in Flink, rows of equal order have what the last of them has.
    private func lag(_ columns: [Column], _ peers: [Int32], _ column: Int, _ offset: Int, _ otherwise: Int?, _ runs: [Run]) -> Column {
        let width = Int32(truncatingIfNeeded: columns[column].count)
        var rows: [Int32] = []
        for run in runs {
            var row = run.from
            while row < run.end {
                let peer = peers[run.position(row)]
                var next = row + 1
                while next < run.end, peers[run.position(next)] == peer { next += 1 }
                let last = next - 1
                let source =
                    last >= offset ? Int32(truncatingIfNeeded: run.position(last - offset))
                    : otherwise == nil ? -1 : width + Int32(truncatingIfNeeded: run.position(last))
                for _ in row..<next { rows.append(source) }
                row = next
            }
        }
        guard let otherwise else { return columns[column].flat().gatherOrNull(rows) }
        return Column.concatenated([columns[column], columns[otherwise]]).gather(rows)
    }
}
