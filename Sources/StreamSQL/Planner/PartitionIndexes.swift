import StreamCore

/// Reads and writes tables whose partitions their catalog keeps.
struct PartitionIndexes: Sendable {
    private var stores: [String: any CatalogStore] = [:]

    init(_ catalog: Catalog) {
        for name in catalog.catalogNames { stores[name] = try? catalog.store(name) }
    }

    /// The store that keeps the table's partitions; nil when nobody does. A hint may name another folder, of which the catalog
    /// knows nothing.
    private func store(_ table: CatalogTable, _ connector: any TableConnector) throws -> (any CatalogStore, any PartitionedConnector)? {
        guard !table.temporary, !table.descriptor.partitionKeys.isEmpty, table.descriptor.options == table.declaration.options,
            let connector = connector as? any PartitionedConnector, connector.readsGivenPartitions, let store = stores[table.path.catalog],
            try store.hasPartitions(of: table.name, in: table.path.database)
        else { return nil }
        return (store, connector)
    }

    /// What ``ScanRequest/partitions`` is for a scan.
    func lookUp(_ table: CatalogTable, _ connector: any TableConnector, _ filter: PartitionFilter) throws -> (@Sendable () throws -> [TablePartition])? {
        guard let (store, _) = try store(table, connector) else { return nil }
        let (path, keys) = (table.path, table.descriptor.partitionKeys)
        return { try store.partitions(of: path.name, in: path.database, keys: keys, matching: filter) }
    }

    /// The table's sink; new partitions become known to the catalog when they are committed.
    func sink(_ table: CatalogTable, _ connector: any TableConnector, timeZone: String) throws -> any TableSink {
        guard let (store, partitioned) = try store(table, connector) else { return try connector.sink(for: table.descriptor, timeZone: timeZone) }
        let path = table.path
        return try partitioned.sink(for: table.descriptor, timeZone: timeZone) {
            _ = try store.addPartitions($0, of: path.name, in: path.database)
        }
    }
}
