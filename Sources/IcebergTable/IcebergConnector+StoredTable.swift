import LakeTable
import StreamCore

extension IcebergConnector {
    /// The columns and keys of the newest metadata, for a declaration without columns. A table that is partitioned by more than
    /// plain columns is declared as one without partitions.
    public func storedTable(for table: TableDescriptor) throws -> StoredTable? {
        try Parquet.require()
        let files = try IcebergOptions(table).files(), folder = MetadataFolder(files: files)
        guard let newest = try folder.newest() else {
            throw StreamError(.validate, "there is no Iceberg table at \(files.root)", fix: "check 'path', or list the columns of a new table", at: table.optionLocations[LakeOptions.path])
        }
        let metadata = try folder.load(newest.path), parts = metadata.spec.parts
        let partitions = parts.allSatisfy { $0.transform == "identity" } ? parts.compactMap { metadata.schema.field($0.source)?.name } : []
        return StoredTable(schema: metadata.schema.columns, primaryKey: metadata.schema.identifierIDs.compactMap { metadata.schema.field($0)?.name },
                           partitionKeys: partitions)
    }
}
