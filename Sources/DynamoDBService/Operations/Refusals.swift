import AWSProtocol

/// Operations of the model that have no meaning for tables in one file on one machine, and why.
enum Refusals {
    private static let backups = "there are no backups here: copy the data directory while the server is stopped"
    private static let global = "there is one region here, so tables have no replicas"
    private static let buckets = "there are no buckets here to import from or export to: read and write items with Scan and BatchWriteItem"
    private static let statements = "PartiQL is not spoken here: use the item operations, or SQL over the table's stream"
    private static let scaling = "capacity is not limited here, so there is nothing to scale"

    static let reasons: [String: String] = [
        "CreateBackup": backups, "DeleteBackup": backups, "DescribeBackup": backups, "RestoreTableFromBackup": backups,
        "RestoreTableToPointInTime": backups, "CreateGlobalTable": global, "DescribeGlobalTable": global, "DescribeGlobalTableSettings": global,
        "UpdateGlobalTable": global, "UpdateGlobalTableSettings": global, "DescribeTableReplicaAutoScaling": scaling,
        "UpdateTableReplicaAutoScaling": scaling, "ExportTableToPointInTime": buckets, "DescribeExport": buckets, "ImportTable": buckets,
        "DescribeImport": buckets, "StartBulkPutItems": buckets, "CancelBulkOperation": buckets, "DescribeBulkOperation": buckets,
        "BatchExecuteStatement": statements, "ExecuteStatement": statements, "ExecuteTransaction": statements,
        "SearchVectors": "vector indexes are not kept here", "UpdateContributorInsights": "accesses are not counted by key here",
    ]

    /// What there is none of is listed as nothing.
    static let empty: [String: AWSValue] = [
        "ListBackups": ["BackupSummaries": []], "ListGlobalTables": ["GlobalTables": []], "ListExports": ["ExportSummaries": []],
        "ListImports": ["ImportSummaryList": []], "ListBulkOperations": ["BulkOperationsSummaryList": []],
        "ListContributorInsights": ["ContributorInsightsSummaries": []],
    ]

    static func operation(_ name: String) -> AWSError? {
        reasons[name].map { AWSError("UnknownOperationException", "\(name) is not supported by this endpoint: \($0)") }
    }

    static func unsupported(_ member: String, _ what: String) -> AWSError {
        .validation("\(member) is not supported by this endpoint: it has no \(what)")
    }
}
