// Written by Tests/Support/aws/dynamodb_shapes.py from the service's model. Do not edit.
import AWSProtocol

extension Shapes {
    /// What each operation takes.
    static let inputs: [String: Structure] = [
        "BatchGetItem": batchGetItemInput,
        "BatchWriteItem": batchWriteItemInput,
        "CreateTable": createTableInput,
        "DeleteItem": deleteItemInput,
        "DeleteResourcePolicy": deleteResourcePolicyInput,
        "DeleteTable": deleteTableInput,
        "DescribeContinuousBackups": describeContinuousBackupsInput,
        "DescribeContributorInsights": describeContributorInsightsInput,
        "DescribeEndpoints": describeEndpointsRequest,
        "DescribeKinesisStreamingDestination": describeKinesisStreamingDestinationInput,
        "DescribeLimits": describeLimitsInput,
        "DescribeTable": describeTableInput,
        "DescribeTimeToLive": describeTimeToLiveInput,
        "DisableKinesisStreamingDestination": kinesisStreamingDestinationInput,
        "EnableKinesisStreamingDestination": kinesisStreamingDestinationInput,
        "GetItem": getItemInput,
        "GetResourcePolicy": getResourcePolicyInput,
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
        "Scan": scanInput,
        "TagResource": tagResourceInput,
        "TransactGetItems": transactGetItemsInput,
        "TransactWriteItems": transactWriteItemsInput,
        "UntagResource": untagResourceInput,
        "UpdateContinuousBackups": updateContinuousBackupsInput,
        "UpdateItem": updateItemInput,
        "UpdateKinesisStreamingDestination": updateKinesisStreamingDestinationInput,
        "UpdateTable": updateTableInput,
        "UpdateTimeToLive": updateTimeToLiveInput,
    ]

    static let batchGetItemInput: Structure = .init([
        .init("RequestItems", .map(key: .string(min: 1, max: 1024), value: .structure(keysAndAttributes), min: 1, max: 100), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
    ])

    static let batchWriteItemInput: Structure = .init([
        .init("RequestItems", .map(key: .string(min: 1, max: 1024), value: .list(.structure(writeRequest), min: 1, max: 25), min: 1, max: 25), isRequired: true),
        .init("ReturnConsumedCapacity", .string(values: ["INDEXES", "TOTAL", "NONE"]), isRequired: false),
        .init("ReturnItemCollectionMetrics", .string(values: ["SIZE", "NONE"]), isRequired: false),
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

    static let describeContinuousBackupsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeContributorInsightsInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
    ])

    static let describeEndpointsRequest: Structure = .init([
    ])

    static let describeKinesisStreamingDestinationInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
    ])

    static let describeLimitsInput: Structure = .init([
    ])

    static let describeTableInput: Structure = .init([
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
        .init("Select", .string(values: ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"]), isRequired: false),
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

    static let scanInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: false),
        .init("AttributesToGet", .list(.string(max: 65535), min: 1), isRequired: false),
        .init("Limit", .integer(min: 1), isRequired: false),
        .init("Select", .string(values: ["SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES"]), isRequired: false),
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

    static let updateTimeToLiveInput: Structure = .init([
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("TimeToLiveSpecification", .structure(timeToLiveSpecification), isRequired: true),
    ])
}
