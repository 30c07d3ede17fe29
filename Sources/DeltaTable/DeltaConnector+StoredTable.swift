import LakeTable
import StreamCore

extension DeltaConnector {
    /// The columns and keys of the newest version, for a declaration without columns.
    public func storedTable(for table: TableDescriptor) throws -> StoredTable? {
        try Parquet.require()
        let files = try DeltaOptions(table: table).files()
        guard let snapshot = try DeltaSnapshot.load(files) else {
            throw StreamError(.validate, "there is no Delta table at \(files.root)", fix: "check 'path', or list the columns of a new table", at: table.optionLocations[LakeOptions.path])
        }
        try ProtocolCheck.requireReadable(snapshot, table: files.root)
        let key = (snapshot.metadata.configuration ?? [:])[DeltaOption.primaryKey] ?? nil
        return StoredTable(schema: try snapshot.schema().columns, primaryKey: key?.split(separator: ",").map { String($0) } ?? [],
                           partitionKeys: snapshot.metadata.partitionColumns)
    }
}
