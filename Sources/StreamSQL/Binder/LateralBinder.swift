import StreamCore
import StreamExpressions
import StreamOperators

extension TableRef {
    /// UNNEST(...) or TABLE(f(...)): called for each row of what stands before it.
    var isRowFunction: Bool {
        switch node {
        case .unnest, .tableFunction: true
        default: false
        }
    }
}

extension QueryBinder {
    /// A table beside what a table function, whose arguments may read it, gives for each of its rows.
    func correlated(_ left: (plan: LogicalPlan, scope: Scope), _ right: TableRef, _ kind: String, _ on: SyntaxExpr?, _ ref: TableRef) throws
        -> (LogicalPlan, Scope)
    {
        guard ["CROSS", "INNER", "LEFT"].contains(kind) else {
            throw context.unsupported(
                "\(kind) JOIN with a table function", fix: "use CROSS JOIN, or LEFT JOIN ... ON TRUE to keep rows without a match", at: ref.span)
        }
        let (bound, isUnnest) = try rowFunction(right, left.scope)
        var names = bound.columns.map(\.name)
        if let aliases = right.columnAliases {
            guard aliases.count == names.count else {
                throw context.error(
                    .validate, "\(right.alias ?? bound.function.name) has \(names.count) columns, but \(aliases.count) names are given", at: right.span)
            }
            names = aliases
        } else if isUnnest, names.count == 1, let alias = right.alias {
            names = [alias]  // UNNEST(xs) AS x: the table and its column are both x.
        }
        let isLeft = kind == "LEFT"
        let given = zip(names, bound.columns).map { PlanColumn($0, $1.type, nullable: isLeft || $1.nullable) }
        if let alias = right.alias, left.scope.relations.contains(where: { $0.alias == alias }) {
            throw context.error(.validate, "two tables in FROM are called \(alias)", fix: "give one of them an alias", at: right.span)
        }
        let scope = left.scope.joined(Scope(alias: right.alias, columns: given))
        var condition = try on.map { try ExpressionBinder(context, scope: scope, clause: "ON").condition($0) }
        if case .literal(.bool(true), _)? = condition { condition = nil }
        let step = Correlate(
            function: bound.function, arguments: bound.arguments, kind: isLeft ? .left : .inner, condition: condition, columns: scope.columns)
        return (.step(step, [left.plan]), scope)
    }

    private func rowFunction(_ ref: TableRef, _ scope: Scope) throws -> (RowFunctionRegistry.Bound, isUnnest: Bool) {
        switch ref.node {
        case .unnest(let value, let ordinality):
            let bound = try ExpressionBinder(context, scope: scope, clause: "UNNEST").value(value)
            guard let function = RowFunction.unnest(bound.type, ordinality: ordinality) else {
                throw context.error(.validate, "UNNEST takes an array or a map, but this is of type \(bound.type)", at: value.span)
            }
            var columns = zip(RowFunction.unnestNames(bound.type, ordinality: ordinality), function.resultTypes).map { Field($0, $1) }
            if ordinality { columns[columns.count - 1].nullable = false }
            return (.init(function: function, arguments: [bound], columns: columns), true)
        case .tableFunction(let call):
            let binder = ExpressionBinder(context, scope: scope, clause: "the arguments of \(call.name)")
            let arguments = try call.arguments.map(binder.bind)
            guard let bound = try context.script.locating(ref.span, { try context.rowFunctions.bind(call.name, arguments) }) else {
                if let found = context.functionInJVM(call.name) { throw context.needsJVM(found, at: ref.span) }
                throw context.error(
                    .validate, "there is no table function \(call.name)",
                    fix: NearName.hint(for: call.name, in: context.rowFunctions.names + ["TUMBLE", "HOP", "CUMULATE", "SESSION"]), at: ref.span)
            }
            return (bound, false)
        default: preconditionFailure("not a table function")
        }
    }
}
