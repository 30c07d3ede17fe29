import StreamCore
import StreamExpressions
import StreamOperators

/// Rows that an outer join fills up with nulls are not made where a condition above would drop them all.
enum OuterJoinSimplification {
    /// The kind of join that gives the same rows as `kind` as far as `conditions`, over its output, are true.
    static func kind(_ kind: JoinKind, below conditions: [Expr], leftCount: Int) -> JoinKind {
        guard kind.keepsLeft || kind.keepsRight else { return kind }
        let dropsLeftNulls = conditions.contains { rejectsNulls($0) { $0 < leftCount } }
        let dropsRightNulls = conditions.contains { rejectsNulls($0) { $0 >= leftCount } }
        let keepsLeft = kind.keepsLeft && !dropsRightNulls, keepsRight = kind.keepsRight && !dropsLeftNulls
        return keepsLeft ? (keepsRight ? .full : .left) : keepsRight ? .right : .inner
    }

    /// Whether a condition is not true when all columns of a side are null.
    private static func rejectsNulls(_ e: Expr, _ isOfSide: (Int) -> Bool) -> Bool {
        switch e {
        case .and(let parts): parts.contains { rejectsNulls($0, isOfSide) }
        case .or(let parts): parts.allSatisfy { rejectsNulls($0, isOfSide) }
        case .isNull(let operand, negated: true): isNull(operand, isOfSide)
        case .literal(.bool(false), _): true
        default: isNull(e, isOfSide)
        }
    }

    /// Functions that give null for any null.
    private static let strict: Set<String> = ["=", "<>", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "NEGATE", "LIKE", "||"]

    /// Whether an expression is null when all columns of a side are.
    private static func isNull(_ e: Expr, _ isOfSide: (Int) -> Bool) -> Bool {
        switch e {
        case .column(let i, _): isOfSide(i)
        case .literal(let value, _): value == .null
        case .call(let f, let args): strict.contains(f.name) && args.contains { isNull($0, isOfSide) }
        case .cast(let e, _, _), .not(let e), .field(let e, _, _): isNull(e, isOfSide)
        case .coalesce(let parts, _): parts.allSatisfy { isNull($0, isOfSide) }
        case .and, .or, .isNull, .caseWhen: false
        }
    }
}
