// Written by Tests/Support/aws/dynamodb_shapes.py from the service's model. Do not edit.
import AWSProtocol

extension Shapes {
    /// What each operation takes.
    static let inputs: [String: Structure] = [
        "BatchExecuteStatement": batchExecuteStatementInput,
        "BatchGetItem": batchGetItemInput,
        "BatchWriteItem": batchWriteItemInput,
        "CancelBulkOperation": cancelBulkOperationInput,
        "CreateBackup": createBackupInput,
        "CreateGlobalTable": createGlobalTableInput,
        "CreateTable": createTableInput,
        "DeleteBackup": deleteBackupInput,
        "DeleteItem": deleteItemInput,
        "DeleteResourcePolicy": deleteResourcePolicyInput,
        "DeleteTable": deleteTableInput,
        "DescribeBackup": describeBackupInput,
        "DescribeBulkOperation": describeBulkOperationInput,
        "DescribeContinuousBackups": describeContinuousBackupsInput,
        "DescribeContributorInsights": describeContributorInsightsInput,
        "DescribeEndpoints": describeEndpointsRequest,
        "DescribeExport": describeExportInput,
        "DescribeGlobalTable": describeGlobalTableInput,
        "DescribeGlobalTableSettings": describeGlobalTableSettingsInput,
        "DescribeImport": describeImportInput,
        "DescribeKinesisStreamingDestination": describeKinesisStreamingDestinationInput,
        "DescribeLimits": describeLimitsInput,
        "DescribeTable": describeTableInput,
        "DescribeTableReplicaAutoScaling": describeTableReplicaAutoScalingInput,
        "DescribeTimeToLive": describeTimeToLiveInput,
        "DisableKinesisStreamingDestination": kinesisStreamingDestinationInput,
        "EnableKinesisStreamingDestination": kinesisStreamingDestinationInput,
        "ExecuteStatement": executeStatementInput,
        "ExecuteTransaction": executeTransactionInput,
        "ExportTableToPointInTime": exportTableToPointInTimeInput,
        "GetItem": getItemInput,
        "GetResourcePolicy": getResourcePolicyInput,
        "ImportTable": importTableInput,
        "ListBackups": listBackupsInput,
        "ListBulkOperations": listBulkOperationsInput,
        "ListContributorInsights": listContributorInsightsInput,
        "ListExports": listExportsInput,
        "ListGlobalTables": listGlobalTablesInput,
        "ListImports": listImportsInput,
        "ListTables": listTablesInput,
        "ListTagsOfResource": listTagsOfResourceInput,
        "PutItem": putItemInput,
        "PutResourcePolicy": putResourcePolicyInput,
        "Query": queryInput,
        "RestoreTableFromBackup": restoreTableFromBackupInput,
        "RestoreTableToPointInTime": restoreTableToPointInTimeInput,
        "Scan": scanInput,
        "SearchVectors": searchVectorsInput,
        "StartBulkPutItems": startBulkPutItemsInput,
        "TagResource": tagResourceInput,
        "TransactGetItems": transactGetItemsInput,
        "TransactWriteItems": transactWriteItemsInput,
        "UntagResource": untagResourceInput,
        "UpdateContinuousBackups": updateContinuousBackupsInput,
        "UpdateContributorInsights": updateContributorInsightsInput,
        "UpdateGlobalTable": updateGlobalTableInput,
        "UpdateGlobalTableSettings": updateGlobalTableSettingsInput,
        "UpdateItem": updateItemInput,
        "UpdateKinesisStreamingDestination": updateKinesisStreamingDestinationInput,
        "UpdateTable": updateTableInput,
        "UpdateTableReplicaAutoScaling": updateTableReplicaAutoScalingInput,
        "UpdateTimeToLive": updateTimeToLiveInput,
    ]

    static let batchExecuteStatementInput: Structure = .init([
        .init("Statements", .list(.structure(batchStatementRequest), min: 1, max: 25), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
    ])

    static let batchGetItemInput: Structure = .init([
        .init("RequestItems", .map(key: .string(min: 1, max: 1024), value: .structure(keysAndAttributes), min: 1, max: 100), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
    ])

    static let batchWriteItemInput: Structure = .init([
        .init("RequestItems", .map(key: .string(min: 1, max: 1024), value: .list(.structure(writeRequest), min: 1, max: 25), min: 1, max: 25), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
    ])

    static let cancelBulkOperationInput: Structure = .init([
        .init("BulkOperationArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let createBackupInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("BackupName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
    ])

    static let createGlobalTableInput: Structure = .init([
        .init("GlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("ReplicationGroup", .list(.structure(replica)), isRequired: true),
    ])

    static let createTableInput: Structure = .init([
        .init("AttributeDefinitions", .list(.structure(attributeDefinition)), isRequired: false),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("KeySchema", .list(.structure(keySchemaElement), min: 1), isRequired: false),
        .init("LocalSecondaryIndexes", .list(.structure(localSecondaryIndex)), isRequired: false),
        .init("GlobalSecondaryIndexes", .list(.structure(globalSecondaryIndex)), isRequired: false),
        .init("BillingMode", .string(values: ["PROVISIONED", "PAY_PER_REQUEST"]), isRequired: false),
        .init("ProvisionedThroughput", .structure(provisionedThroughput), isRequired: false),
        .init("StreamSpecification", .structure(streamSpecification), isRequired: false),
        .init("SSESpecification", .structure(sseSpecification), isRequired: false),
        .init("Tags", .list(.structure(tag)), isRequired: false),
        .init("TableClass", .string(values: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"]), isRequired: false),
        .init("DeletionProtectionEnabled", .boolean, isRequired: false),
        .init("WarmThroughput", .structure(warmThroughput), isRequired: false),
        .init("ResourcePolicy", .text, isRequired: false),
        .init("OnDemandThroughput", .structure(onDemandThroughput), isRequired: false),
        .init("GlobalTableSourceArn", .string(min: 1, max: 1024), isRequired: false),
        .init("GlobalTableSettingsReplicationMode", .string(values: ["ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"]), isRequired: false),
        .init("VectorIndexes", .list(.structure(vectorIndex)), isRequired: false),
    ])

    static let deleteBackupInput: Structure = .init([
        .init("BackupArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let deleteItemInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("Expected", .map(key: .string(max: 65535), value: .structure(expectedAttributeValue)), isRequired: false),
        .init("ConditionalOperator", .string(values: ["AND", "OR"]), isRequired: false),
        .init("ReturnValues", .string(values: ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let deleteResourcePolicyInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
        .init("ExpectedRevisionId", .string(min: 1, max: 255), isRequired: false),
    ])

    static let deleteTableInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeBackupInput: Structure = .init([
        .init("BackupArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let describeBulkOperationInput: Structure = .init([
        .init("BulkOperationArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let describeContinuousBackupsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeContributorInsightsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
    ])

    static let describeEndpointsRequest: Structure = .init([
    ])

    static let describeExportInput: Structure = .init([
        .init("ExportArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let describeGlobalTableInput: Structure = .init([
        .init("GlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
    ])

    static let describeGlobalTableSettingsInput: Structure = .init([
        .init("GlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
    ])

    static let describeImportInput: Structure = .init([
        .init("ImportArn", .string(min: 37, max: 1024), isRequired: true),
    ])

    static let describeKinesisStreamingDestinationInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeLimitsInput: Structure = .init([
    ])

    static let describeTableInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeTableReplicaAutoScalingInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeTimeToLiveInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let kinesisStreamingDestinationInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("StreamArn", .string(min: 37, max: 1024), isRequired: true),
        .init("EnableKinesisStreamingConfiguration", .structure(enableKinesisStreamingConfiguration), isRequired: false),
    ])

    static let executeStatementInput: Structure = .init([
        .init("Statement", .string(min: 1, max: 8192), isRequired: true),
        .init("Parameters", .list(.recursive { .structure(attributeValue) }, min: 1), isRequired: false),
        .init("ConsistentRead", .boolean, isRequired: false),
        .init("NextToken", .string(min: 1, max: 32768), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("Limit", .integer(min: 1), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let executeTransactionInput: Structure = .init([
        .init("TransactStatements", .list(.structure(parameterizedStatement), min: 1, max: 100), isRequired: true),
        .init("ClientRequestToken", .string(min: 1, max: 36), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
    ])

    static let exportTableToPointInTimeInput: Structure = .init([
        .init("TableArn", .string(min: 1, max: 1024), isRequired: true),
        .init("ExportTime", .timestamp, isRequired: false),
        .init("ClientToken", .string(pattern: .regularExpression("^[^\\$]+$")), isRequired: false),
        .init("S3Bucket", .string(max: 255, pattern: .regularExpression("^[a-z0-9A-Z]+[\\.\\-\\w]*[a-z0-9A-Z]+$")), isRequired: true),
        .init("S3BucketOwner", .string(pattern: .regularExpression("[0-9]{12}")), isRequired: false),
        .init("S3Prefix", .string(max: 1024), isRequired: false),
        .init("S3SseAlgorithm", .string(values: ["AES256", "KMS"]), isRequired: false),
        .init("S3SseKmsKeyId", .string(min: 1, max: 2048), isRequired: false),
        .init("ExportFormat", .string(values: ["DYNAMODB_JSON", "ION"]), isRequired: false),
        .init("ExportType", .string(values: ["FULL_EXPORT", "INCREMENTAL_EXPORT"]), isRequired: false),
        .init("IncrementalExportSpecification", .structure(incrementalExportSpecification), isRequired: false),
        .init("FilterSpecification", .structure(filterSpecification), isRequired: false),
    ])

    static let getItemInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("AttributesToGet", .list(.string(max: 65535), min: 1), isRequired: false),
        .init("ConsistentRead", .boolean, isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
    ])

    static let getResourcePolicyInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
    ])

    static let importTableInput: Structure = .init([
        .init("ClientToken", .string(pattern: .regularExpression("^[^\\$]+$")), isRequired: false),
        .init("S3BucketSource", .structure(s3BucketSource), isRequired: true),
        .init("InputFormat", .string(values: ["DYNAMODB_JSON", "ION", "CSV"]), isRequired: true),
        .init("InputFormatOptions", .structure(inputFormatOptions), isRequired: false),
        .init("InputCompressionType", .string(values: ["GZIP", "ZSTD", "NONE"]), isRequired: false),
        .init("TableCreationParameters", .structure(tableCreationParameters), isRequired: true),
    ])

    static let listBackupsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: false),
        .init("Limit", .integer(min: 1, max: 100), isRequired: false),
        .init("TimeRangeLowerBound", .timestamp, isRequired: false),
        .init("TimeRangeUpperBound", .timestamp, isRequired: false),
        .init("ExclusiveStartBackupArn", .string(min: 37, max: 1024), isRequired: false),
        .init("BackupType", .string(values: ["USER", "SYSTEM", "AWS_BACKUP", "ALL"]), isRequired: false),
    ])

    static let listBulkOperationsInput: Structure = .init([
        .init("MaxResults", .integer(min: 1, max: 25), isRequired: false),
        .init("NextToken", .string(min: 1, max: 1024, pattern: .regularExpression("([0-9a-f]{16})+")), isRequired: false),
    ])

    static let listContributorInsightsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: false),
        .init("NextToken", .text, isRequired: false),
        .init("MaxResults", .integer(max: 100), isRequired: false),
    ])

    static let listExportsInput: Structure = .init([
        .init("TableArn", .string(min: 1, max: 1024), isRequired: false),
        .init("MaxResults", .integer(min: 1, max: 25), isRequired: false),
        .init("NextToken", .text, isRequired: false),
    ])

    static let listGlobalTablesInput: Structure = .init([
        .init("ExclusiveStartGlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("Limit", .integer(min: 1), isRequired: false),
        .init("RegionName", .text, isRequired: false),
    ])

    static let listImportsInput: Structure = .init([
        .init("TableArn", .string(min: 1, max: 1024), isRequired: false),
        .init("PageSize", .integer(min: 1, max: 25), isRequired: false),
        .init("NextToken", .string(min: 112, max: 1024, pattern: .regularExpression("([0-9a-f]{16})+")), isRequired: false),
    ])

    static let listTablesInput: Structure = .init([
        .init("ExclusiveStartTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("Limit", .integer(min: 1, max: 100), isRequired: false),
    ])

    static let listTagsOfResourceInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
        .init("NextToken", .text, isRequired: false),
    ])

    static let putItemInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("Item", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("Expected", .map(key: .string(max: 65535), value: .structure(expectedAttributeValue)), isRequired: false),
        .init("ReturnValues", .string(values: ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
        .init("ConditionalOperator", .string(values: ["AND", "OR"]), isRequired: false),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let putResourcePolicyInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
        .init("Policy", .text, isRequired: true),
        .init("ExpectedRevisionId", .string(min: 1, max: 255), isRequired: false),
        .init("ConfirmRemoveSelfResourceAccess", .boolean, isRequired: false),
    ])

    static let queryInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("Select", .string(values: ["ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"]), isRequired: false),
        .init("AttributesToGet", .list(.string(max: 65535), min: 1), isRequired: false),
        .init("Limit", .integer(min: 1), isRequired: false),
        .init("ConsistentRead", .boolean, isRequired: false),
        .init("KeyConditions", .map(key: .string(max: 65535), value: .structure(condition)), isRequired: false),
        .init("QueryFilter", .map(key: .string(max: 65535), value: .structure(condition)), isRequired: false),
        .init("ConditionalOperator", .string(values: ["AND", "OR"]), isRequired: false),
        .init("ScanIndexForward", .boolean, isRequired: false),
        .init("ExclusiveStartKey", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("FilterExpression", .text, isRequired: false),
        .init("KeyConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
    ])

    static let restoreTableFromBackupInput: Structure = .init([
        .init("TargetTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("BackupArn", .string(min: 37, max: 1024), isRequired: true),
        .init("BillingModeOverride", .string(values: ["PROVISIONED", "PAY_PER_REQUEST"]), isRequired: false),
        .init("GlobalSecondaryIndexOverride", .list(.structure(globalSecondaryIndex)), isRequired: false),
        .init("LocalSecondaryIndexOverride", .list(.structure(localSecondaryIndex)), isRequired: false),
        .init("ProvisionedThroughputOverride", .structure(provisionedThroughput), isRequired: false),
        .init("OnDemandThroughputOverride", .structure(onDemandThroughput), isRequired: false),
        .init("SSESpecificationOverride", .structure(sseSpecification), isRequired: false),
        .init("VectorIndexOverride", .list(.structure(vectorIndex)), isRequired: false),
    ])

    static let restoreTableToPointInTimeInput: Structure = .init([
        .init("SourceTableArn", .string(min: 1, max: 1024), isRequired: false),
        .init("SourceTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("TargetTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("UseLatestRestorableTime", .boolean, isRequired: false),
        .init("RestoreDateTime", .timestamp, isRequired: false),
        .init("BillingModeOverride", .string(values: ["PROVISIONED", "PAY_PER_REQUEST"]), isRequired: false),
        .init("GlobalSecondaryIndexOverride", .list(.structure(globalSecondaryIndex)), isRequired: false),
        .init("LocalSecondaryIndexOverride", .list(.structure(localSecondaryIndex)), isRequired: false),
        .init("ProvisionedThroughputOverride", .structure(provisionedThroughput), isRequired: false),
        .init("OnDemandThroughputOverride", .structure(onDemandThroughput), isRequired: false),
        .init("SSESpecificationOverride", .structure(sseSpecification), isRequired: false),
        .init("VectorIndexOverride", .list(.structure(vectorIndex)), isRequired: false),
    ])

    static let scanInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("AttributesToGet", .list(.string(max: 65535), min: 1), isRequired: false),
        .init("Limit", .integer(min: 1), isRequired: false),
        .init("Select", .string(values: ["ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES", "SPECIFIC_ATTRIBUTES", "COUNT"]), isRequired: false),
        .init("ScanFilter", .map(key: .string(max: 65535), value: .structure(condition)), isRequired: false),
        .init("ConditionalOperator", .string(values: ["AND", "OR"]), isRequired: false),
        .init("ExclusiveStartKey", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("TotalSegments", .integer(min: 1, max: 1000000), isRequired: false),
        .init("Segment", .integer(min: 0, max: 999999), isRequired: false),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("FilterExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ConsistentRead", .boolean, isRequired: false),
    ])

    static let searchVectorsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("SearchVector", .list(.recursive { .structure(attributeValue) }, min: 1, max: 4096), isRequired: true),
        .init("SearchConditionExpression", .text, isRequired: false),
        .init("TopK", .integer(min: 1), isRequired: true),
    ])

    static let startBulkPutItemsInput: Structure = .init([
        .init("ClientToken", .string(pattern: .regularExpression("^[^\\$]+$")), isRequired: false),
        .init("InputS3Configuration", .structure(inputS3Configuration), isRequired: true),
        .init("OutputS3Configuration", .structure(outputS3Configuration), isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("MaxWriteRequestUnits", .long(min: 1024), isRequired: false),
        .init("PerformanceTier", .string(values: ["STANDARD", "ACCELERATED"]), isRequired: false),
    ])

    static let tagResourceInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
        .init("Tags", .list(.structure(tag)), isRequired: true),
    ])

    static let transactGetItemsInput: Structure = .init([
        .init("TransactItems", .list(.structure(transactGetItem), min: 1, max: 100), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
    ])

    static let transactWriteItemsInput: Structure = .init([
        .init("TransactItems", .list(.structure(transactWriteItem), min: 1, max: 100), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
        .init("ClientRequestToken", .string(min: 1, max: 36), isRequired: false),
    ])

    static let untagResourceInput: Structure = .init([
        .init("ResourceArn", .string(min: 1, max: 1283), isRequired: true),
        .init("TagKeys", .list(.string(min: 1, max: 128)), isRequired: true),
    ])

    static let updateContinuousBackupsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("PointInTimeRecoverySpecification", .structure(pointInTimeRecoverySpecification), isRequired: true),
    ])

    static let updateContributorInsightsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("ContributorInsightsAction", .string(values: ["ENABLE", "DISABLE"]), isRequired: true),
        .init("ContributorInsightsMode", .string(values: ["ACCESSED_AND_THROTTLED_KEYS", "THROTTLED_KEYS"]), isRequired: false),
    ])

    static let updateGlobalTableInput: Structure = .init([
        .init("GlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("ReplicaUpdates", .list(.structure(replicaUpdate)), isRequired: true),
    ])

    static let updateGlobalTableSettingsInput: Structure = .init([
        .init("GlobalTableName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("GlobalTableBillingMode", .string(values: ["PROVISIONED", "PAY_PER_REQUEST"]), isRequired: false),
        .init("GlobalTableProvisionedWriteCapacityUnits", .long(min: 1), isRequired: false),
        .init("GlobalTableProvisionedWriteCapacityAutoScalingSettingsUpdate", .structure(autoScalingSettingsUpdate), isRequired: false),
        .init("GlobalTableGlobalSecondaryIndexSettingsUpdate", .list(.structure(globalTableGlobalSecondaryIndexSettingsUpdate), min: 1, max: 20), isRequired: false),
        .init("ReplicaSettingsUpdate", .list(.structure(replicaSettingsUpdate), min: 1, max: 50), isRequired: false),
    ])

    static let updateItemInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("AttributeUpdates", .map(key: .string(max: 65535), value: .structure(attributeValueUpdate)), isRequired: false),
        .init("Expected", .map(key: .string(max: 65535), value: .structure(expectedAttributeValue)), isRequired: false),
        .init("ConditionalOperator", .string(values: ["AND", "OR"]), isRequired: false),
        .init("ReturnValues", .string(values: ["NONE", "ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATED_NEW"]), isRequired: false),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
        .init("UpdateExpression", .text, isRequired: false),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let updateKinesisStreamingDestinationInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("StreamArn", .string(min: 37, max: 1024), isRequired: true),
        .init("UpdateKinesisStreamingConfiguration", .structure(updateKinesisStreamingConfiguration), isRequired: false),
    ])

    static let updateTableInput: Structure = .init([
        .init("AttributeDefinitions", .list(.structure(attributeDefinition)), isRequired: false),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("BillingMode", .string(values: ["PROVISIONED", "PAY_PER_REQUEST"]), isRequired: false),
        .init("ProvisionedThroughput", .structure(provisionedThroughput), isRequired: false),
        .init("GlobalSecondaryIndexUpdates", .list(.structure(globalSecondaryIndexUpdate)), isRequired: false),
        .init("StreamSpecification", .structure(streamSpecification), isRequired: false),
        .init("SSESpecification", .structure(sseSpecification), isRequired: false),
        .init("ReplicaUpdates", .list(.structure(replicationGroupUpdate), min: 1), isRequired: false),
        .init("TableClass", .string(values: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"]), isRequired: false),
        .init("DeletionProtectionEnabled", .boolean, isRequired: false),
        .init("MultiRegionConsistency", .string(values: ["EVENTUAL", "STRONG"]), isRequired: false),
        .init("GlobalTableWitnessUpdates", .list(.structure(globalTableWitnessGroupUpdate), min: 1, max: 1), isRequired: false),
        .init("OnDemandThroughput", .structure(onDemandThroughput), isRequired: false),
        .init("WarmThroughput", .structure(warmThroughput), isRequired: false),
        .init("GlobalTableSettingsReplicationMode", .string(values: ["ENABLED", "DISABLED", "ENABLED_WITH_OVERRIDES"]), isRequired: false),
        .init("DisassociationProtectionEnabled", .boolean, isRequired: false),
        .init("VectorIndexUpdates", .list(.structure(vectorIndexUpdate)), isRequired: false),
    ])

    static let updateTableReplicaAutoScalingInput: Structure = .init([
        .init("GlobalSecondaryIndexUpdates", .list(.structure(globalSecondaryIndexAutoScalingUpdate), min: 1), isRequired: false),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ProvisionedWriteCapacityAutoScalingUpdate", .structure(autoScalingSettingsUpdate), isRequired: false),
        .init("ReplicaUpdates", .list(.structure(replicaAutoScalingUpdate), min: 1), isRequired: false),
    ])

    static let updateTimeToLiveInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("TimeToLiveSpecification", .structure(timeToLiveSpecification), isRequired: true),
    ])
}
