import StreamCore
import StreamExpressions

/// A query fitted to a sink table.
struct BoundInsert: Sendable {
    /// Its columns are the sink's physical columns.
    var plan: LogicalPlan
    var table: CatalogTable
    /// The statement's place, for errors that show only when the job is put together.
    var span: SourceSpan
    var script: ScriptText
}

/// Turns INSERT INTO into a plan whose columns are those of the sink.
struct InsertBinder {
    var context: BindingContext
    init(_ context: BindingContext) { self.context = context }

    func bind(_ insert: Insert) throws -> BoundInsert {
        guard case .table(let table) = try context.catalog.lookUp(insert.target, context.script) else {
            throw context.error(.validate, "\(insert.target.text) is a view and cannot be written to", at: insert.target.span)
        }
        if insert.overwrite { throw context.unsupported("INSERT OVERWRITE", fix: "use INSERT INTO", at: insert.span) }
        if let column = table.columns.first(where: { if case .metadata(_, virtual: false) = $0.kind { true } else { false } }) {
            throw context.error(
                .validate, "table \(table.name): writing metadata column \(column.name) is not supported",
                fix: "declare it VIRTUAL", at: insert.target.span)
        }
        let sink = table.descriptor.schema
        let targets = try self.targets(insert, sink, table)
        let query = try QueryBinder(context).bind(insert.query, isOutermost: true, expected: targets.map { sink[$0].type })
        guard query.columns.count == targets.count else {
            throw context.error(
                .validate,
                "table \(table.name) takes \(targets.count) columns (\(targets.map { sink[$0].name }.joined(separator: ", "))), but the query gives \(query.columns.count) (\(query.columns.map(\.name).joined(separator: ", ")))",
                fix: "select one expression per column, or list the columns: INSERT INTO \(table.name) (...)", at: insert.target.span)
        }
        var exprs: [Expr] = [], columns: [PlanColumn] = [], checked: [Expr] = []
        for (i, field) in sink.enumerated() {
            guard let position = targets.firstIndex(of: i) else {
                guard field.nullable else {
                    throw context.error(
                        .validate, "table \(table.name): column \(field.name) is NOT NULL, but the INSERT leaves it out",
                        fix: "add it to the column list", at: insert.target.span)
                }
                exprs.append(.literal(.null, field.type))
                columns.append(PlanColumn(field.name, field.type))
                continue
            }
            let source = query.columns[position]
            guard ImplicitCasts.isInsertable(source.type, into: field.type) else {
                throw context.error(
                    .validate,
                    "table \(table.name): column \(field.name) is \(field.type), but the query gives \(source.name) \(source.type) for it",
                    fix: "write CAST(\(source.name) AS \(field.type))", at: insert.target.span)
            }
            let given = Expr.column(position, source.type)
            var expr = CheckedCasts.cast(given, to: field.type, column: field.name) ?? given.implicitlyCast(to: field.type)
            let nullable = expr.isNullable(in: query.columns)
            if nullable && !field.nullable {
                if context.settings.dropsNullsForNotNull {
                    checked.append(.isNull(expr, negated: true))
                } else {
                    expr = .call(Self.notNull(field, table.name), [expr])
                }
            }
            exprs.append(expr)
            columns.append(PlanColumn(field.name, field.type, nullable: nullable && field.nullable))
        }
        let kept = checked.isEmpty ? query : LogicalPlan.filter(query, checked.count == 1 ? checked[0] : .and(checked))
        return BoundInsert(
            plan: .project(kept, .init(exprs: exprs, columns: columns)), table: table, span: insert.target.span, script: context.script)
    }

    /// The sink's columns that the query's columns go to, in order.
    private func targets(_ insert: Insert, _ sink: Schema, _ table: CatalogTable) throws -> [Int] {
        guard let names = insert.columns else { return Array(sink.indices) }
        var targets: [Int] = []
        for name in names {
            guard let i = sink.firstIndex(where: { $0.name == name }) else {
                throw context.error(
                    .validate, "table \(table.name) has no column \(name) to write to",
                    fix: NearName.hint(for: name, in: sink.map(\.name)), at: insert.target.span)
            }
            guard !targets.contains(i) else { throw context.error(.validate, "column \(name) is listed twice", at: insert.target.span) }
            targets.append(i)
        }
        return targets
    }

    /// Passes its argument on and fails the job when it is null.
    private static func notNull(_ field: Field, _ table: String) -> BoundFunction {
        BoundFunction(name: "NOT NULL", resultType: field.type, isDeterministic: false) { args, rows, count, _ in
            let column = args[0]
            if let validity = column.validity {
                let n = rows?.count ?? count
                for i in 0..<n where !Bitmap.get(validity.base, rows.map { Int($0.rows[i]) } ?? i) {
                    throw StreamError(
                        .runtime, "table \(table): column \(field.name) is NOT NULL, but a row has null for it",
                        fix:
                            "filter such rows out with WHERE \(field.name) IS NOT NULL, or SET 'table.exec.sink.not-null-enforcer' = 'DROP'"
                    )
                }
            }
            return column
        }
    }
}
