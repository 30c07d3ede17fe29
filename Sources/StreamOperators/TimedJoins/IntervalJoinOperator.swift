import StreamCore
import StreamExpressions

/// A join of two inserting inputs whose rows match only when their times are near: left time - right time in `lower...upper`.
/// Output columns: left, then right. Null keys and times match nothing.
public struct IntervalJoinSpec: Sendable {
    public var leftSchema: Schema, rightSchema: Schema
    public var leftKeys: [Int], rightKeys: [Int]
    /// Columns of TIMESTAMP or TIMESTAMP_LTZ of at most 3 digits.
    public var leftTime: Int, rightTime: Int
    /// Milliseconds.
    public var lower: Int64, upper: Int64
    /// `.inner`, `.left`, `.right` or `.full`.
    public var kind: JoinKind
    /// Over the left and then the right columns.
    public var condition: Expr?
    /// Rows' times are the wall clock's when they arrive, which is what the time columns then give.
    public var isProcessingTime: Bool

    public init(leftSchema: Schema, rightSchema: Schema, leftKeys: [Int], rightKeys: [Int], leftTime: Int, rightTime: Int, lower: Int64,
                upper: Int64, kind: JoinKind = .inner, condition: Expr? = nil, isProcessingTime: Bool = false) {
        self.leftSchema = leftSchema
        self.rightSchema = rightSchema
        self.leftKeys = leftKeys
        self.rightKeys = rightKeys
        self.leftTime = leftTime
        self.rightTime = rightTime
        self.lower = lower
        self.upper = upper
        self.kind = kind
        self.condition = condition
        self.isProcessingTime = isProcessingTime
    }
}

extension Operators {
    /// An interval join. Input 0 is the left side; both must be partitioned by their keys. Rows are kept for as long as a row that is
    /// not late can match them; event time behind it is held back accordingly.
    public static func intervalJoin(_ spec: IntervalJoinSpec, _ context: EvaluationContext) -> Factory {
        let join = keyed { IntervalJoinOperator(spec, context) }
        guard spec.isProcessingTime else { return join }
        return { WallClockOperator(try join(), timeColumns: [spec.leftTime, spec.rightTime], tick: max(abs(spec.lower), abs(spec.upper), 100)) }
    }
}

/// Keeps the rows of both sides by key and time; see ``TimedRows``. A row's mark says that it has matched.
final class IntervalJoinOperator: KeyedStateOperator {
    private let spec: IntervalJoinSpec
    private let layouts: [KeyedRowLayout]
    private let joined: JoinedRows
    private let table: GroupTable
    private let sides: [TimedRows]
    private var context = OperatorContext(name: "")
    private var watermark = Int64.min
    private var eviction = GroupEviction()
    /// Milliseconds after a row's time up to which rows of the other side match it.
    private let reach: [Int64]
    private let keeps: [Bool]
    private var work: Work?
    /// Rows taken out of a side that are to be given with nulls, and how far that has come.
    private var padding: [(side: Int, rows: [Int32], next: Int)] = []
    private let groupIDs = Scratch<Int32>()

    /// A batch that is being joined.
    private struct Work {
        var columns: [Column]
        var side: Int
        /// Rows with a key and a time, and what these are.
        var rows: [Int32] = [], groups: [Int32] = [], times: [Int64] = []
        /// Rows without; only of sides that keep theirs.
        var unmatchable: [Int32] = []
        var matched: [UInt8] = []
        /// The row that is being joined, and with which it goes on; -1 = with none any more, -2 = with the first.
        var at = 0
        var partner: Int32 = -2
    }

    init(_ spec: IntervalJoinSpec, _ context: EvaluationContext) {
        self.spec = spec
        layouts = [KeyedRowLayout(spec.leftSchema, keys: spec.leftKeys), KeyedRowLayout(spec.rightSchema, keys: spec.rightKeys)]
        joined = JoinedRows(left: spec.leftSchema, right: spec.rightSchema, condition: spec.condition, context: context)
        table = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        let slack = max(0, (spec.upper - spec.lower) / 2)
        sides = layouts.map { TimedRows(types: $0.schema.map(\.type), width: slack) }
        reach = [-spec.lower, spec.upper]
        keeps = [spec.kind.keepsLeft, spec.kind.keepsRight]
    }

    func open(_ context: OperatorContext) { self.context = context }

    private func keys(_ side: Int) -> [Int] { side == 0 ? spec.leftKeys : spec.rightKeys }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { keys(input).map { batch.columns[$0] } }

    /// Joined rows are at most as old as the row that waited longest for the other.
    func outputWatermark(_ watermark: EventTime) -> EventTime {
        guard watermark != .max, watermark != .min else { return watermark }
        let delay = max(reach[0], reach[1], 0) + max(0, (spec.upper - spec.lower) / 2) + 1
        return EventTime(milliseconds: watermark.milliseconds.minus(delay))
    }

    // MARK: rows

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        evictGroups()
        let columns = batch.columns.map { $0.flat() }
        var work = Work(columns: columns, side: input)
        let time = columns[input == 0 ? spec.leftTime : spec.rightTime]
        let needed = (keys(input).map { columns[$0] } + [time]).filter { $0.validity != nil }
        for i in 0..<batch.count {
            let row = batch.row(i)
            if needed.allSatisfy({ $0.isValid(row) }) {
                work.rows.append(Int32(truncatingIfNeeded: row))
            } else if keeps[input] {
                work.unmatchable.append(Int32(truncatingIfNeeded: row))
            }
        }
        let n = work.rows.count
        let groups = groupIDs.reserve(n)
        work.rows.withUnsafeBufferPointer { rows in
            if let rows = rows.baseAddress, n > 0 { table.lookup(keys(input).map { columns[$0] }, rows: rows, count: n, into: groups) }
        }
        work.groups = Array(UnsafeBufferPointer(start: groups, count: n))
        withExtendedLifetime(time) {
            let times = time.pointer(as: Int64.self)
            work.times = work.rows.map { times[Int($0)] }
        }
        work.matched = [UInt8](repeating: 0, count: n)
        for side in sides { side.reserve(groups: table.count) }
        self.work = work
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while var now = work {
            guard output.isReady else { return .more }
            work = nil
            if let batch = try pairs(&now) { try output.emit(batch) }
            if now.at < now.rows.count {
                work = now
            } else if let batch = keep(now) {
                try output.emit(batch)
            }
        }
        while !padding.isEmpty {
            guard output.isReady else { return .more }
            try output.emit(nextPadding())
        }
        return .done
    }

    /// Up to a batch of pairs with rows of the other side.
    private func pairs(_ work: inout Work) throws -> Batch? {
        let other = sides[1 - work.side]
        // A left row matches right times from `time - upper` to `time - lower`, and the other way round.
        let (low, high) = work.side == 0 ? (-spec.upper, -spec.lower) : (spec.lower, spec.upper)
        // Rows that no row in time can match are gone, whether they have been dropped yet or not.
        let oldest = watermark.minus(reach[1 - work.side])
        var rows: [Int32] = [], partners: [Int32] = [], positions: [Int32] = []
        let needsPositions = joined.hasCondition
        work.rows.withUnsafeBufferPointer { source in
            work.groups.withUnsafeBufferPointer { groups in
                work.times.withUnsafeBufferPointer { times in
                    work.matched.withUnsafeMutableBufferPointer { matched in
                        var (at, partner) = (work.at, work.partner)
                        while at < source.count, rows.count < Batch.targetRows {
                            let first = max(times[at].plus(low), oldest), last = times[at].plus(high)
                            if partner == -2 {
                                partner = other.latest(groups[at])
                                while partner >= 0, other.time(partner) > last { partner = other.earlier(partner) }
                            }
                            while partner >= 0, other.time(partner) >= first, rows.count < Batch.targetRows {
                                rows.append(source[at])
                                partners.append(partner)
                                if needsPositions { positions.append(Int32(truncatingIfNeeded: at)) } else { matched[at] = 1 }
                                partner = other.earlier(partner)
                            }
                            if partner >= 0, other.time(partner) >= first { break }
                            at += 1
                            partner = -2
                        }
                        (work.at, work.partner) = (at, partner)
                    }
                }
            }
        }
        guard !rows.isEmpty else { return nil }
        let arrived = work.columns.map { $0.gather(rows) }, kept = other.arena.columns(partners)
        var batch = Batch(columns: work.side == 0 ? arrived + kept : kept + arrived, physicalCount: rows.count)
        if let matching = try joined.matching(batch) {
            batch.selection = Selection(matching)
            for i in matching { mark(positions[Int(i)], partners[Int(i)], &work) }
        } else if needsPositions || keeps[1 - work.side] {
            for i in rows.indices {
                if needsPositions { work.matched[Int(positions[i])] = 1 }
                if keeps[1 - work.side] { other.marks.base[Int(partners[i])] = 1 }
            }
        }
        return batch.isEmpty ? nil : batch
    }

    private func mark(_ position: Int32, _ partner: Int32, _ work: inout Work) {
        work.matched[Int(position)] = 1
        sides[1 - work.side].marks.base[Int(partner)] = 1
    }

    /// Keeps the rows that later ones can match; the others that have matched none, with nulls.
    private func keep(_ work: Work) -> Batch? {
        let side = sides[work.side], reach = reach[work.side]
        var lost = work.unmatchable
        if watermark == .min || work.times.allSatisfy({ watermark < $0.plus(reach) }) {
            store(side, work, Array(work.rows.indices))
        } else {
            store(side, work, work.rows.indices.filter { watermark < work.times[$0].plus(reach) })
            if keeps[work.side] {
                lost += work.rows.indices.filter { watermark >= work.times[$0].plus(reach) && work.matched[$0] == 0 }.map { work.rows[$0] }
            }
        }
        return lost.isEmpty ? nil : joined.padded(work.columns.map { $0.gather(lost) }, side: work.side, count: lost.count)
    }

    private func store(_ side: TimedRows, _ work: Work, _ which: [Int]) {
        guard !which.isEmpty else { return }
        let all = which.count == work.rows.count
        let rows = all ? work.rows : which.map { work.rows[$0] }
        let groups = all ? work.groups : which.map { work.groups[$0] }, times = all ? work.times : which.map { work.times[$0] }
        let ids = side.add(work.columns, rows: rows, groups: groups, times: times, count: rows.count)
        if keeps[work.side] { for (i, position) in which.enumerated() { side.marks.base[Int(ids[i])] = work.matched[position] } }
    }

    // MARK: event time

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        for side in 0..<2 {
            let passed = sides[side].take(before: watermark == .max ? .max : self.watermark.minus(reach[side]))
            guard !passed.isEmpty else { continue }
            guard keeps[side] else {
                sides[side].release(passed)
                continue
            }
            let marks = sides[side].marks.base
            sides[side].release(passed.filter { marks[Int($0)] != 0 })
            let unmatched = passed.filter { marks[Int($0)] == 0 }
            if !unmatched.isEmpty { padding.append((side, unmatched, 0)) }
        }
        return try resume(output)
    }

    private func nextPadding() -> Batch {
        let (side, rows, next) = padding[0]
        let part = Array(rows[next..<min(next + Batch.targetRows, rows.count)])
        let batch = joined.padded(sides[side].arena.columns(part), side: side, count: part.count)
        sides[side].release(part)
        if next + part.count == rows.count { padding.removeFirst() } else { padding[0].next += part.count }
        return batch
    }

    private func evictGroups() {
        if let kept = eviction.evict(table, isLive: { sides[0].hasRows($0) || sides[1].hasRows($0) }) {
            for side in sides { side.remap(kept) }
        }
    }

    // MARK: state

    private static let names = ["left", "right"]
    private static let mark = StateColumns([("matched", .tinyint)])

    var keyedState: KeyedStateForm {
        let key = StateColumns(spec.leftKeys.map { spec.leftSchema[$0] })
        return KeyedStateForm(
            keyCount: spec.leftKeys.count,
            kinds: (0..<2).map { .init(Self.names[$0], layouts[$0].columns + Self.mark) }
                + [.init("due", key + StateColumns([("due", .timestamp(3))]))], due: "due")
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let maxParallelism = context.maxParallelism, watermark = watermark
        var units = [StateUnit(name: StoredWatermark.name) { [StoredWatermark.piece(watermark)] }]
        for (i, side) in sides.enumerated() {
            let (frozen, layout) = (side.frozen(groups: table.count), layouts[i])
            units.append(StateUnit(name: Self.names[i]) {
                frozen.pieces(Self.names[i], layout, mark: "matched", maxParallelism: maxParallelism)
            })
        }
        units.append(DueGroups.unit(table, maxParallelism: maxParallelism) { [sides, reach] group in
            var due = Int64.max
            for i in 0..<2 {
                var row = sides[i].latest(group), earliest: Int32 = -1
                while row >= 0 { (earliest, row) = (row, sides[i].earlier(row)) }
                if earliest >= 0 { due = min(due, sides[i].end(ofStretchOf: sides[i].time(earliest)).plus(reach[i])) }
            }
            return due == .max ? nil : due
        })
        return OperatorSnapshot(units: units)
    }

    func restore(_ state: RestoredState) throws {
        var lowest: Int64?
        try state.forEach { piece in
            switch piece.name {
            case "due": break
            case StoredWatermark.name: lowest = try StoredWatermark.read(piece, operator: context.name, lowest: lowest)
            case "left", "right":
                let side = piece.name == "left" ? 0 : 1, layout = layouts[side]
                let columns = try (layout.columns + Self.mark).columns(of: piece, operator: context.name), n = piece.batch.count
                guard n > 0 else { return }
                let groups = groupIDs.reserve(n), row = layout.row(ofState: columns)
                table.lookup(Array(columns[..<layout.keys.count]), rows: nil, count: n, into: groups)
                for side in sides { side.reserve(groups: table.count) }
                let time = row[side == 0 ? spec.leftTime : spec.rightTime], marks = columns[columns.count - 1]
                withExtendedLifetime((time, marks)) {
                    let ids = sides[side].add(row, rows: nil, groups: groups, times: time.pointer(as: Int64.self), count: n)
                    for i in 0..<n { sides[side].marks.base[Int(ids[i])] = marks.pointer(as: UInt8.self)[i] }
                }
            default: throw piece.unknown(operator: context.name)
            }
        }
        if let lowest { watermark = max(watermark, lowest) }  // State of further keys may come while running.
    }
}
