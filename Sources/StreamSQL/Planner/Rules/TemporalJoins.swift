import StreamCore
import StreamExpressions
import StreamOperators

/// Finds the columns that versions of a temporal join belong to: the right side's key, all of which must be compared.
struct TemporalJoins {
    func apply(_ plan: LogicalPlan) throws -> LogicalPlan {
        try plan.rewritten { step in
            guard case .step(let operation, let inputs) = step, var join = operation as? TemporalJoin, join.keys == nil else { return step }
            let (l, r) = (inputs[0], inputs[1]), width = l.columns.count
            var parts = JoinCondition(join.condition?.conjuncts ?? [], width: width)
            let compared = parts.rightKeys.map { if case .column(let i, _) = $0 { i } else { -1 } }
            // Which changes sources give is of no matter here.
            let known = try ChangelogNode(r, source: { _ in .insertOnly }).upsertKeys.filter { !$0.isEmpty }
            func names(_ columns: [Int]) -> String { columns.filter { $0 >= 0 }.map { r.columns[$0].name }.joined(separator: ", ") }
            guard !known.isEmpty else {
                throw StreamError(
                    .plan, "a temporal join in event time requires both primary key and row time attribute in the versioned table, but no primary key can be found",
                    fix: "declare PRIMARY KEY (...) NOT ENFORCED, or keep the last row of each key with ROW_NUMBER() in a view")
            }
            guard let key = known.first(where: { $0.isSubset(of: compared) }) else {
                throw StreamError(
                    .plan,
                    "the temporal table's primary key (\(names(known[0].sorted()))) must be included in the equality conditions of the join, which compare (\(names(compared)))",
                    fix: "compare all columns of the key")
            }
            // Further equalities do not tell versions of one row apart: they are conditions like others.
            for i in compared.indices.reversed() where !key.contains(compared[i]) || compared[..<i].contains(compared[i]) {
                let equality = try FunctionRegistry.builtin.bind("=", [parts.leftKeys[i], parts.rightKeys[i].mapColumns { $0 + width }])
                parts.rest.append(equality)
                parts.leftKeys.remove(at: i)
                parts.rightKeys.remove(at: i)
            }
            let sides = parts.keyed(l, Self.versions(r) ?? r)
            join.keys = (sides.leftKeys, sides.rightKeys)
            join.condition = Expr.all(parts.rest).map(sides.moved)
            join.columns = sides.columns(join.isLeft ? .left : .inner)
            return sides.restored(.step(join, [sides.left, sides.right]), isLeftOnly: false)
        }
    }

    /// The rows of which the plan keeps the last of each key: all of them are versions, also those that a batch replaces at once.
    /// nil when it does something else.
    private static func versions(_ plan: LogicalPlan) -> LogicalPlan? {
        switch plan {
        case .project(let input, let p): versions(input).map { .project($0, p) }
        case .calc(let input, filter: nil, let p): versions(input).map { .calc($0, filter: nil, p) }
        case .step(is SharedPlan, let inputs): versions(inputs[0])
        case .step(let rank as Rank, let inputs) where rank.form == .keepLast && !rank.givesPlace: inputs[0]
        default: nil
        }
    }
}
