import StreamCore
import StreamExpressions

/// Values in PARTITION (...).
enum PartitionLiteral {
    /// The value, cast to the type of the partition column.
    static func expression(_ syntax: SyntaxExpr, as field: Field, _ context: BindingContext) throws -> Expr {
        let bound = try ExpressionBinder(context, scope: .empty, clause: "PARTITION").bind(syntax)
        guard bound.columns.isEmpty else { throw context.error(.validate, "PARTITION takes constants", at: syntax.span) }
        return .cast(bound, to: field.type, safe: false)
    }

    /// The value of the column's type, and as the name of a folder has it; nil stands for NULL.
    static func value(_ syntax: SyntaxExpr, as field: Field, _ context: BindingContext, _ evaluation: EvaluationContext) throws -> (Value, text: String?) {
        try context.script.locating(syntax.span) {
            let value = try Evaluator.evaluateConstant(expression(syntax, as: field, context), context: evaluation)
            if value == .null { return (value, nil) }
            // A number in quotes keeps its zeros: month='04' is the folder month=04.
            if case .string(let text) = syntax.node { return (value, text) }
            let text = try Evaluator.evaluateConstant(.cast(.literal(value, field.type), to: .string, safe: false), context: evaluation)
            guard case .string(let shown) = text else { return (value, nil) }
            return (value, shown)
        }
    }
}
