import LakeTable
import StreamCore

/// INSERT OVERWRITE, UPDATE, DELETE, TRUNCATE TABLE and DROP PARTITION.
extension HudiConnector: RowChangingConnector {
    public func sink(for table: TableDescriptor, timeZone: String, write: TableWrite) throws -> any TableSink {
        guard write != .insert else { return try sink(for: table, timeZone: timeZone) }
        var table = table
        // The statement is one commit.
        table.options[HudiOption.commitInterval] = nil
        table.options[HudiOption.operation] = nil
        return try sink(for: table) { configuration, properties in
            // What a statement says holds whatever the ordering field of the rows.
            configuration.orderingField = nil
            switch write {
            case .insert: break
            case .delete: configuration.operation = .delete
            case .update(let columns):
                try requireUpdatable(table, columns, configuration, properties)
                configuration.operation = .upsert
            case .overwrite(let partition):
                configuration.operation = properties.partitionFields.isEmpty ? .insertOverwriteTable : .insertOverwrite
                if !partition.isEmpty { configuration.overwrittenPartition = try path(of: partition, table, properties) }
            }
        }
    }

    private func requireUpdatable(_ table: TableDescriptor, _ columns: Set<String>, _ configuration: WriteConfiguration, _ properties: TableProperties) throws {
        func refuse(_ problem: String, _ fix: String) -> StreamError { StreamError(.validate, "table \(table.name): \(problem)", fix: fix) }
        if let key = properties.recordKeyFields.first(where: columns.contains) {
            throw refuse("column \(key) is part of the record key, which tells which row is meant", "DELETE the row and INSERT another one")
        }
        if !configuration.globalKeys, let field = properties.partitionFields.first(where: columns.contains) {
            throw refuse("column \(field) tells the partition, and keys are unique only in theirs: the old row would stay",
                         "set 'index.global.enabled' = 'true', or DELETE the row and INSERT another one")
        }
        let stored = try TableSnapshot.load(try HudiOptions(table: table).files(), properties).schema ?? []
        if let missing = stored.first(where: { column in !table.schema.contains { $0.name == column.name } }) {
            throw refuse("column \(missing.name) is not declared: its values would be lost in the rows that are changed", "declare \(missing.name) \(missing.type)")
        }
    }

    public func removeRows(of table: TableDescriptor, partitions: [[String: Value]]?) throws -> Int {
        let files = try HudiOptions(table: table).files()
        // A table that was never written to has no rows.
        guard let properties = try TableProperties.load(files) else { return 0 }
        let live = Set(try TableSnapshot.load(files, properties).slices.map(\.partition))
        let wanted = try partitions.map { try $0.map { try levels(of: $0, table, properties) } }
        let doomed = live.filter { path in
            let folders = path.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            return wanted?.contains { $0.allSatisfy { level, name in level < folders.count && folders[level] == name } } ?? true
        }
        guard !doomed.isEmpty else { return 0 }
        _ = try TableMaintenance(files.root, host: host, reached: reached).removePartitions(wanted == nil ? nil : doomed.sorted())
        return doomed.count
    }

    /// Level of the path -> the name of its folder.
    private func levels(of values: [String: Value], _ table: TableDescriptor, _ properties: TableProperties) throws -> [Int: String] {
        var levels: [Int: String] = [:]
        for (key, value) in values {
            guard let level = properties.partitionFields.firstIndex(of: key), let type = table.schema.first(where: { $0.name == key })?.type else {
                throw StreamError(.validate, "table \(table.name) is not partitioned by \(key)", fix: NearName.hint(for: key, in: properties.partitionFields))
            }
            let builder = ColumnBuilder(type: type, capacity: 1)
            builder.append(value)
            let stored = try ColumnConversion.convert(builder.finish(), to: try StoredTypes.stored(type, column: key), name: key)
            let text = try TextColumn(stored, null: PartitionPath.defaultName, empty: PartitionPath.defaultName, what: key)
            levels[level] = try PartitionPath.level(field: key, value: String(decoding: text.value(0), as: UTF8.self), properties.keyRules)
        }
        return levels
    }

    private func path(of values: [String: Value], _ table: TableDescriptor, _ properties: TableProperties) throws -> String {
        try levels(of: values, table, properties).sorted { $0.key < $1.key }.map(\.value).joined(separator: "/")
    }
}
