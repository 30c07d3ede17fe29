import StreamCore
import StreamExpressions

/// Regular join in which it matters whether a row has a match: outer, semi and anti joins, and any join with a condition beside its
/// keys or with keys for which null equals null.
///
/// Rows of both sides are kept, and of each row on a side that comes out without matches too, how many rows it matches.
///
///     a row arrives      it is paired with the other side's rows of its key that fulfil the condition; if there is none and its
///                        side is kept, it comes with nulls
///     a first match      takes the other row's result with nulls back (-D), in front of the pair
///     a last match goes  the other row comes with nulls again (+I), behind the pair
///
/// A row with a null key that matches nothing is passed on at once and not kept.
final class OuterJoinOperator: KeyedStateOperator {
    let spec: JoinSpec
    private(set) var context = OperatorContext(name: "join")
    private let versions = VersionCounter()
    /// Keys of both sides.
    let table: GroupTable
    /// Without the key columns, which the table has.
    let sides: [GroupedMultiset]
    /// Which rows of each side differ from those of the last snapshot.
    let changes: [ChunkVersions]
    /// Milliseconds after which rows of each side are forgotten.
    let timeToLive: [Int64?]
    let shapes: [JoinSideShape]
    let ids = Scratch<Int32>()
    private let condition: Evaluator?
    private let conditionColumns: Set<Int>
    private var evictionCheckAt = OuterJoinOperator.evictionMinimum
    private static let evictionMinimum = 65_536

    /// The part of an arrived batch that has not been paired yet.
    private struct Probe {
        var batch: Batch
        var side: Int
        /// Group of each row; -1 = its key matches nothing.
        var groups: [Int32]
        /// How many matches of each row were found so far.
        var matches: [Int32]
        var next = 0
        /// Where the list of the current row's candidates goes on.
        var pair: Int32?
    }
    private var probe: Probe?

    init(_ spec: JoinSpec, _ context: EvaluationContext) throws {
        try spec.check()
        self.spec = spec
        condition = spec.condition.map { Evaluator([$0], context: context) }
        conditionColumns = spec.condition?.columns ?? []
        table = GroupTable(types: spec.leftKeys.map { spec.leftSchema[$0].type })
        let changes = [ChunkVersions(versions), ChunkVersions(versions)]
        let timeToLive = [spec.leftTTL, spec.rightTTL].map { $0?.wholeMilliseconds }
        let isCounted = [spec.kind.keepsLeft || spec.kind.isLeftOnly, spec.kind.keepsRight]
        let shapes = [JoinSideShape(spec.leftSchema, spec.leftKeys), JoinSideShape(spec.rightSchema, spec.rightKeys)]
        sides = (0..<2).map { side in
            GroupedMultiset(types: shapes[side].rest.map { shapes[side].schema[$0].type }, changes: changes[side],
                            timeToLive: timeToLive[side], associates: isCounted[side])
        }
        (self.changes, self.timeToLive, self.shapes) = (changes, timeToLive, shapes)
    }

    func open(_ context: OperatorContext) {
        self.context = context
        versions.start(at: context.now())
    }

    func keyColumns(of batch: Batch, input: Int) -> [Column] {
        zip(shapes[input].keys, table.types).map { batch.columns[$0].retyped($1) }
    }

    func process(_ batch: Batch, input: Int, output: any Output) throws -> Progress {
        guard !batch.isEmpty else { return .done }
        var batch = batch.compacted()
        batch.columns = batch.columns.map { $0.flat() }
        let n = batch.count
        forget(n)
        let keys = keyColumns(of: batch, input: input)
        let strict = keys.indices.filter { !spec.nullSafeKeys.contains($0) && keys[$0].validity != nil }
        var groups = [Int32](repeating: -1, count: n)
        if strict.isEmpty {
            groups.withUnsafeMutableBufferPointer { table.lookup(keys, rows: nil, count: n, into: $0.baseAddress!) }
        } else {
            let rows = (0..<Int32(n)).filter { row in strict.allSatisfy { keys[$0].isValid(Int(row)) } }
            let found = ids.reserve(rows.count)
            rows.withUnsafeBufferPointer { if let from = $0.baseAddress { table.lookup(keys, rows: from, count: $0.count, into: found) } }
            for (i, row) in rows.enumerated() { groups[Int(row)] = found[i] }
        }
        for side in sides { side.reserve(table.count) }
        probe = Probe(batch: batch, side: input, groups: groups, matches: [Int32](repeating: 0, count: n))
        return try resume(output)
    }

    /// Drops some of the rows that have expired, and gives up keys once most of many have no rows.
    private func forget(_ arriving: Int) {
        if timeToLive.contains(where: { $0 != nil }) {
            let now = context.now()
            for side in sides {
                side.setTime(now)
                side.sweep(2 * arriving + 1_024)
            }
        }
        let n = table.count
        guard table.hasKeys, n > evictionCheckAt else { return }
        var isLive = [Bool](repeating: false, count: n)
        isLive.withUnsafeMutableBufferPointer { for side in sides { side.markOwners($0.baseAddress!) } }
        let kept = (0..<Int32(n)).filter { isLive[Int($0)] }
        if kept.count * 2 < n {
            table.keep(kept)
            for side in sides { side.remap(kept) }
        }
        evictionCheckAt = max(Self.evictionMinimum, 2 * kept.count)
    }

    func resume(_ output: any Output) throws -> Progress {
        while probe != nil {
            guard output.isReady else { return .more }
            if let batch = try nextBatch() { try output.emit(batch) }
        }
        return .done
    }

    // MARK: Pairs

    /// Results in order: the row that arrived (-1 = nulls), the other side's pair (-1 = nulls), the kind, and the arrived row that
    /// brought it about.
    private struct Results {
        var rows: [Int32] = [], pairs: [Int32] = [], kinds: [UInt8] = [], causes: [Int32] = []

        @inline(__always) mutating func append(_ row: Int32, _ pair: Int32, _ kind: UInt8, cause: Int32, times: Int64 = 1) {
            for _ in 0..<times {
                rows.append(row)
                pairs.append(pair)
                kinds.append(kind)
                causes.append(cause)
            }
        }
    }

    /// What the next candidates give, up to about a batch of them; nil when that is nothing.
    private func nextBatch() throws -> Batch? {
        var work = probe!
        probe = nil
        let other = sides[1 - work.side], count = work.groups.count
        let first = work.next
        var rows: [Int32] = [], pairs: [Int32] = []
        while work.next < count, rows.count < Batch.targetRows, work.next - first < Batch.targetRows {
            let group = work.groups[work.next]
            var pair = work.pair ?? (group < 0 ? -1 : other.first(of: group))
            while pair >= 0, rows.count < Batch.targetRows {
                if other.liveMultiplicity(pair) > 0 {
                    rows.append(Int32(truncatingIfNeeded: work.next))
                    pairs.append(pair)
                }
                pair = other.following(pair)
            }
            work.pair = pair >= 0 ? pair : nil
            if pair < 0 { work.next += 1 }
        }
        if condition != nil, !rows.isEmpty { try keepMatching(&rows, &pairs, work) }
        var results = Results()
        var at = 0
        for row in first..<min(work.next + 1, count) {
            while at < rows.count, rows[at] == Int32(truncatingIfNeeded: row) {
                match(Int32(truncatingIfNeeded: row), pairs[at], &work, other, &results)
                at += 1
            }
            if row < work.next { end(Int32(truncatingIfNeeded: row), work, &results) }
        }
        let batch = results.rows.isEmpty ? nil : made(results, work, other)
        if work.next < count {
            probe = work
        } else {
            store(work)
        }
        return batch
    }

    private func keepMatching(_ rows: inout [Int32], _ pairs: inout [Int32], _ work: Probe) throws {
        let n = rows.count, leftCount = spec.leftSchema.count
        let arrived = work.batch.columns, arrivedFirst = work.side == 0
        let readsOther = conditionColumns.contains { ($0 < leftCount) != arrivedFirst }
        let others = readsOther ? otherColumns(pairs, rows, work) : []
        let unread = Column.nulls(type: .boolean, count: n)
        let columns = (0..<leftCount + spec.rightSchema.count).map { i -> Column in
            guard conditionColumns.contains(i) else { return unread }
            let column = i < leftCount ? i : i - leftCount
            return (i < leftCount) == arrivedFirst ? arrived[column].gather(rows) : others[column]
        }
        let truth = try condition!.evaluate(Batch(columns: columns, physicalCount: n))[0].flat()
        var (keptRows, keptPairs): ([Int32], [Int32]) = ([], [])
        withExtendedLifetime(truth) {
            let values = truth.pointer(as: UInt8.self)
            for i in 0..<n where values[i] != 0 && truth.isValid(i) {
                keptRows.append(rows[i])
                keptPairs.append(pairs[i])
            }
        }
        (rows, pairs) = (keptRows, keptPairs)
    }

    @inline(__always)
    private func match(_ row: Int32, _ pair: Int32, _ work: inout Probe, _ other: GroupedMultiset, _ results: inout Results) {
        let copies = other.liveMultiplicity(pair)
        work.matches[Int(row)] += Int32(truncatingIfNeeded: copies)
        let own = work.batch.kind(atPhysical: Int(row))
        let (insert, delete) = (RowKind.insert.rawValue, RowKind.delete.rawValue)
        if spec.kind.isLeftOnly {
            guard work.side == 1 else { return }
            let isSemi = spec.kind == .semi
            if own.isAdd {
                if other.associate(pair, 1) == 0 {
                    results.append(-1, pair, isSemi ? own.rawValue : delete, cause: row, times: copies)
                }
            } else if other.associate(pair, -1) == 1 {
                results.append(-1, pair, isSemi ? own.rawValue : insert, cause: row, times: copies)
            }
            return
        }
        let keepsOwn = work.side == 0 ? spec.kind.keepsLeft : spec.kind.keepsRight
        if own.isAdd {
            if other.associations == nil {
                results.append(row, pair, keepsOwn ? insert : own.rawValue, cause: row, times: copies)
            } else {
                if other.associate(pair, 1) == 0 { results.append(-1, pair, delete, cause: row, times: copies) }
                results.append(row, pair, insert, cause: row, times: copies)
            }
        } else {
            results.append(row, pair, keepsOwn ? delete : own.rawValue, cause: row, times: copies)
            if other.associations != nil, other.associate(pair, -1) <= 1 { results.append(-1, pair, insert, cause: row, times: copies) }
        }
    }

    /// All matches of a row are known.
    @inline(__always)
    private func end(_ row: Int32, _ work: Probe, _ results: inout Results) {
        let isMatched = work.matches[Int(row)] > 0
        let own = work.batch.kind(atPhysical: Int(row))
        if spec.kind.isLeftOnly {
            if work.side == 0, isMatched == (spec.kind == .semi) { results.append(row, -1, own.rawValue, cause: row) }
        } else if !isMatched, work.side == 0 ? spec.kind.keepsLeft : spec.kind.keepsRight {
            results.append(row, -1, (own.isAdd ? RowKind.insert : .delete).rawValue, cause: row)
        }
    }

    /// The other side's columns for pairs (-1 = nulls), whose key is that of the arrived rows `causes`.
    private func otherColumns(_ pairs: [Int32], _ causes: [Int32], _ work: Probe) -> [Column] {
        let side = 1 - work.side, shape = shapes[side], n = pairs.count
        let hasNulls = pairs.contains(-1)
        let none = sides[side].pairCount == 0
        let stored: [Column] = none
            ? shape.rest.map { .nulls(type: shape.schema[$0].type, count: n) }
            : pairs.withUnsafeBufferPointer { given in
                guard hasNulls else { return sides[side].rows(given.baseAddress!, count: n) }
                return given.map { max($0, 0) }.withUnsafeBufferPointer { sides[side].rows($0.baseAddress!, count: n) }
            }
        let validity: Buffer? = hasNulls && !none ? Bitmap.make(n, valid: true) : nil
        if let validity { for i in 0..<n where pairs[i] < 0 { Bitmap.clear(validity.base, i) } }
        let rows = hasNulls ? zip(pairs, causes).map { $0 < 0 ? -1 : $1 } : causes
        return shape.schema.enumerated().map { i, field in
            switch shape.places[i] {
            case .key(let k): work.batch.columns[shapes[work.side].keys[k]].gatherOrNull(rows).retyped(field.type)
            case .rest(let k): validity.map { stored[k].flat().withNulls($0) } ?? stored[k]
            }
        }
    }

    private func made(_ results: Results, _ work: Probe, _ other: GroupedMultiset) -> Batch {
        let n = results.rows.count
        let columns: [Column]
        if spec.kind.isLeftOnly {
            columns = work.side == 0 ? work.batch.columns.map { $0.gather(results.rows) } : otherColumns(results.pairs, results.causes, work)
        } else {
            let arrived = work.batch.columns.map { $0.gatherOrNull(results.rows) }
            let others = otherColumns(results.pairs, results.causes, work)
            columns = work.side == 0 ? arrived + others : others + arrived
        }
        let kinds = results.kinds.contains { $0 != 0 } ? results.kinds.withUnsafeBytes { Buffer(copying: $0) } : nil
        return Batch(columns: columns, physicalCount: n, rowKinds: kinds)
    }

    // MARK: State

    private func store(_ work: Probe) {
        var rows: [Int32] = [], groups: [Int32] = [], matches: [Int32] = [], weights: [Int64] = []
        for (row, group) in work.groups.enumerated() where group >= 0 {
            rows.append(Int32(truncatingIfNeeded: row))
            groups.append(group)
            matches.append(work.matches[row])
            weights.append(work.batch.kind(atPhysical: row).isAdd ? 1 : -1)
        }
        guard !rows.isEmpty else { return }
        let all = rows.count == work.groups.count
        let columns = shapes[work.side].rest.map { all ? work.batch.columns[$0] : work.batch.columns[$0].gather(rows) }
        sides[work.side].addMatched(columns, groups: groups, count: rows.count, weights: weights, matches: matches)
    }
}

/// Where the columns of one side of a join are kept: those of the key once for both sides, the others with the row.
struct JoinSideShape {
    enum Place { case key(Int), rest(Int) }

    let schema: Schema
    let keys: [Int]
    /// Columns that are not of the key.
    let rest: [Int]
    let places: [Place]

    init(_ schema: Schema, _ keys: [Int]) {
        let rest = schema.indices.filter { !keys.contains($0) }
        (self.schema, self.keys, self.rest) = (schema, keys, rest)
        places = schema.indices.map { column in
            keys.firstIndex(of: column).map { .key($0) } ?? .rest(rest.firstIndex(of: column)!)
        }
    }
}

extension Column {
    /// The same plain values with null also where `valid` has no bit.
    func withNulls(_ valid: Buffer) -> Column {
        var bits = valid
        if let validity {
            bits = Bitmap.make(count, valid: true)
            for i in 0..<count where !Bitmap.get(validity.base, i) || !Bitmap.get(valid.base, i) { Bitmap.clear(bits.base, i) }
        }
        return Column(type: type, count: count, validity: bits, values: values, heaps: heaps, children: children)
    }
}
