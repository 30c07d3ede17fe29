import StreamCore
import StreamExpressions
import StreamOperators

/// The records of a scan that cannot be decoded (`'on-error' = 'dead-letter'`), as rows of what its connector tells of them. They
/// come out of the same source vertex as the table's rows.
struct BrokenRecords: PlanStep {
    var scan: LogicalPlan.Scan
    var columns: [PlanColumn]

    func title(_ inputs: [[PlanColumn]]) -> String { "BrokenRecords(\(scan.table.path.short))" }

    func modifications(_ inputs: [Modifications]) throws -> Modifications { .insert }

    func build(_ builder: inout JobGraphBuilder, _ inputs: [JobGraphBuilder.Stream]) throws -> JobGraphBuilder.Stream {
        var stream = try builder.add(scan)
        (stream.columns, stream.rows, stream.isChangelog, stream.updatedBy) = (columns, .errors, false, nil)
        return stream
    }

    /// Makes a descriptor give broken records as rows with this metadata, which starts with the reason, or skip them.
    ///
    /// - Returns: indices of the metadata; nil = the table does not put them aside, or they are skipped.
    static func metadata(of table: inout TableDescriptor, _ wanted: [TableDescriptor.MetadataColumn]?) -> [Int]? {
        guard BadInput.putsAside(table) else { return nil }
        guard let wanted else {
            table.options[BadInput.option] = OnError.skip.rawValue
            for key in table.options.keys where key.hasPrefix(BadInput.targetPrefix) { table.options[key] = nil }
            return nil
        }
        table.metadata += wanted
        return Array(table.metadata.indices.suffix(wanted.count))
    }
}

/// Makes the INSERTs that write the broken records of a job's tables.
struct DeadLetters {
    var context: BindingContext
    var settings: SessionSettings { context.settings }

    /// One for each table that the plans read and that puts broken records aside, and what is to be read for it.
    func inserts(for plans: [LogicalPlan]) throws -> [(insert: BoundInsert, key: String, metadata: [TableDescriptor.MetadataColumn])] {
        var scans: [(key: String, scan: LogicalPlan.Scan)] = []
        func collect(_ plan: LogicalPlan) {
            if case .scan(let scan) = plan, BadInput.putsAside(scan.table.descriptor), case let key = SharedScans.key(scan),
                !scans.contains(where: { $0.key == key }) {
                scans.append((key, scan))
            }
            plan.inputs.forEach(collect)
        }
        plans.forEach(collect)
        return try scans.map { key, scan in
            let (insert, metadata) = try self.insert(for: scan)
            return (insert, key, metadata)
        }
    }

    private func insert(for scan: LogicalPlan.Scan) throws -> (BoundInsert, [TableDescriptor.MetadataColumn]) {
        let table = scan.table, descriptor = table.descriptor
        guard let connector = context.catalog.connector(descriptor.options["connector"] ?? "") else {
            throw StreamError(.validate, "table \(table.name): its connector is not registered")
        }
        let target = try self.target(of: table, connector)
        guard target.path != table.path else {
            throw error("table \(table.name) cannot take its own dead letters: it would read them again", fix: "name another table", table)
        }
        // All that there is, then what is used of it: the reason first, as that marks the rows.
        var metadata = [TableDescriptor.MetadataColumn(name: "reason", key: BadInput.reasonKey, type: .string)]
        for (key, type) in connector.metadataKeys(for: descriptor).sorted(by: { $0.key < $1.key }) where key != BadInput.reasonKey {
            // What a format tells is not known of a record that it cannot read.
            if key.hasPrefix("value.") { continue }
            metadata.append(.init(name: Self.name(of: key), key: key, type: type))
        }
        let start = SourceSpan(start: 0, end: 0, line: 1, column: 1)
        let fields = target.descriptor.schema + (try located(table) { try InsertBinder(context).writtenMetadata(target, start) }).map(\.field)
        let fills = fields.map { Self.name(of: $0.name) }
        let used = metadata.indices.filter { $0 == 0 || fills.contains(metadata[$0].name) || fills.contains(Self.headers) && Self.inHeaders(metadata[$0]) }
        let read = used.map { metadata[$0] }
        let columns = read.map { PlanColumn($0.name, $0.type, nullable: ![BadInput.reasonKey, BadInput.recordKey].contains($0.key)) }
        var exprs: [Expr] = [], given: [PlanColumn] = []
        for (field, name) in zip(fields, fills) {
            var expr: Expr
            if let i = read.firstIndex(where: { $0.name == name }) {
                expr = .column(i, read[i].type)
            } else if name == "source" {
                expr = .literal(.string(table.path.short), .string)
            } else if name == Self.headers, target.declaration.columns.isEmpty {
                expr = try headers(read, columns, table)
            } else {
                let names = ["source"] + metadata.map(\.name)
                throw error("dead-letter table \(target.name): column \(field.name) is none of what is known of a broken record of \(table.name)",
                            fix: "name its columns as some of these: \(names.sorted().joined(separator: ", "))", table)
            }
            if field.type.isText, !expr.type.isText { expr = .cast(expr, to: field.type, safe: false) }
            given.append(PlanColumn(field.name, expr.type, nullable: expr.isNullable(in: columns)))
            exprs.append(expr)
        }
        let records = LogicalPlan.step(BrokenRecords(scan: scan, columns: columns), [])
        let insert = try located(table) {
            try InsertBinder(context).fit(
                .project(records, .init(exprs: exprs, columns: given)), to: target, Array(fields.indices), at: start)
        }
        return (BoundInsert(plan: CalcMerging().apply(insert.plan), table: insert.table, span: insert.span, script: insert.script), read)
    }

    /// The table of the catalog that the options name, or the connector's own.
    private func target(of table: CatalogTable, _ connector: any TableConnector) throws -> CatalogTable {
        guard let name = table.descriptor.options[BadInput.tableOption] else {
            guard let hidden = try connector.deadLetterTable(for: table.descriptor) else {
                throw error("table \(table.name) does not say where its dead letters go", fix: "add '\(BadInput.tableOption)' = 'name'", table)
            }
            let columns = hidden.schema.map { CatalogTable.Column(name: $0.name, type: $0.type, nullable: $0.nullable, kind: .physical) }
                + hidden.metadata.enumerated().map { .init(name: $1.name, type: $1.type, nullable: true, kind: .metadata($0, virtual: $1.isVirtual)) }
            var path = table.path
            path.name = hidden.name
            return CatalogTable(path: path, columns: columns, temporary: true, declaration: TableDeclaration(), descriptor: hidden, script: table.script)
        }
        return try located(table) {
            var script = table.script
            script.namespace = table.path.namespace
            let parsed: QualifiedName
            do { parsed = try SQLParser(text: name).parseName() } catch {
                throw StreamError(.validate, "table \(table.name): '\(BadInput.tableOption)' = '\(name)' is not a name of a table", fix: "write it as in 'letters' or 'database.letters'")
            }
            guard let entry = try context.catalog.entry(try context.catalog.path(of: parsed, script)) else {
                throw StreamError(.validate, "table \(table.name): there is no table \(name) for its dead letters",
                                  fix: "create it with columns such as reason STRING, record BYTES, source STRING")
            }
            guard case .table(let target) = entry else { throw StreamError(.validate, "\(name) is a view and cannot take dead letters", fix: "name a table") }
            return target
        }
    }

    // MARK: Names

    /// `shard-id` is `shard_id`, `error.record` is `record`.
    static func name(of key: String) -> String {
        let plain = key.hasPrefix("error.") ? String(key.dropFirst(6)) : key
        return String(plain.map { $0 == "-" || $0 == "." ? "_" : $0 }).lowercased()
    }

    /// A map of all that is known of a record but its bytes, for tables that connectors make.
    private static let headers = "error_headers"

    private static func inHeaders(_ column: TableDescriptor.MetadataColumn) -> Bool {
        ["topic", "partition", "offset"].contains(column.key)
    }

    /// `MAP['error.reason', ...]`, as bytes.
    private func headers(_ read: [TableDescriptor.MetadataColumn], _ columns: [PlanColumn], _ table: CatalogTable) throws -> Expr {
        let source = "'" + table.path.short.replacing("'", with: "''") + "'"
        let items = [("error.reason", "reason"), ("error.table", source)]
            + read.filter(Self.inHeaders).map { ("error." + $0.key, "CAST(\(SyntaxText.identifier($0.name)) AS STRING)") }
        let text = "MAP[" + items.map { "'\($0.0)', CAST(\($0.1) AS BYTES)" }.joined(separator: ", ") + "]"
        return try ExpressionBinder(context, scope: Scope(alias: nil, columns: columns), clause: "dead letters").value(SQLParser(text: text).parseExpression())
    }

    // MARK: Errors

    private func error(_ problem: String, fix: String, _ table: CatalogTable) -> StreamError {
        var error = StreamError(.validate, problem, fix: fix)
        locate(&error, table)
        return error
    }

    /// Errors stand at the option in the table's definition.
    private func located<T>(_ table: CatalogTable, _ body: () throws -> T) throws -> T {
        do { return try body() } catch var error as StreamError {
            locate(&error, table)
            throw error
        }
    }

    private func locate(_ error: inout StreamError, _ table: CatalogTable) {
        let options = table.descriptor.optionLocations
        guard let location = options[BadInput.tableOption] ?? options[BadInput.option] else { return }
        error.location = location
        error.sourceLine = table.script.line(location.line)
    }
}
