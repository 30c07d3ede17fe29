import StreamCore
import StreamExpressions
import StreamOperators

/// `FROM t, t.items AS item AT i`: un-nesting along a path, as in PartiQL; an extension of Flink's SQL.
extension QueryBinder {
    /// The left side beside the elements of a path into it; nil when `right` is no such path.
    func unnestedPath(_ left: TableRef, _ right: TableRef, _ kind: String, _ on: SyntaxExpr?, _ ref: TableRef) throws -> (LogicalPlan, Scope)? {
        let path: SyntaxExpr
        switch right.node {
        case .path(let expr): path = expr
        case .table(let name, let hints) where name.parts.count > 1 && hints.isEmpty && left.names.contains(name.parts[0]):
            path = SyntaxExpr(.name(name), span: name.span)
        default: return nil
        }
        guard ["CROSS", "INNER", "LEFT"].contains(kind) else {
            throw context.unsupported("\(kind) JOIN with a path", fix: "use a comma, or LEFT JOIN ... ON TRUE to keep rows without elements", at: ref.span)
        }
        let (plan, outer) = try table(left)
        let value = try ExpressionBinder(context, scope: outer, clause: "FROM").value(path)
        guard let function = RowFunction.elements(value.type, position: right.position != nil) else {
            throw context.error(
                .validate, "FROM un-nests arrays and VARIANTs, but this is of type \(value.type)",
                fix: "write PARSE_JSON(...) in a subquery when it is the text of JSON", at: path.span)
        }
        guard let alias = right.alias ?? path.impliedName else {
            throw context.error(.validate, "the elements of the path have no name", fix: "write ... AS name", at: path.span)
        }
        if outer.relations.contains(where: { $0.alias == alias }) {
            throw context.error(.validate, "two tables in FROM are called \(alias)", fix: "give one of them an alias", at: right.span)
        }
        let isLeft = kind == "LEFT"
        var columns = [PlanColumn(right.columnAliases?.first ?? alias, function.resultTypes[0])]
        if let position = right.position { columns.append(PlanColumn(position, .bigint, nullable: isLeft)) }
        let scope = outer.joined(Scope(alias: alias, columns: columns))
        var condition = try on.map { try ExpressionBinder(context, scope: scope, clause: "ON").condition($0) }
        if case .literal(.bool(true), _)? = condition { condition = nil }
        let step = Correlate(function: function, arguments: [value], kind: isLeft ? .left : .inner, condition: condition, columns: scope.columns)
        return (.step(step, [plan]), scope)
    }
}

extension TableRef {
    /// Names by which its columns can be addressed.
    fileprivate var names: [String] {
        if let alias { return [alias] }
        switch node {
        case .table(let name, _): return [name.parts.last!]
        case .path(let path): return [path.impliedName].compactMap { $0 }
        case .join(let left, let right, _, _, _): return left.names + right.names
        default: return []
        }
    }
}
