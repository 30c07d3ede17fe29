import StreamCore
import StreamExpressions

/// A join of rows of the same window and key of two inserting inputs, given when event time has passed the window's end.
/// Output columns: left, then right; the left ones alone for semi and anti joins. Null keys match nothing.
public struct WindowJoinSpec: Sendable {
    /// One of the inputs.
    public struct Side: Sendable {
        public var schema: Schema
        /// Columns, without those of the window.
        public var keys: [Int]
        /// TIMESTAMP(3) in local time.
        public var start: Int, end: Int

        public init(schema: Schema, keys: [Int], start: Int, end: Int) {
            (self.schema, self.keys, self.start, self.end) = (schema, keys, start, end)
        }

        /// What the input is to be partitioned by.
        public var distribution: [Int] { keys + [start, end] }
    }
    public var left: Side, right: Side
    public var kind: JoinKind
    /// Over the left and then the right columns.
    public var condition: Expr?
    /// Of the time attribute that the windows were made of.
    public var timeType: DataType
    /// IANA name; windows over TIMESTAMP_LTZ end by local time.
    public var timeZone: String

    public init(left: Side, right: Side, kind: JoinKind = .inner, condition: Expr? = nil, timeType: DataType = .timestamp(3),
                timeZone: String = "UTC") {
        self.left = left
        self.right = right
        self.kind = kind
        self.condition = condition
        self.timeType = timeType
        self.timeZone = timeZone
    }
}

extension Operators {
    /// A window join. Input 0 is the left side; each must be partitioned by its ``WindowJoinSpec/Side/distribution``. Rows of windows
    /// that have ended are dropped and counted as late.
    public static func windowJoin(_ spec: WindowJoinSpec, _ context: EvaluationContext) -> Factory {
        keyed { try WindowJoinOperator(spec, context) }
    }
}

/// A group is a key and a window; the time of its rows is the last instant of the window.
final class WindowJoinOperator: KeyedStateOperator {
    private let spec: WindowJoinSpec
    private let inputs: [WindowJoinSpec.Side]
    private let layouts: [KeyedRowLayout]
    private let joined: JoinedRows
    private let table: GroupTable
    private let sides: [TimedRows]
    private var clock: WindowClock
    private var context = OperatorContext(name: "")
    private var watermark = Int64.min
    private var eviction = GroupEviction()
    /// Rows without a match are wanted of the side.
    private let keeps: [Bool]
    private let isUnmatchable = GroupArray<UInt8>(fill: 0)
    private let place = GroupArray<Int32>(fill: -1)
    private let groupIDs = Scratch<Int32>()
    private var firing: Firing?

    /// Windows that have ended, and how far they have been given.
    private struct Firing {
        /// Rows of all groups of a side, those of group g from `starts[g]` to `starts[g + 1]`.
        var rows: [[Int32]], starts: [[Int]]
        var matched: [[UInt8]]
        var unmatchable: [Bool]
        var group = 0, left = 0, right = 0
        /// What is given now: pairs, then left and right rows without a match.
        var phase = 0, next = 0
    }

    init(_ spec: WindowJoinSpec, _ context: EvaluationContext) throws {
        self.spec = spec
        inputs = [spec.left, spec.right]
        layouts = inputs.map { KeyedRowLayout($0.schema, keys: $0.distribution) }
        joined = JoinedRows(left: spec.left.schema, right: spec.right.schema, condition: spec.condition, context: context)
        table = GroupTable(types: spec.left.distribution.map { spec.left.schema[$0].type })
        sides = layouts.map { TimedRows(types: $0.schema.map(\.type), width: 1) }
        clock = try WindowClock(timeType: spec.timeType, timeZone: spec.timeZone, column: spec.left.schema[spec.left.end].name)
        keeps = [spec.kind.keepsLeft || spec.kind == .anti, spec.kind.keepsRight]
    }

    func open(_ context: OperatorContext) { self.context = context }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { inputs[input].distribution.map { batch.columns[$0] } }

    // MARK: rows

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        if let kept = eviction.evict(table, isLive: { sides[0].hasRows($0) || sides[1].hasRows($0) }) {
            for side in sides { side.remap(kept) }
            isUnmatchable.remap(kept)
        }
        let columns = batch.columns.map { $0.flat() }, side = inputs[input]
        let end = columns[side.end], keys = side.keys.map { columns[$0] }.filter { $0.validity != nil }
        var rows: [Int32] = [], times: [Int64] = [], nulls: [Int] = [], late = 0
        // Rows of one window mostly come together.
        var last: (end: Int64, time: Int64) = (.min, .min)
        withExtendedLifetime(end) {
            let ends = end.pointer(as: Int64.self)
            for i in 0..<batch.count {
                let row = batch.row(i)
                guard end.isValid(row) else { continue }
                if ends[row] != last.end { last = (ends[row], clock.instant(ends[row] - 1)) }
                if last.time <= watermark {
                    late += 1
                    continue
                }
                if !keys.isEmpty, !keys.allSatisfy({ $0.isValid(row) }) {
                    guard keeps[input] else { continue }
                    nulls.append(rows.count)
                }
                rows.append(Int32(truncatingIfNeeded: row))
                times.append(last.time)
            }
        }
        if late > 0 { context.metrics.lateRows.add(late) }
        guard !rows.isEmpty else { return .done }
        let groups = groupIDs.reserve(rows.count)
        table.lookup(side.distribution.map { columns[$0] }, rows: rows, count: rows.count, into: groups)
        for side in sides { side.reserve(groups: table.count) }
        isUnmatchable.reserve(table.count)
        for i in nulls { isUnmatchable.base[Int(groups[i])] = 1 }
        sides[input].add(columns, rows: rows, groups: groups, times: times, count: rows.count)
        return .done
    }

    // MARK: windows that end

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        let before = watermark == .max ? Int64.max : self.watermark.plus(1)
        let taken = sides.map { $0.take(before: before) }
        guard !taken[0].isEmpty || !taken[1].isEmpty else { return .done }
        firing = grouped(taken)
        return try resume(output)
    }

    private func grouped(_ taken: [[Int32]]) -> Firing {
        place.reserve(table.count)
        var groups: [Int32] = []
        for (side, rows) in zip(sides, taken) {
            for row in rows where place.base[Int(side.group(row))] < 0 {
                place.base[Int(side.group(row))] = Int32(truncatingIfNeeded: groups.count)
                groups.append(side.group(row))
            }
        }
        var firing = Firing(rows: [], starts: [], matched: taken.map { [UInt8](repeating: 0, count: $0.count) },
                            unmatchable: groups.map { isUnmatchable.base[Int($0)] != 0 })
        for (side, rows) in zip(sides, taken) {
            var starts = [Int](repeating: 0, count: groups.count + 1)
            for row in rows { starts[Int(place.base[Int(side.group(row))]) + 1] += 1 }
            for g in groups.indices { starts[g + 1] += starts[g] }
            var next = starts, sorted = [Int32](repeating: 0, count: rows.count)
            for row in rows {
                let g = Int(place.base[Int(side.group(row))])
                sorted[next[g]] = row
                next[g] += 1
            }
            firing.rows.append(sorted)
            firing.starts.append(starts)
        }
        for group in groups { place.base[Int(group)] = -1 }
        return firing
    }

    func resume(_ output: any Output) throws -> Progress {
        while var now = firing {
            guard output.isReady else { return .more }
            firing = nil
            switch now.phase {
            case 0:
                if let batch = try pairs(&now) { try output.emit(batch) }
                if now.group == now.unmatchable.count { now.phase = 1 }
            case 1, 2:
                if let batch = single(&now) { try output.emit(batch) } else { (now.phase, now.next) = (now.phase + 1, 0) }
            default:
                for (side, rows) in zip(sides, now.rows) { side.release(rows) }
                continue
            }
            firing = now
        }
        return .done
    }

    private var gives: (pairs: Bool, matchedLeft: Bool) { (!spec.kind.isLeftOnly, spec.kind == .semi) }

    /// Up to a batch of pairs.
    private func pairs(_ now: inout Firing) throws -> Batch? {
        var places: [[Int32]] = [[], []]
        let (groups, mustPair) = (now.unmatchable.count, gives.pairs || joined.hasCondition)
        while now.group < groups, places[0].count < Batch.targetRows {
            let g = now.group
            let l = now.starts[0][g]..<now.starts[0][g + 1], r = now.starts[1][g]..<now.starts[1][g + 1]
            if now.unmatchable[g] || l.isEmpty || r.isEmpty {
                now.group += 1
                continue
            }
            guard mustPair else {
                for i in l { now.matched[0][i] = 1 }
                now.group += 1
                continue
            }
            while now.left < l.count, places[0].count < Batch.targetRows {
                let n = min(r.count - now.right, Batch.targetRows - places[0].count)
                for k in 0..<n {
                    places[0].append(Int32(truncatingIfNeeded: l.lowerBound + now.left))
                    places[1].append(Int32(truncatingIfNeeded: r.lowerBound + now.right + k))
                }
                now.right += n
                if now.right == r.count { (now.left, now.right) = (now.left + 1, 0) }
            }
            if now.left == l.count { (now.group, now.left) = (g + 1, 0) }
        }
        guard !places[0].isEmpty else { return nil }
        let columns = (0..<2).flatMap { side in sides[side].arena.columns(places[side].map { now.rows[side][Int($0)] }) }
        var batch = Batch(columns: columns, physicalCount: places[0].count)
        if let matching = try joined.matching(batch) {
            batch.selection = Selection(matching)
            for i in matching { for side in 0..<2 { now.matched[side][Int(places[side][Int(i)])] = 1 } }
        } else {
            for side in 0..<2 { for i in places[side] { now.matched[side][Int(i)] = 1 } }
        }
        return gives.pairs && !batch.isEmpty ? batch : nil
    }

    /// Up to a batch of rows that come alone; nil when there are no more of the side.
    private func single(_ now: inout Firing) -> Batch? {
        let side = now.phase - 1
        let isMatch: UInt8 = side == 0 && gives.matchedLeft ? 1 : 0
        guard keeps[side] || isMatch == 1 else { return nil }
        var rows: [Int32] = []
        while now.next < now.rows[side].count, rows.count < Batch.targetRows {
            if now.matched[side][now.next] == isMatch { rows.append(now.rows[side][now.next]) }
            now.next += 1
        }
        guard !rows.isEmpty else { return nil }
        let columns = sides[side].arena.columns(rows)
        return spec.kind.isLeftOnly ? Batch(columns: columns, physicalCount: rows.count) : joined.padded(columns, side: side, count: rows.count)
    }

    // MARK: state

    private static let names = ["left", "right"]

    var keyedState: KeyedStateForm {
        let key = StateColumns(spec.left.distribution.map { spec.left.schema[$0] })
        return KeyedStateForm(
            keyCount: spec.left.distribution.count,
            kinds: (0..<2).map { .init(Self.names[$0], layouts[$0].columns) } + [.init("due", key + StateColumns([("due", .timestamp(3))]))],
            due: "due")
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let maxParallelism = context.maxParallelism, watermark = watermark
        var units = [StateUnit(name: StoredWatermark.name) { [StoredWatermark.piece(watermark)] }]
        for (i, side) in sides.enumerated() {
            let (frozen, layout) = (side.frozen(groups: table.count), layouts[i])
            units.append(StateUnit(name: Self.names[i]) { frozen.pieces(Self.names[i], layout, mark: nil, maxParallelism: maxParallelism) })
        }
        units.append(DueGroups.unit(table, maxParallelism: maxParallelism) { [sides] group in
            for side in sides where side.hasRows(group) { return side.time(side.latest(group)) }
            return nil
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
                let input = piece.name == "left" ? 0 : 1, layout = layouts[input], n = piece.batch.count
                let columns = try layout.columns.columns(of: piece, operator: context.name)
                guard n > 0 else { return }
                let groups = groupIDs.reserve(n), keys = Array(columns[..<layout.keys.count])
                table.lookup(keys, rows: nil, count: n, into: groups)
                for side in sides { side.reserve(groups: table.count) }
                isUnmatchable.reserve(table.count)
                for key in keys where key.validity != nil {
                    for i in 0..<n where !key.isValid(i) { isUnmatchable.base[Int(groups[i])] = 1 }
                }
                let end = keys[keys.count - 1]
                let times = withExtendedLifetime(end) { (0..<n).map { clock.instant(end.pointer(as: Int64.self)[$0] - 1) } }
                sides[input].add(layout.row(ofState: columns), rows: nil, groups: groups, times: times, count: n)
            default: throw piece.unknown(operator: context.name)
            }
        }
        if let lowest { watermark = max(watermark, lowest) }  // State of further keys may come while running.
    }
}
