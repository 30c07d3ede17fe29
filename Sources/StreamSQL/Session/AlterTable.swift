import StreamCore

/// ALTER TABLE.
extension SQLSession {
    func alterTable(_ name: QualifiedName, _ change: TableChange, _ script: ScriptText) throws -> StatementResult {
        switch change {
        case .rename(let new): return try rename(name, to: new, kind: "table", script)
        case .addPartitions(let specs, let ifNotExists): return try addPartitions(name, specs, ifNotExists, script)
        case .dropPartitions(let specs, let ifExists):
            return try dropRows(name, specs, ifExists, script) ?? dropPartitions(name, specs, ifExists, script)
        case .recoverPartitions: return try recoverPartitions(name, script)
        default: break
        }
        let entry = try catalog.lookUp(name, script)
        try check(entry, is: "table", name, script, form: "ALTER")
        guard case .table(let old) = entry else { return .message("") }
        if old.declaration.columns.isEmpty, change.isOfColumns {
            throw script.error(
                .validate, "table \(old.name) is declared without columns: it has those of its files", fix: "drop it and create it again with a list of columns",
                at: name.span)
        }
        let changed = try relocating(script, name.span) {
            var alteration = TableAlteration(name: old.name, declaration: old.declaration)
            try alteration.apply(change)
            return try table(alteration.declaration, old.path, temporary: old.temporary)
        }
        if old.temporary {
            catalog.setTemporary(.table(changed), at: old.path)
        } else {
            guard var object = try catalog.object(old.path), object.declaration == .table(old.declaration) else {
                throw script.error(
                    .conflict, "table \(old.name) was changed by another process in the meantime", fix: "repeat the statement", at: name.span)
            }
            object.declaration = .table(changed.declaration)
            try catalog.update(object, at: old.path, .table(changed))
        }
        return .message("table \(old.name) altered")
    }

    // MARK: partitions

    /// A table with partitions, and its connector.
    private func partitioned(_ name: QualifiedName, _ form: String, _ script: ScriptText) throws -> (CatalogTable, any PartitionedConnector) {
        guard case .table(let table) = try catalog.lookUp(name, script) else {
            throw script.error(.validate, "\(name.text) is a view; it has no partitions", at: name.span)
        }
        guard !table.descriptor.partitionKeys.isEmpty else {
            throw script.error(.validate, "table \(table.name) is not partitioned", fix: "create it with PARTITIONED BY", at: name.span)
        }
        let identifier = table.descriptor.options["connector"] ?? ""
        guard let connector = catalog.connector(identifier) as? any PartitionedConnector else {
            throw script.error(
                .plan, "not supported yet: \(form) on connector '\(identifier)'", fix: "use a table with 'connector' = 'filesystem'", at: name.span)
        }
        return (table, connector)
    }

    /// The same, for a table whose partitions its catalog can keep.
    private func indexable(_ name: QualifiedName, _ form: String, _ script: ScriptText) throws -> (CatalogTable, any PartitionedConnector) {
        let (table, connector) = try partitioned(name, form, script)
        guard connector.readsGivenPartitions else {
            throw script.error(
                .plan, "not supported yet: \(form) on connector '\(connector.identifier)', which knows its partitions itself",
                fix: "leave it out", at: name.span)
        }
        guard !table.temporary else {
            throw script.error(
                .validate, "table \(table.name) is temporary; its partitions are those on the disk", fix: "create it without TEMPORARY", at: name.span)
        }
        return (table, connector)
    }

    /// What PARTITION (...) asks for, and per column the name of its folder.
    private func filter(_ spec: PartitionSpec, _ table: CatalogTable, _ connector: any PartitionedConnector, _ script: ScriptText) throws
        -> (PartitionFilter, values: [String: Value], folders: [String: String])
    {
        var values: [String: Value] = [:], folders: [String: String] = [:]
        let context = try context(script)
        for (key, syntax) in spec.entries {
            guard table.descriptor.partitionKeys.contains(key), let field = table.descriptor.schema.first(where: { $0.name == key }) else {
                throw script.error(
                    .validate, "table \(table.name) is not partitioned by \(key)", fix: NearName.hint(for: key, in: table.descriptor.partitionKeys),
                    at: spec.span)
            }
            guard let syntax else { throw script.error(.validate, "PARTITION gives no value for \(key)", fix: "write \(key) = '...'", at: spec.span) }
            let (value, text) = try PartitionLiteral.value(syntax, as: field, context, evaluation)
            values[key] = value
            folders[key] = connector.partitionFolder(key, text, of: table.descriptor)
        }
        return (PartitionFilter(values: values.mapValues { [$0] }), values, folders)
    }

    private func partitions(_ table: CatalogTable, _ connector: any PartitionedConnector, _ filter: PartitionFilter) throws -> [TablePartition] {
        guard try catalog.hasPartitions(of: table) else { return try connector.partitions(of: table.descriptor, matching: filter) }
        return try catalog.store(table.path.catalog).partitions(
            of: table.name, in: table.path.database, keys: table.descriptor.partitionKeys, matching: filter)
    }

    func partitionNames(_ name: QualifiedName, _ spec: PartitionSpec?, _ script: ScriptText) throws -> [String] {
        let (table, connector) = try partitioned(name, "SHOW PARTITIONS", script)
        let wanted = try spec.map { try filter($0, table, connector, script).0 } ?? PartitionFilter()
        return try script.locating(name.span) { try partitions(table, connector, wanted).map(\.name) }
    }

    /// The first change of a table's partitions makes the catalog keep them: those on the disk are registered first.
    private func register(_ table: CatalogTable, _ connector: any PartitionedConnector) throws {
        guard try !catalog.hasPartitions(of: table) else { return }
        let found = try connector.partitions(of: table.descriptor, matching: PartitionFilter())
        _ = try catalog.store(table.path.catalog).addPartitions(found, of: table.name, in: table.path.database)
    }

    private func addPartitions(_ name: QualifiedName, _ specs: [PartitionSpec], _ ifNotExists: Bool, _ script: ScriptText) throws -> StatementResult {
        let (table, connector) = try indexable(name, "ALTER TABLE ... ADD PARTITION", script)
        let keys = table.descriptor.partitionKeys
        var new: [TablePartition] = []
        for spec in specs {
            let (_, values, folders) = try filter(spec, table, connector, script)
            if let missing = keys.first(where: { values[$0] == nil }) {
                throw script.error(.validate, "PARTITION gives no value for \(missing)", fix: "give a value for each of \(keys.joined(separator: ", "))", at: spec.span)
            }
            let folder = keys.map { folders[$0]! }.joined(separator: "/")
            new.append(TablePartition(name: folder, values: keys.map { values[$0]! }, location: folder))
        }
        try register(table, connector)
        let store = try catalog.store(table.path.catalog)
        if !ifNotExists {
            for (partition, spec) in zip(new, specs) {
                let filter = PartitionFilter(values: Dictionary(uniqueKeysWithValues: zip(keys, partition.values.map { [$0] })))
                let known = try store.partitions(of: table.name, in: table.path.database, keys: keys, matching: filter)
                if known.contains(where: { $0.name == partition.name }) {
                    throw script.error(
                        .validate, "table \(table.name) has the partition \(partition.name) already", fix: "write ADD IF NOT EXISTS PARTITION", at: spec.span)
                }
            }
        }
        let added = try store.addPartitions(new, of: table.name, in: table.path.database)
        return .message("\(added) partition\(added == 1 ? "" : "s") added to table \(table.name)")
    }

    private func dropPartitions(_ name: QualifiedName, _ specs: [PartitionSpec], _ ifExists: Bool, _ script: ScriptText) throws -> StatementResult {
        let (table, connector) = try indexable(name, "ALTER TABLE ... DROP PARTITION", script)
        let filters = try specs.map { try filter($0, table, connector, script).0 }
        try register(table, connector)
        let store = try catalog.store(table.path.catalog)
        var names: [String] = []
        for (filter, spec) in zip(filters, specs) {
            let found = try store.partitions(of: table.name, in: table.path.database, keys: table.descriptor.partitionKeys, matching: filter)
            guard ifExists || !found.isEmpty else {
                throw script.error(.validate, "table \(table.name) has no such partition", fix: "write DROP IF EXISTS PARTITION", at: spec.span)
            }
            names += found.map(\.name)
        }
        let dropped = try store.dropPartitions(named: names, of: table.name, in: table.path.database)
        return .message("\(dropped) partition\(dropped == 1 ? "" : "s") dropped from table \(table.name); the files stay")
    }

    /// Makes the catalog know the partitions that are on the disk, and forget those that are gone.
    private func recoverPartitions(_ name: QualifiedName, _ script: ScriptText) throws -> StatementResult {
        let (table, connector) = try indexable(name, "ALTER TABLE ... RECOVER PARTITIONS", script)
        let store = try catalog.store(table.path.catalog), all = PartitionFilter()
        let found = try script.locating(name.span) { try connector.partitions(of: table.descriptor, matching: all) }
        let known = try store.partitions(of: table.name, in: table.path.database, keys: table.descriptor.partitionKeys, matching: all)
        let there = Set(found.map(\.name))
        // One that lies elsewhere was put there on purpose.
        let gone = known.filter { !$0.location.hasPrefix("/") && !there.contains($0.name) }.map(\.name)
        let added = try store.addPartitions(found, of: table.name, in: table.path.database)
        let dropped = try store.dropPartitions(named: gone, of: table.name, in: table.path.database)
        return .message("\(added) partition\(added == 1 ? "" : "s") of table \(table.name) added, \(dropped) removed")
    }
}
