import StreamCore
import StreamExpressions
import StreamOperators

extension Expr {
    /// Parts that must all be true.
    var conjuncts: [Expr] { if case .and(let parts) = self { parts.flatMap(\.conjuncts) } else { [self] } }
    var disjuncts: [Expr] { if case .or(let parts) = self { parts.flatMap(\.disjuncts) } else { [self] } }

    static func all(_ conditions: [Expr]) -> Expr? {
        conditions.isEmpty ? nil : conditions.count == 1 ? conditions[0] : .and(conditions)
    }

    /// PROCTIME(): what it makes is a processing-time attribute.
    var isProcessingTime: Bool {
        if case .call(let f, let args) = self { f.name == "PROCTIME" && args.isEmpty } else { false }
    }

    /// As cheap to compute twice as once.
    var isTrivial: Bool {
        switch self {
        case .column, .literal: true
        case .field(let e, _, _): e.isTrivial
        default: false
        }
    }

    /// The expression with its columns replaced by expressions.
    func substituting(_ exprs: [Expr]) -> Expr {
        map { if case .column(let i, _) = $0 { exprs[i] } else { nil } }
    }

    /// Replaces parts, outermost first; parts for which `replace` gives nil are searched further.
    func map(_ replace: (Expr) -> Expr?) -> Expr {
        if let new = replace(self) { return new }
        switch self {
        case .column, .literal: return self
        case .call(let f, let args): return .call(f, args.map { $0.map(replace) })
        case .cast(let e, let t, let safe): return .cast(e.map(replace), to: t, safe: safe)
        case .caseWhen(let branches, let otherwise, let t):
            return .caseWhen(
                branches.map { Branch($0.condition.map(replace), then: $0.result.map(replace)) }, otherwise: otherwise.map(replace), t)
        case .and(let es): return .and(es.map { $0.map(replace) })
        case .or(let es): return .or(es.map { $0.map(replace) })
        case .not(let e): return .not(e.map(replace))
        case .isNull(let e, let negated): return .isNull(e.map(replace), negated: negated)
        case .coalesce(let es, let t): return .coalesce(es.map { $0.map(replace) }, t)
        case .field(let e, let i, let t): return .field(e.map(replace), index: i, t)
        }
    }

    /// Adds how often each column is read.
    func countColumns(into counts: inout [Int: Int]) {
        _ = map {
            if case .column(let i, _) = $0 { counts[i, default: 0] += 1 }
            return nil
        }
    }
}

extension Expr {
    var isDeterministic: Bool {
        var result = true
        _ = map {
            if case .call(let f, _) = $0, !f.isDeterministic { result = false }
            return nil
        }
        return result
    }
}
