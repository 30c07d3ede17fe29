import StreamCore
import StreamExpressions
import StreamOperators
import StreamSQL

/// Computes the final rows of a bound, unoptimised plan over bounded tables, one boxed row at a time, as a bounded streaming run
/// of Flink gives them. Slow and plain on purpose: it shares neither operators nor basic kernels with the engine.
///
/// Each step gives the list of changes that a run would give it, with the watermark that stood in front of each; a step that
/// updates its rows gives only the last ones. What depends on the order in which the rows of two inputs meet is not told:
/// rows of joins and unions count as never late, and LISTAGG, FIRST_VALUE and their like over them follow no promised order.
public struct ReferenceInterpreter {
    /// The contents of a table: physical columns in the order of declaration, in the order of arrival.
    public struct Table: Sendable {
        public var rows: [[Value]]
        /// Nil = inserts.
        public var kinds: [RowKind]?
        public init(rows: [[Value]], kinds: [RowKind]? = nil) { (self.rows, self.kinds) = (rows, kinds) }
    }

    /// A plan has something that the interpreter does not know.
    public struct Unsupported: Error, CustomStringConvertible {
        public var description: String
        init(_ what: String) { description = "the reference interpreter does not know \(what)" }
    }

    /// A row, what it does, and the watermark of the rows before it; `.min` = none.
    struct Event {
        var kind = RowKind.insert
        var row: [Value]
        var watermark = Int64.min
    }

    let tables: [String: Table]
    let scalars: Scalars

    public init(tables: [String: Table], context: EvaluationContext = .init()) {
        self.tables = tables
        scalars = Scalars(context: context)
    }

    /// - Throws: what a run would fail with, or ``Unsupported``.
    public func rows(of plan: LogicalPlan) throws -> [[Value]] { net(try events(of: plan)).map(\.row) }

    func events(of plan: LogicalPlan) throws -> [Event] {
        switch plan {
        case .scan(let s): return try scan(s)
        case .values(let v): return try v.rows.map { Event(row: try $0.map { try scalars.value(of: $0, []) }) }
        case .project(let input, let p): return try calc(try events(of: input), nil, p.exprs)
        case .filter(.join(let l, let r, let j), let e) where j.kind == .inner:
            return try calc(try join(try events(of: l), try events(of: r), (l.columns.count, r.columns.count), j, below: e), e, nil)
        case .filter(let input, let e): return try calc(try events(of: input), e, nil)
        case .calc(let input, let filter, let p): return try calc(try events(of: input), filter, p.exprs)
        case .windowTable(let input, let w):
            let isLocal = if case .timestampLTZ = input.columns[w.timeColumn].type { true } else { false }
            return try windowTable(try events(of: input), w, isLocal: isLocal)
        case .windowAggregate(let input, let a): return try windowAggregate(try events(of: input), input.columns, a)
        case .aggregate(let input, let a): return try aggregate(try events(of: input), a)
        case .join(let l, let r, let j): return try join(try events(of: l), try events(of: r), (l.columns.count, r.columns.count), j)
        case .union(let inputs, _):
            return try inputs.flatMap { try events(of: $0).map { Event(kind: $0.kind, row: $0.row) } }
        case .sort(let input, let s): return try sort(try events(of: input), input.columns, s)
        case .step(let step, let inputs): return try self.step(step, inputs)
        }
    }

    // MARK: the steps

    private func scan(_ scan: LogicalPlan.Scan) throws -> [Event] {
        guard let contents = tables[scan.table.name] else { throw Unsupported("table \(scan.table.name)") }
        var watermark = Int64.min
        return try contents.rows.enumerated().map { i, physical in
            var row: [Value] = [], next = 0
            for column in scan.table.columns {
                switch column.kind {
                case .physical:
                    row.append(physical[next])
                    next += 1
                case .metadata: throw Unsupported("metadata columns")
                case .computed: row.append(.null)
                }
            }
            let given = row
            for (c, column) in scan.table.columns.enumerated() {
                if case .computed(let expr, _) = column.kind { row[c] = try scalars.value(of: expr, given) }
            }
            let event = Event(kind: contents.kinds?[i] ?? .insert, row: scan.used.map { row[$0] }, watermark: watermark)
            if let declared = scan.table.watermark {
                guard row[declared.column] != .null else { throw StreamError(.runtime, "the time attribute is null") }
                if case .int(let mark) = try scalars.value(of: declared.expr, row) { watermark = max(watermark, mark) }
            }
            return event
        }
    }

    private func calc(_ input: [Event], _ filter: Expr?, _ exprs: [Expr]?) throws -> [Event] {
        try input.compactMap { event in
            if let filter, try scalars.value(of: filter, event.row) != .bool(true) { return nil }
            guard let exprs else { return event }
            return Event(kind: event.kind, row: try exprs.map { try scalars.value(of: $0, event.row) }, watermark: event.watermark)
        }
    }

    private func aggregate(_ input: [Event], _ a: LogicalPlan.Aggregate) throws -> [Event] {
        let groups = Groups(net(input)) { event in a.keys.map { event.row[$0] } }
        return try groups.map { key, members in
            Event(row: key + (try a.aggregates.map { try ReferenceAggregate($0).result(members.map(\.row)) }))
        }
    }

    /// - Parameter filter: what is asked of the pairs above the join.
    private func join(_ left: [Event], _ right: [Event], _ widths: (Int, Int), _ j: LogicalPlan.Join, below filter: Expr? = nil) throws -> [Event] {
        let left = net(left).map(\.row), right = net(right).map(\.row)
        var equalities = j.leftKeys.isEmpty ? Self.equalities(j.condition, widths.0) : []
        // Among few pairs the filter sees those too that cannot pass: it may fail for them.
        if equalities.isEmpty, left.count * right.count > 1_000_000 { equalities = Self.equalities(filter, widths.0) }
        var pairs = JoinedPairs(left: left, right: right, widths: widths)
        if !equalities.isEmpty {
            // Only which pairs are looked at: the condition decides.
            var places: [[Value]: [Int]] = [:]
            for (i, b) in right.enumerated() { places[try equalities.map { try scalars.value(of: $0.right, b) }, default: []].append(i) }
            pairs.candidates = { [scalars] a in places[try equalities.map { try scalars.value(of: $0.left, a) }] ?? [] }
        }
        return try pairs.rows(j.kind) { a, b in
            for (i, (l, r)) in zip(j.leftKeys, j.rightKeys).enumerated() {
                if !Ordering.isSame(a[l], b[r]) || a[l] == .null && !j.nullSafeKeys.contains(i) { return false }
            }
            return try j.condition.map { try scalars.value(of: $0, a + b) == .bool(true) } ?? true
        }.map { Event(row: $0) }
    }

    /// Equal parts of a condition, over the left row and over the right one, of types whose equal values are one value.
    private static func equalities(_ condition: Expr?, _ width: Int) -> [(left: Expr, right: Expr)] {
        guard let condition else { return [] }
        let parts = if case .and(let parts) = condition { parts } else { [condition] }
        return parts.compactMap { part in
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2,
                args.allSatisfy({ !$0.columns.isEmpty && ($0.type.isInteger || $0.type.isText) }), args[0].type.isInteger == args[1].type.isInteger
            else { return nil }
            for (a, b) in [(args[0], args[1]), (args[1], args[0])] where a.columns.allSatisfy({ $0 < width }) && b.columns.allSatisfy({ $0 >= width }) {
                return (a, b.mapColumns { $0 - width })
            }
            return nil
        }
    }

    private func sort(_ input: [Event], _ columns: [PlanColumn], _ s: LogicalPlan.Sort) throws -> [Event] {
        if s.limit == nil, s.offset == 0, let first = s.keys.first, !first.descending, columns[first.column].isTimeAttribute {
            return onTime(input, column: first.column, partition: []).map { Event(kind: $0.kind, row: $0.row) }
        }
        let rows = net(input)
        let order = rows.indices.sorted { x, y in
            for key in s.keys {
                let order = Ordering.compare(rows[x].row[key.column], rows[y].row[key.column], nullsFirst: key.nullsFirst, descending: key.descending)
                if order != 0 { return order < 0 }
            }
            return x < y
        }
        let kept = order.dropFirst(s.offset).prefix(s.limit ?? .max)
        return kept.map { Event(row: rows[$0].row) }
    }

    // MARK: changes

    /// What is left of the changes, in order of arrival. A row that is taken back takes its first equal with it.
    func net(_ events: [Event]) -> [Event] {
        var result: [Event?] = []
        var places: [[Value]: [Int]] = [:]
        for event in events {
            if event.kind.isAdd {
                places[event.row, default: []].append(result.count)
                result.append(Event(row: event.row, watermark: event.watermark))
            } else if places[event.row]?.isEmpty == false {
                result[places[event.row]!.removeFirst()] = nil
            }
        }
        return result.compactMap { $0 }
    }
}

/// Members by key, keys in order of their first member.
struct Groups<Member>: Sequence {
    private(set) var keys: [[Value]] = []
    private var members: [[Value]: [Member]] = [:]

    init(_ all: [Member], by key: (Member) throws -> [Value]) rethrows {
        for member in all {
            let key = try key(member)
            if members[key] == nil { keys.append(key) }
            members[key, default: []].append(member)
        }
    }

    subscript(key: [Value]) -> [Member] { members[key] ?? [] }
    func makeIterator() -> AnyIterator<(key: [Value], members: [Member])> {
        var next = 0
        return AnyIterator {
            guard next < keys.count else { return nil }
            defer { next += 1 }
            return (keys[next], members[keys[next]]!)
        }
    }
}

/// All pairs of rows that match, and what becomes of the others.
struct JoinedPairs {
    var left: [[Value]], right: [[Value]]
    var widths: (left: Int, right: Int)
    /// Places of the right rows that a left one may match; nil = all.
    var candidates: ((_ left: [Value]) throws -> [Int])?

    func rows(_ kind: JoinKind, matches: (_ left: [Value], _ right: [Value]) throws -> Bool) throws -> [[Value]] {
        var result: [[Value]] = []
        var isMatched = Array(repeating: false, count: right.count)
        for a in left {
            var found = false
            for i in try candidates?(a) ?? Array(right.indices) where try matches(a, right[i]) {
                let b = right[i]
                found = true
                isMatched[i] = true
                if !kind.isLeftOnly { result.append(a + b) }
            }
            if kind == .semi && found || kind == .anti && !found { result.append(a) }
            if kind.keepsLeft && !found { result.append(a + Array(repeating: .null, count: widths.right)) }
        }
        if kind.keepsRight {
            for (i, b) in right.enumerated() where !isMatched[i] { result.append(Array(repeating: .null, count: widths.left) + b) }
        }
        return result
    }
}

extension Value {
    var integer: Int64? { if case .int(let x) = self { x } else { nil } }
    var text: String? { if case .string(let x) = self { x } else { nil } }
}
