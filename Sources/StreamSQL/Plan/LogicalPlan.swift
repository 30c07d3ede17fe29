import StreamCore
import StreamExpressions
import StreamOperators

/// A column of a plan's output.
public struct PlanColumn: Hashable, Sendable {
    /// What the column means for time. It goes with the column through projections, renames and UNION ALL and is lost
    /// in any expression.
    public enum Role: Hashable, Sendable {
        case none
        case timeAttribute
        /// The time at which the row is processed: steps that go by it look at the clock themselves; as a value it is the time at
        /// which the column was computed.
        case processingTime
        case windowStart(WindowOrigin), windowEnd(WindowOrigin)
        /// Also a time attribute.
        case windowTime(WindowOrigin)
    }

    public var name: String
    public var type: DataType
    public var nullable: Bool
    public var role: Role

    public init(_ name: String, _ type: DataType, nullable: Bool = true, role: Role = .none) {
        self.name = name
        self.type = type
        self.nullable = nullable
        self.role = role
    }

    public var field: Field { Field(name, type, nullable: nullable) }

    public var isTimeAttribute: Bool {
        switch role {
        case .timeAttribute: true
        case .windowTime(let origin): !origin.isProcessingTime
        default: false
        }
    }

    public var isProcessingTime: Bool {
        switch role {
        case .processingTime: true
        case .windowTime(let origin): origin.isProcessingTime
        default: false
        }
    }

    func renamed(_ name: String) -> PlanColumn {
        var copy = self
        copy.name = name
        return copy
    }
}

/// The window function that window columns stem from.
public struct WindowOrigin: Hashable, Sendable {
    public var id: Int
    public var window: WindowSpec
    /// Of the time attribute that rows got their windows by.
    public var timeType = DataType.timestamp(3)
    /// The windows go by the wall clock.
    public var isProcessingTime = false
}

/// A query as a tree of relational steps over typed, resolved columns.
public indirect enum LogicalPlan: Sendable {
    case scan(Scan)
    case values(Values)
    case project(LogicalPlan, Projection)
    case filter(LogicalPlan, Expr)
    /// A filter and then a projection in one step; made by the optimiser.
    case calc(LogicalPlan, filter: Expr?, Projection)
    case windowTable(LogicalPlan, WindowTable)
    case windowAggregate(LogicalPlan, WindowAggregate)
    case aggregate(LogicalPlan, Aggregate)
    case join(LogicalPlan, LogicalPlan, Join)
    case union([LogicalPlan], [PlanColumn])
    case sort(LogicalPlan, Sort)
    /// A step that says itself what the planner must know of it.
    case step(any PlanStep, [LogicalPlan])

    /// Reading a table: the columns `used` of it, in that order.
    public struct Scan: Sendable {
        public var table: CatalogTable
        public var used: [Int]
        public var partitionFilter: [String: Set<Value>] = [:]
        public var partitionRanges: [String: ValueRange] = [:]
        /// Conditions for the connector to skip data by.
        public var filter: [ScanPredicate] = []

        public var columns: [PlanColumn] { used.map { table.planColumn($0) } }
    }

    /// Rows of constant expressions.
    public struct Values: Sendable {
        public var rows: [[Expr]]
        public var columns: [PlanColumn]
    }

    /// Expressions, and the columns that they make.
    public struct Projection: Sendable {
        public var exprs: [Expr]
        public var columns: [PlanColumn]
    }

    /// Adds window_start, window_end and window_time to each row, once per window that it is in.
    public struct WindowTable: Sendable {
        public var origin: WindowOrigin
        public var timeColumn: Int
        /// Of SESSION: rows with equal values share their sessions.
        public var partitionKeys: [Int] = []
        public var columns: [PlanColumn]
    }

    /// Output: keys, aggregates, properties.
    public struct WindowAggregate: Sendable {
        /// How rows get their windows.
        public enum Assignment: Sendable {
            /// Rows are put into windows by their time.
            case time(WindowSpec, column: Int)
            /// Rows carry their window's start and end already.
            case attached(WindowOrigin, start: Int, end: Int)
        }
        public var keys: [Int]
        public var assignment: Assignment
        public var aggregates: [AggregateCall]
        public var properties: [WindowProperty]
        public var columns: [PlanColumn]
        /// The time column is the end of each row's own window, and the time attribute is of this type; nil = it is the time attribute.
        public var attachedTimeType: DataType?
        /// Results that come apart from the end of the window; nil = none.
        public var emission: WindowEmission?

        var isSession: Bool { if case .time(.session, _) = assignment { true } else { false } }
    }

    /// Output: keys, aggregates.
    public struct Aggregate: Sendable {
        public var keys: [Int]
        public var aggregates: [AggregateCall]
        public var columns: [PlanColumn]
        /// How long the state of a group is kept since its last row, as a hint says: zero = for ever; nil = as the session says.
        public var stateTTL: Duration?
    }

    /// A regular join; an inner one with neither keys nor condition is a cross join.
    public struct Join: Sendable {
        public var kind = JoinKind.inner
        public var leftKeys: [Int] = [], rightKeys: [Int] = []
        /// Numbers of the keys, counted from 0, for which null equals null.
        public var nullSafeKeys: Set<Int> = []
        /// Over the left columns and then the right ones, also where the result has only the left ones.
        public var condition: Expr?
        public var columns: [PlanColumn]
        /// As ``Aggregate/stateTTL``, of the rows of each side.
        public var leftTTL: Duration?, rightTTL: Duration?
    }

    /// The columns that a join of two inputs gives: those of a side that may lack a match are nullable.
    static func joinColumns(_ left: [PlanColumn], _ right: [PlanColumn], _ kind: JoinKind) -> [PlanColumn] {
        func nullable(_ columns: [PlanColumn]) -> [PlanColumn] {
            columns.map { column in
                var copy = column
                copy.nullable = true
                return copy
            }
        }
        return switch kind {
        case .semi, .anti: left
        default: (kind.keepsRight ? nullable(left) : left) + (kind.keepsLeft ? nullable(right) : right)
        }
    }

    /// ORDER BY with LIMIT and OFFSET.
    public struct Sort: Sendable {
        public var keys: [SortSpec.Key]
        public var offset: Int
        public var limit: Int?
    }

    public var columns: [PlanColumn] {
        switch self {
        case .scan(let s): s.columns
        case .values(let v): v.columns
        case .project(_, let p), .calc(_, _, let p): p.columns
        case .filter(let input, _), .sort(let input, _): input.columns
        case .windowTable(_, let w): w.columns
        case .windowAggregate(_, let a): a.columns
        case .aggregate(_, let a): a.columns
        case .join(_, _, let j): j.columns
        case .union(_, let columns): columns
        case .step(let step, _): step.columns
        }
    }

    public var schema: Schema { columns.map(\.field) }

    public var inputs: [LogicalPlan] {
        switch self {
        case .scan, .values: []
        case .project(let i, _), .filter(let i, _), .calc(let i, _, _), .windowTable(let i, _), .windowAggregate(let i, _),
            .aggregate(let i, _), .sort(let i, _):
            [i]
        case .join(let l, let r, _): [l, r]
        case .union(let inputs, _), .step(_, let inputs): inputs
        }
    }

    /// The same step over other inputs, which must have the same columns.
    func replacingInputs(_ new: [LogicalPlan]) -> LogicalPlan {
        switch self {
        case .scan, .values: self
        case .project(_, let p): .project(new[0], p)
        case .filter(_, let e): .filter(new[0], e)
        case .calc(_, let f, let p): .calc(new[0], filter: f, p)
        case .windowTable(_, let w): .windowTable(new[0], w)
        case .windowAggregate(_, let a): .windowAggregate(new[0], a)
        case .aggregate(_, let a): .aggregate(new[0], a)
        case .join(_, _, let j): .join(new[0], new[1], j)
        case .union(_, let columns): .union(new, columns)
        case .sort(_, let s): .sort(new[0], s)
        case .step(let step, _): .step(step, new)
        }
    }

    /// `rule` applied to every step, inputs first.
    func rewritten(_ rule: (LogicalPlan) throws -> LogicalPlan) rethrows -> LogicalPlan {
        try rule(replacingInputs(try inputs.map { try $0.rewritten(rule) }))
    }
}

extension LogicalPlan {
    /// The same with names of columns that were there before told apart by numbers, as in Flink: a, a0, a1.
    var uniquelyNamed: LogicalPlan {
        let names = columns.map(\.name), unique = UniqueNames.of(names)
        guard unique != names else { return self }
        var projection = Projection.columns(Array(columns.indices), of: columns)
        for i in unique.indices { projection.columns[i] = columns[i].renamed(unique[i]) }
        return .project(self, projection)
    }
}

enum UniqueNames {
    static func of(_ names: [String]) -> [String] {
        var used: Set<String> = []
        return names.map { add($0, to: &used) }
    }

    /// The name, or the first of name0, name1, ... that is not used yet.
    static func add(_ name: String, to used: inout Set<String>) -> String {
        var candidate = name, number = 0
        while !used.insert(candidate).inserted {
            candidate = "\(name)\(number)"
            number += 1
        }
        return candidate
    }
}

extension LogicalPlan.Projection {
    /// Columns `indices` of an input as they are.
    static func columns(_ indices: [Int], of input: [PlanColumn]) -> Self {
        Self(exprs: indices.map { .column($0, input[$0].type) }, columns: indices.map { input[$0] })
    }

    var isIdentity: Bool {
        exprs.enumerated().allSatisfy { i, e in if case .column(i, _) = e { true } else { false } }
    }
}

extension CatalogTable {
    func planColumn(_ i: Int) -> PlanColumn {
        let column = columns[i]
        return PlanColumn(column.name, column.type, nullable: column.nullable,
                          role: watermark?.column == i ? .timeAttribute : isProcessingTime(i) ? .processingTime : .none)
    }

    /// Whether a column is `AS PROCTIME()`.
    func isProcessingTime(_ i: Int) -> Bool {
        if case .computed(let expr, _) = columns[i].kind { expr.isProcessingTime } else { false }
    }

    public var schema: Schema { columns.map { Field($0.name, $0.type, nullable: $0.nullable) } }
}
