import StreamCore
import StreamExpressions
import StreamOperators

extension QueryBinder {
    /// ... JOIN table FOR SYSTEM_TIME AS OF time ON ...
    func temporalJoin(_ left: TableRef, _ right: TableRef, _ kind: String, _ on: SyntaxExpr?, _ using: [String], _ ref: TableRef) throws
        -> (LogicalPlan, Scope)
    {
        guard kind == "INNER" || kind == "LEFT", using.isEmpty, !ref.natural, let on else {
            throw context.unsupported("\(kind) JOIN with FOR SYSTEM_TIME AS OF", fix: "use INNER JOIN or LEFT JOIN with ON", at: ref.span)
        }
        let (leftPlan, leftScope) = try table(left)
        let asOf = right.asOf!
        var plain = right
        plain.asOf = nil
        let (rightPlan, rightScope) = try table(plain)
        if let alias = leftScope.relations.compactMap(\.alias).first(where: { a in rightScope.relations.contains { $0.alias == a } }) {
            throw context.error(.validate, "two tables in FROM are called \(alias)", fix: "give one of them an alias", at: right.span)
        }
        let time = try ExpressionBinder(context, scope: leftScope, clause: "FOR SYSTEM_TIME AS OF").bind(asOf)
        guard case .column(let leftTime, let type) = time, case let attribute = leftPlan.columns[leftTime],
            attribute.isTimeAttribute || attribute.isProcessingTime
        else {
            throw context.error(
                .validate, "FOR SYSTEM_TIME AS OF takes a time attribute of the left table",
                fix: "name a column with a WATERMARK, or one that is AS PROCTIME()", at: asOf.span)
        }
        let isLeft = kind == "LEFT"
        let columns = LogicalPlan.joinColumns(leftScope.columns, rightScope.columns, isLeft ? .left : .inner)
        var scope = leftScope.joined(rightScope)
        scope.columns = columns
        let condition = try ExpressionBinder(context, scope: scope, clause: "ON").condition(on)
        if attribute.isProcessingTime {
            let plan = try lookupJoin(leftPlan, rightPlan, isLeft: isLeft, condition, columns, right)
            return (plan, scope)
        }
        guard let rightTime = rightPlan.columns.firstIndex(where: \.isTimeAttribute) else {
            throw context.error(
                .validate,
                "a temporal join in event time requires both primary key and row time attribute in the versioned table, but no row time attribute can be found",
                fix: "declare WATERMARK FOR a column of it, and select that column", at: right.span)
        }
        guard type.timeUnit == .milliseconds, rightPlan.columns[rightTime].type.timeUnit == .milliseconds,
            type.isZoned == rightPlan.columns[rightTime].type.isZoned
        else {
            throw context.error(
                .validate, "a temporal join needs time attributes of one type, but these are \(type) and \(rightPlan.columns[rightTime].type)",
                fix: "declare both as TIMESTAMP(3) or both as TIMESTAMP_LTZ(3)", at: asOf.span)
        }
        let join = TemporalJoin(isLeft: isLeft, leftTime: leftTime, rightTime: rightTime, condition: condition, columns: columns)
        return (.step(join, [leftPlan, rightPlan]), scope)
    }

    /// As of processing time: the table is asked for each row's key when the row comes.
    private func lookupJoin(
        _ left: LogicalPlan, _ right: LogicalPlan, isLeft: Bool, _ condition: Expr, _ columns: [PlanColumn], _ ref: TableRef
    ) throws -> LogicalPlan {
        let scan: LogicalPlan.Scan, order: [Int]
        switch right {
        case .scan(let found): (scan, order) = (found, Array(found.used.indices))
        case .project(.scan(let found), let p):
            (scan, order) = (found, p.exprs.map { if case .column(let i, _) = $0 { i } else { -1 } })
        default:
            throw context.unsupported(
                "a join with a view or query as of processing time", fix: "join with a table of a connector that rows can be looked up in",
                at: ref.span)
        }
        let width = left.columns.count
        var keys: [(column: Int, value: Expr)] = [], rest: [Expr] = []
        func tableColumn(_ expr: Expr) -> Int? {
            guard case .column(let i, _) = expr, i >= width, case let column = scan.used[order[i - width]],
                case .physical = scan.table.columns[column].kind
            else { return nil }
            return column
        }
        for part in condition.conjuncts {
            guard case .call(let f, let args) = part, f.name == "=", args.count == 2,
                let (column, value) = [(args[0], args[1]), (args[1], args[0])].lazy.compactMap({ c, v in tableColumn(c).map { ($0, v) } }).first,
                value.columns.allSatisfy({ $0 < width }), value.isDeterministic,
                JoinKeys.keyType(scan.table.columns[column].type, value.type) != nil, scan.table.columns[column].type.physical == value.type.physical,
                !keys.contains(where: { $0.column == column })
            else {
                rest.append(part)
                continue
            }
            keys.append((column, value.type == scan.table.columns[column].type ? value : value.cast(toKey: scan.table.columns[column].type)))
        }
        guard !keys.isEmpty else {
            throw context.error(
                .validate, "a lookup join needs an equality with a column of table \(scan.table.name), of that column's type",
                fix: "write ON x.k = \(ref.alias ?? scan.table.name).k", at: ref.span)
        }
        return .step(
            LookupJoin(
                table: scan.table, used: order.map { scan.used[$0] }, keys: keys, isLeft: isLeft, condition: Expr.all(rest), columns: columns),
            [left])
    }
}

extension DataType {
    fileprivate var isZoned: Bool { if case .timestampLTZ = self { true } else { false } }
}
