import StreamCore
import StreamExpressions
import StreamOperators

/// Makes a ``Rank`` of ORDER BY ... LIMIT over input that does not end: its result is updated as rows come. So is that of LIMIT
/// alone where rows are updated.
struct UnboundedLimits {
    let isBounded: (LogicalPlan.Scan) throws -> Bool
    let changes: (LogicalPlan) throws -> Modifications

    init(isBounded: @escaping (LogicalPlan.Scan) throws -> Bool, changes: @escaping (LogicalPlan) throws -> Modifications) {
        (self.isBounded, self.changes) = (isBounded, changes)
    }

    func apply(_ plan: LogicalPlan) throws -> LogicalPlan {
        try plan.rewritten { step in
            guard case .sort(let input, let sort) = step, sort.limit != nil || sort.offset > 0, try !ends(input) else { return step }
            if sort.keys.isEmpty, try changes(input).isInsertOnly { return step }
            guard sort.limit != 0, !sort.keys.isEmpty || sort.limit != nil else { return step }
            let last = sort.limit.map { sort.offset + $0 }
            return .step(
                Rank(partition: [], order: sort.keys, first: sort.offset + 1, last: last, form: .general, givesPlace: false,
                     columns: input.columns), [input])
        }
    }

    private func ends(_ plan: LogicalPlan) throws -> Bool {
        if case .scan(let scan) = plan { return try isBounded(scan) }
        return try plan.inputs.allSatisfy(ends)
    }
}
