import StreamCore
import StreamExpressions

/// A query fitted to a sink table.
struct BoundInsert: Sendable {
    /// Its columns are the sink's physical columns, then the metadata columns that it writes.
    var plan: LogicalPlan
    var table: CatalogTable
    /// The statement's place, for errors that show only when the job is put together.
    var span: SourceSpan
    var script: ScriptText
    /// What becomes of the rows that are there.
    var write = TableWrite.insert

    /// Both write to the same table with the same options.
    func isSameSink(as other: BoundInsert) -> Bool {
        table.path == other.table.path && table.temporary == other.table.temporary && table.descriptor.options == other.table.descriptor.options
            && write == other.write
    }
}

/// Turns INSERT INTO into a plan whose columns are those of the sink.
struct InsertBinder {
    var context: BindingContext
    init(_ context: BindingContext) { self.context = context }

    func bind(_ insert: Insert) throws -> BoundInsert {
        guard case .table(var table) = try context.catalog.lookUp(insert.target, context.script) else {
            throw context.error(.validate, "\(insert.target.text) is a view and cannot be written to", at: insert.target.span)
        }
        if !insert.hints.isEmpty {
            table.descriptor.options.merge(insert.hints) { $1 }
            for key in insert.hints.keys { table.descriptor.optionLocations[key] = context.script.location(insert.target.span) }
            try TableChecks(context).options(of: table.descriptor, at: insert.target.span)
        }
        var bound = try bind(insert, into: table)
        if insert.overwrite { bound.write = .overwrite(partition: try overwritten(insert, table)) }
        return bound
    }

    /// The values of PARTITION (...) when it names one partition.
    private func overwritten(_ insert: Insert, _ table: CatalogTable) throws -> [String: Value] {
        let identifier = table.descriptor.options["connector"] ?? ""
        guard context.catalog.connector(identifier) is any RowChangingConnector else {
            throw context.unsupported("INSERT OVERWRITE on connector '\(identifier)'", fix: "use INSERT INTO, or a table with 'connector' = 'hudi'", at: insert.span)
        }
        var values: [String: Value] = [:]
        for (key, syntax) in insert.partition?.entries ?? [] {
            guard let syntax, let field = table.descriptor.schema.first(where: { $0.name == key }) else { continue }
            let evaluation = EvaluationContext(timeZone: context.settings.timeZone, now: { 0 })
            values[key] = try PartitionLiteral.value(syntax, as: field, context, evaluation).0
        }
        return table.descriptor.partitionKeys.allSatisfy { values[$0] != nil } ? values : [:]
    }

    func bind(_ insert: Insert, into table: CatalogTable) throws -> BoundInsert {
        let written = try writtenMetadata(table, insert.target.span)
        let sink = table.descriptor.schema + written.map(\.field)
        let fixed = try fixedValues(insert, sink, table)
        let targets = try self.targets(insert, sink, order(table, written), table, fixed)
        let query = try QueryBinder(context).bind(insert.query, isOutermost: true, expected: targets.map { sink[$0].type })
        guard query.columns.count == targets.count else {
            throw context.error(
                .validate,
                "table \(table.name) takes \(targets.count) columns (\(targets.map { sink[$0].name }.joined(separator: ", "))), but the query gives \(query.columns.count) (\(query.columns.map(\.name).joined(separator: ", ")))",
                fix: "select one expression per column, or list the columns: INSERT INTO \(table.name) (...)", at: insert.target.span)
        }
        return try fit(query, to: table, targets, fixed, at: insert.target.span)
    }

    /// The columns that the query's go to, in its order; `isNarrowed` are those whose type takes fewer values than what the query gives.
    func columns(_ insert: Insert) throws -> [(name: String, type: DataType, isNarrowed: Bool)] {
        guard case .table(let table) = try context.catalog.lookUp(insert.target, context.script) else { return [] }
        let written = try writtenMetadata(table, insert.target.span)
        let sink = table.descriptor.schema + written.map(\.field)
        let targets = try self.targets(insert, sink, order(table, written), table, try fixedValues(insert, sink, table))
        let query = try QueryBinder(context).bind(insert.query, isOutermost: true, expected: targets.map { sink[$0].type })
        return zip(targets, query.columns).map { target, given in
            let field = sink[target]
            return (field.name, field.type, CheckedCasts.cast(.column(0, given.type), to: field.type, column: field.name) != nil)
        }
    }

    /// A query whose columns go to columns `targets` of a table: its physical columns, then the metadata columns that are written.
    ///
    /// - Parameter fixed: what other columns of the table are set to.
    func fit(_ query: LogicalPlan, to table: CatalogTable, _ targets: [Int], _ fixed: [Int: Expr] = [:], at span: SourceSpan) throws -> BoundInsert {
        let sink = table.descriptor.schema + (try writtenMetadata(table, span)).map(\.field)
        var exprs: [Expr] = [], columns: [PlanColumn] = [], checked: [Expr] = []
        for (i, field) in sink.enumerated() {
            guard let position = targets.firstIndex(of: i) else {
                if let value = fixed[i] {
                    exprs.append(value)
                    columns.append(PlanColumn(field.name, field.type, nullable: field.nullable))
                    continue
                }
                guard field.nullable else {
                    throw context.error(
                        .validate, "table \(table.name): column \(field.name) is NOT NULL, but the INSERT leaves it out",
                        fix: "add it to the column list", at: span)
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
                    fix: "write CAST(\(source.name) AS \(field.type))", at: span)
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
            plan: .project(kept, .init(exprs: exprs, columns: columns)), table: table, span: span, script: context.script)
    }

    /// The metadata columns that rows bring along: those not declared VIRTUAL, in the table's order.
    func writtenMetadata(_ table: CatalogTable, _ span: SourceSpan) throws -> [(column: Int, field: Field)] {
        var written: [(Int, Field)] = [], writable: Set<String>?
        for (i, column) in table.columns.enumerated() {
            guard case .metadata(let index, virtual: false) = column.kind else { continue }
            let known: Set<String>
            if let writable { known = writable } else { known = try TableChecks(context).connector(of: table.descriptor, at: span).writableMetadataKeys(for: table.descriptor) }
            writable = known
            guard known.contains(table.descriptor.metadata[index].key) else {
                throw context.error(
                    .validate,
                    "table \(table.name): metadata '\(table.descriptor.metadata[index].key)' of column \(column.name) cannot be written, as connector '\(table.descriptor.options["connector"] ?? "")' gives it only when reading",
                    fix: "declare the column VIRTUAL", at: span)
            }
            written.append((i, Field(column.name, column.type, nullable: column.nullable)))
        }
        return written
    }

    /// The sink's columns in the order in which the table declares them.
    private func order(_ table: CatalogTable, _ written: [(column: Int, field: Field)]) -> [Int] {
        table.columns.indices.compactMap { i in
            switch table.columns[i].kind {
            case .physical: table.physicalIndex(of: i)
            case .metadata: written.firstIndex { $0.column == i }.map { table.descriptor.schema.count + $0 }
            case .computed: nil
            }
        }
    }

    /// PARTITION (k = 'v'): what the columns of the sink are fixed to.
    private func fixedValues(_ insert: Insert, _ sink: Schema, _ table: CatalogTable) throws -> [Int: Expr] {
        guard let partition = insert.partition else { return [:] }
        var fixed: [Int: Expr] = [:]
        for (key, syntax) in partition.entries {
            guard table.descriptor.partitionKeys.contains(key), let i = sink.firstIndex(where: { $0.name == key }) else {
                throw context.error(
                    .validate, "table \(table.name) is not partitioned by \(key)",
                    fix: table.descriptor.partitionKeys.isEmpty
                        ? "leave PARTITION out: the table has no partitions" : NearName.hint(for: key, in: table.descriptor.partitionKeys),
                    at: partition.span)
            }
            // Without a value the query gives it.
            guard let syntax else { continue }
            fixed[i] = try PartitionLiteral.expression(syntax, as: sink[i], context)
        }
        return fixed
    }

    /// The sink's columns that the query's columns go to, in order.
    private func targets(_ insert: Insert, _ sink: Schema, _ order: [Int], _ table: CatalogTable, _ fixed: [Int: Expr]) throws -> [Int] {
        guard let names = insert.columns else { return order.filter { fixed[$0] == nil } }
        var targets: [Int] = []
        for name in names {
            guard let i = sink.firstIndex(where: { $0.name == name }) else {
                throw context.error(
                    .validate, "table \(table.name) has no column \(name) to write to",
                    fix: NearName.hint(for: name, in: sink.map(\.name)), at: insert.target.span)
            }
            guard fixed[i] == nil else {
                throw context.error(.validate, "column \(name) is fixed by PARTITION and listed too", fix: "remove it from the list", at: insert.target.span)
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
