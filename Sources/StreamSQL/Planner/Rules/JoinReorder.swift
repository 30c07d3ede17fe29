import StreamCore
import StreamExpressions
import StreamOperators

/// Joins small tables first (`table.optimizer.join-reorder-enabled`), where the sizes of all are known from their option
/// `statistics.row-count`: an inner join of three or more keeps the fewest rows as state when the rows that it makes on the way are few.
///
/// The order starts with the smallest table and goes on with the smallest that a condition ties to those before it.
struct JoinReorder {
    static let rowCountOption = "statistics.row-count"

    func apply(_ plan: LogicalPlan) -> LogicalPlan {
        if case .join(_, _, let j) = plan, Self.isFree(j), let ordered = reordered(plan) { return ordered }
        return plan.replacingInputs(plan.inputs.map(apply))
    }

    /// Its inputs may change places.
    private static func isFree(_ j: LogicalPlan.Join) -> Bool {
        j.kind == .inner && j.leftKeys.isEmpty && j.leftTTL == nil && j.rightTTL == nil
    }

    private struct Leaf {
        var plan: LogicalPlan
        /// The place of its first column among those of the whole join.
        var start: Int
        var rows: Double
        var range: Range<Int> { start..<start + plan.columns.count }
    }

    private func reordered(_ plan: LogicalPlan) -> LogicalPlan? {
        var leaves: [Leaf] = [], conditions: [Expr] = []
        guard flatten(plan, 0, &leaves, &conditions), leaves.count >= 3 else { return nil }
        var order = [leaves.indices.min { leaves[$0].rows < leaves[$1].rows }!]
        while order.count < leaves.count {
            let left = leaves.indices.filter { !order.contains($0) }
            let tied = left.filter { i in conditions.contains { ties($0, order.map { leaves[$0].range }, leaves[i].range) } }
            order.append((tied.isEmpty ? left : tied).min { leaves[$0].rows < leaves[$1].rows }!)
        }
        guard order != Array(leaves.indices) else { return nil }
        return joined(order.map { leaves[$0] }, conditions, plan.columns)
    }

    /// Collects the tables of inner joins and their conditions, with column numbers of the whole; false when a size is not known.
    private func flatten(_ plan: LogicalPlan, _ start: Int, _ leaves: inout [Leaf], _ conditions: inout [Expr]) -> Bool {
        if case .join(let l, let r, let j) = plan, Self.isFree(j) {
            conditions += (j.condition?.conjuncts ?? []).map { $0.mapColumns { $0 + start } }
            return flatten(l, start, &leaves, &conditions) && flatten(r, start + l.columns.count, &leaves, &conditions)
        }
        guard let rows = Self.rows(plan) else { return false }
        leaves.append(Leaf(plan: apply(plan), start: start, rows: rows))
        return true
    }

    /// How many rows there are, as far as options say; a condition is taken to leave a quarter.
    private static func rows(_ plan: LogicalPlan) -> Double? {
        switch plan {
        case .scan(let scan): scan.table.descriptor.options[rowCountOption].flatMap(Double.init)
        case .values(let values): Double(values.rows.count)
        case .filter(let input, let e): rows(input).map { $0 * e.conjuncts.reduce(1.0) { n, _ in n / 4 } }
        case .project(let input, _): rows(input)
        case .calc(let input, let filter, _): rows(input).map { $0 * (filter?.conjuncts ?? []).reduce(1.0) { n, _ in n / 4 } }
        default: nil
        }
    }

    private func ties(_ condition: Expr, _ known: [Range<Int>], _ new: Range<Int>) -> Bool {
        let columns = condition.columns
        return columns.contains(where: new.contains) && columns.contains { c in known.contains { $0.contains(c) } }
            && columns.allSatisfy { c in new.contains(c) || known.contains { $0.contains(c) } }
    }

    /// A chain of joins in the order of `leaves`, with the columns as they were.
    private func joined(_ leaves: [Leaf], _ conditions: [Expr], _ columns: [PlanColumn]) -> LogicalPlan {
        var place: [Int: Int] = [:], width = 0
        for leaf in leaves {
            for (k, column) in leaf.range.enumerated() { place[column] = width + k }
            width += leaf.range.count
        }
        var waiting = conditions, plan = leaves[0].plan, known = Set(leaves[0].range)
        for leaf in leaves.dropFirst() {
            known.formUnion(leaf.range)
            let now = waiting.filter { $0.columns.isSubset(of: known) }
            waiting.removeAll { $0.columns.isSubset(of: known) }
            plan = .join(
                plan, leaf.plan,
                .init(condition: Expr.all(now.map { $0.mapColumns { place[$0]! } }), columns: plan.columns + leaf.plan.columns))
        }
        var projection = LogicalPlan.Projection.columns(columns.indices.map { place[$0]! }, of: plan.columns)
        projection.columns = columns
        return .project(plan, projection)
    }
}
