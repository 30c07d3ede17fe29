import StreamCore
import StreamExpressions

/// DELETE, UPDATE, TRUNCATE TABLE and DROP PARTITION: changes of the rows of a table that its connector can make.
extension SQLSession {
    /// DELETE FROM t WHERE c runs as a query of the rows that c holds for, into a sink that takes them away.
    func delete(_ name: QualifiedName, _ filter: SyntaxExpr?, _ script: ScriptText) throws -> StatementResult {
        let (table, _) = try changeable(name, "DELETE FROM", script)
        let items = table.descriptor.schema.map { Self.item($0.name, at: name.span) }
        return try rowChange(table, name, items, filter, .delete, script)
    }

    /// UPDATE t SET a = x WHERE c runs as a query of the new rows, into a sink that puts them in the place of the old ones.
    func update(_ name: QualifiedName, _ assignments: [(column: QualifiedName, value: SyntaxExpr)], _ filter: SyntaxExpr?, _ script: ScriptText)
        throws -> StatementResult
    {
        let (table, _) = try changeable(name, "UPDATE", script)
        var new: [String: SyntaxExpr] = [:]
        for (column, value) in assignments {
            let local = column.parts.last!
            guard table.descriptor.schema.contains(where: { $0.name == local }) else {
                throw script.error(
                    .validate, "table \(table.name) has no column \(local) to set", fix: NearName.hint(for: local, in: table.descriptor.schema.map(\.name)), at: column.span)
            }
            guard new[local] == nil else { throw script.error(.validate, "column \(local) is set twice", fix: "remove one of them", at: column.span) }
            guard !table.descriptor.primaryKey.contains(local) else {
                throw script.error(
                    .validate, "column \(local) is part of the primary key, which tells which row is meant", fix: "DELETE the row and INSERT another one", at: column.span)
            }
            new[local] = value
        }
        let items = table.descriptor.schema.map { field in
            new[field.name].map { Select.Item(expr: $0, alias: field.name) } ?? Self.item(field.name, at: name.span)
        }
        return try rowChange(table, name, items, filter, .update(columns: Set(new.keys)), script)
    }

    private static func item(_ column: String, at span: SourceSpan) -> Select.Item {
        Select.Item(expr: SyntaxExpr(.name(QualifiedName([column], span: span)), span: span), alias: nil)
    }

    private func rowChange(_ table: CatalogTable, _ name: QualifiedName, _ items: [Select.Item], _ filter: SyntaxExpr?, _ write: TableWrite, _ script: ScriptText)
        throws -> StatementResult
    {
        let select = Select(
            distinct: false, items: items, from: TableRef(.table(name, hints: [:]), span: name.span), filter: filter, groupBy: [], having: nil, span: name.span)
        let insert = Insert(
            target: name, columns: table.descriptor.schema.map(\.name), query: Query(body: .select(select), span: name.span), span: name.span)
        let context = try context(script)
        var bound = try InsertBinder(context).bind(insert)
        bound.write = write
        return .insert(try planner(script).jobGraph([bound], context).graph)
    }

    func truncate(_ name: QualifiedName, _ script: ScriptText) throws -> StatementResult {
        let (table, connector) = try changeable(name, "TRUNCATE TABLE", script)
        _ = try script.locating(name.span) { try connector.removeRows(of: table.descriptor, partitions: nil) }
        return .message("table \(table.name) is empty")
    }

    /// nil when the connector does not change rows: its partitions are then only what the catalog knows of.
    func dropRows(_ name: QualifiedName, _ specs: [PartitionSpec], _ ifExists: Bool, _ script: ScriptText) throws -> StatementResult? {
        guard case .table(let table) = try catalog.lookUp(name, script),
            let connector = catalog.connector(table.descriptor.options["connector"] ?? "") as? any RowChangingConnector
        else { return nil }
        let context = try context(script)
        let partitions = try specs.map { spec in
            var values: [String: Value] = [:]
            for (key, syntax) in spec.entries {
                guard table.descriptor.partitionKeys.contains(key), let field = table.descriptor.schema.first(where: { $0.name == key }) else {
                    throw script.error(
                        .validate, "table \(table.name) is not partitioned by \(key)",
                        fix: table.descriptor.partitionKeys.isEmpty ? "write TRUNCATE TABLE" : NearName.hint(for: key, in: table.descriptor.partitionKeys), at: spec.span)
                }
                guard let syntax else { throw script.error(.validate, "PARTITION gives no value for \(key)", fix: "write \(key) = '...'", at: spec.span) }
                values[key] = try PartitionLiteral.value(syntax, as: field, context, evaluation).0
            }
            return values
        }
        let removed = try script.locating(name.span) { try connector.removeRows(of: table.descriptor, partitions: partitions) }
        guard removed > 0 || ifExists else {
            throw script.error(.validate, "table \(table.name) has no such partition", fix: "write DROP IF EXISTS PARTITION", at: specs.first?.span ?? name.span)
        }
        return .message("\(removed) partition\(removed == 1 ? "" : "s") dropped from table \(table.name)")
    }

    private func changeable(_ name: QualifiedName, _ form: String, _ script: ScriptText) throws -> (CatalogTable, any RowChangingConnector) {
        guard case .table(let table) = try catalog.lookUp(name, script) else {
            throw script.error(.validate, "\(name.text) is a view; its rows cannot be changed", fix: "change the table that it is made of", at: name.span)
        }
        let identifier = table.descriptor.options["connector"] ?? ""
        guard let connector = catalog.connector(identifier) as? any RowChangingConnector else {
            throw script.error(
                .plan, "not supported yet: \(form) on connector '\(identifier)', which cannot change rows",
                fix: "write the rows that are to stay into another table, or use a table with 'connector' = 'hudi'", at: name.span)
        }
        return (table, connector)
    }
}
