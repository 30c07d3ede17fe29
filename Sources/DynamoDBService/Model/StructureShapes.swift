// Written by Tests/Support/aws/dynamodb_shapes.py from the service's model. Do not edit.
import AWSProtocol

/// What the requests of DynamoDB are made of.
enum Shapes {
    static let attributeValue: Structure = .init([
        .init("S", .text, isRequired: false),
        .init("N", .text, isRequired: false),
        .init("B", .blob(), isRequired: false),
        .init("SS", .list(.text), isRequired: false),
        .init("NS", .list(.text), isRequired: false),
        .init("BS", .list(.blob()), isRequired: false),
        .init("M", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("L", .list(.recursive { .structure(attributeValue) }), isRequired: false),
        .init("NULL", .boolean, isRequired: false),
        .init("BOOL", .boolean, isRequired: false),
    ])

    static let keysAndAttributes: Structure = .init([
        .init("Keys", .list(.map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), min: 1, max: 100), isRequired: true),
        .init("AttributesToGet", .list(.string(max: 65535), min: 1), isRequired: false),
        .init("ConsistentRead", .boolean, isRequired: false),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
    ])

    static let putRequest: Structure = .init([
        .init("Item", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
    ])

    static let deleteRequest: Structure = .init([
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
    ])

    static let writeRequest: Structure = .init([
        .init("PutRequest", .structure(putRequest), isRequired: false),
        .init("DeleteRequest", .structure(deleteRequest), isRequired: false),
    ])

    static let attributeDefinition: Structure = .init([
        .init("AttributeName", .string(min: 1, max: 255), isRequired: true),
        .init("AttributeType", .string(values: ["S", "N", "B"]), isRequired: true),
    ])

    static let keySchemaElement: Structure = .init([
        .init("AttributeName", .string(min: 1, max: 255), isRequired: true),
        .init("KeyType", .string(values: ["HASH", "RANGE"]), isRequired: true),
    ])

    static let projection: Structure = .init([
        .init("ProjectionType", .string(values: ["ALL", "KEYS_ONLY", "INCLUDE"]), isRequired: false),
        .init("NonKeyAttributes", .list(.string(min: 1, max: 255), min: 1, max: 20), isRequired: false),
    ])

    static let localSecondaryIndex: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("KeySchema", .list(.structure(keySchemaElement), min: 1), isRequired: true),
        .init("Projection", .structure(projection), isRequired: true),
    ])

    static let provisionedThroughput: Structure = .init([
        .init("ReadCapacityUnits", .long(min: 1), isRequired: true),
        .init("WriteCapacityUnits", .long(min: 1), isRequired: true),
    ])

    static let onDemandThroughput: Structure = .init([
        .init("MaxReadRequestUnits", .long(), isRequired: false),
        .init("MaxWriteRequestUnits", .long(), isRequired: false),
    ])

    static let warmThroughput: Structure = .init([
        .init("ReadUnitsPerSecond", .long(), isRequired: false),
        .init("WriteUnitsPerSecond", .long(), isRequired: false),
    ])

    static let globalSecondaryIndex: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("KeySchema", .list(.structure(keySchemaElement), min: 1), isRequired: true),
        .init("Projection", .structure(projection), isRequired: true),
        .init("ProvisionedThroughput", .structure(provisionedThroughput), isRequired: false),
        .init("OnDemandThroughput", .structure(onDemandThroughput), isRequired: false),
        .init("WarmThroughput", .structure(warmThroughput), isRequired: false),
    ])

    static let streamSpecification: Structure = .init([
        .init("StreamEnabled", .boolean, isRequired: true),
        .init("StreamViewType", .string(values: ["NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES", "KEYS_ONLY"]), isRequired: false),
    ])

    static let sseSpecification: Structure = .init([
        .init("Enabled", .boolean, isRequired: false),
        .init("SSEType", .string(values: ["AES256", "KMS"]), isRequired: false),
        .init("KMSMasterKeyId", .text, isRequired: false),
    ])

    static let tag: Structure = .init([
        .init("Key", .string(min: 1, max: 128), isRequired: true),
        .init("Value", .string(min: 0, max: 256), isRequired: true),
    ])

    static let vectorAttributeDefinition: Structure = .init([
        .init("AttributeName", .string(min: 1, max: 255), isRequired: true),
    ])

    static let searchSchemaElement: Structure = .init([
        .init("AttributeName", .string(max: 65535), isRequired: true),
        .init("SearchSchemaElementType", .string(values: ["HASH", "INLINE_FILTER"]), isRequired: true),
    ])

    static let vectorIndex: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("VectorAttribute", .structure(vectorAttributeDefinition), isRequired: true),
        .init("SearchSchema", .list(.structure(searchSchemaElement), min: 1), isRequired: false),
        .init("Projection", .structure(projection), isRequired: true),
        .init("Dimensions", .long(min: 1), isRequired: true),
        .init("DistanceFunction", .string(values: ["COSINE", "DOT_PRODUCT", "EUCLIDEAN"]), isRequired: true),
    ])

    static let expectedAttributeValue: Structure = .init([
        .init("Value", .recursive { .structure(attributeValue) }, isRequired: false),
        .init("Exists", .boolean, isRequired: false),
        .init("ComparisonOperator", .string(values: ["EQ", "NE", "IN", "LE", "LT", "GE", "GT", "BETWEEN", "NOT_NULL", "NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH"]), isRequired: false),
        .init("AttributeValueList", .list(.recursive { .structure(attributeValue) }), isRequired: false),
    ])

    static let enableKinesisStreamingConfiguration: Structure = .init([
        .init("ApproximateCreationDateTimePrecision", .string(values: ["MILLISECOND", "MICROSECOND"]), isRequired: false),
    ])

    static let condition: Structure = .init([
        .init("AttributeValueList", .list(.recursive { .structure(attributeValue) }), isRequired: false),
        .init("ComparisonOperator", .string(values: ["EQ", "NE", "IN", "LE", "LT", "GE", "GT", "BETWEEN", "NOT_NULL", "NULL", "CONTAINS", "NOT_CONTAINS", "BEGINS_WITH"]), isRequired: true),
    ])

    static let get: Structure = .init([
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ProjectionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
    ])

    static let transactGetItem: Structure = .init([
        .init("Get", .structure(get), isRequired: true),
    ])

    static let conditionCheck: Structure = .init([
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ConditionExpression", .text, isRequired: true),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let put: Structure = .init([
        .init("Item", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let delete: Structure = .init([
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let update: Structure = .init([
        .init("Key", .map(key: .string(max: 65535), value: .recursive { .structure(attributeValue) }), isRequired: true),
        .init("UpdateExpression", .text, isRequired: true),
        .init("TableName", .string(min: 1, max: 1024), isRequired: true),
        .init("ConditionExpression", .text, isRequired: false),
        .init("ExpressionAttributeNames", .map(value: .string(max: 65535)), isRequired: false),
        .init("ExpressionAttributeValues", .map(value: .recursive { .structure(attributeValue) }), isRequired: false),
        .init("ReturnValuesOnConditionCheckFailure", .string(values: ["ALL_OLD", "NONE"]), isRequired: false),
    ])

    static let transactWriteItem: Structure = .init([
        .init("ConditionCheck", .structure(conditionCheck), isRequired: false),
        .init("Put", .structure(put), isRequired: false),
        .init("Delete", .structure(delete), isRequired: false),
        .init("Update", .structure(update), isRequired: false),
    ])

    static let pointInTimeRecoverySpecification: Structure = .init([
        .init("PointInTimeRecoveryEnabled", .boolean, isRequired: true),
        .init("RecoveryPeriodInDays", .integer(min: 1, max: 35), isRequired: false),
    ])

    static let attributeValueUpdate: Structure = .init([
        .init("Value", .recursive { .structure(attributeValue) }, isRequired: false),
        .init("Action", .string(values: ["ADD", "PUT", "DELETE"]), isRequired: false),
    ])

    static let updateKinesisStreamingConfiguration: Structure = .init([
        .init("ApproximateCreationDateTimePrecision", .string(values: ["MILLISECOND", "MICROSECOND"]), isRequired: false),
    ])

    static let updateGlobalSecondaryIndexAction: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("ProvisionedThroughput", .structure(provisionedThroughput), isRequired: false),
        .init("OnDemandThroughput", .structure(onDemandThroughput), isRequired: false),
        .init("WarmThroughput", .structure(warmThroughput), isRequired: false),
    ])

    static let createGlobalSecondaryIndexAction: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("KeySchema", .list(.structure(keySchemaElement), min: 1), isRequired: true),
        .init("Projection", .structure(projection), isRequired: true),
        .init("ProvisionedThroughput", .structure(provisionedThroughput), isRequired: false),
        .init("OnDemandThroughput", .structure(onDemandThroughput), isRequired: false),
        .init("WarmThroughput", .structure(warmThroughput), isRequired: false),
    ])

    static let deleteGlobalSecondaryIndexAction: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
    ])

    static let globalSecondaryIndexUpdate: Structure = .init([
        .init("Update", .structure(updateGlobalSecondaryIndexAction), isRequired: false),
        .init("Create", .structure(createGlobalSecondaryIndexAction), isRequired: false),
        .init("Delete", .structure(deleteGlobalSecondaryIndexAction), isRequired: false),
    ])

    static let provisionedThroughputOverride: Structure = .init([
        .init("ReadCapacityUnits", .long(min: 1), isRequired: false),
    ])

    static let onDemandThroughputOverride: Structure = .init([
        .init("MaxReadRequestUnits", .long(), isRequired: false),
    ])

    static let replicaGlobalSecondaryIndex: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("ProvisionedThroughputOverride", .structure(provisionedThroughputOverride), isRequired: false),
        .init("OnDemandThroughputOverride", .structure(onDemandThroughputOverride), isRequired: false),
    ])

    static let createReplicationGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
        .init("KMSMasterKeyId", .text, isRequired: false),
        .init("ProvisionedThroughputOverride", .structure(provisionedThroughputOverride), isRequired: false),
        .init("OnDemandThroughputOverride", .structure(onDemandThroughputOverride), isRequired: false),
        .init("GlobalSecondaryIndexes", .list(.structure(replicaGlobalSecondaryIndex), min: 1), isRequired: false),
        .init("TableClassOverride", .string(values: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"]), isRequired: false),
    ])

    static let updateReplicationGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
        .init("KMSMasterKeyId", .text, isRequired: false),
        .init("ProvisionedThroughputOverride", .structure(provisionedThroughputOverride), isRequired: false),
        .init("OnDemandThroughputOverride", .structure(onDemandThroughputOverride), isRequired: false),
        .init("GlobalSecondaryIndexes", .list(.structure(replicaGlobalSecondaryIndex), min: 1), isRequired: false),
        .init("TableClassOverride", .string(values: ["STANDARD", "STANDARD_INFREQUENT_ACCESS"]), isRequired: false),
    ])

    static let deleteReplicationGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
    ])

    static let disassociateReplicationGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
        .init("DisassociationMode", .string(values: ["WAIT_FOR_REPLICATION"]), isRequired: true),
    ])

    static let replicationGroupUpdate: Structure = .init([
        .init("Create", .structure(createReplicationGroupMemberAction), isRequired: false),
        .init("Update", .structure(updateReplicationGroupMemberAction), isRequired: false),
        .init("Delete", .structure(deleteReplicationGroupMemberAction), isRequired: false),
        .init("Disassociate", .structure(disassociateReplicationGroupMemberAction), isRequired: false),
    ])

    static let createGlobalTableWitnessGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
    ])

    static let deleteGlobalTableWitnessGroupMemberAction: Structure = .init([
        .init("RegionName", .text, isRequired: true),
    ])

    static let globalTableWitnessGroupUpdate: Structure = .init([
        .init("Create", .structure(createGlobalTableWitnessGroupMemberAction), isRequired: false),
        .init("Delete", .structure(deleteGlobalTableWitnessGroupMemberAction), isRequired: false),
    ])

    static let createVectorIndexAction: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
        .init("VectorAttribute", .structure(vectorAttributeDefinition), isRequired: true),
        .init("SearchSchema", .list(.structure(searchSchemaElement), min: 1), isRequired: false),
        .init("Projection", .structure(projection), isRequired: true),
        .init("Dimensions", .long(min: 1), isRequired: true),
        .init("DistanceFunction", .string(values: ["COSINE", "DOT_PRODUCT", "EUCLIDEAN"]), isRequired: true),
    ])

    static let deleteVectorIndexAction: Structure = .init([
        .init("IndexName", .string(min: 3, max: 255, pattern: .letters("[a-zA-Z0-9_.-]+", and: "_.-")), isRequired: true),
    ])

    static let vectorIndexUpdate: Structure = .init([
        .init("Create", .structure(createVectorIndexAction), isRequired: false),
        .init("Delete", .structure(deleteVectorIndexAction), isRequired: false),
    ])

    static let timeToLiveSpecification: Structure = .init([
        .init("Enabled", .boolean, isRequired: true),
        .init("AttributeName", .string(min: 1, max: 255), isRequired: true),
    ])
}
