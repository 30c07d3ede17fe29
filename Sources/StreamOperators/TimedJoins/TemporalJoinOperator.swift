import StreamCore
import StreamExpressions

/// A join of each left row with the version of the right row of its key that held at the left row's time: the last one that is not
/// later. Output columns: left, then right; kinds of rows are the left rows'. Null keys match nothing.
public struct TemporalJoinSpec: Sendable {
    public var leftSchema: Schema, rightSchema: Schema
    public var leftKeys: [Int], rightKeys: [Int]
    /// Columns of TIMESTAMP or TIMESTAMP_LTZ of at most 3 digits.
    public var leftTime: Int, rightTime: Int
    /// Left rows without a version come with nulls.
    public var keepsUnmatched: Bool
    /// Over the left and then the right columns.
    public var condition: Expr?

    public init(leftSchema: Schema, rightSchema: Schema, leftKeys: [Int], rightKeys: [Int], leftTime: Int, rightTime: Int,
                keepsUnmatched: Bool = false, condition: Expr? = nil) {
        self.leftSchema = leftSchema
        self.rightSchema = rightSchema
        self.leftKeys = leftKeys
        self.rightKeys = rightKeys
        self.leftTime = leftTime
        self.rightTime = rightTime
        self.keepsUnmatched = keepsUnmatched
        self.condition = condition
    }
}

extension Operators {
    /// A temporal join in event time: left rows wait until the watermark has reached their time. Input 0 is the left side; both must
    /// be partitioned by their keys. The right input's inserts and updates are versions, a deletion ends one; rows before updates
    /// mean nothing. Versions that no row in time can see are dropped.
    public static func temporalJoin(_ spec: TemporalJoinSpec, _ context: EvaluationContext) -> Factory {
        keyed { TemporalJoinOperator(spec, context) }
    }
}

/// Left rows' marks are their kinds; a right row's mark says that it is a deletion.
final class TemporalJoinOperator: KeyedStateOperator {
    private let spec: TemporalJoinSpec
    private let layouts: [KeyedRowLayout]
    private let joined: JoinedRows
    private let table: GroupTable
    private let left: TimedRows, right: TimedRows
    /// The order in which left rows arrived.
    private let arrival = GroupArray<Int64>(fill: 0)
    private var arrived: Int64 = 0
    private var context = OperatorContext(name: "")
    private var watermark = Int64.min
    private var eviction = GroupEviction()
    private let groupIDs = Scratch<Int32>()
    /// Left rows whose time has come, and how many of them have been given.
    private var due: (rows: [Int32], next: Int)?

    init(_ spec: TemporalJoinSpec, _ context: EvaluationContext) {
        self.spec = spec
        layouts = [KeyedRowLayout(spec.leftSchema, keys: spec.leftKeys), KeyedRowLayout(spec.rightSchema, keys: spec.rightKeys)]
        joined = JoinedRows(left: spec.leftSchema, right: spec.rightSchema, condition: spec.condition, context: context)
        table = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        left = TimedRows(types: spec.leftSchema.map(\.type), width: 1_000)
        right = TimedRows(types: spec.rightSchema.map(\.type), width: nil)
    }

    func open(_ context: OperatorContext) { self.context = context }

    private func keys(_ side: Int) -> [Int] { side == 0 ? spec.leftKeys : spec.rightKeys }

    func keyColumns(of batch: Batch, input: Int) -> [Column] { keys(input).map { batch.columns[$0] } }

    // MARK: rows

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        if let kept = eviction.evict(table, isLive: { left.hasRows($0) || right.hasRows($0) }) {
            left.remap(kept)
            right.remap(kept)
        }
        let columns = batch.columns.map { $0.flat() }
        let time = columns[input == 0 ? spec.leftTime : spec.rightTime]
        let nullable = keys(input).map { columns[$0] }.filter { $0.validity != nil }
        var rows: [Int32] = [], marks: [UInt8] = []
        for i in 0..<batch.count {
            let row = batch.row(i), kind = batch.kind(atPhysical: row)
            guard time.isValid(row) else {
                throw StreamError(
                    .runtime, "\(context.name): a row has null for its time attribute \((input == 0 ? spec.leftSchema : spec.rightSchema)[input == 0 ? spec.leftTime : spec.rightTime].name)",
                    fix: "filter such rows out, or use COALESCE in a computed column")
            }
            if input == 1, kind == .updateBefore { continue }
            if !nullable.isEmpty, !nullable.allSatisfy({ $0.isValid(row) }), input == 1 || !spec.keepsUnmatched { continue }
            rows.append(Int32(truncatingIfNeeded: row))
            marks.append(input == 0 ? kind.rawValue : kind == .delete ? 1 : 0)
        }
        guard !rows.isEmpty else { return .done }
        let groups = groupIDs.reserve(rows.count)
        table.lookup(keys(input).map { columns[$0] }, rows: rows, count: rows.count, into: groups)
        let times = withExtendedLifetime(time) { rows.map { time.pointer(as: Int64.self)[Int($0)] } }
        add(columns, rows, groups, times, marks, input: input)
        // Not for state that is given back: left rows of its keys may be due and not given yet.
        if input == 1 { for i in rows.indices where i == 0 || groups[i] != groups[i - 1] { dropVersions(groups[i]) } }
        return .done
    }

    private func add(_ columns: [Column], _ rows: [Int32], _ groups: UnsafePointer<Int32>, _ times: [Int64], _ marks: [UInt8], input: Int) {
        left.reserve(groups: table.count)
        right.reserve(groups: table.count)
        let side = input == 0 ? left : right
        let ids = side.add(columns, rows: rows, groups: groups, times: times, count: rows.count)
        for i in rows.indices { side.marks.base[Int(ids[i])] = marks[i] }
        guard input == 1 else {
            arrival.reserve(left.arena.capacity)
            for i in rows.indices {
                arrival.base[Int(ids[i])] = arrived
                arrived += 1
            }
            return
        }
    }

    /// Drops versions that took the place of others at the same time, and those that only late rows could see.
    private func dropVersions(_ group: Int32) {
        var version = right.latest(group)
        while version >= 0 {
            if right.time(version) <= watermark {
                right.cut(behind: version)
                return
            }
            while case let next = right.earlier(version), next >= 0, right.time(next) == right.time(version) { right.drop(next) }
            version = right.earlier(version)
        }
    }

    // MARK: event time

    func advance(to watermark: EventTime, output: any Output) throws -> Progress {
        self.watermark = max(self.watermark, watermark.milliseconds)
        var rows = left.take(before: watermark == .max ? .max : self.watermark.plus(1), exactly: true)
        guard !rows.isEmpty else { return .done }
        let arrival = arrival.base
        rows.sort { arrival[Int($0)] < arrival[Int($1)] }
        due = (rows, 0)
        return try resume(output)
    }

    func resume(_ output: any Output) throws -> Progress {
        while let now = due {
            guard output.isReady else { return .more }
            let part = Array(now.rows[now.next..<min(now.next + Batch.targetRows, now.rows.count)])
            due = now.next + part.count < now.rows.count ? (now.rows, now.next + part.count) : nil
            if let batch = try joined(part) { try output.emit(batch) }
            if due == nil {
                left.release(now.rows)
                for row in now.rows { dropVersions(left.group(row)) }
            }
        }
        return .done
    }

    /// Left rows with their versions.
    private func joined(_ rows: [Int32]) throws -> Batch? {
        var versions = rows.map { row in
            let time = left.time(row)
            var version = right.latest(left.group(row))
            while version >= 0, right.time(version) > time { version = right.earlier(version) }
            return version >= 0 && right.marks.base[Int(version)] == 0 ? version : Int32(-1)
        }
        if joined.hasCondition {
            let found = versions.indices.filter { versions[$0] >= 0 }
            let pairs = Batch(columns: left.arena.columns(found.map { rows[$0] }) + right.arena.columns(found.map { versions[$0] }),
                              physicalCount: found.count)
            if !found.isEmpty, let matching = try joined.matching(pairs) {
                let matched = Set(matching)
                for (i, position) in found.enumerated() where !matched.contains(Int32(truncatingIfNeeded: i)) { versions[position] = -1 }
            }
        }
        var rows = rows
        if !spec.keepsUnmatched {
            rows = rows.indices.filter { versions[$0] >= 0 }.map { rows[$0] }
            versions.removeAll { $0 < 0 }
        }
        guard !rows.isEmpty else { return nil }
        var places: [Int32] = [], present: [Int32] = []
        for version in versions {
            places.append(version < 0 ? -1 : Int32(truncatingIfNeeded: present.count))
            if version >= 0 { present.append(version) }
        }
        let columns = left.arena.columns(rows) + right.arena.columns(present).map { $0.gatherOrNull(places) }
        let kinds = rows.map { left.marks.base[Int($0)] }
        return Batch(columns: columns, physicalCount: rows.count,
                     rowKinds: kinds.allSatisfy { $0 == 0 } ? nil : kinds.withUnsafeBytes { Buffer(copying: $0) })
    }

    // MARK: state

    private static let names = ["left", "right"], marks = ["kind", "deleted"]

    private func columns(_ side: Int) -> StateColumns { layouts[side].columns + StateColumns([(Self.marks[side], .tinyint)]) }

    var keyedState: KeyedStateForm {
        let key = StateColumns(spec.leftKeys.map { spec.leftSchema[$0] })
        return KeyedStateForm(
            keyCount: spec.leftKeys.count,
            kinds: (0..<2).map { .init(Self.names[$0], columns($0)) } + [.init("due", key + StateColumns([("due", .timestamp(3))]))], due: "due")
    }

    func snapshot(_ checkpoint: UInt64) throws -> OperatorSnapshot {
        let maxParallelism = context.maxParallelism, watermark = watermark
        var units = [StateUnit(name: StoredWatermark.name) { [StoredWatermark.piece(watermark)] }]
        for (i, side) in [left, right].enumerated() {
            let (frozen, layout) = (side.frozen(groups: table.count), layouts[i])
            units.append(StateUnit(name: Self.names[i]) {
                frozen.pieces(Self.names[i], layout, mark: Self.marks[i], maxParallelism: maxParallelism)
            })
        }
        units.append(DueGroups.unit(table, maxParallelism: maxParallelism) { [left] group in
            var row = left.latest(group), earliest: Int32 = -1
            while row >= 0 { (earliest, row) = (row, left.earlier(row)) }
            return earliest < 0 ? nil : left.time(earliest)
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
                let columns = try columns(input).columns(of: piece, operator: context.name)
                guard n > 0 else { return }
                let groups = groupIDs.reserve(n), row = layout.row(ofState: columns)
                table.lookup(Array(columns[..<layout.keys.count]), rows: nil, count: n, into: groups)
                let time = row[input == 0 ? spec.leftTime : spec.rightTime], marks = columns[columns.count - 1]
                withExtendedLifetime((time, marks)) {
                    let times = Array(UnsafeBufferPointer(start: time.pointer(as: Int64.self), count: n))
                    let given = Array(UnsafeBufferPointer(start: marks.pointer(as: UInt8.self), count: n))
                    add(row, (0..<Int32(truncatingIfNeeded: n)).map { $0 }, groups, times, given, input: input)
                }
            default: throw piece.unknown(operator: context.name)
            }
        }
        if let lowest { watermark = max(watermark, lowest) }  // State of further keys may come while running.
    }
}
