import StreamCore
import StreamExpressions

/// Turns CREATE TABLE into a catalog table: every column typed, every name and option checked.
struct TableDefinition {
    var context: BindingContext
    var create: CreateTable
    /// The table's full name, when it is known already.
    var path: ObjectPath?

    func table() throws -> CatalogTable {
        if create.columns.isEmpty, let stored = try stored() {
            var filled = self
            filled.create = stored
            var table = try filled.table()
            // The catalog keeps what was written: the columns are those that the files have when the table is used.
            table.declaration = TableDeclaration(create)
            return table
        }
        let path = try self.path ?? context.catalog.path(of: create.name, context.script)
        let name = path.name
        try checkColumnNames(name)
        var columns: [CatalogTable.Column?] = [], metadata: [TableDescriptor.MetadataColumn] = []
        for definition in create.columns {
            switch definition.kind {
            case .physical(let type, let nullable):
                let isKey = create.primaryKey.contains(definition.name)
                columns.append(
                    .init(name: definition.name, type: type, nullable: nullable && !isKey, kind: .physical, comment: definition.comment))
            case .metadata(let type, let nullable, let key, let virtual):
                columns.append(
                    .init(
                        name: definition.name, type: type, nullable: nullable, kind: .metadata(metadata.count, virtual: virtual),
                        comment: definition.comment))
                metadata.append(.init(name: definition.name, key: key ?? definition.name, type: type, isVirtual: virtual))
            case .computed: columns.append(nil)
            }
        }
        try bindComputed(&columns)
        let complete = columns.map { $0! }
        let physical = complete.filter { if case .physical = $0.kind { true } else { false } }
        var options: [String: String] = [:], locations: [String: SourceLocation] = [:]
        for (key, value, span) in create.options {
            guard options[key] == nil else { throw context.error(.validate, "option '\(key)' is set twice", at: span) }
            options[key] = value
            locations[key] = context.script.location(span)
        }
        let descriptor = TableDescriptor(
            name: name, schema: physical.map { Field($0.name, $0.type, nullable: $0.nullable) }, metadata: metadata,
            primaryKey: create.primaryKey, partitionKeys: create.partitionKeys, options: options,
            optionLocations: locations)
        var table = CatalogTable(
            path: path, columns: complete, comment: create.comment, temporary: create.temporary, declaration: TableDeclaration(create),
            descriptor: descriptor, script: context.script)
        table.watermark = try watermark(complete)
        try checkKeys(table)
        try TableChecks(context).options(of: descriptor, at: create.name.span)
        return table
    }

    /// The statement with the columns and keys that the table's own files tell; nil when its connector does not look there.
    private func stored() throws -> CreateTable? {
        let options = Dictionary(create.options.map { ($0.key, $0.value) }) { $1 }
        guard let identifier = options["connector"], let connector = context.catalog.connector(identifier) else { return nil }
        let name = create.name.parts.last ?? ""
        let descriptor = TableDescriptor(name: name, schema: [], options: options,
                                         optionLocations: Dictionary(create.options.map { ($0.key, context.script.location($0.span)) }) { $1 })
        guard let stored = try context.script.locating(create.name.span, { try connector.storedTable(for: descriptor) }) else { return nil }
        guard !stored.schema.isEmpty else {
            throw context.error(.validate, "table \(name) has no columns, and its files tell none", fix: "list them: CREATE TABLE \(name) (id INT, ...)", at: create.name.span)
        }
        func agree(_ declared: [String], _ stored: [String], _ clause: String) throws -> [String] {
            guard declared.isEmpty || declared == stored else {
                throw context.error(.validate, "\(clause) (\(declared.joined(separator: ", "))) of table \(name) differs from that of its files, (\(stored.joined(separator: ", ")))",
                                    fix: "leave the clause out", at: create.name.span)
            }
            return stored
        }
        var filled = create
        filled.primaryKey = try agree(create.primaryKey, stored.primaryKey, "PRIMARY KEY")
        filled.partitionKeys = try agree(create.partitionKeys, stored.partitionKeys, "PARTITIONED BY")
        filled.columns = stored.schema.map { ColumnDefinition(name: $0.name, kind: .physical($0.type, nullable: $0.nullable), span: create.name.span) }
        return filled
    }

    private func checkColumnNames(_ table: String) throws {
        guard !create.columns.isEmpty else {
            throw context.error(
                .validate, "table \(table) has no columns", fix: "list them: CREATE TABLE \(table) (id INT, ...)", at: create.name.span)
        }
        var seen: Set<String> = []
        for column in create.columns where !seen.insert(column.name).inserted {
            throw context.error(.validate, "table \(table) has two columns named \(column.name)", at: column.span)
        }
    }

    /// Computed columns see the physical and metadata columns, not each other.
    private func bindComputed(_ columns: inout [CatalogTable.Column?]) throws {
        let known = columns.enumerated().compactMap { i, column in column.map { ($0.name, i) } }
        let plan = zip(columns, create.columns).map { column, definition in
            PlanColumn(definition.name, column?.type ?? .null, nullable: column?.nullable ?? true)
        }
        let scope = Scope(
            relations: [.init(alias: create.name.parts.last, columns: known.map { (name: $0.0, index: $0.1) })], columns: plan)
        for (i, definition) in create.columns.enumerated() {
            guard case .computed(let syntax) = definition.kind else { continue }
            let expr = try ExpressionBinder(context, scope: scope, clause: "a computed column").value(syntax)
            columns[i] = .init(
                name: definition.name, type: expr.type, nullable: expr.isNullable(in: plan), kind: .computed(expr, syntax),
                comment: definition.comment)
        }
    }

    private func watermark(_ columns: [CatalogTable.Column]) throws -> CatalogTable.Watermark? {
        guard let (name, syntax) = create.watermark else { return nil }
        guard let i = columns.firstIndex(where: { $0.name == name.text }) else {
            throw context.error(
                .validate, "WATERMARK FOR \(name.text): there is no such column",
                fix: NearName.hint(for: name.text, in: columns.map(\.name)), at: name.span)
        }
        guard columns[i].type.isTimestamp, columns[i].type.timeUnit == .milliseconds else {
            throw context.error(
                .validate, "WATERMARK FOR \(name.text): the column is of type \(columns[i].type)",
                fix: "make it TIMESTAMP(3) or TIMESTAMP_LTZ(3)", at: name.span)
        }
        let plan = columns.map { PlanColumn($0.name, $0.type, nullable: $0.nullable) }
        let expr = try ExpressionBinder(context, scope: Scope(alias: create.name.parts.last, columns: plan), clause: "WATERMARK").value(
            syntax)
        guard expr.type.isTimestamp, expr.type.timeUnit == .milliseconds else {
            throw context.error(
                .validate, "the watermark must be TIMESTAMP(3) or TIMESTAMP_LTZ(3), but this is of type \(expr.type)",
                fix: "write for example \(name.text) - INTERVAL '5' SECOND", at: syntax.span)
        }
        return .init(column: i, expr: expr, text: SyntaxText.of(syntax))
    }

    private func checkKeys(_ table: CatalogTable) throws {
        func check(_ names: [String], _ clause: String) throws {
            for (i, name) in names.enumerated() {
                guard let field = table.descriptor.schema.first(where: { $0.name == name }) else {
                    throw context.error(
                        .validate, "\(clause): table \(table.name) has no physical column \(name)",
                        fix: NearName.hint(for: name, in: table.descriptor.schema.map(\.name)), at: create.name.span)
                }
                guard !names[..<i].contains(name) else {
                    throw context.error(.validate, "\(clause): column \(name) stands there twice", at: create.name.span)
                }
                switch field.type {
                case .array, .map, .row:
                    throw context.error(
                        .validate, "\(clause): column \(name) is of type \(field.type), which cannot be a key", at: create.name.span)
                default: break
                }
            }
        }
        try check(table.descriptor.primaryKey, "PRIMARY KEY")
        try check(table.descriptor.partitionKeys, "PARTITIONED BY")
    }
}

/// Checks of a table against its connector.
struct TableChecks {
    /// Understood for every table; without a watermark it changes nothing.
    static let idleTimeoutOption = "scan.watermark.idle-timeout"

    /// Flink's options of every source.
    private static let foreignOptions = [
        ForeignOption("scan.watermark.emit.strategy", "watermarks follow each row"), ForeignOption("scan.watermark.emit.on-event.gap", "watermarks follow each row"),
        ForeignOption("scan.watermark.alignment.", "the split that is furthest behind is read first"),
        ForeignOption("property-version", "there is one version of it", usual: ["1"]),
    ]

    /// Connectors of Flink, and what takes their place.
    private static let foreignConnectors = [
        "elasticsearch-6": "write 'connector' = 'opensearch'", "elasticsearch-7": "write 'connector' = 'opensearch'", "elasticsearch-8": "write 'connector' = 'opensearch'",
        "jdbc": "look rows up with 'connector' = 'rest' or 'filesystem', and write to a topic or a lake table ('kafka', 'hudi', 'iceberg', 'delta')",
        "mysql-cdc": "read the changes from a topic: 'connector' = 'kafka', 'format' = 'debezium-json'",
        "postgres-cdc": "read the changes from a topic: 'connector' = 'kafka', 'format' = 'debezium-json'",
        "oracle-cdc": "read the changes from a topic: 'connector' = 'kafka', 'format' = 'debezium-json'",
        "sqlserver-cdc": "read the changes from a topic: 'connector' = 'kafka', 'format' = 'debezium-json'",
        "mongodb-cdc": "read the changes from a topic: 'connector' = 'kafka', 'format' = 'debezium-json'",
        "hive": "write 'connector' = 'filesystem' with the table's 'path' and 'format'", "paimon": "write 'connector' = 'iceberg' or 'hudi'",
        "firehose": "write 'connector' = 'kinesis', and let a delivery stream read it", "dynamodb": "write 'connector' = 'kinesis' or a lake table",
        "hbase-1.4": "look rows up with 'connector' = 'rest' or 'hudi'", "hbase-2.2": "look rows up with 'connector' = 'rest' or 'hudi'",
    ]

    var context: BindingContext
    init(_ context: BindingContext) { self.context = context }

    func connector(of table: TableDescriptor, at span: SourceSpan) throws -> any TableConnector {
        guard let identifier = table.options["connector"] else {
            throw context.error(
                .validate, "table \(table.name) has no option 'connector'",
                fix: "add 'connector' = '...' to WITH, one of \(context.catalog.connectorNames.joined(separator: ", "))", at: span)
        }
        guard let connector = context.catalog.connector(identifier) else {
            throw located(
                StreamError(
                    .validate, "table \(table.name): there is no connector '\(identifier)'",
                    fix: Self.foreignConnectors[identifier] ?? NearName.hint(for: identifier, in: context.catalog.connectorNames)), "connector", table, span)
        }
        return connector
    }

    /// The connector is known and accepts options and schema.
    func options(of table: TableDescriptor, at span: SourceSpan) throws {
        let connector = try connector(of: table, at: span)
        let known = connector.optionKeys(for: table).union(["connector", Self.idleTimeoutOption, JoinReorder.rowCountOption])
        let prefixes = known.filter { $0.hasSuffix(".") }, foreign = connector.foreignOptions(for: table) + Self.foreignOptions
        for key in table.options.keys.sorted() {
            if let option = Self.foreignOption(key, foreign, known) {
                try check(option, key, of: table, span)
                continue
            }
            if known.contains(key) || prefixes.contains(where: { key.hasPrefix($0) }) { continue }
            throw located(
                StreamError(
                    .validate, "table \(table.name): connector '\(connector.identifier)' has no option '\(key)'",
                    fix: NearName.nearest(to: key, in: foreign.map(\.key) + known).map { "write \"\($0)\($0.hasSuffix(".") ? "*" : "")\"" }
                        ?? NearName.hint(for: key, in: known.map { $0.hasSuffix(".") ? $0 + "*" : $0 })), key, table, span)
        }
        if let option = table.options[Self.idleTimeoutOption], Durations.parse(option) == nil {
            throw located(
                StreamError(
                    .validate, "table \(table.name): '\(Self.idleTimeoutOption)' = '\(option)' is not a length of time",
                    fix: "write for example '10 s'"), Self.idleTimeoutOption, table, span)
        }
        if let option = table.options[JoinReorder.rowCountOption], Double(option).map({ $0 >= 0 && $0.isFinite }) != true {
            throw located(
                StreamError(
                    .validate, "table \(table.name): '\(JoinReorder.rowCountOption)' = '\(option)' is not a number of rows",
                    fix: "write for example '10000'"), JoinReorder.rowCountOption, table, span)
        }
        do {
            try BadInput.checkDeclared(table)
            try connector.validate(table)
            if context.catalog.missingInput == nil { try connector.requireStorage(of: table) }
        } catch let error as StreamError {
            if error.location != nil { throw withLine(error) }
            throw located(error, nil, table, span)
        }
        let available = connector.metadataKeys(for: table)
        for column in table.metadata {
            guard available[column.key] != nil else {
                throw located(
                    StreamError(
                        .validate,
                        "table \(table.name): connector '\(connector.identifier)' has no metadata '\(column.key)' for column \(column.name)",
                        fix: NearName.hint(for: column.key, in: available.keys)), nil, table, span)
            }
        }
    }

    /// The option of another engine that a key is; what stands for many options leaves those that are known, and those that are meant to be.
    fileprivate static func foreignOption(_ key: String, _ foreign: [ForeignOption], _ known: Set<String>) -> ForeignOption? {
        guard let option = foreign.first(where: { $0.matches(key) }) else { return nil }
        if option.key == key { return option }
        guard let near = NearName.nearest(to: key, in: known), NearName.distance(Array(key), Array(near)) <= 2 else { return option }
        return nil
    }

    /// Keys of the table's options that are of Flink's connector and mean nothing here.
    static func foreignOptions(of table: TableDescriptor, _ connector: any TableConnector) -> Set<String> {
        let known = connector.optionKeys(for: table).union(["connector", idleTimeoutOption, JoinReorder.rowCountOption]), foreign = connector.foreignOptions(for: table) + foreignOptions
        return Set(table.options.keys.filter { foreignOption($0, foreign, known) != nil })
    }

    private func check(_ option: ForeignOption, _ key: String, of table: TableDescriptor, _ span: SourceSpan) throws {
        let value = table.options[key]!
        if option.usual.contains(value.trimmed.lowercased()) { return }
        var effect = option.effect
        if case .refusedOutsideUTC(let fix) = effect { effect = Self.isUTC(context.settings.timeZone) ? .ignored : .refused(fix: fix) }
        switch effect {
        case .ignored, .refusedOutsideUTC: context.catalog.notices.note("table \(table.name): option '\(key)' means nothing here: \(option.reason)")
        case .refused(let fix):
            throw located(StreamError(.validate, "table \(table.name): option '\(key)' = '\(value)' is not supported: \(option.reason)", fix: fix), key, table, span)
        }
    }

    private static func isUTC(_ zone: String) -> Bool { ["UTC", "GMT", "Z", "ETC/UTC", "+00:00", "GMT+00:00", "UTC+00:00"].contains(zone.uppercased()) }

    private func located(_ error: StreamError, _ key: String?, _ table: TableDescriptor, _ span: SourceSpan) -> StreamError {
        var error = error
        error.location = key.flatMap { table.optionLocations[$0] } ?? context.script.location(span)
        return withLine(error)
    }

    private func withLine(_ error: StreamError) -> StreamError {
        var error = error
        if error.sourceLine == nil, let location = error.location { error.sourceLine = context.script.line(location.line) }
        return error
    }
}

extension Catalog {
    /// Keys of the table's options that are of Flink's connector and mean nothing here; none when there is no such connector.
    public func foreignOptions(of table: TableDescriptor) -> Set<String> {
        table.options["connector"].flatMap { connector($0) }.map { TableChecks.foreignOptions(of: table, $0) } ?? []
    }
}
