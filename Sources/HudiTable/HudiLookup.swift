import LakeTable
import StreamCore

extension HudiConnector: LookupConnector {
    /// The newest snapshot is kept as a whole, and read again when a commit has made another.
    public func lookup(for table: TableDescriptor, request: LookupRequest) throws -> LookupAccess {
        try Parquet.require()
        let files = try HudiOptions(table: table).files()
        let scan = ScanRequest(projection: request.projection, timeZone: request.timeZone)
        // Names of base files hold the instants that wrote them.
        return .whole(ScannedTable(
            version: { try HudiSource(files: files, table: table, scan: scan).splits().map(\.id).sorted().joined(separator: "\n") },
            source: { HudiSource(files: files, table: table, scan: scan) }))
    }
}
