import StreamCore
import StreamExpressions
import StreamOperators

/// The condition of a join in its parts: equalities of an expression over the left side with one over the right side, and the rest.
struct JoinCondition {
    /// Each over the columns of its own side.
    var leftKeys: [Expr] = [], rightKeys: [Expr] = []
    /// Over the columns of both.
    var rest: [Expr] = []

    /// - Parameter width: how many columns the left side has.
    init(_ parts: [Expr], width: Int) {
        for part in parts {
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2, let (a, b) = Self.sides(args[0], args[1], width),
                let type = JoinKeys.keyType(a.type, b.type)
            else {
                rest.append(part)
                continue
            }
            leftKeys.append(a.cast(toKey: type))
            rightKeys.append(b.mapColumns { $0 - width }.cast(toKey: type))
        }
    }

    private static func sides(_ a: Expr, _ b: Expr, _ width: Int) -> (Expr, Expr)? {
        guard !a.columns.isEmpty, !b.columns.isEmpty, a.isDeterministic, b.isDeterministic else { return nil }
        if a.columns.allSatisfy({ $0 < width }) && b.columns.allSatisfy({ $0 >= width }) { return (a, b) }
        if b.columns.allSatisfy({ $0 < width }) && a.columns.allSatisfy({ $0 >= width }) { return (b, a) }
        return nil
    }

    /// Both sides with their keys as columns, and a way back to the columns that they had.
    func keyed(_ l: LogicalPlan, _ r: LogicalPlan) -> KeyedSides {
        let (n, m) = (l.columns.count, r.columns.count)
        var left = LogicalPlan.Projection.columns(Array(0..<n), of: l.columns)
        var right = LogicalPlan.Projection.columns(Array(0..<m), of: r.columns)
        func column(_ expr: Expr, _ projection: inout LogicalPlan.Projection) -> Int {
            if case .column(let i, _) = expr { return i }
            projection.columns.append(PlanColumn("key$\(projection.exprs.count)", expr.type))
            projection.exprs.append(expr)
            return projection.exprs.count - 1
        }
        let leftKeys = self.leftKeys.map { column($0, &left) }, rightKeys = self.rightKeys.map { column($0, &right) }
        return KeyedSides(
            left: left.exprs.count == n ? l : .project(l, left), right: right.exprs.count == m ? r : .project(r, right), leftKeys: leftKeys,
            rightKeys: rightKeys, leftWidth: n, rightWidth: m)
    }
}

/// The inputs of a join that goes by columns.
struct KeyedSides {
    var left: LogicalPlan, right: LogicalPlan
    var leftKeys: [Int], rightKeys: [Int]
    /// Columns without those added for keys.
    var leftWidth: Int, rightWidth: Int

    /// An expression over the former columns of both sides.
    func moved(_ expr: Expr) -> Expr {
        let shift = left.columns.count - leftWidth
        return expr.mapColumns { $0 < leftWidth ? $0 : $0 + shift }
    }

    /// The join's result with the columns that it would have without those added for keys.
    func restored(_ join: LogicalPlan, isLeftOnly: Bool) -> LogicalPlan {
        let shift = left.columns.count
        let kept = Array(0..<leftWidth) + (isLeftOnly ? [] : (0..<rightWidth).map { shift + $0 })
        if kept == Array(join.columns.indices) { return join }
        return .project(join, .columns(kept, of: join.columns))
    }

    /// What a join of the kind gives.
    func columns(_ kind: JoinKind) -> [PlanColumn] {
        func nullable(_ columns: [PlanColumn], _ isPadded: Bool) -> [PlanColumn] {
            isPadded ? columns.map { PlanColumn($0.name, $0.type, nullable: true, role: $0.role) } : columns
        }
        return nullable(left.columns, kind.keepsRight) + (kind.isLeftOnly ? [] : nullable(right.columns, kind.keepsLeft))
    }
}
