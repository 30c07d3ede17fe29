import StreamCore

extension QueryBinder {
    /// What a view gives: of its query the columns that there were when it was made, for `*` may stand for more by now.
    func viewPlan(_ query: Query, _ declaration: ViewDeclaration, _ name: String, at span: SourceSpan) throws -> LogicalPlan {
        var plan = try bind(query)
        if let made = declaration.queryColumns, made != plan.columns.map(\.name) {
            let places = try made.map { wanted in
                guard let i = plan.columns.firstIndex(where: { $0.name == wanted }) else {
                    throw context.error(
                        .validate, "view \(name) was made with the column \(wanted), which its query does not give any more",
                        fix: "write ALTER VIEW \(name) AS ...", at: span)
                }
                return i
            }
            plan = .project(plan, .columns(places, of: plan.columns))
        }
        return try renamed(plan, declaration.columns, "view \(name)", span)
    }
}
