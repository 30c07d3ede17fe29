import StreamCore

/// A typed scalar expression over the columns of a batch. Made by the SQL binder (or by hand), compiled by ``Evaluator``.
public indirect enum Expr: Sendable {
    /// Column number `index` of the input batch.
    case column(Int, DataType)
    case literal(Value, DataType)
    /// A function whose arguments have been checked and cast to what it takes.
    case call(BoundFunction, [Expr])
    /// CAST, or TRY_CAST when `safe`: a value that does not fit gives null instead of failing the job.
    case cast(Expr, to: DataType, safe: Bool)
    /// Searched CASE: conditions in order, each evaluated only for the rows that no earlier one took.
    case caseWhen([Branch], otherwise: Expr, DataType)
    /// Three-valued logic; later operands are evaluated only for the rows that earlier ones leave open.
    case and([Expr])
    case or([Expr])
    case not(Expr)
    case isNull(Expr, negated: Bool)
    /// The first that is not null; all of one type.
    case coalesce([Expr], DataType)
    /// Part `index` of a ROW value.
    case field(Expr, index: Int, DataType)

    /// One WHEN of a CASE.
    public struct Branch: Sendable {
        public var condition: Expr, result: Expr
        public init(_ condition: Expr, then result: Expr) { (self.condition, self.result) = (condition, result) }
    }

    public var type: DataType {
        switch self {
        case .column(_, let type), .literal(_, let type), .caseWhen(_, _, let type), .coalesce(_, let type), .field(_, _, let type):
            type
        case .call(let function, _): function.resultType
        case .cast(_, let type, _): type
        case .and, .or, .not, .isNull: .boolean
        }
    }

    /// Numbers of the input columns that it reads.
    public var columns: Set<Int> {
        switch self {
        case .column(let i, _): [i]
        case .literal: []
        case .call(_, let args), .and(let args), .or(let args), .coalesce(let args, _):
            args.reduce(into: []) { $0.formUnion($1.columns) }
        case .cast(let e, _, _), .not(let e), .isNull(let e, _), .field(let e, _, _): e.columns
        case .caseWhen(let branches, let otherwise, _):
            branches.reduce(into: otherwise.columns) { $0.formUnion($1.condition.columns.union($1.result.columns)) }
        }
    }

    /// The same expression over other column numbers.
    public func mapColumns(_ map: (Int) -> Int) -> Expr {
        switch self {
        case .column(let i, let t): .column(map(i), t)
        case .literal: self
        case .call(let f, let args): .call(f, args.map { $0.mapColumns(map) })
        case .cast(let e, let t, let safe): .cast(e.mapColumns(map), to: t, safe: safe)
        case .caseWhen(let branches, let otherwise, let t):
            .caseWhen(branches.map { Branch($0.condition.mapColumns(map), then: $0.result.mapColumns(map)) },
                      otherwise: otherwise.mapColumns(map), t)
        case .and(let es): .and(es.map { $0.mapColumns(map) })
        case .or(let es): .or(es.map { $0.mapColumns(map) })
        case .not(let e): .not(e.mapColumns(map))
        case .isNull(let e, let negated): .isNull(e.mapColumns(map), negated: negated)
        case .coalesce(let es, let t): .coalesce(es.map { $0.mapColumns(map) }, t)
        case .field(let e, let i, let t): .field(e.mapColumns(map), index: i, t)
        }
    }
}

/// A function chosen for given argument types.
public struct BoundFunction: Sendable {
    public var name: String
    public var resultType: DataType
    /// False for functions such as RAND or CURRENT_TIMESTAMP, which must not be folded.
    public var isDeterministic: Bool
    public var kernel: Kernel

    public init(name: String, resultType: DataType, isDeterministic: Bool = true, kernel: @escaping Kernel) {
        self.name = name
        self.resultType = resultType
        self.isDeterministic = isDeterministic
        self.kernel = kernel
    }
}

/// Computes a function for the rows `rows` of its arguments (nil = all `count` of them). The result has `count` rows;
/// what stands at rows outside `rows` is undefined but initialised, and must not cause an error. Arguments may be
/// dictionary-coded or constant columns. A kernel is called once per batch, never per row.
public typealias Kernel = @Sendable (_ args: [Column], _ rows: Selection?, _ count: Int, _ context: EvaluationContext) throws -> Column

/// What an evaluation may know beside its arguments.
public struct EvaluationContext: Sendable {
    /// IANA name of the session time zone (`table.local-time-zone`).
    public var timeZone: String
    /// Milliseconds since 1970-01-01, for the functions that read the clock. Injected, so that tests are repeatable.
    public var now: @Sendable () -> Int64

    public init(timeZone: String = "UTC", now: @escaping @Sendable () -> Int64 = { Clock.milliseconds() }) {
        self.timeZone = timeZone
        self.now = now
    }
}
